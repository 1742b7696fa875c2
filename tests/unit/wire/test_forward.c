// Fluentd Forward: the four modes, what an entry becomes, gzip and its bombs, the handshake against digests made
// elsewhere.
#include "wire_test.h"

#include <zlib.h>

#include "base/hash.h"
#include "wire/event.h"
#include "wire/forward.h"

static const struct mp_limits limits = MP_LIMITS_DEFAULT;

// ---- making messages ----
static struct buf message_of(const char *tag, enum mp_type packed, struct bytes entries, const char *option) {
  struct buf b;
  buf_init(&b);
  mp_put_array(&b, option ? 3 : 2);
  mp_put_cstr(&b, tag);
  if (packed == MP_BIN)
    mp_put_bin(&b, entries);
  else if (packed == MP_STR)
    mp_put_str(&b, entries);
  else
    mp_put_raw(&b, entries);
  if (option) {
    struct buf o = from_json(option);
    mp_put_raw(&b, buf_bytes(&o));
    buf_deinit(&o);
  }
  return b;
}

static void gzip_append(struct buf *out, struct bytes in) {
  z_stream z = {0};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  size_t room = deflateBound(&z, in.n);
  z.next_in = (Bytef *)(uintptr_t)in.p, z.avail_in = (uInt)in.n;
  z.next_out = buf_reserve(out, room), z.avail_out = (uInt)room;
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  out->n += room - z.avail_out;
  deflateEnd(&z);
}

// All the message's events as JSON, one a line; "!" for a malformed entry.
static char *events_of(struct bytes value) {
  struct forward_message m;
  struct error err = {0};
  size_t len;
  assert_int_equal(mp_scan(value, &limits, &len, NULL), 1);
  if (forward_read(value, &limits, &m, &err) != 0) fail_msg("%s", err.text);
  struct buf lines, event;
  buf_init(&lines), buf_init(&event);
  for (;;) {
    buf_clear(&event);
    int rc = forward_next(&m, &event, &err);
    if (rc == 0) break;
    if (rc == 1) {
      assert_int_equal(mp_scan(buf_bytes(&event), &(struct mp_limits){20, 1 << 20, 1 << 24}, &len, NULL), 1);
      assert_int_equal(len, event.n);
      mp_to_json(buf_bytes(&event), &lines);
    } else {
      assert_int_equal(rc, ITD_EFRAME);
      assert_int_equal(event.n, 0);
      buf_append_str(&lines, "!");
    }
    buf_append_str(&lines, "\n");
  }
  assert_int_equal(forward_next(&m, &event, &err), 0); // and stays so
  buf_append_u8(&lines, 0);
  forward_deinit(&m), buf_deinit(&event);
  return (char *)lines.p;
}

static void gives(struct buf message, const char *want) {
  char *got = events_of(buf_bytes(&message));
  assert_string_equal(got, want);
  free(got), buf_deinit(&message);
}
static void json_gives(const char *json, const char *want) { gives(from_json(json), want); }

// ---- modes ----
#define ENTRIES "[[1767600000,{\"event\":\"a\",\"userId\":\"u\"}],[1767600001,{\"event\":\"b\",\"userId\":\"u\"}]]"
#define LINES                                                                                                          \
  "{\"timestamp\":1767600000000,\"messageId\":\"c-0\",\"event\":\"a\",\"userId\":\"u\"}\n"                             \
  "{\"timestamp\":1767600001000,\"messageId\":\"c-1\",\"event\":\"b\",\"userId\":\"u\"}\n"

static struct buf entries_packed(void) { // ENTRIES without the list around them
  struct buf b = from_json(ENTRIES);
  buf_consume(&b, 1);
  return b;
}

