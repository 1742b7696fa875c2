// Taking the personal values out of an event and putting them back (event.h). Works on the packed bytes, so that what
// comes together again is what was received, byte for byte. Pure, any thread.
#include "base/check.h"
#include "wire/event.h"

// ---- which values ----
// The key that is being looked at, and the keys above it.
struct place {
  const struct place *up; // NULL for a top-level key
  struct bytes key;
  size_t length;            // of all keys joined by dots
  const struct place *base; // of context.traits and all below it: context; else NULL
};

static struct place place_below(const struct place *up, struct bytes key) {
  struct place p = {.up = up, .key = key, .length = up ? up->length + 1 + key.n : key.n, .base = up ? up->base : NULL};
  if (up && !up->up && bytes_eq(up->key, BYTES_LIT("context")) && bytes_eq(key, BYTES_LIT("traits"))) p.base = up;
  return p;
}

// Are the keys from below `base` down to `p`, joined by dots, this text? Compared from the end, so that nothing is
// joined.
static bool place_is(const struct place *p, const struct place *base, struct bytes text) {
  for (;;) {
    if (p->up == base) return bytes_eq(p->key, text);
    if (text.n < p->key.n + 1) return false;
    size_t rest = text.n - p->key.n - 1;
    if (text.p[rest] != '.' || !bytes_eq(p->key, bytes_of(text.p + rest + 1, p->key.n))) return false;
    text.n = rest;
    p = p->up;
  }
}

enum verdict { LEAVE, LOOK_INSIDE, TAKE };

static enum verdict judge_from(const struct place *p, const struct place *base, const struct personal_paths *paths) {
  size_t length = p->length - (base ? base->length + 1 : 0);
  enum verdict verdict = LEAVE;
  for (size_t i = 0; i < paths->count; i++) {
    struct bytes path = paths->path[i];
    if (path.n < length || (path.n > length && path.p[length] != '.')) continue;
    if (!place_is(p, base, bytes_of(path.p, length))) continue;
    if (path.n == length) return TAKE;
    verdict = LOOK_INSIDE;
  }
  return verdict;
}

static enum verdict judge(const struct place *p, const struct personal_paths *paths) {
  if (!p->up && (bytes_eq(p->key, BYTES_LIT("userId")) || bytes_eq(p->key, BYTES_LIT("anonymousId")) ||
                 bytes_eq(p->key, BYTES_LIT("previousId"))))
    return TAKE;
  enum verdict verdict = judge_from(p, NULL, paths);
  if (!p->base) {
    // context itself is looked into for its traits, whatever the paths say of it.
    bool is_context = !p->up && bytes_eq(p->key, BYTES_LIT("context"));
    return verdict == LEAVE && is_context ? LOOK_INSIDE : verdict;
  }
  enum verdict as_traits = judge_from(p, p->base, paths);
  return as_traits > verdict ? as_traits : verdict;
}

// ---- split ----
struct split {
  const struct personal_paths *paths;
  const uint8_t *copied; // where the bytes begin that are not in `clear` yet
  struct buf *clear, *secret;
  size_t clear_start, secret_start;
  uint32_t count;
};

// The head of the secret's array is as wide as its count may get, and filled in at the end.
#define SECRET_HEAD 5

static void split_take(struct split *s, struct mp *m) {
  const uint8_t *start = m->p;
  struct bytes value = mp_take(m);
  if (value.p[0] == 0xc0) return; // nil already: nothing to hide
  buf_append(s->clear, s->copied, (size_t)(start - s->copied));
  if (s->count++ == 0) {
    s->secret_start = s->secret->n;
    buf_append(s->secret, "\xdd\0\0\0", SECRET_HEAD);
  }
  mp_put_array(s->secret, 2);
  mp_put_uint(s->secret, s->clear->n - s->clear_start);
  mp_put_raw(s->secret, value);
  mp_put_nil(s->clear);
  s->copied = m->p;
}

static void split_map(struct split *s, struct mp *m, const struct place *up);

static void split_inside(struct split *s, struct mp *m, const struct place *p) {
  switch (mp_peek(m)) {
  case MP_MAP: split_map(s, m, p); return;
  case MP_ARRAY:
    for (uint32_t left = mp_next(m).count; left > 0; left--) split_inside(s, m, p);
    return;
  default: mp_take(m);
  }
}

