// intent simulate: made-up B2B journeys, by examples/simulator/simulator.lua; all of them merged by time.
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/progress.h"
#include "cli/scripts.h"
#include "cli/sender.h"
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SLICE_ACCOUNTS = 10, LEADS_MAX = 1000000, ACCOUNTS_MAX = 4 * LEADS_MAX };

static const struct option options[] = {
    {"seed", "TEXT", "the same seed gives the same events (default 1)"},
    {"leads", "N", "how many people, at most a million (default 1000); each takes about 12 KB of memory"},
    {"days", "N", "how many days the events span (default 90)"},
    {"start", "TIME", "the first day (default 2026-01-01)"},
    {"truth", "FILE.csv", "write who buys: user_id,buys,when,kind,role,account"},
    {"send", NULL, "send the events to a daemon instead of printing them"},
    {"rate", "N", "with --send: events a second (default: as many as it takes)"},
    {"any-clock", NULL, "with --send: go on although the daemon's clock is not the events' own"},
    {"window", "N", "with --send: events in flight, 1 to 65536 (default 1024)"},
    {0}};

struct place {
  int64_t time_ms;
  size_t at, n;
};

struct simulation {
  const struct args *args;
  const char *seed;
  int64_t leads, days, start_ms, rate, window;
  struct scripts scripts;
  struct buf events; // packed, one after the other
  struct place *place;
  size_t count, cap;
  struct buf truth;
  int64_t made; // people so far
};

// ---- making ----

static void put_input(const struct simulation *s, int64_t account, struct buf *input) {
  mp_put_map(input, 6);
  mp_put_cstr(input, "seed"), mp_put_cstr(input, s->seed);
  mp_put_cstr(input, "start_ms"), mp_put_int(input, s->start_ms);
  mp_put_cstr(input, "days"), mp_put_int(input, s->days);
  mp_put_cstr(input, "account"), mp_put_int(input, account);
  mp_put_cstr(input, "accounts"), mp_put_int(input, SLICE_ACCOUNTS);
  mp_put_cstr(input, "leads"), mp_put_int(input, s->leads - s->made);
}

static void take_events(struct simulation *s, struct bytes list) {
  struct bytes pair, time, event;
  for (struct each each = each_of(list); each_next(&each, &pair);) {
    struct each two = each_of(pair);
    if (!each_next(&two, &time) || !each_next(&two, &event)) continue;
    if (s->count == s->cap) {
      s->cap = s->cap ? 2 * s->cap : 4096;
      s->place = xrealloc(s->place, s->cap * sizeof *s->place);
    }
    s->place[s->count++] = (struct place){.time_ms = mp_value_of(time).i, .at = s->events.n, .n = event.n};
    buf_append_bytes(&s->events, event);
  }
}

static void take_truth(struct simulation *s, struct bytes list) {
  struct bytes row, part[6];
  for (struct each each = each_of(list); each_next(&each, &row);) {
    size_t n = 0;
    for (struct each parts = each_of(row); n < 6 && each_next(&parts, &part[n]);) n++;
    CHECK(n == 6);
    int64_t when_ms = mp_value_of(part[2]).i;
    show_value(&s->truth, part[0], NULL);
    buf_printf(&s->truth, ",%d,", mp_value_of(part[1]).b);
    char time[TIME_TEXT_MAX];
    time_format(when_ms, time);
    if (when_ms) buf_append_str(&s->truth, time);
    for (size_t i = 3; i < 6; i++) {
      buf_append_u8(&s->truth, ',');
      show_value(&s->truth, part[i], NULL);
    }
    buf_append_u8(&s->truth, '\n');
  }
}

static int make(struct simulation *s, struct error *err) {
  struct buf input = {0}, output = {0};
  struct progress progress;
  int status = 0;
  progress_begin(&progress, "simulating");
  buf_append_str(&s->truth, "user_id,buys,when,kind,role,account\n");
  for (int64_t account = 1; status == 0 && s->made < s->leads && account < ACCOUNTS_MAX; account += SLICE_ACCOUNTS) {
    buf_clear(&input);
    buf_clear(&output);
    put_input(s, account, &input);
    status = scripts_run(&s->scripts, buf_bytes(&input), &output, err);
    if (status < 0) break;
    s->made += field_int(buf_bytes(&output), "leads", 0);
    take_events(s, field(buf_bytes(&output), "events"));
    take_truth(s, field(buf_bytes(&output), "truth"));
    progress_show(&progress, (uint64_t)s->made, (uint64_t)s->leads, INT64_MIN);
  }
  progress_end(&progress);
  buf_deinit(&input);
  buf_deinit(&output);
  return status;
}

