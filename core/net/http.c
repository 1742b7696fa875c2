#include "net/http.h"

#include "base/check.h"
#include "base/log.h"
#include "net/http_private.h"
#include "net/prometheus.h"
#include "net/segment.h"
#include "wire/rpc.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <unistd.h>

#define HEADERS_MAX (16 << 10)
#define TICK_MS     100
#define STOP_MS     5000 // how long a stop waits for what is under way, and for its answers to be read

// ---- answers ----

// evhttp's own list of reasons ends before some of these.
static const char *reason_of(int code) {
  switch (code) {
  case 415: return "Unsupported Media Type";
  case 429: return "Too Many Requests";
  default: return NULL;
  }
}

void http_answer(struct http *http, struct evhttp_request *request, int code, const char *type, struct bytes body) {
  struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
  if (type) evhttp_add_header(headers, "Content-Type", type);
  if (http->stop_ns) evhttp_add_header(headers, "Connection", "close");
  struct evbuffer *out = evbuffer_new();
  if (!out) out_of_memory(0);
  if (body.n && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD) CHECK(evbuffer_add(out, body.p, body.n) == 0);
  metrics_add(&http->metrics->answers, 1);
  evhttp_send_reply(request, code, reason_of(code), out);
  evbuffer_free(out);
}

static void answer_text(struct http *http, struct evhttp_request *request, int code, const char *text) {
  http_answer(http, request, code, "text/plain; charset=utf-8", bytes_str(text));
}

void http_answer_value(struct http *http, struct evhttp_request *request, int code, struct bytes value) {
  struct buf json = {0};
  mp_to_json(value, &json);
  buf_append_u8(&json, '\n');
  http_answer(http, request, code, "application/json", buf_bytes(&json));
  buf_deinit(&json);
}

void http_answer_error(struct http *http, struct evhttp_request *request, int code, const struct error *err) {
  struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
  if (code == 429 || code == HTTP_SERVUNAVAIL) evhttp_add_header(headers, "Retry-After", "1");
  if (code == 401) evhttp_add_header(headers, "WWW-Authenticate", "Basic realm=\"intentd write key\"");
  struct buf value = {0};
  error_put(&value, err);
  http_answer_value(http, request, code, buf_bytes(&value));
  buf_deinit(&value);
}

// ---- routes ----

static bool is_stopping(const struct http *http) { return http->stop_ns || atomic_load(&http->daemon->is_stopping); }

static void get_healthz(struct http *http, struct evhttp_request *request) {
  answer_text(http, request, HTTP_OK, "ok\n");
}

static void answer_trouble(struct http *http, struct evhttp_request *request) {
  unsigned shard = 0;
  struct error why = {0};
  if (!daemon_get_trouble(http->daemon, &shard, &why)) { // it has just passed
    answer_text(http, request, HTTP_OK, "ready\n");
    return;
  }
  struct buf text = {0};
  buf_printf(&text, "%s: shard %u: %s\n", status_code(why.code), shard, why.text);
  http_answer(http, request, HTTP_SERVUNAVAIL, "text/plain; charset=utf-8", buf_bytes(&text));
  buf_deinit(&text);
}

static void get_readyz(struct http *http, struct evhttp_request *request) {
  if (is_stopping(http))
    answer_text(http, request, HTTP_SERVUNAVAIL, "stopping\n");
  else if (!atomic_load(&http->daemon->is_ready))
    answer_text(http, request, HTTP_SERVUNAVAIL, "starting\n");
  else if (atomic_load(&http->daemon->unavailable_shards))
    answer_trouble(http, request);
  else if (atomic_load(&http->daemon->paused_shards))
    answer_text(http, request, HTTP_SERVUNAVAIL,
                "intake is paused: the checkpoint must catch up, or messages must get away\n");
  else
    answer_text(http, request, HTTP_OK, "ready\n");
}

static void get_metrics(struct http *http, struct evhttp_request *request) {
  struct buf text = {0};
  daemon_metrics(http->daemon, &text);
  http_answer(http, request, HTTP_OK, PROMETHEUS_TYPE, buf_bytes(&text));
  buf_deinit(&text);
}

