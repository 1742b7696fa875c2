// People on devices: events of random identities, identifies and aliases among them, over shards whose messages are lost,
// doubled and come in any order, in a process that is killed (SIGKILL) or loses its power. Whatever happens each event is
// decided once, and a lead is what a fold of all events of its identities is. ROUNDS and SEED come from the environment.
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
#include "store/disk_faults.h"
#include "store/forget.h"
#include "store/merge.h"
#include "store/replay.h"
#include "store/reshard.h"
#include "store/verify.h"

enum { USERS = 14, DEVICES = 40, PEOPLE = USERS + DEVICES, EVENTS_MAX = 6000 };
static uint64_t seed;

// ---- events ----
static int64_t ms_of(uint64_t n) { return (int64_t)(1800000000000 + n * 1000); }

static void put_user(struct buf *b, const char *key, unsigned u) {
  char text[32];
  snprintf(text, sizeof text, "user-%u", u);
  put_pair(b, key, text);
}
static void put_device(struct buf *b, const char *key, unsigned d) {
  char text[32];
  snprintf(text, sizeof text, "device-%u", d);
  put_pair(b, key, text);
}

struct sent { // an event: as whom it is sent (a user, or USERS + a device)
  unsigned who;
};

// The n-th event of a row that only the seed decides.
static struct sent make(struct buf *b, uint64_t n) {
  static const char *const what[] = {"Pricing Viewed", "Docs Viewed", "Demo Requested", "Feature Used",
                                     "Trial Started"};
  struct draw d = {hash_mix(seed, n)};
  char message[32];
  unsigned user = (unsigned)draw(&d, USERS), device = (unsigned)draw(&d, DEVICES), how = (unsigned)draw(&d, 100);
  struct sent sent = {user};
  snprintf(message, sizeof message, "m-%llu", (unsigned long long)n);
  buf_clear(b);
  mp_put_map(b, 7);
  put_pair(b, "messageId", message);
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, ms_of(n) - (int64_t)draw(&d, 3) * 50000 * 1000); // now and then late
  put_pair(b, "channel", draw(&d, 2) ? "product" : "web");
  mp_put_cstr(b, "traits");
  mp_put_map(b, 2);
  put_pair(b, "industry", draw(&d, 2) ? "Software" : "Retail");
  mp_put_cstr(b, "employees");
  mp_put_int(b, (int64_t)draw(&d, 5000));
  if (how < 50) {
    put_pair(b, "type", "track");
    put_pair(b, "event", what[draw(&d, 5)]);
    put_device(b, "anonymousId", device);
    sent.who = USERS + device;
  } else if (how < 70) {
    put_pair(b, "type", "track");
    put_pair(b, "event", what[draw(&d, 5)]);
    put_user(b, "userId", user);
  } else if (how < 92) {
    put_pair(b, "type", "identify");
    put_user(b, "userId", user);
    put_device(b, "anonymousId", device);
  } else {
    put_pair(b, "type", "alias");
    put_user(b, "userId", user);
    if (draw(&d, 3))
      put_user(b, "previousId", (unsigned)draw(&d, USERS));
    else
      put_device(b, "previousId", device);
  }
  return sent;
}

// An event on its way, as the net layer takes it: what it goes on from is committed first.
static int take(struct world *w, struct bytes event, int64_t received_ms, struct buf *answer, struct error *err) {
  struct intake_options in = {.limits = EVENT_LIMITS_DEFAULT};
  struct intake_way way, on;
  unsigned partition;
  int rc = intake_route(w->store, &in, event, received_ms, &partition, err);
  bool is_on = false;
  while (rc == 0) {
    unsigned shard = store_shard_of(w->store, partition);
    rc = intake_event_on(w->intake[shard], event, received_ms, is_on ? &on : NULL, &way, answer, err);
    if (rc != INTAKE_ELSEWHERE) return rc;
    rc = store_commit(store_shard(w->store, shard), err);
    on = way;
    is_on = true;
    partition = store_partition_of_lead(w->store, way.to);
  }
  return rc;
}

