// intent train: from exported rows to a version of a model, with what it is worth beside it.
#include "cli/train.h"

#include "base/clock.h"
#include "cli/field.h"
#include "cli/folder.h"
#include "cli/outfile.h"
#include "cli/plugin.h"
#include "cli/show.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// ---- the command line ----
// models/NAME/VERSION. All that --out and --scores can be wrong by is told before hours of training, not after them.
static int read_out(struct training *t, struct error *err) {
  size_t n = strlen(t->out);
  while (n > 0 && t->out[n - 1] == '/') n--;
  const char *at = t->out + n, *middle;
  while (at > t->out && at[-1] != '/') at--;
  middle = at > t->out ? at - 1 : at;
  const char *name = middle;
  while (name > t->out && name[-1] != '/') name--;
  size_t name_n = (size_t)(middle - name), version_n = (size_t)(t->out + n - at);
  if (name_n == 0 || name_n >= sizeof t->name || version_n == 0 || version_n >= sizeof t->version)
    return error_set(err, ITD_EINVAL, "--out: \"%.200s\" is no models/NAME/VERSION", t->out);
  snprintf(t->name, sizeof t->name, "%.*s", (int)name_n, name);
  snprintf(t->version, sizeof t->version, "%.*s", (int)version_n, at);
  if (!model_is_name(t->name))
    return error_set(err, ITD_EINVAL, "--out: \"%.63s\" names no model; allowed are a-z, 0-9 and _, a letter first",
                     t->name);
  if (!model_is_version(t->version))
    return error_set(
        err, ITD_EINVAL,
        "--out: \"%.32s\" names no version; allowed are letters, digits and . _ -, a letter or digit first",
        t->version);
  t->out = t->out_plain = xstrndup(t->out, n);
  if (access(t->out, F_OK) == 0)
    return error_set(err, ITD_EINVAL, "%.200s is there already: a version never changes, give another one", t->out);
  return 0;
}

static int read_number(const struct args *args, const char *name, double otherwise, double min, double max, double *out,
                       struct error *err) {
  const char *text = args_text(args, name);
  char *end;
  *out = text ? strtod(text, &end) : otherwise;
  if (text && (end == text || *end || !(*out >= min && *out <= max)))
    return error_set(err, ITD_EINVAL, "--%s: \"%.40s\" is no number from %g to %g", name, text, min, max);
  return 0;
}

static int read_settings(struct training *t, struct error *err) {
  const struct train_settings d = TRAIN_SETTINGS_DEFAULT;
  int64_t trees, depth, seed;
  int rc = args_number(t->args, "trees", d.trees, 1, TRAIN_TREES_MAX, &trees, err);
  if (rc == 0) rc = args_number(t->args, "depth", d.depth, 1, 12, &depth, err);
  if (rc == 0) rc = args_number(t->args, "seed", (int64_t)d.seed, 0, INT32_MAX, &seed, err);
  if (rc == 0) rc = read_number(t->args, "eta", d.eta, 0.001, 1, &t->settings.eta, err);
  if (rc) return rc;
  t->settings.trees = (uint32_t)trees, t->settings.depth = (uint32_t)depth, t->settings.seed = (uint64_t)seed;
  return 0;
}

static int read_when(struct training *t, struct error *err) {
  const char *text = args_text(t->args, "when");
  int64_t ms = clock_wall_ms();
  char full[TIME_TEXT_MAX];
  if (text && time_parse(bytes_str(text), &ms) != 0)
    return error_set(err, ITD_EINVAL, "--when: \"%.40s\" is no day, such as 2026-01-05", text);
  time_format(ms, full);
  snprintf(t->when, sizeof t->when, "%.10s", full); // a day: two runs on one day give the same bytes
  return 0;
}

static int read_options(struct training *t, struct error *err) {
  static const char *const needed[] = {"label", "out"};
  for (size_t i = 0; i < 2; i++)
    if (!args_text(t->args, needed[i]))
      return error_set(err, ITD_EINVAL, "it needs --%s %s", needed[i], i ? "models/NAME/VERSION" : "NAME");
  if (!args_text(t->args, "signals") == !args_text(t->args, "policy"))
    return error_set(err, ITD_EINVAL, "it needs %s: whose features the columns are",
                     args_text(t->args, "policy") ? "one of --signals DIR and --policy DIR, not both"
                                                  : "--signals DIR or --policy DIR");
  t->file = t->args->operand[0];
  t->label = args_text(t->args, "label"), t->out = args_text(t->args, "out");
  const char *scores = args_text(t->args, "scores");
  int rc = read_out(t, err);
  if (rc == 0 && scores) rc = outfile_check(scores, err);
  if (rc == 0) rc = read_settings(t, err);
  return rc ? rc : read_when(t, err);
}

