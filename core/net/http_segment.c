// The Segment endpoints: a request's messages become tasks for the shards, and its answer leaves when all of them are
// back.
#include "net/http_private.h"
#include "net/segment.h"
#include "wire/rpc.h"

#include "base/check.h"
#include "base/log.h"

#include <event2/buffer.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

#define ANSWER_MS    5000 // the libraries wait 10 s and more
#define REFUSALS_MAX 64
#define REFUSAL_MAX  4096

// A request that waits for its events. It outlives its answer when that was given early: the tasks come back
// nevertheless.
struct exchange {
  struct http *http;
  struct evhttp_request *request; // NULL: answered
  bool is_batch;
  uint64_t started_ns;
  struct exchange *next, *previous;
};

static struct exchange *exchange_new(struct http *http, struct evhttp_request *request, bool is_batch) {
  struct exchange *x = xcalloc(1, sizeof *x);
  *x = (struct exchange){
      .http = http, .request = request, .is_batch = is_batch, .started_ns = clock_mono_ns(), .next = http->exchanges};
  if (x->next) x->next->previous = x;
  http->exchanges = x;
  return x;
}

static void exchange_free(struct exchange *x) {
  if (x->next) x->next->previous = x->previous;
  if (x->previous)
    x->previous->next = x->next;
  else
    x->http->exchanges = x->next;
  free(x);
}

void http_segment_expire(struct http *http, bool all) {
  uint64_t now_ns = clock_mono_ns();
  for (struct exchange *x = http->exchanges; x; x = x->next) {
    if (!x->request || (!all && now_ns - x->started_ns < ANSWER_MS * 1000000ull)) continue;
    struct error err = {0};
    error_set(&err, ITD_EBUSY,
              "no answer within %d ms; what became of it is not known yet: send it again, with the same messageId",
              ANSWER_MS);
    metrics_error(http->metrics, err.code);
    http_answer_error(http, x->request, HTTP_SERVUNAVAIL, &err);
    x->request = NULL;
  }
}

// ---- the answer ----

// A refused message: its place in the batch and its error.
static void put_refused(struct buf *out, uint32_t index, const struct error *err) {
  struct buf error = {0};
  error_put(&error, err);
  struct mp m = mp_of(buf_bytes(&error));
  mp_put_map(out, mp_next(&m).count + 1);
  mp_put_cstr(out, "index");
  mp_put_uint(out, index);
  buf_append(out, m.p, (size_t)(m.end - m.p));
  buf_deinit(&error);
}

static void put_all_refused(struct buf *out, const struct request *request, uint32_t count, uint32_t refused) {
  mp_put_array(out, refused);
  for (uint32_t i = 0; i < count; i++)
    if (request->task[i]->status < 0) put_refused(out, i, &request->task[i]->error);
}

// Some or all were taken: as Segment answers, and which were not.
static void answer_taken(struct exchange *x, const struct request *request, uint32_t count, uint32_t refused) {
  struct buf out = {0};
  mp_put_map(&out, refused ? 2 : 1);
  mp_put_cstr(&out, "success");
  mp_put_bool(&out, true);
  if (refused) {
    mp_put_cstr(&out, "refused");
    put_all_refused(&out, request, count, refused);
  }
  http_answer_value(x->http, x->request, HTTP_OK, buf_bytes(&out));
  buf_deinit(&out);
}

// None was: the first one's error, and for a batch all of them.
static void answer_refused(struct exchange *x, const struct request *request, uint32_t count) {
  struct buf error = {0}, out = {0};
  error_put(&error, &request->task[0]->error);
  struct mp m = mp_of(buf_bytes(&error));
  mp_put_map(&out, mp_next(&m).count + x->is_batch);
  buf_append(&out, m.p, (size_t)(m.end - m.p));
  if (x->is_batch) {
    mp_put_cstr(&out, "refused");
    put_all_refused(&out, request, count, count);
  }
  http_answer_value(x->http, x->request, HTTP_BADREQUEST, buf_bytes(&out));
  buf_deinit(&error);
  buf_deinit(&out);
}

