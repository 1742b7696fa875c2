// Holds: what an auditor asked to be kept. A hold keeps the journal from its time on, and the base before it, until it
// is released, whatever retention says. A file of text lines, DIR/holds, changed under the lock DIR/holds.lock. Any
// process that may write the directory; a running daemon looks at it before it lets anything go.
#pragma once
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define HOLD_NAME_MAX 64
#define HOLD_WHY_MAX  200

struct hold {
  char name[HOLD_NAME_MAX + 1]; // letters, digits, "-", "_" and "."
  int64_t since_ms;             // what was received from then on is kept
  int64_t made_ms;
  unsigned uid; // who
  char why[HOLD_WHY_MAX + 1];
};
// Between the two no hold is added or released: whoever lets journal go has them from here on. ITD_EIO.
int holds_lock(const char *dir, int *lock, struct error *err) ITD_MUST_USE;
// The same, without waiting: a backup may read for hours. ITD_EBUSY.
int holds_try(const char *dir, int *lock, struct error *err) ITD_MUST_USE;
// For who reads the journal whole: nothing is let go meanwhile. -1 where nobody ever could (a copy, a directory that
// is not written).
int holds_share(const char *dir);
void holds_unlock(int lock); // -1 does nothing
// All holds, in the order in which they were made; free(*list). ITD_ECORRUPT names the line.
int holds_read(const char *dir, struct hold **list, size_t *count, struct error *err) ITD_MUST_USE;
// ITD_EINVAL: the name or the reason is not allowed; ITD_EBUSY: there is one of that name.
int hold_add(const char *dir, const struct hold *hold, struct error *err) ITD_MUST_USE;
int hold_release(const char *dir, const char *name, struct error *err) ITD_MUST_USE; // ITD_ENOTFOUND
