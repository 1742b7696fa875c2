// Reading sealed segments: the footer and the index are judged when one is opened, a block and the lead index when they are read.
#include "store/sealed.h"
#include "base/le.h"
#include "store/disk.h"
#include "store/formats.h"
#include "store/sealed_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/check.h"

struct sealed {
  int fd;
  uint64_t id; // of this opening, for caches
  struct sealed_info info;
  uint32_t leads_crc;
  uint8_t *index;   // payload: entries of the blocks, then those of the partitions
  struct buf leads; // payload, once it was read
};

void sealed_path(char out[SEGMENT_PATH_MAX], const char *dir, unsigned log, uint32_t segment) {
  int n = snprintf(out, SEGMENT_PATH_MAX, "%s/journal/%02x-%08x.seg", dir, log, segment);
  CHECK(n > 0 && n < SEGMENT_PATH_MAX);
}

static int read_at(int fd, void *out, size_t n, uint64_t at, struct error *err) {
  size_t got = 0;
  int e = disk_read(fd, out, n, (off_t)at, &got);
  if (e) return error_set(err, disk_status(e), "offset %llu: %s", (unsigned long long)at, strerror(e));
  if (got < n) return error_set(err, ITD_ECORRUPT, "offset %llu: the file ends there", (unsigned long long)(at + got));
  return 0;
}

static int bad(uint64_t at, struct error *err, const char *what) {
  return error_set(err, ITD_ECORRUPT, "offset %llu: %s", (unsigned long long)at, what);
}

// ---- opening ----
static int read_footer(struct sealed *s, uint8_t f[SEALED_FOOTER_SIZE], struct error *err) {
  struct stat st;
  if (fstat(s->fd, &st)) return error_set(err, ITD_EIO, "%s", strerror(errno));
  if (st.st_size < (off_t)SEALED_FOOTER_SIZE) return bad(0, err, "too short for a sealed segment");
  uint64_t at = (uint64_t)st.st_size - SEALED_FOOTER_SIZE;
  int rc = read_at(s->fd, f, SEALED_FOOTER_SIZE, at, err);
  if (rc) return rc;
  if (get32(f) != SEALED_MAGIC_FOOTER || get32(f + 4) != SEALED_FOOTER_SIZE - 8 ||
      memcmp(f + 8, SEALED_NAME, sizeof SEALED_NAME - 1) != 0)
    return bad(at, err, "the footer of the sealed segment is cut or damaged");
  if (get32(f + 16) != SEALED_FORMAT) return format_refuse(err, "a sealed segment", get32(f + 16), SEALED_FORMAT);
  if (get32(f + 20) != crc32c(0, bytes_of(f + 24, SEALED_FOOTER_SIZE - 24)))
    return bad(at, err, "the checksum of the sealed segment's footer does not hold");
  s->info = (struct sealed_info){.log = get32(f + 24),
                                 .segment = get32(f + 28),
                                 .session = get32(f + 32),
                                 .partitions = get32(f + 36),
                                 .raw_bytes = get32(f + 40),
                                 .blocks = get32(f + 44),
                                 .leads = get32(f + 48),
                                 .is_closed = get32(f + 52) & SEALED_IS_CLOSED,
                                 .frames = get64(f + 56),
                                 .least_ms = (int64_t)get64(f + 64),
                                 .greatest_ms = (int64_t)get64(f + 72),
                                 .index_at = get64(f + 80),
                                 .leads_at = get64(f + 88),
                                 .file_bytes = get64(f + 104)};
  s->leads_crc = get32(f + 100);
  const struct sealed_info *i = &s->info;
  uint64_t index = 8 + (uint64_t)i->blocks * SEALED_ENTRY_SIZE + (uint64_t)i->partitions * SEALED_TIP_SIZE;
  bool holds = i->file_bytes == (uint64_t)st.st_size && i->partitions >= 1 && i->partitions <= 256 && i->log < 256 &&
               i->segment >= 1 && i->segment <= SEGMENT_NUMBER_MAX && i->raw_bytes > SEGMENT_HEADER_SIZE &&
               i->blocks >= 1 && i->index_at < at && index <= at - i->index_at && i->leads_at == i->index_at + index &&
               at - i->leads_at >= 8 + (uint64_t)i->leads * SEALED_LEAD_SIZE && at - i->leads_at - 8 <= UINT32_MAX &&
               get32(f + 52) <= SEALED_IS_CLOSED && !get64(f + 112) && !get64(f + 120);
  return holds ? 0 : bad(at, err, "the footer of the sealed segment contradicts itself or the file's length");
}

static bool frame_head_holds(const uint8_t *head, uint32_t magic, uint64_t size) {
  return get32(head) == magic && get32(head + 4) == size - 8;
}

