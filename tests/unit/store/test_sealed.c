// Sealed segments: they hold what their logs held, byte for byte and by place; every bit of them is under a check; wherever the machine stops
// while one is made, nothing is lost; a reader that is at work does not notice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/le.h"
#include "base/log.h"
#include "scratch.h"
#include "store/disk_faults.h"
#include "store/journal_scan.h"
#include "store/sealer.h"
#include "store/source.h"

static uint64_t seed;
enum { PARTITIONS = 8 };

// ---- a journal ----
struct place_list {
  uint64_t place[60000];
  struct lead_id lead[60000];
  size_t count;
};

static struct journal_options options_of(const char *dir, uint32_t session) {
  return (struct journal_options){.dir = dir,
                                  .segment_bytes = 1 << 20,
                                  .sync = SYNC_OFF,
                                  .session = session,
                                  .partitions = PARTITIONS,
                                  .shards = 1};
}

// A journal of some segments; a frame now and then is longer than a block, or than the greatest block.
static char *make_journal(struct draw *d, unsigned segments, size_t usual, struct place_list *list) {
  static uint8_t body[700000];
  char *dir = scratch_new();
  struct journal_options o = options_of(dir, 1);
  struct journal *j;
  struct error err = {0};
  if (journal_open(&o, &j, &err)) fail_msg("%s", err.text);
  list->count = 0;
  for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)(draw(d, 4) ? 'a' : draw(d, 256));
  for (uint32_t last = 0; last < segments;) {
    for (uint64_t k = 1 + draw(d, 20); k; k--) {
      unsigned p = (unsigned)draw(d, PARTITIONS);
      size_t n = draw(d, 100) == 0 ? (size_t)draw(d, sizeof body) : (size_t)draw(d, usual);
      struct frame f = {.kind = draw(d, 50) ? FRAME_EVENT : FRAME_RELEASE,
                        .partition = (uint16_t)p,
                        .epoch = 1,
                        .seq = journal_seq(j, p) + 1,
                        .received_ms = 1700000000000 + (int64_t)list->count * 10 - (int64_t)draw(d, 3000),
                        .event = bytes_of(body + draw(d, sizeof body - n), n)};
      if (f.kind == FRAME_EVENT) { // some leads are often there, most once
        uint64_t who = hash_mix(seed, draw(d, 3) ? draw(d, 20) : draw(d, 0));
        memcpy(f.entity.b, &who, 8);
        f.entity.b[15] = (uint8_t)who;
      }
      uint64_t place = journal_stage(j, &f);
      assert_true(list->count < 60000);
      list->place[list->count] = place;
      list->lead[list->count++] = f.entity;
      last = place_segment(place);
    }
    if (journal_commit(j, &err)) fail_msg("%s", err.text);
  }
  journal_close(j);
  return dir;
}

static struct place_list *list_new(void) { return xcalloc(1, sizeof(struct place_list)); }

static void must_seal(const char *dir, uint32_t segment) {
  struct sealed_result r;
  struct error err = {0};
  if (seal_segment(dir, 0, segment, 3, NULL, &r, &err)) fail_msg("%s", err.text);
}

static uint64_t hash_frame(uint64_t h, const struct frame *f, uint64_t place) {
  h = hash_mix(h, place);
  h = hash_mix(h, f->seq);
  return hash64_seed(f->event, h);
}
struct walked {
  uint64_t hash, frames;
};
static int take_walked(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)err;
  struct walked *w = context;
  w->hash = hash_frame(w->hash, f, place);
  w->frames++;
  return 0;
}
static struct walked walk(const char *dir) {
  struct walked w = {0};
  struct error err = {0};
  if (journal_walk(dir, 0, 0, take_walked, &w, NULL, &err)) fail_msg("%s", err.text);
  return w;
}

static bool is_there(const char *dir, uint32_t segment, bool sealed) {
  char path[SEGMENT_PATH_MAX];
  if (sealed)
    sealed_path(path, dir, 0, segment);
  else
    segment_path(path, dir, 0, segment);
  return access(path, F_OK) == 0;
}

