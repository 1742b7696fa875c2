#include "store/salvage.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/base.h"

struct found {
  const char *dir;
  unsigned partitions;
  struct segment_info *list;
  size_t count;
  bool *is_bad; // of each segment
  uint64_t *end;
  uint32_t *session; // up to which there is no damage that begins in it
  struct {           // what did not even read when the list was made
    unsigned log;
    uint32_t number;
  } problem[64];
  size_t problems;
  uint64_t last[256]; // of each partition, by the openings and the walk
  struct salvage *salvage;
};

static void note(struct found *f, const struct error *err) {
  if (!f->salvage->is_damaged) snprintf(f->salvage->damage, sizeof f->salvage->damage, "%s", err->text);
  f->salvage->is_damaged = true;
}

static int take_problem(void *context, const struct segment_info *info, int status, const struct error *what,
                        struct error *err) {
  struct found *f = context;
  if (status != ITD_ECORRUPT || f->problems == 64) {
    if (err) *err = *what;
    return status;
  }
  note(f, what);
  f->problem[f->problems].log = info->log;
  f->problem[f->problems++].number = info->number;
  return 0;
}

// Each segment by itself: what follows one that is damaged may begin anywhere.
static int walk_all(struct found *f, struct error *err) {
  struct scan *scan = xcalloc(1, sizeof *scan);
  uint64_t any[256];
  int rc = 0;
  memset(any, 0xff, sizeof any);
  *scan = (struct scan){.dir = f->dir, .floor = any};
  for (size_t i = 0; rc == 0 && i < f->count; i++) {
    const struct segment_info *s = &f->list[i];
    struct scan_end end = {0};
    struct error what = {0};
    f->is_bad[i] = s->is_unreadable;
    rc = s->is_unreadable ? 0 : scan_segment(scan, s, &end, &what);
    f->end[i] = end.end;
    if (rc == ITD_ECORRUPT) {
      note(f, &what);
      f->is_bad[i] = true;
      scan->last_number = 0; // so that the next one goes on from nothing
      rc = 0;
    }
    if (rc && err) *err = what;
    for (size_t k = 0; k < f->problems; k++) // a hole before it is as bad as damage at its beginning
      if (f->problem[k].log == s->log && f->problem[k].number == s->number) {
        f->is_bad[i] = true;
        f->end[i] = 0;
      }
    f->session[i] = s->header.session;
    // What is missing before it may be of the session of the one that is there before.
    for (size_t k = 0; f->is_bad[i] && !f->end[i] && k < i; k++)
      if (f->list[k].log == s->log) f->session[i] = f->list[k].header.session;
    for (unsigned p = 0; s->has_opening && s->header.partitions == f->partitions && p < f->partitions; p++) {
      if (s->seq[p] > f->last[p]) f->last[p] = s->seq[p];
      if (scan->tip[p].tip.seq > f->last[p]) f->last[p] = scan->tip[p].tip.seq;
    }
  }
  free(scan);
  return rc;
}

// ---- behind the damage ----
// Does everything that is damaged lie before what a set of bases says? seq: of each partition.
static bool covers(const struct found *f, const uint64_t *seq) {
  for (size_t i = 0; i < f->count; i++)
    if (f->is_bad[i] &&
        !segment_is_before(&f->list[i], segment_after(f->list, f->count, &f->list[i]), f->list[f->count - 1].era, seq))
      return false;
  return true;
}

static bool set_at(const struct base_info *list, size_t count, unsigned partitions, int64_t made_ms, uint64_t *seq) {
  bool is_any = false;
  for (unsigned p = 0; p < partitions; p++) seq[p] = 0;
  for (size_t i = 0; i < count; i++) {
    const struct base_head *h = &list[i].head;
    if (h->made_ms > made_ms) continue;
    is_any = true;
    if (h->seq > seq[h->partition]) seq[h->partition] = h->seq;
  }
  return is_any;
}

// The oldest set of bases that is behind all damage and reads; INT64_MIN: none.
static int find_set(const struct found *f, int64_t *made_ms, uint64_t *seq, struct error *err) {
  struct base_info *list;
  size_t count;
  int rc = base_list(f->dir, &list, &count, err);
  if (rc) return rc;
  int64_t newest_ms = base_set_read(f->dir), best_ms = INT64_MIN;
  base_only(list, &count, f->partitions, 0);
  for (size_t i = 0; i < count; i++) {
    int64_t ms = list[i].head.made_ms;
    if (ms > newest_ms || (best_ms != INT64_MIN && ms >= best_ms)) continue;
    if (set_at(list, count, f->partitions, ms, seq) && covers(f, seq)) best_ms = ms;
  }
  if (best_ms != INT64_MIN) set_at(list, count, f->partitions, best_ms, seq);
  *made_ms = best_ms;
  base_list_free(list);
  return 0;
}