// ---- who is who ----
static struct hash128 identity_of(const struct store *store, unsigned who) {
  char text[32];
  if (who < USERS)
    snprintf(text, sizeof text, "user-%u", who);
  else
    snprintf(text, sizeof text, "device-%u", who - USERS);
  return store_identity(store, 0, who < USERS ? IDENTITY_USER : IDENTITY_ANONYMOUS, bytes_str(text));
}

static struct store_shard *shard_for(const struct world *w, unsigned partition) {
  return store_shard(w->store, store_shard_of(w->store, partition));
}

static struct lead *lead_by(const struct world *w, struct lead_id id) {
  return store_lead(shard_for(w, store_partition_of_lead(w->store, id)), id);
}

static struct lead *lead_first(const struct world *w, unsigned who) {
  struct hash128 identity = identity_of(w->store, who);
  struct lead_id id;
  return store_find(shard_for(w, store_partition_of(w->store, identity)), identity, &id) ? lead_by(w, id) : NULL;
}

static struct lead *root_of(const struct world *w, unsigned who) {
  struct lead *lead = lead_first(w, who);
  for (unsigned hops = 0; lead && lead->flags & LEAD_SEALED; hops++) {
    assert_true(hops < PEOPLE);
    lead = lead_by(w, lead->into);
  }
  return lead;
}

// Leads by their roots, as one number: the same in every opening.
static uint64_t digest_of(const struct world *w) {
  uint64_t h = 0;
  for (unsigned who = 0; who < PEOPLE; who++) {
    const struct lead *first = lead_first(w, who), *root = root_of(w, who);
    if (first) h = hash_mix(h, hash_mix(lead_digest(first), lead_digest(root) ^ lead_id_hash(root->id)));
    if (root && (root->asks || root->asks_known || root->flags & LEAD_WAITS)) {
      char id[LEAD_ID_TEXT];
      lead_id_format(root->id, id);
      fail_msg("%s: lead %s has %u asks without an answer, %u of them to users, flags %u", w->dir, id, root->asks,
               root->asks_known, root->flags);
    }
  }
  return h;
}

// ---- the fold that all is held against ----
static bool is_near(double a, double b) {
  double d = a > b ? a - b : b - a, size = (a > 0 ? a : -a) + 1;
  return (a != a && b != b) || d <= 1e-9 * size;
}

static void compare(const struct feature_set *set, const uint8_t *is, const uint8_t *should, int64_t now_ms) {
  double a[FEATURES_MAX], b[FEATURES_MAX];
  struct bytes at[FEATURES_MAX], bt[FEATURES_MAX];
  feature_read(set, is, now_ms, a, at);
  feature_read(set, should, now_ms, b, bt);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    bool may_be_more = strcmp(info->op, "sessions") == 0; // docs/features.md
    bool same = may_be_more ? a[i] >= b[i] : is_near(a[i], b[i]) && bytes_eq(at[i], bt[i]);
    if (!same) fail_msg("%s is %.17g, a fold of all events gives %.17g", info->name, a[i], b[i]);
  }
}

static void check_root(const struct lead *root, const struct lead *const roots[PEOPLE], uint64_t events) {
  const struct feature_set *set = policy_features(shipped_policy());
  uint8_t *should = xmalloc(feature_state_size(set));
  struct buf event = {0};
  int64_t now_ms = INT64_MIN;
  feature_state_init(set, should);
  for (uint64_t n = 0; n < events; n++) {
    struct event e;
    struct event_digits digits;
    struct event_limits limits = EVENT_LIMITS_DEFAULT;
    if (roots[make(&event, n).who] != root) continue;
    assert_int_equal(event_decode(buf_bytes(&event), ms_of(n), &limits, &digits, &e, NULL), 0);
    if (e.timestamp_ms > now_ms) now_ms = e.timestamp_ms;
    feature_fold(set, should, &e, now_ms);
  }
  if (now_ms != INT64_MIN) { // else it was founded for an identity that never sent anything
    assert_int_equal(root->now_ms, now_ms);
    compare(set, lead_feature_state((struct lead *)(uintptr_t)root), should, now_ms);
  }
  buf_deinit(&event);
  free(should);
}

