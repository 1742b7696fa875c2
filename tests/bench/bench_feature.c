// What a fold and a read of 30 features cost for one event of a lead, beside what cannot be avoided (copying the lead's
// state once, unpacking the same event with msgpack-c), and beside a fold of the same declarations in plain Lua, compiled
// by LuaJIT (feature_fold.lua), whose values must be the same. Prints ns of CPU time (median of rounds) and ratios. Each op
// alone: bench_feature_ops.c.
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "feature/feature.h"

enum { EVENTS = 4096, LEADS = 512, ROUNDS = 21, FEATURES = 30 };
#define STEP_MS 20000 // between two events: each lead has about eight a day, and the rounds go on over 20 days
#define BEGIN   INT64_C(1767225600000)

static const char declared[] =
    "[{'name': 'events', 'op': 'count'}, {'name': 'idle', 'op': 'recency'}, {'name': 'pause', 'op': 'gap'},"
    " {'name': 'pages_7d', 'op': 'count', 'window': '7d', 'on': ['Page Viewed', {'type': 'page'}]},"
    " {'name': 'pricing_7d', 'op': 'count', 'window': '7d', 'on': 'Pricing Viewed'},"
    " {'name': 'pricing_heat', 'op': 'decay', 'half_life': '7d', 'on': 'Pricing Viewed'},"
    " {'name': 'docs_30d', 'op': 'count', 'window': '30d', 'on': 'Docs Viewed'},"
    " {'name': 'mails_14d', 'op': 'count', 'window': '14d', 'on': 'Email Opened'},"
    " {'name': 'use_rate', 'op': 'velocity', 'window': '7d', 'on': 'Feature Used'},"
    " {'name': 'demo_30d', 'op': 'flag', 'window': '30d', 'on': 'Demo Requested'},"
    " {'name': 'time_7d', 'op': 'sum', 'of': 'properties.duration_ms', 'window': '7d'},"
    " {'name': 'time_mean', 'op': 'mean', 'of': 'properties.duration_ms'},"
    " {'name': 'time_max', 'op': 'max', 'of': 'properties.duration_ms'},"
    " {'name': 'time_heat', 'op': 'decay', 'half_life': '3d', 'of': 'properties.duration_ms'},"
    " {'name': 'paths', 'op': 'distinct', 'of': 'properties.path'},"
    " {'name': 'channels', 'op': 'distinct', 'of': 'channel'},"
    " {'name': 'last_path', 'op': 'last', 'of': 'properties.path', 'text': true},"
    " {'name': 'long_web', 'op': 'count', 'window': '7d', 'on': {'channel': 'web'},"
    "  'where': {'path': 'properties.duration_ms', 'at_least': 60000}},"
    " {'name': 'visits', 'op': 'sessions'}, {'name': 'days', 'op': 'streak'},"
    " {'name': 'time_spread', 'op': 'stddev', 'of': 'properties.duration_ms', 'window': '30d'},"
    " {'name': 'top_channel', 'op': 'most_common', 'of': 'channel'},"
    " {'name': 'time_p90', 'op': 'quantile', 'of': 'properties.duration_ms', 'q': 0.9},"
    " {'name': 'mails_fading', 'op': 'decay', 'shape': 'linear', 'over': '14d', 'on': 'Email Opened'},"
    " {'name': 'use_steps', 'op': 'decay', 'shape': 'step', 'on': 'Feature Used',"
    "  'steps': [{'age': '2d', 'weight': 1}, {'age': '10d', 'weight': 0.25}]},"
    " {'name': 'in_visit', 'op': 'count', 'window': 'session'},"
    " {'name': 'visit_length', 'op': 'session_length', 'stat': 'mean'},"
    " {'name': 'active_30d', 'op': 'active_days', 'window': '30d'},"
    " {'name': 'time_month', 'op': 'sum', 'of': 'properties.duration_ms', 'window': 'this_month', 'zone': "
    "'Europe/Amsterdam', 'on': 'Page Viewed'},"
    " {'name': 'hour', 'op': 'time_of_day', 'zone': 'Europe/Amsterdam', 'on': 'Email Opened'}]";

