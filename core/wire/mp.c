// Scanning and walking MessagePack. One table says how each first byte goes on; scan, skip and read all stand on it.
// Uses: nothing but the bytes. Pure, any thread.
#include "wire/mp.h"

#include "base/check.h"

// ---- the shape of a value ----
enum form { FORM_BAD, FORM_PLAIN, FORM_BYTES, FORM_ARRAY, FORM_MAP };

// What follows a first byte of 0xc0 to 0xdf: `width` bytes of a length, and `body` bytes beside what that length says.
struct shape {
  uint8_t form, width, body;
};
static const struct shape shapes[32] = {
    [0x00] = {FORM_PLAIN, 0, 0}, [0x01] = {FORM_BAD, 0, 0},                                 // nil, never used
    [0x02] = {FORM_PLAIN, 0, 0}, [0x03] = {FORM_PLAIN, 0, 0},                               // false, true
    [0x04] = {FORM_BYTES, 1, 0}, [0x05] = {FORM_BYTES, 2, 0},  [0x06] = {FORM_BYTES, 4, 0}, // bin
    [0x07] = {FORM_BYTES, 1, 1}, [0x08] = {FORM_BYTES, 2, 1},  [0x09] = {FORM_BYTES, 4, 1}, // ext and its type
    [0x0a] = {FORM_PLAIN, 0, 4}, [0x0b] = {FORM_PLAIN, 0, 8},                               // float
    [0x0c] = {FORM_PLAIN, 0, 1}, [0x0d] = {FORM_PLAIN, 0, 2},                               // unsigned
    [0x0e] = {FORM_PLAIN, 0, 4}, [0x0f] = {FORM_PLAIN, 0, 8},                               //
    [0x10] = {FORM_PLAIN, 0, 1}, [0x11] = {FORM_PLAIN, 0, 2},                               // signed
    [0x12] = {FORM_PLAIN, 0, 4}, [0x13] = {FORM_PLAIN, 0, 8},                               //
    [0x14] = {FORM_PLAIN, 0, 2}, [0x15] = {FORM_PLAIN, 0, 3},  [0x16] = {FORM_PLAIN, 0, 5}, // fixext and its type
    [0x17] = {FORM_PLAIN, 0, 9}, [0x18] = {FORM_PLAIN, 0, 17},                              //
    [0x19] = {FORM_BYTES, 1, 0}, [0x1a] = {FORM_BYTES, 2, 0},  [0x1b] = {FORM_BYTES, 4, 0}, // str
    [0x1c] = {FORM_ARRAY, 2, 0}, [0x1d] = {FORM_ARRAY, 4, 0},                               // array
    [0x1e] = {FORM_MAP, 2, 0},   [0x1f] = {FORM_MAP, 4, 0},                                 // map
};

static inline uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t be32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}
static inline uint64_t be64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return __builtin_bswap64(v);
}
static inline uint32_t be_width(const uint8_t *p, unsigned width) {
  return width == 1 ? p[0] : width == 2 ? be16(p) : width == 4 ? be32(p) : 0;
}

struct head {
  uint8_t form;
  uint32_t head; // bytes of the first byte and the length
  uint64_t body; // bytes after the head that are this value's own
  uint64_t kids; // values inside: elements, or keys and values
};
// *h is complete when this returns true. False: the length is cut off, and only form and head are set.
static inline bool head_read(const uint8_t *p, size_t n, struct head *h) {
  uint8_t c = p[0];
  *h = (struct head){.form = FORM_PLAIN, .head = 1};
  if (c < 0x80 || c >= 0xe0) return true;
  if (c < 0xc0) {
    if (c >= 0xa0)
      h->form = FORM_BYTES, h->body = c & 31;
    else if (c >= 0x90)
      h->form = FORM_ARRAY, h->kids = c & 15;
    else
      h->form = FORM_MAP, h->kids = 2u * (c & 15);
    return true;
  }
  struct shape s = shapes[c - 0xc0];
  h->form = s.form;
  h->head = 1u + s.width;
  if (n < h->head) return false;
  uint64_t length = be_width(p + 1, s.width);
  h->body = s.body + (s.form == FORM_BYTES ? length : 0);
  h->kids = s.form == FORM_ARRAY ? length : s.form == FORM_MAP ? 2 * length : 0;
  return true;
}

// ---- scan ----
static int scan_too_long(const struct mp_limits *limits, struct error *err) {
  return error_set(err, ITD_ETOOBIG, "the value is longer than %zu bytes (frame.bytes)", limits->bytes_max);
}

