// What a loaded policy consists of, shared by the files of this layer and by nobody above it.
#pragma once
#include "policy/artifact.h"
#include "policy/bundle.h"

#include <stdatomic.h>

struct policy {
  atomic_uint references;
  struct policy_info info;
  struct bundle bundle; // owns all texts; modules and names point into it
  struct artifact *artifact;
  struct feature_set *features;
  struct schema_set *schemas;
  struct quality *quality;
  struct personal_paths personal; // the set's and its schemas'
  struct model *model[BUNDLE_MODELS];
  struct model_bound *bound[BUNDLE_MODELS];
  struct model *canary_model[BUNDLE_MODELS];
  struct model_bound *canary[BUNDLE_MODELS];
  uint64_t canary_salt[BUNDLE_MODELS];
  int *test_feature;   // of each text test: its feature's index
  int *age_feature;    // of each age: likewise
  int *quiet_feature;  // of quiet hours: whose text says the zone; -1: none
  struct buf vm_input; // what the build is run with once more for the custom functions
  size_t state_size;
};

// decide.c and trace.c: one shard's call into it.
// Of a lead whose call its deadline stops, another try is only made where that has not happened for so many calls.
#define STOP_RARE 1000
struct policy_vm {
  uint64_t calls, stopped_at; // how many there were, and the last one that its deadline stopped
  struct policy *policy;      // retained
  struct vm *vm;
  struct policy_state *state; // scratch, so that a failure leaves the caller's as it is
  struct policy_outcome outcome;
};

static inline size_t policy_stage_count(const struct policy *p) { return p->artifact->count[POLICY_STAGES]; }

// journey.c: puts the lead into `stage` of its machine (or where that begins), as of `entered_ms`: what lies around it is entered as well,
// and the machine's timers are cancelled before.
void state_enter(const struct policy *policy, uint16_t stage, int64_t entered_ms, struct policy_state *state);
// The stage of `to` that leads of that stage of `from` are in: by its name, or as journey.was says in `to`, or else, for a way back, in `from`; -1: nothing is said. `is_merged`:
// it is one that `from` knew already.
int state_stage_now(const struct policy *from, const struct policy *to, int stage, bool *is_merged);
// Likewise, a part each: makes a leaf the one of its machine; cancels a machine's timers (-1: the main one's).
void state_set_leaf(const struct policy *policy, int leaf, int64_t since_ms, struct policy_state *state);
void state_drop_machine(const struct policy *policy, int machine, struct policy_state *state);
// state.c: arms the timers of one stage that was entered then; those that go by the clock, from `now_ms` on.
void state_arm(const struct policy *policy, int stage, int64_t entered_ms, int64_t now_ms, struct policy_state *state);
// Takes away the timer of a transition, if there is one.
void state_drop_timer(struct policy_state *state, int transition);

// offers.c: reads what was taken of the offers, and what was not and why, of an output whose owner, stage and so on are read.
// ITD_ESTOPPED: what does not hold.
int offers_read(const struct artifact *artifact, const double *out, struct policy_outcome *outcome,
                struct error *err) ITD_MUST_USE;

// memory.c: what the policy keeps of a lead, where names and doubles alone do not say what becomes of it.
void fields_migrate(const struct policy *from, const struct policy_state *old, const struct policy *to,
                    struct policy_state *state);
void fields_merge(const struct policy *policy, const struct policy_state *mine, const struct policy_state *theirs,
                  struct policy_state *into);

// sales.c: what sales said, behind the memory of a state.
struct policy_sales *state_sales(const struct policy *policy, struct policy_state *state);
// What rules may still decide, after an event's word: the chunk's input `sales`.
enum sales_order {
  SALES_FREE,  // everything
  SALES_ROUTE, // routes choose anew, as if the stage was entered now, unless the journey moves
  SALES_STAGE, // the stage was set by hand: no transition is tried, and its routes choose
  SALES_OUT,   // the lead is disqualified: nothing
};
// Does to the state what an event (NULL: none) says, and fills the outcome's `said`, `said_text` and `is_disqualified`.
enum sales_order sales_hear(const struct policy *policy, const struct event *event, int64_t now_ms,
                            struct policy_state *state, struct policy_outcome *outcome);
void sales_drop_owner(const struct policy *policy, struct policy_state *state); // and all that was said of one
// Who gave the lead back and is not to get it again yet: POLICY_REJECTS owners, -1 where there is none.
void sales_barred(const struct policy *policy, const struct policy_state *state, int64_t now_ms, double *in);
// What is wrong with a block from elsewhere; NULL: nothing.
const char *sales_check(const struct policy *policy, const struct policy_state *head, const struct policy_sales *sales);
void sales_migrate(const struct policy *from, const struct policy_state *old, const struct policy *to,
                   struct policy_state *state); // the owner, too
// Likewise; true: the owner is the other's now.
bool sales_merge(const struct policy *policy, struct policy_state *into, const struct policy_state *other);

// place.c: gives a problem of a signal set's declaration its line: where the file says `name = "NAME"` (the last one, of one
// that is declared twice), and of a set's head where the key or text that the problem names stands. It stays 0 when that stands
// nowhere (the name is put together), or more than once.
void place_problem(const struct bundle *bundle, struct policy_problem *problem);
int place_of_name(struct bytes text, const char *name); // the line from 1, or 0

// policy.c: the build's input (policy/artifact.h), and one pair more where `key` is not NULL: `value` is packed.
void policy_put_input(const struct policy *policy, const char *key, struct bytes value, struct buf *out);

// selftest.c: opens Lua states and decides for made-up leads at every stage; ITD_EPOLICY with what did not hold.
int policy_self_test(struct policy *policy, struct error *err) ITD_MUST_USE;

// policy.c: a policy's texts with one more file, built, checked and self-tested as if loaded from files.
int policy_load_more(const struct policy *base, const char *path, struct bytes text, const struct lua_limits *limits,
                     struct policy **out, struct error *err) ITD_MUST_USE;
