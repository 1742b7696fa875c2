// A shard's part of the store: its tables, and the calls of store.h that its thread makes.
#include "store/shard.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

#define SLICE_BYTES (256u << 10) // of copies for the checkpoint in one store_turn
#define UNSYNCED_MS 5            // how often it is looked whether what messages wait for is on disk

struct store_shard *shard_new(struct store *store, unsigned index) {
  struct store_shard *s = xcalloc(1, sizeof *s);
  s->store = store;
  s->index = index;
  s->round = 1;
  s->reader = journal_reader_new(store->dir.path);
  s->state = state_reader_new(store->state);
  s->who = vault_reader_new(store->dir.path);
  table_init(&s->leads, sizeof(struct lead_entry));
  table_init(&s->identities, sizeof(struct identity_entry));
  table_init(&s->entities, sizeof(struct entity_entry));
  s->outbox = outbox_new(&(struct outbox_options){.partitions = store->dir.partitions,
                                                  .shards = store->options.shards,
                                                  .index = index,
                                                  .bytes_max = store->options.outbox_max / store->options.shards,
                                                  .window = store->options.outbox_window,
                                                  .window_bytes = OUTBOX_WINDOW_BYTES,
                                                  .resend_ms = store->options.outbox_resend_ms,
                                                  .now_ms = (int64_t)(clock_mono_ns() / 1000000)});
  struct dedupe_options dedupe = {.files = store->dedupe,
                                  .shard = index,
                                  .max = store->options.dedupe_max / store->options.shards,
                                  .window_ms = store->options.dedupe_window_ms,
                                  .recent_ms = store->options.dedupe_recent_ms};
  for (unsigned slot = 0; slot < SLOTS; slot++)
    if (shard_owns(s, slot_partition(slot, store->dir.partitions))) slots_add(&dedupe.slots, slot);
  dedupe_init(&s->dedupe, &dedupe);
  due_init(&s->due);
  seal_init(&s->seal);
  return s;
}

void shard_abandon(struct store_shard *s) {
  if (s->journal) journal_abandon(s->journal);
}

void shard_free(struct store_shard *s) {
  if (!s) return;
  journal_close(s->journal);
  vault_close(s->vault);
  journal_reader_free(s->reader);
  state_reader_free(s->state);
  vault_reader_free(s->who);
  while (s->forgetting) { // their frames were never committed
    struct forget_job *job = s->forgetting;
    struct error err = {0};
    s->forgetting = job->next;
    forget_job_end(job, error_set(&err, ITD_ESHUTDOWN, "the daemon stopped before that"), &err);
  }
  for (size_t i = 0; i < table_count(&s->leads); i++) lead_free(((struct lead_entry *)table_at(&s->leads, i))->lead);
  table_deinit(&s->leads);
  table_deinit(&s->identities);
  for (size_t i = 0; i < table_count(&s->entities); i++)
    entity_free(((struct entity_entry *)table_at(&s->entities, i))->entity);
  table_deinit(&s->entities);
  outbox_free(s->outbox);
  free(s->dirty_entities.entry);
  free(s->flush_entities.entry);
  free(s->unsent);
  dedupe_deinit(&s->dedupe);
  due_deinit(&s->due);
  buf_deinit(&s->scratch);
  buf_deinit(&s->record);
  free(s->dirty);
  free(s->flush);
  checkpoint_chunk_free(s->chunk);
  if (s->fresh) explicit_bzero(s->fresh, s->fresh_count * sizeof *s->fresh);
  free(s->fresh);
  checkpoint_part_free(s->part);
  free(s);
}

bool shard_owns(const struct store_shard *s, unsigned partition) {
  return partition < s->store->dir.partitions && partition % s->store->options.shards == s->index;
}

// ---- leads ----
struct lead_entry *shard_entry(struct store_shard *s, struct lead_id id) {
  struct hash128 key = lead_key(id);
  struct lead_entry *e = table_find(&s->leads, key);
  return e ? e : table_add(&s->leads, key);
}