static int by_time(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

// ---- giving out ----

static void print_all(const struct simulation *s) {
  struct buf out = {0};
  for (size_t i = 0; i < s->count; i++) {
    mp_to_json(bytes_of(s->events.p + s->place[i].at, s->place[i].n), &out);
    buf_append_u8(&out, '\n');
    if (out.n > 1 << 16) show_print(&out);
  }
  show_print(&out);
  buf_deinit(&out);
}

// Waits until event `number` may leave. The answers that come meanwhile are taken with the next events.
static void keep_rate(int64_t rate, uint64_t start_ns, size_t number) {
  if (rate == 0) return;
  uint64_t due = start_ns + (uint64_t)((double)number / (double)rate * 1e9), now = clock_mono_ns();
  if (due > now) usleep((useconds_t)((due - now) / 1000));
}

static int send_all(const struct simulation *s, struct client *client) {
  struct buf address = {0};
  struct error err = {0};
  connect_address(s->args, &address);
  buf_append_u8(&address, 0);
  struct sender_options how = {.address = (const char *)address.p, .window = (unsigned)s->window, .patience_ms = 30000};
  struct sender *sender = sender_new(client, &how);
  struct progress progress;
  progress_begin(&progress, "sending");
  uint64_t start = clock_mono_ns();
  int status = 0;
  for (size_t i = 0; status == 0 && i < s->count; i++) {
    keep_rate(s->rate, start, i);
    status = sender_add(sender, bytes_of(s->events.p + s->place[i].at, s->place[i].n), i + 1, &err);
    if (status == 0 && s->rate && s->rate < 1000)
      status = sender_finish(sender, &err); // slow enough to see each answer
    progress_show(&progress, i, s->count, s->place[i].time_ms);
  }
  if (status == 0) status = sender_finish(sender, &err);
  progress_end(&progress);
  int code = status < 0 ? command_fail(s->args, COMMAND_UNREACHABLE, &err) : COMMAND_OK;
  sender_report(sender, clock_mono_ns() - start, args_flag(s->args, "json"));
  if (code == 0 && sender_tally(sender)->refused) code = COMMAND_NO;
  sender_free(sender);
  buf_deinit(&address);
  return code;
}

static int read_options(struct simulation *s, struct error *err) {
  const char *start = args_text(s->args, "start");
  s->seed = args_flag(s->args, "seed") ? args_text(s->args, "seed") : "1";
  if (strlen(s->seed) == 0 || strlen(s->seed) > 64 || !bytes_is_utf8(bytes_str(s->seed)))
    return error_set(err, ITD_EINVAL, "--seed is a text of 1 to 64 bytes");
  if (time_parse(bytes_str(start ? start : "2026-01-01"), &s->start_ms) < 0)
    return error_set(err, ITD_EINVAL, "--start is a time such as 2026-01-01 or 2026-01-01T09:00:00Z, not \"%.40s\"",
                     start);
  int status = args_number(s->args, "leads", 1000, 1, LEADS_MAX, &s->leads, err);
  if (status == 0) status = args_number(s->args, "days", 90, 1, 1000, &s->days, err);
  if (status == 0) status = args_number(s->args, "rate", 0, 1, 10000000, &s->rate, err);
  if (status == 0) status = args_number(s->args, "window", 1024, 1, 65536, &s->window, err);
  return status;
}

static int give_out(const struct simulation *s) {
  if (!args_flag(s->args, "send")) {
    print_all(s);
    return COMMAND_OK;
  }
  struct client *client;
  int code = connect_daemon(s->args, &client);
  if (code) return code;
  code = connect_check_clock(s->args, client);
  if (code == 0) return send_all(s, client);
  client_close(client);
  return code;
}

static int run(const struct args *args) {
  struct simulation s = {.args = args};
  struct error err = {0};
  int code = COMMAND_OK;
  int status = read_options(&s, &err);
  if (status == 0) status = scripts_open(&s.scripts, "examples/simulator/simulator.lua", "simulator", &err);
  if (status == 0) status = make(&s, &err);
  if (status == 0 && args_flag(args, "truth"))
    status = file_replace(args_text(args, "truth"), buf_bytes(&s.truth), &err);
  if (status < 0) {
    code = command_fail(args, COMMAND_USAGE, &err);
  } else {
    if (s.count) qsort(s.place, s.count, sizeof *s.place, by_time);
    code = give_out(&s);
  }
  scripts_close(&s.scripts);
  buf_deinit(&s.events);
  buf_deinit(&s.truth);
  free(s.place);
  return code;
}

const struct command command_simulate = {
    .name = "simulate",
    .operands = "",
    .uses = USES_DAEMON,
    .summary = "made-up B2B journeys with the truth about who buys, printed or sent",
    .help = "Accounts with people who visit, read, try the product, talk to sales, and buy or not; and robots, "
            "students, competitors\n"
            "and colleagues among them (examples/simulator/README.md). Prints JSON lines in order of time, as intent "
            "send reads\n"
            "them, for policies/signals/b2b. The same seed gives the same bytes.\n"
            "\n"
            "  intent simulate --leads 200 --truth truth.csv > events.jsonl\n"
            "  intent simulate --leads 5000 --send",
    .options = options,
    .run = run,
};
