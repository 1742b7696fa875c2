// For tests of messages: commands from outside that make tallies send each other messages (chains, fans, circles,
// themselves), a way between shards that loses, doubles and reorders, and the model that all of it is held against.
#pragma once
#include "engine/tally.h"
#include "store/shard.h"
#include "world.h"

// ---- a way between shards, on one thread ----
#define POST_MAX 64 // batches under way to one shard
struct post {
  struct world *world;
  struct draw *draw;
  bool is_hostile;
  unsigned room; // batches that may be under way to a shard; 1 to POST_MAX
  struct buf batch[16][POST_MAX];
  unsigned count[16];
  int64_t now_ms, received_ms;
};

static inline bool post_has_room(void *context, unsigned shard) {
  const struct post *p = context;
  return p->count[shard] < p->room;
}

static inline void post_give(void *context, unsigned shard, struct bytes batch) {
  struct post *p = context;
  unsigned copies = 1;
  if (p->is_hostile && draw(p->draw, 4) == 0) copies = (unsigned)draw(p->draw, 3); // lost, or doubled
  for (; copies && p->count[shard] < POST_MAX; copies--) {
    struct buf *b = &p->batch[shard][p->count[shard]++];
    buf_clear(b);
    buf_append_bytes(b, batch);
  }
}

// What shard i may give, it gives. Time goes on meanwhile, so that what was lost is given again.
static inline void post_collect(struct post *p, unsigned i) {
  int64_t due_ms;
  p->now_ms += p->is_hostile ? (int64_t)draw(p->draw, 400) : 1;
  store_give(store_shard(p->world->store, i), p->now_ms,
             &(struct outbox_transport){.has_room = post_has_room, .give = post_give, .context = p}, &due_ms);
}

// Takes one batch to shard i: any of those under way when hostile. False: none is.
static inline bool post_deliver(struct post *p, unsigned i) {
  if (!p->count[i]) return false;
  unsigned which = p->is_hostile ? (unsigned)draw(p->draw, p->count[i]) : 0;
  struct error err = {0};
  struct buf taken = p->batch[i][which];
  memmove(&p->batch[i][which], &p->batch[i][which + 1], (p->count[i] - which - 1) * sizeof taken);
  p->batch[i][--p->count[i]] = taken;
  CHECK(intake_take(p->world->intake[i], buf_bytes(&taken), p->received_ms, &err) == 0);
  return true;
}

static inline uint64_t post_pending(const struct world *w) {
  uint64_t n = 0;
  for (unsigned i = 0; i < w->shards; i++) n += store_stats(store_shard(w->store, i)).outbox.pending;
  return n;
}

// Everything arrives: until no outbox holds anything. What is under way here is lost.
static inline void post_settle(struct post *p) {
  struct error err = {0};
  for (unsigned i = 0; i < 16; i++) p->count[i] = 0;
  CHECK(intake_settle(p->world->store, p->world->intake, p->received_ms, &err) == 0);
  CHECK(post_pending(p->world) == 0);
}

static inline void post_deinit(struct post *p) {
  for (unsigned s = 0; s < 16; s++)
    for (unsigned i = 0; i < POST_MAX; i++) buf_deinit(&p->batch[s][i]);
}

// ---- commands ----
enum { TALLIES = 60, KEYS = 3 };
static const char *const KEY[KEYS] = {"seats", "budget", "calls"};

static inline struct lead_id tally_id(const struct store *store, uint64_t k) {
  char name[16];
  snprintf(name, sizeof name, "tally-%u", (unsigned)k);
  return store_entity_id(store, ENTITY_TALLY, 0, bytes_str(name));
}

struct ids {
  struct lead_id id[TALLIES];
};
static inline struct ids ids_of(const struct store *store) {
  struct ids ids;
  for (unsigned k = 0; k < TALLIES; k++) ids.id[k] = tally_id(store, k);
  return ids;
}

// Sums that commands lead to: [tally][key].
struct sums {
  int64_t n[TALLIES][KEYS];
};

