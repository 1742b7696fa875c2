// Gathers a policy's files, chooses models' versions, hashes, packs. The only part of this layer that reads files.
//
// Inside a bundle paths are "policies/…", "scripts/…" and "models/…" wherever the folders lie: hash and messages are
// the same everywhere.
#include "policy/bundle.h"

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/suggest.h"
#include "feature/feature.h"
#include "policy/registry.h"
#include "wire/mp.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 63, ARCHIVE_FIRST = 1, ARCHIVE_FORMAT = 2, ARCHIVE_CANARY = 3 };

// What the same text means: a lead's state is laid out by both.
static const long long SEMANTICS = (long long)FEATURE_SEMANTICS << 16 | POLICY_SEMANTICS;

const char *const bundle_model_role[BUNDLE_MODELS] = {"fit", "engagement", "split"};

void bundle_init(struct bundle *b) {
  memset(b, 0, sizeof *b);
  b->format = ARCHIVE_FORMAT;
  b->semantics = SEMANTICS;
  arena_init(&b->arena);
}

void bundle_deinit(struct bundle *b) {
  free(b->modules);
  free(b->watched);
  arena_deinit(&b->arena);
  bundle_init(b);
}

bool bundle_name_ok(const char *name) {
  if (!name || name[0] < 'a' || name[0] > 'z') return false;
  size_t n = strlen(name);
  return n <= NAME_MAX_BYTES && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static bool starts_with(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

static bool ends_with(const char *text, const char *suffix) {
  size_t n = strlen(text), m = strlen(suffix);
  return n >= m && strcmp(text + n - m, suffix) == 0;
}

static char *join(struct bundle *b, const char *folder, const char *name) {
  struct buf text;
  buf_init(&text);
  buf_printf(&text, "%s/%s", folder, name);
  char *copy = arena_str(&b->arena, buf_bytes(&text));
  buf_deinit(&text);
  return copy;
}

static void watch(struct bundle *b, const char *path) {
  if (b->watched_count == b->watched_cap) {
    b->watched_cap = b->watched_cap ? 2 * b->watched_cap : 32;
    b->watched = xrealloc(b->watched, b->watched_cap * sizeof *b->watched);
  }
  b->watched[b->watched_count++] = arena_str(&b->arena, bytes_str(path));
}

static int read_whole(struct bundle *b, const char *path, size_t limit, struct bytes *out, struct error *err) {
  struct buf content;
  buf_init(&content);
  int status = file_read(path, limit, &content, err);
  if (status == 0) {
    *out = arena_copy(&b->arena, buf_bytes(&content));
    watch(b, path);
  }
  buf_deinit(&content);
  return status;
}

// ---- modules ----

static void add_module(struct bundle *b, struct lua_module module) {
  if (b->count == b->cap) {
    b->cap = b->cap ? 2 * b->cap : 64;
    b->modules = xrealloc(b->modules, b->cap * sizeof *b->modules);
  }
  b->modules[b->count++] = module;
}

// A spec, and what a folder of fixtures holds for it, is no part of a policy.
static bool is_module_file(const char *name) {
  if (strstr(name, "/fixtures/") || starts_with(name, "fixtures/")) return false;
  return (ends_with(name, ".lua") && !ends_with(name, "_spec.lua")) || ends_with(name, ".csv");
}

// What a file is follows from its path alone, so that an archive needs no more: "policies/b2b_saas/data/sales_team.csv"
// is module "b2b_saas.data.sales_team", "scripts/score.lua" is "score" and of the library.
static struct lua_module module_at(struct bundle *b, const char *path) {
  bool is_library = starts_with(path, "scripts/");
  const char *inside = strchr(path, '/') + 1;
  char *name = arena_str(&b->arena, bytes_of(inside, strlen(inside) - strlen(".lua")));
  for (char *c = name; *c; c++) {
    if (*c == '/') *c = '.';
  }
  return (struct lua_module){.name = name, .path = path, .is_library = is_library};
}

// All modules below `dir`; `as` is the folder's name inside the bundle, `skip` a folder in it to leave out (NULL:
// none).
static int gather_folder(struct bundle *b, const char *dir, const char *as, const char *skip, struct error *err) {
  char **names = NULL;
  size_t count = 0;
  int status = dir_list(dir, BUNDLE_FILES_MAX, &names, &count, err);
  if (status == 0) watch(b, dir);
  for (size_t i = 0; i < count && status == 0; i++) {
    if (!is_module_file(names[i]) || (skip && starts_with(names[i], skip))) continue;
    struct lua_module module = module_at(b, join(b, as, names[i]));
    status = read_whole(b, join(b, dir, names[i]), BUNDLE_FILE_MAX, &module.text, err);
    if (status == 0) add_module(b, module);
  }
  dir_list_free(names, count);
  return status;
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const struct lua_module *)a)->path, ((const struct lua_module *)b)->path);
}

