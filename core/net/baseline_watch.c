#include "net/baseline_watch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "net/prometheus.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 16 << 20 };

struct baseline_watch {
  struct event *timer;
  struct baselines *baselines;
  int64_t saved_ms;
  char path[PATH_MAX];
};

static void complain(const struct error *err) { log_line(LOG_WARN, "baselines", "why=%s", log_quote(err->text)); }

static void save(struct baseline_watch *watch, int64_t now_ms) {
  struct buf out = {0};
  struct error err = {0};
  watch->saved_ms = now_ms;
  baselines_save(watch->baselines, &out);
  if (file_replace(watch->path, buf_bytes(&out), &err) < 0) complain(&err);
  buf_deinit(&out);
}

static void load(struct baseline_watch *watch) {
  struct buf in = {0};
  struct error err = {0};
  int status = file_read(watch->path, FILE_MAX, &in, &err);
  if (status == 0) status = baselines_load(watch->baselines, buf_bytes(&in), &err);
  if (status < 0 && status != ITD_ENOTFOUND) complain(&err);
  buf_deinit(&in);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct baseline_watch *watch = arg;
  int64_t now_ms = clock_wall_ms();
  baselines_turn(watch->baselines, now_ms);
  if (now_ms - watch->saved_ms >= BASELINE_SAVE_MS || now_ms < watch->saved_ms) save(watch, now_ms);
}

struct baseline_watch *baseline_watch_start(struct event_base *base, struct baselines *baselines, const char *dir) {
  struct baseline_watch *watch = xcalloc(1, sizeof *watch);
  *watch = (struct baseline_watch){.baselines = baselines, .saved_ms = clock_wall_ms()};
  snprintf(watch->path, sizeof watch->path, "%s/baselines", dir);
  load(watch);
  baselines_turn(baselines, watch->saved_ms);
  watch->timer = event_new(base, -1, EV_PERSIST, on_timer, watch);
  if (!watch->timer) out_of_memory(0);
  struct timeval tv = {.tv_sec = BASELINE_TURN_MS / 1000};
  event_add(watch->timer, &tv);
  return watch;
}

void baseline_watch_stop(struct baseline_watch *watch) {
  int64_t now_ms = clock_wall_ms();
  event_free(watch->timer);
  baselines_turn(watch->baselines, now_ms);
  save(watch, now_ms);
  free(watch);
}

// ---- metrics ----

struct putting {
  struct buf *out;
  const char *family;
  bool is_total;
};

static void put_series(void *context, const struct baseline_stats *s) {
  const struct putting *p = context;
  for (int k = 0; k < BASELINE_KINDS; k++) {
    const char *const labels[] = {"source", s->source, "event", s->event, "kind", baseline_kinds[k], NULL};
    if (s->total[k]) prometheus_count(p->out, p->family, labels, p->is_total ? s->total[k] : s->is_now[k]);
  }
}

void baseline_watch_put(struct baselines *baselines, struct buf *out) {
  struct putting p = {out, "intentd_baseline_anomalies_total", true};
  prometheus_family(out, p.family, "counter", "times that a source sent what is not usual of it");
  baselines_visit(baselines, clock_wall_ms(), put_series, &p);
  p = (struct putting){out, "intentd_baseline_anomalous", false};
  prometheus_family(out, p.family, "gauge", "1 while a source sends what is not usual of it");
  baselines_visit(baselines, clock_wall_ms(), put_series, &p);
  prometheus_family(out, "intentd_baseline_untracked_total", "counter", "events of sources or names beyond the bound");
  prometheus_count(out, "intentd_baseline_untracked_total", (const char *const[]){NULL},
                   baselines_untracked(baselines));
}
