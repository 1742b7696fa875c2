#include "lua/vm.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/pmath.h"
#include "lua/convert.h"
#include "lua/sandbox.h"
#include <lualib.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#define OPEN_CPU_MS 20000 // for loading
#define HOOK_TIMES  50    // what runs interpreted under a hook takes up to this many times as long
#define HOOK_CPU_MS 5000  // at most
#define REBUILD_SHARE                                                                                                  \
  2 // of the memory: with more handed out the state is built anew, so that no call meets another's leavings

struct vm {
  struct arena copies; // of what a rebuild needs
  const struct lua_module *modules;
  size_t module_count;
  const char *entry;
  struct bytes input, source;
  struct vm_limits limits;
  struct sandbox *sandbox; // NULL: to be rebuilt
  double *in, *out, *memory;
  const struct bytes *texts;
  size_t text_count;
  uint64_t *times_ns, tick_ns; // of the tracing variant's rules; NULL: they are not asked for
  size_t time_count;
  enum stop stop; // of the last call
  int plain_ref, trace_ref;
};

// The two functions lie at the bottom of the state's stack.
enum { PLAIN_INDEX = 1, TRACE_INDEX };

// The arrays as FFI pointers, and host's functions in a form that the JIT compiles. round_even: adding and taking away
// 2^52 rounds, ties to even, in the processor's default mode; a zero keeps the sign of what was rounded.
static const char binder[] = //
    "local ffi, i, o, m, exp2, proxy, host, vm, tick = ...\n"
    "local call_exp2 = ffi.cast('double (*)(double)', exp2)\n"
    "local numbers_in = ffi.cast('double *', i)\n"
    "function host.exp2(x) return call_exp2(x) end\n"
    "local this, call_tick = ffi.cast('void *', vm), ffi.cast('void (*)(void *, double)', tick)\n"
    "function host.tick(rule) call_tick(this, rule) end\n"
    "function host.round_even(x)\n"
    "  if x >= 4503599627370496 or x <= -4503599627370496 then return x end\n"
    "  local rounded\n"
    "  if x > 0 then rounded = (x + 4503599627370496) - 4503599627370496\n"
    "  else rounded = (x - 4503599627370496) + 4503599627370496 end\n"
    "  if rounded == 0 then return x * 0 end\n"
    "  return rounded\n"
    "end\n"
    "local text, unknown, refuse = host.text, host.unknown, host.refuse\n"
    "host.unknown, host.refuse = nil, nil\n"
    "function host.view(numbers, texts)\n"
    "  local function read(_, name)\n"
    "    local place = numbers[name]\n"
    "    if place then return numbers_in[place] end\n"
    "    place = texts[name]\n"
    "    if place then return text(place) end\n"
    "    unknown(name)\n"
    "  end\n"
    "  return proxy({ __index = read, __newindex = refuse, __metatable = false })\n"
    "end\n"
    "return numbers_in, ffi.cast('double *', o), ffi.cast('double *', m)\n";

// ---- host ----
static int host_text(lua_State *L) { // upvalue: the vm
  const struct vm *vm = lua_touserdata(L, lua_upvalueindex(1));
  lua_Number number = luaL_checknumber(L, 1);
  bool is_there = number >= 0 && number < (lua_Number)vm->text_count && vm->texts[(size_t)number].n > 0;
  if (is_there)
    lua_pushlstring(L, (const char *)vm->texts[(size_t)number].p, vm->texts[(size_t)number].n);
  else
    lua_pushnil(L);
  return 1;
}

static int view_unknown(lua_State *L) {
  sandbox_push_where(L);
  lua_pushfstring(L, "the function does not read %s; name it in reads",
                  lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : luaL_typename(L, 1));
  lua_concat(L, 2);
  return lua_error(L);
}

static int view_refuse(lua_State *L) { return luaL_error(L, "no modification allowed: a view is read-only"); }

static void push_host(lua_State *L, struct vm *vm) {
  lua_newtable(L);
  lua_pushlightuserdata(L, vm);
  lua_pushcclosure(L, host_text, 1);
  lua_setfield(L, -2, "text");
  lua_pushcfunction(L, view_unknown);
  lua_setfield(L, -2, "unknown");
  lua_pushcfunction(L, view_refuse);
  lua_setfield(L, -2, "refuse");
  lua_getfield(L, LUA_GLOBALSINDEX, "math"); // LuaJIT's floor is exact, and compiled
  lua_getfield(L, -1, "floor");
  lua_setfield(L, -3, "floor");
  lua_pop(L, 1);
}

