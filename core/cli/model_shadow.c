// intent model shadow: a version that decides nothing scores what was decided, and both are held against what came.
//
// A shadow needs nothing of the daemon: the score of a decision is a function of the features that it read, and the journal
// gives these again to the bit (store/refold.h), as it does what came (store/outcomes.h). What comes out is what a shadow
// that ran beside would have said, for the time before it was made, too.
#include "base/hash.h"
#include "base/pmath.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/journal.h"
#include "cli/model.h"
#include "cli/model_track.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "model/evaluation.h"
#include "policy/registry.h"
#include "store/refold.h"
#include "store/store.h"
#include "store/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LN2             0.69314718055994530942
#define DRAWS           200     // of the bootstrap
#define SHADOW_ROWS_MAX 4000000 // decisions, of some 100 bytes each

struct shadowed {          // a judged decision
  struct table_entry head; // key: key_of
  int64_t at_ms;
  double live, live_probability; // points of the version that decided
  double shadow, shadow_probability;
  uint32_t lead;  // whose: rows of one lead are drawn together
  bool is_scored; // shadow is there
  uint8_t outcome[OUTCOME_LABELS_MAX];
};

struct binding { // of a policy version's features
  const struct policy *policy;
  struct model_bound *bound; // NULL: it does not fit them
};

struct shadowing {
  struct model_track *t;
  const char *name;
  struct model *model;
  struct table rows;
  struct binding *binding;
  size_t binding_count;
  struct error unfit; // the first
  enum score score;
  char live[80]; // versions that decided, "1, 2"
  struct progress bar;
  int64_t since_ms; // decisions from then on
};

static struct hash128 key_of(struct lead_id lead, uint32_t number) {
  uint8_t bytes[20];
  memcpy(bytes, lead.b, 16), memcpy(bytes + 16, &number, 4);
  return hash128(bytes_of(bytes, sizeof bytes));
}

static void draw(void *context, uint64_t done, uint64_t total) {
  struct shadowing *s = context;
  progress_show(&s->bar, done, total, INT64_MIN);
}

// ---- what was decided, and what came ----
static void note_live(struct shadowing *s, const char *version) {
  size_t n = strlen(s->live), len = strlen(version);
  for (const char *at = s->live; (at = strstr(at, version)); at += len)
    if ((at == s->live || at[-1] == ' ') && (at[len] == 0 || at[len] == ',')) return;
  snprintf(s->live + n, sizeof s->live - n, "%s%s", n ? ", " : "", version);
}

static int take_judged(void *context, const struct judged_decision *d, struct error *err) {
  struct shadowing *s = context;
  const struct judge_model *m = &d->model[s->score];
  if (d->at_ms < s->since_ms || !d->has[s->score] || strcmp(m->name, s->name) != 0) return 0;
  if (table_count(&s->rows) == SHADOW_ROWS_MAX)
    return error_set(err, ITD_ETOOBIG, "more than %d judged decisions", SHADOW_ROWS_MAX);
  struct shadowed *row = table_add(&s->rows, key_of(d->lead, d->number));
  row->at_ms = d->at_ms;
  row->lead = (uint32_t)lead_id_hash(d->lead);
  row->live = d->points[s->score];
  row->live_probability = pm_sigmoid((row->live - m->points_at_even_odds) / m->points_to_double_odds * LN2);
  for (size_t k = 0; k < s->t->label_count; k++) row->outcome[k] = (uint8_t)d->outcome[k];
  note_live(s, m->version);
  return 0;
}

// ---- what the shadow says ----
static const struct model_bound *bound_to(struct shadowing *s, const struct policy *policy) {
  for (size_t i = s->binding_count; i-- > 0;)
    if (s->binding[i].policy == policy) return s->binding[i].bound;
  struct error why = {0};
  struct binding b = {.policy = policy};
  if (model_bind(s->model, policy_features(policy), &b.bound, &why) < 0 && !s->unfit.code) s->unfit = why;
  s->binding = xrealloc(s->binding, (s->binding_count + 1) * sizeof b);
  s->binding[s->binding_count++] = b;
  return b.bound;
}

static int score(void *context, const struct refold_step *step, struct error *err) {
  (void)err;
  struct shadowing *s = context;
  const struct frame *f = step->frame;
  if (!frame_is_decision(f)) return 0;
  struct shadowed *row = table_find(&s->rows, key_of(f->entity, f->number));
  const struct model_bound *bound = row && step->is_same ? bound_to(s, step->policy) : NULL;
  if (!bound) return 0;
  double values[FEATURES_MAX], contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
  struct bytes texts[FEATURES_MAX];
  struct model_output out;
  struct lead *lead = (struct lead *)(uintptr_t)step->lead; // read only
  feature_read(policy_features(step->policy), lead_feature_state(lead), f->now_ms, values, texts);
  model_score(bound, values, texts, contributions, points, &out);
  const struct model_info *info = model_info(s->model);
  row->shadow = (double)pm_milli(out.points) / 1000; // as a decision keeps it
  row->shadow_probability = pm_sigmoid((row->shadow - info->points_at_even_odds) / info->points_to_double_odds * LN2);
  row->is_scored = true;
  return 0;
}

