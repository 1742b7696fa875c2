// guard: calls that would not end, end; those that would, are let be; nothing is left of a stopped call. States have all of
// LuaJIT's libraries here but io, os and ffi: what a policy can't even name must be stopped too.
// GUARD_KILLS=100000 GUARD_BATCHES=500 GUARD_THREADS=8: the long run.
#include "base/check.h"
#include "lua/guard.h"
#include "lua/memory.h"
#include <lauxlib.h>
#include <lualib.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

struct vessel { // a Lua state, and what is needed to throw it away
  struct lua_memory memory;
  struct guard_state guard;
  lua_State *L;
};

static int open_libraries(lua_State *L) {
  static const luaL_Reg libraries[] = {{"", luaopen_base},
                                       {"table", luaopen_table},
                                       {"string", luaopen_string},
                                       {"math", luaopen_math},
                                       {"bit", luaopen_bit},
                                       {"jit", luaopen_jit},
                                       {NULL, NULL}};
  for (const luaL_Reg *l = libraries; l->func; l++) {
    lua_pushcfunction(L, l->func);
    lua_pushstring(L, l->name);
    lua_call(L, 1, 0);
  }
  return 0;
}

static void vessel_open_with(struct vessel *v, size_t cap, lua_Alloc allocate) {
  memset(v, 0, sizeof *v);
  CHECK(memory_open(&v->memory, cap));
  v->L = lua_newstate(allocate, v);
  CHECK(v->L && lua_cpcall(v->L, open_libraries, NULL) == 0);
}
static void vessel_open(struct vessel *v, size_t cap) { vessel_open_with(v, cap, memory_allocate); }

static void vessel_close(struct vessel *v) {
  guard_discard(&v->guard);
  memory_close(&v->memory);
}

static unsigned spin_after, calls_until_spin; // see allocate_and_spin

