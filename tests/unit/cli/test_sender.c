// The sender against a server of our own that misbehaves on purpose: answers out of order, says busy, hangs up.
// Whatever it does, each event is decided once in the tally, and what arrives first arrives in order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "cli/field.h"
#include "cli/sender.h"
#include "wire/rpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 5000 };

struct server {
  int listener;
  char address[32];
  pthread_t thread;
  atomic_bool stop;
  // how it behaves
  unsigned busy_percent, refuse_every, hang_up_after, shuffle;
  bool speaks_http;
  // what it saw
  int seen[EVENTS_MAX]; // how often each event was decided, as a messageId would count it
  int64_t last_new;     // the highest event so far
  bool is_out_of_order; // an event came for the first time after a later one, and was never refused before
  bool was_busy[EVENTS_MAX];
  unsigned connections;
};

// ---- the server ----

static void answer(struct server *s, struct buf *out, uint32_t id, int64_t number) {
  struct error err = {0};
  if (random_below(100) < s->busy_percent) {
    s->was_busy[number] = true;
    error_set(&err, ITD_EBUSY, "not now");
    rpc_put_error(out, id, &err);
    return;
  }
  if (s->refuse_every && number % s->refuse_every == 0) {
    error_set(&err, ITD_EEVENT, "event %d is bad", (int)number);
    rpc_put_error(out, id, &err);
    return;
  }
  if (!s->seen[number] && number < s->last_new && !s->was_busy[number]) s->is_out_of_order = true;
  if (number > s->last_new) s->last_new = number;
  bool again = s->seen[number]++ > 0;
  rpc_put_result_head(out, id);
  mp_put_map(out, 2);
  mp_put_cstr(out, "number"), mp_put_int(out, number);
  mp_put_cstr(out, "duplicate"), mp_put_bool(out, again);
}

// Answers to the whole requests in `in`, a run of them backwards when it shuffles.
static unsigned serve_bytes(struct server *s, struct buf *in, struct buf *out) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct buf one[16] = {0};
  unsigned served = 0, held = 0;
  size_t n;
  while (in->n && mp_scan(buf_bytes(in), &limits, &n, NULL) == 1) {
    struct rpc_message message = {0};
    bool has_id;
    struct error err = {0};
    assert_int_equal(rpc_read(bytes_of(in->p, n), &message, &has_id, &err), 0);
    struct each each = each_of(message.params);
    struct bytes event = {0};
    assert_true(each_next(&each, &event));
    answer(s, &one[held++], message.id, field_int(event, "number", -1));
    served++;
    buf_consume(in, n);
    if (held < 16 && held < s->shuffle + 1) continue;
    while (held) buf_append_bytes(out, buf_bytes(&one[--held])), buf_clear(&one[held]);
  }
  while (held) buf_append_bytes(out, buf_bytes(&one[--held])), buf_clear(&one[held]);
  for (unsigned i = 0; i < 16; i++) buf_deinit(&one[i]);
  return served;
}

static void serve(struct server *s, int fd) {
  struct buf in = {0}, out = {0};
  unsigned served = 0;
  s->connections++;
  for (;;) {
    ssize_t n = recv(fd, buf_reserve(&in, 4096), 1 + random_below(4096), 0);
    if (n <= 0) break;
    in.n += (size_t)n;
    if (s->speaks_http)
      buf_append_str(&out, "HTTP/1.1 400 Bad Request\r\n\r\n");
    else
      served += serve_bytes(s, &in, &out);
    // Half of an answer is on its way when it hangs up.
    size_t limit = s->hang_up_after && served > s->hang_up_after ? out.n / 2 : out.n;
    if (send(fd, out.p, limit, MSG_NOSIGNAL) < 0) break;
    if (limit < out.n) break;
    buf_clear(&out);
  }
  close(fd);
  buf_deinit(&in);
  buf_deinit(&out);
}

static void *run_server(void *context) {
  struct server *s = context;
  for (;;) {
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0 || atomic_load(&s->stop)) {
      if (fd >= 0) close(fd);
      return NULL;
    }
    serve(s, fd);
  }
}

static struct server server;

static void start(void) {
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof any;
  server.listener = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(server.listener, (struct sockaddr *)&any, sizeof any), 0);
  assert_int_equal(listen(server.listener, 16), 0);
  assert_int_equal(getsockname(server.listener, (struct sockaddr *)&any, &size), 0);
  snprintf(server.address, sizeof server.address, "127.0.0.1:%d", ntohs(any.sin_port));
  server.last_new = -1;
  assert_int_equal(pthread_create(&server.thread, NULL, run_server, &server), 0);
}

static void stop(void) {
  struct client *last;
  struct error err = {0};
  atomic_store(&server.stop, true);
  if (client_open(server.address, &last, &err) == 0) client_close(last); // wakes accept
  pthread_join(server.thread, NULL);
  close(server.listener);
}

// ---- the sender ----

static unsigned answers[EVENTS_MAX]; // for each line
static void on_answer(void *context, uint64_t line, struct bytes decision, struct bytes failure) {
  (void)context;
  assert_true(line < EVENTS_MAX && (decision.n > 0) != (failure.n > 0));
  if (decision.n) assert_int_equal(field_int(decision, "number", -1), line);
  answers[line]++;
}

