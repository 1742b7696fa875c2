// A base is a header, blocks of rows, an index of the blocks, and an end. Everything in it is under a checksum, and all
// of it under the digest that its end holds.
#include "store/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/le.h"
#include "store/disk.h"
#include "store/formats.h"
#include "store/ids.h"
#include "store/journal_format.h"

#define HEADER_SIZE  256u
#define BLOCK_HEADER 16u
#define ROW_HEADER   8u
#define KEY_MAX      54u
#define ENTRY_SIZE   64u // of the index: offset u64, table u8, bytes of the key u8, key, zeros
#define END_SIZE     64u
#define BLOCK_BYTES  (64u << 10) // a block is closed when it is so long
#define BLOCK_MAX    (64u << 20)
#define SYNC_EVERY   (4u << 20) // small syncs leave the disk to commits in between
#define PATH_SIZE    4096

static const uint8_t MAGIC[8] = {'I', 'T', 'D', 'B', 'A', 'S', 'E', '\n'};
static const uint8_t END_MAGIC[8] = {'I', 'T', 'D', 'B', 'E', 'N', 'D', '\n'};

void base_path(char out[PATH_SIZE], const char *dir, unsigned partition, uint64_t seq) {
  int n = snprintf(out, PATH_SIZE, "%s/bases/%02x-%016llx.base", dir, partition, (unsigned long long)seq);
  CHECK(n > 0 && n < PATH_SIZE);
}

// ---- header and end ----
static void put_header(uint8_t out[HEADER_SIZE], const struct base_head *h) {
  memset(out, 0, HEADER_SIZE);
  memcpy(out, MAGIC, sizeof MAGIC);
  put32(out + 8, BASE_FORMAT);
  put32(out + 16, h->partition);
  put32(out + 20, h->partitions);
  put64(out + 24, h->seq);
  memcpy(out + 32, h->chain, SHA256_SIZE);
  put64(out + 64, (uint64_t)h->made_ms);
  put32(out + 72, h->session);
  put64(out + 152, (uint64_t)h->received_ms);
  put64(out + 80, h->before_seq);
  memcpy(out + 88, h->before_digest, SHA256_SIZE);
  memcpy(out + 120, "crc32c", 6);
  memcpy(out + 136, "sha256", 6);
  put32(out + 12, crc32c(0, bytes_of(out + 16, HEADER_SIZE - 16)));
}

static int get_header(const uint8_t in[HEADER_SIZE], struct base_head *h, struct error *err) {
  if (memcmp(in, MAGIC, sizeof MAGIC) != 0) return error_set(err, ITD_ECORRUPT, "does not begin like a base");
  if (get32(in + 8) != BASE_FORMAT) return format_refuse(err, "a base", get32(in + 8), BASE_FORMAT);
  if (get32(in + 12) != crc32c(0, bytes_of(in + 16, HEADER_SIZE - 16)))
    return error_set(err, ITD_ECORRUPT, "offset 0: the checksum of the header does not hold");
  if (strncmp((const char *)in + 120, "crc32c", 16) != 0 || strncmp((const char *)in + 136, "sha256", 16) != 0)
    return error_set(err, ITD_EVERSION, "written with algorithms that this program does not know");
  *h = (struct base_head){.partition = get32(in + 16),
                          .partitions = get32(in + 20),
                          .seq = get64(in + 24),
                          .made_ms = (int64_t)get64(in + 64),
                          .received_ms = (int64_t)get64(in + 152),
                          .session = get32(in + 72),
                          .before_seq = get64(in + 80)};
  memcpy(h->chain, in + 32, SHA256_SIZE);
  memcpy(h->before_digest, in + 88, SHA256_SIZE);
  return 0;
}

struct end {
  uint64_t index, rows; // offset of the index; rows in all blocks
  uint8_t digest[SHA256_SIZE];
};

