// Building LMDB anew from bases, where it is missing or older than they are: recovery begins with it. One thread.
#pragma once
#include "store/journal.h"
#include "store/state.h"

// State under another number of partitions: where each of `after` partitions stands right after a reshard at `since`, by
// the progress of those before. False: these do not end where `since` says that they did.
bool rebuild_renumber(const struct state_progress *before, const struct journal_boundary *since, unsigned after,
                      struct state_progress *out);

// A reshard that was decided on (`since`: store/datadir.h) and did not come to LMDB is brought to its end; what one left
// that was given up is taken away. Then, when any partition's newest whole base is ahead of what LMDB has, everything in it but who is who is taken away and the
// newest base of every partition is loaded. A base that does not read is passed over for the one before, and logged.
// *rebuilt: whether that was done. ITD_EFULL, ITD_EIO, ITD_ECORRUPT.
int rebuild_state(const char *dir, unsigned partitions, const struct journal_boundary *since, struct state *state,
                  bool *rebuilt, struct error *err) ITD_MUST_USE;