// ---- the signal set ----
static int load_set(struct training *t, struct error *err) {
  const char *signals = args_text(t->args, "signals"), *dir = signals ? signals : args_text(t->args, "policy");
  struct folder folder;
  struct policy_report report = {0};
  int rc = folder_find_at(t->args, dir, &folder, err);
  if (rc) return rc;
  if (folder.is_set != (signals != NULL))
    rc = error_set(err, ITD_EINVAL, "--%s: %.200s is no %s", signals ? "signals" : "policy", dir,
                   signals ? "signal set, such as policies/signals/b2b" : "policy's folder, such as policies/b2b_saas");
  if (rc == 0) rc = folder_load(&folder, &t->set, &report, err);
  if (rc && !signals) error_prefix(err, "--policy (--signals policies/signals/NAME needs no policy that loads)");
  policy_report_deinit(&report);
  folder_deinit(&folder);
  return rc;
}

// The events that make the label 1 or 0: as the set declares them, else its name is the event's.
static void read_label(struct training *t) {
  size_t count;
  const struct policy_label *labels = policy_labels(t->set, &count);
  t->event[t->event_count++] = t->label;
  snprintf(t->target, sizeof t->target, "%.150s, within the export's horizon", t->label);
  for (size_t i = 0; i < count; i++) {
    if (strcmp(labels[i].name, t->label) != 0) continue;
    char within[DURATION_TEXT_MAX];
    duration_format(labels[i].within_ms, within);
    snprintf(t->target, sizeof t->target, "%.60s: %.60s within %s", t->label, labels[i].event, within);
    t->event[0] = labels[i].event;
    for (size_t k = 0; k < labels[i].unless_count && k < POLICY_UNLESS_MAX; k++)
      t->event[t->event_count++] = labels[i].unless[k];
  }
}

// ---- which features ----
struct asked {
  enum { ASKED_PROFILE, ASKED_BEHAVIOUR, ASKED_BOTH, ASKED_LIST } group;
  char *only, *without; // copies that names point into
  struct train_names list, left;
};

// "a,b,c", taken apart in place.
static int take_names(char *text, const char *option, struct train_names *out, struct error *err) {
  out->name = xcalloc(FEATURES_MAX, sizeof *out->name);
  for (char *rest = text, *one; (one = strsep(&rest, ","));) {
    if (!*one) return error_set(err, ITD_EINVAL, "--%s: an empty name; allowed: a,b,c", option);
    if (out->count == FEATURES_MAX)
      return error_set(err, ITD_ETOOBIG, "--%s: more than %d names", option, FEATURES_MAX);
    out->name[out->count++] = one;
  }
  return 0;
}

static int read_asked(const struct args *args, struct asked *a, struct error *err) {
  static const char *const groups[] = {"profile", "behaviour", "both"};
  const char *features = args_text(args, "features"), *without = args_text(args, "without");
  *a = (struct asked){.group = features ? ASKED_LIST : ASKED_BOTH};
  for (unsigned i = 0; features && i < 3; i++)
    if (strcmp(features, groups[i]) == 0) a->group = i;
  int rc = 0;
  if (a->group == ASKED_LIST) rc = take_names(a->only = xstrdup(features), "features", &a->list, err);
  if (rc == 0 && without) rc = take_names(a->without = xstrdup(without), "without", &a->left, err);
  return rc;
}

static void asked_deinit(struct asked *a) {
  free(a->only), free(a->without);
  free(a->list.name), free(a->left.name);
}

// A model of those columns of a class (of all: NULL), where there are any.
static struct train_model *plan(const struct training *t, const char *group, int is_profile) {
  struct train_model *m = xcalloc(1, sizeof *m);
  m->group = group;
  for (size_t i = 0; i < t->rows.column_count; i++) {
    const struct train_column *c = &t->rows.column[i];
    if (!c->left_out && (is_profile < 0 || c->is_profile == is_profile)) m->column[m->count++] = i;
  }
  if (m->count > 0) return m;
  train_model_free(m);
  return NULL;
}

static int plan_all(struct training *t, const struct asked *a, struct error *err) {
  static const char *const groups[] = {"profile", "behaviour", "both"};
  for (size_t i = 0; i < 3; i++) t->model[i] = plan(t, groups[i], i == 0 ? 1 : i == 1 ? 0 : -1);
  t->chosen = t->model[a->group == ASKED_LIST ? ASKED_BOTH : a->group];
  if (!t->chosen)
    return error_set(err, ITD_EINVAL, "--features %s: no %s feature of %s is in %s and says anything", groups[a->group],
                     groups[a->group], policy_info(t->set)->signals, t->file);
  return 0;
}

