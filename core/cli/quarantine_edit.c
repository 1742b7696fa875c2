// intent quarantine fix and replay: what the daemon is asked to do with refused events.
#include "cli/quarantine.h"

#include "base/check.h"
#include "base/file.h"
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/show.h"
#include "wire/mp_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CALL_MAX  64 // entries in one call of quarantine.replay
#define EDITS_MAX 64
#define FILE_MAX  (4u << 20)

static int call(const struct args *args, struct client *client, const char *method, struct bytes param,
                struct buf *answer) {
  struct buf params = {0};
  struct error err = {0};
  mp_put_array(&params, 1);
  mp_put_raw(&params, param);
  int status = client_call(client, method, buf_bytes(&params), answer, &err);
  buf_deinit(&params);
  return status < 0 ? connect_fail(args, client, status, &err) : 0;
}

// ---- fix ----

struct editing {
  const char *id;
  bool is_there;
  struct buf event;
};

static int take_event(void *context, const struct quarantine_entry *e) {
  struct editing *edit = context;
  if (strcmp(e->id, edit->id) != 0) return 0;
  edit->is_there = true;
  buf_clear(&edit->event);
  buf_append_bytes(&edit->event, quarantine_event_of(e, false));
  return 0;
}

static int read_file(const char *name, struct buf *event, struct error *err) {
  struct buf text = {0};
  int status = file_read(strcmp(name, "-") == 0 ? "/dev/stdin" : name, FILE_MAX, &text, err);
  buf_clear(event);
  if (status == 0) status = mp_from_json(buf_bytes(&text), &MP_LIMITS_DEFAULT, event, err);
  if (status < 0) error_prefix(err, "%s", name);
  buf_deinit(&text);
  return status;
}

// VALUE as JSON, and when it is none as text. A JSON text must be a list or a map at its top, so it comes in one.
static void put_value(const char *text, struct buf *out) {
  struct buf list = {0}, packed = {0};
  buf_printf(&list, "[%s]", text);
  struct mp m = {0};
  bool is_one = mp_from_json(buf_bytes(&list), &MP_LIMITS_DEFAULT, &packed, NULL) == 0;
  if (is_one) {
    m = mp_of(buf_bytes(&packed));
    is_one = mp_next(&m).count == 1;
  }
  if (is_one)
    mp_put_raw(out, mp_take(&m));
  else
    mp_put_cstr(out, text);
  buf_deinit(&list);
  buf_deinit(&packed);
}

static int edit(const struct args *args, struct editing *e, struct error *err) {
  const char *set[EDITS_MAX], *unset[EDITS_MAX], *file = args_text(args, "with");
  size_t sets = args_all(args, "set", set, EDITS_MAX), unsets = args_all(args, "unset", unset, EDITS_MAX);
  if (!file && !sets && !unsets) return error_set(err, ITD_EINVAL, "what to change? --set, --unset or --with");
  if (file && read_file(file, &e->event, err) < 0) return err->code;
  if (!e->event.n || mp_value_of(buf_bytes(&e->event)).type != MP_MAP)
    return error_set(err, ITD_EINVAL, "there is no event to change: its bytes are none; give it one --with FILE");
  for (size_t i = 0; i < unsets; i++)
    if (!mp_cut(&e->event, bytes_str(unset[i]), NULL))
      return error_set(err, ITD_EINVAL, "the event has no %.100s", unset[i]);
  for (size_t i = 0; i < sets; i++) {
    const char *equals = strchr(set[i], '=');
    struct buf value = {0};
    if (!equals || equals == set[i]) return error_set(err, ITD_EINVAL, "--set takes PATH=VALUE");
    put_value(equals + 1, &value);
    bool done = mp_set(&e->event, bytes_of(set[i], (size_t)(equals - set[i])), buf_bytes(&value));
    buf_deinit(&value);
    if (!done) return error_set(err, ITD_EINVAL, "%.100s: something on the way there is no map", set[i]);
  }
  return 0;
}

static int send_fix(const struct args *args, struct editing *e) {
  struct client *client;
  struct buf param = {0}, answer = {0};
  int code = connect_admin(args, &client);
  if (code) return code;
  mp_put_map(&param, 2);
  mp_put_cstr(&param, "id"), mp_put_cstr(&param, e->id);
  mp_put_cstr(&param, "event"), mp_put_raw(&param, buf_bytes(&e->event));
  code = call(args, client, "quarantine.fix", buf_bytes(&param), &answer);
  if (code == 0 && args_flag(args, "json"))
    show_json(buf_bytes(&answer));
  else if (code == 0)
    printf("%s is fixed; intent quarantine replay %s has it taken\n", e->id, e->id);
  client_close(client);
  buf_deinit(&param);
  buf_deinit(&answer);
  return code;
}

