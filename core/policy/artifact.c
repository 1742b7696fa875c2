// Reads what scripts/build.lua returned into a struct artifact. Nothing in it is believed: every count has a bound,
// every number that points into a table or an array is checked against it, so that what runs later (decide.c) needs to
// check only the outcome. Uses wire/mp; pure, any thread.
#include "policy/artifact.h"
#include "policy/journey.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/pmath.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  TEXT_MAX = 4096,
  SOURCE_MAX = 8 << 20,
  PROBLEMS_MAX = 1000,
  AFTER_DAYS_MAX = 36525,
  OPEN_HOURS_MAX = 2000,
  OPEN_DAYS_MAX = 1000
};

// One parse. After the first failure every reader returns its fallback and does nothing, so that the code below reads
// as a list.
struct parse {
  struct artifact *a;
  struct bytes root;
  struct error *err;
  int status;
};

static void fail(struct parse *p, const char *format, ...) ITD_PRINTF(2, 3);
static void fail(struct parse *p, const char *format, ...) {
  if (p->status != 0) return;
  char text[400];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  p->status = error_set(p->err, ITD_EPOLICY, "compiled policy: %s", text);
}

// ---- readers of one value; `at` says where in errors ("stages[3]"), "" for the root ----

static void *take(struct parse *p, size_t count, size_t size) {
  return count == 0 ? NULL : arena_alloc(&p->a->arena, count * size);
}

static bool find(struct parse *p, struct bytes map, const char *key, struct bytes *value) {
  return p->status == 0 && map.n > 0 && mp_find(map, bytes_str(key), value) && mp_value_of(*value).type != MP_NIL;
}

static const char *dot(const char *at) { return *at ? "." : ""; }

static const char *as_text(struct parse *p, struct bytes value, const char *at, const char *key) {
  struct bytes text;
  if (p->status != 0) return "";
  if (!mp_as_str(value, &text)) return fail(p, "%s%s%s is no text", at, dot(at), key), "";
  if (text.n > TEXT_MAX) return fail(p, "%s%s%s has more than %d bytes", at, dot(at), key, TEXT_MAX), "";
  if (!bytes_is_utf8(text) || (text.n && memchr(text.p, 0, text.n))) {
    return fail(p, "%s%s%s is no UTF-8 text", at, dot(at), key), "";
  }
  return arena_str(&p->a->arena, text);
}

// `fallback` NULL: the key must be there.
static const char *get_text(struct parse *p, struct bytes map, const char *at, const char *key, const char *fallback) {
  struct bytes value;
  if (find(p, map, key, &value)) return as_text(p, value, at, key);
  if (!fallback) fail(p, "%s%s%s is missing", at, dot(at), key);
  return fallback ? fallback : "";
}

static double get_number(struct parse *p, struct bytes map, const char *at, const char *key, double fallback,
                         double limit) {
  struct bytes value;
  double x;
  if (!find(p, map, key, &value)) return fallback;
  if (mp_peek(&(struct mp){value.p, value.p + value.n}) == MP_BOOL || !mp_as_number(value, &x)) {
    return fail(p, "%s%s%s is no number", at, dot(at), key), fallback;
  }
  if (!(x >= -limit && x <= limit)) return fail(p, "%s%s%s is beyond %g", at, dot(at), key, limit), fallback;
  return x;
}

// A whole number from `min` to `max`; `fallback` below `min`: the key must be there.
static int64_t get_whole(struct parse *p, struct bytes map, const char *at, const char *key, int64_t fallback,
                         int64_t min, int64_t max) {
  struct bytes value;
  if (!find(p, map, key, &value)) {
    if (fallback < min) fail(p, "%s%s%s is missing", at, dot(at), key);
    return fallback < min ? min : fallback;
  }
  double x = get_number(p, map, at, key, NAN, 9e15);
  if (p->status != 0) return min;
  if (x != pm_floor(x) || x < (double)min || x > (double)max) {
    fail(p, "%s%s%s is %.17g, not a whole number from %lld to %lld", at, dot(at), key, x, (long long)min,
         (long long)max);
    return min;
  }
  return (int64_t)x;
}

static bool get_bool(struct parse *p, struct bytes map, const char *at, const char *key) {
  struct bytes value;
  if (!find(p, map, key, &value)) return false;
  struct mp_value v = mp_value_of(value);
  if (v.type != MP_BOOL) fail(p, "%s%s%s is neither true nor false", at, dot(at), key);
  return v.type == MP_BOOL && v.b;
}

// The elements of a list (absent: empty), as views into the input.
static struct bytes *get_list(struct parse *p, struct bytes map, const char *at, const char *key, size_t max,
                              size_t *count) {
  struct bytes value;
  *count = 0;
  if (!find(p, map, key, &value)) return NULL;
  struct mp m = mp_of(value);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY) return fail(p, "%s%s%s is no list", at, dot(at), key), NULL;
  if (head.count > max)
    return fail(p, "%s%s%s has %u entries, at most %zu are allowed", at, dot(at), key, head.count, max), NULL;
  struct bytes *list = take(p, head.count, sizeof *list);
  for (uint32_t i = 0; i < head.count; i++) list[i] = mp_take(&m);
  *count = head.count;
  return list;
}

static struct bytes get_map(struct parse *p, const char *key, bool required) {
  struct bytes value;
  if (!find(p, p->root, key, &value)) {
    if (required) fail(p, "%s is missing", key);
    return (struct bytes){0};
  }
  struct mp_value head = mp_value_of(value);
  // An empty table in Lua has no keys to tell a map by, and comes as a list.
  if (head.type == MP_ARRAY && head.count == 0) return (struct bytes){0};
  if (head.type != MP_MAP) fail(p, "%s is no map", key);
  return p->status == 0 ? value : (struct bytes){0};
}

static bool is_map(struct bytes value) { return mp_value_of(value).type == MP_MAP; }

// ---- tables of names and reasons ----