// ---- the order of things ----
static int fit_all(struct training *t, struct error *err) {
  int rc = 0;
  for (size_t i = 0; i < TRAIN_MODELS && rc == 0; i++) {
    if (!t->model[i]) continue;
    fprintf(stderr, "training: %s, %zu features\n", t->model[i]->group, t->model[i]->count);
    rc = train_fit(t->trainer, &t->rows, &t->settings, t->model[i], err);
  }
  return rc;
}

static void warn(const struct training *t) {
  const struct buf *said[] = {&t->rows.undeclared, &t->rows.missing, &t->hears_all};
  static const char *const what[] = {"columns that the set does not declare, passed over",
                                     "features that have no column, in no model",
                                     "fed by every event, the label's too (is that meant?)"};
  for (size_t i = 0; i < 3; i++)
    if (said[i]->n) fprintf(stderr, "%s: %.*s\n", what[i], (int)said[i]->n, (const char *)said[i]->p);
  if (!t->rows.has_definitions)
    fprintf(stderr, "%s does not say by which definitions its columns were made (intent feature export does)\n",
            t->file);
  for (size_t i = 0; i < t->rows.column_count; i++)
    if (t->rows.column[i].left_out && strncmp(t->rows.column[i].left_out, "not among", 9) != 0)
      fprintf(stderr, "left out: %s: %s\n", t->rows.column[i].name, t->rows.column[i].left_out);
}

static int learn(struct training *t, struct error *err) {
  struct asked asked;
  int64_t split_ms = INT64_MIN, gap_ms = 0;
  const char *split = args_text(t->args, "split"), *gap = args_text(t->args, "gap");
  int rc = read_asked(t->args, &asked, err);
  if (rc == 0 && split && time_parse(bytes_str(split), &split_ms) != 0)
    rc = error_set(err, ITD_EINVAL, "--split: \"%.40s\" is no time, such as 2026-01-05 or 2026-01-05T12:00:00Z", split);
  if (rc == 0 && gap && duration_parse(bytes_str(gap), &gap_ms) != 0)
    rc = error_set(err, ITD_EINVAL, "--gap: \"%.40s\" is no duration, such as 30d", gap);
  const struct train_names events = {t->event, t->event_count};
  if (rc == 0) rc = train_rows_read(t->file, t->label, t->set, &t->rows, err);
  if (rc == 0) rc = train_split(&t->rows, split_ms, gap_ms, &t->split, err);
  if (rc == 0) rc = train_columns(&t->rows, t->set, &asked.list, &asked.left, &events, &t->hears_all, err);
  if (rc == 0) rc = plan_all(t, &asked, err);
  asked_deinit(&asked);
  if (rc) return rc;
  warn(t);
  return fit_all(t, err);
}

static void explain(struct training *t, struct buf *by, struct buf *why) {
  const struct metrics *m = &t->chosen->metrics;
  struct interval i = metric_interval(t->chosen->draws, TRAIN_DRAWS, METRIC_AUC, TRAIN_LEVEL);
  buf_printf(by, "intent train, %s", t->trainer->library);
  buf_printf(why, "Trained on %s by time, judged on later leads: AUC %.3f (%.3f to %.3f). Nobody has said more yet.",
             t->chosen->group, m->value[METRIC_AUC], i.low, i.high);
  buf_append_u8(by, 0), buf_append_u8(why, 0);
  const char *given = args_text(t->args, "rationale");
  t->by = (const char *)by->p;
  t->rationale = given && *given ? given : (const char *)why->p;
}

static void tell(const struct training *t, struct bytes report) {
  struct buf out = {0};
  if (args_flag(t->args, "json")) {
    show_json(report);
    return;
  }
  train_tables(report, show_width(), &out);
  buf_append_str(&out, "\n");
  show_count(&out, t->compared);
  buf_append_str(&out, " rows asked of the engine as the daemon asks it: every margin is the library's, to the bit\n");
  buf_printf(&out, "written: %s, of %zu features\n", t->out, t->chosen->count);
  show_print(&out);
  buf_deinit(&out);
}

static int write_scores(const struct training *t, struct error *err) {
  const char *path = args_text(t->args, "scores");
  if (!path) return 0;
  struct buf scores = {0};
  struct outfile out;
  int rc = outfile_open(&out, path, err);
  if (rc) return rc;
  train_scores(t, &scores);
  if (fwrite(scores.p, 1, scores.n, out.to) != scores.n) rc = error_set(err, ITD_EIO, "%s: %s", path, strerror(errno));
  buf_deinit(&scores);
  return outfile_end(&out, rc, err);
}

