// Reading a unified event: one pass collects the keys that section "keys" of docs/events.md names, then each is judged.
// Nothing is allocated: the event is views of the bytes received. Pure, any thread.
#include "wire/event.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"

// ---- the keys ----
// XX(id, name as sent)
#define EVENT_KEY_MAP(XX)                                                                                              \
  XX(TYPE, "type")                                                                                                     \
  XX(EVENT, "event")                                                                                                   \
  XX(NAME, "name")                                                                                                     \
  XX(USER, "userId")                                                                                                   \
  XX(ANONYMOUS, "anonymousId")                                                                                         \
  XX(GROUP, "groupId")                                                                                                 \
  XX(PREVIOUS, "previousId")                                                                                           \
  XX(MESSAGE, "messageId")                                                                                             \
  XX(CHANNEL, "channel")                                                                                               \
  XX(SCHEMA, "schema")                                                                                                 \
  XX(TIMESTAMP, "timestamp")                                                                                           \
  XX(ORIGINAL, "originalTimestamp")                                                                                    \
  XX(SENT, "sentAt")                                                                                                   \
  XX(RECEIVED, "receivedAt")                                                                                           \
  XX(PROPERTIES, "properties")                                                                                         \
  XX(TRAITS, "traits")                                                                                                 \
  XX(CONTEXT, "context")
enum key {
#define XX(id, text) KEY_##id,
  EVENT_KEY_MAP(XX)
#undef XX
      KEYS
};
static const char *const key_names[KEYS] = {
#define XX(id, text) [KEY_##id] = text,
    EVENT_KEY_MAP(XX)
#undef XX
};

#define IS(literal) (memcmp(k.p, "" literal, sizeof(literal) - 1) == 0)
static inline enum key key_of(struct bytes k) {
  switch (k.n) {
  case 4: return IS("type") ? KEY_TYPE : IS("name") ? KEY_NAME : KEYS;
  case 5: return IS("event") ? KEY_EVENT : KEYS;
  case 6:
    return IS("userId")   ? KEY_USER
           : IS("traits") ? KEY_TRAITS
           : IS("sentAt") ? KEY_SENT
           : IS("schema") ? KEY_SCHEMA
                          : KEYS;
  case 7: return IS("context") ? KEY_CONTEXT : IS("channel") ? KEY_CHANNEL : IS("groupId") ? KEY_GROUP : KEYS;
  case 9: return IS("timestamp") ? KEY_TIMESTAMP : IS("messageId") ? KEY_MESSAGE : KEYS;
  case 10:
    return IS("properties") ? KEY_PROPERTIES : IS("receivedAt") ? KEY_RECEIVED : IS("previousId") ? KEY_PREVIOUS : KEYS;
  case 11: return IS("anonymousId") ? KEY_ANONYMOUS : KEYS;
  case 17: return IS("originalTimestamp") ? KEY_ORIGINAL : KEYS;
  default: return KEYS;
  }
}
#undef IS

// What is being read, and who wants to know what is wrong. A value is there when its bit in `found` is set.
struct reading {
  uint32_t found;
  struct bytes value[KEYS];
  const struct event_limits *limits;
  struct error *err;
};

static inline struct bytes value_of(const struct reading *r, enum key key) {
  return r->found >> key & 1 ? r->value[key] : (struct bytes){NULL, 0}; // absent or nil
}

static void keys_collect(struct bytes map, struct reading *r) {
  uint32_t seen = 0; // the first of equal keys counts, also when it is nil
  struct mp m = mp_of(map);
  for (uint32_t left = mp_next(&m).count; left > 0; left--) {
    struct bytes text;
    enum key key = mp_take_str(&m, &text) ? key_of(text) : KEYS;
    struct bytes value = mp_take(&m);
    if (key == KEYS || seen & 1u << key) continue;
    seen |= 1u << key;
    if (value.p[0] != 0xc0) r->value[key] = value, r->found |= 1u << key;
  }
}

