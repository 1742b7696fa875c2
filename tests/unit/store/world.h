// For the store's tests: a data directory with the shipped policy in force, driven as the net layer drives it, but on
// one thread.
#pragma once
#include "scratch.h"
#include "store/intake.h"

struct world {
  char *dir;
  struct store *store;
  struct store_recovery recovery;
  struct policy *policy;
  struct intake *intake[16];
  unsigned shards;
  struct store_options options;
};

static inline struct policy *shipped_policy(void) {
  static struct policy *policy; // loading takes longer than most tests
  if (!policy) {
    struct policy_source source = {
        .policies_dir = "policies", .models_dir = "policies/models", .scripts_dir = "scripts", .name = "b2b_saas"};
    struct lua_limits limits = LUA_LIMITS_DEFAULT;
    struct error err = {0};
    if (policy_load(&source, &limits, &policy, NULL, &err)) {
      fprintf(stderr, "%s\n", err.text);
      abort();
    }
  }
  return policy;
}

static inline struct store_options small_options(const char *dir, unsigned shards) {
  struct store_options o = STORE_OPTIONS_DEFAULT;
  o.dir = dir;
  o.partitions = 8;
  o.shards = shards;
  o.journal.segment_bytes = 1 << 20;
  o.map_bytes = 256 << 20;
  o.checkpoint_ms = 3600000; // only when the test says so
  o.seal = false;            // likewise: a copy of the folder is to be of one moment
  static const uint8_t seed[32] = "the same ids in every run";
  o.seed = seed;
  return o;
}

static int64_t world_account_interval_ms; // of what opens next
static struct policy *world_policy;       // likewise; NULL: the shipped one
// Puts a policy in force on every shard.
static inline int world_use(struct world *w, struct policy *policy, struct error *err) {
  struct release release = {.policy = policy, .signals = 1, .models = 1};
  int rc = store_version_put(w->store, release.policy, &release.number, err);
  for (unsigned i = 0; rc == 0 && i < w->shards; i++) {
    rc = intake_prepare(w->intake[i], &release, err);
    if (rc == 0) intake_use(w->intake[i], "test", NULL);
    if (rc == 0) rc = store_commit(store_shard(w->store, i), err);
  }
  return rc;
}

static inline int world_open(struct world *w, const struct store_options *options, struct error *err) {
  *w = (struct world){.dir = (char *)(uintptr_t)options->dir, .shards = options->shards, .options = *options};
  int rc = store_open(options, &w->store, &w->recovery, err);
  if (rc) return rc;
  struct intake_options in = {.clock = ENGINE_CLOCK_EVENT,
                              .limits = EVENT_LIMITS_DEFAULT,
                              .vm = VM_LIMITS_DEFAULT,
                              .account_interval_ms = world_account_interval_ms};
  for (unsigned i = 0; i < w->shards; i++) w->intake[i] = intake_new(w->store, i, &in);
  return world_use(w, world_policy ? world_policy : shipped_policy(), err);
}

static inline void world_must_open(struct world *w, const struct store_options *options) {
  struct error err = {0};
  if (world_open(w, options, &err)) {
    fprintf(stderr, "open: %s\n", err.text);
    abort();
  }
}

static inline void world_close(struct world *w) {
  for (unsigned i = 0; i < w->shards; i++) intake_free(w->intake[i]);
  store_close(w->store);
  w->store = NULL;
}

static inline int world_commit(struct world *w, struct error *err) {
  for (unsigned i = 0; i < w->shards; i++) {
    int rc = store_commit(store_shard(w->store, i), err);
    if (rc) return rc;
  }
  return 0;
}

static inline void world_turn(struct world *w) {
  for (unsigned i = 0; i < w->shards; i++) store_turn(store_shard(w->store, i), 0);
}

static inline void put_pair(struct buf *b, const char *key, const char *value) {
  mp_put_cstr(b, key);
  mp_put_cstr(b, value);
}

// The n-th event of a row that only the seed decides: its user, what, and when.
static inline void make_event(struct buf *b, uint64_t seed, uint64_t n, unsigned users) {
  static const char *const what[] = {"Pricing Viewed",  "Docs Viewed",      "Demo Requested",
                                     "Feature Used",    "Teammate Invited", "Email Link Clicked",
                                     "crm.call_logged", "Trial Started",    "Case Study Downloaded"};
  struct draw d = {hash_mix(seed, n)};
  char user[64], message[64];
  uint64_t u = draw(&d, users);
  snprintf(user, sizeof user, "user%llu@company%llu.example", (unsigned long long)u, (unsigned long long)(u % 7));
  snprintf(message, sizeof message, "m-%llu", (unsigned long long)n);
  bool is_identify = draw(&d, 5) == 0;
  static const char filler[6000] = {[0 ... 5998] = 'x'}; // now and then a big one, so that segments fill
  bool is_big = draw(&d, 4) == 0;
  buf_clear(b);
  mp_put_map(b, is_big ? 7 : 6);
  if (is_big) put_pair(b, "note", filler);
  put_pair(b, "type", is_identify ? "identify" : "track");
  put_pair(b, "messageId", message);
  put_pair(b, draw(&d, 4) ? "userId" : "anonymousId", user);
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, (int64_t)(1767603600000 + n * 600000 - draw(&d, 3) * 300000));
  if (is_identify) {
    mp_put_cstr(b, "traits");
    mp_put_map(b, 3);
    put_pair(b, "email", user);
    put_pair(b, "industry", draw(&d, 2) ? "Software" : "Retail");
    mp_put_cstr(b, "employees");
    mp_put_int(b, (int64_t)draw(&d, 5000));
    put_pair(b, "channel", "crm");
  } else {
    put_pair(b, "event", what[draw(&d, sizeof what / sizeof *what)]);
    put_pair(b, "channel", draw(&d, 2) ? "product" : "web");
  }
}

static inline int world_take(struct world *w, struct bytes event, int64_t received_ms, struct buf *answer,
                             struct error *err) {
  struct intake_options in = {.limits = EVENT_LIMITS_DEFAULT};
  unsigned partition;
  int rc = intake_route(w->store, &in, event, received_ms, &partition, err);
  if (rc) return rc;
  return intake_event(w->intake[store_shard_of(w->store, partition)], event, received_ms, answer, err);
}

// A hash over what is known of the first `users` of make_event's: who there is, and each one's state.
static inline uint64_t world_digest(struct world *w, unsigned users) {
  uint64_t h = 0;
  for (unsigned u = 0; u < users; u++)
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