static int write_all(struct training *t, struct error *err) {
  struct buf by = {0}, why = {0}, model = {0}, report = {0}, json = {0}, page = {0};
  explain(t, &by, &why);
  train_model_json(t, &model);
  int rc = train_compare(t, buf_bytes(&model), err);
  if (rc == 0) {
    train_report(t, &report);
    mp_to_json(buf_bytes(&report), &json);
    buf_append_u8(&json, '\n');
    rc = train_page(buf_bytes(&report), &page, err);
  }
  const struct train_file files[] = {{"weights.json", buf_bytes(&t->chosen->weights)},
                                     {"model.json", buf_bytes(&model)},
                                     {"report.json", buf_bytes(&json)},
                                     {"report.html", buf_bytes(&page)}};
  if (rc == 0) rc = write_scores(t, err); // first: without them nothing is made
  if (rc == 0) rc = train_folder(t->out, files, sizeof files / sizeof *files, err);
  if (rc == 0) tell(t, buf_bytes(&report));
  buf_deinit(&by), buf_deinit(&why), buf_deinit(&model), buf_deinit(&report), buf_deinit(&json), buf_deinit(&page);
  return rc;
}

static void training_deinit(struct training *t) {
  for (size_t i = 0; i < TRAIN_MODELS; i++) train_model_free(t->model[i]);
  free(t->influence);
  train_rows_free(&t->rows);
  buf_deinit(&t->hears_all);
  free(t->out_plain);
  policy_release(t->set);
}

static int run(const struct args *args) {
  struct training *t = xcalloc(1, sizeof *t);
  struct error err = {0};
  t->args = args;
  int rc = read_options(t, &err);
  if (rc == 0) rc = plugin_trainer(args_text(args, "plugins"), "train_xgboost", &t->trainer, &err);
  if (rc == 0) rc = load_set(t, &err);
  if (rc == 0) read_label(t);
  if (rc == 0) rc = learn(t, &err);
  if (rc == 0) rc = write_all(t, &err);
  training_deinit(t);
  free(t);
  return rc < 0 ? command_fail(args, COMMAND_USAGE, &err) : COMMAND_OK;
}

static const struct option options[] = {
    {"signals", "DIR", "the signal set whose features the columns are: policies/signals/NAME"},
    {"policy", "DIR", "or a policy that reads it"},
    {"label", "NAME", "which label: of the column \"label NAME\""},
    {"out", "DIR", "where the version is made: models/NAME/VERSION; it must not be there yet"},
    {"features", "WHICH", "what the written model has: profile, behaviour, both (default), or a list a,b,c"},
    {"without", "a,b", "features that no model gets"},
    {"split", "T", "test on leads that begin at this time or later (default: on the last 15 %)"},
    {"gap", "TIME", "leave out rows of training and validation so near their end: 30d (default: none)"},
    {"trees", "N", "at most so many trees (default 1000); it stops early by validation rows"},
    {"depth", "N", "steps down a tree, 1 to 12 (default 4)"},
    {"eta", "X", "how much of each tree is taken (default 0.05)"},
    {"seed", "N", "of what is drawn for each tree, and of the bootstrap (default 1)"},
    {"rationale", "TEXT", "why this model: a sentence in model.json"},
    {"when", "DAY", "the day that model.json names (default today)"},
    {"scores", "FILE", "write the library's margin of each row to this new file, as CSV: line, part, label, margin"},
    {"plugins", "DIR", "where train_xgboost.so lies (default: plugins beside this program)"},
    {0}};

const struct command command_train = {
    .name = "train",
    .operands = "ROWS.csv",
    .operands_min = 1,
    .operands_max = 1,
    .uses = USES_POLICIES,
    .summary = "from exported rows to a model's version: boosted trees, calibrated, with its report",
    .help =
        "ROWS.csv is what intent feature export --at labels writes. Trained are three models: of the profile alone, "
        "of\n"
        "behaviour alone, of both; each is stopped and calibrated on later leads, and judged on leads later still. "
        "The\n"
        "one that --features names becomes models/NAME/VERSION: model.json, weights.json, report.json, report.html.\n"
        "The same rows, options and day give the same bytes. Nothing is written unless the engine's margin of every\n"
        "row is the library's, to the bit. docs/models.md says what is done and why.\n\n"
        "  intent feature export --at labels --open --data data --out rows.csv\n"
        "  intent train rows.csv --signals policies/signals/b2b --label won --out policies/models/buyers/1\n"
        "  intent train rows.csv --policy policies/b2b_saas --label won --features profile --out "
        "policies/models/fit/1",
    .options = options,
    .run = run,
};
