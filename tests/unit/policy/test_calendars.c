// Calendars of an artifact: what is read, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "policy/calendars.h"
#include "stand_in.h"

#define WEEK "[[],[540,720,780,1020],[540,1020],[540,1020],[540,1020],[540,1020],[]]"

static int parse(const char *json, struct arena *arena, struct policy_calendar **out, size_t *count,
                 struct error *err) {
  struct buf b = {0};
  pack_json(json, &b);
  int rc = calendars_parse(buf_bytes(&b), arena, out, count, err);
  buf_deinit(&b);
  return rc;
}

static void test_read(void **state) {
  (void)state;
  struct arena arena;
  arena_init(&arena);
  struct policy_calendar *list;
  struct error err = {0};
  size_t count = 9;
  assert_int_equal(parse("[]", &arena, &list, &count, &err), 0);
  assert_int_equal(count, 0);
  const char *two = "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":" WEEK ",\"dates\":[]},"
                    "{\"name\":\"b\",\"zone\":\"Europe/Berlin\",\"week\":" WEEK ",\"dates\":[[-3],[4,0,1440]]}]";
  assert_int_equal(parse(two, &arena, &list, &count, &err), 0);
  assert_int_equal(count, 2);
  assert_string_equal(list[1].name, "b");
  const struct calendar *c = &list[1].calendar;
  assert_int_equal(c->date_count, 2);
  assert_true(calendar_is_open_day(c, 4) && !calendar_is_open_day(c, -3) && calendar_is_open_day(c, 5));
  assert_int_equal(c->week[1].count, 2);
  assert_int_equal(c->opening[c->week[1].first + 1].to, 1020);
  arena_deinit(&arena);
}

static void test_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "{}",
      "[1]",
      "[{}]",
      "[{\"name\":\"\",\"zone\":\"UTC\",\"week\":" WEEK ",\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"Europe/Atlantis\",\"week\":" WEEK ",\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[]],\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],7],\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],[540]],\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],[540,540]],\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],[540,1441]],\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],[-1,5]],\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],[0.5,5]],\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],[true,5]],\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],[1,5,5,7]],\"dates\":[]}]", // touch
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":[[],[],[],[],[],[],[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]],"
      "\"dates\":[]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":" WEEK ",\"dates\":[[]]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":" WEEK ",\"dates\":[[4],[4]]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":" WEEK ",\"dates\":[[5],[4]]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":" WEEK ",\"dates\":[[2000000000]]}]",
      "[{\"name\":\"a\",\"zone\":\"UTC\",\"week\":" WEEK ",\"dates\":{}}]",
      "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", // too many
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct arena arena;
    arena_init(&arena);
    struct policy_calendar *list = NULL;
    size_t count = 9;
    struct error err = {0};
    assert_int_equal(parse(wrong[i], &arena, &list, &count, &err), ITD_EPOLICY);
    assert_true(count == 9 && !list && strstr(err.text, "calendars"));
    arena_deinit(&arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
