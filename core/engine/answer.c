#include "engine/answer.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/pmath.h"

#include <math.h>
#include <stdio.h>

// Rows that are not zero, in one array of (kind, name, value, points) maps. The count must come first in MessagePack,
// so rows are gathered in a small table and packed at the end.
struct row {
  const char *kind, *name;
  const struct feature_info *info; // its value is shown; NULL: none
  double value;
  struct bytes text;
  const char *why; // shown instead of a value
  int64_t milli;
  bool has_points;
};

struct ledger {
  struct row row[ANSWER_ROWS_MAX];
  char said[2][POLICY_SAID_TEXT]; // texts of rows about sales
  uint32_t count;
  int64_t sum; // of the rows that make up the combined score
};

static struct row *add(struct ledger *ledger, const char *kind, const char *name) {
  CHECK(ledger->count < ANSWER_ROWS_MAX);
  struct row *row = &ledger->row[ledger->count++];
  *row = (struct row){.kind = kind, .name = name};
  return row;
}

static struct row *add_points(struct ledger *ledger, const char *kind, const char *name, int64_t milli) {
  ledger->sum += milli;
  if (milli == 0) return NULL;
  struct row *row = add(ledger, kind, name);
  row->milli = milli;
  row->has_points = true;
  return row;
}

static struct row *add_term(struct ledger *ledger, const struct answer_facts *f, const char *kind, int feature,
                            double points) {
  const struct feature_info *info = feature_info(policy_features(f->policy), (size_t)feature);
  struct row *row = add_points(ledger, kind, info->name, pm_milli(points));
  if (!row) return NULL;
  row->info = info;
  row->value = f->values[feature];
  row->text = f->texts[feature];
  return row;
}

static void explain_row(struct row *row, const char *why) {
  if (row) row->why = why;
}

static const char calibrated[] = "what the model's margin is found to mean", held[] = "kept within 0 and 100";

// One model's share of the combined score: its base, its terms, and what the cap of 0..100 took from it.
static void add_model(struct ledger *ledger, const struct answer_facts *f, const char *kind,
                      const struct model_bound *model, const struct model_output *output, const double *points,
                      double weight, int64_t cap_milli) {
  add_points(ledger, kind, "base", pm_milli(weight * output->base_points));
  for (size_t t = 0; t < model_terms(model); t++)
    add_term(ledger, f, kind, model_term_feature(model, t), weight * points[t]);
  explain_row(add_points(ledger, kind, "calibration", pm_milli(weight * output->calibration_points)), calibrated);
  explain_row(add_points(ledger, "cap", kind, pm_milli(weight * (double)cap_milli / 1000.0)), held);
}

// The terms of one group of a split model, of kind "fit" or "engagement".
static int64_t add_group(struct ledger *ledger, const struct answer_facts *f, const char *kind,
                         enum feature_class class) {
  const struct model_bound *model = f->scorers.split;
  int64_t before = ledger->sum;
  for (size_t t = 0; t < model_terms(model); t++)
    if (model_term_class(model, t) == class)
      add_term(ledger, f, kind, model_term_feature(model, t), f->whole_points[t]);
  return ledger->sum - before;
}

// What makes a group's rows its score, beside the combined one: base, calibration, cap and rounding of its own.
static void add_part(struct ledger *ledger, const char *kind, const struct model_output *part, int64_t cap_milli,
                     int64_t terms_milli, int64_t score_milli) {
  int64_t combined = ledger->sum;
  add_points(ledger, kind, "base", pm_milli(part->base_points));
  explain_row(add_points(ledger, kind, "calibration", pm_milli(part->calibration_points)), calibrated);
  explain_row(add_points(ledger, kind, "cap", cap_milli), held);
  add_points(ledger, kind, "rounding", score_milli - terms_milli - (ledger->sum - combined));
  ledger->sum = combined;
}

static void add_split(struct ledger *ledger, const struct answer_facts *f) {
  const struct policy_outcome *o = f->outcome;
  add_points(ledger, "model", "base", pm_milli(f->whole.base_points));
  int64_t fit = add_group(ledger, f, "fit", FEATURE_PROFILE);
  int64_t engagement = add_group(ledger, f, "engagement", FEATURE_BEHAVIOUR);
  explain_row(add_points(ledger, "model", "calibration", pm_milli(f->whole.calibration_points)), calibrated);
  add_part(ledger, "fit_score", &f->fit, o->cap_fit_milli, fit, o->fit_milli);
  add_part(ledger, "engagement_score", &f->engagement, o->cap_engagement_milli, engagement, o->engagement_milli);
}

