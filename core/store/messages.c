// What comes to this shard's entities: messages that others sent, and those from outside. Applying one is a frame.
#include "store/intake_private.h"
#include "store/merge.h"
#include "store/pools.h"
#include "store/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void count_more(_Atomic uint64_t *counter, uint64_t n) {
  if (n) atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static void count_hits(struct intake *in) {
  const struct message_hits *hits = &in->effects.hits;
  count_more(&in->counters.people_evicted, hits->evicted);
  count_more(&in->counters.copies_dropped, hits->dropped);
  count_more(&in->counters.copies_idle, hits->idle);
  count_more(&in->counters.traits_dropped, hits->traits);
  count_more(&in->counters.pool_grants, hits->granted);
  count_more(&in->counters.pool_waits, hits->waits);
  count_more(&in->counters.pool_full, hits->full);
}

// Applies a message and stages its frame. The answer is in in->effects.
static void apply(struct intake *in, const struct message *message, const struct arrival *arrival) {
  struct message m = *message;
  const struct message_kind *kind = message_kind_of(m.kind);
  CHECK(kind);
  if (kind->entity == ENTITY_LEAD) {
    m.kind == MESSAGE_POOL_GRANT ? pools_grant(in, message, arrival) : merge_apply(in, message, arrival);
    return;
  }
  struct entity *e = store_entity(in->shard, m.to);
  if (!e) e = entity_new(kind->entity, m.to, m.workspace);
  if (e->now_ms > m.at_ms) m.at_ms = e->now_ms;
  uint64_t hash = message_apply(&e, &m, &in->effects);
  count_hits(in);
  put_message(&in->clear, m.kind, m.body);
  struct frame frame = {.kind = FRAME_MESSAGE,
                        .entity_kind = e->kind,
                        .entity = m.to,
                        .partition = (uint16_t)store_partition_of_lead(in->store, m.to),
                        .now_ms = e->now_ms,
                        .received_ms = arrival->received_ms,
                        .number = e->number,
                        .previous = e->place,
                        .from = arrival->from,
                        .from_n = arrival->from_n,
                        .message = arrival->message,
                        .digest = entity_digest(e),
                        .hash = hash,
                        .event = buf_bytes(&in->clear),
                        .messages = buf_bytes(&in->effects.messages),
                        .decision = buf_bytes(&in->effects.answer),
                        .cause = arrival->cause};
  intake_stamp(in, &frame);
  frame.workspace = m.workspace;
  e->place = store_append(in->shard, &frame);
  e->seq = frame.seq;
  store_put_entity(in->shard, e);
  shard_note_account(in->shard, e, arrival->received_ms);
}

struct taking {
  struct intake *in;
  int64_t received_ms;
};

static int apply_next(void *context, unsigned to, unsigned from, uint64_t n, const struct message *message,
                      struct error *err) {
  (void)err;
  struct taking *t = context;
  char cause[LEAD_ID_TEXT + 12];
  lead_id_format(message->from, cause);
  snprintf(cause + LEAD_ID_TEXT - 1, sizeof cause - LEAD_ID_TEXT + 1, "-%u", message->number);
  CHECK(store_partition_of_lead(t->in->store, message->to) == to);
  apply(
      t->in, message,
      &(struct arrival){.from = (uint16_t)from, .from_n = n, .cause = bytes_str(cause), .received_ms = t->received_ms});
  return 0;
}

int intake_take(struct intake *in, struct bytes batch, int64_t received_ms, struct error *err) {
  struct taking taking = {in, received_ms};
  return outbox_take(in->shard->outbox, batch, apply_next, &taking, err);
}

int intake_tell(struct intake *in, const struct message *message, struct hash128 id, struct bytes cause,
                int64_t received_ms, struct buf *answer, struct error *err) {
  int rc = message_check(message->kind, message->body, err);
  if (rc) return rc;
  if (message_kind_of(message->kind)->entity == ENTITY_LEAD)
    return error_set(err, ITD_EINVAL, "leads alone send messages of kind %u", message->kind);
  bool has_id = id.hi || id.lo;
  if (has_id) id = message_in_slot(id, lead_id_slot(message->to));
  uint64_t place = has_id ? store_seen(in->shard, id, received_ms) : 0;
  if (place) {
    struct frame frame;
    rc = store_read(in->shard, place, &in->raw, &frame, err);
    if (rc == 0) buf_append_bytes(answer, frame.decision);
    return rc;
  }
  struct message m = *message;
  m.from = (struct lead_id){{0}};
  m.number = 0;
  apply(in, &m, &(struct arrival){.message = id, .cause = cause, .received_ms = received_ms});
  buf_append_bytes(answer, buf_bytes(&in->effects.answer));
  return 0;
}

// ---- alone ----
// A shard that sends to itself all the time must not keep the others' out.
static bool has_room(void *context, unsigned shard) {
  const struct buf *batch = context;
  return batch[shard].n < OUTBOX_BATCH_BYTES;
}

static void give(void *context, unsigned shard, struct bytes batch) {
  buf_append_bytes((struct buf *)context + shard, batch);
}

// One turn of a shard. *has_come: there was something for it.
static int settle_turn(struct intake *in, struct buf *batches, int64_t received_ms, bool *has_come, struct error *err) {
  struct buf *mine = &batches[in->index];
  int64_t due_ms;
  int rc = mine->n ? intake_take(in, buf_bytes(mine), received_ms, err) : 0;
  *has_come |= mine->n != 0;
  buf_clear(mine);
  if (rc == 0) rc = store_commit(in->shard, err);
  if (rc) return rc;
  store_turn(in->shard, received_ms);
  store_give(in->shard, (int64_t)(clock_mono_ns() / 1000000),
             &(struct outbox_transport){.has_room = has_room, .give = give, .context = batches}, &due_ms);
  return 0;
}

int intake_settle(struct store *store, struct intake *const *intakes, int64_t received_ms, struct error *err) {
  unsigned shards = store->options.shards;
  struct buf *batches = xcalloc(shards, sizeof *batches);
  int rc = 0;
  for (unsigned i = 0; i < shards; i++) outbox_recall(intakes[i]->shard->outbox);
  for (uint64_t pending = 1; rc == 0 && pending;) {
    bool has_come = false;
    pending = 0;
    for (unsigned i = 0; rc == 0 && i < shards; i++) rc = settle_turn(intakes[i], batches, received_ms, &has_come, err);
    for (unsigned i = 0; i < shards; i++) pending += outbox_stats(intakes[i]->shard->outbox).pending + batches[i].n;
    if (!has_come && pending) usleep(200); // for a sync by the thread beside
  }
  for (unsigned i = 0; i < shards; i++) buf_deinit(&batches[i]);
  free(batches);
  return rc;
}
