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
  } words[] = {{"list", feature_list},     {"show", feature_show},     {"lineage", feature_lineage},
               {"export", feature_export}, {"verify", feature_verify}, {"backfill", feature_backfill}};
  const size_t count = sizeof words / sizeof *words;
  const char *names[8], *word = args->operand[0];
  struct error err = {0};
  for (size_t i = 0; i < count; i++) {
    names[i] = words[i].word;
    if (strcmp(word, words[i].word) != 0) continue;
    if (args->operand_count <= 2 || words[i].run == feature_backfill) return words[i].run(args);
    error_set(&err, ITD_EINVAL, "%s takes one name at most", word);
    return command_fail(args, COMMAND_USAGE, &err);
  }
  const char *near = suggest(bytes_str(word), names, count);
  error_set(&err, ITD_EINVAL, "there is list, show, lineage, export, verify and backfill, not \"%.40s\"%s%s%s", word,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  return command_fail(args, COMMAND_USAGE, &err);
}

static const struct option options[] = {
    {"data", "DIR", "the data directory, or a copy of it (default ./data)"},
    {"policy", "DIR", "list, show, lineage: of a policy's files instead of the directory's version in force"},
    {"at", "WHAT", "export: decisions, or labels (the same rows with labels)"},
    {"label", "EVENT",
     "export: a column: did this event come within --horizon? Several times: several; default: the set's labels"},
    {"horizon", "TIME", "export: 12h, 30d: how long after a decision the event may come"},
    {"since", "T", "export: decisions from then on: a time, or how long ago (7d)"},
    {"until", "T", "export: decisions until then"},
    {"where", "NAME=VALUE", "export: decisions with this stage, action, owner, band, cause, policy or lead"},
    {"open", NULL, "export: only decisions that leave the lead in no final stage: those that a model is judged by"},
    {"format", "F", "export: csv or msgpack (default csv)"},
    {"out", "FILE", "export: write there instead of to standard output"},
    {"personal", NULL, "export: personal features are columns, too"},
    {"sample", "N", "verify: so many leads (default 1000)"},
    {"seed", "N", "verify: which leads the sample takes (default 0)"},
    {"all", NULL, "verify: every lead"},
    {"dry-run", NULL, "backfill: only say what the directory's leads are owed"},
    {"status", NULL, "backfill: how far the one that runs is, or how the last one ended"},
    {"stop", NULL, "backfill: end the one that runs"},
    {"switch-in", NULL,
     "backfill: of the version that the daemon's files hold; when all is filled in, put it in force"},
    {0}};

const struct command command_feature = {
    .name = "feature",
    .operands = "list|show|lineage|export|verify|backfill [NAME…]",
    .operands_min = 1,
    .operands_max = 64,
    .uses = USES_POLICIES,
    .summary = "what is declared, who reads it, what it was at each decision, and whether the bits are right",
    .help =
        "Work on a data directory's files, of a running daemon too, and write nothing to it (backfill has the daemon "
        "write;\n"
        "docs/feature-store.md).\n\n"
        "list, show NAME, lineage NAME: of the version in force in the directory, or of the files of --policy DIR: "
        "what "
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
        "differs; it is named.\n"
        "backfill: has the daemon on the directory give features (all, or those named) what its leads' history before "
        "their\n"
        "definitions gives, while it serves. --dry-run says what is owed; exit code 1: something is. --switch-in "
        "begins "
        "with\n"
        "the files' version: the one in force goes on deciding until all leads are filled in, and then that one "
        "does.\n\n"
        "  intent feature list --policy policies/b2b_saas\n"
        "  intent feature lineage usage_7d --data data\n"
        "  intent feature export --at decisions --data data --out rows.csv\n"
        "  intent feature export --at labels --label crm.opportunity_won --horizon 30d --data data > rows.csv\n"
        "  intent feature verify --data data --all\n"
        "  intent feature backfill pricing_views_30d --data data\n"
        "  intent feature backfill --switch-in --data data",
    .options = options,
    .run = run,
};
