#include "wire/payload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// ---- forms ----

static int digit_of(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Appends what a key or value stands for; false for a broken escape or bytes that are no UTF-8.
static bool unescape(struct bytes in, struct buf *out) {
  size_t start = out->n;
  for (size_t i = 0; i < in.n; i++) {
    uint8_t c = in.p[i];
    if (c == '+') c = ' ';
    if (c == '%') {
      bool is_whole = in.n - i > 2;
      int high = is_whole ? digit_of(in.p[i + 1]) : -1, low = is_whole ? digit_of(in.p[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      c = (uint8_t)(high * 16 + low);
      i += 2;
    }
    buf_append_u8(out, c);
  }
  return bytes_is_utf8(bytes_of(out->p + start, out->n - start));
}

struct form_field {
  size_t key, key_n, value, value_n; // places in the unescaped text
  bool is_put;
};

static struct bytes take_until(struct bytes *rest, uint8_t mark) {
  const uint8_t *at = rest->n ? memchr(rest->p, mark, rest->n) : NULL;
  struct bytes part = bytes_of(rest->p, at ? (size_t)(at - rest->p) : rest->n);
  size_t used = part.n + (at != NULL);
  *rest = bytes_of(rest->p + used, rest->n - used);
  return part;
}

static int read_fields(struct bytes form, struct form_field *fields, size_t *count, struct buf *text,
                       struct error *err) {
  while (form.n) {
    struct bytes value = take_until(&form, '&');
    if (!value.n) continue;
    struct bytes key = take_until(&value, '=');
    if (*count == PAYLOAD_FORM_FIELDS)
      return error_set(err, ITD_ETOOBIG, "a form of more than %d fields", PAYLOAD_FORM_FIELDS);
    struct form_field *f = &fields[(*count)++];
    *f = (struct form_field){.key = text->n};
    bool is_good = unescape(key, text);
    f->key_n = text->n - f->key;
    f->value = text->n;
    is_good = is_good && unescape(value, text);
    f->value_n = text->n - f->value;
    if (!is_good)
      return error_set(err, ITD_EFRAME, "field %zu of the form has a broken %%-escape, or is no UTF-8", *count);
  }
  return 0;
}

// All values of the key of fields[first], as one or as a list.
static void put_values(struct form_field *fields, size_t count, size_t first, const struct buf *text, struct buf *out) {
  struct bytes key = bytes_of(text->p + fields[first].key, fields[first].key_n);
  uint32_t same = 0;
  for (int pass = 0; pass < 2; pass++) {
    if (pass == 1 && same > 1) mp_put_array(out, same);
    for (size_t i = first; i < count; i++) {
      if (!bytes_eq(key, bytes_of(text->p + fields[i].key, fields[i].key_n))) continue;
      if (pass == 0) {
        same++;
        fields[i].is_put = true;
      } else {
        mp_put_str(out, bytes_of(text->p + fields[i].value, fields[i].value_n));
      }
    }
  }
}

int payload_from_form(struct bytes form, const struct mp_limits *limits, struct buf *out, struct error *err) {
  if (form.n > limits->bytes_max)
    return error_set(err, ITD_ETOOBIG, "a form of %zu bytes; at most %zu (frame.bytes)", form.n, limits->bytes_max);
  struct form_field *fields = xcalloc(PAYLOAD_FORM_FIELDS, sizeof *fields);
  struct buf text = {0}, pairs = {0};
  size_t count = 0;
  uint32_t keys = 0;
  (void)buf_reserve(&text, 1); // a form of empty keys and values writes nothing, and has places in it all the same
  int status = read_fields(form, fields, &count, &text, err);
  for (size_t i = 0; status == 0 && i < count; i++) {
    if (fields[i].is_put) continue;
    mp_put_str(&pairs, bytes_of(text.p + fields[i].key, fields[i].key_n));
    put_values(fields, count, i, &text, &pairs);
    keys++;
  }
  if (status == 0) {
    mp_put_map(out, keys);
    buf_append_bytes(out, buf_bytes(&pairs));
  }
  free(fields);
  buf_deinit(&text);
  buf_deinit(&pairs);
  return status;
}

// ---- as mappings get it ----

static bool is_nothing(struct bytes value) {
  enum mp_type type = mp_value_of(value).type;
  return type == MP_NIL || type == MP_EXT;
}

static void put_digits(struct buf *out, const struct mp_value *v) {
  const int64_t exact = 1ll << 53;
  char text[24];
  if (v->type == MP_INT && v->i >= -exact && v->i <= exact) {
    mp_put_int(out, v->i);
    return;
  }
  if (v->type == MP_INT)
    snprintf(text, sizeof text, "%" PRId64, v->i);
  else
    snprintf(text, sizeof text, "%" PRIu64, v->u);
  mp_put_cstr(out, text);
}

// Members of an array, or keys with their values (step 2), that are something.
static uint32_t count_kept(struct mp m, uint32_t count, bool is_map) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i++) {
    bool is_key = !is_map || mp_value_of(mp_take(&m)).type == MP_STR;
    kept += !is_nothing(mp_take(&m)) && is_key;
  }
  return kept;
}

// Recursive; the scan bounded the depth.
void payload_plain(struct bytes value, struct buf *out) {
  struct mp m = mp_of(value);
  struct mp_value v = mp_next(&m);
  bool is_map = v.type == MP_MAP;
  if (v.type == MP_INT || v.type == MP_UINT) {
    put_digits(out, &v);
  } else if (v.type == MP_EXT) {
    mp_put_nil(out);
  } else if (!is_map && v.type != MP_ARRAY) {
    mp_put_raw(out, value);
  } else {
    uint32_t kept = count_kept(m, v.count, is_map);
    if (is_map)
      mp_put_map(out, kept);
    else
      mp_put_array(out, kept);
    for (uint32_t i = 0; i < v.count; i++) {
      struct bytes key = is_map ? mp_take(&m) : (struct bytes){0}, member = mp_take(&m);
      if (is_nothing(member) || (is_map && mp_value_of(key).type != MP_STR)) continue;
      if (is_map) mp_put_raw(out, key);
      payload_plain(member, out);
    }
  }
}