static const struct {
  const char *key;
  size_t min, max;
} tables[POLICY_TABLES] = {
    [POLICY_STAGES] = {"stages", 1, ARTIFACT_STAGES_MAX},
    [POLICY_TRANSITIONS] = {"transitions", 0, ARTIFACT_TRANSITIONS_MAX},
    [POLICY_OWNERS] = {"owners", 0, ARTIFACT_NAMES_MAX},
    [POLICY_ROUTES] = {"routes", 0, ARTIFACT_NAMES_MAX},
    [POLICY_ACTIONS] = {"actions", 1, ARTIFACT_NAMES_MAX},
    [POLICY_ADJUSTMENTS] = {"adjustments", 0, POLICY_ROWS_MAX},
    [POLICY_EVIDENCE] = {"evidence", 0, POLICY_ROWS_MAX},
    [POLICY_CHANNELS] = {"channels", 0, POLICY_CHANNELS_MAX},
    [POLICY_BANDS] = {"bands", 0, POLICY_ROWS_MAX},
    [POLICY_GATES] = {"gates", 0, ARTIFACT_NAMES_MAX},
    [POLICY_CONDITIONS] = {"conditions", 0, ARTIFACT_NAMES_MAX},
    [POLICY_ELIGIBILITY] = {"eligibility", 0, ARTIFACT_NAMES_MAX},
    [POLICY_WAS] = {"was", 0, ARTIFACT_WAS_MAX},
    [POLICY_NOTES] = {"notes", 0, ARTIFACT_STAGES_MAX},
};

static const char *transition_name(struct parse *p, const struct policy_entry *e) {
  const struct policy_entry *stages = p->a->entry[POLICY_STAGES];
  char name[2 * TEXT_MAX + 8];
  int n = snprintf(name, sizeof name, "%s -> %s", stages[e->stage_from].name, stages[e->stage_to].name);
  return arena_str(&p->a->arena, bytes_of(name, (size_t)n));
}

static struct policy_wait parse_wait(struct parse *p, struct bytes value, const char *at) {
  static const struct {
    const char *key;
    enum policy_wait_kind kind;
    int64_t min, max;
  } waits[] = {{"after_ms", POLICY_WAITS, 0, AFTER_DAYS_MAX * 86400000ll},
               {"open_ms", POLICY_WAITS_OPEN, 1, OPEN_HOURS_MAX * 3600000ll},
               {"open_days", POLICY_WAITS_DAYS, 1, OPEN_DAYS_MAX},
               {"at_minute", POLICY_WAITS_AT, 0, CALENDAR_MINUTES_MAX - 1}};
  struct policy_wait wait = {.calendar = -1};
  struct bytes there;
  for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
    if (!find(p, value, waits[i].key, &there)) continue;
    if (wait.kind != POLICY_WAITS_NOT) fail(p, "%s has more than one timer", at);
    wait.amount = get_whole(p, value, at, waits[i].key, -1, waits[i].min, waits[i].max);
    wait.kind = waits[i].kind == POLICY_WAITS && wait.amount == 0 ? POLICY_WAITS_NOT : waits[i].kind;
  }
  if (wait.kind == POLICY_WAITS_AT) wait.day = (int)get_whole(p, value, at, "at_day", -3, CALENDAR_OPEN_DAY, 6);
  if (wait.kind > POLICY_WAITS)
    wait.calendar = (int)get_whole(p, value, at, "calendar", -1, 0, (int64_t)p->a->calendar_count - 1);
  return wait;
}

static void parse_transition(struct parse *p, struct bytes value, const char *at, struct policy_entry *e) {
  int last = (int)p->a->count[POLICY_STAGES] - 1;
  e->stage_from = (int)get_whole(p, value, at, "from", -1, 0, last);
  e->stage_to = (int)get_whole(p, value, at, "to", -1, 0, last);
  e->wait = parse_wait(p, value, at);
  e->resumes = get_bool(p, value, at, "resume");
  if (p->status == 0) e->name = transition_name(p, e);
}

static void parse_stage(struct parse *p, struct bytes value, const char *at, struct policy_entry *e) {
  e->is_final = get_bool(p, value, at, "final");
  e->frees_owner = get_bool(p, value, at, "frees_owner");
  e->is_region = get_bool(p, value, at, "region");
  e->stage_parent = (int)get_whole(p, value, at, "parent", -1, -1, ARTIFACT_STAGES_MAX - 1);
  e->stage_start = (int)get_whole(p, value, at, "start", -1, -1, ARTIFACT_STAGES_MAX - 1);
}

static void parse_uses(struct parse *p, struct bytes value, const char *at, struct policy_entry *e) {
  size_t count;
  struct bytes *list = get_list(p, value, at, "uses", ARTIFACT_NAMES_MAX, &count);
  uint16_t *uses = take(p, count, sizeof *uses);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    double x;
    bool ok = mp_value_of(list[i]).type != MP_BOOL && mp_as_number(list[i], &x) && x == pm_floor(x) && x >= 0 &&
              x < (double)p->a->count[POLICY_CONDITIONS];
    if (ok)
      uses[i] = (uint16_t)x;
    else
      fail(p, "%s.uses[%zu] is no condition's number", at, i);
  }
  e->uses = uses;
  e->use_count = count;
}

static void parse_entry(struct parse *p, enum policy_table table, struct bytes value, const char *at,
                        struct policy_entry *e) {
  e->why = e->path = "";
  e->stage_parent = e->stage_start = -1;
  if (!is_map(value)) { // a name alone
    if (table == POLICY_TRANSITIONS || table == POLICY_BANDS || table == POLICY_WAS) fail(p, "%s is no map", at);
    e->name = as_text(p, value, at, "");
    e->kind = "adjust";
    return;
  }
  if (table == POLICY_TRANSITIONS)
    parse_transition(p, value, at, e);
  else
    e->name = get_text(p, value, at, "name", NULL);
  e->why = get_text(p, value, at, "why", "");
  e->path = get_text(p, value, at, "path", "");
  e->line = (int)get_whole(p, value, at, "line", 0, 0, INT32_MAX);
  parse_uses(p, value, at, e);
  if (table == POLICY_STAGES) parse_stage(p, value, at, e);
  if (table == POLICY_WAS)
    e->stage_to = (int)get_whole(p, value, at, "to", -1, 0, (int64_t)p->a->count[POLICY_STAGES] - 1);
  if (table == POLICY_EVIDENCE) {
    e->channel = (int)get_whole(p, value, at, "channel", -1, 0, (int64_t)p->a->count[POLICY_CHANNELS] - 1);
  }
  if (table == POLICY_ADJUSTMENTS) {
    e->kind = get_text(p, value, at, "kind", "adjust");
    bool is_known = strcmp(e->kind, "adjust") == 0 || strcmp(e->kind, "cap") == 0 || strcmp(e->kind, "floor") == 0;
    if (!is_known) fail(p, "%s.kind is '%s', not 'adjust', 'cap' or 'floor'", at, e->kind);
  }
  if (table == POLICY_BANDS) e->from_milli = pm_milli(get_number(p, value, at, "from", 0, 1e6));
}

