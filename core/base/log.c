// Log lines. The level is the only shared thing; a line is made on the caller's stack and written at once.
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, QUOTE_BUFFERS = 4, QUOTE_MAX = 512 };

static _Atomic int least = LOG_INFO;
static const char *const names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level) { atomic_store_explicit(&least, (int)level, memory_order_relaxed); }

int log_level_parse(const char *text, enum log_level *level) {
  for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
    if (strcmp(text, names[i]) == 0) {
      *level = (enum log_level)i;
      return 0;
    }
  }
  return ITD_EINVAL;
}

static void write_all(const char *p, size_t n) {
  while (n > 0) {
    ssize_t done = write(STDERR_FILENO, p, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return; // nowhere to say so
    p += done, n -= (size_t)done;
  }
}

// Cuts at `limit` (the buffer's last byte, for the newline), and lets no byte of a value start a second line.
static size_t finish_line(char *line, size_t n, size_t limit) {
  if (n >= limit) {
    n = limit;
    while (n > 0 && ((unsigned char)line[n - 1] & 0xC0) == 0x80) n--; // no half of a character at the end
    if (n > 0 && (unsigned char)line[n - 1] >= 0xC0) n--;
  }
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)line[i] < ' ' || line[i] == 0x7F) line[i] = ' ';
  line[n] = '\n';
  return n + 1;
}

void log_line(enum log_level level, const char *event, const char *format, ...) {
  if ((int)level < atomic_load_explicit(&least, memory_order_relaxed)) return;
  int saved = errno;
  char line[LINE_MAX_BYTES], time[TIME_TEXT_MAX];
  time_format(clock_wall_ms(), time);
  int n = snprintf(line, sizeof line, "time=%s level=%s event=%s", time, names[level], event);
  size_t used = n < 0 ? 0 : (size_t)n;
  if (format && *format && used + 1 < sizeof line) {
    line[used++] = ' ';
    va_list args;
    va_start(args, format);
    errno = saved; // for %m
    n = vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    used += n < 0 ? 0 : (size_t)n;
  }
  write_all(line, finish_line(line, used, sizeof line - 1));
  errno = saved;
}

// The form inside quotes of the character at `p` (n bytes left); returns its length, and through `taken` how far to go
// on.
static size_t quote_one(char out[8], struct bytes b, size_t *taken) {
  size_t n = bytes_utf8_first(b);
  uint8_t c = b.p[0];
  *taken = n ? n : 1;
  if (n == 0) return (size_t)snprintf(out, 8, "\\ufffd"); // not UTF-8
  const char *shorts = "\"\\\nn\rr\tt";
  if (c == '"' || c == '\\') return (size_t)snprintf(out, 8, "\\%c", c);
  for (const char *s = shorts + 2; *s; s += 2)
    if (c == (uint8_t)s[0]) return (size_t)snprintf(out, 8, "\\%c", s[1]);
  if (c < ' ' || c == 0x7F) return (size_t)snprintf(out, 8, "\\u%04x", c);
  if (c == 0xC2 && b.p[1] < 0xA0) return (size_t)snprintf(out, 8, "\\u%04x", b.p[1]); // C1: terminals obey these too
  memcpy(out, b.p, n);
  return n;
}

const char *log_quote(const char *text) {
  static _Thread_local char buffers[QUOTE_BUFFERS][QUOTE_MAX];
  static _Thread_local unsigned next;
  static const char ellipsis[] = "…";
  char *out = buffers[next++ % QUOTE_BUFFERS];
  struct bytes rest = bytes_str(text);
  size_t n = 0;
  out[n++] = '"';
  while (rest.n > 0) {
    char one[8];
    size_t taken, length = quote_one(one, rest, &taken);
    if (n + length + sizeof ellipsis + 1 > QUOTE_MAX) {
      memcpy(out + n, ellipsis, sizeof ellipsis - 1);
      n += sizeof ellipsis - 1;
      break;
    }
    memcpy(out + n, one, length);
    n += length;
    rest.p += taken, rest.n -= taken;
  }
  out[n++] = '"';
  out[n] = '\0';
  return out;
}
