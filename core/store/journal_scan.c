// The walk over logs. A commit is judged whole before its frames are shown: checksums, sequence, chain. What is not
// whole is the torn end of what was being written when the power went, or damage: see judge_rest.
#include "store/journal_scan.h"
#include "store/disk.h"
#include "store/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

#define READ_AHEAD (1u << 20)

// ---- a window over a segment ----
struct window {
  struct source *source;
  struct sealed_cache *cache;
  struct buf b;
  uint64_t base; // offset of b.p[0]
};

// The bytes from `offset` on, at least n of them unless the segment ends. Views are good until the next call.
static int window_at(struct window *w, uint64_t offset, size_t n, struct bytes *out, struct error *err) {
  CHECK(offset >= w->base);
  while (w->base + w->b.n < offset + n) {
    uint64_t at = w->base + w->b.n;
    size_t want = offset + n - at < READ_AHEAD ? READ_AHEAD : (size_t)(offset + n - at), got;
    int rc = source_read(w->source, w->cache, at, buf_reserve(&w->b, want), want, &got, err);
    if (rc) return rc;
    w->b.n += got;
    if (got < want) break;
  }
  size_t skip = (size_t)(offset - w->base);
  *out = skip < w->b.n ? bytes_of(w->b.p + skip, w->b.n - skip) : bytes_of(NULL, 0);
  return 0;
}

static void window_drop(struct window *w, uint64_t before) {
  size_t n = (size_t)(before - w->base);
  if (n < READ_AHEAD) return; // moving the rest costs more than it frees
  buf_consume(&w->b, n);
  w->base = before;
}

static void window_forget(struct window *w, uint64_t from) {
  buf_clear(&w->b);
  w->base = from;
}

// ---- what a directory has ----
static int read_opening(const struct source *source, struct sealed_cache *cache, struct segment_info *info,
                        struct error *err) {
  // No more than it: what follows it in a sealed segment may be damaged, and is not what is asked for.
  const size_t size = trailer_size(info->header.partitions);
  uint8_t *b = xmalloc(size);
  size_t got, need;
  int rc = source_read(source, cache, SEGMENT_HEADER_SIZE, b, size, &got, err);
  uint64_t place = place_of(info->log, info->number, SEGMENT_HEADER_SIZE);
  struct trailer t;
  if (rc == 0 && record_check(bytes_of(b, got), place, &need) && record_kind(b) == FRAME_COMMIT) {
    trailer_get(b, &t);
    info->has_opening = (t.flags & TRAILER_OPENS) && t.count == info->header.partitions;
    info->begins_session = info->has_opening && (t.flags & TRAILER_BEGINS);
    info->is_resharded = info->begins_session && (t.flags & TRAILER_RESHARDED);
  }
  if (info->has_opening) {
    info->received_ms = t.received_ms;
    info->seq = xcalloc(t.count, sizeof *info->seq);
    for (size_t i = 0; i < t.count; i++) {
      struct trailer_entry e = trailer_entry_get(&t, i);
      info->seq[i] = e.seq;
      if (e.flags & ENTRY_OWNED) info->owned[i / 8] |= (uint8_t)(1u << i % 8);
    }
  }
  free(b);
  return rc;
}

static int read_info(const char *dir, struct sealed_cache *cache, struct segment_info *info, struct error *err) {
  struct source *source;
  int rc = source_open(dir, info->log, info->number, &source, err);
  if (rc == ITD_ENOTFOUND) return 0; // of a live directory: made ahead, and taken away unused
  if (rc) return rc;
  uint8_t head[SEGMENT_HEADER_SIZE];
  size_t got;
  rc = source_read(source, cache, 0, head, sizeof head, &got, err);
  if (rc == 0 && got == sizeof head) {
    rc = segment_header_get(head, &info->header, err);
    info->has_header = rc == 0;
    if (rc == ITD_ECORRUPT) rc = 0; // judged when it is walked
    if (info->has_header && (info->header.log != info->log || info->header.segment != info->number ||
                             info->header.partitions < 1 || info->header.partitions > 256))
      rc = error_set(err, ITD_ECORRUPT, "is segment %02x-%08x by its header", info->header.log, info->header.segment);
    if (rc) error_prefix(err, "%s", source_path(source));
  }
  if (rc == 0 && info->has_header) rc = read_opening(source, cache, info, err);
  info->is_sealed = source_sealed(source) != NULL;
  source_close(source);
  return rc;
}

