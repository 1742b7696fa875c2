#include "net/backfill.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/suggest.h"
#include "net/late.h"
#include "net/release.h"
#include "store/backfill.h"
#include "wire/rpc.h"

#define RETRY_MS 100 // how often is looked whether a full disk has room again, or a failed one was recovered from
#define PAUSE_MS 20  // how often a fill is offered again to a shard that pauses
#define PAUSE_TRIES                                                                                                    \
  500 // after so many the walk ends: it keeps retention from letting segments go, which may be what is waited for

struct backfill {
  struct daemon *daemon;
  pthread_t thread;
  struct policy *policy; // retained: the release whose features are filled in
  struct policy *target; // retained: to be switched in when they are full; NULL: none
  char before[13];       // then: the version that decided when it was asked for
  char by[32];
  struct feature_mask only;
  struct late then;     // what was late when it began
  uint64_t recoveries;  // when the last walk began
  _Atomic bool is_over; // to be stopped
  pthread_mutex_t lock;
  pthread_cond_t returned; // a fill
  // Guarded by `lock`:
  unsigned under_way;
  struct filling *later; // of those under way: their shards pause
  bool is_running, is_ending, is_switched;
  bool is_asked; // the control thread, to conclude
  int conclusion;
  struct backfill_stats stats;
  uint64_t filled, gone; // leads; those that were forgotten meanwhile
  uint64_t leads_of[FEATURES_MAX];
  double done;
  int64_t since_ms, took_ms;
  struct error error;
};

// ---- one fill, on its way to its lead's shard ----
struct filling {
  struct backfill *b;
  struct lead_id to;
  struct fill fill; // its slices are behind it
  struct feature_mask mask;
  bool was_merged; // when its lead was asked last
  unsigned tries;  // at a shard that paused
  struct filling *next;
  uint8_t slices[];
};

static void post(struct filling *f);

static void settle(struct filling *f, int status, const struct error *err) {
  struct backfill *b = f->b;
  pthread_mutex_lock(&b->lock);
  b->under_way--;
  if (status >= 0) {
    b->filled += status == 1;
    for (size_t i = 0; status == 1 && i < FEATURES_MAX; i++) b->leads_of[i] += feature_mask_has(&f->mask, i);
  } else if (status == ITD_ENOTFOUND) {
    b->gone++;
  } else if (!b->error.code) {
    b->error = *err;
  }
  pthread_cond_signal(&b->returned);
  pthread_mutex_unlock(&b->lock);
  explicit_bzero(f->slices, f->fill.slices.n);
  free(f);
}

// Its shard pauses (the checkpoint must catch up, say): that is soon over.
static void put_off(struct filling *f) {
  struct backfill *b = f->b;
  pthread_mutex_lock(&b->lock);
  f->next = b->later;
  b->later = f;
  pthread_cond_signal(&b->returned);
  pthread_mutex_unlock(&b->lock);
}

// On the shard's thread, between two turns: what it stages is committed with the turn.
static void apply(struct shard *shard, void *context) {
  struct filling *f = context;
  struct error err = {0};
  struct lead_id to = f->to;
  int status = shard_allows(shard, TASK_EVENT, &err);
  if (status == 0 && shard->is_paused) {
    put_off(f);
    return;
  }
  if (status == 0) status = intake_fill(shard->intake, &to, &f->fill, shard->turn_ms, &err);
  if (status != FILL_ELSEWHERE) {
    settle(f, status, &err);
    return;
  }
  // It was merged into another lead. That must be on disk before anything rests on it: so it is asked for once more in the
  // next turn, and only then goes on.
  if (f->was_merged && store_sync(shard->store, &err) < 0) {
    settle(f, err.code, &err);
    return;
  }
  if (f->was_merged) f->to = to;
  f->was_merged = !f->was_merged;
  post(f);
}

static void post(struct filling *f) {
  struct daemon *daemon = f->b->daemon;
  unsigned shard = store_shard_of(daemon->store, store_partition_of_lead(daemon->store, f->to));
  shard_post(daemon->threads[shard], apply, f);
}

