// As JSON text: what is taken is one value within the limits, and its JSON reads as the same value. As MessagePack:
// what is written is JSON by jansson's judgement.
#include <jansson.h>

#include "fuzz.h"

static void as_json(struct bytes in) {
  struct buf out, text, again;
  buf_init(&out), buf_init(&text), buf_init(&again);
  buf_append_str(&out, "kept");
  struct error err = {0};
  int rc = mp_from_json(in, &fuzz_limits, &out, &err);
  CHECK(rc == 0 || rc == ITD_EFRAME || rc == ITD_ETOOBIG);
  CHECK(memcmp(out.p, "kept", 4) == 0 && (rc == 0 || (out.n == 4 && err.code == rc && err.text[0])));
  if (rc == 0) {
    struct bytes value = bytes_of(out.p + 4, out.n - 4);
    size_t len;
    CHECK(mp_scan(value, &fuzz_limits, &len, NULL) == 1 && len == value.n);
    mp_to_json(value, &text);
    const struct mp_limits wide = {16, 512, 1 << 20};
    CHECK(mp_from_json(buf_bytes(&text), &wide, &again, NULL) == 0);
    CHECK(bytes_eq(buf_bytes(&again), value));
  }
  buf_deinit(&out), buf_deinit(&text), buf_deinit(&again);
}

static void as_messagepack(struct bytes in) {
  size_t len;
  if (mp_scan(in, &fuzz_limits, &len, NULL) != 1) return;
  struct buf exact = fuzz_exact(bytes_of(in.p, len)), text;
  buf_init(&text);
  mp_to_json(buf_bytes(&exact), &text);
  CHECK(bytes_is_utf8(buf_bytes(&text)));
  json_error_t e;
  json_t *tree = json_loadb((char *)text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
  bool is_beyond_jansson = !tree && (json_error_code(&e) == json_error_numeric_overflow ||
                                     json_error_code(&e) == json_error_null_byte_in_key);
  CHECK(tree || is_beyond_jansson);
  json_decref(tree);
  buf_deinit(&exact), buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  as_json(bytes_of(p, n));
  as_messagepack(bytes_of(p, n));
  return 0;
}
