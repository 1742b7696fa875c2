#include "policy/trace.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/pmath.h"
#include "policy/parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FACTS_MAX 4 // in one reason; the rest is in `looked`

struct tracer {
  const struct policy *policy;
  const struct artifact *a;
  struct arena arena; // of the lists below
  struct bytes *rule, *ask;
  size_t rules, asks;
  uint32_t seen, truths, log, log_room;
  const double *in, *out;
  struct bytes texts[FEATURES_MAX];
  int8_t *outcome; // of each rule, as logged: 1, 0; -1: not logged
  int steps;       // transitions taken
  bool tried;      // some transition was looked at
};

// ---- the tables, as scripts/tracing.lua wrote them ----

static struct bytes get(struct bytes map, const char *key) {
  struct bytes value = {0};
  return mp_find(map, bytes_str(key), &value) && mp_value_of(value).type != MP_NIL ? value : (struct bytes){0};
}

static struct bytes text_of(struct bytes map, const char *key) {
  struct bytes value = get(map, key), text = {0};
  return value.n && mp_as_str(value, &text) ? text : (struct bytes){0};
}

static double number_of(struct bytes map, const char *key) {
  struct bytes value = get(map, key);
  double number;
  return value.n && mp_as_number(value, &number) ? number : NAN;
}

static bool is_kind(struct bytes map, const char *kind) { return bytes_is(text_of(map, "kind"), kind); }

static struct bytes *list_of(struct arena *arena, struct bytes list, size_t *count) {
  *count = 0;
  if (!list.n || mp_value_of(list).type != MP_ARRAY) return NULL;
  struct mp m = mp_of(list);
  *count = mp_next(&m).count;
  struct bytes *items = arena_alloc(arena, (*count + 1) * sizeof *items);
  for (size_t i = 0; i < *count; i++) items[i] = mp_take(&m);
  return items;
}

// The first of `count` places of the output; false: they do not lie in it.
static bool run_of(const struct tracer *t, const char *key, size_t count, uint32_t *at) {
  double x = number_of(t->a->trace, key);
  if (!(x >= 0) || x + (double)count > t->a->shape.out_count || x != pm_floor(x)) return false;
  *at = (uint32_t)x;
  return true;
}

static int open_tracer(struct tracer *t, const struct policy *policy, struct error *err) {
  *t = (struct tracer){.policy = policy, .a = policy->artifact};
  arena_init(&t->arena);
  if (!t->a->trace.n) return error_set(err, ITD_ENOTFOUND, "this version of the policy was compiled without a trace");
  t->rule = list_of(&t->arena, get(t->a->trace, "rules"), &t->rules);
  t->ask = list_of(&t->arena, get(t->a->trace, "asks"), &t->asks);
  double room = number_of(t->a->trace, "log_room");
  t->log_room = room >= 0 && room < ARTIFACT_DOUBLES_MAX ? (uint32_t)room : 0;
  bool fits = t->rule && t->ask && t->asks == t->a->count[POLICY_CONDITIONS] && run_of(t, "seen", t->asks, &t->seen) &&
              run_of(t, "truths", t->asks, &t->truths) && run_of(t, "log", t->log_room + 1u, &t->log);
  if (!fits) return error_set(err, ITD_EPOLICY, "compiled policy: trace does not fit its layout");
  t->outcome = arena_alloc(&t->arena, t->rules + 1);
  memset(t->outcome, -1, t->rules + 1);
  return 0;
}

// ---- what was read ----

static void put_exact(double x, struct buf *out) {
  bool is_whole = x == pm_floor(x) && x > -9e15 && x < 9e15 && !(x == 0 && signbit(x));
  if (isnan(x))
    mp_put_nil(out);
  else if (is_whole)
    mp_put_int(out, (int64_t)x);
  else
    mp_put_float(out, x);
}

void trace_put_read(const struct policy_vm *vm, const struct policy_state *before, const struct bytes *texts,
                    struct buf *out) {
  const struct artifact *a = vm->policy->artifact;
  const double *in = vm_in(vm->vm);
  uint32_t count = 0;
  for (size_t i = 0; i < a->feature_count; i++) count += texts[i].n > 0;
  mp_put_array(out, 3);
  mp_put_array(out, a->shape.in_count);
  for (uint32_t i = 0; i < a->shape.in_count; i++) put_exact(in[i], out);
  mp_put_array(out, (uint32_t)a->memory_count);
  for (size_t i = 0; i < a->memory_count; i++) put_exact(before->memory[i], out);
  mp_put_array(out, count);
  for (size_t i = 0; i < a->feature_count; i++) {
    if (!texts[i].n) continue;
    mp_put_array(out, 2);
    mp_put_int(out, (int64_t)i);
    mp_put_str(out, texts[i]);
  }
}

