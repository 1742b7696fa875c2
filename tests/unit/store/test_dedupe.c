// Duplicates are found inside the window, whatever happens to the files: against a model that remembers everything.
// Random messages and clocks, generations that end at random moments, sidecars, merges, disks that fail, a power cut
// before any step, restarts on other numbers of shards, files that are damaged or gone. ROUNDS and SEED come from the
// environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "scratch.h"
#include "store/dedupe.h"
#include "store/dedupe_private.h"
#include "store/disk_faults.h"
#include "store/ids.h"

enum { PARTITIONS = 8, FRAMES_MAX = 400000, MESSAGES_MAX = 400000, WINDOW_MS = 10000 };
static uint64_t seed;

struct frame_row {
  uint32_t k;
  unsigned partition;
  uint64_t seq;
  int64_t received_ms;
};
static struct frame_row *journal; // place: index + 1
static size_t frames, committed;
static _Atomic size_t committed_for_power;
static uint64_t seq_of[PARTITIONS];
static uint32_t *latest; // of a message: its last frame's place; 0: none
static uint32_t messages;

static struct hash128 message_of(uint32_t k) {
  uint64_t a = hash_mix(seed, k), b = hash_mix(a, 77);
  return (struct hash128){a, k % 50 == 7 ? b & ~0xfffull : b}; // some share their first bits
}
static unsigned partition_of(uint32_t k) { return slot_partition(message_slot(message_of(k)), PARTITIONS); }

// ---- a directory in use ----
static char *dir;
static struct dedupe_files *files;
static struct dedupe shard[PARTITIONS];
static unsigned shards;
static size_t read_again; // frames of the journal, at the last opening
static size_t bound;
static uint32_t cycle;

static struct dedupe *shard_of(unsigned partition) { return &shard[partition % shards]; }
static void load(void *context, const struct dedupe_record *r) {
  (void)context;
  dedupe_load(shard_of(slot_partition(message_slot(r->message), PARTITIONS)), r);
}
static int sync_nothing(void *context, unsigned s, struct error *err) {
  (void)context, (void)s, (void)err;
  return 0;
}

static int64_t newest_ms(void) {
  int64_t newest = INT64_MIN;
  for (size_t i = 0; i < frames; i++)
    if (journal[i].received_ms > newest) newest = journal[i].received_ms;
  return newest;
}

static void open_dir(unsigned n, int64_t window_ms) {
  struct error err = {0};
  shards = n;
  files = dedupe_files_open(&(struct dedupe_files_options){
      .dir = dir, .partitions = PARTITIONS, .window_ms = window_ms, .sync = sync_nothing});
  for (unsigned i = 0; i < n; i++) {
    struct dedupe_options o = {.files = files, .shard = i, .max = bound, .window_ms = window_ms, .recent_ms = 1500};
    for (unsigned slot = 0; slot < SLOTS; slot++)
      if (slot_partition(slot, PARTITIONS) % n == i) slots_add(&o.slots, slot);
    dedupe_init(&shard[i], &o);
  }
  dedupe_files_load(files, load, NULL);
  const uint64_t *covered = dedupe_files_covered(files);
  for (unsigned p = 0; p < PARTITIONS; p++) shard_of(p)->from[p] = covered[p];
  for (unsigned i = 0; i < n; i++) shard[i].is_soon = dedupe_files_are_many(files);
  read_again = 0;
  int64_t newest = newest_ms();
  for (size_t i = 0; i < frames; i++) {
    const struct frame_row *f = &journal[i];
    if (f->seq <= covered[f->partition] || f->received_ms < newest - window_ms) continue;
    read_again++;
    struct dedupe *d = shard_of(f->partition);
    dedupe_add(d, message_of(f->k), i + 1, f->received_ms);
    if (dedupe_spill(d, &err)) fail_msg("%s", err.text);
  }
  for (unsigned p = 0; p < PARTITIONS; p++) assert_true(covered[p] <= seq_of[p]);
  if (dedupe_files_start(files, newest, &err)) fail_msg("%s", err.text);
}

static void close_dir(void) {
  dedupe_files_stop(files);
  for (unsigned i = 0; i < shards; i++) dedupe_deinit(&shard[i]);
  dedupe_files_close(files);
  files = NULL;
}

