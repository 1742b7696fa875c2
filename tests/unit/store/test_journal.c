// The journal against a list in memory: what was committed reads back in order, whatever segment it fell in; a torn
// tail is cut; damage is named; a full disk and a failed sync are what the header says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "scratch.h"
#include "store/journal_scan.h"

static uint64_t seed;
static _Atomic bool disk_is_full, sync_fails;

// These stand in front of libc's: a full disk and a disk that loses writes.
int posix_fallocate(int fd, off_t offset, off_t len);
int posix_fallocate(int fd, off_t offset, off_t len) {
  if (atomic_load(&disk_is_full)) return ENOSPC;
  return syscall(SYS_fallocate, fd, 0, offset, len) ? errno : 0;
}
int fdatasync(int fd) {
  if (atomic_load(&sync_fails)) {
    errno = EIO;
    return -1;
  }
  return (int)syscall(SYS_fdatasync, fd);
}

// ---- an oracle ----
struct kept {
  uint64_t place;
  struct frame frame;
  uint8_t *bytes; // of all sections
};
struct oracle {
  struct kept *kept;
  size_t count, cap;
  size_t commits[100000], commit_count; // number of frames after each commit
  uint64_t seq[256];
};

static struct frame random_frame(struct draw *d, uint8_t *scratch, unsigned partition, uint64_t seq, uint32_t epoch,
                                 size_t most) {
  uint8_t kind = (uint8_t)(FRAME_EVENT + draw(d, FRAME_KIND_END - FRAME_EVENT));
  struct frame f = {.kind = kind == FRAME_COMMIT ? FRAME_EVENT : kind,
                    .workspace = (uint16_t)draw(d, 65536),
                    .partition = (uint16_t)partition,
                    .epoch = epoch,
                    .seq = seq,
                    .now_ms = (int64_t)draw(d, 0),
                    .received_ms = (int64_t)draw(d, 1ull << 40),
                    .signals = (uint32_t)draw(d, 0),
                    .models = (uint32_t)draw(d, 0),
                    .policy = (uint32_t)draw(d, 0),
                    .semantics = (uint32_t)draw(d, 0),
                    .number = (uint32_t)draw(d, 0),
                    .previous = draw(d, 0),
                    .from = (uint16_t)draw(d, 256),
                    .from_n = draw(d, 0),
                    .message = {draw(d, 0), draw(d, 0)},
                    .digest = draw(d, 0),
                    .hash = draw(d, 0)};
  draw_bytes(d, f.entity.b, 16);
  struct bytes *s[FRAME_SECTIONS];
  frame_sections(&f, s);
  for (int i = 0; i < FRAME_SECTIONS; i++) {
    size_t n = draw(d, 3) == 0 ? 0 : (size_t)draw(d, most / FRAME_SECTIONS);
    *s[i] = draw_bytes(d, scratch, n);
    scratch += n;
  }
  return f;
}

static void keep(struct oracle *o, uint64_t place, const struct frame *f) {
  if (o->count == o->cap) o->kept = xrealloc(o->kept, (o->cap = o->cap ? o->cap * 2 : 256) * sizeof *o->kept);
  struct kept *k = &o->kept[o->count++];
  *k = (struct kept){.place = place, .frame = *f, .bytes = xmalloc(frame_size(f))};
  uint8_t *to = k->bytes;
  struct bytes *s[FRAME_SECTIONS];
  frame_sections(&k->frame, s);
  for (int i = 0; i < FRAME_SECTIONS; i++) {
    if (s[i]->n) memcpy(to, s[i]->p, s[i]->n);
    s[i]->p = to;
    to += s[i]->n;
  }
}

static void oracle_free(struct oracle *o) {
  for (size_t i = 0; i < o->count; i++) free(o->kept[i].bytes);
  free(o->kept);
  free(o);
}

static void same_frame(const struct frame *a, const struct frame *b) {
  assert_int_equal(a->kind, b->kind);
  assert_int_equal(a->workspace, b->workspace);
  assert_int_equal(a->partition, b->partition);
  assert_int_equal(a->epoch, b->epoch);
  assert_int_equal(a->seq, b->seq);
  assert_memory_equal(a->entity.b, b->entity.b, 16);
  assert_true(a->now_ms == b->now_ms && a->received_ms == b->received_ms);
  assert_true(a->signals == b->signals && a->models == b->models && a->policy == b->policy &&
              a->semantics == b->semantics);
  assert_true(a->number == b->number && a->previous == b->previous && a->digest == b->digest && a->hash == b->hash);
  assert_true(a->from == b->from && a->from_n == b->from_n && hash128_eq(a->message, b->message));
  assert_true(bytes_eq(a->event, b->event) && bytes_eq(a->secret, b->secret) && bytes_eq(a->shared, b->shared));
  assert_true(bytes_eq(a->effects, b->effects) && bytes_eq(a->decision, b->decision) && bytes_eq(a->cause, b->cause));
  assert_true(bytes_eq(a->messages, b->messages));
}

