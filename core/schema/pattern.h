// Patterns of text in schemas: what a whole text must look like. Matching takes time in proportion to the text, whatever
// the pattern: there is no backtracking, and nothing that could need it (no groups, no alternatives).
//
//   a          that character; \ before one that means something: \. \[ \\ …
//   .          any character
//   [a-z0-9_]  one of these; [^…] any but these. ASCII alone inside
//   x? x* x+   none or one, any number, at least one of x
//   x{3} x{2,} x{2,4}
//
// A pattern takes at most PATTERN_PLACES places: a character counts once, x{2,4} four times.
// The method: Baeza-Yates and Gonnet's shift-and over sets of places (1992), as Navarro and Raffinot extend it to optional
// and repeated characters (2001).
#pragma once
#include "base/bytes.h"
#include "base/status.h"

#define PATTERN_PLACES   63
#define PATTERN_TEXT_MAX 1024 // characters: a longer text does not match

struct pattern {
  uint64_t of[128];  // places that take this ASCII character
  uint64_t of_other; // that take any other character
  uint64_t optional, repeated;
  unsigned places;
};
// ITD_EPOLICY: what is wrong with it, and where.
int pattern_compile(struct bytes text, struct pattern *out, struct error *err) ITD_MUST_USE;
// `text` is UTF-8.
bool pattern_matches(const struct pattern *pattern, struct bytes text);