static bool read_numbers(struct mp *m, size_t count, double *numbers) {
  struct mp_value head = mp_next(m);
  if (head.type != MP_ARRAY || head.count != count) return false;
  for (size_t i = 0; i < count; i++) {
    struct bytes value = mp_take(m);
    if (mp_value_of(value).type == MP_NIL)
      numbers[i] = NAN;
    else if (!mp_as_number(value, &numbers[i]))
      return false;
  }
  return true;
}

static bool read_texts(struct mp *m, size_t features, struct bytes *texts) {
  struct mp_value head = mp_next(m);
  if (head.type != MP_ARRAY) return false;
  for (uint32_t i = 0; i < head.count; i++) {
    struct bytes pair = mp_take(m);
    struct mp p = mp_of(pair);
    struct mp_value two = mp_next(&p);
    if (two.type != MP_ARRAY || two.count != 2) return false;
    struct mp_value at = mp_next(&p), text = mp_next(&p);
    if (at.type != MP_INT || at.i < 0 || at.i >= (int64_t)features || text.type != MP_STR) return false;
    texts[at.i] = text.s;
  }
  return true;
}

// Into the vm's arrays, as the call found them.
static int restore(struct tracer *t, struct policy_vm *vm, struct bytes read, struct error *err) {
  static const struct mp_limits limits = {.depth_max = 4, .objects_max = 1 << 18, .bytes_max = 4u << 20};
  const struct artifact *a = t->a;
  size_t length = 0;
  bool is_good = mp_scan(read, &limits, &length, NULL) == 1 && length == read.n;
  struct mp m = mp_of(read);
  if (is_good) {
    struct mp_value head = mp_next(&m);
    is_good = head.type == MP_ARRAY && head.count == 3 && read_numbers(&m, a->shape.in_count, vm_in(vm->vm)) &&
              read_numbers(&m, a->memory_count, vm_memory(vm->vm)) && read_texts(&m, a->feature_count, t->texts);
  }
  if (!is_good) return error_set(err, ITD_ECORRUPT, "what the decision read is not kept as this policy reads it");
  double *out = vm_out(vm->vm);
  for (size_t i = 0; i < a->shape.out_count; i++) out[i] = NAN;
  vm_texts(vm->vm, t->texts, a->feature_count);
  t->in = vm_in(vm->vm);
  t->out = out;
  return 0;
}

// ---- conditions ----

// 1, 0; -1: not known.
static int truth_of_leaf(const struct tracer *t, size_t n) {
  double x = t->out[t->truths + n];
  if (isnan(x)) x = t->out[t->a->out[OUT_CONDITIONS] + n];
  return isnan(x) ? -1 : x == 1;
}

static bool is_leaf(const struct tracer *t, struct bytes shape, size_t *n) {
  struct mp_value v = mp_value_of(shape);
  if (v.type != MP_INT || v.i < 0 || v.i >= (int64_t)t->asks) return false;
  *n = (size_t)v.i;
  return true;
}

static struct mp items_of(struct bytes shape, uint32_t *count) {
  struct bytes items = get(shape, "items");
  struct mp m = mp_of(items);
  *count = items.n && mp_value_of(items).type == MP_ARRAY ? mp_next(&m).count : 0;
  return m;
}

static int truth_of(const struct tracer *t, struct bytes shape) {
  size_t n;
  if (!shape.n) return 1;
  if (is_leaf(t, shape, &n)) return truth_of_leaf(t, n);
  bool is_all = is_kind(shape, "all"), is_none = is_kind(shape, "none"), is_open = false;
  uint32_t count;
  struct mp m = items_of(shape, &count);
  for (uint32_t i = 0; i < count; i++) {
    int truth = truth_of(t, mp_take(&m));
    if (truth == (is_all ? 0 : 1)) return is_all ? 0 : !is_none;
    is_open |= truth < 0;
  }
  return is_open ? -1 : is_all || is_none;
}

// How long the lead has been in the stage that a timer counts in: in one that it came into in this decision, no time.
static double waited(const struct tracer *t, struct bytes ask) {
  bool was_there = number_of(ask, "from") == t->in[t->a->in[IN_STAGE]];
  return was_there ? t->in[t->a->in[IN_NOW]] - t->in[t->a->in[IN_SINCE]] : 0;
}

static double seen_of(const struct tracer *t, size_t n) {
  return is_kind(t->ask[n], "timer") ? waited(t, t->ask[n]) : t->out[t->seen + n];
}

// The part of its bound by which a number lies on the other side of it.
static double gap(double value, double bound) {
  double scale = fabs(bound) > 1 ? fabs(bound) : 1;
  return fabs(value - bound) / scale;
}

