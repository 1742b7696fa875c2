// Packing into a struct buf: msgpack-c's packer with the buffer as its sink. Pure, any thread.
#include <math.h>
#include <msgpack.h>

#include "base/check.h"
#include "wire/mp.h"

static int sink(void *data, const char *p, size_t n) {
  buf_append(data, p, n);
  return 0;
}

// The packer's functions can't fail: the sink aborts when memory is out.
static inline msgpack_packer packer(struct buf *b) { return (msgpack_packer){.data = b, .callback = sink}; }
#define PUT(b, what, ...)                                                                                              \
  do {                                                                                                                 \
    msgpack_packer pk = packer(b);                                                                                     \
    CHECK(msgpack_pack_##what(&pk, ##__VA_ARGS__) == 0);                                                               \
  } while (0)

void mp_put_nil(struct buf *b) { PUT(b, nil); }
void mp_put_bool(struct buf *b, bool v) {
  if (v)
    PUT(b, true);
  else
    PUT(b, false);
}
void mp_put_int(struct buf *b, int64_t v) { PUT(b, int64, v); }
void mp_put_uint(struct buf *b, uint64_t v) { PUT(b, uint64, v); }
void mp_put_float(struct buf *b, double v) { PUT(b, double, v); }
void mp_put_known(struct buf *b, double v) {
  if (isfinite(v))
    mp_put_float(b, v);
  else
    mp_put_nil(b);
}
void mp_put_array(struct buf *b, uint32_t count) { PUT(b, array, count); }
void mp_put_map(struct buf *b, uint32_t pairs) { PUT(b, map, pairs); }
void mp_put_raw(struct buf *b, struct bytes value) { buf_append_bytes(b, value); }
void mp_put_cstr(struct buf *b, const char *text) { mp_put_str(b, bytes_str(text)); }

void mp_put_str(struct buf *b, struct bytes text) {
  CHECK(text.n <= UINT32_MAX);
  PUT(b, str, text.n);
  buf_append_bytes(b, text);
}

void mp_put_bin(struct buf *b, struct bytes data) {
  CHECK(data.n <= UINT32_MAX);
  PUT(b, bin, data.n);
  buf_append_bytes(b, data);
}
