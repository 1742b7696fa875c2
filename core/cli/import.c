// intent import: rows of a CSV file, made into events by a map in Lua, in the order of their own time.
#include "base/clock.h"
#include "base/hash.h"
#include "base/suggest.h"
#include "cli/connect.h"
#include "cli/csv.h"
#include "cli/field.h"
#include "cli/message_id.h"
#include "cli/progress.h"
#include "cli/scripts.h"
#include "cli/sender.h"
#include "cli/show.h"
#include "wire/event.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH_ROWS = 500, BATCH_BYTES = 1 << 20, REFUSALS_SHOWN = 20 };

static const struct option options[] = {
    {"map", "MAP.lua", "the map from a row to its events"},
    {"sort", "timestamp", "send the events of the whole file by their time, then by their place in the file"},
    {"separator", "CHAR", "between fields: a character or \"tab\" (default a comma)"},
    {"dry-run", NULL, "print the events as JSON lines instead of sending them, and say which would be refused"},
    {"any-clock", NULL, "go on although the daemon's clock is not the events' own"},
    {"again", NULL, "as new events: missing messageIds are made afresh"},
    {"window", "N", "events in flight, 1 to 65536 (default 1024)"},
    {"patience", "SECONDS", "how long to try again when the daemon is busy or gone (default 30)"},
    {0}};

// An event that waits for the others to be sorted: its bytes in `waiting`.
struct place {
  int64_t time_ms;
  uint64_t line;
  size_t at, n;
};

