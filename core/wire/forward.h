// Fluentd Forward v1 (docs/protocol.md#forward): the four modes, acknowledgement, and the shared-key handshake.
// Pure but for the nonce it is handed; any thread.
#pragma once
#include "wire/mp.h"

// One message as it came. Entries are walked with forward_next.
struct forward_message {
  struct bytes tag;
  struct bytes chunk;     // `chunk` option: to be acknowledged after the durable commit; empty when not asked for
  struct buf unpacked;    // CompressedPackedForward: the entries after gunzip; owned, see forward_deinit
  struct bytes entries;   // [time, record] pairs, one after the other (a Message is its own single entry)
  bool is_single;         // Message mode: entries is [tag, time, record, …] read specially
  struct mp at;
  uint32_t left;          // entries left; UINT32_MAX when only the end of the bytes tells
  uint32_t index;         // of the entry that forward_next will give
};
// `value` has passed mp_scan and is an array whose first element is text. Packed entries are themselves scanned with
// `limits`; gunzip stops at limits->bytes_max. ITD_EFRAME, ITD_ETOOBIG. On success the caller must forward_deinit.
int forward_read(struct bytes value, const struct mp_limits *limits, struct forward_message *message,
                 struct error *err) ITD_MUST_USE;
void forward_deinit(struct forward_message *message);

// The next entry as a unified event (appended to `event` as a MessagePack map): the record's keys as they are; `timestamp` from
// the entry's time (EventTime or integer seconds) when the record has none; `messageId` "CHUNK-INDEX" (hex of the chunk's bytes
// when they are not text) when the record has none and there is a chunk; `type` "track" and `event` the tag when the record has
// neither. 1: one, 0: no more, ITD_EFRAME: a malformed entry (the rest is unreadable).
int forward_next(struct forward_message *message, struct buf *event, struct error *err) ITD_MUST_USE;

void forward_put_ack(struct buf *out, struct bytes chunk); // {"ack": chunk}

// ---- handshake (a listener with a shared key) ----
#define FORWARD_NONCE_SIZE 16
void forward_put_helo(struct buf *out, const uint8_t nonce[FORWARD_NONCE_SIZE]);
// Checks a PING against the key and appends the PONG (a refusal says why). `user`/`password` may be NULL when none is asked for.
// 0: let in. ITD_EAUTH: send the PONG, then close. ITD_EFRAME: not a PING.
int forward_check_ping(struct bytes value, const char *hostname, const char *shared_key,
                       const uint8_t nonce[FORWARD_NONCE_SIZE], struct buf *pong, struct error *err) ITD_MUST_USE;
