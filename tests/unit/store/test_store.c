// The store as intake uses it: what was acknowledged is there after every kind of end, on any number of shards, once,
// and equal to a run that never ended.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/journal_format.h"
#include "store/journal_scan.h"
#include "store/shard.h"
#include "world.h"

static uint64_t seed;
enum { USERS = 60 };

// One answer and one state after it for each event, from a run in one piece.
struct row {
  struct buf answer;
};

static void ingest(struct world *w, struct row *rows, uint64_t from, uint64_t to, unsigned batch) {
  struct buf event;
  struct error err = {0};
  buf_init(&event);
  for (uint64_t n = from; n < to; n++) {
    make_event(&event, seed, n, USERS);
    struct buf answer;
    buf_init(&answer);
    if (world_take(w, buf_bytes(&event), (int64_t)(1800000000000 + n), &answer, &err))
      fail_msg("event %d: %s", (int)n, err.text);
    if (rows[n].answer.n)
      assert_true(bytes_eq(buf_bytes(&rows[n].answer), buf_bytes(&answer)));
    else
      buf_append_bytes(&rows[n].answer, buf_bytes(&answer));
    buf_deinit(&answer);
    if (n % batch == batch - 1) {
      if (world_commit(w, &err)) fail_msg("%s", err.text);
      world_turn(w);
    }
  }
  if (world_commit(w, &err)) fail_msg("%s", err.text);
  buf_deinit(&event);
}

static void rows_free(struct row *rows, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) buf_deinit(&rows[i].answer);
  free(rows);
}

// Every event again: each is a duplicate, with its first decision.
static void check_duplicates(struct world *w, const struct row *rows, uint64_t n) {
  struct buf event, answer;
  struct error err = {0};
  buf_init(&event), buf_init(&answer);
  for (uint64_t i = 0; i < n; i++) {
    make_event(&event, seed, i, USERS);
    buf_clear(&answer);
    if (world_take(w, buf_bytes(&event), 1800050000000, &answer, &err)) fail_msg("%s", err.text);
    assert_int_equal(answer.n, rows[i].answer.n);
    assert_memory_equal(answer.p, rows[i].answer.p, answer.n - 1);
    assert_int_equal(answer.p[answer.n - 1], 0xc3);
  }
  buf_deinit(&event), buf_deinit(&answer);
}

// A hash over what is known of every user: states and identities.
static void add_identity(void *context, enum identity_kind kind, struct bytes value) {
  uint64_t *h = context;
  *h += hash64_seed(value, (uint64_t)kind); // in any order
}
static uint64_t digest_of(struct world *w, unsigned *leads) {
  uint64_t h = 0;
  *leads = 0;
  for (unsigned u = 0; u < USERS; u++)
    for (enum identity_kind kind = IDENTITY_USER; kind <= IDENTITY_ANONYMOUS; kind++) {
      char user[64];
      snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
      struct hash128 identity = store_identity(w->store, 0, kind, bytes_str(user));
      struct store_shard *s = store_shard(w->store, store_shard_of(w->store, store_partition_of(w->store, identity)));
      struct lead_id id;
      if (!store_find(s, identity, &id)) continue;
      struct lead *lead = store_lead(s, id);
      assert_non_null(lead);
      (*leads)++;
      h = hash_mix(h, lead_digest(lead));
      h = hash_mix(h, hash64(bytes_of(id.b, 16)));
      uint64_t names = 0;
      store_identities(s, id, add_identity, &names);
      assert_int_equal(names, hash64_seed(bytes_str(user), (uint64_t)kind));
      h = hash_mix(h, names);
    }
  return h;
}

// The files as a kill leaves them: copied while nothing is being written, for a copy takes its time. `w`: who has the directory; NULL: nobody.
static char *killed(struct world *w, const char *dir) {
  char *to = scratch_new(), command[1200];
  if (w) dedupe_files_wait(w->store->dedupe);
  snprintf(command, sizeof command, "cp -r --sparse=always %s/. %s/", dir, to);
  assert_int_equal(system(command), 0);
  return to;
}

static void wait_for_checkpoint(struct world *w) {
  uint32_t cycle = checkpoint_begin(w->store->checkpoint);
  for (unsigned i = 0; i < w->shards; i++)
    while (!shard_give(store_shard(w->store, i), 20000)) {
    }
  assert_true(checkpoint_wait(w->store->checkpoint, cycle));
}