struct check {
  struct oracle *oracle;
  size_t at;
};
static int check_frame(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  (void)err;
  struct check *c = context;
  assert_true(c->at < c->oracle->count);
  assert_int_equal(place, c->oracle->kept[c->at].place);
  same_frame(frame, &c->oracle->kept[c->at].frame);
  c->at++;
  return 0;
}

static struct journal *open_journal(const char *dir, struct oracle *o, uint32_t session, int sync,
                                    const struct journal_tip *tips) {
  struct journal_options options = {.dir = dir,
                                    .log = 1,
                                    .segment_bytes = 1 << 20,
                                    .sync = sync,
                                    .interval_ms = 1,
                                    .session = session,
                                    .partitions = 8,
                                    .shards = 2,
                                    .tips = tips};
  struct journal *j = NULL;
  struct error err = {0};
  if (journal_open(&options, &j, &err)) fail_msg("%s", err.text);
  for (unsigned p = 1; p < 8; p += 2) assert_int_equal(journal_seq(j, p), o ? o->seq[p] : 0);
  return j;
}

static uint64_t stage(struct journal *j, struct oracle *o, struct draw *d, uint32_t session, size_t most) {
  static _Thread_local uint8_t scratch[1 << 18];
  unsigned p = 1 + 2 * (unsigned)draw(d, 4);
  struct frame f = random_frame(d, scratch, p, ++o->seq[p], session, most);
  uint64_t place = journal_stage(j, &f);
  keep(o, place, &f);
  return place;
}

static void commit(struct journal *j, struct oracle *o) {
  struct error err = {0};
  if (journal_commit(j, &err)) fail_msg("%s", err.text);
  o->commits[o->commit_count++] = o->count;
}

static size_t walk(const char *dir, struct oracle *o, int expect, uint64_t *torn, struct error *err) {
  struct check c = {.oracle = o};
  *err = (struct error){0};
  uint64_t t = 0;
  int rc = journal_walk(dir, 1, 0, check_frame, &c, &t, err);
  if (rc != expect) fail_msg("walk gave %d (%s), expected %d", rc, err->text, expect);
  if (torn) *torn = t;
  return c.at;
}

// The tips after everything, from a scan.
static void tips_of(const char *dir, struct journal_tip tips[8]) {
  struct segment_info *list;
  size_t count;
  struct error err = {0};
  assert_int_equal(segment_list(dir, &list, &count, &err), 0);
  struct scan *scan = xcalloc(1, sizeof *scan);
  scan->dir = dir;
  struct scan_end end;
  for (size_t i = 0; i < count; i++)
    if (scan_segment(scan, &list[i], &end, &err)) fail_msg("%s", err.text);
  for (int p = 0; p < 8; p++) tips[p] = scan->tip[p].tip;
  segment_list_free(list, count);
  free(scan);
}

