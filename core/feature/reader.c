#include "feature/reader.h"
#include "base/clock.h"
#include "base/suggest.h"
#include <stdarg.h>
#include <stdio.h>

// ---- saying it ----
int reader_fail(const struct reader *r, const char *format, ...) {
  char text[sizeof r->err->text];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return error_set(r->err, ITD_EPOLICY, "features: %s: %s%s", r->who, r->in, text);
}

const char *shown(struct bytes text, char out[SHOWN_MAX]) {
  struct bytes cut = text_cut(text, SHOWN_MAX - 6);
  char *p = out;
  *p++ = '"';
  for (size_t i = 0; i < cut.n; i++)
    *p++ = (char)(cut.p[i] < 0x20 || cut.p[i] == 0x7f || cut.p[i] == '"' ? '?' : cut.p[i]);
  if (cut.n < text.n) p = memcpy(p, "...", 3), p += 3;
  *p++ = '"';
  *p = '\0';
  if (!bytes_is_utf8(cut)) return "(not UTF-8)";
  return out;
}

const char *kind_of(struct bytes value) {
  switch (mp_value_of(value).type) {
  case MP_NIL: return "nil";
  case MP_BOOL: return "a bool";
  case MP_INT:
  case MP_UINT:
  case MP_FLOAT: return "a number";
  case MP_STR: return "text";
  case MP_BIN: return "binary";
  case MP_ARRAY: return "a list";
  case MP_MAP: return "a map";
  default: return "an extension";
  }
}

const char *list_names(const char *const *names, size_t count, uint32_t mask, char out[LIST_MAX]) {
  size_t n = 0;
  out[0] = '\0';
  for (size_t i = 0; i < count; i++) {
    if (!(mask >> i & 1)) continue;
    int more = snprintf(out + n, LIST_MAX - n, "%s%s", n > 0 ? ", " : "", names[i]);
    if (more < 0 || (size_t)more >= LIST_MAX - n) break;
    n += (size_t)more;
  }
  return out;
}

const char *did_you_mean(struct bytes word, const char *const *names, size_t count, char out[SHOWN_MAX]) {
  const char *near = suggest(word, names, count);
  out[0] = '\0';
  if (near) snprintf(out, SHOWN_MAX, " (did you mean \"%s\"?)", near);
  return out;
}

// ---- reading one value ----
int read_text(const struct reader *r, const char *key, struct bytes value, size_t max, struct bytes *out) {
  struct bytes text;
  if (!mp_as_str(value, &text)) return reader_fail(r, "%s must be text, not %s", key, kind_of(value));
  if (text.n == 0) return reader_fail(r, "%s is empty", key);
  if (text.n > max) return reader_fail(r, "%s has %zu bytes, at most %zu are allowed", key, text.n, max);
  if (!bytes_is_utf8(text) || memchr(text.p, 0, text.n)) return reader_fail(r, "%s is not UTF-8 text", key);
  *out = arena_copy(r->arena, text);
  return 0;
}

int read_bool(const struct reader *r, const char *key, struct bytes value, bool *out) {
  struct mp_value v = mp_value_of(value);
  if (v.type != MP_BOOL) return reader_fail(r, "%s must be true or false, not %s", key, kind_of(value));
  *out = v.b;
  return 0;
}

int read_int(const struct reader *r, const char *key, struct bytes value, int64_t least, int64_t most, int64_t *out) {
  struct scalar s = scalar_of(value); // Lua has only doubles: 16 and 16.0 are the same
  if (s.kind != SCALAR_INT || (int64_t)s.bits < least || (int64_t)s.bits > most)
    return reader_fail(r, "%s must be a whole number from %lld to %lld", key, (long long)least, (long long)most);
  *out = (int64_t)s.bits;
  return 0;
}

int read_number(const struct reader *r, const char *key, struct bytes value, double least, double most, double *out) {
  struct scalar s = scalar_of(value);
  double v;
  if (s.kind == SCALAR_BOOL || !scalar_number(&s, &v) || v < least || v > most)
    return reader_fail(r, "%s must be a number from %g to %g", key, least, most);
  *out = v;
  return 0;
}

