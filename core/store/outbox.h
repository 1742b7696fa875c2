// Channels: how messages get from the partitions of one shard to any partition, and once only
// (docs/decisions/messages.md). A shard has one outbox: what its partitions sent and is not acknowledged, and how far
// they have got with what was sent to them. Its state is a fold of the journal's frames; nothing here touches a disk or a
// socket. One thread.
//
// Channel (from, to), both partitions: messages are numbered 1, 2, 3 … as the sender's frames are staged. A number
// leaves when its frame is on disk, is given again and again until it is acknowledged, and is applied if it is the
// receiver's next. The receiver acknowledges all numbers up to one, when the frames that applied them are on disk. So
// whatever the way between does (loses, doubles, reorders batches), and whichever side loses what it had not synced, each
// message is applied once and in its channel's order.
//
// There is always room for a message, and none waits for another channel's: at `bytes_max` the shard takes no more events
// (outbox_is_full), but goes on applying, acknowledging and giving messages, so that outboxes empty.
#pragma once
#include "engine/message.h"

struct outbox_options {
  unsigned partitions, shards, index; // partition % shards == index: this shard's
  size_t bytes_max;                   // of messages that wait
  // A channel's credits: so many messages, and bytes of them, may be under way at once (one at least).
  unsigned window;
  size_t window_bytes;
  int64_t resend_ms; // not acknowledged for so long: given again, each time after twice as long, up to 32 times that
  int64_t now_ms;    // what outbox_give's clock shows now
};
#define OUTBOX_WINDOW       256u
#define OUTBOX_WINDOW_BYTES (256u << 10)
#define OUTBOX_RESEND_MS    1000
#define OUTBOX_BATCH_BYTES  (256u << 10) // a batch that is as large takes no further message

struct outbox;
struct outbox *outbox_new(const struct outbox_options *options);
void outbox_free(struct outbox *outbox);

// ---- the fold: frames of this shard's partitions, in their order, as they are staged or recovered ----
// Numbers what a frame sends, and keeps it. `place`: the frame's; see outbox_synced. ITD_ECORRUPT (the list), ITD_EVERSION
// (a kind that this program lacks), and then some of it may be kept: the directory does not open.
int outbox_sent(struct outbox *outbox, const struct message *sender /* from, number, workspace, at_ms */,
                unsigned partition, struct bytes list, uint64_t place, struct error *err) ITD_MUST_USE;
// A frame of partition `to` applied number n from `from`. ITD_ECORRUPT: it is not the next.
int outbox_received(struct outbox *outbox, unsigned to, unsigned from, uint64_t n, uint64_t place,
                    struct error *err) ITD_MUST_USE;
// Everything before this place is on disk: what was sent there may leave, what was received may be acknowledged.
void outbox_synced(struct outbox *outbox, uint64_t place);
bool outbox_waits(const struct outbox *outbox); // something is behind the last outbox_synced

// ---- the checkpoint ----
// A partition's channels as bytes, if they changed since the last time: numbers sent and received, and every message that
// is not acknowledged. False: nothing changed. `seq`: of the partition's last frame.
bool outbox_save(struct outbox *outbox, unsigned partition, uint64_t seq, struct buf *out);
// Back, into a new outbox. *seq: frames up to it are in. ITD_ECORRUPT, ITD_EVERSION.
int outbox_load(struct outbox *outbox, unsigned partition, struct bytes saved, uint64_t *seq,
                struct error *err) ITD_MUST_USE;
struct outbox_numbers {
  uint64_t sent, received; // the last to the other partition, and from it
};
struct outbox_numbers outbox_numbers(const struct outbox *outbox, unsigned partition, unsigned other);
// Where both ends are known after recovery: what `receiver` has of the channels of `sender`'s partitions is acknowledged.
// ITD_ECORRUPT: it has numbers that were never sent.
int outbox_settle(struct outbox *sender, const struct outbox *receiver, struct error *err) ITD_MUST_USE;

// ---- giving ----
struct outbox_transport { // the way to other shards, and to this one; may lose, double and reorder, never cut
  bool (*has_room)(void *context, unsigned shard);
  void (*give)(void *context, unsigned shard, struct bytes batch); // copies it; there was room
  void *context;
};
// Gives at most one batch a shard: acknowledgements, and messages within their channels' credits. `now_ms` is any clock
// that does not go back. Returns whether something is left that could go at once (no room, or the batch was full).
bool outbox_give(struct outbox *outbox, int64_t now_ms, const struct outbox_transport *transport);
// What is under way is given up at once: who knows that it is lost calls this.
void outbox_recall(struct outbox *outbox);
// When outbox_give has to be called again even if nothing comes; INT64_MAX: never.
int64_t outbox_due(const struct outbox *outbox);

// ---- taking a batch that another outbox gave ----
// Acknowledgements are taken in; messages are shown one by one, and only those that are the next of their channel: the
// callee applies it, and its frame's outbox_received comes before the callee returns 0. Anything else ends the batch
// (what it still holds is given again by its sender), and is returned.
typedef int (*outbox_apply)(void *context, unsigned to, unsigned from, uint64_t n, const struct message *message,
                            struct error *err);
int outbox_take(struct outbox *outbox, struct bytes batch, outbox_apply apply, void *context,
                struct error *err) ITD_MUST_USE;

// At the bound: no more events. Stays so until half of it is left.
bool outbox_is_full(struct outbox *outbox);
struct outbox_stats {
  uint64_t pending, bytes;      // not acknowledged
  uint64_t oldest_ms;           // how long the oldest of them has waited
  uint64_t sent, resent;        // messages given first, and again
  uint64_t applied, duplicates; // taken
  uint64_t early;               // came before the one that is the next: not taken
  uint64_t full;                // times at the bound
};
struct outbox_stats outbox_stats(const struct outbox *outbox); // any thread: relaxed reads
