// The vault's files: records with a head and a sum of their own, so that one can be erased without the others noticing,
// and a commit record behind each batch, which says that the batch is whole.
#include "store/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/le.h"
#include "store/disk.h"
#include "store/formats.h"

#define FILE_HEADER 32u
#define HEAD        16u // of a record; records are aligned to it, so that no head lies in two sectors
#define COMMIT_SIZE 32u
#define FILL        (256u << 10) // zeros in a new file: a sync into them changes no metadata
#define FILL_MORE   (1u << 20)
#define ROLL        (64u << 20)          // a file that long gets a successor
#define FILE_MAX    (ROLL + (64u << 20)) // and takes no more than this while there is none
#define RECORD_MAX  (HEAD + 40 + VAULT_VALUE_MAX + HEAD)
static const uint8_t MAGIC[8] = {'I', 'T', 'D', 'V', 'A', 'U', 'L', 'T'};

// A file, as far as its records' sums need it.
struct place {
  unsigned log;
  uint32_t number;
  uint64_t salt; // random: what a sender writes can't look like a record
};

static uint64_t address_of(const struct place *f, size_t offset) {
  return (uint64_t)f->log << 56 | (uint64_t)(f->number & 0xffffffu) << 32 | (uint32_t)offset;
}
static unsigned address_log(uint64_t address) { return (unsigned)(address >> 56); }
static uint32_t address_number(uint64_t address) { return (uint32_t)(address >> 32) & 0xffffffu; }
static uint32_t address_offset(uint64_t address) { return (uint32_t)address; }
static size_t align16(size_t n) { return (n + 15) & ~(size_t)15; }

static void vault_path(char out[PATH_MAX], const char *dir, unsigned log, uint32_t number) {
  int n = snprintf(out, PATH_MAX, "%s/vault/%02x-%08x.vault", dir, log, number);
  CHECK(n > 0 && n < PATH_MAX);
}

// ---- records ----
// Head: length u32, type u8, kind u8, bytes of text u16, CRC-32C of the body u32, CRC-32C u32 of salt, address and the 12 bytes before.
// Body: LEAD: lead 16, key 32, made u64, zeros. IDENTITY: lead 16, keyed hash 16, previous u64, text, zeros. COMMIT: offset of the batch
// u32, records u32, zeros.
struct head {
  uint32_t size, sum;
  uint8_t type, kind;
  uint16_t text;
};

static uint32_t head_sum(const struct place *f, size_t offset, const uint8_t *p) {
  uint8_t b[28];
  put64(b, f->salt);
  put64(b + 8, address_of(f, offset));
  memcpy(b + 16, p, 12);
  return crc32c(0, bytes_of(b, sizeof b));
}

static void put_head(uint8_t *p, const struct place *f, size_t offset, const struct head *h) {
  put32(p, h->size);
  p[4] = h->type;
  p[5] = h->kind;
  put16(p + 6, h->text);
  put32(p + 8, h->sum);
  put32(p + 12, head_sum(f, offset, p));
}

static size_t record_size(uint8_t type, size_t text) {
  switch (type) {
  case VAULT_LEAD: return HEAD + 64;
  case VAULT_IDENTITY: return HEAD + align16(40 + text);
  default: return COMMIT_SIZE;
  }
}

// False: no head of a record stands there.
static bool get_head(const uint8_t *p, const struct place *f, size_t offset, struct head *h) {
  if (get32(p) < HEAD || get32(p + 12) != head_sum(f, offset, p)) return false;
  *h = (struct head){.size = get32(p), .type = p[4], .kind = p[5], .text = get16(p + 6), .sum = get32(p + 8)};
  if (h->type == VAULT_ERASED) return h->size % HEAD == 0 && h->size <= RECORD_MAX;
  bool is_known = h->type == VAULT_LEAD || h->type == VAULT_IDENTITY || h->type == VAULT_COMMIT;
  return is_known && h->size == record_size(h->type, h->text);
}

// A record with its body, all of whose bytes are at `b`.
static bool holds(struct bytes b, const struct head *h) {
  if (b.n < h->size) return false;
  return h->type == VAULT_ERASED || crc32c(0, bytes_of(b.p + HEAD, h->size - HEAD)) == h->sum;
}

