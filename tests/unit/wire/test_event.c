// The event: every key in every type, the forms of time, who and what, limits at their edges, reasons in words.
#include "wire_test.h"

#include "wire/event.h"

#define NOW_MS 1767600000000ll // 2026-01-05T08:00:00Z
static const struct event_limits limits = EVENT_LIMITS_DEFAULT;

struct decoded {
  struct buf bytes;
  struct event e;
  struct event_digits digits;
  struct error err;
  int rc;
};
static struct decoded *decode_bytes(struct bytes map, const struct event_limits *l) {
  struct decoded *d = xcalloc(1, sizeof *d);
  buf_init(&d->bytes);
  buf_append_bytes(&d->bytes, map);
  memset(&d->e, 0xee, sizeof d->e);
  d->rc = event_decode(buf_bytes(&d->bytes), NOW_MS, l, &d->digits, &d->e, &d->err);
  if (d->rc < 0) // untouched on failure
    for (size_t i = 0; i < sizeof d->e; i++) assert_int_equal(((uint8_t *)&d->e)[i], 0xee);
  return d;
}
static struct decoded *decode(const char *json) {
  struct buf b = from_json(json);
  struct decoded *d = decode_bytes(buf_bytes(&b), &limits);
  buf_deinit(&b);
  return d;
}
static void done(struct decoded *d) {
  buf_deinit(&d->bytes);
  free(d);
}
static struct decoded *accepted(const char *json) {
  struct decoded *d = decode(json);
  if (d->rc != 0) fail_msg("%s: %s", json, d->err.text);
  return d;
}
static void says(struct decoded *d, int code, const char *text) {
  assert_int_equal(d->rc, code);
  if (!strstr(d->err.text, text)) fail_msg("\"%s\" does not say \"%s\"", d->err.text, text);
  done(d);
}
static void refused(const char *json, const char *text) { says(decode(json), ITD_EEVENT, text); }

static void test_every_key(void **state) {
  (void)state;
  struct decoded *d =
      accepted("{\"messageId\":\"m1\",\"type\":\"track\",\"event\":\"Signed "
               "Up\",\"userId\":\"u1\",\"anonymousId\":\"a1\",\"groupId\":\"g1\","
               "\"previousId\":\"p1\",\"timestamp\":\"2026-01-05T07:59:59.5Z\",\"sentAt\":1767599999700,\"channel\":"
               "\"web\",\"schema\":\"s@1\","
               "\"properties\":{\"channel\":\"no\"},\"traits\":{\"x\":1},\"context\":{\"traits\":{\"x\":2},"
               "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"},\"more\":[1],\"name\":5}");
  assert_int_equal(d->e.type, EVENT_TRACK);
  assert_text(d->e.message_id, "m1");
  assert_text(d->e.name, "Signed Up");
  assert_text(d->e.user_id, "u1");
  assert_text(d->e.anonymous_id, "a1");
  assert_text(d->e.group_id, "g1");
  assert_text(d->e.previous_id, "p1");
  assert_text(d->e.channel, "web");
  assert_text(d->e.schema, "s@1");
  assert_json(d->e.properties, "{\"channel\":\"no\"}");
  assert_json(d->e.traits, "{\"x\":1}");
  assert_int_equal(d->e.traceparent.n, 55);
  assert_true(d->e.timestamp_ms == NOW_MS - 500 && d->e.has_timestamp && d->e.sent_at_ms == NOW_MS - 300);
  assert_true(d->e.raw.p == d->bytes.p && d->e.raw.n == d->bytes.n);
  done(d);
  d = accepted("{\"type\":\"identify\",\"anonymousId\":\"a\"}");
  assert_true(!d->e.has_timestamp && d->e.timestamp_ms == NOW_MS && d->e.sent_at_ms == 0);
  assert_true(d->e.name.n + d->e.user_id.n + d->e.properties.n + d->e.traits.n + d->e.context.n + d->e.channel.n == 0);
  done(d);
}

static void test_nothing_is_read_from_elsewhere(void **state) {
  (void)state;
  refused("{\"type\":\"track\",\"event\":\"x\",\"userid\":\"u\",\"user_id\":\"u\",\"userIds\":\"u\",\"properties\":{"
          "\"userId\":\"u\"}}",
          "userId");
  refused("{\"type\":\"track\",\"Event\":\"x\",\"userId\":\"u\"}", "event is missing");
}

