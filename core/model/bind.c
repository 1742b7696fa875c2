#include "model/trees.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/pmath.h"
#include "base/suggest.h"

struct model_bound {
  const struct model *model;
  bool is_profile[MODEL_TERMS_MAX]; // of terms: the feature is of the profile, else of the behaviour
  int feature_of[];
};

// The misfits of one binding: as many as an error's text holds, the rest counted.
struct misfits {
  char text[380];
  size_t used, count, left_out;
};

static void misfit_add(struct misfits *all, const char *one) {
  size_t size = strlen(one);
  all->count++;
  if (all->left_out > 0 || all->used + 2 + size >= sizeof(all->text)) {
    all->left_out++;
    return;
  }
  if (all->used > 0) memcpy(all->text + all->used, "; ", 2), all->used += 2;
  memcpy(all->text + all->used, one, size);
  all->used += size;
}

static const char *nearest_feature(const struct feature_set *set, const char *name) {
  size_t count = feature_count(set);
  const char **names = xmalloc((count + 1) * sizeof(*names));
  for (size_t i = 0; i < count; i++) names[i] = feature_info(set, i)->name;
  const char *found = suggest(bytes_str(name), names, count);
  free(names);
  return found;
}

#define PROBLEM_MAX 300

// Where the term's feature lies in the set; -1 and what is wrong when it is not there as the model needs it.
static int find_feature(const struct term *term, const struct feature_set *set, char problem[PROBLEM_MAX]) {
  int at = feature_find(set, bytes_str(term->feature));
  if (at < 0) {
    const char *near = nearest_feature(set, term->feature);
    snprintf(problem, PROBLEM_MAX, "'%s' is not declared%s%s%s", term->feature, near ? " (did you mean '" : "",
             near ? near : "", near ? "'?)" : "");
    return -1;
  }
  const struct feature_info *info = feature_info(set, (size_t)at);
  if (info->is_text != (term->form == TERM_LEVELS)) {
    snprintf(problem, PROBLEM_MAX, "'%s' is a %s, the model wants a %s", term->feature,
             info->is_text ? "text" : "number", info->is_text ? "number" : "text");
    return -1;
  }
  if (!term->any_definition && term->definition != info->definition_hash) {
    snprintf(problem, PROBLEM_MAX, "'%s' has definition %016llx, the model was made for %016llx", term->feature,
             (unsigned long long)info->definition_hash, (unsigned long long)term->definition);
    return -1;
  }
  return at;
}

size_t model_match(const struct model *model, const struct feature_set *set,
                   void (*each)(void *context, const char *feature, const char *problem), void *context) {
  size_t problems = 0;
  for (size_t t = 0; t < model->term_count; t++) {
    char problem[PROBLEM_MAX];
    bool fits = find_feature(&model->terms[t], set, problem) >= 0;
    problems += !fits;
    if (each) each(context, model->terms[t].feature, fits ? NULL : problem);
  }
  return problems;
}

int model_bind(const struct model *model, const struct feature_set *set, struct model_bound **out, struct error *err) {
  struct misfits misfits = {.used = 0};
  struct model_bound *bound = xmalloc(sizeof(*bound) + model->term_count * sizeof(bound->feature_of[0]));
  bound->model = model;
  for (size_t t = 0; t < model->term_count; t++) {
    char problem[PROBLEM_MAX];
    int at = bound->feature_of[t] = find_feature(&model->terms[t], set, problem);
    if (at < 0) misfit_add(&misfits, problem);
    bound->is_profile[t] = at >= 0 && feature_info(set, (size_t)at)->class == FEATURE_PROFILE;
  }
  if (misfits.count == 0) {
    *out = bound;
    return ITD_OK;
  }
  model_bound_free(bound);
  char more[40] = "";
  if (misfits.left_out > 0) snprintf(more, sizeof(more), "; and %zu more", misfits.left_out);
  return error_set(err, ITD_EMODEL, "model %.32s/%.32s: features: %.*s%s", model->info.name, model->info.version,
                   (int)misfits.used, misfits.text, more);
}

void model_bound_free(struct model_bound *bound) { free(bound); }

const struct model_info *model_bound_info(const struct model_bound *bound) { return &bound->model->info; }

size_t model_terms(const struct model_bound *bound) { return bound->model->term_count; }

int model_term_feature(const struct model_bound *bound, size_t term) {
  CHECK(term < bound->model->term_count);
  return bound->feature_of[term];
}

enum feature_class model_term_class(const struct model_bound *bound, size_t term) {
  CHECK(term < bound->model->term_count);
  return bound->is_profile[term] ? FEATURE_PROFILE : FEATURE_BEHAVIOUR;
}

// What a margin says is not always so: the rest is a row of its own.
static void calibrate(const struct model *model, struct model_output *out) {
  out->calibrated = out->margin;
  out->calibration_points = 0;
  if (model->calibration.kind == CALIBRATION_NONE) return;
  out->calibrated = calibration_apply(&model->calibration, out->margin) + 0.0;
  out->calibration_points = (out->calibrated - out->margin) * model->factor + 0.0;
  out->points += out->calibration_points;
  out->probability = pm_sigmoid(out->calibrated);
}

static void score(const struct model_bound *bound, const double *values, const struct bytes *texts, bool is_exact,
                  double *contributions, double *points, struct model_output *out) {
  const struct model *model = bound->model;
  if (model->forest)
    trees_score(model, bound->feature_of, values, texts, is_exact, contributions, points, out);
  else
    linear_score(model, bound->feature_of, values, texts, contributions, points, out);
  calibrate(model, out);
}

void model_score(const struct model_bound *bound, const double *values, const struct bytes *texts,
                 double *contributions, double *points, struct model_output *out) {
  score(bound, values, texts, false, contributions, points, out);
}

void model_explain(const struct model_bound *bound, const double *values, const struct bytes *texts,
                   double *contributions, double *points, struct model_output *out) {
  score(bound, values, texts, true, contributions, points, out);
}

void model_part(const struct model_bound *bound, enum feature_class class, const double *contributions,
                const double *points, const struct model_output *whole, struct model_output *part) {
  const struct model *model = bound->model;
  bool is_profile = class == FEATURE_PROFILE;
  double margin = whole->base_margin, sum = whole->base_points;
  for (size_t t = 0; t < model->term_count; t++) {
    if (bound->is_profile[t] != is_profile) continue;
    margin += contributions[t];
    sum += points[t];
  }
  *part = (struct model_output){.margin = margin + 0.0,
                                .base_margin = whole->base_margin,
                                .probability = pm_sigmoid(margin),
                                .points = sum + 0.0,
                                .base_points = whole->base_points};
  calibrate(model, part);
}