// ---- what is kept ----
static int keep(const struct found *f, size_t i, struct cut *cut, struct error *err) {
  struct source *source;
  if (f->end[i] <= SEGMENT_HEADER_SIZE) return 0;
  int rc = source_open(f->dir, f->list[i].log, f->list[i].number, &source, err);
  if (rc) return rc;
  cut->end = xrealloc(cut->end, (cut->count + 1) * sizeof *cut->end);
  cut->end[cut->count++] =
      (struct cut_end){.log = f->list[i].log, .segment = f->list[i].number, .end = f->end[i], .source = source};
  return 0;
}

static int keep_behind(const struct found *f, const uint64_t *seq, struct cut *cut, struct error *err) {
  bool is_kept[256] = {false}; // of a log
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < f->count; i++) {
    const struct segment_info *s = &f->list[i];
    bool is_before = segment_is_before(s, segment_after(f->list, f->count, s), f->list[f->count - 1].era, seq);
    is_kept[s->log] = is_kept[s->log] || !is_before;
    if (is_kept[s->log])
      rc = keep(f, i, cut, err);
    else
      f->salvage->segments_left++;
  }
  return rc;
}

// Of the session of the first damage each log up to its first, and no later session.
static int keep_before(const struct found *f, struct cut *cut, struct error *err) {
  bool has_ended[256] = {false};
  int rc = 0;
  uint32_t session = UINT32_MAX;
  unsigned era = f->count ? f->list[f->count - 1].era : 0, first_era = era;
  for (size_t i = 0; i < f->count; i++) {
    if (!f->is_bad[i]) continue;
    if (f->session[i] < session) session = f->session[i];
    if (f->list[i].era < first_era) first_era = f->list[i].era;
  }
  if (first_era != era)
    return error_set(err, ITD_ECORRUPT,
                     "%s: the damage is older than the number of partitions, and no set of bases lies behind it",
                     f->salvage->damage);
  for (size_t i = 0; rc == 0 && i < f->count; i++) {
    unsigned log = f->list[i].log;
    if (has_ended[log] || f->list[i].header.session > session) {
      f->salvage->segments_left++;
      continue;
    }
    rc = keep(f, i, cut, err);
    has_ended[log] = f->is_bad[i];
  }
  return rc;
}

// Where the partitions stand at the end of what is kept: it is walked once more, up to its ends.
static int take_tips(const struct found *f, struct cut *cut, struct error *err) {
  struct scan *scan = xcalloc(1, sizeof *scan);
  int rc = 0;
  uint64_t any[256];
  memset(any, 0xff, sizeof any);
  *scan = (struct scan){.dir = f->dir, .floor = any};
  for (size_t k = 0, i = 0; rc == 0 && i < f->count && k < cut->count; i++) {
    struct scan_end end;
    if (f->list[i].log != cut->end[k].log || f->list[i].number != cut->end[k].segment) continue;
    k++;
    rc = scan_segment(scan, &f->list[i], &end, err);
    if (rc == ITD_ECORRUPT && f->is_bad[i]) rc = 0; // its end
  }
  cut->partitions = f->partitions;
  for (unsigned p = 0; rc == 0 && p < f->partitions; p++) {
    cut->tip[p] = scan->tip[p].tip;
    if (f->last[p] > cut->tip[p].seq) f->salvage->lost += f->last[p] - cut->tip[p].seq;
  }
  free(scan);
  return rc;
}

int salvage_find(const char *dir, unsigned partitions, struct cut *out, struct salvage *salvage, struct error *err) {
  struct found f = {.dir = dir, .partitions = partitions, .salvage = salvage};
  struct cut cut = {.cache = sealed_cache_new(2)};
  uint64_t seq[256];
  int64_t made_ms = INT64_MIN;
  *salvage = (struct salvage){.bases_ms = INT64_MIN};
  int rc = segment_list_all(dir, &f.list, &f.count, take_problem, &f, err);
  f.is_bad = xcalloc(f.count + 1, sizeof *f.is_bad);
  f.end = xcalloc(f.count + 1, sizeof *f.end);
  f.session = xcalloc(f.count + 1, sizeof *f.session);
  if (rc == 0) rc = walk_all(&f, err);
  if (rc == 0 && salvage->is_damaged) rc = find_set(&f, &made_ms, seq, err);
  salvage->begins_behind = made_ms != INT64_MIN;
  if (salvage->begins_behind) salvage->bases_ms = made_ms;
  if (rc == 0) rc = salvage->begins_behind ? keep_behind(&f, seq, &cut, err) : keep_before(&f, &cut, err);
  if (rc == 0) rc = take_tips(&f, &cut, err);
  segment_list_free(f.list, f.count);
  free(f.is_bad);
  free(f.end);
  free(f.session);
  if (rc)
    cut_close(&cut);
  else
    *out = cut;
  return rc;
}
