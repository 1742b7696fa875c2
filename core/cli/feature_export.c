// intent feature export: what was known at each decision, for training. The values are the engine's own, folded anew from
// the journal by the same code: what a model is trained on is what it will be asked with.
#include "base/check.h"
#include "base/clock.h"
#include "cli/feature.h"
#include "cli/feature_rows.h"
#include "cli/journal.h"
#include "cli/outfile.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "store/datadir.h"
#include "store/ids.h"
#include "store/in_force.h"
#include "store/outcomes.h"
#include "store/refold.h"
#include "store/store.h"
#include "store/table.h"

#include <stdlib.h>
#include <unistd.h>

#define WHERE_MAX 16

struct label_times { // of one person, ascending once all are there
  int64_t *at;
  size_t count, cap;
};
struct labelled {
  struct table_entry head; // key: lead_key
  bool is_merged;          // then its times go to the lead that it is part of: see gather_people
  struct lead_id into;
  struct label_times times[]; // of each label's event; behind them, of each label's `unless`
};

struct exporting {
  const struct args *args;
  struct row_format format;
  struct rows *rows;
  int64_t since_ms, until_ms; // of decisions
  struct {
    char *name;
    const char *value;
  } where[WHERE_MAX];
  size_t where_count;
  bool wants_labels, wants_open;
  struct policy_label label[ROW_LABELS_MAX]; // format.label_count of them
  struct table labelled;
  bool is_seen[ROW_LABELS_MAX]; // by label: the journal has such an event
  int64_t end_ms;               // the greatest clock in the journal
  uint64_t written;
  struct progress bar;
};

// ---- the command line ----
static int read_where(struct exporting *e, struct error *err) {
  const char *given[WHERE_MAX];
  size_t count = args_all(e->args, "where", given, WHERE_MAX);
  for (size_t i = 0; i < count; i++) {
    const char *equals = strchr(given[i], '=');
    char *name = equals ? xstrndup(given[i], (size_t)(equals - given[i])) : NULL;
    if (!name || !rows_is_column(name)) {
      free(name);
      return error_set(
          err, ITD_EINVAL,
          "--where: \"%.60s\" is not NAME=VALUE; allowed names: lead, cause, stage_before, stage, owner, action, "
          "band, policy",
          given[i]);
    }
    e->where[e->where_count].name = name;
    e->where[e->where_count++].value = equals + 1;
  }
  return 0;
}

static int read_labels(struct exporting *e, struct error *err) {
  const char *at = args_text(e->args, "at"), *horizon = args_text(e->args, "horizon"), *event[ROW_LABELS_MAX];
  size_t count = e->format.label_count = args_all(e->args, "label", event, ROW_LABELS_MAX);
  int64_t horizon_ms = 0;
  if (!at || (strcmp(at, "decisions") != 0 && strcmp(at, "labels") != 0))
    return error_set(err, ITD_EINVAL, "export needs --at decisions or --at labels");
  e->wants_labels = strcmp(at, "labels") == 0;
  if (e->wants_labels && !count != !horizon)
    return error_set(err, ITD_EINVAL, "--label EVENT and --horizon TIME go together: did it come within that time?");
  if (!e->wants_labels && (count || horizon))
    return error_set(err, ITD_EINVAL, "--label and --horizon go with --at labels");
  if (horizon && (duration_parse(bytes_str(horizon), &horizon_ms) != 0 || horizon_ms <= 0))
    return error_set(err, ITD_EINVAL, "--horizon: \"%.40s\" is no duration; allowed: 12h, 30d", horizon);
  for (size_t i = 0; i < count; i++)
    e->label[i] = (struct policy_label){.name = event[i], .event = event[i], .within_ms = horizon_ms};
  return 0;
}

static int read_options(struct exporting *e, struct error *err) {
  const char *format = args_text(e->args, "format");
  if (format && strcmp(format, "csv") != 0 && strcmp(format, "msgpack") != 0)
    return error_set(err, ITD_EINVAL, "--format: \"%.40s\" is not allowed; allowed: csv, msgpack", format);
  e->format.is_csv = !format || strcmp(format, "csv") == 0;
  e->format.is_personal = args_flag(e->args, "personal");
  e->wants_open = args_flag(e->args, "open");
  e->since_ms = INT64_MIN, e->until_ms = INT64_MAX;
  int rc = journal_time(e->args, "since", &e->since_ms, err);
  if (rc == 0) rc = journal_time(e->args, "until", &e->until_ms, err);
  if (rc == 0) rc = read_labels(e, err);
  return rc ? rc : read_where(e, err);
}