static void get_record(const uint8_t *p, const struct head *h, struct vault_record *r) {
  const uint8_t *body = p + HEAD;
  *r = (struct vault_record){.type = h->type};
  memcpy(r->lead.b, body, 16);
  if (h->type == VAULT_LEAD) {
    memcpy(r->key, body + 16, LEAD_KEY_SIZE);
    r->made = get64(body + 48);
    return;
  }
  r->kind = h->kind;
  r->identity = (struct hash128){get64(body + 16), get64(body + 24)};
  r->previous = get64(body + 32);
  r->value = bytes_of(body + 40, h->text);
}

static void put_record(uint8_t *p, const struct place *f, size_t offset, const struct vault_record *r) {
  struct head h = {.type = (uint8_t)r->type, .kind = r->kind, .text = (uint16_t)r->value.n};
  h.size = (uint32_t)record_size(h.type, r->value.n);
  uint8_t *body = p + HEAD;
  memset(body, 0, h.size - HEAD);
  memcpy(body, r->lead.b, 16);
  if (r->type == VAULT_LEAD) {
    memcpy(body + 16, r->key, LEAD_KEY_SIZE);
    put64(body + 48, r->made);
  } else {
    put64(body + 16, r->identity.hi);
    put64(body + 24, r->identity.lo);
    put64(body + 32, r->previous);
    if (r->value.n) memcpy(body + 40, r->value.p, r->value.n);
  }
  h.sum = crc32c(0, bytes_of(body, h.size - HEAD));
  put_head(p, f, offset, &h);
}

// ---- files ----
static void put_header(uint8_t b[FILE_HEADER], const struct place *f) {
  memset(b, 0, FILE_HEADER);
  memcpy(b, MAGIC, sizeof MAGIC);
  put32(b + 8, VAULT_FORMAT);
  put32(b + 12, f->log);
  put32(b + 16, f->number);
  put64(b + 20, f->salt);
  put32(b + 28, crc32c(0, bytes_of(b, 28)));
}

// ITD_ENOTFOUND: the header was never written in full, or is damaged.
static int get_header(struct bytes b, struct place *f, struct error *err) {
  if (b.n < FILE_HEADER || memcmp(b.p, MAGIC, sizeof MAGIC) != 0 || get32(b.p + 28) != crc32c(0, bytes_of(b.p, 28)) ||
      get32(b.p + 12) != f->log || get32(b.p + 16) != f->number)
    return ITD_ENOTFOUND;
  if (get32(b.p + 8) != VAULT_FORMAT) return format_refuse(err, "a file of the vault", get32(b.p + 8), VAULT_FORMAT);
  f->salt = get64(b.p + 20);
  return 0;
}

static int fill(int fd, uint32_t at, uint32_t n) {
  uint8_t *zeros = xcalloc(1, n);
  int e = disk_write(fd, zeros, n, (off_t)at);
  free(zeros);
  return e ? e : disk_sync_whole(fd);
}

// A file with its header and zeros, ready for batches whose syncs change no metadata.
static int make_file(const char *dir, struct place *f, int *out) {
  char path[PATH_MAX];
  vault_path(path, dir, f->log, f->number);
  int fd = -1;
  int e = disk_open(path, O_RDWR | O_CREAT | O_TRUNC, &fd);
  if (e) return e;
  random_bytes(&f->salt, sizeof f->salt);
  uint8_t header[FILE_HEADER];
  put_header(header, f);
  e = disk_write(fd, header, sizeof header, 0);
  if (e == 0) e = fill(fd, FILE_HEADER, FILL - FILE_HEADER);
  if (e == 0) e = disk_sync_folder(dir, "vault");
  if (e == 0)
    *out = fd;
  else
    close(fd), (void)disk_unlink(path);
  return e;
}

// ---- writing ----
struct vault {
  char *dir;
  struct place file;
  _Atomic bool is_failed;
  int fd;
  struct buf staged; // records of the batch; its offset is `end`
  uint32_t records;  // in it
  _Atomic uint32_t end;
  _Atomic uint32_t filled; // changed with the lock held
  pthread_mutex_t lock;    // guards what follows, and writing beyond `filled`
  int next_fd;             // -1: not prepared
  struct place next;
};

