// Running policy text once, to build data. A fresh sandboxed state runs the library of scripts/ and the policy's
// modules, and what the entry returns comes back as MessagePack; then the state is thrown away. Nothing that a policy
// author writes runs anywhere else but here and in lua/vm.h. Any thread; each call has a state of its own.
//
// The sandbox: text chunks only; an allow-list of the language (docs/policy-guide.md names it; `lua_sandbox_names` is
// the same list for luacheck and its test); no ffi, io, os, debug, jit, load, coroutine, newproxy, raw access,
// setmetatable on what is not one's own, finalisers, weak tables; JIT off, an instruction count and a memory cap.
// `pairs` walks keys in a defined order (numbers, then strings by bytes); `next` is absent; `math` is base/pmath.h's.
#pragma once
#include "base/buf.h"

struct lua_module {
  const char *name;  // what `require` asks for: "score", "b2b_saas.helpers"
  const char *path;  // what errors name: "policies/b2b_saas/policy.lua"
  struct bytes text; // Lua source, or for a data module (path ends in .csv) text that `require` gives as a string
  bool is_library;   // of scripts/: may use what the host gives to the library only (`host.*`)
};

struct lua_limits {
  size_t memory_max;         // policy.build_memory, default 64 MiB, at least 128 KiB; an eighth for one string or table
  uint64_t instructions_max; // policy.build_instructions, default 200 million
  size_t output_max;         // bytes of MessagePack, default 8 MiB
  uint32_t cpu_ms_max;       // of computing, for what instructions do not measure (copying long strings); 0: 20,000
};
#define LUA_LIMITS_DEFAULT                                                                                             \
  ((struct lua_limits){.memory_max = 64u << 20, .instructions_max = 200000000, .output_max = 8u << 20})

// Calls the function that module `entry` returns with `input` (one MessagePack value, as Lua data) and appends what it
// returns to `output`. A Lua error, a syntax error, too many instructions, too much memory: ITD_EPOLICY with
// "path:line: what". Tables become arrays when their keys are 1..n (an empty one: an array), else maps in `pairs`
// order; functions and cycles are refused. Needs 1 MiB of stack.
int lua_build(const struct lua_module *modules, size_t count, const char *entry, struct bytes input,
              const struct lua_limits *limits, struct buf *output, struct error *err) ITD_MUST_USE;

// Library modules also have setmetatable (no weak tables), getmetatable, rawget, rawset, rawequal, and `host`:
// - host.here(level) -> "path", line: where the caller `level` frames up stands, library frames not counted
// - host.pure(fn) -> true, or nil, "path:line: why": fn's bytecode assigns to no upvalue and no global
// - host.compiles(source, name) -> true, or nil, why: the text is one valid chunk
// - host.suggest(word, list) -> the nearest name, or nil
// - host.zone(name) -> true, or false and the nearest name of a time zone
// - host.hash64(text) -> 16 hex digits
// - host.round_even(x), host.exp2(x): base/pmath.h's
// - host.freeze(table) -> a deeply read-only copy ("no modification allowed: KEY")
// For a frozen table type, #, pairs, ipairs, unpack, table.concat and its metatable's events work as for a table.

// The names that a policy may use, for luacheck's std and its test: "math.floor", "pairs", …; count through *count.
const char *const *lua_sandbox_names(size_t *count);
