#include "store/refold.h"

#include <stdlib.h>

#include "base/check.h"
#include "engine/entity.h"
#include "store/base_set.h"
#include "store/datadir.h"
#include "store/hold.h"
#include "store/ids.h"
#include "store/merge.h"
#include "store/select.h"
#include "store/state.h"
#include "store/table.h"
#include "store/versions.h"

struct folded {
  struct table_entry head; // key: lead_key
  struct lead *lead;       // NULL: no frame yet
  bool is_lost;            // it was forgotten
  bool is_unreached;       // there were frames before the oldest base that has it
};

struct refolding {
  const struct refold_options *options;
  struct refold_stats *stats;
  struct opener *opener;
  struct versions *versions;
  struct base_set bases;
  struct table leads; // of this pass
  struct buf map, block, was;
  struct refold_step step; // of the frame at hand
  uint64_t pass, passes;
};

// What was accepted once is read again whatever the limits are now.
static const struct event_limits NO_LIMITS = {.id_max = SIZE_MAX,
                                              .name_max = SIZE_MAX,
                                              .bytes_max = SIZE_MAX,
                                              .late_max_ms = INT64_MAX,
                                              .future_max_ms = INT64_MAX};

static int version(struct refolding *r, uint32_t number, struct policy **out, struct error *err) {
  *out = versions_get(r->versions, number);
  return *out ? 0
              : error_set(err, ITD_ECORRUPT, "policy version %u is not in the version store, or does not load", number);
}

// ---- where a lead begins ----
static int from_base(struct refolding *r, const struct frame *f, struct folded *folded, struct error *err) {
  struct buf row = {0}, sealed = {0};
  buf_clear(&r->block);
  int rc = base_set_row(&r->bases, f->seq - 1, ROW_LEAD, f->entity, &row, err);
  if (rc == 0) rc = state_row_lead(buf_bytes(&row), &sealed, err);
  if (rc == 0) rc = opener_open(r->opener, f->entity, buf_bytes(&sealed), &r->block, err);
  if (rc == 0) rc = lead_check(buf_bytes(&r->block), err);
  buf_deinit(&row), buf_deinit(&sealed);
  const struct lead *lead = (const struct lead *)(const void *)r->block.p;
  if (rc == 0 && lead->place != f->previous) rc = ITD_ENOTFOUND; // frames between the two are gone
  folded->is_unreached = rc == ITD_ENOTFOUND; // a later base may have it: it is asked for at the next frame
  if (rc) return folded->is_unreached ? 0 : rc;
  folded->lead = memcpy(xmalloc(r->block.n), r->block.p, r->block.n);
  r->stats->from_base++;
  return 0;
}

// ---- frames ----
static int fold_event(struct refolding *r, struct folded *folded, const struct frame *f, const struct policy *from,
                      const struct policy *policy, struct event *event, struct event_digits *digits,
                      struct error *err) {
  buf_clear(&r->map);
  int rc = opener_event(r->opener, f, &r->map, err);
  if (rc == 0) rc = event_decode(buf_bytes(&r->map), f->received_ms, &NO_LIMITS, digits, event, err);
  if (rc) return rc;
  return engine_refold(&folded->lead, from, policy, f->policy, event, f->now_ms, f->number, f->effects, f->shared, err);
}

static int fold_merge(struct refolding *r, struct folded *folded, const struct frame *f, const struct policy *from,
                      const struct policy *policy, struct error *err) {
  struct lead *other = NULL;
  struct policy *of_other;
  buf_clear(&r->block);
  int rc = opener_open(r->opener, f->entity, f->secret, &r->block, err);
  if (rc == 0) rc = merge_lead_of(buf_bytes(&r->block), &other, err);
  if (rc) return rc;
  rc = version(r, other->release, &of_other, err);
  if (rc == 0)
    rc = engine_refold_merge(&folded->lead, from, policy, f->policy, other, of_other, f->number, f->effects, f->shared,
                             err);
  r->step.other = other, r->step.other_policy = of_other; // the step's to free
  return rc;
}