static int read_index(struct sealed *s, uint32_t crc, struct error *err) {
  const struct sealed_info *i = &s->info;
  size_t n = (size_t)(i->leads_at - i->index_at);
  uint8_t *b = xmalloc(n);
  int rc = read_at(s->fd, b, n, i->index_at, err);
  if (rc == 0 && crc32c(0, bytes_of(b, n)) != crc)
    rc = bad(i->index_at, err, "the checksum of the index does not hold");
  if (rc == 0 && !frame_head_holds(b, SEALED_MAGIC_INDEX, n)) rc = bad(i->index_at, err, "the index is none");
  if (rc) {
    free(b);
    return rc;
  }
  memmove(b, b + 8, n - 8);
  s->index = b;
  for (uint32_t k = 0; k < i->blocks; k++) {
    struct sealed_block e = sealed_block(s, k);
    uint64_t next = k + 1 < i->blocks ? sealed_block(s, k + 1).at : i->index_at;
    uint32_t end = k + 1 < i->blocks ? sealed_block(s, k + 1).raw : i->raw_bytes;
    if ((k == 0 && (e.at || e.raw)) || next <= e.at || next - e.at > SEALED_FRAME_MAX || end <= e.raw ||
        end - e.raw > SEALED_BLOCK_MAX)
      return bad(i->index_at + 8 + (uint64_t)k * SEALED_ENTRY_SIZE, err, "the index has a block that cannot be");
  }
  return 0;
}

int sealed_open_fd(int fd, struct sealed **out, struct error *err) {
  static _Atomic uint64_t last_id;
  struct sealed *s = xcalloc(1, sizeof *s);
  uint8_t footer[SEALED_FOOTER_SIZE];
  s->fd = fd;
  s->id = ++last_id;
  int rc = read_footer(s, footer, err);
  if (rc == 0) rc = read_index(s, get32(footer + 96), err);
  if (rc)
    sealed_close(s);
  else
    *out = s;
  return rc;
}

int sealed_open(const char *path, struct sealed **out, struct error *err) {
  int fd, e = disk_open(path, O_RDONLY, &fd);
  if (e) return error_set(err, e == ENOENT ? ITD_ENOTFOUND : disk_status(e), "%s: %s", path, strerror(e));
  int rc = sealed_open_fd(fd, out, err);
  if (rc) error_prefix(err, "%s", path);
  return rc;
}

void sealed_close(struct sealed *s) {
  if (!s) return;
  close(s->fd);
  free(s->index);
  buf_deinit(&s->leads);
  free(s);
}

// ---- what the index says ----
const struct sealed_info *sealed_info(const struct sealed *s) { return &s->info; }

struct sealed_block sealed_block(const struct sealed *s, uint32_t block) {
  CHECK(block < s->info.blocks);
  const uint8_t *p = s->index + (size_t)block * SEALED_ENTRY_SIZE;
  return (struct sealed_block){.at = get64(p),
                               .raw = get32(p + 8),
                               .crc = get32(p + 12),
                               .least_ms = (int64_t)get64(p + 16),
                               .greatest_ms = (int64_t)get64(p + 24)};
}

uint32_t sealed_block_size(const struct sealed *s, uint32_t block) {
  uint32_t end = block + 1 < s->info.blocks ? sealed_block(s, block + 1).raw : s->info.raw_bytes;
  return end - sealed_block(s, block).raw;
}

uint32_t sealed_block_at(const struct sealed *s, uint32_t offset) {
  CHECK(offset < s->info.raw_bytes);
  uint32_t low = 0, high = s->info.blocks; // raw(low) <= offset < raw(high)
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (sealed_block(s, middle).raw <= offset)
      low = middle;
    else
      high = middle;
  }
  return low;
}

struct bytes sealed_tips(const struct sealed *s) {
  return bytes_of(s->index + (size_t)s->info.blocks * SEALED_ENTRY_SIZE, s->info.partitions * SEALED_TIP_SIZE);
}

struct journal_tip sealed_tip(const struct sealed *s, unsigned partition) {
  CHECK(partition < s->info.partitions);
  struct trailer as_entries = {.count = (uint16_t)s->info.partitions, .entry = sealed_tips(s).p};
  struct trailer_entry e = trailer_entry_get(&as_entries, partition);
  struct journal_tip tip = {.seq = e.seq};
  memcpy(tip.chain, e.chain, CHAIN_SIZE);
  return tip;
}

int sealed_leads(struct sealed *s, struct bytes *payload, struct error *err) {
  const struct sealed_info *i = &s->info;
  size_t n = (size_t)(i->file_bytes - SEALED_FOOTER_SIZE - i->leads_at);
  if (!s->leads.n) {
    struct buf b;
    buf_init(&b);
    int rc = read_at(s->fd, buf_reserve(&b, n), n, i->leads_at, err);
    b.n = n;
    if (rc == 0 && crc32c(0, buf_bytes(&b)) != s->leads_crc)
      rc = bad(i->leads_at, err, "the checksum of the lead index does not hold");
    if (rc == 0 && !frame_head_holds(b.p, SEALED_MAGIC_LEADS, n)) rc = bad(i->leads_at, err, "the lead index is none");
    if (rc) {
      buf_deinit(&b);
      return rc;
    }
    s->leads = b;
  }
  *payload = bytes_of(s->leads.p + 8, s->leads.n - 8);
  return 0;
}

