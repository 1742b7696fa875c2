// What a signal set may not change while its version's number stays, and what a policy may not take away without a word, held
// against what it was: findings go to `report`. Both sides are policies, or sets alone (policy_load_set).
#pragma once
#include "policy/policy.h"

// A feature that means something else than a version of the same number did: whoever was told that number, and models, would
// not notice. `as` says which one it was, behind "than in b2b@4 ". Of other versions nothing is said.
void compare_features(const struct policy *policy, const struct policy *was, const char *as,
                      struct policy_report *report);
// Schemas against those of any version of the set: an event that claims a number may be of any time. Adds nothing that
// `report` has already.
void compare_schemas(const struct policy *policy, const struct policy *was, struct policy_report *report);
// Stages that are gone and of which journey.was says nothing; of a set, or of another policy, nothing. `as`: which version that
// was, behind "leads may be in it ". Adds nothing that `report` has already.
void compare_stages(const struct policy *policy, const struct policy *was, const char *as,
                    struct policy_report *report);
