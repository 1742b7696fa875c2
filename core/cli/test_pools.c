#include "cli/test_pools.h"

#include <string.h>

static struct lead_id pool_of(void *context, uint16_t workspace, uint64_t team) {
  (void)context, (void)workspace;
  struct lead_id id = {{0}};
  memcpy(id.b, &team, sizeof team);
  return id;
}

void test_pools_use(struct engine *engine) { engine_set_pools(engine, &(struct engine_pools){.pool_of = pool_of}); }

void test_pools_clear(struct test_pools *p) {
  for (size_t i = 0; i < p->count; i++) entity_free(p->pool[i]);
  p->count = 0;
  buf_deinit(&p->grants);
}

static struct entity **find(struct test_pools *p, struct lead_id id) {
  for (size_t i = 0; i < p->count; i++)
    if (lead_id_eq(p->pool[i]->id, id)) return &p->pool[i];
  if (p->count == TEST_POOLS_MAX) return NULL;
  p->pool[p->count] = entity_new(ENTITY_POOL, id, 0);
  return &p->pool[p->count++];
}

void test_pools_take(struct test_pools *p, const struct engine_result *result, const struct lead *lead) {
  struct message m;
  for (size_t i = 0; i < result->count; i++) {
    struct bytes list = result->decision[i].messages;
    while (message_next(&list, &m, NULL) > 0) {
      if (message_kind_of(m.kind)->entity != ENTITY_POOL) continue;
      struct entity **pool = find(p, m.to);
      struct message_effects effects = {0};
      m.from = lead->id;
      m.at_ms = result->decision[i].now_ms;
      if (pool) message_apply(pool, &m, &effects);
      buf_append_bytes(&p->grants, buf_bytes(&effects.messages));
      message_effects_deinit(&effects);
    }
  }
}

bool test_pools_next(struct test_pools *p, struct lead_id *to, struct buf *body) {
  struct bytes list = buf_bytes(&p->grants);
  struct message m;
  if (message_next(&list, &m, NULL) <= 0) return false;
  *to = m.to;
  buf_clear(body);
  buf_append_bytes(body, m.body);
  memmove(p->grants.p, list.p, list.n);
  p->grants.n = list.n;
  return true;
}
