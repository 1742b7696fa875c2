// A lead's policy state: begin, enter a stage, timers, carry over to another version. Pure; any thread.
#include "base/check.h"
#include "policy/journey.h"

#include <math.h>
#include <stdlib.h>

_Static_assert(sizeof(struct policy_state) == 24 + 16 * POLICY_TIMERS_MAX,
               "the head has no padding: it is compared as bytes");

_Static_assert(sizeof(struct policy_place) == 16, "nor has a place");

size_t policy_state_size(const struct policy *policy) { return policy->state_size; }

// ---- timers ----

static const struct policy_entry *transition(const struct policy *policy, int index) {
  return &policy->artifact->entry[POLICY_TRANSITIONS][index];
}

// The defined order of firing: by due, then name; the number tells two of one name apart.
static bool fires_before(const struct policy *policy, const struct policy_timer *a, const struct policy_timer *b) {
  if (a->due_ms != b->due_ms) return a->due_ms < b->due_ms;
  int order = strcmp(transition(policy, a->transition)->name, transition(policy, b->transition)->name);
  return order != 0 ? order < 0 : a->transition < b->transition;
}

static void add_timer(const struct policy *policy, struct policy_state *state, uint16_t index, int64_t due_ms) {
  CHECK(state->timer_count < POLICY_TIMERS_MAX);
  struct policy_timer timer = {.due_ms = due_ms, .transition = index};
  size_t at = state->timer_count++;
  for (; at > 0 && fires_before(policy, &timer, &state->timer[at - 1]); at--) state->timer[at] = state->timer[at - 1];
  state->timer[at] = timer;
}

// When the timer of a transition is due whose stage was entered then. CALENDAR_NEVER: its calendar has no such time.
static int64_t due_of(const struct policy *policy, uint16_t index, int64_t entered_ms) {
  const struct policy_wait *wait = &transition(policy, index)->wait;
  const struct calendar *calendar = wait->calendar < 0 ? NULL : &policy->artifact->calendars[wait->calendar].calendar;
  switch (wait->kind) {
  case POLICY_WAITS: return entered_ms + wait->amount;
  case POLICY_WAITS_OPEN: return calendar_add(calendar, entered_ms, wait->amount);
  case POLICY_WAITS_DAYS: return calendar_add_days(calendar, entered_ms, (int)wait->amount);
  case POLICY_WAITS_AT: return calendar_next_at(calendar, entered_ms, wait->day, (int)wait->amount);
  case POLICY_WAITS_NOT: break;
  }
  return CALENDAR_NEVER;
}

static void arm(const struct policy *policy, struct policy_state *state, uint16_t index, int64_t due_ms) {
  if (due_ms != CALENDAR_NEVER) add_timer(policy, state, index, due_ms);
}

void state_drop_timer(struct policy_state *state, int index) {
  for (size_t i = 0; i < state->timer_count; i++) {
    if (state->timer[i].transition != index) continue;
    state->timer_count--;
    memmove(&state->timer[i], &state->timer[i + 1], (state->timer_count - i) * sizeof state->timer[0]);
    memset(&state->timer[state->timer_count], 0, sizeof state->timer[0]); // bytes that are not in use are 0
    return;
  }
}

void state_arm(const struct policy *policy, int stage, int64_t entered_ms, int64_t now_ms, struct policy_state *state) {
  const struct artifact_timers *timers = &policy->artifact->timers[stage];
  for (size_t i = 0; i < timers->count; i++) {
    uint16_t index = timers->transition[i];
    bool is_clock = transition(policy, index)->wait.kind == POLICY_WAITS_AT;
    arm(policy, state, index, due_of(policy, index, is_clock ? now_ms : entered_ms));
  }
}

// ---- begin, check ----

void policy_state_init(const struct policy *policy, int64_t now_ms, struct policy_state *state) {
  memset(state, 0, policy->state_size);
  state->owner = state->action = -1;
  const struct artifact *a = policy->artifact;
  if (a->memory_count > 0) memcpy(state->memory, a->memory_initial, a->memory_count * sizeof *state->memory);
  for (size_t i = 0; i < a->place_count; i++) state_places(policy, state)[i] = (struct policy_place){.stage = -1};
  state_enter(policy, 0, now_ms, state);
  for (size_t i = 0; i < a->region_count; i++) state_enter(policy, (uint16_t)a->region[i], now_ms, state);
}

