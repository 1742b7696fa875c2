// CHECK: what a programmer believes always holds. On in release too; a failure prints where and aborts.
#pragma once

_Noreturn void check_failed(const char *condition, const char *file, int line);
// Out of memory in C ends the process with a message: everything acknowledged is on disk, and a restart recovers.
_Noreturn void out_of_memory(unsigned long bytes);

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (__builtin_expect(!(condition), 0)) check_failed(#condition, __FILE__, __LINE__);                               \
  } while (0)