static uint64_t rng = 1;
static uint64_t next(void) { return rng = hash_mix(rng, 7); }

static void pack_declarations(struct buf *packed) {
  struct buf json;
  struct error err = {0};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  buf_init(&json), buf_init(packed);
  for (const char *c = declared; *c; c++) buf_append_u8(&json, (uint8_t)(*c == '\'' ? '"' : *c));
  if (mp_from_json(buf_bytes(&json), &limits, packed, &err) != 0) fprintf(stderr, "%s\n", err.text), exit(1);
  buf_deinit(&json);
}

static struct feature_set *compile(struct bytes declarations) {
  struct error err = {0};
  struct feature_set *set = NULL;
  if (feature_set_compile(declarations, &set, &err) != 0) fprintf(stderr, "%s\n", err.text), exit(1);
  return set;
}

// A fixed mix of names.
static void put_event(struct buf *b, uint64_t i) {
  static const char *const names[] = {"Page Viewed",  "Pricing Viewed", "Docs Viewed",
                                      "Email Opened", "Feature Used",   "Demo Requested"};
  static const unsigned upto[] = {55, 68, 80, 90, 99, 100};
  unsigned r = (unsigned)(next() % 100), k = 0;
  char text[64];
  while (r >= upto[k]) k++;
  mp_put_map(b, 6);
  snprintf(text, sizeof text, "m-00000001-%012llx", (unsigned long long)i);
  mp_put_cstr(b, "messageId"), mp_put_cstr(b, text);
  mp_put_cstr(b, "type"), mp_put_cstr(b, "track");
  mp_put_cstr(b, "event"), mp_put_cstr(b, names[k]);
  snprintf(text, sizeof text, "u%09llu", (unsigned long long)(next() % LEADS));
  mp_put_cstr(b, "userId"), mp_put_cstr(b, text);
  mp_put_cstr(b, "timestamp"), mp_put_uint(b, (uint64_t)BEGIN + i * STEP_MS);
  mp_put_cstr(b, "properties"), mp_put_map(b, 3);
  snprintf(text, sizeof text, "/p/%llu", (unsigned long long)(next() % 500));
  mp_put_cstr(b, "path"), mp_put_cstr(b, text);
  mp_put_cstr(b, "duration_ms"), mp_put_uint(b, next() % 120000);
  mp_put_cstr(b, "channel"), mp_put_cstr(b, next() & 1 ? "web" : "product");
}

// What this thread computed, whoever else the machine works for.
static uint64_t cpu_ns(void) {
  struct timespec t;
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}
static double median(double *v) {
  qsort(v, ROUNDS, sizeof *v, by_value);
  return v[ROUNDS / 2];
}

static struct event events[EVENTS];
static struct event_digits digits[EVENTS];
static size_t lead_of(size_t i) { return i * 7 % LEADS; }

static void decode_events(struct buf *packed) {
  size_t offset[EVENTS + 1];
  struct error err = {0};
  for (size_t i = 0; i < EVENTS; i++) offset[i] = packed->n, put_event(packed, i);
  offset[EVENTS] = packed->n;
  for (size_t i = 0; i < EVENTS; i++) {
    struct bytes map = bytes_of(packed->p + offset[i], offset[i + 1] - offset[i]);
    if (event_decode(map, BEGIN + EVENTS * STEP_MS, &EVENT_LIMITS_DEFAULT, &digits[i], &events[i], &err) != 0)
      fprintf(stderr, "%s\n", err.text), exit(1);
  }
}

