#include "cli/model.h"

#include "base/buf.h"
#include "base/suggest.h"
#include "cli/folder.h"
#include "store/in_force.h"

#include <unistd.h>

// A word of `intent model`, and how many operands may follow it.
static const struct word {
  const char *word;
  int (*run)(const struct args *args);
  unsigned least, most;
} words[] = {{"list", model_list, 0, 1},         {"show", model_show, 1, 2},         {"compare", model_compare, 3, 3},
             {"activate", model_activate, 2, 2}, {"rollback", model_rollback, 1, 1}, {"quality", model_quality, 0, 1},
             {"shadow", model_shadow, 2, 2},     {"canary", model_canary, 3, 3},     {"retrain", model_retrain, 0, 1}};
#define WORDS (sizeof words / sizeof *words)

const char *model_folder(const struct args *args) {
  const char *given = args_text(args, "models");
  if (given) return given;
  return access("policies/models", F_OK) == 0 ? "policies/models" : "models";
}

int model_exit_of(int status) {
  return status == ITD_ENOTFOUND || status == ITD_ECORRUPT || status == ITD_EMODEL ? COMMAND_NO : COMMAND_USAGE;
}

// ---- as files ----

// The one in force; until that comes (it may not read any more, or the journal has no release) the newest.
static void take_in_force(void *context, uint32_t number, const struct policy *policy) {
  struct model_search *search = context;
  if (search->policy && search->policy_number == search->in_force) return;
  if (search->policy) policy_release(search->policy);
  search->policy_number = number;
  search->policy = (struct policy *)(uintptr_t)policy;
  policy_retain(search->policy);
}

static int load_policy(const struct args *args, const char *dir, struct policy **policy, struct error *err) {
  struct folder folder;
  struct policy_report report = {0};
  int status = folder_find_at(args, dir, &folder, err);
  if (status < 0) return status;
  status = folder_load(&folder, policy, &report, err);
  policy_report_deinit(&report);
  folder_deinit(&folder);
  return status;
}

int model_search_open(const struct args *args, struct model_search *f) {
  const char *data = args_text(args, "data"), *policy = args_text(args, "policy");
  struct error err = {0};
  *f = (struct model_search){.places = {.models_dir = model_folder(args), .data_dir = data}};
  int status = data ? model_history_read(data, &f->history, &err) : 0;
  if (status == 0 && data) f->places.history = &f->history;
  if (status == 0 && policy) status = load_policy(args, policy, &f->policy, &err);
  if (status == 0 && data && !policy) status = in_force_number(data, &f->in_force, &err);
  if (status == 0 && data && !policy) status = versions_walk(data, take_in_force, f, &err);
  f->places.policy = f->policy;
  if (status == 0) return 0;
  model_search_close(f);
  return command_fail(args, model_exit_of(status), &err);
}

void model_search_close(struct model_search *f) {
  model_history_deinit(&f->history);
  if (f->policy) policy_release(f->policy);
  *f = (struct model_search){0};
}

// ---- the command ----