static const struct lua_module *with_name(const struct bundle *b, const char *name, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(b->modules[i].name, name) == 0) return &b->modules[i];
  }
  return NULL;
}

static int sort_modules(struct bundle *b, struct error *err) {
  if (b->count > 0) qsort(b->modules, b->count, sizeof *b->modules, by_path);
  for (size_t i = 0; i < b->count; i++) {
    const struct lua_module *other = with_name(b, b->modules[i].name, i);
    if (other) return error_set(err, ITD_EPOLICY, "%s: has the module name of %s", b->modules[i].path, other->path);
  }
  return 0;
}

int policy_list(const char *policies_dir, char ***names, size_t *count, struct error *err) {
  char **files = NULL;
  size_t file_count = 0, n = 0;
  int status = dir_list(policies_dir, 16 * BUNDLE_FILES_MAX, &files, &file_count, err);
  if (status != 0) return status;
  char **list = xcalloc(file_count + 1, sizeof *list);
  for (size_t i = 0; i < file_count; i++) {
    const char *slash = strchr(files[i], '/');
    if (!slash || strcmp(slash, "/policy.lua") != 0) continue;
    list[n] = xstrndup(files[i], (size_t)(slash - files[i]));
    if (bundle_name_ok(list[n]) && strcmp(list[n], "signals") != 0)
      n++;
    else
      free(list[n]), list[n] = NULL;
  }
  dir_list_free(files, file_count);
  *names = list;
  *count = n;
  return 0;
}

static int not_found(const struct policy_source *source, struct error *err) {
  char **names = NULL;
  size_t count = 0;
  int status = policy_list(source->policies_dir, &names, &count, err);
  if (status != 0) return status;
  const char *near = suggest(bytes_str(source->name), (const char *const *)names, count);
  status = error_set(err, ITD_ENOTFOUND, "policies/%s/policy.lua: there is no such file in %s%s%s%s", source->name,
                     source->policies_dir, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  dir_list_free(names, count);
  return status;
}

static bool has_path(const struct bundle *b, const char *folder, const char *name, const char *file) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s/%s", folder, name, file);
  for (size_t i = 0; i < b->count; i++) {
    if (strcmp(b->modules[i].path, path) == 0) return true;
  }
  return false;
}

int bundle_gather(struct bundle *b, const struct policy_source *source, struct error *err) {
  if (!bundle_name_ok(source->name) || strcmp(source->name, "signals") == 0) {
    return error_set(err, ITD_EPOLICY, "a policy is named with a-z, 0-9 and _, beginning with a letter, not '%.80s'",
                     source->name ? source->name : "");
  }
  b->name = arena_str(&b->arena, bytes_str(source->name));
  int status = gather_folder(b, source->scripts_dir, "scripts", "cli/", err);
  if (status != 0) return status;
  const char *as = join(b, "policies", b->name);
  status = gather_folder(b, join(b, source->policies_dir, b->name), as, NULL, err);
  if (status == ITD_ENOTFOUND) return not_found(source, err);
  if (status == 0 && !has_path(b, "policies", b->name, "policy.lua")) return not_found(source, err);
  if (status == 0) {
    status = gather_folder(b, join(b, source->policies_dir, "signals"), "policies/signals", NULL, err);
  }
  return status == 0 ? sort_modules(b, err) : status;
}

