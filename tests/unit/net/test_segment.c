// The Segment API's bodies: which events they become, which are refused, gzip and its bombs, write keys, hostile bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#include "../random.h"
#include "net/segment.h"

#define BATCH_MAX 5

static const struct mp_limits limits = {.depth_max = 16, .objects_max = 200, .bytes_max = 4096};

static int read_json(int endpoint, const char *json, struct segment_body *body, struct error *err) {
  return segment_read(endpoint, bytes_str(json), &limits, BATCH_MAX, body, err);
}

// All events of a body, as a JSON text each, one a line.
static void becomes(int endpoint, const char *json, const char *source, const char *want) {
  struct segment_body body;
  struct error err = {0};
  struct buf text = {0}, event = {0};
  if (read_json(endpoint, json, &body, &err) != 0) fail_msg("%s: %s", json, err.text);
  uint32_t n = 0;
  for (; segment_next(&body, source, &event); n++) {
    size_t len;
    struct mp_limits wide = MP_LIMITS_DEFAULT;
    assert_int_equal(mp_scan(buf_bytes(&event), &wide, &len, &err), 1); // whole, and nothing after it
    assert_int_equal(len, event.n);
    if (n) buf_append_u8(&text, '\n');
    mp_to_json(buf_bytes(&event), &text);
    buf_clear(&event);
  }
  assert_int_equal(n, body.count);
  assert_false(segment_next(&body, source, &event));
  buf_append_u8(&text, 0);
  assert_string_equal((char *)text.p, want);
  buf_deinit(&text);
  buf_deinit(&event);
  segment_deinit(&body);
}

static void refuses(int endpoint, const char *json, int code, const char *says) {
  struct segment_body body;
  memset(&body, 0x5a, sizeof body);
  struct segment_body before = body;
  struct error err = {0};
  assert_int_equal(read_json(endpoint, json, &body, &err), code);
  assert_int_equal(err.code, code);
  if (!strstr(err.text, says)) fail_msg("%s: \"%s\" does not say \"%s\"", json, err.text, says);
  assert_memory_equal(&body, &before, sizeof body);
}

