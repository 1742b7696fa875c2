// Being forgotten: nothing of the lead is left and nobody else notices, whatever else happens at that moment, and
// whenever it is cut short.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/log.h"
#include "store/disk_faults.h"
#include "store/forget_first.h"
#include "store/replay.h"
#include "store/shard.h"
#include "world.h"

static uint64_t seed;
enum { USERS = 24 };

static void ingest(struct world *w, uint64_t from, uint64_t to) {
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  for (uint64_t n = from; n < to; n++) {
    make_event(&event, seed, n, USERS);
    buf_clear(&answer);
    int rc = world_take(w, buf_bytes(&event), (int64_t)(1800000000000 + n), &answer, &err);
    if (rc) fail_msg("event %d: %s", (int)n, err.text);
    if (n % 7 == 0 && world_commit(w, &err)) fail_msg("%s", err.text);
  }
  if (world_commit(w, &err)) fail_msg("%s", err.text);
  buf_deinit(&event), buf_deinit(&answer);
}

// ---- who there is ----
struct person {
  char name[64];
  enum identity_kind kind;
  struct hash128 identity;
  struct store_shard *shard;
  struct intake *intake;
};
enum { PEOPLE = 2 * USERS };

static struct person person_of(struct world *w, unsigned n) {
  struct person p = {.kind = n % 2 ? IDENTITY_ANONYMOUS : IDENTITY_USER};
  unsigned u = n / 2;
  snprintf(p.name, sizeof p.name, "user%u@company%u.example", u, u % 7);
  p.identity = store_identity(w->store, 0, p.kind, bytes_str(p.name));
  unsigned shard = store_shard_of(w->store, store_partition_of(w->store, p.identity));
  p.shard = store_shard(w->store, shard);
  p.intake = w->intake[shard];
  return p;
}

static bool lead_of(struct world *w, unsigned n, struct lead_id *id) {
  struct person p = person_of(w, n);
  return store_find(p.shard, p.identity, id);
}

static void count_identity(void *context, enum identity_kind kind, struct bytes value) {
  const struct person *p = *(struct person **)context;
  assert_int_equal(kind, p->kind);
  assert_true(bytes_is(value, p->name));
  *(struct person **)context = NULL; // once
}

// What is known of one person: 0 nobody.
static uint64_t digest_of(struct world *w, unsigned n) {
  struct person p = person_of(w, n), *named = &p;
  struct lead_id id;
  if (!store_find(p.shard, p.identity, &id)) return 0;
  struct lead *lead = store_lead(p.shard, id);
  if (!lead) return 0;
  store_identities(p.shard, id, count_identity, &named);
  assert_null(named);
  return hash_mix(lead_digest(lead), lead_id_hash(id)) | 1;
}

struct everybody {
  uint64_t digest[PEOPLE];
};
static struct everybody everybody(struct world *w) {
  struct everybody all;
  for (unsigned n = 0; n < PEOPLE; n++) all.digest[n] = digest_of(w, n);
  return all;
}

// ---- forgetting ----
struct done {
  _Atomic bool is_done;
  int status;
  uint64_t erased;
};
static void on_done(void *context, const struct forget_job *job) {
  struct done *d = context;
  d->status = job->status;
  d->erased = job->erased;
  atomic_store(&d->is_done, true);
}

static void begin_forgetting(struct world *w, unsigned n, struct done *done) {
  struct error err = {0};
  struct person p = person_of(w, n);
  struct lead_id id;
  *done = (struct done){0};
  assert_true(store_find(p.shard, p.identity, &id));
  if (intake_forget(p.intake, id, "test", on_done, done, &err)) fail_msg("%s", err.text);
  assert_null(store_lead(p.shard, id));
  assert_false(store_find(p.shard, p.identity, &id));
}

static void wait_for(struct done *done) {
  for (int i = 0; i < 60000 && !atomic_load(&done->is_done); i++) usleep(1000);
  assert_true(atomic_load(&done->is_done));
  assert_int_equal(done->status, 0);
}

