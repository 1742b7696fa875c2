// Messages between entities: applied once, in their channel's order, and all of them in the end, whatever the way
// between shards does and whenever the process is killed (SIGKILL), the power goes, or a sync fails, on changing numbers of shards, in
// every sync mode, with the checkpoint running. Held against a model. ROUNDS and SEED come from the environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "post.h"
#include "store/base.h"
#include "store/channel_check.h"
#include "store/disk_faults.h"
#include "store/replay.h"
#include "store/verify.h"

enum { COMMANDS_MAX = 20000, USERS = 20 };
static uint64_t seed;

static struct store_options options_of(const char *dir, struct draw *d) {
  struct store_options o = small_options(dir, 1 + (unsigned)draw(d, 8));
  o.journal.sync = (int)draw(d, 3);
  o.journal.interval_ms = 1;
  o.checkpoint_ms = 1 + (int64_t)draw(d, 20);
  o.dirty_max = 40000 + (size_t)draw(d, 200000);
  o.outbox_max = 1000 + (size_t)draw(d, 100000);
  o.outbox_window = 1 + (unsigned)draw(d, 20);
  o.dedupe_window_ms = 3000; // commands: a start reads no journal that is older, and that the checkpoint has
  return o;
}

// ---- what a journal proves ----

// The directory's journal is whole, messages included.
static void verify(const char *dir, bool is_closed) {
  struct verify_options options = {.dir = dir, .must_be_closed = is_closed};
  struct verify_result *result = xcalloc(1, sizeof *result);
  struct error err = {0};
  int rc = store_verify(&options, result, &err);
  bool has_none = rc == ITD_ENOTFOUND && !is_closed; // it ended before there was a journal
  if (rc && !has_none) fail_msg("%s", err.text);
  if (!has_none && !result->is_whole) fail_msg("%s", result->finding[0].text);
  assert_true(!is_closed || result->is_closed);
  free(result->tip);
  free(result);
}

// A frame of partition p that sends to partition `to` (-1: to none) and applied `from_n` of `from`.
static bool show(struct channel_check *check, unsigned p, uint64_t seq, int to, unsigned from, uint64_t from_n) {
  struct buf body = {0}, list = {0};
  char what[200];
  tally_put_add(&body, BYTES_LIT("k"), 1, (struct bytes){0});
  if (to >= 0) message_put(&list, (struct lead_id){{(uint8_t)to}}, MESSAGE_TALLY_ADD, buf_bytes(&body));
  struct frame f = {.kind = from_n ? FRAME_MESSAGE : FRAME_EVENT,
                    .partition = (uint16_t)p,
                    .seq = seq,
                    .from = (uint16_t)from,
                    .from_n = from_n,
                    .messages = buf_bytes(&list)};
  bool ok = channel_check_frame(check, &f, what);
  buf_deinit(&body);
  buf_deinit(&list);
  return ok;
}

static void a_journal_shows_what_was_doubled_or_lost_or_made_up(void **state) {
  (void)state;
  char what[200];
  for (int which = 0; which < 6; which++) {
    struct channel_check *check = channel_check_new();
    channel_check_begin(check, 2);
    assert_true(show(check, 0, 1, 1, 0, 0)); // 0 -> 1: 1
    assert_true(show(check, 0, 2, 1, 0, 0)); // 0 -> 1: 2
    assert_true(show(check, 1, 1, -1, 0, 1));
    if (which == 0) assert_false(show(check, 1, 2, -1, 0, 1)); // twice
    if (which == 1) assert_false(show(check, 1, 2, -1, 0, 3)); // one was left out
    if (which == 2) assert_false(show(check, 1, 2, -1, 7, 1)); // from nowhere
    if (which >= 3) assert_true(show(check, 1, 2, -1, 0, 2));
    if (which == 3) assert_true(channel_check_end(check, what));
    if (which == 4) assert_true(show(check, 1, 3, -1, 0, 3)); // what was never sent
    if (which == 4) assert_false(channel_check_end(check, what));
    if (which == 5) { // frames are missing: no more is known, but order
      channel_check_lose(check);
      assert_true(show(check, 1, 9, -1, 0, 77));
      assert_false(show(check, 1, 10, -1, 0, 79));
      assert_true(channel_check_end(check, what));
      channel_check_begin(check, 4); // a reshard begins channels anew
      assert_true(show(check, 3, 20, 2, 0, 0));
      assert_true(show(check, 2, 20, -1, 3, 1));
      assert_true(channel_check_end(check, what));
      assert_false(show(check, 2, 21, -1, 3, 3));
    }
    channel_check_free(check);
  }
}

