// Another number of partitions: a stream goes on as if nothing had happened, whatever stops the change leaves the one
// number or the other, and a boundary that was tampered with is found.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/le.h"
#include "base/log.h"
#include "post.h"
#include "store/backup.h"
#include "store/base.h"
#include "store/disk_faults.h"
#include "store/journal_scan.h"
#include "store/replay.h"
#include "store/reshard.h"
#include "store/retention.h"
#include "store/verify.h"

enum { USERS = 40, EVENTS = 600, HALF = 120 };
static uint64_t seed;
static struct draw chance;
static uint64_t answer[EVENTS];   // of a directory that was never resharded: the decision without `duplicate`
static char decision[EVENTS][64]; // their ids
static uint64_t digest_half, digest_all, replay_hash;

static struct store_options options_of(const char *dir, unsigned partitions) {
  struct store_options o = small_options(dir, 1 + (unsigned)draw(&chance, partitions < 4 ? partitions : 4));
  o.partitions = 16;
  o.dedupe_window_ms = INT64_MAX / 4;
  return o;
}

static void open_world(struct world *w, const char *dir) {
  unsigned partitions = store_partitions_in(dir);
  struct store_options o = options_of(dir, partitions ? partitions : 16);
  world_must_open(w, &o);
}

static void id_of(struct bytes map, char out[64]) {
  struct bytes id;
  assert_true(mp_find(map, BYTES_LIT("decision_id"), &id) && mp_as_str(id, &id));
  snprintf(out, 64, "%.*s", (int)id.n, (const char *)id.p);
}

// Events from..to, and now and then an earlier one once more: always the decision of the directory that was never resharded.
static void ingest(struct world *w, uint64_t from, uint64_t to, bool is_first) {
  struct buf event = {0}, out = {0};
  struct error err = {0};
  for (uint64_t n = from; n < to; n++) {
    for (uint64_t k = n; k <= n; k = !is_first && n && draw(&chance, 4) == 0 ? draw(&chance, n) : n + 1) {
      make_event(&event, seed, k, USERS);
      buf_clear(&out);
      if (world_take(w, buf_bytes(&event), (int64_t)(1800000000000 + n), &out, &err)) fail_msg("%s", err.text);
      uint64_t hash = hash64(bytes_of(out.p, out.n - 1));
      if (is_first) answer[k] = hash;
      if (is_first) id_of(buf_bytes(&out), decision[k]);
      if (answer[k] != hash) fail_msg("event %d is decided otherwise", (int)k);
      if (k < from && out.p[out.n - 1] != 0xc3) fail_msg("event %d is gone", (int)k);
    }
    if (draw(&chance, 6) == 0 && world_commit(w, &err)) fail_msg("%s", err.text);
    if (draw(&chance, 20) == 0) world_turn(w);
  }
  if (world_commit(w, &err)) fail_msg("%s", err.text);
  buf_deinit(&event), buf_deinit(&out);
}

static struct reshard_result reshard(const char *dir, unsigned partitions) {
  struct reshard_result r;
  struct error err = {0};
  if (store_reshard(&(struct reshard_options){.dir = dir, .partitions = partitions}, &r, &err))
    fail_msg("%s", err.text);
  assert_int_equal(r.after, partitions);
  assert_int_equal(store_partitions_in(dir), partitions);
  return r;
}

static struct replay_result replayed(const char *dir, unsigned threads) {
  struct replay_options o = {.dir = dir, .threads = threads, .vm = VM_LIMITS_DEFAULT};
  struct replay_result r;
  struct error err = {0};
  if (store_replay(&o, &r, &err)) fail_msg("%s", err.text);
  assert_int_equal(r.different, 0);
  return r;
}

static void must_be_whole(const char *dir) {
  struct verify_result *r = xcalloc(1, sizeof *r);
  struct error err = {0};
  if (store_verify(&(struct verify_options){.dir = dir}, r, &err)) fail_msg("%s", err.text);
  if (!r->is_whole) fail_msg("%s", r->finding[0].text);
  free(r->tip);
  free(r);
}

