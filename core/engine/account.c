#include "engine/account.h"

#include "base/check.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

struct person {
  struct lead_id id;
  int64_t touch;
  struct bytes items; // a contribution
};

struct trait {
  uint64_t key;
  int64_t at_ms;
  struct bytes value; // a float or text, packed
};

struct account {
  int64_t first, last, sent_ms; // INT64_MIN: never
  bool is_dirty;
  uint64_t evicted;
  struct person *people; // sorted by id; one more than `count` has room
  uint32_t count;
  struct trait *traits; // sorted by key; one more than `trait_count` has room
  uint32_t trait_count;
};

// ---- the state ----
#define ITEM_BYTES_MAX   20u // of a contribution
#define PERSON_BYTES_MAX (32u + ITEM_BYTES_MAX * ACCOUNT_ITEMS_MAX)
#define TRAITS_BYTES_MAX (ACCOUNT_TRAITS_MAX * 80u)
_Static_assert(64 + ACCOUNT_PEOPLE_MAX * PERSON_BYTES_MAX + TRAITS_BYTES_MAX < ENTITY_STATE_MAX, "an account has room");

static bool take_int(struct mp *in, int64_t *out) {
  struct mp_value v = mp_next(in);
  *out = v.i;
  return v.type == MP_INT;
}

static void read_people(struct bytes list, struct account *a) {
  struct mp in = mp_of(list);
  a->count = mp_next(&in).count;
  a->people = xcalloc(a->count + 1, sizeof *a->people);
  for (uint32_t i = 0; i < a->count; i++) {
    struct person *p = &a->people[i];
    mp_next(&in); // [
    struct mp_value id = mp_next(&in);
    CHECK(id.type == MP_BIN && id.s.n == sizeof p->id.b);
    memcpy(p->id.b, id.s.p, sizeof p->id.b);
    CHECK(take_int(&in, &p->touch));
    p->items = mp_take(&in);
  }
}

static uint64_t as_u64(struct mp_value v) { return v.type == MP_UINT ? v.u : (uint64_t)v.i; }

static void read_traits(struct bytes list, struct account *a) {
  struct mp in = {0}; // without traits there is no list
  if (list.n) {
    in = mp_of(list);
    a->trait_count = mp_next(&in).count;
  }
  a->traits = xcalloc(a->trait_count + 1, sizeof *a->traits);
  for (uint32_t i = 0; i < a->trait_count; i++) {
    mp_next(&in); // [
    a->traits[i].key = as_u64(mp_next(&in));
    CHECK(take_int(&in, &a->traits[i].at_ms));
    a->traits[i].value = mp_take(&in);
  }
}

// Points into `state`, which was written by put_account.
static void read_account(struct bytes state, struct account *a) {
  *a = (struct account){.first = INT64_MAX, .last = INT64_MIN, .sent_ms = INT64_MIN};
  if (!state.n) {
    a->people = xcalloc(1, sizeof *a->people);
    read_traits(state, a);
    return;
  }
  struct mp in = mp_of(state);
  int64_t version, evicted;
  uint32_t parts = mp_next(&in).count;
  CHECK(take_int(&in, &version) && (version == 1 || version == 2) && parts == 6 + (uint32_t)version);
  CHECK(take_int(&in, &a->first) && take_int(&in, &a->last) && take_int(&in, &a->sent_ms));
  a->is_dirty = mp_next(&in).b;
  CHECK(take_int(&in, &evicted));
  a->evicted = (uint64_t)evicted;
  read_people(mp_take(&in), a);
  read_traits(version == 2 ? mp_take(&in) : (struct bytes){0}, a);
}