// The last file again: what is torn behind `end` goes, what was read behind `from` is made sure of.
static int open_last(struct vault *v, uint32_t from, uint32_t end, struct error *err) {
  char path[PATH_MAX];
  uint8_t header[FILE_HEADER];
  size_t got = 0;
  vault_path(path, v->dir, v->file.log, v->file.number);
  int e = disk_open(path, O_RDWR, &v->fd);
  if (e == 0) e = disk_read(v->fd, header, sizeof header, 0, &got);
  if (e == 0 && get_header(bytes_of(header, got), &v->file, NULL))
    return error_set(err, ITD_ECORRUPT, "%s: the header is damaged", path);
  if (e == 0) e = disk_truncate(v->fd, (off_t)end);
  if (e == 0) e = disk_settle(v->fd, (off_t)from, (off_t)end);
  if (e == 0) e = fill(v->fd, end, FILL);
  v->end = end;
  v->filled = end + FILL;
  return e ? error_set(err, disk_status(e), "%s: %s", path, strerror(e)) : 0;
}

static int make_first(struct vault *v, struct error *err) {
  int e = make_file(v->dir, &v->file, &v->fd);
  v->end = FILE_HEADER;
  v->filled = FILL;
  return e ? error_set(err, disk_status(e), "%s/vault: %s", v->dir, strerror(e)) : 0;
}

int vault_open(const char *dir, unsigned log, struct vault_tip tip, struct vault_tip seen, struct vault **out,
               struct error *err) {
  struct vault *v = xcalloc(1, sizeof *v);
  v->dir = xstrdup(dir);
  v->file = (struct place){.log = log, .number = tip.number ? tip.number : 1};
  v->fd = v->next_fd = -1;
  pthread_mutex_init(&v->lock, NULL);
  uint32_t from = seen.number == tip.number && seen.end >= FILE_HEADER ? seen.end : FILE_HEADER;
  int rc = tip.end ? open_last(v, from, tip.end, err) : make_first(v, err);
  if (rc)
    vault_close(v);
  else
    *out = v;
  return rc;
}

void vault_close(struct vault *v) {
  if (!v) return;
  if (v->fd >= 0) {
    if (!v->is_failed && v->end) (void)disk_truncate(v->fd, (off_t)v->end); // its zeros; a start takes what it finds
    close(v->fd);
  }
  if (v->next_fd >= 0) close(v->next_fd);
  pthread_mutex_destroy(&v->lock);
  if (v->staged.p) explicit_bzero(v->staged.p, v->staged.cap);
  buf_deinit(&v->staged);
  free(v->dir);
  free(v);
}

struct vault_tip vault_tip(const struct vault *v) {
  return (struct vault_tip){v->file.number, v->end};
}
bool vault_is_staged(const struct vault *v) { return v->records != 0; }

uint64_t vault_stage(struct vault *v, const struct vault_record *r) {
  CHECK(r->value.n <= VAULT_VALUE_MAX && (r->type == VAULT_LEAD || r->type == VAULT_IDENTITY));
  size_t size = record_size((uint8_t)r->type, r->value.n), offset = v->end + v->staged.n;
  CHECK(offset + size < UINT32_MAX - COMMIT_SIZE); // FILE_MAX keeps far from it
  put_record(buf_reserve(&v->staged, size), &v->file, offset, r);
  v->staged.n += size;
  v->records++;
  return address_of(&v->file, offset);
}

bool vault_peek(const struct vault *v, uint64_t address, struct vault_record *record) {
  size_t at = (size_t)address_offset(address) - v->end;
  if (address_log(address) != v->file.log || address_number(address) != v->file.number ||
      address_offset(address) < v->end || at + HEAD > v->staged.n)
    return false;
  struct head h;
  CHECK(get_head(v->staged.p + at, &v->file, address_offset(address), &h));
  get_record(v->staged.p + at, &h, record);
  return true;
}

static void stage_commit(struct vault *v) {
  uint8_t *p = buf_reserve(&v->staged, COMMIT_SIZE);
  memset(p, 0, COMMIT_SIZE);
  put32(p + HEAD, v->end);
  put32(p + HEAD + 4, v->records);
  struct head h = {.size = COMMIT_SIZE, .type = VAULT_COMMIT, .sum = crc32c(0, bytes_of(p + HEAD, COMMIT_SIZE - HEAD))};
  put_head(p, &v->file, v->end + v->staged.n, &h);
}

// Into the zeros; beyond them nobody may be filling meanwhile.
static int write_batch(struct vault *v, size_t n) {
  bool is_beyond = v->end + n > v->filled;
  if (is_beyond) pthread_mutex_lock(&v->lock);
  int e = disk_write(v->fd, v->staged.p, n, (off_t)v->end);
  if (is_beyond && e == 0 && v->filled < v->end + n) v->filled = (uint32_t)(v->end + n);
  if (is_beyond) pthread_mutex_unlock(&v->lock);
  return e ? e : disk_sync(v->fd);
}

