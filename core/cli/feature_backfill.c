// intent feature backfill: has a running daemon fill in what features lack of the history before them, and shows how far it
// is; or says, of a directory's files, what they lack.
#include "base/suggest.h"
#include "cli/connect.h"
#include "cli/feature.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "store/backfill.h"
#include "store/in_force.h"
#include "store/select.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 200

// ---- the daemon's ----
static int begin(const struct args *args, struct client *client) {
  struct buf params = {0}, answer = {0};
  struct error err = {0};
  mp_put_array(&params, 1);
  mp_put_map(&params, 2);
  mp_put_cstr(&params, "switch_in"), mp_put_bool(&params, args_flag(args, "switch-in"));
  mp_put_cstr(&params, "features");
  if (args->operand_count > 1)
    mp_put_array(&params, (uint32_t)(args->operand_count - 1));
  else
    mp_put_nil(&params);
  for (size_t i = 1; i < args->operand_count; i++) mp_put_cstr(&params, args->operand[i]);
  int status = client_call(client, "feature.backfill", buf_bytes(&params), &answer, &err);
  buf_deinit(&params);
  buf_deinit(&answer);
  if (status == ITD_EPOLICY || status == ITD_EMODEL) return command_fail(args, COMMAND_NO, &err);
  return status < 0 ? connect_fail(args, client, status, &err) : 0;
}

static bool is_running(struct bytes status) {
  struct bytes value;
  if (!mp_find(status, BYTES_LIT("running"), &value)) return false;
  struct mp_value v = mp_value_of(value);
  return v.type == MP_BOOL && v.b;
}

static int wait_for_end(const struct args *args, struct client *client, struct buf *status) {
  struct progress bar;
  int code;
  progress_begin(&bar, "filling in");
  do {
    buf_clear(status);
    code = connect_ask(args, client, "feature.backfill_status", NULL, status);
    struct bytes done;
    double share = 0;
    if (code == 0 && mp_find(buf_bytes(status), BYTES_LIT("done"), &done)) mp_as_number(done, &share);
    progress_show(&bar, (uint64_t)(share * 1000), 1000, INT64_MIN);
    if (code == 0 && is_running(buf_bytes(status))) usleep(LOOK_MS * 1000);
  } while (code == 0 && is_running(buf_bytes(status)));
  progress_end(&bar);
  return code;
}

// ---- what both show ----
struct row {
  struct bytes name, definition;
  uint64_t leads;
};

static void put_head(struct grid *t, const char *leads) {
  grid_init(t, "llr");
  grid_add_str(t, "feature");
  grid_add_str(t, "definition");
  grid_add_str(t, leads);
}

static void put_row(struct grid *t, const struct row *row) {
  show_text(grid_cell(t), row->name);
  grid_end(t);
  show_text(grid_cell(t), row->definition);
  grid_end(t);
  show_count(grid_cell(t), row->leads);
  grid_end(t);
}

// Features that something was filled in of: most of a set are owed nothing.
static void put_filled(struct bytes status, struct buf *out) {
  struct bytes list = field(status, "features");
  struct mp m = mp_of(list);
  struct grid t;
  put_head(&t, "leads filled");
  uint32_t count = list.n ? mp_next(&m).count : 0, shown = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct bytes one = mp_take(&m);
    struct row row = {field_text(one, "name"), field_text(one, "definition"), (uint64_t)field_int(one, "leads", 0)};
    if (!row.leads) continue;
    put_row(&t, &row);
    shown++;
  }
  if (shown) grid_put(&t, show_width(), out), buf_append_u8(out, '\n');
  grid_deinit(&t);
}

