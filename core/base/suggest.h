// "did you mean": the nearest of a few known names to a word that is none of them. For messages only. Any thread.
#pragma once
#include "base/bytes.h"

// The name that `word` most likely meant, or NULL when none is near: letter case does not count, and one edit (a letter
// added, lost or changed, two neighbours swapped) is forgiven for every three letters, at least one. Among equally near
// names the first. Words and names beyond 63 bytes have no suggestion. `names` may hold NULLs, which are passed over.
const char *suggest(struct bytes word, const char *const *names, size_t count);
