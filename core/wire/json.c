// JSON to MessagePack by jansson, and MessagePack to JSON by a small writer of our own: jansson's tree can hold neither
// equal keys nor broken text, and what was received must be shown as it came. Pure, any thread.
#include <jansson.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "wire/mp.h"

// ---- JSON to MessagePack ----

// jansson builds its whole tree before we see any of it, and a few bytes of text make a hundred of tree. So depth and
// number of values are counted in the text first; for well-formed text the counts are exact.
static int bounds_check(struct bytes json, const struct mp_limits *limits, struct error *err) {
  if (json.n > limits->bytes_max)
    return error_set(err, ITD_ETOOBIG, "the text is longer than %zu bytes (frame.bytes)", limits->bytes_max);
  uint64_t objects = 1, depth = 0;
  bool in_text = false, just_opened = false;
  for (size_t i = 0; i < json.n; i++) {
    uint8_t c = json.p[i];
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    if (in_text) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_text = false;
      continue;
    }
    if (just_opened && c != ']' && c != '}') objects++; // the first element
    just_opened = c == '[' || c == '{';
    if (c == '"')
      in_text = true;
    else if (c == ',' || c == ':')
      objects++;
    else if (just_opened)
      depth++;
    else if ((c == ']' || c == '}') && depth > 0)
      depth--;
    if (depth > limits->depth_max)
      return error_set(err, ITD_ETOOBIG, "the text is nested deeper than %u (frame.depth)", limits->depth_max);
    if (objects > limits->objects_max)
      return error_set(err, ITD_ETOOBIG, "the text holds more than %u values (frame.objects)", limits->objects_max);
  }
  return 0;
}

// Recursive; the text's depth has been bounded.
static void tree_put(json_t *value, struct buf *out) {
  switch (json_typeof(value)) {
  case JSON_NULL: mp_put_nil(out); return;
  case JSON_FALSE: mp_put_bool(out, false); return;
  case JSON_TRUE: mp_put_bool(out, true); return;
  case JSON_INTEGER: mp_put_int(out, json_integer_value(value)); return;
  case JSON_REAL: mp_put_float(out, json_real_value(value)); return;
  case JSON_STRING: mp_put_str(out, bytes_of(json_string_value(value), json_string_length(value))); return;
  case JSON_ARRAY: {
    size_t i;
    json_t *element;
    mp_put_array(out, (uint32_t)json_array_size(value));
    json_array_foreach(value, i, element) tree_put(element, out);
    return;
  }
  case JSON_OBJECT:
    mp_put_map(out, (uint32_t)json_object_size(value));
    for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at)) { // in the text's order
      mp_put_cstr(out, json_object_iter_key(at));
      tree_put(json_object_iter_value(at), out);
    }
    return;
  }
}

static int load_error(const json_error_t *e, struct error *err) {
  const char *what = e->text, *more = "";
  if (json_error_code(e) == json_error_numeric_overflow) {
    bool is_real = strstr(e->text, "real") != NULL;
    what = is_real ? "a number beyond the range of a 64-bit float"
                   : "an integer beyond the range of 64 bits with a sign (send it as text)";
  } else if (json_error_code(e) == json_error_invalid_utf8) {
    what = "bytes that are not UTF-8";
  } else if (json_error_code(e) == json_error_null_byte_in_key) {
    what = "\\u0000 in a key";
  } else if (json_error_code(e) == json_error_duplicate_key) {
    more = " in one object";
  }
  return error_set(err, ITD_EFRAME, "JSON, line %d, column %d: %s%s", e->line, e->column, what, more);
}

