// What quarantine.c and quarantine_walk.c share: a record of the files. Private to store/.
#pragma once
#include "store/quarantine.h"

enum quarantine_kind { RECORD_ENTRY, RECORD_FIX, RECORD_REPLAY };
struct quarantine_record {
  enum quarantine_kind kind;
  uint64_t id; // the hexadecimal digits, read
};
// The whole record at the front of a file's bytes, its length in *n. False: there is none, it was cut.
bool quarantine_next(struct bytes from, size_t *n);
struct quarantine_record quarantine_record_of(struct bytes record);
void quarantine_id_text(uint64_t id, char out[QUARANTINE_ID + 1]);
