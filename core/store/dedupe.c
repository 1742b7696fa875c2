// The table of recent messages, and the way to the files.
#include "store/dedupe.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/dedupe_private.h"

void dedupe_init(struct dedupe *d, const struct dedupe_options *options) {
  *d = (struct dedupe){
      .options = *options, .generation = 1, .oldest_ms = INT64_MAX, .newest_ms = INT64_MIN, .told_ms = INT64_MIN};
  if (d->options.max < 2) d->options.max = 2;
  if (d->options.max > 2 * RUN_RECORDS_MAX) d->options.max = 2 * RUN_RECORDS_MAX;
  table_init(&d->table, sizeof(struct message_entry));
  if (options->files) d->set = dedupe_files_set(options->files, &d->version);
}

void dedupe_deinit(struct dedupe *d) {
  table_deinit(&d->table);
  if (d->frozen) dedupe_files_done(d->options.files, d->frozen);
  dedupe_set_release(d->set);
  free(d->again);
  *d = (struct dedupe){0};
}

size_t dedupe_count(const struct dedupe *d) {
  return table_count(&d->table) + (d->frozen ? table_count(dedupe_generation_table(d->frozen)) : 0);
}

static void tell_count(struct dedupe *d) { atomic_store_explicit(&d->entries, dedupe_count(d), memory_order_relaxed); }
static void add_one(_Atomic uint64_t *n) {
  atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

// Takes the newest set of files; with it what was frozen may be in place. Whether it is, is asked before the set is taken: asked
// afterwards, the files may have got it in between, and neither the table nor the set that was taken would have it.
static void catch_up(struct dedupe *d) {
  if (!d->options.files) return;
  bool is_placed = d->frozen && dedupe_generation_is_placed(d->frozen);
  if (!is_placed && d->version == dedupe_files_version(d->options.files)) return;
  const struct dedupe_set *was = d->set;
  d->set = dedupe_files_set(d->options.files, &d->version);
  dedupe_set_release(was);
  if (!is_placed) return;
  dedupe_files_done(d->options.files, d->frozen);
  d->frozen = NULL;
  tell_count(d);
}

static bool is_inside(const struct dedupe *d, int64_t first_ms, int64_t received_ms) {
  int64_t edge; // a clock that was set far back or ahead must not overflow
  return __builtin_sub_overflow(received_ms, d->options.window_ms, &edge) || first_ms >= edge;
}

static int find_in_files(struct dedupe *d, struct hash128 message, int64_t received_ms, uint64_t *place,
                         struct error *err) {
  int64_t newest_ms = INT64_MIN;
  for (unsigned i = 0; i < d->set->count; i++) {
    const struct dedupe_run *run = d->set->run[i];
    struct dedupe_record r;
    if (!run_has_slot(run, message_slot(message)) || !run_may_hold(run_block(run, message), message)) continue;
    int rc = run_find(run, message, &r, err);
    if (rc < 0) return rc;
    if (rc == 0) {
      add_one(&d->false_positives);
    } else if (is_inside(d, r.received_ms, received_ms) && r.received_ms >= newest_ms) {
      newest_ms = r.received_ms;
      *place = r.place;
    }
  }
  if (*place) add_one(&d->file_hits);
  return 0;
}

int dedupe_find(struct dedupe *d, struct hash128 message, int64_t received_ms, uint64_t *place, struct error *err) {
  catch_up(d);
  // The blocks of all filters are on their way while the tables are looked at.
  for (unsigned i = 0; d->set && i < d->set->count; i++)
    if (run_has_slot(d->set->run[i], message_slot(message))) __builtin_prefetch(run_block(d->set->run[i], message));
  *place = 0;
  const struct message_entry *e = table_find(&d->table, message);
  if (e && is_inside(d, e->received_ms, received_ms)) {
    *place = e->place;
    return 0;
  }
  e = d->frozen ? table_find(dedupe_generation_table(d->frozen), message) : NULL;
  if (e && is_inside(d, e->received_ms, received_ms)) {
    *place = e->place;
    return 0;
  }
  return d->set ? find_in_files(d, message, received_ms, place, err) : 0;
}

void dedupe_add(struct dedupe *d, struct hash128 message, uint64_t place, int64_t received_ms) {
  struct message_entry *e = table_find(&d->table, message);
  if (!e) {
    e = table_add(&d->table, message);
    e->head.flags = (uint32_t)(table_count(&d->table) - 1);
  } else if (e->head.flags < d->logged) { // it was seen, longer ago than the window
    if (d->again_count == d->again_cap)
      d->again = xrealloc(d->again, (d->again_cap = d->again_cap ? d->again_cap * 2 : 16) * sizeof *d->again);
    d->again[d->again_count++] = e->head.flags;
  }
  e->place = place;
  e->received_ms = received_ms;
  if (received_ms < d->oldest_ms) d->oldest_ms = received_ms;
  if (received_ms > d->newest_ms) d->newest_ms = received_ms;
  tell_count(d);
}

// ---- recovery ----
void dedupe_load(struct dedupe *d, const struct dedupe_record *r) {
  dedupe_add(d, r->message, r->place, r->received_ms);
  d->logged = table_count(&d->table);
  d->again_count = 0;
}

static void begin_generation(struct dedupe *d) {
  table_init(&d->table, sizeof(struct message_entry));
  d->generation++;
  d->oldest_ms = INT64_MAX;
  d->newest_ms = INT64_MIN;
  d->logged = d->again_count = 0;
  d->is_soon = false;
}

int dedupe_spill(struct dedupe *d, struct error *err) {
  if (!d->options.files || table_count(&d->table) < d->options.max / 2) return 0;
  int rc = dedupe_files_spill(d->options.files, &d->options.slots, &d->table, err);
  if (rc) return rc;
  table_deinit(&d->table);
  begin_generation(d);
  tell_count(d);
  return 0;
}

// ---- generations ----
static bool is_due(const struct dedupe *d) {
  size_t n = table_count(&d->table);
  if (!d->options.files || d->frozen) return false;
  if (!n || d->is_soon) return d->is_soon;
  int64_t age_ms;
  return n >= d->options.max / 2 || __builtin_sub_overflow(d->newest_ms, d->oldest_ms, &age_ms) ||
         age_ms >= d->options.recent_ms;
}

bool dedupe_turn(struct dedupe *d, const struct dedupe_tip *tips, unsigned count) {
  catch_up(d);
  int64_t since_ms;
  if (d->options.files && table_count(&d->table) &&
      (__builtin_sub_overflow(d->newest_ms, d->told_ms, &since_ms) || since_ms > d->options.window_ms / 64))
    dedupe_files_seen(d->options.files, d->told_ms = d->newest_ms);
  if (is_due(d)) {
    d->frozen = dedupe_files_give(d->options.files, d->options.shard, &d->options.slots, &d->table, tips, count);
    begin_generation(d);
    for (unsigned i = 0; i < count; i++) d->from[tips[i].partition] = tips[i].seq;
  }
  return d->options.files && dedupe_count(d) >= d->options.max;
}

// ---- the sidecar ----
void dedupe_log_begin(struct dedupe *d, struct dedupe_log *log, const struct dedupe_tip *tips, unsigned count) {
  log->shard = d->options.shard;
  log->generation = d->generation;
  log->count = count;
  for (unsigned i = 0; i < count; i++) {
    log->partition[i] = tips[i].partition;
    log->from[i] = d->from[tips[i].partition];
    log->to[i] = d->from[tips[i].partition] = tips[i].seq;
  }
  d->log_at = d->logged;
  d->log_end = d->logged = table_count(&d->table);
}

static void put_entry(struct buf *out, const struct message_entry *e) {
  uint8_t *p = buf_reserve(out, DEDUPE_RECORD_SIZE);
  dedupe_record_put(p, &(struct dedupe_record){e->head.key, e->place, e->received_ms});
  out->n += DEDUPE_RECORD_SIZE;
}

bool dedupe_log_more(struct dedupe *d, struct dedupe_log *log, size_t most) {
  for (; d->log_at < d->log_end && most; d->log_at++, most--) put_entry(&log->records, table_at(&d->table, d->log_at));
  if (d->log_at < d->log_end) return false;
  for (size_t i = 0; i < d->again_count; i++) put_entry(&log->records, table_at(&d->table, d->again[i]));
  d->again_count = 0;
  return true;
}
