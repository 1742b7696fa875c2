// The life of an event inside its partition (steps 4 to 7): duplicate? which lead? decide, stage the frame. And what is
// asked about leads and decisions. One `intake` a shard thread, on top of its store_shard; the net layer hands it whole
// MessagePack values and keeps every answer back until the store_commit that follows.
#pragma once
#include "store/quarantine.h"
#include "store/store.h"

struct intake_options {
  enum engine_clock clock;
  struct event_limits limits;
  struct vm_limits vm;
  uint16_t workspace;
  struct baselines *baselines; // what is usual of sources is learned there (schema/baseline.h); NULL: nowhere
  int64_t account_interval_ms; // account.interval (engine_accounts); 0: every change goes to all at once
  // account.people, account.fanout, account.active (engine/account.h); 0: the default
  uint32_t account_people, account_fanout;
  int64_t account_active_ms;
  void (*each)(void *context,
               struct bytes answer); // called with every decision as its frame is staged, timers' too; may be NULL
  void (*read_account)(void *context, int64_t age_ms); // likewise, where it read a copy of an account; may be NULL
  void *context;
};

struct intake;
struct forget_job;
// Makes the shard's engine. No release is in force yet: intake_prepare and intake_use come first.
struct intake *intake_new(struct store *store, unsigned shard, const struct intake_options *options);
void intake_free(struct intake *intake);

// Prepares a release on this shard's Lua state (ITD_EPOLICY: nothing changed). Then, when all shards are prepared, each
// switches: a RELEASE frame is staged for each partition of the shard, with `why` ("start", "SIGHUP", what somebody gave as
// the reason) and `by` (whoever asked, "uid 0"; NULL: the daemon itself).
int intake_prepare(struct intake *intake, const struct release *release, struct error *err) ITD_MUST_USE;
void intake_use(struct intake *intake, const char *why, const char *by);
// The release in force stays, and from the next decision on does only so much; a RELEASE frame of each partition says so.
void intake_switch(struct intake *intake, enum policy_switch to, const char *why, const char *by);
const struct release *intake_release(const struct intake *intake);

// Which partition an event belongs to: decodes just enough. Same errors as intake_event; pure, any thread.
int intake_route(const struct store *store, const struct intake_options *options, struct bytes map, int64_t received_ms,
                 unsigned *partition, struct error *err) ITD_MUST_USE;

struct intake_stats { // relaxed reads from any thread
  uint64_t events, duplicates, refused, stopped, timers, new_leads, flaps, merges, went_on, people_evicted,
      copies_dropped, copies_idle, traits_dropped, inputs_kept, pool_grants, pool_waits, pool_full;
};
struct intake_stats intake_stats(const struct intake *intake);

// Takes one event of this shard's partitions. 0: the decision map is appended to `answer` (of a duplicate: the first
// decision, with `duplicate` true). A failure (ITD_EEVENT, ITD_ETOOBIG, ITD_ETIME, ITD_ESCHEMA, ITD_EQUALITY,
// ITD_ESTOPPED, and the error again for its duplicate) is quarantined. Either way nothing may leave before the next store_commit.
int intake_event(struct intake *intake, struct bytes map, int64_t received_ms, struct buf *answer,
                 struct error *err) ITD_MUST_USE;
// An event of an identity whose lead was merged into another one's is that one's: nothing is decided here, and it goes on to the
// partition of `to` (store_partition_of_lead), perhaps on another shard, once what this shard has staged is committed: the
// merge must be durable before anything rests on it.
#define INTAKE_ELSEWHERE 1
struct intake_way {
  struct lead_id to;
  struct hash128 message; // by which its duplicates are found there; zeros: none
  uint32_t hops;          // so far
  // Who may be passed by from now on: where `from`, which is no identity's own lead, says `to`, an event that was received
  // after `passes_ms` need not ask it, as what was decided there is older than dedupe.window. INT64_MAX: it must.
  struct lead_id from;
  int64_t passes_ms;
};
// As intake_event (`on` NULL), or an event that goes on to here. INTAKE_ELSEWHERE: *way says to whom; nothing is staged.
int intake_event_on(struct intake *intake, struct bytes map, int64_t received_ms, const struct intake_way *on,
                    struct intake_way *way, struct buf *answer, struct error *err) ITD_MUST_USE;
int intake_validate_on(struct intake *intake, struct bytes map, int64_t received_ms, const struct intake_way *on,
                       struct intake_way *way, struct buf *answer, struct error *err) ITD_MUST_USE;
// Merges never make a circle (docs/decisions/merges.md): this bound is met by damage, and by a chain of as many merges within
// dedupe.window.
#define INTAKE_HOPS_MAX 10000
// What the next calls' answers say beside, until it is asked again: the trace of a decision (policy/trace.h) under `trace`, and
// what its rules cost under `times`. Of an event they stand in its decision's map; a duplicate's answer, which is the first
// one's, has none. nil where the policy was compiled without a trace.
enum { INTAKE_TRACE = 1, INTAKE_TIMES = 2 };
void intake_want(struct intake *intake, unsigned wants);
// The same judgement and decision on a copy; nothing is kept. Answer: {valid: true, decision: {…}}.
int intake_validate(struct intake *intake, struct bytes map, int64_t received_ms, struct buf *answer,
                    struct error *err) ITD_MUST_USE;
// Takes an event out of the quarantine as if it came now for the first time, with its own messageId and time: what it lacks
// of these is written into it (the time of its arrival then; a messageId that is made of the entry's id). A refusal or a
// stop that its messageId stands for is superseded, once: the frame has the same messageId and a later arrival, so that
// from then on duplicates get the decision. One that was decided is a duplicate. What fails again leaves the entry as it
// is. The frame's cause is "quarantine ID by WHO". It goes on to where its lead was merged as intake_event_on does; ITD_EINVAL: what it
// would supersede is from before that merge. Else the errors of intake_event.
int intake_replay(struct intake *intake, const struct quarantine_event *entry, const char *by, int64_t received_ms,
                  const struct intake_way *on, struct intake_way *way, struct buf *answer,
                  struct error *err) ITD_MUST_USE;