static int by_number(const void *a, const void *b) {
  const struct segment_info *x = a, *y = b;
  if (x->log != y->log) return x->log < y->log ? -1 : 1;
  return x->number < y->number ? -1 : x->number > y->number;
}

static int by_session(const void *a, const void *b) {
  const struct segment_info *x = a, *y = b;
  if (x->header.session != y->header.session) return x->header.session < y->header.session ? -1 : 1;
  return by_number(a, b);
}

static int find_segments(const char *dir, struct segment_info **list, size_t *count, struct error *err) {
  char path[SEGMENT_PATH_MAX];
  snprintf(path, sizeof path, "%s/journal", dir);
  DIR *d = opendir(path);
  *list = NULL;
  *count = 0;
  if (!d) return errno == ENOENT ? 0 : error_set(err, disk_status(errno), "%s: %s", path, strerror(errno));
  size_t cap = 0;
  for (struct dirent *e; (e = readdir(d));) {
    unsigned log;
    uint32_t number;
    if (segment_file(e->d_name, &log, &number) == SEGMENT_FILE_NONE) continue;
    if (*count == cap) *list = xrealloc(*list, (cap = cap ? cap * 2 : 16) * sizeof **list);
    (*list)[(*count)++] = (struct segment_info){.log = log, .number = number};
  }
  closedir(d);
  if (*count) qsort(*list, *count, sizeof **list, by_number);
  size_t kept = 0; // a segment is there twice while, and if the machine stopped then after, it was sealed
  for (size_t i = 0; i < *count; i++)
    if (!kept || by_number(&(*list)[kept - 1], &(*list)[i]) != 0) (*list)[kept++] = (*list)[i];
  *count = kept;
  return 0;
}

// The first segment that is missing between others of its log; NULL: none.
static const struct segment_info *find_hole(const struct segment_info *list, size_t count) {
  for (size_t i = 1; i < count; i++)
    if (list[i].log == list[i - 1].log && list[i].number != list[i - 1].number + 1) return &list[i - 1];
  return NULL;
}

static int is_there(const char *dir, unsigned log, uint32_t number, bool *there, struct error *err) {
  struct source *source;
  int rc = source_open(dir, log, number, &source, err);
  *there = rc == 0;
  if (rc == 0) source_close(source);
  return rc == ITD_ENOTFOUND ? 0 : rc;
}

// A folder that changes while it is listed may show neither the log nor what it was sealed into, and what was let go since (the oldest first).
// A hole counts when the file cannot be opened, and the one before it can.
static int find_all(const char *dir, struct segment_info **list, size_t *count, struct error *err) {
  for (;;) {
    int rc = find_segments(dir, list, count, err);
    const struct segment_info *before = rc ? NULL : find_hole(*list, *count);
    if (!before) return rc;
    bool is_back, is_first;
    rc = is_there(dir, before->log, before->number + 1, &is_back, err);
    if (rc == 0) rc = is_there(dir, before->log, before->number, &is_first, err);
    if (rc || (!is_back && is_first)) return rc;
    free(*list);
  }
}

// By the openings: several logs may say of one session that it is the first of its number.
static void count_eras(struct segment_info *list, size_t count) {
  unsigned era = 0, partitions = 0;
  uint32_t session = 0;
  for (size_t i = 0; i < count; i++) {
    struct segment_info *s = &list[i];
    bool is_other = s->has_opening && partitions && (s->is_resharded || s->header.partitions != partitions);
    if (is_other && s->header.session != session) era++;
    if (s->has_opening) partitions = s->header.partitions;
    if (s->has_opening) session = s->header.session;
    s->era = era;
  }
}

int segment_list_all(const char *dir, struct segment_info **list, size_t *count, segment_problem problem, void *context,
                     struct error *err) {
  int rc = find_all(dir, list, count, err);
  struct sealed_cache *cache = sealed_cache_new(1);
  for (size_t i = 0; rc == 0 && i < *count; i++) {
    struct segment_info *s = &(*list)[i], *before = i && s[-1].log == s->log ? s - 1 : NULL;
    struct error e = {0};
    if (before && s->number != before->number + 1)
      rc = problem(context, s,
                   error_set(&e, ITD_ECORRUPT, "journal: segment %02x-%08x (.log or .seg) is missing", s->log,
                             before->number + 1),
                   &e, err);
    if (rc == 0 && (rc = read_info(dir, cache, s, &e))) {
      s->is_unreadable = true;
      rc = problem(context, s, rc, &e, err);
    }
    // Without a header of its own a segment sorts behind the one it follows.
    if (!s->has_header) s->header.session = before ? before->header.session : UINT32_MAX;
    if (before) before->has_successor = true;
  }
  sealed_cache_free(cache);
  if (rc) {
    segment_list_free(*list, *count);
    *list = NULL;
    *count = 0;
    return rc;
  }
  if (*count) qsort(*list, *count, sizeof **list, by_session);
  count_eras(*list, *count);
  return 0;
}