// Its block from LMDB, into scratch.
static int read_lead(struct store_shard *s, struct lead_id id, struct error *err) {
  struct buf sealed = {0};
  int rc = state_lead(s->state, id, &sealed, err);
  buf_clear(&s->scratch);
  const struct lead_entry *e = rc ? NULL : shard_key(s, id); // uses scratch itself
  buf_clear(&s->scratch);
  if (rc == 0 && !e) rc = error_set(err, ITD_ECORRUPT, "a lead's key is gone, and it was not forgotten");
  if (rc == 0) rc = seal_open(&s->seal, e->key, id, buf_bytes(&sealed), &s->scratch, err);
  if (rc == 0) rc = lead_check(buf_bytes(&s->scratch), err);
  buf_deinit(&sealed);
  return rc;
}

// Whoever asks for a lead may change it. A checkpoint is a cut: what a cycle has still to copy is copied before that.
struct lead *store_lead(struct store_shard *s, struct lead_id id) {
  struct lead_entry *e = table_find(&s->leads, lead_key(id));
  if (e && shard_waits(s, e)) shard_give_copy(s, e);
  if (e && (e->lead || (e->head.flags & LEAD_WAS_SOUGHT))) return e->lead;
  if (!shard_may_ask_state(s) || forget_has(s->store->forget, id)) return NULL;
  struct error err = {0};
  int rc = read_lead(s, id, &err);
  if (rc && rc != ITD_ENOTFOUND) shard_die_of(&err);
  if (rc) {
    if (e) e->head.flags |= LEAD_WAS_SOUGHT;
    return NULL;
  }
  count_up(&s->counters.lead_reads);
  count_up(&s->counters.leads);
  e = shard_entry(s, id);
  e->lead = xmalloc(s->scratch.n);
  memcpy(e->lead, s->scratch.p, s->scratch.n);
  explicit_bzero(s->scratch.p, s->scratch.n);
  e->place = e->lead->place;
  return e->lead;
}

void store_put(struct store_shard *s, struct lead *lead) {
  struct lead_entry *e = shard_entry(s, lead->id);
  CHECK(!shard_waits(s, e)); // its old state would be lost to the running cycle
  if (!e->lead) count_up(&s->counters.leads);
  e->lead = lead;
  e->place = lead->place;
  due_set(&s->due, lead->id, engine_due(lead));
  if (e->round) return;
  e->round = s->round;
  if (s->dirty_count == s->dirty_cap)
    s->dirty = xrealloc(s->dirty, (s->dirty_cap = s->dirty_cap ? s->dirty_cap * 2 : 1024) * sizeof *s->dirty);
  s->dirty[s->dirty_count++] = e;
  e->counted = (uint32_t)lead_size(lead);
  if (s->store->checkpoint) checkpoint_dirty(s->store->checkpoint, e->counted);
}

bool store_due(struct store_shard *s, int64_t now_ms, struct lead_id *lead) { return due_take(&s->due, now_ms, lead); }
int64_t store_next_due(const struct store_shard *s) { return due_next(&s->due); }

// ---- frames ----
// Whether a message was seen cannot be guessed either: the next start makes the files again from the journal.
uint64_t store_seen(struct store_shard *s, struct hash128 message, int64_t received_ms) {
  struct error err = {0};
  uint64_t place;
  if (dedupe_find(&s->dedupe, message, received_ms, &place, &err)) {
    dedupe_files_distrust(s->store->dedupe);
    shard_die_of(&err);
  }
  return place;
}

bool shard_has_message(const struct frame *frame) {
  bool may_have = frame->kind == FRAME_EVENT || frame->kind == FRAME_STOPPED || frame->kind == FRAME_REFUSED ||
                  frame->kind == FRAME_MESSAGE;
  return may_have && (frame->message.hi || frame->message.lo);
}

static void remember_message(struct store_shard *s, const struct frame *frame, uint64_t place) {
  if (!shard_has_message(frame)) return;
  CHECK(slot_partition(message_slot(frame->message), s->store->dir.partitions) == frame->partition);
  dedupe_add(&s->dedupe, frame->message, place, frame->received_ms);
}

void shard_release(struct store_shard *s, const struct frame *frame) {
  struct partition_state *p = &s->partition[frame->partition];
  p->release = frame->policy;
  p->release_ms = frame->received_ms;
  struct store *store = s->store;
  pthread_mutex_lock(&store->release_lock);
  if (frame->received_ms >= store->release_ms) {
    store->release_ms = frame->received_ms;
    atomic_store(&store->last_release, frame->policy);
  }
  pthread_mutex_unlock(&store->release_lock);
}