struct importing {
  const struct args *args;
  const char *file;
  struct input input;
  struct csv csv;
  struct scripts scripts;
  struct sender *sender; // NULL: --dry-run
  struct progress progress;
  bool sorts;
  uint8_t salt[MESSAGE_SALT];
  struct buf columns; // packed texts
  size_t column_count;
  struct buf rows; // of the batch at hand, packed
  uint64_t line[BATCH_ROWS];
  uint32_t row_count;
  struct buf event;
  struct buf waiting;
  struct place *place;
  size_t place_count, place_cap;
  uint64_t rows_read, events;
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
  im->place[im->place_count++] = (struct place){.time_ms = time_ms, .line = line, .at = im->waiting.n, .n = event.n};
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

static void take_event(struct importing *im, uint64_t line, uint64_t number, struct bytes event) {
  int64_t time_ms = 0;
  bool has_time = time_of(event, &time_ms);
  buf_clear(&im->event);
  buf_append_bytes(&im->event, event);
  message_id_add(im->salt, im->file, number, event, &im->event);
  im->events++;
  if (has_time && time_ms > im->time_ms) im->time_ms = time_ms;
  if (!im->sorts) {
    pass_on(im, line, buf_bytes(&im->event));
  } else if (has_time) {
    wait_for_order(im, line, time_ms, buf_bytes(&im->event));
  } else {
    struct error err = {0};
    error_set(&err, ITD_EEVENT, "%s:%llu: the map's event has %s to sort by", im->file, (unsigned long long)line,
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
    pass_on(im, p->line, bytes_of(im->waiting.p + p->at, p->n));
    progress_show(&im->progress, i, im->place_count, p->time_ms);
  }
}

// ---- rows ----

static void map_failed(struct importing *im, struct bytes failed) {
  struct bytes number = {0}, text = {0};
  struct each each = each_of(failed);
  struct error err = {0};
  int64_t row = each_next(&each, &number) ? mp_value_of(number).i : 1;
  if (each_next(&each, &text)) (void)mp_as_str(text, &text);
  error_set(&err, ITD_EINVAL, "%s:%llu: %.*s", im->file, (unsigned long long)im->line[row - 1], (int)text.n,
            (const char *)text.p);
  fail(im, COMMAND_NO, &err);
}

static void take_output(struct importing *im, struct bytes output) {
  struct bytes pair, row, event;
  for (struct each each = each_of(field(output, "events")); im->code == 0 && each_next(&each, &pair);) {
    struct each two = each_of(pair);
    if (!each_next(&two, &row) || !each_next(&two, &event)) continue;
    take_event(im, im->line[mp_value_of(row).i - 1], im->events, event);
  }
  if (im->code == 0 && field(output, "failed").n) map_failed(im, field(output, "failed"));
}

static void map_batch(struct importing *im) {
  if (im->row_count == 0 || im->code) return;
  struct buf input = {0}, output = {0};
  struct error err = {0};
  mp_put_map(&input, 2);
  mp_put_cstr(&input, "columns"), mp_put_array(&input, (uint32_t)im->column_count);
  buf_append_bytes(&input, buf_bytes(&im->columns));
  mp_put_cstr(&input, "rows"), mp_put_array(&input, im->row_count);
  buf_append_bytes(&input, buf_bytes(&im->rows));
  if (scripts_run(&im->scripts, buf_bytes(&input), &output, &err) < 0)
    fail(im, COMMAND_NO, &err);
  else
    take_output(im, buf_bytes(&output));
  buf_deinit(&input);
  buf_deinit(&output);
  buf_clear(&im->rows);
  im->row_count = 0;
  progress_show(&im->progress, input_read(&im->input), im->input.size, im->events ? im->time_ms : INT64_MIN);
}

static int read_columns(struct importing *im, struct csv_record *record, struct error *err) {
  int found = csv_next(&im->csv, record, err);
  if (found < 0) return found;
  if (found == 0) return error_set(err, ITD_EINVAL, "%s is empty; its first row names the columns", im->file);
  im->column_count = record->count;
  for (size_t i = 0; i < record->count; i++) {
    for (size_t j = 0; j < i; j++)
      if (bytes_eq(record->field[i], record->field[j]))
        return error_set(err, ITD_EINVAL, "%s: two columns are called \"%.*s\"", im->file, (int)record->field[i].n,
                         (const char *)record->field[i].p);
    mp_put_str(&im->columns, record->field[i]);
  }
  return 0;
}

static void put_field(struct buf *out, struct bytes text) {
  if (bytes_is_utf8(text))
    mp_put_str(out, text);
  else
    mp_put_bin(out, text);
}

static void read_rows(struct importing *im) {
  struct csv_record *record = xmalloc(sizeof *record);
  struct error err = {0};
  int found = read_columns(im, record, &err) < 0 ? -1 : 1;
  while (found > 0 && im->code == 0 && (found = csv_next(&im->csv, record, &err)) > 0) {
    if (record->count != im->column_count) {
      found = error_set(&err, ITD_EINVAL, "%s:%llu: %zu fields, where the first row names %zu", im->file,
                        (unsigned long long)im->csv.line, record->count, im->column_count);
      break;
    }
    im->rows_read++;
    im->line[im->row_count++] = im->csv.line;
    mp_put_array(&im->rows, (uint32_t)record->count);
    for (size_t i = 0; i < record->count; i++) put_field(&im->rows, record->field[i]);
    if (im->row_count == BATCH_ROWS || im->rows.n > BATCH_BYTES) map_batch(im);
  }
  if (im->code == 0) map_batch(im);
  if (found < 0 && im->code == 0) fail(im, COMMAND_USAGE, &err);
  free(record);
}

// ---- the command ----

static int connect_sender(struct importing *im, struct buf *address) {
  struct error err = {0};
  struct client *client;
  int64_t window, patience;
  if (args_number(im->args, "window", 1024, 1, 65536, &window, &err) < 0 ||
      args_number(im->args, "patience", 30, 0, 86400, &patience, &err) < 0)
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
  return 0;
}

static int read_options(struct importing *im, char *separator, struct error *err) {
  const char *sort = args_text(im->args, "sort"), *between = args_text(im->args, "separator");
  if (!args_flag(im->args, "map")) return error_set(err, ITD_EINVAL, "--map MAP.lua says how a row becomes an event");
  if (sort && strcmp(sort, "timestamp") != 0) return error_set(err, ITD_EINVAL, "--sort knows timestamp only");
  im->sorts = sort != NULL;
  *separator = !between ? ',' : strcmp(between, "tab") == 0 ? '\t' : between[0];
  if (between && (strcmp(between, "tab") != 0 && strlen(between) != 1))
    return error_set(err, ITD_EINVAL, "--separator is one character, or \"tab\"");
  if (strchr("\"\r\n", *separator)) return error_set(err, ITD_EINVAL, "--separator is neither a quote nor a line end");
  if (args_flag(im->args, "again")) random_bytes(im->salt, sizeof im->salt);
  return 0;
}

static void import_all(struct importing *im, char separator) {
  struct buf address = {0};
  struct error err = {0};
  uint64_t start = clock_mono_ns();
  im->code = connect_sender(im, &address);
  if (im->code == 0) {
    csv_init(&im->csv, &im->input, separator);
    progress_begin(&im->progress, im->sorts ? "reading" : "importing");
    read_rows(im);
    if (im->code == 0 && im->sorts) send_sorted(im);
    if (im->sender && im->code != COMMAND_UNREACHABLE && sender_finish(im->sender, &err) < 0)
      fail(im, COMMAND_UNREACHABLE, &err);
    progress_end(&im->progress);
  }
  if (im->refused) {
    error_set(&err, ITD_EEVENT, "%llu of %llu events would be refused", (unsigned long long)im->refused,
              (unsigned long long)im->events);
    fail(im, COMMAND_NO, &err);
  }
  if (im->sender) {
    sender_report(im->sender, clock_mono_ns() - start, args_flag(im->args, "json"));
    if (im->code == 0 && sender_tally(im->sender)->refused) im->code = COMMAND_NO;
  }
  sender_free(im->sender);
  csv_deinit(&im->csv);
  buf_deinit(&address);
}

static int run(const struct args *args) {
  struct importing im = {.args = args, .file = args->operand[0], .time_ms = INT64_MIN};
  struct error err = {0};
  char separator = ',';
  int status = read_options(&im, &separator, &err);
  if (status == 0) status = scripts_open(&im.scripts, "scripts/cli/import.lua", "import", &err);
  if (status == 0) status = scripts_add(&im.scripts, args_text(args, "map"), "map", &err);
  if (status == 0) status = input_open(im.file, &im.input, &err);
  if (status < 0)
    im.code = command_fail(args, COMMAND_USAGE, &err);
  else
    import_all(&im, separator);
  input_close(&im.input);
  scripts_close(&im.scripts);
  buf_deinit(&im.columns);
  buf_deinit(&im.rows);
  buf_deinit(&im.event);
  buf_deinit(&im.waiting);
  free(im.place);
  return im.code;
}

const struct command command_import = {
    .name = "import",
    .operands = "FILE.csv",
    .operands_min = 1,
    .operands_max = 1,
    .uses = USES_DAEMON,
    .summary = "send the rows of a CSV file as events, on their own time",
    .help =
        "The file is CSV as RFC 4180 has it, gzip or not, \"-\" for standard input; its first row names the columns. "
        "The map is a Lua\n"
        "file in the policies' sandbox that returns a function of one row (column = text):\n"
        "\n"
        "  return function(row)\n"
        "    return { type = \"track\", event = row.what, userId = row.who, timestamp = row.at, messageId = row.id }\n"
        "  end\n"
        "\n"
        "It gives an event, a list of events, or nil to pass over the row; it keeps nothing from row to row. A\n"
        "column that the file does not have is nil; a misspelt one stops the import.\n"
        "Events are sent in the order of the file, or with --sort timestamp in that of their time (the file's events "
        "are then\n"
        "held in memory). Without a messageId they get one as intent send makes it, so that an import that broke off "
        "can simply\n"
        "be run again.\n"
        "The daemon should run with --clock event: then time is the events' own.\n"
        "\n"
        "  intent import --map examples/loans/map.lua --sort timestamp events.csv.gz\n"
        "  intent import --map my_map.lua --dry-run export.csv | head",
    .options = options,
    .run = run,
};