static int first_problem(void *context, const struct segment_info *info, int rc, const struct error *problem,
                         struct error *err) {
  (void)context, (void)info;
  if (err) *err = *problem;
  return rc;
}

int segment_list(const char *dir, struct segment_info **list, size_t *count, struct error *err) {
  return segment_list_all(dir, list, count, first_problem, NULL, err);
}

void segment_list_free(struct segment_info *list, size_t count) {
  for (size_t i = 0; i < count; i++) free(list[i].seq);
  free(list);
}

const struct segment_info *segment_after(const struct segment_info *list, size_t count, const struct segment_info *s) {
  for (size_t i = 0; i < count; i++) {
    const struct segment_info *o = &list[i];
    if (!o->has_opening) continue;
    if (o->log == s->log && o->number == s->number + 1) return o;
    if (o->header.session > s->header.session && o->begins_session) return o;
  }
  return NULL;
}

bool segment_is_before(const struct segment_info *s, const struct segment_info *next, unsigned era,
                       const uint64_t *seq) {
  if (!s->has_opening || !next) return false;
  if (s->era < era) return true;
  for (unsigned p = 0; p < s->header.partitions; p++)
    if (next->seq[p] != s->seq[p] && next->seq[p] > seq[p]) return false;
  return true;
}

// ---- one commit ----
struct walk {
  struct scan *scan;
  const struct segment_info *info;
  bool goes_on; // the segment before this one was read, and is of the same session
  struct window window;
  uint32_t at;     // where the next commit begins
  uint32_t synced; // as the last trailer says
  uint32_t bad;    // the first record that did not read
  bool is_closed;  // the last commit was a closing
  uint32_t *frame; // offsets of the frames of this commit
  size_t frame_count, frame_cap;
  struct sha256 *hash[256];
  bool is_touched[256];
  struct journal_tip tip[256]; // of the commit that is being read
  char path[SEGMENT_PATH_MAX];
};

static int damage(const struct walk *w, uint32_t offset, struct error *err, const char *what) {
  return error_set(err, ITD_ECORRUPT, "%s, offset %u: %s", w->path, offset, what);
}

// The first opening of another number of partitions: all of the new ones begin where all of the old ones ended. Where
// these were walked from their first frames the new ones have been, too.
static int cross_boundary(struct walk *w, const struct trailer *t, unsigned before, struct error *err) {
  struct scan *scan = w->scan;
  bool is_whole = !scan->floor;
  uint64_t greatest = 0, from = 0;
  struct journal_tip tip[256];
  for (unsigned p = 0; p < before; p++) {
    const struct scan_tip *known = &scan->tip[p];
    is_whole = is_whole && known->is_known;
    tip[p] = known->tip;
    if (known->is_known && tip[p].seq > greatest) greatest = tip[p].seq;
    if (known->is_known && known->from > from) from = known->from;
  }
  memset(scan->tip, 0, sizeof scan->tip);
  struct journal_boundary due;
  if (is_whole) journal_boundary_of(before, tip, t->count, &due);
  for (size_t i = 0; i < t->count; i++) {
    struct trailer_entry e = trailer_entry_get(t, i), first = trailer_entry_get(t, 0);
    bool fits = is_whole ? e.seq == due.seq && memcmp(e.chain, due.chain, CHAIN_SIZE) == 0
                         : e.seq > greatest && e.seq == first.seq && memcmp(e.chain, first.chain, CHAIN_SIZE) == 0;
    if (!fits)
      return error_set(err, ITD_ECORRUPT,
                       "%s, offset %u: partition %zu of %u does not go on from where the %u partitions before ended",
                       w->path, w->at, i, t->count, before);
    if (!is_whole || from) continue;
    scan->tip[i].is_known = true;
    scan->tip[i].tip.seq = e.seq;
    memcpy(scan->tip[i].tip.chain, e.chain, CHAIN_SIZE);
    if (scan->at_tip) scan->at_tip(scan->context, (unsigned)i, &scan->tip[i].tip);
  }
  return 0;
}