static void put_account(const struct account *a, struct buf *out) {
  int version = a->trait_count ? 2 : 1;
  mp_put_array(out, 6 + (uint32_t)version);
  mp_put_int(out, version);
  mp_put_int(out, a->first);
  mp_put_int(out, a->last);
  mp_put_int(out, a->sent_ms);
  mp_put_bool(out, a->is_dirty);
  mp_put_uint(out, a->evicted);
  mp_put_array(out, a->count);
  for (uint32_t i = 0; i < a->count; i++) {
    mp_put_array(out, 3);
    mp_put_bin(out, bytes_of(a->people[i].id.b, sizeof a->people[i].id.b));
    mp_put_int(out, a->people[i].touch);
    mp_put_raw(out, a->people[i].items);
  }
  if (version == 1) return;
  mp_put_array(out, a->trait_count);
  for (uint32_t i = 0; i < a->trait_count; i++) {
    mp_put_array(out, 3);
    mp_put_uint(out, a->traits[i].key);
    mp_put_int(out, a->traits[i].at_ms);
    mp_put_raw(out, a->traits[i].value);
  }
}

// Where the lead is, or would be.
static uint32_t place_of(const struct account *a, struct lead_id id) {
  uint32_t low = 0, high = a->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (memcmp(a->people[middle].id.b, id.b, sizeof id.b) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static struct person *find_person(const struct account *a, struct lead_id id) {
  uint32_t at = place_of(a, id);
  return at < a->count && lead_id_eq(a->people[at].id, id) ? &a->people[at] : NULL;
}

static void take_out(struct account *a, uint32_t at) {
  memmove(&a->people[at], &a->people[at + 1], (a->count - at - 1) * sizeof *a->people);
  a->count--;
}

// Touched before the other; of equals the one with the lower id.
static bool is_older(const struct person *p, const struct person *q) {
  if (p->touch != q->touch) return p->touch < q->touch;
  return memcmp(p->id.b, q->id.b, sizeof p->id.b) < 0;
}

// More than one where the bound is another than before.
static uint32_t evict(struct account *a, uint32_t most) {
  uint32_t count = 0;
  for (; a->count > most; count++) {
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < a->count; i++)
      if (is_older(&a->people[i], &a->people[oldest])) oldest = i;
    take_out(a, oldest);
  }
  a->evicted += count;
  return count;
}

// ---- what they add up to ----
struct told { // one item of one person
  uint64_t key, text;
  int64_t form, time;
  double number;
  uint32_t who;
};

static int by_item(const void *x, const void *y) {
  const struct told *a = x, *b = y;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  if (a->form != b->form) return a->form < b->form ? -1 : 1;
  if (a->form == ACCOUNT_TEXT && a->text != b->text) return a->text < b->text ? -1 : 1;
  if (a->form == ACCOUNT_TILE && a->time != b->time) return a->time < b->time ? -1 : 1;
  return a->who < b->who ? -1 : a->who > b->who;
}

// False: no item.
static bool read_item(struct mp *in, struct told *out) {
  struct mp_value head = mp_next(in);
  if (head.type != MP_ARRAY || head.count != 3) return false;
  struct mp_value key = mp_next(in), form = mp_next(in);
  bool is_whole = (key.type == MP_INT && key.i >= 0) || key.type == MP_UINT;
  if (!is_whole || form.type != MP_INT || form.i < ACCOUNT_NUMBER || form.i > ACCOUNT_TILE) return false;
  struct mp_value v = mp_next(in);
  *out = (struct told){.key = as_u64(key), .form = form.i};
  switch (form.i) {
  case ACCOUNT_NUMBER: out->number = v.f; return v.type == MP_FLOAT && v.f - v.f == 0;
  case ACCOUNT_TEXT: out->text = as_u64(v); return (v.type == MP_INT && v.i >= 0) || v.type == MP_UINT;
  default: out->time = v.i; return v.type == MP_INT;
  }
}

// Reads all; false: it is no contribution. `out` may be NULL.
static bool read_items(struct bytes items, uint32_t who, struct told *out, uint32_t *count) {
  struct mp in = mp_of(items);
  struct mp_value head = mp_next(&in);
  if (head.type != MP_ARRAY || head.count > ACCOUNT_ITEMS_MAX) return false;
  for (uint32_t i = 0; i < head.count; i++) {
    struct told told;
    if (!read_item(&in, &told)) return false;
    told.who = who;
    if (out) out[*count] = told;
    ++*count;
  }
  return true;
}

static double bounded(double v) { return v > 1.7e308 ? 1.7e308 : v < -1.7e308 ? -1.7e308 : v; }

static void put_numbers(const struct told *t, uint32_t n, struct buf *out) {
  double sum = 0, least = t->number, most = t->number;
  for (uint32_t i = 0; i < n; i++) {
    sum = bounded(sum + t[i].number);
    if (t[i].number < least) least = t[i].number;
    if (t[i].number > most) most = t[i].number;
  }
  mp_put_float(out, sum);
  mp_put_float(out, least);
  mp_put_float(out, most);
}

// How many different values; they are sorted.
static uint32_t groups(const struct told *t, uint32_t n) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < n; i++) count += i == 0 || t[i].text != t[i - 1].text || t[i].time != t[i - 1].time;
  return count;
}

