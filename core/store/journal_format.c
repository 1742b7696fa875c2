// Layout of the journal: encoding and judging of segment headers, frames and trailers. See docs/journal.md for the same
// as tables.
#include "store/journal_format.h"
#include "base/le.h"
#include "store/formats.h"

#include <stdio.h>

#include "base/check.h"

// ---- segment header ----
static const uint8_t MAGIC[8] = {'I', 'T', 'D', 'J', 'R', 'N', 'L', '\n'};
#define CHECKSUM_NAME "crc32c"
#define CHAIN_NAME    "sha256"
#define SEAL_NAMES    "aes-256-gcm xchacha20-poly1305"

void segment_header_put(uint8_t out[SEGMENT_HEADER_SIZE], const struct segment_header *header) {
  memset(out, 0, SEGMENT_HEADER_SIZE);
  memcpy(out, MAGIC, sizeof MAGIC);
  put32(out + 8, JOURNAL_FORMAT);
  put32(out + 16, header->log);
  put32(out + 20, header->segment);
  put64(out + 24, (uint64_t)header->created_ms);
  put32(out + 32, header->session);
  put32(out + 36, header->partitions);
  put64(out + 40, header->bytes);
  memcpy(out + 48, CHECKSUM_NAME, sizeof CHECKSUM_NAME - 1);
  memcpy(out + 64, CHAIN_NAME, sizeof CHAIN_NAME - 1);
  memcpy(out + 80, SEAL_NAMES, sizeof SEAL_NAMES - 1);
  put32(out + 12, crc32c(0, bytes_of(out + 16, SEGMENT_HEADER_SIZE - 16)));
}

int segment_header_get(const uint8_t in[SEGMENT_HEADER_SIZE], struct segment_header *header, struct error *err) {
  if (memcmp(in, MAGIC, sizeof MAGIC) != 0)
    return error_set(err, ITD_ECORRUPT, "does not begin like a journal segment");
  if (get32(in + 8) != JOURNAL_FORMAT)
    return format_refuse(err, "a segment of the journal", get32(in + 8), JOURNAL_FORMAT);
  if (get32(in + 12) != crc32c(0, bytes_of(in + 16, SEGMENT_HEADER_SIZE - 16)))
    return error_set(err, ITD_ECORRUPT, "checksum of the segment header does not hold");
  if (strncmp((const char *)in + 48, CHECKSUM_NAME, 16) != 0 || strncmp((const char *)in + 64, CHAIN_NAME, 16) != 0)
    return error_set(err, ITD_EVERSION, "written with algorithms that this program does not know");
  *header = (struct segment_header){.log = get32(in + 16),
                                    .segment = get32(in + 20),
                                    .created_ms = (int64_t)get64(in + 24),
                                    .session = get32(in + 32),
                                    .partitions = get32(in + 36),
                                    .bytes = get64(in + 40)};
  return 0;
}

void segment_path(char out[SEGMENT_PATH_MAX], const char *dir, unsigned log, uint32_t segment) {
  int n = snprintf(out, SEGMENT_PATH_MAX, "%s/journal/%02x-%08x.log", dir, log, segment);
  CHECK(n > 0 && n < SEGMENT_PATH_MAX);
}

// ---- another number of partitions ----
void journal_boundary_of(unsigned before, const struct journal_tip *tips, unsigned after,
                         struct journal_boundary *out) {
  static const char domain[] = "intentd reshard";
  uint8_t b[8 + SHA256_SIZE];
  struct sha256 *hash = sha256_new();
  *out = (struct journal_boundary){.before = before};
  sha256_begin(hash);
  sha256_add(hash, bytes_of(domain, sizeof domain)); // its zero too
  put32(b, before);
  put32(b + 4, after);
  sha256_add(hash, bytes_of(b, 8));
  for (unsigned p = 0; p < before; p++) {
    put64(b, tips[p].seq);
    memcpy(b + 8, tips[p].chain, SHA256_SIZE);
    sha256_add(hash, bytes_of(b, sizeof b));
    if (tips[p].seq > out->seq) out->seq = tips[p].seq;
  }
  out->seq++;
  sha256_end(hash, out->chain);
  sha256_free(hash);
}

