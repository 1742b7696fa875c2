#include "store/backfill.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/ids.h"
#include "store/journal_scan.h"
#include "store/refold.h"
#include "store/select.h"
#include "store/table.h"

// What is owed to one lead: the state of the features in question, as if its own missing events were all it had. In two parts:
// what it is owed of a time of which some log has nothing any more, and the rest.
enum { LATE, EARLY, PARTS };
struct owed {
  struct table_entry head; // key: lead_key
  uint8_t *part[PARTS];    // NULL: nothing
  uint64_t until;          // the last frame that changed any
  bool is_merged;          // into another lead
};

// A frame up to which a lead's history was filled in before, of some features.
struct closing {
  struct table_entry head; // key: lead and place
  struct feature_mask mask;
};

// Which of the features a release lacks.
struct lacking {
  const struct policy *policy;
  struct feature_mask mask;
  bool is_any;
};

struct backfilling {
  const struct backfill_options *options;
  struct backfill_stats *stats;
  const struct feature_set *set;
  struct feature_mask wanted;
  struct table closings, owed;
  struct lacking *lacking;
  size_t lacking_count;
  uint8_t *blank, *scratch;
  bool has_uneven;
  int64_t uneven_ms; // of the time until then some log has nothing any more; INT64_MIN: all are whole
  uint64_t unsure;   // merged leads that may have been given what they are owed of that time, or not
  struct buf slices;
  struct refold_stats refold;
};

// ---- which features ----
static void choose(struct backfilling *b) {
  for (size_t i = 0; i < feature_count(b->set); i++)
    if (feature_has_history(b->set, i) && (!b->options->only || feature_mask_has(b->options->only, i)))
      feature_mask_add(&b->wanted, i);
}

static const struct lacking *lacking_of(struct backfilling *b, const struct policy *policy) {
  for (size_t i = 0; i < b->lacking_count; i++)
    if (b->lacking[i].policy == policy) return &b->lacking[i];
  b->lacking = xrealloc(b->lacking, (b->lacking_count + 1) * sizeof *b->lacking);
  struct lacking *l = &b->lacking[b->lacking_count++];
  *l = (struct lacking){.policy = policy};
  for (size_t i = 0; i < feature_count(b->set); i++) {
    if (!feature_mask_has(&b->wanted, i)) continue;
    if (feature_defines(policy_features(policy), feature_info(b->set, i)->definition_hash)) continue;
    feature_mask_add(&l->mask, i);
    l->is_any = true;
  }
  return l;
}

// ---- what was filled in before ----
static struct hash128 closing_key(struct lead_id lead, uint64_t place) {
  struct hash128 key = lead_key(lead);
  return (struct hash128){hash_mix(key.hi, place), hash_mix(key.lo, ~place)};
}

static int take_fill(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)place;
  struct backfilling *b = context;
  struct fill fill;
  uint64_t hashes[FEATURES_MAX];
  size_t count;
  int rc = fill_read(f, &fill, hashes, &count, err);
  if (rc) return rc;
  struct hash128 key = closing_key(fill.of, fill.until);
  struct closing *c = table_find(&b->closings, key);
  if (!c) c = table_add(&b->closings, key);
  for (size_t i = 0; i < feature_count(b->set); i++)
    for (size_t k = 0; k < count; k++) {
      if (feature_info(b->set, i)->definition_hash != hashes[k]) continue;
      feature_mask_add(&c->mask, i);
      if (f->received_ms > b->stats->filled_ms[i]) b->stats->filled_ms[i] = f->received_ms;
    }
  return 0;
}

static int find_fills(struct backfilling *b, struct error *err) {
  struct select_filter fills = SELECT_ALL;
  fills.kinds = 1u << FRAME_FILL;
  return journal_select(b->options->dir, &fills, take_fill, b, NULL, NULL, err);
}

// ---- folding what is owed ----
static struct owed *owed_of(struct backfilling *b, struct lead_id lead, bool makes) {
  struct owed *o = table_find(&b->owed, lead_key(lead));
  return o || !makes ? o : table_add(&b->owed, lead_key(lead));
}

static size_t part_at(const struct backfilling *b, const struct frame *f) {
  return f->received_ms <= b->uneven_ms ? EARLY : LATE;
}

// With what `from` holds, where nothing is yet.
static uint8_t *make_part(const struct backfilling *b, struct owed *o, size_t part, const uint8_t *from) {
  size_t size = feature_state_size(b->set);
  if (!o->part[part]) o->part[part] = memcpy(xmalloc(size + 1), from, size);
  return o->part[part];
}

