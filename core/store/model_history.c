#include "store/model_history.h"

#include "base/check.h"
#include "store/disk.h"
#include "store/versions.h"
#include "wire/mp.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const hows[] = {
    [MODEL_START] = "start", [MODEL_RELOAD] = "reload", [MODEL_ACTIVATE] = "activate", [MODEL_ROLLBACK] = "rollback",
    [MODEL_LEFT] = "left",   [MODEL_CANARY] = "canary", [MODEL_ENDED] = "canary_ended"};
#define HOWS (sizeof hows / sizeof *hows)

const char *model_how_name(enum model_how how) { return hows[how]; }

static void path_of(char path[PATH_MAX], const char *dir) { snprintf(path, PATH_MAX, "%s/versions/models", dir); }

// ---- lines ----

void model_history_add(struct model_history *h, const struct model_use *use) {
  if ((h->count & (h->count + 1)) == 0) // room doubles whenever it is full: at 0, 1, 3, 7, …
    h->use = xrealloc(h->use, (2 * h->count + 1) * sizeof *h->use);
  struct model_use *u = &h->use[h->count++];
  *u = *use;
  u->name = xstrdup(use->name);
  u->version = xstrdup(use->version);
  u->by = xstrdup(use->by);
  u->why = xstrdup(use->why);
}

static void drop(struct model_use *u) { free(u->name), free(u->version), free(u->by), free(u->why); }

static void take_out(struct model_history *h, size_t at) {
  drop(&h->use[at]);
  memmove(&h->use[at], &h->use[at + 1], (h->count - at - 1) * sizeof *h->use);
  h->count--;
}

void model_history_copy(struct model_history *to, const struct model_history *from) {
  for (size_t i = 0; i < from->count; i++) model_history_add(to, &from->use[i]);
}

void model_history_deinit(struct model_history *h) {
  for (size_t i = 0; i < h->count; i++) drop(&h->use[i]);
  free(h->use);
  *h = (struct model_history){0};
}

// ---- the file ----

static bool text_at(struct bytes map, const char *key, struct bytes *out) {
  struct bytes value;
  return mp_find(map, bytes_str(key), &value) && mp_as_str(value, out) && !(out->n && memchr(out->p, 0, out->n));
}

static bool whole_at(struct bytes map, const char *key, int64_t *out) {
  struct bytes value;
  if (!mp_find(map, bytes_str(key), &value)) return false;
  struct mp_value v = mp_value_of(value);
  *out = v.i;
  return v.type == MP_INT;
}

static bool read_use(struct bytes map, struct model_history *h) {
  struct bytes name, version, how, hash, by, why;
  int64_t at_ms, number, share = 0;
  if (mp_value_of(map).type != MP_MAP || !whole_at(map, "at", &at_ms) || !whole_at(map, "number", &number))
    return false;
  if (!text_at(map, "model", &name) || !text_at(map, "version", &version) || !text_at(map, "how", &how)) return false;
  if (!text_at(map, "hash", &hash) || !text_at(map, "by", &by) || !text_at(map, "why", &why)) return false;
  size_t kind = 0;
  while (kind < HOWS && !bytes_is(how, hows[kind])) kind++;
  if (kind == HOWS || hash.n != 16 || number < 1 || number > UINT32_MAX) return false;
  bool is_canary = kind == MODEL_CANARY || kind == MODEL_ENDED; // the others have no share
  if (whole_at(map, "share", &share) != is_canary || share < is_canary || share >= POLICY_SHARE_ALL) return false;
  char *text[] = {xstrndup((const char *)name.p, name.n), xstrndup((const char *)version.p, version.n),
                  xstrndup((const char *)by.p, by.n), xstrndup((const char *)why.p, why.n)};
  struct model_use use = {.at_ms = at_ms,
                          .name = text[0],
                          .version = text[1],
                          .how = (enum model_how)kind,
                          .number = (uint32_t)number,
                          .share = (uint32_t)share,
                          .by = text[2],
                          .why = text[3]};
  memcpy(use.hash, hash.p, 16);
  model_history_add(h, &use);
  drop(&use);
  return true;
}

