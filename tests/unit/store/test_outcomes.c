// Outcomes and the decisions that they judge, held against a fold of the same journal that asks each decision of each event:
// people on several devices, merges in any order, late events, several walks. And the record that is made of them: what it
// counts, what it keeps when the journal goes, and bytes that are no record. SEED and ROUNDS come from the environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/pmath.h"
#include "model/evaluation.h"
#include "post.h"
#include "store/refold.h"
#include "store/track.h"

enum { USERS = 8, DEVICES = 14, EVENTS = 500, DECISIONS_MAX = 4096, LABELS = 3 };
#define DAY  OUTCOMES_DAY_MS
#define HOUR 3600000ll
static uint64_t seed;

static const char *const lost[] = {"crm.opportunity_lost", "Unsubscribed"};
static const struct policy_label label[LABELS] = {
    {.name = "demo_2d", .event = "Demo Requested", .within_ms = 2 * DAY},
    {.name = "won_3d", .event = "crm.opportunity_won", .within_ms = 3 * DAY, .unless = lost, .unless_count = 2},
    {.name = "home", .event = "Home", .within_ms = 5 * DAY}}; // a page

// ---- a journal ----
static int64_t ms_of(uint64_t n) { return (int64_t)(1800000000000 + n * HOUR); }

static void make(struct buf *b, uint64_t n) {
  static const char *const what[] = {"Pricing Viewed", "Demo Requested",          "crm.opportunity_won",
                                     "Feature Used",   "crm.opportunity_created", "crm.opportunity_lost",
                                     "Unsubscribed"};
  struct draw d = {hash_mix(seed, n)};
  char user[32], device[32], message[32];
  snprintf(user, sizeof user, "user-%u", (unsigned)draw(&d, USERS));
  snprintf(device, sizeof device, "device-%u", (unsigned)draw(&d, DEVICES));
  snprintf(message, sizeof message, "m-%u", (unsigned)n);
  uint64_t how = draw(&d, 100);
  bool is_identify = how >= 85, is_page = how < 10;
  buf_clear(b);
  mp_put_map(b, 6);
  put_pair(b, "messageId", message);
  put_pair(b, "channel", draw(&d, 2) ? "product" : "web");
  put_pair(b, "type", is_identify ? "identify" : is_page ? "page" : "track");
  if (!is_identify) put_pair(b, is_page ? "name" : "event", is_page ? "Home" : what[draw(&d, 7)]);
  if (is_identify || how < 50) put_pair(b, "anonymousId", device);
  if (is_identify || how >= 50) put_pair(b, "userId", user);
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, ms_of(n) - (int64_t)(draw(&d, 4) ? 0 : draw(&d, 40)) * HOUR); // now and then late
}

static void take(struct world *w, uint64_t n) {
  struct intake_options in = {.limits = EVENT_LIMITS_DEFAULT};
  struct intake_way way, on;
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  unsigned partition;
  bool is_on = false;
  make(&event, n);
  int rc = intake_route(w->store, &in, buf_bytes(&event), ms_of(n), &partition, &err);
  while (rc == 0) {
    unsigned shard = store_shard_of(w->store, partition);
    rc = intake_event_on(w->intake[shard], buf_bytes(&event), ms_of(n), is_on ? &on : NULL, &way, &answer, &err);
    if (rc != INTAKE_ELSEWHERE) break;
    rc = store_commit(store_shard(w->store, shard), &err);
    on = way;
    is_on = true;
    partition = store_partition_of_lead(w->store, way.to);
  }
  if (rc) fail_msg("event %llu: %s", (unsigned long long)n, err.text);
  if (n % 5 == 0) assert_int_equal(intake_settle(w->store, w->intake, ms_of(n), &err), 0);
  buf_deinit(&event), buf_deinit(&answer);
}

static char *make_journal(void) {
  char *dir = scratch_new();
  struct world w;
  struct error err = {0};
  struct store_options options = small_options(dir, 2);
  world_must_open(&w, &options);
  for (uint64_t n = 0; n < EVENTS; n++) take(&w, n);
  assert_int_equal(intake_settle(w.store, w.intake, ms_of(EVENTS), &err), 0);
  assert_int_equal(world_commit(&w, &err), 0);
  world_close(&w);
  return dir;
}

