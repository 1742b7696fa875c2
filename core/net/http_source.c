// POST /v1/source/NAME: a payload of another system. It is authenticated by its bytes as they came, read, mapped on the
// mapper's thread under the edition in force, and its events take the way of all events; the answer leaves when they are
// durable.
#include "base/check.h"
#include "net/http_private.h"
#include "net/source_counts.h"
#include "store/quarantine_payload.h"
#include "wire/payload.h"
#include "wire/rpc.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <strings.h>

#define PATH_HEAD "/v1/source/"
enum { NAME_MAX_BYTES = 63 };

struct source_result {
  char name[NAME_MAX_BYTES + 1];
  struct buf refused, skipped; // packed maps
  uint32_t refused_count, skipped_count;
  uint32_t *place;    // of each event: its payload's
  struct error first; // of what the mapping refused
};

void http_source_forget(struct source_result *r) {
  if (!r) return;
  buf_deinit(&r->refused);
  buf_deinit(&r->skipped);
  free(r->place);
  free(r);
}

static void count(struct http *http, const struct source_result *r, enum source_count which, uint64_t n) {
  if (n) source_counts_add(http->daemon->source_counts, r->name, which, n);
}

// ---- the answer ----

static void put_lists(struct source_result *r, const struct request *tasks, uint32_t count, uint32_t refused,
                      struct buf *out) {
  if (refused + r->refused_count) {
    mp_put_cstr(out, "refused"), mp_put_array(out, refused + r->refused_count);
    buf_append_bytes(out, buf_bytes(&r->refused));
    for (uint32_t i = 0; i < count; i++)
      if (tasks->task[i]->status < 0) exchange_put_refused(out, r->place[i], &tasks->task[i]->error);
  }
  if (r->skipped_count) {
    mp_put_cstr(out, "skipped"), mp_put_array(out, r->skipped_count);
    buf_append_bytes(out, buf_bytes(&r->skipped));
  }
}

static uint32_t lists_of(const struct source_result *r, uint32_t refused) {
  return (uint32_t)(refused + r->refused_count > 0) + (r->skipped_count > 0);
}

static const struct error *first_error(const struct source_result *r, const struct request *tasks, uint32_t count) {
  if (r->first.code) return &r->first;
  for (uint32_t i = 0; i < count; i++)
    if (tasks->task[i]->status < 0) return &tasks->task[i]->error;
  return NULL;
}

void http_source_answer(struct exchange *x, const struct request *tasks, uint32_t count_of, uint32_t refused,
                        const struct error *again) {
  struct source_result *r = x->source;
  struct buf out = {0}, error = {0};
  bool is_taken = count_of > refused || (refused == 0 && r->refused_count == 0); // all skipped is taken, too
  count(x->http, r, SOURCE_EVENTS, count_of - refused);
  count(x->http, r, SOURCE_REFUSED, refused);
  if (again) {
    http_answer_error(x->http, x->request, HTTP_SERVUNAVAIL, again); // what was taken is found by its messageId
    return;
  }
  if (is_taken) {
    mp_put_map(&out, 2 + lists_of(r, refused));
    mp_put_cstr(&out, "success"), mp_put_bool(&out, true);
    mp_put_cstr(&out, "events"), mp_put_uint(&out, count_of - refused);
  } else {
    error_put(&error, first_error(r, tasks, count_of));
    struct mp m = mp_of(buf_bytes(&error));
    mp_put_map(&out, mp_next(&m).count + lists_of(r, refused));
    buf_append(&out, m.p, (size_t)(m.end - m.p));
  }
  put_lists(r, tasks, count_of, refused, &out);
  http_answer_value(x->http, x->request, is_taken ? HTTP_OK : HTTP_BADREQUEST, buf_bytes(&out));
  buf_deinit(&out);
  buf_deinit(&error);
}

// ---- what the mapping said ----

// [index, rule, text] and in a refusal [ids], taken apart.
static void read_entry(struct bytes entry, uint32_t *index, struct bytes *rule, struct bytes *text, struct bytes *who) {
  struct mp m = mp_of(entry);
  uint32_t parts = mp_next(&m).count;
  CHECK(parts >= 3);
  *index = (uint32_t)mp_next(&m).i;
  if (!mp_as_str(mp_take(&m), rule)) *rule = (struct bytes){0};
  if (!mp_as_str(mp_take(&m), text)) *text = BYTES_LIT("a reason that is no text");
  *who = parts > 3 ? mp_take(&m) : (struct bytes){0};
}

