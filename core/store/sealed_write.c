// Making sealed segments, and checking one against what its own records say.
#include "base/le.h"
#include "store/disk.h"
#include "store/sealed_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/check.h"

#define READ_CHUNK (1u << 20)
#define SYNC_EVERY (4u << 20) // small syncs leave the disk to commits in between

static int must_go_on(const _Atomic bool *stop, struct error *err) {
  return stop && atomic_load(stop) ? error_set(err, ITD_ESHUTDOWN, "stopped before its end") : 0;
}

// ---- the index, made from the records ----
struct lead_block {
  uint64_t lead; // the first 8 bytes of its id, as a number that sorts as they do
  uint32_t block;
};
struct block_times {
  uint32_t raw;
  int64_t least_ms, greatest_ms;
};
struct sealed_index {
  struct block_times *block;
  uint32_t blocks, block_cap;
  struct lead_block *lead;
  size_t leads, lead_cap, lead_from; // pairs; those from lead_from on are of the open block
  uint32_t distinct;                 // after sealed_index_leads
  struct trailer_entry tip[256];
  unsigned partitions;
  uint64_t frames;
  uint32_t frames_open; // of the commit that has no trailer yet
  bool has_opening, is_closed, is_wrong;
};

struct sealed_index *sealed_index_new(void) {
  return xcalloc(1, sizeof(struct sealed_index));
}

void sealed_index_free(struct sealed_index *x) {
  if (!x) return;
  free(x->block);
  free(x->lead);
  free(x);
}

static int by_lead(const void *a, const void *b) {
  const struct lead_block *x = a, *y = b;
  if (x->lead != y->lead) return x->lead < y->lead ? -1 : 1;
  return x->block < y->block ? -1 : x->block > y->block;
}

static size_t sort_unique(struct lead_block *p, size_t n) {
  if (n < 2) return n;
  qsort(p, n, sizeof *p, by_lead);
  size_t kept = 1;
  for (size_t i = 1; i < n; i++)
    if (by_lead(&p[kept - 1], &p[i]) != 0) p[kept++] = p[i];
  return kept;
}

void sealed_index_block(struct sealed_index *x, uint32_t raw) {
  x->leads = x->lead_from + (x->lead ? sort_unique(x->lead + x->lead_from, x->leads - x->lead_from) : 0);
  x->lead_from = x->leads;
  if (x->blocks == x->block_cap)
    x->block = xrealloc(x->block, (x->block_cap = x->block_cap ? x->block_cap * 2 : 64) * sizeof *x->block);
  x->block[x->blocks++] = (struct block_times){.raw = raw, .least_ms = INT64_MAX, .greatest_ms = INT64_MIN};
}

static void index_trailer(struct sealed_index *x, const uint8_t *record) {
  struct trailer t;
  trailer_get(record, &t);
  bool opens = t.flags & TRAILER_OPENS;
  x->is_wrong |= opens == x->has_opening || t.frames != x->frames_open || (opens && t.count > 256);
  x->frames_open = 0;
  x->has_opening = true;
  x->is_closed = t.flags & TRAILER_CLOSES;
  if (opens) x->partitions = t.count;
  for (size_t i = 0; i < t.count && !x->is_wrong; i++) {
    struct trailer_entry e = trailer_entry_get(&t, i);
    if (e.partition >= x->partitions || (opens && e.partition != i))
      x->is_wrong = true;
    else
      x->tip[e.partition] = e;
  }
}

void sealed_index_record(struct sealed_index *x, const uint8_t *record) {
  static const uint8_t none[16];
  CHECK(x->blocks);
  if (record_kind(record) == FRAME_COMMIT) {
    index_trailer(x, record);
    return;
  }
  struct frame f;
  frame_get(record, &f);
  x->frames++;
  x->frames_open++;
  x->is_wrong |= !x->has_opening;
  struct block_times *b = &x->block[x->blocks - 1];
  if (f.received_ms < b->least_ms) b->least_ms = f.received_ms;
  if (f.received_ms > b->greatest_ms) b->greatest_ms = f.received_ms;
  if (memcmp(f.entity.b, none, sizeof none) == 0) return;
  if (x->leads == x->lead_cap)
    x->lead = xrealloc(x->lead, (x->lead_cap = x->lead_cap ? x->lead_cap * 2 : 1024) * sizeof *x->lead);
  uint64_t lead;
  memcpy(&lead, f.entity.b, sizeof lead);
  x->lead[x->leads++] = (struct lead_block){.lead = be64toh(lead), .block = x->blocks - 1};
}

