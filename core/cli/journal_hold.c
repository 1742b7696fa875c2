// intent journal hold: what an auditor asked for is kept, whatever retention says.
#include "cli/grid.h"
#include "cli/journal.h"
#include "cli/show.h"

#include "base/clock.h"
#include "store/hold.h"
#include "store/journal_scan.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void put_holds(const struct hold *list, size_t count, struct buf *out) {
  struct grid t;
  grid_init(&t, "llrll");
  static const char *const head[] = {"hold", "keeps from", "uid", "made", "why"};
  for (size_t i = 0; i < sizeof head / sizeof *head; i++) grid_add_str(&t, head[i]);
  for (size_t i = 0; i < count; i++) {
    grid_add_str(&t, list[i].name);
    show_time(grid_cell(&t), list[i].since_ms);
    grid_end(&t);
    show_count(grid_cell(&t), list[i].uid);
    grid_end(&t);
    show_time(grid_cell(&t), list[i].made_ms);
    grid_end(&t);
    show_text(grid_cell(&t), bytes_str(list[i].why));
    grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

static void put_holds_json(const struct hold *list, size_t count, struct buf *out) {
  mp_put_array(out, (uint32_t)count);
  for (size_t i = 0; i < count; i++) {
    mp_put_map(out, 5);
    mp_put_cstr(out, "name"), mp_put_cstr(out, list[i].name);
    mp_put_cstr(out, "since"), mp_put_int(out, list[i].since_ms);
    mp_put_cstr(out, "uid"), mp_put_uint(out, list[i].uid);
    mp_put_cstr(out, "made"), mp_put_int(out, list[i].made_ms);
    mp_put_cstr(out, "why"), mp_put_cstr(out, list[i].why);
  }
}

static int show_holds(const struct args *args) {
  struct hold *list;
  size_t count;
  struct error err = {0};
  int status = holds_read(journal_data(args), &list, &count, &err);
  if (status < 0) return command_fail(args, journal_exit_of(status), &err);
  struct buf out = {0};
  if (args_flag(args, "json")) {
    put_holds_json(list, count, &out);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else if (count) {
    put_holds(list, count, &out);
  } else {
    buf_append_str(&out, "nothing is held: retention.age and retention.bytes say what goes\n");
  }
  show_print(&out);
  buf_deinit(&out);
  free(list);
  return COMMAND_OK;
}

// Since when the journal has everything; INT64_MIN: not known.
static int64_t reaches_back_to(const char *dir) {
  struct segment_info *list;
  size_t count;
  int64_t oldest_ms = INT64_MAX;
  if (segment_list(dir, &list, &count, NULL) < 0) return INT64_MIN;
  for (size_t i = 0; i < count; i++)
    if (list[i].has_opening && list[i].received_ms < oldest_ms) oldest_ms = list[i].received_ms;
  segment_list_free(list, count);
  return oldest_ms == INT64_MAX ? INT64_MIN : oldest_ms;
}

static int add(const struct args *args, const char *name) {
  struct hold hold = {.since_ms = INT64_MIN, .made_ms = clock_wall_ms(), .uid = (unsigned)getuid()};
  struct error err = {0};
  const char *why = args_text(args, "why"), *dir = journal_data(args);
  int status = journal_time(args, "since", &hold.since_ms, &err);
  if (status == 0 && hold.since_ms == INT64_MIN)
    status = error_set(&err, ITD_EINVAL, "a hold needs --since T: what was received from then on is kept");
  if (status == 0 && (!why || strlen(why) > HOLD_WHY_MAX || strlen(name) > HOLD_NAME_MAX))
    status = error_set(&err, ITD_EINVAL, "a hold needs --why TEXT of at most %d characters, and a name of at most %d",
                       HOLD_WHY_MAX, HOLD_NAME_MAX);
  if (status < 0) return command_fail(args, COMMAND_USAGE, &err);
  snprintf(hold.name, sizeof hold.name, "%s", name);
  snprintf(hold.why, sizeof hold.why, "%s", why);
  status = hold_add(dir, &hold, &err);
  if (status < 0) return command_fail(args, status == ITD_EBUSY ? COMMAND_NO : COMMAND_USAGE, &err);
  struct buf out = {0};
  int64_t oldest_ms = reaches_back_to(dir);
  buf_printf(&out, "%s keeps the journal from ", name);
  show_time(&out, hold.since_ms);
  buf_append_str(&out, " on\n");
  if (oldest_ms > hold.since_ms) {
    buf_append_str(&out, "it begins at ");
    show_time(&out, oldest_ms);
    buf_append_str(&out, " only: what was before is gone already, or never was\n");
  }
  show_print(&out);
  buf_deinit(&out);
  return COMMAND_OK;
}

static int release(const struct args *args, const char *name) {
  struct error err = {0};
  int status = hold_release(journal_data(args), name, &err);
  if (status < 0) return command_fail(args, status == ITD_ENOTFOUND ? COMMAND_NO : COMMAND_USAGE, &err);
  printf("%s is released: retention may let go what it kept\n", name);
  return COMMAND_OK;
}

int journal_hold(const struct args *args) {
  const char *name = args->operand_count > 1 ? args->operand[1] : NULL;
  struct error err = {0};
  if (!store_partitions_in(journal_data(args))) {
    error_set(&err, ITD_EINVAL, "%s is no data directory that this program reads", journal_data(args));
    return command_fail(args, COMMAND_USAGE, &err);
  }
  if (!name) return show_holds(args);
  return args_flag(args, "release") ? release(args, name) : add(args, name);
}