// A decision of before any boundary is found, and comes out the same when it is computed again.
static void explain_some(struct world *w, uint64_t before) {
  struct buf out = {0};
  struct error err = {0};
  for (int i = 0; i < 10; i++) {
    struct bytes id = bytes_str(decision[draw(&chance, before)]), value;
    struct lead_id lead;
    uint32_t number;
    assert_int_equal(decision_id_parse(id, &lead, &number, &err), 0);
    struct intake *in = w->intake[store_shard_of(w->store, store_partition_of_lead(w->store, lead))];
    buf_clear(&out);
    if (intake_decision(in, id, &out, &err)) fail_msg("%s", err.text);
    buf_clear(&out);
    if (intake_explain(in, id, &out, &err)) fail_msg("%s", err.text);
    assert_true(mp_find(buf_bytes(&out), BYTES_LIT("reproduced"), &value) && *value.p == 0xc3);
  }
  buf_deinit(&out);
}

static void lose_state(const char *dir) {
  char command[1200];
  snprintf(command, sizeof command, "rm -r %s/state", dir);
  assert_int_equal(system(command), 0);
}

static char *copy_of(const char *dir) {
  char command[1200], *copy = scratch_new();
  snprintf(command, sizeof command, "cp -r --sparse=always %s/. %s/", dir, copy);
  assert_int_equal(system(command), 0);
  return copy;
}

static char *half; // a directory of 16 partitions with the first HALF events

static int prepare(void **state) {
  (void)state;
  struct world w;
  char *dir = scratch_new();
  open_world(&w, dir);
  ingest(&w, 0, HALF, true);
  digest_half = world_digest(&w, USERS);
  world_close(&w);
  half = copy_of(dir);
  open_world(&w, dir);
  ingest(&w, HALF, EVENTS, true);
  digest_all = world_digest(&w, USERS);
  world_close(&w);
  replay_hash = replayed(dir, 2).hash;
  scratch_free(dir);
  return 0;
}

static int clean(void **state) {
  (void)state;
  scratch_free(half);
  policy_release(shipped_policy());
  return 0;
}

static void a_stream_goes_on(void **state) {
  (void)state;
  static const unsigned partitions[] = {5, 32, 1, 16};
  char *dir = copy_of(half);
  struct world w;
  uint64_t at = HALF, seq = 0;
  for (int i = 0; i < 4; i++) {
    struct reshard_result r = reshard(dir, partitions[i]);
    assert_true(r.seq > seq && r.leads);
    seq = r.seq;
    must_be_whole(dir);
    if (draw(&chance, 2)) lose_state(dir);
    for (int opening = 0; opening < 2; opening++) {
      open_world(&w, dir);
      assert_int_equal(store_partitions(w.store), partitions[i]);
      explain_some(&w, at);
      ingest(&w, at, at + 60, false);
      at += 60;
      world_close(&w);
    }
  }
  assert_int_equal(at, EVENTS);
  must_be_whole(dir);
  open_world(&w, dir);
  assert_int_equal(world_digest(&w, USERS), digest_all);
  world_close(&w);
  for (unsigned threads = 1; threads <= 3; threads += 2) assert_int_equal(replayed(dir, threads).hash, replay_hash);
  lose_state(dir);
  open_world(&w, dir);
  assert_int_equal(world_digest(&w, USERS), digest_all);
  world_close(&w);
  scratch_free(dir);
}

// ---- what stops it ----
static char *watched, *snapshot;
static void power_goes(void) {
  if (snapshot) return;
  snapshot = copy_of(watched);
  disk_faults_lose(watched, snapshot);
}

static void nothing_is_left_over(const char *dir) {
  struct base_info *list;
  size_t count;
  assert_int_equal(base_list(dir, &list, &count, NULL), 0);
  for (size_t i = 0; i < count; i++) assert_int_equal(list[i].head.partitions, store_partitions_in(dir));
  base_list_free(list);
}

