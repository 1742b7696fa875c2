// The daemon: one store, its shards, the HTTP thread and the control thread (signals, reload, administration), and what
// is in force.
#pragma once
#include "net/config.h"
#include "net/shard.h"

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
  int listen_port, http_port, forward_port; // in use
  _Atomic bool is_ready, is_stopping;
  _Atomic unsigned paused_shards; // whose intake is paused: /readyz says so
  struct event_base *control;     // the control thread's loop
  pthread_mutex_t lock;           // guards what follows
  struct release release;         // in force (the daemon's own hold on the policy)
  int64_t release_since_ms;
  struct error reload_error; // of the last reload, when it failed
  uint64_t reloads, reload_failures;
};

// Runs until SIGTERM, SIGINT or server.shutdown: 0. An error when it could not start; nothing is left running then.
int daemon_run(const struct config *config, struct error *err);

// ---- any thread ----
void daemon_put_status(struct daemon *daemon, struct buf *out); // policy.status
void daemon_put_info(struct daemon *daemon, struct buf *out);   // server.info
void daemon_metrics(struct daemon *daemon, struct buf *out);    // Prometheus text: metrics.c
// Runs `work` on the control thread. For what must not run on a shard's.
void daemon_post(struct daemon *daemon, void (*work)(struct daemon *daemon, void *context), void *context);

// ---- control thread ----
// Loads the configured policy and puts it in force on all shards, or leaves everything as it is. `why` goes into the
// journal. Sets *changed false when the bundle is the one in force already.
int daemon_reload(struct daemon *daemon, const char *why, bool *changed, struct error *err);
void daemon_stop(struct daemon *daemon);
