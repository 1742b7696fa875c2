// A disk that fails syncs and has no room now and then, under a store that is opened again from its files each time, until
// the power goes: nothing acknowledged is lost, also what a recovery only found in the kernel's memory and then answered
// for; and the end is that of a run without failures.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "store/disk_faults.h"
#include "store/shard.h"
#include "world.h"

enum { USERS = 30, EVENTS = 250 };
static uint64_t seed;
static struct draw chance;
static _Atomic uint64_t acked; // events
static uint64_t told;          // likewise, when the power went
static char *watched, *snapshot;
static unsigned reopened, put_off;

static void power_goes(void) {
  if (snapshot) return;
  char command[1200];
  told = acked;
  snapshot = scratch_new();
  snprintf(command, sizeof command, "cp -r --sparse=always %s/. %s/", watched, snapshot);
  assert_int_equal(system(command), 0);
  disk_faults_lose(watched, snapshot);
}

// As the daemon does it (net/recover.c).
static int try_again(struct world *w, struct error *err) {
  int rc = store_reopen(w->store, &w->recovery, err);
  struct release release = {.policy = shipped_policy(), .signals = 1, .models = 1};
  if (rc == 0) rc = store_version_put(w->store, release.policy, &release.number, err);
  struct intake_options in = {.clock = ENGINE_CLOCK_EVENT, .limits = EVENT_LIMITS_DEFAULT, .vm = VM_LIMITS_DEFAULT};
  for (unsigned i = 0; rc == 0 && i < w->shards; i++) {
    w->intake[i] = intake_new(w->store, i, &in);
    rc = intake_prepare(w->intake[i], &release, err);
    if (rc == 0) intake_use(w->intake[i], "recovered", NULL);
  }
  return rc == 0 ? world_commit(w, err) : rc;
}

static void reopen(struct world *w) {
  int rc = ITD_EIO;
  for (int i = 0; rc && i < 500; i++) {
    struct error err = {0};
    for (unsigned s = 0; s < w->shards; s++) {
      intake_free(w->intake[s]);
      w->intake[s] = NULL;
    }
    rc = try_again(w, &err);
    if (rc && rc != ITD_EIO && rc != ITD_EFULL) fail_msg("%s: %s", status_code(rc), err.text);
    reopened++;
  }
  assert_int_equal(rc, 0);
}

static int commit(struct world *w) {
  struct error err = {0};
  int rc = world_commit(w, &err);
  for (int i = 0; rc == ITD_EFULL && i < 500; i++) {
    put_off++;
    rc = world_commit(w, &err);
  }
  if (rc && rc != ITD_EIO) fail_msg("%s: %s", status_code(rc), err.text);
  return rc;
}

static void ingest(struct world *w, uint64_t *answer, uint64_t duplicates) {
  struct buf event, out;
  buf_init(&event), buf_init(&out);
  for (uint64_t n = 0; n < EVENTS; n++) {
    struct error err = {0};
    make_event(&event, seed, n, USERS);
    buf_clear(&out);
    if (world_take(w, buf_bytes(&event), (int64_t)(1800000000000 + n), &out, &err)) fail_msg("%s", err.text);
    uint64_t hash = hash64(bytes_of(out.p, out.n - 1)) | 1;
    if (answer[n]) assert_int_equal(answer[n], hash);
    answer[n] = hash;
    if (out.p[out.n - 1] != 0xc3 && (n < duplicates || n < acked))
      fail_msg("event %d was acknowledged, and is gone", (int)n);
    if (draw(&chance, 4) && n + 1 < EVENTS) continue;
    if (commit(w) == 0) {
      acked = n + 1;
      world_turn(w);
    } else {
      reopen(w);
      uint64_t back = 1 + draw(&chance, 8); // what was told, and what was not: all of it again
      n = acked > back ? acked - back - 1 : UINT64_MAX;
    }
  }
  buf_deinit(&event), buf_deinit(&out);
}

static void a_failing_disk_takes_nothing(void **state) {
  (void)state;
  const char *text = getenv("ROUNDS");
  int rounds = text ? atoi(text) : 3;
  static uint64_t answer[EVENTS];
  chance = (struct draw){seed};
  char *reference = scratch_new();
  struct store_options options = small_options(reference, 2);
  struct world w;
  world_must_open(&w, &options);
  acked = 0;
  ingest(&w, answer, 0);
  uint64_t expected = world_digest(&w, USERS);
  world_close(&w);
  scratch_free(reference);
  disk_faults_on_power(power_goes);

  for (int i = 0; i < rounds; i++) {
    char *dir = watched = scratch_new(), plan[160];
    struct error err = {0};
    options = small_options(dir, 1 + (unsigned)draw(&chance, 3));
    acked = 0;
    world_must_open(&w, &options);
    snprintf(plan, sizeof plan, "seed=%llu;sync:*:1/%llu:EIO;write:*/*-*:1/50:part+ENOSPC;sync:*:%llu:power",
             (unsigned long long)draw(&chance, 0), (unsigned long long)(8 + draw(&chance, 40)),
             (unsigned long long)(1 + draw(&chance, 300)));
    if (disk_faults_start(plan, &err)) fail_msg("%s", err.text);
    ingest(&w, answer, 0);
    disk_faults_power();
    disk_faults_stop();
    assert_int_equal(world_digest(&w, USERS), expected);
    world_close(&w);
    char *after = snapshot;
    snapshot = NULL;
    options = small_options(after, 1 + (unsigned)draw(&chance, 3));
    if (world_open(&w, &options, &err)) fail_msg("round %d: %s", i, err.text);
    acked = 0;
    ingest(&w, answer, told);
    assert_int_equal(world_digest(&w, USERS), expected);
    world_close(&w);
    scratch_free(dir);
    scratch_free(after);
  }
  printf("opened again %u times, put off %u commits\n", reopened, put_off);
  assert_true(reopened >= (unsigned)rounds / 2);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR + 1);
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_failing_disk_takes_nothing)};
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
