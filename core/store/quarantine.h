// Events that were refused, with their reason, for people to look at. Best effort: bounded, not synced. Any thread.
//
// DIR/quarantine/events.mp and the older events.1.mp: MessagePack maps {code, text, received_ms, event (bin)}, one
// after the other. When the first holds half of the bound it takes the place of the second. They hold what senders
// sent, personal data too: mode 0600.
#pragma once
#include "base/buf.h"

struct quarantine;
int quarantine_open(const char *dir, size_t bytes_max, struct quarantine **out, struct error *err) ITD_MUST_USE;
void quarantine_close(struct quarantine *q);
bool quarantine_add(struct quarantine *q, const struct error *reason, struct bytes event,
                    int64_t received_ms); // false: not kept
// Takes out the entries of forgotten identities: those whose bytes hold one of the texts anywhere (a short one may take
// more with it than it must), and those whose event says it as a number. What is taken out is overwritten on disk.
// removed[i]: entries that went for text[i] first. Shards may add meanwhile; one purge at a time. ITD_EFULL, ITD_EIO.
int quarantine_purge(struct quarantine *q, const struct bytes *text, size_t count, uint64_t *removed,
                     struct error *err) ITD_MUST_USE;
