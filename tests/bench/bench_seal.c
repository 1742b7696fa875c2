// Sealing segments: how fast, how small, and what a random read costs then, against the log itself. The frames are what the shipped policy makes of
// events with the variety of a web site's. Usage: bench_seal [EVENTS]
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zstd.h>

#include "../unit/store/world.h"
#include "base/check.h"
#include "base/log.h"
#include "store/journal_scan.h"
#include "store/sealer.h"
#include "store/source.h"

enum { READS = 20000 };

static double seconds_since(uint64_t began_ns) { return (double)(clock_mono_ns() - began_ns) * 1e-9; }

// ---- events ----
static void put_uuid(struct buf *b, const char *key, struct draw *d) {
  char text[40];
  uint64_t x = draw(d, 0), y = draw(d, 0);
  snprintf(text, sizeof text, "%08x-%04x-%04x-%016llx", (unsigned)x, (unsigned)(x >> 32 & 0xffff), (unsigned)(x >> 48),
           (unsigned long long)y);
  put_pair(b, key, text);
}

static void web_event(struct buf *b, struct draw *d, uint64_t n) {
  static const char *const pages[] = {"/",     "/pricing",       "/docs/start", "/docs/api", "/blog/how-we-score",
                                      "/demo", "/customers/acme"};
  static const char *const names[] = {"Pricing Viewed", "Docs Viewed", "Demo Requested", "Feature Used",
                                      "Case Study Downloaded"};
  static const char *const agents[] = {
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0"};
  char user[64];
  snprintf(user, sizeof user, "u-%06llu@company%llu.example", (unsigned long long)draw(d, 20000),
           (unsigned long long)draw(d, 900));
  buf_clear(b);
  mp_put_map(b, 8);
  put_pair(b, "type", "track");
  put_uuid(b, "messageId", d);
  put_pair(b, draw(d, 3) ? "userId" : "anonymousId", user);
  put_pair(b, "event", names[draw(d, 5)]);
  put_pair(b, "channel", draw(d, 2) ? "web" : "product");
  mp_put_cstr(b, "timestamp"), mp_put_int(b, (int64_t)(1767603600000 + n * 40 + draw(d, 30)));
  mp_put_cstr(b, "properties"), mp_put_map(b, 5);
  put_pair(b, "path", pages[draw(d, 7)]);
  put_uuid(b, "session", d);
  mp_put_cstr(b, "duration"), mp_put_int(b, (int64_t)draw(d, 200000));
  mp_put_cstr(b, "scroll"), mp_put_float(b, (double)draw(d, 1000) / 1000);
  put_pair(b, "referrer", draw(d, 2) ? "https://www.google.com/" : "https://news.ycombinator.com/item?id=1");
  mp_put_cstr(b, "context"), mp_put_map(b, 2);
  put_pair(b, "userAgent", agents[draw(d, 3)]);
  snprintf(user, sizeof user, "10.%u.%u.%u", (unsigned)draw(d, 256), (unsigned)draw(d, 256), (unsigned)draw(d, 256));
  put_pair(b, "ip", user);
}

static void make_journal(const char *dir, uint64_t events) {
  struct store_options o = STORE_OPTIONS_DEFAULT;
  struct world w;
  struct draw d = {1};
  struct buf event, answer;
  struct error err = {0};
  o.dir = dir;
  o.seal = false;
  o.journal.sync = SYNC_OFF;
  world_must_open(&w, &o);
  buf_init(&event), buf_init(&answer);
  for (uint64_t n = 0; n < events; n++) {
    web_event(&event, &d, n);
    buf_clear(&answer);
    CHECK(world_take(&w, buf_bytes(&event), (int64_t)(1767603600000 + n * 40), &answer, &err) == 0);
    if (n % 64 == 63) CHECK(world_commit(&w, &err) == 0);
  }
  CHECK(world_commit(&w, &err) == 0);
  world_close(&w);
  buf_deinit(&event), buf_deinit(&answer);
}

// ---- what a block's size and a level give ----
static void try_block(struct bytes raw, size_t block, int level) {
  size_t most = ZSTD_compressBound(block), blocks = (raw.n + block - 1) / block, total = 0;
  uint8_t *out = xmalloc(most * blocks), *back = xmalloc(block);
  size_t *size = xcalloc(blocks, sizeof *size);
  ZSTD_CCtx *c = ZSTD_createCCtx();
  ZSTD_DCtx *z = ZSTD_createDCtx();
  ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
  uint64_t began = clock_mono_ns();
  for (size_t i = 0; i < blocks; i++) {
    size_t n = raw.n - i * block < block ? raw.n - i * block : block;
    total += size[i] = ZSTD_compress2(c, out + i * most, most, raw.p + i * block, n);
  }
  double packing = seconds_since(began);
  began = clock_mono_ns();
  struct draw d = {7};
  const int reads = 2000;
  for (int i = 0; i < reads; i++) {
    size_t at = (size_t)draw(&d, blocks);
    CHECK(crc32c(0, bytes_of(out + at * most, size[at])) != 1);
    CHECK(!ZSTD_isError(ZSTD_decompressDCtx(z, back, block, out + at * most, size[at])));
  }
  printf("  block %7zu level %2d: %5.2f times smaller, %6.0f MB/s, unpacking one %6.1f us\n", block, level,
         (double)raw.n / (double)total, (double)raw.n / packing * 1e-6, seconds_since(began) / reads * 1e6);
  ZSTD_freeCCtx(c), ZSTD_freeDCtx(z);
  free(out), free(back), free(size);
}

// ---- reads by place ----
struct places {
  uint64_t *place;
  size_t count;
};
static int note_place(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)f, (void)err;
  struct places *p = context;
  if (p->count % 4096 == 0) p->place = xrealloc(p->place, (p->count + 4096) * sizeof *p->place);
  if (place_segment(place) == 1) p->place[p->count++] = place;
  return 0;
}

