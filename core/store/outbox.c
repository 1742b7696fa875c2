// The channels of a shard. A channel's messages are a list in the order of their numbers: acknowledged ones leave at its
// head; those that are under way come next, then those that may go, then those whose frames are not on disk yet.
#include "store/outbox.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/le.h"
#include "store/ids.h"

#define SAVE_FORMAT 1
#define RETRIES_MAX 5 // doublings

struct letter {
  struct letter *next;
  uint64_t n, place;
  int64_t since_ms;
  bool was_given;
  uint32_t size;
  uint8_t bytes[];
};

struct channel { // from one of this shard's partitions
  unsigned from, to;
  uint64_t sent, given, acked; // numbers: the last staged, under way, acknowledged
  struct letter *first, *last, *next;
  size_t given_bytes;
  int64_t resend_ms; // when what is under way is given up; while given > acked
  unsigned retries;
  bool is_listed;
};

struct inlet { // to one of this shard's partitions
  unsigned from, to;
  uint64_t received, synced; // numbers: the last applied, and the last whose frame is on disk
  bool is_listed;            // to be told
};

struct unsynced {
  struct inlet *inlet;
  uint64_t n, place;
};

struct list { // of channels or inlets
  void **at;
  size_t count, cap;
};

struct outbox {
  struct outbox_options options;
  unsigned owned;          // partitions
  struct channel *channel; // [owned][partitions]
  struct inlet *inlet;     // the same
  bool *is_changed;        // [owned], since it was saved
  struct list busy, tell;  // channels with messages; inlets with something to acknowledge
  struct unsynced *unsynced;
  size_t unsynced_at, unsynced_count, unsynced_cap;
  uint64_t synced, last_place;
  int64_t now_ms;
  unsigned turn; // which busy channel is the first to give
  bool is_full;
  struct buf *batch; // a shard each
  enum { UNASKED, ROOM, NONE } * room;
  struct buf encoded;
  _Atomic uint64_t pending, bytes, oldest_ms, given, resent, applied, duplicates, early, full;
};

static void add(_Atomic uint64_t *n, uint64_t more) {
  atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + more, memory_order_relaxed);
}
static uint64_t value(const _Atomic uint64_t *n) { return atomic_load_explicit(n, memory_order_relaxed); }

static void list_add(struct list *l, void *item) {
  if (l->count == l->cap) l->at = xrealloc(l->at, (l->cap = l->cap ? l->cap * 2 : 16) * sizeof *l->at);
  l->at[l->count++] = item;
}

struct outbox *outbox_new(const struct outbox_options *options) {
  struct outbox *o = xcalloc(1, sizeof *o);
  unsigned partitions = options->partitions;
  o->options = *options;
  o->now_ms = options->now_ms;
  o->owned = (partitions - options->index + options->shards - 1) / options->shards;
  o->channel = xcalloc((size_t)o->owned * partitions, sizeof *o->channel);
  o->inlet = xcalloc((size_t)o->owned * partitions, sizeof *o->inlet);
  o->is_changed = xcalloc(o->owned, sizeof *o->is_changed);
  o->batch = xcalloc(options->shards, sizeof *o->batch);
  o->room = xcalloc(options->shards, sizeof *o->room);
  o->synced = 1; // what recovery found (place 0) is on disk
  for (unsigned i = 0; i < o->owned; i++)
    for (unsigned p = 0; p < partitions; p++) {
      unsigned own = options->index + i * options->shards;
      o->channel[i * partitions + p] = (struct channel){.from = own, .to = p};
      o->inlet[i * partitions + p] = (struct inlet){.from = p, .to = own};
    }
  return o;
}

