// The life of an event inside a lead: clock, timers, features, scores, policy, answer. Recovery and explanation walk
// the same way.
#include "engine/engine.h"

#include "base/check.h"
#include "base/hash.h"
#include "engine/answer.h"
#include "engine/member.h"
#include "engine/shapley.h"
#include "feature/account.h"
#include "policy/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct side { // one of the models; of a split one, `fit` and `engagement` are outputs alone
  double contributions[256], points[256];
  struct model_output output;
  bool present;
};

struct engine {
  enum engine_clock clock;
  struct vm_limits limits;
  engine_policy_of policy_of;
  void *context;
  struct engine_accounts accounts;
  struct engine_pools pools;
  struct seat_orders orders;    // to pools, of the decision at hand
  struct buf account, messages; // of the decision at hand
  struct release release, next;
  struct policy_vm *vm, *next_vm;
  struct policy *explained; // the policy that explain_vm runs; retained
  struct policy_vm *explain_vm;
  double values[FEATURES_MAX], ages[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  struct side fit, engagement, split;
  struct policy_scorers scorers; // of the lead at hand
  struct buf backup;             // the lead before the decision at hand
  struct buf bytes;              // answers and effects of this call's decisions
  engine_see see;                // NULL: nobody looks on
  void *see_context;
  int8_t *fired; // for it
  struct decision *decision;
  size_t count, cap;
  struct buf read; // what the rules of the decision at hand read
  bool timer_stopped, traces_all;
};

struct engine *engine_new(enum engine_clock clock, const struct vm_limits *limits, engine_policy_of policy_of,
                          void *context) {
  struct engine *e = xcalloc(1, sizeof *e);
  e->clock = clock;
  e->limits = *limits;
  e->policy_of = policy_of;
  e->context = context;
  return e;
}

void engine_set_accounts(struct engine *e, const struct engine_accounts *accounts) { e->accounts = *accounts; }

void engine_set_pools(struct engine *e, const struct engine_pools *pools) { e->pools = *pools; }

static void release_drop(struct release *release, struct policy_vm **vm) {
  policy_vm_close(*vm);
  *vm = NULL;
  if (release->policy) policy_release(release->policy);
  *release = (struct release){0};
}

void engine_free(struct engine *e) {
  if (!e) return;
  release_drop(&e->release, &e->vm);
  release_drop(&e->next, &e->next_vm);
  policy_vm_close(e->explain_vm);
  if (e->explained) policy_release(e->explained);
  buf_deinit(&e->backup);
  buf_deinit(&e->bytes);
  buf_deinit(&e->read);
  buf_deinit(&e->account);
  buf_deinit(&e->messages);
  free(e->decision);
  free(e->fired);
  free(e);
}

int engine_prepare(struct engine *e, const struct release *release, struct error *err) {
  struct policy_vm *vm = NULL;
  int status = policy_vm_open(release->policy, &e->limits, &vm, err);
  if (status < 0) return status;
  release_drop(&e->next, &e->next_vm);
  e->next = *release;
  e->next_vm = vm;
  policy_retain(e->next.policy);
  return 0;
}

void engine_use(struct engine *e) {
  CHECK(e->next_vm);
  release_drop(&e->release, &e->vm);
  e->release = e->next;
  e->vm = e->next_vm;
  e->next = (struct release){0};
  e->next_vm = NULL;
}

const struct release *engine_release(const struct engine *e) { return e->vm ? &e->release : NULL; }

void engine_switch(struct engine *e, enum policy_switch to) { e->release.switched = to; }

void engine_watch(struct engine *e, engine_see see, void *context) {
  e->see = see;
  e->see_context = context;
}

// ---- one decision ----

static void score_side(struct side *side, const struct model_bound *model, const double *values,
                       const struct bytes *texts) {
  side->present = model != NULL;
  if (model) model_score(model, values, texts, side->contributions, side->points, &side->output);
}

// Each feature's exact share, where that is more than what the decision was made with.
static void explain_side(struct side *side, const struct model_bound *model, const double *values,
                         const struct bytes *texts) {
  if (model) model_explain(model, values, texts, side->contributions, side->points, &side->output);
}

// Fit and engagement are what a split model says by the profile alone and by the behaviour alone.
static void split_in_two(struct engine *e, const struct model_bound *model) {
  const struct side *whole = &e->split;
  model_part(model, FEATURE_PROFILE, whole->contributions, whole->points, &whole->output, &e->fit.output);
  model_part(model, FEATURE_BEHAVIOUR, whole->contributions, whole->points, &whole->output, &e->engagement.output);
  e->fit.present = e->engagement.present = true;
}

// Features and scores of the lead at `now_ms`, ready for the policy.
static void observe(struct engine *e, const struct policy *policy, struct lead *lead, int64_t now_ms) {
  feature_read(policy_features(policy), lead_feature_state(lead), now_ms, e->values, e->texts);
  if (policy_asks_ages(policy)) feature_ages(policy_features(policy), lead_feature_state(lead), now_ms, e->ages);
  e->scorers = policy_scorers(policy, lead_id_hash(lead->id));
  score_side(&e->fit, e->scorers.fit, e->values, e->texts);
  score_side(&e->engagement, e->scorers.engagement, e->values, e->texts);
  score_side(&e->split, e->scorers.split, e->values, e->texts);
  if (e->split.present) split_in_two(e, e->scorers.split);
}

static struct policy_input input_of(const struct engine *e, const struct lead *lead, const struct event *event,
                                    int64_t now_ms, int timer_transition) {
  uint64_t lead_hash = lead_id_hash(lead->id);
  return (struct policy_input){.now_ms = now_ms,
                               .values = e->values,
                               .texts = e->texts,
                               .ages = e->ages,
                               .event = event,
                               .timer_transition = timer_transition < 0 ? -1 : timer_transition,
                               .lead_hash = lead_hash,
                               .event_hash = hash_mix(lead_hash, lead->number + 1ull),
                               .has_fit = e->fit.present,
                               .has_engagement = e->engagement.present,
                               .fit = e->fit.output,
                               .engagement = e->engagement.output,
                               .whole = e->split.output};
}

// What a decision's call is for, where there is no event: a transition's timer, or one of these.
#define CAUSE_MERGE  (-2)
#define CAUSE_GRANT  (-3)
#define CAUSE_ACCEPT (-4) // the timer by which an owner has to accept

static const char *cause_name(const struct event *event, int timer_transition) {
  if (event) return "event";
  return timer_transition == CAUSE_MERGE ? "merge" : timer_transition == CAUSE_GRANT ? "grant" : "timer";
}

static struct answer_facts facts_of(const struct engine *e, const struct policy *policy, const struct lead *lead,
                                    const struct policy_outcome *outcome, const char *cause) {
  return (struct answer_facts){.policy = policy,
                               .scorers = e->scorers,
                               .lead = lead,
                               .outcome = outcome,
                               .values = e->values,
                               .texts = e->texts,
                               .has_fit = e->fit.present,
                               .has_engagement = e->engagement.present,
                               .fit = e->fit.output,
                               .engagement = e->engagement.output,
                               .fit_points = e->fit.points,
                               .engagement_points = e->engagement.points,
                               .whole = e->split.output,
                               .whole_points = e->split.present ? e->split.points : NULL,
                               .cause = cause};
}

// What the decision's hash covers besides its own answer: the state before, the clock, the event as sent, the bundle, the
// workspace's switch.
static uint64_t inputs_hash(const struct release *release, uint64_t digest_before, const struct event *event,
                            int64_t now_ms, int timer_transition, struct bytes shared) {
  uint64_t parts[5] = {digest_before, (uint64_t)now_ms, event ? hash64(event->raw) : 0,
                       (uint64_t)(int64_t)timer_transition, hash64(bytes_str(policy_info(release->policy)->hash))};
  uint64_t hash = hash64(bytes_of(parts, sizeof parts));
  if (release->switched != SWITCH_ACT) hash = hash_mix(hash, (uint64_t)release->switched);
  return shared.n ? hash_mix(hash, hash64(shared)) : hash;
}

static void remember(struct engine *e, const struct lead *lead) {
  buf_clear(&e->backup);
  buf_append(&e->backup, lead, lead_size(lead));
}

static struct decision *next_decision(struct engine *e) {
  if (e->count == e->cap) {
    e->cap = e->cap ? e->cap * 2 : 8;
    e->decision = xrealloc(e->decision, e->cap * sizeof *e->decision);
  }
  return &e->decision[e->count++];
}

// What is appended to e->bytes, as an offset until `finish`.
static struct bytes keep(struct engine *e, struct bytes bytes) {
  size_t at = e->bytes.n;
  buf_append_bytes(&e->bytes, bytes);
  return (struct bytes){(const uint8_t *)at, bytes.n};
}

// Of a decision that acts: what its trace and its exact shares can be computed from at any time, without what the lead did
// before.
static struct bytes keep_inputs(struct engine *e, const struct policy *policy, const struct policy_outcome *outcome) {
  size_t at = e->bytes.n;
  if (outcome->action > 0) shapley_put_inputs(policy, &e->scorers, e->values, e->texts, buf_bytes(&e->read), &e->bytes);
  return (struct bytes){(const uint8_t *)at, e->bytes.n - at};
}

// The policy's state in the bytes of a lead as it was before the decision at hand.
static const struct policy_state *state_before(const struct buf *backup) {
  return lead_policy_state((struct lead *)(void *)backup->p);
}

static const struct bytes LIVE = {0};

// What the lead knows of its account before the policy runs: of the copy in its slot, or of the frame that is replayed.
static int read_account(struct engine *e, const struct policy *policy, struct lead *lead, const struct event *event,
                        int64_t now_ms, const struct bytes *replayed, struct error *err) {
  const struct feature_set *set = policy_features(policy);
  if (replayed != &LIVE) return replayed->n ? feature_account_load(set, lead_feature_state(lead), *replayed, err) : 0;
  buf_clear(&e->account);
  if (feature_accounts(set) > 0) feature_account_save(set, lead_feature_state(lead), &e->account);
  member_read(&e->accounts, policy, lead, event, now_ms);
  return 0;
}

// And after: what goes to accounts; fills *shared with what the frame has to record.
static void tell_account(struct engine *e, const struct policy *policy, struct lead *lead, const struct event *event,
                         const struct policy_outcome *outcome, struct bytes *shared) {
  const struct feature_set *set = policy_features(policy);
  const int64_t scores[2] = {outcome->fit_milli, outcome->engagement_milli};
  buf_clear(&e->messages);
  member_tell(&e->accounts, policy, lead, event, e->values, e->texts, scores, &e->messages);
  if (feature_accounts(set) == 0) return;
  size_t was = e->account.n;
  feature_account_save(set, lead_feature_state(lead), &e->account);
  struct bytes before = bytes_of(e->account.p, was), after = bytes_of(e->account.p + was, e->account.n - was);
  if (!bytes_eq(before, after)) *shared = after;
}

static void step_seat(const struct policy *policy, struct lead *lead, int timer_transition,
                      struct policy_outcome *outcome, struct seat_orders *orders) {
  struct seat_facts facts = {.policy = policy,
                             .is_overdue = timer_transition == CAUSE_ACCEPT,
                             .now_ms = lead->now_ms,
                             .number = lead->number + 1};
  seat_step(&facts, lead_policy_state(lead), outcome, orders);
}

static int64_t account_age(const struct policy *policy, struct lead *lead, int64_t now_ms) {
  int64_t at_ms = feature_account_at(policy_features(policy), lead_feature_state(lead));
  if (at_ms == INT64_MIN) return -1;
  return now_ms > at_ms ? now_ms - at_ms : 0;
}

// Decides once and changes the lead; on failure the lead is as before. Views of the decision are offsets into e->bytes
// until `finish`. `replayed`: &LIVE, or what the frame that is replayed read of its account.
static int decide(struct engine *e, struct lead *lead, const struct event *event, int64_t now_ms, int timer_transition,
                  const struct bytes *replayed, struct error *err) {
  const struct policy *policy = e->release.policy;
  remember(e, lead);
  uint64_t before = lead_digest(lead);
  lead->now_ms = now_ms;
  if (event) {
    policy_fold(policy, lead_feature_state(lead), event, now_ms);
    if (event->user_id.n) lead->flags |= LEAD_KNOWN;
  }
  int status = read_account(e, policy, lead, event, now_ms, replayed, err);
  if (status == 0) observe(e, policy, lead, now_ms);
  struct policy_input input = input_of(e, lead, event, now_ms, timer_transition);
  input.switched = e->release.switched;
  struct policy_outcome outcome;
  struct policy_trace seen = {0};
  if (e->see) {
    size_t conditions = policy_entries(policy, POLICY_CONDITIONS);
    seen.fired = e->fired = xrealloc(e->fired, conditions + 1);
  }
  if (status == 0) status = policy_decide(e->vm, &input, lead_policy_state(lead), &outcome, e->see ? &seen : NULL, err);
  if (status == 0 && e->see) e->see(e->see_context, &outcome, seen.fired);
  if (status < 0) {
    memcpy(lead, e->backup.p, e->backup.n);
    return status;
  }
  struct bytes shared = *replayed;
  buf_clear(&e->messages);
  step_seat(policy, lead, timer_transition, &outcome, &e->orders);
  if (replayed == &LIVE) tell_account(e, policy, lead, event, &outcome, &shared);
  if (replayed == &LIVE) seat_put(&e->orders, policy, &e->pools, lead->workspace, &e->messages);
  e->orders = (struct seat_orders){0};
  lead->number++;
  struct decision *d = next_decision(e);
  *d = (struct decision){.is_timer = timer_transition >= 0 || timer_transition == CAUSE_ACCEPT,
                         .now_ms = now_ms,
                         .number = lead->number,
                         .account_age_ms = account_age(policy, lead, now_ms)};
  d->digest = lead_digest(lead);
  d->effects = keep(e, lead_effects(lead));
  d->messages = keep(e, buf_bytes(&e->messages));
  d->shared = keep(e, shared);
  buf_clear(&e->read);
  if (outcome.action > 0 || e->traces_all) trace_put_read(e->vm, state_before(&e->backup), e->texts, &e->read);
  d->inputs = keep_inputs(e, policy, &outcome);
  d->read = keep(e, buf_bytes(&e->read));
  size_t start = e->bytes.n;
  struct answer_facts facts = facts_of(e, policy, lead, &outcome, cause_name(event, timer_transition));
  d->hash = answer_put(&facts, inputs_hash(&e->release, before, event, now_ms, timer_transition, shared), &e->bytes);
  d->answer = (struct bytes){(const uint8_t *)start, e->bytes.n - start};
  return 0;
}

static void begin(struct engine *e) {
  CHECK(e->vm);
  e->count = 0;
  e->timer_stopped = false;
  e->orders = (struct seat_orders){0};
  buf_clear(&e->bytes);
}

// Turns offsets into pointers, now that the bytes move no more.
static void finish(struct engine *e, struct engine_result *result) {
  for (size_t i = 0; i < e->count; i++) {
    e->decision[i].effects.p = e->bytes.p + (uintptr_t)e->decision[i].effects.p;
    e->decision[i].messages.p = e->bytes.p + (uintptr_t)e->decision[i].messages.p;
    e->decision[i].shared.p = e->bytes.p + (uintptr_t)e->decision[i].shared.p;
    e->decision[i].inputs.p = e->bytes.p + (uintptr_t)e->decision[i].inputs.p;
    e->decision[i].read.p = e->bytes.p + (uintptr_t)e->decision[i].read.p;
    e->decision[i].answer.p = e->bytes.p + (uintptr_t)e->decision[i].answer.p;
  }
  result->decision = e->decision;
  result->count = e->count;
  result->timer_stopped = e->timer_stopped;
}

// Carries a lead over to a release, where it is of another. ITD_ECORRUPT: the version store lacks the lead's own.
static int migrate_to(struct engine *e, const struct release *release, struct lead **lead, struct error *err) {
  if ((*lead)->release == release->number) return 0;
  struct policy *from = e->policy_of(e->context, (*lead)->release);
  if (!from)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy is not in the version store", (*lead)->release);
  *lead = lead_migrate(*lead, from, release->policy, release->number, (*lead)->now_ms);
  return 0;
}

static int migrate(struct engine *e, struct lead **lead, struct error *err) {
  return migrate_to(e, &e->release, lead, err);
}

static struct policy_seat *seat_of(struct lead *lead) {
  return policy_seat(lead_policy_state(lead), lead->policy_bytes);
}

// The transition of the first timer, or CAUSE_ACCEPT; of two at one time the transition's. -1: there is none.
static int first_timer(struct lead *lead) {
  const struct policy_state *state = lead_policy_state(lead);
  int64_t accept_ms = seat_of(lead)->accept_due_ms;
  if (accept_ms && (!state->timer_count || accept_ms < state->timer[0].due_ms)) return CAUSE_ACCEPT;
  return state->timer_count ? (int)state->timer[0].transition : -1;
}

static void drop_first_timer(struct lead *lead) {
  struct policy_state *state = lead_policy_state(lead);
  if (first_timer(lead) == CAUSE_ACCEPT) {
    seat_of(lead)->accept_due_ms = 0;
    return;
  }
  memmove(&state->timer[0], &state->timer[1], sizeof state->timer[0] * (POLICY_TIMERS_MAX - 1));
  memset(&state->timer[POLICY_TIMERS_MAX - 1], 0, sizeof state->timer[0]);
  state->timer_count--;
}

static int fire_timers(struct engine *e, struct lead *lead, int64_t until_ms, struct error *err) {
  for (int fired = 0; fired < ENGINE_TIMERS_MAX && engine_due(lead) <= until_ms; fired++) {
    int64_t due_ms = engine_due(lead), now_ms = due_ms > lead->now_ms ? due_ms : lead->now_ms;
    int status = decide(e, lead, NULL, now_ms, first_timer(lead), &LIVE, err);
    if (status < 0) {
      drop_first_timer(lead);
      e->timer_stopped = true;
      return status;
    }
  }
  return 0;
}

int engine_event(struct engine *e, struct lead **lead, const struct event *event, int64_t received_ms,
                 const struct event_limits *limits, struct engine_result *result, struct error *err) {
  begin(e);
  finish(e, result);
  int64_t arrival = e->clock == ENGINE_CLOCK_WALL ? received_ms : event->timestamp_ms;
  int64_t now_ms = arrival > (*lead)->now_ms ? arrival : (*lead)->now_ms;
  int status = event_check_time(event, e->clock == ENGINE_CLOCK_WALL ? received_ms : now_ms, limits, err);
  if (status < 0) return status;
  status = migrate(e, lead, err);
  if (status == 0) status = fire_timers(e, *lead, now_ms, err);
  if (status == 0) status = decide(e, *lead, event, now_ms, -1, &LIVE, err);
  finish(e, result);
  return status;
}

int engine_timers(struct engine *e, struct lead **lead, int64_t now_ms, struct engine_result *result,
                  struct error *err) {
  begin(e);
  struct lead *tried = *lead; // a copy where it must migrate: perhaps nothing fires, and then it stays as it is
  if (tried->release != e->release.number) tried = memcpy(xmalloc(lead_size(*lead)), *lead, lead_size(*lead));
  int status = migrate(e, &tried, err);
  bool is_lost = status < 0;
  if (status == 0) status = fire_timers(e, tried, now_ms, err);
  finish(e, result);
  if (tried == *lead) return status;
  bool is_unchanged = is_lost || (status == 0 && e->count == 0);
  lead_free(is_unchanged ? tried : *lead);
  if (!is_unchanged) *lead = tried;
  return status;
}

int engine_fill(struct engine *e, struct lead **lead, struct bytes slices, struct buf *taken, size_t *filled,
                struct error *err) {
  const struct feature_set *set = policy_features(e->release.policy);
  size_t begin = taken->n;
  int status = feature_slices_keep(set, slices, taken, filled, err);
  if (status || !*filled) return status;
  status = migrate(e, lead, err);
  if (status) return status;
  struct bytes mine = bytes_of(taken->p + begin, taken->n - begin);
  return feature_slices_merge(set, lead_feature_state(*lead), mine, filled, err);
}

int engine_refold_fill(struct lead **lead, const struct policy *from, const struct policy *policy, uint32_t release,
                       struct bytes slices, struct bytes effects, struct error *err) {
  size_t filled;
  int status = policy_state_check(policy, effects, err);
  if (status < 0) return status;
  if ((*lead)->release != release) *lead = lead_migrate(*lead, from, policy, release, (*lead)->now_ms);
  policy_state_take(lead_policy_state(*lead), (*lead)->policy_bytes, effects);
  return feature_slices_merge(policy_features(policy), lead_feature_state(*lead), slices, &filled, err);
}

int engine_replay(struct engine *e, struct lead **lead, const struct event *event, int64_t now_ms, struct bytes shared,
                  struct engine_result *result, struct error *err) {
  begin(e);
  int status = migrate(e, lead, err);
  int timer = event || status < 0 ? -1 : first_timer(*lead);
  if (status == 0 && !event && timer == -1) status = error_set(err, ITD_ENOTFOUND, "the lead has no timer");
  if (status == 0) status = decide(e, *lead, event, now_ms, timer, &shared, err);
  finish(e, result);
  return status;
}

// ---- merging ----
// The other lead as it is under a release: malloc'd.
static int other_of(struct engine *e, const struct release *release, const struct lead *other, struct lead **out,
                    struct error *err) {
  *out = memcpy(xmalloc(lead_size(other)), other, lead_size(other));
  int status = migrate_to(e, release, out, err);
  if (status < 0) lead_free(*out);
  return status;
}

static int merge(struct engine *e, struct lead *lead, const struct lead *other, const struct bytes *replayed,
                 struct error *err) {
  struct lead *moved;
  int status = other_of(e, &e->release, other, &moved, err);
  if (status < 0) return status;
  struct policy_seat before = *seat_of(lead);
  lead_merge(lead, moved, e->release.policy);
  seat_merged(&before, seat_of(moved), seat_of(lead), &e->orders);
  lead_free(moved);
  return decide(e, lead, NULL, lead->now_ms, CAUSE_MERGE, replayed, err);
}

int engine_merge(struct engine *e, struct lead **lead, const struct lead *other, struct engine_result *result,
                 struct error *err) {
  begin(e);
  int status = migrate(e, lead, err);
  if (status == 0) status = fire_timers(e, *lead, other->now_ms, err);
  if (status == 0) status = merge(e, *lead, other, &LIVE, err);
  finish(e, result);
  return status;
}

int engine_replay_merge(struct engine *e, struct lead **lead, const struct lead *other, struct bytes shared,
                        struct engine_result *result, struct error *err) {
  begin(e);
  int status = migrate(e, lead, err);
  if (status == 0) status = merge(e, *lead, other, &shared, err);
  finish(e, result);
  return status;
}

// ---- pools ----
static int grant(struct engine *e, struct lead *lead, struct bytes body, int64_t now_ms, const struct bytes *replayed,
                 struct error *err) {
  struct pool_granted granted;
  if (!pool_read_grant(body, &granted) ||
      !seat_take(e->release.policy, &granted, now_ms, lead_policy_state(lead), &e->orders))
    return error_set(err, ITD_ENOTFOUND, "the lead does not wait for this grant");
  return decide(e, lead, NULL, now_ms, CAUSE_GRANT, replayed, err);
}

// Whether the lead waits for it, of whatever release it is.
static bool waits_for(struct lead *lead, struct bytes body) {
  struct pool_granted granted;
  const struct policy_seat *seat = seat_of(lead);
  return pool_read_grant(body, &granted) && seat->team && !seat->person && seat->ask == granted.ask;
}

int engine_grant(struct engine *e, struct lead **lead, struct bytes body, int64_t pool_ms, struct engine_result *result,
                 struct error *err) {
  begin(e);
  finish(e, result);
  if (!waits_for(*lead, body)) return error_set(err, ITD_ENOTFOUND, "the lead does not wait for this grant");
  int64_t now_ms = e->clock == ENGINE_CLOCK_WALL && pool_ms > (*lead)->now_ms ? pool_ms : (*lead)->now_ms;
  int status = migrate(e, lead, err);
  if (status == 0) status = fire_timers(e, *lead, now_ms, err);
  if (status == 0) status = grant(e, *lead, body, now_ms, &LIVE, err); // a timer may have ended the waiting
  finish(e, result);
  return status;
}

int engine_replay_grant(struct engine *e, struct lead **lead, struct bytes body, int64_t now_ms, struct bytes shared,
                        struct engine_result *result, struct error *err) {
  begin(e);
  int status = migrate(e, lead, err);
  if (status == 0) status = grant(e, *lead, body, now_ms, &shared, err);
  finish(e, result);
  return status;
}

void engine_put_undecided(struct engine *e, const struct lead *lead, struct buf *list) {
  e->orders.asks = false; // the lead's next decision asks
  seat_put(&e->orders, e->release.policy, &e->pools, lead->workspace, list);
  e->orders = (struct seat_orders){0};
}

void engine_put_refused(struct lead_id pool, struct bytes body, struct buf *list) {
  struct pool_granted granted;
  struct buf back = {0};
  if (!pool_read_grant(body, &granted) || !granted.name.n) return;
  pool_put_back(&back, granted.ask, pool_person(granted.name));
  message_put(list, pool, MESSAGE_POOL_BACK, buf_bytes(&back));
  buf_deinit(&back);
}

void engine_put_leave(const struct engine *e, const struct policy *policy, const struct lead *lead, struct buf *list) {
  member_leave(&e->accounts, policy, lead, list);
  struct seat_orders orders = {0};
  seat_leave(seat_of((struct lead *)(uintptr_t)lead), true, &orders); // its owner's seat is handed over
  seat_put(&orders, policy, &e->pools, lead->workspace, list);
}

int64_t engine_due(const struct lead *lead) {
  if (lead->flags & LEAD_SEALED) return INT64_MAX;
  const struct policy_state *state = (const struct policy_state *)(const void *)lead->state;
  int64_t accept_ms = seat_of((struct lead *)(uintptr_t)lead)->accept_due_ms; // read only
  int64_t due_ms = state->timer_count ? state->timer[0].due_ms : INT64_MAX;
  return accept_ms && accept_ms < due_ms ? accept_ms : due_ms;
}

// ---- recovery ----

int engine_refold(struct lead **lead, const struct policy *from, const struct policy *policy, uint32_t release,
                  const struct event *event, int64_t now_ms, uint32_t number, struct bytes effects, struct bytes shared,
                  struct error *err) {
  int status = policy_state_check(policy, effects, err);
  if (status < 0) return status;
  if ((*lead)->release != release) *lead = lead_migrate(*lead, from, policy, release, (*lead)->now_ms);
  struct lead *l = *lead;
  l->now_ms = now_ms;
  if (event) {
    policy_fold(policy, lead_feature_state(l), event, now_ms);
    if (event->user_id.n) l->flags |= LEAD_KNOWN;
  }
  policy_state_take(lead_policy_state(l), l->policy_bytes, effects);
  l->number = number;
  return shared.n ? feature_account_load(policy_features(policy), lead_feature_state(l), shared, err) : 0;
}

int engine_refold_merge(struct lead **lead, const struct policy *from, const struct policy *policy, uint32_t release,
                        const struct lead *other, const struct policy *other_policy, uint32_t number,
                        struct bytes effects, struct bytes shared, struct error *err) {
  int status = policy_state_check(policy, effects, err);
  if (status < 0) return status;
  if ((*lead)->release != release) *lead = lead_migrate(*lead, from, policy, release, (*lead)->now_ms);
  struct lead *moved = memcpy(xmalloc(lead_size(other)), other, lead_size(other));
  if (moved->release != release) moved = lead_migrate(moved, other_policy, policy, release, moved->now_ms);
  lead_merge(*lead, moved, policy);
  lead_free(moved);
  policy_state_take(lead_policy_state(*lead), (*lead)->policy_bytes, effects);
  (*lead)->number = number;
  return shared.n ? feature_account_load(policy_features(policy), lead_feature_state(*lead), shared, err) : 0;
}

// ---- explanation ----

void engine_trace_all(struct engine *e, bool all) { e->traces_all = all; }

#define EXPLAIN_TIMES 10 // the deadline of a decision

static int explain_vm(struct engine *e, struct policy *policy, struct error *err) {
  if (e->explained == policy) return 0;
  struct policy_vm *vm = NULL;
  struct vm_limits limits = e->limits;
  limits.deadline_us *= EXPLAIN_TIMES; // the call was in time when it was made, and a trace costs more
  int status = policy_vm_open(policy, &limits, &vm, err);
  if (status < 0) return status;
  policy_vm_close(e->explain_vm);
  if (e->explained) policy_release(e->explained);
  e->explain_vm = vm;
  e->explained = policy;
  policy_retain(policy);
  return 0;
}

int engine_put_trace(struct engine *e, struct policy *policy, struct bytes read, struct buf *out, struct error *err) {
  int status = explain_vm(e, policy, err);
  return status < 0 ? status : trace_put(e->explain_vm, read, out, err);
}

int engine_put_times(struct engine *e, struct policy *policy, struct bytes read, struct buf *out, struct error *err) {
  int status = explain_vm(e, policy, err);
  return status < 0 ? status : trace_put_times(e->explain_vm, read, out, err);
}

static double points_of(const struct side *side, const struct model_bound *model, size_t feature, double weight) {
  double points = 0;
  for (size_t t = 0; model && t < model_terms(model); t++)
    if (model_term_feature(model, t) == (int)feature) points += weight * side->points[t];
  return points;
}

static void put_age(double age, struct buf *out) {
  if (isnan(age))
    mp_put_nil(out);
  else
    mp_put_int(out, (int64_t)age);
}

// How old what a feature knows is, and how old it may be.
static void put_freshness(const struct feature_info *info, double age, struct buf *out) {
  mp_put_cstr(out, "freshness");
  mp_put_cstr(out, feature_freshness_name(info->freshness));
  mp_put_cstr(out, "age");
  put_age(age, out);
  mp_put_cstr(out, "max_age");
  if (info->max_age_ms)
    mp_put_int(out, info->max_age_ms);
  else
    mp_put_nil(out);
}

static void put_features(const struct engine *e, const struct policy *policy, const struct policy_outcome *o,
                         const double *ages, struct buf *out) {
  const struct feature_set *set = policy_features(policy);
  mp_put_array(out, (uint32_t)feature_count(set));
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    double points = points_of(&e->fit, e->scorers.fit, i, o ? o->weight_fit : 0) +
                    points_of(&e->engagement, e->scorers.engagement, i, o ? o->weight_engagement : 0) +
                    points_of(&e->split, e->scorers.split, i, o ? o->weight_model : 0);
    mp_put_map(out, 9);
    mp_put_cstr(out, "name");
    mp_put_cstr(out, info->name);
    mp_put_cstr(out, "value");
    answer_put_value(info, e->values[i], e->texts[i], out);
    mp_put_cstr(out, "unit");
    if (info->is_duration)
      mp_put_cstr(out, "ms");
    else
      mp_put_nil(out);
    mp_put_cstr(out, "class");
    mp_put_cstr(out, info->class == FEATURE_PROFILE ? "profile" : "behaviour");
    mp_put_cstr(out, "description");
    mp_put_cstr(out, info->description);
    put_freshness(info, ages[i], out);
    mp_put_cstr(out, "points");
    mp_put_float(out, points);
  }
}

