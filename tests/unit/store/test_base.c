// Bases: the file holds what was put in and shows any change; the state is built anew from them; the journal before them
// is let go by age, size and hold, and history reaches back to the oldest.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "store/archiver.h"
#include "store/backup.h"
#include "store/base.h"
#include "store/hold.h"
#include "store/journal_scan.h"
#include "store/replay.h"
#include "store/retention.h"
#include "store/sealer.h"
#include "store/shard.h"
#include "store/verify.h"
#include "world.h"

enum { USERS = 30 };
static uint64_t seed;

// ---- the file ----
struct expected {
  uint8_t key[54], value[400];
  size_t key_n, value_n;
  uint8_t table;
};
struct rows {
  struct expected *row;
  size_t count, at;
};

static int see_row(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  struct rows *r = context;
  (void)err;
  const struct expected *e = &r->row[r->at++];
  assert_true(r->at <= r->count);
  assert_int_equal(table, e->table);
  assert_true(bytes_eq(key, bytes_of(e->key, e->key_n)) && bytes_eq(value, bytes_of(e->value, e->value_n)));
  return 0;
}

static void write_rows(const char *dir, const struct base_head *head, struct rows *r, struct draw *d) {
  struct base_writer *w;
  struct error err = {0};
  if (base_begin(dir, head, &w, &err)) fail_msg("%s", err.text);
  for (size_t i = 0; i < r->count; i++) {
    struct expected *e = &r->row[i];
    e->table = i < r->count - 2 ? 1 : 2;
    e->key_n = e->table == 1 ? 16 : 9;
    memset(e->key, 0, sizeof e->key);
    for (unsigned k = 0; k < 8; k++) e->key[k] = (uint8_t)(i >> (56 - 8 * k)); // in order
    e->value_n = (size_t)draw(d, sizeof e->value);
    draw_bytes(d, e->value, e->value_n);
    if (base_row(w, e->table, bytes_of(e->key, e->key_n), bytes_of(e->value, e->value_n), &err))
      fail_msg("%s", err.text);
  }
  if (base_end(w, &err)) fail_msg("%s", err.text);
}

static void a_base_holds_what_was_put_in(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = scratch_new();
  struct error err = {0};
  struct rows r = {.count = 3000};
  r.row = xcalloc(r.count, sizeof *r.row);
  struct base_head head = {.partition = 3, .partitions = 16, .seq = 77, .made_ms = 12, .before_seq = 5, .session = 2};
  draw_bytes(&d, head.chain, sizeof head.chain);
  write_rows(dir, &head, &r, &d);
  struct base_info *list;
  size_t count;
  assert_int_equal(base_list(dir, &list, &count, &err), 0);
  assert_int_equal(count, 1);
  assert_true(list[0].is_whole && list[0].rows == r.count && list[0].head.seq == 77 && list[0].head.before_seq == 5);
  assert_memory_equal(list[0].head.chain, head.chain, sizeof head.chain);
  assert_int_equal(base_check(dir, &list[0], &err), 0);
  assert_int_equal(base_read(dir, &list[0], see_row, &r, &err), 0);
  assert_int_equal(r.at, r.count);
  assert_null(base_at(list, count, 3, 76));
  assert_ptr_equal(base_at(list, count, 3, 77), &list[0]);
  assert_null(base_at(list, count, 4, UINT64_MAX));
  struct buf value = {0};
  for (size_t i = 0; i < r.count; i++) {
    buf_clear(&value);
    assert_int_equal(base_find(dir, &list[0], r.row[i].table, bytes_of(r.row[i].key, r.row[i].key_n), &value, &err), 0);
    assert_true(bytes_eq(buf_bytes(&value), bytes_of(r.row[i].value, r.row[i].value_n)));
  }
  uint8_t none[16] = {0xff};
  assert_int_equal(base_find(dir, &list[0], 1, bytes_of(none, 16), &value, &err), ITD_ENOTFOUND);
  assert_int_equal(base_find(dir, &list[0], 0, bytes_of(none, 16), &value, &err), ITD_ENOTFOUND);
  buf_deinit(&value);
  base_list_free(list);
  free(r.row);
  scratch_free(dir);
}

