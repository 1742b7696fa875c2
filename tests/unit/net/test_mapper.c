// The mapper's thread: jobs come back in their order with what the mapping made of them, a full queue takes no more, and
// a stop gives back what waits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "net/mapper.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct edition *edition;
static struct config config;
static struct error err;
static int status_of[64];
static size_t events_of[64], done_count;

static const char text[] =
    "local s = require 'source'\n"
    "return s.source 'try' { owner = 'o', rationale = 'r', userId = 'u', messageId = 'm', rules = {\n"
    "s.rule 'loop' { when = { loop = true }, event = s.custom('c', { why = 'w' }, function() while "
    "true do end end) }, s.rule 'r' { event = 'E' } } }\n";

static int begin(void **unused) {
  (void)unused;
  char path[64] = "/tmp/test_mapper.XXXXXX";
  struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  struct sources *sources;
  assert_non_null(mkdtemp(path));
  char *folder = strdup(path);
  strcat(path, "/try.lua");
  limits.instructions_max = 1ull << 40;
  limits.cpu_ms_max = 300;
  assert_int_equal(file_replace(path, bytes_str(text), &err), 0);
  if (sources_of_file("scripts", path, &limits, &sources, &err) < 0) fail_msg("%s", err.text);
  config_init(&config);
  assert_int_equal(edition_new(&config, sources, &edition, &err), 0);
  sources_release(sources);
  unlink(path);
  rmdir(folder);
  free(folder);
  done_count = 0;
  return 0;
}

static int end(void **unused) {
  (void)unused;
  edition_release(edition);
  config_deinit(&config);
  return 0;
}

static void done(struct mapper_job *job) {
  struct bytes list;
  status_of[done_count] = job->status;
  events_of[done_count] = 0;
  if (job->status == 0 && mp_find(buf_bytes(&job->output), BYTES_LIT("events"), &list))
    events_of[done_count] = mp_value_of(list).count;
  done_count++;
  mapper_job_free(job);
}

static struct mapper_job *job_of(const char *json) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct mapper_job *job = xcalloc(1, sizeof *job);
  edition_retain(edition);
  *job = (struct mapper_job){.edition = edition, .source = "try", .events_max = 10, .done = done};
  assert_int_equal(mp_from_json(bytes_str(json), &limits, &job->payload, &err), 0);
  return job;
}

static void collect_until(struct mapper *m, size_t count) {
  while (done_count < count) {
    struct pollfd p = {.fd = mapper_fd(m), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 60000), 1);
    mapper_collect(m);
  }
}

static void jobs_come_back_in_their_order(void **unused) {
  (void)unused;
  struct mapper *m = mapper_start(100);
  for (int i = 0; i < 50; i++) assert_true(mapper_submit(m, job_of(i % 3 ? "{}" : i % 2 ? "[{}, {}]" : "[]")));
  collect_until(m, 50);
  for (int i = 0; i < 50; i++) {
    assert_int_equal(status_of[i], 0);
    assert_int_equal(events_of[i], i % 3 ? 1 : i % 2 ? 2 : 0);
  }
  mapper_stop(m);
  mapper_collect(m);
  mapper_free(m);
}

static void a_loop_holds_up_its_queue_and_no_more(void **unused) {
  (void)unused;
  struct mapper *m = mapper_start(2);
  size_t taken = 0;
  struct mapper_job *job = job_of("{\"loop\": true}");
  for (; mapper_submit(m, job); taken++) job = job_of("{}");
  mapper_job_free(job);
  assert_true(taken == 2 || taken == 3); // whether the first had been begun
  collect_until(m, taken);
  assert_int_equal(status_of[0], ITD_ESTOPPED);
  for (size_t i = 1; i < taken; i++) assert_int_equal(status_of[i], 0);
  assert_true(mapper_submit(m, job_of("{}")));
  collect_until(m, taken + 1);
  mapper_stop(m);
  mapper_free(m);
}

static void a_stop_gives_back_what_waits(void **unused) {
  (void)unused;
  struct mapper *m = mapper_start(10);
  assert_true(mapper_submit(m, job_of("{\"loop\": true}")));
  for (int i = 0; i < 5; i++) assert_true(mapper_submit(m, job_of("{}")));
  mapper_stop(m);
  struct mapper_job *late = job_of("{}");
  assert_false(mapper_submit(m, late));
  mapper_job_free(late);
  mapper_collect(m);
  assert_int_equal(done_count, 6);
  for (size_t i = 1; i < 6; i++) assert_true(status_of[i] == ITD_ESHUTDOWN || status_of[i] == 0);
  mapper_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(jobs_come_back_in_their_order, begin, end),
      cmocka_unit_test_setup_teardown(a_loop_holds_up_its_queue_and_no_more, begin, end),
      cmocka_unit_test_setup_teardown(a_stop_gives_back_what_waits, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
