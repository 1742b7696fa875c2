// What a workspace lets policies do with all of its leads, whatever their mode says: DIR/versions/switch, one line of JSON, with
// who asked for it and why. It is written before the frames that put it in force, so that a start puts in force what was asked
// for last; each frame says which one it was decided under (journal.h).
#pragma once
#include "policy/policy.h"

struct workspace_switch { // all zero: act, and it never was anything else
  enum policy_switch to;
  int64_t at_ms;
  char by[32], why[500];
};
#define SWITCH_FILE_MAX 4096 // bytes

const char *switch_name(enum policy_switch to);            // "act", "score", "collect"
bool switch_of(struct bytes name, enum policy_switch *to); // false: there is none of that name
// Of a directory. No such file: act. ITD_ECORRUPT: it does not read; ITD_EIO.
int switch_read(const char *dir, struct workspace_switch *out, struct error *err) ITD_MUST_USE;
int switch_write(const char *dir, const struct workspace_switch *s, struct error *err) ITD_MUST_USE; // synced
void switch_put(const struct workspace_switch *s, struct buf *out); // {to, at, by, why}; at nil: never