static void forget(struct world *w, unsigned n) {
  struct done done;
  struct error err = {0};
  begin_forgetting(w, n, &done);
  if (world_commit(w, &err)) fail_msg("%s", err.text);
  wait_for(&done);
  assert_int_equal(done.erased, 2); // key and identity
}

static struct bytes wanted;
static int found_in;
static int look(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st, (void)ftw;
  struct buf b = {0};
  if (type != FTW_F) return 0;
  assert_int_equal(file_read(path, 1 << 30, &b, NULL), 0);
  if (b.n && memmem(b.p, b.n, wanted.p, wanted.n)) {
    found_in++;
    if (!strstr(path, "/vault/") && !strstr(path, "/quarantine/"))
      fail_msg("%.*s is in %s", (int)wanted.n, wanted.p, path);
  }
  buf_deinit(&b);
  return 0;
}
// In how many files of the directory a text stands; only in those where it may.
static int files_with(const char *dir, const char *text) {
  wanted = bytes_str(text);
  found_in = 0;
  nftw(dir, look, 16, FTW_PHYS);
  return found_in;
}

static uint32_t checkpoint_now(struct world *w, bool wait) {
  uint32_t cycle = checkpoint_begin(w->store->checkpoint);
  for (unsigned i = 0; i < w->shards; i++)
    while (!shard_give(store_shard(w->store, i), SIZE_MAX)) {
    }
  if (wait) assert_true(checkpoint_wait(w->store->checkpoint, cycle));
  return cycle;
}

// The files as a kill leaves them, while nothing is being written.
static char *killed(const char *dir) {
  for (int tries = 0; tries < 100; tries++) { // a base may be written meanwhile, and files come and go
    char *to = scratch_new(), command[1200];
    snprintf(command, sizeof command, "cp -r --sparse=always %s/. %s/ 2>/dev/null", dir, to);
    if (system(command) == 0) return to;
    scratch_free(to);
  }
  fail_msg("%s does not come to rest", dir);
  return NULL;
}

static void run(const char *format, const char *a, const char *b) {
  char command[1300];
  snprintf(command, sizeof command, format, a, b);
  assert_int_equal(system(command), 0);
}
static void lose_lmdb(const char *dir) { run("rm -f %s/state/data.mdb%s", dir, ""); }
static void keep_lmdb(const char *dir) { run("cp --sparse=always %s/state/data.mdb %s/older", dir, dir); }
static void put_lmdb_back(const char *dir) { run("mv %s/older %s/state/data.mdb", dir, dir); }

static void make_bases(struct world *w) {
  uint64_t before = store_keep_stats(w->store).bases;
  for (int i = 0; i < 20000 && store_keep_stats(w->store).bases == before; i++) {
    world_turn(w);
    usleep(1000);
  }
  assert_true(store_keep_stats(w->store).bases > before);
}

static void must_be(struct world *w, const struct everybody *expected) {
  for (unsigned n = 0; n < PEOPLE; n++)
    if (digest_of(w, n) != expected->digest[n]) fail_msg("person %u is not as before", n);
}

