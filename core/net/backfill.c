#include "net/backfill.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "store/backfill.h"
#include "wire/rpc.h"

#define RETRY_MS 100 // how often is looked whether a full disk has room again, or a failed one was recovered from
#define PAUSE_MS 20  // how often a fill is offered again to a shard that pauses
#define PAUSE_TRIES                                                                                                    \
  500 // after so many the walk ends: it keeps retention from letting segments go, which may be what is waited for

struct backfill {
  struct daemon *daemon;
  pthread_t thread;
  struct policy *policy; // retained
  struct feature_mask only;
  _Atomic bool is_over; // to be stopped
  pthread_mutex_t lock;
  pthread_cond_t returned; // a fill
  // Guarded by `lock`:
  unsigned under_way;
  struct filling *later; // of those under way: their shards pause
  bool is_running;
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

static void look(struct shard *shard, void *context) { *(enum shard_storage *)context = shard->storage; }

// Waits until all that shards had staged is on disk, or dropped by a recovery: a frame that a full disk keeps staged is not in
// the journal yet, and whoever read that would find owed what is filled in already. A shard that is good twice, with a
// turn's end in between, has committed what it had before.
static int wait_for_disk(struct backfill *b, struct error *err) {
  for (unsigned s = 0; s < b->daemon->shards; s++) {
    enum shard_storage storage;
    do {
      if (is_over(b)) return error_set(err, ITD_ESTOPPED, "the backfill was stopped");
      for (int i = 0; i < 2; i++) shard_call(b->daemon->threads[s], look, &storage);
      if (storage != STORAGE_GOOD) usleep(RETRY_MS * 1000);
    } while (storage != STORAGE_GOOD);
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
    uint64_t recoveries = atomic_load(&b->daemon->recoveries);
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

static void *run(void *context) {
  struct backfill *b = context;
  struct error err = {0};
  uint64_t begun_ns = clock_mono_ns();
  int status = walk_to_the_end(b, &err);
  pthread_mutex_lock(&b->lock);
  b->error = err;
  b->is_running = false;
  b->took_ms = (int64_t)((clock_mono_ns() - begun_ns) / 1000000);
  uint64_t filled = b->filled;
  pthread_mutex_unlock(&b->lock);
  log_line(status && status != ITD_ESTOPPED ? LOG_ERROR : LOG_INFO, "backfill", "policy=%s filled=%llu%s%s",
           policy_info(b->policy)->version, (unsigned long long)filled, status ? " why=" : "",
           status ? log_quote(err.text) : "");
  return NULL;
}

// ---- from outside ----
static int choose(struct feature_mask *only, const struct feature_set *set, struct bytes names, struct error *err) {
  if (!names.n) {
    for (size_t i = 0; i < feature_count(set); i++)
      if (feature_has_history(set, i)) feature_mask_add(only, i);
    return 0;
  }
  struct mp m = mp_of(names);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY) return error_set(err, ITD_EINVAL, "features is a list of names");
  for (uint32_t i = 0; i < head.count; i++) {
    struct bytes name = {0};
    bool is_text = mp_as_str(mp_take(&m), &name);
    int at = is_text ? feature_find(set, name) : -1;
    if (at < 0)
      return error_set(err, ITD_EINVAL, "the release in force has no feature \"%.*s\"",
                       (int)(name.n > 60 ? 60 : name.n), (const char *)name.p);
    if (!feature_has_history(set, (size_t)at))
      return error_set(err, ITD_EINVAL,
                       "\"%.*s\" is made of other features or of the account: it has no history of its own",
                       (int)name.n, (const char *)name.p);
    feature_mask_add(only, (size_t)at);
  }
  return 0;
}

static void end_thread(struct backfill *b) {
  pthread_join(b->thread, NULL);
  policy_release(b->policy);
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

static struct backfill *begin(struct daemon *daemon, struct bytes names, struct error *err) {
  struct feature_mask only = {0};
  if (choose(&only, policy_features(daemon->release.policy), names, err) < 0) return NULL;
  struct backfill *b = xcalloc(1, sizeof *b);
  b->daemon = daemon;
  b->policy = daemon->release.policy;
  policy_retain(b->policy);
  b->only = only;
  b->since_ms = clock_wall_ms();
  b->is_running = true;
  pthread_mutex_init(&b->lock, NULL);
  pthread_cond_init(&b->returned, NULL);
  CHECK(pthread_create(&b->thread, NULL, run, b) == 0);
  return b;
}

int backfill_begin(struct daemon *daemon, struct bytes names, struct error *err) {
  int status = 0;
  pthread_mutex_lock(&daemon->lock);
  struct backfill *was = daemon->backfill;
  if (atomic_load(&daemon->is_stopping) || !daemon->has_store)
    status = error_set(err, ITD_EUNAVAILABLE, "the daemon is stopping, or recovers its store");
  else if (was && is_running(was))
    status = error_set(err, ITD_EBUSY, "a backfill runs; intent feature backfill --status shows how far it is");
  if (status == 0) {
    struct backfill *b = begin(daemon, names, err);
    status = b ? 0 : err->code;
    if (b) daemon->backfill = b;
    if (b && was) end_thread(was);
  }
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

static void put_status(const struct backfill *b, struct buf *out) {
  mp_put_map(out, 11);
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
  end_thread(b);
}
