#include "net/release.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/backfill.h"
#include "net/late.h"
#include "net/source_counts.h"
#include "net/switch.h"

#include <fts.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- one release on all shards ----

struct step {
  const struct release *release;
  const struct release_cause *cause;
  int status;
  struct error *err;
};

static void prepare_on(struct shard *shard, void *context) {
  struct step *step = context;
  step->status = intake_prepare(shard->intake, step->release, step->err);
}

static void use_on(struct shard *shard, void *context) {
  const struct step *step = context;
  intake_use(shard->intake, step->cause->why, step->cause->by);
}

static uint32_t models_number(const struct policy *policy) {
  const struct model_bound *model[] = {policy_model_fit(policy), policy_model_engagement(policy),
                                       policy_model_split(policy)};
  uint64_t h = 0;
  for (size_t i = 0; i < (model[2] ? 3 : 2); i++)
    h = hash_mix(h, model[i] ? model_bound_info(model[i])->number_hash : 0);
  struct policy_model_use canary;
  for (size_t role = 0; role < policy_roles(); role++)
    if (policy_canary_of(policy, role, &canary))
      h = hash_mix(h, hash_mix(model_bound_info(canary.bound)->number_hash, canary.share));
  return (uint32_t)h;
}

static struct model_use line_of(const struct release *release, const struct release_cause *cause) {
  return (struct model_use){.at_ms = clock_wall_ms(),
                            .how = cause->how,
                            .number = release->number,
                            .by = (char *)(uintptr_t)(cause->by ? cause->by : ""),
                            .why = (char *)(uintptr_t)cause->why};
}

// Prepares on every shard, and only when all are ready switches each between two of its events. `models`: the history, which
// gets what the release changes, on disk before the first shard switches; NULL: it is the release that was in force already.
static int switch_all(struct daemon *daemon, struct release *release, const struct release_cause *cause,
                      struct model_history *models, struct error *err) {
  int status = store_version_put(daemon->store, release->policy, &release->number, err);
  if (status < 0) return status;
  struct step step = {.release = release, .cause = cause, .err = err};
  for (unsigned s = 0; s < daemon->shards; s++) {
    shard_call(daemon->threads[s], prepare_on, &step);
    if (step.status < 0) return step.status;
  }
  struct model_use line = line_of(release, cause);
  if (models && model_history_note(models, release->policy, &line) > 0)
    status = model_history_write(daemon->config->data, models, err);
  if (status < 0) return status;
  for (unsigned s = 0; s < daemon->shards; s++) shard_call(daemon->threads[s], use_on, &step);
  return 0;
}

// ---- the sources of a release ----

static int open_edition(const struct daemon *daemon, struct policy *policy, struct edition **edition,
                        struct error *err) {
  const struct sources_limits limits = config_source_limits(daemon->config);
  struct sources *sources;
  int status = sources_of_policy(policy, &limits, &sources, err);
  if (status < 0) return status;
  status = edition_new(daemon->config, sources, edition, err);
  sources_release(sources);
  return status;
}

// Requests that come from now on are mapped by it; those under way keep the one that they began with.
static void use_edition(struct daemon *daemon, struct edition *edition) {
  pthread_mutex_lock(&daemon->lock);
  struct edition *before = daemon->edition;
  daemon->edition = edition;
  pthread_mutex_unlock(&daemon->lock);
  edition_release(before);
  // Each source is shown from the start: a rate over a series that appears with its first refusal would miss that one.
  for (size_t i = 0; edition && i < sources_count(edition_sources(edition)); i++)
    source_counts_add(daemon->source_counts, sources_info(edition_sources(edition), i)->name, SOURCE_PAYLOADS, 0);
}

// The same sources with the secrets that the files hold now.
static int renew_secrets(struct daemon *daemon, struct error *err) {
  struct edition *edition;
  if (!daemon->edition) return 0;
  int status = edition_new(daemon->config, edition_sources(daemon->edition), &edition, err);
  if (status == 0) use_edition(daemon, edition);
  return status;
}

