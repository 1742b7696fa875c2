// MessagePack-RPC: what is a message and what is not, ids that can be answered, and answers to the byte.
#include "wire_test.h"

#include "wire/rpc.h"

static void reads(const char *json, const char *method, const char *params, int id) {
  struct buf b = from_json(json);
  struct rpc_message m = {0};
  bool has_id = true;
  struct error err = {0};
  assert_int_equal(rpc_read(buf_bytes(&b), &m, &has_id, &err), 0);
  assert_text(m.method, method);
  assert_json(m.params, params);
  assert_int_equal(has_id, id >= 0);
  assert_int_equal(m.is_notification, id < 0);
  if (id >= 0) assert_int_equal(m.id, id);
  buf_deinit(&b);
}

static void fails(const char *json, bool want_id, const char *says) {
  struct buf b = from_json(json);
  struct rpc_message m = {0};
  bool has_id = !want_id;
  struct error err = {0};
  assert_int_equal(rpc_read(buf_bytes(&b), &m, &has_id, &err), ITD_EFRAME);
  assert_int_equal(has_id, want_id);
  if (want_id) assert_int_equal(m.id, 7);
  if (!strstr(err.text, says)) fail_msg("%s: \"%s\" does not say \"%s\"", json, err.text, says);
  buf_deinit(&b);
}

static void test_messages(void **state) {
  (void)state;
  reads("[0,7,\"server.ping\",[]]", "server.ping", "[]", 7);
  reads("[0,0,\"m\",[{\"a\":1},2]]", "m", "[{\"a\":1},2]", 0);
  reads("[2,\"event.ingest\",[{}]]", "event.ingest", "[{}]", -1);
  struct rpc_message m;
  bool has_id;
  struct bytes big = BYTES_LIT("\x94\x00\xce\xff\xff\xff\xff\xa1m\x90");
  assert_int_equal(rpc_read(big, &m, &has_id, NULL), 0);
  assert_true(has_id && m.id == UINT32_MAX);
}

static void test_what_is_no_message(void **state) {
  (void)state;
  fails("5", false, "list");
  fails("[]", false, "list");
  fails("[\"tag\",[]]", false, "list");
  fails("[1,7,null,true]", false, "response");
  fails("[3,7,\"m\",[]]", false, "message type 3");
  fails("[0]", false, "has 4 parts, this one 1");
  fails("[0,7]", true, "has 4 parts, this one 2");
  fails("[0,7,\"m\"]", true, "has 4 parts, this one 3");
  fails("[0,7,\"m\",[],1]", true, "has 4 parts, this one 5");
  fails("[2,\"m\"]", false, "has 3 parts, this one 2");
  fails("[0,-1,\"m\",[]]", false, "id");
  fails("[0,4294967296,\"m\",[]]", false, "id");
  fails("[0,\"7\",\"m\",[]]", false, "id");
  fails("[0,7,3,[]]", true, "method");
  fails("[0,7,\"\",[]]", true, "method");
  fails("[0,7,\"m\",{}]", true, "parameters");
  fails("[0,7,\"m\",null]", true, "parameters");
  struct rpc_message m = {0};
  bool has_id;
  assert_int_equal(rpc_read(BYTES_LIT("\x94\x00\x07\xa1\xff\x90"), &m, &has_id, NULL), ITD_EFRAME); // not UTF-8
  assert_true(has_id && m.id == 7);
  char long_name[RPC_METHOD_MAX + 2];
  memset(long_name, 'm', sizeof long_name);
  for (int over = 0; over < 2; over++) {
    struct buf b;
    buf_init(&b);
    mp_put_array(&b, 3), mp_put_int(&b, 2), mp_put_str(&b, bytes_of(long_name, (size_t)(RPC_METHOD_MAX + over))),
        mp_put_array(&b, 0);
    assert_int_equal(rpc_read(buf_bytes(&b), &m, &has_id, NULL), over ? ITD_EFRAME : 0);
    buf_deinit(&b);
  }
}

static void test_answers(void **state) {
  (void)state;
  struct buf b;
  buf_init(&b);
  rpc_put_result(&b, 7, BYTES_LIT("\xc3"));
  assert_json(buf_bytes(&b), "[1,7,null,true]");
  buf_clear(&b);
  rpc_put_result_head(&b, UINT32_MAX);
  mp_put_map(&b, 0);
  assert_json(buf_bytes(&b), "[1,4294967295,null,{}]");
  buf_clear(&b);
  struct error err = {0};
  error_set(&err, ITD_EEVENT, "type is missing");
  rpc_put_error(&b, 7, &err);
  assert_json(buf_bytes(&b), "[1,7,{\"code\":\"invalid_event\",\"message\":\"the event breaks the event format\","
                             "\"detail\":\"type is missing\",\"retryable\":false},null]");
  buf_clear(&b);
  rpc_put_notification(&b, "decision", BYTES_LIT("\x91\x01"));
  assert_json(buf_bytes(&b), "[2,\"decision\",[1]]");
  buf_deinit(&b);
}

static void test_every_status_has_a_message(void **state) {
  (void)state;
#define XX(name, number, wire, retry) ITD_##name,
  static const int codes[] = {ITD_STATUS_MAP(XX)};
#undef XX
  struct buf b;
  buf_init(&b);
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    struct error err = {.code = codes[i]};
    struct bytes value, text;
    buf_clear(&b);
    error_put(&b, &err);
    assert_true(mp_find(buf_bytes(&b), BYTES_LIT("code"), &value) && mp_as_str(value, &text));
    assert_text(text, status_code(codes[i]));
    assert_true(mp_find(buf_bytes(&b), BYTES_LIT("message"), &value) && mp_as_str(value, &text) && text.n > 0);
    assert_int_equal(bytes_is(text, "an internal error"), codes[i] == ITD_EINTERNAL);
    assert_true(mp_find(buf_bytes(&b), BYTES_LIT("retryable"), &value));
    assert_int_equal(mp_value_of(value).b, status_retryable(codes[i]));
  }
  buf_deinit(&b);
}

static void test_error_text_is_made_utf8(void **state) {
  (void)state;
  struct error err = {.code = ITD_EINVAL};
  memset(err.text, 'a', sizeof err.text); // not even ended
  err.text[0] = (char)0xff, err.text[1] = (char)0xc3, err.text[sizeof err.text - 1] = (char)0xe2;
  struct buf b;
  buf_init(&b);
  error_put(&b, &err);
  struct bytes value, text;
  assert_true(mp_find(buf_bytes(&b), BYTES_LIT("detail"), &value) && mp_as_str(value, &text));
  assert_int_equal(text.n, sizeof err.text);
  assert_true(bytes_is_utf8(text));
  assert_memory_equal(text.p, "??aa", 4);
  assert_int_equal(text.p[text.n - 1], '?');
  buf_deinit(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_messages),
      cmocka_unit_test(test_what_is_no_message),
      cmocka_unit_test(test_answers),
      cmocka_unit_test(test_every_status_has_a_message),
      cmocka_unit_test(test_error_text_is_made_utf8),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
