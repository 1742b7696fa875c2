#include "engine/pool.h"

#include "base/check.h"

#include <stdlib.h>

#define FINENESS  1024 // parts of a lead for each thousandth of weight: what another unit rounds away is this fine
#define UNIT_MAX  ((int64_t)FINENESS * POOL_PEOPLE_MAX * POOL_WEIGHT_MAX)
#define LAG_MAX   (POOL_LAG_MAX * UNIT_MAX)
#define SHOWN_MAX 100u

struct person {
  struct bytes name, leave, skills; // the last two: packed lists, or empty
  uint64_t id;                      // pool_person
  int64_t weight, capacity;         // capacity -1: any number
  bool is_gone;                     // of the team no more
  int64_t lag, seats, grants;
};

struct waiting {
  struct lead_id lead;
  uint32_t ask;
  int64_t pick;
  uint64_t barred[POOL_BARRED_MAX], skill;
  int64_t since_ms;
};

struct pool {
  int64_t unit;          // of lags
  struct person *people; // room for POOL_PEOPLE_MAX + POOL_GONE_MAX + 1
  uint32_t count;
  struct waiting *queue; // room for one more than `waits`
  uint32_t waits;
  int64_t full; // times that nobody had room
};

_Static_assert(POOL_PEOPLE_MAX *(POOL_NAME_BYTES + POOL_LEAVES_MAX * 19 + 64) +
                       (POOL_GONE_MAX + 1) * (POOL_NAME_BYTES + 64) + POOL_QUEUE_MAX * 84 + 64 <
                   ENTITY_STATE_MAX,
               "a pool has room");
_Static_assert((POOL_LAG_MAX + 1) * UNIT_MAX < INT64_MAX / POOL_WEIGHT_MAX, "lags compare without overflow");

// ---- reading ----
static bool take_int(struct mp *in, int64_t least, int64_t most, int64_t *out) {
  struct mp_value v = mp_next(in);
  *out = v.i;
  return v.type == MP_INT && v.i >= least && v.i <= most;
}

static bool take_u64(struct mp *in, uint64_t *out) {
  struct mp_value v = mp_next(in);
  *out = v.type == MP_UINT ? v.u : (uint64_t)v.i;
  return v.type == MP_UINT || (v.type == MP_INT && v.i >= 0);
}

static bool take_list(struct mp *in, uint32_t least, uint32_t most, uint32_t *count) {
  struct mp_value v = mp_next(in);
  *count = v.count;
  return v.type == MP_ARRAY && v.count >= least && v.count <= most;
}

static bool is_leave(struct bytes list) {
  struct mp in = mp_of(list);
  uint32_t count, two;
  int64_t from, until;
  bool ok = take_list(&in, 0, POOL_LEAVES_MAX, &count);
  for (uint32_t i = 0; ok && i < count; i++)
    ok = take_list(&in, 2, 2, &two) && take_int(&in, INT64_MIN, INT64_MAX, &from) &&
         take_int(&in, from, INT64_MAX, &until);
  return ok;
}

static bool are_skills(struct bytes list) {
  struct mp in = mp_of(list);
  uint32_t count;
  uint64_t skill;
  bool ok = take_list(&in, 0, POOL_SKILLS_MAX, &count);
  for (uint32_t i = 0; ok && i < count; i++) ok = take_u64(&in, &skill);
  return ok;
}

// The part that teams and states share: name, weight, capacity, leave, skills.
static bool take_person(struct mp *in, struct person *p) {
  if (!mp_take_str(in, &p->name) || p->name.n < 1 || p->name.n > POOL_NAME_BYTES ||
      !take_int(in, 0, POOL_WEIGHT_MAX, &p->weight) || !take_int(in, -1, INT32_MAX, &p->capacity))
    return false;
  p->leave = mp_take(in);
  p->skills = mp_take(in);
  p->id = pool_person(p->name);
  return is_leave(p->leave) && are_skills(p->skills);
}

// False: it is no team. Points into `team`.
static bool read_team(struct bytes team, struct person *people, uint32_t *count) {
  struct mp in = mp_of(team);
  uint32_t parts;
  bool ok = take_list(&in, 0, POOL_PEOPLE_MAX, count);
  for (uint32_t i = 0; ok && i < *count; i++) {
    people[i] = (struct person){0};
    ok = take_list(&in, 5, 5, &parts) && take_person(&in, &people[i]);
    for (uint32_t k = 0; ok && k < i; k++) ok = people[k].id != people[i].id;
  }
  return ok;
}