// What went by since the last tick is what this rule cost. The policy learns nothing of it.
static void tick(void *context, double rule) {
  struct vm *vm = context;
  if (!vm->times_ns) return;
  uint64_t now_ns = clock_mono_ns();
  if (rule >= 0 && rule < (double)vm->time_count) vm->times_ns[(size_t)rule] += now_ns - vm->tick_ns;
  vm->tick_ns = clock_mono_ns();
}

// ---- opening ----
// One custom function, on the top of the stack: has no state of its own, and can reach none.
static void check_custom(lua_State *L, size_t number) {
  if (!lua_isfunction(L, -1)) luaL_error(L, "custom function %d is a %s", (int)number, luaL_typename(L, -1));
  sandbox_push(L, "seal"); // raises with the place
  lua_pushvalue(L, -2);
  lua_call(L, 1, 0);
}

static void push_custom(lua_State *L, const struct vm *vm) {
  lua_newtable(L);
  if (!vm->modules) return;
  int list = lua_gettop(L);
  sandbox_push(L, "require");
  lua_pushstring(L, vm->entry);
  lua_call(L, 1, 1);
  if (!lua_isfunction(L, -1))
    luaL_error(L, "module %s returns a %s, not the function that builds", vm->entry, luaL_typename(L, -1));
  convert_push(L, vm->input);
  lua_call(L, 1, 1);
  if (!lua_istable(L, -1))
    luaL_error(L, "module %s gives a %s instead of a table with `custom`", vm->entry, luaL_typename(L, -1));
  lua_pushliteral(L, "custom");
  lua_rawget(L, -2);
  if (!lua_istable(L, -1)) luaL_error(L, "module %s gives no list `custom`", vm->entry);
  size_t count = lua_objlen(L, -1);
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, (int)i);
    check_custom(L, i);
    lua_rawseti(L, list, (int)i);
  }
  lua_settop(L, list);
}

// Pushes the compiled chunk, with an environment that has no name.
static void push_chunk(lua_State *L, const struct vm *vm) {
  const char *text = vm->source.n ? (const char *)vm->source.p : "";
  if (luaL_loadbufferx(L, text, vm->source.n, "=compiled policy", "t") != 0) lua_error(L);
  sandbox_push(L, "inspect");
  lua_pushvalue(L, -2);
  lua_call(L, 1, 0);
}