static unsigned tips_of(unsigned s, struct dedupe_tip *tips) {
  unsigned count = 0;
  for (unsigned p = s; p < PARTITIONS; p += shards)
    tips[count++] = (struct dedupe_tip){.partition = (uint16_t)p, .seq = seq_of[p]};
  return count;
}

static void turn(void) { // what was staged is committed
  struct dedupe_tip tips[PARTITIONS];
  committed = frames;
  atomic_store(&committed_for_power, committed);
  for (unsigned s = 0; s < shards; s++)
    while (dedupe_turn(&shard[s], tips, tips_of(s, tips))) usleep(100); // at its bound: as intake does
}

static void checkpoint(struct draw *d) {
  committed = frames;
  atomic_store(&committed_for_power, committed);
  cycle++;
  for (unsigned s = 0; s < shards; s++) {
    struct dedupe_tip tips[PARTITIONS];
    struct dedupe_log log = {0};
    dedupe_log_begin(&shard[s], &log, tips, tips_of(s, tips));
    while (!dedupe_log_more(&shard[s], &log, 1 + draw(d, 50))) {
    }
    dedupe_files_log(files, &log, cycle);
    if (draw(d, 8) == 0) dedupe_files_log(files, &log, cycle); // tried again, because something else failed
    buf_deinit(&log.records);
  }
}

static void cut_journal(size_t to) {
  frames = committed = to;
  memset(seq_of, 0, sizeof seq_of);
  memset(latest, 0, MESSAGES_MAX * sizeof *latest);
  for (size_t i = 0; i < frames; i++) {
    seq_of[journal[i].partition] = journal[i].seq;
    latest[journal[i].k] = (uint32_t)i + 1;
  }
}

// ---- the model's judgement ----
static int64_t clock_ms = 1500000000000,
               ahead_ms; // in the past of the machine's; ahead_ms: the greatest that it ever showed

// False: a file does not read, and nobody knows.
static bool take(uint32_t k) {
  struct error err = {0};
  uint64_t place, first = latest[k];
  if (clock_ms > ahead_ms) ahead_ms = clock_ms;
  int rc = dedupe_find(shard_of(partition_of(k)), message_of(k), clock_ms, &place, &err);
  if (rc) {
    assert_int_equal(rc, ITD_ECORRUPT);
    return false;
  }
  int64_t first_ms = first ? journal[first - 1].received_ms : INT64_MIN / 2;
  if (first_ms >= ahead_ms - WINDOW_MS && place != first)
    fail_msg("message %u, seen %d ms ago: place %d, not %d", k, (int)(clock_ms - first_ms), (int)place, (int)first);
  // Longer ago than that by a clock that was ahead: forgotten or not, but never another message's.
  if (place) assert_true(journal[place - 1].k == k && journal[place - 1].received_ms >= clock_ms - WINDOW_MS);
  if (place) return true;
  unsigned p = partition_of(k);
  journal[frames++] = (struct frame_row){.k = k, .partition = p, .seq = ++seq_of[p], .received_ms = clock_ms};
  latest[k] = (uint32_t)frames;
  dedupe_add(shard_of(p), message_of(k), frames, clock_ms);
  return true;
}

static void move_clock(struct draw *d) {
  uint64_t chance = draw(d, 2000);
  clock_ms += (int64_t)draw(d, 3);
  if (chance == 0) clock_ms -= (int64_t)draw(d, 3 * WINDOW_MS / 2);
  if (chance == 1) clock_ms += (int64_t)draw(d, WINDOW_MS / 2);
  if (chance == 2) clock_ms += (int64_t)draw(d, 3 * WINDOW_MS);
}

// ---- ends ----
static char *snapshot;
static _Atomic bool power_went;
static size_t committed_at_power;

static char *copy_of(const char *from) {
  char *to = scratch_new(), command[1200];
  snprintf(command, sizeof command, "cp -r %s/. %s/", from, to);
  assert_int_equal(system(command), 0);
  return to;
}

static void power_goes(void) {
  if (atomic_load(&power_went)) return;
  committed_at_power = atomic_load(&committed_for_power);
  snapshot = copy_of(dir);
  disk_faults_lose(dir, snapshot);
  atomic_store(&power_went, true);
}

