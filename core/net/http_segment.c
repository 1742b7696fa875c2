// The Segment endpoints: a request's messages become tasks for the shards, and its answer leaves when all of them are
// back.
#include "net/http_private.h"
#include "net/segment.h"

#include <event2/buffer.h>

// ---- write keys ----

// *source NULL: no keys are configured, or the header has none and the body must.
static int read_body_key(const struct config *config, const struct segment_body *body, const char **source,
                         struct error *err) {
  if (!config->write_key_count || *source) return 0;
  if (!body->write_key.n)
    return error_set(err, ITD_EAUTH,
                     "no write key: send it as the user of basic authentication, or as writeKey in the body");
  return http_check_key(config, body->write_key, source, err);
}

// ---- taking a request ----

static void send_messages(struct http *http, struct evhttp_request *request, struct segment_body *body,
                          const char *source) {
  struct exchange *x = exchange_new(http, request, body->endpoint == SEGMENT_BATCH ? EXCHANGE_BATCH : EXCHANGE_ONE);
  struct request *tasks = exchange_tasks(x, body->count);
  int64_t received_ms = clock_wall_ms();
  struct buf event = {0};
  for (uint32_t i = 0; segment_next(body, source, &event); i++) {
    exchange_send(x, tasks, i, buf_bytes(&event), received_ms);
    buf_clear(&event);
  }
  buf_deinit(&event);
  request_settle(tasks);
}

static void take(struct http *http, struct evhttp_request *request, struct segment_body *body, const char *source) {
  struct error err = {0};
  if (read_body_key(http->daemon->config, body, &source, &err) < 0) {
    http_fail(http, request, 401, &err);
  } else if (origin_room(http->origin) < body->count) {
    metrics_add(&http->metrics->reads_paused, 1);
    error_set(&err, ITD_EBUSY,
              "%zu events are under way to a shard; this request's %u find no room (net.inflight): send it again later",
              ORIGIN_CREDITS - origin_room(http->origin), body->count);
    http_fail(http, request, 429, &err);
  } else {
    send_messages(http, request, body, source);
  }
}

void http_segment(struct http *http, struct evhttp_request *request, int endpoint) {
  const struct daemon *daemon = http->daemon;
  const struct mp_limits *limits = &daemon->limits.frame;
  struct error err = {0};
  const char *source;
  if (http_header_key(daemon->config, request, &source, &err) < 0) {
    http_fail(http, request, 401, &err);
    return;
  }
  struct evbuffer *input = evhttp_request_get_input_buffer(request);
  struct bytes bytes = bytes_of(NULL, evbuffer_get_length(input));
  if (bytes.n > limits->bytes_max) {
    error_set(&err, ITD_ETOOBIG, "a body of %zu bytes; at most %zu (frame.bytes)", bytes.n, limits->bytes_max);
    http_fail(http, request, HTTP_ENTITYTOOLARGE, &err);
    return;
  }
  if (bytes.n) bytes.p = evbuffer_pullup(input, -1);
  struct buf plain = {0};
  struct segment_body body = {0};
  int status = http_unzip(request, limits->bytes_max, &bytes, &plain, &err);
  if (status == 0) status = segment_read(endpoint, bytes, limits, daemon->limits.batch_max, &body, &err);
  if (status < 0) {
    // What a stranger sends is refused, but not kept.
    if (source || !daemon->config->write_key_count) http_quarantine(http, &err, bytes);
    http_fail(http, request, http_code_of(status), &err);
  } else {
    take(http, request, &body, source);
    segment_deinit(&body);
  }
  buf_deinit(&plain);
}