int bundle_gather_set(struct bundle *b, const char *scripts_dir, const char *policies_dir, const char *set,
                      struct error *err) {
  if (!bundle_name_ok(set))
    return error_set(err, ITD_EPOLICY, "a signal set is named with a-z, 0-9 and _, not '%.80s'", set ? set : "");
  int status = gather_folder(b, scripts_dir, "scripts", "cli/", err);
  const char *as = join(b, "policies/signals", set);
  if (status == 0) status = gather_folder(b, join(b, join(b, policies_dir, "signals"), set), as, NULL, err);
  return status == 0 ? sort_modules(b, err) : status;
}

int bundle_gather_file(struct bundle *b, const char *scripts_dir, const char *path, const char **module,
                       struct error *err) {
  const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
  size_t n = strlen(file);
  if (n <= 4 || !ends_with(file, ".lua")) return error_set(err, ITD_EPOLICY, "%s: a file NAME.lua is expected", path);
  int status = gather_folder(b, scripts_dir, "scripts", "cli/", err);
  if (status != 0) return status;
  struct lua_module one = {.name = arena_str(&b->arena, bytes_of(file, n - 4)),
                           .path = arena_str(&b->arena, bytes_str(path))};
  *module = one.name;
  status = read_whole(b, one.path, BUNDLE_FILE_MAX, &one.text, err);
  if (status == 0) add_module(b, one);
  return status == 0 ? sort_modules(b, err) : status;
}

int bundle_add_text(struct bundle *b, const char *path, struct bytes text, struct error *err) {
  struct lua_module module = module_at(b, arena_str(&b->arena, bytes_str(path)));
  module.text = arena_copy(&b->arena, text);
  add_module(b, module);
  b->format = ARCHIVE_FORMAT;
  b->version[0] = 0; // another text is another version
  int status = sort_modules(b, err);
  if (status == 0) bundle_name_version(b);
  return status;
}

bool bundle_keep_signals(struct bundle *b, const char *set) {
  const char *all = "policies/signals/";
  char mine[200];
  int n = snprintf(mine, sizeof mine, "%s%s/", all, set);
  CHECK(n > 0 && (size_t)n < sizeof mine);
  size_t kept = 0, before = b->count;
  for (size_t i = 0; i < b->count; i++) {
    if (!starts_with(b->modules[i].path, all) || starts_with(b->modules[i].path, mine))
      b->modules[kept++] = b->modules[i];
  }
  b->count = kept;
  kept = 0; // what is no longer part of the version need not be watched either; the folder of all sets stays, for it
            // may get new files
  for (size_t i = 0; i < b->watched_count; i++) {
    const char *at = strstr(b->watched[i], "/signals/");
    bool is_other = at && is_module_file(b->watched[i]) && !starts_with(at, mine + strlen("policies"));
    if (!is_other) b->watched[kept++] = b->watched[i];
  }
  b->watched_count = kept;
  return b->count != before;
}

// ---- models ----

// "NAME" or "NAME@VERSION" in two parts; the second NULL when there is none.
static int split_spec(struct bundle *b, const char *spec, const char **name, const char **version, struct error *err) {
  const char *at = strchr(spec, '@');
  *name = at ? arena_str(&b->arena, bytes_of(spec, (size_t)(at - spec))) : arena_str(&b->arena, bytes_str(spec));
  *version = at ? arena_str(&b->arena, bytes_str(at + 1)) : NULL;
  if (!bundle_name_ok(*name) || (at && !registry_version_ok(*version))) {
    return error_set(err, ITD_EMODEL, "models: '%.80s' is no NAME or NAME@VERSION", spec);
  }
  return 0;
}

static void watch_model(struct bundle *b, const char *models_dir, const char *name, const char *version,
                        const char *weights) {
  const char *folder = join(b, join(b, models_dir, name), version);
  watch(b, join(b, folder, "model.json"));
  watch(b, join(b, folder, weights));
}

// What the folder has under a version that was in force must be that version.
static int check_same(struct bundle *b, const char *models_dir, const struct bundle_model *kept, struct error *err) {
  struct buf json = {0}, weights = {0};
  struct error gone = {0}; // it may be: what was in force is kept elsewhere
  const char *second;
  int status = registry_read(models_dir, kept->name, kept->version, &json, &weights, &second, &gone);
  bool is_same = bytes_eq(kept->model_json, buf_bytes(&json)) && bytes_eq(kept->weights_json, buf_bytes(&weights));
  if (status == 0) watch_model(b, models_dir, kept->name, kept->version, second);
  buf_deinit(&json), buf_deinit(&weights);
  if (status != 0 || is_same) return 0;
  return error_set(err, ITD_EMODEL,
                   "models/%s/%s: is not the model that was in force under this version, which never changes: give the "
                   "change a version of its own, and put these files back",
                   kept->name, kept->version);
}

