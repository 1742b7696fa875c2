// Rules for sources: reading them, judging, and their counters.
#include "schema/quality.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "schema/program.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum check { CHECK_NAMES, CHECK_SCHEMA, CHECK_AT_MOST, CHECK_AT_LEAST, CHECK_CHANGE, CHECK_NULLS, CHECKS };

struct rule {
  const char *name;
  const struct schema_on *on;
  uint32_t on_count;
  struct bytes source, path;
  enum check check;
  bool refuses;
  const struct bytes *names;
  uint32_t name_count;
  double bound;
  int64_t window_ms;
  // counters
  pthread_mutex_t lock;
  int64_t window; // number since 1970; INT64_MIN: none yet
  bool is_whole;  // it was seen from its beginning
  bool is_said;   // in this window
  uint64_t events, nulls;
  uint64_t before[QUALITY_WINDOWS]; // events of the windows that ended, newest first
  unsigned before_count;
  struct quality_stats stats;
};

struct quality {
  struct arena arena;
  struct rule *rule;
  size_t count;
};

// ---- reading ----

// clang-format off
static const char *const rule_keys[] = {"name",   "on",   "source",  "why",      "refuse", "window", "path",
                                        "names", "schema", "at_most", "at_least", "change", "nulls"};
// clang-format on
enum { R_name, R_on, R_source, R_why, R_refuse, R_window, R_path, R_checks, RULE_KEYS = R_checks + CHECKS };

struct reading {
  struct declaring d; // its `schema` takes the rule's `on`
  struct schema schema;
  struct rule *rule;
  struct bytes value[RULE_KEYS];
};

static int fail(const struct reading *r, const char *what) {
  return error_set(r->d.err, ITD_EPOLICY, "quality: %s: %s", r->d.who, what);
}

// The readers of schemas say that it is a schema's.
static int renamed(const struct reading *r, int rc) {
  struct error *err = r->d.err;
  static const char head[] = "schemas: ";
  if (rc && strncmp(err->text, head, strlen(head)) == 0)
    return error_set(err, rc, "quality: %s", err->text + strlen(head));
  return rc;
}

static int read_names(struct reading *r, struct bytes value) {
  uint32_t count;
  struct mp m = declare_list(value, &count);
  if (count == 0 || count > SCHEMA_VALUES_MAX) return fail(r, "names is a list of 1 to 256 texts");
  struct bytes *names = arena_alloc(r->d.arena, count * sizeof *names);
  for (uint32_t i = 0; i < count; i++) {
    int rc = declare_text(&r->d, "names", mp_take(&m), SCHEMA_WORD_MAX, &names[i]);
    if (rc) return renamed(r, rc);
  }
  r->rule->names = names;
  r->rule->name_count = count;
  return 0;
}

static int read_check(struct reading *r) {
  struct rule *rule = r->rule;
  int found = 0;
  for (int i = 0; i < CHECKS; i++)
    if (r->value[R_checks + i].n) rule->check = (enum check)i, found++;
  if (found != 1) return fail(r, "it needs one of names, schema, at_most, at_least, change and nulls");
  struct bytes value = r->value[R_checks + rule->check];
  if (rule->check == CHECK_NAMES) return read_names(r, value);
  if (rule->check == CHECK_SCHEMA) {
    struct mp_value v = mp_value_of(value);
    return v.type == MP_BOOL && v.b ? 0 : fail(r, "schema is true, or not there");
  }
  struct literal l = literal_of(value);
  if (l.kind != LITERAL_NUMBER || l.number < 0) return fail(r, "its bound is a number, and not below 0");
  if (rule->check == CHECK_CHANGE && l.number <= 1) return fail(r, "change is a factor above 1");
  if (rule->check == CHECK_NULLS && l.number > 1) return fail(r, "nulls is a share from 0 to 1");
  rule->bound = l.number;
  return 0;
}

