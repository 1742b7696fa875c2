// intent explain: why a decision is what it is, and whether it can be computed again.
#include "cli/connect.h"
#include "cli/explain_story.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/show.h"

#include <stdio.h>

static const struct option options[] = {
    {"trace", NULL, "show each rule: fired or why not, where it stands, and what it costs"},
    {"all", NULL, "show all conditions, all that did not happen, and features that are zero or unknown, too"},
    {0}};

#define NEAR_MAX 6 // near misses, unless all are asked for

struct page {
  struct bytes decision, answer;
  unsigned width;
  bool all, trace;
  struct buf *out;
};

static void text_row(struct grid *t, const char *name, struct bytes text) {
  if (!text.n) return;
  grid_add_str(t, name);
  show_text(grid_cell(t), text);
  grid_end(t);
}

// ---- the head ----

static void cause_row(struct grid *t, const struct page *p) {
  struct bytes event = field(p->answer, "event"), name = field_text(event, "event");
  grid_add_str(t, "because of");
  struct buf *cell = grid_cell(t);
  struct bytes cause = field_text(p->decision, "cause");
  if (bytes_is(cause, "timer")) {
    buf_append_str(cell, "a timer");
  } else if (bytes_is(cause, "merge")) {
    buf_append_str(cell, "a merge: another lead is part of this one now");
  } else if (bytes_is(cause, "grant")) {
    buf_append_str(cell, "a grant: the team's pool said whose turn it is");
  } else {
    struct bytes type = field_text(event, "type");
    if (!name.n) name = field_text(event, "name");
    show_text(cell, type.n ? type : BYTES_LIT("track"));
    if (name.n) buf_append_u8(cell, ' ');
    show_text(cell, name);
  }
  grid_end(t);
}

static void stage_row(struct grid *t, const struct page *p) {
  struct bytes before = field_text(p->decision, "stage_before"), stage = field_text(p->decision, "stage");
  grid_add_str(t, "stage");
  struct buf *cell = grid_cell(t);
  show_text(cell, before);
  if (!bytes_eq(before, stage)) {
    buf_append_str(cell, " -> ");
    show_text(cell, stage);
  }
  grid_end(t);
}

// "b2b@4 (08d3…)": the set that the decision's policy read, by its version and hash.
static void signals_row(struct grid *t, struct bytes answer) {
  if (!field_text(answer, "signals.name").n) return;
  grid_add_str(t, "signals");
  struct buf *cell = grid_cell(t);
  show_text(cell, field_text(answer, "signals.name"));
  buf_append_u8(cell, '@');
  show_text(cell, field_text(answer, "signals.version"));
  buf_append_str(cell, " (");
  show_text(cell, field_text(answer, "signals.hash"));
  buf_append_u8(cell, ')');
  grid_end(t);
}

static void memory_rows(struct grid *t, struct bytes kept) {
  if (!kept.n || mp_value_of(kept).type != MP_MAP) return;
  struct mp m = mp_of(kept);
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++) {
    struct bytes name;
    grid_add_str(t, i ? "" : "keeps");
    if (mp_as_str(mp_take(&m), &name)) show_text(grid_cell(t), name);
    buf_append_u8(grid_cell(t), ' ');
    show_value(grid_cell(t), mp_take(&m), NULL);
    grid_end(t);
  }
}

static void put_head(const struct page *p) {
  struct grid t;
  grid_init(&t, "ll");
  text_row(&t, "decision", field_text(p->decision, "decision_id"));
  grid_add_str(&t, "at");
  show_time(grid_cell(&t), field_int(p->decision, "at", 0));
  grid_end(&t);
  cause_row(&t, p);
  stage_row(&t, p);
  grid_add_str(&t, "owner");
  show_value(grid_cell(&t), field(p->decision, "owner"), NULL);
  grid_end(&t);
  text_row(&t, "action", field_text(p->decision, "action"));
  text_row(&t, "held back", field_text(p->decision, "held"));
  text_row(&t, "left out", field_text(p->decision, "ineligible"));
  memory_rows(&t, field(p->decision, "memory"));
  grid_add_str(&t, "versions");
  struct buf *cell = grid_cell(&t);
  static const char *const versions[] = {"policy", "fit_model", "model"};
  for (size_t i = 0; i < 3; i++) {
    char name[32], version[32];
    snprintf(name, sizeof name, "%s.name", versions[i]);
    snprintf(version, sizeof version, "%s.version", versions[i]);
    if (!field_text(p->decision, name).n) continue;
    bool is_split = i == 1 && bytes_eq(field(p->decision, "fit_model"), field(p->decision, "model"));
    if (is_split) continue; // the same, once
    if (i) buf_append_str(cell, ", ");
    show_text(cell, field_text(p->decision, name));
    buf_append_u8(cell, '@');
    show_text(cell, field_text(p->decision, version));
  }
  grid_end(&t);
  signals_row(&t, p->answer);
  grid_put(&t, p->width, p->out);
  grid_deinit(&t);
}