static void put_conditions(const struct policy *policy, const struct policy_trace *trace, struct buf *out) {
  size_t count = policy_entries(policy, POLICY_CONDITIONS);
  mp_put_array(out, (uint32_t)count);
  for (size_t i = 0; i < count; i++) {
    const struct policy_entry *entry = policy_entry(policy, POLICY_CONDITIONS, i);
    mp_put_map(out, 5);
    mp_put_cstr(out, "name");
    mp_put_cstr(out, entry->name);
    mp_put_cstr(out, "why");
    mp_put_cstr(out, entry->why);
    mp_put_cstr(out, "path");
    mp_put_cstr(out, entry->path);
    mp_put_cstr(out, "line");
    mp_put_int(out, entry->line);
    mp_put_cstr(out, "fired");
    if (trace->fired[i] < 0)
      mp_put_nil(out);
    else
      mp_put_bool(out, trace->fired[i] > 0);
  }
}

void engine_put_signals(const struct policy *policy, struct buf *out) {
  const char *ref = policy_info(policy)->signals, *at = strchr(ref, '@');
  char hash[17];
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)policy_info(policy)->signals_hash);
  mp_put_cstr(out, "signals");
  mp_put_map(out, 3);
  mp_put_cstr(out, "name");
  mp_put_str(out, at ? bytes_of(ref, (size_t)(at - ref)) : bytes_str(ref));
  mp_put_cstr(out, "version");
  mp_put_cstr(out, at ? at + 1 : "");
  mp_put_cstr(out, "hash");
  mp_put_cstr(out, hash);
}