static void it_is_all_there_after_every_end(void **state) {
  (void)state;
  struct draw d = {seed};
  enum { EVENTS = 3000 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  // The reference: one run, never stopped.
  char *reference = scratch_new();
  struct store_options options = small_options(reference, 1);
  struct world w;
  world_must_open(&w, &options);
  ingest(&w, rows, 0, EVENTS, 17);
  unsigned leads;
  uint64_t expected = digest_of(&w, &leads);
  assert_true(leads > 80);
  world_close(&w);

  // The same events with ends of all kinds in between, on changing numbers of shards; answers are compared as they
  // come.
  char *dir = scratch_new();
  uint64_t at = 0;
  bool was_killed = false;
  while (at < EVENTS) {
    options = small_options(dir, 1 + (unsigned)draw(&d, 8));
    options.journal.sync = (int)draw(&d, 3);
    options.dedupe_max = 1 << 20;
    world_must_open(&w, &options);
    if (!was_killed && at) assert_int_equal(w.recovery.frames - w.recovery.skipped <= 8 * 40, 1);
    uint64_t to = at + 1 + draw(&d, 400);
    if (to > EVENTS) to = EVENTS;
    uint64_t middle = at + draw(&d, to - at + 1);
    ingest(&w, rows, at, middle, 1 + (unsigned)draw(&d, 40));
    if (draw(&d, 2)) wait_for_checkpoint(&w);
    ingest(&w, rows, middle, to, 1 + (unsigned)draw(&d, 40));
    at = to;
    was_killed = draw(&d, 2);
    if (was_killed) {
      char *next = killed(&w, dir);
      world_close(&w);
      scratch_free(dir);
      dir = next;
    } else {
      world_close(&w);
    }
  }
  options = small_options(dir, 3);
  world_must_open(&w, &options);
  unsigned found;
  assert_int_equal(digest_of(&w, &found), expected);
  assert_int_equal(found, leads);
  check_duplicates(&w, rows, EVENTS);
  assert_false(w.store->shard[0]->journal == NULL);
  world_close(&w);
  rows_free(rows, EVENTS);
  scratch_free(dir);
  scratch_free(reference);
}

struct history {
  uint64_t seq[256], decisions, hash;
};
static int see_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)err, (void)place;
  struct history *h = context;
  assert_int_equal(f->seq, ++h->seq[f->partition]);
  if (f->kind != FRAME_EVENT && f->kind != FRAME_TIMER) return 0;
  h->decisions++;
  h->hash += hash_mix(hash64(bytes_of(f->entity.b, 16)), hash_mix(f->number, f->hash)); // in any order of partitions
  return 0;
}

