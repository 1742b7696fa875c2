// intent journal show, export: frames as people read them, and as objects for other programs.
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/journal.h"
#include "cli/outfile.h"
#include "cli/progress.h"
#include "cli/show.h"

#include "base/check.h"
#include "base/clock.h"
#include "engine/message.h"
#include "store/hold.h"
#include "store/journal_format.h"
#include "store/opener.h"
#include "store/select.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// ---- filters ----
struct request {
  struct select_filter filter;
  struct lead_id lead;
};

int journal_time(const struct args *args, const char *name, int64_t *out, struct error *err) {
  const char *text = args_text(args, name);
  int64_t ago;
  if (!text || time_parse(bytes_str(text), out) == 0) return 0;
  if (duration_parse(bytes_str(text), &ago) == 0) {
    *out = clock_wall_ms() - ago;
    return 0;
  }
  return error_set(err, ITD_EINVAL,
                   "--%s: \"%.60s\" is no time; allowed: 2026-01-05T08:30:00Z, or how long ago: 90m, 2h, 7d", name,
                   text);
}

static int read_kind(const struct args *args, uint32_t *kinds, struct error *err) {
  const char *text = args_text(args, "kind");
  if (!text) return 0;
  for (unsigned k = FRAME_EVENT; k < FRAME_KIND_END; k++)
    if (k != FRAME_COMMIT && strcmp(text, frame_kind_name(k)) == 0) *kinds = 1u << k;
  return *kinds
             ? 0
             : error_set(err, ITD_EINVAL,
                         "--kind: \"%.40s\" is none; allowed: event, timer, stopped, release, refused, forget, message",
                         text);
}

static int read_request(const struct args *args, int64_t limit, struct request *r, struct error *err) {
  *r = (struct request){.filter = SELECT_ALL};
  struct select_filter *f = &r->filter;
  int64_t partition;
  const char *lead = args_text(args, "lead"), *place = args_text(args, "place");
  int rc = args_number(args, "partition", -1, 0, 255, &partition, err);
  if (rc == 0) rc = args_number(args, "limit", limit, 0, INT64_MAX, &limit, err);
  if (rc == 0) rc = journal_time(args, "since", &f->since_ms, err);
  if (rc == 0) rc = journal_time(args, "until", &f->until_ms, err);
  if (rc == 0) rc = read_kind(args, &f->kinds, err);
  if (rc == 0 && lead && lead_id_parse(bytes_str(lead), &r->lead))
    rc = error_set(err, ITD_EINVAL, "--lead: \"%.60s\" is no lead id (32 hexadecimal digits, as decisions show it)",
                   lead);
  if (rc == 0 && place && place_parse(place, &f->place))
    rc = error_set(err, ITD_EINVAL, "--place: \"%.60s\" is no place; allowed: LL-SSSSSSSS+OFFSET, as show tells it",
                   place);
  if (rc) return rc;
  f->partition = (int)partition;
  f->limit = (uint64_t)limit;
  if (lead) f->lead = &r->lead;
  return 0;
}

// ---- one frame as an object ----
static bool is_value(struct bytes b) {
  const struct mp_limits wide = {MP_DEPTH_MAX, UINT32_MAX, SIZE_MAX};
  size_t n;
  return b.n && mp_scan(b, &wide, &n, NULL) == 1 && n == b.n;
}

static void put_section(struct buf *out, const char *name, struct bytes b, bool is_packed) {
  mp_put_cstr(out, name);
  if (!b.n)
    mp_put_nil(out);
  else if (is_packed && is_value(b))
    mp_put_raw(out, b);
  else
    mp_put_bin(out, b);
}

static void put_hex(struct buf *out, const char *name, uint64_t n) {
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)n);
  mp_put_cstr(out, name);
  mp_put_cstr(out, text);
}

static void put_number(struct buf *out, const char *name, uint64_t n) {
  mp_put_cstr(out, name);
  mp_put_uint(out, n);
}

static void put_place(struct buf *out, const char *name, uint64_t place) {
  char text[PLACE_TEXT];
  mp_put_cstr(out, name);
  if (place) place_format(place, text), mp_put_cstr(out, text);
  if (!place) mp_put_nil(out);
}

static const char *kind_name(unsigned kind) {
  const struct message_kind *known = message_kind_of(kind);
  return known ? known->name : "unknown";
}

