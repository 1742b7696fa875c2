// Deals frames out to threads, each with a queue of its own, so that one thread reads and judges a journal while others
// fold it. What goes to one thread comes there in order.
//
// One thread calls all of this; `visit` runs on the others. Queues are bounded: deal_frame waits for room.
#pragma once
#include "store/journal.h"

struct deal;
// No threads: deal_frame calls `visit` itself.
struct deal *deal_start(unsigned threads, journal_visit visit, void *context);
// Copies the frame for the thread `to` modulo their number. An error that some `visit` gave already: there is no use in
// going on.
int deal_frame(struct deal *d, unsigned to, const struct frame *frame, uint64_t place, struct error *err) ITD_MUST_USE;
// Waits for all. The error of the frame that was dealt first, of those that failed; else `rc`, with `err` as it is.
int deal_end(struct deal *d, int rc, struct error *err) ITD_MUST_USE; // frees
