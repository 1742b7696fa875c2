// Which messages were seen in the window, and where the frame lies that decided each first. In memory; rebuilt from
// frames at start.
#pragma once
#include "store/table.h"

struct dedupe {
  struct table table;
  size_t max;
  int64_t window_ms, newest_ms;
};

void dedupe_init(struct dedupe *d, size_t max, int64_t window_ms);
void dedupe_deinit(struct dedupe *d);
// The place of the first frame of a message; 0: not seen.
uint64_t dedupe_find(const struct dedupe *d, struct hash128 message);
// Remembers a message; a second one changes nothing. What is older than the window before the newest arrival goes, and
// the oldest beyond `max`.
void dedupe_add(struct dedupe *d, struct hash128 message, uint64_t place, int64_t received_ms);
static inline size_t dedupe_count(const struct dedupe *d) { return table_count(&d->table); }