static void test_endpoints(void **state) {
  (void)state;
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/track")), EVENT_TRACK);
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/identify")), EVENT_IDENTIFY);
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/page")), EVENT_PAGE);
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/screen")), EVENT_SCREEN);
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/group")), EVENT_GROUP);
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/alias")), EVENT_ALIAS);
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/batch")), SEGMENT_BATCH);
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/import")), SEGMENT_BATCH);
  const char *letters = "tipsga";
  for (int i = 0; i < EVENT_TYPES; i++) {
    char path[8];
    snprintf(path, sizeof path, "/v1/%c", letters[i]);
    assert_int_equal(segment_endpoint(bytes_str(path)), i); // in the order of enum event_type
  }
  assert_int_equal(segment_endpoint(BYTES_LIT("/v1/b")), SEGMENT_BATCH);
  const char *none[] = {"",          "/",          "/v1",          "/v1/",     "/v1/tracks",
                        "/v2/track", "/v1/track/", "/v1/source/x", "v1/track", "/V1/track"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_int_equal(segment_endpoint(bytes_str(none[i])), -1);
}

static void test_single(void **state) {
  (void)state;
  becomes(EVENT_TRACK, "{\"userId\":\"u\",\"event\":\"Signed up\",\"properties\":{\"plan\":1}}", NULL,
          "{\"userId\":\"u\",\"event\":\"Signed up\",\"properties\":{\"plan\":1},\"type\":\"track\"}");
  becomes(EVENT_IDENTIFY, "{}", NULL, "{\"type\":\"identify\"}"); // for event_decode to refuse
  // The endpoint says what it is; the write key goes.
  becomes(EVENT_PAGE, "{\"writeKey\":\"secret\",\"type\":\"track\",\"anonymousId\":\"a\"}", NULL,
          "{\"anonymousId\":\"a\",\"type\":\"page\"}");
  // A batch's keys mean nothing here.
  becomes(EVENT_TRACK, "{\"batch\":[{}],\"sentAt\":null}", NULL, "{\"batch\":[{}],\"sentAt\":null,\"type\":\"track\"}");
}

static void test_source(void **state) {
  (void)state;
  becomes(EVENT_TRACK, "{\"userId\":1}", "web", "{\"userId\":1,\"type\":\"track\",\"context\":{\"source\":\"web\"}}");
  becomes(EVENT_TRACK, "{\"context\":{\"ip\":\"::1\"}}", "web",
          "{\"type\":\"track\",\"context\":{\"ip\":\"::1\",\"source\":\"web\"}}");
  becomes(EVENT_TRACK, "{\"context\":{\"source\":\"own\"}}", "web",
          "{\"type\":\"track\",\"context\":{\"source\":\"own\"}}");
  becomes(EVENT_TRACK, "{\"context\":null}", "web", "{\"type\":\"track\",\"context\":{\"source\":\"web\"}}");
  becomes(EVENT_TRACK, "{\"context\":{}}", "web", "{\"type\":\"track\",\"context\":{\"source\":\"web\"}}");
  becomes(EVENT_TRACK, "{\"context\":\"no map\"}", "web",
          "{\"context\":\"no map\",\"type\":\"track\"}"); // to be refused
}

static void test_batch(void **state) {
  (void)state;
  becomes(
      SEGMENT_BATCH,
      "{\"batch\":[{\"type\":\"track\",\"userId\":\"u\"},{\"type\":\"page\",\"writeKey\":\"k\"}],\"writeKey\":\"k\"}",
      NULL, "{\"type\":\"track\",\"userId\":\"u\"}\n{\"type\":\"page\"}");
  // What the batch says holds for messages that do not say it themselves.
  becomes(SEGMENT_BATCH,
          "{\"sentAt\":\"2026-01-01\",\"integrations\":{\"All\":true},\"context\":{\"a\":1,\"b\":2},\"batch\":["
          "{\"n\":1},"
          "{\"n\":2,\"sentAt\":7,\"integrations\":{},\"context\":{\"b\":3,\"c\":4}},"
          "{\"n\":3,\"sentAt\":null,\"integrations\":null,\"context\":null}]}",
          NULL,
          "{\"n\":1,\"sentAt\":\"2026-01-01\",\"integrations\":{\"All\":true},\"context\":{\"a\":1,\"b\":2}}\n"
          "{\"n\":2,\"sentAt\":7,\"integrations\":{},\"context\":{\"b\":3,\"c\":4,\"a\":1}}\n"
          "{\"n\":3,\"sentAt\":\"2026-01-01\",\"integrations\":{\"All\":true},\"context\":{\"a\":1,\"b\":2}}");
  becomes(SEGMENT_BATCH, "{\"context\":{\"source\":\"app\"},\"batch\":[{},{\"context\":{\"source\":\"own\"}}]}", "web",
          "{\"context\":{\"source\":\"app\"}}\n{\"context\":{\"source\":\"own\"}}");
  // What is no message is passed on, to be refused one by one.
  becomes(SEGMENT_BATCH, "{\"batch\":[1,\"x\",[],null,{\"a\":[{}]}]}", "web",
          "1\n\"x\"\n[]\nnull\n{\"a\":[{}],\"context\":{\"source\":\"web\"}}");
}

static void test_refused(void **state) {
  (void)state;
  refuses(EVENT_TRACK, "", ITD_EFRAME, "the body");
  refuses(EVENT_TRACK, "{\"a\":1", ITD_EFRAME, "line 1");
  refuses(EVENT_TRACK, "{\"a\":1,\"a\":2}", ITD_EFRAME, "a");
  refuses(EVENT_TRACK, "[]", ITD_EEVENT, "object");
  refuses(EVENT_TRACK, "3", ITD_EEVENT, "object");
  refuses(SEGMENT_BATCH, "{}", ITD_EEVENT, "net.batch");
  refuses(SEGMENT_BATCH, "[{}]", ITD_EEVENT, "object");
  refuses(SEGMENT_BATCH, "{\"batch\":[]}", ITD_EEVENT, "1 to 5");
  refuses(SEGMENT_BATCH, "{\"batch\":{}}", ITD_EEVENT, "1 to 5");
  refuses(SEGMENT_BATCH, "{\"batch\":null}", ITD_EEVENT, "1 to 5");
  refuses(SEGMENT_BATCH, "{\"batch\":[1],\"context\":[]}", ITD_EEVENT, "context");
  refuses(SEGMENT_BATCH, "{\"batch\":[1,2,3,4,5,6]}", ITD_ETOOBIG, "6");
  becomes(SEGMENT_BATCH, "{\"batch\":[1,2,3,4,5]}", NULL, "1\n2\n3\n4\n5");
  char deep[64] = {0};
  memset(deep, '[', 20);
  refuses(EVENT_TRACK, deep, ITD_ETOOBIG, "deep");
  char *wide = calloc(1, 5000);
  memset(wide, ' ', 4999);
  wide[4998] = '1';
  refuses(EVENT_TRACK, wide, ITD_ETOOBIG, "4096");
  free(wide);
}

static void has_key(int endpoint, const char *json, const char *want) {
  struct segment_body body;
  struct error err = {0};
  assert_int_equal(read_json(endpoint, json, &body, &err), 0);
  assert_true(bytes_is(body.write_key, want));
  segment_deinit(&body);
}

static void basic(const char *header, int status, const char *want) {
  struct buf key = {0};
  struct error err = {0};
  int got = segment_basic(bytes_str(header), &key, &err);
  if (got != status) fail_msg("%s: %d", header, got);
  assert_true(bytes_is(buf_bytes(&key), want));
  buf_deinit(&key);
}

static void test_keys(void **state) {
  (void)state;
  has_key(EVENT_TRACK, "{\"writeKey\":\"abc\"}", "abc");
  has_key(SEGMENT_BATCH, "{\"batch\":[{\"writeKey\":\"no\"}],\"writeKey\":\"abc\"}", "abc");
  has_key(EVENT_TRACK, "{\"writeKey\":7}", "");
  has_key(EVENT_TRACK, "{\"writeKey\":null}", "");
  has_key(EVENT_TRACK, "{}", "");
  basic("Basic YWJjOg==", 0, "abc"); // abc:
  basic("basic YWJjOnB3", 0, "abc"); // abc:pw
  basic("Basic YWJj", 0, "abc");     // abc, as the browser's workers send it
  basic("Basic Og==", 0, "");        // :
  basic("Basic YTpiOmM=", 0, "a");   // a:b:c
  basic("Bearer YWJjOg==", ITD_EAUTH, "");
  basic("Basic", ITD_EAUTH, "");
  basic("Basic ", ITD_EAUTH, "");
  basic("Basic !!!!", ITD_EAUTH, "");
  basic("Basic YWJjO", ITD_EAUTH, ""); // cut off
  basic("", ITD_EAUTH, "");
  char *long_one = calloc(1, 5000);
  memcpy(long_one, "Basic ", 6);
  memset(long_one + 6, 'Q', 4000);
  basic(long_one, ITD_EAUTH, "");
  free(long_one);
}

// ---- gzip ----

static void gzip(struct bytes in, struct buf *out) {
  z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  size_t room = deflateBound(&z, in.n);
  z.next_out = buf_reserve(out, room);
  z.avail_out = (uInt)room;
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  out->n += room - z.avail_out;
  deflateEnd(&z);
}

static void unzips(struct bytes in, size_t max, int status, struct bytes want) {
  struct buf out = {0};
  struct error err = {0};
  buf_append_str(&out, "kept");
  assert_int_equal(segment_gunzip(in, max, &out, &err), status);
  assert_int_equal(out.n, want.n + 4);
  assert_memory_equal(out.p, "kept", 4);
  if (want.n) assert_memory_equal(out.p + 4, want.p, want.n);
  buf_deinit(&out);
}

static void test_gzip(void **state) {
  (void)state;
  struct bytes none = {0};
  struct buf plain = {0}, zipped = {0};
  for (unsigned i = 0; i < 300000; i++) buf_append_u8(&plain, (uint8_t)(i * i >> 7));
  gzip(buf_bytes(&plain), &zipped);
  unzips(buf_bytes(&zipped), plain.n, 0, buf_bytes(&plain)); // exactly at the bound
  unzips(buf_bytes(&zipped), plain.n - 1, ITD_ETOOBIG, none);
  unzips(bytes_of(zipped.p, zipped.n - 1), plain.n, ITD_EFRAME, none); // cut off
  unzips(bytes_of(zipped.p, 5), plain.n, ITD_EFRAME, none);
  unzips(none, plain.n, ITD_EFRAME, none);
  unzips(BYTES_LIT("{\"userId\":1}"), plain.n, ITD_EFRAME, none);
  size_t one = zipped.n;
  struct buf two = {0}, twice = {0};
  buf_append(&two, zipped.p, one);
  buf_append(&two, zipped.p, one);
  buf_append_bytes(&twice, buf_bytes(&plain));
  buf_append_bytes(&twice, buf_bytes(&plain));
  unzips(buf_bytes(&two), twice.n, 0, buf_bytes(&twice)); // two members
  zipped.p[zipped.n - 5] ^= 1;                            // the checksum
  unzips(buf_bytes(&zipped), plain.n, ITD_EFRAME, none);
  buf_deinit(&two);
  buf_deinit(&twice);
  buf_deinit(&plain);
  buf_deinit(&zipped);
}

// 64 MiB of zeros in 64 KiB: stops at the bound, and holds no more than that.
static void test_bomb(void **state) {
  (void)state;
  struct buf zeros = {0}, zipped = {0}, out = {0};
  struct error err = {0};
  memset(buf_reserve(&zeros, 64u << 20), 0, 64u << 20);
  zeros.n = 64u << 20;
  gzip(buf_bytes(&zeros), &zipped);
  assert_true(zipped.n < 100000);
  assert_int_equal(segment_gunzip(buf_bytes(&zipped), 1u << 20, &out, &err), ITD_ETOOBIG);
  assert_int_equal(out.n, 0);
  assert_true(out.cap < 4u << 20);
  buf_deinit(&zeros);
  buf_deinit(&zipped);
  buf_deinit(&out);
}

// Whatever the bytes are: refused, or as many whole values as were announced, none of which shows the write key.
static void test_hostile(void **state) {
  (void)state;
  random_start();
  const char *seeds[] = {
      "{\"batch\":[{\"type\":\"track\",\"userId\":\"u\",\"context\":{\"a\":[1,{\"b\":null}]}},{\"sentAt\":3}],"
      "\"context\":{\"x\":{}},"
      "\"writeKey\":\"SECRET\",\"sentAt\":1}",
      "{\"writeKey\":\"SECRET\",\"context\":{\"source\":null},\"traits\":{\"email\":\"\\u00e9\"},\"type\":null}"};
  for (int round = 0; round < 40000; round++) {
    char text[256];
    const char *seed = seeds[random_below(2)];
    size_t n = strlen(seed);
    memcpy(text, seed, n);
    for (uint64_t k = random_below(4); k > 0; k--) {
      size_t at = random_below(n);
      uint64_t how = random_below(3);
      if (how == 0)
        text[at] = (char)random_below(256);
      else if (how == 1)
        text[at] = "{}[],:\"0n"[random_below(9)];
      else
        n = at + 1;
    }
    struct segment_body body;
    struct error err = {0};
    int endpoint = (int)random_below(SEGMENT_BATCH + 1);
    int status = segment_read(endpoint, bytes_of(text, n), &limits, BATCH_MAX, &body, &err);
    if (status < 0) {
      assert_true(err.code == status && err.text[0]);
      continue;
    }
    struct buf event = {0};
    uint32_t count = 0;
    while (segment_next(&body, random_below(2) ? "web" : NULL, &event)) {
      size_t len;
      assert_int_equal(mp_scan(buf_bytes(&event), &MP_LIMITS_DEFAULT, &len, &err), 1);
      assert_int_equal(len, event.n);
      struct bytes value;
      assert_false(mp_find(buf_bytes(&event), BYTES_LIT("writeKey"), &value));
      buf_clear(&event);
      count++;
    }
    assert_true(count == body.count && count >= 1 && count <= BATCH_MAX);
    buf_deinit(&event);
    segment_deinit(&body);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_endpoints), cmocka_unit_test(test_single),  cmocka_unit_test(test_source),
      cmocka_unit_test(test_batch),     cmocka_unit_test(test_refused), cmocka_unit_test(test_keys),
      cmocka_unit_test(test_gzip),      cmocka_unit_test(test_bomb),    cmocka_unit_test(test_hostile),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
