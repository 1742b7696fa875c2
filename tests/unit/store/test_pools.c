// Pools in the store: whatever the way of messages, how often the process is killed, which policy comes in force meanwhile and which
// leads are merged or forgotten, each seat that a pool counts is one that a lead has, each lead that waits is waited for, nobody
// has more than he has room for, and the shares are kept. ROUNDS and SEED come from the environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/log.h"
#include "engine/pool.h"
#include "post.h"
#include "replayed.h"
#include "store/replay.h"
#include "store/verify.h"

enum { USERS = 40, EVENTS = 500, POLICIES = 3 };
#define BEGIN_MS INT64_C(1767603600000)
static uint64_t seed;
static bool only_enters; // no lead ever leaves its owner

// ---- policies ----
// Three teams, of which the second is another one in each version; one says nothing of pools any more.
static const char *const TEAM[POLICIES] = {
    "name,team,weight,capacity,skills\nann,first,1,3,\nbob,first,2,4,german\ncleo,rest,1,8,\ndan,rest,1,,\n",
    "name,team,weight,capacity,skills\nbob,first,1,4,german\neve,first,1,2,\ncleo,rest,2,8,\nfred,rest,1,5,\n",
    "name,team,weight,capacity,skills\nann,first,3,3,german\ncleo,rest,1,8,\ndan,rest,1,,\n",
};
static const char RULES[] =
    "local policy, signal, journey, route, action = require 'policy', require 'signal', require 'journey', require "
    "'route', require "
    "'action'\n"
    "local go, f = journey.go, signal.features 'b2b@4'\n"
    "policy 'pools' { owner = 'a@example.com', rationale = 'R.', boundary = 'B.', team = 'people' }\n"
    "journey.start 'new'\n"
    "journey.stage 'new' { go 'sql' { on = 'Demo Requested', why = 'W.' } }\n"
    "journey.stage 'sql' { go 'won' { on = 'crm.opportunity_won', why = 'W.' },\n"
    "  go 'nurture' { on = 'crm.opportunity_lost', why = 'W.' }, go 'again' { on = 'Unsubscribed', why = 'W.' } }\n"
    "journey.stage 'nurture' { go 'sql' { on = 'Demo Requested', why = 'W.' } }\n"
    "journey.stage 'again' { go 'sql' { on = 'Demo Requested', why = 'W.' } }\n"
    "journey.final 'won'\n"
    "route.on_enter 'sql'\n"
    "route.to 'first' { when = f.pricing_views_7d:at_least(1), pick = 'round_robin', sticky = true, why = 'W.' }\n"
    "route.to 'german' { when = f.docs_views_30d:at_least(1), team = 'first', skill = 'german', pick = 'round_robin', "
    "full = 'wait', "
    "why = 'W.' }\n"
    "route.otherwise 'rest' { pick = 'least_busy', why = 'W.' }\n"
    "route.accept_within '3d' { otherwise = 'rest', why = 'W.' }\n"
    "route.release 'nurture' { why = 'W.' }\n"
    "action.otherwise 'wait' { utility = 1, why = 'W.' }\n";
static const char SHARES[] =
    "local policy, signal, journey, route, action = require 'policy', require 'signal', require 'journey', require "
    "'route', require "
    "'action'\n"
    "local go, f = journey.go, signal.features 'b2b@4'\n"
    "policy 'pools' { owner = 'a@example.com', rationale = 'R.', boundary = 'B.', team = 'people' }\n"
    "journey.start 'new'\n"
    "journey.stage 'new' { go 'sql' { when = f.sessions:default(0):at_least(0), why = 'W.' } }\n"
    "journey.stage 'sql' { go 'won' { on = 'crm.opportunity_won', why = 'W.' } }\n"
    "journey.final 'won'\n"
    "route.on_enter 'sql'\n"
    "route.otherwise 'rest' { pick = 'round_robin', why = 'W.' }\n"
    "action.otherwise 'wait' { utility = 1, why = 'W.' }\n";