// Whole commits, the first an opening?
static bool index_is_whole(const struct sealed_index *x) {
  return x->has_opening && !x->frames_open && !x->is_wrong && x->partitions;
}

static void put_number(struct buf *out, uint32_t v) {
  for (; v >= 0x80; v >>= 7) buf_append_u8(out, (uint8_t)(v | 0x80));
  buf_append_u8(out, (uint8_t)v);
}

void sealed_index_leads(struct sealed_index *x, struct buf *out) {
  struct buf lists;
  buf_init(&lists);
  if (x->lead) x->leads = sort_unique(x->lead, x->leads);
  x->distinct = 0;
  for (size_t i = 0; i < x->leads; i++) {
    const struct lead_block *p = &x->lead[i];
    bool is_new = i == 0 || p[-1].lead != p->lead;
    if (is_new) {
      uint64_t lead = htobe64(p->lead);
      uint8_t *e = buf_reserve(out, SEALED_LEAD_SIZE);
      memcpy(e, &lead, sizeof lead);
      put32(e + 8, (uint32_t)lists.n);
      out->n += SEALED_LEAD_SIZE;
      x->distinct++;
    }
    put_number(&lists, is_new ? p->block : p->block - p[-1].block);
  }
  buf_append_bytes(out, buf_bytes(&lists));
  buf_deinit(&lists);
}

static void index_span(const struct sealed_index *x, int64_t *least_ms, int64_t *greatest_ms) {
  *least_ms = INT64_MAX, *greatest_ms = INT64_MIN;
  for (uint32_t i = 0; i < x->blocks; i++) {
    if (x->block[i].least_ms < *least_ms) *least_ms = x->block[i].least_ms;
    if (x->block[i].greatest_ms > *greatest_ms) *greatest_ms = x->block[i].greatest_ms;
  }
}

// ---- records, from whatever bytes come ----
// Cuts a stream into the segment's header and its records, and feeds the index. What is not whole yet waits in `b`.
struct stream {
  struct buf b;
  size_t done; // of b
  uint32_t at; // raw offset of b.p[done]
  unsigned log;
  uint32_t segment;
  struct segment_header header;
  bool has_header;
};

static struct bytes stream_rest(const struct stream *s) { return bytes_of(s->b.p + s->done, s->b.n - s->done); }

static void stream_take(struct stream *s, size_t n) {
  s->done += n;
  s->at += (uint32_t)n;
}

// Room for n more bytes: what was taken makes way.
static uint8_t *stream_room(struct stream *s, size_t n) {
  buf_consume(&s->b, s->done);
  s->done = 0;
  return buf_reserve(&s->b, n);
}

static int stream_header(struct stream *s, struct error *err) {
  int rc = segment_header_get(stream_rest(s).p, &s->header, err);
  if (rc == 0 && (s->header.log != s->log || s->header.segment != s->segment))
    rc = error_set(err, ITD_ECORRUPT, "is segment %02x-%08x by its header", s->header.log, s->header.segment);
  s->has_header = rc == 0;
  return rc;
}

// The next whole piece: *n its length. *n 0: *need bytes are needed to tell; if that many are there, nothing valid begins here.
static int stream_piece(struct stream *s, size_t *n, size_t *need, struct error *err) {
  struct bytes rest = stream_rest(s);
  *n = *need = 0;
  if (s->has_header) {
    *n = record_check(rest, place_of(s->log, s->segment, s->at), need);
    return 0;
  }
  *need = SEGMENT_HEADER_SIZE;
  if (rest.n < SEGMENT_HEADER_SIZE) return 0;
  *n = SEGMENT_HEADER_SIZE;
  return stream_header(s, err);
}

// ---- writing ----
struct writer {
  int fd;
  const _Atomic bool *stop;
  uint64_t end, synced; // of the file so far
  ZSTD_CCtx *zstd;
  struct buf block, packed, index; // the open block; one zstd frame; entries of the blocks
  uint32_t block_raw;              // where the open block begins
  struct sealed_index *x;
};

static int put_out(struct writer *w, struct bytes b, struct error *err) {
  int e = disk_write(w->fd, b.p, b.n, (off_t)w->end);
  if (e) return error_set(err, disk_status(e), "%s", strerror(e));
  w->end += b.n;
  if (w->end - w->synced < SYNC_EVERY) return 0;
  w->synced = w->end;
  e = disk_sync(w->fd);
  return e ? error_set(err, disk_status(e), "%s", strerror(e)) : 0;
}