static const struct page {
  const char *path;
  void (*get)(struct http *http, struct evhttp_request *request);
} pages[] = {{"/healthz", get_healthz}, {"/readyz", get_readyz}, {"/metrics", get_metrics}};

static void refuse_method(struct http *http, struct evhttp_request *request, struct bytes path, const char *allowed) {
  struct error err = {0};
  evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", allowed);
  error_set(&err, ITD_EMETHOD, "%.*s takes %s", (int)(path.n > 80 ? 80 : path.n), (const char *)path.p, allowed);
  http_fail(http, request, HTTP_BADMETHOD, &err);
}

// What browsers ask before they let the page's own script send a write key.
static void answer_preflight(struct http *http, struct evhttp_request *request) {
  struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Access-Control-Allow-Methods", "POST, OPTIONS");
  evhttp_add_header(headers, "Access-Control-Allow-Headers", "Authorization, Content-Type, Content-Encoding");
  evhttp_add_header(headers, "Access-Control-Max-Age", "86400");
  http_answer(http, request, HTTP_NOCONTENT, NULL, (struct bytes){0});
}

static void serve_endpoint(struct http *http, struct evhttp_request *request, struct bytes path, int endpoint) {
  evhttp_add_header(evhttp_request_get_output_headers(request), "Access-Control-Allow-Origin", "*");
  struct error err = {0};
  enum evhttp_cmd_type method = evhttp_request_get_command(request);
  if (method == EVHTTP_REQ_OPTIONS) {
    answer_preflight(http, request);
  } else if (method != EVHTTP_REQ_POST) {
    refuse_method(http, request, path, "POST, OPTIONS");
  } else if (is_stopping(http)) {
    error_set(&err, ITD_ESHUTDOWN, "the daemon is stopping: send this again");
    http_fail(http, request, HTTP_SERVUNAVAIL, &err);
  } else {
    http_segment(http, request, endpoint);
  }
}

// Other systems' servers, not browsers: no cross-origin headers.
static void serve_source(struct http *http, struct evhttp_request *request, struct bytes path) {
  struct error err = {0};
  if (evhttp_request_get_command(request) != EVHTTP_REQ_POST) {
    refuse_method(http, request, path, "POST");
  } else if (is_stopping(http)) {
    error_set(&err, ITD_ESHUTDOWN, "the daemon is stopping: send this again");
    http_fail(http, request, HTTP_SERVUNAVAIL, &err);
  } else {
    http_source(http, request, path);
  }
}

static void refuse_path(struct http *http, struct evhttp_request *request, struct bytes path) {
  struct error err = {0};
  error_set(
      &err, ITD_ENOTFOUND,
      "nothing is at %.*s; there are POST /v1/track, identify, page, screen, group, alias, batch and source/NAME, "
      "and GET /metrics, /healthz and /readyz",
      (int)(path.n > 80 ? 80 : path.n), (const char *)path.p);
  http_fail(http, request, HTTP_NOTFOUND, &err);
}

static void on_request(struct evhttp_request *request, void *arg) {
  struct http *http = arg;
  metrics_add(&http->metrics->http_requests, 1);
  http_peers_arrived(http->peers, evhttp_connection_get_bufferevent(evhttp_request_get_connection(request)));
  struct bytes path = bytes_str(evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request)));
  int endpoint = segment_endpoint(path);
  if (endpoint >= 0) {
    serve_endpoint(http, request, path, endpoint);
    return;
  }
  if (http_is_source(path)) {
    serve_source(http, request, path);
    return;
  }
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
    if (!bytes_is(path, pages[i].path)) continue;
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD)
      pages[i].get(http, request);
    else
      refuse_method(http, request, path, "GET, HEAD");
    return;
  }
  refuse_path(http, request, path);
}

// ---- the loop ----

static void on_wake(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct http *http = arg;
  fabric_woken(http->daemon->fabric, http->index);
}

