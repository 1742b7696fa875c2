// A policy: one bundle of text, checked and compiled, and what it decides for one lead.
//
// `policy_load` gathers files (the policy's folder, its signal set, the library in scripts/, the models it names),
// hashes them, builds and checks in a sandbox, compiles, and self-tests; the result is immutable and shared by all
// shards. `policy_vm` is one shard's Lua state for it. Pure after loading: a call reads no clock, disk or random
// source.
#pragma once
#include "feature/feature.h"
#include "lua/vm.h"
#include "model/model.h"
#include "schema/quality.h"
#include "schema/schema.h"

// ---- loading ----
// One version of a model, by its two files.
struct policy_model {
  const char *name, *version;
  struct bytes model_json, weights_json;
};
// The versions of models that are in force, or were. `find` gives the one of that version, or with NULL the one in force, and
// returns 1 (`found`: its version, malloc'd; the files' bytes appended), 0 when it knows none, or an error.
struct policy_models {
  int (*find)(void *context, const char *name, const char *version, char **found, struct buf *model_json,
              struct buf *weights_json, struct error *err);
  void *context;
  // The version of a model that is on canary, its share of the leads in ten-thousandths, and its files: 1; 0: none; or an error.
  // May be NULL.
  int (*canary)(void *context, const char *name, char **found, uint32_t *share, struct buf *model_json,
                struct buf *weights_json, struct error *err);
};
struct policy_source {
  const char *policies_dir;           // holds signals/ and NAME/
  const char *models_dir;             // holds NAME/VERSION/
  const char *scripts_dir;            // the library
  const char *name;                   // "b2b_saas": [a-z][a-z0-9_]*, not "signals"
  const struct policy_models *models; // NULL: models are chosen by the folder alone
};
// Names of the policies in a folder (those with a policy.lua), sorted: malloc'd strings in a malloc'd array, for
// dir_list_free.
int policy_list(const char *policies_dir, char ***names, size_t *count, struct error *err) ITD_MUST_USE;

// One finding of `check`.
struct policy_problem {
  char path[256];
  int line;      // 0: the file as a whole
  bool is_error; // else a warning: the policy loads
  char text[500];
};
// Written anew by policy_load, whatever it held; the caller calls policy_report_deinit afterwards, after a success too
// (warnings). Paths are "policies/…", "scripts/…" and "models/…" wherever these folders lie, so that a version says the
// same on every machine.
struct policy_report {
  struct policy_problem *problem;
  size_t count, errors;
};
void policy_report_add(struct policy_report *report, const struct policy_problem *problem); // copied; NULL does nothing
void policy_report_deinit(struct policy_report *report);

struct policy;
// Every error that can be found is in `report` (may be NULL); the returned code and `err` are those of the first.
// Nothing is changed when it fails. ITD_ENOTFOUND: no such policy or folder. ITD_EPOLICY, ITD_EMODEL, ITD_ETOOBIG,
// ITD_EIO.
//
// Files: NAME/**.lua and .csv, signals/SET/** of the set it names, the library (scripts/ but scripts/cli/), and
// model.json and weights.json of its models. Specs (_spec.lua) and other files are not read. A model named without
// @VERSION is the one in force; where none of it ever was, the highest version there is (policy/registry.h). A version that
// was ever in force is taken as it was then, and refused (ITD_EMODEL) when the folder has another under its name. Bundle
// hash: SHA-256 over POLICY_SEMANTICS and FEATURE_SEMANTICS, the name, and paths and bytes of all these files; the policy's
// version is one of the same without the models' and without the csv files', its data one of the csv files alone.
#define POLICY_SEMANTICS 2
int policy_load(const struct policy_source *source, const struct lua_limits *limits, struct policy **out,
                struct policy_report *report, struct error *err) ITD_MUST_USE;
