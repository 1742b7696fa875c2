#include "engine/seat.h"

#include "base/check.h"

_Static_assert(POOL_PEOPLE_MAX == POLICY_TEAM_PEOPLE_MAX && POOL_LEAVES_MAX == POLICY_TEAM_LEAVES_MAX &&
                   POOL_SKILLS_MAX == POLICY_TEAM_SKILLS_MAX && POOL_NAME_BYTES == POLICY_PERSON_BYTES,
               "a policy's team is one for a pool");

static const struct policy_seat NO_SEAT;

static void add_back(struct seat_orders *orders, uint64_t team, uint64_t person, uint32_t ask) {
  CHECK(orders->backs < SEAT_BACKS_MAX);
  orders->back[orders->backs++] = (struct seat_back){team, person, ask};
}

// Gives back what the lead has, or stops waiting.
static void leave(struct policy_seat *seat, struct seat_orders *orders) {
  if (seat->person)
    add_back(orders, seat->team, seat->person, seat->ask);
  else if (seat->ask)
    add_back(orders, seat->team, 0, seat->ask);
  *seat = NO_SEAT;
}

static uint64_t owner_id(const struct policy *policy, const struct policy_state *state) {
  if (state->owner < 0) return 0;
  return pool_person(bytes_str(policy_entry(policy, POLICY_OWNERS, (size_t)state->owner)->name));
}

static uint64_t team_id(const struct policy *policy, const struct policy_turn *turn) {
  return pool_person(bytes_str(policy_team(policy, (size_t)turn->team)->name));
}

static bool is_in_team(const struct policy *policy, const struct policy_turn *turn, int owner) {
  const struct policy_team *team = policy_team(policy, (size_t)turn->team);
  for (size_t i = 0; i < team->count; i++)
    if (team->owner[i] == owner) return true;
  return false;
}

static int64_t accept_until(const struct policy_turn *turn, int64_t now_ms) {
  int64_t until;
  if (!turn->accept_ms || __builtin_add_overflow(now_ms, turn->accept_ms, &until)) return 0;
  return until > 0 ? until : 1;
}

// Who gave the lead back lately is not to get it again (docs/policy-guide.md#sales).
static void bar(const struct seat_facts *f, const struct policy_state *state, struct pool_asked *asked) {
  uint16_t who[POLICY_REJECTS];
  size_t at = 0, count = policy_barred(f->policy, state, f->now_ms, who);
  while (at < POOL_BARRED_MAX && asked->barred[at]) at++;
  for (size_t i = 0; i < count && at < POOL_BARRED_MAX; i++)
    asked->barred[at++] = pool_person(bytes_str(policy_entry(f->policy, POLICY_OWNERS, who[i])->name));
}

// Asks the pool of a route; the lead has no owner until that grants one.
static void ask(const struct seat_facts *f, unsigned route, struct pool_asked asked, struct policy_state *state,
                struct policy_seat *seat, struct policy_outcome *o, struct seat_orders *orders) {
  const struct policy_turn *turn = policy_turn(f->policy, route);
  bar(f, state, &asked);
  asked.ask = f->number;
  asked.pick = (enum pool_pick)turn->pick;
  asked.skill = turn->skill;
  *seat = (struct policy_seat){.team = team_id(f->policy, turn),
                               .ask = f->number,
                               .route = (uint16_t)(route + 1),
                               .tries = seat->tries,
                               .waits = !asked.may_refuse};
  orders->asks = true;
  orders->team = seat->team;
  orders->route = route;
  orders->asked = asked;
  policy_drop_owner(f->policy, state);
  o->owner = -1;
}

// A rule chose this team: the owner from before keeps the lead where that is wished and he has its seat, else the pool is asked.
static void route(const struct seat_facts *f, struct policy_state *state, struct policy_seat *seat,
                  struct policy_outcome *o, struct seat_orders *orders) {
  const struct policy_turn *turn = policy_turn(f->policy, (size_t)o->route);
  uint64_t owner = owner_id(f->policy, state);
  bool has_seat = owner && seat->person == owner && seat->team == team_id(f->policy, turn);
  if (turn->is_sticky && has_seat && is_in_team(f->policy, turn, state->owner)) {
    seat->route = (uint16_t)(o->route + 1);
    seat->tries = 0;
    seat->accept_due_ms = accept_until(turn, f->now_ms);
    return;
  }
  leave(seat, orders);
  struct pool_asked asked = {.may_refuse = turn->full >= 0, .rather = turn->is_sticky ? owner : 0};
  ask(f, (unsigned)o->route, asked, state, seat, o, orders);
}

