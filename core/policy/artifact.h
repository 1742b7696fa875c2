// What the build hands over: the value that scripts/build.lua returns, parsed. This page is the contract between the
// library in Lua and the engine in C; both sides have a test that holds them to it.
//
// Input of the build, a map: {policy = NAME, data = [names of the policy's csv files, "sales_team"], sets = [names of
// signal sets], files = [paths of the signal sets' files, sorted by their bytes, "policies/signals/b2b/signals.lua"]};
// data and sets are for `check` to say what there is, by files the folders of a set are read (scripts/signal_set.lua).
// Modules given to it: every file of scripts/ as "policy", "signal", … (library); the policy's files as "NAME.policy",
// "NAME.helpers", "NAME.data.sales_team" (text of the csv); each signal set's files as "signals.SET.signals",
// "signals.SET.features.web". scripts/build.lua runs "NAME.policy", checks the tree, compiles it. After a build the
// signal sets that the policy does not name are taken away; when there were any, it is built once more from what
// remains.
//
// signals/SET/signals.lua returns {name, version (whole number), owner, rationale, personal = {paths}, events = {names;
// optional, for check}}; each file of signals/SET/features/ returns a list of declarations (feature/feature.h).
//
// Output, a map:
//   problems      [{path, line, error (bool), text}]; when one is an error nothing but `set` is there
//   set           only beside errors, none of which lies in the signal set's files: {signals, signal_set, declarations,
//                 feature_files, personal, labels, schemas, schema_files, quality} as below, so that the engine can judge them
//   name owner rationale boundary mode ("act" | "score" | "collect")  signals "b2b@4"  signal_set "b2b"
//   declarations  the signal set's list, as feature_set_compile wants it
//   feature_files [path] of each declaration, for messages and lineage (absent in archives before there were several)
//   personal      [path]
//   labels        [{name, event, within_ms, unless = [event], read_by = [feature]}] of the set's head, for exports (optional)
//   retrain       [{model, label, age_ms, drift, auc_under, auc_falls, over_days, least, why}] (optional)
//   schemas       the signal set's schemas, as schema_set_compile wants them; absent or empty: none
//   schema_files  [path] of each
//   quality       its rules for sources, as quality_compile wants them; absent or empty: none
//   models        {fit = "b2b_fit" or "b2b_fit@3", engagement = …} (each optional; without @ the one in force, policy/policy.h), or
//                 {split = …}: one model for both
//   mix           {fit = 0.3, engagement = 0.7, constant = 0}, of a split model {fit = 0, engagement = 0, model = 1, constant = 0}
//   bands         [{name, from (points)}]  ascending
//   stages        [{name, final (bool), frees_owner (bool), path, line, parent (the stage around it), start (the stage inside it that is entered with it),
//     region (bool: a machine of its own; its stages lie inside it)}]; stage 0 is where a lead begins
//   notes         [{name, path, line}]  words of on_entry and on_exit
//   was           [{name, to (stage number), why, path, line}]: stages that are gone, and where their leads are (absent: none)
//   transitions   [{from, to (stage numbers), why, path, line}] in the order of their stages, each with one timer at
//     most: after_ms, or of a calendar (a number) open_ms, open_days, or at_day (0: Sunday, CALENDAR_ANY_DAY, CALENDAR_OPEN_DAY)
//     with at_minute.
//     `from` may be a stage around the lead's. resume: `to` has stages inside it, and the last one there is entered
//   calendars     [{name, zone, week, dates}] as policy/calendars.h has them (absent or empty: none); others name them by number
//   owners        [name]
//   routes        [{name, why, path, line}]; of those that ask a pool also turn = {team (number in teams), pick (1 round_robin, 2
//                 least_busy), sticky (bool), skill (text, optional), full (route number, optional), accept_ms, accept_tries,
//                 accept_otherwise (route number, optional)}; their rules leave the owner as it is
//   teams         [{name, people = [{owner (number in owners), weight (thousandths), capacity (-1: any number), leave =
//                 [[from, until]], ms, skills = [text]}]}] of the teams whose pools are asked (optional)
//   actions       [{name, why, path, line}]; action 0 is `otherwise`
//   adjustments   [{name, why, path, line, kind ("adjust", as without it; "cap", "floor": of as many points as it took, gave)}]
//   evidence      [{name, channel (number), why, path, line}]
//   channels      [name]
//   gates         [{name, why, …}]
//   eligibility   [{name, why, path, line}]
//   conditions    [{name, path, line}]  each leaf and each named condition, once
//     An entry of transitions, routes, actions, adjustments, evidence, gates and eligibility may carry `uses`:
//     [condition numbers], those that it rests on, for explanations.
//   reads         [{feature (number), kind, name, condition, path, line}]  which rule reads which feature, for lineage
//                 (absent in older archives)
//   tests         [{feature (name), any = [text]} or {feature, known = true}]: text conditions, computed by the engine
//                 before the call: 1 or 0; an unknown (empty) text gives 0
//   quiet         [quiet hours of channels] as policy/quiet.h has them (absent or empty: none)
//   ages          [feature]: whose age is asked for; the engine gives ms since the latest match, NaN: unknown (optional)
//   sales         {owner_set = [names of events], owner_cleared, stage_set, disqualified, requalified, rejected, accepted, each
//                 optional: those that say so besides the reserved ones (policy/artifact.c); not_again_ms}: optional
//   events        [name]: names of `track` events that transitions wait for: 1 when this event is it
//   draws         [{salt, by = "lead" | "event", hold_out (share, only where it is one)}]: numbers in [0,1) from a hash
//   memory        [{name, initial}]: doubles kept per lead between decisions, carried over to a new version by name
//   fields        [{name, why, type ("number" | "flag" | "time" | "choice"), slot (in memory), merge ("max" | "sum" | "latest": then
//                 the slot behind it says when), least, most, options = [text], path, line}]: what the policy keeps of a lead
//                 and declares (optional)
//   trace         how the tracing variant's notes are told (optional): {rules, asks (one a condition), seen, truths, log (offsets
//                 behind the last run of the output; they lie last), log_room}; scripts/tracing.lua, policy/trace.h
//   custom        how many custom functions (0: the vm needs no modules)
//   layout        {input = {NAME: offset}, output = {NAME: offset}, input_count, output_count}: offsets in doubles
//   source        text of the chunk for lua/vm.h
//
// layout.input   now stage since timer (transition number + 1, 0 none) fit engagement (capped points in thousandths, 0
//   without a model) owner (-1 none) manual (0/1) acted is_event (0/1), model (of a split model: its points in thousandths,
//   not capped; else absent), sales (enum sales_order of policy/parts.h: 0 free, 1 routes choose anew in the stage in which the
//   lead stays, 2 the stage was set by hand: no transition, but its routes, 3 disqualified: only scores), switch (0 act, 1
//   score: no action, 2 collect: no stage either), and the first of each run: features tests ages (optional where there are
//   none) events draws barred (POLICY_REJECTS owners that no route may choose, those that are first; -1: none) places
//   (of each stage with a start, in their order: a region's innermost stage, or the one that the lead is or was last in; -1: none)
//   quiet (of each entry of `quiet`: 1 when it is quiet now, else 0; optional where there are none)
// layout.output  eligible ineligible (index, -1) stage steps (count, then 8 transition numbers, then 1 when cut)
//   combined (thousandths, after the cap) cap (thousandths that the cap added) band intent (thousandths) owner (-1
//   none; unchanged: the one that came in) route (-1) action utility held (enum policy_held) explored (0/1) propensity
//   (above 0, up to 1), and the first of each run: offers (of each action but `otherwise` its utility where it is open and
//   worth more than `otherwise`, else NaN) offers_held (why it, and not all, was held back: enum policy_held; else NaN)
//   adjustments (thousandths, NaN when it did not apply) evidence
//   (thousandths, after ageing and reliability) channel_caps (thousandths that the channel's cap took, 0 mostly)
//   conditions (1, 0, NaN not reached; tracing variant only) regions (the innermost stage of each)
//   notes (count, then up to 16 numbers; absent where there are none, as places and regions in older archives); behind the last run, up to output_count, lies scratch and the trace
//   without a name that only the chunk uses
//
// Arithmetic of the compiled chunk: + - * / and comparisons, math.floor, and exp2 from base/pmath; round to thousandths
// with ties to even (host gives `round_even`). combined = round(mix.fit * fit) + round(mix.engagement * engagement)
// + mix.model * model + round(constant * 1000) + adjustments, clamped to 0..100,000. intent = sum of evidence rows + channel_caps rows. So
// every sum is exact in integers.
//
// What the engine believes. Parsing refuses an artifact (ITD_EPOLICY) with an unknown or missing layout name, spans
// that overlap or leave their array, a number out of its table, a name twice in stages, was, owners, actions or memory,
// bands that do not ascend, text that is not UTF-8, or more than the bounds below. Before a call every double of the
// output is NaN. After it:
//   - finite and in range: everything but adjustments that did not apply and conditions not reached, which stay NaN;
//     evidence not in force is 0; all memory is finite (so "never" is a number like -1, not NaN: the lead's state is
//     compared as bytes)
//   - thousandths are whole numbers; both sums above hold to the last digit, for a lead that is not eligible too
//   - an action that is not `otherwise` is one of the offers, has their utility, and nothing holds it or all back; each offer
//     that would have gone before (worth more; of equals the first) is held back by itself, by `held` when that holds all
//     of a lead's back, or because of `explored`
//   - eligible 1 has ineligible -1, eligible 0 has an index; each step begins where those
//     before it left its machine, and they end in the output's stage and regions
// What breaks one of these is ITD_ESTOPPED and names it. The plain and the tracing variant give the same outcome, bit
// for bit.
//
// A signal set alone: with the input {set = NAME, sets, files} the output is {problems, set}, whether or not there is an
// error; `set` then has owner and rationale, too, and is missing when an error lies in its files.
//
// A vm of a policy with custom functions runs module "build" once more, with the same input and custom = true: it then
// returns {custom = {functions, in the order of their numbers}} (vm.h).
#pragma once
#include "base/arena.h"
#include "policy/calendars.h"
#include "policy/policy.h"
#include "policy/quiet.h"

