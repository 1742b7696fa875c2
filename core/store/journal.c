// The write side of the journal: staging, commits, segments. One thread owns a `journal`; a helper thread (segment.c)
// prepares segments ahead of need, retires full ones, and syncs in the background where the mode asks for it.
#include "store/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "store/journal_format.h"
#include "store/segment.h"

// A part is what is written at once: one commit, with the segment's opening commit before it when it is the first
// there. Its bytes lie in `staged` as they will lie in the file.
struct part {
  uint32_t segment, offset;
  size_t start, size;
  uint32_t frames;
  bool is_closed; // has its trailer
};

struct chain {
  uint64_t seq;
  uint8_t value[CHAIN_SIZE];
  struct sha256 *hash; // of the open part; made on first use
  uint32_t epoch;
  bool is_touched; // by the open part
};

struct journal {
  struct journal_options options;
  char *dir;
  struct segments *segments;
  struct buf staged;
  struct part *part;
  size_t part_count, part_cap, part_done; // parts before part_done are on disk
  size_t frames_staged;
  uint32_t segment, offset;                 // where the next staged byte goes
  uint32_t written_segment, written_offset; // what is in the file
  int64_t received_ms;
  struct chain *chain; // of each partition
  uint16_t *touched;   // by the open part, in order
  size_t touched_count;
  bool is_failed;
  _Atomic uint64_t frames, bytes, commits, syncs, full;
};

static void count(_Atomic uint64_t *n, uint64_t more) {
  atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + more, memory_order_relaxed);
}

static bool owns(const struct journal *j, unsigned partition) {
  return partition < j->options.partitions && partition % j->options.shards == j->options.log;
}

// ---- parts ----
static struct part *open_part(struct journal *j) {
  if (j->part_count && !j->part[j->part_count - 1].is_closed) return &j->part[j->part_count - 1];
  return NULL;
}

static struct part *begin_part(struct journal *j) {
  if (j->part_count == j->part_cap) {
    j->part_cap = j->part_cap ? j->part_cap * 2 : 8;
    j->part = xrealloc(j->part, j->part_cap * sizeof *j->part);
  }
  struct part *p = &j->part[j->part_count++];
  *p = (struct part){.segment = j->segment, .offset = j->offset, .start = j->staged.n};
  return p;
}

static uint8_t *grow_part(struct journal *j, struct part *p, size_t size) {
  uint8_t *out = buf_reserve(&j->staged, size);
  j->staged.n += size;
  p->size += size;
  j->offset += (uint32_t)size;
  return out;
}

// How far the segment of a part is known to be on disk when its trailer is made: what lies before must be whole at
// recovery.
static uint32_t synced_offset(struct journal *j, uint32_t segment) {
  return segment == j->written_segment ? segments_synced(j->segments) : SEGMENT_HEADER_SIZE;
}

static void close_part(struct journal *j, struct part *p) {
  uint64_t place = place_of(j->options.log, j->segment, j->offset);
  uint8_t *out = grow_part(j, p, trailer_size(j->touched_count));
  for (size_t i = 0; i < j->touched_count; i++) {
    struct chain *c = &j->chain[j->touched[i]];
    sha256_end(c->hash, c->value);
    c->is_touched = false;
    struct trailer_entry e = {.partition = j->touched[i], .flags = ENTRY_OWNED, .epoch = c->epoch, .seq = c->seq};
    memcpy(e.chain, c->value, CHAIN_SIZE);
    trailer_entry_put(out + TRAILER_HEADER_SIZE + i * TRAILER_ENTRY_SIZE, &e);
  }
  trailer_put(out,
              &(struct trailer){.count = (uint16_t)j->touched_count,
                                .frames = p->frames,
                                .synced = synced_offset(j, p->segment),
                                .received_ms = j->received_ms},
              place);
  j->touched_count = 0;
  p->is_closed = true;
}

// The first record of a segment: a commit of no frames that says where every partition stands, so that a reader can
// begin here.
static void put_opening(struct journal *j, struct part *p, uint16_t flags) {
  unsigned n = j->options.partitions;
  uint64_t place = place_of(j->options.log, j->segment, j->offset);
  uint8_t *out = grow_part(j, p, trailer_size(n));
  for (unsigned i = 0; i < n; i++) {
    const struct chain *c = &j->chain[i];
    struct trailer_entry e = {
        .partition = (uint16_t)i, .flags = owns(j, i) ? ENTRY_OWNED : 0, .epoch = c->epoch, .seq = c->seq};
    memcpy(e.chain, c->value, CHAIN_SIZE);
    trailer_entry_put(out + TRAILER_HEADER_SIZE + i * TRAILER_ENTRY_SIZE, &e);
  }
  trailer_put(out,
              &(struct trailer){.flags = TRAILER_OPENS | flags,
                                .count = (uint16_t)n,
                                .synced = SEGMENT_HEADER_SIZE,
                                .received_ms = j->received_ms},
              place);
}

