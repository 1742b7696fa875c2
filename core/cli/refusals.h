// Payloads that a source's mapping refused, on their way to the daemon's quarantine (quarantine.add): gathered, sent over a
// connection of their own, and sent again when it ends, which does no harm: the daemon keeps the same payload once. Not
// thread-safe.
#pragma once
#include "base/buf.h"

#define REFUSALS_MAX_DEFAULT 10000      // payloads of one import
#define REFUSALS_BYTES_MAX   (16 << 20) // of them: a quarter of the quarantine, as it is by default

struct refusals_options {
  const char *address, *source; // of client_open; the source's name. Must live as long as the refusals
  const uint8_t *salt;          // SOURCES_SALT bytes that the import's ids are made with, or NULL
  int64_t patience_ms;          // how long failures that may pass are tried again
  uint64_t max;                 // payloads that are sent; the others are counted
};
struct refusals_tally {
  uint64_t added, known; // by the daemon
  uint64_t over;         // not sent: beyond the bounds
  uint64_t failed;       // not kept by the daemon, for the reason in `why` (the first one's)
  struct error why;
};

struct refusal {
  struct bytes payload, why, rule, where;
  struct bytes who; // packed list of texts; empty: not known
  bool is_stopped;  // the mapping ran over its limits on it
};

struct refusals;
struct refusals *refusals_new(const struct refusals_options *options);
void refusals_free(struct refusals *refusals);
// ITD_EIO: no connection within the patience. What else the daemon says against the call as a whole.
int refusals_add(struct refusals *refusals, const struct refusal *one, struct error *err) ITD_MUST_USE;
int refusals_flush(struct refusals *refusals, struct error *err) ITD_MUST_USE; // what waits; errors as above
const struct refusals_tally *refusals_tally(const struct refusals *refusals);
