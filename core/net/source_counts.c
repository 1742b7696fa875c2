#include "net/source_counts.h"

#include "base/check.h"
#include "net/prometheus.h"

#include <pthread.h>
#include <stdlib.h>

struct row {
  char *name;
  uint64_t count[SOURCE_COUNTS];
};

struct source_counts {
  pthread_mutex_t lock;
  struct row *row;
  size_t rows;
};

struct source_counts *source_counts_new(void) {
  struct source_counts *counts = xcalloc(1, sizeof *counts);
  CHECK(pthread_mutex_init(&counts->lock, NULL) == 0);
  return counts;
}

void source_counts_free(struct source_counts *counts) {
  if (!counts) return;
  for (size_t i = 0; i < counts->rows; i++) free(counts->row[i].name);
  free(counts->row);
  pthread_mutex_destroy(&counts->lock);
  free(counts);
}

static struct row *row_of(struct source_counts *counts, const char *name) {
  for (size_t i = 0; i < counts->rows; i++)
    if (strcmp(counts->row[i].name, name) == 0) return &counts->row[i];
  counts->row = xrealloc(counts->row, (counts->rows + 1) * sizeof *counts->row);
  counts->row[counts->rows] = (struct row){.name = xstrdup(name)};
  return &counts->row[counts->rows++];
}

void source_counts_add(struct source_counts *counts, const char *name, enum source_count which, uint64_t n) {
  pthread_mutex_lock(&counts->lock);
  row_of(counts, name)->count[which] += n;
  pthread_mutex_unlock(&counts->lock);
}

void source_counts_put(struct source_counts *counts, struct buf *out) {
  static const struct {
    const char *name, *help;
  } family[SOURCE_COUNTS] = {
      [SOURCE_PAYLOADS] = {"intentd_source_payloads_total", "payloads that came to a source's mapping"},
      [SOURCE_EVENTS] = {"intentd_source_events_total", "events of a source that were taken, duplicates included"},
      [SOURCE_SKIPPED] = {"intentd_source_skipped_total", "payloads that a source's mapping wants no event of"},
      [SOURCE_REFUSED] = {"intentd_source_refused_total",
                          "pieces that a source's mapping could not use, and its events that were refused"},
      [SOURCE_UNAUTHORIZED] = {"intentd_source_unauthorized_total",
                               "requests to a source without the right signature, token or key"},
      [SOURCE_STOPPED] = {"intentd_source_stopped_total", "requests whose mapping ran over its limits"},
  };
  pthread_mutex_lock(&counts->lock);
  for (int which = 0; which < SOURCE_COUNTS; which++) {
    prometheus_family(out, family[which].name, "counter", family[which].help);
    for (size_t i = 0; i < counts->rows; i++)
      prometheus_count(out, family[which].name, (const char *const[]){"source", counts->row[i].name, NULL},
                       counts->row[i].count[which]);
  }
  pthread_mutex_unlock(&counts->lock);
}