static struct part *begin_segment(struct journal *j, uint16_t flags) {
  CHECK(j->segment < SEGMENT_NUMBER_MAX);
  j->segment++;
  j->offset = SEGMENT_HEADER_SIZE;
  struct part *p = begin_part(j);
  put_opening(j, p, flags);
  return p;
}

uint64_t journal_stage(struct journal *j, const struct frame *frame) {
  CHECK(owns(j, frame->partition) && frame->kind >= FRAME_EVENT && frame->kind < FRAME_KIND_END &&
        frame->kind != FRAME_COMMIT);
  struct chain *c = &j->chain[frame->partition];
  CHECK(frame->seq == c->seq + 1);
  size_t size = frame_size(frame);
  size_t most = j->options.segment_bytes - SEGMENT_HEADER_SIZE - 2 * trailer_size(j->options.partitions);
  CHECK(size <= most);

  size_t need = size + trailer_size(j->touched_count + (c->is_touched ? 0 : 1));
  struct part *p = open_part(j);
  if (j->offset + need > j->options.segment_bytes) {
    if (p) close_part(j, p);
    p = begin_segment(j, 0);
  }
  if (!p) p = begin_part(j);

  if (!c->is_touched) {
    if (!c->hash) c->hash = sha256_new();
    sha256_begin(c->hash);
    sha256_add(c->hash, bytes_of(c->value, CHAIN_SIZE));
    c->is_touched = true;
    j->touched[j->touched_count++] = frame->partition;
  }
  uint64_t place = place_of(j->options.log, j->segment, j->offset);
  uint8_t *out = grow_part(j, p, size);
  frame_put(out, size, frame, place);
  sha256_add(c->hash, bytes_of(out, size));
  c->seq = frame->seq;
  c->epoch = frame->epoch;
  p->frames++;
  j->frames_staged++;
  if (frame->received_ms > j->received_ms) j->received_ms = frame->received_ms;
  return place;
}

size_t journal_staged(const struct journal *j) { return j->frames_staged; }

uint64_t journal_seq(const struct journal *j, unsigned partition) {
  CHECK(owns(j, partition));
  return j->chain[partition].seq;
}

struct journal_tip journal_tip(const struct journal *j, unsigned partition) {
  CHECK(owns(j, partition) && !j->chain[partition].is_touched);
  struct journal_tip tip = {.seq = j->chain[partition].seq, .received_ms = j->received_ms};
  memcpy(tip.chain, j->chain[partition].value, CHAIN_SIZE);
  return tip;
}

bool journal_peek(const struct journal *j, uint64_t place, struct frame *frame) {
  if (place_log(place) != j->options.log) return false;
  for (size_t i = j->part_done; i < j->part_count; i++) {
    const struct part *p = &j->part[i];
    uint32_t at = place_offset(place);
    if (p->segment != place_segment(place) || at < p->offset || at - p->offset >= p->size) continue;
    size_t offset = at - p->offset, need;
    struct bytes rest = bytes_of(j->staged.p + p->start + offset, p->size - offset);
    if (!record_check(rest, place, &need) || record_kind(rest.p) == FRAME_COMMIT) return false;
    frame_get(rest.p, frame);
    return true;
  }
  return false;
}

// ---- commit ----
static int write_part(struct journal *j, const struct part *p, struct error *err) {
  int rc = 0;
  if (p->segment != j->written_segment) {
    // The segment before must be whole on disk before a byte of the next is: recovery counts on it.
    if (j->options.sync != SYNC_ALWAYS && j->written_segment) rc = segments_sync(j->segments, err);
    if (rc == 0) rc = segments_next(j->segments, p->segment, err);
    if (rc) return rc;
    j->written_segment = p->segment;
    j->written_offset = p->offset;
  }
  CHECK(p->offset == j->written_offset);
  bool sync = j->options.sync == SYNC_ALWAYS;
  rc = segments_write(j->segments, p->offset, bytes_of(j->staged.p + p->start, p->size), sync, err);
  if (rc) return rc;
  j->written_offset = p->offset + (uint32_t)p->size;
  count(&j->bytes, p->size);
  count(&j->frames, p->frames);
  return 0;
}