static struct buf read_whole(const char *path) {
  struct buf b;
  struct error err = {0};
  buf_init(&b);
  if (file_read(path, 1u << 30, &b, &err)) fail_msg("%s", err.text);
  return b;
}

// ---- tests ----
static void a_sealed_journal_is_the_same_journal(void **state) {
  (void)state;
  struct draw d = {seed};
  struct place_list *list = list_new();
  char *dir = make_journal(&d, 4, 900, list);
  struct walked before = walk(dir);
  assert_int_equal(before.frames, list->count);
  struct journal_reader *raw = journal_reader_new(dir); // reads all once, so that it has the logs open
  struct buf a, b;
  struct frame f, g;
  struct error err = {0};
  buf_init(&a), buf_init(&b);
  for (size_t i = 0; i < list->count; i++) assert_int_equal(journal_read(raw, list->place[i], &a, &f, &err), 0);
  char path[SEGMENT_PATH_MAX];
  segment_path(path, dir, 0, 2);
  struct buf log = read_whole(path);
  for (uint32_t s = 1; s <= 3; s++) must_seal(dir, s);
  assert_true(!is_there(dir, 2, false) && is_there(dir, 2, true) && is_there(dir, 4, false));

  struct walked after = walk(dir);
  assert_true(after.hash == before.hash && after.frames == before.frames);
  struct journal_reader *sealed = journal_reader_new(dir);
  for (size_t n = 0; n < list->count; n++) {
    uint64_t place = list->place[draw(&d, list->count)];
    assert_int_equal(journal_read(raw, place, &a, &f, &err), 0);
    assert_int_equal(journal_read(sealed, place, &b, &g, &err), 0);
    assert_true(f.seq == g.seq && bytes_eq(f.event, g.event) && lead_id_eq(f.entity, g.entity));
  }
  assert_int_equal(journal_read(sealed, list->place[5] + 8, &b, &g, &err), ITD_ECORRUPT);

  // Byte for byte, from any place.
  struct source *source;
  struct sealed_cache *cache = sealed_cache_new(3);
  assert_int_equal(source_open(dir, 0, 2, &source, &err), 0);
  uint8_t *part = xmalloc(log.n);
  for (int n = 0; n < 300; n++) {
    size_t from = (size_t)draw(&d, log.n + 10), want = (size_t)draw(&d, n % 10 ? 3000 : log.n), got;
    assert_int_equal(source_read(source, cache, from, part, want > log.n ? log.n : want, &got, &err), 0);
    assert_true(from + got <= log.n || got == 0);
    if (got) assert_memory_equal(part, log.p + from, got);
    if (got < want && from < log.n) assert_int_equal(from + got, log.n);
  }
  free(part);
  source_close(source);
  sealed_cache_free(cache);
  journal_reader_free(raw), journal_reader_free(sealed);
  buf_deinit(&a), buf_deinit(&b), buf_deinit(&log);
  free(list);
  scratch_free(dir);
}

static void the_index_finds_each_frame_of_a_lead(void **state) {
  (void)state;
  struct draw d = {seed + 1};
  struct place_list *list = list_new();
  char *dir = make_journal(&d, 2, 900, list), path[SEGMENT_PATH_MAX];
  struct error err = {0};
  must_seal(dir, 1);
  sealed_path(path, dir, 0, 1);
  struct sealed *s;
  assert_int_equal(sealed_open(path, &s, &err), 0);
  uint64_t frames = 0;
  for (size_t i = 0; i < list->count && place_segment(list->place[i]) == 1; i++) {
    static const struct lead_id none;
    frames++;
    if (lead_id_eq(list->lead[i], none)) continue;
    uint32_t *blocks, count, at = sealed_block_at(s, place_offset(list->place[i]));
    assert_int_equal(sealed_blocks_of(s, list->lead[i], &blocks, &count, &err), 0);
    bool found = false;
    for (uint32_t k = 0; k < count; k++) {
      found |= blocks[k] == at;
      assert_true(k == 0 || blocks[k] > blocks[k - 1]);
    }
    assert_true(found);
    free(blocks);
  }
  assert_int_equal(sealed_info(s)->frames, frames);
  assert_int_equal(sealed_check(s, -1, NULL, &err), 0);
  uint32_t *blocks, count;
  struct lead_id stranger = {.b = {1, 2, 3}};
  assert_int_equal(sealed_blocks_of(s, stranger, &blocks, &count, &err), 0);
  assert_int_equal(count, 0);
  assert_null(blocks);
  sealed_close(s);
  free(list);
  scratch_free(dir);
}