// Which release is the newest is told by the frames' arrival: a clock that was set back must not make an older one newest.
static void stamp_release(struct store *store, struct frame *frame) {
  pthread_mutex_lock(&store->release_lock);
  bool is_another = frame->policy != atomic_load(&store->last_release);
  if (store->release_ms != INT64_MIN && frame->received_ms < store->release_ms + is_another)
    frame->received_ms = store->release_ms + is_another;
  pthread_mutex_unlock(&store->release_lock);
}

// Numbers and keeps what a frame sends, and counts what it received. What a frame is made from was checked.
static void stage_messages(struct store_shard *s, const struct frame *f, uint64_t place) {
  struct error err = {0};
  int rc = f->from_n ? outbox_received(s->outbox, f->partition, f->from, f->from_n, place, &err) : 0;
  struct message sender = {.from = f->entity, .number = f->number, .workspace = f->workspace, .at_ms = f->now_ms};
  if (rc == 0 && f->messages.n) rc = outbox_sent(s->outbox, &sender, f->partition, f->messages, place, &err);
  CHECK(rc == 0);
}

uint64_t store_append(struct store_shard *s, struct frame *frame) {
  CHECK(shard_owns(s, frame->partition));
  if (frame->kind == FRAME_RELEASE) stamp_release(s->store, frame);
  struct lead_entry *e = NULL;
  frame->epoch = s->store->session;
  frame->seq = journal_seq(s->journal, frame->partition) + 1;
  if (frame->kind != FRAME_RELEASE && frame->kind != FRAME_REFUSED && frame->entity_kind == ENTITY_LEAD) {
    e = shard_entry(s, frame->entity);
    frame->previous = e->place;
  }
  uint64_t place = journal_stage(s->journal, frame);
  if (e) e->place = place;
  if (frame->kind == FRAME_RELEASE) shard_release(s, frame);
  remember_message(s, frame, place);
  stage_messages(s, frame, place);
  return place;
}

bool store_is_staged(struct store_shard *s, struct lead_id id) {
  const struct lead_entry *e = table_find(&s->leads, lead_key(id));
  struct frame frame;
  return e && e->place && journal_peek(s->journal, e->place, &frame);
}

int store_check(const struct store_shard *s, struct error *err) {
  if (journal_is_failed(s->journal)) return error_set(err, ITD_EIO, "a sync of the journal failed");
  if (forget_is_broken(s->store->forget))
    return error_set(err, ITD_EIO, "what was to be forgotten could not be erased");
  return state_is_dead(s->store->state) ? error_set(err, ITD_EIO, "state: LMDB could not write its root page") : 0;
}

bool store_is_dirty(const struct store_shard *s) { return journal_staged(s->journal) || vault_is_staged(s->vault); }

// The vault first: a frame must never be on disk before its lead's key and name are. An identity whose frame is lost
// waits for the sender's retry.
int store_commit(struct store_shard *s, struct error *err) {
  if (vault_is_staged(s->vault)) {
    int rc = vault_commit(s->vault, err);
    if (rc) return rc;
    checkpoint_vault_dirty(s->store->checkpoint);
  }
  int rc = journal_commit(s->journal, err);
  if (rc == 0) outbox_synced(s->outbox, journal_synced(s->journal));
  if (rc == 0 && s->forgetting) shard_give_forgotten(s);
  return rc;
}

int store_sync(struct store_shard *s, struct error *err) { return journal_sync(s->journal, err); }

bool store_give(struct store_shard *s, int64_t now_ms, const struct outbox_transport *transport, int64_t *due_ms) {
  outbox_synced(s->outbox, journal_synced(s->journal));
  bool is_left = outbox_give(s->outbox, now_ms, transport);
  *due_ms = outbox_due(s->outbox);
  if (journal_staged(s->journal) || !outbox_waits(s->outbox)) return is_left;
  // Written, and not on disk: nobody asks for a sync under SYNC_OFF, and messages wait for one.
  if (s->store->options.journal.sync == SYNC_OFF) journal_ask_sync(s->journal);
  *due_ms = now_ms + UNSYNCED_MS;
  return is_left;
}

