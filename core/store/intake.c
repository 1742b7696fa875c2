#include "schema/baseline.h"
#include "store/ids.h"
#include "store/intake_private.h"
#include "store/merge.h"
#include "store/pools.h"
#include "store/shard.h"
#include "store/switch.h"

#include "base/log.h"
#include "store/dedupe_run.h"
#include "wire/mp_edit.h"
#include "wire/rpc.h"

#include <stdio.h>
#include <stdlib.h>

static void count(_Atomic uint64_t *counter) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static struct policy *policy_of(void *context, uint32_t number) { return store_version(context, number); }

#define PASSES_MAX 65536u
struct pass {
  struct table_entry head; // the sealed lead
  int64_t after_ms;
};

struct intake *intake_new(struct store *store, unsigned shard, const struct intake_options *options) {
  struct intake *in = xcalloc(1, sizeof *in);
  in->store = store;
  in->shard = store_shard(store, shard);
  in->index = shard;
  in->options = *options;
  table_init(&in->asked, sizeof(struct table_entry));
  table_init(&in->passes, sizeof(struct pass));
  in->engine = engine_new(options->clock, &options->vm, policy_of, store);
  in->flaps = flaps_new();
  accounts_init(in);
  pools_init(in);
  return in;
}

void intake_free(struct intake *in) {
  if (!in) return;
  engine_free(in->engine);
  flaps_free(in->flaps);
  buf_deinit(&in->clear);
  buf_deinit(&in->secret);
  buf_deinit(&in->sealed);
  buf_deinit(&in->raw);
  buf_deinit(&in->inputs);
  buf_deinit(&in->error);
  message_effects_deinit(&in->effects);
  buf_deinit(&in->list);
  if (in->block.p) explicit_bzero(in->block.p, in->block.cap);
  buf_deinit(&in->block);
  table_deinit(&in->asked);
  table_deinit(&in->passes);
  schema_scratch_deinit(&in->scratch);
  free(in->waiting);
  free(in);
}

int intake_prepare(struct intake *in, const struct release *release, struct error *err) {
  return engine_prepare(in->engine, release, err);
}

void intake_stamp(const struct intake *in, struct frame *frame) {
  const struct release *release = engine_release(in->engine);
  frame->workspace = in->options.workspace;
  frame->signals = release->signals;
  frame->models = release->models;
  frame->policy = release->number;
  frame->switched = (uint16_t)release->switched;
  frame->semantics = (uint32_t)FEATURE_SEMANTICS << 16 | POLICY_SEMANTICS;
}

// What a release's frame says of it: {bundle, version, data ("": none), why, by (nil: the daemon itself), switch, models:
// [{role, name, version}]}; a model on canary has `share`, too, in ten-thousandths of the leads.
static void put_release_model(const struct policy_model_use *use, struct buf *out) {
  mp_put_map(out, use->share ? 4 : 3);
  mp_put_cstr(out, "role"), mp_put_cstr(out, use->role);
  mp_put_cstr(out, "name"), mp_put_cstr(out, use->model.name);
  mp_put_cstr(out, "version"), mp_put_cstr(out, use->model.version);
  if (use->share) mp_put_cstr(out, "share"), mp_put_uint(out, use->share);
}

static void put_release(const struct policy *policy, enum policy_switch switched, const char *why, const char *by,
                        struct buf *out) {
  struct policy_model_use use;
  uint32_t models = 0;
  for (size_t role = 0; role < policy_roles(); role++)
    models += (uint32_t)policy_model_of(policy, role, &use) + policy_canary_of(policy, role, &use);
  mp_put_map(out, 7);
  mp_put_cstr(out, "bundle"), mp_put_cstr(out, policy_info(policy)->hash);
  mp_put_cstr(out, "version"), mp_put_cstr(out, policy_info(policy)->version);
  mp_put_cstr(out, "data"), mp_put_cstr(out, policy_info(policy)->data);
  mp_put_cstr(out, "why"), mp_put_cstr(out, why);
  mp_put_cstr(out, "by");
  if (by)
    mp_put_cstr(out, by);
  else
    mp_put_nil(out);
  mp_put_cstr(out, "switch"), mp_put_cstr(out, switch_name(switched));
  mp_put_cstr(out, "models"), mp_put_array(out, models);
  for (size_t role = 0; role < policy_roles(); role++) {
    if (policy_model_of(policy, role, &use)) put_release_model(&use, out);
    if (policy_canary_of(policy, role, &use)) put_release_model(&use, out);
  }
}

