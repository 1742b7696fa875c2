#include "cli/model_track.h"

#include "base/clock.h"
#include "base/date.h"
#include "cli/field.h"
#include "cli/model.h"
#include "cli/progress.h"
#include "policy/registry.h"
#include "store/datadir.h"
#include "store/in_force.h"

#include <stdio.h>
#include <stdlib.h>

static struct progress bar;
static void draw(void *context, uint64_t done, uint64_t total) {
  (void)context;
  progress_show(&bar, done, total, INT64_MIN);
}

int model_track_exit_of(int status) {
  return status == ITD_ENOTFOUND || status == ITD_ECORRUPT ? COMMAND_NO : COMMAND_USAGE;
}

// Those of the command line; else those that the signal set declares.
static int take_labels(const struct args *args, struct model_track *t, struct error *err) {
  const char *horizon = args_text(args, "horizon"), *event[OUTCOME_LABELS_MAX];
  size_t given = args_all(args, "label", event, OUTCOME_LABELS_MAX), count = 0;
  int64_t within_ms = 0;
  if (!given != !horizon)
    return error_set(err, ITD_EINVAL, "--label EVENT and --horizon TIME go together: did it come within that time?");
  if (horizon && (duration_parse(bytes_str(horizon), &within_ms) != 0 || within_ms <= 0))
    return error_set(err, ITD_EINVAL, "--horizon: \"%.40s\" is no duration; allowed: 12h, 30d", horizon);
  if (within_ms > OUTCOMES_HORIZON_MAX) return error_set(err, ITD_EINVAL, "--horizon is at most 3650d");
  for (size_t i = 0; i < given; i++)
    t->label[t->label_count++] = (struct policy_label){.name = event[i], .event = event[i], .within_ms = within_ms};
  if (given) return 0;
  const struct policy_label *declared = policy_labels(t->policy, &count);
  if (!count && args_flag(args, "triggers")) { // age and drift need none: one that never comes stands for it
    t->label[t->label_count++] = (struct policy_label){.name = "", .event = "", .within_ms = 1};
    return 0;
  }
  if (!count)
    return error_set(
        err, ITD_EINVAL,
        "the signal set %s declares no labels, so nothing says what the scores foretell: give --label EVENT "
        "and --horizon TIME, or labels in its signals.lua",
        policy_info(t->policy)->signals);
  for (size_t i = 0; i < count && i < OUTCOME_LABELS_MAX; i++) t->label[t->label_count++] = declared[i];
  return 0;
}

static bool is_asked(const struct args *args, const struct judge_model *model) {
  const char *name = args->operand_count > 1 ? args->operand[1] : NULL, *at = name ? strchr(name, '@') : NULL;
  if (!name) return true;
  size_t n = at ? (size_t)(at - name) : strlen(name);
  return strlen(model->name) == n && memcmp(model->name, name, n) == 0 && (!at || strcmp(at + 1, model->version) == 0);
}

static const struct track *ordered; // qsort hands no context on
static int by_name(const void *a, const void *b) {
  const struct track_series *x = track_at(ordered, *(const size_t *)a), *y = track_at(ordered, *(const size_t *)b);
  int order = strcmp(x->model.name, y->model.name);
  if (!order) order = registry_compare(x->model.version, y->model.version);
  if (!order) order = strcmp(x->label, y->label);
  if (!order) order = (x->score > y->score) - (x->score < y->score);
  if (!order) order = strcmp(x->event, y->event); // a label that was declared anew
  if (!order) order = strcmp(x->unless, y->unless);
  if (!order) order = (x->within_ms > y->within_ms) - (x->within_ms < y->within_ms);
  return order;
}

static void put_in_order(const struct args *args, struct model_track *t) {
  size_t n = track_count(t->track);
  t->order = xcalloc(n + 1, sizeof *t->order);
  for (size_t i = 0; i < n; i++)
    if (is_asked(args, &track_at(t->track, i)->model)) t->order[t->order_count++] = i;
  ordered = t->track;
  qsort(t->order, t->order_count, sizeof *t->order, by_name);
}

// A misspelt event would make every model look as if nobody ever bought.
static void warn(const struct model_track *t) {
  for (size_t i = 0; i < t->label_count; i++)
    if (*t->label[i].event && !t->stats.is_seen[i])
      fprintf(stderr,
              "no event \"%s\" is in the journal, so of the label %s nothing came: is it spelt as it is sent?\n",
              t->label[i].event, t->label[i].name);
  if (t->stats.unread)
    fprintf(stderr, "%llu decisions are left out: their policy version does not read\n",
            (unsigned long long)t->stats.unread);
  if (t->kept.code) fprintf(stderr, "%s; days before the journal that is kept are missing\n", t->kept.text);
}

const char *model_track_dir(const struct args *args) {
  const char *dir = args_text(args, "data");
  return dir ? dir : "data";
}

int model_track_begin(const struct args *args, struct model_track *t, struct error *err) {
  const char *dir = model_track_dir(args);
  struct datadir read; // or versions_open would make a folder
  *t = (struct model_track){0};
  int rc = datadir_read(dir, &read, err);
  explicit_bzero(&read, sizeof read);
  if (rc == 0) rc = versions_open(dir, &t->versions, err);
  if (rc) return rc;
  struct policy *policy = NULL;
  rc = in_force_policy(dir, t->versions, &policy, err);
  t->policy = policy;
  return rc ? rc : take_labels(args, t, err);
}

int model_track_open(const struct args *args, struct model_track *t, struct error *err) {
  const char *dir = model_track_dir(args);
  int rc = model_track_begin(args, t, err);
  if (rc) return rc;
  struct outcomes_options o = {.dir = dir, .label = t->label, .label_count = t->label_count, .progress = draw};
  progress_begin(&bar, "judging");
  rc = track_read(&o, &t->track, &t->stats, &t->kept, err);
  progress_end(&bar);
  if (rc) return rc;
  warn(t);
  put_in_order(args, t);
  if (t->order_count) return 0;
  return error_set(err, ITD_ENOTFOUND, "%s has no decision of a model%s%.130s", dir, args->operand_count > 1 ? " " : "",
                   args->operand_count > 1 ? args->operand[1] : "");
}

void model_track_close(struct model_track *t) {
  track_free(t->track);
  free(t->order);
  versions_close(t->versions);
  *t = (struct model_track){0};
}

void model_track_json(const struct args *args, const struct judge_model *model, const char *key, struct buf *out) {
  struct buf json = {0}, weights = {0}, head = {0};
  struct error err = {0};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  int rc = registry_read(model_folder(args), model->name, model->version, &json, &weights, NULL, &err);
  if (rc == 0) rc = mp_from_json(buf_bytes(&json), &limits, &head, &err);
  struct bytes map = rc == 0 ? field(buf_bytes(&head), key) : (struct bytes){0};
  if (map.n)
    mp_put_raw(out, map);
  else
    mp_put_nil(out);
  buf_deinit(&json), buf_deinit(&weights), buf_deinit(&head);
}

void model_track_day(struct buf *out, int64_t day) {
  struct date d = date_of_days(day);
  buf_printf(out, "%04lld-%02d-%02d", (long long)d.year, d.month, d.day);
}
