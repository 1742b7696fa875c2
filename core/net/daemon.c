#include "net/daemon.h"

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "net/backfill.h"
#include "net/baseline_watch.h"
#include "net/clock_watch.h"
#include "net/http.h"
#include "net/late.h"
#include "net/listen.h"
#include "net/recover.h"
#include "net/release.h"
#include "net/source_counts.h"
#include "net/track_watch.h"
#include "store/disk_faults.h"
#include "wire/rpc.h"

#include <event2/thread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define QUIET_MS 5000 // how long a stop waits for what is under way
// Files that are no connection, with room to spare: of the process (LMDB, sockets, a policy being loaded), of a shard
// (segments being written, made and read, vault, epoll).
#define FILES_OWN   64
#define FILES_SHARD 60
// With fewer it can't even start: event loops and threads end the process where they get no file.
#define FILES_OWN_MIN   32
#define FILES_SHARD_MIN 10

struct sockets {
  int listen, http, forward, admin;
};

// ---- posting to the control thread ----

struct errand {
  struct daemon *daemon;
  void (*work)(struct daemon *, void *);
  void *context;
};

static void run_errand(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct errand *errand = arg;
  errand->work(errand->daemon, errand->context);
  free(errand);
}

void daemon_post(struct daemon *daemon, void (*work)(struct daemon *, void *), void *context) {
  struct errand *errand = xmalloc(sizeof *errand);
  *errand = (struct errand){daemon, work, context};
  struct timeval now = {0};
  CHECK(event_base_once(daemon->control, -1, EV_TIMEOUT, run_errand, errand, &now) == 0);
}

// ---- what others may know ----

void daemon_put_status(struct daemon *daemon, struct buf *out) {
  pthread_mutex_lock(&daemon->lock);
  const struct policy_info *info = policy_info(daemon->release.policy);
  mp_put_map(out, 13);
  mp_put_cstr(out, "policy");
  mp_put_cstr(out, info->name);
  mp_put_cstr(out, "version");
  mp_put_cstr(out, info->version);
  mp_put_cstr(out, "hash");
  mp_put_cstr(out, info->text_hash);
  mp_put_cstr(out, "data"); // of its csv files
  if (info->data[0])
    mp_put_cstr(out, info->data);
  else
    mp_put_nil(out);
  mp_put_cstr(out, "number");
  mp_put_uint(out, daemon->release.number);
  mp_put_cstr(out, "signals");
  mp_put_cstr(out, info->signals);
  mp_put_cstr(out, "owner");
  mp_put_cstr(out, info->owner);
  mp_put_cstr(out, "mode");
  mp_put_cstr(out, info->mode);
  mp_put_cstr(out, "switch"), switch_put(&daemon->switched, out);
  mp_put_cstr(out, "since");
  mp_put_int(out, daemon->release_since_ms);
  mp_put_cstr(out, "reloads");
  mp_put_uint(out, daemon->reloads);
  mp_put_cstr(out, "reload_failures");
  mp_put_uint(out, daemon->reload_failures);
  mp_put_cstr(out, "error"); // why the files on disk are not what runs; nil when they are
  if (daemon->reload_error.code)
    error_put(out, &daemon->reload_error);
  else
    mp_put_nil(out);
  pthread_mutex_unlock(&daemon->lock);
}

void daemon_trouble(struct daemon *daemon, unsigned shard, const struct error *why) {
  pthread_mutex_lock(&daemon->lock);
  int change = (why != NULL) - (daemon->trouble[shard].code != 0);
  daemon->trouble[shard] = why ? *why : (struct error){0};
  atomic_fetch_add(&daemon->unavailable_shards, (unsigned)change);
  pthread_mutex_unlock(&daemon->lock);
}

bool daemon_get_trouble(struct daemon *daemon, unsigned *shard, struct error *why) {
  pthread_mutex_lock(&daemon->lock);
  unsigned s = 0;
  while (s < daemon->shards && !daemon->trouble[s].code) s++;
  if (s < daemon->shards) *why = daemon->trouble[*shard = s];
  pthread_mutex_unlock(&daemon->lock);
  return s < daemon->shards;
}

