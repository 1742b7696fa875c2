// Filling in what features lack of the history before them, while the daemon serves (store/backfill.h): a thread reads the
// journal and hands what each lead is owed to its shard, a bounded number at a time. One backfill at a time. Nothing of it is
// kept but the frames: when the daemon ends, however it does, the next backfill goes on where this one was.
#pragma once
#include "net/daemon.h"

#define BACKFILL_WINDOW 64 // fills that are handed over and not staged yet, of all shards

// Begins one for features of the release in force, by name (`names`: a MessagePack list of texts; empty bytes: all). Any thread.
// ITD_EBUSY: one runs. ITD_EINVAL: no such feature, or one that has no history of its own.
int backfill_begin(struct daemon *daemon, struct bytes names, struct error *err) ITD_MUST_USE;
// Asks the one that runs to stop. Any thread.
void backfill_cancel(struct daemon *daemon);
// One map: {running, done, leads, owed, filled, gone, cut_short, features: [{name, definition, leads}], since, took_ms, error (nil or
// {code, message})} of the one that runs or ran last; `running` false and nothing else: none has run. Any thread.
void backfill_put_status(struct daemon *daemon, struct buf *out);
struct backfill_figures {
  uint64_t running, filled;
  double done; // 0 to 1
};
struct backfill_figures backfill_figures(struct daemon *daemon); // any thread
// Stops it and waits for it; the shards still run. Control thread.
void backfill_end(struct daemon *daemon);