// Bounds, each refused by name at load. Rows fit struct policy_outcome.
enum {
  ARTIFACT_STAGES_MAX = 64,
  ARTIFACT_TRANSITIONS_MAX = 512, // and at most POLICY_TIMERS_MAX with a timer in one stage
  ARTIFACT_NAMES_MAX = 4096,      // owners, routes, actions, gates, conditions, eligibility: each
  ARTIFACT_WAS_MAX = 256,
  ARTIFACT_DEPTH_MAX = 4,
  ARTIFACT_LABELS_MAX = 16,
  ARTIFACT_SAID_MAX = 64, // events of sales, of each kind
  ARTIFACT_TEAMS_MAX = 256,
  ARTIFACT_RETRAINS_MAX = 64,
  ARTIFACT_READS_MAX = 1 << 16,
  ARTIFACT_RUN_MAX = 4096,        // tests, events, draws, memory: each
  ARTIFACT_TEXTS_MAX = 1 << 20,   // texts of all tests together
  ARTIFACT_DOUBLES_MAX = 1 << 16, // input_count, output_count
};

// ---- parsed ----
enum artifact_in {
  IN_NOW,
  IN_STAGE,
  IN_SINCE,
  IN_TIMER,
  IN_FIT,
  IN_ENGAGEMENT,
  IN_OWNER,
  IN_MANUAL,
  IN_ACTED,
  IN_IS_EVENT,
  IN_MODEL,
  IN_SALES,
  IN_SWITCH,
  IN_FEATURES,
  IN_TESTS,
  IN_AGES,
  IN_EVENTS,
  IN_DRAWS,
  IN_BARRED,
  IN_PLACES,
  IN_QUIET,
  IN_SLOTS
};
enum artifact_out {
  OUT_ELIGIBLE,
  OUT_INELIGIBLE,
  OUT_STAGE,
  OUT_STEPS,
  OUT_COMBINED,
  OUT_CAP,
  OUT_BAND,
  OUT_INTENT,
  OUT_OWNER,
  OUT_ROUTE,
  OUT_ACTION,
  OUT_UTILITY,
  OUT_HELD,
  OUT_EXPLORED,
  OUT_PROPENSITY,
  OUT_OFFERS,
  OUT_OFFERS_HELD,
  OUT_ADJUSTMENTS,
  OUT_EVIDENCE,
  OUT_CHANNEL_CAPS,
  OUT_CONDITIONS,
  OUT_REGIONS,
  OUT_NOTES,
  OUT_SLOTS
};
#define POLICY_TABLES (POLICY_NOTES + 1)

