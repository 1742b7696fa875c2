// What each op costs: bytes of a lead's state, and ns to fold a match, to read, and to merge two leads (median of
// rounds), beyond what a set without features costs for the same event. The stream: three names in turn, a match every
// ten minutes, one in eight up to two hours late.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "feature/feature.h"

enum { EVENTS = 4096, LEADS = 64, ROUNDS = 15 };

#define STEPS "'within': '1d', 'steps': ['A', 'B', 'C']"
static const char *const declared[] = {
    "'op': 'count'",
    "'op': 'count', 'window': '7d'",
    "'op': 'count', 'window': 'this_month', 'zone': 'Europe/Amsterdam'",
    "'op': 'count', 'window': 'session'",
    "'op': 'flag', 'window': '30d'",
    "'op': 'velocity', 'window': '7d'",
    "'op': 'sum', 'of': 'properties.v'",
    "'op': 'sum', 'of': 'properties.v', 'window': '7d'",
    "'op': 'mean', 'of': 'properties.v', 'window': '7d'",
    "'op': 'variance', 'of': 'properties.v'",
    "'op': 'stddev', 'of': 'properties.v', 'window': '7d'",
    "'op': 'min', 'of': 'properties.v'",
    "'op': 'max', 'of': 'properties.v', 'window': '7d'",
    "'op': 'first', 'of': 'properties.v'",
    "'op': 'last', 'of': 'properties.t', 'text': true",
    "'op': 'distinct', 'of': 'properties.v'",
    "'op': 'distinct', 'of': 'properties.v', 'limit': 1024",
    "'op': 'most_common', 'of': 'properties.t', 'text': true",
    "'op': 'quantile', 'of': 'properties.v', 'q': 0.9",
    "'op': 'recency'",
    "'op': 'gap'",
    "'op': 'gap', 'stat': 'mean'",
    "'op': 'decay', 'half_life': '7d'",
    "'op': 'decay', 'shape': 'linear', 'over': '30d'",
    "'op': 'decay', 'shape': 'step', 'steps': [{'age': '7d', 'weight': 1}, {'age': '30d', 'weight': 0.3}]",
    "'op': 'sessions'",
    "'op': 'session_length', 'stat': 'mean'",
    "'op': 'active_days', 'window': '30d'",
    "'op': 'time_of_day'",
    "'op': 'weekday'",
    "'op': 'streak'",
    "'op': 'funnel', " STEPS,
    "'op': 'funnel', 'window': '30d', " STEPS,
    "'op': 'funnel', 'lateness': '1h', " STEPS,
    "'op': 'funnel', 'pending': 64, " STEPS,
    "'op': 'sequence', " STEPS,
    "'op': 'sequence', 'window': '30d', " STEPS,
    "'op': 'co_occurrence', 'within': '1h', 'steps': ['A', 'B']",
    "'op': 'count'}, {'name': 'y', 'op': 'ratio', 'of': ['x', 'x']", // beyond the count
};

static uint64_t rng = 1;
static uint64_t next(void) { return rng = hash_mix(rng, 7); }

static struct feature_set *compile(const char *declaration) {
  struct buf json, packed;
  struct error err = {0};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct feature_set *set = NULL;
  buf_init(&json), buf_init(&packed);
  buf_append_str(&json, "[");
  if (*declaration) buf_printf(&json, "{\"name\": \"x\", %s}", declaration);
  buf_append_str(&json, "]");
  for (size_t i = 0; i < json.n; i++)
    if (json.p[i] == '\'') json.p[i] = '"';
  int rc = mp_from_json(buf_bytes(&json), &limits, &packed, &err);
  if (rc == 0) rc = feature_set_compile(buf_bytes(&packed), &set, &err);
  if (rc != 0) fprintf(stderr, "%s in %s\n", err.text, declaration), exit(1);
  buf_deinit(&json), buf_deinit(&packed);
  return set;
}

static struct event events[EVENTS];
static int64_t now[EVENTS];

static void make_events(struct buf *b) {
  static const char *const names[] = {"A", "B", "C"};
  size_t at[EVENTS + 1];
  for (size_t i = 0; i < EVENTS; i++) {
    char text[32];
    at[i] = b->n;
    snprintf(text, sizeof text, "/p/%llu", (unsigned long long)(next() % 40));
    mp_put_map(b, 2), mp_put_cstr(b, "v"), mp_put_uint(b, next() % 1000), mp_put_cstr(b, "t"), mp_put_cstr(b, text);
  }
  at[EVENTS] = b->n;
  for (size_t i = 0; i < EVENTS; i++) {
    now[i] = 1767225600000 + (int64_t)(i / LEADS) * 600000;
    events[i] = (struct event){.type = EVENT_TRACK,
                               .name = bytes_str(names[i / LEADS % 3]),
                               .properties = bytes_of(b->p + at[i], at[i + 1] - at[i]),
                               .timestamp_ms = now[i] - (next() % 8 == 0 ? (int64_t)(next() % 7200000) : 0)};
  }
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}
static double median(double *v) {
  qsort(v, ROUNDS, sizeof *v, by_value);
  return v[ROUNDS / 2];
}

struct cost {
  double fold, read, merge;
};
static struct cost measure(const struct feature_set *set) {
  size_t size = feature_state_size(set);
  uint8_t *states = xmalloc(LEADS * size + 1), *copy = xmalloc(size + 1);
  double fold[ROUNDS], read[ROUNDS], merge[ROUNDS], values[2];
  struct bytes texts[2];
  for (int round = 0; round < ROUNDS; round++) {
    for (size_t i = 0; i < LEADS; i++) feature_state_init(set, states + i * size);
    uint64_t start = clock_mono_ns();
    for (size_t i = 0; i < EVENTS; i++) feature_fold(set, states + i % LEADS * size, &events[i], now[i]);
    uint64_t folded = clock_mono_ns();
    for (size_t i = 0; i < EVENTS; i++) feature_read(set, states + i % LEADS * size, now[EVENTS - 1], values, texts);
    uint64_t done = clock_mono_ns();
    for (size_t i = 0; i < EVENTS; i++) {
      memcpy(copy, states + i % LEADS * size, size);
      feature_state_merge(set, copy, states + (i + 1) % LEADS * size, now[EVENTS - 1]);
    }
    merge[round] = (double)(clock_mono_ns() - done) / EVENTS;
    fold[round] = (double)(folded - start) / EVENTS;
    read[round] = (double)(done - folded) / EVENTS;
  }
  free(states), free(copy);
  return (struct cost){median(fold), median(read), median(merge)};
}

int main(void) {
  struct buf b;
  buf_init(&b);
  make_events(&b);
  struct feature_set *none = compile("");
  struct cost base = measure(none);
  feature_set_free(none);
  printf("%-90s %6s %6s %6s %6s\n", "", "bytes", "fold", "read", "merge");
  for (size_t i = 0; i < sizeof declared / sizeof *declared; i++) {
    struct feature_set *set = compile(declared[i]);
    struct cost c = measure(set);
    printf("%-90.90s %6zu %6.0f %6.0f %6.0f\n", declared[i], feature_state_size(set), c.fold - base.fold,
           c.read - base.read, c.merge - base.merge);
    feature_set_free(set);
  }
  buf_deinit(&b);
  return 0;
}