// Whoever was forgotten is nowhere, in memory and on disk, and the others are as they were: running, started again,
// after a crash, without LMDB, with an older one, from bases.
static void nothing_is_left_and_nobody_else_notices(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 3);
  struct world w;
  struct error err = {0};
  options.keep.base_bytes = 1; // whenever anything was written
  world_must_open(&w, &options);
  ingest(&w, 0, 300);
  make_bases(&w);
  world_close(&w);
  options.keep.base_bytes = UINT64_MAX;
  world_must_open(&w, &options);
  ingest(&w, 300, 400);
  struct everybody expected = everybody(&w);
  for (int round = 0; round < 6; round++) {
    unsigned n = (unsigned)draw(&d, PEOPLE);
    struct lead_id id;
    if (!lead_of(&w, n, &id)) continue;
    struct person p = person_of(&w, n);
    struct error reason = {.code = ITD_EEVENT, .text = "a test"};
    store_quarantine(p.shard, &reason, bytes_str(p.name), 1);
    assert_true(files_with(dir, p.name) >= 2);
    checkpoint_now(&w, true);
    keep_lmdb(dir);
    ingest(&w, 2000 + (uint64_t)round * 20, 2020 + (uint64_t)round * 20);
    expected = everybody(&w);
    assert_true(lead_of(&w, n, &id));
    uint32_t running = 0;
    switch (draw(&d, 4)) {
    case 0: checkpoint_now(&w, true); break;
    case 1: running = checkpoint_now(&w, false); break; // it is being written
    case 2:                                             // it is being gathered
      checkpoint_begin(w.store->checkpoint);
      world_turn(&w);
      break;
    default: break;
    }
    forget(&w, n);
    expected.digest[n] = 0;
    bool has_namesake = expected.digest[n ^ 1] != 0; // the other kind of identity with the same text
    if (!has_namesake) assert_int_equal(files_with(dir, p.name), 0);
    must_be(&w, &expected);
    assert_true(store_is_forgotten(p.shard, id));
    assert_int_equal(intake_forget(p.intake, id, "test", on_done, NULL, &err), ITD_ENOTFOUND);
    if (running) assert_true(checkpoint_wait(w.store->checkpoint, running));
    char *copy = killed(dir);
    if (round % 3 == 1) lose_lmdb(copy);
    if (round % 3 == 2) put_lmdb_back(copy);
    options = small_options(copy, 1 + (unsigned)draw(&d, 5));
    struct world after;
    world_must_open(&after, &options);
    assert_int_equal(after.recovery.forgotten, 0); // it was done to the end
    must_be(&after, &expected);
    world_close(&after);
    if (!has_namesake) assert_int_equal(files_with(copy, p.name), 0);
    scratch_free(copy);
  }
  world_close(&w);
  options = small_options(dir, 2);
  world_must_open(&w, &options);
  must_be(&w, &expected);
  world_close(&w);
  scratch_free(dir);
}

// By the lead's id, as a merge does it: no memory has the identity, LMDB and the vault still do until the thread was there.
static void an_identity_that_only_lmdb_knows_is_gone_at_once(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct error err = {0};
  struct lead_id id[PEOPLE], found;
  bool is_there[PEOPLE];
  struct world w;
  world_must_open(&w, &options);
  ingest(&w, 0, 200);
  for (unsigned n = 0; n < PEOPLE; n++) is_there[n] = lead_of(&w, n, &id[n]);
  checkpoint_now(&w, true);
  world_close(&w);
  world_must_open(&w, &options);
  unsigned count = 0;
  for (unsigned n = 0; n < PEOPLE; n++) {
    if (!is_there[n]) continue;
    struct person p = person_of(&w, n);
    if (intake_forget(p.intake, id[n], "test", NULL, NULL, &err)) fail_msg("%s", err.text);
    assert_false(lead_of(&w, n, &found)); // not committed: the thread has not heard of it
    count++;
  }
  assert_true(count > 0);
  if (world_commit(&w, &err)) fail_msg("%s", err.text);
  world_close(&w);
  scratch_free(dir);
}