// ---- the ledger ----

static bool is_one_of(struct bytes kind, const char *const *kinds) {
  while (*kinds && !bytes_is(kind, *kinds)) kinds++;
  return *kinds != NULL;
}

static struct bytes unit_of(const struct page *p, struct bytes name) {
  struct bytes feature;
  for (struct each each = each_of(field(p->answer, "features")); each_next(&each, &feature);)
    if (bytes_eq(field_text(feature, "name"), name)) return field_text(feature, "unit");
  return (struct bytes){0};
}

static void reason_row(struct grid *t, const struct page *p, struct bytes reason, bool has_points) {
  struct bytes kind = field_text(reason, "kind"), name = field_text(reason, "name");
  if (has_points) {
    show_milli(grid_cell(t), field_int(reason, "points", 0));
    grid_end(t);
  }
  show_text(grid_cell(t), kind);
  grid_end(t);
  show_text(grid_cell(t), name);
  grid_end(t);
  bool is_model = bytes_is(kind, "fit") || bytes_is(kind, "engagement");
  const char *unit = is_model && bytes_is(unit_of(p, name), "ms") ? "ms" : NULL;
  if (!field_is_nil(reason, "value")) show_value(grid_cell(t), field(reason, "value"), unit);
  grid_end(t);
}

// The rows of some kinds, and their sum beside the figure that they should give.
static void put_sum(const struct page *p, const char *title, const char *const *kinds, const char *figure) {
  struct grid t;
  struct bytes reason;
  int64_t sum = 0, given = field_int(p->decision, figure, 0);
  grid_init(&t, "rlll");
  t.indent = 2;
  for (struct each each = each_of(field(p->decision, "reasons")); each_next(&each, &reason);) {
    if (!is_one_of(field_text(reason, "kind"), kinds)) continue;
    sum += field_int(reason, "points", 0);
    reason_row(&t, p, reason, true);
  }
  if (t.count || given) {
    struct buf text = {0};
    show_milli(&text, sum);
    grid_add(&t, buf_bytes(&text));
    grid_add_str(&t, "=");
    buf_clear(&text);
    buf_append_str(&text, strchr(figure, '.') + 1);
    if (sum != given) {
      buf_append_str(&text, ", but the decision says ");
      show_milli(&text, given);
    }
    grid_add(&t, buf_bytes(&text));
    grid_add_str(&t, "");
    buf_deinit(&text);
    buf_printf(p->out, "\n%s\n", title);
    grid_put(&t, p->width, p->out);
  }
  grid_deinit(&t);
}

// Of a split model the two scores are sums of their own, beside the combined one.
static void put_parts(const struct page *p) {
  static const char *const whole[] = {"model", NULL}, *const fit[] = {"fit", "fit_score", NULL},
                           *const engagement[] = {"engagement", "engagement_score", NULL};
  struct bytes reason;
  bool is_split = false;
  for (struct each each = each_of(field(p->decision, "reasons")); each_next(&each, &reason);)
    is_split |= is_one_of(field_text(reason, "kind"), whole);
  if (!is_split) return;
  put_sum(p, "fit: the profile alone", fit, "scores.fit");
  put_sum(p, "engagement: the behaviour alone", engagement, "scores.engagement");
}

static void put_moves(const struct page *p) {
  static const char *const kinds[] = {"sales", "transition", "route", NULL};
  struct grid t;
  struct bytes reason;
  grid_init(&t, "lll");
  t.indent = 2;
  for (struct each each = each_of(field(p->decision, "reasons")); each_next(&each, &reason);)
    if (is_one_of(field_text(reason, "kind"), kinds)) reason_row(&t, p, reason, false);
  if (t.count) {
    buf_append_str(p->out, "\nmoves\n");
    grid_put(&t, p->width, p->out);
  }
  grid_deinit(&t);
}

// Offers that were open and worth more than what was done, each with why it was not.
static void put_suppressed(const struct page *p) {
  struct grid t;
  struct bytes offer;
  grid_init(&t, "rll");
  t.indent = 2;
  for (struct each each = each_of(field(p->decision, "suppressed")); each_next(&each, &offer);) {
    buf_printf(grid_cell(&t), "%.3f", field_number(offer, "utility", 0));
    grid_end(&t);
    show_text(grid_cell(&t), field_text(offer, "action"));
    grid_end(&t);
    show_text(grid_cell(&t), field_text(offer, "why"));
    grid_end(&t);
  }
  if (t.count) {
    buf_append_str(p->out, "\nworth more than ");
    show_text(p->out, field_text(p->decision, "action"));
    buf_printf(p->out, " (%.3f), and why not\n", field_number(p->decision, "utility", 0));
    grid_put(&t, p->width, p->out);
  }
  grid_deinit(&t);
}