static int read_lines(struct bytes text, const char *path, struct model_history *h, struct error *err) {
  struct buf map = {0};
  int rc = 0;
  for (size_t line = 1; text.n && rc == 0; line++) {
    const uint8_t *end = memchr(text.p, '\n', text.n);
    size_t n = end ? (size_t)(end - text.p) : text.n;
    struct error bad = {0};
    buf_clear(&map);
    bool reads =
        end && mp_from_json(bytes_of(text.p, n), &MP_LIMITS_DEFAULT, &map, &bad) == 0 && read_use(buf_bytes(&map), h);
    if (!reads) rc = error_set(err, ITD_ECORRUPT, "%s: line %zu does not read", path, line);
    text = bytes_of(text.p + n + (end != NULL), text.n - n - (end != NULL));
  }
  buf_deinit(&map);
  return rc;
}

int model_history_read(const char *dir, struct model_history *out, struct error *err) {
  char path[PATH_MAX];
  struct buf b = {0};
  *out = (struct model_history){0};
  path_of(path, dir);
  if (access(path, F_OK)) return 0;
  int rc = disk_load(path, MODEL_HISTORY_MAX, &b, err);
  if (rc == 0) rc = read_lines(buf_bytes(&b), path, out, err);
  if (rc) model_history_deinit(out);
  buf_deinit(&b);
  return rc;
}

static void put_use(const struct model_use *u, struct buf *json) {
  struct buf map = {0};
  mp_put_map(&map, u->share ? 9 : 8);
  mp_put_cstr(&map, "at"), mp_put_int(&map, u->at_ms);
  mp_put_cstr(&map, "model"), mp_put_cstr(&map, u->name);
  mp_put_cstr(&map, "version"), mp_put_cstr(&map, u->version);
  mp_put_cstr(&map, "how"), mp_put_cstr(&map, hows[u->how]);
  mp_put_cstr(&map, "number"), mp_put_uint(&map, u->number);
  if (u->share) mp_put_cstr(&map, "share"), mp_put_uint(&map, u->share);
  mp_put_cstr(&map, "hash"), mp_put_cstr(&map, u->hash);
  mp_put_cstr(&map, "by"), mp_put_cstr(&map, u->by);
  mp_put_cstr(&map, "why"), mp_put_cstr(&map, u->why);
  mp_to_json(buf_bytes(&map), json);
  buf_append_u8(json, '\n');
  buf_deinit(&map);
}

int model_history_write(const char *dir, const struct model_history *h, struct error *err) {
  char path[PATH_MAX];
  struct buf b = {0};
  path_of(path, dir);
  for (size_t i = 0; i < h->count; i++) put_use(&h->use[i], &b);
  int rc = b.n > MODEL_HISTORY_MAX ? error_set(err, ITD_ETOOBIG, "%s: would have %zu bytes, at most %u are kept", path,
                                               b.n, MODEL_HISTORY_MAX)
                                   : disk_replace(path, buf_bytes(&b), err);
  buf_deinit(&b);
  return rc;
}

// ---- what is asked ----

static bool is_of_canary(const struct model_use *u) { return u->how == MODEL_CANARY || u->how == MODEL_ENDED; }

const struct model_use *model_history_last(const struct model_history *h, const char *name, const char *version) {
  for (size_t i = h->count; i-- > 0;) {
    const struct model_use *u = &h->use[i];
    if (strcmp(u->name, name) == 0 && (version ? strcmp(u->version, version) == 0 : !is_of_canary(u))) return u;
  }
  return NULL;
}

const struct model_use *model_history_canary(const struct model_history *h, const char *name) {
  for (size_t i = h->count; i-- > 0;) {
    const struct model_use *u = &h->use[i];
    if (strcmp(u->name, name) == 0 && is_of_canary(u)) return u->how == MODEL_CANARY ? u : NULL;
  }
  return NULL;
}

