// Runs: pages of sorted records behind a filter. The filter and the index are checked when a run is opened, a page each
// time that it is read.
#include "store/dedupe_run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "store/dedupe_private.h"
#include "store/disk.h"

#define PAGE        4096u
#define HUGE_PAGE   (2u << 20)
#define RECORD_SIZE DEDUPE_RECORD_SIZE
#define PER_PAGE    127u
#define HEADER_USED 136u // then the header's sum
#define WRITE_BYTES (256u << 10)
#define RUN_FORMAT  1u
static const uint8_t MAGIC[8] = {'I', 'T', 'D', 'S', 'E', 'E', 'N', '\n'};

void run_path(char out[RUN_PATH_MAX], const char *dir, uint32_t number) {
  int n = snprintf(out, RUN_PATH_MAX, "%s/dedupe/%08x.run", dir, number);
  CHECK(n > 0 && n < RUN_PATH_MAX);
}

// After the records, from a page on: the index, then the filter, each of whole pages.
static uint64_t whole_pages(uint64_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }
static uint64_t blocks_for(uint64_t count) { return count * RUN_BITS / 512 + 1; }
static uint64_t tail_size(uint64_t pages, uint64_t blocks) { return whole_pages(pages * 8) + whole_pages(blocks * 64); }

// ---- reading ----
static int read_whole(int fd, uint8_t *out, size_t n, off_t at) {
  size_t got;
  int e = disk_read(fd, out, n, at, &got);
  return e ? disk_status(e) : got < n ? ITD_ECORRUPT : 0;
}

static bool header_holds(const uint8_t *h, struct dedupe_run *run) {
  if (memcmp(h, MAGIC, 8) != 0 || get32(h + 8) != RUN_FORMAT || get32(h + 12) != run->number ||
      get64(h + HEADER_USED) != hash64(bytes_of(h, HEADER_USED)))
    return false;
  run->count = get64(h + 16);
  run->pages = get64(h + 24);
  run->blocks = get64(h + 32);
  run->oldest_ms = (int64_t)get64(h + 40);
  run->newest_ms = (int64_t)get64(h + 48);
  memcpy(&run->slots, h + 64, sizeof run->slots);
  return run->count && run->count <= RUN_RECORDS_MAX && run->pages == (run->count + PER_PAGE - 1) / PER_PAGE &&
         run->blocks;
}

static int read_run(struct dedupe_run *run, struct error *err) {
  uint8_t h[PAGE];
  struct stat st;
  int rc = read_whole(run->fd, h, sizeof h, 0);
  if (rc) return error_set(err, rc, "its header does not read");
  if (!header_holds(h, run)) return error_set(err, ITD_ECORRUPT, "its header does not hold");
  uint64_t tail_at = PAGE * (1 + run->pages);
  // What the header says is bounded by the file before anything is computed or allocated from it.
  if (fstat(run->fd, &st) || run->blocks > (uint64_t)st.st_size / 64) return error_set(err, ITD_ECORRUPT, "it is cut");
  run->map_size = tail_size(run->pages, run->blocks);
  if ((uint64_t)st.st_size != tail_at + run->map_size) return error_set(err, ITD_ECORRUPT, "it is cut");
  // A large filter is read at random all over: with few pages the processor finds its way.
  size_t align = run->map_size >= HUGE_PAGE ? HUGE_PAGE : PAGE, size = (run->map_size + align - 1) / align * align;
  run->map = aligned_alloc(align, size);
  CHECK(run->map);
  if (align == HUGE_PAGE) madvise(run->map, size, MADV_HUGEPAGE);
  run->index = (const uint64_t *)(const void *)run->map;
  run->filter = (const uint64_t *)(const void *)(run->map + whole_pages(run->pages * 8));
  rc = read_whole(run->fd, run->map, run->map_size, (off_t)tail_at);
  if (rc) return error_set(err, rc, "its filter does not read");
  if (get64(h + 56) != hash64(bytes_of(run->map, run->map_size)))
    return error_set(err, ITD_ECORRUPT, "its filter's sum does not hold");
  return 0;
}

int run_open(const char *dir, uint32_t number, struct dedupe_run **out, struct error *err) {
  char path[RUN_PATH_MAX];
  run_path(path, dir, number);
  int fd = -1, e = disk_open(path, O_RDONLY, &fd);
  if (e) return error_set(err, e == ENOENT ? ITD_ENOTFOUND : disk_status(e), "%s: %s", path, strerror(e));
  struct dedupe_run *run = xcalloc(1, sizeof *run);
  run->number = number;
  run->holders = 1;
  run->fd = fd;
  int rc = read_run(run, err);
  if (rc) {
    error_prefix(err, "%s", path);
    run_release(run);
    return rc;
  }
  *out = run;
  return 0;
}