// Whichever number it has, it goes on, and can be changed again.
static void goes_on(const char *dir) {
  struct world w;
  unsigned partitions = store_partitions_in(dir);
  assert_true(partitions == 16 || partitions == 5);
  if (partitions == 5 && draw(&chance, 3) == 0) lose_state(dir);
  for (int opening = 0; opening < 2; opening++) {
    open_world(&w, dir);
    if (!opening) assert_int_equal(world_digest(&w, USERS), digest_half);
    ingest(&w, HALF + 20 * (uint64_t)opening, HALF + 20 * (uint64_t)opening + 20, false);
    world_close(&w);
    nothing_is_left_over(dir);
  }
  must_be_whole(dir);
  reshard(dir, partitions == 16 ? 5 : 3);
  open_world(&w, dir);
  ingest(&w, HALF + 40, HALF + 60, false);
  explain_some(&w, HALF + 60);
  world_close(&w);
}

// The power goes at any sync or change of a name: at some of each; with EVERY=1 at all.
static void the_power_goes(void **state) {
  (void)state;
  static const char *const operation[] = {"sync", "folder", "rename", "unlink"};
  static const unsigned about[] = {21, 13, 7, 9}; // how many there are
  disk_faults_on_power(power_goes);
  bool every = getenv("EVERY") != NULL;
  unsigned seen[257] = {0};
  for (size_t o = every ? 0 : draw(&chance, 2); o < sizeof operation / sizeof *operation; o += every ? 1 : 2)
    for (unsigned n = 1 + (every ? 0 : (unsigned)draw(&chance, about[o]));; n += every ? 1 : about[o] / 2 + 1) {
      char plan[100], *dir = watched = copy_of(half);
      struct reshard_result r;
      struct error err = {0};
      snprintf(plan, sizeof plan, "seed=%u;%s:*:%u:power", (unsigned)draw(&chance, 0), operation[o], n);
      assert_int_equal(disk_faults_start(plan, &err), 0);
      int rc = store_reshard(&(struct reshard_options){.dir = dir, .partitions = 5}, &r, &err);
      disk_faults_stop();
      if (rc) fail_msg("%s: %s", plan, err.text);
      char *after = snapshot;
      snapshot = NULL;
      scratch_free(dir);
      if (!after) break;
      seen[store_partitions_in(after)]++;
      goes_on(after);
      scratch_free(after);
    }
  printf("left with 16 partitions %u times, with 5 %u times\n", seen[16], seen[5]);
  assert_true(!every || (seen[16] && seen[5]));
}

// A directory as it is right after the switch: `format` says 5, and the journal has no session of 5 yet.
static char *switched(void) {
  for (unsigned n = 8;; n++) { // bases come first
    char plan[100], *dir = watched = copy_of(half);
    struct reshard_result r;
    struct error err = {0};
    snprintf(plan, sizeof plan, "folder:*:%u:power", n);
    assert_int_equal(disk_faults_start(plan, &err), 0);
    int rc = store_reshard(&(struct reshard_options){.dir = dir, .partitions = 5}, &r, &err);
    disk_faults_stop();
    assert_int_equal(rc, 0);
    scratch_free(dir);
    char *after = snapshot;
    snapshot = NULL;
    assert_non_null(after);
    struct segment_info *list;
    size_t count;
    assert_int_equal(segment_list(after, &list, &count, &err), 0);
    bool has_begun = false;
    for (size_t i = 0; i < count; i++) has_begun |= list[i].has_opening && list[i].header.partitions == 5;
    segment_list_free(list, count);
    assert_false(has_begun);
    if (store_partitions_in(after) == 5) return after;
    scratch_free(after);
  }
}

// The first session of the new number, of up to four logs, is cut at some sync; then it is not the first any more, or still is.
static void the_first_session_is_cut(void **state) {
  (void)state;
  disk_faults_on_power(power_goes);
  char *begun = switched();
  bool every = getenv("EVERY") != NULL;
  for (unsigned n = 1 + (every ? 0 : (unsigned)draw(&chance, 6)); n < 40; n += every ? 1 : 40) {
    char plan[100], *dir = watched = copy_of(begun);
    struct world w;
    struct error err = {0};
    snprintf(plan, sizeof plan, "seed=%u;sync:*:%u:power", (unsigned)draw(&chance, 0), n);
    assert_int_equal(disk_faults_start(plan, &err), 0);
    struct store_options o = small_options(dir, 4);
    o.dedupe_window_ms = INT64_MAX / 4;
    world_must_open(&w, &o);
    disk_faults_stop();
    world_close(&w);
    char *after = snapshot;
    snapshot = NULL;
    scratch_free(dir);
    if (!after) break;
    assert_int_equal(store_partitions_in(after), 5);
    goes_on(after);
    scratch_free(after);
  }
  scratch_free(begun);
}