// Recursive; the scan bounded the depth.
static void split_map(struct split *s, struct mp *m, const struct place *up) {
  for (uint32_t left = mp_next(m).count; left > 0; left--) {
    struct bytes key;
    if (!mp_take_str(m, &key)) { // no path names it
      mp_take(m);
      continue;
    }
    struct place p = place_below(up, key);
    switch (judge(&p, s->paths)) {
    case TAKE: split_take(s, m); break;
    case LOOK_INSIDE: split_inside(s, m, &p); break;
    case LEAVE: mp_take(m); break;
    }
  }
}

void event_split(struct bytes map, const struct personal_paths *paths, struct buf *clear, struct buf *secret) {
  struct split s = {.paths = paths, .copied = map.p, .clear = clear, .secret = secret, .clear_start = clear->n};
  struct mp m = mp_of(map);
  if (mp_peek(&m) == MP_MAP) split_map(&s, &m, NULL);
  buf_append(clear, s.copied, (size_t)(map.p + map.n - s.copied));
  if (s.count == 0) return;
  uint8_t *head = secret->p + s.secret_start + 1;
  for (int i = 0; i < 4; i++) head[i] = (uint8_t)(s.count >> (24 - 8 * i));
}

// ---- join ----
static int corrupt(struct error *err, const char *what) {
  return error_set(err, ITD_ECORRUPT, "the personal values do not fit the event: %s", what);
}

// One whole value at the front of `rest`, cut off from it.
static bool value_cut(struct bytes *rest, struct bytes *value) {
  const struct mp_limits limits = {MP_DEPTH_MAX, UINT32_MAX, SIZE_MAX};
  size_t len;
  if (mp_scan(*rest, &limits, &len, NULL) != 1) return false;
  *value = bytes_of(rest->p, len);
  *rest = bytes_of(rest->p + len, rest->n - len);
  return true;
}

static bool pair_cut(struct bytes *rest, size_t *offset, struct bytes *value) {
  if (rest->n < 1 || rest->p[0] != 0x92) return false;
  *rest = bytes_of(rest->p + 1, rest->n - 1);
  struct bytes number;
  if (!value_cut(rest, &number) || !value_cut(rest, value)) return false;
  struct mp_value v = mp_value_of(number);
  if (v.type != MP_INT || v.i < 0) return false;
  *offset = (size_t)v.i;
  return true;
}

static int join_pairs(struct bytes clear, struct bytes secret, struct buf *map, struct error *err) {
  if (secret.n < SECRET_HEAD || secret.p[0] != 0xdd) return corrupt(err, "no list of them");
  uint32_t count = (uint32_t)secret.p[1] << 24 | (uint32_t)secret.p[2] << 16 | (uint32_t)secret.p[3] << 8 | secret.p[4];
  struct bytes rest = bytes_of(secret.p + SECRET_HEAD, secret.n - SECRET_HEAD), value;
  struct mp m = mp_of(clear);
  const uint8_t *copied = clear.p;
  for (; count > 0; count--) {
    size_t offset;
    if (!pair_cut(&rest, &offset, &value)) return corrupt(err, "one of them is cut off or no pair");
    // Step value by value, so that an offset into the middle of one is found out.
    while (!mp_done(&m) && (size_t)(m.p - clear.p) < offset) mp_next(&m);
    if (mp_done(&m) || (size_t)(m.p - clear.p) != offset || *m.p != 0xc0) return corrupt(err, "no nil at an offset");
    buf_append(map, copied, (size_t)(m.p - copied));
    buf_append_bytes(map, value);
    mp_next(&m);
    copied = m.p;
  }
  if (rest.n > 0) return corrupt(err, "bytes are left over");
  buf_append(map, copied, (size_t)(m.end - copied));
  return 0;
}

int event_join(struct bytes clear, struct bytes secret, struct buf *map, struct error *err) {
  struct bytes rest = clear, whole;
  if (!value_cut(&rest, &whole) || rest.n > 0) return corrupt(err, "the event is not one whole value");
  if (secret.n == 0) {
    buf_append_bytes(map, clear);
    return 0;
  }
  size_t start = map->n;
  int rc = join_pairs(clear, secret, map, err);
  if (rc < 0) map->n = start;
  return rc;
}
