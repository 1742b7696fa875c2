// funnel, sequence and co_occurrence: cases, and random streams against definitions that look at all matches again.
#include "support.h"

#define A "'type': 'track', 'event': 'A'"
#define B "'type': 'track', 'event': 'B'"
#define C "'type': 'track', 'event': 'C'"
#define X "'type': 'page'"

// ---- cases ----
static void test_funnel(void **state) {
  (void)state;
  struct one o = one_open("'op': 'funnel', 'steps': ['A', 'B', 'C'], 'within': '1h'");
  assert_value(&o, T0, 0);
  assert_int_equal(at(&o, T0, B), 1);
  assert_int_equal(at(&o, T0, X), 0);
  assert_value(&o, T0, 0); // B without A before it
  at(&o, T0 + MINUTE, A);
  assert_value(&o, T0 + MINUTE, 1);
  at(&o, T0 + MINUTE + HOUR, B); // the edge is within
  assert_value(&o, T0 + 2 * HOUR, 2);
  at(&o, T0 + MINUTE + HOUR + 1, C);
  assert_value(&o, T0 + 3 * HOUR, 2);
  at(&o, T0 + 5 * HOUR, A), at(&o, T0 + 5 * HOUR + 40 * MINUTE, A); // a later start takes the run further
  at(&o, T0 + 5 * HOUR + 50 * MINUTE, B), at(&o, T0 + 6 * HOUR + 30 * MINUTE, C);
  assert_value(&o, T0 + 7 * HOUR, 3);
  assert_value(&o, T0 + 9999 * DAY, 3); // of all time
  one_close(&o);
}

static void test_funnel_of_one_step_again(void **state) {
  (void)state;
  struct one o = one_open("'op': 'funnel', 'steps': ['A', 'A', 'A'], 'within': '1h'");
  at(&o, T0, A);
  assert_value(&o, T0, 1); // one event does not do two steps of one run
  at(&o, T0, A);
  assert_value(&o, T0, 2);
  at(&o, T0 + HOUR, A);
  assert_value(&o, T0 + HOUR, 3);
  one_close(&o);
}

static void test_equal_times_go_by_step(void **state) {
  (void)state;
  static const char *const order[][3] = {{A, B, C}, {C, B, A}, {B, C, A}};
  for (int i = 0; i < 3; i++) {
    struct one o = one_open("'op': 'funnel', 'steps': ['A', 'B', 'C'], 'within': '1h'");
    for (int k = 0; k < 3; k++) at(&o, T0, order[i][k]);
    assert_value(&o, T0, 3);
    one_close(&o);
  }
}

static void test_funnel_window(void **state) {
  (void)state;
  struct one o = one_open("'op': 'funnel', 'steps': ['A', 'B'], 'within': '1d', 'window': '7d'");
  at(&o, T0, A), at(&o, T0 + HOUR, B), at(&o, T0 + DAY, A);
  assert_value(&o, T0 + DAY, 2);
  assert_value(&o, T0 + 7 * DAY + HOUR - 1, 2);
  assert_value(&o, T0 + 7 * DAY + HOUR, 1); // the edge is sharp: by the time at which the depth was reached
  assert_value(&o, T0 + 8 * DAY - 1, 1);
  assert_value(&o, T0 + 8 * DAY, 0);
  one_close(&o);
  o = one_open("'op': 'funnel', 'steps': ['A', 'B'], 'within': '1d', 'window': 'today', 'zone': 60");
  at(&o, T0, A), at(&o, T0 + HOUR, B);
  assert_value(&o, T0 + 23 * HOUR - 1, 2);
  assert_value(&o, T0 + 23 * HOUR, 0); // midnight at +01:00
  one_close(&o);
}

