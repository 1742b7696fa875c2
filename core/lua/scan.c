// What a policy may not write although it is valid Lua, found in its text: bytecode no longer shows it, since the
// compiler folds constants.
//   ^        its results differ between machines and between compiled and interpreted code
//   1LL, 1i  numbers of the FFI, whose keys have no order
// The text is known to be a valid chunk, so that only strings, comments and numbers need telling apart.
#include "base/bytes.h"
#include "lua/sandbox.h"
#include <strings.h>

struct scan {
  const char *p, *end;
  int line;
};

static char peek(const struct scan *s, size_t ahead) { return (size_t)(s->end - s->p) > ahead ? s->p[ahead] : '\0'; }

static void step(struct scan *s) {
  if (*s->p++ == '\n') s->line++;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c & 0x80;
}

// "[", "="*, "[" at the place: passes over everything to its end; false when this is no long bracket.
static bool skip_long(struct scan *s) {
  size_t level = 0;
  while (peek(s, level + 1) == '=') level++;
  if (peek(s, 0) != '[' || peek(s, level + 1) != '[') return false;
  s->p += level + 2;
  while (s->p < s->end) {
    size_t n = 0;
    if (*s->p == ']') {
      while (peek(s, n + 1) == '=') n++;
      if (n == level && peek(s, n + 1) == ']') {
        s->p += level + 2;
        break;
      }
    }
    step(s);
  }
  return true;
}

static void skip_string(struct scan *s) {
  char quote = *s->p++;
  while (s->p < s->end && *s->p != quote) {
    if (*s->p == '\\') step(s);
    if (s->p < s->end) step(s);
  }
  if (s->p < s->end) s->p++;
}

static void skip_line(struct scan *s) {
  while (s->p < s->end && *s->p != '\n' && *s->p != '\r') s->p++;
}

static void skip_comment(struct scan *s) {
  s->p += 2;
  if (!skip_long(s)) skip_line(s);
}

// A number with its suffix; the sign of an exponent belongs to it.
static const char *scan_number(struct scan *s) {
  const char *start = s->p;
  bool is_hex = peek(s, 0) == '0' && (peek(s, 1) | 0x20) == 'x';
  while (is_word(peek(s, 0)) || peek(s, 0) == '.' ||
         ((peek(s, 0) == '+' || peek(s, 0) == '-') && s->p > start && (s->p[-1] | 0x20) == (is_hex ? 'p' : 'e')))
    s->p++;
  size_t n = (size_t)(s->p - start);
  if ((s->p[-1] | 0x20) == 'i' || (n > 2 && strncasecmp(s->p - 2, "ll", 2) == 0))
    return "numbers with LL, ULL or i are not for policies";
  return NULL;
}

const char *scan_policy(struct bytes text, int *line) {
  if (text.n == 0) return NULL;
  struct scan s = {(const char *)text.p, (const char *)text.p + text.n, 1};
  const char *why = NULL;
  if (text.n >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0) s.p += 3; // as LuaJIT does: a byte order mark,
  if (peek(&s, 0) == '#') skip_line(&s);                            // then a line for the shell
  while (s.p < s.end && !why) {
    char c = *s.p;
    *line = s.line;
    if (c == '-' && peek(&s, 1) == '-') {
      skip_comment(&s);
    } else if (c == '"' || c == '\'') {
      skip_string(&s);
    } else if (c == '[' && skip_long(&s)) {
      continue;
    } else if (is_digit(c) || (c == '.' && is_digit(peek(&s, 1)))) {
      why = scan_number(&s);
    } else if (is_word(c)) {
      while (is_word(peek(&s, 0))) s.p++;
    } else if (c == '^') {
      why = "the operator ^ gives other results on other machines; write math.pow(x, y)";
    } else {
      step(&s);
    }
  }
  return why;
}
