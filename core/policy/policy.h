// A policy: one bundle of text, checked and compiled, and what it decides for one lead.
//
// `policy_load` gathers files (the policy's folder, its signal set, the library in scripts/, the models it names), hashes them, builds and checks
// in a sandbox, compiles, and self-tests; the result is immutable and shared by all shards. `policy_vm` is one shard's Lua state
// for it. Pure after loading: a call reads no clock, disk or random source.
#pragma once
#include "feature/feature.h"
#include "lua/vm.h"
#include "model/model.h"

// ---- loading ----
struct policy_source {
  const char *policies_dir; // holds signals/ and NAME/
  const char *models_dir;   // holds NAME/VERSION/
  const char *scripts_dir;  // the library
  const char *name;         // "b2b_saas"
};
// One finding of `check`.
struct policy_problem {
  char path[256];
  int line;        // 0: the file as a whole
  bool is_error;   // else a warning: the policy loads
  char text[500];
};
struct policy_report { // owned by the caller; policy_report_deinit frees
  struct policy_problem *problem;
  size_t count, errors;
};
void policy_report_deinit(struct policy_report *report);

struct policy;
// Every error that can be found is in `report` (may be NULL); the returned code and `err` are those of the first. Nothing is
// changed when it fails. Bundle hash: SHA-256 over paths and bytes of all files read and POLICY_SEMANTICS.
#define POLICY_SEMANTICS 1
int policy_load(const struct policy_source *source, const struct lua_limits *limits, struct policy **out,
                struct policy_report *report, struct error *err) ITD_MUST_USE;
// A bundle as one durable value (MessagePack: all texts of it, models included), and back. Loading the archive gives the same hash and
// the same policy, without reading a file: the version store keeps these.
void policy_archive(const struct policy *policy, struct buf *out);
int policy_load_archive(struct bytes archive, const struct lua_limits *limits, struct policy **out,
                        struct error *err) ITD_MUST_USE;
void policy_retain(struct policy *policy); // counted by atomics; any thread
void policy_release(struct policy *policy);
// Paths that a change of which should reload (files and folders), for the watcher.
const char *const *policy_paths(const struct policy *policy, size_t *count);

struct policy_info {
  const char *name, *owner, *rationale, *boundary;
  char hash[65];    // the bundle
  char version[13]; // its first 12 digits: what decisions show
  const char *signals; // "b2b@4"
  uint64_t signals_hash; // feature_set_hash mixed with the personal paths
  const char *mode; // "act", "score", "collect"
};
const struct policy_info *policy_info(const struct policy *policy);
const struct feature_set *policy_features(const struct policy *policy);
const struct personal_paths *policy_personal(const struct policy *policy);
const struct model_bound *policy_model_fit(const struct policy *policy);        // NULL: none
const struct model_bound *policy_model_engagement(const struct policy *policy); // NULL: none
const struct lua_module *policy_modules(const struct policy *policy, size_t *count);

// Names and reasons that outcomes refer to by number.
enum policy_table { POLICY_STAGES, POLICY_TRANSITIONS, POLICY_OWNERS, POLICY_ROUTES, POLICY_ACTIONS, POLICY_ADJUSTMENTS,
                    POLICY_EVIDENCE, POLICY_CHANNELS, POLICY_BANDS, POLICY_GATES, POLICY_CONDITIONS, POLICY_ELIGIBILITY };
struct policy_entry {
  const char *name; // transition: "mql -> sql"; condition: as a reader would write it: "pricing_views_7d at least 3"
  const char *why;  // "" when none
  const char *path;
  int line;
  int stage_from, stage_to; // transitions
};
size_t policy_entries(const struct policy *policy, enum policy_table table);
const struct policy_entry *policy_entry(const struct policy *policy, enum policy_table table, size_t index);

// ---- a lead's policy state: stage, owner, memory, timers ----
// Flat bytes, like a feature state: policy_state_size bytes, little-endian, no pointers; begins with this head.
#define POLICY_TIMERS_MAX 4
struct policy_state {
  int64_t stage_since_ms;
  int64_t acted_ms;          // last action that was not to wait; 0: never
  uint16_t stage;            // index in POLICY_STAGES
  int16_t owner;             // index in POLICY_OWNERS; -1: none
  int16_t action;            // the last decision's action
  uint8_t owner_is_manual, timer_count;
  struct { int64_t due_ms; uint16_t transition; uint16_t pad[3]; } timer[POLICY_TIMERS_MAX]; // sorted by (due, transition's name)
  double memory[];           // evidence strengths, action counters: the compiled policy's business
};
size_t policy_state_size(const struct policy *policy);
void policy_state_init(const struct policy *policy, int64_t now_ms, struct policy_state *state);
// Carries stage, owner, timers and memory over by their names. A stage that is gone becomes the start stage (check warns of it).
void policy_state_migrate(const struct policy *from, const struct policy_state *old, const struct policy *to, int64_t now_ms,
                          struct policy_state *state);

// ---- one decision ----
struct policy_input {
  int64_t now_ms;
  const double *values;       // feature_read's, at now_ms
  const struct bytes *texts;
  const struct event *event;  // NULL: a timer fired
  int timer_transition;       // the transition whose timer fired; -1: none
  uint64_t lead_hash;         // hash64 of the lead's id: hold-outs and weighted routes draw from it
  uint64_t event_hash;        // hash of (lead, running number): exploration draws from it
  bool has_fit, has_engagement;
  struct model_output fit, engagement;
};
#define POLICY_STEPS_MAX 8
#define POLICY_ROWS_MAX 64
struct policy_row {
  uint16_t index;        // in the table that the array belongs to
  int64_t milli;         // thousandths of a point
};
struct policy_outcome {
  bool eligible;
  int ineligible;                    // POLICY_ELIGIBILITY entry that failed; -1
  int stage_before, stage;
  int step_count;
  int step[POLICY_STEPS_MAX];        // transitions taken, in order
  bool steps_cut;                    // stopped at the bound: more would have fired
  double weight_fit, weight_engagement, constant_points; // combined = constant + weights * scores + adjustments, then caps
  int64_t fit_milli, engagement_milli, combined_milli;   // after caps 0..100,000
  int64_t cap_fit_milli, cap_engagement_milli, cap_milli; // what each cap took away or added
  int row_count, evidence_count;
  struct policy_row row[POLICY_ROWS_MAX];           // adjustments that applied
  struct policy_row evidence[POLICY_ROWS_MAX];      // evidence in force, after reliability, ageing and caps
  int64_t intent_milli;
  int band, route, owner, action;    // -1: none; route: the route that chose in this decision
  bool owner_changed;
  double utility;
  const char *held;                  // why an action was held back: "hold_out", "per_lead", "not_eligible", "mode"; NULL
};
struct policy_trace { // of the tracing variant: one entry a condition, as of this decision
  int8_t *fired;      // 1 fired, 0 did not, -1 not reached; policy_entries(POLICY_CONDITIONS) entries, caller's memory
};

struct policy_vm; // one shard's
int policy_vm_open(struct policy *policy, const struct vm_limits *limits, struct policy_vm **out, struct error *err) ITD_MUST_USE;
void policy_vm_close(struct policy_vm *vm);
// Decides. `state` is changed only on success. ITD_ESTOPPED: the call ran over or raised; the lead keeps its state.
int policy_decide(struct policy_vm *vm, const struct policy_input *input, struct policy_state *state,
                  struct policy_outcome *outcome, struct policy_trace *trace, struct error *err) ITD_MUST_USE;
