// The power goes: of what was written and not yet synced, any sectors may be missing. In mode `always` nothing
// acknowledged is lost; in the others what is left is a beginning of each partition, and the same events sent again
// lead to the same place. The test stands between the store and the disk: it keeps what each write replaced until its
// file is synced, and puts some of it back into a copy.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "store/shard.h"
#include "world.h"

enum { USERS = 30, EVENTS = 500, SECTOR = 512 };
static uint64_t seed;

struct undo {
  char file[64]; // below the data directory
  off_t at;
  size_t n;
  uint8_t *was;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct undo *undo;
static size_t undo_count, undo_cap;
static char watched[512];    // data directory; empty: nothing is kept
static long syncs_left = -1; // of the main thread, until the power goes before one
static _Thread_local bool is_main;
static char *snapshot;
static void power_goes(void);

// The file's name below the data directory, when it is of the journal or the vault. With the lock held.
static bool is_watched(int fd, char file[64]) {
  char link[64], path[512];
  if (!watched[0]) return false;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  size_t dir = strlen(watched);
  if (n <= 0 || (size_t)n <= dir) return false;
  path[n] = 0;
  if (strncmp(path, watched, dir) != 0) return false;
  const char *rest = path + dir + 1;
  if (strncmp(rest, "journal/", 8) != 0 && strncmp(rest, "vault/", 6) != 0) return false;
  snprintf(file, 64, "%.63s", rest);
  return true;
}

static void keep(const char *file, int fd, size_t n, off_t at) {
  struct undo u = {.at = at, .n = n, .was = xcalloc(1, n + 1)};
  memcpy(u.file, file, sizeof u.file);
  if (syscall(SYS_pread64, fd, u.was, n, at) < 0) abort();
  if (undo_count == undo_cap) undo = xrealloc(undo, (undo_cap = undo_cap ? undo_cap * 2 : 64) * sizeof *undo);
  undo[undo_count++] = u;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at) {
  char file[64];
  pthread_mutex_lock(&lock);
  if (is_watched(fd, file)) keep(file, fd, n, at);
  ssize_t k = syscall(SYS_pwrite64, fd, p, n, at);
  int e = errno;
  pthread_mutex_unlock(&lock);
  errno = e;
  return k;
}

// What is on disk needs no undoing; a write that began meanwhile does, so the lock is held for the sync too.
static int sync_and_forget(int fd, long call) {
  char file[64];
  pthread_mutex_lock(&lock);
  int rc = (int)syscall(call, fd), e = errno;
  if (rc == 0 && is_watched(fd, file)) {
    size_t kept = 0;
    for (size_t i = 0; i < undo_count; i++) {
      if (strcmp(undo[i].file, file) != 0)
        undo[kept++] = undo[i];
      else
        free(undo[i].was);
    }
    undo_count = kept;
  }
  pthread_mutex_unlock(&lock);
  errno = e;
  return rc;
}

int fdatasync(int fd) {
  char file[64];
  if (is_main && syncs_left > 0) {
    pthread_mutex_lock(&lock);
    bool counts = is_watched(fd, file);
    pthread_mutex_unlock(&lock);
    if (counts && --syncs_left == 0) power_goes();
  }
  return sync_and_forget(fd, SYS_fdatasync);
}
int fsync(int fd) { return sync_and_forget(fd, SYS_fsync); }

static struct draw chance;

// A copy of the directory as the disk may have it: of each write that was not synced, some sectors as they were before.
static void power_goes(void) {
  snapshot = scratch_new();
  char command[1200], path[700];
  pthread_mutex_lock(&lock);
  snprintf(command, sizeof command, "cp -r --sparse=always %s/. %s/", watched, snapshot);
  assert_int_equal(system(command), 0);
  uint64_t lost = draw(&chance, 4); // all, half, few, none
  for (size_t i = undo_count; i-- > 0;) {
    snprintf(path, sizeof path, "%s/%s", snapshot, undo[i].file);
    int fd = open(path, O_RDWR);
    for (size_t at = 0; fd >= 0 && at < undo[i].n;) {
      size_t n = SECTOR - (size_t)(undo[i].at + (off_t)at) % SECTOR;
      if (n > undo[i].n - at) n = undo[i].n - at;
      bool is_lost = lost == 0 || (lost == 1 && draw(&chance, 2)) || (lost == 2 && draw(&chance, 10) == 0);
      if (is_lost && syscall(SYS_pwrite64, fd, undo[i].was + at, n, undo[i].at + (off_t)at) != (long)n) abort();
      at += n;
    }
    if (fd >= 0) close(fd);
  }
  pthread_mutex_unlock(&lock);
}

static void forget_writes(void) {
  pthread_mutex_lock(&lock);
  watched[0] = 0;
  for (size_t i = 0; i < undo_count; i++) free(undo[i].was);
  undo_count = 0;
  pthread_mutex_unlock(&lock);
}

static uint64_t digest_of(struct world *w) {
  uint64_t h = 0;
  for (unsigned u = 0; u < USERS; u++)
    for (enum identity_kind kind = IDENTITY_USER; kind <= IDENTITY_ANONYMOUS; kind++) {
      char user[64];
      snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
      struct hash128 identity = store_identity(w->store, 0, kind, bytes_str(user));
      struct store_shard *s = store_shard(w->store, store_shard_of(w->store, store_partition_of(w->store, identity)));
      struct lead_id id;
      struct lead *lead;
      if (store_find(s, identity, &id) && (lead = store_lead(s, id)))
        h = hash_mix(hash_mix(h, lead_digest(lead)), lead_id_hash(id));
    }
  return h;
}

static void checkpoint_now(struct world *w) {
  uint32_t cycle = checkpoint_begin(w->store->checkpoint);
  for (unsigned i = 0; i < w->shards; i++)
    while (!shard_give(store_shard(w->store, i), SIZE_MAX)) {
    }
  assert_true(checkpoint_wait(w->store->checkpoint, cycle));
}

// Events from..to in commits of a few; *told: how many were acknowledged when the power went (or at the end).
static void ingest(struct world *w, uint64_t from, uint64_t to, uint64_t *answer, uint64_t *told, uint64_t duplicates) {
  struct buf event, out;
  struct error err = {0};
  buf_init(&event), buf_init(&out);
  uint64_t acked = from, seen = 0;
  for (uint64_t n = from; n < to; n++) {
    make_event(&event, seed, n, USERS);
    buf_clear(&out);
    if (world_take(w, buf_bytes(&event), (int64_t)(1800000000000 + n), &out, &err)) fail_msg("%s", err.text);
    uint64_t hash = hash64(bytes_of(out.p, out.n - 1)) | 1;
    if (answer[n]) assert_int_equal(answer[n], hash);
    answer[n] = hash;
    if (out.p[out.n - 1] == 0xc3)
      seen++;
    else if (n < duplicates)
      fail_msg("event %d was acknowledged, and is gone", (int)n);
    if (draw(&chance, 6) && n + 1 < to) {
      if (draw(&chance, 4) == 0) world_turn(w); // with frames staged: the checkpoint must not see them
      if (draw(&chance, 50) == 0) checkpoint_begin(w->store->checkpoint);
      continue;
    }
    if (world_commit(w, &err)) fail_msg("%s", err.text);
    if (!snapshot) acked = n + 1;
    if (draw(&chance, 60) == 0) checkpoint_now(w);
  }
  if (told) *told = acked;
  buf_deinit(&event), buf_deinit(&out);
}

static void power_may_go_at_any_time(void **state) {
  (void)state;
  const char *text = getenv("ROUNDS");
  int rounds = text ? atoi(text) : 30;
  static uint64_t answer[EVENTS];
  is_main = true;
  chance = (struct draw){seed};
  char *reference = scratch_new();
  struct store_options options = small_options(reference, 2);
  struct world w;
  world_must_open(&w, &options);
  ingest(&w, 0, EVENTS, answer, NULL, 0);
  uint64_t expected = digest_of(&w);
  world_close(&w);
  scratch_free(reference);

  for (int i = 0; i < rounds; i++) {
    char *dir = scratch_new();
    uint64_t told = 0;
    int sync = i % 2 ? SYNC_ALWAYS : draw(&chance, 2) ? SYNC_OFF : SYNC_INTERVAL;
    options = small_options(dir, 1 + (unsigned)draw(&chance, 4));
    options.journal.sync = sync;
    options.journal.interval_ms = 2;
    pthread_mutex_lock(&lock);
    snprintf(watched, sizeof watched, "%s", dir);
    pthread_mutex_unlock(&lock);
    world_must_open(&w, &options);
    if (sync == SYNC_ALWAYS) {
      syncs_left = 1 + (long)draw(&chance, 150);
      ingest(&w, 0, EVENTS, answer, &told, 0);
      syncs_left = -1;
    } else {
      ingest(&w, 0, 1 + draw(&chance, EVENTS), answer, NULL, 0);
    }
    if (!snapshot) power_goes();
    forget_writes();
    world_close(&w);
    char *after = snapshot;
    snapshot = NULL;

    // Twice: what recovery leaves behind must be as good as what it found.
    for (int opening = 0; opening < 2; opening++) {
      options = small_options(after, 1 + (unsigned)draw(&chance, 4));
      struct error err = {0};
      if (world_open(&w, &options, &err)) fail_msg("round %d: %s", i, err.text);
      ingest(&w, 0, EVENTS, answer, NULL, opening ? EVENTS : told);
      assert_int_equal(digest_of(&w), expected);
      world_close(&w);
    }
    scratch_free(dir);
    scratch_free(after);
  }
  free(undo);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {cmocka_unit_test(power_may_go_at_any_time)};
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