// Packs the open block.
static int flush(struct writer *w, struct error *err) {
  const size_t n = w->block.n, most = ZSTD_compressBound(n);
  buf_clear(&w->packed);
  size_t size = ZSTD_compress2(w->zstd, buf_reserve(&w->packed, most), most, w->block.p, n);
  if (ZSTD_isError(size)) return error_set(err, ITD_EINTERNAL, "zstd: %s", ZSTD_getErrorName(size));
  w->packed.n = size;
  uint8_t *e = buf_reserve(&w->index, SEALED_ENTRY_SIZE);
  put64(e, w->end);
  put32(e + 8, w->block_raw);
  put32(e + 12, crc32c(0, buf_bytes(&w->packed)));
  w->index.n += SEALED_ENTRY_SIZE; // its times are known at the end
  buf_clear(&w->block);
  w->block_raw += (uint32_t)n;
  return put_out(w, buf_bytes(&w->packed), err);
}

// A record longer than a block has one, or several, of its own.
static int add_long(struct writer *w, const uint8_t *p, size_t n, struct error *err) {
  int rc = 0;
  for (size_t k; rc == 0 && n; p += k, n -= k) {
    k = n < SEALED_BLOCK_MAX ? n : SEALED_BLOCK_MAX;
    if (!w->block.n && w->x->block[w->x->blocks - 1].raw != w->block_raw) sealed_index_block(w->x, w->block_raw);
    buf_append(&w->block, p, k);
    rc = flush(w, err);
  }
  return rc;
}

static int add_piece(struct writer *w, const uint8_t *p, size_t n, bool is_record, struct error *err) {
  int rc = 0;
  if (w->block.n && w->block.n + n > SEALED_BLOCK) rc = flush(w, err);
  if (rc) return rc;
  if (!w->block.n) sealed_index_block(w->x, w->block_raw);
  if (is_record) sealed_index_record(w->x, p);
  if (n > SEALED_BLOCK) return add_long(w, p, n, err);
  buf_append(&w->block, p, n);
  // Header and opening alone make the first block: who looks at many segments unpacks a few hundred bytes of each.
  return w->x->blocks == 1 && is_record ? flush(w, err) : 0;
}

// Takes what is whole of the stream into blocks. *is_over: no number of further bytes makes a record of what comes next.
static int add_pieces(struct writer *w, struct stream *s, bool *is_over, struct error *err) {
  for (;;) {
    size_t n, need;
    int rc = stream_piece(s, &n, &need, err);
    if (rc || !n) {
      *is_over = need <= stream_rest(s).n;
      return rc;
    }
    rc = add_piece(w, stream_rest(s).p, n, s->at != 0, err);
    if (rc) return rc;
    stream_take(s, n);
  }
}

static int must_be_zeros(const struct stream *s, struct error *err) {
  struct bytes rest = stream_rest(s);
  for (size_t i = 0; i < rest.n; i++)
    if (rest.p[i]) return error_set(err, ITD_ECORRUPT, "offset %u: no record, and not the end", s->at);
  return 0;
}

// Everything of the log as blocks. What follows the last record must be zeros.
static int put_blocks(struct writer *w, int log_fd, struct stream *s, struct error *err) {
  bool is_over = false;
  int rc = 0;
  for (uint64_t from = 0; rc == 0;) {
    size_t got = 0;
    int e = disk_read(log_fd, stream_room(s, READ_CHUNK), READ_CHUNK, (off_t)from, &got);
    if (e) return error_set(err, disk_status(e), "%s", strerror(e));
    if (!got) break;
    from += got;
    s->b.n += got;
    rc = must_go_on(w->stop, err);
    if (rc == 0 && !is_over) rc = add_pieces(w, s, &is_over, err);
    if (!is_over || rc) continue;
    rc = must_be_zeros(s, err);
    s->done = s->b.n;
  }
  if (rc == 0) rc = must_be_zeros(s, err); // the file may end in what looked like the beginning of a record
  if (rc) return rc;
  if (!index_is_whole(w->x) || w->x->partitions != s->header.partitions)
    return error_set(err, ITD_ECORRUPT, "it is not a row of whole commits");
  return w->block.n ? flush(w, err) : 0;
}

// A skippable frame around what is in `b` behind its first 8 bytes.
static void frame_up(struct buf *b, uint32_t magic) {
  put32(b->p, magic);
  put32(b->p + 4, (uint32_t)(b->n - 8));
}

static void put_times(struct buf *index, const struct sealed_index *x) {
  for (uint32_t i = 0; i < x->blocks; i++) {
    uint8_t *e = index->p + 8 + (size_t)i * SEALED_ENTRY_SIZE;
    put64(e + 16, (uint64_t)x->block[i].least_ms);
    put64(e + 24, (uint64_t)x->block[i].greatest_ms);
  }
}

