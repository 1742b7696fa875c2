// The archiver: every sealed segment is brought away, in order, once it is sealed, whatever fails meanwhile and however often the daemon starts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "scratch.h"
#include "store/archiver.h"
#include "store/disk_faults.h"
#include "store/sealer.h"

static uint64_t seed;

// One log of `segments` segments, the last of them in use.
static char *make_journal(struct draw *d, unsigned log, unsigned segments) {
  static uint8_t body[60000];
  char *dir = scratch_new();
  struct error err = {0};
  struct journal *j;
  struct journal_options o = {.dir = dir,
                              .log = log,
                              .segment_bytes = 1 << 20,
                              .sync = SYNC_OFF,
                              .session = 1,
                              .partitions = log + 1,
                              .shards = log + 1};
  if (journal_open(&o, &j, &err)) fail_msg("%s", err.text);
  for (uint32_t last = 0; last < segments;) {
    struct frame f = {.kind = FRAME_EVENT,
                      .partition = (uint16_t)log,
                      .epoch = 1,
                      .seq = journal_seq(j, log) + 1,
                      .event = draw_bytes(d, body, sizeof body)};
    last = place_segment(journal_stage(j, &f));
    if (journal_commit(j, &err)) fail_msg("%s", err.text);
  }
  journal_close(j);
  return dir;
}

static void seal(const char *dir, unsigned log, uint32_t segment) {
  struct sealed_result r;
  struct error err = {0};
  if (seal_segment(dir, log, segment, 1, NULL, &r, &err)) fail_msg("%s", err.text);
}

static struct archiver *start(const char *dir, const char *folder, const char *command) {
  struct archiver *a;
  struct error err = {0};
  if (archiver_start(
          &(struct archiver_options){.dir = dir, .folder = folder, .command = command, .look_ms = 10, .again_ms = 10},
          &a, &err))
    fail_msg("%s", err.text);
  return a;
}

static void wait_for(const struct archiver *a, unsigned log, uint32_t segment) {
  for (int n = 0; !archiver_has(a, log, segment); n++) {
    if (n > 60000) fail_msg("segment %u was not archived in time", segment);
    usleep(1000);
  }
}

static void wait_failures(const struct archiver *a, uint64_t count) {
  for (int n = 0; archiver_stats(a).failures < count; n++) {
    if (n > 60000) fail_msg("it did not fail in time");
    usleep(1000);
  }
}

static struct buf read_whole(const char *path) {
  struct buf b;
  struct error err = {0};
  buf_init(&b);
  if (file_read(path, 1u << 30, &b, &err)) fail_msg("%s", err.text);
  return b;
}

static void write_text(const char *path, const char *text, mode_t mode) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