static uint32_t count_payloads(struct bytes payload) {
  struct mp_value head = mp_value_of(payload);
  return head.type == MP_ARRAY ? head.count : 1;
}

// The payloads of a request, taken one after the other: refusals come in their order.
struct payloads {
  struct mp at;
  uint32_t next; // the place of what stands there
  bool is_list;
  struct bytes whole;
};

static struct payloads payloads_of(struct bytes payload) {
  struct payloads p = {.at = mp_of(payload), .whole = payload};
  p.is_list = mp_peek(&p.at) == MP_ARRAY;
  if (p.is_list) (void)mp_next(&p.at);
  return p;
}

static struct bytes payload_at(struct payloads *p, uint32_t index) {
  if (!p->is_list) return p->whole;
  CHECK(index >= p->next);
  struct bytes one = mp_take(&p->at);
  while (p->next++ < index) one = mp_take(&p->at);
  return one;
}

// The piece as the quarantine keeps it. `who` (empty: not known) names it for a forgetting, since a payload need not hold an
// identity as it is: "hubspot-7" is made of the number 7.
static void keep(struct http_refusal *refusal, const char *source, struct bytes who, struct bytes payload,
                 const struct error *err) {
  const struct quarantine_payload kept = {.source = bytes_str(source), .who = who, .payload = payload};
  refusal->error = *err;
  quarantine_payload_put(&kept, &refusal->bytes);
}

static struct bytes list_of(struct bytes output, const char *key) {
  struct bytes list;
  CHECK(mp_find(output, bytes_str(key), &list));
  return list;
}

static void take_refused(struct http *http, struct source_result *r, struct bytes payload, struct bytes list) {
  struct mp m = mp_of(list);
  uint32_t total = mp_next(&m).count;
  struct http_refusal *kept = xcalloc(total + 1, sizeof *kept);
  size_t kept_count = 0;
  uint32_t last = UINT32_MAX;
  struct payloads payloads = payloads_of(payload);
  for (uint32_t i = 0; i < total; i++) {
    uint32_t index;
    struct bytes rule, text, who;
    struct error err = {0};
    read_entry(mp_take(&m), &index, &rule, &text, &who);
    quarantine_payload_why(ITD_EEVENT, r->name, rule, text, (struct bytes){0}, &err);
    metrics_error(http->metrics, err.code);
    if (i == 0) r->first = err;
    exchange_put_refused(&r->refused, index, &err);
    r->refused_count++;
    // Once, with the first of its reasons: the pieces of `each` are of the same payload.
    if (index != last) keep(&kept[kept_count++], r->name, who, payload_at(&payloads, index), &err);
    last = index;
  }
  http_quarantine_all(http, kept, kept_count);
  free(kept);
  count(http, r, SOURCE_REFUSED, total);
}

static void take_skipped(struct http *http, struct source_result *r, struct bytes list) {
  struct mp m = mp_of(list);
  uint32_t total = mp_next(&m).count;
  for (uint32_t i = 0; i < total; i++) {
    uint32_t index;
    struct bytes rule, text, who;
    read_entry(mp_take(&m), &index, &rule, &text, &who);
    mp_put_map(&r->skipped, 3);
    mp_put_cstr(&r->skipped, "index"), mp_put_uint(&r->skipped, index);
    mp_put_cstr(&r->skipped, "rule"), mp_put_str(&r->skipped, rule);
    mp_put_cstr(&r->skipped, "why"), mp_put_str(&r->skipped, text);
  }
  r->skipped_count = total;
  count(http, r, SOURCE_SKIPPED, total);
}

static void send_events(struct exchange *x, struct bytes list) {
  struct mp m = mp_of(list);
  uint32_t total = mp_next(&m).count;
  struct error err = {0};
  if (total == 0) {
    http_source_answer(x, NULL, 0, 0, NULL);
    exchange_free(x);
  } else if (origin_room(x->http->origin) < total) {
    metrics_add(&x->http->metrics->reads_paused, 1);
    error_set(&err, ITD_EBUSY, "too many events are under way to a shard for these %u (net.inflight): send them again",
              total);
    http_fail(x->http, x->request, 429, &err);
    exchange_free(x);
  } else {
    struct request *tasks = exchange_tasks(x, total);
    int64_t received_ms = clock_wall_ms();
    x->source->place = xcalloc(total, sizeof *x->source->place);
    for (uint32_t i = 0; i < total; i++) {
      (void)mp_next(&m); // [index, event]
      x->source->place[i] = (uint32_t)mp_next(&m).i;
      exchange_send(x, tasks, i, mp_take(&m), received_ms);
    }
    request_settle(tasks);
  }
}

