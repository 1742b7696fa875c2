// Recovery in process: when a sync failed, every shard lets go of the store, which drops its memory and is opened again
// from its files, with pauses that grow until it works; then the release that was in force is put in force again.
// Connections stay, and are answered storage_unavailable meanwhile. docs/decisions/failing-disks.md.
#pragma once
#include "net/daemon.h"

// Asks for a recovery, unless one runs. Any thread; `why` is copied.
void recover_begin(struct daemon *daemon, const struct error *why);
void recover_end(struct daemon *daemon); // the control thread's loop has ended: no more tries
