// Forgetting before anything is served: DIR/forget-first names leads that were forgotten after the backup was made that
// DIR is restored from. The next opening of the directory forgets them like any other, with frames of their own, before
// store_open returns; then the file goes.
#pragma once
#include "store/store.h"

struct ledger_line { // of DIR/forgotten and DIR/forget-first
  struct lead_id lead;
  int64_t at_ms;
};
// All lines of a ledger, sorted by lead, each lead once; free(*list). A torn last line is left out. ITD_ENOTFOUND,
// ITD_ECORRUPT names the line.
int ledger_read(const char *path, struct ledger_line **list, size_t *count, struct error *err) ITD_MUST_USE;
bool ledger_has(const struct ledger_line *list, size_t count, struct lead_id lead); // of a sorted one
int forget_first_write(const char *dir, const struct ledger_line *list, size_t count, struct error *err) ITD_MUST_USE;
// Private to store/: for store_open, when everything runs and nobody has it yet. *count: how many.
int forget_first_apply(struct store *store, uint64_t *count, struct error *err) ITD_MUST_USE;