bool store_outbox_full(struct store_shard *s) { return outbox_is_full(s->outbox); }

int store_read(struct store_shard *s, uint64_t place, struct buf *raw, struct frame *frame, struct error *err) {
  if (!journal_peek(s->journal, place, frame)) return journal_read(s->reader, place, raw, frame, err);
  // The views must outlive the staging buffer's next growth.
  struct bytes *section[FRAME_SECTIONS];
  frame_sections(frame, section);
  const uint8_t *from = section[0]->p;
  size_t n = 0;
  for (int i = 0; i < FRAME_SECTIONS; i++) n += section[i]->n;
  buf_clear(raw);
  buf_append(raw, from, n);
  for (int i = 0; i < FRAME_SECTIONS; i++) section[i]->p = raw->p + (section[i]->p - from);
  return 0;
}

// ---- the checkpoint's copies ----
bool shard_can_give(const struct store_shard *s) { return !store_is_dirty(s); }

static unsigned dedupe_tips(const struct store_shard *s, struct dedupe_tip tips[256]) {
  unsigned count = 0;
  for (unsigned p = s->index; p < s->store->dir.partitions; p += s->store->options.shards)
    tips[count++] = (struct dedupe_tip){.partition = (uint16_t)p, .seq = journal_seq(s->journal, p)};
  return count;
}

static void begin_giving(struct store_shard *s, uint32_t cycle) {
  bool is_first = s->cycle == 0;
  s->cycle = cycle;
  s->is_giving = true;
  struct lead_entry **list = s->flush;
  size_t cap = s->flush_cap;
  s->flush = s->dirty, s->flush_cap = s->dirty_cap, s->flush_count = s->dirty_count, s->flush_at = 0;
  s->dirty = list, s->dirty_cap = cap, s->dirty_count = 0;
  if (!++s->round) s->round = 1;
  entities_begin(s);

  struct checkpoint_part *part = s->part = xcalloc(1, sizeof *part);
  for (unsigned p = s->index; p < s->store->dir.partitions; p += s->store->options.shards) {
    struct journal_tip tip = journal_tip(s->journal, p);
    struct state_progress *progress = &part->progress[part->count];
    outbox_save(s->outbox, p, tip.seq, &part->channels[part->count]);
    part->partition[part->count++] = (uint16_t)p;
    *progress = (struct state_progress){.seq = tip.seq,
                                        .release_ms = s->partition[p].release_ms,
                                        .release = s->partition[p].release,
                                        .received_ms = tip.received_ms};
    memcpy(progress->chain, tip.chain, sizeof progress->chain);
  }
  memcpy(part->made, s->made, sizeof part->made);
  struct dedupe_tip tips[256];
  dedupe_log_begin(&s->dedupe, &part->messages, tips, dedupe_tips(s, tips));
  part->who = s->fresh, part->who_count = s->fresh_count;
  s->fresh = NULL;
  s->fresh_count = s->fresh_cap = 0;
  part->log[part->logs] = (uint16_t)s->index;
  part->tip[part->logs++] = vault_tip(s->vault);
  // Logs of a start with more shards: nothing is added to them, but what recovery read there is given now.
  for (unsigned log = s->store->options.shards; s->index == 0 && is_first && log < 256; log++) {
    if (!s->store->vault_tip[log].end) continue;
    part->log[part->logs] = (uint16_t)log;
    part->tip[part->logs++] = s->store->vault_tip[log];
  }
}

uint8_t *shard_copy(struct store_shard *s, const uint8_t *key, struct lead_id id, int64_t due_ms, size_t n,
                    size_t counted) {
  struct checkpoint *c = s->store->checkpoint;
  for (;;) {
    if (!s->chunk) s->chunk = checkpoint_chunk_new(c);
    uint8_t *to =
        key ? checkpoint_copy(s->chunk, id, due_ms, key, n, counted) : checkpoint_copy_entity(s->chunk, id, n, counted);
    if (to) return to;
    checkpoint_give(c, s->chunk);
    s->chunk = NULL;
  }
}

