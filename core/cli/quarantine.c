// intent quarantine: what was refused, why, and what became of it. list and show read the directory, of a running daemon
// too; fix and replay (quarantine_edit.c) ask the daemon.
#include "cli/quarantine.h"

#include "base/clock.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/journal.h"
#include "cli/show.h"
#include "store/quarantine_payload.h"
#include "store/versions.h"
#include "wire/event.h"

#include <stdlib.h>

// ---- which entries ----

int quarantine_filter_read(const struct args *args, struct quarantine_filter *f) {
  struct error err = {0};
  const char *data = args_text(args, "data");
  *f = (struct quarantine_filter){.dir = data ? data : "data",
                                  .code = args_text(args, "code"),
                                  .source = args_text(args, "source"),
                                  .lead = args_text(args, "lead"),
                                  .with_replayed = args_flag(args, "all"),
                                  .id = args->operand + 1,
                                  .id_count = args->operand_count - 1};
  f->since_ms = INT64_MIN, f->until_ms = INT64_MAX;
  int status = journal_time(args, "since", &f->since_ms, &err);
  if (status == 0) status = journal_time(args, "until", &f->until_ms, &err);
  return status < 0 ? command_fail(args, COMMAND_USAGE, &err) : 0;
}

static bool is_map(struct bytes b) {
  const struct mp_limits limits = {.depth_max = MP_DEPTH_MAX, .objects_max = UINT32_MAX, .bytes_max = SIZE_MAX};
  size_t len;
  return mp_scan(b, &limits, &len, NULL) == 1 && len == b.n && mp_value_of(b).type == MP_MAP;
}

struct bytes quarantine_event_of(const struct quarantine_entry *e, bool as_came) {
  struct bytes event = e->fixed.n && !as_came ? e->fixed : e->event;
  return event.n && is_map(event) ? event : (struct bytes){0};
}

static bool says(struct bytes event, const char *path, const char *text) {
  struct buf shown = {0};
  struct bytes value = event.n ? field(event, path) : (struct bytes){0};
  if (value.n) show_value(&shown, value, NULL);
  bool same = value.n && bytes_is(buf_bytes(&shown), text);
  buf_deinit(&shown);
  return same;
}

// The source whose payload it is; empty: it is an event.
static struct bytes payload_source(const struct quarantine_entry *e, struct bytes event) {
  struct quarantine_payload p;
  return event.n && quarantine_payload_of(event, e->text, &p) ? p.source : (struct bytes){0};
}

static bool names(const struct quarantine_entry *e, struct bytes event, const char *who) {
  struct quarantine_payload p;
  struct bytes one, text;
  if (!event.n || !quarantine_payload_of(event, e->text, &p)) return false;
  for (struct each each = each_of(p.who); each_next(&each, &one);)
    if (mp_as_str(one, &text) && bytes_is(text, who)) return true;
  return false;
}

bool quarantine_filter_takes(const struct quarantine_filter *f, const struct quarantine_entry *e) {
  struct bytes event = quarantine_event_of(e, false);
  bool is_named = f->id_count == 0;
  for (size_t i = 0; i < f->id_count; i++) is_named |= strcmp(f->id[i], e->id) == 0;
  if (!is_named || e->received_ms < f->since_ms || e->received_ms > f->until_ms) return false;
  if (e->replayed_by.n && !f->with_replayed && f->id_count == 0) return false;
  if (f->code && !bytes_is(e->code, f->code)) return false;
  if (f->source && !says(event, "channel", f->source) && !says(event, "context.source", f->source) &&
      !says(event, "properties.channel", f->source) && !bytes_is(payload_source(e, event), f->source))
    return false;
  return !f->lead || says(event, "userId", f->lead) || says(event, "anonymousId", f->lead) ||
         says(event, "previousId", f->lead) || names(e, event, f->lead);
}

// ---- list ----

struct listing {
  const struct quarantine_filter *filter;
  bool is_json;
  struct grid grid;
  uint64_t count;
};