static int fold_fill(struct refolding *r, struct folded *folded, const struct frame *f, const struct policy *from,
                     const struct policy *policy, struct error *err) {
  buf_clear(&r->block);
  int rc = opener_open(r->opener, f->entity, f->secret, &r->block, err);
  return rc ? rc : engine_refold_fill(&folded->lead, from, policy, f->policy, buf_bytes(&r->block), f->effects, err);
}

// Tells of a lead after a frame. `policy`: of its layout.
static int tell(struct refolding *r, struct folded *folded, const struct frame *f, uint64_t place,
                const struct policy *policy, const struct event *event, struct error *err) {
  folded->lead->seq = f->seq;
  folded->lead->place = place;
  struct refold_step *step = &r->step;
  step->frame = f;
  step->place = place;
  step->lead = folded->lead;
  step->policy = policy;
  step->event = event;
  step->digest = lead_digest(folded->lead);
  step->is_same = step->digest == f->digest;
  r->stats->frames++;
  return r->options->visit(r->options->context, step, err);
}

// What a frame of another release is about to carry over.
static void keep_was(struct refolding *r, const struct lead *lead, const struct policy *from) {
  buf_clear(&r->was);
  buf_append(&r->was, lead, lead_size(lead));
  r->step.was = (const struct lead *)(const void *)r->was.p;
  r->step.was_policy = from;
}

// A message changes whom a lead belongs to, and none of its features, of whichever release they are.
static int fold_message(struct refolding *r, struct folded *folded, const struct frame *f, uint64_t place,
                        struct policy *policy, struct error *err) {
  uint64_t hash;
  int rc = merge_fold(&folded->lead, f, policy, false, &hash, err);
  if (rc == 0) rc = version(r, folded->lead->release, &policy, err);
  return rc ? rc : tell(r, folded, f, place, policy, NULL, err);
}

static int fold_step(struct refolding *r, struct folded *folded, const struct frame *f, uint64_t place,
                     struct error *err) {
  const uint32_t semantics = (uint32_t)FEATURE_SEMANTICS << 16 | POLICY_SEMANTICS;
  struct policy *policy, *from;
  if (f->semantics != semantics)
    return error_set(err, ITD_EVERSION, "a frame was decided under semantics %08x; this program folds %08x",
                     f->semantics, semantics);
  int rc = version(r, f->policy, &policy, err);
  if (rc) return rc;
  if (f->kind == FRAME_MESSAGE) return fold_message(r, folded, f, place, policy, err);
  if (!folded->lead) folded->lead = lead_new(f->entity, f->workspace, policy, f->policy, f->now_ms);
  rc = version(r, folded->lead->release, &from, err);
  if (rc) return rc;
  if (folded->lead->release != f->policy) keep_was(r, folded->lead, from);
  struct event event;
  struct event_digits digits;
  bool is_event = f->kind == FRAME_EVENT;
  if (is_event)
    rc = fold_event(r, folded, f, from, policy, &event, &digits, err);
  else if (f->kind == FRAME_MERGE)
    rc = fold_merge(r, folded, f, from, policy, err);
  else if (f->kind == FRAME_FILL)
    rc = fold_fill(r, folded, f, from, policy, err);
  else
    rc = engine_refold(&folded->lead, from, policy, f->policy, NULL, f->now_ms, f->number, f->effects, f->shared, err);
  return rc ? rc : tell(r, folded, f, place, policy, is_event ? &event : NULL, err);
}

static int fold(struct refolding *r, struct folded *folded, const struct frame *f, uint64_t place, struct error *err) {
  r->step = (struct refold_step){0};
  int rc = fold_step(r, folded, f, place, err);
  lead_free((struct lead *)(uintptr_t)r->step.other);
  return rc;
}