// ---- both beside each other ----
struct pair {
  struct judged *live, *shadow;
  size_t count;
  uint64_t unscored, waiting;
};

static void pair_up(const struct shadowing *s, size_t label, struct pair *out) {
  size_t n = table_count(&s->rows);
  int64_t within = s->t->label[label].within_ms, until = s->t->stats.until_ms;
  *out = (struct pair){.live = xcalloc(n + 1, sizeof(struct judged)), .shadow = xcalloc(n + 1, sizeof(struct judged))};
  for (size_t i = 0; i < n; i++) {
    const struct shadowed *row = table_at(&s->rows, i);
    int64_t day = row->at_ms / OUTCOMES_DAY_MS - (row->at_ms % OUTCOMES_DAY_MS < 0);
    if ((day + 1) * OUTCOMES_DAY_MS + within > until || row->outcome[label] == OUTCOME_OPEN) {
      out->waiting++;
    } else if (!row->is_scored) {
      out->unscored++;
    } else {
      struct judged j = {.lead = row->lead, .came = row->outcome[label] == OUTCOME_YES};
      j.score = row->live, j.probability = row->live_probability;
      out->live[out->count] = j;
      j.score = row->shadow, j.probability = row->shadow_probability;
      out->shadow[out->count++] = j;
    }
  }
}

static void put_number(struct buf *out, const char *key, double x) { mp_put_cstr(out, key), mp_put_known(out, x); }

static void put_label(const struct shadowing *s, size_t label, struct buf *out) {
  struct pair p;
  pair_up(s, label, &p);
  struct evaluation *a = evaluation_new(p.live, p.count), *b = evaluation_new(p.shadow, p.count);
  struct metrics live = evaluation_metrics(a), shadow = evaluation_metrics(b);
  struct metrics *live_draws = xcalloc(DRAWS, sizeof live), *shadow_draws = xcalloc(DRAWS, sizeof shadow);
  evaluation_draws(a, 1, DRAWS, live_draws), evaluation_draws(b, 1, DRAWS, shadow_draws);
  mp_put_map(out, 7);
  mp_put_cstr(out, "label"), mp_put_cstr(out, s->t->label[label].name);
  mp_put_cstr(out, "event"), mp_put_cstr(out, s->t->label[label].event);
  mp_put_cstr(out, "rows"), mp_put_uint(out, live.rows);
  mp_put_cstr(out, "came"), mp_put_uint(out, live.came);
  mp_put_cstr(out, "unscored"), mp_put_uint(out, p.unscored);
  mp_put_cstr(out, "waiting"), mp_put_uint(out, p.waiting);
  mp_put_cstr(out, "metrics"), mp_put_array(out, METRICS);
  for (int k = 0; k < METRICS; k++) {
    struct interval i = metric_difference(shadow_draws, live_draws, DRAWS, (enum metric)k, 0.95);
    mp_put_map(out, 6);
    mp_put_cstr(out, "metric"), mp_put_cstr(out, metric_name((enum metric)k));
    put_number(out, "live", live.value[k]), put_number(out, "shadow", shadow.value[k]);
    put_number(out, "difference", shadow.value[k] - live.value[k]);
    put_number(out, "low", i.low), put_number(out, "high", i.high);
  }
  evaluation_free(a), evaluation_free(b);
  free(live_draws), free(shadow_draws);
  free(p.live), free(p.shadow);
}

static void put_all(const struct shadowing *s, struct buf *out) {
  const struct model_info *info = model_info(s->model);
  mp_put_map(out, 5);
  mp_put_cstr(out, "model"), mp_put_cstr(out, info->name);
  mp_put_cstr(out, "version"), mp_put_cstr(out, info->version);
  mp_put_cstr(out, "live"), mp_put_cstr(out, s->live);
  mp_put_cstr(out, "score"), mp_put_cstr(out, score_names[s->score]);
  mp_put_cstr(out, "labels"), mp_put_array(out, (uint32_t)s->t->label_count);
  for (size_t k = 0; k < s->t->label_count; k++) put_label(s, k, out);
}

static void number_cell(struct grid *g, struct bytes row, const char *key) {
  double x = field_number(row, key, NAN);
  if (isfinite(x))
    buf_printf(grid_cell(g), "%.4f", x);
  else
    buf_append_str(grid_cell(g), "-");
  grid_end(g);
}

