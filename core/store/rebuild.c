#include "store/rebuild.h"

#include "base/check.h"
#include "base/log.h"
#include "store/base.h"

#define BATCH 10000u // rows in one LMDB transaction

struct loading {
  struct state *state;
  struct state_txn *txn;
  unsigned rows;
};

static int load_row(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  struct loading *l = context;
  if (l->txn && ++l->rows % BATCH == 0) {
    struct state_txn *full = l->txn;
    l->txn = NULL;
    int rc = state_commit(full, err);
    if (rc) return rc;
  }
  int rc = l->txn ? 0 : state_begin(l->state, &l->txn, err);
  return rc ? rc : state_put_row(l->txn, table, key, value, err);
}

static int load_base(const char *dir, const struct base_info *info, struct state *state, struct error *err) {
  struct loading l = {.state = state};
  int rc = base_read(dir, info, load_row, &l, err);
  if (rc == 0) return l.txn ? state_commit(l.txn, err) : 0;
  state_abort(l.txn);
  return rc;
}

static int clear(struct state *state, struct error *err) {
  struct state_txn *txn;
  int rc = state_begin(state, &txn, err);
  if (rc) return rc;
  rc = state_clear(txn, err);
  if (rc == 0) return state_commit(txn, err);
  state_abort(txn);
  return rc;
}

// The newest base of a partition that reads from its beginning to its end.
static const struct base_info *sound_base(const char *dir, const struct base_info *list, size_t count,
                                          unsigned partition) {
  const struct base_info *base = base_at(list, count, partition, UINT64_MAX);
  struct error err = {0};
  while (base && base_check(dir, base, &err)) {
    log_line(LOG_ERROR, "base_damaged", "error=%s", log_quote(err.text));
    base = base->head.seq ? base_at(list, count, partition, base->head.seq - 1) : NULL;
  }
  return base;
}

static int is_behind(const struct base_info *list, size_t count, unsigned partitions, struct state *state, bool *behind,
                     struct error *err) {
  struct state_reader *reader = state_reader_new(state);
  int rc = 0;
  *behind = false;
  for (unsigned p = 0; rc == 0 && p < partitions; p++) {
    const struct base_info *base = base_at(list, count, p, UINT64_MAX);
    struct state_progress progress = {0};
    if (!base) continue;
    if (base->head.partitions != partitions) {
      rc = error_set(err, ITD_ECORRUPT, "bases are of %u partitions, the directory has %u", base->head.partitions,
                     partitions);
      break;
    }
    rc = state_progress(reader, p, &progress, err);
    if (rc == ITD_ENOTFOUND) rc = 0;
    *behind = *behind || base->head.seq > progress.seq;
  }
  state_reader_free(reader);
  return rc;
}

int rebuild_state(const char *dir, unsigned partitions, struct state *state, bool *rebuilt, struct error *err) {
  struct base_info *list;
  size_t count;
  *rebuilt = false;
  int rc = base_list(dir, &list, &count, err);
  if (rc) return rc;
  bool behind = false;
  rc = is_behind(list, count, partitions, state, &behind, err);
  if (rc == 0 && behind) {
    log_line(LOG_WARN, "state_rebuilt", "note=\"LMDB is missing or older than the bases: it is built anew from them\"");
    rc = clear(state, err);
    for (unsigned p = 0; rc == 0 && p < partitions; p++) {
      const struct base_info *base = sound_base(dir, list, count, p);
      if (base) rc = load_base(dir, base, state, err);
    }
    *rebuilt = true;
  }
  base_list_free(list);
  return rc;
}
