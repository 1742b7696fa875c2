// MessagePack-RPC: what is read lies inside and keeps its promises; the answer to it is one value, which is no call.
#include "fuzz.h"
#include "wire/rpc.h"

static void answer(uint32_t id, const struct error *err) {
  struct buf out;
  struct bytes value, text;
  buf_init(&out);
  rpc_put_error(&out, id, err);
  CHECK(fuzz_is_one_value(buf_bytes(&out)));
  struct mp m = mp_of(buf_bytes(&out));
  CHECK(mp_next(&m).count == 4 && mp_next(&m).i == 1 && mp_next(&m).i == id);
  CHECK(mp_find(mp_take(&m), BYTES_LIT("detail"), &value) && mp_as_str(value, &text) && bytes_is_utf8(text));
  struct rpc_message message;
  bool has_id;
  CHECK(rpc_read(buf_bytes(&out), &message, &has_id, NULL) == ITD_EFRAME && !has_id);
  buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  size_t len;
  if (mp_scan(bytes_of(p, n), &fuzz_limits, &len, NULL) != 1) return 0;
  struct buf exact = fuzz_exact(bytes_of(p, len));
  struct rpc_message m = {0};
  struct error err = {0};
  bool has_id = true;
  int rc = rpc_read(buf_bytes(&exact), &m, &has_id, &err);
  if (rc == 0) {
    CHECK(has_id == !m.is_notification && m.method.n > 0 && m.method.n <= RPC_METHOD_MAX && bytes_is_utf8(m.method));
    CHECK(m.method.p > exact.p && m.params.p == m.method.p + m.method.n &&
          m.params.p + m.params.n == exact.p + exact.n);
    CHECK(mp_value_of(m.params).type == MP_ARRAY && fuzz_is_one_value(m.params));
  } else {
    CHECK(rc == ITD_EFRAME && err.code == rc && err.text[0]);
  }
  // A text of the input's bytes: what an error may show of a sender.
  size_t shown = n < sizeof err.text ? n : sizeof err.text;
  err.code = ITD_EEVENT;
  memset(err.text, 0, sizeof err.text);
  memcpy(err.text, p, shown);
  answer(m.id, &err);
  buf_deinit(&exact);
  return 0;
}