static void test_conditions_of_steps(void **state) {
  (void)state;
  struct one o = one_open("'op': 'funnel', 'within': '1d', 'steps': ["
                          "['A', {'type': 'page', 'channel': 'web'}],"
                          "{'where': {'path': 'properties.n', 'at_least': 3}},"
                          "{'on': 'C', 'where': [{'path': 'properties.n', 'under': 3}]}]");
  assert_int_equal(at(&o, T0, "'type': 'page', 'channel': 'web'"), 1);
  assert_int_equal(at(&o, T0 + 1, "'type': 'page', 'properties': {'n': 2}"), 0);
  assert_int_equal(at(&o, T0 + 2, "'type': 'identify', 'traits': {'n': 4}"), 0);
  assert_value(&o, T0 + 3, 1);
  assert_int_equal(at(&o, T0 + 3, "'type': 'page', 'properties': {'n': 3}"), 1);
  assert_value(&o, T0 + 3, 2);
  assert_int_equal(at(&o, T0 + 4, "'type': 'track', 'event': 'C', 'properties': {'n': 3}"), 1); // step 2 again
  assert_value(&o, T0 + 4, 2);
  at(&o, T0 + 5, "'type': 'track', 'event': 'C', 'properties': {'n': 2}");
  assert_value(&o, T0 + 5, 3);
  one_close(&o);
}

static void test_sequence(void **state) {
  (void)state;
  struct one o = one_open("'op': 'sequence', 'steps': ['A', 'B'], 'within': '1h'");
  assert_value(&o, T0, 0);
  at(&o, T0, A), at(&o, T0 + 1, A), at(&o, T0 + 2, B); // once: it begins anew after B
  assert_value(&o, T0 + 2, 1);
  at(&o, T0 + 3, B);
  assert_value(&o, T0 + 3, 1);
  at(&o, T0 + 4, A), at(&o, T0 + 4 + HOUR + 1, B); // too late
  assert_value(&o, T0 + 2 * HOUR, 1);
  at(&o, T0 + 2 * HOUR, A), at(&o, T0 + 3 * HOUR, B);
  assert_value(&o, T0 + 3 * HOUR, 2);
  one_close(&o);
  o = one_open("'op': 'sequence', 'steps': ['A', 'B'], 'within': '1h', 'window': '2d', 'tile': '1d'");
  at(&o, T0 + DAY - 1, A), at(&o, T0 + DAY, B), at(&o, T0 + DAY + 1, A), at(&o, T0 + DAY + 2, B);
  assert_value(&o, T0 + 2 * DAY, 2);
  assert_value(&o, T0 + 3 * DAY, 0); // both were complete on the second day
  one_close(&o);
}

static void test_pairs(void **state) {
  (void)state;
  struct one o = one_open("'op': 'co_occurrence', 'steps': ['A', 'B'], 'within': '1h'");
  at(&o, T0, A), at(&o, T0 + MINUTE, A), at(&o, T0 + HOUR, B);
  assert_value(&o, T0 + HOUR, 1); // with the one that has waited longest
  at(&o, T0 + HOUR + MINUTE, B);
  assert_value(&o, T0 + 2 * HOUR, 2);
  at(&o, T0 + 3 * HOUR, B), at(&o, T0 + 4 * HOUR, A);
  assert_value(&o, T0 + 4 * HOUR, 3); // whichever comes first
  at(&o, T0 + 6 * HOUR, A), at(&o, T0 + 7 * HOUR + 1, B);
  assert_value(&o, T0 + 8 * HOUR, 3);
  one_close(&o);
  o = one_open("'op': 'co_occurrence', 'within': '1h', 'steps': [{'where': {'path': 'properties.a', 'exists': true}},"
               "{'where': {'path': 'properties.b', 'exists': true}}]");
  at(&o, T0, "'type': 'page', 'properties': {'a': 1, 'b': 1}");
  assert_value(&o, T0, 0); // nothing pairs with itself
  at(&o, T0 + 1, "'type': 'page', 'properties': {'a': 1, 'b': 1}");
  assert_value(&o, T0 + 1, 1);
  one_close(&o);
}

