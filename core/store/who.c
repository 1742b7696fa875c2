// A shard's part of who is who: identities, keys, founding, and forgetting.
#include <endian.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/le.h"
#include "base/log.h"
#include "store/shard.h"

#define WAIT_US 50000 // between two tries

// ---- what LMDB and the vault know ----
// What LMDB holds may be asked for only once a start: what this run adds to it is in memory before.
bool shard_may_ask_state(const struct store_shard *s) { return !state_was_empty(s->store->state); }

// Damage in what is kept cannot be answered for: a lead that does not read would begin anew, and its frames with it.
_Noreturn void shard_die_of(const struct error *err) {
  log_line(LOG_ERROR, "state_damaged", "error=%s", log_quote(err->text));
  _exit(70);
}

// Too many open files say nothing of the record, and without it nothing can be decided: the shard waits.
static int read_when_there_are_files(struct store_shard *s, uint64_t address, struct vault_record *r,
                                     struct error *err) {
  int rc;
  for (bool is_said = false; (rc = vault_read(s->who, address, &s->record, r, err)) == ITD_EFULL; usleep(WAIT_US)) {
    if (!is_said) log_line(LOG_WARN, "files_wanted", "shard=%u why=%s", s->index, log_quote(err->text));
    is_said = true;
  }
  return rc;
}

// A record, staged ones included; valid until the next call. False: it was erased.
static bool read_record(struct store_shard *s, uint64_t address, enum vault_type type, struct vault_record *r) {
  struct error err = {0};
  if (s->vault && vault_peek(s->vault, address, r)) return true;
  int rc = read_when_there_are_files(s, address, r, &err);
  if (rc == ITD_ENOTFOUND) return false;
  if (rc == 0 && r->type != type) rc = error_set(&err, ITD_ECORRUPT, "the vault has another record where one is named");
  if (rc) shard_die_of(&err);
  return true;
}

// ---- identities ----
enum { IDENTITY_IS_GONE = 1 }; // flags of an identity's entry: forgotten; LMDB may not know yet

static struct identity_entry *know(struct store_shard *s, struct hash128 identity, struct lead_id lead) {
  struct identity_entry *e = table_find(&s->identities, identity);
  if (!e) {
    e = table_add(&s->identities, identity);
    count_up(&s->counters.identities);
  }
  e->lead = lead;
  e->head.flags = 0;
  return e;
}

bool store_find(struct store_shard *s, struct hash128 identity, struct lead_id *lead) {
  const struct identity_entry *e = table_find(&s->identities, identity);
  if (e) {
    *lead = e->lead;
    return !(e->head.flags & IDENTITY_IS_GONE);
  }
  if (!shard_may_ask_state(s)) return false;
  struct error err = {0};
  uint64_t address;
  int rc = state_identity(s->state, identity, &address, &err);
  if (rc && rc != ITD_ENOTFOUND) shard_die_of(&err);
  struct vault_record r;
  if (rc || !read_record(s, address, VAULT_IDENTITY, &r)) return false;
  if (!hash128_eq(r.identity, identity)) {
    error_set(&err, ITD_ECORRUPT, "the state names another identity's record");
    shard_die_of(&err);
  }
  know(s, identity, r.lead);
  *lead = r.lead;
  return true;
}

// ---- keys ----
// What LMDB and the vault say of a lead's key, into an entry that is made for it.
static struct lead_entry *ask_key(struct store_shard *s, struct lead_id id) {
  uint64_t address, last;
  struct vault_record r;
  struct error err = {0};
  buf_clear(&s->scratch);
  int rc = state_key(s->state, id, &address, &s->scratch, &err);
  if (rc && rc != ITD_ENOTFOUND) shard_die_of(&err);
  if (rc || !read_record(s, address, VAULT_LEAD, &r)) return NULL;
  if (!lead_id_eq(r.lead, id)) rc = error_set(&err, ITD_ECORRUPT, "the state names another lead's key");
  struct buf opened = {0};
  if (rc == 0) rc = seal_open(&s->seal, r.key, id, buf_bytes(&s->scratch), &opened, &err);
  if (rc == 0 && opened.n != sizeof last) rc = error_set(&err, ITD_ECORRUPT, "the state has no address of an identity");
  if (rc) shard_die_of(&err);
  memcpy(&last, opened.p, sizeof last);
  buf_deinit(&opened);
  struct lead_entry *e = shard_entry(s, id);
  memcpy(e->key, r.key, LEAD_KEY_SIZE);
  e->key_address = address;
  e->last_identity = le64toh(last);
  e->head.flags |= LEAD_HAS_KEY;
  explicit_bzero(r.key, sizeof r.key);
  return e;
}

