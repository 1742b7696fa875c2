// intent check: everything that is wrong with a policy, before anybody's lead meets it.
#include "base/clock.h"
#include "cli/feature_history.h"
#include "cli/folder.h"
#include "cli/show.h"
#include "wire/mp.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_summary(const struct folder *folder, const struct policy *policy, const struct policy_report *report,
                          bool json) {
  struct buf out = {0};
  size_t warnings = report->count - report->errors;
  if (json) {
    mp_put_map(&out, 5);
    mp_put_cstr(&out, "policy"), mp_put_cstr(&out, folder->name);
    mp_put_cstr(&out, "version");
    if (policy)
      mp_put_cstr(&out, policy_info(policy)->version);
    else
      mp_put_nil(&out);
    mp_put_cstr(&out, "ok"), mp_put_bool(&out, policy != NULL);
    mp_put_cstr(&out, "errors"), mp_put_uint(&out, report->errors);
    mp_put_cstr(&out, "warnings"), mp_put_uint(&out, warnings);
    show_json(buf_bytes(&out));
  } else if (policy) {
    buf_printf(&out, "%s: ok, version %s, signals %s, %zu features, %zu conditions", folder->name,
               policy_info(policy)->version, policy_info(policy)->signals, feature_count(policy_features(policy)),
               policy_entries(policy, POLICY_CONDITIONS));
    if (policy_info(policy)->custom)
      buf_printf(&out, ", %zu custom function%s that check can't look into", policy_info(policy)->custom,
                 policy_info(policy)->custom == 1 ? "" : "s");
    if (warnings) buf_printf(&out, ", %zu warning%s", warnings, warnings == 1 ? "" : "s");
    buf_append_u8(&out, '\n');
    show_print(&out);
  } else {
    buf_printf(&out, "%s: %zu error%s, %zu warning%s\n", folder->name, report->errors, report->errors == 1 ? "" : "s",
               warnings, warnings == 1 ? "" : "s");
    show_print(&out);
  }
  buf_deinit(&out);
}

// ---- against what was in force ----
// A feature that means something else than a version of the same number did: whoever was told that number, and models,
// would not notice.
static void compare_version(const struct policy *policy, const struct version_history *was,
                            struct policy_report *report) {
  const struct feature_set *set = policy_features(policy), *old = policy_features(was->policy);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    int at = feature_find(old, bytes_str(info->name));
    if (at < 0 || feature_info(old, (size_t)at)->definition_hash == info->definition_hash) continue;
    struct policy_problem problem = {.is_error = true};
    char since[TIME_TEXT_MAX] = "before the journal that is kept";
    if (was->since_ms != INT64_MIN) time_format(was->since_ms, since);
    snprintf(problem.path, sizeof problem.path, "%s", policy_feature_file(policy, i));
    snprintf(
        problem.text, sizeof problem.text,
        "feature '%s' means something else than in %s as it was in force (policy %s, %s): raise the set's version, so "
        "that each policy that reads it is looked at",
        info->name, policy_info(policy)->signals, policy_info(was->policy)->version, since);
    policy_report_add(report, &problem);
  }
}

// Schemas against those of any version of the set: an event that claims a number may be of any time.
static void compare_schemas(const struct policy *policy, const struct policy *was, struct policy_report *report) {
  const char *set = policy_info(policy)->signals, *theirs = policy_info(was)->signals;
  size_t n = strcspn(set, "@"), known = report->count, kept = known, errors = report->errors;
  if (strcspn(theirs, "@") != n || strncmp(set, theirs, n) != 0) return;
  policy_check_schemas(policy, was, report);
  for (size_t i = known; i < report->count; i++) { // many versions say the same
    struct policy_problem problem = report->problem[i];
    bool is_said = false;
    for (size_t k = 0; k < kept && !is_said; k++)
      is_said =
          strcmp(report->problem[k].path, problem.path) == 0 && strcmp(report->problem[k].text, problem.text) == 0;
    if (is_said) continue;
    report->problem[kept++] = problem;
    errors += problem.is_error;
  }
  report->count = kept;
  report->errors = errors;
}

// Features against the newest version of each number alone: what was changed and changed back is what it was.
static int compare_history(const struct args *args, const struct policy *policy, struct policy_report *report,
                           struct error *err) {
  struct feature_history history;
  int rc = feature_history_read(args_text(args, "data"), false, NULL, NULL, &history, err);
  if (rc) return rc;
  for (size_t i = 0; i < history.count; i++)
    if (history.version[i].policy) compare_schemas(policy, history.version[i].policy, report);
  for (size_t i = history.count; i-- > 0;) {
    const struct version_history *was = &history.version[i];
    if (!was->policy || strcmp(policy_info(was->policy)->signals, policy_info(policy)->signals) != 0) continue;
    compare_version(policy, was, report);
    break;
  }
  feature_history_deinit(&history);
  return 0;
}

// `intent test` takes the folder of a signal set, so it is tried here, too.
static int refuse_set(const struct folder *folder, struct error *err) {
  struct buf head = {0};
  buf_printf(&head, "%s/signals.lua", folder->dir);
  buf_append_u8(&head, 0);
  bool is_set = access((const char *)head.p, F_OK) == 0;
  buf_deinit(&head);
  if (!is_set) return 0;
  return error_set(err, ITD_EINVAL,
                   "%.300s is a signal set: check a policy that reads it, and all of the set is checked with it",
                   folder->dir);
}

static int run(const struct args *args) {
  struct folder folder;
  struct error err = {0};
  if (folder_find(args, &folder, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  if (refuse_set(&folder, &err) < 0) {
    folder_deinit(&folder);
    return command_fail(args, COMMAND_USAGE, &err);
  }
  struct policy *policy = NULL;
  struct policy_report report = {0};
  int status = folder_load(&folder, &policy, &report, &err);
  bool json = args_flag(args, "json");
  if (status == 0 && args_text(args, "data") && compare_history(args, policy, &report, &err) < 0) {
    policy_report_deinit(&report);
    policy_release(policy);
    folder_deinit(&folder);
    return command_fail(args, COMMAND_USAGE, &err);
  }
  if (policy && report.errors) policy_release(policy), policy = NULL;
  folder_print(&folder, &report, json);
  print_summary(&folder, policy, &report, json);
  int code = status == 0 && report.errors == 0 ? COMMAND_OK : COMMAND_NO;
  if (status < 0 && report.errors == 0) code = command_fail(args, COMMAND_NO, &err);
  policy_report_deinit(&report);
  policy_release(policy);
  folder_deinit(&folder);
  return code;
}

static const struct option options[] = {
    {"data", "DIR", "compare with the versions that were in force in this data directory, or a copy of it"}, {0}};

const struct command command_check = {
    .name = "check",
    .operands = "DIR",
    .operands_min = 1,
    .operands_max = 1,
    .uses = USES_POLICIES,
    .summary = "everything that is wrong with a policy, with file and line",
    .help =
        "DIR is a policy's folder, such as policies/b2b_saas. Loads it as the daemon would (its modules, data, signal "
        "set and\n"
        "models), without a daemon, and prints each finding as path:line: error: text. Warnings let a policy load.\n"
        "With --data also whether a feature changed its meaning though its set's version did not rise, by the versions "
        "that "
        "the\n"
        "data directory keeps; and whether a schema that was in force is another now, or gone.\n"
        "\n"
        "  intent check policies/b2b_saas\n"
        "  intent check policies/b2b_saas --data data",
    .options = options,
    .run = run,
};