// The same identity comes again: it is somebody new; and a retry of what was decided before is refused.
static void who_comes_again_is_somebody_else(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  ingest(&w, 0, 200);
  struct buf event = {0}, answer = {0};
  unsigned n = 0;
  struct lead_id before, now;
  while (!lead_of(&w, n, &before)) n++;
  struct person p = person_of(&w, n);
  struct done done;
  begin_forgetting(&w, n, &done);
  // In the same turn, while nothing of it is committed yet: a retry, and then something new.
  unsigned refused = 0;
  for (uint64_t i = 0; i < 200; i++) {
    make_event(&event, seed, i, USERS);
    struct bytes who;
    bool is_theirs =
        mp_find(buf_bytes(&event), p.kind == IDENTITY_USER ? BYTES_LIT("userId") : BYTES_LIT("anonymousId"), &who) &&
        mp_as_str(who, &who) && bytes_is(who, p.name);
    buf_clear(&answer);
    int rc = world_take(&w, buf_bytes(&event), 1800050000000, &answer, &err);
    assert_int_equal(rc, is_theirs ? ITD_EFORGOTTEN : 0);
    refused += is_theirs;
  }
  assert_true(refused > 0);
  assert_false(lead_of(&w, n, &now)); // nobody was made by that
  buf_clear(&event);
  mp_put_map(&event, 5);
  put_pair(&event, "type", "track");
  put_pair(&event, "event", "Pricing Viewed");
  put_pair(&event, p.kind == IDENTITY_USER ? "userId" : "anonymousId", p.name);
  put_pair(&event, "messageId", "quite new");
  mp_put_cstr(&event, "timestamp");
  mp_put_int(&event, 1800000500000);
  buf_clear(&answer);
  if (world_take(&w, buf_bytes(&event), 1800000500000, &answer, &err)) fail_msg("%s", err.text);
  assert_true(lead_of(&w, n, &now));
  assert_false(lead_id_eq(now, before));
  assert_int_equal(world_commit(&w, &err), 0);
  wait_for(&done);
  struct everybody expected = everybody(&w);
  char *copy = killed(dir);
  world_close(&w);
  for (int lost = 0; lost < 2; lost++) {
    if (lost) lose_lmdb(copy);
    options = small_options(copy, 3);
    world_must_open(&w, &options);
    must_be(&w, &expected);
    assert_true(lead_of(&w, n, &now));
    struct lead_id again = now;
    forget(&w, n); // and again
    expected.digest[n] = 0;
    must_be(&w, &expected);
    ingest(&w, 1000 + (uint64_t)lost * 200, 1200 + (uint64_t)lost * 200);
    expected = everybody(&w);
    if (lead_of(&w, n, &now)) assert_false(lead_id_eq(now, again) || lead_id_eq(now, before));
    if (!lost && !lead_of(&w, n, &now)) lost = 1;
    world_close(&w);
  }
  buf_deinit(&event), buf_deinit(&answer);
  scratch_free(dir);
  scratch_free(copy);
}

// The power goes at any sync, or the process is killed there: afterwards the lead is whole, or wholly gone.
static char *cut_from, *cut_copy;
static bool is_kill; // what was written stays
static void power_goes(void) {
  if (cut_copy) return;
  char command[1200];
  cut_copy = scratch_new();
  snprintf(command, sizeof command, "cp -r --sparse=always %s/. %s/", cut_from, cut_copy);
  assert_int_equal(system(command), 0);
  if (!is_kill) disk_faults_lose(cut_from, cut_copy);
}