static void the_disk_fails(void **state) {
  (void)state;
  static const char *const fault[] = {"write:bases/*:%u:ENOSPC",
                                      "sync:*:%u:EIO",
                                      "rename:*:%u:EIO",
                                      "open:*:%u:EMFILE",
                                      "write:*:%u+:ENOSPC",
                                      "folder:*:%u:EIO",
                                      "write:*/.format.new:%u:ENOSPC",
                                      "read:bases/*:%u:EIO"};
  const char *text = getenv("ROUNDS");
  unsigned failed = 0, rounds = text ? (unsigned)atoi(text) : 3;
  for (unsigned k = 0, i; k < rounds; k++) {
    i = text ? k : (unsigned)draw(&chance, 8);
    char plan[100], *dir = copy_of(half);
    struct reshard_result r;
    struct error err = {0};
    snprintf(plan, sizeof plan, fault[i % 8], i % 8 == 6 ? 1 : 1 + (unsigned)draw(&chance, 25));
    assert_int_equal(disk_faults_start(plan, &err), 0);
    int rc = store_reshard(&(struct reshard_options){.dir = dir, .partitions = 5}, &r, &err);
    disk_faults_stop();
    failed += rc != 0;
    if (rc && rc != ITD_EFULL && rc != ITD_EIO && rc != ITD_ECORRUPT) fail_msg("%s: %s", plan, err.text);
    if (rc == 0) assert_int_equal(store_partitions_in(dir), 5);
    goes_on(dir);
    scratch_free(dir);
  }
  assert_true(!text || failed);
}

// ---- tampering ----
static int nothing(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  (void)context, (void)frame, (void)place, (void)err;
  return 0;
}

static bool is_found(const char *dir) {
  struct verify_result *r = xcalloc(1, sizeof *r);
  struct error err = {0};
  bool walks = store_walk(dir, -1, nothing, NULL, &err) == 0;
  assert_int_equal(store_verify(&(struct verify_options){.dir = dir}, r, &err), 0);
  bool is_whole = r->is_whole;
  free(r->tip);
  free(r);
  return !walks && !is_whole;
}

// The opening that begins 5 partitions, with a byte changed and all its checksums made to hold.
static void change_opening(const char *dir, uint32_t offset, uint8_t flip) {
  struct segment_info *list;
  size_t count;
  assert_int_equal(segment_list(dir, &list, &count, NULL), 0);
  for (size_t i = 0; i < count; i++) {
    if (!list[i].is_resharded) continue;
    char path[SEGMENT_PATH_MAX];
    uint8_t b[48 + 5 * 48];
    segment_path(path, dir, list[i].log, list[i].number);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, b, sizeof b, SEGMENT_HEADER_SIZE), sizeof b);
    b[offset] ^= flip;
    put32(b + 4, crc32c(0, bytes_of(b + 8, sizeof b - 8)));
    assert_int_equal(pwrite(fd, b, sizeof b, SEGMENT_HEADER_SIZE), sizeof b);
    close(fd);
  }
  segment_list_free(list, count);
}

// Commits of the former partitions taken away, at their border.
static void cut_former(const char *dir) {
  struct segment_info *list, *last = NULL;
  size_t count;
  assert_int_equal(segment_list(dir, &list, &count, NULL), 0);
  for (size_t i = 0; i < count; i++)
    if (!last && list[i].era == 0 && list[i].has_opening) last = &list[i]; // only its opening stays
  assert_non_null(last);
  char path[SEGMENT_PATH_MAX];
  segment_path(path, dir, last->log, last->number);
  assert_int_equal(truncate(path, (off_t)(SEGMENT_HEADER_SIZE + trailer_size(16))), 0);
  segment_list_free(list, count);
}

