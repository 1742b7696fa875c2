// Stages of one version held against those of another: nobody's stage may go without a word. Pure; any thread.
#include "policy/parts.h"

#include "base/suggest.h"

#include <stdio.h>

static bool has(const struct policy *policy, enum policy_table table, const char *name) {
  for (size_t i = 0; i < policy->artifact->count[table]; i++)
    if (strcmp(policy->artifact->entry[table][i].name, name) == 0) return true;
  return false;
}

static const char *nearest(const struct policy *policy, const char *name) {
  const char *names[ARTIFACT_STAGES_MAX];
  size_t count = policy->artifact->count[POLICY_STAGES];
  for (size_t i = 0; i < count; i++) names[i] = policy->artifact->entry[POLICY_STAGES][i].name;
  return suggest(bytes_str(name), names, count);
}

static void found(const struct policy *policy, const char *name, const char *as, struct policy_report *report) {
  const struct policy_entry *start = &policy->artifact->entry[POLICY_STAGES][0];
  struct policy_problem problem = {.is_error = true, .line = start->line};
  const char *near = nearest(policy, name);
  snprintf(problem.path, sizeof problem.path, "%s", start->path);
  snprintf(
      problem.text, sizeof problem.text,
      "stage '%s' is gone, and leads may be in it %s: say where they are now, journey.was \"%s\" { now = \"%s\", why "
      "= \"…\" }",
      name, as, name, near ? near : "…");
  policy_report_add(report, &problem);
}

// Whether leads that are in a stage would be put where they never were. Nobody is in a stage that has others inside it; and a region that
// goes takes its stages along.
static bool is_lost(const struct policy *policy, const struct policy *was, int stage) {
  const struct artifact_stage *then = &was->artifact->stage[stage];
  bool is_merged;
  if (then->start >= 0) return false;
  int machine = then->machine < 0 ? -1 : state_stage_now(was, policy, then->machine, &is_merged);
  if (then->machine >= 0 && machine < 0) return false;
  int now = state_stage_now(was, policy, stage, &is_merged);
  return now < 0 || policy->artifact->stage[now].machine != machine;
}

size_t policy_check_stages(const struct policy *policy, const struct policy *was, const char *as,
                           struct policy_report *report) {
  const struct artifact *a = was->artifact;
  size_t count = 0;
  for (size_t i = 0; i < a->count[POLICY_STAGES]; i++) {
    if (!is_lost(policy, was, (int)i)) continue;
    found(policy, a->entry[POLICY_STAGES][i].name, as, report);
    count++;
  }
  for (size_t i = 0; i < a->count[POLICY_WAS];
       i++) { // of a version before that, perhaps with leads nobody heard of since
    const char *name = a->entry[POLICY_WAS][i].name;
    if (has(policy, POLICY_STAGES, name) || has(policy, POLICY_WAS, name)) continue;
    found(policy, name, as, report);
    count++;
  }
  return count;
}
