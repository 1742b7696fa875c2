#include "store/outcomes.h"

#include "base/check.h"
#include "base/pmath.h"
#include "engine/entity.h"
#include "store/datadir.h"
#include "store/hold.h"
#include "store/ids.h"
#include "store/merge.h"
#include "store/select.h"
#include "store/store.h"
#include "store/table.h"
#include "store/versions.h"

#include <stdio.h>
#include <stdlib.h>

const char *const score_names[SCORES] = {"fit", "engagement", "combined"};

// Merges between two leads make no circle; the bound is for files that were made up.
#define HOPS_MAX     1000
#define DECIDERS_MAX UINT16_MAX

// What one release decides with.
struct decider {
  uint32_t policy, models; // numbers that frames name it by
  unsigned canaries;       // of the lead, as policy_scorers
  const struct policy *of; // NULL: it can't be read
  struct judge_model model[SCORES];
  double mix[2];
};

struct sample { // a decision that will be judged
  int64_t at_ms;
  int32_t milli[SCORES]; // INT32_MIN: there is none
  uint32_t number;
  uint16_t decider;
  bool is_held_out;
};

struct times { // of one person and one label, ascending once all are there
  int64_t *at;
  uint32_t count, cap;
};

enum { IS_MERGED = 1, IS_FORGOTTEN = 2 }; // flags
struct followed {                         // a lead
  struct table_entry head;                // key: lead_key
  struct lead_id into;                    // IS_MERGED
  int64_t day;                            // of its last decision
  uint32_t policy, models;                // likewise
  uint32_t count, cap;
  struct sample *sample;
  struct times *times; // of each label's event, and behind them of each label's `unless`; NULL: none of any
};

struct merged { // a lead that is part of another
  struct table_entry head;
  struct lead_id into;
};

struct walking {
  const struct outcomes_options *o;
  struct outcomes_stats *stats;
  struct versions *versions;
  struct decider *decider;
  size_t decider_count;
  struct table leads;
  size_t bytes;
  // Of several walks each is of the persons whose hashes lie within both; to know whose a lead is takes a walk before.
  struct table merged;
  uint64_t first, last;
  int64_t received_ms; // the least; of a journal whose beginning is gone, what is there is whole from about then on
  bool is_cut;
  bool is_full; // it remembers more than it may
};

// ---- leads ----
static void followed_clear(struct walking *w, struct followed *l) {
  for (size_t i = 0; l->times && i < 2 * w->o->label_count; i++) free(l->times[i].at);
  free(l->times), free(l->sample);
  l->times = NULL, l->sample = NULL;
  l->count = l->cap = 0;
}

static void forget_all(struct walking *w) {
  for (size_t i = 0; i < table_count(&w->leads); i++) followed_clear(w, table_at(&w->leads, i));
  table_deinit(&w->leads);
  table_init(&w->leads, sizeof(struct followed));
  w->bytes = 0;
}

static uint64_t person_hash(const struct walking *w, struct lead_id lead) {
  const struct merged *m;
  for (size_t hops = 0; hops < HOPS_MAX && (m = table_find(&w->merged, lead_key(lead))); hops++) lead = m->into;
  return lead_id_hash(lead);
}

static bool is_here(const struct walking *w, struct lead_id lead) {
  if (w->first == 0 && w->last == UINT64_MAX) return true;
  uint64_t hash = person_hash(w, lead);
  return hash >= w->first && hash <= w->last;
}

// NULL: of another walk, or forgotten.
static struct followed *followed_of(struct walking *w, const struct frame *f) {
  struct followed *l = table_find(&w->leads, lead_key(f->entity));
  if (l) return l->head.flags & IS_FORGOTTEN ? NULL : l;
  if (!is_here(w, f->entity)) return NULL;
  if (f->previous) w->is_cut = true; // it has frames before this one, and they are not there
  l = table_add(&w->leads, lead_key(f->entity));
  l->day = INT64_MIN;
  w->bytes += sizeof *l + sizeof(uint32_t) * 2;
  return l;
}

static void add_time(struct walking *w, struct times *t, int64_t at) {
  if (t->count == t->cap) {
    w->bytes += (t->cap ? t->cap : 4) * sizeof *t->at;
    t->at = xrealloc(t->at, (t->cap = t->cap ? 2 * t->cap : 4) * sizeof *t->at);
  }
  t->at[t->count++] = at;
}

