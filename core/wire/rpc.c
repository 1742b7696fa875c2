// MessagePack-RPC: taking a message apart and writing answers. Pure, any thread.
#include "wire/rpc.h"

#include "base/check.h"

enum { RPC_REQUEST = 0, RPC_RESPONSE = 1, RPC_NOTIFICATION = 2 };

static int method_read(struct mp *m, struct bytes *method, struct error *err) {
  struct mp_value v = mp_next(m);
  if (v.type != MP_STR) return error_set(err, ITD_EFRAME, "the method of a call must be text");
  if (v.s.n == 0 || v.s.n > RPC_METHOD_MAX || !bytes_is_utf8(v.s))
    return error_set(err, ITD_EFRAME, "the method of a call must be UTF-8 of 1 to %d bytes", RPC_METHOD_MAX);
  *method = v.s;
  return 0;
}

static int params_read(struct mp *m, struct bytes *params, struct error *err) {
  if (mp_peek(m) != MP_ARRAY) return error_set(err, ITD_EFRAME, "the parameters of a call must be a list");
  *params = mp_take(m);
  return 0;
}

int rpc_read(struct bytes value, struct rpc_message *message, bool *has_id, struct error *err) {
  struct mp m = mp_of(value);
  struct rpc_message read = {0};
  *has_id = false;
  struct mp_value head = mp_next(&m);
  struct mp_value kind = {.type = MP_NIL};
  if (head.type == MP_ARRAY && head.count > 0) {
    if (mp_peek(&m) == MP_INT) kind = mp_next(&m);
  }
  if (kind.type != MP_INT)
    return error_set(err, ITD_EFRAME,
                     "a MessagePack-RPC message is a list that begins with 0 (request) or 2 (notification)");
  if (kind.i == RPC_RESPONSE) return error_set(err, ITD_EFRAME, "a response (1), but nothing was asked");
  if (kind.i != RPC_REQUEST && kind.i != RPC_NOTIFICATION)
    return error_set(err, ITD_EFRAME, "message type %lld; 0 is a request, 2 a notification", (long long)kind.i);
  read.is_notification = kind.i == RPC_NOTIFICATION;
  if (!read.is_notification && head.count > 1) {
    struct mp at = m;
    struct mp_value id = {.type = MP_NIL};
    if (mp_peek(&at) == MP_INT) id = mp_next(&at);
    if (id.type != MP_INT || id.i < 0 || id.i > UINT32_MAX)
      return error_set(err, ITD_EFRAME, "the id of a request must be an integer of 0 to 4294967295");
    m = at;
    read.id = message->id = (uint32_t)id.i;
    *has_id = true;
  }
  uint32_t parts = read.is_notification ? 3 : 4;
  if (head.count != parts)
    return error_set(err, ITD_EFRAME, "a %s has %u parts, this one %u",
                     read.is_notification ? "notification" : "request", parts, head.count);
  int rc = method_read(&m, &read.method, err);
  if (rc == 0) rc = params_read(&m, &read.params, err);
  if (rc == 0) *message = read;
  return rc;
}

static void response_head(struct buf *out, uint32_t id) {
  mp_put_array(out, 4);
  mp_put_int(out, RPC_RESPONSE);
  mp_put_uint(out, id);
}

void rpc_put_result_head(struct buf *out, uint32_t id) {
  response_head(out, id);
  mp_put_nil(out);
}

void rpc_put_result(struct buf *out, uint32_t id, struct bytes result) {
  rpc_put_result_head(out, id);
  mp_put_raw(out, result);
}

void rpc_put_error(struct buf *out, uint32_t id, const struct error *err) {
  response_head(out, id);
  error_put(out, err);
  mp_put_nil(out);
}

void rpc_put_notification(struct buf *out, const char *method, struct bytes params) {
  mp_put_array(out, 3);
  mp_put_int(out, RPC_NOTIFICATION);
  mp_put_cstr(out, method);
  mp_put_raw(out, params);
}

// ---- errors ----
static const char *message_of(int code) {
  switch (code) {
  case ITD_EINVAL: return "a parameter is not acceptable";
  case ITD_EEVENT: return "the event breaks the event format";
  case ITD_EFRAME: return "the bytes are no message of the protocol";
  case ITD_ETOOBIG: return "a limit is exceeded";
  case ITD_ETIME: return "the event's time lies outside the accepted bounds";
  case ITD_EMETHOD: return "there is no such method";
  case ITD_ENOTFOUND: return "there is no such thing";
  case ITD_EAUTH: return "not let in";
  case ITD_EBUSY: return "too much is going on; try again";
  case ITD_EFULL: return "the disk is full; try again later";
  case ITD_EIO: return "the storage failed; try again later";
  case ITD_EUNAVAILABLE: return "nothing can be made durable now; send the same again later";
  case ITD_EFORGOTTEN: return "the event was decided, and its lead has been forgotten since";
  case ITD_ECORRUPT: return "stored data is damaged";
  case ITD_EVERSION: return "the data is of another version";
  case ITD_EPOLICY: return "the policy has faults";
  case ITD_EMODEL: return "the model has faults";
  case ITD_ELATE: return "the policy reads features that are not filled in yet";
  case ITD_ESTOPPED: return "the policy was stopped on this event";
  case ITD_ECONFIG: return "the configuration has faults";
  case ITD_ESCHEMA: return "the event breaks its schema";
  case ITD_EQUALITY: return "a quality rule for what sources send refuses the event";
  case ITD_ESHUTDOWN: return "the server is shutting down; try again";
  default: return "an internal error";
  }
}

// A text that was cut to its buffer, or that shows a sender's bytes, may hold broken UTF-8; each such byte becomes "?".
static void put_clean_str(struct buf *out, const char *text) {
  char clean[sizeof(((struct error *)0)->text)];
  size_t n = strnlen(text, sizeof clean);
  memcpy(clean, text, n);
  for (size_t at; (at = mp_utf8_prefix(bytes_of(clean, n))) < n;) clean[at] = '?';
  mp_put_str(out, bytes_of(clean, n));
}

void error_put(struct buf *out, const struct error *err) {
  mp_put_map(out, 4);
  mp_put_cstr(out, "code");
  mp_put_cstr(out, status_code(err->code));
  mp_put_cstr(out, "message");
  mp_put_cstr(out, message_of(err->code));
  mp_put_cstr(out, "detail");
  put_clean_str(out, err->text);
  mp_put_cstr(out, "retryable");
  mp_put_bool(out, status_retryable(err->code));
}
