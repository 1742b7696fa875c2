#include "net/track_watch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/prometheus.h"
#include "store/track.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { NICE = 15 };

struct track_watch {
  struct daemon *daemon;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t woken;
  _Atomic bool is_over;
  // Guarded by `lock`:
  struct buf text; // of the metrics
  uint64_t failures;
};

// ---- metrics ----
static double rows_of(const struct track_latest *l) { return (double)l->rows; }
static double came_of(const struct track_latest *l) { return (double)l->came; }
static double waiting_of(const struct track_latest *l) { return (double)l->waiting; }
static double auc_of(const struct track_latest *l) { return l->auc; }
static double calibration_of(const struct track_latest *l) { return l->calibration_error; }
static double lift_of(const struct track_latest *l) { return l->lift_10; }
static double stability_of(const struct track_latest *l) { return l->stability; }

static const struct family {
  const char *name, *help;
  double (*of)(const struct track_latest *latest);
} families[] = {
    {"intentd_model_judged", "decisions of the latest 28 judged days whose outcome is known", rows_of},
    {"intentd_model_came", "of these, how often what the label says came", came_of},
    {"intentd_model_waiting", "decisions of days that are not judged yet", waiting_of},
    {"intentd_model_auc", "chance that one that came had the higher score, of the latest 28 judged days", auc_of},
    {"intentd_model_calibration_error", "mean distance of what scores said and what came, by tenths, of these days",
     calibration_of},
    {"intentd_model_lift_10", "share that came among the highest tenth over that among all, of these days", lift_of},
    {"intentd_model_stability", "population stability index of the latest 28 days' scores against the first 28 days'",
     stability_of},
};

static void put_families(const struct track *t, struct buf *out) {
  size_t n = track_count(t);
  struct track_latest *latest = xcalloc(n + 1, sizeof *latest);
  for (size_t i = 0; i < n; i++) track_latest(t, i, TRACK_LIVE_DAYS, &latest[i]);
  for (size_t k = 0; k < sizeof families / sizeof *families; k++) {
    prometheus_family(out, families[k].name, "gauge", families[k].help);
    for (size_t i = 0; i < n; i++) {
      const struct track_series *s = track_at(t, i);
      const char *const labels[] = {"model", s->model.name, "version", s->model.version, "score", score_names[s->score],
                                    "label", s->label,      NULL};
      double x = families[k].of(&latest[i]);
      if (isfinite(x)) prometheus_number(out, families[k].name, labels, x);
    }
  }
  free(latest);
}

static void show(struct track_watch *w, const struct track *t, double took_s) {
  struct buf text = {0};
  put_families(t, &text);
  prometheus_family(&text, "intentd_track_until_seconds", "gauge",
                    "how far outcomes are known: a lead's greatest clock");
  if (track_until_ms(t) != INT64_MIN)
    prometheus_number(&text, "intentd_track_until_seconds", NULL, (double)track_until_ms(t) / 1000);
  prometheus_family(&text, "intentd_track_walk_seconds", "gauge", "how long judging the journal took last");
  prometheus_number(&text, "intentd_track_walk_seconds", NULL, took_s);
  pthread_mutex_lock(&w->lock);
  struct buf before = w->text;
  w->text = text;
  pthread_mutex_unlock(&w->lock);
  buf_deinit(&before);
}

void track_watch_put(struct track_watch *w, struct buf *out) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  buf_append_bytes(out, buf_bytes(&w->text));
  uint64_t failures = w->failures;
  pthread_mutex_unlock(&w->lock);
  prometheus_family(out, "intentd_track_failures_total", "counter", "times that the journal could not be judged");
  prometheus_count(out, "intentd_track_failures_total", NULL, failures);
}

// ---- the thread ----
static bool is_over(void *context) {
  struct track_watch *w = context;
  return atomic_load(&w->is_over);
}

static struct policy *policy_now(struct daemon *daemon) {
  pthread_mutex_lock(&daemon->lock);
  struct policy *policy = daemon->release.policy;
  if (policy) policy_retain(policy);
  pthread_mutex_unlock(&daemon->lock);
  return policy;
}

