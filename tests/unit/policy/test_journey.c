// Journeys from the policy's text to the state, through the real Lua side: published cases, and random machines against the algorithm of
// SCXML's appendix D, which works on sets of stages. SEED repeats a run, ROUNDS makes it longer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "journey_cases.h"
#include "policy/journey.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STAGES = 40, GOES = 16, FEATURES = 4 };

// ---- a machine, as the notation says it ----
struct go {
  char event[24]; // "" none, "e+f"
  int to, at;     // at: asks for that stage; -1
  int feature;    // asks whether this one is 1; -1
  bool resumes;
};
struct stage {
  char name[16];
  int parent, start, go_count;
  bool is_region;
  struct go go[GOES];
};
struct machine {
  struct stage stage[STAGES];
  int count, start;
};

static int find_stage(const struct machine *m, const char *name) {
  for (int i = 0; i < m->count; i++)
    if (strcmp(m->stage[i].name, name) == 0) return i;
  fail_msg("the case has no stage '%s'", name);
  return -1;
}

static bool is_leaf(const struct machine *m, int stage) { return m->stage[stage].start < 0; }

// Whether a lead can leave it by some way.
static bool has_way(const struct machine *m, int stage) {
  for (; stage >= 0; stage = m->stage[stage].parent)
    if (m->stage[stage].go_count > 0) return true;
  return false;
}

static void copy(char *to, size_t size, const char *text) {
  size_t n = strlen(text);
  if (n >= size) fail_msg("the case has too long a word: %s", text);
  memcpy(to, text, n + 1);
}

// "name!<inside=start" into its parts; names of others are kept in `inside` and `start`.
static void read_head(struct stage *s, const char *head, char inside[16], char start[16]) {
  char text[64];
  copy(text, sizeof text, head);
  *inside = *start = 0;
  char *at = strchr(text, '=');
  if (at) copy(start, 16, at + 1), *at = 0;
  if ((at = strchr(text, '<'))) copy(inside, 16, at + 1), *at = 0;
  if ((at = strchr(text, '!'))) s->is_region = true, *at = 0;
  copy(s->name, sizeof s->name, text);
}

static void read_go(const struct machine *m, struct stage *s, const char *word) {
  struct go *go = &s->go[s->go_count++];
  char text[64], *to, *at;
  copy(text, sizeof text, word);
  *go = (struct go){.at = -1, .feature = -1};
  to = strchr(text, '>');
  *to++ = 0;
  if ((at = strchr(to, '@'))) *at++ = 0, go->at = find_stage(m, at);
  if ((at = strchr(to, '*'))) *at = 0, go->resumes = true;
  copy(go->event, sizeof go->event, text);
  go->to = find_stage(m, to);
}

static void read_machine(const struct journey_case *c, struct machine *m) {
  char text[800], inside[STAGES][16], start[STAGES][16], *gos[STAGES], *rest, *line = text;
  memset(m, 0, sizeof *m);
  copy(text, sizeof text, c->machine);
  for (bool more = true; more; m->count++) {
    char *end = strstr(line, " / ");
    more = end != NULL;
    if (more) *end = 0;
    gos[m->count] = strstr(line, ": ");
    if (gos[m->count]) *gos[m->count] = 0, gos[m->count] += 2;
    char *space = strchr(line, ' ');
    if (space) memmove(space, space + 1, strlen(space)); // "r! =b"
    read_head(&m->stage[m->count], line, inside[m->count], start[m->count]);
    line = end + 3;
  }
  for (int i = 0; i < m->count; i++) {
    struct stage *s = &m->stage[i];
    s->parent = *inside[i] ? find_stage(m, inside[i]) : -1;
    s->start = *start[i] ? find_stage(m, start[i]) : -1;
    for (char *word = gos[i] ? strtok_r(gos[i], " ", &rest) : NULL; word; word = strtok_r(NULL, " ", &rest))
      read_go(m, s, word);
  }
  m->start = find_stage(m, c->start);
}

// ---- and as a policy ----