size_t policy_regions(const struct policy *policy, int region[POLICY_REGIONS_MAX]) {
  const struct artifact *a = policy->artifact;
  for (size_t i = 0; i < a->region_count; i++) region[i] = a->region[i];
  return a->region_count;
}

int policy_state_region(const struct policy *policy, const struct policy_state *state, size_t index) {
  return state_leaf(policy, state, policy->artifact->region[index]);
}

static int corrupt(struct error *err, const char *what) {
  return error_set(err, ITD_ECORRUPT, "policy state: %s", what);
}

static int check_timers(const struct policy *policy, const struct policy_state *s, struct error *err) {
  if (s->timer_count > POLICY_TIMERS_MAX) return corrupt(err, "more timers than there may be");
  static const struct policy_timer none;
  const struct artifact *a = policy->artifact;
  for (size_t i = 0; i < POLICY_TIMERS_MAX; i++) {
    const struct policy_timer *timer = &s->timer[i];
    if (i >= s->timer_count) {
      if (memcmp(timer, &none, sizeof none) != 0) return corrupt(err, "bytes behind the last timer");
      continue;
    }
    if (timer->transition >= policy->artifact->count[POLICY_TRANSITIONS])
      return corrupt(err, "a timer of no transition");
    int from = transition(policy, timer->transition)->stage_from;
    if (!chart_within(a, state_leaf(policy, s, a->stage[from].machine), from))
      return corrupt(err, "a timer of another stage");
    if (timer->pad[0] || timer->pad[1] || timer->pad[2]) return corrupt(err, "bytes that are in no use");
    if (i > 0 && !fires_before(policy, timer - 1, timer)) return corrupt(err, "timers out of order");
  }
  return 0;
}

// A lead without a seat has nothing of one.
static int check_seat(const struct policy *policy, const struct policy_seat *seat, struct error *err) {
  static const struct policy_seat none;
  if (!seat->team && memcmp(seat, &none, sizeof none) != 0) return corrupt(err, "a seat in no team");
  if (seat->route > policy->artifact->count[POLICY_ROUTES]) return corrupt(err, "a seat of no route");
  if (seat->waits > 1 || seat->accept_due_ms < 0) return corrupt(err, "a seat that cannot be");
  return 0;
}

// A region's place names a leaf of it; a stage's, one inside it, and that is the one where the lead is when it is there.
static int check_places(const struct policy *policy, const struct policy_state *s, struct error *err) {
  const struct artifact *a = policy->artifact;
  for (int i = 0; i < (int)a->count[POLICY_STAGES]; i++) {
    const struct artifact_stage *stage = &a->stage[i];
    if (stage->place < 0) continue;
    const struct policy_place *place = &state_places(policy, s)[stage->place];
    int at = place->stage;
    if (at < -1 || at >= (int)a->count[POLICY_STAGES]) return corrupt(err, "a place in no stage");
    if (place->pad[0] || place->pad[1] || place->pad[2]) return corrupt(err, "bytes that are in no use");
    bool is_inside =
        at >= 0 && (stage->is_region ? a->stage[at].start < 0 && a->stage[at].machine == i : a->stage[at].parent == i);
    if (!is_inside && (stage->is_region || at >= 0)) return corrupt(err, "a place in a stage that is not inside it");
  }
  for (int i = 0; i < (int)a->count[POLICY_STAGES]; i++) {
    const struct artifact_stage *stage = &a->stage[i];
    if (stage->place < 0 || stage->is_region) continue;
    int leaf = state_leaf(policy, s, stage->machine), at = state_places(policy, s)[stage->place].stage;
    if (chart_within(a, leaf, i) && !(at >= 0 && chart_within(a, leaf, at)))
      return corrupt(err, "a place that is not on the way to the stage");
  }
  return 0;
}

