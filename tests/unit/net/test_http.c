// The HTTP thread against shards that this test plays: answers that need a full disk, a slow commit, lost credits or a
// stop at the right moment. What needs a whole daemon is in tests/functional/http_spec.lua.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "net/http.h"
#include "net/listen.h"

// ---- the shards: one thread that answers an event by its name ----

#define SHARDS 2
static struct daemon house;
static struct config settings;
static pthread_t player;
static _Atomic bool player_ends, is_holding;
static _Atomic unsigned kept; // bodies handed to a quarantine
static struct error kept_why;

// ok: decided. bad: refused. full: the disk is. hold: not answered before is_holding is false.
static bool play(struct task *task) {
  struct bytes name, type;
  if (!mp_find(buf_bytes(&task->input), BYTES_LIT("event"), &name) || !mp_as_str(name, &name)) name = BYTES_LIT("bad");
  if (bytes_is(name, "hold") && atomic_load(&is_holding)) return false;
  if (bytes_is(name, "bad")) task->status = error_set(&task->error, ITD_EEVENT, "bad for the test");
  if (bytes_is(name, "full")) task->status = error_set(&task->error, ITD_EFULL, "full for the test");
  CHECK(!mp_find(buf_bytes(&task->input), BYTES_LIT("type"), &type) || mp_as_str(type, &type));
  return true;
}

static void *play_shards(void *arg) {
  (void)arg;
  struct task *held[64];
  size_t count = 0;
  while (!atomic_load(&player_ends) || count) {
    for (unsigned s = 0; s < SHARDS; s++) {
      struct task *task;
      while ((task = fabric_take(house.fabric, s))) {
        task->partition = s; // so that a held one knows its shard
        if (play(task))
          fabric_return(house.fabric, s, task);
        else
          held[count++] = task;
      }
      for (size_t i = 0; i < count;) {
        if (held[i]->partition == s && play(held[i])) {
          fabric_return(house.fabric, s, held[i]);
          held[i] = held[--count];
        } else {
          i++;
        }
      }
      fabric_flush(house.fabric, s);
    }
    usleep(500);
  }
  return NULL;
}

int intake_route(const struct store *store, const struct intake_options *options, struct bytes map, int64_t received_ms,
                 unsigned *partition, struct error *err) {
  (void)store, (void)options, (void)received_ms;
  struct bytes user;
  if (!mp_find(map, BYTES_LIT("userId"), &user)) return error_set(err, ITD_EEVENT, "nobody");
  *partition = user.p[user.n - 1] % 4u;
  return 0;
}
unsigned store_shard_of(const struct store *store, unsigned partition) {
  (void)store;
  return partition % SHARDS;
}
void shard_post(struct shard_thread *thread, void (*work)(struct shard *, void *), void *context) {
  (void)thread;
  struct shard shard = {0};
  work(&shard, context);
}
void shard_quarantine(struct shard *shard, const struct error *reason, struct bytes bytes) {
  (void)shard, (void)bytes;
  kept_why = *reason;
  atomic_fetch_add(&kept, 1);
}
bool daemon_get_trouble(struct daemon *daemon, unsigned *shard, struct error *why) {
  (void)daemon;
  *shard = 1;
  error_set(why, ITD_EUNAVAILABLE, "no room");
  return true;
}
struct edition *daemon_edition(struct daemon *daemon) { // no sources: tests/functional/sources_spec.lua has them
  (void)daemon;
  return NULL;
}
void daemon_metrics(struct daemon *daemon, struct buf *out) {
  (void)daemon;
  buf_append_str(out, "intentd_ready 1\n");
}

// ---- the server ----

static struct metrics counted[SHARDS + 1];
static int listen_fd, port;