static void show_label(struct bytes all, struct bytes label, struct buf *out) {
  struct grid g;
  struct bytes row;
  show_text(out, field_text(label, "label"));
  buf_append_str(out, " (");
  show_text(out, field_text(label, "event"));
  buf_append_str(out, "): ");
  show_count(out, (uint64_t)field_int(label, "rows", 0));
  buf_append_str(out, " judged decisions, it came for ");
  show_count(out, (uint64_t)field_int(label, "came", 0));
  buf_append_str(out, "\n\n");
  grid_init(&g, "lrrrrr");
  grid_add_str(&g, "");
  buf_append_str(grid_cell(&g), "live "), show_text(grid_cell(&g), field_text(all, "live")), grid_end(&g);
  buf_append_str(grid_cell(&g), "shadow "), show_text(grid_cell(&g), field_text(all, "version")), grid_end(&g);
  grid_add_str(&g, "difference"), grid_add_str(&g, "95 % from"), grid_add_str(&g, "to");
  for (struct each each = each_of(field(label, "metrics")); each_next(&each, &row);) {
    show_text(grid_cell(&g), field_text(row, "metric")), grid_end(&g);
    number_cell(&g, row, "live"), number_cell(&g, row, "shadow"), number_cell(&g, row, "difference");
    number_cell(&g, row, "low"), number_cell(&g, row, "high");
  }
  grid_put(&g, show_width(), out);
  grid_deinit(&g);
  if (field_int(label, "unscored", 0)) {
    show_count(out, (uint64_t)field_int(label, "unscored", 0));
    buf_append_str(out, " decisions are left out: their versions do not have the features that the shadow reads\n");
  }
  buf_append_u8(out, '\n');
}

static void show_all(struct bytes all, struct buf *out) {
  struct bytes label;
  show_text(out, field_text(all, "model"));
  buf_append_str(out, ": what decided (its score ");
  show_text(out, field_text(all, "score"));
  buf_append_str(out, ") and what version ");
  show_text(out, field_text(all, "version"));
  buf_append_str(out, " would have said\n\n");
  for (struct each each = each_of(field(all, "labels")); each_next(&each, &label);) show_label(all, label, out);
}

// ---- the command ----
static int load(const struct args *args, struct shadowing *s, struct error *err) {
  struct buf json = {0}, weights = {0};
  int rc = registry_read(model_folder(args), s->name, args->operand[2], &json, &weights, NULL, err);
  if (rc == 0) rc = model_parse(buf_bytes(&json), buf_bytes(&weights), &s->model, err);
  buf_deinit(&json), buf_deinit(&weights);
  return rc;
}

// Which score is this model's in the newest policy.
static int find_score(struct shadowing *s, struct error *err) {
  const struct model_bound *split = policy_model_split(s->t->policy);
  const struct model_bound *of[] = {policy_model_fit(s->t->policy), policy_model_engagement(s->t->policy), split};
  for (int k = 0; k < SCORES; k++) {
    s->score = (enum score)k;
    if (of[k] && strcmp(model_bound_info(of[k])->name, s->name) == 0) return 0;
  }
  return error_set(err, ITD_ENOTFOUND, "the policy in force reads no model %.80s: there is nothing to hold it against",
                   s->name);
}

static int walk(const struct args *args, struct shadowing *s, struct error *err) {
  const char *dir = model_track_dir(args);
  struct outcomes_options o = {.dir = dir,
                               .label = s->t->label,
                               .label_count = s->t->label_count,
                               .visit = take_judged,
                               .progress = draw,
                               .context = s};
  struct refold_options refold = {.dir = dir, .visit = score, .progress = draw, .context = s};
  struct refold_stats stats;
  progress_begin(&s->bar, "judging");
  int rc = outcomes_walk(&o, &s->t->stats, err);
  progress_end(&s->bar);
  if (rc) return rc;
  if (!table_count(&s->rows))
    return error_set(err, ITD_ENOTFOUND, "%s has no decision of %s that could be judged", dir, s->name);
  progress_begin(&s->bar, "scoring");
  rc = store_refold(&refold, &stats, err);
  progress_end(&s->bar);
  if (rc == 0 && s->unfit.code)
    fprintf(stderr, "to a version that decided the shadow does not fit: %s\n", s->unfit.text);
  return rc;
}

int model_shadow(const struct args *args) {
  struct model_track t = {0};
  struct shadowing s = {.t = &t, .name = args->operand[1], .since_ms = INT64_MIN};
  struct error err = {0};
  struct buf all = {0}, out = {0};
  table_init(&s.rows, sizeof(struct shadowed));
  int rc = journal_time(args, "since", &s.since_ms, &err), code = COMMAND_USAGE;
  if (rc == 0) {
    rc = load(args, &s, &err);
    code = model_exit_of(rc);
  }
  if (rc == 0) {
    rc = model_track_begin(args, &t, &err);
    if (rc == 0) rc = find_score(&s, &err);
    if (rc == 0) rc = walk(args, &s, &err);
    code = model_track_exit_of(rc);
  }
  if (rc == 0) {
    put_all(&s, &all);
    if (args_flag(args, "json")) {
      show_json(buf_bytes(&all));
    } else {
      show_all(buf_bytes(&all), &out);
      show_print(&out);
    }
  }
  for (size_t i = 0; i < s.binding_count; i++) model_bound_free(s.binding[i].bound);
  free(s.binding);
  model_free(s.model);
  table_deinit(&s.rows);
  model_track_close(&t);
  buf_deinit(&all), buf_deinit(&out);
  return rc ? command_fail(args, code, &err) : COMMAND_OK;
}
