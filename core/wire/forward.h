// Fluentd Forward v1 (docs/protocol.md#forward): the four modes, acknowledgement, and the shared-key handshake.
// Pure but for the nonce it is handed; any thread.
#pragma once
#include "wire/mp.h"

#define FORWARD_CHUNK_MAX                                                                                              \
  128 // bytes of a chunk's id (Fluentd's are 25), so that ids made of it stay within event.id_bytes

// One message as it came. Entries are walked with forward_next. The views last as long as `value` and the message itself.
struct forward_message {
  struct bytes tag;     // UTF-8
  struct bytes chunk;   // `chunk` option: to be acknowledged after the durable commit; empty when not asked for
  struct buf unpacked;  // CompressedPackedForward: the entries after gunzip; owned, see forward_deinit
  struct bytes entries; // Forward: the list; packed: the entries, one after the other; Message: its time and record
  bool is_single;       // Message mode
  struct mp at;
  uint32_t left;  // entries left
  uint32_t index; // of the entry that forward_next will give
};
// `value` has passed mp_scan. The option may be absent or nil; its `size` is not needed, `compressed` may be gzip (of one or more
// members) or text. Packed entries, as bin or str, are all scanned here with `limits`, none is read when one breaks them;
// gunzip stops at limits->bytes_max. ITD_EFRAME, ITD_ETOOBIG; then *message is untouched. On success the caller must
// forward_deinit.
int forward_read(struct bytes value, const struct mp_limits *limits, struct forward_message *message,
                 struct error *err) ITD_MUST_USE;
void forward_deinit(struct forward_message *message);

// The next entry as a unified event, appended to `event` as a MessagePack map: what the record lacks (or holds as nil), then the
// record's keys as they are. `timestamp` from the entry's time (EventTime, seconds as an integer or float; nil and 0 mean now
// and add none); `messageId` "CHUNK-INDEX" when there is a chunk (without a line feed at its end; hex when it is not UTF-8);
// `type` "track" and `event` the tag when the record has neither of these two.
// 1: one; 0: no more; ITD_EFRAME: this entry is malformed and `event` untouched; the next call goes on behind it.
int forward_next(struct forward_message *message, struct buf *event, struct error *err) ITD_MUST_USE;

void forward_put_ack(struct buf *out, struct bytes chunk); // {"ack": chunk}

// ---- handshake (a listener with a shared key) ----
#define FORWARD_NONCE_SIZE 16
void forward_put_helo(struct buf *out, const uint8_t nonce[FORWARD_NONCE_SIZE]);
// Checks a PING against the key and appends the PONG (a refusal says why). User and password are not asked for, and not looked at.
// 0: let in. ITD_EAUTH: send the PONG, then close. ITD_EFRAME: not a PING; `pong` is untouched. `value` has passed mp_scan.
int forward_check_ping(struct bytes value, const char *hostname, const char *shared_key,
                       const uint8_t nonce[FORWARD_NONCE_SIZE], struct buf *pong, struct error *err) ITD_MUST_USE;