// A version that is or was in force, as it was then. 1: there is one; 0: none; or an error.
static int find_kept(struct bundle *b, const struct policy_source *source, struct bundle_model *model,
                     struct error *err) {
  if (!source->models) return 0;
  struct buf json = {0}, weights = {0};
  char *version = NULL;
  int status =
      source->models->find(source->models->context, model->name, model->version, &version, &json, &weights, err);
  if (status > 0) {
    model->version = arena_str(&b->arena, bytes_str(version));
    model->model_json = arena_copy(&b->arena, buf_bytes(&json));
    model->weights_json = arena_copy(&b->arena, buf_bytes(&weights));
  }
  free(version);
  buf_deinit(&json), buf_deinit(&weights);
  return status;
}

static int choose_highest(struct bundle *b, const char *models_dir, struct bundle_model *model, struct error *err) {
  char *highest = NULL;
  int status = registry_highest(models_dir, model->name, &highest, err);
  if (status != 0) return status;
  model->version = arena_str(&b->arena, bytes_str(highest));
  free(highest);
  watch(b, join(b, models_dir, model->name));
  return 0;
}

// The bytes of a model, and its files among those that are watched.
static int read_model(struct bundle *b, const char *models_dir, struct bundle_model *model, struct error *err) {
  struct buf json = {0}, weights = {0};
  const char *second;
  int status = model->version ? 0 : choose_highest(b, models_dir, model, err);
  if (status == 0) status = registry_read(models_dir, model->name, model->version, &json, &weights, &second, err);
  if (status == 0) {
    watch_model(b, models_dir, model->name, model->version, second);
    model->model_json = arena_copy(&b->arena, buf_bytes(&json));
    model->weights_json = arena_copy(&b->arena, buf_bytes(&weights));
  }
  buf_deinit(&json), buf_deinit(&weights);
  return status;
}

int bundle_add_model(struct bundle *b, int role, const struct policy_source *source, const char *spec,
                     struct error *err) {
  struct bundle_model model = {0};
  int status = split_spec(b, spec, &model.name, &model.version, err);
  if (status != 0) return status;
  status = find_kept(b, source, &model, err);
  if (status < 0) return status;
  status = status > 0 ? check_same(b, source->models_dir, &model, err) : read_model(b, source->models_dir, &model, err);
  if (status == 0) b->model[role] = model;
  return status;
}

static struct bundle_model copy_model(struct bundle *b, const struct policy_model *from) {
  return (struct bundle_model){.name = arena_str(&b->arena, bytes_str(from->name)),
                               .version = arena_str(&b->arena, bytes_str(from->version)),
                               .model_json = arena_copy(&b->arena, from->model_json),
                               .weights_json = arena_copy(&b->arena, from->weights_json)};
}

static struct policy_model view_of(const struct bundle_model *m) {
  return (struct policy_model){m->name, m->version, m->model_json, m->weights_json};
}

// The first format's version was a hash of the models, too: it says nothing of them once they are chosen apart.
static void name_format(struct bundle *b) {
  b->format = ARCHIVE_FORMAT;
  for (int role = 0; role < BUNDLE_MODELS; role++)
    if (b->canary[role].name) b->format = ARCHIVE_CANARY;
}

void bundle_set_canary(struct bundle *b, int role, const struct policy_model *model, uint32_t share) {
  b->canary[role] = share ? copy_model(b, model) : (struct bundle_model){0};
  b->share[role] = share;
  name_format(b);
}

