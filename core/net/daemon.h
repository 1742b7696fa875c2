// The daemon: one store, its shards, the HTTP thread and the control thread (signals, reload, administration), and what
// is in force.
#pragma once
#include "net/config.h"
#include "net/edition.h"
#include "net/shard.h"
#include "store/model_history.h"
#include "store/switch.h"

#include <pthread.h>
#include <stdatomic.h>

struct daemon {
  const struct config *config;
  struct store *store;
  struct fabric *fabric;
  unsigned shards;
  struct shard_thread **threads;
  struct metrics *metrics;       // one an origin: the shards', then HTTP's
  _Atomic unsigned *subscribers; // one a shard
  int64_t started_ms;
  struct store_recovery recovery;
  struct intake_options intake; // what every shard's intake was made with (but for `each`)
  struct net_limits limits;
  struct http *http;
  struct watch *watch;                      // release.c
  uint64_t files_before;                    // stamp of the policy's folders before they were loaded first
  int listen_port, http_port, forward_port; // in use
  _Atomic bool is_ready, is_stopping;
  _Atomic unsigned forgetting;         // lead.forget under way
  _Atomic unsigned adding;             // quarantine.add, likewise
  _Atomic unsigned paused_shards;      // whose intake is paused: /readyz says so
  _Atomic unsigned unavailable_shards; // whose store takes no events: likewise
  _Atomic bool is_recovering;          // from being asked for to the end
  _Atomic uint64_t recoveries, recovery_failures, clock_steps;
  struct recovery *recovering; // recover.c
  struct clock_watch *clock_watch;
  struct baseline_watch *baseline_watch;
  struct track_watch *track_watch; // set before HTTP serves /metrics
  struct late *late;               // late.c
  struct backfill *backfill;       // backfill.c; that runs or ran last; guarded by `lock`
  struct event *stop_signals[2];
  struct event_base *control; // the control thread's loop
  pthread_mutex_t lock;       // guards what follows
  struct release release;     // in force (the daemon's own hold on the policy)
  struct edition *edition;    // the sources in force
  int64_t release_since_ms;
  struct workspace_switch switched; // what the workspace lets the policy do
  struct model_history models;      // which versions of models were in force; changed by the control thread alone
  struct error reload_error;        // of the last reload, when it failed
  uint64_t reloads, reload_failures;
  struct error *trouble; // a shard each: why it takes no events; code 0: it does
  bool has_store;        // false while the store is recovered: its numbers are not there
  struct source_counts *source_counts;
  struct store_sums *carried; // metrics.c: what the stores before this one counted, a shard each
  bool is_over;               // there are no shards any more
};

// Runs until SIGTERM, SIGINT or server.shutdown: 0. An error when it could not start; nothing is left running then.
int daemon_run(const struct config *config, struct error *err);

// ---- any thread ----
void daemon_put_status(struct daemon *daemon, struct buf *out);  // policy.status
void daemon_put_info(struct daemon *daemon, struct buf *out);    // server.info
void daemon_metrics(struct daemon *daemon, struct buf *out);     // Prometheus text: metrics.c
void daemon_put_storage(struct daemon *daemon, struct buf *out); // of server.info: metrics.c
// Why a shard takes no events, for /readyz; NULL: it takes them. And the first shard's trouble; false: none has any.
void daemon_trouble(struct daemon *daemon, unsigned shard, const struct error *why);
bool daemon_get_trouble(struct daemon *daemon, unsigned *shard, struct error *why);
// The sources in force, for edition_release; NULL before there are any.
struct edition *daemon_edition(struct daemon *daemon);
// Runs `work` on the control thread. For what must not run on a shard's.
void daemon_post(struct daemon *daemon, void (*work)(struct daemon *daemon, void *context), void *context);

// ---- control thread ----
// Loads the configured policy and puts it in force on all shards, or leaves everything as it is. `why` goes into the
// journal. Sets *changed false when the bundle is the one in force already. ITD_ELATE, unless `allows_late` or policy.late does:
// it reads features that are not full (net/late.h). ITD_EBUSY: a backfill is about to switch another version in.
int daemon_reload(struct daemon *daemon, const char *why, bool allows_late, bool *changed, struct error *err);
void daemon_stop(struct daemon *daemon);
void daemon_catch_signals(struct daemon *daemon, bool is_on); // off: SIGTERM and SIGINT end the process at once
// Before the store goes: what it and the intakes counted so far is kept (metrics.c); has_store becomes false.
void daemon_keep_counters(struct daemon *daemon);
