// Each script in tests/hostile/scripts returns a function that attacks: it is run as a policy's build and as a custom function
// in a call, under the guard with the JIT on, and under the hook. Its first lines say how that must end:
//   -- ends: TEXT | TEXT   the error has one of the texts (build: and call: say it for one way only)
//   -- build: same         the build succeeds, with the same bytes in five states
//   -- build: -            not run this way
// Afterwards an honest policy must still work, in the same process.
#include "base/file.h"
#include "lua/build.h"
#include "lua/vm.h"
#include "wire/mp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DIR "tests/hostile/scripts"

static const struct lua_limits build_limits = {
    .memory_max = 16u << 20, .instructions_max = 2000000, .output_max = 1u << 20, .cpu_ms_max = 400};
static const struct vm_limits call_limits = {.memory_max = 16u << 20, .instructions_max = 1000000, .deadline_us = 8000};

static const char build_text[] = "local attack = require 'attack' return function(input) return attack(input) end";
static const char call_text[] = "local attack = require 'attack' return function() return { custom = { attack } } end";
static const char chunk[] = "local I, O, M, custom, host = ...\n"
                            "local view = host.view({ visits = 0 }, { region = 0 })\n"
                            "local function run() O[0] = custom[1](view) end\n"
                            "return run, run";
#define NIL BYTES_LIT("\xc0")

struct modules {
  struct lua_module list[3];
};

static struct modules modules_of(const char *main, struct bytes attack) {
  return (struct modules){{{"main", "scripts/main.lua", bytes_str(main), true},
                           {"attack", "p/attack.lua", attack, false},
                           {"helper", "p/helper.lua", bytes_str("return 1"), false}}};
}

// The text after "-- build: " or "-- call: ", else after "-- ends: ".
static bool expectation(const char *script, const char *way, char *out, size_t size) {
  char own[32];
  snprintf(own, sizeof own, "-- %s: ", way);
  const char *at = strstr(script, own);
  if (at)
    at += strlen(own);
  else if ((at = strstr(script, "-- ends: ")))
    at += strlen("-- ends: ");
  if (!at) return false;
  size_t n = strcspn(at, "\n");
  assert_true(n < size);
  memcpy(out, at, n);
  out[n] = 0;
  return true;
}

static bool ends_as(const char *expected, const char *text) {
  char copy[512];
  snprintf(copy, sizeof copy, "%s", expected);
  for (char *save, *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save))
    if (strstr(text, part)) return true;
  return false;
}

static unsigned wrong;

static void check_end(const char *name, const char *way, const char *expected, int rc, int expected_rc,
                      const char *text) {
  if (rc == expected_rc && ends_as(expected, text)) return;
  printf("%s, %s: %d \"%s\", expected \"%s\"\n", name, way, rc, text, expected);
  wrong++;
}

static void run_build(const char *name, struct bytes script, const char *expected) {
  struct modules m = modules_of(build_text, script);
  bool same = strcmp(expected, "same") == 0;
  struct buf first;
  buf_init(&first);
  for (int i = 0; i < (same ? 5 : 1); i++) {
    struct error err = {0};
    struct buf out;
    buf_init(&out);
    int rc = lua_build(m.list, 3, "main", NIL, &build_limits, &out, &err);
    if (!same) {
      check_end(name, "build", expected, rc, ITD_EPOLICY, err.text);
    } else if (rc != 0 || (i > 0 && !bytes_eq(buf_bytes(&out), buf_bytes(&first)))) {
      printf("%s: not the same twice: %s\n", name, err.text);
      wrong++;
    }
    if (i == 0) buf_append_bytes(&first, buf_bytes(&out));
    buf_deinit(&out);
  }
  buf_deinit(&first);
}

static void run_call(const char *name, struct bytes script, const char *expected, bool hook) {
  struct modules m = modules_of(call_text, script);
  struct vm_shape shape = {1, 1, 1};
  struct vm_limits limits = call_limits;
  limits.hook = hook;
  struct error err = {0};
  struct vm *vm;
  int rc = vm_open(m.list, 3, "main", NIL, bytes_str(chunk), &shape, &limits, &vm, &err);
  if (rc != 0) {
    check_end(name, "open", expected, rc, ITD_EPOLICY, err.text);
    return;
  }
  struct bytes region = BYTES_LIT("emea");
  vm_texts(vm, &region, 1);
  for (int i = 0; i < 2; i++) { // the second time in the rebuilt state
    err = (struct error){0};
    rc = vm_call(vm, i == 1, &err);
    check_end(name, hook ? "call under the hook" : "call", expected, rc, ITD_ESTOPPED, err.text);
  }
  vm_close(vm);
}

static void check_honest(void) {
  struct modules m =
      modules_of(build_text, BYTES_LIT("return function() return {string.rep('x', 3), #'abc', math.floor(2.5)} end"));
  struct buf out;
  buf_init(&out);
  assert_int_equal(lua_build(m.list, 3, "main", NIL, &build_limits, &out, NULL), 0);
  assert_int_equal(out.n, 7);
  assert_memory_equal(out.p, "\x93\xa3xxx\x03\x02", 7);
  buf_deinit(&out);
}

