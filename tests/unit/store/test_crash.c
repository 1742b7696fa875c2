// A writer that is killed (SIGKILL) at random moments, on changing numbers of shards, in every sync mode, with the
// checkpoint running. After each kill: what was acknowledged is there, once, and answers as it did; states equal the
// fold of their frames. At the end: all equals a run that was never killed. ROUNDS and SEED come from the environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "store/shard.h"
#include "world.h"

enum { USERS = 40, EVENTS_MAX = 20000 };
static uint64_t seed;
static uint64_t answer_hash[EVENTS_MAX]; // of what was acknowledged; 0: not yet

struct ack {
  uint64_t n, hash;
};

static uint64_t hash_of(const struct buf *answer) {
  return hash64(bytes_of(answer->p, answer->n - 1)) | 1;
} // not of `duplicate`

static struct store_options options_of(const char *dir, struct draw *d) {
  struct store_options o = small_options(dir, 1 + (unsigned)draw(d, 8));
  o.journal.sync = (int)draw(d, 3);
  o.journal.interval_ms = 1;
  o.checkpoint_ms = 1 + (int64_t)draw(d, 20);
  o.dirty_max = 40000 + (size_t)draw(d, 200000);
  if (draw(d, 2)) o.keep.base_bytes = 1 + (size_t)draw(d, 100000); // bases as well
  o.seal = draw(d, 4) != 0;
  return o;
}

// The child: takes events from `from` on until it is killed, and tells of each after its commit.
_Noreturn static void write_until_killed(const char *dir, uint64_t from, int acks, uint64_t choice) {
  struct draw d = {choice};
  struct store_options options = options_of(dir, &d);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  struct buf event;
  buf_init(&event);
  struct ack batch[64];
  for (uint64_t n = from; n < EVENTS_MAX;) {
    size_t count = 1 + (size_t)draw(&d, 64);
    for (size_t i = 0; i < count && n < EVENTS_MAX; i++, n++) {
      struct buf answer;
      buf_init(&answer);
      make_event(&event, seed, n, USERS);
      int rc = world_take(&w, buf_bytes(&event), (int64_t)(1800000000000 + n), &answer, &err);
      CHECK(rc == 0);
      batch[i] = (struct ack){n, hash_of(&answer)};
      buf_deinit(&answer);
      if (draw(&d, 8) == 0) world_turn(&w); // with frames staged: the checkpoint must not see them
      if (i + 1 == count || n + 1 == EVENTS_MAX) count = i + 1;
    }
    CHECK(world_commit(&w, &err) == 0);
    CHECK(write(acks, batch, count * sizeof *batch) == (ssize_t)(count * sizeof *batch));
    world_turn(&w);
    if (draw(&d, 400) == 0) { // now and then it ends in order, which may be cut short too
      world_close(&w);
      options = options_of(dir, &d);
      world_must_open(&w, &options);
    }
  }
  for (;;) pause();
}

// Frames of each message: at most one.
struct once {
  struct table seen;
  uint64_t seq[256];
  uint64_t events;
};
struct seen {
  struct table_entry head;
};
static int see_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  struct once *o = context;
  (void)place;
  if (f->seq != ++o->seq[f->partition]) return error_set(err, ITD_EINTERNAL, "frames are not in sequence");
  if (f->kind != FRAME_EVENT) return 0;
  if (table_find(&o->seen, f->message)) return error_set(err, ITD_EINTERNAL, "a message was decided twice");
  table_add(&o->seen, f->message);
  o->events++;
  return 0;
}

static void check_all(const char *dir, uint64_t acked, struct draw *d) {
  struct error err = {0};
  struct once once = {.events = 0};
  table_init(&once.seen, sizeof(struct seen));
  if (store_walk(dir, -1, see_frame, &once, &err)) fail_msg("walk: %s", err.text);
  assert_true(once.events >= acked);
  table_deinit(&once.seen);

  struct store_options options = options_of(dir, d);
  struct world w;
  if (world_open(&w, &options, &err)) fail_msg("open: %s", err.text);
  struct buf event, answer;
  buf_init(&event), buf_init(&answer);
  for (uint64_t n = 0; n < acked; n++) {
    make_event(&event, seed, n, USERS);
    buf_clear(&answer);
    if (world_take(&w, buf_bytes(&event), 1800050000000, &answer, &err)) fail_msg("%s", err.text);
    assert_int_equal(answer.p[answer.n - 1], 0xc3); // a duplicate
    assert_int_equal(hash_of(&answer), answer_hash[n]);
  }
  for (unsigned u = 0; u < USERS; u++) {
    char user[64];
    snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
    struct hash128 identity = store_identity(w.store, 0, IDENTITY_USER, bytes_str(user));
    struct store_shard *s = store_shard(w.store, store_shard_of(w.store, store_partition_of(w.store, identity)));
    struct lead_id id;
    struct lead *lead, *folded = NULL;
    if (!store_find(s, identity, &id) || !(lead = store_lead(s, id))) continue;
    if (store_lead_before(s, id, lead->number + 1, &folded, &err)) fail_msg("%s", err.text);
    assert_int_equal(lead_digest(folded), lead_digest(lead));
    lead_free(folded);
  }
  buf_deinit(&event), buf_deinit(&answer);
  world_close(&w);
}