// What is in force, or was when the daemon ended; NULL: nothing was, or it does not load.
static struct policy *in_force(const struct daemon *daemon) {
  if (daemon->release.policy) return daemon->release.policy;
  uint32_t last = store_last_release(daemon->store);
  return last ? store_version(daemon->store, last) : NULL;
}

// With its sources, which `edition` gives over when it succeeds: then what is on disk is what runs. NULL: the sources stay.
static int put_in_force(struct daemon *daemon, struct policy *policy, const struct release_cause *cause,
                        struct edition **edition, struct error *err) {
  struct release release = {.policy = policy,
                            .signals = (uint32_t)policy_info(policy)->signals_hash,
                            .models = models_number(policy),
                            .switched = daemon->switched.to};
  struct model_history models = {0};
  model_history_copy(&models, &daemon->models);
  int status = late_note(daemon, in_force(daemon), policy, err);
  if (status == 0) status = switch_all(daemon, &release, cause, &models, err);
  if (status < 0) {
    model_history_deinit(&models);
    return status;
  }
  policy_retain(policy);
  if (edition) use_edition(daemon, *edition);
  pthread_mutex_lock(&daemon->lock);
  if (daemon->release.policy) policy_release(daemon->release.policy);
  daemon->release = release;
  daemon->release_since_ms = clock_wall_ms();
  model_history_deinit(&daemon->models);
  daemon->models = models;
  if (edition) daemon->reload_error = (struct error){0};
  pthread_mutex_unlock(&daemon->lock);
  log_line(LOG_INFO, "release", "policy=%s version=%s data=%s number=%u signals=%s why=%s by=%s",
           policy_info(policy)->name, policy_info(policy)->version, policy_info(policy)->data, release.number,
           policy_info(policy)->signals, log_quote(cause->why), log_quote(cause->by ? cause->by : ""));
  return 0;
}

// A release is a frame of each partition: where none can be written, none is put in force.
static int check_storage(struct daemon *daemon, struct error *err) {
  unsigned shard;
  struct error why = {0};
  if (!daemon_get_trouble(daemon, &shard, &why)) return 0;
  return error_set(err, ITD_EUNAVAILABLE, "shard %u takes no events, and no release either: %.400s", shard, why.text);
}

// A policy that was just loaded, with its sources: both or neither.
static int put_loaded_in_force(struct daemon *daemon, struct policy *policy, const struct release_cause *cause,
                               struct error *err) {
  struct edition *edition = NULL;
  int status = check_storage(daemon, err);
  if (status == 0) status = open_edition(daemon, policy, &edition, err);
  if (status < 0) return status;
  status = put_in_force(daemon, policy, cause, &edition, err);
  if (status < 0) edition_release(edition);
  return status;
}

int release_put(struct daemon *daemon, struct policy *policy, const char *why, const char *by, struct error *err) {
  const struct release_cause cause = {.how = MODEL_RELOAD, .why = why, .by = by};
  return put_loaded_in_force(daemon, policy, &cause, err);
}

// A version from before, which must not fail for its sources: without them the rest serves.
static int put_kept_in_force(struct daemon *daemon, struct policy *policy, const struct release_cause *cause,
                             struct error *err) {
  struct edition *edition = NULL;
  struct error broken = {0};
  if (open_edition(daemon, policy, &edition, &broken) < 0)
    log_line(LOG_ERROR, "sources_broken", "why=%s note=\"POST /v1/source answers 404\"", log_quote(broken.text));
  int status = put_in_force(daemon, policy, cause, &edition, err);
  if (status < 0) edition_release(edition);
  return status;
}

int release_again(struct daemon *daemon, struct error *err) {
  struct release release = daemon->release;
  const struct release_cause cause = {.how = MODEL_START, .why = "recovered"};
  int status = switch_all(daemon, &release, &cause, NULL, err);
  pthread_mutex_lock(&daemon->lock);
  if (status == 0) daemon->release = release;
  pthread_mutex_unlock(&daemon->lock);
  return status;
}

