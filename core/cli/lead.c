// intent lead: what is known about one lead now; and intent lead forget: that nothing is known of it any more.
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/lead_fixture.h"
#include "cli/lead_say.h"
#include "cli/show.h"

#include <stdio.h>

static void score_cell(struct buf *cell, struct bytes decision, const char *name) {
  char path[32];
  snprintf(path, sizeof path, "scores.%s", name);
  buf_printf(cell, "%s%s ", cell->n ? "   " : "", name);
  if (field_is_nil(decision, path))
    buf_append_u8(cell, '-');
  else
    show_score(cell, field_int(decision, path, 0));
}

static void scores_row(struct grid *t, struct bytes decision) {
  struct buf text = {0};
  static const char *const names[] = {"combined", "fit", "engagement", "intent"};
  for (size_t i = 0; i < 4; i++) score_cell(&text, decision, names[i]);
  grid_add_str(t, "scores");
  grid_add(t, buf_bytes(&text));
  buf_deinit(&text);
}

static void stage_row(struct grid *t, struct bytes lead) {
  int64_t now = field_int(lead, "now", 0), since = field_int(lead, "stage_since", now);
  grid_add_str(t, "stage");
  struct buf *cell = grid_cell(t);
  show_text(cell, field_text(lead, "stage"));
  buf_append_str(cell, " since ");
  show_time(cell, since);
  if (now > since) {
    buf_append_str(cell, ", ");
    show_span(cell, now - since);
  }
  grid_end(t);
}

static void identities_rows(struct grid *t, struct bytes list) {
  struct bytes identity;
  for (struct each each = each_of(list); each_next(&each, &identity);) {
    struct bytes kind = field_text(identity, "kind");
    grid_add_str(t, bytes_is(kind, "userId") ? "userId" : "anonymousId");
    show_text(grid_cell(t), field_text(identity, "value"));
    grid_end(t);
  }
}

static void timers_rows(struct grid *t, struct bytes lead) {
  struct bytes timer;
  for (struct each each = each_of(field(lead, "timers")); each_next(&each, &timer);) {
    grid_add_str(t, "timer");
    struct buf *cell = grid_cell(t);
    show_text(cell, field_text(timer, "transition"));
    buf_append_str(cell, ", due ");
    show_time(cell, field_int(timer, "due", 0));
    grid_end(t);
  }
}

// "chen, by hand since …, by uid 1000: asked for her"; whether it was accepted; who gave it back.
static void put_word(struct buf *cell, struct bytes word) {
  show_time(cell, field_int(word, "at", 0));
  if (field_text(word, "by").n) buf_append_str(cell, ", by "), show_text(cell, field_text(word, "by"));
  if (field_text(word, "why").n) buf_append_str(cell, ": "), show_text(cell, field_text(word, "why"));
}

static void sales_rows(struct grid *t, struct bytes lead) {
  struct bytes given;
  if (!field_is_nil(lead, "sales.disqualified")) {
    grid_add_str(t, "disqualified");
    put_word(grid_cell(t), field(lead, "sales.disqualified"));
    grid_end(t);
  }
  for (struct each each = each_of(field(lead, "sales.rejected")); each_next(&each, &given);) {
    grid_add_str(t, "given back");
    show_time(grid_cell(t), field_int(given, "at", 0));
    buf_append_str(grid_cell(t), ", by ");
    show_text(grid_cell(t), field_text(given, "owner"));
    grid_end(t);
  }
}

static void owner_row(struct grid *t, struct bytes lead) {
  grid_add_str(t, "owner");
  show_value(grid_cell(t), field(lead, "owner"), NULL);
  if (!field_is_nil(lead, "sales.owner_set")) {
    buf_append_str(grid_cell(t), ", by hand since ");
    put_word(grid_cell(t), field(lead, "sales.owner_set"));
  }
  if (!field_is_nil(lead, "sales.accepted")) {
    buf_append_str(grid_cell(t), ", accepted ");
    show_time(grid_cell(t), field_int(lead, "sales.accepted", 0));
  }
  grid_end(t);
}

// What the policy keeps, by its fields' names.
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

static void decision_rows(struct grid *t, struct bytes decision) {
  if (!decision.n) return;
  scores_row(t, decision);
  grid_add_str(t, "probability");
  buf_printf(grid_cell(t), "%.3f", field_number(decision, "probability", 0));
  grid_end(t);
  static const char *const texts[][2] = {{"band", "band"},
                                         {"action", "action"},
                                         {"held back", "held"},
                                         {"left out", "ineligible"},
                                         {"decision", "decision_id"}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct bytes text = field_text(decision, texts[i][1]);
    if (!text.n) continue;
    grid_add_str(t, texts[i][0]);
    show_text(grid_cell(t), text);
    grid_end(t);
  }
  grid_add_str(t, "policy");
  show_text(grid_cell(t), field_text(decision, "policy.name"));
  buf_append_u8(grid_cell(t), ' ');
  show_text(grid_cell(t), field_text(decision, "policy.version"));
  grid_end(t);
}