static void check_roots(const struct world *w, uint64_t events) {
  const struct lead *roots[PEOPLE];
  for (unsigned who = 0; who < PEOPLE; who++) roots[who] = root_of(w, who);
  for (unsigned who = 0; who < PEOPLE; who++) {
    bool is_first = roots[who] != NULL;
    for (unsigned k = 0; is_first && k < who; k++) is_first = roots[k] != roots[who];
    if (is_first) check_root(roots[who], roots, events);
  }
}

// Who asked for what: an identity never leaves who got it, and each ask that could be met was.
static unsigned merged_count(const struct world *w) {
  unsigned n = 0;
  for (unsigned who = 0; who < PEOPLE; who++) {
    const struct lead *lead = lead_first(w, who);
    n += lead && lead->flags & LEAD_SEALED;
  }
  return n;
}

// ---- the journal ----
struct count {
  uint64_t events, merges, sealed, others;
};
static int count_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  struct count *c = context;
  (void)place, (void)err;
  struct bytes what;
  c->events += f->kind == FRAME_EVENT;
  c->merges += f->kind == FRAME_MERGE;
  if (f->kind != FRAME_MESSAGE) return 0;
  bool is_sealed = f->entity_kind == ENTITY_LEAD && mp_find(f->decision, BYTES_LIT("merge"), &what) &&
                   mp_as_str(what, &what) && bytes_is(what, "sealed");
  c->sealed += is_sealed;
  c->others += !is_sealed;
  return 0;
}

static void verify(const char *dir) {
  struct verify_options options = {.dir = dir};
  struct verify_result result = {0};
  struct error err = {0};
  if (store_verify(&options, &result, &err)) fail_msg("verify: %s", err.text);
  for (size_t i = 0; i < result.count; i++)
    if (result.finding[i].kind == VERIFY_DAMAGE || result.finding[i].kind == VERIFY_MISSING)
      fail_msg("verify: %s", result.finding[i].text);
  free(result.tip);
}

static uint64_t replay(const char *dir, unsigned threads) {
  struct replay_options options = {.dir = dir, .threads = threads, .vm = VM_LIMITS_DEFAULT};
  struct replay_result result;
  struct error err = {0};
  if (store_replay(&options, &result, &err)) fail_msg("replay: %s", err.text);
  if (result.different)
    fail_msg("%llu decisions differ, first %s", (unsigned long long)result.different, result.first_different);
  return result.hash;
}

