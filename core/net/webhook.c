#include "net/webhook.h"

#include "base/hash.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

#define MAC_SIZE crypto_auth_hmacsha256_BYTES
enum { PARTS_MAX = 4, SIGNATURES_MAX = 8, URL_MAX = 4096 };

const char *webhook_timestamp_header(const struct source_info *source) {
  return source->scheme == SOURCE_HUBSPOT_V3 ? "X-HubSpot-Request-Timestamp" : source->timestamp;
}

// Whether one of the secrets makes one of the signatures of these parts. Looks at all of them, whichever is right.
static bool is_signed(const struct bytes *parts, size_t part_count, const uint8_t (*signature)[MAC_SIZE],
                      size_t signature_count, const struct bytes *secrets, size_t count) {
  unsigned right = 0;
  for (size_t s = 0; s < count; s++) {
    crypto_auth_hmacsha256_state state;
    uint8_t mac[MAC_SIZE];
    crypto_auth_hmacsha256_init(&state, secrets[s].p, secrets[s].n);
    for (size_t p = 0; p < part_count; p++) crypto_auth_hmacsha256_update(&state, parts[p].p, parts[p].n);
    crypto_auth_hmacsha256_final(&state, mac);
    for (size_t i = 0; i < signature_count; i++) right |= sodium_memcmp(mac, signature[i], MAC_SIZE) == 0;
    sodium_memzero(mac, sizeof mac);
    sodium_memzero(&state, sizeof state);
  }
  return right != 0;
}

static int mismatch(const struct webhook *w, struct error *err) {
  return error_set(err, ITD_EAUTH, "the signature in %s is not that of this body with the secret of source %s",
                   w->source->header, w->source->name);
}

// A signature in hexadecimal or base64.
static bool read_mac(struct bytes text, uint8_t mac[MAC_SIZE]) {
  if (text.n == 2 * (size_t)MAC_SIZE) return hex_decode(text, mac, MAC_SIZE) == 0;
  size_t n = 0;
  return sodium_base642bin(mac, MAC_SIZE, (const char *)text.p, text.n, NULL, &n, NULL,
                           sodium_base64_VARIANT_ORIGINAL) == 0 &&
         n == MAC_SIZE;
}

// The decimal digits of a time; false when it is none.
static bool read_digits(struct bytes text, int64_t *out) {
  int64_t value = 0;
  if (text.n == 0 || text.n > 15) return false;
  for (size_t i = 0; i < text.n; i++) {
    if (text.p[i] < '0' || text.p[i] > '9') return false;
    value = value * 10 + text.p[i] - '0';
  }
  *out = value;
  return true;
}

static int check_time(const struct webhook *w, int64_t time_ms, struct error *err) {
  int64_t off = time_ms > w->now_ms ? time_ms - w->now_ms : w->now_ms - time_ms;
  if (off <= w->source->tolerance_ms) return 0;
  return error_set(err, ITD_EAUTH,
                   "the signed time lies %" PRId64 " s from this machine's clock; at most %" PRId64
                   " (an old request, or a clock that is wrong)",
                   off / 1000, w->source->tolerance_ms / 1000);
}

static int need_header(const char *value, const char *name, const struct webhook *w, struct error *err) {
  if (value && *value) return 0;
  return error_set(err, ITD_EAUTH, "source %s is signed: the header %s is missing", w->source->name, name);
}

// ---- schemes ----

static int check_token(const struct webhook *w, const struct bytes *secrets, size_t count, struct error *err) {
  struct bytes token = bytes_str(w->signature);
  if (token.n > 7 && strncasecmp(w->signature, "Bearer ", 7) == 0) token = bytes_of(token.p + 7, token.n - 7);
  unsigned right = 0;
  for (size_t i = 0; i < count; i++)
    right |= token.n == secrets[i].n && sodium_memcmp(token.p, secrets[i].p, token.n) == 0;
  return right ? 0
               : error_set(err, ITD_EAUTH, "the token in %s is not that of source %s", w->source->header,
                           w->source->name);
}

static int check_hmac(const struct webhook *w, const struct bytes *secrets, size_t count, struct error *err) {
  uint8_t mac[1][MAC_SIZE];
  struct bytes text = bytes_str(w->signature), parts[PARTS_MAX];
  size_t n = 0;
  if (w->source->timestamp) {
    int64_t at;
    int status = need_header(w->timestamp, w->source->timestamp, w, err);
    if (status < 0) return status;
    if (!read_digits(bytes_str(w->timestamp), &at))
      return error_set(err, ITD_EAUTH, "%s is no time in seconds or milliseconds since 1970", w->source->timestamp);
    status = check_time(w, at < 100000000000 ? at * 1000 : at, err); // seconds until the year 5138
    if (status < 0) return status;
    parts[n++] = bytes_str(w->timestamp);
    parts[n++] = BYTES_LIT(".");
  }
  parts[n++] = w->body;
  if (text.n > 7 && memcmp(text.p, "sha256=", 7) == 0) text = bytes_of(text.p + 7, text.n - 7);
  if (!read_mac(text, mac[0])) return mismatch(w, err);
  return is_signed(parts, n, (const uint8_t(*)[MAC_SIZE])mac, 1, secrets, count) ? 0 : mismatch(w, err);
}

