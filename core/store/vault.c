// The vault's files: batches of records, each with a checksum and with the offset up to which the file was synced
// before it.
#include "store/vault.h"
#include "base/le.h"
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"

#define FILE_HEADER   32u
#define BATCH_HEADER  32u
#define RECORD_HEADER 24u
#define FILE_MAX      (1u << 30) // a batch that would go beyond waits for a rotation as for a full disk
#define FILL          (256u << 10)
#define VAULT_FORMAT  1
static const uint8_t MAGIC[8] = {'I', 'T', 'D', 'V', 'A', 'U', 'L', 'T'};

struct vault {
  char *dir;
  unsigned log;
  bool is_failed;
  int fd;
  uint32_t number, end; // of the current file
  struct buf staged;    // BATCH_HEADER bytes, then records
  struct buf committed; // records since the last rotation
  pthread_mutex_t lock; // guards what follows
  int next_fd;          // -1: not prepared
  uint32_t next_number;
};

static size_t align8(size_t n) { return (n + 7) & ~(size_t)7; }

static void vault_path(char out[PATH_MAX], const char *dir, unsigned log, uint32_t number) {
  int n = snprintf(out, PATH_MAX, "%s/vault/%02x-%08x.vault", dir, log, number);
  CHECK(n > 0 && n < PATH_MAX);
}

// ---- records ----
// type u8, kind u8, bytes of text u16, zero u32, lead 16; LEAD: key 32, made u64; IDENTITY: keyed hash 16, text,
// padding to 8.
static size_t record_size(uint8_t type, size_t text) {
  return type == VAULT_LEAD ? RECORD_HEADER + LEAD_KEY_SIZE + 8 : RECORD_HEADER + 16 + align8(text);
}

void vault_stage(struct vault *v, const struct vault_record *r) {
  CHECK(r->value.n <= VAULT_VALUE_MAX && (r->type == VAULT_LEAD || r->type == VAULT_IDENTITY));
  if (!v->staged.n) v->staged.n = (size_t)(buf_reserve(&v->staged, BATCH_HEADER) - v->staged.p) + BATCH_HEADER;
  size_t size = record_size((uint8_t)r->type, r->value.n);
  uint8_t *p = buf_reserve(&v->staged, size);
  v->staged.n += size;
  memset(p, 0, size);
  p[0] = (uint8_t)r->type;
  memcpy(p + 8, r->lead.b, 16);
  if (r->type == VAULT_LEAD) {
    memcpy(p + RECORD_HEADER, r->key, LEAD_KEY_SIZE);
    put64(p + RECORD_HEADER + LEAD_KEY_SIZE, r->made);
    return;
  }
  p[1] = r->kind;
  put16(p + 2, (uint16_t)r->value.n);
  put64(p + RECORD_HEADER, r->identity.hi);
  put64(p + RECORD_HEADER + 8, r->identity.lo);
  if (r->value.n) memcpy(p + RECORD_HEADER + 16, r->value.p, r->value.n);
}

bool vault_next(struct bytes *from, struct vault_record *r) {
  const uint8_t *p = from->p;
  if (from->n < RECORD_HEADER || (p[0] != VAULT_LEAD && p[0] != VAULT_IDENTITY)) return false;
  size_t size = record_size(p[0], get16(p + 2));
  if (from->n < size) return false;
  *r = (struct vault_record){.type = p[0], .raw = bytes_of(p, size)};
  memcpy(r->lead.b, p + 8, 16);
  if (r->type == VAULT_LEAD) {
    memcpy(r->key, p + RECORD_HEADER, LEAD_KEY_SIZE);
    r->made = get64(p + RECORD_HEADER + LEAD_KEY_SIZE);
  } else {
    r->kind = p[1];
    r->identity = (struct hash128){get64(p + RECORD_HEADER), get64(p + RECORD_HEADER + 8)};
    r->value = bytes_of(p + RECORD_HEADER + 16, get16(p + 2));
  }
  *from = bytes_of(p + size, from->n - size);
  return true;
}

// ---- files ----
// A file with its header and zeros, ready for batches whose syncs change no metadata.
static int make_file(const char *dir, unsigned log, uint32_t number, int *out) {
  char path[PATH_MAX];
  vault_path(path, dir, log, number);
  int fd = -1;
  int e = disk_open(path, O_RDWR | O_CREAT | O_TRUNC, &fd);
  if (e) return e;
  uint8_t *b = xcalloc(1, FILL);
  memcpy(b, MAGIC, sizeof MAGIC);
  put32(b + 8, VAULT_FORMAT);
  put32(b + 12, log);
  put32(b + 16, number);
  put32(b + 28, crc32c(0, bytes_of(b, 28)));
  e = disk_write(fd, b, FILL, 0);
  free(b);
  if (e == 0) e = disk_sync_whole(fd);
  if (e == 0) e = disk_sync_folder(dir, "vault");
  if (e == 0)
    *out = fd;
  else
    close(fd), (void)disk_unlink(path);
  return e;
}