static struct times *times_of(struct walking *w, struct followed *l, size_t label) {
  if (!l->times) {
    l->times = xcalloc(2 * w->o->label_count, sizeof *l->times);
    w->bytes += 2 * w->o->label_count * sizeof *l->times;
  }
  return &l->times[label];
}

// ---- who decided ----
static void take_model(struct judge_model *to, const struct model_bound *bound) {
  if (!bound) return;
  const struct model_info *info = model_bound_info(bound);
  snprintf(to->name, sizeof to->name, "%s", info->name);
  snprintf(to->version, sizeof to->version, "%s", info->version);
  to->points_at_even_odds = info->points_at_even_odds;
  to->points_to_double_odds = info->points_to_double_odds;
}

static size_t find_decider(const struct walking *w, const struct frame *f, unsigned canaries) {
  for (size_t i = w->decider_count; i-- > 0;) { // the newest first
    const struct decider *d = &w->decider[i];
    if (d->policy == f->policy && d->models == f->models && d->canaries == canaries) return i;
  }
  return w->decider_count;
}

static size_t add_decider(struct walking *w, const struct frame *f, const struct policy *policy,
                          const struct policy_scorers *scorers) {
  CHECK(w->decider_count < DECIDERS_MAX);
  w->decider = xrealloc(w->decider, (w->decider_count + 1) * sizeof *w->decider);
  struct decider *d = &w->decider[w->decider_count];
  *d = (struct decider){.policy = f->policy, .models = f->models, .canaries = scorers->canaries, .of = policy};
  if (policy) {
    const struct model_bound *split = scorers->split;
    const struct model_bound *fit = split ? split : scorers->fit;
    const struct model_bound *engagement = split ? split : scorers->engagement;
    take_model(&d->model[SCORE_FIT], fit);
    take_model(&d->model[SCORE_ENGAGEMENT], engagement);
    take_model(&d->model[SCORE_COMBINED], engagement ? engagement : fit);
    policy_mix(policy, &d->mix[SCORE_FIT], &d->mix[SCORE_ENGAGEMENT]);
    if (split) d->mix[SCORE_FIT] = d->mix[SCORE_ENGAGEMENT] = 1; // its parts' caps are not weighed
    w->stats->has_hold_out |= policy_has_hold_out(policy);
  }
  return w->decider_count++;
}

// The policy of a frame, which was looked up before for frames of the same release.
static const struct policy *policy_of(const struct walking *w, const struct frame *f) {
  for (size_t i = w->decider_count; i-- > 0;) // the newest first
    if (w->decider[i].policy == f->policy) return w->decider[i].of;
  return versions_get(w->versions, f->policy);
}

static size_t decider_of(struct walking *w, const struct frame *f) {
  const struct policy *policy = policy_of(w, f);
  struct policy_scorers scorers = {0};
  if (policy) scorers = policy_scorers(policy, lead_id_hash(f->entity));
  size_t at = find_decider(w, f, scorers.canaries);
  return at < w->decider_count ? at : add_decider(w, f, policy, &scorers);
}

// ---- decisions ----
bool outcomes_is_over(const struct policy *policy, struct bytes decision) {
  struct bytes stage;
  if (!mp_find(decision, BYTES_LIT("stage"), &stage) || !mp_as_str(stage, &stage)) return false;
  for (size_t i = 0; i < policy_entries(policy, POLICY_STAGES); i++) {
    const struct policy_entry *e = policy_entry(policy, POLICY_STAGES, i);
    if (bytes_is(stage, e->name)) return e->is_final;
  }
  return false;
}

