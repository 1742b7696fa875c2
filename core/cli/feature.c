#include "cli/feature.h"

#include "base/suggest.h"

const char *feature_data(const struct args *args) {
  const char *data = args_text(args, "data");
  return data ? data : "data";
}

int feature_exit_of(int status) {
  return status == ITD_ENOTFOUND || status == ITD_ECORRUPT ? COMMAND_NO : COMMAND_USAGE;
}

static int run(const struct args *args) {
  static const struct {
    const char *word;
    int (*run)(const struct args *args);
  } words[] = {{"list", feature_list},
               {"show", feature_show},
               {"lineage", feature_lineage},
               {"export", feature_export},
               {"verify", feature_verify}};
  const size_t count = sizeof words / sizeof *words;
  const char *names[8], *word = args->operand[0];
  struct error err = {0};
  for (size_t i = 0; i < count; i++) {
    if (strcmp(word, words[i].word) == 0) return words[i].run(args);
    names[i] = words[i].word;
  }
  const char *near = suggest(bytes_str(word), names, count);
  error_set(&err, ITD_EINVAL, "there is list, show, lineage, export and verify, not \"%.40s\"%s%s%s", word,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  return command_fail(args, COMMAND_USAGE, &err);
}

static const struct option options[] = {
    {"data", "DIR", "the data directory, or a copy of it (default ./data)"},
    {"policy", "DIR", "list, show, lineage: of a policy's files instead of the directory's newest version"},
    {"at", "WHAT", "export: decisions, or labels (the same rows with labels)"},
    {"label", "EVENT",
     "export: a column: did this event come within --horizon? Several times: several; default: the set's labels"},
    {"horizon", "TIME", "export: 12h, 30d: how long after a decision the event may come"},
    {"since", "T", "export: decisions from then on: a time, or how long ago (7d)"},
    {"until", "T", "export: decisions until then"},
    {"where", "NAME=VALUE", "export: decisions with this stage, action, owner, band, cause, policy or lead"},
    {"format", "F", "export: csv or msgpack (default csv)"},
    {"out", "FILE", "export: write there instead of to standard output"},
    {"personal", NULL, "export: personal features are columns, too"},
    {"sample", "N", "verify: so many leads (default 1000)"},
    {"seed", "N", "verify: which leads the sample takes (default 0)"},
    {"all", NULL, "verify: every lead"},
    {0}};

const struct command command_feature = {
    .name = "feature",
    .operands = "list|show|lineage|export|verify [NAME]",
    .operands_min = 1,
    .operands_max = 2,
    .uses = USES_POLICIES,
    .summary = "what is declared, who reads it, what it was at each decision, and whether the bits are right",
    .help =
        "Work on a data directory's files, of a running daemon too, and write nothing to it "
        "(docs/feature-store.md).\n\n"
        "list, show NAME, lineage NAME: of the newest version in the directory, or of the files of --policy DIR: what "
        "each\n"
        "feature is, its definition's hash and cost; which events feed it; which models, rules and derived features "
        "read\n"
        "it, since when, and (with a data directory) how many decisions did.\n"
        "export: a row for each decision with every feature as it was at it, folded anew from the journal by the "
        "engine's\n"
        "own code; with --at labels also whether an event came within a time after it. Personal features only with\n"
        "--personal.\n"
        "verify: folds a sample of leads anew and compares its bits with what the directory holds. Exit code 1: "
        "something\n"
        "differs; it is named.\n\n"
        "  intent feature list --policy policies/b2b_saas\n"
        "  intent feature lineage usage_7d --data data\n"
        "  intent feature export --at decisions --data data --out rows.csv\n"
        "  intent feature export --at labels --label crm.opportunity_won --horizon 30d --data data > rows.csv\n"
        "  intent feature verify --data data --all",
    .options = options,
    .run = run,
};
