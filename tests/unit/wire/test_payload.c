// Raw payloads: forms, and what mappings get of a payload. What a form says is compared with a form that was built.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/payload.h"

#include "../random.h"
#include <stdio.h>
#include <stdlib.h>

static struct buf out, json;
static struct error err;

static int begin(void **unused) {
  (void)unused;
  err = (struct error){0};
  return 0;
}
static int end(void **unused) {
  (void)unused;
  buf_deinit(&out);
  buf_deinit(&json);
  return 0;
}

static const char *as_json(struct bytes value) {
  buf_clear(&json);
  mp_to_json(value, &json);
  buf_append_u8(&json, 0);
  return (const char *)json.p;
}

static void form_is(const char *form, const char *expected) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  buf_clear(&out);
  if (payload_from_form(bytes_str(form), &limits, &out, &err) < 0) fail_msg("%s: %s", form, err.text);
  assert_string_equal(as_json(buf_bytes(&out)), expected);
}

static void form_is_refused(const char *form, int status) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  buf_clear(&out);
  assert_int_equal(payload_from_form(bytes_str(form), &limits, &out, &err), status);
  assert_int_equal(out.n, 0);
}

static void forms(void **unused) {
  (void)unused;
  form_is("", "{}");
  form_is("a=1&b=two+words&c=%C3%A4%26", "{\"a\":\"1\",\"b\":\"two words\",\"c\":\"ä&\"}");
  form_is("a=1&b=x&a=2&a=3", "{\"a\":[\"1\",\"2\",\"3\"],\"b\":\"x\"}");
  form_is("a&b=&=c&&", "{\"a\":\"\",\"b\":\"\",\"\":\"c\"}");
  form_is("=", "{\"\":\"\"}");
  form_is("a=b=c", "{\"a\":\"b=c\"}");
  form_is("%61=%41", "{\"a\":\"A\"}");
  form_is_refused("a=%4", ITD_EFRAME);
  form_is_refused("a=%", ITD_EFRAME);
  form_is_refused("a=%zz", ITD_EFRAME);
  form_is_refused("a=%ff", ITD_EFRAME);
  form_is_refused("%c3=1", ITD_EFRAME);
}

static void forms_are_bounded(void **unused) {
  (void)unused;
  struct buf form = {0};
  for (int i = 0; i <= PAYLOAD_FORM_FIELDS; i++) buf_printf(&form, "k%d=v&", i);
  buf_append_u8(&form, 0);
  form_is_refused((const char *)form.p, ITD_ETOOBIG);
  const struct mp_limits small = {.depth_max = 4, .objects_max = 64, .bytes_max = 10};
  assert_int_equal(payload_from_form(bytes_str("abcdefghijk"), &small, &out, &err), ITD_ETOOBIG);
  buf_deinit(&form);
}

// Any bytes: an error or a map, nothing else.
static void random_forms(void **unused) {
  (void)unused;
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  random_start();
  static const char some[] = "ab=&%+4fF\xc3\xa4\x80";
  for (int i = 0; i < 20000; i++) {
    uint8_t form[24];
    size_t n = random_below(sizeof form);
    for (size_t k = 0; k < n; k++) form[k] = (uint8_t)some[random_below(sizeof some - 1)];
    buf_clear(&out);
    int status = payload_from_form(bytes_of(form, n), &limits, &out, &err);
    if (status == 0) {
      size_t length;
      assert_int_equal(mp_scan(buf_bytes(&out), &limits, &length, &err), 1);
      assert_int_equal(length, out.n);
    } else {
      assert_int_equal(status, ITD_EFRAME);
      assert_int_equal(out.n, 0);
    }
  }
}

static void plain_is(const char *text, const char *expected) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct buf packed = {0};
  if (mp_from_json(bytes_str(text), &limits, &packed, &err) < 0) fail_msg("%s: %s", text, err.text);
  buf_clear(&out);
  payload_plain(buf_bytes(&packed), &out);
  assert_string_equal(as_json(buf_bytes(&out)), expected);
  buf_deinit(&packed);
}

static void what_mappings_get(void **unused) {
  (void)unused;
  plain_is("{\"a\":1,\"b\":null,\"c\":{\"d\":null}}", "{\"a\":1,\"c\":{}}");
  plain_is("[1,null,[null],2]", "[1,[],2]");
  plain_is("{\"id\":9007199254740993,\"n\":9007199254740992,\"m\":-9007199254740993}",
           "{\"id\":\"9007199254740993\",\"n\":9007199254740992,\"m\":\"-9007199254740993\"}");
  plain_is("null", "null");
  plain_is("1.5", "1.5");
  struct buf packed = {0};
  mp_put_map(&packed, 2);
  mp_put_int(&packed, 1), mp_put_cstr(&packed, "a key that is no text");
  mp_put_cstr(&packed, "big"), mp_put_uint(&packed, UINT64_MAX);
  buf_clear(&out);
  payload_plain(buf_bytes(&packed), &out);
  assert_string_equal(as_json(buf_bytes(&out)), "{\"big\":\"18446744073709551615\"}");
  buf_deinit(&packed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(forms, begin, end),
      cmocka_unit_test_setup_teardown(forms_are_bounded, begin, end),
      cmocka_unit_test_setup_teardown(random_forms, begin, end),
      cmocka_unit_test_setup_teardown(what_mappings_get, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