// ---- frames ----
// Every record: length u32, crc u32, format u8, kind u8, flags u16, count or partition u16, workspace u16, place u64.
static void seal(uint8_t *out, size_t size, uint8_t kind, uint64_t place) {
  put32(out, (uint32_t)size);
  out[8] = JOURNAL_FORMAT;
  out[9] = kind;
  put64(out + 16, place);
  put32(out + 4, crc32c(0, bytes_of(out + 8, size - 8)));
}

void frame_sections(struct frame *f, struct bytes *out[FRAME_SECTIONS]) {
  struct bytes *const all[FRAME_SECTIONS] = {&f->event,    &f->secret,   &f->shared, &f->effects,
                                             &f->messages, &f->decision, &f->cause,  &f->inputs};
  memcpy(out, all, sizeof all);
}

size_t frame_size(const struct frame *frame) {
  struct frame views = *frame;
  struct bytes *section[FRAME_SECTIONS];
  frame_sections(&views, section);
  size_t n = FRAME_HEADER_SIZE;
  for (int i = 0; i < FRAME_SECTIONS; i++) n += section[i]->n;
  return align8(n);
}

void frame_put(uint8_t *out, size_t size, const struct frame *frame, uint64_t place) {
  put16(out + 10, frame->entity_kind);
  put16(out + 12, frame->partition);
  put16(out + 14, frame->workspace);
  put32(out + 24, frame->epoch);
  put32(out + 28, frame->number);
  put64(out + 32, frame->seq);
  memcpy(out + 40, frame->entity.b, 16);
  put64(out + 56, (uint64_t)frame->now_ms);
  put64(out + 64, (uint64_t)frame->received_ms);
  put32(out + 72, frame->signals);
  put32(out + 76, frame->models);
  put32(out + 80, frame->policy);
  put32(out + 84, frame->semantics);
  put64(out + 88, frame->previous);
  put64(out + 96, frame->from_n);
  put64(out + 104, frame->from);
  put16(out + 106, frame->switched);
  put64(out + 112, frame->message.hi);
  put64(out + 120, frame->message.lo);
  put64(out + 128, frame->digest);
  put64(out + 136, frame->hash);
  struct frame views = *frame;
  struct bytes *section[FRAME_SECTIONS];
  frame_sections(&views, section);
  uint8_t *to = out + FRAME_HEADER_SIZE;
  for (int i = 0; i < FRAME_SECTIONS; i++) {
    const struct bytes *s = section[i];
    put32(out + 144 + 4 * i, (uint32_t)s->n);
    if (s->n) memcpy(to, s->p, s->n);
    to += s->n;
  }
  memset(to, 0, (size_t)(out + size - to));
  seal(out, size, frame->kind, place);
}

void frame_get(const uint8_t *record, struct frame *frame) {
  *frame = (struct frame){.kind = record[9],
                          .partition = get16(record + 12),
                          .workspace = get16(record + 14),
                          .entity_kind = get16(record + 10),
                          .epoch = get32(record + 24),
                          .number = get32(record + 28),
                          .seq = get64(record + 32),
                          .now_ms = (int64_t)get64(record + 56),
                          .received_ms = (int64_t)get64(record + 64),
                          .signals = get32(record + 72),
                          .models = get32(record + 76),
                          .policy = get32(record + 80),
                          .semantics = get32(record + 84),
                          .previous = get64(record + 88),
                          .from_n = get64(record + 96),
                          .from = get16(record + 104),
                          .switched = get16(record + 106),
                          .message = {get64(record + 112), get64(record + 120)},
                          .digest = get64(record + 128),
                          .hash = get64(record + 136)};
  memcpy(frame->entity.b, record + 40, 16);
  const uint8_t *from = record + FRAME_HEADER_SIZE;
  struct bytes *section[FRAME_SECTIONS];
  frame_sections(frame, section);
  for (int i = 0; i < FRAME_SECTIONS; i++) {
    size_t n = get32(record + 144 + 4 * i);
    *section[i] = bytes_of(from, n);
    from += n;
  }
}

