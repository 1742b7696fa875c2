// A lead's frames: the event as sent, a decision by its number, the state before it, and the fold that recovery shares.
#include <stdlib.h>

#include "base/check.h"
#include "store/base.h"
#include "store/merge.h"
#include "store/shard.h"

int history_event(struct store_shard *s, const struct frame *frame, struct buf *map, struct error *err) {
  if (!frame->secret.n) {
    buf_append_bytes(map, frame->event);
    return 0;
  }
  struct buf secret;
  buf_init(&secret);
  int rc = store_unseal(s, frame->entity, frame->secret, &secret, err);
  if (rc == 0) rc = event_join(frame->event, buf_bytes(&secret), map, err);
  buf_deinit(&secret);
  return rc;
}

// What was accepted once is read again whatever the limits are now.
static const struct event_limits NO_LIMITS = {.id_max = SIZE_MAX,
                                              .name_max = SIZE_MAX,
                                              .bytes_max = SIZE_MAX,
                                              .late_max_ms = INT64_MAX,
                                              .future_max_ms = INT64_MAX};

// Too many open files, or a disk that fails, say nothing of the archive.
static int does_not_load(const struct store_shard *s, uint32_t number, const char *what, struct error *err) {
  return error_set(err, versions_status(s->store->versions, number), "policy version %u%s does not load", number, what);
}

static int refold_merge(struct store_shard *s, const struct frame *f, struct policy *from, struct policy *policy,
                        struct lead **lead, struct error *err) {
  struct lead *other;
  int rc = merge_other(s, f, &other, err);
  if (rc) return rc;
  struct policy *of_other = other->release == f->policy ? policy : store_version(s->store, other->release);
  if (!of_other) rc = does_not_load(s, other->release, ", which the merged lead's state is of,", err);
  if (rc == 0)
    rc = engine_refold_merge(lead, from, policy, f->policy, other, of_other, f->number, f->effects, f->shared, err);
  if (rc == 0) rc = merge_answered(*lead, f, err);
  explicit_bzero(other, lead_size(other));
  lead_free(other);
  return rc;
}

static int refold_fill(struct store_shard *s, const struct frame *f, struct policy *from, struct policy *policy,
                       struct lead **lead, struct error *err) {
  struct buf slices = {0};
  int rc = store_unseal(s, f->entity, f->secret, &slices, err);
  if (rc == 0) rc = engine_refold_fill(lead, from, policy, f->policy, buf_bytes(&slices), f->effects, err);
  if (slices.p) explicit_bzero(slices.p, slices.cap);
  buf_deinit(&slices);
  return rc;
}

static int refold(struct store_shard *s, const struct frame *f, struct policy *policy, struct lead **lead,
                  struct error *err) {
  struct policy *from = policy;
  if ((*lead)->release != f->policy && !(from = store_version(s->store, (*lead)->release)))
    return does_not_load(s, (*lead)->release, ", which the lead's state is of,", err);
  if (f->kind == FRAME_MERGE) return refold_merge(s, f, from, policy, lead, err);
  if (f->kind == FRAME_FILL) return refold_fill(s, f, from, policy, lead, err);
  if (f->kind != FRAME_EVENT)
    return engine_refold(lead, from, policy, f->policy, NULL, f->now_ms, f->number, f->effects, f->shared, err);

  struct event event;
  struct event_digits digits;
  struct buf map;
  buf_init(&map);
  int rc = history_event(s, f, &map, err);
  if (rc == 0) rc = event_decode(buf_bytes(&map), f->received_ms, &NO_LIMITS, &digits, &event, err);
  if (rc == 0)
    rc = engine_refold(lead, from, policy, f->policy, &event, f->now_ms, f->number, f->effects, f->shared, err);
  buf_deinit(&map);
  if (rc == 0 && f->messages.n) {
    struct merge_asks asks = merge_asks_of(f->messages);
    (*lead)->asks += asks.all;
    (*lead)->asks_known += asks.known;
  }
  return rc;
}

// A message to a lead runs nothing of its policy: features and journey stay as they are, of whichever release.
static int fold_message(const struct frame *f, const struct policy *policy, struct lead **lead, struct error *err) {
  uint64_t hash;
  int rc = merge_fold(lead, f, policy, true, &hash, err);
  if (rc == 0 && hash != f->hash) rc = error_set(err, ITD_ECORRUPT, "a message to a lead had another outcome");
  return rc;
}

int history_fold(struct store_shard *s, const struct frame *f, uint64_t place, struct lead **lead, struct error *err) {
  const uint32_t semantics = (uint32_t)FEATURE_SEMANTICS << 16 | POLICY_SEMANTICS;
  if (f->semantics != semantics)
    return error_set(err, ITD_EVERSION, "decided under semantics %08x; this program folds %08x", f->semantics,
                     semantics);
  struct policy *policy = store_version(s->store, f->policy);
  if (!policy) return does_not_load(s, f->policy, "", err);
  if (!*lead) *lead = lead_new(f->entity, f->workspace, policy, f->policy, f->now_ms);
  int rc = f->kind == FRAME_MESSAGE ? fold_message(f, policy, lead, err) : refold(s, f, policy, lead, err);
  if (rc) return rc;
  (*lead)->seq = f->seq;
  (*lead)->place = place;
  uint64_t digest = lead_digest(*lead);
  if (digest == f->digest) return 0;
  return error_set(err, ITD_ECORRUPT, "folding the frame again gives state %016llx; it recorded %016llx",
                   (unsigned long long)digest, (unsigned long long)f->digest);
}

bool frame_is_decision(const struct frame *f) {
  return f->kind == FRAME_EVENT || f->kind == FRAME_TIMER ||
         ((f->kind == FRAME_MERGE || f->kind == FRAME_GRANT) && f->hash); // or it was stopped
}