static void put_tiles(const struct told *t, uint32_t n, uint32_t skipped, struct buf *out) {
  for (uint32_t i = 0, end; i < n; i = end) {
    for (end = i; end < n && t[end].time == t[i].time;) end++;
    if (skipped > 0) {
      skipped--;
      continue;
    }
    mp_put_int(out, t[i].time);
    mp_put_uint(out, end - i);
  }
}

// One roll: all items of a key and form.
static void put_roll(const struct told *t, uint32_t n, struct buf *out) {
  uint32_t values = groups(t, n), kept = values < ACCOUNT_TILES_MAX ? values : ACCOUNT_TILES_MAX;
  mp_put_array(out, t->form == ACCOUNT_NUMBER ? 6 : t->form == ACCOUNT_TILE ? 3 + 2 * kept : 4);
  mp_put_uint(out, t->key);
  mp_put_int(out, t->form);
  mp_put_uint(out, n);
  int64_t latest = t->time;
  switch (t->form) {
  case ACCOUNT_NUMBER: put_numbers(t, n, out); break;
  case ACCOUNT_TEXT: mp_put_uint(out, values); break;
  case ACCOUNT_TILE: put_tiles(t, n, values - kept, out); break;
  default:
    for (uint32_t i = 1; i < n; i++) latest = t[i].time > latest ? t[i].time : latest;
    mp_put_int(out, latest);
  }
}

// All copies of one frame together: the smallest segment of a journal takes it.
#define COPIES_BYTES_MAX (7u << 20)
#define ROLL_BYTES_MAX   512u // of one, with all its tiles

static size_t copy_max(const struct account_terms *terms) {
  size_t slots = terms->fanout < SLOTS ? terms->fanout : SLOTS, most = COPIES_BYTES_MAX / slots;
  return most < MESSAGE_BODY_MAX ? most : MESSAGE_BODY_MAX;
}

// In `most` bytes: where the values of many sets that were in force meet, those with the greatest keys are left out.
static void put_copy(const struct account *a, int64_t at_ms, size_t most, struct buf *out) {
  struct told *all = xcalloc((size_t)a->count * ACCOUNT_ITEMS_MAX + 1, sizeof *all);
  uint32_t count = 0, rolls = 0;
  for (uint32_t i = 0; i < a->count; i++) CHECK(read_items(a->people[i].items, i, all, &count));
  qsort(all, count, sizeof *all, by_item);
  struct buf list = {0};
  most -= 64 + TRAITS_BYTES_MAX + ROLL_BYTES_MAX;
  for (uint32_t i = 0, end; i < count && list.n <= most; i = end, rolls++) {
    for (end = i; end < count && all[end].key == all[i].key && all[end].form == all[i].form;) end++;
    put_roll(&all[i], end - i, &list);
  }
  mp_put_array(out, 5);
  mp_put_int(out, at_ms);
  mp_put_int(out, a->first);
  mp_put_int(out, a->last);
  mp_put_uint(out, a->count);
  mp_put_array(out, rolls + a->trait_count);
  buf_append_bytes(out, buf_bytes(&list));
  for (uint32_t i = 0; i < a->trait_count; i++) {
    mp_put_array(out, 4);
    mp_put_uint(out, a->traits[i].key);
    mp_put_int(out, ACCOUNT_TRAIT);
    mp_put_uint(out, 1);
    mp_put_raw(out, a->traits[i].value);
  }
  buf_deinit(&list);
  free(all);
}