static void parse_table(struct parse *p, enum policy_table table) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", tables[table].key, tables[table].max, &count);
  if (p->status == 0 && count < tables[table].min) fail(p, "%s is empty", tables[table].key);
  if (p->status != 0) return;
  struct policy_entry *entry = take(p, count, sizeof *entry);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[48];
    snprintf(at, sizeof at, "%s[%zu]", tables[table].key, i);
    parse_entry(p, table, list[i], at, &entry[i]);
  }
  p->a->entry[table] = entry;
  p->a->count[table] = count;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

// Names carry a lead's state from one version to the next, so that they must tell their owners apart.
static void check_unique(struct parse *p, const char *what, const char *const *names, size_t count) {
  if (p->status != 0 || count < 2) return;
  const char **sorted = xmalloc(count * sizeof *sorted);
  memcpy(sorted, names, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_text);
  for (size_t i = 1; i < count; i++) {
    if (strcmp(sorted[i - 1], sorted[i]) == 0) fail(p, "%s: '%s' is there twice", what, sorted[i]);
  }
  free(sorted);
}

static void check_unique_entries(struct parse *p, enum policy_table table) {
  size_t count = p->a->count[table];
  if (p->status != 0 || count == 0) return;
  const char **names = xmalloc(count * sizeof *names);
  for (size_t i = 0; i < count; i++) names[i] = p->a->entry[table][i].name;
  check_unique(p, tables[table].key, names, count);
  free(names);
}

static void check_bands(struct parse *p) {
  const struct policy_entry *band = p->a->entry[POLICY_BANDS];
  for (size_t i = 1; p->status == 0 && i < p->a->count[POLICY_BANDS]; i++) {
    if (band[i].from_milli <= band[i - 1].from_milli)
      fail(p, "bands: '%s' does not begin above '%s'", band[i].name, band[i - 1].name);
  }
}

static void gather_chart(struct parse *p) {
  size_t stage = 0;
  const char *what = p->status == 0 ? chart_gather(p->a, &stage) : NULL;
  if (what) fail(p, "stages[%zu] %s", stage, what);
  for (size_t t = 0; p->status == 0 && t < p->a->count[POLICY_TRANSITIONS]; t++) {
    const struct policy_entry *e = &p->a->entry[POLICY_TRANSITIONS][t];
    const struct artifact_stage *from = &p->a->stage[e->stage_from], *to = &p->a->stage[e->stage_to];
    if (from->machine != to->machine || from->is_region || to->is_region)
      fail(p, "transitions[%zu] leads from one region to another, or is a region's", t);
    if (e->resumes && to->start < 0) fail(p, "transitions[%zu] resumes a stage with none inside it", t);
  }
  if (p->status == 0) p->status = chart_gather_timers(p->a, p->err);
}

// ---- teams, and the routes that ask their pools ----
#define CAPACITY_MAX INT32_MAX
#define WEIGHT_MAX   1000000

static void pack_leave(struct parse *p, struct bytes person, const char *at, struct buf *out) {
  size_t count;
  struct bytes *list = get_list(p, person, at, "leave", POLICY_TEAM_LEAVES_MAX, &count);
  mp_put_array(out, (uint32_t)count);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    struct mp in = mp_of(list[i]);
    struct mp_value head = mp_next(&in);
    double from = NAN, until = NAN;
    bool is_pair = head.type == MP_ARRAY && head.count == 2 && mp_as_number(mp_take(&in), &from) &&
                   mp_as_number(mp_take(&in), &until) && from > -9e15 && until < 9e15 && from <= until;
    if (!is_pair) {
      fail(p, "%s.leave[%zu] is no [from, until]", at, i);
      return;
    }
    mp_put_array(out, 2);
    mp_put_int(out, (int64_t)from);
    mp_put_int(out, (int64_t)until);
  }
}

static uint64_t skill_of(const char *text) { // 0 stands for none
  uint64_t h = hash64(bytes_str(text));
  return h ? h : 1;
}

static void pack_skills(struct parse *p, struct bytes person, const char *at, struct buf *out) {
  size_t count;
  struct bytes *list = get_list(p, person, at, "skills", POLICY_TEAM_SKILLS_MAX, &count);
  mp_put_array(out, (uint32_t)count);
  for (size_t i = 0; i < count && p->status == 0; i++) mp_put_uint(out, skill_of(as_text(p, list[i], at, "skills")));
}

static void parse_people(struct parse *p, struct bytes value, const char *team_at, struct policy_team *team) {
  struct buf packed = {0};
  struct bytes *list = get_list(p, value, team_at, "people", POLICY_TEAM_PEOPLE_MAX, &team->count);
  uint16_t *owner = take(p, team->count, sizeof *owner);
  mp_put_array(&packed, (uint32_t)team->count);
  for (size_t i = 0; i < team->count && p->status == 0; i++) {
    char at[96];
    snprintf(at, sizeof at, "%s.people[%zu]", team_at, i);
    owner[i] = (uint16_t)get_whole(p, list[i], at, "owner", -1, 0, (int64_t)p->a->count[POLICY_OWNERS] - 1);
    if (p->status != 0) break;
    const char *name = p->a->entry[POLICY_OWNERS][owner[i]].name;
    if (!*name || strlen(name) > POLICY_PERSON_BYTES)
      fail(p, "%s has a name of 1 to %d bytes", at, POLICY_PERSON_BYTES);
    for (size_t k = 0; k < i; k++)
      if (owner[k] == owner[i]) fail(p, "%s is in the team twice", at);
    mp_put_array(&packed, 5);
    mp_put_cstr(&packed, name);
    mp_put_int(&packed, get_whole(p, list[i], at, "weight", -1, 0, WEIGHT_MAX));
    mp_put_int(&packed, get_whole(p, list[i], at, "capacity", -1, -1, CAPACITY_MAX));
    pack_leave(p, list[i], at, &packed);
    pack_skills(p, list[i], at, &packed);
  }
  team->owner = owner;
  if (p->status == 0) team->packed = arena_copy(&p->a->arena, buf_bytes(&packed));
  buf_deinit(&packed);
}

