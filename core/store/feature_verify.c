#include "store/feature_verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/base_set.h"
#include "store/datadir.h"
#include "store/ids.h"
#include "store/state.h"
#include "store/table.h"

enum where { IN_STATE, IN_BASE, PLACES };
static const char *const where_name[PLACES] = {"state", "base"};

struct verified {
  struct table_entry head;   // key: lead_key
  struct lead *held[PLACES]; // as it lies there; NULL: not there, or compared already
  bool is_different;
};

struct verifying {
  const struct feature_verify_options *options;
  struct feature_verify_result *result;
  struct opener *opener;
  struct base_set bases;
  struct table leads; // of this pass
  uint64_t at_most;   // a lead is of the sample when its number (hash_mix with the seed) is not above
  struct buf row, sealed, block;
};

// ---- which leads ----
static uint64_t draw(const struct verifying *v, struct lead_id id) {
  return hash_mix(v->options->seed, lead_id_hash(id));
}

static bool wants(void *context, struct lead_id id) {
  const struct verifying *v = context;
  return draw(v, id) <= v->at_most;
}

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

// The greatest number that a sample of so many leads takes in.
static int choose(struct verifying *v, struct error *err) {
  struct opener *opener;
  struct datadir dir;
  v->at_most = UINT64_MAX;
  int rc = datadir_read(v->options->dir, &dir, err);
  explicit_bzero(&dir, sizeof dir);
  if (rc || !v->options->sample) return rc;
  rc = opener_new(v->options->dir, &opener, err);
  if (rc) return rc;
  size_t count = opener_leads(opener);
  uint64_t *numbers = xcalloc(count + 1, sizeof *numbers);
  for (size_t i = 0; i < count; i++) numbers[i] = draw(v, opener_lead(opener, i));
  qsort(numbers, count, sizeof *numbers, by_number);
  if (v->options->sample < count) v->at_most = numbers[v->options->sample - 1];
  free(numbers);
  opener_free(opener);
  return 0;
}

// ---- what is held ----
static int hold(struct verifying *v, struct lead_id id, enum where where, struct bytes sealed, struct error *err) {
  struct verified *e = table_find(&v->leads, lead_key(id));
  buf_clear(&v->block);
  int rc = opener_open(v->opener, id, sealed, &v->block, err);
  if (rc == ITD_ENOTFOUND) return 0; // forgotten meanwhile
  if (rc == 0) rc = lead_check(buf_bytes(&v->block), err);
  if (rc) return rc;
  e->held[where] = memcpy(xmalloc(v->block.n), v->block.p, v->block.n);
  return 0;
}

static int take_state(void *context, struct lead_id id, struct bytes sealed, struct error *err) {
  return hold(context, id, IN_STATE, sealed, err);
}

static int take_base(struct verifying *v, struct lead_id id, struct error *err) {
  buf_clear(&v->row), buf_clear(&v->sealed);
  int rc = base_set_row(&v->bases, UINT64_MAX, ROW_LEAD, id, &v->row, err);
  if (rc == 0) rc = state_row_lead(buf_bytes(&v->row), &v->sealed, err);
  if (rc == 0) rc = hold(v, id, IN_BASE, buf_bytes(&v->sealed), err);
  return rc == ITD_ENOTFOUND ? 0 : rc;
}

static int begin(void *context, struct opener *opener, const struct lead_id *leads, size_t count, struct error *err) {
  struct verifying *v = context;
  v->opener = opener;
  for (size_t i = 0; i < count; i++) table_add(&v->leads, lead_key(leads[i]));
  int rc = state_peek(v->options->dir, leads, count, take_state, v, err);
  if (rc == ITD_ENOTFOUND) rc = 0; // none was written yet, or it is to be built anew
  for (size_t i = 0; rc == 0 && i < count; i++) rc = take_base(v, leads[i], err);
  return rc;
}

// ---- comparing ----
static struct feature_finding *find(struct verifying *v, struct verified *e, const struct refold_step *step,
                                    const char *where) {
  struct feature_verify_result *r = v->result;
  static struct feature_finding rest; // of what is not told any more
  char id[LEAD_ID_TEXT];
  r->mismatches++;
  r->different_leads += !e->is_different;
  e->is_different = true;
  struct feature_finding *f = r->count < FEATURE_VERIFY_FINDINGS_MAX ? &r->finding[r->count++] : &rest;
  *f = (struct feature_finding){.where = where, .folded = NAN, .held = NAN};
  lead_id_format(step->lead->id, id);
  snprintf(f->decision_id, sizeof f->decision_id, "%s-%u", id, step->lead->number);
  return f;
}

