// string.find, match, gmatch and gsub with Lua 5.1's patterns (and %f, %g). LuaJIT's own matcher can take exponential
// time where no instruction count sees it; this one counts its steps as instructions. A pattern is first compiled to a
// list of nodes with their sets of bytes; matching recurses only at repetitions, so that its depth is bounded by their
// number. Bytes are classed as ASCII, in every locale.
#include "base/bytes.h"
#include "lua/sandbox.h"
#include <string.h>

#define NODES_MAX    128
#define CAPTURES_MAX 32
#define STEPS_EVERY  1024 // steps between two looks at the budget
#define STEPS_COST   4    // steps that take as long as one instruction

enum node_kind {
  NODE_SET,
  NODE_OPEN,
  NODE_CLOSE,
  NODE_PLACE,
  NODE_SAME,
  NODE_BALANCE,
  NODE_FRONTIER,
  NODE_AT_END,
  NODE_END
};

struct node {
  enum node_kind kind;
  char repeat;     // NODE_SET: 0 once, or one of * + - ?
  uint8_t a, b;    // the capture's number; the two bytes of NODE_BALANCE
  uint64_t set[4]; // NODE_SET, NODE_FRONTIER
};

struct pattern {
  bool is_anchored;
  unsigned count, captures;
  struct node node[NODES_MAX + 1];
};

struct capture {
  const uint8_t *start, *end; // end NULL: a place, given as a number
};

struct match {
  lua_State *L;
  const struct pattern *pattern;
  const uint8_t *subject, *end;
  unsigned steps;
  struct capture capture[CAPTURES_MAX];
};

// ---- compiling ----
static bool set_has(const uint64_t set[4], uint8_t c) { return set[c >> 6] >> (c & 63) & 1; }
static void set_add(uint64_t set[4], uint8_t c) { set[c >> 6] |= (uint64_t)1 << (c & 63); }
static bool between(int c, int low, int high) { return c >= low && c <= high; }

static bool in_class(int c, int class) {
  bool lower = between(c, 'a', 'z'), upper = between(c, 'A', 'Z'), digit = between(c, '0', '9');
  switch (class) {
  case 'a': return lower || upper;
  case 'c': return c < ' ' || c == 127;
  case 'd': return digit;
  case 'g': return between(c, '!', '~');
  case 'l': return lower;
  case 'p': return between(c, '!', '~') && !lower && !upper && !digit;
  case 's': return c == ' ' || between(c, '\t', '\r');
  case 'u': return upper;
  case 'w': return lower || upper || digit;
  case 'x': return digit || between(c | 0x20, 'a', 'f');
  default: return c == 0; // z
  }
}

// What "%c" stands for, added to the set: a class, its complement for a capital letter, else the byte itself.
static void set_add_escaped(uint64_t set[4], uint8_t c) {
  uint8_t class = c | 0x20;
  if (!between(class, 'a', 'z') || !strchr("acdglpsuwxz", class)) {
    set_add(set, c);
    return;
  }
  for (int i = 0; i < 256; i++)
    if (in_class(i, class) == (c == class)) set_add(set, (uint8_t)i);
}

// "[...]" from after its bracket; returns what follows it.
static const uint8_t *compile_set(lua_State *L, const uint8_t *p, const uint8_t *end, uint64_t set[4]) {
  bool is_complement = p < end && *p == '^';
  if (is_complement) p++;
  for (bool first = true; p < end && (first || *p != ']'); first = false) {
    if (*p == '%') {
      if (p + 1 >= end) break;
      set_add_escaped(set, p[1]);
      p += 2;
    } else if (p + 2 < end && p[1] == '-' && p[2] != ']') {
      for (int c = p[0]; c <= p[2]; c++) set_add(set, (uint8_t)c);
      p += 3;
    } else {
      set_add(set, *p++);
    }
  }
  if (p >= end || *p != ']') luaL_error(L, "malformed pattern (missing ])");
  for (int i = 0; is_complement && i < 4; i++) set[i] = ~set[i];
  return p + 1;
}

struct open_captures {
  uint8_t number[CAPTURES_MAX];
  unsigned count;
  bool is_closed[CAPTURES_MAX];
};

static const uint8_t *compile_capture(lua_State *L, struct pattern *out, struct node *node, struct open_captures *open,
                                      const uint8_t *p, const uint8_t *end) {
  if (*p == ')') {
    if (open->count == 0) luaL_error(L, "malformed pattern (a ) without its ()");
    node->kind = NODE_CLOSE;
    node->a = open->number[--open->count];
    open->is_closed[node->a] = true;
    return p + 1;
  }
  if (out->captures == CAPTURES_MAX) luaL_error(L, "more than %d captures in a pattern", CAPTURES_MAX);
  node->a = (uint8_t)out->captures++;
  if (p + 1 < end && p[1] == ')') {
    node->kind = NODE_PLACE;
    open->is_closed[node->a] = true;
    return p + 2;
  }
  node->kind = NODE_OPEN;
  open->number[open->count++] = node->a;
  return p + 1;
}

