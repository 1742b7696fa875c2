#include "cli/sender.h"

#include "base/check.h"
#include "base/clock.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER_BYTES = 128 << 10, SILENCE_MS_MIN = 30000, BACKOFF_MAX_MS = 2000 };

enum slot_state { SLOT_FREE, SLOT_SENT, SLOT_AGAIN };
struct slot {
  enum slot_state state;
  uint64_t line;
  struct buf params; // [event]
};

// Events between `oldest` and `next` (running numbers, modulo 2^32 the ids of their requests) have a slot each.
struct sender {
  struct client *client;
  struct sender_options options;
  struct slot *slot; // window many
  uint64_t oldest, next;
  unsigned again;      // slots in SLOT_AGAIN
  uint64_t trouble_ns; // when the failures at hand began; 0: all is well
  unsigned backoff_ms;
  struct sender_tally tally;
};

struct sender *sender_new(struct client *client, const struct sender_options *options) {
  CHECK(options->window > 0);
  struct sender *s = xcalloc(1, sizeof *s);
  s->client = client;
  s->options = *options;
  s->slot = xcalloc(options->window, sizeof *s->slot);
  return s;
}

void sender_free(struct sender *s) {
  if (!s) return;
  client_close(s->client);
  for (unsigned i = 0; i < s->options.window; i++) buf_deinit(&s->slot[i].params);
  free(s->slot);
  free(s);
}

const struct sender_tally *sender_tally(const struct sender *s) { return &s->tally; }

static struct slot *slot_of(struct sender *s, uint64_t number) { return &s->slot[number % s->options.window]; }

// ---- what came of an event ----

void sender_refuse(struct sender *s, uint64_t line, const char *code, const char *reason) {
  struct sender_tally *t = &s->tally;
  t->refused++;
  size_t i = 0;
  while (i < t->codes && strcmp(t->code[i].code, code) != 0) i++;
  if (i == SENDER_CODES_MAX) i--;
  if (i == t->codes) {
    t->codes++;
    snprintf(t->code[i].code, sizeof t->code[i].code, "%s", i == SENDER_CODES_MAX - 1 ? "other" : code);
    snprintf(t->code[i].reason, sizeof t->code[i].reason, "%s", reason);
    t->code[i].first_line = line;
  }
  t->code[i].count++;
}

static void settle(struct sender *s, uint64_t number) {
  slot_of(s, number)->state = SLOT_FREE;
  while (s->oldest < s->next && slot_of(s, s->oldest)->state == SLOT_FREE) s->oldest++;
}

static void take_failure(struct sender *s, uint64_t number, struct bytes failure) {
  struct slot *slot = slot_of(s, number);
  struct error err = {0};
  int status = client_failure(failure, &err);
  bool may_pass = status_retryable(status);
  uint64_t now = clock_mono_ns();
  if (may_pass && !s->trouble_ns) s->trouble_ns = now;
  if (may_pass && now - s->trouble_ns < (uint64_t)s->options.patience_ms * 1000000u) {
    slot->state = SLOT_AGAIN;
    s->again++;
    return;
  }
  sender_refuse(s, slot->line, status_code(status), err.text);
  if (s->options.each) s->options.each(s->options.context, slot->line, (struct bytes){0}, failure);
  settle(s, number);
}

static void take_decision(struct sender *s, uint64_t number, struct bytes decision) {
  s->tally.decided++;
  if (field_is(decision, "duplicate")) s->tally.duplicates++;
  if (s->options.each) s->options.each(s->options.context, slot_of(s, number)->line, decision, (struct bytes){0});
  s->trouble_ns = 0;
  s->backoff_ms = 0;
  settle(s, number);
}

static void take(struct sender *s, const struct client_message *message) {
  uint64_t number = s->oldest + (uint32_t)(message->id - (uint32_t)s->oldest);
  if (message->is_notification || number >= s->next || slot_of(s, number)->state != SLOT_SENT) return;
  if (message->failure.n)
    take_failure(s, number, message->failure);
  else
    take_decision(s, number, message->result);
}

// ---- sending, and sending again ----

static void request(struct sender *s, uint64_t number) {
  struct slot *slot = slot_of(s, number);
  slot->state = SLOT_SENT;
  client_request(s->client, (uint32_t)number, "event.ingest", buf_bytes(&slot->params));
}

static void back_off(struct sender *s) {
  s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : 50;
  if (s->backoff_ms > BACKOFF_MAX_MS) s->backoff_ms = BACKOFF_MAX_MS;
  usleep(s->backoff_ms * 1000);
}

// A new connection, and all that has no answer once more, in order.
static int reconnect(struct sender *s, struct error *err) {
  if (s->trouble_ns)
    back_off(s);
  else
    s->trouble_ns = clock_mono_ns();
  client_close(s->client);
  s->client = NULL;
  while (client_open(s->options.address, &s->client, err) < 0) {
    if (clock_mono_ns() - s->trouble_ns >= (uint64_t)s->options.patience_ms * 1000000u) return ITD_EIO;
    back_off(s);
  }
  s->tally.reconnects++;
  s->again = 0;
  for (uint64_t n = s->oldest; n < s->next; n++)
    if (slot_of(s, n)->state != SLOT_FREE) request(s, n);
  return 0;
}

