#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

// Runs `act` in a child; gives what it wrote to standard error, and how it ended.
static int in_child(void (*act)(void), char *text, size_t size) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    act();
    _exit(0);
  }
  close(ends[1]);
  size_t used = 0;
  for (ssize_t n; (n = read(ends[0], text + used, size - 1 - used)) > 0;) used += (size_t)n;
  text[used] = '\0';
  close(ends[0]);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void holds(void) { CHECK(1 + 1 == 2); }
static void fails(void) { CHECK(1 + 1 == 3); }
static void is_out(void) { out_of_memory(12345); }
static void consumes_too_much(void) {
  struct buf b;
  buf_init(&b);
  buf_append_str(&b, "abc");
  buf_consume(&b, 4);
}
static void wraps_around(void) {
  struct buf b;
  buf_init(&b);
  buf_append_str(&b, "abc");
  buf_reserve(&b, SIZE_MAX - 1);
}

static void a_check_says_where_and_aborts(void **state) {
  (void)state;
  char text[2000];
  assert_int_equal(in_child(holds, text, sizeof text), 0);
  assert_string_equal(text, "");
  int status = in_child(fails, text, sizeof text);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_non_null(strstr(text, "1 + 1 == 3"));
  assert_non_null(strstr(text, "test_check.c:"));
  assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void no_memory_aborts_with_the_size(void **state) {
  (void)state;
  char text[2000];
  int status = in_child(is_out, text, sizeof text);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_non_null(strstr(text, "bytes=12345"));
}

static void misuse_of_a_buffer_aborts(void **state) {
  (void)state;
  char text[2000];
  int status = in_child(consumes_too_much, text, sizeof text);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_non_null(strstr(text, "check_failed"));
  status = in_child(wraps_around, text, sizeof text);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_non_null(strstr(text, "out_of_memory"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_check_says_where_and_aborts),
      cmocka_unit_test(no_memory_aborts_with_the_size),
      cmocka_unit_test(misuse_of_a_buffer_aborts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
