// What ends a call into a Lua state before its end.
#pragma once

// XX(NAME, label)
#define STOPS(XX)                                                                                                      \
  XX(ERROR, "error")               /* a Lua error that nothing caught */                                               \
  XX(INSTRUCTIONS, "instructions") /* the hook's count */                                                              \
  XX(DEADLINE, "deadline")         /* CPU time, the guard's or the hook's */                                           \
  XX(MEMORY, "memory")             /* the cap, met where nothing caught it */                                          \
  XX(STACK, "stack")               /* the guard: the end of the thread's stack */

enum stop {
  STOP_NONE,
#define XX(name, label) STOP_##name,
  STOPS(XX)
#undef XX
      STOP_END
};