// Keeps a refusal that happened before an event reached its shard (bytes that are no event).
void intake_refuse(struct intake *intake, const struct error *reason, struct bytes bytes, int64_t received_ms);
// Decides for leads whose timers are due by the wall clock; at most `limit` leads. Returns when to call again (ms;
// INT64_MAX: no timer). Does nothing under clock = event, nor before a release is in force.
int64_t intake_wake(struct intake *intake, int64_t now_ms, unsigned limit);

// ---- messages between entities ----
// Takes a batch that a shard's outbox gave (store_give), to this shard: each message that is the next of its channel is
// applied, and its frame staged; others change nothing. As with events nothing of it leaves before the next store_commit,
// its acknowledgement included. A release must be in force.
int intake_take(struct intake *intake, struct bytes batch, int64_t received_ms, struct error *err) ITD_MUST_USE;
// Applies a message from outside of any channel (`from` and `number` are not looked at) to an entity of this shard's
// partitions. `id` not zero: applied once within the dedupe window, however often it comes. `cause`: who or what. Appended
// to `answer`: what the kind answers, {code, message} when it refused, or nothing. ITD_EINVAL, ITD_ETOOBIG: no such kind, or
// no such body.
int intake_tell(struct intake *intake, const struct message *message, struct hash128 id, struct bytes cause,
                int64_t received_ms, struct buf *answer, struct error *err) ITD_MUST_USE;
// For a tool that holds the directory alone, on one thread: until no message of any shard waits, commits included. Of each
// shard its intake, with a release in force. The errors of store_commit.
int intake_settle(struct store *store, struct intake *const *intakes, int64_t received_ms,
                  struct error *err) ITD_MUST_USE;

// ---- questions; all answers are MessagePack maps, ITD_ENOTFOUND when there is none ----
// A lead by its id (32 digits), or by userId or anonymousId. `intake_whose` says which partitions must be asked, the
// likeliest first, and returns how many; pure, any thread. What looks like an id may be somebody's userId all the same.
// Where a commit waits for room (intake_hold), a lead whose last frame is not durable is not shown: ITD_EUNAVAILABLE.
#define WHOSE_MAX 3
uint32_t intake_whose(const struct store *store, const struct intake_options *options, struct bytes who,
                      unsigned partition[WHOSE_MAX]);
void intake_hold(struct intake *intake, bool is_held);
// These three: INTAKE_ELSEWHERE when that lead was merged into another, whose id (32 digits) is then in `answer`: to be asked for
// instead, of its partition.
// {lead: {…state and features…}, identities: [{kind, value}], decision: the last one, or nil}
int intake_lead(struct intake *intake, struct bytes who, struct buf *answer, struct error *err) ITD_MUST_USE;
// An account by its groupId: {account: account_show's map, features: {name: value} of the release in force, at the account's
// clock}. Its partition: pure, any thread.
unsigned intake_account_partition(const struct store *store, const struct intake_options *options,
                                  struct bytes group_id);
int intake_account(struct intake *intake, struct bytes group_id, struct buf *answer, struct error *err) ITD_MUST_USE;
// A team's pool, on the shard of its partition: engine/pool.h, pool_show. ITD_ENOTFOUND: nobody asked it yet.
unsigned intake_pool_partition(const struct store *store, const struct intake_options *options, struct bytes team);
int intake_pool(struct intake *intake, struct bytes team, struct buf *answer, struct error *err) ITD_MUST_USE;
void intake_pools(struct intake *intake,
                  struct buf *answer); // names of the teams of the policy in force that have pools
// {lead: its id}: which lead is meant.
int intake_who(struct intake *intake, struct bytes who, struct buf *answer, struct error *err) ITD_MUST_USE;
// Forgets a lead of this shard's partitions (store_forget); leads that were merged into it are told by messages, and are named to
// `done` (job->merged). `by` says who asked, and stays in the journal. ITD_ENOTFOUND.
int intake_forget(struct intake *intake, struct lead_id lead, const char *by,
                  void (*done)(void *context, const struct forget_job *job), void *context,
                  struct error *err) ITD_MUST_USE;
// Calls `done`, likewise, once nothing is left of a lead that was forgotten before; false: it was not.
bool intake_await_forgotten(struct intake *intake, struct lead_id lead,
                            void (*done)(void *context, const struct forget_job *job), void *context);
// A decision_id "LEAD-NUMBER" names its partition itself.
int decision_id_parse(struct bytes text, struct lead_id *lead, uint32_t *number, struct error *err) ITD_MUST_USE;
int intake_decision(struct intake *intake, struct bytes decision_id, struct buf *answer,
                    struct error *err) ITD_MUST_USE;
// Explains a decision, or a lead's last one (`what` is a decision_id or as in intake_lead): engine_explain's map, and
// `event` (as sent), `frame` {partition, seq, received, kind}, whether the recomputed decision equals the recorded one
// (`reproduced`), and the exact shares of models of trees (`shapley`, engine/shapley.h). Where what the lead did before was let go,
// a decision that was kept with what its rules and models read still has these, and its trace; the rest, and `reproduced`, are
// nil. With INTAKE_TRACE, `trace` {kept: from what was kept, rules}; with INTAKE_TIMES, `times`.
int intake_explain(struct intake *intake, struct bytes what, struct buf *answer, struct error *err) ITD_MUST_USE;
