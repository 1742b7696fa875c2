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
    sb->stop = STOP_DEADLINE;
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
  if (!sb->is_compiled) spend(L, sb, instructions);
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
static void enter(struct sandbox *sb) {
  sb->stack_start = (uintptr_t)__builtin_frame_address(0);
  sb->stop = STOP_NONE;
  if (sb->is_compiled) return;
  sb->instructions = 0;
  sb->cpu_start_ns = cpu_ns();
  sb->look_at_ns = clock_mono_ns() + LOOK_NS;
  lua_sethook(sb->L, on_count, LUA_MASKCOUNT, HOOK_EVERY);
}

// The error on the top of the stack as text of one line.
static void explain_error(struct sandbox *sb, int code, struct error *err) {
  lua_State *L = sb->L;
  if (lua_type(L, -1) != LUA_TSTRING) {
    error_set(err, code, "an error was raised whose value is a %s, not text", luaL_typename(L, -1));
    return;
  }
  char text[sizeof err->text];
  snprintf(text, sizeof text, "%s", lua_tostring(L, -1));
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 0x7f) *c = ' '; // one line, whatever a policy puts into its errors
  error_set(err, code, "%s", text);
}

static int explain(struct sandbox *sb, int status, int code, struct error *err) {
  if (sb->stop == STOP_INSTRUCTIONS) {
    error_set(err, code, "%sstopped after %llu instructions; is there a loop without an end?", sb->where,
              (unsigned long long)sb->limits.instructions_max);
  } else if (sb->stop == STOP_DEADLINE) {
    error_set(err, code, "%sstopped after %u ms of computing", sb->where, sb->limits.cpu_ms_max);
  } else if (status == LUA_ERRMEM) {
    sb->stop = STOP_MEMORY;
    error_set(err, code, "not enough memory: the limit is %zu KiB in all, %zu KiB for one string or table",
              sb->memory.cap >> 10, sb->memory.single_max >> 10);
  } else {
    sb->stop = STOP_ERROR;
    explain_error(sb, code, err);
  }
  lua_pop(sb->L, 1);
  return code;
}

int sandbox_run(struct sandbox *sb, lua_CFunction fn, void *user, int code, struct error *err) {
  CHECK(!sb->is_compiled);
  enter(sb);
  int status = lua_cpcall(sb->L, fn, user);
  sb->stack_start = 0;
  return status == 0 ? 0 : explain(sb, status, code, err);
}

// The state is in the middle of something: it can't be asked where.
static int explain_stopped(struct sandbox *sb, enum guard_end end, int code, struct error *err) {
  if (end == GUARD_STACK) {
    sb->stop = STOP_STACK;
    return error_set(err, code, "stopped at the end of the stack: functions that call back are nested too deeply");
  }
  sb->stop = STOP_DEADLINE;
  return error_set(err, code, "stopped after %llu \u00b5s of computing; is there a loop without an end?",
                   (unsigned long long)sb->limits.deadline_us);
}

int sandbox_call(struct sandbox *sb, int code, struct error *err) {
  enter(sb);
  int status;
  enum guard_end end = GUARD_RETURNED;
  if (sb->is_compiled)
    end = guard_pcall(&sb->guard, sb->L, 0, 0, sb->limits.deadline_us, &status);
  else
    status = lua_pcall(sb->L, 0, 0, 0);
  sb->stack_start = 0;
  if (end != GUARD_RETURNED) return explain_stopped(sb, end, code, err);
  return status == 0 ? 0 : explain(sb, status, code, err);
}

void sandbox_compile(struct sandbox *sb) {
  CHECK(guard_is_there());
  lua_sethook(sb->L, NULL, 0, 0);
  luaJIT_setmode(sb->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
  sb->is_compiled = true;
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
  open_library(L, luaopen_base, "");
  open_library(L, luaopen_table, LUA_TABLIBNAME);
  open_library(L, luaopen_string, LUA_STRLIBNAME);
  open_library(L, luaopen_math, LUA_MATHLIBNAME);
  open_library(L, luaopen_bit, LUA_BITLIBNAME);
  open_library(L, luaopen_debug, LUA_DBLIBNAME);
  open_library(L, luaopen_jit, LUA_JITLIBNAME);
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
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
  guard_discard(
      &sb->guard); // and not lua_close: the state may be in the middle of anything, and all it has is in its memory
  memory_close(&sb->memory);
  free(sb);
}