// Legs of a random tree; adds to *sums (when not NULL) what arrives, and returns what they take off altogether.
static inline int64_t put_legs(struct draw *d, const struct ids *ids, unsigned depth, unsigned key, struct buf *out,
                               struct sums *sums) {
  unsigned legs = 1 + (unsigned)draw(d, 3);
  int64_t total = 0;
  mp_put_array(out, legs);
  for (unsigned i = 0; i < legs; i++) {
    unsigned to = (unsigned)draw(d, TALLIES);
    int64_t n = (int64_t)draw(d, 100) - 20;
    total += n;
    mp_put_array(out, 3);
    mp_put_bin(out, bytes_of(ids->id[to].b, 16));
    mp_put_int(out, n);
    int64_t further = 0;
    if (depth && draw(d, 2))
      further = put_legs(d, ids, depth - 1, key, out, sums);
    else
      mp_put_nil(out);
    if (sums) sums->n[to][key] += n - further;
  }
  return total;
}

// The n-th command of a row that only the seed decides. Returns its first tally.
static inline unsigned make_command(struct buf *body, uint64_t seed, uint64_t n, const struct ids *ids,
                                    struct sums *sums) {
  struct draw d = {hash_mix(seed ^ 0x77, n)};
  struct buf legs = {0};
  unsigned to = (unsigned)draw(&d, TALLIES), key = (unsigned)draw(&d, KEYS);
  int64_t amount = (int64_t)draw(&d, 1000), passed = 0;
  if (draw(&d, 4)) passed = put_legs(&d, ids, 4, key, &legs, sums);
  if (sums) sums->n[to][key] += amount - passed;
  buf_clear(body);
  tally_put_add(body, bytes_str(KEY[key]), amount, buf_bytes(&legs));
  buf_deinit(&legs);
  return to;
}

static inline struct hash128 command_message(uint64_t n) {
  return (struct hash128){(n + 1) << 8, hash_mix(n, 5)};
} // its slot below

// By when a command comes: the dedupe window can be said in commands.
static inline int64_t command_ms(uint64_t n) { return 1800000000000 + (int64_t)n; }

// Tells the world's tallies; returns the shard that has the frame.
static inline unsigned tell_command(struct world *w, uint64_t seed, uint64_t n, const struct ids *ids) {
  struct buf body = {0}, answer = {0};
  struct error err = {0};
  unsigned to = make_command(&body, seed, n, ids, NULL);
  struct message m = {.to = ids->id[to], .kind = MESSAGE_TALLY_ADD, .at_ms = command_ms(n), .body = buf_bytes(&body)};
  unsigned shard = store_shard_of(w->store, store_partition_of_lead(w->store, m.to));
  CHECK(intake_tell(w->intake[shard], &m, command_message(n), BYTES_LIT("test"), command_ms(n), &answer, &err) == 0);
  CHECK(answer.n == 0); // not refused
  buf_deinit(&body);
  buf_deinit(&answer);
  return shard;
}

// ---- what the journal says ----
// Of each channel: a hash over the messages sent, in their order, after each of them; and over those received.
struct channel_log {
  uint64_t *sent, *received;
  size_t sent_count, received_count, sent_cap, received_cap;
};
struct told {
  unsigned partitions;
  uint64_t seq[256];
  struct channel_log *channel; // [from * partitions + to]
  uint8_t *is_applied;         // commands
  uint64_t commands, commands_max;
  uint64_t messages;
};

static inline void log_add(uint64_t **list, size_t *count, size_t *cap, uint64_t hash) {
  if (*count == *cap) *list = xrealloc(*list, (*cap = *cap ? *cap * 2 : 64) * sizeof **list);
  (*list)[*count] = hash_mix(*count ? (*list)[*count - 1] : 0, hash);
  ++*count;
}

static inline uint64_t message_hash(struct lead_id to, unsigned kind, struct bytes body, struct bytes cause) {
  return hash_mix(hash_mix(lead_id_hash(to), kind), hash_mix(hash64(body), hash64(cause)));
}