int bundle_add_canary(struct bundle *b, int role, const struct policy_source *source, struct error *err) {
  const struct bundle_model *of = &b->model[role];
  if (!of->name || !source->models || !source->models->canary) return 0;
  struct buf json = {0}, weights = {0};
  char *version = NULL;
  uint32_t share = 0;
  int status = source->models->canary(source->models->context, of->name, &version, &share, &json, &weights, err);
  if (status > 0 && strcmp(version, of->version) != 0) {
    const struct policy_model model = {of->name, version, buf_bytes(&json), buf_bytes(&weights)};
    bundle_set_canary(b, role, &model, share);
    status = check_same(b, source->models_dir, &b->canary[role], err);
  }
  free(version);
  buf_deinit(&json), buf_deinit(&weights);
  return status < 0 ? status : 0;
}

void bundle_copy(struct bundle *b, const struct bundle *from) {
  b->name = arena_str(&b->arena, bytes_str(from->name));
  memcpy(b->version, from->version, sizeof b->version);
  b->format = from->format;
  b->semantics = from->semantics;
  for (size_t i = 0; i < from->count; i++) {
    struct lua_module module = module_at(b, arena_str(&b->arena, bytes_str(from->modules[i].path)));
    module.name = arena_str(&b->arena, bytes_str(from->modules[i].name));
    module.text = arena_copy(&b->arena, from->modules[i].text);
    add_module(b, module);
  }
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    const struct policy_model model = view_of(&from->model[role]), canary = view_of(&from->canary[role]);
    if (model.name) b->model[role] = copy_model(b, &model);
    if (canary.name) bundle_set_canary(b, role, &canary, from->share[role]);
  }
  for (size_t i = 0; i < from->watched_count; i++) watch(b, from->watched[i]);
  b->built = arena_copy(&b->arena, from->built);
}