int quarantine_fix_command(const struct args *args) {
  struct error err = {0};
  struct quarantine_filter filter;
  int code = quarantine_filter_read(args, &filter);
  if (code) return code;
  struct editing e = {.id = args->operand_count == 2 ? args->operand[1] : ""};
  int status = *e.id ? quarantine_walk(filter.dir, take_event, &e, &err)
                     : error_set(&err, ITD_EINVAL, "fix takes one ID; intent quarantine list shows them");
  if (status == 0 && !e.is_there) {
    error_set(&err, ITD_ENOTFOUND, "nothing in quarantine has the id %.40s", e.id);
    buf_deinit(&e.event);
    return command_fail(args, COMMAND_NO, &err);
  }
  if (status == 0) status = edit(args, &e, &err);
  code = status < 0 ? command_fail(args, COMMAND_USAGE, &err) : send_fix(args, &e);
  if (e.event.p) explicit_bzero(e.event.p, e.event.cap);
  buf_deinit(&e.event);
  return code;
}

// ---- replay ----

struct choosing {
  const struct quarantine_filter *filter;
  char (*id)[QUARANTINE_ID + 1];
  size_t count, cap;
};

static int choose(void *context, const struct quarantine_entry *e) {
  struct choosing *c = context;
  if (!quarantine_filter_takes(c->filter, e)) return 0;
  if (c->count == c->cap) c->id = xrealloc(c->id, (c->cap = c->cap ? 2 * c->cap : 64) * sizeof *c->id);
  memcpy(c->id[c->count++], e->id, sizeof e->id);
  return 0;
}

struct outcome {
  uint64_t taken, duplicates, refused;
};

static void tell(const struct args *args, struct bytes one, struct outcome *sum) {
  struct bytes error = field(one, "error");
  bool is_duplicate = field_is(one, "decision.duplicate");
  if (error.n)
    sum->refused++;
  else if (is_duplicate)
    sum->duplicates++;
  else
    sum->taken++;
  if (args_flag(args, "json")) {
    show_json(one);
    return;
  }
  struct buf out = {0};
  show_text(&out, field_text(one, "id"));
  if (error.n) {
    buf_append_str(&out, " stays: ");
    show_text(&out, field_text(error, "code"));
    buf_append_str(&out, ": ");
    show_text(&out, field_text(error, "detail"));
  } else {
    buf_append_str(&out, is_duplicate ? " was decided before: " : " is taken: ");
    show_text(&out, field_text(one, "decision.decision_id"));
  }
  buf_append_u8(&out, '\n');
  show_print(&out);
  buf_deinit(&out);
}

static int replay_some(const struct args *args, struct client *client, const struct choosing *c, size_t from, size_t n,
                       struct outcome *sum) {
  struct buf param = {0}, answer = {0};
  mp_put_map(&param, 3);
  mp_put_cstr(&param, "ids"), mp_put_array(&param, (uint32_t)n);
  for (size_t i = 0; i < n; i++) mp_put_cstr(&param, c->id[from + i]);
  mp_put_cstr(&param, "force"), mp_put_bool(&param, args_flag(args, "force"));
  mp_put_cstr(&param, "as_came"), mp_put_bool(&param, args_flag(args, "as-came"));
  int code = call(args, client, "quarantine.replay", buf_bytes(&param), &answer);
  struct bytes one;
  if (code == 0)
    for (struct each each = each_of(buf_bytes(&answer)); each_next(&each, &one);) tell(args, one, sum);
  buf_deinit(&param);
  buf_deinit(&answer);
  return code;
}

int quarantine_replay_command(const struct args *args) {
  struct error err = {0};
  struct quarantine_filter filter;
  int code = quarantine_filter_read(args, &filter);
  if (code) return code;
  struct choosing c = {.filter = &filter};
  int status = quarantine_walk(filter.dir, choose, &c, &err);
  if (status == 0 && c.count == 0)
    status = error_set(&err, ITD_ENOTFOUND, "nothing is in quarantine that was asked for");
  if (status < 0) {
    free(c.id);
    return command_fail(args, status == ITD_ENOTFOUND ? COMMAND_NO : COMMAND_USAGE, &err);
  }
  struct client *client;
  struct outcome sum = {0};
  code = connect_admin(args, &client);
  bool is_open = code == 0;
  for (size_t at = 0; code == 0 && at < c.count; at += CALL_MAX)
    code = replay_some(args, client, &c, at, c.count - at < CALL_MAX ? c.count - at : CALL_MAX, &sum);
  if (is_open) client_close(client);
  free(c.id);
  if (code) return code;
  if (!args_flag(args, "json"))
    printf("%llu taken, %llu decided before, %llu refused again\n", (unsigned long long)sum.taken,
           (unsigned long long)sum.duplicates, (unsigned long long)sum.refused);
  return sum.refused ? COMMAND_NO : COMMAND_OK;
}
