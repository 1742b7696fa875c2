#include "store/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/le.h"
#include "base/log.h"
#include "store/dedupe_run.h"
#include "store/forget.h"
#include "store/pools.h"
#include "store/shard.h"
#include "wire/rpc.h"

#define ASKED_MAX 65536u // asks that are remembered; beyond that all are dropped, and are asked again

// ---- bodies ----
static void put_address(struct buf *out, uint64_t address) {
  uint8_t b[8];
  put64(b, address);
  mp_put_bin(out, bytes_of(b, sizeof b));
}

// The next value as bytes; false: it is none, or not `n` of them (0: any number).
static bool take_bin(struct mp *in, size_t n, struct bytes *out) {
  struct mp_value v = mp_next(in);
  *out = v.s;
  return v.type == MP_BIN && (!n || v.s.n == n);
}

static bool take_int(struct mp *in, int64_t least, int64_t most, int64_t *out) {
  struct mp_value v = mp_next(in);
  *out = v.i;
  return v.type == MP_INT && v.i >= least && v.i <= most;
}

static bool take_array(struct mp *in, uint32_t n) {
  struct mp_value v = mp_next(in);
  return v.type == MP_ARRAY && v.count == n;
}

struct ask {
  int64_t kind;
  struct lead_id lead;
  uint64_t key;
  struct bytes sealed;
};
static bool read_ask(struct bytes body, struct ask *out) {
  struct mp in = mp_of(body);
  struct bytes lead, key;
  if (!take_array(&in, 4) || !take_int(&in, IDENTITY_USER, IDENTITY_ANONYMOUS, &out->kind) ||
      !take_bin(&in, 16, &lead) || !take_bin(&in, 8, &key) || !take_bin(&in, 0, &out->sealed))
    return false;
  memcpy(out->lead.b, lead.p, sizeof out->lead.b);
  out->key = get64(key.p);
  return true;
}

struct hand {
  int64_t kind;
  struct lead_id lead;
  struct store_who who;
  struct bytes sealed;   // empty in a MERGE frame
  struct seat_back seat; // of its owner, for when the block can't be opened any more; person 0: it has none
};
static void put_hand(struct buf *out, const struct hand *h) {
  mp_put_array(out, (h->sealed.n ? 5u : 4u) + (h->seat.person ? 2u : 0u));
  mp_put_int(out, h->kind);
  mp_put_bin(out, bytes_of(h->lead.b, sizeof h->lead.b));
  put_address(out, h->who.key);
  put_address(out, h->who.last);
  if (h->sealed.n) mp_put_bin(out, h->sealed);
  if (!h->seat.person) return;
  mp_put_uint(out, h->seat.team);
  mp_put_uint(out, h->seat.person);
}

static bool take_u64(struct mp *in, uint64_t *out) {
  struct mp_value v = mp_next(in);
  *out = v.type == MP_UINT ? v.u : (uint64_t)v.i;
  return v.type == MP_UINT || (v.type == MP_INT && v.i > 0);
}

static bool read_hand(struct bytes body, bool is_sealed, struct hand *out) {
  struct mp in = mp_of(body);
  struct bytes lead, key, last;
  out->sealed = (struct bytes){0};
  out->seat = (struct seat_back){0};
  struct mp_value head = mp_next(&in);
  bool has_seat = is_sealed && head.count == 7;
  if (head.type != MP_ARRAY || head.count != (is_sealed ? 5u : 4u) + (has_seat ? 2u : 0u) ||
      !take_int(&in, IDENTITY_USER, IDENTITY_ANONYMOUS, &out->kind) || !take_bin(&in, 16, &lead) ||
      !take_bin(&in, 8, &key) || !take_bin(&in, 8, &last) || (is_sealed && !take_bin(&in, 0, &out->sealed)) ||
      (has_seat && (!take_u64(&in, &out->seat.team) || !take_u64(&in, &out->seat.person))))
    return false;
  memcpy(out->lead.b, lead.p, sizeof out->lead.b);
  out->who = (struct store_who){.key = get64(key.p), .last = get64(last.p)};
  return true;
}

