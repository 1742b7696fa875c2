// A policy's Lua state on one shard, and the call into it. Owned by one thread.
//
// The compiled policy is one chunk of text, made by scripts/compile.lua. It sees no global name, only its arguments:
//   local I, O, M, custom, host = ...
//   I, O, M  the arrays of doubles behind vm_in, vm_out, vm_memory, from 0; nothing checks an index, and what is stored
//            must be a number (anything else stops the call)
//   custom   the policy's own functions, from 1; each is called with a view, custom[1](view), and may return anything:
//            the chunk makes a number of it, or raises
//   host     round_even(x), floor(x), exp2(x): the same bits as base/pmath.h's, and compiled by the JIT
//            tick(rule): what went by since the last tick is added to that rule's time (vm_time); -1: to none's
//            text(i): the text of vm_texts number i, from 0; nil when it is empty
//            view(numbers, texts): a read-only object whose field NAME is I[numbers.NAME] (as it is: NaN when unknown),
//            or text(texts.NAME); another name stops the call. It reads I at the time of reading, so one view, made
//            when the chunk is loaded, serves all calls.
// It returns two functions without parameters: the plain and the tracing variant.
//
// No cdata is within a policy's reach: only that chunk touches the arrays, through an FFI pointer. Custom functions are
// checked as host.pure does, and what they hold on to is frozen, so that nothing is kept between two calls.
//
// Each call is bounded by memory, by CPU time and by the stack; what it gives is bounded by the shape. The state is opened
// with the JIT off, under the limits of a build. Then, under `policy.guard = "jit"`, calls run with the JIT on below the
// guard (lua/guard.h): stopped after deadline_us, wherever they are. Under "hook", and in builds without the guard, the JIT
// stays off and a hook counts instructions; CPU time is a net behind it, for what instructions do not measure. A call that
// is stopped by time would not be in another run: who plays a journal again takes such a call as recorded.
#pragma once
#include "lua/build.h"
#include "lua/stop.h"
#include <pthread.h>

struct vm_shape {
  uint32_t in_count, out_count, memory_count; // doubles
};
struct vm_limits {
  size_t memory_max;         // policy.memory, default 32 MiB
  uint64_t instructions_max; // policy.call_instructions, default 1 million a call; only the hook counts
  uint64_t deadline_us;      // policy.deadline_us; the hook's net is 50 times as long, at most 5 s
  bool hook;                 // policy.guard = "hook"
};
// For tools: a call that a daemon has let pass must pass, also where everything is slower.
#define VM_LIMITS_DEFAULT                                                                                              \
  ((struct vm_limits){.memory_max = 32u << 20, .instructions_max = 1000000, .deadline_us = 1000000})
#define VM_DEADLINE_US 2000 // a daemon's

bool vm_has_guard(void);          // this build can run calls with the JIT on
uint64_t vm_stops(enum stop why); // calls of this process that `why` has stopped

// pthread_create for a thread that calls policies: the end of its stack is watched over.
void vm_thread_create(pthread_t *thread, void *(*run)(void *), void *context);

struct vm;

// Opens a state, runs module `entry` again to get the custom functions (what it returns, called with `input`, returns a
// table whose field `custom` is the list of them; NULL modules when the policy has none), loads `source`. Everything is
// copied. The limits of a build (LUA_LIMITS_DEFAULT) hold for this, within memory_max. ITD_EPOLICY, with the place.
int vm_open(const struct lua_module *modules, size_t count, const char *entry, struct bytes input, struct bytes source,
            const struct vm_shape *shape, const struct vm_limits *limits, struct vm **out,
            struct error *err) ITD_MUST_USE;
void vm_close(struct vm *vm); // NULL does nothing

double *vm_in(struct vm *vm);     // written by the caller before a call
double *vm_out(struct vm *vm);    // read after a call that returned 0; else undefined
double *vm_memory(struct vm *vm); // in: the lead's memory; out: the new one (undefined after a failure)

// Text features for custom functions (view.NAME where the feature is text). The views must live until the call returns.
void vm_texts(struct vm *vm, const struct bytes *texts, size_t count);

// The tracing variant's calls add what each rule took, in nanoseconds, to times_ns[rule]: `count` of them, the caller's
// memory until it is taken back by NULL. A tick itself takes some tens of nanoseconds, of which few count.
void vm_time(struct vm *vm, uint64_t *times_ns, size_t count);
// Runs the plain (trace = false) or the tracing variant. 0, or ITD_ESTOPPED with why (an error's text with place,
// instructions, CPU time, memory, the stack): the outcome is void, and the state is rebuilt before the next call (which is
// stopped too when that fails). Nothing is kept between two calls. Allocates nothing once the JIT has warmed up; needs 1 MiB of stack.
int vm_call(struct vm *vm, bool trace, struct error *err) ITD_MUST_USE;
enum stop vm_stop(const struct vm *vm);     // what stopped the last call
size_t vm_memory_used(const struct vm *vm); // bytes of the Lua state, 0 while it waits to be rebuilt