static void flip(const char *path, uint64_t bit) {
  int fd = open(path, O_RDWR);
  uint8_t b;
  assert_int_equal(pread(fd, &b, 1, (off_t)(bit / 8)), 1);
  b ^= (uint8_t)(1u << bit % 8);
  assert_int_equal(pwrite(fd, &b, 1, (off_t)(bit / 8)), 1);
  close(fd);
}

// Every bit of a small base: either its head or end no longer hold, or reading it says so.
static void any_flipped_bit_is_found(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = scratch_new(), path[4096];
  struct error err = {0};
  struct rows r = {.count = 4};
  r.row = xcalloc(r.count, sizeof *r.row);
  write_rows(dir, &(struct base_head){.partition = 1, .partitions = 2, .seq = 9}, &r, &d);
  base_path(path, dir, 1, 9);
  int fd = open(path, O_RDONLY);
  uint64_t bits = 8 * (uint64_t)lseek(fd, 0, SEEK_END);
  close(fd);
  for (uint64_t bit = 0; bit < bits; bit++) {
    struct base_info *list;
    size_t count;
    flip(path, bit);
    int rc = base_list(dir, &list, &count, &err);
    if (rc == 0) {
      assert_int_equal(count, 1);
      if (list[0].is_whole && base_check(dir, &list[0], &err) != ITD_ECORRUPT) fail_msg("bit %d", (int)bit);
      base_list_free(list);
    } else {
      assert_int_equal(rc, ITD_EVERSION); // of the format's number or an algorithm's name
    }
    flip(path, bit);
  }
  free(r.row);
  scratch_free(dir);
}

// ---- in the store ----
static void take(struct world *w, uint64_t from, uint64_t to) {
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  for (uint64_t n = from; n < to; n++) {
    make_event(&event, seed, n, USERS);
    buf_clear(&answer);
    if (world_take(w, buf_bytes(&event), (int64_t)(1800000000000 + n * 1000), &answer, &err)) fail_msg("%s", err.text);
    if (n % 10 == 9) {
      if (world_commit(w, &err)) fail_msg("%s", err.text);
      world_turn(w);
    }
  }
  if (world_commit(w, &err)) fail_msg("%s", err.text);
  buf_deinit(&event), buf_deinit(&answer);
}

// True when every partition's newest base is of its last frame.
static bool bases_are_new(struct world *w) {
  struct base_info *list;
  size_t count;
  bool new = base_list(w->dir, &list, &count, NULL) == 0;
  for (unsigned p = 0; new &&p < store_partitions(w->store); p++) {
    const struct base_info *base = base_at(list, count, p, UINT64_MAX);
    uint64_t seq = journal_seq(store_shard(w->store, store_shard_of(w->store, p))->journal, p);
    new = base && base->head.seq == seq;
  }
  base_list_free(list);
  return new;
}

static void wait_for_bases(struct world *w) {
  bool are_new = false;
  for (int i = 0; i < 20000 && !(are_new = bases_are_new(w)); i++) {
    world_turn(w);
    usleep(1000);
  }
  assert_true(are_new);
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
        h = hash_mix(hash_mix(hash_mix(h, lead_digest(lead)), lead->place), lead_id_hash(id));
    }
  return h;
}

static struct store_options keeping(const char *dir, unsigned shards) {
  struct store_options o = small_options(dir, shards);
  o.keep.base_bytes = 1; // whenever anything was written
  o.dedupe_window_ms = 1000;
  return o;
}