// ---- labels ----
static int64_t time_of(const struct refold_step *step) { // an event of a clock that runs ahead happened at the decision
  int64_t now = step->frame->now_ms, at = step->event->timestamp_ms;
  return at < now ? at : now;
}

static void add_time(struct label_times *times, int64_t at) {
  if (times->count == times->cap)
    times->at = xrealloc(times->at, (times->cap = times->cap ? 2 * times->cap : 4) * sizeof *times->at);
  times->at[times->count++] = at;
}

static struct labelled *labelled_of(struct exporting *e, struct lead_id lead) {
  struct labelled *l = table_find(&e->labelled, lead_key(lead));
  return l ? l : table_add(&e->labelled, lead_key(lead));
}

static void take_event(struct exporting *e, const struct refold_step *step) {
  size_t labels = e->format.label_count;
  for (size_t i = 0; i < labels; i++) {
    const struct policy_label *label = &e->label[i];
    bool is_it = bytes_is(step->event->name, label->event), is_unless = false;
    for (size_t k = 0; k < label->unless_count; k++) is_unless |= bytes_is(step->event->name, label->unless[k]);
    if (is_it || is_unless) add_time(&labelled_of(e, step->lead->id)->times[is_it ? i : labels + i], time_of(step));
    e->is_seen[i] |= is_it;
  }
}

static int take_label(void *context, const struct refold_step *step, struct error *err) {
  (void)err;
  struct exporting *e = context;
  if (step->frame->now_ms > e->end_ms) e->end_ms = step->frame->now_ms;
  if (step->lead->flags & LEAD_SEALED) {
    struct labelled *l = labelled_of(e, step->lead->id);
    l->is_merged = true;
    l->into = step->lead->into;
  }
  if (step->event) take_event(e, step);
  return 0;
}