static bool take_barred(struct mp *in, uint64_t barred[POOL_BARRED_MAX]) {
  uint32_t count;
  bool ok = take_list(in, 0, POOL_BARRED_MAX, &count);
  memset(barred, 0, POOL_BARRED_MAX * sizeof *barred);
  for (uint32_t i = 0; ok && i < count; i++) ok = take_u64(in, &barred[i]) && barred[i];
  return ok;
}

static void put_barred(const uint64_t barred[POOL_BARRED_MAX], struct buf *out) {
  uint32_t count = 0;
  while (count < POOL_BARRED_MAX && barred[count]) count++;
  mp_put_array(out, count);
  for (uint32_t i = 0; i < count; i++) mp_put_uint(out, barred[i]);
}

static bool is_barred(const uint64_t barred[POOL_BARRED_MAX], uint64_t person) {
  for (uint32_t i = 0; i < POOL_BARRED_MAX; i++)
    if (barred[i] == person) return true;
  return false;
}

static void read_queue(struct mp *in, struct pool *p) {
  p->waits = mp_next(in).count;
  p->queue = xcalloc(p->waits + 1, sizeof *p->queue);
  for (uint32_t i = 0; i < p->waits; i++) {
    struct waiting *w = &p->queue[i];
    int64_t ask;
    mp_next(in); // [
    struct mp_value id = mp_next(in);
    CHECK(id.type == MP_BIN && id.s.n == sizeof w->lead.b);
    memcpy(w->lead.b, id.s.p, sizeof w->lead.b);
    CHECK(take_int(in, 0, UINT32_MAX, &ask) && take_int(in, 0, POOL_PICK_END, &w->pick) && take_barred(in, w->barred) &&
          take_u64(in, &w->skill) && take_int(in, INT64_MIN, INT64_MAX, &w->since_ms));
    w->ask = (uint32_t)ask;
  }
}

// Points into `state`, which put_pool wrote.
static void read_pool(struct bytes state, struct pool *p) {
  *p = (struct pool){.unit = 1, .people = xcalloc(POOL_PEOPLE_MAX + POOL_GONE_MAX + 1, sizeof *p->people)};
  if (!state.n) {
    p->queue = xcalloc(1, sizeof *p->queue);
    return;
  }
  struct mp in = mp_of(state);
  int64_t version;
  CHECK(mp_next(&in).count == 5 && take_int(&in, 1, 1, &version) && take_int(&in, 1, UNIT_MAX, &p->unit));
  p->count = mp_next(&in).count;
  for (uint32_t i = 0; i < p->count; i++) {
    struct person *one = &p->people[i];
    mp_next(&in); // [
    CHECK(take_person(&in, one));
    one->is_gone = mp_next(&in).b;
    CHECK(take_int(&in, -LAG_MAX, LAG_MAX, &one->lag) && take_int(&in, 0, INT64_MAX, &one->seats) &&
          take_int(&in, 0, INT64_MAX, &one->grants));
  }
  read_queue(&in, p);
  CHECK(take_int(&in, 0, INT64_MAX, &p->full));
}

static void put_list(struct bytes list, struct buf *out) {
  if (list.n)
    mp_put_raw(out, list);
  else
    mp_put_array(out, 0);
}

static void put_pool(const struct pool *p, struct buf *out) {
  mp_put_array(out, 5);
  mp_put_int(out, 1);
  mp_put_int(out, p->unit);
  mp_put_array(out, p->count);
  for (uint32_t i = 0; i < p->count; i++) {
    const struct person *one = &p->people[i];
    mp_put_array(out, 9);
    mp_put_str(out, one->name);
    mp_put_int(out, one->weight);
    mp_put_int(out, one->capacity);
    put_list(one->leave, out);
    put_list(one->skills, out);
    mp_put_bool(out, one->is_gone);
    mp_put_int(out, one->lag);
    mp_put_int(out, one->seats);
    mp_put_int(out, one->grants);
  }
  mp_put_array(out, p->waits);
  for (uint32_t i = 0; i < p->waits; i++) {
    const struct waiting *w = &p->queue[i];
    mp_put_array(out, 6);
    mp_put_bin(out, bytes_of(w->lead.b, sizeof w->lead.b));
    mp_put_uint(out, w->ask);
    mp_put_int(out, w->pick);
    put_barred(w->barred, out);
    mp_put_uint(out, w->skill);
    mp_put_int(out, w->since_ms);
  }
  mp_put_int(out, p->full);
}