// The signal set `source->name` alone: its features, schemas, personal paths and rules, judged as a policy's are; what is
// asked about rules, models and decisions of the result is empty. `models_dir` is not read.
int policy_load_set(const struct policy_source *source, const struct lua_limits *limits, struct policy **out,
                    struct policy_report *report, struct error *err) ITD_MUST_USE;
// A bundle as one durable value (MessagePack: all texts of it, models included), and back. Loading the archive gives
// the same hash and the same policy, without reading a file and without running Lua: it holds what was built of the texts
// (features, rules, the compiled chunk) beside them. The version store keeps these, and recovery loads them.
void policy_archive(const struct policy *policy, struct buf *out);
int policy_load_archive(struct bytes archive, struct policy **out, struct error *err) ITD_MUST_USE;
// The same policy with another version of one of its models, checked and tried as policy_load does. `models_dir` (NULL: none):
// whose files of that model are watched from then on. ITD_ENOTFOUND: the policy reads no model of that name. ITD_EMODEL, with
// all that does not fit in `report`.
int policy_with_model(const struct policy *policy, const struct policy_model *model, const char *models_dir,
                      struct policy **out, struct policy_report *report, struct error *err) ITD_MUST_USE;
// The same policy with a version of one of its models on canary: it decides for `share` ten-thousandths of the leads in the
// place of the one in force, which stays. Which leads, hangs on the lead and on the version alone: a larger share takes more
// in, and gives none back. share 0: takes the canary of that model away (its version is not looked at). Errors as above.
#define POLICY_SHARE_ALL 10000u
int policy_with_canary(const struct policy *policy, const struct policy_model *model, uint32_t share,
                       struct policy **out, struct policy_report *report, struct error *err) ITD_MUST_USE;
// A model's files out of an archive, of any semantics: appended. ITD_ENOTFOUND: it has none of that name; ITD_ECORRUPT.
int policy_archive_model(struct bytes archive, const char *name, const char *version, struct buf *model_json,
                         struct buf *weights_json, struct error *err) ITD_MUST_USE;
void policy_retain(struct policy *policy); // counted by atomics; any thread
void policy_release(struct policy *policy);
// Paths that a change of which should reload (files and folders), for the watcher.
const char *const *policy_paths(const struct policy *policy, size_t *count);

struct policy_info {
  const char *name, *owner, *rationale, *boundary;
  char hash[65];         // the bundle with its models: what the version store knows it by
  char text_hash[65];    // the rules: without models and without data
  char version[13];      // its first 12 digits: what decisions show
  char data_hash[65];    // the policy's csv files; "": it has none
  char data[13];         // likewise
  const char *signals;   // "b2b@4"
  uint64_t signals_hash; // feature_set_hash mixed with the personal paths and, where there are any, the schemas
  const char *mode;      // "act", "score", "collect"
  size_t custom;         // custom functions: what `check` cannot look into
};
const struct policy_info *policy_info(const struct policy *policy);
const struct feature_set *policy_features(const struct policy *policy);
const struct personal_paths *policy_personal(const struct policy *policy); // the set's list and its schemas'
const struct schema_set *policy_schemas(const struct policy *policy);      // perhaps of none
struct quality *policy_quality(const struct policy *policy);               // likewise; its counters are shared
// Folds one event into a lead's features, as feature_fold, but as the set's schemas see it (schema_see): the one way for
// decisions, recovery, replay, explanation, backfill and export. Returns how many features it matched.
size_t policy_fold(const struct policy *policy, uint8_t *state, const struct event *event, int64_t now_ms);
// The same into some features only, as feature_fold_only.
size_t policy_fold_only(const struct policy *policy, uint8_t *state, const struct event *event, int64_t now_ms,
                        const struct feature_mask *only);
