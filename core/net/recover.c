#include "net/recover.h"

#include "base/check.h"
#include "base/log.h"
#include "net/release.h"

#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_WAIT_MS 200
#define LAST_WAIT_MS  5000

struct recovery {
  struct daemon *daemon;
  struct event *again;
  struct error why; // of the shards' letting go
  int64_t wait_ms;
  uint64_t began_ns;
};

static void on_all_shards(struct daemon *daemon, void (*work)(struct shard *, void *), void *context) {
  for (unsigned s = 0; s < daemon->shards; s++) shard_call(daemon->threads[s], work, context);
}

// What only another look by a person can mend.
static bool is_final(int status) { return status == ITD_ECORRUPT || status == ITD_EVERSION || status == ITD_EINVAL; }

static void done(struct recovery *r) {
  struct daemon *daemon = r->daemon;
  log_line(LOG_INFO, "storage_recovered", "ms=%llu frames=%llu torn_bytes=%llu",
           (unsigned long long)((clock_mono_ns() - r->began_ns) / 1000000), (unsigned long long)daemon->recovery.frames,
           (unsigned long long)daemon->recovery.torn_bytes);
  atomic_fetch_add(&daemon->recoveries, 1);
  daemon->recovering = NULL;
  event_free(r->again);
  free(r);
  atomic_store(&daemon->is_recovering, false); // from here on what fails begins another one
  on_all_shards(daemon, shard_serve_store, NULL);
}

static int attempt(struct daemon *daemon, struct error *err) {
  struct store_recovery recovery = {0};
  // It may take as long as a start, and can be stopped as one: by SIGTERM at once, which harms nothing.
  daemon_catch_signals(daemon, false);
  int status = store_reopen(daemon->store, &recovery, err);
  daemon_catch_signals(daemon, true);
  if (status < 0) return status;
  on_all_shards(daemon, shard_join_store, NULL);
  pthread_mutex_lock(&daemon->lock);
  daemon->recovery = recovery;
  daemon->has_store = true;
  pthread_mutex_unlock(&daemon->lock);
  status = release_again(daemon, err);
  if (status < 0) {
    daemon_keep_counters(daemon);
    on_all_shards(daemon, shard_leave_store, err);
  }
  return status;
}

static void on_again(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct recovery *r = arg;
  struct daemon *daemon = r->daemon;
  struct error err = {0};
  if (atomic_load(&daemon->is_stopping)) return;
  int status = attempt(daemon, &err);
  if (status == 0) {
    done(r);
    return;
  }
  atomic_fetch_add(&daemon->recovery_failures, 1);
  if (is_final(status)) {
    log_line(LOG_ERROR, "failed", "code=%s why=%s", status_code(status), log_quote(err.text));
    _exit(70);
  }
  log_line(LOG_ERROR, "recovery_failed", "again_ms=%lld code=%s why=%s", (long long)r->wait_ms, status_code(status),
           log_quote(err.text));
  struct error refusal = {0};
  error_set(&refusal, ITD_EUNAVAILABLE,
            "the disk failed, and its files cannot be read yet (%.300s): send it again later", err.text);
  on_all_shards(daemon, shard_say_why, &refusal);
  struct timeval tv = {.tv_sec = (time_t)(r->wait_ms / 1000), .tv_usec = r->wait_ms % 1000 * 1000};
  event_add(r->again, &tv);
  r->wait_ms = r->wait_ms * 2 < LAST_WAIT_MS ? r->wait_ms * 2 : LAST_WAIT_MS;
}

static void begin(struct daemon *daemon, void *context) {
  struct recovery *r = daemon->recovering = context;
  r->again = event_new(daemon->control, -1, 0, on_again, r);
  if (!r->again) out_of_memory(0);
  log_line(LOG_WARN, "recovering", "why=%s", log_quote(r->why.text));
  daemon_keep_counters(daemon);
  on_all_shards(daemon, shard_leave_store, &r->why);
  on_again(-1, 0, r);
}

void recover_begin(struct daemon *daemon, const struct error *why) {
  if (atomic_load(&daemon->is_stopping)) return; // the next start recovers
  if (atomic_exchange(&daemon->is_recovering, true)) return;
  struct recovery *r = xcalloc(1, sizeof *r);
  *r = (struct recovery){.daemon = daemon, .why = *why, .wait_ms = FIRST_WAIT_MS, .began_ns = clock_mono_ns()};
  daemon_post(daemon, begin, r);
}

void recover_end(struct daemon *daemon) {
  if (!daemon->recovering) return;
  event_free(daemon->recovering->again);
  free(daemon->recovering);
  daemon->recovering = NULL;
}