// ---- the thread ----
static bool is_over(void *context) {
  struct backfill *b = context;
  return atomic_load(&b->is_over);
}

static void offer_again(struct backfill *b) {
  pthread_mutex_lock(&b->lock);
  struct filling *f = b->later, *next;
  b->later = NULL;
  pthread_mutex_unlock(&b->lock);
  for (; f; f = next) {
    struct error err = {0};
    next = f->next;
    if (is_over(b))
      error_set(&err, ITD_ESTOPPED, "the backfill was stopped");
    else if (++f->tries > PAUSE_TRIES)
      error_set(&err, ITD_EUNAVAILABLE, "the intake of a shard is paused");
    if (err.code)
      settle(f, err.code, &err);
    else
      post(f);
  }
}

// Waits until at most so many are under way. The first error of any, once.
static int wait_below(struct backfill *b, unsigned most, struct error *err) {
  pthread_mutex_lock(&b->lock);
  while (b->under_way > most) {
    if (!b->later) {
      pthread_cond_wait(&b->returned, &b->lock);
      continue;
    }
    pthread_mutex_unlock(&b->lock);
    usleep(PAUSE_MS * 1000);
    offer_again(b);
    pthread_mutex_lock(&b->lock);
  }
  int status = b->error.code;
  if (status) *err = b->error;
  pthread_mutex_unlock(&b->lock);
  return status;
}

static int hand_over(void *context, struct lead_id lead, const struct fill *fill, const struct feature_mask *mask,
                     struct error *err) {
  struct backfill *b = context;
  int status = wait_below(b, BACKFILL_WINDOW - 1, err);
  if (status == 0 && is_over(b)) status = error_set(err, ITD_ESTOPPED, "the backfill was stopped");
  if (status) return status;
  struct filling *f = xmalloc(sizeof *f + fill->slices.n);
  *f = (struct filling){.b = b, .to = lead, .fill = *fill, .mask = *mask};
  memcpy(f->slices, fill->slices.p, fill->slices.n);
  f->fill.slices.p = f->slices;
  pthread_mutex_lock(&b->lock);
  b->under_way++;
  pthread_mutex_unlock(&b->lock);
  post(f);
  return 0;
}

static void progress(void *context, uint64_t done, uint64_t total) {
  struct backfill *b = context;
  pthread_mutex_lock(&b->lock);
  b->done = total ? (double)done / (double)total : 1;
  pthread_mutex_unlock(&b->lock);
}

struct look {
  enum shard_storage storage;
  struct error err;
};

// Between two turns: what was committed is on disk afterwards, under every `sync`. A sync that fails shows at the next turn's end.
static void look(struct shard *shard, void *context) {
  struct look *l = context;
  l->storage = shard->storage;
  if (l->storage == STORAGE_GOOD && store_sync(shard->store, &l->err) < 0) l->storage = STORAGE_LOST;
}

// Waits until all that shards had staged is on disk, or dropped by a recovery: a frame that a full disk keeps staged is not in
// the journal yet, and whoever read that would find owed what is filled in already; and what is written and not synced may be
// gone after a power cut, while what was made of it in another log is not. A shard that is good twice, with a turn's end in
// between, has committed what it had before.
static int wait_for_disk(struct backfill *b, struct error *err) {
  for (unsigned s = 0; s < b->daemon->shards; s++) {
    struct look l;
    do {
      if (is_over(b)) return error_set(err, ITD_ESTOPPED, "the backfill was stopped");
      for (int i = 0; i < 2; i++) shard_call(b->daemon->threads[s], look, &l);
      if (l.storage != STORAGE_GOOD) usleep(RETRY_MS * 1000);
    } while (l.storage != STORAGE_GOOD);
  }
  return 0;
}

// One walk over the journal. What a shard could not take for now is left for the next walk, which finds it owed.
static int walk(struct backfill *b, struct error *err) {
  struct backfill_stats stats;
  struct backfill_options o = {.dir = b->daemon->config->data,
                               .policy = b->policy,
                               .only = &b->only,
                               .each = hand_over,
                               .progress = progress,
                               .is_over = is_over,
                               .context = b};
  int status = store_backfill(&o, &stats, err);
  struct error late = {0};
  int of_fills = wait_below(b, 0, &late);
  if (status == 0 && of_fills) *err = late, status = of_fills;
  pthread_mutex_lock(&b->lock);
  b->stats = stats;
  b->error = (struct error){0};
  pthread_mutex_unlock(&b->lock);
  return status;
}