static const struct policy_turn *turn_of(const struct policy *policy, const struct policy_seat *seat) {
  return seat->route ? policy_turn(policy, seat->route - 1u) : NULL;
}

// The owner said nothing in time: another one of the team, and after so many tries the other route.
static void route_again(const struct seat_facts *f, struct policy_state *state, struct policy_seat *seat,
                        struct policy_outcome *o, struct seat_orders *orders) {
  const struct policy_turn *turn = turn_of(f->policy, seat);
  uint64_t not_him = seat->person;
  unsigned route = seat->route - 1u;
  uint8_t tries = seat->tries < UINT8_MAX ? seat->tries + 1 : UINT8_MAX;
  bool goes_on = turn->accept_otherwise >= 0 && turn->accept_otherwise != (int)route;
  if (goes_on && tries > turn->accept_tries) {
    route = (unsigned)turn->accept_otherwise;
    goes_on = false;
  }
  leave(seat, orders);
  seat->tries = tries;
  struct pool_asked asked = {.may_refuse = goes_on || policy_turn(f->policy, route)->full >= 0, .barred = {not_him}};
  ask(f, route, asked, state, seat, o, orders);
  o->route = (int)route;
}

// A version that does not know the owner came: his lead asks again.
static bool is_orphan(const struct seat_facts *f, const struct policy_state *state, const struct policy_seat *seat) {
  return seat->person && state->owner < 0 && !state->owner_is_manual && turn_of(f->policy, seat);
}

// A stage does, or one around it.
static bool frees_owner(const struct policy *policy, int stage) {
  for (; stage >= 0; stage = policy_entry(policy, POLICY_STAGES, (size_t)stage)->stage_parent)
    if (policy_entry(policy, POLICY_STAGES, (size_t)stage)->frees_owner) return true;
  return false;
}

// No route was chosen: is what the lead has still what it should have?
static void settle(const struct seat_facts *f, struct policy_state *state, struct policy_seat *seat,
                   struct policy_outcome *o, struct seat_orders *orders) {
  const struct policy_entry *stage = policy_entry(f->policy, POLICY_STAGES, state->stage);
  bool has_moved = o->stage != o->stage_before;
  if (has_moved && frees_owner(f->policy, state->stage) && !state->owner_is_manual) {
    policy_drop_owner(f->policy, state);
    o->owner = -1;
    leave(seat, orders);
  }
  bool by_hand = o->said == SAID_OWNER_CLEARED || o->said == SAID_REJECTED;
  if (is_orphan(f, state, seat) && !by_hand && !stage->is_final && !has_moved) {
    struct policy_seat again = {.team = seat->team, .route = seat->route};
    leave(seat, orders);
    *seat = again;
  }
  bool is_pending = seat->team && !seat->person;
  bool is_left = is_pending ? has_moved || state->owner >= 0 || state->owner_is_manual
                            : seat->person != owner_id(f->policy, state);
  if (seat->team &&
      (stage->is_final || o->is_disqualified || is_left || (is_pending && !seat->ask && !turn_of(f->policy, seat))))
    leave(seat, orders);
  if (seat->team && !seat->person && !seat->ask)
    ask(f, seat->route - 1u, (struct pool_asked){.may_refuse = !seat->waits && turn_of(f->policy, seat)->full >= 0},
        state, seat, o, orders);
}

