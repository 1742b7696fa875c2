#include "store/replay.h"

#include "base/check.h"
#include "base/hash.h"
#include "store/base_set.h"
#include "store/merge.h"
#include "store/pools.h"
#include "store/shard.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LEADS_IN_MEMORY 1000000u // of one thread, about

struct played {
  struct lead_id id;
  bool is_used;
  struct lead *lead; // one of them
  struct entity *entity;
  uint64_t hash; // over its decisions
  bool is_lost;  // an event of it can't be opened: what follows can't be computed
  bool is_forgotten;
};

// The journal is dealt out by slots, so that a lead is one player's from its first frame to its last, however many
// partitions there were meanwhile. One thread.
struct player {
  struct store *store;
  struct store_shard *shard;
  const struct replay_options *options;
  struct base_set *bases;
  struct engine *engine;
  struct played *leads; // open addressing by the lead's id
  size_t cap, used;
  uint32_t release;
  struct buf map, secret;
  struct message_effects effects;
  bool is_mine[SLOTS];
  bool counts_releases;          // they are of no slot
  struct replay_result *of_slot; // one a slot
  struct replay_result *result;  // of the slot of the frame that is played
};

static struct policy *policy_of(void *context, uint32_t number) { return store_version(context, number); }

// ---- leads ----

static struct played *slot_of(struct player *p, struct lead_id id) {
  for (size_t i = lead_id_hash(id) & (p->cap - 1);; i = (i + 1) & (p->cap - 1))
    if (!p->leads[i].is_used || lead_id_eq(p->leads[i].id, id)) return &p->leads[i];
}

static void grow(struct player *p) {
  struct played *old = p->leads;
  size_t cap = p->cap;
  p->cap = cap ? cap * 2 : 1024;
  p->leads = xcalloc(p->cap, sizeof *p->leads);
  for (size_t i = 0; i < cap; i++)
    if (old[i].is_used) *slot_of(p, old[i].id) = old[i];
  free(old);
}

static struct played *known_of(struct player *p, struct lead_id id) {
  struct played *played = p->cap ? slot_of(p, id) : NULL;
  return played && played->is_used ? played : NULL;
}

// The entity as the newest base before a frame has it. ITD_ENOTFOUND: no base does, or frames between the two are gone.
static int from_base(struct player *p, const struct frame *frame, struct played *played, struct error *err) {
  bool is_lead = frame->entity_kind == ENTITY_LEAD;
  struct buf row = {0};
  int rc = base_set_row(p->bases, frame->seq - 1, is_lead ? ROW_LEAD : ROW_ENTITY, frame->entity, &row, err);
  if (rc == 0 && is_lead) rc = history_row_lead(p->shard, frame->entity, buf_bytes(&row), &played->lead, err);
  if (rc == 0 && !is_lead) rc = entity_row(buf_bytes(&row), &played->entity, err);
  buf_deinit(&row);
  if (rc == 0 && (is_lead ? played->lead->place : played->entity->place) != frame->previous) {
    lead_free(played->lead);
    entity_free(played->entity);
    played->lead = NULL, played->entity = NULL;
    rc = ITD_ENOTFOUND;
  }
  return rc;
}

// The entity that a frame is of, as it was before it; NULL in *out: what it was is not known.
static int lead_of(struct player *p, const struct frame *frame, struct played **out, struct error *err) {
  if ((p->used + 1) * 2 > p->cap) grow(p);
  struct played *played = *out = slot_of(p, frame->entity);
  if (played->is_used) return 0;
  const struct release *release = engine_release(p->engine);
  *played = (struct played){.id = frame->entity};
  if (frame->previous) {
    int rc = from_base(p, frame, played, err);
    if (rc == ITD_ENOTFOUND) {
      *out = NULL;
      p->result->unreached++;
      return 0;
    }
    if (rc) return rc;
  } else if (frame->entity_kind == ENTITY_LEAD) {
    played->lead = lead_new(frame->entity, frame->workspace, release->policy, release->number, frame->now_ms);
  } else {
    played->entity = entity_new((enum entity_kind)frame->entity_kind, frame->entity, frame->workspace);
  }
  played->is_used = true;
  p->used++;
  return 0;
}

// What a slot's leads were decided: in a lead each decision after the other, but no matter which lead came first.
static void forget_leads(struct player *p) {
  for (size_t i = 0; i < p->cap; i++) {
    const struct played *played = &p->leads[i];
    if (played->is_used && !played->is_lost)
      p->of_slot[lead_id_slot(played->id)].hash += hash_mix(lead_id_hash(played->id), played->hash);
    lead_free(played->lead);
    entity_free(played->entity);
  }
  free(p->leads);
  p->leads = NULL;
  p->cap = p->used = 0;
}