// A set of texts, hashed with open addressing; an empty place has p NULL. `mask` + 1 places, at least one of them
// empty.
struct text_set {
  struct bytes *place;
  uint32_t mask;
};
bool text_set_has(const struct text_set *set, struct bytes text); // an empty text is in no set

struct artifact_test {
  const char *feature_name;
  bool is_known;       // 1 for any text that is not empty
  struct text_set any; // else
};
struct artifact_draw {
  uint64_t salt; // hash64 of its text
  bool is_lead;
  double hold_out; // the share of leads that it holds out; 0: it is for something else
};
struct artifact_turn { // of a route
  bool is_asked;
  struct policy_turn turn;
};
struct artifact_said { // an event by which sales has its say
  struct bytes event;
  enum policy_said said;
};
struct artifact_timers { // transitions with a timer of one stage
  uint16_t count, transition[POLICY_TIMERS_MAX];
};
struct artifact_stage {
  int16_t parent, start; // -1: none
  int16_t machine;       // the region that it lies in, or is; -1: the main one
  int16_t place;         // among the state's places; -1: nothing lies inside it
  bool is_region;
};
struct artifact {
  const char *name, *owner, *rationale, *boundary, *mode, *signals, *signal_set;
  struct bytes declarations;
  struct bytes *feature_file; // the file of each declaration; none in older archives
  size_t feature_file_count;
  struct personal_paths personal;
  struct bytes schemas, quality; // empty: none
  struct bytes *schema_file;
  size_t schema_file_count;
  const char *model[3]; // fit, engagement, split; "NAME" or "NAME@VERSION"; NULL: none
  double mix_fit, mix_engagement, mix_model, mix_constant;
  struct policy_entry *entry[POLICY_TABLES];
  size_t count[POLICY_TABLES];
  struct artifact_stage *stage;   // of each stage
  struct artifact_timers *timers; // likewise
  size_t place_count, region_count;
  int16_t region[POLICY_REGIONS_MAX]; // stages
  struct policy_team *teams;
  size_t team_count;
  struct artifact_turn *turns; // of each route
  struct policy_label *labels;
  size_t label_count;
  struct policy_retrain *retrains;
  size_t retrain_count;
  struct policy_read *reads;
  size_t read_count;
  struct policy_calendar *calendars;
  size_t calendar_count;
  struct quiet *quiet;
  size_t quiet_count;
  struct bytes *ages; // names of features
  size_t age_count;
  struct artifact_test *tests;
  size_t test_count;
  struct bytes *events;
  size_t event_count;
  struct artifact_said *said; // reserved names first
  size_t said_count;
  int64_t not_again_ms; // whoever gave a lead back is not chosen again for so long
  struct artifact_draw *draws;
  size_t draw_count;
  struct policy_field *fields;
  size_t field_count;
  const char **memory_name;
  double *memory_initial;
  size_t memory_count;
  size_t custom;
  struct bytes trace;   // packed, as policy/trace.c reads it; empty: none
  size_t plain_count;   // doubles of the output that a call without a trace may write: what lies behind is the trace's
  size_t feature_count; // declarations
  uint32_t in[IN_SLOTS], out[OUT_SLOTS];
  struct vm_shape shape;
  struct bytes source;
  struct arena arena; // all of the above
};
const char *artifact_out_name(enum artifact_out slot);

// Parses and validates what the build returned; keeps nothing of `bytes`. Findings in `problems` are handed to `found`
// (each one; may be NULL); when one is an error the result is ITD_EPOLICY with the first one's place and text.
// ITD_EPOLICY, too, for an artifact that breaks the contract.
typedef void (*artifact_found)(void *context, const struct policy_problem *problem);
int artifact_parse(struct bytes bytes, artifact_found found, void *context, struct artifact **out,
                   struct error *err) ITD_MUST_USE;
// Only its problems, as above.
int artifact_problems(struct bytes bytes, artifact_found found, void *context, struct error *err) ITD_MUST_USE;
// Only what the build's `set` says of a signal set: name is the set's, all of a policy is empty. ITD_ENOTFOUND: it has none.
int artifact_parse_set(struct bytes bytes, struct artifact **out, struct error *err) ITD_MUST_USE;
void artifact_free(struct artifact *artifact); // NULL does nothing
