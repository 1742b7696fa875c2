// A cut of logs that are written while they are read, a backup whose disk fails at any moment, and LMDB looked at from
// another process.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "store/backup.h"
#include "store/cut.h"
#include "store/disk_faults.h"
#include "store/state.h"
#include "world.h"

static uint64_t seed;

// ---- two logs that write to each other ----
enum { MESSAGES = 100, CUTS = 100, FRAMES = 3000 };

struct post { // what one side's synced frame sent to the other
  pthread_mutex_t lock;
  struct {
    struct lead_id from;
    uint32_t number;
    uint64_t n;
  } item[MESSAGES];
  unsigned first, count;
};

struct side {
  unsigned index;
  const char *dir;
  struct post *in, *out;
  pthread_t thread;
};
static _Atomic bool is_over;

static bool take(struct post *p, struct lead_id *from, uint32_t *number, uint64_t *n) {
  pthread_mutex_lock(&p->lock);
  bool has = p->count;
  if (has) {
    *from = p->item[p->first].from;
    *number = p->item[p->first].number;
    *n = p->item[p->first].n;
    p->first = (p->first + 1) % MESSAGES;
    p->count--;
  }
  pthread_mutex_unlock(&p->lock);
  return has;
}

static bool give(struct post *p, struct lead_id from, uint32_t number, uint64_t n) {
  pthread_mutex_lock(&p->lock);
  bool has_room = p->count < MESSAGES;
  if (has_room) {
    unsigned at = (p->first + p->count++) % MESSAGES;
    p->item[at].from = from;
    p->item[at].number = number;
    p->item[at].n = n;
  }
  pthread_mutex_unlock(&p->lock);
  return has_room;
}

static void *write_side(void *arg) {
  struct side *s = arg;
  struct error err = {0};
  struct journal *j;
  struct journal_options options = {.dir = s->dir,
                                    .log = s->index,
                                    .segment_bytes = 1 << 20,
                                    .sync = SYNC_OFF,
                                    .session = 1,
                                    .partitions = 2,
                                    .shards = 2};
  CHECK(journal_open(&options, &j, &err) == 0);
  struct draw d = {hash_mix(seed, s->index)};
  static _Thread_local uint8_t body[4096];
  uint64_t seq = 0, sent = 0;
  struct lead_id me = {{(uint8_t)(s->index + 1)}};
  while (!atomic_load(&is_over)) {
    uint64_t first = seq + 1;
    for (uint64_t i = 0; i < 1 + draw(&d, 4); i++) {
      struct lead_id from;
      uint32_t number;
      uint64_t n;
      char cause[64] = "";
      struct frame f = {.kind = FRAME_EVENT, .partition = (uint16_t)s->index, .epoch = 1, .entity = me};
      if (take(s->in, &from, &number, &n)) {
        f.kind = FRAME_MESSAGE;
        f.from = (uint16_t)!s->index;
        f.from_n = n;
        lead_id_format(from, cause);
        snprintf(cause + LEAD_ID_TEXT - 1, 20, "-%u", number);
        f.cause = bytes_str(cause);
      }
      f.seq = ++seq;
      f.number = (uint32_t)seq;
      f.messages = bytes_of(body, 16);
      f.event = bytes_of(body, draw(&d, sizeof body));
      journal_stage(j, &f);
    }
    CHECK(journal_commit(j, &err) == 0);
    while (first <= seq && give(s->out, me, (uint32_t)first, sent + 1)) first++, sent++;
  }
  journal_close(j);
  return NULL;
}

struct seen {
  uint64_t last[2];  // of each partition
  uint32_t count[2]; // the newest frame of the other one that a frame of it was caused by
};

static void see(struct seen *seen, const struct cut_end *end, struct sealed_cache *cache) {
  struct buf b = {0};
  size_t got, need;
  struct error err = {0};
  CHECK(source_read(end->source, cache, 0, buf_reserve(&b, end->end), end->end, &got, &err) == 0 && got == end->end);
  bool ends_whole = false;
  for (uint32_t at = SEGMENT_HEADER_SIZE; at < end->end;) {
    size_t size = record_check(bytes_of(b.p + at, end->end - at), place_of(end->log, end->segment, at), &need);
    assert_true(size);
    ends_whole = record_kind(b.p + at) == FRAME_COMMIT;
    struct frame f;
    if (!ends_whole) {
      frame_get(b.p + at, &f);
      seen->last[f.partition] = f.seq;
      if (f.kind == FRAME_MESSAGE) {
        char number[16] = "";
        memcpy(number, f.cause.p + LEAD_ID_TEXT, f.cause.n - LEAD_ID_TEXT);
        uint32_t n = (uint32_t)strtoul(number, NULL, 10);
        if (n > seen->count[f.partition]) seen->count[f.partition] = n;
      }
    }
    at += (uint32_t)size;
  }
  assert_true(ends_whole);
  buf_deinit(&b);
}