static void test_late_ones(void **state) {
  (void)state;
  struct one o = one_open("'op': 'funnel', 'steps': ['A', 'B', 'C'], 'within': '1d', 'lateness': '1h', 'pending': 4");
  at(&o, T0 + 30 * MINUTE, C);
  late(&o, T0 + MINUTE, T0 + 30 * MINUTE, B);
  late(&o, T0, T0 + 30 * MINUTE, A);
  assert_value(&o, T0 + 30 * MINUTE, 3);
  one_close(&o);
  o = one_open("'op': 'sequence', 'steps': ['A', 'B'], 'within': '1d', 'lateness': '1h', 'pending': 4");
  at(&o, T0, B), at(&o, T0 + 2 * HOUR, B); // the first of them is had
  late(&o, T0 - 1, T0 + 2 * HOUR, A);
  assert_value(&o, T0 + 2 * HOUR, 0);
  late(&o, T0 + 1, T0 + 2 * HOUR, A); // later than promised, but behind all that is had
  assert_value(&o, T0 + 2 * HOUR, 1);
  one_close(&o);
}

// One that is just as late as may be is not too late, even when another of that moment does a later step.
static void test_the_edge_of_lateness(void **state) {
  (void)state;
  struct one o = one_open("'op': 'funnel', 'steps': ['A', 'B', 'C'], 'within': '1d', 'lateness': '1h', 'pending': 4");
  at(&o, T0, C), at(&o, T0 + HOUR, B);
  late(&o, T0, T0 + HOUR, A);
  assert_value(&o, T0 + HOUR, 2);
  late(&o, T0 - 1, T0 + HOUR, A); // later than promised, but nothing has left the list yet
  at(&o, T0 + HOUR + 1, C);
  late(&o, T0, T0 + HOUR + 1, B); // and now those of T0 have
  assert_value(&o, T0 + HOUR + 1, 3);
  one_close(&o);
}

// Of more than may wait the oldest gives way.
static void test_many_wait(void **state) {
  (void)state;
  struct one o = one_open("'op': 'co_occurrence', 'steps': ['A', 'B'], 'within': '10m'");
  for (int i = 0; i < 20; i++) at(&o, T0 + i * SECOND, A);
  at(&o, T0 + 10 * MINUTE + 18 * SECOND, B);
  assert_value(&o, T0 + HOUR, 1); // the last two are near enough
  for (int i = 0; i < 20; i++) at(&o, T0 + HOUR + i * SECOND, A);
  for (int i = 0; i < 20; i++) at(&o, T0 + HOUR + MINUTE + i * SECOND, B);
  assert_value(&o, T0 + 2 * HOUR, 17);
  one_close(&o);
}

static void test_bytes(void **state) {
  (void)state;
  static const struct {
    const char *json;
    size_t bytes;
  } sizes[] = {
      {"'op': 'funnel', 'steps': ['A', 'B', 'C'], 'within': '1d'", 2 * 3 * 8 + 16 + 9 * 16},
      {"'op': 'funnel', 'steps': ['A', 'B', 'C'], 'within': '1d', 'window': '7d'", 2 * 6 * 8 + 16 + 9 * 16},
      {"'op': 'funnel', 'steps': ['A', 'B'], 'within': '1d', 'pending': 4", 2 * 2 * 8 + 16 + 4 * 8 + 8},
      {"'op': 'sequence', 'steps': ['A', 'B'], 'within': '1d'", 2 * (8 + 8) + 16 + 9 * 16},
      {"'op': 'sequence', 'steps': ['A', 'B'], 'within': '1d', 'window': '7d'", 2 * (8 + 32 + 8) + 16 + 9 * 16},
      {"'op': 'co_occurrence', 'steps': ['A', 'B'], 'within': '1d'", 2 * (8 + 8 + 16 * 8) + 16 + 9 * 16},
      {"'op': 'co_occurrence', 'steps': ['A', 'B'], 'within': '1d', 'window': '32d', 'tile': '1d', 'pending': 64",
       2 * (8 + 32 * 4 + 8 + 16 * 8) + 16 + 9 * 64},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct one o = one_open(sizes[i].json);
    assert_int_equal(feature_state_size(o.set), sizes[i].bytes);
    one_close(&o);
  }
}