// ---- tests ----
static void what_is_committed_reads_back(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = scratch_new();
  struct oracle *o = xcalloc(1, sizeof *o);
  struct journal_tip tips[8] = {0};
  struct error err = {0};
  for (uint32_t session = 1; session <= 3; session++) {
    struct journal *j = open_journal(dir, o, session, (int)draw(&d, 3), tips);
    for (int i = 0; i < 300; i++) {
      for (uint64_t n = draw(&d, 20); n; n--) stage(j, o, &d, session, draw(&d, 50) == 0 ? 200000 : 4000);
      struct frame f;
      if (o->count && journal_staged(j)) {
        assert_true(journal_peek(j, o->kept[o->count - 1].place, &f));
        same_frame(&f, &o->kept[o->count - 1].frame);
      }
      commit(j, o);
      assert_int_equal(journal_staged(j), 0);
      if (o->count) assert_false(journal_peek(j, o->kept[o->count - 1].place, &f));
      if (i % 50 == 0) assert_int_equal(walk(dir, o, 0, NULL, &err), o->count);
    }
    struct journal_stats stats = journal_stats(j);
    assert_true(stats.commits >= 200 && stats.full == 0);
    // Staged and not committed: never seen again.
    struct frame lost = {.kind = FRAME_EVENT, .partition = 1, .seq = o->seq[1] + 1, .epoch = session};
    journal_stage(j, &lost);
    journal_close(j);
    uint64_t torn;
    assert_int_equal(walk(dir, o, 0, &torn, &err), o->count);
    assert_int_equal(torn, 0);
    tips_of(dir, tips);
  }
  struct journal_reader *r = journal_reader_new(dir);
  struct buf raw;
  buf_init(&raw);
  for (int i = 0; i < 2000; i++) {
    struct kept *k = &o->kept[draw(&d, o->count)];
    struct frame f;
    if (journal_read(r, k->place, &raw, &f, &err)) fail_msg("%s", err.text);
    same_frame(&f, &k->frame);
    assert_int_equal(journal_read(r, k->place + 8, &raw, &f, &err), ITD_ECORRUPT);
  }
  struct frame f;
  assert_int_equal(journal_read(r, 0, &raw, &f, &err), ITD_ENOTFOUND);
  assert_int_equal(journal_read(r, place_of(9, 1, 128), &raw, &f, &err), ITD_ENOTFOUND);
  assert_int_equal(journal_read(r, place_of(1, 1, 128), &raw, &f, &err), ITD_ECORRUPT); // the opening is no frame
  assert_int_equal(journal_read(r, place_of(1, 1, 0xfffffff8u), &raw, &f, &err), ITD_ECORRUPT);
  buf_deinit(&raw);
  journal_reader_free(r);
  oracle_free(o);
  scratch_free(dir);
}

// Files as they lie after a kill: the journal is left open, its files are copied, and it is closed.
static char *copy_of(const char *dir) {
  char *to = scratch_new(), command[1200];
  snprintf(command, sizeof command, "cp -r %s/journal %s/", dir, to);
  assert_int_equal(system(command), 0);
  return to;
}

static int open_segment(const char *dir, uint32_t number) {
  char path[SEGMENT_PATH_MAX];
  segment_path(path, dir, 1, number);
  int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  return fd;
}

// A small journal of one segment: `commits` commits, left as a kill leaves it. Returns its folder; *end is where its
// commits end.
static char *small_journal(struct oracle *o, struct draw *d, int commits, int sync, bool is_closed, uint32_t *end) {
  char *dir = scratch_new();
  struct journal *j = open_journal(dir, NULL, 1, sync, NULL);
  for (int i = 0; i < commits; i++) {
    for (uint64_t n = 1 + draw(d, 5); n; n--) stage(j, o, d, 1, 600);
    commit(j, o);
  }
  if (is_closed) {
    journal_close(j);
    struct stat st;
    int fd = open_segment(dir, 1);
    fstat(fd, &st);
    *end = (uint32_t)st.st_size - (uint32_t)trailer_size(0);
    close(fd);
    return dir;
  }
  char *copy = copy_of(dir);
  journal_close(j);
  struct stat st;
  int fd = open_segment(dir, 1);
  fstat(fd, &st);
  *end = (uint32_t)st.st_size - (uint32_t)trailer_size(0);
  close(fd);
  scratch_free(dir);
  return copy;
}