// The digest is over all bytes before the end; the end's own checksum covers the rest of it.
static void put_end(uint8_t out[END_SIZE], const struct end *e) {
  memset(out, 0, END_SIZE);
  put64(out, e->index);
  put64(out + 8, e->rows);
  memcpy(out + 16, e->digest, SHA256_SIZE);
  memcpy(out + 56, END_MAGIC, sizeof END_MAGIC);
  put32(out + 48, crc32c(0, bytes_of(out, 48)));
}

static bool get_end(const uint8_t in[END_SIZE], struct end *e) {
  if (memcmp(in + 56, END_MAGIC, sizeof END_MAGIC) != 0 || get32(in + 52) != 0 ||
      get32(in + 48) != crc32c(0, bytes_of(in, 48)))
    return false;
  *e = (struct end){.index = get64(in), .rows = get64(in + 8)};
  memcpy(e->digest, in + 16, SHA256_SIZE);
  return true;
}

// ---- writing ----
struct base_writer {
  int fd;
  uint64_t at, synced, rows;
  uint32_t block_rows;
  struct buf block, index;
  struct sha256 *hash;
  char path[PATH_SIZE], temporary[PATH_SIZE];
  char dir[PATH_SIZE];
};

static int failed(const struct base_writer *w, int e, struct error *err) {
  return error_set(err, disk_status(e), "%s: %s", w->temporary, strerror(e));
}

static int write_out(struct base_writer *w, struct bytes b, struct error *err) {
  sha256_add(w->hash, b);
  int e = disk_write(w->fd, b.p, b.n, (off_t)w->at);
  w->at += b.n;
  if (e == 0 && w->at - w->synced >= SYNC_EVERY) {
    e = disk_sync(w->fd);
    w->synced = w->at;
  }
  return e ? failed(w, e, err) : 0;
}

int base_begin(const char *dir, const struct base_head *head, struct base_writer **out, struct error *err) {
  char folder[PATH_SIZE];
  snprintf(folder, sizeof folder, "%s/bases", dir);
  int rc = dir_make(folder, err);
  if (rc) return rc;
  struct base_writer *w = xcalloc(1, sizeof *w);
  snprintf(w->dir, sizeof w->dir, "%s", dir);
  base_path(w->path, dir, head->partition, head->seq);
  snprintf(w->temporary, sizeof w->temporary, "%.*s.new", PATH_SIZE - 5, w->path);
  w->hash = sha256_new();
  sha256_begin(w->hash);
  int e = disk_open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC, &w->fd);
  if (e) w->fd = -1;
  uint8_t header[HEADER_SIZE];
  put_header(header, head);
  rc = e ? failed(w, e, err) : write_out(w, bytes_of(header, sizeof header), err);
  if (rc)
    base_abort(w);
  else
    *out = w;
  return rc;
}

// length u32, crc u32 of what follows, rows u32, zero u32
static int write_block(struct base_writer *w, struct buf *block, uint32_t rows, struct error *err) {
  put32(block->p, (uint32_t)block->n);
  put32(block->p + 8, rows);
  put32(block->p + 12, 0);
  put32(block->p + 4, crc32c(0, bytes_of(block->p + 8, block->n - 8)));
  int rc = write_out(w, buf_bytes(block), err);
  buf_clear(block);
  return rc;
}

static void begin_block(struct buf *block) {
  buf_reserve(block, BLOCK_HEADER);
  block->n += BLOCK_HEADER;
}

static void put_entry(struct base_writer *w, uint8_t table, struct bytes key) {
  if (!w->index.n) begin_block(&w->index);
  uint8_t *p = buf_reserve(&w->index, ENTRY_SIZE);
  w->index.n += ENTRY_SIZE;
  memset(p, 0, ENTRY_SIZE);
  put64(p, w->at);
  p[8] = table;
  p[9] = (uint8_t)key.n;
  memcpy(p + 10, key.p, key.n);
}