// ---- saying what was found ----
static const char *type_text(struct bytes value) {
  switch (mp_value_of(value).type) {
  case MP_NIL: return "nil";
  case MP_BOOL: return "a boolean";
  case MP_INT:
  case MP_UINT: return "an integer";
  case MP_FLOAT: return "a float";
  case MP_STR: return "text";
  case MP_BIN: return "binary";
  case MP_ARRAY: return "a list";
  case MP_MAP: return "a map";
  case MP_EXT: return "an extension";
  }
  return "unknown";
}

static int wrong_type(const struct reading *r, const char *key, struct bytes value, const char *wanted) {
  return error_set(r->err, ITD_EEVENT, "%s is %s; it must be %s", key, type_text(value), wanted);
}

// Text of the sender for an error: short, one line, well-formed.
#define QUOTE_MAX 48
static const char *quote(struct bytes text, char out[QUOTE_MAX + 4]) {
  bool is_cut = text.n > QUOTE_MAX;
  size_t n = mp_utf8_prefix(bytes_of(text.p, is_cut ? QUOTE_MAX : text.n));
  for (size_t i = 0; i < n; i++) out[i] = text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : (char)text.p[i];
  strcpy(out + n, n < text.n ? "…" : "");
  return out;
}

// ---- judging a key ----
static int utf8_check(const struct reading *r, const char *key, struct bytes text) {
  if (bytes_is_utf8(text)) return 0;
  return error_set(r->err, ITD_EEVENT, "%s is not UTF-8 (from its byte %zu on)", key, mp_utf8_prefix(text));
}

static int name_read(const struct reading *r, enum key key, struct bytes *out) {
  struct bytes value = value_of(r, key), text;
  if (value.n == 0) return 0;
  if (!mp_as_str(value, &text)) return wrong_type(r, key_names[key], value, "text");
  if (text.n > r->limits->name_max)
    return error_set(r->err, ITD_ETOOBIG, "%s is %zu bytes long, over event.name_bytes = %zu", key_names[key], text.n,
                     r->limits->name_max);
  int rc = utf8_check(r, key_names[key], text);
  if (rc == 0) *out = text;
  return rc;
}

static int id_read(const struct reading *r, enum key key, char digits[24], struct bytes *out) {
  struct bytes value = value_of(r, key);
  if (value.n == 0) return 0;
  struct mp_value v = mp_value_of(value);
  if (v.type == MP_INT || v.type == MP_UINT) {
    int n = v.type == MP_INT ? snprintf(digits, 24, "%lld", (long long)v.i)
                             : snprintf(digits, 24, "%llu", (unsigned long long)v.u);
    *out = bytes_of(digits, (size_t)n);
    return 0;
  }
  if (v.type != MP_STR) return wrong_type(r, key_names[key], value, "text or an integer");
  if (v.s.n > r->limits->id_max)
    return error_set(r->err, ITD_ETOOBIG, "%s is %zu bytes long, over event.id_bytes = %zu", key_names[key], v.s.n,
                     r->limits->id_max);
  int rc = utf8_check(r, key_names[key], v.s);
  if (rc == 0) *out = v.s;
  return rc;
}

static int map_read(const struct reading *r, enum key key, struct bytes *out) {
  struct bytes value = value_of(r, key);
  if (value.n == 0) return 0;
  struct mp m = mp_of(value);
  if (mp_peek(&m) != MP_MAP) return wrong_type(r, key_names[key], value, "a map");
  *out = value;
  return 0;
}

static int time_range(const struct reading *r, enum key key, int64_t time_ms) {
  if (time_ms >= MP_TIME_MIN_MS && time_ms <= MP_TIME_MAX_MS) return 0;
  return error_set(r->err, ITD_EEVENT, "%s lies outside the years 0001 to 9999 (numbers are read as milliseconds)",
                   key_names[key]);
}

