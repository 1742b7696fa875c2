#include "net/conn.h"

#include "base/check.h"
#include "base/log.h"
#include "net/hub.h"
#include "wire/rpc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256u << 10)
#define KEEP_SIZE (2 * READ_SIZE) // of an empty buffer: what one large message took is not kept for the next

static void drop_if_large(struct buf *b) {
  if (b->n == 0 && b->cap > KEEP_SIZE) buf_deinit(b);
}

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

void conn_accept(struct shard *shard, int fd, enum conn_role role) {
  metrics_add(&shard->metrics->connections_opened, 1);
  if (shard->conn_count >= shard->limits->connections_max) {
    metrics_add(&shard->metrics->connections_refused, 1);
    metrics_add(&shard->metrics->connections_closed, 1);
    close(fd);
    return;
  }
  int one = 1;
  if (role != CONN_ADMIN) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct conn *c = xcalloc(1, sizeof *c);
  c->shard = shard;
  c->fd = fd;
  c->role = role;
  c->refs = 1;
  if (role == CONN_ADMIN) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    c->uid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.uid : (uid_t)-1;
  }
  c->readable = event_new(shard->base, fd, EV_READ | EV_PERSIST, on_readable, c);
  c->writable = event_new(shard->base, fd, EV_WRITE, on_writable, c);
  if (!c->readable || !c->writable) out_of_memory(0);
  if (!shard->is_paused) event_add(c->readable, NULL);
  c->next = shard->conns;
  if (c->next) c->next->previous = c;
  shard->conns = c;
  shard->conn_count++;
  if (role == CONN_FORWARD) serve_forward_hello(c);
}

void conn_ref(struct conn *c) { c->refs++; }

void conn_begin(struct conn *c, struct request *request, size_t weight) {
  conn_ref(c);
  request->weight = 0;
  conn_weigh(c, request, weight);
}

void conn_weigh(struct conn *c, struct request *request, size_t more) {
  request->weight += more;
  c->under_way += more;
}

void conn_end(struct conn *c, const struct request *request) {
  c->under_way -= request->weight;
  if (!c->is_closed && c->is_closing) conn_answered(c);
  conn_unref(c);
}

void conn_unref(struct conn *c) {
  CHECK(c->refs > 0);
  if (--c->refs) return;
  CHECK(c->is_closed);
  buf_deinit(&c->in);
  buf_deinit(&c->out);
  buf_deinit(&c->held);
  free(c);
}

void conn_close(struct conn *c) {
  if (c->is_closed) return;
  struct shard *shard = c->shard;
  c->is_closed = true;
  if (c->subscription) hub_leave(c);
  event_free(c->readable);
  event_free(c->writable);
  close(c->fd);
  if (c->next) c->next->previous = c->previous;
  if (c->previous)
    c->previous->next = c->next;
  else
    shard->conns = c->next;
  shard->conn_count--;
  metrics_add(&shard->metrics->connections_closed, 1);
  if (!c->is_flushing) conn_unref(c);
}

void conn_close_after_flush(struct conn *c) {
  c->is_closing = true;
  c->closing_since_ns = c->shard->turn_ns;
  if (!c->is_closed) event_del(c->readable);
  conn_answered(c);
}

// ---- writing ----

void conn_answered(struct conn *c) {
  if (c->is_flushing || c->is_closed) return;
  c->is_flushing = true;
  c->next_flushing = c->shard->flushing;
  c->shard->flushing = c;
}

