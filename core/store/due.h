// Which lead's timer is due next: a heap over (due, lead), with an index from the lead to its place in it. One thread.
#pragma once
#include "engine/lead.h"
#include "store/table.h"

struct due_entry;
struct due {
  struct table index;
  struct due_entry **heap;
  size_t count, cap;
};

void due_init(struct due *d);
void due_deinit(struct due *d);
void due_set(struct due *d, struct lead_id lead, int64_t due_ms); // INT64_MAX: no timer
// Takes out the earliest that is due by now: (due, lead) order. False: none.
bool due_take(struct due *d, int64_t now_ms, struct lead_id *lead);
int64_t due_next(const struct due *d); // INT64_MAX: none
