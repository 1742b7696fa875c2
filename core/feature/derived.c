// Derived features: ratio and difference of two other features of the set, computed when all others have been read. A
// derived one may read those declared before it, so there is no cycle, and one pass in order is enough.
#include "feature/ops.h"
#include "feature/reader.h"
#include <math.h>

// One form of NaN and of 0, so that a value's bits are the same wherever it is computed.
static double plain(double v) { return isnan(v) ? NAN : saturate(v) + 0.0; }

double op_ratio_derive(double a, double b) { return b == 0 ? NAN : plain(a / b); }
double op_difference_derive(double a, double b) { return plain(a - b); }

// ---- compiling ----
static int fail_unknown(const struct feature_set *set, const struct feature *f, struct bytes name, struct error *err) {
  const char *names[FEATURES_MAX];
  char quoted[SHOWN_MAX], near[SHOWN_MAX];
  for (size_t i = 0; i < set->count; i++) names[i] = set->features[i].info.name;
  return error_set(err, ITD_EPOLICY, "features: %s: of names %s, which is no feature of the set%s", f->info.name,
                   shown(name, quoted), did_you_mean(name, names, set->count, near));
}

static int find_operand(struct feature_set *set, struct feature *f, unsigned k, struct error *err) {
  struct bytes name = f->operand_names[k];
  int at = names_find(&set->names, name);
  if (at < 0) return fail_unknown(set, f, name, err);
  const struct feature *other = &set->features[at];
  if (other == f) return error_set(err, ITD_EPOLICY, "features: %s: of names this feature itself", f->info.name);
  if (other->op->derive && other > f)
    return error_set(err, ITD_EPOLICY,
                     "features: %s: of names \"%s\", which is a %s that is declared later; declare it before this one",
                     f->info.name, other->info.name, other->info.op);
  if (other->info.is_text)
    return error_set(err, ITD_EPOLICY, "features: %s: of names \"%s\", which is text; a %s is of numbers", f->info.name,
                     other->info.name, f->info.op);
  f->operands[k] = other;
  return 0;
}

static void take_over(struct feature *f) {
  const struct feature_info *a = &f->operands[0]->info, *b = &f->operands[1]->info;
  f->info.is_personal = f->info.is_personal || a->is_personal || b->is_personal;
  f->info.is_duration = f->op->is_duration && a->is_duration && b->is_duration;
  if (a->freshness > f->info.freshness) f->info.freshness = a->freshness; // no fresher than what it reads
  if (b->freshness > f->info.freshness) f->info.freshness = b->freshness;
}

int derived_resolve(struct feature_set *set, struct error *err) {
  for (size_t i = 0; i < set->count; i++) {
    struct feature *f = &set->features[i];
    if (!f->op->derive) continue;
    for (unsigned k = 0; k < 2; k++) {
      int rc = find_operand(set, f, k, err);
      if (rc != 0) return rc;
    }
    take_over(f);
    set->derived_count++;
  }
  for (size_t i = set->count; i-- > 0;) { // those that read come behind
    const struct feature *f = &set->features[i];
    for (unsigned k = 0; f->op->derive && k < 2; k++)
      if (f->info.max_age_ms > 0 || f->is_age_asked) set->features[f->operands[k] - set->features].is_age_asked = true;
  }
  return 0;
}

void derived_lay(struct feature_set *set) {
  for (size_t i = 0; i < set->count; i++) {
    struct feature *f = &set->features[i];
    if (!is_derived(f)) continue;
    f->info.has_age = f->operands[0]->info.has_age && f->operands[1]->info.has_age;
    f->info.definition_hash = definition_hash(f);
  }
}

// ---- reading ----
void derived_read(const struct feature_set *set, double *values) {
  for (size_t i = 0; set->derived_count > 0 && i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (is_derived(f))
      values[i] = f->op->derive(values[f->operands[0] - set->features], values[f->operands[1] - set->features]);
  }
}

// As old as the older one.
void derived_ages(const struct feature_set *set, double *ages) {
  for (size_t i = 0; set->derived_count > 0 && i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (!is_derived(f)) continue;
    double a = ages[f->operands[0] - set->features], b = ages[f->operands[1] - set->features];
    ages[i] = isnan(a) || isnan(b) ? NAN : a > b ? a : b;
  }
}