static void test_scripts(void **state) {
  (void)state;
  char **names;
  size_t count, run = 0;
  assert_int_equal(dir_list(DIR, 1000, &names, &count, NULL), 0);
  const char *only = getenv("ONLY");
  for (size_t i = 0; i < count; i++) {
    if (!strstr(names[i], ".lua") || (only && !strstr(names[i], only))) continue;
    char path[512], expected[256];
    snprintf(path, sizeof path, DIR "/%s", names[i]);
    struct buf script;
    buf_init(&script);
    assert_int_equal(file_read(path, 1u << 20, &script, NULL), 0);
    buf_append_u8(&script, 0);
    struct bytes text = bytes_of(script.p, script.n - 1);
    assert_true(expectation((const char *)script.p, "build", expected, sizeof expected));
    if (strcmp(expected, "-") != 0) run_build(names[i], text, expected);
    assert_true(expectation((const char *)script.p, "call", expected, sizeof expected));
    for (int hook = !vm_has_guard(); hook < 2; hook++)
      if (strcmp(expected, "-") != 0) run_call(names[i], text, expected, hook);
    buf_deinit(&script);
    check_honest();
    run++;
  }
  dir_list_free(names, count);
  assert_true(only || run > 80);
  assert_int_equal(wrong, 0);
}

// Texts that the compiler of Lua must survive, too long to be files.
static void check_text(const char *head, const char *part, size_t times, const char *tail, const char *expected) {
  struct buf text;
  buf_init(&text);
  buf_append_str(&text, head);
  for (size_t i = 0; i < times; i++) buf_append_str(&text, part);
  buf_append_str(&text, tail);
  run_build(part, buf_bytes(&text), expected);
  buf_deinit(&text);
  check_honest();
}

static void test_long_texts(void **state) {
  (void)state;
  wrong = 0;
  check_text("return ", "(", 100000, "1", "syntax levels");
  check_text("return ", "{", 100000, "", "syntax levels");
  check_text("", "do ", 100000, "", "syntax levels");
  check_text("return ", "- ", 100000, "1", "syntax levels|main function|attack.lua:1");
  check_text("return ", "not ", 100000, "1", "syntax levels|a number value|attempt to call");
  check_text("return ", "function() return ", 10000, "1", "syntax levels|too many|'end' expected");
  check_text("return 'a'", "..'a'", 100000, "", "too many|syntax levels|registers");
  check_text("", "local a ", 1000, "return a", "local variables");
  check_text("local a = 1 return {", "a,", 200000, "}", "attempt to call|too many|memory");
  check_text("return {", "'x'..", 70000, "1}", "too many|registers|syntax levels");
  check_text("", "-- a comment\n", 500000, "error 'read'", "attack.lua:500001: read");
  check_text("return [==[", "]=]", 300000, "", "unfinished long string");
  check_text("a = '", "\\", 99999, "", "unfinished string|invalid escape");
  check_text("if x then ", "elseif x then ", 100000, "end", "unknown name x|too many|memory|jump");
  assert_int_equal(wrong, 0);
}

// Any bytes as a policy's text: an error or not, but nothing worse. The seed is printed.
static void test_random_texts(void **state) {
  (void)state;
  const char *seed = getenv("SEED");
  unsigned random_state = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)getpid();
  printf("SEED=%u\n", random_state);
  static const char *const words[] = {
      "local ", "a ",   "= ",    "function() ", "end ",   "return ",      "{",           "}",
      "(",      ")",    "[[",    "]]",          "'",      "\"",           "\\",          "--",
      "\n",     "^ ",   "1LL",   "0x",          "1e",     "..",           "math.floor ", "while ",
      "do ",    "if ",  "then ", "for ",        "in ",    "pairs ",       ", ",          "goto x ",
      "::x:: ", "not ", "#",     "string.rep ", "pcall ", "\xef\xbb\xbf", "\x1b",        "nil "};
  struct lua_limits limits = {
      .memory_max = 1u << 20, .instructions_max = 10000, .output_max = 1000, .cpu_ms_max = 1000};
  for (int i = 0; i < 4000; i++) {
    struct buf text;
    buf_init(&text);
    for (int n = rand_r(&random_state) % 30; n >= 0; n--)
      buf_append_str(&text, words[(unsigned)rand_r(&random_state) % (sizeof words / sizeof *words)]);
    struct modules m = modules_of(build_text, buf_bytes(&text));
    struct buf out;
    buf_init(&out);
    int rc = lua_build(m.list, 3, "main", NIL, &limits, &out, NULL);
    assert_true(rc == 0 || rc == ITD_EPOLICY);
    buf_deinit(&out);
    buf_deinit(&text);
  }
  check_honest();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_scripts), cmocka_unit_test(test_long_texts),
                                     cmocka_unit_test(test_random_texts)};
  if (getenv("ONLY")) cmocka_set_test_filter("test_scripts"); // ONLY=loop: the scripts whose name has it
  return cmocka_run_group_tests(tests, NULL, NULL);
}
