// The journey as the engine knows it: stages inside of stages, regions beside the main machine, and a lead's way through them. The
// compiled chunk says which transitions are taken; what each of them does to the state is done here, from the stages alone, and what
// the chunk says of the outcome is held against it. Semantics are SCXML's (https://www.w3.org/TR/scxml/): a transition exits what lies
// below the nearest stage around both its ends, and enters what lies on the way to its target and where that begins. Pure; any thread.
#pragma once
#include "policy/parts.h"

// In an artifact whose stages are read: checks that they are a tree as scripts/chart.lua makes it, and gathers it. Returns what is wrong
// with `stage`, or NULL.
const char *chart_gather(struct artifact *artifact, size_t *stage);
// Likewise of its timers. ITD_EPOLICY: more than POLICY_TIMERS_MAX can run at once.
int chart_gather_timers(struct artifact *artifact, struct error *err) ITD_MUST_USE;

bool chart_within(const struct artifact *artifact, int stage, int around); // is it, or lies inside it; -1 is around all
int chart_leaf(const struct artifact *artifact, int stage);                // where a lead is that enters it

// A lead's place in each compound stage and region, in the order of their numbers; behind the memory.
struct policy_place *state_places(const struct policy *policy, const struct policy_state *state);
// Where a lead is in a machine: the number of a region's stage, or -1 for the main one.
int state_leaf(const struct policy *policy, const struct policy_state *state, int machine);
int64_t state_leaf_since(const struct policy *policy, const struct policy_state *state, int machine);
// Takes a transition at that time. False: the lead is not in the stage that it comes from; nothing is changed.
bool state_step(const struct policy *policy, uint16_t transition, int64_t now_ms, struct policy_state *state);