int vault_files(const char *dir, char ***names, size_t *count, struct error *err) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/vault", dir);
  int rc = dir_make(path, err);
  return rc ? rc : dir_list(path, 1 << 20, names, count, err);
}

static bool parse_name(const char *name, unsigned *log, uint32_t *number) {
  int end = 0;
  return sscanf(name, "%2x-%8x.vault%n", log, number, &end) == 2 && end && !name[end];
}

int vault_open(const char *dir, unsigned log, struct vault **out, struct error *err) {
  char **names;
  size_t count;
  uint32_t last = 0;
  int rc = vault_files(dir, &names, &count, err);
  if (rc) return rc;
  for (size_t i = 0; i < count; i++) {
    unsigned l;
    uint32_t n;
    if (parse_name(names[i], &l, &n) && l == log && n > last) last = n;
  }
  dir_list_free(names, count);
  int fd;
  int e = make_file(dir, log, last + 1, &fd);
  if (e) return error_set(err, disk_status(e), "%s/vault: %s", dir, strerror(e));
  struct vault *v = xcalloc(1, sizeof *v);
  *v = (struct vault){.dir = xstrdup(dir), .log = log, .fd = fd, .number = last + 1, .end = FILE_HEADER, .next_fd = -1};
  buf_init(&v->staged);
  buf_init(&v->committed);
  pthread_mutex_init(&v->lock, NULL);
  *out = v;
  return 0;
}

static void remove_file(const struct vault *v, uint32_t number) {
  char path[PATH_MAX];
  vault_path(path, v->dir, v->log, number);
  int e = disk_unlink(path);
  if (e && e != ENOENT) log_line(LOG_WARN, "vault_unlink", "error=%s", log_quote(strerror(e)));
}

void vault_close(struct vault *v) {
  if (!v) return;
  close(v->fd);
  if (v->end == FILE_HEADER) remove_file(v, v->number);
  if (v->next_fd >= 0) {
    close(v->next_fd);
    remove_file(v, v->next_number);
  }
  pthread_mutex_destroy(&v->lock);
  buf_deinit(&v->staged);
  buf_deinit(&v->committed);
  free(v->dir);
  free(v);
}

bool vault_is_staged(const struct vault *v) { return v->staged.n != 0; }

struct bytes vault_recent(const struct vault *v) {
  return buf_bytes(&v->committed);
}
struct bytes vault_staged(const struct vault *v) {
  return v->staged.n ? bytes_of(v->staged.p + BATCH_HEADER, v->staged.n - BATCH_HEADER) : bytes_of(NULL, 0);
}

// length u32, crc u32 over what follows, format u32, log u32, number u32, offset u32, synced u32, zero u32
static void seal_batch(struct vault *v) {
  uint8_t *p = v->staged.p;
  memset(p, 0, BATCH_HEADER);
  put32(p, (uint32_t)v->staged.n);
  put32(p + 8, VAULT_FORMAT);
  put32(p + 12, v->log);
  put32(p + 16, v->number);
  put32(p + 20, v->end);
  put32(p + 24, v->end);
  put32(p + 4, crc32c(0, bytes_of(p + 8, v->staged.n - 8)));
}

int vault_commit(struct vault *v, struct error *err) {
  if (v->is_failed) return error_set(err, ITD_EIO, "an earlier write or sync of the vault failed");
  if (!v->staged.n) return 0;
  if (v->staged.n > FILE_MAX - v->end)
    return error_set(err, ITD_EFULL, "vault: %02x-%08x.vault is full and no checkpoint came", v->log, v->number);
  seal_batch(v);
  int e = disk_write(v->fd, v->staged.p, v->staged.n, (off_t)v->end);
  if (e == 0) e = disk_sync(v->fd);
  if (e) {
    v->is_failed = disk_status(e) == ITD_EIO;
    return error_set(err, disk_status(e), "vault/%02x-%08x.vault: %s", v->log, v->number, strerror(e));
  }
  v->end += (uint32_t)v->staged.n;
  buf_append(&v->committed, v->staged.p + BATCH_HEADER, v->staged.n - BATCH_HEADER);
  buf_clear(&v->staged);
  return 0;
}

// ---- rotation ----
void vault_prepare(struct vault *v) {
  pthread_mutex_lock(&v->lock);
  bool is_there = v->next_fd >= 0;
  uint32_t number = v->number + 1;
  pthread_mutex_unlock(&v->lock);
  int fd;
  if (is_there || make_file(v->dir, v->log, number, &fd) != 0) return;
  pthread_mutex_lock(&v->lock);
  v->next_fd = fd;
  v->next_number = number;
  pthread_mutex_unlock(&v->lock);
}

