#include "net/models.h"

#include "base/log.h"
#include "store/model_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct model_places places_of(const struct daemon *daemon) {
  return (struct model_places){.models_dir = daemon->config->models,
                               .data_dir = daemon->config->data,
                               .history = &daemon->models,
                               .policy = daemon->release.policy};
}

static void put_text(struct buf *out, const char *key, const char *text) {
  mp_put_cstr(out, key);
  mp_put_cstr(out, text);
}

int models_put_list(struct daemon *daemon, struct buf *out, struct error *err) {
  const struct model_places places = places_of(daemon);
  struct buf list = {0};
  int status = model_list_put(&places, NULL, &list, err);
  if (status >= 0) {
    const struct policy_info *info = policy_info(daemon->release.policy);
    mp_put_map(out, 3);
    put_text(out, "folder", daemon->config->models);
    mp_put_cstr(out, "policy"), mp_put_map(out, 2);
    put_text(out, "name", info->name), put_text(out, "version", info->version);
    mp_put_cstr(out, "models"), buf_append_bytes(out, buf_bytes(&list));
  }
  buf_deinit(&list);
  return status < 0 ? status : 0;
}

// ---- what may be put in force ----

// The models that the policy reads, for a message.
static void put_names(const struct policy *policy, struct buf *out) {
  for (size_t role = 0; role < policy_roles(); role++) {
    struct policy_model_use use;
    if (policy_model_of(policy, role, &use)) buf_printf(out, "%s%s", out->n ? ", " : "", use.model.name);
  }
  buf_append_u8(out, 0);
}

// The version of a model that is in force now, when the policy lets it be another.
static int find_use(const struct policy *policy, const char *name, const char **version, struct error *err) {
  const char *policy_name = policy_info(policy)->name;
  *version = NULL;
  for (size_t role = 0; role < policy_roles(); role++) {
    struct policy_model_use use;
    if (!policy_model_of(policy, role, &use) || strcmp(use.model.name, name) != 0) continue;
    if (use.is_pinned)
      return error_set(
          err, ITD_EMODEL,
          "policy %s names %s@%s in policies/%s/policy.lua, and so its version goes with the policy: write "
          "%s = \"%s\" there to put versions in force apart from it",
          policy_name, name, use.model.version, policy_name, use.role, name);
    *version = use.model.version;
  }
  if (*version) return 0;
  struct buf names = {0};
  put_names(policy, &names);
  int status = error_set(err, ITD_ENOTFOUND, "policy %s reads no model %s; it reads %s", policy_name, name,
                         names.n > 1 ? (const char *)names.p : "none");
  buf_deinit(&names);
  return status;
}

// ---- what does not fit ----

struct problems {
  struct buf texts;
  uint32_t count;
};

static void add_problem(struct problems *p, const char *text) {
  mp_put_cstr(&p->texts, text);
  p->count++;
}

static void add_feature(void *context, const char *feature, const char *problem) {
  (void)feature;
  if (problem) add_problem(context, problem);
}

// Each feature that is another, not only as many as one message holds; else what loading said.
static void list_problems(const struct daemon *daemon, const struct policy_model *model,
                          const struct policy_report *report, const struct error *err, struct problems *p) {
  struct model *parsed = NULL;
  struct error ignored = {0};
  if (model_parse(model->model_json, model->weights_json, &parsed, &ignored) == 0)
    model_match(parsed, policy_features(daemon->release.policy), add_feature, p);
  model_free(parsed);
  for (size_t i = 0; p->count == 0 && i < report->count; i++) {
    char text[800];
    snprintf(text, sizeof text, "%s: %s", report->problem[i].path, report->problem[i].text);
    if (report->problem[i].is_error) mp_put_cstr(&p->texts, text);
  }
  for (size_t i = 0; p->count == 0 && i < report->count; i++) p->count += report->problem[i].is_error;
  if (p->count == 0) add_problem(p, err->text);
}

static void put_answer(const struct daemon *daemon, const struct model_order *order, const char *version,
                       const char *before, const struct problems *problems, struct buf *out) {
  mp_put_map(out, 8);
  mp_put_cstr(out, "changed"), mp_put_bool(out, problems->count == 0 && strcmp(version, before) != 0);
  put_text(out, "name", order->name);
  put_text(out, "version", version);
  put_text(out, "before", before);
  mp_put_cstr(out, "number"), mp_put_uint(out, daemon->release.number);
  put_text(out, "why", order->why);
  put_text(out, "by", order->by);
  mp_put_cstr(out, "problems"), mp_put_array(out, problems->count);
  buf_append_bytes(out, buf_bytes(&problems->texts));
}

// ---- putting in force ----

static int switch_to(struct daemon *daemon, const struct model_order *order, const struct policy_model *model,
                     struct problems *problems, struct error *err) {
  struct policy *policy = NULL;
  struct policy_report report = {0};
  const struct release_cause cause = {
      .how = order->is_rollback ? MODEL_ROLLBACK : MODEL_ACTIVATE, .why = order->why, .by = order->by};
  int status = policy_with_model(daemon->release.policy, model, daemon->config->models, &policy, &report, err);
  if (status == ITD_EMODEL || status == ITD_EPOLICY) {
    list_problems(daemon, model, &report, err, problems);
    log_line(LOG_WARN, "model_refused", "name=%s version=%s by=%s what=%s", model->name, model->version,
             log_quote(order->by), log_quote(err->text));
    status = 0;
  } else if (status == 0) {
    status = release_switch(daemon, policy, &cause, err);
  }
  policy_report_deinit(&report);
  policy_release(policy);
  return status;
}

// The version that is asked for; malloc'd.
static int choose(const struct daemon *daemon, const struct model_order *order, char **version, struct error *err) {
  if (!order->is_rollback) {
    *version = xstrdup(order->version);
    return 0;
  }
  const struct model_use *before = model_history_before(&daemon->models, order->name);
  if (!before)
    return error_set(err, ITD_ENOTFOUND,
                     "no version of %s was in force before the one that is, so there is none to go back to",
                     order->name);
  *version = xstrdup(before->version);
  return 0;
}

int models_put_in_force(struct daemon *daemon, const struct model_order *order, struct buf *answer, struct error *err) {
  const char *in_force;
  char *version = NULL, *before = NULL;
  struct problems problems = {0};
  struct buf json = {0}, weights = {0};
  const struct model_places places = places_of(daemon);
  int status = find_use(daemon->release.policy, order->name, &in_force, err);
  if (status == 0) status = choose(daemon, order, &version, err);
  if (status == 0) before = xstrdup(in_force); // it goes with the release
  if (status == 0) status = model_files(&places, order->name, version, &json, &weights, err);
  if (status == 0 && strcmp(version, before) != 0) {
    const struct policy_model model = {order->name, version, buf_bytes(&json), buf_bytes(&weights)};
    status = switch_to(daemon, order, &model, &problems, err);
  }
  if (status == 0) put_answer(daemon, order, version, before, &problems, answer);
  buf_deinit(&json), buf_deinit(&weights), buf_deinit(&problems.texts);
  free(version), free(before);
  return status;
}
