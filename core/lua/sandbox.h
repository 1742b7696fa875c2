// One sandboxed Lua state: what lua/build.h and lua/vm.h have in common. Its memory is one capped arena; what runs in
// it runs inside sandbox_run or sandbox_call, where errors, the instruction count, the CPU deadline and the depth of the C
// stack are dealt with: by a count hook with the JIT off, or, for calls after sandbox_compile, by lua/guard.h with the JIT on.
// Owned by one thread at a time, which needs 1 MiB of stack.
//
// What code may see is decided by its environment: a policy's modules get the names of lua_sandbox_names, the library's
// get `host` and setmetatable, getmetatable, rawget, rawset and rawequal besides. LuaJIT's own tables stay in the
// registry, which no environment reaches.
#pragma once
#include "lua/build.h"
#include "lua/guard.h"
#include "lua/memory.h"
#include "lua/stop.h"
#include <lauxlib.h>
#include <lua.h>

struct sandbox_limits {
  size_t memory_max;
  uint64_t instructions_max; // a run under the hook
  uint32_t cpu_ms_max;       // the same
  uint64_t deadline_us;      // a call under the guard
};

struct sandbox {
  struct lua_memory memory; // first: it is what Lua's allocator is handed
  lua_State *L;
  struct guard_state guard;
  struct sandbox_limits limits;
  const struct lua_module *modules; // the caller's, as long as the state lives
  size_t module_count;
  bool is_sealed;   // no module is loaded any more
  bool is_compiled; // the JIT is on, and the guard in the place of the hook
  // of the run
  enum stop stop;
  uint64_t instructions, cpu_start_ns, look_at_ns;
  uintptr_t stack_start;
  char where[160]; // "path:line: " of what was stopped
};

// A state with the library of scripts' `host` and both environments ready, the JIT off, and no module run. ITD_EPOLICY
// when memory_max is too little.
int sandbox_open(const struct lua_module *modules, size_t count, const struct sandbox_limits *limits,
                 struct sandbox **out, struct error *err) ITD_MUST_USE;
// Also of a stopped state: nothing in it is looked at, its memory and machine code are given back. NULL does nothing.
void sandbox_close(struct sandbox *sb);

// Runs fn(L) with `user` as light userdata at index 1, protected and limited by the hook. On failure `code`, the error's
// text, and sb->stop.
int sandbox_run(struct sandbox *sb, lua_CFunction fn, void *user, int code, struct error *err) ITD_MUST_USE;

// Turns the hook off and the JIT on: from here on only sandbox_call, sandbox_close. Needs guard_is_there().
void sandbox_compile(struct sandbox *sb);
// Calls the function on the top of the stack, without arguments or results. As sandbox_run; after a failure of a compiled
// state it may only be closed.
int sandbox_call(struct sandbox *sb, int code, struct error *err) ITD_MUST_USE;

// ---- for the functions that code in the state calls; they raise Lua errors ----
struct sandbox *sandbox_of(lua_State *L);
void sandbox_spend(lua_State *L, size_t instructions);                 // work done in C that the hook can't see
void sandbox_descend(lua_State *L);                                    // before C calls Lua again: bounds the C stack
void sandbox_check_size(lua_State *L, const char *what, double bytes); // of a string about to be made
void sandbox_push_where(lua_State *L); // "path:line: " of the innermost function of a module, or ""
// Pushes one of the prelude's functions: "require", "freeze", "seal", "pure", "inspect".
void sandbox_push(lua_State *L, const char *function);
int sandbox_proxy(lua_State *L); // a Lua function: proxy(metatable) -> a value that has nothing but that metatable
// The table behind a frozen proxy at `index`: pushes it and returns true; false and nothing pushed for anything else.
bool sandbox_push_frozen(lua_State *L, int index);

// ---- parts ----
extern const char lua_prelude[];
// Pushes the table of functions that replace or add to LuaJIT's own, by their names: "string.format", "host.here".
void library_push(lua_State *L);
void host_push(lua_State *L);    // adds host.* to the table on the top
void pattern_push(lua_State *L); // adds string.find, match, gmatch, gsub
void bits_push(lua_State *L);    // adds bit.*
// Pushes an array of the keys of the table at `index` in the defined order: numbers, then strings by bytes. Others
// raise an error.
size_t keys_push(lua_State *L, int index);
// NULL when the text of a valid chunk has nothing that a policy may not write, else what; *line is set.
const char *scan_policy(struct bytes text, int *line);