static void put_switch_in(struct bytes status, struct buf *out) {
  if (!field_text(status, "switch_in.version").n) return;
  bool is_done = field_is(status, "switch_in.done");
  show_text(out, field_text(status, "switch_in.policy"));
  buf_append_u8(out, ' ');
  show_text(out, field_text(status, "switch_in.before"));
  buf_append_str(out, is_done              ? " -> "
                      : is_running(status) ? " decides until it is done; then "
                                           : " decides as before, and not ");
  show_text(out, field_text(status, "switch_in.version"));
  buf_append_str(out, is_done ? ": switched in\n" : "\n");
}

static void show_page(struct bytes status, struct buf *out) {
  struct bytes error = field(status, "error");
  if (!field(status, "leads").n) {
    buf_append_str(out, "no backfill has run since the daemon started\n");
    return;
  }
  put_filled(status, out);
  buf_printf(out, "%lld leads looked at, %lld owed something, %lld filled in, %lld gone meanwhile",
             (long long)field_int(status, "leads", 0), (long long)field_int(status, "owed", 0),
             (long long)field_int(status, "filled", 0), (long long)field_int(status, "gone", 0));
  if (is_running(status))
    buf_append_str(out, "; it runs\n");
  else
    buf_printf(out, "; it took %lld ms\n", (long long)field_int(status, "took_ms", 0));
  if (field_int(status, "cut_short", 0))
    buf_printf(out,
               "the beginning of %lld leads is not kept any more (retention): what was before can't be filled in\n",
               (long long)field_int(status, "cut_short", 0));
  put_switch_in(status, out);
  if (error.n && mp_value_of(error).type == MP_MAP) {
    buf_append_str(out, "it ended early: ");
    show_text(out, field_text(error, "detail"));
    buf_append_str(out, "; say it again, and it goes on from there\n");
  }
}

static int show(const struct args *args, struct bytes status) {
  struct buf out = {0};
  struct bytes error = field(status, "error");
  if (args_flag(args, "json"))
    show_json(status);
  else
    show_page(status, &out);
  show_print(&out);
  buf_deinit(&out);
  return error.n && mp_value_of(error).type == MP_MAP ? COMMAND_NO : COMMAND_OK;
}

static int ask_daemon(const struct args *args) {
  struct client *client;
  struct buf status = {0};
  int code = connect_admin(args, &client);
  if (code) return code;
  if (args_flag(args, "stop"))
    code = connect_ask(args, client, "feature.backfill_stop", NULL, &status);
  else if (!args_flag(args, "status"))
    code = begin(args, client);
  if (code == 0 && args_flag(args, "status")) {
    buf_clear(&status);
    code = connect_ask(args, client, "feature.backfill_status", NULL, &status);
  } else if (code == 0) {
    code = wait_for_end(args, client, &status);
  }
  if (code == 0) code = show(args, buf_bytes(&status));
  client_close(client);
  buf_deinit(&status);
  return code;
}

// ---- of a directory's files: what is owed ----
struct owing {
  const struct feature_set *set;
  uint64_t leads_of[FEATURES_MAX];
  struct progress bar;
};

static int owe(void *context, struct lead_id lead, const struct fill *fill, const struct feature_mask *mask,
               struct error *err) {
  (void)lead, (void)fill, (void)err;
  struct owing *o = context;
  for (size_t i = 0; i < feature_count(o->set); i++) o->leads_of[i] += feature_mask_has(mask, i);
  return 0;
}

static void draw(void *context, uint64_t done, uint64_t total) {
  struct owing *o = context;
  progress_show(&o->bar, done, total, INT64_MIN);
}

