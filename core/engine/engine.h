// The heart: (now, release, lead, event) -> (decisions, new state). Pure: it reads no clock, disk, socket or random
// source but what it is handed, so that the same inputs give the same bytes anywhere. One `engine` a shard thread: it
// holds scratch and the Lua states; nothing of a lead is kept in it between calls.
#pragma once
#include "engine/account.h"
#include "engine/lead.h"
#include "engine/seat.h"

enum engine_clock { ENGINE_CLOCK_WALL, ENGINE_CLOCK_EVENT };

// What is in force. `number` is the version store's number of the policy bundle; those of signals and models are for
// lineage.
struct release {
  struct policy *policy;
  uint32_t number, signals, models;
  enum policy_switch switched; // what the workspace lets it do
};

// Finds the policy of an older release number, to migrate a lead's state from. Returns NULL when it is not known.
typedef struct policy *(*engine_policy_of)(void *context, uint32_t number);

// Where a lead's account is, and what is known of it. Without it (or before) nobody is of an account.
struct engine_accounts {
  // The account of a groupId; and the copy in a view (engine/account.h), empty: none, valid until the next call.
  struct lead_id (*account_of)(void *context, uint16_t workspace, struct bytes group_id);
  struct bytes (*copy_of)(void *context, struct lead_id view);
  void *context;
  struct account_terms terms; // the interval is also the grain in which touches are told
};

struct engine;
struct engine *engine_new(enum engine_clock clock, const struct vm_limits *limits, engine_policy_of policy_of,
                          void *context);
void engine_free(struct engine *engine);
void engine_set_accounts(struct engine *engine, const struct engine_accounts *accounts);
void engine_set_pools(struct engine *engine, const struct engine_pools *pools); // without them nobody is asked
// Prepares the Lua state for a release (compiles in a fresh state): ITD_EPOLICY and nothing changed, or ready for
// engine_use.
int engine_prepare(struct engine *engine, const struct release *release, struct error *err) ITD_MUST_USE;
// Switches to the prepared release; the old state is closed.
void engine_use(struct engine *engine);
const struct release *engine_release(const struct engine *engine); // NULL before the first use
void engine_switch(struct engine *engine, enum policy_switch to);  // of the release in force, from the next decision on

// For tools that look on: every decision from then on is made by the tracing variant, and shown before it is answered. `fired`
// is of struct policy_trace; both are valid during the call. NULL: nobody looks, which is how an engine begins.
typedef void (*engine_see)(void *context, const struct policy_outcome *outcome, const int8_t *fired);
void engine_watch(struct engine *engine, engine_see see, void *context);

// One decision, as the frame wants it. Views point into the engine's scratch: valid until the next engine_event.
struct decision {
  bool is_timer; // else an event's, or a merge's
  int64_t now_ms;
  uint32_t number;
  uint64_t digest;        // of the lead after it
  uint64_t hash;          // of inputs and outputs: the same in every replay
  struct bytes effects;   // the policy state after it
  struct bytes messages;  // to other entities (engine/message.h)
  int64_t account_age_ms; // of the copy of its account that it read; -1: it read none
  struct bytes shared;    // what it read of its account, where that changed (feature_account_save); else empty
  struct bytes
      inputs; // of an action that is not to wait: what the rules and models of trees read (engine/shapley.h); else empty
  struct bytes
      read; // what the rules read (policy/trace.h), where it acts or engine_trace_all was asked for; else empty
  struct bytes answer; // the decision map, MessagePack; its last byte is the value of `duplicate` (0xc2: false)
};
// At one event at most this many overdue timers fire (two stages may chase each other by timers over a long silence);
// the rest fire at the next one, at the lead's clock.
#define ENGINE_TIMERS_MAX 256

struct engine_result {
  const struct decision *decision; // timers that were due come first; the event's own decision is the last
  size_t count;
  bool timer_stopped; // what ITD_ESTOPPED is about: a timer's call, not the event's
};

// From now on every decision says what its rules read, for a trace. It changes nothing else.
void engine_trace_all(struct engine *engine, bool all);
// Appends the trace of a decision by that policy, from what its rules read (policy/trace.h); then what they cost. Errors as
// trace_put.
int engine_put_trace(struct engine *engine, struct policy *policy, struct bytes read, struct buf *out,
                     struct error *err) ITD_MUST_USE;
int engine_put_times(struct engine *engine, struct policy *policy, struct bytes read, struct buf *out,
                     struct error *err) ITD_MUST_USE;

// Fires the timers due by then, folds the event, scores, decides. `*lead` may be moved (migration). On failure the lead
// is as it was but for timers that fired (they stand, and are in `result`): ITD_ETIME (outside the bounds; nothing
// fired), ITD_ESTOPPED (policy). With result->timer_stopped the event was not reached: the timer whose call was stopped
// is taken away, since it would stop every event to come, and the caller records that and calls again.
int engine_event(struct engine *engine, struct lead **lead, const struct event *event, int64_t received_ms,
                 const struct event_limits *limits, struct engine_result *result, struct error *err) ITD_MUST_USE;
// Fires only the timers due by `now_ms` (clock wall: a thread woke). ITD_ESTOPPED as above. When none fires the lead
// keeps the layout of its own release: no frame would tell of a migration.
int engine_timers(struct engine *engine, struct lead **lead, int64_t now_ms, struct engine_result *result,
                  struct error *err) ITD_MUST_USE;