static double leaf_distance(const struct tracer *t, size_t n, bool wanted) {
  struct bytes ask = t->ask[n];
  int truth = truth_of_leaf(t, n);
  if (truth == wanted) return 0;
  bool is_number = is_kind(ask, "compare") || is_kind(ask, "timer");
  double value = seen_of(t, n), bound = number_of(ask, "bound"), upper = number_of(ask, "upper");
  if (!is_number || isnan(value)) return INFINITY;
  if (isnan(upper)) return gap(value, bound);
  return fmin(gap(value, bound), gap(value, upper));
}

// How much has to change for a shape to come out as wanted; INFINITY: no number tells.
static double distance_to(const struct tracer *t, struct bytes shape, bool wanted) {
  size_t n;
  if (!shape.n) return wanted ? 0 : INFINITY;
  if (is_leaf(t, shape, &n)) return leaf_distance(t, n, wanted);
  bool each = is_kind(shape, "all") || is_kind(shape, "none") ? wanted : !wanted; // each item must come out so
  bool item = is_kind(shape, "none") ? !wanted : wanted;
  double most = 0, least = INFINITY;
  uint32_t count;
  struct mp m = items_of(shape, &count);
  for (uint32_t i = 0; i < count; i++) {
    double one = distance_to(t, mp_take(&m), item);
    most = fmax(most, one);
    least = fmin(least, one);
  }
  return each ? most : least;
}

// ---- in words ----

static void say_span(double ms, struct buf *out) {
  static const struct {
    const char *unit;
    double ms;
  } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}};
  int said = 0;
  if (ms < 0) buf_append_u8(out, '-'), ms = -ms;
  for (size_t i = 0; i < 4 && said < 2; i++) {
    double whole = pm_floor(ms / units[i].ms);
    if (whole < 1) {
      if (said) break;
      continue;
    }
    buf_printf(out, "%s%.0f%s", said++ ? " " : "", whole, units[i].unit);
    ms -= whole * units[i].ms;
  }
  if (!said) buf_printf(out, "%.0f ms", ms);
}

static void say_number(double x, bool is_ms, struct buf *out) {
  char text[48];
  if (is_ms) {
    say_span(x, out);
    return;
  }
  int n = snprintf(text, sizeof text, fabs(x) < 1e12 ? "%.3f" : "%.6g", x);
  if (strchr(text, '.')) {
    while (n > 0 && text[n - 1] == '0') text[--n] = 0;
    if (n > 0 && text[n - 1] == '.') text[--n] = 0;
  }
  buf_append_str(out, strcmp(text, "-0") == 0 ? "0" : text);
}

static const char *label_of(const struct tracer *t, size_t n) { return t->a->entry[POLICY_CONDITIONS][n].name; }

static const struct feature_info *feature_of(const struct tracer *t, double index) {
  if (!(index >= 0) || index >= (double)feature_count(t->policy->features)) return NULL;
  return feature_info(t->policy->features, (size_t)index);
}

// Whether a leaf looks at something personal: then no number of it is shown.
static bool is_personal(const struct tracer *t, struct bytes ask) {
  struct bytes reads = get(ask, "reads");
  if (!reads.n || mp_value_of(reads).type != MP_ARRAY) return false;
  struct mp m = mp_of(reads);
  for (uint32_t i = mp_next(&m).count; i > 0; i--) {
    double at = NAN;
    if (!mp_as_number(mp_take(&m), &at)) continue;
    const struct feature_info *info = feature_of(t, at);
    if (info && info->is_personal) return true;
  }
  return false;
}

static void say_bound(struct bytes ask, bool holds, struct buf *out) {
  static const struct {
    const char *op, *so, *wanting;
  } words[] = {{"at_least", "at least ", "needs "},        {"above", "above ", "needs more than "},
               {"at_most", "at most ", "may be at most "}, {"under", "under ", "needs to be under "},
               {"is", "exactly ", "needs to be "},         {"within", "within ", "needs to be within "}};
  struct bytes op = text_of(ask, "op");
  bool is_ms = mp_value_of(get(ask, "ms").n ? get(ask, "ms") : bytes_of("\xc2", 1)).b;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (bytes_is(op, words[i].op)) buf_append_str(out, holds ? words[i].so : words[i].wanting);
  say_number(number_of(ask, "bound"), is_ms, out);
  if (isnan(number_of(ask, "upper"))) return;
  buf_append_str(out, " to ");
  say_number(number_of(ask, "upper"), is_ms, out);
}