static int whole_check(const char *path, struct error *err) {
  struct sealed *s;
  *err = (struct error){0};
  int rc = sealed_open(path, &s, err);
  if (rc) return rc;
  rc = sealed_check(s, -1, NULL, err);
  sealed_close(s);
  return rc;
}

static void any_flipped_bit_is_found(void **state) {
  (void)state;
  struct draw d = {seed + 2};
  struct place_list *list = list_new();
  char *dir = make_journal(&d, 2, 400, list), path[SEGMENT_PATH_MAX];
  struct error err;
  // Every bit of a small one: the last segment, which has little in it.
  must_seal(dir, 2);
  sealed_path(path, dir, 0, 2);
  struct buf file = read_whole(path);
  int fd = open(path, O_RDWR);
  assert_int_equal(whole_check(path, &err), 0);
  uint64_t bits = file.n * 8, stride = bits > 6000 ? bits / 6000 : 1;
  if (getenv("EVERY_BIT")) stride = 1;
  for (uint64_t bit = draw(&d, stride); bit < bits; bit += stride) {
    uint8_t x = file.p[bit / 8] ^ (uint8_t)(1u << bit % 8);
    assert_int_equal(pwrite(fd, &x, 1, (off_t)(bit / 8)), 1);
    int rc = whole_check(path, &err);
    if (rc != ITD_ECORRUPT && rc != ITD_EVERSION) fail_msg("bit %llu: %d %s", (unsigned long long)bit, rc, err.text);
    assert_int_equal(pwrite(fd, &file.p[bit / 8], 1, (off_t)(bit / 8)), 1);
  }
  assert_int_equal(whole_check(path, &err), 0);
  // Cut anywhere, or longer.
  for (int n = 0; n < 200; n++) {
    assert_int_equal(ftruncate(fd, (off_t)draw(&d, file.n)), 0);
    assert_int_equal(whole_check(path, &err), ITD_ECORRUPT);
    assert_int_equal(pwrite(fd, file.p, file.n, 0), file.n);
  }
  assert_int_equal(pwrite(fd, "x", 1, (off_t)file.n), 1);
  assert_int_equal(whole_check(path, &err), ITD_ECORRUPT);
  close(fd);
  buf_deinit(&file);
  free(list);
  scratch_free(dir);
}