// ---- the oracle: every decision and every event, each asked of each ----
struct decided {
  struct lead_id lead, person;
  uint32_t number, policy;
  int64_t at_ms;
  bool is_final, is_held, is_acted;
  double fit, engagement, combined;
};
struct happened {
  struct lead_id lead;
  int64_t at_ms;
  unsigned label;
  bool is_over; // it rules the label out
};
struct oracle {
  struct decided decided[DECISIONS_MAX];
  struct happened happened[DECISIONS_MAX];
  struct {
    struct lead_id from, into;
  } merged[DECISIONS_MAX];
  size_t decisions, events, merges;
  int64_t until_ms;
};

static double points(struct bytes decision, const char *score) {
  struct bytes scores, value;
  double x;
  assert_true(mp_find(decision, BYTES_LIT("scores"), &scores) && mp_find(scores, bytes_str(score), &value));
  assert_true(mp_as_number(value, &x));
  return x / 1000;
}

static int gather(void *context, const struct refold_step *step, struct error *err) {
  (void)err;
  struct oracle *o = context;
  const struct frame *f = step->frame;
  if (f->now_ms > o->until_ms) o->until_ms = f->now_ms;
  if (step->lead->flags & LEAD_SEALED) {
    o->merged[o->merges].from = f->entity;
    o->merged[o->merges++].into = step->lead->into;
  }
  for (unsigned k = 0; step->event && k < LABELS; k++) {
    bool is_over = k == 1 && (bytes_is(step->event->name, lost[0]) || bytes_is(step->event->name, lost[1]));
    if (!is_over && !bytes_is(step->event->name, label[k].event)) continue;
    int64_t at = step->event->timestamp_ms < f->now_ms ? step->event->timestamp_ms : f->now_ms;
    o->happened[o->events++] = (struct happened){f->entity, at, k, is_over};
  }
  if (!frame_is_decision(f)) return 0;
  struct bytes stage, held, action;
  assert_true(mp_find(f->decision, BYTES_LIT("stage"), &stage) && mp_as_str(stage, &stage));
  assert_true(mp_find(f->decision, BYTES_LIT("held"), &held));
  assert_true(mp_find(f->decision, BYTES_LIT("action"), &action) && mp_as_str(action, &action));
  o->decided[o->decisions++] = (struct decided){.lead = f->entity,
                                                .number = f->number,
                                                .policy = f->policy,
                                                .at_ms = f->now_ms,
                                                .is_final = bytes_is(stage, "customer"),
                                                .is_held = mp_as_str(held, &held) && bytes_is(held, "hold_out"),
                                                .is_acted = !bytes_is(action, "wait"),
                                                .fit = points(f->decision, "fit"),
                                                .engagement = points(f->decision, "engagement"),
                                                .combined = points(f->decision, "combined")};
  assert_true(o->decisions < DECISIONS_MAX && o->events < DECISIONS_MAX && o->merges < DECISIONS_MAX);
  return 0;
}

static struct lead_id person_of(const struct oracle *o, struct lead_id lead) {
  for (size_t i = 0; i < o->merges; i++)
    if (lead_id_eq(o->merged[i].from, lead)) return person_of(o, o->merged[i].into);
  return lead;
}

static enum outcome outcome_of(const struct oracle *o, const struct decided *d, unsigned k) {
  struct lead_id person = person_of(o, d->lead);
  int64_t end = d->at_ms + label[k].within_ms, came = INT64_MAX, over = INT64_MAX;
  for (size_t i = 0; i < o->events; i++) {
    const struct happened *h = &o->happened[i];
    if (h->label != k || h->at_ms <= d->at_ms || h->at_ms > end || !lead_id_eq(person_of(o, h->lead), person)) continue;
    int64_t *first = h->is_over ? &over : &came;
    if (h->at_ms < *first) *first = h->at_ms;
  }
  if (came != INT64_MAX && came <= over) return OUTCOME_YES;
  return over != INT64_MAX || end <= o->until_ms ? OUTCOME_NO : OUTCOME_OPEN;
}

static bool is_judged(const struct oracle *o, size_t i) {
  const struct decided *d = &o->decided[i];
  for (size_t k = 0; k < o->decisions; k++) { // an earlier one of that day
    const struct decided *e = &o->decided[k];
    if (e->number < d->number && lead_id_eq(e->lead, d->lead) && e->at_ms / DAY == d->at_ms / DAY) return false;
  }
  return !d->is_final;
}