int journal_commit(struct journal *j, struct error *err) {
  if (j->is_failed || segments_failed(j->segments)) {
    j->is_failed = true;
    return error_set(err, ITD_EIO, "an earlier write or sync of the journal failed");
  }
  struct part *open = open_part(j);
  if (open) close_part(j, open);
  while (j->part_done < j->part_count) {
    int rc = write_part(j, &j->part[j->part_done], err);
    if (rc == ITD_EFULL)
      count(&j->full, 1);
    else if (rc)
      j->is_failed = true;
    if (rc) return rc;
    j->part_done++;
    count(&j->commits, 1);
  }
  j->part_count = j->part_done = 0;
  j->frames_staged = 0;
  buf_clear(&j->staged);
  return 0;
}

int journal_sync(struct journal *j, struct error *err) {
  return j->options.sync == SYNC_ALWAYS ? 0 : segments_sync(j->segments, err);
}

uint32_t journal_retired(const struct journal *j) { return segments_retired(j->segments); }
uint64_t journal_synced(const struct journal *j) {
  return place_of(j->options.log, j->written_segment, segments_synced(j->segments));
}

void journal_ask_sync(struct journal *j) {
  if (j->options.sync != SYNC_ALWAYS) segments_ask_sync(j->segments);
}

struct journal_stats journal_stats(const struct journal *j) {
  return (struct journal_stats){.frames = atomic_load_explicit(&j->frames, memory_order_relaxed),
                                .bytes = atomic_load_explicit(&j->bytes, memory_order_relaxed),
                                .commits = atomic_load_explicit(&j->commits, memory_order_relaxed),
                                .syncs = segments_syncs(j->segments),
                                .full = atomic_load_explicit(&j->full, memory_order_relaxed)};
}

// ---- open, close ----
int journal_open(const struct journal_options *options, struct journal **out, struct error *err) {
  CHECK(options->partitions >= 1 && options->partitions <= 256 && options->shards >= 1 && options->log < 256);
  if (options->segment_bytes < SEGMENT_BYTES_MIN || options->segment_bytes > SEGMENT_BYTES_MAX ||
      options->segment_bytes % 8)
    return error_set(err, ITD_EINVAL, "journal.segment must be 1 MiB to 4 GiB - 8 and a multiple of 8, not %llu bytes",
                     (unsigned long long)options->segment_bytes);
  char path[SEGMENT_PATH_MAX];
  snprintf(path, sizeof path, "%s/journal", options->dir);
  int rc = dir_make(path, err);
  if (rc) return rc;
  uint32_t last;
  rc = segments_last(options->dir, options->log, &last, err);
  if (rc) return rc;

  struct journal *j = xcalloc(1, sizeof *j);
  j->options = *options;
  j->options.dir = j->dir = xstrdup(options->dir);
  j->options.tips = NULL;
  j->segment = last;
  j->received_ms = options->received_ms;
  j->chain = xcalloc(options->partitions, sizeof *j->chain);
  j->touched = xcalloc(options->partitions, sizeof *j->touched);
  for (unsigned i = 0; i < options->partitions; i++) {
    j->chain[i].epoch = options->session;
    if (!options->tips) continue;
    j->chain[i].seq = options->tips[i].seq;
    memcpy(j->chain[i].value, options->tips[i].chain, CHAIN_SIZE);
  }
  buf_init(&j->staged);
  j->segments = segments_start(&j->options);
  begin_segment(j, options->is_resharded ? TRAILER_BEGINS | TRAILER_RESHARDED : TRAILER_BEGINS)->is_closed = true;
  rc = journal_commit(j, err);
  if (rc == 0) rc = journal_sync(j, err);
  if (rc) {
    j->is_failed = true;
    journal_close(j);
    return rc;
  }
  *out = j;
  return 0;
}

// Says that all before it is on disk, so that damage of the last commit can be told from a torn one.
static void put_closing(struct journal *j) {
  if (segments_failed(j->segments) || segments_sync(j->segments, NULL) != 0) return;
  uint8_t out[TRAILER_HEADER_SIZE];
  if (j->written_offset + sizeof out > j->options.segment_bytes) return;
  trailer_put(out,
              &(struct trailer){.flags = TRAILER_CLOSES, .synced = j->written_offset, .received_ms = j->received_ms},
              place_of(j->options.log, j->written_segment, j->written_offset));
  if (segments_write(j->segments, j->written_offset, bytes_of(out, sizeof out), true, NULL) == 0)
    j->written_offset += (uint32_t)sizeof out;
}

void journal_abandon(struct journal *j) { j->is_failed = true; }

bool journal_is_failed(const struct journal *j) { return j->is_failed || segments_failed(j->segments); }

void journal_close(struct journal *j) {
  if (!j) return;
  if (!j->is_failed) put_closing(j);
  segments_stop(j->segments, !j->is_failed);
  for (unsigned i = 0; i < j->options.partitions; i++) sha256_free(j->chain[i].hash);
  free(j->chain);
  free(j->touched);
  free(j->part);
  buf_deinit(&j->staged);
  free(j->dir);
  free(j);
}
