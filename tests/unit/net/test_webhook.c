// Signatures of webhooks: what a sender signs with libcrypto's HMAC passes, and nothing else does: not another body, time,
// secret or header, not one bit of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/hash.h"
#include "net/webhook.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS 1767603600000ll
static const char *const secret = "whsec_5d1f0c";
static struct error err;

static void mac_of(const char *key, const char *text, size_t n, uint8_t mac[32]) {
  unsigned size = 32;
  assert_non_null(HMAC(EVP_sha256(), key, (int)strlen(key), (const uint8_t *)text, n, mac, &size));
}

static void hex_of(const char *key, const char *text, char out[65]) {
  uint8_t mac[32];
  mac_of(key, text, strlen(text), mac);
  hex_encode(bytes_of(mac, 32), out);
}

static int check(const struct webhook *w) {
  const struct bytes secrets[] = {BYTES_LIT("an older one"), bytes_str(secret)};
  err = (struct error){0};
  int status = webhook_check(w, secrets, 2, &err);
  if (status < 0) {
    assert_int_equal(status, ITD_EAUTH);
    assert_null(strstr(err.text, secret));
    assert_null(strstr(err.text, "older one"));
  }
  return status;
}

static void passes(const struct webhook *w) {
  if (check(w) != 0) fail_msg("%s", err.text);
}

static void fails(const struct webhook *w, const char *part) {
  assert_int_equal(check(w), ITD_EAUTH);
  if (!strstr(err.text, part)) fail_msg("%s lacks %s", err.text, part);
}

static const struct source_info stripe = {
    .name = "stripe", .scheme = SOURCE_STRIPE, .header = "Stripe-Signature", .tolerance_ms = 300000};
static const struct source_info hubspot = {
    .name = "hubspot", .scheme = SOURCE_HUBSPOT_V3, .header = "X-HubSpot-Signature-v3", .tolerance_ms = 300000};
static const struct source_info hmac = {
    .name = "log", .scheme = SOURCE_HMAC, .header = "X-Signature", .tolerance_ms = 300000};
static const struct source_info timed = {
    .name = "log", .scheme = SOURCE_HMAC, .header = "X-Signature", .timestamp = "X-Time", .tolerance_ms = 300000};
static const struct source_info token = {
    .name = "sf", .scheme = SOURCE_TOKEN, .header = "X-Source-Token", .tolerance_ms = 300000};

static void stripe_signs_time_and_body(void **unused) {
  (void)unused;
  char hex[65], header[400], signed_text[200];
  const char *body = "{\"id\":\"evt_1\"}";
  snprintf(signed_text, sizeof signed_text, "%lld.%s", NOW_MS / 1000 - 10, body);
  hex_of(secret, signed_text, hex);
  snprintf(header, sizeof header, "t=%lld,v1=%s,v0=abc", NOW_MS / 1000 - 10, hex);
  struct webhook w = {.source = &stripe, .signature = header, .body = bytes_str(body), .now_ms = NOW_MS};
  passes(&w);
  w.body = BYTES_LIT("{\"id\":\"evt_2\"}");
  fails(&w, "is not that of this body");
  w.body = bytes_str(body);
  w.now_ms = NOW_MS + 290001; // 300.001 s after it was signed
  fails(&w, "the signed time lies 300 s from this machine's clock");
  w.now_ms = NOW_MS + 290000;
  passes(&w);
  w.now_ms = NOW_MS - 310001; // a clock that is behind
  fails(&w, "the signed time");
  w.now_ms = NOW_MS;
  snprintf(header, sizeof header, "v1=%064d,t=%lld, v1=%s", 0, NOW_MS / 1000 - 10,
           hex); // one of two, while it is rolled
  passes(&w);
  snprintf(header, sizeof header, "t=%lld,v1=%s", NOW_MS / 1000 - 9, hex); // the time belongs to the signature
  fails(&w, "is not that of this body");
  snprintf(header, sizeof header, "v1=%s", hex);
  fails(&w, "has no time");
  snprintf(header, sizeof header, "t=%lld", NOW_MS / 1000);
  fails(&w, "is not that of this body");
  w.signature = NULL;
  fails(&w, "the header Stripe-Signature is missing");
  w.signature = "";
  fails(&w, "is missing");
}

static void hubspot_signs_method_address_body_and_time(void **unused) {
  (void)unused;
  const char *body = "[{\"eventId\":1}]";
  char text[400], base64[64], at[32];
  uint8_t mac[32];
  snprintf(at, sizeof at, "%lld", NOW_MS - 1000);
  snprintf(text, sizeof text, "POSThttps://hooks.example.com/v1/source/hubspot?a=b:c%s%s", body, at);
  mac_of(secret, text, strlen(text), mac);
  sodium_bin2base64(base64, sizeof base64, mac, 32, sodium_base64_VARIANT_ORIGINAL);
  struct webhook w = {.source = &hubspot,
                      .signature = base64,
                      .timestamp = at,
                      .url = BYTES_LIT("https://hooks.example.com/v1/source/hubspot?a=b%3Ac"), // escapes are undone
                      .body = bytes_str(body),
                      .now_ms = NOW_MS};
  assert_string_equal(webhook_timestamp_header(&hubspot), "X-HubSpot-Request-Timestamp");
  passes(&w);
  w.url = BYTES_LIT("https://other.example.com/v1/source/hubspot?a=b%3Ac");
  fails(&w, "option public_url");
  w.url = BYTES_LIT("https://hooks.example.com/v1/source/hubspot?a=b%20c");
  fails(&w, "is not that of this request");
  w.url = BYTES_LIT("https://hooks.example.com/v1/source/hubspot?a=b:c");
  passes(&w);
  w.timestamp = NULL;
  fails(&w, "X-HubSpot-Request-Timestamp is missing");
  w.timestamp = "soon";
  fails(&w, "is no time");
  w.timestamp = at, w.now_ms = NOW_MS + 299001;
  fails(&w, "the signed time");
}

