// Replay: a recorded journal is decided the same on any number of threads and without the JIT, and a frame that says
// something else than the engine decides is found and named.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/intake_private.h"
#include "store/replay.h"
#include "world.h"

#define EVENTS 600

static struct lead_id some_lead;

enum forgery { HONEST, ANOTHER_HASH, ANOTHER_MEANING };

// The lead's first event once more, folded and stored as recovery wants it, but with a hash that the engine does not
// give, or as if features had meant something else.
static void forge(struct world *w, enum forgery forgery) {
  unsigned index = store_shard_of(w->store, store_partition_of_lead(w->store, some_lead));
  struct store_shard *shard = store_shard(w->store, index);
  struct buf raw = {0}, map = {0};
  struct frame frame;
  struct event event;
  struct event_digits digits;
  struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct error err = {0};
  assert_int_equal(store_read_number(shard, some_lead, 1, &raw, &frame, &err), 0);
  assert_int_equal(intake_event_of(w->intake[index], &frame, &map, &err), 0);
  assert_int_equal(event_decode(buf_bytes(&map), 0, &limits, &digits, &event, &err), 0);
  struct lead *lead = store_lead(shard, some_lead);
  frame.number = lead->number + 1;
  frame.now_ms = lead->now_ms;
  frame.previous = lead->place;
  frame.message = (struct hash128){0};
  frame.effects = lead_effects(lead);
  assert_int_equal(engine_refold(&lead, w->policy, intake_release(w->intake[index])->policy, lead->release, &event,
                                 frame.now_ms, frame.number, frame.effects, frame.shared, &err),
                   0);
  frame.digest = lead_digest(lead);
  if (forgery == ANOTHER_HASH) frame.hash ^= 1;
  if (forgery == ANOTHER_MEANING) frame.semantics -= 1u << 16;
  lead->place = store_append(shard, &frame);
  lead->seq = frame.seq;
  store_put(shard, lead);
  assert_int_equal(world_commit(w, &err), 0);
  buf_deinit(&raw);
  buf_deinit(&map);
}

static char *crash; // of the last ANOTHER_MEANING
static char *killed(const char *dir) {
  char *copy = scratch_new(), command[1200];
  snprintf(command, sizeof command, "cp -r --sparse=always '%s'/. '%s'", dir, copy);
  CHECK(system(command) == 0);
  return copy;
}

static void record(const char *dir, unsigned partitions, enum forgery forgery) {
  struct world w;
  struct store_options options = small_options(dir, partitions < 2 ? 1 : 2);
  options.partitions = partitions;
  world_must_open(&w, &options);
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  for (uint64_t n = 0; n < EVENTS; n++) {
    make_event(&event, 42, n, 40);
    buf_clear(&answer);
    assert_int_equal(world_take(&w, buf_bytes(&event), 0, &answer, &err), 0);
    if (n % 50 == 0) assert_int_equal(world_commit(&w, &err), 0);
  }
  assert_int_equal(world_commit(&w, &err), 0);
  struct bytes id;
  assert_true(mp_find(buf_bytes(&answer), BYTES_LIT("lead"), &id) && mp_as_str(id, &id));
  assert_int_equal(lead_id_parse(id, &some_lead), 0);
  if (forgery != HONEST) forge(&w, forgery);
  buf_deinit(&event);
  buf_deinit(&answer);
  if (forgery == ANOTHER_MEANING) crash = killed(dir);
  world_close(&w);
}

static struct replay_result replayed(const char *dir, unsigned threads, bool hook) {
  struct replay_options options = {.dir = dir, .threads = threads, .vm = VM_LIMITS_DEFAULT};
  options.vm.hook = hook;
  struct replay_result result;
  struct error err = {0};
  int status = store_replay(&options, &result, &err);
  if (status < 0) fail_msg("%s", err.text);
  return result;
}

static void a_journal_is_decided_the_same_again(void **state) {
  (void)state;
  char *dir = scratch_new();
  record(dir, 8, HONEST);
  struct replay_result one = replayed(dir, 1, false);
  assert_true(one.decisions >= EVENTS);
  assert_int_equal(one.different, 0);
  for (unsigned threads = 2; threads <= 8; threads *= 2) {
    struct replay_result other = replayed(dir, threads, threads == 4);
    assert_memory_equal(&one, &other, sizeof one);
  }
  scratch_free(dir);
}

static void partitions_do_not_matter(void **state) {
  (void)state;
  static const unsigned partitions[] = {8, 1, 5, 256};
  uint64_t hash = 0;
  for (size_t i = 0; i < sizeof partitions / sizeof *partitions; i++) {
    char *dir = scratch_new();
    record(dir, partitions[i], HONEST);
    struct replay_result r = replayed(dir, 3, false);
    assert_int_equal(r.different, 0);
    if (i) assert_int_equal(r.hash, hash);
    hash = r.hash;
    scratch_free(dir);
  }
}

static void a_decision_that_differs_is_found_and_named(void **state) {
  (void)state;
  char *dir = scratch_new();
  record(dir, 8, ANOTHER_HASH);
  struct replay_result result = replayed(dir, 2, false);
  assert_int_equal(result.different, 1);
  char lead[LEAD_ID_TEXT];
  lead_id_format(some_lead, lead);
  assert_memory_equal(result.first_different, lead, 32);
  scratch_free(dir);
}

// Operators that changed must not go on with what older ones left: a start says which frame and stops.
static void features_of_another_meaning_are_refused(void **state) {
  (void)state;
  char *dir = scratch_new();
  record(dir, 8, ANOTHER_MEANING);
  struct world w;
  struct store_options options = small_options(crash, 2);
  struct error err = {0};
  assert_int_equal(world_open(&w, &options, &err), ITD_EVERSION);
  assert_non_null(strstr(err.text, "semantics"));
  scratch_free(crash);
  scratch_free(dir);
}

static void what_is_not_there_is_said(void **state) {
  (void)state;
  struct replay_options options = {.dir = "/dev/null/nothing", .threads = 1, .vm = VM_LIMITS_DEFAULT};
  struct replay_result result;
  struct error err = {0};
  assert_int_equal(store_replay(&options, &result, &err), ITD_ENOTFOUND);
  assert_non_null(strstr(err.text, "/dev/null/nothing"));
  char *dir = scratch_new(); // nothing is made where nothing was
  options.dir = dir;
  assert_int_equal(store_replay(&options, &result, &err), ITD_ENOTFOUND);
  assert_int_equal(rmdir(dir), 0);
  free(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_journal_is_decided_the_same_again),
      cmocka_unit_test(partitions_do_not_matter),
      cmocka_unit_test(a_decision_that_differs_is_found_and_named),
      cmocka_unit_test(features_of_another_meaning_are_refused),
      cmocka_unit_test(what_is_not_there_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