// Leaves *time_ms alone when the key is absent.
static int time_read(const struct reading *r, enum key key, int64_t *time_ms) {
  struct bytes value = value_of(r, key);
  if (value.n == 0) return 0;
  struct mp_value v = mp_value_of(value);
  int64_t t;
  char shown[QUOTE_MAX + 4];
  switch (v.type) {
  case MP_INT: t = v.i; break;
  case MP_UINT: t = INT64_MAX; break;
  case MP_FLOAT:
    if (!(v.f > -9e18 && v.f < 9e18) || (double)(int64_t)v.f != v.f)
      return error_set(r->err, ITD_EEVENT, "%s is a float that is no whole number of milliseconds", key_names[key]);
    t = (int64_t)v.f;
    break;
  case MP_STR:
    if (time_parse(v.s, &t) != 0)
      return error_set(r->err, ITD_EEVENT, "%s is \"%s\", which is no RFC 3339 time such as 2026-01-05T08:30:00Z",
                       key_names[key], quote(v.s, shown));
    break;
  case MP_EXT:
    if (!mp_as_timestamp(&v, &t))
      return error_set(r->err, ITD_EEVENT, "%s is an extension, but no MessagePack timestamp of the years 0001 to 9999",
                       key_names[key]);
    break;
  default:
    return wrong_type(r, key_names[key], value, "RFC 3339 text, integer milliseconds or a MessagePack timestamp");
  }
  int rc = time_range(r, key, t);
  if (rc == 0) *time_ms = t;
  return rc;
}

// ---- the parts of an event ----
static const char *const type_names[EVENT_TYPES] = {"track", "identify", "page", "screen", "group", "alias"};
const char *event_type_name(enum event_type type) {
  CHECK((unsigned)type < EVENT_TYPES);
  return type_names[type];
}

static bool eq_any_case(struct bytes text, const char *lower) {
  size_t n = strlen(lower);
  if (text.n != n) return false;
  for (size_t i = 0; i < n; i++) {
    uint8_t c = text.p[i];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != lower[i]) return false;
  }
  return true;
}

static int type_read(const struct reading *r, enum event_type *type) {
  struct bytes value = value_of(r, KEY_TYPE), text;
  if (value.n == 0) {
    if (value_of(r, KEY_EVENT).n == 0)
      return error_set(r->err, ITD_EEVENT, "type is missing, and there is no event either");
    *type = EVENT_TRACK;
    return 0;
  }
  if (!mp_as_str(value, &text)) return wrong_type(r, "type", value, "text");
  for (int i = 0; i < EVENT_TYPES; i++) {
    if (!eq_any_case(text, type_names[i])) continue;
    *type = (enum event_type)i;
    return 0;
  }
  char shown[QUOTE_MAX + 4];
  return error_set(r->err, ITD_EEVENT, "type is \"%s\"; it must be track, identify, page, screen, group or alias",
                   quote(text, shown));
}

static int who_read(const struct reading *r, struct event_digits *digits, struct event *e) {
  int rc;
  if ((rc = id_read(r, KEY_USER, digits->text[0], &e->user_id)) < 0) return rc;
  if ((rc = id_read(r, KEY_ANONYMOUS, digits->text[1], &e->anonymous_id)) < 0) return rc;
  if ((rc = id_read(r, KEY_GROUP, digits->text[2], &e->group_id)) < 0) return rc;
  if ((rc = id_read(r, KEY_PREVIOUS, digits->text[3], &e->previous_id)) < 0) return rc;
  if ((rc = id_read(r, KEY_MESSAGE, digits->text[4], &e->message_id)) < 0) return rc;
  if (e->user_id.n > 0 || e->anonymous_id.n > 0) return 0;
  return error_set(r->err, ITD_EEVENT,
                   "userId and anonymousId are both missing or empty; one of them must say who it was");
}

