// Accounts: whatever the order and the way of messages, how often the process is killed, and on however many shards, an
// account's roll-up is in the end what all its leads add up to, and every copy is that roll-up. The model is made from the events
// alone, but for the values of a lead's own features, which have tests of their own. ROUNDS and SEED come from the environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "engine/account.h"
#include "post.h"
#include "replayed.h"
#include "store/replay.h"
#include "store/verify.h"

enum { USERS = 24, COMPANIES = 4, EVENTS = 600 };
#define BEGIN_MS INT64_C(1767603600000)
static uint64_t seed;
static bool has_merges; // events also come of an anonymous lead for each user, which an identify merges in

// ---- events ----
struct made {
  unsigned user;
  int company; // of a group event; -1: another
  int64_t at_ms;
};

static struct made make(struct buf *b, uint64_t n) {
  static const char *const what[] = {"Pricing Viewed", "Docs Viewed", "Demo Requested", "Feature Used"};
  static const char *const seniority[] = {"executive", "manager", "individual"};
  struct draw d = {hash_mix(seed, n)};
  struct made m = {.user = (unsigned)draw(&d, USERS), .company = -1};
  unsigned kind = (unsigned)draw(&d, 10);
  m.at_ms = BEGIN_MS + (int64_t)n * 1800000 - (int64_t)draw(&d, 3) * 600000;
  char user[64], message[64], company[64];
  if (has_merges) m.at_ms = BEGIN_MS + (int64_t)n * 1800000;
  bool is_last = has_merges && n >= EVENTS - USERS;
  if (is_last) kind = 2, m.user = (unsigned)(EVENTS - n - 1);
  bool is_both = has_merges && (is_last || (kind >= 2 && kind < 4 && draw(&d, 2))), is_other = false;
  if (has_merges && (kind < 2 || kind >= 4)) is_other = draw(&d, 3) == 0;
  snprintf(user, sizeof user, "%s%u", is_other ? "anonymous" : "person", m.user);
  snprintf(message, sizeof message, "m-%llu", (unsigned long long)n);
  buf_clear(b);
  mp_put_map(b, 5u + (kind < 4) + is_both);
  put_pair(b, "type", kind < 2 ? "group" : kind < 4 ? "identify" : "track");
  put_pair(b, "messageId", message);
  put_pair(b, is_other ? "anonymousId" : "userId", user);
  char anonymous[64];
  snprintf(anonymous, sizeof anonymous, "anonymous%u", m.user);
  if (is_both) put_pair(b, "anonymousId", anonymous);
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, m.at_ms);
  put_pair(b, "channel", "product");
  if (kind < 2) {
    m.company = (int)draw(&d, COMPANIES);
    snprintf(company, sizeof company, "company-%d", m.company);
    put_pair(b, "groupId", company);
  } else if (kind < 4) {
    mp_put_cstr(b, "traits");
    mp_put_map(b, 2);
    put_pair(b, "seniority", seniority[draw(&d, 3)]);
    put_pair(b, "email", "somebody@acme.example");
  } else {
    buf_clear(b);
    mp_put_map(b, 6);
    put_pair(b, "type", "track");
    put_pair(b, "messageId", message);
    put_pair(b, is_other ? "anonymousId" : "userId", user);
    mp_put_cstr(b, "timestamp");
    mp_put_int(b, m.at_ms);
    put_pair(b, "channel", "product");
    put_pair(b, "event", what[draw(&d, sizeof what / sizeof *what)]);
  }
  return m;
}

// ---- the model ----
struct model {
  int64_t interval_ms;
  struct one {
    int company; // -1: none
    int64_t now_ms, named_ms;
  } user[USERS];
  int64_t first[COMPANIES], last[COMPANIES];
};