// ---- Lua ----
static void push(lua_State *L, struct mp *m) {
  struct mp_value v = mp_next(m);
  luaL_checkstack(L, 4, "deep");
  switch (v.type) {
  case MP_BOOL: lua_pushboolean(L, v.b); break;
  case MP_INT: lua_pushnumber(L, (double)v.i); break;
  case MP_UINT: lua_pushnumber(L, (double)v.u); break;
  case MP_FLOAT: lua_pushnumber(L, v.f); break;
  case MP_STR: lua_pushlstring(L, (const char *)v.s.p, v.s.n); break;
  case MP_ARRAY:
    lua_newtable(L);
    for (uint32_t i = 1; i <= v.count; i++) push(L, m), lua_rawseti(L, -2, (int)i);
    break;
  case MP_MAP:
    lua_newtable(L);
    for (uint32_t i = 0; i < v.count; i++) push(L, m), push(L, m), lua_rawset(L, -3);
    break;
  default: lua_pushnil(L);
  }
}

static void must(lua_State *L, int rc) {
  if (rc != 0) fprintf(stderr, "%s\n", lua_tostring(L, -1)), exit(1);
}

// Globals: events (decoded maps), number (the lead of each), leads (two of each: with and without reading), fold.
static lua_State *open_lua(struct bytes declarations) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  must(L, luaL_dofile(L, INTENTD_ROOT "/tests/bench/feature_fold.lua"));
  struct mp m = mp_of(declarations);
  push(L, &m);
  must(L, lua_pcall(L, 1, 1, 0));
  lua_setglobal(L, "features");
  lua_newtable(L);
  for (int i = 0; i < EVENTS; i++) {
    m = mp_of(events[i].raw);
    push(L, &m);
    lua_pushlstring(L, (const char *)events[i].channel.p, events[i].channel.n);
    lua_setfield(L, -2, "channel");
    lua_rawseti(L, -2, i + 1);
  }
  lua_setglobal(L, "events");
  lua_newtable(L);
  for (int i = 0; i < EVENTS; i++) lua_pushinteger(L, (lua_Integer)lead_of((size_t)i) + 1), lua_rawseti(L, -2, i + 1);
  lua_setglobal(L, "number");
  must(L,
       luaL_dostring(L, "leads = { {}, {} } for i = 1, 2 do for k = 1, 512 do leads[i][k] = features.new() end end"));
  return L;
}

static void lua_shift(lua_State *L, int64_t by_ms) {
  lua_pushnumber(L, (double)by_ms);
  lua_setglobal(L, "by");
  must(L, luaL_dostring(L, "for i = 1, #events do events[i].timestamp = events[i].timestamp + by end"));
}

static double lua_run(lua_State *L, bool and_read) {
  must(L, luaL_loadstring(L, "local n, r = ... features.run(leads[n], events, number, r)"));
  lua_pushinteger(L, and_read ? 2 : 1);
  lua_pushboolean(L, and_read);
  uint64_t start = cpu_ns();
  must(L, lua_pcall(L, 2, 0, 0));
  return (double)(cpu_ns() - start) / EVENTS;
}

// ---- the compiled program ----
enum work { COPY, UNPACK, FOLD, FOLD_READ, LUA_FOLD, LUA_FOLD_READ, WORKS };

static double run(enum work work, const struct feature_set *set, uint8_t *states, size_t size, double *sink) {
  double values[64];
  struct bytes texts[64];
  static uint8_t copy[FEATURE_STATE_MAX];
  uint64_t start = cpu_ns();
  for (size_t i = 0; i < EVENTS; i++) {
    uint8_t *state = states + lead_of(i) * size;
    const struct event *e = &events[i];
    if (work == COPY) {
      memcpy(copy, state, size);
      __asm__ volatile("" : : "r"(copy) : "memory");
    } else if (work == UNPACK) {
      msgpack_unpacked u;
      msgpack_unpacked_init(&u);
      CHECK(msgpack_unpack_next(&u, (const char *)e->raw.p, e->raw.n, NULL) == MSGPACK_UNPACK_SUCCESS);
      *sink += u.data.via.map.size;
      msgpack_unpacked_destroy(&u);
    } else {
      *sink += (double)feature_fold(set, state, e, e->timestamp_ms);
      if (work == FOLD_READ) feature_read(set, state, e->timestamp_ms, values, texts), *sink += values[0];
    }
  }
  return (double)(cpu_ns() - start) / EVENTS;
}

