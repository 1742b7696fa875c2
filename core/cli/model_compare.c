// intent model compare: what one version of a model has that another has not, by their files; with a data directory also
// how the scores of its decisions would have moved.
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/journal.h"
#include "cli/model.h"
#include "cli/model_moves.h"
#include "cli/show.h"
#include "model/model.h"

#include <stdlib.h>

enum { SIDES = 2 };

struct compared {
  const char *name, *version[SIDES];
  struct buf json[SIDES], head[SIDES]; // model.json, and as a map
  struct model *model[SIDES];
  struct buf moves; // model_moves_put's; empty without a data directory
};

static int read_one(struct compared *c, const struct model_places *places, int side, struct error *err) {
  struct buf weights = {0};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  int rc = model_files(places, c->name, c->version[side], &c->json[side], &weights, err);
  if (rc == 0) rc = model_parse(buf_bytes(&c->json[side]), buf_bytes(&weights), &c->model[side], err);
  if (rc == 0) rc = mp_from_json(buf_bytes(&c->json[side]), &limits, &c->head[side], err);
  buf_deinit(&weights);
  return rc;
}

static struct bytes head_of(const struct compared *c, int side) { return buf_bytes(&c->head[side]); }

// ---- keys ----

// A row "group key" of both sides; what is the same is left out, unless it is asked for.
static void put_row(struct grid *t, const char *group, struct bytes key, const struct bytes value[SIDES],
                    bool is_always) {
  if (!is_always && bytes_eq(value[0], value[1])) return;
  struct buf *cell = grid_cell(t);
  if (group) buf_printf(cell, "%s ", group);
  show_text(cell, key);
  grid_end(t);
  for (int side = 0; side < SIDES; side++) {
    cell = grid_cell(t);
    struct mp_value v = value[side].n ? mp_value_of(value[side]) : (struct mp_value){.type = MP_NIL};
    if (v.type == MP_ARRAY) // a calibration's steps
      buf_printf(cell, "%u values", v.count);
    else if (value[side].n)
      show_value(cell, value[side], NULL);
    else
      buf_append_str(cell, "-");
    grid_end(t);
  }
}

static void put_key(struct grid *t, const struct compared *c, const char *key) {
  const struct bytes value[SIDES] = {field(head_of(c, 0), key), field(head_of(c, 1), key)};
  put_row(t, NULL, bytes_str(key), value, false);
}

// The keys of a map that either has: first those of the first side.
static void put_map(struct grid *t, const struct compared *c, const char *group, bool is_always) {
  struct bytes map[SIDES] = {field(head_of(c, 0), group), field(head_of(c, 1), group)}, packed, value, key, other;
  for (int side = 0; side < SIDES; side++)
    for (struct each each = each_of_map(map[side]); each_next_pair(&each, &packed, &value);) {
      if (!mp_as_str(packed, &key)) continue;
      bool has_other = map[!side].n && mp_find(map[!side], key, &other);
      if (side == 1 && has_other) continue; // it was there
      const struct bytes both[SIDES] = {side ? (struct bytes){0} : value, side        ? value
                                                                          : has_other ? other
                                                                                      : (struct bytes){0}};
      put_row(t, group, key, both, is_always);
    }
}

// ---- features ----

static bool find_feature(struct bytes head, struct bytes name, struct bytes *feature) {
  for (struct each each = each_of(field(head, "features")); each_next(&each, feature);)
    if (bytes_eq(field_text(*feature, "name"), name)) return true;
  return false;
}

// Features that only `side` has, or of another definition there; appends their names.
static size_t put_only(const struct compared *c, int side, struct buf *out) {
  struct bytes feature, other;
  size_t count = 0;
  for (struct each each = each_of(field(head_of(c, side), "features")); each_next(&each, &feature);) {
    if (find_feature(head_of(c, !side), field_text(feature, "name"), &other)) continue;
    if (count++) buf_append_str(out, ", ");
    show_text(out, field_text(feature, "name"));
  }
  return count;
}