struct dedupe_run *run_hold(struct dedupe_run *run) {
  atomic_fetch_add_explicit(&run->holders, 1, memory_order_relaxed);
  return run;
}

void run_release(struct dedupe_run *run) {
  if (!run || atomic_fetch_sub_explicit(&run->holders, 1, memory_order_acq_rel) != 1) return;
  free(run->map);
  close(run->fd);
  free(run);
}

static int read_page(const struct dedupe_run *run, uint64_t page, uint8_t b[PAGE], unsigned *count, struct error *err) {
  int rc = read_whole(run->fd, b, PAGE, (off_t)(PAGE * (1 + page)));
  if (rc == 0 && get64(b + PER_PAGE * RECORD_SIZE) != hash64_seed(bytes_of(b, PER_PAGE * RECORD_SIZE), page))
    rc = ITD_ECORRUPT;
  if (rc) return error_set(err, rc, "dedupe/%08x.run: page %llu does not read", run->number, (unsigned long long)page);
  uint64_t left = run->count - page * PER_PAGE;
  *count = left < PER_PAGE ? (unsigned)left : PER_PAGE;
  return 0;
}

// The last page that begins at or before `lo`; the hashes are evenly spread, so the place can be guessed closely.
static uint64_t page_of(const struct dedupe_run *run, uint64_t lo) {
  uint64_t guess = (uint64_t)((unsigned __int128)lo * run->pages >> 64), low = 0, high = run->pages;
  for (uint64_t step = 1; guess + step < high; step *= 2)
    if (get64((const uint8_t *)&run->index[guess + step]) > lo) high = guess + step;
  for (uint64_t step = 1; guess >= step && !low; step *= 2)
    if (get64((const uint8_t *)&run->index[guess - step]) <= lo) low = guess - step;
  while (high - low > 1) { // index[low] <= lo (or low is 0), index[high] > lo (or high is the end)
    uint64_t middle = low + (high - low) / 2;
    if (get64((const uint8_t *)&run->index[middle]) <= lo)
      low = middle;
    else
      high = middle;
  }
  return low;
}

int run_find(const struct dedupe_run *run, struct hash128 message, struct dedupe_record *out, struct error *err) {
  uint8_t b[PAGE];
  // Records with the same low half could lie on both sides of a page's edge.
  for (uint64_t page = page_of(run, message.lo);; page--) {
    unsigned count, low = 0, high;
    int rc = read_page(run, page, b, &count, err);
    if (rc) return rc;
    for (high = count; low < high;) {
      unsigned middle = low + (high - low) / 2;
      struct dedupe_record r = dedupe_record_get(b + middle * RECORD_SIZE);
      int order = dedupe_order(r.message, message);
      if (order == 0) {
        *out = r;
        return 1;
      }
      if (order < 0)
        low = middle + 1;
      else
        high = middle;
    }
    if (!page || get64((const uint8_t *)&run->index[page]) != message.lo) return 0;
  }
}

void run_cursor_init(struct run_cursor *c, const struct dedupe_run *run) {
  c->run = run;
  c->page = 0;
  c->at = c->count = 0;
}

int run_next(struct run_cursor *c, struct dedupe_record *out, struct error *err) {
  if (c->at == c->count) {
    if (c->page == c->run->pages) return 0;
    int rc = read_page(c->run, c->page++, c->b, &c->count, err);
    if (rc) return rc;
    c->at = 0;
  }
  *out = dedupe_record_get(c->b + c->at++ * RECORD_SIZE);
  return 1;
}

// ---- writing ----
struct run_writer {
  char path[RUN_PATH_MAX], temporary[RUN_PATH_MAX + 8];
  const char *dir;
  int fd;
  struct buf out; // whole pages, and the one that is being filled
  uint64_t written;
  struct dedupe_run run; // its numbers
  uint64_t most, page_cap;
  uint64_t *index, *filter;
  struct dedupe_record last;
};

static int failed(struct run_writer *w, int e, struct error *err) {
  return error_set(err, disk_status(e), "%s: %s", w->temporary, strerror(e));
}

int run_begin(const char *dir, uint32_t number, const struct slots *slots, uint64_t most, struct run_writer **out,
              struct error *err) {
  struct run_writer *w = xcalloc(1, sizeof *w);
  w->dir = dir;
  w->most = most ? most : 1;
  w->run.number = number;
  w->run.slots = *slots;
  w->run.oldest_ms = INT64_MAX;
  w->run.newest_ms = INT64_MIN;
  w->run.blocks = blocks_for(w->most);
  w->page_cap = (w->most + PER_PAGE - 1) / PER_PAGE;
  run_path(w->path, dir, number);
  snprintf(w->temporary, sizeof w->temporary, "%s.tmp", w->path);
  int e = disk_open(w->temporary, O_RDWR | O_CREAT | O_TRUNC, &w->fd);
  if (e) {
    int rc = failed(w, e, err);
    free(w);
    return rc;
  }
  w->index = xcalloc(whole_pages(w->page_cap * 8) / 8, 8);
  w->filter = xcalloc(whole_pages(w->run.blocks * 64) / 8, 8);
  memset(buf_reserve(&w->out, PAGE), 0, PAGE); // the header comes last
  w->out.n = PAGE;
  *out = w;
  return 0;
}

