#include "lua/build.h"
#include "lua/convert.h"
#include "lua/sandbox.h"

#define BUILD_CPU_MS 20000 // when lua_limits names none

struct build {
  const char *entry;
  struct bytes input;
  size_t output_max;
  struct buf *output;
};

static int run_build(lua_State *L) {
  const struct build *b = lua_touserdata(L, 1);
  sandbox_push(L, "require");
  lua_pushstring(L, b->entry);
  lua_call(L, 1, 1);
  if (lua_type(L, -1) != LUA_TFUNCTION)
    return luaL_error(L, "module %s returns a %s; the entry returns the function that builds", b->entry,
                      luaL_typename(L, -1));
  convert_push(L, b->input);
  lua_call(L, 1, 1);
  convert_pack(L, lua_gettop(L), "result", b->output_max, b->output);
  return 0;
}

int lua_build(const struct lua_module *modules, size_t count, const char *entry, struct bytes input,
              const struct lua_limits *limits, struct buf *output, struct error *err) {
  int rc = convert_check(input, err);
  if (rc != 0) return rc;
  struct sandbox_limits sandbox_limits = {.memory_max = limits->memory_max,
                                          .instructions_max = limits->instructions_max,
                                          .cpu_ms_max = limits->cpu_ms_max ? limits->cpu_ms_max : BUILD_CPU_MS};
  struct sandbox *sb;
  rc = sandbox_open(modules, count, &sandbox_limits, &sb, err);
  if (rc != 0) return rc;
  size_t start = output->n;
  struct build build = {.entry = entry, .input = input, .output_max = limits->output_max, .output = output};
  rc = sandbox_run(sb, run_build, &build, ITD_EPOLICY, err);
  if (rc != 0) output->n = start;
  sandbox_close(sb);
  return rc;
}