// ---- in one process ----

static void settle_and_check(struct world *w, struct post *post, uint64_t commands_max, uint64_t expected) {
  struct error err = {0};
  post_settle(post);
  struct told told;
  told_init(&told, store_partitions(w->store), commands_max);
  if (store_walk(w->dir, -1, told_visit, &told, &err)) fail_msg("walk: %s", err.text);
  const char *wrong = told_check(&told, true);
  if (!wrong) wrong = check_sums(w, seed, &told);
  if (wrong) fail_msg("%s", wrong);
  assert_true(told.commands >= expected);
  told_deinit(&told);
}

static void everything_arrives_once_and_in_order(void **state) {
  (void)state;
  enum { COMMANDS = 250 };
  struct draw d = {seed};
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 4);
  options.outbox_window = 3;
  struct world w;
  world_must_open(&w, &options);
  struct post post = {.world = &w, .draw = &d, .is_hostile = true, .room = 2};
  struct ids ids = ids_of(w.store);
  struct error err = {0};
  for (uint64_t n = 0; n < COMMANDS; n++) {
    tell_command(&w, seed, n, &ids);
    unsigned i = (unsigned)draw(&d, w.shards);
    post_deliver(&post, i);
    if (draw(&d, 2)) assert_int_equal(store_commit(store_shard(w.store, i), &err), 0);
    post_collect(&post, (unsigned)draw(&d, w.shards));
    world_turn(&w);
  }
  for (uint64_t n = 0; n < COMMANDS; n += 7) tell_command(&w, seed, n, &ids); // seen before: nothing comes of it
  settle_and_check(&w, &post, COMMANDS, COMMANDS);
  struct outbox_stats sum = {0};
  for (unsigned i = 0; i < w.shards; i++) {
    struct outbox_stats s = store_stats(store_shard(w.store, i)).outbox;
    assert_int_equal(s.bytes, 0);
    sum.sent += s.sent, sum.resent += s.resent, sum.applied += s.applied, sum.duplicates += s.duplicates;
  }
  assert_int_equal(sum.applied, sum.sent);
  assert_true(sum.sent && sum.resent && sum.duplicates);
  world_close(&w);

  verify(dir, true);

  // What a start finds: everything is acknowledged, and nothing is sent again.
  options = small_options(dir, 3);
  world_must_open(&w, &options);
  assert_int_equal(post_pending(&w), 0);
  world_close(&w);
  struct replay_options replay = {.dir = dir, .threads = 2, .vm = VM_LIMITS_DEFAULT};
  struct replay_result result;
  if (store_replay(&replay, &result, &err)) fail_msg("%s", err.text);
  assert_int_equal(result.different, 0);
  assert_int_equal(result.messages, sum.applied + COMMANDS);
  post_deinit(&post);
  scratch_free(dir);
}

// What was sent is on disk before it leaves, and what was applied before it is acknowledged: also where a commit is no sync.
static void nothing_leaves_before_it_is_on_disk(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 1);
  options.journal.sync = SYNC_OFF;
  struct world w;
  world_must_open(&w, &options);
  struct post post = {.world = &w, .draw = &d, .room = POST_MAX};
  struct store_shard *s = store_shard(w.store, 0);
  struct ids ids = ids_of(w.store);
  struct error err = {0};
  uint64_t n = 0;
  for (; !post_pending(&w); n++) tell_command(&w, seed, n, &ids);
  struct outbox_transport transport = {.has_room = post_has_room, .give = post_give, .context = &post};
  outbox_give(s->outbox, 1, &transport);
  assert_int_equal(post.count[0], 0); // staged only
  assert_int_equal(store_commit(s, &err), 0);
  outbox_give(s->outbox, 2, &transport);
  assert_int_equal(post.count[0], 0); // written, not synced
  assert_int_equal(journal_sync(s->journal, &err), 0);
  post_collect(&post, 0);
  assert_int_equal(post.count[0], 1);
  assert_true(post_deliver(&post, 0));
  outbox_give(s->outbox, 3, &transport);
  assert_int_equal(post.count[0], 0); // applied, staged: no acknowledgement yet, and what it caused stays too
  assert_int_equal(store_commit(s, &err), 0);
  outbox_give(s->outbox, 4, &transport);
  assert_int_equal(post.count[0], 0);
  for (int64_t now_ms = 5; !post.count[0]; now_ms++) { // store_give has it synced by the thread beside
    int64_t due_ms;
    store_give(s, now_ms, &transport, &due_ms);
    assert_true(post.count[0] || due_ms <= now_ms + 10);
    usleep(1000);
  }
  settle_and_check(&w, &post, n, n);
  world_close(&w);
  post_deinit(&post);
  scratch_free(dir);
}

