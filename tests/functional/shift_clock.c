// Preloaded into a daemon by a test: the wall clock shows what is in the file SHIFT_CLOCK (milliseconds, as text) more.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
  int rc = real(clock, t);
  const char *path = getenv("SHIFT_CLOCK");
  if (rc || clock != CLOCK_REALTIME || !path) return rc;
  char text[32] = "";
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return rc;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n > 0) t->tv_sec += atoll(text) / 1000;
  return rc;
}