// ---- loading ----

static void put_problem(const struct policy_problem *p) {
  char line[16] = ""; // none: the file as a whole
  if (p->line > 0) snprintf(line, sizeof line, ":%d", p->line);
  log_line(p->is_error ? LOG_ERROR : LOG_WARN, "policy_problem", "at=%s%s what=%s", p->path, line, log_quote(p->text));
}

int release_load(const struct daemon *daemon, struct policy **policy, struct error *err) {
  const struct config *c = daemon->config;
  struct model_finder finder = {.dir = c->data, .history = &daemon->models};
  const struct policy_models models = {.find = model_finder_find, .context = &finder, .canary = model_finder_canary};
  struct policy_source source = {.policies_dir = c->policies,
                                 .models_dir = c->models,
                                 .scripts_dir = c->scripts,
                                 .name = c->policy,
                                 .models = &models};
  struct lua_limits limits = config_build_limits(c);
  struct policy_report report = {0};
  int status = policy_load(&source, &limits, policy, &report, err);
  for (size_t i = 0; i < report.count; i++) put_problem(&report.problem[i]);
  policy_report_deinit(&report);
  return status;
}

// Decisions are made from now on by features that know nothing of the time before them: somebody allowed that.
static int allow_late(const struct policy *before, const struct policy *policy, int status, bool allows,
                      struct error *err) {
  if (status != ITD_ELATE || !allows) return status;
  log_line(LOG_WARN, "late_features", "version=%s before=%s why=%s", policy_info(policy)->version,
           policy_info(before)->version, log_quote(err->text));
  *err = (struct error){0};
  return 0;
}

static int check_late(struct daemon *daemon, const struct policy *policy, bool allows_late, struct error *err) {
  bool allows = allows_late || daemon->config->policy_late == 1;
  int status = late_check(daemon, daemon->release.policy, policy, err);
  return allow_late(daemon->release.policy, policy, status, allows, err);
}

// A version that takes a stage away and does not say where its leads are.
static int check_stages(const struct policy *before, const struct policy *policy, struct error *err) {
  struct policy_report report = {0};
  int status = 0;
  bool is_same = strcmp(policy_info(before)->name, policy_info(policy)->name) == 0;
  if (is_same) policy_check_stages(policy, before, "by the version in force", &report);
  for (size_t i = 0; i < report.count; i++) put_problem(&report.problem[i]);
  if (report.count) {
    const struct policy_problem *p = &report.problem[0];
    status = error_set(err, ITD_EPOLICY, "%s:%d: %s", p->path, p->line, p->text);
  }
  policy_report_deinit(&report);
  return status;
}

int daemon_reload(struct daemon *daemon, const char *why, bool allows_late, bool *changed, struct error *err) {
  struct policy *policy = NULL;
  *changed = false;
  int status = check_storage(daemon, err);
  if (status == 0) status = backfill_check(daemon, err);
  if (status == 0) status = release_load(daemon, &policy, err);
  if (status == 0 && strcmp(policy_info(policy)->hash, policy_info(daemon->release.policy)->hash) != 0) {
    status = check_stages(daemon->release.policy, policy, err);
    if (status == 0) status = check_late(daemon, policy, allows_late, err);
    if (status == 0) status = release_put(daemon, policy, why, NULL, err);
    *changed = status == 0;
  } else if (status == 0) {
    status = renew_secrets(daemon, err);
  }
  pthread_mutex_lock(&daemon->lock);
  daemon->reloads++;
  daemon->reload_error = status < 0 ? *err : (struct error){0}; // unchanged too: what is on disk is what runs
  daemon->reload_failures += status < 0;
  pthread_mutex_unlock(&daemon->lock);
  if (status < 0)
    log_line(LOG_ERROR, "reload_failed", "why=%s still=%s", log_quote(err->text),
             policy_info(daemon->release.policy)->version);
  else if (!*changed)
    log_line(LOG_INFO, "reload_unchanged", "version=%s", policy_info(policy)->version);
  policy_release(policy);
  return status;
}

