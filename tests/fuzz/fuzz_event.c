// The event: views stay inside, what is accepted keeps the header's promises, and splitting is undone by joining;
// joining takes any bytes.
#include "fuzz.h"
#include "wire/event.h"

#define NOW_MS 1767600000000ll

static void inside(struct bytes view, struct bytes whole) {
  if (view.n > 0) CHECK(view.p >= whole.p && view.p + view.n <= whole.p + whole.n);
}
static void is_id(struct bytes id, struct bytes whole, const char *digits, size_t id_max) {
  if (id.p != (const uint8_t *)digits) inside(id, whole);
  CHECK(id.n <= id_max && bytes_is_utf8(id));
}
static void is_map(struct bytes map, struct bytes whole) {
  inside(map, whole);
  if (map.n > 0) CHECK(mp_value_of(map).type == MP_MAP && fuzz_is_one_value(map));
}

static void decode(struct bytes map) {
  const struct event_limits limits = {
      .id_max = 16, .name_max = 12, .bytes_max = 2048, .late_max_ms = 86400000, .future_max_ms = 1000};
  struct event e;
  struct event_digits d;
  struct error err = {0};
  int rc = event_decode(map, NOW_MS, &limits, &d, &e, &err);
  if (rc != 0) {
    CHECK((rc == ITD_EEVENT || rc == ITD_ETOOBIG) && err.code == rc && err.text[0]);
    return;
  }
  CHECK(e.raw.p == map.p && e.raw.n == map.n && map.n <= limits.bytes_max && (unsigned)e.type < EVENT_TYPES);
  CHECK(e.user_id.n > 0 || e.anonymous_id.n > 0);
  CHECK(e.type != EVENT_TRACK || e.name.n > 0);
  is_id(e.user_id, map, d.text[0], limits.id_max < 20 ? 20 : limits.id_max);
  is_id(e.anonymous_id, map, d.text[1], 20);
  is_id(e.group_id, map, d.text[2], 20);
  is_id(e.previous_id, map, d.text[3], 20);
  is_id(e.message_id, map, d.text[4], 20);
  const struct bytes names[] = {e.name, e.channel, e.schema};
  for (int i = 0; i < 3; i++) {
    inside(names[i], map);
    CHECK(names[i].n <= limits.name_max && bytes_is_utf8(names[i]));
  }
  is_map(e.properties, map), is_map(e.traits, map), is_map(e.context, map), inside(e.traceparent, map);
  CHECK(e.traceparent.n == 0 || e.traceparent.n >= 55);
  CHECK(e.timestamp_ms >= MP_TIME_MIN_MS && e.timestamp_ms <= MP_TIME_MAX_MS);
  CHECK(e.has_timestamp || e.timestamp_ms == NOW_MS);
  int in_time = event_check_time(&e, NOW_MS, &limits, NULL);
  bool is_in = NOW_MS - e.timestamp_ms <= limits.late_max_ms && e.timestamp_ms - NOW_MS <= limits.future_max_ms;
  CHECK(in_time == (is_in ? 0 : ITD_ETIME));
}

static void split_and_join(struct bytes map) {
  const struct bytes paths[] = {BYTES_LIT("traits.email"), BYTES_LIT("context.ip"), BYTES_LIT("a.b"), BYTES_LIT("a")};
  struct buf clear, secret, joined;
  buf_init(&clear), buf_init(&secret), buf_init(&joined);
  event_split(map, &(struct personal_paths){paths, 4}, &clear, &secret);
  CHECK(fuzz_is_one_value(buf_bytes(&clear)) && clear.n <= map.n);
  CHECK(secret.n == 0 || fuzz_is_one_value(buf_bytes(&secret)));
  struct bytes value;
  if (mp_find(buf_bytes(&clear), BYTES_LIT("userId"), &value)) CHECK(value.n == 1 && value.p[0] == 0xc0);
  if (mp_find_path(buf_bytes(&clear), BYTES_LIT("traits.email"), &value)) CHECK(value.n == 1 && value.p[0] == 0xc0);
  CHECK(event_join(buf_bytes(&clear), buf_bytes(&secret), &joined, NULL) == 0);
  CHECK(bytes_eq(buf_bytes(&joined), map));
  buf_deinit(&clear), buf_deinit(&secret), buf_deinit(&joined);
}

static void join_anything(struct bytes in) {
  if (in.n < 1) return;
  size_t cut = in.p[0] % in.n;
  struct bytes clear = bytes_of(in.p + 1, cut), secret = bytes_of(in.p + 1 + cut, in.n - 1 - cut);
  struct buf joined;
  struct error err = {0};
  buf_init(&joined);
  int rc = event_join(clear, secret, &joined, &err);
  CHECK(rc == 0 ? fuzz_is_one_value(buf_bytes(&joined)) : rc == ITD_ECORRUPT && joined.n == 0);
  buf_deinit(&joined);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  size_t len;
  join_anything(bytes_of(p, n));
  if (mp_scan(bytes_of(p, n), &fuzz_limits, &len, NULL) != 1) return 0;
  struct buf exact = fuzz_exact(bytes_of(p, len));
  decode(buf_bytes(&exact));
  split_and_join(buf_bytes(&exact));
  buf_deinit(&exact);
  return 0;
}