struct edition *daemon_edition(struct daemon *daemon) {
  pthread_mutex_lock(&daemon->lock);
  struct edition *edition = daemon->edition;
  if (edition) edition_retain(edition);
  pthread_mutex_unlock(&daemon->lock);
  return edition;
}

static void put_port(struct buf *out, const char *name, int port) {
  mp_put_cstr(out, name);
  if (port)
    mp_put_int(out, port);
  else
    mp_put_nil(out);
}

void daemon_put_info(struct daemon *daemon, struct buf *out) {
  mp_put_map(out, 12);
  mp_put_cstr(out, "version");
  mp_put_cstr(out, INTENTD_VERSION);
  mp_put_cstr(out, "pid");
  mp_put_int(out, getpid());
  mp_put_cstr(out, "started");
  mp_put_int(out, daemon->started_ms);
  mp_put_cstr(out, "shards");
  mp_put_uint(out, daemon->shards);
  mp_put_cstr(out, "partitions");
  mp_put_uint(out, store_partitions(daemon->store));
  mp_put_cstr(out, "clock");
  mp_put_cstr(out, daemon->intake.clock == ENGINE_CLOCK_WALL ? "wall" : "event");
  mp_put_cstr(out, "sync");
  static const char *const sync[] = {"always", "interval", "off"};
  mp_put_cstr(out, sync[daemon->config->sync]);
  put_port(out, "listen_port", daemon->listen_port);
  put_port(out, "http_port", daemon->http_port);
  put_port(out, "forward_port", daemon->forward_port);
  pthread_mutex_lock(&daemon->lock);
  struct store_recovery recovery = daemon->recovery;
  pthread_mutex_unlock(&daemon->lock);
  mp_put_cstr(out, "recovery");
  mp_put_map(out, 4);
  mp_put_cstr(out, "frames");
  mp_put_uint(out, recovery.frames);
  mp_put_cstr(out, "torn_bytes");
  mp_put_uint(out, recovery.torn_bytes);
  mp_put_cstr(out, "leads");
  mp_put_uint(out, recovery.leads);
  mp_put_cstr(out, "ms");
  mp_put_int(out, recovery.took_ms);
  mp_put_cstr(out, "storage");
  daemon_put_storage(daemon, out);
}

// ---- start ----

static int open_store(struct daemon *daemon, uint8_t seed[32], struct error *err) {
  const struct config *c = daemon->config;
  struct store_options options = STORE_OPTIONS_DEFAULT;
  options.dir = c->data;
  options.partitions = (unsigned)c->partitions;
  options.shards = daemon->shards;
  options.journal.segment_bytes = (uint64_t)c->journal_segment;
  options.seal = c->journal_seal;
  options.seal_level = (int)c->journal_compression;
  options.archive_dir = c->archive_dir;
  options.archive_command = c->archive_command;
  options.journal.sync = (unsigned)c->sync;
  options.journal.interval_ms = (unsigned)c->sync_interval_ms;
  options.dedupe_window_ms = c->dedupe_window_ms;
  options.dedupe_recent_ms = c->dedupe_recent_ms;
  options.dedupe_max = (size_t)c->dedupe_entries;
  options.map_bytes = (uint64_t)c->state_map;
  options.dirty_max = (size_t)c->checkpoint_dirty;
  options.checkpoint_journal = (uint64_t)c->checkpoint_journal;
  options.checkpoint_ms = c->checkpoint_interval_ms;
  options.keep = (struct keep_options){.base_interval_ms = c->base_interval_ms,
                                       .base_bytes = (uint64_t)c->base_journal,
                                       .bases = (unsigned)c->base_keep,
                                       .age_ms = c->retention_age_ms,
                                       .bytes = (uint64_t)c->retention_bytes};
  options.quarantine_max = (size_t)c->quarantine_bytes;
  options.outbox_max = (size_t)c->outbox_bytes;
  if (*c->seed) {
    if (hex_decode(bytes_str(c->seed), seed, 32) < 0)
      return error_set(err, ITD_ECONFIG, "option seed: \"%.80s\" is not allowed; allowed: 64 hexadecimal digits",
                       c->seed);
    options.seed = seed;
  }
  return store_open(&options, &daemon->store, &daemon->recovery, err);
}