// ---- conditions, features, event ----

static void put_conditions(const struct page *p) {
  struct grid t;
  struct bytes condition;
  grid_init(&t, "llll");
  t.indent = 2;
  for (struct each each = each_of(field(p->answer, "conditions")); each_next(&each, &condition);) {
    bool is_reached = !field_is_nil(condition, "fired");
    if (!is_reached && !p->all) continue;
    grid_add_str(&t, !is_reached ? "-" : field_is(condition, "fired") ? "yes" : "no");
    show_text(grid_cell(&t), field_text(condition, "name"));
    grid_end(&t);
    show_text(grid_cell(&t), field_text(condition, "path"));
    buf_printf(grid_cell(&t), ":%lld", (long long)field_int(condition, "line", 0));
    grid_end(&t);
    show_text(grid_cell(&t), field_text(condition, "why"));
    grid_end(&t);
  }
  if (t.count) {
    buf_append_str(p->out, "\nconditions\n");
    grid_put(&t, p->width, p->out);
  }
  grid_deinit(&t);
}

static bool says_nothing(struct bytes value) {
  double number;
  return value.n == 0 || (mp_as_number(value, &number) && !(number > 0) && !(number < 0));
}

// "3h 2m", and that it is more than the feature's max_age; "-" when there was no match or its time is not kept.
static void age_cell(struct grid *t, struct bytes feature) {
  struct buf *cell = grid_cell(t);
  int64_t age = field_int(feature, "age", -1), most = field_int(feature, "max_age", 0);
  if (age < 0)
    buf_append_u8(cell, '-');
  else
    show_span(cell, age);
  if (age >= 0 && most && age > most) buf_append_str(cell, " (stale)");
  grid_end(t);
}

static void put_features(const struct page *p) {
  struct grid t;
  struct bytes feature;
  grid_init(&t, "lrlrl");
  t.indent = 2;
  for (struct each each = each_of(field(p->answer, "features")); each_next(&each, &feature);) {
    double points = field_number(feature, "points", 0);
    bool counts = points > 0 || points < 0;
    if (!p->all && !counts && says_nothing(field(feature, "value"))) continue;
    show_text(grid_cell(&t), field_text(feature, "name"));
    grid_end(&t);
    if (counts) buf_printf(grid_cell(&t), "%.3f", points);
    grid_end(&t);
    show_value(grid_cell(&t), field(feature, "value"), bytes_is(field_text(feature, "unit"), "ms") ? "ms" : NULL);
    grid_end(&t);
    age_cell(&t, feature);
    show_text(grid_cell(&t), field_text(feature, "description"));
    grid_end(&t);
  }
  if (field_is_nil(p->answer, "features")) {
    grid_deinit(&t);
    return;
  }
  buf_append_str(p->out,
                 "\nfeatures (points: their share of combined; then the value, and how old its latest match is)\n");
  grid_put(&t, p->width, p->out);
  grid_deinit(&t);
}

// Of one model of trees: each feature's exact share of the margin, on the scale.
static void put_shares(const struct page *p, struct bytes model) {
  struct grid t;
  struct bytes term;
  grid_init(&t, "rll");
  t.indent = 2;
  for (struct each each = each_of(field(model, "terms")); each_next(&each, &term);) {
    double points = field_number(term, "points", 0);
    if (!p->all && !(points > 0) && !(points < 0)) continue;
    buf_printf(grid_cell(&t), "%.3f", points);
    grid_end(&t);
    show_text(grid_cell(&t), field_text(term, "name"));
    grid_end(&t);
    bool is_ms = bytes_is(unit_of(p, field_text(term, "name")), "ms");
    if (!field_is_nil(term, "value")) show_value(grid_cell(&t), field(term, "value"), is_ms ? "ms" : NULL);
    grid_end(&t);
  }
  buf_append_str(p->out, "\nexact shares in points (Shapley values): ");
  show_text(p->out, field_text(model, "name"));
  buf_append_u8(p->out, '@');
  show_text(p->out, field_text(model, "version"));
  buf_printf(p->out, ", log-odds %.3f of which %.3f are everybody's%s\n", field_number(model, "margin", 0),
             field_number(model, "base", 0),
             field_is(p->answer, "shapley.kept") ? "; from what was kept with the decision" : "");
  grid_put(&t, p->width, p->out);
  grid_deinit(&t);
}