struct none {
  int64_t kind, why;
  struct bytes ask; // one value
};
static void put_none(struct buf *out, int64_t kind, enum merge_none why, struct bytes ask) {
  mp_put_array(out, 3);
  mp_put_int(out, kind);
  mp_put_int(out, why);
  if (ask.n)
    mp_put_raw(out, ask);
  else
    mp_put_nil(out);
}

static bool read_none(struct bytes body, struct none *out) {
  struct mp in = mp_of(body);
  if (!take_array(&in, 3) || !take_int(&in, IDENTITY_USER, IDENTITY_ANONYMOUS, &out->kind) ||
      !take_int(&in, MERGE_SAME, MERGE_GONE, &out->why))
    return false;
  out->ask = mp_take(&in);
  return true;
}

struct wish {
  struct lead_id to;
  struct bytes body;
  struct ask ask;
};
static bool read_wish(struct bytes body, struct wish *out) {
  struct mp in = mp_of(body);
  struct bytes to;
  if (!take_array(&in, 2) || !take_bin(&in, 16, &to)) return false;
  memcpy(out->to.b, to.p, sizeof out->to.b);
  out->body = mp_take(&in);
  return read_ask(out->body, &out->ask);
}

// ---- asking ----
static void put_wish(struct buf *list, struct lead_id whose, struct lead_id to, struct bytes ask) {
  struct buf body = {0};
  mp_put_array(&body, 2);
  mp_put_bin(&body, bytes_of(to.b, sizeof to.b));
  mp_put_raw(&body, ask);
  message_put(list, whose, MESSAGE_MERGE_WISH, buf_bytes(&body));
  buf_deinit(&body);
}

// A lead that is waited for asks no users by itself: who waits for it, and takes it in, asks for it. Else leads could wait
// for each other.
static void add_ask(struct intake *in, const struct lead *l, enum identity_kind kind, struct bytes text,
                    struct buf *list, struct merge_asks *asks) {
  struct lead_id lead = l->id;
  struct hash128 identity = store_identity(in->store, in->options.workspace, kind, text);
  struct lead_id to = store_ask_id(in->store, lead, identity, 0);
  struct store_who who;
  if (table_find(&in->asked, lead_key(to)) || !store_who(in->shard, lead, &who)) return;
  table_add(&in->asked, lead_key(to));
  struct buf plain = {0}, sealed = {0}, body = {0};
  mp_put_array(&plain, 2);
  mp_put_int(&plain, kind);
  mp_put_str(&plain, text);
  store_seal(in->shard, lead, buf_bytes(&plain), &sealed);
  mp_put_array(&body, 4);
  mp_put_int(&body, kind);
  mp_put_bin(&body, bytes_of(lead.b, sizeof lead.b));
  put_address(&body, who.key);
  mp_put_bin(&body, buf_bytes(&sealed));
  if (l->flags & LEAD_WAITS && kind == IDENTITY_USER) {
    put_wish(list, l->into, to, buf_bytes(&body));
  } else {
    message_put(list, to, MESSAGE_MERGE_ASK, buf_bytes(&body));
    asks->all++;
    asks->known += kind == IDENTITY_USER;
  }
  explicit_bzero(plain.p, plain.cap);
  buf_deinit(&plain);
  buf_deinit(&sealed);
  buf_deinit(&body);
}

// What was answered may be answered otherwise when somebody was forgotten since.
static void keep_asked(struct intake *in) {
  size_t at = forget_known(in->store->forget);
  if (at == in->asked_at && table_count(&in->asked) < ASKED_MAX) return;
  table_deinit(&in->asked);
  table_init(&in->asked, sizeof(struct table_entry));
  in->asked_at = at;
}

struct merge_asks merge_put_asks(struct intake *in, const struct lead *lead, const struct event *event,
                                 struct buf *list) {
  struct merge_asks asks = {0};
  bool is_alias = event->type == EVENT_ALIAS;
  if (!event->user_id.n || (!is_alias && event->type != EVENT_IDENTIFY)) return asks;
  keep_asked(in);
  if (is_alias && event->previous_id.n) {
    if (bytes_eq(event->previous_id, event->user_id)) return asks;
    add_ask(in, lead, IDENTITY_USER, event->previous_id, list, &asks);
    add_ask(in, lead, IDENTITY_ANONYMOUS, event->previous_id, list, &asks);
  } else if (event->anonymous_id.n) {
    add_ask(in, lead, IDENTITY_ANONYMOUS, event->anonymous_id, list, &asks);
  }
  return asks;
}