static void add_score(struct ledger *ledger, const struct answer_facts *f) {
  const struct policy_outcome *o = f->outcome;
  if (f->whole_points) add_split(ledger, f);
  if (f->has_fit && o->weight_fit != 0)
    add_model(ledger, f, "fit", f->scorers.fit, &f->fit, f->fit_points, o->weight_fit, o->cap_fit_milli);
  if (f->has_engagement && o->weight_engagement != 0)
    add_model(ledger, f, "engagement", f->scorers.engagement, &f->engagement, f->engagement_points,
              o->weight_engagement, o->cap_engagement_milli);
  add_points(ledger, "constant", "score.combined", pm_milli(o->constant_points));
  for (int i = 0; i < o->row_count; i++) {
    const struct policy_entry *entry = policy_entry(f->policy, POLICY_ADJUSTMENTS, o->row[i].index);
    struct row *row = add_points(ledger, entry->kind, entry->name, o->row[i].milli);
    if (row) row->why = entry->why;
  }
  struct row *cap = add_points(ledger, "cap", "combined", o->cap_milli);
  if (cap) cap->why = "kept within 0 and 100";
  add_points(ledger, "rounding", "thousandths", o->combined_milli - ledger->sum);
}

// "what, by whom: why", of what stands.
static void put_said(struct ledger *ledger, int at, const char *what, const char *who, const char *why) {
  snprintf(ledger->said[at], sizeof ledger->said[at], "%s%s%s%s%s%s", what, *who && *what ? ", " : "",
           *who ? "by " : "", who, *why && (*who || *what) ? ": " : "", why);
}

// What sales said by this event, and what it said before and still holds.
static void add_sales(struct ledger *ledger, const struct answer_facts *f) {
  const struct policy_outcome *o = f->outcome;
  struct policy_state *state = lead_policy_state((struct lead *)(uintptr_t)f->lead); // read only
  const struct policy_sales *s = policy_sales(f->policy, state);
  if (o->said) {
    struct row *row = add(ledger, "sales", policy_said_name(o->said));
    if (o->said_text[0]) row->why = o->said_text;
  }
  if (state->owner_is_manual && o->said != SAID_OWNER_SET) {
    put_said(ledger, 0, policy_owner_name(f->policy, state), s->owner_who, s->owner_why);
    add(ledger, "sales", policy_said_name(SAID_OWNER_SET))->why = ledger->said[0];
  }
  if (o->is_disqualified && o->said != SAID_DISQUALIFIED) {
    put_said(ledger, 1, "", s->judged_who, s->judged_why);
    struct row *row = add(ledger, "sales", policy_said_name(SAID_DISQUALIFIED));
    if (ledger->said[1][0]) row->why = ledger->said[1];
  }
}

static void add_events(struct ledger *ledger, const struct answer_facts *f) {
  const struct policy_outcome *o = f->outcome;
  for (int i = 0; i < o->evidence_count; i++) {
    const struct policy_entry *entry = policy_entry(f->policy, POLICY_EVIDENCE, o->evidence[i].index);
    if (o->evidence[i].milli == 0) continue;
    struct row *row = add(ledger, "evidence", entry->name);
    row->milli = o->evidence[i].milli;
    row->has_points = true;
    row->why = entry->why;
  }
  for (int i = 0; i < o->channel_cap_count; i++) {
    if (o->channel_cap[i].milli == 0) continue;
    struct row *row =
        add(ledger, "channel_cap", policy_entry(f->policy, POLICY_CHANNELS, o->channel_cap[i].index)->name);
    row->milli = o->channel_cap[i].milli;
    row->has_points = true;
  }
  for (int i = 0; i < o->step_count; i++) {
    const struct policy_entry *entry = policy_entry(f->policy, POLICY_TRANSITIONS, (size_t)o->step[i]);
    add(ledger, "transition", entry->name)->why = entry->why;
  }
  for (int i = 0; i < o->note_count; i++)
    add(ledger, "note", policy_entry(f->policy, POLICY_NOTES, (size_t)o->note[i])->name);
  if (o->route >= 0) {
    const struct policy_entry *entry = policy_entry(f->policy, POLICY_ROUTES, (size_t)o->route);
    add(ledger, "route", entry->name)->why = entry->why;
  }
}

void answer_put_value(const struct feature_info *info, double value, struct bytes text, struct buf *out) {
  policy_put_value(info, value, text, out);
}