// Sums that hold do not make a file that is safe to read: every number in it is a stranger's.
static void a_hostile_file_is_refused_or_read(void **state) {
  (void)state;
  struct draw d = {seed + 3};
  struct place_list *list = list_new();
  char *dir = make_journal(&d, 2, 3000, list), path[SEGMENT_PATH_MAX];
  must_seal(dir, 1);
  sealed_path(path, dir, 0, 1);
  struct buf file = read_whole(path);
  struct error err;
  unsigned refused = 0;
  for (int n = 0; n < 600; n++) {
    uint8_t *copy = xmalloc(file.n);
    memcpy(copy, file.p, file.n);
    uint8_t *footer = copy + file.n - SEALED_FOOTER_SIZE;
    size_t index = (size_t)get64(footer + 80), leads = (size_t)get64(footer + 88);
    size_t end = file.n - SEALED_FOOTER_SIZE, from = n % 3 == 0 ? index : n % 3 == 1 ? leads : end + 24;
    size_t to = n % 3 == 0 ? leads : n % 3 == 1 ? end : file.n;
    for (uint64_t k = 1 + draw(&d, 3); k; k--)
      copy[from + draw(&d, to - from)] = (uint8_t)(draw(&d, 3) ? draw(&d, 256) : 255);
    if (n % 3 < 2) { // sums as they should be
      uint32_t sum = crc32c(0, bytes_of(copy + from, to - from));
      memcpy(footer + (n % 3 == 0 ? 96 : 100), &sum, 4);
    }
    uint32_t sum = crc32c(0, bytes_of(footer + 24, SEALED_FOOTER_SIZE - 24));
    memcpy(footer + 20, &sum, 4);
    int fd = memfd_create("hostile", 0);
    CHECK(fd >= 0 && pwrite(fd, copy, file.n, 0) == (ssize_t)file.n);
    struct sealed *s;
    err = (struct error){0};
    int rc = sealed_open_fd(fd, &s, &err);
    if (rc == 0) {
      uint32_t *blocks, count;
      if (sealed_blocks_of(s, list->lead[draw(&d, 100)], &blocks, &count, &err) == 0) free(blocks);
      rc = sealed_check(s, -1, NULL, &err);
      sealed_close(s);
    }
    bool same = memcmp(copy, file.p, file.n) == 0;
    if (!same && rc != ITD_ECORRUPT && rc != ITD_EVERSION) fail_msg("change %d was not found: %d %s", n, rc, err.text);
    refused += rc != 0;
    free(copy);
  }
  assert_true(refused > 400);
  buf_deinit(&file);
  free(list);
  scratch_free(dir);
}

static void what_is_damaged_stays_a_log(void **state) {
  (void)state;
  struct draw d = {seed + 4};
  struct place_list *list = list_new();
  char *dir = make_journal(&d, 2, 900, list), path[SEGMENT_PATH_MAX];
  struct sealed_result r;
  struct error err = {0};
  segment_path(path, dir, 0, 1);
  struct buf log = read_whole(path);
  int fd = open(path, O_RDWR);
  for (int n = 0; n < 20; n++) {
    off_t at = (off_t)draw(&d, log.n);
    uint8_t x = log.p[at] ^ (uint8_t)(1 + draw(&d, 255));
    assert_int_equal(pwrite(fd, &x, 1, at), 1);
    int rc = seal_segment(dir, 0, 1, 3, NULL, &r, &err);
    assert_true(rc == ITD_ECORRUPT || rc == ITD_EVERSION);
    assert_true(is_there(dir, 1, false) && !is_there(dir, 1, true));
    assert_int_equal(pwrite(fd, log.p + at, 1, at), 1);
  }
  // Zeros behind the end are left out; anything else there is not.
  assert_int_equal(ftruncate(fd, (off_t)log.n + 100000), 0);
  assert_int_equal(pwrite(fd, "x", 1, (off_t)log.n + 99999), 1);
  assert_int_equal(seal_segment(dir, 0, 1, 3, NULL, &r, &err), ITD_ECORRUPT);
  assert_int_equal(ftruncate(fd, (off_t)log.n + 99999), 0);
  must_seal(dir, 1);
  sealed_path(path, dir, 0, 1);
  struct sealed *s;
  assert_int_equal(sealed_open(path, &s, &err), 0);
  assert_int_equal(sealed_info(s)->raw_bytes, log.n);
  sealed_close(s);
  close(fd);
  buf_deinit(&log);
  free(list);
  scratch_free(dir);
}