// Walks until one has seen all of it in, and all of it is on disk.
static int walk_to_the_end(struct backfill *b, struct error *err) {
  for (;;) {
    *err = (struct error){0};
    int status = wait_for_disk(b, err);
    uint64_t recoveries = b->recoveries = atomic_load(&b->daemon->recoveries);
    if (status == 0) status = walk(b, err);
    // A recovery cuts the journal while it is read: what that looked like says nothing.
    bool is_disturbed = recoveries != atomic_load(&b->daemon->recoveries) || atomic_load(&b->daemon->is_recovering);
    if ((status_retryable(status) || (status && is_disturbed)) && !is_over(b)) {
      log_line(LOG_WARN, "backfill_waits", "why=%s", log_quote(err->text));
      usleep(RETRY_MS * 1000);
      continue;
    }
    if (status == 0) status = wait_for_disk(b, err);
    if (status || recoveries == atomic_load(&b->daemon->recoveries)) return status; // else fills may have been dropped
  }
}

// ---- the conclusion, on the control thread: all is full, and what was to be switched in is ----
static int switch_in(struct daemon *daemon, struct backfill *b, struct error *err) {
  if (daemon->release.policy != b->policy)
    return error_set(err, ITD_EINTERNAL, "another version was put in force meanwhile");
  return release_put(daemon, b->target, "feature.backfill: switched in, all leads filled in", b->by, err);
}

static int conclude(struct daemon *daemon, struct backfill *b, struct error *err) {
  if (is_over(b)) return error_set(err, ITD_ESTOPPED, "the backfill was stopped");
  if (b->recoveries != atomic_load(&daemon->recoveries) || atomic_load(&daemon->is_recovering))
    return error_set(err, ITD_EUNAVAILABLE, "the store was recovered meanwhile"); // fills may have been dropped
  int status = late_filled(daemon, &b->then, policy_features(b->policy), &b->only, err);
  return status == 0 && b->target ? switch_in(daemon, b, err) : status;
}

static void on_asked(struct daemon *daemon, void *context) {
  struct backfill *b = context;
  struct error err = {0};
  int status = conclude(daemon, b, &err);
  pthread_mutex_lock(&b->lock);
  b->is_asked = false;
  b->conclusion = status;
  if (status) b->error = err;
  b->is_switched = status == 0 && b->target;
  pthread_cond_signal(&b->returned);
  pthread_mutex_unlock(&b->lock);
}

static int ask_to_conclude(struct backfill *b, struct error *err) {
  pthread_mutex_lock(&b->lock);
  b->is_asked = true;
  pthread_mutex_unlock(&b->lock);
  daemon_post(b->daemon, on_asked, b);
  pthread_mutex_lock(&b->lock);
  while (b->is_asked && !b->is_ending) pthread_cond_wait(&b->returned, &b->lock);
  int status = b->is_asked ? error_set(err, ITD_ESTOPPED, "the daemon ended") : b->conclusion;
  if (status && !b->is_asked) *err = b->error;
  b->error = (struct error){0};
  pthread_mutex_unlock(&b->lock);
  return status;
}

static int fill_and_conclude(struct backfill *b, struct error *err) {
  for (;;) {
    *err = (struct error){0};
    int status = walk_to_the_end(b, err);
    if (status == 0) status = ask_to_conclude(b, err);
    if (!status_retryable(status) || is_over(b)) return status;
    log_line(LOG_WARN, "backfill_waits", "why=%s", log_quote(err->text));
    usleep(RETRY_MS * 1000);
  }
}

