// The command line: what is given is found, what is wrong is named, and each command's own rows hold together.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "cli/command.h"

#include <stdio.h>

static const struct option rows[] = {
    {"count", "N", "how many"}, {"verbose", NULL, "say more"}, {"name", "TEXT", "what it is called"}, {0}};
static const struct command sample = {.name = "sample",
                                      .operands = "FILE",
                                      .operands_min = 1,
                                      .operands_max = 2,
                                      .uses = USES_DAEMON,
                                      .summary = "a command",
                                      .help = "It helps.",
                                      .options = rows};

static struct args args;
static struct error err;

static int parse(int argc, const char *const *argv) {
  err = (struct error){0};
  return args_parse(&sample, argc, (char *const *)(uintptr_t)argv, &args, &err);
}
#define PARSE(...) parse(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void expect_fault(const char *text) {
  if (!strstr(err.text, text)) fail_msg("\"%s\" has no \"%s\"", err.text, text);
}

static void test_given(void **state) {
  (void)state;
  assert_int_equal(PARSE("a.csv", "--count", "3", "--verbose", "--to=[::1]:7", "b.csv"), 0);
  assert_int_equal(args.operand_count, 2);
  assert_string_equal(args.operand[0], "a.csv");
  assert_string_equal(args.operand[1], "b.csv");
  assert_true(args_flag(&args, "verbose"));
  assert_false(args_flag(&args, "json"));
  assert_string_equal(args_text(&args, "to"), "[::1]:7");
  assert_null(args_text(&args, "name"));
}

static void test_odd_but_right(void **state) {
  (void)state;
  assert_int_equal(PARSE("-", "--name", "--verbose"), 0); // a value may look like an option
  assert_string_equal(args.operand[0], "-");
  assert_string_equal(args_text(&args, "name"), "--verbose");
  assert_false(args_flag(&args, "verbose"));
  assert_int_equal(PARSE("--", "--count"), 0);
  assert_string_equal(args.operand[0], "--count");
  assert_int_equal(PARSE("x", "--name=a=b", "--name="), 0);
  assert_string_equal(args_text(&args, "name"), ""); // the last one counts, and it is empty, not missing
  const char *all[4];
  assert_int_equal(args_all(&args, "name", all, 4), 2);
  assert_string_equal(all[0], "a=b");
  assert_int_equal(args_all(&args, "name", all, 1), 1);
  assert_int_equal(args_all(&args, "count", all, 4), 0);
  assert_int_equal(PARSE("--bogus", "-h"), 0);
  assert_true(args.help);
  assert_int_equal(PARSE("x", "--", "--help"), 0);
  assert_false(args.help);
}

static void test_wrong(void **state) {
  (void)state;
  assert_int_equal(PARSE("x", "--cuont", "3"), ITD_EINVAL);
  expect_fault("no option --cuont; did you mean --count?");
  assert_int_equal(PARSE("x", "--qqqqqq"), ITD_EINVAL);
  assert_null(strstr(err.text, "did you mean"));
  assert_int_equal(PARSE("x", "--count"), ITD_EINVAL);
  expect_fault("--count N");
  assert_int_equal(PARSE("x", "--verbose=yes"), ITD_EINVAL);
  expect_fault("takes no value");
  assert_int_equal(PARSE("x", "-v"), ITD_EINVAL);
  expect_fault("options are words");
  assert_int_equal(PARSE("x", "y", "z"), ITD_EINVAL);
  expect_fault("too much");
  assert_int_equal(PARSE("--verbose"), ITD_EINVAL);
  expect_fault("too little");
  assert_int_equal(
      PARSE("x", "--", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"),
      ITD_EINVAL);
}

static void test_numbers(void **state) {
  (void)state;
  int64_t n = -7;
  assert_int_equal(PARSE("x"), 0);
  assert_int_equal(args_number(&args, "count", 42, 1, 100, &n, &err), 0);
  assert_int_equal(n, 42);
  static const char *const bad[] = {"0", "101", "",    " 5", "5 ", "5x", "0x5", "1e3", "99999999999999999999",
                                    "-", "+5",  "five"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    n = -7;
    assert_int_equal(PARSE("x", "--count", bad[i]), 0);
    if (args_number(&args, "count", 42, 1, 100, &n, &err) != ITD_EINVAL) fail_msg("\"%s\" was taken", bad[i]);
    assert_int_equal(n, -7);
    expect_fault("from 1 to 100");
  }
  assert_int_equal(PARSE("x", "--count=-3"), 0);
  assert_int_equal(args_number(&args, "count", 42, -5, 100, &n, &err), 0);
  assert_int_equal(n, -3);
}

static void test_help_names_every_option(void **state) {
  (void)state;
  static const struct command *const all[] = {&command_send,    &command_import,  &command_lead,  &command_account,
                                              &command_explain, &command_tail,    &command_check, &command_test,
                                              &command_policy,  &command_simulate};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    struct buf text = {0};
    args_help(all[i], &text);
    buf_append_u8(&text, 0);
    assert_int_equal(args_parse(all[i], 1, (char *const[]){"--help"}, &args, &err), 0);
    assert_true(args.help);
    for (size_t j = 0; j < args.option_count; j++) {
      char name[40];
      snprintf(name, sizeof name, "  --%s", args.option[j]->name);
      assert_non_null(strstr((const char *)text.p, name));
      for (size_t k = 0; k < j; k++) assert_string_not_equal(args.option[j]->name, args.option[k]->name);
    }
    assert_true(all[i]->operands_max <= OPERANDS_MAX && all[i]->operands_min <= all[i]->operands_max);
    assert_non_null(strstr((const char *)text.p, all[i]->summary));
    buf_deinit(&text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_given),   cmocka_unit_test(test_odd_but_right),           cmocka_unit_test(test_wrong),
      cmocka_unit_test(test_numbers), cmocka_unit_test(test_help_names_every_option),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