// "%" and what it introduces, other than a class.
static const uint8_t *compile_escape(lua_State *L, struct node *node, const struct open_captures *open,
                                     const uint8_t *p, const uint8_t *end) {
  if (p + 1 >= end) luaL_error(L, "malformed pattern (ends with %%)");
  uint8_t c = p[1];
  if (c == 'b') {
    if (p + 3 >= end) luaL_error(L, "malformed pattern (%%b needs two characters)");
    node->kind = NODE_BALANCE;
    node->a = p[2];
    node->b = p[3];
    return p + 4;
  }
  if (c == 'f') {
    if (p + 2 >= end || p[2] != '[') luaL_error(L, "malformed pattern (%%f needs a set)");
    node->kind = NODE_FRONTIER;
    return compile_set(L, p + 3, end, node->set);
  }
  if (between(c, '1', '9')) {
    node->kind = NODE_SAME;
    node->a = (uint8_t)(c - '1');
    if (!open->is_closed[node->a]) luaL_error(L, "malformed pattern (%%%c before its capture ends)", c);
    return p + 2;
  }
  set_add_escaped(node->set, c);
  return p + 2;
}

static void compile(lua_State *L, struct bytes text, bool may_anchor, struct pattern *out) {
  const uint8_t *p = text.p, *end = text.p + text.n;
  struct open_captures open = {.count = 0};
  out->count = out->captures = 0;
  out->is_anchored = may_anchor && p < end && *p == '^';
  if (out->is_anchored) p++;
  while (p < end) {
    if (out->count == NODES_MAX) luaL_error(L, "pattern too long (more than %d items)", NODES_MAX);
    struct node *node = &out->node[out->count++];
    *node = (struct node){.kind = NODE_SET};
    if (*p == '(' || *p == ')') {
      p = compile_capture(L, out, node, &open, p, end);
    } else if (*p == '$' && p + 1 == end) {
      node->kind = NODE_AT_END;
      p++;
    } else if (*p == '%') {
      p = compile_escape(L, node, &open, p, end);
    } else if (*p == '[') {
      p = compile_set(L, p + 1, end, node->set);
    } else if (*p == '.') {
      memset(node->set, 0xff, sizeof node->set);
      p++;
    } else {
      set_add(node->set, *p++);
    }
    if (node->kind == NODE_SET && p < end && strchr("*+-?", *p) && *p) node->repeat = (char)*p++;
  }
  if (open.count > 0) luaL_error(L, "malformed pattern (a capture without its end)");
  out->node[out->count].kind = NODE_END;
}

// ---- matching ----
static void count_step(struct match *m) {
  if (++m->steps < STEPS_EVERY) return;
  m->steps = 0;
  sandbox_spend(m->L, STEPS_EVERY / STEPS_COST);
}

static bool fits(struct match *m, const struct node *node, const uint8_t *s) {
  count_step(m);
  return s < m->end && set_has(node->set, *s);
}

static const uint8_t *match_balance(struct match *m, const struct node *node, const uint8_t *s) {
  if (s >= m->end || *s != node->a) return NULL;
  size_t depth = 1;
  while (++s < m->end) {
    count_step(m);
    if (*s == node->b) {
      if (--depth == 0) return s + 1;
    } else if (*s == node->a) {
      depth++;
    }
  }
  return NULL;
}

static const uint8_t *match_same(struct match *m, const struct node *node, const uint8_t *s) {
  struct capture c = m->capture[node->a];
  if (!c.end) return NULL; // a place has no text
  size_t n = (size_t)(c.end - c.start);
  for (size_t i = 0; i < n; i += 64) count_step(m);
  return (size_t)(m->end - s) >= n && memcmp(c.start, s, n) == 0 ? s + n : NULL;
}

static bool at_frontier(const struct match *m, const struct node *node, const uint8_t *s) {
  uint8_t before = s == m->subject ? 0 : s[-1], after = s == m->end ? 0 : *s;
  return !set_has(node->set, before) && set_has(node->set, after);
}

static const uint8_t *match_from(struct match *m, const struct node *node, const uint8_t *s);

static const uint8_t *match_most(struct match *m, const struct node *node, const uint8_t *s, size_t least) {
  size_t n = 0;
  while (fits(m, node, s + n)) n++;
  for (; n > least; n--) {
    const uint8_t *end = match_from(m, node + 1, s + n);
    if (end) return end;
  }
  return n == least ? match_from(m, node + 1, s + n) : NULL;
}

