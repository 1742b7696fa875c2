// A decision as a person would tell it: what happened and why, what counted, what was done, and what nearly happened. From the
// maps of decision.explain with its trace. Pure.
#pragma once
#include "base/buf.h"

// Appends the paragraph; nothing where the answer has no trace. `who`: as the reader named the lead; empty: "the lead".
void story_put(struct bytes answer, struct bytes who, unsigned width, struct buf *out);
// Appends the rules that did not fire, and where numbers tell how far they were: the nearest first, at most `most` (0: all).
void story_put_near(struct bytes answer, unsigned most, unsigned width, struct buf *out);
// Appends each rule with its outcome, its reason and, where the answer has `times`, what it costs.
void story_put_rules(struct bytes answer, unsigned width, struct buf *out);