static void start(void) {
  struct error err = {0};
  memset(&house, 0, sizeof house);
  memset(counted, 0, sizeof counted);
  atomic_store(&player_ends, false);
  atomic_store(&is_holding, false);
  atomic_store(&kept, 0);
  settings = (struct config){0};
  house.config = &settings;
  house.shards = SHARDS;
  house.metrics = counted;
  house.limits = NET_LIMITS_DEFAULT;
  house.fabric = fabric_new(SHARDS, SHARDS + 1);
  static struct shard_thread *threads[SHARDS];
  house.threads = threads;
  atomic_store(&house.is_ready, true);
  CHECK(listen_tcp("127.0.0.1:0", &listen_fd, &port, &err) == 0);
}

static void run_it(void) {
  CHECK(pthread_create(&player, NULL, play_shards, NULL) == 0);
  house.http = http_start(&house, listen_fd);
}

static void stop(void) {
  http_stop(house.http);
  atomic_store(&player_ends, true);
  pthread_join(player, NULL);
  fabric_free(house.fabric);
  close(listen_fd);
}

// ---- the client ----

static int dial(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct timeval patience = {.tv_sec = 20};
  CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  return fd;
}

static void say(int fd, const char *bytes, size_t n) {
  while (n) {
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
    if (sent <= 0) return; // the server may have had enough
    bytes += sent;
    n -= (size_t)sent;
  }
}

static void say_text(int fd, const char *text) { say(fd, text, strlen(text)); }

struct answer {
  int code;
  char text[64 << 10]; // head and body
  size_t n;
};

// Reads one answer: its head, then Content-Length bytes; to the end when there is no such header.
static void hear(int fd, struct answer *a) {
  a->code = 0;
  a->n = 0;
  size_t want = SIZE_MAX;
  for (;;) {
    a->text[a->n] = 0;
    char *body = strstr(a->text, "\r\n\r\n"), *length = strcasestr(a->text, "\r\nContent-Length:");
    if (body && want == SIZE_MAX)
      want = (size_t)(body + 4 - a->text) + (length && length < body ? strtoul(length + 17, NULL, 10) : 0);
    if (a->n >= want || a->n == sizeof a->text - 1) break;
    ssize_t got = recv(fd, a->text + a->n, sizeof a->text - 1 - a->n, 0);
    if (got <= 0) break;
    a->n += (size_t)got;
  }
  (void)sscanf(a->text, "HTTP/1.1 %d", &a->code);
}

static void post(int fd, const char *path, const char *headers, const char *body) {
  char head[2048];
  size_t n = strlen(body);
  int len =
      snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n", path, headers, n);
  say(fd, head, (size_t)len);
  say(fd, body, n);
}

static void ask_on(int fd, const char *path, const char *headers, const char *body, struct answer *a) {
  post(fd, path, headers, body);
  hear(fd, a);
}

static void ask(const char *path, const char *headers, const char *body, int code, const char *says) {
  static struct answer a;
  int fd = dial();
  ask_on(fd, path, headers, body, &a);
  close(fd);
  if (a.code != code || !strstr(a.text, says))
    fail_msg("POST %s: not %d with \"%s\" but\n%s", path, code, says, a.text);
}

static void get(const char *method, const char *path, int code, const char *says) {
  static struct answer a;
  char text[256];
  int fd = dial(),
      n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
  say(fd, text, (size_t)n);
  hear(fd, &a);
  close(fd);
  if (a.code != code || !strstr(a.text, says))
    fail_msg("%s %s: not %d with \"%s\" but\n%s", method, path, code, says, a.text);
}

