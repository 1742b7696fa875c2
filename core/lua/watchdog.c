#include "lua/watchdog.h"
#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TICK_NS    1000000u
#define SLEEP_MIN  50000u    // no look is nearer than this
#define IDLE_TICKS 100u      // without a call, then it sleeps until one begins
#define ASLEEP_NS  20000000u // a call that began while it fell asleep is seen after this

_Atomic bool watchdog_is_asleep;

static struct {
  pthread_mutex_t lock; // guards what follows; taken by no code inside a guarded call
  pthread_cond_t woken;
  struct guard_thread *threads;
  unsigned idle_ticks;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t ns_of(clockid_t clock) {
  struct timespec t;
  CHECK(clock_gettime(clock, &t) == 0);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void condemn(struct guard_thread *t, uint64_t call) {
  if (!atomic_compare_exchange_strong(&t->call, &call, call | CALL_CONDEMNED)) return; // it has ended
  // Now the call waits for the signal if it ends. The queue of signals may be full for a while.
  while (syscall(SYS_tgkill, getpid(), t->tid, GUARD_SIGNAL) != 0) {
    CHECK(errno == EAGAIN);
    sched_yield();
  }
}

// When the thread is to be looked at again.
static uint64_t look(struct guard_thread *t) {
  uint64_t call = atomic_load(&t->call), deadline = atomic_load(&t->deadline_ns);
  if (call != t->last) dog.idle_ticks = 0;
  t->last = call;
  if (!(call & CALL_RUNNING) || (call & CALL_CONDEMNED)) return TICK_NS;
  dog.idle_ticks = 0;
  uint64_t now = ns_of(t->cpu_clock);
  if (t->watched != call) {
    t->watched = call;
    t->watched_from_ns = now;
  }
  uint64_t spent = now - t->watched_from_ns; // of this call: it has run from the first look to this one
  if (spent < deadline) return deadline - spent;
  condemn(t, call);
  return TICK_NS;
}

static void sleep_for(uint64_t ns) {
  struct timespec until;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
  until.tv_nsec += (long)ns;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  pthread_cond_timedwait(&dog.woken, &dog.lock, &until);
}

static void *run(void *context) {
  (void)context;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  pthread_mutex_lock(&dog.lock);
  for (;;) {
    uint64_t next = TICK_NS;
    dog.idle_ticks++;
    for (struct guard_thread *t = dog.threads; t; t = t->next) {
      uint64_t due = look(t);
      if (due < next) next = due;
    }
    bool is_idle = dog.idle_ticks > IDLE_TICKS;
    atomic_store(&watchdog_is_asleep, is_idle);
    sleep_for(is_idle ? ASLEEP_NS : next < SLEEP_MIN ? SLEEP_MIN : next);
  }
  return NULL;
}

void watchdog_start(void) {
  pthread_condattr_t attr;
  CHECK(pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
  CHECK(pthread_cond_init(&dog.woken, &attr) == 0);
  pthread_condattr_destroy(&attr);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
  pthread_detach(thread);
}

void watchdog_add(struct guard_thread *t) {
  t->tid = (pid_t)syscall(SYS_gettid);
  CHECK(pthread_getcpuclockid(pthread_self(), &t->cpu_clock) == 0);
  pthread_mutex_lock(&dog.lock);
  t->next = dog.threads;
  dog.threads = t;
  pthread_mutex_unlock(&dog.lock);
}

void watchdog_remove(struct guard_thread *t) {
  pthread_mutex_lock(&dog.lock);
  struct guard_thread **at = &dog.threads;
  while (*at != t) at = &(*at)->next;
  *at = t->next;
  pthread_mutex_unlock(&dog.lock);
}

void watchdog_wake(void) {
  pthread_mutex_lock(&dog.lock);
  dog.idle_ticks = 0;
  atomic_store(&watchdog_is_asleep, false);
  pthread_cond_signal(&dog.woken);
  pthread_mutex_unlock(&dog.lock);
}