// Every transition has a condition of its own that holds, so that `check` sees none that another one forestalls.
static void put_go(const struct machine *m, const struct go *go, int number, struct buf *out) {
  buf_printf(out, "  go '%s' { when = all { f.f0:under(%d)", m->stage[go->to].name, 1000 + number);
  if (go->at >= 0) buf_printf(out, ", journey.at '%s'", m->stage[go->at].name);
  if (go->feature >= 0) buf_printf(out, ", f.f%d:is(1)", go->feature);
  buf_append_str(out, " }, ");
  if (go->resumes) buf_append_str(out, "resume = true, ");
  char text[24], *rest;
  copy(text, sizeof text, go->event);
  if (*text) buf_append_str(out, "on = { ");
  for (char *word = strtok_r(text, "+", &rest); word; word = strtok_r(NULL, "+", &rest))
    buf_printf(out, "'%s', ", word);
  if (*go->event) buf_append_str(out, "}, ");
  buf_append_str(out, "why = 'W.' },\n");
}

static void put_stage(const struct machine *m, int stage, int *number, struct buf *out) {
  const struct stage *s = &m->stage[stage];
  if (s->is_region) {
    buf_printf(out, "journey.region '%s' { start = '%s', why = 'W.' }\n", s->name, m->stage[s->start].name);
    return;
  }
  bool is_final = is_leaf(m, stage) && !has_way(m, stage);
  buf_printf(out, "journey.%s '%s' { on_entry = { journey.note 'in %s' }, ", is_final ? "final" : "stage", s->name,
             s->name);
  if (!is_final) buf_printf(out, "on_exit = { journey.note 'out %s' }, ", s->name);
  if (s->parent >= 0) buf_printf(out, "inside = '%s', ", m->stage[s->parent].name);
  if (s->start >= 0) buf_printf(out, "start = '%s', ", m->stage[s->start].name);
  buf_append_str(out, "\n");
  for (int g = 0; g < s->go_count; g++) put_go(m, &s->go[g], (*number)++, out);
  buf_append_str(out, "}\n");
}

