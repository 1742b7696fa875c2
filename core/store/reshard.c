#include "store/reshard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "store/base.h"
#include "store/disk.h"
#include "store/intake.h"
#include "store/rebuild.h"
#include "store/shard.h"
#include "store/switch.h"

// ---- what is under way between entities ----
// A message is applied under the release that was in force last.
static int prepare(struct store *store, struct intake *intake, struct error *err) {
  struct release release = {.number = store_last_release(store)};
  release.policy = release.number ? store_version(store, release.number) : NULL;
  if (!release.policy)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy, which is in force, does not load", release.number);
  struct workspace_switch switched;
  int rc = switch_read(store->dir.path, &switched, err);
  release.switched = switched.to;
  if (rc == 0) rc = intake_prepare(intake, &release, err);
  if (rc == 0) intake_use(intake, "reshard", NULL);
  return rc;
}

static int deliver(struct store *store, uint64_t *count, struct error *err) {
  *count = outbox_stats(store_shard(store, 0)->outbox).pending;
  if (!*count) return 0;
  struct intake_options in = {.clock = ENGINE_CLOCK_EVENT, .limits = EVENT_LIMITS_DEFAULT, .vm = VM_LIMITS_DEFAULT};
  struct intake *intake = intake_new(store, 0, &in);
  int rc = prepare(store, intake, err);
  if (rc == 0) rc = intake_settle(store, &intake, clock_wall_ms(), err);
  intake_free(intake);
  return rc;
}

// ---- rows, and what they come to ----
struct tally {
  uint64_t leads, entities, digest;
};

static void count_row(struct tally *t, uint8_t table, struct bytes key, struct bytes value) {
  if (table != ROW_LEAD && table != ROW_ENTITY && table != ROW_MADE) return;
  t->leads += table == ROW_LEAD;
  t->entities += table == ROW_ENTITY;
  t->digest += hash_mix(hash_mix(hash64(key), table), hash64(value)); // in whatever order they come
}

static int see_row(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  (void)err;
  count_row(context, table, key, value);
  return 0;
}

static int count_state(struct state *state, unsigned partitions, struct tally *t, struct error *err) {
  struct state_snapshot *snapshot;
  *t = (struct tally){0};
  int rc = state_snapshot_open(state, &snapshot, err);
  if (rc) return rc;
  for (unsigned p = 0; rc == 0 && p < partitions; p++)
    rc = state_snapshot_rows(snapshot, p, partitions, see_row, t, err);
  state_snapshot_close(snapshot);
  return rc;
}

static int compare(const struct tally *is, const struct tally *was, const char *where, struct error *err) {
  if (is->leads == was->leads && is->entities == was->entities && is->digest == was->digest) return 0;
  return error_set(err, ITD_ECORRUPT,
                   "%s hold %llu leads and %llu entities with the digest %016llx; before there were %llu and %llu with "
                   "%016llx",
                   where, (unsigned long long)is->leads, (unsigned long long)is->entities,
                   (unsigned long long)is->digest, (unsigned long long)was->leads, (unsigned long long)was->entities,
                   (unsigned long long)was->digest);
}

// ---- bases of the new partitions ----
struct resharding {
  struct store *store;
  struct state *state;
  struct reshard_result *result;
  struct journal_boundary since;
  struct state_progress before[256], after[256];
  struct tally tally; // of the state
  int64_t made_ms;
};

static int write_row(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  if (table == ROW_PROGRESS || table == ROW_CHANNELS) return 0; // of former partitions
  return base_row(context, table, key, value, err);
}

static int write_progress(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  return base_row(context, table, key, value, err);
}

static int write_base(struct resharding *r, struct state_snapshot *snapshot, unsigned partition, struct error *err) {
  unsigned partitions = r->result->after;
  const struct state_progress *progress = &r->after[partition];
  struct base_head head = {.partition = partition,
                           .partitions = partitions,
                           .seq = progress->seq,
                           .made_ms = r->made_ms,
                           .received_ms = progress->received_ms,
                           .session = r->store->session};
  memcpy(head.chain, progress->chain, sizeof head.chain);
  struct base_writer *w;
  int rc = base_begin(r->store->dir.path, &head, &w, err);
  if (rc) return rc;
  rc = state_snapshot_rows(snapshot, partition, partitions, write_row, w, err);
  if (rc == 0) rc = state_visit_progress(partition, progress, write_progress, w, err);
  if (rc == 0) return base_end(w, err);
  base_abort(w);
  return rc;
}

static int write_bases(struct resharding *r, struct error *err) {
  struct state_snapshot *snapshot;
  int rc = state_snapshot_open(r->state, &snapshot, err);
  if (rc) return rc;
  for (unsigned p = 0; rc == 0 && p < r->result->after; p++) rc = write_base(r, snapshot, p, err);
  state_snapshot_close(snapshot);
  return rc;
}

// What lies there now, read again from its first byte to its last.
static int check_bases(struct resharding *r, struct error *err) {
  struct base_info *list;
  size_t count;
  struct tally tally = {0};
  int rc = base_list(r->store->dir.path, &list, &count, err);
  if (rc) return rc;
  base_only(list, &count, r->result->after, r->since.seq);
  if (count != r->result->after) rc = error_set(err, ITD_EIO, "%zu of %u new bases are there", count, r->result->after);
  for (size_t i = 0; rc == 0 && i < count; i++) {
    rc = base_check(r->store->dir.path, &list[i], err);
    if (rc == 0) rc = base_read(r->store->dir.path, &list[i], see_row, &tally, err);
    r->result->bytes += list[i].bytes;
  }
  base_list_free(list);
  return rc ? rc : compare(&tally, &r->tally, "the new bases", err);
}