static void say_compare(const struct tracer *t, size_t n, bool holds, struct buf *out) {
  struct bytes ask = t->ask[n];
  double value = seen_of(t, n);
  bool is_ms = get(ask, "ms").n && mp_value_of(get(ask, "ms")).b;
  buf_append_bytes(out, text_of(ask, "of"));
  if (isnan(value)) {
    buf_append_str(out, " is not known");
    return;
  }
  if (is_personal(t, ask)) {
    buf_append_str(out, holds ? ": " : " does not: ");
  } else {
    buf_append_str(out, " is ");
    say_number(value, is_ms, out);
    buf_append_str(out, ", ");
  }
  say_bound(ask, holds, out);
}

static void say_truth(const struct tracer *t, size_t n, struct buf *out) {
  buf_append_bytes(out, text_of(t->ask[n], "of"));
  double value = seen_of(t, n);
  if (isnan(value)) {
    buf_append_str(out, " is not known");
  } else if (is_personal(t, t->ask[n])) {
    buf_append_str(out, value == 0 ? " is 0" : " is not 0");
  } else {
    buf_append_str(out, " is ");
    say_number(value, false, out);
  }
}

static void say_timer(const struct tracer *t, size_t n, bool holds, struct buf *out) {
  buf_append_str(out, label_of(t, n));
  if (holds) return;
  buf_append_str(out, ": ");
  say_span(waited(t, t->ask[n]), out);
  buf_append_str(out, " so far");
}

// A text that is not as it should be, and what it is.
static void say_test(const struct tracer *t, size_t n, bool holds, struct buf *out) {
  struct bytes reads = get(t->ask[n], "reads"), of = text_of(t->ask[n], "of");
  struct mp m = mp_of(reads);
  double at = NAN;
  bool has_one = reads.n && mp_value_of(reads).type == MP_ARRAY && mp_next(&m).count == 1;
  const struct feature_info *info = has_one && mp_as_number(mp_take(&m), &at) ? feature_of(t, at) : NULL;
  if (holds || !info || !info->is_text || info->is_personal || !t->texts[(size_t)at].n) {
    if (!holds && info && info->is_text && !t->texts[(size_t)at].n)
      buf_printf(out, "%.*s is not known", (int)of.n, (const char *)of.p);
    else
      buf_printf(out, "%s%s", holds ? "" : "not so: ", label_of(t, n));
    return;
  }
  struct bytes text = t->texts[(size_t)at];
  buf_printf(out, "%s is '%.*s', not so: %s", info->name, (int)text.n, (const char *)text.p, label_of(t, n));
}

// What a leaf found.
static void say_fact(const struct tracer *t, size_t n, struct buf *out) {
  bool holds = truth_of_leaf(t, n) == 1;
  if (is_kind(t->ask[n], "compare"))
    say_compare(t, n, holds, out);
  else if (is_kind(t->ask[n], "truth"))
    say_truth(t, n, out);
  else if (is_kind(t->ask[n], "test"))
    say_test(t, n, holds, out);
  else if (is_kind(t->ask[n], "timer"))
    say_timer(t, n, holds, out);
  else
    buf_printf(out, "%s%s", holds ? "" : "not so: ", label_of(t, n));
}

struct facts {
  int count;
  bool must_not; // what holds should not
};

// The leaves by which a shape came out as it did.
static void say_shape(const struct tracer *t, struct bytes shape, struct facts *facts, struct buf *out) {
  size_t n;
  if (!shape.n) return;
  if (is_leaf(t, shape, &n)) {
    if (facts->count > FACTS_MAX) return;
    if (facts->count) buf_append_str(out, facts->count == FACTS_MAX ? "; …" : "; ");
    if (facts->count++ == FACTS_MAX) return;
    if (facts->must_not && truth_of_leaf(t, n) == 1) buf_append_str(out, "must not be so: ");
    say_fact(t, n, out);
    return;
  }
  bool is_all = is_kind(shape, "all"), is_none = is_kind(shape, "none");
  int truth = truth_of(t, shape);
  bool was = facts->must_not;
  if (is_none) facts->must_not = !was;
  uint32_t count;
  struct mp m = items_of(shape, &count);
  for (uint32_t i = 0; i < count; i++) {
    struct bytes item = mp_take(&m);
    int one = truth_of(t, item);
    // Of an `all` that failed those that failed, of an `any` that holds those that hold: the others say nothing.
    bool tells = is_all ? truth == 1 || one != 1 : is_none ? truth == 1 || one != 0 : truth != 1 || one == 1;
    if (tells) say_shape(t, item, facts, out);
  }
  facts->must_not = was;
}

// ---- a rule ----

static double value_at(const struct tracer *t, struct bytes rule) {
  double at = number_of(rule, "at");
  return at >= 0 && at < t->a->shape.out_count ? t->out[(size_t)at] : NAN;
}

static void say_points(double milli, struct buf *out) {
  say_number(milli / 1000, false, out);
  buf_append_str(out, milli == 1000 ? " point" : " points");
}