static void remove_state(const char *dir) {
  char path[700];
  snprintf(path, sizeof path, "%s/state", dir);
  nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// ---- a storm ----
static uint64_t answers[EVENTS_MAX];
static uint64_t hash_of(const struct buf *answer) { return hash64(bytes_of(answer->p, answer->n - 1)) | 1; }

static void send(struct world *w, uint64_t n, bool is_again) {
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  make(&event, n);
  if (take(w, buf_bytes(&event), ms_of(n), &answer, &err)) fail_msg("event %llu: %s", (unsigned long long)n, err.text);
  assert_true(!is_again || answer.p[answer.n - 1] == 0xc3);
  if (answers[n]) assert_int_equal(hash_of(&answer), answers[n]);
  answers[n] = hash_of(&answer);
  buf_deinit(&event);
  buf_deinit(&answer);
}

static void open_as(struct world *w, const char *dir, unsigned shards) {
  struct store_options options = small_options(dir, shards);
  world_must_open(w, &options);
}

static void a_storm_ends_as_a_fold(void **state) {
  (void)state;
  enum { EVENTS = 1500 };
  struct draw d = {seed};
  char *dir = scratch_new();
  struct world w;
  struct error err = {0};
  memset(answers, 0, sizeof answers);
  struct store_options options = small_options(dir, 4);
  options.outbox_window = 3;
  world_must_open(&w, &options);
  static struct post post;
  post = (struct post){.world = &w, .draw = &d, .is_hostile = true, .room = 2};
  for (uint64_t n = 0; n < EVENTS; n++) {
    post.received_ms = ms_of(n);
    send(&w, n, false);
    if (n && draw(&d, 4) == 0) send(&w, draw(&d, n), true); // before a merge or after: the first answer
    for (unsigned k = 0; k < 3; k++) {
      unsigned i = (unsigned)draw(&d, w.shards);
      post_deliver(&post, i);
      if (draw(&d, 2)) assert_int_equal(store_commit(store_shard(w.store, i), &err), 0);
      post_collect(&post, (unsigned)draw(&d, w.shards));
    }
    if (draw(&d, 5) == 0) world_turn(&w);
  }
  post_settle(&post);
  check_roots(&w, EVENTS);
  unsigned merged = merged_count(&w);
  assert_true(merged > USERS);
  uint64_t digest = digest_of(&w);
  for (uint64_t n = 0; n < EVENTS; n++) send(&w, n, true);
  post_settle(&post);
  assert_int_equal(world_commit(&w, &err), 0);
  world_close(&w);
  post_deinit(&post);

  struct count count = {0};
  assert_int_equal(store_walk(dir, -1, count_frame, &count, &err), 0);
  assert_int_equal(count.events, EVENTS);
  assert_int_equal(count.sealed, count.merges);
  assert_true(count.merges >= merged); // an alias names an identity of either kind
  verify(dir);
  uint64_t hash = replay(dir, 1);
  assert_int_equal(replay(dir, 2), hash);
  assert_int_equal(replay(dir, 4), hash);
  for (unsigned shards = 1; shards <= 8; shards *= 2) {
    if (shards > 2) remove_state(dir); // all is in the journal and the vault
    open_as(&w, dir, shards);
    assert_int_equal(digest_of(&w), digest);
    if (shards == 8)
      for (uint64_t n = 0; n < EVENTS; n++) send(&w, n, true);
    world_close(&w);
  }
  scratch_free(dir);
}

// ---- what becomes of whom ----
static void put_head(struct buf *b, uint64_t n, unsigned keys, const char *type) {
  char message[32];
  snprintf(message, sizeof message, "x-%llu", (unsigned long long)n);
  buf_clear(b);
  mp_put_map(b, keys + 3);
  put_pair(b, "messageId", message);
  put_pair(b, "type", type);
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, ms_of(n));
}

struct story { // one shard or more, everything in order
  struct world w;
  struct post post;
  struct draw draw;
  char *dir;
  uint64_t n;
};

static void begin(struct story *s, unsigned shards) {
  *s = (struct story){.draw = {seed}, .dir = scratch_new()};
  open_as(&s->w, s->dir, shards);
  s->post = (struct post){.world = &s->w, .draw = &s->draw, .room = POST_MAX};
}

static void end(struct story *s) {
  struct error err = {0};
  assert_int_equal(world_commit(&s->w, &err), 0);
  uint64_t digest = digest_of(&s->w);
  world_close(&s->w);
  remove_state(s->dir);
  open_as(&s->w, s->dir, 3);
  assert_int_equal(digest_of(&s->w), digest);
  world_close(&s->w);
  verify(s->dir);
  replay(s->dir, 2);
  post_deinit(&s->post);
  scratch_free(s->dir);
}

static void tell(struct story *s, struct buf *event) {
  struct buf answer = {0};
  struct error err = {0};
  s->post.received_ms = ms_of(s->n);
  if (take(&s->w, buf_bytes(event), ms_of(s->n), &answer, &err)) fail_msg("%s", err.text);
  buf_deinit(&answer);
}
static void settle(struct story *s) { post_settle(&s->post); }