static void parse_teams(struct parse *p) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "teams", ARTIFACT_TEAMS_MAX, &count);
  struct policy_team *teams = take(p, count, sizeof *teams);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "teams[%zu]", i);
    teams[i].name = get_text(p, list[i], at, "name", NULL);
    parse_people(p, list[i], at, &teams[i]);
  }
  p->a->teams = teams;
  p->a->team_count = count;
}

static void parse_turn(struct parse *p, struct bytes value, const char *at, struct policy_turn *turn) {
  int64_t routes = (int64_t)p->a->count[POLICY_ROUTES];
  turn->team = (int)get_whole(p, value, at, "team", -1, 0, (int64_t)p->a->team_count - 1);
  turn->pick = (int)get_whole(p, value, at, "pick", 0, 1, 2);
  turn->is_sticky = get_bool(p, value, at, "sticky");
  const char *skill = get_text(p, value, at, "skill", "");
  if (*skill) turn->skill = skill_of(skill);
  turn->full = (int)get_whole(p, value, at, "full", -1, -1, routes - 1);
  turn->accept_ms = get_whole(p, value, at, "accept_ms", 0, 0, AFTER_DAYS_MAX * 86400000ll);
  turn->accept_tries = (int)get_whole(p, value, at, "accept_tries", 0, 0, 100);
  turn->accept_otherwise = (int)get_whole(p, value, at, "accept_otherwise", -1, -1, routes - 1);
}

static void parse_turns(struct parse *p) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "routes", ARTIFACT_NAMES_MAX, &count), value;
  struct artifact_turn *turns = take(p, count, sizeof *turns);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[64];
    snprintf(at, sizeof at, "routes[%zu].turn", i);
    turns[i].is_asked = is_map(list[i]) && find(p, list[i], "turn", &value);
    if (turns[i].is_asked) parse_turn(p, value, at, &turns[i].turn);
  }
  for (size_t i = 0; i < count && p->status == 0; i++) {
    const struct policy_turn *t = &turns[i].turn;
    bool is_odd = (t->full >= 0 && !turns[t->full].is_asked) ||
                  (t->accept_otherwise >= 0 && !turns[t->accept_otherwise].is_asked);
    if (turns[i].is_asked && is_odd) fail(p, "routes[%zu].turn goes on to a route that asks no pool", i);
  }
  p->a->turns = turns;
}

// ---- text tests ----

// A feature keeps so much of a text; a longer one in a list is compared by what would be kept of it.
static struct bytes as_kept(struct bytes text) {
  if (text.n <= FEATURE_TEXT_MAX) return text;
  size_t n = FEATURE_TEXT_MAX;
  while (n > 0 && (text.p[n] & 0xc0) == 0x80) n--;
  return bytes_of(text.p, n);
}

static struct bytes *text_set_place(const struct text_set *set, struct bytes text) {
  uint32_t i = (uint32_t)hash64(text) & set->mask;
  while (set->place[i].p && !bytes_eq(set->place[i], text)) i = (i + 1) & set->mask;
  return &set->place[i];
}

bool text_set_has(const struct text_set *set, struct bytes text) {
  return text.n > 0 && text_set_place(set, text)->p != NULL;
}

static void parse_text_set(struct parse *p, struct bytes value, const char *at, size_t *total, struct text_set *set) {
  size_t count;
  struct bytes *list = get_list(p, value, at, "any", ARTIFACT_TEXTS_MAX, &count);
  *total += count;
  if (*total > ARTIFACT_TEXTS_MAX) fail(p, "%s: all tests together have more than %d texts", at, ARTIFACT_TEXTS_MAX);
  if (p->status != 0) return;
  size_t places = 2;
  while (places < 2 * count + 1) places *= 2;
  set->place = take(p, places, sizeof *set->place);
  set->mask = (uint32_t)(places - 1);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    struct bytes text;
    if (!mp_as_str(list[i], &text)) {
      fail(p, "%s.any[%zu] is no text", at, i);
      return;
    }
    text = as_kept(text);
    if (text.n > 0) *text_set_place(set, text) = arena_copy(&p->a->arena, text);
  }
}

static void parse_tests(struct parse *p) {
  size_t count, total = 0;
  struct bytes *list = get_list(p, p->root, "", "tests", ARTIFACT_RUN_MAX, &count);
  struct artifact_test *tests = take(p, count, sizeof *tests);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "tests[%zu]", i);
    tests[i].feature_name = get_text(p, list[i], at, "feature", NULL);
    tests[i].is_known = get_bool(p, list[i], at, "known");
    if (!tests[i].is_known) parse_text_set(p, list[i], at, &total, &tests[i].any);
  }
  p->a->tests = tests;
  p->a->test_count = count;
}

// ---- events, draws, memory ----

static void parse_texts(struct parse *p, const char *key, size_t max, struct bytes **out, size_t *out_count) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", key, max, &count);
  struct bytes *texts = take(p, count, sizeof *texts);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[48];
    snprintf(at, sizeof at, "%s[%zu]", key, i);
    texts[i] = bytes_str(as_text(p, list[i], at, ""));
  }
  *out = texts;
  *out_count = count;
}

static const char *const *take_names(struct parse *p, struct bytes map, const char *at, const char *key, size_t max,
                                     size_t *count) {
  struct bytes *list = get_list(p, map, at, key, max, count);
  const char **names = take(p, *count, sizeof *names);
  for (size_t i = 0; i < *count && p->status == 0; i++) names[i] = as_text(p, list[i], at, key);
  return names;
}

// The names by which sales has its say whatever the policy is.
static const char *const reserved[SAID_KINDS] = {
    [SAID_OWNER_SET] = "crm.owner_set",          [SAID_OWNER_CLEARED] = "crm.owner_cleared",
    [SAID_STAGE_SET] = "crm.stage_set",          [SAID_DISQUALIFIED] = "crm.lead_disqualified",
    [SAID_REQUALIFIED] = "crm.lead_requalified", [SAID_REJECTED] = "crm.lead_rejected",
    [SAID_ACCEPTED] = "crm.lead_accepted",
};
#define NOT_AGAIN_MS (30 * 86400000ll)

