#include "lua/sandbox.h"
#include "base/check.h"
#include "base/clock.h"
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HOOK_EVERY  100 // instructions: with blocks bounded by BLOCK_SHARE a few hundred ms of copying at worst
#define BLOCK_SHARE 8   // no block above this share of memory_max
#define STACK_MAX   ((uintptr_t)512 << 10) // C stack below sandbox_enter
#define MEMORY_MIN  ((size_t)128 << 10)    // with less lua_newstate may fail half-way, which LuaJIT does not survive
#define LOOK_NS     1000000                // how often the CPU clock is read, in time of the cheap clock

struct sandbox *sandbox_of(lua_State *L) {
  void *user;
  (void)lua_getallocf(L, &user);
  return user;
}

static uint64_t cpu_ns(void) {
  struct timespec t;
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// ---- stopping ----
static void on_count(lua_State *L, lua_Debug *ar);

// Without allocating: it is called when memory may be short.
static void note_where(lua_State *L, struct sandbox *sb) {
  lua_Debug ar;
  sb->where[0] = 0;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    if (!lua_getinfo(L, "Sl", &ar) || ar.source[0] != '@') continue;
    snprintf(sb->where, sizeof sb->where, "%s:%d: ", ar.source + 1, ar.currentline);
    return;
  }
}

void sandbox_push_where(lua_State *L) {
  struct sandbox *sb = sandbox_of(L);
  note_where(L, sb);
  lua_pushstring(L, sb->where);
}

// Once stopped, the hook raises at each instruction: a pcall catches it and gets no further. The error carries nothing,
// since memory may be what is short.
static _Noreturn void raise_stop(lua_State *L) {
  lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
  lua_pushboolean(L, 0);
  lua_error(L);
  abort(); // lua_error does not return, but is not declared so
}

static void spend(lua_State *L, struct sandbox *sb, uint64_t instructions) {
  if (sb->stop != STOP_NONE) raise_stop(L);
  sb->instructions += instructions;
  if (sb->instructions > sb->limits.instructions_max) {
    sb->stop = STOP_INSTRUCTIONS;
  } else {
    uint64_t now = clock_mono_ns();
    if (now < sb->look_at_ns) return;
    sb->look_at_ns = now + LOOK_NS;
    if (cpu_ns() - sb->cpu_start_ns < (uint64_t)sb->limits.cpu_ms_max * 1000000u) return;
    sb->stop = STOP_CPU;
  }
  note_where(L, sb);
  raise_stop(L);
}

static void on_count(lua_State *L, lua_Debug *ar) {
  (void)ar;
  spend(L, sandbox_of(L), HOOK_EVERY);
}

void sandbox_spend(lua_State *L, size_t instructions) {
  struct sandbox *sb = sandbox_of(L);
  if (sb->limits.hook) spend(L, sb, instructions);
}

// LuaJIT bounds the depth of Lua's calls, not of C's; so the stack itself is measured.
void sandbox_descend(lua_State *L) {
  const struct sandbox *sb = sandbox_of(L);
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  if (sb->stack_start - here > STACK_MAX) luaL_error(L, "functions that call back are nested too deeply");
}

void sandbox_check_size(lua_State *L, const char *what, double bytes) {
  size_t most = sandbox_of(L)->memory.single_max;
  if (bytes > (double)most) luaL_error(L, "%s: the result would be longer than %d KiB", what, (int)(most >> 10));
}

// ---- running ----
void sandbox_enter(struct sandbox *sb) {
  sb->stack_start = (uintptr_t)__builtin_frame_address(0);
  sb->stop = STOP_NONE;
  if (!sb->limits.hook) return;
  sb->instructions = 0;
  sb->cpu_start_ns = cpu_ns();
  sb->look_at_ns = clock_mono_ns() + LOOK_NS;
  lua_sethook(sb->L, on_count, LUA_MASKCOUNT, HOOK_EVERY);
}