struct lead_entry *shard_key(struct store_shard *s, struct lead_id id) {
  struct lead_entry *e = table_find(&s->leads, lead_key(id));
  if (e && e->head.flags & (LEAD_HAS_KEY | LEAD_IS_FORGOTTEN)) return e->head.flags & LEAD_HAS_KEY ? e : NULL;
  return shard_may_ask_state(s) ? ask_key(s, id) : NULL;
}

void store_seal(struct store_shard *s, struct lead_id lead, struct bytes secret, struct buf *sealed) {
  const struct lead_entry *e = shard_key(s, lead);
  CHECK(e); // a lead that lives has one
  seal_put(&s->seal, e->key, lead, secret, sealed);
}

int store_unseal(struct store_shard *s, struct lead_id lead, struct bytes sealed, struct buf *secret,
                 struct error *err) {
  const struct lead_entry *e = shard_key(s, lead);
  if (!e) return error_set(err, ITD_ENOTFOUND, "the lead was forgotten: its key is gone");
  return seal_open(&s->seal, e->key, lead, sealed, secret, err);
}

// ---- what is new in the vault ----
static void note(struct store_shard *s, const struct checkpoint_who *who) {
  if (s->fresh_count == s->fresh_cap) {
    size_t cap = s->fresh_cap ? s->fresh_cap * 2 : 64;
    struct checkpoint_who *grown = xmalloc(cap * sizeof *grown); // not xrealloc: keys would stay behind
    if (s->fresh_count) memcpy(grown, s->fresh, s->fresh_count * sizeof *grown);
    if (s->fresh) explicit_bzero(s->fresh, s->fresh_count * sizeof *s->fresh);
    free(s->fresh);
    s->fresh = grown;
    s->fresh_cap = cap;
  }
  s->fresh[s->fresh_count++] = *who;
}

static void take_key(struct store_shard *s, uint64_t address, const struct vault_record *r) {
  struct lead_entry *e = shard_entry(s, r->lead);
  uint64_t *made = &s->made[lead_id_slot(r->lead)];
  if (r->made > *made) *made = r->made;
  memcpy(e->key, r->key, LEAD_KEY_SIZE);
  e->key_address = address;
  e->head.flags |= LEAD_HAS_KEY;
}

static void take_identity(struct store_shard *s, uint64_t address, const struct vault_record *r) {
  struct lead_entry *e = shard_key(s, r->lead);
  if (!e) return; // forgotten
  e->last_identity = address;
  know(shard_of(s->store, store_partition_of(s->store, r->identity)), r->identity, r->lead);
  note(s,
       &(struct checkpoint_who){.type = VAULT_IDENTITY, .lead = r->lead, .address = address, .identity = r->identity});
  struct checkpoint_who key = {.type = VAULT_LEAD, .lead = r->lead, .address = e->key_address, .last = address};
  memcpy(key.key, e->key, LEAD_KEY_SIZE);
  note(s, &key);
}

void shard_take_link(struct store_shard *s, struct lead_id lead, uint64_t address) {
  struct lead_entry *e = shard_key(s, lead);
  if (!e) return; // forgotten
  e->last_identity = address;
  struct checkpoint_who key = {.type = VAULT_LEAD, .lead = lead, .address = e->key_address, .last = address};
  memcpy(key.key, e->key, LEAD_KEY_SIZE);
  note(s, &key);
}

void shard_take_record(struct store_shard *s, uint64_t address, const struct vault_record *r) {
  (r->type == VAULT_LEAD ? take_key : take_identity)(s, address, r);
}

