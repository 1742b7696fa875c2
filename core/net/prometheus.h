// Prometheus' text exposition format 0.0.4: families of samples, appended to a buffer. Pure; any thread.
#pragma once
#include "base/buf.h"
#include "base/hist.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8" // of the answer that carries it

// "# HELP" and "# TYPE" of a family, before its samples. `type` is counter, gauge or histogram.
void prometheus_family(struct buf *out, const char *name, const char *type, const char *help);
// One sample: name{label="value",…} number. `labels` are pairs of name and value, ended by NULL; NULL: none. Values are
// escaped.
void prometheus_count(struct buf *out, const char *name, const char *const *labels, uint64_t value);
void prometheus_number(struct buf *out, const char *name, const char *const *labels, double value);
// A whole family from a histogram of nanoseconds, in seconds. Edges are every power of two from 1.024 µs to 8.6 s: of
// the 8 buckets between two of them the sums are exact, so that no sample is counted below an edge that it lies above.
void prometheus_ages(struct buf *out, const char *name, const char *help, const struct hist *h); // of milliseconds
void prometheus_seconds(struct buf *out, const char *name, const char *help, const struct hist *h);
