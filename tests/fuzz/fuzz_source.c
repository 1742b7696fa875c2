// Whatever JSON, as a payload of each shipped source: the same events twice, each whole and somebody's, or a refusal whose reason shows
// nothing of the payload.
#include <stdlib.h>

#include "fuzz.h"
#include "policy/sources.h"
#include "wire/event.h"

#define NOW_MS 1767600000000ll

static struct sources *shipped(void) {
  static struct sources *sources;
  struct error err = {0};
  const struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  if (!sources)
    CHECK(sources_of_set(INTENTD_ROOT "/scripts", INTENTD_ROOT "/policies", "b2b", &limits, &sources, &err) == 0);
  return sources;
}

static void check_event(struct bytes event) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct event e;
  struct event_digits digits;
  struct bytes value;
  CHECK(fuzz_is_one_value(event) && mp_value_of(event).type == MP_MAP);
  CHECK(mp_find(event, BYTES_LIT("messageId"), &value) && mp_value_of(value).type == MP_STR);
  CHECK(mp_find(event, BYTES_LIT("userId"), &value) || mp_find(event, BYTES_LIT("anonymousId"), &value));
  CHECK(mp_value_of(value).type == MP_STR);
  CHECK(mp_find_path(event, BYTES_LIT("context.source"), &value) && mp_value_of(value).type == MP_STR);
  int rc = event_decode(event, NOW_MS, &limits, &digits, &e, NULL);
  CHECK(rc == 0 || rc == ITD_EEVENT || rc == ITD_ETOOBIG || rc == ITD_ETIME);
}

// Texts of the payload that could not stand in a reason by chance: of letters that no reason is made of.
static void check_reason(struct bytes why, struct bytes payload) {
  CHECK(why.n && bytes_is_utf8(why));
  struct mp m = mp_of(payload);
  while (!mp_done(&m)) {
    struct mp_value v = mp_next(&m);
    bool is_odd = v.type == MP_STR && v.s.n >= 4;
    for (size_t i = 0; is_odd && i < v.s.n; i++) is_odd = v.s.p[i] >= 'A' && v.s.p[i] <= 'Z';
    if (is_odd) CHECK(!memmem(why.p, why.n, v.s.p, v.s.n));
  }
}

static struct bytes list(struct bytes output, const char *key) {
  struct bytes found;
  CHECK(mp_find(output, bytes_str(key), &found) && mp_value_of(found).type == MP_ARRAY);
  return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n < 2 || n > 4096) return 0;
  struct sources *sources = shipped();
  struct buf payload = {0}, out = {0}, again = {0};
  struct error err = {0};
  if (mp_from_json(bytes_of(p + 1, n - 1), &fuzz_limits, &payload, NULL) == 0) {
    const struct sources_call call = {.source = sources_info(sources, p[0] % sources_count(sources))->name,
                                      .payload = buf_bytes(&payload),
                                      .events_max = 50};
    int rc = sources_map(sources, &call, &out, &err);
    CHECK(rc == 0 || rc == ITD_ESTOPPED);
    if (rc == 0) CHECK(sources_map(sources, &call, &again, &err) == 0 && bytes_eq(buf_bytes(&out), buf_bytes(&again)));
    if (rc == 0) {
      struct mp m = mp_of(list(buf_bytes(&out), "events"));
      for (uint32_t left = mp_next(&m).count; left > 0; left--) {
        CHECK(mp_next(&m).count == 2);
        (void)mp_next(&m);
        check_event(mp_take(&m));
      }
      m = mp_of(list(buf_bytes(&out), "refused"));
      for (uint32_t left = mp_next(&m).count; left > 0; left--) {
        CHECK(mp_next(&m).count == 4);
        (void)mp_next(&m), (void)mp_next(&m);
        struct bytes why = mp_next(&m).s, who = mp_take(&m);
        check_reason(why, buf_bytes(&payload));
        CHECK(mp_value_of(who).type == MP_ARRAY);
      }
    }
  }
  buf_deinit(&payload), buf_deinit(&out), buf_deinit(&again);
  return 0;
}
