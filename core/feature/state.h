// How a lead's state is read and written: 64-bit little-endian words (32-bit cells in counting tiles), and the
// arithmetic on time that every op shares. Times are clamped before they get here, so that adding a window never
// overflows.
#pragma once
#include <endian.h>
#include <float.h>
#include <stdint.h>
#include <string.h>

#define TIME_NONE   INT64_MIN         // no match yet
#define TIME_MIN_MS (-62135596800000) // 0001-01-01, the range of base/clock.h
#define TIME_MAX_MS 253402300799999   // 9999-12-31
#define DAY_MS      86400000

static inline uint64_t load_u64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return le64toh(v);
}
static inline void store_u64(uint8_t *p, uint64_t v) {
  v = htole64(v);
  memcpy(p, &v, sizeof v);
}
static inline uint32_t load_u32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return le32toh(v);
}
static inline void store_u32(uint8_t *p, uint32_t v) {
  v = htole32(v);
  memcpy(p, &v, sizeof v);
}
static inline int64_t load_i64(const uint8_t *p) { return (int64_t)load_u64(p); }
static inline void store_i64(uint8_t *p, int64_t v) { store_u64(p, (uint64_t)v); }
static inline double load_f64(const uint8_t *p) {
  uint64_t bits = load_u64(p);
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}
static inline void store_f64(uint8_t *p, double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  store_u64(p, bits);
}

// Division that rounds down, so that tiles and days before 1970 are as long as those after it. b > 0.
static inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static inline int64_t clamp_time(int64_t ms) {
  return ms < TIME_MIN_MS ? TIME_MIN_MS : ms > TIME_MAX_MS ? TIME_MAX_MS : ms;
}

// A sum stays finite: beyond the greatest double it stays there, so that a later value cannot turn it into NaN.
static inline double saturate(double v) { return v > DBL_MAX ? DBL_MAX : v < -DBL_MAX ? -DBL_MAX : v; }
