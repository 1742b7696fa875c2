// The guard: a call into a Lua state with the JIT on that ends in time, whatever the code in it does. LuaJIT's compiled
// code looks at no hook, and neither does a C function that runs long; so a watchdog thread looks at the CPU time of the
// calls, and stops one that runs over by a signal whose handler leaves it with siglongjmp. Nothing is unwound: what the
// call was doing is void, and the state may only be thrown away. That holds inside compiled loops, string functions,
// pcall, sort, the state's allocator and collector, and deep recursion.
//
// How it works, and what it stands on:
// - A call has a number, kept by its thread in one word with the marks RUNNING and CONDEMNED. The watchdog (watchdog.h)
//   condemns by compare-and-swap of that word, and only then sends the signal. A call that ends finds the mark and waits
//   for its signal: no other call, and no other code of the thread, ever meets it.
// - A lock that a stopped call held would stay held. LuaJIT takes some: when it maps machine code, registers it with the
//   unwinder, and throws an error (libgcc's and the loader's). The linker hands those calls to us (--wrap, in
//   CMakeLists.txt; guard_wraps.c): a signal that arrives inside waits until they are left. Symbols are bound when the
//   program is loaded (-z now), so that no lock of the loader is taken later.
// - What a state holds beside its memory (machine code, its registrations) is noted in struct guard_state. It goes first,
//   the code before what registered it: libgcc reads the code when it forgets it. Then the state's memory.
// - LuaJIT does not bound the depth of C calls. Running off the stack is a fault in the guard area below it; the handler,
//   on a stack of its own, ends the call like the signal does. lua/sandbox.h sees to it that policies don't come so far.
//
// Deadlines are CPU time of the thread: a call that waits for a core uses none. A call is never stopped before its
// deadline; measured with 2 ms, after 2.6 ms (median) on an idle machine; later when the watchdog itself waits for a core.
//
// Builds with a sanitizer, and machines other than x86-64 with Linux, have no guard (CMake's INTENTD_GUARD, which says
// so): guard_is_there is false, guard_off.c stands in, and policies run under the hook (lua/vm.h).
#pragma once
#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_CODE_MAX    64 // areas of machine code of one state; LuaJIT takes 512 KiB in all, in areas of 64 KiB
#define GUARD_AREA        ((size_t)1 << 20)  // below a thread's stack: more than any frame jumps over
#define GUARD_RESERVE     ((size_t)64 << 10) // of stack that code which must not be left half done needs
#define GUARD_DEADLINE_US 2000

struct guard_state { // of one Lua state; zeroed before its first call
  struct guard_code {
    void *start;
    size_t size;
  } code[GUARD_CODE_MAX];
  const void *frame[GUARD_CODE_MAX]; // registered with the unwinder
  unsigned code_count, frame_count;
};

enum guard_end { GUARD_RETURNED, GUARD_DEADLINE, GUARD_STACK };

bool guard_is_there(void);

// lua_pcall(L, args, results, 0), stopped after deadline_us of CPU time. GUARD_RETURNED: *status is lua_pcall's. Else the
// call was stopped: nothing may be done with L any more but guard_discard and giving its memory back. Any thread; a call
// within a call is a CHECK. The first one of a thread readies it (a signal stack, a place in the watchdog's list; both
// end with the thread), and the first one of all starts the watchdog.
enum guard_end guard_pcall(struct guard_state *state, lua_State *L, int args, int results, uint64_t deadline_us,
                           int *status);

// Gives back what the state holds beside its memory. To be followed by giving the memory back, not by lua_close. Takes
// whatever state: fresh, used, or stopped. Not within a call.
void guard_discard(struct guard_state *state);

// For a C function called from Lua that takes a lock or allocates outside of the state: between the two no deadline
// takes effect; the call ends in guard_release. In between: bounded work, no call of Lua, no Lua error, nothing that
// can throw. Nested pairs count as one. Outside of a call they do nothing.
void guard_hold(void);
void guard_release(void);

// pthread_create for a thread that calls policies: with GUARD_AREA below its stack.
void guard_thread_create(pthread_t *thread, void *(*run)(void *), void *context);