void outbox_free(struct outbox *o) {
  if (!o) return;
  for (size_t i = 0; i < o->busy.count; i++) {
    struct channel *c = o->busy.at[i];
    while (c->first) {
      struct letter *next = c->first->next;
      free(c->first);
      c->first = next;
    }
  }
  for (unsigned s = 0; s < o->options.shards; s++) buf_deinit(&o->batch[s]);
  buf_deinit(&o->encoded);
  free(o->busy.at);
  free(o->tell.at);
  free(o->channel);
  free(o->inlet);
  free(o->is_changed);
  free(o->batch);
  free(o->room);
  free(o->unsynced);
  free(o);
}

static bool owns(const struct outbox *o, unsigned partition) {
  return partition < o->options.partitions && partition % o->options.shards == o->options.index;
}
static size_t row(const struct outbox *o, unsigned own, unsigned other) {
  CHECK(owns(o, own) && other < o->options.partitions);
  return (size_t)(own / o->options.shards) * o->options.partitions + other;
}
static struct channel *channel_of(const struct outbox *o, unsigned from, unsigned to) {
  return &o->channel[row(o, from, to)];
}
static struct inlet *inlet_of(const struct outbox *o, unsigned to, unsigned from) {
  return &o->inlet[row(o, to, from)];
}
static void changed(struct outbox *o, unsigned own) { o->is_changed[own / o->options.shards] = true; }

// ---- a message as bytes: to, from, number, kind, workspace, at, length, body ----
#define HEAD 52u

static void encode(struct buf *out, const struct message *m) {
  uint8_t *p = buf_reserve(out, HEAD + m->body.n);
  memcpy(p, m->to.b, 16);
  memcpy(p + 16, m->from.b, 16);
  put32(p + 32, m->number);
  put16(p + 36, m->kind);
  put16(p + 38, m->workspace);
  put64(p + 40, (uint64_t)m->at_ms);
  put32(p + 48, (uint32_t)m->body.n);
  if (m->body.n) memcpy(p + HEAD, m->body.p, m->body.n);
  out->n += HEAD + m->body.n;
}

static bool decode(struct bytes in, struct message *m) {
  if (in.n < HEAD || in.n - HEAD != get32(in.p + 48)) return false;
  *m = (struct message){.number = get32(in.p + 32),
                        .kind = get16(in.p + 36),
                        .workspace = get16(in.p + 38),
                        .at_ms = (int64_t)get64(in.p + 40),
                        .body = bytes_of(in.p + HEAD, in.n - HEAD)};
  memcpy(m->to.b, in.p, 16);
  memcpy(m->from.b, in.p + 16, 16);
  return true;
}

// ---- what is kept ----
static size_t weight(const struct letter *l) { return sizeof *l + l->size; }

static void keep(struct outbox *o, struct channel *c, struct bytes encoded, uint64_t place) {
  struct letter *l = xmalloc(sizeof *l + encoded.n);
  *l = (struct letter){.n = ++c->sent, .place = place, .since_ms = o->now_ms, .size = (uint32_t)encoded.n};
  memcpy(l->bytes, encoded.p, encoded.n);
  if (c->last)
    c->last->next = l;
  else
    c->first = l;
  c->last = l;
  if (!c->next) c->next = l;
  if (!c->is_listed) list_add(&o->busy, c);
  c->is_listed = true;
  if (place > o->last_place) o->last_place = place;
  add(&o->pending, 1);
  add(&o->bytes, weight(l));
}

static void drop_first(struct outbox *o, struct channel *c) {
  struct letter *l = c->first;
  c->first = l->next;
  if (!c->first) c->last = NULL;
  if (c->next == l) c->next = l->next;
  if (l->n <= c->given) c->given_bytes -= weight(l);
  atomic_store_explicit(&o->pending, value(&o->pending) - 1, memory_order_relaxed);
  atomic_store_explicit(&o->bytes, value(&o->bytes) - weight(l), memory_order_relaxed);
  free(l);
}

static void acknowledged(struct outbox *o, struct channel *c, uint64_t upto) {
  CHECK(upto <= c->sent);
  if (upto <= c->acked) return;
  while (c->first && c->first->n <= upto) drop_first(o, c);
  c->acked = upto;
  if (c->given < upto) c->given = upto;
  c->retries = 0;
  c->resend_ms = o->now_ms + o->options.resend_ms;
  changed(o, c->from);
}