static void put_tips(struct buf *out, const struct sealed_index *x) {
  for (unsigned i = 0; i < x->partitions; i++) {
    trailer_entry_put(buf_reserve(out, SEALED_TIP_SIZE), &x->tip[i]);
    out->n += SEALED_TIP_SIZE;
  }
}

static void put_footer(uint8_t f[SEALED_FOOTER_SIZE], const struct stream *s, const struct sealed_index *x) {
  int64_t least_ms, greatest_ms;
  index_span(x, &least_ms, &greatest_ms);
  memset(f, 0, SEALED_FOOTER_SIZE);
  put32(f, SEALED_MAGIC_FOOTER);
  put32(f + 4, SEALED_FOOTER_SIZE - 8);
  memcpy(f + 8, SEALED_NAME, sizeof SEALED_NAME - 1);
  put32(f + 16, SEALED_FORMAT);
  put32(f + 24, s->header.log);
  put32(f + 28, s->header.segment);
  put32(f + 32, s->header.session);
  put32(f + 36, s->header.partitions);
  put32(f + 40, s->at);
  put32(f + 44, x->blocks);
  put32(f + 48, x->distinct);
  put32(f + 52, x->is_closed ? SEALED_IS_CLOSED : 0);
  put64(f + 56, x->frames);
  put64(f + 64, (uint64_t)least_ms);
  put64(f + 72, (uint64_t)greatest_ms);
}

static int put_end(struct writer *w, const struct stream *s, struct error *err) {
  struct buf leads;
  uint8_t f[SEALED_FOOTER_SIZE];
  buf_init(&leads);
  put_times(&w->index, w->x);
  put_tips(&w->index, w->x);
  frame_up(&w->index, SEALED_MAGIC_INDEX);
  leads.n = (size_t)(buf_reserve(&leads, 8) - leads.p) + 8;
  sealed_index_leads(w->x, &leads);
  frame_up(&leads, SEALED_MAGIC_LEADS);
  put_footer(f, s, w->x);
  put64(f + 80, w->end);
  put64(f + 88, w->end + w->index.n);
  put32(f + 96, crc32c(0, buf_bytes(&w->index)));
  put32(f + 100, crc32c(0, buf_bytes(&leads)));
  put64(f + 104, w->end + w->index.n + leads.n + SEALED_FOOTER_SIZE);
  put32(f + 20, crc32c(0, bytes_of(f + 24, SEALED_FOOTER_SIZE - 24)));
  int rc = put_out(w, buf_bytes(&w->index), err);
  if (rc == 0) rc = put_out(w, buf_bytes(&leads), err);
  if (rc == 0) rc = put_out(w, bytes_of(f, sizeof f), err);
  buf_deinit(&leads);
  return rc;
}

int sealed_write(int log_fd, unsigned log, uint32_t segment, int level, int out_fd, const _Atomic bool *stop,
                 struct sealed_result *result, struct error *err) {
  struct writer w = {.fd = out_fd, .stop = stop, .zstd = ZSTD_createCCtx(), .x = sealed_index_new()};
  struct stream s = {.log = log, .segment = segment};
  CHECK(w.zstd);
  CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(w.zstd, ZSTD_c_compressionLevel, level)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(w.zstd, ZSTD_c_checksumFlag, 1)));
  w.index.n = (size_t)(buf_reserve(&w.index, 8) - w.index.p) + 8;
  int rc = put_blocks(&w, log_fd, &s, err);
  if (rc == 0) rc = put_end(&w, &s, err);
  if (rc == 0) *result = (struct sealed_result){.raw_bytes = s.at, .file_bytes = w.end};
  ZSTD_freeCCtx(w.zstd);
  sealed_index_free(w.x);
  buf_deinit(&w.block), buf_deinit(&w.packed), buf_deinit(&w.index), buf_deinit(&s.b);
  return rc;
}

// ---- checking ----
static int same_as_log(int log_fd, uint32_t offset, struct bytes block, struct buf *scratch, struct error *err) {
  buf_clear(scratch);
  int e = disk_read(log_fd, buf_reserve(scratch, block.n), block.n, offset, &scratch->n);
  if (e) return error_set(err, disk_status(e), "%s", strerror(e));
  if (bytes_eq(buf_bytes(scratch), block)) return 0;
  return error_set(err, ITD_ECORRUPT, "bytes %u to %zu of the segment are not those of the log", offset,
                   offset + block.n - 1);
}