static void put_head(struct bytes answer, unsigned width, struct buf *out) {
  struct bytes lead = field(answer, "lead"), decision = field(answer, "decision");
  struct grid t;
  grid_init(&t, "ll");
  grid_add_str(&t, "lead");
  show_text(grid_cell(&t), field_text(lead, "lead"));
  buf_append_str(grid_cell(&t), field_is(lead, "known") ? ", known" : ", anonymous");
  grid_end(&t);
  identities_rows(&t, field(answer, "identities"));
  stage_row(&t, lead);
  owner_row(&t, lead);
  sales_rows(&t, lead);
  decision_rows(&t, decision);
  timers_rows(&t, lead);
  memory_rows(&t, field(lead, "memory"));
  grid_add_str(&t, "seen");
  struct buf *cell = grid_cell(&t);
  show_time(cell, field_int(lead, "first", 0));
  buf_append_str(cell, " to ");
  show_time(cell, field_int(lead, "now", 0));
  buf_append_str(cell, ", ");
  int64_t decisions = field_int(lead, "decisions", 0);
  show_count(cell, (uint64_t)(decisions < 0 ? 0 : decisions));
  buf_append_str(cell, decisions == 1 ? " decision" : " decisions");
  grid_end(&t);
  grid_put(&t, width, out);
  grid_deinit(&t);
}

static int forget(const struct args *args) {
  struct client *client;
  struct buf answer = {0}, out = {0};
  int code = connect_admin(args, &client);
  if (code) return code;
  code = connect_ask(args, client, "lead.forget", args->operand[1], &answer);
  if (code == 0 && args_flag(args, "json")) {
    show_json(buf_bytes(&answer));
  } else if (code == 0) {
    buf_append_str(&out, "lead ");
    show_text(&out, field_text(buf_bytes(&answer), "lead"));
    buf_printf(&out, " is forgotten: %lld records erased, %lld events taken out of quarantine\n",
               (long long)field_int(buf_bytes(&answer), "erased", 0),
               (long long)field_int(buf_bytes(&answer), "quarantined", 0));
    show_print(&out);
  }
  client_close(client);
  buf_deinit(&answer);
  buf_deinit(&out);
  return code;
}

static int run(const struct args *args) {
  if (args->operand_count == 2) {
    struct error err = {0};
    if (bytes_is(bytes_str(args->operand[0]), "forget")) return forget(args);
    error_set(&err, ITD_EINVAL, "intent lead ID, or intent lead forget ID; not \"%.60s\"", args->operand[0]);
    return command_fail(args, COMMAND_USAGE, &err);
  }
  if (lead_says(args)) return lead_say(args);
  if (args_text(args, "fixture")) return lead_fixture(args, args->operand[0], args_text(args, "fixture"));
  struct client *client;
  struct buf answer = {0}, out = {0};
  int code = connect_daemon(args, &client);
  if (code) return code;
  code = connect_ask(args, client, "lead.get", args->operand[0], &answer);
  if (code == 0 && args_flag(args, "json")) {
    show_json(buf_bytes(&answer));
  } else if (code == 0) {
    put_head(buf_bytes(&answer), show_width(), &out);
    show_features(&out, field(buf_bytes(&answer), "lead.features"), show_width());
    show_print(&out);
  }
  client_close(client);
  buf_deinit(&answer);
  buf_deinit(&out);
  return code;
}

static const struct option options[] = {
    LEAD_SAY_OPTIONS,
    {"fixture", "FILE", "write the lead's events to this file instead, for specs: a line of JSON each"},
    {0}};

const struct command command_lead = {
    .name = "lead",
    .operands = "[forget] ID",
    .operands_min = 1,
    .operands_max = 2,
    .uses = USES_DAEMON,
    .summary = "what is known about a lead: stage, owner, scores, features, timers",
    .help =
        "ID is a userId, an anonymousId, or a lead's own id (32 hexadecimal digits, as decisions show it).\n"
        "Scores are points of 0 to 100 on the scorecard scale; durations are milliseconds. Personal values are not "
        "shown.\n"
        "\n"
        "\"forget\" takes the lead out for good, over the socket in the data directory (--data DIR, default "
        "./data): nothing "
        "of it can\n"
        "be read afterwards, and the next event of the same person begins a new lead.\n"
        "\n"
        "--owner, --disqualify and the others say what sales says of the lead, which outranks rules: an event of the "
        "lead, over the\n"
        "socket in the data directory, with who said it and --why.\n"
        "\n"
        "--fixture writes what the lead did as the journal of the data directory (--data) has it, for a spec "
        "(fixture \"FILE\") or for\n"
        "intent send. Personal values are left out and ids are made up; what the policy reads of the left out has to "
        "be added by\n"
        "hand. With the lead's own id no daemon is needed.\n"
        "\n"
        "  intent lead maria@acme.example\n"
        "  intent lead maria@acme.example --data data --fixture policies/b2b_saas/fixtures/maria.jsonl\n"
        "  intent lead maria@acme.example --owner chen --why \"Knows them.\"\n"
        "  intent lead forget maria@acme.example --data /var/lib/intentd",
    .options = options,
    .run = run,
};
