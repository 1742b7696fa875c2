// Status codes and struct error. Everything about a code stands in one row of ITD_STATUS_MAP. Any thread.
#include "base/status.h"

#include "base/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *wire;
  int status;
  bool retryable;
} table[] = {{"ok", ITD_OK, false},
#define XX(name, number, wire, retryable) {wire, ITD_##name, retryable},
             ITD_STATUS_MAP(XX)
#undef XX
};
enum { TABLE_COUNT = sizeof table / sizeof table[0] };

const char *status_code(int status) {
  for (int i = 0; i < TABLE_COUNT; i++)
    if (table[i].status == status) return table[i].wire;
  return "unknown";
}

bool status_retryable(int status) {
  for (int i = 0; i < TABLE_COUNT; i++)
    if (table[i].status == status) return table[i].retryable;
  return false;
}

int status_from_code(const char *code) {
  for (int i = 0; code && i < TABLE_COUNT; i++)
    if (strcmp(table[i].wire, code) == 0) return table[i].status;
  return ITD_EINTERNAL;
}

// Copies `text` to `out`, and ends a text that is too long with an ellipsis after a whole UTF-8 character.
static void put_text(char *out, size_t size, const char *text, size_t n) {
  static const char ellipsis[] = "…";
  if (n < size) {
    memcpy(out, text, n + 1);
    return;
  }
  n = size - sizeof ellipsis;
  while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
  memcpy(out, text, n);
  memcpy(out + n, ellipsis, sizeof ellipsis);
}

// vsnprintf into a buffer that is larger than the error's text, so that arguments may point into that text.
static void put_formatted(char *out, size_t size, const char *format, va_list args) {
  char text[2 * sizeof((struct error *)0)->text];
  int n = vsnprintf(text, sizeof text, format, args);
  CHECK(n >= 0);
  put_text(out, size, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

int error_set(struct error *err, int code, const char *format, ...) {
  CHECK(code < 0);
  if (!err) return code;
  va_list args;
  va_start(args, format);
  put_formatted(err->text, sizeof err->text, format, args);
  va_end(args);
  err->code = code;
  return code;
}

void error_prefix(struct error *err, const char *format, ...) {
  if (!err) return;
  char prefix[sizeof err->text];
  va_list args;
  va_start(args, format);
  put_formatted(prefix, sizeof prefix, format, args);
  va_end(args);
  char text[sizeof prefix + 2 + sizeof err->text];
  int n = snprintf(text, sizeof text, "%s: %s", prefix, err->text);
  put_text(err->text, sizeof err->text, text, (size_t)n);
}
