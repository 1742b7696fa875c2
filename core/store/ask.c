// Questions about leads and decisions: what is kept, what was decided, and why.
#include "base/hash.h"
#include "engine/shapley.h"
#include "store/intake_private.h"
#include "store/merge.h"
#include "store/pools.h"

#include <stdio.h>
#include <stdlib.h>

uint32_t intake_whose(const struct store *store, const struct intake_options *options, struct bytes who,
                      unsigned partition[WHOSE_MAX]) {
  struct lead_id id;
  struct bytes lead = who;
  const uint8_t *dash = who.n > 32 ? memchr(who.p, '-', who.n) : NULL;
  if (dash && dash - who.p == 32) lead.n = 32;
  uint32_t count = 0;
  if (lead_id_parse(lead, &id) == 0) partition[count++] = store_partition_of_lead(store, id);
  const enum identity_kind kinds[] = {IDENTITY_USER, IDENTITY_ANONYMOUS};
  for (size_t i = 0; i < 2; i++)
    partition[count++] = store_partition_of(store, store_identity(store, options->workspace, kinds[i], who));
  return count;
}

int decision_id_parse(struct bytes text, struct lead_id *lead, uint32_t *number, struct error *err) {
  struct lead_id id;
  uint64_t n = 0;
  bool ok = text.n > 33 && text.n <= 43 && text.p[32] == '-' && lead_id_parse(bytes_of(text.p, 32), &id) == 0;
  for (size_t i = 33; ok && i < text.n; i++) {
    ok = text.p[i] >= '0' && text.p[i] <= '9';
    n = n * 10 + (uint64_t)(text.p[i] - '0');
  }
  if (!ok || n == 0 || n > UINT32_MAX)
    return error_set(err, ITD_EINVAL,
                     "a decision_id is the lead's 32 hexadecimal digits, \"-\" and a number; this is \"%.*s\"",
                     (int)(text.n > 60 ? 60 : text.n), (const char *)text.p);
  *lead = id;
  *number = (uint32_t)n;
  return 0;
}

static int unknown(struct bytes who, struct error *err) {
  return error_set(err, ITD_ENOTFOUND, "no lead \"%.*s\": give a lead id, a userId or an anonymousId",
                   (int)(who.n > 80 ? 80 : who.n), (const char *)who.p);
}

static int forgotten(struct error *err) {
  return error_set(err, ITD_ENOTFOUND, "this lead was forgotten: nothing of it is kept");
}

// Another shard's lead must not be looked for here: what LMDB has of it is behind what that shard knows.
static bool is_mine(const struct intake *in, struct lead_id id) {
  return store_shard_of(in->store, store_partition_of_lead(in->store, id)) == in->index;
}

void intake_hold(struct intake *in, bool is_held) { in->is_held = is_held; }

int intake_may_show(struct intake *in, struct lead_id lead, struct error *err) {
  if (!in->is_held || !store_is_staged(in->shard, lead)) return 0;
  return error_set(err, ITD_EUNAVAILABLE,
                   "there is no room on the disk for what was decided last about this lead; ask again when there is");
}

// The lead that `who` names in this shard's partitions.
static int seek_lead(struct intake *in, struct bytes who, struct lead **lead, struct error *err) {
  struct lead_id id;
  bool is_forgotten = false;
  if (lead_id_parse(who, &id) == 0 && is_mine(in, id)) {
    if ((*lead = store_lead(in->shard, id))) return 0;
    is_forgotten = store_is_forgotten(in->shard, id);
  }
  const enum identity_kind kinds[] = {IDENTITY_USER, IDENTITY_ANONYMOUS};
  for (size_t i = 0; i < 2; i++) {
    struct hash128 identity = store_identity(in->store, in->options.workspace, kinds[i], who);
    unsigned partition = store_partition_of(in->store, identity);
    if (store_shard_of(in->store, partition) != in->index || !store_find(in->shard, identity, &id)) continue;
    if ((*lead = store_lead(in->shard, id))) return 0;
  }
  return is_forgotten ? forgotten(err) : unknown(who, err);
}