static struct model model_of(uint64_t events, int64_t interval_ms) {
  struct model m = {.interval_ms = interval_ms > 1 ? interval_ms : 1};
  struct buf b = {0};
  for (unsigned u = 0; u < USERS; u++) m.user[u] = (struct one){-1, INT64_MIN, INT64_MIN};
  for (unsigned c = 0; c < COMPANIES; c++) m.first[c] = INT64_MAX, m.last[c] = INT64_MIN;
  for (uint64_t n = 0; n < events; n++) {
    struct made e = make(&b, n);
    struct one *u = &m.user[e.user];
    if (e.at_ms > u->now_ms) u->now_ms = e.at_ms;
    if (e.company >= 0 && e.at_ms >= u->named_ms) u->company = e.company, u->named_ms = e.at_ms;
    if (u->company < 0) continue;
    int64_t touch = u->now_ms / m.interval_ms * m.interval_ms;
    if (touch < m.first[u->company]) m.first[u->company] = touch;
    if (touch > m.last[u->company]) m.last[u->company] = touch;
  }
  buf_deinit(&b);
  return m;
}

// What the features of accounts should say at a time, by name.
struct values {
  double people, people_7d, demo_ago, roles, engagement, quiet;
};

static struct lead *lead_of(struct world *w, unsigned user, struct store_shard **shard) {
  char name[64];
  struct lead_id id;
  snprintf(name, sizeof name, "person%u", user);
  struct hash128 identity = store_identity(w->store, 0, IDENTITY_USER, bytes_str(name));
  *shard = store_shard(w->store, store_shard_of(w->store, store_partition_of(w->store, identity)));
  return store_find(*shard, identity, &id) ? store_lead(*shard, id) : NULL;
}

static double engagement_of(struct store_shard *s, const struct lead *lead) {
  struct buf raw = {0};
  struct frame frame;
  struct error err = {0};
  struct bytes value;
  double points;
  if (store_read_number(s, lead->id, lead->number, &raw, &frame, &err)) fail_msg("%s", err.text);
  assert_true(mp_find_path(frame.decision, BYTES_LIT("scores.engagement"), &value) && mp_as_number(value, &points));
  buf_deinit(&raw);
  return floor((points + 500) / 1000); // of thousandths
}

static struct values expected(struct world *w, const struct model *m, unsigned company, int64_t now_ms) {
  struct values v = {.demo_ago = NAN, .engagement = NAN, .quiet = NAN};
  char roles[3][FEATURE_TEXT_MAX + 1];
  const struct feature_set *set = policy_features(shipped_policy());
  for (unsigned u = 0; u < USERS; u++) {
    if (m->user[u].company != (int)company) continue;
    struct store_shard *s;
    struct lead *lead = lead_of(w, u, &s);
    double values[FEATURES_MAX];
    struct bytes texts[FEATURES_MAX];
    assert_non_null(lead);
    double points = engagement_of(s, lead);
    feature_read(set, lead_feature_state(lead), now_ms, values, texts);
    double demo = values[feature_find(set, BYTES_LIT("demo_ago"))];
    struct bytes role = texts[feature_find(set, BYTES_LIT("seniority"))];
    unsigned at = 0;
    v.people++;
    int64_t day = 86400000, touch = m->user[u].now_ms / m->interval_ms * m->interval_ms;
    if (touch / day > now_ms / day - 7) v.people_7d++;
    if (!isnan(demo) && !(demo >= v.demo_ago)) v.demo_ago = demo;
    if (!(points <= v.engagement)) v.engagement = points;
    while (at < (unsigned)v.roles && !bytes_is(role, roles[at])) at++;
    if (role.n && at == (unsigned)v.roles)
      snprintf(roles[at], sizeof roles[at], "%.*s", (int)role.n, role.p), v.roles++;
  }
  if (m->last[company] != INT64_MIN) v.quiet = (double)(now_ms - m->last[company]);
  return v;
}