static double read_ns(const char *dir, const struct places *p, bool one_lead) {
  struct journal_reader *r = journal_reader_new(dir);
  struct buf raw;
  struct frame f;
  struct draw d = {3};
  struct error err = {0};
  buf_init(&raw);
  uint64_t began = clock_mono_ns();
  for (int i = 0; i < READS; i++) {
    size_t at = one_lead ? (size_t)i % p->count : (size_t)draw(&d, p->count);
    CHECK(journal_read(r, p->place[at], &raw, &f, &err) == 0);
  }
  double ns = seconds_since(began) / READS * 1e9;
  journal_reader_free(r);
  buf_deinit(&raw);
  return ns;
}

static double walk_s(const char *dir) {
  struct error err = {0};
  uint64_t began = clock_mono_ns();
  CHECK(journal_walk(dir, 0, 0, NULL, NULL, NULL, &err) == 0);
  return seconds_since(began);
}

int main(int argc, char **argv) {
  uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 70000;
  char *dir = scratch_new(), path[SEGMENT_PATH_MAX];
  struct error err = {0};
  log_set_level(LOG_ERROR);
  make_journal(dir, events);
  struct places p = {0};
  CHECK(journal_walk(dir, 0, 0, note_place, &p, NULL, &err) == 0);
  segment_path(path, dir, 0, 1);
  struct stat st;
  CHECK(stat(path, &st) == 0);
  struct buf raw;
  buf_init(&raw);
  int fd = open(path, O_RDONLY);
  CHECK(pread(fd, buf_reserve(&raw, (size_t)st.st_size), (size_t)st.st_size, 0) == st.st_size);
  raw.n = (size_t)st.st_size;
  close(fd);
  printf("a segment of %zu bytes, %zu frames\n", raw.n, p.count);
  static const size_t blocks[] = {16 << 10, 64 << 10, 256 << 10, 1 << 20};
  static const int levels[] = {1, 3, 6, 9};
  for (size_t i = 0; i < 4; i++) try_block(buf_bytes(&raw), blocks[i], 3);
  for (size_t i = 0; i < 4; i++) try_block(buf_bytes(&raw), SEALED_BLOCK, levels[i]);

  double raw_random = read_ns(dir, &p, false), raw_next = read_ns(dir, &p, true), raw_walk = walk_s(dir);
  struct sealed_result r;
  uint64_t began = clock_mono_ns();
  if (seal_segment(dir, 0, 1, 3, NULL, &r, &err)) fprintf(stderr, "%s\n", err.text), abort();
  double sealing = seconds_since(began);
  double random = read_ns(dir, &p, false), next = read_ns(dir, &p, true), walk = walk_s(dir);
  sealed_path(path, dir, 0, 1);
  struct sealed *s;
  CHECK(sealed_open(path, &s, &err) == 0);
  const struct sealed_info *info = sealed_info(s);
  printf("sealing: %.0f MB/s with sync, reading back and comparing; %.2f times smaller; index %.1f %% of it, leads "
         "%.1f %%\n",
         (double)r.raw_bytes / sealing * 1e-6, (double)r.raw_bytes / (double)r.file_bytes,
         (double)(info->leads_at - info->index_at) * 100 / (double)r.file_bytes,
         (double)(r.file_bytes - info->leads_at) * 100 / (double)r.file_bytes);
  printf("a frame by its place: log %.0f ns, sealed %.0f ns (%.1f times); the next one: log %.0f ns, sealed %.0f ns\n",
         raw_random, random, random / raw_random, raw_next, next);
  printf("walking all of it: log %.2f s, with the first segment sealed %.2f s\n", raw_walk, walk);
  sealed_close(s);
  buf_deinit(&raw);
  free(p.place);
  scratch_free(dir);
  return 0;
}
