// Prometheus' text form: escapes, numbers, and histograms whose buckets agree with what was added.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../random.h"
#include "net/prometheus.h"

static void is(struct buf *out, const char *want) {
  buf_append_u8(out, 0);
  assert_string_equal((char *)out->p, want);
  buf_deinit(out);
}

static void test_samples(void **state) {
  (void)state;
  struct buf out = {0};
  prometheus_family(&out, "a_total", "counter", "of \\ and\nmore");
  prometheus_count(&out, "a_total", NULL, UINT64_MAX);
  prometheus_count(&out, "a_total", (const char *const[]){NULL}, 0);
  prometheus_count(&out, "a_total", (const char *const[]){"k", "q\"b\\n\n", "l", "", NULL}, 1);
  is(&out, "# HELP a_total of \\\\ and\\nmore\n# TYPE a_total counter\na_total 18446744073709551615\na_total 0\n"
           "a_total{k=\"q\\\"b\\\\n\\n\",l=\"\"} 1\n");
}

static void test_numbers(void **state) {
  (void)state;
  struct buf out = {0};
  prometheus_number(&out, "g", NULL, 1767225600.125);
  prometheus_number(&out, "g", NULL, -0.5);
  prometheus_number(&out, "g", NULL, INFINITY);
  prometheus_number(&out, "g", NULL, -INFINITY);
  prometheus_number(&out, "g", NULL, NAN);
  is(&out, "g 1767225600.125\ng -0.5\ng +Inf\ng -Inf\ng NaN\n");
}

// Each bucket of the text against a count of the values themselves.
static void test_histogram(void **state) {
  (void)state;
  random_start();
  static struct hist h;
  static uint64_t value[5000];
  uint64_t sum = 0;
  const size_t n = sizeof value / sizeof *value;
  for (size_t i = 0; i < n; i++) {
    value[i] = random_next() >> random_below(64);
    if (i < 50) value[i] = (UINT64_C(1) << i) - (i % 2); // at the edges
    if (value[i] > UINT64_C(1) << 50) value[i] >>= 14;
    hist_add(&h, value[i]);
    sum += value[i];
  }
  struct buf out = {0};
  prometheus_seconds(&out, "t_seconds", "help", &h);
  buf_append_u8(&out, 0);
  char *line = strtok((char *)out.p, "\n");
  assert_string_equal(line, "# HELP t_seconds help");
  assert_string_equal(strtok(NULL, "\n"), "# TYPE t_seconds histogram");
  for (unsigned edge = 10; edge <= 33; edge++) {
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) count += value[i] < UINT64_C(1) << edge;
    double le;
    unsigned long long got;
    line = strtok(NULL, "\n");
    assert_int_equal(sscanf(line, "t_seconds_bucket{le=\"%lf\"} %llu", &le, &got), 2);
    assert_true(fabs(le - (double)(UINT64_C(1) << edge) * 1e-9) < le * 1e-9);
    assert_int_equal(got, count);
  }
  assert_string_equal(strtok(NULL, "\n"), "t_seconds_bucket{le=\"+Inf\"} 5000");
  double total;
  assert_int_equal(sscanf(strtok(NULL, "\n"), "t_seconds_sum %lf", &total), 1);
  assert_true(fabs(total - (double)sum * 1e-9) <= fabs(total) * 1e-12);
  assert_string_equal(strtok(NULL, "\n"), "t_seconds_count 5000");
  assert_null(strtok(NULL, "\n"));
  buf_deinit(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples), cmocka_unit_test(test_numbers),
                                     cmocka_unit_test(test_histogram)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