// One by one, for which of them it was is not known, and each can then be replayed by itself.
static void keep_stopped(struct http *http, const struct mapper_job *job) {
  struct payloads payloads = payloads_of(buf_bytes(&job->payload));
  uint32_t total = count_payloads(buf_bytes(&job->payload));
  struct http_refusal *kept = xcalloc(total + 1, sizeof *kept);
  for (uint32_t i = 0; i < total; i++)
    keep(&kept[i], job->source, (struct bytes){0}, payload_at(&payloads, i), &job->error);
  http_quarantine_all(http, kept, total);
  free(kept);
}

// The mapping as a whole failed: it ran over its limits, or is broken.
static void answer_stopped(struct exchange *x, const struct mapper_job *job) {
  struct http *http = x->http;
  if (job->status != ITD_ESHUTDOWN) {
    keep_stopped(http, job);
    count(http, x->source, SOURCE_STOPPED, 1);
  }
  bool is_later = status_retryable(job->status);
  http_fail(http, x->request, is_later ? HTTP_SERVUNAVAIL : HTTP_BADREQUEST, &job->error);
  exchange_free(x);
}

static void mapped(struct mapper_job *job) {
  struct exchange *x = job->owner;
  struct bytes output = buf_bytes(&job->output);
  if (!x->request) { // it was told to send this again
    exchange_free(x);
  } else if (job->status < 0) {
    error_prefix(&job->error, "source %s", job->source);
    answer_stopped(x, job);
  } else {
    take_refused(x->http, x->source, buf_bytes(&job->payload), list_of(output, "refused"));
    take_skipped(x->http, x->source, list_of(output, "skipped"));
    send_events(x, list_of(output, "events"));
  }
  mapper_job_free(job);
}

// ---- reading ----

// As the header says; but what begins as JSON is JSON: curl calls everything a form.
static bool is_form(struct evhttp_request *request, struct bytes body) {
  const char *type = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
  const char *form = "application/x-www-form-urlencoded";
  if (!type || strncasecmp(type, form, strlen(form)) != 0) return false;
  size_t i = 0;
  while (i < body.n && body.p[i] && strchr(" \t\r\n", body.p[i])) i++;
  return i == body.n || (body.p[i] != '{' && body.p[i] != '[');
}

static int read_payload(struct http *http, struct evhttp_request *request, struct bytes body, struct buf *payload,
                        struct error *err) {
  const struct net_limits *limits = &http->daemon->limits;
  struct buf plain = {0};
  int status = http_unzip(request, limits->frame.bytes_max, &body, &plain, err);
  if (status == 0)
    status = is_form(request, body) ? payload_from_form(body, &limits->frame, payload, err)
                                    : mp_from_json(body, &limits->frame, payload, err);
  buf_deinit(&plain);
  if (status < 0) {
    error_prefix(err, "the body");
    return status;
  }
  enum mp_type type = mp_value_of(buf_bytes(payload)).type;
  uint32_t total = count_payloads(buf_bytes(payload));
  if (type != MP_MAP && type != MP_ARRAY)
    return error_set(err, ITD_EEVENT, "the body must be a JSON object, or a list of them");
  if (total == 0) return error_set(err, ITD_EEVENT, "the body is an empty list");
  if (total > limits->batch_max)
    return error_set(err, ITD_ETOOBIG, "a list of %u payloads; at most %u (net.batch)", total, limits->batch_max);
  return 0;
}

static void submit(struct http *http, struct evhttp_request *request, struct edition *edition, const char *source,
                   struct buf *payload) {
  struct exchange *x = exchange_new(http, request, EXCHANGE_SOURCE);
  struct mapper_job *job = xcalloc(1, sizeof *job);
  x->source = xcalloc(1, sizeof *x->source);
  snprintf(x->source->name, sizeof x->source->name, "%s", source);
  edition_retain(edition);
  *job = (struct mapper_job){.edition = edition,
                             .source = source,
                             .payload = *payload,
                             .events_max = http->daemon->limits.batch_max,
                             .done = mapped,
                             .owner = x};
  *payload = (struct buf){0};
  uint32_t payloads = count_payloads(buf_bytes(&job->payload));
  if (mapper_submit(http->mapper, job)) {
    source_counts_add(http->daemon->source_counts, source, SOURCE_PAYLOADS, payloads);
    return;
  }
  struct error err = {0};
  metrics_add(&http->metrics->reads_paused, 1);
  error_set(&err, ITD_EBUSY, "too many requests wait to be mapped (source.queue): send this again later");
  http_fail(http, request, 429, &err);
  exchange_free(x);
  mapper_job_free(job);
}

