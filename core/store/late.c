#include "store/late.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "store/disk.h"
#include "store/versions.h"

#define LINE_MAX_BYTES 64u

static void path_of(char path[PATH_MAX], const char *dir) { snprintf(path, PATH_MAX, "%s/late", dir); }

int late_read(const char *dir, struct late *late, struct error *err) {
  char path[PATH_MAX];
  struct buf b = {0};
  path_of(path, dir);
  *late = (struct late){0};
  if (access(path, F_OK) != 0) return error_set(err, ITD_ENOTFOUND, "%s: there is no such file", path);
  int status = disk_load(path, sizeof late->entry / sizeof *late->entry * LINE_MAX_BYTES, &b, err);
  buf_append_u8(&b, 0);
  for (char *line = (char *)b.p; status == 0 && *line;) {
    struct late_entry e;
    int end = 0;
    bool is_line = sscanf(line, "%16" SCNx64 " %" SCNd64 "%n", &e.definition, &e.since_ms, &end) == 2;
    if (!is_line || line[end] != '\n' || late->count == sizeof late->entry / sizeof *late->entry) {
      status = error_set(err, ITD_ECORRUPT, "%s: line %zu does not read", path, late->count + 1);
      break;
    }
    late->entry[late->count++] = e;
    line += end + 1;
  }
  buf_deinit(&b);
  return status;
}

int late_write(const char *dir, const struct late *late, struct error *err) {
  char path[PATH_MAX];
  struct buf b = {0};
  path_of(path, dir);
  for (size_t i = 0; i < late->count; i++)
    buf_printf(&b, "%016" PRIx64 " %" PRId64 "\n", late->entry[i].definition, late->entry[i].since_ms);
  int status = disk_replace(path, buf_bytes(&b), err);
  buf_deinit(&b);
  return status;
}

const struct late_entry *late_find(const struct late *late, uint64_t definition) {
  for (size_t i = 0; i < late->count; i++)
    if (late->entry[i].definition == definition) return &late->entry[i];
  return NULL;
}

struct deriving {
  const struct feature_set *set;
  struct late *late;
  int64_t now_ms;
};

static void add_lacking(void *context, uint32_t number, const struct policy *version) {
  (void)number;
  const struct deriving *d = context;
  for (size_t i = 0; i < feature_count(d->set); i++) {
    uint64_t definition = feature_info(d->set, i)->definition_hash;
    bool is_full = !feature_has_history(d->set, i) || feature_defines(policy_features(version), definition);
    if (!is_full && !late_find(d->late, definition))
      d->late->entry[d->late->count++] = (struct late_entry){definition, d->now_ms};
  }
}

int late_derive(const char *dir, const struct policy *policy, int64_t now_ms, struct late *late, struct error *err) {
  struct deriving d = {policy_features(policy), late, now_ms};
  *late = (struct late){0};
  return versions_walk(dir, add_lacking, &d, err);
}

static bool drop_gone(struct late *late, const struct feature_set *had, const struct feature_set *has) {
  size_t kept = 0, count = late->count;
  for (size_t i = 0; i < count; i++)
    if (feature_defines(had, late->entry[i].definition) || feature_defines(has, late->entry[i].definition))
      late->entry[kept++] = late->entry[i];
  late->count = kept;
  return kept != count;
}

bool late_switch(struct late *late, const struct policy *before, const struct policy *next, int64_t now_ms) {
  const struct feature_set *had = policy_features(before), *has = policy_features(next);
  bool is_changed = drop_gone(late, had, has);
  for (size_t i = 0; i < late->count; i++)
    if (late->entry[i].since_ms >= now_ms) now_ms = late->entry[i].since_ms + 1;
  for (size_t i = 0; i < feature_count(has); i++) {
    uint64_t definition = feature_info(has, i)->definition_hash;
    if (!feature_has_history(has, i) || feature_defines(had, definition)) continue;
    struct late_entry *e = (struct late_entry *)(uintptr_t)late_find(late, definition);
    if (!e) e = &late->entry[late->count++]; // room: one for each feature of the two sets
    *e = (struct late_entry){definition, now_ms};
    is_changed = true;
  }
  return is_changed;
}

bool late_fill(struct late *late, const struct late *then, const struct feature_set *set,
               const struct feature_mask *full) {
  size_t kept = 0, count = late->count;
  for (size_t i = 0; i < count; i++) {
    const struct late_entry *e = &late->entry[i], *was = late_find(then, e->definition);
    bool is_full = false;
    for (size_t k = 0; k < feature_count(set); k++)
      is_full |= feature_mask_has(full, k) && feature_info(set, k)->definition_hash == e->definition;
    if (!is_full || !was || was->since_ms != e->since_ms) late->entry[kept++] = *e;
  }
  late->count = kept;
  return kept != count;
}