static char *some_file(struct draw *d) {
  char path[600], *found = NULL;
  snprintf(path, sizeof path, "%s/dedupe", dir);
  DIR *folder = opendir(path);
  unsigned seen = 0;
  for (struct dirent *e; folder && (e = readdir(folder));) {
    if (e->d_name[0] == '.' || draw(d, ++seen)) continue;
    free(found);
    snprintf(path, sizeof path, "%s/dedupe/%s", dir, e->d_name);
    found = xstrdup(path);
  }
  if (folder) closedir(folder);
  return found;
}

static void damage(struct draw *d) {
  char *path = some_file(d);
  struct stat st;
  if (!path || stat(path, &st)) return;
  uint64_t how = draw(d, 4);
  int fd = open(path, O_RDWR);
  if (how == 0) {
    unlink(path);
  } else if (how == 1 && st.st_size) {
    assert_int_equal(ftruncate(fd, (off_t)draw(d, (uint64_t)st.st_size)), 0);
  } else if (how == 2) {
    char command[700];
    snprintf(command, sizeof command, "rm -rf %s/dedupe", dir);
    assert_int_equal(system(command), 0);
  } else if (st.st_size) {
    uint8_t b;
    off_t at = (off_t)draw(d, (uint64_t)st.st_size);
    assert_int_equal(pread(fd, &b, 1, at), 1);
    b ^= (uint8_t)(1u << draw(d, 8));
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
  }
  close(fd);
  free(path);
}

static void restart(struct draw *d, bool is_damaged) {
  close_dir();
  disk_faults_stop();
  if (is_damaged) damage(d);
  bound = 40 + draw(d, 400);
  open_dir(1 + (unsigned)draw(d, PARTITIONS), WINDOW_MS);
}

static void plan_faults(struct draw *d) {
  char text[200];
  struct error err = {0};
  int n = snprintf(text, sizeof text, "seed=%llu;any:dedupe/*:%llu:power", (unsigned long long)draw(d, 1000000),
                   (unsigned long long)(1 + draw(d, 150)));
  if (draw(d, 2)) snprintf(text + n, sizeof text - (size_t)n, ";write:dedupe/*:1/20:ENOSPC;sync:dedupe/*:1/30:EIO");
  if (disk_faults_start(text, &err)) fail_msg("%s", err.text);
}

static void run_for_a_while(struct draw *d) {
  for (int i = 0; i < 4000 && !atomic_load(&power_went) && frames + 1 < FRAMES_MAX; i++) {
    move_clock(d);
    uint32_t k = draw(d, 3) || !messages ? messages++ : (uint32_t)draw(d, messages);
    if (draw(d, 4) == 0 && messages > 300) k = messages - 1 - (uint32_t)draw(d, 300);
    if (k >= MESSAGES_MAX) return;
    if (!take(k)) {
      dedupe_files_distrust(files); // as the store does before it gives up
      cut_journal(committed);
      restart(d, false);
    }
    if (draw(d, 5) == 0) turn();
    if (draw(d, 200) == 0) checkpoint(d);
    if (draw(d, 700) == 0 && !disk_faults_on()) dedupe_files_wait(files);
  }
}

static void nothing_is_decided_twice_inside_the_window(void **state) {
  (void)state;
  const char *text = getenv("ROUNDS");
  int rounds = text ? atoi(text) : 25;
  struct draw d = {seed};
  dir = scratch_new();
  bound = 300;
  disk_faults_on_power(power_goes);
  open_dir(2, WINDOW_MS);
  for (int i = 0; i < rounds; i++) {
    if (draw(&d, 3)) plan_faults(&d);
    run_for_a_while(&d);
    bool went = atomic_load(&power_went);
    if (!went && draw(&d, 2)) { // in order: nothing is read again
      disk_faults_stop();
      turn();
      checkpoint(&d);
      restart(&d, false);
      assert_true(read_again == 0 || i == 0 || draw(&d, 2) < 2);
      continue;
    }
    if (went) {
      close_dir();
      disk_faults_stop();
      scratch_free(dir);
      dir = snapshot;
      snapshot = NULL;
      atomic_store(&power_went, false);
      cut_journal(committed_at_power);
      open_dir(1 + (unsigned)draw(&d, PARTITIONS), WINDOW_MS);
    } else {
      cut_journal(committed);
      restart(&d, draw(&d, 2));
    }
  }
  close_dir();
  disk_faults_stop();
  disk_faults_on_power(NULL);
  scratch_free(dir);
}

