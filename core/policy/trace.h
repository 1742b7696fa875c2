// Why each rule of a policy did or did not do something in one decision: told from what the call read and from the policy, and
// from nothing else. What a call read is kept with every decision that acts, so its trace can be told for as long as the
// decision is kept, whatever became of the lead's history; for others it is read again, from the history. Both are the same
// bytes through the same function, so a later trace is the trace of then. docs/decisions/trace-from-inputs.md. Pure, but for
// trace_put_times.
#pragma once
#include "policy/policy.h"

// What the last call of `vm`, which succeeded, read: appends [numbers in, memory before, [[feature, text]…]]. `before`: the
// state that the call began with; `texts`: as the call had them. Personal as the features are.
void trace_put_read(const struct policy_vm *vm, const struct policy_state *before, const struct bytes *texts,
                    struct buf *out);

// Appends [{kind, name, why, path, line, step, outcome, reason, value, distance, looked}] in the order in which rules are
// computed. kind: custom, evidence, channel, gate, adjust, cap, floor, eligible, transition, route, offer, limits. step: of a transition that was tried,
// from 1. outcome: "fired", "no", "not_reached". value: points in thousandths of evidence, adjust, cap and floor, and of what a channel's cap
// took; an offer's utility; what a custom function gave; else nil. distance: how far it was from firing, where that is a
// matter of numbers: for one number the part of its bound that was missing (0.05: 71 of 75 is 4/75), the most of what all
// must hold, the least of what any may; nil: no number tells. looked: [{name, holds (nil: not reached), value, needs, unit, features {name: value}}].
// A personal feature's value is true where it is known. ITD_ECORRUPT: `read` is not of this policy; ITD_ENOTFOUND: the policy
// was compiled by a version that wrote no trace; ITD_ESTOPPED.
int trace_put(struct policy_vm *vm, struct bytes read, struct buf *out, struct error *err) ITD_MUST_USE;

// What the rules cost: runs the tracing variant some hundred times and appends {runs, rules_ns, plain_ns, rules: [{kind, name,
// ns}]}: the mean of each, of the runs that nothing interrupted, without what measuring takes. Caches are warm. plain_ns: the
// least of a whole call as decisions make it, which is less than the sum of its rules taken one by one. Reads the clock: no
// part of any decision.
int trace_put_times(struct policy_vm *vm, struct bytes read, struct buf *out, struct error *err) ITD_MUST_USE;
#define TRACE_RUNS 200