// A key that is gone is no damage only when its lead was forgotten.
static int check_lost(const struct player *p, struct error *err) {
  for (size_t i = 0; i < p->cap; i++) {
    const struct played *played = &p->leads[i];
    if (!played->is_lost || played->is_forgotten) continue;
    char id[LEAD_ID_TEXT];
    lead_id_format(played->id, id);
    return error_set(err, ITD_ECORRUPT, "the key of lead %s is gone, and it was not forgotten", id);
  }
  return 0;
}

// ---- frames ----

static int use_release(struct player *p, const struct frame *frame, struct error *err) {
  if (frame->policy == p->release) {
    engine_switch(p->engine, (enum policy_switch)frame->switched);
    return 0;
  }
  struct policy *policy = store_version(p->store, frame->policy);
  if (!policy)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy is not in the version store", frame->policy);
  struct release release = {.policy = policy,
                            .number = frame->policy,
                            .signals = frame->signals,
                            .models = frame->models,
                            .switched = (enum policy_switch)frame->switched};
  int status = engine_prepare(p->engine, &release, err);
  if (status < 0) return status;
  engine_use(p->engine);
  p->release = frame->policy;
  return 0;
}

// Holds what came out again against the record.
static void compare_hash(struct player *p, struct played *played, const struct frame *frame, uint64_t hash) {
  played->hash = hash_mix(played->hash, hash);
  if (hash == frame->hash) return;
  if (!p->result->different++) {
    char id[LEAD_ID_TEXT];
    lead_id_format(frame->entity, id);
    snprintf(p->result->first_different, sizeof p->result->first_different, "%s-%u", id, frame->number);
  }
}

// Whether what models read came out again as it was kept.
static bool has_same_inputs(struct player *p, const struct frame *frame, const struct decision *d) {
  struct error ignored = {0};
  if (!frame->inputs.n || !d->inputs.n) return frame->inputs.n == d->inputs.n;
  buf_clear(&p->secret);
  int status = store_unseal(p->shard, frame->entity, frame->inputs, &p->secret, &ignored);
  return status == 0 ? bytes_eq(buf_bytes(&p->secret), d->inputs) : status == ITD_ENOTFOUND; // forgotten meanwhile
}

// `result` empty: nothing was decided.
static void compare(struct player *p, struct played *played, const struct frame *frame,
                    const struct engine_result *result) {
  const struct decision *d = result->count ? &result->decision[result->count - 1] : NULL;
  p->result->decisions++;
  uint64_t hash = d ? d->hash : 0;
  compare_hash(p, played, frame, d && !has_same_inputs(p, frame, d) ? ~hash : hash);
}

// The event of a frame, decoded from p->map.
static int read_event(struct player *p, const struct frame *frame, struct event *event, struct event_digits *digits,
                      struct error *err) {
  struct event_limits wide = {.id_max = SIZE_MAX, .name_max = SIZE_MAX, .bytes_max = SIZE_MAX};
  buf_clear(&p->map);
  buf_clear(&p->secret);
  int status = frame->secret.n ? store_unseal(p->shard, frame->entity, frame->secret, &p->secret, err) : 0;
  if (status == 0) status = event_join(frame->event, buf_bytes(&p->secret), &p->map, err);
  if (status == 0) status = event_decode(buf_bytes(&p->map), frame->received_ms, &wide, digits, event, err);
  return status;
}

static int play_merge(struct player *p, struct played *played, const struct frame *frame, struct error *err) {
  struct lead *other;
  int status = merge_other(p->shard, frame, &other, err);
  if (status == ITD_ENOTFOUND) {
    played->is_lost = true;
    return 0;
  }
  if (status < 0) return status;
  struct engine_result result;
  struct error ignored = {0}; // of a call that was stopped: the comparison says whether it was then
  p->result->merges++;
  if (engine_replay_merge(p->engine, &played->lead, other, frame->shared, &result, &ignored) < 0) result.count = 0;
  compare(p, played, frame, &result);
  lead_free(other);
  return 0;
}

static int play_grant(struct player *p, struct played *played, const struct frame *frame, struct error *err) {
  (void)err;
  struct engine_result result;
  struct error ignored = {0}; // likewise
  p->result->grants++;
  if (engine_replay_grant(p->engine, &played->lead, pools_grant_of(frame), frame->now_ms, frame->shared, &result,
                          &ignored) < 0)
    result.count = 0, played->lead->number = frame->number;
  compare(p, played, frame, &result);
  return 0;
}

