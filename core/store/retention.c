#include "store/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/log.h"
#include "store/archiver.h"
#include "store/base.h"
#include "store/disk.h"
#include "store/hold.h"
#include "store/journal_scan.h"
#include "store/sealer.h"
#include "store/segment.h"

struct base_set { // written from one snapshot; a partition that had not moved has its base in an earlier one
  int64_t made_ms, received_ms;
};

struct going {
  const struct retention *retention;
  struct segment_info *list;
  size_t count;
  uint64_t *bytes;                       // of each
  const struct segment_info **successor; // what is known of the time after each; NULL: nothing
  uint64_t total;
  struct base_info *bases;
  size_t base_count;
  struct base_set *set; // whole ones, oldest first
  size_t set_count;
  int64_t limit_ms;      // what ended before then is outside of the window and of every hold
  uint64_t covered[256]; // seq of each partition's base in the set that is the cut
};

// ---- what there is ----
static uint64_t size_of(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void look_at_segments(struct going *g) {
  char path[SEGMENT_PATH_MAX];
  g->bytes = xcalloc(g->count + 1, sizeof *g->bytes);
  g->successor = xcalloc(g->count + 1, sizeof *g->successor);
  for (size_t i = 0; i < g->count; i++) {
    const struct segment_info *s = &g->list[i];
    segment_path(path, g->retention->dir, s->log, s->number);
    g->bytes[i] = size_of(path);
    sealed_path(path, g->retention->dir, s->log, s->number);
    if (s->is_sealed) g->bytes[i] += size_of(path);
    g->total += g->bytes[i];
    g->successor[i] = segment_after(g->list, g->count, s);
  }
}

static bool is_current(const struct going *g, const struct base_info *base) {
  return base->is_whole && base->head.partitions == g->retention->partitions &&
         base->head.seq >= g->retention->since_seq;
}

static int by_made(const void *a, const void *b) {
  const struct base_set *x = a, *y = b;
  return x->made_ms < y->made_ms ? -1 : x->made_ms > y->made_ms;
}

static void look_at_bases(struct going *g) {
  int64_t newest_ms = base_set_read(g->retention->dir);
  g->set = xcalloc(g->base_count + 1, sizeof *g->set);
  for (size_t i = 0; i < g->base_count; i++) {
    const struct base_head *h = &g->bases[i].head;
    if (!is_current(g, &g->bases[i]) || h->made_ms > newest_ms) continue;
    g->set[g->set_count++] = (struct base_set){h->made_ms, h->received_ms};
  }
  if (g->set_count) qsort(g->set, g->set_count, sizeof *g->set, by_made);
  size_t left = 0;
  for (size_t i = 0; i < g->set_count; i++) {
    struct base_set *last = left ? &g->set[left - 1] : NULL;
    if (!last || last->made_ms != g->set[i].made_ms)
      g->set[left++] = g->set[i];
    else if (g->set[i].received_ms > last->received_ms)
      last->received_ms = g->set[i].received_ms;
  }
  g->set_count = left;
}

// ---- the cut ----
static void cover(struct going *g, size_t set) {
  memset(g->covered, 0, sizeof g->covered);
  for (size_t i = 0; i < g->base_count; i++) {
    const struct base_head *h = &g->bases[i].head;
    if (is_current(g, &g->bases[i]) && h->made_ms <= g->set[set].made_ms)
      g->covered[h->partition] = h->seq; // in the order of seq
  }
}

static bool may_go(const struct going *g, size_t i) {
  const struct segment_info *s = &g->list[i], *next = g->successor[i];
  unsigned era = g->list[g->count - 1].era; // the running session is the last
  if (!archiver_has(g->retention->archiver, s->log, s->number)) return false;
  if (!next || next->received_ms >= g->limit_ms) return false;
  for (unsigned p = 0; s->era < era && p < g->retention->partitions; p++)
    if (g->covered[p] < g->retention->since_seq) return false;
  return segment_is_before(s, next, era, g->covered);
}

// Partitions change logs between sessions. So the oldest session of which something stays keeps the end of each of its logs:
// from there on no partition has a gap, whatever made one log keep more than another.
static void keep_ends(const struct going *g, uint32_t session, bool *goes) {
  bool has_end[256] = {false};
  for (size_t i = g->count; i-- > 0;) {
    const struct segment_info *s = &g->list[i];
    if (s->header.session != session || has_end[s->log]) continue;
    has_end[s->log] = true;
    goes[i] = false;
  }
}

// Marks what goes with the cut at `covered`: oldest first in each log. What may not go keeps all that follow it there, and
// all later sessions.
static uint64_t mark(const struct going *g, bool *goes) {
  bool is_kept[256] = {false};
  uint32_t oldest = UINT32_MAX; // session of which something stays
  uint64_t bytes = 0;
  for (size_t i = 0; i < g->count; i++) {
    const struct segment_info *s = &g->list[i];
    goes[i] = !is_kept[s->log] && s->header.session <= oldest && may_go(g, i);
    is_kept[s->log] = !goes[i];
    if (!goes[i] && s->header.session < oldest) oldest = s->header.session;
  }
  keep_ends(g, oldest, goes);
  for (size_t i = 0; i < g->count; i++)
    if (goes[i]) bytes += g->bytes[i];
  return bytes;
}

static int64_t earlier(int64_t ms, int64_t span_ms) {
  int64_t out;
  return __builtin_sub_overflow(ms, span_ms, &out) ? INT64_MIN : out;
}

static int find_limit(struct going *g, struct error *err) {
  int64_t newest_ms = INT64_MIN;
  for (size_t i = 0; i < g->count; i++)
    if (g->list[i].has_opening && g->list[i].received_ms > newest_ms) newest_ms = g->list[i].received_ms;
  g->limit_ms = earlier(newest_ms, g->retention->window_ms);
  struct hold *hold;
  size_t count;
  int rc = holds_read(g->retention->dir, &hold, &count, err);
  for (size_t i = 0; rc == 0 && i < count; i++)
    if (g->limit_ms > hold[i].since_ms) g->limit_ms = hold[i].since_ms;
  free(hold);
  return rc;
}

// Leaves the marks of the set that is the cut in `goes`.
static void find_cut(struct going *g, int64_t now_ms, bool *goes) {
  const struct retention *r = g->retention;
  size_t cut = g->set_count; // none
  for (size_t i = 0; r->age_ms && i < g->set_count; i++)
    if (g->set[i].received_ms <= earlier(now_ms, r->age_ms)) cut = i;
  uint64_t left = g->total;
  if (cut < g->set_count) {
    cover(g, cut);
    left -= mark(g, goes);
  }
  for (size_t i = cut < g->set_count ? cut + 1 : 0; r->bytes && left > r->bytes && i < g->set_count; i++) {
    cover(g, i);
    left = g->total - mark(g, goes);
  }
}

// ---- taking away ----
// A log that loses all its segments may be written again, by a start with more shards: with numbers that no place names yet.
static int note_numbers(const struct going *g, const bool *goes, struct error *err) {
  uint32_t last[256] = {0};
  for (size_t i = 0; i < g->count; i++) last[g->list[i].log] = goes[i] ? g->list[i].number : 0; // in order, in each log
  for (unsigned log = 0; log < 256; log++) {
    int e = last[log] ? segments_note_gone(g->retention->dir, log, last[log]) : 0;
    if (e) return error_set(err, disk_status(e), "journal/%02x-%08x.gone: %s", log, last[log], strerror(e));
  }
  return 0;
}

static int drop_segments(const struct going *g, const bool *goes, struct retention_result *result, struct error *err) {
  for (size_t i = 0; i < g->count; i++) {
    if (!goes[i]) continue;
    int e = segment_drop(g->retention->dir, g->list[i].log, g->list[i].number);
    if (e)
      return error_set(err, disk_status(e), "journal/%02x-%08x: %s", g->list[i].log, g->list[i].number, strerror(e));
    result->segments++;
    result->bytes += g->bytes[i];
  }
  return 0;
}

static int drop_base(const struct going *g, const struct base_info *base, struct error *err) {
  char path[SEGMENT_PATH_MAX];
  base_path(path, g->retention->dir, base->head.partition, base->head.seq);
  int e = disk_unlink(path);
  return e ? error_set(err, disk_status(e), "%s: %s", path, strerror(e)) : 0;
}

// The frame behind which what is left of a partition's journal begins; UINT64_MAX: nothing is.
static uint64_t beginning_of(const struct going *g, const bool *goes, unsigned partitions, unsigned partition) {
  uint64_t first = UINT64_MAX;
  for (size_t i = 0; i < g->count; i++) {
    const struct segment_info *s = &g->list[i];
    if (goes[i] || !s->has_opening || s->header.partitions != partitions) continue;
    bool is_owned = s->owned[partition / 8] >> partition % 8 & 1;
    if (is_owned && s->seq[partition] < first) first = s->seq[partition];
  }
  return first;
}

// Of one partition's bases, in order: those behind which the journal has a gap go, then, of more than are to be kept, the
// one whose neighbours are closest, again and again.
static int thin(const struct going *g, struct base_info *base, size_t count, uint64_t beginning, struct error *err) {
  int rc = 0;
  bool is_former = base->head.partitions != g->retention->partitions; // nothing begins with its last one for ever
  for (; rc == 0 && is_former && beginning == UINT64_MAX && count; base++, count--) rc = drop_base(g, base, err);
  if (beginning == UINT64_MAX) beginning = 0;
  while (rc == 0 && count > 1 && base->head.seq < beginning) {
    rc = drop_base(g, base, err);
    base++, count--;
  }
  while (rc == 0 && count > g->retention->bases) {
    size_t which = 1;
    for (size_t i = 2; i + 1 < count; i++)
      if (base[i + 1].head.made_ms - base[i - 1].head.made_ms <
          base[which + 1].head.made_ms - base[which - 1].head.made_ms)
        which = i;
    rc = drop_base(g, &base[which], err);
    memmove(&base[which], &base[which + 1], (count - which - 1) * sizeof *base);
    count--;
  }
  return rc;
}

static bool is_of(const struct base_head *a, const struct base_head *b) {
  return a->partition == b->partition && a->partitions == b->partitions;
}

static int drop_bases(struct going *g, const bool *goes, struct error *err) {
  int rc = 0;
  for (size_t i = 0, n; rc == 0 && i < g->base_count; i += n) {
    const struct base_head *h = &g->bases[i].head;
    for (n = 1; i + n < g->base_count && is_of(&g->bases[i + n].head, h); n++) {
    }
    if (h->partitions) rc = thin(g, &g->bases[i], n, beginning_of(g, goes, h->partitions, h->partition), err);
  }
  return rc;
}

static int apply(struct going *g, int64_t now_ms, struct retention_result *result, struct error *err) {
  look_at_segments(g);
  look_at_bases(g);
  int rc = find_limit(g, err);
  if (rc) return rc;
  bool *goes = xcalloc(g->count + 1, sizeof *goes);
  find_cut(g, now_ms, goes);
  rc = note_numbers(g, goes, err);
  if (rc == 0) rc = drop_segments(g, goes, result, err);
  if (rc == 0) rc = drop_bases(g, goes, err);
  free(goes);
  return rc;
}

int retention_apply(const struct retention *retention, int64_t now_ms, struct retention_result *result,
                    struct error *err) {
  struct going g = {.retention = retention};
  int lock;
  *result = (struct retention_result){0};
  CHECK(retention->bases >= 2);
  int rc = holds_try(retention->dir, &lock, err);
  if (rc) return rc;
  rc = segment_list(retention->dir, &g.list, &g.count, err);
  if (rc == 0) rc = base_list(retention->dir, &g.bases, &g.base_count, err);
  if (rc == 0) rc = apply(&g, now_ms, result, err);
  free(g.bytes);
  free((void *)g.successor);
  free(g.set);
  base_list_free(g.bases);
  segment_list_free(g.list, g.count);
  holds_unlock(lock);
  return rc;
}
