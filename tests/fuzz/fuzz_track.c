// A track record from a stranger, with its hash made right: refused, or it is written again as the same, and what is read off
// it holds together.
#include <math.h>
#include <stdlib.h>

#include "fuzz.h"
#include "model/evaluation.h"
#include "store/track.h"

#define ROWS_MAX 100000 // more are counted, not looked at

static uint64_t rows_of(struct track *t, size_t series, enum track_who who) {
  const struct track_series *s = track_at(t, series);
  uint64_t bin[TRACK_BINS], all = track_histogram(t, series, s->first_day, s->end_day, bin);
  if (all > ROWS_MAX) return all;
  struct track_rows rows;
  struct track_latest latest;
  track_rows(t, series, s->first_day, s->end_day, who, &rows);
  CHECK(rows.count + rows.waiting + rows.unjudged <= all);
  CHECK(who != TRACK_ALL || rows.count + rows.waiting + rows.unjudged == all);
  for (size_t i = 0; i < rows.count; i++) {
    CHECK(rows.row[i].probability >= 0 && rows.row[i].probability <= 1);
    CHECK(rows.row[i].score >= TRACK_POINTS_MIN && rows.row[i].score <= TRACK_POINTS_MAX);
    CHECK(i == 0 || rows.row[i - 1].score <= rows.row[i].score);
  }
  CHECK(isnan(rows.auc_error) || (rows.auc_error >= 0 && rows.auc_error <= 0.5));
  free(rows.row);
  track_latest(t, series, 28, &latest);
  CHECK(latest.rows <= all && latest.came <= latest.rows);
  return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n > 16384) return 0;
  struct buf in = {0}, out = {0}, again = {0};
  struct track *t, *second;
  struct error err = {0};
  buf_append(&in, p, n);
  uint64_t hash = hash64(buf_bytes(&in));
  buf_append(&in, &hash, sizeof hash);
  int rc = track_load(buf_bytes(&in), &t, &err);
  CHECK(rc == 0 || ((rc == ITD_ECORRUPT || rc == ITD_EVERSION) && err.code == rc && err.text[0]));
  if (rc == 0) {
    track_save(t, &out);
    CHECK(track_load(buf_bytes(&out), &second, &err) == 0);
    track_save(second, &again);
    CHECK(bytes_eq(buf_bytes(&out), buf_bytes(&again)));
    for (size_t i = 0; i < track_count(t); i++) rows_of(t, i, TRACK_ALL), rows_of(t, i, TRACK_HELD_OUT);
    track_take_before(second, t, 20000);
    track_free(second);
    track_free(t);
  }
  buf_deinit(&in), buf_deinit(&out), buf_deinit(&again);
  return 0;
}