static int open_sockets(struct daemon *daemon, struct sockets *fds, struct error *err) {
  const struct config *c = daemon->config;
  int status = listen_tcp(c->listen, &fds->listen, &daemon->listen_port, err);
  if (status == 0) status = listen_tcp(c->http, &fds->http, &daemon->http_port, err);
  if (status == 0 && *c->forward_key) status = listen_tcp(c->forward, &fds->forward, &daemon->forward_port, err);
  char path[4096];
  snprintf(path, sizeof path, "%s/intentd.sock", c->data);
  if (status == 0) status = listen_unix(path, &fds->admin, err);
  return status;
}

static void close_sockets(struct sockets *fds) {
  int *all[] = {&fds->listen, &fds->http, &fds->forward, &fds->admin};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (*all[i] >= 0) close(*all[i]);
}

static int write_ports(const struct daemon *daemon, struct error *err) {
  if (!*daemon->config->ports_file) return 0;
  struct buf text = {0};
  buf_printf(&text, "{\"listen\": %d, \"http\": %d, \"forward\": %d, \"pid\": %d}\n", daemon->listen_port,
             daemon->http_port, daemon->forward_port, (int)getpid());
  int status = file_replace(daemon->config->ports_file, buf_bytes(&text), err);
  buf_deinit(&text);
  return status;
}

static void begin_to_listen(struct daemon *daemon, const struct sockets *fds) {
  for (unsigned s = 0; s < daemon->shards; s++) {
    shard_listen(daemon->threads[s], fds->listen, CONN_PUBLIC);
    if (fds->forward >= 0) shard_listen(daemon->threads[s], fds->forward, CONN_FORWARD);
  }
  shard_listen(daemon->threads[0], fds->admin, CONN_ADMIN);
  daemon->http = http_start(daemon, fds->http);
  atomic_store(&daemon->is_ready, true);
  log_line(LOG_INFO, "listening", "listen=%s port=%d http_port=%d forward_port=%d shards=%u", daemon->config->listen,
           daemon->listen_port, daemon->http_port, daemon->forward_port, daemon->shards);
}

// ---- signals ----

static void on_stop(evutil_socket_t number, short what, void *arg) {
  (void)what;
  log_line(LOG_INFO, "stopping", "signal=%d", (int)number);
  daemon_stop(arg);
}

static void on_hup(evutil_socket_t number, short what, void *arg) {
  (void)number, (void)what;
  bool changed;
  struct error err = {0};
  (void)daemon_reload(arg, "SIGHUP", false, &changed, &err);
}

void daemon_stop(struct daemon *daemon) {
  atomic_store(&daemon->is_stopping, true);
  event_base_loopbreak(daemon->control);
}

static void end_at_once(int number) {
  (void)number;
  _exit(0);
}

void daemon_catch_signals(struct daemon *daemon, bool is_on) {
  for (size_t i = 0; i < 2; i++) {
    if (!is_on) event_del(daemon->stop_signals[i]);
    signal(i ? SIGINT : SIGTERM, is_on ? SIG_DFL : end_at_once);
    if (is_on) event_add(daemon->stop_signals[i], NULL);
  }
}

// Before anybody can know that the daemon is up; what comes until the loop runs waits for it.
static struct event *catch_signals(struct daemon *daemon) {
  daemon->stop_signals[0] = evsignal_new(daemon->control, SIGTERM, on_stop, daemon);
  daemon->stop_signals[1] = evsignal_new(daemon->control, SIGINT, on_stop, daemon);
  struct event *hup = evsignal_new(daemon->control, SIGHUP, on_hup, daemon);
  daemon_catch_signals(daemon, true);
  event_add(hup, NULL);
  return hup;
}

static void release_signals(struct daemon *daemon, struct event *hup) {
  if (!hup) return;
  for (size_t i = 0; i < 2; i++) event_free(daemon->stop_signals[i]);
  event_free(hup);
}