static int merge_to_explain(struct engine *e, const struct release *release, struct lead *lead,
                            const struct lead *other, struct error *err) {
  struct lead *moved;
  int status = other_of(e, release, other, &moved, err);
  if (status < 0) return status;
  lead_merge(lead, moved, release->policy);
  lead_free(moved);
  return 0;
}

int engine_explain(struct engine *e, const struct release *release, struct lead **lead, const struct event *event,
                   const struct lead *other, struct bytes grant, int64_t now_ms, struct bytes shared, struct buf *out,
                   struct error *err) {
  int status = explain_vm(e, release->policy, err);
  if (status == 0) status = migrate_to(e, release, lead, err);
  if (status == 0 && other) status = merge_to_explain(e, release, *lead, other, err);
  if (status < 0) return status;
  struct lead *l = *lead;
  // Of the release that decided: a migration renumbers.
  struct seat_orders orders = {0};
  struct pool_granted granted;
  bool is_grant = pool_read_grant(grant, &granted);
  if (is_grant) seat_take(release->policy, &granted, now_ms, lead_policy_state(l), &orders);
  int timer_transition = event ? -1 : other ? CAUSE_MERGE : is_grant ? CAUSE_GRANT : first_timer(l);
  if (!event && timer_transition == -1) return error_set(err, ITD_ENOTFOUND, "the lead has no timer");
  uint64_t before = lead_digest(l);
  l->now_ms = now_ms;
  if (event) {
    policy_fold(release->policy, lead_feature_state(l), event, now_ms);
    if (event->user_id.n) l->flags |= LEAD_KNOWN;
  }
  if (shared.n) status = feature_account_load(policy_features(release->policy), lead_feature_state(l), shared, err);
  if (status < 0) return status;
  observe(e, release->policy, l, now_ms);
  struct policy_input input = input_of(e, l, event, now_ms, timer_transition);
  input.switched = release->switched;
  struct policy_outcome outcome;
  struct policy_trace trace = {.fired = xmalloc(policy_entries(release->policy, POLICY_CONDITIONS) + 1)};
  remember(e, l);
  status = policy_decide(e->explain_vm, &input, lead_policy_state(l), &outcome, &trace, err);
  if (status == 0) {
    step_seat(release->policy, l, timer_transition, &outcome, &orders);
    l->number++;
    struct answer_facts facts = facts_of(e, release->policy, l, &outcome, cause_name(event, timer_transition));
    mp_put_map(out, 5);
    engine_put_signals(release->policy, out);
    mp_put_cstr(out, "decision");
    answer_put(&facts, inputs_hash(release, before, event, now_ms, timer_transition, shared), out);
    mp_put_cstr(out, "features");
    explain_side(&e->fit, e->scorers.fit, e->values, e->texts);
    explain_side(&e->engagement, e->scorers.engagement, e->values, e->texts);
    explain_side(&e->split, e->scorers.split, e->values, e->texts);
    double ages[FEATURES_MAX];
    feature_ages(policy_features(release->policy), lead_feature_state(l), now_ms, ages);
    put_features(e, release->policy, &outcome, ages, out);
    mp_put_cstr(out, "conditions");
    put_conditions(release->policy, &trace, out);
    struct buf inputs = {0};
    buf_clear(&e->read);
    trace_put_read(e->explain_vm, state_before(&e->backup), e->texts, &e->read);
    shapley_put_inputs(release->policy, &e->scorers, e->values, e->texts, buf_bytes(&e->read), &inputs);
    mp_put_cstr(out, "inputs");
    mp_put_bin(out, buf_bytes(&inputs));
    buf_deinit(&inputs);
  }
  free(trace.fired);
  return status;
}

