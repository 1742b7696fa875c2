// Which definitions of features came late and may not be full: some lead may lack what its history before them gives. Noted
// before a release that has them is put in force, and taken off when a backfill has seen all leads full. What leads are owed
// is told by the journal alone (store/backfill.h); this spares reading it whenever a policy is loaded. So it may be lost: then
// all is late that some version in the directory lacks. Backups leave it out.
//
// DIR/late: a line "DEFINITION SINCE" for each, 16 hexadecimal digits and ms since 1970.
#pragma once
#include "policy/policy.h"

struct late_entry {
  uint64_t definition;
  int64_t since_ms;
};
struct late {
  struct late_entry entry[2 * FEATURES_MAX]; // of the release before and of the next
  size_t count;
};
// ITD_ENOTFOUND: there is no such file. ITD_ECORRUPT, ITD_EIO.
int late_read(const char *dir, struct late *late, struct error *err) ITD_MUST_USE;
int late_write(const char *dir, const struct late *late, struct error *err) ITD_MUST_USE; // synced; ITD_EFULL, ITD_EIO
const struct late_entry *late_find(const struct late *late, uint64_t definition);         // NULL: it is not late
// What `policy` has and some version in the directory lacks. ITD_ECORRUPT, ITD_EIO.
int late_derive(const char *dir, const struct policy *policy, int64_t now_ms, struct late *late,
                struct error *err) ITD_MUST_USE;
// Adds what `next` has and `before` lacks, and drops what neither has. An entry that comes anew is younger than all before.
// False: nothing changed.
bool late_switch(struct late *late, const struct policy *before, const struct policy *next, int64_t now_ms);
// Takes off what is as it was then: what came late anew since stays. `full`: of the set's features. False: nothing changed.
bool late_fill(struct late *late, const struct late *then, const struct feature_set *set,
               const struct feature_mask *full);
