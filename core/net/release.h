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
// Puts a loaded policy in force with its sources, or leaves everything as it is; `why` and `by` (NULL: the daemon itself) go into
// the journal. Asks nobody whether its features are full. The errors of a reload.
int release_put(struct daemon *daemon, struct policy *policy, const char *why, const char *by,
                struct error *err) ITD_MUST_USE;
// Why a policy comes into force: for the journal, and for the lines of its models (store/model_history.h).
struct release_cause {
  enum model_how how;
  const char *why, *by; // by NULL: the daemon itself
};
// Puts another bundle of the policy in force on all shards between two events of each, or on none: the sources stay those
// that are in force. ITD_EUNAVAILABLE: a shard takes no events now. ITD_EBUSY, ITD_ELATE: as of a reload. ITD_EPOLICY, ITD_EIO, ITD_EFULL.
int release_switch(struct daemon *daemon, struct policy *policy, const struct release_cause *cause,
                   struct error *err) ITD_MUST_USE;
// Begins to look several times a second whether the policy's files changed, and reloads when they have been still for
// one look.
void release_watch(struct daemon *daemon);
void release_unwatch(struct daemon *daemon);