// When only events that failed are left: these again, in order. Nothing younger was sent meanwhile.
static void send_again(struct sender *s) {
  back_off(s);
  s->tally.retries += s->again;
  s->again = 0;
  for (uint64_t n = s->oldest; n < s->next; n++)
    if (slot_of(s, n)->state == SLOT_AGAIN) request(s, n);
}

static bool all_wait_for_another_try(const struct sender *s) {
  uint64_t waiting = 0;
  for (uint64_t n = s->oldest; s->again && n < s->next; n++)
    waiting += s->slot[n % s->options.window].state == SLOT_SENT;
  return s->again && waiting == 0;
}

// Exchanges bytes and takes at least one answer, then all others that are here.
static int pump(struct sender *s, struct error *err) {
  if (all_wait_for_another_try(s)) send_again(s);
  struct client_message message;
  int64_t silence_ms = s->options.patience_ms > SILENCE_MS_MIN ? s->options.patience_ms : SILENCE_MS_MIN;
  int n = client_next(s->client, (int)silence_ms, &message, err);
  if (n == 0) return error_set(err, ITD_EIO, "no answer for %lld seconds", (long long)silence_ms / 1000);
  while (n == 1) {
    take(s, &message);
    n = client_next(s->client, 0, &message, err);
  }
  if (n == 0) return 0;
  if (n != ITD_EIO) return n; // what answers is no daemon
  if (s->trouble_ns && clock_mono_ns() - s->trouble_ns >= (uint64_t)s->options.patience_ms * 1000000u) return n;
  return reconnect(s, err);
}

int sender_add(struct sender *s, struct bytes event, uint64_t line, struct error *err) {
  while (s->next - s->oldest >= s->options.window || s->again) {
    int status = pump(s, err);
    if (status < 0) return status;
  }
  struct slot *slot = slot_of(s, s->next);
  slot->line = line;
  buf_clear(&slot->params);
  mp_put_array(&slot->params, 1);
  mp_put_raw(&slot->params, event);
  request(s, s->next++);
  s->tally.sent++;
  if (client_unsent(s->client) < BUFFER_BYTES) return 0;
  return pump(s, err);
}

int sender_finish(struct sender *s, struct error *err) {
  while (s->oldest < s->next) {
    int status = pump(s, err);
    if (status < 0) return status;
  }
  return 0;
}

// ---- the tally ----

static void report_json(const struct sender_tally *t, double seconds) {
  struct buf out = {0};
  mp_put_map(&out, 1);
  mp_put_cstr(&out, "summary");
  mp_put_map(&out, 6);
  const struct {
    const char *name;
    uint64_t n;
  } counts[] = {{"sent", t->sent}, {"decided", t->decided}, {"duplicates", t->duplicates}, {"refused", t->refused}};
  for (size_t i = 0; i < 4; i++) mp_put_cstr(&out, counts[i].name), mp_put_uint(&out, counts[i].n);
  mp_put_cstr(&out, "reasons");
  mp_put_array(&out, (uint32_t)t->codes);
  for (size_t i = 0; i < t->codes; i++) {
    mp_put_map(&out, 4);
    mp_put_cstr(&out, "code"), mp_put_cstr(&out, t->code[i].code);
    mp_put_cstr(&out, "count"), mp_put_uint(&out, t->code[i].count);
    mp_put_cstr(&out, "first_line"), mp_put_uint(&out, t->code[i].first_line);
    mp_put_cstr(&out, "reason"), mp_put_cstr(&out, t->code[i].reason);
  }
  mp_put_cstr(&out, "seconds");
  mp_put_float(&out, seconds);
  show_json(buf_bytes(&out));
  buf_deinit(&out);
}

static void add_count(struct grid *grid, const char *name, uint64_t n, const char *more) {
  grid_add_str(grid, name);
  show_count(grid_cell(grid), n);
  grid_end(grid);
  show_text(grid_cell(grid), bytes_str(more));
  grid_end(grid);
}

void sender_report(const struct sender *s, uint64_t took_ns, bool json) {
  const struct sender_tally *t = &s->tally;
  double seconds = (double)took_ns / 1e9;
  if (json) {
    report_json(t, seconds);
    return;
  }
  struct grid table;
  struct buf out = {0};
  char rate[80] = "";
  grid_init(&table, "lrl");
  if (t->sent && seconds > 0)
    snprintf(rate, sizeof rate, "in %.1f s, %.0f a second", seconds, (double)t->sent / seconds);
  add_count(&table, "sent", t->sent, rate);
  add_count(&table, "decided", t->decided, "");
  add_count(&table, "duplicates", t->duplicates, t->duplicates ? "decided earlier; the first decision stands" : "");
  add_count(&table, "refused", t->refused, "");
  for (size_t i = 0; i < t->codes; i++) {
    char name[64], more[600];
    snprintf(name, sizeof name, "  %s", t->code[i].code);
    snprintf(more, sizeof more, "first at line %llu: %s", (unsigned long long)t->code[i].first_line, t->code[i].reason);
    add_count(&table, name, t->code[i].count, more);
  }
  grid_put(&table, show_width(), &out);
  show_print(&out);
  buf_deinit(&out);
  grid_deinit(&table);
}
