// What the tests of features share: sets and events written as JSON, and one value read by name.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "feature/feature.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define T0     INT64_C(1767225600000) // 2026-01-01T00:00:00Z, a Thursday

// `'` stands for `"`, so that declarations stay readable in C.
static inline void pack(const char *json, struct buf *out) {
  struct buf text;
  struct error err = {0};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  buf_init(&text);
  for (const char *c = json; *c; c++) buf_append_u8(&text, (uint8_t)(*c == '\'' ? '"' : *c));
  if (mp_from_json(buf_bytes(&text), &limits, out, &err) != 0) fail_msg("%s in %s", err.text, json);
  buf_deinit(&text);
}

static inline struct feature_set *compile(const char *json) {
  struct buf b;
  struct feature_set *set = NULL;
  struct error err = {0};
  buf_init(&b);
  pack(json, &b);
  if (feature_set_compile(buf_bytes(&b), &set, &err) != 0) fail_msg("%s", err.text);
  buf_deinit(&b);
  return set;
}

// One feature and its state. `json` is the declaration without its name.
struct one {
  struct feature_set *set;
  uint8_t *state;
};
static inline struct one one_open(const char *json) {
  char text[2048];
  snprintf(text, sizeof text, "[{'name': 'x', %s}]", json);
  struct one o = {.set = compile(text)};
  o.state = xmalloc(feature_state_size(o.set));
  feature_state_init(o.set, o.state);
  return o;
}
static inline void one_close(struct one *o) {
  feature_set_free(o->set);
  free(o->state);
}

// Folds the event that `json` (its keys beside userId and timestamp) describes.
static inline size_t fold_json(const struct feature_set *set, uint8_t *state, const char *json, int64_t time_ms,
                               int64_t now_ms) {
  struct buf b;
  struct event event;
  struct event_digits digits;
  struct error err = {0};
  char text[4096];
  snprintf(text, sizeof text, "{'userId': 'u', 'timestamp': %" PRId64 ", %s}", time_ms, json);
  buf_init(&b);
  pack(text, &b);
  if (event_decode(buf_bytes(&b), now_ms, &EVENT_LIMITS_DEFAULT, &digits, &event, &err) != 0) fail_msg("%s", err.text);
  size_t touched = feature_fold(set, state, &event, now_ms);
  buf_deinit(&b);
  return touched;
}
// An event at a time at which it is also now.
static inline size_t at(struct one *o, int64_t time_ms, const char *json) {
  return fold_json(o->set, o->state, json, time_ms, time_ms);
}
// An event that arrives late.
static inline size_t late(struct one *o, int64_t time_ms, int64_t now_ms, const char *json) {
  return fold_json(o->set, o->state, json, time_ms, now_ms);
}

static inline double value(const struct one *o, int64_t now_ms) {
  double v = 0;
  struct bytes text;
  feature_read(o->set, o->state, now_ms, &v, &text);
  return v;
}
static inline struct bytes text_of(const struct one *o, int64_t now_ms) {
  double v = 0;
  struct bytes text;
  feature_read(o->set, o->state, now_ms, &v, &text);
  assert_true(isnan(v));
  return text;
}
#define assert_value(o, now_ms, want)                                                                                  \
  do {                                                                                                                 \
    double got_ = value(o, now_ms), want_ = (want);                                                                    \
    if (!(got_ == want_ || (isnan(got_) && isnan(want_)))) fail_msg("%.17g, expected %.17g", got_, want_);             \
  } while (0)
#define assert_text(o, now_ms, want)                                                                                   \
  do {                                                                                                                 \
    struct bytes got_ = text_of(o, now_ms);                                                                            \
    if (!bytes_is(got_, want)) fail_msg("\"%.*s\", expected \"%s\"", (int)got_.n, (const char *)got_.p, want);         \
  } while (0)