static void add_said(struct parse *p, struct bytes event, enum policy_said said) {
  struct artifact *a = p->a;
  for (size_t i = 0; i < a->said_count && p->status == 0; i++)
    if (bytes_eq(a->said[i].event, event))
      fail(p, "sales: '%.*s' stands for two things", (int)event.n, (const char *)event.p);
  a->said[a->said_count++] = (struct artifact_said){event, said};
}

static void parse_sales(struct parse *p) {
  struct bytes sales = get_map(p, "sales", false), *names[SAID_KINDS];
  size_t count[SAID_KINDS] = {0}, sum = SAID_KINDS;
  for (int said = SAID_NOTHING + 1; said < SAID_KINDS; said++) {
    names[said] =
        get_list(p, sales, "sales", policy_said_name((enum policy_said)said), ARTIFACT_SAID_MAX, &count[said]);
    sum += count[said];
  }
  p->a->not_again_ms =
      get_whole(p, sales, "sales", "not_again_ms", NOT_AGAIN_MS, 0, (int64_t)AFTER_DAYS_MAX * 86400000);
  p->a->said = take(p, sum, sizeof *p->a->said);
  for (int said = SAID_NOTHING + 1; said < SAID_KINDS; said++)
    add_said(p, bytes_str(reserved[said]), (enum policy_said)said);
  for (int said = SAID_NOTHING + 1; said < SAID_KINDS; said++)
    for (size_t i = 0; i < count[said] && p->status == 0; i++)
      add_said(p, bytes_str(as_text(p, names[said][i], "sales", policy_said_name((enum policy_said)said))),
               (enum policy_said)said);
}

static void parse_labels(struct parse *p) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "labels", ARTIFACT_LABELS_MAX, &count);
  struct policy_label *labels = take(p, count, sizeof *labels);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "labels[%zu]", i);
    labels[i].name = get_text(p, list[i], at, "name", NULL);
    labels[i].event = get_text(p, list[i], at, "event", NULL);
    labels[i].within_ms = get_whole(p, list[i], at, "within_ms", 0, 1, AFTER_DAYS_MAX * 86400000ll);
    labels[i].unless = take_names(p, list[i], at, "unless", POLICY_UNLESS_MAX, &labels[i].unless_count);
    labels[i].read_by = take_names(p, list[i], at, "read_by", FEATURES_MAX, &labels[i].read_by_count);
  }
  p->a->labels = labels;
  p->a->label_count = count;
}

static void parse_retrains(struct parse *p) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "retrain", ARTIFACT_RETRAINS_MAX, &count);
  struct policy_retrain *retrains = take(p, count, sizeof *retrains);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "retrain[%zu]", i);
    retrains[i].model = get_text(p, list[i], at, "model", NULL);
    retrains[i].label = get_text(p, list[i], at, "label", "");
    retrains[i].why = get_text(p, list[i], at, "why", "");
    retrains[i].age_ms = get_whole(p, list[i], at, "age_ms", 0, 0, AFTER_DAYS_MAX * 86400000ll);
    retrains[i].drift = get_number(p, list[i], at, "drift", 0, 100);
    retrains[i].auc_under = get_number(p, list[i], at, "auc_under", 0, 1);
    retrains[i].auc_falls = get_number(p, list[i], at, "auc_falls", 0, 1);
    retrains[i].over_days = get_whole(p, list[i], at, "over_days", 1, 1, AFTER_DAYS_MAX);
    retrains[i].least = get_whole(p, list[i], at, "least", 1, 1, INT32_MAX);
  }
  p->a->retrains = retrains;
  p->a->retrain_count = count;
}

static void parse_reads(struct parse *p) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "reads", ARTIFACT_READS_MAX, &count);
  struct policy_read *reads = take(p, count, sizeof *reads);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "reads[%zu]", i);
    reads[i].feature = (size_t)get_whole(p, list[i], at, "feature", -1, 0, (int64_t)p->a->feature_count - 1);
    reads[i].kind = get_text(p, list[i], at, "kind", NULL);
    reads[i].name = get_text(p, list[i], at, "name", NULL);
    reads[i].condition = get_text(p, list[i], at, "condition", "");
    reads[i].path = get_text(p, list[i], at, "path", "");
    reads[i].line = (int)get_whole(p, list[i], at, "line", 0, 0, INT32_MAX);
  }
  p->a->reads = reads;
  p->a->read_count = count;
}

static void parse_calendars(struct parse *p) {
  struct bytes value;
  if (find(p, p->root, "calendars", &value))
    p->status = calendars_parse(value, &p->a->arena, &p->a->calendars, &p->a->calendar_count, p->err);
}

static void parse_quiet(struct parse *p) { // behind the calendars
  struct bytes value;
  if (find(p, p->root, "quiet", &value))
    p->status = quiet_parse(value, p->a->calendars, p->a->calendar_count, &p->a->arena, &p->a->quiet,
                            &p->a->quiet_count, p->err);
}

static void parse_draws(struct parse *p) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "draws", ARTIFACT_RUN_MAX, &count);
  struct artifact_draw *draws = take(p, count, sizeof *draws);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "draws[%zu]", i);
    draws[i].salt = hash64(bytes_str(get_text(p, list[i], at, "salt", NULL)));
    const char *by = get_text(p, list[i], at, "by", NULL);
    draws[i].is_lead = strcmp(by, "lead") == 0;
    draws[i].hold_out = get_number(p, list[i], at, "hold_out", 0, 1);
    if (!draws[i].is_lead && strcmp(by, "event") != 0) fail(p, "%s.by is '%s', not 'lead' or 'event'", at, by);
  }
  p->a->draws = draws;
  p->a->draw_count = count;
}

static void parse_memory(struct parse *p) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "memory", ARTIFACT_RUN_MAX, &count);
  const char **names = take(p, count, sizeof *names);
  double *initial = take(p, count, sizeof *initial);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "memory[%zu]", i);
    names[i] = get_text(p, list[i], at, "name", NULL);
    initial[i] = get_number(p, list[i], at, "initial", 0, 1e300);
  }
  check_unique(p, "memory", names, count);
  p->a->memory_name = names;
  p->a->memory_initial = initial;
  p->a->memory_count = count;
}

