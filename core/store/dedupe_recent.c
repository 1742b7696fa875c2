// Sidecars: DIR/dedupe/NNNNNNNN.recent. "ITDRCNT\n", u32 format, u32 number, u64 lineage; then batches: u32 length, u32 CRC-32C of
// what follows, u32 partitions, u32 records, for each partition u64 partition, u64 from, u64 to; then the records as in
// a run.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "store/dedupe_files_private.h"
#include "store/ids.h"

#define HEAD_SIZE     24u
#define BATCH_SIZE    16u
#define TIP_SIZE      24u
#define RECENT_FORMAT 1u
#define RECENT_MAX    (8ull << 30)
#define MANY          64u
static const uint8_t MAGIC[8] = {'I', 'T', 'D', 'R', 'C', 'N', 'T', '\n'};

static void recent_path(const struct dedupe_files *f, uint32_t number, char out[RUN_PATH_MAX]) {
  int n = snprintf(out, RUN_PATH_MAX, "%s/dedupe/%08x.recent", f->dir, number);
  CHECK(n > 0 && n < RUN_PATH_MAX);
}

static void remove_recent(const struct dedupe_files *f, uint32_t number) {
  char path[RUN_PATH_MAX];
  recent_path(f, number, path);
  int e = disk_unlink(path);
  if (e && e != ENOENT) log_line(LOG_WARN, "dedupe_unlink", "error=%s", log_quote(strerror(e)));
}

static void add_old(struct dedupe_files *f, const struct recent *r) {
  if (f->old_count == f->old_cap)
    f->old = xrealloc(f->old, (f->old_cap = f->old_cap ? f->old_cap * 2 : 16) * sizeof *f->old);
  f->old[f->old_count++] = *r;
}

// ---- reading ----
// A batch counts when it goes on from what is known; it may say again what is.
static bool goes_on(const struct dedupe_files *f, const uint8_t *tips, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    uint64_t p = get64(tips + i * TIP_SIZE);
    if (p >= f->options.partitions || get64(tips + i * TIP_SIZE + 8) > f->covered[p]) return false;
  }
  return true;
}

static bool take_batch(struct dedupe_files *f, struct bytes *in, struct recent *r,
                       void (*each)(void *context, const struct dedupe_record *record), void *context) {
  if (in->n < BATCH_SIZE) return false;
  size_t size = get32(in->p);
  if (size < BATCH_SIZE || size > in->n || get32(in->p + 4) != crc32c(0, bytes_of(in->p + 8, size - 8))) return false;
  unsigned tips = get32(in->p + 8);
  uint64_t records = get32(in->p + 12);
  if (tips > 256 || BATCH_SIZE + tips * TIP_SIZE + records * DEDUPE_RECORD_SIZE != size) return false;
  const uint8_t *tip = in->p + BATCH_SIZE, *record = tip + tips * TIP_SIZE;
  if (!goes_on(f, tip, tips)) return false;
  // What the runs have of a partition may be newer: a message that was seen again, longer ago than the window.
  bool is_placed[256] = {false};
  for (unsigned i = 0; i < tips; i++) {
    uint64_t p = get64(tip + i * TIP_SIZE);
    is_placed[p] = get64(tip + i * TIP_SIZE + 16) <= f->placed[p];
  }
  for (uint64_t i = 0; i < records; i++) {
    struct dedupe_record one = dedupe_record_get(record + i * DEDUPE_RECORD_SIZE);
    if (!is_placed[slot_partition(message_slot(one.message), f->options.partitions)]) each(context, &one);
  }
  for (unsigned i = 0; i < tips; i++) {
    uint64_t p = get64(tip + i * TIP_SIZE), to = get64(tip + i * TIP_SIZE + 16);
    r->is_known[p] = true;
    r->to[p] = to;
    if (to > f->covered[p]) f->covered[p] = to;
  }
  *in = bytes_of(in->p + size, in->n - size);
  return true;
}

static void load_one(struct dedupe_files *f, uint32_t number,
                     void (*each)(void *context, const struct dedupe_record *record), void *context) {
  char path[RUN_PATH_MAX];
  struct recent r = {.number = number};
  struct buf b;
  buf_init(&b);
  recent_path(f, number, path);
  struct error err = {0};
  int rc = disk_load(path, RECENT_MAX, &b, &err);
  if (rc) log_line(LOG_WARN, "dedupe_recent", "error=%s", log_quote(err.text));
  struct bytes in = buf_bytes(&b);
  if (in.n >= HEAD_SIZE && memcmp(in.p, MAGIC, 8) == 0 && get32(in.p + 8) == RECENT_FORMAT &&
      get32(in.p + 12) == number && get64(in.p + 16) == f->lineage) {
    in = bytes_of(in.p + HEAD_SIZE, in.n - HEAD_SIZE);
    while (take_batch(f, &in, &r, each, context)) {
    }
  }
  add_old(f, &r);
  buf_deinit(&b);
}