static const char *state_of(const struct quarantine_entry *e) {
  return e->replayed_by.n ? "replayed" : e->fixed.n ? "fixed" : "waiting";
}

static void list_json(const struct quarantine_entry *e, struct bytes event) {
  struct buf out = {0};
  mp_put_map(&out, 7);
  mp_put_cstr(&out, "id"), mp_put_cstr(&out, e->id);
  mp_put_cstr(&out, "received"), mp_put_int(&out, e->received_ms);
  mp_put_cstr(&out, "code"), mp_put_str(&out, e->code);
  mp_put_cstr(&out, "text"), mp_put_str(&out, e->text);
  mp_put_cstr(&out, "state"), mp_put_cstr(&out, state_of(e));
  mp_put_cstr(&out, "bytes"), mp_put_uint(&out, e->event.n);
  mp_put_cstr(&out, "event"), mp_put_str(&out, event.n ? field_text(event, "event") : (struct bytes){0});
  show_json(buf_bytes(&out));
  buf_deinit(&out);
}

static int list_entry(void *context, const struct quarantine_entry *e) {
  struct listing *l = context;
  if (!quarantine_filter_takes(l->filter, e)) return 0;
  struct bytes event = quarantine_event_of(e, false);
  l->count++;
  if (l->is_json) {
    list_json(e, event);
    return 0;
  }
  grid_add_str(&l->grid, e->id);
  show_time(grid_cell(&l->grid), e->received_ms);
  grid_end(&l->grid);
  grid_add_str(&l->grid, state_of(e));
  show_text(grid_cell(&l->grid), e->code);
  grid_end(&l->grid);
  show_text(grid_cell(&l->grid), !event.n                     ? BYTES_LIT("(no event)")
                                 : payload_source(e, event).n ? BYTES_LIT("(payload)")
                                                              : field_text(event, "event"));
  grid_end(&l->grid);
  show_text(grid_cell(&l->grid), e->text);
  grid_end(&l->grid);
  return 0;
}

static int list(const struct args *args, const struct quarantine_filter *filter) {
  struct listing l = {.filter = filter, .is_json = args_flag(args, "json")};
  struct error err = {0};
  static const char *const head[] = {"id", "received", "state", "code", "event", "why"};
  grid_init(&l.grid, "llllll");
  for (size_t i = 0; i < sizeof head / sizeof *head; i++) grid_add_str(&l.grid, head[i]);
  int status = quarantine_walk(filter->dir, list_entry, &l, &err);
  struct buf out = {0};
  if (status == 0 && !l.is_json && l.count) grid_put(&l.grid, show_width(), &out);
  if (status == 0 && !l.is_json && !l.count) buf_append_str(&out, "nothing is in quarantine that was asked for\n");
  show_print(&out);
  buf_deinit(&out);
  grid_deinit(&l.grid);
  if (status < 0) return command_fail(args, COMMAND_USAGE, &err);
  return l.count ? COMMAND_OK : COMMAND_NO;
}

// ---- show ----

struct showing {
  const struct quarantine_filter *filter;
  bool is_json, is_clear, knows_personal;
  struct bytes *path; // personal: the newest version's
  size_t path_count;
  uint64_t count;
};

static void take_personal(void *context, uint32_t number, const struct policy *policy) {
  struct showing *s = context;
  (void)number;
  const struct personal_paths *paths = policy_personal(policy);
  for (size_t i = 0; i < s->path_count; i++) free((void *)(uintptr_t)s->path[i].p);
  s->path = xrealloc(s->path, (paths->count + 1) * sizeof *s->path);
  for (size_t i = 0; i < paths->count; i++)
    s->path[i] = bytes_of(xstrndup(paths->path[i].p, paths->path[i].n), paths->path[i].n);
  s->path_count = paths->count;
  s->knows_personal = true;
}