static int walk(struct track_watch *w, struct error *err) {
  struct policy *policy = policy_now(w->daemon);
  struct outcomes_options o = {.dir = w->daemon->config->data, .is_over = is_over, .context = w};
  struct outcomes_stats stats;
  struct error kept = {0};
  struct track *track = NULL;
  uint64_t begun_ns = clock_mono_ns();
  int rc = 0;
  if (policy) o.label = policy_labels(policy, &o.label_count);
  if (o.label_count) rc = track_read(&o, &track, &stats, &kept, err);
  if (kept.code) log_line(LOG_WARN, "track", "why=%s note=\"days of before are lost\"", log_quote(kept.text));
  if (rc == 0 && track) rc = track_keep(o.dir, track, err);
  if (rc == 0 && track) {
    double took_s = (double)(clock_mono_ns() - begun_ns) / 1e9;
    show(w, track, took_s);
    log_line(LOG_INFO, "track", "judged=%llu walks=%u ms=%lld", (unsigned long long)stats.judged, stats.walks,
             (long long)(took_s * 1000));
  }
  track_free(track);
  if (policy) policy_release(policy);
  return rc;
}

// What was kept before this start, until the next walk. How old it is; INT64_MAX: there is none.
static int64_t age_of_kept(const struct track_watch *w) {
  char path[PATH_MAX];
  struct stat st;
  snprintf(path, sizeof path, "%s/track", w->daemon->config->data);
  if (stat(path, &st) < 0) return INT64_MAX;
  int64_t age_ms = clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000;
  return age_ms < 0 ? INT64_MAX : age_ms;
}

static bool wait_ms(struct track_watch *w, int64_t ms) { // false: it is over
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += ms % 1000 * 1000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  pthread_mutex_lock(&w->lock);
  while (!is_over(w) && pthread_cond_timedwait(&w->woken, &w->lock, &until) != ETIMEDOUT) {
  }
  pthread_mutex_unlock(&w->lock);
  return !is_over(w);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void *run(void *context) {
  struct track_watch *w = context;
  int64_t interval_ms = w->daemon->config->track_interval_ms, age_ms = age_of_kept(w);
  int64_t next_ms = age_ms < interval_ms ? interval_ms - age_ms : least(interval_ms, TRACK_FIRST_MS);
  pthread_setname_np(pthread_self(), "track");
  setpriority(PRIO_PROCESS, 0, NICE); // of this thread alone; it goes on without
  while (wait_ms(w, next_ms)) {
    struct error err = {0};
    int rc = walk(w, &err);
    next_ms = rc ? least(interval_ms, TRACK_AGAIN_MS) : interval_ms;
    if (rc == 0 || is_over(w)) continue;
    log_line(LOG_WARN, "track", "why=%s", log_quote(err.text));
    pthread_mutex_lock(&w->lock);
    w->failures++;
    pthread_mutex_unlock(&w->lock);
  }
  return NULL;
}

static void show_kept(struct track_watch *w) {
  struct track *t;
  if (track_kept(w->daemon->config->data, &t, NULL) < 0) t = track_new(); // the next walk says what is wrong with it
  show(w, t, 0);
  track_free(t);
}

struct track_watch *track_watch_start(struct daemon *daemon) {
  if (!daemon->config->track_interval_ms) return NULL;
  struct track_watch *w = xcalloc(1, sizeof *w);
  w->daemon = daemon;
  pthread_mutex_init(&w->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&w->woken, &attr);
  pthread_condattr_destroy(&attr);
  show_kept(w);
  CHECK(pthread_create(&w->thread, NULL, run, w) == 0);
  return w;
}

void track_watch_stop(struct track_watch *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  atomic_store(&w->is_over, true);
  pthread_cond_signal(&w->woken);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  pthread_cond_destroy(&w->woken);
  pthread_mutex_destroy(&w->lock);
  buf_deinit(&w->text);
  free(w);
}