// Holds the schemas of `policy` against an earlier version's as schema_check does; findings go to `report`, by file.
// Returns how many are errors.
size_t policy_check_schemas(const struct policy *policy, const struct policy *before, struct policy_report *report);
const struct model_bound *policy_model_fit(const struct policy *policy);        // NULL: none
const struct model_bound *policy_model_engagement(const struct policy *policy); // NULL: none
const struct model_bound *policy_model_split(const struct policy *policy); // one for both, by feature class; NULL: none
// The models that decide for one lead: those above, but for a lead of a canary's share the canary in its role's place.
// `lead_hash` as in policy_input.
struct policy_scorers {
  const struct model_bound *fit, *engagement, *split; // NULL: none
  unsigned canaries;                                  // a bit for each role whose canary it is
};
struct policy_scorers policy_scorers(const struct policy *policy, uint64_t lead_hash);
// A model that the policy reads: what for, which, and whether its text names the version or takes the one in force.
struct policy_model_use {
  const char *role; // "fit", "engagement", "split"
  bool is_pinned;
  uint32_t share;            // of a canary, in ten-thousandths; 0: it is in force
  struct policy_model model; // views, valid as long as the policy
  const struct model_bound *bound;
};
size_t policy_roles(void);
bool policy_model_of(const struct policy *policy, size_t role,
                     struct policy_model_use *out); // false: none in that role
bool policy_canary_of(const struct policy *policy, size_t role,
                      struct policy_model_use *out); // the one on canary beside it; false: none
// All Lua and CSV of the bundle, sorted by path: for specs and the tool. Valid as long as the policy.
const struct lua_module *policy_modules(const struct policy *policy, size_t *count);

// Runs a module that is not the policy's own, beside its texts and in the same sandbox: what the tool asks of a policy's tree.
// `more` goes over the policy's modules by their names. `entry` returns a function; it is called with the build's input
// (policy/artifact.h) and `question` (packed) under `ask`, and what it returns is appended to `out`. Errors as lua_build.
int policy_ask(const struct policy *policy, const struct lua_module *more, size_t count, const char *entry,
               struct bytes question, const struct lua_limits *limits, struct buf *out, struct error *err) ITD_MUST_USE;

// Names and reasons that outcomes refer to by number.
enum policy_table {
  POLICY_STAGES,
  POLICY_TRANSITIONS,
  POLICY_OWNERS,
  POLICY_ROUTES,
  POLICY_ACTIONS,
  POLICY_ADJUSTMENTS,
  POLICY_EVIDENCE,
  POLICY_CHANNELS,
  POLICY_BANDS,
  POLICY_GATES,
  POLICY_CONDITIONS,
  POLICY_ELIGIBILITY,
  POLICY_WAS, // stages of versions before that are gone; stage_to: where their leads are now
  POLICY_NOTES
};
enum policy_wait_kind { POLICY_WAITS_NOT, POLICY_WAITS, POLICY_WAITS_OPEN, POLICY_WAITS_DAYS, POLICY_WAITS_AT };
struct policy_wait { // when a transition's timer is due, counted from the entry of its stage
  enum policy_wait_kind kind;
  int64_t amount; // ms, ms of open time, open days, minute of the day
  int day;        // POLICY_WAITS_AT: as calendar_next_at has it
  int calendar;   // a number in the policy; -1: none is needed
};
struct policy_entry {
  const char *name; // transition: "mql -> sql"; condition: as a reader would write it: "pricing_views_7d at least 3"
  const char *why;  // "" when none
  const char *path;
  int line;
  int stage_from, stage_to;      // transitions; stage_to of POLICY_WAS, too
  struct policy_wait wait;       // transitions
  bool resumes;                  // transitions: to the stage that the lead was in last inside stage_to
  bool is_final, is_region;      // stages
  bool frees_owner;              // stages: who enters it has no owner any more, unless somebody's hand gave it one
  int stage_parent, stage_start; // stages: the one around it, and the one inside it that is entered with it; -1: none
  int channel;                   // evidence: its channel
  int64_t from_milli;            // bands
  const char *kind;              // adjustments: "adjust", "cap", "floor"
  const uint16_t *uses;          // conditions that it rests on, in POLICY_CONDITIONS
  size_t use_count;
};
// A feature's value as a reader may see it: number, text, nil when unknown, true for a personal value that is known. trace.c.
void policy_put_value(const struct feature_info *info, double value, struct bytes text, struct buf *out);
// The people of a team, as pools are told of them (engine/pool.h).
#define POLICY_TEAM_PEOPLE_MAX 512
#define POLICY_TEAM_LEAVES_MAX 16 // of one of them
#define POLICY_TEAM_SKILLS_MAX 16
#define POLICY_PERSON_BYTES    128
struct policy_team {
  const char *name;
  const uint16_t *owner; // indexes in POLICY_OWNERS
  size_t count;
  struct bytes packed; // [[name, weight, capacity, [[from, until], …], [skill, …]], …]
};
// A route whose owner a pool grants.
struct policy_turn {
  int team, pick; // of policy_team; enum pool_pick
  bool is_sticky; // the owner from before keeps the lead if he can
  uint64_t skill; // hash64 of its name; 0: none is asked for
  int full;       // the route that is taken where nobody has room; -1: the lead waits
  // Without the owner's word within so long the lead goes to another one of the team, so often; then to the route
  // accept_otherwise. 0: nobody waits for a word.
  int64_t accept_ms;
  int accept_tries, accept_otherwise; // -1: always the same team
};
size_t policy_teams(const struct policy *policy);
const struct policy_team *policy_team(const struct policy *policy, size_t index);
const struct policy_turn *policy_turn(const struct policy *policy, size_t route); // NULL: no pool
size_t policy_entries(const struct policy *policy, enum policy_table table);
const struct policy_entry *policy_entry(const struct policy *policy, enum policy_table table, size_t index);

