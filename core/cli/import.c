// intent import: files of raw payloads, made into events by a source's mapping, in the order of their own time.
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/progress.h"
#include "cli/refusals.h"
#include "cli/rows.h"
#include "cli/sender.h"
#include "cli/show.h"
#include "cli/source_find.h"
#include "wire/event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH_ROWS = 500, BATCH_BYTES = 1 << 20, BATCH_EVENTS = 1 << 20, REFUSALS_SHOWN = 20, STOPS_MAX = 20 };

static const struct option options[] = {
    {"source", "NAME", "the source whose mapping makes events: NAME, SET/NAME, or a file NAME.lua"},
    {"format", "FORMAT", "csv or json (default: by the file's name)"},
    {"sort", "timestamp", "send the events of all files by their time, then by their place"},
    {"separator", "CHAR", "between fields of CSV: a character or \"tab\" (default a comma)"},
    {"dry-run", NULL, "print the events as JSON lines instead of sending them, and say which would be refused"},
    {"rejects", "FILE",
     "write payloads that the mapping can't use here, with their reason, as JSON lines, and not to the "
     "quarantine"},
    {"quarantine", "N", "payloads that the mapping can't use and the daemon keeps, at most (default 10000)"},
    {"any-clock", NULL, "go on although the daemon's clock is not the events' own"},
    {"again", NULL, "as new events: messageIds of payloads that have no id are made afresh"},
    {"window", "N", "events in flight, 1 to 65536 (default 1024)"},
    {"patience", "SECONDS", "how long to try again when the daemon is busy or gone (default 30)"},
    SOURCE_OPTIONS,
    {0}};

// An event that waits for the others to be sorted: its bytes in `waiting`.
struct place {
  int64_t time_ms;
  const char *file;
  uint64_t line;
  size_t at, n;
};

struct importing {
  const struct args *args;
  const char *file;
  struct rows rows;
  enum rows_format format;
  char separator;
  struct source_found source;
  struct sender *sender; // NULL: --dry-run
  struct progress progress;
  FILE *rejects;             // NULL: not asked for
  struct refusals *refusals; // to the quarantine; NULL: not asked for
  bool sorts, is_again;
  uint8_t salt[SOURCES_SALT];
  struct buf batch; // payloads, packed
  size_t start[BATCH_ROWS + 1];
  uint64_t line[BATCH_ROWS];
  uint32_t row_count;
  struct buf waiting;
  struct place *place;
  size_t place_count, place_cap;
  uint64_t payloads, events, skipped, unusable, shown, stopped;
  uint64_t refused; // by the dry run
  int64_t time_ms;  // how far event time has come
  int code;         // once it is not 0: the exit code, after the error was printed
};

static void fail(struct importing *im, int code, const struct error *err) {
  progress_end(&im->progress);
  im->code = command_fail(im->args, code, err);
}

// ---- events ----

static bool time_of(struct bytes event, int64_t *time_ms) {
  struct bytes value = field(event, "timestamp"), text;
  if (!value.n) return false;
  struct mp_value v = mp_value_of(value);
  if (mp_as_str(value, &text)) return time_parse(text, time_ms) == 0;
  if (v.type == MP_INT)
    *time_ms = v.i;
  else if (v.type == MP_FLOAT && v.f > -9e15 && v.f < 9e15)
    *time_ms = (int64_t)v.f;
  else
    return false;
  return true;
}

static void wait_for_order(struct importing *im, uint64_t line, int64_t time_ms, struct bytes event) {
  if (im->place_count == im->place_cap) {
    im->place_cap = im->place_cap ? 2 * im->place_cap : 4096;
    im->place = xrealloc(im->place, im->place_cap * sizeof *im->place);
  }
  im->place[im->place_count++] =
      (struct place){.time_ms = time_ms, .file = im->file, .line = line, .at = im->waiting.n, .n = event.n};
  buf_append_bytes(&im->waiting, event);
}

// Is it an event at all, by the bounds that a daemon has by default? Its time is judged by the daemon alone.
static void try_event(struct importing *im, uint64_t line, struct bytes bytes) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct event event;
  struct event_digits digits;
  struct error err = {0};
  if (event_decode(bytes, clock_wall_ms(), &limits, &digits, &event, &err) == 0) return;
  if (im->refused++ >= REFUSALS_SHOWN) return;
  error_prefix(&err, "%s:%llu: would be refused", im->file, (unsigned long long)line);
  (void)command_fail(im->args, COMMAND_NO, &err);
}

