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

// Two names of one definition hold the same, and share a slice.
static bool is_put(const struct feature_set *set, const struct feature_mask *done, size_t index) {
  for (size_t i = 0; i < index; i++)
    if (feature_mask_has(done, i) && set->features[i].info.definition_hash == set->features[index].info.definition_hash)
      return true;
  return false;
}

size_t feature_slices_put(const struct feature_set *set, const uint8_t *state, const struct feature_mask *mask,
                          struct buf *out, struct feature_mask *put) {
  struct buf list = {0}, blank = {0};
  struct feature_mask done = {0};
  uint32_t count = 0;
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (!feature_mask_has(mask, i) || !feature_has_history(set, i) || is_untouched(f, state, &blank)) continue;
    bool is_second = is_put(set, &done, i);
    feature_mask_add(&done, i);
    if (is_second) continue;
    mp_put_uint(&list, f->info.definition_hash);
    mp_put_array(&list, 2);
    mp_put_bin(&list, bytes_of(state + f->offset, f->size));
    if (f->keeps_latest && load_i64(state + f->latest) != TIME_NONE)
      mp_put_int(&list, load_i64(state + f->latest));
    else
      mp_put_nil(&list);
    count++;
  }
  if (put) *put = done;
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

static bool is_slice_of(const struct feature_set *set, size_t index, const struct slice *s) {
  const struct feature *f = &set->features[index];
  return f->info.definition_hash == s->definition && f->size == s->state.n && feature_has_history(set, index);
}

static size_t merge_slice(const struct feature_set *set, uint8_t *state, const struct slice *s) {
  size_t merged = 0;
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (!is_slice_of(set, i, s)) continue;
    f->op->merge(f, state + f->offset, s->state.p);
    if (f->keeps_latest && s->latest_ms != TIME_NONE) latest_fold(f, state, s->latest_ms);
    merged++;
  }
  return merged;
}

// *head: of a map of slices, whole and well formed; *m: at its first key.
static int open_slices(struct bytes slices, struct mp *m, struct mp_value *head, struct error *err) {
  size_t length;
  struct mp_limits limits = {.depth_max = 4, .objects_max = 4 * FEATURES_MAX + 1, .bytes_max = SIZE_MAX};
  struct slice slice;
  bool is_map = mp_scan(slices, &limits, &length, NULL) == 1 && length == slices.n;
  struct mp check = mp_of(slices);
  *head = (struct mp_value){0};
  if (is_map) *head = mp_next(&check);
  is_map = is_map && head->type == MP_MAP;
  *m = check;
  for (uint32_t i = 0; is_map && i < head->count; i++) is_map = take_slice(&check, &slice);
  return is_map ? 0 : error_set(err, ITD_ECORRUPT, "these are no slices of a lead's features");
}

int feature_slices_keep(const struct feature_set *set, struct bytes slices, struct buf *out, size_t *kept,
                        struct error *err) {
  struct mp m;
  struct mp_value head;
  struct slice slice;
  struct buf list = {0};
  int status = open_slices(slices, &m, &head, err);
  if (status) return status;
  *kept = 0;
  for (uint32_t i = 0; i < head.count; i++) {
    const uint8_t *begin = m.p;
    CHECK(take_slice(&m, &slice));
    bool is_known = false;
    for (size_t k = 0; !is_known && k < set->count; k++) is_known = is_slice_of(set, k, &slice);
    if (is_known) buf_append(&list, begin, (size_t)(m.p - begin)), (*kept)++;
  }
  mp_put_map(out, (uint32_t)*kept);
  buf_append_bytes(out, buf_bytes(&list));
  if (list.p) explicit_bzero(list.p, list.cap);
  buf_deinit(&list);
  return 0;
}

int feature_slices_merge(const struct feature_set *set, uint8_t *state, struct bytes slices, size_t *merged,
                         struct error *err) {
  struct mp m;
  struct mp_value head;
  struct slice slice;
  size_t count = 0;
  int status = open_slices(slices, &m, &head, err);
  if (status) return status;
  for (uint32_t i = 0; i < head.count; i++) {
    CHECK(take_slice(&m, &slice));
    count += merge_slice(set, state, &slice);
  }
  *merged = count;
  return 0;
}
