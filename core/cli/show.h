// Values as people read them, appended to a buffer. What came from a sender is shown without control characters, so
// that no event can steer a terminal. Pure but for the last three.
#pragma once
#include "wire/mp.h"

void show_text(struct buf *out, struct bytes text); // control characters and broken UTF-8 as "·"
void show_count(struct buf *out, uint64_t n);       // 262,200
void show_size(struct buf *out, uint64_t bytes);    // 812 bytes, 1.5 KiB, 64.0 MiB
void show_score(struct buf *out, int64_t milli);    // thousandths of a point as 76.1, half to even
void show_milli(struct buf *out, int64_t milli);    // all of them: -0.250
void show_time(struct buf *out, int64_t time_ms);   // 2026-01-05 09:00:00Z, with .250 only when not zero
void show_span(struct buf *out, int64_t span_ms);   // two units: 3d 4h, 90 ms
// Any value on one line; `unit` "ms": a number as a span. Maps and lists as JSON; nil as "-".
void show_value(struct buf *out, struct bytes value, const char *unit);
// A table of a map of values by feature. An answer gives values alone: durations are told by their names only in an
// explanation.
void show_features(struct buf *out, struct bytes features, unsigned width);

void show_json(struct bytes value); // a line on standard output
void show_print(struct buf *text);  // to standard output; empties it
unsigned show_width(void);          // columns of the terminal that standard output is; 0: it is none