// How many partitions there are from this opening on.
static int take_number(struct walk *w, const struct trailer *t, struct error *err) {
  struct scan *scan = w->scan;
  uint32_t session = w->info->header.session;
  unsigned before = scan->partitions;
  bool is_resharded = t->flags & TRAILER_RESHARDED, begins = t->flags & TRAILER_BEGINS;
  if (t->count != w->info->header.partitions)
    return damage(w, w->at, err, "the opening is of another number of partitions than its segment");
  if (before == t->count && (!is_resharded || session == scan->numbered)) return 0;
  scan->partitions = t->count;
  scan->numbered = session;
  const struct journal_boundary *since = scan->since;
  for (size_t i = 0; since && is_resharded && i < t->count; i++) {
    struct trailer_entry e = trailer_entry_get(t, i);
    if (e.seq == since->seq && memcmp(e.chain, since->chain, CHAIN_SIZE) != 0)
      return damage(w, w->at, err, "partitions do not begin at the boundary that the directory names");
  }
  if (before && is_resharded && begins && before != t->count) return cross_boundary(w, t, before, err);
  if (before) memset(scan->tip, 0, sizeof scan->tip);
  if (before && !scan->floor) // a walk that leaves segments out may come anywhere
    return error_set(err, ITD_ECORRUPT,
                     "%s, offset %u: it is of %u partitions, the session before had %u, and no reshard lies between",
                     w->path, w->at, t->count, before);
  return 0;
}

// An opening must go on from what is known of the partitions that this log writes.
static int take_opening(struct walk *w, const struct trailer *t, struct error *err) {
  struct scan *scan = w->scan;
  int rc = take_number(w, t, err);
  if (rc) return rc;
  if (t->received_ms > scan->received_ms) scan->received_ms = t->received_ms; // nothing may follow it
  for (size_t i = 0; i < t->count; i++) {
    struct trailer_entry e = trailer_entry_get(t, i);
    if (e.partition != i) return damage(w, w->at, err, "the opening's partitions are out of order");
    struct scan_tip *known = &scan->tip[i];
    bool is_owned = e.flags & ENTRY_OWNED;
    // The first of a session tells where all partitions stood; those of other logs may have been read further by now.
    bool is_compared = known->is_known && (is_owned || w->info->begins_session);
    bool may_skip = !w->goes_on && scan->floor && e.seq <= scan->floor[i];
    if (is_compared && ((is_owned && e.seq < known->tip.seq) || (e.seq > known->tip.seq && !may_skip)))
      return error_set(
          err, ITD_ECORRUPT,
          "%s, offset %u: partition %zu goes on after frame %llu, but the journal before it ends with frame %llu",
          w->path, w->at, i, (unsigned long long)e.seq, (unsigned long long)known->tip.seq);
    if (is_compared && e.seq == known->tip.seq && memcmp(e.chain, known->tip.chain, CHAIN_SIZE) != 0)
      return error_set(err, ITD_ECORRUPT,
                       "%s, offset %u: the chain of partition %zu does not go on from the segment before", w->path,
                       w->at, i);
    if (!is_owned && (known->is_known || !w->info->begins_session)) continue;
    if (!known->is_known) known->from = e.seq;
    known->is_known = true;
    known->tip.seq = e.seq;
    memcpy(known->tip.chain, e.chain, CHAIN_SIZE);
    if (scan->at_tip) scan->at_tip(scan->context, (unsigned)i, &known->tip);
  }
  return 0;
}

static int add_frame(struct walk *w, uint32_t offset, const uint8_t *record, size_t size, struct error *err) {
  struct frame f;
  frame_get(record, &f);
  unsigned p = f.partition;
  if (p >= w->info->header.partitions || f.epoch != w->info->header.session)
    return damage(w, offset, err, "a frame of another partition or epoch than this segment holds");
  if (!w->is_touched[p]) {
    if (!w->hash[p]) w->hash[p] = sha256_new();
    w->tip[p] = w->scan->tip[p].tip;
    sha256_begin(w->hash[p]);
    sha256_add(w->hash[p], bytes_of(w->tip[p].chain, CHAIN_SIZE));
    w->is_touched[p] = true;
  }
  if (f.seq != w->tip[p].seq + 1)
    return error_set(err, ITD_ECORRUPT, "%s, offset %u: partition %u has frame %llu after frame %llu", w->path, offset,
                     p, (unsigned long long)f.seq, (unsigned long long)w->tip[p].seq);
  w->tip[p].seq = f.seq;
  sha256_add(w->hash[p], bytes_of(record, size));
  if (w->frame_count == w->frame_cap) {
    w->frame_cap = w->frame_cap ? w->frame_cap * 2 : 256;
    w->frame = xrealloc(w->frame, w->frame_cap * sizeof *w->frame);
  }
  w->frame[w->frame_count++] = offset;
  return 0;
}