static void the_journal_is_the_same_on_any_shards(void **state) {
  (void)state;
  enum { EVENTS = 600 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  uint64_t decisions = 0, hash = 0;
  for (unsigned shards = 1; shards <= 8; shards *= 2) {
    char *dir = scratch_new();
    struct store_options options = small_options(dir, shards);
    struct world w;
    struct error err = {0};
    world_must_open(&w, &options);
    ingest(&w, rows, 0, EVENTS, 29);
    struct history live = {0}, closed = {0}, one = {0};
    assert_int_equal(store_walk(dir, -1, see_frame, &live, &err), 0);
    world_close(&w);
    assert_int_equal(store_walk(dir, -1, see_frame, &closed, &err), 0);
    for (int p = 0; p < 8; p++) assert_int_equal(store_walk(dir, p, see_frame, &one, &err), 0);
    assert_true(live.decisions >= EVENTS);
    assert_memory_equal(&live, &closed, sizeof live);
    assert_memory_equal(&live, &one, sizeof live);
    if (shards == 1) decisions = live.decisions, hash = live.hash;
    assert_int_equal(live.decisions, decisions);
    assert_int_equal(live.hash, hash);
    scratch_free(dir);
  }
  rows_free(rows, EVENTS);
}

// Folding a lead's frames from the first gives the state that each frame recorded.
static void every_earlier_state_can_be_had(void **state) {
  (void)state;
  enum { EVENTS = 400 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  ingest(&w, rows, 0, EVENTS / 2, 10);
  world_close(&w);
  world_must_open(&w, &options);
  ingest(&w, rows, EVENTS / 2, EVENTS, 10);
  struct buf raw;
  buf_init(&raw);
  for (unsigned u = 0; u < 10; u++) {
    char user[64];
    snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
    struct hash128 identity = store_identity(w.store, 0, IDENTITY_USER, bytes_str(user));
    struct store_shard *s = store_shard(w.store, store_shard_of(w.store, store_partition_of(w.store, identity)));
    struct lead_id id;
    if (!store_find(s, identity, &id)) continue;
    struct lead *now = store_lead(s, id), *before = NULL;
    struct frame f;
    for (uint32_t n = 1; n <= now->number; n++) {
      if (store_read_number(s, id, n, &raw, &f, &err)) fail_msg("%s", err.text);
      assert_int_equal(f.number, n);
      if (store_lead_before(s, id, n + 1, &before, &err)) fail_msg("%s", err.text);
      assert_int_equal(lead_digest(before), f.digest);
      assert_int_equal(before->number, n);
      lead_free(before);
    }
    assert_int_equal(store_lead_before(s, id, 1, &before, &err), 0);
    assert_int_equal(before->number, 0);
    lead_free(before);
    assert_int_equal(store_read_number(s, id, now->number + 1, &raw, &f, &err), ITD_ENOTFOUND);
    assert_int_equal(store_read_number(s, id, 0, &raw, &f, &err), ITD_ENOTFOUND);
  }
  struct lead *nobody = NULL;
  assert_int_equal(store_lead_before(store_shard(w.store, 0), (struct lead_id){{0, 9}}, 1, &nobody, &err),
                   ITD_ENOTFOUND);
  buf_deinit(&raw);
  world_close(&w);
  rows_free(rows, EVENTS);
  scratch_free(dir);
}

// ---- damage ----
static uint64_t fingerprint(const char *dir) {
  char command[1200];
  uint64_t h = 0;
  snprintf(command, sizeof command,
           "cd %s && find . -type f ! -name intentd.lock ! -path './state/*' | sort | xargs sha256sum", dir);
  FILE *p = popen(command, "r");
  for (int c; (c = fgetc(p)) != EOF;) h = hash_mix(h, (uint64_t)c);
  pclose(p);
  return h;
}

static void damage_is_named_and_nothing_changed(void **state) {
  (void)state;
  struct draw d = {seed + 1};
  enum { EVENTS = 300 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new(), path[SEGMENT_PATH_MAX];
  struct store_options options = small_options(dir, 2);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  ingest(&w, rows, 0, EVENTS, 10);
  char *copy = killed(&w, dir);
  world_close(&w);
  segment_path(path, copy, (unsigned)draw(&d, 2), 1);
  int fd = open(path, O_RDWR);
  for (int i = 0; i < 20; i++) {
    uint8_t old, x;
    off_t at = 3000 + (off_t)draw(&d, 50000); // of early commits
    assert_int_equal(pread(fd, &old, 1, at), 1);
    x = (uint8_t)~old;
    assert_int_equal(pwrite(fd, &x, 1, at), 1);
    uint64_t before = fingerprint(copy);
    options.dir = copy;
    struct store *store = NULL;
    assert_int_equal(store_open(&options, &store, NULL, &err), ITD_ECORRUPT);
    assert_non_null(strstr(err.text, "-00000001.log"));
    assert_int_equal(fingerprint(copy), before);
    assert_int_equal(pwrite(fd, &old, 1, at), 1);
  }
  close(fd);
  // A journal that was put back to an earlier day, under a state that knows more.
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  segment_path(path, dir, 0, 1);
  assert_int_equal(unlink(path), 0);
  options.dir = dir;
  struct store *store = NULL;
  assert_int_equal(store_open(&options, &store, NULL, &err), ITD_ECORRUPT);
  assert_non_null(strstr(err.text, "but the state has frame"));
  // And whole again.
  options.dir = copy;
  world_must_open(&w, &options);
  check_duplicates(&w, rows, EVENTS);
  world_close(&w);
  rows_free(rows, EVENTS);
  scratch_free(dir);
  scratch_free(copy);
}

static void a_changed_state_is_found_by_its_digest(void **state) {
  (void)state;
  enum { EVENTS = 400 }; // so many that a lead that is changed has another event after it
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 1);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  ingest(&w, rows, 0, 30, 10);
  wait_for_checkpoint(&w);
  ingest(&w, rows, 30, EVENTS, 10);
  char *copy = killed(&w, dir);
  // A lead in LMDB that is not what the journal says it was: the next frame's digest does not hold.
  struct state *s;
  struct state_txn *t;
  assert_int_equal(state_open(copy, options.map_bytes, &s, &err), 0);
  struct state_reader *r = state_reader_new(s);
  struct buf b, block;
  buf_init(&b), buf_init(&block);
  assert_int_equal(state_begin(s, &t, &err), 0);
  unsigned changed = 0;
  for (unsigned u = 0; u < USERS; u++) {
    char user[64];
    snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
    struct store_shard *shard = store_shard(w.store, 0);
    struct lead_id id;
    buf_clear(&b), buf_clear(&block);
    if (!store_find(shard, store_identity(w.store, 0, IDENTITY_USER, bytes_str(user)), &id)) continue;
    if (state_lead(r, id, &b, &err)) continue;
    assert_int_equal(store_unseal(shard, id, buf_bytes(&b), &block, &err), 0);
    ((struct lead *)(void *)block.p)->first_ms ^= 1;
    buf_clear(&b);
    store_seal(shard, id, buf_bytes(&block), &b);
    assert_int_equal(state_put_lead(t, id, INT64_MAX, buf_bytes(&b), &err), 0);
    changed++;
  }
  world_close(&w);
  assert_true(changed > 0);
  assert_int_equal(state_commit(t, &err), 0);
  buf_deinit(&b), buf_deinit(&block);
  state_reader_free(r);
  state_close(s);
  options.dir = copy;
  struct store *store = NULL;
  assert_int_equal(store_open(&options, &store, NULL, &err), ITD_ECORRUPT);
  assert_non_null(strstr(err.text, "gives state"));
  rows_free(rows, EVENTS);
  scratch_free(dir);
  scratch_free(copy);
}

// ---- the checkpoint ----
static void the_checkpoint_runs_beside(void **state) {
  (void)state;
  enum { EVENTS = 1500 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 4);
  options.dirty_max = 60000; // a few leads: intake must slow down and go on
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  struct buf event, answer;
  buf_init(&event), buf_init(&answer);
  unsigned slowed = 0;
  for (uint64_t n = 0; n < EVENTS; n++) {
    make_event(&event, seed, n, USERS);
    if (world_take(&w, buf_bytes(&event), (int64_t)(1800000000000 + n), &rows[n].answer, &err))
      fail_msg("%s", err.text);
    assert_int_equal(world_commit(&w, &err), 0);
    if (store_stats(store_shard(w.store, 0)).dirty_bytes < options.dirty_max) continue;
    slowed++;
    while (store_turn(store_shard(w.store, 0), 0)) { // as shards at the bound do: at the checkpoint's pace
      world_turn(&w);
      usleep(100);
    }
  }
  assert_true(slowed > 0);
  while (store_stats(store_shard(w.store, 0)).checkpoints < 2) world_turn(&w); // half of the bound asks for it
  struct store_stats stats = store_stats(store_shard(w.store, 1));
  assert_int_equal(stats.checkpoint_failures, 0);
  assert_true(stats.leads_in_memory > 0 && stats.identities_in_memory > 0 && stats.dedupe_entries > 0);
  unsigned leads, again;
  uint64_t digest = digest_of(&w, &leads);
  world_close(&w);

  // Closed in order: nothing is folded again, cold leads come from LMDB and the vault.
  options.dedupe_window_ms = 1000000000000;
  world_must_open(&w, &options);
  assert_int_equal(w.recovery.leads, 0);
  assert_int_equal(w.recovery.torn_bytes, 0);
  assert_int_equal(digest_of(&w, &again), digest);
  assert_int_equal(again, leads);
  uint64_t reads = 0;
  for (unsigned i = 0; i < 4; i++) reads += store_stats(store_shard(w.store, i)).lead_reads;
  assert_int_equal(reads, leads);
  check_duplicates(&w, rows, EVENTS);
  world_close(&w);
  buf_deinit(&event), buf_deinit(&answer);
  rows_free(rows, EVENTS);
  scratch_free(dir);
}

// What LMDB has after a cycle is a cut: nothing that happened while it was gathered is in it.
static void a_checkpoint_is_a_cut(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  enum { EVENTS = 3000, IN_ONE = 1 << 20 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  uint64_t next = 300;
  ingest(&w, rows, 0, next, 10);
  for (int round = 0; round < 5; round++) {
    uint32_t cycle = checkpoint_begin(w.store->checkpoint);
    for (bool gave = false; !gave;) {
      gave = true;
      for (unsigned i = 0; i < w.shards; i++) gave = shard_give(store_shard(w.store, i), 1) && gave;
      ingest(&w, rows, next, next + 3, IN_ONE); // most leads change while they wait to be copied
      next += 3;
    }
    assert_true(checkpoint_wait(w.store->checkpoint, cycle));
    unsigned seen = 0;
    for (unsigned u = 0; u < USERS; u++) {
      char user[64];
      snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
      struct hash128 identity = store_identity(w.store, 0, IDENTITY_USER, bytes_str(user));
      unsigned partition = store_partition_of(w.store, identity);
      struct store_shard *s = store_shard(w.store, store_shard_of(w.store, partition));
      struct lead_id id;
      struct state_progress progress;
      struct buf sealed = {0}, block = {0};
      if (!store_find(s, identity, &id) || state_lead(s->state, id, &sealed, &err)) continue;
      assert_int_equal(store_unseal(s, id, buf_bytes(&sealed), &block, &err), 0);
      assert_int_equal(state_progress(s->state, partition, &progress, &err), 0);
      assert_true(((const struct lead *)(const void *)block.p)->seq <= progress.seq);
      buf_deinit(&sealed), buf_deinit(&block);
      seen++;
    }
    assert_true(seen > 10);
  }
  check_duplicates(&w, rows, next);
  world_close(&w);
  rows_free(rows, EVENTS);
  scratch_free(dir);
}

static void a_state_without_room_is_tried_again(void **state) {
  (void)state;
  enum { EVENTS = 800 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  options.map_bytes = 100 << 10; // too small for what comes
  options.checkpoint_ms = 1;
  struct world w;
  world_must_open(&w, &options);
  ingest(&w, rows, 0, EVENTS, 20);
  while (store_stats(store_shard(w.store, 0)).checkpoint_failures < 2) world_turn(&w);
  unsigned leads, again;
  uint64_t digest = digest_of(&w, &leads);
  world_close(&w);
  options.map_bytes = 64 << 20;
  world_must_open(&w, &options); // nothing was lost
  assert_int_equal(digest_of(&w, &again), digest);
  world_close(&w);
  world_must_open(&w, &options);
  assert_int_equal(w.recovery.leads, 0);
  assert_int_equal(digest_of(&w, &again), digest);
  world_close(&w);
  rows_free(rows, EVENTS);
  scratch_free(dir);
}

// Segments that LMDB has, and whose messages are older than the window, are not read again.
static void recovery_reads_what_it_needs(void **state) {
  (void)state;
  enum { EVENTS = 2500 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 1);
  options.dedupe_window_ms = 100; // received_ms grows by one an event
  struct world w;
  world_must_open(&w, &options);
  ingest(&w, rows, 0, EVENTS, 20);
  assert_true(journal_stats(w.store->shard[0]->journal).bytes > 3 << 20);
  world_close(&w);
  for (unsigned shards = 1; shards <= 4; shards++) {
    options.shards = shards;
    world_must_open(&w, &options);
    assert_true(w.recovery.frames < EVENTS / 2 &&
                w.recovery.frames - w.recovery.skipped <= 8 * shards); // RELEASE frames
    assert_int_equal(w.recovery.leads, 0);
    unsigned leads;
    digest_of(&w, &leads);
    world_close(&w);
    options.dedupe_window_ms = 100;
  }
  rows_free(rows, EVENTS);
  scratch_free(dir);
}

static void a_directory_of_another_shape_is_refused(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 9);
  struct store *store = NULL;
  struct error err = {0};
  assert_int_equal(store_open(&options, &store, NULL, &err), ITD_EINVAL); // 9 shards for 8 partitions
  options.shards = 8;
  assert_int_equal(store_open(&options, &store, NULL, &err), 0);
  struct store *second = NULL;
  assert_int_equal(store_open(&options, &second, NULL, &err), ITD_EBUSY);
  assert_int_equal(store_last_release(store), 0);
  assert_null(store_version(store, 1));
  uint32_t a = 0, b = 0;
  assert_int_equal(store_version_put(store, shipped_policy(), &a, &err), 0);
  assert_int_equal(store_version_put(store, shipped_policy(), &b, &err), 0);
  assert_true(a == 1 && b == 1);
  store_close(store);
  options.partitions = 200; // it keeps its own
  assert_int_equal(store_open(&options, &store, NULL, &err), 0);
  assert_int_equal(store_partitions(store), 8);
  struct policy *policy = store_version(store, 1); // from its archive
  assert_non_null(policy);
  assert_string_equal(policy_info(policy)->hash, policy_info(shipped_policy())->hash);
  assert_null(store_version(store, 2));
  store_close(store);
  struct world w;
  options.shards = 2;
  world_must_open(&w, &options);
  assert_int_equal(world_commit(&w, &err), 0);
  assert_int_equal(store_last_release(w.store), 1);
  world_close(&w);
  assert_int_equal(store_open(&options, &store, NULL, &err), 0);
  assert_int_equal(store_last_release(store), 1);
  store_close(store);
  scratch_free(dir);
}

// Versions 2, 3, then 2 again, each by a clock that was set further back: the last one is the newest, also after a crash.
static void a_clock_set_back_keeps_the_newest_release(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  static const uint32_t versions[] = {2, 3, 2};
  for (int i = 0; i < 3; i++) {
    for (unsigned p = 0; p < store_partitions(w.store); p++) {
      struct frame frame = {.kind = FRAME_RELEASE, .partition = (uint16_t)p, .policy = versions[i]};
      frame.received_ms = 1000000 - i * 1000;
      store_append(store_shard(w.store, store_shard_of(w.store, p)), &frame);
    }
    assert_int_equal(world_commit(&w, &err), 0);
    assert_int_equal(store_last_release(w.store), versions[i]);
  }
  world_close(&w);
  struct store *store = NULL;
  assert_int_equal(store_open(&options, &store, NULL, &err), 0);
  assert_int_equal(store_last_release(store), 2);
  store_close(store);
  assert_int_equal(store_partitions_in(dir), 8);
  scratch_free(dir);
  assert_int_equal(store_partitions_in("/nowhere"), 0);
}

// However many threads fold the journal, what comes of it is the same.
static void recovery_is_the_same_on_any_threads(void **state) {
  (void)state;
  enum { EVENTS = 1500 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 4);
  struct world w;
  world_must_open(&w, &options);
  ingest(&w, rows, 0, EVENTS, 17);
  unsigned leads, found;
  uint64_t expected = digest_of(&w, &leads);
  char *copy = killed(&w, dir);
  world_close(&w);
  for (unsigned i = 0; i < 12; i++) {
    char *one = killed(NULL, copy);
    options = small_options(one, i % 3 == 0 ? 1 : i % 3 == 1 ? 4 : 7);
    options.recovery_threads = 1u << i / 3;
    world_must_open(&w, &options);
    assert_true(w.recovery.frames - w.recovery.skipped >= EVENTS);
    assert_int_equal(digest_of(&w, &found), expected);
    assert_int_equal(found, leads);
    check_duplicates(&w, rows, EVENTS);
    world_close(&w);
    scratch_free(one);
  }
  scratch_free(copy);
  scratch_free(dir);
  rows_free(rows, EVENTS);
}

// What a start would have to read is bounded, whatever the interval: a cycle begins early, and intake waits for it.
static void the_journal_behind_a_checkpoint_is_bounded(void **state) {
  (void)state;
  enum { EVENTS = 1500, BOUND = 400000 };
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  options.checkpoint_journal = BOUND;
  struct world w;
  world_must_open(&w, &options);
  for (uint64_t n = 0; n < EVENTS; n += 10) {
    ingest(&w, rows, n, n + 10, 10);
    while (store_turn(store_shard(w.store, 0), 0)) world_turn(&w), usleep(100);
    assert_true(store_stats(store_shard(w.store, 1)).journal_bytes < BOUND);
  }
  assert_true(journal_stats(w.store->shard[0]->journal).bytes + journal_stats(w.store->shard[1]->journal).bytes >
              4 * BOUND);
  assert_true(store_stats(store_shard(w.store, 0)).checkpoints >= 4);
  world_close(&w);
  rows_free(rows, EVENTS);
  scratch_free(dir);
}

// ---- refused for its time ----
static void make_timed(struct buf *b, const char *id, const char *user, int64_t timestamp_ms) {
  buf_clear(b);
  mp_put_map(b, 4);
  put_pair(b, "messageId", id);
  put_pair(b, "userId", user);
  put_pair(b, "event", "Docs Viewed");
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, timestamp_ms);
}

// The clock decides whether an event's time is within bounds: its duplicate gets what was answered first, whatever the
// clock says by then, and so does the duplicate of an event that was taken.
static void what_the_clock_decided_stands(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct world w;
  struct error first = {0}, err = {0};
  struct buf early, fine, none, answer, again, anew;
  buf_init(&early), buf_init(&fine), buf_init(&none), buf_init(&answer), buf_init(&again), buf_init(&anew);
  const int64_t now = 1800000000000, day = 86400000;
  make_timed(&early, "early", "somebody", now + 2 * day);
  make_timed(&fine, "fine", "somebody", now + day / 2);
  make_timed(&none, "", "nobody", now + 2 * day);
  world_must_open(&w, &options);
  assert_int_equal(world_take(&w, buf_bytes(&early), now, &answer, &first), ITD_ETIME);
  assert_int_equal(world_take(&w, buf_bytes(&none), now, &answer, &err), ITD_ETIME); // no messageId: judged again
  assert_int_equal(world_take(&w, buf_bytes(&none), now + 2 * day, &anew, &err), 0);
  assert_int_equal(world_take(&w, buf_bytes(&early), now, &answer, &err), ITD_ETIME); // before it is even synced
  assert_int_equal(world_take(&w, buf_bytes(&fine), now, &answer, &err), 0);
  assert_int_equal(world_commit(&w, &err), 0);
  for (int round = 0; round < 4; round++) {
    // It would be within bounds by now, and the other one would not.
    memset(&err, 0, sizeof err);
    assert_int_equal(world_take(&w, buf_bytes(&early), now + day - 1000, &again, &err), ITD_ETIME);
    assert_string_equal(err.text, first.text);
    buf_clear(&again);
    assert_int_equal(world_take(&w, buf_bytes(&fine), now - day, &again, &err), 0);
    assert_int_equal(again.n, answer.n);
    assert_memory_equal(again.p, answer.p, answer.n - 1);
    assert_int_equal(again.p[again.n - 1], 0xc3);
    buf_clear(&again);
    assert_int_equal(world_commit(&w, &err), 0);
    if (round == 1) wait_for_checkpoint(&w);
    char *next = round == 2 ? NULL : killed(&w, dir);
    world_close(&w);
    if (next) scratch_free(dir), dir = next;
    options = small_options(dir, 1 + (unsigned)round * 2);
    world_must_open(&w, &options);
  }
  // Outside of the window it is judged anew.
  buf_clear(&again);
  assert_int_equal(world_take(&w, buf_bytes(&early), now + 2 * day, &again, &err), 0);
  world_close(&w);
  buf_deinit(&early), buf_deinit(&fine), buf_deinit(&none), buf_deinit(&answer), buf_deinit(&again), buf_deinit(&anew);
  scratch_free(dir);
}

static void must_be_seen(struct world *w, const char *id, int64_t received_ms, bool before) {
  struct buf event, answer;
  struct error err = {0};
  buf_init(&event), buf_init(&answer);
  make_timed(&event, id, id, received_ms);
  if (world_take(w, buf_bytes(&event), received_ms, &answer, &err)) fail_msg("%s", err.text);
  if ((answer.p[answer.n - 1] == 0xc3) != before) fail_msg("%s was %s", id, before ? "decided twice" : "seen before");
  if (world_commit(w, &err)) fail_msg("%s", err.text);
  buf_deinit(&event), buf_deinit(&answer);
}

// The clock was ahead by days for a while: what comes after it was mended is a duplicate in its window, whatever the journal
// has seen.
static void a_clock_set_back_ends_no_window(void **state) {
  (void)state;
  const int64_t now = clock_wall_ms(), day = 86400000;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct world w;
  world_must_open(&w, &options);
  must_be_seen(&w, "ahead", now + 10 * day, false);
  world_close(&w);
  world_must_open(&w, &options);
  must_be_seen(&w, "first", now, false);
  char *next = killed(&w, dir);
  world_close(&w);
  scratch_free(dir);
  dir = next;
  options = small_options(dir, 2);
  options.dedupe_recent_ms = 50;
  world_must_open(&w, &options);
  must_be_seen(&w, "first", now + 1000, true); // from the journal
  for (int i = 0; i < 3; i++) {
    char id[40];
    for (int k = 0; k < 16; k++) {
      snprintf(id, sizeof id, "more-%d-%d", i, k);
      must_be_seen(&w, id, now + 2000 + i * 100, false);
    }
    world_turn(&w);
    dedupe_files_wait(w.store->dedupe);
    world_turn(&w);
  }
  assert_true(store_stats(store_shard(w.store, 0)).dedupe_files > 0);
  for (int k = 0; k < 16; k++) {
    char id[40];
    snprintf(id, sizeof id, "more-0-%d", k);
    must_be_seen(&w, id, now + 4000, true); // from a file
  }
  world_close(&w);
  scratch_free(dir);
}

// How late it is must outlive a session in which nothing came and that was killed: retention and the window go by it.
static void a_session_without_frames_keeps_the_time(void **state) {
  (void)state;
  struct row *rows = xcalloc(20, sizeof *rows);
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  ingest(&w, rows, 0, 20, 5);
  world_close(&w);
  for (int i = 0; i < 3; i++) {
    struct store *store;
    options = small_options(dir, 2);
    if (store_open(&options, &store, NULL, &err)) fail_msg("%s", err.text);
    dedupe_files_wait(store->dedupe);
    char *next = killed(NULL, dir);
    struct segment_info *list;
    size_t count;
    assert_int_equal(segment_list(next, &list, &count, &err), 0);
    assert_true(count && list[count - 1].has_opening);
    assert_int_equal(list[count - 1].received_ms, 1800000000019);
    segment_list_free(list, count);
    store_close(store);
    scratch_free(dir);
    dir = next;
  }
  rows_free(rows, 20);
  scratch_free(dir);
}

// Without its folder, with damage in it, or with more messages than memory may hold: exactly once all the same.
static void the_folder_of_messages_may_be_lost(void **state) {
  (void)state;
  enum { EVENTS = 2500 };
  struct draw d = {seed + 3};
  struct row *rows = xcalloc(EVENTS, sizeof *rows);
  char *dir = scratch_new(), command[1200];
  uint64_t at = 0;
  for (int round = 0; round < 8; round++) {
    struct store_options options = small_options(dir, 1 + (unsigned)draw(&d, 8));
    options.dedupe_max = 400; // files all the time
    options.dedupe_recent_ms = 50;
    struct world w;
    world_must_open(&w, &options);
    for (unsigned p = 0; round % 4 == 1 && p < 8; p++) // all was there: since then there is a RELEASE frame
      assert_int_equal(dedupe_files_covered(w.store->dedupe)[p],
                       journal_seq(w.store->shard[p % w.shards]->journal, p) - 1);
    ingest(&w, rows, at, at + EVENTS / 8, 10);
    at += EVENTS / 8;
    dedupe_files_wait(w.store->dedupe);
    check_duplicates(&w, rows, at);
    struct store_stats stats = store_stats(store_shard(w.store, 0));
    assert_true(stats.dedupe_files > 0 && stats.dedupe_file_entries > 0 && stats.dedupe_failures == 0);
    uint64_t hits = 0;
    for (unsigned i = 0; i < w.shards; i++) {
      stats = store_stats(store_shard(w.store, i));
      hits += stats.dedupe_file_hits;
      assert_true(stats.dedupe_entries <= 400);
    }
    assert_true(hits > 0);
    world_close(&w);
    static const char *const how[] = {"true", "rm -rf %s/dedupe", "rm %s/dedupe/*.run",
                                      "truncate -s -1 %s/dedupe/manifest"};
    snprintf(command, sizeof command, how[round % 4], dir);
    assert_int_equal(system(command), 0);
  }
  rows_free(rows, EVENTS);
  scratch_free(dir);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_is_all_there_after_every_end),
      cmocka_unit_test(the_journal_is_the_same_on_any_shards),
      cmocka_unit_test(every_earlier_state_can_be_had),
      cmocka_unit_test(damage_is_named_and_nothing_changed),
      cmocka_unit_test(a_changed_state_is_found_by_its_digest),
      cmocka_unit_test(the_checkpoint_runs_beside),
      cmocka_unit_test(a_checkpoint_is_a_cut),
      cmocka_unit_test(a_state_without_room_is_tried_again),
      cmocka_unit_test(recovery_reads_what_it_needs),
      cmocka_unit_test(a_directory_of_another_shape_is_refused),
      cmocka_unit_test(a_clock_set_back_keeps_the_newest_release),
      cmocka_unit_test(recovery_is_the_same_on_any_threads),
      cmocka_unit_test(the_journal_behind_a_checkpoint_is_bounded),
      cmocka_unit_test(what_the_clock_decided_stands),
      cmocka_unit_test(the_folder_of_messages_may_be_lost),
      cmocka_unit_test(a_clock_set_back_ends_no_window),
      cmocka_unit_test(a_session_without_frames_keeps_the_time),
  };
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
