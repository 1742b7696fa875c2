// Zones against the C library's localtime, which reads the same rules in its own way. SEED repeats a run.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/hash.h"
#include "base/zone.h"

#define DAY_MS INT64_C(86400000)

static uint64_t rng;
static int64_t below(int64_t n) {
  rng = hash_mix(rng, 0x20e);
  return (int64_t)(rng % (uint64_t)n);
}
static int64_t year_ms(int64_t year) { return date_to_days(year, 1, 1) * DAY_MS; }

static void begin(void) {
  const char *given = getenv("SEED");
  rng = given ? strtoull(given, NULL, 10) : clock_mono_ns() % 1000000007;
  print_message("SEED=%" PRIu64 "\n", rng);
}

static void use(const char *tz) {
  setenv("TZ", tz, 1);
  tzset();
}

static void compare(const struct zone *zone, const char *name, int64_t time_ms) {
  time_t seconds = (time_t)(time_ms / 1000);
  struct tm tm;
  assert_non_null(localtime_r(&seconds, &tm));
  int64_t got = zone_offset_ms(zone, time_ms);
  if (got != (int64_t)tm.tm_gmtoff * 1000)
    fail_msg("%s at %lld: %lld s, localtime says %ld", name, (long long)seconds, (long long)got / 1000, tm.tm_gmtoff);
}

// At random, and on both sides of each change.
static void compare_years(const struct zone *zone, const char *name, int64_t from, int64_t upto) {
  for (int i = 0; i < 200; i++) compare(zone, name, year_ms(from) + below(year_ms(upto) - year_ms(from)) / 1000 * 1000);
  int64_t before = zone_offset_ms(zone, year_ms(from));
  for (int64_t t = year_ms(from); zone->start.month && t < year_ms(upto); t += 8 * 3600000) {
    int64_t offset = zone_offset_ms(zone, t), low = t - 8 * 3600000, high = t;
    if (offset == before) continue;
    while (high - low > 1000) {
      int64_t middle = (low + high) / 2000 * 1000;
      if (zone_offset_ms(zone, middle) == before)
        low = middle;
      else
        high = middle;
    }
    for (int64_t n = -2000; n <= 2000; n += 1000) compare(zone, name, high + n);
    before = offset;
  }
}

static void test_rules(void **state) {
  (void)state;
  begin();
  for (size_t i = 0; i < zone_count(); i++) {
    struct zone zone;
    assert_true(zone_find(bytes_str(zone_name(i)), &zone));
    use(zone_rule(i));
    compare_years(&zone, zone_name(i), 2007, 2038);
  }
  use("UTC");
}

// By the machine's own table, for zones whose rule has held since 2008, and wherever its newest rule is ours.
static void test_names(void **state) {
  (void)state;
  begin();
  static const char *const steady[] = {"Europe/Amsterdam", "Europe/London",    "Europe/Dublin",   "America/New_York",
                                       "America/Denver",   "Australia/Sydney", "Asia/Tokyo",      "Asia/Kolkata",
                                       "Pacific/Auckland", "Asia/Kathmandu",   "America/Phoenix", "UTC"};
  struct zone zone;
  for (size_t i = 0; i < sizeof steady / sizeof *steady; i++) {
    char path[128];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", steady[i]);
    if (access(path, R_OK) != 0) continue; // localtime would take it for UTC
    assert_true(zone_find(bytes_str(steady[i]), &zone));
    use(steady[i]);
    compare_years(&zone, steady[i], 2009, 2038);
  }
  size_t compared = 0;
  for (size_t i = 0; i < zone_count(); i++) {
    char path[128], tail[64] = "";
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", zone_name(i));
    FILE *file = fopen(path, "rb");
    if (!file) continue;
    long n = (long)strlen(zone_rule(i)) + 2;
    if (fseek(file, -n, SEEK_END) == 0 && fread(tail, 1, (size_t)n, file) != (size_t)n) tail[0] = '\0';
    fclose(file);
    if (tail[0] != '\n' || tail[n - 1] != '\n' || memcmp(tail + 1, zone_rule(i), (size_t)n - 2) != 0) continue;
    // These leave their rule for Ramadan, year by year.
    static const char *const left_out[] = {"Africa/Casablanca", "Africa/El_Aaiun", "Asia/Gaza", "Asia/Hebron"};
    bool out = false;
    for (int k = 0; k < 4; k++) out |= strcmp(zone_name(i), left_out[k]) == 0;
    if (out) continue;
    assert_true(zone_find(bytes_str(zone_name(i)), &zone));
    use(zone_name(i));
    compare_years(&zone, zone_name(i), 2026, 2038);
    compared++;
  }
  use("UTC");
  if (compared == 0) skip(); // this machine has no tzdata, or another release's
}