// The power goes before the n-th operation on the disk, with what was not synced; and once more without its loss, as when a process is killed.
static void the_power_may_go_at_any_step(void **state) {
  (void)state;
  struct draw d = {seed + 5};
  struct place_list *list = list_new();
  char *dir = make_journal(&d, 3, 3000, list);
  struct walked whole = walk(dir);
  int steps = 0;
  for (bool is_over = false; !is_over; steps++) {
    pid_t child = fork();
    if (child == 0) {
      struct sealed_result r;
      char plan[100];
      snprintf(plan, sizeof plan, "seed=%u;any:*:%d:power", (unsigned)draw(&d, 1000000), steps + 1);
      if (disk_faults_start(plan, NULL)) _exit(2);
      _exit(seal_segment(dir, 0, 1, 3, NULL, &r, NULL) ? 1 : 0);
    }
    int status;
    draw(&d, 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    is_over = WIFEXITED(status);
    if (is_over) assert_int_equal(WEXITSTATUS(status), 0);
    struct walked now = walk(dir);
    assert_true(now.hash == whole.hash && now.frames == whole.frames);
    assert_true(is_there(dir, 1, false) || is_there(dir, 1, true));
    if (!is_there(dir, 1, false)) { // it was the last step, and its name may come back: begin again with both
      struct error err = {0};
      char path[SEGMENT_PATH_MAX];
      sealed_path(path, dir, 0, 1);
      struct sealed *s;
      assert_int_equal(sealed_open(path, &s, &err), 0);
      assert_int_equal(sealed_check(s, -1, NULL, &err), 0);
      sealed_close(s);
    }
  }
  assert_true(steps > 10);
  free(list);
  scratch_free(dir);
}

// No room, or a broken disk, at any step: it is told, the log is there, and sealing again when all is well succeeds.
static void any_step_may_fail(void **state) {
  (void)state;
  struct draw d = {seed + 7};
  static const char *const how[] = {"ENOSPC", "EIO", "EMFILE", "part+ENOSPC"};
  for (size_t k = 0; k < sizeof how / sizeof *how; k++) {
    struct place_list *list = list_new();
    char *dir = make_journal(&d, 3, 3000, list);
    struct walked whole = walk(dir);
    int rc = -1;
    for (int n = 1; rc; n++) {
      char plan[100];
      struct error err = {0};
      struct sealed_result r;
      snprintf(plan, sizeof plan, "seed=%u;any:*:%d:%s", (unsigned)draw(&d, 1000000), n, how[k]);
      assert_int_equal(disk_faults_start(plan, &err), 0);
      rc = seal_segment(dir, 0, 1, 3, NULL, &r, &err);
      disk_faults_stop();
      if (rc && rc != ITD_EFULL && rc != ITD_EIO) fail_msg("%s at %d: %d %s", how[k], n, rc, err.text);
      if (rc) assert_true(is_there(dir, 1, false));
      struct walked now = walk(dir);
      assert_true(now.hash == whole.hash && now.frames == whole.frames);
    }
    assert_true(is_there(dir, 1, true) && !is_there(dir, 1, false));
    free(list);
    scratch_free(dir);
  }
}

// What an earlier run left is sealed at the next start, what is full meanwhile; never what is written now. Walks go on all the time.
struct live {
  const char *dir;
  _Atomic bool is_over;
};
static int in_sequence(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  (void)place;
  uint64_t *seq = context;
  return frame->seq == ++seq[frame->partition] ? 0 : error_set(err, ITD_EINTERNAL, "a frame is missing");
}
static void *walk_live(void *arg) {
  struct live *l = arg;
  do {
    uint64_t seq[256] = {0};
    struct error err = {0};
    int rc = journal_walk(l->dir, 0, 0, in_sequence, seq, NULL, &err);
    if (rc) fprintf(stderr, "walk of a live journal: %d %s\n", rc, err.text);
    CHECK(rc == 0);
  } while (!atomic_load(&l->is_over));
  return NULL;
}

static void the_sealer_follows_a_live_journal(void **state) {
  (void)state;
  struct draw d = {seed + 6};
  struct place_list *list = list_new();
  char *dir = make_journal(&d, 3, 2000, list);
  struct journal_tip tips[PARTITIONS];
  memset(tips, 0, sizeof tips);
  struct segment_info *info;
  size_t count;
  struct error err = {0};
  assert_int_equal(segment_list(dir, &info, &count, &err), 0);
  struct scan *scan = xcalloc(1, sizeof *scan);
  *scan = (struct scan){.dir = dir};
  for (size_t i = 0; i < count; i++) {
    struct scan_end end;
    assert_int_equal(scan_segment(scan, &info[i], &end, &err), 0);
  }
  for (int p = 0; p < PARTITIONS; p++) tips[p] = scan->tip[p].tip;
  free(scan);
  segment_list_free(info, count);

  char rest[SEGMENT_PATH_MAX + 8]; // what a run that was ended left
  sealed_path(rest, dir, 0, 2);
  strcat(rest, ".new");
  assert_int_equal(close(open(rest, O_CREAT | O_WRONLY, 0600)), 0);

  struct journal_options o = options_of(dir, 2);
  o.tips = tips;
  struct journal *j;
  assert_int_equal(journal_open(&o, &j, &err), 0);
  struct journal *const journals[] = {j};
  struct sealer *sealer =
      sealer_start(&(struct sealer_options){.dir = dir, .shards = 1, .journal = journals, .level = 1});
  struct live live = {.dir = dir};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, walk_live, &live), 0);
  static uint8_t body[3000];
  uint32_t last = 0;
  while (last < 9) {
    for (int k = 0; k < 20; k++) {
      unsigned p = (unsigned)draw(&d, PARTITIONS);
      struct frame f = {.kind = FRAME_EVENT,
                        .partition = (uint16_t)p,
                        .epoch = 2,
                        .seq = journal_seq(j, p) + 1,
                        .received_ms = 1800000000000,
                        .event = draw_bytes(&d, body, (size_t)draw(&d, sizeof body))};
      last = place_segment(journal_stage(j, &f));
    }
    assert_int_equal(journal_commit(j, &err), 0);
    usleep(1000);
  }
  for (int n = 0; sealer_stats(sealer).segments < last - 1; n++) {
    if (n > 60000) fail_msg("the segments were not sealed in time");
    usleep(1000);
  }
  assert_int_equal(sealer_stats(sealer).failures, 0);
  assert_int_equal(sealer_stats(sealer).waiting, 0);
  assert_true(sealer_stats(sealer).file_bytes < sealer_stats(sealer).raw_bytes);
  for (uint32_t s = 1; s < last; s++) assert_true(is_there(dir, s, true) && !is_there(dir, s, false));
  assert_true(is_there(dir, last, false) && !is_there(dir, last, true));
  assert_int_not_equal(access(rest, F_OK), 0);
  atomic_store(&live.is_over, true);
  pthread_join(thread, NULL);
  sealer_stop(sealer);
  journal_close(j);
  free(list);
  scratch_free(dir);
}

