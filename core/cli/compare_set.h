// What a signal set may not change while its version's number stays, held against the same set as it was: findings go to
// `report`. Both sides are policies, or sets alone (policy_load_set).
#pragma once
#include "policy/policy.h"

// A feature that means something else than a version of the same number did: whoever was told that number, and models, would
// not notice. `as` says which one it was, behind "than in b2b@4 ". Of other versions nothing is said.
void compare_features(const struct policy *policy, const struct policy *was, const char *as,
                      struct policy_report *report);
// Schemas against those of any version of the set: an event that claims a number may be of any time. Adds nothing that
// `report` has already.
void compare_schemas(const struct policy *policy, const struct policy *was, struct policy_report *report);