int store_read_last(struct store_shard *s, struct lead_id id, struct buf *raw, struct frame *frame, struct error *err) {
  struct lead *lead = store_lead(s, id);
  for (uint64_t place = lead ? lead->place : 0; place; place = frame->previous) {
    int rc = store_read(s, place, raw, frame, err);
    if (rc == ITD_ENOTFOUND)
      return error_set(err, rc, "the lead's last decision is older than the journal that is kept");
    if (rc || frame_is_decision(frame)) return rc;
  }
  return error_set(err, ITD_ENOTFOUND, "this lead has no decision yet");
}

int store_read_number(struct store_shard *s, struct lead_id id, uint32_t number, struct buf *raw, struct frame *frame,
                      struct error *err) {
  struct lead *lead = store_lead(s, id);
  for (uint64_t place = lead ? lead->place : 0; place; place = frame->previous) {
    int rc = store_read(s, place, raw, frame, err);
    if (rc == ITD_ENOTFOUND)
      return error_set(err, rc, "decision %u of this lead is older than the journal that is kept (retention)", number);
    if (rc) return rc;
    if (frame_is_decision(frame) && frame->number == number) return 0;
    if (frame->number < number) break;
  }
  return error_set(err, ITD_ENOTFOUND, "the lead has no decision %u", number);
}

// Places of a lead's frames, last first.
struct places {
  uint64_t *place;
  size_t count, cap;
};

static void add_place(struct places *out, uint64_t place) {
  if (out->count == out->cap)
    out->place = xrealloc(out->place, (out->cap = out->cap ? out->cap * 2 : 64) * sizeof *out->place);
  out->place[out->count++] = place;
}

int history_row_lead(struct store_shard *s, struct lead_id id, struct bytes row, struct lead **lead,
                     struct error *err) {
  struct buf sealed = {0}, block = {0};
  int rc = state_row_lead(row, &sealed, err);
  if (rc == 0) rc = store_unseal(s, id, buf_bytes(&sealed), &block, err);
  if (rc == 0) rc = lead_check(buf_bytes(&block), err);
  if (rc == 0) {
    *lead = xmalloc(block.n);
    memcpy(*lead, block.p, block.n);
  }
  buf_deinit(&sealed);
  buf_deinit(&block);
  return rc;
}

// The lead as a base has it. ITD_ENOTFOUND: it was not there yet.
static int base_lead(struct store_shard *s, const struct base_info *base, struct lead_id id, struct lead **lead,
                     struct error *err) {
  struct buf row = {0};
  int rc = base_find(s->store->dir.path, base, ROW_LEAD, bytes_of(id.b, sizeof id.b), &row, err);
  if (rc == 0) rc = history_row_lead(s, id, buf_bytes(&row), lead, err);
  buf_deinit(&row);
  return rc;
}

// What a lead's state before a decision is folded from: the newest base before that decision, or the lead's first frame.
struct beginning {
  struct base_info *bases;
  size_t base_count;
  struct places places; // of the frames that follow
  struct lead *lead;    // NULL: it begins with the first of them
};

static int find_beginning(struct store_shard *s, struct lead_id id, uint32_t number, struct beginning *b,
                          struct buf *raw, struct error *err) {
  const struct lead *now = store_lead(s, id);
  if (!now) return error_set(err, ITD_ENOTFOUND, "nothing is known of this lead");
  int rc = base_list(s->store->dir.path, &b->bases, &b->base_count, err);
  if (rc) return rc;
  unsigned slot = lead_id_slot(id);
  const struct base_info *base = base_of_slot(b->bases, b->base_count, slot, UINT64_MAX);
  struct frame f;
  for (uint64_t place = now->place; place; place = f.previous) {
    rc = store_read(s, place, raw, &f, err);
    if (rc == ITD_ENOTFOUND)
      return error_set(err, ITD_ENOTFOUND,
                       "the lead's history before that was let go, and no base reaches back so far");
    if (rc) return rc;
    bool is_after = f.kind != FRAME_STOPPED && f.number >= number;
    if (is_after && base && base->head.seq >= f.seq) base = base_of_slot(b->bases, b->base_count, slot, f.seq - 1);
    if (!is_after && base && base->head.seq >= f.seq) return base_lead(s, base, id, &b->lead, err);
    add_place(&b->places, place);
  }
  return b->places.count ? 0 : error_set(err, ITD_ENOTFOUND, "nothing is known of this lead");
}

int store_lead_before(struct store_shard *s, struct lead_id id, uint32_t number, struct lead **out, struct error *err) {
  struct buf raw;
  struct beginning b = {0};
  if (number < 1) number = 1;
  buf_init(&raw);
  int rc = find_beginning(s, id, number, &b, &raw, err);
  for (size_t i = b.places.count; rc == 0 && i-- > 0;) {
    struct frame f;
    rc = store_read(s, b.places.place[i], &raw, &f, err);
    if (rc) break;
    if (f.kind != FRAME_STOPPED && f.number >= number) {
      struct policy *policy = b.lead ? NULL : store_version(s->store, f.policy);
      if (policy) b.lead = lead_new(id, f.workspace, policy, f.policy, f.now_ms);
      break;
    }
    rc = history_fold(s, &f, b.places.place[i], &b.lead, err);
  }
  if (rc == 0 && !b.lead)
    rc = error_set(err, ITD_ECORRUPT, "the policy version of the lead's first frame does not load");
  base_list_free(b.bases);
  free(b.places.place);
  buf_deinit(&raw);
  if (rc)
    lead_free(b.lead);
  else
    *out = b.lead;
  return rc;
}