static int send_events(int64_t count, unsigned window, int64_t patience_ms, struct sender_tally *tally,
                       struct error *err) {
  struct client *client;
  assert_int_equal(client_open(server.address, &client, err), 0);
  struct sender_options how = {
      .address = server.address, .window = window, .patience_ms = patience_ms, .each = on_answer};
  struct sender *sender = sender_new(client, &how);
  struct buf event = {0};
  int status = 0;
  memset(answers, 0, sizeof answers);
  for (int64_t i = 0; status == 0 && i < count; i++) {
    buf_clear(&event);
    mp_put_map(&event, 1);
    mp_put_cstr(&event, "number");
    mp_put_int(&event, i);
    status = sender_add(sender, buf_bytes(&event), (uint64_t)i, err);
  }
  if (status == 0) status = sender_finish(sender, err);
  *tally = *sender_tally(sender);
  sender_free(sender);
  buf_deinit(&event);
  return status;
}

static void expect_all(int64_t count, const struct sender_tally *tally) {
  assert_int_equal(tally->sent, count);
  assert_int_equal(tally->decided + tally->refused, count);
  for (int64_t i = 0; i < count; i++) {
    if (answers[i] != 1) fail_msg("event %d has %u answers", (int)i, answers[i]);
    if (!server.refuse_every || i % server.refuse_every) assert_true(server.seen[i] >= 1);
  }
}

static void with(struct server how) {
  server = how;
  random_start();
  start();
}

static void test_plain(void **state) {
  (void)state;
  struct sender_tally tally;
  struct error err = {0};
  for (unsigned window = 1; window < 5000; window = window * 7 + 1) {
    with((struct server){0});
    assert_int_equal(send_events(3000, window, 0, &tally, &err), 0);
    expect_all(3000, &tally);
    assert_int_equal(tally.decided, 3000);
    assert_int_equal(tally.duplicates, 0);
    assert_false(server.is_out_of_order);
    stop();
  }
}

static void test_out_of_order(void **state) {
  (void)state;
  struct sender_tally tally;
  struct error err = {0};
  with((struct server){.shuffle = 13});
  assert_int_equal(send_events(3000, 100, 0, &tally, &err), 0);
  expect_all(3000, &tally);
  stop();
}

static void test_refused(void **state) {
  (void)state;
  struct sender_tally tally;
  struct error err = {0};
  with((struct server){.refuse_every = 10, .shuffle = 3});
  assert_int_equal(send_events(1000, 64, 1000, &tally, &err), 0);
  expect_all(1000, &tally);
  assert_int_equal(tally.refused, 100);
  assert_int_equal(tally.codes, 1);
  assert_string_equal(tally.code[0].code, "invalid_event");
  assert_int_equal(tally.code[0].count, 100);
  assert_int_equal(tally.retries, 0); // what will not pass is not tried again
  stop();
}

static void test_busy(void **state) {
  (void)state;
  struct sender_tally tally;
  struct error err = {0};
  with((struct server){.busy_percent = 2, .shuffle = 2});
  assert_int_equal(send_events(400, 32, 600000, &tally, &err), 0);
  expect_all(400, &tally);
  assert_int_equal(tally.decided, 400);
  assert_int_equal(tally.duplicates,
                   0); // a busy event was never decided, so trying again decides it for the first time
  stop();
}

static void test_busy_for_ever(void **state) {
  (void)state;
  struct sender_tally tally;
  struct error err = {0};
  with((struct server){.busy_percent = 100});
  assert_int_equal(send_events(20, 8, 0, &tally, &err), 0);
  expect_all(0, &(struct sender_tally){0});
  assert_int_equal(tally.refused, 20);
  assert_string_equal(tally.code[0].code, "busy");
  stop();
}

static void test_hang_up(void **state) {
  (void)state;
  struct sender_tally tally;
  struct error err = {0};
  with((struct server){.hang_up_after = 300, .shuffle = 5});
  assert_int_equal(send_events(2000, 50, 600000, &tally, &err), 0);
  expect_all(2000, &tally);
  assert_int_equal(tally.decided, 2000);
  assert_true(tally.reconnects > 0 && server.connections == tally.reconnects + 1);
  for (int i = 0; i < 2000; i++) assert_true(server.seen[i] >= 1);
  stop();
}

static void test_gone(void **state) {
  (void)state;
  struct sender_tally tally;
  struct error err = {0};
  with((struct server){.speaks_http = true});
  assert_true(send_events(10, 8, 0, &tally, &err) < 0);
  assert_non_null(strstr(err.text, "MessagePack-RPC"));
  stop();
  struct client *client;
  err = (struct error){0};
  assert_int_equal(client_open(server.address, &client, &err), ITD_ENOTFOUND);
  assert_non_null(strstr(err.text, server.address));
}

static void test_addresses(void **state) {
  (void)state;
  static const char *const bad[] = {"", "7411", "host", ":7411", "host:", "host:abc", "host:123456", "[]:1"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct client *client;
    struct error err = {0};
    if (client_open(bad[i], &client, &err) != ITD_EINVAL) fail_msg("\"%s\" was taken for an address", bad[i]);
  }
  struct client *client;
  struct error err = {0};
  assert_int_equal(client_open("/nowhere/intentd.sock", &client, &err), ITD_ENOTFOUND);
  assert_non_null(strstr(err.text, "--data /nowhere"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plain), cmocka_unit_test(test_out_of_order),  cmocka_unit_test(test_refused),
      cmocka_unit_test(test_busy),  cmocka_unit_test(test_busy_for_ever), cmocka_unit_test(test_hang_up),
      cmocka_unit_test(test_gone),  cmocka_unit_test(test_addresses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