// A number of 7 bits a byte, the lowest first. False: it does not end, or is no u32.
static bool take_number(struct bytes *in, uint32_t *out) {
  uint64_t v = 0;
  for (unsigned shift = 0; shift < 35 && in->n; shift += 7) {
    uint8_t byte = *in->p;
    *in = bytes_of(in->p + 1, in->n - 1);
    v |= (uint64_t)(byte & 0x7f) << shift;
    if (byte & 0x80) continue;
    *out = (uint32_t)v;
    return v <= UINT32_MAX;
  }
  return false;
}

int sealed_blocks_of(struct sealed *s, struct lead_id lead, uint32_t **blocks, uint32_t *count, struct error *err) {
  struct bytes p;
  int rc = sealed_leads(s, &p, err);
  if (rc) return rc;
  const uint32_t leads = s->info.leads;
  uint32_t low = 0, high = leads;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (memcmp(p.p + (size_t)middle * SEALED_LEAD_SIZE, lead.b, 8) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *blocks = NULL, *count = 0;
  const uint8_t *e = p.p + (size_t)low * SEALED_LEAD_SIZE;
  if (low == leads || memcmp(e, lead.b, 8) != 0) return 0;
  uint64_t lists = (uint64_t)leads * SEALED_LEAD_SIZE;
  uint64_t from = lists + get32(e + 8), to = low + 1 < leads ? lists + get32(e + SEALED_LEAD_SIZE + 8) : p.n;
  struct bytes list = from <= to && to <= p.n ? bytes_of(p.p + from, to - from) : bytes_of(NULL, 0);
  uint32_t *found = xmalloc((list.n + 1) * sizeof *found), n = 0;
  bool holds = list.n != 0;
  for (uint64_t block = 0; holds && list.n;) {
    uint32_t step;
    holds = take_number(&list, &step) && (n == 0 || step > 0) && (block += step) < s->info.blocks;
    if (holds) found[n++] = (uint32_t)block;
  }
  if (!holds) {
    free(found);
    return bad(s->info.leads_at, err, "the lead index has a list that cannot be");
  }
  *blocks = found, *count = n;
  return 0;
}

// ---- blocks in clear ----
struct cached {
  uint64_t id; // of the sealed segment; 0: free
  uint32_t block;
  uint64_t used;
  struct buf raw;
};
struct sealed_cache {
  ZSTD_DCtx *zstd;
  struct buf frame;
  uint64_t clock;
  unsigned count;
  struct cached cached[];
};

struct sealed_cache *sealed_cache_new(unsigned blocks) {
  CHECK(blocks);
  struct sealed_cache *c = xcalloc(1, sizeof *c + blocks * sizeof *c->cached);
  c->count = blocks;
  return c;
}

void sealed_cache_free(struct sealed_cache *c) {
  if (!c) return;
  for (unsigned i = 0; i < c->count; i++) buf_deinit(&c->cached[i].raw);
  buf_deinit(&c->frame);
  ZSTD_freeDCtx(c->zstd);
  free(c);
}

static int unpack(const struct sealed *s, struct sealed_cache *c, uint32_t block, struct buf *out, struct error *err) {
  struct sealed_block e = sealed_block(s, block);
  uint64_t end = block + 1 < s->info.blocks ? sealed_block(s, block + 1).at : s->info.index_at;
  size_t n = (size_t)(end - e.at), size = sealed_block_size(s, block);
  buf_clear(&c->frame);
  int rc = read_at(s->fd, buf_reserve(&c->frame, n), n, e.at, err);
  if (rc) return rc;
  const uint8_t *frame = c->frame.p;
  if (crc32c(0, bytes_of(frame, n)) != e.crc)
    return error_set(err, ITD_ECORRUPT,
                     "offset %llu: the checksum of block %u (bytes %u to %u of the segment) does not hold",
                     (unsigned long long)e.at, block, e.raw, e.raw + (uint32_t)size - 1);
  if (!c->zstd) CHECK(c->zstd = ZSTD_createDCtx());
  buf_clear(out);
  bool holds = ZSTD_findFrameCompressedSize(frame, n) == n && ZSTD_getFrameContentSize(frame, n) == size &&
               ZSTD_decompressDCtx(c->zstd, buf_reserve(out, size), size, frame, n) == size;
  if (!holds)
    return error_set(err, ITD_ECORRUPT, "offset %llu: block %u is no zstd frame of %zu bytes", (unsigned long long)e.at,
                     block, size);
  out->n = size;
  return 0;
}

int sealed_read_block(const struct sealed *s, struct sealed_cache *c, uint32_t block, struct bytes *out,
                      struct error *err) {
  CHECK(block < s->info.blocks);
  struct cached *to = &c->cached[0];
  for (unsigned i = 0; i < c->count; i++) {
    struct cached *k = &c->cached[i];
    if (k->id == s->id && k->block == block) {
      k->used = ++c->clock;
      *out = buf_bytes(&k->raw);
      return 0;
    }
    if (k->used < to->used) to = k;
  }
  to->id = 0;
  to->used = 0;
  int rc = unpack(s, c, block, &to->raw, err);
  if (rc) return rc;
  to->id = s->id, to->block = block, to->used = ++c->clock;
  *out = buf_bytes(&to->raw);
  return 0;
}
