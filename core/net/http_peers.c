#include "net/http_peers.h"

#include "base/check.h"
#include "base/clock.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>

struct peer {
  struct http_peers *peers;
  struct bufferevent *bev;
  uint64_t since_ns; // when the request that is arriving began; 0: none is
  bool is_cut;
  struct peer *next;
};

struct http_peers {
  struct evconnlistener *listener;
  struct metrics *metrics;
  unsigned count, max;
  size_t read_max;
  bool is_full, is_closed;
  struct peer *first;
};

// Too many open files: the listener would report it again and again. The next sweep lets it go on.
static void on_accept_error(struct evconnlistener *listener, void *arg) {
  struct http_peers *peers = arg;
  peers->is_full = true;
  evconnlistener_disable(listener);
  metrics_add(&peers->metrics->accepts_failed, 1);
}

struct http_peers *http_peers_new(struct evconnlistener *listener, struct metrics *metrics, unsigned max,
                                  size_t read_max) {
  struct http_peers *peers = xcalloc(1, sizeof *peers);
  *peers = (struct http_peers){.listener = listener, .metrics = metrics, .max = max, .read_max = read_max};
  evconnlistener_set_error_cb(listener, on_accept_error);
  return peers;
}

static void on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg) {
  (void)buffer;
  struct peer *peer = arg;
  if (!info->n_added) return;
  metrics_add(&peer->peers->metrics->bytes_read, info->n_added);
  if (!peer->since_ns) peer->since_ns = clock_mono_ns();
}

static void on_output(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg) {
  (void)buffer;
  struct peer *peer = arg;
  if (info->n_deleted) metrics_add(&peer->peers->metrics->bytes_written, info->n_deleted);
}

static void forget(struct peer *peer) {
  evbuffer_remove_cb(bufferevent_get_input(peer->bev), on_input, peer);
  evbuffer_remove_cb(bufferevent_get_output(peer->bev), on_output, peer);
  bufferevent_decref(peer->bev);
  peer->peers->count--;
  metrics_add(&peer->peers->metrics->connections_closed, 1);
  free(peer);
}

void http_peers_free(struct http_peers *peers) {
  for (struct peer *peer = peers->first, *next; peer; peer = next) {
    next = peer->next;
    forget(peer);
  }
  free(peers);
}

struct bufferevent *http_peers_accept(struct event_base *base, void *arg) {
  struct http_peers *peers = arg;
  struct peer *peer = xcalloc(1, sizeof *peer);
  peer->peers = peers;
  // Closing on free, so that the socket stays open as long as our reference: its number can't be another connection's
  // meanwhile.
  peer->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
  if (!peer->bev) out_of_memory(0);
  bufferevent_incref(peer->bev);
  bufferevent_setwatermark(peer->bev, EV_READ, 0, peers->read_max);
  evbuffer_add_cb(bufferevent_get_input(peer->bev), on_input, peer);
  evbuffer_add_cb(bufferevent_get_output(peer->bev), on_output, peer);
  peer->next = peers->first;
  peers->first = peer;
  metrics_add(&peers->metrics->connections_opened, 1);
  if (++peers->count >= peers->max) {
    peers->is_full = true;
    evconnlistener_disable(peers->listener);
    metrics_add(&peers->metrics->reads_paused, 1);
  }
  return peer->bev;
}

void http_peers_arrived(struct http_peers *peers, const struct bufferevent *bev) {
  for (struct peer *peer = peers->first; peer; peer = peer->next) {
    if (peer->bev != bev) continue;
    // What is there already belongs to the next request, whose time begins when this one is answered at the earliest.
    peer->since_ns = evbuffer_get_length(bufferevent_get_input(peer->bev)) ? clock_mono_ns() : 0;
    return;
  }
}

// evhttp sets callbacks as long as it has the connection; bufferevent_free clears them.
static bool is_gone(const struct peer *peer) {
  bufferevent_event_cb on_event;
  bufferevent_getcb(peer->bev, NULL, NULL, &on_event, NULL);
  return !on_event;
}

void http_peers_sweep(struct http_peers *peers, int64_t stall_ms) {
  uint64_t now_ns = clock_mono_ns();
  for (struct peer **at = &peers->first; *at;) {
    struct peer *peer = *at;
    if (is_gone(peer)) {
      *at = peer->next;
      forget(peer);
      continue;
    }
    if (peer->since_ns && !peer->is_cut && now_ns - peer->since_ns > (uint64_t)stall_ms * 1000000u) {
      peer->is_cut = true;
      metrics_add(&peers->metrics->connections_stalled, 1);
      shutdown(bufferevent_getfd(peer->bev), SHUT_RDWR); // evhttp sees the end, and lets go
    }
    at = &peer->next;
  }
  if (peers->is_full && !peers->is_closed && peers->count < peers->max) {
    peers->is_full = false;
    evconnlistener_enable(peers->listener);
  }
}

void http_peers_close_listener(struct http_peers *peers) {
  peers->is_closed = true;
  evconnlistener_disable(peers->listener);
}

size_t http_peers_count(const struct http_peers *peers) { return peers->count; }

bool http_peers_are_flushed(const struct http_peers *peers) {
  for (const struct peer *peer = peers->first; peer; peer = peer->next)
    if (!is_gone(peer) && evbuffer_get_length(bufferevent_get_output(peer->bev))) return false;
  return true;
}
