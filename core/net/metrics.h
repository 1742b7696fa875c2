// What the daemon counts about itself, by thread; GET /metrics shows the sums in Prometheus' text form. One writer
// thread each.
#pragma once
#include "base/buf.h"
#include "base/hist.h"

// XX(name, help)
#define METRICS_COUNTERS(XX)                                                                                           \
  XX(connections_opened, "connections accepted")                                                                       \
  XX(connections_closed, "connections ended")                                                                          \
  XX(connections_refused, "connections over net.connections")                                                          \
  XX(accepts_failed, "times that nothing could be accepted: too many open files")                                      \
  XX(connections_stalled,                                                                                              \
     "connections closed for a message that did not end, or answers that were not read, within net.stall")             \
  XX(bytes_read, "bytes read from senders")                                                                            \
  XX(bytes_written, "bytes written to senders")                                                                        \
  XX(rpc_requests, "MessagePack-RPC requests and notifications")                                                       \
  XX(forward_entries, "Fluentd Forward entries")                                                                       \
  XX(http_requests, "HTTP requests")                                                                                   \
  XX(answers, "answers given, errors included")                                                                        \
  XX(reads_paused, "times that reading paused at a bound: credits, answers waiting, checkpoint")                       \
  XX(subscribers_dropped, "subscribers closed because they did not keep up")
// XX(name, help): histograms of nanoseconds, shown in seconds
#define METRICS_HISTOGRAMS(XX)                                                                                         \
  XX(hop_cross, "from an origin to the shard that owns the partition")                                                 \
  XX(hop_decide, "decode, fold, score and decide one event")                                                           \
  XX(hop_commit, "write and sync all frames of a turn")                                                                \
  XX(hop_answer, "from the bytes of a request read to its answer given to the socket")

// The same of milliseconds.
#define METRICS_AGES(XX) XX(account_age, "age of the copy of its account that a decision read")

#define METRICS_STATUSES 32

struct metrics {
#define XX(name, help) _Atomic uint64_t name;
  METRICS_COUNTERS(XX)
#undef XX
#define XX(name, help) struct hist name;
  METRICS_HISTOGRAMS(XX)
  METRICS_AGES(XX)
#undef XX
  _Atomic uint64_t errors[METRICS_STATUSES]; // by -status
};

static inline void metrics_add(_Atomic uint64_t *counter, uint64_t n) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void metrics_error(struct metrics *m, int status) {
  if (status < 0 && status > -METRICS_STATUSES) metrics_add(&m->errors[-status], 1);
}
