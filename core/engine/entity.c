// The block of an entity: birth, another state, digest, and the check of what comes back from disk.
#include "engine/entity.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"

#include <stdlib.h>

const char *entity_kind_name(unsigned kind) {
  static const char *const names[ENTITY_KIND_END] = {"lead", "tally", "nobody", "account", "view", "pool"};
  return kind < ENTITY_KIND_END ? names[kind] : "unknown";
}

struct entity *entity_new(enum entity_kind kind, struct lead_id id, uint16_t workspace) {
  struct entity *e = xcalloc(1, sizeof *e);
  e->id = id;
  e->format = ENTITY_FORMAT;
  e->workspace = workspace;
  e->kind = (uint16_t)kind;
  return e;
}

void entity_free(struct entity *e) { free(e); }

struct entity *entity_set(struct entity *e, struct bytes state) {
  CHECK(state.n <= ENTITY_STATE_MAX);
  size_t was = entity_size(e);
  e->bytes = (uint32_t)state.n;
  size_t size = entity_size(e);
  if (size != was) e = xrealloc(e, size);
  memset(e->state, 0, size - sizeof *e); // padding is the same in every copy
  if (state.n) memcpy(e->state, state.p, state.n);
  return e;
}

uint64_t entity_digest(const struct entity *e) {
  uint64_t head[3] = {(uint64_t)e->now_ms, (uint64_t)e->number << 32 | e->bytes,
                      (uint64_t)e->workspace << 32 | e->kind};
  return hash64_seed(entity_state(e), hash64(bytes_of(head, sizeof head)));
}

int entity_check(struct bytes block, struct error *err) {
  struct entity head;
  if (block.n < sizeof head)
    return error_set(err, ITD_ECORRUPT, "an entity's record has %zu bytes, fewer than its head", block.n);
  memcpy(&head, block.p, sizeof head);
  if (head.format != ENTITY_FORMAT || head.kind == ENTITY_LEAD || head.kind == ENTITY_NOBODY ||
      head.kind >= ENTITY_KIND_END)
    return error_set(err, ITD_EVERSION, "an entity's record has format %u and kind %u, which this intentd lacks",
                     head.format, head.kind);
  if (head.bytes > ENTITY_STATE_MAX || entity_size(&head) != block.n)
    return error_set(err, ITD_ECORRUPT, "an entity's record of %zu bytes says that its state has %u", block.n,
                     head.bytes);
  return 0;
}