// Which of some words a key holds.
static int get_word(struct parse *p, struct bytes map, const char *at, const char *key, const char *const *words,
                    size_t count) {
  const char *text = get_text(p, map, at, key, NULL);
  for (size_t i = 0; i < count; i++)
    if (strcmp(text, words[i]) == 0) return (int)i;
  fail(p, "%s.%s is '%s'", at, key, text);
  return 0;
}

static void parse_field(struct parse *p, struct bytes map, const char *at, struct policy_field *f) {
  static const char *const types[] = {"number", "flag", "time", "choice"}, *const merges[] = {"max", "sum", "latest"};
  f->name = get_text(p, map, at, "name", NULL);
  f->why = get_text(p, map, at, "why", "");
  f->path = get_text(p, map, at, "path", "");
  f->line = (int)get_whole(p, map, at, "line", 0, 0, INT32_MAX);
  f->type = (enum field_type)get_word(p, map, at, "type", types, 4);
  f->merge = (enum field_merge)get_word(p, map, at, "merge", merges, 3);
  int64_t room = (int64_t)p->a->memory_count - 1 - (f->merge == FIELD_LATEST);
  f->slot = (size_t)get_whole(p, map, at, "slot", -1, 0, room);
  f->least = get_number(p, map, at, "least", 0, 1e16);
  f->most = get_number(p, map, at, "most", 0, 1e16);
  f->options = take_names(p, map, at, "options", POLICY_OPTIONS_MAX, &f->option_count);
}

static void parse_fields(struct parse *p) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "fields", POLICY_FIELDS_MAX, &count);
  struct policy_field *fields = take(p, count, sizeof *fields);
  const char **names = take(p, count, sizeof *names);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "fields[%zu]", i);
    parse_field(p, list[i], at, &fields[i]);
    names[i] = fields[i].name;
  }
  check_unique(p, "fields", names, count);
  p->a->fields = fields;
  p->a->field_count = count;
}

// ---- layout ----

static const char *const in_names[IN_SLOTS] = {
    [IN_NOW] = "now",       [IN_STAGE] = "stage",       [IN_SINCE] = "since",
    [IN_TIMER] = "timer",   [IN_FIT] = "fit",           [IN_OWNER] = "owner",
    [IN_MANUAL] = "manual", [IN_ACTED] = "acted",       [IN_IS_EVENT] = "is_event",
    [IN_TESTS] = "tests",   [IN_AGES] = "ages",         [IN_DRAWS] = "draws",
    [IN_EVENTS] = "events", [IN_FEATURES] = "features", [IN_ENGAGEMENT] = "engagement",
    [IN_MODEL] = "model",   [IN_SALES] = "sales",       [IN_SWITCH] = "switch",
    [IN_BARRED] = "barred", [IN_PLACES] = "places",     [IN_QUIET] = "quiet"};
static const char *const out_names[OUT_SLOTS] = {[OUT_ELIGIBLE] = "eligible",
                                                 [OUT_INELIGIBLE] = "ineligible",
                                                 [OUT_STAGE] = "stage",
                                                 [OUT_STEPS] = "steps",
                                                 [OUT_CAP] = "cap",
                                                 [OUT_COMBINED] = "combined",
                                                 [OUT_BAND] = "band",
                                                 [OUT_INTENT] = "intent",
                                                 [OUT_OWNER] = "owner",
                                                 [OUT_ROUTE] = "route",
                                                 [OUT_ACTION] = "action",
                                                 [OUT_UTILITY] = "utility",
                                                 [OUT_HELD] = "held",
                                                 [OUT_EXPLORED] = "explored",
                                                 [OUT_PROPENSITY] = "propensity",
                                                 [OUT_OFFERS] = "offers",
                                                 [OUT_OFFERS_HELD] = "offers_held",
                                                 [OUT_ADJUSTMENTS] = "adjustments",
                                                 [OUT_EVIDENCE] = "evidence",
                                                 [OUT_CHANNEL_CAPS] = "channel_caps",
                                                 [OUT_CONDITIONS] = "conditions",
                                                 [OUT_REGIONS] = "regions",
                                                 [OUT_NOTES] = "notes"};

const char *artifact_out_name(enum artifact_out slot) { return out_names[slot]; }

static void check_layout_keys(struct parse *p, struct bytes map, const char *at, const char *const *names,
                              size_t count) {
  struct mp m = mp_of(map);
  uint32_t pairs = mp_next(&m).count;
  for (uint32_t i = 0; i < pairs && p->status == 0; i++) {
    struct bytes key, name = mp_take(&m);
    mp_take(&m);
    size_t k = 0;
    if (mp_as_str(name, &key)) {
      while (k < count && !bytes_is(key, names[k])) k++;
    } else {
      k = count;
    }
    if (k == count) fail(p, "%s has an entry that the engine does not know", at);
  }
}

// Runs that an older archive does not know, or of which there is nothing.
static bool may_lack(const char *name) {
  static const char *const later[] = {"ages", "model", "places", "regions", "notes", "quiet"};
  for (size_t i = 0; i < sizeof later / sizeof *later; i++)
    if (strcmp(name, later[i]) == 0) return true;
  return false;
}

// Places of `count` spans of `size` doubles in an array of `total`: inside it, and none on another.
static void parse_layout(struct parse *p, const char *key, const char *const *names, const uint32_t *size, size_t count,
                         uint32_t total, uint32_t *offset) {
  char at[24];
  snprintf(at, sizeof at, "layout.%s", key);
  struct bytes layout = get_map(p, "layout", true), map;
  if (p->status != 0 || layout.n == 0 || !find(p, layout, key, &map) || !is_map(map)) {
    fail(p, "%s is missing or no map", at);
    return;
  }
  check_layout_keys(p, map, at, names, count);
  for (size_t i = 0; i < count && p->status == 0; i++) {
    bool is_optional = size[i] == 0 && may_lack(names[i]);
    offset[i] = (uint32_t)get_whole(p, map, at, names[i], is_optional ? 0 : -1, 0, total);
    if (p->status == 0 && size[i] > total - offset[i]) {
      fail(p, "%s.%s takes %u doubles from %u on, and there are %u", at, names[i], size[i], offset[i], total);
    }
    for (size_t k = 0; k < i && p->status == 0; k++) {
      bool apart = offset[i] + size[i] <= offset[k] || offset[k] + size[k] <= offset[i];
      if (!apart && size[i] > 0 && size[k] > 0) fail(p, "%s.%s lies on %s", at, names[i], names[k]);
    }
  }
}