// Only of features whose age is kept.
static void put_ages(const struct feature_set *set, const uint8_t *state, int64_t now_ms, struct buf *out) {
  double ages[FEATURES_MAX];
  uint32_t count = 0;
  feature_ages(set, state, now_ms, ages);
  for (size_t i = 0; i < feature_count(set); i++) count += feature_info(set, i)->has_age;
  mp_put_cstr(out, "ages");
  mp_put_map(out, count);
  for (size_t i = 0; i < feature_count(set); i++) {
    if (!feature_info(set, i)->has_age) continue;
    mp_put_cstr(out, feature_info(set, i)->name);
    put_age(ages[i], out);
  }
}

static void put_time(const char *key, int64_t at_ms, struct buf *out) {
  mp_put_cstr(out, key);
  if (at_ms)
    mp_put_int(out, at_ms);
  else
    mp_put_nil(out);
}

static void put_word(bool stands, const char *key, int64_t at_ms, const char *who, const char *why, struct buf *out) {
  mp_put_cstr(out, key);
  if (!stands) {
    mp_put_nil(out);
    return;
  }
  mp_put_map(out, 3);
  mp_put_cstr(out, "at"), mp_put_int(out, at_ms);
  mp_put_cstr(out, "by"), mp_put_cstr(out, who);
  mp_put_cstr(out, "why"), mp_put_cstr(out, why);
}

