// Parts of a state by the definitions that they are of, for a state of another layout or another time. A definition's hash
// covers all that its bytes mean, so that two features of one hash have bytes of one form, wherever they lie.
#include "base/check.h"
#include "feature/ops.h"

bool feature_has_history(const struct feature_set *set, size_t index) {
  const struct feature *f = &set->features[index];
  return !is_derived(f) && !f->op->is_account;
}

bool feature_defines(const struct feature_set *set, uint64_t definition_hash) {
  for (size_t i = 0; i < set->count; i++)
    if (set->features[i].info.definition_hash == definition_hash) return true;
  return false;
}

// `blank`: room for a feature's bytes.
static bool is_untouched(const struct feature *f, const uint8_t *state, struct buf *blank) {
  buf_clear(blank);
  memset(buf_reserve(blank, f->size), 0, f->size);
  f->op->init(f, blank->p);
  return memcmp(blank->p, state + f->offset, f->size) == 0 &&
         (!f->keeps_latest || load_i64(state + f->latest) == TIME_NONE);
}

size_t feature_slices_put(const struct feature_set *set, const uint8_t *state, const struct feature_mask *mask,
                          struct buf *out, struct feature_mask *put) {
  struct buf list = {0}, blank = {0};
  uint32_t count = 0;
  if (put) *put = (struct feature_mask){0};
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (!feature_mask_has(mask, i) || !feature_has_history(set, i) || is_untouched(f, state, &blank)) continue;
    mp_put_uint(&list, f->info.definition_hash);
    mp_put_array(&list, 2);
    mp_put_bin(&list, bytes_of(state + f->offset, f->size));
    if (f->keeps_latest && load_i64(state + f->latest) != TIME_NONE)
      mp_put_int(&list, load_i64(state + f->latest));
    else
      mp_put_nil(&list);
    if (put) feature_mask_add(put, i);
    count++;
  }
  mp_put_map(out, count);
  buf_append_bytes(out, buf_bytes(&list));
  buf_deinit(&list);
  buf_deinit(&blank);
  return count;
}

struct slice {
  uint64_t definition;
  struct bytes state;
  int64_t latest_ms; // TIME_NONE: not kept
};

static bool take_slice(struct mp *m, struct slice *out) {
  struct mp_value key = mp_next(m), pair = mp_next(m);
  if ((key.type != MP_INT && key.type != MP_UINT) || pair.type != MP_ARRAY || pair.count != 2) return false;
  struct mp_value state = mp_next(m), latest = mp_next(m);
  if (state.type != MP_BIN || (latest.type != MP_INT && latest.type != MP_NIL)) return false;
  out->definition = (uint64_t)key.i;
  out->state = state.s;
  out->latest_ms = latest.type == MP_INT ? latest.i : TIME_NONE;
  return true;
}

static size_t merge_slice(const struct feature_set *set, uint8_t *state, const struct slice *s) {
  size_t merged = 0;
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (f->info.definition_hash != s->definition || f->size != s->state.n || !feature_has_history(set, i)) continue;
    f->op->merge(f, state + f->offset, s->state.p);
    if (f->keeps_latest && s->latest_ms != TIME_NONE) latest_fold(f, state, s->latest_ms);
    merged++;
  }
  return merged;
}

int feature_slices_merge(const struct feature_set *set, uint8_t *state, struct bytes slices, size_t *merged,
                         struct error *err) {
  size_t length, count = 0;
  struct mp_limits limits = {.depth_max = 4, .objects_max = 4 * FEATURES_MAX + 1, .bytes_max = SIZE_MAX};
  struct slice slice;
  bool is_map = mp_scan(slices, &limits, &length, NULL) == 1 && length == slices.n;
  struct mp check = mp_of(slices), m = check;
  struct mp_value head = {0};
  if (is_map) head = mp_next(&check);
  is_map = is_map && head.type == MP_MAP;
  for (uint32_t i = 0; is_map && i < head.count; i++) is_map = take_slice(&check, &slice);
  if (!is_map) return error_set(err, ITD_ECORRUPT, "these are no slices of a lead's features");
  mp_next(&m);
  for (uint32_t i = 0; i < head.count; i++) {
    CHECK(take_slice(&m, &slice));
    count += merge_slice(set, state, &slice);
  }
  *merged = count;
  return 0;
}