// ---- by example ----
static void begin_afresh(size_t max, unsigned n) {
  cut_journal(0);
  messages = 0;
  cycle = 0;
  clock_ms = ahead_ms = 1500000000000;
  bound = max;
  dir = scratch_new();
  open_dir(n, WINDOW_MS);
}

static void take_new(uint32_t count, int64_t step_ms) {
  for (uint32_t i = 0; i < count; i++, clock_ms += step_ms) {
    assert_true(take(messages++));
    if (i % 10 == 9) turn();
  }
  turn();
}

static void files_stay_few_and_go_in_time(void **state) {
  (void)state;
  begin_afresh(200, 1);
  unsigned most = 0;
  for (int i = 0; i < 100; i++) { // ten windows, 100 messages each tenth
    take_new(500, 2);
    dedupe_files_wait(files);
    struct dedupe_files_stats stats = dedupe_files_stats(files);
    if (stats.files > most) most = (unsigned)stats.files;
    assert_true(stats.entries <= 2 * WINDOW_MS / 2 + 1000); // two windows at most: one is merged, and going
  }
  assert_true(most > 4 && most <= 30);
  assert_true(dedupe_files_stats(files).merges > 10);
  assert_true(shard[0].entries <= 200);
  assert_true(shard[0].false_positives < frames / 50);
  clock_ms += 3 * WINDOW_MS;
  take_new(500, 2);
  dedupe_files_wait(files);
  assert_true(dedupe_files_stats(files).files <= 10);
  close_dir();
  scratch_free(dir);
}

static void a_start_reads_only_what_no_file_has(void **state) {
  (void)state;
  struct draw d = {seed};
  begin_afresh(1000, 3);
  take_new(900, 2);
  checkpoint(&d);
  take_new(70, 1);
  close_dir();
  open_dir(5, WINDOW_MS);
  assert_int_equal(read_again, 70);
  checkpoint(&d);
  close_dir();
  open_dir(2, WINDOW_MS); // from sidecars of two kinds
  assert_int_equal(read_again, 0);
  take_new(10, 1);
  close_dir();
  open_dir(8, WINDOW_MS);
  assert_int_equal(read_again, 10);
  for (uint32_t k = 0; k < messages; k++) assert_true(take(k)); // each is a duplicate
  assert_int_equal(frames, messages);
  close_dir();
  open_dir(8, WINDOW_MS + 1); // a longer window: what lies there does not reach far enough
  assert_int_equal(read_again, frames);
  close_dir();
  open_dir(8, WINDOW_MS / 2); // a shorter one
  assert_int_equal(read_again, frames);
  close_dir();
  scratch_free(dir);
}

static void idle_starts_leave_no_heap_of_files(void **state) {
  (void)state;
  struct draw d = {seed};
  begin_afresh(1000, 4);
  take_new(5, 1);
  for (int i = 0; i < 60; i++) {
    checkpoint(&d);
    turn();
    close_dir();
    open_dir(4, WINDOW_MS);
  }
  turn();
  dedupe_files_wait(files);
  char command[700];
  snprintf(command, sizeof command, "test $(ls %s/dedupe | wc -l) -lt 150", dir);
  assert_int_equal(system(command), 0);
  for (uint32_t k = 0; k < messages; k++) assert_true(take(k));
  assert_int_equal(frames, 5);
  close_dir();
  scratch_free(dir);
}