struct merge_asks merge_asks_of(struct bytes list) {
  struct merge_asks asks = {0};
  struct message m;
  struct ask ask;
  while (list.n && message_next(&list, &m, NULL) > 0) {
    if (m.kind != MESSAGE_MERGE_ASK || !read_ask(m.body, &ask)) continue;
    asks.all++;
    asks.known += ask.kind == IDENTITY_USER;
  }
  return asks;
}

// ---- a frame's answer ----
struct outcome {
  const char *what; // "sealed", "waits", "kept", "answered", "again", "passed", "asked"
  struct lead_id into;
  uint32_t asks, asks_known; // after it
};

static void put_outcome(struct buf *out, const struct outcome *o) {
  char into[LEAD_ID_TEXT];
  static const struct lead_id none;
  mp_put_map(out, 4);
  mp_put_cstr(out, "merge");
  mp_put_cstr(out, o->what);
  mp_put_cstr(out, "into");
  if (lead_id_eq(o->into, none)) {
    mp_put_nil(out);
  } else {
    lead_id_format(o->into, into);
    mp_put_cstr(out, into);
  }
  mp_put_cstr(out, "asks");
  mp_put_uint(out, o->asks);
  mp_put_cstr(out, "asks_known");
  mp_put_uint(out, o->asks_known);
}

static bool read_outcome(struct bytes map, struct outcome *out) {
  static const char *const all[] = {"sealed", "waits", "kept", "answered", "again", "passed", "asked"};
  struct bytes what, into, asks, known;
  *out = (struct outcome){0};
  if (!mp_find(map, BYTES_LIT("merge"), &what) || !mp_as_str(what, &what) || !mp_find(map, BYTES_LIT("into"), &into) ||
      !mp_find(map, BYTES_LIT("asks"), &asks) || !mp_find(map, BYTES_LIT("asks_known"), &known))
    return false;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (bytes_is(what, all[i])) out->what = all[i];
  struct mp_value a = mp_value_of(asks), k = mp_value_of(known);
  out->asks = (uint32_t)a.i;
  out->asks_known = (uint32_t)k.i;
  bool has_into = mp_value_of(into).type != MP_NIL;
  return out->what && a.type == MP_INT && k.type == MP_INT &&
         (!has_into || (mp_as_str(into, &into) && lead_id_parse(into, &out->into) == 0));
}

static int corrupt(struct error *err, const char *what) { return error_set(err, ITD_ECORRUPT, "%s", what); }

static int message_of(const struct frame *f, unsigned *kind, struct bytes *body, struct error *err) {
  struct bytes value;
  if (!mp_find(f->event, BYTES_LIT("kind"), &value) || !mp_find(f->event, BYTES_LIT("body"), body))
    return corrupt(err, "the frame of a message to a lead does not hold it");
  struct mp_value n = mp_value_of(value);
  *kind = n.type == MP_INT && n.i > 0 && n.i <= UINT16_MAX ? (unsigned)n.i : 0;
  return 0;
}

// One ask less is under way.
static int count_down_asks(struct lead *lead, int64_t kind, struct error *err) {
  bool is_known = kind == IDENTITY_USER;
  if (!lead->asks || (is_known && !lead->asks_known)) return corrupt(err, "an answer came to a lead that did not ask");
  lead->asks--;
  lead->asks_known -= is_known;
  return 0;
}

bool merge_sealed(const struct frame *frame, struct lead_id *into) {
  struct outcome o;
  if (frame->kind != FRAME_MESSAGE || !read_outcome(frame->decision, &o) || strcmp(o.what, "sealed") != 0) return false;
  *into = o.into;
  return true;
}