static void names_are_read_strictly(void **state) {
  (void)state;
  unsigned log;
  uint32_t segment;
  assert_int_equal(segment_file("0a-0000001f.log", &log, &segment), SEGMENT_FILE_LOG);
  assert_true(log == 10 && segment == 31);
  assert_int_equal(segment_file("ff-00ffffff.seg", &log, &segment), SEGMENT_FILE_SEALED);
  const char *const none[] = {"",
                              "0a-0000001f.seg.new",
                              "0A-0000001f.log",
                              "0a-00000000.log",
                              "0a-01000000.log",
                              "0a_0000001f.log",
                              "0a-0000001f.txt",
                              " a-0000001f.log",
                              "0a-+000001f.log"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_int_equal(segment_file(none[i], &log, &segment), SEGMENT_FILE_NONE);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR); // each fault is told
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sealed_journal_is_the_same_journal),
      cmocka_unit_test(the_index_finds_each_frame_of_a_lead),
      cmocka_unit_test(any_flipped_bit_is_found),
      cmocka_unit_test(a_hostile_file_is_refused_or_read),
      cmocka_unit_test(what_is_damaged_stays_a_log),
      cmocka_unit_test(the_power_may_go_at_any_step),
      cmocka_unit_test(any_step_may_fail),
      cmocka_unit_test(the_sealer_follows_a_live_journal),
      cmocka_unit_test(names_are_read_strictly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