static void serve(struct daemon *daemon) {
  release_watch(daemon);
  daemon->baseline_watch = baseline_watch_start(daemon->control, daemon->intake.baselines, daemon->config->data);
  event_base_loop(daemon->control, EVLOOP_NO_EXIT_ON_EMPTY);
  baseline_watch_stop(daemon->baseline_watch);
  release_unwatch(daemon);
  recover_end(daemon);
  backfill_end(daemon);
}

// ---- end ----

static bool all_idle(struct daemon *daemon) {
  for (unsigned s = 0; s < daemon->shards; s++)
    if (!shard_is_idle(daemon->threads[s])) return false;
  return atomic_load(&daemon->forgetting) == 0;
}

static void stop_threads(struct daemon *daemon) {
  for (unsigned s = 0; s < daemon->shards; s++) shard_give_up(daemon->threads[s]);
  if (daemon->http) http_stop(daemon->http);
  for (unsigned s = 0; s < daemon->shards; s++) shard_quiet(daemon->threads[s]);
  // Twice idle in a row: the first look may have fallen between a shard's answer and its return to the origin.
  for (int waited = 0, still = 0; waited < QUIET_MS && still < 2; waited += 5) {
    still = all_idle(daemon) ? still + 1 : 0;
    if (still < 2) usleep(5000);
  }
  pthread_mutex_lock(&daemon->lock);
  daemon->is_over = true;
  pthread_mutex_unlock(&daemon->lock);
  for (unsigned s = 0; s < daemon->shards; s++) shard_stop(daemon->threads[s]);
}

static void start_threads(struct daemon *daemon) {
  daemon->fabric = fabric_new(daemon->shards, daemon->shards + 1);
  fabric_set_partitions(daemon->fabric, store_partitions(daemon->store));
  daemon->metrics = xcalloc(daemon->shards + 1, sizeof *daemon->metrics);
  daemon->subscribers = xcalloc(daemon->shards, sizeof *daemon->subscribers);
  daemon->threads = xcalloc(daemon->shards, sizeof *daemon->threads);
  daemon->trouble = xcalloc(daemon->shards, sizeof *daemon->trouble);
  daemon->has_store = true;
  for (unsigned s = 0; s < daemon->shards; s++) daemon->threads[s] = shard_start(daemon, s);
}

static void log_recovery(const struct daemon *daemon) {
  const struct store_recovery *r = &daemon->recovery;
  log_line(LOG_INFO, "recovered", "frames=%llu skipped=%llu torn_bytes=%llu leads=%llu forgotten=%llu ms=%lld",
           (unsigned long long)r->frames, (unsigned long long)r->skipped, (unsigned long long)r->torn_bytes,
           (unsigned long long)r->leads, (unsigned long long)r->forgotten, (long long)r->took_ms);
}

static unsigned shards_of(const struct config *config) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  if (config->shards) return (unsigned)config->shards; // more than there are partitions: the store says so
  unsigned partitions = store_partitions_in(config->data);
  if (!partitions) partitions = (unsigned)config->partitions;
  return cores < 1 ? 1 : cores > (long)partitions ? partitions : (unsigned)cores;
}

// Connections must not take the files that the journal needs: without one for its next segment nothing is taken.
static int fit_files(struct daemon *daemon, struct error *err) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 0;
  rlim_t own = FILES_OWN + (rlim_t)FILES_SHARD * daemon->shards, users = daemon->shards + 1; // HTTP is one more
  rlim_t want = own + users * daemon->limits.connections_max;
  if (limit.rlim_cur < want) {
    struct rlimit more = {.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) limit = more;
  }
  if (limit.rlim_cur >= want) return 0;
  rlim_t least = FILES_OWN_MIN + (rlim_t)FILES_SHARD_MIN * daemon->shards;
  if (limit.rlim_cur < least)
    return error_set(err, ITD_EFULL,
                     "%llu open files are allowed; with %u shards it takes %llu: raise LimitNOFILE (ulimit -n)",
                     (unsigned long long)limit.rlim_cur, daemon->shards, (unsigned long long)least);
  unsigned fits = limit.rlim_cur > own ? (unsigned)((limit.rlim_cur - own) / users) : 0;
  log_line(LOG_WARN, "few_files", "limit=%llu net.connections=%u instead=%u note=\"raise LimitNOFILE\"",
           (unsigned long long)limit.rlim_cur, daemon->limits.connections_max, fits ? fits : 1);
  daemon->limits.connections_max = fits ? fits : 1;
  return 0;
}

