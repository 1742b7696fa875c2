#include "store/replay.h"

#include "base/check.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

// A lead while it is played, and the decisions that were made again but not yet met in the journal.
struct played {
  struct lead *lead;
  uint64_t expected[ENGINE_TIMERS_MAX + 1];
  size_t first, count;
  bool is_lost; // an event of it can't be opened: what follows can't be computed
};

struct player { // of one partition at a time; one thread
  struct store *store;
  struct store_shard *shard;
  const struct replay_options *options;
  struct engine *engine;
  struct played *leads; // open addressing by the lead's id
  size_t cap, used;
  uint32_t release;
  struct buf map, secret;
  struct replay_result result;
};

static struct policy *policy_of(void *context, uint32_t number) { return store_version(context, number); }

// ---- leads ----

static struct played *slot_of(struct player *p, struct lead_id id) {
  for (size_t i = lead_id_hash(id) & (p->cap - 1);; i = (i + 1) & (p->cap - 1))
    if (!p->leads[i].lead || lead_id_eq(p->leads[i].lead->id, id)) return &p->leads[i];
}

static void grow(struct player *p) {
  struct played *old = p->leads;
  size_t cap = p->cap;
  p->cap = cap ? cap * 2 : 1024;
  p->leads = xcalloc(p->cap, sizeof *p->leads);
  for (size_t i = 0; i < cap; i++)
    if (old[i].lead) *slot_of(p, old[i].lead->id) = old[i];
  free(old);
}

static struct played *lead_of(struct player *p, const struct frame *frame) {
  if ((p->used + 1) * 2 > p->cap) grow(p);
  struct played *played = slot_of(p, frame->entity);
  if (!played->lead) {
    const struct release *release = engine_release(p->engine);
    played->lead = lead_new(frame->entity, frame->workspace, release->policy, release->number, frame->now_ms);
    p->used++;
  }
  return played;
}

static void forget_leads(struct player *p) {
  for (size_t i = 0; i < p->cap; i++) lead_free(p->leads[i].lead);
  free(p->leads);
  p->leads = NULL;
  p->cap = p->used = 0;
}

// ---- frames ----

static int use_release(struct player *p, const struct frame *frame, struct error *err) {
  if (frame->policy == p->release) return 0;
  struct policy *policy = store_version(p->store, frame->policy);
  if (!policy)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy is not in the version store", frame->policy);
  struct release release = {
      .policy = policy, .number = frame->policy, .signals = frame->signals, .models = frame->models};
  int status = engine_prepare(p->engine, &release, err);
  if (status < 0) return status;
  engine_use(p->engine);
  p->release = frame->policy;
  return 0;
}

static void expect_all(struct played *played, const struct engine_result *result) {
  if (played->first == played->count) played->first = played->count = 0;
  for (size_t i = 0; i < result->count && played->count < ENGINE_TIMERS_MAX + 1; i++)
    played->expected[played->count++] = result->decision[i].hash;
}

static void compare(struct player *p, struct played *played, const struct frame *frame) {
  bool same = played->first < played->count && played->expected[played->first++] == frame->hash;
  p->result.decisions++;
  p->result.hash = hash_mix(p->result.hash, frame->hash);
  if (same) return;
  if (!p->result.different++) {
    char id[LEAD_ID_TEXT];
    lead_id_format(frame->entity, id);
    snprintf(p->result.first_different, sizeof p->result.first_different, "%s-%u", id, frame->number);
  }
}

static int play_event(struct player *p, struct played *played, const struct frame *frame, struct error *err) {
  struct event event;
  struct event_digits digits;
  struct event_limits wide = {.id_max = SIZE_MAX,
                              .name_max = SIZE_MAX,
                              .bytes_max = SIZE_MAX,
                              .late_max_ms = INT64_MAX / 4,
                              .future_max_ms = INT64_MAX / 4};
  buf_clear(&p->map);
  buf_clear(&p->secret);
  int status = frame->secret.n ? store_unseal(p->shard, frame->entity, frame->secret, &p->secret, err) : 0;
  if (status == ITD_ENOTFOUND) {
    played->is_lost = true;
    p->result.forgotten++;
    return 0;
  }
  if (status == 0) status = event_join(frame->event, buf_bytes(&p->secret), &p->map, err);
  if (status == 0) status = event_decode(buf_bytes(&p->map), frame->received_ms, &wide, &digits, &event, err);
  if (status < 0) return status;
  struct engine_result result;
  status = engine_event(p->engine, &played->lead, &event, frame->received_ms, &wide, &result, err);
  if (status == ITD_ESTOPPED) status = 0; // it was not then: the comparison says so
  expect_all(played, &result);
  compare(p, played, frame);
  return status;
}