// False: it is closed, and perhaps freed.
static bool write_released(struct conn *c) {
  while (c->out_at < c->released) {
    ssize_t n = send(c->fd, c->out.p + c->out_at, c->released - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        conn_close(c);
        return false;
      }
      event_add(c->writable, NULL);
      break;
    }
    c->out_at += (size_t)n;
    c->closing_since_ns = c->shard->turn_ns;
    metrics_add(&c->shard->metrics->bytes_written, (uint64_t)n);
  }
  // Moving what is left only when at least half is gone keeps the cost of a slow reader linear.
  if (c->out_at == c->out.n || c->out_at > c->out.n / 2) {
    buf_consume(&c->out, c->out_at);
    c->released -= c->out_at;
    c->out_at = 0;
    drop_if_large(&c->out);
  }
  if (!c->is_closing || c->out_at < c->out.n || c->held.n || c->refs > 1) return true;
  conn_close(c);
  return false;
}

void conn_release(struct conn *c) {
  c->is_flushing = false;
  if (c->is_closed) {
    conn_unref(c);
    return;
  }
  c->released = c->out.n;
  if (c->unanswered) {
    uint64_t took = clock_mono_ns() - c->read_ns;
    for (uint32_t i = 0; i < c->unanswered; i++) hist_add(&c->shard->metrics->hop_answer, took);
    metrics_add(&c->shard->metrics->answers, c->unanswered);
    c->unanswered = 0;
  }
  // Not here: what goes on reading would decide, and its answers would leave with this commit. The turn's end does it.
  if (write_released(c) && c->is_stalled) c->shard->has_room = true;
}

// ---- holding ----

void conn_hold(struct conn *c) {
  c->is_flushing = false;
  if (c->is_closed || c->out.n == c->released) {
    conn_release(c);
    return;
  }
  buf_append(&c->held, c->out.p + c->released, c->out.n - c->released);
  c->out.n = c->released;
  c->held_count += c->unanswered;
  c->unanswered = 0;
}

// [1, id, nil, result] becomes [1, id, error, nil]; {ack: chunk} is left out; errors and notifications stay.
static void put_failed(struct conn *c, struct bytes held, const struct error *why) {
  for (struct mp m = mp_of(held); !mp_done(&m);) {
    struct bytes value = mp_take(&m);
    struct mp in = mp_of(value);
    struct mp_value head = mp_next(&in);
    if (head.type == MP_MAP) continue;
    bool is_answer = head.type == MP_ARRAY && head.count == 4 && mp_peek(&in) == MP_INT && mp_next(&in).i == 1;
    uint32_t id = is_answer ? (uint32_t)mp_next(&in).i : 0;
    if (!is_answer || mp_peek(&in) != MP_NIL) {
      buf_append_bytes(&c->out, value);
      continue;
    }
    metrics_error(c->shard->metrics, why->code);
    rpc_put_error(&c->out, id, why);
  }
}

void conn_unhold(struct conn *c, const struct error *why) {
  if (!c->held.n) return;
  if (why)
    put_failed(c, buf_bytes(&c->held), why);
  else
    buf_append_bytes(&c->out, buf_bytes(&c->held));
  c->unanswered += c->held_count;
  c->held_count = 0;
  buf_deinit(&c->held);
  conn_answered(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct conn *c = arg;
  shard_tick(c->shard);
  if (write_released(c) && c->is_stalled && !c->shard->is_paused) conn_resume(c);
}

// ---- reading ----

// Bytes that can't be the protocol: nothing after them can be trusted either.
static void fail(struct conn *c, struct bytes bytes, const struct error *err) {
  metrics_error(c->shard->metrics, err->code);
  struct bytes head = bytes_of(bytes.p, bytes.n < 4096 ? bytes.n : 4096);
  shard_quarantine(c->shard, err, head);
  log_line(LOG_WARN, "bad_message", "why=%s", log_quote(err->text));
  rpc_put_error(&c->out, 0, err);
  conn_close_after_flush(c);
}

// `rest`: the value and all that was read after it.
static bool serve(struct conn *c, struct bytes value, struct bytes rest) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_next(&m);
  if (c->role == CONN_FORWARD && c->handshake == 0) return serve_forward(c, value);
  if (head.type == MP_ARRAY && head.count > 0) {
    enum mp_type first = mp_peek(&m);
    if (first == MP_STR || first == MP_BIN) return serve_forward(c, value);
    if (first == MP_INT || first == MP_UINT) return serve_rpc(c, value);
  }
  struct error err = {0};
  error_set(&err, ITD_EFRAME,
            "neither MessagePack-RPC (an array that begins with a number) nor Fluentd Forward (with a tag)");
  fail(c, rest, &err);
  return true;
}