static int open_vm(lua_State *L) {
  struct vm *vm = lua_touserdata(L, 1);
  push_custom(L, vm);
  push_host(L, vm);
  int custom = lua_gettop(L) - 1, host = custom + 1;
  push_chunk(L, vm);
  if (luaL_loadbufferx(L, binder, sizeof binder - 1, "=(sandbox)", "t") != 0) return lua_error(L);
  lua_pushcfunction(L, luaopen_ffi);
  lua_call(L, 0, 1);
  lua_pushlightuserdata(L, vm->in);
  lua_pushlightuserdata(L, vm->out);
  lua_pushlightuserdata(L, vm->memory);
  double (*exp2)(double) = pm_exp2;
  void *exp2_address;
  memcpy(&exp2_address, &exp2, sizeof exp2_address);
  lua_pushlightuserdata(L, exp2_address);
  lua_pushcfunction(L, sandbox_proxy);
  lua_pushvalue(L, host);
  lua_pushlightuserdata(L, vm);
  void (*ticks)(void *, double) = tick;
  void *tick_address;
  memcpy(&tick_address, &ticks, sizeof tick_address);
  lua_pushlightuserdata(L, tick_address);
  lua_call(L, 9, 3); // I, O, M
  lua_pushvalue(L, custom);
  lua_pushvalue(L, host);
  lua_call(L, 5, 2);
  if (!lua_isfunction(L, -1) || !lua_isfunction(L, -2))
    return luaL_error(L, "the compiled policy must return two functions");
  vm->trace_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  vm->plain_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

static uint32_t hook_cpu_ms(uint64_t deadline_us) {
  uint64_t ms = deadline_us < UINT64_MAX / HOOK_TIMES ? deadline_us * HOOK_TIMES / 1000 + 1 : HOOK_CPU_MS;
  return ms < HOOK_CPU_MS ? (uint32_t)ms : HOOK_CPU_MS;
}

static int open_sandbox(struct vm *vm, struct error *err) {
  struct sandbox_limits limits = {.memory_max = vm->limits.memory_max,
                                  .instructions_max = LUA_LIMITS_DEFAULT.instructions_max,
                                  .cpu_ms_max = OPEN_CPU_MS,
                                  .deadline_us = vm->limits.deadline_us};
  struct sandbox *sb;
  int rc = sandbox_open(vm->modules, vm->module_count, &limits, &sb, err);
  if (rc != 0) return rc;
  rc = sandbox_run(sb, open_vm, vm, ITD_EPOLICY, err);
  if (rc != 0) {
    sandbox_close(sb);
    return rc;
  }
  sb->is_sealed = true;
  sb->limits.instructions_max = vm->limits.instructions_max;
  sb->limits.cpu_ms_max = hook_cpu_ms(vm->limits.deadline_us);
  lua_settop(sb->L, 0); // rawgeti allocates nothing, so it cannot raise
  lua_rawgeti(sb->L, LUA_REGISTRYINDEX, vm->plain_ref);
  lua_rawgeti(sb->L, LUA_REGISTRYINDEX, vm->trace_ref);
  if (!vm->limits.hook) sandbox_compile(sb);
  vm->sandbox = sb;
  return 0;
}

static void copy_modules(struct vm *vm, const struct lua_module *modules, size_t count) {
  struct lua_module *copies = arena_alloc(&vm->copies, (count + 1) * sizeof *copies);
  for (size_t i = 0; i < count; i++)
    copies[i] = (struct lua_module){.name = arena_str(&vm->copies, bytes_str(modules[i].name)),
                                    .path = arena_str(&vm->copies, bytes_str(modules[i].path)),
                                    .text = arena_copy(&vm->copies, modules[i].text),
                                    .is_library = modules[i].is_library};
  vm->modules = copies;
  vm->module_count = count;
}

int vm_open(const struct lua_module *modules, size_t count, const char *entry, struct bytes input, struct bytes source,
            const struct vm_shape *shape, const struct vm_limits *limits, struct vm **out, struct error *err) {
  if (modules && convert_check(input, err) != 0) return ITD_EINVAL;
  struct vm *vm = xcalloc(1, sizeof *vm);
  arena_init(&vm->copies);
  vm->limits = *limits;
  vm->limits.hook = limits->hook || !guard_is_there();
  if (modules) {
    copy_modules(vm, modules, count);
    vm->entry = arena_str(&vm->copies, bytes_str(entry));
    vm->input = arena_copy(&vm->copies, input);
  }
  vm->source = arena_copy(&vm->copies, source);
  size_t doubles = (size_t)shape->in_count + shape->out_count + shape->memory_count;
  vm->in = xcalloc(doubles + 1, sizeof(double));
  vm->out = vm->in + shape->in_count;
  vm->memory = vm->out + shape->out_count;
  int rc = open_sandbox(vm, err);
  if (rc != 0) {
    vm_close(vm);
    return rc;
  }
  *out = vm;
  return 0;
}

void vm_close(struct vm *vm) {
  if (!vm) return;
  sandbox_close(vm->sandbox);
  free(vm->in);
  arena_deinit(&vm->copies);
  free(vm);
}

double *vm_in(struct vm *vm) { return vm->in; }
double *vm_out(struct vm *vm) { return vm->out; }
double *vm_memory(struct vm *vm) { return vm->memory; }

void vm_texts(struct vm *vm, const struct bytes *texts, size_t count) {
  vm->texts = texts;
  vm->text_count = count;
}

void vm_time(struct vm *vm, uint64_t *times_ns, size_t count) {
  vm->times_ns = times_ns;
  vm->time_count = count;
}

static _Atomic uint64_t stops[STOP_END];

uint64_t vm_stops(enum stop why) { return atomic_load_explicit(&stops[why], memory_order_relaxed); }
bool vm_has_guard(void) { return guard_is_there(); }

void vm_thread_create(pthread_t *thread, void *(*run)(void *), void *context) {
  guard_thread_create(thread, run, context);
}

int vm_call(struct vm *vm, bool trace, struct error *err) {
  vm->stop = STOP_ERROR;
  if (!vm->sandbox && open_sandbox(vm, err) != 0) {
    error_prefix(err, "the policy's state could not be rebuilt");
    if (err) err->code = ITD_ESTOPPED;
    return ITD_ESTOPPED;
  }
  struct sandbox *sb = vm->sandbox;
  lua_pushvalue(sb->L, trace ? TRACE_INDEX : PLAIN_INDEX);
  int rc = sandbox_call(sb, ITD_ESTOPPED, err);
  vm->stop = sb->stop;
  if (rc != 0) atomic_fetch_add_explicit(&stops[sb->stop], 1, memory_order_relaxed);
  // An error that was raised, and unwound, leaves a state that keeps nothing between two calls as it was. Others do not.
  bool is_whole = rc == 0 || sb->stop == STOP_ERROR;
  if (is_whole && sb->memory.top <= sb->memory.cap / REBUILD_SHARE) return rc;
  sandbox_close(sb);
  vm->sandbox = NULL;
  return rc;
}

enum stop vm_stop(const struct vm *vm) { return vm->stop; }
size_t vm_memory_used(const struct vm *vm) { return vm->sandbox ? vm->sandbox->memory.used : 0; }