static void remove_all(const char *dir, const char *name) {
  char path[700];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static unsigned files_in(const char *dir, const char *name) {
  char path[700];
  char **names;
  size_t count = 0;
  snprintf(path, sizeof path, "%s/%s", dir, name);
  if (dir_list(path, 100000, &names, &count, NULL) == 0) dir_list_free(names, count);
  return (unsigned)count;
}

static void an_older_state_is_built_anew(void **state) {
  (void)state;
  char *dir = scratch_new(), command[1500];
  struct store_options options = keeping(dir, 2);
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  take(&w, 0, 2500); // long enough that everybody came once
  wait_for_bases(&w);
  snprintf(command, sizeof command, "cp -r %s/state %s/older", dir, dir);
  assert_int_equal(system(command), 0);
  take(&w, 2500, 2900);
  wait_for_bases(&w);
  take(&w, 2900, 3000);
  uint64_t expected = digest_of(&w);
  world_close(&w);

  remove_all(dir, "state/data.mdb");
  snprintf(command, sizeof command, "cp %s/older/data.mdb %s/state/data.mdb", dir, dir);
  assert_int_equal(system(command), 0);
  options = keeping(dir, 3);
  options.keep.base_bytes = UINT64_MAX;
  if (world_open(&w, &options, &err)) fail_msg("%s", err.text);
  assert_int_equal(digest_of(&w), expected);
  world_close(&w);

  // The newest base of each partition is damaged: the one before it does, with more of the journal.
  struct base_info *list;
  size_t count;
  assert_int_equal(base_list(dir, &list, &count, &err), 0);
  for (size_t i = 0; i < count; i++)
    if (i + 1 == count || list[i + 1].head.partition != list[i].head.partition) {
      char path[4096];
      base_path(path, dir, list[i].head.partition, list[i].head.seq);
      flip(path, 8 * (list[i].bytes / 2) + 3);
    }
  base_list_free(list);
  remove_all(dir, "state/data.mdb");
  snprintf(command, sizeof command, "cp %s/older/data.mdb %s/state/data.mdb", dir, dir);
  assert_int_equal(system(command), 0);
  if (world_open(&w, &options, &err)) fail_msg("%s", err.text);
  assert_int_equal(digest_of(&w), expected);
  world_close(&w);
  scratch_free(dir);
}

// The journal before the bases goes, what is kept still opens, and every state that it reaches back to can be had.
static void old_journal_goes(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = keeping(dir, 2);
  struct world w;
  struct error err = {0};
  options.keep.bytes = 10u << 20; // segments are 1 MiB, and of each log two are preallocated
  world_must_open(&w, &options);
  uint64_t n = 0;
  for (int round = 0; round < 16; round++, n += 400) {
    take(&w, n, n + 400);
    wait_for_bases(&w);
  }
  for (int i = 0; i < 5000 && !store_keep_stats(w.store).segments_gone; i++) usleep(1000);
  assert_true(store_keep_stats(w.store).segments_gone > 0);
  assert_true(files_in(dir, "bases") <=
              8 * 4 + 1 + 8); // partitions x (kept + the oldest needed), `newest`, one being written
  unsigned reached = 0, gone = 0;
  for (unsigned u = 0; u < USERS; u++) {
    char user[64];
    snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
    struct hash128 identity = store_identity(w.store, 0, IDENTITY_USER, bytes_str(user));
    struct store_shard *s = store_shard(w.store, store_shard_of(w.store, store_partition_of(w.store, identity)));
    struct lead_id id;
    struct lead *lead;
    if (!store_find(s, identity, &id) || !(lead = store_lead(s, id))) continue;
    for (uint32_t number = lead->number; number > 1; number--) {
      struct buf raw = {0};
      struct frame f;
      struct lead *before = NULL;
      int rc = store_lead_before(s, id, number, &before, &err);
      if (rc == ITD_ENOTFOUND) {
        gone++;
        break;
      }
      if (rc) fail_msg("%s", err.text);
      assert_int_equal(before->number, number - 1);
      if (store_read_number(s, id, number - 1, &raw, &f, &err) == 0) assert_int_equal(lead_digest(before), f.digest);
      lead_free(before);
      buf_deinit(&raw);
      reached++;
    }
  }
  printf("%u states reached, of %u leads an older one is gone; %llu segments gone\n", reached, gone,
         (unsigned long long)store_keep_stats(w.store).segments_gone);
  assert_true(reached > 10 && gone > 0);
  uint64_t expected = digest_of(&w);
  world_close(&w);
  for (int i = 0; i < 2; i++) {
    options.shards = 1 + (unsigned)i * 3;
    if (world_open(&w, &options, &err)) fail_msg("%s", err.text);
    assert_int_equal(digest_of(&w), expected);
    world_close(&w);
  }
  // What is left is played again from the bases that reach back to its beginning.
  struct replay_options replay = {.dir = dir, .threads = 2, .vm = VM_LIMITS_DEFAULT};
  struct replay_result played;
  if (store_replay(&replay, &played, &err)) fail_msg("%s", err.text);
  printf("%llu decisions played again, %llu frames lie before the oldest base\n", (unsigned long long)played.decisions,
         (unsigned long long)played.unreached);
  assert_int_equal(played.different, 0);
  assert_true(played.decisions > 100);
  scratch_free(dir);
}

static int count_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)f, (void)place, (void)err;
  ++*(uint64_t *)context;
  return 0;
}