static void put_rows(const struct ledger *ledger, struct buf *out) {
  mp_put_array(out, ledger->count);
  for (uint32_t i = 0; i < ledger->count; i++) {
    const struct row *row = &ledger->row[i];
    mp_put_map(out, 2u + (row->info || row->why) + row->has_points);
    mp_put_cstr(out, "kind");
    mp_put_cstr(out, row->kind);
    mp_put_cstr(out, "name");
    mp_put_cstr(out, row->name);
    if (row->info || row->why) {
      mp_put_cstr(out, "value");
      if (row->info)
        answer_put_value(row->info, row->value, row->text, out);
      else
        mp_put_cstr(out, row->why);
    }
    if (row->has_points) {
      mp_put_cstr(out, "points");
      mp_put_int(out, row->milli);
    }
  }
}

static void put_text_or_nil(struct buf *out, const char *key, const char *text) {
  mp_put_cstr(out, key);
  if (text)
    mp_put_cstr(out, text);
  else
    mp_put_nil(out);
}

static void put_score(struct buf *out, const char *key, bool known, int64_t milli) {
  mp_put_cstr(out, key);
  if (known)
    mp_put_int(out, milli);
  else
    mp_put_nil(out);
}

static const char *name_of(const struct policy *policy, enum policy_table table, int index) {
  return index < 0 ? NULL : policy_entry(policy, table, (size_t)index)->name;
}

static void put_version(struct buf *out, const char *key, const char *name, const char *version) {
  mp_put_cstr(out, key);
  if (!name) {
    mp_put_nil(out);
    return;
  }
  mp_put_map(out, 2);
  mp_put_cstr(out, "name");
  mp_put_cstr(out, name);
  mp_put_cstr(out, "version");
  mp_put_cstr(out, version);
}

static void put_policy(struct buf *out, const struct policy_info *policy) {
  mp_put_cstr(out, "policy");
  mp_put_map(out, 3);
  mp_put_cstr(out, "name");
  mp_put_cstr(out, policy->name);
  mp_put_cstr(out, "version");
  mp_put_cstr(out, policy->version);
  put_text_or_nil(out, "data", policy->data[0] ? policy->data : NULL);
}

static void put_model(struct buf *out, const char *key, const struct model_bound *model) {
  const struct model_info *info = model ? model_bound_info(model) : NULL;
  put_version(out, key, info ? info->name : NULL, info ? info->version : NULL);
}

// The combined score on its scale, read back as a probability.
static double probability_of(const struct answer_facts *f) {
  const struct model_bound *model = f->scorers.split;
  if (!model) model = f->scorers.engagement;
  if (!model) model = f->scorers.fit;
  double even = 50, doubling = 10;
  if (model) {
    even = model_bound_info(model)->points_at_even_odds;
    doubling = model_bound_info(model)->points_to_double_odds;
  }
  return pm_sigmoid(((double)f->outcome->combined_milli / 1000.0 - even) / doubling * 0.69314718055994530942);
}

// What was taken, and the offers that would have gone before it, each with why it was not.
static void put_offers(const struct policy *policy, const struct policy_outcome *o, struct buf *out) {
  put_text_or_nil(out, "action", name_of(policy, POLICY_ACTIONS, o->action));
  mp_put_cstr(out, "utility"), mp_put_float(out, o->utility);
  mp_put_cstr(out, "propensity"), mp_put_float(out, o->propensity);
  mp_put_cstr(out, "explored"), mp_put_bool(out, o->explored);
  put_text_or_nil(out, "held", o->held);
  mp_put_cstr(out, "suppressed"), mp_put_array(out, (uint32_t)o->suppressed_count);
  for (int i = 0; i < o->suppressed_count; i++) {
    mp_put_map(out, 3);
    mp_put_cstr(out, "action"), mp_put_cstr(out, name_of(policy, POLICY_ACTIONS, o->suppressed[i].action));
    mp_put_cstr(out, "utility"), mp_put_float(out, o->suppressed[i].utility);
    mp_put_cstr(out, "why"), mp_put_cstr(out, o->suppressed[i].why);
  }
}

static const char *owner_of(const struct answer_facts *f) {
  return policy_owner_name(f->policy, lead_policy_state((struct lead *)(uintptr_t)f->lead)); // read only
}

// Sales has the last word: whatever the policy finds besides.
static const char *why_left_out(const struct answer_facts *f) {
  if (f->outcome->is_disqualified) return policy_said_name(SAID_DISQUALIFIED);
  return f->outcome->eligible ? NULL : name_of(f->policy, POLICY_ELIGIBILITY, f->outcome->ineligible);
}

// How many stages lie around one.
static uint32_t depth_of(const struct policy *policy, int stage) {
  uint32_t depth = 0;
  while ((stage = policy_entry(policy, POLICY_STAGES, (size_t)stage)->stage_parent) >= 0) depth++;
  return depth;
}