// What the ledger says was cut from each score: the rows of kind `cap`, which count as the score does; of a split model's
// parts the rows `cap` of their own kinds.
static void read_caps(struct bytes reasons, int64_t cap[SCORES]) {
  static const char *const own[] = {"fit_score", "engagement_score"};
  struct mp m = mp_of(reasons);
  for (uint32_t left = mp_next(&m).count; left > 0; left--) {
    struct bytes row = mp_take(&m), kind, name, points;
    if (!mp_find(row, BYTES_LIT("kind"), &kind) || !mp_as_str(kind, &kind)) continue;
    if (!mp_find(row, BYTES_LIT("name"), &name) || !mp_as_str(name, &name)) continue;
    if (!mp_find(row, BYTES_LIT("points"), &points)) continue;
    for (int s = 0; s < SCORES; s++) {
      bool is_own = s < SCORE_COMBINED && bytes_is(kind, own[s]) && bytes_is(name, "cap");
      if (is_own || (bytes_is(kind, "cap") && bytes_is(name, score_names[s]))) cap[s] = mp_value_of(points).i;
    }
  }
}

static int32_t milli_of(double milli) {
  return milli > INT32_MAX ? INT32_MAX : milli < -INT32_MAX ? -INT32_MAX : (int32_t)milli;
}

static void read_scores(const struct decider *d, struct bytes decision, int32_t milli[SCORES]) {
  struct bytes scores, value, reasons;
  int64_t cap[SCORES] = {0};
  const double mix[SCORES] = {d->mix[SCORE_FIT], d->mix[SCORE_ENGAGEMENT], 1};
  if (mp_find(decision, BYTES_LIT("reasons"), &reasons)) read_caps(reasons, cap);
  bool found = mp_find(decision, BYTES_LIT("scores"), &scores);
  for (int s = 0; s < SCORES; s++) {
    milli[s] = INT32_MIN;
    if (!found || !d->model[s].name[0] || !mp_find(scores, bytes_str(score_names[s]), &value)) continue;
    struct mp_value v = mp_value_of(value);
    if (v.type != MP_INT) continue;
    double cut = cap[s] && mix[s] != 0 ? pm_round_even((double)cap[s] / mix[s]) : 0;
    milli[s] = milli_of((double)v.i - cut);
  }
}

static void take_decision(struct walking *w, struct followed *l, const struct frame *f) {
  int64_t day = f->now_ms / OUTCOMES_DAY_MS - (f->now_ms % OUTCOMES_DAY_MS < 0);
  if (l->day == day && l->policy == f->policy && l->models == f->models) return;
  l->day = day, l->policy = f->policy, l->models = f->models;
  size_t number = decider_of(w, f);
  const struct decider *d = &w->decider[number];
  if (!d->of) w->stats->unread++;
  if (!d->of || !d->model[SCORE_COMBINED].name[0]) return;
  if (outcomes_is_over(d->of, f->decision)) return;
  if (l->count == l->cap) {
    w->bytes += (l->cap ? l->cap : 2) * sizeof *l->sample;
    l->sample = xrealloc(l->sample, (l->cap = l->cap ? 2 * l->cap : 2) * sizeof *l->sample);
  }
  struct sample *s = &l->sample[l->count++];
  *s = (struct sample){.at_ms = f->now_ms,
                       .number = f->number,
                       .decider = (uint16_t)number,
                       .is_held_out = policy_holds_out(d->of, lead_id_hash(f->entity))};
  read_scores(d, f->decision, s->milli);
}

// ---- labels ----
static bool rules_out(const struct policy_label *label, struct bytes name) {
  for (size_t k = 0; k < label->unless_count; k++)
    if (bytes_is(name, label->unless[k])) return true;
  return false;
}

static bool names(const struct walking *w, struct bytes clear, const char *key) {
  struct bytes name;
  if (!mp_find(clear, bytes_str(key), &name) || !mp_as_str(name, &name)) return false;
  for (size_t i = 0; i < w->o->label_count; i++)
    if (bytes_is(name, w->o->label[i].event) || rules_out(&w->o->label[i], name)) return true;
  return false;
}

static int take_event(struct walking *w, struct followed *l, const struct frame *f, struct error *err) {
  if (!names(w, f->event, "event") && !names(w, f->event, "name")) return 0; // nearly all
  struct event event;
  int rc = event_decode_clear(f->event, f->received_ms, &event, err);
  if (rc) return rc;
  // An event of a clock that runs ahead happened at the decision.
  int64_t at_ms = event.timestamp_ms < f->now_ms ? event.timestamp_ms : f->now_ms;
  for (size_t i = 0; i < w->o->label_count; i++) {
    const struct policy_label *label = &w->o->label[i];
    bool is_it = bytes_is(event.name, label->event);
    if (is_it) add_time(w, times_of(w, l, i), at_ms);
    if (!is_it && rules_out(label, event.name)) add_time(w, times_of(w, l, w->o->label_count + i), at_ms);
    w->stats->is_seen[i] |= is_it;
  }
  return 0;
}