static void a_hold_keeps_the_journal(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct store_options options = keeping(dir, 1);
  struct world w;
  struct error err = {0};
  struct hold hold = {
      .name = "case-7", .since_ms = 1800000000000, .made_ms = 1, .uid = 3, .why = "asked by the auditor"};
  struct hold *list;
  size_t count;
  options.keep.bytes = 1u << 20;
  world_must_open(&w, &options);
  assert_int_equal(hold_add(dir, &hold, &err), 0);
  assert_int_equal(hold_add(dir, &hold, &err), ITD_EBUSY);
  uint64_t n = 0;
  for (int round = 0; round < 6; round++, n += 400) {
    take(&w, n, n + 400);
    wait_for_bases(&w);
  }
  assert_int_equal(store_keep_stats(w.store).segments_gone, 0);
  assert_int_equal(holds_read(dir, &list, &count, &err), 0);
  assert_true(count == 1 && strcmp(list[0].why, hold.why) == 0 && list[0].uid == 3);
  free(list);
  assert_int_equal(hold_release(dir, "another", &err), ITD_ENOTFOUND);
  assert_int_equal(hold_release(dir, "case-7", &err), 0);
  take(&w, n, n + 400);
  wait_for_bases(&w);
  for (int i = 0; i < 20000 && !store_keep_stats(w.store).segments_gone; i++) usleep(1000);
  assert_true(store_keep_stats(w.store).segments_gone > 0);
  uint64_t frames = 0;
  if (store_walk(dir, -1, count_frame, &frames, &err)) fail_msg("%s", err.text); // what is left has no gap
  assert_true(frames > 0);
  world_close(&w);
  hold = (struct hold){.name = "no/slash", .why = "x"};
  assert_int_equal(hold_add(dir, &hold, &err), ITD_EINVAL);
  hold = (struct hold){.name = "x", .why = "two\nlines"};
  assert_int_equal(hold_add(dir, &hold, &err), ITD_EINVAL);
  hold = (struct hold){.name = "x", .why = " "};
  assert_int_equal(hold_add(dir, &hold, &err), ITD_EINVAL);
  assert_int_equal(holds_read(dir, &list, &count, &err), 0);
  free(list);
  scratch_free(dir);
}

static void must_be_whole(const char *dir) {
  struct verify_result *r = xcalloc(1, sizeof *r);
  struct error err = {0};
  if (store_verify(&(struct verify_options){.dir = dir}, r, &err)) fail_msg("%s", err.text);
  if (!r->is_whole) fail_msg("%s", r->finding[0].text);
  free(r->tip);
  free(r);
}

// Two logs in one session, one in the next, which has all partitions; and bases of its end.
static void make_sessions(const char *dir) {
  for (unsigned shards = 2; shards; shards--) {
    struct store_options options = keeping(dir, shards);
    struct world w;
    world_must_open(&w, &options);
    take(&w, shards == 2 ? 0 : 1200, shards == 2 ? 1200 : 3600);
    if (shards == 1) wait_for_bases(&w);
    world_close(&w);
  }
}

static unsigned segments_of(const char *dir, unsigned log, uint32_t *first) {
  struct segment_info *list;
  size_t count;
  unsigned n = 0;
  *first = 0;
  assert_int_equal(segment_list(dir, &list, &count, NULL), 0);
  for (size_t i = 0; i < count; i++)
    if (list[i].log == log && (!n++ || list[i].number < *first)) *first = list[i].number;
  segment_list_free(list, count);
  return n;
}

static uint64_t let_go(const char *dir, struct archiver *archiver) {
  struct retention keep = {.dir = dir, .partitions = 8, .age_ms = 1, .bases = 2, .archiver = archiver};
  struct retention_result gone;
  struct error err = {0};
  if (retention_apply(&keep, INT64_MAX / 2, &gone, &err)) fail_msg("%s", err.text);
  return gone.segments;
}