static void drop_bases(const struct resharding *r) {
  for (unsigned p = 0; p < r->result->after; p++) {
    char path[4096];
    base_path(path, r->store->dir.path, p, r->since.seq);
    int e = disk_unlink(path);
    if (e && e != ENOENT) log_line(LOG_WARN, "base_unlink", "error=%s", log_quote(strerror(e)));
  }
}

// ---- the change ----
// Everything up to the last frame is in LMDB: where the journals end, so does it.
static int take_progress(struct resharding *r, const struct journal_tip *tip, struct error *err) {
  struct state_reader *reader = state_reader_new(r->state);
  int rc = 0;
  for (unsigned p = 0; rc == 0 && p < r->result->before; p++) {
    rc = state_progress(reader, p, &r->before[p], err);
    if (rc == ITD_ENOTFOUND && !tip[p].seq) rc = 0;
    if (rc == 0 && (r->before[p].seq != tip[p].seq || memcmp(r->before[p].chain, tip[p].chain, SHA256_SIZE) != 0))
      rc = error_set(err, ITD_ECORRUPT, "partition %u: the state ends with frame %llu, the journal with %llu", p,
                     (unsigned long long)r->before[p].seq, (unsigned long long)tip[p].seq);
  }
  state_reader_free(reader);
  return rc;
}

static int write_and_switch(struct resharding *r, const struct journal_tip *tip, struct error *err) {
  struct store *store = r->store;
  int rc = state_open(store->dir.path, store->options.map_bytes, &r->state, err);
  if (rc) return rc;
  rc = take_progress(r, tip, err);
  if (rc == 0) {
    journal_boundary_of(r->result->before, tip, r->result->after, &r->since);
    CHECK(rebuild_renumber(r->before, &r->since, r->result->after, r->after));
    r->result->seq = r->since.seq;
    rc = count_state(r->state, r->result->before, &r->tally, err);
  }
  if (rc == 0) {
    rc = write_bases(r, err);
    if (rc == 0) rc = check_bases(r, err);
    if (rc == 0) rc = base_set_write(store->dir.path, r->made_ms, err);
    if (rc) drop_bases(r); // or else the next start does
  }
  state_close(r->state);
  r->state = NULL;
  return rc ? rc : datadir_renumber(&store->dir, r->result->after, &r->since, err);
}

static int change(struct resharding *r, struct error *err) {
  struct store *store = r->store;
  struct journal_tip tip[256];
  int rc = deliver(store, &r->result->messages, err);
  if (rc) return rc;
  keeper_stop(store->keeper);
  store->keeper = NULL;
  if (!store_checkpoint(store)) return error_set(err, ITD_EIO, "the state could not be brought up to date");
  for (unsigned p = 0; p < r->result->before; p++) tip[p] = journal_tip(shard_of(store, p)->journal, p);
  store_close_parts(store);
  store->options.journal.segment_bytes = SEGMENT_BYTES_MIN;
  rc = write_and_switch(r, tip, err);
  if (rc) return rc;
  struct tally after;
  rc = store_open_parts(store, NULL, err);
  if (rc == 0) rc = count_state(store->state, r->result->after, &after, err);
  return rc ? rc : compare(&after, &r->tally, "the new partitions", err);
}

int store_reshard(const struct reshard_options *options, struct reshard_result *result, struct error *err) {
  struct store_options open = STORE_OPTIONS_DEFAULT;
  char format[4096];
  *result = (struct reshard_result){.before = store_partitions_in(options->dir), .after = options->partitions};
  snprintf(format, sizeof format, "%s/format", options->dir);
  if (options->partitions < 1 || options->partitions > 256)
    return error_set(err, ITD_EINVAL, "partitions must be 1 to 256, not %u", options->partitions);
  if (access(format, F_OK) != 0) // opening would make a new one
    return error_set(err, ITD_ENOTFOUND, "%s is no data directory: it has no file \"format\"", options->dir);
  if (result->before == result->after)
    return error_set(err, ITD_EINVAL, "%s has %u partitions already", options->dir, result->after);
  open.dir = options->dir;
  if (options->map_bytes) open.map_bytes = options->map_bytes;
  open.journal.segment_bytes = 8u << 20; // hardly anything is written: messages
  open.seal = false;
  open.is_without_dedupe = true;
  open.keep = (struct keep_options){.base_interval_ms = INT64_MAX, .base_bytes = UINT64_MAX, .bases = UINT32_MAX};
  struct resharding *r = xcalloc(1, sizeof *r);
  r->result = result;
  r->made_ms = clock_wall_ms();
  int rc = store_open(&open, &r->store, NULL, err);
  if (rc == 0) {
    result->before = store_partitions(r->store);
    rc = change(r, err);
    if (rc) error_prefix(err, "%s has %u partitions", options->dir, store_partitions_in(options->dir));
    store_close(r->store);
  }
  result->leads = r->tally.leads;
  result->entities = r->tally.entities;
  result->digest = r->tally.digest;
  free(r);
  return rc;
}