static int find_lead(struct intake *in, struct bytes who, struct lead **lead, struct error *err) {
  int status = seek_lead(in, who, lead, err);
  return status < 0 ? status : intake_may_show(in, (*lead)->id, err);
}

// A lead that was merged into another is asked for there.
static int elsewhere(const struct lead *lead, struct buf *answer) {
  char id[LEAD_ID_TEXT];
  lead_id_format(lead->into, id);
  buf_append_str(answer, id);
  return INTAKE_ELSEWHERE;
}

struct identities {
  struct buf packed;
  uint32_t count;
};

static void add_identity(void *context, enum identity_kind kind, struct bytes value) {
  struct identities *list = context;
  list->count++;
  mp_put_map(&list->packed, 2);
  mp_put_cstr(&list->packed, "kind");
  mp_put_cstr(&list->packed, kind == IDENTITY_USER ? "userId" : "anonymousId");
  mp_put_cstr(&list->packed, "value");
  mp_put_str(&list->packed, value);
}

static void put_identities(struct intake *in, struct lead_id lead, struct buf *answer) {
  struct identities list = {0};
  store_identities(in->shard, lead, add_identity, &list);
  mp_put_cstr(answer, "identities");
  mp_put_array(answer, list.count);
  buf_append_bytes(answer, buf_bytes(&list.packed));
  buf_deinit(&list.packed);
}

int intake_who(struct intake *in, struct bytes who, struct buf *answer, struct error *err) {
  struct lead *lead;
  char id[LEAD_ID_TEXT];
  int status = find_lead(in, who, &lead, err);
  if (status < 0) return status;
  if (lead->flags & LEAD_SEALED) return elsewhere(lead, answer);
  lead_id_format(lead->id, id);
  mp_put_map(answer, 1);
  mp_put_cstr(answer, "lead");
  mp_put_cstr(answer, id);
  return 0;
}

int intake_lead(struct intake *in, struct bytes who, struct buf *answer, struct error *err) {
  struct lead *lead;
  int status = find_lead(in, who, &lead, err);
  if (status < 0) return status;
  if (lead->flags & LEAD_SEALED) return elsewhere(lead, answer);
  struct policy *policy = store_version(in->store, lead->release);
  if (!policy)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy is not in the version store", lead->release);
  struct frame frame = {0};
  if (lead->number) {
    status = store_read_last(in->shard, lead->id, &in->raw, &frame, err);
    if (status < 0) return status;
  }
  mp_put_map(answer, 3);
  mp_put_cstr(answer, "lead");
  engine_show(policy, lead, answer);
  put_identities(in, lead->id, answer);
  mp_put_cstr(answer, "decision");
  if (frame.decision.n)
    buf_append_bytes(answer, frame.decision);
  else
    mp_put_nil(answer);
  return 0;
}

int intake_decision(struct intake *in, struct bytes decision_id, struct buf *answer, struct error *err) {
  struct lead_id id;
  uint32_t number;
  int status = decision_id_parse(decision_id, &id, &number, err);
  if (status < 0) return status;
  if (!is_mine(in, id)) return unknown(decision_id, err);
  if (store_is_forgotten(in->shard, id)) return forgotten(err);
  status = intake_may_show(in, id, err);
  if (status < 0) return status;
  struct frame frame;
  status = store_read_number(in->shard, id, number, &in->raw, &frame, err);
  if (status < 0) return status;
  buf_append_bytes(answer, frame.decision);
  return 0;
}

// ---- explanation ----

static const char *kind_name(uint8_t kind) {
  switch (kind) {
  case FRAME_TIMER: return "timer";
  case FRAME_STOPPED: return "stopped";
  case FRAME_MERGE: return "merge";
  case FRAME_GRANT: return "grant";
  default: return "event";
  }
}