int outbox_sent(struct outbox *o, const struct message *sender, unsigned partition, struct bytes list, uint64_t place,
                struct error *err) {
  struct message m = *sender;
  int more;
  while ((more = message_next(&list, &m, err)) > 0) {
    if (!message_kind_of(m.kind))
      return error_set(err, ITD_EVERSION, "a message of kind %u, which this intentd lacks", m.kind);
    buf_clear(&o->encoded);
    encode(&o->encoded, &m);
    keep(o, channel_of(o, partition, slot_partition(lead_id_slot(m.to), o->options.partitions)), buf_bytes(&o->encoded),
         place);
    changed(o, partition);
  }
  return more;
}

// ---- what came ----
static void tell(struct outbox *o, struct inlet *in) {
  if (!in->is_listed) list_add(&o->tell, in);
  in->is_listed = true;
}

int outbox_received(struct outbox *o, unsigned to, unsigned from, uint64_t n, uint64_t place, struct error *err) {
  if (from >= o->options.partitions)
    return error_set(err, ITD_ECORRUPT, "a message from partition %u, which there is not", from);
  struct inlet *in = inlet_of(o, to, from);
  if (n != in->received + 1)
    return error_set(err, ITD_ECORRUPT, "message %llu from partition %u after message %llu", (unsigned long long)n,
                     from, (unsigned long long)in->received);
  in->received = n;
  changed(o, to);
  add(&o->applied, place != 0);
  if (place < o->synced) {
    in->synced = n;
    return 0;
  }
  if (o->unsynced_count == o->unsynced_cap) {
    o->unsynced_cap = o->unsynced_cap ? o->unsynced_cap * 2 : 64;
    o->unsynced = xrealloc(o->unsynced, o->unsynced_cap * sizeof *o->unsynced);
  }
  o->unsynced[o->unsynced_count++] = (struct unsynced){.inlet = in, .n = n, .place = place};
  return 0;
}

void outbox_synced(struct outbox *o, uint64_t place) {
  if (place <= o->synced) return;
  o->synced = place;
  for (; o->unsynced_at < o->unsynced_count && o->unsynced[o->unsynced_at].place < place; o->unsynced_at++) {
    struct unsynced *u = &o->unsynced[o->unsynced_at];
    u->inlet->synced = u->n;
    tell(o, u->inlet);
  }
  if (o->unsynced_at * 2 < o->unsynced_count) return;
  o->unsynced_count -= o->unsynced_at;
  if (o->unsynced_count) memmove(o->unsynced, o->unsynced + o->unsynced_at, o->unsynced_count * sizeof *o->unsynced);
  o->unsynced_at = 0;
}

bool outbox_waits(const struct outbox *o) { return o->last_place >= o->synced || o->unsynced_at < o->unsynced_count; }

// ---- the checkpoint ----
// u32 format, u16 partition, u16 channels, u64 seq; a channel: u16 partner, u16 zero, u32 messages, u64 sent, u64
// acknowledged, u64 received; its messages: u32 length, bytes. Behind all: u64 hash of what is before.
#define SAVE_HEAD    16u
#define SAVE_CHANNEL 32u

static void save_channel(const struct channel *c, const struct inlet *in, struct buf *out) {
  uint8_t *p = buf_reserve(out, SAVE_CHANNEL);
  put16(p, (uint16_t)c->to);
  put16(p + 2, 0);
  put32(p + 4, (uint32_t)(c->sent - c->acked));
  put64(p + 8, c->sent);
  put64(p + 16, c->acked);
  put64(p + 24, in->received);
  out->n += SAVE_CHANNEL;
  for (const struct letter *l = c->first; l; l = l->next) {
    put32(buf_reserve(out, 4), l->size);
    out->n += 4;
    buf_append(out, l->bytes, l->size);
  }
}

