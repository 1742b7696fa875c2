#include "store/select.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/journal_scan.h"
#include "store/source.h"

struct selecting {
  const struct select_filter *filter;
  journal_visit visit;
  void *context;
  struct select_stats stats;
  bool is_over; // the limit is reached
};

static bool fits(const struct select_filter *f, const struct frame *frame) {
  if (f->lead && !lead_id_eq(*f->lead, frame->entity)) return false;
  if (f->partition >= 0 && frame->partition != f->partition) return false;
  if (f->kinds && !(f->kinds >> frame->kind & 1)) return false;
  return frame->received_ms >= f->since_ms && frame->received_ms <= f->until_ms;
}

// Stops a walk that has shown enough; never leaves this file.
enum { ENOUGH = 1 };

static int offer(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  struct selecting *s = context;
  if (!fits(s->filter, frame)) return 0;
  s->stats.frames++;
  int rc = s->visit(s->context, frame, place, err);
  if (rc) return rc;
  s->is_over = s->filter->limit && s->stats.frames >= s->filter->limit;
  return s->is_over ? ENOUGH : 0;
}

// ---- sealed segments ----
// The records that begin in a block. One that begins in it and ends in another is read from both.
static int offer_block(struct selecting *s, const struct source *source, struct sealed_cache *cache, uint32_t block,
                       struct buf *scratch, struct error *err) {
  struct sealed *sealed = source_sealed(source);
  const struct sealed_info *info = sealed_info(sealed);
  uint32_t at = sealed_block(sealed, block).raw, end = at + sealed_block_size(sealed, block);
  size_t got = end - at, need;
  if (at == 0) at = SEGMENT_HEADER_SIZE;
  buf_clear(scratch);
  int rc = source_read(source, cache, at, buf_reserve(scratch, end - at), end - at, &got, err);
  scratch->n = got;
  for (size_t done = 0; rc == 0 && at < end;) {
    uint64_t place = place_of(info->log, info->segment, at);
    size_t size = record_check(bytes_of(scratch->p + done, scratch->n - done), place, &need);
    if (!size && need > scratch->n - done) {
      size_t more = need - (scratch->n - done);
      rc = source_read(source, cache, (uint64_t)at + scratch->n - done, buf_reserve(scratch, more), more, &got, err);
      scratch->n += got;
      if (rc == 0 && got == more) continue;
    }
    if (rc || !size) break; // the rest of a record that began before
    if (record_kind(scratch->p + done) != FRAME_COMMIT) {
      struct frame frame;
      frame_get(scratch->p + done, &frame);
      rc = offer(s, &frame, place, err);
    }
    done += size;
    at += (uint32_t)size;
  }
  return rc;
}

static bool overlaps(const struct select_filter *f, int64_t least_ms, int64_t greatest_ms) {
  return least_ms <= greatest_ms && least_ms <= f->until_ms && greatest_ms >= f->since_ms;
}

static int offer_sealed(struct selecting *s, const struct source *source, struct error *err) {
  struct sealed *sealed = source_sealed(source);
  const struct sealed_info *info = sealed_info(sealed);
  uint32_t *only = NULL, count = info->blocks;
  uint64_t read = s->stats.blocks_read;
  s->stats.blocks += info->blocks;
  int rc = 0;
  if (!overlaps(s->filter, info->least_ms, info->greatest_ms))
    count = 0;
  else if (s->filter->lead)
    rc = sealed_blocks_of(sealed, *s->filter->lead, &only, &count, err);
  struct sealed_cache *cache = sealed_cache_new(2);
  struct buf scratch;
  buf_init(&scratch);
  for (uint32_t i = 0; rc == 0 && i < count; i++) {
    uint32_t block = only ? only[i] : i;
    struct sealed_block b = sealed_block(sealed, block);
    if (!overlaps(s->filter, b.least_ms, b.greatest_ms)) continue;
    s->stats.blocks_read++;
    rc = offer_block(s, source, cache, block, &scratch, err);
  }
  s->stats.segments_left_out += read == s->stats.blocks_read;
  sealed_cache_free(cache);
  buf_deinit(&scratch);
  free(only);
  return rc;
}

// ---- all ----
static int offer_segment(struct selecting *s, struct scan *scan, const struct segment_info *info, struct error *err) {
  struct source *source;
  struct scan_end end;
  s->stats.segments++;
  int rc = source_open(scan->dir, info->log, info->number, &source, err);
  if (rc == ITD_ENOTFOUND) return 0; // let go since, or never used
  if (rc) return rc;
  rc = source_sealed(source) ? offer_sealed(s, source, err) : scan_segment(scan, info, &end, err);
  source_close(source);
  return rc;
}

static int select_place(struct selecting *s, const char *dir, struct error *err) {
  struct journal_reader *reader = journal_reader_new(dir);
  struct buf raw;
  struct frame frame;
  buf_init(&raw);
  int rc = journal_read(reader, s->filter->place, &raw, &frame, err);
  if (rc == 0) rc = offer(s, &frame, s->filter->place, err);
  buf_deinit(&raw);
  journal_reader_free(reader);
  return rc == ENOUGH ? 0 : rc;
}

int journal_select(const char *dir, const struct select_filter *filter, journal_visit visit, void *context,
                   void (*progress)(void *context, uint64_t done, uint64_t total), struct select_stats *stats,
                   struct error *err) {
  struct selecting s = {.filter = filter, .visit = visit, .context = context};
  struct segment_info *list;
  size_t count;
  int rc = filter->place ? select_place(&s, dir, err) : segment_list(dir, &list, &count, err);
  if (rc == 0 && !filter->place) {
    struct scan *scan = xcalloc(1, sizeof *scan);
    uint64_t any[256];
    memset(any, 0xff, sizeof any); // segments between two logs are left out
    *scan = (struct scan){.dir = dir, .visit = offer, .context = &s, .floor = any, .is_live = true};
    if (!count) rc = error_set(err, ITD_ENOTFOUND, "%s has no journal", dir);
    for (size_t i = 0; rc == 0 && i < count; i++) {
      if (progress) progress(context, i, count);
      rc = offer_segment(&s, scan, &list[i], err);
    }
    free(scan);
    segment_list_free(list, count);
  }
  if (stats) *stats = s.stats;
  return s.is_over ? 0 : rc;
}

// ---- places as text ----
int place_parse(const char *text, uint64_t *place) {
  unsigned log, segment;
  uint64_t offset;
  int end = 0;
  size_t n = strlen(text);
  if (n > PLACE_TEXT || strspn(text, "0123456789abcdefABCDEF+-") != n) return ITD_EINVAL;
  if (n == 16 && sscanf(text, "%16" SCNx64 "%n", place, &end) == 1 && end == 16) return *place ? 0 : ITD_EINVAL;
  end = 0;
  if (sscanf(text, "%2x-%8x+%10" SCNu64 "%n", &log, &segment, &offset, &end) != 3 || (size_t)end != n ||
      segment > SEGMENT_NUMBER_MAX || offset > UINT32_MAX)
    return ITD_EINVAL;
  *place = place_of(log, segment, (uint32_t)offset);
  return *place ? 0 : ITD_EINVAL;
}

void place_format(uint64_t place, char out[PLACE_TEXT]) {
  snprintf(out, PLACE_TEXT, "%02x-%08x+%u", place_log(place), place_segment(place), place_offset(place));
}