// ---- founding ----
// An id says nothing of who it is, yet is the same in every run with the same secret, on any number of shards: the n-th
// of its slot.
static struct lead_id id_of(const struct store *store, unsigned slot, uint64_t made) {
  struct {
    uint8_t secret[STORE_SECRET_SIZE];
    char purpose[4];
    uint8_t rest[10];
  } in = {.purpose = {'l', 'e', 'a', 'd'}};
  _Static_assert(sizeof in == STORE_SECRET_SIZE + 14, "no padding is hashed");
  uint16_t where = htole16((uint16_t)slot);
  uint64_t n = htole64(made);
  memcpy(in.secret, store->dir.secret, sizeof in.secret);
  memcpy(in.rest, &where, sizeof where);
  memcpy(in.rest + sizeof where, &n, sizeof n);
  uint8_t sum[SHA256_SIZE];
  sha256_of(bytes_of(&in, sizeof in), sum);
  struct lead_id id;
  memcpy(id.b, sum, sizeof id.b);
  id.b[0] = (uint8_t)slot;
  return id;
}

// The count may be behind what was made when LMDB was lost and the newest leads were forgotten: their ids are not given
// twice.
static struct lead_id next_id(struct store_shard *s, unsigned slot) {
  struct lead_id id;
  do id = id_of(s->store, slot, ++s->made[slot]);
  while (forget_has(s->store->forget, id) || table_find(&s->leads, lead_key(id)));
  return id;
}

struct lead_id store_ask_id(const struct store *store, struct lead_id asker, struct hash128 identity, uint32_t again) {
  struct {
    uint8_t secret[STORE_SECRET_SIZE];
    char purpose[4];
    uint8_t rest[36];
  } in = {.purpose = {'a', 's', 'k', 's'}};
  _Static_assert(sizeof in == STORE_SECRET_SIZE + 40, "no padding is hashed");
  memcpy(in.secret, store->dir.secret, sizeof in.secret);
  memcpy(in.rest, asker.b, sizeof asker.b);
  put64(in.rest + 16, identity.hi);
  put64(in.rest + 24, identity.lo);
  put32(in.rest + 32, again);
  uint8_t sum[SHA256_SIZE];
  sha256_of(bytes_of(&in, sizeof in), sum);
  struct lead_id id;
  memcpy(id.b, sum, sizeof id.b);
  id.b[0] = (uint8_t)store_slot_of(identity);
  return id;
}

// Stages a new lead's key and its identity.
static struct lead_id found(struct store_shard *s, struct lead_id id, uint64_t made, enum identity_kind kind,
                            struct hash128 identity, struct bytes value) {
  struct vault_record r = {.type = VAULT_LEAD, .lead = id, .made = made};
  random_bytes(r.key, sizeof r.key);
  shard_take_record(s, vault_stage(s->vault, &r), &r);
  shard_entry(s, id)->head.flags |= LEAD_WAS_SOUGHT; // it is new: LMDB cannot know it
  explicit_bzero(&r, sizeof r);
  r = (struct vault_record){
      .type = VAULT_IDENTITY, .lead = id, .identity = identity, .kind = (uint8_t)kind, .value = value};
  shard_take_record(s, vault_stage(s->vault, &r), &r);
  return id;
}

struct lead_id store_found(struct store_shard *s, enum identity_kind kind, struct hash128 identity,
                           struct bytes value) {
  CHECK(shard_owns(s, store_partition_of(s->store, identity)));
  unsigned slot = store_slot_of(identity);
  struct lead_id id = next_id(s, slot);
  return found(s, id, s->made[slot], kind, identity, value);
}

struct lead_id store_found_asked(struct store_shard *s, enum identity_kind kind, struct hash128 identity,
                                 struct bytes value, struct lead_id asker) {
  CHECK(shard_owns(s, store_partition_of(s->store, identity)));
  struct lead_id id;
  uint32_t again = 0;
  do id = store_ask_id(s->store, asker, identity, again++);
  while (forget_has(s->store->forget, id) || shard_key(s, id));
  return found(s, id, 0, kind, identity, value);
}