// Goes on in the next file, when it is ready.
static void roll(struct vault *v) {
  pthread_mutex_lock(&v->lock);
  if (v->next_fd >= 0) {
    close(v->fd);
    v->fd = v->next_fd;
    v->file = v->next;
    v->end = FILE_HEADER;
    v->filled = FILL;
    v->next_fd = -1;
  }
  pthread_mutex_unlock(&v->lock);
}

int vault_commit(struct vault *v, struct error *err) {
  if (v->is_failed) return error_set(err, ITD_EIO, "an earlier write or sync of the vault failed");
  if (!v->records) return 0;
  if (v->end > FILE_MAX)
    return error_set(err, ITD_EFULL, "vault/%02x-%08x.vault is full, and its successor could not be made yet",
                     v->file.log, v->file.number);
  stage_commit(v);
  size_t n = v->staged.n + COMMIT_SIZE;
  int e = write_batch(v, n);
  if (e) {
    v->is_failed = disk_status(e) == ITD_EIO;
    return error_set(err, disk_status(e), "vault/%02x-%08x.vault: %s", v->file.log, v->file.number, strerror(e));
  }
  v->end += (uint32_t)n;
  v->records = 0;
  explicit_bzero(v->staged.p, v->staged.n);
  buf_clear(&v->staged);
  if (v->end >= ROLL) roll(v);
  return 0;
}

void vault_prepare(struct vault *v) {
  pthread_mutex_lock(&v->lock);
  if (v->end + FILL / 2 > v->filled && v->end < ROLL) {
    int e = fill(v->fd, v->filled, FILL_MORE);
    if (e == 0) v->filled += FILL_MORE;
    if (e && disk_status(e) == ITD_EIO) v->is_failed = true; // it was the owner's descriptor that was told
  }
  if (v->end >= ROLL / 2 && v->next_fd < 0) {
    v->next = (struct place){.log = v->file.log, .number = v->file.number + 1};
    if (make_file(v->dir, &v->next, &v->next_fd)) v->next_fd = -1;
  }
  pthread_mutex_unlock(&v->lock);
}

// ---- reading ----
#define OPEN_MAX   16
#define FIRST_READ 256 // most records are whole in it

struct open_file {
  struct place file; // number 0: free
  int fd;
  uint64_t used;
};
struct vault_reader {
  char *dir;
  struct open_file file[OPEN_MAX];
  uint64_t clock;
};

struct vault_reader *vault_reader_new(const char *dir) {
  struct vault_reader *r = xcalloc(1, sizeof *r);
  r->dir = xstrdup(dir);
  return r;
}

void vault_reader_free(struct vault_reader *r) {
  if (!r) return;
  for (int i = 0; i < OPEN_MAX; i++)
    if (r->file[i].file.number) close(r->file[i].fd);
  free(r->dir);
  free(r);
}

static int open_file(const char *dir, int flags, struct open_file *f, struct error *err) {
  char path[PATH_MAX];
  uint8_t header[FILE_HEADER];
  size_t got = 0;
  vault_path(path, dir, f->file.log, f->file.number);
  int e = disk_open(path, flags, &f->fd);
  if (e == ENOENT) return error_set(err, ITD_ECORRUPT, "%s is gone", path);
  if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  e = disk_read(f->fd, header, sizeof header, 0, &got);
  int rc = e ? error_set(err, disk_status(e), "%s: %s", path, strerror(e))
             : get_header(bytes_of(header, got), &f->file, err);
  if (rc == ITD_ENOTFOUND) rc = error_set(err, ITD_ECORRUPT, "%s: the header is damaged", path);
  if (rc) close(f->fd);
  return rc;
}

static int file_of(struct vault_reader *r, uint64_t address, struct open_file **out, struct error *err) {
  struct open_file *oldest = &r->file[0];
  for (int i = 0; i < OPEN_MAX; i++) {
    struct open_file *f = &r->file[i];
    if (f->file.number && f->file.log == address_log(address) && f->file.number == address_number(address)) {
      f->used = ++r->clock;
      *out = f;
      return 0;
    }
    if (!f->file.number || (oldest->file.number && f->used < oldest->used)) oldest = f;
  }
  struct open_file fresh = {.file = {.log = address_log(address), .number = address_number(address)}};
  int rc = open_file(r->dir, O_RDONLY, &fresh, err);
  if (rc) return rc;
  if (oldest->file.number) close(oldest->fd);
  *oldest = fresh;
  oldest->used = ++r->clock;
  *out = oldest;
  return 0;
}

