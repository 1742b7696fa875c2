// A model's track record: how its scores stood against what came of them, day by day, in bounded room, kept beyond the
// journal that it was made from. For each label, model version and score, each day, and apart for those whom the hold-out
// keeps our doings from: a histogram of the scores of judged decisions (store/outcomes.h), by outcome.
//
// Bins are a quarter of a point wide, so what is read off lies this near to what the decisions themselves give: two scores
// in one bin count as a tie (struct track_rows has the most that moves the AUC), and a probability is off by 0.0022 at
// most (at 10 points to double the odds). A bin all of whose scores are one keeps it, so that of a score of few values
// (a scorecard's) nothing is lost. One thread at a time.
//
// DIR/track is such a record, replaced by the daemon after each walk; it holds names of models and labels, and counts; no
// leads. What the journal still has whole is always counted anew, so of it nothing can be lost: not the file, not a
// merge, nor that somebody was forgotten. Days from before keep what was counted then.
#pragma once
#include "store/outcomes.h"

#define TRACK_POINTS_MIN     (-100)
#define TRACK_POINTS_MAX     200 // scores beyond count in the outermost bins
#define TRACK_BINS_PER_POINT 4
#define TRACK_BINS           ((TRACK_POINTS_MAX - TRACK_POINTS_MIN) * TRACK_BINS_PER_POINT)
#define TRACK_SERIES_MAX     512 // of more the later ones are left out, and counted
#define TRACK_FILE_MAX       (256u << 20)

struct track;
struct track *track_new(void);
void track_free(struct track *track); // NULL does nothing
// Counts one decision, for each label and score. `label` as in the walk.
void track_add(struct track *track, const struct policy_label *label, size_t count, const struct judged_decision *d);
// Takes the days before `day` over from an older record, in place of its own.
void track_take_before(struct track *track, const struct track *older, int64_t day);
// The whole of it: walks the journal, and takes what that has no more from the directory's file. `o`: dir, labels,
// memory, is_over, progress. Errors as outcomes_walk's; a file that does not read is said in `kept` (code not 0), and what
// it kept is missing.
int track_read(const struct outcomes_options *o, struct track **out, struct outcomes_stats *stats, struct error *kept,
               struct error *err) ITD_MUST_USE;
int track_kept(const char *dir, struct track **out,
               struct error *err) ITD_MUST_USE; // the file alone; ITD_ENOTFOUND too
int track_keep(const char *dir, const struct track *track, struct error *err) ITD_MUST_USE; // ITD_EFULL, ITD_EIO
void track_save(const struct track *track, struct buf *out);
int track_load(struct bytes bytes, struct track **out, struct error *err) ITD_MUST_USE; // ITD_ECORRUPT, ITD_EVERSION

// ---- what it says ----
struct track_series {
  const char *label, *event;
  const char *unless; // what rules it out: names, with ", " between
  int64_t within_ms;
  struct judge_model model;   // of which version and scale
  enum score score;           // SCORE_COMBINED: of the decisions that this model had a part in
  int64_t first_day, end_day; // days since 1970 with a decision: from the first to before the end; equal: none
};
size_t track_count(const struct track *track); // series, by model, version, label and score
const struct track_series *track_at(const struct track *track, size_t series);
int64_t track_until_ms(const struct track *track); // how far it knows what came: the greatest clock of a lead
void track_set_until(struct track *track, int64_t until_ms);
uint64_t track_left_out(const struct track *track); // decisions of series beyond TRACK_SERIES_MAX
// Decisions of a day are judged together, once the label's time has passed for the last of them: outcomes come early, what
// does not come only shows late, and a day that is half over would look better than it was.
bool track_is_judged(const struct track *track, size_t series, int64_t day);

enum track_who { TRACK_ALL, TRACK_HELD_OUT };
struct track_rows {
  struct judged *row; // model/evaluation.h; score: points, its bin's only one or its middle; malloc'd
  size_t count;
  uint64_t waiting;  // rows of days that are not judged yet
  uint64_t unjudged; // of days that are: their journal was let go before (retention shorter than the label)
  double auc_error;  // by so much the AUC of the decisions themselves may be another; NaN where there is none
};
// The judged rows of the days from `from` to before `end`.
void track_rows(const struct track *track, size_t series, int64_t from, int64_t end, enum track_who who,
                struct track_rows *out);
// All decisions of these days, judged or not, by bin; returns how many.
uint64_t track_histogram(const struct track *track, size_t series, int64_t from, int64_t end, uint64_t bin[TRACK_BINS]);
// How far two distributions of scores lie apart: the population stability index over ten parts that are equally large in the
// first, sum of (q - p) * ln(q / p), shares held above 0.0001. Under 0.1 is little, above 0.25 much. NaN: one is empty.
double track_stability(const uint64_t before[TRACK_BINS], const uint64_t now[TRACK_BINS]);
// The latest: of so many judged days, and how the scores of the latest days moved against those of the first.
struct track_latest {
  uint64_t rows, came, waiting;
  double auc, calibration_error, lift_10; // NaN: there is none
  double stability;                       // NaN: both together are longer than there are days
};
void track_latest(const struct track *track, size_t series, int64_t days, struct track_latest *out);
