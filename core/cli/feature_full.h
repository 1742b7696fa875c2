// Since when late features are full: what the leads of a directory are owed (store/backfill.h), asked only of features that some
// version before lacked.
#pragma once
#include "cli/feature_history.h"
#include "store/backfill.h"

struct feature_full {
  struct feature_mask late; // some version in the directory lacks them
  struct backfill_stats stats;
  struct error unknown; // code not 0: the histories do not fold (they are of another meaning, say), and why
};
// Folds the leads' histories where there is a late feature, else reads nothing.
void feature_full_read(const char *dir, const struct policy *policy, const struct feature_history *history,
                       void (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                       struct feature_full *out);
// The key `history` and its value: nil of a feature that is made of others or of the account; else {owed: leads, or nil: unknown, since: when the
// last lead was given what it was owed, or nil: none was}.
void feature_full_put(const struct feature_full *full, const struct policy *policy, size_t index, struct buf *out);
void feature_full_show(struct bytes map, struct buf *out); // of a map with that key, for people
