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

// ---- what is to be ----

// The versions of a model that decide, and for how many. Texts malloc'd: a release that goes takes its own along.
struct deciding {
  char *in_force, *canary; // canary NULL: none
  uint32_t share;
};

static void deciding_deinit(struct deciding *d) { free(d->in_force), free(d->canary); }

static int deciding_now(const struct policy *policy, const char *name, struct deciding *out, struct error *err) {
  const char *in_force;
  struct policy_model_use use;
  int status = find_use(policy, name, &in_force, err);
  if (status < 0) return status;
  *out = (struct deciding){.in_force = xstrdup(in_force)};
  for (size_t role = 0; role < policy_roles() && !out->canary; role++) {
    if (!policy_canary_of(policy, role, &use) || strcmp(use.model.name, name) != 0) continue;
    out->canary = xstrdup(use.model.version);
    out->share = use.share;
  }
  return 0;
}

static int after_rollback(const struct daemon *daemon, const struct model_order *order, struct deciding *next,
                          struct error *err) {
  if (next->canary) { // the last step is what is taken back
    free(next->canary);
    next->canary = NULL, next->share = 0;
    return 0;
  }
  const struct model_use *before = model_history_before(&daemon->models, order->name);
  if (!before)
    return error_set(err, ITD_ENOTFOUND,
                     "no version of %s was in force before the one that is, so there is none to go back to",
                     order->name);
  free(next->in_force);
  next->in_force = xstrdup(before->version);
  return 0;
}

static int after_canary(const struct model_order *order, struct deciding *next, struct error *err) {
  bool is_there = next->canary && strcmp(next->canary, order->version) == 0;
  if (strcmp(next->in_force, order->version) == 0)
    return error_set(err, ITD_EMODEL, "%s@%s decides for all leads already: a canary is another version beside it",
                     order->name, order->version);
  if (!order->share && !is_there)
    return error_set(err, ITD_ENOTFOUND, "%s@%s is not on canary", order->name, order->version);
  free(next->canary);
  next->canary = order->share ? xstrdup(order->version) : NULL;
  next->share = order->share;
  return 0;
}

// From what is to what the order makes of it.
static int choose(const struct daemon *daemon, const struct model_order *order, const struct deciding *now,
                  struct deciding *next, struct error *err) {
  *next = (struct deciding){
      .in_force = xstrdup(now->in_force), .canary = now->canary ? xstrdup(now->canary) : NULL, .share = now->share};
  if (order->kind == ORDER_CANARY) return after_canary(order, next, err);
  if (order->kind == ORDER_ROLLBACK) return after_rollback(daemon, order, next, err);
  deciding_deinit(next);
  *next = (struct deciding){.in_force = xstrdup(order->version)};
  return 0;
}

static bool is_same(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static void put_text_or_nil(struct buf *out, const char *key, const char *text) {
  mp_put_cstr(out, key);
  if (text)
    mp_put_cstr(out, text);
  else
    mp_put_nil(out);
}

static void put_answer(const struct daemon *daemon, const struct model_order *order, const struct deciding *now,
                       const struct deciding *next, bool is_changed, const struct problems *problems, struct buf *out) {
  mp_put_map(out, 11);
  mp_put_cstr(out, "changed"), mp_put_bool(out, is_changed && problems->count == 0);
  put_text(out, "name", order->name);
  put_text(out, "version", next->in_force);
  put_text(out, "before", now->in_force);
  put_text_or_nil(out, "canary", next->canary);
  mp_put_cstr(out, "share"), mp_put_uint(out, next->share);
  put_text_or_nil(out, "canary_before", now->canary);
  mp_put_cstr(out, "number"), mp_put_uint(out, daemon->release.number);
  put_text(out, "why", order->why);
  put_text(out, "by", order->by);
  mp_put_cstr(out, "problems"), mp_put_array(out, problems->count);
  buf_append_bytes(out, buf_bytes(&problems->texts));
}

// ---- putting in force ----

// The bundle in force with the version that is new in it, in its place or beside it.
static int switch_to(struct daemon *daemon, const struct model_order *order, const struct policy_model *model,
                     const struct deciding *next, bool is_canary, struct problems *problems, struct error *err) {
  static const enum model_how how[] = {MODEL_ACTIVATE, MODEL_ROLLBACK, MODEL_CANARY};
  struct policy *policy = NULL, *now = daemon->release.policy;
  struct policy_report report = {0};
  const struct release_cause cause = {.how = how[order->kind], .why = order->why, .by = order->by};
  int status = is_canary ? policy_with_canary(now, model, next->share, &policy, &report, err)
                         : policy_with_model(now, model, daemon->config->models, &policy, &report, err);
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

static int change(struct daemon *daemon, const struct model_order *order, const struct deciding *now,
                  const struct deciding *next, struct problems *problems, struct error *err) {
  struct buf json = {0}, weights = {0};
  const struct model_places places = places_of(daemon);
  bool is_canary = strcmp(now->in_force, next->in_force) == 0;
  const char *version = !is_canary ? next->in_force : next->canary ? next->canary : now->canary;
  int status = model_files(&places, order->name, version, &json, &weights, err);
  if (status == 0) {
    const struct policy_model model = {order->name, version, buf_bytes(&json), buf_bytes(&weights)};
    status = switch_to(daemon, order, &model, next, is_canary, problems, err);
  }
  buf_deinit(&json), buf_deinit(&weights);
  return status;
}

int models_carry_out(struct daemon *daemon, const struct model_order *order, struct buf *answer, struct error *err) {
  struct deciding now = {0}, next = {0};
  struct problems problems = {0};
  int status = deciding_now(daemon->release.policy, order->name, &now, err);
  if (status == 0) status = choose(daemon, order, &now, &next, err);
  bool is_changed = status == 0 && (!is_same(now.in_force, next.in_force) || !is_same(now.canary, next.canary) ||
                                    now.share != next.share);
  if (is_changed) status = change(daemon, order, &now, &next, &problems, err);
  if (status == 0) put_answer(daemon, order, &now, &next, is_changed, &problems, answer);
  deciding_deinit(&now), deciding_deinit(&next);
  buf_deinit(&problems.texts);
  return status;
}