// Until `what` holds: what other threads bring about.
#define WAIT_FOR(what)                                                                                                 \
  for (int waited = 0; !(what); waited++) {                                                                            \
    if (waited > 20000) fail_msg("not in time: %s", #what);                                                            \
    usleep(1000);                                                                                                      \
  }

static uint64_t counter(_Atomic uint64_t *at) { return atomic_load_explicit(at, memory_order_relaxed); }

// ---- tests ----

static void test_pages(void **state) {
  (void)state;
  start();
  atomic_store(&house.is_ready, false);
  run_it();
  get("GET", "/healthz", 200, "ok\n");
  get("GET", "/readyz", 503, "starting\n");
  atomic_store(&house.is_ready, true);
  get("GET", "/readyz", 200, "ready\n");
  get("GET", "/readyz?x=1", 200, "ready\n");
  get("GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8");
  get("GET", "/metrics", 200, "intentd_ready 1");
  get("HEAD", "/healthz", 200, "");
  get("PUT", "/healthz", 405, "Allow: GET, HEAD");
  get("DELETE", "/metrics", 405, "\"code\":\"unknown_method\"");
  get("GET", "/", 404, "\"code\":\"not_found\"");
  get("GET", "/v1/track", 405, "Allow: POST, OPTIONS");
  get("OPTIONS", "/v1/batch", 204, "Access-Control-Allow-Origin: *");
  get("OPTIONS", "/v1/t", 204, "Access-Control-Allow-Headers: Authorization, Content-Type, Content-Encoding");
  get("OPTIONS", "/metrics", 405, "GET, HEAD");
  ask("/v1/source/crm", "", "{}", 404, "no source 'crm'");
  ask("/v2/track", "", "{}", 404, "\"retryable\":false");
  atomic_store(&house.is_stopping, true);
  get("GET", "/readyz", 503, "stopping\n");
  get("GET", "/healthz", 200, "ok\n");
  ask("/v1/track", "", "{\"userId\":\"u\"}", 503, "Retry-After: 1");
  stop();
  assert_true(counter(&counted[SHARDS].errors[-ITD_ESHUTDOWN]) == 1);
}

static void test_answers(void **state) {
  (void)state;
  start();
  run_it();
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"ok\"}", 200, "\r\n\r\n{\"success\":true}\n");
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"ok\"}", 200, "Access-Control-Allow-Origin: *");
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"bad\"}", 400, "{\"code\":\"invalid_event\",\"message\":");
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"bad\"}", 400, "bad for the test");
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"full\"}", 503, "\"code\":\"storage_full\"");
  ask("/v1/track", "", "{\"event\":\"bad\"}", 400, "invalid_event"); // names no partition: a shard refuses it
  ask("/v1/batch", "", "{\"batch\":[{\"userId\":\"u\",\"event\":\"ok\"},{\"userId\":\"v\",\"event\":\"ok\"}]}", 200,
      "{\"success\":true}\n");
  ask("/v1/batch", "", "{\"batch\":[{\"userId\":\"u\",\"event\":\"ok\"},{\"userId\":\"v\",\"event\":\"bad\"},7]}", 200,
      "{\"success\":true,\"refused\":[{\"index\":1,\"code\":\"invalid_event\"");
  ask("/v1/batch", "", "{\"batch\":[7,{\"userId\":\"u\",\"event\":\"ok\"}]}", 200, "\"refused\":[{\"index\":0,");
  ask("/v1/batch", "", "{\"batch\":[7,8]}", 400, "\"retryable\":false,\"refused\":[{\"index\":0,");
  ask("/v1/batch", "", "{\"batch\":[7,{\"userId\":\"u\",\"event\":\"ok\"},{\"userId\":\"u\",\"event\":\"full\"}]}", 503,
      "storage_full");
  assert_int_equal(atomic_load(&kept), 0);
  ask("/v1/batch", "", "{\"batch\":[}", 400, "\"code\":\"invalid_message\"");
  assert_int_equal(atomic_load(&kept), 1);
  assert_int_equal(kept_why.code, ITD_EFRAME);
  ask("/v1/track", "Content-Encoding: br\r\n", "x", 415, "Content-Encoding");
  ask("/v1/track", "Content-Encoding: gzip\r\n", "x", 400, "gzip");
  ask("/v1/track", "", "", 400, "invalid_message");
  stop();
  assert_true(counter(&counted[SHARDS].errors[-ITD_EEVENT]) >= 7);
}

