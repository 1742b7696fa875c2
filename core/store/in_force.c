#include "store/in_force.h"

#include "store/select.h"

struct newest {
  uint32_t number;
  int64_t at_ms;
};

// Each partition has a frame of each release. By arrival, as the store itself tells which is the last.
static int take(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)place, (void)err;
  struct newest *newest = context;
  if (newest->number && f->received_ms < newest->at_ms) return 0;
  *newest = (struct newest){f->policy, f->received_ms};
  return 0;
}

int in_force_number(const char *dir, uint32_t *number, struct error *err) {
  struct select_filter releases = SELECT_ALL;
  struct newest newest = {0};
  struct error none = {0};
  releases.kinds = 1u << FRAME_RELEASE;
  int rc = journal_select(dir, &releases, take, &newest, NULL, NULL, &none);
  *number = newest.number;
  if (rc == 0 || rc == ITD_ENOTFOUND) return 0; // no journal yet
  *err = none;
  return rc;
}

int in_force_policy(const char *dir, struct versions *versions, struct policy **policy, struct error *err) {
  uint32_t number;
  size_t count = versions_count(versions);
  int rc = in_force_number(dir, &number, err);
  if (rc) return rc;
  if (!number && count) number = versions_number(versions, count - 1);
  if (!number) return error_set(err, ITD_ENOTFOUND, "%s: no policy was ever in force in it", dir);
  *policy = versions_get(versions, number);
  if (*policy) return 0;
  return error_set(err, ITD_ECORRUPT, "%s: policy version number %u, which is in force, can't be read", dir, number);
}
