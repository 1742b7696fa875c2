// What the files of dedupe share. Private to store/dedupe*.
#pragma once
#include "base/le.h"
#include "store/dedupe_run.h"
#include "store/table.h"

struct message_entry {
  struct table_entry head; // flags: its number in the order of the table
  uint64_t place;
  int64_t received_ms;
};

#define DEDUPE_RECORD_SIZE 32u
static inline void dedupe_record_put(uint8_t *p, const struct dedupe_record *r) {
  put64(p, r->message.hi);
  put64(p + 8, r->message.lo);
  put64(p + 16, r->place);
  put64(p + 24, (uint64_t)r->received_ms);
}
static inline struct dedupe_record dedupe_record_get(const uint8_t *p) {
  return (struct dedupe_record){{get64(p), get64(p + 8)}, get64(p + 16), (int64_t)get64(p + 24)};
}
