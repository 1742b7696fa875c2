// Every real payload of the two data sets is accepted, or refused for a reason that its sender would agree with: the
// counts below are the table in docs/events.md. Skips, and says so, where the data is missing.
#include "wire_test.h"

#include <unistd.h>
#include <zlib.h>

#include "wire/event.h"

// When the payloads arrive: after all of them were made. event.late and event.future are judged apart from decoding.
#define RECEIVED_MS 1767225600000ll // 2026-01-01T00:00:00Z

struct reason {
  const char *says; // how the error's text begins
  unsigned want, got;
};

static void gz_path(const char *name, char out[512]) {
  const char *root = getenv("INTENTD_DATA");
  snprintf(out, 512, "%s/%s", root ? root : "../shared/data", name);
}

// Appends the file's text; false when it is not there.
static bool gz_read(const char *name, struct buf *out) {
  char path[512];
  gz_path(name, path);
  if (access(path, R_OK) != 0) {
    print_message("skipped: %s is not there (set INTENTD_DATA)\n", path);
    return false;
  }
  gzFile f = gzopen(path, "rb");
  assert_non_null(f);
  int n;
  while ((n = gzread(f, buf_reserve(out, 65536), 65536)) > 0) out->n += (size_t)n;
  assert_int_equal(n, 0);
  gzclose(f);
  return true;
}

static void count(struct bytes payload, struct reason *reasons, unsigned *accepted, unsigned line) {
  struct event e;
  struct event_digits digits;
  struct error err = {0};
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  if (event_decode(payload, RECEIVED_MS, &limits, &digits, &e, &err) == 0) {
    ++*accepted;
    assert_true(e.user_id.n > 0 || e.anonymous_id.n > 0);
    assert_true(e.type != EVENT_TRACK || e.name.n > 0);
    // What was received and comes apart for the journal comes together again.
    struct buf clear, secret, joined;
    buf_init(&clear), buf_init(&secret), buf_init(&joined);
    struct bytes paths[] = {BYTES_LIT("traits.email"), BYTES_LIT("context.ip")};
    event_split(payload, &(struct personal_paths){paths, 2}, &clear, &secret);
    assert_true(secret.n > 0);
    assert_int_equal(event_join(buf_bytes(&clear), buf_bytes(&secret), &joined, NULL), 0);
    assert_bytes(buf_bytes(&joined), payload);
    buf_deinit(&clear), buf_deinit(&secret), buf_deinit(&joined);
    return;
  }
  for (struct reason *r = reasons; r->says; r++) {
    if (strncmp(err.text, r->says, strlen(r->says)) != 0) continue;
    r->got++;
    return;
  }
  fail_msg("line %u: a reason that is not expected: %s", line, err.text);
}

static void data_set(const char *name, struct reason *reasons, unsigned want_accepted, unsigned want_all) {
  struct buf text, value;
  buf_init(&text), buf_init(&value);
  unsigned accepted = 0, all = 0;
  if (!gz_read(name, &text)) {
    buf_deinit(&text);
    skip();
  }
  for (size_t at = 0; at < text.n;) {
    const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
    size_t n = end ? (size_t)(end - text.p) - at : text.n - at;
    struct error err = {0};
    buf_clear(&value);
    all++;
    if (mp_from_json(bytes_of(text.p + at, n), &MP_LIMITS_DEFAULT, &value, &err) != 0)
      fail_msg("line %u: %s", all, err.text);
    struct bytes payload;
    assert_true(mp_find(buf_bytes(&value), BYTES_LIT("payload"), &payload));
    count(payload, reasons, &accepted, all);
    at += n + 1;
  }
  print_message("%s: %u payloads, %u accepted\n", name, all, accepted);
  unsigned sum = accepted;
  for (struct reason *r = reasons; r->says; r++) print_message("%6u  %s…\n", r->got, r->says), sum += r->got;
  assert_int_equal(all, want_all);
  assert_int_equal(sum, all);
  assert_int_equal(accepted, want_accepted);
  for (struct reason *r = reasons; r->says; r++) assert_int_equal(r->got, r->want);
  buf_deinit(&text), buf_deinit(&value);
}

static void test_payloads_of_integrations(void **state) {
  (void)state;
  struct reason reasons[] = {
      {"userId and anonymousId are both missing or empty", 33, 0},
      {"event is missing or empty", 19, 0},
      {"event is a map", 2, 0},
      {"event is an integer", 1, 0},
      {"properties is a list", 2, 0},
      {"properties is text", 1, 0},
      {"originalTimestamp is \"NOW\", which is no RFC 3339 time", 6, 0},
      {"the event is 291666 bytes long, over event.bytes", 1, 0},
      {"timestamp is \"safaff\", which is no RFC 3339 time", 1, 0},
      {NULL, 0, 0},
  };
  data_set("payloads/payloads.jsonl.gz", reasons, 778, 844);
}

static void test_payloads_of_the_segment_spec(void **state) {
  (void)state;
  struct reason reasons[] = {
      {"userId and anonymousId are both missing or empty", 13, 0},
      {"event is missing or empty", 1, 0},
      {NULL, 0, 0},
  };
  data_set("segment_spec/segment_docs_payloads.jsonl.gz", reasons, 78, 92);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_payloads_of_integrations),
      cmocka_unit_test(test_payloads_of_the_segment_spec),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
