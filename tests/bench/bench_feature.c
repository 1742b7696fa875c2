// What a fold and a read of 20 features cost for one event of a lead, beside what cannot be avoided: copying the lead's
// state once, and unpacking the same event with msgpack-c. Prints ns (median of rounds) and ratios.
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "feature/feature.h"

enum { EVENTS = 4096, LEADS = 512, ROUNDS = 21 };

static const char declared[] =
    "[{'name': 'events', 'op': 'count'}, {'name': 'idle', 'op': 'recency'}, {'name': 'pause', 'op': 'gap'},"
    " {'name': 'pages_7d', 'op': 'count', 'window': '7d', 'on': ['Page Viewed', {'type': 'page'}]},"
    " {'name': 'pricing_7d', 'op': 'count', 'window': '7d', 'on': 'Pricing Viewed'},"
    " {'name': 'pricing_heat', 'op': 'decay', 'half_life': '7d', 'on': 'Pricing Viewed'},"
    " {'name': 'docs_30d', 'op': 'count', 'window': '30d', 'on': 'Docs Viewed'},"
    " {'name': 'mails_14d', 'op': 'count', 'window': '14d', 'on': 'Email Opened'},"
    " {'name': 'use_rate', 'op': 'velocity', 'window': '7d', 'on': 'Feature Used'},"
    " {'name': 'demo_30d', 'op': 'flag', 'window': '30d', 'on': 'Demo Requested'},"
    " {'name': 'time_7d', 'op': 'sum', 'of': 'properties.duration_ms', 'window': '7d'},"
    " {'name': 'time_mean', 'op': 'mean', 'of': 'properties.duration_ms'},"
    " {'name': 'time_max', 'op': 'max', 'of': 'properties.duration_ms'},"
    " {'name': 'time_heat', 'op': 'decay', 'half_life': '3d', 'of': 'properties.duration_ms'},"
    " {'name': 'paths', 'op': 'distinct', 'of': 'properties.path'},"
    " {'name': 'channels', 'op': 'distinct', 'of': 'channel'},"
    " {'name': 'last_path', 'op': 'last', 'of': 'properties.path', 'text': true},"
    " {'name': 'long_web', 'op': 'count', 'window': '7d', 'on': {'channel': 'web'},"
    "  'where': {'path': 'properties.duration_ms', 'at_least': 60000}},"
    " {'name': 'visits', 'op': 'sessions'}, {'name': 'days', 'op': 'streak'}]";

static uint64_t rng = 1;
static uint64_t next(void) { return rng = hash_mix(rng, 7); }

static struct feature_set *compile(void) {
  struct buf json, packed;
  struct error err = {0};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct feature_set *set = NULL;
  buf_init(&json), buf_init(&packed);
  for (const char *c = declared; *c; c++) buf_append_u8(&json, (uint8_t)(*c == '\'' ? '"' : *c));
  int rc = mp_from_json(buf_bytes(&json), &limits, &packed, &err);
  if (rc == 0) rc = feature_set_compile(buf_bytes(&packed), &set, &err);
  if (rc != 0) fprintf(stderr, "%s\n", err.text), exit(1);
  buf_deinit(&json), buf_deinit(&packed);
  return set;
}

