// What a data directory knows of its policy versions: since when each was in force, and which decisions each made. One walk
// over the journal, from outside, of frames' heads alone.
#pragma once
#include "store/versions.h"

struct version_history {
  uint32_t number;
  struct policy *policy; // NULL: its archive can't be read
  int64_t since_ms;   // when it was first put in force, by the wall clock; INT64_MIN: before the journal that is kept
  uint64_t decisions; // made by it
  int64_t first_ms, last_ms; // the lead's clock at the first and the last of them, in the journal's order
  char first_id[48], last_id[48];
};
struct feature_history {
  struct versions *versions;
  struct version_history *version; // by number
  size_t count;
};
// `counts`: decisions, too (the whole journal is read; else its releases). ITD_ENOTFOUND: no data directory.
int feature_history_read(const char *dir, bool counts, void (*progress)(void *context, uint64_t done, uint64_t total),
                         void *context, struct feature_history *out, struct error *err) ITD_MUST_USE;
void feature_history_deinit(struct feature_history *history);
// The feature of a version that means the same; -1: none.
int feature_like(const struct policy *policy, const struct feature_info *info);