// The pair "sales": what it said of the lead and still holds.
static void put_sales(const struct policy *policy, const struct policy_state *state, struct buf *out) {
  const struct policy_sales *s = policy_sales(policy, state);
  uint32_t rejected = 0;
  while (rejected < POLICY_REJECTS && s->rejected[rejected]) rejected++;
  mp_put_cstr(out, "sales");
  mp_put_map(out, 4);
  put_word(state->owner_is_manual, "owner_set", s->owner_at_ms, s->owner_who, s->owner_why, out);
  put_word(s->is_disqualified, "disqualified", s->judged_at_ms, s->judged_who, s->judged_why, out);
  put_time("accepted", s->accepted_at_ms, out);
  mp_put_cstr(out, "rejected");
  mp_put_array(out, rejected);
  for (uint32_t i = 0; i < rejected; i++) {
    mp_put_map(out, 2);
    mp_put_cstr(out, "owner"), mp_put_cstr(out, policy_entry(policy, POLICY_OWNERS, s->rejected[i] - 1u)->name);
    mp_put_cstr(out, "at"), mp_put_int(out, s->rejected_at_ms[i]);
  }
}

void engine_show(const struct policy *policy, const struct lead *lead, struct buf *out) {
  double values[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  struct lead *l = (struct lead *)(uintptr_t)lead; // read only: the accessors serve both uses
  const struct policy_state *state = lead_policy_state(l);
  const struct feature_set *set = policy_features(policy);
  feature_read(set, lead_feature_state(l), lead->now_ms, values, texts);
  char id[LEAD_ID_TEXT];
  lead_id_format(lead->id, id);
  int region[POLICY_REGIONS_MAX];
  for (size_t i = 0, n = policy_regions(policy, region); i < n; i++) region[i] = policy_state_region(policy, state, i);
  mp_put_map(out, 14 + answer_places(policy, state->stage));
  mp_put_cstr(out, "lead");
  mp_put_cstr(out, id);
  mp_put_cstr(out, "known");
  mp_put_bool(out, lead->flags & LEAD_KNOWN);
  mp_put_cstr(out, "now");
  mp_put_int(out, lead->now_ms);
  mp_put_cstr(out, "first");
  mp_put_int(out, lead->first_ms);
  mp_put_cstr(out, "decisions");
  mp_put_int(out, lead->number);
  mp_put_cstr(out, "stage");
  mp_put_cstr(out, policy_entry(policy, POLICY_STAGES, state->stage)->name);
  mp_put_cstr(out, "stage_since");
  mp_put_int(out, state->stage_since_ms);
  answer_put_places(policy, state->stage, region, out);
  mp_put_cstr(out, "owner");
  const char *owner = policy_owner_name(policy, state);
  const struct policy_seat *seat = seat_of(l);
  if (seat->team && !seat->person) owner = "pending";
  if (owner)
    mp_put_cstr(out, owner);
  else
    mp_put_nil(out);
  put_sales(policy, state, out);
  mp_put_cstr(out, "memory"), policy_fields_put(policy, state, out);
  mp_put_cstr(out, "timers");
  mp_put_array(out, state->timer_count);
  for (unsigned i = 0; i < state->timer_count; i++) {
    mp_put_map(out, 2);
    mp_put_cstr(out, "due");
    mp_put_int(out, state->timer[i].due_ms);
    mp_put_cstr(out, "transition");
    mp_put_cstr(out, policy_entry(policy, POLICY_TRANSITIONS, state->timer[i].transition)->name);
  }
  mp_put_cstr(out, "features");
  mp_put_map(out, (uint32_t)feature_count(set));
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    mp_put_cstr(out, info->name);
    answer_put_value(info, values[i], texts[i], out);
  }
  put_ages(set, lead_feature_state(l), lead->now_ms, out);
  engine_put_signals(policy, out);
}
