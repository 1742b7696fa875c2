// The store as a whole: opening and closing, hashes of who, versions, and the walk over everything.
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "store/forget_first.h"
#include "store/hold.h"
#include "store/shard.h"

// ---- open ----
static void derive(const struct store *store, const char *purpose, uint8_t key[16]) {
  struct buf b;
  uint8_t sum[SHA256_SIZE];
  buf_init(&b);
  buf_append(&b, store->dir.secret, sizeof store->dir.secret);
  buf_append_str(&b, purpose);
  sha256_of(buf_bytes(&b), sum);
  memcpy(key, sum, 16);
  buf_deinit(&b);
}

static int sync_shard(void *context, unsigned shard, struct error *err) {
  struct store *store = context;
  return journal_sync(store->shard[shard]->journal, err);
}

static int open_dir(struct store *store, struct error *err) {
  const struct store_options *o = &store->options;
  int rc = datadir_open(o->dir, o->partitions, o->seed, &store->dir, err);
  if (rc) return rc;
  if (o->shards < 1 || o->shards > store->dir.partitions)
    return error_set(err, ITD_EINVAL, "%u shards for %u partitions: there must be 1 to %u", o->shards,
                     store->dir.partitions, store->dir.partitions);
  derive(store, "identity", store->identity_key);
  derive(store, "message", store->message_key);
  derive(store, "entity", store->entity_key);
  return 0;
}

static int open_parts(struct store *store, struct error *err) {
  const struct store_options *o = &store->options;
  int rc = versions_open(o->dir, &store->versions, err);
  if (rc == 0) rc = quarantine_open(o->dir, o->quarantine_max, &store->quarantine, err);
  if (rc == 0) rc = state_open(o->dir, o->map_bytes, &store->state, err);
  if (rc == 0 && !o->is_without_dedupe)
    store->dedupe = dedupe_files_open(&(struct dedupe_files_options){.dir = o->dir,
                                                                     .partitions = store->dir.partitions,
                                                                     .window_ms = o->dedupe_window_ms,
                                                                     .sync = sync_shard,
                                                                     .context = store});
  if (rc == 0) rc = forget_open(store->dir.path, store->state, store->quarantine, &store->forget, err);
  return rc;
}

// Logs of a start with more shards: nothing is added to them, but what recovery read there must stay.
static int settle_vault(struct store *store, const struct recovery_result *result, struct error *err) {
  int rc = 0;
  for (unsigned i = store->options.shards; rc == 0 && i < 256; i++) {
    struct vault_tip tip = store->vault_tip[i], seen = result->vault_seen[i];
    struct vault *vault = NULL;
    if (!tip.end || (tip.number == seen.number && tip.end == seen.end)) continue;
    rc = vault_open(store->dir.path, i, tip, seen, &vault, err);
    vault_close(vault);
  }
  return rc;
}

static int open_logs(struct store *store, const struct recovery_result *result, struct error *err) {
  for (unsigned i = 0; i < store->options.shards; i++) {
    struct journal_options o = store->options.journal;
    o.dir = store->dir.path;
    o.log = i;
    o.session = store->session;
    o.partitions = store->dir.partitions;
    o.shards = store->options.shards;
    o.tips = result->tip;
    o.received_ms = result->received_ms;
    o.is_resharded = result->is_resharded;
    int rc = vault_open(store->dir.path, i, store->vault_tip[i], result->vault_seen[i], &store->shard[i]->vault, err);
    if (rc == 0) rc = journal_open(&o, &store->shard[i]->journal, err);
    if (rc) return rc;
  }
  return 0;
}

static void start_checkpoint(struct store *store, uint64_t journal_before) {
  struct checkpoint_shard shard[256];
  for (unsigned i = 0; i < store->options.shards; i++)
    shard[i] = (struct checkpoint_shard){.journal = store->shard[i]->journal, .vault = store->shard[i]->vault};
  store->checkpoint = checkpoint_start(&(struct checkpoint_options){.state = store->state,
                                                                    .forget = store->forget,
                                                                    .shards = store->options.shards,
                                                                    .shard = shard,
                                                                    .dedupe = store->dedupe,
                                                                    .interval_ms = store->options.checkpoint_ms,
                                                                    .dirty_max = store->options.dirty_max,
                                                                    .journal_max = store->options.checkpoint_journal,
                                                                    .journal_before = journal_before});
  for (unsigned i = 0; i < store->options.shards; i++) {
    const struct store_shard *s = store->shard[i];
    if (s->fresh_count) checkpoint_vault_dirty(store->checkpoint);
    for (size_t k = 0; k < s->dirty_count; k++)
      if (s->dirty[k]->round) checkpoint_dirty(store->checkpoint, s->dirty[k]->counted);
    for (size_t k = 0; k < s->dirty_entities.count; k++)
      checkpoint_dirty(store->checkpoint, s->dirty_entities.entry[k]->counted);
  }
}