// At the bound there is an end of events and not of messages; and with one credit a channel and one batch a way all the
// same everything arrives.
static void small_outboxes_do_not_lock(void **state) {
  (void)state;
  enum { COMMANDS = 120 };
  struct draw d = {seed};
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 8);
  options.outbox_max = 8 * 600;
  options.outbox_window = 1;
  struct world w;
  world_must_open(&w, &options);
  struct post post = {.world = &w, .draw = &d, .room = 1};
  struct ids ids = ids_of(w.store);
  struct error err = {0};
  uint64_t n = 0, stood = 0;
  for (uint64_t turns = 0; n < COMMANDS; turns++) {
    assert_true(turns < 100000);
    for (unsigned i = 0; i < w.shards; i++) {
      post_deliver(&post, i);
      bool is_full = store_outbox_full(store_shard(w.store, i));
      stood += is_full;
      // Commands to shard i, while it takes any.
      for (unsigned k = 0; k < 3 && n < COMMANDS && !is_full; k++) tell_command(&w, seed, n++, &ids);
      assert_int_equal(store_commit(store_shard(w.store, i), &err), 0);
      post_collect(&post, i);
    }
  }
  assert_true(stood);
  settle_and_check(&w, &post, COMMANDS, COMMANDS);
  uint64_t full = 0;
  for (unsigned i = 0; i < w.shards; i++) full += store_stats(store_shard(w.store, i)).outbox.full;
  assert_true(full && full <= stood);
  world_close(&w);
  post_deinit(&post);
  scratch_free(dir);
}

// ---- bases ----