bool outbox_save(struct outbox *o, unsigned partition, uint64_t seq, struct buf *out) {
  bool *is_changed = &o->is_changed[partition / o->options.shards];
  if (!*is_changed) return false;
  *is_changed = false;
  size_t start = out->n;
  uint16_t count = 0;
  buf_reserve(out, SAVE_HEAD);
  out->n += SAVE_HEAD;
  for (unsigned p = 0; p < o->options.partitions; p++) {
    const struct channel *c = channel_of(o, partition, p);
    const struct inlet *in = inlet_of(o, partition, p);
    if (!c->sent && !in->received) continue;
    save_channel(c, in, out);
    count++;
  }
  uint8_t *head = out->p + start;
  put32(head, SAVE_FORMAT);
  put16(head + 4, (uint16_t)partition);
  put16(head + 6, count);
  put64(head + 8, seq);
  uint64_t sum = hash64(bytes_of(head, out->n - start));
  put64(buf_reserve(out, 8), sum);
  out->n += 8;
  return true;
}

static int load_channel(struct outbox *o, unsigned partition, struct bytes *in) {
  if (in->n < SAVE_CHANNEL) return ITD_ECORRUPT;
  unsigned partner = get16(in->p);
  uint32_t count = get32(in->p + 4);
  if (partner >= o->options.partitions) return ITD_ECORRUPT;
  struct channel *c = channel_of(o, partition, partner);
  uint64_t sent = get64(in->p + 8);
  c->sent = c->given = c->acked = get64(in->p + 16);
  struct inlet *inlet = inlet_of(o, partition, partner);
  inlet->received = inlet->synced = get64(in->p + 24);
  if (sent - c->acked != count) return ITD_ECORRUPT;
  *in = bytes_of(in->p + SAVE_CHANNEL, in->n - SAVE_CHANNEL);
  while (count--) {
    if (in->n < 4) return ITD_ECORRUPT;
    size_t size = get32(in->p);
    struct message m;
    if (size > in->n - 4 || !decode(bytes_of(in->p + 4, size), &m)) return ITD_ECORRUPT;
    if (!message_kind_of(m.kind)) return ITD_EVERSION;
    keep(o, c, bytes_of(in->p + 4, size), 0);
    *in = bytes_of(in->p + 4 + size, in->n - 4 - size);
  }
  return 0;
}

int outbox_load(struct outbox *o, unsigned partition, struct bytes saved, uint64_t *seq, struct error *err) {
  bool ok = saved.n >= SAVE_HEAD + 8 && get64(saved.p + saved.n - 8) == hash64(bytes_of(saved.p, saved.n - 8));
  if (!ok || get16(saved.p + 4) != partition)
    return error_set(err, ITD_ECORRUPT, "the channels of partition %u are damaged", partition);
  if (get32(saved.p) != SAVE_FORMAT)
    return error_set(err, ITD_EVERSION, "the channels of partition %u have format %u; this intentd reads %u", partition,
                     get32(saved.p), SAVE_FORMAT);
  *seq = get64(saved.p + 8);
  struct bytes in = bytes_of(saved.p + SAVE_HEAD, saved.n - SAVE_HEAD - 8);
  int rc = 0;
  for (unsigned count = get16(saved.p + 6); rc == 0 && count; count--) rc = load_channel(o, partition, &in);
  if (rc == 0 && in.n) rc = ITD_ECORRUPT;
  return rc ? error_set(err, rc, "the channels of partition %u do not read", partition) : 0;
}

struct outbox_numbers outbox_numbers(const struct outbox *o, unsigned partition, unsigned other) {
  return (struct outbox_numbers){.sent = channel_of(o, partition, other)->sent,
                                 .received = inlet_of(o, partition, other)->received};
}