int base_row(struct base_writer *w, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  CHECK(key.n && key.n <= KEY_MAX && value.n < BLOCK_MAX / 2);
  if (!w->block.n) {
    put_entry(w, table, key);
    begin_block(&w->block);
  }
  size_t size = align8(ROW_HEADER + key.n + value.n);
  uint8_t *p = buf_reserve(&w->block, size);
  w->block.n += size;
  memset(p, 0, size);
  p[0] = table;
  p[1] = (uint8_t)key.n;
  put32(p + 4, (uint32_t)value.n);
  memcpy(p + ROW_HEADER, key.p, key.n);
  if (value.n) memcpy(p + ROW_HEADER + key.n, value.p, value.n);
  w->rows++;
  w->block_rows++;
  if (w->block.n < BLOCK_BYTES) return 0;
  uint32_t rows = w->block_rows;
  w->block_rows = 0;
  return write_block(w, &w->block, rows, err);
}

static int finish(struct base_writer *w, struct error *err) {
  int rc = w->block.n ? write_block(w, &w->block, w->block_rows, err) : 0;
  struct end end = {.index = w->at, .rows = w->rows};
  if (!w->index.n) begin_block(&w->index);
  uint32_t entries = (uint32_t)((w->index.n - BLOCK_HEADER) / ENTRY_SIZE);
  if (rc == 0) rc = write_block(w, &w->index, entries, err);
  if (rc) return rc;
  uint8_t out[END_SIZE];
  sha256_end(w->hash, end.digest);
  put_end(out, &end);
  int e = disk_write(w->fd, out, sizeof out, (off_t)w->at);
  if (e == 0) e = disk_sync_whole(w->fd);
  if (e == 0) e = disk_rename(w->temporary, w->path);
  if (e == 0) e = disk_sync_folder(w->dir, "bases");
  return e ? failed(w, e, err) : 0;
}

int base_end(struct base_writer *w, struct error *err) {
  int rc = finish(w, err);
  base_abort(w); // the temporary name is gone when all went well
  return rc;
}

void base_abort(struct base_writer *w) {
  if (!w) return;
  if (w->fd >= 0) close(w->fd);
  (void)disk_unlink(w->temporary);
  sha256_free(w->hash);
  buf_deinit(&w->block);
  buf_deinit(&w->index);
  free(w);
}

// ---- what there is ----
static int read_at(int fd, void *out, size_t n, uint64_t at) {
  size_t got;
  int e = disk_read(fd, out, n, (off_t)at, &got);
  return e ? e : got == n ? 0 : ENODATA;
}

static int read_info(const char *dir, struct base_info *info, struct error *err) {
  char path[PATH_SIZE];
  uint8_t header[HEADER_SIZE], last[END_SIZE];
  struct base_head named = info->head;
  struct end end;
  base_path(path, dir, named.partition, named.seq);
  int fd, e = disk_open(path, O_RDONLY, &fd);
  if (e) return e == ENOENT ? 0 : error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  off_t size = lseek(fd, 0, SEEK_END);
  int rc = 0;
  if (size >= (off_t)(HEADER_SIZE + BLOCK_HEADER + END_SIZE) && read_at(fd, header, sizeof header, 0) == 0 &&
      read_at(fd, last, sizeof last, (uint64_t)size - END_SIZE) == 0) {
    rc = get_header(header, &info->head, err);
    info->is_whole = rc == 0 && get_end(last, &end) && info->head.partition == named.partition &&
                     info->head.seq == named.seq && info->head.partitions &&
                     end.index <= (uint64_t)size - END_SIZE - BLOCK_HEADER;
    if (rc == ITD_ECORRUPT) rc = 0;
  }
  close(fd);
  if (!info->is_whole) {
    info->head = named;
  } else {
    info->bytes = (uint64_t)size;
    info->rows = end.rows;
    memcpy(info->digest, end.digest, SHA256_SIZE);
  }
  if (rc) error_prefix(err, "%s", path);
  return rc;
}

static int by_partition(const void *a, const void *b) {
  const struct base_head *x = &((const struct base_info *)a)->head, *y = &((const struct base_info *)b)->head;
  if (x->partitions != y->partitions) return x->partitions < y->partitions ? -1 : 1;
  if (x->partition != y->partition) return x->partition < y->partition ? -1 : 1;
  return x->seq < y->seq ? -1 : x->seq > y->seq;
}