void bundle_replace_model(struct bundle *b, int role, const struct policy_model *model, const char *models_dir) {
  bundle_set_canary(b, role, NULL, 0);
  b->model[role] = copy_model(b, model);
  if (!models_dir) return;
  const char *all = join(b, models_dir, model->name), *mine = join(b, all, ""), *folder = join(b, all, model->version);
  size_t kept = 0;
  for (size_t i = 0; i < b->watched_count; i++)
    if (!starts_with(b->watched[i], mine)) b->watched[kept++] = b->watched[i];
  b->watched_count = kept;
  static const char *const files[] = {"model.json", "weights.json", "weights.txt"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (access(join(b, folder, files[i]), F_OK) == 0) watch(b, join(b, folder, files[i]));
}

bool bundle_model_fits(const struct bundle *b, int role, const char *spec) {
  const struct bundle_model *m = &b->model[role];
  if (!spec || !m->name) return !spec && !m->name;
  size_t n = strcspn(spec, "@");
  if (strlen(m->name) != n || strncmp(m->name, spec, n) != 0) return false;
  return spec[n] == 0 || strcmp(spec + n + 1, m->version) == 0;
}

// ---- hash ----

// Lengths go in too: no two bundles run together into the same bytes.
static void add_sized(struct sha256 *s, struct bytes b) {
  uint64_t n = b.n;
  uint8_t size[8];
  for (int i = 0; i < 8; i++) size[i] = (uint8_t)(n >> (8 * i));
  sha256_add(s, bytes_of(size, sizeof size));
  sha256_add(s, b);
}

static void add_model(struct sha256 *s, const struct bundle_model *m, int role) {
  if (!m->name) return;
  add_sized(s, bytes_str(bundle_model_role[role]));
  add_sized(s, bytes_str(m->name));
  add_sized(s, bytes_str(m->version));
  add_sized(s, m->model_json);
  add_sized(s, m->weights_json);
}

static void add_canary(struct sha256 *s, const struct bundle *b, int role) {
  char share[32];
  if (!b->canary[role].name) return;
  snprintf(share, sizeof share, "canary %u", b->share[role]);
  add_sized(s, bytes_str(share));
  add_model(s, &b->canary[role], role);
}

// What RevOps keep as data beside the rules.
static bool is_data(const char *path) {
  size_t n = strlen(path);
  return starts_with(path, "policies/") && n > 4 && strcmp(path + n - 4, ".csv") == 0;
}

enum text { TEXT_ALL, TEXT_RULES, TEXT_DATA };

static void add_text(struct sha256 *s, const struct bundle *b, enum text which) {
  char head[64];
  snprintf(head, sizeof head, "intentd policy, semantics %lld", b->semantics);
  add_sized(s, bytes_str(head));
  add_sized(s, bytes_str(b->name));
  for (size_t i = 0; i < b->count; i++) {
    if (which != TEXT_ALL && is_data(b->modules[i].path) != (which == TEXT_DATA)) continue;
    add_sized(s, bytes_str(b->modules[i].path));
    add_sized(s, b->modules[i].text);
  }
}

static void end_hash(struct sha256 *s, char hex[65]) {
  uint8_t digest[SHA256_SIZE];
  sha256_end(s, digest);
  sha256_free(s);
  hex_encode(bytes_of(digest, sizeof digest), hex);
}

void bundle_name_version(struct bundle *b) {
  if (b->version[0]) return;
  struct sha256 *s = sha256_new();
  sha256_begin(s);
  add_text(s, b, TEXT_RULES);
  end_hash(s, b->version);
}

void bundle_data_hash(const struct bundle *b, char hex[65]) {
  bool has_data = false;
  for (size_t i = 0; i < b->count; i++) has_data |= is_data(b->modules[i].path);
  hex[0] = 0;
  if (!has_data) return;
  struct sha256 *s = sha256_new();
  sha256_begin(s);
  add_text(s, b, TEXT_DATA);
  end_hash(s, hex);
}

void bundle_hash(const struct bundle *b, char hex[65]) {
  struct sha256 *s = sha256_new();
  sha256_begin(s);
  add_text(s, b, TEXT_ALL);
  for (int role = 0; role < BUNDLE_MODELS; role++) add_model(s, &b->model[role], role);
  for (int role = 0; role < BUNDLE_MODELS; role++) add_canary(s, b, role);
  if (b->format != ARCHIVE_FIRST) add_sized(s, bytes_str(b->version));
  end_hash(s, hex);
}

// ---- archive ----

static void put_model(struct buf *out, const struct bundle_model *m) {
  if (!m->name) {
    mp_put_nil(out);
    return;
  }
  mp_put_array(out, 4);
  mp_put_cstr(out, m->name);
  mp_put_cstr(out, m->version);
  mp_put_bin(out, m->model_json);
  mp_put_bin(out, m->weights_json);
}

// [role, share, [name, version, model.json, weights]] of each.
static void put_canaries(const struct bundle *b, struct buf *out) {
  uint32_t count = 0;
  for (int role = 0; role < BUNDLE_MODELS; role++) count += b->canary[role].name != NULL;
  mp_put_cstr(out, "canaries"), mp_put_array(out, count);
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    if (!b->canary[role].name) continue;
    mp_put_array(out, 3), mp_put_int(out, role), mp_put_uint(out, b->share[role]);
    put_model(out, &b->canary[role]);
  }
}

static void digest_of(struct bytes b, char hex[2 * SHA256_SIZE + 1]) {
  uint8_t digest[SHA256_SIZE];
  sha256_of(b, digest);
  hex_encode(bytes_of(digest, sizeof digest), hex);
}

void bundle_pack(const struct bundle *b, struct buf *out) {
  char hash[65];
  bundle_hash(b, hash);
  bool has_version = b->format != ARCHIVE_FIRST;
  bool has_canaries = b->format == ARCHIVE_CANARY;
  mp_put_map(out, 8u + has_version + has_canaries);
  mp_put_cstr(out, "format"), mp_put_int(out, b->format);
  mp_put_cstr(out, "semantics"), mp_put_int(out, b->semantics);
  if (has_version) mp_put_cstr(out, "version"), mp_put_cstr(out, b->version);
  mp_put_cstr(out, "name"), mp_put_cstr(out, b->name);
  mp_put_cstr(out, "hash"), mp_put_cstr(out, hash);
  mp_put_cstr(out, "modules"), mp_put_array(out, (uint32_t)b->count);
  for (size_t i = 0; i < b->count; i++) {
    mp_put_array(out, 2);
    mp_put_cstr(out, b->modules[i].path);
    mp_put_bin(out, b->modules[i].text);
  }
  int roles = b->model[BUNDLE_SPLIT].name ? BUNDLE_MODELS : BUNDLE_SPLIT; // as before there were split ones
  mp_put_cstr(out, "models"), mp_put_array(out, (uint32_t)roles);
  for (int role = 0; role < roles; role++) put_model(out, &b->model[role]);
  if (has_canaries) put_canaries(b, out);
  char built[2 * SHA256_SIZE + 1];
  digest_of(b->built, built);
  mp_put_cstr(out, "built"), mp_put_bin(out, b->built);
  mp_put_cstr(out, "built_sha256"), mp_put_cstr(out, built);
}

