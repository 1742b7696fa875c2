// The watchdog of the guard: the threads that make guarded calls, and the thread that looks at them. A part of
// lua/guard.h, for guard.c and guard_wraps.c.
#pragma once
#include "lua/guard.h"
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define GUARD_SIGNAL (SIGRTMIN + 3)

// The word of a call: its number above two marks.
#define CALL_CONDEMNED 1u // the watchdog's: its signal is on the way
#define CALL_RUNNING   2u
#define CALL_NEXT      4u

// One a thread, in its thread-local storage: what is known of a call must not outlive its thread, nor pass to another.
struct guard_thread {
  // the thread's own, and its signal handlers'
  sigjmp_buf out;
  volatile sig_atomic_t is_running;
  volatile sig_atomic_t held;         // guard_hold's depth
  volatile sig_atomic_t is_pending;   // a signal that came while held
  volatile sig_atomic_t is_signalled; // since the call began
  enum guard_end end;                 // of the stopped call
  struct guard_state *state;          // whose call it is
  uintptr_t stack_low;                // the lowest address of the stack; the guard area lies below
  size_t guard_area;
  void *signal_stack; // NULL: the thread is not ready
  // shared with the watchdog
  _Atomic uint64_t call;
  _Atomic uint64_t deadline_ns;
  // the watchdog's, under its lock
  uint64_t watched; // the call's word when it was first seen
  uint64_t watched_from_ns;
  uint64_t last; // the word at the last look
  pid_t tid;
  clockid_t cpu_clock;
  struct guard_thread *next;
};

extern _Atomic bool watchdog_is_asleep;

void watchdog_start(void); // once a process
void watchdog_add(struct guard_thread *t);
void watchdog_remove(struct guard_thread *t);
void watchdog_wake(void); // when it is asleep and a call begins
