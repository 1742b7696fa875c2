#include "store/rebuild.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "store/base.h"
#include "store/disk.h"

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
    rc = state_progress(reader, p, &progress, err);
    if (rc == ITD_ENOTFOUND) rc = 0;
    *behind = *behind || base->head.seq > progress.seq;
  }
  state_reader_free(reader);
  return rc;
}

// ---- another number of partitions ----
bool rebuild_renumber(const struct state_progress *before, const struct journal_boundary *since, unsigned after,
                      struct state_progress *out) {
  struct journal_tip tip[256];
  struct journal_boundary due;
  struct state_progress all = {.seq = since->seq, .release_ms = INT64_MIN};
  for (unsigned p = 0; p < since->before; p++) {
    tip[p] = (struct journal_tip){.seq = before[p].seq};
    memcpy(tip[p].chain, before[p].chain, SHA256_SIZE);
    if (before[p].received_ms > all.received_ms) all.received_ms = before[p].received_ms;
    if (!before[p].release || before[p].release_ms < all.release_ms) continue;
    all.release = before[p].release;
    all.release_ms = before[p].release_ms;
  }
  if (!all.release) all.release_ms = 0;
  memcpy(all.chain, since->chain, SHA256_SIZE);
  for (unsigned p = 0; p < after; p++) out[p] = all;
  journal_boundary_of(since->before, tip, after, &due);
  return due.seq == since->seq && memcmp(due.chain, since->chain, SHA256_SIZE) == 0;
}

static int put_renumbered(struct state *state, unsigned before, unsigned after, const struct state_progress *progress,
                          struct error *err) {
  struct state_txn *txn;
  int rc = state_begin(state, &txn, err);
  if (rc) return rc;
  rc = state_drop_partitions(txn, 0, before, err);
  for (unsigned p = 0; rc == 0 && p < after; p++) rc = state_put_progress(txn, p, &progress[p], err);
  if (rc == 0) return state_commit(txn, err);
  state_abort(txn);
  return rc;
}

// Where LMDB stands at the very end of the former number it needs no base: leads do not change.
static int renumber(struct state *state, unsigned partitions, const struct journal_boundary *since, struct error *err) {
  struct state_reader *reader = state_reader_new(state);
  struct state_progress *before = xcalloc(256, sizeof *before), *after = xcalloc(256, sizeof *after);
  int rc = 0;
  for (unsigned p = 0; rc == 0 && p < since->before; p++) {
    rc = state_progress(reader, p, &before[p], err);
    if (rc == ITD_ENOTFOUND) rc = 0;
  }
  state_reader_free(reader);
  if (rc == 0 && before[0].seq < since->seq && rebuild_renumber(before, since, partitions, after))
    rc = put_renumbered(state, since->before, partitions, after, err);
  free(before);
  free(after);
  return rc;
}

// What was written for a reshard that did not come about would be taken for more than it is.
static int drop_given_up(const char *dir, const struct base_info *list, size_t count, unsigned partitions,
                         const struct journal_boundary *since, struct error *err) {
  for (size_t i = 0; i < count; i++) {
    const struct base_head *h = &list[i].head;
    if (!list[i].is_whole || h->partitions == partitions || h->seq < since->seq) continue;
    char path[4096];
    base_path(path, dir, h->partition, h->seq);
    int e = disk_unlink(path);
    if (e && e != ENOENT) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  }
  return 0;
}

int rebuild_state(const char *dir, unsigned partitions, const struct journal_boundary *since, struct state *state,
                  bool *rebuilt, struct error *err) {
  struct base_info *list;
  size_t count;
  *rebuilt = false;
  int rc = base_list(dir, &list, &count, err);
  if (rc) return rc;
  bool behind = false;
  rc = drop_given_up(dir, list, count, partitions, since, err);
  base_only(list, &count, partitions, since->seq);
  if (rc == 0 && since->seq) rc = renumber(state, partitions, since, err);
  if (rc == 0) rc = is_behind(list, count, partitions, state, &behind, err);
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