static int corrupt(struct error *err, const char *what) {
  return error_set(err, ITD_ECORRUPT, "policy archive: %s", what);
}

// Readers of an archive's rows: false, and no more is read, when a value is not of the type that stands there.
static bool read_text(struct bundle *b, struct mp *m, const char **out) {
  struct mp_value v = mp_next(m);
  if (v.type != MP_STR || (v.s.n && memchr(v.s.p, 0, v.s.n))) return false;
  *out = arena_str(&b->arena, v.s);
  return true;
}

static bool read_bin(struct bundle *b, struct mp *m, struct bytes *out) {
  struct mp_value v = mp_next(m);
  if (v.type != MP_BIN) return false;
  *out = arena_copy(&b->arena, v.s);
  return true;
}

static bool read_row(struct mp *m, uint32_t count) {
  struct mp_value v = mp_next(m);
  return v.type == MP_ARRAY && v.count == count;
}

static bool is_module_path(const char *path) {
  return (starts_with(path, "scripts/") || starts_with(path, "policies/")) && is_module_file(path);
}

static bool unpack_modules(struct bundle *b, struct bytes list) {
  struct mp m = mp_of(list);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY) return false;
  for (uint32_t i = 0; i < head.count; i++) {
    const char *path;
    if (!read_row(&m, 2) || !read_text(b, &m, &path) || !is_module_path(path)) return false;
    struct lua_module module = module_at(b, path);
    if (!read_bin(b, &m, &module.text)) return false;
    add_module(b, module);
  }
  return true;
}

static bool read_model_row(struct bundle *b, struct mp *m, struct bundle_model *model) {
  return read_row(m, 4) && read_text(b, m, &model->name) && read_text(b, m, &model->version) &&
         read_bin(b, m, &model->model_json) && read_bin(b, m, &model->weights_json);
}

static bool unpack_models(struct bundle *b, struct bytes list) {
  struct mp m = mp_of(list);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY || head.count < BUNDLE_SPLIT || head.count > BUNDLE_MODELS) return false;
  for (uint32_t role = 0; role < head.count; role++) {
    struct bundle_model *model = &b->model[role];
    if (mp_peek(&m) == MP_NIL) {
      mp_next(&m);
      continue;
    }
    if (!read_model_row(b, &m, model)) return false;
  }
  return true;
}

// Each in another role, whose model it is in another version.
static bool unpack_canaries(struct bundle *b, struct bytes list) {
  struct mp m = mp_of(list);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY || head.count == 0 || head.count > BUNDLE_MODELS) return false;
  for (uint32_t i = 0; i < head.count; i++) {
    if (!read_row(&m, 3)) return false;
    struct mp_value role = mp_next(&m), share = mp_next(&m);
    if (role.type != MP_INT || role.i < 0 || role.i >= BUNDLE_MODELS || b->canary[role.i].name) return false;
    if (share.type != MP_INT || share.i < 1 || share.i >= POLICY_SHARE_ALL) return false;
    const struct bundle_model *of = &b->model[role.i];
    struct bundle_model *canary = &b->canary[role.i];
    if (!read_model_row(b, &m, canary) || !of->name || strcmp(of->name, canary->name) != 0 ||
        strcmp(of->version, canary->version) == 0)
      return false;
    b->share[role.i] = (uint32_t)share.i;
  }
  return true;
}

static bool find_whole(struct bytes map, const char *key, int64_t *out) {
  struct bytes value;
  if (!mp_find(map, bytes_str(key), &value)) return false;
  struct mp_value v = mp_value_of(value);
  *out = v.i;
  return v.type == MP_INT;
}

