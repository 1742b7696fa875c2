#include "store/head.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "store/datadir.h"
#include "store/disk.h"
#include "store/journal_scan.h"
#include "store/source.h"

#define HEAD_BYTES_MAX 65536
_Static_assert(crypto_sign_PUBLICKEYBYTES == HEAD_KEY_SIZE && crypto_sign_SECRETKEYBYTES == HEAD_SECRET_SIZE,
               "Ed25519");

// ---- where a journal stands ----
struct standing {
  const char *dir;
  struct segment_info *list;
  size_t count;
  uint32_t session; // the last in which anything was committed
  struct scan *scan;
};

// The last segment of its log that was in use when the list was made, in the last session.
static bool is_last(const struct standing *s, size_t i) {
  const struct segment_info *info = &s->list[i];
  if (!info->has_opening || info->header.session != s->session) return false;
  for (size_t k = i + 1; k < s->count && s->list[k].log == info->log && s->list[k].header.session == s->session; k++)
    if (s->list[k].has_opening) return false;
  return true;
}

// What was read may still be on its way to the disk.
static int settle(const char *dir, const struct segment_info *info, struct error *err) {
  struct source *source;
  int rc = source_open(dir, info->log, info->number, &source, err);
  if (rc) return rc == ITD_ENOTFOUND ? 0 : rc;
  int e = source_fd(source) >= 0 ? disk_sync(source_fd(source)) : 0;
  if (e) rc = error_set(err, disk_status(e), "%s: %s", source_path(source), strerror(e));
  source_close(source);
  return rc;
}

// Walks segments in order: all of them, or from the last of each log on.
static int walk_to_end(struct standing *s, bool is_whole, struct error *err) {
  static const struct scan zero;
  uint64_t any[256];
  bool is_reading[256] = {false};
  memset(any, 0xff, sizeof any);
  *s->scan = zero;
  s->scan->dir = s->dir;
  s->scan->is_live = true;
  s->scan->floor = is_whole ? NULL : any;
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < s->count; i++) {
    const struct segment_info *info = &s->list[i];
    struct scan_end end;
    is_reading[info->log] |= is_whole || is_last(s, i);
    if (!is_reading[info->log]) continue;
    rc = scan_segment(s->scan, info, &end, err);
    if (rc == 0) rc = settle(s->dir, info, err);
  }
  return rc;
}

static bool all_known(const struct scan *scan, unsigned partitions) {
  for (unsigned p = 0; p < partitions; p++)
    if (!scan->tip[p].is_known) return false;
  return true;
}

int head_take(const char *dir, int64_t now_ms, struct journal_head *head, struct error *err) {
  struct standing s = {.dir = dir};
  unsigned partitions = 0;
  int rc = segment_list(dir, &s.list, &s.count, err);
  if (rc) return rc;
  for (size_t i = 0; i < s.count; i++)
    if (s.list[i].has_opening && s.list[i].header.session >= s.session) {
      s.session = s.list[i].header.session;
      partitions = s.list[i].header.partitions;
    }
  s.scan = xcalloc(1, sizeof *s.scan);
  if (!partitions) rc = error_set(err, ITD_ENOTFOUND, "%s has no journal", dir);
  if (rc == 0) rc = walk_to_end(&s, false, err);
  // A start that was ended before all logs had begun leaves partitions of which the last session says nothing.
  if (rc == 0 && !all_known(s.scan, partitions)) rc = walk_to_end(&s, true, err);
  if (rc == 0) {
    *head = (struct journal_head){.time_ms = now_ms, .partitions = partitions};
    head_directory(dir, head->directory);
    for (unsigned p = 0; p < partitions; p++) head->tip[p] = s.scan->tip[p].tip;
  }
  segment_list_free(s.list, s.count);
  free(s.scan);
  return rc;
}

bool head_directory(const char *dir, char out[DIRECTORY_ID]) {
  static const char purpose[] = "directory";
  uint8_t in[STORE_SECRET_SIZE + sizeof purpose - 1], sum[SHA256_SIZE];
  struct datadir d;
  if (datadir_read(dir, &d, NULL) != 0) return false;
  memcpy(in, d.secret, sizeof d.secret);
  memcpy(in + STORE_SECRET_SIZE, purpose, sizeof purpose - 1);
  sha256_of(bytes_of(in, sizeof in), sum);
  hex_encode(bytes_of(sum, 16), out);
  return true;
}

