// What each source counts, by its name, over all editions: for GET /metrics. Any thread, by a lock: requests of sources
// are rare beside events.
#pragma once
#include "base/buf.h"

enum source_count {
  SOURCE_PAYLOADS,     // that came to be mapped
  SOURCE_EVENTS,       // taken, duplicates included
  SOURCE_SKIPPED,      // payloads of which no event is wanted
  SOURCE_REFUSED,      // pieces that the mapping could not use, and events that were refused afterwards
  SOURCE_UNAUTHORIZED, // requests without the right signature, token or key
  SOURCE_STOPPED,      // requests whose mapping ran over its limits
  SOURCE_COUNTS
};

struct source_counts;
struct source_counts *source_counts_new(void);
void source_counts_free(struct source_counts *counts); // NULL does nothing
// `name` is that of a source (a stranger's names would fill the table).
void source_counts_add(struct source_counts *counts, const char *name, enum source_count which, uint64_t n);
void source_counts_put(struct source_counts *counts, struct buf *out); // Prometheus' text