static void play_timer(struct player *p, struct played *played, const struct frame *frame) {
  p->result.timers++;
  if (played->first == played->count) {
    struct engine_result result;
    struct error ignored = {0}; // a stopped timer leaves fewer decisions than the journal has
    if (engine_timers(p->engine, &played->lead, frame->now_ms, &result, &ignored) < 0) p->result.stopped++;
    expect_all(played, &result);
  }
  compare(p, played, frame);
}

static int play(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  (void)place;
  struct player *p = context;
  p->result.frames++;
  if (frame->kind == FRAME_COMMIT) return 0;
  int status = use_release(p, frame, err);
  if (status < 0 || frame->kind == FRAME_RELEASE) return status;
  struct played *played = lead_of(p, frame);
  if (played->is_lost) return 0;
  if (frame->kind == FRAME_EVENT) return play_event(p, played, frame, err);
  if (frame->kind == FRAME_TIMER) play_timer(p, played, frame);
  if (frame->kind == FRAME_STOPPED) p->result.stopped++; // a call that was stopped is played as stopped
  return 0;
}

// ---- threads ----

struct worker {
  pthread_t thread;
  unsigned index;
  const struct replay_options *options;
  struct store *store;
  struct replay_result *of_partition; // one a partition
  int status;
  struct error err;
};

static void *work(void *arg) {
  struct worker *w = arg;
  for (unsigned partition = 0; partition < store_partitions(w->store) && w->status == 0; partition++) {
    if (store_shard_of(w->store, partition) != w->index) continue;
    struct player p = {.store = w->store, .shard = store_shard(w->store, w->index), .options = w->options};
    p.engine = engine_new(w->options->clock, &w->options->vm, policy_of, w->store);
    w->status = store_walk(w->options->dir, (int)partition, play, &p, &w->err);
    w->of_partition[partition] = p.result;
    forget_leads(&p);
    engine_free(p.engine);
    buf_deinit(&p.map);
    buf_deinit(&p.secret);
  }
  return NULL;
}

static void add(struct replay_result *sum, const struct replay_result *one) {
  sum->frames += one->frames;
  sum->decisions += one->decisions;
  sum->timers += one->timers;
  sum->stopped += one->stopped;
  sum->forgotten += one->forgotten;
  sum->hash = hash_mix(sum->hash, one->hash);
  if (one->different && !sum->different)
    memcpy(sum->first_different, one->first_different, sizeof sum->first_different);
  sum->different += one->different;
}

int store_replay(const struct replay_options *options, struct replay_result *result, struct error *err) {
  struct store_options open = STORE_OPTIONS_DEFAULT;
  struct store *store = NULL;
  struct store_recovery recovery;
  open.dir = options->dir;
  open.shards = options->threads;
  int status = store_open(&open, &store, &recovery, err);
  if (status < 0) return status;
  struct replay_result *of_partition = xcalloc(store_partitions(store), sizeof *of_partition);
  struct worker *workers = xcalloc(options->threads, sizeof *workers);
  for (unsigned i = 0; i < options->threads; i++) {
    workers[i] = (struct worker){.index = i, .options = options, .store = store, .of_partition = of_partition};
    CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
  }
  for (unsigned i = 0; i < options->threads; i++) {
    pthread_join(workers[i].thread, NULL);
    if (workers[i].status < 0 && status == 0) {
      status = workers[i].status;
      if (err) *err = workers[i].err;
    }
  }
  *result = (struct replay_result){0};
  for (unsigned p = 0; p < store_partitions(store); p++) add(result, &of_partition[p]);
  free(workers);
  free(of_partition);
  store_close(store);
  return status;
}