static int not_whole(uint64_t address, struct error *err) {
  return error_set(err, ITD_ECORRUPT, "vault/%02x-%08x.vault, offset %u: no whole record", address_log(address),
                   address_number(address), address_offset(address));
}

static int read_at(int fd, uint64_t address, size_t n, struct buf *raw, struct error *err) {
  size_t got = 0;
  buf_clear(raw);
  int e = disk_read(fd, buf_reserve(raw, n), n, (off_t)address_offset(address), &got);
  raw->n = got;
  return e ? error_set(err, disk_status(e), "vault/%02x-%08x.vault: %s", address_log(address), address_number(address),
                       strerror(e))
           : 0;
}

int vault_read(struct vault_reader *reader, uint64_t address, struct buf *raw, struct vault_record *record,
               struct error *err) {
  struct open_file *f;
  struct head h = {0};
  int rc = file_of(reader, address, &f, err);
  if (rc == 0) rc = read_at(f->fd, address, FIRST_READ, raw, err);
  if (rc) return rc;
  if (raw->n < HEAD || !get_head(raw->p, &f->file, address_offset(address), &h)) return not_whole(address, err);
  if (h.size > raw->n) rc = read_at(f->fd, address, h.size, raw, err);
  if (rc) return rc;
  if (!holds(buf_bytes(raw), &h)) { // or it is being erased
    rc = read_at(f->fd, address, HEAD, raw, err);
    if (rc) return rc;
    if (raw->n < HEAD || !get_head(raw->p, &f->file, address_offset(address), &h) || h.type != VAULT_ERASED)
      return not_whole(address, err);
  }
  if (h.type == VAULT_ERASED) return error_set(err, ITD_ENOTFOUND, "the record was erased");
  if (h.type == VAULT_COMMIT) return not_whole(address, err);
  get_record(raw->p, &h, record);
  return 0;
}

// ---- scanning ----
struct scanned {
  struct place file;
  struct bytes bytes; // from offset `from` on
  size_t from;
};

static struct bytes at_offset(const struct scanned *s, size_t offset) {
  size_t skip = offset - s->from;
  return skip > s->bytes.n ? bytes_of(NULL, 0) : bytes_of(s->bytes.p + skip, s->bytes.n - skip);
}

// The length of the whole batch that begins at an offset, 0: there is none.
static size_t batch_at(const struct scanned *s, size_t offset) {
  uint32_t records = 0;
  for (size_t at = offset;; records++) {
    struct bytes b = at_offset(s, at);
    struct head h;
    if (b.n < HEAD || !get_head(b.p, &s->file, at, &h) || !holds(b, &h)) return 0;
    at += h.size;
    if (h.type != VAULT_COMMIT) continue;
    return get32(b.p + HEAD) == offset && get32(b.p + HEAD + 4) == records ? at - offset : 0;
  }
}

// What does not read is damage when the commit of a later batch proves that it was on disk.
static bool is_damage(const struct scanned *s, size_t hole) {
  for (size_t at = hole;; at += HEAD) {
    struct bytes b = at_offset(s, at);
    struct head h;
    if (b.n < COMMIT_SIZE) return false;
    if (get32(b.p) != COMMIT_SIZE || !get_head(b.p, &s->file, at, &h) || h.type != VAULT_COMMIT) continue;
    if (holds(b, &h) && get32(b.p + HEAD) > hole) return true;
  }
}

static bool is_zero(struct bytes b) {
  for (size_t i = 0; i < b.n; i++)
    if (b.p[i]) return false;
  return true;
}

static int visit_batch(const struct scanned *s, size_t offset, vault_visit visit, void *context, struct error *err) {
  int rc = 0;
  struct head h = {0};
  for (size_t at = offset; rc == 0; at += h.size) {
    const uint8_t *p = at_offset(s, at).p;
    struct vault_record r;
    CHECK(get_head(p, &s->file, at, &h));
    if (h.type == VAULT_COMMIT) break;
    if (h.type == VAULT_ERASED) continue;
    get_record(p, &h, &r);
    rc = visit(context, address_of(&s->file, at), &r, err);
  }
  return rc;
}

// How far a log goes, and whether something torn lies behind that.
struct log_end {
  struct vault_tip tip;
  uint32_t last; // number seen
  bool is_torn;
};