// The event of a frame as it was sent; empty for a timer, a merge and a grant. ITD_ENOTFOUND when its lead was forgotten.
int intake_event_of(struct intake *in, const struct frame *frame, struct buf *map, struct error *err) {
  if (!frame->event.n || frame->kind == FRAME_MERGE || frame->kind == FRAME_GRANT) return 0;
  buf_clear(&in->secret);
  if (frame->secret.n) {
    int status = store_unseal(in->shard, frame->entity, frame->secret, &in->secret, err);
    if (status < 0) return status;
  }
  return event_join(frame->event, buf_bytes(&in->secret), map, err);
}

static void put_frame(const struct frame *frame, struct buf *answer) {
  mp_put_cstr(answer, "frame");
  mp_put_map(answer, 5);
  mp_put_cstr(answer, "partition");
  mp_put_int(answer, frame->partition);
  mp_put_cstr(answer, "seq");
  mp_put_uint(answer, frame->seq);
  mp_put_cstr(answer, "epoch");
  mp_put_uint(answer, frame->epoch);
  mp_put_cstr(answer, "received");
  mp_put_int(answer, frame->received_ms);
  mp_put_cstr(answer, "kind");
  mp_put_cstr(answer, kind_name(frame->kind));
}

// Computes the decision again and puts it beside the recorded one.
static int recompute(struct intake *in, const struct frame *frame, struct lead **before, struct bytes map,
                     struct buf *out, struct error *err) {
  struct policy *policy = store_version(in->store, frame->policy);
  if (!policy)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy is not in the version store", frame->policy);
  struct release release = {.policy = policy,
                            .number = frame->policy,
                            .signals = frame->signals,
                            .models = frame->models,
                            .switched = (enum policy_switch)frame->switched};
  struct event event;
  struct event_digits digits;
  struct event_limits wide = {.id_max = SIZE_MAX, .name_max = SIZE_MAX, .bytes_max = SIZE_MAX};
  if (map.n) {
    int status = event_decode(map, frame->received_ms, &wide, &digits, &event, err);
    if (status < 0) return status;
  }
  struct lead *other = NULL;
  if (frame->kind == FRAME_MERGE) {
    int status = merge_other(in->shard, frame, &other, err);
    if (status < 0) return status;
  }
  int status = engine_explain(in->engine, &release, before, map.n ? &event : NULL, other, pools_grant_of(frame),
                              frame->now_ms, frame->shared, out, err);
  lead_free(other);
  return status;
}

// What is found out of a decision.
struct explained {
  struct buf map;     // the event as it was sent; empty: there was none
  struct buf again;   // engine_explain's map; empty: what the lead did before is gone
  struct buf inputs;  // what models of trees read: as kept with the decision, else as read again
  struct buf shapley; // what follows from it
  struct buf beside;  // pairs: the trace, where it is wanted
  uint32_t pairs;
  bool is_same; // what came out again is what was kept
};

static void explained_deinit(struct explained *x) {
  buf_deinit(&x->map);
  buf_deinit(&x->again);
  buf_deinit(&x->inputs);
  buf_deinit(&x->shapley);
  buf_deinit(&x->beside);
}

static struct bytes again_of(const struct explained *x, const char *key) {
  struct bytes value;
  CHECK(mp_find(buf_bytes(&x->again), bytes_str(key), &value));
  return value;
}