static void write_text(const char *dir, const char *name, const char *text) {
  char path[800];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static struct policy *load(const char *rules, const char *team) {
  char *dir = scratch_new(), path[700], root[PATH_MAX], to[PATH_MAX + 20];
  struct error err = {0};
  struct policy *policy;
  snprintf(path, sizeof path, "%s/pools", dir);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/pools/data", dir);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_non_null(getcwd(root, sizeof root));
  snprintf(to, sizeof to, "%s/policies/signals", root);
  snprintf(path, sizeof path, "%s/signals", dir);
  assert_int_equal(symlink(to, path), 0);
  write_text(dir, "pools/policy.lua", rules);
  write_text(dir, "pools/data/people.csv", team);
  struct policy_source source = {
      .policies_dir = dir, .models_dir = "policies/models", .scripts_dir = "scripts", .name = "pools"};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  if (policy_load(&source, &limits, &policy, NULL, &err)) fail_msg("%s", err.text);
  scratch_free(dir);
  return policy;
}

static struct policy *policies[POLICIES], *shares;

// ---- events ----
static void make(struct buf *b, uint64_t n) {
  static const char *const what[] = {
      "Demo Requested",      "Demo Requested",    "Pricing Viewed",    "Docs Viewed",  "crm.opportunity_lost",
      "crm.opportunity_won", "crm.lead_accepted", "crm.lead_rejected", "Unsubscribed", "Feature Used"};
  struct draw d = {hash_mix(seed, n)};
  uint64_t user = draw(&d, USERS), kind = draw(&d, 12);
  bool is_identify = !only_enters && kind == 11, is_other = !only_enters && !is_identify && draw(&d, 3) == 0;
  char name[64], other[64], message[64];
  snprintf(name, sizeof name, "person%llu", (unsigned long long)user);
  snprintf(other, sizeof other, "anonymous%llu", (unsigned long long)(user * 4 + draw(&d, 4)));
  snprintf(message, sizeof message, "m-%llu", (unsigned long long)n);
  if (only_enters) snprintf(name, sizeof name, "person%llu", (unsigned long long)n);
  buf_clear(b);
  mp_put_map(b, 6);
  put_pair(b, "type", is_identify ? "identify" : "track");
  put_pair(b, "messageId", message);
  put_pair(b, is_other ? "anonymousId" : "userId", is_other ? other : name);
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, BEGIN_MS + (int64_t)n * 1800000);
  put_pair(b, "channel", "crm");
  if (is_identify)
    put_pair(b, "anonymousId", other);
  else
    put_pair(b, "event", what[draw(&d, sizeof what / sizeof *what)]);
}

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
  bool is_lost = rc == ITD_EFORGOTTEN || rc == ITD_EUNAVAILABLE; // it was forgotten
  if (rc && !is_lost) fprintf(stderr, "event %llu: %s\n", (unsigned long long)n, err.text);
  CHECK(rc == 0 || is_lost); // of a child, too
}

static void deliver_some(struct world *w, struct post *post, struct draw *d) {
  struct error err = {0};
  for (unsigned k = 0; k < 3; k++) {
    unsigned at = (unsigned)draw(d, w->shards);
    post_deliver(post, at);
    if (draw(d, 3) == 0) CHECK(store_commit(store_shard(w->store, at), &err) == 0);
    if (draw(d, 2)) post_collect(post, at);
  }
  if (draw(d, 8) == 0) world_turn(w);
}

// ---- what there is ----
static struct lead *lead_named(struct world *w, enum identity_kind kind, const char *name) {
  struct lead_id id;
  struct hash128 identity = store_identity(w->store, 0, kind, bytes_str(name));
  struct store_shard *s = store_shard(w->store, store_shard_of(w->store, store_partition_of(w->store, identity)));
  if (!store_find(s, identity, &id)) return NULL;
  s = store_shard(w->store, store_shard_of(w->store, store_partition_of_lead(w->store, id)));
  return store_lead(s, id);
}

static void forget_somebody(struct world *w, struct draw *d) {
  struct error err = {0};
  char name[64];
  snprintf(name, sizeof name, "person%llu", (unsigned long long)draw(d, USERS));
  struct lead *lead = lead_named(w, IDENTITY_USER, name);
  if (!lead) return;
  unsigned shard = store_shard_of(w->store, store_partition_of_lead(w->store, lead->id));
  int rc = intake_forget(w->intake[shard], lead->id, "test", NULL, NULL, &err);
  CHECK(rc == 0);
  CHECK(store_commit(store_shard(w->store, shard), &err) == 0);
}

struct held {
  uint64_t team, person, seats, waits;
};
struct books {
  struct held held[64];
  size_t count;
};

static struct held *held_of(struct books *b, uint64_t team, uint64_t person) {
  for (size_t i = 0; i < b->count; i++)
    if (b->held[i].team == team && b->held[i].person == person) return &b->held[i];
  assert_true(b->count < 64);
  b->held[b->count] = (struct held){.team = team, .person = person};
  return &b->held[b->count++];
}

static void enter_lead(struct books *b, struct lead *lead) {
  if (!lead || lead->flags & LEAD_SEALED) return;
  const struct policy_seat *seat = policy_seat(lead_policy_state(lead), lead->policy_bytes);
  if (seat->team && seat->person) held_of(b, seat->team, seat->person)->seats++;
  if (seat->team && !seat->person) {
    assert_int_not_equal(seat->ask, 0);
    held_of(b, seat->team, 0)->waits++;
  }
}

