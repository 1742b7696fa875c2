#include "lua/kept.h"
#include "lua/convert.h"
#include "lua/sandbox.h"

#include <stdlib.h>

#define CALL_CPU_MS   1000  // when the limits name none
#define OPEN_CPU_MS   20000 // for loading
#define COLLECT_SHARE 4     // of the memory: with more in use a call begins by collecting
#define REBUILD_SHARE 4     // of the memory: with less that was never handed out the state is built anew

struct kept {
  const struct lua_module *modules;
  size_t module_count;
  const char *entry;
  struct bytes input;
  struct lua_limits limits;
  struct sandbox *sandbox; // NULL: to be rebuilt
  int call_ref;
};

// ---- opening ----

struct opening {
  struct kept *kept;
  struct buf *about; // NULL: known already
};

static void seal_customs(lua_State *L, int about) {
  lua_getfield(L, about, "custom");
  if (!lua_istable(L, -1)) luaL_error(L, "the entry gives no list `custom`");
  size_t count = lua_objlen(L, -1);
  for (size_t i = 1; i <= count; i++) {
    sandbox_push(L, "seal"); // raises with the place
    lua_rawgeti(L, -2, (int)i);
    if (!lua_isfunction(L, -1)) luaL_error(L, "custom function %d is a %s", (int)i, luaL_typename(L, -1));
    lua_call(L, 1, 0);
  }
  lua_pop(L, 1);
}

static int open_kept(lua_State *L) {
  const struct opening *o = lua_touserdata(L, 1);
  struct kept *kept = o->kept;
  sandbox_push(L, "require");
  lua_pushstring(L, kept->entry);
  lua_call(L, 1, 1);
  if (!lua_isfunction(L, -1)) return luaL_error(L, "module %s returns a %s", kept->entry, luaL_typename(L, -1));
  convert_push(L, kept->input);
  lua_call(L, 1, 1);
  int table = lua_gettop(L);
  if (!lua_istable(L, table)) return luaL_error(L, "module %s gives no table", kept->entry);
  seal_customs(L, table);
  lua_getfield(L, table, "about");
  if (o->about) convert_pack(L, lua_gettop(L), "about", kept->limits.output_max, o->about);
  lua_getfield(L, table, "call");
  if (!lua_isfunction(L, -1)) return luaL_error(L, "module %s gives no function `call`", kept->entry);
  kept->call_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

static int open_state(struct kept *kept, struct buf *about, struct error *err) {
  struct sandbox_limits limits = {.memory_max = kept->limits.memory_max,
                                  .instructions_max = LUA_LIMITS_DEFAULT.instructions_max,
                                  .cpu_ms_max = OPEN_CPU_MS};
  struct sandbox *sb;
  int rc = sandbox_open(kept->modules, kept->module_count, &limits, &sb, err);
  if (rc != 0) return rc;
  struct opening opening = {.kept = kept, .about = about};
  size_t start = about ? about->n : 0;
  rc = sandbox_run(sb, open_kept, &opening, ITD_EPOLICY, err);
  if (rc != 0) {
    if (about) about->n = start;
    sandbox_close(sb);
    return rc;
  }
  sb->is_sealed = true;
  sb->limits.instructions_max = kept->limits.instructions_max;
  sb->limits.cpu_ms_max = kept->limits.cpu_ms_max ? kept->limits.cpu_ms_max : CALL_CPU_MS;
  kept->sandbox = sb;
  return 0;
}

int kept_open(const struct lua_module *modules, size_t count, const char *entry, struct bytes input,
              const struct lua_limits *limits, struct kept **out, struct buf *about, struct error *err) {
  int rc = convert_check(input, err);
  if (rc != 0) return rc;
  struct kept *kept = xcalloc(1, sizeof *kept);
  *kept = (struct kept){.modules = modules, .module_count = count, .entry = entry, .input = input, .limits = *limits};
  rc = open_state(kept, about, err);
  if (rc != 0) {
    kept_close(kept);
    return rc;
  }
  *out = kept;
  return 0;
}

void kept_close(struct kept *kept) {
  if (!kept) return;
  sandbox_close(kept->sandbox);
  free(kept);
}

// ---- calling ----

struct call {
  const struct kept *kept;
  struct bytes input;
  struct buf *output;
};

static int run_call(lua_State *L) {
  const struct call *call = lua_touserdata(L, 1);
  const struct kept *kept = call->kept;
  // What earlier calls left must not count against this one.
  if (kept->sandbox->memory.used > kept->limits.memory_max / COLLECT_SHARE) lua_gc(L, LUA_GCCOLLECT, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, kept->call_ref);
  convert_push(L, call->input);
  lua_call(L, 1, 1);
  convert_pack(L, lua_gettop(L), "result", kept->limits.output_max, call->output);
  return 0;
}

int kept_call(struct kept *kept, struct bytes input, struct buf *output, struct error *err) {
  int rc = convert_check(input, err);
  if (rc != 0) return rc;
  if (!kept->sandbox && open_state(kept, NULL, err) != 0) {
    error_prefix(err, "the state could not be rebuilt");
    if (err) err->code = ITD_ESTOPPED;
    return ITD_ESTOPPED;
  }
  struct call call = {.kept = kept, .input = input, .output = output};
  size_t start = output->n;
  rc = sandbox_run(kept->sandbox, run_call, &call, ITD_ESTOPPED, err);
  if (rc != 0) output->n = start;
  // The arena gives blocks back by their size: after a call that took most of it, a later one might find none of its own.
  const struct lua_memory *memory = &kept->sandbox->memory;
  if (rc == 0 && memory->cap - memory->top > memory->cap / REBUILD_SHARE) return 0;
  sandbox_close(kept->sandbox);
  kept->sandbox = NULL;
  return rc;
}
