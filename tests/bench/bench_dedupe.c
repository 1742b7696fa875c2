// What it costs to see that a message is new, which is what nearly every message is: with 24 hours of messages in
// files, over the same with a table in memory alone. Usage: bench_dedupe [MESSAGES_PER_HOUR [HOURS [DIR]]]
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/dedupe.h"

enum { ROUNDS = 7, ASKED = 1000000 };
#define HOUR_MS 3600000

static struct hash128 message_of(uint64_t n) { return (struct hash128){hash_mix(n, 0x5eed), hash_mix(n, 0xfeed)}; }
static int sync_nothing(void *context, unsigned shard, struct error *err) {
  (void)context, (void)shard, (void)err;
  return 0;
}
static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

// ns for one question; what is asked begins at `from`.
static double ask(struct dedupe *d, uint64_t from, uint64_t step, int64_t now_ms, uint64_t *found) {
  double best[ROUNDS];
  *found = 0;
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t began = clock_mono_ns();
    for (uint64_t i = 0; i < ASKED; i++) {
      uint64_t place;
      CHECK(dedupe_find(d, message_of(from + ((uint64_t)r * ASKED + i) * step), now_ms, &place, NULL) == 0);
      *found += place != 0;
    }
    best[r] = (double)(clock_mono_ns() - began) / ASKED;
  }
  qsort(best, ROUNDS, sizeof *best, by_value);
  return best[ROUNDS / 2];
}

int main(int argc, char **argv) {
  char made[] = "/tmp/bench_dedupe-XXXXXX";
  uint64_t per_hour = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
  unsigned hours = argc > 2 ? (unsigned)atoi(argv[2]) : 24;
  const char *dir = argc > 3 ? argv[3] : mkdtemp(made);
  struct error err = {0};
  struct dedupe_files *files = dedupe_files_open(
      &(struct dedupe_files_options){.dir = dir, .partitions = 16, .window_ms = 24 * HOUR_MS, .sync = sync_nothing});
  struct dedupe_options o = {
      .files = files, .max = 2 * RUN_RECORDS_MAX, .window_ms = 24 * HOUR_MS, .recent_ms = HOUR_MS};
  memset(&o.slots, 0xff, sizeof o.slots);
  struct dedupe *d = xcalloc(1, sizeof *d), *memory = xcalloc(1, sizeof *memory);
  dedupe_init(d, &o);
  if (dedupe_files_start(files, 0, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  uint64_t n = 0;
  struct dedupe_tip tip = {0};
  uint64_t began = clock_mono_ns(), adding = 0;
  for (unsigned h = 0; h < hours; h++) {
    uint64_t at = clock_mono_ns();
    for (uint64_t i = 0; i <= per_hour; i++, n++)
      dedupe_add(d, message_of(n), n + 1, h * (int64_t)HOUR_MS + (int64_t)(i * HOUR_MS / per_hour));
    adding += clock_mono_ns() - at;
    tip.seq = n;
    dedupe_turn(d, &tip, 1);
    dedupe_files_wait(files);
  }
  double all_s = (double)(clock_mono_ns() - began) * 1e-9;
  o.files = NULL;
  dedupe_init(memory, &o);
  for (uint64_t i = 0; i <= per_hour / 2; i++, n++) { // the hour that is running
    dedupe_add(d, message_of(n), n + 1, hours * (int64_t)HOUR_MS);
    dedupe_add(memory, message_of(n), n + 1, hours * (int64_t)HOUR_MS);
  }
  uint64_t found, tested = (uint64_t)ROUNDS * ASKED;
  int64_t now_ms = hours * (int64_t)HOUR_MS;
  double one = ask(memory, 1ull << 40, 1, now_ms, &found);
  double miss = ask(d, 1ull << 40, 1, now_ms, &found);
  double vain = (double)d->false_positives / (double)tested;
  double hit = ask(d, 0, 3, now_ms, &found);
  struct dedupe_files_stats s = dedupe_files_stats(files);
  printf(
      "%u hours of %llu messages: %llu files, %.1f M messages, filters and indexes %.2f bytes a message, %llu merges\n",
      hours, (unsigned long long)per_hour, (unsigned long long)s.files, (double)s.entries * 1e-6,
      (double)s.filter_bytes / (double)s.entries, (unsigned long long)s.merges);
  printf("written and merged at %.2f M messages/s\n", (double)s.entries / (all_s - (double)adding * 1e-9) * 1e-6);
  printf("a new message: %.0f ns with the files, %.0f ns with the table alone: ratio %.2f\n", miss, one, miss / one);
  printf("files looked at in vain: %.5f a new message\n", vain);
  printf("a duplicate in the files (page cache): %.0f ns; %.0f%% found\n", hit, 100.0 * (double)found / (double)tested);
  dedupe_files_stop(files);
  dedupe_deinit(d), dedupe_deinit(memory);
  dedupe_files_close(files);
  free(d), free(memory);
  printf("the files lie in %s\n", dir);
  return 0;
}
