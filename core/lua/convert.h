// Lua values to MessagePack and back. Both raise Lua errors, so that they run inside a protected call; what they
// allocate is Lua's or the caller's.
#pragma once
#include "base/buf.h"
#include "base/status.h"
#include <lua.h>

#define CONVERT_DEPTH_MAX 64

// 0 when `value` is one whole MessagePack value that convert_push takes; ITD_EINVAL.
int convert_check(struct bytes value, struct error *err) ITD_MUST_USE;

// Pushes one value that has passed convert_check. Integers become numbers, the nearest one
// beyond 2^53; text and bin become strings; a nil in a map or array is a missing field. Extensions and keys other than
// text and numbers are refused.
void convert_push(lua_State *L, struct bytes value);

// Appends the value at `index`. Whole numbers up to 2^53 become integers, others floats (NaN, infinities and -0 as they
// are); strings that are UTF-8 become text, others bin. A table is an array when its keys are 1..n (an empty one too),
// else a map in the order of `pairs`; a frozen table is what it stands for. Functions, keys that are neither text nor
// numbers, cycles and more than `max` bytes are refused, with the way to them: "result.stages[3].why: a function is no
// data".
void convert_pack(lua_State *L, int index, const char *what, size_t max, struct buf *out);
