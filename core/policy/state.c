// A lead's policy state: begin, enter a stage, timers, carry over to another version. Pure; any thread.
#include "base/check.h"
#include "policy/parts.h"

#include <math.h>
#include <stdlib.h>

_Static_assert(sizeof(struct policy_state) == 24 + 16 * POLICY_TIMERS_MAX,
               "the head has no padding: it is compared as bytes");

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

void state_enter(const struct policy *policy, uint16_t stage, int64_t entered_ms, struct policy_state *state) {
  memset(state->timer, 0, sizeof state->timer);
  state->timer_count = 0;
  state->stage = stage;
  state->stage_since_ms = entered_ms;
  const struct artifact_timers *timers = &policy->artifact->timers[stage];
  for (size_t i = 0; i < timers->count; i++) {
    uint16_t index = timers->transition[i];
    arm(policy, state, index, due_of(policy, index, entered_ms));
  }
}

// ---- begin, check ----

void policy_state_init(const struct policy *policy, int64_t now_ms, struct policy_state *state) {
  memset(state, 0, policy->state_size);
  state->owner = state->action = -1;
  const struct artifact *a = policy->artifact;
  if (a->memory_count > 0) memcpy(state->memory, a->memory_initial, a->memory_count * sizeof *state->memory);
  state_enter(policy, 0, now_ms, state);
}

static int corrupt(struct error *err, const char *what) {
  return error_set(err, ITD_ECORRUPT, "policy state: %s", what);
}

static int check_timers(const struct policy *policy, const struct policy_state *s, struct error *err) {
  if (s->timer_count > POLICY_TIMERS_MAX) return corrupt(err, "more timers than there may be");
  static const struct policy_timer none;
  for (size_t i = 0; i < POLICY_TIMERS_MAX; i++) {
    const struct policy_timer *timer = &s->timer[i];
    if (i >= s->timer_count) {
      if (memcmp(timer, &none, sizeof none) != 0) return corrupt(err, "bytes behind the last timer");
      continue;
    }
    if (timer->transition >= policy->artifact->count[POLICY_TRANSITIONS])
      return corrupt(err, "a timer of no transition");
    if (transition(policy, timer->transition)->stage_from != s->stage) return corrupt(err, "a timer of another stage");
    if (timer->pad[0] || timer->pad[1] || timer->pad[2]) return corrupt(err, "bytes that are in no use");
    if (i > 0 && !fires_before(policy, timer - 1, timer)) return corrupt(err, "timers out of order");
  }
  return 0;
}

int policy_state_check(const struct policy *policy, struct bytes bytes, struct error *err) {
  size_t least = policy->state_size - sizeof(struct policy_sales);
  if (bytes.n != policy->state_size && bytes.n != least) {
    return error_set(err, ITD_ECORRUPT, "policy state: %zu bytes, %zu in this version", bytes.n, policy->state_size);
  }
  const struct artifact *a = policy->artifact;
  struct policy_state head;
  memcpy(&head, bytes.p, sizeof head); // the bytes may lie at any address
  if (head.stage >= a->count[POLICY_STAGES]) return corrupt(err, "no such stage");
  if (head.owner < -1 || head.owner >= (int64_t)a->count[POLICY_OWNERS]) return corrupt(err, "no such owner");
  if (head.action < -1 || head.action >= (int64_t)a->count[POLICY_ACTIONS]) return corrupt(err, "no such action");
  if (head.owner_is_manual > 1) return corrupt(err, "owner_is_manual");
  for (size_t i = 0; i < a->memory_count; i++) {
    double x;
    memcpy(&x, bytes.p + sizeof head + i * sizeof x, sizeof x);
    if (!isfinite(x)) return corrupt(err, "memory that is no finite number");
  }
  struct policy_sales sales = {0};
  if (bytes.n > least) memcpy(&sales, bytes.p + least, sizeof sales);
  const char *wrong = sales_check(policy, &head, &sales);
  return wrong ? corrupt(err, wrong) : check_timers(policy, &head, err);
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

static void carry_timers(const struct policy *from, const struct policy_state *old, const struct policy *to,
                         int64_t now_ms, struct policy_state *state) {
  const struct artifact_timers *timers = &to->artifact->timers[state->stage];
  for (size_t i = 0; i < timers->count; i++) {
    uint16_t index = timers->transition[i];
    bool is_clock =
        transition(to, index)->wait.kind == POLICY_WAITS_AT; // its next time lies ahead, whenever the lead came
    int64_t due_ms = due_of(to, index, is_clock ? now_ms : state->stage_since_ms);
    if (due_ms < now_ms) due_ms = now_ms;
    if (timer_past(from, old, to, index, &due_ms) != TIMER_GONE) arm(to, state, index, due_ms);
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

void policy_state_migrate(const struct policy *from, const struct policy_state *old, const struct policy *to,
                          int64_t now_ms, struct policy_state *state) {
  policy_state_init(to, now_ms, state);
  state->acted_ms = old->acted_ms;
  state->owner = carry(from, to, POLICY_OWNERS, old->owner);
  sales_migrate(from, old, to, state);
  state->action = carry(from, to, POLICY_ACTIONS, old->action);
  carry_memory(from->artifact, old, to->artifact, state);
  bool is_merged;
  int stage = state_stage_now(from, to, old->stage, &is_merged);
  if (stage >= 0 && is_merged) state_enter(to, (uint16_t)stage, now_ms, state);
  if (stage < 0 || is_merged) return;
  memset(state->timer, 0, sizeof state->timer);
  state->timer_count = 0;
  state->stage = (uint16_t)stage;
  state->stage_since_ms = old->stage_since_ms;
  carry_timers(from, old, to, now_ms, state);
}

// ---- merge ----
static void merge_journey(struct policy_state *into, const struct policy_state *other) {
  bool is_further = other->stage > into->stage;
  if (!is_further && (other->stage < into->stage || other->stage_since_ms >= into->stage_since_ms)) return;
  into->stage = other->stage;
  into->stage_since_ms = other->stage_since_ms;
  into->timer_count = other->timer_count;
  memcpy(into->timer, other->timer, sizeof into->timer);
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
  if (other->acted_ms > into->acted_ms) into->action = other->action;
  merge_actions(a, into, other);
  merge_memory(a, into, other);
  sales_merge(policy, into, other);
  merge_journey(into, other);
}
