// What mapping a payload costs, by the shipped sources and their fixtures, as a ratio to reading its JSON in the same run;
// alone, as a webhook comes, and a hundred in one call, as an import does it. And opening the mappings of a set.
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "policy/sources.h"

#include <stdio.h>
#include <stdlib.h>

#define CALLS  3000
#define ROUNDS 7
#define LIST   100
#define FOLDER "policies/signals/b2b/sources/fixtures/"

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

static double median(double *ns) {
  qsort(ns, ROUNDS, sizeof *ns, compare);
  return ns[ROUNDS / 2];
}

static double parse_ns(struct bytes json) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct buf out = {0};
  double ns[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t start = clock_mono_ns();
    for (int i = 0; i < CALLS; i++) {
      buf_clear(&out);
      CHECK(mp_from_json(json, &limits, &out, NULL) == 0);
    }
    ns[r] = (double)(clock_mono_ns() - start) / CALLS;
  }
  buf_deinit(&out);
  return median(ns);
}

static double map_ns(struct sources *sources, const char *source, struct bytes payload, int calls) {
  struct buf out = {0};
  double ns[ROUNDS];
  const struct sources_call call = {.source = source, .payload = payload, .events_max = 1000};
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t start = clock_mono_ns();
    for (int i = 0; i < calls; i++) {
      buf_clear(&out);
      CHECK(sources_map(sources, &call, &out, NULL) == 0);
    }
    ns[r] = (double)(clock_mono_ns() - start) / calls;
  }
  buf_deinit(&out);
  return median(ns);
}

static void measure(struct sources *sources, const char *source, const char *file) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct buf json = {0}, one = {0}, list = {0};
  struct error err = {0};
  if (file_read(file, 1 << 20, &json, &err) < 0 || mp_from_json(buf_bytes(&json), &limits, &one, &err) < 0) {
    fprintf(stderr, "%s\n", err.text);
    exit(1);
  }
  mp_put_array(&list, LIST);
  for (int i = 0; i < LIST; i++) mp_put_raw(&list, buf_bytes(&one));
  double parse = parse_ns(buf_bytes(&json)), alone = map_ns(sources, source, buf_bytes(&one), CALLS);
  double many = map_ns(sources, source, buf_bytes(&list), CALLS / LIST) / LIST;
  printf("%-12s %5zu bytes  JSON %6.1f us  mapped alone %6.1f us (%.1f)  in a list of %d %6.1f us (%.1f)\n", source,
         json.n, parse / 1e3, alone / 1e3, alone / parse, LIST, many / 1e3, many / parse);
  buf_deinit(&json), buf_deinit(&one), buf_deinit(&list);
}

int main(void) {
  const struct sources_limits limits = {
      .memory_max = 256u << 20, .instructions_max = 1u << 30, .cpu_ms_max = 20000, .output_max = 64u << 20};
  struct sources *sources = NULL;
  struct error err = {0};
  double ns[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    sources_release(sources);
    uint64_t start = clock_mono_ns();
    if (sources_of_set("scripts", "policies", "b2b", &limits, &sources, &err) < 0) {
      fprintf(stderr, "%s\n", err.text);
      return 1;
    }
    ns[r] = (double)(clock_mono_ns() - start);
  }
  printf("opening the five sources of b2b %.1f ms\n", median(ns) / 1e6);
  measure(sources, "stripe", FOLDER "stripe_invoice_paid.json");
  measure(sources, "stripe", FOLDER "stripe_checkout.json");
  measure(sources, "salesforce", FOLDER "salesforce_lead_created.json");
  sources_release(sources);
  return 0;
}