static struct books books_of(struct world *w) {
  struct books b = {0};
  char name[64];
  for (unsigned u = 0; u < (only_enters ? EVENTS : USERS); u++) {
    snprintf(name, sizeof name, "person%u", u);
    enter_lead(&b, lead_named(w, IDENTITY_USER, name));
  }
  for (unsigned u = 0; u < USERS * 4; u++) { // of those that were merged the identity names the other one
    snprintf(name, sizeof name, "anonymous%u", u);
    struct lead *lead = lead_named(w, IDENTITY_ANONYMOUS, name);
    if (lead && !(lead->flags & LEAD_KNOWN)) enter_lead(&b, lead);
  }
  return b;
}

static const struct entity *pool_at(struct world *w, const char *team) {
  uint64_t id = pool_person(bytes_str(team));
  struct lead_id pool = store_entity_id(w->store, ENTITY_POOL, 0, bytes_of(&id, sizeof id));
  return store_entity(store_shard(w->store, store_shard_of(w->store, store_partition_of_lead(w->store, pool))), pool);
}

static int64_t int_of(struct bytes map, const char *key, int64_t otherwise) {
  struct bytes value;
  if (!mp_find(map, bytes_str(key), &value) || mp_value_of(value).type != MP_INT) return otherwise;
  return mp_value_of(value).i;
}

// Every pool against the leads. Returns all grants.
static int64_t check_pools(struct world *w) {
  static const char *const teams[] = {"first", "rest"};
  struct books b = books_of(w);
  int64_t grants = 0;
  for (size_t t = 0; t < 2; t++) {
    const struct entity *pool = pool_at(w, teams[t]);
    uint64_t team = pool_person(bytes_str(teams[t])), seats = 0, known = 0;
    for (size_t i = 0; i < b.count; i++)
      if (b.held[i].team == team) seats += b.held[i].seats;
    if (!pool) {
      assert_int_equal(seats, 0);
      continue;
    }
    struct buf shown = {0};
    struct bytes people, name;
    pool_show(pool, &shown);
    assert_true(mp_find(buf_bytes(&shown), BYTES_LIT("people"), &people));
    struct mp in = mp_of(people);
    for (uint32_t left = mp_next(&in).count; left; left--) {
      struct bytes person = mp_take(&in);
      assert_true(mp_find(person, BYTES_LIT("name"), &name) && mp_as_str(name, &name));
      uint64_t has = held_of(&b, team, pool_person(name))->seats;
      if (has != (uint64_t)int_of(person, "seats", -1))
        fail_msg("team %s: the pool counts %lld seats of %.*s, and %llu leads have one", teams[t],
                 (long long)int_of(person, "seats", -1), (int)name.n, (const char *)name.p, (unsigned long long)has);
      int64_t most = int_of(person, "capacity", INT64_MAX);
      if ((int64_t)has > most)
        fail_msg("%.*s has room for %lld leads and %llu", (int)name.n, (const char *)name.p, (long long)most,
                 (unsigned long long)has);
      known += has;
      grants += int_of(person, "grants", 0);
    }
    assert_int_equal(known, seats);
    uint64_t waits = held_of(&b, team, 0)->waits;
    if (waits != (uint64_t)int_of(buf_bytes(&shown), "waits", -1))
      fail_msg("team %s: %lld leads wait in the pool, and %llu say that they do", teams[t],
               (long long)int_of(buf_bytes(&shown), "waits", -1), (unsigned long long)waits);
    buf_deinit(&shown);
  }
  return grants;
}

static void settle(struct world *w, struct post *post) {
  post_settle(post);
  for (unsigned i = 0; i < w->shards; i++) intake_wake(w->intake[i], INT64_C(1) << 50, 1000000);
  post_settle(post);
}

static uint64_t grants_of(const struct replay_result *result) { return result->grants; }