static void a_torn_tail_is_cut_wherever_it_is_torn(void **state) {
  (void)state;
  struct draw d = {seed + 1};
  struct oracle *o = xcalloc(1, sizeof *o);
  uint32_t end;
  char *dir = small_journal(o, &d, 20, SYNC_ALWAYS, false, &end);
  size_t whole = o->commits[o->commit_count - 1], before = o->commits[o->commit_count - 2];
  uint32_t start = place_offset(o->kept[before].place);
  struct error err;
  uint64_t torn;
  assert_int_equal(walk(dir, o, 0, &torn, &err), whole);
  assert_int_equal(torn, 0);
  int fd = open_segment(dir, 1);
  uint8_t *bytes = xmalloc(end);
  assert_int_equal(pread(fd, bytes, end, 0), end);
  for (uint32_t cut = start; cut < end; cut += 1 + (uint32_t)draw(&d, 15)) {
    // The write stopped at `cut`: zeros follow, or the file ends, or only the last bytes arrived.
    uint8_t *zeros = xcalloc(1, end - cut);
    assert_int_equal(pwrite(fd, zeros, end - cut, cut), end - cut);
    assert_int_equal(walk(dir, o, 0, &torn, &err), before);
    assert_true(torn <= cut - start + 7 && torn % 8 == 0 && (torn > 0 || cut < start + 4));
    assert_int_equal(pwrite(fd, bytes + cut, end - cut, cut), end - cut);
    if (cut >= start + 8) { // fewer may have been zeros before
      size_t n = cut - start;
      assert_int_equal(pwrite(fd, zeros, n < end - cut ? n : end - cut, start), n < end - cut ? n : end - cut);
      assert_int_equal(walk(dir, o, 0, &torn, &err), before);
      assert_int_equal(torn, end - start);
      assert_int_equal(pwrite(fd, bytes + start, end - start, start), end - start);
    }
    free(zeros);
  }
  assert_int_equal(walk(dir, o, 0, &torn, &err), whole);
  assert_int_equal(ftruncate(fd, end - 1), 0);
  assert_int_equal(walk(dir, o, 0, &torn, &err), before);
  close(fd);
  free(bytes);
  oracle_free(o);
  scratch_free(dir);
}

static void any_flipped_byte_is_found(void **state) {
  (void)state;
  struct draw d = {seed + 2};
  for (int is_closed = 0; is_closed < 2; is_closed++) {
    struct oracle *o = xcalloc(1, sizeof *o);
    uint32_t end;
    char *dir = small_journal(o, &d, 12, SYNC_ALWAYS, is_closed, &end);
    size_t whole = o->count, before = o->commits[o->commit_count - 2];
    uint32_t last = place_offset(o->kept[before].place);
    int fd = open_segment(dir, 1);
    for (int i = 0; i < 600; i++) {
      uint32_t at = (uint32_t)draw(&d, i % 3 ? end : SEGMENT_HEADER_SIZE + 400);
      uint8_t old, flipped;
      assert_int_equal(pread(fd, &old, 1, at), 1);
      flipped = (uint8_t)(old ^ (1u << draw(&d, 8)));
      assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
      struct error err = {0};
      struct check c = {.oracle = o};
      uint64_t torn = 0;
      int rc = journal_walk(dir, 1, 0, check_frame, &c, &torn, &err);
      if (at >= last && !is_closed) { // cannot be told from a torn write
        assert_int_equal(rc, 0);
        assert_int_equal(c.at, before);
        assert_true(torn > 0);
      } else if (at >= 8 && at < 12) {
        assert_int_equal(rc, ITD_EVERSION);
      } else {
        assert_int_equal(rc, ITD_ECORRUPT);
        assert_non_null(strstr(err.text, "01-00000001.log"));
      }
      assert_int_equal(pwrite(fd, &old, 1, at), 1);
    }
    struct error err;
    assert_int_equal(walk(dir, o, 0, NULL, &err), whole);
    close(fd);
    oracle_free(o);
    scratch_free(dir);
  }
}

// A frame that is whole by its checksum, but not the one that was there: the chain finds it.
static void a_forged_frame_breaks_the_chain(void **state) {
  (void)state;
  struct draw d = {seed + 3};
  struct oracle *o = xcalloc(1, sizeof *o);
  uint32_t end;
  char *dir = small_journal(o, &d, 6, SYNC_ALWAYS, true, &end);
  int fd = open_segment(dir, 1);
  struct kept *k = &o->kept[draw(&d, o->count)];
  struct frame f = k->frame;
  f.digest ^= 1;
  size_t size = frame_size(&f);
  uint8_t *out = xcalloc(1, size);
  frame_put(out, size, &f, k->place);
  assert_int_equal(pwrite(fd, out, size, place_offset(k->place)), size);
  k->frame.digest ^= 1;
  struct error err;
  walk(dir, o, ITD_ECORRUPT, NULL, &err);
  assert_non_null(strstr(err.text, "chain"));
  free(out);
  close(fd);
  oracle_free(o);
  scratch_free(dir);
}