static uint64_t stamp_of_folders(const struct config *c);

// What was written of models and never came into force goes: the journal says what did.
static int read_models(struct daemon *daemon, struct policy *kept, uint32_t number, struct error *err) {
  int status = model_history_read(daemon->config->data, &daemon->models, err);
  if (status < 0 || !kept) return status;
  const struct release release = {.policy = kept, .number = number};
  const struct release_cause cause = {.how = MODEL_START, .why = "was in force when this was first written down"};
  struct model_use line = line_of(&release, &cause);
  if (!model_history_settle(&daemon->models, kept, &line)) return 0;
  log_line(LOG_INFO, "models_settled", "number=%u note=\"the history of models is now what the journal says\"", number);
  return model_history_write(daemon->config->data, &daemon->models, err);
}

// The version before instead of the files', because of `why`.
static int start_kept(struct daemon *daemon, struct policy *kept, const char *because, const struct error *why,
                      struct error *err) {
  char text[128];
  snprintf(text, sizeof text, "start with the version before: the files %s", because);
  const struct release_cause cause = {.how = MODEL_START, .why = text};
  int status = put_kept_in_force(daemon, kept, &cause, err);
  pthread_mutex_lock(&daemon->lock);
  daemon->reload_error = *why;
  pthread_mutex_unlock(&daemon->lock);
  return status;
}

int release_start(struct daemon *daemon, struct error *err) {
  daemon->files_before = stamp_of_folders(daemon->config);
  struct policy *policy = NULL, *kept = in_force(daemon);
  late_start(daemon, kept);
  int status = switch_start(daemon, err);
  if (status == 0) status = read_models(daemon, kept, store_last_release(daemon->store), err);
  if (status < 0) return status;
  status = release_load(daemon, &policy, err);
  if (kept && strcmp(policy_info(kept)->name, daemon->config->policy) != 0) kept = NULL;
  if (status == 0 && kept) status = check_stages(kept, policy, err);
  struct error why = {0};
  int late = status == 0 && kept ? late_check(daemon, kept, policy, &why) : 0;
  if (status == 0) late = allow_late(kept, policy, late, daemon->config->policy_late == 1, &why);
  if (status == 0 && late == 0) {
    const struct release_cause start = {.how = MODEL_START, .why = "start"};
    status = put_loaded_in_force(daemon, policy, &start, err);
  } else if (status == 0) {
    log_line(LOG_ERROR, "policy_late", "why=%s instead=%s", log_quote(why.text), policy_info(kept)->version);
    status = start_kept(daemon, kept, "read late features", &why, err);
  } else if (kept) {
    log_line(LOG_ERROR, "policy_broken", "why=%s instead=%s", log_quote(err->text), policy_info(kept)->version);
    why = *err;
    *err = (struct error){0};
    status = start_kept(daemon, kept, "are broken", &why, err);
  }
  policy_release(policy);
  return status;
}

// ---- watching ----

#define REST_LOOKS 12 // about five seconds

struct watch {
  struct daemon *daemon;
  struct event *timer;
  uint64_t loaded; // stamp of the files when they were last loaded
  uint64_t seen;   // stamp at the last look
  unsigned rest;   // looks that are left out
};

static uint64_t stamp_file(uint64_t stamp, uint64_t place, const struct stat *st) {
  uint64_t parts[4] = {place, 0, 0, 0};
  if (st) {
    parts[1] = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
    parts[2] = S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size;
    parts[3] = st->st_ino;
  }
  return hash64_seed(bytes_of(parts, sizeof parts), stamp);
}