// ---- what there is ----
static double read_one(const struct feature_set *set, const uint8_t *state, int64_t now_ms, const char *name) {
  double values[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  feature_read(set, state, now_ms, values, texts);
  int at = feature_find(set, bytes_str(name));
  assert_true(at >= 0);
  return values[at];
}

static void check_value(const char *name, unsigned company, double is, double should) {
  if (is == should || (isnan(is) && isnan(should))) return;
  fail_msg("company-%u: %s is %.17g, and its leads add up to %.17g", company, name, is, should);
}

static void check_copy(struct world *w, const struct model *m, unsigned company, struct bytes copy, int64_t now_ms) {
  const struct feature_set *set = policy_features(shipped_policy());
  uint8_t *state = xcalloc(1, feature_state_size(set));
  feature_state_init(set, state);
  feature_account_take(set, state, copy, now_ms);
  struct values v = expected(w, m, company, now_ms);
  check_value("account_people", company, read_one(set, state, now_ms, "account_people"), v.people);
  check_value("account_people_7d", company, read_one(set, state, now_ms, "account_people_7d"), v.people_7d);
  check_value("account_demo_ago", company, read_one(set, state, now_ms, "account_demo_ago"), v.demo_ago);
  check_value("account_roles", company, read_one(set, state, now_ms, "account_roles"), v.roles);
  check_value("account_engagement", company, read_one(set, state, now_ms, "account_engagement"), v.engagement);
  if (!has_merges) // else it depends on when its leads were merged which of them was of the account before
    check_value("account_quiet", company, read_one(set, state, now_ms, "account_quiet"), v.quiet);
  free(state);
}

static struct lead_id account_id(const struct world *w, unsigned company) {
  char name[64];
  snprintf(name, sizeof name, "company-%u", company);
  return store_entity_id(w->store, ENTITY_ACCOUNT, 0, bytes_str(name));
}

static const struct entity *entity_at(struct world *w, struct lead_id id) {
  return store_entity(store_shard(w->store, store_shard_of(w->store, store_partition_of_lead(w->store, id))), id);
}

static void flush_and_settle(struct world *w, struct post *post) {
  post->received_ms = INT64_C(1) << 50;
  post_settle(post);
  for (unsigned i = 0; i < w->shards; i++) {
    intake_wake(w->intake[i], post->received_ms * 2, 1000000);
    assert_int_equal(store_shard(w->store, i)->unsent_count, 0);
  }
  post_settle(post);
}

// Every account, and the copy in the slot of each of its leads. Returns a hash of the accounts.
static uint64_t check_accounts(struct world *w, uint64_t events, int64_t interval_ms) {
  struct model m = model_of(events, interval_ms);
  int64_t now_ms = BEGIN_MS + (int64_t)events * 1800000;
  uint64_t hash = 0;
  for (unsigned c = 0; c < COMPANIES; c++) {
    const struct entity *e = entity_at(w, account_id(w, c));
    if (!e) {
      assert_true(m.last[c] == INT64_MIN);
      continue;
    }
    assert_false(account_is_dirty(e));
    struct buf shown = {0};
    struct bytes copy;
    account_show(e, &shown);
    assert_true(mp_find(buf_bytes(&shown), BYTES_LIT("copy"), &copy));
    check_copy(w, &m, c, copy, now_ms);
    struct mp in = mp_of(copy); // without its time
    mp_next(&in), mp_next(&in);
    hash = hash_mix(hash, hash64(bytes_of(in.p, (size_t)(in.end - in.p))));
    buf_deinit(&shown);
  }
  for (unsigned u = 0; u < USERS; u++) {
    struct store_shard *s;
    struct lead *lead = lead_of(w, u, &s);
    if (!lead || m.user[u].company < 0) continue;
    const struct entity *view =
        entity_at(w, account_view(account_id(w, (unsigned)m.user[u].company), lead_id_slot(lead->id)));
    assert_non_null(view);
    check_copy(w, &m, (unsigned)m.user[u].company, entity_state(view), now_ms);
  }
  return hash;
}

static uint64_t messages_of(const struct replay_result *result) { return result->messages; }

// ---- in one process ----
static void take_event(struct world *w, uint64_t n, struct buf *b, struct buf *answer) {
  struct error err = {0};
  struct intake_options in = {.limits = EVENT_LIMITS_DEFAULT};
  struct intake_way way, on;
  unsigned partition;
  make(b, n);
  buf_clear(answer);
  CHECK(intake_route(w->store, &in, buf_bytes(b), 0, &partition, &err) == 0);
  int rc = INTAKE_ELSEWHERE;
  for (bool goes_on = false; rc == INTAKE_ELSEWHERE; goes_on = true) {
    unsigned shard = store_shard_of(w->store, partition);
    rc = intake_event_on(w->intake[shard], buf_bytes(b), 0, goes_on ? &on : NULL, &way, answer, &err);
    if (rc != INTAKE_ELSEWHERE) break;
    CHECK(store_commit(store_shard(w->store, shard), &err) == 0);
    on = way;
    partition = store_partition_of_lead(w->store, way.to);
  }
  if (rc) fprintf(stderr, "event %llu: %s\n", (unsigned long long)n, err.text);
  CHECK(rc == 0); // of a child, too
}

static void deliver_some(struct world *w, struct post *post, struct draw *d) {
  struct error err = {0};
  for (unsigned k = 0; k < 3; k++) {
    unsigned at = (unsigned)draw(d, w->shards);
    post_deliver(post, at);
    if (draw(d, 3) == 0) assert_int_equal(store_commit(store_shard(w->store, at), &err), 0);
    if (draw(d, 2)) post_collect(post, at);
  }
  if (draw(d, 8) == 0) world_turn(w);
}

static void remove_state(const char *dir) {
  char path[700];
  snprintf(path, sizeof path, "%s/state", dir);
  nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t one_world(unsigned shards, bool is_hostile, int64_t interval_ms, uint64_t choice) {
  struct draw d = {choice};
  char *dir = scratch_new();
  struct store_options options = small_options(dir, shards);
  options.checkpoint_ms = 1 + (int64_t)draw(&d, 20);
  world_account_interval_ms = interval_ms;
  struct world w;
  world_must_open(&w, &options);
  struct post post = {.world = &w, .draw = &d, .is_hostile = is_hostile, .room = 3};
  struct buf b = {0}, answer = {0};
  for (uint64_t n = 0; n < EVENTS; n++) {
    take_event(&w, n, &b, &answer);
    deliver_some(&w, &post, &d);
    if (draw(&d, 50) == 0) intake_wake(w.intake[draw(&d, shards)], INT64_C(1) << 50, 2);
  }
  flush_and_settle(&w, &post);
  uint64_t hash = check_accounts(&w, EVENTS, interval_ms);
  world_close(&w);
  check_journal(dir, messages_of);
  if (is_hostile) remove_state(dir); // all of it comes from the journal again
  options.shards = 1 + (unsigned)draw(&d, 5);
  world_must_open(&w, &options);
  post_deinit(&post);
  post = (struct post){.world = &w, .draw = &d, .room = 3};
  flush_and_settle(&w, &post);
  assert_true(check_accounts(&w, EVENTS, interval_ms) == hash);
  world_close(&w);
  post_deinit(&post);
  buf_deinit(&b), buf_deinit(&answer);
  scratch_free(dir);
  return hash;
}

static void accounts_add_up_whatever_the_order(void **state) {
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    int64_t interval_ms = i ? 4 * 3600000 : 0;
    uint64_t hash = one_world(1, false, interval_ms, seed);
    assert_true(one_world(3, true, interval_ms, hash_mix(seed, 1)) == hash);
    assert_true(one_world(4, true, interval_ms, hash_mix(seed, 2)) == hash);
  }
}

// ---- killed ----
_Noreturn static void write_until_killed(const char *dir, uint64_t from, int acks, uint64_t choice) {
  static struct world w;
  static struct post post;
  struct draw d = {choice};
  struct error err = {0};
  struct store_options options = small_options(dir, 1 + (unsigned)draw(&d, 5));
  options.journal.sync = (int)draw(&d, 3);
  options.journal.interval_ms = 1;
  options.checkpoint_ms = 1 + (int64_t)draw(&d, 20);
  world_must_open(&w, &options);
  post = (struct post){.world = &w, .draw = &d, .is_hostile = true, .room = 1 + (unsigned)draw(&d, POST_MAX)};
  struct buf b = {0}, answer = {0};
  for (uint64_t n = from; n < EVENTS; n++) {
    take_event(&w, n, &b, &answer);
    deliver_some(&w, &post, &d);
    if (draw(&d, 10) == 0) intake_wake(w.intake[draw(&d, w.shards)], INT64_C(1) << 50, 2);
    if (draw(&d, 4)) continue;
    CHECK(world_commit(&w, &err) == 0);
    CHECK(write(acks, &n, sizeof n) == (ssize_t)sizeof n);
  }
  CHECK(world_commit(&w, &err) == 0);
  uint64_t last = EVENTS - 1;
  CHECK(write(acks, &last, sizeof last) == (ssize_t)sizeof last);
  for (;;) pause();
}

// Starts a child, kills it after a while. Returns the event with which to go on.
static uint64_t live_and_die(const char *dir, uint64_t from, struct draw *d) {
  int acks[2];
  assert_int_equal(pipe(acks), 0);
  static int lives;
  assert_true(++lives < 1000);
  uint64_t choice = draw(d, 0), events = 1 + draw(d, EVENTS / 3), n = 0, next = from;
  pid_t child = fork();
  if (child == 0) write_until_killed(dir, from, acks[1], choice);
  close(acks[1]);
  while (next < from + events && next < EVENTS && read(acks[0], &n, sizeof n) == (ssize_t)sizeof n) next = n + 1;
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  while (read(acks[0], &n, sizeof n) == (ssize_t)sizeof n) next = n + 1;
  close(acks[0]);
  return next;
}

// Known leads take anonymous ones in, of other accounts than theirs: each person counts once, where it was named last.
static void merged_leads_count_once(void **state) {
  (void)state;
  has_merges = true;
  for (unsigned i = 0; i < 2; i++) {
    one_world(1 + 3 * i, i, i ? 4 * 3600000 : 0, hash_mix(seed, 10 + i));
  }
  has_merges = false;
}

// What the journal brought back counts for the checkpoint as what comes does: once it is written nothing is left to be.
static void check_nothing_is_dirty(struct world *w) {
  uint32_t cycle = checkpoint_begin(w->store->checkpoint);
  for (int i = 0; i < 1000 && checkpoint_finished(w->store->checkpoint) != cycle; i++) world_turn(w), usleep(100);
  assert_true(checkpoint_wait(w->store->checkpoint, cycle));
  assert_int_equal(store_stats(store_shard(w->store, 0)).dirty_bytes, 0);
}

static void nothing_is_lost_or_counted_twice_when_killed(void **state) {
  (void)state;
  const char *rounds = getenv("ROUNDS");
  for (int round = 0; round < (rounds ? atoi(rounds) : 4); round++) {
    struct draw d = {hash_mix(seed, 77 + (uint64_t)round)};
    has_merges = round % 2;
    char *dir = scratch_new();
    world_account_interval_ms = draw(&d, 2) ? 4 * 3600000 : 0;
    for (uint64_t next = 0; next < EVENTS;) next = live_and_die(dir, next, &d);
    struct store_options options = small_options(dir, 1 + (unsigned)draw(&d, 5));
    struct world w;
    world_must_open(&w, &options);
    struct post post = {.world = &w, .draw = &d, .room = 3};
    flush_and_settle(&w, &post);
    check_accounts(&w, EVENTS, world_account_interval_ms);
    check_nothing_is_dirty(&w);
    world_close(&w);
    check_journal(dir, messages_of);
    post_deinit(&post);
    scratch_free(dir);
  }
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accounts_add_up_whatever_the_order),
      cmocka_unit_test(merged_leads_count_once),
      cmocka_unit_test(nothing_is_lost_or_counted_twice_when_killed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