static const char *entry_name(const struct tracer *t, enum policy_table table, double at) {
  return at >= 0 && at < (double)t->a->count[table] ? t->a->entry[table][(size_t)at].name : "none";
}

static double told(const struct tracer *t, enum artifact_out slot) { return t->out[t->a->out[slot]]; }

static const char *const held_words[POLICY_HELD_COUNT] = {
    [POLICY_HELD_HOLD_OUT] = "the lead is of the share on whom nothing is done",
    [POLICY_HELD_PER_LEAD] = "enough was done lately",
    [POLICY_HELD_NOT_ELIGIBLE] = "the lead is left out",
    [POLICY_HELD_MODE] = "the policy's mode does not act",
    [POLICY_HELD_CONSENT] = "there is no consent",
    [POLICY_HELD_COOL_DOWN] = "it was made too lately",
    [POLICY_HELD_AT_MOST] = "it was made often enough",
    [POLICY_HELD_PER_CHANNEL] = "enough was done on its channel",
    [POLICY_HELD_QUIET] = "its channel is quiet at this hour",
    [POLICY_HELD_EXPLORED] = "a draw chose another one",
    [POLICY_HELD_SWITCH] = "the workspace is switched off from acting",
};

static void say_offer(const struct tracer *t, struct bytes rule, bool is_open, struct buf *out) {
  double worth = value_at(t, rule), taken = told(t, OUT_ACTION);
  if (!is_open) return;
  if (isnan(worth)) {
    buf_append_str(out, "what it is worth is not known");
    return;
  }
  buf_append_str(out, "worth ");
  say_number(worth, false, out);
  if (taken == number_of(rule, "place")) return;
  double own = t->out[t->a->out[OUT_OFFERS_HELD] + (size_t)number_of(rule, "place") - 1];
  if (told(t, OUT_HELD) > 0)
    buf_append_str(out, "; nothing is done now, see limits");
  else if (own > 0 && own < POLICY_HELD_COUNT)
    buf_printf(out, "; held back: %s", held_words[(int)own]);
  else
    buf_printf(out, "; '%s' is worth %.15g", entry_name(t, POLICY_ACTIONS, taken), told(t, OUT_UTILITY));
}

static const char *why_not_reached(const struct tracer *t, struct bytes rule) {
  double held = told(t, OUT_HELD);
  if (is_kind(rule, "eligible")) return "an earlier condition has left the lead out already";
  if (held == POLICY_HELD_NOT_ELIGIBLE) return held_words[POLICY_HELD_NOT_ELIGIBLE];
  if (is_kind(rule, "transition")) {
    bool was_there = false;
    for (size_t i = 0; i < t->rules; i++)
      was_there |= is_kind(t->rule[i], "transition") && t->outcome[i] >= 0 &&
                   number_of(t->rule[i], "from") == number_of(rule, "from");
    if (was_there) return "an earlier transition was taken";
    return t->tried ? "the lead was in another stage" : "the journey rests: see limits";
  }
  if (is_kind(rule, "route")) {
    if (told(t, OUT_ROUTE) >= 0) return "another rule gave the owner";
    return t->steps && t->in[t->a->in[IN_MANUAL]] == 1 ? "an owner set by hand is kept"
                                                       : "no stage that it is for was entered";
  }
  if (is_kind(rule, "offer"))
    return held == POLICY_HELD_MODE || held == POLICY_HELD_SWITCH ? held_words[(int)held] : "it is for other stages";
  return "";
}

// Of a lead that has a rule tried: whether it did something.
static bool has_fired(const struct tracer *t, size_t r, bool came_out) {
  struct bytes rule = t->rule[r];
  double value = value_at(t, rule), held = told(t, OUT_HELD);
  if (is_kind(rule, "channel")) return value < 0 || value > 0;
  if (is_kind(rule, "custom")) return value < 0 || value > 0;
  if (is_kind(rule, "limits")) return held > 0;
  if (is_kind(rule, "cap") || is_kind(rule, "floor")) return came_out && (value < 0 || value > 0);
  if (is_kind(rule, "evidence")) return value < 0 || value > 0;
  if (is_kind(rule, "route")) return came_out && told(t, OUT_ROUTE) == number_of(rule, "place");
  if (is_kind(rule, "offer")) return came_out && told(t, OUT_ACTION) == number_of(rule, "place");
  return came_out;
}

