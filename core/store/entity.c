// A shard's entities that are no leads: in memory after their first use, in the checkpoint as leads are, and folded again
// from their MESSAGE frames.
#include <stdlib.h>

#include "base/check.h"
#include "engine/pool.h"
#include "store/intake.h"
#include "store/shard.h"

static bool waits(const struct store_shard *s, const struct entity_entry *e) {
  return e->round && e->round != s->round;
}

static size_t give_copy(struct store_shard *s, struct entity_entry *e) {
  size_t n = entity_size(e->entity);
  memcpy(shard_copy(s, NULL, e->entity->id, INT64_MAX, n, e->counted), e->entity, n);
  e->round = 0;
  return n;
}

struct entity_entry *shard_entity_entry(struct store_shard *s, struct lead_id id) {
  struct entity_entry *e = table_find(&s->entities, lead_key(id));
  return e ? e : table_add(&s->entities, lead_key(id));
}

struct entity *store_entity(struct store_shard *s, struct lead_id id) {
  struct entity_entry *e = shard_entity_entry(s, id);
  if (waits(s, e)) give_copy(s, e); // a checkpoint is a cut: before it changes
  if (e->entity || (e->head.flags & LEAD_WAS_SOUGHT)) return e->entity;
  e->head.flags |= LEAD_WAS_SOUGHT;
  struct error err = {0};
  buf_clear(&s->scratch);
  int rc = state_entity(s->state, id, &s->scratch, &err);
  if (rc == ITD_ENOTFOUND) return NULL;
  if (rc == 0) rc = entity_check(buf_bytes(&s->scratch), &err);
  if (rc) shard_die_of(&err); // it would begin anew
  count_up(&s->counters.entities);
  e->entity = xmalloc(s->scratch.n);
  memcpy(e->entity, s->scratch.p, s->scratch.n);
  return e->entity;
}

static void add_changed(struct changed_entities *list, struct entity_entry *e) {
  if (list->count == list->cap)
    list->entry = xrealloc(list->entry, (list->cap = list->cap ? list->cap * 2 : 256) * sizeof *list->entry);
  list->entry[list->count++] = e;
}

void shard_note_pool(struct store_shard *s, const struct entity *e) {
  if (e->kind == ENTITY_POOL) due_set(&s->due, e->id, pool_due(e));
}

void store_put_entity(struct store_shard *s, struct entity *entity) {
  struct entity_entry *e = shard_entity_entry(s, entity->id);
  CHECK(!waits(s, e)); // its old state would be lost to the running cycle
  if (!e->entity) count_up(&s->counters.entities);
  e->entity = entity;
  shard_note_pool(s, entity);
  if (e->round) return;
  e->round = s->round;
  add_changed(&s->dirty_entities, e);
  e->counted = (uint32_t)entity_size(entity);
  if (s->store->checkpoint) checkpoint_dirty(s->store->checkpoint, e->counted);
}

// ---- the checkpoint ----
void entities_begin(struct store_shard *s) {
  struct changed_entities spare = s->flush_entities;
  s->flush_entities = s->dirty_entities;
  s->flush_entities_at = 0;
  spare.count = 0;
  s->dirty_entities = spare;
}

bool entities_give(struct store_shard *s, size_t *given, size_t bytes_max) {
  const struct changed_entities *list = &s->flush_entities;
  for (; s->flush_entities_at < list->count && *given < bytes_max; s->flush_entities_at++) {
    struct entity_entry *e = list->entry[s->flush_entities_at];
    if (waits(s, e)) *given += give_copy(s, e);
  }
  return s->flush_entities_at == list->count;
}

// ---- frames ----
int entity_row(struct bytes row, struct entity **out, struct error *err) {
  struct buf block = {0};
  int rc = state_row_entity(row, &block, err);
  if (rc == 0) rc = entity_check(buf_bytes(&block), err);
  if (rc == 0) {
    *out = xmalloc(block.n);
    memcpy(*out, block.p, block.n);
  }
  buf_deinit(&block);
  return rc;
}

int entity_message(const struct frame *f, struct message *m, struct error *err) {
  struct bytes kind, body;
  *m = (struct message){.to = f->entity, .workspace = f->workspace, .at_ms = f->now_ms};
  if (f->kind != FRAME_MESSAGE || !mp_find(f->event, BYTES_LIT("kind"), &kind) ||
      !mp_find(f->event, BYTES_LIT("body"), &body))
    return error_set(err, ITD_ECORRUPT, "a frame of an entity of kind %u that is no message", f->entity_kind);
  struct mp_value number = mp_value_of(kind);
  m->kind = number.type == MP_INT && number.i > 0 && number.i <= UINT16_MAX ? (uint16_t)number.i : 0;
  m->body = body;
  const struct message_kind *known = message_kind_of(m->kind);
  if (!known || f->entity_kind >= ENTITY_KIND_END)
    return error_set(err, ITD_EVERSION, "a message of kind %u to an entity of kind %u; this intentd lacks one of them",
                     m->kind, f->entity_kind);
  if (f->from_n && decision_id_parse(f->cause, &m->from, &m->number, NULL) < 0)
    return error_set(err, ITD_ECORRUPT, "a message's frame does not name the frame that sent it");
  return 0;
}

int entity_fold(struct entity **entity, const struct frame *f, uint64_t place, struct error *err) {
  struct message m;
  int rc = entity_message(f, &m, err);
  if (rc) return rc;
  if (!*entity) *entity = entity_new((enum entity_kind)f->entity_kind, f->entity, f->workspace);
  struct message_effects effects = {0};
  message_apply(entity, &m, &effects);
  (*entity)->seq = f->seq;
  (*entity)->place = place;
  uint64_t digest = entity_digest(*entity);
  if (digest != f->digest)
    rc = error_set(err, ITD_ECORRUPT, "applying the message again gives state %016llx; the frame recorded %016llx",
                   (unsigned long long)digest, (unsigned long long)f->digest);
  else if (!bytes_eq(buf_bytes(&effects.messages), f->messages))
    rc = error_set(err, ITD_ECORRUPT, "applying the message again sends other messages than the frame recorded");
  message_effects_deinit(&effects);
  return rc;
}
