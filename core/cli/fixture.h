// Recorded leads: a file of events, one a line of JSON, as `intent lead ID --fixture FILE` writes it and `intent send` takes it.
#pragma once
#include "base/buf.h"
#include "base/status.h"

#define FIXTURE_BYTES_MAX  (16u << 20)
#define FIXTURE_EVENTS_MAX 20000

// Appends {events = [maps]}, or {error = TEXT} when the file can't be read. `file` is relative to `dir` and stays below it.
void fixture_put(const char *dir, struct bytes file, struct buf *out);
// The events alone, packed one after the other. ITD_EINVAL: a line that is no JSON object, more than FIXTURE_EVENTS_MAX;
// ITD_ENOTFOUND, ITD_ETOOBIG, ITD_EIO.
int fixture_read(const char *path, struct buf *events, uint32_t *count, struct error *err) ITD_MUST_USE;
