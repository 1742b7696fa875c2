// For the store's tests: a scratch folder, a seed, and frames made from it.
#pragma once
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "store/journal.h"

static inline char *scratch_new(void) {
  const char *base = getenv("TMPDIR");
  char path[512];
  snprintf(path, sizeof path, "%s/itd-store-XXXXXX", base ? base : "/tmp");
  CHECK(mkdtemp(path));
  return xstrdup(path);
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st, (void)type, (void)ftw;
  return remove(path);
}

static inline void scratch_free(char *path) {
  nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
  free(path);
}

static inline uint64_t seed_of_run(void) {
  const char *text = getenv("SEED");
  uint64_t seed = 0;
  if (text)
    seed = strtoull(text, NULL, 0);
  else
    random_bytes(&seed, sizeof seed);
  printf("SEED=%llu\n", (unsigned long long)seed);
  fflush(stdout);
  return seed;
}

struct draw {
  uint64_t state;
};
static inline uint64_t draw(struct draw *d, uint64_t below) {
  d->state = hash_mix(d->state, 0x9e3779b97f4a7c15u);
  return below ? d->state % below : d->state;
}
static inline struct bytes draw_bytes(struct draw *d, uint8_t *into, size_t n) {
  for (size_t i = 0; i < n; i++) into[i] = (uint8_t)draw(d, 256);
  return bytes_of(into, n);
}
