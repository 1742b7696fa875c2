// What the files of the HTTP server share. HTTP thread only, unless it says otherwise.
#pragma once
#include "net/daemon.h"
#include "net/http_peers.h"
#include "net/mapper.h"

#include <event2/http.h>

struct exchange;

struct http {
  struct daemon *daemon;
  struct event_base *base;
  struct evhttp *server;
  struct http_peers *peers;
  struct event *wake, *tick, *mapped;
  struct mapper *mapper; // where payloads of sources are mapped
  unsigned index;        // of its origin
  struct origin *origin;
  struct metrics *metrics;
  struct exchange *exchanges; // requests whose events are under way
  unsigned turn;              // which shard takes the next event that names no partition
  _Atomic unsigned refusals;  // bodies on their way to a quarantine
  _Atomic bool is_stopping;
  uint64_t stop_ns; // when to stop waiting; 0: not stopping
  pthread_t thread;
};

// ---- answering: ends the request, which evhttp then frees ----
void http_answer(struct http *http, struct evhttp_request *request, int code, const char *type, struct bytes body);
// A MessagePack value, as JSON.
void http_answer_value(struct http *http, struct evhttp_request *request, int code, struct bytes value);
// The error map of every protocol (wire/rpc.h), as JSON; 429 and 503 with Retry-After.
void http_answer_error(struct http *http, struct evhttp_request *request, int code, const struct error *err);

// The same, counted.
void http_fail(struct http *http, struct evhttp_request *request, int code, const struct error *err);
int http_code_of(int status); // of a body that can't be read: 400, 413 or 415

// ---- http_exchange.c: a request that waits for its events ----
enum exchange_kind { EXCHANGE_ONE, EXCHANGE_BATCH, EXCHANGE_SOURCE };

// It outlives its answer when that was given early: the tasks come back nevertheless.
struct exchange {
  struct http *http;
  struct evhttp_request *request; // NULL: answered
  enum exchange_kind kind;
  struct source_result *source; // what a mapping said; NULL: none did
  uint64_t started_ns;
  struct exchange *next, *previous;
};
struct exchange *exchange_new(struct http *http, struct evhttp_request *request, enum exchange_kind kind);
void exchange_free(struct exchange *exchange);
// The tasks of `count` events, each then sent with its slot; request_settle when all are. Credits must be there. The
// exchange is answered and freed when all are back.
struct request *exchange_tasks(struct exchange *exchange, uint32_t count);
void exchange_send(struct exchange *exchange, struct request *tasks, uint32_t slot, struct bytes event,
                   int64_t received_ms);
// A refused message: its place and its error, as one map.
void exchange_put_refused(struct buf *out, uint32_t index, const struct error *err);
// Answers 503 for those that have waited too long; `all`: for all of them.
void http_exchange_expire(struct http *http, bool all);

// To a shard's quarantine: the head of a body; several pieces, whose bytes are taken over.
struct http_refusal {
  struct error error;
  struct buf bytes;
};
void http_quarantine(struct http *http, const struct error *err, struct bytes body);
void http_quarantine_all(struct http *http, struct http_refusal *refusal, size_t count);

// The source that a write key names. *source NULL: no keys are configured, or the header has none. ITD_EAUTH.
int http_check_key(const struct config *config, struct bytes key, const char **source, struct error *err) ITD_MUST_USE;
int http_header_key(const struct config *config, struct evhttp_request *request, const char **source,
                    struct error *err) ITD_MUST_USE;
// *bytes becomes the body without its Content-Encoding, in `plain` when there is one. ITD_EINVAL: one that is not read
// here; ITD_ETOOBIG, ITD_EFRAME.
int http_unzip(struct evhttp_request *request, size_t max, struct bytes *bytes, struct buf *plain,
               struct error *err) ITD_MUST_USE;

// ---- http_segment.c ----
void http_segment(struct http *http, struct evhttp_request *request, int endpoint);

// ---- http_source.c: POST /v1/source/NAME ----
bool http_is_source(struct bytes path);
void http_source(struct http *http, struct evhttp_request *request, struct bytes path);
// Ends an exchange of a source whose events are back: `refused` of `count` tasks were, `again` (NULL: none) may pass.
void http_source_answer(struct exchange *exchange, const struct request *tasks, uint32_t count, uint32_t refused,
                        const struct error *again);
void http_source_forget(struct source_result *result); // NULL does nothing