static int check_stripe(const struct webhook *w, const struct bytes *secrets, size_t count, struct error *err) {
  uint8_t macs[SIGNATURES_MAX][MAC_SIZE];
  size_t n = 0;
  struct bytes time = {0};
  for (const char *at = w->signature; *at;) {
    size_t length = strcspn(at, ",");
    if (length > 2 && memcmp(at, "t=", 2) == 0) time = bytes_of(at + 2, length - 2);
    if (length > 3 && memcmp(at, "v1=", 3) == 0 && n < SIGNATURES_MAX &&
        read_mac(bytes_of(at + 3, length - 3), macs[n]))
      n++;
    at += length;
    at += strspn(at, ", ");
  }
  int64_t seconds;
  if (!read_digits(time, &seconds) || seconds > 100000000000)
    return error_set(err, ITD_EAUTH, "%s has no time t=SECONDS", w->source->header);
  int status = check_time(w, seconds * 1000, err);
  if (status < 0) return status;
  const struct bytes parts[] = {time, BYTES_LIT("."), w->body};
  return is_signed(parts, 3, (const uint8_t(*)[MAC_SIZE])macs, n, secrets, count) ? 0 : mismatch(w, err);
}

// HubSpot signs the URL with these characters as they are, whether they were escaped or not.
static struct bytes plain_url(struct bytes url, uint8_t out[URL_MAX]) {
  size_t n = 0;
  for (size_t i = 0; i < url.n && n < URL_MAX; i++) {
    uint8_t c;
    bool is_escape = url.p[i] == '%' && url.n - i > 2 && hex_decode(bytes_of(url.p + i + 1, 2), &c, 1) == 0;
    if (is_escape && c && strchr(":/?@!$'()*,;", c)) {
      out[n++] = c;
      i += 2;
    } else {
      out[n++] = url.p[i];
    }
  }
  return bytes_of(out, n);
}

static int check_hubspot(const struct webhook *w, const struct bytes *secrets, size_t count, struct error *err) {
  uint8_t mac[1][MAC_SIZE], url[URL_MAX];
  int64_t at;
  int status = need_header(w->timestamp, webhook_timestamp_header(w->source), w, err);
  if (status < 0) return status;
  if (!read_digits(bytes_str(w->timestamp), &at))
    return error_set(err, ITD_EAUTH, "X-HubSpot-Request-Timestamp is no time in milliseconds since 1970");
  status = check_time(w, at, err);
  if (status < 0) return status;
  if (w->url.n > URL_MAX || !read_mac(bytes_str(w->signature), mac[0])) return mismatch(w, err);
  const struct bytes parts[] = {BYTES_LIT("POST"), plain_url(w->url, url), w->body, bytes_str(w->timestamp)};
  if (is_signed(parts, 4, (const uint8_t(*)[MAC_SIZE])mac, 1, secrets, count)) return 0;
  return error_set(err, ITD_EAUTH,
                   "the signature in %s is not that of this request with the secret of source %s; it covers the "
                   "address too, which is taken for %.*s (option public_url)",
                   w->source->header, w->source->name, (int)(w->url.n > 150 ? 150 : w->url.n), (const char *)w->url.p);
}

int webhook_check(const struct webhook *w, const struct bytes *secrets, size_t count, struct error *err) {
  if (w->source->scheme == SOURCE_UNSIGNED) return 0;
  if (count == 0)
    return error_set(err, ITD_EAUTH, "source %s is signed, and no secret is configured for it (option source_secret)",
                     w->source->name);
  int status = need_header(w->signature, w->source->header, w, err);
  if (status < 0) return status;
  switch (w->source->scheme) {
  case SOURCE_TOKEN: return check_token(w, secrets, count, err);
  case SOURCE_HMAC: return check_hmac(w, secrets, count, err);
  case SOURCE_STRIPE: return check_stripe(w, secrets, count, err);
  case SOURCE_HUBSPOT_V3: return check_hubspot(w, secrets, count, err);
  case SOURCE_UNSIGNED: break;
  }
  return error_set(err, ITD_EAUTH, "a scheme that is not known");
}
