#include "lua/guard.h"
#include "base/buf.h"
#include "base/check.h"
#include "lua/guard_wraps.h"
#include "lua/watchdog.h"
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

// In the program's own block of thread-local storage: found without a call, also in a handler.
static __thread struct guard_thread self __attribute__((tls_model("initial-exec")));

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key; // its destructor takes a thread out of the list
static struct sigaction old_segv, old_bus;

#define BARRIER() atomic_signal_fence(memory_order_seq_cst) // order as the handlers of this thread see it

bool guard_is_there(void) { return true; }

struct guard_state *guard_running(void) {
  return self.is_running ? self.state : NULL;
}

// ---- stopping ----
static _Noreturn void stop(enum guard_end why) {
  self.is_running = 0;
  self.end = why;
  BARRIER();
  siglongjmp(self.out, 1);
}

static void on_deadline(int number) {
  (void)number;
  self.is_signalled = 1;
  if (!self.is_running || !(atomic_load_explicit(&self.call, memory_order_relaxed) & CALL_CONDEMNED)) return;
  if (self.held)
    self.is_pending = 1;
  else
    stop(GUARD_DEADLINE);
}

// A fault at the end of the stack, in a call that holds nothing, is the call's. Any other is what it was before: the
// handler goes, and the fault comes again.
static void on_fault(int number, siginfo_t *info, void *context) {
  (void)context;
  uintptr_t at = (uintptr_t)info->si_addr;
  bool is_stack = at >= self.stack_low - self.guard_area && at < self.stack_low + GUARD_RESERVE;
  if (self.is_running && !self.held && is_stack) stop(GUARD_STACK);
  sigaction(number, number == SIGSEGV ? &old_segv : &old_bus, NULL);
}

void guard_hold(void) {
  if (!self.is_running) return;
  bool is_low = (uintptr_t)__builtin_frame_address(0) < self.stack_low + GUARD_RESERVE;
  if (!self.held && is_low) stop(GUARD_STACK); // a fault inside could not be left
  self.held++;
  BARRIER();
}

static void release(int depth) {
  if (!self.is_running) return;
  BARRIER();
  self.held = depth;
  BARRIER();
  if (!depth && self.is_pending) stop(GUARD_DEADLINE);
}

void guard_release(void) { release(self.held - 1); }
void guard_release_all(void) { release(0); }

// ---- threads ----
static void end_thread(void *t) {
  (void)t;
  watchdog_remove(&self);
  stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
  free(self.signal_stack);
  self.signal_stack = NULL;
}

static void start(void) {
  CHECK(pthread_key_create(&thread_key, end_thread) == 0);
  // SA_NODEFER: the handlers are left by a jump, and the signal must not stay blocked.
  struct sigaction action = {.sa_handler = on_deadline, .sa_flags = SA_NODEFER | SA_ONSTACK | SA_RESTART};
  CHECK(sigaction(GUARD_SIGNAL, &action, NULL) == 0);
  struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  CHECK(sigaction(SIGSEGV, &fault, &old_segv) == 0 && sigaction(SIGBUS, &fault, &old_bus) == 0);
  watchdog_start();
}

static void find_stack(struct guard_thread *t) {
  pthread_attr_t attr;
  void *low;
  size_t size, area = 0;
  CHECK(pthread_getattr_np(pthread_self(), &attr) == 0 && pthread_attr_getstack(&attr, &low, &size) == 0);
  CHECK(pthread_attr_getguardsize(&attr, &area) == 0);
  pthread_attr_destroy(&attr);
  t->stack_low = (uintptr_t)low;
  t->guard_area = area ? area : GUARD_AREA; // the first thread's stack has none of its own; the kernel keeps a gap
}

static void ready_thread(struct guard_thread *t) {
  CHECK(pthread_once(&once, start) == 0);
  find_stack(t);
  long least = sysconf(_SC_SIGSTKSZ);
  size_t size = least > (long)GUARD_RESERVE ? (size_t)least : GUARD_RESERVE;
  stack_t stack = {.ss_sp = t->signal_stack = xmalloc(size), .ss_size = size};
  CHECK(sigaltstack(&stack, NULL) == 0);
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, GUARD_SIGNAL);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &ours, NULL) == 0);
  CHECK(pthread_setspecific(thread_key, t) == 0);
  watchdog_add(t);
}

void guard_thread_create(pthread_t *thread, void *(*run)(void *), void *context) {
  pthread_attr_t attr;
  CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setguardsize(&attr, GUARD_AREA) == 0);
  CHECK(pthread_create(thread, &attr, run, context) == 0);
  pthread_attr_destroy(&attr);
}

// ---- calling ----
static void enter(struct guard_state *state, uint64_t deadline_us) {
  if (atomic_load_explicit(&watchdog_is_asleep, memory_order_relaxed)) watchdog_wake();
  self.state = state;
  self.held = self.is_pending = self.is_signalled = 0;
  atomic_store_explicit(&self.deadline_ns, deadline_us * 1000, memory_order_relaxed);
  BARRIER();
  self.is_running = 1; // before the watchdog may see the call: a signal that found none would be lost
  BARRIER();
  uint64_t call = atomic_load_explicit(&self.call, memory_order_relaxed);
  atomic_store_explicit(&self.call, call | CALL_RUNNING, memory_order_release);
}

static void leave(void) {
  BARRIER();
  self.is_running = 0;
  BARRIER();
  uint64_t number = atomic_load_explicit(&self.call, memory_order_relaxed) & ~(uint64_t)(CALL_NEXT - 1);
  uint64_t was = atomic_exchange(&self.call, number + CALL_NEXT);
  // Its signal may still be on the way, and must not meet anything else.
  while ((was & CALL_CONDEMNED) && !self.is_signalled) sched_yield();
}

enum guard_end guard_pcall(struct guard_state *state, lua_State *L, int args, int results, uint64_t deadline_us,
                           int *status) {
  if (!self.signal_stack) ready_thread(&self);
  CHECK(!self.is_running);
  if (sigsetjmp(self.out, 0) != 0) { // without the mask: nothing was blocked
    leave();
    return self.end;
  }
  enter(state, deadline_us);
  int result = lua_pcall(L, args, results, 0);
  leave();
  *status = result;
  return GUARD_RETURNED;
}