static char folder[64];
static int begin(void **unused) {
  (void)unused;
  snprintf(folder, sizeof folder, "/tmp/journey_test.XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}
static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  return (void)st, (void)flag, (void)ftw, remove(path);
}
static int end(void **unused) { return (void)unused, nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void write_file(const char *name, struct bytes text) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  *strrchr(path, '/') = 0;
  assert_int_equal(dir_make(path, NULL), 0);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(file_replace(path, text, NULL), 0);
}

static int load_text(struct bytes text, struct policy **policy, struct error *err) {
  write_file("own/policy.lua", text);
  write_file(
      "signals/web/signals.lua",
      BYTES_LIT("return { name = 'web', version = 1, owner = 'a@example.com', rationale = 'r', personal = {} }"));
  struct buf features = {0};
  buf_append_str(&features, "return {");
  for (int i = 0; i < FEATURES; i++) buf_printf(&features, "{ name = 'f%d', op = 'count' },", i);
  buf_append_str(&features, "}");
  write_file("signals/web/features/all.lua", buf_bytes(&features));
  buf_deinit(&features);
  struct policy_source source = {
      .policies_dir = folder, .models_dir = "policies/models", .scripts_dir = "scripts", .name = "own"};
  static const struct lua_limits limits = LUA_LIMITS_DEFAULT;
  return policy_load(&source, &limits, policy, NULL, err);
}

static const char *more_text = ""; // of the policy, behind its journey

static int load(const struct machine *m, struct policy **policy, struct error *err) {
  struct buf text = {0};
  int number = 0;
  buf_append_str(&text, "local policy, signal, journey, action = require 'policy', require 'signal', require "
                        "'journey', require 'action'\n"
                        "local score, all, go = require 'score', require('signal').all, require('journey').go\n"
                        "local f = signal.features 'web@1'\n"
                        "policy 'own' { owner = 'a@example.com', rationale = 'A test.', boundary = 'Nothing.' }\n"
                        "score.combined { 40 }\naction.otherwise 'wait' { utility = 1, why = 'W.' }\n");
  buf_printf(&text, "journey.start '%s'\n", m->stage[m->start].name);
  for (int i = 0; i < m->count; i++) put_stage(m, i, &number, &text);
  buf_append_str(&text, more_text);
  int status = load_text(buf_bytes(&text), policy, err);
  buf_deinit(&text);
  return status;
}

// ---- one lead's way ----
struct way {
  struct policy *policy;
  struct policy_vm *vm;
  struct policy_state *state;
  double values[FEATURES];
  int64_t now_ms;
  struct policy_outcome outcome;
};

static void way_begin(struct way *w, struct policy *policy) {
  static const struct vm_limits limits = VM_LIMITS_DEFAULT;
  struct error err = {0};
  *w = (struct way){.policy = policy, .now_ms = 1000000};
  if (policy_vm_open(policy, &limits, &w->vm, &err) != 0) fail_msg("%s", err.text);
  w->state = xmalloc(policy_state_size(policy));
  policy_state_init(policy, w->now_ms, w->state);
}

static void way_end(struct way *w) {
  policy_vm_close(w->vm);
  free(w->state);
  policy_release(w->policy);
}

static void way_event(struct way *w, const char *name) {
  struct bytes texts[FEATURES] = {{0}};
  struct error err = {0};
  w->now_ms += 1000;
  struct event event = {.type = EVENT_TRACK, .name = bytes_str(name), .timestamp_ms = w->now_ms};
  struct policy_input input = {
      .now_ms = w->now_ms, .values = w->values, .texts = texts, .event = &event, .timer_transition = -1};
  if (policy_decide(w->vm, &input, w->state, &w->outcome, NULL, &err) != 0) fail_msg("%s: %s", name, err.text);
  struct bytes bytes = bytes_of((const uint8_t *)w->state, policy_state_size(w->policy));
  if (policy_state_check(w->policy, bytes, &err) != 0) fail_msg("after %s: %s", name, err.text);
}

static const char *name_of(const struct way *w, enum policy_table table, int index) {
  return policy_entry(w->policy, table, (size_t)index)->name;
}

// "a b1", the main machine's first.
static void put_places(const struct way *w, struct buf *out) {
  int region[POLICY_REGIONS_MAX];
  size_t count = policy_regions(w->policy, region);
  buf_append_str(out, name_of(w, POLICY_STAGES, w->state->stage));
  for (size_t i = 0; i < count; i++)
    buf_printf(out, " %s", name_of(w, POLICY_STAGES, policy_state_region(w->policy, w->state, i)));
}

// "-a, +b"
static void put_notes(const struct way *w, struct buf *out) {
  for (int i = 0; i < w->outcome.note_count; i++) {
    const char *note = name_of(w, POLICY_NOTES, w->outcome.note[i]);
    bool is_in = strncmp(note, "in ", 3) == 0;
    buf_printf(out, "%s%c%s", i ? ", " : "", is_in ? '+' : '-', note + (is_in ? 3 : 4));
  }
}

static char *trimmed(char *text) {
  while (*text == ' ') text++;
  for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--) text[n - 1] = 0;
  return text;
}

static void run_script(struct way *w, const struct journey_case *c) {
  char text[400], *rest;
  copy(text, sizeof text, c->script);
  for (char *step = strtok_r(text, ";", &rest); step; step = strtok_r(NULL, ";", &rest)) {
    char *places = strchr(step, '=');
    *places++ = 0;
    char *event = trimmed(step), *notes = strchr(places, '|');
    if (notes) *notes++ = 0;
    if (*event) way_event(w, event);
    struct buf got = {0};
    put_places(w, &got);
    if (notes) buf_append_str(&got, " | "), put_notes(w, &got);
    char wanted[200];
    snprintf(wanted, sizeof wanted, "%s%s%s", trimmed(places), notes ? " | " : "", notes ? trimmed(notes) : "");
    if (!bytes_is(buf_bytes(&got), wanted))
      fail_msg("%s: after '%s' the lead is at \"%.*s\", not \"%s\"", c->name, event, (int)got.n, (const char *)got.p,
               wanted);
    buf_deinit(&got);
  }
}

