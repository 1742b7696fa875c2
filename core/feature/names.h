// struct names: texts and their dense numbers 0, 1, … Filled while a set is compiled, only read afterwards (by any
// thread). Entries are our own declarations'; looking a stranger's text up costs at most one probe chain and a
// comparison.
#pragma once
#include "base/arena.h"

struct names {
  struct arena *arena; // owns everything here
  struct bytes *text;
  uint64_t *hash;
  size_t count, cap;
  uint32_t *slot; // number + 1, or 0: open addressing, at most half full
};

void names_init(struct names *names, struct arena *arena);
uint32_t names_add(struct names *names, struct bytes text); // its number, an old one when it is there; copies the text
int names_find(const struct names *names, struct bytes text); // its number, or -1