static void without_syncs_a_hole_is_a_tail(void **state) {
  (void)state;
  struct draw d = {seed + 4};
  struct oracle *o = xcalloc(1, sizeof *o);
  uint32_t end;
  char *dir = small_journal(o, &d, 12, SYNC_OFF, false, &end);
  int fd = open_segment(dir, 1);
  uint8_t x = 0xff;
  size_t hit = 3 + draw(&d, 6);
  size_t before = o->commits[hit - 1];
  assert_int_equal(pwrite(fd, &x, 1, place_offset(o->kept[before].place) + 2), 1);
  struct error err;
  uint64_t torn;
  assert_int_equal(walk(dir, o, 0, &torn, &err), before);
  assert_int_equal(torn, end - place_offset(o->kept[before].place));
  close(fd);
  oracle_free(o);
  scratch_free(dir);
}

static void damage_in_a_full_segment_is_damage(void **state) {
  (void)state;
  struct draw d = {seed + 5};
  char *dir = scratch_new();
  struct oracle *o = xcalloc(1, sizeof *o);
  struct journal *j = open_journal(dir, NULL, 1, SYNC_ALWAYS, NULL);
  while (place_segment(stage(j, o, &d, 1, 20000)) < 3) commit(j, o);
  commit(j, o);
  journal_close(j);
  struct error err;
  assert_int_equal(walk(dir, o, 0, NULL, &err), o->count);
  // The last commit of the first segment, which in a last segment would be a torn tail.
  size_t i = 0;
  while (place_segment(o->kept[i + 1].place) == 1) i++;
  int fd = open_segment(dir, 1);
  uint8_t old, x;
  assert_int_equal(pread(fd, &old, 1, place_offset(o->kept[i].place) + 30), 1);
  x = (uint8_t)~old;
  assert_int_equal(pwrite(fd, &x, 1, place_offset(o->kept[i].place) + 30), 1);
  walk(dir, o, ITD_ECORRUPT, NULL, &err);
  assert_int_equal(pwrite(fd, &old, 1, place_offset(o->kept[i].place) + 30), 1);
  close(fd);
  // A segment that ends early, at a commit's border: its successor goes on after frames that are gone.
  char path[SEGMENT_PATH_MAX];
  segment_path(path, dir, 1, 1);
  assert_int_equal(truncate(path, (off_t)place_offset(o->kept[o->commits[2]].place)), 0);
  walk(dir, o, ITD_ECORRUPT, NULL, &err);
  assert_non_null(strstr(err.text, "goes on after"));
  // A segment that is gone.
  segment_path(path, dir, 1, 2);
  assert_int_equal(unlink(path), 0);
  walk(dir, o, ITD_ECORRUPT, NULL, &err);
  assert_non_null(strstr(err.text, "01-00000002 (.log or .seg) is missing"));
  oracle_free(o);
  scratch_free(dir);
}

static void a_full_disk_stops_and_goes_on(void **state) {
  (void)state;
  struct draw d = {seed + 6};
  char *dir = scratch_new();
  struct oracle *o = xcalloc(1, sizeof *o);
  struct journal *j = open_journal(dir, NULL, 1, SYNC_ALWAYS, NULL);
  struct error err = {0};
  atomic_store(&disk_is_full, true);
  int rc = 0;
  while (rc == 0) { // the first segment, and perhaps the next if it was made before
    for (int i = 0; i < 5; i++) stage(j, o, &d, 1, 6000);
    rc = journal_commit(j, &err);
  }
  assert_int_equal(rc, ITD_EFULL);
  size_t staged = journal_staged(j);
  assert_true(staged > 0 && journal_stats(j).full == 1);
  for (int i = 0; i < 400; i++) { // more than another segment
    uint64_t place = stage(j, o, &d, 1, 6000);
    struct frame f;
    assert_true(journal_peek(j, place, &f));
    if (i % 100 == 0) assert_int_equal(journal_commit(j, &err), ITD_EFULL);
  }
  assert_int_equal(journal_staged(j), staged + 400);
  atomic_store(&disk_is_full, false);
  commit(j, o);
  for (int i = 0; i < 50; i++) stage(j, o, &d, 1, 6000);
  commit(j, o);
  assert_int_equal(walk(dir, o, 0, NULL, &err), o->count);
  journal_close(j);
  assert_int_equal(walk(dir, o, 0, NULL, &err), o->count);
  // And a journal that cannot begin.
  atomic_store(&disk_is_full, true);
  struct journal_options options = {
      .dir = dir, .log = 2, .segment_bytes = 1 << 20, .session = 2, .partitions = 8, .shards = 4};
  assert_int_equal(journal_open(&options, &j, &err), ITD_EFULL);
  atomic_store(&disk_is_full, false);
  options.segment_bytes = 4096;
  assert_int_equal(journal_open(&options, &j, &err), ITD_EINVAL);
  oracle_free(o);
  scratch_free(dir);
}