// ---- a lead's identities ----
typedef void (*identity_visit)(void *context, uint64_t address, const struct vault_record *record);

// The last one first.
static void each_record(struct store_shard *s, uint64_t address, identity_visit visit, void *context) {
  struct vault_record r;
  while (address) {
    if (!read_record(s, address, VAULT_IDENTITY, &r)) return;
    uint64_t previous = r.previous;
    visit(context, address, &r); // it may read others
    address = previous;
  }
}

static void each_identity(struct store_shard *s, struct lead_id lead, identity_visit visit, void *context) {
  const struct lead_entry *e = shard_key(s, lead);
  each_record(s, e ? e->last_identity : 0, visit, context);
}

bool store_who(struct store_shard *s, struct lead_id lead, struct store_who *out) {
  const struct lead_entry *e = shard_key(s, lead);
  if (e) *out = (struct store_who){.key = e->key_address, .last = e->last_identity};
  return e;
}

int store_unseal_at(struct store_shard *s, uint64_t key, struct lead_id lead, struct bytes sealed, struct buf *secret,
                    struct error *err) {
  struct vault_record r;
  if (!read_record(s, key, VAULT_LEAD, &r) || !lead_id_eq(r.lead, lead))
    return error_set(err, ITD_ENOTFOUND, "the lead was forgotten: its key is gone");
  int rc = seal_open(&s->seal, r.key, lead, sealed, secret, err);
  explicit_bzero(r.key, sizeof r.key);
  if (s->record.p) explicit_bzero(s->record.p, s->record.cap);
  return rc;
}

// ---- leads that were merged ----
// What a link's record holds: the lead, the addresses of its key and of the last of its identities.
#define LINK_SIZE 32u

void store_link(struct store_shard *s, struct lead_id lead, struct lead_id merged, struct store_who who) {
  uint8_t value[LINK_SIZE];
  const struct lead_entry *e = shard_key(s, lead);
  CHECK(e);
  memcpy(value, merged.b, sizeof merged.b);
  put64(value + 16, who.key);
  put64(value + 24, who.last);
  struct vault_record r = {.type = VAULT_IDENTITY,
                           .lead = lead,
                           .previous = e->last_identity,
                           .kind = IDENTITY_LINK,
                           .value = bytes_of(value, sizeof value)};
  shard_take_link(s, lead, vault_stage(s->vault, &r));
}

static bool link_of(const struct vault_record *r, struct lead_id *merged, struct store_who *who) {
  if (r->kind != IDENTITY_LINK || r->value.n != LINK_SIZE) return false;
  memcpy(merged->b, r->value.p, sizeof merged->b);
  *who = (struct store_who){.key = get64(r->value.p + 16), .last = get64(r->value.p + 24)};
  return true;
}

struct links {
  void (*each)(void *context, struct lead_id merged);
  void *context;
};
static void visit_link(void *context, uint64_t address, const struct vault_record *r) {
  (void)address;
  const struct links *l = context;
  struct lead_id merged;
  struct store_who who;
  if (link_of(r, &merged, &who)) l->each(l->context, merged);
}

void store_links(struct store_shard *s, struct lead_id lead, void (*each)(void *context, struct lead_id merged),
                 void *context) {
  each_identity(s, lead, visit_link, &(struct links){each, context});
}

struct listing {
  void (*each)(void *context, enum identity_kind kind, struct bytes value);
  void *context;
  uint64_t *next; // chains that are still to be walked
  size_t count, cap;
  struct table seen; // leads: a link may be there twice
};
static void list_one(void *context, uint64_t address, const struct vault_record *r) {
  (void)address;
  struct listing *l = context;
  struct lead_id merged;
  struct store_who who;
  if (!link_of(r, &merged, &who)) {
    l->each(l->context, (enum identity_kind)r->kind, r->value);
    return;
  }
  if (table_find(&l->seen, lead_key(merged))) return;
  table_add(&l->seen, lead_key(merged));
  if (l->count == l->cap) l->next = xrealloc(l->next, (l->cap = l->cap ? l->cap * 2 : 16) * sizeof *l->next);
  l->next[l->count++] = who.last;
}