// Takes what is whole of the stream into the index, with the blocks where they begin.
static int index_pieces(const struct sealed *s, struct stream *in, struct sealed_index *x, struct error *err) {
  for (;;) {
    size_t n, need;
    int rc = stream_piece(in, &n, &need, err);
    if (rc == 0 && !n && need <= stream_rest(in).n)
      rc = error_set(err, ITD_ECORRUPT, "at byte %u of the segment there is no record", in->at);
    if (rc || !n) return rc;
    while (x->blocks < sealed_info(s)->blocks && sealed_block(s, x->blocks).raw <= in->at)
      sealed_index_block(x, sealed_block(s, x->blocks).raw);
    if (in->at) sealed_index_record(x, stream_rest(in).p);
    stream_take(in, n);
    if (in->at == sealed_info(s)->raw_bytes) return 0;
  }
}

// All blocks, one after the other, through the records into `x`.
static int check_blocks(struct sealed *s, struct stream *in, struct sealed_index *x, int log_fd,
                        const _Atomic bool *stop, struct error *err) {
  struct sealed_cache *cache = sealed_cache_new(1);
  struct buf scratch;
  buf_init(&scratch);
  int rc = 0;
  for (uint32_t k = 0; rc == 0 && k < sealed_info(s)->blocks; k++) {
    struct bytes raw;
    rc = must_go_on(stop, err);
    if (rc == 0) rc = sealed_read_block(s, cache, k, &raw, err);
    if (rc == 0 && log_fd >= 0) rc = same_as_log(log_fd, sealed_block(s, k).raw, raw, &scratch, err);
    if (rc) break;
    memcpy(stream_room(in, raw.n), raw.p, raw.n);
    in->b.n += raw.n;
    rc = index_pieces(s, in, x, err);
    if (rc) error_prefix(err, "offset %llu", (unsigned long long)sealed_block(s, k).at);
  }
  while (x->blocks < sealed_info(s)->blocks) sealed_index_block(x, sealed_block(s, x->blocks).raw);
  sealed_cache_free(cache);
  buf_deinit(&scratch);
  return rc;
}

static int says_else(const struct sealed_info *i, uint64_t at, struct error *err, const char *what) {
  return error_set(err, ITD_ECORRUPT, "offset %llu: the %s of segment %02x-%08x says something else than its records",
                   (unsigned long long)at, what, i->log, i->segment);
}

static int check_index(struct sealed *s, struct sealed_index *x, struct error *err) {
  const struct sealed_info *i = sealed_info(s);
  for (uint32_t k = 0; k < i->blocks; k++) {
    struct sealed_block b = sealed_block(s, k);
    if (b.least_ms != x->block[k].least_ms || b.greatest_ms != x->block[k].greatest_ms)
      return says_else(i, i->index_at + 8 + (uint64_t)k * SEALED_ENTRY_SIZE, err, "index");
  }
  struct buf tips, leads;
  struct bytes stored;
  buf_init(&tips);
  buf_init(&leads);
  put_tips(&tips, x);
  sealed_index_leads(x, &leads);
  int rc = sealed_leads(s, &stored, err);
  if (rc == 0 && !bytes_eq(buf_bytes(&tips), sealed_tips(s))) rc = says_else(i, i->index_at, err, "index");
  if (rc == 0 && (!bytes_eq(buf_bytes(&leads), stored) || x->distinct != i->leads))
    rc = says_else(i, i->leads_at, err, "lead index");
  buf_deinit(&tips);
  buf_deinit(&leads);
  return rc;
}

int sealed_check(struct sealed *s, int log_fd, const _Atomic bool *stop, struct error *err) {
  const struct sealed_info *i = sealed_info(s);
  struct stream in = {.log = i->log, .segment = i->segment};
  struct sealed_index *x = sealed_index_new();
  int rc = check_blocks(s, &in, x, log_fd, stop, err);
  int64_t least_ms, greatest_ms;
  index_span(x, &least_ms, &greatest_ms);
  if (rc == 0 && (stream_rest(&in).n || in.at != i->raw_bytes || !index_is_whole(x)))
    rc = error_set(err, ITD_ECORRUPT, "it is not a row of whole commits");
  if (rc == 0 && (in.header.session != i->session || in.header.partitions != i->partitions ||
                  x->partitions != i->partitions || x->frames != i->frames || x->is_closed != i->is_closed ||
                  least_ms != i->least_ms || greatest_ms != i->greatest_ms))
    rc = says_else(i, i->file_bytes - SEALED_FOOTER_SIZE, err, "footer");
  if (rc == 0) rc = check_index(s, x, err);
  sealed_index_free(x);
  buf_deinit(&in.b);
  return rc;
}