static void track(struct story *s, unsigned who) {
  struct buf b = {0};
  put_head(&b, ++s->n, 2, "track");
  put_pair(&b, "event", "Pricing Viewed");
  if (who < USERS)
    put_user(&b, "userId", who);
  else
    put_device(&b, "anonymousId", who - USERS);
  tell(s, &b);
  buf_deinit(&b);
}
static void identify(struct story *s, unsigned user, unsigned device) {
  struct buf b = {0};
  put_head(&b, ++s->n, 2, "identify");
  put_user(&b, "userId", user);
  put_device(&b, "anonymousId", device - USERS);
  tell(s, &b);
  buf_deinit(&b);
}
static void alias(struct story *s, unsigned user, unsigned previous) {
  struct buf b = {0};
  put_head(&b, ++s->n, 2, "alias");
  put_user(&b, "userId", user);
  if (previous < USERS)
    put_user(&b, "previousId", previous);
  else
    put_device(&b, "previousId", previous - USERS);
  tell(s, &b);
  buf_deinit(&b);
}

static bool are_one(const struct story *s, unsigned a, unsigned b) { return root_of(&s->w, a) == root_of(&s->w, b); }
// The lead that an identity founded is who it is now.
static bool is_root(const struct story *s, unsigned who) { return lead_first(&s->w, who) == root_of(&s->w, who); }
static double views(const struct story *s, unsigned who) {
  const struct feature_set *set = policy_features(shipped_policy());
  double values[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  struct lead *root = root_of(&s->w, who);
  feature_read(set, lead_feature_state(root), root->now_ms, values, texts);
  return values[feature_find(set, BYTES_LIT("pricing_views_7d"))];
}

enum { D = USERS }; // the first device

static void a_chain_leads_to_its_end(void **state) {
  (void)state;
  static struct story s;
  for (unsigned shards = 1; shards <= 4; shards += 3) {
    for (int is_at_once = 0; is_at_once < 2; is_at_once++) {
      begin(&s, shards);
      for (unsigned i = 0; i < 6; i++) track(&s, i), track(&s, D + i);
      for (unsigned i = 0; i < 6; i++) {
        identify(&s, i, D + i);
        if (!is_at_once) settle(&s);
      }
      for (unsigned i = 1; i < 6; i++) {
        alias(&s, i, i - 1);
        if (!is_at_once) settle(&s); // else all of them are under way together
      }
      settle(&s);
      for (unsigned i = 0; i < 6; i++) assert_true(are_one(&s, i, 5) && are_one(&s, D + i, 5));
      assert_true(is_root(&s, 5));
      assert_true(views(&s, 0) == 12);
      for (unsigned i = 0; i < 6; i++) track(&s, D + i);
      assert_true(views(&s, 5) == 18);
      end(&s);
    }
  }
}

static void circles_and_oneself_end_in_nothing(void **state) {
  (void)state;
  static struct story s;
  for (unsigned length = 1; length < 7; length++) {
    begin(&s, 4);
    for (unsigned i = 0; i < length; i++) track(&s, i);
    for (unsigned i = 0; i < length; i++) alias(&s, i, (i + 1) % length); // all at once
    settle(&s);
    for (unsigned i = 0; i < length; i++) {
      assert_non_null(root_of(&s.w, i));
      track(&s, i);
    }
    for (unsigned i = 0; i < length; i++) alias(&s, i, (i + 1) % length); // and once more
    settle(&s);
    double all = 0;
    for (unsigned i = 0; i < length; i++)
      if (is_root(&s, i)) all += views(&s, i);
    assert_true(all == 2.0 * length);
    end(&s);
  }
}

static void a_shared_device_stays_with_the_first(void **state) {
  (void)state;
  static struct story s;
  begin(&s, 4);
  track(&s, D), track(&s, D);
  identify(&s, 1, D);
  settle(&s);
  identify(&s, 2, D);
  alias(&s, 3, D);
  settle(&s);
  assert_true(are_one(&s, D, 1) && !are_one(&s, 2, 1) && !are_one(&s, 3, 1));
  track(&s, D), track(&s, 2);
  assert_true(views(&s, 1) == 3 && views(&s, 2) == 1);
  identify(&s, 2, D), identify(&s, 1, D);
  settle(&s);
  assert_true(are_one(&s, D, 1) && !are_one(&s, 2, 1));
  // An alias of the two people brings all together.
  alias(&s, 2, 1);
  settle(&s);
  assert_true(are_one(&s, D, 2) && are_one(&s, 1, 2) && is_root(&s, 2) && views(&s, 2) == 4);
  end(&s);
}

static void an_identity_that_was_never_seen_is_bound(void **state) {
  (void)state;
  static struct story s;
  begin(&s, 4);
  identify(&s, 1, D + 3);
  settle(&s);
  assert_true(are_one(&s, D + 3, 1));
  track(&s, D + 3);
  assert_true(views(&s, 1) == 1);
  alias(&s, 2, 5); // user 5 was never seen
  settle(&s);
  track(&s, 5);
  assert_true(are_one(&s, 5, 2) && views(&s, 2) == 1);
  end(&s);
}

// Asking again and again costs one ask as long as the process lives, and changes nothing.
static void identifies_that_say_nothing_new_ask_once(void **state) {
  (void)state;
  static struct story s;
  begin(&s, 2);
  struct count count = {0};
  for (unsigned i = 0; i < 200; i++) {
    identify(&s, 1, D);
    if (i % 50 == 0) settle(&s);
  }
  settle(&s);
  struct error err = {0};
  assert_int_equal(store_walk(s.dir, -1, count_frame, &count, &err), 0);
  assert_int_equal(count.sealed, 1);
  assert_int_equal(count.merges, 1);
  assert_int_equal(count.others, 0);
  end(&s);
}

// ---- forgotten ----
static void forget(struct story *s, unsigned who) {
  struct error err = {0};
  struct lead_id id = root_of(&s->w, who)->id;
  unsigned shard = store_shard_of(s->w.store, store_partition_of_lead(s->w.store, id));
  if (intake_forget(s->w.intake[shard], id, "test", NULL, NULL, &err)) fail_msg("%s", err.text);
}

struct find {
  const char *text;
  bool is_found;
};
static struct find finding;
static int look_into(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)ftw;
  if (type != FTW_F) return 0;
  struct buf b = {0};
  FILE *f = fopen(path, "rb");
  uint8_t *p = buf_reserve(&b, (size_t)st->st_size + 1);
  b.n = f ? fread(p, 1, (size_t)st->st_size, f) : 0;
  if (f) fclose(f);
  finding.is_found |= memmem(b.p, b.n, finding.text, strlen(finding.text)) != NULL;
  buf_deinit(&b);
  return 0;
}
static bool is_anywhere(const char *dir, const char *text) {
  finding = (struct find){.text = text};
  nftw(dir, look_into, 16, FTW_PHYS);
  return finding.is_found;
}

