// Brings every sealed segment elsewhere, once it is sealed: into a folder (archive.dir), to a program (archive.command), or both. In the order of
// their numbers in each log, none left out, each tried until it succeeds, on a thread of its own. DIR/archived remembers how far it has come, and
// where to: with another destination it begins anew with the oldest segment that is there.
#pragma once
#include "base/status.h"

#include <stdint.h>

struct archiver;
struct archiver_options {
  const char *dir; // of the data directory
  const char
      *folder; // a copy of the file goes there, synced, under its own name; it is never overwritten. NULL, "": none
  const char *command;       // run as COMMAND FILE, without a shell; exit status 0: archived. NULL, "": none
  int64_t look_ms, again_ms; // between two looks, and after a first failure; 0: 500, 1000
};
// ITD_ECORRUPT: DIR/archived does not read. ITD_EINVAL: a path that is not absolute.
int archiver_start(const struct archiver_options *options, struct archiver **out, struct error *err) ITD_MUST_USE;
// A program that runs is asked to end (SIGTERM), and killed after 5 seconds; its segment is tried again after the next start. NULL does nothing.
void archiver_stop(struct archiver *a);
// Whether a segment may go: it is where it should be, or there is no archiver (NULL). Any thread.
bool archiver_has(const struct archiver *a, unsigned log, uint32_t segment);

struct archiver_stats {
  uint64_t segments, failures; // archived since the start; tries that failed
  uint64_t waiting;            // sealed and not archived
  int64_t waiting_ms;          // how long the first of them has been waiting
};
struct archiver_stats archiver_stats(const struct archiver *a); // any thread
