// A tally: sums by key, kept for something that many leads add to (an account's roll-up, what a pool has given out).
// Its state is a MessagePack map from key to integer: keys sorted by their bytes, zeros left out, so that equal sums are
// equal bytes, in whichever order they came. Pure.
//
// Message `tally.add`, body [key, n] or [key, n, legs]: adds n under key. With legs [[to, m, legs or nil], …] it passes on:
// each m is taken off here and sent to the tally `to` as a tally.add of its own, which may pass on further: the total over
// all tallies is what was added from outside. Refused: a body of another shape, a sum beyond 64 bits.
#pragma once
#include "engine/message.h"

#define TALLY_KEYS_MAX  256 // further keys go under TALLY_REST
#define TALLY_KEY_BYTES 128
#define TALLY_REST      "" // no key of its own is empty

void tally_add(const struct entity *before, const struct message *message, struct message_effects *effects);
// For senders: appends the body; `legs` an already packed array, or empty. CHECKs the key's length: 1 to TALLY_KEY_BYTES.
void tally_put_add(struct buf *body, struct bytes key, int64_t n, struct bytes legs);
int64_t tally_value(const struct entity *tally, struct bytes key); // 0: nothing under it