static void done(struct request *request) {
  struct exchange *x = request->owner;
  struct http *http = x->http;
  uint32_t count = request->count - 1, refused = 0;
  const struct error *again = NULL;
  for (uint32_t i = 0; i < count; i++) {
    const struct task *task = request->task[i];
    if (task->status == 0) continue;
    metrics_error(http->metrics, task->status);
    refused++;
    if (status_retryable(task->status)) again = &task->error;
  }
  if (x->request) {
    hist_add(&http->metrics->hop_answer, clock_mono_ns() - x->started_ns);
    if (again)
      http_answer_error(http, x->request, HTTP_SERVUNAVAIL, again); // what was taken is found by its messageId
    else if (refused < count)
      answer_taken(x, request, count, refused);
    else
      answer_refused(x, request, count);
  }
  exchange_free(x);
}

// ---- bodies that are no messages ----

struct refusal {
  struct http *http;
  struct error error;
  struct buf bytes;
};

static void keep_refusal(struct shard *shard, void *context) {
  struct refusal *refusal = context;
  shard_quarantine(shard, &refusal->error, buf_bytes(&refusal->bytes));
  buf_deinit(&refusal->bytes);
  atomic_fetch_sub(&refusal->http->refusals, 1);
  free(refusal);
}

// The head of the body goes to a shard's quarantine. Those that come faster than a shard writes are answered, but not
// kept.
static void quarantine(struct http *http, const struct error *err, struct bytes body) {
  if (atomic_load(&http->refusals) >= REFUSALS_MAX) return;
  atomic_fetch_add(&http->refusals, 1);
  struct refusal *refusal = xcalloc(1, sizeof *refusal);
  *refusal = (struct refusal){.http = http, .error = *err};
  buf_append(&refusal->bytes, body.p, body.n < REFUSAL_MAX ? body.n : REFUSAL_MAX);
  shard_post(http->daemon->threads[http->turn++ % http->daemon->shards], keep_refusal, refusal);
}

// ---- write keys ----

// The source of a key. Compared without telling by the time it takes how much of a guess was right.
static const char *source_of(const struct config *config, struct bytes key) {
  const char *source = NULL;
  for (size_t i = 0; i < config->write_key_count; i++) {
    struct bytes known = bytes_str(config->write_key[i].key);
    if (known.n == key.n && sodium_memcmp(known.p, key.p, key.n) == 0) source = config->write_key[i].source;
  }
  return source;
}

static int check_key(const struct config *config, struct bytes key, const char **source, struct error *err) {
  *source = source_of(config, key);
  return *source ? 0 : error_set(err, ITD_EAUTH, "the write key is not one of those that the option write_key names");
}

// *source NULL: no keys are configured, or the header has none and the body must.
static int read_header_key(const struct config *config, struct evhttp_request *request, const char **source,
                           struct error *err) {
  const char *header = evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");
  *source = NULL;
  if (!config->write_key_count || !header) return 0;
  struct buf key = {0};
  int status = segment_basic(bytes_str(header), &key, err);
  if (status == 0 && key.n) status = check_key(config, buf_bytes(&key), source, err);
  buf_deinit(&key);
  return status;
}

static int read_body_key(const struct config *config, const struct segment_body *body, const char **source,
                         struct error *err) {
  if (!config->write_key_count || *source) return 0;
  if (!body->write_key.n)
    return error_set(err, ITD_EAUTH,
                     "no write key: send it as the user of basic authentication, or as writeKey in the body");
  return check_key(config, body->write_key, source, err);
}

// ---- taking a request ----

static int unzip(struct evhttp_request *request, size_t max, struct bytes *bytes, struct buf *plain,
                 struct error *err) {
  const char *encoding = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Encoding");
  if (!encoding || strcasecmp(encoding, "identity") == 0) return 0;
  if (strcasecmp(encoding, "gzip") != 0 && strcasecmp(encoding, "x-gzip") != 0)
    return error_set(err, ITD_EINVAL, "Content-Encoding \"%.40s\" is not read here; send gzip, or the body as it is",
                     encoding);
  int status = segment_gunzip(*bytes, max, plain, err);
  if (status == 0) *bytes = buf_bytes(plain);
  return status;
}