static void owe_event(struct backfilling *b, const struct refold_step *step, const struct feature_mask *mask) {
  struct owed *o = owed_of(b, step->frame->entity, false);
  size_t part = part_at(b, step->frame);
  uint8_t *state = o && o->part[part] ? o->part[part] : b->scratch; // most events touch none of a few features
  if (policy_fold_only(b->options->policy, state, step->event, step->frame->now_ms, mask) == 0) return;
  if (state == b->scratch) {
    o = owed_of(b, step->frame->entity, true);
    make_part(b, o, part, b->scratch);
    memcpy(b->scratch, b->blank, feature_state_size(b->set));
  }
  o->until = step->place;
  b->stats->events++;
}

// A state that another release's layout drops: what it held of the features is owed again.
static int owe_dropped(struct backfilling *b, const struct refold_step *step, const struct lead *lead,
                       const struct policy *policy, const struct feature_mask *mask, struct error *err) {
  const struct feature_set *set = policy_features(policy);
  struct feature_mask held = {0};
  size_t merged, found = 0;
  if (lead->flags & LEAD_SEALED) return 0;
  for (size_t i = 0; i < feature_count(set); i++)
    for (size_t k = 0; k < feature_count(b->set); k++)
      if (feature_mask_has(mask, k) &&
          feature_info(set, i)->definition_hash == feature_info(b->set, k)->definition_hash)
        feature_mask_add(&held, i), found++;
  if (!found) return 0;
  buf_clear(&b->slices);
  const uint8_t *holds = lead_feature_state((struct lead *)(uintptr_t)lead); // read only
  if (feature_slices_put(set, holds, &held, &b->slices, NULL) == 0) return 0;
  struct owed *o = owed_of(b, step->frame->entity, true);
  o->until = step->place;
  uint8_t *state = make_part(b, o, part_at(b, step->frame), b->blank);
  return feature_slices_merge(b->set, state, buf_bytes(&b->slices), &merged, err);
}

static void close_parts(struct backfilling *b, struct owed *o, const struct feature_mask *mask) {
  for (size_t i = 0; i < PARTS; i++)
    if (o->part[i]) feature_clear(b->set, o->part[i], mask);
}

static int visit(void *context, const struct refold_step *step, struct error *err) {
  struct backfilling *b = context;
  const struct frame *f = step->frame;
  if (b->refold.frames % 1024 == 0 && b->options->is_over && b->options->is_over(b->options->context))
    return error_set(err, ITD_ESTOPPED, "the backfill was stopped");
  if (f->kind == FRAME_MESSAGE) {
    struct owed *mine = step->lead->flags & LEAD_SEALED ? owed_of(b, f->entity, false) : NULL;
    if (mine) mine->is_merged = true;
    return 0;
  }
  const struct lacking *l = lacking_of(b, step->policy);
  int rc = 0;
  if (l->is_any && step->was) rc = owe_dropped(b, step, step->was, step->was_policy, &l->mask, err);
  if (rc == 0 && l->is_any && step->other) rc = owe_dropped(b, step, step->other, step->other_policy, &l->mask, err);
  if (rc == 0 && l->is_any && step->event) owe_event(b, step, &l->mask);
  struct owed *o = owed_of(b, f->entity, false);
  // Whether or not the frame changed anything in question: it may have been the last for others that were filled in with these.
  bool is_closing = o && table_count(&b->closings);
  const struct closing *c = is_closing ? table_find(&b->closings, closing_key(f->entity, step->place)) : NULL;
  if (c) close_parts(b, o, &c->mask);
  return rc;
}

// ---- a pass's leads ----
// Logs lose their beginnings one by one. What a merged lead was given is told by a frame in another lead's partition, whose log
// may have let it go while this lead's still has the events: of that time it can't be known, and nothing is counted twice.
static int find_uneven(struct backfilling *b, struct error *err) {
  struct segment_info *list;
  size_t count;
  bool is_seen[256] = {false};
  int rc = segment_list(b->options->dir, &list, &count, err);
  if (rc) return rc;
  for (size_t i = 0; i < count; i++) {
    if (is_seen[list[i].log]) continue;
    is_seen[list[i].log] = true;
    if (list[i].number > 1 && list[i].has_opening && list[i].received_ms > b->uneven_ms)
      b->uneven_ms = list[i].received_ms;
  }
  segment_list_free(list, count);
  return 0;
}