// Personal values as nil, unless they were asked for; of ids only that there is one.
static void put_event(const struct showing *s, const struct quarantine_entry *e, struct bytes event, struct buf *out) {
  struct bytes source = payload_source(e, event);
  if (source.n && !s->is_clear) { // no declaration says what is personal in it
    mp_put_map(out, 2);
    mp_put_cstr(out, "source"), mp_put_str(out, source);
    mp_put_cstr(out, "payload"), mp_put_cstr(out, "a payload as it came (--personal shows it)");
    return;
  }
  struct buf secret = {0};
  struct personal_paths paths = {s->path, s->path_count};
  if (s->is_clear)
    buf_append_bytes(out, event);
  else if (s->knows_personal)
    event_split(event, &paths, out, &secret);
  else
    mp_put_cstr(out, "what is personal in it is not known here: no version of the policy reads (--personal shows all)");
  if (secret.p) explicit_bzero(secret.p, secret.cap);
  buf_deinit(&secret);
}

static void put_bytes(const struct showing *s, const struct quarantine_entry *e, struct bytes bytes, struct buf *out) {
  if (is_map(bytes))
    put_event(s, e, bytes, out);
  else if (s->is_clear)
    mp_put_bin(out, bytes);
  else
    mp_put_cstr(out, "bytes that are no event (--personal shows them, as base64)");
}

static void put_entry(const struct showing *s, const struct quarantine_entry *e, struct buf *out) {
  mp_put_map(out, 7);
  mp_put_cstr(out, "id"), mp_put_cstr(out, e->id);
  mp_put_cstr(out, "received"), mp_put_int(out, e->received_ms);
  mp_put_cstr(out, "code"), mp_put_str(out, e->code);
  mp_put_cstr(out, "text"), mp_put_str(out, e->text);
  mp_put_cstr(out, "event"), put_bytes(s, e, e->event, out);
  mp_put_cstr(out, "fixed");
  if (e->fixed.n) {
    mp_put_map(out, 3);
    mp_put_cstr(out, "by"), mp_put_str(out, e->fixed_by);
    mp_put_cstr(out, "at"), mp_put_int(out, e->fixed_ms);
    mp_put_cstr(out, "event"), put_bytes(s, e, e->fixed, out);
  } else {
    mp_put_nil(out);
  }
  mp_put_cstr(out, "replayed");
  if (e->replayed_by.n) {
    mp_put_map(out, 3);
    mp_put_cstr(out, "by"), mp_put_str(out, e->replayed_by);
    mp_put_cstr(out, "at"), mp_put_int(out, e->replayed_ms);
    mp_put_cstr(out, "decision"), mp_put_str(out, e->decision);
  } else {
    mp_put_nil(out);
  }
}

static void put_row(struct grid *t, const char *name, struct bytes value) {
  grid_add_str(t, name);
  show_value(grid_cell(t), value, NULL);
  grid_end(t);
}

static void put_deed(struct grid *t, const char *name, int64_t at_ms, struct bytes by) {
  grid_add_str(t, name);
  struct buf *cell = grid_cell(t);
  show_time(cell, at_ms);
  buf_append_str(cell, " by ");
  show_text(cell, by);
  grid_end(t);
}