static void process(struct conn *c) {
  const struct net_limits *limits = c->shard->limits;
  size_t at = 0;
  c->is_stalled = false;
  while (!c->is_closing && at < c->in.n) {
    size_t waits = c->out.n - c->out_at + c->held.n + c->under_way;
    if (waits > (c->subscription ? limits->subscriber_max : limits->out_max)) c->is_stalled = true;
    struct bytes rest = bytes_of(c->in.p + at, c->in.n - at);
    size_t len = 0;
    struct error err = {0};
    int status = c->is_stalled ? 0 : mp_scan(rest, &limits->frame, &len, &err);
    if (status < 0) fail(c, rest, &err);
    if (status <= 0) break;
    if (!serve(c, bytes_of(rest.p, len), rest)) {
      c->is_stalled = true;
      break;
    }
    at += len;
    c->partial_since_ns = 0;
  }
  if (c->is_closing || c->is_closed) return;
  buf_consume(&c->in, at);
  drop_if_large(&c->in);
  if (c->is_stalled) {
    metrics_add(&c->shard->metrics->reads_paused, 1);
    event_del(c->readable);
  } else if (c->in.n && !c->partial_since_ns) {
    c->partial_since_ns = c->shard->turn_ns;
  }
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  struct conn *c = arg;
  shard_tick(c->shard);
  uint8_t *at = buf_reserve(&c->in, READ_SIZE);
  ssize_t n = recv(fd, at, READ_SIZE, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (n == 0 && c->refs > 1) { // it has said all it wanted to say, and waits for its answers
    conn_close_after_flush(c);
    return;
  }
  if (n <= 0) {
    if (c->out.n > c->out_at || c->held.n)
      conn_close_after_flush(c);
    else
      conn_close(c);
    return;
  }
  c->in.n += (size_t)n;
  metrics_add(&c->shard->metrics->bytes_read, (uint64_t)n);
  c->read_ns = c->shard->turn_ns;
  process(c);
}

void conn_resume(struct conn *c) {
  if (c->is_closed || c->is_closing) return;
  bool was_stalled = c->is_stalled;
  if (c->partial_since_ns) c->partial_since_ns = c->shard->turn_ns; // while nobody read it could not end
  if (was_stalled && c->in.n) process(c);
  if (!c->is_closed && !c->is_closing && !c->is_stalled) event_add(c->readable, NULL);
}

void conn_sweep(struct shard *shard) {
  if (shard->is_paused) return;
  uint64_t stall_ns = (uint64_t)shard->limits->stall_ms * 1000000;
  for (struct conn *c = shard->conns, *next; c; c = next) {
    next = c->next;
    // One that ends, and whose peer reads no more, is not waited for; one that waits for its answers is.
    if (c->is_closing && c->refs == 1 && !c->held.n && shard->turn_ns - c->closing_since_ns >= stall_ns) {
      metrics_add(&shard->metrics->connections_stalled, 1);
      conn_close(c);
      continue;
    }
    if (!c->partial_since_ns || shard->turn_ns - c->partial_since_ns < stall_ns || c->is_stalled || c->is_closing)
      continue;
    metrics_add(&shard->metrics->connections_stalled, 1);
    struct error err = {0};
    error_set(&err, ITD_EFRAME, "a message of %zu bytes so far did not end within %lld ms (net.stall)", c->in.n,
              (long long)shard->limits->stall_ms);
    rpc_put_error(&c->out, 0, &err);
    conn_close_after_flush(c);
  }
}
