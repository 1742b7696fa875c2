// Which outcomes of a policy's rules its specs have seen. scripts/cli/coverage.lua knows the rules; this keeps what each decision
// saw, each different one once.
#pragma once
#include "cli/folder.h"

struct coverage;
struct coverage *coverage_new(const struct policy *policy);
void coverage_free(struct coverage *coverage);
// A decision that was made (engine_see).
void coverage_see(struct coverage *coverage, const struct policy_outcome *outcome, const int8_t *fired);
// Forgets what was seen since the mark: a life that is lived once more by another lead counts once.
size_t coverage_mark(const struct coverage *coverage);
void coverage_back(struct coverage *coverage, size_t mark);
// Prints what was not seen, and the sum: as text, or as one line of JSON. *percent: outcomes seen of all, 0 to 100.
int coverage_print(const struct coverage *coverage, const struct folder *folder, bool json, double *percent,
                   struct error *err) ITD_MUST_USE;