static void *run(void *context) {
  struct backfill *b = context;
  struct error err = {0};
  uint64_t begun_ns = clock_mono_ns();
  int status = fill_and_conclude(b, &err);
  pthread_mutex_lock(&b->lock);
  b->error = err;
  b->is_running = false;
  b->took_ms = (int64_t)((clock_mono_ns() - begun_ns) / 1000000);
  uint64_t filled = b->filled;
  pthread_mutex_unlock(&b->lock);
  log_line(status && status != ITD_ESTOPPED ? LOG_ERROR : LOG_INFO, "backfill", "policy=%s filled=%llu by=%s%s%s%s%s",
           policy_info(b->policy)->version, (unsigned long long)filled, log_quote(b->by),
           b->target ? " switch_in=" : "", b->target ? policy_info(b->target)->version : "", status ? " why=" : "",
           status ? log_quote(err.text) : "");
  return NULL;
}

// ---- what is to be filled in ----
static const char *near(const struct feature_set *set, struct bytes name) {
  const char *names[FEATURES_MAX];
  size_t count = 0;
  for (size_t i = 0; i < feature_count(set); i++)
    if (feature_has_history(set, i)) names[count++] = feature_info(set, i)->name;
  return suggest(name, names, count);
}

static int choose_one(struct feature_mask *only, const struct feature_set *set, struct bytes name, struct error *err) {
  int at = feature_find(set, name), shown = (int)(name.n > 60 ? 60 : name.n);
  const char *text = (const char *)name.p, *hint = at < 0 ? near(set, name) : NULL;
  if (at < 0)
    return error_set(err, ITD_EINVAL, "the release in force has no feature \"%.*s\"%s%s%s", shown, text,
                     hint ? "; did you mean \"" : "", hint ? hint : "", hint ? "\"?" : "");
  if (!feature_has_history(set, (size_t)at))
    return error_set(err, ITD_EINVAL,
                     "\"%.*s\" is made of other features or of the account: it has no history of its own", shown, text);
  feature_mask_add(only, (size_t)at);
  return 0;
}

static int choose(struct feature_mask *only, const struct feature_set *set, struct bytes names, struct error *err) {
  for (size_t i = 0; !names.n && i < feature_count(set); i++)
    if (feature_has_history(set, i)) feature_mask_add(only, i);
  if (!names.n) return 0;
  struct mp m = mp_of(names);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY) return error_set(err, ITD_EINVAL, "features is a list of names");
  int status = 0;
  for (uint32_t i = 0; status == 0 && i < head.count; i++) {
    struct bytes name = {0};
    struct bytes one = mp_take(&m);
    if (!mp_as_str(one, &name)) return error_set(err, ITD_EINVAL, "features is a list of names");
    status = choose_one(only, set, name, err);
  }
  return status;
}

// Those of the target, as the release in force has them.
static void choose_for(struct feature_mask *only, const struct feature_set *set, const struct policy *target) {
  for (size_t i = 0; i < feature_count(set); i++)
    if (feature_has_history(set, i) && feature_defines(policy_features(target), feature_info(set, i)->definition_hash))
      feature_mask_add(only, i);
}

// The release in force gets what the target has and it lacks. What is on disk does not run until the end, and status says so.
static int put_beside(struct daemon *daemon, struct policy *target, const char *by, struct error *err) {
  struct policy *both;
  struct lua_limits limits = config_build_limits(daemon->config);
  int status = policy_beside(daemon->release.policy, target, &limits, &both, err);
  if (status < 0) return status;
  char why[160];
  snprintf(why, sizeof why, "feature.backfill: fills in features for version %s", policy_info(target)->version);
  if (both != daemon->release.policy) status = release_put(daemon, both, why, by, err);
  policy_release(both);
  if (status < 0) return status;
  pthread_mutex_lock(&daemon->lock);
  error_set(&daemon->reload_error, ITD_ELATE,
            "version %s is put in force when its features are filled in: intent feature backfill --switch-in does "
            "that, or goes on with it",
            policy_info(target)->version);
  pthread_mutex_unlock(&daemon->lock);
  return 0;
}

