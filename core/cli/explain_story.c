#include "cli/explain_story.h"

#include "cli/field.h"
#include "cli/grid.h"
#include "cli/show.h"

#include <stdlib.h>

#define NEAR_FAR_MAX    0.95 // a near miss lacks less than its whole bound
#define PARAGRAPH_WIDTH 100  // where no terminal says one

struct story {
  struct bytes decision, trace;
  struct buf *out;
};

static bool is_kind(struct bytes rule, const char *kind) { return bytes_is(field_text(rule, "kind"), kind); }
static bool fired(struct bytes rule) { return bytes_is(field_text(rule, "outcome"), "fired"); }

static void say(const struct story *s, struct bytes text) { show_text(s->out, text); }

// A reason as a sentence's last part: without the full stop that it may end with.
static void say_reason(const struct story *s, struct bytes text) {
  if (text.n && text.p[text.n - 1] == '.') text.n--;
  say(s, text);
}

// "Compares plans." in the midst of a sentence, as it was written.
static void say_why(const struct story *s, struct bytes rule) {
  struct bytes why = field_text(rule, "why");
  if (!why.n) return;
  buf_append_str(s->out, ": \"");
  say_reason(s, why);
  buf_append_u8(s->out, '"');
}

// ---- what happened ----

static void say_cause(const struct story *s, struct bytes event) {
  struct bytes cause = field_text(s->decision, "cause"), name = field_text(event, "event");
  if (bytes_is(cause, "timer")) {
    buf_append_str(s->out, "A timer fired. ");
    return;
  }
  if (bytes_is(cause, "merge")) {
    buf_append_str(s->out, "Another lead became part of this one. ");
    return;
  }
  if (bytes_is(cause, "grant")) {
    buf_append_str(s->out, "The team's pool said whose turn it is. ");
    return;
  }
  if (!name.n) name = field_text(event, "name");
  buf_append_str(s->out, "After ");
  if (name.n) {
    buf_append_u8(s->out, '\'');
    say(s, name);
    buf_append_u8(s->out, '\'');
  } else {
    buf_append_str(s->out, "an event of type ");
    say(s, field_text(event, "type"));
  }
  buf_append_str(s->out, ", ");
}

// The stage that a transition "a -> b" leads to.
static struct bytes target_of(struct bytes rule) {
  struct bytes name = field_text(rule, "name");
  for (size_t i = 0; i + 4 <= name.n; i++)
    if (memcmp(name.p + i, " -> ", 4) == 0) return bytes_of(name.p + i + 4, name.n - i - 4);
  return name;
}

static void say_moves(const struct story *s, struct bytes who) {
  struct bytes rule, before = field_text(s->decision, "stage_before");
  int moves = 0;
  if (who.n)
    say(s, who);
  else
    buf_append_str(s->out, bytes_is(field_text(s->decision, "cause"), "event") ? "the lead" : "The lead");
  for (struct each each = each_of(s->trace); each_next(&each, &rule);) {
    if (!is_kind(rule, "transition") || !fired(rule)) continue;
    if (moves++) {
      buf_append_str(s->out, ", then to ");
    } else {
      buf_append_str(s->out, " moved from ");
      say(s, before);
      buf_append_str(s->out, " to ");
    }
    say(s, target_of(rule));
    buf_append_str(s->out, field_text(rule, "reason").n ? " because " : "");
    say_reason(s, field_text(rule, "reason"));
    say_why(s, rule);
  }
  if (!moves && bytes_eq(before, field_text(s->decision, "stage"))) {
    buf_append_str(s->out, " stays in ");
    say(s, before);
  } else if (!moves) {
    buf_append_str(s->out, " was put from ");
    say(s, before);
    buf_append_str(s->out, " to ");
    say(s, field_text(s->decision, "stage"));
  }
  buf_append_str(s->out, ". ");
}

// ---- what it adds up to ----

// "Evidence is 45 points: a 20, b 25." Of rules of a kind that gave points.
static void say_points(const struct story *s, const char *kind, const char *begin) {
  struct bytes rule;
  int count = 0;
  for (struct each each = each_of(s->trace); each_next(&each, &rule);) {
    double milli = field_number(rule, "value", 0);
    if (!is_kind(rule, kind) || !(milli < 0 || milli > 0)) continue;
    buf_append_str(s->out, count++ ? ", " : begin);
    say(s, field_text(rule, "name"));
    buf_append_u8(s->out, ' ');
    if (milli > 0) buf_append_u8(s->out, '+');
    show_score(s->out, (int64_t)milli);
  }
  if (count) buf_append_u8(s->out, ')');
}

