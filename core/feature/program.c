// A set as a whole: compiling a list of declarations, the layout of a lead's state, and moving a state from one set to
// another. Each feature's part lies behind the one before it, in the order of declaration; sizes are multiples of 8, so
// nothing is padding.
#include "feature/program.h"
#include "base/check.h"
#include <stdlib.h>

#define DECLARATIONS_LIMITS ((struct mp_limits){.depth_max = 8, .objects_max = 1u << 18, .bytes_max = 4u << 20})

// ---- compile ----
static int number_path(struct feature_set *set, const struct feature *f, struct bytes text, uint16_t *number,
                       struct error *err) {
  uint32_t n = names_add(&set->paths, text);
  if (n >= FEATURE_PATHS_MAX)
    return error_set(err, ITD_EPOLICY, "features: %s: the set asks for more than %d different paths", f->info.name,
                     FEATURE_PATHS_MAX);
  *number = (uint16_t)n;
  return 0;
}

static int number_conditions(struct feature_set *set, const struct feature *f, const struct condition **list,
                             uint32_t count, struct error *err) {
  struct condition *where = arena_alloc(&set->arena, (count + 1) * sizeof *where);
  for (uint32_t i = 0; i < count; i++) {
    where[i] = (*list)[i];
    int rc = number_path(set, f, where[i].path_text, &where[i].path, err);
    if (rc != 0) return rc;
  }
  *list = where;
  return 0;
}

static int number_paths(struct feature_set *set, struct feature *f, struct error *err) {
  struct step *steps = arena_alloc(&set->arena, (f->step_count + 1) * sizeof *steps);
  for (uint32_t i = 0; i < f->step_count; i++) {
    steps[i] = f->steps[i];
    int rc = number_conditions(set, f, &steps[i].where, steps[i].where_count, err);
    if (rc != 0) return rc;
  }
  f->steps = steps;
  int rc = number_conditions(set, f, &f->where, f->where_count, err);
  if (rc != 0) return rc;
  bool has_path = f->source == SOURCE_PATH || f->source == SOURCE_CLOCK;
  return has_path ? number_path(set, f, f->of_text, &f->of, err) : 0;
}

static uint32_t feature_bytes(const struct feature *f) { return f->size + (f->keeps_latest ? LATEST_SIZE : 0); }

static int add_feature(struct feature_set *set, struct bytes map, struct error *err) {
  struct feature *f = &set->features[set->count];
  int rc = declaration_parse(map, set->count + 1, &set->arena, f, err);
  if (rc != 0) return rc;
  if (names_add(&set->names, bytes_str(f->info.name)) != set->count)
    return error_set(err, ITD_EPOLICY, "features: %s: the name is declared twice", f->info.name);
  if ((rc = number_paths(set, f, err)) != 0) return rc;
  set->count++;
  return 0;
}

// Behind all features before it. A derived one has no part of the state.
static int lay_feature(struct feature_set *set, struct feature *f, struct error *err) {
  f->offset = (uint32_t)set->state_size;
  f->size = is_derived(f) ? 0 : (uint32_t)f->op->size(f);
  CHECK(f->size % 8 == 0);
  latest_lay(f);
  set->state_size += feature_bytes(f);
  if (set->state_size > FEATURE_STATE_MAX)
    return error_set(err, ITD_EPOLICY, "features: %s: with its %u bytes a lead's state grows beyond %u", f->info.name,
                     feature_bytes(f), FEATURE_STATE_MAX);
  f->info.state_offset = f->offset;
  f->info.state_size = feature_bytes(f);
  return 0;
}

// All names are known, so derived features find what they read.
static int lay_features(struct feature_set *set, struct error *err) {
  int rc = derived_resolve(set, err);
  if (rc == 0) rc = account_resolve(set, err);
  for (size_t i = 0; rc == 0 && i < set->count; i++) rc = lay_feature(set, &set->features[i], err);
  if (rc != 0) return rc;
  for (size_t i = 0; i < set->count; i++)
    if (!is_derived(&set->features[i])) set->features[i].info.definition_hash = definition_hash(&set->features[i]);
  account_lay(set);
  derived_lay(set);
  return 0;
}

static int add_features(struct feature_set *set, struct bytes declarations, struct error *err) {
  struct mp m = mp_of(declarations);
  struct mp_value head = mp_next(&m);
  bool is_empty_table = head.type == MP_MAP && head.count == 0; // how Lua may write an empty list
  if (head.type != MP_ARRAY && !is_empty_table)
    return error_set(err, ITD_EPOLICY, "features: the declarations must be a list of maps");
  if (head.count > FEATURES_MAX)
    return error_set(err, ITD_EPOLICY, "features: %u are declared, at most %d are allowed", head.count, FEATURES_MAX);
  set->features = arena_alloc(&set->arena, (head.count + 1) * sizeof *set->features);
  for (uint32_t i = 0; i < head.count; i++) {
    int rc = add_feature(set, mp_take(&m), err);
    if (rc != 0) return rc;
  }
  return lay_features(set, err);
}