static void remove_state(const char *dir) {
  char path[700];
  snprintf(path, sizeof path, "%s/state", dir);
  nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// Waits until every partition's newest base is of its last frame.
static void wait_for_bases(struct world *w) {
  for (int i = 0;; i++) {
    assert_true(i < 20000);
    struct base_info *list;
    size_t count;
    bool are_new = base_list(w->dir, &list, &count, NULL) == 0;
    for (unsigned p = 0; are_new && p < store_partitions(w->store); p++) {
      const struct base_info *base = base_at(list, count, p, UINT64_MAX);
      uint64_t seq = journal_seq(store_shard(w->store, store_shard_of(w->store, p))->journal, p);
      are_new = base && base->head.seq == seq;
    }
    base_list_free(list);
    if (are_new) return;
    world_turn(w);
    usleep(1000);
  }
}

// LMDB is gone, and the journal before the bases with it: what is under way, what was received, and the sums are in the bases.
static void the_state_is_built_anew_while_messages_wait(void **state) {
  (void)state;
  enum { EACH = 200, ROUNDS = 3 };
  struct draw d = {seed};
  char *dir = scratch_new();
  struct store_options options = small_options(dir, 3);
  options.keep.base_bytes = 1; // whenever anything was written
  options.keep.bytes = 1;
  options.dedupe_window_ms = 1;
  struct world w;
  struct error err = {0};
  world_must_open(&w, &options);
  struct ids ids = ids_of(w.store);
  uint64_t n = 0;
  for (int round = 0; round < ROUNDS; round++) {
    struct post post = {.world = &w, .draw = &d, .is_hostile = true, .room = 2};
    for (uint64_t to = n + EACH; n < to; n++) {
      post.received_ms = command_ms(n);
      tell_command(&w, seed, n, &ids);
      unsigned i = (unsigned)draw(&d, w.shards);
      post_deliver(&post, i);
      if (draw(&d, 3) == 0) assert_int_equal(world_commit(&w, &err), 0);
      post_collect(&post, i);
      world_turn(&w);
    }
    assert_int_equal(world_commit(&w, &err), 0);
    wait_for_bases(&w);
    assert_true(post_pending(&w) > 0);
    uint64_t pending = post_pending(&w);
    post_deinit(&post);
    for (unsigned i = 0; i < w.shards; i++) intake_free(w.intake[i]);
    store_close(w.store);
    remove_state(dir);
    options.shards = 1 + (unsigned)draw(&d, 5);
    world_must_open(&w, &options);
    ids = ids_of(w.store);
    assert_true(post_pending(&w) > 0 && post_pending(&w) <= pending); // some had been received
  }
  struct post post = {.world = &w, .draw = &d, .is_hostile = true, .room = 2, .received_ms = command_ms(n)};
  post_settle(&post);
  struct told all = {.commands_max = n, .is_applied = xcalloc(n, 1)};
  memset(all.is_applied, 1, n);
  const char *wrong = check_sums(&w, seed, &all);
  if (wrong) fail_msg("%s", wrong);
  free(all.is_applied);
  world_close(&w);
  verify(dir, true);
  struct replay_options replay = {.dir = dir, .threads = 2, .vm = VM_LIMITS_DEFAULT};
  struct replay_result result;
  if (store_replay(&replay, &result, &err)) fail_msg("%s", err.text);
  assert_int_equal(result.different, 0);
  assert_true(result.messages > 0);
  post_deinit(&post);
  scratch_free(dir);
}

// ---- killed ----

struct life {
  uint64_t choice;
  int sync;
  enum { IS_KILLED, POWER_GOES, SYNCS_FAIL } end; // SYNCS_FAIL: now and then, until it is killed
};

static void plan_faults(const struct life *life, struct draw *d) {
  char plan[100];
  struct error err = {0};
  unsigned long long chance = draw(d, 0), when = 20 + draw(d, 500);
  if (life->end == POWER_GOES)
    snprintf(plan, sizeof plan, "seed=%llu;%s:*:%llu:power", chance, draw(d, 3) ? "sync" : "write", when);
  else
    snprintf(plan, sizeof plan, "seed=%llu;sync:journal/*:1/60:EIO", chance);
  CHECK(disk_faults_start(plan, &err) == 0);
}

// Opens the directory in the same process once more, as the daemon does when a sync failed. What was under way stays so.
static void open_again(struct world *w) {
  struct store_options options = w->options;
  struct error err = {0};
  int rc;
  if (w->store) world_close(w);
  while ((rc = world_open(w, &options, &err)) == ITD_EIO) world_close(w); // a sync of the recovery's own failed
  CHECK(rc == 0);
}

struct child {
  struct world w;
  struct post post;
  struct draw d;
  struct ids ids;
  struct buf event, answer;
};

// Tells commands n, n + 1 …, and commits them. ITD_EIO: a sync failed, and who knows what of it is there.
static int tell_some(struct child *c, uint64_t n, size_t count) {
  struct error err = {0};
  int rc = 0;
  for (size_t i = 0; i < count; i++, n++) {
    tell_command(&c->w, seed, n, &c->ids);
    c->post.received_ms = command_ms(n);
    for (unsigned k = 0; k < 4; k++) { // shards go on apart from each other
      unsigned at = (unsigned)draw(&c->d, c->w.shards);
      post_deliver(&c->post, at);
      if (draw(&c->d, 3) == 0 && (rc = store_commit(store_shard(c->w.store, at), &err))) return rc;
      if (draw(&c->d, 2)) post_collect(&c->post, at);
    }
    if (draw(&c->d, 8) == 0) world_turn(&c->w); // with frames staged: the checkpoint must not see them
    if (draw(&c->d, 8)) continue;
    make_event(&c->event, seed, n, USERS); // leads change too
    buf_clear(&c->answer);
    CHECK(world_take(&c->w, buf_bytes(&c->event), command_ms(n), &c->answer, &err) == 0);
  }
  return world_commit(&c->w, &err);
}

// The child: tells commands from `from` on until it ends, and says which were committed.
_Noreturn static void write_until_killed(const char *dir, uint64_t from, int acks, const struct life *life) {
  static struct child c;
  c.d = (struct draw){life->choice};
  struct store_options options = options_of(dir, &c.d);
  options.journal.sync = life->sync;
  if (life->end != IS_KILLED) plan_faults(life, &c.d);
  c.w.options = options;
  open_again(&c.w);
  c.ids = ids_of(c.w.store);
  c.post = (struct post){.world = &c.w, .draw = &c.d, .is_hostile = true, .room = 1 + (unsigned)draw(&c.d, POST_MAX)};
  for (uint64_t n = from; n < COMMANDS_MAX;) {
    size_t count = 1 + (size_t)draw(&c.d, 16);
    if (n + count > COMMANDS_MAX) count = (size_t)(COMMANDS_MAX - n);
    int rc = tell_some(&c, n, count);
    CHECK(rc == 0 || (rc == ITD_EIO && life->end == SYNCS_FAIL));
    if (rc) {
      open_again(&c.w);
      continue;
    }
    for (size_t i = 0; i < count; i++, n++) CHECK(write(acks, &n, sizeof n) == (ssize_t)sizeof n);
    world_turn(&c.w);
    if (draw(&c.d, 200) == 0) { // now and then it ends in order, which may be cut short too
      c.w.options = options_of(dir, &c.d);
      c.w.options.journal.sync = life->sync;
      open_again(&c.w);
      for (unsigned i = 0; i < 16; i++) c.post.count[i] = 0; // they were to other shards
    }
  }
  raise(SIGKILL); // there are no more commands
  abort();
}

// What the journal has: commands without a gap from the first, and every channel in its order, which no frame of the other
// side may be ahead of.
static uint64_t first_missing(const char *dir) {
  struct error err = {0};
  struct told told;
  told_init(&told, 8, COMMANDS_MAX);
  if (store_walk(dir, -1, told_visit, &told, &err)) fail_msg("walk: %s", err.text);
  const char *wrong = told_check(&told, false);
  if (wrong) fail_msg("%s", wrong);
  uint64_t n = 0;
  while (n < COMMANDS_MAX && told.is_applied[n]) n++;
  told_deinit(&told);
  return n;
}

static uint64_t one_life(const char *dir, uint64_t acked, struct draw *d) {
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  struct life life = {.choice = draw(d, 0), .sync = (int)draw(d, 3), .end = (int)draw(d, 3)};
  if (life.end == SYNCS_FAIL) life.sync = SYNC_ALWAYS; // else a failure takes what was acknowledged
  bool has_power = life.end == POWER_GOES;
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(fds[0]);
    write_until_killed(dir, acked, fds[1], &life);
  }
  close(fds[1]);
  uint64_t wanted = has_power ? UINT64_MAX : draw(d, 4) ? draw(d, 300) : 0, n;
  if (!wanted) usleep((useconds_t)draw(d, 60000));
  while (wanted) {
    ssize_t k = read(fds[0], &n, sizeof n); // a write of few bytes to a pipe comes whole
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) break;
    assert_int_equal(k, sizeof n);
    assert_int_equal(n, acked++);
    wanted--;
  }
  if (!has_power) usleep((useconds_t)draw(d, 3000));
  if (!has_power) kill(child, SIGKILL);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); // and not of a check that failed
  while (read(fds[0], &n, sizeof n) == sizeof n) assert_int_equal(n, acked++);
  close(fds[0]);
  uint64_t missing = first_missing(dir);
  // Where a commit is no sync, the power takes what was acknowledged; the sender sends again from there.
  if (has_power && life.sync != SYNC_ALWAYS) return missing < acked ? missing : acked;
  assert_true(missing >= acked);
  return acked;
}

