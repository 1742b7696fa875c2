// Lead ids as table keys, and in which partition a slot lies.
#pragma once
#include <endian.h>

#include "engine/lead.h"

// Big-endian, so that keys sort as ids do; the low half is random.
static inline struct hash128 lead_key(struct lead_id id) {
  uint64_t hi, lo;
  memcpy(&hi, id.b, 8);
  memcpy(&lo, id.b + 8, 8);
  return (struct hash128){be64toh(hi), be64toh(lo)};
}
static inline struct lead_id lead_of_key(struct hash128 key) {
  struct lead_id id;
  uint64_t hi = htobe64(key.hi), lo = htobe64(key.lo);
  memcpy(id.b, &hi, 8);
  memcpy(id.b + 8, &lo, 8);
  return id;
}

static inline unsigned slot_partition(unsigned slot, unsigned partitions) { return slot % partitions; }