static int by_number(const void *a, const void *b) {
  const uint32_t *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

static uint32_t *list_recent(const struct dedupe_files *f, size_t *count) {
  char path[RUN_PATH_MAX];
  uint32_t *list = NULL;
  size_t cap = 0;
  *count = 0;
  snprintf(path, sizeof path, "%s/dedupe", f->dir);
  DIR *d = opendir(path);
  for (struct dirent *e; d && (e = readdir(d));) {
    uint32_t number;
    int end = 0;
    if (sscanf(e->d_name, "%8x.recent%n", &number, &end) != 1 || !end || e->d_name[end]) continue;
    if (*count == cap) list = xrealloc(list, (cap = cap ? cap * 2 : 16) * sizeof *list);
    list[(*count)++] = number;
  }
  if (d) closedir(d);
  if (*count) qsort(list, *count, sizeof *list, by_number);
  return list;
}

void dedupe_files_load(struct dedupe_files *f, void (*each)(void *context, const struct dedupe_record *record),
                       void *context) {
  size_t count;
  uint32_t *list = list_recent(f, &count);
  for (size_t i = 0; i < count && !f->is_distrusted; i++) load_one(f, list[i], each, context);
  free(list);
}

// ---- going ----
void dedupe_recent_remove(struct dedupe_files *f) {
  size_t count;
  uint32_t *list = list_recent(f, &count);
  for (size_t i = 0; i < count; i++) remove_recent(f, list[i]);
  free(list);
  f->old_count = 0;
}

static bool is_needed(const struct dedupe_files *f, const struct recent *r) {
  for (unsigned p = 0; p < f->options.partitions; p++)
    if (r->is_known[p] && r->to[p] > f->dropped[p]) return true;
  return false;
}

static void drop_old(struct dedupe_files *f) {
  size_t kept = 0;
  for (size_t i = 0; i < f->old_count; i++) {
    if (is_needed(f, &f->old[i]))
      f->old[kept++] = f->old[i];
    else
      remove_recent(f, f->old[i].number);
  }
  f->old_count = kept;
}

void dedupe_recent_drop(struct dedupe_files *f) {
  pthread_mutex_lock(&f->recent_lock);
  memcpy(f->dropped, f->placed, sizeof f->dropped);
  drop_old(f);
  pthread_mutex_unlock(&f->recent_lock);
}

bool dedupe_files_are_many(const struct dedupe_files *f) { return f->old_count > MANY; }

// ---- writing ----
static void end_writer(struct dedupe_files *f, struct recent_writer *w) {
  if (w->fd < 0 || !w->generation) return;
  close(w->fd);
  w->fd = -1;
  add_old(f, &w->file);
}

static int begin_writer(struct dedupe_files *f, struct recent_writer *w) {
  char path[RUN_PATH_MAX];
  uint8_t head[HEAD_SIZE];
  *w = (struct recent_writer){.fd = -1, .generation = w->generation, .cycle = w->cycle};
  w->file.number = dedupe_files_number(f);
  recent_path(f, w->file.number, path);
  int e = disk_open(path, O_RDWR | O_CREAT | O_EXCL, &w->fd);
  if (e) return e;
  memcpy(head, MAGIC, 8);
  put32(head + 8, RECENT_FORMAT);
  put32(head + 12, w->file.number);
  put64(head + 16, f->lineage);
  w->at = sizeof head;
  e = disk_write(w->fd, head, sizeof head, 0);
  return e ? e : disk_sync_folder(f->dir, "dedupe");
}

static void put_batch(const struct dedupe_log *log, struct buf *b) {
  size_t size = BATCH_SIZE + log->count * TIP_SIZE + log->records.n;
  uint8_t *p = buf_reserve(b, size), *tip = p + BATCH_SIZE;
  b->n += size;
  put32(p, (uint32_t)size);
  put32(p + 8, log->count);
  put32(p + 12, (uint32_t)(log->records.n / DEDUPE_RECORD_SIZE));
  for (unsigned i = 0; i < log->count; i++, tip += TIP_SIZE) {
    put64(tip, log->partition[i]);
    put64(tip + 8, log->from[i]);
    put64(tip + 16, log->to[i]);
  }
  if (log->records.n) memcpy(tip, log->records.p, log->records.n);
  put32(p + 4, crc32c(0, bytes_of(p + 8, size - 8)));
}

static int append(struct recent_writer *w, const struct dedupe_log *log) {
  struct buf b;
  buf_init(&b);
  put_batch(log, &b);
  int e = disk_write(w->fd, b.p, b.n, (off_t)w->at);
  if (e == 0) e = disk_sync_whole(w->fd);
  if (e == 0) w->at += b.n;
  buf_deinit(&b);
  return e;
}

void dedupe_files_log(struct dedupe_files *f, const struct dedupe_log *log, uint32_t cycle) {
  pthread_mutex_lock(&f->recent_lock);
  struct recent_writer *w = &f->writer[log->shard];
  int e = 0;
  if (w->cycle == cycle) goto done;
  w->cycle = cycle;
  if (w->generation != log->generation || w->fd < 0) {
    end_writer(f, w);
    w->generation = log->generation;
    e = begin_writer(f, w);
    drop_old(f);
  }
  if (e == 0) e = append(w, log);
  for (unsigned i = 0; e == 0 && i < log->count; i++) {
    w->file.is_known[log->partition[i]] = true;
    w->file.to[log->partition[i]] = log->to[i];
  }
  if (e) { // whether it is there nobody can tell: the next start reads the journal from where the file before ends
    log_line(LOG_WARN, "dedupe_recent", "error=%s", log_quote(strerror(e)));
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
    remove_recent(f, w->file.number);
  }
done:
  pthread_mutex_unlock(&f->recent_lock);
}

void dedupe_recent_close(struct dedupe_files *f) {
  for (unsigned i = 0; i < 256; i++)
    if (f->writer[i].generation && f->writer[i].fd >= 0) close(f->writer[i].fd);
  free(f->old);
}