static void tampering_is_found(void **state) {
  (void)state;
  char *whole = copy_of(half);
  struct world w;
  struct error err = {0};
  reshard(whole, 5);
  open_world(&w, whole);
  ingest(&w, HALF, HALF + 20, false);
  world_close(&w);
  must_be_whole(whole);
  for (int i = 0; i < 4; i++) {
    char *dir = copy_of(whole);
    switch (i) {
    case 0: change_opening(dir, 10, 8); break;                                        // no reshard any more
    case 1: change_opening(dir, 48 + 8, 1); break;                                    // another number of a frame
    case 2: change_opening(dir, 48 + 48 * (uint32_t)draw(&chance, 5) + 16, 1); break; // another chain
    default: cut_former(dir);
    }
    if (!is_found(dir)) fail_msg("%d is not found", i);
    char command[4200]; // a start reads what it needs: without the messages seen, all of the window
    snprintf(command, sizeof command, "rm -r %s/dedupe", dir);
    assert_int_equal(system(command), 0);
    struct store_options o = options_of(dir, 5);
    int rc = world_open(&w, &o, &err);
    if (i == 1 || i == 2) assert_int_equal(rc, ITD_ECORRUPT);
    if (rc == 0) world_close(&w);
    scratch_free(dir);
  }
  // A format that says something else than the journal.
  char path[4200];
  struct buf was = {0}, text = {0};
  snprintf(path, sizeof path, "%s/format", half);
  assert_int_equal(file_read(path, 4096, &text, &err), 0);
  snprintf(path, sizeof path, "%s/format", whole);
  assert_int_equal(file_replace(path, buf_bytes(&text), &err), 0);
  struct store_options o = options_of(whole, 5);
  assert_int_equal(world_open(&w, &o, &err), ITD_ECORRUPT);
  assert_non_null(strstr(err.text, "of 5 partitions, the directory of 16"));
  buf_deinit(&was), buf_deinit(&text);
  scratch_free(whole);
}

// Messages that are under way between entities are delivered first: channels begin anew.
static void messages_arrive(void **state) {
  (void)state;
  enum { COMMANDS = 60 };
  char *dir = copy_of(half);
  struct world w;
  struct told told = {.commands_max = COMMANDS, .is_applied = xcalloc(COMMANDS, 1)};
  static const unsigned partitions[] = {5, 32};
  for (unsigned i = 0; i < 2; i++) {
    struct error err = {0};
    const char *wrong;
    open_world(&w, dir);
    struct ids ids = ids_of(w.store);
    for (uint64_t n = i * (COMMANDS / 2); n < (i + 1) * (COMMANDS / 2); n++) {
      tell_command(&w, seed, n, &ids);
      told.is_applied[n] = 1;
    }
    assert_int_equal(world_commit(&w, &err), 0);
    assert_true(post_pending(&w) > 0);
    world_close(&w);
    assert_true(reshard(dir, partitions[i]).messages > 0);
    if (i) lose_state(dir);
    open_world(&w, dir);
    assert_int_equal(post_pending(&w), 0);
    if ((wrong = check_sums(&w, seed, &told))) fail_msg("%s", wrong);
    world_close(&w);
  }
  must_be_whole(dir);
  assert_int_equal(replayed(dir, 2).different, 0);
  free(told.is_applied);
  scratch_free(dir);
}