// ---- random streams ----
static uint64_t rng;
static int64_t below(int64_t n) { return (int64_t)((rng = hash_mix(rng, 0x5eed)) % (uint64_t)n); }
static bool one_in(int64_t n) { return below(n) == 0; }
static uint64_t begin(void) {
  const char *given = getenv("SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : clock_mono_ns() % 1000000007;
  print_message("SEED=%" PRIu64 "\n", seed);
  return rng = seed;
}

enum op { FUNNEL, SEQUENCE, PAIRS };
static const char *const op_names[] = {"funnel", "sequence", "co_occurrence"};
enum { MOST = 60 };

struct match {
  int64_t time, arrival;
  unsigned steps;
};
struct spec {
  enum op op;
  unsigned steps, pending;
  int64_t within, window, tile, lateness;
};

static struct spec some_spec(void) {
  struct spec s = {.op = (enum op)below(3), .pending = 4 + (unsigned)below(61)};
  s.steps = s.op == PAIRS ? 2 : 2 + (unsigned)below(3) * (unsigned)below(4);
  s.within = SECOND * (1 + below(60));
  s.lateness = SECOND * (1 + below(one_in(2) ? 20 : 400));
  if (one_in(2)) s.tile = SECOND * (1 + below(20)), s.window = s.tile * (1 + below(8));
  return s;
}

static struct one open_spec(const struct spec *s) {
  char json[2000];
  int n = snprintf(json, sizeof json,
                   "'op': '%s', 'within': '%" PRId64 "ms', 'lateness': '%" PRId64 "ms', 'pending': %u, 'steps': [",
                   op_names[s->op], s->within, s->lateness, s->pending);
  for (unsigned i = 0; i < s->steps; i++)
    n += snprintf(json + n, sizeof json - (size_t)n, "%s{'where': {'path': 'properties.s%u', 'is': true}}",
                  i > 0 ? ", " : "", i);
  n += snprintf(json + n, sizeof json - (size_t)n, "]");
  if (s->window) n += snprintf(json + n, sizeof json - (size_t)n, ", 'window': '%" PRId64 "ms'", s->window);
  if (s->window && s->op != FUNNEL) snprintf(json + n, sizeof json - (size_t)n, ", 'tile': '%" PRId64 "ms'", s->tile);
  return one_open(json);
}

static void fold(const struct feature_set *set, uint8_t *state, const struct match *m, int64_t now) {
  struct buf b;
  buf_init(&b);
  mp_put_map(&b, (uint32_t)__builtin_popcount(m->steps));
  for (unsigned i = 0; i < 8; i++) {
    char key[8];
    snprintf(key, sizeof key, "s%u", i);
    if (m->steps >> i & 1) mp_put_cstr(&b, key), mp_put_bool(&b, true);
  }
  struct event event = {.type = EVENT_PAGE, .properties = buf_bytes(&b), .timestamp_ms = m->time};
  assert_int_equal(feature_fold(set, state, &event, now), 1);
  buf_deinit(&b);
}

static int by_place(const void *a, const void *b) {
  const struct match *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return (x->steps > y->steps) - (x->steps < y->steps);
}
static int by_arrival(const void *a, const void *b) {
  const struct match *x = a, *y = b;
  if (x->arrival != y->arrival) return x->arrival < y->arrival ? -1 : 1;
  return by_place(a, b);
}

// Sorted by time; as many as `most`. They arrive at most `lateness` late.
static size_t some_matches(const struct spec *s, struct match *m, size_t most) {
  size_t n = (size_t)below((int64_t)most + 1);
  int64_t time = T0, step = SECOND * (1 + below(20));
  bool often_both = one_in(3), is_lopsided = one_in(4);
  for (size_t i = 0; i < n; i++) {
    time += one_in(4) ? 0 : below(step);
    m[i].time = time;
    m[i].steps = 1u << (is_lopsided && !one_in(8) ? 0 : below(s->steps));
    if (often_both && one_in(4)) m[i].steps |= 1u << below(s->steps);
  }
  qsort(m, n, sizeof *m, by_place);
  return n;
}

static void deal_arrivals(const struct spec *s, struct match *m, size_t n) {
  for (size_t i = 0; i < n; i++) m[i].arrival = m[i].time + below(s->lateness + 1);
  qsort(m, n, sizeof *m, by_arrival);
}

// No more than `pending` lie in any stretch as long as `lateness`; `m` is sorted by time.
static bool is_promised(const struct spec *s, const struct match *m, size_t n) {
  for (size_t i = 0, first = 0; i < n; i++) {
    while (m[i].time - m[first].time > s->lateness) first++;
    if (i - first + 1 > s->pending) return false;
  }
  return true;
}

// ---- the definitions; `m` is sorted ----
// The start of the run that ends at m[last] with step `depth` and begins as late as may be; -1: there is none.
static int start_of_run(const struct spec *s, const struct match *m, int last, unsigned depth, int after) {
  if (!(m[last].steps >> (depth - 1) & 1)) return -1;
  int i = last;
  for (unsigned d = depth - 1; d > 0; d--) {
    do i--;
    while (i > after && !(m[i].steps >> (d - 1) & 1));
    if (i <= after) return -1;
  }
  return m[last].time - m[i].time <= s->within ? i : -1;
}

static double ask_funnel(const struct spec *s, const struct match *m, int n, int64_t now) {
  for (unsigned depth = s->steps; depth > 0; depth--)
    for (int i = 0; i < n; i++)
      if ((!s->window || now - m[i].time < s->window) && start_of_run(s, m, i, depth, -1) >= 0) return depth;
  return 0;
}

static bool is_in_window(const struct spec *s, int64_t time, int64_t now) {
  return !s->window || now / s->tile - time / s->tile < (s->window + s->tile - 1) / s->tile;
}

static double ask_sequence(const struct spec *s, const struct match *m, int n, int64_t now) {
  int done = -1, count = 0, all = 0, most[MOST + 1] = {0};
  for (int i = 0; i < n; i++) {
    int start = start_of_run(s, m, i, s->steps, -1);
    most[i + 1] = most[i];
    if (start >= 0 && most[start] + 1 > most[i + 1]) most[i + 1] = most[start] + 1;
    if (start_of_run(s, m, i, s->steps, done) < 0) continue;
    done = i, all++;
    count += is_in_window(s, m[i].time, now);
  }
  assert_int_equal(all, most[n]); // no other choice gives more
  return count;
}

static bool is_pair(const struct spec *s, const struct match *a, const struct match *b) {
  return ((a->steps & 1 && b->steps & 2) || (a->steps & 2 && b->steps & 1)) && llabs(a->time - b->time) <= s->within;
}

// Kuhn's way to as many pairs as there can be, of matches that do one step each.
static bool find_partner(const struct spec *s, const struct match *m, int n, int i, bool *seen, int *of) {
  for (int k = 0; k < n; k++) {
    if (m[k].steps != 2 || seen[k] || !is_pair(s, &m[i], &m[k])) continue;
    seen[k] = true;
    if (of[k] >= 0 && !find_partner(s, m, n, of[k], seen, of)) continue;
    of[k] = i;
    return true;
  }
  return false;
}
static int most_pairs(const struct spec *s, const struct match *m, int n) {
  int of[MOST], pairs = 0;
  for (int i = 0; i < n; i++) of[i] = -1;
  for (int i = 0; i < n; i++) {
    bool seen[MOST] = {false};
    pairs += m[i].steps == 1 && find_partner(s, m, n, i, seen, of);
  }
  return pairs;
}

static double ask_pairs(const struct spec *s, const struct match *m, int n, int64_t now) {
  bool gone[MOST] = {false}, is_full = false, both = false;
  int count = 0, all = 0;
  for (int i = 0; i < n; i++) {
    int k = 0, waiting = 0, oldest = -1;
    while (k < i && (gone[k] || !is_pair(s, &m[k], &m[i]))) k++;
    both |= m[i].steps == 3;
    if (k < i) {
      gone[k] = gone[i] = true;
      count += is_in_window(s, m[i].time, now), all++;
      continue;
    }
    for (k = i - 1; k >= 0; k--)
      if (!gone[k] && m[i].time - m[k].time <= s->within) waiting++, oldest = k;
    if (waiting == 16) gone[oldest] = is_full = true;
  }
  if (!is_full && !both) assert_int_equal(all, most_pairs(s, m, n)); // no other choice gives more
  return count;
}

static double ask(const struct spec *s, const struct match *m, size_t n, int64_t now) {
  if (s->op == FUNNEL) return ask_funnel(s, m, (int)n, now);
  return s->op == SEQUENCE ? ask_sequence(s, m, (int)n, now) : ask_pairs(s, m, (int)n, now);
}

static void compare(const struct spec *s, const struct one *o, const struct match *m, size_t n, uint64_t seed) {
  int64_t now = n > 0 ? m[n - 1].time : T0;
  for (int i = 0; i < 4; i++, now += below(60 * SECOND)) {
    double got = value(o, now), expected = ask(s, m, n, now);
    if (got != expected)
      fail_msg("SEED=%" PRIu64 ": %s of %u steps after %zu: %g, expected %g", seed, op_names[s->op], s->steps, n, got,
               expected);
  }
}

static int rounds(void) {
  const char *given = getenv("ROUNDS");
  return given ? atoi(given) : 3000;
}

// In any order inside the lateness: the value of the definition, and the same bytes.
static void test_against_the_definitions(void **state) {
  (void)state;
  uint64_t seed = begin();
  int promised = 0, total = rounds();
  for (int round = 0; round < total; round++) {
    struct spec s = some_spec();
    struct match sorted[MOST], m[MOST];
    struct one a = open_spec(&s), b = open_spec(&s);
    size_t n = some_matches(&s, sorted, MOST);
    int64_t now = n > 0 ? sorted[n - 1].time : T0;
    bool is_exact = is_promised(&s, sorted, n);
    promised += is_exact;
    memcpy(m, sorted, sizeof m);
    for (size_t i = 0; i < n; i++) fold(a.set, a.state, &sorted[i], now);
    compare(&s, &a, sorted, n, seed); // in order always, however many
    deal_arrivals(&s, m, n);
    for (size_t i = 0; i < n; i++) fold(b.set, b.state, &m[i], now);
    if (is_exact) assert_memory_equal(a.state, b.state, feature_state_size(a.set));
    assert_true(value(&b, now) >= 0 && value(&b, now) <= (double)n);
    one_close(&a), one_close(&b);
  }
  assert_true(promised * 4 > total); // a promise that never applies would be no test
}

// Reading asks for all matches so far, also in the middle of a stream.
static void test_read_while_pending(void **state) {
  (void)state;
  uint64_t seed = begin();
  for (int round = 0; round < rounds() / 5; round++) {
    struct spec s = some_spec();
    s.pending = 64;
    struct match m[MOST], sorted[MOST];
    struct one o = open_spec(&s);
    size_t n = some_matches(&s, m, MOST);
    deal_arrivals(&s, m, n);
    for (size_t i = 0; i < n; i++) {
      fold(o.set, o.state, &m[i], T0 + DAY);
      memcpy(sorted, m, (i + 1) * sizeof *m);
      qsort(sorted, i + 1, sizeof *sorted, by_place);
      compare(&s, &o, sorted, i + 1, seed);
    }
    one_close(&o);
  }
}

// The two steps of co_occurrence may change places while no match does both.
static void test_pairs_are_symmetric(void **state) {
  (void)state;
  begin();
  for (int round = 0; round < rounds() / 5; round++) {
    struct spec s = some_spec();
    s.op = PAIRS, s.steps = 2, s.pending = 64;
    struct match m[15]; // no more than may wait
    struct one a = open_spec(&s), b = open_spec(&s);
    size_t n = some_matches(&s, m, 15);
    for (size_t i = 0; i < n; i++) {
      if (m[i].steps == 3) m[i].steps = 1;
      struct match other = m[i];
      other.steps = (m[i].steps & 1) << 1 | m[i].steps >> 1;
      fold(a.set, a.state, &m[i], T0 + DAY), fold(b.set, b.state, &other, T0 + DAY);
    }
    assert_value(&a, T0 + DAY, value(&b, T0 + DAY));
    one_close(&a), one_close(&b);
  }
}

// ---- merging ----
static void merge(const struct feature_set *set, uint8_t *into, const uint8_t *a, const uint8_t *b) {
  memcpy(into, a, feature_state_size(set));
  feature_state_merge(set, into, b, T0 + DAY);
}

// Three leads and one that had all: the same bytes while nothing has left a list, whichever way they are merged.
static void test_merge(void **state) {
  (void)state;
  uint64_t seed = begin();
  for (int round = 0; round < rounds(); round++) {
    struct spec s = some_spec();
    bool is_kept = one_in(2);
    if (is_kept) s.pending = MOST, s.lateness = DAY;
    struct match m[MOST];
    struct one o[9];
    for (int i = 0; i < 9; i++) o[i] = open_spec(&s);
    const struct feature_set *set = o[0].set;
    size_t n = some_matches(&s, m, MOST), size = feature_state_size(set);
    for (size_t i = 0; i < n; i++) fold(set, o[3].state, &m[i], T0 + DAY);
    if (is_kept) deal_arrivals(&s, m, n);
    for (size_t i = 0; i < n; i++) fold(set, o[below(3)].state, &m[i], T0 + DAY);
    merge(set, o[4].state, o[0].state, o[1].state), merge(set, o[5].state, o[1].state, o[0].state);
    assert_memory_equal(o[4].state, o[5].state, size);
    merge(set, o[6].state, o[4].state, o[2].state);
    merge(set, o[7].state, o[1].state, o[2].state), merge(set, o[8].state, o[0].state, o[7].state);
    double whole = value(&o[3], T0 + DAY), merged = value(&o[6], T0 + DAY);
    if (is_kept) {
      assert_memory_equal(o[6].state, o[3].state, size);
      assert_memory_equal(o[8].state, o[3].state, size);
    } else if (s.op == FUNNEL ? merged > whole : merged < 0 || merged > (double)n) {
      fail_msg("SEED=%" PRIu64 ": %s merged to %g of %g", seed, op_names[s.op], merged, whole);
    }
    feature_state_init(set, o[4].state);
    merge(set, o[5].state, o[3].state, o[4].state), merge(set, o[6].state, o[4].state, o[3].state);
    assert_memory_equal(o[5].state, o[3].state, size), assert_memory_equal(o[6].state, o[3].state, size);
    for (int i = 0; i < 9; i++) one_close(&o[i]);
  }
}

// A visitor signs in: all of one lead's matches come before the other's, of which none has left its list.
static void test_merge_one_after_the_other(void **state) {
  (void)state;
  uint64_t seed = begin();
  for (int round = 0; round < rounds() / 3; round++) {
    struct spec s = some_spec();
    struct match m[MOST];
    struct one a = open_spec(&s), b = open_spec(&s), both = open_spec(&s);
    size_t n = some_matches(&s, m, MOST), later = 0;
    while (later < n && later < s.pending && m[n - 1].time - m[n - 1 - later].time <= s.lateness) later++;
    for (size_t i = 0; i < n; i++) {
      fold(both.set, both.state, &m[i], T0 + DAY);
      fold(both.set, (i < n - later ? &a : &b)->state, &m[i], T0 + DAY);
    }
    if (one_in(2)) { // either takes in the other
      uint8_t *state_of_a = a.state;
      a.state = b.state, b.state = state_of_a;
    }
    feature_state_merge(both.set, a.state, b.state, T0 + DAY);
    assert_memory_equal(a.state, both.state, feature_state_size(both.set));
    compare(&s, &a, m, n, seed);
    one_close(&a), one_close(&b), one_close(&both);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_funnel),
      cmocka_unit_test(test_funnel_of_one_step_again),
      cmocka_unit_test(test_equal_times_go_by_step),
      cmocka_unit_test(test_funnel_window),
      cmocka_unit_test(test_conditions_of_steps),
      cmocka_unit_test(test_sequence),
      cmocka_unit_test(test_pairs),
      cmocka_unit_test(test_late_ones),
      cmocka_unit_test(test_the_edge_of_lateness),
      cmocka_unit_test(test_many_wait),
      cmocka_unit_test(test_bytes),
      cmocka_unit_test(test_against_the_definitions),
      cmocka_unit_test(test_read_while_pending),
      cmocka_unit_test(test_pairs_are_symmetric),
      cmocka_unit_test(test_merge),
      cmocka_unit_test(test_merge_one_after_the_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
