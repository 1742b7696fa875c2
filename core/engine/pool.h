// A pool: whose turn it is among the people of a team. A lead that is to get an owner asks; the pool grants an owner's turn, or
// lets the lead wait until somebody has room; who leaves an owner gives the seat back. Pure (docs/decisions/pools.md).
//
// Messages, all bodies MessagePack:
//   pool.ask   [ask, pick, may_refuse, not, rather, skill, team], from a lead: wants an owner. `ask` is the running number of the
//              decision that asks, and comes back with the grant. `not` are people (pool_person) who are not
//              to get the lead, [] or up to POOL_BARRED_MAX; `rather` one who is to get it if he can, 0: nobody. skill: what he must know, 0: nothing. may_refuse: where nobody has room, say so;
//              else the lead waits in the pool.
//   pool.back  [ask, person], from a lead: gives its seat back; with person 0: it wants no owner any more
//   pool.team  [team], from outside: these are the people now
//   pool.wake  [], from outside: a leave is over
//   pool.grant [ask, name or nil], to the lead: its owner, or nil: nobody has room
// A team is [[name, weight, capacity, [[from, until], …], [skill, …]], …]: weight in thousandths, 0: gets none; capacity: seats at most,
// -1: any number; times of leave in ms; skills as pool_person has them. So a pool knows no declarations: of which people it is says the latest message,
// and journals are folded with what their messages say.
//
// Who gets it. Of those who can (weight above 0, not on leave, a free seat, the skill, not the one who must not) the one who is rather to
// get it; else by `pick`:
//   POOL_ROUND_ROBIN  whom the shares are due to. Each has a lag: how much of a lead his weight has earned him, less what he got.
//                     Per grant each who can earns his share of one lead; of those who lag the one whose next lead is due first
//                     (his lag reaches 1) gets it. As long as the same people can, nobody is ever a whole lead off his share:
//                     this is earliest-deadline-first of proportionate progress (Baruah, Cohen, Plaxton, Varvel 1996) on one
//                     resource. Who can not earns nothing meanwhile, and goes on with the lag that he had. Lags are kept within POOL_LAG_MAX leads.
//   POOL_LEAST_BUSY   who has the fewest seats for his weight; of equals whom the shares are due to
// Leads that wait are served in the order in which they asked.
//
// State: [1, unit, [[name, weight, capacity, leave, skills, is_gone, lag, seats, grants], …], [[lead, ask, pick, not, skill, since], …], times
// that nobody had room]; people in the team's order, behind them those who are gone and have seats yet. Lags are in parts of a
// lead, `unit` of which make one: so many that the shares of those who can are whole numbers, and nothing is rounded while
// these stay the same.
#pragma once
#include "base/hash.h"
#include "engine/message.h"

#define POOL_PEOPLE_MAX 512u // of a team
#define POOL_NAME_BYTES 128u
#define POOL_LEAVES_MAX 16u // of a person
#define POOL_SKILLS_MAX 16u
#define POOL_BARRED_MAX 4u
#define POOL_GONE_MAX   256u  // people who left the team and have seats; the one with the fewest is dropped
#define POOL_QUEUE_MAX  4096u // leads that wait; beyond that one is told that nobody has room
#define POOL_LAG_MAX    4
#define POOL_WEIGHT_MAX 1000000 // thousandths

enum pool_pick { POOL_ROUND_ROBIN = 1, POOL_LEAST_BUSY = 2, POOL_PICK_END };

// What a person is called in messages, and a team where it is kept short; never 0.
static inline uint64_t pool_person(struct bytes name) {
  uint64_t h = hash64(name);
  return h ? h : 1;
}

void pool_ask(const struct entity *before, const struct message *message, struct message_effects *effects);
void pool_back(const struct entity *before, const struct message *message, struct message_effects *effects);
void pool_team(const struct entity *before, const struct message *message, struct message_effects *effects);
void pool_wake(const struct entity *before, const struct message *message, struct message_effects *effects);

// For senders. `team`: a packed team.
struct pool_asked {
  uint32_t ask;
  enum pool_pick pick;
  bool may_refuse;
  uint64_t barred[POOL_BARRED_MAX]; // those behind the last are 0
  uint64_t rather, skill;
};
void pool_put_ask(struct buf *body, const struct pool_asked *asked, struct bytes team);
void pool_put_back(struct buf *body, uint32_t ask, uint64_t person);
void pool_put_team(struct buf *body, struct bytes team);
void pool_put_wake(struct buf *body);

struct pool_granted {
  uint32_t ask;
  struct bytes name; // empty: nobody has room
};
bool pool_read_grant(struct bytes body, struct pool_granted *out); // views into it; false: it is none

// Whether it knows these people so, and no others.
bool pool_is_of(const struct entity *pool, struct bytes team);
// When the pool is to be woken (a leave is over, and leads wait); INT64_MAX: never.
int64_t pool_due(const struct entity *pool);
// {pool, clock, people: [{name, weight, capacity, seats, grants, is_gone, on_leave_until}], waiting: [{lead, since}], waits, full}: for people who
// ask; of those that wait the first 100.
void pool_show(const struct entity *pool, struct buf *out);