static int check_head(const struct artifact *a, const struct policy_state *head, struct error *err) {
  if (head->stage >= a->count[POLICY_STAGES]) return corrupt(err, "no such stage");
  if (a->stage[head->stage].start >= 0 || a->stage[head->stage].machine >= 0)
    return corrupt(err, "a stage that is none of the innermost of the main ones");
  if (head->owner < -1 || head->owner >= (int64_t)a->count[POLICY_OWNERS]) return corrupt(err, "no such owner");
  if (head->action < -1 || head->action >= (int64_t)a->count[POLICY_ACTIONS]) return corrupt(err, "no such action");
  if (head->owner_is_manual > 1) return corrupt(err, "owner_is_manual");
  for (size_t i = 0; i < a->memory_count; i++)
    if (!isfinite(head->memory[i])) return corrupt(err, "memory that is no finite number");
  return 0;
}

int policy_state_check(const struct policy *policy, struct bytes bytes, struct error *err) {
  size_t least = policy->state_size - sizeof(struct policy_sales) - sizeof(struct policy_seat);
  if (bytes.n != policy->state_size && bytes.n != least && bytes.n != least + sizeof(struct policy_seat)) {
    return error_set(err, ITD_ECORRUPT, "policy state: %zu bytes, %zu in this version", bytes.n, policy->state_size);
  }
  struct policy_state *state = xcalloc(1, policy->state_size);
  memcpy(state, bytes.p, bytes.n); // the bytes may lie at any address
  int status = check_head(policy->artifact, state, err);
  if (status == 0) status = check_places(policy, state, err);
  const char *wrong = status == 0 ? sales_check(policy, state, policy_sales(policy, state)) : NULL;
  if (wrong) status = corrupt(err, wrong);
  if (status == 0) status = check_seat(policy, policy_seat(state, policy->state_size), err);
  if (status == 0) status = check_timers(policy, state, err);
  free(state);
  return status;
}

// ---- carry over ----

static int find_entry(const struct policy *policy, enum policy_table table, const char *name) {
  for (size_t i = 0; i < policy->artifact->count[table]; i++) {
    if (strcmp(policy->artifact->entry[table][i].name, name) == 0) return (int)i;
  }
  return -1;
}

static int16_t carry(const struct policy *from, const struct policy *to, enum policy_table table, int16_t index) {
  if (index < 0) return -1;
  return (int16_t)find_entry(to, table, from->artifact->entry[table][index].name);
}

// On the way back to a version before: `from` itself says what its stage was called there. -1: nothing, or more than one.
static int called_before(const struct policy *from, const struct policy *to, int stage) {
  int found = -1;
  for (size_t i = 0; i < from->artifact->count[POLICY_WAS]; i++) {
    const struct policy_entry *was = &from->artifact->entry[POLICY_WAS][i];
    int index = was->stage_to == stage ? find_entry(to, POLICY_STAGES, was->name) : -1;
    if (index >= 0 && found >= 0) return -1;
    if (index >= 0) found = index;
  }
  return found;
}

int state_stage_now(const struct policy *from, const struct policy *to, int stage, bool *is_merged) {
  int index = find_entry(to, POLICY_STAGES, from->artifact->entry[POLICY_STAGES][stage].name);
  *is_merged = false;
  if (index >= 0) return index;
  int was = find_entry(to, POLICY_WAS, from->artifact->entry[POLICY_STAGES][stage].name);
  if (was < 0) return called_before(from, to, stage);
  index = to->artifact->entry[POLICY_WAS][was].stage_to;
  *is_merged = find_entry(from, POLICY_STAGES, to->artifact->entry[POLICY_STAGES][index].name) >= 0;
  return index;
}

// The same stage, perhaps under a new name.
static bool is_same_stage(const struct policy *from, int before, const struct policy *to, int now) {
  bool is_merged;
  return state_stage_now(from, to, before, &is_merged) == now && !is_merged;
}

// The transition of `from` that `index` of `to` was: between the same stages, and at the same place among those. -1: it is new.
static int transition_before(const struct policy *from, const struct policy *to, int index) {
  const struct policy_entry *now = transition(to, index);
  int place = 0;
  for (int i = 0; i < index; i++) {
    const struct policy_entry *other = transition(to, i);
    place += other->stage_from == now->stage_from && other->stage_to == now->stage_to;
  }
  for (int i = 0; i < (int)from->artifact->count[POLICY_TRANSITIONS]; i++) {
    const struct policy_entry *t = transition(from, i);
    if (is_same_stage(from, t->stage_from, to, now->stage_from) &&
        is_same_stage(from, t->stage_to, to, now->stage_to) && place-- == 0)
      return i;
  }
  return -1;
}