// At each moment of a merge, from before the ask on: whoever is forgotten then takes all that was merged along, and what
// is under way comes to its end.
static void whoever_is_forgotten_takes_all_along(void **state) {
  (void)state;
  static struct story s;
  struct error err = {0};
  for (unsigned moment = 0; moment < 14; moment++) {
    begin(&s, 2 + moment % 3);
    track(&s, D), track(&s, D + 1), track(&s, 2);
    identify(&s, 1, D);
    if (moment % 2) alias(&s, 3, 1), identify(&s, 3, D + 1); // a longer one
    for (unsigned step = 0; step < moment / 2; step++)
      for (unsigned i = 0; i < s.w.shards; i++) {
        while (post_deliver(&s.post, i)) {
        }
        assert_int_equal(store_commit(store_shard(s.w.store, i), &err), 0);
        post_collect(&s.post, i);
      }
    forget(&s, 1);
    if (moment % 4 == 0) world_turn(&s.w);
    assert_int_equal(world_commit(&s.w, &err), 0);
    settle(&s);
    assert_int_equal(forget_wait(s.w.store->forget, &err), 0);
    if (moment >= 8) { // everything had come to its end
      assert_null(root_of(&s.w, D));
      assert_null(root_of(&s.w, 1));
      assert_false(is_anywhere(s.dir, "device-0"));
      assert_false(is_anywhere(s.dir, "user-1"));
    }
    assert_true(is_anywhere(s.dir, "user-2"));
    track(&s, D); // somebody new
    assert_non_null(root_of(&s.w, D));
    identify(&s, 2, D);
    settle(&s);
    assert_true(are_one(&s, D, 2));
    end(&s);
  }
}