static void send_message(struct http *http, struct request *request, uint32_t slot, struct bytes event,
                         int64_t received_ms) {
  struct daemon *daemon = http->daemon;
  struct task *task = task_new(TASK_EVENT, event, received_ms);
  struct error err = {0};
  task->request = request;
  request->task[slot] = task;
  // An event that names no partition goes to any shard, which finds the same fault and keeps it in its quarantine.
  unsigned shard = http->turn % daemon->shards;
  if (intake_route(daemon->store, &daemon->intake, event, received_ms, &task->partition, &err) == 0)
    shard = store_shard_of(daemon->store, task->partition);
  else
    http->turn++;
  CHECK(origin_send(http->origin, shard, task));
}

static void send_messages(struct http *http, struct evhttp_request *request, struct segment_body *body,
                          const char *source) {
  struct exchange *x = exchange_new(http, request, body->endpoint == SEGMENT_BATCH);
  struct request *tasks = request_new(body->count + 1, done, x); // one more, so that `done` waits for the loop's end
  int64_t received_ms = clock_wall_ms();
  struct buf event = {0};
  for (uint32_t i = 0; segment_next(body, source, &event); i++) {
    send_message(http, tasks, i, buf_bytes(&event), received_ms);
    buf_clear(&event);
  }
  buf_deinit(&event);
  request_settle(tasks);
}

static void fail(struct http *http, struct evhttp_request *request, int code, const struct error *err) {
  metrics_error(http->metrics, err->code);
  http_answer_error(http, request, code, err);
}

static void take(struct http *http, struct evhttp_request *request, struct segment_body *body, const char *source) {
  struct error err = {0};
  if (read_body_key(http->daemon->config, body, &source, &err) < 0) {
    fail(http, request, 401, &err);
  } else if (origin_room(http->origin) < body->count) {
    metrics_add(&http->metrics->reads_paused, 1);
    error_set(&err, ITD_EBUSY,
              "%zu events are under way to a shard; this request's %u find no room (net.inflight): send it again later",
              ORIGIN_CREDITS - origin_room(http->origin), body->count);
    fail(http, request, 429, &err);
  } else {
    send_messages(http, request, body, source);
  }
}

void http_segment(struct http *http, struct evhttp_request *request, int endpoint) {
  const struct daemon *daemon = http->daemon;
  const struct mp_limits *limits = &daemon->limits.frame;
  struct error err = {0};
  const char *source;
  if (read_header_key(daemon->config, request, &source, &err) < 0) {
    fail(http, request, 401, &err);
    return;
  }
  struct evbuffer *input = evhttp_request_get_input_buffer(request);
  struct bytes bytes = bytes_of(NULL, evbuffer_get_length(input));
  if (bytes.n > limits->bytes_max) {
    error_set(&err, ITD_ETOOBIG, "a body of %zu bytes; at most %zu (frame.bytes)", bytes.n, limits->bytes_max);
    fail(http, request, HTTP_ENTITYTOOLARGE, &err);
    return;
  }
  if (bytes.n) bytes.p = evbuffer_pullup(input, -1);
  struct buf plain = {0};
  struct segment_body body = {0};
  int status = unzip(request, limits->bytes_max, &bytes, &plain, &err);
  if (status == 0) status = segment_read(endpoint, bytes, limits, daemon->limits.batch_max, &body, &err);
  if (status < 0) {
    // What a stranger sends is refused, but not kept.
    if (source || !daemon->config->write_key_count) quarantine(http, &err, bytes);
    fail(http, request,
         status == ITD_EINVAL    ? 415
         : status == ITD_ETOOBIG ? HTTP_ENTITYTOOLARGE
                                 : HTTP_BADREQUEST,
         &err);
  } else {
    take(http, request, &body, source);
    segment_deinit(&body);
  }
  buf_deinit(&plain);
}