// ---- a walk ----
static int take(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)place;
  struct walking *w = context;
  if (w->o->is_over && w->o->is_over(w->o->context)) return error_set(err, ITD_ESHUTDOWN, "given up");
  if (f->received_ms < w->received_ms) w->received_ms = f->received_ms;
  if (f->kind == FRAME_RELEASE || f->kind == FRAME_REFUSED || f->entity_kind != ENTITY_LEAD) return 0;
  if (f->now_ms > w->stats->until_ms) w->stats->until_ms = f->now_ms;
  struct followed *l = followed_of(w, f);
  if (!l) return 0;
  if (f->kind == FRAME_FORGET) {
    followed_clear(w, l);
    l->head.flags |= IS_FORGOTTEN;
    return 0;
  }
  if (merge_sealed(f, &l->into)) l->head.flags |= IS_MERGED;
  int rc = f->kind == FRAME_EVENT ? take_event(w, l, f, err) : 0;
  if (rc) return rc;
  if (frame_is_decision(f)) take_decision(w, l, f);
  w->is_full = w->bytes > (w->o->memory ? w->o->memory : OUTCOMES_MEMORY);
  return w->is_full ? ITD_ETOOBIG : 0; // ends the walk
}

static int take_merged(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)place;
  struct walking *w = context;
  struct lead_id into;
  if (w->o->is_over && w->o->is_over(w->o->context)) return error_set(err, ITD_ESHUTDOWN, "given up");
  if (f->entity_kind != ENTITY_LEAD || !merge_sealed(f, &into)) return 0;
  struct merged *m = table_find(&w->merged, lead_key(f->entity));
  if (!m) m = table_add(&w->merged, lead_key(f->entity));
  m->into = into;
  return 0;
}

static void progress(void *context, uint64_t done, uint64_t total) {
  const struct walking *w = context;
  w->o->progress(w->o->context, done, total);
}

static int walk(struct walking *w, journal_visit visit, uint32_t kinds, struct error *err) {
  struct select_filter filter = SELECT_ALL;
  filter.kinds = kinds;
  w->stats->walks++;
  return journal_select(w->o->dir, &filter, visit, w, w->o->progress ? progress : NULL, NULL, err);
}

// ---- judging ----
static struct followed *person_of(struct walking *w, struct followed *l) {
  for (size_t hops = 0; l && l->head.flags & IS_MERGED && hops < HOPS_MAX; hops++)
    l = table_find(&w->leads, lead_key(l->into));
  return l;
}

static int by_time(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// All times of a person go to the lead that took the others in: it may have been the other device that bought.
static void gather_people(struct walking *w) {
  for (size_t i = 0; i < table_count(&w->leads); i++) {
    struct followed *l = table_at(&w->leads, i), *person = person_of(w, l);
    if (!l->times || !person || person == l || person->head.flags & IS_FORGOTTEN) continue;
    for (size_t k = 0; k < 2 * w->o->label_count; k++)
      for (uint32_t n = 0; n < l->times[k].count; n++) add_time(w, times_of(w, person, k), l->times[k].at[n]);
  }
  for (size_t i = 0; i < table_count(&w->leads); i++) {
    struct followed *l = table_at(&w->leads, i);
    for (size_t k = 0; l->times && k < 2 * w->o->label_count; k++)
      if (l->times[k].count) qsort(l->times[k].at, l->times[k].count, sizeof *l->times[k].at, by_time);
  }
}

// The first time after `after_ms`; INT64_MAX: none.
static int64_t first_after(struct outcome_times t, int64_t after_ms) {
  size_t low = 0, high = t.count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (t.at[middle] > after_ms)
      high = middle;
    else
      low = middle + 1;
  }
  return low < t.count ? t.at[low] : INT64_MAX;
}