// What became of the timer of transition `index` (of `to`) in the state before.
enum timer_past { TIMER_NEW, TIMER_GONE, TIMER_RUNNING };
static enum timer_past timer_past(const struct policy *from, const struct policy_state *old, const struct policy *to,
                                  int index, int64_t *due_ms) {
  int before = transition_before(from, to, index);
  if (before < 0 || transition(from, before)->wait.kind == POLICY_WAITS_NOT) return TIMER_NEW;
  for (size_t i = 0; i < old->timer_count; i++) {
    if (old->timer[i].transition != before) continue;
    *due_ms = old->timer[i].due_ms;
    return TIMER_RUNNING;
  }
  return TIMER_GONE; // it has fired: not a second time
}

// Of one stage that the lead is in, entered then.
static void carry_timers(const struct policy *from, const struct policy_state *old, const struct policy *to, int stage,
                         int64_t entered_ms, int64_t now_ms, struct policy_state *state) {
  const struct artifact_timers *timers = &to->artifact->timers[stage];
  for (size_t i = 0; i < timers->count; i++) {
    uint16_t index = timers->transition[i];
    bool is_clock =
        transition(to, index)->wait.kind == POLICY_WAITS_AT; // its next time lies ahead, whenever the lead came
    int64_t due_ms = due_of(to, index, is_clock ? now_ms : entered_ms);
    if (due_ms < now_ms) due_ms = now_ms;
    if (timer_past(from, old, to, index, &due_ms) != TIMER_GONE) arm(to, state, index, due_ms);
  }
}

// The stage of `from` that is the same as one of `to`; -1: it is new.
static int same_before(const struct policy *from, const struct policy *to, int stage) {
  for (int i = 0; i < (int)from->artifact->count[POLICY_STAGES]; i++)
    if (is_same_stage(from, i, to, stage)) return i;
  return -1;
}

// When the lead entered a stage around its own: as it was, where it was in the same one; else with its own.
static int64_t entered_before(const struct policy *from, const struct policy_state *old, const struct policy *to,
                              int stage, int64_t leaf_since_ms) {
  int before = same_before(from, to, stage);
  if (before < 0 || from->artifact->stage[before].place < 0) return leaf_since_ms;
  if (!chart_within(from->artifact, state_leaf(from, old, from->artifact->stage[before].machine), before))
    return leaf_since_ms;
  return state_places(from, old)[from->artifact->stage[before].place].entered_ms;
}

// Puts the lead where it was in a machine of `from`, if that is in `machine` of `to`; else it stays where that begins.
static void carry_machine(const struct policy *from, const struct policy_state *old, int before,
                          const struct policy *to, int machine, int64_t now_ms, struct policy_state *state) {
  bool is_merged;
  int stage = state_stage_now(from, to, state_leaf(from, old, before), &is_merged);
  if (stage < 0 || to->artifact->stage[stage].machine != machine || to->artifact->stage[stage].is_region) return;
  int leaf = chart_leaf(to->artifact, stage);
  state_enter(to, (uint16_t)leaf, now_ms, state);
  if (is_merged || leaf != stage) return;
  int64_t since_ms = state_leaf_since(from, old, before);
  state_drop_machine(to, machine, state);
  for (int s = leaf; s >= 0; s = to->artifact->stage[s].parent) {
    const struct artifact_stage *at = &to->artifact->stage[s];
    int64_t entered_ms = s == leaf ? since_ms : entered_before(from, old, to, s, since_ms);
    if (at->place >= 0) state_places(to, state)[at->place].entered_ms = entered_ms;
    carry_timers(from, old, to, s, entered_ms, now_ms, state);
  }
  state_set_leaf(to, leaf, since_ms, state);
}