static int damaged(struct place file, size_t offset, struct error *err) {
  return error_set(err, ITD_ECORRUPT, "vault/%02x-%08x.vault, offset %zu: a record that was on disk does not read",
                   file.log, file.number, offset);
}

static int scan_records(const struct scanned *s, vault_visit visit, void *context, struct log_end *log,
                        struct error *err) {
  size_t at = s->from, size;
  for (; (size = batch_at(s, at)); at += size) {
    int rc = visit_batch(s, at, visit, context, err);
    if (rc) return rc;
  }
  if (is_damage(s, at)) return damaged(s->file, at, err);
  bool is_used = at > FILE_HEADER;
  if (is_used && log->is_torn) // what came before it had been synced
    return damaged((struct place){.log = s->file.log, .number = log->tip.number}, log->tip.end, err);
  if (is_used || log->tip.number == 0) log->tip = (struct vault_tip){s->file.number, (uint32_t)at};
  if (!is_zero(at_offset(s, at))) log->is_torn = true;
  return 0;
}

// The header, and what lies from an offset on.
static int load(const char *path, size_t from, struct buf *b, struct error *err) {
  struct stat st;
  size_t got = 0, more = 0;
  int fd = -1;
  int e = disk_open(path, O_RDONLY, &fd);
  if (e == 0 && fstat(fd, &st)) e = errno;
  if (e == 0) e = disk_read(fd, buf_reserve(b, FILE_HEADER), FILE_HEADER, 0, &got);
  b->n = got;
  if (e == 0 && (size_t)st.st_size > from) {
    more = (size_t)st.st_size - from;
    e = disk_read(fd, buf_reserve(b, more), more, (off_t)from, &got);
    b->n += got;
  }
  if (e == 0 && (size_t)st.st_size < from && from > FILE_HEADER) e = ENODATA;
  if (fd >= 0) close(fd);
  if (e == ENODATA)
    return error_set(err, ITD_ECORRUPT, "%s ends at %lld, but it was %zu bytes long", path, (long long)st.st_size,
                     from);
  return e ? error_set(err, disk_status(e), "%s: %s", path, strerror(e)) : 0;
}

static int scan_file(const char *dir, struct place file, uint32_t from, vault_visit visit, void *context,
                     struct log_end *log, struct error *err) {
  char path[PATH_MAX];
  struct scanned s = {.file = file, .from = from > FILE_HEADER ? from : FILE_HEADER};
  struct buf b = {0};
  vault_path(path, dir, file.log, file.number);
  int rc = load(path, s.from, &b, err);
  if (rc == 0) {
    rc = get_header(buf_bytes(&b), &s.file, err);
    s.bytes = b.n > FILE_HEADER ? bytes_of(b.p + FILE_HEADER, b.n - FILE_HEADER) : bytes_of(NULL, 0);
    if (rc == 0)
      rc = scan_records(&s, visit, context, log, err);
    else if (rc == ITD_ENOTFOUND && !from && is_zero(s.bytes)) // made ahead of need, and not in full
      rc = 0, log->tip = log->tip.number ? log->tip : (struct vault_tip){file.number, 0};
    else if (rc == ITD_ENOTFOUND)
      rc = error_set(err, ITD_ECORRUPT, "%s: the header is damaged", path);
  }
  if (b.p) explicit_bzero(b.p, b.n);
  buf_deinit(&b);
  return rc;
}

static bool parse_name(const char *name, struct place *f) {
  int end = 0;
  return sscanf(name, "%2x-%8x.vault%n", &f->log, &f->number, &end) == 2 && end && !name[end] && f->log < 256 &&
         f->number;
}

static int gone(unsigned log, uint32_t number, struct error *err) {
  return error_set(err, ITD_ECORRUPT, "vault/%02x-%08x.vault is gone", log, number);
}