// The load of the comparison with peers: a fixed mix of names, 50 ms an event.
static void put_event(struct buf *b, uint64_t i) {
  static const char *const names[] = {"Page Viewed",  "Pricing Viewed", "Docs Viewed",
                                      "Email Opened", "Feature Used",   "Demo Requested"};
  static const unsigned upto[] = {55, 68, 80, 90, 99, 100};
  unsigned r = (unsigned)(next() % 100), k = 0;
  char text[64];
  while (r >= upto[k]) k++;
  mp_put_map(b, 6);
  snprintf(text, sizeof text, "m-00000001-%012llx", (unsigned long long)i);
  mp_put_cstr(b, "messageId"), mp_put_cstr(b, text);
  mp_put_cstr(b, "type"), mp_put_cstr(b, "track");
  mp_put_cstr(b, "event"), mp_put_cstr(b, names[k]);
  snprintf(text, sizeof text, "u%09llu", (unsigned long long)(next() % LEADS));
  mp_put_cstr(b, "userId"), mp_put_cstr(b, text);
  mp_put_cstr(b, "timestamp"), mp_put_uint(b, 1767225600000u + i * 50);
  mp_put_cstr(b, "properties"), mp_put_map(b, 3);
  snprintf(text, sizeof text, "/p/%llu", (unsigned long long)(next() % 500));
  mp_put_cstr(b, "path"), mp_put_cstr(b, text);
  mp_put_cstr(b, "duration_ms"), mp_put_uint(b, next() % 120000);
  mp_put_cstr(b, "channel"), mp_put_cstr(b, next() & 1 ? "web" : "product");
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}
static double median(double *v) {
  qsort(v, ROUNDS, sizeof *v, by_value);
  return v[ROUNDS / 2];
}

static struct event events[EVENTS];
static struct event_digits digits[EVENTS];

enum work { COPY, UNPACK, FOLD, FOLD_READ };

static double run(enum work work, const struct feature_set *set, uint8_t *states, size_t size, double *sink) {
  double values[64];
  struct bytes texts[64];
  uint8_t copy[FEATURE_STATE_MAX];
  uint64_t start = clock_mono_ns();
  for (size_t i = 0; i < EVENTS; i++) {
    uint8_t *state = states + (i * 7 % LEADS) * size;
    const struct event *e = &events[i];
    if (work == COPY) {
      memcpy(copy, state, size);
      __asm__ volatile("" : : "r"(copy) : "memory");
    } else if (work == UNPACK) {
      msgpack_unpacked u;
      msgpack_unpacked_init(&u);
      CHECK(msgpack_unpack_next(&u, (const char *)e->raw.p, e->raw.n, NULL) == MSGPACK_UNPACK_SUCCESS);
      *sink += u.data.via.map.size;
      msgpack_unpacked_destroy(&u);
    } else {
      *sink += (double)feature_fold(set, state, e, e->timestamp_ms);
      if (work == FOLD_READ) feature_read(set, state, e->timestamp_ms, values, texts), *sink += values[0];
    }
  }
  return (double)(clock_mono_ns() - start) / EVENTS;
}

int main(void) {
  struct feature_set *set = compile();
  struct buf packed;
  size_t size = feature_state_size(set), offset[EVENTS + 1];
  struct error err = {0};
  double ns[4][ROUNDS], sink = 0;
  buf_init(&packed);
  for (size_t i = 0; i < EVENTS; i++) offset[i] = packed.n, put_event(&packed, i);
  offset[EVENTS] = packed.n;
  for (size_t i = 0; i < EVENTS; i++) {
    struct bytes map = bytes_of(packed.p + offset[i], offset[i + 1] - offset[i]);
    if (event_decode(map, 1767225600000 + (int64_t)i * 50, &EVENT_LIMITS_DEFAULT, &digits[i], &events[i], &err) != 0)
      fprintf(stderr, "%s\n", err.text), exit(1);
  }
  uint8_t *states = xmalloc(LEADS * size);
  for (size_t i = 0; i < LEADS; i++) feature_state_init(set, states + i * size);
  for (int round = 0; round < ROUNDS; round++)
    for (int work = COPY; work <= FOLD_READ; work++) ns[work][round] = run((enum work)work, set, states, size, &sink);
  double copy = median(ns[COPY]), unpack = median(ns[UNPACK]), fold = median(ns[FOLD]), both = median(ns[FOLD_READ]);
  printf("features=%zu state_bytes=%zu event_bytes=%zu\n", feature_count(set), size, packed.n / EVENTS);
  printf("copy_ns=%.0f unpack_ns=%.0f fold_ns=%.0f fold_read_ns=%.0f\n", copy, unpack, fold, both);
  printf("fold_read/copy=%.1f fold_read/unpack=%.2f (%g)\n", both / copy, both / unpack, sink > 0 ? 1.0 : 0.0);
  free(states);
  buf_deinit(&packed);
  feature_set_free(set);
  return 0;
}
