#include "net/prometheus.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define EDGE_FIRST 10 // 2^10 ns
#define EDGE_LAST  33 // 2^33 ns

void prometheus_family(struct buf *out, const char *name, const char *type, const char *help) {
  buf_printf(out, "# HELP %s ", name);
  for (const char *p = help; *p; p++) {
    if (*p == '\\')
      buf_append_str(out, "\\\\");
    else if (*p == '\n')
      buf_append_str(out, "\\n");
    else
      buf_append_u8(out, (uint8_t)*p);
  }
  buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

static void put_labels(struct buf *out, const char *name, const char *const *labels) {
  buf_append_str(out, name);
  if (!labels || !labels[0]) return;
  for (size_t i = 0; labels[i]; i += 2) {
    buf_printf(out, "%c%s=\"", i ? ',' : '{', labels[i]);
    for (const char *p = labels[i + 1]; *p; p++) {
      if (*p == '\\' || *p == '"')
        buf_printf(out, "\\%c", *p);
      else if (*p == '\n')
        buf_append_str(out, "\\n");
      else
        buf_append_u8(out, (uint8_t)*p);
    }
    buf_append_u8(out, '"');
  }
  buf_append_u8(out, '}');
}

void prometheus_count(struct buf *out, const char *name, const char *const *labels, uint64_t value) {
  put_labels(out, name, labels);
  buf_printf(out, " %" PRIu64 "\n", value);
}

void prometheus_number(struct buf *out, const char *name, const char *const *labels, double value) {
  put_labels(out, name, labels);
  if (isnan(value))
    buf_append_str(out, " NaN\n");
  else if (isinf(value))
    buf_append_str(out, value > 0 ? " +Inf\n" : " -Inf\n");
  else
    buf_printf(out, " %.15g\n", value);
}

// Edges are powers of two of the histogram's unit, `unit` seconds each.
static void put_hist(struct buf *out, const char *name, const char *help, const struct hist *h, unsigned first,
                     unsigned last, double unit) {
  char bucket[160], text[160], le[32];
  snprintf(bucket, sizeof bucket, "%s_bucket", name);
  prometheus_family(out, name, "histogram", help);
  // The count is taken from the buckets, not from h->count: another thread may be adding, and the two must agree.
  uint64_t sum = 0;
  unsigned b = 0;
  for (unsigned edge = first; edge <= last; edge++) {
    for (; b < HIST_BUCKETS && hist_upper(b) < UINT64_C(1) << edge; b++)
      sum += atomic_load_explicit(&h->bucket[b], memory_order_relaxed);
    snprintf(le, sizeof le, "%.10g", (double)(UINT64_C(1) << edge) * unit);
    prometheus_count(out, bucket, (const char *const[]){"le", le, NULL}, sum);
  }
  for (; b < HIST_BUCKETS; b++) sum += atomic_load_explicit(&h->bucket[b], memory_order_relaxed);
  prometheus_count(out, bucket, (const char *const[]){"le", "+Inf", NULL}, sum);
  snprintf(text, sizeof text, "%s_sum", name);
  prometheus_number(out, text, NULL, (double)atomic_load_explicit(&h->sum, memory_order_relaxed) * unit);
  snprintf(text, sizeof text, "%s_count", name);
  prometheus_count(out, text, NULL, sum);
}

void prometheus_seconds(struct buf *out, const char *name, const char *help, const struct hist *h) {
  put_hist(out, name, help, h, EDGE_FIRST, EDGE_LAST, 1e-9);
}

#define AGE_FIRST 8  // 2^8 ms
#define AGE_LAST  32 // 2^32 ms, 50 days
void prometheus_ages(struct buf *out, const char *name, const char *help, const struct hist *h) {
  put_hist(out, name, help, h, AGE_FIRST, AGE_LAST, 1e-3);
}