// ---- features, for people ----
// A rule that reads a feature, and the condition by which it does ("": it reckons with it).
struct policy_read {
  size_t feature;   // in policy_features
  const char *kind; // evidence, gate, adjust, eligible, transition, route, offer
  const char *name, *condition, *path;
  int line;
};
const struct policy_read *policy_reads(const struct policy *policy,
                                       size_t *count); // none of archives of older versions
// The features with a history of their own that decisions depend on: read by a rule, an age, a text test or a model's term,
// also by way of a feature that is made of others or of what an account adds up to. A bit for each, in policy_features.
void policy_needs(const struct policy *policy, struct feature_mask *needs);
// `base`, which decides as before, and also declares the features with a history that `target` has and it lacks: so that they can be
// filled in before `target` reads them. They are one more file of the signal set, under their own names, or where `base` has another
// feature of that name under "late_" and their definition's hash. *out is `base`, retained, when it lacks none. ITD_EPOLICY: the two
// do not fit beside each other (bounds of a set), or `target` sees older events otherwise than `base` does (upcasts of schemas).
int policy_beside(struct policy *base, const struct policy *target, const struct lua_limits *limits,
                  struct policy **out, struct error *err) ITD_MUST_USE;
// What training asks of each decision: did this event come within that time after it, and none of `unless` before it? One of
// these settles it at once: no.
struct policy_label {
  const char *name, *event;
  int64_t within_ms;
  const char *const *unless; // names of events
  size_t unless_count;
  const char *const *read_by; // names of features that these events feed on purpose
  size_t read_by_count;
};
#define POLICY_UNLESS_MAX 16
const struct policy_label *policy_labels(const struct policy *policy, size_t *count);
// When a model has aged (scripts/retrain.lua). What is 0 does not fire.
struct policy_retrain {
  const char *model, *label, *why; // label "": none, where no AUC is asked for
  int64_t age_ms;
  double drift;             // population stability index
  double auc_under;         // live AUC
  double auc_falls;         // below that of training
  int64_t over_days, least; // AUC and drift look at so many days; each outcome so often at least
};
const struct policy_retrain *policy_retrains(const struct policy *policy, size_t *count);
struct bytes policy_declaration(const struct policy *policy, size_t feature); // as it was written: a map
const char *policy_feature_file(const struct policy *policy, size_t feature); // "": not known
int policy_feature_line(const struct policy *policy, size_t feature);         // in it, from 1; 0: not known