static const uint8_t *match_fewest(struct match *m, const struct node *node, const uint8_t *s) {
  for (;; s++) {
    const uint8_t *end = match_from(m, node + 1, s);
    if (end) return end;
    if (!fits(m, node, s)) return NULL;
  }
}

// The end of what the nodes match from s, or NULL. A capture is set again on each way that is tried: a way that
// succeeds has set all.
static const uint8_t *match_from(struct match *m, const struct node *node, const uint8_t *s) {
  for (;; node++) {
    count_step(m);
    switch (node->kind) {
    case NODE_END: return s;
    case NODE_AT_END:
      if (s != m->end) return NULL;
      break;
    case NODE_OPEN: m->capture[node->a].start = s; break;
    case NODE_CLOSE: m->capture[node->a].end = s; break;
    case NODE_PLACE: m->capture[node->a] = (struct capture){s, NULL}; break;
    case NODE_SAME:
      s = match_same(m, node, s);
      if (!s) return NULL;
      break;
    case NODE_BALANCE:
      s = match_balance(m, node, s);
      if (!s) return NULL;
      break;
    case NODE_FRONTIER:
      if (!at_frontier(m, node, s)) return NULL;
      break;
    case NODE_SET:
      if (node->repeat == '*') return match_most(m, node, s, 0);
      if (node->repeat == '+') return match_most(m, node, s, 1);
      if (node->repeat == '-') return match_fewest(m, node, s);
      if (fits(m, node, s)) {
        if (node->repeat == '?') {
          const uint8_t *end = match_from(m, node + 1, s + 1);
          if (end) return end;
        } else {
          s++;
        }
      } else if (node->repeat != '?') {
        return NULL;
      }
      break;
    }
  }
}

// The first match at or after *start, which moves to its beginning.
static const uint8_t *match_first(struct match *m, const uint8_t **start) {
  for (const uint8_t *s = *start; s <= m->end; s++) {
    const uint8_t *end = match_from(m, m->pattern->node, s);
    if (end) {
      *start = s;
      return end;
    }
    if (m->pattern->is_anchored) break;
  }
  return NULL;
}

// ---- results ----
static void push_capture(const struct match *m, unsigned i) {
  const struct capture *c = &m->capture[i];
  if (c->end)
    lua_pushlstring(m->L, (const char *)c->start, (size_t)(c->end - c->start));
  else
    lua_pushinteger(m->L, c->start - m->subject + 1);
}

// Pushes all captures, or the whole match when the pattern has none.
static int push_captures(const struct match *m, const uint8_t *start, const uint8_t *end) {
  int count = (int)m->pattern->captures;
  luaL_checkstack(m->L, count + 4, "too many captures");
  for (int i = 0; i < count; i++) push_capture(m, (unsigned)i);
  if (count > 0) return count;
  lua_pushlstring(m->L, (const char *)start, (size_t)(end - start));
  return 1;
}

static struct bytes check_bytes(lua_State *L, int index) {
  size_t n;
  const char *p = luaL_checklstring(L, index, &n);
  return bytes_of(p, n);
}

// The offset where a search begins: `init` counts from 1, from the end when negative.
static size_t check_init(lua_State *L, int index, size_t n) {
  lua_Number init = luaL_optnumber(L, index, 1);
  if (init < 0) init += (lua_Number)n + 1;
  if (!(init >= 1)) return 0;
  return init > (lua_Number)n ? n : (size_t)init - 1;
}

static bool has_specials(struct bytes text) {
  for (size_t i = 0; i < text.n; i++)
    if (text.p[i] && strchr("^$*+?.([%-", text.p[i])) return true;
  return false;
}

static int search(lua_State *L, bool is_find) {
  struct bytes subject = check_bytes(L, 1), text = check_bytes(L, 2);
  size_t from = check_init(L, 3, subject.n);
  if (is_find && (lua_toboolean(L, 4) || !has_specials(text))) {
    sandbox_spend(L, subject.n / 64);
    const uint8_t *found = text.n ? memmem(subject.p + from, subject.n - from, text.p, text.n) : subject.p + from;
    if (!found) return lua_pushnil(L), 1;
    lua_pushinteger(L, found - subject.p + 1);
    lua_pushinteger(L, found - subject.p + (ptrdiff_t)text.n);
    return 2;
  }
  struct pattern pattern;
  compile(L, text, true, &pattern);
  struct match m = {.L = L, .pattern = &pattern, .subject = subject.p, .end = subject.p + subject.n};
  const uint8_t *start = subject.p + from, *end = match_first(&m, &start);
  if (!end) return lua_pushnil(L), 1;
  if (!is_find) return push_captures(&m, start, end);
  lua_pushinteger(L, start - subject.p + 1);
  lua_pushinteger(L, end - subject.p);
  return pattern.captures ? 2 + push_captures(&m, start, end) : 2;
}