int mp_scan(struct bytes in, const struct mp_limits *limits, size_t *len, struct error *err) {
  CHECK(limits->depth_max <= MP_DEPTH_MAX);
  uint64_t left[MP_DEPTH_MAX]; // values still to come in each open array or map
  unsigned depth = 0;
  uint64_t promised = 1; // values that heads so far announce and that are not read yet: at least a byte each
  uint64_t seen = 0;
  size_t at = 0;
  while (promised > 0) {
    if (promised > limits->objects_max - seen)
      return error_set(err, ITD_ETOOBIG, "the value holds more than %u values (frame.objects)", limits->objects_max);
    if (promised > limits->bytes_max - at) return scan_too_long(limits, err);
    if (at == in.n) return 0;
    struct head h;
    bool whole = head_read(in.p + at, in.n - at, &h);
    if (h.form == FORM_BAD) return error_set(err, ITD_EFRAME, "byte 0xc1 at offset %zu is not MessagePack", at);
    if (h.head > limits->bytes_max - at) return scan_too_long(limits, err);
    if (!whole) return 0;
    at += h.head;
    if (h.body > limits->bytes_max - at) return scan_too_long(limits, err);
    if (h.form >= FORM_ARRAY) {
      if (depth == limits->depth_max)
        return error_set(err, ITD_ETOOBIG, "the value is nested deeper than %u (frame.depth)", limits->depth_max);
      if (h.kids > 0) {
        left[depth++] = h.kids;
        promised += h.kids - 1;
        seen++;
        continue;
      }
    } else if (h.body > in.n - at) {
      // The value is cut off; what must follow it may already be too much.
      if (promised - 1 > limits->bytes_max - at - h.body) return scan_too_long(limits, err);
      return 0;
    }
    at += h.body;
    promised--;
    seen++;
    while (depth > 0 && --left[depth - 1] == 0) depth--;
  }
  *len = at;
  return 1;
}

// ---- walk ----
static inline struct head head_at(const uint8_t *p, const uint8_t *end) {
  CHECK(p < end);
  struct head h;
  bool whole = head_read(p, (size_t)(end - p), &h);
  CHECK(whole && h.head + h.body <= (uint64_t)(end - p));
  return h;
}

static struct mp_value value_unsigned(uint64_t u) {
  if (u <= INT64_MAX) return (struct mp_value){.type = MP_INT, .i = (int64_t)u};
  return (struct mp_value){.type = MP_UINT, .u = u};
}
static struct mp_value value_float(uint64_t bits) {
  struct mp_value v = {.type = MP_FLOAT};
  memcpy(&v.f, &bits, sizeof v.f);
  return v;
}
static struct mp_value value_single(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return (struct mp_value){.type = MP_FLOAT, .is_single = true, .f = (double)f};
}
#define VALUE_INT(x) ((struct mp_value){.type = MP_INT, .i = (x)})

// A value whose first byte is 0xc0 to 0xd8 and that is a number or a constant; `p` is behind the first byte.
static struct mp_value value_plain(uint8_t c, const uint8_t *p) {
  switch (c) {
  case 0xc2:
  case 0xc3: return (struct mp_value){.type = MP_BOOL, .b = c == 0xc3};
  case 0xca: return value_single(be32(p));
  case 0xcb: return value_float(be64(p));
  case 0xcc: return VALUE_INT(p[0]);
  case 0xcd: return VALUE_INT(be16(p));
  case 0xce: return VALUE_INT(be32(p));
  case 0xcf: return value_unsigned(be64(p));
  case 0xd0: return VALUE_INT((int8_t)p[0]);
  case 0xd1: return VALUE_INT((int16_t)be16(p));
  case 0xd2: return VALUE_INT((int32_t)be32(p));
  case 0xd3: return VALUE_INT((int64_t)be64(p));
  default: return (struct mp_value){.type = MP_NIL};
  }
}

static enum mp_type type_of(uint8_t c) {
  if (c < 0x80 || c >= 0xe0) return MP_INT;
  if (c < 0x90) return MP_MAP;
  if (c < 0xa0) return MP_ARRAY;
  if (c < 0xc0) return MP_STR;
  static const uint8_t types[32] = {MP_NIL, MP_NIL, MP_BOOL,  MP_BOOL,  MP_BIN,   MP_BIN,   MP_BIN, MP_EXT,
                                    MP_EXT, MP_EXT, MP_FLOAT, MP_FLOAT, MP_INT,   MP_INT,   MP_INT, MP_INT,
                                    MP_INT, MP_INT, MP_INT,   MP_INT,   MP_EXT,   MP_EXT,   MP_EXT, MP_EXT,
                                    MP_EXT, MP_STR, MP_STR,   MP_STR,   MP_ARRAY, MP_ARRAY, MP_MAP, MP_MAP};
  return (enum mp_type)types[c - 0xc0];
}

