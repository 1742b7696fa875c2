// What is in force: loading a policy, putting it in force on all shards or on none, watching its files. Control thread.
#pragma once
#include "net/daemon.h"

// At the start: the configured policy; when that is broken, and this data directory last ran an earlier version of it,
// that version.
int release_start(struct daemon *daemon, struct error *err) ITD_MUST_USE;
// After a recovery in process: what was in force is put in force again, on all shards.
int release_again(struct daemon *daemon, struct error *err) ITD_MUST_USE;
// Of the configured files, checked and self-tested; findings go to the log. *policy is the caller's hold.
int release_load(const struct daemon *daemon, struct policy **policy, struct error *err) ITD_MUST_USE;
// Puts a loaded policy in force with its sources, or leaves everything as it is; `why` goes into the journal. Asks nobody whether its
// features are full. The errors of a reload.
int release_put(struct daemon *daemon, struct policy *policy, const char *why, struct error *err) ITD_MUST_USE;
// Begins to look several times a second whether the policy's files changed, and reloads when they have been still for
// one look.
void release_watch(struct daemon *daemon);
void release_unwatch(struct daemon *daemon);