static void parse_layouts(struct parse *p) {
  struct artifact *a = p->a;
  struct bytes layout = get_map(p, "layout", true);
  a->shape.memory_count = (uint32_t)a->memory_count;
  a->shape.in_count = (uint32_t)get_whole(p, layout, "layout", "input_count", -1, 0, ARTIFACT_DOUBLES_MAX);
  a->shape.out_count = (uint32_t)get_whole(p, layout, "layout", "output_count", -1, 0, ARTIFACT_DOUBLES_MAX);
  uint32_t in_size[IN_SLOTS], out_size[OUT_SLOTS];
  for (size_t i = 0; i < IN_SLOTS; i++) in_size[i] = 1;
  for (size_t i = 0; i < OUT_SLOTS; i++) out_size[i] = 1;
  in_size[IN_MODEL] = a->model[2] != NULL;
  in_size[IN_FEATURES] = (uint32_t)a->feature_count;
  in_size[IN_AGES] = (uint32_t)a->age_count;
  in_size[IN_QUIET] = (uint32_t)a->quiet_count;
  in_size[IN_TESTS] = (uint32_t)a->test_count;
  in_size[IN_EVENTS] = (uint32_t)a->event_count;
  in_size[IN_DRAWS] = (uint32_t)a->draw_count;
  in_size[IN_BARRED] = POLICY_REJECTS;
  in_size[IN_PLACES] = (uint32_t)a->place_count;
  out_size[OUT_REGIONS] = (uint32_t)a->region_count;
  out_size[OUT_NOTES] = a->count[POLICY_NOTES] ? 1 + POLICY_NOTES_MAX : 0;
  out_size[OUT_STEPS] = POLICY_STEPS_MAX + 2;
  out_size[OUT_OFFERS] = out_size[OUT_OFFERS_HELD] = (uint32_t)a->count[POLICY_ACTIONS] - 1; // all but `otherwise`
  out_size[OUT_ADJUSTMENTS] = (uint32_t)a->count[POLICY_ADJUSTMENTS];
  out_size[OUT_EVIDENCE] = (uint32_t)a->count[POLICY_EVIDENCE];
  out_size[OUT_CHANNEL_CAPS] = (uint32_t)a->count[POLICY_CHANNELS];
  out_size[OUT_CONDITIONS] = (uint32_t)a->count[POLICY_CONDITIONS];
  parse_layout(p, "input", in_names, in_size, IN_SLOTS, a->shape.in_count, a->in);
  parse_layout(p, "output", out_names, out_size, OUT_SLOTS, a->shape.out_count, a->out);
}

// ---- the head ----

static void parse_models(struct parse *p) {
  struct bytes models = get_map(p, "models", false);
  const char *fit = models.n ? get_text(p, models, "models", "fit", "") : "";
  const char *engagement = models.n ? get_text(p, models, "models", "engagement", "") : "";
  const char *split = models.n ? get_text(p, models, "models", "split", "") : "";
  p->a->model[0] = *fit ? fit : NULL;
  p->a->model[1] = *engagement ? engagement : NULL;
  p->a->model[2] = *split ? split : NULL;
  if (*split && (*fit || *engagement)) fail(p, "models.split stands beside models.fit or models.engagement");
  struct bytes mix = get_map(p, "mix", false);
  if (mix.n == 0) {
    if (*split) fail(p, "mix.model must be 1: the combined score is the split model's");
    return;
  }
  p->a->mix_model = get_number(p, mix, "mix", "model", 0, 1);
  p->a->mix_fit = get_number(p, mix, "mix", "fit", 0, 1000);
  p->a->mix_engagement = get_number(p, mix, "mix", "engagement", 0, 1000);
  p->a->mix_constant = get_number(p, mix, "mix", "constant", 0, 1e6);
  if (p->a->mix_fit != 0 && !*fit) fail(p, "mix.fit weighs a model that models does not name");
  if (p->a->mix_engagement != 0 && !*engagement) fail(p, "mix.engagement weighs a model that models does not name");
  bool counts_once = p->a->mix_model == 1;
  if (p->status == 0 && counts_once != (*split != 0))
    fail(p, "mix.model is %g; it is 1 where models.split names a model, and else 0", p->a->mix_model);
}

static void parse_mode(struct parse *p) {
  const char *mode = p->a->mode = get_text(p, p->root, "", "mode", "act");
  if (strcmp(mode, "act") != 0 && strcmp(mode, "score") != 0 && strcmp(mode, "collect") != 0) {
    fail(p, "mode is '%s', not 'act', 'score' or 'collect'", mode);
  }
}

static void parse_declarations(struct parse *p) {
  struct bytes value;
  size_t count;
  get_list(p, p->root, "", "declarations", FEATURES_MAX, &count);
  p->a->feature_count = count;
  if (!find(p, p->root, "declarations", &value))
    fail(p, "declarations is missing");
  else
    p->a->declarations = arena_copy(&p->a->arena, value);
}

// A value that another layer reads, as it is; empty when it is not there.
static struct bytes get_packed(struct parse *p, const char *key) {
  struct bytes value;
  return find(p, p->root, key, &value) ? arena_copy(&p->a->arena, value) : (struct bytes){0};
}

static void parse_trace(struct parse *p) {
  struct bytes trace = get_map(p, "trace", false);
  p->a->plain_count = p->a->shape.out_count;
  if (p->status != 0 || trace.n == 0) return;
  p->a->trace = arena_copy(&p->a->arena, trace);
  p->a->plain_count = (size_t)get_whole(p, trace, "trace", "seen", -1, 0, p->a->shape.out_count);
}

// Longer than a text may be elsewhere, and code: the vm judges it.
static void parse_source(struct parse *p) {
  struct bytes value, source;
  if (!find(p, p->root, "source", &value) || !mp_as_str(value, &source))
    fail(p, "source is missing or no text");
  else if (source.n > SOURCE_MAX)
    fail(p, "source has %zu bytes, at most %d are allowed", source.n, SOURCE_MAX);
  else
    p->a->source = arena_copy(&p->a->arena, source);
}