// A log that waits (to be archived, here) keeps what later sessions wrote of its partitions in other logs: no gap.
static void a_log_that_waits_leaves_no_gap(void **state) {
  (void)state;
  char *dir = scratch_new(), *folder = scratch_new();
  struct archiver *archiver;
  struct error err = {0};
  uint32_t first;
  make_sessions(dir);
  unsigned count = segments_of(dir, 0, &first);
  for (uint32_t s = 1; s < count; s++) {
    struct sealed_result r;
    if (seal_segment(dir, 0, s, 1, NULL, &r, &err)) fail_msg("%s", err.text);
  }
  struct archiver_options to = {.dir = dir, .folder = folder, .look_ms = 10, .again_ms = 10};
  if (archiver_start(&to, &archiver, &err)) fail_msg("%s", err.text);
  for (int i = 0; !archiver_has(archiver, 0, count - 1); i++) {
    assert_true(i < 60000);
    usleep(1000);
  }
  assert_true(let_go(dir, archiver) > 0);
  assert_true(segments_of(dir, 1, &first) > 0 && first == 1);
  must_be_whole(dir);
  for (uint32_t s = 1; s < 100; s++) {
    struct sealed_result r;
    if (seal_segment(dir, 1, s, 1, NULL, &r, &err) == ITD_ENOTFOUND) break;
  }
  for (int i = 0; archiver_stats(archiver).waiting || !archiver_has(archiver, 1, 1); i++) {
    assert_true(i < 60000);
    usleep(1000);
  }
  assert_true(let_go(dir, archiver) > 0);
  archiver_stop(archiver);
  must_be_whole(dir);
  struct store_options options = keeping(dir, 3);
  struct world w;
  if (world_open(&w, &options, &err)) fail_msg("%s", err.text);
  world_close(&w);
  scratch_free(dir), scratch_free(folder);
}

// A log all of whose segments were let go is written again by a start with more shards: no place is named twice.
static void no_number_comes_twice(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct world w;
  struct error err = {0};
  uint32_t first, again;
  make_sessions(dir);
  unsigned count = segments_of(dir, 1, &first);
  assert_true(count > 0 && first == 1);
  assert_true(let_go(dir, NULL) > 0);
  assert_int_equal(segments_of(dir, 1, &first), 0);
  struct store_options options = keeping(dir, 2);
  for (int i = 0; i < 2; i++) {
    if (world_open(&w, &options, &err)) fail_msg("%s", err.text);
    take(&w, 3600 + (uint64_t)i * 400, 4000 + (uint64_t)i * 400);
    assert_true(segments_of(dir, 1, &again) > 0);
    printf("log 1 had %u segments, and begins again with %u\n", count, again);
    unsigned gone = 0;
    for (unsigned u = 0; u < USERS; u++) {
      char user[64];
      snprintf(user, sizeof user, "user%u@company%u.example", u, u % 7);
      struct hash128 identity = store_identity(w.store, 0, IDENTITY_USER, bytes_str(user));
      struct store_shard *s = store_shard(w.store, store_shard_of(w.store, store_partition_of(w.store, identity)));
      struct lead_id id;
      struct lead *lead, *before = NULL;
      if (!store_find(s, identity, &id) || !(lead = store_lead(s, id))) continue;
      for (uint32_t number = lead->number; number > 1; number--) {
        int rc = store_lead_before(s, id, number, &before, &err);
        if (rc && rc != ITD_ENOTFOUND) fail_msg("%s", err.text);
        gone += rc != 0;
        if (rc) break;
        lead_free(before);
      }
    }
    assert_true(gone > 0);
    world_close(&w);
  }
  assert_true(again > count);
  char *to = scratch_new(), *back = scratch_new(), command[1200]; // and a copy of the directory knows
  struct backup_result b;
  struct restore_result r;
  if (store_backup(&(struct backup_options){.dir = dir, .to = to}, &b, &err)) fail_msg("%s", err.text);
  manifest_deinit(&b.manifest);
  if (store_restore(&(struct restore_options){.from = to, .to = back}, &r, &err)) fail_msg("%s", err.text);
  manifest_deinit(&r.manifest);
  snprintf(command, sizeof command, "ls %s/journal/01-*.gone >/dev/null", back);
  assert_int_equal(system(command), 0);
  scratch_free(dir), scratch_free(to), scratch_free(back);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_base_holds_what_was_put_in), cmocka_unit_test(any_flipped_bit_is_found),
      cmocka_unit_test(an_older_state_is_built_anew), cmocka_unit_test(old_journal_goes),
      cmocka_unit_test(a_hold_keeps_the_journal),     cmocka_unit_test(a_log_that_waits_leaves_no_gap),
      cmocka_unit_test(no_number_comes_twice),
  };
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
