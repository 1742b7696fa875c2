// What the workspace lets policies do: put in force on all shards, between two events of each. Control thread.
#pragma once
#include "net/daemon.h"

// At the start, before the first release: what was asked for last. ITD_ECORRUPT, ITD_EIO.
int switch_start(struct daemon *daemon, struct error *err) ITD_MUST_USE;
// Puts another switch in force, which is on disk before the first shard takes it up; *before: what it was. The same as before
// changes nothing, but for who and why. ITD_EUNAVAILABLE: a shard takes no events now; ITD_EIO, ITD_EFULL: nothing changed.
int switch_turn(struct daemon *daemon, const struct workspace_switch *to, enum policy_switch *before,
                struct error *err) ITD_MUST_USE;