// ---- the text ----
void head_put(const struct journal_head *head, const uint8_t secret[HEAD_SECRET_SIZE], struct buf *out) {
  char hex[2 * HEAD_SECRET_SIZE + 1], time[TIME_TEXT_MAX];
  uint8_t signature[crypto_sign_BYTES];
  size_t from = out->n;
  CHECK(sodium_init() >= 0);
  time_format(head->time_ms, time);
  buf_printf(out, "intentd head 1\ndirectory %s\ntime %s\npartitions %u\n",
             head->directory[0] ? head->directory : "unknown", time, head->partitions);
  for (unsigned p = 0; p < head->partitions; p++) {
    hex_encode(bytes_of(head->tip[p].chain, SHA256_SIZE), hex);
    buf_printf(out, "%u %llu %s\n", p, (unsigned long long)head->tip[p].seq, hex);
  }
  hex_encode(bytes_of(secret + 32, HEAD_KEY_SIZE), hex); // libsodium keeps the public key behind the seed
  buf_printf(out, "key %s\n", hex);
  crypto_sign_detached(signature, NULL, out->p + from, out->n - from, secret);
  hex_encode(bytes_of(signature, sizeof signature), hex);
  buf_printf(out, "signature %s\n", hex);
}

// One line "NAME value": the value, NUL-ended, into `out`. False: the line is another.
static bool take_line(struct bytes *text, const char *name, char *out, size_t size) {
  size_t n = strlen(name);
  const uint8_t *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
  size_t line = end ? (size_t)(end - text->p) : 0;
  if (!end || line < n + 2 || line - n - 1 >= size || memcmp(text->p, name, n) != 0 || text->p[n] != ' ') return false;
  memcpy(out, text->p + n + 1, line - n - 1);
  out[line - n - 1] = 0;
  *text = bytes_of(end + 1, text->n - line - 1);
  return true;
}

static bool take_partition(struct bytes *text, unsigned p, struct journal_tip *tip) {
  char name[12], line[100], hex[65], again[100];
  unsigned long long seq;
  snprintf(name, sizeof name, "%u", p);
  if (!take_line(text, name, line, sizeof line) || sscanf(line, "%20llu %64[0-9a-f]", &seq, hex) != 2) return false;
  snprintf(again, sizeof again, "%llu %s", seq, hex); // nothing but these two
  tip->seq = seq;
  return strcmp(again, line) == 0 && hex_decode(bytes_str(hex), tip->chain, sizeof tip->chain) == 0;
}

int head_get(struct bytes text, const uint8_t key[HEAD_KEY_SIZE], struct journal_head *head, struct error *err) {
  struct journal_head h = {0};
  struct bytes rest = text;
  char line[200];
  uint8_t own[HEAD_KEY_SIZE], signature[crypto_sign_BYTES];
  CHECK(sodium_init() >= 0);
  bool reads = take_line(&rest, "intentd head", line, sizeof line) && strcmp(line, "1") == 0 &&
               take_line(&rest, "directory", line, sizeof line) && strlen(line) < sizeof h.directory;
  if (reads && strcmp(line, "unknown") != 0) memcpy(h.directory, line, strlen(line));
  reads = reads && take_line(&rest, "time", line, sizeof line) && time_parse(bytes_str(line), &h.time_ms) == 0 &&
          take_line(&rest, "partitions", line, sizeof line) && sscanf(line, "%3u", &h.partitions) == 1 &&
          h.partitions >= 1 && h.partitions <= 256;
  for (unsigned p = 0; reads && p < h.partitions; p++) reads = take_partition(&rest, p, &h.tip[p]);
  reads = reads && take_line(&rest, "key", line, sizeof line) && hex_decode(bytes_str(line), own, sizeof own) == 0;
  struct bytes is_signed = bytes_of(text.p, text.n - rest.n);
  reads = reads && take_line(&rest, "signature", line, sizeof line) && !rest.n &&
          hex_decode(bytes_str(line), signature, sizeof signature) == 0 && !strpbrk(line, "ABCDEF");
  if (!reads) return error_set(err, ITD_ECORRUPT, "is no head of a journal");
  if (memcmp(own, key, sizeof own) != 0)
    return error_set(err, ITD_EAUTH, "was signed by another key than the one given");
  if (crypto_sign_verify_detached(signature, is_signed.p, is_signed.n, key) != 0)
    return error_set(err, ITD_ECORRUPT, "is not as it was signed");
  *head = h;
  return 0;
}

