// Options: defaults, flags, the file, and what wrong ones say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "net/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config config;
static struct error err;

static int setup(void **state) {
  (void)state;
  config_init(&config);
  err = (struct error){0};
  return 0;
}

static int teardown(void **state) {
  (void)state;
  config_deinit(&config);
  return 0;
}

static void defaults_are_those_of_the_contract(void **state) {
  (void)state;
  assert_string_equal(config.listen, "127.0.0.1:7411");
  assert_string_equal(config.http, "127.0.0.1:7412");
  assert_string_equal(config.forward, "127.0.0.1:24224");
  assert_int_equal(config.partitions, 16);
  assert_int_equal(config.sync, 0);
  assert_int_equal(config.clock, ENGINE_CLOCK_WALL);
  assert_int_equal(config.dedupe_window_ms, 86400000);
  struct event_limits events = config_event_limits(&config), preset = EVENT_LIMITS_DEFAULT;
  assert_memory_equal(&events, &preset, sizeof preset);
}

static void refused(const char *name, const char *value, const char *says) {
  struct config before = config;
  err = (struct error){0};
  assert_int_equal(config_set(&config, name, value, &err), ITD_ECONFIG);
  if (!strstr(err.text, says)) fail_msg("\"%s\" lacks \"%s\"", err.text, says);
  assert_memory_equal(&before, &config, sizeof config);
}

static void wrong_options_name_option_value_and_what_is_allowed(void **state) {
  (void)state;
  refused("shards", "many", "option shards: \"many\" is not allowed; allowed: a whole number from 0 to 256");
  refused("shards", "257", "from 0 to 256");
  refused("shards", "", "option shards");
  refused("sync", "sometimes", "one of: always interval off");
  refused("sync", "alway", "one of: always interval off");
  refused("listen", "7411", "HOST:PORT");
  refused("listen", "localhost:99999", "HOST:PORT");
  refused("net.stall", "30", "a duration such as");
  refused("event.bytes", "1t", "bytes, also 64k");
  refused("event.bytes", "9999999999999999999", "event.bytes");
  refused("event.bytes", "9223372036854775807g", "event.bytes");
  refused("lisen", "x", "did you mean \"listen\"?");
  refused("write_key", "nosource", "KEY=SOURCE");
  refused("write_key", "=web", "KEY=SOURCE");
}

static void units_are_read(void **state) {
  (void)state;
  assert_int_equal(config_set(&config, "event.bytes", "128k", &err), 0);
  assert_int_equal(config.event_bytes, 128 * 1024);
  assert_int_equal(config_set(&config, "net.stall", "250ms", &err), 0);
  assert_int_equal(config.net_stall_ms, 250);
  assert_int_equal(config_set(&config, "event.future", "0", &err), 0);
  assert_int_equal(config.event_future_ms, 0);
}

static int flags(int argc, char **argv) {
  bool help, version;
  return config_flags(&config, argc, argv, &help, &version, &err);
}

static char *write_file(const char *text) {
  static char path[] = "/tmp/intentd-config-XXXXXX";
  strcpy(path + strlen(path) - 6, "XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  close(fd);
  return path;
}

static void flags_win_over_the_file_wherever_they_stand(void **state) {
  (void)state;
  char *path =
      write_file("return { shards = 3, sync = 'off', event = { late = '30d' }, write_keys = { k1 = 'web' } }\n");
  char *argv[] = {"intentd", "--shards=5", "--config", path, "--event.future", "1h"};
  assert_int_equal(flags(6, argv), 0);
  unlink(path);
  assert_int_equal(config.shards, 5);
  assert_int_equal(config.sync, 2);
  assert_int_equal(config.event_late_ms, 30 * 86400000ll);
  assert_int_equal(config.event_future_ms, 3600000);
  assert_int_equal(config.write_key_count, 1);
  assert_string_equal(config.write_key[0].key, "k1");
  assert_string_equal(config.write_key[0].source, "web");
}

static void files_that_are_wrong_say_where(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } files[] = {
      {"return { shards = 'many' }", "option shards: \"many\""},
      {"return { event = { lat = '1d' } }", "did you mean \"event.late\"?"},
      {"return 7", "table of options"},
      {"return {", ":1:"},
      {"while true do end", "instructions"},
      {"return { shards = print }", "print"},
      {"return { write_keys = { 'a' } }", "write_keys"},
      {"return { write_keys = 'a=web' }", "write_keys"},
      {"return { write_keys = 7 }", "write_keys"},
      {"return { write_keys = { a = 1 } }", "write_keys"},
      {"", "table of options"},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char *path = write_file(files[i].text);
    char *argv[] = {"intentd", "--config", path};
    err = (struct error){0};
    int status = flags(3, argv);
    unlink(path);
    if (status != ITD_ECONFIG || !strstr(err.text, files[i].says))
      fail_msg("%s: %d \"%s\"", files[i].text, status, err.text);
  }
}

static void flags_without_values_are_refused(void **state) {
  (void)state;
  char *lone[] = {"intentd", "--shards"}, *word[] = {"intentd", "data"},
       *missing[] = {"intentd", "--config", "/nowhere/x.lua"};
  assert_int_equal(flags(2, lone), ITD_ECONFIG);
  assert_non_null(strstr(err.text, "needs a value"));
  assert_int_equal(flags(2, word), ITD_ECONFIG);
  assert_true(flags(3, missing) < 0);
  assert_non_null(strstr(err.text, "/nowhere/x.lua"));
}

static void help_has_a_line_for_every_option(void **state) {
  (void)state;
  struct buf text = {0};
  config_help(&text);
  buf_append_u8(&text, 0);
  static const char *const some[] = {"--listen",           "--clock",     "--event.late",
                                     "--quarantine.bytes", "--write_key", "always interval off"};
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) assert_non_null(strstr((char *)text.p, some[i]));
  buf_deinit(&text);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(defaults_are_those_of_the_contract),
      TEST(wrong_options_name_option_value_and_what_is_allowed),
      TEST(units_are_read),
      TEST(flags_win_over_the_file_wherever_they_stand),
      TEST(files_that_are_wrong_say_where),
      TEST(flags_without_values_are_refused),
      TEST(help_has_a_line_for_every_option),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