int mp_from_json(struct bytes json, const struct mp_limits *limits, struct buf *out, struct error *err) {
  int rc = bounds_check(json, limits, err);
  if (rc < 0) return rc;
  json_error_t e;
  json_t *tree = json_loadb(json.n ? (const char *)json.p : "", json.n,
                            JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
  if (!tree) return load_error(&e, err);
  size_t start = out->n, len;
  tree_put(tree, out);
  json_decref(tree);
  // Floats take more bytes than short texts of them, so the outcome is held against the limits as well.
  rc = mp_scan(bytes_of(out->p + start, out->n - start), limits, &len, err);
  if (rc < 0) {
    out->n = start;
    return rc;
  }
  CHECK(rc == 1 && len == out->n - start);
  return 0;
}

// ---- MessagePack to JSON ----

static void json_put_char(struct buf *out, uint8_t c) {
  switch (c) {
  case '"':
  case '\\': buf_printf(out, "\\%c", c); return;
  case '\n': buf_append_str(out, "\\n"); return;
  case '\t': buf_append_str(out, "\\t"); return;
  case '\r': buf_append_str(out, "\\r"); return;
  default: buf_printf(out, "\\u%04x", c);
  }
}

static void json_put_text(struct buf *out, struct bytes text) {
  buf_append_u8(out, '"');
  while (text.n > 0) {
    size_t good = mp_utf8_prefix(text), plain = 0;
    while (plain < good) {
      const uint8_t *p = text.p + plain;
      size_t run = 0;
      while (plain + run < good && p[run] >= 0x20 && p[run] != '"' && p[run] != '\\' && p[run] != 0x7f) run++;
      buf_append(out, p, run);
      plain += run;
      if (plain < good) json_put_char(out, text.p[plain++]);
    }
    if (good < text.n) buf_append_str(out, "\xef\xbf\xbd"), good++; // a byte that is no UTF-8
    text = bytes_of(text.p + good, text.n - good);
  }
  buf_append_u8(out, '"');
}

// The shortest text that reads as the same number, always with a mark of a float.
static void json_put_float(struct buf *out, double f) {
  if (!isfinite(f)) {
    buf_append_str(out, "null");
    return;
  }
  char text[32];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, f);
    if (strtod(text, NULL) == f) break;
  }
  buf_append_str(out, text);
  if (!strpbrk(text, ".e")) buf_append_str(out, ".0");
}

static void json_put_base64(struct buf *out, struct bytes data) {
  buf_append_u8(out, '"');
  const size_t step = 3 << 16; // whole groups, so that the pieces join
  for (size_t i = 0; i < data.n; i += step) {
    size_t n = data.n - i < step ? data.n - i : step;
    uint8_t *to = buf_reserve(out, (n + 2) / 3 * 4 + 1);
    out->n += (size_t)EVP_EncodeBlock(to, data.p + i, (int)n);
  }
  buf_append_u8(out, '"');
}

static void json_put_ext(struct buf *out, const struct mp_value *v) {
  int64_t time_ms;
  if (mp_as_timestamp(v, &time_ms)) {
    char text[TIME_TEXT_MAX];
    time_format(time_ms, text);
    buf_printf(out, "\"%s\"", text);
    return;
  }
  buf_printf(out, "{\"ext\":%d,\"base64\":", v->ext_type);
  json_put_base64(out, v->s);
  buf_append_u8(out, '}');
}

static void json_put(struct buf *out, struct mp *m);

static void json_put_key(struct buf *out, struct mp *m) {
  if (mp_peek(m) == MP_STR) {
    json_put_text(out, mp_next(m).s);
    return;
  }
  struct buf key;
  buf_init(&key);
  json_put(&key, m);
  json_put_text(out, buf_bytes(&key));
  buf_deinit(&key);
}

// Recursive; the scan bounded the depth.
static void json_put(struct buf *out, struct mp *m) {
  struct mp_value v = mp_next(m);
  switch (v.type) {
  case MP_NIL: buf_append_str(out, "null"); return;
  case MP_BOOL: buf_append_str(out, v.b ? "true" : "false"); return;
  case MP_INT: buf_printf(out, "%lld", (long long)v.i); return;
  case MP_UINT: buf_printf(out, "%llu", (unsigned long long)v.u); return;
  case MP_FLOAT: json_put_float(out, v.f); return;
  case MP_STR: json_put_text(out, v.s); return;
  case MP_BIN: json_put_base64(out, v.s); return;
  case MP_EXT: json_put_ext(out, &v); return;
  case MP_ARRAY:
    buf_append_u8(out, '[');
    for (uint32_t i = 0; i < v.count; i++) {
      if (i > 0) buf_append_u8(out, ',');
      json_put(out, m);
    }
    buf_append_u8(out, ']');
    return;
  case MP_MAP:
    buf_append_u8(out, '{');
    for (uint32_t i = 0; i < v.count; i++) {
      if (i > 0) buf_append_u8(out, ',');
      json_put_key(out, m);
      buf_append_u8(out, ':');
      json_put(out, m);
    }
    buf_append_u8(out, '}');
    return;
  }
}

void mp_to_json(struct bytes value, struct buf *out) {
  struct mp m = mp_of(value);
  json_put(out, &m);
}