// ---- killed ----
struct life {
  uint64_t choice;
  bool has_power_cut;
};

static struct store_options options_of(const char *dir, struct draw *d) {
  struct store_options o = small_options(dir, 1 + (unsigned)draw(d, 8));
  o.checkpoint_ms = 1 + (int64_t)draw(d, 20);
  o.dirty_max = 40000 + (size_t)draw(d, 200000);
  if (draw(d, 2)) o.keep.base_bytes = 1 + (size_t)draw(d, 100000);
  o.seal = draw(d, 4) != 0;
  o.outbox_window = 1 + (unsigned)draw(d, 20);
  return o;
}

// The child: sends events from `from` on until it is killed, and tells of each once it may be answered.
_Noreturn static void write_until_killed(const char *dir, uint64_t from, int acks, const struct life *life) {
  static struct post post;
  struct draw d = {life->choice};
  struct store_options options = options_of(dir, &d);
  struct world w;
  struct error err = {0};
  if (life->has_power_cut) {
    char plan[100];
    snprintf(plan, sizeof plan, "seed=%llu;%s:*:%llu:power", (unsigned long long)draw(&d, 0),
             draw(&d, 3) ? "sync" : "write", (unsigned long long)(20 + draw(&d, 400)));
    CHECK(disk_faults_start(plan, &err) == 0);
  }
  world_must_open(&w, &options);
  post = (struct post){.world = &w, .draw = &d, .is_hostile = true, .room = 1 + (unsigned)draw(&d, POST_MAX)};
  struct buf event = {0}, answer = {0};
  for (uint64_t n = from; n < EVENTS_MAX;) {
    size_t count = 1 + (size_t)draw(&d, 24);
    for (size_t i = 0; i < count && n + i < EVENTS_MAX; i++) {
      post.received_ms = ms_of(n + i);
      buf_clear(&answer);
      make(&event, n + i);
      CHECK(take(&w, buf_bytes(&event), ms_of(n + i), &answer, &err) == 0);
      for (unsigned k = 0; k < 3; k++) {
        unsigned at = (unsigned)draw(&d, w.shards);
        post_deliver(&post, at);
        if (draw(&d, 3) == 0) CHECK(store_commit(store_shard(w.store, at), &err) == 0);
        if (draw(&d, 2)) post_collect(&post, at);
      }
      if (draw(&d, 8) == 0) world_turn(&w);
    }
    CHECK(world_commit(&w, &err) == 0);
    for (size_t i = 0; i < count && n < EVENTS_MAX; i++, n++) CHECK(write(acks, &n, sizeof n) == (ssize_t)sizeof n);
    world_turn(&w);
  }
  raise(SIGKILL);
  abort();
}