static void published_cases_hold(void **unused) {
  (void)unused;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct machine m;
    struct policy *policy = NULL;
    struct error err = {0};
    struct way w;
    read_machine(&cases[i], &m);
    if (load(&m, &policy, &err) != 0) fail_msg("%s: %s", cases[i].name, err.text);
    way_begin(&w, policy);
    run_script(&w, &cases[i]);
    way_end(&w);
  }
}

// ---- SCXML's appendix D, on sets of stages ----
struct oracle {
  const struct machine *m;
  const double *values;
  bool in[STAGES];
  int history[STAGES]; // the child that was last in
  struct buf notes;
  int taken;
  bool cut;
};

static bool is_below(const struct machine *m, int stage, int above) { // -1 is above all
  for (stage = m->stage[stage].parent; stage >= 0 && stage != above;) stage = m->stage[stage].parent;
  return stage == above;
}

static void oracle_note(struct oracle *o, char sign, int stage) {
  if (o->m->stage[stage].is_region) return;
  buf_printf(&o->notes, "%s%c%s", o->notes.n ? ", " : "", sign, o->m->stage[stage].name);
}

static bool names(const char *events, const char *event) {
  size_t n = strlen(event);
  for (const char *at = events; (at = strstr(at, event)); at += n)
    if ((at == events || at[-1] == '+') && (at[n] == 0 || at[n] == '+')) return true;
  return false;
}

static bool is_enabled(const struct oracle *o, const struct go *go, const char *event) {
  if (*go->event && !(event && names(go->event, event))) return false;
  if (go->at >= 0 && !o->in[go->at]) return false;
  return go->feature < 0 || o->values[go->feature] == 1;
}

// The innermost stage that has both ends below it.
static int oracle_domain(const struct machine *m, int source, int target) {
  int domain = m->stage[source].parent;
  while (domain >= 0 && !is_below(m, target, domain)) domain = m->stage[domain].parent;
  return domain;
}

static void oracle_enter(struct oracle *o, int stage, bool *enter) { // with what it begins with
  for (; stage >= 0; stage = o->m->stage[stage].start) enter[stage] = true;
}

// What `gos[i]` of `sources[i]` leave and enter together: the exit set in reverse document order, then the entry set in document order.
static void oracle_microstep(struct oracle *o, const int *sources, const struct go **gos, int count) {
  const struct machine *m = o->m;
  bool leave[STAGES] = {false}, enter[STAGES] = {false};
  int top = -1, target;
  for (int i = 0; i < count; i++) {
    int domain = oracle_domain(m, sources[i], gos[i]->to);
    for (int s = sources[i]; s >= 0; s = m->stage[s].parent) top = s;
    bool is_in_region = m->stage[top].is_region;
    for (int s = 0; s < m->count; s++) {
      int above = s;
      while (m->stage[above].parent >= 0) above = m->stage[above].parent;
      bool is_mine = is_in_region ? above == top : !m->stage[above].is_region;
      if (o->in[s] && is_mine && is_below(m, s, domain) && !m->stage[s].is_region) leave[s] = true;
    }
    target = gos[i]->to;
    for (int s = target; s != domain && s >= 0; s = m->stage[s].parent) enter[s] = true;
    // History as it is recorded when the stages are left, which is before any is entered.
    int last = gos[i]->resumes ? o->history[target] : -1;
    for (int s = 0; gos[i]->resumes && s < m->count; s++)
      if (leave[s] && m->stage[s].parent == target) last = s;
    oracle_enter(o, last >= 0 ? last : m->stage[target].start, enter);
  }
  for (int s = m->count - 1; s >= 0; s--) {
    if (!leave[s]) continue;
    oracle_note(o, '-', s);
    if (m->stage[s].parent >= 0) o->history[m->stage[s].parent] = s;
    o->in[s] = false;
  }
  for (int s = 0; s < m->count; s++)
    if (enter[s] && !m->stage[s].is_region) o->in[s] = true, oracle_note(o, '+', s);
}

