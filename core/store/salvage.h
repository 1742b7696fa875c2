// What of a damaged journal makes a directory that holds together: either what begins behind the damage with a set of
// bases, which loses no state, only history; or what ends before it. Reads only; of a stopped directory. One thread.
#pragma once
#include "store/cut.h"

struct salvage {
  bool is_damaged;        // false: nothing is, and nothing is left out
  bool begins_behind;     // the damage
  uint64_t lost;          // frames behind the end of what is kept, as far as the rest says; 0 when it begins behind
  int64_t bases_ms;       // begins_behind: bases that were made earlier do not belong to it
  unsigned segments_left; // segments that are left out
  char damage[500];       // the first
};
// A cut of which every segment that is kept is an `end`. ITD_ECORRUPT: nothing can be kept, and why.
int salvage_find(const char *dir, unsigned partitions, struct cut *out, struct salvage *salvage,
                 struct error *err) ITD_MUST_USE;