static void test_the_four_modes(void **state) {
  (void)state;
  json_gives("[\"t\",1767600000,{\"event\":\"a\",\"userId\":\"u\"},{\"chunk\":\"c\"}]",
             "{\"timestamp\":1767600000000,\"messageId\":\"c-0\",\"event\":\"a\",\"userId\":\"u\"}\n");
  json_gives("[\"t\"," ENTRIES ",{\"chunk\":\"c\",\"size\":2}]", LINES);
  struct buf packed = entries_packed(), zipped;
  gives(message_of("t", MP_BIN, buf_bytes(&packed), "{\"chunk\":\"c\"}"), LINES);
  gives(message_of("t", MP_STR, buf_bytes(&packed), "{\"chunk\":\"c\",\"compressed\":\"text\",\"size\":99}"), LINES);
  buf_init(&zipped);
  gzip_append(&zipped, buf_bytes(&packed));
  gives(message_of("t", MP_BIN, buf_bytes(&zipped), "{\"chunk\":\"c\",\"compressed\":\"gzip\"}"), LINES);
  gives(message_of("t", MP_STR, buf_bytes(&zipped), "{\"chunk\":\"c\",\"compressed\":\"gzip\"}"), LINES);
  buf_clear(&zipped); // several members, that end anywhere, an empty one among them
  gzip_append(&zipped, bytes_of(packed.p, 5));
  gzip_append(&zipped, bytes_of(packed.p, 0));
  gzip_append(&zipped, bytes_of(packed.p + 5, packed.n - 5));
  gives(message_of("t", MP_BIN, buf_bytes(&zipped), "{\"compressed\":\"gzip\",\"chunk\":\"c\"}"), LINES);
  buf_deinit(&packed), buf_deinit(&zipped);
}

static void test_options(void **state) {
  (void)state;
  const char *want = "{\"timestamp\":1000,\"event\":\"a\"}\n";
  json_gives("[\"t\",1,{\"event\":\"a\"}]", want);
  json_gives("[\"t\",1,{\"event\":\"a\"},null]", want);
  json_gives("[\"t\",1,{\"event\":\"a\"},{}]", want);
  json_gives("[\"t\",1,{\"event\":\"a\"},{\"chunk\":null,\"compressed\":null}]", want);
  json_gives("[\"t\",[[1,{\"event\":\"a\"}]],null]", want);
  json_gives("[\"t\",[]]", "");
  gives(message_of("t", MP_BIN, BYTES_LIT(""), NULL), "");
}

static void test_what_an_entry_lacks_is_added(void **state) {
  (void)state;
  json_gives("[\"my.tag\",2,{\"a\":1},{\"chunk\":\"c\"}]",
             "{\"timestamp\":2000,\"messageId\":\"c-0\",\"type\":\"track\",\"event\":\"my.tag\",\"a\":1}\n");
  json_gives("[\"t\",2,{\"timestamp\":5,\"messageId\":\"m\",\"type\":\"page\"},{\"chunk\":\"c\"}]",
             "{\"timestamp\":5,\"messageId\":\"m\",\"type\":\"page\"}\n");
  json_gives("[\"t\",2,{\"event\":\"e\",\"a\":[{\"timestamp\":1}]}]",
             "{\"timestamp\":2000,\"event\":\"e\",\"a\":[{\"timestamp\":1}]}\n");
  json_gives("[\"t\",2,{\"timestamp\":null,\"messageId\":\"\",\"x\":1,\"type\":null,\"event\":null},{\"chunk\":\"c\"}]",
             "{\"timestamp\":2000,\"messageId\":\"c-0\",\"type\":\"track\",\"event\":\"t\",\"x\":1}\n");
  json_gives("[\"t\",2,{\"type\":null,\"event\":\"e\"}]", "{\"timestamp\":2000,\"type\":null,\"event\":\"e\"}\n");
  json_gives("[\"t\",0,{\"messageId\":\"\",\"event\":\"e\"}]",
             "{\"messageId\":\"\",\"event\":\"e\"}\n"); // no chunk, nothing instead
  // The first of equal keys counts, here as in the event: a nil first one makes way, a value stays.
  struct buf b;
  buf_init(&b);
  buf_append_bytes(&b, BYTES_LIT("\x93\xa1t\x02\x83\xa5"
                                 "event\xc0\xa5"
                                 "event\xa1"
                                 "e\x05\x06"));
  gives(b, "{\"timestamp\":2000,\"type\":\"track\",\"event\":\"t\",\"event\":\"e\",\"5\":6}\n");
}

