// MessagePack-RPC (https://github.com/msgpack-rpc/msgpack-rpc): reading one message, writing answers. Pure; any thread.
#pragma once
#include "wire/mp.h"

#define RPC_METHOD_MAX 128 // bytes of a method's name
struct rpc_message {
  bool is_notification;
  uint32_t id;         // of a request
  struct bytes method; // UTF-8, not empty
  struct bytes params; // the whole array
};
// `value` has passed mp_scan and is an array that begins with an integer. ITD_EFRAME says what is wrong; *has_id and message->id
// are set as soon as a request's id could be read, so that the error can be answered.
int rpc_read(struct bytes value, struct rpc_message *message, bool *has_id, struct error *err) ITD_MUST_USE;

// [1, id, nil, result] with an already packed result; or in two steps when the result is written straight into the buffer.
void rpc_put_result(struct buf *out, uint32_t id, struct bytes result);
void rpc_put_result_head(struct buf *out, uint32_t id); // the caller appends exactly one value
void rpc_put_error(struct buf *out, uint32_t id, const struct error *err);
void rpc_put_notification(struct buf *out, const char *method, struct bytes params);
// {code, message, detail, retryable}: the map that every protocol shows for a failure. code: status_code; message: what that
// code means, the same each time; detail: err->text, what was wrong with this very thing (broken UTF-8 in it becomes "?").
void error_put(struct buf *out, const struct error *err);
