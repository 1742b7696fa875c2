// Little-endian integers at any address: what files hold. Every host that this runs on is little-endian; the conversions say what is meant.
#pragma once
#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void put16(uint8_t *p, uint16_t v) { v = htole16(v), memcpy(p, &v, sizeof v); }
static inline void put32(uint8_t *p, uint32_t v) { v = htole32(v), memcpy(p, &v, sizeof v); }
static inline void put64(uint8_t *p, uint64_t v) { v = htole64(v), memcpy(p, &v, sizeof v); }
static inline uint16_t get16(const uint8_t *p) {
  uint16_t v;
  memcpy(&v, p, sizeof v);
  return le16toh(v);
}
static inline uint32_t get32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return le32toh(v);
}
static inline uint64_t get64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return le64toh(v);
}