static void start_keeper(struct store *store) {
  struct journal *journal[256];
  for (unsigned i = 0; i < store->options.shards; i++) journal[i] = store->shard[i]->journal;
  store->keeper = keeper_start(&(struct keeper_options){.keep = store->options.keep,
                                                        .archiver = store->archiver,
                                                        .dir = store->dir.path,
                                                        .partitions = store->dir.partitions,
                                                        .since_seq = store->dir.since.seq,
                                                        .shards = store->options.shards,
                                                        .window_ms = store->options.dedupe_window_ms,
                                                        .session = store->session,
                                                        .checkpoint = store->checkpoint,
                                                        .journal = journal});
}

static void start_sealer(struct store *store) {
  struct journal *journal[256];
  for (unsigned i = 0; i < store->options.shards; i++) journal[i] = store->shard[i]->journal;
  store->sealer = sealer_start(&(struct sealer_options){
      .dir = store->dir.path, .shards = store->options.shards, .journal = journal, .level = store->options.seal_level});
}

static int start_archiver(struct store *store, struct error *err) {
  const struct store_options *o = &store->options;
  bool is_wanted = (o->archive_dir && *o->archive_dir) || (o->archive_command && *o->archive_command);
  if (!is_wanted) return 0;
  if (!o->seal)
    return error_set(err, ITD_EINVAL,
                     "archive.dir and archive.command bring sealed segments away: they need journal.seal");
  return archiver_start(
      &(struct archiver_options){.dir = store->dir.path, .folder = o->archive_dir, .command = o->archive_command},
      &store->archiver, err);
}

struct archiver_stats store_archiving(const struct store *store) {
  return archiver_stats(store->archiver);
}

struct sealer_stats store_sealing(const struct store *store) {
  return sealer_stats(store->sealer);
}

void store_close_parts(struct store *store) {
  keeper_stop(store->keeper);
  archiver_stop(store->archiver);
  sealer_stop(store->sealer);
  checkpoint_stop(store->checkpoint);
  forget_close(store->forget);
  dedupe_files_stop(store->dedupe);
  for (unsigned i = 0; i < 256; i++) {
    shard_free(store->shard[i]);
    store->shard[i] = NULL;
  }
  dedupe_files_close(store->dedupe);
  quarantine_close(store->quarantine);
  versions_close(store->versions);
  state_close(store->state);
  store->keeper = NULL;
  store->sealer = NULL;
  store->archiver = NULL;
  store->checkpoint = NULL;
  store->forget = NULL;
  store->quarantine = NULL;
  store->versions = NULL;
  store->state = NULL;
  store->dedupe = NULL;
}

static void free_all(struct store *store) {
  store_close_parts(store);
  datadir_close(&store->dir);
  pthread_mutex_destroy(&store->release_lock);
  free(store);
}

int store_open_parts(struct store *store, struct store_recovery *recovery, struct error *err) {
  struct recovery_result *result = xcalloc(1, sizeof *result);
  store->release_ms = INT64_MIN;
  atomic_store(&store->last_release, 0);
  int rc = open_parts(store, err);
  for (unsigned i = 0; rc == 0 && i < store->options.shards; i++) store->shard[i] = shard_new(store, i);
  if (rc == 0) rc = recover(store, result, err);
  if (rc == 0) rc = settle_vault(store, result, err);
  if (rc == 0) rc = open_logs(store, result, err);
  if (rc == 0 && store->dedupe) rc = dedupe_files_start(store->dedupe, result->received_ms, err);
  if (rc == 0) forget_start(store->forget);
  if (rc == 0) start_checkpoint(store, result->folded_bytes);
  if (rc == 0) rc = start_archiver(store, err);
  if (rc == 0) start_keeper(store);
  if (rc == 0 && store->options.seal) start_sealer(store);
  uint64_t first = 0;
  if (rc == 0) rc = forget_first_apply(store, &first, err);
  result->recovery.forgotten += first;
  if (rc == 0 && recovery) *recovery = result->recovery;
  free(result);
  return rc;
}

int store_open(const struct store_options *options, struct store **out, struct store_recovery *recovery,
               struct error *err) {
  if (options->partitions < 1 || options->partitions > 256)
    return error_set(err, ITD_EINVAL, "partitions must be 1 to 256, not %u", options->partitions);
  struct store *store = xcalloc(1, sizeof *store);
  store->options = *options;
  store->dir.lock_fd = -1;
  pthread_mutex_init(&store->release_lock, NULL);
  int rc = open_dir(store, err);
  if (rc == 0) rc = store_open_parts(store, recovery, err);
  if (rc)
    free_all(store);
  else
    *out = store;
  return rc;
}

int store_reopen(struct store *store, struct store_recovery *recovery, struct error *err) {
  for (unsigned i = 0; i < store->options.shards; i++)
    if (store->shard[i]) shard_abandon(store->shard[i]);
  store_close_parts(store);
  int rc = store_open_parts(store, recovery, err);
  if (rc) store_close_parts(store);
  return rc;
}