// ---- a lead's policy state: stage, owner, memory, timers ----
// Flat bytes, like a feature state: policy_state_size bytes, little-endian, no pointers; begins with this head; behind the memory a
// policy_place for each stage with others inside it, and each region, in the order of their numbers.
#define POLICY_TIMERS_MAX 4
struct policy_timer {
  int64_t due_ms;
  uint16_t transition; // index in POLICY_TRANSITIONS
  uint16_t pad[3];     // 0
};
struct policy_state {
  int64_t stage_since_ms;
  int64_t acted_ms; // last action that was not to wait; 0: never
  uint16_t stage;   // index in POLICY_STAGES: the innermost one of the main machine
  int16_t owner;    // index in POLICY_OWNERS; -1: none
  int16_t action;   // the last decision's action
  uint8_t owner_is_manual, timer_count;
  struct policy_timer timer[POLICY_TIMERS_MAX]; // sorted by (due, transition's name); what is not in use is 0
  double memory[];                              // evidence strengths, action counters: the compiled policy's business
};
struct policy_place {
  int64_t entered_ms; // a stage: when it was entered last; a region: when its innermost stage was
  int16_t
      stage; // a stage: the one inside it that the lead is in, or was last in, -1: none; a region: the innermost one
  uint16_t pad[3]; // 0
};
#define POLICY_REGIONS_MAX 4
// The regions, as stages; and the innermost stage of each, of a state.
size_t policy_regions(const struct policy *policy, int region[POLICY_REGIONS_MAX]);
int policy_state_region(const struct policy *policy, const struct policy_state *state, size_t index);
// What a lead has of a pool, or asked it for (engine/seat.h); all zero: nothing. It stands before
// what sales said.
struct policy_seat {
  uint64_t team, person; // pool_person of the team's name, and of the owner's; person 0: no seat (yet)
  int64_t accept_due_ms; // until when the owner has to accept; 0: he has, or need not
  uint32_t ask;          // the running number of the decision that asked
  uint16_t route;        // index in POLICY_ROUTES + 1; 0: none, or gone with a version
  uint8_t tries;         // owners of the team who did not accept
  uint8_t waits;         // 1: where nobody has room, the lead waits
};
// What sales said of a lead, which outranks rules (docs/policy-guide.md#sales); all zero: nothing. It stands last. Texts end with a 0 byte and have nothing behind it; what does not fit is cut at a character.
#define POLICY_SALES_NAME 40 // bytes of a person who is not among the policy's
#define POLICY_SALES_WHO  24
#define POLICY_SALES_WHY  48
#define POLICY_REJECTS    3 // people who gave the lead back: the latest
struct policy_sales {
  int64_t owner_at_ms;                    // of an owner by hand: since when
  int64_t judged_at_ms;                   // disqualified or requalified; 0: never
  int64_t accepted_at_ms;                 // the owner took the lead; 0: did not say so
  int64_t rejected_at_ms[POLICY_REJECTS]; // falling
  uint16_t rejected[POLICY_REJECTS];      // index in POLICY_OWNERS + 1; 0: none
  uint8_t is_disqualified, pad;
  char owner_name[POLICY_SALES_NAME]; // of an owner by hand whom the policy does not know: then `owner` is -1
  char owner_who[POLICY_SALES_WHO], owner_why[POLICY_SALES_WHY];
  char judged_who[POLICY_SALES_WHO], judged_why[POLICY_SALES_WHY];
};
size_t policy_state_size(const struct policy *policy);
// The seat of a state of `size` bytes.
static inline struct policy_seat *policy_seat(struct policy_state *state, size_t size) {
  return (struct policy_seat *)(void *)((uint8_t *)state + size - sizeof(struct policy_sales) -
                                        sizeof(struct policy_seat));
}
// What the policy keeps of a lead (scripts/memory.lua), in the order of its declarations.
enum field_type { FIELD_NUMBER, FIELD_FLAG, FIELD_TIME, FIELD_CHOICE };
enum field_merge { FIELD_MAX, FIELD_SUM, FIELD_LATEST };
struct policy_field {
  const char *name, *why, *path;
  int line;
  enum field_type type;
  enum field_merge merge;
  size_t slot;                // in a state's memory; of LATEST the next one says when it changed
  double least, most;         // of numbers
  const char *const *options; // of a choice; in memory is an option's number
  size_t option_count;
};
#define POLICY_FIELDS_MAX  64
#define POLICY_OPTIONS_MAX 64
size_t policy_fields(const struct policy *policy);
const struct policy_field *policy_field(const struct policy *policy, size_t index);
const char *policy_field_type(const struct policy_field *field); // "number"
// A value as people see it: a number, true or false, ms since 1970 or an option's name; nil: never, none. And all of them, a map.
void policy_field_put(const struct policy_field *field, const struct policy_state *state, struct buf *out);
void policy_fields_put(const struct policy *policy, const struct policy_state *state, struct buf *out);
const struct policy_sales *policy_sales(const struct policy *policy, const struct policy_state *state);
// The owner's name, whether a rule chose or somebody's hand; NULL: none.
const char *policy_owner_name(const struct policy *policy, const struct policy_state *state);
// A state as frames hold it: without what sales said, and without the seat before it, where these are nothing. `size` is policy_state_size. A view of it.
struct bytes policy_state_effects(const struct policy_state *state, size_t size);
// Puts effects that policy_state_check found sound into a state of `size` bytes.
void policy_state_take(struct policy_state *state, size_t size, struct bytes effects);
// Who gave the lead back lately (indexes in POLICY_OWNERS): how many.
size_t policy_barred(const struct policy *policy, const struct policy_state *state, int64_t now_ms,
                     uint16_t who[POLICY_REJECTS]);
