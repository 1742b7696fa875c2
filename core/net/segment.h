// The Segment tracking API (docs/protocol.md#http) from a request's body to events. Pure; any thread.
#pragma once
#include "wire/event.h"

// Which call a path means: an event_type, or SEGMENT_BATCH; -1: none. Known are /v1/track, identify, page, screen,
// group, alias, batch, the one-letter names that the browser library uses (/v1/t, …, /v1/b), and /v1/import, batch's
// old name.
#define SEGMENT_BATCH EVENT_TYPES
int segment_endpoint(struct bytes path);

// The write key of an Authorization header: the user of "Basic BASE64(user:password)"; the password is not looked at.
// The key is appended to `key`. ITD_EAUTH: it is not that.
int segment_basic(struct bytes header, struct buf *key, struct error *err) ITD_MUST_USE;

// A gzip body, of one or more members, appended to `out`. Stops at `max` bytes: ITD_ETOOBIG. ITD_EFRAME: not gzip, or
// cut off.
int segment_gunzip(struct bytes in, size_t max, struct buf *out, struct error *err) ITD_MUST_USE;

// A body that was read: its messages are walked with segment_next.
struct segment_body {
  struct buf packed; // as MessagePack; owned, see segment_deinit
  struct buf pairs;  // scratch
  int endpoint;
  struct bytes write_key; // the body's `writeKey`; empty: none. As the following, a view into `packed`
  struct bytes context, integrations, sent_at; // a batch's, for messages that have none; empty: none
  uint32_t count, index;                       // messages in all, and of the one that segment_next will give
  struct mp at;
};
// `json` is an object: one message, or for SEGMENT_BATCH {"batch": […]} with 1 to `batch_max` messages. ITD_EFRAME: not
// JSON (line and column), ITD_EEVENT: not of that form, ITD_ETOOBIG. Then *body is untouched.
int segment_read(int endpoint, struct bytes json, const struct mp_limits *limits, uint32_t batch_max,
                 struct segment_body *body, struct error *err) ITD_MUST_USE;
void segment_deinit(struct segment_body *body);
// Appends the next message as an event's map; false: there is no more. Its keys are kept in their order but for these:
// - `writeKey` is taken away: it is a secret, not a fact about the lead;
// - `type` is the endpoint's, whatever the message says; in a batch it is the message's own;
// - what a batch's message lacks (or has as null) of `sentAt` and `integrations` comes from the batch; `context` is
// merged key by key, the
//   message's first;
// - `source` (NULL: none) becomes context.source unless there is one.
// What is no object is passed on as it is, for event_decode to refuse.
bool segment_next(struct segment_body *body, const char *source, struct buf *event);