int vault_scan(const char *dir, const struct vault_tip from[256], vault_visit visit, void *context,
               struct vault_tip to[256], struct error *err) {
  char path[PATH_MAX], **names;
  size_t count;
  snprintf(path, sizeof path, "%s/vault", dir);
  int rc = dir_make(path, err);
  if (rc == 0) rc = dir_list(path, 1 << 20, &names, &count, err); // sorted: log by log, in their order
  if (rc) return rc;
  struct log_end *log = xcalloc(256, sizeof *log);
  for (unsigned i = 0; i < 256; i++) log[i].tip = from[i];
  struct place f;
  for (size_t i = 0; rc == 0 && i < count; i++) {
    if (!parse_name(names[i], &f)) continue;
    struct log_end *l = &log[f.log];
    if (f.number != ++l->last) rc = gone(f.log, l->last, err);
    bool is_first = f.number == from[f.log].number;
    if (rc == 0 && f.number >= from[f.log].number)
      rc = scan_file(dir, f, is_first ? from[f.log].end : 0, visit, context, l, err);
  }
  for (unsigned i = 0; rc == 0 && i < 256; i++) {
    if (log[i].last < from[i].number) rc = gone(i, from[i].number, err);
    to[i] = log[i].tip;
  }
  free(log);
  dir_list_free(names, count);
  return rc;
}

// ---- erasing ----
#define LIST_HEADER 16u // "ITDERASE", count u32, CRC-32C of the addresses u32
static const uint8_t LIST_MAGIC[8] = {'I', 'T', 'D', 'E', 'R', 'A', 'S', 'E'};

static void list_path(char out[PATH_MAX], const char *dir) { snprintf(out, PATH_MAX, "%s/vault/erasing", dir); }

// Writes the list (none: empties it) and syncs.
static int keep_list(const char *dir, const uint64_t *addresses, size_t count) {
  char path[PATH_MAX];
  struct stat st;
  struct buf b = {0};
  int fd = -1;
  list_path(path, dir);
  bool is_new = access(path, F_OK) != 0;
  int e = disk_open(path, O_RDWR | O_CREAT, &fd);
  if (e) return e;
  uint8_t *p = buf_reserve(&b, LIST_HEADER + count * 8);
  for (size_t i = 0; i < count; i++) put64(p + LIST_HEADER + 8 * i, addresses[i]);
  memcpy(p, LIST_MAGIC, sizeof LIST_MAGIC);
  put32(p + 8, (uint32_t)count);
  put32(p + 12, crc32c(0, bytes_of(p + LIST_HEADER, count * 8)));
  b.n = LIST_HEADER + count * 8;
  if (fstat(fd, &st) == 0 && (size_t)st.st_size > b.n) { // a longer one before it leaves nothing
    size_t more = (size_t)st.st_size - b.n;
    memset(buf_reserve(&b, more), 0, more);
    b.n += more;
  }
  e = disk_write(fd, b.p, b.n, 0);
  if (e == 0) e = disk_sync_whole(fd);
  if (e == 0 && is_new) e = disk_sync_folder(dir, "vault");
  close(fd);
  buf_deinit(&b);
  return e;
}

static int by_address(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

// What is done to the sorted addresses of one file. Returns an errno; *rc says what was found there.
typedef int (*erase_step)(const struct open_file *f, const uint64_t *address, size_t count, int *rc, struct error *err);

static int read_head(const struct open_file *f, uint64_t address, uint8_t raw[HEAD], struct head *h, bool *holds) {
  size_t got;
  uint32_t at = address_offset(address);
  int e = disk_read(f->fd, raw, HEAD, (off_t)at, &got);
  *holds = e == 0 && got == HEAD && get_head(raw, &f->file, at, h) && h->type != VAULT_COMMIT;
  return e;
}

// All are records.
static int check_in_file(const struct open_file *f, const uint64_t *address, size_t count, int *rc, struct error *err) {
  int e = 0;
  for (size_t i = 0; e == 0 && *rc == 0 && i < count; i++) {
    uint8_t raw[HEAD] = {0};
    struct head h;
    bool holds;
    e = read_head(f, address[i], raw, &h, &holds);
    if (e == 0 && !holds) *rc = not_whole(address[i], err);
  }
  return e;
}

// The heads, a sync, the bodies, a sync. Each was a record when it was listed: a head that does not hold was written over
// by half, and what it was has the same size in the same place as what it becomes.
static int erase_in_file(const struct open_file *f, const uint64_t *address, size_t count, int *rc, struct error *err) {
  int e = 0;
  uint32_t *size = xcalloc(count, sizeof *size);
  for (size_t i = 0; e == 0 && *rc == 0 && i < count; i++) {
    uint8_t raw[HEAD] = {0};
    struct head h = {0};
    bool holds;
    e = read_head(f, address[i], raw, &h, &holds);
    if (e) break;
    size[i] = holds ? h.size : get32(raw);
    if (size[i] < HEAD || size[i] % HEAD || size[i] > RECORD_MAX) {
      *rc = not_whole(address[i], err);
      break;
    }
    h = (struct head){.size = size[i], .type = VAULT_ERASED};
    put_head(raw, &f->file, address_offset(address[i]), &h);
    e = disk_write(f->fd, raw, sizeof raw, (off_t)address_offset(address[i]));
  }
  if (e == 0 && *rc == 0) e = disk_sync(f->fd);
  for (size_t i = 0; e == 0 && *rc == 0 && i < count; i++) {
    uint8_t *zeros = xcalloc(1, size[i]);
    e = disk_write(f->fd, zeros, size[i] - HEAD, (off_t)address_offset(address[i]) + HEAD);
    free(zeros);
  }
  if (e == 0 && *rc == 0) e = disk_sync(f->fd);
  free(size);
  return e;
}

static int each_file(const char *dir, const uint64_t *address, size_t count, erase_step step, struct error *err) {
  int rc = 0;
  for (size_t i = 0, n; rc == 0 && i < count; i += n) {
    for (n = 1; i + n < count && address[i + n] >> 32 == address[i] >> 32;) n++;
    struct open_file f = {.file = {.log = address_log(address[i]), .number = address_number(address[i])}};
    rc = open_file(dir, O_RDWR, &f, err);
    if (rc) break;
    int e = step(&f, address + i, n, &rc, err);
    close(f.fd);
    if (e) rc = error_set(err, disk_status(e), "erasing in %s/vault: %s", dir, strerror(e));
  }
  return rc;
}

static int lock_folder(const char *dir, int how) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/vault", dir);
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) flock(fd, how);
  return fd;
}