static void on_mapped(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct http *http = arg;
  mapper_collect(http->mapper);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct http *http = arg;
  http_exchange_expire(http, false);
  http_peers_sweep(http->peers, http->daemon->limits.stall_ms);
}

// True when everything that was under way is answered and written, or the time for it is over.
static bool is_over(struct http *http) {
  uint64_t now_ns = clock_mono_ns();
  if (!http->stop_ns) {
    http->stop_ns = now_ns + STOP_MS * 1000000ull;
    http_peers_close_listener(http->peers);
  }
  if (now_ns > http->stop_ns) {
    http_exchange_expire(http, true);
    return true;
  }
  return !http->exchanges && http_peers_are_flushed(http->peers);
}

static void *run(void *arg) {
  struct http *http = arg;
  pthread_setname_np(pthread_self(), "http");
  do {
    event_base_loop(http->base, EVLOOP_ONCE);
    origin_collect(http->origin);
    origin_flush(http->origin);
  } while (!atomic_load(&http->is_stopping) || !is_over(http));
  return NULL;
}

// ---- life ----

static struct evhttp *server_new(struct http *http, int fd) {
  const struct net_limits *limits = &http->daemon->limits;
  struct evhttp *server = evhttp_new(http->base);
  struct evconnlistener *listener = evconnlistener_new(http->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, fd);
  if (!server || !listener || !evhttp_bind_listener(server, listener)) out_of_memory(0);
  // Up to twice the bound a body is read, and refused with the error map; beyond, evhttp itself refuses it.
  size_t body_max = limits->frame.bytes_max * 2;
  http->peers = http_peers_new(listener, http->metrics, limits->connections_max, body_max + HEADERS_MAX);
  evhttp_set_bevcb(server, http_peers_accept, http->peers);
  evhttp_set_max_headers_size(server, HEADERS_MAX);
  evhttp_set_max_body_size(server, (ev_ssize_t)body_max);
  struct timeval idle = {.tv_sec = limits->stall_ms / 1000, .tv_usec = limits->stall_ms % 1000 * 1000};
  evhttp_set_timeout_tv(server, &idle);
  evhttp_set_allowed_methods(server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_OPTIONS |
                                         EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH);
  evhttp_set_gencb(server, on_request, http);
  return server;
}

struct http *http_start(struct daemon *daemon, int fd) {
  struct http *http = xcalloc(1, sizeof *http);
  http->daemon = daemon;
  http->index = daemon->shards;
  http->origin = fabric_origin(daemon->fabric, http->index);
  http->metrics = &daemon->metrics[http->index];
  http->base = event_base_new();
  if (!http->base) out_of_memory(0);
  http->server = server_new(http, fd);
  http->wake = event_new(http->base, fabric_wake_fd(daemon->fabric, http->index), EV_READ | EV_PERSIST, on_wake, http);
  http->tick = event_new(http->base, -1, EV_PERSIST, on_tick, http);
  http->mapper = mapper_start((size_t)daemon->config->source_queue);
  http->mapped = event_new(http->base, mapper_fd(http->mapper), EV_READ | EV_PERSIST, on_mapped, http);
  if (!http->wake || !http->tick || !http->mapped) out_of_memory(0);
  struct timeval tick = {.tv_usec = TICK_MS * 1000};
  event_add(http->wake, NULL);
  event_add(http->tick, &tick);
  event_add(http->mapped, NULL);
  CHECK(pthread_create(&http->thread, NULL, run, http) == 0);
  return http;
}

void http_stop(struct http *http) {
  atomic_store(&http->is_stopping, true);
  fabric_wake(http->daemon->fabric, http->index);
  pthread_join(http->thread, NULL);
  mapper_stop(http->mapper);
  mapper_collect(http->mapper);                      // their requests were answered when the time for them was over
  while (atomic_load(&http->refusals)) usleep(1000); // shards still run, and open their mail every turn
  evhttp_free(http->server);
  http_peers_free(http->peers);
  event_free(http->wake);
  event_free(http->tick);
  event_free(http->mapped);
  mapper_free(http->mapper);
  event_base_free(http->base);
  free(http);
}