static int read_window(struct reading *r) {
  struct rule *rule = r->rule;
  struct bytes text;
  bool has_window = rule->check >= CHECK_AT_MOST;
  rule->window_ms = 60000;
  if (!r->value[R_window].n) return 0;
  if (!has_window) return fail(r, "window is for at_most, at_least, change and nulls");
  if (!mp_as_str(r->value[R_window], &text) || duration_parse(text, &rule->window_ms) != 0 || rule->window_ms < 1000 ||
      rule->window_ms > 7 * 86400000ll)
    return fail(r, "window is a duration from \"1s\" to \"7d\"");
  return 0;
}

static int read_rest(struct reading *r) {
  struct rule *rule = r->rule;
  struct mp_value v = r->value[R_refuse].n ? mp_value_of(r->value[R_refuse]) : (struct mp_value){.type = MP_NIL};
  if (v.type != MP_NIL && v.type != MP_BOOL) return fail(r, "refuse is true or false");
  rule->refuses = v.type == MP_BOOL && v.b;
  if (rule->refuses && rule->check > CHECK_AT_MOST)
    return fail(r, "refuse is for names, schema and at_most: the others show when a window is over");
  if ((rule->check == CHECK_NULLS) != (r->value[R_path].n > 0))
    return fail(r, "nulls takes a path, and nothing else does");
  int rc = 0;
  if (r->value[R_path].n) rc = declare_text(&r->d, "path", r->value[R_path], SCHEMA_WORD_MAX, &rule->path);
  if (rc) return renamed(r, rc);
  if (rule->path.n && !schema_path_ok(rule->path)) return fail(r, "path lies below properties, traits or context");
  struct bytes ignored;
  if (r->value[R_source].n) rc = declare_text(&r->d, "source", r->value[R_source], SCHEMA_WORD_MAX, &rule->source);
  if (rc == 0 && r->value[R_why].n) rc = declare_text(&r->d, "why", r->value[R_why], 1000, &ignored);
  if (rc == 0 && r->value[R_on].n) rc = declare_on(&r->d, r->value[R_on]);
  rule->on = r->schema.on;
  rule->on_count = r->schema.on_count;
  return renamed(r, rc);
}

static int read_rule(struct quality *q, size_t number, struct bytes map, struct error *err) {
  struct reading r = {.rule = &q->rule[number]};
  struct error local;
  struct bytes name;
  r.d = (struct declaring){.arena = &q->arena, .err = err ? err : &local, .schema = &r.schema};
  snprintf(r.d.who, sizeof r.d.who, "#%zu", number + 1);
  if (mp_value_of(map).type != MP_MAP) return fail(&r, "a rule is a table with a name");
  struct mp m = mp_of(map);
  uint32_t pairs = mp_next(&m).count, seen = 0;
  for (uint32_t i = 0; i < pairs; i++) {
    size_t index;
    struct bytes key = mp_take(&m), value = mp_take(&m);
    int rc = declare_key(&r.d, "it", key, rule_keys, RULE_KEYS, &seen, &index);
    if (rc) return renamed(&r, rc);
    r.value[index] = value;
  }
  if (!r.value[R_name].n || !mp_as_str(r.value[R_name], &name)) return fail(&r, "it has no name");
  for (size_t i = 0; i < name.n; i++)
    if (!((name.p[i] >= 'a' && name.p[i] <= 'z') ||
          (i && ((name.p[i] >= '0' && name.p[i] <= '9') || name.p[i] == '_'))))
      name.n = 0;
  if (name.n == 0 || name.n > SCHEMA_NAME_MAX)
    return fail(&r, "a name begins with a-z and goes on with a-z, 0-9 and _");
  r.rule->name = arena_str(&q->arena, name);
  snprintf(r.d.who, sizeof r.d.who, "%s", r.rule->name);
  for (size_t i = 0; i < number; i++)
    if (strcmp(q->rule[i].name, r.rule->name) == 0) return fail(&r, "it is there twice");
  int rc = read_check(&r);
  if (rc == 0) rc = read_window(&r);
  return rc ? rc : read_rest(&r);
}