// ---- sending ----
struct lead_id account_view(struct lead_id account, unsigned slot) {
  uint64_t parts[2] = {hash64_seed(bytes_of(account.b, sizeof account.b), 1),
                       hash64_seed(bytes_of(account.b, sizeof account.b), 2)};
  struct lead_id id;
  memcpy(id.b, parts, sizeof id.b);
  id.b[0] = (uint8_t)slot;
  return id;
}

static void send_copy(const struct entity *e, struct bytes copy, unsigned slot, struct message_effects *effects) {
  message_put(&effects->messages, account_view(e->id, slot), MESSAGE_ACCOUNT_COPY, copy);
}

static int newest_first(const void *a, const void *b) {
  const struct person *p = a, *q = b;
  return is_older(p, q) ? 1 : is_older(q, p) ? -1 : 0;
}

enum want { WANT_NOTHING, WANT_IDLE, WANT_DROPPED, WANT_COPY }; // of a slot: by the one there that has most claim

// To the slots of those that were touched last, in the order of slots.
static void send_copies(const struct entity *e, struct account *a, int64_t now_ms, const struct account_terms *terms,
                        struct bytes copy, struct message_effects *effects) {
  enum want wants[SLOTS] = {WANT_NOTHING};
  struct person *newest = memcpy(xcalloc(a->count + 1, sizeof *newest), a->people, a->count * sizeof *newest);
  qsort(newest, a->count, sizeof *newest, newest_first);
  for (uint32_t i = 0; i < a->count; i++) {
    bool is_active = newest[i].touch > now_ms - terms->active_ms;
    enum want want = !is_active ? WANT_IDLE : i >= terms->fanout ? WANT_DROPPED : WANT_COPY;
    enum want *slot = &wants[lead_id_slot(newest[i].id)];
    if (want > *slot) *slot = want;
  }
  free(newest);
  for (unsigned slot = 0; slot < SLOTS; slot++) {
    if (wants[slot] == WANT_COPY) send_copy(e, copy, slot, effects);
    effects->hits.dropped += wants[slot] == WANT_DROPPED;
    effects->hits.idle += wants[slot] == WANT_IDLE;
  }
  a->sent_ms = now_ms;
  a->is_dirty = false;
}

// What follows a change. `first`: a lead that must have a copy whatever is held back, or NULL.
static void tell(const struct entity *e, struct account *a, int64_t now_ms, const struct account_terms *terms,
                 bool at_once, const struct lead_id *first, struct message_effects *effects) {
  bool is_for_all = at_once || a->sent_ms == INT64_MIN;
  if (!is_for_all) a->is_dirty = true;
  if (!is_for_all && !first) return;
  struct buf copy = {0};
  put_copy(a, now_ms, copy_max(terms), &copy);
  if (is_for_all)
    send_copies(e, a, now_ms, terms, buf_bytes(&copy), effects);
  else
    send_copy(e, buf_bytes(&copy), lead_id_slot(*first), effects);
  buf_deinit(&copy);
}

static bool is_due(const struct account *a, int64_t now_ms, const struct account_terms *terms) {
  return a->sent_ms == INT64_MIN || now_ms - a->sent_ms >= terms->interval_ms;
}

static void finish(struct account *a, struct message_effects *effects) {
  put_account(a, &effects->state);
  free(a->people);
  free(a->traits);
}

// ---- kinds ----
struct update {
  int64_t touch;
  struct account_terms terms;
  bool is_urgent;
  struct bytes items;
};

#define TIME_MAX (INT64_C(1) << 60) // sums of two times stay in range
static bool take_time(struct mp *in, int64_t least, int64_t *out) {
  return take_int(in, out) && *out >= least && *out <= TIME_MAX;
}