int base_list(const char *dir, struct base_info **list, size_t *count, struct error *err) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/bases", dir);
  *list = NULL;
  *count = 0;
  DIR *d = opendir(path);
  if (!d) return errno == ENOENT ? 0 : error_set(err, ITD_EIO, "%s: %s", path, strerror(errno));
  size_t cap = 0;
  for (struct dirent *e; (e = readdir(d));) {
    unsigned partition;
    unsigned long long seq;
    int end = 0;
    if (sscanf(e->d_name, "%2x-%16llx.base%n", &partition, &seq, &end) != 2 || !end || e->d_name[end]) continue;
    if (*count == cap) *list = xrealloc(*list, (cap = cap ? cap * 2 : 64) * sizeof **list);
    (*list)[(*count)++] = (struct base_info){.head = {.partition = partition, .seq = seq}};
  }
  closedir(d);
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < *count; i++) rc = read_info(dir, &(*list)[i], err);
  if (rc) {
    base_list_free(*list);
    *list = NULL;
    *count = 0;
  } else if (*count) {
    qsort(*list, *count, sizeof **list, by_partition);
  }
  return rc;
}

void base_list_free(struct base_info *list) { free(list); }

static bool is_newer(const struct base_info *base, const struct base_info *than, uint64_t seq) {
  return base->is_whole && base->head.seq <= seq && (!than || base->head.seq > than->head.seq);
}

const struct base_info *base_at(const struct base_info *list, size_t count, unsigned partition, uint64_t seq) {
  const struct base_info *best = NULL;
  for (size_t i = 0; i < count; i++)
    if (list[i].head.partition == partition && is_newer(&list[i], best, seq)) best = &list[i];
  return best;
}

const struct base_info *base_of_slot(const struct base_info *list, size_t count, unsigned slot, uint64_t seq) {
  const struct base_info *best = NULL;
  for (size_t i = 0; i < count; i++) {
    const struct base_head *h = &list[i].head;
    if (list[i].is_whole && slot_partition(slot, h->partitions) == h->partition && is_newer(&list[i], best, seq))
      best = &list[i];
  }
  return best;
}

void base_only(struct base_info *list, size_t *count, unsigned partitions, uint64_t since_seq) {
  size_t kept = 0;
  for (size_t i = 0; i < *count; i++)
    if (list[i].is_whole && list[i].head.partitions == partitions && list[i].head.seq >= since_seq)
      list[kept++] = list[i];
  *count = kept;
}

int base_set_write(const char *dir, int64_t made_ms, struct error *err) {
  char path[PATH_SIZE], text[32];
  snprintf(path, sizeof path, "%s/bases/newest", dir);
  snprintf(text, sizeof text, "%lld\n", (long long)made_ms);
  return disk_replace(path, bytes_str(text), err);
}

int64_t base_set_read(const char *dir) {
  char path[PATH_SIZE];
  struct buf text = {0};
  long long made_ms = 0;
  snprintf(path, sizeof path, "%s/bases/newest", dir);
  if (disk_load(path, 64, &text, NULL) == 0) {
    buf_append_u8(&text, 0);
    made_ms = strtoll((const char *)text.p, NULL, 10);
  }
  buf_deinit(&text);
  return made_ms;
}

// ---- reading ----
struct reading {
  int fd;
  char path[PATH_SIZE];
  uint64_t index, size; // offset of the index; of the file, without its end
  struct buf block;
};

static int damage(const struct reading *r, uint64_t at, struct error *err, const char *what) {
  return error_set(err, ITD_ECORRUPT, "%s, offset %llu: %s", r->path, (unsigned long long)at, what);
}