static void put_around(const struct policy *policy, int stage, struct buf *out) { // the outermost first
  int around = policy_entry(policy, POLICY_STAGES, (size_t)stage)->stage_parent;
  if (around < 0) return;
  put_around(policy, around, out);
  mp_put_cstr(out, name_of(policy, POLICY_STAGES, around));
}

uint32_t answer_places(const struct policy *policy, int stage) {
  int region[POLICY_REGIONS_MAX];
  return (depth_of(policy, stage) > 0 ? 1u : 0) + (policy_regions(policy, region) > 0 ? 1u : 0);
}

void answer_put_places(const struct policy *policy, int stage, const int *leaves, struct buf *out) {
  int region[POLICY_REGIONS_MAX];
  size_t count = policy_regions(policy, region);
  if (depth_of(policy, stage) > 0) {
    mp_put_cstr(out, "inside");
    mp_put_array(out, depth_of(policy, stage));
    put_around(policy, stage, out);
  }
  if (count == 0) return;
  mp_put_cstr(out, "regions");
  mp_put_map(out, (uint32_t)count);
  for (size_t i = 0; i < count; i++) {
    mp_put_cstr(out, name_of(policy, POLICY_STAGES, region[i]));
    mp_put_cstr(out, name_of(policy, POLICY_STAGES, leaves[i]));
  }
}

// The head of the map: who, when, what was decided.
static void put_verdict(const struct answer_facts *f, struct buf *out) {
  const struct policy_outcome *o = f->outcome;
  char lead[LEAD_ID_TEXT], decision[LEAD_ID_TEXT + 12];
  lead_id_format(f->lead->id, lead);
  snprintf(decision, sizeof decision, "%s-%u", lead, f->lead->number);
  mp_put_cstr(out, "decision_id");
  mp_put_cstr(out, decision);
  mp_put_cstr(out, "lead");
  mp_put_cstr(out, lead);
  mp_put_cstr(out, "at");
  mp_put_int(out, f->lead->now_ms);
  mp_put_cstr(out, "cause");
  mp_put_cstr(out, f->cause);
  mp_put_cstr(out, "scores");
  mp_put_map(out, 4);
  put_score(out, "fit", f->has_fit, o->fit_milli);
  put_score(out, "engagement", f->has_engagement, o->engagement_milli);
  put_score(out, "combined", true, o->combined_milli);
  put_score(out, "intent", true, o->intent_milli);
  mp_put_cstr(out, "probability");
  mp_put_float(out, probability_of(f));
  put_text_or_nil(out, "stage", name_of(f->policy, POLICY_STAGES, o->stage));
  put_text_or_nil(out, "stage_before", name_of(f->policy, POLICY_STAGES, o->stage_before));
  answer_put_places(f->policy, o->stage, o->region, out);
  put_text_or_nil(out, "band", name_of(f->policy, POLICY_BANDS, o->band));
  put_text_or_nil(out, "owner", o->owner_pending ? "pending" : owner_of(f));
  put_offers(f->policy, o, out);
  mp_put_cstr(out, "eligible");
  mp_put_bool(out, o->eligible);
  put_text_or_nil(out, "ineligible", why_left_out(f));
}

uint64_t answer_put(const struct answer_facts *facts, uint64_t inputs_hash, struct buf *out) {
  struct ledger ledger;
  ledger.count = 0;
  ledger.sum = 0;
  add_score(&ledger, facts);
  add_sales(&ledger, facts);
  add_events(&ledger, facts);

  size_t start = out->n;
  bool keeps = policy_fields(facts->policy) > 0;
  mp_put_map(out, 24u + keeps + answer_places(facts->policy, facts->outcome->stage));
  put_verdict(facts, out);
  if (keeps) {
    mp_put_cstr(out, "memory");
    policy_fields_put(facts->policy, lead_policy_state((struct lead *)(uintptr_t)facts->lead), out); // read only
  }
  mp_put_cstr(out, "reasons");
  put_rows(&ledger, out);
  put_policy(out, policy_info(facts->policy));
  const struct model_bound *split = facts->scorers.split, *fit = facts->scorers.fit;
  const struct model_bound *engagement = facts->scorers.engagement;
  put_model(out, "model", split ? split : engagement ? engagement : fit);
  put_model(out, "fit_model", split ? split : fit);
  uint64_t hash = hash64_seed(bytes_of(out->p + start, out->n - start), inputs_hash);
  char hex[17];
  snprintf(hex, sizeof hex, "%016llx", (unsigned long long)hash);
  mp_put_cstr(out, "hash");
  mp_put_cstr(out, hex);
  mp_put_cstr(out, "duplicate");
  mp_put_bool(out, false);
  return hash;
}