int outbox_settle(struct outbox *sender, const struct outbox *receiver, struct error *err) {
  for (unsigned i = 0; i < sender->owned; i++)
    for (unsigned p = receiver->options.index; p < receiver->options.partitions; p += receiver->options.shards) {
      struct channel *c = &sender->channel[i * sender->options.partitions + p];
      const struct inlet *in = inlet_of(receiver, p, c->from);
      if (in->received > c->sent)
        return error_set(err, ITD_ECORRUPT,
                         "partition %u has message %llu from partition %u, whose journal sent no more than %llu", p,
                         (unsigned long long)in->received, c->from, (unsigned long long)c->sent);
      acknowledged(sender, c, in->received);
    }
  return 0;
}

// ---- batches ----
// Records of u16 what, u16 from, u16 to, u16 zero, u64 n; a message's goes on with u32 length and its bytes.
enum { ACKNOWLEDGED = 1, MESSAGE = 2 };
#define RECORD 16u

static struct buf *batch_for(struct outbox *o, const struct outbox_transport *t, unsigned shard) {
  if (o->room[shard] == UNASKED) o->room[shard] = t->has_room(t->context, shard) ? ROOM : NONE;
  return o->room[shard] == ROOM ? &o->batch[shard] : NULL;
}

static void put_record(struct buf *b, unsigned what, unsigned from, unsigned to, uint64_t n) {
  uint8_t *p = buf_reserve(b, RECORD);
  put16(p, (uint16_t)what);
  put16(p + 2, (uint16_t)from);
  put16(p + 4, (uint16_t)to);
  put16(p + 6, 0);
  put64(p + 8, n);
  b->n += RECORD;
}

static void put_letter(struct outbox *o, struct channel *c, struct buf *b) {
  struct letter *l = c->next;
  put_record(b, MESSAGE, c->from, c->to, l->n);
  put32(buf_reserve(b, 4), l->size);
  b->n += 4;
  buf_append(b, l->bytes, l->size);
  if (c->given == c->acked) c->resend_ms = o->now_ms + (o->options.resend_ms << c->retries);
  c->given = l->n;
  c->given_bytes += weight(l);
  c->next = l->next;
  add(l->was_given ? &o->resent : &o->given, 1);
  l->was_given = true;
}

static void give_up(struct channel *c) {
  c->given = c->acked;
  c->given_bytes = 0;
  c->next = c->first;
  if (c->retries < RETRIES_MAX) c->retries++;
}

static bool may_go(const struct outbox *o, const struct channel *c) {
  return c->next && c->next->place < o->synced && c->given - c->acked < o->options.window &&
         (c->given == c->acked || c->given_bytes + weight(c->next) <= o->options.window_bytes);
}

// True: something could go that does not.
static bool give_channel(struct outbox *o, const struct outbox_transport *t, struct channel *c) {
  if (c->given > c->acked && o->now_ms >= c->resend_ms) give_up(c);
  struct buf *b = may_go(o, c) ? batch_for(o, t, c->to % o->options.shards) : NULL;
  while (b && b->n < OUTBOX_BATCH_BYTES && may_go(o, c)) put_letter(o, c, b);
  return may_go(o, c);
}

static bool give_told(struct outbox *o, const struct outbox_transport *t) {
  size_t left = 0;
  for (size_t i = 0; i < o->tell.count; i++) {
    struct inlet *in = o->tell.at[i];
    struct buf *b = batch_for(o, t, in->from % o->options.shards);
    if (!b) {
      o->tell.at[left++] = in;
      continue;
    }
    put_record(b, ACKNOWLEDGED, in->from, in->to, in->synced);
    in->is_listed = false;
  }
  o->tell.count = left;
  return left != 0;
}

static void drop_idle(struct outbox *o) {
  size_t left = 0;
  for (size_t i = 0; i < o->busy.count; i++) {
    struct channel *c = o->busy.at[i];
    if (c->first)
      o->busy.at[left++] = c;
    else
      c->is_listed = false;
  }
  o->busy.count = left;
}

