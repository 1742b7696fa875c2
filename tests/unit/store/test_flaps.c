// Stages entered again soon after they were left: against a list of all moves, which forgets nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/check.h"
#include "store/flaps.h"

static const char *const STAGES[] = {"visitor", "engaged", "mql"};

static bool move(struct flaps *flaps, uint8_t lead, int from, int to, int64_t at_ms) {
  struct policy_state state = {.stage_since_ms = from == to ? at_ms - 1 : at_ms};
  struct buf answer = {0};
  struct lead_id id = {{lead, 1, 2, 3}};
  mp_put_map(&answer, 2);
  mp_put_cstr(&answer, "stage"), mp_put_cstr(&answer, STAGES[to]);
  mp_put_cstr(&answer, "stage_before"), mp_put_cstr(&answer, STAGES[from]);
  struct decision d = {.now_ms = at_ms, .effects = bytes_of(&state, sizeof state), .answer = buf_bytes(&answer)};
  bool is_flap = flaps_take(flaps, id, &d);
  buf_deinit(&answer);
  return is_flap;
}

static void back_within_a_day_is_a_flap(void **state) {
  (void)state;
  struct flaps *flaps = flaps_new();
  assert_false(move(flaps, 1, 0, 1, 1000));
  assert_false(move(flaps, 1, 1, 1, 1500)); // stayed
  assert_false(move(flaps, 2, 1, 0, 1600)); // another lead
  assert_true(move(flaps, 1, 1, 0, 1000 + FLAPS_WITHIN_MS));
  assert_true(move(flaps, 1, 0, 1, 2000 + FLAPS_WITHIN_MS)); // and there again
  assert_false(move(flaps, 1, 1, 0, 2001 + 2 * FLAPS_WITHIN_MS));
  assert_false(move(flaps, 1, 0, 2, 2002 + 2 * FLAPS_WITHIN_MS)); // a stage that it never left
  flaps_free(flaps);
}

static void it_is_right_where_there_is_room(void **state) {
  (void)state;
  struct flaps *flaps = flaps_new();
  int64_t left[20][3];
  int at[20] = {0}, flapped = 0;
  for (int i = 0; i < 20; i++) left[i][0] = left[i][1] = left[i][2] = INT64_MIN / 2;
  random_start();
  int64_t now = 0;
  for (int i = 0; i < 20000; i++) {
    now += (int64_t)random_below(7200000);
    uint8_t lead = (uint8_t)random_below(20);
    int to = (int)random_below(3);
    bool expected = to != at[lead] && now - left[lead][to] <= FLAPS_WITHIN_MS;
    assert_int_equal(move(flaps, lead, at[lead], to, now), expected);
    if (to != at[lead]) left[lead][at[lead]] = now;
    at[lead] = to;
    flapped += expected;
  }
  assert_true(flapped > 0);
  flaps_free(flaps);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(back_within_a_day_is_a_flap),
                                     cmocka_unit_test(it_is_right_where_there_is_room)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
