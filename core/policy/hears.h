// Which events can change a feature, by its declaration: for training, where a feature that the label's own event feeds
// answers with the question.
#pragma once
#include "policy/policy.h"

enum policy_hearing { POLICY_DEAF, POLICY_HEARS_ALL, POLICY_HEARS_IT };
// Whether an event of that name (a tracked event's, a page's) can change a feature, by way of those that it is made of too:
// because the declaration names it, or because it names none (events of any name, perhaps of one channel). An account's feature
// hears what it adds up.
enum policy_hearing policy_hears(const struct policy *policy, size_t feature, const char *event);