// Of the files that a policy was loaded from.
static uint64_t stamp_of(const struct policy *policy) {
  size_t count;
  const char *const *paths = policy_paths(policy, &count);
  uint64_t stamp = count;
  for (size_t i = 0; i < count; i++) {
    struct stat st;
    stamp = stamp_file(stamp, i, stat(paths[i], &st) == 0 ? &st : NULL);
  }
  return stamp;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

// Of everything in the configured folders.
static uint64_t stamp_of_folders(const struct config *c) {
  char *folders[] = {c->policies, c->models, c->scripts, NULL};
  uint64_t stamp = 0, place = 0;
  FTS *walk = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
  if (!walk) return 0;
  for (FTSENT *at; (at = fts_read(walk));)
    if (at->fts_info != FTS_DP) stamp = stamp_file(stamp, place++, at->fts_info == FTS_NS ? NULL : at->fts_statp);
  fts_close(walk);
  return stamp;
}

// What to look at: the files of what runs; while what is on disk does not load, anything there may be the cure, also a
// file that what runs does not know.
static uint64_t look(const struct daemon *daemon) {
  return daemon->reload_error.code ? stamp_of_folders(daemon->config) : stamp_of(daemon->release.policy);
}

static void on_look(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct watch *watch = arg;
  struct daemon *daemon = watch->daemon;
  if (atomic_load(&daemon->unavailable_shards)) return; // nothing can be put in force; afterwards it is seen
  if (backfill_check(daemon, NULL) < 0) return;         // likewise
  if (watch->rest && watch->rest--) return;
  uint64_t now = look(daemon);
  bool is_still = now == watch->seen;
  watch->seen = now;
  if (now == watch->loaded || !is_still) return; // nothing new, or an editor is still at it
  bool changed;
  int status;
  struct error err = {0};
  struct policy *was = daemon->release.policy;
  policy_retain(was);
  uint64_t files = stamp_of(was), folders = stamp_of_folders(daemon->config);
  status = daemon_reload(daemon, "files changed", false, &changed, &err);
  watch->seen = look(daemon);
  // What changed while it was read may not have been read: then it counts as not loaded, and is looked at again.
  // What failed for want of room or files may work later.
  if (status_retryable(status)) watch->rest = REST_LOOKS;
  bool is_read = files == stamp_of(was) && folders == stamp_of_folders(daemon->config) && !status_retryable(status);
  watch->loaded = is_read ? watch->seen : ~watch->seen;
  policy_release(was);
}

void release_watch(struct daemon *daemon) {
  if (!daemon->config->watch) return;
  struct watch *watch = xcalloc(1, sizeof *watch);
  watch->daemon = daemon;
  watch->seen = look(daemon);
  // What changed since the start began to load may not have been read: then it is looked at again.
  bool is_read = stamp_of_folders(daemon->config) == daemon->files_before;
  watch->loaded = is_read ? watch->seen : ~watch->seen;
  watch->timer = event_new(daemon->control, -1, EV_PERSIST, on_look, watch);
  if (!watch->timer) out_of_memory(0);
  struct timeval tv = {.tv_usec = 400000};
  event_add(watch->timer, &tv);
  daemon->watch = watch;
}

void release_unwatch(struct daemon *daemon) {
  if (!daemon->watch) return;
  event_free(daemon->watch->timer);
  free(daemon->watch);
  daemon->watch = NULL;
}

int release_switch(struct daemon *daemon, struct policy *policy, const struct release_cause *cause, struct error *err) {
  struct watch *watch = daemon->watch;
  int status = check_storage(daemon, err);
  if (status == 0) status = backfill_check(daemon, err);
  if (status == 0) status = check_late(daemon, policy, false, err);
  if (status < 0) return status;
  bool is_seen = watch && watch->loaded == look(daemon); // nothing on disk waits to be loaded
  status = put_in_force(daemon, policy, cause, NULL, err);
  if (status == 0 && is_seen) watch->loaded = watch->seen = look(daemon); // another model's files are looked at now
  return status;
}
