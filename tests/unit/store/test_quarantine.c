// A purge of the quarantine with a power cut before each of its steps: what must stay is there, never zeros in its place.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "scratch.h"
#include "store/disk.h"
#include "store/disk_faults.h"
#include "store/quarantine.h"

static char *dir, *snapshot;

static void power_goes(void) {
  char command[1200];
  if (snapshot) return;
  snapshot = scratch_new();
  snprintf(command, sizeof command, "cp -r %s/. %s/", dir, snapshot);
  assert_int_equal(system(command), 0);
  disk_faults_lose(dir, snapshot);
}

static bool kept_holds(const char *folder, const char *text) {
  char path[600];
  struct buf content = {0};
  struct error err = {0};
  snprintf(path, sizeof path, "%s/quarantine/events.mp", folder);
  assert_int_equal(disk_load(path, 1u << 20, &content, &err), 0);
  bool is_in = memmem(content.p, content.n, text, strlen(text)) != NULL;
  buf_deinit(&content);
  return is_in;
}

// False: the purge was over before the power went.
static bool purge_with_a_cut(unsigned step) {
  struct error err = {0}, reason = {.code = ITD_EINVAL, .text = "no such key"};
  struct quarantine *q;
  struct bytes gone = bytes_str("who-must-go");
  uint64_t removed = 0;
  char plan[80];
  dir = scratch_new();
  snapshot = NULL;
  disk_faults_on_power(power_goes);
  snprintf(plan, sizeof plan, "seed=%u;any:%s:1:power", step, "nothing/*");
  assert_int_equal(disk_faults_start(plan, &err), 0); // so that it knows what was synced
  assert_int_equal(quarantine_open(dir, 1u << 20, &q, &err), 0);
  assert_true(quarantine_add(q, &reason, bytes_str("an event of who-stays"), 1));
  assert_true(quarantine_add(q, &reason, bytes_str("an event of who-must-go"), 2));
  assert_int_equal(quarantine_sync(q, &err), 0);
  assert_int_equal(disk_sync_folder(dir, "quarantine"), 0);
  disk_faults_stop();
  snprintf(plan, sizeof plan, "seed=%u;any:*:%u:power", step, step);
  assert_int_equal(disk_faults_start(plan, &err), 0);
  assert_int_equal(quarantine_purge(q, &gone, 1, &removed, &err), 0);
  disk_faults_stop();
  disk_faults_on_power(NULL);
  assert_int_equal(removed, 1);
  assert_true(kept_holds(dir, "who-stays"));
  assert_false(kept_holds(dir, "who-must-go"));
  quarantine_close(q);
  bool went = snapshot != NULL;
  if (went) {
    if (!kept_holds(snapshot, "who-stays")) fail_msg("a power cut before step %u loses what was to stay", step);
    scratch_free(snapshot);
  }
  scratch_free(dir);
  return went;
}

static void a_power_cut_loses_nothing_that_stays(void **state) {
  (void)state;
  unsigned step = 1;
  while (purge_with_a_cut(step)) step++;
  assert_true(step > 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_power_cut_loses_nothing_that_stays)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