static void it_is_ended_after_any_crash(void **state) {
  (void)state;
  struct draw d = {seed + 3};
  unsigned gone = 0, ended = 0, there = 0;
  const char *text = getenv("ROUNDS");
  int rounds = text ? atoi(text) : 10;
  for (int round = 0; round < rounds; round++) {
    char *dir = cut_from = scratch_new();
    struct store_options options = small_options(dir, 1 + (unsigned)draw(&d, 3));
    options.journal.sync = round % 3 == 2 ? SYNC_INTERVAL : SYNC_ALWAYS;
    options.journal.interval_ms = 1000;
    struct world w;
    struct error err = {0};
    char plan[80];
    world_must_open(&w, &options);
    ingest(&w, 0, 120);
    if (round % 2) checkpoint_now(&w, true);
    ingest(&w, 120, 160);
    unsigned n = (unsigned)draw(&d, PEOPLE);
    struct lead_id id;
    while (!lead_of(&w, n, &id)) n = (unsigned)draw(&d, PEOPLE);
    struct everybody before = everybody(&w);
    struct person p = person_of(&w, n);
    struct error reason = {.code = ITD_EEVENT, .text = "a test"};
    store_quarantine(p.shard, &reason, bytes_str(p.name), 1);
    disk_faults_on_power(power_goes);
    is_kill = draw(&d, 2);
    snprintf(plan, sizeof plan, "seed=%d;sync:*:%d:power", (int)draw(&d, 1000), 1 + (int)draw(&d, 8));
    if (disk_faults_start(plan, &err)) fail_msg("%s", err.text);
    struct done done;
    begin_forgetting(&w, n, &done);
    assert_int_equal(world_commit(&w, &err), 0);
    if (draw(&d, 2)) checkpoint_now(&w, true);
    wait_for(&done);
    bool was_cut = cut_copy != NULL;
    if (!was_cut) power_goes();
    disk_faults_stop();
    disk_faults_on_power(NULL);
    world_close(&w);
    if (round % 5 == 4) lose_lmdb(cut_copy);
    bool is_gone = false;
    for (int opening = 0; opening < 2; opening++) {
      options = small_options(cut_copy, 1 + (unsigned)draw(&d, 4));
      if (world_open(&w, &options, &err)) fail_msg("round %d: %s", round, err.text);
      if (opening == 0) {
        is_gone = !digest_of(&w, n);
        ended += w.recovery.forgotten != 0;
      }
      if (options.journal.sync == SYNC_ALWAYS && !was_cut) assert_true(is_gone);
      struct everybody expected = before;
      if (is_gone) expected.digest[n] = 0;
      must_be(&w, &expected);
      if (is_gone && !before.digest[n ^ 1]) assert_int_equal(files_with(cut_copy, p.name), 0);
      assert_int_equal(is_gone, store_is_forgotten(store_shard(w.store, 0), id));
      world_close(&w);
    }
    gone += is_gone, there += !is_gone;
    scratch_free(dir);
    scratch_free(cut_copy);
    cut_copy = NULL;
  }
  print_message("%u there, %u gone, of these %u ended by the start\n", there, gone, ended);
  assert_true(rounds < 30 || (gone && ended));
}

static struct replay_result replayed(const char *dir) {
  struct replay_options options = {.dir = dir, .threads = 2, .vm = VM_LIMITS_DEFAULT};
  struct replay_result result;
  struct error err = {0};
  if (store_replay(&options, &result, &err) < 0) fail_msg("%s", err.text);
  return result;
}

static void replay_leaves_them_out(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 2);
  struct world w;
  world_must_open(&w, &options);
  ingest(&w, 0, 300);
  struct lead_id id[2];
  unsigned n[2] = {0};
  while (!lead_of(&w, n[0], &id[0])) n[0]++;
  for (n[1] = n[0] + 1; !lead_of(&w, n[1], &id[1]);) n[1]++;
  world_close(&w);
  struct replay_result before = replayed(dir);
  world_must_open(&w, &options);
  for (int i = 0; i < 2; i++) forget(&w, n[i]);
  world_close(&w);
  struct replay_result after = replayed(dir);
  assert_int_equal(before.forgotten, 0);
  assert_int_equal(after.forgotten, 2);
  assert_int_equal(after.different, 0);
  assert_true(after.decisions < before.decisions);
  // A ledger that is lost is written again.
  char ledger[1200];
  snprintf(ledger, sizeof ledger, "%s/forgotten", dir);
  assert_int_equal(unlink(ledger), 0);
  world_must_open(&w, &options);
  world_close(&w);
  struct ledger_line *line;
  size_t lines;
  struct error err = {0};
  assert_int_equal(ledger_read(ledger, &line, &lines, &err), 0);
  assert_int_equal(lines, 2);
  for (int i = 0; i < 2; i++) assert_true(ledger_has(line, lines, id[i]));
  free(line);
  // A key that is gone without that is damage.
  world_must_open(&w, &options);
  unsigned m = n[1] + 1;
  struct lead_id other;
  while (!lead_of(&w, m, &other)) m++;
  struct person p = person_of(&w, m);
  struct lead_entry *e = shard_key(p.shard, other);
  uint64_t address[2] = {e->key_address, e->last_identity};
  world_close(&w);
  assert_int_equal(vault_erase(dir, address, 2, &err), 0);
  lose_lmdb(dir);
  struct store *store = NULL;
  assert_int_equal(store_open(&options, &store, NULL, &err), ITD_ECORRUPT);
  assert_non_null(strstr(err.text, "was not forgotten"));
  scratch_free(dir);
}