static int oracle_select(const struct oracle *o, const char *event, int *sources, const struct go **gos) {
  int count = 0;
  for (int leaf = 0; leaf < o->m->count; leaf++) {
    if (!o->in[leaf] || !is_leaf(o->m, leaf)) continue;
    bool found = false;
    for (int s = leaf; s >= 0 && !found; s = o->m->stage[s].parent)
      for (int g = 0; g < o->m->stage[s].go_count && !found; g++) {
        found = is_enabled(o, &o->m->stage[s].go[g], event);
        if (found) sources[count] = s, gos[count++] = &o->m->stage[s].go[g];
      }
  }
  return count;
}

static void oracle_event(struct oracle *o, const char *event) {
  o->taken = 0, o->cut = false;
  buf_clear(&o->notes);
  for (;;) {
    int sources[STAGES];
    const struct go *gos[STAGES];
    int count = oracle_select(o, event, sources, gos);
    if (count == 0) return;
    o->cut = o->taken + count > POLICY_STEPS_MAX;
    if (o->cut) return;
    oracle_microstep(o, sources, gos, count);
    o->taken += count;
    event = NULL;
  }
}

static void oracle_begin(struct oracle *o, const struct machine *m, const double *values) {
  *o = (struct oracle){.m = m, .values = values};
  for (int i = 0; i < STAGES; i++) o->history[i] = -1;
  oracle_enter(o, m->start, o->in);
  for (int s = m->stage[m->start].parent; s >= 0; s = m->stage[s].parent) o->in[s] = true;
  for (int s = 0; s < m->count; s++)
    if (m->stage[s].is_region) oracle_enter(o, s, o->in);
}

// The leaves, the main machine's first.
static void oracle_places(const struct oracle *o, struct buf *out) {
  for (int s = 0; s < o->m->count; s++)
    if (o->in[s] && is_leaf(o->m, s)) buf_printf(out, "%s%s", out->n ? " " : "", o->m->stage[s].name);
}

// ---- random machines, in document order ----
static uint64_t rng;
static int roll(int below) {
  rng = hash_mix(rng, 0x5c);
  return (int)(rng % (uint64_t)below);
}

static int grow(struct machine *m, int parent, int depth, bool is_region) {
  int at = m->count++;
  struct stage *s = &m->stage[at];
  snprintf(s->name, sizeof s->name, "s%d", at);
  s->parent = parent, s->start = -1, s->is_region = is_region;
  int children = is_region ? 1 + roll(3) : depth < 3 && m->count < STAGES - 12 && roll(3) == 0 ? 1 + roll(3) : 0;
  int child[3];
  for (int i = 0; i < children; i++) child[i] = grow(m, at, depth + 1, false);
  if (children > 0) m->stage[at].start = child[roll(children)];
  return at;
}

static bool is_same_machine(const struct machine *m, int a, int b) {
  while (m->stage[a].parent >= 0) a = m->stage[a].parent;
  while (m->stage[b].parent >= 0) b = m->stage[b].parent;
  return a == b || (!m->stage[a].is_region && !m->stage[b].is_region);
}

static void add_go(struct machine *m, int from, int to, bool is_free) {
  struct stage *s = &m->stage[from];
  if (s->go_count == GOES || s->is_region || m->stage[to].is_region || !is_same_machine(m, from, to)) return;
  struct go *go = &s->go[s->go_count++];
  *go = (struct go){.to = to, .at = -1, .feature = -1};
  static const char *const events[] = {"t", "u", "v", "t+v"};
  if (is_free) {
    bool has_event = roll(3) > 0 || from == to || is_leaf(m, from);
    if (has_event) snprintf(go->event, sizeof go->event, "%s", events[roll(4)]);
    if (!has_event || roll(2)) go->feature = roll(FEATURES);
    if (roll(4) == 0) go->at = roll(m->count);
    if (go->at >= 0 && m->stage[go->at].is_region) go->at = -1;
    go->resumes = m->stage[to].start >= 0 && roll(2);
  } else {
    snprintf(go->event, sizeof go->event, "%s", events[roll(3)]);
  }
}