static void say_scores(const struct story *s) {
  buf_append_str(s->out, "The score is ");
  show_score(s->out, field_int(s->decision, "scores.combined", 0));
  struct bytes band = field_text(s->decision, "band");
  if (band.n) {
    buf_append_str(s->out, ", ");
    say(s, band);
  }
  say_points(s, "adjust", " (of which ");
  say_points(s, "cap", " (capped by ");
  say_points(s, "floor", " (lifted by ");
  buf_append_str(s->out, "; intent is ");
  show_score(s->out, field_int(s->decision, "scores.intent", 0));
  say_points(s, "evidence", " (");
  struct bytes rule;
  for (struct each each = each_of(s->trace); each_next(&each, &rule);) {
    if (!is_kind(rule, "channel") || !fired(rule)) continue;
    buf_append_str(s->out, "; ");
    say(s, field_text(rule, "name"));
    buf_append_u8(s->out, ' ');
    say_reason(s, field_text(rule, "reason"));
  }
  buf_append_str(s->out, ". ");
}

// ---- what is done ----

static void say_owner(const struct story *s) {
  struct bytes rule, owner = field_text(s->decision, "owner");
  for (struct each each = each_of(s->trace); each_next(&each, &rule);) {
    if (!is_kind(rule, "route") || !fired(rule)) continue;
    say(s, owner);
    buf_append_str(s->out, owner.n ? " owns the lead now, by '" : "An owner is looked for, by '");
    say(s, field_text(rule, "name"));
    buf_append_u8(s->out, '\'');
    say_why(s, rule);
    buf_append_str(s->out, ". ");
    return;
  }
  if (!owner.n) return;
  say(s, owner);
  buf_append_str(s->out, " owns the lead as before. ");
}

static bool say_left_out(const struct story *s) {
  struct bytes rule;
  if (field_is(s->decision, "eligible")) return false;
  buf_append_str(s->out, "The lead is left out");
  for (struct each each = each_of(s->trace); each_next(&each, &rule);) {
    if (!is_kind(rule, "eligible") || !fired(rule)) continue;
    buf_append_str(s->out, ": ");
    say_reason(s, field_text(rule, "reason"));
  }
  buf_append_str(s->out, ", so its stage rests and nothing is done. ");
  return true;
}

static void say_action(const struct story *s) {
  struct bytes rule, action = field_text(s->decision, "action");
  for (struct each each = each_of(s->trace); each_next(&each, &rule);) {
    if (!is_kind(rule, "offer") || !fired(rule)) continue;
    buf_append_str(s->out, "What is done: ");
    say(s, action);
    buf_printf(s->out, ", worth %.4g", field_number(rule, "value", 0));
    say_why(s, rule);
    buf_append_str(s->out, ". ");
    return;
  }
  buf_append_str(s->out, "Nothing is done ('");
  say(s, action);
  buf_append_str(s->out, "')");
  for (struct each each = each_of(s->trace); each_next(&each, &rule);) {
    if (!is_kind(rule, "limits") || !fired(rule)) continue;
    buf_append_str(s->out, ": ");
    say_reason(s, field_text(rule, "reason"));
  }
  struct each offers = each_of(field(s->decision, "suppressed"));
  if (each_next(&offers, &rule)) {
    buf_append_str(s->out, "; else it would be ");
    say(s, field_text(rule, "action"));
    buf_printf(s->out, ", worth %.4g", field_number(rule, "utility", 0));
  }
  buf_append_str(s->out, ". ");
}

// ---- what nearly happened ----

struct near {
  struct bytes rule;
  double distance;
  size_t at; // of equals the one that is tried first
};

static int nearer(const void *left, const void *right) {
  const struct near *a = left, *b = right;
  if (a->distance < b->distance || a->distance > b->distance) return a->distance < b->distance ? -1 : 1;
  return a->at < b->at ? -1 : a->at > b->at;
}

// Sorted, malloc'd; rules that were tried and did not fire.
static struct near *near_misses(struct bytes trace, size_t *count) {
  struct near *list = NULL;
  struct bytes rule;
  size_t at = 0;
  int step = 1;
  *count = 0;
  for (struct each each = each_of(trace); each_next(&each, &rule);) step += is_kind(rule, "transition") && fired(rule);
  for (struct each each = each_of(trace); each_next(&each, &rule); at++) {
    double distance = field_number(rule, "distance", -1);
    bool is_of_now = !is_kind(rule, "transition") || field_int(rule, "step", 0) == step;
    bool is_past = is_kind(rule, "evidence") && field_number(rule, "value", 0) != 0; // it fired, and still counts
    if (!(distance > 0) || fired(rule) || !is_of_now || is_past) continue;
    list = xrealloc(list, (*count + 1) * sizeof *list);
    list[(*count)++] = (struct near){.rule = rule, .distance = distance, .at = at};
  }
  if (list) qsort(list, *count, sizeof *list, nearer);
  return list;
}