static int what_read(const struct reading *r, struct event *e) {
  int rc;
  switch (e->type) {
  case EVENT_TRACK:
    if ((rc = name_read(r, KEY_EVENT, &e->name)) < 0) return rc;
    if (e->name.n == 0)
      return error_set(r->err, ITD_EEVENT, "event is missing or empty; a track must name what happened");
    break;
  case EVENT_PAGE:
  case EVENT_SCREEN:
    if ((rc = name_read(r, KEY_NAME, &e->name)) < 0) return rc;
    break;
  default: break;
  }
  if ((rc = name_read(r, KEY_SCHEMA, &e->schema)) < 0) return rc;
  return name_read(r, KEY_CHANNEL, &e->channel);
}

static int when_read(const struct reading *r, int64_t received_ms, struct event *e) {
  int64_t original_ms = 0, sent_ms = 0, sender_received_ms, time_ms = received_ms;
  int rc;
  if ((rc = time_read(r, KEY_TIMESTAMP, &time_ms)) < 0) return rc;
  if ((rc = time_read(r, KEY_ORIGINAL, &original_ms)) < 0) return rc;
  if ((rc = time_read(r, KEY_SENT, &sent_ms)) < 0) return rc;
  if ((rc = time_read(r, KEY_RECEIVED, &sender_received_ms)) < 0) return rc;
  bool has_original = value_of(r, KEY_ORIGINAL).n > 0, has_sent = value_of(r, KEY_SENT).n > 0;
  e->has_timestamp = value_of(r, KEY_TIMESTAMP).n > 0 || has_original;
  if (value_of(r, KEY_TIMESTAMP).n == 0 && has_original) {
    time_ms = has_sent ? received_ms - (sent_ms - original_ms) : original_ms;
    if ((rc = time_range(r, KEY_ORIGINAL, time_ms)) < 0) return rc;
  }
  e->timestamp_ms = time_ms;
  e->sent_at_ms = sent_ms;
  return 0;
}