int merge_fold(struct lead **lead, const struct frame *f, const struct policy *policy, bool counts_asks, uint64_t *hash,
               struct error *err) {
  unsigned kind;
  struct bytes body;
  struct outcome o;
  int rc = message_of(f, &kind, &body, err);
  if (rc) return rc;
  if (!read_outcome(f->decision, &o))
    return corrupt(err, "the frame of a message to a lead does not say what came of it");
  if (!*lead) *lead = lead_new(f->entity, f->workspace, policy, f->policy, f->now_ms);
  uint64_t before = lead_digest(*lead);
  struct none none;
  struct wish wish;
  if (counts_asks && kind == MESSAGE_MERGE_NONE && strcmp(o.what, "again") != 0) {
    rc = read_none(body, &none) ? count_down_asks(*lead, none.kind, err) : corrupt(err, "a merge.none is no answer");
    if (rc) return rc;
  } else if (counts_asks && kind == MESSAGE_MERGE_WISH && strcmp(o.what, "asked") == 0) {
    if (!read_wish(body, &wish)) return corrupt(err, "a merge.wish asks for nothing");
    (*lead)->asks++;
    (*lead)->asks_known += wish.ask.kind == IDENTITY_USER;
  }
  if (strcmp(o.what, "sealed") == 0) {
    *lead = lead_seal(*lead, o.into);
  } else if (strcmp(o.what, "waits") == 0) {
    (*lead)->flags |= LEAD_WAITS;
    (*lead)->into = o.into;
  }
  (*lead)->number = f->number;
  if (!counts_asks)
    (*lead)->asks = (*lead)->asks_known = 0;
  else if ((*lead)->asks != o.asks || (*lead)->asks_known != o.asks_known)
    return corrupt(err, "a lead has asked another number of times than the frame recorded");
  uint64_t parts[] = {before, kind, hash64(bytes_str(o.what)), lead_id_hash(o.into), lead_digest(*lead)};
  *hash = hash64(bytes_of(parts, sizeof parts));
  return 0;
}

int merge_answered(struct lead *lead, const struct frame *f, struct error *err) {
  unsigned kind;
  struct bytes body;
  struct hand hand;
  int rc = message_of(f, &kind, &body, err);
  if (rc) return rc;
  if (!read_hand(body, false, &hand)) return corrupt(err, "the frame of a merge does not say whose");
  return count_down_asks(lead, hand.kind, err);
}

int merge_lead_of(struct bytes block, struct lead **out, struct error *err) {
  int rc = lead_check(block, err);
  if (rc) return rc;
  *out = memcpy(xmalloc(block.n), block.p, block.n);
  if (!((*out)->flags & LEAD_SEALED)) return 0;
  lead_free(*out);
  return corrupt(err, "a lead that was handed over has no state");
}

int merge_other(struct store_shard *s, const struct frame *f, struct lead **other, struct error *err) {
  struct buf block = {0};
  int rc = store_unseal(s, f->entity, f->secret, &block, err);
  if (rc == 0) rc = merge_lead_of(buf_bytes(&block), other, err);
  if (block.p) explicit_bzero(block.p, block.cap);
  buf_deinit(&block);
  return rc;
}

// ---- staging ----
void put_message(struct buf *out, unsigned kind, struct bytes body) {
  buf_clear(out);
  mp_put_map(out, 2);
  mp_put_cstr(out, "kind");
  mp_put_uint(out, kind);
  mp_put_cstr(out, "body");
  mp_put_raw(out, body);
}

void append_decided(struct intake *in, struct lead *lead, const struct decision *d, const struct error *why,
                    struct frame *frame) {
  buf_clear(&in->error);
  if (d)
    buf_append_bytes(&in->list, d->messages);
  else
    error_put(&in->error, why), engine_put_undecided(in->engine, lead, &in->list);
  if (!d && in->list.n) lead->number++; // what is sent names its frame by it
  frame->event = buf_bytes(&in->clear);
  frame->messages = buf_bytes(&in->list);
  frame->now_ms = lead->now_ms;
  frame->number = lead->number;
  frame->digest = lead_digest(lead);
  frame->hash = d ? d->hash : 0;
  if (d) frame->shared = d->shared;
  if (d) intake_keep_inputs(in, lead->id, d, frame);
  frame->effects = lead_effects(lead);
  frame->decision = d ? d->answer : buf_bytes(&in->error);
  frame->previous = lead->place;
  lead->place = store_append(in->shard, frame);
  lead->seq = frame->seq;
}