static void say_why(const struct tracer *t, size_t r, bool came_out, bool is_first_step, struct buf *out) {
  struct bytes rule = t->rule[r], shape = get(rule, "when");
  double value = value_at(t, rule);
  struct facts facts = {0};
  size_t start = out->n;
  if (is_kind(rule, "channel")) {
    if (!has_fired(t, r, came_out)) return;
    buf_append_str(out, "capped at ");
    say_number(number_of(rule, "bound"), false, out);
    buf_append_str(out, ": takes ");
    say_points(-value, out);
    return;
  }
  if (is_kind(rule, "limits")) {
    double held = told(t, OUT_HELD);
    if (held > 0 && held < POLICY_HELD_COUNT) buf_append_str(out, held_words[(int)held]);
    return;
  }
  if (is_kind(rule, "transition") && !is_first_step && !came_out && truth_of(t, shape) != 0) {
    buf_append_str(out, "an event or a timer counts for the first step alone");
    return;
  }
  say_shape(t, shape, &facts, out);
  if (is_kind(rule, "evidence") && !came_out && value != 0 && !isnan(value)) {
    buf_append_str(out, out->n > start ? "; still counts: " : "");
    say_points(value, out);
  }
  if (came_out && (is_kind(rule, "cap") || is_kind(rule, "floor")))
    buf_printf(out, "%s%s", out->n > start ? "; " : "",
               value < 0   ? "takes what is above"
               : value > 0 ? "gives what is missing"
                           : "the score is within it anyway");
  if (is_kind(rule, "route") && came_out && !has_fired(t, r, came_out))
    buf_printf(out, "%snobody of the team is there for this lead", out->n > start ? "; " : "");
  if (is_kind(rule, "offer")) {
    if (out->n > start && came_out) buf_append_str(out, "; ");
    say_offer(t, rule, came_out, out);
  }
}

static void put_text(struct buf *out, const char *key, struct bytes text) {
  mp_put_cstr(out, key);
  mp_put_str(out, text);
}

void policy_put_value(const struct feature_info *info, double value, struct bytes text, struct buf *out) {
  bool known = info->is_text ? text.n > 0 : !isnan(value);
  if (!known)
    mp_put_nil(out);
  else if (info->is_personal)
    mp_put_bool(out, true);
  else if (info->is_text)
    mp_put_str(out, text);
  else if (value == pm_floor(value) && value > -9e15 && value < 9e15)
    mp_put_int(out, (int64_t)value);
  else
    mp_put_float(out, value);
}

static void put_features(const struct tracer *t, struct bytes reads, struct buf *out) {
  struct buf pairs = {0};
  uint32_t count = 0;
  struct mp m = mp_of(reads);
  for (uint32_t i = reads.n && mp_value_of(reads).type == MP_ARRAY ? mp_next(&m).count : 0; i > 0; i--) {
    double at = NAN;
    const struct feature_info *info = mp_as_number(mp_take(&m), &at) ? feature_of(t, at) : NULL;
    if (!info) continue;
    mp_put_cstr(&pairs, info->name);
    policy_put_value(info, t->in[t->a->in[IN_FEATURES] + (size_t)at], t->texts[(size_t)at], &pairs);
    count++;
  }
  mp_put_cstr(out, "features");
  mp_put_map(out, count);
  buf_append_bytes(out, buf_bytes(&pairs));
  buf_deinit(&pairs);
}

static void put_leaf(const struct tracer *t, size_t n, struct buf *out) {
  struct bytes ask = t->ask[n], bound = get(ask, "bound"), upper = get(ask, "upper");
  double mark = t->out[t->a->out[OUT_CONDITIONS] + n], value = seen_of(t, n);
  mp_put_map(out, 6);
  put_text(out, "name", bytes_str(label_of(t, n)));
  mp_put_cstr(out, "holds");
  if (isnan(mark))
    mp_put_nil(out);
  else
    mp_put_bool(out, mark == 1);
  mp_put_cstr(out, "value");
  if (!isnan(value) && is_personal(t, ask))
    mp_put_bool(out, true);
  else
    put_exact(value, out);
  mp_put_cstr(out, "needs");
  if (upper.n) mp_put_array(out, 2);
  if (bound.n)
    buf_append_bytes(out, bound);
  else
    mp_put_nil(out);
  buf_append_bytes(out, upper);
  mp_put_cstr(out, "unit");
  if (get(ask, "ms").n && mp_value_of(get(ask, "ms")).b)
    mp_put_cstr(out, "ms");
  else
    mp_put_nil(out);
  put_features(t, get(ask, "reads"), out);
}

// Appends the leaves below a shape, and how many.
static void gather(const struct tracer *t, struct bytes shape, uint32_t *count, struct buf *leaves) {
  size_t n;
  if (!shape.n) return;
  if (is_leaf(t, shape, &n)) {
    put_leaf(t, n, leaves);
    ++*count;
    return;
  }
  uint32_t items;
  struct mp m = items_of(shape, &items);
  for (uint32_t i = 0; i < items; i++) gather(t, mp_take(&m), count, leaves);
}