// Lets a child write until a random moment; returns the first event that was not acknowledged.
static uint64_t one_life(const char *dir, uint64_t acked, struct draw *d) {
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  uint64_t choice = draw(d, 0);
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(fds[0]);
    write_until_killed(dir, acked, fds[1], choice);
  }
  close(fds[1]);
  // Sometimes at once, while it recovers; mostly after some answers.
  uint64_t wanted = draw(d, 4) ? draw(d, 600) : 0, got = 0;
  struct ack a;
  size_t have = 0;
  if (!wanted) usleep((useconds_t)draw(d, 60000));
  while (got < wanted) {
    ssize_t k = read(fds[0], (char *)&a + have, sizeof a - have);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) break;
    if ((have += (size_t)k) < sizeof a) continue;
    have = 0, got++;
    assert_int_equal(a.n, acked);
    if (answer_hash[a.n]) assert_int_equal(answer_hash[a.n], a.hash);
    answer_hash[acked++] = a.hash;
  }
  usleep((useconds_t)draw(d, 3000));
  kill(child, SIGKILL);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); // and not of a check that failed
  while (read(fds[0], (char *)&a + have, sizeof a - have) == (ssize_t)(sizeof a - have)) { // told before the kill
    have = 0;
    assert_int_equal(a.n, acked);
    answer_hash[acked++] = a.hash;
  }
  close(fds[0]);
  return acked;
}

static void remove_state(const char *dir) {
  char path[700];
  snprintf(path, sizeof path, "%s/state", dir);
  nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t digest_of(const char *dir) {
  struct draw d = {1};
  struct store_options options = options_of(dir, &d);
  struct world w;
  uint64_t h = 0;
  world_must_open(&w, &options);
  for (unsigned u = 0; u < USERS; u++)
    for (enum identity_kind kind = IDENTITY_USER; kind <= IDENTITY_ANONYMOUS; kind++) {
      char user[64];
      snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
      struct hash128 identity = store_identity(w.store, 0, kind, bytes_str(user));
      struct store_shard *s = store_shard(w.store, store_shard_of(w.store, store_partition_of(w.store, identity)));
      struct lead_id id;
      struct lead *lead;
      if (store_find(s, identity, &id) && (lead = store_lead(s, id)))
        h = hash_mix(hash_mix(h, lead_digest(lead)), lead_id_hash(id));
    }
  world_close(&w);
  return h;
}

static void ingest(const char *dir, uint64_t from, uint64_t to) {
  struct draw d = {seed};
  struct store_options options = options_of(dir, &d);
  struct world w;
  struct error err = {0};
  struct buf event, answer;
  buf_init(&event), buf_init(&answer);
  world_must_open(&w, &options);
  for (uint64_t n = from; n < to; n++) {
    make_event(&event, seed, n, USERS);
    buf_clear(&answer);
    assert_int_equal(world_take(&w, buf_bytes(&event), (int64_t)(1800000000000 + n), &answer, &err), 0);
    if (answer_hash[n]) assert_int_equal(hash_of(&answer), answer_hash[n]);
    assert_int_equal(world_commit(&w, &err), 0);
    world_turn(&w);
  }
  world_close(&w);
  buf_deinit(&event), buf_deinit(&answer);
}

static void acknowledged_is_kept(void **state) {
  (void)state;
  struct draw d = {seed};
  const char *text = getenv("ROUNDS");
  int rounds = text ? atoi(text) : 25;
  char *dir = scratch_new(), *reference = scratch_new();
  uint64_t acked = 0;
  for (int i = 0; i < rounds && acked < EVENTS_MAX - 2000; i++) {
    if (draw(&d, 6) == 0) remove_state(dir); // then it is built anew, from bases, journal and vault
    acked = one_life(dir, acked, &d);
    if (draw(&d, 3) == 0) check_all(dir, acked, &d); // else the next child recovers from the kill alone
  }
  check_all(dir, acked, &d);
  assert_true(acked > 0);
  // The last child may have put events on disk that it told nobody of; both runs get to the same place.
  uint64_t to = acked + 200 < EVENTS_MAX ? acked + 200 : EVENTS_MAX;
  ingest(dir, acked, to);
  ingest(reference, 0, to);
  assert_int_equal(digest_of(dir), digest_of(reference));
  printf("%d lives, %llu events acknowledged\n", rounds, (unsigned long long)acked);
  scratch_free(dir);
  scratch_free(reference);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  shipped_policy();
  const struct CMUnitTest tests[] = {cmocka_unit_test(acknowledged_is_kept)};
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
