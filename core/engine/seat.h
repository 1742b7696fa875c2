// A lead and the pools around one decision: whom it asks for an owner, what it gives back, what a grant makes of it
// (engine/pool.h). Pure; used by the engine alone.
//
// The seat in the lead's policy state says what it has: an owner's seat (person), or that it asked (ask). Whatever takes the owner away
// gives the seat back: another route, a hand, a final stage, a stage that frees, a merge, a version without him, being forgotten.
#pragma once
#include "engine/pool.h"
#include "policy/policy.h"

struct seat_facts {
  const struct policy *policy;
  bool is_overdue; // the owner has not accepted in time
  int64_t now_ms;
  uint32_t number; // of the decision at hand
};
struct seat_back {
  uint64_t team, person; // person 0: it waits no more
  uint32_t ask;
};
#define SEAT_BACKS_MAX 4
struct seat_orders { // what goes to pools
  struct seat_back back[SEAT_BACKS_MAX];
  unsigned backs;
  bool asks;
  uint64_t team;
  unsigned route; // whose team
  struct pool_asked asked;
};
// After the policy ran: follows what it decided. Changes the state, and in the outcome what became of the owner.
void seat_step(const struct seat_facts *facts, struct policy_state *state, struct policy_outcome *outcome,
               struct seat_orders *orders);
// Before the policy runs: takes a grant. False: the lead does not wait for it (any more), and nothing changed. A grant of somebody whom
// this version does not know goes back.
bool seat_take(const struct policy *policy, const struct pool_granted *granted, int64_t now_ms,
               struct policy_state *state, struct seat_orders *orders);
// What a lead gives back that took another in; the three seats are its own before, the other's, and its own now.
void seat_merged(const struct policy_seat *before, const struct policy_seat *other, const struct policy_seat *now,
                 struct seat_orders *orders);
// For a lead that is to be forgotten or sealed: all it has; one that is sealed hands its owner's seat over (`keeps_owner`).
void seat_leave(const struct policy_seat *seat, bool keeps_owner, struct seat_orders *orders);

// Where a team's pool is.
struct engine_pools {
  struct lead_id (*pool_of)(void *context, uint16_t workspace, uint64_t team);
  void *context;
};
// Appends the messages of the orders to a frame's list; none where nobody knows where pools are.
void seat_put(const struct seat_orders *orders, const struct policy *policy, const struct engine_pools *pools,
              uint16_t workspace, struct buf *list);