enum outcome label_outcome(const struct policy_label *label, struct outcome_times came, struct outcome_times over,
                           int64_t at_ms, int64_t known_ms) {
  int64_t until = at_ms + label->within_ms, first = first_after(came, at_ms), ruled_out = first_after(over, at_ms);
  if (first <= until && first <= ruled_out) return OUTCOME_YES;
  return until <= known_ms || ruled_out <= until ? OUTCOME_NO : OUTCOME_OPEN;
}

static struct outcome_times times_at(const struct followed *person, size_t k) {
  return person->times ? (struct outcome_times){person->times[k].at, person->times[k].count}
                       : (struct outcome_times){0};
}

static enum outcome outcome_at(const struct walking *w, const struct followed *person, size_t k, int64_t at_ms) {
  return label_outcome(&w->o->label[k], times_at(person, k), times_at(person, w->o->label_count + k), at_ms,
                       w->stats->until_ms);
}

static int judge_lead(struct walking *w, struct followed *l, struct error *err) {
  const struct followed *person = person_of(w, l);
  if (!person) person = l; // whose other part's frames are not there
  for (uint32_t i = 0; i < l->count; i++) {
    const struct sample *s = &l->sample[i];
    struct judged_decision d = {.lead = lead_of_key(l->head.key),
                                .number = s->number,
                                .at_ms = s->at_ms,
                                .model = w->decider[s->decider].model,
                                .is_held_out = s->is_held_out};
    for (int score = 0; score < SCORES; score++) {
      d.has[score] = s->milli[score] != INT32_MIN;
      d.points[score] = d.has[score] ? (double)s->milli[score] / 1000 : 0;
    }
    for (size_t k = 0; k < w->o->label_count; k++) d.outcome[k] = outcome_at(w, person, k, s->at_ms);
    w->stats->judged++;
    int rc = w->o->visit(w->o->context, &d, err);
    if (rc) return rc;
  }
  return 0;
}

static int judge_all(struct walking *w, struct error *err) {
  int rc = 0;
  gather_people(w);
  for (size_t i = 0; rc == 0 && i < table_count(&w->leads); i++) rc = judge_lead(w, table_at(&w->leads, i), err);
  return rc;
}

// Of all persons at once if that fits; else of as many as do, again and again.
static int walks(struct walking *w, struct error *err) {
  for (w->last = UINT64_MAX;;) {
    int rc = walk(w, take, 0, err);
    bool is_all = w->first == 0 && w->last == UINT64_MAX;
    if (w->is_full) {
      w->is_full = false;
      forget_all(w);
      if (w->first == w->last) return error_set(err, ITD_ETOOBIG, "one person's decisions do not fit into memory");
      rc = is_all ? walk(w, take_merged, 1u << FRAME_MESSAGE, err) : 0;
      w->last = w->first + (w->last - w->first) / 2;
      if (rc) return rc;
      continue;
    }
    if (rc == 0) rc = judge_all(w, err);
    if (rc || w->last == UINT64_MAX) return rc;
    uint64_t width = w->last - w->first;
    forget_all(w);
    w->first = w->last + 1;
    w->last = UINT64_MAX - w->first < width ? UINT64_MAX : w->first + width;
  }
}

int outcomes_walk(const struct outcomes_options *options, struct outcomes_stats *stats, struct error *err) {
  struct walking w = {.o = options, .stats = stats, .received_ms = INT64_MAX};
  struct datadir read;
  CHECK(options->label_count <= OUTCOME_LABELS_MAX);
  *stats = (struct outcomes_stats){.until_ms = INT64_MIN};
  int rc = datadir_read(options->dir, &read, err); // or versions_open would make a folder
  explicit_bzero(&read, sizeof read);
  if (rc == 0) rc = versions_open(options->dir, &w.versions, err);
  if (rc) return rc;
  table_init(&w.leads, sizeof(struct followed));
  table_init(&w.merged, sizeof(struct merged));
  int shared = holds_share(options->dir); // nothing is let go meanwhile
  rc = walks(&w, err);
  holds_unlock(shared);
  // What came before the journal that is kept was received before its first frame; no event is more than a day ahead.
  stats->whole_ms = w.is_cut ? w.received_ms + OUTCOMES_DAY_MS : INT64_MIN;
  forget_all(&w);
  table_deinit(&w.leads);
  table_deinit(&w.merged);
  free(w.decider);
  versions_close(w.versions);
  return rc;
}
