// What the journal costs over the disk: frames of 1 KB, staged 256 a commit, every commit synced, against plain pwrite
// and fdatasync of as many bytes into an equally prepared file. Rounds alternate; medians. Usage: bench_journal [DIR
// [ROUNDS]]
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "store/journal.h"

enum { BATCH = 256, COMMITS = 64, PARTITIONS = 16 };

static uint8_t body[1024];

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static struct frame frame_of(uint64_t n, uint64_t *seq) {
  struct frame f = {.kind = FRAME_EVENT,
                    .partition = (uint16_t)(n % PARTITIONS),
                    .epoch = 1,
                    .now_ms = (int64_t)n,
                    .received_ms = (int64_t)n};
  f.seq = ++seq[f.partition];
  f.event = bytes_of(body, 350);
  f.secret = bytes_of(body, 130);
  f.effects = bytes_of(body, 120);
  f.decision = bytes_of(body, 1024 - 168 - 350 - 130 - 120);
  return f;
}

// Seconds for COMMITS commits; *stage_s: of them, until the commit is called.
static double journal_round(struct journal *j, uint64_t *seq, double *stage_s) {
  struct error err = {0};
  uint64_t began = clock_mono_ns(), staging = 0;
  for (int c = 0; c < COMMITS; c++) {
    uint64_t at = clock_mono_ns();
    for (uint64_t i = 0; i < BATCH; i++) {
      struct frame f = frame_of(i, seq);
      journal_stage(j, &f);
    }
    staging += clock_mono_ns() - at;
    CHECK(journal_commit(j, &err) == 0);
  }
  *stage_s = (double)staging * 1e-9;
  return (double)(clock_mono_ns() - began) * 1e-9;
}

static double floor_round(const char *path, size_t commit_bytes) {
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  uint8_t *zeros = xcalloc(1, commit_bytes), *bytes = xmalloc(commit_bytes);
  memset(bytes, 7, commit_bytes);
  for (int c = 0; c < COMMITS; c++)
    CHECK(pwrite(fd, zeros, commit_bytes, (off_t)(commit_bytes * (size_t)c)) == (ssize_t)commit_bytes);
  CHECK(fsync(fd) == 0);
  uint64_t began = clock_mono_ns();
  for (int c = 0; c < COMMITS; c++) {
    CHECK(pwrite(fd, bytes, commit_bytes, (off_t)(commit_bytes * (size_t)c)) == (ssize_t)commit_bytes);
    CHECK(fdatasync(fd) == 0);
  }
  double s = (double)(clock_mono_ns() - began) * 1e-9;
  close(fd);
  unlink(path);
  free(zeros);
  free(bytes);
  return s;
}

int main(int argc, char **argv) {
  char made[] = "/tmp/bench_journal-XXXXXX";
  const char *dir = argc > 1 ? argv[1] : mkdtemp(made);
  int rounds = argc > 2 ? atoi(argv[2]) : 21;
  struct journal *j;
  struct error err = {0};
  uint64_t seq[PARTITIONS] = {0};
  struct journal_options o = {
      .dir = dir, .segment_bytes = 64u << 20, .sync = SYNC_ALWAYS, .session = 1, .partitions = PARTITIONS, .shards = 1};
  CHECK(dir_make(dir, &err) == 0);
  if (journal_open(&o, &j, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  char path[4096];
  snprintf(path, sizeof path, "%s/floor", dir);
  double *own = xmalloc((size_t)rounds * sizeof *own), *bare = xmalloc((size_t)rounds * sizeof *bare);
  double *stage = xmalloc((size_t)rounds * sizeof *stage), warm;
  journal_round(j, seq, &warm);
  uint64_t before = journal_stats(j).bytes;
  journal_round(j, seq, &warm);
  size_t commit_bytes = (journal_stats(j).bytes - before) / COMMITS / 4096 * 4096;
  for (int r = 0; r < rounds; r++) {
    own[r] = journal_round(j, seq, &stage[r]);
    bare[r] = floor_round(path, commit_bytes);
  }
  qsort(own, (size_t)rounds, sizeof *own, by_value);
  qsort(bare, (size_t)rounds, sizeof *bare, by_value);
  qsort(stage, (size_t)rounds, sizeof *stage, by_value);
  double frames = BATCH * COMMITS, o_s = own[rounds / 2], b_s = bare[rounds / 2], s_s = stage[rounds / 2];
  printf("%d frames of 1 KB a commit, %zu bytes, medians of %d rounds\n", BATCH, commit_bytes, rounds);
  printf("journal: %.0f frames/s (%.0f us a commit, of it staging %.0f us: %.0f ns a frame)\n", frames / o_s,
         o_s / COMMITS * 1e6, s_s / COMMITS * 1e6, s_s / frames * 1e9);
  printf("floor:   %.0f frames/s (%.0f us a commit)\n", frames / b_s, b_s / COMMITS * 1e6);
  printf("ratio:   %.2f of the floor\n", b_s / o_s);
  journal_close(j);
  printf("the journal lies in %s\n", dir);
  free(own), free(bare), free(stage);
  return 0;
}
