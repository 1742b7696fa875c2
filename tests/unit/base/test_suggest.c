#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/suggest.h"

static const char *const names[] = {"weight", "transform", "missing", NULL, "min", "max", "levels"};

static const char *meant(const char *word) { return suggest(bytes_str(word), names, sizeof(names) / sizeof(*names)); }

static void near_words_are_found(void **state) {
  (void)state;
  assert_string_equal(meant("wieght"), "weight"); // swapped
  assert_string_equal(meant("weigth"), "weight");
  assert_string_equal(meant("weght"), "weight");        // lost
  assert_string_equal(meant("weeight"), "weight");      // added
  assert_string_equal(meant("Transform"), "transform"); // letter case is free
  assert_string_equal(meant("TRANSFRM"), "transform");
  assert_string_equal(meant("mising"), "missing");
  assert_string_equal(meant("mim"), "min");
  assert_string_equal(meant("level"), "levels");
}

static void far_words_are_not(void **state) {
  (void)state;
  assert_null(meant("zebra"));
  assert_null(meant("wxyzht"));
  assert_null(meant(""));
  assert_null(meant("ab"));
  assert_null(suggest(bytes_str("weight"), NULL, 0));
  char longer[65] = {0};
  memset(longer, 'w', 64);
  assert_null(meant(longer));
  longer[63] = 0; // 63 bytes: looked at, and still far
  assert_null(meant(longer));
  const char *itself[] = {longer};
  assert_ptr_equal(suggest(bytes_str(longer), itself, 1), longer);
}

static void the_nearest_and_then_the_first_wins(void **state) {
  (void)state;
  const char *const near[] = {"count_7d", "count_1d", "count_30d"};
  assert_string_equal(suggest(bytes_str("count_2d"), near, 3), "count_7d");
  assert_string_equal(suggest(bytes_str("count_3d"), near, 3), "count_7d"); // all one edit away
  assert_string_equal(suggest(bytes_str("count_30"), near, 3), "count_30d");
  assert_string_equal(suggest(bytes_str("count_1dd"), near, 3), "count_1d");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(near_words_are_found),
      cmocka_unit_test(far_words_are_not),
      cmocka_unit_test(the_nearest_and_then_the_first_wins),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
