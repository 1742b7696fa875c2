// The two ways in which the process ends itself. Only async-signal-safe output: the heap may be what is broken.
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static _Noreturn void die(const char *line, int n, int size) {
  size_t length = (size_t)(n < size ? n : size - 1);
  if (write(STDERR_FILENO, line, length) < 0) abort(); // nobody left to tell
  abort();
}

void check_failed(const char *condition, const char *file, int line) {
  char text[600];
  int n =
      snprintf(text, sizeof text, "level=error event=check_failed at=%s:%d condition=\"%s\"\n", file, line, condition);
  die(text, n, sizeof text);
}

void out_of_memory(unsigned long bytes) {
  char text[120];
  int n = snprintf(text, sizeof text, "level=error event=out_of_memory bytes=%lu\n", bytes);
  die(text, n, sizeof text);
}