static void let_them_write(void) { usleep(500); }

static void a_cut_has_no_message_without_its_sender(void **state) {
  (void)state;
  char *dir = scratch_new();
  static struct post post[2];
  pthread_mutex_init(&post[0].lock, NULL);
  pthread_mutex_init(&post[1].lock, NULL);
  struct side side[2] = {{.index = 0, .dir = dir, .in = &post[0], .out = &post[1]},
                         {.index = 1, .dir = dir, .in = &post[1], .out = &post[0]}};
  atomic_store(&is_over, false);
  cut_between_logs = let_them_write;
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&side[i].thread, NULL, write_side, &side[i]) == 0);
  uint64_t before[2] = {0};
  for (int i = 0; i < CUTS || before[0] < FRAMES || before[1] < FRAMES; i++) {
    struct cut cut;
    struct error err = {0};
    if (cut_find(dir, &cut, &err)) fail_msg("%s", err.text);
    struct seen seen = {0};
    for (size_t k = 0; k < cut.count; k++) see(&seen, &cut.end[k], cut.cache);
    for (unsigned p = 0; p < 2 && cut.partitions; p++) {
      if (seen.last[p]) assert_int_equal(seen.last[p], cut.tip[p].seq);
      assert_true(seen.count[p] <= cut.tip[!p].seq); // what caused its last message is there
      assert_true(cut.tip[p].seq >= before[p]);
      before[p] = cut.tip[p].seq;
    }
    cut_close(&cut);
  }
  cut_between_logs = NULL;
  atomic_store(&is_over, true);
  for (int i = 0; i < 2; i++) pthread_join(side[i].thread, NULL);
  scratch_free(dir);
}

// ---- a disk that fails ----
static void send(struct world *w, uint64_t from, uint64_t to) {
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  for (uint64_t n = from; n < to; n++) {
    make_event(&event, seed, n, 40);
    buf_clear(&answer);
    if (world_take(w, buf_bytes(&event), 1767603600000 + (int64_t)n * 600000, &answer, &err)) fail_msg("%s", err.text);
    if (n % 16 == 0 && world_commit(w, &err)) fail_msg("%s", err.text);
  }
  if (world_commit(w, &err)) fail_msg("%s", err.text);
  buf_deinit(&event);
  buf_deinit(&answer);
}

static uint64_t restored(const char *backup) {
  char *scratch = scratch_new(), to[600];
  struct error err = {0};
  struct restore_result r;
  snprintf(to, sizeof to, "%s/data", scratch);
  if (store_restore(&(struct restore_options){.from = backup, .to = to}, &r, &err)) fail_msg("%s", err.text);
  uint64_t frames = r.frames;
  manifest_deinit(&r.manifest);
  scratch_free(scratch);
  return frames;
}

// A backup with a disk that fails by this plan, in a process of its own. Returns its exit status.
static int fail_in_child(const char *dir, const char *to, const char *plan) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    struct backup_result r;
    struct error err = {0};
    CHECK(disk_faults_start(plan, &err) == 0);
    _exit(store_backup(&(struct backup_options){.dir = dir, .to = to}, &r, &err) ? 1 : 0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  return status;
}

static void whatever_the_disk_does_there_is_a_backup(void **state) {
  (void)state;
  static const char *const what[] = {"write:*:%d:ENOSPC", "sync:*:%d:EIO",     "rename:*:%d:EIO",
                                     "write:*:%d:power",  "rename:*:%d:power", "folder:*:%d:power"};
  char *dir = scratch_new(), *scratch = scratch_new(), to[600], plan[80];
  struct world w;
  struct store_options o = small_options(dir, 2);
  struct backup_result r;
  struct error err = {0};
  struct draw d = {seed};
  snprintf(to, sizeof to, "%s/backup", scratch);
  world_must_open(&w, &o);
  send(&w, 0, 300);
  if (store_backup(&(struct backup_options){.dir = dir, .to = to}, &r, &err)) fail_msg("%s", err.text);
  uint64_t reached = r.reached;
  assert_int_equal(restored(to), reached);
  manifest_deinit(&r.manifest);
  uint64_t n = 300;
  for (size_t i = 0; i < 2 * sizeof what / sizeof *what; i++) {
    send(&w, n, n + 30);
    n += 30;
    snprintf(plan, sizeof plan, what[i % (sizeof what / sizeof *what)], 1 + (int)draw(&d, 8));
    int status = fail_in_child(dir, to, plan);
    uint64_t now = restored(to);
    assert_true(now >= reached); // the one of before, or this one
    if (status == 0) assert_true(now > reached);
    reached = now;
  }
  send(&w, n, n + 30);
  if (store_backup(&(struct backup_options){.dir = dir, .to = to}, &r, &err)) fail_msg("%s", err.text);
  assert_true(r.reached > reached && r.kept > 0);
  assert_int_equal(restored(to), r.reached);
  manifest_deinit(&r.manifest);
  world_close(&w);
  scratch_free(dir);
  scratch_free(scratch);
}