// What the frame sends: [{to, kind, body}]; nil when it sends nothing, the bytes when they do not read.
static void put_messages(struct buf *out, struct bytes list) {
  struct buf each = {0};
  struct message m;
  struct bytes left = list;
  uint32_t count = 0;
  int more;
  for (; (more = message_next(&left, &m, NULL)) > 0; count++) {
    char to[LEAD_ID_TEXT];
    lead_id_format(m.to, to);
    mp_put_map(&each, 3);
    mp_put_cstr(&each, "to"), mp_put_cstr(&each, to);
    mp_put_cstr(&each, "kind"), mp_put_cstr(&each, kind_name(m.kind));
    mp_put_cstr(&each, "body"), mp_put_raw(&each, m.body);
  }
  mp_put_cstr(out, "messages");
  if (more < 0) {
    mp_put_bin(out, list);
  } else if (!count) {
    mp_put_nil(out);
  } else {
    mp_put_array(out, count);
    buf_append_bytes(out, buf_bytes(&each));
  }
  buf_deinit(&each);
}

static void put_secret(struct buf *out, const char *key, struct bytes secret) {
  mp_put_cstr(out, key);
  if (!secret.n) {
    mp_put_nil(out);
    return;
  }
  static const char *const names[] = {"none", "aes-256-gcm", "xchacha20-poly1305"};
  mp_put_map(out, 2);
  mp_put_cstr(out, "algorithm"), mp_put_cstr(out, secret.p[0] < 3 ? names[secret.p[0]] : "unknown");
  mp_put_cstr(out, "sealed"), mp_put_bin(out, bytes_of(secret.p + 1, secret.n - 1));
}

// `event`: as it is to be shown.
static void put_frame(struct buf *out, const struct frame *f, uint64_t place, struct bytes event) {
  char lead[LEAD_ID_TEXT], message[33] = "";
  lead_id_format(f->entity, lead);
  if (f->message.hi || f->message.lo)
    snprintf(message, sizeof message, "%016llx%016llx", (unsigned long long)f->message.hi,
             (unsigned long long)f->message.lo);
  mp_put_map(out, 29);
  put_place(out, "place", place);
  mp_put_cstr(out, "kind"), mp_put_cstr(out, frame_kind_name(f->kind));
  put_number(out, "partition", f->partition);
  put_number(out, "seq", f->seq);
  put_number(out, "epoch", f->epoch);
  put_number(out, "workspace", f->workspace);
  mp_put_cstr(out, "lead");
  if (f->kind == FRAME_RELEASE)
    mp_put_nil(out);
  else
    mp_put_cstr(out, lead);
  mp_put_cstr(out, "entity"), mp_put_cstr(out, entity_kind_name(f->entity_kind));
  put_number(out, "number", f->number);
  put_place(out, "previous", f->previous);
  mp_put_cstr(out, "now"), mp_put_int(out, f->now_ms);
  mp_put_cstr(out, "received"), mp_put_int(out, f->received_ms);
  put_number(out, "signals", f->signals);
  put_number(out, "models", f->models);
  put_number(out, "policy", f->policy);
  put_number(out, "semantics", f->semantics);
  put_number(out, "from", f->from);
  put_number(out, "from_n", f->from_n);
  mp_put_cstr(out, "message");
  if (*message)
    mp_put_cstr(out, message);
  else
    mp_put_nil(out);
  put_hex(out, "digest", f->digest);
  put_hex(out, "hash", f->hash);
  put_section(out, "event", event, true);
  put_secret(out, "secret", f->secret);
  put_section(out, "shared", f->shared, false);
  put_section(out, "effects", f->effects, false);
  put_messages(out, f->messages);
  put_section(out, "decision", f->decision, true);
  mp_put_cstr(out, "cause");
  if (f->cause.n)
    mp_put_str(out, f->cause);
  else
    mp_put_nil(out);
  put_secret(out, "inputs", f->inputs);
}

// ---- export ----
struct exporting {
  FILE *to;
  bool is_json;
  struct opener *opener; // NULL: personal values stay sealed
  uint64_t forgotten;    // frames that cannot be opened any more
  struct buf object, text, event;
  struct progress bar;
};