int sandbox_explain(struct sandbox *sb, int status, int code, struct error *err) {
  lua_State *L = sb->L;
  if (sb->stop == STOP_INSTRUCTIONS) {
    error_set(err, code, "%sstopped after %llu instructions; is there a loop without an end?", sb->where,
              (unsigned long long)sb->limits.instructions_max);
  } else if (sb->stop == STOP_CPU) {
    error_set(err, code, "%sstopped after %u ms of computing", sb->where, sb->limits.cpu_ms_max);
  } else if (status == LUA_ERRMEM) {
    error_set(err, code, "not enough memory: the limit is %zu KiB in all, %zu KiB for one string or table",
              sb->memory.cap >> 10, sb->memory.single_max >> 10);
  } else if (lua_type(L, -1) == LUA_TSTRING) {
    char text[sizeof err->text];
    snprintf(text, sizeof text, "%s", lua_tostring(L, -1));
    for (char *c = text; *c; c++)
      if ((unsigned char)*c < ' ' || *c == 0x7f) *c = ' '; // one line, whatever a policy puts into its errors
    error_set(err, code, "%s", text);
  } else {
    error_set(err, code, "an error was raised whose value is a %s, not text", luaL_typename(L, -1));
  }
  lua_pop(L, 1);
  return code;
}

int sandbox_run(struct sandbox *sb, lua_CFunction fn, void *user, int code, struct error *err) {
  sandbox_enter(sb);
  int status = lua_cpcall(sb->L, fn, user);
  sandbox_leave(sb);
  return status == 0 ? 0 : sandbox_explain(sb, status, code, err);
}

// ---- opening ----
static int on_panic(lua_State *L) {
  (void)L;
  check_failed("a Lua error outside of a protected call", __FILE__, __LINE__);
}

void sandbox_push(lua_State *L, const char *function) {
  lua_getfield(L, LUA_REGISTRYINDEX, "itd.prelude");
  lua_getfield(L, -1, function);
  lua_remove(L, -2);
}

bool sandbox_push_frozen(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return false;
  lua_pushliteral(L, "__index"); // a table only where the prelude's freeze put one
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

static void open_library(lua_State *L, lua_CFunction open, const char *name) {
  lua_pushcfunction(L, open);
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
}

static void push_names(lua_State *L) {
  size_t count;
  const char *const *names = lua_sandbox_names(&count);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static int open_state(lua_State *L) {
  const struct sandbox *sb = lua_touserdata(L, 1);
  open_library(L, luaopen_base, "");
  open_library(L, luaopen_table, LUA_TABLIBNAME);
  open_library(L, luaopen_string, LUA_STRLIBNAME);
  open_library(L, luaopen_math, LUA_MATHLIBNAME);
  open_library(L, luaopen_bit, LUA_BITLIBNAME);
  open_library(L, luaopen_debug, LUA_DBLIBNAME);
  open_library(L, luaopen_jit, LUA_JITLIBNAME);
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | (sb->limits.hook ? LUAJIT_MODE_OFF : LUAJIT_MODE_ON));
  if (luaL_loadbufferx(L, lua_prelude, strlen(lua_prelude), "=(sandbox)", "t") != 0) lua_error(L);
  library_push(L);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
  lua_getfield(L, -1, "jit.util");
  lua_remove(L, -2);
  lua_call(L, 0, 1);
  push_names(L);
  lua_call(L, 4, 1); // prelude(ours, raw, jit.util, names)
  lua_setfield(L, LUA_REGISTRYINDEX, "itd.prelude");
  return 0;
}

int sandbox_open(const struct lua_module *modules, size_t count, const struct sandbox_limits *limits,
                 struct sandbox **out, struct error *err) {
  struct sandbox *sb = xcalloc(1, sizeof *sb);
  sb->limits = *limits;
  sb->modules = modules;
  sb->module_count = count;
  int rc = 0;
  if (limits->memory_max >= MEMORY_MIN && memory_open(&sb->memory, limits->memory_max))
    sb->L = lua_newstate(memory_allocate, sb);
  if (!sb->L) {
    rc = error_set(err, ITD_EPOLICY, "no memory for a Lua state: %zu KiB are too little", limits->memory_max >> 10);
    goto done;
  }
  lua_atpanic(sb->L, on_panic);
  sb->memory.single_max = limits->memory_max / BLOCK_SHARE;
  rc = sandbox_run(sb, open_state, sb, ITD_EPOLICY, err);
  if (rc != 0) goto done;
  *out = sb;
  sb = NULL;
done:
  sandbox_close(sb);
  return rc;
}

void sandbox_close(struct sandbox *sb) {
  if (!sb) return;
  if (sb->L) {
    lua_sethook(sb->L, NULL, 0, 0);
    lua_close(sb->L);
  }
  memory_close(&sb->memory);
  free(sb);
}