static int open_base(struct reading *r, const char *dir, const struct base_info *info, struct error *err) {
  uint8_t last[END_SIZE];
  struct end end;
  *r = (struct reading){.fd = -1};
  base_path(r->path, dir, info->head.partition, info->head.seq);
  int e = disk_open(r->path, O_RDONLY, &r->fd);
  if (e) {
    r->fd = -1;
    return error_set(err, e == ENOENT ? ITD_ENOTFOUND : disk_status(e), "%s: %s", r->path, strerror(e));
  }
  off_t size = lseek(r->fd, 0, SEEK_END);
  if (size < (off_t)(HEADER_SIZE + BLOCK_HEADER + END_SIZE) ||
      read_at(r->fd, last, sizeof last, (uint64_t)size - END_SIZE) || !get_end(last, &end))
    return damage(r, size < (off_t)END_SIZE ? 0 : (uint64_t)size - END_SIZE, err,
                  "the base's end is missing or damaged");
  r->size = (uint64_t)size - END_SIZE;
  r->index = end.index;
  return 0;
}

static void close_base(struct reading *r) {
  if (r->fd >= 0) close(r->fd);
  buf_deinit(&r->block);
}

// The block at `at` into r->block, checked; *rows of it.
static int read_block(struct reading *r, uint64_t at, uint32_t *rows, struct error *err) {
  uint8_t head[BLOCK_HEADER];
  if (at + BLOCK_HEADER > r->size || read_at(r->fd, head, sizeof head, at)) return damage(r, at, err, "a block is cut");
  uint32_t size = get32(head);
  if (size < BLOCK_HEADER || size % 8 || size > BLOCK_MAX || size > r->size - at)
    return damage(r, at, err, "a block's length does not hold");
  buf_clear(&r->block);
  buf_reserve(&r->block, size);
  if (read_at(r->fd, r->block.p, size, at)) return damage(r, at, err, "a block does not read");
  r->block.n = size;
  if (get32(head + 4) != crc32c(0, bytes_of(r->block.p + 8, size - 8)))
    return damage(r, at, err, "a block's checksum does not hold");
  *rows = get32(head + 8);
  return 0;
}

struct row {
  uint8_t table;
  struct bytes key, value;
};

// The next row of a block; false: no more, or it does not hold.
static bool next_row(struct bytes *from, struct row *row) {
  const uint8_t *p = from->p;
  if (from->n < ROW_HEADER) return false;
  size_t key = p[1], value = get32(p + 4), size = align8(ROW_HEADER + key + value);
  if (!key || value > from->n || size > from->n) return false;
  *row = (struct row){p[0], bytes_of(p + ROW_HEADER, key), bytes_of(p + ROW_HEADER + key, value)};
  *from = bytes_of(p + size, from->n - size);
  return true;
}

static int visit_block(struct reading *r, uint64_t at, uint32_t rows, base_visit visit, void *context,
                       struct error *err) {
  struct bytes left = bytes_of(r->block.p + BLOCK_HEADER, r->block.n - BLOCK_HEADER);
  struct row row;
  for (; next_row(&left, &row); rows--) {
    if (!rows) break;
    int rc = visit ? visit(context, row.table, row.key, row.value, err) : 0;
    if (rc) return rc;
  }
  return rows || left.n ? damage(r, at, err, "a block's rows do not hold") : 0;
}

int base_read(const char *dir, const struct base_info *info, base_visit visit, void *context, struct error *err) {
  struct reading r;
  int rc = open_base(&r, dir, info, err);
  for (uint64_t at = HEADER_SIZE; rc == 0 && at < r.index; at += r.block.n) {
    uint32_t rows;
    rc = read_block(&r, at, &rows, err);
    if (rc == 0) rc = visit_block(&r, at, rows, visit, context, err);
  }
  close_base(&r);
  return rc;
}

// Is what is there what was written? The digest says so for all at once; blocks say where it is not.
static int hold_against_digest(struct reading *r, const struct base_info *info, struct error *err) {
  struct sha256 *hash = sha256_new();
  uint8_t sum[SHA256_SIZE];
  int e = 0;
  sha256_begin(hash);
  buf_clear(&r->block);
  buf_reserve(&r->block, 1u << 20);
  for (uint64_t at = 0; e == 0 && at < r->size;) {
    size_t n = r->size - at < 1u << 20 ? (size_t)(r->size - at) : 1u << 20;
    e = read_at(r->fd, r->block.p, n, at);
    if (e == 0) sha256_add(hash, bytes_of(r->block.p, n));
    at += n;
  }
  sha256_end(hash, sum);
  sha256_free(hash);
  if (e) return error_set(err, ITD_EIO, "%s: %s", r->path, strerror(e));
  return memcmp(sum, info->digest, SHA256_SIZE) == 0 ? 0 : damage(r, 0, err, "its digest does not hold");
}