// Takes another lead in (lead_merge) and decides, without an event: the merge makes a decision of its own, at the later of both
// clocks. `other` is a lead's block of any release, and stays as it is. Timers that are due by then fire first. Errors as
// engine_event; when the policy's call was stopped (ITD_ESTOPPED without result->timer_stopped) the lead is merged all the
// same, undecided.
int engine_merge(struct engine *engine, struct lead **lead, const struct lead *other, struct engine_result *result,
                 struct error *err) ITD_MUST_USE;
// Takes a pool's grant (a pool.grant's body, engine/pool.h) and decides, without an event. `pool_ms`: the pool's clock; under clock =
// event the lead's own counts. ITD_ENOTFOUND: the lead does not wait for it, and nothing happened: whoever calls gives it back
// (engine_put_refused). ITD_ESTOPPED without result->timer_stopped: it is taken all the same, undecided.
int engine_grant(struct engine *engine, struct lead **lead, struct bytes grant, int64_t pool_ms,
                 struct engine_result *result, struct error *err) ITD_MUST_USE;
int engine_replay_grant(struct engine *engine, struct lead **lead, struct bytes grant, int64_t now_ms,
                        struct bytes shared, struct engine_result *result, struct error *err) ITD_MUST_USE;
// What a grant or a merge whose decision was stopped has to give back to pools: appended.
void engine_put_undecided(struct engine *engine, const struct lead *lead, struct buf *list);
// What nobody waits for: appends that it goes back. Nothing for a refusal.
void engine_put_refused(struct lead_id pool, struct bytes grant, struct buf *list);
// Replay: makes the one decision of a frame, the event's or (NULL) that of the lead's first timer, at the clock that the
// frame recorded, reading of its account what the frame recorded (`shared`). Nothing else fires, and nothing is sent.
// ITD_ESTOPPED; ITD_ENOTFOUND: the lead has no timer; ITD_ECORRUPT: `shared` does not fit.
int engine_replay(struct engine *engine, struct lead **lead, const struct event *event, int64_t now_ms,
                  struct bytes shared, struct engine_result *result, struct error *err) ITD_MUST_USE;
int engine_replay_merge(struct engine *engine, struct lead **lead, const struct lead *other, struct bytes shared,
                        struct engine_result *result, struct error *err) ITD_MUST_USE;
// Fills in what the lead's features would hold had their definitions been there before (feature_slices_put's map): the lead is
// carried over to the release in force, and takes those in that it defines, which are appended to *taken (a map, too). Nothing is
// decided. *filled: how many features took something; 0: the lead stays as it is. ITD_ECORRUPT: these are no slices, or the
// version store lacks the lead's version.
int engine_fill(struct engine *engine, struct lead **lead, struct bytes slices, struct buf *taken, size_t *filled,
                struct error *err) ITD_MUST_USE;
// For a lead that is sealed: appends what tells its account that it is gone from it, and a pool that it waits no more. `policy`: of
// the lead's release.
void engine_put_leave(const struct engine *engine, const struct policy *policy, const struct lead *lead,
                      struct buf *list);
// When the lead's next timer is due; INT64_MAX: none.
int64_t engine_due(const struct lead *lead);

// Recovery: applies what a frame recorded without running Lua. `event` is NULL for a timer's frame. The caller compares
// lead_digest with the frame's. ITD_ECORRUPT when the effects do not fit the release.
int engine_refold(struct lead **lead, const struct policy *from, const struct policy *policy, uint32_t release,
                  const struct event *event, int64_t now_ms, uint32_t number, struct bytes effects, struct bytes shared,
                  struct error *err) ITD_MUST_USE;
// The same of a merge. `other_policy`: of the other lead's release.
int engine_refold_merge(struct lead **lead, const struct policy *from, const struct policy *policy, uint32_t release,
                        const struct lead *other, const struct policy *other_policy, uint32_t number,
                        struct bytes effects, struct bytes shared, struct error *err) ITD_MUST_USE;

// The same of what was filled in.
int engine_refold_fill(struct lead **lead, const struct policy *from, const struct policy *policy, uint32_t release,
                       struct bytes slices, struct bytes effects, struct error *err) ITD_MUST_USE;

// Explains a decision: `lead` is the state *before* it (moved and changed as engine_event would), and what comes out is
// one MessagePack map: `signals` {name, version, hash}, `decision` (the answer), `features` [{name, value, unit, class,
// description, freshness, age, max_age, points}] (age: ms since the latest match, nil: none, or not kept; points: its
// share of the combined score), `conditions` [{name, why, path, line, fired}] (fired: true, false, nil not
// reached), `inputs` (binary: what the rules and models of trees read, engine/shapley.h). `event` NULL: the decision of the lead's first timer, or of a merge with `other` where that is not NULL, or of
// a `grant` where that is not empty.
// ITD_ENOTFOUND: it has no timer; ITD_ESTOPPED. docs/protocol.md#decision-explain.
int engine_explain(struct engine *engine, const struct release *release, struct lead **lead, const struct event *event,
                   const struct lead *other, struct bytes grant, int64_t now_ms, struct bytes shared, struct buf *out,
                   struct error *err) ITD_MUST_USE;
// The lead as a map for lead.get: scores are those of its last decision and not here; stage, owner, clock, timers,
// features by name, and their ages (of those that keep one).
void engine_show(const struct policy *policy, const struct lead *lead, struct buf *out);
// The pair "signals": {name, version, hash} of the set that a policy reads.
void engine_put_signals(const struct policy *policy, struct buf *out);
