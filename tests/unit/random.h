// A small repeatable random source for tests. The seed comes from the environment's SEED, else from the clock, and is
// printed, so that a failure can be run again.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t random_state;

static inline void random_start(void) {
  const char *text = getenv("SEED");
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  random_state = text ? strtoull(text, NULL, 0) : (uint64_t)t.tv_sec * 1000003u + (uint64_t)t.tv_nsec;
  printf("SEED=%llu\n", (unsigned long long)random_state);
}

// A Weyl sequence through a mixer of multiplications and shifts.
static inline uint64_t random_next(void) {
  uint64_t z = random_state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93u;
  z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93u;
  return z ^ (z >> 32);
}

static inline uint64_t random_below(uint64_t n) { return random_next() % n; } // n > 0
static inline double random_unit(void) { return (double)(random_next() >> 11) * 0x1p-53; }
