// Lines of a signal set's declarations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "policy/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_name_has_the_line_that_says_it(void **unused) {
  (void)unused;
  static const struct {
    const char *text;
    int line;
  } rows[] = {
      {"return {\n  { name = \"a\", op = \"count\" },\n}", 2},
      {"name='a'", 1},
      {"\n\nx\tname\t=\t'a'", 3},
      {"return {\r\n{ op = \"count\",\r\n name = \"a\" } }", 3},
      {"{ name = \"a\" }, { name = \"ab\" }, { name = \"b_a\" }", 1},
      {"name = \"a\"\nname = \"a\"", 0},           // which?
      {"surname = \"a\", to = \"a\", (\"a\")", 0}, // others' keys and values
      {"my_name = \"a\"", 0},
      {"name == \"a\"", 0},
      {"name = \"a'", 0},
      {"= \"a\"", 0},
      {"\"a\"", 0},
      {"name = \"a", 0},
      {"name = ", 0},
      {"", 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t n = strlen(rows[i].text);
    uint8_t *exact = xmalloc(n + 1); // nothing behind the text, for the sanitizer
    exact = xrealloc(exact, n ? n : 1);
    if (n) memcpy(exact, rows[i].text, n);
    int line = place_of_name(bytes_of(exact, n), "a");
    free(exact);
    if (line != rows[i].line) fail_msg("row %zu: line %d, not %d", i, line, rows[i].line);
  }
}

static void problems_of_declarations_get_lines(void **unused) {
  (void)unused;
  char path[] = "policies/signals/s/features/f.lua";
  struct lua_module module = {.name = "m", .path = path, .text = BYTES_LIT("return {\n{ name = 'views' } }")};
  struct bundle bundle = {.modules = &module, .count = 1};
  static const struct {
    const char *path, *text;
    int before, after;
  } rows[] = {
      {"policies/signals/s/features/f.lua", "features: views: unknown op", 0, 2},
      {"policies/signals/s/features/f.lua", "schemas: views@2: wrong", 0, 2},
      {"policies/signals/s/features/f.lua", "schema views@12: wrong", 0, 2},
      {"policies/signals/s/features/f.lua", "quality: views: wrong", 0, 2},
      {"policies/signals/s/features/f.lua", "feature 'views' waits", 0, 2},
      {"policies/signals/s/features/f.lua", "features: views: unknown op", 7, 7}, // it knows better
      {"policies/signals/s/features/f.lua", "features: #3: no name", 0, 0},
      {"policies/signals/s/features/f.lua", "features: others: unknown op", 0, 0},
      {"policies/signals/s/features/f.lua", "features: views and more", 0, 0},
      {"policies/signals/s/features/f.lua", "views: unknown op", 0, 0},
      {"policies/signals/s/features", "features: views: unknown op", 0, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct policy_problem problem = {.line = rows[i].before};
    snprintf(problem.path, sizeof problem.path, "%s", rows[i].path);
    snprintf(problem.text, sizeof problem.text, "%s", rows[i].text);
    place_problem(&bundle, &problem);
    if (problem.line != rows[i].after) fail_msg("row %zu: line %d, not %d", i, problem.line, rows[i].after);
    place_problem(NULL, &problem);
  }
}

static void problems_of_a_head_get_lines(void **unused) {
  (void)unused;
  static const char head[] = "return {\n  name = \"s\",\n  ownr = \"x\", owner == 1,\n  version = 1.5,\n"
                             "  personal = { \"ip\",\n \"traits.s\" },\n  labels = { { name = \"won\" } },\n}";
  char path[] = "policies/signals/s/signals.lua";
  struct lua_module module = {.name = "m", .path = path, .text = bytes_str(head)};
  struct bundle bundle = {.modules = &module, .count = 1};
  static const struct {
    const char *text;
    int line;
  } rows[] = {
      {"signal set 's': no key 'ownr'; did you mean 'owner'?", 3},
      {"signal set 's': version is a whole number", 4},
      {"signal set 's' has no rationale", 0},
      {"label 'won': no event 'x' in events", 7},
      {"personal: 'traits.s' is a key of the event itself", 5},
      {"personal is said first: 'ip'", 5},
      {"signal set 's", 0}, // cut: no quote ends it
      {"", 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct policy_problem problem = {0};
    snprintf(problem.path, sizeof problem.path, "%s", path);
    snprintf(problem.text, sizeof problem.text, "%s", rows[i].text);
    place_problem(&bundle, &problem);
    if (problem.line != rows[i].line) fail_msg("%s: line %d, not %d", rows[i].text, problem.line, rows[i].line);
  }
}

static void what_is_declared_twice_has_the_second_line(void **unused) {
  (void)unused;
  char path[] = "policies/signals/s/features/f.lua";
  struct lua_module module = {
      .name = "m", .path = path, .text = BYTES_LIT("{ name = 'a' },\n{ name = 'a' },\n{ name = 'b' }")};
  struct bundle bundle = {.modules = &module, .count = 1};
  struct policy_problem problem = {.path = "policies/signals/s/features/f.lua",
                                   .text = "feature 'a' is declared twice; first in f.lua"};
  place_problem(&bundle, &problem);
  assert_int_equal(problem.line, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_name_has_the_line_that_says_it),
      cmocka_unit_test(problems_of_declarations_get_lines),
      cmocka_unit_test(problems_of_a_head_get_lines),
      cmocka_unit_test(what_is_declared_twice_has_the_second_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
