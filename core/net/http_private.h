// What the files of the HTTP server share. HTTP thread only, unless it says otherwise.
#pragma once
#include "net/daemon.h"
#include "net/http_peers.h"

#include <event2/http.h>

struct exchange;

struct http {
  struct daemon *daemon;
  struct event_base *base;
  struct evhttp *server;
  struct http_peers *peers;
  struct event *wake, *tick;
  unsigned index; // of its origin
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

// ---- http_segment.c ----
void http_segment(struct http *http, struct evhttp_request *request, int endpoint);
// Answers 503 for those that have waited too long; `all`: for all of them.
void http_segment_expire(struct http *http, bool all);
