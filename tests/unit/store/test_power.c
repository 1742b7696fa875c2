// The power goes: of what was written and not yet synced, any sectors may be missing. In mode `always` nothing
// acknowledged is lost; in the others what is left is a beginning of each partition, and the same events sent again
// lead to the same place. The disk's fault layer makes a copy as the disk may have it then (store/disk_faults.h).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "store/disk_faults.h"
#include "store/shard.h"
#include "world.h"

enum { USERS = 30, EVENTS = 500 };
static uint64_t seed;

static struct draw chance;
static _Atomic uint64_t acked; // events
static uint64_t told;          // likewise, when the power went
static char *watched, *snapshot;

// A copy of the directory as the disk may have it.
static void power_goes(void) {
  if (snapshot) return;
  char command[1200];
  told = acked;
  snapshot = scratch_new();
  snprintf(command, sizeof command, "cp -r --sparse=always %s/. %s/", watched, snapshot);
  assert_int_equal(system(command), 0);
  disk_faults_lose(watched, snapshot);
}

static void checkpoint_now(struct world *w) {
  uint32_t cycle = checkpoint_begin(w->store->checkpoint);
  for (unsigned i = 0; i < w->shards; i++)
    while (!shard_give(store_shard(w->store, i), SIZE_MAX)) {
    }
  assert_true(checkpoint_wait(w->store->checkpoint, cycle));
}

// Events from..to in commits of a few; those before `duplicates` must be there.
static void ingest(struct world *w, uint64_t from, uint64_t to, uint64_t *answer, uint64_t duplicates) {
  struct buf event, out;
  struct error err = {0};
  buf_init(&event), buf_init(&out);
  for (uint64_t n = from; n < to; n++) {
    make_event(&event, seed, n, USERS);
    buf_clear(&out);
    if (world_take(w, buf_bytes(&event), (int64_t)(1800000000000 + n), &out, &err)) fail_msg("%s", err.text);
    uint64_t hash = hash64(bytes_of(out.p, out.n - 1)) | 1;
    if (answer[n]) assert_int_equal(answer[n], hash);
    answer[n] = hash;
    if (out.p[out.n - 1] != 0xc3 && n < duplicates) fail_msg("event %d was acknowledged, and is gone", (int)n);
    if (draw(&chance, 6) && n + 1 < to) {
      if (draw(&chance, 4) == 0) world_turn(w); // with frames staged: the checkpoint must not see them
      if (draw(&chance, 50) == 0) checkpoint_begin(w->store->checkpoint);
      continue;
    }
    if (world_commit(w, &err)) fail_msg("%s", err.text);
    acked = n + 1;
    if (draw(&chance, 60) == 0) checkpoint_now(w);
  }
  buf_deinit(&event), buf_deinit(&out);
}

static void power_may_go_at_any_time(void **state) {
  (void)state;
  const char *text = getenv("ROUNDS");
  int rounds = text ? atoi(text) : 30;
  static uint64_t answer[EVENTS];
  chance = (struct draw){seed};
  char *reference = scratch_new();
  struct store_options options = small_options(reference, 2);
  struct world w;
  world_must_open(&w, &options);
  ingest(&w, 0, EVENTS, answer, 0);
  uint64_t expected = world_digest(&w, USERS);
  world_close(&w);
  scratch_free(reference);
  disk_faults_on_power(power_goes);

  for (int i = 0; i < rounds; i++) {
    char *dir = watched = scratch_new(), plan[100];
    int sync = i % 2 ? SYNC_ALWAYS : draw(&chance, 2) ? SYNC_OFF : SYNC_INTERVAL;
    options = small_options(dir, 1 + (unsigned)draw(&chance, 4));
    options.journal.sync = sync;
    options.journal.interval_ms = 2;
    acked = 0;
    struct error err = {0};
    snprintf(plan, sizeof plan, "seed=%llu;sync:*:%llu:power", (unsigned long long)draw(&chance, 0),
             (unsigned long long)(sync == SYNC_ALWAYS ? 1 + draw(&chance, 250) : 1000000));
    if (disk_faults_start(plan, &err)) fail_msg("%s", err.text);
    world_must_open(&w, &options);
    ingest(&w, 0, sync == SYNC_ALWAYS ? EVENTS : 1 + draw(&chance, EVENTS), answer, 0);
    disk_faults_power();
    if (sync != SYNC_ALWAYS) told = 0;
    disk_faults_stop();
    world_close(&w);
    char *after = snapshot;
    snapshot = NULL;

    // Twice: what recovery leaves behind must be as good as what it found.
    for (int opening = 0; opening < 2; opening++) {
      options = small_options(after, 1 + (unsigned)draw(&chance, 4));
      if (world_open(&w, &options, &err)) fail_msg("round %d: %s", i, err.text);
      ingest(&w, 0, EVENTS, answer, opening ? EVENTS : told);
      assert_int_equal(world_digest(&w, USERS), expected);
      world_close(&w);
    }
    scratch_free(dir);
    scratch_free(after);
  }
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {cmocka_unit_test(power_may_go_at_any_time)};
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
