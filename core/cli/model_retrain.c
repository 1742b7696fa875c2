// intent model retrain: for each model of which a trigger fires, a candidate, and how it compares in the shadow. It does what a
// person would by hand, with the same commands, and says them: export, train, shadow. The candidate lies in a folder of its
// own, where no daemon looks: it never decides by itself.
#include "base/date.h"
#include "base/file.h"
#include "cli/model.h"
#include "cli/model_triggers.h"
#include "cli/temporary.h"
#include "policy/registry.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
#define WORDS_MAX 24

// ---- the tool itself, as a person would call it ----
static int run(const char *const *words, struct error *err) {
  char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "intent"};
  pid_t pid;
  int status;
  fputs("$ intent", stderr);
  for (size_t i = 0; words[i] && i < WORDS_MAX; i++) {
    argv[i + 1] = (char *)(uintptr_t)words[i];
    bool is_plain =
        words[i][strspn(words[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:@")] == 0;
    fprintf(stderr, is_plain ? " %s" : " '%s'", words[i]);
  }
  fputc('\n', stderr);
  fflush(stdout);
  int failed = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ);
  if (failed) return error_set(err, ITD_EIO, "intent %s could not be started: %s", words[0], strerror(failed));
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return error_set(err, ITD_EIO, "intent %s: %s", words[0], strerror(errno));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  return error_set(err, ITD_EINTERNAL, "intent %s %s failed, as it said above", words[0], words[1]);
}

struct retraining {
  const struct args *args;
  const struct model_findings *f;
  const char *data, *policy, *candidates;
  char *folder, *rows; // where the rows are, and their file; NULL: not yet
  char day[16];        // of the journal: what model.json names
};

static int export_rows(struct retraining *r, struct error *err) {
  if (r->folder) return 0; // all models are trained on the same rows
  int rc = temporary_make("rows", &r->folder, err);
  if (rc) return rc;
  struct buf path = {0};
  buf_printf(&path, "%s/rows.csv", r->folder);
  r->rows = xstrndup(path.p, path.n);
  buf_deinit(&path);
  const char *words[] = {"feature", "export", "--at", "labels", "--open", "--data", r->data, "--out", r->rows, NULL};
  return run(words, err);
}

static void remove_rows(struct retraining *r) {
  temporary_remove(r->folder);
  free(r->rows);
}

// ---- the candidate ----
// One more than the highest version that there is: "3" and "2026-1" end in a number, others get one.
static void next_version(const char *highest, char out[64]) {
  size_t n = strlen(highest), digits = n;
  while (digits > 0 && highest[digits - 1] >= '0' && highest[digits - 1] <= '9') digits--;
  if (n - digits == 0 || n - digits > 9)
    snprintf(out, 64, "%.50s-2", highest);
  else
    snprintf(out, 64, "%.*s%ld", (int)digits, highest, strtol(highest + digits, NULL, 10) + 1);
}

static void version_for(const struct retraining *r, const char *name, char out[64]) {
  const char *folders[] = {model_folder(r->args), r->candidates};
  char *highest = NULL;
  for (size_t i = 0; i < 2; i++) {
    char *version = NULL;
    struct error ignored = {0};
    if (registry_highest(folders[i], name, &version, &ignored) < 0) continue; // no such folder, or nothing in it
    if (!highest || registry_compare(version, highest) > 0) {
      free(highest);
      highest = version;
    } else {
      free(version);
    }
  }
  next_version(highest ? highest : "0", out);
  free(highest);
}

// What a model in its role may read.
static const char *features_of(const struct policy *policy, const char *name) {
  const struct model_bound *fit = policy_model_fit(policy), *engagement = policy_model_engagement(policy);
  if (fit && strcmp(model_bound_info(fit)->name, name) == 0) return "profile";
  if (engagement && strcmp(model_bound_info(engagement)->name, name) == 0) return "behaviour";
  return "both";
}

static void put_reason(const struct model_finding *f, char out[200]) {
  if (strcmp(f->kind, "age") == 0)
    snprintf(out, 200, "Trained anew: version %s is %.0f days old.", f->model->version, f->value / OUTCOMES_DAY_MS);
  else
    snprintf(out, 200, "Trained anew: %s of version %s is %.3f, its bound %.3f.", f->kind, f->model->version, f->value,
             f->bound);
}

static int train(struct retraining *r, const struct model_finding *f, struct error *err) {
  char version[64], out[PATH_MAX], reason[200];
  const char *name = f->of->model, *label = *f->of->label ? f->of->label : r->f->track.label[0].name;
  version_for(r, name, version);
  snprintf(out, sizeof out, "%s/%s", r->candidates, name);
  put_reason(f, reason);
  int rc = dir_make(out, err);
  if (rc == 0) rc = export_rows(r, err);
  if (rc) return rc;
  snprintf(out, sizeof out, "%s/%s/%s", r->candidates, name, version);
  const char *without = args_text(r->args, "without"), *of = features_of(r->f->track.policy, name);
  const char *words[] = {"train",       r->rows,   "--policy",
                         r->policy,     "--label", label,
                         "--features",  of,        "--out",
                         out,           "--when",  r->day,
                         "--rationale", reason,    without ? "--without" : NULL,
                         without,       NULL};
  rc = run(words, err);
  if (rc) return rc;
  const char *shadow[] = {"model", "shadow", name, version, "--data", r->data, "--models", r->candidates, NULL};
  return run(shadow, err);
}

static bool is_first_of(const struct model_findings *f, size_t index) { // one candidate a model, whatever fires
  for (size_t i = 0; i < index; i++)
    if (f->found[i].fires && strcmp(f->found[i].of->model, f->found[index].of->model) == 0) return false;
  return true;
}

static int train_all(struct retraining *r, struct error *err) {
  struct buf day = {0};
  model_track_day(&day, track_until_ms(r->f->track.track) / OUTCOMES_DAY_MS);
  snprintf(r->day, sizeof r->day, "%.*s", (int)day.n, (const char *)day.p);
  buf_deinit(&day);
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < r->f->count; i++)
    if (r->f->found[i].fires && is_first_of(r->f, i)) rc = train(r, &r->f->found[i], err);
  remove_rows(r);
  return rc;
}

int model_retrain(const struct args *args) {
  struct model_findings f = {0};
  struct retraining r = {.args = args, .f = &f, .data = model_track_dir(args), .policy = args_text(args, "policy")};
  struct error err = {0};
  r.candidates = args_text(args, "candidates") ? args_text(args, "candidates") : "candidates";
  if (!r.policy) {
    error_set(&err, ITD_EINVAL, "retrain needs --policy DIR: the policy whose signal set the rows are of");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  int rc = model_findings_init(args, &f, &err), code = model_track_exit_of(rc);
  if (rc == 0) {
    model_findings_print(args, &f);
    if (f.fired && !*f.track.label[0].event)
      rc = error_set(&err, ITD_EINVAL, "the signal set declares no labels, so there is nothing to train on");
    if (rc == 0 && f.fired) rc = train_all(&r, &err);
    code = COMMAND_FAILED;
  }
  size_t fired = f.fired;
  model_findings_deinit(&f);
  return rc ? command_fail(args, code, &err) : fired ? COMMAND_NO : COMMAND_OK;
}
