// intent feature verify: are the features that a data directory holds those that its journal gives?
#include "store/feature_verify.h"
#include "cli/feature.h"
#include "cli/grid.h"
#include "cli/progress.h"
#include "cli/show.h"

#include <math.h>
#include <stdlib.h>

static void put_value(struct buf *out, double number, const char *text) {
  if (*text)
    mp_put_cstr(out, text);
  else if (isnan(number))
    mp_put_nil(out);
  else
    mp_put_float(out, number);
}

static void put_finding(struct buf *out, const struct feature_finding *f) {
  mp_put_map(out, f->is_personal || !*f->feature ? 4 : 6);
  mp_put_cstr(out, "decision"), mp_put_cstr(out, f->decision_id);
  mp_put_cstr(out, "where"), mp_put_cstr(out, f->where);
  mp_put_cstr(out, "feature");
  if (*f->feature)
    mp_put_cstr(out, f->feature);
  else
    mp_put_nil(out);
  mp_put_cstr(out, "personal"), mp_put_bool(out, f->is_personal);
  if (f->is_personal || !*f->feature) return;
  mp_put_cstr(out, "folded"), put_value(out, f->folded, f->folded_text);
  mp_put_cstr(out, "held"), put_value(out, f->held, f->held_text);
}

struct figure {
  const char *name, *what;
  uint64_t n;
};

#define FIGURES(r)                                                                                                     \
  {                                                                                                                    \
    {"leads", "leads of the sample", (r)->refold.leads},                                                               \
        {"frames", "frames folded, the digest of each compared", (r)->refold.frames},                                  \
        {"states", "leads held against LMDB", (r)->states}, {"bases", "leads held against a base", (r)->bases},        \
        {"features", "values of those compared", (r)->features},                                                       \
        {"from_base", "leads that begin with a base", (r)->refold.from_base},                                          \
        {"unreached", "leads whose beginning is not kept", (r)->refold.unreached},                                     \
        {"unmet", "leads whose state is of a frame that is not there", (r)->unmet},                                    \
        {"mismatches", "mismatches", (r)->mismatches}, {                                                               \
      "different_leads", "leads that differ", (r)->different_leads                                                     \
    }                                                                                                                  \
  }
#define FIGURE_COUNT 10

static void put_json(const struct feature_verify_result *r, struct buf *out) {
  const struct figure figures[FIGURE_COUNT] = FIGURES(r);
  mp_put_map(out, FIGURE_COUNT + 1);
  for (size_t i = 0; i < FIGURE_COUNT; i++) mp_put_cstr(out, figures[i].name), mp_put_uint(out, figures[i].n);
  mp_put_cstr(out, "findings");
  mp_put_array(out, (uint32_t)r->count);
  for (size_t i = 0; i < r->count; i++) put_finding(out, &r->finding[i]);
}

static void value_cell(struct grid *t, const struct feature_finding *f, double number, const char *text) {
  struct buf value = {0};
  put_value(&value, number, text);
  if (f->is_personal)
    grid_add_str(t, "(personal)");
  else if (!*f->feature)
    grid_add_str(t, "");
  else {
    show_value(grid_cell(t), buf_bytes(&value), NULL);
    grid_end(t);
  }
  buf_deinit(&value);
}

static void put_findings(const struct feature_verify_result *r, struct buf *out) {
  static const char *const heads[] = {"after decision", "held in", "feature", "folded", "held"};
  struct grid t;
  grid_init(&t, "lllll");
  for (size_t i = 0; i < 5; i++) grid_add_str(&t, heads[i]);
  for (size_t i = 0; i < r->count; i++) {
    const struct feature_finding *f = &r->finding[i];
    grid_add_str(&t, f->decision_id);
    grid_add_str(&t, f->where);
    grid_add_str(&t, *f->feature ? f->feature : "(the lead's digest)");
    value_cell(&t, f, f->folded, f->folded_text);
    value_cell(&t, f, f->held, f->held_text);
  }
  buf_append_u8(out, '\n');
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  if (r->mismatches > r->count) buf_printf(out, "and %llu more\n", (unsigned long long)(r->mismatches - r->count));
}

static void put_page(const struct feature_verify_result *r, struct buf *out) {
  const struct figure figures[FIGURE_COUNT] = FIGURES(r);
  struct grid t;
  grid_init(&t, "lr");
  for (size_t i = 0; i < FIGURE_COUNT; i++) {
    grid_add_str(&t, figures[i].what);
    show_count(grid_cell(&t), figures[i].n);
    grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  if (r->mismatches)
    put_findings(r, out);
  else if (r->refold.frames)
    buf_append_str(out, "\nevery value is the same, bit for bit\n");
  else
    buf_append_str(out, "\nthere was nothing to compare\n");
}

static void draw(void *context, uint64_t done, uint64_t total) { progress_show(context, done, total, INT64_MIN); }

int feature_verify(const struct args *args) {
  struct progress bar;
  struct error err = {0};
  int64_t sample, seed;
  int status = args_number(args, "sample", FEATURE_VERIFY_SAMPLE, 1, INT64_MAX, &sample, &err);
  if (status == 0) status = args_number(args, "seed", 0, 0, INT64_MAX, &seed, &err);
  if (status < 0) return command_fail(args, COMMAND_USAGE, &err);
  struct feature_verify_options o = {.dir = feature_data(args),
                                     .sample = args_flag(args, "all") ? 0 : (uint64_t)sample,
                                     .seed = (uint64_t)seed,
                                     .progress = draw,
                                     .context = &bar};
  struct feature_verify_result *r = xcalloc(1, sizeof *r);
  progress_begin(&bar, "verifying");
  status = store_features_verify(&o, r, &err);
  progress_end(&bar);
  struct buf out = {0};
  if (status == 0 && args_flag(args, "json")) {
    put_json(r, &out);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else if (status == 0) {
    put_page(r, &out);
  }
  show_print(&out);
  buf_deinit(&out);
  int code = status < 0 ? command_fail(args, feature_exit_of(status), &err) : r->mismatches ? COMMAND_NO : COMMAND_OK;
  free(r);
  return code;
}