int quality_compile(struct bytes rules, struct quality **out, struct error *err) {
  struct quality *q = xcalloc(1, sizeof *q);
  uint32_t count = 0;
  struct mp m = {0};
  int rc = 0;
  arena_init(&q->arena);
  struct mp_value head = rules.n ? mp_value_of(rules) : (struct mp_value){.type = MP_ARRAY};
  if (head.type != MP_ARRAY && !(head.type == MP_MAP && head.count == 0))
    rc = error_set(err, ITD_EPOLICY, "quality: a list of rules is wanted");
  else if (rules.n)
    m = declare_list(rules, &count);
  if (rc == 0 && count > QUALITY_RULES_MAX)
    rc = error_set(err, ITD_EPOLICY, "quality: %u rules, at most %d are allowed", count, QUALITY_RULES_MAX);
  q->rule = xcalloc(count + 1, sizeof *q->rule);
  for (uint32_t i = 0; rc == 0 && i < count; i++) {
    pthread_mutex_init(&q->rule[i].lock, NULL);
    q->rule[i].window = INT64_MIN;
    q->count++;
    rc = read_rule(q, i, mp_take(&m), err);
  }
  if (rc)
    quality_free(q);
  else
    *out = q;
  return rc;
}

void quality_free(struct quality *q) {
  if (!q) return;
  for (size_t i = 0; i < q->count; i++) pthread_mutex_destroy(&q->rule[i].lock);
  free(q->rule);
  arena_deinit(&q->arena);
  free(q);
}

// ---- windows; with the rule's lock held ----

static void breach(struct rule *r, const char *what) {
  r->stats.breaches++;
  r->stats.is_breached = true;
  if (!r->is_said) log_line(LOG_WARN, "quality", "rule=%s what=%s", r->name, log_quote(what));
  r->is_said = true;
}

static double mean_before(const struct rule *r) {
  double sum = 0;
  for (unsigned i = 0; i < r->before_count; i++) sum += (double)r->before[i];
  return sum / (double)r->before_count;
}

// Judges a window that is over, of which `events` came.
static void judge_window(struct rule *r, uint64_t events) {
  char what[160];
  double n = (double)events;
  if (r->check == CHECK_AT_LEAST && n < r->bound) {
    snprintf(what, sizeof what, "%llu events in a window, at least %.15g are expected", (unsigned long long)events,
             r->bound);
    breach(r, what);
  } else if (r->check == CHECK_CHANGE && r->before_count) {
    double mean = mean_before(r);
    if (n > mean * r->bound || n * r->bound < mean) {
      snprintf(what, sizeof what, "%llu events in a window, %.1f in the mean of those before",
               (unsigned long long)events, mean);
      breach(r, what);
    }
  } else if (r->check == CHECK_NULLS && events >= QUALITY_NULLS_LEAST && (double)r->nulls > r->bound * n) {
    snprintf(what, sizeof what, "%llu of %llu events lack %.*s", (unsigned long long)r->nulls,
             (unsigned long long)events, (int)r->path.n, (const char *)r->path.p);
    breach(r, what);
  }
}

static void end_window(struct rule *r, uint64_t events) {
  r->is_said = false;
  if (r->is_whole) {
    r->stats.is_breached = false;
    r->stats.window_events = events;
    judge_window(r, events);
    memmove(r->before + 1, r->before, sizeof r->before - sizeof *r->before);
    r->before[0] = events;
    if (r->before_count < QUALITY_WINDOWS) r->before_count++;
  }
  r->is_whole = true;
  r->is_said = false;
  r->events = r->nulls = 0;
}

static void turn(struct rule *r, int64_t now_ms) {
  int64_t window = now_ms / r->window_ms;
  if (r->window == INT64_MIN || window < r->window - 2) { // the first, or a clock that was set back
    r->window = window;
    r->is_whole = false;
    r->events = r->nulls = 0;
  }
  if (window <= r->window) return; // shards' clocks of a turn may differ a little
  int64_t silent = window - r->window - 1;
  end_window(r, r->events);
  // Of a long silence the last windows are all that is remembered.
  for (int64_t i = 0; i < silent && i < QUALITY_WINDOWS; i++) end_window(r, 0);
  r->window = window;
}

void quality_turn(struct quality *q, int64_t now_ms) {
  for (size_t i = 0; i < q->count; i++) {
    struct rule *r = &q->rule[i];
    pthread_mutex_lock(&r->lock);
    turn(r, now_ms);
    pthread_mutex_unlock(&r->lock);
  }
}