static void drop_pool(struct pool *p) {
  free(p->people);
  free(p->queue);
}

static void finish(struct pool *p, struct message_effects *effects) {
  put_pool(p, &effects->state);
  drop_pool(p);
}

// ---- who can ----
static struct person *find_person(const struct pool *p, uint64_t id) {
  for (uint32_t i = 0; i < p->count; i++)
    if (p->people[i].id == id) return &p->people[i];
  return NULL;
}

// Until when somebody is away; INT64_MIN: he is not.
static int64_t away_until(const struct person *one, int64_t now_ms) {
  if (!one->leave.n) return INT64_MIN;
  struct mp in = mp_of(one->leave);
  int64_t end = INT64_MIN;
  for (uint32_t left = mp_next(&in).count; left; left--) {
    mp_next(&in); // [
    int64_t from = mp_next(&in).i, until = mp_next(&in).i;
    if (from <= now_ms && now_ms < until && until > end) end = until;
  }
  return end;
}

static bool can(const struct person *one, int64_t now_ms) {
  return !one->is_gone && one->weight > 0 && (one->capacity < 0 || one->seats < one->capacity) &&
         away_until(one, now_ms) == INT64_MIN;
}

static bool knows(const struct person *one, uint64_t skill) {
  uint64_t his;
  if (!skill) return true;
  struct mp in = mp_of(one->skills);
  for (uint32_t left = one->skills.n ? mp_next(&in).count : 0; left; left--)
    if (take_u64(&in, &his) && his == skill) return true;
  return false;
}

// ---- whose turn it is ----
// Lags in another unit, towards zero.
static void use_unit(struct pool *p, int64_t unit) {
  __extension__ typedef __int128 wide;
  if (unit == p->unit) return;
  for (uint32_t i = 0; i < p->count; i++) p->people[i].lag = (int64_t)((wide)p->people[i].lag * unit / p->unit);
  p->unit = unit;
}

static int64_t kept_within(int64_t lag, int64_t unit) {
  int64_t most = POOL_LAG_MAX * unit;
  return lag > most ? most : lag < -most ? -most : lag;
}

// Whether a's next lead is due before b's; both have earned their shares of this one.
static bool is_due_before(const struct person *a, const struct person *b, int64_t unit) {
  if ((a->lag > 0) != (b->lag > 0)) return a->lag > 0;
  if (a->lag <= 0) return a->lag > b->lag; // nobody lags: who is least ahead
  return (unit - a->lag) * b->weight < (unit - b->lag) * a->weight;
}

static bool is_before(const struct pool *p, const struct person *a, const struct person *b, int64_t pick) {
  if (pick == POOL_LEAST_BUSY && a->seats * b->weight != b->seats * a->weight)
    return a->seats * b->weight < b->seats * a->weight;
  return is_due_before(a, b, p->unit);
}

// One lead's turn: the person who gets it, or NULL: nobody can.
static struct person *take_turn(struct pool *p, int64_t now_ms, const struct pool_asked *a) {
  bool may[POOL_PEOPLE_MAX + POOL_GONE_MAX], is_there = false;
  int64_t unit = 0;
  struct person *best = NULL;
  for (uint32_t i = 0; i < p->count; i++) {
    may[i] = can(&p->people[i], now_ms) && knows(&p->people[i], a->skill);
    if (may[i]) unit += FINENESS * p->people[i].weight;
    is_there |= may[i] && !is_barred(a->barred, p->people[i].id);
  }
  if (!is_there) return NULL;
  use_unit(p, unit);
  for (uint32_t i = 0; i < p->count; i++) {
    struct person *one = &p->people[i];
    if (may[i]) one->lag = kept_within(one->lag + FINENESS * one->weight, unit);
  }
  for (uint32_t i = 0; i < p->count; i++) {
    struct person *one = &p->people[i];
    if (!may[i] || is_barred(a->barred, one->id)) continue;
    if (!best || (best->id != a->rather && (one->id == a->rather || is_before(p, one, best, a->pick)))) best = one;
  }
  best->lag = kept_within(best->lag - unit, unit);
  best->seats++;
  best->grants++;
  return best;
}