static void put_looked(const struct tracer *t, struct bytes rule, struct buf *out) {
  struct buf leaves = {0};
  uint32_t count = 0;
  gather(t, get(rule, "when"), &count, &leaves);
  if (get(rule, "reads").n) { // a custom function's
    mp_put_map(&leaves, 1);
    put_features(t, get(rule, "reads"), &leaves);
    count++;
  }
  mp_put_cstr(out, "looked");
  mp_put_array(out, count);
  buf_append_bytes(out, buf_bytes(&leaves));
  buf_deinit(&leaves);
}

static double distance_of(const struct tracer *t, size_t r, bool is_first_step) {
  struct bytes rule = t->rule[r];
  if (is_kind(rule, "offer") && t->outcome[r] == 1) { // it was open, and another was worth more
    return told(t, OUT_HELD) > 0 ? INFINITY : gap(value_at(t, rule), told(t, OUT_UTILITY));
  }
  if (is_kind(rule, "eligible") || !get(rule, "when").n) return INFINITY;
  if (is_kind(rule, "transition") && !is_first_step && t->outcome[r] == 0 && truth_of(t, get(rule, "when")) != 0)
    return INFINITY;
  return distance_to(t, get(rule, "when"), true);
}

// `step` 0: none. `came_out`: 1, 0, -1: was not reached.
static void put_rule(const struct tracer *t, size_t r, int step, int came_out, struct buf *out) {
  struct bytes rule = t->rule[r];
  bool is_reached = came_out >= 0, fired = is_reached && has_fired(t, r, came_out == 1);
  struct buf why = {0};
  if (is_reached)
    say_why(t, r, came_out == 1, step <= 1, &why);
  else
    buf_append_str(&why, why_not_reached(t, rule));
  double distance = fired || !is_reached ? INFINITY : distance_of(t, r, step <= 1);
  mp_put_map(out, 11);
  put_text(out, "kind", text_of(rule, "kind"));
  put_text(out, "name", text_of(rule, "name"));
  put_text(out, "why", text_of(rule, "why"));
  put_text(out, "path", text_of(rule, "path"));
  mp_put_cstr(out, "line");
  put_exact(number_of(rule, "line"), out);
  mp_put_cstr(out, "step");
  put_exact(step ? (double)step : (double)NAN, out);
  put_text(out, "outcome", bytes_str(fired ? "fired" : is_reached ? "no" : "not_reached"));
  put_text(out, "reason", buf_bytes(&why));
  mp_put_cstr(out, "value");
  put_exact(value_at(t, rule), out);
  mp_put_cstr(out, "distance");
  put_exact(isfinite(distance) ? distance : NAN, out);
  put_looked(t, rule, out);
  buf_deinit(&why);
}

// ---- all of them ----

// What the log says at `i`: the rule and what came out; false: nothing that can be.
static bool logged(const struct tracer *t, size_t i, size_t *rule, bool *holds) {
  double x = t->out[t->log + 1 + i];
  if (!(x >= 0) || x >= (double)(2 * t->rules) || x != pm_floor(x)) return false;
  *rule = (size_t)x / 2;
  *holds = (size_t)x % 2 == 1;
  return true;
}

static size_t log_count(const struct tracer *t) {
  double count = t->out[t->log];
  return count >= 0 && count <= t->log_room ? (size_t)count : 0;
}

static void read_log(struct tracer *t) {
  size_t rule;
  bool holds;
  for (size_t i = 0; i < log_count(t); i++) {
    if (!logged(t, i, &rule, &holds)) continue;
    if (t->outcome[rule] != 1) t->outcome[rule] = holds;
    t->tried |= is_kind(t->rule[rule], "transition");
    t->steps += holds && is_kind(t->rule[rule], "transition");
  }
  for (size_t r = 0; r < t->rules; r++) { // those that have no test of their own are always reached
    bool is_plain = is_kind(t->rule[r], "custom") || is_kind(t->rule[r], "channel");
    if (is_plain || is_kind(t->rule[r], "limits")) t->outcome[r] = 1;
  }
}

// Transitions in the order in which they were tried, step by step.
static uint32_t put_tried(const struct tracer *t, struct buf *out) {
  size_t rule;
  bool holds;
  uint32_t count = 0;
  int step = 1;
  for (size_t i = 0; i < log_count(t); i++) {
    if (!logged(t, i, &rule, &holds) || !is_kind(t->rule[rule], "transition")) continue;
    put_rule(t, rule, step, holds, out);
    step += holds;
    count++;
  }
  return count;
}

