// The unified event (docs/events.md): the Segment vocabulary as a MessagePack map, decoded without copying.
// Pure; any thread. An event comes over RPC, Forward or HTTP, and is the same from here on.
#pragma once
#include "wire/mp.h"

enum event_type { EVENT_TRACK, EVENT_IDENTIFY, EVENT_PAGE, EVENT_SCREEN, EVENT_GROUP, EVENT_ALIAS };
#define EVENT_TYPES 6
const char *event_type_name(enum event_type type);

// Limits, each with its name in the configuration.
struct event_limits {
  size_t id_max;         // event.id_bytes: userId, anonymousId, groupId, previousId, messageId; default 512
  size_t name_max;       // event.name_bytes: event, channel, schema; default 256
  size_t bytes_max;      // event.bytes: the whole event; default 64 KiB
  int64_t late_max_ms;   // event.late: refused when older than `now` by more; default 3650 days
  int64_t future_max_ms; // event.future: refused when ahead of the clock by more; default 24 h
};
#define EVENT_LIMITS_DEFAULT                                                                                           \
  ((struct event_limits){.id_max = 512,                                                                                \
                         .name_max = 256,                                                                              \
                         .bytes_max = 64u << 10,                                                                       \
                         .late_max_ms = 3650 * 86400000ll,                                                             \
                         .future_max_ms = 86400000ll})

// Every view points into `raw`, or is empty when the key is absent or nil.
struct event {
  struct bytes raw; // the map, as received
  enum event_type type;
  struct bytes name; // `event` for track; `name` for page and screen; else empty
  struct bytes user_id, anonymous_id, group_id, previous_id;
  struct bytes message_id;
  struct bytes channel; // `channel`, else properties.channel when it is text, else empty
  struct bytes schema;
  struct bytes properties, traits, context; // whole maps (traits falls back to context.traits), or empty
  struct bytes traceparent;                 // context.traceparent, when it is a well-formed W3C one
  int64_t timestamp_ms;                     // when it happened; see event_decode
  int64_t sent_at_ms;                       // 0 when absent
  bool has_timestamp;                       // false: the sender gave no time, and timestamp_ms is received_ms
};

// Decodes and judges one event; `map` has passed mp_scan. `received_ms` is when it arrived (years 0001 to 9999).
// - Of equal keys the first counts; nil counts as absent. Unknown keys are kept (they stay in raw).
// - userId, anonymousId, groupId, previousId and messageId may be text or an integer (read as its decimal digits: `digits`
//   keeps them, and must live as long as the event). An empty one counts as absent. One of the first two must be there.
// - type: as spelled in section 5, in any letter case; absent: `track` when there is an `event`.
// - timestamps: MessagePack timestamp, RFC 3339 text, integer (or whole float) milliseconds, of the years 0001 to 9999. Without
//   `timestamp`, `originalTimestamp` is taken, corrected by `sentAt` when that is there, as Segment does:
//   received - (sentAt - originalTimestamp).
// - properties, traits, context and (when it is used) context.traits must be maps; a traceparent that is not well-formed is left out.
// - Text must be UTF-8 in the keys named here.
// ITD_EEVENT: which key, what it holds, what it should be. ITD_ETOOBIG: which limit. The text never shows an id.
struct event_digits {
  char text[5][24];
};
int event_decode(struct bytes map, int64_t received_ms, const struct event_limits *limits, struct event_digits *digits,
                 struct event *event, struct error *err) ITD_MUST_USE;
// The same of what event_split left in the clear, for which no key is needed: it has no ids, and personal values are
// absent. What, when and in which channel is as it was. Limits do not count: it was accepted once. ITD_EEVENT.
int event_decode_clear(struct bytes clear, int64_t received_ms, struct event *event, struct error *err) ITD_MUST_USE;

// Judges the time against the lead's clock. `now_ms`: clock=wall: the arrival; clock=event: the lead's greatest timestamp so
// far (or the event's own when that is greater, so that nothing is in the future). ITD_ETIME with the bound's name.
int event_check_time(const struct event *event, int64_t now_ms, const struct event_limits *limits,
                     struct error *err) ITD_MUST_USE;

// ---- personal fields ----
// Which values of an event are personal data: paths like "traits.email", "context.ip", "traits.address" (with all below it).
// userId, anonymousId and previousId always are. A path through a list means each element of it; a path into traits also
// means context.traits; of equal keys each one is meant.
struct personal_paths {
  const struct bytes *path;
  size_t count;
};
// Splits an event into what may lie in the clear and what may not. `clear` gets the map with each personal value replaced by
// nil (nothing else changes, so it is a valid map without its personal values). `secret` gets what was taken:
// a MessagePack array of [offset in clear, value], by rising offset. Both are appended. Nothing personal: secret gets nothing.
void event_split(struct bytes map, const struct personal_paths *paths, struct buf *clear, struct buf *secret);
// Puts them together again, byte for byte, appended. Both may be any bytes. ITD_ECORRUPT when they do not fit; then `map` is as
// before.
int event_join(struct bytes clear, struct bytes secret, struct buf *map, struct error *err) ITD_MUST_USE;
