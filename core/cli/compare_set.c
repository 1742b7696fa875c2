#include "cli/compare_set.h"

#include <stdio.h>
#include <string.h>

void compare_features(const struct policy *policy, const struct policy *was, const char *as,
                      struct policy_report *report) {
  if (strcmp(policy_info(was)->signals, policy_info(policy)->signals) != 0) return;
  const struct feature_set *set = policy_features(policy), *old = policy_features(was);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    int at = feature_find(old, bytes_str(info->name));
    if (at < 0 || feature_info(old, (size_t)at)->definition_hash == info->definition_hash) continue;
    struct policy_problem problem = {.is_error = true, .line = policy_feature_line(policy, i)};
    snprintf(problem.path, sizeof problem.path, "%s", policy_feature_file(policy, i));
    snprintf(problem.text, sizeof problem.text,
             "feature '%s' means something else than in %s %s: raise the set's version, so that each policy that reads "
             "it is "
             "looked at",
             info->name, policy_info(policy)->signals, as);
    policy_report_add(report, &problem);
  }
}

// Many versions say the same: of the problems from `known` on those stay that are not there already.
static void drop_said(struct policy_report *report, size_t known) {
  size_t kept = known, errors = 0;
  for (size_t i = 0; i < known; i++) errors += report->problem[i].is_error;
  for (size_t i = known; i < report->count; i++) {
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

void compare_stages(const struct policy *policy, const struct policy *was, const char *as,
                    struct policy_report *report) {
  size_t known = report->count;
  if (strcmp(policy_info(was)->name, policy_info(policy)->name) != 0) return;
  if (policy_entries(policy, POLICY_STAGES) == 0 || policy_entries(was, POLICY_STAGES) == 0) return; // a signal set
  policy_check_stages(policy, was, as, report);
  policy_check_fields(policy, was, as, report);
  drop_said(report, known);
}

void compare_schemas(const struct policy *policy, const struct policy *was, struct policy_report *report) {
  const char *set = policy_info(policy)->signals, *theirs = policy_info(was)->signals;
  size_t n = strcspn(set, "@"), known = report->count;
  if (strcspn(theirs, "@") != n || strncmp(set, theirs, n) != 0) return;
  policy_check_schemas(policy, was, report);
  drop_said(report, known);
}