// ---- what came out ----
struct got {
  const struct oracle *o;
  uint64_t visits, by[LABELS][3];
  uint64_t hash;
};

static int check(void *context, const struct judged_decision *d, struct error *err) {
  (void)err;
  struct got *g = context;
  size_t i = 0;
  while (i < g->o->decisions && !(g->o->decided[i].number == d->number && lead_id_eq(g->o->decided[i].lead, d->lead)))
    i++;
  assert_true(i < g->o->decisions && is_judged(g->o, i));
  const struct decided *is = &g->o->decided[i];
  assert_int_equal(d->at_ms, is->at_ms);
  assert_string_equal(d->model[SCORE_FIT].name, "b2b_fit");
  assert_string_equal(d->model[SCORE_ENGAGEMENT].name, "b2b_engagement");
  const double held[SCORES] = {is->fit, is->engagement, is->combined};
  for (int s = 0; s < SCORES; s++) { // kept within 0 and 100, it is what the decision shows
    double p = d->points[s] < 0 ? 0 : d->points[s] > 100 ? 100 : d->points[s];
    assert_true(d->has[s] && fabs(p - held[s]) < 1e-9);
  }
  assert_true(d->is_held_out ? !is->is_acted : !is->is_held);
  for (unsigned k = 0; k < LABELS; k++) {
    assert_int_equal(d->outcome[k], outcome_of(g->o, is, k));
    g->by[k][d->outcome[k]]++;
  }
  g->visits++;
  g->hash += hash_mix(lead_id_hash(d->lead), d->number);
  return 0;
}

static struct oracle *oracle_of(const char *dir) {
  struct oracle *o = xcalloc(1, sizeof *o);
  struct refold_options refold = {.dir = dir, .visit = gather, .context = o};
  struct refold_stats stats;
  struct error err = {0};
  o->until_ms = INT64_MIN;
  if (store_refold(&refold, &stats, &err)) fail_msg("%s", err.text);
  return o;
}

static struct got walk(const char *dir, const struct oracle *o, size_t memory, unsigned *walks) {
  struct got g = {.o = o};
  struct outcomes_options options = {
      .dir = dir, .label = label, .label_count = LABELS, .memory = memory, .visit = check, .context = &g};
  struct outcomes_stats stats;
  struct error err = {0};
  if (outcomes_walk(&options, &stats, &err)) fail_msg("%s", err.text);
  assert_int_equal(stats.judged, g.visits);
  assert_int_equal(stats.until_ms, o->until_ms);
  assert_int_equal(stats.unread, 0);
  assert_true(stats.whole_ms == INT64_MIN && stats.has_hold_out);
  *walks = stats.walks;
  return g;
}

static void outcomes_judge_what_came_before_them(void **state) {
  (void)state;
  const char *rounds = getenv("ROUNDS");
  uint64_t merges = 0, yes = 0, no = 0, open = 0, several = 0;
  for (int round = rounds ? atoi(rounds) : 3; round > 0; round--, seed++) {
    char *dir = make_journal();
    struct oracle *o = oracle_of(dir);
    unsigned walks;
    struct got all = walk(dir, o, 0, &walks);
    uint64_t judged = 0;
    for (size_t i = 0; i < o->decisions; i++) judged += is_judged(o, i);
    assert_int_equal(all.visits, judged);
    assert_int_equal(walks, 1);
    for (size_t memory = 14000; memory < 40000; memory *= 2) {
      struct got parts = walk(dir, o, memory, &walks);
      assert_true(parts.visits == all.visits && parts.hash == all.hash);
      several += walks > 2;
    }
    merges += o->merges;
    for (unsigned k = 0; k < LABELS; k++)
      yes += all.by[k][OUTCOME_YES], no += all.by[k][OUTCOME_NO], open += all.by[k][OUTCOME_OPEN];
    free(o);
    scratch_free(dir);
  }
  assert_true(merges && yes && no && open && several);
}

// ---- the record ----
static struct judged_decision decision(double p, int64_t day, bool is_held_out, enum outcome outcome) {
  static const struct judge_model models[SCORES] = {
      {"fit", "1", 50, 10}, {"doings", "2", 50, 10}, {"doings", "2", 50, 10}};
  struct judged_decision d = {.at_ms = day * DAY + HOUR, .model = models, .is_held_out = is_held_out};
  for (int s = 0; s < SCORES; s++) d.points[s] = p + s, d.has[s] = true;
  d.outcome[0] = outcome;
  return d;
}

