// Building LMDB anew from bases, where it is missing or older than they are: recovery begins with it. One thread.
#pragma once
#include "store/state.h"

// When any partition's newest whole base is ahead of what LMDB has, everything in it but who is who is taken away and the
// newest base of every partition is loaded. A base that does not read is passed over for the one before, and logged.
// *rebuilt: whether that was done. ITD_EFULL, ITD_EIO, ITD_ECORRUPT.
int rebuild_state(const char *dir, unsigned partitions, struct state *state, bool *rebuilt,
                  struct error *err) ITD_MUST_USE;