static int prepare_switch_in(struct daemon *daemon, const struct backfill_order *order, struct policy **target,
                             struct error *err) {
  struct policy *loaded = NULL;
  if (order->names.n)
    return error_set(err, ITD_EINVAL, "what is switched in has all its features filled in: name none");
  int status = release_load(daemon, &loaded, err);
  if (status == 0 && strcmp(policy_info(loaded)->hash, policy_info(daemon->release.policy)->hash) == 0)
    status = error_set(err, ITD_EINVAL, "version %s of the files is in force: there is none to switch in",
                       policy_info(loaded)->version);
  if (status == 0) status = put_beside(daemon, loaded, order->by, err);
  if (status == 0)
    *target = loaded;
  else
    policy_release(loaded);
  return status;
}

// ---- from outside ----
static void end_thread(struct backfill *b) {
  pthread_join(b->thread, NULL);
  policy_release(b->policy);
  policy_release(b->target);
  pthread_mutex_destroy(&b->lock);
  pthread_cond_destroy(&b->returned);
  free(b);
}

static bool is_running(struct backfill *b) {
  pthread_mutex_lock(&b->lock);
  bool yes = b->is_running;
  pthread_mutex_unlock(&b->lock);
  return yes;
}

static struct backfill *begin(struct daemon *daemon, const struct backfill_order *order, struct policy *target,
                              const char *before, const struct feature_mask *only) {
  struct backfill *b = xcalloc(1, sizeof *b);
  b->daemon = daemon;
  b->policy = daemon->release.policy;
  policy_retain(b->policy);
  b->target = target;
  b->only = *only;
  b->then = *daemon->late;
  snprintf(b->before, sizeof b->before, "%s", before);
  snprintf(b->by, sizeof b->by, "%s", order->by);
  b->since_ms = clock_wall_ms();
  b->is_running = true;
  pthread_mutex_init(&b->lock, NULL);
  pthread_cond_init(&b->returned, NULL);
  CHECK(pthread_create(&b->thread, NULL, run, b) == 0);
  return b;
}

// NULL: none has run.
static struct backfill *last(struct daemon *daemon) {
  pthread_mutex_lock(&daemon->lock);
  struct backfill *b = daemon->backfill;
  pthread_mutex_unlock(&daemon->lock);
  return b;
}

int backfill_begin(struct daemon *daemon, const struct backfill_order *order, struct error *err) {
  struct backfill *was = last(daemon); // only this thread changes it
  struct policy *target = NULL;
  struct feature_mask only = {0};
  char before[13];
  if (atomic_load(&daemon->is_stopping) || atomic_load(&daemon->is_recovering))
    return error_set(err, ITD_EUNAVAILABLE, "the daemon is stopping, or recovers its store");
  if (was && is_running(was))
    return error_set(err, ITD_EBUSY, "a backfill runs; intent feature backfill --status shows how far it is");
  snprintf(before, sizeof before, "%s", policy_info(daemon->release.policy)->version);
  int status = order->is_switch_in ? prepare_switch_in(daemon, order, &target, err) : 0;
  const struct feature_set *set = policy_features(daemon->release.policy);
  if (target)
    choose_for(&only, set, target);
  else if (status == 0)
    status = choose(&only, set, order->names, err);
  if (status < 0) return status;
  struct backfill *b = begin(daemon, order, target, before, &only);
  pthread_mutex_lock(&daemon->lock);
  daemon->backfill = b;
  pthread_mutex_unlock(&daemon->lock);
  if (was) end_thread(was);
  return 0;
}

int backfill_check(struct daemon *daemon, struct error *err) {
  pthread_mutex_lock(&daemon->lock);
  struct backfill *b = daemon->backfill;
  const char *version = b && b->target && is_running(b) ? policy_info(b->target)->version : NULL;
  int status = version
                   ? error_set(err, ITD_EBUSY,
                               "a backfill is about to switch version %s in: wait for it, or end it (intent feature "
                               "backfill --stop)",
                               version)
                   : 0;
  pthread_mutex_unlock(&daemon->lock);
  return status;
}

void backfill_cancel(struct daemon *daemon) {
  pthread_mutex_lock(&daemon->lock);
  if (daemon->backfill) atomic_store(&daemon->backfill->is_over, true);
  pthread_mutex_unlock(&daemon->lock);
}