static int run(const struct args *args) {
  const char *names[WORDS], *word = args->operand[0];
  struct error err = {0};
  struct buf all = {0};
  for (size_t i = 0; i < WORDS; i++) {
    unsigned given = (unsigned)args->operand_count - 1;
    names[i] = words[i].word;
    buf_printf(&all, "%s%s", i == 0 ? "" : i + 1 < WORDS ? ", " : " and ", words[i].word);
    if (strcmp(word, words[i].word) != 0) continue;
    buf_deinit(&all);
    if (given >= words[i].least && given <= words[i].most) return words[i].run(args);
    if (words[i].least == words[i].most)
      error_set(&err, ITD_EINVAL, "%s takes %u name%s, not %u", word, words[i].least, words[i].least == 1 ? "" : "s",
                given);
    else
      error_set(&err, ITD_EINVAL, "%s takes %u to %u names, not %u", word, words[i].least, words[i].most, given);
    return command_fail(args, COMMAND_USAGE, &err);
  }
  const char *near = suggest(bytes_str(word), names, WORDS);
  error_set(&err, ITD_EINVAL, "there is %.*s, not \"%.40s\"%s%s%s", (int)all.n, (const char *)all.p, word,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  buf_deinit(&all);
  return command_fail(args, COMMAND_USAGE, &err);
}

static const struct option options[] = {
    {"data", "DIR",
     "the data directory (default ./data): list and show say what was in force there; activate, canary and rollback "
     "ask the "
     "daemon that runs on it; quality, shadow and compare read its journal, of a copy too"},
    {"models", "DIR", "the folder of models (default policies/models when it is there, else models)"},
    {"scripts", "DIR", "the library that --policy is loaded with"},
    {"why", "TEXT", "activate, canary, rollback: the reason, which the journal keeps"},
    {"label", "EVENT",
     "quality, shadow: what the scores foretell, in place of the labels that the signal set declares"},
    {"horizon", "TIME", "quality, shadow: 12h, 30d: how long after a decision --label may come"},
    {"since", "T", "shadow, compare: decisions from then on: a time, or how long ago (90d)"},
    {"by", "PERIOD", "quality: week, month or all (default month)"},
    {"policy", "DIR", "list, show: hold them against this policy's files; retrain: whose signal set the rows are of"},
    {"without", "a,b", "retrain: features that the candidate does not get, as intent train has it"},
    {"candidates", "DIR", "retrain: the folder for what it trains (default candidates)"},
    {"triggers", NULL, "quality: only say which retraining triggers of the policy fire; exit code 1: one does"},
    {0}};

const struct command command_model = {
    .name = "model",
    .operands = "list|show|compare|activate|canary|rollback|quality|shadow|retrain [NAME [VERSION [VERSION|SHARE]]]",
    .operands_min = 1,
    .operands_max = 4,
    .summary = "the models that there are, which is in force and how good it proved; put a version in force, go back",
    .help =
        "list [NAME]: every version in the folder, and with --data DIR every one that was ever in force there: which "
        "is, since when, by whom\n"
        "and why, and what does not load or does not fit the policy. While a daemon runs on DIR it answers.\n"
        "show NAME [VERSION]: what model.json says, in readable form, and whether each feature is as the policy has "
        "it. Without VERSION the one\n"
        "in force, else the highest.\n"
        "compare NAME A B: what one version has that the other has not: features, definitions, training, and the "
        "metrics "
        "of both.\n"
        "With --data DIR also how the scores of the decisions in its journal would have moved from A to B: their "
        "spread, the rank\n"
        "correlation, the largest changes.\n"
        "activate NAME VERSION --why TEXT: the daemon on DIR puts that version in force under the policy that is in "
        "force, on all shards\n"
        "between two events of each, or says what does not fit (exit code 1) and changes nothing. It stays over "
        "restarts.\n"
        "canary NAME VERSION SHARE --why TEXT: that version decides for a share of the leads, 5% or 0.5%, beside the "
        "one "
        "in force; always for the\n"
        "same leads, and with a larger share for more. quality tells both apart. activate makes it that of all leads, "
        "0% "
        "or rollback ends it.\n"
        "rollback NAME --why TEXT: ends the canary; where there is none, the version that was in force before, also "
        "when "
        "the folder has it no longer.\n"
        "quality [NAME[@VERSION]]: how the scores of decisions stood against what came of them, by the labels of the "
        "signal set:\n"
        "AUC, calibration and lift over time, beside what they were at training. Reads the journal of --data and "
        "writes nothing.\n"
        "shadow NAME VERSION: what a version that decides nothing would have said of the same decisions, beside the "
        "one that decided.\n"
        "retrain [NAME]: where a retraining trigger of the policy fires, trains a candidate on the journal and shows "
        "it in the shadow;\n"
        "it lies in --candidates, where no daemon looks. Exit code 1: a trigger fired.\n\n"
        "  intent model list --data data\n"
        "  intent model show b2b_fit 2 --data data\n"
        "  intent model compare b2b_fit 1 2 --data data --since 90d\n"
        "  intent model activate b2b_fit 2 --why \"ranks better on the last two months\" --data data\n"
        "  intent model canary b2b_fit 3 5% --why \"trained on the new labels\" --data data\n"
        "  intent model rollback b2b_fit --why \"sales got too many calls\" --data data\n"
        "  intent model quality b2b_engagement --data data --by week\n"
        "  intent model shadow b2b_engagement 2 --data data\n"
        "  intent model quality --data data --triggers || mail -s \"a model has aged\" data-team",
    .options = options,
    .run = run,
};