struct frame message_frame(struct intake *in, enum frame_kind kind, struct lead_id entity, const struct arrival *a) {
  struct frame frame = {.kind = (uint8_t)kind,
                        .entity = entity,
                        .partition = (uint16_t)store_partition_of_lead(in->store, entity),
                        .received_ms = a->received_ms,
                        .from = a->from,
                        .from_n = a->from_n,
                        .message = a->message,
                        .cause = a->cause};
  intake_stamp(in, &frame);
  return frame;
}

// A message came to an address behind which there is nobody; `list`: what is sent all the same.
void append_nobody(struct intake *in, const struct message *m, const struct arrival *a, struct bytes list) {
  struct frame frame = message_frame(in, FRAME_MESSAGE, m->to, a);
  put_message(&in->clear, m->kind, m->body);
  frame.entity_kind = ENTITY_NOBODY;
  frame.now_ms = m->at_ms;
  frame.number = 0x80000000u | ((uint32_t)a->from << 23 & 0x7f800000u) | ((uint32_t)a->from_n & 0x7fffffu); // its own
  frame.event = buf_bytes(&in->clear);
  frame.messages = list;
  store_append(in->shard, &frame);
}

// The frame of what a message made of a lead, in in->list what it sends; the lead may be moved, and is given to the store.
static void append_step(struct intake *in, struct lead *lead, bool is_new, unsigned kind, struct bytes body,
                        const struct outcome *o, const struct arrival *a) {
  struct error err = {0};
  struct frame frame = message_frame(in, FRAME_MESSAGE, lead->id, a);
  put_message(&in->clear, kind, body);
  buf_clear(&in->error);
  put_outcome(&in->error, o);
  frame.now_ms = lead->now_ms;
  frame.number = lead->number + (in->list.n > 0); // what is sent names its frame by it
  frame.event = buf_bytes(&in->clear);
  frame.messages = buf_bytes(&in->list);
  frame.decision = buf_bytes(&in->error);
  if (!is_new) frame.previous = lead->place;
  if (merge_fold(&lead, &frame, engine_release(in->engine)->policy, true, &frame.hash, &err)) shard_die_of(&err);
  frame.digest = lead_digest(lead);
  lead->place = store_append(in->shard, &frame);
  lead->seq = frame.seq;
  store_put(in->shard, lead);
}

static struct outcome outcome_of(const struct lead *lead, const char *what) {
  return (struct outcome){.what = what, .asks = lead->asks, .asks_known = lead->asks_known};
}

// ---- the asked one ----
// Hands a lead over, and seals it.
static void seal_lead(struct intake *in, struct lead *lead, bool is_new, struct lead_id into, int64_t ask_kind,
                      unsigned kind, struct bytes body, const struct arrival *a) {
  struct hand hand = {.kind = ask_kind, .lead = lead->id};
  struct buf sealed = {0}, out = {0};
  CHECK(!lead->asks && store_who(in->shard, lead->id, &hand.who));
  lead->flags &= ~LEAD_WAITS;
  lead->into = (struct lead_id){{0}};
  store_seal(in->shard, lead->id, bytes_of(lead, lead_size(lead)), &sealed);
  hand.sealed = buf_bytes(&sealed);
  hand.seat = pools_seat_of(lead);
  put_hand(&out, &hand);
  buf_clear(&in->list);
  message_put(&in->list, into, MESSAGE_MERGE_HAND, buf_bytes(&out));
  accounts_put_leave(in, lead, &in->list);
  struct outcome o = outcome_of(lead, "sealed");
  o.into = into;
  append_step(in, lead, is_new, kind, body, &o, a);
  buf_deinit(&sealed);
  buf_deinit(&out);
}

static void answer_none(struct intake *in, struct lead *lead, const struct message *m, const struct ask *ask,
                        enum merge_none why, const struct arrival *a) {
  struct buf out = {0};
  put_none(&out, ask->kind, why, why == MERGE_BUSY ? m->body : (struct bytes){0});
  buf_clear(&in->list);
  message_put(&in->list, m->from, MESSAGE_MERGE_NONE, buf_bytes(&out));
  struct outcome o = outcome_of(lead, "kept");
  append_step(in, lead, false, m->kind, m->body, &o, a);
  buf_deinit(&out);
}

