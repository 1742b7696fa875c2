// What the tests of schemas share: sets and events written as JSON.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "schema/schema.h"

#define T0 INT64_C(1767225600000) // 2026-01-01T00:00:00Z

// `'` stands for `"`, so that declarations stay readable in C.
static inline void pack(const char *json, struct buf *out) {
  struct buf text = {0};
  struct error err = {0};
  for (const char *c = json; *c; c++) buf_append_u8(&text, (uint8_t)(*c == '\'' ? '"' : *c));
  if (mp_from_json(buf_bytes(&text), &MP_LIMITS_DEFAULT, out, &err) != 0) fail_msg("%s in %s", err.text, json);
  buf_deinit(&text);
}

static inline struct schema_set *compile(const char *json) {
  struct buf b = {0};
  struct schema_set *set = NULL;
  struct error err = {0};
  pack(json, &b);
  if (schema_set_compile(buf_bytes(&b), &set, &err) != 0) fail_msg("%s", err.text);
  buf_deinit(&b);
  return set;
}

// One event and what is made of it.
struct given {
  struct buf map;
  struct event event, seen;
  struct event_digits digits;
  struct schema_scratch scratch;
  struct error err;
};
static inline void given_open(struct given *g, struct bytes map) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  *g = (struct given){0};
  buf_append_bytes(&g->map, map);
  if (event_decode(buf_bytes(&g->map), T0, &limits, &g->digits, &g->event, &g->err) != 0) fail_msg("%s", g->err.text);
}
static inline void given_close(struct given *g) {
  schema_scratch_deinit(&g->scratch);
  buf_deinit(&g->map);
}
static inline int judge(struct given *g, const struct schema_set *set, const char *json) {
  struct buf map = {0};
  pack(json, &map);
  given_open(g, buf_bytes(&map));
  buf_deinit(&map);
  return schema_judge(set, &g->event, &g->scratch, &g->seen, &g->err);
}
static inline void accepted(const struct schema_set *set, const char *json) {
  struct given g;
  if (judge(&g, set, json) != 0) fail_msg("%s: %s", json, g.err.text);
  given_close(&g);
}
static inline void refused(const struct schema_set *set, const char *json, const char *why) {
  struct given g;
  if (judge(&g, set, json) != ITD_ESCHEMA) fail_msg("accepted: %s", json);
  if (!strstr(g.err.text, why)) fail_msg("\"%s\" does not say \"%s\"", g.err.text, why);
  given_close(&g);
}
// The event's maps as features see them, as JSON; free with free().
static inline char *seen_json(const struct given *g) {
  struct buf b = {0};
  const struct bytes maps[] = {g->seen.properties, g->seen.traits, g->seen.context};
  for (int i = 0; i < 3; i++) {
    if (i) buf_append_u8(&b, '|');
    if (maps[i].n) mp_to_json(maps[i], &b);
  }
  for (size_t i = 0; i < b.n; i++)
    if (b.p[i] == '"') b.p[i] = '\'';
  buf_append_u8(&b, 0);
  return (char *)b.p;
}
