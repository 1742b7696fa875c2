// MessagePack, bounded. Bytes from outside first pass mp_scan, which finds one whole value and refuses what is too deep, too
// many or too long before anything is allocated. Everything else here walks bytes that have passed it, and never fails.
// Also packing into a struct buf, on msgpack-c. Pure; any thread.
#pragma once
#include "base/buf.h"

#define MP_DEPTH_MAX 64 // the most that depth_max may be: what walks recursively relies on it
struct mp_limits {
  uint32_t depth_max;   // nested arrays and maps, empty ones too
  uint32_t objects_max; // values in all, keys included
  size_t bytes_max;     // of the whole value
};
// frame.depth 16, frame.objects 65,536 (an event.batch of 1,000 fits), frame.bytes 4 MiB
#define MP_LIMITS_DEFAULT ((struct mp_limits){.depth_max = 16, .objects_max = 65536, .bytes_max = 4u << 20})

// Finds the first value of `in`. 1: whole, *len is its length. 0: its end is not here yet, and what is here breaks no limit:
// lengths and counts are refused when they are announced, not waited for (an element counts as a byte at least).
// ITD_EFRAME: not MessagePack (0xc1); ITD_ETOOBIG: a limit, which the text names. Iterative, allocates nothing.
int mp_scan(struct bytes in, const struct mp_limits *limits, size_t *len, struct error *err);

enum mp_type { MP_NIL, MP_BOOL, MP_INT, MP_UINT, MP_FLOAT, MP_STR, MP_BIN, MP_ARRAY, MP_MAP, MP_EXT };

struct mp_value {
  enum mp_type type;
  bool is_single;  // MP_FLOAT: came as 32 bits
  int8_t ext_type; // MP_EXT
  uint32_t count;  // MP_ARRAY: elements; MP_MAP: pairs
  union {
    bool b;
    int64_t i; // MP_INT: also every unsigned that fits; MP_UINT only above INT64_MAX
    uint64_t u;
    double f;
    struct bytes s; // MP_STR, MP_BIN, MP_EXT (without its type): points into the input
  };
};

// A place in scanned bytes.
struct mp {
  const uint8_t *p, *end;
};
static inline struct mp mp_of(struct bytes b) { return (struct mp){b.p, b.p + b.n}; }
static inline bool mp_done(const struct mp *m) { return m->p >= m->end; }
// What the readers below stand on: they take the place by its two pointers, so that it stays in registers while a map is walked.
// Each CHECKs that a whole value begins at p.
const uint8_t *mp_read_at(const uint8_t *p, const uint8_t *end, struct mp_value *v); // returns what follows
const uint8_t *mp_skip_at(const uint8_t *p, const uint8_t *end);
enum mp_type mp_type_at(const uint8_t *p, const uint8_t *end);

// Reads a scalar, or the head of an array or map.
static inline struct mp_value mp_next(struct mp *m) {
  struct mp_value v;
  m->p = mp_read_at(m->p, m->end, &v);
  return v;
}
// The bytes of the whole next value.
static inline struct bytes mp_take(struct mp *m) {
  const uint8_t *start = m->p;
  m->p = mp_skip_at(start, m->end);
  return bytes_of(start, (size_t)(m->p - start));
}
static inline enum mp_type mp_peek(const struct mp *m) { return mp_type_at(m->p, m->end); }
// For the keys of maps: the next value's text when it is MP_STR. Else takes that value whole, and returns false.
static inline bool mp_take_str(struct mp *m, struct bytes *text) {
  size_t n = !mp_done(m) && *m->p >= 0xa0 && *m->p < 0xc0 ? *m->p & 31u : SIZE_MAX; // the short form of nearly all keys
  if (n < (size_t)(m->end - m->p)) {
    *text = bytes_of(m->p + 1, n);
    m->p += 1 + n;
    return true;
  }
  if (mp_peek(m) != MP_STR) {
    mp_take(m);
    return false;
  }
  *text = mp_next(m).s;
  return true;
}
// The value of a string key in the map whose bytes are `map`; false when `map` is no map or lacks the key. The first of
// equal keys counts.
bool mp_find(struct bytes map, struct bytes key, struct bytes *value);
// The same for a path "a.b.c" of nested maps. A key that itself has dots is found first: "a.b" before {"a": {"b": …}}.
bool mp_find_path(struct bytes map, struct bytes path, struct bytes *value);
struct mp_value mp_value_of(struct bytes value); // the head of one value
// Numbers of any kind as a double (exact up to 2^53, nearest beyond; NaN and infinities as they are); bools are 0 and 1;
// strings are not numbers. False when it is none of these.
bool mp_as_number(struct bytes value, double *number);
bool mp_as_str(struct bytes value, struct bytes *text);
// A MessagePack timestamp (extension -1 of 4, 8 or 12 bytes) in ms since 1970, cut to whole ones. False when it is none, its
// nanoseconds exceed 999,999,999, or its year lies outside 0001 to 9999.
bool mp_as_timestamp(const struct mp_value *v, int64_t *time_ms);
#define MP_TIME_MIN_MS (-62135596800000ll) // 0001-01-01T00:00:00.000Z
#define MP_TIME_MAX_MS 253402300799999ll   // 9999-12-31T23:59:59.999Z
// Where the text stops being well-formed UTF-8: its length when all of it is.
size_t mp_utf8_prefix(struct bytes text);

// ---- packing (appends to `b`) ----
void mp_put_nil(struct buf *b);
void mp_put_bool(struct buf *b, bool v);
void mp_put_int(struct buf *b, int64_t v);
void mp_put_uint(struct buf *b, uint64_t v);
void mp_put_float(struct buf *b, double v);
void mp_put_known(struct buf *b, double v); // a float; nil when it is NaN or infinite, which JSON has no words for
void mp_put_str(struct buf *b, struct bytes text);
void mp_put_cstr(struct buf *b, const char *text);
void mp_put_bin(struct buf *b, struct bytes data);
void mp_put_array(struct buf *b, uint32_t count);
void mp_put_map(struct buf *b, uint32_t pairs);
void mp_put_raw(struct buf *b, struct bytes value); // an already packed value

// ---- JSON, on jansson ----
// One JSON text as MessagePack, appended; keys keep their order, integers stay integers, and numbers with a point or an exponent
// are floats. Integers outside int64, numbers beyond a double, invalid UTF-8 and duplicate keys are refused with line and
// column (ITD_EFRAME); depth, values and bytes (of the text, and of the outcome) over the limits with ITD_ETOOBIG. On failure
// `out` is as before.
int mp_from_json(struct bytes json, const struct mp_limits *limits, struct buf *out, struct error *err) ITD_MUST_USE;
// One value as JSON (compact, keys in their order, equal keys kept). NaN and infinities become null, bin becomes base64 text,
// the timestamp extension RFC 3339 text, another ext {"ext": type, "base64": …}; keys that are no strings are written as
// their JSON text; a byte that is no UTF-8 becomes U+FFFD.
void mp_to_json(struct bytes value, struct buf *out);