static uint8_t *new_states(const struct feature_set *set) {
  size_t size = feature_state_size(set);
  uint8_t *states = xmalloc(LEADS * size);
  for (size_t i = 0; i < LEADS; i++) feature_state_init(set, states + i * size);
  return states;
}

static void shift(int64_t by_ms) {
  for (size_t i = 0; i < EVENTS; i++) events[i].timestamp_ms += by_ms;
}

// A benchmark that compared two different things would be none.
static void compare(lua_State *L, const struct feature_set *set, const uint8_t *states, int64_t now_ms) {
  for (int lead = 0; lead < LEADS; lead++) {
    double values[FEATURES];
    struct bytes texts[FEATURES];
    feature_read(set, states + (size_t)lead * feature_state_size(set), now_ms, values, texts);
    must(L, luaL_loadstring(L, "local lead, now = ... local v = {} features.read(leads[1][lead], now, v) return v"));
    lua_pushinteger(L, lead + 1);
    lua_pushnumber(L, (double)now_ms);
    must(L, lua_pcall(L, 2, 1, 0));
    for (int i = 0; i < FEATURES; i++) {
      const struct feature_info *info = feature_info(set, (size_t)i);
      lua_rawgeti(L, -1, i + 1);
      double x = lua_tonumber(L, -1);
      bool same = fabs(values[i] - x) <= 1e-9 * (1 + fabs(x)) || (isnan(values[i]) && isnan(x));
      if (info->is_text) same = bytes_is(texts[i], lua_tostring(L, -1));
      if (strcmp(info->name, "paths") == 0) same = fabs(values[i] / x - 1) < 0.5; // an estimate
      if (!same)
        fprintf(stderr, "%s of lead %d: %.17g, in Lua %s\n", info->name, lead, values[i], lua_tostring(L, -1)), exit(1);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
}

static void measure(struct bytes declarations) {
  struct feature_set *set = compile(declarations);
  size_t size = feature_state_size(set), count = feature_count(set);
  CHECK(count == FEATURES);
  lua_State *L = open_lua(declarations);
  uint8_t *states = new_states(set), *read_states = new_states(set);
  static double ns[WORKS][ROUNDS];
  double sink = 0, m[WORKS];
  for (int round = 0; round < ROUNDS; round++) {
    for (int work = COPY; work <= FOLD_READ; work++)
      ns[work][round] = run((enum work)work, set, work == FOLD_READ ? read_states : states, size, &sink);
    ns[LUA_FOLD][round] = lua_run(L, false);
    ns[LUA_FOLD_READ][round] = lua_run(L, true);
    shift(EVENTS * STEP_MS), lua_shift(L, EVENTS * STEP_MS);
  }
  compare(L, set, states, events[0].timestamp_ms);
  for (int work = 0; work < WORKS; work++) m[work] = median(ns[work]);
  printf("features=%zu state_bytes=%zu\n", count, size);
  printf("copy_ns=%.0f unpack_ns=%.0f fold_ns=%.0f fold_read_ns=%.0f\n", m[COPY], m[UNPACK], m[FOLD], m[FOLD_READ]);
  printf("lua_fold_ns=%.0f lua_fold_read_ns=%.0f lua/fold=%.1f lua/fold_read=%.1f\n", m[LUA_FOLD], m[LUA_FOLD_READ],
         m[LUA_FOLD] / m[FOLD], m[LUA_FOLD_READ] / m[FOLD_READ]);
  printf("fold_read/copy=%.1f fold_read/unpack=%.2f (%g)\n", m[FOLD_READ] / m[COPY], m[FOLD_READ] / m[UNPACK],
         sink > 0 ? 1.0 : 0.0);
  free(states), free(read_states);
  feature_set_free(set);
  lua_close(L);
}

int main(void) {
  struct buf packed, declarations;
  setenv("TZ", "UTC", 1); // os.time goes by it
  buf_init(&packed);
  pack_declarations(&declarations);
  decode_events(&packed);
  measure(buf_bytes(&declarations));
  buf_deinit(&packed), buf_deinit(&declarations);
  return 0;
}
