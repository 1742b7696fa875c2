// What the endpoints that take events have in common: a request waits for its events, is answered when all of them are
// back, is refused and kept in quarantine.
#include "base/check.h"
#include "net/http_private.h"
#include "net/segment.h"
#include "wire/rpc.h"

#include <event2/buffer.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

#define ANSWER_MS    5000 // the libraries wait 10 s and more
#define REFUSALS_MAX 64
#define REFUSAL_MAX  4096

struct exchange *exchange_new(struct http *http, struct evhttp_request *request, enum exchange_kind kind) {
  struct exchange *x = xcalloc(1, sizeof *x);
  *x = (struct exchange){
      .http = http, .request = request, .kind = kind, .started_ns = clock_mono_ns(), .next = http->exchanges};
  if (x->next) x->next->previous = x;
  http->exchanges = x;
  return x;
}

void exchange_free(struct exchange *x) {
  http_source_forget(x->source);
  if (x->next) x->next->previous = x->previous;
  if (x->previous)
    x->previous->next = x->next;
  else
    x->http->exchanges = x->next;
  free(x);
}

void http_exchange_expire(struct http *http, bool all) {
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
void exchange_put_refused(struct buf *out, uint32_t index, const struct error *err) {
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
    if (request->task[i]->status < 0) exchange_put_refused(out, i, &request->task[i]->error);
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
  mp_put_map(&out, mp_next(&m).count + (x->kind == EXCHANGE_BATCH ? 1 : 0));
  buf_append(&out, m.p, (size_t)(m.end - m.p));
  if (x->kind == EXCHANGE_BATCH) {
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
    if (x->source)
      http_source_answer(x, request, count, refused, again);
    else if (again)
      http_answer_error(http, x->request, HTTP_SERVUNAVAIL, again); // what was taken is found by its messageId
    else if (refused < count)
      answer_taken(x, request, count, refused);
    else
      answer_refused(x, request, count);
  }
  exchange_free(x);
}

// ---- sending ----

struct request *exchange_tasks(struct exchange *x, uint32_t count) {
  return request_new(count + 1, done, x); // one more, so that `done` waits until all are sent
}

void exchange_send(struct exchange *x, struct request *request, uint32_t slot, struct bytes event,
                   int64_t received_ms) {
  struct http *http = x->http;
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

// ---- bodies that are no messages ----

struct refusals {
  struct http *http;
  size_t count;
  struct http_refusal refusal[];
};

static void keep_refusals(struct shard *shard, void *context) {
  struct refusals *refusals = context;
  for (size_t i = 0; i < refusals->count; i++) {
    struct http_refusal *refusal = &refusals->refusal[i];
    shard_quarantine(shard, &refusal->error, buf_bytes(&refusal->bytes));
    buf_deinit(&refusal->bytes);
  }
  atomic_fetch_sub(&refusals->http->refusals, 1);
  free(refusals);
}

// To a shard's quarantine. Those that come faster than a shard writes are answered, but not kept.
void http_quarantine_all(struct http *http, struct http_refusal *refusal, size_t count) {
  bool is_full = atomic_load(&http->refusals) >= REFUSALS_MAX;
  for (size_t i = 0; is_full && i < count; i++) buf_deinit(&refusal[i].bytes);
  if (is_full || count == 0) return;
  atomic_fetch_add(&http->refusals, 1);
  struct refusals *refusals = xcalloc(1, sizeof *refusals + count * sizeof *refusal);
  *refusals = (struct refusals){.http = http, .count = count};
  memcpy(refusals->refusal, refusal, count * sizeof *refusal);
  shard_post(http->daemon->threads[http->turn++ % http->daemon->shards], keep_refusals, refusals);
}

void http_quarantine(struct http *http, const struct error *err, struct bytes body) {
  struct http_refusal one = {.error = *err};
  buf_append(&one.bytes, body.p, body.n < REFUSAL_MAX ? body.n : REFUSAL_MAX);
  http_quarantine_all(http, &one, 1);
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

int http_check_key(const struct config *config, struct bytes key, const char **source, struct error *err) {
  *source = source_of(config, key);
  return *source ? 0 : error_set(err, ITD_EAUTH, "the write key is not one of those that the option write_key names");
}

int http_header_key(const struct config *config, struct evhttp_request *request, const char **source,
                    struct error *err) {
  const char *header = evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");
  *source = NULL;
  if (!config->write_key_count || !header) return 0;
  struct buf key = {0};
  int status = segment_basic(bytes_str(header), &key, err);
  if (status == 0 && key.n) status = http_check_key(config, buf_bytes(&key), source, err);
  buf_deinit(&key);
  return status;
}

// ---- bodies ----

int http_unzip(struct evhttp_request *request, size_t max, struct bytes *bytes, struct buf *plain, struct error *err) {
  const char *encoding = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Encoding");
  if (!encoding || strcasecmp(encoding, "identity") == 0) return 0;
  if (strcasecmp(encoding, "gzip") != 0 && strcasecmp(encoding, "x-gzip") != 0)
    return error_set(err, ITD_EINVAL, "Content-Encoding \"%.40s\" is not read here; send gzip, or the body as it is",
                     encoding);
  int status = segment_gunzip(*bytes, max, plain, err);
  if (status == 0) *bytes = buf_bytes(plain);
  return status;
}

int http_code_of(int status) {
  return status == ITD_EINVAL ? 415 : status == ITD_ETOOBIG ? HTTP_ENTITYTOOLARGE : HTTP_BADREQUEST;
}

void http_fail(struct http *http, struct evhttp_request *request, int code, const struct error *err) {
  metrics_error(http->metrics, err->code);
  http_answer_error(http, request, code, err);
}
