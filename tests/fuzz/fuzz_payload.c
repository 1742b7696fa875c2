// As a form: a map of texts within the limits, or an error that left the output alone. As MessagePack: what mappings get
// of it is one value, no deeper and with no more in it, and giving it once more changes nothing.
#include "fuzz.h"
#include "wire/payload.h"

static void as_form(struct bytes in) {
  struct buf out;
  buf_init(&out);
  buf_append_str(&out, "kept");
  struct error err = {0};
  int rc = payload_from_form(in, &fuzz_limits, &out, &err);
  CHECK(rc == 0 || rc == ITD_EFRAME || rc == ITD_ETOOBIG);
  CHECK(memcmp(out.p, "kept", 4) == 0 && (rc == 0 || (out.n == 4 && err.code == rc && err.text[0])));
  if (rc == 0) {
    const struct mp_limits wide = {.depth_max = 3, .objects_max = 1 << 20, .bytes_max = 1 << 24};
    struct bytes value = bytes_of(out.p + 4, out.n - 4);
    size_t len;
    CHECK(mp_scan(value, &wide, &len, NULL) == 1 && len == value.n && mp_value_of(value).type == MP_MAP);
  }
  buf_deinit(&out);
}

static void as_messagepack(struct bytes in) {
  size_t len;
  if (mp_scan(in, &fuzz_limits, &len, NULL) != 1) return;
  struct buf exact = fuzz_exact(bytes_of(in.p, len)), plain, again;
  buf_init(&plain), buf_init(&again);
  payload_plain(buf_bytes(&exact), &plain);
  struct mp_limits limits = fuzz_limits;
  limits.bytes_max = 1 << 24; // digits take more bytes than an integer
  CHECK(mp_scan(buf_bytes(&plain), &limits, &len, NULL) == 1 && len == plain.n);
  payload_plain(buf_bytes(&plain), &again);
  CHECK(bytes_eq(buf_bytes(&plain), buf_bytes(&again)));
  buf_deinit(&exact), buf_deinit(&plain), buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  as_form(bytes_of(data, size));
  as_messagepack(bytes_of(data, size));
  return 0;
}