// Copies a lead for the running cycle; returns its size.
size_t shard_give_copy(struct store_shard *s, struct lead_entry *e) {
  size_t n = lead_size(e->lead);
  CHECK(shard_key(s, e->lead->id) == e);
  memcpy(shard_copy(s, e->key, e->lead->id, engine_due(e->lead), n, e->counted), e->lead, n);
  e->round = 0;
  return n;
}

bool shard_give(struct store_shard *s, size_t bytes_max) {
  struct checkpoint *c = s->store->checkpoint;
  uint32_t cycle = checkpoint_cycle(c);
  if (!s->is_giving) {
    if (cycle == s->cycle) return true;
    begin_giving(s, cycle);
  }
  size_t given = 0;
  for (; s->flush_at < s->flush_count && given < bytes_max; s->flush_at++) {
    struct lead_entry *e = s->flush[s->flush_at];
    if (shard_waits(s, e)) given += shard_give_copy(s, e);
  }
  if (!entities_give(s, &given, bytes_max) || s->flush_at < s->flush_count) return false;
  if (!dedupe_log_more(&s->dedupe, &s->part->messages, bytes_max / sizeof(struct dedupe_record) + 1024)) return false;
  if (s->chunk) checkpoint_give(c, s->chunk);
  s->chunk = NULL;
  s->is_giving = false;
  checkpoint_done(c, s->index, s->part);
  s->part = NULL;
  return true;
}

bool store_turn(struct store_shard *s, int64_t now_ms) {
  (void)now_ms;
  checkpoint_journal_bytes(s->store->checkpoint);
  bool is_full = checkpoint_is_full(s->store->checkpoint);
  if (!shard_can_give(s)) return is_full;
  shard_give(s, SLICE_BYTES);
  if (s->is_giving) return is_full; // a generation must not end within a cycle's cut
  struct dedupe_tip tips[256];
  return dedupe_turn(&s->dedupe, tips, dedupe_tips(s, tips)) || is_full;
}

// ---- the rest ----
struct quarantine *store_quarantine_of(struct store *store) {
  return store->quarantine;
}
void store_quarantine(struct store_shard *s, const struct error *reason, struct bytes event, int64_t received_ms) {
  if (quarantine_add(s->store->quarantine, reason, event, received_ms)) count_up(&s->counters.quarantined);
}
void store_count_quarantined(struct store_shard *s, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) count_up(&s->counters.quarantined);
}

struct store_stats store_stats(const struct store_shard *s) {
  const struct shard_counters *c = &s->counters;
  const struct dedupe *d = &s->dedupe;
  struct checkpoint_stats checkpoint = checkpoint_stats(s->store->checkpoint);
  struct forget_stats forget = forget_stats(s->store->forget);
  struct dedupe_files_stats files = {0};
  if (s->store->dedupe) files = dedupe_files_stats(s->store->dedupe);
#define READ(name) atomic_load_explicit(&c->name, memory_order_relaxed)
  return (struct store_stats){.leads_in_memory = READ(leads),
                              .identities_in_memory = READ(identities),
                              .dirty_bytes = checkpoint_dirty_bytes(s->store->checkpoint),
                              .journal_bytes = checkpoint_journal_bytes(s->store->checkpoint),
                              .dedupe_entries = atomic_load_explicit(&d->entries, memory_order_relaxed),
                              .dedupe_file_hits = atomic_load_explicit(&d->file_hits, memory_order_relaxed),
                              .dedupe_false_positives = atomic_load_explicit(&d->false_positives, memory_order_relaxed),
                              .dedupe_files = files.files,
                              .dedupe_file_entries = files.entries,
                              .dedupe_filter_bytes = files.filter_bytes,
                              .dedupe_merges = files.merges,
                              .dedupe_failures = files.failures,
                              .checkpoints = checkpoint.checkpoints,
                              .checkpoint_failures = checkpoint.failures,
                              .lead_reads = READ(lead_reads),
                              .quarantined = READ(quarantined),
                              .entities_in_memory = READ(entities),
                              .outbox = outbox_stats(s->outbox),
                              .forgotten = forget.done,
                              .forget_failures = forget.failures,
                              .journal = journal_stats(s->journal)};
#undef READ
}