static void must_be_same(const char *dir, const char *folder, unsigned log, uint32_t segment) {
  char from[SEGMENT_PATH_MAX], to[SEGMENT_PATH_MAX + 64];
  sealed_path(from, dir, log, segment);
  snprintf(to, sizeof to, "%s%s", folder, strrchr(from, '/'));
  struct buf a = read_whole(from), b = read_whole(to);
  assert_true(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
  buf_deinit(&a), buf_deinit(&b);
}

// ---- tests ----
static void all_is_copied_in_order(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = make_journal(&d, 2, 6), *folder = scratch_new(), *other = scratch_new();
  seal(dir, 2, 1), seal(dir, 2, 3);
  struct archiver *a = start(dir, folder, NULL);
  wait_for(a, 2, 1);
  usleep(100000); // it has looked again: 3 waits for 2
  assert_false(archiver_has(a, 2, 2) || archiver_has(a, 2, 3));
  for (int n = 0; archiver_stats(a).waiting != 1; n++) {
    if (n > 60000) fail_msg("%d wait", (int)archiver_stats(a).waiting);
    usleep(1000);
  }
  seal(dir, 2, 2);
  wait_for(a, 2, 3);
  archiver_stop(a);
  seal(dir, 2, 4);
  a = start(dir, folder, NULL);
  assert_true(archiver_has(a, 2, 3)); // at once: it is remembered
  wait_for(a, 2, 4);
  assert_int_equal(archiver_stats(a).segments, 1);
  assert_int_equal(archiver_stats(a).failures, 0);
  archiver_stop(a);
  for (uint32_t s = 1; s <= 4; s++) must_be_same(dir, folder, 2, s);
  a = start(dir, other, NULL); // another place: all of them again
  wait_for(a, 2, 4);
  archiver_stop(a);
  for (uint32_t s = 1; s <= 4; s++) must_be_same(dir, other, 2, s);
  scratch_free(dir), scratch_free(folder), scratch_free(other);
}

static void nothing_is_overwritten_or_passed_over(void **state) {
  (void)state;
  struct draw d = {seed + 1};
  char *dir = make_journal(&d, 0, 4), *folder = scratch_new(), path[SEGMENT_PATH_MAX];
  for (uint32_t s = 1; s <= 3; s++) seal(dir, 0, s);
  snprintf(path, sizeof path, "%s/00-00000002.seg", folder);
  write_text(path, "of somebody else", 0600);
  struct archiver *a = start(dir, folder, NULL);
  wait_for(a, 0, 1);
  wait_failures(a, 2);
  assert_false(archiver_has(a, 0, 2));
  struct buf b = read_whole(path);
  assert_true(bytes_is(buf_bytes(&b), "of somebody else"));
  buf_deinit(&b);
  assert_int_equal(unlink(path), 0);
  wait_for(a, 0, 3);
  archiver_stop(a);
  must_be_same(dir, folder, 0, 2);
  // The note is lost: what is there already is found to be the same.
  snprintf(path, sizeof path, "%s/archived", dir);
  assert_int_equal(unlink(path), 0);
  a = start(dir, folder, NULL);
  wait_for(a, 0, 3);
  assert_int_equal(archiver_stats(a).failures, 0);
  archiver_stop(a);
  // A note that was changed is refused.
  b = read_whole(path);
  b.p[b.n / 2] ^= 1;
  buf_append_u8(&b, 0);
  write_text(path, (const char *)b.p, 0600);
  struct error err = {0};
  assert_int_equal(archiver_start(&(struct archiver_options){.dir = dir, .folder = folder}, &a, &err), ITD_ECORRUPT);
  assert_int_equal(archiver_start(&(struct archiver_options){.dir = dir, .folder = "here"}, &a, &err), ITD_EINVAL);
  buf_deinit(&b);
  scratch_free(dir), scratch_free(folder);
}

static void one_that_is_gone_is_told(void **state) {
  (void)state;
  struct draw d = {seed + 2};
  char *dir = make_journal(&d, 0, 4), *folder = scratch_new(), path[SEGMENT_PATH_MAX];
  seal(dir, 0, 1);
  struct archiver *a = start(dir, folder, NULL);
  wait_for(a, 0, 1);
  archiver_stop(a);
  sealed_path(path, dir, 0, 1);
  assert_int_equal(unlink(path), 0); // that one was archived
  assert_int_equal(segment_drop(dir, 0, 2), 0);
  seal(dir, 0, 3);
  a = start(dir, folder, NULL);
  wait_failures(a, 2);
  assert_false(archiver_has(a, 0, 3));
  archiver_stop(a);
  scratch_free(dir), scratch_free(folder);
}

// A program that fails twice for each file, notes what it was given, and takes strange paths as they are.
static void a_program_is_run_until_it_succeeds(void **state) {
  (void)state;
  struct draw d = {seed + 3};
  char *dir = make_journal(&d, 0, 3), *folder = scratch_new(), odd[700], program[800], text[2000];
  snprintf(odd, sizeof odd, "%s/a b;$(touch x)'\"", folder);
  assert_int_equal(mkdir(odd, 0700), 0);
  snprintf(program, sizeof program, "%s/archive it.sh", odd);
  snprintf(text, sizeof text,
           "#!/bin/sh\n[ $# = 1 ] || exit 3\nn=$(basename \"$1\")\necho \"$n\" >>'%s/calls'\n"
           "[ $(grep -c \"$n\" '%s/calls') = 3 ] || exit 1\ncp \"$1\" '%s/'\n",
           folder, folder, folder);
  write_text(program, text, 0700);
  seal(dir, 0, 1), seal(dir, 0, 2);
  struct archiver *a = start(dir, NULL, program);
  wait_for(a, 0, 2);
  assert_int_equal(archiver_stats(a).segments, 2);
  assert_int_equal(archiver_stats(a).failures, 4);
  archiver_stop(a);
  must_be_same(dir, folder, 0, 1), must_be_same(dir, folder, 0, 2);
  snprintf(text, sizeof text, "%s/calls", folder);
  struct buf calls = read_whole(text);
  assert_true(bytes_is(buf_bytes(&calls), "00-00000001.seg\n00-00000001.seg\n00-00000001.seg\n"
                                          "00-00000002.seg\n00-00000002.seg\n00-00000002.seg\n"));
  buf_deinit(&calls);
  scratch_free(dir), scratch_free(folder);
}

static void a_program_that_does_not_end_is_ended(void **state) {
  (void)state;
  struct draw d = {seed + 4};
  char *dir = make_journal(&d, 0, 2), *folder = scratch_new(), program[700], text[900];
  snprintf(program, sizeof program, "%s/hang", folder);
  snprintf(text, sizeof text, "#!/bin/sh\necho >'%s/begun'\nsleep 1000\n", folder);
  write_text(program, text, 0700);
  seal(dir, 0, 1);
  struct archiver *a = start(dir, NULL, program);
  snprintf(text, sizeof text, "%s/begun", folder);
  for (int n = 0; access(text, F_OK); n++) {
    if (n > 60000) fail_msg("it was not run in time");
    usleep(1000);
  }
  archiver_stop(a); // would wait for 1000 seconds
  a = start(dir, NULL, "/no/such/program");
  wait_failures(a, 1);
  assert_false(archiver_has(a, 0, 1));
  archiver_stop(a);
  scratch_free(dir), scratch_free(folder);
}

static void any_step_may_fail(void **state) {
  (void)state;
  struct draw d = {seed + 5};
  char *dir = make_journal(&d, 0, 4), plan[100];
  for (uint32_t s = 1; s <= 3; s++) seal(dir, 0, s);
  static const char *const how[] = {"ENOSPC", "EIO", "part+ENOSPC"};
  for (int n = 0; n < 3; n++) {
    char *folder = scratch_new();
    struct error err = {0};
    snprintf(plan, sizeof plan, "seed=%u;any:*:%u+1:%s", (unsigned)draw(&d, 1000000), 1 + (unsigned)draw(&d, 12),
             how[n]);
    assert_int_equal(disk_faults_start(plan, &err), 0);
    struct archiver *a;
    if (archiver_start(&(struct archiver_options){.dir = dir, .folder = folder, .look_ms = 10, .again_ms = 10}, &a,
                       &err)) { // the note did not read
      disk_faults_stop();
      a = start(dir, folder, NULL);
    }
    wait_for(a, 0, 3);
    archiver_stop(a);
    disk_faults_stop();
    for (uint32_t s = 1; s <= 3; s++) must_be_same(dir, folder, 0, s);
    scratch_free(folder);
  }
  scratch_free(dir);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_is_copied_in_order),
      cmocka_unit_test(nothing_is_overwritten_or_passed_over),
      cmocka_unit_test(one_that_is_gone_is_told),
      cmocka_unit_test(a_program_is_run_until_it_succeeds),
      cmocka_unit_test(a_program_that_does_not_end_is_ended),
      cmocka_unit_test(any_step_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