// A frame of each partition says what is in force from here on.
static void append_release(struct intake *in, const char *why, const char *by) {
  const struct release *release = engine_release(in->engine);
  buf_clear(&in->raw);
  put_release(release->policy, release->switched, why, by, &in->raw);
  for (unsigned p = 0; p < store_partitions(in->store); p++) {
    if (store_shard_of(in->store, p) != in->index) continue;
    struct frame frame = {.kind = FRAME_RELEASE, .partition = (uint16_t)p, .received_ms = clock_wall_ms()};
    intake_stamp(in, &frame);
    frame.event = buf_bytes(&in->raw);
    store_append(in->shard, &frame);
  }
}

void intake_switch(struct intake *in, enum policy_switch to, const char *why, const char *by) {
  engine_switch(in->engine, to);
  append_release(in, why, by);
}

void intake_use(struct intake *in, const char *why, const char *by) {
  engine_use(in->engine);
  append_release(in, why, by);
  for (size_t i = 0; i < in->waiting_count; i++) {
    struct lead *lead = store_lead(in->shard, in->waiting[i]);
    if (lead) store_put(in->shard, lead); // its timers are due again
  }
  in->waiting_count = 0;
  pools_use(in);
}

int intake_forget(struct intake *in, struct lead_id id, const char *by,
                  void (*done)(void *context, const struct forget_job *job), void *context, struct error *err) {
  const struct lead *lead = store_lead(in->shard, id);
  if (!lead) return error_set(err, ITD_ENOTFOUND, "the lead is not known, or was forgotten already");
  buf_clear(&in->raw);
  mp_put_map(&in->raw, 1);
  mp_put_cstr(&in->raw, "by");
  mp_put_cstr(&in->raw, by);
  struct frame frame = {.kind = FRAME_FORGET,
                        .entity = id,
                        .partition = (uint16_t)store_partition_of_lead(in->store, id),
                        .workspace = lead->workspace,
                        .policy = lead->release,
                        .semantics = (uint32_t)FEATURE_SEMANTICS << 16 | POLICY_SEMANTICS,
                        .now_ms = lead->now_ms,
                        .number = lead->number,
                        .received_ms = clock_wall_ms(),
                        .event = buf_bytes(&in->raw)};
  merge_put_forgets(in->shard, lead, &in->list, &frame);
  char text[LEAD_ID_TEXT];
  lead_id_format(id, text);
  log_line(LOG_INFO, "lead_forgotten", "lead=%s by=%s", text, log_quote(by));
  store_forget(in->shard, &frame, done, context);
  return 0;
}

bool intake_await_forgotten(struct intake *in, struct lead_id id,
                            void (*done)(void *context, const struct forget_job *job), void *context) {
  if (!store_is_forgotten(in->shard, id)) return false;
  store_await_forgotten(in->shard, id, done, context);
  return true;
}

const struct release *intake_release(const struct intake *in) { return engine_release(in->engine); }

struct intake_stats intake_stats(const struct intake *in) {
  const struct intake_counters *c = &in->counters;
#define READ(name) .name = atomic_load_explicit(&c->name, memory_order_relaxed)
  return (struct intake_stats){READ(events),         READ(duplicates),     READ(refused),        READ(stopped),
                               READ(timers),         READ(new_leads),      READ(flaps),          READ(merges),
                               READ(went_on),        READ(people_evicted), READ(copies_dropped), READ(copies_idle),
                               READ(traits_dropped), READ(inputs_kept),    READ(pool_grants),    READ(pool_waits),
                               READ(pool_full)};
#undef READ
}

// ---- who ----

struct who {
  enum identity_kind kind;
  struct bytes value;
  struct hash128 identity;
  unsigned partition;
  const struct lead_id *lead; // an event that goes on: whose it is; NULL: the identity says
};

static struct who who_of(const struct store *store, uint16_t workspace, const struct event *event) {
  struct who who = {.kind = event->user_id.n ? IDENTITY_USER : IDENTITY_ANONYMOUS};
  who.value = event->user_id.n ? event->user_id : event->anonymous_id;
  who.identity = store_identity(store, workspace, who.kind, who.value);
  who.partition = store_partition_of(store, who.identity);
  return who;
}

