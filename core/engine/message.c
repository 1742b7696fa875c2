#include "engine/message.h"

#include "base/check.h"
#include "base/hash.h"
#include "engine/account.h"
#include "engine/pool.h"
#include "engine/tally.h"

static const struct message_kind kinds[] = {
    {MESSAGE_TALLY_ADD, "tally.add", ENTITY_TALLY, tally_add},
    {MESSAGE_MERGE_ASK, "merge.ask", ENTITY_LEAD, NULL},
    {MESSAGE_MERGE_HAND, "merge.hand", ENTITY_LEAD, NULL},
    {MESSAGE_MERGE_NONE, "merge.none", ENTITY_LEAD, NULL},
    {MESSAGE_MERGE_FORGET, "merge.forget", ENTITY_LEAD, NULL},
    {MESSAGE_MERGE_SEAL, "merge.seal", ENTITY_LEAD, NULL},
    {MESSAGE_MERGE_WISH, "merge.wish", ENTITY_LEAD, NULL},
    {MESSAGE_ACCOUNT_UPDATE, "account.update", ENTITY_ACCOUNT, account_update},
    {MESSAGE_ACCOUNT_LEAVE, "account.leave", ENTITY_ACCOUNT, account_leave},
    {MESSAGE_ACCOUNT_FLUSH, "account.flush", ENTITY_ACCOUNT, account_flush},
    {MESSAGE_ACCOUNT_COPY, "account.copy", ENTITY_VIEW, account_copy},
    {MESSAGE_ACCOUNT_TRAITS, "account.traits", ENTITY_ACCOUNT, account_traits},
    {MESSAGE_POOL_ASK, "pool.ask", ENTITY_POOL, pool_ask},
    {MESSAGE_POOL_BACK, "pool.back", ENTITY_POOL, pool_back},
    {MESSAGE_POOL_TEAM, "pool.team", ENTITY_POOL, pool_team},
    {MESSAGE_POOL_WAKE, "pool.wake", ENTITY_POOL, pool_wake},
    {MESSAGE_POOL_GRANT, "pool.grant", ENTITY_LEAD, NULL},
};

const struct message_kind *message_kind_of(unsigned number) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].number == number) return &kinds[i];
  return NULL;
}

// ---- lists ----

// A body, with room for the list around it.
#define BODY_LIMITS                                                                                                    \
  ((struct mp_limits){.depth_max = MP_DEPTH_MAX - 1, .objects_max = 1u << 19, .bytes_max = MESSAGE_BODY_MAX})

int message_check(unsigned kind, struct bytes body, struct error *err) {
  if (!message_kind_of(kind)) return error_set(err, ITD_EINVAL, "there is no kind %u of messages", kind);
  size_t n;
  int whole = mp_scan(body, &BODY_LIMITS, &n, err);
  if (whole < 0) return whole == ITD_ETOOBIG ? whole : ITD_EINVAL;
  return whole && n == body.n ? 0 : error_set(err, ITD_EINVAL, "a message's body is not one MessagePack value");
}

void message_put(struct buf *list, struct lead_id to, unsigned kind, struct bytes body) {
  CHECK(message_check(kind, body, NULL) == 0);
  mp_put_array(list, 3);
  mp_put_bin(list, bytes_of(to.b, sizeof to.b));
  mp_put_uint(list, kind);
  mp_put_raw(list, body);
}

int message_next(struct bytes *list, struct message *m, struct error *err) {
  static const struct mp_limits limits = {.depth_max = MP_DEPTH_MAX, .objects_max = 1u << 20, .bytes_max = 1u << 20};
  size_t n;
  if (!list->n) return 0;
  if (mp_scan(*list, &limits, &n, NULL) != 1)
    return error_set(err, ITD_ECORRUPT, "a list of messages holds what is no MessagePack");
  struct mp in = mp_of(bytes_of(list->p, n));
  struct mp_value head = mp_next(&in), to = {.type = MP_NIL}, kind = {.type = MP_NIL};
  bool is_three = head.type == MP_ARRAY && head.count == 3;
  if (is_three) to = mp_next(&in), kind = mp_next(&in);
  if (to.type != MP_BIN || to.s.n != sizeof m->to.b || kind.type != MP_INT || kind.i < 1 || kind.i > UINT16_MAX)
    return error_set(err, ITD_ECORRUPT, "a list of messages holds what is no [to, kind, body]");
  memcpy(m->to.b, to.s.p, sizeof m->to.b);
  m->kind = (uint16_t)kind.i;
  m->body = mp_take(&in);
  *list = bytes_of(list->p + n, list->n - n);
  return 1;
}

// ---- applying ----

void message_effects_deinit(struct message_effects *e) {
  buf_deinit(&e->state);
  buf_deinit(&e->messages);
  buf_deinit(&e->answer);
}

void message_refuse(struct message_effects *e, int status, const char *why) {
  buf_clear(&e->messages);
  buf_clear(&e->answer);
  e->is_refused = true;
  mp_put_map(&e->answer, 2);
  mp_put_cstr(&e->answer, "code");
  mp_put_cstr(&e->answer, status_code(status));
  mp_put_cstr(&e->answer, "message");
  mp_put_cstr(&e->answer, why);
}

uint64_t message_apply(struct entity **entity, const struct message *m, struct message_effects *effects) {
  struct entity *e = *entity;
  const struct message_kind *kind = message_kind_of(m->kind);
  CHECK(kind && e);
  buf_clear(&effects->state);
  buf_clear(&effects->messages);
  buf_clear(&effects->answer);
  effects->is_refused = false;
  effects->hits = (struct message_hits){0};
  uint64_t before = entity_digest(e);
  if (kind->entity == e->kind)
    kind->apply(e, m, effects);
  else
    message_refuse(effects, ITD_EINVAL, "this message is not for such an entity");
  if (!effects->is_refused) e = *entity = entity_set(e, buf_bytes(&effects->state));
  if (m->at_ms > e->now_ms) e->now_ms = m->at_ms;
  e->number++;
  uint64_t parts[] = {before,
                      (uint64_t)m->at_ms,
                      (uint64_t)m->kind << 32 | m->workspace,
                      hash64(m->body),
                      entity_digest(e),
                      hash64(buf_bytes(&effects->messages)),
                      hash64(buf_bytes(&effects->answer))};
  return hash64(bytes_of(parts, sizeof parts));
}