static struct track *loaded(const struct buf *bytes) {
  struct track *t;
  struct error err = {0};
  if (track_load(buf_bytes(bytes), &t, &err)) fail_msg("%s", err.text);
  return t;
}

static size_t series_of(const struct track *t, const char *model, enum score score) {
  for (size_t i = 0; i < track_count(t); i++)
    if (strcmp(track_at(t, i)->model.name, model) == 0 && track_at(t, i)->score == score) return i;
  fail_msg("no series of %s", model);
  return 0;
}

// Rows read off a record are the decisions, but for a quarter of a point.
static void a_record_gives_what_was_counted(void **state) {
  (void)state;
  struct draw draws = {seed};
  struct track *t = track_new();
  struct judged rows[600];
  size_t n = 0;
  uint64_t waiting = 0;
  for (unsigned i = 0; i < 600; i++) {
    double p = (double)draw(&draws, 120000) / 1000 - 10;
    int64_t day = (int64_t)draw(&draws, 30);
    bool came = draw(&draws, 100) < (uint64_t)(p > 0 ? p : 0);
    bool is_open = day >= 20; // of the last days nothing is known, but of those that came
    struct judged_decision d = decision(p, day, false, came ? OUTCOME_YES : is_open ? OUTCOME_OPEN : OUTCOME_NO);
    track_add(t, label, 1, &d);
    if (is_open)
      waiting++;
    else
      rows[n++] = (struct judged){
          .score = p, .probability = pm_sigmoid((p - 50) / 10 * 0.69314718055994530942), .lead = i, .came = came};
  }
  struct buf bytes = {0};
  track_save(t, &bytes);
  struct track *again = loaded(&bytes);
  // Until the end of day 21: with two days to come, day 19 is the last whose decisions are judged.
  struct judged_decision last = decision(50, 30, false, OUTCOME_OPEN);
  track_add(again, label, 1, &last);
  track_free(t);
  struct error err = {0};
  char *dir = scratch_new();
  assert_int_equal(track_keep(dir, again, &err), 0);
  size_t s = series_of(again, "fit", SCORE_FIT);
  assert_int_equal(track_at(again, s)->end_day, 31);
  struct track_rows none;
  track_rows(again, s, -100, 100, TRACK_ALL, &none);
  assert_int_equal(none.count, 0); // until when it is nobody has said
  assert_int_equal(none.waiting, 601);
  free(none.row);
  track_set_until(again, 22 * DAY);
  struct track_rows got;
  track_rows(again, s, -100, 100, TRACK_ALL, &got);
  assert_int_equal(got.count, n);
  assert_int_equal(got.waiting, waiting + 1);
  assert_int_equal(got.unjudged, 0);
  struct evaluation *a = evaluation_new(rows, n), *b = evaluation_new(got.row, got.count);
  struct metrics is = evaluation_metrics(a), read = evaluation_metrics(b);
  assert_true(is.came == read.came && is.came > 20);
  assert_true(fabs(is.value[METRIC_AUC] - read.value[METRIC_AUC]) <= got.auc_error + 1e-12 && got.auc_error < 0.01);
  assert_true(fabs(is.value[METRIC_BRIER] - read.value[METRIC_BRIER]) < 0.0045);
  assert_true(fabs(is.value[METRIC_LOG_LOSS] - read.value[METRIC_LOG_LOSS]) < 0.0088);
  evaluation_free(a), evaluation_free(b);
  free(got.row);
  track_rows(again, s, -100, 100, TRACK_HELD_OUT, &got);
  assert_int_equal(got.count + got.waiting, 0);
  free(got.row);
  track_free(again);
  buf_deinit(&bytes);
  scratch_free(dir);
}

static uint64_t rows_of(const struct track *t, size_t s, int64_t from, int64_t end, enum track_who who) {
  struct track_rows r;
  track_rows(t, s, from, end, who, &r);
  free(r.row);
  return r.count;
}