static int begin(void *context, struct opener *opener, const struct lead_id *leads, size_t count, struct error *err) {
  (void)opener, (void)leads, (void)count;
  struct backfilling *b = context;
  if (b->has_uneven) return 0;
  b->has_uneven = true; // for all passes: nothing is let go meanwhile
  return find_uneven(b, err);
}

static int join_parts(struct backfilling *b, struct owed *o, struct error *err) {
  size_t merged, early = 0;
  buf_clear(&b->slices);
  if (o->part[EARLY]) early = feature_slices_put(b->set, o->part[EARLY], &b->wanted, &b->slices, NULL);
  uint8_t *state = make_part(b, o, LATE, b->blank);
  if (!early) return 0;
  b->unsure += o->is_merged;
  return o->is_merged ? 0 : feature_slices_merge(b->set, state, buf_bytes(&b->slices), &merged, err);
}

static int tell(struct backfilling *b, struct owed *o, struct error *err) {
  struct feature_mask mask;
  int rc = join_parts(b, o, err);
  if (rc) return rc;
  buf_clear(&b->slices);
  if (feature_slices_put(b->set, o->part[LATE], &b->wanted, &b->slices, &mask) == 0) return 0; // it was filled in
  struct fill fill = {.of = lead_of_key(o->head.key), .until = o->until, .slices = buf_bytes(&b->slices)};
  b->stats->owed++;
  for (size_t i = 0; i < feature_count(b->set); i++) b->stats->owed_of[i] += feature_mask_has(&mask, i);
  return b->options->each(b->options->context, fill.of, &fill, &mask, err);
}

static void drop_owed(struct backfilling *b) {
  size_t size = feature_state_size(b->set);
  for (size_t i = 0; i < table_count(&b->owed); i++) {
    struct owed *o = table_at(&b->owed, i);
    for (size_t k = 0; k < PARTS; k++) {
      if (o->part[k]) explicit_bzero(o->part[k], size); // it may be personal
      free(o->part[k]);
    }
  }
  table_deinit(&b->owed);
}

static int end(void *context, struct error *err) {
  struct backfilling *b = context;
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < table_count(&b->owed); i++) rc = tell(b, table_at(&b->owed, i), err);
  drop_owed(b);
  table_init(&b->owed, sizeof(struct owed));
  return rc;
}

static void progress(void *context, uint64_t done, uint64_t total) {
  const struct backfilling *b = context;
  b->options->progress(b->options->context, done, total);
}

static int walk(struct backfilling *b, struct error *err) {
  const struct backfill_options *o = b->options;
  size_t size = feature_state_size(b->set), each = 2 * size + 512; // a lead is its own state, too
  size_t most = (o->bytes_max ? o->bytes_max : BACKFILL_BYTES_MAX) / each;
  struct refold_options refold = {.dir = o->dir,
                                  .leads_max = most < 1000               ? 1000
                                               : most > REFOLD_LEADS_MAX ? REFOLD_LEADS_MAX
                                                                         : most,
                                  .begin = begin,
                                  .visit = visit,
                                  .end = end,
                                  .progress = o->progress ? progress : NULL,
                                  .context = b};
  return store_refold(&refold, &b->refold, err);
}

int store_backfill(const struct backfill_options *options, struct backfill_stats *stats, struct error *err) {
  *stats = (struct backfill_stats){0};
  for (size_t i = 0; i < FEATURES_MAX; i++) stats->filled_ms[i] = INT64_MIN;
  struct backfilling b = {
      .options = options, .stats = stats, .set = policy_features(options->policy), .uneven_ms = INT64_MIN};
  size_t size = feature_state_size(b.set);
  choose(&b);
  b.blank = xcalloc(size + 1, 1);
  feature_state_init(b.set, b.blank);
  b.scratch = memcpy(xmalloc(size + 1), b.blank, size);
  table_init(&b.closings, sizeof(struct closing));
  table_init(&b.owed, sizeof(struct owed));
  int rc = find_fills(&b, err);
  if (rc == 0) rc = walk(&b, err);
  stats->leads = b.refold.leads;
  stats->cut_short = b.refold.from_base + b.refold.unreached + b.unsure;
  drop_owed(&b);
  table_deinit(&b.closings);
  free(b.lacking);
  free(b.blank);
  free(b.scratch);
  if (b.slices.p) explicit_bzero(b.slices.p, b.slices.cap);
  buf_deinit(&b.slices);
  return rc;
}
