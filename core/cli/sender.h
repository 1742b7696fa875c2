// Sending events with many of them in flight. One connection keeps their order, so a lead's events are decided in the
// order in which they were added. What fails in a way that may pass is tried again, and a connection that ends is
// opened anew: events that carry a messageId count once all the same. Not thread-safe.
#pragma once
#include "cli/client.h"

#define SENDER_CODES_MAX 24
struct sender_refused {
  char code[40];
  uint64_t count, first_line;
  char reason[500];
};
struct sender_tally {
  uint64_t sent, decided, duplicates, refused;
  struct sender_refused code[SENDER_CODES_MAX]; // by first appearance; the last one gathers what does not fit
  size_t codes;
  uint64_t reconnects, retries;
};

struct sender_options {
  const char *address; // of client_open; must live as long as the sender
  unsigned window;     // events in flight, 1..65536
  int64_t patience_ms; // how long failures that may pass are tried again
  // Each answer as it comes: `decision` or `failure` (the error map) is empty. May be NULL.
  void (*each)(void *context, uint64_t line, struct bytes decision, struct bytes failure);
  void *context;
};

struct sender;
struct sender *sender_new(struct client *client, const struct sender_options *options); // owns the client from here on
void sender_free(struct sender *sender);
// Adds an event (a MessagePack map, copied); waits while the window is full. `line` is what the tally calls it.
// ITD_EIO: the connection could not be had again within the patience, or nothing was answered for as long (at least half a minute).
int sender_add(struct sender *sender, struct bytes event, uint64_t line, struct error *err) ITD_MUST_USE;
// Waits until every event has its answer. Errors as sender_add.
int sender_finish(struct sender *sender, struct error *err) ITD_MUST_USE;
// Counts what was refused before it was sent.
void sender_refuse(struct sender *sender, uint64_t line, const char *code, const char *reason);
const struct sender_tally *sender_tally(const struct sender *sender);

// The tally for people, or as one JSON line {"summary": {…}}; `took_ns` for the rate.
void sender_report(const struct sender *sender, uint64_t took_ns, bool json);