// The journal of a former number of partitions goes as a whole, and its bases with it; what is left begins at the boundary.
static void former_journal_goes(void **state) {
  (void)state;
  char *dir = copy_of(half);
  struct world w;
  struct error err = {0};
  struct reshard_result r = reshard(dir, 5);
  open_world(&w, dir);
  ingest(&w, HALF, HALF + 40, false);
  world_close(&w);
  r = reshard(dir, 32);
  open_world(&w, dir);
  ingest(&w, HALF + 40, HALF + 80, false);
  world_close(&w);
  open_world(&w, dir); // its opening says how late it is
  uint64_t expected = world_digest(&w, USERS);
  world_close(&w);
  struct retention keep = {.dir = dir, .partitions = 32, .since_seq = r.seq, .age_ms = 1, .bases = 2};
  struct retention_result gone;
  if (retention_apply(&keep, INT64_MAX / 2, &gone, &err)) fail_msg("%s", err.text);
  assert_true(gone.segments > 0);
  struct segment_info *list;
  struct base_info *bases;
  size_t count;
  assert_int_equal(segment_list(dir, &list, &count, &err), 0);
  for (size_t i = 0; i < count; i++) assert_true(!list[i].has_opening || list[i].header.partitions == 32);
  segment_list_free(list, count);
  assert_int_equal(base_list(dir, &bases, &count, &err), 0);
  assert_int_equal(count, 32);
  for (size_t i = 0; i < count; i++) assert_int_equal(bases[i].head.partitions, 32);
  base_list_free(bases);
  must_be_whole(dir);
  struct replay_result played = replayed(dir, 2);
  assert_true(played.decisions >= 40 && played.unreached == 0);
  lose_state(dir);
  open_world(&w, dir);
  assert_int_equal(world_digest(&w, USERS), expected);
  world_close(&w);
  reshard(dir, 2);
  must_be_whole(dir);
  scratch_free(dir);
}

// A backup of a directory that was resharded is restored without LMDB, from bases and journal.
static void a_backup_is_restored(void **state) {
  (void)state;
  char *dir = copy_of(half), *to = scratch_new(), *back = scratch_new();
  struct world w;
  struct error err = {0};
  struct backup_result b;
  struct restore_result r;
  for (int i = 0; i < 2; i++) {
    reshard(dir, i ? 32 : 5);
    open_world(&w, dir);
    ingest(&w, HALF + 20 * (uint64_t)i, HALF + 20 + 20 * (uint64_t)i, false);
    if (store_backup(&(struct backup_options){.dir = dir, .to = to}, &b, &err)) fail_msg("%s", err.text);
    manifest_deinit(&b.manifest);
    world_close(&w);
  }
  if (store_restore(&(struct restore_options){.from = to, .to = back}, &r, &err)) fail_msg("%s", err.text);
  manifest_deinit(&r.manifest);
  open_world(&w, back);
  assert_int_equal(store_partitions(w.store), 32);
  ingest(&w, HALF + 40, HALF + 60, false);
  explain_some(&w, HALF + 60);
  world_close(&w);
  must_be_whole(back);
  scratch_free(dir), scratch_free(to), scratch_free(back);
}

static void what_cannot_be_is_said(void **state) {
  (void)state;
  struct reshard_result r;
  struct error err = {0};
  char *empty = scratch_new(), *dir = copy_of(half);
  struct world w;
  assert_int_equal(store_reshard(&(struct reshard_options){.dir = empty, .partitions = 4}, &r, &err), ITD_ENOTFOUND);
  assert_int_equal(store_reshard(&(struct reshard_options){.dir = dir, .partitions = 16}, &r, &err), ITD_EINVAL);
  assert_int_equal(store_reshard(&(struct reshard_options){.dir = dir, .partitions = 0}, &r, &err), ITD_EINVAL);
  assert_int_equal(store_reshard(&(struct reshard_options){.dir = dir, .partitions = 257}, &r, &err), ITD_EINVAL);
  open_world(&w, dir);
  assert_int_equal(store_reshard(&(struct reshard_options){.dir = dir, .partitions = 4}, &r, &err), ITD_EBUSY);
  world_close(&w);
  assert_int_equal(rmdir(empty), 0);
  free(empty);
  scratch_free(dir);
}

int main(void) {
  seed = seed_of_run();
  chance = (struct draw){seed};
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stream_goes_on),         cmocka_unit_test(the_power_goes),
      cmocka_unit_test(the_first_session_is_cut), cmocka_unit_test(the_disk_fails),
      cmocka_unit_test(tampering_is_found),       cmocka_unit_test(messages_arrive),
      cmocka_unit_test(former_journal_goes),      cmocka_unit_test(a_backup_is_restored),
      cmocka_unit_test(what_cannot_be_is_said),
  };
  return cmocka_run_group_tests(tests, prepare, clean);
}
