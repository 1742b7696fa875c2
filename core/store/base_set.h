// All bases of a directory, each opened at its first use: rows of entities as they were at a frame. One thread.
#pragma once
#include "store/base.h"

struct base_set {
  const char *dir;
  struct base_info *list;
  struct base_reader **reader;
  size_t count;
};

int base_set_init(struct base_set *set, const char *dir, struct error *err) ITD_MUST_USE; // as base_list
void base_set_deinit(struct base_set *set);
// Appends the row of an entity in the newest base of its slot with seq <= `seq`. ITD_ENOTFOUND: there is no such base, or
// no row in it.
int base_set_row(struct base_set *set, uint64_t seq, uint8_t table, struct lead_id id, struct buf *row,
                 struct error *err) ITD_MUST_USE;