static void put_features(const struct backfill *b, struct buf *out) {
  const struct feature_set *set = policy_features(b->policy);
  uint32_t count = 0;
  for (size_t i = 0; i < feature_count(set); i++) count += feature_mask_has(&b->only, i);
  mp_put_array(out, count);
  for (size_t i = 0; i < feature_count(set); i++) {
    if (!feature_mask_has(&b->only, i)) continue;
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)feature_info(set, i)->definition_hash);
    mp_put_map(out, 3);
    mp_put_cstr(out, "name"), mp_put_cstr(out, feature_info(set, i)->name);
    mp_put_cstr(out, "definition"), mp_put_cstr(out, hash);
    mp_put_cstr(out, "leads"), mp_put_uint(out, b->leads_of[i]);
  }
}

static void put_switch_in(const struct backfill *b, struct buf *out) {
  mp_put_cstr(out, "switch_in");
  if (!b->target) {
    mp_put_nil(out);
    return;
  }
  mp_put_map(out, 4);
  mp_put_cstr(out, "policy"), mp_put_cstr(out, policy_info(b->target)->name);
  mp_put_cstr(out, "version"), mp_put_cstr(out, policy_info(b->target)->version);
  mp_put_cstr(out, "before"), mp_put_cstr(out, b->before);
  mp_put_cstr(out, "done"), mp_put_bool(out, b->is_switched);
}

static void put_status(const struct backfill *b, struct buf *out) {
  mp_put_map(out, 13);
  mp_put_cstr(out, "running"), mp_put_bool(out, b->is_running);
  mp_put_cstr(out, "done"), mp_put_float(out, b->is_running ? b->done : 1);
  mp_put_cstr(out, "leads"), mp_put_uint(out, b->stats.leads);
  mp_put_cstr(out, "owed"), mp_put_uint(out, b->stats.owed);
  mp_put_cstr(out, "filled"), mp_put_uint(out, b->filled);
  mp_put_cstr(out, "gone"), mp_put_uint(out, b->gone);
  mp_put_cstr(out, "cut_short"), mp_put_uint(out, b->stats.cut_short);
  mp_put_cstr(out, "features"), put_features(b, out);
  mp_put_cstr(out, "since"), mp_put_int(out, b->since_ms);
  mp_put_cstr(out, "took_ms"), mp_put_int(out, b->took_ms);
  mp_put_cstr(out, "by"), mp_put_cstr(out, b->by);
  put_switch_in(b, out);
  mp_put_cstr(out, "error");
  if (b->error.code && !b->is_running)
    error_put(out, &b->error);
  else
    mp_put_nil(out);
}

void backfill_put_status(struct daemon *daemon, struct buf *out) {
  pthread_mutex_lock(&daemon->lock);
  struct backfill *b = daemon->backfill;
  if (b) {
    pthread_mutex_lock(&b->lock);
    put_status(b, out);
    pthread_mutex_unlock(&b->lock);
  } else {
    mp_put_map(out, 1);
    mp_put_cstr(out, "running"), mp_put_bool(out, false);
  }
  pthread_mutex_unlock(&daemon->lock);
}

struct backfill_figures backfill_figures(struct daemon *daemon) {
  struct backfill_figures figures = {0};
  pthread_mutex_lock(&daemon->lock);
  struct backfill *b = daemon->backfill;
  if (b) {
    pthread_mutex_lock(&b->lock);
    figures =
        (struct backfill_figures){.running = b->is_running, .filled = b->filled, .done = b->is_running ? b->done : 1};
    pthread_mutex_unlock(&b->lock);
  }
  pthread_mutex_unlock(&daemon->lock);
  return figures;
}

void backfill_end(struct daemon *daemon) {
  pthread_mutex_lock(&daemon->lock);
  struct backfill *b = daemon->backfill;
  daemon->backfill = NULL;
  pthread_mutex_unlock(&daemon->lock);
  if (!b) return;
  atomic_store(&b->is_over, true);
  pthread_mutex_lock(&b->lock);
  b->is_ending = true;
  pthread_cond_signal(&b->returned);
  pthread_mutex_unlock(&b->lock);
  end_thread(b);
}
