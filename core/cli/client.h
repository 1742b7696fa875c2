// A MessagePack-RPC client: one connection, many requests in flight, answers in any order. Not thread-safe; waits in
// poll.
#pragma once
#include "wire/mp.h"

struct client;

// `address`: HOST:PORT ("127.0.0.1:7411", "[::1]:7411"), or with a "/" the path of a Unix socket. Waits at most five
// seconds for the connection. ITD_EINVAL: no address; ITD_ENOTFOUND: nobody there, with what to do.
int client_open(const char *address, struct client **out, struct error *err) ITD_MUST_USE;
void client_close(struct client *client); // NULL does nothing

// Puts a request into the buffer; `params` is the packed list. It leaves with the next client_next.
void client_request(struct client *client, uint32_t id, const char *method, struct bytes params);
size_t client_unsent(const struct client *client); // bytes that have not left yet

// What the daemon said. Views are good until the next call for this client.
struct client_message {
  bool is_notification;
  uint32_t id;          // of the request it answers
  struct bytes method;  // of a notification
  struct bytes failure; // the error map; empty: it went well
  struct bytes result;  // of a notification: its params
};
// Sends what waits and returns the next message: 1; 0 when none came within `timeout_ms` (-1: waits for ever).
// ITD_EIO: the connection ended; ITD_EFRAME: what came is not MessagePack-RPC. After either the client is lost: close
// it.
int client_next(struct client *client, int timeout_ms, struct client_message *message, struct error *err) ITD_MUST_USE;
bool client_is_lost(const struct client *client);

// The error that an error map stands for: its code, and its detail as the text. Returns the code.
int client_failure(struct bytes failure, struct error *err);

// One request and its answer, appended to `result`; retryable errors are tried again for a few seconds. Notifications
// that come between are dropped. Errors as client_next and client_failure.
int client_call(struct client *client, const char *method, struct bytes params, struct buf *result,
                struct error *err) ITD_MUST_USE;