static void test_keep_alive(void **state) {
  (void)state;
  static struct answer a;
  start();
  run_it();
  int fd = dial();
  for (int i = 0; i < 50; i++) {
    ask_on(fd, "/v1/page", "", "{\"userId\":\"u\",\"event\":\"ok\"}", &a);
    assert_int_equal(a.code, 200);
  }
  // Two at once, the second before the first one's answer.
  post(fd, "/v1/page", "", "{\"userId\":\"u\"}");
  post(fd, "/v2/page", "", "{}");
  hear(fd, &a);
  char *second = strstr(a.text + 8, "HTTP/1.1 ");
  if (!second) {
    assert_int_equal(a.code, 400);
    hear(fd, &a);
    assert_int_equal(a.code, 404);
  }
  close(fd);
  stop();
  assert_int_equal(counter(&counted[SHARDS].http_requests), 52);
  assert_int_equal(counter(&counted[SHARDS].answers), 52);
  assert_true(counter(&counted[SHARDS].bytes_read) > 50 * 80);
  assert_true(counter(&counted[SHARDS].bytes_written) > 50 * 80);
}

static void test_keys(void **state) {
  (void)state;
  start();
  settings.write_key[0] = (struct write_key){(char *)"abc", (char *)"web"};
  settings.write_key[1] = (struct write_key){(char *)"longer key", (char *)"app"};
  settings.write_key_count = 2;
  run_it();
  const char *event = "{\"userId\":\"u\",\"event\":\"ok\"}";
  ask("/v1/track", "", event, 401, "WWW-Authenticate: Basic");
  ask("/v1/track", "", event, 401, "\"code\":\"unauthorized\"");
  ask("/v1/track", "Authorization: Basic YWJjOg==\r\n", event, 200, "success");
  ask("/v1/track", "Authorization: Basic YWJkOg==\r\n", event, 401, "write key"); // abd
  ask("/v1/track", "Authorization: Basic YWI6\r\n", event, 401, "write key");     // ab
  ask("/v1/track", "Authorization: Bearer abc\r\n", event, 401, "Basic");
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"ok\",\"writeKey\":\"longer key\"}", 200, "success");
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"ok\",\"writeKey\":\"other\"}", 401, "write key");
  ask("/v1/batch", "", "{\"batch\":[{\"userId\":\"u\",\"event\":\"ok\"}],\"writeKey\":\"abc\"}", 200, "success");
  ask("/v1/track", "Authorization: Basic Og==\r\n", "{\"userId\":\"u\",\"event\":\"ok\",\"writeKey\":\"abc\"}", 200,
      "success");
  ask("/v1/track", "", "no json", 400, "invalid_message");
  assert_int_equal(atomic_load(&kept), 0); // a stranger's
  ask("/v1/track", "Authorization: Basic YWJjOg==\r\n", "no json", 400, "invalid_message");
  assert_int_equal(atomic_load(&kept), 1);
  get("GET", "/metrics", 200, "intentd_ready");
  get("OPTIONS", "/v1/track", 204, "");
  stop();
}