static void copy_text(char out[48], struct bytes text) {
  snprintf(out, 48, "%.*s", (int)text.n, text.n ? (const char *)text.p : "");
}

// Feature by feature, so that it is told which. Both states have the layout of `set`.
static void compare_features(struct verifying *v, struct verified *e, const struct refold_step *step, struct lead *held,
                             const char *where) {
  const struct feature_set *set = policy_features(step->policy);
  struct lead *lead = (struct lead *)(uintptr_t)step->lead; // read only
  const uint8_t *mine = lead_feature_state(lead), *theirs = lead_feature_state(held);
  double values[2][FEATURES_MAX];
  struct bytes texts[2][FEATURES_MAX];
  v->result->features += feature_count(set);
  if (memcmp(mine, theirs, feature_state_size(set)) == 0) return;
  feature_read(set, mine, lead->now_ms, values[0], texts[0]);
  feature_read(set, theirs, lead->now_ms, values[1], texts[1]);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    if (memcmp(mine + info->state_offset, theirs + info->state_offset, info->state_size) == 0) continue;
    struct feature_finding *f = find(v, e, step, where);
    snprintf(f->feature, sizeof f->feature, "%s", info->name);
    f->is_personal = info->is_personal;
    if (info->is_personal) continue;
    f->folded = values[0][i], f->held = values[1][i];
    copy_text(f->folded_text, texts[0][i]), copy_text(f->held_text, texts[1][i]);
  }
}

static void compare(struct verifying *v, struct verified *e, const struct refold_step *step, enum where where) {
  struct lead *held = e->held[where];
  const struct lead *lead = step->lead;
  e->held[where] = NULL;
  *(where == IN_STATE ? &v->result->states : &v->result->bases) += 1;
  bool is_like = held->release == lead->release && held->feature_bytes == lead->feature_bytes;
  bool has_features = lead->feature_bytes == feature_state_size(policy_features(step->policy));
  if (is_like && has_features) compare_features(v, e, step, held, where_name[where]);
  if (!is_like || (!e->is_different && lead_digest(held) != step->digest)) find(v, e, step, where_name[where]);
  lead_free(held);
}

static int visit(void *context, const struct refold_step *step, struct error *err) {
  (void)err;
  struct verifying *v = context;
  struct verified *e = table_find(&v->leads, lead_key(step->lead->id));
  for (int where = 0; where < PLACES; where++)
    if (e->held[where] && e->held[where]->place == step->place) compare(v, e, step, (enum where)where);
  if (!step->is_same && !e->is_different) find(v, e, step, "journal");
  return 0;
}

static void drop(struct verifying *v, bool is_end) {
  for (size_t i = 0; i < table_count(&v->leads); i++) {
    struct verified *e = table_at(&v->leads, i);
    v->result->unmet += is_end && e->held[IN_STATE];
    for (int where = 0; where < PLACES; where++) lead_free(e->held[where]);
  }
  table_deinit(&v->leads);
  table_init(&v->leads, sizeof(struct verified));
}

static int end(void *context, struct error *err) {
  (void)err;
  drop(context, true);
  return 0;
}

static void progress(void *context, uint64_t done, uint64_t total) {
  const struct verifying *v = context;
  v->options->progress(v->options->context, done, total);
}

int store_features_verify(const struct feature_verify_options *options, struct feature_verify_result *result,
                          struct error *err) {
  struct verifying v = {.options = options, .result = result};
  *result = (struct feature_verify_result){0};
  table_init(&v.leads, sizeof(struct verified));
  struct refold_options refold = {.dir = options->dir,
                                  .leads_max = REFOLD_LEADS_MAX / 2, // a lead may be here three times
                                  .wants = wants,
                                  .begin = begin,
                                  .visit = visit,
                                  .end = end,
                                  .progress = options->progress ? progress : NULL,
                                  .context = &v};
  int rc = choose(&v, err);
  if (rc == 0) rc = base_set_init(&v.bases, options->dir, err);
  if (rc == 0) rc = store_refold(&refold, &result->refold, err);
  drop(&v, false);
  table_deinit(&v.leads);
  base_set_deinit(&v.bases);
  buf_deinit(&v.row), buf_deinit(&v.sealed), buf_deinit(&v.block);
  return rc;
}