int intake_route(const struct store *store, const struct intake_options *options, struct bytes map, int64_t received_ms,
                 unsigned *partition, struct error *err) {
  struct event event;
  struct event_digits digits;
  int status = event_decode(map, received_ms, &options->limits, &digits, &event, err);
  if (status < 0) return status;
  *partition = who_of(store, options->workspace, &event).partition;
  return 0;
}

// ---- duplicates ----

// Appends the decision of a frame with `duplicate` set; the duplicate of a stopped or refused event gets its error again.
static int answer_again(const struct frame *frame, struct buf *answer, struct error *err) {
  if (frame->kind == FRAME_STOPPED || frame->kind == FRAME_REFUSED) {
    struct bytes code, detail = {0};
    if (!mp_find(frame->decision, BYTES_LIT("code"), &code) || !mp_as_str(code, &code))
      return error_set(err, ITD_ECORRUPT, "the frame of a stopped or refused event lacks its error");
    if (mp_find(frame->decision, BYTES_LIT("detail"), &detail) && !mp_as_str(detail, &detail)) detail.n = 0;
    char name[64] = {0};
    memcpy(name, code.p, code.n < sizeof name - 1 ? code.n : sizeof name - 1);
    return error_set(err, status_from_code(name), "%.*s", (int)detail.n, (const char *)detail.p);
  }
  buf_append_bytes(answer, frame->decision);
  answer->p[answer->n - 1] = 0xc3; // the map ends with `duplicate`: false becomes true
  return 0;
}

// ---- an event ----

static void seal_event(struct intake *in, struct lead_id lead, struct bytes map, struct frame *frame) {
  buf_clear(&in->clear);
  buf_clear(&in->secret);
  buf_clear(&in->sealed);
  event_split(map, policy_personal(engine_release(in->engine)->policy), &in->clear, &in->secret);
  if (in->secret.n) store_seal(in->shard, lead, buf_bytes(&in->secret), &in->sealed);
  frame->event = buf_bytes(&in->clear);
  frame->secret = buf_bytes(&in->sealed);
}

void intake_tell_of(const struct intake *in, const struct decision *d) {
  if (in->options.each) in->options.each(in->options.context, d->answer);
  if (in->options.read_account && d->account_age_ms >= 0)
    in->options.read_account(in->options.context, d->account_age_ms);
}

void intake_keep_inputs(struct intake *in, struct lead_id lead, const struct decision *d, struct frame *frame) {
  if (!d->inputs.n) return;
  buf_clear(&in->inputs);
  store_seal(in->shard, lead, d->inputs, &in->inputs);
  frame->inputs = buf_bytes(&in->inputs);
  count(&in->counters.inputs_kept);
}

void intake_want(struct intake *in, unsigned wants) {
  in->wants = wants;
  engine_trace_all(in->engine, wants != 0);
}

static void put_told(struct buf *pairs, const char *key, int status, struct buf *told) {
  mp_put_cstr(pairs, key);
  if (status == 0)
    buf_append_bytes(pairs, buf_bytes(told));
  else
    mp_put_nil(pairs);
  buf_deinit(told);
}

uint32_t intake_put_trace(struct intake *in, struct policy *policy, struct bytes read, struct buf *pairs) {
  struct buf trace = {0}, times = {0};
  uint32_t count = 0;
  if (in->wants & INTAKE_TRACE) {
    int status = read.n ? engine_put_trace(in->engine, policy, read, &trace, NULL) : ITD_ENOTFOUND;
    put_told(pairs, "trace", status, &trace);
    count++;
  }
  if (in->wants & INTAKE_TIMES) {
    int status = read.n ? engine_put_times(in->engine, policy, read, &times, NULL) : ITD_ENOTFOUND;
    put_told(pairs, "times", status, &times);
    count++;
  }
  return count;
}

// A decision, with what is wanted beside.
static void put_answer(struct intake *in, const struct decision *d, struct buf *answer) {
  struct buf pairs = {0};
  uint32_t count = in->wants ? intake_put_trace(in, engine_release(in->engine)->policy, d->read, &pairs) : 0;
  struct mp m = mp_of(d->answer);
  struct mp_value head = mp_next(&m);
  if (count) {
    mp_put_map(answer, head.count + count);
    buf_append(answer, m.p, (size_t)(m.end - m.p));
    buf_append_bytes(answer, buf_bytes(&pairs));
  } else {
    buf_append_bytes(answer, d->answer);
  }
  buf_deinit(&pairs);
}