static void remove_state(const char *dir) {
  char path[700];
  snprintf(path, sizeof path, "%s/state", dir);
  nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// ---- in one process ----
static void one_world(unsigned shards, bool is_hostile, uint64_t choice) {
  struct draw d = {choice};
  struct error err = {0};
  char *dir = scratch_new();
  struct store_options options = small_options(dir, shards);
  options.checkpoint_ms = 1 + (int64_t)draw(&d, 20);
  world_policy = policies[0];
  struct world w;
  world_must_open(&w, &options);
  struct post post = {.world = &w, .draw = &d, .is_hostile = is_hostile, .room = 3};
  struct buf b = {0}, answer = {0};
  for (uint64_t n = 0; n < EVENTS; n++) {
    take_event(&w, n, &b, &answer);
    deliver_some(&w, &post, &d);
    if (draw(&d, 40) == 0) forget_somebody(&w, &d);
    if (n % 150 == 149) { // within one version, so that nobody is over what he had room for
      settle(&w, &post);
      check_pools(&w);
    }
  }
  settle(&w, &post);
  int64_t grants = check_pools(&w);
  assert_true(grants > 20);
  world_close(&w);
  check_journal(dir, grants_of);
  if (is_hostile) remove_state(dir); // all of it comes from the journal again
  options.shards = 1 + (unsigned)draw(&d, 5);
  world_must_open(&w, &options);
  post_deinit(&post);
  post = (struct post){.world = &w, .draw = &d, .room = 3};
  settle(&w, &post);
  assert_int_equal(check_pools(&w), grants);
  assert_int_equal(world_commit(&w, &err), 0);
  world_close(&w);
  post_deinit(&post);
  buf_deinit(&b), buf_deinit(&answer);
  scratch_free(dir);
}

static void seats_are_what_leads_have(void **state) {
  (void)state;
  one_world(1, false, seed);
  one_world(2, true, hash_mix(seed, 1));
  one_world(4, true, hash_mix(seed, 2));
}

static void shares_are_kept_on_any_number_of_shards(void **state) {
  (void)state;
  only_enters = true;
  world_policy = shares;
  for (unsigned shards = 1; shards <= 4; shards *= 2) {
    struct draw d = {hash_mix(seed, 20 + shards)};
    char *dir = scratch_new();
    struct store_options options = small_options(dir, shards);
    struct world w;
    world_must_open(&w, &options);
    struct post post = {.world = &w, .draw = &d, .is_hostile = true, .room = 3};
    struct buf b = {0}, answer = {0};
    for (uint64_t n = 0; n < EVENTS; n++) {
      take_event(&w, n, &b, &answer);
      deliver_some(&w, &post, &d);
      if (n % 100 != 99) continue;
      settle(&w, &post);
      struct books books = books_of(&w);
      int64_t all = (int64_t)n + 1, weight[] = {5, 3, 1}, total = 9;
      static const char *const names[] = {"ann", "bob", "cleo"};
      for (size_t i = 0; i < 3; i++) {
        int64_t has = (int64_t)held_of(&books, pool_person(BYTES_LIT("rest")), pool_person(bytes_str(names[i])))->seats;
        int64_t off = has * total - all * weight[i];
        if (off <= -total || off >= total)
          fail_msg("%u shards: of %lld leads %s has %lld", shards, (long long)all, names[i], (long long)has);
      }
    }
    world_close(&w);
    post_deinit(&post);
    buf_deinit(&b), buf_deinit(&answer);
    scratch_free(dir);
  }
  only_enters = false;
}

// ---- killed, and with other teams ----
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
    if (draw(&d, 60) == 0) CHECK(world_use(&w, policies[draw(&d, POLICIES)], &err) == 0);
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
  uint64_t choice = draw(d, 0), events = 1 + draw(d, EVENTS / 3), n = 0, next = from;
  pid_t child = fork();
  if (child == 0) write_until_killed(dir, from, acks[1], choice);
  close(acks[1]);
  while (next < from + events && next < EVENTS && read(acks[0], &n, sizeof n) == (ssize_t)sizeof n) next = n + 1;
  int status;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail_msg("a child ended by itself: %d", status);
  while (read(acks[0], &n, sizeof n) == (ssize_t)sizeof n) next = n + 1;
  close(acks[0]);
  return next;
}

static void nothing_is_lost_or_given_twice_when_killed(void **state) {
  (void)state;
  const char *rounds = getenv("ROUNDS");
  for (int round = 0; round < (rounds ? atoi(rounds) : 2); round++) {
    struct draw d = {hash_mix(seed, 77 + (uint64_t)round)};
    char *dir = scratch_new();
    world_policy = policies[0];
    for (uint64_t next = 0; next < EVENTS;) {
      uint64_t was = next;
      next = live_and_die(dir, next, &d);
      if (next == was && draw(&d, 50) == 0) fail_msg("no event is acknowledged any more");
    }
    struct store_options options = small_options(dir, 1 + (unsigned)draw(&d, 5));
    struct world w;
    world_policy = policies[round % POLICIES];
    world_must_open(&w, &options);
    struct post post = {.world = &w, .draw = &d, .room = 3};
    settle(&w, &post);
    check_pools(&w);
    world_close(&w);
    check_journal(dir, grants_of);
    post_deinit(&post);
    scratch_free(dir);
  }
}

static int set_up(void **state) {
  (void)state;
  for (size_t i = 0; i < POLICIES; i++) policies[i] = load(RULES, TEAM[i]);
  shares = load(SHARES, "name,team,weight\nann,rest,5\nbob,rest,3\ncleo,rest,1\n");
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (size_t i = 0; i < POLICIES; i++) policy_release(policies[i]);
  policy_release(shares);
  return 0;
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(seats_are_what_leads_have),
      cmocka_unit_test(shares_are_kept_on_any_number_of_shards),
      cmocka_unit_test(nothing_is_lost_or_given_twice_when_killed),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