static void put_grant(struct lead_id to, uint32_t ask, const struct person *one, struct message_effects *effects) {
  struct buf body = {0};
  mp_put_array(&body, 2);
  mp_put_uint(&body, ask);
  if (one)
    mp_put_str(&body, one->name);
  else
    mp_put_nil(&body);
  message_put(&effects->messages, to, MESSAGE_POOL_GRANT, buf_bytes(&body));
  buf_deinit(&body);
  if (one) effects->hits.granted++;
}

// ---- the queue ----
static bool has_room(const struct pool *p, int64_t now_ms) {
  for (uint32_t i = 0; i < p->count; i++)
    if (can(&p->people[i], now_ms)) return true;
  return false;
}

// Gives those who wait what there is, the first first.
static void serve(struct pool *p, int64_t now_ms, struct message_effects *effects) {
  uint32_t kept = 0;
  bool is_open = p->waits > 0 && has_room(p, now_ms);
  for (uint32_t i = 0; i < p->waits; i++) {
    struct waiting w = p->queue[i];
    struct pool_asked a = {.pick = (enum pool_pick)w.pick, .skill = w.skill};
    memcpy(a.barred, w.barred, sizeof a.barred);
    struct person *one = is_open ? take_turn(p, now_ms, &a) : NULL;
    if (one) {
      put_grant(w.lead, w.ask, one, effects);
      is_open = has_room(p, now_ms);
    } else {
      p->queue[kept++] = w;
    }
  }
  p->waits = kept;
}

static void stop_waiting(struct pool *p, struct lead_id lead, uint32_t ask) {
  for (uint32_t i = 0; i < p->waits; i++) {
    if (!lead_id_eq(p->queue[i].lead, lead) || p->queue[i].ask != ask) continue;
    memmove(&p->queue[i], &p->queue[i + 1], (p->waits - i - 1) * sizeof *p->queue);
    p->waits--;
    return;
  }
}

// ---- the team ----
static void drop_gone(struct pool *p) {
  uint32_t gone = 0, fewest = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    if (!p->people[i].is_gone) continue;
    if (!gone++ || p->people[i].seats < p->people[fewest].seats) fewest = i;
  }
  if (gone <= POOL_GONE_MAX) return;
  memmove(&p->people[fewest], &p->people[fewest + 1], (p->count - fewest - 1) * sizeof *p->people);
  p->count--;
}

// The people of the newest message, each with what he has; behind them those who left with seats.
static void use_team(struct pool *p, struct person *team, uint32_t count) {
  struct person *was = p->people;
  uint32_t was_count = p->count;
  p->people = xcalloc(POOL_PEOPLE_MAX + POOL_GONE_MAX + 1, sizeof *p->people);
  for (uint32_t i = 0; i < count; i++) {
    struct person *one = &p->people[i];
    *one = team[i];
    for (uint32_t k = 0; k < was_count; k++)
      if (was[k].id == one->id) one->lag = was[k].lag, one->seats = was[k].seats, one->grants = was[k].grants;
  }
  p->count = count;
  for (uint32_t k = 0; k < was_count; k++) {
    if (was[k].seats == 0 || find_person(p, was[k].id)) continue;
    struct person *one = &p->people[p->count++];
    *one = was[k];
    one->is_gone = true;
    one->leave = one->skills = (struct bytes){0};
    one->lag = 0;
    drop_gone(p);
  }
  free(was);
}

// ---- messages ----
static bool take_asked(struct mp *in, struct pool_asked *a) {
  int64_t ask, pick;
  if (!take_int(in, 1, UINT32_MAX, &ask) || !take_int(in, 1, POOL_PICK_END - 1, &pick)) return false;
  struct mp_value refuse = mp_next(in);
  *a = (struct pool_asked){.ask = (uint32_t)ask, .pick = (enum pool_pick)pick, .may_refuse = refuse.b};
  return refuse.type == MP_BOOL && take_barred(in, a->barred) && take_u64(in, &a->rather) && take_u64(in, &a->skill);
}

