// Filling in what features lack of the history before them, while the daemon serves (store/backfill.h): a thread reads the
// journal and hands what each lead is owed to its shard, a bounded number at a time. One backfill at a time. Nothing of it is
// kept but the frames: when the daemon ends, however it does, the next backfill goes on where this one was.
//
// One that switches in begins with the version that the files hold: what it lacks of features is declared beside those in force
// (policy_beside), which changes no decision, is filled in, and then the version is put in force. Whatever ends it before leaves the
// version before deciding, with the features beside it, so that what was filled in stays.
#pragma once
#include "net/daemon.h"

#define BACKFILL_WINDOW 64 // fills that are handed over and not staged yet, of all shards

struct backfill_order {
  struct bytes names; // a MessagePack list of texts: features of the release in force; empty: all
  bool is_switch_in;  // all that the files' version has, and then that version; without names
  const char *by;     // who asked, for the journal
};
// Control thread. ITD_EBUSY: one runs. ITD_EINVAL: no such feature, or one that has no history of its own; nothing to switch in.
// The errors of release_load, policy_beside and release_put.
int backfill_begin(struct daemon *daemon, const struct backfill_order *order, struct error *err) ITD_MUST_USE;
// ITD_EBUSY while one runs that is to switch a version in: nothing else may come between. Any thread.
int backfill_check(struct daemon *daemon, struct error *err) ITD_MUST_USE;
// Asks the one that runs to stop. Any thread.
void backfill_cancel(struct daemon *daemon);
// One map: {running, done, leads, owed, filled, gone, cut_short, features: [{name, definition, leads}], since, took_ms, by, switch_in (nil or
// {policy, version, before, done}), error (nil or {code, message})} of the one that runs or ran last; `running` false and nothing else:
// none has run. Any thread.
void backfill_put_status(struct daemon *daemon, struct buf *out);
struct backfill_figures {
  uint64_t running, filled;
  double done; // 0 to 1
};
struct backfill_figures backfill_figures(struct daemon *daemon); // any thread
// Stops it and waits for it; the shards still run. Control thread.
void backfill_end(struct daemon *daemon);
