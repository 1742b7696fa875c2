// Messages between entities over the fabric's rings, with a thread a shard as in the daemon: everything arrives once and in
// order, also when outboxes are tiny, every shard sends to all, and events take every credit that they can have.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../store/post.h"
#include "base/log.h"
#include "net/courier.h"

enum { SHARDS = 4, COMMANDS = 1500 };
static uint64_t seed;
static struct world world;
static struct fabric *fabric;
static struct ids ids;
static _Atomic bool is_over;
static _Atomic uint64_t told_count, stood; // commands told; turns at the bound
static unsigned shard_of_command[COMMANDS];

// Every credit for requests is taken, to every shard: batches of messages must not need one.
static void take_credits(struct origin *origin) {
  for (unsigned s = 0; s < SHARDS; s++)
    while (origin_has_room(origin, s, TASK_EVENT)) {
      struct task *task = task_new(TASK_EVENT, (struct bytes){0}, 0);
      CHECK(origin_send(origin, s, task));
    }
}

static void *shard_thread(void *arg) {
  unsigned index = (unsigned)(uintptr_t)arg;
  struct origin *origin = fabric_origin(fabric, index);
  struct store_shard *store = store_shard(world.store, index);
  struct error err = {0};
  take_credits(origin);
  bool more = false;
  uint64_t due_ns = UINT64_MAX;
  for (uint64_t n = 0; !atomic_load(&is_over);) {
    struct pollfd fd = {.fd = fabric_wake_fd(fabric, index), .events = POLLIN};
    bool has_commands = n < COMMANDS && !store_outbox_full(store);
    uint64_t now_ns = clock_mono_ns();
    int wait_ms = more || has_commands ? 0 : due_ns <= now_ns ? 1 : 20;
    if (due_ns != UINT64_MAX && due_ns > now_ns && (due_ns - now_ns) / 1000000 < 20 && wait_ms) wait_ms = 5;
    if (poll(&fd, 1, wait_ms) > 0) fabric_woken(fabric, index);
    more = courier_take(fabric, index, world.intake[index], command_ms(n));
    for (unsigned k = 0; k < 4 && has_commands && n < COMMANDS; n++) {
      if (shard_of_command[n] != index) continue;
      tell_command(&world, seed, n, &ids);
      atomic_fetch_add(&told_count, 1);
      k++;
    }
    if (n < COMMANDS && store_outbox_full(store)) atomic_fetch_add(&stood, 1);
    CHECK(store_commit(store, &err) == 0);
    store_turn(store, 0);
    more = courier_give(origin, store, clock_mono_ns(), &due_ns) || more;
    origin_collect(origin);
    origin_flush(origin);
  }
  return NULL;
}

static void run(unsigned window, size_t outbox_max, int sync) {
  char *dir = scratch_new();
  struct store_options options = small_options(dir, SHARDS);
  options.outbox_window = window;
  options.outbox_max = outbox_max;
  options.journal.sync = sync;
  options.journal.interval_ms = 1;
  options.checkpoint_ms = 20;
  world_must_open(&world, &options);
  ids = ids_of(world.store);
  struct buf body = {0};
  for (uint64_t n = 0; n < COMMANDS; n++) {
    unsigned to = make_command(&body, seed, n, &ids, NULL);
    shard_of_command[n] = store_shard_of(world.store, store_partition_of_lead(world.store, ids.id[to]));
  }
  buf_deinit(&body);
  fabric = fabric_new(SHARDS, SHARDS + 1);
  atomic_store(&is_over, false);
  atomic_store(&told_count, 0);
  pthread_t thread[SHARDS];
  for (uintptr_t s = 0; s < SHARDS; s++) assert_int_equal(pthread_create(&thread[s], NULL, shard_thread, (void *)s), 0);
  uint64_t until_ns = clock_mono_ns() + 120000000000u;
  for (unsigned still = 0; still < 3;) {
    if (clock_mono_ns() > until_ns) fail_msg("stuck: %d told, %d pending", (int)told_count, (int)post_pending(&world));
    still = atomic_load(&told_count) == COMMANDS && post_pending(&world) == 0 ? still + 1 : 0;
    usleep(2000);
  }
  atomic_store(&is_over, true);
  for (unsigned s = 0; s < SHARDS; s++) pthread_join(thread[s], NULL);

  // What the looks above may have missed between two shards, arrives here.
  struct draw d = {seed};
  struct post post = {.world = &world, .draw = &d, .room = POST_MAX, .now_ms = (int64_t)(clock_mono_ns() / 1000000)};
  post_settle(&post);
  struct error err = {0};
  struct told told;
  told_init(&told, store_partitions(world.store), COMMANDS);
  if (store_walk(dir, -1, told_visit, &told, &err)) fail_msg("walk: %s", err.text);
  const char *wrong = told_check(&told, true);
  if (!wrong) wrong = check_sums(&world, seed, &told);
  if (wrong) fail_msg("%s", wrong);
  assert_int_equal(told.commands, COMMANDS);
  told_deinit(&told);
  post_deinit(&post);
  world_close(&world);
  fabric_free(fabric);
  scratch_free(dir);
}

static void all_to_all(void **state) {
  (void)state;
  run(OUTBOX_WINDOW, 64u << 20, SYNC_ALWAYS);
}

static void all_to_all_with_one_credit_and_tiny_outboxes(void **state) {
  (void)state;
  atomic_store(&stood, 0);
  run(1, SHARDS * 400, SYNC_ALWAYS);
  assert_true(atomic_load(&stood) > 0);
}

static void all_to_all_where_a_commit_is_no_sync(void **state) {
  (void)state;
  run(3, SHARDS * 4000, seed % 2 ? SYNC_OFF : SYNC_INTERVAL);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  shipped_policy();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_to_all),
      cmocka_unit_test(all_to_all_with_one_credit_and_tiny_outboxes),
      cmocka_unit_test(all_to_all_where_a_commit_is_no_sync),
  };
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