static void put_table(const struct quarantine_entry *e, struct bytes packed, struct buf *out) {
  struct grid t;
  grid_init(&t, "ll");
  put_row(&t, "entry", field(packed, "id"));
  grid_add_str(&t, "received");
  show_time(grid_cell(&t), e->received_ms);
  grid_end(&t);
  put_row(&t, "code", field(packed, "code"));
  put_row(&t, "why", field(packed, "text"));
  put_row(&t, "event", field(packed, "event"));
  if (e->fixed.n) {
    put_deed(&t, "fixed", e->fixed_ms, e->fixed_by);
    put_row(&t, "as fixed", field(packed, "fixed.event"));
  }
  if (e->replayed_by.n) {
    put_deed(&t, "replayed", e->replayed_ms, e->replayed_by);
    put_row(&t, "decision", field(packed, "replayed.decision"));
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

static int show_entry(void *context, const struct quarantine_entry *e) {
  struct showing *s = context;
  if (!quarantine_filter_takes(s->filter, e)) return 0;
  struct buf packed = {0}, out = {0};
  put_entry(s, e, &packed);
  if (s->is_json) {
    show_json(buf_bytes(&packed));
  } else {
    if (s->count) buf_append_u8(&out, '\n');
    put_table(e, buf_bytes(&packed), &out);
    show_print(&out);
  }
  s->count++;
  buf_deinit(&packed);
  buf_deinit(&out);
  return 0;
}

static int show(const struct args *args, const struct quarantine_filter *filter) {
  struct showing s = {.filter = filter, .is_json = args_flag(args, "json"), .is_clear = args_flag(args, "personal")};
  struct error err = {0};
  if (!s.is_clear && versions_walk(filter->dir, take_personal, &s, &err) < 0) s.knows_personal = false;
  int status = quarantine_walk(filter->dir, show_entry, &s, &err);
  for (size_t i = 0; i < s.path_count; i++) free((void *)(uintptr_t)s.path[i].p);
  free(s.path);
  if (status < 0) return command_fail(args, COMMAND_USAGE, &err);
  if (s.count == 0) {
    error_set(&err, ITD_ENOTFOUND, "nothing is in quarantine that was asked for");
    return command_fail(args, COMMAND_NO, &err);
  }
  return COMMAND_OK;
}

// ---- the command ----

static int run(const struct args *args) {
  struct bytes verb = bytes_str(args->operand[0]);
  if (bytes_is(verb, "fix")) return quarantine_fix_command(args);
  if (bytes_is(verb, "replay")) return quarantine_replay_command(args);
  struct quarantine_filter filter;
  int code = quarantine_filter_read(args, &filter);
  if (code) return code;
  if (bytes_is(verb, "list")) return list(args, &filter);
  if (bytes_is(verb, "show")) return show(args, &filter);
  struct error err = {0};
  error_set(&err, ITD_EINVAL, "intent quarantine list, show, fix or replay; not \"%.60s\"", args->operand[0]);
  return command_fail(args, COMMAND_USAGE, &err);
}

static const struct option options[] = {
    {"data", "DIR", "the data directory (default ./data); fix and replay ask the daemon that runs on it"},
    {"code", "CODE", "only what was refused with this error: schema_violation, time_out_of_bounds, …"},
    {"source", "NAME", "only events of this channel or context.source, and refused payloads of this source"},
    {"lead", "WHO", "only events of this userId or anonymousId, and payloads of theirs"},
    {"since", "T", "only what was received from then on: a time, or how long ago (2h)"},
    {"until", "T", "only what was received up to then"},
    {"all", NULL, "what was replayed, too"},
    {"personal", NULL, "show: personal values in clear, which else are nil"},
    {"set", "PATH=VALUE", "fix: put a value (JSON, else text) at a path; may be repeated"},
    {"unset", "PATH", "fix: take a path out; may be repeated"},
    {"with", "FILE", "fix: the whole event anew, as JSON; - reads standard input"},
    {"as-came", NULL, "replay: as they came, whatever was fixed"},
    {"force", NULL, "replay: also what came longer ago than dedupe.window"},
    {0}};

const struct command command_quarantine = {
    .name = "quarantine",
    .operands = "list|show|fix|replay [ID…]",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .options = options,
    .summary = "refused events: look at them, repair them, have them taken again",
    .help = "list and show read DIR, whether a daemon runs on it or not. fix keeps a repaired event beside the "
            "original, once the "
            "daemon finds it\n"
            "well-formed. replay has the daemon take entries again (repaired, or as they came), in the order in which "
            "they came, with "
            "their own\n"
            "messageIds and times: what was decided meanwhile is a duplicate and counts once, and so does a replay "
            "that is repeated. "
            "Without\n"
            "ids it takes all that the filters name. Who did it is in the quarantine and in the journal.\n"
            "\n"
            "  intent quarantine list --data /var/lib/intentd --code schema_violation\n"
            "  intent quarantine fix 5f0c8e1b2a3d4c5e --set properties.seats=12 --data /var/lib/intentd\n"
            "  intent quarantine replay 5f0c8e1b2a3d4c5e --data /var/lib/intentd",
    .run = run,
};