// A day that is over does not come back, or tiles of days would.
static void test_days_only_go_on(void **state) {
  (void)state;
  for (size_t i = 0; i < zone_count(); i++) {
    struct zone zone;
    assert_true(zone_find(bytes_str(zone_name(i)), &zone));
    if (zone.start.month == 0) continue;
    int64_t day = 0;
    for (int64_t t = year_ms(2024); t < year_ms(2027); t += 1800000) {
      int64_t next = (t + zone_offset_ms(&zone, t)) / DAY_MS;
      if (next < day) fail_msg("%s: at %lld the day goes back", zone_name(i), (long long)t);
      day = next;
    }
  }
}

static void test_what_is_no_name(void **state) {
  (void)state;
  struct zone zone = zone_fixed(7);
  static const char *const names[] = {"",
                                      "Europe",
                                      "Europe/",
                                      "europe/amsterdam",
                                      "Europe/Amsterdamm",
                                      "CET-1CEST",
                                      "../../etc/passwd",
                                      "posix/UTC",
                                      "localtime",
                                      "Europe/Amsterdam/Europe/Amsterdam/Europe/Amsterdam"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_false(zone_find(bytes_str(names[i]), &zone));
  assert_false(zone_find(bytes_of("UTC\0", 4), &zone));
  assert_int_equal(zone_offset_ms(&zone, 0), 7000);
}

static void test_what_is_no_rule(void **state) {
  (void)state;
  struct zone zone;
  static const char *const rules[] = {"",
                                      "A1",
                                      "EST",
                                      "EST5EDT",
                                      "EST5EDT,",
                                      "EST5EDT,M3.2.0",
                                      "EST5EDT,M3.2.0,",
                                      "EST5EDT,M13.2.0,M11.1.0",
                                      "EST5EDT,M3.6.0,M11.1.0",
                                      "EST5EDT,M3.2.7,M11.1.0",
                                      "EST5EDT,J60,J300",
                                      "EST5EDT,M3.2.0,M11.1.0 ",
                                      "<+05-5",
                                      "EST999",
                                      "EST5EDT,M3.2.0/168,M11.1.0",
                                      "EST5:60"};
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (zone_parse(bytes_str(rules[i]), &zone)) fail_msg("%s was taken", rules[i]);
  const char good[] = "<-0330>3:30:15<-02>+2,M3.5.0/-1,M10.5.0/24:00:01";
  for (size_t n = 0; n < sizeof good - 1; n++) { // a copy without a byte behind it, for the sanitizer
    uint8_t *cut = memcpy(malloc(n + 1), good, n);
    (void)zone_parse(bytes_of(cut, n), &zone);
    free(cut);
  }
  assert_true(zone_parse(bytes_str(good), &zone));
  assert_int_equal(zone.standard_s, -(3 * 3600 + 30 * 60 + 15));
  assert_int_equal(zone.summer_s, -7200);
  assert_int_equal(zone.start.seconds, -3600);
  assert_int_equal(zone.end.seconds, 86401);
}

static void test_far_times(void **state) {
  (void)state;
  struct zone zone;
  assert_true(zone_find(BYTES_LIT("Europe/Amsterdam"), &zone));
  assert_int_equal(zone_offset_ms(&zone, year_ms(1)), 3600000);
  assert_int_equal(zone_offset_ms(&zone, date_to_days(1, 7, 1) * DAY_MS), 7200000); // by today's rule
  assert_int_equal(zone_offset_ms(&zone, date_to_days(9999, 7, 1) * DAY_MS), 7200000);
  assert_int_equal(zone_offset_ms(&zone, date_to_days(1969, 12, 31) * DAY_MS), 3600000);
  assert_true(zone_release()[0] == '2');
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rules),           cmocka_unit_test(test_names),
      cmocka_unit_test(test_days_only_go_on), cmocka_unit_test(test_what_is_no_name),
      cmocka_unit_test(test_what_is_no_rule), cmocka_unit_test(test_far_times),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