static void test_types(void **state) {
  (void)state;
  for (int t = 0; t < EVENT_TYPES; t++) {
    for (int form = 0; form < 3; form++) {
      char name[16], json[200];
      snprintf(name, sizeof name, "%s", event_type_name((enum event_type)t));
      for (int i = 0; form > 0 && name[i] && (form == 2 || i == 0); i++) name[i] = (char)(name[i] - 'a' + 'A');
      snprintf(json, sizeof json, "{\"type\":\"%s\",\"userId\":\"u\",\"event\":\"ev\",\"name\":\"na\"}", name);
      struct decoded *d = accepted(json);
      assert_int_equal(d->e.type, t);
      assert_text(d->e.name, t == EVENT_TRACK ? "ev" : t == EVENT_PAGE || t == EVENT_SCREEN ? "na" : "");
      done(d);
    }
  }
  struct decoded *d = accepted("{\"event\":\"ev\",\"userId\":\"u\"}");
  assert_int_equal(d->e.type, EVENT_TRACK);
  done(d);
  refused("{\"userId\":\"u\"}", "type is missing");
  refused("{\"type\":null,\"event\":null,\"userId\":\"u\"}", "type is missing");
  refused("{\"type\":\"trac\\u006b \",\"event\":\"e\",\"userId\":\"u\"}", "type is \"track \"; it must be");
  refused("{\"type\":\"\",\"event\":\"e\",\"userId\":\"u\"}", "type is \"\"");
  refused("{\"type\":\"4r!ck\",\"event\":\"e\",\"userId\":\"u\"}",
          "type is \"4r!ck\""); // bit 0x20 alone is no letter case
  refused("{\"type\":3,\"event\":\"e\",\"userId\":\"u\"}", "type is an integer");
  refused("{\"type\":\"bad\\n\\u00fc01234567890123456789012345678901234567890\\u00fc\\u00fc\",\"userId\":\"u\"}",
          "\"bad?\xc3\xbc"
          "01234567890123456789012345678901234567890…\"");
}

static void test_names(void **state) {
  (void)state;
  refused("{\"type\":\"track\",\"userId\":\"u\"}", "event is missing or empty");
  refused("{\"type\":\"track\",\"userId\":\"u\",\"event\":\"\"}", "event is missing or empty");
  refused("{\"type\":\"track\",\"userId\":\"u\",\"event\":null,\"event2\":1}", "event is missing or empty");
  refused("{\"type\":\"track\",\"userId\":\"u\",\"event\":22}", "event is an integer; it must be text");
  refused("{\"type\":\"track\",\"userId\":\"u\",\"event\":{\"name\":\"x\"}}", "event is a map; it must be text");
  refused("{\"type\":\"page\",\"userId\":\"u\",\"name\":[]}", "name is a list; it must be text");
  done(accepted("{\"type\":\"page\",\"userId\":\"u\",\"event\":[]}")); // event means nothing for a page
  done(accepted("{\"type\":\"screen\",\"userId\":\"u\",\"name\":null}"));
  done(accepted("{\"type\":\"group\",\"userId\":\"u\",\"name\":5}"));
  refused("{\"type\":\"page\",\"userId\":\"u\",\"schema\":1}", "schema is an integer");
}

static void test_channel(void **state) {
  (void)state;
  struct decoded *d =
      accepted("{\"type\":\"page\",\"userId\":\"u\",\"channel\":null,\"properties\":{\"channel\":\"email\"}}");
  assert_text(d->e.channel, "email");
  done(d);
  d = accepted("{\"type\":\"page\",\"userId\":\"u\",\"channel\":\"\",\"properties\":{\"channel\":\"email\"}}");
  assert_text(d->e.channel, "email");
  done(d);
  d = accepted("{\"type\":\"page\",\"userId\":\"u\",\"properties\":{\"channel\":{\"id\":4}}}"); // just a property
  assert_int_equal(d->e.channel.n, 0);
  done(d);
  refused("{\"type\":\"page\",\"userId\":\"u\",\"channel\":5}", "channel is an integer; it must be text");
  refused("{\"type\":\"page\",\"userId\":\"u\",\"channel\":[\"web\"]}", "channel is a list");
  char json[600], name[302];
  memset(name, 'c', 300), name[300] = 0;
  snprintf(json, sizeof json, "{\"type\":\"page\",\"userId\":\"u\",\"properties\":{\"channel\":\"%s\"}}", name);
  d = accepted(json);
  assert_int_equal(d->e.channel.n, 0);
  done(d);
}