static int by_time(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// Leads that were merged are one person, whose times all lie with the lead that took the others in: it may have been
// the other device that bought. No chain of merges has a circle; the bound is for files that were made up.
#define MERGE_HOPS_MAX 1000

static void gather_people(struct exporting *e) {
  for (size_t i = 0; i < table_count(&e->labelled); i++) {
    struct labelled *l = table_at(&e->labelled, i), *person = l;
    for (size_t hops = 0; person->is_merged && hops < MERGE_HOPS_MAX; hops++) person = labelled_of(e, person->into);
    for (size_t k = 0; person != l && k < 2 * e->format.label_count; k++) {
      for (size_t n = 0; n < l->times[k].count; n++) add_time(&person->times[k], l->times[k].at[n]);
      l->times[k].count = 0;
    }
  }
  for (size_t i = 0; i < table_count(&e->labelled); i++) {
    struct labelled *l = table_at(&e->labelled, i);
    for (size_t k = 0; k < 2 * e->format.label_count; k++)
      if (l->times[k].count) qsort(l->times[k].at, l->times[k].count, sizeof *l->times[k].at, by_time);
  }
}

// A misspelt event would make a column of zeros, from which a model learns that nobody ever buys.
static void warn_of_unseen(const struct exporting *e) {
  for (size_t i = 0; i < e->format.label_count; i++)
    if (!e->is_seen[i])
      fprintf(stderr,
              "no event \"%s\" is in the journal, so the column \"label %s\" has no 1: is it spelt as it is sent?\n",
              e->label[i].event, e->label[i].name);
}

static struct outcome_times times_at(const struct labelled *l, size_t k) {
  return l ? (struct outcome_times){l->times[k].at, l->times[k].count} : (struct outcome_times){0};
}

// Did the event come, to this lead or to one that is the same person?
static enum outcome label_at(const struct exporting *e, struct lead_id lead, size_t label, int64_t at) {
  const struct labelled *l = table_find(&e->labelled, lead_key(lead));
  for (size_t hops = 0; l && l->is_merged && hops < MERGE_HOPS_MAX; hops++)
    l = table_find(&e->labelled, lead_key(l->into));
  return label_outcome(&e->label[label], times_at(l, label), times_at(l, e->format.label_count + label), at, e->end_ms);
}

static void free_labels(struct exporting *e) {
  if (!e->labelled.entry_size) return; // it did not come to that
  for (size_t i = 0; i < table_count(&e->labelled); i++) {
    struct labelled *l = table_at(&e->labelled, i);
    for (size_t k = 0; k < 2 * e->format.label_count; k++) free(l->times[k].at);
  }
  table_deinit(&e->labelled);
}

// ---- rows ----
static bool fits(const struct exporting *e, const struct refold_step *step) {
  const struct frame *f = step->frame;
  if (!frame_is_decision(f) || f->now_ms < e->since_ms || f->now_ms > e->until_ms) return false;
  if (e->wants_open && outcomes_is_over(step->policy, f->decision)) return false;
  for (size_t i = 0; i < e->where_count; i++)
    if (!rows_fits(f->decision, e->where[i].name, e->where[i].value)) return false;
  return true;
}

static int put_row(void *context, const struct refold_step *step, struct error *err) {
  struct exporting *e = context;
  const struct frame *f = step->frame;
  if (!step->is_same) {
    char id[LEAD_ID_TEXT];
    lead_id_format(f->entity, id);
    return error_set(err, ITD_ECORRUPT,
                     "decision %s-%u: folded anew its lead has another state than the journal recorded; nothing is "
                     "exported that was not so: see intent feature verify",
                     id, f->number);
  }
  if (!fits(e, step)) return 0;
  enum outcome labels[ROW_LABELS_MAX];
  for (size_t i = 0; i < e->format.label_count; i++) labels[i] = label_at(e, f->entity, i, f->now_ms);
  struct lead *lead = (struct lead *)(uintptr_t)step->lead; // read only
  e->written++;
  return rows_put(e->rows, step->policy, lead_feature_state(lead), f->now_ms, f->decision, f->number, labels, err);
}

static void draw(void *context, uint64_t done, uint64_t total) {
  struct exporting *e = context;
  if (e->format.to != stdout) progress_show(&e->bar, done, total, INT64_MIN);
}

static int walk(struct exporting *e, const char *what, int (*visit)(void *, const struct refold_step *, struct error *),
                struct error *err) {
  struct refold_options o = {.dir = feature_data(e->args), .visit = visit, .progress = draw, .context = e};
  struct refold_stats stats;
  progress_begin(&e->bar, what);
  int rc = store_refold(&o, &stats, err);
  progress_end(&e->bar);
  if (rc == 0 && visit == put_row && stats.unreached)
    fprintf(stderr, "%llu leads are left out: no base has what they were before the journal that is kept (retention)\n",
            (unsigned long long)stats.unreached);
  return rc;
}

// Those of the command line, else those that the signal set declares.
static int take_labels(struct exporting *e, struct error *err) {
  size_t count = 0;
  const struct policy_label *declared = policy_labels(e->format.policy, &count);
  if (e->wants_labels && !e->format.label_count) {
    if (!count)
      return error_set(
          err, ITD_EINVAL,
          "the signal set %s declares no labels: give --label EVENT and --horizon TIME, or labels in its signals.lua",
          policy_info(e->format.policy)->signals);
    memcpy(e->label, declared, count * sizeof *declared);
    e->format.label_count = count;
  }
  for (size_t i = 0; i < e->format.label_count; i++) e->format.label[i] = e->label[i].name;
  table_init(&e->labelled, sizeof(struct labelled) + 2 * e->format.label_count * sizeof(struct label_times));
  return 0;
}

// The features of the version in force are the columns.
static int export_with(struct exporting *e, struct versions *versions, struct error *err) {
  struct policy *policy = NULL;
  int rc = in_force_policy(feature_data(e->args), versions, &policy, err);
  e->format.policy = policy;
  if (rc == 0) rc = take_labels(e, err);
  if (rc) return rc;
  e->rows = rows_new(&e->format);
  rc = e->format.label_count ? walk(e, "looking for labels", take_label, err) : 0;
  if (rc == 0) gather_people(e), warn_of_unseen(e);
  if (rc == 0) rc = rows_head(e->rows, err);
  return rc ? rc : walk(e, "exporting", put_row, err);
}

static int export_to(struct exporting *e, struct error *err) {
  const char *dir = feature_data(e->args);
  struct datadir read; // or versions_open would make a folder
  struct versions *versions;
  int rc = datadir_read(dir, &read, err);
  explicit_bzero(&read, sizeof read);
  if (rc == 0) rc = versions_open(dir, &versions, err);
  if (rc) return rc;
  struct outfile out;
  rc = outfile_open(&out, args_text(e->args, "out"), err);
  if (rc == 0) {
    e->format.to = out.to;
    rc = outfile_end(&out, export_with(e, versions, err), err);
  }
  versions_close(versions);
  return rc;
}

int feature_export(const struct args *args) {
  struct exporting e = {.args = args, .end_ms = INT64_MIN};
  struct error err = {0};
  int rc = read_options(&e, &err), code = COMMAND_USAGE;
  if (rc == 0) {
    rc = export_to(&e, &err);
    code = feature_exit_of(rc);
  }
  free_labels(&e);
  rows_free(e.rows);
  for (size_t i = 0; i < e.where_count; i++) free(e.where[i].name);
  if (rc < 0) return command_fail(args, code, &err);
  return e.written ? COMMAND_OK : COMMAND_NO;
}