static void wait_to_seal(struct intake *in, struct lead *lead, const struct message *m, const struct arrival *a) {
  buf_clear(&in->list);
  struct outcome o = outcome_of(lead, "waits");
  o.into = m->from;
  append_step(in, lead, false, m->kind, m->body, &o, a);
}

// The identity that is asked for; false: whoever asks was forgotten.
static bool open_ask(struct intake *in, const struct message *m, const struct ask *ask, struct buf *plain,
                     struct bytes *text) {
  if (store_is_forgotten(in->shard, m->from) ||
      store_unseal_at(in->shard, ask->key, ask->lead, ask->sealed, plain, NULL) < 0)
    return false;
  struct mp inside = mp_of(buf_bytes(plain));
  int64_t kind;
  return take_array(&inside, 2) && take_int(&inside, ask->kind, ask->kind, &kind) && mp_take_str(&inside, text);
}

// Whom the identity names, founded where it names nobody.
static struct lead *asked_lead(struct intake *in, const struct message *m, const struct ask *ask, struct bytes text,
                               bool *is_new) {
  enum identity_kind kind = (enum identity_kind)ask->kind;
  struct hash128 identity = store_identity(in->store, m->workspace, kind, text);
  struct lead_id id;
  struct lead *lead = NULL;
  bool is_known = store_find(in->shard, identity, &id);
  if (is_known) lead = store_lead(in->shard, id);
  *is_new = !lead;
  if (lead) return lead;
  if (!is_known) id = store_found_asked(in->shard, kind, identity, text, m->from);
  const struct release *release = engine_release(in->engine);
  return lead_new(id, m->workspace, release->policy, release->number, m->at_ms);
}

static void apply_ask(struct intake *in, const struct message *m, const struct arrival *a) {
  struct ask ask;
  struct buf plain = {0};
  struct bytes text;
  if (!read_ask(m->body, &ask) || !open_ask(in, m, &ask, &plain, &text)) {
    append_nobody(in, m, a, (struct bytes){0});
    buf_deinit(&plain);
    return;
  }
  bool is_new;
  struct lead *lead = asked_lead(in, m, &ask, text, &is_new);
  explicit_bzero(plain.p, plain.cap);
  buf_deinit(&plain);
  if (lead_id_eq(lead->id, m->from))
    answer_none(in, lead, m, &ask, MERGE_SAME, a);
  else if (lead->flags & (LEAD_SEALED | LEAD_WAITS))
    answer_none(in, lead, m, &ask, lead_id_eq(lead->into, m->from) ? MERGE_SAME : MERGE_TAKEN, a);
  else if (lead->asks_known && memcmp(m->from.b, lead->id.b, sizeof lead->id.b) < 0)
    answer_none(in, lead, m, &ask, MERGE_BUSY, a); // the two might wait for each other
  else if (lead->asks)
    wait_to_seal(in, lead, m, a);
  else
    seal_lead(in, lead, is_new, m->from, ask.kind, m->kind, m->body, a);
}

// A lead that waits to be sealed, and has all answers with the frame at hand, tells itself so: a message outlives a crash.
static void put_seal(const struct lead *lead, uint32_t asks, struct buf *list) {
  static const uint8_t nil = 0xc0;
  if (lead->flags & LEAD_WAITS && !asks) message_put(list, lead->id, MESSAGE_MERGE_SEAL, bytes_of(&nil, 1));
}

static void apply_seal(struct intake *in, const struct message *m, const struct arrival *a) {
  struct lead *lead = store_lead(in->shard, m->to);
  if (!lead) {
    append_nobody(in, m, a, (struct bytes){0});
    return;
  }
  if (lead->flags & LEAD_WAITS && !lead->asks) {
    seal_lead(in, lead, false, lead->into, IDENTITY_USER, m->kind, m->body, a);
    return;
  }
  buf_clear(&in->list); // it asked again meanwhile: another such message follows the last answer
  struct outcome o = outcome_of(lead, "kept");
  append_step(in, lead, false, m->kind, m->body, &o, a);
}