int vault_hold(const char *dir) { return lock_folder(dir, LOCK_SH); }

void vault_release(int hold) {
  if (hold >= 0) close(hold);
}

static int list_fails(const char *dir, int e, struct error *err) {
  return error_set(err, disk_status(e), "%s/vault/erasing: %s", dir, strerror(e));
}

// Erases what is in the list, and empties it.
static int carry_out(const char *dir, const uint64_t *sorted, size_t count, struct error *err) {
  int rc = each_file(dir, sorted, count, erase_in_file, err);
  if (rc) return rc;
  int e = keep_list(dir, NULL, 0);
  return e ? list_fails(dir, e, err) : 0;
}

// Ends what a list still has.
static int end_list(const char *dir, struct error *err) {
  char path[PATH_MAX];
  struct buf b = {0};
  list_path(path, dir);
  if (access(path, F_OK) != 0) return 0;
  int rc = disk_load(path, 1u << 30, &b, err);
  size_t count = b.n >= LIST_HEADER ? get32(b.p + 8) : 0;
  // A list that does not hold was never whole: nothing had been erased yet.
  if (rc == 0 && count && memcmp(b.p, LIST_MAGIC, sizeof LIST_MAGIC) == 0 && count <= (b.n - LIST_HEADER) / 8 &&
      get32(b.p + 12) == crc32c(0, bytes_of(b.p + LIST_HEADER, count * 8))) {
    uint64_t *address = xmalloc(count * sizeof *address);
    for (size_t i = 0; i < count; i++) address[i] = get64(b.p + LIST_HEADER + 8 * i);
    qsort(address, count, sizeof *address, by_address);
    rc = carry_out(dir, address, count, err);
    free(address);
  }
  buf_deinit(&b);
  return rc;
}

static int erase_listed(const char *dir, const uint64_t *addresses, size_t count, struct error *err) {
  uint64_t *sorted = memcpy(xmalloc(count * sizeof *sorted), addresses, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_address);
  int rc = each_file(dir, sorted, count, check_in_file, err);
  if (rc == 0) {
    int e = keep_list(dir, sorted, count);
    rc = e ? list_fails(dir, e, err) : carry_out(dir, sorted, count, err);
  }
  free(sorted);
  return rc;
}

int vault_erase(const char *dir, const uint64_t *addresses, size_t count, struct error *err) {
  if (!count) return 0;
  int lock = lock_folder(dir, LOCK_EX); // waits for who copies
  // One that failed halfway, perhaps of the same: the list of what is half erased must not be written over.
  int rc = end_list(dir, err);
  if (rc == 0) rc = erase_listed(dir, addresses, count, err);
  vault_release(lock);
  return rc;
}

int vault_erase_rest(const char *dir, struct error *err) {
  int lock = lock_folder(dir, LOCK_EX);
  int rc = end_list(dir, err);
  vault_release(lock);
  return rc;
}