// ---- an event ----

static bool is_about(const struct rule *r, const struct event *e) {
  struct bytes source;
  if (r->source.n && !(e->context.n && mp_find(e->context, BYTES_LIT("source"), &source) &&
                       mp_as_str(source, &source) && bytes_eq(source, r->source)))
    return false;
  return r->on_count == 0 || schema_on_meets(r->on, r->on_count, e);
}

static bool has_name(const struct rule *r, const struct event *e) {
  if (e->type != EVENT_TRACK) return true;
  for (uint32_t i = 0; i < r->name_count; i++)
    if (bytes_eq(r->names[i], e->name)) return true;
  return false;
}

static bool lacks_path(const struct rule *r, const struct event *e) {
  const struct bytes maps[SCHEMA_ROOTS] = {e->properties, e->traits, e->context};
  struct bytes value;
  for (int i = 0; i < SCHEMA_ROOTS; i++) {
    size_t n = strlen(schema_roots[i]);
    if (r->path.n <= n || memcmp(r->path.p, schema_roots[i], n) != 0 || r->path.p[n] != '.') continue;
    struct bytes rest = bytes_of(r->path.p + n + 1, r->path.n - n - 1);
    return !maps[i].n || !mp_find_path(maps[i], rest, &value) || value.p[0] == 0xc0;
  }
  return true;
}

// False: the event breaks the rule.
static bool count_event(struct rule *r, const struct event *e) {
  if (r->check == CHECK_AT_MOST && (double)(r->events + 1) > r->bound) {
    if (!r->refuses) r->events++;
    return false;
  }
  r->events++;
  if (r->check == CHECK_NULLS && lacks_path(r, e)) r->nulls++;
  return true;
}

static int judge_rule(struct rule *r, const struct schema_set *schemas, const struct event *e, int64_t received_ms,
                      struct error *err) {
  static const char *const what[] = {"its name is not among those that the rule allows", "no schema is for it",
                                     "more events than the rule allows came in a window"};
  bool ok = true;
  if (r->check == CHECK_NAMES) ok = has_name(r, e);
  if (r->check == CHECK_SCHEMA) ok = schema_covers(schemas, e);
  if (ok && r->check < CHECK_AT_MOST) return 0;
  if (received_ms != QUALITY_DRY) {
    pthread_mutex_lock(&r->lock);
    turn(r, received_ms);
    if (ok) ok = count_event(r, e);
    if (!ok) breach(r, what[r->check]);
    r->stats.refused += !ok && r->refuses;
    pthread_mutex_unlock(&r->lock);
  }
  if (ok || !r->refuses) return 0;
  return error_set(err, ITD_EQUALITY, "quality rule %s: %s%s", r->name, what[r->check],
                   r->check == CHECK_AT_MOST ? "; it is kept in quarantine, and can be replayed" : "");
}

int quality_judge(struct quality *q, const struct schema_set *schemas, const struct event *event, int64_t received_ms,
                  bool *by_traffic, struct error *err) {
  *by_traffic = false;
  for (size_t i = 0; i < q->count; i++) { // those that depend on the event alone first: the others count what passes
    struct rule *r = &q->rule[i];
    if (r->check >= CHECK_AT_MOST || !is_about(r, event)) continue;
    int rc = judge_rule(r, schemas, event, received_ms, err);
    if (rc) return rc;
  }
  for (size_t i = 0; i < q->count && received_ms != QUALITY_DRY; i++) {
    struct rule *r = &q->rule[i];
    if (r->check < CHECK_AT_MOST || !is_about(r, event)) continue;
    int rc = judge_rule(r, schemas, event, received_ms, err);
    *by_traffic = rc != 0;
    if (rc) return rc;
  }
  return 0;
}

size_t quality_count(const struct quality *q) { return q->count; }

struct quality_stats quality_stats(struct quality *q, size_t index) {
  CHECK(index < q->count);
  struct rule *r = &q->rule[index];
  pthread_mutex_lock(&r->lock);
  struct quality_stats stats = r->stats;
  pthread_mutex_unlock(&r->lock);
  stats.name = r->name;
  return stats;
}