// What a message made of a lead: recorded, and judged by the same hash.
static int play_step(struct player *p, struct played *played, const struct frame *frame, struct error *err) {
  uint64_t hash;
  int status = merge_fold(&played->lead, frame, engine_release(p->engine)->policy, false, &hash, err);
  if (status < 0) return status;
  p->result->messages++;
  compare_hash(p, played, frame, hash);
  return 0;
}

static int play_decision(struct player *p, struct played *played, const struct frame *frame, struct error *err) {
  bool is_timer = frame->kind == FRAME_TIMER;
  struct event event;
  struct event_digits digits;
  int status = is_timer ? 0 : read_event(p, frame, &event, &digits, err);
  if (status == ITD_ENOTFOUND) {
    played->is_lost = true;
    return 0;
  }
  if (status < 0) return status;
  struct engine_result result;
  struct error ignored = {0}; // it was not stopped then: the comparison says so
  p->result->timers += is_timer;
  if (engine_replay(p->engine, &played->lead, is_timer ? NULL : &event, frame->now_ms, frame->shared, &result,
                    &ignored) < 0)
    result.count = 0;
  compare(p, played, frame, &result);
  return 0;
}

// A call that was stopped is played as stopped: what it left of the lead (a timer that is gone, a release's layout) is
// applied as recorded.
static int play_stopped(struct player *p, struct played *played, const struct frame *frame, struct error *err) {
  p->result->stopped++;
  struct policy *from = store_version(p->store, played->lead->release);
  if (!from)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy is not in the version store", played->lead->release);
  return engine_refold(&played->lead, from, engine_release(p->engine)->policy, frame->policy, NULL, frame->now_ms,
                       frame->number, frame->effects, frame->shared, err);
}

// What was filled in is applied as recorded: it was folded from the same journal by the same code.
static int play_fill(struct player *p, struct played *played, const struct frame *frame, struct error *err) {
  struct policy *from = store_version(p->store, played->lead->release);
  if (!from)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy is not in the version store", played->lead->release);
  buf_clear(&p->secret);
  int status = store_unseal(p->shard, frame->entity, frame->secret, &p->secret, err);
  if (status == ITD_ENOTFOUND) {
    played->is_lost = true;
    return 0;
  }
  p->result->fills++;
  return status ? status
                : engine_refold_fill(&played->lead, from, engine_release(p->engine)->policy, frame->policy,
                                     buf_bytes(&p->secret), frame->effects, err);
}

static int play_message(struct player *p, struct played *played, const struct frame *frame, struct error *err) {
  struct message message;
  int status = entity_message(frame, &message, err);
  if (status < 0) return status;
  p->result->messages++;
  compare_hash(p, played, frame, message_apply(&played->entity, &message, &p->effects));
  return 0;
}

static int play(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  (void)place;
  struct player *p = context;
  if (frame->kind == FRAME_REFUSED) return 0;
  bool is_release = frame->kind == FRAME_RELEASE;
  unsigned slot = is_release ? 0 : lead_id_slot(frame->entity);
  if (is_release ? !p->counts_releases : !p->is_mine[slot]) return 0;
  p->result = &p->of_slot[slot];
  p->result->frames++;
  if (frame->kind == FRAME_FORGET) {
    struct played *played = known_of(p, frame->entity);
    if (played) played->is_lost = played->is_forgotten = true;
    p->result->forgotten++;
    return 0;
  }
  if (!is_release && store_is_forgotten(p->shard, frame->entity)) return 0; // its key is gone
  if (frame->entity_kind == ENTITY_NOBODY) {
    p->result->messages++;
    return 0;
  }
  int status = use_release(p, frame, err);
  if (status < 0 || is_release) return status;
  struct played *played;
  status = lead_of(p, frame, &played, err);
  if (status < 0 || !played || played->is_lost) return status;
  if (frame->entity_kind != ENTITY_LEAD) return play_message(p, played, frame, err);
  switch (frame->kind) {
  case FRAME_STOPPED: return play_stopped(p, played, frame, err);
  case FRAME_MESSAGE: return play_step(p, played, frame, err);
  case FRAME_MERGE: return play_merge(p, played, frame, err);
  case FRAME_GRANT: return play_grant(p, played, frame, err);
  case FRAME_FILL: return play_fill(p, played, frame, err);
  default: return play_decision(p, played, frame, err);
  }
}

