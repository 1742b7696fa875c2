#include "cli/model.h"

#include "base/buf.h"
#include "base/suggest.h"

#include <unistd.h>

// A word of `intent model`, and how many operands may follow it.
static const struct word {
  const char *word;
  int (*run)(const struct args *args);
  unsigned least, most;
} words[] = {{"list", model_list, 0, 1},
             {"show", model_show, 1, 2},
             {"quality", model_quality, 0, 1},
             {"shadow", model_shadow, 2, 2},
             {"retrain", model_retrain, 0, 1}};
#define WORDS (sizeof words / sizeof *words)

const char *model_folder(const struct args *args) {
  const char *given = args_text(args, "models");
  if (given) return given;
  return access("policies/models", F_OK) == 0 ? "policies/models" : "models";
}

int model_exit_of(int status) {
  return status == ITD_ENOTFOUND || status == ITD_ECORRUPT || status == ITD_EMODEL ? COMMAND_NO : COMMAND_USAGE;
}

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
    {"models", "DIR", "the folder of models (default policies/models when it is there, else models)"},
    {"data", "DIR", "quality, shadow: the data directory, or a copy of it (default ./data)"},
    {"label", "EVENT",
     "quality, shadow: what the scores foretell, in place of the labels that the signal set declares"},
    {"horizon", "TIME", "quality, shadow: 12h, 30d: how long after a decision --label may come"},
    {"since", "T", "shadow: decisions from then on: a time, or how long ago (90d)"},
    {"by", "PERIOD", "quality: week, month or all (default month)"},
    {"policy", "DIR", "retrain: the policy whose signal set the rows are of: policies/NAME"},
    {"without", "a,b", "retrain: features that the candidate does not get, as intent train has it"},
    {"candidates", "DIR", "retrain: the folder for what it trains (default candidates)"},
    {"triggers", NULL, "quality: only say which retraining triggers of the policy fire; exit code 1: one does"},
    {0}};

const struct command command_model = {
    .name = "model",
    .operands = "list|show|quality|shadow|retrain [NAME [VERSION]]",
    .operands_min = 1,
    .operands_max = 4,
    .summary = "the models that there are, what is in one, and how good it proved",
    .help =
        "list: every model and version in the folder, how it was made and how good it is.\n"
        "show NAME [VERSION]: what model.json says, in readable form; without VERSION the highest one.\n"
        "quality [NAME[@VERSION]]: how the scores of decisions stood against what came of them, by the labels of the "
        "signal set:\n"
        "AUC, calibration and lift over time, beside what they were at training. Reads the journal of --data and "
        "writes nothing.\n"
        "shadow NAME VERSION: what a version that decides nothing would have said of the same decisions, beside the "
        "one that decided.\n"
        "retrain [NAME]: where a retraining trigger of the policy fires, trains a candidate on the journal and shows "
        "it in "
        "the shadow;\n"
        "it lies in --candidates, where no daemon looks. Exit code 1: a trigger fired.\n\n"
        "  intent model list --models policies/models\n"
        "  intent model show b2b_fit 1\n"
        "  intent model quality b2b_engagement --data data --by week\n"
        "  intent model shadow b2b_engagement 2 --data data\n"
        "  intent model quality --data data --triggers || mail -s \"a model has aged\" data-team",
    .options = options,
    .run = run,
};