static int find_shapley(struct intake *in, const struct frame *frame, struct explained *x, struct error *err) {
  struct policy *policy = store_version(in->store, frame->policy);
  if (!policy)
    return error_set(err, ITD_ECORRUPT, "version %u of the policy is not in the version store", frame->policy);
  struct bytes again = x->again.n ? mp_value_of(again_of(x, "inputs")).s : (struct bytes){0};
  int status = 0;
  if (!frame->inputs.n)
    buf_append_bytes(&x->inputs, again);
  else
    status = store_unseal(in->shard, frame->entity, frame->inputs, &x->inputs, err);
  x->is_same =
      x->again.n && bytes_eq(again_of(x, "decision"), frame->decision) && bytes_eq(again, buf_bytes(&x->inputs));
  if (status) return status;
  const struct policy_scorers scorers = policy_scorers(policy, lead_id_hash(frame->entity));
  x->pairs = intake_put_trace(in, policy, shapley_rules(buf_bytes(&x->inputs)), &x->beside);
  return shapley_put(policy, &scorers, buf_bytes(&x->inputs), &x->shapley, err);
}

static void put_explained(const struct frame *frame, const struct explained *x, struct buf *answer) {
  static const char *const parts[] = {"signals", "features", "conditions"};
  mp_put_map(answer, 8 + x->pairs);
  buf_append_bytes(answer, buf_bytes(&x->beside));
  mp_put_cstr(answer, "decision");
  buf_append_bytes(answer, frame->decision);
  mp_put_cstr(answer, "reproduced");
  if (x->again.n)
    mp_put_bool(answer, x->is_same);
  else
    mp_put_nil(answer);
  for (size_t i = 0; i < 3; i++) {
    mp_put_cstr(answer, parts[i]);
    if (x->again.n)
      buf_append_bytes(answer, again_of(x, parts[i]));
    else
      mp_put_nil(answer);
  }
  mp_put_cstr(answer, "shapley");
  mp_put_map(answer, 2);
  mp_put_cstr(answer, "kept");
  mp_put_bool(answer, frame->inputs.n > 0);
  mp_put_cstr(answer, "models");
  buf_append_bytes(answer, buf_bytes(&x->shapley));
  mp_put_cstr(answer, "event");
  if (x->map.n)
    buf_append_bytes(answer, buf_bytes(&x->map));
  else
    mp_put_nil(answer);
  put_frame(frame, answer);
}

// `before` NULL: what the lead did before is gone, and the decision can't be made again.
static int explain_frame(struct intake *in, const struct frame *frame, struct lead **before, struct buf *answer,
                         struct error *err) {
  struct explained x = {0};
  int status = intake_event_of(in, frame, &x.map, err);
  if (status == 0 && *before) status = recompute(in, frame, before, buf_bytes(&x.map), &x.again, err);
  if (status == 0) status = find_shapley(in, frame, &x, err);
  if (status == 0) put_explained(frame, &x, answer);
  explained_deinit(&x);
  return status;
}

int intake_explain(struct intake *in, struct bytes what, struct buf *answer, struct error *err) {
  struct lead_id id;
  uint32_t number;
  if (decision_id_parse(what, &id, &number, NULL) < 0) {
    struct lead *lead;
    int status = find_lead(in, what, &lead, err);
    if (status < 0) return status;
    if (lead->flags & LEAD_SEALED) return elsewhere(lead, answer);
    id = lead->id;
    struct frame last;
    status = store_read_last(in->shard, id, &in->raw, &last, err);
    if (status < 0) return status;
    number = last.number;
  }
  if (!is_mine(in, id)) return unknown(what, err);
  if (store_is_forgotten(in->shard, id)) return forgotten(err);
  int status = intake_may_show(in, id, err);
  if (status < 0) return status;
  struct buf raw = {0}; // its own: store_lead_before reads other frames
  struct frame frame = {0};
  struct lead *before = NULL;
  status = store_read_number(in->shard, id, number, &raw, &frame, err);
  if (status == 0) {
    status = store_lead_before(in->shard, id, number, &before, err);
    if (status == ITD_ENOTFOUND && frame.inputs.n) status = 0; // which says what there is to say without it
  }
  if (status == 0) status = explain_frame(in, &frame, &before, answer, err);
  lead_free(before);
  buf_deinit(&raw);
  return status;
}