void pool_ask(const struct entity *before, const struct message *m, struct message_effects *effects) {
  struct pool p;
  struct pool_asked a;
  struct mp in = mp_of(m->body);
  uint32_t parts, count = 0;
  struct person *team = xcalloc(POOL_PEOPLE_MAX, sizeof *team);
  if (!take_list(&in, 7, 7, &parts) || !take_asked(&in, &a) || !read_team(mp_take(&in), team, &count)) {
    message_refuse(effects, ITD_EINVAL, "a pool.ask is [ask, pick, may_refuse, not, rather, skill, team]");
    free(team);
    return;
  }
  read_pool(entity_state(before), &p);
  use_team(&p, team, count);
  free(team);
  serve(&p, m->at_ms, effects); // who asked before comes first
  struct person *one = take_turn(&p, m->at_ms, &a);
  if (!one) {
    p.full++;
    effects->hits.full++;
  }
  if (one || a.may_refuse || p.waits >= POOL_QUEUE_MAX) {
    put_grant(m->from, a.ask, one, effects);
  } else {
    p.queue = xrealloc(p.queue, (p.waits + 1) * sizeof *p.queue);
    p.queue[p.waits++] =
        (struct waiting){.lead = m->from, .ask = a.ask, .pick = a.pick, .skill = a.skill, .since_ms = m->at_ms};
    memcpy(p.queue[p.waits - 1].barred, a.barred, sizeof a.barred);
    effects->hits.waits++;
  }
  finish(&p, effects);
}

void pool_back(const struct entity *before, const struct message *m, struct message_effects *effects) {
  struct pool p;
  struct mp in = mp_of(m->body);
  uint32_t parts;
  int64_t ask;
  uint64_t id;
  if (!take_list(&in, 2, 2, &parts) || !take_int(&in, 0, UINT32_MAX, &ask) || !take_u64(&in, &id)) {
    message_refuse(effects, ITD_EINVAL, "a pool.back is [ask, person]");
    return;
  }
  read_pool(entity_state(before), &p);
  struct person *one = id ? find_person(&p, id) : NULL;
  if (!id) stop_waiting(&p, m->from, (uint32_t)ask);
  if (one && one->seats > 0) one->seats--;
  if (one && one->is_gone && one->seats == 0) {
    memmove(one, one + 1, (p.count - (uint32_t)(one - p.people) - 1) * sizeof *one);
    p.count--;
  }
  serve(&p, m->at_ms, effects);
  finish(&p, effects);
}

void pool_team(const struct entity *before, const struct message *m, struct message_effects *effects) {
  struct pool p;
  struct mp in = mp_of(m->body);
  uint32_t parts, count = 0;
  struct person *team = xcalloc(POOL_PEOPLE_MAX, sizeof *team);
  if (!take_list(&in, 1, 1, &parts) || !read_team(mp_take(&in), team, &count)) {
    message_refuse(effects, ITD_EINVAL, "a pool.team is [team]");
  } else {
    read_pool(entity_state(before), &p);
    use_team(&p, team, count);
    serve(&p, m->at_ms, effects);
    finish(&p, effects);
  }
  free(team);
}

void pool_wake(const struct entity *before, const struct message *m, struct message_effects *effects) {
  struct pool p;
  read_pool(entity_state(before), &p);
  serve(&p, m->at_ms, effects);
  finish(&p, effects);
}

// ---- for senders ----
void pool_put_ask(struct buf *body, const struct pool_asked *a, struct bytes team) {
  mp_put_array(body, 7);
  mp_put_uint(body, a->ask);
  mp_put_int(body, a->pick);
  mp_put_bool(body, a->may_refuse);
  put_barred(a->barred, body);
  mp_put_uint(body, a->rather);
  mp_put_uint(body, a->skill);
  mp_put_raw(body, team);
}

void pool_put_back(struct buf *body, uint32_t ask, uint64_t person) {
  mp_put_array(body, 2);
  mp_put_uint(body, ask);
  mp_put_uint(body, person);
}

