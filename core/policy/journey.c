#include "policy/journey.h"

#include "base/check.h"

struct policy_place *state_places(const struct policy *policy, const struct policy_state *state) {
  return (struct policy_place *)(uintptr_t)(state->memory + policy->artifact->memory_count);
}

static const struct artifact_stage *stage_of(const struct policy *policy, int stage) {
  return &policy->artifact->stage[stage];
}

static struct policy_place *place_of(const struct policy *policy, const struct policy_state *state, int stage) {
  return &state_places(policy, state)[stage_of(policy, stage)->place];
}

int state_leaf(const struct policy *policy, const struct policy_state *state, int machine) {
  return machine < 0 ? state->stage : place_of(policy, state, machine)->stage;
}

int64_t state_leaf_since(const struct policy *policy, const struct policy_state *state, int machine) {
  return machine < 0 ? state->stage_since_ms : place_of(policy, state, machine)->entered_ms;
}

static void drop_timers(const struct policy *policy, int stage, struct policy_state *state) {
  const struct artifact_timers *timers = &policy->artifact->timers[stage];
  for (size_t i = 0; i < timers->count; i++) state_drop_timer(state, timers->transition[i]);
}

// Enters what lies below `around` down to a leaf: arms timers, and notes in the stage around each that it is the last one there.
static void enter(const struct policy *policy, int around, int leaf, int64_t now_ms, struct policy_state *state) {
  for (int s = leaf; s != around && s >= 0; s = stage_of(policy, s)->parent) {
    const struct artifact_stage *stage = stage_of(policy, s);
    state_arm(policy, s, now_ms, now_ms, state);
    if (stage->place >= 0) place_of(policy, state, s)->entered_ms = now_ms;
    if (stage->parent >= 0) place_of(policy, state, stage->parent)->stage = (int16_t)s;
  }
  state_set_leaf(policy, leaf, now_ms, state);
}

void state_set_leaf(const struct policy *policy, int leaf, int64_t since_ms, struct policy_state *state) {
  int machine = stage_of(policy, leaf)->machine;
  if (machine < 0) {
    state->stage = (uint16_t)leaf;
    state->stage_since_ms = since_ms;
    return;
  }
  *place_of(policy, state, machine) = (struct policy_place){.entered_ms = since_ms, .stage = (int16_t)leaf};
}

void state_drop_machine(const struct policy *policy, int machine, struct policy_state *state) {
  for (size_t i = state->timer_count; i-- > 0;) {
    uint16_t index = state->timer[i].transition;
    int from = policy->artifact->entry[POLICY_TRANSITIONS][index].stage_from;
    if (stage_of(policy, from)->machine == machine) state_drop_timer(state, index);
  }
}

void state_enter(const struct policy *policy, uint16_t stage, int64_t entered_ms, struct policy_state *state) {
  int leaf = chart_leaf(policy->artifact, stage);
  state_drop_machine(policy, stage_of(policy, leaf)->machine, state);
  enter(policy, -1, leaf, entered_ms, state);
}

// The innermost stage around both ends of a transition, that is neither; -1: none.
static int around_of(const struct artifact *a, const struct policy_entry *go) {
  int around = a->stage[go->stage_from].parent;
  while (around >= 0 && !chart_within(a, a->stage[go->stage_to].parent, around)) around = a->stage[around].parent;
  return around;
}

// Where a transition leads; one that resumes, to the stage that the lead was in last.
static int target_of(const struct policy *policy, const struct policy_entry *go, const struct policy_state *state) {
  int to = go->stage_to;
  if (go->resumes && place_of(policy, state, to)->stage >= 0) to = place_of(policy, state, to)->stage;
  return chart_leaf(policy->artifact, to);
}

bool state_step(const struct policy *policy, uint16_t transition, int64_t now_ms, struct policy_state *state) {
  const struct artifact *a = policy->artifact;
  const struct policy_entry *go = &a->entry[POLICY_TRANSITIONS][transition];
  int leaf = state_leaf(policy, state, a->stage[go->stage_from].machine);
  if (!chart_within(a, leaf, go->stage_from)) return false;
  int around = around_of(a, go), target = target_of(policy, go, state);
  for (int s = leaf; s != around && s >= 0; s = a->stage[s].parent) drop_timers(policy, s, state);
  enter(policy, around, target, now_ms, state);
  return true;
}