static int unpack_built(struct bundle *b, struct bytes archive, struct error *err) {
  struct bytes value, digest;
  char hex[2 * SHA256_SIZE + 1];
  if (!mp_find(archive, BYTES_LIT("built"), &value)) return corrupt(err, "what was built of it is missing");
  struct mp m = mp_of(value);
  if (!read_bin(b, &m, &b->built)) return corrupt(err, "what was built of it is no binary");
  digest_of(b->built, hex);
  if (!mp_find(archive, BYTES_LIT("built_sha256"), &value) || !mp_as_str(value, &digest) || !bytes_is(digest, hex))
    return corrupt(err, "what was built of it does not have the hash that it names");
  return 0;
}

// 1: the version is a hash of the models, too; 2: it is held apart from them; 3: as 2, with canaries.
static bool is_known(int64_t format) { return format >= ARCHIVE_FIRST && format <= ARCHIVE_CANARY; }

static int check_semantics(const struct bundle *b, struct error *err) {
  if (is_known(b->format) && b->semantics == SEMANTICS) return 0;
  return error_set(err, ITD_EVERSION,
                   "policy archive: format %d, semantics %lld of features and %lld of policies; this program reads %d, "
                   "%d and %d: use the program that wrote it",
                   b->format, b->semantics >> 16, b->semantics & 0xffff, ARCHIVE_CANARY, FEATURE_SEMANTICS,
                   POLICY_SEMANTICS);
}

// `is_any`: of any semantics.
static int unpack_head(struct bundle *b, struct bytes archive, bool is_any, struct error *err) {
  const struct mp_limits limits = {.depth_max = 5, .objects_max = 1u << 20, .bytes_max = BUNDLE_BYTES_MAX};
  size_t len = 0;
  if (mp_scan(archive, &limits, &len, NULL) != 1 || len != archive.n)
    return corrupt(err, "not one whole MessagePack value");
  int64_t format = 0, semantics = 0;
  if (!find_whole(archive, "format", &format) || !find_whole(archive, "semantics", &semantics))
    return corrupt(err, "no format");
  b->format = format == (int)format ? (int)format : -1;
  b->semantics = semantics;
  int status = check_semantics(b, err);
  if (status != 0 && !(is_any && is_known(format))) return status;
  *err = (struct error){0};
  struct bytes value, version;
  if (format == ARCHIVE_FIRST) return 0;
  if (!mp_find(archive, BYTES_LIT("version"), &value) || !mp_as_str(value, &version) || version.n != 64)
    return corrupt(err, "no version");
  memcpy(b->version, version.p, 64);
  return 0;
}

static int unpack(struct bundle *b, struct bytes archive, bool is_any, struct error *err) {
  int status = unpack_head(b, archive, is_any, err);
  if (status != 0) return status;
  struct bytes value, hash;
  if (!mp_find(archive, BYTES_LIT("name"), &value)) return corrupt(err, "no name");
  struct mp m = mp_of(value);
  if (!read_text(b, &m, &b->name) || !bundle_name_ok(b->name)) return corrupt(err, "its name is none");
  if (!mp_find(archive, BYTES_LIT("modules"), &value) || !unpack_modules(b, value)) return corrupt(err, "modules");
  if (!mp_find(archive, BYTES_LIT("models"), &value) || !unpack_models(b, value)) return corrupt(err, "models");
  bool has_canaries = b->format == ARCHIVE_CANARY;
  if (has_canaries && (!mp_find(archive, BYTES_LIT("canaries"), &value) || !unpack_canaries(b, value)))
    return corrupt(err, "canaries");
  status = sort_modules(b, err);
  if (status != 0) return status;
  char hex[65];
  bundle_hash(b, hex);
  if (!mp_find(archive, BYTES_LIT("hash"), &value) || !mp_as_str(value, &hash) || !bytes_is(hash, hex))
    return corrupt(err, "its bytes do not have the hash that it names");
  if (b->format == ARCHIVE_FIRST) memcpy(b->version, hex, sizeof b->version);
  return unpack_built(b, archive, err);
}

int bundle_unpack(struct bundle *b, struct bytes archive, struct error *err) { return unpack(b, archive, false, err); }

int bundle_unpack_any(struct bundle *b, struct bytes archive, struct error *err) {
  return unpack(b, archive, true, err);
}