static void append_decision(struct intake *in, struct lead *lead, const struct decision *d, struct frame *frame) {
  frame->kind = d->is_timer ? FRAME_TIMER : FRAME_EVENT;
  frame->entity = lead->id;
  frame->partition = (uint16_t)store_partition_of_lead(in->store, lead->id);
  frame->now_ms = d->now_ms;
  frame->number = d->number;
  frame->digest = d->digest;
  frame->hash = d->hash;
  frame->effects = d->effects;
  if (!frame->messages.n) frame->messages = d->messages; // else they are in it
  frame->shared = d->shared;
  frame->decision = d->answer;
  frame->previous = lead->place;
  intake_keep_inputs(in, lead->id, d, frame);
  intake_stamp(in, frame);
  lead->place = store_append(in->shard, frame);
  lead->seq = frame->seq;
  if (flaps_take(in->flaps, lead->id, d)) count(&in->counters.flaps);
  intake_tell_of(in, d);
}

// Frames of the timers that fired on the way.
void append_timers(struct intake *in, struct lead *lead, const struct engine_result *result, int64_t received_ms) {
  for (size_t i = 0; i < result->count; i++) {
    if (!result->decision[i].is_timer) continue;
    struct frame frame = {.received_ms = received_ms};
    append_decision(in, lead, &result->decision[i], &frame);
    count(&in->counters.timers);
  }
}

static void append_stopped(struct intake *in, struct lead *lead, struct frame *frame, const struct error *why) {
  buf_clear(&in->error);
  error_put(&in->error, why);
  frame->kind = FRAME_STOPPED;
  frame->entity = lead->id;
  frame->partition = (uint16_t)store_partition_of_lead(in->store, lead->id);
  frame->now_ms = lead->now_ms;
  frame->number = lead->number;
  frame->digest = lead_digest(lead);
  frame->effects = lead_effects(lead);
  frame->previous = lead->place;
  frame->decision = buf_bytes(&in->error);
  intake_stamp(in, frame);
  lead->place = store_append(in->shard, frame);
  lead->seq = frame->seq;
  count(&in->counters.stopped);
}

// The engine took away a timer whose call was stopped.
void append_stopped_timer(struct intake *in, struct lead *lead, int64_t received_ms, const struct error *why) {
  struct frame frame = {.received_ms = received_ms};
  append_stopped(in, lead, &frame, why);
  log_line(LOG_WARN, "timer_stopped", "why=%s", log_quote(why->text));
}

// What comes out of the quarantine is in it already.
static int refuse(struct intake *in, int status, const struct error *why, struct bytes map, int64_t received_ms) {
  if (in->replaying) return status;
  count(&in->counters.refused);
  store_quarantine(in->shard, why, map, received_ms);
  return status;
}

// Whether an event's time is within bounds, or its source's rate, depends on when it is asked: the answer is kept for its
// duplicates. What depends on the event's bytes and the release alone is judged again.
static int refuse_event(struct intake *in, int status, const struct error *why, const struct event *event,
                        const struct who *who, struct hash128 message, int64_t received_ms, bool by_traffic) {
  bool by_moment = status == ITD_ETIME || (status == ITD_EQUALITY && by_traffic);
  if (by_moment && event->message_id.n && !in->replaying) {
    buf_clear(&in->error);
    error_put(&in->error, why);
    struct frame frame = {.kind = FRAME_REFUSED,
                          .partition = (uint16_t)who->partition,
                          .received_ms = received_ms,
                          .message = message,
                          .decision = buf_bytes(&in->error)};
    intake_stamp(in, &frame);
    store_append(in->shard, &frame);
  }
  return refuse(in, status, why, event->raw, received_ms);
}

void intake_refuse(struct intake *in, const struct error *reason, struct bytes bytes, int64_t received_ms) {
  count(&in->counters.refused);
  store_quarantine(in->shard, reason, bytes, received_ms);
}

