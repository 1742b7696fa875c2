#include "cli/show.h"

#include "base/clock.h"
#include "cli/field.h"
#include "cli/grid.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define HIDDEN "\xc2\xb7" // ·

// C0, DEL and C1 (as UTF-8: c2 80 to c2 9f), and the marks that turn the direction of what follows (U+200E to U+202E,
// U+2066 to U+2069).
static bool is_control(const uint8_t *p, size_t n) {
  if (n == 1) return p[0] < 0x20 || p[0] == 0x7f;
  if (n == 2) return p[0] == 0xc2 && p[1] < 0xa0;
  if (n != 3 || p[0] != 0xe2) return false;
  bool is_mark = p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae));
  return is_mark || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

void show_text(struct buf *out, struct bytes text) {
  while (text.n) {
    size_t n = bytes_utf8_first(text);
    if (n == 0 || is_control(text.p, n))
      buf_append_str(out, HIDDEN);
    else
      buf_append(out, text.p, n);
    if (n == 0) n = 1;
    text = bytes_of(text.p + n, text.n - n);
  }
}

void show_count(struct buf *out, uint64_t n) {
  char digits[24];
  int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
  for (int i = 0; i < length; i++) {
    if (i && (length - i) % 3 == 0) buf_append_u8(out, ',');
    buf_append_u8(out, (uint8_t)digits[i]);
  }
}

void show_size(struct buf *out, uint64_t bytes) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  unsigned unit = 0;
  uint64_t rest = 0;
  for (; bytes >= 1024 && unit < 6; unit++) {
    rest = bytes % 1024;
    bytes /= 1024;
  }
  if (!unit)
    buf_printf(out, "%" PRIu64 " %s", bytes, units[0]);
  else
    buf_printf(out, "%" PRIu64 ".%" PRIu64 " %s", bytes, rest * 10 / 1024, units[unit]);
}

void show_score(struct buf *out, int64_t milli) {
  uint64_t size = milli < 0 ? 0 - (uint64_t)milli : (uint64_t)milli;
  uint64_t tenths = size / 100, rest = size % 100;
  if (rest > 50 || (rest == 50 && tenths % 2)) tenths++;
  buf_printf(out, "%s%" PRIu64 ".%" PRIu64, milli < 0 && tenths ? "-" : "", tenths / 10, tenths % 10);
}

void show_milli(struct buf *out, int64_t milli) {
  uint64_t size = milli < 0 ? 0 - (uint64_t)milli : (uint64_t)milli;
  buf_printf(out, "%s%" PRIu64 ".%03" PRIu64, milli < 0 ? "-" : "", size / 1000, size % 1000);
}

void show_time(struct buf *out, int64_t time_ms) {
  char text[TIME_TEXT_MAX];
  time_format(time_ms, text);
  for (const char *p = text; *p; p++) {
    if (strcmp(p, ".000Z") == 0) p += 4;
    buf_append_u8(out, *p == 'T' ? ' ' : (uint8_t)*p);
  }
}

void show_span(struct buf *out, int64_t span_ms) {
  static const struct {
    uint64_t ms;
    const char *name;
  } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
  uint64_t left = span_ms < 0 ? 0 - (uint64_t)span_ms : (uint64_t)span_ms;
  if (span_ms < 0) buf_append_u8(out, '-');
  if (left < 1000) {
    buf_printf(out, "%" PRIu64 " ms", left);
    return;
  }
  for (size_t i = 0, shown = 0; i < 4 && shown < 2; i++) {
    uint64_t n = left / units[i].ms;
    if (n == 0 && shown == 0) continue;
    if (n) buf_printf(out, "%s%" PRIu64 "%s", shown ? " " : "", n, units[i].name);
    left %= units[i].ms;
    shown++;
  }
}

static void show_number(struct buf *out, double x) {
  char text[40];
  snprintf(text, sizeof text, "%.6g", x);
  buf_append_str(out, text);
}

void show_value(struct buf *out, struct bytes value, const char *unit) {
  struct mp_value v = value.n ? mp_value_of(value) : (struct mp_value){.type = MP_NIL};
  bool is_span = unit && strcmp(unit, "ms") == 0;
  struct buf json = {0};
  switch (v.type) {
  case MP_NIL: buf_append_str(out, "-"); break;
  case MP_BOOL: buf_append_str(out, v.b ? "yes" : "no"); break;
  case MP_INT:
    if (is_span)
      show_span(out, v.i);
    else
      buf_printf(out, "%" PRId64, v.i);
    break;
  case MP_FLOAT:
    if (is_span && v.f > -9e15 && v.f < 9e15)
      show_span(out, (int64_t)v.f);
    else
      show_number(out, v.f);
    break;
  case MP_STR: show_text(out, v.s); break;
  default:
    mp_to_json(value, &json);
    show_text(out, buf_bytes(&json));
    buf_deinit(&json);
  }
}

void show_features(struct buf *out, struct bytes features, unsigned width) {
  struct grid t;
  struct bytes name, value;
  grid_init(&t, "ll");
  t.indent = 2;
  for (struct each each = each_of_map(features); each_next_pair(&each, &name, &value);) {
    show_value(grid_cell(&t), name, NULL);
    grid_end(&t);
    show_value(grid_cell(&t), value, NULL);
    grid_end(&t);
  }
  buf_append_str(out, "\nfeatures\n");
  grid_put(&t, width, out);
  grid_deinit(&t);
}

void show_json(struct bytes value) {
  struct buf line = {0};
  mp_to_json(value, &line);
  buf_append_u8(&line, '\n');
  show_print(&line);
  buf_deinit(&line);
}

void show_print(struct buf *text) {
  if (text->n) fwrite(text->p, 1, text->n, stdout);
  buf_clear(text);
}

unsigned show_width(void) {
  struct winsize size;
  if (!isatty(STDOUT_FILENO)) return 0;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}