void vault_rotate(struct vault *v, struct buf *records, uint32_t *upto) {
  CHECK(!v->staged.n);
  buf_append_bytes(records, buf_bytes(&v->committed));
  buf_clear(&v->committed);
  pthread_mutex_lock(&v->lock);
  *upto = v->number - 1;
  if (v->next_fd >= 0 && v->end > FILE_HEADER) {
    *upto = v->number;
    close(v->fd);
    v->fd = v->next_fd;
    v->number = v->next_number;
    v->end = FILE_HEADER;
    v->next_fd = -1;
  }
  pthread_mutex_unlock(&v->lock);
}

void vault_drop(struct vault *v, uint32_t upto) {
  char path[PATH_MAX];
  for (uint32_t n = upto; n; n--) {
    vault_path(path, v->dir, v->log, n);
    if (access(path, F_OK)) return; // those before it went earlier
    remove_file(v, n);
  }
}

// ---- reading ----
struct vault_file {
  struct bytes bytes;
  unsigned log;
  uint32_t number;
  const char *name;
};

// The records of the batch at `at`; n is 0 when there is no valid one.
static struct bytes batch_at(const struct vault_file *f, size_t at, size_t *size) {
  const uint8_t *p = f->bytes.p + at;
  if (f->bytes.n < at + BATCH_HEADER) return bytes_of(NULL, 0);
  *size = get32(p);
  if (*size <= BATCH_HEADER || *size % 8 || *size > f->bytes.n - at || get32(p + 8) != VAULT_FORMAT ||
      get32(p + 12) != f->log || get32(p + 16) != f->number || get32(p + 20) != at ||
      get32(p + 4) != crc32c(0, bytes_of(p + 8, *size - 8)))
    return bytes_of(NULL, 0);
  return bytes_of(p + BATCH_HEADER, *size - BATCH_HEADER);
}

// As in the journal: what does not read is damage when something behind it proves that it was on disk.
static bool is_damage(const struct vault_file *f, size_t hole) {
  size_t size;
  for (size_t at = hole; at + BATCH_HEADER <= f->bytes.n; at += 8)
    if (batch_at(f, at, &size).n && get32(f->bytes.p + at + 24) > hole) return true;
  return false;
}

static bool header_holds(const struct vault_file *f) {
  const uint8_t *p = f->bytes.p;
  return f->bytes.n >= FILE_HEADER && memcmp(p, MAGIC, sizeof MAGIC) == 0 &&
         get32(p + 28) == crc32c(0, bytes_of(p, 28)) && get32(p + 12) == f->log && get32(p + 16) == f->number;
}

static int scan_file(const struct vault_file *f, vault_visit visit, void *context, struct error *err) {
  size_t at = FILE_HEADER, size;
  if (!header_holds(f)) { // made ahead of need, and the machine stopped meanwhile; or damage
    return is_damage(f, 0) ? error_set(err, ITD_ECORRUPT, "vault/%s: the header is damaged", f->name) : 0;
  }
  if (get32(f->bytes.p + 8) != VAULT_FORMAT)
    return error_set(err, ITD_EVERSION, "vault/%s: format %u; this program reads %u", f->name, get32(f->bytes.p + 8),
                     VAULT_FORMAT);
  for (struct bytes records; (records = batch_at(f, at, &size)).n; at += size) {
    struct vault_record r;
    while (vault_next(&records, &r)) {
      int rc = visit(context, &r, err);
      if (rc) return rc;
    }
    if (records.n) return error_set(err, ITD_ECORRUPT, "vault/%s, offset %zu: a record does not read", f->name, at);
  }
  if (is_damage(f, at))
    return error_set(err, ITD_ECORRUPT, "vault/%s, offset %zu: a batch that was on disk does not read", f->name, at);
  return 0;
}

int vault_scan(const char *dir, vault_visit visit, void *context, struct error *err) {
  char **names;
  size_t count;
  int rc = vault_files(dir, &names, &count, err);
  if (rc) return rc;
  struct buf b;
  buf_init(&b);
  for (size_t i = 0; rc == 0 && i < count; i++) {
    char path[PATH_MAX];
    struct vault_file f = {.name = names[i]};
    if (!parse_name(names[i], &f.log, &f.number)) continue;
    vault_path(path, dir, f.log, f.number);
    buf_clear(&b);
    rc = disk_load(path, FILE_MAX, &b, err);
    f.bytes = buf_bytes(&b);
    if (rc == 0) rc = scan_file(&f, visit, context, err);
  }
  buf_deinit(&b);
  dir_list_free(names, count);
  return rc;
}