// ---- trailers ----
void trailer_put(uint8_t *out, const struct trailer *trailer, uint64_t place) {
  put16(out + 10, trailer->flags);
  put16(out + 12, trailer->count);
  put16(out + 14, 0);
  put32(out + 24, trailer->frames);
  put32(out + 28, trailer->synced);
  put64(out + 32, (uint64_t)trailer->received_ms);
  put64(out + 40, 0);
  seal(out, trailer_size(trailer->count), FRAME_COMMIT, place);
}

void trailer_entry_put(uint8_t *out, const struct trailer_entry *entry) {
  put16(out, entry->partition);
  put16(out + 2, entry->flags);
  put32(out + 4, entry->epoch);
  put64(out + 8, entry->seq);
  memcpy(out + 16, entry->chain, CHAIN_SIZE);
}

void trailer_get(const uint8_t *record, struct trailer *trailer) {
  *trailer = (struct trailer){.flags = get16(record + 10),
                              .count = get16(record + 12),
                              .frames = get32(record + 24),
                              .synced = get32(record + 28),
                              .received_ms = (int64_t)get64(record + 32),
                              .entry = record + TRAILER_HEADER_SIZE};
}

struct trailer_entry trailer_entry_get(const struct trailer *trailer, size_t index) {
  CHECK(index < trailer->count);
  const uint8_t *p = trailer->entry + index * TRAILER_ENTRY_SIZE;
  struct trailer_entry e = {.partition = get16(p), .flags = get16(p + 2), .epoch = get32(p + 4), .seq = get64(p + 8)};
  memcpy(e.chain, p + 16, CHAIN_SIZE);
  return e;
}

// ---- judging ----
// The lengths inside a record must give its length, whatever the checksum says: views are made from them.
static bool lengths_hold(const uint8_t *record, size_t size) {
  if (record_kind(record) == FRAME_COMMIT) return size == trailer_size(get16(record + 12));
  if (size < FRAME_HEADER_SIZE) return false;
  size_t n = FRAME_HEADER_SIZE;
  for (int i = 0; i < FRAME_SECTIONS; i++) n += get32(record + 144 + 4 * i);
  return align8(n) == size;
}

size_t record_check(struct bytes in, uint64_t place, size_t *need) {
  *need = 0;
  if (in.n < TRAILER_HEADER_SIZE) {
    *need = TRAILER_HEADER_SIZE;
    return 0;
  }
  size_t size = get32(in.p);
  uint8_t kind = record_kind(in.p);
  if (size < TRAILER_HEADER_SIZE || size % 8 || size > SEGMENT_BYTES_MAX - place_offset(place) ||
      in.p[8] != JOURNAL_FORMAT || kind < FRAME_EVENT || kind >= FRAME_KIND_END || get64(in.p + 16) != place)
    return 0;
  if (in.n < size) {
    *need = size;
    return 0;
  }
  if (!lengths_hold(in.p, size) || get32(in.p + 4) != crc32c(0, bytes_of(in.p + 8, size - 8))) return 0;
  return size;
}

const char *frame_kind_name(unsigned kind) {
  static const char *const names[FRAME_KIND_END] = {NULL,      "event",  "timer",   "stopped", "release", "commit",
                                                    "refused", "forget", "message", "merge",   "fill",    "grant"};
  return kind < FRAME_KIND_END && names[kind] ? names[kind] : "unknown";
}

void record_claims(struct bytes in, uint64_t place, char *out, size_t size) {
  *out = 0;
  if (in.n < TRAILER_HEADER_SIZE || get64(in.p + 16) != place) return;
  unsigned kind = record_kind(in.p);
  if (kind == FRAME_COMMIT)
    snprintf(out, size, " (by its header a commit's trailer)");
  else if (kind >= FRAME_EVENT && kind < FRAME_KIND_END)
    snprintf(out, size, " (by its header partition %u, frame %llu, %s)", get16(in.p + 12),
             (unsigned long long)get64(in.p + 32), frame_kind_name(kind));
}