static void pass_on(struct importing *im, uint64_t line, struct bytes event) {
  struct error err = {0};
  if (!im->sender) {
    show_json(event);
    try_event(im, line, event);
  } else if (sender_add(im->sender, event, line, &err) < 0)
    fail(im, COMMAND_UNREACHABLE, &err);
}

static void take_event(struct importing *im, uint64_t line, struct bytes event) {
  int64_t time_ms = 0;
  bool has_time = time_of(event, &time_ms);
  im->events++;
  if (has_time && time_ms > im->time_ms) im->time_ms = time_ms;
  if (!im->sorts) {
    pass_on(im, line, event);
  } else if (has_time) {
    wait_for_order(im, line, time_ms, event);
  } else {
    struct error err = {0};
    error_set(&err, ITD_EEVENT, "%s:%llu: the event has %s to sort by", im->file, (unsigned long long)line,
              field(event, "timestamp").n ? "a timestamp that is neither RFC 3339 text nor milliseconds, and so no time"
                                          : "no timestamp");
    fail(im, COMMAND_NO, &err);
  }
}

static int by_time(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

static void send_sorted(struct importing *im) {
  if (im->place_count) qsort(im->place, im->place_count, sizeof *im->place, by_time);
  progress_end(&im->progress);
  progress_begin(&im->progress, "sending");
  for (size_t i = 0; i < im->place_count && im->code == 0; i++) {
    const struct place *p = &im->place[i];
    im->file = p->file;
    pass_on(im, p->line, bytes_of(im->waiting.p + p->at, p->n));
    progress_show(&im->progress, i, im->place_count, p->time_ms);
  }
}

// ---- payloads ----

static struct bytes payload_at(const struct importing *im, uint64_t row) {
  return bytes_of(im->batch.p + im->start[row], im->start[row + 1] - im->start[row]);
}

static void write_reject(struct importing *im, uint64_t row, struct bytes rule, struct bytes why) {
  struct buf entry = {0}, json = {0};
  mp_put_map(&entry, 5);
  mp_put_cstr(&entry, "file"), mp_put_cstr(&entry, im->file);
  mp_put_cstr(&entry, "line"), mp_put_uint(&entry, im->line[row]);
  mp_put_cstr(&entry, "rule"), mp_put_str(&entry, rule);
  mp_put_cstr(&entry, "why"), mp_put_str(&entry, why);
  mp_put_cstr(&entry, "payload"), mp_put_raw(&entry, payload_at(im, row));
  mp_to_json(buf_bytes(&entry), &json);
  buf_append_u8(&json, '\n');
  fwrite(json.p, 1, json.n, im->rejects);
  buf_deinit(&entry);
  buf_deinit(&json);
}

// To the quarantine: once, with the first of its reasons.
static void keep(struct importing *im, uint64_t row, struct refusal *refusal) {
  char where[256];
  struct error err = {0};
  const char *slash = strrchr(im->file, '/');
  snprintf(where, sizeof where, "%s:%llu", slash ? slash + 1 : im->file, (unsigned long long)im->line[row]);
  refusal->payload = payload_at(im, row);
  refusal->where = bytes_str(where);
  if (refusals_add(im->refusals, refusal, &err) == 0) return;
  error_prefix(&err, "what the mapping can't use can't be kept in the quarantine (--rejects writes it to a file)");
  fail(im, err.code == ITD_EIO ? COMMAND_UNREACHABLE : COMMAND_NO, &err);
}

static void take_unusable(struct importing *im, uint64_t row, struct refusal *refusal, bool is_first) {
  struct bytes rule = refusal->rule, why = refusal->why;
  struct error err = {0};
  im->unusable++;
  if (im->rejects) write_reject(im, row, rule, why);
  if (im->refusals && is_first) keep(im, row, refusal);
  if (im->shown++ >= REFUSALS_SHOWN || im->code) return;
  error_set(&err, ITD_EEVENT, "%s:%llu: refused: %s%.*s%s%.*s", im->file, (unsigned long long)im->line[row],
            rule.n ? "rule '" : "", (int)rule.n, (const char *)rule.p, rule.n ? "': " : "", (int)why.n,
            (const char *)why.p);
  progress_end(&im->progress);
  (void)command_fail(im->args, COMMAND_NO, &err);
}

// [[row, rule, why, who]…]: what the mapping could not use, in the order of the rows.
static void take_refused(struct importing *im, struct bytes list, uint64_t first) {
  struct bytes entry, row = {0};
  uint64_t last = UINT64_MAX;
  for (struct each all = each_of(list); im->code == 0 && each_next(&all, &entry);) {
    struct refusal refusal = {0};
    struct each each = each_of(entry);
    if (!each_next(&each, &row) || !each_next(&each, &refusal.rule) || !each_next(&each, &refusal.why)) continue;
    if (!each_next(&each, &refusal.who)) refusal.who = (struct bytes){0};
    if (!mp_as_str(refusal.rule, &refusal.rule)) refusal.rule = (struct bytes){0};
    if (!mp_as_str(refusal.why, &refusal.why)) refusal.why = BYTES_LIT("a reason that is no text");
    uint64_t at = first + (uint64_t)mp_value_of(row).i;
    take_unusable(im, at, &refusal, at != last);
    last = at;
  }
}

static void take_output(struct importing *im, struct bytes output, uint64_t first) {
  struct bytes pair, row, event;
  take_refused(im, field(output, "refused"), first);
  for (struct each each = each_of(field(output, "skipped")); each_next(&each, &pair);) im->skipped++;
  for (struct each each = each_of(field(output, "events")); im->code == 0 && each_next(&each, &pair);) {
    struct each two = each_of(pair);
    if (!each_next(&two, &row) || !each_next(&two, &event)) continue;
    take_event(im, im->line[first + (uint64_t)mp_value_of(row).i], event);
  }
}

// Maps rows from `first` on. ITD_ESTOPPED, …: none of them was taken.
static int map_rows(struct importing *im, uint64_t first, uint32_t count, struct error *err) {
  struct buf list = {0}, output = {0};
  mp_put_array(&list, count);
  buf_append(&list, im->batch.p + im->start[first], im->start[first + count] - im->start[first]);
  const struct sources_call call = {.source = im->source.info->name,
                                    .payload = buf_bytes(&list),
                                    .events_max = BATCH_EVENTS,
                                    .salt = im->is_again ? im->salt : NULL};
  int status = sources_map(im->source.sources, &call, &output, err);
  if (status == 0) take_output(im, buf_bytes(&output), first);
  buf_deinit(&list);
  buf_deinit(&output);
  return status;
}

// The mapping ran over its limits on some row of many: only that one is refused, as it would be by HTTP.
static void map_one_by_one(struct importing *im) {
  for (uint64_t row = 0; row < im->row_count && im->code == 0; row++) {
    struct error err = {0};
    if (map_rows(im, row, 1, &err) == 0) continue;
    if (err.code != ITD_ESTOPPED || ++im->stopped > STOPS_MAX) {
      error_prefix(&err, "%s:%llu", im->file, (unsigned long long)im->line[row]);
      fail(im, COMMAND_NO, &err);
      return;
    }
    struct refusal refusal = {.why = bytes_str(err.text), .is_stopped = true};
    take_unusable(im, row, &refusal, true);
  }
}

static void map_batch(struct importing *im) {
  struct error err = {0};
  if (im->row_count == 0 || im->code) return;
  if (map_rows(im, 0, im->row_count, &err) < 0) map_one_by_one(im);
  buf_clear(&im->batch);
  im->row_count = 0;
  progress_show(&im->progress, input_read(&im->rows.input), im->rows.input.size, im->events ? im->time_ms : INT64_MIN);
}

// A line that is no JSON, or a row with other fields than columns, is refused as it stands there, and the rest is read.
static void take_broken(struct importing *im, const struct error *why) {
  map_batch(im);
  if (im->code) return;
  im->payloads++;
  im->start[0] = 0;
  im->line[0] = im->rows.line;
  buf_append_bytes(&im->batch, buf_bytes(&im->rows.broken));
  im->start[1] = im->batch.n;
  struct refusal refusal = {.why = bytes_str(why->text + im->rows.why_at)};
  take_unusable(im, 0, &refusal, true);
  buf_clear(&im->batch);
}

// A column that is nearly what the mapping reads is misspelt, here or there; without it every row would lack it.
static int check_columns(struct importing *im, struct error *err) {
  struct buf shown = {0}, near = {0};
  struct bytes key;
  int status = sources_show(im->source.sources, im->source.info->name, &shown, err);
  for (struct each each = each_of(field(buf_bytes(&shown), "keys")); status == 0 && each_next(&each, &key);) {
    if (!mp_as_str(key, &key)) continue;
    char *name = xstrndup(key.p, key.n);
    buf_clear(&near);
    if (rows_nearly(&im->rows, name, &near))
      status = error_set(err, ITD_EINVAL, "%s has no column '%s', which the mapping reads; it has '%.*s'", im->file,
                         name, (int)near.n, (const char *)near.p);
    free(name);
  }
  buf_deinit(&shown);
  buf_deinit(&near);
  return status;
}

static void read_file(struct importing *im) {
  struct error err = {0};
  int found = rows_open(&im->rows, im->file, im->format, im->separator, &err);
  if (found == 0 && im->rows.format == ROWS_CSV) found = check_columns(im, &err);
  if (found == 0) found = 1;
  while (found > 0 && im->code == 0) {
    im->start[im->row_count] = im->batch.n;
    found = rows_next(&im->rows, &im->batch, &err);
    if (found < 0 && im->rows.broken.n) {
      take_broken(im, &err);
      err = (struct error){0};
      found = 1;
      continue;
    }
    if (found <= 0) break;
    im->payloads++;
    im->line[im->row_count++] = im->rows.line;
    im->start[im->row_count] = im->batch.n;
    if (im->row_count == BATCH_ROWS || im->batch.n > BATCH_BYTES) map_batch(im);
  }
  if (im->code == 0) map_batch(im);
  if (found < 0 && im->code == 0) fail(im, COMMAND_USAGE, &err);
  rows_close(&im->rows);
}

// ---- the command ----

static int connect_sender(struct importing *im, struct buf *address) {
  struct error err = {0};
  struct client *client;
  int64_t window, patience, quarantine;
  if (args_number(im->args, "window", 1024, 1, 65536, &window, &err) < 0 ||
      args_number(im->args, "patience", 30, 0, 86400, &patience, &err) < 0 ||
      args_number(im->args, "quarantine", im->rejects ? 0 : REFUSALS_MAX_DEFAULT, 0, 1000000000, &quarantine, &err) < 0)
    return command_fail(im->args, COMMAND_USAGE, &err);
  if (args_flag(im->args, "dry-run")) return 0;
  int code = connect_daemon(im->args, &client);
  if (code) return code;
  code = connect_check_clock(im->args, client);
  if (code) {
    client_close(client);
    return code;
  }
  connect_address(im->args, address);
  buf_append_u8(address, 0);
  struct sender_options how = {
      .address = (const char *)address->p, .window = (unsigned)window, .patience_ms = patience * 1000};
  im->sender = sender_new(client, &how);
  const struct refusals_options keep = {.address = how.address,
                                        .source = im->source.info->name,
                                        .salt = im->is_again ? im->salt : NULL,
                                        .patience_ms = how.patience_ms,
                                        .max = (uint64_t)quarantine};
  if (quarantine) im->refusals = refusals_new(&keep);
  return 0;
}

static int read_options(struct importing *im, struct error *err) {
  const char *sort = args_text(im->args, "sort"), *between = args_text(im->args, "separator");
  const char *format = args_text(im->args, "format");
  if (!args_flag(im->args, "source"))
    return error_set(err, ITD_EINVAL, "--source NAME says which mapping makes events of the payloads");
  bool is_json = format && strcmp(format, "json") == 0;
  if (format && !is_json && strcmp(format, "csv") != 0) return error_set(err, ITD_EINVAL, "--format is csv or json");
  im->format = !format ? ROWS_BY_NAME : is_json ? ROWS_JSON : ROWS_CSV;
  if (sort && strcmp(sort, "timestamp") != 0) return error_set(err, ITD_EINVAL, "--sort knows timestamp only");
  im->sorts = sort != NULL;
  im->separator = !between ? ',' : strcmp(between, "tab") == 0 ? '\t' : between[0];
  if (between && (strcmp(between, "tab") != 0 && strlen(between) != 1))
    return error_set(err, ITD_EINVAL, "--separator is one character, or \"tab\"");
  if (strchr("\"\r\n", im->separator))
    return error_set(err, ITD_EINVAL, "--separator is neither a quote nor a line end");
  im->is_again = args_flag(im->args, "again");
  if (im->is_again) random_bytes(im->salt, sizeof im->salt);
  const char *rejects = args_text(im->args, "rejects");
  if (rejects && !(im->rejects = fopen(rejects, "w")))
    return error_set(err, ITD_EIO, "%s can't be written: %s", rejects, strerror(errno));
  return 0;
}

static void report_kept(struct importing *im, const struct refusals_tally *t) {
  struct error err = {0};
  if ((t->added || t->known) && !args_flag(im->args, "json"))
    fprintf(
        stderr,
        "intent import: the quarantine keeps %llu of these payloads, %llu of them from before: intent quarantine list "
        "--source %s\n",
        (unsigned long long)(t->added + t->known), (unsigned long long)t->known, im->source.info->name);
  if (t->over)
    error_set(&err, ITD_ETOOBIG,
              "%llu more were not kept: --quarantine N allows more than %llu (and no more than %d MiB), --rejects FILE "
              "writes "
              "them all to a file",
              (unsigned long long)t->over, (unsigned long long)(t->added + t->known + t->failed),
              REFUSALS_BYTES_MAX >> 20);
  else if (t->failed)
    error_set(&err, t->why.code, "%llu were not kept: %s", (unsigned long long)t->failed, t->why.text);
  if (err.code) fail(im, COMMAND_NO, &err);
}

// What the mapping left over, what the dry run or the daemon refused; the exit code is theirs.
static void report(struct importing *im, uint64_t took_ns) {
  struct error err = {0};
  if (im->sender) sender_report(im->sender, took_ns, args_flag(im->args, "json"));
  if (im->skipped && !args_flag(im->args, "json"))
    fprintf(stderr, "intent import: %llu of %llu payloads skipped by the mapping\n", (unsigned long long)im->skipped,
            (unsigned long long)im->payloads);
  if (im->unusable) {
    error_set(&err, ITD_EEVENT, "%llu pieces of %llu payloads can't be used by the mapping",
              (unsigned long long)im->unusable, (unsigned long long)im->payloads);
    fail(im, COMMAND_NO, &err);
  }
  if (im->refusals) report_kept(im, refusals_tally(im->refusals));
  if (im->refused) {
    error_set(&err, ITD_EEVENT, "%llu of %llu events would be refused", (unsigned long long)im->refused,
              (unsigned long long)im->events);
    fail(im, COMMAND_NO, &err);
  }
  if (im->sender && im->code == 0 && sender_tally(im->sender)->refused) im->code = COMMAND_NO;
}

static void import_all(struct importing *im) {
  struct buf address = {0};
  struct error err = {0};
  uint64_t start = clock_mono_ns();
  im->code = connect_sender(im, &address);
  if (im->code == 0) {
    progress_begin(&im->progress, im->sorts ? "reading" : "importing");
    for (size_t i = 0; i < im->args->operand_count && im->code == 0; i++) {
      im->file = im->args->operand[i];
      read_file(im);
    }
    if (im->code == 0 && im->sorts) send_sorted(im);
    if (im->refusals && im->code != COMMAND_UNREACHABLE && refusals_flush(im->refusals, &err) < 0)
      fail(im, COMMAND_UNREACHABLE, &err);
    if (im->sender && im->code != COMMAND_UNREACHABLE && sender_finish(im->sender, &err) < 0)
      fail(im, COMMAND_UNREACHABLE, &err);
    progress_end(&im->progress);
  }
  report(im, clock_mono_ns() - start);
  sender_free(im->sender);
  refusals_free(im->refusals);
  buf_deinit(&address);
}

static int run(const struct args *args) {
  struct importing im = {.args = args, .file = args->operand[0], .time_ms = INT64_MIN};
  struct error err = {0};
  int status = read_options(&im, &err);
  if (status == 0) status = source_find(args, args_text(args, "source"), &im.source, &err);
  if (status < 0)
    im.code = command_fail(args, COMMAND_USAGE, &err);
  else
    import_all(&im);
  if (im.rejects && fclose(im.rejects) != 0 && im.code == 0) {
    error_set(&err, ITD_EIO, "%s can't be written", args_text(args, "rejects"));
    im.code = command_fail(args, COMMAND_USAGE, &err);
  }
  source_found_deinit(&im.source);
  buf_deinit(&im.batch);
  buf_deinit(&im.waiting);
  free(im.place);
  return im.code;
}

const struct command command_import = {
    .name = "import",
    .operands = "FILE…",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .uses = USES_DAEMON,
    .summary = "send a file of another system's data as events, by a source's mapping",
    .help =
        "A file is CSV as RFC 4180 has it (its first row names the columns: they are the payload's keys), JSON lines, "
        "or "
        "one JSON\n"
        "text that is a payload or a list of them; gzip or not, \"-\" for standard input. The source is one of a "
        "signal "
        "set, the\n"
        "same that POST /v1/source/NAME has (docs/sources.md), or a file by itself; it makes the same events of the "
        "same "
        "payloads.\n"
        "What it skips is counted, what it can't use is said with its line and goes to the daemon's quarantine (intent "
        "quarantine), once\n"
        "however often the import is run, and the rest is sent: in the order of the "
        "files, or\n"
        "with --sort timestamp in that of the events' time (they are then held in memory). Each event has a messageId "
        "that is made\n"
        "of the payload, so that an import that broke off can simply be run again.\n"
        "A column that is nearly what the mapping reads stops the import: one of the two is misspelt.\n"
        "The daemon should run with --clock event: then time is the events' own.\n"
        "\n"
        "  intent import --source loans/bank --sort timestamp events.csv.gz\n"
        "  intent import --source my_source.lua --dry-run export.csv | head",
    .options = options,
    .run = run,
};
