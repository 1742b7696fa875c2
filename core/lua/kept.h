// A Lua function that is kept: a sandboxed state that is opened once and then called with one MessagePack value at a
// time, giving one back. For mappings of sources (policy/sources.h), which run at the edge, not inside a decision.
//
// Nothing stays from one call to the next: what the entry's library code keeps is its own business, and functions that
// a user wrote (`custom`) assign to nothing outside themselves and hold on to frozen values only. Each call is bounded
// by memory, instructions and CPU time, with the JIT off; after one that was stopped the state is thrown away and built
// anew before the next. Owned by one thread at a time, which needs 1 MiB of stack.
#pragma once
#include "lua/build.h"

struct kept;

// Module `entry` returns a function; called with `input` it returns a table {call = function, custom = list of the
// user's functions inside it, about = data}. `about` is appended as MessagePack. Loading is bounded by
// LUA_LIMITS_DEFAULT within limits->memory_max, a call by `limits` (cpu_ms_max 0: 1,000). The modules, entry and input
// must live as long as the state. ITD_EPOLICY, with the place.
int kept_open(const struct lua_module *modules, size_t count, const char *entry, struct bytes input,
              const struct lua_limits *limits, struct kept **out, struct buf *about, struct error *err) ITD_MUST_USE;
void kept_close(struct kept *kept); // NULL does nothing

// Calls the function with one value and appends what it returns. ITD_EINVAL: not one MessagePack value. ITD_ESTOPPED:
// it ran over a limit, raised an error, or gave what is no data; `output` is as before.
int kept_call(struct kept *kept, struct bytes input, struct buf *output, struct error *err) ITD_MUST_USE;
