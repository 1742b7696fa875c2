// The connections of an HTTP server, counted and bounded: how many, how long a request may take to arrive, how much is
// read ahead. evhttp makes and frees connections itself and tells nobody, so each one's bufferevent is held here by a
// reference of our own until evhttp has let go of it. HTTP thread only.
#pragma once
#include "net/shard.h"

#include <event2/bufferevent.h>
#include <event2/listener.h>

struct http_peers;
// `max` connections at once: beyond that the listener waits. `read_max`: bytes that a connection may have unprocessed.
struct http_peers *http_peers_new(struct evconnlistener *listener, struct metrics *metrics, unsigned max,
                                  size_t read_max);
void http_peers_free(struct http_peers *peers); // evhttp is freed already; the base is not
// For evhttp_set_bevcb: the bufferevent of a new connection.
struct bufferevent *http_peers_accept(struct event_base *base, void *peers);
// A whole request of this connection has been read: it is not late.
void http_peers_arrived(struct http_peers *peers, const struct bufferevent *bev);
// Forgets those that evhttp has let go of, cuts those whose request began more than `stall_ms` ago and has not ended,
// and listens again when there is room. Call it every 100 ms or so.
void http_peers_sweep(struct http_peers *peers, int64_t stall_ms);
void http_peers_close_listener(struct http_peers *peers); // no more connections
size_t http_peers_count(const struct http_peers *peers);
bool http_peers_are_flushed(const struct http_peers *peers); // no answer waits to be written