static int choose(const struct args *args, const struct feature_set *set, struct feature_mask *only,
                  struct error *err) {
  const char *names[FEATURES_MAX];
  for (size_t i = 0; i < feature_count(set); i++) names[i] = feature_info(set, i)->name;
  for (size_t i = 1; i < args->operand_count; i++) {
    int at = feature_find(set, bytes_str(args->operand[i]));
    const char *near = at < 0 ? suggest(bytes_str(args->operand[i]), names, feature_count(set)) : NULL;
    if (at < 0)
      return error_set(err, ITD_EINVAL, "there is no feature \"%.60s\"%s%s%s", args->operand[i],
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    feature_mask_add(only, (size_t)at);
  }
  return 0;
}

static void show_owed(const struct args *args, const struct owing *o, const struct backfill_stats *stats) {
  struct buf out = {0}, map = {0};
  struct grid t;
  uint32_t rows = 0;
  put_head(&t, "leads owed");
  for (size_t i = 0; i < feature_count(o->set); i++) rows += o->leads_of[i] > 0;
  mp_put_map(&map, 4);
  mp_put_cstr(&map, "leads"), mp_put_uint(&map, stats->leads);
  mp_put_cstr(&map, "owed"), mp_put_uint(&map, stats->owed);
  mp_put_cstr(&map, "cut_short"), mp_put_uint(&map, stats->cut_short);
  mp_put_cstr(&map, "features"), mp_put_array(&map, rows);
  for (size_t i = 0; i < feature_count(o->set); i++) {
    const struct feature_info *info = feature_info(o->set, i);
    char hash[17];
    if (!o->leads_of[i]) continue;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)info->definition_hash);
    struct row row = {bytes_str(info->name), bytes_str(hash), o->leads_of[i]};
    put_row(&t, &row);
    mp_put_map(&map, 3);
    mp_put_cstr(&map, "name"), mp_put_cstr(&map, info->name);
    mp_put_cstr(&map, "definition"), mp_put_cstr(&map, hash);
    mp_put_cstr(&map, "leads"), mp_put_uint(&map, o->leads_of[i]);
  }
  if (args_flag(args, "json")) {
    show_json(buf_bytes(&map));
  } else {
    if (rows) grid_put(&t, show_width(), &out);
    buf_printf(&out, "%s%llu of %llu leads are owed something\n", rows ? "\n" : "", (unsigned long long)stats->owed,
               (unsigned long long)stats->leads);
  }
  show_print(&out);
  grid_deinit(&t);
  buf_deinit(&out);
  buf_deinit(&map);
}

static int look(const struct args *args) {
  struct error err = {0};
  struct feature_mask only = {0};
  struct versions *versions = NULL;
  struct policy *policy = NULL;
  struct owing o = {0};
  struct backfill_stats stats = {0};
  int status = versions_open(feature_data(args), &versions, &err);
  if (status == 0) status = in_force_policy(feature_data(args), versions, &policy, &err);
  if (status == 0) o.set = policy_features(policy);
  if (status == 0) status = choose(args, o.set, &only, &err);
  if (status == 0) {
    struct backfill_options options = {.dir = feature_data(args),
                                       .policy = policy,
                                       .only = args->operand_count > 1 ? &only : NULL,
                                       .each = owe,
                                       .progress = draw,
                                       .context = &o};
    progress_begin(&o.bar, "reading");
    status = store_backfill(&options, &stats, &err);
    progress_end(&o.bar);
  }
  if (status == 0) show_owed(args, &o, &stats);
  versions_close(versions);
  if (status < 0) return command_fail(args, status == ITD_EINVAL ? COMMAND_USAGE : feature_exit_of(status), &err);
  return stats.owed ? COMMAND_NO : COMMAND_OK;
}

int feature_backfill(const struct args *args) {
  static const char *const ways[] = {"dry-run", "status", "stop", "switch-in"};
  const char *first = NULL;
  struct error err = {0};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    if (!args_flag(args, ways[i])) continue;
    if (first) {
      error_set(&err, ITD_EINVAL, "--%s and --%s are two things: say one at a time", first, ways[i]);
      return command_fail(args, COMMAND_USAGE, &err);
    }
    first = ways[i];
  }
  if (args_flag(args, "switch-in") && args->operand_count > 1) {
    error_set(&err, ITD_EINVAL, "--switch-in fills in all that the files' version has: name no features");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  return args_flag(args, "dry-run") ? look(args) : ask_daemon(args);
}