int base_check(const char *dir, const struct base_info *info, struct error *err) {
  int rc = base_read(dir, info, NULL, NULL, err); // names the block, where it is one
  if (rc) return rc;
  struct reading r;
  rc = open_base(&r, dir, info, err);
  if (rc == 0) rc = hold_against_digest(&r, info, err);
  close_base(&r);
  return rc;
}

static int compare_keys(uint8_t table_a, struct bytes a, uint8_t table_b, struct bytes b) {
  return table_a != table_b ? (table_a < table_b ? -1 : 1) : bytes_compare(a, b);
}

struct base_reader {
  struct reading reading;
  struct buf index;
  uint32_t blocks;
};

static bool index_holds(struct bytes block, uint32_t entries) {
  if (block.n != BLOCK_HEADER + (size_t)entries * ENTRY_SIZE) return false;
  for (uint32_t i = 0; i < entries; i++)
    if (block.p[BLOCK_HEADER + (size_t)i * ENTRY_SIZE + 9] > KEY_MAX) return false;
  return true;
}

int base_open(const char *dir, const struct base_info *info, struct base_reader **out, struct error *err) {
  struct base_reader *r = xcalloc(1, sizeof *r);
  int rc = open_base(&r->reading, dir, info, err);
  if (rc == 0) rc = read_block(&r->reading, r->reading.index, &r->blocks, err);
  if (rc == 0 && !index_holds(buf_bytes(&r->reading.block), r->blocks))
    rc = damage(&r->reading, r->reading.index, err, "the index does not hold");
  if (rc) {
    base_close(r);
    return rc;
  }
  buf_append(&r->index, r->reading.block.p + BLOCK_HEADER, r->reading.block.n - BLOCK_HEADER);
  *out = r;
  return 0;
}

void base_close(struct base_reader *r) {
  if (!r) return;
  close_base(&r->reading);
  buf_deinit(&r->index);
  free(r);
}

// Offset of the block that would hold a key; 0: none would.
static uint64_t find_block(const struct base_reader *r, uint8_t table, struct bytes key) {
  uint32_t low = 0, high = r->blocks; // the last entry that is not after the key
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const uint8_t *p = r->index.p + (size_t)middle * ENTRY_SIZE;
    if (compare_keys(p[8], bytes_of(p + 10, p[9]), table, key) <= 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low ? get64(r->index.p + (size_t)(low - 1) * ENTRY_SIZE) : 0;
}

int base_lookup(struct base_reader *r, uint8_t table, struct bytes key, struct buf *value, struct error *err) {
  uint64_t at = find_block(r, table, key);
  uint32_t rows;
  int rc = at ? read_block(&r->reading, at, &rows, err) : 0;
  if (rc) return rc;
  struct bytes left =
      at ? bytes_of(r->reading.block.p + BLOCK_HEADER, r->reading.block.n - BLOCK_HEADER) : bytes_of(NULL, 0);
  for (struct row row; next_row(&left, &row);) {
    if (compare_keys(row.table, row.key, table, key) != 0) continue;
    buf_append_bytes(value, row.value);
    return 0;
  }
  return error_set(err, ITD_ENOTFOUND, "the base has no such row");
}

int base_find(const char *dir, const struct base_info *info, uint8_t table, struct bytes key, struct buf *value,
              struct error *err) {
  struct base_reader *r = NULL;
  int rc = base_open(dir, info, &r, err);
  if (rc == 0) rc = base_lookup(r, table, key, value, err);
  base_close(r);
  return rc;
}