static void random_machine(struct machine *m) {
  memset(m, 0, sizeof *m);
  for (int i = 1 + roll(3); i >= 0; i--) grow(m, -1, 1, false);
  int mains = m->count;
  for (int i = roll(3); i > 0 && m->count < STAGES - 12; i--) grow(m, -1, 1, true);
  m->start = roll(mains);
  int last = m->start; // from each leaf to the next, so that all are reached
  while (!is_leaf(m, last)) last = m->stage[last].start;
  for (int s = 0; s < m->count; s++) {
    if (m->stage[s].is_region) {
      for (last = s; !is_leaf(m, last);) last = m->stage[last].start;
      continue;
    }
    if (!is_leaf(m, s) || s == last) continue;
    add_go(m, last, s, false);
    last = s;
  }
  for (int i = m->count * 2; i > 0; i--) add_go(m, roll(m->count), roll(m->count), true);
}

static void show(const struct machine *m) {
  struct buf text = {0};
  int number = 0;
  for (int i = 0; i < m->count; i++) put_stage(m, i, &number, &text);
  print_message("start %s\n%.*s\n", m->stage[m->start].name, (int)text.n, (const char *)text.p);
  buf_deinit(&text);
}

// Carried over to the same version, a state is the same bytes; taken into another lead's, it makes one that can be.
static void check_states(const struct way *w, const struct way *other) {
  size_t size = policy_state_size(w->policy);
  struct policy_state *copy = xcalloc(1, size);
  struct error err = {0};
  policy_state_migrate(w->policy, w->state, w->policy, w->now_ms + 5, copy);
  assert_memory_equal(copy, w->state, size);
  policy_state_merge(w->policy, copy, w->state);
  assert_memory_equal(copy, w->state, size);
  policy_state_merge(w->policy, copy, other->state);
  if (policy_state_check(w->policy, bytes_of((const uint8_t *)copy, size), &err) != 0) fail_msg("merged: %s", err.text);
  free(copy);
}

static void run_random(const struct machine *m, struct policy *policy, int *moved) {
  struct way w, other;
  policy_retain(policy);
  way_begin(&other, policy);
  struct oracle o;
  way_begin(&w, policy);
  oracle_begin(&o, m, w.values);
  for (int i = 0; i < 60; i++) {
    static const char *const events[] = {"t", "u", "v", "x"};
    const char *event = events[roll(4)];
    for (int f = 0; f < FEATURES; f++) w.values[f] = roll(2);
    way_event(&w, event);
    oracle_event(&o, event);
    struct buf got = {0}, wanted = {0};
    put_places(&w, &got), oracle_places(&o, &wanted);
    bool is_same = bytes_eq(buf_bytes(&got), buf_bytes(&wanted)) && o.taken == w.outcome.step_count &&
                   o.cut == w.outcome.steps_cut;
    buf_append_str(&got, " | "), buf_append_str(&wanted, " | ");
    put_notes(&w, &got);
    buf_append(&wanted, o.notes.p, o.notes.n);
    is_same = is_same && (w.outcome.note_count == POLICY_NOTES_MAX || bytes_eq(buf_bytes(&got), buf_bytes(&wanted)));
    if (!is_same) {
      show(m);
      fail_msg("event %d, %s: \"%.*s\", the algorithm says \"%.*s\"", i, event, (int)got.n, (const char *)got.p,
               (int)wanted.n, (const char *)wanted.p);
    }
    *moved += o.taken > 0;
    for (int f = 0; f < FEATURES; f++) other.values[f] = roll(2);
    way_event(&other, events[roll(4)]);
    check_states(&w, &other);
    buf_deinit(&got), buf_deinit(&wanted);
  }
  buf_deinit(&o.notes);
  way_end(&other);
  way_end(&w);
}