void pool_put_team(struct buf *body, struct bytes team) {
  mp_put_array(body, 1);
  mp_put_raw(body, team);
}

void pool_put_wake(struct buf *body) { mp_put_array(body, 0); }

bool pool_read_grant(struct bytes body, struct pool_granted *out) {
  struct mp in = mp_of(body);
  uint32_t parts;
  int64_t ask;
  if (!body.n || !take_list(&in, 2, 2, &parts) || !take_int(&in, 1, UINT32_MAX, &ask)) return false;
  *out = (struct pool_granted){.ask = (uint32_t)ask};
  if (mp_peek(&in) == MP_NIL) return true;
  return mp_take_str(&in, &out->name) && out->name.n > 0;
}

// ---- questions ----
static bool is_same(const struct person *a, const struct person *b) {
  return bytes_eq(a->name, b->name) && a->weight == b->weight && a->capacity == b->capacity &&
         bytes_eq(a->leave, b->leave) && bytes_eq(a->skills, b->skills) && a->is_gone == b->is_gone;
}

bool pool_is_of(const struct entity *e, struct bytes team) {
  struct pool p;
  struct person *people = xcalloc(POOL_PEOPLE_MAX, sizeof *people);
  uint32_t count = 0;
  read_pool(entity_state(e), &p);
  bool is = read_team(team, people, &count) && count <= p.count;
  for (uint32_t i = 0; is && i < count; i++) is = is_same(&people[i], &p.people[i]);
  for (uint32_t i = count; is && i < p.count; i++) is = p.people[i].is_gone;
  drop_pool(&p);
  free(people);
  return is;
}

int64_t pool_due(const struct entity *e) {
  struct pool p;
  int64_t due_ms = INT64_MAX;
  read_pool(entity_state(e), &p);
  for (uint32_t i = 0; p.waits && i < p.count; i++) {
    int64_t until = away_until(&p.people[i], e->now_ms);
    if (until != INT64_MIN && !p.people[i].is_gone && until < due_ms) due_ms = until;
  }
  drop_pool(&p);
  return due_ms;
}

static void put_person(const struct person *one, int64_t now_ms, struct buf *out) {
  int64_t until = away_until(one, now_ms);
  mp_put_map(out, 7);
  mp_put_cstr(out, "name"), mp_put_str(out, one->name);
  mp_put_cstr(out, "weight"), mp_put_float(out, (double)one->weight / 1000);
  mp_put_cstr(out, "capacity");
  if (one->capacity < 0)
    mp_put_nil(out);
  else
    mp_put_int(out, one->capacity);
  mp_put_cstr(out, "seats"), mp_put_int(out, one->seats);
  mp_put_cstr(out, "grants"), mp_put_int(out, one->grants);
  mp_put_cstr(out, "is_gone"), mp_put_bool(out, one->is_gone);
  mp_put_cstr(out, "on_leave_until");
  if (until == INT64_MIN)
    mp_put_nil(out);
  else
    mp_put_int(out, until);
}

void pool_show(const struct entity *e, struct buf *out) {
  struct pool p;
  char text[LEAD_ID_TEXT];
  read_pool(entity_state(e), &p);
  lead_id_format(e->id, text);
  mp_put_map(out, 6);
  mp_put_cstr(out, "pool"), mp_put_cstr(out, text);
  mp_put_cstr(out, "clock"), mp_put_int(out, e->now_ms);
  mp_put_cstr(out, "people"), mp_put_array(out, p.count);
  for (uint32_t i = 0; i < p.count; i++) put_person(&p.people[i], e->now_ms, out);
  uint32_t shown = p.waits < SHOWN_MAX ? p.waits : SHOWN_MAX;
  mp_put_cstr(out, "waiting"), mp_put_array(out, shown);
  for (uint32_t i = 0; i < shown; i++) {
    lead_id_format(p.queue[i].lead, text);
    mp_put_map(out, 2);
    mp_put_cstr(out, "lead"), mp_put_cstr(out, text);
    mp_put_cstr(out, "since"), mp_put_int(out, p.queue[i].since_ms);
  }
  mp_put_cstr(out, "waits"), mp_put_uint(out, p.waits);
  mp_put_cstr(out, "full"), mp_put_int(out, p.full);
  drop_pool(&p);
}