void policy_drop_owner(const struct policy *policy, struct policy_state *state); // whoever it is
void policy_state_init(const struct policy *policy, int64_t now_ms, struct policy_state *state);
// Whether bytes that were read from somewhere can be a state of this policy, or effects. ITD_ECORRUPT: what is out of range.
int policy_state_check(const struct policy *policy, struct bytes state, struct error *err) ITD_MUST_USE;
// Carries stages, owner, last action, timers and memory over by their names. A stage that is gone becomes the one that
// journey.was says (of `to`; or, on the way back to a version before, of `from`). Where `from` knew that one already, the lead enters it now; else it is the same stage under a new name,
// in which the lead has been since it was. One of which nothing is said becomes the start stage, entered now
// (policy_check_stages refuses such a version). A timer keeps the time it was promised, and goes with its transition; a
// transition of the lead's stage that had no timer before gets one, due as if it had always been there, but not before
// now; one that goes by the clock is due when it next shows that time. One that has fired is not armed again. What sales
// said stays; an owner by hand who is not among the people of `to` is kept as text, and becomes one of them where they are.
void policy_state_migrate(const struct policy *from, const struct policy_state *old, const struct policy *to,
                          int64_t now_ms, struct policy_state *state);
// Whether each stage that leads of `was` can be in (but those of a region that is gone as a whole), and each that it says is gone, is a stage of `policy` or one that it says
// is gone. Findings go to `report`; `as` says in them which version that was. Returns how many there are: all are errors.
size_t policy_check_stages(const struct policy *policy, const struct policy *was, const char *as,
                           struct policy_report *report);
// Fields that `was` kept under another type, or with options that are gone: warnings. Returns how many.
size_t policy_check_fields(const struct policy *policy, const struct policy *was, const char *as,
                           struct policy_report *report);
