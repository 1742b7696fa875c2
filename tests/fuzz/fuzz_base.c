// A base from a stranger, with checksums made right so that the fuzzer comes past them: it is refused, or every read of it stays within it,
// and what is read through is found by its key.
#include "base/hash.h"
#include "base/le.h"
#include "fuzz_files.h"
#include "store/base.h"

enum { HEADER = 256, END = 64, BLOCK_HEAD = 16 };
#define NAME "bases/01-0000000000000005.base"

static void mend(struct buf *f) {
  static const uint8_t magic[] = "ITDBASE\n", end_magic[] = "ITDBEND\n";
  if (f->n < HEADER + BLOCK_HEAD + END) return;
  uint8_t *end = f->p + f->n - END;
  memcpy(f->p, magic, 8);
  put32(f->p + 8, BASE_FORMAT);
  put32(f->p + 16, 1), put64(f->p + 24, 5);
  memset(f->p + 120, 0, 32), memcpy(f->p + 120, "crc32c", 6), memcpy(f->p + 136, "sha256", 6);
  put32(f->p + 12, crc32c(0, bytes_of(f->p + 16, HEADER - 16)));
  uint64_t at = HEADER, last = f->n - END;
  while (at + BLOCK_HEAD <= last) { // blocks as far as their lengths lead
    uint32_t size = get32(f->p + at);
    if (size < BLOCK_HEAD || size > last - at) break;
    put32(f->p + at + 4, crc32c(0, bytes_of(f->p + at + 8, size - 8)));
    at += size;
  }
  memcpy(end + 56, end_magic, 8);
  put32(end + 52, 0);
  sha256_of(bytes_of(f->p, f->n - END), end + 16);
  put32(end + 48, crc32c(0, bytes_of(end, 48)));
}

struct rows {
  const struct base_info *info;
  struct base_reader *reader;
  uint64_t count, found;
};

static int see(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  struct rows *rows = context;
  struct buf again = {0};
  (void)err;
  CHECK(key.n > 0);
  rows->count++;
  if (rows->reader) {
    int rc = base_lookup(rows->reader, table, key, &again, NULL);
    CHECK(rc == 0 || rc == ITD_ENOTFOUND || rc == ITD_ECORRUPT);
    rows->found += rc == 0 && bytes_eq(buf_bytes(&again), value);
  }
  buf_deinit(&again);
  return 0;
}

static void try_file(struct bytes content) {
  const char *dir = fuzz_dir("bases");
  struct base_info *list;
  size_t count;
  struct error err = {0};
  fuzz_put(NAME, content);
  int rc = base_list(dir, &list, &count, &err);
  CHECK(rc == 0 || rc == ITD_EVERSION);
  if (rc) return;
  CHECK(count == 1 && list->head.partition == 1 && list->head.seq == 5);
  if (list->is_whole) {
    struct rows rows = {.info = list};
    rc = base_open(dir, list, &rows.reader, &err);
    CHECK(rc == 0 || rc == ITD_ECORRUPT);
    if (rc) rows.reader = NULL;
    rc = base_read(dir, list, see, &rows, &err);
    CHECK(rc == 0 || rc == ITD_ECORRUPT);
    if (rc) CHECK(base_check(dir, list, &err) == rc);
    struct buf value = {0};
    if (rows.reader) (void)!base_lookup(rows.reader, 3, BYTES_LIT("\xff\xff"), &value, &err);
    buf_deinit(&value);
    base_close(rows.reader);
  }
  CHECK(base_at(list, count, 1, 4) == NULL);
  base_list_free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n > 1 << 16) return 0;
  struct buf file = {0};
  buf_append(&file, p, n);
  try_file(buf_bytes(&file));
  mend(&file);
  try_file(buf_bytes(&file));
  buf_deinit(&file);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

// A small one to begin with.
static size_t whole_file(uint8_t *out, size_t max) {
  static struct buf made;
  if (!made.n) {
    struct base_writer *w;
    struct error err = {0};
    const struct base_head head = {.partition = 1, .partitions = 4, .seq = 5};
    CHECK(base_begin(fuzz_dir("bases"), &head, &w, &err) == 0);
    for (uint8_t i = 1; i < 30; i++)
      CHECK(base_row(w, i / 10, bytes_of(&i, 1), bytes_of(out, i % 7 < max ? i % 7 : 0), &err) == 0);
    CHECK(base_end(w, &err) == 0);
    fuzz_get(NAME, &made);
  }
  if (made.n > max) return 0;
  memcpy(out, made.p, made.n);
  return made.n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
  if (size < HEADER + END || seed % 50 == 0) {
    size_t n = whole_file(data, max);
    if (n) size = n;
  }
  return LLVMFuzzerMutate(data, size, max);
}