const struct model_use *model_history_in_force(const struct model_history *h, const char *name) {
  const struct model_use *last = model_history_last(h, name, NULL);
  return last && last->how != MODEL_LEFT ? last : NULL;
}

// The versions that were in force form a stack: a rollback takes off what lies above the one it goes back to.
const struct model_use *model_history_before(const struct model_history *h, const char *name) {
  size_t *stack = xcalloc(h->count + 1, sizeof *stack), depth = 0;
  for (size_t i = 0; i < h->count; i++) {
    const struct model_use *u = &h->use[i];
    if (strcmp(u->name, name) != 0 || u->how == MODEL_LEFT || is_of_canary(u)) continue;
    size_t top = depth;
    while (u->how == MODEL_ROLLBACK && top && strcmp(h->use[stack[top - 1]].version, u->version) != 0) top--;
    if (u->how == MODEL_ROLLBACK && top)
      depth = top;
    else if (!depth || strcmp(h->use[stack[depth - 1]].version, u->version) != 0)
      stack[depth++] = i;
  }
  const struct model_use *before = depth > 1 ? &h->use[stack[depth - 2]] : NULL;
  free(stack);
  return before;
}

// ---- a release ----

static bool reads(const struct policy *policy, const char *name) {
  struct policy_model_use use;
  for (size_t role = 0; role < policy_roles(); role++)
    if (policy_model_of(policy, role, &use) && strcmp(use.model.name, name) == 0) return true;
  return false;
}

static struct model_use line_of(const struct model_use *as, const struct policy_model_use *model) {
  struct model_use use = *as;
  use.name = (char *)(uintptr_t)model->model.name;
  use.version = (char *)(uintptr_t)model->model.version;
  snprintf(use.hash, sizeof use.hash, "%016llx", (unsigned long long)model_bound_info(model->bound)->number_hash);
  return use;
}

// The models that were in force and that a policy does not read. Lines that this adds are no longer in force.
static size_t note_left(struct model_history *h, const struct policy *policy, const struct model_use *as) {
  size_t count = h->count, added = 0;
  for (size_t i = 0; i < count; i++) {
    const struct model_use *in_force = model_history_in_force(h, h->use[i].name);
    if (!in_force || reads(policy, in_force->name)) continue;
    struct model_use left = *in_force;
    left.at_ms = as->at_ms, left.how = MODEL_LEFT, left.by = as->by, left.why = as->why;
    model_history_add(h, &left);
    added++;
  }
  return added;
}

// The canary of a model in a policy; false: it has none.
static bool find_canary(const struct policy *policy, const char *name, struct policy_model_use *out) {
  for (size_t role = 0; role < policy_roles(); role++)
    if (policy_canary_of(policy, role, out) && strcmp(out->model.name, name) == 0) return true;
  return false;
}

static bool is_canary(const struct model_use *line, const struct policy_model_use *canary) {
  return line && strcmp(line->version, canary->model.version) == 0 && line->share == canary->share;
}

static size_t note_canaries(struct model_history *h, const struct policy *policy, const struct model_use *as) {
  size_t count = h->count, added = 0;
  struct policy_model_use canary;
  for (size_t i = 0; i < count; i++) {
    const struct model_use *line = model_history_canary(h, h->use[i].name);
    if (!line || find_canary(policy, line->name, &canary)) continue;
    struct model_use ended = *line;
    ended.at_ms = as->at_ms, ended.how = MODEL_ENDED, ended.by = as->by, ended.why = as->why;
    model_history_add(h, &ended);
    added++;
  }
  for (size_t role = 0; role < policy_roles(); role++) {
    if (!policy_canary_of(policy, role, &canary)) continue;
    if (is_canary(model_history_canary(h, canary.model.name), &canary)) continue;
    struct model_use use = line_of(as, &canary);
    use.how = MODEL_CANARY, use.share = canary.share;
    model_history_add(h, &use);
    added++;
  }
  return added;
}