// The bounds at a body's end.
static bool take_bounds(struct mp *in, struct account_terms *out) {
  struct mp_value head = mp_next(in);
  int64_t people, fanout;
  if (head.type != MP_ARRAY || head.count != 3) return false;
  if (!take_int(in, &people) || people < 1 || people > ACCOUNT_PEOPLE_MAX) return false;
  if (!take_int(in, &fanout) || fanout < 1 || fanout > ACCOUNT_PEOPLE_MAX) return false;
  out->people = (uint32_t)people;
  out->fanout = (uint32_t)fanout;
  return take_time(in, 0, &out->active_ms);
}

// How many there are, without the bounds; -1: no list.
static int take_list(struct mp *in, uint32_t most, bool *has_bounds) {
  struct mp_value head = mp_next(in);
  if (head.type != MP_ARRAY || head.count > most + 1) return -1;
  *has_bounds = head.count == most + 1;
  return (int)(head.count - *has_bounds);
}

// [time, interval, is_urgent, items]
static bool read_head(struct bytes body, struct update *out) {
  struct mp in = mp_of(body);
  bool has_bounds;
  *out = (struct update){.terms = ACCOUNT_TERMS_DEFAULT};
  if (take_list(&in, 4, &has_bounds) != 4 || !take_time(&in, -TIME_MAX, &out->touch) ||
      !take_time(&in, 0, &out->terms.interval_ms))
    return false;
  struct mp_value urgent = mp_next(&in);
  if (urgent.type != MP_BOOL) return false;
  out->is_urgent = urgent.b;
  out->items = mp_take(&in);
  return !has_bounds || take_bounds(&in, &out->terms);
}

static bool read_update(struct bytes body, struct update *out) {
  uint32_t count = 0;
  return read_head(body, out) && read_items(out->items, 0, NULL, &count);
}

static bool has_bounds(const struct account_terms *t) {
  return t->people != ACCOUNT_PEOPLE || t->fanout != ACCOUNT_FANOUT || t->active_ms != ACCOUNT_ACTIVE_MS;
}

static void put_bounds(struct buf *body, const struct account_terms *t) {
  if (!has_bounds(t)) return;
  mp_put_array(body, 3);
  mp_put_uint(body, t->people);
  mp_put_uint(body, t->fanout);
  mp_put_int(body, t->active_ms);
}

void account_put_update(struct buf *body, int64_t touch_ms, const struct account_terms *terms, bool is_urgent,
                        struct bytes contribution) {
  mp_put_array(body, 4 + has_bounds(terms));
  mp_put_int(body, touch_ms);
  mp_put_int(body, terms->interval_ms);
  mp_put_bool(body, is_urgent);
  mp_put_raw(body, contribution);
  put_bounds(body, terms);
}

void account_put_traits(struct buf *body, int64_t at_ms, const struct account_terms *terms, bool is_urgent,
                        struct bytes items) {
  account_put_update(body, at_ms, terms, is_urgent, items);
}

void account_put_leave(struct buf *body, const struct account_terms *terms) {
  mp_put_array(body, 1 + has_bounds(terms));
  mp_put_int(body, terms->interval_ms);
  put_bounds(body, terms);
}

void account_put_flush(struct buf *body, const struct account_terms *terms) {
  mp_put_array(body, has_bounds(terms));
  put_bounds(body, terms);
}

void account_update(const struct entity *before, const struct message *m, struct message_effects *effects) {
  struct update u;
  if (!read_update(m->body, &u)) {
    message_refuse(effects, ITD_EINVAL, "an account.update is [touch, interval, is_urgent, contribution]");
    return;
  }
  struct account a;
  read_account(entity_state(before), &a);
  struct person *p = find_person(&a, m->from);
  bool was_active = p && p->touch > m->at_ms - u.terms.active_ms;
  if (!p) {
    uint32_t at = place_of(&a, m->from);
    memmove(&a.people[at + 1], &a.people[at], (a.count - at) * sizeof *a.people);
    a.count++;
    p = &a.people[at];
  }
  *p = (struct person){.id = m->from, .touch = u.touch, .items = u.items};
  effects->hits.evicted += evict(&a, u.terms.people);
  if (u.touch < a.first) a.first = u.touch;
  if (u.touch > a.last) a.last = u.touch;
  bool at_once = u.is_urgent || is_due(&a, m->at_ms, &u.terms);
  tell(before, &a, m->at_ms, &u.terms, at_once, was_active ? NULL : &m->from, effects);
  finish(&a, effects);
}