static int export_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  struct exporting *e = context;
  struct bytes event = f->event;
  buf_clear(&e->object);
  buf_clear(&e->text);
  buf_clear(&e->event);
  if (e->opener) {
    int rc = opener_event(e->opener, f, &e->event, err);
    if (rc && rc != ITD_ENOTFOUND) {
      char text[PLACE_TEXT];
      place_format(place, text);
      error_prefix(err, "%s", text);
      return rc;
    }
    e->forgotten += rc != 0;
    if (rc == 0) event = buf_bytes(&e->event);
  }
  put_frame(&e->object, f, place, event);
  if (e->is_json) {
    mp_to_json(buf_bytes(&e->object), &e->text);
    buf_append_u8(&e->text, '\n');
  }
  const struct buf *out = e->is_json ? &e->text : &e->object;
  return fwrite(out->p, 1, out->n, e->to) == out->n ? 0 : error_set(err, ITD_EIO, "%s", strerror(errno));
}

static void export_progress(void *context, uint64_t done, uint64_t total) {
  struct exporting *e = context;
  progress_show(&e->bar, done, total, INT64_MIN);
}

static int export_to(const struct args *args, const struct request *r, struct exporting *e) {
  const char *path = args_text(args, "out");
  struct error err = {0};
  struct outfile out;
  if (outfile_open(&out, path, &err)) return command_fail(args, COMMAND_USAGE, &err);
  e->to = out.to;
  struct select_stats stats;
  int shared =
      path ? holds_share(journal_data(args)) : -1; // nothing is let go meanwhile; a pipe may be read by somebody slow
  progress_begin(&e->bar, "exporting");
  int rc = journal_select(journal_data(args), &r->filter, export_frame, e, path ? export_progress : NULL, &stats, &err);
  progress_end(&e->bar);
  holds_unlock(shared);
  rc = outfile_end(&out, rc < 0 ? rc : 0, &err);
  if (rc < 0) return command_fail(args, journal_exit_of(rc), &err);
  return stats.frames ? COMMAND_OK : COMMAND_NO;
}

int journal_export(const struct args *args) {
  const char *format = args_text(args, "format");
  struct request r;
  struct error err = {0};
  int rc = read_request(args, 0, &r, &err);
  if (rc == 0 && format && strcmp(format, "jsonl") != 0 && strcmp(format, "msgpack") != 0)
    rc = error_set(&err, ITD_EINVAL, "--format: \"%.40s\" is not allowed; allowed: jsonl, msgpack", format);
  if (rc < 0) return command_fail(args, COMMAND_USAGE, &err);
  struct exporting e = {.is_json = !format || strcmp(format, "jsonl") == 0};
  if (args_flag(args, "personal") && (rc = opener_new(journal_data(args), &e.opener, &err)))
    return command_fail(args, journal_exit_of(rc), &err);
  int code = export_to(args, &r, &e);
  if (e.forgotten)
    fprintf(stderr, "%llu frames are of leads that were forgotten: their personal values are no more\n",
            (unsigned long long)e.forgotten);
  opener_free(e.opener);
  buf_deinit(&e.object), buf_deinit(&e.text), buf_deinit(&e.event);
  return code;
}

// ---- show ----
struct showing {
  bool is_json, is_one; // a frame alone, with all that it holds
  struct grid grid;
  size_t rows;
  struct buf object;
};

#define ROWS_MAX 500 // a table of this many rows, then a new one

static void put_what(struct buf *cell, const struct frame *f) {
  struct bytes event = is_value(f->event) ? f->event : bytes_of(NULL, 0);
  struct bytes decision = is_value(f->decision) ? f->decision : bytes_of(NULL, 0);
  if (event.n && field(event, "type").n) {
    show_text(cell, field_text(event, "type"));
    if (field(event, "event").n) buf_append_u8(cell, ' '), show_text(cell, field_text(event, "event"));
  }
  if (f->kind == FRAME_RELEASE) buf_printf(cell, "policy %u", f->policy);
  if ((f->kind == FRAME_MESSAGE || f->kind == FRAME_MERGE || f->kind == FRAME_GRANT) && event.n)
    buf_append_str(cell, kind_name((unsigned)field_int(event, "kind", 0)));
  if (f->from_n)
    buf_printf(cell, "%s%llu from partition %u", cell->n ? ", " : "", (unsigned long long)f->from_n, f->from);
  if (decision.n && field(decision, "merge").n) {
    buf_append_str(cell, ": ");
    show_text(cell, field_text(decision, "merge"));
    if (field_text(decision, "into").n) buf_append_str(cell, " into "), show_text(cell, field_text(decision, "into"));
  }
  if (decision.n && field(decision, "scores.combined").n) {
    buf_append_str(cell, cell->n ? " -> " : "-> ");
    show_text(cell, field_text(decision, "stage"));
  }
  if (decision.n && field(decision, "code").n) {
    buf_append_str(cell, " : ");
    show_text(cell, field_text(decision, "code"));
  }
}

