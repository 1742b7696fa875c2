// A bar on standard error, when that is a terminal; nothing otherwise. Redrawn at most ten times a second.
#pragma once
#include "base/bytes.h"

struct progress {
  bool is_shown;
  uint64_t start_ns, drawn_ns;
  const char *what; // "reading"
};

void progress_begin(struct progress *progress, const char *what);
// `done` of `total` (0: not known); `time_ms`: how far event time has come, INT64_MIN: not said.
void progress_show(struct progress *progress, uint64_t done, uint64_t total, int64_t time_ms);
void progress_end(struct progress *progress); // wipes it
// The line alone, without the codes that draw it: `columns` wide at most. For progress_show and its test.
struct buf;
void progress_line(const char *what, uint64_t done, uint64_t total, int64_t time_ms, uint64_t took_ns, unsigned columns,
                   struct buf *out);
