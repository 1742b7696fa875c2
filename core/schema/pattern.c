// Reading a pattern into sets of places, and walking a text through them.
#include "schema/pattern.h"

struct compiling {
  struct bytes text;
  size_t at;
  struct pattern *out;
  struct error *err;
};

// One element: the characters that it takes.
struct element {
  uint64_t ascii[2];
  bool takes_other;
};

static int wrong(const struct compiling *c, const char *what) {
  return error_set(c->err, ITD_EPOLICY, "pattern, character %zu: %s", c->at + 1, what);
}

static void take_ascii(struct element *e, unsigned ch) { e->ascii[ch / 64] |= 1ull << (ch % 64); }

static bool next_ascii(struct compiling *c, unsigned *ch) {
  if (c->at >= c->text.n) return false;
  *ch = c->text.p[c->at++];
  if (*ch == '\\') {
    if (c->at >= c->text.n) return false;
    *ch = c->text.p[c->at++];
  }
  return *ch < 128;
}

static int read_set(struct compiling *c, struct element *e) {
  bool is_not = c->at < c->text.n && c->text.p[c->at] == '^';
  c->at += is_not;
  size_t begin = c->at;
  while (c->at < c->text.n && (c->text.p[c->at] != ']' || c->at == begin)) {
    unsigned from, to;
    if (!next_ascii(c, &from)) return wrong(c, "a set takes ASCII characters alone");
    to = from;
    if (c->at + 1 < c->text.n && c->text.p[c->at] == '-' && c->text.p[c->at + 1] != ']') {
      c->at++;
      if (!next_ascii(c, &to)) return wrong(c, "a set takes ASCII characters alone");
    }
    if (to < from) return wrong(c, "a range that ends before it begins");
    for (unsigned ch = from; ch <= to; ch++) take_ascii(e, ch);
  }
  if (c->at >= c->text.n) return wrong(c, "a set without its ]");
  c->at++;
  if (is_not) {
    e->ascii[0] = ~e->ascii[0], e->ascii[1] = ~e->ascii[1];
    e->takes_other = true;
  }
  return 0;
}

static int read_element(struct compiling *c, struct element *e) {
  *e = (struct element){0};
  uint8_t ch = c->text.p[c->at];
  if (memchr("?*+{", ch, 4)) return wrong(c, "nothing stands before ? * + or { that it could repeat");
  if (memchr("()|^$", ch, 5))
    return wrong(c, "( ) | ^ $ have no meaning here: write \\ before one that is meant itself");
  if (ch >= 128) return wrong(c, "characters beyond ASCII can't be named; . takes one");
  c->at++;
  if (ch == '[') return read_set(c, e);
  if (ch == '.') {
    *e = (struct element){{UINT64_MAX, UINT64_MAX}, true};
    return 0;
  }
  if (ch == '\\') {
    if (c->at >= c->text.n || c->text.p[c->at] >= 128) return wrong(c, "\\ at the end");
    ch = c->text.p[c->at++];
    // \d and its kin are of other languages: taken for the letter they would surprise.
    if ((ch | 32) >= 'a' && (ch | 32) <= 'z') return wrong(c, "\\ before a letter has no meaning: write [0-9], [a-z]");
  }
  take_ascii(e, ch);
  return 0;
}

static bool read_number(struct compiling *c, unsigned *n) {
  size_t begin = c->at;
  *n = 0;
  while (c->at < c->text.n && c->text.p[c->at] >= '0' && c->text.p[c->at] <= '9' && *n <= PATTERN_PLACES)
    *n = *n * 10 + (c->text.p[c->at++] - '0');
  return c->at > begin;
}

// {3} {2,} {2,4}
static int read_counts(struct compiling *c, unsigned *least, unsigned *most, bool *is_open) {
  if (!read_number(c, least)) return wrong(c, "{ takes a number");
  *most = *least;
  if (c->at < c->text.n && c->text.p[c->at] == ',') {
    c->at++;
    *is_open = !read_number(c, most);
  }
  if (c->at >= c->text.n || c->text.p[c->at] != '}') return wrong(c, "{ without its }");
  c->at++;
  if (!*is_open && (*most < *least || *most == 0)) return wrong(c, "a number of times that can't be");
  return 0;
}

static int read_times(struct compiling *c, unsigned *least, unsigned *most, bool *is_open) {
  uint8_t ch = c->at < c->text.n ? c->text.p[c->at] : 0;
  *least = *most = 1;
  *is_open = false;
  switch (ch) {
  case '?': *least = 0; break;
  case '*': *least = 0, *is_open = true; break;
  case '+': *is_open = true; break;
  case '{': c->at++; return read_counts(c, least, most, is_open);
  default: return 0;
  }
  c->at++;
  return 0;
}

static int add_place(struct compiling *c, const struct element *e, bool is_optional, bool is_repeated) {
  struct pattern *p = c->out;
  if (p->places == PATTERN_PLACES)
    return error_set(c->err, ITD_EPOLICY, "pattern: more than %d places", PATTERN_PLACES);
  uint64_t bit = 1ull << p->places++;
  for (unsigned ch = 0; ch < 128; ch++)
    if (e->ascii[ch / 64] >> (ch % 64) & 1) p->of[ch] |= bit;
  if (e->takes_other) p->of_other |= bit;
  if (is_optional) p->optional |= bit;
  if (is_repeated) p->repeated |= bit;
  return 0;
}

int pattern_compile(struct bytes text, struct pattern *out, struct error *err) {
  struct compiling c = {.text = text, .out = out, .err = err};
  memset(out, 0, sizeof *out);
  int rc = 0;
  while (rc == 0 && c.at < text.n) {
    struct element e;
    unsigned least, most;
    bool is_open;
    rc = read_element(&c, &e);
    if (rc == 0) rc = read_times(&c, &least, &most, &is_open);
    if (rc) break;
    unsigned places = is_open ? (least ? least : 1) : most;
    for (unsigned i = 0; rc == 0 && i < places; i++) rc = add_place(&c, &e, i >= least, is_open && i + 1 == places);
  }
  return rc;
}

// Places that can be reached without a character: past those that are optional.
static uint64_t reach(const struct pattern *p, uint64_t at) {
  for (uint64_t more = at; more;) {
    more = (more & p->optional) << 1 & ~at;
    at |= more;
  }
  return at;
}

bool pattern_matches(const struct pattern *p, struct bytes text) {
  uint64_t at = reach(p, 1);
  size_t left = PATTERN_TEXT_MAX;
  for (size_t i = 0; i < text.n && at; i++) {
    uint8_t ch = text.p[i];
    if ((ch & 0xc0) == 0x80) continue; // the rest of a character
    if (left-- == 0) return false;
    uint64_t taken = at & (ch < 128 ? p->of[ch] : p->of_other);
    at = reach(p, taken << 1 | (taken & p->repeated));
  }
  return at >> p->places & 1;
}
