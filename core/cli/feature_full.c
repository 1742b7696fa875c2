#include "cli/feature_full.h"

#include "cli/field.h"
#include "cli/show.h"

static int nothing(void *context, struct lead_id lead, const struct fill *fill, const struct feature_mask *mask,
                   struct error *err) {
  (void)context, (void)lead, (void)fill, (void)mask, (void)err;
  return 0;
}

void feature_full_read(const char *dir, const struct policy *policy, const struct feature_history *history,
                       void (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                       struct feature_full *out) {
  const struct feature_set *set = policy_features(policy);
  size_t late = 0;
  *out = (struct feature_full){0};
  for (size_t i = 0; i < feature_count(set); i++)
    for (size_t v = 0; v < history->count; v++) {
      const struct policy *other = history->version[v].policy;
      if (!other || !feature_has_history(set, i) || feature_mask_has(&out->late, i)) continue;
      if (feature_like(other, feature_info(set, i)) < 0) feature_mask_add(&out->late, i), late++;
    }
  if (!late) return;
  struct backfill_options options = {
      .dir = dir, .policy = policy, .only = &out->late, .each = nothing, .progress = progress, .context = context};
  if (store_backfill(&options, &out->stats, &out->unknown) == 0) out->unknown.code = 0;
}

void feature_full_put(const struct feature_full *full, const struct policy *policy, size_t index, struct buf *out) {
  bool is_late = feature_mask_has(&full->late, index);
  mp_put_cstr(out, "history");
  if (!feature_has_history(policy_features(policy), index)) {
    mp_put_nil(out);
    return;
  }
  mp_put_map(out, 2);
  bool is_unknown = is_late && full->unknown.code;
  mp_put_cstr(out, "owed");
  if (is_unknown)
    mp_put_nil(out);
  else
    mp_put_uint(out, is_late ? full->stats.owed_of[index] : 0);
  mp_put_cstr(out, "since");
  if (is_late && !is_unknown && full->stats.filled_ms[index] != INT64_MIN)
    mp_put_int(out, full->stats.filled_ms[index]);
  else
    mp_put_nil(out);
}

void feature_full_show(struct bytes map, struct buf *out) {
  int64_t owed = field_int(map, "history.owed", -1), since_ms = field_int(map, "history.since", INT64_MIN);
  bool is_of_others = !field(map, "history").n;
  if (owed < 0)
    buf_append_str(out, is_of_others ? "of others" : "unknown");
  else if (owed > 0)
    buf_printf(out, "owed to %lld leads", (long long)owed);
  else
    buf_append_str(out, "full");
  if (owed != 0 || since_ms == INT64_MIN) return;
  buf_append_str(out, " since ");
  show_time(out, since_ms);
}
