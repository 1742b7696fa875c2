#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/hist.h"

static struct hist h;

static void every_bucket_begins_where_the_last_one_ends(void **state) {
  (void)state;
  uint64_t low = 0;
  for (unsigned i = 0; i < HIST_BUCKETS - 1; i++) {
    uint64_t high = hist_upper(i);
    assert_true(high >= low);
    assert_true(high - low <= low / 8); // at most an eighth wide
    const uint64_t edges[] = {low, high, low + (high - low) / 2};
    for (int k = 0; k < 3; k++) {
      h = (struct hist){0};
      hist_add(&h, edges[k]);
      assert_int_equal(h.bucket[i], 1);
      assert_int_equal(hist_quantile(&h, 0.5), high);
    }
    low = high + 1;
  }
  assert_true(low > (uint64_t)1 << 42 && low < (uint64_t)1 << 43);
  assert_true(hist_upper(HIST_BUCKETS - 1) == UINT64_MAX);
  const uint64_t large[] = {low, (uint64_t)1 << 43, UINT64_MAX};
  for (int k = 0; k < 3; k++) {
    h = (struct hist){0};
    hist_add(&h, large[k]);
    assert_int_equal(h.bucket[HIST_BUCKETS - 1], 1);
  }
}

static void an_empty_one_has_no_quantiles(void **state) {
  (void)state;
  h = (struct hist){0};
  assert_int_equal(hist_quantile(&h, 0.99), 0);
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

// The answer is the upper edge of the bucket of the value that sorting finds.
static void quantiles_agree_with_sorting(void **state) {
  (void)state;
  enum { MAX = 3000 };
  static uint64_t values[MAX];
  for (int round = 0; round < 200; round++) {
    uint64_t n = 1 + random_below(MAX), sum = 0;
    h = (struct hist){0};
    for (uint64_t i = 0; i < n; i++) {
      values[i] = random_next() >> (22 + random_below(42));
      sum += values[i];
      hist_add(&h, values[i]);
    }
    assert_int_equal(h.count, n);
    assert_int_equal(h.sum, sum);
    qsort(values, n, sizeof *values, by_value);
    for (unsigned percent = 0; percent <= 100; percent += 5) {
      uint64_t rank = (percent * n + 99) / 100;
      uint64_t exact = values[rank ? rank - 1 : 0], found = hist_quantile(&h, percent / 100.0);
      // percent / 100.0 is no exact number; one rank to either side is as right
      uint64_t below = values[rank > 1 ? rank - 2 : 0], above = values[rank < n ? rank : n - 1];
      assert_true(found >= below && found <= above + above / 8);
      if (percent == 0 || percent == 50 || percent == 100) assert_true(found >= exact && found <= exact + exact / 8);
    }
  }
}

static void odd_quantiles(void **state) {
  (void)state;
  h = (struct hist){0};
  for (uint64_t v = 1; v <= 5; v++) hist_add(&h, v);
  assert_int_equal(hist_quantile(&h, -1), 1);
  assert_int_equal(hist_quantile(&h, 0), 1);
  assert_int_equal(hist_quantile(&h, 0.2), 1);
  assert_int_equal(hist_quantile(&h, 0.21), 2);
  assert_int_equal(hist_quantile(&h, 1), 5);
  assert_int_equal(hist_quantile(&h, 7), 5);
  assert_int_equal(hist_quantile(&h, __builtin_nan("")), 1);
  assert_int_equal(hist_quantile(&h, __builtin_inf()), 5);
}

static void merging_is_adding_all(void **state) {
  (void)state;
  static struct hist a, b, both;
  for (int i = 0; i < 10000; i++) {
    uint64_t v = random_next() >> random_below(64);
    hist_add(i % 3 ? &a : &b, v);
    hist_add(&both, v);
  }
  hist_merge(&a, &b);
  assert_memory_equal(&a, &both, sizeof a);
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_bucket_begins_where_the_last_one_ends),
      cmocka_unit_test(an_empty_one_has_no_quantiles),
      cmocka_unit_test(quantiles_agree_with_sorting),
      cmocka_unit_test(odd_quantiles),
      cmocka_unit_test(merging_is_adding_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