static int check_trailer(struct walk *w, uint32_t offset, const struct trailer *t, struct error *err) {
  if (t->frames != w->frame_count) return damage(w, offset, err, "the commit's trailer counts other frames");
  size_t touched = 0;
  for (unsigned p = 0; p < 256; p++) touched += w->is_touched[p];
  if (touched != t->count) return damage(w, offset, err, "the commit's trailer names other partitions");
  for (size_t i = 0; i < t->count; i++) {
    struct trailer_entry e = trailer_entry_get(t, i);
    if (e.partition >= 256 || !w->is_touched[e.partition] || e.seq != w->tip[e.partition].seq)
      return damage(w, offset, err, "the commit's trailer does not fit its frames");
    struct journal_tip *tip = &w->tip[e.partition];
    sha256_end(w->hash[e.partition], tip->chain);
    w->is_touched[e.partition] = false;
    if (memcmp(tip->chain, e.chain, CHAIN_SIZE) != 0)
      return error_set(err, ITD_ECORRUPT, "%s, offset %u: the chain of partition %u is broken", w->path, offset,
                       e.partition);
    w->scan->tip[e.partition].tip = *tip;
    w->scan->tip[e.partition].is_known = true;
    if (w->scan->at_tip) w->scan->at_tip(w->scan->context, e.partition, tip);
  }
  if (t->received_ms > w->scan->received_ms) w->scan->received_ms = t->received_ms;
  return 0;
}

static int show_frames(struct walk *w, struct error *err) {
  for (size_t i = 0; i < w->frame_count; i++) {
    struct bytes in;
    int read = window_at(&w->window, w->frame[i], 1, &in, err);
    CHECK(read == 0 && in.n); // the commit was read before
    struct frame f;
    frame_get(in.p, &f);
    w->scan->frames++;
    uint64_t place = place_of(w->info->log, w->info->number, w->frame[i]);
    int rc = w->scan->visit ? w->scan->visit(w->scan->context, &f, place, err) : 0;
    if (rc) return rc;
  }
  return 0;
}

// Reads the record at `offset`. 1: there is one; 0: none that is valid.
static int next_record(struct walk *w, uint32_t offset, struct bytes *in, size_t *size, struct error *err) {
  size_t need = TRAILER_HEADER_SIZE;
  for (;;) {
    size_t had = need;
    int rc = window_at(&w->window, offset, need, in, err);
    if (rc) return rc;
    *size = record_check(*in, place_of(w->info->log, w->info->number, offset), &need);
    if (*size) return 1;
    if (need <= had) return 0; // nothing there, or the file ends before it does
  }
}

// One commit from w->at on. 1: whole, w->at behind it; 0: not whole; else an error.
static int walk_commit(struct walk *w, struct error *err) {
  memset(w->is_touched, 0, sizeof w->is_touched);
  w->frame_count = 0;
  for (uint32_t offset = w->at;;) {
    struct bytes in;
    size_t size;
    int rc = next_record(w, offset, &in, &size, err);
    if (rc == 0) w->bad = offset;
    if (rc <= 0) return rc;
    if (record_kind(in.p) != FRAME_COMMIT) {
      if (w->at == SEGMENT_HEADER_SIZE) return damage(w, offset, err, "the segment's opening is missing");
      rc = add_frame(w, offset, in.p, size, err);
      if (rc) return rc;
      offset += (uint32_t)size;
      continue;
    }
    struct trailer t;
    trailer_get(in.p, &t);
    if ((w->at == SEGMENT_HEADER_SIZE) != !!(t.flags & TRAILER_OPENS))
      return damage(w, offset, err, "the segment's opening is missing or stands elsewhere");
    w->is_closed = t.flags & TRAILER_CLOSES;
    rc = t.flags & TRAILER_OPENS ? take_opening(w, &t, err) : check_trailer(w, offset, &t, err);
    if (rc == 0) rc = show_frames(w, err);
    if (rc) return rc;
    w->at = offset + (uint32_t)size;
    w->synced = t.synced;
    window_drop(&w->window, w->at);
    return 1;
  }
}