// ---- one run ----
static void a_run_holds_what_was_put_in(void **state) {
  (void)state;
  struct error err = {0};
  struct slots all;
  memset(&all, 0xff, sizeof all);
  char *folder = scratch_new(), path[600];
  snprintf(path, sizeof path, "%s/dedupe", folder);
  assert_int_equal(dir_make(path, &err), 0);
  for (uint64_t count = 1; count <= 5000; count = count * 3 + 1) {
    struct dedupe_record *r = xcalloc(count, sizeof *r);
    for (uint64_t i = 0; i < count; i++) {
      // Hashes that crowd: half of them in the lowest part, and many that share their low half.
      uint64_t lo = i % 2 ? hash_mix(seed, i) : hash_mix(seed, i) >> 40;
      if (i % 7 == 0) lo = 12345;
      r[i] = (struct dedupe_record){{hash_mix(i, seed), lo}, i + 1, (int64_t)i - 100};
    }
    for (uint64_t i = 1; i < count; i++) // insertion keeps it plain
      for (uint64_t k = i; k && dedupe_order(r[k].message, r[k - 1].message) < 0; k--) {
        struct dedupe_record t = r[k];
        r[k] = r[k - 1], r[k - 1] = t;
      }
    struct run_writer *w;
    assert_int_equal(run_begin(folder, 1, &all, count + 10, &w, &err), 0);
    for (uint64_t i = 0; i < count; i++) assert_int_equal(run_add(w, &r[i], &err), 0);
    assert_int_equal(run_end(w, &err), 0);
    struct dedupe_run *run;
    if (run_open(folder, 1, &run, &err)) fail_msg("%s", err.text);
    assert_int_equal(run->count, count);
    struct dedupe_record got;
    for (uint64_t i = 0; i < count; i++) {
      assert_true(run_has_slot(run, message_slot(r[i].message)));
      assert_true(run_may_hold(run_block(run, r[i].message), r[i].message));
      assert_int_equal(run_find(run, r[i].message, &got, &err), 1);
      assert_int_equal(got.place, r[i].place);
      struct hash128 other = {r[i].message.hi ^ 1, r[i].message.lo};
      assert_int_equal(run_find(run, other, &got, &err), 0);
    }
    struct run_cursor *c = xmalloc(sizeof *c);
    run_cursor_init(c, run);
    for (uint64_t i = 0; i < count; i++) {
      assert_int_equal(run_next(c, &got, &err), 1);
      assert_int_equal(got.received_ms, r[i].received_ms);
    }
    assert_int_equal(run_next(c, &got, &err), 0);
    free(c);
    run_release(run);
    free(r);
  }
  scratch_free(folder);
}

// So many blocks that their bytes come round to none: only the file's length says that it cannot be.
static void a_header_that_says_too_much_is_refused(void **state) {
  (void)state;
  enum { PAGE_BYTES = 4096 };
  char path[RUN_PATH_MAX], *folder = scratch_new();
  struct error err = {0};
  struct dedupe_run *run;
  uint8_t h[PAGE_BYTES] = "ITDSEEN\n", index[PAGE_BYTES] = {0};
  snprintf(path, sizeof path, "%s/dedupe", folder);
  assert_int_equal(mkdir(path, 0700), 0);
  run_path(path, folder, 1);
  put32(h + 8, 1), put32(h + 12, 1);
  put64(h + 16, 1), put64(h + 24, 1), put64(h + 32, 1ull << 58);
  put64(h + 56, hash64(bytes_of(index, sizeof index)));
  put64(h + 136, hash64(bytes_of(h, 136)));
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  assert_int_equal(pwrite(fd, h, sizeof h, 0), sizeof h);
  assert_int_equal(pwrite(fd, index, sizeof index, 2 * PAGE_BYTES), sizeof index);
  close(fd);
  assert_int_equal(run_open(folder, 1, &run, &err), ITD_ECORRUPT);
  scratch_free(folder);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR + 1);
  journal = xcalloc(FRAMES_MAX, sizeof *journal);
  latest = xcalloc(MESSAGES_MAX, sizeof *latest);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_holds_what_was_put_in),
      cmocka_unit_test(a_header_that_says_too_much_is_refused),
      cmocka_unit_test(a_start_reads_only_what_no_file_has),
      cmocka_unit_test(files_stay_few_and_go_in_time),
      cmocka_unit_test(idle_starts_leave_no_heap_of_files),
      cmocka_unit_test(nothing_is_decided_twice_inside_the_window),
  };
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  free(journal);
  free(latest);
  return rc;
}