static void finish(struct feature_set *set) {
  set->path = arena_alloc(&set->arena, (set->paths.count + 1) * sizeof *set->path);
  for (size_t i = 0; i < set->paths.count; i++) CHECK(path_parse(set->paths.text[i], &set->path[i]));
  dispatch_build(&set->dispatch, set->features, set->count, &set->arena);
  uint64_t hash = hash_mix(FEATURE_SEMANTICS, set->count);
  for (size_t i = 0; i < set->count; i++) {
    const struct feature_info *info = &set->features[i].info;
    hash = hash_mix(hash, hash64(bytes_str(info->name)));
    hash = hash_mix(hash, info->definition_hash);
    hash = hash_mix(hash, (uint64_t)info->class << 1 | info->is_personal);
  }
  set->hash = hash;
}

int feature_set_compile(struct bytes declarations, struct feature_set **out, struct error *err) {
  struct error scan = {0};
  size_t len = 0;
  int whole = mp_scan(declarations, &DECLARATIONS_LIMITS, &len, &scan);
  if (whole < 0) return error_set(err, ITD_EPOLICY, "features: the declarations are not readable: %s", scan.text);
  if (whole == 0) return error_set(err, ITD_EPOLICY, "features: the declarations are cut short");
  if (len != declarations.n)
    return error_set(err, ITD_EPOLICY, "features: %zu bytes follow the declarations", declarations.n - len);
  struct feature_set *set = xcalloc(1, sizeof *set);
  arena_init(&set->arena);
  names_init(&set->names, &set->arena);
  names_init(&set->paths, &set->arena);
  int rc = add_features(set, declarations, err);
  if (rc != 0) {
    feature_set_free(set);
    return rc;
  }
  finish(set);
  *out = set;
  return 0;
}

void feature_set_free(struct feature_set *set) {
  if (!set) return;
  arena_deinit(&set->arena);
  free(set);
}

// ---- what there is ----
size_t feature_count(const struct feature_set *set) { return set->count; }

const struct feature_info *feature_info(const struct feature_set *set, size_t index) {
  CHECK(index < set->count);
  return &set->features[index].info;
}

int feature_find(const struct feature_set *set, struct bytes name) { return names_find(&set->names, name); }

uint64_t feature_set_hash(const struct feature_set *set) { return set->hash; }

// ---- a lead's state ----
size_t feature_state_size(const struct feature_set *set) { return set->state_size; }

static void init_one(const struct feature *f, uint8_t *state) {
  if (is_derived(f)) return;
  memset(state + f->offset, 0, f->size);
  f->op->init(f, state + f->offset);
  latest_init(f, state);
}

void feature_state_init(const struct feature_set *set, uint8_t *state) {
  for (size_t i = 0; i < set->count; i++) init_one(&set->features[i], state);
  account_init(set, state);
}

void feature_clear(const struct feature_set *set, uint8_t *state, const struct feature_mask *mask) {
  for (size_t i = 0; i < set->count; i++)
    if (feature_mask_has(mask, i)) init_one(&set->features[i], state);
}

// The feature of `set` with the same meaning, or NULL. Sets that differ keep most of their order, so the search begins
// at `hint`.
static const struct feature *find_definition(const struct feature_set *set, const struct feature *like, size_t *hint) {
  for (size_t n = 0; n < set->count; n++) {
    size_t i = (*hint + n) % set->count;
    const struct feature *f = &set->features[i];
    if (f->info.definition_hash != like->info.definition_hash || f->size != like->size) continue;
    *hint = i + 1;
    return f;
  }
  return NULL;
}

size_t feature_state_migrate(const struct feature_set *from, const uint8_t *old_state, const struct feature_set *to,
                             uint8_t *new_state) {
  size_t carried = 0, hint = 0;
  for (size_t i = 0; i < to->count; i++) {
    const struct feature *f = &to->features[i], *old = find_definition(from, f, &hint);
    if (!old) {
      init_one(f, new_state);
      continue;
    }
    if (!is_derived(f)) memcpy(new_state + f->offset, old_state + old->offset, f->size);
    latest_migrate(old, old_state, f, new_state);
    carried++;
  }
  account_migrate(from, old_state, to, new_state);
  return carried;
}

void feature_state_merge(const struct feature_set *set, uint8_t *into, const uint8_t *other, int64_t now_ms) {
  (void)now_ms; // every op keeps times, none an age
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (is_derived(f)) continue;
    f->op->merge(f, into + f->offset, other + f->offset);
    latest_merge(f, into, other);
  }
  account_merge(set, into, other);
}