// The lead that an identity names; a new identity gets a new lead, once its event is known to be within the bounds of
// time.
static int lead_of(struct intake *in, const struct event *event, const struct who *who, int64_t received_ms,
                   struct lead **lead, bool *is_new, struct error *err) {
  struct lead_id id;
  *is_new = false;
  if (who->lead) {
    *lead = store_lead(in->shard, *who->lead);
    CHECK(*lead); // next_of saw to it
    return 0;
  }
  if (store_find(in->shard, who->identity, &id)) {
    *lead = store_lead(in->shard, id);
    if (*lead) return 0;
    // The vault knows the identity, but its first frame was never acknowledged: the lead begins now.
  } else {
    int64_t now_ms = in->options.clock == ENGINE_CLOCK_WALL ? received_ms : event->timestamp_ms;
    int status = event_check_time(event, now_ms, &in->options.limits, err);
    if (status < 0) return status;
    id = store_found(in->shard, who->kind, who->identity, who->value);
  }
  const struct release *release = engine_release(in->engine);
  int64_t first_ms = in->options.clock == ENGINE_CLOCK_WALL ? received_ms : event->timestamp_ms;
  *lead = lead_new(id, in->options.workspace, release->policy, release->number, first_ms);
  *is_new = true;
  return 0;
}

// Under clock = event a lead's clock follows its events, so one from a far future would make all that follow late: the
// arrival bounds how far ahead it may lie. received_ms 0: the caller has no clock.
static int check_future(const struct intake *in, const struct event *event, int64_t received_ms, struct error *err) {
  if (in->options.clock != ENGINE_CLOCK_EVENT || received_ms <= 0) return 0;
  struct event_limits ahead = in->options.limits;
  ahead.late_max_ms = INT64_MAX / 2; // how late it is, the lead's own clock says
  return event_check_time(event, received_ms, &ahead, err);
}

// Decides for a decoded event, and stages its frames. The last decision, or the error, is the event's.
static int take(struct intake *in, const struct event *event, const struct who *who, struct hash128 message,
                int64_t received_ms, struct buf *answer, struct error *err) {
  struct lead *lead;
  bool is_new;
  int status = lead_of(in, event, who, received_ms, &lead, &is_new, err);
  if (status < 0) return refuse_event(in, status, err, event, who, message, received_ms, false);
  struct engine_result result;
  for (;;) {
    status = engine_event(in->engine, &lead, event, received_ms, &in->options.limits, &result, err);
    if (status < 0 && status != ITD_ESTOPPED) {
      if (is_new) lead_free(lead);
      return refuse_event(in, status, err, event, who, message, received_ms, false);
    }
    append_timers(in, lead, &result, received_ms);
    if (!result.timer_stopped) break; // else the event was not reached: once more, without that timer
    append_stopped_timer(in, lead, received_ms, err);
    *err = (struct error){0};
  }
  struct bytes cause = in->replaying ? bytes_str(in->replaying) : event->traceparent;
  struct frame frame = {.received_ms = received_ms, .message = message, .cause = cause};
  seal_event(in, lead->id, event->raw, &frame);
  if (status == ITD_ESTOPPED) {
    append_stopped(in, lead, &frame, err);
    if (!in->replaying) store_quarantine(in->shard, err, event->raw, received_ms);
  } else {
    const struct decision *d = &result.decision[result.count - 1];
    buf_clear(&in->list);
    struct merge_asks asks = merge_put_asks(in, lead, event, &in->list);
    buf_append_bytes(&in->list, d->messages);
    frame.messages = buf_bytes(&in->list);
    append_decision(in, lead, d, &frame);
    lead->asks += asks.all;
    lead->asks_known += asks.known;
    put_answer(in, d, answer);
    count(&in->counters.events);
    if (is_new) count(&in->counters.new_leads);
  }
  store_put(in->shard, lead);
  return status;
}

static struct error *or_local(struct error *err, struct error *local) { return err ? err : local; }

// The first answer, if the message was seen here: 1 when it was not.
static int seen_before(struct intake *in, struct hash128 message, int64_t received_ms, struct buf *answer,
                       struct error *err) {
  uint64_t place = message.hi || message.lo ? store_seen(in->shard, message, received_ms) : 0;
  if (!place) return 1;
  struct frame frame;
  count(&in->counters.duplicates);
  int status = store_read(in->shard, place, &in->raw, &frame, err);
  if (status < 0) return status;
  if (store_is_forgotten(in->shard, frame.entity)) // nothing of it is kept, in quarantine neither
    return error_set(err, ITD_EFORGOTTEN, "this messageId was decided for a lead that was forgotten since");
  return answer_again(&frame, answer, err);
}