// The last checkpoint: what a running cycle still lacks, and then one more for what changed since.
bool store_checkpoint(struct store *store) {
  if (!store->checkpoint) return false; // closed by a store_reopen that failed
  for (unsigned i = 0; i < store->options.shards; i++)
    if (!shard_can_give(store->shard[i]) || store_check(store->shard[i], NULL)) { // memory is ahead of the journal
      log_line(LOG_WARN, "last_checkpoint", "outcome=left_out note=\"the next start recovers from the journal\"");
      return false;
    }
  for (int round = 0; round < 2; round++) {
    uint32_t cycle = checkpoint_begin(store->checkpoint);
    for (unsigned i = 0; i < store->options.shards; i++)
      while (!shard_give(store->shard[i], SIZE_MAX)) {
      }
    if (!checkpoint_wait(store->checkpoint, cycle)) {
      log_line(LOG_WARN, "last_checkpoint", "outcome=failed note=\"the next start recovers from the journal\"");
      return false;
    }
  }
  return true;
}

void store_close(struct store *store) {
  if (!store) return;
  keeper_stop(store->keeper);
  store->keeper = NULL;
  store_checkpoint(store);
  free_all(store);
}

struct store_shard *store_shard(struct store *store, unsigned shard) {
  CHECK(shard < store->options.shards);
  return store->shard[shard];
}
struct keep_stats store_keep_stats(struct store *store) {
  return keeper_stats(store->keeper);
}
unsigned store_partitions(const struct store *store) { return store->dir.partitions; }
unsigned store_shard_of(const struct store *store, unsigned partition) { return partition % store->options.shards; }

// ---- who ----
static struct hash128 keyed(const uint8_t key[16], const void *head, size_t head_n, struct bytes tail) {
  uint8_t small[1024], *b = head_n + tail.n <= sizeof small ? small : xmalloc(head_n + tail.n);
  memcpy(b, head, head_n);
  if (tail.n) memcpy(b + head_n, tail.p, tail.n);
  struct hash128 h = hash128_keyed(key, bytes_of(b, head_n + tail.n));
  if (b != small) free(b);
  return h;
}

struct hash128 store_identity(const struct store *store, uint16_t workspace, enum identity_kind kind,
                              struct bytes value) {
  uint8_t head[3] = {(uint8_t)workspace, (uint8_t)(workspace >> 8), (uint8_t)kind};
  return keyed(store->identity_key, head, sizeof head, value);
}

struct lead_id store_entity_id(const struct store *store, enum entity_kind kind, uint16_t workspace,
                               struct bytes name) {
  uint8_t head[4] = {(uint8_t)workspace, (uint8_t)(workspace >> 8), (uint8_t)kind, (uint8_t)(kind >> 8)};
  return lead_of_key(keyed(store->entity_key, head, sizeof head, name));
}

unsigned store_slot_of(struct hash128 identity) { return (unsigned)(identity.hi % SLOTS); }
unsigned store_partition_of(const struct store *store, struct hash128 identity) {
  return slot_partition(store_slot_of(identity), store->dir.partitions);
}
unsigned store_partition_of_lead(const struct store *store, struct lead_id lead) {
  return slot_partition(lead_id_slot(lead), store->dir.partitions);
}

struct hash128 store_message(const struct store *store, struct hash128 identity, struct bytes message_id) {
  uint64_t head[2] = {htole64(identity.hi), htole64(identity.lo)};
  return message_in_slot(keyed(store->message_key, head, sizeof head, message_id), store_slot_of(identity));
}

// ---- versions ----
int store_version_put(struct store *store, struct policy *policy, uint32_t *number, struct error *err) {
  return versions_put(store->versions, policy, number, err);
}
struct policy *store_version(struct store *store, uint32_t number) {
  return versions_get(store->versions, number);
}
uint32_t store_last_release(const struct store *store) { return atomic_load(&store->last_release); }

bool store_has_leads(const struct store *store) {
  for (unsigned i = 0; i < store->options.shards; i++)
    if (store_stats(store->shard[i]).leads_in_memory) return true;
  return state_leads(store->state) > 0;
}

// ---- everything ----
struct filter {
  int partition;
  journal_visit visit;
  void *context;
};
static int visit_partition(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  const struct filter *f = context;
  return f->partition >= 0 && frame->partition != f->partition ? 0 : f->visit(f->context, frame, place, err);
}

int store_walk(const char *dir, int partition, journal_visit visit, void *context, struct error *err) {
  struct segment_info *list;
  size_t count;
  int shared = holds_share(dir), rc = segment_list(dir, &list, &count, err);
  if (rc) {
    holds_unlock(shared);
    return rc;
  }
  struct filter filter = {.partition = partition, .visit = visit, .context = context};
  struct scan *scan = xcalloc(1, sizeof *scan);
  *scan = (struct scan){.dir = dir, .visit = visit_partition, .context = &filter, .is_live = true};
  for (size_t i = 0; rc == 0 && i < count; i++) {
    struct scan_end end;
    rc = scan_segment(scan, &list[i], &end, err);
  }
  free(scan);
  segment_list_free(list, count);
  holds_unlock(shared);
  return rc;
}
