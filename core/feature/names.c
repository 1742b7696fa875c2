#include "feature/names.h"
#include "base/check.h"
#include "base/hash.h"

#define NAMES_FIRST 16 // entries

static size_t mask_of(const struct names *names) { return names->cap * 2 - 1; }

static void place(struct names *names, uint32_t number) {
  size_t at = names->hash[number] & mask_of(names);
  while (names->slot[at] != 0) at = (at + 1) & mask_of(names);
  names->slot[at] = number + 1;
}

// Old arrays stay in the arena: sets are compiled once, and doubling bounds what is left behind.
static void resize(struct names *names, size_t cap) {
  struct bytes *text = arena_alloc(names->arena, cap * sizeof *text);
  uint64_t *hash = arena_alloc(names->arena, cap * sizeof *hash);
  if (names->count > 0) {
    memcpy(text, names->text, names->count * sizeof *text);
    memcpy(hash, names->hash, names->count * sizeof *hash);
  }
  names->text = text, names->hash = hash, names->cap = cap;
  names->slot = arena_alloc(names->arena, cap * 2 * sizeof *names->slot);
  for (uint32_t i = 0; i < names->count; i++) place(names, i);
}

void names_init(struct names *names, struct arena *arena) {
  *names = (struct names){.arena = arena};
  resize(names, NAMES_FIRST);
}

static int find_hashed(const struct names *names, struct bytes text, uint64_t hash) {
  for (size_t at = hash & mask_of(names); names->slot[at] != 0; at = (at + 1) & mask_of(names)) {
    uint32_t number = names->slot[at] - 1;
    if (names->hash[number] == hash && bytes_eq(names->text[number], text)) return (int)number;
  }
  return -1;
}

int names_find(const struct names *names, struct bytes text) {
  return names->count == 0 ? -1 : find_hashed(names, text, hash64(text));
}

uint32_t names_add(struct names *names, struct bytes text) {
  uint64_t hash = hash64(text);
  int found = find_hashed(names, text, hash);
  if (found >= 0) return (uint32_t)found;
  CHECK(names->count < INT32_MAX);
  if (names->count == names->cap) resize(names, names->cap * 2);
  uint32_t number = (uint32_t)names->count++;
  names->text[number] = arena_copy(names->arena, text);
  names->hash[number] = hash;
  place(names, number);
  return number;
}