static inline struct mp_value value_at(const uint8_t *p, const struct head *h) {
  uint8_t c = p[0];
  const uint8_t *body = p + h->head;
  if (c < 0x80) return VALUE_INT(c);
  if (c >= 0xe0) return VALUE_INT((int8_t)c);
  enum mp_type type = type_of(c);
  switch (type) {
  case MP_STR:
  case MP_BIN: return (struct mp_value){.type = type, .s = {body, h->body}};
  case MP_EXT: return (struct mp_value){.type = type, .ext_type = (int8_t)body[0], .s = {body + 1, h->body - 1}};
  case MP_ARRAY: return (struct mp_value){.type = type, .count = (uint32_t)h->kids};
  case MP_MAP: return (struct mp_value){.type = type, .count = (uint32_t)(h->kids / 2)};
  default: return value_plain(c, body);
  }
}

const uint8_t *mp_read_at(const uint8_t *p, const uint8_t *end, struct mp_value *v) {
  struct head h = head_at(p, end);
  *v = value_at(p, &h);
  return p + h.head + h.body;
}

const uint8_t *mp_skip_at(const uint8_t *p, const uint8_t *end) {
  for (uint64_t left = 1; left > 0; left--) {
    struct head h = head_at(p, end);
    p += h.head + h.body;
    left += h.kids;
  }
  return p;
}

enum mp_type mp_type_at(const uint8_t *p, const uint8_t *end) {
  CHECK(p < end);
  if (*p == 0xcf) return mp_value_of(bytes_of(p, (size_t)(end - p))).type; // its size tells which
  return type_of(*p);
}

struct mp_value mp_value_of(struct bytes value) {
  struct mp m = mp_of(value);
  return mp_next(&m);
}

bool mp_find(struct bytes map, struct bytes key, struct bytes *value) {
  struct mp m = mp_of(map);
  if (mp_done(&m) || mp_peek(&m) != MP_MAP) return false;
  for (uint32_t left = mp_next(&m).count; left > 0; left--) {
    struct bytes text;
    bool is_it = mp_take_str(&m, &text) && bytes_eq(text, key);
    struct bytes found = mp_take(&m);
    if (!is_it) continue;
    *value = found;
    return true;
  }
  return false;
}

bool mp_find_path(struct bytes map, struct bytes path, struct bytes *value) {
  if (mp_find(map, path, value)) return true;
  for (size_t dot = path.n; dot-- > 0;) { // the longest key first
    struct bytes inner;
    if (path.p[dot] == '.' && mp_find(map, bytes_of(path.p, dot), &inner) &&
        mp_find_path(inner, bytes_of(path.p + dot + 1, path.n - dot - 1), value))
      return true;
  }
  return false;
}

bool mp_as_number(struct bytes value, double *number) {
  struct mp_value v = mp_value_of(value);
  switch (v.type) {
  case MP_BOOL: *number = v.b; return true;
  case MP_INT: *number = (double)v.i; return true;
  case MP_UINT: *number = (double)v.u; return true;
  case MP_FLOAT: *number = v.f; return true;
  default: return false;
  }
}

bool mp_as_str(struct bytes value, struct bytes *text) {
  struct mp_value v = mp_value_of(value);
  if (v.type != MP_STR) return false;
  *text = v.s;
  return true;
}

bool mp_as_timestamp(const struct mp_value *v, int64_t *time_ms) {
  if (v->type != MP_EXT || v->ext_type != -1) return false;
  int64_t seconds;
  uint32_t ns = 0;
  switch (v->s.n) {
  case 4: seconds = be32(v->s.p); break;
  case 8:
    ns = (uint32_t)(be64(v->s.p) >> 34);
    seconds = (int64_t)(be64(v->s.p) & ((1ull << 34) - 1));
    break;
  case 12:
    ns = be32(v->s.p);
    seconds = (int64_t)be64(v->s.p + 4);
    break;
  default: return false;
  }
  // MP_TIME_MAX_MS is the last millisecond of a second, so whole seconds tell whether the sum is in range.
  if (ns > 999999999 || seconds < MP_TIME_MIN_MS / 1000 || seconds > MP_TIME_MAX_MS / 1000) return false;
  *time_ms = seconds * 1000 + ns / 1000000;
  return true;
}

size_t mp_utf8_prefix(struct bytes text) {
  if (bytes_is_utf8(text)) return text.n;
  size_t at = 0;
  for (;;) {
    uint8_t c = text.p[at];
    size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (length > text.n - at || !bytes_is_utf8(bytes_of(text.p + at, length))) return at;
    at += length; // ends before the text does, since not all of it is UTF-8
  }
}