static void test_limits(void **state) {
  (void)state;
  start();
  house.limits.frame.bytes_max = 20000;
  house.limits.batch_max = 3;
  run_it();
  char *body = calloc(1, 200001);
  memset(body, ' ', 200000);
  body[20001] = 0;
  ask("/v1/track", "", body, 413, "\"code\":\"too_large\"");
  body[20001] = ' ';
  ask("/v1/track", "", body, 413, ""); // evhttp's own
  static struct answer a;
  int fd = dial();
  post(fd, "/v1/track", "Expect: 100-continue\r\n", "");
  hear(fd, &a);
  assert_int_equal(a.code, 400); // an empty body
  close(fd);
  fd = dial();
  say_text(fd, "POST /v1/track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  say_text(fd, "1f\r\n{\"userId\":\"u\",\"event\":\"ok\"    }\r\n0\r\n\r\n");
  hear(fd, &a);
  assert_int_equal(a.code, 200);
  close(fd);
  fd = dial(); // chunks without end
  say_text(fd, "POST /v1/track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; i++) {
    say_text(fd, "2710\r\n");
    say(fd, body, 10000);
    say_text(fd, "\r\n");
  }
  hear(fd, &a);
  assert_int_equal(a.code == 413 || a.code == 400 || a.code == 0, 1); // refused, or closed with the refusal unread
  close(fd);
  memset(body, 'h', 200000);
  fd = dial(); // a head without end
  say_text(fd, "GET /healthz HTTP/1.1\r\nX-Long: ");
  say(fd, body, 100000);
  hear(fd, &a);
  assert_true(a.code == 400 || a.code == 0);
  close(fd);
  ask("/v1/batch", "", "{\"batch\":[1,2,3,4]}", 413, "net.batch");
  get("GET", "/healthz", 200, "ok");
  free(body);
  stop();
}

// Without credits: 429, and room again when the answers are back. The others are answered meanwhile.
static void test_credits(void **state) {
  (void)state;
  start();
  house.limits.batch_max = ORIGIN_CREDITS;
  run_it();
  atomic_store(&is_holding, true);
  struct buf body = {0};
  buf_append_str(&body, "{\"batch\":[");
  for (int i = 0; i < ORIGIN_CREDITS; i++)
    buf_printf(&body, "%s{\"userId\":\"%c\",\"event\":\"%s\"}", i ? "," : "", 'a', i ? "ok" : "hold");
  buf_append_str(&body, "]}");
  buf_append_u8(&body, 0);
  int fd = dial();
  static struct answer a;
  post(fd, "/v1/batch", "", (char *)body.p);
  WAIT_FOR(counter(&counted[SHARDS].http_requests) == 1);
  buf_clear(&body);
  buf_append_str(&body, "{\"batch\":[");
  for (int i = 0; i < ORIGIN_CREDITS; i++) buf_printf(&body, "%s{\"userId\":\"a\",\"event\":\"ok\"}", i ? "," : "");
  buf_append_str(&body, "]}");
  buf_append_u8(&body, 0);
  ask("/v1/batch", "", (char *)body.p, 429, "Retry-After: 1");
  ask("/v1/batch", "", (char *)body.p, 429, "net.inflight");
  get("GET", "/healthz", 200, "ok");
  atomic_store(&is_holding, false);
  hear(fd, &a);
  assert_int_equal(a.code, 200);
  ask("/v1/batch", "", (char *)body.p, 200, "success");
  close(fd);
  buf_deinit(&body);
  stop();
}

// An answer that does not come: 503 after a while; the late answer of the shard is then nobody's.
static void test_slow_shard(void **state) {
  (void)state;
  start();
  run_it();
  atomic_store(&is_holding, true);
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"hold\"}", 503, "same messageId");
  atomic_store(&is_holding, false);
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"hold\"}", 200, "success");
  stop();
}

// A client that leaves before its answer.
static void test_gone_client(void **state) {
  (void)state;
  start();
  run_it();
  atomic_store(&is_holding, true);
  for (int i = 0; i < 20; i++) {
    int fd = dial();
    post(fd, "/v1/track", "", "{\"userId\":\"u\",\"event\":\"hold\"}");
    WAIT_FOR(counter(&counted[SHARDS].http_requests) == (uint64_t)i + 1);
    if (i % 2) {
      struct linger hard = {.l_onoff = 1};
      CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard) == 0);
    }
    close(fd);
  }
  atomic_store(&is_holding, false);
  WAIT_FOR(counter(&counted[SHARDS].answers) == 20);
  ask("/v1/track", "", "{\"userId\":\"u\",\"event\":\"ok\"}", 200, "success");
  WAIT_FOR(counter(&counted[SHARDS].connections_closed) == 21);
  stop();
}