static void put_shapley(const struct page *p) {
  struct bytes model;
  for (struct each each = each_of(field(p->answer, "shapley.models")); each_next(&each, &model);) put_shares(p, model);
}

static void put_proof(const struct page *p) {
  if (field(p->answer, "event").n) {
    buf_append_str(p->out, "\nevent\n  ");
    show_value(p->out, field(p->answer, "event"), NULL);
    buf_append_u8(p->out, '\n');
  }
  if (field_is_nil(p->answer, "reproduced")) {
    buf_append_str(p->out,
                   "\nreproduced: not tried: what the lead did before is older than the journal that is kept, and "
                   "no base reaches back so far\n");
    return;
  }
  bool same = field_is(p->answer, "reproduced");
  buf_printf(p->out, "\nreproduced: %s\n",
             same ? "yes, computed again from the journal it is the same to the byte"
                  : "NO, computed again from the journal it comes out otherwise; run intentd's own checks on this data "
                    "directory");
}

// What the reader called the lead; a decision's or a lead's id is no name.
static struct bytes name_of(const struct args *args, const struct page *p) {
  struct bytes said = bytes_str(args->operand[0]), lead = field_text(p->decision, "lead");
  bool is_id = said.n >= lead.n && memcmp(said.p, lead.p, lead.n) == 0;
  return is_id ? (struct bytes){0} : said;
}

static void put_page(const struct args *args, struct bytes answer, struct buf *out) {
  static const char *const combined[] = {"model", "fit",   "engagement", "constant", "adjust",
                                         "cap",   "floor", "rounding",   NULL};
  static const char *const intent[] = {"evidence", "channel_cap", NULL};
  struct page page = {.answer = answer, .decision = field(answer, "decision"), .width = show_width(), .out = out};
  page.all = args_flag(args, "all"), page.trace = args_flag(args, "trace");
  put_head(&page);
  buf_append_u8(out, '\n');
  story_put(answer, name_of(args, &page), page.width, out);
  put_sum(&page, "score", combined, "scores.combined");
  put_parts(&page);
  put_sum(&page, "evidence", intent, "scores.intent");
  put_moves(&page);
  put_suppressed(&page);
  story_put_near(answer, page.all ? 0 : NEAR_MAX, page.width, out);
  if (page.trace) story_put_rules(answer, page.width, out);
  if (page.all || !field(answer, "trace").n) put_conditions(&page);
  put_features(&page);
  put_shapley(&page);
  put_proof(&page);
}

static int ask(const struct args *args, struct client *client, struct buf *answer) {
  struct buf params = {0};
  struct error err = {0};
  bool times = args_flag(args, "trace");
  mp_put_array(&params, 2);
  mp_put_cstr(&params, args->operand[0]);
  mp_put_map(&params, 1u + times);
  mp_put_cstr(&params, "trace");
  mp_put_bool(&params, true);
  if (times) {
    mp_put_cstr(&params, "times");
    mp_put_bool(&params, true);
  }
  int status = client_call(client, "decision.explain", buf_bytes(&params), answer, &err);
  buf_deinit(&params);
  return status < 0 ? connect_fail(args, client, status, &err) : 0;
}

static int run(const struct args *args) {
  struct client *client;
  struct buf answer = {0}, out = {0};
  int code = connect_daemon(args, &client);
  if (code) return code;
  code = ask(args, client, &answer);
  if (code == 0) {
    if (args_flag(args, "json"))
      show_json(buf_bytes(&answer));
    else
      put_page(args, buf_bytes(&answer), &out);
    show_print(&out);
    bool is_tried = !field_is_nil(buf_bytes(&answer), "reproduced");
    if (is_tried && !field_is(buf_bytes(&answer), "reproduced")) code = COMMAND_NO;
  }
  client_close(client);
  buf_deinit(&answer);
  buf_deinit(&out);
  return code;
}

const struct command command_explain = {
    .name = "explain",
    .operands = "DECISION|LEAD",
    .operands_min = 1,
    .operands_max = 1,
    .uses = USES_DAEMON,
    .summary = "why a decision is what it is, row by row, and that it can be computed again",
    .help =
        "A decision_id, or a lead as for intent lead: then its last decision. Tells what happened and why, shows the\n"
        "ledger (its rows sum to the score) and what nearly happened, the nearest first; with --trace each rule of "
        "the\n"
        "policy, with file and line and what it costs. Computes the decision again from the journal: when that gives\n"
        "another one, the exit code is 1.\n"
        "\n"
        "  intent explain maria@acme.example",
    .options = options,
    .run = run,
};