static bool is_hex(struct bytes text, size_t from, size_t to) {
  bool nonzero = false;
  for (size_t i = from; i < to; i++) {
    uint8_t c = text.p[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    nonzero |= c != '0';
  }
  return nonzero || to - from == 2; // ids of all zeros are invalid, version and flags may be 00
}

// W3C Trace Context, level 1: version-traceid-parentid-flags; a later version may have more after another dash.
static bool is_traceparent(struct bytes t) {
  if (t.n < 55 || t.p[2] != '-' || t.p[35] != '-' || t.p[52] != '-') return false;
  if (!is_hex(t, 0, 2) || !is_hex(t, 3, 35) || !is_hex(t, 36, 52) || !is_hex(t, 53, 55)) return false;
  if (t.p[0] == 'f' && t.p[1] == 'f') return false;
  bool is_version_0 = t.p[0] == '0' && t.p[1] == '0';
  return t.n == 55 || (!is_version_0 && t.p[55] == '-');
}

static int context_read(const struct reading *r, struct event *e) {
  bool has_traits = false, has_trace = false;
  struct mp m = mp_of(e->context);
  for (uint32_t left = mp_next(&m).count; left > 0; left--) {
    struct bytes key = {NULL, 0}, text;
    if (mp_take_str(&m, &text)) key = text;
    struct bytes value = mp_take(&m);
    if (!has_traits && bytes_eq(key, BYTES_LIT("traits"))) {
      has_traits = true;
      if (e->traits.n > 0 || value.p[0] == 0xc0) continue;
      struct mp at = mp_of(value);
      if (mp_peek(&at) != MP_MAP) return wrong_type(r, "context.traits", value, "a map");
      e->traits = value;
    } else if (!has_trace && bytes_eq(key, BYTES_LIT("traceparent"))) {
      has_trace = true;
      if (mp_as_str(value, &text) && is_traceparent(text)) e->traceparent = text;
    }
  }
  return 0;
}

static int maps_read(const struct reading *r, struct event *e) {
  int rc;
  struct bytes value, text;
  if ((rc = map_read(r, KEY_PROPERTIES, &e->properties)) < 0) return rc;
  if ((rc = map_read(r, KEY_TRAITS, &e->traits)) < 0) return rc;
  if ((rc = map_read(r, KEY_CONTEXT, &e->context)) < 0) return rc;
  if (e->context.n > 0 && (rc = context_read(r, e)) < 0) return rc;
  // A property that happens to be called channel must not cost the event: what can't be a channel is just a property.
  if (e->channel.n == 0 && e->properties.n > 0 && mp_find(e->properties, BYTES_LIT("channel"), &value) &&
      mp_as_str(value, &text) && text.n <= r->limits->name_max && bytes_is_utf8(text))
    e->channel = text;
  return 0;
}

// digits NULL: nobody asks whose it is.
static int decode(struct bytes map, int64_t received_ms, const struct event_limits *limits, struct event_digits *digits,
                  struct event *event, struct error *err) {
  CHECK(received_ms >= MP_TIME_MIN_MS && received_ms <= MP_TIME_MAX_MS);
  struct reading r; // not all zeroed: that would cost more than the reading
  r.found = 0, r.limits = limits, r.err = err;
  struct event e = {.raw = map};
  if (map.n > limits->bytes_max)
    return error_set(err, ITD_ETOOBIG, "the event is %zu bytes long, over event.bytes = %zu", map.n, limits->bytes_max);
  struct mp m = mp_of(map);
  if (mp_peek(&m) != MP_MAP) return wrong_type(&r, "the event", map, "a map");
  keys_collect(map, &r);
  int rc;
  if ((rc = type_read(&r, &e.type)) < 0) return rc;
  if (digits && (rc = who_read(&r, digits, &e)) < 0) return rc;
  if ((rc = what_read(&r, &e)) < 0) return rc;
  if ((rc = when_read(&r, received_ms, &e)) < 0) return rc;
  if ((rc = maps_read(&r, &e)) < 0) return rc;
  *event = e;
  return 0;
}

int event_decode(struct bytes map, int64_t received_ms, const struct event_limits *limits, struct event_digits *digits,
                 struct event *event, struct error *err) {
  return decode(map, received_ms, limits, digits, event, err);
}

int event_decode_clear(struct bytes clear, int64_t received_ms, struct event *event, struct error *err) {
  static const struct event_limits none = {.id_max = SIZE_MAX,
                                           .name_max = SIZE_MAX,
                                           .bytes_max = SIZE_MAX,
                                           .late_max_ms = INT64_MAX,
                                           .future_max_ms = INT64_MAX};
  return decode(clear, received_ms, &none, NULL, event, err);
}

// ---- time bounds ----
int event_check_time(const struct event *event, int64_t now_ms, const struct event_limits *limits, struct error *err) {
  CHECK(now_ms >= MP_TIME_MIN_MS && now_ms <= MP_TIME_MAX_MS);
  int64_t age_ms = now_ms - event->timestamp_ms;
  bool is_late = age_ms > limits->late_max_ms, is_future = -age_ms > limits->future_max_ms;
  if (!is_late && !is_future) return 0;
  char when[TIME_TEXT_MAX], bound[DURATION_TEXT_MAX];
  time_format(event->timestamp_ms, when);
  duration_format(is_late ? limits->late_max_ms : limits->future_max_ms, bound);
  if (is_future) return error_set(err, ITD_ETIME, "timestamp %s is ahead by more than event.future = %s", when, bound);
  int64_t as_seconds_ms = event->timestamp_ms > MP_TIME_MAX_MS / 1000 ? INT64_MIN : event->timestamp_ms * 1000;
  bool looks_like_seconds = event->timestamp_ms > 0 && as_seconds_ms > 0 &&
                            now_ms - as_seconds_ms <= limits->late_max_ms &&
                            as_seconds_ms - now_ms <= limits->future_max_ms;
  return error_set(err, ITD_ETIME, "timestamp %s is older than event.late = %s%s", when, bound,
                   looks_like_seconds ? " (it looks like seconds; send milliseconds)" : "");
}