static size_t put_redefined(const struct compared *c, struct buf *out, size_t *same) {
  struct bytes feature, other;
  size_t count = 0;
  *same = 0;
  for (struct each each = each_of(field(head_of(c, 0), "features")); each_next(&each, &feature);) {
    if (!find_feature(head_of(c, 1), field_text(feature, "name"), &other)) continue;
    if (bytes_eq(field(feature, "definition"), field(other, "definition"))) {
      ++*same;
      continue;
    }
    if (count++) buf_append_str(out, ", ");
    show_text(out, field_text(feature, "name"));
  }
  return count;
}

// ---- the page ----

static void put_page(const struct compared *c, struct buf *out) {
  static const char *const keys[] = {"kind", "target", "rationale"};
  struct grid t;
  grid_init(&t, "lll");
  grid_add_str(&t, c->name);
  for (int side = 0; side < SIDES; side++) grid_add_str(&t, c->version[side]);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) put_key(&t, c, keys[i]);
  put_map(&t, c, "trained", false);
  put_map(&t, c, "scale", false);
  put_map(&t, c, "calibration", false);
  put_map(&t, c, "metrics", true);
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  buf_append_u8(out, '\n');
  size_t same = 0;
  struct buf list = {0};
  for (int side = 0; side < SIDES; side++) {
    buf_clear(&list);
    if (put_only(c, side, &list))
      buf_printf(out, "only %s has: %.*s\n", c->version[side], (int)list.n, (const char *)list.p);
  }
  buf_clear(&list);
  if (put_redefined(c, &list, &same)) buf_printf(out, "another definition: %.*s\n", (int)list.n, (const char *)list.p);
  buf_printf(out, "the same features: %zu\n", same);
  const struct bytes judged[SIDES] = {field(head_of(c, 0), "metrics.test_window"),
                                      field(head_of(c, 1), "metrics.test_window")};
  if (!bytes_eq(judged[0], judged[1]))
    buf_append_str(out, "The metrics are of other leads: intent model shadow holds two versions against the same.\n");
  buf_deinit(&list);
}

static void put_json(const struct compared *c, struct buf *out) {
  mp_put_map(out, c->moves.n ? 3 : 2);
  mp_put_cstr(out, "name"), mp_put_cstr(out, c->name);
  mp_put_cstr(out, "versions"), mp_put_array(out, SIDES);
  for (int side = 0; side < SIDES; side++) buf_append_bytes(out, head_of(c, side));
  if (c->moves.n) mp_put_cstr(out, "moves"), buf_append_bytes(out, buf_bytes(&c->moves));
}

static int read_moves(const struct args *args, struct compared *c, int64_t since_ms, struct error *err) {
  const char *data = args_text(args, "data");
  const struct model *const both[SIDES] = {c->model[0], c->model[1]};
  return data ? model_moves_put(data, both, since_ms, &c->moves, err) : 0;
}

int model_compare(const struct args *args) {
  struct compared c = {.name = args->operand[1], .version = {args->operand[2], args->operand[3]}};
  struct model_search search;
  struct error err = {0};
  struct buf out = {0};
  int64_t since_ms = INT64_MIN;
  int status = journal_time(args, "since", &since_ms, &err);
  if (status < 0) return command_fail(args, COMMAND_USAGE, &err);
  int code = model_search_open(args, &search);
  if (code) return code;
  for (int side = 0; side < SIDES && status == 0; side++) status = read_one(&c, &search.places, side, &err);
  if (status == 0) status = read_moves(args, &c, since_ms, &err);
  if (status < 0) {
    code = command_fail(args, model_exit_of(status), &err);
  } else if (args_flag(args, "json")) {
    put_json(&c, &out);
    show_json(buf_bytes(&out));
  } else {
    put_page(&c, &out);
    if (c.moves.n) buf_append_u8(&out, '\n'), model_moves_show(buf_bytes(&c.moves), &out);
    show_print(&out);
  }
  model_search_close(&search);
  for (int side = 0; side < SIDES; side++)
    buf_deinit(&c.json[side]), buf_deinit(&c.head[side]), model_free(c.model[side]);
  buf_deinit(&c.moves);
  buf_deinit(&out);
  return code;
}