static void test_chunks_and_acknowledgement(void **state) {
  (void)state;
  struct forward_message m;
  struct buf b = from_json("[\"t\",1,{\"event\":\"e\"},{\"chunk\":\"p8n9gmxTQVC8/nh2wlKKeQ==\\n\"}]"), ack,
             event; // as Ruby sends
  assert_int_equal(forward_read(buf_bytes(&b), &limits, &m, NULL), 0);
  buf_init(&ack), buf_init(&event);
  forward_put_ack(&ack, m.chunk);
  assert_json(buf_bytes(&ack), "{\"ack\":\"p8n9gmxTQVC8/nh2wlKKeQ==\\n\"}");
  assert_int_equal(forward_next(&m, &event, NULL), 1);
  assert_json(buf_bytes(&event), "{\"timestamp\":1000,\"messageId\":\"p8n9gmxTQVC8/nh2wlKKeQ==-0\",\"event\":\"e\"}");
  forward_deinit(&m), buf_deinit(&b);
  buf_init(&b), buf_clear(&ack), buf_clear(&event);
  buf_append_bytes(&b, BYTES_LIT("\x94\xa1t\x01\x81\xa5"
                                 "event\xa1"
                                 "e\x81\xa5"
                                 "chunk\xc4\x03\xff\x00\xab"));
  assert_int_equal(forward_read(buf_bytes(&b), &limits, &m, NULL), 0);
  forward_put_ack(&ack, m.chunk);
  assert_bytes(buf_bytes(&ack), BYTES_LIT("\x81\xa3"
                                          "ack\xc4\x03\xff\x00\xab"));
  assert_int_equal(forward_next(&m, &event, NULL), 1);
  assert_json(buf_bytes(&event), "{\"timestamp\":1000,\"messageId\":\"ff00ab-0\",\"event\":\"e\"}");
  forward_deinit(&m), buf_deinit(&b), buf_deinit(&ack), buf_deinit(&event);
  // The longest chunk still makes an id that an event may have.
  for (int over = 0; over < 2; over++) {
    buf_init(&b), buf_init(&event);
    mp_put_array(&b, 4), mp_put_cstr(&b, "t"), mp_put_int(&b, 1), mp_put_map(&b, 1), mp_put_cstr(&b, "userId"),
        mp_put_int(&b, 1);
    mp_put_map(&b, 1), mp_put_cstr(&b, "chunk");
    uint8_t bytes[FORWARD_CHUNK_MAX + 1];
    memset(bytes, 0xff, sizeof bytes);
    mp_put_bin(&b, bytes_of(bytes, (size_t)(FORWARD_CHUNK_MAX + over)));
    assert_int_equal(forward_read(buf_bytes(&b), &limits, &m, NULL), over ? ITD_ETOOBIG : 0);
    if (!over) {
      struct event e;
      struct event_digits digits;
      m.index = UINT32_MAX;
      assert_int_equal(forward_next(&m, &event, NULL), 1);
      assert_int_equal(event_decode(buf_bytes(&event), 0, &EVENT_LIMITS_DEFAULT, &digits, &e, NULL), 0);
      assert_int_equal(e.message_id.n, 2 * FORWARD_CHUNK_MAX + 11);
      forward_deinit(&m);
    }
    buf_deinit(&b), buf_deinit(&event);
  }
}