static int write_out(struct run_writer *w, struct error *err) {
  int e = disk_write(w->fd, w->out.p, w->out.n, (off_t)w->written);
  if (e) return failed(w, e, err);
  w->written += w->out.n;
  buf_clear(&w->out);
  return 0;
}

static int end_page(struct run_writer *w, struct error *err) {
  size_t used = w->out.n % PAGE;
  memset(buf_reserve(&w->out, PAGE), 0, PAGE - used);
  w->out.n += PAGE - used;
  uint8_t *page = w->out.p + w->out.n - PAGE;
  put64(page + PER_PAGE * RECORD_SIZE, hash64_seed(bytes_of(page, PER_PAGE * RECORD_SIZE), w->run.pages++));
  return w->out.n >= WRITE_BYTES ? write_out(w, err) : 0;
}

int run_add(struct run_writer *w, const struct dedupe_record *r, struct error *err) {
  CHECK(w->run.count < w->most && run_has_slot(&w->run, message_slot(r->message)) &&
        (!w->run.count || dedupe_order(w->last.message, r->message) < 0));
  unsigned at = (unsigned)(w->run.count % PER_PAGE);
  if (at == 0) put64((uint8_t *)&w->index[w->run.pages], r->message.lo);
  dedupe_record_put(buf_reserve(&w->out, RECORD_SIZE), r);
  w->out.n += RECORD_SIZE;
  struct dedupe_run view = {.filter = w->filter, .blocks = w->run.blocks};
  uint64_t *block = (uint64_t *)(uintptr_t)run_block(&view, r->message), h = r->message.hi >> 16;
  for (int i = 0; i < 8; i++, h >>= 6) block[i] |= 1ull << (h & 63);
  if (r->received_ms < w->run.oldest_ms) w->run.oldest_ms = r->received_ms;
  if (r->received_ms > w->run.newest_ms) w->run.newest_ms = r->received_ms;
  w->last = *r;
  w->run.count++;
  return at == PER_PAGE - 1 ? end_page(w, err) : 0;
}

static void header_put(const struct run_writer *w, uint64_t sum, uint8_t *h) {
  memset(h, 0, PAGE);
  memcpy(h, MAGIC, 8);
  put32(h + 8, RUN_FORMAT);
  put32(h + 12, w->run.number);
  put64(h + 16, w->run.count);
  put64(h + 24, w->run.pages);
  put64(h + 32, w->run.blocks);
  put64(h + 40, (uint64_t)w->run.oldest_ms);
  put64(h + 48, (uint64_t)w->run.newest_ms);
  put64(h + 56, sum);
  memcpy(h + 64, &w->run.slots, sizeof w->run.slots);
  put64(h + HEADER_USED, hash64(bytes_of(h, HEADER_USED)));
}

// The index and the filter, of which the sum is; then the header, which makes it a run.
static int write_tail(struct run_writer *w, struct error *err) {
  uint64_t index_bytes = whole_pages(w->run.pages * 8), filter_bytes = whole_pages(w->run.blocks * 64);
  buf_append(&w->out, w->index, index_bytes);
  buf_append(&w->out, w->filter, filter_bytes);
  uint64_t sum = hash64(bytes_of(w->out.p + w->out.n - index_bytes - filter_bytes, index_bytes + filter_bytes));
  int rc = write_out(w, err);
  if (rc) return rc;
  uint8_t h[PAGE];
  header_put(w, sum, h);
  int e = disk_write(w->fd, h, sizeof h, 0);
  if (e == 0) e = disk_sync_whole(w->fd);
  return e ? failed(w, e, err) : 0;
}

static void writer_free(struct run_writer *w) {
  close(w->fd);
  buf_deinit(&w->out);
  free(w->index);
  free(w->filter);
  free(w);
}

void run_abort(struct run_writer *w) {
  disk_unlink(w->temporary);
  writer_free(w);
}

int run_end(struct run_writer *w, struct error *err) {
  CHECK(w->run.count);
  int rc = w->run.count % PER_PAGE ? end_page(w, err) : 0;
  if (rc == 0) rc = write_tail(w, err);
  int e = rc ? 0 : disk_rename(w->temporary, w->path);
  if (rc == 0 && e == 0 && (e = disk_sync_folder(w->dir, "dedupe"))) disk_unlink(w->path);
  if (e) rc = failed(w, e, err);
  if (rc)
    run_abort(w);
  else
    writer_free(w);
  return rc;
}
