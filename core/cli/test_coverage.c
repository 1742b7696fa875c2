#include "cli/test_coverage.h"

#include "base/check.h"
#include "base/hash.h"
#include "cli/field.h"
#include "cli/scripts.h"
#include "cli/show.h"

#include <stdlib.h>

enum { ROWS_MAX = 20000 }; // different ones: what is beyond is not counted, and a policy has no use for so many

struct coverage {
  const struct policy *policy;
  struct row {
    uint64_t hash;
    size_t end; // in `rows`
  } * row;
  size_t count, cap;
  struct buf rows; // packed maps, as scripts/cli/coverage.lua wants them
};

struct coverage *coverage_new(const struct policy *policy) {
  struct coverage *c = xcalloc(1, sizeof *c);
  c->policy = policy;
  return c;
}

void coverage_free(struct coverage *c) {
  if (!c) return;
  buf_deinit(&c->rows);
  free(c->row);
  free(c);
}

static void put_stage(struct buf *out, const char *key, const struct policy *policy, int stage) {
  mp_put_cstr(out, key);
  mp_put_cstr(out, policy_entry(policy, POLICY_STAGES, (size_t)stage)->name);
}

static void put_row(const struct policy *policy, const struct policy_outcome *o, const int8_t *fired, struct buf *out) {
  struct buf signs = {0};
  for (size_t i = 0; i < policy_entries(policy, POLICY_CONDITIONS); i++)
    buf_append_u8(&signs, fired[i] < 0 ? '-' : fired[i] ? '1' : '0');
  mp_put_map(out, 8);
  mp_put_cstr(out, "fired"), mp_put_str(out, buf_bytes(&signs));
  put_stage(out, "before", policy, o->stage_before);
  put_stage(out, "stage", policy, o->stage);
  mp_put_cstr(out, "steps"), mp_put_array(out, (uint32_t)o->step_count);
  for (int i = 0; i < o->step_count; i++) mp_put_int(out, o->step[i]);
  mp_put_cstr(out, "cut"), mp_put_bool(out, o->steps_cut);
  mp_put_cstr(out, "route"), mp_put_int(out, o->route);
  mp_put_cstr(out, "action"), mp_put_int(out, o->action);
  mp_put_cstr(out, "eligible"), mp_put_bool(out, o->eligible);
  buf_deinit(&signs);
}

void coverage_see(struct coverage *c, const struct policy_outcome *outcome, const int8_t *fired) {
  size_t start = c->rows.n;
  put_row(c->policy, outcome, fired, &c->rows);
  uint64_t hash = hash64(bytes_of(c->rows.p + start, c->rows.n - start));
  bool is_known = c->count >= ROWS_MAX;
  for (size_t i = 0; i < c->count && !is_known; i++) is_known = c->row[i].hash == hash;
  if (is_known) {
    c->rows.n = start;
    return;
  }
  if (c->count == c->cap) {
    c->cap = c->cap ? 2 * c->cap : 64;
    c->row = xrealloc(c->row, c->cap * sizeof *c->row);
  }
  c->row[c->count++] = (struct row){.hash = hash, .end = c->rows.n};
}

size_t coverage_mark(const struct coverage *c) { return c->count; }

void coverage_back(struct coverage *c, size_t mark) {
  c->count = mark;
  c->rows.n = mark ? c->row[mark - 1].end : 0;
}

// ---- what it amounts to ----

static int ask(const struct coverage *c, struct buf *answer, struct error *err) {
  struct scripts scripts;
  struct buf question = {0};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  mp_put_map(&question, 1);
  mp_put_cstr(&question, "rows"), mp_put_array(&question, (uint32_t)c->count);
  buf_append_bytes(&question, buf_bytes(&c->rows));
  int status = scripts_open(&scripts, "scripts/cli/coverage.lua", "coverage", err);
  if (status == 0) status = scripts_more(&scripts, "scripts/cli/outline.lua", "outline", err);
  if (status == 0)
    status =
        policy_ask(c->policy, scripts.module, scripts.count, "coverage", buf_bytes(&question), &limits, answer, err);
  scripts_close(&scripts);
  buf_deinit(&question);
  return status;
}

static const char *unseen(struct bytes rule) {
  bool yes = field_int(rule, "yes", 0) > 0, no = field_int(rule, "no", 0) > 0;
  if (!field_is(rule, "has_condition")) return yes ? NULL : "never reached";
  return yes && no ? NULL : yes ? "never false" : no ? "never true" : "never tried";
}

static void print_text(const struct folder *folder, struct bytes answer, double percent) {
  struct buf out = {0}, path = {0};
  struct bytes rule;
  uint32_t rules = 0;
  for (struct each each = each_of(field(answer, "rules")); each_next(&each, &rule); rules++) {
    const char *what = unseen(rule);
    if (!what) continue;
    struct bytes file = field_text(rule, "path");
    char *text = xstrndup((const char *)file.p, file.n);
    buf_clear(&path);
    folder_path(folder, text, &path);
    free(text);
    show_text(&out, buf_bytes(&path));
    buf_printf(&out, ":%lld: %s: ", (long long)field_int(rule, "line", 0), what);
    show_text(&out, field_text(rule, "kind"));
    buf_append_str(&out, " '"), show_text(&out, field_text(rule, "name")), buf_append_str(&out, "'\n");
  }
  buf_printf(&out, "coverage: %lld of %lld outcomes of %u rules, %.1f %%\n", (long long)field_int(answer, "seen", 0),
             (long long)field_int(answer, "all", 0), rules, percent);
  show_print(&out);
  buf_deinit(&out);
  buf_deinit(&path);
}

int coverage_print(const struct coverage *c, const struct folder *folder, bool json, double *percent,
                   struct error *err) {
  struct buf answer = {0};
  int status = ask(c, &answer, err);
  if (status == 0) {
    int64_t all = field_int(buf_bytes(&answer), "all", 0);
    *percent = all ? 100.0 * (double)field_int(buf_bytes(&answer), "seen", 0) / (double)all : 100;
    if (json) {
      struct buf out = {0};
      mp_put_map(&out, 2);
      mp_put_cstr(&out, "coverage"), mp_put_raw(&out, buf_bytes(&answer));
      mp_put_cstr(&out, "percent"), mp_put_float(&out, *percent);
      show_json(buf_bytes(&out));
      buf_deinit(&out);
    } else {
      print_text(folder, buf_bytes(&answer), *percent);
    }
  }
  buf_deinit(&answer);
  return status;
}
