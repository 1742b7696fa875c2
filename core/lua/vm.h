// A policy's Lua state on one shard, and the call into it. Owned by one thread.
//
// The compiled policy is one chunk of text (made by scripts/compile.lua) that gets three flat arrays of doubles: `I` (in), `O` (out),
// `M` (the lead's memory), and `custom` (the policy's own functions, by number). It returns two functions without parameters: the plain and
// the tracing variant. No cdata is within a policy's reach: only that chunk, which we generate, touches the arrays, through an FFI
// pointer; custom functions get a read-only view. JIT on when there is no custom function; with any, the state runs with the JIT off and
// a count hook, so that a loop in one is stopped (`policy.guard = "hook"`).
#pragma once
#include "lua/build.h"

struct vm_shape {
  uint32_t in_count, out_count, memory_count; // doubles
};
struct vm_limits {
  size_t memory_max;         // policy.memory, default 32 MiB
  uint64_t instructions_max; // policy.call_instructions, default 1 million a call; only the hook guard counts
  bool hook;                 // policy.guard = "hook"
};
#define VM_LIMITS_DEFAULT ((struct vm_limits){.memory_max = 32u << 20, .instructions_max = 1000000})

struct vm;

// Opens a state, runs module `entry` again to get the custom functions (it returns, for `input`, a table whose field `custom` is the list
// of them; NULL modules when the policy has none), loads `source`. ITD_EPOLICY, with the place.
int vm_open(const struct lua_module *modules, size_t count, const char *entry, struct bytes input, struct bytes source,
            const struct vm_shape *shape, const struct vm_limits *limits, struct vm **out, struct error *err) ITD_MUST_USE;
void vm_close(struct vm *vm); // NULL does nothing

double *vm_in(struct vm *vm);     // written by the caller before a call
double *vm_out(struct vm *vm);    // read after a call that returned 0; else undefined
double *vm_memory(struct vm *vm); // in: the lead's memory; out: the new one (undefined after a failure)

// Text features for custom functions (view.NAME where the feature is text). The views must live until the call returns.
void vm_texts(struct vm *vm, const struct bytes *texts, size_t count);

// Runs the plain (trace = false) or the tracing variant. 0, or ITD_ESTOPPED with why (an error's text with place, instructions, memory):
// the outcome is void, and the state is rebuilt before the next call. Nothing is kept between two calls.
int vm_call(struct vm *vm, bool trace, struct error *err) ITD_MUST_USE;
size_t vm_memory_used(const struct vm *vm);