void seat_step(const struct seat_facts *f, struct policy_state *state, struct policy_outcome *o,
               struct seat_orders *orders) {
  struct policy_seat *seat = policy_seat(state, policy_state_size(f->policy));
  int16_t was = (int16_t)(o->owner_changed ? -2 : state->owner);
  const struct policy_turn *held = seat->person && !state->owner_is_manual ? turn_of(f->policy, seat) : NULL;
  bool is_again = f->is_overdue && held && held->accept_ms && o->stage == o->stage_before && !o->is_disqualified &&
                  seat->person == owner_id(f->policy, state);
  if (f->is_overdue || o->said == SAID_ACCEPTED) seat->accept_due_ms = 0;
  if (o->route >= 0 && policy_turn(f->policy, (size_t)o->route)) {
    route(f, state, seat, o, orders);
  } else if (o->route >= 0) {
    leave(seat, orders);
  } else if (is_again) {
    route_again(f, state, seat, o, orders);
  } else {
    settle(f, state, seat, o, orders);
  }
  o->owner_changed = was != state->owner;
  o->owner_pending = seat->team && !seat->person;
}

// Nobody has room: the next route, where the lead waits.
static void go_on(const struct policy *policy, struct policy_seat *seat) {
  const struct policy_turn *turn = turn_of(policy, seat);
  int next = !turn ? -1 : seat->tries && turn->accept_otherwise >= 0 ? turn->accept_otherwise : turn->full;
  bool may = next >= 0 && !seat->waits && next != seat->route - 1;
  *seat =
      may ? (struct policy_seat){.team = 1, .route = (uint16_t)(next + 1), .tries = seat->tries, .waits = 1} : NO_SEAT;
}

bool seat_take(const struct policy *policy, const struct pool_granted *g, int64_t now_ms, struct policy_state *state,
               struct seat_orders *orders) {
  struct policy_seat *seat = policy_seat(state, policy_state_size(policy));
  if (!seat->team || seat->person || seat->ask != g->ask) return false;
  if (!g->name.n) {
    go_on(policy, seat);
    return true;
  }
  for (size_t i = 0; i < policy_entries(policy, POLICY_OWNERS); i++) {
    if (!bytes_is(g->name, policy_entry(policy, POLICY_OWNERS, i)->name)) continue;
    const struct policy_turn *turn = turn_of(policy, seat);
    policy_drop_owner(policy, state);
    state->owner = (int16_t)i;
    seat->person = pool_person(g->name);
    seat->accept_due_ms = turn ? accept_until(turn, now_ms) : 0;
    return true;
  }
  add_back(orders, seat->team, pool_person(g->name), g->ask);
  seat->ask = 0; // once more, of the people of now
  return true;
}

void seat_merged(const struct policy_seat *before, const struct policy_seat *other, const struct policy_seat *now,
                 struct seat_orders *orders) {
  bool is_others = other->person && memcmp(other, now, sizeof *now) == 0;
  struct policy_seat left = is_others ? *before : *other;
  if (!is_others && !other->person) left = NO_SEAT;           // it has stopped waiting itself
  bool is_dropped = !is_others && before->team && !now->team; // an owner by hand came
  leave(&left, orders);
  struct policy_seat mine = *before;
  if (is_dropped) leave(&mine, orders);
}

void seat_leave(const struct policy_seat *seat, bool keeps_owner, struct seat_orders *orders) {
  struct policy_seat left = *seat;
  if (!left.person || !keeps_owner) leave(&left, orders);
}

void seat_put(const struct seat_orders *orders, const struct policy *policy, const struct engine_pools *pools,
              uint16_t workspace, struct buf *list) {
  struct buf body = {0};
  if (!pools->pool_of) return;
  for (unsigned i = 0; i < orders->backs; i++) {
    const struct seat_back *back = &orders->back[i];
    buf_clear(&body);
    pool_put_back(&body, back->ask, back->person);
    message_put(list, pools->pool_of(pools->context, workspace, back->team), MESSAGE_POOL_BACK, buf_bytes(&body));
  }
  if (orders->asks) {
    const struct policy_turn *turn = policy_turn(policy, orders->route);
    buf_clear(&body);
    pool_put_ask(&body, &orders->asked, policy_team(policy, (size_t)turn->team)->packed);
    message_put(list, pools->pool_of(pools->context, workspace, orders->team), MESSAGE_POOL_ASK, buf_bytes(&body));
  }
  buf_deinit(&body);
}
