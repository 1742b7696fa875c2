// Fluentd Forward: every entry becomes one map within bounds, or is refused alone; the handshake lets nobody in without
// the key.
#include <zlib.h>

#include "fuzz.h"
#include "wire/event.h"
#include "wire/forward.h"

static void entries(struct forward_message *m) {
  struct buf event;
  struct bytes value;
  buf_init(&event);
  uint32_t left = m->left, index = m->index;
  CHECK(index == 0 && left <= fuzz_limits.objects_max && bytes_is_utf8(m->tag) && m->chunk.n <= FORWARD_CHUNK_MAX);
  for (;;) {
    buf_clear(&event);
    struct error err = {0};
    int rc = forward_next(m, &event, &err);
    if (rc == 0) break;
    CHECK(left-- > 0 && m->index == ++index && m->left == left);
    if (rc < 0) {
      CHECK(rc == ITD_EFRAME && err.code == rc && event.n == 0);
      continue;
    }
    CHECK(rc == 1 && fuzz_is_one_value(buf_bytes(&event)) && mp_value_of(buf_bytes(&event)).type == MP_MAP);
    if (m->chunk.n > 0) CHECK(mp_find(buf_bytes(&event), BYTES_LIT("messageId"), &value) && value.p[0] != 0xc0);
    struct event e;
    struct event_digits d;
    const struct event_limits limits = EVENT_LIMITS_DEFAULT;
    if (event_decode(buf_bytes(&event), 0, &limits, &d, &e, NULL) == 0 && m->chunk.n > 0) CHECK(e.message_id.n > 0);
  }
  CHECK(left == 0);
  buf_deinit(&event);
}

static void read_message(struct bytes value) {
  struct forward_message m;
  struct error err = {0};
  int rc = forward_read(value, &fuzz_limits, &m, &err);
  if (rc != 0) {
    CHECK((rc == ITD_EFRAME || rc == ITD_ETOOBIG) && err.code == rc && err.text[0]);
    return;
  }
  CHECK(m.unpacked.n <= fuzz_limits.bytes_max);
  entries(&m);
  struct buf ack;
  buf_init(&ack);
  forward_put_ack(&ack, m.chunk);
  CHECK(fuzz_is_one_value(buf_bytes(&ack)));
  buf_deinit(&ack), forward_deinit(&m);
}

static void ping(struct bytes value) {
  static const uint8_t nonce[FORWARD_NONCE_SIZE] = {7};
  struct buf pong;
  buf_init(&pong);
  int rc = forward_check_ping(value, "server", "a key that no input holds", nonce, &pong, NULL);
  CHECK(rc == ITD_EFRAME ? pong.n == 0 : rc == ITD_EAUTH && fuzz_is_one_value(buf_bytes(&pong)));
  buf_deinit(&pong);
}

// The input as packed entries, plain and compressed: the fuzzer can't make checksums.
static void packed(struct bytes in, bool is_gzip) {
  struct buf b;
  buf_init(&b);
  mp_put_array(&b, 3), mp_put_cstr(&b, "t");
  if (is_gzip) {
    uint8_t zipped[8192];
    z_stream z = {
        .next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n, .next_out = zipped, .avail_out = sizeof zipped};
    CHECK(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK &&
          deflate(&z, Z_FINISH) == Z_STREAM_END);
    mp_put_bin(&b, bytes_of(zipped, sizeof zipped - z.avail_out));
    deflateEnd(&z);
  } else {
    mp_put_str(&b, in);
  }
  mp_put_map(&b, 2), mp_put_cstr(&b, "chunk"), mp_put_cstr(&b, "c");
  mp_put_cstr(&b, "compressed"), mp_put_cstr(&b, is_gzip ? "gzip" : "text");
  read_message(buf_bytes(&b));
  buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  size_t len;
  if (n <= 4096) packed(bytes_of(p, n), n & 1);
  if (mp_scan(bytes_of(p, n), &fuzz_limits, &len, NULL) != 1) return 0;
  struct buf exact = fuzz_exact(bytes_of(p, len));
  read_message(buf_bytes(&exact));
  ping(buf_bytes(&exact));
  buf_deinit(&exact);
  return 0;
}