static void time_gives(struct bytes time, const char *want) {
  struct buf b;
  buf_init(&b);
  mp_put_array(&b, 2), mp_put_cstr(&b, "t");
  mp_put_array(&b, 1), mp_put_array(&b, 2), mp_put_raw(&b, time), mp_put_map(&b, 1), mp_put_cstr(&b, "type"),
      mp_put_nil(&b);
  char line[200] = "!\n";
  if (want && want[0])
    snprintf(line, sizeof line, "{\"timestamp\":%s,\"type\":\"track\",\"event\":\"t\"}\n", want);
  else if (want)
    snprintf(line, sizeof line, "{\"type\":\"track\",\"event\":\"t\"}\n");
  gives(b, line);
}
static void test_forms_of_time(void **state) {
  (void)state;
  time_gives(BYTES_LIT("\xce\x69\x5b\x6f\x80"), "1767600000000");
  time_gives(BYTES_LIT("\xd7\x00\x69\x5b\x6f\x80\x1d\xcd\x65\x00"), "1767600000500"); // EventTime, fixext 8
  time_gives(BYTES_LIT("\xc7\x08\x00\x69\x5b\x6f\x80\x3b\x9a\xc9\xff"), "1767600000999");
  time_gives(BYTES_LIT("\xd7\x00\xff\xff\xff\xff\x00\x00\x00\x00"), "4294967295000");         // unsigned
  time_gives(BYTES_LIT("\x92\xd7\x00\x69\x5b\x6f\x80\x00\x00\x00\x00\x80"), "1767600000000"); // with metadata
  time_gives(BYTES_LIT("\xcb\x41\xda\x56\xdb\xe0\x20\x00\x00"), "1767600000500");
  time_gives(BYTES_LIT("\xd6\xff\x69\x5b\x6f\x80"), "1767600000000"); // a MessagePack timestamp
  time_gives(BYTES_LIT("\xfb"), "-5000");
  time_gives(BYTES_LIT("\xc0"), "");
  time_gives(BYTES_LIT("\x00"), "");
  time_gives(BYTES_LIT("\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "");
  time_gives(BYTES_LIT("\xd7\x00\x69\x5b\x6f\x80\x3b\x9a\xca\x00"), NULL); // a billion nanoseconds
  time_gives(BYTES_LIT("\xd7\x01\x69\x5b\x6f\x80\x00\x00\x00\x00"), NULL);
  time_gives(BYTES_LIT("\xd6\x00\x69\x5b\x6f\x80"), NULL);
  time_gives(BYTES_LIT("\xcf\x00\x00\x00\x3a\xff\xf4\x41\x7f"), "253402300799000");
  time_gives(BYTES_LIT("\xcf\x00\x00\x00\x3a\xff\xf4\x41\x80"), NULL);
  time_gives(BYTES_LIT("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), NULL);
  time_gives(BYTES_LIT("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), NULL);
  time_gives(BYTES_LIT("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), NULL);
  time_gives(BYTES_LIT("\xa1"
                       "1"),
             NULL);
  time_gives(BYTES_LIT("\x91\x01"), NULL);
}

static void test_a_malformed_entry_costs_only_itself(void **state) {
  (void)state;
  json_gives("[\"t\",[5,[1],[1,[]],[1,null],[1,{},2],{\"a\":1},[2,{\"event\":\"e\"}]],{\"chunk\":\"c\"}]",
             "!\n!\n!\n!\n!\n!\n{\"timestamp\":2000,\"messageId\":\"c-6\",\"event\":\"e\"}\n");
  gives(message_of("t", MP_BIN,
                   BYTES_LIT("\xc0\x92\x02\x81\xa5"
                             "event\xa1"
                             "e"),
                   NULL),
        "!\n{\"timestamp\":2000,\"event\":\"e\"}\n");
  json_gives("[\"t\",1,[]]", "!\n");
}

// ---- refusals ----
static void refused(struct buf message, int code, const char *says) {
  struct forward_message m;
  struct error err = {0};
  memset(&m, 0xee, sizeof m);
  assert_int_equal(forward_read(buf_bytes(&message), &limits, &m, &err), code);
  for (size_t i = 0; i < sizeof m; i++) assert_int_equal(((uint8_t *)&m)[i], 0xee);
  if (!strstr(err.text, says)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
  buf_deinit(&message);
}
static void test_refusals(void **state) {
  (void)state;
  static const char *const shapes[] = {"{}", "[]", "[\"t\"]", "[5,[]]", "[[],[]]"};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) refused(from_json(shapes[i]), ITD_EFRAME, "a tag (text)");
  refused(from_json("[\"t\",1]"), ITD_EFRAME, "3 or 4 parts, this one 2");
  refused(from_json("[\"t\",1,{},{},1]"), ITD_EFRAME, "3 or 4 parts, this one 5");
  refused(from_json("[\"t\",[],{},1]"), ITD_EFRAME, "2 or 3 parts, this one 4");
  refused(from_json("[\"t\",[],5]"), ITD_EFRAME, "option of a Forward message");
  refused(from_json("[\"t\",[],{\"chunk\":5}]"), ITD_EFRAME, "chunk must be text");
  refused(from_json("[\"t\",\"\",{\"compressed\":\"zstd\"}]"), ITD_EFRAME, "gzip or text");
  refused(from_json("[\"t\",\"\",{\"compressed\":true}]"), ITD_EFRAME, "gzip or text");
  refused(message_of("t", MP_BIN, BYTES_LIT("\x92\x01"), NULL), ITD_EFRAME, "packed entry 0: cut off");
  refused(message_of("t", MP_BIN, BYTES_LIT("\x92\x01\x80\xc1"), NULL), ITD_EFRAME, "packed entry 1: byte 0xc1");
  refused(message_of("t", MP_BIN, BYTES_LIT("\x92\x01\xdd\xff\xff\xff\xff"), NULL), ITD_ETOOBIG, "packed entry 0");
  uint8_t deep[40];
  memset(deep, 0x91, sizeof deep);
  refused(message_of("t", MP_BIN, bytes_of(deep, sizeof deep), NULL), ITD_ETOOBIG, "frame.depth");
  uint8_t *many = xcalloc(70000, 1);
  refused(message_of("t", MP_BIN, bytes_of(many, 70000), NULL), ITD_ETOOBIG, "frame.objects");
  free(many);
}

static void test_compressed_refusals(void **state) {
  (void)state;
  struct buf zipped, b;
  buf_init(&zipped), buf_init(&b);
  const char *option = "{\"compressed\":\"gzip\"}";
  // What Python's gzip makes of one empty entry.
  struct bytes one =
      BYTES_LIT("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x9b\xc4\xd8\x00\x00\xed\x07\x75\xf5\x03\x00\x00\x00");
  gzip_append(&zipped, BYTES_LIT("\x92\x01\x80"));
  gives(message_of("t", MP_BIN, buf_bytes(&zipped), option),
        "{\"timestamp\":1000,\"type\":\"track\",\"event\":\"t\"}\n");
  gives(message_of("t", MP_BIN, one, option), "{\"timestamp\":1000,\"type\":\"track\",\"event\":\"t\"}\n");
  for (size_t n = 0; n < zipped.n; n++)
    refused(message_of("t", MP_BIN, bytes_of(zipped.p, n), option), ITD_EFRAME, "compressed entries are");
  buf_append_str(&zipped, "garbage behind");
  refused(message_of("t", MP_BIN, buf_bytes(&zipped), option), ITD_EFRAME, "not gzip");
  zipped.n -= 14;
  zipped.p[zipped.n - 5] ^= 1; // its checksum
  refused(message_of("t", MP_BIN, buf_bytes(&zipped), option), ITD_EFRAME, "not gzip");
  refused(message_of("t", MP_BIN, BYTES_LIT("\x92\x01\x80"), option), ITD_EFRAME, "not gzip");
  refused(message_of("t", MP_BIN, BYTES_LIT("\x78\x9c\x9b\xc4\xd8\0\0\x02\x8d\x01\x14"), option), ITD_EFRAME,
          "not gzip"); // zlib's
  // A bomb stops at the bound, in one member or in many; the bound itself passes.
  size_t n = limits.bytes_max + 1;
  uint8_t *zeros = xcalloc(n, 1);
  buf_clear(&zipped), gzip_append(&zipped, bytes_of(zeros, n));
  refused(message_of("t", MP_BIN, buf_bytes(&zipped), option), ITD_ETOOBIG, "longer than 4194304 bytes");
  buf_clear(&zipped), gzip_append(&zipped, bytes_of(zeros, n - 1)), gzip_append(&zipped, bytes_of(zeros, 1));
  refused(message_of("t", MP_BIN, buf_bytes(&zipped), option), ITD_ETOOBIG, "longer than 4194304 bytes");
  zeros[0] = 0xc6, zeros[2] = 0x3f, zeros[3] = 0xff, zeros[4] = 0xfb; // one bin of exactly 4 MiB with its head
  buf_clear(&zipped), gzip_append(&zipped, bytes_of(zeros, n - 1));
  gives(message_of("t", MP_BIN, buf_bytes(&zipped), option), "!\n");
  buf_clear(&zipped), gzip_append(&zipped, bytes_of(zeros + 8, n - 9));
  struct buf bomb;
  buf_init(&bomb);
  for (int i = 0; i < 250; i++) buf_append_bytes(&bomb, buf_bytes(&zipped));
  struct forward_message m;
  b = message_of("t", MP_BIN, buf_bytes(&bomb), option);
  assert_int_equal(forward_read(buf_bytes(&b), &limits, &m, NULL), ITD_ETOOBIG);
  buf_deinit(&bomb), buf_deinit(&b), buf_deinit(&zipped), free(zeros);
}

// ---- handshake ----
static const uint8_t nonce[FORWARD_NONCE_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#define SALT "ce1897b0d3dbd76b90d7fb96010dcac3"
// hashlib.sha512(SALT + host name + nonce + "s3cret"), by Python, for client.example and server.example
#define CLIENT_DIGEST                                                                                                  \
  "767b73223c82421a7b4ab2ca1742461f4b471e17a043eff2c30aca96e41b355e1f7575debaaf274642afc3170d74f1edc009ef47aaae91090a" \
  "9c2e58cb9ef307"
#define SERVER_DIGEST                                                                                                  \
  "e5d72158ed97ec65d7ab79a1f8f2aafb2351155cdc542f7257208a73722c497225391084c7e172a083b59cef22bfd5d644692e4ca599a21c4e" \
  "40deb03ed9cfef"
#define PING(host, digest) "[\"PING\",\"" host "\",\"" SALT "\",\"" digest "\",\"\",\"\"]"

static int ping(const char *json, const char *key, const char *want_pong) {
  struct buf b = from_json(json), pong;
  struct error err = {0};
  buf_init(&pong);
  int rc = forward_check_ping(buf_bytes(&b), "server.example", key, nonce, &pong, &err);
  if (want_pong)
    assert_json(buf_bytes(&pong), want_pong);
  else
    assert_int_equal(pong.n, 0);
  buf_deinit(&b), buf_deinit(&pong);
  return rc;
}

static void test_handshake(void **state) {
  (void)state;
  struct buf helo;
  buf_init(&helo);
  forward_put_helo(&helo, nonce);
  assert_json(buf_bytes(&helo), "[\"HELO\",{\"nonce\":\"AAECAwQFBgcICQoLDA0ODw==\",\"auth\":\"\",\"keepalive\":true}]");
  buf_deinit(&helo);
  assert_int_equal(ping(PING("client.example", CLIENT_DIGEST), "s3cret",
                        "[\"PONG\",true,\"\",\"server.example\",\"" SERVER_DIGEST "\"]"),
                   0);
  const char *no = "[\"PONG\",false,\"shared_key mismatch\",\"\",\"\"]";
  assert_int_equal(ping(PING("client.example", CLIENT_DIGEST), "s3cres", no), ITD_EAUTH);
  assert_int_equal(ping(PING("client.exampl", CLIENT_DIGEST), "s3cret", no), ITD_EAUTH);
  assert_int_equal(ping(PING("client.example", SERVER_DIGEST), "s3cret", no), ITD_EAUTH);
  assert_int_equal(ping(PING("client.example", ""), "s3cret", no), ITD_EAUTH);
  assert_int_equal(ping(PING("client.example", CLIENT_DIGEST "0"), "s3cret", no), ITD_EAUTH);
  assert_int_equal(ping("[\"PING\",\"h\",\"s\",\"d\",\"\"]", "s3cret", NULL), ITD_EFRAME);
  assert_int_equal(ping("[\"PONG\",\"h\",\"s\",\"d\",\"\",\"\"]", "s3cret", NULL), ITD_EFRAME);
  assert_int_equal(ping("[\"PING\",1,\"s\",\"d\",\"\",\"\"]", "s3cret", NULL), ITD_EFRAME);
  assert_int_equal(ping("[\"PING\",\"h\",\"s\",null,\"\",\"\"]", "s3cret", NULL), ITD_EFRAME);
  assert_int_equal(ping("{\"PING\":1}", "s3cret", NULL), ITD_EFRAME);
  assert_int_equal(ping("[]", "s3cret", NULL), ITD_EFRAME);
}

static void test_a_digest_of_another_nonce_is_refused(void **state) {
  (void)state;
  struct buf b = from_json(PING("client.example", CLIENT_DIGEST)), pong;
  uint8_t other[FORWARD_NONCE_SIZE];
  buf_init(&pong);
  for (int bit = 0; bit < 8 * FORWARD_NONCE_SIZE; bit++) {
    memcpy(other, nonce, sizeof other);
    other[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_int_equal(forward_check_ping(buf_bytes(&b), "server.example", "s3cret", other, &pong, NULL), ITD_EAUTH);
  }
  buf_deinit(&b), buf_deinit(&pong);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_four_modes),
      cmocka_unit_test(test_options),
      cmocka_unit_test(test_what_an_entry_lacks_is_added),
      cmocka_unit_test(test_chunks_and_acknowledgement),
      cmocka_unit_test(test_forms_of_time),
      cmocka_unit_test(test_a_malformed_entry_costs_only_itself),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_compressed_refusals),
      cmocka_unit_test(test_handshake),
      cmocka_unit_test(test_a_digest_of_another_nonce_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