// Where the lead was last in stages in which it is not.
static void carry_histories(const struct policy *from, const struct policy_state *old, const struct policy *to,
                            struct policy_state *state) {
  const struct artifact *a = to->artifact;
  for (int i = 0; i < (int)a->count[POLICY_STAGES]; i++) {
    const struct artifact_stage *stage = &a->stage[i];
    if (stage->place < 0 || stage->is_region || chart_within(a, state_leaf(to, state, stage->machine), i)) continue;
    int before = same_before(from, to, i);
    if (before < 0 || from->artifact->stage[before].place < 0) continue;
    const struct policy_place *place = &state_places(from, old)[from->artifact->stage[before].place];
    bool is_merged;
    int last = place->stage < 0 ? -1 : state_stage_now(from, to, place->stage, &is_merged);
    if (last < 0 || a->stage[last].parent != i) continue;
    state_places(to, state)[stage->place] =
        (struct policy_place){.entered_ms = place->entered_ms, .stage = (int16_t)last};
  }
}

static void carry_regions(const struct policy *from, const struct policy_state *old, const struct policy *to,
                          int64_t now_ms, struct policy_state *state) {
  for (size_t r = 0; r < to->artifact->region_count; r++) {
    int region = to->artifact->region[r], before = same_before(from, to, region);
    if (before >= 0 && from->artifact->stage[before].is_region)
      carry_machine(from, old, before, to, region, now_ms, state);
  }
}

static void carry_memory(const struct artifact *from, const struct policy_state *old, const struct artifact *to,
                         struct policy_state *state) {
  for (size_t i = 0; i < to->memory_count; i++) {
    for (size_t k = 0; k < from->memory_count; k++) {
      if (strcmp(to->memory_name[i], from->memory_name[k]) == 0) state->memory[i] = old->memory[k];
    }
  }
}

// What is due to a pool stays, whatever became of its team.
static void carry_seat(const struct policy *from, const struct policy_state *old, const struct policy *to,
                       struct policy_state *state) {
  struct policy_seat *seat = policy_seat(state, to->state_size);
  *seat = *policy_seat((struct policy_state *)(uintptr_t)old, from->state_size);
  if (seat->route) seat->route = (uint16_t)(carry(from, to, POLICY_ROUTES, (int16_t)(seat->route - 1)) + 1);
}

void policy_state_migrate(const struct policy *from, const struct policy_state *old, const struct policy *to,
                          int64_t now_ms, struct policy_state *state) {
  policy_state_init(to, now_ms, state);
  state->acted_ms = old->acted_ms;
  state->owner = carry(from, to, POLICY_OWNERS, old->owner);
  sales_migrate(from, old, to, state);
  state->action = carry(from, to, POLICY_ACTIONS, old->action);
  carry_memory(from->artifact, old, to->artifact, state);
  fields_migrate(from, old, to, state);
  carry_seat(from, old, to, state);
  carry_machine(from, old, -1, to, -1, now_ms, state);
  carry_regions(from, old, to, now_ms, state);
  carry_histories(from, old, to, state);
}

// ---- merge ----
static void merge_machine(const struct policy *policy, int machine, struct policy_state *into,
                          const struct policy_state *other) {
  const struct artifact *a = policy->artifact;
  int mine = state_leaf(policy, into, machine), theirs = state_leaf(policy, other, machine);
  int64_t since_ms = state_leaf_since(policy, other, machine);
  if (theirs < mine || (theirs == mine && since_ms >= state_leaf_since(policy, into, machine))) return;
  state_drop_machine(policy, machine, into);
  for (size_t i = 0; i < a->count[POLICY_STAGES]; i++) {
    const struct artifact_stage *stage = &a->stage[i];
    if (stage->machine == machine && stage->place >= 0)
      state_places(policy, into)[stage->place] = state_places(policy, other)[stage->place];
  }
  state_set_leaf(policy, theirs, since_ms, into);
  for (size_t i = 0; i < other->timer_count; i++) {
    const struct policy_timer *timer = &other->timer[i];
    if (a->stage[transition(policy, timer->transition)->stage_from].machine == machine)
      add_timer(policy, into, timer->transition, timer->due_ms);
  }
}

