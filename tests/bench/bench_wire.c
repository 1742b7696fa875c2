// What it costs to find and read one event, in nanoseconds: the load generator's event, and a browser's with its
// context.
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "wire/event.h"

static const char blast[] =
    "{\"messageId\":\"m-00000001-000000000001\",\"type\":\"track\",\"event\":\"Pricing "
    "Viewed\",\"userId\":\"u000012345\","
    "\"timestamp\":1767225600050,\"properties\":{\"path\":\"/p/123\",\"duration_ms\":64000,\"channel\":\"web\"}}";
static const char browser[] =
    "{\"anonymousId\":\"a8c3e2e2-5a0f-4dbb-8d8f-0d3e6d7c1f11\",\"userId\":\"u000012345\",\"messageId\":\"ajs-next-"
    "1767225600050-7c1f\","
    "\"type\":\"page\",\"name\":\"Pricing\",\"channel\":\"web\",\"timestamp\":\"2026-01-01T00:00:00.050Z\",\"sentAt\":"
    "\"2026-01-01T00:00:00.350Z\","
    "\"context\":{\"ip\":\"203.0.113.7\",\"locale\":\"en-GB\",\"userAgent\":\"Mozilla/5.0 (X11; Linux x86_64) "
    "AppleWebKit/537.36\","
    "\"page\":{\"path\":\"/pricing\",\"referrer\":\"https://example.com/\",\"title\":\"Pricing\",\"url\":\"https://"
    "example.com/pricing\"},"
    "\"campaign\":{\"name\":\"spring\",\"source\":\"mail\"},\"library\":{\"name\":\"analytics.js\",\"version\":\"2.1."
    "0\"}},"
    "\"properties\":{\"path\":\"/pricing\",\"plan\":\"pro\",\"seats\":12,\"annual\":true},\"integrations\":{}}";

#define ROUNDS 200000
static void run(const char *name, const char *json) {
  struct buf b, clear, secret;
  struct error err = {0};
  buf_init(&b), buf_init(&clear), buf_init(&secret);
  if (mp_from_json(bytes_str(json), &MP_LIMITS_DEFAULT, &b, &err) != 0) fprintf(stderr, "%s\n", err.text), exit(1);
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  const struct mp_limits scan_limits = MP_LIMITS_DEFAULT;
  const struct bytes paths[] = {BYTES_LIT("traits.email"), BYTES_LIT("context.ip"), BYTES_LIT("traits.phone")};
  const struct personal_paths personal = {paths, 3};
  double best[3] = {1e9, 1e9, 1e9};
  uint64_t kept = 0; // so that nothing is left out
  for (int round = 0; round < 15; round++) {
    uint64_t t[4];
    t[0] = clock_mono_ns();
    for (int i = 0; i < ROUNDS; i++) {
      size_t len;
      __asm__ volatile("" ::"r"(b.p) : "memory");
      kept += (uint64_t)mp_scan(buf_bytes(&b), &scan_limits, &len, NULL) + len;
    }
    t[1] = clock_mono_ns();
    for (int i = 0; i < ROUNDS; i++) {
      struct event e;
      struct event_digits d;
      __asm__ volatile("" ::"r"(b.p) : "memory");
      if (event_decode(buf_bytes(&b), 1767225601000, &limits, &d, &e, &err) != 0) exit(1);
      kept += e.user_id.n;
    }
    t[2] = clock_mono_ns();
    for (int i = 0; i < ROUNDS; i++) {
      buf_clear(&clear), buf_clear(&secret);
      event_split(buf_bytes(&b), &personal, &clear, &secret);
      kept += secret.n;
    }
    t[3] = clock_mono_ns();
    for (int k = 0; k < 3; k++)
      if ((double)(t[k + 1] - t[k]) / ROUNDS < best[k]) best[k] = (double)(t[k + 1] - t[k]) / ROUNDS;
  }
  printf("%-8s %4zu bytes: scan %.0f ns, decode %.0f ns, split (3 paths) %.0f ns   [%llu]\n", name, b.n, best[0],
         best[1], best[2], (unsigned long long)kept % 10);
  buf_deinit(&b), buf_deinit(&clear), buf_deinit(&secret);
}

int main(void) {
  run("blast", blast);
  run("browser", browser);
  return 0;
}