// When what was decided at a sealed lead is out of the window: the frame of its last step, its sealing or later, says when it was
// received.
static int64_t passes_after(struct intake *in, const struct lead *sealed) {
  struct pass *pass = table_find(&in->passes, lead_key(sealed->id));
  if (pass) return pass->after_ms;
  struct frame frame;
  struct error err = {0};
  struct buf raw = {0};
  int64_t after_ms = INT64_MAX;
  bool is_read = sealed->place && store_read(in->shard, sealed->place, &raw, &frame, &err) == 0;
  buf_deinit(&raw);
  if (!is_read || __builtin_add_overflow(frame.received_ms, in->store->options.dedupe_window_ms, &after_ms))
    return INT64_MAX;
  if (table_count(&in->passes) == PASSES_MAX) table_drop_oldest(&in->passes);
  pass = table_add(&in->passes, lead_key(sealed->id));
  return pass->after_ms = after_ms;
}

// Whose an event is that goes on to here, or an identity's: INTAKE_ELSEWHERE when that lead was merged into another. 0: it is
// this shard's, or there is none yet.
static int next_of(struct intake *in, const struct who *who, struct hash128 message, const struct intake_way *on,
                   struct intake_way *way, struct error *err) {
  struct lead_id id;
  const struct lead *lead = NULL;
  if (on)
    lead = store_lead(in->shard, on->to);
  else if (store_find(in->shard, who->identity, &id))
    lead = store_lead(in->shard, id);
  if (on && !lead)
    return error_set(err, ITD_EUNAVAILABLE, "the lead that it belongs to is being forgotten; send it again");
  if (!lead || !(lead->flags & LEAD_SEALED)) return 0;
  bool has_message = message.hi || message.lo;
  *way = (struct intake_way){.to = lead->into,
                             .message = has_message ? message_in_slot(message, lead_id_slot(lead->into)) : message,
                             .hops = on ? on->hops + 1 : 1,
                             .passes_ms = INT64_MAX};
  if (on) {
    way->from = on->to;
    way->passes_ms = passes_after(in, lead);
  }
  count(&in->counters.went_on);
  if (way->hops > INTAKE_HOPS_MAX)
    return error_set(err, ITD_ECORRUPT,
                     "more than %u merged leads lead on from one to the next (INTAKE_HOPS_MAX): they make a circle, or "
                     "were made within dedupe.window",
                     INTAKE_HOPS_MAX);
  return INTAKE_ELSEWHERE;
}

static struct who whose(const struct intake *in, const struct event *event, const struct intake_way *on) {
  struct who who = who_of(in->store, in->options.workspace, event);
  if (on) {
    who.lead = &on->to;
    who.partition = store_partition_of_lead(in->store, on->to);
  }
  return who;
}

// What schemas and quality rules of the release in force say of an event; received_ms QUALITY_DRY: it is not counted.
static int judge(struct intake *in, const struct event *event, int64_t received_ms, bool *by_traffic,
                 struct error *err) {
  const struct policy *policy = engine_release(in->engine)->policy;
  struct event seen;
  *by_traffic = false;
  if (in->options.baselines && received_ms != QUALITY_DRY && !in->replaying)
    baselines_count(in->options.baselines, in->index, event, received_ms);
  int status = schema_judge(policy_schemas(policy), event, &in->scratch, &seen, err);
  if (status == 0)
    status = quality_judge(policy_quality(policy), policy_schemas(policy), &seen, received_ms, by_traffic, err);
  return status;
}

int intake_event_on(struct intake *in, struct bytes map, int64_t received_ms, const struct intake_way *on,
                    struct intake_way *way, struct buf *answer, struct error *err) {
  struct error local = {0};
  err = or_local(err, &local);
  struct event event;
  struct event_digits digits;
  int status = event_decode(map, received_ms, &in->options.limits, &digits, &event, err);
  if (status < 0) return refuse(in, status, err, map, received_ms);
  struct who who = whose(in, &event, on);
  struct hash128 message = {0};
  if (event.message_id.n) message = on ? on->message : store_message(in->store, who.identity, event.message_id);
  status = seen_before(in, message, received_ms, answer, err);
  if (status != 1) return status;
  status = next_of(in, &who, message, on, way, err);
  if (status) return status;
  bool by_traffic = false;
  status = check_future(in, &event, received_ms, err);
  if (status == 0) status = judge(in, &event, received_ms, &by_traffic, err);
  if (status < 0) return refuse_event(in, status, err, &event, &who, message, received_ms, by_traffic);
  return take(in, &event, &who, message, received_ms, answer, err);
}