static void a_failed_sync_is_final(void **state) {
  (void)state;
  struct draw d = {seed + 7};
  for (int sync = SYNC_ALWAYS; sync <= SYNC_INTERVAL; sync++) {
    char *dir = scratch_new();
    struct oracle *o = xcalloc(1, sizeof *o);
    struct journal *j = open_journal(dir, NULL, 1, sync, NULL);
    struct error err = {0};
    stage(j, o, &d, 1, 600);
    commit(j, o);
    atomic_store(&sync_fails, true);
    int rc = 0;
    while (rc == 0) {
      stage(j, o, &d, 1, 600);
      rc = journal_commit(j, &err);
      if (sync == SYNC_INTERVAL) usleep(1000);
      if (place_segment(o->kept[o->count - 1].place) > 1) fail_msg("the failed sync was never told");
    }
    assert_int_equal(rc, ITD_EIO);
    atomic_store(&sync_fails, false);
    assert_int_equal(journal_commit(j, &err), ITD_EIO);
    journal_close(j);
    oracle_free(o);
    scratch_free(dir);
  }
}

static void interval_syncs_by_itself(void **state) {
  (void)state;
  struct draw d = {seed + 8};
  char *dir = scratch_new();
  struct oracle *o = xcalloc(1, sizeof *o);
  struct journal *j = open_journal(dir, NULL, 1, SYNC_INTERVAL, NULL);
  struct error err = {0};
  for (int i = 0; i < 3; i++) {
    uint64_t before = journal_stats(j).syncs;
    stage(j, o, &d, 1, 600);
    commit(j, o);
    while (journal_stats(j).syncs == before) usleep(500);
  }
  stage(j, o, &d, 1, 600);
  commit(j, o);
  assert_int_equal(journal_sync(j, &err), 0);
  journal_close(j);
  oracle_free(o);
  scratch_free(dir);
}

// A tool walks the directory of a live daemon: it sees some beginning of what is written, never damage.
struct live {
  const char *dir;
  _Atomic bool is_over;
  _Atomic uint64_t walks;
};
static int count_frame(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  (void)err, (void)place;
  uint64_t *seq = context;
  return frame->seq == ++seq[frame->partition] ? 0 : ITD_EINTERNAL;
}
static void *walk_live(void *arg) {
  struct live *l = arg;
  do {
    uint64_t seq[256] = {0};
    struct error err = {0};
    int rc = journal_walk(l->dir, 1, 0, count_frame, seq, NULL, &err);
    if (rc) fprintf(stderr, "walk of a live journal: %d %s\n", rc, err.text);
    CHECK(rc == 0);
    atomic_fetch_add(&l->walks, 1);
  } while (!atomic_load(&l->is_over));
  return NULL;
}
static void a_live_journal_can_be_walked(void **state) {
  (void)state;
  struct draw d = {seed + 9};
  for (int sync = SYNC_ALWAYS; sync <= SYNC_OFF; sync++) {
    char *dir = scratch_new();
    struct oracle *o = xcalloc(1, sizeof *o);
    struct journal *j = open_journal(dir, NULL, 1, sync, NULL);
    struct live live = {.dir = dir};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, walk_live, &live), 0);
    for (int i = 0; i < 1500 || atomic_load(&live.walks) < 3; i++) {
      for (uint64_t n = 1 + draw(&d, 8); n; n--) stage(j, o, &d, 1, 2000);
      commit(j, o);
      if (o->count > 20000) break;
    }
    journal_close(j);
    atomic_store(&live.is_over, true);
    pthread_join(thread, NULL);
    oracle_free(o);
    scratch_free(dir);
  }
}

int main(void) {
  seed = seed_of_run();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_committed_reads_back),   cmocka_unit_test(a_torn_tail_is_cut_wherever_it_is_torn),
      cmocka_unit_test(any_flipped_byte_is_found),      cmocka_unit_test(a_forged_frame_breaks_the_chain),
      cmocka_unit_test(without_syncs_a_hole_is_a_tail), cmocka_unit_test(damage_in_a_full_segment_is_damage),
      cmocka_unit_test(a_full_disk_stops_and_goes_on),  cmocka_unit_test(a_failed_sync_is_final),
      cmocka_unit_test(interval_syncs_by_itself),       cmocka_unit_test(a_live_journal_can_be_walked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