// What is under way arrives; then all is as the model says.
static void check_all(const char *dir, uint64_t acked, struct draw *d) {
  struct error err = {0};
  struct store_options options = options_of(dir, d);
  struct world w;
  if (world_open(&w, &options, &err)) fail_msg("open: %s", err.text);
  struct post post = {.world = &w, .draw = d, .is_hostile = true, .room = 4, .received_ms = command_ms(acked)};
  settle_and_check(&w, &post, COMMANDS_MAX, acked);
  world_close(&w);
  post_deinit(&post);
}

static void no_message_is_lost_or_doubled_by_an_end(void **state) {
  (void)state;
  struct draw d = {seed};
  const char *text = getenv("ROUNDS");
  int rounds = text ? atoi(text) : 8;
  char *dir = scratch_new();
  uint64_t acked = 0;
  for (int i = 0; i < rounds && acked < COMMANDS_MAX - 1000; i++) {
    acked = one_life(dir, acked, &d);
    verify(dir, false);
    if (draw(&d, 4) == 0) check_all(dir, acked, &d); // else the next child recovers from the kill alone
  }
  check_all(dir, acked, &d);
  verify(dir, true);
  assert_true(acked > 0);
  struct replay_options replay = {.dir = dir, .threads = 2, .vm = VM_LIMITS_DEFAULT};
  struct replay_result result;
  struct error err = {0};
  if (store_replay(&replay, &result, &err)) fail_msg("%s", err.text);
  assert_int_equal(result.different, 0);
  printf("%d lives, %llu commands acknowledged, %llu messages\n", rounds, (unsigned long long)acked,
         (unsigned long long)result.messages);
  scratch_free(dir);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  shipped_policy();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_journal_shows_what_was_doubled_or_lost_or_made_up),
      cmocka_unit_test(everything_arrives_once_and_in_order),
      cmocka_unit_test(nothing_leaves_before_it_is_on_disk),
      cmocka_unit_test(small_outboxes_do_not_lock),
      cmocka_unit_test(the_state_is_built_anew_while_messages_wait),
      cmocka_unit_test(no_message_is_lost_or_doubled_by_an_end),
  };
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  policy_release(shipped_policy());
  return rc;
}