bool outbox_give(struct outbox *o, int64_t now_ms, const struct outbox_transport *t) {
  o->now_ms = now_ms;
  drop_idle(o);
  for (unsigned s = 0; s < o->options.shards; s++) o->room[s] = UNASKED;
  bool is_left = give_told(o, t);
  int64_t since_ms = now_ms;
  size_t count = o->busy.count, first = count ? o->turn++ % count : 0;
  for (size_t i = 0; i < count; i++) {
    struct channel *c = o->busy.at[(first + i) % count];
    is_left = give_channel(o, t, c) || is_left;
    if (c->first->since_ms < since_ms) since_ms = c->first->since_ms;
  }
  atomic_store_explicit(&o->oldest_ms, (uint64_t)(now_ms - since_ms), memory_order_relaxed);
  for (unsigned s = 0; s < o->options.shards; s++) {
    if (!o->batch[s].n) continue;
    t->give(t->context, s, buf_bytes(&o->batch[s]));
    buf_clear(&o->batch[s]);
  }
  return is_left;
}

void outbox_recall(struct outbox *o) {
  for (size_t i = 0; i < o->busy.count; i++) {
    struct channel *c = o->busy.at[i];
    if (c->given > c->acked) give_up(c);
    c->retries = 0;
  }
}

int64_t outbox_due(const struct outbox *o) {
  int64_t due = INT64_MAX;
  for (size_t i = 0; i < o->busy.count; i++) {
    const struct channel *c = o->busy.at[i];
    if (c->given > c->acked && c->resend_ms < due) due = c->resend_ms;
  }
  return due;
}

static int take_message(struct outbox *o, unsigned to, unsigned from, uint64_t n, struct bytes encoded,
                        outbox_apply apply, void *context, struct error *err) {
  struct inlet *in = inlet_of(o, to, from);
  struct message m;
  if (n <= in->received) {
    add(&o->duplicates, 1);
    if (n <= in->synced) tell(o, in); // its acknowledgement was lost
    return 0;
  }
  if (n > in->received + 1) {
    add(&o->early, 1);
    return 0;
  }
  CHECK(decode(encoded, &m));
  int rc = apply(context, to, from, n, &m, err);
  CHECK(rc || in->received == n);
  return rc;
}

int outbox_take(struct outbox *o, struct bytes batch, outbox_apply apply, void *context, struct error *err) {
  for (const uint8_t *p = batch.p, *end = batch.p + batch.n; p < end;) {
    CHECK((size_t)(end - p) >= RECORD);
    unsigned what = get16(p), from = get16(p + 2), to = get16(p + 4);
    uint64_t n = get64(p + 8);
    p += RECORD;
    if (what == ACKNOWLEDGED) {
      acknowledged(o, channel_of(o, from, to), n);
      continue;
    }
    CHECK(what == MESSAGE && end - p >= 4 && get32(p) <= (size_t)(end - p) - 4);
    struct bytes encoded = bytes_of(p + 4, get32(p));
    p = encoded.p + encoded.n;
    int rc = take_message(o, to, from, n, encoded, apply, context, err);
    if (rc) return rc;
  }
  return 0;
}

// ---- the rest ----
bool outbox_is_full(struct outbox *o) {
  uint64_t bytes = value(&o->bytes);
  bool was = o->is_full;
  o->is_full = bytes >= o->options.bytes_max || (was && bytes > o->options.bytes_max / 2);
  if (o->is_full && !was) add(&o->full, 1);
  return o->is_full;
}

struct outbox_stats outbox_stats(const struct outbox *o) {
  return (struct outbox_stats){.pending = value(&o->pending),
                               .bytes = value(&o->bytes),
                               .oldest_ms = value(&o->oldest_ms),
                               .sent = value(&o->given),
                               .resent = value(&o->resent),
                               .applied = value(&o->applied),
                               .duplicates = value(&o->duplicates),
                               .early = value(&o->early),
                               .full = value(&o->full)};
}
