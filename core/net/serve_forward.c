// Fluentd Forward on a connection: entries become events; a chunk is acknowledged when all of its entries are durable.
#include "net/conn.h"

#include "base/check.h"
#include "base/log.h"
#include "net/daemon.h"
#include "wire/forward.h"
#include "wire/rpc.h"

#include <stdlib.h>

// Every entry has its outcome: decided, or refused for good and kept in quarantine with its reason. Either way the
// sender must not send it again, so the chunk is acknowledged; only what could succeed later (a full disk, a shutdown)
// withholds the acknowledgement.
static void done_chunk(struct request *request) {
  struct conn *conn = request->owner;
  bool retry = false;
  for (uint32_t i = 0; i < request->count; i++) {
    const struct task *task = request->task[i];
    if (task->status < 0) metrics_error(conn->shard->metrics, task->status);
    retry |= task->status < 0 && status_retryable(task->status);
  }
  if (!conn->is_closed) {
    if (request->tail.n && !retry) {
      forward_put_ack(&conn->out, buf_bytes(&request->tail));
      conn->unanswered++;
      conn_answered(conn);
    }
  }
  conn_end(conn, request);
}

static void refuse_entry(struct shard *shard, struct request *request, uint32_t slot, struct bytes bytes,
                         const struct error *err) {
  shard_quarantine(shard, err, bytes);
  request->task[slot] = task_new(TASK_EVENT, (struct bytes){0}, shard->turn_ms);
  request->task[slot]->status = err->code;
  request->task[slot]->error = *err;
  request_settle(request);
}

static void submit_entry(struct shard *shard, struct request *request, uint32_t slot, struct bytes event) {
  struct error err = {0};
  unsigned partition;
  if (intake_route(shard->daemon->store, &shard->daemon->intake, event, shard->turn_ms, &partition, &err) == 0)
    shard_submit(shard, request, slot, TASK_EVENT, partition, event);
  else
    refuse_entry(shard, request, slot, event, &err);
}

// How many entries a message has.
static int count_entries(struct bytes value, const struct mp_limits *limits, uint32_t *count, struct error *err) {
  struct forward_message message;
  int status = forward_read(value, limits, &message, err);
  if (status < 0) return status;
  *count = message.left;
  forward_deinit(&message);
  return 0;
}

static void submit_all(struct conn *conn, struct bytes value, uint32_t count) {
  struct shard *shard = conn->shard;
  struct forward_message message;
  struct error err = {0};
  CHECK(forward_read(value, &shard->limits->frame, &message, &err) == 0); // the count was taken from it
  struct request *request =
      request_new(count + 1, done_chunk, conn); // one more, so that `done` waits for the loop's end
  buf_append_bytes(&request->tail, message.chunk);
  conn_begin(conn, request, value.n);
  struct buf event = {0};
  for (uint32_t i = 0; i < count; i++) {
    buf_clear(&event);
    const uint8_t *entry = message.at.p;
    err = (struct error){0};
    if (forward_next(&message, &event, &err) == 1)
      submit_entry(shard, request, i, buf_bytes(&event));
    else // it alone is refused, with its bytes in quarantine
      refuse_entry(shard, request, i,
                   message.is_single ? message.entries : bytes_of(entry, (size_t)(message.at.p - entry)), &err);
  }
  metrics_add(&shard->metrics->forward_entries, count);
  buf_deinit(&event);
  forward_deinit(&message);
  request->task[count] = task_new(TASK_EVENT, (struct bytes){0}, shard->turn_ms);
  request_settle(request);
}

static void fail(struct conn *conn, struct bytes value, const struct error *err) {
  metrics_error(conn->shard->metrics, err->code);
  shard_quarantine(conn->shard, err, bytes_of(value.p, value.n < 4096 ? value.n : 4096));
  log_line(LOG_WARN, "bad_forward", "why=%s", log_quote(err->text));
  conn_close_after_flush(conn); // Forward has no way to say why
}

static void shake_hands(struct conn *conn, struct bytes value) {
  const struct config *config = conn->shard->daemon->config;
  struct error err = {0};
  int status = forward_check_ping(value, "intentd", config->forward_key, conn->nonce, &conn->out, &err);
  conn_answered(conn);
  if (status == 0) {
    conn->handshake = 1;
    return;
  }
  metrics_error(conn->shard->metrics, status);
  log_line(LOG_WARN, "forward_refused", "why=%s", log_quote(err.text));
  conn_close_after_flush(conn);
}

void serve_forward_hello(struct conn *conn) {
  random_bytes(conn->nonce, sizeof conn->nonce);
  forward_put_helo(&conn->out, conn->nonce);
  conn_answered(conn);
}

bool serve_forward(struct conn *conn, struct bytes value) {
  if (conn->role == CONN_FORWARD && !conn->handshake) {
    shake_hands(conn, value);
    return true;
  }
  uint32_t count = 0;
  struct error err = {0};
  int status = count_entries(value, &conn->shard->limits->frame, &count, &err);
  if (status == 0 && count > ORIGIN_CREDITS)
    status =
        error_set(&err, ITD_ETOOBIG, "a Forward message of %u entries; at most %u (net.inflight): use smaller chunks",
                  count, ORIGIN_CREDITS);
  if (status < 0) {
    fail(conn, value, &err);
    return true;
  }
  if (origin_room(conn->shard->origin) < count) return false;
  submit_all(conn, value, count);
  return true;
}
