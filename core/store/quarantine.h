// Events that were refused, with their reason, for people to look at, to repair and to send again. Bounded; what is added
// is not synced by itself, what is noted of an entry is. Any thread, but for quarantine_walk, which needs no open quarantine.
//
// DIR/quarantine/events.mp and the older events.1.mp: MessagePack maps, one after the other. When the first holds half of the
// bound it takes the place of the second. What a crash left cut at its end is taken off when it is opened. They hold what senders sent, personal data too: mode 0600.
//   an entry    {code, text, received_ms, event (bin), id}; without an id (kept by an earlier version) its id is a hash
//   a repair    {fix: id, event (bin), by, at_ms}: the event as somebody changed it; the last one counts
//   a replay    {replayed: id, by, at_ms, decision}: it was taken, and that is its decision_id
#pragma once
#include "base/buf.h"

#define QUARANTINE_ID 16 // hexadecimal digits

struct quarantine;
int quarantine_open(const char *dir, size_t bytes_max, struct quarantine **out, struct error *err) ITD_MUST_USE;
void quarantine_close(struct quarantine *q);
bool quarantine_add(struct quarantine *q, const struct error *reason, struct bytes event,
                    int64_t received_ms); // false: not kept
// The same for a source's payload (store/quarantine_payload.h), unless an entry with the same one is there, replayed or not:
// then *known, and the id is that entry's. Not synced. One thread at a time; another's quarantine_add of the same payload at
// the same moment makes a second entry all the same. ITD_ETOOBIG: more than half of the bound. ITD_EFULL, ITD_EIO.
int quarantine_add_once(struct quarantine *q, const struct error *reason, struct bytes event, int64_t received_ms,
                        char id[QUARANTINE_ID + 1], bool *known, struct error *err) ITD_MUST_USE;
// Notes a repair of an entry that is there, beside it. ITD_ENOTFOUND: it is not, or not any more. ITD_ETOOBIG: more than half
// of the bound. ITD_EBUSY: entries are being taken out. ITD_EFULL, ITD_EIO.
int quarantine_fix(struct quarantine *q, struct bytes id, struct bytes event, const char *by, int64_t now_ms,
                   struct error *err) ITD_MUST_USE;
// Notes that an entry was replayed. Synced by quarantine_sync. False: not noted.
bool quarantine_replayed(struct quarantine *q, struct bytes id, const char *by, struct bytes decision, int64_t now_ms);
// What was added and noted up to now lasts. Others go on adding meanwhile.
int quarantine_sync(struct quarantine *q, struct error *err) ITD_MUST_USE;
// Takes out the entries of forgotten identities: those whose bytes hold one of the texts anywhere (a short one may take
// more with it than it must), and those whose event says it as a number; and with an entry or a repair that goes all that
// has its id. What is taken out is overwritten on disk. removed[i]: what went for text[i] first. Shards may add meanwhile;
// one purge at a time. ITD_EFULL, ITD_EIO.
int quarantine_purge(struct quarantine *q, const struct bytes *text, size_t count, uint64_t *removed,
                     struct error *err) ITD_MUST_USE;

// What intake takes again.
struct quarantine_event {
  struct bytes id, event; // as it is to be taken: repaired, or as it came
  int64_t received_ms;
  bool is_fixed;
};

// ---- reading a directory, of a running daemon too ----
struct quarantine_entry {
  char id[QUARANTINE_ID + 1];
  struct bytes code, text, event; // views
  int64_t received_ms;
  struct bytes fixed, fixed_by; // the last repair; empty: none
  int64_t fixed_ms;
  struct bytes replayed_by, decision; // empty: it was not replayed
  int64_t replayed_ms;
};
// Calls `visit` for each entry, in the order in which they came; a negative result ends it and is returned. Views are good
// during the call. ITD_ENOTFOUND: no such directory. ITD_EIO.
typedef int (*quarantine_visit)(void *context, const struct quarantine_entry *entry);
int quarantine_walk(const char *dir, quarantine_visit visit, void *context, struct error *err) ITD_MUST_USE;
