#include "net/release.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/source_counts.h"

#include <fts.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- one release on all shards ----

struct step {
  const struct release *release;
  const char *why;
  int status;
  struct error *err;
};

static void prepare_on(struct shard *shard, void *context) {
  struct step *step = context;
  step->status = intake_prepare(shard->intake, step->release, step->err);
}

static void use_on(struct shard *shard, void *context) {
  const struct step *step = context;
  intake_use(shard->intake, step->why);
}

static uint32_t models_number(const struct policy *policy) {
  const struct model_bound *model[] = {policy_model_fit(policy), policy_model_engagement(policy),
                                       policy_model_split(policy)};
  uint64_t h = 0;
  for (size_t i = 0; i < (model[2] ? 3 : 2); i++)
    h = hash_mix(h, model[i] ? model_bound_info(model[i])->number_hash : 0);
  return (uint32_t)h;
}

// Prepares on every shard, and only when all are ready switches each between two of its events.
static int switch_all(struct daemon *daemon, struct release *release, const char *why, struct error *err) {
  int status = store_version_put(daemon->store, release->policy, &release->number, err);
  if (status < 0) return status;
  struct step step = {.release = release, .why = why, .err = err};
  for (unsigned s = 0; s < daemon->shards; s++) {
    shard_call(daemon->threads[s], prepare_on, &step);
    if (step.status < 0) return step.status;
  }
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

// Takes the edition over when it succeeds.
static int put_in_force(struct daemon *daemon, struct policy *policy, struct edition *edition, const char *why,
                        struct error *err) {
  struct release release = {
      .policy = policy, .signals = (uint32_t)policy_info(policy)->signals_hash, .models = models_number(policy)};
  int status = switch_all(daemon, &release, why, err);
  if (status < 0) return status;
  use_edition(daemon, edition);
  pthread_mutex_lock(&daemon->lock);
  if (daemon->release.policy) policy_release(daemon->release.policy);
  daemon->release = release;
  daemon->release_since_ms = clock_wall_ms();
  daemon->reload_error = (struct error){0};
  pthread_mutex_unlock(&daemon->lock);
  policy_retain(policy);
  log_line(LOG_INFO, "release", "policy=%s version=%s number=%u signals=%s why=%s", policy_info(policy)->name,
           policy_info(policy)->version, release.number, policy_info(policy)->signals, log_quote(why));
  return 0;
}

// A policy that was just loaded, with its sources: both or neither.
static int put_loaded_in_force(struct daemon *daemon, struct policy *policy, const char *why, struct error *err) {
  struct edition *edition = NULL;
  int status = open_edition(daemon, policy, &edition, err);
  if (status < 0) return status;
  status = put_in_force(daemon, policy, edition, why, err);
  if (status < 0) edition_release(edition);
  return status;
}

// A version from before, which must not fail for its sources: without them the rest serves.
static int put_kept_in_force(struct daemon *daemon, struct policy *policy, const char *why, struct error *err) {
  struct edition *edition = NULL;
  struct error broken = {0};
  if (open_edition(daemon, policy, &edition, &broken) < 0)
    log_line(LOG_ERROR, "sources_broken", "why=%s note=\"POST /v1/source answers 404\"", log_quote(broken.text));
  int status = put_in_force(daemon, policy, edition, why, err);
  if (status < 0) edition_release(edition);
  return status;
}

int release_again(struct daemon *daemon, struct error *err) {
  struct release release = daemon->release;
  int status = switch_all(daemon, &release, "recovered", err);
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

static int load(const struct daemon *daemon, struct policy **policy, struct error *err) {
  const struct config *c = daemon->config;
  struct policy_source source = {
      .policies_dir = c->policies, .models_dir = c->models, .scripts_dir = c->scripts, .name = c->policy};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  limits.memory_max = (size_t)c->policy_build_memory;
  limits.instructions_max = (uint64_t)c->policy_build_instructions;
  struct policy_report report = {0};
  int status = policy_load(&source, &limits, policy, &report, err);
  for (size_t i = 0; i < report.count; i++) put_problem(&report.problem[i]);
  policy_report_deinit(&report);
  return status;
}

// A release is a frame of each partition: where none can be written, none is put in force.
static int check_storage(struct daemon *daemon, struct error *err) {
  unsigned shard;
  struct error why = {0};
  if (!daemon_get_trouble(daemon, &shard, &why)) return 0;
  return error_set(err, ITD_EUNAVAILABLE, "shard %u takes no events, and no release either: %.400s", shard, why.text);
}

static bool has_term(const struct model_bound *model, size_t feature) {
  for (size_t t = 0; model && t < model_terms(model); t++)
    if (model_term_feature(model, t) == (int)feature) return true;
  return false;
}

static bool is_read(const struct policy *policy, size_t feature) {
  size_t count;
  const struct policy_read *reads = policy_reads(policy, &count);
  for (size_t i = 0; i < count; i++)
    if (reads[i].feature == feature) return true;
  return has_term(policy_model_fit(policy), feature) || has_term(policy_model_engagement(policy), feature) ||
         has_term(policy_model_split(policy), feature);
}

// What the policy reads of features that the release before did not have: until a backfill they know nothing of the time
// before, and decisions are made by that.
static void warn_of_late(const struct policy *policy, const struct policy *before) {
  const struct feature_set *set = policy_features(policy), *had = policy_features(before);
  struct buf names = {0};
  for (size_t i = 0; i < feature_count(set); i++)
    if (!feature_defines(had, feature_info(set, i)->definition_hash) && is_read(policy, i))
      buf_printf(&names, "%s%s", names.n ? " " : "", feature_info(set, i)->name);
  buf_append_u8(&names, 0);
  if (names.n > 1)
    log_line(LOG_WARN, "late_features",
             "version=%s features=%s note=\"the policy reads them, and they know nothing of the time before: "
             "intent feature backfill\"",
             policy_info(policy)->version, log_quote((const char *)names.p));
  buf_deinit(&names);
}

int daemon_reload(struct daemon *daemon, const char *why, bool *changed, struct error *err) {
  struct policy *policy = NULL, *before = daemon->release.policy;
  *changed = false;
  policy_retain(before);
  int status = check_storage(daemon, err);
  if (status == 0) status = load(daemon, &policy, err);
  if (status == 0 && strcmp(policy_info(policy)->hash, policy_info(daemon->release.policy)->hash) != 0) {
    status = put_loaded_in_force(daemon, policy, why, err);
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
  if (*changed) warn_of_late(policy, before);
  policy_release(before);
  policy_release(policy);
  return status;
}

static uint64_t stamp_of_folders(const struct config *c);

int release_start(struct daemon *daemon, struct error *err) {
  daemon->files_before = stamp_of_folders(daemon->config);
  struct policy *policy = NULL;
  int status = load(daemon, &policy, err);
  if (status == 0) {
    status = put_loaded_in_force(daemon, policy, "start", err);
    policy_release(policy);
    return status;
  }
  uint32_t last = store_last_release(daemon->store);
  struct policy *kept = last ? store_version(daemon->store, last) : NULL;
  if (!kept || strcmp(policy_info(kept)->name, daemon->config->policy) != 0) return status;
  log_line(LOG_ERROR, "policy_broken", "why=%s instead=%s", log_quote(err->text), policy_info(kept)->version);
  struct error why = *err;
  *err = (struct error){0};
  status = put_kept_in_force(daemon, kept, "start with the version before: the files are broken", err);
  pthread_mutex_lock(&daemon->lock);
  daemon->reload_error = why;
  pthread_mutex_unlock(&daemon->lock);
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
  status = daemon_reload(daemon, "files changed", &changed, &err);
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