// A seat goes with its owner. Who waited for one waits no more under its name: it asks under the other's.
static void merge_seat(const struct policy *policy, struct policy_state *into, const struct policy_state *other,
                       bool takes_owner) {
  struct policy_seat *mine = policy_seat(into, policy->state_size);
  const struct policy_seat *theirs = policy_seat((struct policy_state *)(uintptr_t)other, policy->state_size);
  bool may_ask = !policy_owner_name(policy, into) && !mine->team && theirs->team && !theirs->person && theirs->route;
  if (takes_owner)
    *mine = theirs->person ? *theirs : (struct policy_seat){0};
  else if (may_ask)
    *mine = (struct policy_seat){.team = theirs->team, .route = theirs->route, .waits = theirs->waits};
}

// Times of actions, the latest first, are cells of the memory that follow on each other (scripts/compile_action.lua): "offer
// NAME 1 ago", "offer NAME 2 ago", …, likewise "channel NAME 1 ago", and "action 2 ago", …, since the last one of all is
// acted_ms. Returns how long ago the one in this cell is, counted so; 0: it is no such cell.
static int times_ago(const char *name) {
  if (strncmp(name, "action ", 7) != 0 && strncmp(name, "offer ", 6) != 0 && strncmp(name, "channel ", 8) != 0)
    return 0;
  size_t n = strlen(name);
  if (n < 6 || strcmp(name + n - 4, " ago") != 0) return 0;
  const char *digit = name + n - 4;
  while (digit > name && digit[-1] >= '0' && digit[-1] <= '9') digit--;
  return *digit == ' ' ? 0 : (int)strtol(digit, NULL, 10);
}

// The `n` latest of two lists, each of which falls; `mine` becomes them.
static void merge_times(double *mine, const double *theirs, size_t n) {
  double *merged = xmalloc((n + 1) * sizeof *merged);
  size_t m = 0, t = 0;
  for (size_t i = 0; i < n; i++) merged[i] = mine[m] >= theirs[t] ? mine[m++] : theirs[t++];
  memcpy(mine, merged, n * sizeof *mine);
  free(merged);
}

static void merge_actions(const struct artifact *a, struct policy_state *into, const struct policy_state *other) {
  double *list[2] = {xcalloc(2 * (a->memory_count + 1), sizeof **list), NULL};
  list[1] = list[0] + a->memory_count + 1;
  list[0][0] = (double)into->acted_ms, list[1][0] = (double)other->acted_ms;
  size_t first = 0;
  while (first < a->memory_count && strncmp(a->memory_name[first], "action ", 7) != 0) first++;
  size_t n = 0;
  while (first + n < a->memory_count && times_ago(a->memory_name[first + n]) == (int)n + 2 &&
         strncmp(a->memory_name[first + n], "action ", 7) == 0)
    n++;
  memcpy(list[0] + 1, into->memory + first, n * sizeof **list);
  memcpy(list[1] + 1, other->memory + first, n * sizeof **list);
  merge_times(list[0], list[1], n + 1);
  into->acted_ms = (int64_t)list[0][0];
  memcpy(into->memory + first, list[0] + 1, n * sizeof **list);
  free(list[0]);
}

static void merge_memory(const struct artifact *a, struct policy_state *into, const struct policy_state *other) {
  for (size_t i = 0; i < a->memory_count;) {
    size_t n = 0;
    while (i + n < a->memory_count && times_ago(a->memory_name[i + n]) == (int)n + 1) n++;
    if (n > 0) {
      merge_times(into->memory + i, other->memory + i, n);
    } else if (times_ago(a->memory_name[i]) == 0 && other->memory[i] > into->memory[i]) {
      into->memory[i] = other->memory[i];
    }
    i += n > 0 ? n : 1;
  }
}

void policy_state_merge(const struct policy *policy, struct policy_state *into, const struct policy_state *other) {
  const struct artifact *a = policy->artifact;
  struct policy_state *mine = memcpy(xmalloc(policy->state_size), into, policy->state_size);
  if (other->acted_ms > into->acted_ms) into->action = other->action;
  merge_actions(a, into, other);
  merge_memory(a, into, other);
  fields_merge(policy, mine, other, into);
  free(mine);
  merge_seat(policy, into, other, sales_merge(policy, into, other));
  merge_machine(policy, -1, into, other);
  for (size_t i = 0; i < a->region_count; i++) merge_machine(policy, a->region[i], into, other);
}