static void drop(struct folded *folded) {
  lead_free(folded->lead);
  folded->lead = NULL;
  folded->is_lost = true;
}

static int take(void *context, const struct frame *f, uint64_t place, struct error *err) {
  struct refolding *r = context;
  if (f->kind == FRAME_RELEASE || f->kind == FRAME_REFUSED || f->entity_kind != ENTITY_LEAD) return 0;
  struct folded *folded = table_find(&r->leads, lead_key(f->entity));
  if (!folded || folded->is_lost) return 0;
  if (f->kind == FRAME_FORGET) {
    drop(folded);
    return 0;
  }
  int rc = !folded->lead && f->previous ? from_base(r, f, folded, err) : 0;
  if (rc == 0 && !folded->is_unreached) rc = fold(r, folded, f, place, err);
  if (rc == 0) return 0;
  char text[PLACE_TEXT];
  place_format(place, text);
  error_prefix(err, "frame %s", text);
  return rc;
}

// ---- passes ----
static void progress(void *context, uint64_t done, uint64_t total) {
  struct refolding *r = context;
  r->options->progress(r->options->context, r->pass * total + done, r->passes * total);
}

static int pass(struct refolding *r, const struct lead_id *leads, size_t count, struct error *err) {
  const struct refold_options *o = r->options;
  table_init(&r->leads, sizeof(struct folded));
  for (size_t i = 0; i < count; i++) table_add(&r->leads, lead_key(leads[i]));
  int rc = o->begin ? o->begin(o->context, r->opener, leads, count, err) : 0;
  if (rc == 0) rc = journal_select(o->dir, &SELECT_ALL, take, r, o->progress ? progress : NULL, NULL, err);
  if (rc == 0 && o->end) rc = o->end(o->context, err);
  for (size_t i = 0; i < table_count(&r->leads); i++) {
    const struct folded *folded = table_at(&r->leads, i);
    r->stats->unreached += folded->is_unreached;
    lead_free(folded->lead);
  }
  table_deinit(&r->leads);
  return rc;
}

static int passes(struct refolding *r, struct error *err) {
  const struct refold_options *o = r->options;
  size_t all = opener_leads(r->opener), count = 0, most = o->leads_max ? o->leads_max : REFOLD_LEADS_MAX;
  struct lead_id *leads = xcalloc(all + 1, sizeof *leads);
  for (size_t i = 0; i < all; i++) {
    struct lead_id id = opener_lead(r->opener, i);
    if (!o->wants || o->wants(o->context, id)) leads[count++] = id;
  }
  r->stats->leads = count;
  r->passes = (count + most - 1) / most;
  int rc = 0;
  for (; rc == 0 && r->pass < r->passes; r->pass++) {
    size_t first = r->pass * most;
    rc = pass(r, leads + first, count - first < most ? count - first : most, err);
  }
  free(leads);
  return rc;
}

int store_refold(const struct refold_options *options, struct refold_stats *stats, struct error *err) {
  struct refolding r = {.options = options, .stats = stats};
  struct datadir dir;
  *stats = (struct refold_stats){0};
  int rc = datadir_read(options->dir, &dir, err);
  if (rc) return rc;
  explicit_bzero(&dir, sizeof dir);
  int shared = holds_share(options->dir); // nothing is let go meanwhile
  rc = opener_new(options->dir, &r.opener, err);
  if (rc == 0) rc = versions_open(options->dir, &r.versions, err);
  if (rc == 0) rc = base_set_init(&r.bases, options->dir, err);
  if (rc == 0) rc = passes(&r, err);
  base_set_deinit(&r.bases);
  versions_close(r.versions);
  opener_free(r.opener);
  holds_unlock(shared);
  buf_deinit(&r.map);
  if (r.block.n) explicit_bzero(r.block.p, r.block.n);
  buf_deinit(&r.block);
  if (r.was.cap) explicit_bzero(r.was.p, r.was.cap);
  buf_deinit(&r.was);
  return rc;
}
