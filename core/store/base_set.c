#include "store/base_set.h"

#include <stdlib.h>

#include "base/check.h"

int base_set_init(struct base_set *set, const char *dir, struct error *err) {
  *set = (struct base_set){.dir = dir};
  int rc = base_list(dir, &set->list, &set->count, err);
  if (rc == 0) set->reader = xcalloc(set->count + 1, sizeof *set->reader);
  return rc;
}

void base_set_deinit(struct base_set *set) {
  for (size_t i = 0; set->reader && i < set->count; i++) base_close(set->reader[i]);
  free(set->reader);
  base_list_free(set->list);
  *set = (struct base_set){0};
}

int base_set_row(struct base_set *set, uint64_t seq, uint8_t table, struct lead_id id, struct buf *row,
                 struct error *err) {
  const struct base_info *base = base_of_slot(set->list, set->count, lead_id_slot(id), seq);
  if (!base) return ITD_ENOTFOUND;
  struct base_reader **reader = &set->reader[base - set->list];
  int rc = *reader ? 0 : base_open(set->dir, base, reader, err);
  return rc ? rc : base_lookup(*reader, table, bytes_of(id.b, sizeof id.b), row, err);
}