// Many at once, on several shards, while events come.
static void many_at_once(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 4);
  options.checkpoint_ms = 1;
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  ingest(&w, 0, 400);
  static struct done done[PEOPLE];
  struct lead_id id;
  unsigned asked = 0;
  for (unsigned n = 0; n < PEOPLE; n++) {
    atomic_store(&done[n].is_done, true);
    done[n].status = 0;
    if (!lead_of(&w, n, &id)) continue;
    begin_forgetting(&w, n, &done[n]);
    asked++;
    if (n % 5) continue;
    assert_int_equal(world_commit(&w, &err), 0);
    world_turn(&w);
    ingest(&w, 1000 + n * 3, 1003 + n * 3);
  }
  assert_int_equal(world_commit(&w, &err), 0);
  for (unsigned n = 0; n < PEOPLE; n++) wait_for(&done[n]);
  struct everybody expected = everybody(&w);
  assert_int_equal(store_stats(store_shard(w.store, 0)).forgotten, asked);
  world_close(&w);
  options.checkpoint_ms = 3600000;
  world_must_open(&w, &options);
  must_be(&w, &expected);
  world_close(&w);
  scratch_free(dir);
}

// No room for a step: it is done when there is. A disk that fails at one: the store recovers from its files and has done it.
static void it_is_done_in_the_end_on_a_failing_disk(void **state) {
  (void)state;
  static const char *const plans[] = {"write:vault/erasing:1:ENOSPC", "open:vault/erasing:1:EMFILE",
                                      "write:*/forgotten:1:EDQUOT",   "rename:quarantine/*:1:EROFS",
                                      "sync:vault/erasing:1:EIO",     "sync:vault/*.vault:1:EIO",
                                      "sync:vault/*.vault:2:EIO",     "sync:*/forgotten:1:EIO",
                                      "write:vault/*.vault:2:EIO",    "sync:quarantine/*:1:EIO"};
  for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
    char *dir = scratch_new();
    struct store_options options = small_options(dir, 2);
    struct world w;
    struct error err = {0};
    world_must_open(&w, &options);
    ingest(&w, 0, 60);
    unsigned n = 0;
    struct lead_id id;
    while (!lead_of(&w, n, &id)) n++;
    struct everybody expected = everybody(&w);
    expected.digest[n] = 0;
    struct person p = person_of(&w, n);
    struct error reason = {.code = ITD_EEVENT, .text = "a test"};
    store_quarantine(p.shard, &reason, bytes_str(p.name), 1);
    struct done done;
    begin_forgetting(&w, n, &done);
    if (disk_faults_start(plans[i], &err)) fail_msg("%s", err.text);
    assert_int_equal(world_commit(&w, &err), 0);
    while (!atomic_load(&done.is_done)) usleep(1000);
    disk_faults_stop();
    bool is_broken = strstr(plans[i], "EIO") != NULL;
    if (done.status != (is_broken ? ITD_EIO : 0)) fail_msg("%s: status %d", plans[i], done.status);
    assert_int_equal(store_check(p.shard, &err), is_broken ? ITD_EIO : 0);
    if (is_broken) {
      for (unsigned k = 0; k < w.shards; k++) intake_free(w.intake[k]), w.intake[k] = NULL;
      if (store_reopen(w.store, NULL, &err)) fail_msg("%s: %s", plans[i], err.text);
    }
    must_be(&w, &expected);
    if (!expected.digest[n ^ 1]) assert_int_equal(files_with(dir, p.name), 0);
    assert_true(store_is_forgotten(store_shard(w.store, 0), id));
    world_close(&w);
    scratch_free(dir);
  }
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_left_and_nobody_else_notices),
      cmocka_unit_test(an_identity_that_only_lmdb_knows_is_gone_at_once),
      cmocka_unit_test(who_comes_again_is_somebody_else),
      cmocka_unit_test(it_is_ended_after_any_crash),
      cmocka_unit_test(replay_leaves_them_out),
      cmocka_unit_test(many_at_once),
      cmocka_unit_test(it_is_done_in_the_end_on_a_failing_disk),
  };
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
