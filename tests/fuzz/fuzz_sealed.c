// A sealed segment from a stranger, with checksums made right so that the fuzzer comes past them: it is refused, or every read of it stays within
// it and says the same again.
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/le.h"
#include "fuzz.h"
#include "store/sealed.h"

// Where the footer is and what it says of the other two frames, as far as that lies within the file.
static void mend(struct buf *file) {
  if (file->n < SEALED_FOOTER_SIZE) return;
  uint8_t *f = file->p + file->n - SEALED_FOOTER_SIZE;
  uint64_t end = file->n - SEALED_FOOTER_SIZE, index = get64(f + 80), leads = get64(f + 88);
  put32(f, 0x184d2a5f), put32(f + 4, SEALED_FOOTER_SIZE - 8);
  memcpy(f + 8, "ITDSEAL\n", 8);
  put32(f + 16, SEALED_FORMAT);
  put64(f + 104, file->n);
  put64(f + 112, 0), put64(f + 120, 0);
  if (index < leads && leads < end) {
    put32(f + 96, crc32c(0, bytes_of(file->p + index, leads - index)));
    put32(f + 100, crc32c(0, bytes_of(file->p + leads, end - leads)));
    uint32_t blocks = get32(f + 44); // and those of the blocks
    for (uint64_t i = 0, at; i < blocks && index + 8 + (i + 1) * SEALED_ENTRY_SIZE <= leads; i++) {
      uint8_t *e = file->p + index + 8 + i * SEALED_ENTRY_SIZE;
      uint64_t to =
          i + 1 < blocks && index + 8 + (i + 2) * SEALED_ENTRY_SIZE <= leads ? get64(e + SEALED_ENTRY_SIZE) : index;
      if ((at = get64(e)) < to && to <= index) put32(e + 12, crc32c(0, bytes_of(file->p + at, to - at)));
    }
    put32(f + 96, crc32c(0, bytes_of(file->p + index, leads - index)));
  }
  put32(f + 20, crc32c(0, bytes_of(f + 24, SEALED_FOOTER_SIZE - 24)));
}

static void read_all(struct sealed *s) {
  const struct sealed_info *i = sealed_info(s);
  struct sealed_cache *cache = sealed_cache_new(2);
  uint64_t raw = 0;
  for (uint32_t k = 0; k < i->blocks; k++) {
    struct bytes block;
    CHECK(sealed_block(s, k).raw == raw && sealed_block_at(s, (uint32_t)raw) == k);
    raw += sealed_block_size(s, k);
    CHECK(sealed_block_at(s, (uint32_t)raw - 1) == k);
    if (sealed_read_block(s, cache, k, &block, NULL) == 0) CHECK(block.n == sealed_block_size(s, k));
  }
  CHECK(raw == i->raw_bytes);
  for (unsigned p = 0; p < i->partitions; p++) sealed_tip(s, p);
  struct lead_id lead = {.b = {(uint8_t)i->leads, 1, 2}};
  uint32_t *blocks, count;
  if (sealed_blocks_of(s, lead, &blocks, &count, NULL) == 0) {
    for (uint32_t k = 0; k < count; k++) CHECK(blocks[k] < i->blocks && (k == 0 || blocks[k] > blocks[k - 1]));
    free(blocks);
  }
  sealed_cache_free(cache);
}

static void try_file(struct bytes b) {
  int fd = memfd_create("sealed", MFD_CLOEXEC);
  CHECK(fd >= 0 && pwrite(fd, b.p, b.n, 0) == (ssize_t)b.n);
  struct sealed *s;
  struct error err = {0};
  int rc = sealed_open_fd(fd, &s, &err);
  if (rc) {
    CHECK((rc == ITD_ECORRUPT || rc == ITD_EVERSION) && err.code == rc && err.text[0]);
    return;
  }
  read_all(s);
  err = (struct error){0};
  rc = sealed_check(s, -1, NULL, &err);
  CHECK(rc == 0 || ((rc == ITD_ECORRUPT || rc == ITD_EVERSION) && err.text[0]));
  CHECK(sealed_check(s, -1, NULL, NULL) == rc);
  sealed_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n > 1u << 20) return 0;
  struct buf file = fuzz_exact(bytes_of(p, n));
  try_file(buf_bytes(&file));
  mend(&file);
  try_file(buf_bytes(&file));
  buf_deinit(&file);
  return 0;
}

// A small sealed segment to begin with: a journal's opening and some frames.
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
static size_t whole_file(uint8_t *out, size_t max) {
  static uint8_t made[1 << 16];
  static size_t made_n;
  if (!made_n) {
    struct buf log;
    buf_init(&log);
    segment_header_put(buf_reserve(&log, SEGMENT_HEADER_SIZE),
                       &(struct segment_header){.segment = 1, .session = 1, .partitions = 1, .bytes = 1 << 20});
    log.n = SEGMENT_HEADER_SIZE;
    size_t at = log.n;
    uint8_t *t = buf_reserve(&log, trailer_size(1));
    struct trailer_entry e = {.flags = ENTRY_OWNED, .epoch = 1};
    trailer_entry_put(t + TRAILER_HEADER_SIZE, &e);
    trailer_put(t, &(struct trailer){.flags = TRAILER_OPENS, .count = 1, .synced = SEGMENT_HEADER_SIZE},
                place_of(0, 1, (uint32_t)at));
    log.n += trailer_size(1);
    for (uint64_t i = 1; i <= 40; i++) {
      uint8_t body[300] = {(uint8_t)i};
      struct frame f = {
          .kind = FRAME_EVENT, .epoch = 1, .seq = i, .received_ms = (int64_t)i, .event = bytes_of(body, sizeof body)};
      f.entity.b[0] = (uint8_t)(1 + i % 5);
      size_t k = frame_size(&f);
      frame_put(buf_reserve(&log, k), k, &f, place_of(0, 1, (uint32_t)log.n));
      log.n += k;
    }
    at = log.n;
    t = buf_reserve(&log, trailer_size(1));
    e.seq = 40;
    trailer_entry_put(t + TRAILER_HEADER_SIZE, &e);
    trailer_put(t, &(struct trailer){.count = 1, .frames = 40, .synced = SEGMENT_HEADER_SIZE},
                place_of(0, 1, (uint32_t)at));
    log.n += trailer_size(1);
    int in = memfd_create("log", MFD_CLOEXEC), to = memfd_create("seg", MFD_CLOEXEC);
    struct sealed_result r;
    struct error err = {0};
    CHECK(pwrite(in, log.p, log.n, 0) == (ssize_t)log.n);
    CHECK(sealed_write(in, 0, 1, 1, to, NULL, &r, &err) == 0 && r.file_bytes <= sizeof made);
    CHECK(pread(to, made, sizeof made, 0) == (ssize_t)r.file_bytes);
    made_n = r.file_bytes;
    close(in), close(to);
    buf_deinit(&log);
  }
  if (made_n > max) return 0;
  memcpy(out, made, made_n);
  return made_n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
  if (size < SEALED_FOOTER_SIZE + 100 || seed % 50 == 0) {
    size_t n = whole_file(data, max);
    if (n) size = n;
  }
  return LLVMFuzzerMutate(data, size, max);
}
