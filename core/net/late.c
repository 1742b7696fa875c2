#include "net/late.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

void late_start(struct daemon *daemon, const struct policy *before) {
  const char *dir = daemon->config->data;
  struct error err = {0};
  daemon->late = xcalloc(1, sizeof *daemon->late);
  int status = late_read(dir, daemon->late, &err);
  if (status == 0) return;
  if (status != ITD_ENOTFOUND) log_line(LOG_ERROR, "late_unreadable", "why=%s", log_quote(err.text));
  *daemon->late = (struct late){0};
  if (before && late_derive(dir, before, clock_wall_ms(), daemon->late, &err) < 0)
    log_line(LOG_ERROR, "late_unreadable", "why=%s", log_quote(err.text));
}

void late_stop(struct daemon *daemon) {
  free(daemon->late);
  daemon->late = NULL;
}

static bool is_late(const struct daemon *daemon, const struct policy *before, uint64_t definition) {
  return !feature_defines(policy_features(before), definition) || late_find(daemon->late, definition);
}

static bool is_read_before(const struct policy *before, const struct feature_mask *reads, uint64_t definition) {
  const struct feature_set *set = policy_features(before);
  for (size_t i = 0; i < feature_count(set); i++)
    if (feature_mask_has(reads, i) && feature_info(set, i)->definition_hash == definition) return true;
  return false;
}

int late_check(struct daemon *daemon, const struct policy *before, const struct policy *next, struct error *err) {
  const struct feature_set *set = policy_features(next);
  struct feature_mask needs, needed;
  struct buf names = {0};
  bool is_declared = true; // all of them, in the version in force
  if (!store_has_leads(daemon->store)) return 0;
  policy_needs(next, &needs);
  policy_needs(before, &needed);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    if (!feature_mask_has(&needs, i) || is_read_before(before, &needed, info->definition_hash)) continue;
    if (!is_late(daemon, before, info->definition_hash)) continue;
    buf_printf(&names, "%s%s", names.n ? " " : "", info->name);
    is_declared &= feature_defines(policy_features(before), info->definition_hash);
  }
  int status = 0;
  if (names.n) // what to do comes first: a long list is cut
    status =
        error_set(err, ITD_ELATE,
                  "version %s would decide by features that know nothing of the time before them; %s (intent policy "
                  "reload --allow-late: as they are): %.*s",
                  policy_info(next)->version,
                  is_declared ? "intent feature backfill fills them in, and then it may be put in force"
                              : "intent feature backfill --switch-in fills them in and then switches",
                  (int)names.n, (const char *)names.p);
  buf_deinit(&names);
  return status;
}

int late_note(struct daemon *daemon, const struct policy *before, const struct policy *next, struct error *err) {
  struct late *late = daemon->late;
  if (!before || before == next) return 0;
  if (!store_has_leads(daemon->store)) before = next; // whoever comes has all of it from the first event on
  struct late was = *late;
  if (!late_switch(late, before, next, clock_wall_ms())) return 0;
  int status = late_write(daemon->config->data, late, err);
  if (status < 0) *late = was;
  return status;
}

int late_filled(struct daemon *daemon, const struct late *then, const struct feature_set *set,
                const struct feature_mask *full, struct error *err) {
  struct late was = *daemon->late;
  late_fill(daemon->late, then, set, full);
  int status = late_write(daemon->config->data, daemon->late, err);
  if (status < 0) *daemon->late = was;
  return status;
}