// ---- threads ----

struct worker {
  pthread_t thread;
  unsigned index;
  const struct replay_options *options;
  struct store *store;
  unsigned rounds;               // passes over the journal, each with a part of its leads in memory
  struct replay_result *of_slot; // one a slot
  int status;
  struct error err;
};

static void play_round(struct worker *w, unsigned round) {
  struct player p = {.store = w->store,
                     .shard = store_shard(w->store, w->index),
                     .options = w->options,
                     .of_slot = w->of_slot,
                     .counts_releases = w->index == 0 && round == 0};
  for (unsigned slot = 0, mine = 0; slot < SLOTS; slot++) {
    unsigned partition = slot_partition(slot, store_partitions(w->store));
    p.is_mine[slot] = store_shard_of(w->store, partition) == w->index && mine++ % w->rounds == round;
  }
  p.engine = engine_new(ENGINE_CLOCK_EVENT, &w->options->vm, policy_of, w->store);
  struct base_set bases;
  p.bases = &bases;
  w->status = base_set_init(&bases, w->options->dir, &w->err);
  if (w->status == 0) w->status = store_walk(w->options->dir, -1, play, &p, &w->err);
  if (w->status == 0) w->status = check_lost(&p, &w->err);
  base_set_deinit(&bases);
  forget_leads(&p);
  engine_free(p.engine);
  buf_deinit(&p.map);
  buf_deinit(&p.secret);
  message_effects_deinit(&p.effects);
}

static void *work(void *arg) {
  struct worker *w = arg;
  for (unsigned round = 0; round < w->rounds && w->status == 0; round++) play_round(w, round);
  return NULL;
}

static void add(struct replay_result *sum, const struct replay_result *one) {
  sum->frames += one->frames;
  sum->decisions += one->decisions;
  sum->timers += one->timers;
  sum->fills += one->fills;
  sum->stopped += one->stopped;
  sum->messages += one->messages;
  sum->merges += one->merges;
  sum->grants += one->grants;
  sum->forgotten += one->forgotten;
  sum->unreached += one->unreached;
  sum->hash = hash_mix(sum->hash, one->hash);
  if (one->different && !sum->different)
    memcpy(sum->first_different, one->first_different, sizeof sum->first_different);
  sum->different += one->different;
}

int store_replay(const struct replay_options *options, struct replay_result *result, struct error *err) {
  struct store_options open = STORE_OPTIONS_DEFAULT;
  struct store *store = NULL;
  struct store_recovery recovery;
  char format[4096];
  snprintf(format, sizeof format, "%s/format", options->dir);
  if (access(format, F_OK) != 0) // opening would make a new one
    return error_set(err, ITD_ENOTFOUND, "%s is no data directory: it has no file \"format\"", options->dir);
  open.dir = options->dir;
  open.seal = false; // it is read, not kept
  open.is_without_dedupe = true;
  open.journal.segment_bytes = SEGMENT_BYTES_MIN;
  open.keep = (struct keep_options){.base_interval_ms = INT64_MAX, .base_bytes = UINT64_MAX, .bases = UINT32_MAX};
  unsigned partitions = store_partitions_in(options->dir);
  open.shards = partitions && options->threads > partitions ? partitions : options->threads;
  int status = store_open(&open, &store, &recovery, err);
  if (status < 0) return status;
  unsigned threads = open.shards;
  uint64_t leads = state_leads(store->state) / threads, rounds = leads / LEADS_IN_MEMORY + 1;
  struct replay_result *of_slot = xcalloc(SLOTS, sizeof *of_slot);
  struct worker *workers = xcalloc(threads, sizeof *workers);
  for (unsigned i = 0; i < threads; i++) {
    workers[i] = (struct worker){.index = i,
                                 .options = options,
                                 .store = store,
                                 .rounds = rounds < SLOTS ? (unsigned)rounds : SLOTS,
                                 .of_slot = of_slot};
    vm_thread_create(&workers[i].thread, work, &workers[i]);
  }
  for (unsigned i = 0; i < threads; i++) {
    pthread_join(workers[i].thread, NULL);
    if (workers[i].status < 0 && status == 0) {
      status = workers[i].status;
      if (err) *err = workers[i].err;
    }
  }
  *result = (struct replay_result){0};
  for (unsigned slot = 0; slot < SLOTS; slot++) add(result, &of_slot[slot]);
  free(workers);
  free(of_slot);
  store_close(store);
  return status;
}
