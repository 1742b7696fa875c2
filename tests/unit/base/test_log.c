#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Standard error goes to a file while a test runs; `said` gives what was written.
static int real_stderr, captured;

static void capture_begin(void) {
  char path[] = "/tmp/intentd-log-XXXXXX";
  captured = mkstemp(path);
  assert_true(captured >= 0);
  unlink(path);
  real_stderr = dup(STDERR_FILENO);
  assert_int_equal(fcntl(captured, F_SETFL, O_APPEND), 0);
  dup2(captured, STDERR_FILENO);
}

static char *capture_end(void) {
  dup2(real_stderr, STDERR_FILENO);
  close(real_stderr);
  off_t size = lseek(captured, 0, SEEK_END);
  char *text = calloc(1, (size_t)size + 1);
  assert_int_equal(pread(captured, text, (size_t)size, 0), size);
  close(captured);
  return text;
}

static void a_line_is_logfmt(void **state) {
  (void)state;
  capture_begin();
  errno = EPERM;
  log_line(LOG_INFO, "listening", "address=%s port=%d", "127.0.0.1", 7411);
  assert_int_equal(errno, EPERM);
  log_line(LOG_ERROR, "ended", "%s", "");
  char *text = capture_end(), *rest = text + strlen("time=2026-01-05T08:30:00.250Z");
  assert_memory_equal(text, "time=", 5);
  int64_t ms;
  assert_int_equal(time_parse(bytes_of(text + 5, 24), &ms), 0);
  assert_memory_equal(rest, " level=info event=listening address=127.0.0.1 port=7411\n",
                      strlen(" level=info event=listening address=127.0.0.1 port=7411\n"));
  assert_non_null(strstr(rest, "Z level=error event=ended"));
  free(text);
}

static void levels_below_are_silent(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int lines;
  } levels[] = {{"debug", 4}, {"info", 3}, {"warn", 2}, {"error", 1}};
  for (int i = 0; i < 4; i++) {
    enum log_level level;
    assert_int_equal(log_level_parse(levels[i].name, &level), 0);
    assert_int_equal(level, i);
    capture_begin();
    log_set_level(level);
    for (int l = LOG_DEBUG; l <= LOG_ERROR; l++) log_line((enum log_level)l, "x", "n=%d", l);
    char *text = capture_end();
    int lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    assert_int_equal(lines, levels[i].lines);
    free(text);
  }
  log_set_level(LOG_INFO);
  enum log_level same = LOG_WARN;
  assert_int_equal(log_level_parse("WARN", &same), ITD_EINVAL);
  assert_int_equal(log_level_parse("", &same), ITD_EINVAL);
  assert_int_equal(same, LOG_WARN);
}

static void a_line_stays_one_line_and_is_cut_whole(void **state) {
  (void)state;
  for (size_t n = 3900; n < 4200; n++) {
    char *value = calloc(1, 2 * n + 1);
    for (size_t i = 0; i < n; i++) memcpy(value + 2 * i, "é", 2);
    capture_begin();
    log_line(LOG_INFO, "long", "value=%s%s forged\nlevel=error\r\x1b[2J", n % 2 ? "a" : "",
             value + (n < 4000 ? n & ~(size_t)1 : 0));
    char *text = capture_end();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_true(strlen(text) <= 4096);
    assert_null(strchr(text, '\x1b'));
    assert_true(bytes_is_utf8(bytes_str(text)));
    free(text);
    free(value);
  }
}

static void *talk(void *arg) {
  for (int i = 0; i < 500; i++)
    log_line(LOG_INFO, "talk", "who=%s value=%s", (const char *)arg, log_quote((const char *)arg));
  return NULL;
}

static void threads_do_not_mix(void **state) {
  (void)state;
  static char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b[] = "bbbbbbbbbbbbbbbbbbbb", c[] = "c";
  char *who[] = {a, b, c};
  pthread_t threads[3];
  capture_begin();
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, talk, who[i]), 0);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  char *text = capture_end(), *save;
  int lines = 0;
  for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), lines++) {
    char expected[200];
    const char *at = strstr(line, "who=");
    assert_non_null(at);
    const char *name = who[at[4] - 'a'];
    snprintf(expected, sizeof expected, "who=%s value=\"%s\"", name, name);
    assert_string_equal(at, expected);
    assert_int_equal(at - line, strlen("time=2026-01-05T08:30:00.250Z level=info event=talk "));
  }
  assert_int_equal(lines, 1500);
  free(text);
}

static void quoting(void **state) {
  (void)state;
  assert_string_equal(log_quote("plain"), "\"plain\"");
  assert_string_equal(log_quote(""), "\"\"");
  assert_string_equal(log_quote(NULL), "\"\"");
  assert_string_equal(log_quote("say \"hi\\\""), "\"say \\\"hi\\\\\\\"\"");
  assert_string_equal(log_quote("a\nb\tc\rd\x01"
                                "e\x7f"),
                      "\"a\\nb\\tc\\rd\\u0001e\\u007f\"");
  assert_string_equal(log_quote("Zoë 😀"), "\"Zoë 😀\"");
  assert_string_equal(log_quote("\xff\xc3"), "\"\\ufffd\\ufffd\"");
  assert_string_equal(log_quote("\xc2\x9b[2J\xc2\xa0"), "\"\\u009b[2J\xc2\xa0\"");
}

static void long_quotes_are_cut_whole(void **state) {
  (void)state;
  static const char *const parts[] = {"x", "é", "😀", "\"", "\x01", "\xff"};
  for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
    for (int shift = 0; shift < 8; shift++) {
      char text[2100] = {0};
      memset(text, 'a', (size_t)shift);
      while (strlen(text) < 2000) strcat(text, parts[p]);
      const char *quoted = log_quote(text);
      size_t n = strlen(quoted);
      assert_true(n > 490 && n < 512);
      assert_true(bytes_is_utf8(bytes_str(quoted)));
      assert_string_equal(quoted + n - 4, "…\"");
    }
}

static void four_quotes_live_at_once(void **state) {
  (void)state;
  char line[100];
  snprintf(line, sizeof line, "%s%s%s%s", log_quote("a"), log_quote("b"), log_quote("c"), log_quote("d"));
  assert_string_equal(line, "\"a\"\"b\"\"c\"\"d\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_is_logfmt),
      cmocka_unit_test(levels_below_are_silent),
      cmocka_unit_test(a_line_stays_one_line_and_is_cut_whole),
      cmocka_unit_test(threads_do_not_mix),
      cmocka_unit_test(quoting),
      cmocka_unit_test(long_quotes_are_cut_whole),
      cmocka_unit_test(four_quotes_live_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