// ---- the manifest ----
static void a_manifest_names_nothing_outside(void **state) {
  (void)state;
  static const char *const outside[] = {"../format", "/etc/passwd", "journal/../../x", "a/b/c",
                                        "",          ".hidden",     "journal/"};
  char *dir = scratch_new();
  struct error err = {0};
  for (size_t i = 0; i <= 2 * sizeof outside / sizeof *outside; i++) {
    struct manifest m, back;
    manifest_init(&m);
    m.partitions = 3;
    m.tip[2].seq = UINT64_C(1) << 60;
    struct manifest_file f = {
        .path = (char *)(uintptr_t) "format", .stored = (char *)(uintptr_t) "format@2", .size = 7};
    if (i) *(i % 2 ? &f.path : &f.stored) = (char *)(uintptr_t)outside[(i - 1) / 2];
    manifest_add(&m, &f);
    if (manifest_write(dir, &m, &err)) fail_msg("%s", err.text);
    int rc = manifest_read(dir, &back, &err);
    assert_int_equal(rc, i ? ITD_ECORRUPT : 0);
    if (rc == 0) {
      assert_true(back.partitions == 3 && back.tip[2].seq == m.tip[2].seq && back.count == 1);
      assert_string_equal(manifest_find(&back, "format")->stored, "format@2");
      assert_null(manifest_find(&back, "journal"));
      manifest_deinit(&back);
    }
    manifest_deinit(&m);
  }
  scratch_free(dir);
}

// ---- LMDB from outside ----
static void a_long_reader_is_seen(void **state) {
  (void)state;
  char *dir = scratch_new();
  int ready[2], go[2];
  CHECK(pipe(ready) == 0 && pipe(go) == 0);
  struct error err = {0};
  struct state *s;
  if (state_open(dir, 64 << 20, &s, &err)) fail_msg("%s", err.text);
  struct state_progress progress = {.seq = 7};
  struct state_txn *txn;
  if (state_begin(s, &txn, &err) || state_put_progress(txn, 0, &progress, &err) || state_commit(txn, &err))
    fail_msg("%s", err.text);
  state_close(s);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    struct state *mine;
    struct state_snapshot *snapshot;
    char c = 0;
    CHECK(state_open(dir, 64 << 20, &mine, NULL) == 0 && state_snapshot_open(mine, &snapshot, NULL) == 0);
    CHECK(write(ready[1], &c, 1) == 1 && read(go[0], &c, 1) >= 0);
    _exit(0);
  }
  char c;
  CHECK(read(ready[0], &c, 1) == 1);
  if (state_open(dir, 64 << 20, &s, &err)) fail_msg("%s", err.text);
  for (int i = 0; i < 20; i++)
    if (state_begin(s, &txn, &err) || state_put_progress(txn, 1, &progress, &err) || state_commit(txn, &err))
      fail_msg("%s", err.text);
  state_close(s);
  struct state_look look;
  if (state_look(dir, 2, &look, &err)) fail_msg("%s", err.text);
  assert_true(look.has_oldest && look.oldest_behind >= 20 && look.oldest_pid == (long)pid);
  assert_true(look.has_progress[0] && look.progress[0].seq == 7 && look.used_bytes <= look.map_bytes);
  kill(pid, SIGKILL);
  CHECK(waitpid(pid, NULL, 0) == pid);
  scratch_free(dir);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_cut_has_no_message_without_its_sender),
                                     cmocka_unit_test(whatever_the_disk_does_there_is_a_backup),
                                     cmocka_unit_test(a_manifest_names_nothing_outside),
                                     cmocka_unit_test(a_long_reader_is_seen)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