void account_leave(const struct entity *before, const struct message *m, struct message_effects *effects) {
  struct mp in = mp_of(m->body);
  struct account_terms terms = ACCOUNT_TERMS_DEFAULT;
  bool has_bounds;
  if (take_list(&in, 1, &has_bounds) != 1 || !take_time(&in, 0, &terms.interval_ms) ||
      (has_bounds && !take_bounds(&in, &terms))) {
    message_refuse(effects, ITD_EINVAL, "an account.leave is [interval]");
    return;
  }
  struct account a;
  read_account(entity_state(before), &a);
  struct person *p = find_person(&a, m->from);
  if (p) {
    take_out(&a, (uint32_t)(p - a.people));
    tell(before, &a, m->at_ms, &terms, is_due(&a, m->at_ms, &terms), NULL, effects);
  }
  finish(&a, effects);
}

void account_flush(const struct entity *before, const struct message *m, struct message_effects *effects) {
  struct mp in = mp_of(m->body);
  struct account_terms terms = ACCOUNT_TERMS_DEFAULT;
  bool has_bounds; // what else the body says was never looked at
  if (take_list(&in, 0, &has_bounds) == 0 && has_bounds && !take_bounds(&in, &terms)) {
    message_refuse(effects, ITD_EINVAL, "an account.flush is []");
    return;
  }
  struct account a;
  read_account(entity_state(before), &a);
  if (a.is_dirty) tell(before, &a, m->at_ms, &terms, true, NULL, effects);
  finish(&a, effects);
}

// ---- traits ----
static bool read_trait(struct mp *in, struct trait *out) {
  struct mp_value head = mp_next(in);
  if (head.type != MP_ARRAY || head.count != 3) return false;
  struct mp_value key = mp_next(in), form = mp_next(in);
  bool is_whole = (key.type == MP_INT && key.i >= 0) || key.type == MP_UINT;
  if (!is_whole || form.type != MP_INT || form.i != ACCOUNT_TRAIT) return false;
  out->key = as_u64(key);
  out->value = mp_take(in);
  struct mp_value v = mp_value_of(out->value);
  if (v.type == MP_FLOAT) return v.f - v.f == 0;
  return v.type == MP_STR && v.s.n <= FEATURE_TEXT_MAX && bytes_is_utf8(v.s);
}

static bool read_said(struct bytes body, struct update *out, struct trait *traits, uint32_t *count) {
  struct mp in;
  if (!read_head(body, out)) return false;
  in = mp_of(out->items);
  struct mp_value head = mp_next(&in);
  if (head.type != MP_ARRAY || head.count > ACCOUNT_TRAITS_MAX) return false;
  *count = head.count;
  for (uint32_t i = 0; i < head.count; i++)
    if (!read_trait(&in, &traits[i])) return false;
  return true;
}

// Of two values, one kind each key: by size, or by bytes.
static bool is_greater(struct bytes a, struct bytes b) {
  struct mp_value x = mp_value_of(a), y = mp_value_of(b);
  if (x.type == MP_FLOAT && y.type == MP_FLOAT) return x.f > y.f;
  return bytes_compare(a, b) > 0;
}

static uint32_t place_of_trait(const struct account *a, uint64_t key) {
  uint32_t at = 0;
  while (at < a->trait_count && a->traits[at].key < key) at++;
  return at;
}

static void drop_trait(struct account *a) {
  uint32_t oldest = 0;
  for (uint32_t i = 1; i < a->trait_count; i++)
    if (a->traits[i].at_ms < a->traits[oldest].at_ms) oldest = i; // of equals the one with the lowest key
  memmove(&a->traits[oldest], &a->traits[oldest + 1], (a->trait_count - oldest - 1) * sizeof *a->traits);
  a->trait_count--;
}

