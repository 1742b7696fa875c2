#include "cli/feature_history.h"

#include "base/check.h"
#include "engine/entity.h"
#include "store/datadir.h"
#include "store/hold.h"
#include "store/select.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

static struct version_history *version_of(struct feature_history *h, uint32_t number) {
  for (size_t i = 0; i < h->count; i++)
    if (h->version[i].number == number) return &h->version[i];
  return NULL;
}

static void name(char out[48], const struct frame *f) {
  char id[LEAD_ID_TEXT];
  lead_id_format(f->entity, id);
  snprintf(out, 48, "%s-%u", id, f->number);
}

struct walk {
  struct feature_history *history;
  void (*progress)(void *context, uint64_t done, uint64_t total);
  void *context;
};

static void show(void *context, uint64_t done, uint64_t total) {
  const struct walk *w = context;
  if (w->progress) w->progress(w->context, done, total);
}

static int take(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)place, (void)err;
  const struct walk *w = context;
  struct version_history *v = version_of(w->history, f->policy);
  if (!v) return 0;
  if (f->kind == FRAME_RELEASE) { // each partition has one: the first counts
    if (v->since_ms == INT64_MIN || f->received_ms < v->since_ms) v->since_ms = f->received_ms;
    return 0;
  }
  if (!frame_is_decision(f) || f->entity_kind != ENTITY_LEAD) return 0;
  if (!v->decisions++ || f->now_ms < v->first_ms) v->first_ms = f->now_ms, name(v->first_id, f);
  if (v->decisions == 1 || f->now_ms >= v->last_ms) v->last_ms = f->now_ms, name(v->last_id, f);
  return 0;
}

int feature_history_read(const char *dir, bool counts, void (*progress)(void *context, uint64_t done, uint64_t total),
                         void *context, struct feature_history *h, struct error *err) {
  struct walk walk = {.history = h, .progress = progress, .context = context};
  struct datadir read;
  *h = (struct feature_history){0};
  int rc = datadir_read(dir, &read, err);
  explicit_bzero(&read, sizeof read);
  if (rc == 0) rc = versions_open(dir, &h->versions, err);
  if (rc) return rc;
  h->count = versions_count(h->versions);
  h->version = xcalloc(h->count + 1, sizeof *h->version);
  for (size_t i = 0; i < h->count; i++) {
    uint32_t number = versions_number(h->versions, i);
    h->version[i] =
        (struct version_history){.number = number, .policy = versions_get(h->versions, number), .since_ms = INT64_MIN};
  }
  struct select_filter filter = SELECT_ALL;
  if (!counts) filter.kinds = 1u << FRAME_RELEASE;
  int shared = holds_share(dir);
  rc = journal_select(dir, &filter, take, &walk, show, NULL, err);
  holds_unlock(shared);
  if (rc == ITD_ENOTFOUND) rc = 0; // a directory without a journal yet
  if (rc) feature_history_deinit(h);
  return rc;
}

void feature_history_deinit(struct feature_history *h) {
  versions_close(h->versions);
  free(h->version);
  *h = (struct feature_history){0};
}

int feature_like(const struct policy *policy, const struct feature_info *info) {
  const struct feature_set *set = policy_features(policy);
  int named = feature_find(set, bytes_str(info->name));
  if (named >= 0 && feature_info(set, (size_t)named)->definition_hash == info->definition_hash) return named;
  for (size_t i = 0; i < feature_count(set); i++)
    if (feature_info(set, i)->definition_hash == info->definition_hash) return (int)i;
  return -1;
}