int read_duration(const struct reader *r, const char *key, struct bytes value, int64_t least_ms, int64_t *out) {
  struct bytes text;
  char quoted[SHOWN_MAX], least[DURATION_TEXT_MAX];
  int64_t ms;
  if (!mp_as_str(value, &text)) return reader_fail(r, "%s must be a duration like \"7d\", not %s", key, kind_of(value));
  if (duration_parse(text, &ms) != 0)
    return reader_fail(r,
                       "%s %s is no duration: a whole number and ms, s, m, h, d or w, like \"30m\" or \"7d\", "
                       "up to 100 years",
                       key, shown(text, quoted));
  duration_format(least_ms, least);
  if (ms < least_ms)
    return reader_fail(r, "%s %s is too short, at least %s is allowed", key, shown(text, quoted), least);
  *out = ms;
  return 0;
}

int read_name(const struct reader *r, const char *key, struct bytes value, const char *const *names, size_t count,
              size_t *out) {
  struct bytes text;
  char quoted[SHOWN_MAX], near[SHOWN_MAX], list[LIST_MAX];
  if (!mp_as_str(value, &text)) return reader_fail(r, "%s must be text, not %s", key, kind_of(value));
  for (size_t i = 0; i < count; i++) {
    if (!bytes_is(text, names[i])) continue;
    *out = i;
    return 0;
  }
  return reader_fail(r, "unknown %s %s%s; allowed: %s", key, shown(text, quoted),
                     did_you_mean(text, names, count, near), list_names(names, count, UINT32_MAX, list));
}

int read_path(const struct reader *r, const char *key, struct bytes value, struct bytes *out) {
  char quoted[SHOWN_MAX];
  struct path path;
  struct bytes text;
  int rc = read_text(r, key, value, FEATURE_WORD_MAX, &text);
  if (rc != 0) return rc;
  if (!path_parse(text, &path))
    return reader_fail(r, "%s %s is no path: it begins with properties., traits. or context. and has no empty step",
                       key, shown(text, quoted));
  *out = text;
  return 0;
}

int read_key(const struct reader *r, const char *where, struct bytes key, const char *const *names, size_t count,
             uint64_t *seen, size_t *out) {
  struct bytes text;
  char quoted[SHOWN_MAX], near[SHOWN_MAX], list[LIST_MAX];
  if (!mp_as_str(key, &text)) return reader_fail(r, "%s has a key that is %s, not text", where, kind_of(key));
  for (size_t i = 0; i < count; i++) {
    if (!bytes_is(text, names[i])) continue;
    if (*seen >> i & 1) return reader_fail(r, "%s has the key %s twice", where, names[i]);
    *seen |= UINT64_C(1) << i;
    *out = i;
    return 0;
  }
  return reader_fail(r, "%s has an unknown key %s%s; allowed: %s", where, shown(text, quoted),
                     did_you_mean(text, names, count, near), list_names(names, count, UINT32_MAX, list));
}

static bool strip(struct bytes text, const char *root, struct bytes *rest) {
  size_t n = strlen(root);
  if (text.n <= n || memcmp(text.p, root, n) != 0) return false;
  *rest = bytes_of(text.p + n, text.n - n);
  return true;
}

bool path_parse(struct bytes text, struct path *path) {
  static const char *const roots[] = {
      [ROOT_PROPERTIES] = "properties.", [ROOT_TRAITS] = "traits.", [ROOT_CONTEXT] = "context."};
  for (unsigned root = 0; root < 3; root++) {
    struct bytes rest;
    if (!strip(text, roots[root], &rest)) continue;
    for (size_t i = 0; i < rest.n; i++)
      if (rest.p[i] == '.' && (i == 0 || i + 1 == rest.n || rest.p[i + 1] == '.')) return false;
    *path = (struct path){.root = (enum path_root)root, .nested = memchr(rest.p, '.', rest.n) != NULL, .rest = rest};
    return true;
  }
  return false;
}
