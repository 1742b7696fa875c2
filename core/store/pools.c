#include "store/pools.h"

#include "base/log.h"
#include "engine/pool.h"
#include "store/shard.h"
#include "wire/rpc.h"

// ---- where they are ----
static struct lead_id id_of(const struct store *store, uint16_t workspace, uint64_t team) {
  return store_entity_id(store, ENTITY_POOL, workspace, bytes_of(&team, sizeof team));
}

static struct lead_id pool_of(void *context, uint16_t workspace, uint64_t team) {
  return id_of(context, workspace, team);
}

void pools_init(struct intake *in) {
  engine_set_pools(in->engine, &(struct engine_pools){.pool_of = pool_of, .context = in->store});
}

void pools_put_forget(struct store *store, const struct lead *lead, struct buf *list) {
  struct seat_orders orders = {0};
  struct lead *l = (struct lead *)(uintptr_t)lead; // read only: the accessor serves both uses
  if (lead->flags & LEAD_SEALED) return;
  seat_leave(policy_seat(lead_policy_state(l), lead->policy_bytes), false, &orders);
  seat_put(&orders, NULL, &(struct engine_pools){.pool_of = pool_of, .context = store}, lead->workspace, list);
}

struct seat_back pools_seat_of(struct lead *lead) {
  const struct policy_seat *seat = policy_seat(lead_policy_state(lead), lead->policy_bytes);
  return seat->person ? (struct seat_back){seat->team, seat->person, seat->ask} : (struct seat_back){0};
}

void pools_put_back(struct store *store, uint16_t workspace, const struct seat_back *seat, struct buf *list) {
  struct seat_orders orders = {.back = {*seat}, .backs = seat->person != 0};
  seat_put(&orders, NULL, &(struct engine_pools){.pool_of = pool_of, .context = store}, workspace, list);
}

// ---- grants ----
struct bytes pools_grant_of(const struct frame *frame) {
  struct bytes body;
  bool is_one = frame->kind == FRAME_GRANT && mp_find(frame->event, BYTES_LIT("body"), &body);
  return is_one ? body : (struct bytes){0};
}

static void refuse(struct intake *in, const struct message *m, const struct arrival *a) {
  buf_clear(&in->list);
  engine_put_refused(m->from, m->body, &in->list);
  append_nobody(in, m, a, buf_bytes(&in->list));
}

// Its decision, or that the policy's call was stopped.
static void append_grant(struct intake *in, struct lead *lead, const struct message *m, const struct decision *d,
                         const struct error *why, const struct arrival *a) {
  struct frame frame = message_frame(in, FRAME_GRANT, lead->id, a);
  put_message(&in->clear, m->kind, m->body);
  buf_clear(&in->list);
  append_decided(in, lead, d, why, &frame);
  store_put(in->shard, lead);
  if (d) intake_tell_of(in, d);
}

void pools_grant(struct intake *in, const struct message *m, const struct arrival *a) {
  struct lead *lead = store_lead(in->shard, m->to);
  struct engine_result result;
  struct error err = {0};
  int status;
  if (!lead || lead->flags & LEAD_SEALED) {
    refuse(in, m, a);
    return;
  }
  for (;;) {
    status = engine_grant(in->engine, &lead, m->body, a->received_ms, &result, &err);
    if (status < 0 && status != ITD_ESTOPPED && status != ITD_ENOTFOUND)
      shard_die_of(&err); // a version that does not load
    append_timers(in, lead, &result, a->received_ms);
    if (!result.timer_stopped) break;
    append_stopped_timer(in, lead, a->received_ms, &err);
    err = (struct error){0};
  }
  if (status == ITD_ENOTFOUND) {
    store_put(in->shard, lead); // it may have moved
    refuse(in, m, a);
    return;
  }
  if (status < 0) log_line(LOG_WARN, "grant_stopped", "why=%s", log_quote(err.text));
  append_grant(in, lead, m, status < 0 ? NULL : &result.decision[result.count - 1], &err, a);
}

// ---- from outside ----
static void tell(struct intake *in, const struct entity *pool, unsigned kind, struct bytes body, int64_t now_ms,
                 const char *cause) {
  struct message m = {.to = pool->id,
                      .kind = (uint16_t)kind,
                      .workspace = pool->workspace,
                      .at_ms = in->options.clock == ENGINE_CLOCK_WALL ? now_ms : pool->now_ms,
                      .body = body};
  struct error err = {0};
  buf_clear(&in->raw);
  CHECK(intake_tell(in, &m, (struct hash128){0}, bytes_str(cause), now_ms, &in->raw, &err) == 0);
}

bool pools_wake(struct intake *in, struct lead_id id, int64_t now_ms) {
  const struct entity *pool = store_entity(in->shard, id);
  if (!pool || pool->kind != ENTITY_POOL) return false;
  if (pool_due(pool) > now_ms) return true;
  struct buf body = {0};
  pool_put_wake(&body);
  tell(in, pool, MESSAGE_POOL_WAKE, buf_bytes(&body), now_ms, "leave");
  buf_deinit(&body);
  return true;
}

void pools_use(struct intake *in) {
  const struct policy *policy = engine_release(in->engine)->policy;
  struct buf body = {0};
  for (size_t i = 0; i < policy_teams(policy); i++) {
    const struct policy_team *team = policy_team(policy, i);
    struct lead_id id = id_of(in->store, in->options.workspace, pool_person(bytes_str(team->name)));
    if (store_shard_of(in->store, store_partition_of_lead(in->store, id)) != in->index) continue;
    const struct entity *pool = store_entity(in->shard, id);
    if (!pool || pool_is_of(pool, team->packed)) continue;
    buf_clear(&body);
    pool_put_team(&body, team->packed);
    tell(in, pool, MESSAGE_POOL_TEAM, buf_bytes(&body), clock_wall_ms(), "release");
  }
  buf_deinit(&body);
}

// ---- questions ----
unsigned intake_pool_partition(const struct store *store, const struct intake_options *options, struct bytes team) {
  return store_partition_of_lead(store, id_of(store, options->workspace, pool_person(team)));
}

int intake_pool(struct intake *in, struct bytes team, struct buf *answer, struct error *err) {
  const struct entity *e = store_entity(in->shard, id_of(in->store, in->options.workspace, pool_person(team)));
  if (!e) return error_set(err, ITD_ENOTFOUND, "no lead asked for an owner of this team yet");
  pool_show(e, answer);
  return 0;
}

void intake_pools(struct intake *in, struct buf *answer) {
  const struct policy *policy = engine_release(in->engine)->policy;
  mp_put_array(answer, (uint32_t)policy_teams(policy));
  for (size_t i = 0; i < policy_teams(policy); i++) mp_put_cstr(answer, policy_team(policy, i)->name);
}