// ---- the rest of a segment ----
struct rest {
  uint64_t dirty_end; // behind the last 8 bytes that are not zero; 0: all are zero
  bool has_proof;     // a valid trailer says that what does not read was on disk
};

static bool proves(struct walk *w, struct bytes in, uint64_t offset) {
  if (in.n < TRAILER_HEADER_SIZE || record_kind(in.p) != FRAME_COMMIT) return false;
  size_t need;
  if (!record_check(in, place_of(w->info->log, w->info->number, (uint32_t)offset), &need)) return false;
  struct trailer t;
  trailer_get(in.p, &t);
  return t.synced > w->at;
}

// Looks at everything behind the last whole commit. A trailer names the offset up to which its segment had been synced
// when it was made: one behind the hole with an offset beyond the hole's start proves that the hole was once whole.
static int look_at_rest(struct walk *w, struct rest *rest, struct error *err) {
  *rest = (struct rest){0};
  struct window scan = {.source = w->window.source, .cache = w->window.cache, .base = w->at};
  buf_init(&scan.b);
  int rc = 0;
  const size_t most = trailer_size(256); // what may have to be seen to judge one place
  for (uint64_t at = w->at;;) {
    struct bytes in;
    window_drop(&scan, at);
    if ((rc = window_at(&scan, at, most, &in, err)) || !in.n) break;
    size_t step = in.n >= most ? in.n - most + 1 : in.n, i = 0;
    for (; i < step; i += 8) {
      uint64_t word = 0;
      memcpy(&word, in.p + i, in.n - i < 8 ? in.n - i : 8);
      if (!word) continue;
      rest->dirty_end = at + i + 8;
      if (!rest->has_proof && proves(w, bytes_of(in.p + i, in.n - i), at + i)) rest->has_proof = true;
    }
    at += i;
  }
  buf_deinit(&scan.b);
  return rc;
}

// Was anything ever committed to the segment after this one? It is written only when this one is synced to its end.
static int successor_is_used(const struct walk *w, bool *used, struct error *err) {
  struct source *source;
  *used = false;
  if (!w->info->has_successor) return 0;
  int rc = source_open(w->scan->dir, w->info->log, w->info->number + 1, &source, err);
  if (rc) return rc == ITD_ENOTFOUND ? 0 : rc;
  uint8_t b[64];
  size_t got = 0;
  *used = source_sealed(source) != NULL;
  if (!*used) rc = source_read(source, NULL, SEGMENT_HEADER_SIZE, b, sizeof b, &got, err);
  for (size_t i = 0; i < got; i++) *used = *used || b[i];
  source_close(source);
  return rc;
}

static int walk_on(struct walk *w, struct error *err) {
  int rc;
  while ((rc = walk_commit(w, err)) == 1) {
  }
  return rc;
}

// Damage at the first record that does not read, named by what its header says, as far as that can be believed.
static int lost_record(struct walk *w, struct error *err) {
  uint32_t at = w->info->has_header ? w->bad : 0;
  struct bytes in = {0};
  char who[100] = "";
  if (at >= w->window.base && window_at(&w->window, at, FRAME_HEADER_SIZE, &in, NULL) == 0)
    record_claims(in, place_of(w->info->log, w->info->number, at), who, sizeof who);
  return error_set(
      err, ITD_ECORRUPT,
      "%s, offset %u: what lies there was once whole on disk and does not read%s (its commit begins at %u)", w->path,
      at, who, w->at);
}

