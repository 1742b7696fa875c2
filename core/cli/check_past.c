#include "cli/check_past.h"

#include "base/clock.h"
#include "cli/compare_set.h"
#include "cli/feature_history.h"
#include "cli/git_past.h"
#include "cli/temporary.h"

#include <stdio.h>
#include <string.h>

// ---- a data directory ----

static void as_in_force(const struct version_history *was, char as[160]) {
  char since[TIME_TEXT_MAX] = "before the journal that is kept";
  if (was->since_ms != INT64_MIN) time_format(was->since_ms, since);
  snprintf(as, 160, "as it was in force (policy %s, %s)", policy_info(was->policy)->version, since);
}

// Stages against each version: a lead that nothing was heard of is still what the version then said. Each stage is told once.
static void check_stages(const struct policy *policy, const struct feature_history *history,
                         struct policy_report *report) {
  for (size_t i = history->count; i-- > 0;) {
    const struct policy *was = history->version[i].policy;
    if (was) compare_stages(policy, was, "by a version that this data directory was decided with", report);
  }
}

// Features against the newest version of each number alone: what was changed and changed back is what it was.
int check_data(const struct policy *policy, const char *data_dir, struct policy_report *report, struct error *err) {
  struct feature_history history;
  int rc = feature_history_read(data_dir, false, NULL, NULL, &history, err);
  if (rc) return rc;
  for (size_t i = 0; i < history.count; i++)
    if (history.version[i].policy) compare_schemas(policy, history.version[i].policy, report);
  check_stages(policy, &history, report);
  for (size_t i = history.count; i-- > 0;) {
    const struct version_history *was = &history.version[i];
    if (!was->policy || strcmp(policy_info(was->policy)->signals, policy_info(policy)->signals) != 0) continue;
    char as[160];
    as_in_force(was, as);
    compare_features(policy, was->policy, as, report);
    break;
  }
  feature_history_deinit(&history);
  return 0;
}

// ---- git ----

enum { SET_BYTES_MAX = 64 << 20 }; // of one signal set's files

struct past_check {
  const struct folder *folder;
  const struct git_past *past;
  struct policy_report *report;
};

static void warn(const struct past_check *c, const char *path, const char *what, const char *why) {
  struct policy_problem problem = {0};
  snprintf(problem.path, sizeof problem.path, "%s", path);
  snprintf(problem.text, sizeof problem.text, "not compared with %.200s: %.60s%.200s", git_past_name(c->past), what,
           why);
  policy_report_add(c->report, &problem);
}

// What the set was, read by the library of today: the same words must mean the same.
static int load_past(const struct past_check *c, const char *dir, const char *set, struct policy **was,
                     struct error *err) {
  struct buf now = {0}, then = {0};
  buf_printf(&now, "%s/signals/%s%c", c->folder->policies, set, 0);
  buf_printf(&then, "%s/signals/%s%c", dir, set, 0);
  int rc = git_past_extract(c->past, (const char *)now.p, (const char *)then.p, SET_BYTES_MAX, err);
  buf_deinit(&now), buf_deinit(&then);
  if (rc != 0) return rc;
  struct policy_source source = {
      .policies_dir = dir, .models_dir = dir, .scripts_dir = c->folder->scripts, .name = set};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  return policy_load_set(&source, &limits, was, NULL, err);
}

static void compare_set(const struct past_check *c, const struct policy *policy, const char *set, const char *dir) {
  struct policy *was = NULL;
  struct error why = {0};
  char path[200], as[440];
  snprintf(path, sizeof path, "policies/signals/%s/signals.lua", set);
  int rc = load_past(c, dir, set, &was, &why);
  if (rc != 0) {
    warn(c, path, rc == ITD_ENOTFOUND ? "" : "what it was then does not load: ", why.text);
    return;
  }
  snprintf(as, sizeof as, "as it was at %s", git_past_name(c->past));
  compare_features(policy, was, as, c->report);
  compare_schemas(policy, was, c->report);
  policy_release(was);
}

// Files of a version, "NAME/VERSION/FILE", that are others now.
static void found_model(void *context, const char *below) {
  const struct past_check *c = context;
  const char *name = strrchr(below, '/');
  if (!name || (strcmp(name, "/model.json") != 0 && strncmp(name, "/weights.", 9) != 0)) return;
  struct policy_problem problem = {.is_error = true};
  snprintf(problem.path, sizeof problem.path, "models/%s", below);
  snprintf(problem.text, sizeof problem.text,
           "is not what it was at %s: a model's version is never changed, since decisions name it; make a new folder "
           "for the "
           "change",
           git_past_name(c->past));
  policy_report_add(c->report, &problem);
}

// The policy as it was, with the library and the models of today: of what decided then, its stages alone are looked at.
static void compare_policy(const struct past_check *c, const struct policy *policy, const char *dir) {
  struct policy *was = NULL;
  struct error why = {0};
  struct buf now = {0}, then = {0};
  int rc = 0;
  for (size_t i = 0; i < 2 && rc == 0; i++) {
    buf_clear(&now), buf_clear(&then);
    const char *name = i == 0 ? "signals" : c->folder->name;
    buf_printf(&now, "%s/%s%c", c->folder->policies, name, 0);
    buf_printf(&then, "%s/%s%c", dir, name, 0);
    rc = git_past_extract(c->past, (const char *)now.p, (const char *)then.p, SET_BYTES_MAX, &why);
  }
  buf_deinit(&now), buf_deinit(&then);
  if (rc == ITD_ENOTFOUND) return; // it is new
  struct policy_source source = {
      .policies_dir = dir, .models_dir = c->folder->models, .scripts_dir = c->folder->scripts, .name = c->folder->name};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  if (rc == 0) rc = policy_load(&source, &limits, &was, NULL, &why);
  char path[200], as[440];
  snprintf(path, sizeof path, "policies/%s/policy.lua", c->folder->name);
  snprintf(as, sizeof as, "as it was at %s", git_past_name(c->past));
  if (rc == 0)
    compare_stages(policy, was, as, c->report);
  else
    warn(c, path, "what it was then does not load: ", why.text);
  policy_release(was);
}

int check_against(const struct folder *folder, const struct policy *policy, const char *rev,
                  struct policy_report *report, struct buf *said, struct error *err) {
  struct git_past *past = NULL;
  int rc = git_past_open(folder->dir, rev, &past, err);
  if (rc != 0) return rc;
  struct past_check c = {folder, past, report};
  const char *signals = policy_info(policy)->signals;
  char *dir = NULL, set[80];
  snprintf(set, sizeof set, "%.*s", (int)strcspn(signals, "@"), signals);
  rc = temporary_make("check", &dir, err);
  if (rc == 0) {
    compare_set(&c, policy, set, dir);
    temporary_remove(dir);
  }
  if (rc == 0 && !folder->is_set) {
    rc = temporary_make("check", &dir, err);
    if (rc == 0) compare_policy(&c, policy, dir), temporary_remove(dir);
  }
  if (rc == 0) {
    if (!folder->is_set) rc = git_past_changed(past, folder->models, found_model, &c, err);
    buf_append_str(said, git_past_name(past));
  }
  git_past_close(past);
  return rc;
}
