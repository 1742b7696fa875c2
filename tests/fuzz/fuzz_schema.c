// Schemas: any declarations compile or are refused with a reason; what compiled judges any event without looking beside it; an
// upcast leaves whole maps, and seeing and judging agree.
#include "fuzz.h"
#include "schema/quality.h"
#include "schema/schema.h"

#define NOW_MS 1767600000000ll

static bool take(struct bytes *rest, struct bytes *value) {
  size_t len;
  if (mp_scan(*rest, &fuzz_limits, &len, NULL) != 1) return false;
  *value = bytes_of(rest->p, len);
  *rest = bytes_of(rest->p + len, rest->n - len);
  return true;
}

static void is_map(struct bytes map) {
  if (map.n) CHECK(fuzz_is_one_value(map) && mp_value_of(map).type == MP_MAP);
}

static void judge(const struct schema_set *set, struct quality *q, struct bytes map) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct event event, seen, again;
  struct event_digits digits;
  struct schema_scratch scratch = {0}, other = {0};
  struct error err = {0};
  bool by_traffic;
  if (event_decode(map, NOW_MS, &limits, &digits, &event, NULL) != 0) return;
  int rc = schema_judge(set, &event, &scratch, &seen, &err);
  CHECK(rc == 0 || (rc == ITD_ESCHEMA && err.code == rc && err.text[0]));
  schema_see(set, &event, &other, &again);
  is_map(again.properties), is_map(again.traits), is_map(again.context);
  CHECK(again.raw.p == map.p && again.timestamp_ms == event.timestamp_ms);
  if (rc == 0) {
    CHECK(bytes_eq(seen.properties, again.properties) && bytes_eq(seen.traits, again.traits) &&
          bytes_eq(seen.context, again.context));
    rc = quality_judge(q, set, &seen, NOW_MS, &by_traffic, &err);
    CHECK(rc == 0 || rc == ITD_EQUALITY);
  }
  schema_scratch_deinit(&scratch);
  schema_scratch_deinit(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  struct bytes rest = bytes_of(p, n), declarations, rules, event;
  struct error err = {0};
  if (!take(&rest, &declarations) || !take(&rest, &rules)) return 0;
  struct buf exact = fuzz_exact(declarations);
  struct schema_set *set = NULL;
  struct quality *q = NULL;
  int rc = schema_set_compile(buf_bytes(&exact), &set, &err);
  buf_deinit(&exact); // it keeps nothing of them
  CHECK(rc == 0 || (rc == ITD_EPOLICY && err.text[0] && !set));
  if (rc) CHECK(schema_set_compile((struct bytes){0}, &set, NULL) == 0);
  exact = fuzz_exact(rules);
  rc = quality_compile(buf_bytes(&exact), &q, &err);
  buf_deinit(&exact);
  CHECK(rc == 0 || (rc == ITD_EPOLICY && err.text[0] && !q));
  if (rc) CHECK(quality_compile((struct bytes){0}, &q, NULL) == 0);
  size_t faults = schema_check(set, set, NULL, NULL);
  CHECK(faults == schema_check(set, NULL, NULL, NULL)); // no version differs from itself
  while (take(&rest, &event)) {
    struct buf map = fuzz_exact(event);
    judge(set, q, buf_bytes(&map));
    buf_deinit(&map);
  }
  quality_free(q);
  schema_set_free(set);
  return 0;
}