static void setup(struct daemon *daemon, const struct config *config) {
  *daemon = (struct daemon){.config = config, .shards = shards_of(config), .started_ms = clock_wall_ms()};
  daemon->limits = config_net_limits(config);
  daemon->intake = (struct intake_options){.clock = (unsigned)config->clock,
                                           .limits = config_event_limits(config),
                                           .account_interval_ms = config->account_interval_ms,
                                           .account_people = (uint32_t)config->account_people,
                                           .account_fanout = (uint32_t)config->account_fanout,
                                           .account_active_ms = config->account_active_ms};
  daemon->intake.vm = (struct vm_limits){.memory_max = (size_t)config->policy_memory,
                                         .instructions_max = (uint64_t)config->policy_call_instructions,
                                         .deadline_us = (uint64_t)config->policy_deadline_us,
                                         .hook = config->policy_guard == 1};
  pthread_mutex_init(&daemon->lock, NULL);
  daemon->source_counts = source_counts_new();
  daemon->intake.baselines = baselines_new();
  log_set_level((enum log_level)config->log_level);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); // a bound on the size of files is met as a full disk is
  signal(SIGHUP, SIG_IGN);  // while it starts; TERM and INT end it at once until catch_signals, which harms nothing
  evthread_use_pthreads();
  daemon->control = event_base_new();
  if (!daemon->control) out_of_memory(0);
}

static void teardown(struct daemon *daemon) {
  fabric_free(daemon->fabric);
  late_stop(daemon);
  store_close(daemon->store);
  edition_release(daemon->edition);
  if (daemon->release.policy) policy_release(daemon->release.policy);
  model_history_deinit(&daemon->models);
  source_counts_free(daemon->source_counts);
  baselines_free(daemon->intake.baselines);
  event_base_free(daemon->control);
  free(daemon->metrics);
  free((void *)daemon->subscribers);
  free(daemon->threads);
  free(daemon->trouble);
  free(daemon->carried);
  pthread_mutex_destroy(&daemon->lock);
}

static int start_faults(struct error *err) {
  const char *plan = getenv("INTENTD_DISK_FAULTS");
  if (!plan || !*plan) return 0;
  log_line(LOG_WARN, "disk_faults", "plan=%s note=\"for tests only: this disk fails as told, and loses data\"",
           log_quote(plan));
  return disk_faults_start(plan, err);
}

int daemon_run(const struct config *config, struct error *err) {
  struct daemon daemon;
  struct sockets fds = {-1, -1, -1, -1};
  uint8_t seed[32];
  setup(&daemon, config);
  int status = fit_files(&daemon, err);
  if (status == 0) status = start_faults(err);
  if (status == 0) status = open_store(&daemon, seed, err);
  if (status == 0) {
    log_recovery(&daemon);
    start_threads(&daemon);
    status = release_start(&daemon, err);
    if (status == 0) status = open_sockets(&daemon, &fds, err);
    struct event *hup = NULL;
    if (status == 0) {
      hup = catch_signals(&daemon);
      daemon.track_watch = track_watch_start(&daemon);
      daemon.clock_watch = clock_watch_start(daemon.control, &daemon.clock_steps); // no event is before it
      begin_to_listen(&daemon, &fds);
      status = write_ports(&daemon, err);
    }
    if (status == 0) serve(&daemon);
    release_signals(&daemon, hup);
    atomic_store(&daemon.is_stopping, true);
    stop_threads(&daemon);
    clock_watch_stop(daemon.clock_watch);
    track_watch_stop(daemon.track_watch); // HTTP showed its figures
    close_sockets(&fds);
    log_line(LOG_INFO, "stopped", "status=%s", status_code(status));
  }
  teardown(&daemon);
  return status;
}
