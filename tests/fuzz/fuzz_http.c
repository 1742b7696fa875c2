// Bodies and headers of HTTP from a stranger: whatever Segment's libraries or a vendor might send becomes whole events without the
// secret that came along, or an error that says why; and no signature holds that was not made with the secret.
#include <stdlib.h>

#include "fuzz.h"
#include "net/segment.h"
#include "net/webhook.h"

static void read_body(int endpoint, struct bytes json) {
  struct segment_body body = {0};
  struct error err = {0};
  int rc = segment_read(endpoint, json, &fuzz_limits, 8, &body, &err);
  CHECK(rc == 0 || ((rc == ITD_EFRAME || rc == ITD_EEVENT || rc == ITD_ETOOBIG) && err.code == rc && err.text[0]));
  if (rc) return;
  struct buf event = {0};
  uint32_t count = 0;
  CHECK(body.count >= 1 && body.count <= (endpoint == SEGMENT_BATCH ? 8u : 1u));
  while (buf_clear(&event), segment_next(&body, count % 2 ? "web" : NULL, &event)) {
    struct bytes found;
    CHECK(fuzz_is_one_value(buf_bytes(&event)) && ++count <= body.count);
    CHECK(!mp_find(buf_bytes(&event), BYTES_LIT("writeKey"), &found));
  }
  CHECK(count == body.count);
  buf_deinit(&event);
  segment_deinit(&body);
}

static void check(enum source_scheme scheme, const char *signature, const char *at, struct bytes body) {
  const struct source_info source = {
      .name = "s", .scheme = scheme, .header = "X", .timestamp = at ? "T" : NULL, .tolerance_ms = INT64_MAX / 4};
  const struct bytes secrets[] = {BYTES_LIT("a secret that nobody guesses"), BYTES_LIT("")};
  const struct webhook webhook = {.source = &source,
                                  .signature = signature,
                                  .timestamp = at,
                                  .url = bytes_str(signature),
                                  .body = body,
                                  .now_ms = 1767600000000ll};
  struct error err = {0};
  CHECK(webhook_check(&webhook, secrets, 1, &err) == ITD_EAUTH && err.text[0]);
  CHECK(!strstr(err.text, "nobody guesses"));
  CHECK(webhook_check(&webhook, secrets, 0, &err) == ITD_EAUTH);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n < 2 || n > 8192) return 0;
  struct bytes rest = bytes_of(p + 1, n - 1);
  int kind = p[0] % 12;
  if (kind <= SEGMENT_BATCH) {
    struct buf exact = fuzz_exact(rest);
    read_body(kind, buf_bytes(&exact));
    buf_deinit(&exact);
    return 0;
  }
  struct buf out = {0};
  struct error err = {0};
  char *text = xstrndup(rest.p, rest.n);
  const char *at = memchr(rest.p, '|', rest.n) ? text : NULL;
  char *bar = strchr(text, '|');
  if (bar) *bar = 0;
  int rc = segment_gunzip(rest, 4096, &out, &err);
  CHECK(rc == 0 ? out.n <= 4096 : rc == ITD_EFRAME || rc == ITD_ETOOBIG);
  buf_clear(&out);
  rc = segment_basic(rest, &out, &err);
  CHECK(rc == 0 || rc == ITD_EAUTH);
  int endpoint = segment_endpoint(rest);
  CHECK(endpoint >= -1 && endpoint <= SEGMENT_BATCH);
  for (enum source_scheme s = SOURCE_HMAC; s <= SOURCE_TOKEN; s++) check(s, bar ? bar + 1 : text, at, rest);
  free(text);
  buf_deinit(&out);
  return 0;
}
