#include "cli/train_split.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/suggest.h"
#include "model/model.h"
#include "policy/hears.h"

#include <math.h>
#include <stdlib.h>

// ---- by time ----
static int by_ms(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// The first row of each lead; rows lie by time.
static int64_t *first_of_leads(const struct train_rows *rows) {
  int64_t *first = xmalloc(rows->leads * sizeof *first);
  for (size_t i = rows->count; i-- > 0;) first[rows->row[i].lead] = rows->row[i].at_ms;
  return first;
}

// Where `share` of the leads that began before `end` have begun.
static int64_t cut_at(const int64_t *ascending, size_t count, double share, int64_t end) {
  size_t n = 0;
  while (n < count && ascending[n] < end) n++;
  return n ? ascending[(size_t)(share * (double)n)] : end;
}

static void choose_cuts(const int64_t *first, size_t leads, int64_t test_ms, struct train_split *s) {
  int64_t *ascending = xmalloc(leads * sizeof *ascending);
  memcpy(ascending, first, leads * sizeof *ascending);
  qsort(ascending, leads, sizeof *ascending, by_ms);
  bool is_given = test_ms != INT64_MIN;
  s->test_ms = is_given ? test_ms : cut_at(ascending, leads, TRAIN_SHARE + VALIDATION_SHARE, INT64_MAX);
  s->validation_ms = is_given ? cut_at(ascending, leads, 1 - VALIDATION_OF, test_ms)
                              : cut_at(ascending, leads, TRAIN_SHARE, INT64_MAX);
  free(ascending);
}

static enum train_part part_of(const struct train_split *s, int64_t at) {
  return at < s->validation_ms ? TRAIN_TRAINING : at < s->test_ms ? TRAIN_VALIDATION : TRAIN_TEST;
}

static void place_rows(struct train_rows *rows, const int64_t *first, struct train_split *s) {
  const int64_t end[TRAIN_PARTS] = {s->validation_ms, s->test_ms, INT64_MAX};
  bool *is_counted = xcalloc(rows->leads + 1, sizeof *is_counted);
  for (size_t i = 0; i < rows->count; i++) {
    struct train_row *r = &rows->row[i];
    enum train_part part = part_of(s, first[r->lead]);
    bool is_later = r->at_ms >= end[part], is_near = part != TRAIN_TEST && r->at_ms >= end[part] - s->gap_ms;
    s->later += is_later;
    s->gap += !is_later && is_near;
    r->part = is_later || is_near ? TRAIN_DROPPED : part;
    if (r->part == TRAIN_DROPPED) continue;
    struct train_part_count *c = &s->part[part];
    if (c->rows++ == 0) c->from_ms = r->at_ms;
    c->to_ms = r->at_ms;
    c->came += r->came;
    c->leads += !is_counted[r->lead];
    is_counted[r->lead] = true;
  }
  free(is_counted);
}

static int check_part(const struct train_rows *rows, const struct train_split *s, enum train_part part,
                      struct error *err) {
  static const char advice[] = "export a longer time, or choose where the test begins (--split)";
  const struct train_part_count *c = &s->part[part];
  uint64_t least = part == TRAIN_TRAINING ? TRAIN_LEAST : TRAIN_LEAST_REST;
  char validation[TIME_TEXT_MAX], test[TIME_TEXT_MAX];
  time_format(s->validation_ms, validation), time_format(s->test_ms, test);
  if (c->rows < least)
    return error_set(err, ITD_EINVAL,
                     "%s: %llu rows for %s, at least %llu are needed (training before %s, test from %s; %llu rows left "
                     "out because their lead began in an earlier part): %s",
                     rows->file, (unsigned long long)c->rows, train_part_name(part), (unsigned long long)least,
                     validation, test, (unsigned long long)s->later, advice);
  if (c->came == 0 || c->came == c->rows)
    return error_set(
        err, ITD_EINVAL,
        "%s: of the %llu rows for %s %s the label is 1; a model needs both kinds (training before %s, test "
        "from %s): is it the label that is meant? Or %s",
        rows->file, (unsigned long long)c->rows, train_part_name(part), c->came ? "each" : "none", validation, test,
        advice);
  return 0;
}

int train_split(struct train_rows *rows, int64_t test_ms, int64_t gap_ms, struct train_split *out, struct error *err) {
  *out = (struct train_split){.gap_ms = gap_ms};
  int64_t *first = first_of_leads(rows);
  choose_cuts(first, rows->leads, test_ms, out);
  place_rows(rows, first, out);
  free(first);
  int rc = 0;
  for (enum train_part part = 0; part < TRAIN_PARTS && rc == 0; part++) rc = check_part(rows, out, part, err);
  return rc;
}

// ---- columns ----
struct sorting {
  const struct train_column *column;
};

static int by_text(const void *a, const void *b, void *context) {
  const struct sorting *s = context;
  return bytes_compare(s->column->texts[*(const uint32_t *)a], s->column->texts[*(const uint32_t *)b]);
}

// Categories are the texts that training rows have; by their bytes, so that the rows' order is nobody's business.
static void find_categories(const struct train_rows *rows, size_t at) {
  struct train_column *c = &rows->column[at];
  bool *is_seen = xcalloc(c->text_count + 1, sizeof *is_seen);
  uint32_t *place = xmalloc(c->text_count * sizeof *place + 1);
  for (size_t i = 0; i < rows->count; i++) {
    double x = rows->cells[rows->row[i].index * rows->column_count + at];
    if (rows->row[i].part == TRAIN_TRAINING && !isnan(x)) is_seen[(size_t)x] = true;
  }
  c->category_count = 0;
  for (uint32_t i = 0; i < c->text_count; i++)
    if (is_seen[i]) place[c->category_count++] = i;
  struct sorting s = {c};
  qsort_r(place, c->category_count, sizeof *place, by_text, &s);
  c->category = xmalloc(c->text_count * sizeof *c->category + 1);
  c->categories = xmalloc(c->category_count * sizeof *c->categories + 1);
  for (size_t i = 0; i < c->text_count; i++) c->category[i] = (uint32_t)c->category_count;
  for (uint32_t i = 0; i < c->category_count; i++) c->category[place[i]] = i, c->categories[i] = c->texts[place[i]];
  free(is_seen), free(place);
}

// Why training rows say nothing in a column; NULL: they say something.
static const char *says_nothing(const struct train_rows *rows, size_t at) {
  double first = (double)NAN;
  bool is_any = false, is_missing = false;
  for (size_t i = 0; i < rows->count; i++) {
    if (rows->row[i].part != TRAIN_TRAINING) continue;
    double x = rows->cells[rows->row[i].index * rows->column_count + at];
    if (isnan(x)) {
      is_missing = true;
    } else if (!is_any) {
      first = x, is_any = true;
    } else if (x != first) {
      return NULL;
    }
    if (is_any && is_missing) return NULL; // whether it is known says something
  }
  return is_any ? "the same in all training rows" : "not known in any training row";
}

static bool is_in(const struct train_names *list, const char *name) {
  for (size_t i = 0; i < list->count; i++)
    if (strcmp(list->name[i], name) == 0) return true;
  return false;
}

static int check_names(const struct train_rows *rows, const struct train_names *list, const char *option,
                       struct error *err) {
  const char *names[FEATURES_MAX];
  CHECK(rows->column_count <= FEATURES_MAX);
  for (size_t i = 0; i < rows->column_count; i++) names[i] = rows->column[i].name;
  for (size_t i = 0; i < list->count; i++) {
    bool is_there = false;
    for (size_t k = 0; k < rows->column_count; k++) is_there |= strcmp(names[k], list->name[i]) == 0;
    if (is_there) continue;
    const char *near = suggest(bytes_str(list->name[i]), names, rows->column_count);
    return error_set(err, ITD_EINVAL, "--%s: no column \"%.60s\" in %s that is a feature%s%s%s", option, list->name[i],
                     rows->file, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  }
  return 0;
}

static const char *reason(struct train_rows *rows, const struct policy *set, size_t at) {
  struct train_column *c = &rows->column[at];
  if (feature_info(policy_features(set), (size_t)c->feature)->is_personal)
    return "personal: a model's files would hold what can't be forgotten";
  if (c->has_too_many) return "too many different texts";
  if (c->is_text) find_categories(rows, at);
  if (c->category_count > MODEL_LEVELS_MAX) return "more than 1,024 different texts in training rows";
  return says_nothing(rows, at);
}

static void add_name(struct buf *list, const char *name) { buf_printf(list, "%s%s", list->n ? "," : "", name); }

// What has happened already is no question: a feature that counts the label's own event answers with it. The loudest of the
// events counts; *event is that one.
static enum policy_hearing hears_any(const struct policy *set, size_t feature, const struct train_names *events,
                                     const char **event) {
  enum policy_hearing hearing = POLICY_DEAF;
  for (size_t i = 0; i < events->count; i++) {
    enum policy_hearing one = policy_hears(set, feature, events->name[i]);
    if (one > hearing) hearing = one, *event = events->name[i];
  }
  return hearing;
}

static int check_leaks(const struct train_rows *rows, const struct policy *set, const struct train_names *events,
                       struct buf *hears_all, struct error *err) {
  struct buf leaks = {0};
  const char *event = "", *first = "";
  for (size_t i = 0; i < rows->column_count; i++) {
    const struct train_column *c = &rows->column[i];
    if (c->left_out) continue;
    enum policy_hearing hearing = hears_any(set, (size_t)c->feature, events, &event);
    if (hearing == POLICY_HEARS_IT && !leaks.n) first = event;
    if (hearing == POLICY_HEARS_IT) add_name(&leaks, c->name);
    if (hearing == POLICY_HEARS_ALL) add_name(hears_all, c->name);
  }
  int shown = (int)(leaks.n > 150 ? 150 : leaks.n), rc = 0;
  if (leaks.n)
    rc =
        error_set(err, ITD_EINVAL,
                  "a leak: the label is settled by \"%.80s\", and these features are fed by such an event: %.*s. Leave "
                  "them out: --without %.*s",
                  first, shown, (const char *)leaks.p, shown, (const char *)leaks.p);
  buf_deinit(&leaks);
  return rc;
}

// A column whose numbers were made by another definition would teach a model what it is never asked with.
static int check_definitions(const struct train_rows *rows, const struct policy *set, struct error *err) {
  struct buf others = {0};
  for (size_t i = 0; i < rows->column_count; i++) {
    const struct train_column *c = &rows->column[i];
    const struct feature_info *info = feature_info(policy_features(set), (size_t)c->feature);
    if (!c->left_out && c->exported && c->exported != info->definition_hash) add_name(&others, c->name);
  }
  int shown = (int)(others.n > 150 ? 150 : others.n), rc = 0;
  if (others.n)
    rc = error_set(err, ITD_EINVAL,
                   "%s: these columns were exported by another definition than %s has under the name: %.*s. Export the "
                   "rows again with the set that the model is for, or leave them out: --without %.*s",
                   rows->file, policy_info(set)->signals, shown, (const char *)others.p, shown, (const char *)others.p);
  buf_deinit(&others);
  return rc;
}

int train_columns(struct train_rows *rows, const struct policy *set, const struct train_names *only,
                  const struct train_names *without, const struct train_names *events, struct buf *hears_all,
                  struct error *err) {
  size_t used = 0;
  int rc = check_names(rows, only, "features", err);
  if (rc == 0) rc = check_names(rows, without, "without", err);
  if (rc) return rc;
  for (size_t i = 0; i < rows->column_count; i++) {
    struct train_column *c = &rows->column[i];
    if (is_in(without, c->name))
      c->left_out = "left out by --without";
    else
      c->left_out = only->count && !is_in(only, c->name) ? "not among --features" : reason(rows, set, i);
    used += !c->left_out;
  }
  rc = check_definitions(rows, set, err);
  if (rc == 0) rc = check_leaks(rows, set, events, hears_all, err);
  if (rc == 0 && used == 0)
    rc = error_set(err, ITD_EINVAL, "%s: no feature is left to learn from; the first is left out because: %s",
                   rows->file, rows->column[0].left_out);
  return rc;
}