// The end of the valid part was reached: all zeros, a torn tail, or damage? The directory may be live: before anything
// is called damage (or a segment its log's last), what did not read is read once more, after what speaks against it was
// seen.
static int judge_rest(struct walk *w, struct scan_end *end, struct error *err) {
  struct rest rest;
  bool used;
  for (;;) {
    int rc = successor_is_used(w, &used, err);
    if (rc == 0) rc = look_at_rest(w, &rest, err);
    if (rc) return rc;
    if (!used && !rest.has_proof) break;
    uint32_t before = w->at;
    window_forget(&w->window, w->at);
    if (w->info->has_header) rc = walk_on(w, err);
    if (rc) return rc;
    if (w->at != before) continue;
    if (rest.has_proof || rest.dirty_end || w->at <= SEGMENT_HEADER_SIZE) return lost_record(w, err);
    break;
  }
  struct sealed *sealed = source_sealed(w->window.source);
  if (sealed && w->at != sealed_info(sealed)->raw_bytes)
    return damage(w, w->at, err, "a sealed segment ends in whole commits; this one does not");
  w->scan->has_ended[w->info->log] = w->scan->is_live && !used && !sealed;
  *end = (struct scan_end){.end = w->at,
                           .synced = w->synced,
                           .is_settled = sealed || w->is_closed,
                           .bad = w->bad,
                           .is_closed = w->is_closed,
                           .is_torn = rest.dirty_end != 0,
                           .torn_bytes = rest.dirty_end ? rest.dirty_end - w->at : 0};
  return 0;
}

static int scan_one(struct scan *scan, const struct segment_info *info, struct scan_end *end, struct error *err) {
  struct walk *w = xcalloc(1, sizeof *w);
  *w = (struct walk){.scan = scan, .info = info, .at = info->has_header ? SEGMENT_HEADER_SIZE : 0};
  segment_path(w->path, scan->dir, info->log, info->number);
  w->goes_on = !info->begins_session && scan->last_log == info->log && scan->last_number + 1 == info->number;
  scan->last_log = info->log;
  scan->last_number = info->number;
  buf_init(&w->window.b);
  w->window.base = w->at;
  int rc = source_open(scan->dir, info->log, info->number, &w->window.source, err);
  bool is_gone = rc == ITD_ENOTFOUND && !info->has_successor && !info->has_opening;
  if (rc == ITD_ENOTFOUND) rc = is_gone ? 0 : ITD_EIO;
  if (is_gone) *end = (struct scan_end){0};
  if (rc == 0 && !is_gone) {
    snprintf(w->path, sizeof w->path, "%s", source_path(w->window.source));
    if (source_sealed(w->window.source)) w->window.cache = sealed_cache_new(1);
  }
  if (rc == 0 && !is_gone && info->has_header) {
    if (info->header.session > scan->session) scan->session = info->header.session;
    rc = walk_on(w, err);
  }
  if (rc == 0 && !is_gone) rc = judge_rest(w, end, err);
  if (rc) *end = (struct scan_end){.end = w->at};
  source_close(w->window.source);
  sealed_cache_free(w->window.cache);
  for (int i = 0; i < 256; i++) sha256_free(w->hash[i]);
  buf_deinit(&w->window.b);
  free(w->frame);
  free(w);
  return rc;
}

int scan_segment(struct scan *scan, const struct segment_info *info, struct scan_end *end, struct error *err) {
  if (scan->has_ended[info->log]) {
    *end = (struct scan_end){0};
    return 0;
  }
  if (info->has_header || !scan->is_live) return scan_one(scan, info, end, err);
  // It was being made when the list was; by now it may be in use.
  struct segment_info fresh = *info;
  struct sealed_cache *cache = sealed_cache_new(1);
  int rc = read_info(scan->dir, cache, &fresh, err);
  sealed_cache_free(cache);
  fresh.begins_session = info->begins_session || fresh.header.session != info->header.session;
  if (rc == 0) rc = scan_one(scan, &fresh, end, err);
  free(fresh.seq);
  return rc;
}

int journal_walk(const char *dir, unsigned log, uint32_t from_segment, journal_visit visit, void *context,
                 uint64_t *torn_bytes, struct error *err) {
  struct segment_info *list;
  size_t count;
  int rc = segment_list(dir, &list, &count, err);
  if (rc) return rc;
  struct scan *scan = xcalloc(1, sizeof *scan);
  *scan = (struct scan){.dir = dir, .visit = visit, .context = context, .is_live = true};
  // A log alone does not show what other logs wrote of a partition between two of its sessions.
  uint64_t any[256];
  memset(any, 0xff, sizeof any);
  scan->floor = any;
  uint64_t torn = 0;
  for (size_t i = 0; rc == 0 && i < count; i++) {
    if (list[i].log != log || list[i].number < from_segment) continue;
    struct scan_end end;
    rc = scan_segment(scan, &list[i], &end, err);
    if (rc == 0) torn += end.torn_bytes;
  }
  segment_list_free(list, count);
  free(scan);
  if (rc == 0 && torn_bytes) *torn_bytes = torn;
  return rc;
}