// More connections than allowed wait to be accepted, and are served when others end.
static void test_connections(void **state) {
  (void)state;
  enum { MOST = 4 };
  start();
  house.limits.connections_max = MOST;
  run_it();
  static struct answer a;
  int fd[MOST];
  for (int i = 0; i < MOST; i++) {
    fd[i] = dial();
    ask_on(fd[i], "/v1/track", "", "{\"userId\":\"u\",\"event\":\"ok\"}", &a);
    assert_int_equal(a.code, 200);
  }
  int waits = dial();
  post(waits, "/v1/track", "", "{\"userId\":\"u\",\"event\":\"ok\"}");
  struct pollfd quiet = {.fd = waits, .events = POLLIN};
  assert_int_equal(poll(&quiet, 1, 300), 0);
  assert_int_equal(counter(&counted[SHARDS].connections_opened), MOST);
  assert_true(counter(&counted[SHARDS].reads_paused) >= 1);
  close(fd[0]);
  hear(waits, &a);
  assert_int_equal(a.code, 200);
  close(waits);
  for (int i = 1; i < MOST; i++) close(fd[i]);
  for (int i = 0; i < 200; i++) get("GET", "/healthz", 200, "ok"); // each with a connection of its own
  stop();
  assert_int_equal(counter(&counted[SHARDS].connections_opened), counter(&counted[SHARDS].connections_closed));
}

// A request that trickles in is cut off; one that waits for its answer, or an idle connection that then speaks, is not.
static void test_stalled(void **state) {
  (void)state;
  start();
  house.limits.stall_ms = 600;
  run_it();
  static struct answer a;
  int slow = dial();
  say_text(slow, "POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
  ssize_t got = -1;
  for (int i = 0; i < 200; i++) { // a byte each 50 ms keeps every timeout between two bytes quiet
    say_text(slow, " ");
    char byte;
    struct pollfd closed = {.fd = slow, .events = POLLIN};
    if (poll(&closed, 1, 50) == 1) {
      got = recv(slow, &byte, 1, 0);
      break;
    }
  }
  assert_true(got == 0 || errno == ECONNRESET);
  close(slow);
  assert_int_equal(counter(&counted[SHARDS].connections_stalled), 1);
  atomic_store(&is_holding, true);
  int waits = dial();
  post(waits, "/v1/track", "", "{\"userId\":\"u\",\"event\":\"hold\"}");
  usleep(1500000);
  atomic_store(&is_holding, false);
  hear(waits, &a);
  assert_int_equal(a.code, 200);
  close(waits);
  stop();
  assert_int_equal(counter(&counted[SHARDS].connections_stalled), 1);
}

// A stop waits for what is under way, and lets the answer out.
static void *release_later(void *arg) {
  (void)arg;
  usleep(300000);
  atomic_store(&is_holding, false);
  return NULL;
}

static void test_stop(void **state) {
  (void)state;
  static struct answer a;
  pthread_t later;
  start();
  run_it();
  atomic_store(&is_holding, true);
  int fd = dial(), idle = dial();
  ask_on(idle, "/v1/track", "", "{\"userId\":\"u\",\"event\":\"ok\"}", &a);
  post(fd, "/v1/track", "", "{\"userId\":\"u\",\"event\":\"hold\"}");
  WAIT_FOR(counter(&counted[SHARDS].http_requests) == 2);
  atomic_store(&house.is_stopping, true);
  CHECK(pthread_create(&later, NULL, release_later, NULL) == 0);
  stop();
  pthread_join(later, NULL);
  hear(fd, &a);
  assert_int_equal(a.code, 200);
  assert_non_null(strstr(a.text, "Connection: close"));
  char byte;
  assert_int_equal(recv(idle, &byte, 1, 0), 0);
  close(fd);
  close(idle);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pages),      cmocka_unit_test(test_answers),     cmocka_unit_test(test_keep_alive),
      cmocka_unit_test(test_keys),       cmocka_unit_test(test_limits),      cmocka_unit_test(test_credits),
      cmocka_unit_test(test_slow_shard), cmocka_unit_test(test_gone_client), cmocka_unit_test(test_connections),
      cmocka_unit_test(test_stalled),    cmocka_unit_test(test_stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