static inline int told_visit(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)place;
  struct told *t = context;
  if (f->seq != ++t->seq[f->partition]) return error_set(err, ITD_EINTERNAL, "frames are not in sequence");
  char name[64];
  lead_id_format(f->entity, name);
  snprintf(name + 32, sizeof name - 32, "-%u", f->number);
  struct bytes list = f->messages;
  struct message m;
  int more;
  while ((more = message_next(&list, &m, err)) > 0) {
    struct channel_log *c = &t->channel[f->partition * t->partitions + m.to.b[0] % t->partitions];
    log_add(&c->sent, &c->sent_count, &c->sent_cap, message_hash(m.to, m.kind, m.body, bytes_str(name)));
    t->messages++;
  }
  if (more < 0 || f->kind != FRAME_MESSAGE) return more;
  if (!f->from_n) {
    uint64_t n = (f->message.hi >> 8) - 1;
    if (n >= t->commands_max || t->is_applied[n]++) return error_set(err, ITD_EINTERNAL, "a command was applied twice");
    t->commands++;
    return 0;
  }
  struct channel_log *c = &t->channel[f->from * t->partitions + f->partition];
  if (f->from_n != c->received_count + 1) return error_set(err, ITD_EINTERNAL, "messages are not in their order");
  struct bytes kind, body;
  CHECK(mp_find(f->event, BYTES_LIT("kind"), &kind) && mp_find(f->event, BYTES_LIT("body"), &body));
  log_add(&c->received, &c->received_count, &c->received_cap,
          message_hash(f->entity, (unsigned)mp_value_of(kind).i, body, f->cause));
  return 0;
}

static inline void told_init(struct told *t, unsigned partitions, uint64_t commands_max) {
  *t = (struct told){.partitions = partitions, .commands_max = commands_max};
  t->channel = xcalloc((size_t)partitions * partitions, sizeof *t->channel);
  t->is_applied = xcalloc(commands_max, 1);
}

static inline void told_deinit(struct told *t) {
  for (unsigned i = 0; i < t->partitions * t->partitions; i++) {
    free(t->channel[i].sent);
    free(t->channel[i].received);
  }
  free(t->channel);
  free(t->is_applied);
}

// What was received is a beginning of what was sent; all of it, when everything has arrived. Returns what is wrong, or NULL.
static inline const char *told_check(const struct told *t, bool has_settled) {
  for (unsigned i = 0; i < t->partitions * t->partitions; i++) {
    const struct channel_log *c = &t->channel[i];
    if (c->received_count > c->sent_count) return "more was received than sent";
    if (has_settled && c->received_count != c->sent_count) return "not all that was sent was received";
    if (c->received_count && c->received[c->received_count - 1] != c->sent[c->received_count - 1])
      return "what was received is not what was sent";
  }
  return NULL;
}

// The tallies are what the applied commands lead to. Returns what is wrong, or NULL.
static inline const char *check_sums(struct world *w, uint64_t seed, const struct told *t) {
  struct sums *sums = xcalloc(1, sizeof *sums);
  struct ids ids = ids_of(w->store);
  struct buf body = {0};
  const char *wrong = NULL;
  for (uint64_t n = 0; n < t->commands_max; n++)
    if (t->is_applied[n]) make_command(&body, seed, n, &ids, sums);
  for (unsigned k = 0; k < TALLIES; k++) {
    struct store_shard *s =
        store_shard(w->store, store_shard_of(w->store, store_partition_of_lead(w->store, ids.id[k])));
    const struct entity *e = store_entity(s, ids.id[k]);
    for (unsigned i = 0; i < KEYS; i++) {
      int64_t is = e ? tally_value(e, bytes_str(KEY[i])) : 0;
      if (is != sums->n[k][i]) {
        fprintf(stderr, "tally %u, %s: %lld, expected %lld\n", k, KEY[i], (long long)is, (long long)sums->n[k][i]);
        wrong = "a tally is not the sum of what was sent to it";
      }
    }
  }
  buf_deinit(&body);
  free(sums);
  return wrong;
}
