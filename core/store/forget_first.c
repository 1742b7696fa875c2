#include "store/forget_first.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "store/disk.h"
#include "store/merge.h"
#include "store/shard.h"

#define LEDGER_MAX (1u << 30)

// ---- ledgers ----
static int by_lead(const void *a, const void *b) {
  const struct ledger_line *x = a, *y = b;
  return memcmp(x->lead.b, y->lead.b, sizeof x->lead.b);
}

static bool parse(struct bytes line, struct ledger_line *out) {
  char time[24] = "", *end;
  if (line.n < 34 || line.n > 33 + sizeof time - 1 || line.p[32] != ' ' ||
      lead_id_parse(bytes_of(line.p, 32), &out->lead))
    return false;
  memcpy(time, line.p + 33, line.n - 33);
  out->at_ms = strtoll(time, &end, 10);
  return !*end;
}

static void sort(struct ledger_line *list, size_t *count) {
  size_t n = 0;
  if (*count) qsort(list, *count, sizeof *list, by_lead);
  for (size_t i = 0; i < *count; i++)
    if (!n || by_lead(&list[n - 1], &list[i]) != 0) list[n++] = list[i];
  *count = n;
}

int ledger_read(const char *path, struct ledger_line **list, size_t *count, struct error *err) {
  struct buf text = {0};
  struct ledger_line *lines = NULL;
  size_t n = 0, cap = 0;
  int rc = disk_load(path, LEDGER_MAX, &text, err);
  struct bytes left = buf_bytes(&text);
  for (const uint8_t *end; rc == 0 && left.n && (end = memchr(left.p, '\n', left.n));) {
    if (n == cap) lines = xrealloc(lines, (cap = cap ? cap * 2 : 64) * sizeof *lines);
    if (!parse(bytes_of(left.p, (size_t)(end - left.p)), &lines[n++]))
      rc = error_set(err, ITD_ECORRUPT, "%s, line %zu: it must be a lead's id and a time", path, n);
    left = bytes_of(end + 1, left.n - (size_t)(end + 1 - left.p));
  }
  buf_deinit(&text);
  if (rc) {
    free(lines);
    return rc;
  }
  sort(lines, &n);
  *list = lines;
  *count = n;
  return 0;
}

bool ledger_has(const struct ledger_line *list, size_t count, struct lead_id lead) {
  struct ledger_line key = {.lead = lead};
  return count && bsearch(&key, list, count, sizeof *list, by_lead);
}

// ---- what waits for the next opening ----
static void path_of(char out[PATH_MAX], const char *dir) { snprintf(out, PATH_MAX, "%s/forget-first", dir); }

int forget_first_write(const char *dir, const struct ledger_line *list, size_t count, struct error *err) {
  char path[PATH_MAX], id[LEAD_ID_TEXT];
  struct buf text = {0};
  for (size_t i = 0; i < count; i++) {
    lead_id_format(list[i].lead, id);
    buf_printf(&text, "%s %lld\n", id, (long long)list[i].at_ms);
  }
  path_of(path, dir);
  int rc = disk_replace(path, buf_bytes(&text), err);
  buf_deinit(&text);
  return rc;
}

// One lead: with a frame when this copy knows it; else only the line in DIR/forgotten.
static void forget_one(struct store *store, const struct ledger_line *line) {
  static const uint8_t by[] = "\x81\xa2"
                              "by\xa7"
                              "restore";
  unsigned partition = store_partition_of_lead(store, line->lead);
  struct store_shard *shard = shard_of(store, partition);
  if (forget_has(store->forget, line->lead)) return;
  const struct lead *lead = store_lead(shard, line->lead);
  if (!lead) {
    forget_give(store->forget, shard_forget(shard, line->lead, line->at_ms));
    return;
  }
  struct frame frame = {.kind = FRAME_FORGET,
                        .entity = line->lead,
                        .partition = (uint16_t)partition,
                        .workspace = lead->workspace,
                        .policy = lead->release,
                        .semantics = (uint32_t)FEATURE_SEMANTICS << 16 | POLICY_SEMANTICS,
                        .now_ms = lead->now_ms,
                        .number = lead->number,
                        .received_ms = clock_wall_ms(),
                        .event = bytes_of(by, sizeof by - 1)};
  struct buf list = {0};
  merge_put_forgets(shard, lead, &list, &frame);
  store_forget(shard, &frame, NULL, NULL);
  buf_deinit(&list);
}

int forget_first_apply(struct store *store, uint64_t *count, struct error *err) {
  char path[PATH_MAX];
  struct ledger_line *list;
  size_t n;
  path_of(path, store->dir.path);
  *count = 0;
  if (access(path, F_OK) != 0) return 0;
  int rc = ledger_read(path, &list, &n, err);
  if (rc) return rc;
  for (size_t i = 0; i < n; i++) forget_one(store, &list[i]);
  free(list);
  for (unsigned i = 0; rc == 0 && i < store->options.shards; i++) rc = store_commit(store->shard[i], err);
  if (rc == 0) rc = forget_wait(store->forget, err);
  int e = rc == 0 ? disk_unlink(path) : 0;
  if (e == 0 && rc == 0) e = disk_sync_folder(store->dir.path, ".");
  if (e) rc = error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  if (rc == 0) log_line(LOG_INFO, "forgotten_first", "leads=%zu", n);
  *count = n;
  return rc;
}
