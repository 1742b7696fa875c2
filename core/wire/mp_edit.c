// Containers say how many values they hold, not how many bytes: a change touches its place and its map's head.
#include "wire/mp_edit.h"

struct pair { // offsets: of the map that holds it, of key, value and what follows
  size_t map, key, value, end;
};

static bool find_key(struct bytes in, size_t map, struct bytes key, struct pair *out) {
  struct mp m = {in.p + map, in.p + in.n};
  if (mp_peek(&m) != MP_MAP) return false;
  for (uint32_t left = mp_next(&m).count; left > 0; left--) {
    struct pair pair = {.map = map, .key = (size_t)(m.p - in.p)};
    struct bytes text = {0};
    bool is_text = mp_take_str(&m, &text);
    pair.value = (size_t)(m.p - in.p);
    mp_take(&m);
    pair.end = (size_t)(m.p - in.p);
    if (!is_text || !bytes_eq(text, key)) continue;
    *out = pair;
    return true;
  }
  return false;
}

static bool find_pair(struct bytes in, size_t map, struct bytes path, struct pair *out) {
  if (find_key(in, map, path, out)) return true;
  for (size_t dot = path.n; dot-- > 0;) { // the longest key first
    struct pair inner;
    if (path.p[dot] == '.' && find_key(in, map, bytes_of(path.p, dot), &inner) &&
        find_pair(in, inner.value, bytes_of(path.p + dot + 1, path.n - dot - 1), out))
      return true;
  }
  return false;
}

// Puts `with` in the place of `cut` bytes at `at`.
static void splice(struct buf *b, size_t at, size_t cut, struct bytes with) {
  size_t rest = b->n - at - cut;
  if (with.n > cut) buf_reserve(b, with.n - cut);
  memmove(b->p + at + with.n, b->p + at + cut, rest);
  if (with.n) memcpy(b->p + at, with.p, with.n);
  b->n = at + with.n + rest;
}

static void count_change(struct buf *map, size_t at, int by) {
  struct mp m = {map->p + at, map->p + map->n};
  uint32_t count = mp_next(&m).count;
  size_t head = (size_t)(m.p - map->p) - at;
  struct buf fresh = {0};
  mp_put_map(&fresh, by > 0 ? count + 1 : count - 1);
  splice(map, at, head, buf_bytes(&fresh));
  buf_deinit(&fresh);
}

bool mp_cut(struct buf *map, struct bytes path, struct buf *value) {
  struct pair pair;
  if (!find_pair(buf_bytes(map), 0, path, &pair)) return false;
  if (value) buf_append(value, map->p + pair.value, pair.end - pair.value);
  splice(map, pair.key, pair.end - pair.key, (struct bytes){0});
  count_change(map, pair.map, -1);
  return true;
}

// The first step of a path, and what follows it.
static struct bytes first_step(struct bytes path, struct bytes *rest) {
  const uint8_t *dot = memchr(path.p, '.', path.n);
  size_t n = dot ? (size_t)(dot - path.p) : path.n;
  *rest = dot ? bytes_of(dot + 1, path.n - n - 1) : (struct bytes){0};
  return bytes_of(path.p, n);
}

// The value with the maps around it that the rest of a path asks for.
static void put_nested(struct buf *out, struct bytes path, struct bytes value) {
  while (path.n) {
    struct bytes rest;
    mp_put_map(out, 1);
    mp_put_str(out, first_step(path, &rest));
    path = rest;
  }
  mp_put_raw(out, value);
}

bool mp_set(struct buf *map, struct bytes path, struct bytes value) {
  struct pair pair;
  if (find_pair(buf_bytes(map), 0, path, &pair)) {
    splice(map, pair.value, pair.end - pair.value, value);
    return true;
  }
  struct buf fresh = {0};
  size_t at = 0;
  struct bytes rest, step = first_step(path, &rest);
  while (rest.n && find_key(buf_bytes(map), at, step, &pair)) {
    at = pair.value;
    if (map->p[at] == 0xc0) { // nil is as if nothing were there
      put_nested(&fresh, rest, value);
      splice(map, at, 1, buf_bytes(&fresh));
      buf_deinit(&fresh);
      return true;
    }
    if (mp_value_of(bytes_of(map->p + at, pair.end - at)).type != MP_MAP) return false;
    step = first_step(rest, &rest);
  }
  mp_put_str(&fresh, step);
  put_nested(&fresh, rest, value);
  struct mp m = {map->p + at, map->p + map->n};
  mp_take(&m);
  splice(map, (size_t)(m.p - map->p), 0, buf_bytes(&fresh));
  count_change(map, at, 1);
  buf_deinit(&fresh);
  return true;
}
