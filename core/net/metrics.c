// GET /metrics: what all threads count, summed, and what the daemon is set to. Reads the others' numbers by relaxed
// loads only.
#include "lua/vm.h"
#include "net/backfill.h"
#include "net/baseline_watch.h"
#include "net/daemon.h"
#include "net/prometheus.h"
#include "net/source_counts.h"
#include "net/track_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

// ---- what each thread counts ----

static void put_counters(const struct daemon *daemon, struct buf *out) {
  unsigned origins = daemon->shards + 1;
#define XX(name, help)                                                                                                 \
  {                                                                                                                    \
    uint64_t sum = 0;                                                                                                  \
    for (unsigned o = 0; o < origins; o++)                                                                             \
      sum += atomic_load_explicit(&daemon->metrics[o].name, memory_order_relaxed);                                     \
    prometheus_family(out, "intentd_" #name "_total", "counter", help);                                                \
    prometheus_count(out, "intentd_" #name "_total", NULL, sum);                                                       \
  }
  METRICS_COUNTERS(XX)
#undef XX
}

static void put_histograms(const struct daemon *daemon, struct buf *out) {
  unsigned origins = daemon->shards + 1;
#define XX(name, help)                                                                                                 \
  {                                                                                                                    \
    struct hist sum = {0};                                                                                             \
    for (unsigned o = 0; o < origins; o++) hist_merge(&sum, &daemon->metrics[o].name);                                 \
    prometheus_seconds(out, "intentd_" #name "_seconds", help, &sum);                                                  \
  }
  METRICS_HISTOGRAMS(XX)
#undef XX
#define XX(name, help)                                                                                                 \
  {                                                                                                                    \
    struct hist sum = {0};                                                                                             \
    for (unsigned o = 0; o < origins; o++) hist_merge(&sum, &daemon->metrics[o].name);                                 \
    prometheus_ages(out, "intentd_" #name "_seconds", help, &sum);                                                     \
  }
  METRICS_AGES(XX)
#undef XX
}

// Every code is shown from the start: a rate over a series that appears with its first error would miss that error.
static void put_errors(const struct daemon *daemon, struct buf *out) {
  prometheus_family(out, "intentd_errors_total", "counter", "errors answered, by their code (docs/protocol.md#errors)");
  uint64_t sum[METRICS_STATUSES] = {0};
  for (unsigned o = 0; o <= daemon->shards; o++)
    for (int s = 1; s < METRICS_STATUSES; s++)
      sum[s] += atomic_load_explicit(&daemon->metrics[o].errors[s], memory_order_relaxed);
#define XX(name, number, wire, retryable)                                                                              \
  prometheus_count(out, "intentd_errors_total", (const char *const[]){"code", wire, NULL}, sum[number]);
  ITD_STATUS_MAP(XX)
#undef XX
}

// ---- what each shard's intake and store count ----

// Of a shard; the last two only in the first: they are the whole store's.
struct store_sums {
  struct intake_stats intake;
  struct store_stats store;
  struct keep_stats keep;
  struct sealer_stats sealing;
  struct archiver_stats archiving;
};

// XX(member, type, suffix, help): one family, one sample a shard
#define SHARD_FAMILIES(XX)                                                                                             \
  XX(intake.events, "counter", "events_total", "events decided")                                                       \
  XX(intake.duplicates, "counter", "duplicates_total", "events seen before, answered with their first decision")       \
  XX(intake.refused, "counter", "refused_total", "events refused")                                                     \
  XX(intake.stopped, "counter", "stopped_total", "events whose policy call was stopped")                               \
  XX(intake.timers, "counter", "timers_total", "decisions made by timers")                                             \
  XX(intake.new_leads, "counter", "new_leads_total", "leads first seen")                                               \
  XX(intake.merges, "counter", "merges_total", "leads that took another one in")                                       \
  XX(intake.went_on, "counter", "went_on_total", "events sent on to the lead that theirs was merged into")             \
  XX(intake.pool_grants, "counter", "pool_grants_total", "owners' turns that pools gave")                              \
  XX(intake.pool_waits, "counter", "pool_waits_total", "leads that had to wait in a pool for an owner with room")      \
  XX(intake.pool_full, "counter", "pool_full_total", "times that a pool was asked and nobody had room")                \
  XX(intake.people_evicted, "counter", "account_people_evicted_total", "people of accounts no longer told apart")      \
  XX(intake.copies_dropped, "counter", "account_copies_dropped_total",                                                 \
     "slots with active people of an account that got no copy: account.fanout")                                        \
  XX(intake.copies_idle, "counter", "account_copies_idle_total",                                                       \
     "slots without any for account.active, which got no copy")                                                        \
  XX(intake.traits_dropped, "counter", "account_traits_dropped_total", "traits of accounts beyond what one keeps")     \
  XX(intake.inputs_kept, "counter", "decision_inputs_total",                                                           \
     "decisions kept with what their rules and models of trees read")                                                  \
  XX(intake.flaps, "counter", "stage_flaps_total", "stages entered again within a day of leaving them")                \
  XX(store.leads_in_memory, "gauge", "leads_in_memory", "leads held in memory")                                        \
  XX(store.identities_in_memory, "gauge", "identities_in_memory", "identities held in memory")                         \
  XX(store.dedupe_entries, "gauge", "dedupe_entries", "messageIds in memory; bound: dedupe.entries over all shards")   \
  XX(store.dedupe_file_hits, "counter", "dedupe_file_hits_total", "duplicates found in files, not in memory")          \
  XX(store.dedupe_false_positives, "counter", "dedupe_false_positives_total", "files looked at in vain")               \
  XX(store.lead_reads, "counter", "lead_reads_total", "leads read from LMDB")                                          \
  XX(store.quarantined, "counter", "quarantined_total", "refused events kept in quarantine")                           \
  XX(store.entities_in_memory, "gauge", "entities_in_memory", "entities that are no leads, held in memory")            \
  XX(store.outbox.pending, "gauge", "outbox_messages", "messages between entities, not acknowledged yet")              \
  XX(store.outbox.bytes, "gauge", "outbox_bytes", "bytes of them; bound: outbox.bytes over all shards")                \
  XX(store.outbox.sent, "counter", "messages_sent_total", "messages given to the shard that they are for")             \
  XX(store.outbox.resent, "counter", "messages_resent_total", "given again, because no acknowledgement came")          \
  XX(store.outbox.applied, "counter", "messages_applied_total", "messages applied by their entity")                    \
  XX(store.outbox.duplicates, "counter", "messages_duplicate_total", "messages that had been applied before")          \
  XX(store.outbox.early, "counter", "messages_early_total", "messages that came before the one before them")           \
  XX(store.outbox.full, "counter", "outbox_full_total", "times that intake paused at outbox.bytes")                    \
  XX(store.journal.frames, "counter", "journal_frames_total", "frames written to the journal")                         \
  XX(store.journal.bytes, "counter", "journal_bytes_total", "bytes written to the journal")                            \
  XX(store.journal.commits, "counter", "journal_commits_total", "commits of the journal")                              \
  XX(store.journal.syncs, "counter", "journal_syncs_total", "syncs of the journal")                                    \
  XX(store.journal.full, "counter", "journal_full_total", "commits put off because the disk was full")
// The same for what all shards share: one sample.
#define STORE_FAMILIES(XX)                                                                                             \
  XX(store.dedupe_files, "gauge", "dedupe_files", "files of messageIds")                                               \
  XX(store.dedupe_file_entries, "gauge", "dedupe_file_entries", "messageIds in files")                                 \
  XX(store.dedupe_filter_bytes, "gauge", "dedupe_filter_bytes", "memory that the files' filters and indexes take")     \
  XX(store.dedupe_merges, "counter", "dedupe_merges_total", "files of messageIds merged")                              \
  XX(store.dedupe_failures, "counter", "dedupe_failures_total", "files of messageIds that could not be written")       \
  XX(store.dirty_bytes, "gauge", "dirty_bytes", "changed leads not yet in the checkpoint; bound: checkpoint.dirty")    \
  XX(store.journal_bytes, "gauge", "checkpoint_journal_bytes",                                                         \
     "journal since the last checkpoint; bound: checkpoint.journal")                                                   \
  XX(store.checkpoints, "counter", "checkpoints_total", "checkpoints ended")                                           \
  XX(store.checkpoint_failures, "counter", "checkpoint_failures_total", "checkpoints that failed, to be tried again")  \
  XX(store.forgotten, "counter", "forgotten_total", "leads forgotten, to the last step")                               \
  XX(store.forget_failures, "counter", "forget_failures_total", "forgettings that failed, to be tried again")

// XX(member, type, name after intentd_, help)
#define KEEP_FAMILIES(XX)                                                                                              \
  XX(keep.bases, "counter", "bases_total", "sets of bases written")                                                    \
  XX(keep.failures, "counter", "base_failures_total", "sets of bases that failed, to be tried again")                  \
  XX(keep.base_bytes, "gauge", "base_bytes", "what the newest set of bases takes")                                     \
  XX(keep.segments_gone, "counter", "journal_let_go_segments_total", "segments of journal that retention let go")      \
  XX(keep.bytes_gone, "counter", "journal_let_go_bytes_total", "their bytes")

// What becomes of full journal files.
#define SEALING_FAMILIES(XX)                                                                                           \
  XX(sealing.segments, "counter", "sealed_segments_total", "journal files sealed")                                     \
  XX(sealing.raw_bytes, "counter", "sealed_bytes_before_total", "bytes of journal files that were sealed")             \
  XX(sealing.file_bytes, "counter", "sealed_bytes_after_total", "bytes of what they were sealed into")                 \
  XX(sealing.failures, "counter", "seal_failures_total", "sealings that failed: the journal file stays as it is")      \
  XX(sealing.waiting, "gauge", "seal_waiting", "full journal files that are not sealed yet")

#define ARCHIVE_FAMILIES(XX)                                                                                           \
  XX(archiving.segments, "counter", "archived_segments_total", "sealed journal files archived")                        \
  XX(archiving.failures, "counter", "archive_failures_total", "tries to archive one that failed, to be tried again")   \
  XX(archiving.waiting, "gauge", "archive_waiting", "sealed journal files that are not archived yet")

// What the store counts now, and what those before it in this process did: counters go on over a recovery. While there is no
// store the rest is zero.
static struct store_sums *read_sums(struct daemon *daemon) {
  struct store_sums *sums = xcalloc(daemon->shards, sizeof *sums);
  for (unsigned s = 0; s < daemon->shards; s++) {
    if (daemon->has_store) {
      sums[s].intake = intake_stats(shard_of(daemon->threads[s])->intake);
      sums[s].store = store_stats(store_shard(daemon->store, s));
      if (s == 0) sums[s].keep = store_keep_stats(daemon->store);
      if (s == 0) sums[s].sealing = store_sealing(daemon->store);
      if (s == 0) sums[s].archiving = store_archiving(daemon->store);
    }
    if (!daemon->carried) continue;
#define XX(member, type, suffix, help)                                                                                 \
  if (type[0] == 'c') sums[s].member += daemon->carried[s].member;
    SHARD_FAMILIES(XX)
    STORE_FAMILIES(XX)
    KEEP_FAMILIES(XX)
    SEALING_FAMILIES(XX)
    ARCHIVE_FAMILIES(XX)
#undef XX
  }
  return sums;
}

void daemon_keep_counters(struct daemon *daemon) {
  pthread_mutex_lock(&daemon->lock);
  struct store_sums *sums = read_sums(daemon);
  free(daemon->carried);
  daemon->carried = sums;
  daemon->has_store = false;
  pthread_mutex_unlock(&daemon->lock);
}

static void put_shards(const struct daemon *daemon, const struct store_sums *sums, struct buf *out) {
  char label[12];
#define XX(member, type, suffix, help)                                                                                 \
  prometheus_family(out, "intentd_" suffix, type, help);                                                               \
  for (unsigned s = 0; s < daemon->shards; s++) {                                                                      \
    snprintf(label, sizeof label, "%u", s);                                                                            \
    prometheus_count(out, "intentd_" suffix, (const char *const[]){"shard", label, NULL}, sums[s].member);             \
  }
  SHARD_FAMILIES(XX)
  XX(store.outbox.oldest_ms / 1000, "gauge", "outbox_oldest_seconds", "how long the oldest of them has waited")
#undef XX
#define XX(member, type, suffix, help)                                                                                 \
  prometheus_family(out, "intentd_" suffix, type, help);                                                               \
  prometheus_count(out, "intentd_" suffix, NULL, sums[0].member);
  STORE_FAMILIES(XX)
  KEEP_FAMILIES(XX)
  SEALING_FAMILIES(XX)
  ARCHIVE_FAMILIES(XX)
#undef XX
}

static void put_gauge(struct buf *out, const char *name, const char *help, double value) {
  prometheus_family(out, name, "gauge", help);
  prometheus_number(out, name, NULL, value);
}

static void put_keeper(struct keep_stats stats, struct buf *out) {
  put_gauge(out, "intentd_base_time_seconds", "when the newest set of bases was made, seconds since 1970; 0: never",
            (double)stats.base_ms / 1000);
  put_gauge(out, "intentd_base_seconds", "how long the newest set of bases took", (double)stats.base_took_ms / 1000);
  put_gauge(out, "intentd_state_snapshot_seconds",
            "age of the snapshot of LMDB that a base is being written from; 0: none is open",
            (double)stats.snapshot_ms / 1000);
}

static void put_sealing(struct sealer_stats sealing, struct buf *out) {
  prometheus_family(out, "intentd_seal_lag_seconds", "gauge", "how long a full journal file has waited to be sealed");
  prometheus_number(out, "intentd_seal_lag_seconds", NULL, (double)sealing.waiting_ms / 1000);
}

static void put_archiving(struct archiver_stats archiving, struct buf *out) {
  put_gauge(out, "intentd_archive_lag_seconds", "how long a sealed journal file has waited to be archived",
            (double)archiving.waiting_ms / 1000);
}

// ---- the daemon ----

// Rules for sources, of the release in force; counters begin anew with it. A source that is silent shows here.
static void put_quality(struct daemon *daemon, struct buf *out) {
  pthread_mutex_lock(&daemon->lock);
  struct policy *policy = daemon->release.policy;
  if (policy) policy_retain(policy);
  pthread_mutex_unlock(&daemon->lock);
  struct quality *q = policy ? policy_quality(policy) : NULL;
  size_t count = q ? quality_count(q) : 0;
  static const struct {
    const char *name, *type, *help;
  } families[] = {
      {"intentd_quality_breaches_total", "counter", "events or windows that broke a rule for sources"},
      {"intentd_quality_refused_total", "counter", "events that a rule for sources refused"},
      {"intentd_quality_breached", "gauge", "1 while a rule is broken in its last window"},
      {"intentd_quality_window_events", "gauge", "events in a rule's last whole window"},
  };
  if (q) quality_turn(q, clock_wall_ms());
  for (size_t f = 0; f < sizeof families / sizeof *families && count; f++) {
    prometheus_family(out, families[f].name, families[f].type, families[f].help);
    for (size_t i = 0; i < count; i++) {
      struct quality_stats s = quality_stats(q, i);
      double values[] = {(double)s.breaches, (double)s.refused, s.is_breached, (double)s.window_events};
      prometheus_number(out, families[f].name, (const char *const[]){"rule", s.name, NULL}, values[f]);
    }
  }
  if (policy) policy_release(policy);
}

// Samples of a family must follow each other.
static void put_models_as(const struct daemon *daemon, const char *name, bool is_since, struct buf *out) {
  struct policy_model_use use;
  for (size_t role = 0; daemon->release.policy && role < policy_roles(); role++) {
    if (!policy_model_of(daemon->release.policy, role, &use)) continue;
    const struct model_use *since = model_history_in_force(&daemon->models, use.model.name);
    const char *labels[] = {"role", use.role, "name", use.model.name, "version", use.model.version, NULL};
    prometheus_number(out, name, labels, !is_since ? 1 : since ? (double)since->at_ms / 1000 : 0);
  }
}

static void put_canaries(const struct daemon *daemon, struct buf *out) {
  struct policy_model_use use;
  for (size_t role = 0; daemon->release.policy && role < policy_roles(); role++) {
    if (!policy_canary_of(daemon->release.policy, role, &use)) continue;
    const char *labels[] = {"role", use.role, "name", use.model.name, "version", use.model.version, NULL};
    prometheus_number(out, "intentd_model_canary_share", labels, (double)use.share / POLICY_SHARE_ALL);
  }
}

static void put_models(struct daemon *daemon, struct buf *out) {
  pthread_mutex_lock(&daemon->lock);
  prometheus_family(out, "intentd_model_info", "gauge", "the models in force; always 1");
  put_models_as(daemon, "intentd_model_info", false, out);
  prometheus_family(out, "intentd_model_since_seconds", "gauge", "when the model came into force, seconds since 1970");
  put_models_as(daemon, "intentd_model_since_seconds", true, out);
  prometheus_family(out, "intentd_model_canary_share", "gauge",
                    "the share of leads for whom this version decides beside the one in force, 0 to 1");
  put_canaries(daemon, out);
  pthread_mutex_unlock(&daemon->lock);
}

static void put_release(struct daemon *daemon, struct buf *out) {
  prometheus_family(out, "intentd_release_info", "gauge", "the policy in force; always 1");
  pthread_mutex_lock(&daemon->lock);
  if (daemon->release.policy) {
    const struct policy_info *info = policy_info(daemon->release.policy);
    prometheus_count(out, "intentd_release_info",
                     (const char *const[]){"policy", info->name, "version", info->version, "data", info->data,
                                           "signals", info->signals, "mode", info->mode, NULL},
                     1);
  }
  enum policy_switch switched = daemon->switched.to;
  double since = (double)daemon->release_since_ms / 1000;
  uint64_t reloads = daemon->reloads, failures = daemon->reload_failures;
  bool is_behind = daemon->reload_error.code != 0;
  pthread_mutex_unlock(&daemon->lock);
  prometheus_family(out, "intentd_switch", "gauge", "what the workspace lets the policy do; always 1");
  prometheus_count(out, "intentd_switch", (const char *const[]){"to", switch_name(switched), NULL}, 1);
  prometheus_family(out, "intentd_release_since_seconds", "gauge",
                    "when the policy came into force, seconds since 1970");
  prometheus_number(out, "intentd_release_since_seconds", NULL, since);
  prometheus_family(out, "intentd_reloads_total", "counter", "times that the policy's files were loaded again");
  prometheus_count(out, "intentd_reloads_total", NULL, reloads);
  prometheus_family(out, "intentd_reload_failures_total", "counter",
                    "reloads that failed: the policy before stayed in force");
  prometheus_count(out, "intentd_reload_failures_total", NULL, failures);
  prometheus_family(out, "intentd_reload_failed", "gauge",
                    "1: the policy's files do not load, what runs is an older version");
  prometheus_count(out, "intentd_reload_failed", NULL, is_behind);
  put_models(daemon, out);
}

// Calls, where intentd_stopped_total counts events: dry runs and explanations too, and both tries of one that was made twice.
static void put_stops(const struct config *config, struct buf *out) {
  prometheus_family(out, "intentd_policy_guard_info", "gauge", "what bounds the policy's calls; always 1");
  const char *guard = config->policy_guard == 0 && vm_has_guard() ? "jit" : "hook";
  prometheus_count(out, "intentd_policy_guard_info", (const char *const[]){"guard", guard, NULL}, 1);
  prometheus_family(out, "intentd_policy_calls_stopped_total", "counter",
                    "calls of policies that were stopped, by cause");
#define XX(name, label)                                                                                                \
  prometheus_count(out, "intentd_policy_calls_stopped_total", (const char *const[]){"cause", label, NULL},             \
                   vm_stops(STOP_##name));
  STOPS(XX)
#undef XX
}

static void put_backfill(struct daemon *daemon, struct buf *out) {
  struct backfill_figures b = backfill_figures(daemon);
  prometheus_family(out, "intentd_backfill_running", "gauge", "1: features are being filled in from the journal");
  prometheus_count(out, "intentd_backfill_running", NULL, b.running);
  prometheus_family(out, "intentd_backfill_done_ratio", "gauge",
                    "how much of the journal the backfill that runs, or ran last, has read");
  prometheus_number(out, "intentd_backfill_done_ratio", NULL, b.done);
  prometheus_family(out, "intentd_backfill_leads", "gauge", "leads that it has filled in");
  prometheus_count(out, "intentd_backfill_leads", NULL, b.filled);
}

static void put_trouble(struct daemon *daemon, struct buf *out) {
  prometheus_family(out, "intentd_storage_unavailable", "gauge",
                    "1: the shard takes no events, because the disk has no room or failed");
  pthread_mutex_lock(&daemon->lock);
  for (unsigned s = 0; s < daemon->shards; s++) {
    char label[12];
    snprintf(label, sizeof label, "%u", s);
    prometheus_count(out, "intentd_storage_unavailable", (const char *const[]){"shard", label, NULL},
                     daemon->trouble[s].code != 0);
  }
  pthread_mutex_unlock(&daemon->lock);
  prometheus_family(out, "intentd_recoveries_total", "counter",
                    "recoveries in process, after a disk failed under the running daemon");
  prometheus_count(out, "intentd_recoveries_total", NULL, atomic_load(&daemon->recoveries));
  prometheus_family(out, "intentd_recovery_failures_total", "counter", "tries of those that failed, to be tried again");
  prometheus_count(out, "intentd_recovery_failures_total", NULL, atomic_load(&daemon->recovery_failures));
  prometheus_family(out, "intentd_clock_steps_total", "counter", "times that the wall clock was set");
  prometheus_count(out, "intentd_clock_steps_total", NULL, atomic_load(&daemon->clock_steps));
}

static void put_daemon(struct daemon *daemon, struct buf *out) {
  prometheus_family(out, "intentd_build_info", "gauge", "the program; always 1");
  prometheus_count(out, "intentd_build_info", (const char *const[]){"version", INTENTD_VERSION, NULL}, 1);
  put_gauge(out, "intentd_start_time_seconds", "when the daemon started, seconds since 1970",
            (double)daemon->started_ms / 1000);
  put_gauge(out, "intentd_ready", "1: ready (as GET /readyz)",
            atomic_load(&daemon->is_ready) && !atomic_load(&daemon->is_stopping) &&
                !atomic_load(&daemon->paused_shards) && !atomic_load(&daemon->unavailable_shards));
  put_gauge(out, "intentd_shards", "shard threads", daemon->shards);
  put_gauge(out, "intentd_partitions", "partitions of the data directory", store_partitions(daemon->store));
  uint64_t subscribers = 0;
  for (unsigned s = 0; s < daemon->shards; s++)
    subscribers += atomic_load_explicit(&daemon->subscribers[s], memory_order_relaxed);
  put_gauge(out, "intentd_subscribers", "connections that subscribe to decisions", (double)subscribers);
  pthread_mutex_lock(&daemon->lock);
  struct store_recovery r = daemon->recovery;
  pthread_mutex_unlock(&daemon->lock);
  put_gauge(out, "intentd_recovery_seconds", "how long the last recovery took", (double)r.took_ms / 1000);
  put_gauge(out, "intentd_recovery_frames", "frames folded by it", (double)r.frames);
  put_gauge(out, "intentd_recovery_skipped_frames", "frames that LMDB had already", (double)r.skipped);
  put_gauge(out, "intentd_recovery_torn_bytes", "bytes of unacknowledged commits that it cut", (double)r.torn_bytes);
  put_gauge(out, "intentd_recovery_leads", "leads changed by the frames that it folded", (double)r.leads);
}

// XX(name of the option, member of struct config, unit, divisor)
#define LIMITS(XX)                                                                                                     \
  XX("event.id_bytes", event_id_bytes, "bytes", 1)                                                                     \
  XX("event.name_bytes", event_name_bytes, "bytes", 1)                                                                 \
  XX("event.bytes", event_bytes, "bytes", 1)                                                                           \
  XX("event.late", event_late_ms, "seconds", 1000)                                                                     \
  XX("event.future", event_future_ms, "seconds", 1000)                                                                 \
  XX("account.interval", account_interval_ms, "seconds", 1000)                                                         \
  XX("account.people", account_people, "", 1)                                                                          \
  XX("account.fanout", account_fanout, "", 1)                                                                          \
  XX("account.active", account_active_ms, "seconds", 1000)                                                             \
  XX("frame.depth", frame_depth, "", 1)                                                                                \
  XX("frame.objects", frame_objects, "", 1)                                                                            \
  XX("frame.bytes", frame_bytes, "bytes", 1)                                                                           \
  XX("net.connections", net_connections, "", 1)                                                                        \
  XX("net.answer_bytes", net_answer_bytes, "bytes", 1)                                                                 \
  XX("net.subscriber_bytes", net_subscriber_bytes, "bytes", 1)                                                         \
  XX("net.stall", net_stall_ms, "seconds", 1000)                                                                       \
  XX("net.batch", net_batch, "", 1)                                                                                    \
  XX("sync_interval", sync_interval_ms, "seconds", 1000)                                                               \
  XX("journal.segment", journal_segment, "bytes", 1)                                                                   \
  XX("journal.compression", journal_compression, "", 1)                                                                \
  XX("dedupe.window", dedupe_window_ms, "seconds", 1000)                                                               \
  XX("dedupe.recent", dedupe_recent_ms, "seconds", 1000)                                                               \
  XX("dedupe.entries", dedupe_entries, "", 1)                                                                          \
  XX("state.map", state_map, "bytes", 1)                                                                               \
  XX("checkpoint.dirty", checkpoint_dirty, "bytes", 1)                                                                 \
  XX("checkpoint.journal", checkpoint_journal, "bytes", 1)                                                             \
  XX("checkpoint.interval", checkpoint_interval_ms, "seconds", 1000)                                                   \
  XX("base.interval", base_interval_ms, "seconds", 1000)                                                               \
  XX("base.journal", base_journal, "bytes", 1)                                                                         \
  XX("base.keep", base_keep, "", 1)                                                                                    \
  XX("retention.age", retention_age_ms, "seconds", 1000)                                                               \
  XX("retention.bytes", retention_bytes, "bytes", 1)                                                                   \
  XX("track.interval", track_interval_ms, "seconds", 1000)                                                             \
  XX("quarantine.bytes", quarantine_bytes, "bytes", 1)                                                                 \
  XX("outbox.bytes", outbox_bytes, "bytes", 1)                                                                         \
  XX("policy.memory", policy_memory, "bytes", 1)                                                                       \
  XX("policy.build_memory", policy_build_memory, "bytes", 1)                                                           \
  XX("policy.build_instructions", policy_build_instructions, "", 1)                                                    \
  XX("policy.call_instructions", policy_call_instructions, "", 1)                                                      \
  XX("policy.deadline_us", policy_deadline_us, "seconds", 1e6)                                                         \
  XX("source.memory", source_memory, "bytes", 1)                                                                       \
  XX("source.instructions", source_instructions, "", 1)                                                                \
  XX("source.cpu", source_cpu_ms, "seconds", 1000)                                                                     \
  XX("source.queue", source_queue, "", 1)

static void put_limits(const struct config *config, struct buf *out) {
  prometheus_family(out, "intentd_limit", "gauge", "the bounds in force, by option (docs/operations.md#bounds)");
#define XX(option, member, unit, divisor)                                                                              \
  prometheus_number(out, "intentd_limit", (const char *const[]){"name", option, "unit", unit, NULL},                   \
                    (double)config->member / divisor);
  LIMITS(XX)
#undef XX
  prometheus_number(out, "intentd_limit", (const char *const[]){"name", "net.inflight", "unit", "", NULL},
                    ORIGIN_CREDITS);
}

// What `intent doctor --to` judges by.
void daemon_put_storage(struct daemon *daemon, struct buf *out) {
  struct statvfs fs = {0};
  struct error why = {0};
  unsigned shard;
  bool has_room_left = statvfs(daemon->config->data, &fs) == 0;
  bool is_in_trouble = daemon_get_trouble(daemon, &shard, &why);
  pthread_mutex_lock(&daemon->lock);
  struct store_sums *sums = read_sums(daemon), all = sums[0];
  pthread_mutex_unlock(&daemon->lock);
  for (unsigned s = 1; s < daemon->shards; s++) {
    all.store.forget_failures += sums[s].store.forget_failures;
    all.store.journal.full += sums[s].store.journal.full;
    if (sums[s].store.outbox.oldest_ms > all.store.outbox.oldest_ms)
      all.store.outbox.oldest_ms = sums[s].store.outbox.oldest_ms;
  }
  free(sums);
  const struct {
    const char *name;
    uint64_t value;
  } numbers[] = {{"free_bytes", has_room_left ? (uint64_t)fs.f_bavail * fs.f_frsize : 0},
                 {"dirty_bytes", all.store.dirty_bytes},
                 {"dirty_limit", (uint64_t)daemon->config->checkpoint_dirty},
                 {"checkpoint_failures", all.store.checkpoint_failures},
                 {"base_ms", (uint64_t)all.keep.base_ms},
                 {"base_failures", all.keep.failures},
                 {"snapshot_ms", (uint64_t)all.keep.snapshot_ms},
                 {"seal_waiting_ms", (uint64_t)all.sealing.waiting_ms},
                 {"seal_failures", all.sealing.failures},
                 {"archive_waiting_ms", (uint64_t)all.archiving.waiting_ms},
                 {"archive_failures", all.archiving.failures},
                 {"forget_failures", all.store.forget_failures},
                 {"journal_full", all.store.journal.full},
                 {"outbox_oldest_ms", all.store.outbox.oldest_ms},
                 {"recovery_failures", atomic_load(&daemon->recovery_failures)},
                 {"paused_shards", atomic_load(&daemon->paused_shards)}};
  const size_t n = sizeof numbers / sizeof *numbers;
  mp_put_map(out, (uint32_t)n + 1);
  mp_put_cstr(out, "trouble");
  if (is_in_trouble)
    mp_put_cstr(out, why.text);
  else
    mp_put_nil(out);
  for (size_t i = 0; i < n; i++) {
    mp_put_cstr(out, numbers[i].name);
    mp_put_uint(out, numbers[i].value);
  }
}

void daemon_metrics(struct daemon *daemon, struct buf *out) {
  put_daemon(daemon, out);
  put_backfill(daemon, out);
  put_trouble(daemon, out);
  put_release(daemon, out);
  put_stops(daemon->config, out);
  put_quality(daemon, out);
  put_counters(daemon, out);
  put_errors(daemon, out);
  source_counts_put(daemon->source_counts, out);
  baseline_watch_put(daemon->intake.baselines, out);
  track_watch_put(daemon->track_watch, out);
  put_histograms(daemon, out);
  pthread_mutex_lock(&daemon->lock);
  struct store_sums *sums = read_sums(daemon);
  pthread_mutex_unlock(&daemon->lock);
  put_shards(daemon, sums, out);
  put_keeper(sums[0].keep, out);
  put_sealing(sums[0].sealing, out);
  put_archiving(sums[0].archiving, out);
  free(sums);
  put_limits(daemon->config, out);
}
