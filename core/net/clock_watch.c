#include "net/clock_watch.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

struct clock_watch {
  struct event *timer;
  _Atomic uint64_t *steps;
  int64_t apart_ms; // wall clock minus the other one
};

static int64_t apart_ms(void) { return clock_wall_ms() - (int64_t)(clock_mono_ns() / 1000000); }

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct clock_watch *watch = arg;
  int64_t now_ms = apart_ms(), step_ms = now_ms - watch->apart_ms;
  watch->apart_ms = now_ms; // slewing is followed, however far it goes
  if (step_ms <= CLOCK_STEP_MS && step_ms >= -CLOCK_STEP_MS) return;
  atomic_fetch_add(watch->steps, 1);
  log_line(LOG_WARN, "clock_step", "ms=%lld note=\"the wall clock was set; leads' clocks do not go back\"",
           (long long)step_ms);
}

struct clock_watch *clock_watch_start(struct event_base *base, _Atomic uint64_t *steps) {
  struct clock_watch *watch = xcalloc(1, sizeof *watch);
  *watch = (struct clock_watch){.steps = steps, .apart_ms = apart_ms()};
  watch->timer = event_new(base, -1, EV_PERSIST, on_timer, watch);
  if (!watch->timer) out_of_memory(0);
  struct timeval tv = {.tv_sec = 1};
  event_add(watch->timer, &tv);
  return watch;
}

void clock_watch_stop(struct clock_watch *watch) {
  if (!watch) return;
  event_free(watch->timer);
  free(watch);
}