// ---- keys ----
#define SECRET_NAME "intentd head secret key"
#define PUBLIC_NAME "intentd head public key"

static int make_file(const char *path, mode_t mode, struct bytes text, struct error *err) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return error_set(err, errno == EEXIST ? ITD_EBUSY : ITD_EIO, "%s: %s", path, strerror(errno));
  int e = disk_write(fd, text.p, text.n, 0);
  if (e == 0) e = disk_sync_whole(fd);
  close(fd);
  if (e) unlink(path);
  return e ? error_set(err, disk_status(e), "%s: %s", path, strerror(e)) : 0;
}

int head_key_make(const char *path, struct error *err) {
  uint8_t secret[HEAD_SECRET_SIZE], key[HEAD_KEY_SIZE];
  char hex[2 * HEAD_SECRET_SIZE + 1], pub[PATH_MAX];
  struct buf text;
  CHECK(sodium_init() >= 0);
  buf_init(&text);
  crypto_sign_keypair(key, secret);
  snprintf(pub, sizeof pub, "%s.pub", path);
  hex_encode(bytes_of(key, sizeof key), hex);
  buf_printf(&text, PUBLIC_NAME " %s\n", hex);
  int rc = access(path, F_OK) == 0 ? error_set(err, ITD_EBUSY, "%s: %s", path, strerror(EEXIST))
                                   : make_file(pub, 0644, buf_bytes(&text), err);
  bool has_pub = rc == 0;
  buf_clear(&text);
  hex_encode(bytes_of(secret, sizeof secret), hex);
  buf_printf(&text, SECRET_NAME " %s\n", hex);
  if (rc == 0) rc = make_file(path, 0600, buf_bytes(&text), err);
  if (rc && has_pub) unlink(pub);
  sodium_memzero(secret, sizeof secret);
  sodium_memzero(hex, sizeof hex);
  sodium_memzero(text.p, text.cap);
  buf_deinit(&text);
  return rc;
}

static bool key_line(struct bytes text, const char *name, uint8_t *out, size_t size) {
  char hex[2 * HEAD_SECRET_SIZE + 1];
  bool reads = take_line(&text, name, hex, sizeof hex) && !text.n && hex_decode(bytes_str(hex), out, size) == 0;
  sodium_memzero(hex, sizeof hex);
  return reads;
}

static int read_key(const char *path, uint8_t *secret, uint8_t *key, struct error *err) {
  struct buf text;
  uint8_t both[HEAD_SECRET_SIZE];
  buf_init(&text);
  int rc = file_read(path, HEAD_BYTES_MAX, &text, err);
  if (rc == 0 && key_line(buf_bytes(&text), SECRET_NAME, both, sizeof both)) {
    if (secret) memcpy(secret, both, sizeof both);
    if (key) memcpy(key, both + 32, HEAD_KEY_SIZE);
  } else if (rc == 0 && (secret || !key_line(buf_bytes(&text), PUBLIC_NAME, key, HEAD_KEY_SIZE))) {
    rc = error_set(err, ITD_EINVAL, "%s: is no %s key for heads (intent journal head --make-key FILE makes one)", path,
                   secret ? "secret" : "public");
  }
  sodium_memzero(both, sizeof both);
  buf_deinit(&text);
  return rc;
}

int head_secret_read(const char *path, uint8_t secret[HEAD_SECRET_SIZE], struct error *err) {
  return read_key(path, secret, NULL, err);
}
int head_key_read(const char *path, uint8_t key[HEAD_KEY_SIZE], struct error *err) {
  return read_key(path, NULL, key, err);
}
