// A source's payload that its mapping refused, as the quarantine keeps it in an entry's `event`: the map {source, who, payload},
// with `salt` behind it when the import that met it makes ids afresh. The entry's reason begins with "source NAME", which the
// daemon alone writes: what else is refused may look like a payload, and is none. Pure; any thread.
#pragma once
#include "base/buf.h"

#define QUARANTINE_PAYLOAD_MAX     65536 // bytes of the map that are kept; a longer one is cut, and can't be mapped again
#define QUARANTINE_PAYLOAD_WHO_MAX 32768 // of them for `who`
#define QUARANTINE_PAYLOAD_SALT    16

struct quarantine_payload {
  struct bytes source;  // its name
  struct bytes who;     // packed list of the identities that pieces of it are of, for a forgetting. Empty: not known
  struct bytes payload; // one packed value
  struct bytes salt;    // QUARANTINE_PAYLOAD_SALT bytes, or empty
};

// Appended. When `who` takes more than QUARANTINE_PAYLOAD_WHO_MAX, neither it nor the payload is kept: nobody could be
// forgotten in it.
void quarantine_payload_put(const struct quarantine_payload *p, struct buf *out);
// The reason of such an entry; `rule` and `where` may be empty. `err` gets "source NAME, rule 'RULE': WHY (WHERE)".
int quarantine_payload_why(int code, const char *source, struct bytes rule, struct bytes why, struct bytes where,
                           struct error *err);
// Views into `event`. False: it is no such map (or was cut). quarantine_payload_of looks at the entry's reason, too.
bool quarantine_payload_read(struct bytes event, struct quarantine_payload *p);
bool quarantine_payload_of(struct bytes event, struct bytes why, struct quarantine_payload *p);
// Is it the reason of a payload's entry?
bool quarantine_payload_is_why(struct bytes why);