static void test_ids(void **state) {
  (void)state;
  struct decoded *d =
      accepted("{\"type\":\"page\",\"userId\":476335,\"anonymousId\":-9223372036854775808,\"groupId\":0,"
               "\"previousId\":9223372036854775807,\"messageId\":-1}");
  assert_text(d->e.user_id, "476335");
  assert_text(d->e.anonymous_id, "-9223372036854775808");
  assert_text(d->e.group_id, "0");
  assert_text(d->e.previous_id, "9223372036854775807");
  assert_text(d->e.message_id, "-1");
  done(d);
  d = decode_bytes(BYTES_LIT("\x82\xa4type\xa4page\xa6userId\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), &limits);
  assert_text(d->e.user_id, "18446744073709551615");
  done(d);
  d = accepted("{\"type\":\"page\",\"userId\":\"\",\"anonymousId\":\"a\"}");
  assert_int_equal(d->e.user_id.n, 0);
  done(d);
  refused("{\"type\":\"page\",\"userId\":\"\",\"anonymousId\":null}",
          "userId and anonymousId are both missing or empty");
  refused("{\"type\":\"page\",\"userId\":1.0}", "userId is a float; it must be text or an integer");
  refused("{\"type\":\"page\",\"userId\":true}", "userId is a boolean");
  refused("{\"type\":\"page\",\"userId\":\"u\",\"messageId\":{}}", "messageId is a map");
  refused("{\"type\":\"page\",\"userId\":\"u\",\"groupId\":[1]}", "groupId is a list");
  says(decode_bytes(BYTES_LIT("\x82\xa4type\xa4page\xa6userId\xc4\x01u"), &limits), ITD_EEVENT, "userId is binary");
  says(decode_bytes(BYTES_LIT("\x82\xa4type\xa4page\xa6userId\xa3"
                              "ab\xff"),
                    &limits),
       ITD_EEVENT, "userId is not UTF-8 (from its byte 2 on)");
}

static void test_first_of_equal_keys_counts(void **state) {
  (void)state;
  struct decoded *d =
      decode_bytes(BYTES_LIT("\x85\xa4type\xa4page\xa6userId\xa1u\xa6userId\xa1v\xa4type\xa5track\x05\x06"), &limits);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->e.type, EVENT_PAGE);
  assert_text(d->e.user_id, "u");
  done(d);
  says(decode_bytes(BYTES_LIT("\x83\xa4type\xa4page\xa6userId\xc0\xa6userId\xa1v"), &limits), ITD_EEVENT,
       "both missing");
}

static void test_maps(void **state) {
  (void)state;
  refused("{\"type\":\"page\",\"userId\":\"u\",\"properties\":[]}", "properties is a list; it must be a map");
  refused("{\"type\":\"page\",\"userId\":\"u\",\"properties\":\"\"}", "properties is text; it must be a map");
  refused("{\"type\":\"page\",\"userId\":\"u\",\"traits\":1}", "traits is an integer; it must be a map");
  refused("{\"type\":\"page\",\"userId\":\"u\",\"context\":false}", "context is a boolean; it must be a map");
  refused("{\"type\":\"page\",\"userId\":\"u\",\"context\":{\"traits\":\"x\"}}",
          "context.traits is text; it must be a map");
  struct decoded *d =
      accepted("{\"type\":\"page\",\"userId\":\"u\",\"context\":{\"a\":[{}],\"traits\":{\"y\":1}},\"traits\":null}");
  assert_json(d->e.traits, "{\"y\":1}");
  done(d);
  d = accepted("{\"type\":\"page\",\"userId\":\"u\",\"context\":{\"traits\":4},\"traits\":{}}"); // not used, not judged
  assert_json(d->e.traits, "{}");
  done(d);
  refused("[1]", "the event is a list; it must be a map");
  says(decode_bytes(BYTES_LIT("\xc0"), &limits), ITD_EEVENT, "the event is nil");
}

// ---- time ----
static void time_is(const char *keys, int64_t want_ms, bool want_has) {
  char json[400];
  snprintf(json, sizeof json, "{\"type\":\"page\",\"userId\":\"u\",%s}", keys);
  struct decoded *d = accepted(json);
  if (d->e.timestamp_ms != want_ms)
    fail_msg("%s: %lld, not %lld", keys, (long long)d->e.timestamp_ms, (long long)want_ms);
  assert_int_equal(d->e.has_timestamp, want_has);
  done(d);
}
static void time_refused(const char *keys, const char *text) {
  char json[400];
  snprintf(json, sizeof json, "{\"type\":\"page\",\"userId\":\"u\",%s}", keys);
  refused(json, text);
}
static void packed_time(struct bytes value, int code, int64_t want_ms) {
  struct buf b;
  buf_init(&b);
  buf_append_bytes(&b, BYTES_LIT("\x83\xa4type\xa4page\xa6userId\xa1u\xa9timestamp"));
  buf_append_bytes(&b, value);
  struct decoded *d = decode_bytes(buf_bytes(&b), &limits);
  assert_int_equal(d->rc, code);
  if (code == 0)
    assert_int_equal(d->e.timestamp_ms, want_ms);
  else
    assert_non_null(strstr(d->err.text, "timestamp"));
  done(d), buf_deinit(&b);
}

static void test_forms_of_time(void **state) {
  (void)state;
  time_is("\"timestamp\":\"2026-01-05T08:00:00Z\"", NOW_MS, true);
  time_is("\"timestamp\":\"2026-01-05T13:30:00.25+05:30\"", NOW_MS + 250, true);
  time_is("\"timestamp\":1767600000001", NOW_MS + 1, true);
  time_is("\"timestamp\":1767600000001.0", NOW_MS + 1, true);
  time_is("\"timestamp\":0", 0, true);
  time_is("\"timestamp\":-5", -5, true);
  time_is("\"timestamp\":null", NOW_MS, false);
  time_is("\"timestamp\":-62135596800000", MP_TIME_MIN_MS, true);
  time_is("\"timestamp\":253402300799999", MP_TIME_MAX_MS, true);
  time_is("\"timestamp\":\"0001-01-01\"", MP_TIME_MIN_MS, true);
  time_refused("\"timestamp\":-62135596800001", "timestamp lies outside the years 0001 to 9999");
  time_refused("\"timestamp\":253402300800000", "timestamp lies outside the years");
  time_refused("\"timestamp\":253402300800000.0", "timestamp lies outside the years");
  time_refused("\"timestamp\":9223372036854775807", "timestamp lies outside the years");
  time_refused("\"timestamp\":-9223372036854775808", "timestamp lies outside the years");
  time_refused("\"timestamp\":1767600000000.5", "no whole number");
  time_refused("\"timestamp\":1e300", "no whole number");
  time_refused("\"timestamp\":\"safaff\"", "timestamp is \"safaff\", which is no RFC 3339 time");
  time_refused("\"timestamp\":\"\"", "timestamp is \"\"");
  time_refused("\"timestamp\":{}", "timestamp is a map; it must be");
  time_refused("\"timestamp\":true", "timestamp is a boolean");
  time_refused("\"sentAt\":\"soon\"", "sentAt is \"soon\"");
  time_refused("\"receivedAt\":[]", "receivedAt is a list");
  time_refused("\"originalTimestamp\":\"NOW\"", "originalTimestamp is \"NOW\"");
  packed_time(BYTES_LIT("\xd6\xff\x69\x5b\x6f\x80"), 0, 1767600000000);
  packed_time(BYTES_LIT("\xd7\xff\x77\x35\x94\x00\x69\x5b\x6f\x80"), 0, 1767600000500);
  packed_time(BYTES_LIT("\xc7\x0c\xff\x1d\xcd\x65\x00\xff\xff\xff\xff\xff\xff\xff\xff"), 0, -500);
  packed_time(BYTES_LIT("\xd7\x00\x69\x5b\x6f\x80\x00\x00\x00\x00"), ITD_EEVENT, 0); // Fluentd's, outside Forward
  packed_time(BYTES_LIT("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), ITD_EEVENT, 0);
  packed_time(BYTES_LIT("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), ITD_EEVENT, 0);
  packed_time(BYTES_LIT("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), ITD_EEVENT, 0);
  packed_time(BYTES_LIT("\xca\x44\x7a\x00\x00"), 0, 1000); // a single
}

static void test_the_senders_clock_is_corrected(void **state) {
  (void)state;
  // Sent 300 ms after it happened, by a clock that is a year behind.
  time_is("\"originalTimestamp\":\"2025-01-05T08:00:00Z\",\"sentAt\":\"2025-01-05T08:00:00.3Z\"", NOW_MS - 300, true);
  time_is("\"originalTimestamp\":1000,\"sentAt\":400", NOW_MS + 600, true);
  time_is("\"originalTimestamp\":1000", 1000, true);
  time_is("\"sentAt\":1000", NOW_MS, false);
  time_is("\"timestamp\":7,\"originalTimestamp\":1000,\"sentAt\":400", 7, true);
  time_refused("\"originalTimestamp\":\"0001-01-01T00:00:00Z\",\"sentAt\":\"9999-01-01T00:00:00Z\"",
               "outside the years");
}

static int check(int64_t timestamp_ms, int64_t now_ms, const char *text) {
  struct event e = {.timestamp_ms = timestamp_ms};
  struct error err = {0};
  int rc = event_check_time(&e, now_ms, &limits, &err);
  if (rc < 0 && !strstr(err.text, text)) fail_msg("\"%s\" does not say \"%s\"", err.text, text);
  return rc;
}
static void test_time_bounds(void **state) {
  (void)state;
  const int64_t late = limits.late_max_ms, future = limits.future_max_ms;
  assert_int_equal(check(NOW_MS, NOW_MS, ""), 0);
  assert_int_equal(check(NOW_MS - late, NOW_MS, ""), 0);
  assert_int_equal(
      check(NOW_MS - late - 1, NOW_MS, "timestamp 2016-01-08T07:59:59.999Z is older than event.late = 3650d"),
      ITD_ETIME);
  assert_int_equal(check(NOW_MS + future, NOW_MS, ""), 0);
  assert_int_equal(check(NOW_MS + future + 1, NOW_MS, "is ahead by more than event.future = 1d"), ITD_ETIME);
  assert_int_equal(check(MP_TIME_MIN_MS, MP_TIME_MAX_MS, "event.late"), ITD_ETIME);
  assert_int_equal(check(MP_TIME_MAX_MS, MP_TIME_MIN_MS, "event.future"), ITD_ETIME);
  assert_int_equal(check(NOW_MS / 1000, NOW_MS, "looks like seconds; send milliseconds"), ITD_ETIME);
  struct event e = {.timestamp_ms = 86400000};
  struct error err = {0};
  assert_int_equal(event_check_time(&e, NOW_MS, &limits, &err), ITD_ETIME);
  assert_null(strstr(err.text, "looks like")); // as seconds it would be older as well
}

static void test_traceparent(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool good;
  } rows[] = {
      {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
      {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true},
      {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-will-be", true},
      {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
      {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.x", false},
      {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false},
      {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
      {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
      {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
      {"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
      {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false},
      {"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
      {"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", false},
      {"", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char json[300];
    snprintf(json, sizeof json, "{\"type\":\"page\",\"userId\":\"u\",\"context\":{\"traceparent\":\"%s\"}}",
             rows[i].text);
    struct decoded *d = accepted(json);
    assert_text(d->e.traceparent, rows[i].good ? rows[i].text : "");
    done(d);
  }
  struct decoded *d = accepted("{\"type\":\"page\",\"userId\":\"u\",\"context\":{\"traceparent\":5}}");
  assert_int_equal(d->e.traceparent.n, 0);
  done(d);
}

static void test_limits(void **state) {
  (void)state;
  struct buf b = from_json("{\"type\":\"track\",\"userId\":\"12345\",\"event\":\"abcd\",\"channel\":\"abc\",\"x\":1}");
  struct event_limits l = EVENT_LIMITS_DEFAULT;
  l.id_max = 5, l.name_max = 4, l.bytes_max = b.n;
  struct decoded *d = decode_bytes(buf_bytes(&b), &l);
  assert_int_equal(d->rc, 0);
  done(d);
  l.id_max = 4;
  d = decode_bytes(buf_bytes(&b), &l);
  assert_null(strstr(d->err.text, "12345"));
  says(d, ITD_ETOOBIG, "userId is 5 bytes long, over event.id_bytes = 4");
  l.id_max = 5, l.name_max = 3;
  says(decode_bytes(buf_bytes(&b), &l), ITD_ETOOBIG, "event is 4 bytes long, over event.name_bytes = 3");
  l.name_max = 4, l.bytes_max--;
  says(decode_bytes(buf_bytes(&b), &l), ITD_ETOOBIG, "over event.bytes");
  buf_deinit(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_key),
      cmocka_unit_test(test_nothing_is_read_from_elsewhere),
      cmocka_unit_test(test_types),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_channel),
      cmocka_unit_test(test_ids),
      cmocka_unit_test(test_first_of_equal_keys_counts),
      cmocka_unit_test(test_maps),
      cmocka_unit_test(test_forms_of_time),
      cmocka_unit_test(test_the_senders_clock_is_corrected),
      cmocka_unit_test(test_time_bounds),
      cmocka_unit_test(test_traceparent),
      cmocka_unit_test(test_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