static void parse_set(struct parse *p) {
  struct artifact *a = p->a;
  a->signals = get_text(p, p->root, "", "signals", NULL);
  a->signal_set = get_text(p, p->root, "", "signal_set", NULL);
  parse_declarations(p);
  parse_texts(p, "feature_files", FEATURES_MAX, &a->feature_file, &a->feature_file_count);
  struct bytes *personal = NULL;
  parse_texts(p, "personal", ARTIFACT_NAMES_MAX, &personal, &a->personal.count);
  a->personal.path = personal;
  a->schemas = get_packed(p, "schemas");
  a->quality = get_packed(p, "quality");
  parse_texts(p, "schema_files", SCHEMAS_MAX, &a->schema_file, &a->schema_file_count);
  parse_labels(p);
  parse_retrains(p);
}

static void parse_all(struct parse *p) {
  struct artifact *a = p->a;
  a->name = get_text(p, p->root, "", "name", NULL);
  a->owner = get_text(p, p->root, "", "owner", "");
  a->rationale = get_text(p, p->root, "", "rationale", "");
  a->boundary = get_text(p, p->root, "", "boundary", "");
  parse_set(p);
  parse_mode(p);
  parse_models(p);
  static const enum policy_table first[] = {POLICY_STAGES, POLICY_CHANNELS,
                                            POLICY_CONDITIONS}; // others point into these
  parse_calendars(p);
  parse_quiet(p);
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) parse_table(p, first[i]);
  for (int t = 0; t < POLICY_TABLES; t++) {
    bool done = t == POLICY_STAGES || t == POLICY_CHANNELS || t == POLICY_CONDITIONS;
    if (!done) parse_table(p, (enum policy_table)t);
  }
  check_unique_entries(p, POLICY_STAGES);
  check_unique_entries(p, POLICY_WAS);
  check_unique_entries(p, POLICY_OWNERS);
  check_unique_entries(p, POLICY_ACTIONS);
  check_bands(p);
  gather_chart(p);
  parse_teams(p);
  parse_turns(p);
  parse_tests(p);
  parse_reads(p);
  parse_texts(p, "ages", FEATURES_MAX, &a->ages, &a->age_count);
  parse_texts(p, "events", ARTIFACT_RUN_MAX, &a->events, &a->event_count);
  parse_sales(p);
  parse_draws(p);
  parse_memory(p);
  parse_fields(p);
  a->custom = (size_t)get_whole(p, p->root, "", "custom", 0, 0, ARTIFACT_NAMES_MAX);
  parse_layouts(p);
  parse_trace(p);
  parse_source(p);
}

// ---- problems ----

static void parse_problems(struct parse *p, artifact_found found, void *context) {
  size_t count;
  struct bytes *list = get_list(p, p->root, "", "problems", PROBLEMS_MAX, &count);
  int first = 0;
  for (size_t i = 0; i < count && p->status == 0; i++) {
    char at[32];
    snprintf(at, sizeof at, "problems[%zu]", i);
    struct policy_problem problem = {.is_error = get_bool(p, list[i], at, "error")};
    problem.line = (int)get_whole(p, list[i], at, "line", 0, 0, INT32_MAX);
    snprintf(problem.path, sizeof problem.path, "%s", get_text(p, list[i], at, "path", ""));
    snprintf(problem.text, sizeof problem.text, "%s", get_text(p, list[i], at, "text", NULL));
    if (p->status != 0) return;
    if (found) found(context, &problem);
    if (!problem.is_error || first != 0) continue;
    if (problem.line > 0)
      first = error_set(p->err, ITD_EPOLICY, "%s:%d: %s", problem.path, problem.line, problem.text);
    else
      first = error_set(p->err, ITD_EPOLICY, "%s: %s", problem.path, problem.text);
  }
  if (p->status == 0) p->status = first;
}

// One map, whose bytes are sound.
static int check_whole(struct bytes bytes, struct error *err) {
  const struct mp_limits limits = {.depth_max = 32, .objects_max = 4u << 20, .bytes_max = 64u << 20};
  size_t len = 0;
  int whole = mp_scan(bytes, &limits, &len, err);
  if (whole < 0) return error_prefix(err, "compiled policy"), ITD_EPOLICY;
  if (whole == 0 || len != bytes.n || !is_map(bytes))
    return error_set(err, ITD_EPOLICY, "compiled policy: scripts/build.lua did not return one map");
  return 0;
}

static struct parse begin(struct bytes root, struct error *err) {
  struct artifact *a = xcalloc(1, sizeof *a);
  arena_init(&a->arena);
  return (struct parse){.a = a, .root = root, .err = err};
}

static int end(struct parse *p, struct artifact **out) {
  if (p->status == 0)
    *out = p->a;
  else
    artifact_free(p->a);
  return p->status;
}

int artifact_parse(struct bytes bytes, artifact_found found, void *context, struct artifact **out, struct error *err) {
  int status = check_whole(bytes, err);
  if (status != 0) return status;
  struct parse p = begin(bytes, err);
  parse_problems(&p, found, context);
  if (p.status == 0) parse_all(&p);
  return end(&p, out);
}

int artifact_problems(struct bytes bytes, artifact_found found, void *context, struct error *err) {
  int status = check_whole(bytes, err);
  if (status != 0) return status;
  struct parse p = begin(bytes, err);
  parse_problems(&p, found, context);
  artifact_free(p.a);
  return p.status;
}

int artifact_parse_set(struct bytes bytes, struct artifact **out, struct error *err) {
  struct bytes set;
  int status = check_whole(bytes, err);
  if (status != 0) return status;
  if (!mp_find(bytes, BYTES_LIT("set"), &set) || !is_map(set))
    return error_set(err, ITD_ENOTFOUND, "compiled policy: no signal set by itself");
  struct parse p = begin(set, err);
  parse_set(&p);
  p.a->name = p.a->signal_set;
  p.a->owner = get_text(&p, p.root, "", "owner", "");
  p.a->rationale = get_text(&p, p.root, "", "rationale", "");
  p.a->boundary = "";
  p.a->mode = "collect";
  return end(&p, out);
}

void artifact_free(struct artifact *artifact) {
  if (!artifact) return;
  arena_deinit(&artifact->arena);
  free(artifact);
}