static void head_row(struct grid *g) {
  static const char *const names[] = {"received", "place", "part", "frame", "kind", "lead", "no", "what"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) grid_add_str(g, names[i]);
}

static void add_row(struct grid *g, const struct frame *f, uint64_t place) {
  char text[PLACE_TEXT + 2 * LEAD_ID_TEXT];
  show_time(grid_cell(g), f->received_ms);
  grid_end(g);
  place_format(place, text);
  grid_add_str(g, text);
  snprintf(text, sizeof text, "%u", f->partition);
  grid_add_str(g, text);
  show_count(grid_cell(g), f->seq);
  grid_end(g);
  grid_add_str(g, frame_kind_name(f->kind));
  lead_id_format(f->entity, text);
  grid_add_str(g, f->kind == FRAME_RELEASE ? "-" : text);
  snprintf(text, sizeof text, "%u", f->number);
  grid_add_str(g, text);
  put_what(grid_cell(g), f);
  grid_end(g);
}

static void end_table(struct showing *s) {
  struct buf out = {0};
  if (s->rows) grid_put(&s->grid, show_width(), &out);
  show_print(&out);
  buf_deinit(&out);
  if (s->rows) grid_deinit(&s->grid);
  s->rows = 0;
}

// Everything that export tells, a line each.
static void put_whole(struct bytes object, struct buf *out) {
  struct grid g;
  struct bytes name, value;
  grid_init(&g, "ll");
  for (struct each each = each_of_map(object); each_next_pair(&each, &name, &value);) {
    show_value(grid_cell(&g), name, NULL);
    grid_end(&g);
    bool is_time = mp_value_of(value).type == MP_INT &&
                   (bytes_is(mp_value_of(name).s, "now") || bytes_is(mp_value_of(name).s, "received"));
    if (is_time)
      show_time(grid_cell(&g), mp_value_of(value).i);
    else
      show_value(grid_cell(&g), value, NULL);
    grid_end(&g);
  }
  grid_put(&g, show_width(), out);
  grid_deinit(&g);
}

static int show_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)err;
  struct showing *s = context;
  if (s->is_json || s->is_one) {
    buf_clear(&s->object);
    put_frame(&s->object, f, place, f->event);
    struct buf out = {0};
    if (s->is_json)
      show_json(buf_bytes(&s->object));
    else
      put_whole(buf_bytes(&s->object), &out);
    show_print(&out);
    buf_deinit(&out);
    return 0;
  }
  if (!s->rows) {
    grid_init(&s->grid, "llrrllrl");
    head_row(&s->grid);
  }
  add_row(&s->grid, f, place);
  if (++s->rows == ROWS_MAX) end_table(s);
  return 0;
}

int journal_show(const struct args *args) {
  struct request r;
  struct error err = {0};
  struct select_stats stats;
  if (read_request(args, 100, &r, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  struct showing s = {.is_json = args_flag(args, "json"), .is_one = args_text(args, "place") != NULL};
  int rc = journal_select(journal_data(args), &r.filter, show_frame, &s, NULL, &stats, &err);
  end_table(&s);
  buf_deinit(&s.object);
  if (rc < 0) return command_fail(args, journal_exit_of(rc), &err);
  if (r.filter.limit && stats.frames == r.filter.limit && !s.is_json && !s.is_one)
    fprintf(stderr, "the first %llu frames; --limit shows more\n", (unsigned long long)stats.frames);
  if (!stats.frames) fputs("there is no such frame\n", stderr);
  return stats.frames ? COMMAND_OK : COMMAND_NO;
}