void store_identities(struct store_shard *s, struct lead_id lead,
                      void (*each)(void *context, enum identity_kind kind, struct bytes value), void *context) {
  struct listing l = {.each = each, .context = context};
  table_init(&l.seen, sizeof(struct table_entry));
  each_identity(s, lead, list_one, &l);
  while (l.count) each_record(s, l.next[--l.count], list_one, &l);
  table_deinit(&l.seen);
  free(l.next);
}

// ---- forgetting ----
static void add_to_job(void *context, uint64_t address, const struct vault_record *r) {
  struct lead_id merged;
  struct store_who who;
  if (link_of(r, &merged, &who))
    forget_job_link(context, merged, address);
  else
    forget_job_add(context, r->identity, address, r->value);
}

// What memory has of it. The running cycle gets its copy first: LMDB must be what it was at the cut.
static void drop_lead(struct store_shard *s, struct lead_entry *e, struct lead_id id) {
  if (shard_waits(s, e)) shard_give_copy(s, e);
  if (e->round && s->store->checkpoint) checkpoint_undirty(s->store->checkpoint, e->counted);
  e->round = 0; // what is in the list of those that changed is passed over
  if (e->lead) {
    explicit_bzero(e->lead, lead_size(e->lead));
    lead_free(e->lead);
    count_down(&s->counters.leads);
  }
  e->lead = NULL;
  explicit_bzero(e->key, sizeof e->key);
  e->key_address = e->last_identity = 0;
  e->head.flags = LEAD_IS_FORGOTTEN | LEAD_WAS_SOUGHT;
  due_set(&s->due, id, INT64_MAX);
}

struct forget_job *shard_forget(struct store_shard *s, struct lead_id id, int64_t at_ms) {
  struct forget_job *job = forget_job_new(id, at_ms);
  each_identity(s, id, add_to_job, job);
  struct lead_entry *e = shard_key(s, id);
  if (e) job->key_address = e->key_address;
  for (size_t i = 0; i < job->count; i++) {
    if (!job->identity[i].text.n) continue;                                                 // a link
    CHECK(!s->vault || shard_owns(s, store_partition_of(s->store, job->identity[i].hash))); // but in recovery
    struct store_shard *of = shard_of(s->store, store_partition_of(s->store, job->identity[i].hash));
    struct identity_entry *known = table_find(&of->identities, job->identity[i].hash);
    if (!known) known = know(of, job->identity[i].hash, id); // else LMDB would name it until the thread was there
    if (lead_id_eq(known->lead, id)) known->head.flags = IDENTITY_IS_GONE;
  }
  forget_mark(s->store->forget, id);
  drop_lead(s, shard_entry(s, id), id);
  if (s->record.p) explicit_bzero(s->record.p, s->record.cap);
  return job;
}

static void give_later(struct store_shard *s, struct forget_job *job) {
  struct forget_job **end = &s->forgetting;
  while (*end) end = &(*end)->next;
  *end = job;
}

bool store_is_forgotten(const struct store_shard *s, struct lead_id lead) { return forget_has(s->store->forget, lead); }

void store_forget(struct store_shard *s, struct frame *frame, void (*done)(void *, const struct forget_job *),
                  void *context) {
  CHECK(frame->kind == FRAME_FORGET);
  store_append(s, frame);
  struct forget_job *job = shard_forget(s, frame->entity, frame->received_ms);
  job->journal = s->journal;
  job->done = done;
  job->context = context;
  give_later(s, job);
}

void store_await_forgotten(struct store_shard *s, struct lead_id lead,
                           void (*done)(void *context, const struct forget_job *job), void *context) {
  struct forget_job *job = forget_job_new(lead, 0);
  job->is_waiting = true;
  job->done = done;
  job->context = context;
  if (store_is_dirty(s))
    give_later(s, job); // its frame may be staged
  else
    forget_give(s->store->forget, job);
}

// After the commit: their frames are written.
void shard_give_forgotten(struct store_shard *s) {
  while (s->forgetting) {
    struct forget_job *job = s->forgetting;
    s->forgetting = job->next;
    forget_give(s->store->forget, job);
  }
}