int intake_event(struct intake *in, struct bytes map, int64_t received_ms, struct buf *answer, struct error *err) {
  struct intake_way way;
  return intake_event_on(in, map, received_ms, NULL, &way, answer, err);
}

// ---- out of the quarantine ----

// The event with what its arrival gave it then: a time, and an id by which it is known when it comes again.
static int complete_entry(struct intake *in, const struct quarantine_event *entry, struct buf *map, struct error *err) {
  struct event event;
  struct event_digits digits;
  struct buf value = {0};
  struct bytes found;
  struct event_limits limits = in->options.limits;
  int status = event_decode(entry->event, entry->received_ms, &limits, &digits, &event, err);
  if (status < 0) return status;
  buf_append_bytes(map, entry->event);
  if (!mp_find(entry->event, BYTES_LIT("timestamp"), &found) || found.p[0] == 0xc0) {
    mp_put_int(&value, event.timestamp_ms);
    mp_set(map, BYTES_LIT("timestamp"), buf_bytes(&value));
  }
  if (!event.message_id.n) {
    char id[64];
    snprintf(id, sizeof id, "quarantine-%.*s", (int)entry->id.n, (const char *)entry->id.p);
    buf_clear(&value);
    mp_put_cstr(&value, id);
    mp_set(map, BYTES_LIT("messageId"), buf_bytes(&value));
  }
  buf_deinit(&value);
  return 0;
}

// What its messageId stands for so far. 0: nothing that holds; 1: it was decided, and that is in `answer`.
static int settled(struct intake *in, struct hash128 message, int64_t *received_ms, bool *supersedes,
                   struct buf *answer, struct error *err) {
  *supersedes = false;
  uint64_t place = store_seen(in->shard, message, *received_ms);
  struct frame frame;
  if (!place) return 0;
  int status = store_read(in->shard, place, &in->raw, &frame, err);
  if (status < 0) return status;
  if (store_is_forgotten(in->shard, frame.entity))
    return error_set(err, ITD_EFORGOTTEN, "this messageId was decided for a lead that was forgotten since");
  if (frame.kind == FRAME_REFUSED || frame.kind == FRAME_STOPPED) {
    // The frame to come takes that one's place for duplicates, wherever the newest is looked for by its arrival.
    if (*received_ms <= frame.received_ms) *received_ms = frame.received_ms + 1;
    *supersedes = true;
    return 0;
  }
  count(&in->counters.duplicates);
  status = answer_again(&frame, answer, err);
  return status < 0 ? status : 1;
}

static int replay_event(struct intake *in, struct bytes map, int64_t received_ms, const struct intake_way *on,
                        struct intake_way *way, struct buf *answer, struct error *err) {
  struct event event;
  struct event_digits digits;
  struct event_limits limits = in->options.limits;
  limits.bytes_max += 1024; // what was added to it
  int status = event_decode(map, received_ms, &limits, &digits, &event, err);
  if (status < 0) return status;
  struct who who = whose(in, &event, on);
  struct hash128 message = on ? on->message : store_message(in->store, who.identity, event.message_id);
  bool by_traffic, supersedes;
  status = settled(in, message, &received_ms, &supersedes, answer, err);
  if (status) return status < 0 ? status : 0;
  status = next_of(in, &who, message, on, way, err);
  if (status == INTAKE_ELSEWHERE && supersedes) // the frame would lie there, and repeats are told by the refusal here
    return error_set(err, ITD_EINVAL,
                     "it was refused before its lead was merged into another one's, and its messageId stays with that: "
                     "fix it with another messageId");
  if (status) return status;
  status = check_future(in, &event, received_ms, err);
  if (status == 0) status = judge(in, &event, QUALITY_DRY, &by_traffic, err);
  return status < 0 ? status : take(in, &event, &who, message, received_ms, answer, err);
}

int intake_replay(struct intake *in, const struct quarantine_event *entry, const char *by, int64_t received_ms,
                  const struct intake_way *on, struct intake_way *way, struct buf *answer, struct error *err) {
  struct error local = {0};
  struct buf map = {0};
  char cause[128];
  err = or_local(err, &local);
  snprintf(cause, sizeof cause, "quarantine %.*s%s by %s", (int)entry->id.n, (const char *)entry->id.p,
           entry->is_fixed ? " fixed" : "", by);
  int status = complete_entry(in, entry, &map, err);
  in->replaying = cause;
  if (status == 0) status = replay_event(in, buf_bytes(&map), received_ms, on, way, answer, err);
  in->replaying = NULL;
  buf_deinit(&map);
  return status;
}

