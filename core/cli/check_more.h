// What intent check finds beyond loading: rules made by loops, reasons that give none, what luacheck says of the policy's files, and
// what a decision costs. For check.c.
#pragma once
#include "cli/folder.h"

// scripts/cli/check_more.lua, as warnings.
int check_more(const struct policy *policy, struct policy_report *report, struct error *err) ITD_MUST_USE;
// luacheck's findings, as warnings, with the sandbox's names. false: there is no program of that name.
bool check_luacheck(const struct folder *folder, struct policy_report *report);

// ns a decision, of the compiled policy alone (features and models are not in it), over made-up leads at every stage: half of them
// cost at most ns_p50, the dearest ns_max.
struct check_cost {
  uint64_t calls, ns_p50, ns_max;
  char worst_stage[64]; // the stage with the highest median
  uint64_t worst_ns;    // that median
};
int check_cost(struct policy *policy, struct check_cost *cost, struct error *err) ITD_MUST_USE;