static uint64_t one_life(const char *dir, uint64_t acked, struct draw *d) {
  int fds[2], status;
  struct life life = {.choice = draw(d, 0), .has_power_cut = draw(d, 3) == 0};
  uint64_t wanted = draw(d, 4) ? draw(d, 300) : 0, n;
  assert_int_equal(pipe(fds), 0);
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(fds[0]);
    write_until_killed(dir, acked, fds[1], &life);
  }
  close(fds[1]);
  if (life.has_power_cut) wanted = UINT64_MAX;
  if (!wanted) usleep((useconds_t)draw(d, 60000));
  while (wanted) {
    ssize_t k = read(fds[0], &n, sizeof n);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) break;
    assert_int_equal(n, acked++);
    wanted--;
  }
  if (!life.has_power_cut) usleep((useconds_t)draw(d, 3000));
  if (!life.has_power_cut) kill(child, SIGKILL);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); // and not of a check that failed
  while (read(fds[0], &n, sizeof n) == sizeof n) assert_int_equal(n, acked++);
  close(fds[0]);
  return acked;
}

static void nothing_is_lost_or_doubled_when_it_is_killed(void **state) {
  (void)state;
  struct draw d = {seed ^ 0x4b};
  const char *rounds = getenv("ROUNDS");
  struct error err = {0};
  char *dir = scratch_new();
  static struct post post;
  struct world w;
  uint64_t acked = 0;
  memset(answers, 0, sizeof answers);
  for (unsigned left = rounds ? (unsigned)atoi(rounds) : 12; left && acked < EVENTS_MAX; left--)
    acked = one_life(dir, acked, &d);
  struct reshard_options first = {.dir = dir, .partitions = 6, .map_bytes = 256 << 20};
  struct reshard_result delivered; // merges that are under way come to their end in that
  if (draw(&d, 2) && store_reshard(&first, &delivered, &err)) fail_msg("reshard: %s", err.text);
  struct store_options options = options_of(dir, &d);
  if (options.shards > first.partitions) options.shards = first.partitions;
  world_must_open(&w, &options);
  post = (struct post){.world = &w, .draw = &d, .room = POST_MAX};
  // What was under way when it died may be there or not: the sender sends it again.
  uint64_t events = acked + 60 < EVENTS_MAX ? acked + 60 : EVENTS_MAX;
  for (uint64_t n = 0; n < events; n++) send(&w, n, n < acked);
  post.received_ms = ms_of(events);
  post_settle(&post);
  check_roots(&w, events);
  uint64_t digest = digest_of(&w);
  assert_int_equal(world_commit(&w, &err), 0);
  world_close(&w);
  struct count count = {0};
  assert_int_equal(store_walk(dir, -1, count_frame, &count, &err), 0);
  assert_int_equal(count.events, events);
  assert_int_equal(count.sealed, count.merges);
  verify(dir);
  uint64_t hash = replay(dir, 1);
  assert_int_equal(replay(dir, 3), hash);
  open_as(&w, dir, 2);
  assert_int_equal(digest_of(&w), digest);
  world_close(&w);
  struct reshard_options reshard = {.dir = dir, .partitions = 5, .map_bytes = 256 << 20};
  struct reshard_result resharded;
  if (store_reshard(&reshard, &resharded, &err)) fail_msg("reshard: %s", err.text);
  open_as(&w, dir, 3);
  assert_int_equal(digest_of(&w), digest);
  for (uint64_t n = 0; n < events; n += 3) send(&w, n, true);
  world_close(&w);
  verify(dir);
  assert_int_equal(replay(dir, 2), hash);
  post_deinit(&post);
  scratch_free(dir);
}

int main(void) {
  seed = seed_of_run();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_chain_leads_to_its_end),
      cmocka_unit_test(circles_and_oneself_end_in_nothing),
      cmocka_unit_test(a_shared_device_stays_with_the_first),
      cmocka_unit_test(an_identity_that_was_never_seen_is_bound),
      cmocka_unit_test(identifies_that_say_nothing_new_ask_once),
      cmocka_unit_test(whoever_is_forgotten_takes_all_along),
      cmocka_unit_test(a_storm_ends_as_a_fold),
      cmocka_unit_test(nothing_is_lost_or_doubled_when_it_is_killed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