static void say_nearest(const struct story *s) {
  size_t count;
  struct near *list = near_misses(s->trace, &count);
  const struct near *best = NULL;
  for (size_t i = 0; i < count && !best; i++)
    if (is_kind(list[i].rule, "transition")) best = &list[i];
  if (best && best->distance < NEAR_FAR_MAX) {
    buf_append_str(s->out, "The nearest move that did not happen is to ");
    say(s, target_of(best->rule));
    buf_append_str(s->out, ": ");
    say_reason(s, field_text(best->rule, "reason"));
    buf_append_u8(s->out, '.');
  }
  free(list);
}

// ---- pages ----

void story_put(struct bytes answer, struct bytes who, unsigned width, struct buf *out) {
  struct buf text = {0};
  struct story s = {.decision = field(answer, "decision"), .trace = field(answer, "trace"), .out = &text};
  if (!s.trace.n) return;
  say_cause(&s, field(answer, "event"));
  say_moves(&s, who);
  say_scores(&s);
  if (!say_left_out(&s)) {
    say_owner(&s);
    say_action(&s);
    say_nearest(&s);
  }
  while (text.n && text.p[text.n - 1] == ' ') text.n--;
  struct grid t;
  grid_init(&t, "l");
  grid_add(&t, buf_bytes(&text));
  grid_put(&t, width ? width : PARAGRAPH_WIDTH, out);
  grid_deinit(&t);
  buf_deinit(&text);
}

static void text_cell(struct grid *t, struct bytes text) {
  show_text(grid_cell(t), text);
  grid_end(t);
}

void story_put_near(struct bytes answer, unsigned most, unsigned width, struct buf *out) {
  size_t count;
  struct near *list = near_misses(field(answer, "trace"), &count);
  struct grid t;
  grid_init(&t, "rlll");
  t.indent = 2;
  for (size_t i = 0; i < count && (!most || i < most); i++) {
    if (most && list[i].distance >= NEAR_FAR_MAX) break;
    buf_printf(grid_cell(&t), "%.0f %%", list[i].distance * 100);
    grid_end(&t);
    text_cell(&t, field_text(list[i].rule, "kind"));
    text_cell(&t, field_text(list[i].rule, "name"));
    text_cell(&t, field_text(list[i].rule, "reason"));
  }
  if (t.count) {
    buf_append_str(out, "\nwhat nearly happened (how much is missing)\n");
    grid_put(&t, width, out);
  }
  grid_deinit(&t);
  free(list);
}

static double cost_of(struct bytes times, struct bytes rule) {
  struct bytes each_rule;
  for (struct each each = each_of(field(times, "rules")); each_next(&each, &each_rule);)
    if (bytes_eq(field_text(each_rule, "kind"), field_text(rule, "kind")) &&
        bytes_eq(field_text(each_rule, "name"), field_text(rule, "name")))
      return field_number(each_rule, "ns", 0);
  return 0;
}

void story_put_rules(struct bytes answer, unsigned width, struct buf *out) {
  struct bytes rule, times = field(answer, "times");
  struct grid t;
  grid_init(&t, "llllrl");
  t.indent = 2;
  for (struct each each = each_of(field(answer, "trace")); each_next(&each, &rule);) {
    bool is_reached = !bytes_is(field_text(rule, "outcome"), "not_reached");
    grid_add_str(&t, fired(rule) ? "yes" : is_reached ? "no" : "-");
    text_cell(&t, field_text(rule, "kind"));
    text_cell(&t, field_text(rule, "name"));
    show_text(grid_cell(&t), field_text(rule, "path"));
    buf_printf(grid_cell(&t), ":%lld", (long long)field_int(rule, "line", 0));
    grid_end(&t);
    if (times.n) buf_printf(grid_cell(&t), "%.0f ns", cost_of(times, rule));
    grid_end(&t);
    text_cell(&t, field_text(rule, "reason"));
  }
  if (t.count) {
    buf_append_str(out, "\nrules (fired, tried, or not reached)\n");
    grid_put(&t, width, out);
  }
  grid_deinit(&t);
  if (times.n)
    buf_printf(out, "\n  a call as decisions make it takes %lld ns; one by one its rules take %.0f ns\n",
               (long long)field_int(times, "plain_ns", 0), field_number(times, "rules_ns", 0));
}