// ---- who sends ----

static void put_url(struct http *http, struct evhttp_request *request, struct buf *url) {
  const char *host = evhttp_find_header(evhttp_request_get_input_headers(request), "Host");
  const char *base = http->daemon->config->public_url, *uri = evhttp_request_get_uri(request);
  size_t n = strlen(base);
  while (n && base[n - 1] == '/') n--;
  if (n)
    buf_append(url, base, n);
  else
    buf_printf(url, "https://%s", host ? host : "");
  if (uri[0] != '/') uri = strstr(uri, "://") ? strchr(strstr(uri, "://") + 3, '/') : NULL; // an absolute one
  buf_append_str(url, uri ? uri : "/");
}

static int check_signature(struct http *http, struct evhttp_request *request, const struct edition *edition,
                           const struct source_info *source, struct bytes body, struct error *err) {
  struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
  const char *at = webhook_timestamp_header(source);
  struct buf url = {0};
  size_t secrets;
  put_url(http, request, &url);
  const struct bytes *secret = edition_secrets(edition, source, &secrets);
  const struct webhook webhook = {.source = source,
                                  .signature = evhttp_find_header(headers, source->header),
                                  .timestamp = at ? evhttp_find_header(headers, at) : NULL,
                                  .url = buf_bytes(&url),
                                  .body = body,
                                  .now_ms = clock_wall_ms()};
  int status = webhook_check(&webhook, secret, secrets, err);
  buf_deinit(&url);
  return status;
}

// By its signature, else by a write key where there are any.
static int check_sender(struct http *http, struct evhttp_request *request, const struct edition *edition,
                        const struct source_info *source, struct bytes body, struct error *err) {
  if (source->scheme != SOURCE_UNSIGNED) return check_signature(http, request, edition, source, body, err);
  const struct config *config = http->daemon->config;
  const char *key = NULL;
  int status = http_header_key(config, request, &key, err);
  if (status == 0 && config->write_key_count && !key)
    return error_set(err, ITD_EAUTH, "no write key: send it as the user of basic authentication");
  return status;
}

// ---- the endpoint ----

bool http_is_source(struct bytes path) {
  size_t n = strlen(PATH_HEAD);
  return path.n > n && memcmp(path.p, PATH_HEAD, n) == 0;
}

static void take(struct http *http, struct evhttp_request *request, struct edition *edition,
                 const struct source_info *source) {
  struct error err = {0};
  struct evbuffer *input = evhttp_request_get_input_buffer(request);
  struct bytes body = bytes_of(NULL, evbuffer_get_length(input));
  size_t max = http->daemon->limits.frame.bytes_max;
  if (body.n > max) {
    error_set(&err, ITD_ETOOBIG, "a body of %zu bytes; at most %zu (frame.bytes)", body.n, max);
    http_fail(http, request, HTTP_ENTITYTOOLARGE, &err);
    return;
  }
  if (body.n) body.p = evbuffer_pullup(input, -1);
  if (check_sender(http, request, edition, source, body, &err) < 0) { // what a stranger sends is not kept
    source_counts_add(http->daemon->source_counts, source->name, SOURCE_UNAUTHORIZED, 1);
    http_fail(http, request, 401, &err);
    return;
  }
  struct buf payload = {0};
  int status = read_payload(http, request, body, &payload, &err);
  if (status == 0) {
    submit(http, request, edition, source->name, &payload);
  } else {
    source_counts_add(http->daemon->source_counts, source->name, SOURCE_REFUSED, 1);
    http_quarantine(http, &err, body);
    http_fail(http, request, http_code_of(status), &err);
  }
  buf_deinit(&payload);
}

void http_source(struct http *http, struct evhttp_request *request, struct bytes path) {
  struct bytes name = bytes_of(path.p + strlen(PATH_HEAD), path.n - strlen(PATH_HEAD));
  struct edition *edition = daemon_edition(http->daemon);
  struct error err = {0};
  if (!edition) {
    error_set(&err, ITD_ENOTFOUND, "no source '%.*s'", (int)(name.n > 60 ? 60 : name.n), (const char *)name.p);
    http_fail(http, request, HTTP_NOTFOUND, &err);
    return;
  }
  const struct source_info *source = sources_find(edition_sources(edition), name);
  if (source) {
    take(http, request, edition, source);
  } else {
    sources_unknown(edition_sources(edition), name, &err);
    http_fail(http, request, HTTP_NOTFOUND, &err);
  }
  edition_release(edition);
}
