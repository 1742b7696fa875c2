#include "cli/source_usual.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/grid.h"
#include "cli/show.h"
#include "schema/baseline.h"

#include <limits.h>
#include <stdio.h>

enum { FILE_MAX = 16 << 20 };

struct looking {
  const char *source;
  bool is_json;
  struct grid grid;
  uint64_t count;
};

static void put_kinds(struct buf *out, const struct baseline_stats *s) {
  bool is_any = false;
  for (int k = 0; k < BASELINE_KINDS; k++) {
    if (s->is_now[k]) buf_printf(out, "%s%s", is_any ? " " : "", baseline_kinds[k]);
    is_any |= s->is_now[k];
  }
  if (!is_any) buf_append_u8(out, '-');
}

static void put_json(const struct baseline_stats *s) {
  struct buf out = {0};
  mp_put_map(&out, 8);
  mp_put_cstr(&out, "source"), mp_put_cstr(&out, s->source);
  mp_put_cstr(&out, "event"), mp_put_cstr(&out, s->event);
  mp_put_cstr(&out, "first"), mp_put_int(&out, s->first_ms);
  mp_put_cstr(&out, "last"), mp_put_int(&out, s->last_ms);
  mp_put_cstr(&out, "hour"), mp_put_uint(&out, s->hour_events);
  mp_put_cstr(&out, "usual");
  if (s->usual < 0)
    mp_put_nil(&out);
  else
    mp_put_float(&out, s->usual);
  mp_put_cstr(&out, "now"), mp_put_map(&out, BASELINE_KINDS);
  for (int k = 0; k < BASELINE_KINDS; k++) mp_put_cstr(&out, baseline_kinds[k]), mp_put_bool(&out, s->is_now[k]);
  mp_put_cstr(&out, "total"), mp_put_map(&out, BASELINE_KINDS);
  for (int k = 0; k < BASELINE_KINDS; k++) mp_put_cstr(&out, baseline_kinds[k]), mp_put_uint(&out, s->total[k]);
  show_json(buf_bytes(&out));
  buf_deinit(&out);
}

static void put_cell(struct grid *grid, const char *format, double value) {
  buf_printf(grid_cell(grid), format, value);
  grid_end(grid);
}

static void look(void *context, const struct baseline_stats *s) {
  struct looking *l = context;
  uint64_t total = 0;
  if (l->source && strcmp(l->source, s->source) != 0) return;
  l->count++;
  if (l->is_json) {
    put_json(s);
    return;
  }
  for (int k = 0; k < BASELINE_KINDS; k++) total += s->total[k];
  show_text(grid_cell(&l->grid), bytes_str(s->source));
  grid_end(&l->grid);
  show_text(grid_cell(&l->grid), bytes_str(s->event[0] ? s->event : "(all)"));
  grid_end(&l->grid);
  show_time(grid_cell(&l->grid), s->last_ms);
  grid_end(&l->grid);
  put_cell(&l->grid, "%.0f", (double)s->hour_events);
  if (s->usual < 0)
    grid_add_str(&l->grid, "learning");
  else
    put_cell(&l->grid, "%.1f", s->usual);
  put_kinds(grid_cell(&l->grid), s);
  grid_end(&l->grid);
  put_cell(&l->grid, "%.0f", (double)total);
}

static int read_baselines(const char *dir, struct baselines *b, struct error *err) {
  char path[PATH_MAX];
  struct buf in = {0};
  snprintf(path, sizeof path, "%s/baselines", dir);
  int status = file_read(path, FILE_MAX, &in, err);
  if (status == 0) status = baselines_load(b, buf_bytes(&in), err);
  if (status == ITD_ECORRUPT) error_prefix(err, "%s", path);
  buf_deinit(&in);
  return status;
}

int source_usual(const struct args *args, const char *source) {
  static const char *const head[] = {"source", "event", "last", "this hour", "usual", "now", "anomalies"};
  struct looking l = {.source = source, .is_json = args_flag(args, "json")};
  struct baselines *b = baselines_new();
  struct error err = {0};
  struct buf out = {0};
  int status = read_baselines(args_text(args, "data"), b, &err);
  grid_init(&l.grid, "lllrrlr");
  for (size_t i = 0; i < sizeof head / sizeof *head; i++) grid_add_str(&l.grid, head[i]);
  if (status == 0) baselines_visit(b, clock_wall_ms(), look, &l);
  if (status == 0 && !l.is_json && l.count) grid_put(&l.grid, show_width(), &out);
  if (status == 0 && !l.is_json && !l.count) buf_append_str(&out, "nothing was seen of it yet\n");
  show_print(&out);
  buf_deinit(&out);
  grid_deinit(&l.grid);
  baselines_free(b);
  if (status < 0) return command_fail(args, COMMAND_USAGE, &err);
  return l.count ? COMMAND_OK : COMMAND_NO;
}