// ---- the asking one ----
static void apply_wish(struct intake *in, const struct message *m, const struct arrival *a) {
  struct lead *lead = store_lead(in->shard, m->to);
  struct wish wish;
  if (!lead || !read_wish(m->body, &wish)) {
    append_nobody(in, m, a, (struct bytes){0});
    return;
  }
  CHECK(!(lead->flags & LEAD_SEALED)); // it waits for the one that wishes
  bool is_passed = lead->flags & LEAD_WAITS;
  struct outcome o = outcome_of(lead, is_passed ? "passed" : "asked");
  buf_clear(&in->list);
  if (is_passed) {
    put_wish(&in->list, lead->into, wish.to, wish.body);
  } else {
    o.asks += 1;
    o.asks_known += wish.ask.kind == IDENTITY_USER;
    message_put(&in->list, wish.to, MESSAGE_MERGE_ASK, wish.body);
  }
  append_step(in, lead, false, m->kind, m->body, &o, a);
}

static void apply_none(struct intake *in, const struct message *m, const struct arrival *a) {
  struct lead *lead = store_lead(in->shard, m->to);
  struct none none;
  if (!lead || !read_none(m->body, &none)) {
    append_nobody(in, m, a, (struct bytes){0});
    return;
  }
  // Who was busy has answers of its own soon. But who is waited for itself must not go on asking, or a circle never ends:
  // whoever waits for it, and takes it in, asks then.
  bool is_busy = none.why == MERGE_BUSY, is_again = is_busy && !(lead->flags & LEAD_WAITS);
  struct outcome o = outcome_of(lead, is_again ? "again" : is_busy ? "passed" : "answered");
  buf_clear(&in->list);
  struct lead_id to = m->from; // any address in the identity's slot
  if (is_again) {
    message_put(&in->list, to, MESSAGE_MERGE_ASK, none.ask);
  } else {
    if (is_busy) put_wish(&in->list, lead->into, to, none.ask);
    o.asks -= 1;
    o.asks_known -= none.kind == IDENTITY_USER;
  }
  put_seal(lead, o.asks, &in->list);
  append_step(in, lead, false, m->kind, m->body, &o, a);
}

static bool open_hand(struct intake *in, const struct hand *hand, struct lead **other) {
  struct error err = {0};
  buf_clear(&in->block);
  if (store_unseal_at(in->shard, hand->who.key, hand->lead, hand->sealed, &in->block, &err) < 0) return false;
  return merge_lead_of(buf_bytes(&in->block), other, &err) == 0;
}

// Its decision, or that the policy's call was stopped.
static void append_merge(struct intake *in, struct lead *lead, const struct message *m, const struct hand *hand,
                         const struct decision *d, const struct error *why, const struct arrival *a) {
  struct buf body = {0};
  struct frame frame = message_frame(in, FRAME_MERGE, lead->id, a);
  struct hand shown = {.kind = hand->kind, .lead = hand->lead, .who = hand->who};
  put_hand(&body, &shown);
  put_message(&in->clear, m->kind, buf_bytes(&body));
  buf_deinit(&body);
  buf_clear(&in->sealed);
  store_seal(in->shard, lead->id, buf_bytes(&in->block), &in->sealed);
  explicit_bzero(in->block.p, in->block.cap);
  buf_clear(&in->list);
  put_seal(lead, lead->asks - 1, &in->list);
  frame.secret = buf_bytes(&in->sealed);
  append_decided(in, lead, d, why, &frame);
  lead->asks--;
  lead->asks_known -= hand->kind == IDENTITY_USER;
  store_put(in->shard, lead);
  count_up(&in->counters.merges);
  if (d) intake_tell_of(in, d);
}

static void take_in(struct intake *in, struct lead *lead, const struct lead *other, const struct message *m,
                    const struct hand *hand, const struct arrival *a) {
  struct engine_result result;
  struct error err = {0};
  int status;
  for (;;) {
    status = engine_merge(in->engine, &lead, other, &result, &err);
    if (status < 0 && status != ITD_ESTOPPED) shard_die_of(&err); // a version that does not load
    append_timers(in, lead, &result, a->received_ms);
    if (!result.timer_stopped) break;
    append_stopped_timer(in, lead, a->received_ms, &err);
    err = (struct error){0};
  }
  if (status < 0) log_line(LOG_WARN, "merge_stopped", "why=%s", log_quote(err.text));
  store_link(in->shard, lead->id, hand->lead, hand->who);
  append_merge(in, lead, m, hand, status < 0 ? NULL : &result.decision[result.count - 1], &err, a);
}