static void an_older_record_has_the_days_that_are_gone(void **state) {
  (void)state;
  struct track *older = track_new(), *t = track_new();
  for (int64_t day = 0; day < 10; day++) {
    struct judged_decision d = decision(40, day, day % 2, OUTCOME_NO);
    track_add(older, label, 1, &d);
    track_add(older, label, 1, &d);
    if (day >= 4) track_add(t, label, 1, &d); // of day 4 only a part is left
  }
  struct judged_decision other = decision(40, 8, false, OUTCOME_YES);
  track_add(t, label + 1, 1, &other); // a label that is new
  track_set_until(older, 9 * DAY), track_set_until(t, 30 * DAY);
  track_take_before(t, older, 5);
  size_t s = series_of(t, "doings", SCORE_ENGAGEMENT);
  assert_int_equal(track_until_ms(t), 30 * DAY);
  assert_int_equal(rows_of(t, s, 0, 5, TRACK_ALL), 10);
  assert_int_equal(rows_of(t, s, 0, 5, TRACK_HELD_OUT), 4);
  assert_int_equal(rows_of(t, s, 5, 100, TRACK_ALL), 5);
  assert_int_equal(track_count(t), 8); // fit, engagement and the combined one of both models, for each label
  struct track_rows rows;              // of one score all are as they were
  track_rows(t, s, 0, 100, TRACK_ALL, &rows);
  for (size_t i = 0; i < rows.count; i++) assert_true(rows.row[i].score == 41);
  free(rows.row);
  uint64_t bin[TRACK_BINS];
  assert_int_equal(track_histogram(t, s, 4, 6, bin), 3);
  track_free(older), track_free(t);
}

static void a_distribution_that_moved_is_told(void **state) {
  (void)state;
  uint64_t before[TRACK_BINS] = {0}, now[TRACK_BINS] = {0};
  assert_true(isnan(track_stability(before, now)));
  for (unsigned i = 0; i < 1000; i++) before[400 + i % 200]++, now[400 + i % 200] += 7;
  assert_true(track_stability(before, now) == 0);
  // By hand: two parts of which one loses a tenth of all to the other: (0.6 - 0.5) ln 1.2 + (0.4 - 0.5) ln 0.8, as both lie on edges.
  memset(before, 0, sizeof before), memset(now, 0, sizeof now);
  before[500] = before[600] = 50, now[500] = 60, now[600] = 40;
  double by_hand = 0.1 * pm_log(1.2) - 0.1 * pm_log(0.8);
  assert_true(fabs(track_stability(before, now) - by_hand) < 1e-12);
  memset(now, 0, sizeof now);
  now[1000] = 100; // all of it elsewhere
  assert_true(track_stability(before, now) > 3);
}

static void bytes_that_are_no_record_are_refused(void **state) {
  (void)state;
  struct track *t = track_new(), *out;
  struct error err = {0};
  struct buf bytes = {0}, cut = {0};
  for (int64_t day = 0; day < 3; day++) {
    struct judged_decision d = decision(30 + (double)day, day, false, OUTCOME_NO);
    track_add(t, label, 1, &d);
  }
  track_save(t, &bytes);
  struct draw draws = {seed};
  for (size_t n = 0; n < bytes.n; n++) {
    assert_int_equal(track_load(bytes_of(bytes.p, n), &out, &err), ITD_ECORRUPT);
    buf_clear(&cut), buf_append_bytes(&cut, buf_bytes(&bytes));
    cut.p[n] ^= (uint8_t)(1 + draw(&draws, 255));
    assert_int_equal(track_load(buf_bytes(&cut), &out, &err), ITD_ECORRUPT);
    if (n + 8 >= bytes.n) continue;
    uint64_t hash = hash64(bytes_of(cut.p, cut.n - 8)); // what no accident makes
    memcpy(cut.p + cut.n - 8, &hash, 8);
    int rc = track_load(buf_bytes(&cut), &out, &err);
    assert_true(rc == 0 || rc == ITD_ECORRUPT || rc == ITD_EVERSION);
    if (rc == 0) track_free(out);
  }
  track_free(t);
  buf_deinit(&bytes), buf_deinit(&cut);
}

int main(void) {
  seed = seed_of_run();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(outcomes_judge_what_came_before_them), cmocka_unit_test(a_record_gives_what_was_counted),
      cmocka_unit_test(an_older_record_has_the_days_that_are_gone), cmocka_unit_test(a_distribution_that_moved_is_told),
      cmocka_unit_test(bytes_that_are_no_record_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