// True: what copies say has changed.
static bool take_trait(struct account *a, const struct trait *said) {
  uint32_t at = place_of_trait(a, said->key);
  struct trait *t = &a->traits[at];
  if (at < a->trait_count && t->key == said->key) {
    bool is_later = said->at_ms > t->at_ms || (said->at_ms == t->at_ms && is_greater(said->value, t->value));
    bool is_other = !bytes_eq(said->value, t->value);
    if (is_later) *t = *said;
    return is_later && is_other;
  }
  memmove(t + 1, t, (a->trait_count - at) * sizeof *t);
  *t = *said;
  ++a->trait_count;
  return true;
}

void account_traits(const struct entity *before, const struct message *m, struct message_effects *effects) {
  struct update said;
  struct trait traits[ACCOUNT_TRAITS_MAX];
  uint32_t count = 0;
  if (!read_said(m->body, &said, traits, &count)) {
    message_refuse(effects, ITD_EINVAL, "an account.traits is [time, interval, is_urgent, [[key, 5, value], ...]]");
    return;
  }
  struct account a;
  bool is_changed = false;
  read_account(entity_state(before), &a);
  a.traits = xrealloc(a.traits, (a.trait_count + count + 1) * sizeof *a.traits);
  for (uint32_t i = 0; i < count; i++) {
    traits[i].at_ms = said.touch;
    is_changed |= take_trait(&a, &traits[i]);
    for (; a.trait_count > ACCOUNT_TRAITS_MAX; effects->hits.traits++) drop_trait(&a);
  }
  if (is_changed && a.count > 0) // nobody of whom it knows: nobody to tell
    tell(before, &a, m->at_ms, &said.terms, said.is_urgent || is_due(&a, m->at_ms, &said.terms), NULL, effects);
  finish(&a, effects);
}

void account_copy(const struct entity *before, const struct message *m, struct message_effects *effects) {
  (void)before;
  buf_append_bytes(&effects->state, m->body);
}

// ---- questions ----
bool account_is_dirty(const struct entity *e) {
  if (!e->bytes) return false;
  struct mp in = mp_of(entity_state(e));
  for (int i = 0; i < 5; i++) mp_next(&in); // the list's head, version, three times
  return mp_next(&in).b;
}

static void put_time(const char *key, int64_t ms, struct buf *out) {
  mp_put_cstr(out, key);
  if (ms == INT64_MIN || ms == INT64_MAX)
    mp_put_nil(out);
  else
    mp_put_int(out, ms);
}

void account_show(const struct entity *e, struct buf *out) {
  struct account a;
  const struct account_terms terms = ACCOUNT_TERMS_DEFAULT;
  char text[LEAD_ID_TEXT];
  read_account(entity_state(e), &a);
  lead_id_format(e->id, text);
  mp_put_map(out, 10);
  mp_put_cstr(out, "account");
  mp_put_cstr(out, text);
  put_time("clock", e->now_ms, out);
  put_time("first_touch", a.first, out);
  put_time("last_touch", a.last, out);
  put_time("copies_at", a.sent_ms, out);
  mp_put_cstr(out, "is_dirty");
  mp_put_bool(out, a.is_dirty);
  mp_put_cstr(out, "evicted");
  mp_put_uint(out, a.evicted);
  mp_put_cstr(out, "people");
  mp_put_array(out, a.count);
  for (uint32_t i = 0; i < a.count; i++) {
    lead_id_format(a.people[i].id, text);
    mp_put_map(out, 2);
    mp_put_cstr(out, "lead");
    mp_put_cstr(out, text);
    put_time("touch", a.people[i].touch, out);
  }
  mp_put_cstr(out, "traits");
  mp_put_array(out, a.trait_count);
  for (uint32_t i = 0; i < a.trait_count; i++) {
    snprintf(text, sizeof text, "%016llx", (unsigned long long)a.traits[i].key);
    mp_put_map(out, 3);
    mp_put_cstr(out, "key");
    mp_put_cstr(out, text);
    put_time("at", a.traits[i].at_ms, out);
    mp_put_cstr(out, "value");
    mp_put_raw(out, a.traits[i].value);
  }
  mp_put_cstr(out, "copy");
  put_copy(&a, e->now_ms, copy_max(&terms), out);
  free(a.people);
  free(a.traits);
}