static void a_body_may_be_signed_with_and_without_a_time(void **unused) {
  (void)unused;
  const char *body = "{}";
  char hex[65], header[100], text[100], base64[64], at[32];
  uint8_t mac[32];
  struct webhook w = {.source = &hmac, .signature = header, .body = bytes_str(body), .now_ms = NOW_MS};
  hex_of(secret, body, hex);
  snprintf(header, sizeof header, "sha256=%s", hex);
  passes(&w);
  snprintf(header, sizeof header, "%s", hex);
  passes(&w);
  hex_of("another", body, hex);
  snprintf(header, sizeof header, "%s", hex);
  fails(&w, "is not that of this body");
  mac_of(secret, body, 2, mac);
  sodium_bin2base64(base64, sizeof base64, mac, 32, sodium_base64_VARIANT_ORIGINAL);
  w.signature = base64;
  passes(&w);
  for (int seconds = 0; seconds < 2; seconds++) {
    snprintf(at, sizeof at, "%lld", seconds ? NOW_MS / 1000 : NOW_MS);
    snprintf(text, sizeof text, "%s.%s", at, body);
    hex_of(secret, text, hex);
    struct webhook t = {
        .source = &timed, .signature = hex, .timestamp = at, .body = bytes_str(body), .now_ms = NOW_MS + 5000};
    passes(&t);
    t.now_ms += 300000;
    fails(&t, "the signed time");
    t.now_ms = NOW_MS, t.timestamp = NULL;
    fails(&t, "X-Time is missing");
  }
}

static void a_token_is_compared_whole(void **unused) {
  (void)unused;
  struct webhook w = {.source = &token, .signature = secret, .now_ms = NOW_MS};
  passes(&w);
  w.signature = "Bearer whsec_5d1f0c";
  passes(&w);
  static const char *const wrong[] = {"whsec_5d1f0", "whsec_5d1f0cc", "whsec_5d1f0d", "Bearer", "Bearer ", "x"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    w.signature = wrong[i];
    fails(&w, "the token in X-Source-Token is not that of source sf");
  }
}

static void without_a_secret_nobody_is_let_in(void **unused) {
  (void)unused;
  struct webhook w = {.source = &token, .signature = "", .now_ms = NOW_MS};
  assert_int_equal(webhook_check(&w, NULL, 0, &err), ITD_EAUTH);
  assert_non_null(strstr(err.text, "option source_secret"));
  const struct source_info open = {.name = "open"};
  w.source = &open;
  assert_int_equal(webhook_check(&w, NULL, 0, &err), 0);
}

// Every bit of body and signature counts; headers of any bytes are refused.
static void random_changes(void **unused) {
  (void)unused;
  random_start();
  uint8_t body[64], mac[32];
  char header[200];
  for (int i = 0; i < 3000; i++) {
    size_t n = 1 + random_below(sizeof body - 1);
    for (size_t k = 0; k < n; k++) body[k] = (uint8_t)random_next();
    mac_of(secret, (const char *)body, n, mac);
    struct webhook w = {.source = &hmac, .signature = header, .body = bytes_of(body, n), .now_ms = NOW_MS};
    hex_encode(bytes_of(mac, 32), header);
    passes(&w);
    if (random_below(2))
      body[random_below(n)] ^= (uint8_t)(1u << random_below(8));
    else
      mac[random_below(32)] ^= (uint8_t)(1u << random_below(8));
    hex_encode(bytes_of(mac, 32), header);
    fails(&w, "is not that of this body");
    static const char some[] = "t=,v10afF/+ \x80=%";
    size_t length = random_below(sizeof header - 1);
    for (size_t k = 0; k < length; k++) header[k] = some[random_below(sizeof some - 1)];
    header[length] = 0;
    static const struct source_info *const all[] = {&stripe, &hubspot, &hmac, &timed, &token};
    w.source = all[random_below(5)];
    w.timestamp = random_below(2) ? header : "1767603600000";
    assert_int_equal(check(&w), ITD_EAUTH);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stripe_signs_time_and_body),
      cmocka_unit_test(hubspot_signs_method_address_body_and_time),
      cmocka_unit_test(a_body_may_be_signed_with_and_without_a_time),
      cmocka_unit_test(a_token_is_compared_whole),
      cmocka_unit_test(without_a_secret_nobody_is_let_in),
      cmocka_unit_test(random_changes),
  };
  return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