static int load_and_run(lua_State *L) {
  calls_until_spin = spin_after;
  const char *text = lua_touserdata(L, 1);
  if (luaL_loadbufferx(L, text, strlen(text), "=bomb", "t") != 0) return lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

// GUARD_RETURNED: *status is Lua's.
static enum guard_end run(struct vessel *v, const char *text, uint64_t deadline_us, int *status) {
  lua_pushcfunction(v->L, load_and_run);
  lua_pushlightuserdata(v->L, (void *)(uintptr_t)text);
  return guard_pcall(&v->guard, v->L, 1, 0, deadline_us, status);
}

static bool runs_well(struct vessel *v) {
  static const char text[] =
      "local s = 0 for i = 1, 1000 do s = s + i * 0.5 end assert(s == 250250)\n"
      "local ok, why = pcall(error, 'boom') assert(not ok and why == 'boom')\n"
      "local t = {} for i = 1, 100 do t[i] = tostring(i) end table.sort(t) assert(t[100] == '99')\n"
      "assert(('a,b'):gsub('%a', function(c) return c:upper() end) == 'A,B')";
  int status;
  return run(v, text, 10000000, &status) == GUARD_RETURNED && status == 0;
}

static void must_run_well(void) {
  struct vessel v;
  vessel_open(&v, 4 * MIB);
  for (int i = 0; i < 3; i++) assert_true(runs_well(&v));
  vessel_close(&v);
}

static struct sigaction on_segv, on_bus; // the guard's: cmocka puts its own over them in each test

static void keep_handlers(void) {
  must_run_well();
  CHECK(sigaction(SIGSEGV, NULL, &on_segv) == 0 && sigaction(SIGBUS, NULL, &on_bus) == 0);
}
static void put_handlers(void) {
  CHECK(sigaction(SIGSEGV, &on_segv, NULL) == 0 && sigaction(SIGBUS, &on_bus, NULL) == 0);
}

// ---- what never ends by itself ----
static const struct {
  const char *name, *text;
} bombs[] = {
    {"empty loop", "while true do end"},
    {"empty loop by goto", "::again:: goto again"},
    {"long count", "local x = 0 for i = 1, 1e18 do x = x + i end"},
    {"float steps", "local x = 1 while x ~= 0 do x = x * 1.0000001 if x > 1e300 then x = 1 end end"},
    {"tail calls", "local function f() return f() end f()"},
    {"mutual tail calls", "local g local function f(a) return g(a + 1) end g = function(a) return f(a - 1) end f(0)"},
    {"pattern, exponential", "local s = ('a'):rep(30) s:find(('a?'):rep(30) .. s)"},
    {"pattern, lazy parts", "('a'):rep(3000):find('.-.-.-.-b')"},
    {"pattern, from each place", "local s = ('a'):rep(1e6) for w in s:gmatch('.-b') do end"},
    {"pattern, balance", "local s = ('('):rep(2e5) while true do s:find('%b()') end"},
    {"repeat, caught", "while true do pcall(string.rep, 'x', 1e9) end"},
    {"text doubled, caught", "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end"},
    {"tables, caught", "while true do pcall(function() local t = {} for i = 1, 1e12 do t[i] = i end end) end"},
    {"tables nested, caught", "while true do pcall(function() local t = {} while true do t = { t } end end) end"},
    {"garbage", "local t = {} while true do for i = 1, 100 do t[i] = { i, i .. 'x' } end end"},
    {"keys by the million",
     "while true do local t = {} for i = 1, 1e5 do t[('k'):rep(32) .. i .. ('x'):rep(33)] = i end end"},
    {"error, caught", "while true do pcall(error) end"},
    {"error with text, caught", "local n = 0 while true do n = n + 1 pcall(error, 'e' .. n % 1000) end"},
    {"error in compiled code",
     "local t = {} while true do pcall(function() for i = 1, 300 do local x = t[i] if i == 299 then x = x.y end "
     "end end) end"},
    {"a loop inside pcall", "while true do pcall(function() while true do end end) end"},
    {"pcall of pcall", "local function f() pcall(f) f() end while true do pcall(f) end"},
    {"errors of the handler", "local function h() error 'x' end while true do xpcall(error, h) end"},
    {"recursion, caught", "local function f(n) return 1 + f(n + 1) end while true do pcall(f, 1) end"},
    {"coroutines, back and forth",
     "local a = coroutine.wrap(function() while true do coroutine.yield() end end) while true do a() end"},
    {"coroutines, ever new", "while true do coroutine.wrap(function() coroutine.yield() end)() end"},
    {"coroutines, nested and caught", "local function f() return coroutine.wrap(f)() end while true do pcall(f) end"},
    {"finaliser", "local p = newproxy(true) getmetatable(p).__gc = function() while true do end end p = nil while true "
                  "do p = {} end"},
    {"__index for ever", "local t = setmetatable({}, { __index = function(t, k) return t[(k + 1) % 10] end }) while "
                         "true do pcall(function() return t[1] end) end"},
    {"__tostring nested", "local t = setmetatable({}, {}) getmetatable(t).__tostring = function(x) return tostring(x) "
                          "end while true do pcall(tostring, t) end"},
    {"sort without an order", "local t = {} for i = 1, 5000 do t[i] = i % 17 end while true do pcall(table.sort, t, "
                              "function(a, b) return a ~= b end) end"},
    {"sort, a loop in its comparison", "table.sort({ 3, 1, 2 }, function(a, b) while true do end end)"},
    {"gsub with calls", "local s = ('ab'):rep(1e5) while true do s:gsub('.', function(c) return c end) end"},
    {"concat", "local t = {} for i = 1, 1e5 do t[i] = 'xxxxxxxxxx' end while true do local s = table.concat(t) end"},
    {"format", "while true do local s = string.format('%99.99f%99s', 1e300, 'a') end"},
    {"unpack, caught", "while true do pcall(unpack, {}, 1, 1e7) end"},
    {"reverse and upper", "local s = ('x'):rep(1e6) while true do s = s:reverse():upper():lower() end"},
    {"traces by the thousand",
     "while true do local f = {} for i = 1, 60 do f[i] = function(x) for j = 1, 60 do x = x + j * i end return x end "
     "end for i = 1, 60 do f[i](i) end end"},
    {"side exits", "local n, s = 0, 0 while true do n = n + 1 local m = n % 97 if m % 2 == 0 then s = s + 1 elseif m % "
                   "3 == 0 then s = s - 1 "
                   "elseif m % 5 == 0 then s = s * 2 % 1000 else s = -s end end"},
    {"compiler, ever new text", "local n = 0 while true do n = n + 1 loadstring('return ' .. n)() end"},
    {"compiler, deep text", "while true do loadstring('return ' .. ('('):rep(150) .. '1' .. (')'):rep(150)) end"},
    {"collector", "while true do collectgarbage() end"},
    {"flushed traces", "while true do for i = 1, 1000 do local x = i * 2 end jit.flush() end"},
};
enum { BOMBS = sizeof bombs / sizeof *bombs };

static void test_bombs(void **state) {
  (void)state;
  put_handlers();
  const char *only = getenv("ONLY");
  for (unsigned i = 0; i < BOMBS; i++) {
    if (only && !strstr(bombs[i].name, only)) continue;
    for (int round = 0; round < 3; round++) { // stopped early, in the middle, and warm
      static const uint64_t deadlines_us[] = {300, 2000, 8000};
      struct vessel v;
      vessel_open(&v, 32 * MIB);
      int status = 0;
      enum guard_end end = run(&v, bombs[i].text, deadlines_us[round], &status);
      // Memory may end where no pcall catches it.
      if (end != GUARD_DEADLINE && (end != GUARD_RETURNED || status != LUA_ERRMEM))
        fail_msg("%s: end %d, status %d", bombs[i].name, end, status);
      vessel_close(&v);
    }
    must_run_well();
  }
}

// ---- where a stop arrives ----
static volatile sig_atomic_t may_spin = 1; // never changes: the compiler must not know

static void spin(void) {
  while (may_spin) {
  }
}

// An allocator that never comes back, from the nth call on, in the middle of its lists.
static void *allocate_and_spin(void *user, void *p, size_t old_size, size_t new_size) {
  void *block = memory_allocate(user, p, old_size, new_size);
  if (calls_until_spin && --calls_until_spin == 0) spin();
  return block;
}

static void test_stopped_in_its_allocator(void **state) {
  (void)state;
  for (unsigned n = 1; n < 400; n += 37) {
    struct vessel v;
    vessel_open_with(&v, 16 * MIB, allocate_and_spin);
    spin_after = n;
    int status;
    assert_int_equal(
        run(&v, "local t = {} while true do t[#t % 50 + 1] = { tostring(#t) } for i = 1, 70 do t.x = i .. 'y' end end",
            1000, &status),
        GUARD_DEADLINE);
    calls_until_spin = spin_after = 0;
    vessel_close(&v);
  }
  must_run_well();
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned entered, left, after;

static uint64_t cpu_us(void) {
  struct timespec t;
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void spin_us(uint64_t us) {
  for (uint64_t end = cpu_us() + us; cpu_us() < end;) {
  }
}

static int host_with_lock(lua_State *L) { // runs over while it holds a lock and memory of malloc
  uint64_t us = (uint64_t)lua_tonumber(L, 1);
  guard_hold();
  guard_hold();
  entered++;
  CHECK(pthread_mutex_lock(&lock) == 0);
  char *block = malloc(1000);
  spin_us(us);
  free(block);
  CHECK(pthread_mutex_unlock(&lock) == 0);
  left++;
  guard_release();
  guard_release();
  after++;
  return 0;
}

static int host_that_spins(lua_State *L) {
  (void)L;
  spin();
  return 0;
}

static int host_that_raises(lua_State *L) { // as none should: an error out of held code
  guard_hold();
  return luaL_error(L, "from within");
}

static void put_host(struct vessel *v) {
  lua_pushcfunction(v->L, host_with_lock);
  lua_setglobal(v->L, "with_lock");
  lua_pushcfunction(v->L, host_that_spins);
  lua_setglobal(v->L, "spins");
  lua_pushcfunction(v->L, host_that_raises);
  lua_setglobal(v->L, "raises");
}

static enum guard_end run_with_host(const char *text, uint64_t deadline_us, int *status) {
  struct vessel v;
  vessel_open(&v, 16 * MIB);
  put_host(&v);
  enum guard_end end = run(&v, text, deadline_us, status);
  vessel_close(&v);
  return end;
}

static void test_stopped_in_a_host_call(void **state) {
  (void)state;
  int status = 0;
  entered = left = after = 0;
  assert_int_equal(run_with_host("pcall(with_lock, 30000) error 'went on'", 2000, &status), GUARD_DEADLINE);
  assert_int_equal(entered, 1);
  assert_int_equal(left, 1); // to its end, and not a step further
  assert_int_equal(after, 0);
  assert_int_equal(pthread_mutex_trylock(&lock), 0);
  pthread_mutex_unlock(&lock);

  assert_int_equal(run_with_host("with_lock(100) with_lock(100)", 1000000, &status), GUARD_RETURNED);
  assert_int_equal(status, 0);
  assert_int_equal(after, 2);
  assert_int_equal(run_with_host("while true do with_lock(10) end", 3000, &status), GUARD_DEADLINE);
  assert_int_equal(entered, left);
  assert_int_equal(run_with_host("pcall(spins)", 2000, &status), GUARD_DEADLINE);
  // What an error left held does not stay held.
  assert_int_equal(run_with_host("pcall(raises) pcall(raises) while true do end", 2000, &status), GUARD_DEADLINE);
  assert_int_equal(run_with_host("raises()", 1000000, &status), GUARD_RETURNED);
  assert_int_equal(status, LUA_ERRRUN);
  guard_hold(); // outside of a call: nothing
  guard_release();
  must_run_well();
}

// ---- the stack ----
static const char *const deep[] = {
    "local function f() return (('a'):gsub('a', f)) end f()",
    "local function f() return (('a'):gsub('a', function() pcall(f) end)) end f()",
    "local function f() local t = { 3, 2, 1, 5, 4 } table.sort(t, function(a, b) f() return a < b end) end f()",
    "local t = {} local function f() return tostring(setmetatable({}, { __tostring = f })) end f()",
    "local function f() pcall(error) return (('a'):gsub('a', f)) end f()",
    "while true do local function f() pcall(error) return (('a'):gsub('a', function() pcall(f) end)) end pcall(f) end",
    "local function f() return coroutine.wrap(f)() end f()",
    "local function f(...) return coroutine.resume(coroutine.create(f), ...) end f(1, 2, 3)",
    "local function f() return (('a'):gsub('a', function() return coroutine.wrap(f)() end)) end f()",
    "local function f() pcall(error) return coroutine.wrap(f)() end f()",
    "local function h() return xpcall(error, h) end h()",
};

struct depth {
  unsigned stacks;
  bool is_well;
};

static void *go_deep(void *context) {
  struct depth *d = context;
  d->is_well = true;
  for (unsigned i = 0; i < sizeof deep / sizeof *deep; i++) {
    struct vessel v;
    vessel_open(&v, 512 * MIB);
    int status = 0;
    enum guard_end end = run(&v, deep[i], 3000000, &status);
    d->stacks += end == GUARD_STACK;
    vessel_close(&v);
    vessel_open(&v, 4 * MIB);
    d->is_well &= runs_well(&v);
    vessel_close(&v);
  }
  return NULL;
}

static void test_stack(void **state) {
  (void)state;
  put_handlers();
  struct depth d = {0};
  pthread_t thread;
  guard_thread_create(&thread, go_deep, &d);
  pthread_join(thread, NULL);
  assert_true(d.is_well);
  assert_true(d.stacks > 0);
  struct depth here = {0}; // the first thread's stack, which the kernel lets grow
  go_deep(&here);
  assert_true(here.is_well && here.stacks > 0);
}

static int dies_of(void (*what)(void)) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    what();
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static volatile uintptr_t nowhere = 8; // the compiler must not know
static int host_fault(lua_State *L) {
  (void)L;
  *(volatile int *)nowhere = 1;
  return 0;
}
static void fault(void) { host_fault(NULL); }
static void fault_in_a_call(void) {
  struct vessel v;
  vessel_open(&v, MIB);
  lua_pushcfunction(v.L, host_fault);
  int status;
  (void)guard_pcall(&v.guard, v.L, 0, 0, 1000000, &status);
}

// A fault that is not the end of the stack is nobody's to swallow.
static void test_other_faults(void **state) {
  (void)state;
  put_handlers();
  must_run_well();
  assert_int_equal(dies_of(fault), SIGSEGV);
  assert_int_equal(dies_of(fault_in_a_call), SIGSEGV);
}

// ---- who is stopped ----
static unsigned env_number(const char *name, unsigned otherwise) {
  const char *text = getenv(name);
  return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static _Atomic unsigned innocent, stopped, wrong;

static void *call_innocently(void *context) {
  (void)context;
  struct vessel v;
  vessel_open(&v, 4 * MIB);
  int status;
  for (int i = 0; i < 5; i++) {
    // About a tenth of the deadline; with more threads than cores it waits longer than the deadline.
    enum guard_end end = run(&v, "local s = 0 for i = 1, 1000000 do s = s + i % 7 end", 100000, &status);
    innocent++;
    if (end != GUARD_RETURNED) {
      stopped++;
      break;
    }
    wrong += status != 0;
  }
  vessel_close(&v);
  return NULL;
}

// What the watchdog knows of a thread must not pass to the next one in its place.
static void test_no_innocent_is_stopped(void **state) {
  (void)state;
  for (unsigned batch = 0; batch < env_number("GUARD_BATCHES", 15); batch++) {
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) guard_thread_create(&threads[i], call_innocently, NULL);
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
  }
  printf("%u innocent calls\n", innocent);
  assert_int_equal(stopped, 0);
  assert_int_equal(wrong, 0);
}

static int host_spin_us(lua_State *L) {
  spin_us((uint64_t)lua_tonumber(L, 1));
  return 0;
}

// Calls that take about as long as they may. Whichever way they end, the thread's next wait is not cut short by a signal
// that came too late.
static void test_no_signal_goes_astray(void **state) {
  (void)state;
  unsigned seed = env_number("SEED", (unsigned)time(NULL)), ended[2] = {0};
  printf("SEED=%u\n", seed);
  struct vessel v;
  vessel_open(&v, MIB);
  for (int i = 0; i < 400; i++) {
    lua_pushcfunction(v.L, host_spin_us);
    lua_pushnumber(v.L, 200 + rand_r(&seed) % 2400);
    int status;
    enum guard_end end = guard_pcall(&v.guard, v.L, 1, 0, 500, &status);
    const struct timespec moment = {.tv_nsec = 20000};
    assert_int_equal(nanosleep(&moment, NULL), 0);
    ended[end == GUARD_DEADLINE]++;
    if (end == GUARD_RETURNED) continue;
    vessel_close(&v);
    vessel_open(&v, MIB);
  }
  printf("%u returned, %u stopped\n", ended[0], ended[1]);
  vessel_close(&v);
}

static void test_after_a_rest(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    const struct timespec rest = {.tv_nsec = 250000000}; // the watchdog falls asleep
    nanosleep(&rest, NULL);
    int status;
    assert_int_equal(run_with_host("while true do end", 1000, &status), GUARD_DEADLINE);
  }
}

// ---- many ----
static long resident_kb(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  long all, resident;
  CHECK(f && fscanf(f, "%ld %ld", &all, &resident) == 2);
  fclose(f);
  return resident * 4;
}

static long count_maps(void) {
  FILE *f = fopen("/proc/self/maps", "r");
  CHECK(f);
  long count = 0;
  for (int c; (c = getc(f)) != EOF;) count += c == '\n';
  fclose(f);
  return count;
}

struct footprint {
  long resident_kb, maps;
  size_t heap;
};
static struct footprint footprint(void) {
  struct mallinfo2 m = mallinfo2();
  return (struct footprint){resident_kb(), count_maps(), m.uordblks + m.hblkhd};
}

struct killer {
  pthread_t thread;
  unsigned seed, kills, done, wrong;
};

static void *kill_many(void *context) {
  struct killer *k = context;
  struct vessel good; // lives on beside those that are thrown away
  vessel_open(&good, 8 * MIB);
  while (k->done < k->kills) {
    struct vessel v;
    vessel_open(&v, 16 * MIB);
    int status;
    unsigned bomb = (unsigned)rand_r(&k->seed) % BOMBS;
    uint64_t deadline_us = 20 + (unsigned)rand_r(&k->seed) % 400;
    k->done += run(&v, bombs[bomb].text, deadline_us, &status) == GUARD_DEADLINE;
    vessel_close(&v);
    k->wrong += !runs_well(&good);
  }
  vessel_close(&good);
  return NULL;
}

static void kill_on_threads(unsigned threads, unsigned kills, unsigned seed) {
  struct killer killers[64];
  assert_true(threads <= 64);
  for (unsigned i = 0; i < threads; i++) {
    killers[i] = (struct killer){.seed = seed + i, .kills = kills / threads + 1};
    guard_thread_create(&killers[i].thread, kill_many, &killers[i]);
  }
  unsigned bad = 0;
  for (unsigned i = 0; i < threads; i++) {
    pthread_join(killers[i].thread, NULL);
    bad += killers[i].wrong;
  }
  assert_int_equal(bad, 0);
}

static void test_many_kills(void **state) {
  (void)state;
  put_handlers();
  unsigned kills = env_number("GUARD_KILLS", 1500), threads = env_number("GUARD_THREADS", 4);
  unsigned seed = env_number("SEED", (unsigned)time(NULL));
  printf("SEED=%u\n", seed);
  kill_on_threads(threads, kills / 3, seed); // malloc's arenas and thread stacks are as many as they get
  struct footprint before = footprint();
  kill_on_threads(threads, kills, seed + 1000);
  struct footprint now = footprint();
  printf("%u kills on %u threads: resident %ld -> %ld KiB, maps %ld -> %ld, heap %zu -> %zu bytes\n", kills, threads,
         before.resident_kb, now.resident_kb, before.maps, now.maps, before.heap, now.heap);
  assert_true(now.maps <= before.maps + 8);
  assert_true(now.heap <= before.heap + 16384);
  assert_true(now.resident_kb <= before.resident_kb + 4096);
}

int main(void) {
  if (!guard_is_there()) {
    printf("this build has no guard: policies run under the hook, which test_vm and test_hostile try\n");
    return 0;
  }
  keep_handlers();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bombs),
      cmocka_unit_test(test_stopped_in_its_allocator),
      cmocka_unit_test(test_stopped_in_a_host_call),
      cmocka_unit_test(test_stack),
      cmocka_unit_test(test_other_faults),
      cmocka_unit_test(test_no_innocent_is_stopped),
      cmocka_unit_test(test_no_signal_goes_astray),
      cmocka_unit_test(test_after_a_rest),
      cmocka_unit_test(test_many_kills),
  };
  if (getenv("ONLY")) cmocka_set_test_filter("test_bombs");
  if (getenv("TEST")) cmocka_set_test_filter(getenv("TEST"));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