static int string_find(lua_State *L) { return search(L, true); }
static int string_match(lua_State *L) { return search(L, false); }

static int gmatch_next(lua_State *L) { // upvalues: subject, pattern, offset
  struct bytes subject = check_bytes(L, lua_upvalueindex(1));
  size_t from = (size_t)lua_tointeger(L, lua_upvalueindex(3));
  if (from > subject.n) return 0;
  struct pattern pattern;
  compile(L, check_bytes(L, lua_upvalueindex(2)), false, &pattern);
  struct match m = {.L = L, .pattern = &pattern, .subject = subject.p, .end = subject.p + subject.n};
  const uint8_t *start = subject.p + from, *end = match_first(&m, &start);
  if (!end) return 0;
  lua_pushinteger(L, end - subject.p + (end == start)); // an empty match must not be found again
  lua_replace(L, lua_upvalueindex(3));
  return push_captures(&m, start, end);
}

static int string_gmatch(lua_State *L) {
  luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, gmatch_next, 3);
  return 1;
}

// ---- gsub ----
// Adds a replacement text: %0 is the whole match, %1 to %9 are captures, % before anything else is left out.
static void add_template(struct match *m, luaL_Buffer *out, struct bytes text, const uint8_t *start,
                         const uint8_t *end) {
  for (size_t i = 0; i < text.n; i++) {
    uint8_t c = text.p[i];
    if (c != '%' || ++i == text.n) {
      luaL_addchar(out, (char)c);
      continue;
    }
    c = text.p[i];
    unsigned number = (unsigned)(c - '1');
    if (!between(c, '0', '9')) {
      luaL_addchar(out, (char)c);
    } else if (c == '0' || (c == '1' && m->pattern->captures == 0)) {
      luaL_addlstring(out, (const char *)start, (size_t)(end - start));
    } else if (number >= m->pattern->captures) {
      luaL_error(m->L, "the replacement has %%%c, and the pattern no such capture", c);
    } else {
      push_capture(m, number);
      luaL_addvalue(out);
    }
  }
}

// Adds what the function or table at index 3 gives for a match: false or nil keep it.
static void add_value(struct match *m, luaL_Buffer *out, const uint8_t *start, const uint8_t *end) {
  lua_State *L = m->L;
  if (lua_type(L, 3) == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(m, start, end), 1);
  } else {
    if (m->pattern->captures)
      push_capture(m, 0);
    else
      lua_pushlstring(L, (const char *)start, (size_t)(end - start));
    lua_gettable(L, 3);
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    lua_pushlstring(L, (const char *)start, (size_t)(end - start));
  } else if (!lua_isstring(L, -1)) {
    luaL_error(L, "gsub: a replacement is a %s, not text", luaL_typename(L, -1));
  }
  luaL_addvalue(out);
}

static int string_gsub(lua_State *L) {
  sandbox_descend(L);
  struct bytes subject = check_bytes(L, 1), text = check_bytes(L, 2);
  lua_Number most = luaL_optnumber(L, 4, (lua_Number)subject.n + 1);
  struct pattern pattern;
  compile(L, text, true, &pattern);
  struct match m = {.L = L, .pattern = &pattern, .subject = subject.p, .end = subject.p + subject.n};
  int type = lua_type(L, 3);
  if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TFUNCTION && type != LUA_TTABLE &&
      type != LUA_TUSERDATA)
    return luaL_argerror(L, 3, "text, a function or a table is expected");
  struct bytes replacement = type == LUA_TSTRING || type == LUA_TNUMBER ? check_bytes(L, 3) : bytes_of(NULL, 0);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  lua_Number done = 0;
  const uint8_t *s = subject.p;
  while (done < most) {
    const uint8_t *end = match_from(&m, pattern.node, s);
    if (end) {
      done++;
      sandbox_spend(L, 1 + replacement.n / 16);
      if (replacement.p)
        add_template(&m, &out, replacement, s, end);
      else
        add_value(&m, &out, s, end);
    }
    if (end && end > s)
      s = end;
    else if (s < m.end)
      luaL_addchar(&out, (char)*s++);
    else
      break;
    if (pattern.is_anchored) break;
  }
  luaL_addlstring(&out, (const char *)s, (size_t)(m.end - s));
  luaL_pushresult(&out);
  lua_pushnumber(L, done);
  return 2;
}

void pattern_push(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"string.find", string_find},
      {"string.match", string_match},
      {"string.gmatch", string_gmatch},
      {"string.gsub", string_gsub},
      {NULL, NULL},
  };
  for (const luaL_Reg *f = functions; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
}
