// A connection that speaks MessagePack: framing, protocol by the first element, answers held until the commit. Shard's
// thread only.
#pragma once
#include "net/shard.h"

struct subscription;

struct conn {
  struct shard *shard;
  int fd;
  enum conn_role role;
  unsigned refs;     // requests under way; the memory stays until they are back
  size_t under_way;  // bytes of requests that other shards have
  bool is_closed;    // the socket is gone
  bool is_closing;   // closes once what is released is written; nothing more is read
  bool is_stalled;   // waits for credits or for its answers to be read
  bool is_flushing;  // in shard->flushing
  uint8_t handshake; // CONN_FORWARD: 0 HELO sent, 1 let in
  uint8_t nonce[16];
  uid_t uid; // CONN_ADMIN: who, by the socket's credentials
  struct event *readable, *writable;
  struct buf in, out;
  struct buf held;           // answers of a turn whose commit found no room
  uint32_t held_count;       // how many
  size_t out_at;             // written so far
  size_t released;           // bytes of `out` that a commit has released
  uint64_t partial_since_ns; // when the message at the front of `in` began to wait; 0: none
  uint64_t closing_since_ns; // when is_closing began, or the peer last read something after that
  uint64_t read_ns;          // when the bytes at hand were read
  uint32_t unanswered;       // answers in `out` beyond `released`, for the latency histogram
  struct subscription *subscription;
  struct conn *next, *previous, *next_flushing;
};

void conn_accept(struct shard *shard, int fd, enum conn_role role);
// After appending to conn->out (on the shard's thread): it is written after the turn's commit.
void conn_answered(struct conn *conn);
void conn_release(struct conn *conn); // the commit is done: writes what it can
// The commit found no room: what it would have released waits; what is appended from now on may leave before it.
void conn_hold(struct conn *conn);
// What was held may leave with the next conn_release (`why` NULL), or will never be true: each answer becomes the error, and what has no
// way to say so is not said.
void conn_unhold(struct conn *conn, const struct error *why);
void conn_resume(struct conn *conn); // looks again at bytes that were left because of a bound
void conn_close(struct conn *conn);
void conn_close_after_flush(struct conn *conn);
// A request of this connection begins, with `weight` bytes, and ends: between the two the connection's memory stays.
void conn_begin(struct conn *conn, struct request *request, size_t weight);
void conn_weigh(struct conn *conn, struct request *request, size_t more); // an answer of it waits for the commit
void conn_end(struct conn *conn, const struct request *request);
void conn_ref(struct conn *conn);
void conn_unref(struct conn *conn);   // frees when closed and nothing is under way
void conn_sweep(struct shard *shard); // closes those whose message does not end

// ---- protocols: each takes one scanned value; false: a bound is reached, the value stays and comes again ----
bool serve_rpc(struct conn *conn, struct bytes value);
bool serve_forward(struct conn *conn, struct bytes value);
void serve_forward_hello(struct conn *conn);