// A copy of the lead that an event would change, or a new one with an id that is nobody's.
static int lead_copy(struct intake *in, const struct who *who, int64_t now_ms, struct lead **out, struct error *err) {
  struct lead_id id;
  bool is_known = who->lead != NULL;
  if (is_known) id = *who->lead;
  if (is_known || store_find(in->shard, who->identity, &id)) {
    int status = intake_may_show(in, id, err);
    if (status < 0) return status;
    struct lead *lead = store_lead(in->shard, id);
    if (lead) {
      *out = memcpy(xmalloc(lead_size(lead)), lead, lead_size(lead));
      return 0;
    }
  }
  const struct release *release = engine_release(in->engine);
  id = (struct lead_id){{(uint8_t)store_slot_of(who->identity)}};
  *out = lead_new(id, in->options.workspace, release->policy, release->number, now_ms);
  return 0;
}

int intake_validate_on(struct intake *in, struct bytes map, int64_t received_ms, const struct intake_way *on,
                       struct intake_way *way, struct buf *answer, struct error *err) {
  struct event event;
  struct event_digits digits;
  int status = event_decode(map, received_ms, &in->options.limits, &digits, &event, err);
  bool by_traffic;
  if (status == 0) status = check_future(in, &event, received_ms, err);
  if (status == 0) status = judge(in, &event, QUALITY_DRY, &by_traffic, err);
  if (status < 0) return status;
  struct who who = whose(in, &event, on);
  status = next_of(in, &who, (struct hash128){0}, on, way, err);
  if (status) return status;
  int64_t first_ms = in->options.clock == ENGINE_CLOCK_WALL ? received_ms : event.timestamp_ms;
  struct lead *lead;
  status = lead_copy(in, &who, first_ms, &lead, err);
  if (status < 0) return status;
  struct engine_result result;
  status = engine_event(in->engine, &lead, &event, received_ms, &in->options.limits, &result, err);
  if (status == 0) {
    mp_put_map(answer, 2);
    mp_put_cstr(answer, "valid");
    mp_put_bool(answer, true);
    mp_put_cstr(answer, "decision");
    put_answer(in, &result.decision[result.count - 1], answer);
  }
  lead_free(lead);
  return status;
}

int intake_validate(struct intake *in, struct bytes map, int64_t received_ms, struct buf *answer, struct error *err) {
  struct intake_way way;
  return intake_validate_on(in, map, received_ms, NULL, &way, answer, err);
}

static void wait_for_release(struct intake *in, struct lead_id id) {
  if (in->waiting_count == in->waiting_cap) {
    in->waiting_cap = in->waiting_cap ? in->waiting_cap * 2 : 64;
    in->waiting = xrealloc(in->waiting, in->waiting_cap * sizeof *in->waiting);
  }
  in->waiting[in->waiting_count++] = id;
}

int64_t intake_wake(struct intake *in, int64_t now_ms, unsigned limit) {
  if (!engine_release(in->engine)) return INT64_MAX;
  int64_t accounts_ms = accounts_wake(in, now_ms, limit);
  if (in->options.clock != ENGINE_CLOCK_WALL) return accounts_ms;
  struct lead_id id;
  for (unsigned i = 0; i < limit && store_due(in->shard, now_ms, &id); i++) {
    struct lead *lead = store_lead(in->shard, id);
    if (!lead) {
      pools_wake(in, id, now_ms);
      continue;
    }
    struct engine_result result;
    struct error err = {0};
    int status = engine_timers(in->engine, &lead, now_ms, &result, &err);
    append_timers(in, lead, &result, now_ms);
    if (status == 0 && result.count == 0 && lead->release != engine_release(in->engine)->number) {
      wait_for_release(in, id);
      continue;
    }
    if (status < 0 && status != ITD_ESTOPPED) { // its version is unreadable: it waits for its next event
      log_line(LOG_ERROR, "timer_failed", "why=%s", log_quote(err.text));
      continue;
    }
    if (status < 0) append_stopped_timer(in, lead, now_ms, &err);
    store_put(in->shard, lead);
  }
  int64_t due_ms = store_next_due(in->shard);
  return due_ms < accounts_ms ? due_ms : accounts_ms;
}