size_t model_history_note(struct model_history *h, const struct policy *policy, const struct model_use *as) {
  size_t added = note_left(h, policy, as);
  for (size_t role = 0; role < policy_roles(); role++) {
    struct policy_model_use model;
    if (!policy_model_of(policy, role, &model)) continue;
    const struct model_use *in_force = model_history_in_force(h, model.model.name);
    if (in_force && strcmp(in_force->version, model.model.version) == 0) continue;
    struct model_use use = line_of(as, &model);
    model_history_add(h, &use);
    added++;
  }
  return added + note_canaries(h, policy, as);
}

static bool agrees(const struct model_history *h, const struct policy *policy, const struct policy_model_use *model,
                   bool asks_canary) {
  struct policy_model_use canary;
  const struct model_use *in_force = model_history_in_force(h, model->model.name);
  if (!in_force || strcmp(in_force->version, model->model.version) != 0) return false;
  const struct model_use *line = model_history_canary(h, model->model.name);
  return !asks_canary || (find_canary(policy, model->model.name, &canary) ? is_canary(line, &canary) : !line);
}

// The lines that stay are the most that agree with the policy; when none do, all stay, and new ones say what is.
static bool settle_model(struct model_history *h, const struct policy *policy, const struct policy_model_use *model) {
  struct model_history kept = *h;
  while (kept.count && !agrees(&kept, policy, model, true)) kept.count--;
  if (!kept.count)
    for (kept.count = h->count; kept.count && !agrees(&kept, policy, model, false);) kept.count--;
  bool is_changed = false;
  for (size_t i = h->count; kept.count && i-- > kept.count;) {
    if (strcmp(h->use[i].name, model->model.name) != 0) continue;
    take_out(h, i);
    is_changed = true;
  }
  return is_changed;
}

bool model_history_settle(struct model_history *h, const struct policy *policy, const struct model_use *as) {
  bool is_changed = false;
  for (size_t role = 0; role < policy_roles(); role++) {
    struct policy_model_use model;
    if (policy_model_of(policy, role, &model)) is_changed |= settle_model(h, policy, &model);
  }
  return model_history_note(h, policy, as) > 0 || is_changed;
}

// ---- files ----

int model_history_files(const char *dir, const struct model_history *h, const char *name, const char *version,
                        struct buf *model_json, struct buf *weights_json, struct error *err) {
  const struct model_use *use = model_history_last(h, name, version);
  if (!use) return error_set(err, ITD_ENOTFOUND, "%.64s@%.64s was never in force", name, version);
  struct buf archive = {0};
  int rc = versions_archive(dir, use->number, &archive, err);
  if (rc == 0) rc = policy_archive_model(buf_bytes(&archive), name, version, model_json, weights_json, err);
  if (rc == ITD_ENOTFOUND) rc = ITD_ECORRUPT; // it is the archive that should have it
  buf_deinit(&archive);
  return rc;
}

int model_finder_find(void *context, const char *name, const char *version, char **found, struct buf *model_json,
                      struct buf *weights_json, struct error *err) {
  const struct model_finder *f = context;
  // One that a policy left is still what was in force last: a policy that comes back to it goes on with it.
  const struct model_use *use = model_history_last(f->history, name, version);
  if (!use) return 0;
  int rc = model_history_files(f->dir, f->history, name, use->version, model_json, weights_json, err);
  if (rc) return rc;
  *found = xstrdup(use->version);
  return 1;
}

int model_finder_canary(void *context, const char *name, char **found, uint32_t *share, struct buf *model_json,
                        struct buf *weights_json, struct error *err) {
  const struct model_finder *f = context;
  const struct model_use *use = model_history_canary(f->history, name);
  if (!use) return 0;
  int rc = model_history_files(f->dir, f->history, name, use->version, model_json, weights_json, err);
  if (rc) return rc;
  *found = xstrdup(use->version);
  *share = use->share;
  return 1;
}