static void apply_hand(struct intake *in, const struct message *m, const struct arrival *a) {
  static const uint8_t nil = 0xc0;
  struct hand hand;
  struct lead *lead = store_lead(in->shard, m->to), *other;
  if (!read_hand(m->body, true, &hand)) {
    append_nobody(in, m, a, (struct bytes){0});
    return;
  }
  if (!lead) { // forgotten meanwhile, and what is part of it with it
    buf_clear(&in->list);
    message_put(&in->list, hand.lead, MESSAGE_MERGE_FORGET, bytes_of(&nil, 1));
    pools_put_back(in->store, in->options.workspace, &hand.seat, &in->list);
    append_nobody(in, m, a, buf_bytes(&in->list));
    return;
  }
  CHECK(!(lead->flags & LEAD_SEALED) && lead->asks);
  if (open_hand(in, &hand, &other)) {
    take_in(in, lead, other, m, &hand, a);
    explicit_bzero(other, lead_size(other));
    lead_free(other);
  } else { // who handed it over was forgotten meanwhile
    struct buf body = {0};
    put_none(&body, hand.kind, MERGE_GONE, (struct bytes){0});
    struct outcome o = outcome_of(lead, "answered");
    o.asks -= 1;
    o.asks_known -= hand.kind == IDENTITY_USER;
    buf_clear(&in->list);
    put_seal(lead, o.asks, &in->list);
    pools_put_back(in->store, lead->workspace, &hand.seat, &in->list);
    append_step(in, lead, false, MESSAGE_MERGE_NONE, buf_bytes(&body), &o, a);
    buf_deinit(&body);
  }
}

// ---- forgetting ----
static void add_forget(void *context, struct lead_id merged) {
  static const uint8_t nil = 0xc0;
  message_put(context, merged, MESSAGE_MERGE_FORGET, bytes_of(&nil, 1));
}

void merge_put_forgets(struct store_shard *s, const struct lead *lead, struct buf *list, struct frame *frame) {
  buf_clear(list);
  pools_put_forget(s->store, lead, list);
  store_links(s, lead->id, add_forget, list);
  if (lead->flags & LEAD_WAITS) { // whoever asked for it gets its answer
    struct buf body = {0};
    put_none(&body, IDENTITY_USER, MERGE_GONE, (struct bytes){0});
    message_put(list, lead->into, MESSAGE_MERGE_NONE, buf_bytes(&body));
    buf_deinit(&body);
  }
  frame->messages = buf_bytes(list);
  frame->number += list->n > 0; // what is sent names its frame by it
}

static void apply_forget(struct intake *in, const struct message *m, const struct arrival *a) {
  const struct lead *lead = store_lead(in->shard, m->to);
  if (!lead) {
    append_nobody(in, m, a, (struct bytes){0});
    return;
  }
  struct frame frame = message_frame(in, FRAME_FORGET, m->to, a);
  buf_clear(&in->raw);
  mp_put_map(&in->raw, 1);
  mp_put_cstr(&in->raw, "by");
  mp_put_cstr(&in->raw, "merge");
  frame.policy = lead->release;
  frame.workspace = lead->workspace;
  frame.now_ms = lead->now_ms;
  frame.number = lead->number;
  frame.event = buf_bytes(&in->raw);
  merge_put_forgets(in->shard, lead, &in->list, &frame);
  store_forget(in->shard, &frame, NULL, NULL);
}

void merge_apply(struct intake *in, const struct message *m, const struct arrival *a) {
  switch (m->kind) {
  case MESSAGE_MERGE_ASK: apply_ask(in, m, a); break;
  case MESSAGE_MERGE_HAND: apply_hand(in, m, a); break;
  case MESSAGE_MERGE_NONE: apply_none(in, m, a); break;
  case MESSAGE_MERGE_FORGET: apply_forget(in, m, a); break;
  case MESSAGE_MERGE_WISH: apply_wish(in, m, a); break;
  case MESSAGE_MERGE_SEAL: apply_seal(in, m, a); break;
  default: append_nobody(in, m, a, (struct bytes){0});
  }
}