// Takes another lead's state of the same policy in (docs/features.md#merging). Stage, of each machine: the one that is declared further
// on, with the time it was entered and its timers; of the same stage the earlier entry, whose timers go on. Owner: a manual
// one before one by rule, of two manual ones the later, then `into`'s own. Disqualified or not: what was said later. Who gave
// either back: the latest of both. What the policy keeps: as it declares. Other memory and the last action are times of what
// happened: the later one, and of the actions before it the latest of both. A seat comes with the owner that it is of; where `into` has none and
// `other` waits for one, it is to ask (a seat without `ask`).
void policy_state_merge(const struct policy *policy, struct policy_state *into, const struct policy_state *other);

// ---- one decision ----
bool policy_asks_ages(const struct policy *policy); // some condition asks how fresh a feature is
// What a workspace lets policies do with all leads (docs/operations.md#switch).
enum policy_switch { SWITCH_ACT, SWITCH_SCORE, SWITCH_COLLECT };
struct policy_input {
  int64_t now_ms;
  const double *values; // feature_read's, at now_ms
  const struct bytes *texts;
  const double *ages;           // feature_ages's, at now_ms; may be NULL where policy_asks_ages is false
  const struct event *event;    // NULL: a timer fired
  enum policy_switch switched;  // what the workspace lets be done
  int timer_transition;         // the transition whose timer fired; -1: none
  uint64_t lead_hash;           // hash64 of the lead's id: hold-outs and weighted routes draw from it
  uint64_t event_hash;          // hash of (lead, running number): exploration draws from it
  bool has_fit, has_engagement; // a split model gives both, as its parts
  struct model_output fit, engagement;
  struct model_output whole; // of a split model
};
#define POLICY_STEPS_MAX      8
#define POLICY_NOTES_MAX      16
#define POLICY_ROWS_MAX       64
#define POLICY_CHANNELS_MAX   16
#define POLICY_SUPPRESSED_MAX 16
// What an event says for sales (docs/events.md#sales).
enum policy_said {
  SAID_NOTHING,
  SAID_OWNER_SET,
  SAID_OWNER_CLEARED,
  SAID_STAGE_SET,
  SAID_DISQUALIFIED,
  SAID_REQUALIFIED,
  SAID_REJECTED,
  SAID_ACCEPTED,
  SAID_KINDS
};
const char *policy_said_name(enum policy_said said); // "owner_set", as reasons and policies spell it
#define POLICY_SAID_TEXT 160
struct policy_row {
  uint16_t index; // in the table that the array belongs to
  int64_t milli;  // thousandths of a point
};
// Why an offer, or all of them, was held back. Also the numbers in a compiled policy's outcome.
enum policy_held {
  POLICY_HELD_NONE,
  POLICY_HELD_HOLD_OUT,     // the lead is one of those on whom nothing is done
  POLICY_HELD_PER_LEAD,     // enough was done lately
  POLICY_HELD_NOT_ELIGIBLE, // this and the next: no offer was looked at
  POLICY_HELD_MODE,
  POLICY_HELD_CONSENT,     // from here on: of one offer or its channel; the next best is taken
  POLICY_HELD_COOL_DOWN,   // the offer was made too lately
  POLICY_HELD_AT_MOST,     // the offer was made often enough
  POLICY_HELD_PER_CHANNEL, // enough was done on its channel
  POLICY_HELD_QUIET,       // its channel is quiet at this hour
  POLICY_HELD_EXPLORED,    // a draw chose another one
  POLICY_HELD_SWITCH,      // as MODE, by the workspace's switch: what that takes beyond the policy's mode
  POLICY_HELD_COUNT
};
const char *policy_held_name(enum policy_held held); // "hold_out"; NULL: none
struct policy_suppressed {
  uint16_t action; // index in POLICY_ACTIONS
  double utility;
  const char *why; // policy_held_name
};
struct policy_outcome {
  bool eligible;
  int ineligible; // POLICY_ELIGIBILITY entry that failed; -1
  int stage_before, stage;
  int step_count;
  int step[POLICY_STEPS_MAX];                   // transitions taken, in order
  bool steps_cut;                               // stopped at the bound: more would have fired
  int region_count, region[POLICY_REGIONS_MAX]; // the innermost stage of each region, after
  int note_count,
      note[POLICY_NOTES_MAX]; // words of stages that were left and entered, in their order; those beyond are not kept
  // combined = constant + weights * scores + adjustments, then caps; of a split model weight_model is 1 and the model's own
  // points, not capped, stand in place of the scores
  double weight_fit, weight_engagement, weight_model, constant_points;
  int64_t model_milli;                                    // 0 without a split model
  int64_t fit_milli, engagement_milli, combined_milli;    // after caps 0..100,000
  int64_t cap_fit_milli, cap_engagement_milli, cap_milli; // what each cap took away or added
  int row_count, evidence_count;
  struct policy_row row[POLICY_ROWS_MAX];      // adjustments that applied
  struct policy_row evidence[POLICY_ROWS_MAX]; // evidence in force, after reliability, ageing and caps
  int channel_cap_count;
  struct policy_row channel_cap[POLICY_CHANNELS_MAX]; // what channels' caps took; index in POLICY_CHANNELS
  int64_t intent_milli;                               // the sum of evidence and channel_cap
  int band, route, owner, action;                     // -1: none; route: the route that chose in this decision
  bool owner_changed, owner_pending;                  // pending: a pool was asked for one
  double utility;                                     // of what was taken
  const char *held; // why nothing was done though an offer was open, or none was looked at (policy_held_name); NULL
  bool explored;    // a draw chose among several offers (action.explore)
  double
      propensity; // how probable `action` was, of all that the draws of hold-out and exploration could have given; 0 < p <= 1
  // Offers that were open and would have gone before what was taken, the best first; and how many more than find room.
  int suppressed_count, suppressed_more;
  struct policy_suppressed suppressed[POLICY_SUPPRESSED_MAX];
  bool is_disqualified;             // by sales: not eligible, whatever the policy thinks (`ineligible` may be -1)
  enum policy_said said;            // what the event said for sales
  char said_text[POLICY_SAID_TEXT]; // of what, by whom and why, or what was wrong with it: for people
};
// Whether two outcomes are the same, bit for bit (rows beyond the counts do not count).
bool policy_outcome_same(const struct policy_outcome *a, const struct policy_outcome *b);
struct policy_trace { // of the tracing variant: one entry a condition, as of this decision
  int8_t *fired;      // 1 fired, 0 did not, -1 not reached; policy_entries(POLICY_CONDITIONS) entries, caller's memory
};

// Whether nothing is ever done to this lead (action.limits hold_out), by what policy_decide draws; and whether the policy
// holds anybody out. `lead_hash` as in policy_input.
bool policy_holds_out(const struct policy *policy, uint64_t lead_hash);
bool policy_has_hold_out(const struct policy *policy);
// What a point of each model's score counts for in the combined score; 0: nothing.
void policy_mix(const struct policy *policy, double *fit, double *engagement);

struct policy_vm; // one shard's
int policy_vm_open(struct policy *policy, const struct vm_limits *limits, struct policy_vm **out,
                   struct error *err) ITD_MUST_USE;
void policy_vm_close(struct policy_vm *vm);
// Decides. `state` and the results are changed only on success. A timer that fired is gone from the state; entering a
// stage cancels all timers and arms those of the new one. Allocates nothing. ITD_ESTOPPED: the call ran over, raised,
// or gave what policy/artifact.h does not allow; the lead keeps its state.
int policy_decide(struct policy_vm *vm, const struct policy_input *input, struct policy_state *state,
                  struct policy_outcome *outcome, struct policy_trace *trace, struct error *err) ITD_MUST_USE;
