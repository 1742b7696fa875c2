// A run of messageIds from a stranger, with sums made right so that the fuzzer comes past them: it is refused, or every read of it stays
// within it, and what stands in order is found.
#include "base/hash.h"
#include "base/le.h"
#include "fuzz_files.h"
#include "store/dedupe_run.h"

enum { PAGE = 4096, HEADER_USED = 136, PER_PAGE = 127, RECORD = 32 };
#define NAME "dedupe/00000007.run"

// Pages and tail as long as the header says, where they are there.
static void mend(struct buf *f) {
  static const uint8_t magic[] = "ITDSEEN\n";
  if (f->n < PAGE) return;
  memcpy(f->p, magic, 8);
  put32(f->p + 8, 1), put32(f->p + 12, 7);
  uint64_t pages = get64(f->p + 24), tail = PAGE * (1 + pages);
  if (pages < 16 && tail < f->n) {
    for (uint64_t i = 0; i < pages; i++) {
      uint8_t *page = f->p + PAGE * (1 + i);
      put64(page + PER_PAGE * RECORD, hash64_seed(bytes_of(page, PER_PAGE * RECORD), i));
    }
    put64(f->p + 56, hash64(bytes_of(f->p + tail, f->n - tail)));
  }
  put64(f->p + HEADER_USED, hash64(bytes_of(f->p, HEADER_USED)));
}

static void try_file(struct bytes content) {
  struct dedupe_run *run;
  struct run_cursor c;
  struct dedupe_record r, found, last = {0};
  struct error err = {0};
  fuzz_put(NAME, content);
  int rc = run_open(fuzz_dir("dedupe"), 7, &run, &err);
  CHECK(rc == 0 || (rc == ITD_ECORRUPT && err.text[0]));
  if (rc) return;
  uint64_t count = 0;
  bool is_sorted = true;
  run_cursor_init(&c, run);
  while ((rc = run_next(&c, &r, &err)) > 0) {
    is_sorted = is_sorted && (count == 0 || dedupe_order(last.message, r.message) < 0);
    last = r;
    count++;
    int at = run_find(run, r.message, &found, &err);
    CHECK(at == 0 || at == ITD_ECORRUPT || (at == 1 && hash128_eq(found.message, r.message)));
    (void)run_may_hold(run_block(run, r.message), r.message);
  }
  CHECK(rc == 0 ? count == run->count : rc == ITD_ECORRUPT);
  CHECK(!is_sorted || rc || run_find(run, (struct hash128){1, 2}, &found, &err) <= 1);
  run_release(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n > 1 << 17) return 0;
  struct buf file = {0};
  buf_append(&file, p, n);
  fuzz_dir("dedupe");
  try_file(buf_bytes(&file));
  mend(&file);
  try_file(buf_bytes(&file));
  buf_deinit(&file);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

// One of two pages to begin with.
static size_t whole_file(uint8_t *out, size_t max) {
  static struct buf made;
  if (!made.n) {
    struct run_writer *w;
    struct error err = {0};
    struct slots slots = {0};
    slots_add(&slots, 3);
    CHECK(run_begin(fuzz_dir("dedupe"), 7, &slots, 130, &w, &err) == 0);
    for (uint64_t i = 1; i <= 130; i++) {
      const struct dedupe_record r = {
          .message = {.hi = i << 8 | 3, .lo = i << 56}, .place = i, .received_ms = (int64_t)i};
      CHECK(run_add(w, &r, &err) == 0);
    }
    CHECK(run_end(w, &err) == 0);
    fuzz_get(NAME, &made);
  }
  if (made.n > max) return 0;
  memcpy(out, made.p, made.n);
  return made.n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
  if (size < PAGE || seed % 50 == 0) {
    size_t n = whole_file(data, max);
    if (n) size = n;
  }
  if (seed % 5 == 0 && size > 64) { // the header's own numbers
    (void)!LLVMFuzzerMutate(data + 16, 48, 48);
    return size;
  }
  return LLVMFuzzerMutate(data, size, max);
}