static void random_machines_go_as_the_algorithm_does(void **unused) {
  (void)unused;
  const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
  rng = seed ? strtoull(seed, NULL, 10) : clock_mono_ns() % 1000000007;
  print_message("SEED=%" PRIu64 "\n", rng);
  int moved = 0, refused = 0, n = rounds ? atoi(rounds) : 25;
  for (int i = 0; i < n; i++) {
    struct machine m;
    struct policy *policy = NULL;
    struct error err = {0};
    random_machine(&m);
    if (load(&m, &policy, &err) != 0) { // a stage that nothing leads to, a transition to itself
      bool is_meant = strstr(err.text, "can't be reached") || strstr(err.text, "goes to itself");
      if (!is_meant) show(&m);
      if (!is_meant) fail_msg("%s", err.text);
      refused++;
      continue;
    }
    run_random(&m, policy, &moved);
  }
  print_message("%d machines, %d refused, %d moves\n", n, refused, moved);
  assert_true(refused < n && moved > 0);
}

// ---- from one version to the next ----
static struct policy *load_case(const char *start, const char *machine, const char *more) {
  struct journey_case c = {"a version", start, machine, ""};
  struct machine m;
  struct policy *policy = NULL;
  struct error err = {0};
  read_machine(&c, &m);
  more_text = more;
  if (load(&m, &policy, &err) != 0) fail_msg("%s", err.text);
  more_text = "";
  return policy;
}

static void places_after(struct way *w, struct policy *to, const char *wanted) {
  struct policy_state *next = xcalloc(1, policy_state_size(to));
  struct error err = {0};
  policy_state_migrate(w->policy, w->state, to, w->now_ms, next);
  if (policy_state_check(to, bytes_of((const uint8_t *)next, policy_state_size(to)), &err) != 0)
    fail_msg("%s", err.text);
  struct way moved = {.policy = to, .state = next};
  struct buf got = {0};
  put_places(&moved, &got);
  if (!bytes_is(buf_bytes(&got), wanted)) fail_msg("\"%.*s\", not \"%s\"", (int)got.n, (const char *)got.p, wanted);
  buf_deinit(&got);
  free(next);
}

#define BEFORE "x: t>a* / a=b: v>x / b<a: u>c / c<a / r!=p / p<r: u>q / q<r: w>p"

static void leads_are_carried_to_other_trees(void **unused) {
  (void)unused;
  static const struct {
    const char *start, *machine, *more, *places;
    size_t lost;
  } versions[] = {
      {"x", BEFORE, "", "c q", 0},
      // Without the stage around them, with another, and the other way about.
      {"x", "x: t>b / b: u>c v>x / c: v>x / r!=p / p<r: u>q / q<r: w>p", "", "c q", 0},
      {"x", "x: t>n / n=a / a<n=b: v>x / b<a: u>c / c<a / r!=p / p<r: u>q / q<r: w>p", "", "c q", 0},
      // Under other names.
      {"x", "x: t>a* / a=b: v>x / b<a: u>d / d<a / s!=p / p<s: u>o / o<s: w>p",
       "journey.was 'c' { now = 'd', why = 'W.' }\njourney.was 'r' { now = 's', why = 'W.' }\n"
       "journey.was 'q' { now = 'o', why = 'W.' }\n",
       "d o", 0},
      // The region is gone; the stage is gone; the stage has others inside it now; it is of another machine.
      {"x", "x: t>a / a=b: v>x / b<a: u>c / c<a", "", "c", 0},
      {"x", "x: t>a / a=b: v>x / b<a / r!=p / p<r: u>q / q<r: w>p", "", "x q", 1},
      {"x", "x: t>a / a=b: v>x / b<a: u>c / c<a=d / d<c / r!=p / p<r: u>q / q<r: w>p", "", "d q", 0},
      {"x", "x: t>a / a=b: v>x / b<a: u>q / q<a / r!=p / p<r: u>c / c<r: w>p", "", "x p", 2},
  };
  struct policy *from = load_case("x", BEFORE, "");
  struct way w;
  way_begin(&w, from);
  way_event(&w, "t");
  way_event(&w, "u");
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    struct policy *to = load_case(versions[i].start, versions[i].machine, versions[i].more);
    places_after(&w, to, versions[i].places);
    assert_int_equal(policy_check_stages(to, from, "", NULL), versions[i].lost);
    policy_release(to);
  }
  way_end(&w);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
  const struct CMUnitTest tests[] = {CASE(published_cases_hold), CASE(random_machines_go_as_the_algorithm_does),
                                     CASE(leads_are_carried_to_other_trees)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