static void put_rules(const struct tracer *t, struct buf *out) {
  struct buf rules = {0};
  uint32_t count = 0;
  bool tried = false;
  for (size_t r = 0; r < t->rules; r++) {
    bool is_transition = is_kind(t->rule[r], "transition");
    if (is_transition && !tried) count += put_tried(t, &rules);
    tried |= is_transition;
    if (is_transition && t->outcome[r] >= 0) continue;
    put_rule(t, r, 0, t->outcome[r], &rules);
    count++;
  }
  mp_put_array(out, count);
  buf_append_bytes(out, buf_bytes(&rules));
  buf_deinit(&rules);
}

int trace_put(struct policy_vm *vm, struct bytes read, struct buf *out, struct error *err) {
  struct tracer t;
  int status = open_tracer(&t, vm->policy, err);
  if (status == 0) status = restore(&t, vm, read, err);
  if (status == 0) status = vm_call(vm->vm, true, err);
  if (status == 0) {
    read_log(&t);
    put_rules(&t, out);
  }
  arena_deinit(&t.arena);
  return status;
}

// ---- what they cost ----

struct costs {
  uint64_t *once, *sum, plain_ns, traced_ns; // of each rule and, behind them, of a tick
  size_t count;
  uint32_t runs; // in the sums
};

// One call, traced or not; *took_ns: of the call alone.
static int run_once(struct tracer *t, struct policy_vm *vm, struct bytes read, bool is_traced, uint64_t *took_ns,
                    struct error *err) {
  int status = restore(t, vm, read, err);
  uint64_t before_ns = clock_mono_ns();
  if (status == 0) status = vm_call(vm->vm, is_traced, err);
  *took_ns = clock_mono_ns() - before_ns;
  return status;
}

// A run that was interrupted, or that the compiler took for itself, says nothing: it takes far longer than the shortest.
static int run_traced(struct tracer *t, struct policy_vm *vm, struct bytes read, bool counts, struct costs *c,
                      struct error *err) {
  uint64_t took_ns;
  memset(c->once, 0, c->count * sizeof *c->once);
  vm_time(vm->vm, c->once, c->count);
  int status = run_once(t, vm, read, true, &took_ns, err);
  vm_time(vm->vm, NULL, 0);
  if (took_ns < c->traced_ns) c->traced_ns = took_ns;
  if (!counts || took_ns > c->traced_ns * 3 / 2) return status;
  for (size_t r = 0; r < c->count; r++) c->sum[r] += c->once[r];
  c->runs++;
  return status;
}

static double cost_of(const struct costs *c, size_t r) {
  if (!c->runs || !c->sum[r]) return 0;
  double ns = ((double)c->sum[r] - (double)c->sum[c->count - 1]) / c->runs;
  return ns > 0 ? ns : 0;
}

static void put_costs(const struct tracer *t, const struct costs *c, struct buf *out) {
  double total_ns = 0;
  for (size_t r = 0; r < t->rules; r++) total_ns += cost_of(c, r);
  mp_put_map(out, 4);
  mp_put_cstr(out, "runs");
  mp_put_uint(out, c->runs);
  mp_put_cstr(out, "rules_ns");
  mp_put_float(out, total_ns);
  mp_put_cstr(out, "plain_ns");
  mp_put_uint(out, c->plain_ns);
  mp_put_cstr(out, "rules");
  mp_put_array(out, (uint32_t)t->rules);
  for (size_t r = 0; r < t->rules; r++) {
    mp_put_map(out, 3);
    put_text(out, "kind", text_of(t->rule[r], "kind"));
    put_text(out, "name", text_of(t->rule[r], "name"));
    mp_put_cstr(out, "ns");
    mp_put_float(out, cost_of(c, r));
  }
}

int trace_put_times(struct policy_vm *vm, struct bytes read, struct buf *out, struct error *err) {
  struct tracer t;
  int status = open_tracer(&t, vm->policy, err);
  struct costs c = {.plain_ns = UINT64_MAX, .traced_ns = UINT64_MAX, .count = t.rules + 1};
  uint64_t took_ns;
  c.once = arena_alloc(&t.arena, c.count * sizeof *c.once);
  c.sum = arena_alloc(&t.arena, c.count * sizeof *c.sum);
  memset(c.sum, 0, c.count * sizeof *c.sum);
  for (int i = 0; status == 0 && i < TRACE_RUNS; i++) {
    status = run_once(&t, vm, read, false, &took_ns, err);
    if (took_ns < c.plain_ns) c.plain_ns = took_ns;
  }
  for (int i = 0; status == 0 && i < 2 * TRACE_RUNS; i++) // the first half warms up
    status = run_traced(&t, vm, read, i >= TRACE_RUNS, &c, err);
  if (status == 0) put_costs(&t, &c, out);
  arena_deinit(&t.arena);
  return status;
}
