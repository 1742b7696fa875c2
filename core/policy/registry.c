#include "policy/registry.h"

#include "base/check.h"
#include "base/file.h"
#include "base/suggest.h"
#include "model/model.h"
#include "policy/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { VERSION_BYTES = 63, FILES_MAX = 16 * BUNDLE_FILES_MAX };

// ---- versions' names ----

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

int registry_compare(const char *a, const char *b) {
  const char *whole_a = a, *whole_b = b;
  while (*a && *b) {
    if (!is_digit(*a) || !is_digit(*b)) {
      if (*a != *b) return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
      a++, b++;
      continue;
    }
    while (*a == '0') a++;
    while (*b == '0') b++;
    size_t n = strspn(a, "0123456789"), m = strspn(b, "0123456789");
    if (n != m) return n < m ? -1 : 1; // without leading zeros the longer number is the greater one
    int order = strncmp(a, b, n);
    if (order != 0) return order < 0 ? -1 : 1;
    a += n, b += n;
  }
  if (*a || *b) return *a ? 1 : -1;
  int order = strcmp(whole_a, whole_b); // "1" and "01": some order, and always the same
  return order < 0 ? -1 : order > 0;
}

bool registry_version_ok(const char *version) {
  size_t n = strlen(version);
  return n > 0 && n <= VERSION_BYTES && version[0] != '.' &&
         strspn(version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+") == n;
}

// ---- the folder ----

// "NAME/VERSION/model.json" in two parts: false for any other file.
static bool split_path(const char *file, struct registry_version *out) {
  const char *first = strchr(file, '/'), *second = first ? strchr(first + 1, '/') : NULL;
  if (!second || strcmp(second, "/model.json") != 0) return false;
  *out = (struct registry_version){.name = xstrndup(file, (size_t)(first - file)),
                                   .version = xstrndup(first + 1, (size_t)(second - first - 1))};
  if (bundle_name_ok(out->name) && registry_version_ok(out->version)) return true;
  free(out->name), free(out->version);
  return false;
}

static int by_name_and_version(const void *a, const void *b) {
  const struct registry_version *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : registry_compare(x->version, y->version);
}

int registry_list(const char *models_dir, struct registry_version **list, size_t *count, struct error *err) {
  char **files = NULL;
  size_t file_count = 0, n = 0;
  int status = dir_list(models_dir, FILES_MAX, &files, &file_count, err);
  if (status != 0) return status;
  struct registry_version *all = xcalloc(file_count + 1, sizeof *all);
  for (size_t i = 0; i < file_count; i++) n += split_path(files[i], &all[n]);
  dir_list_free(files, file_count);
  if (n > 1) qsort(all, n, sizeof *all, by_name_and_version);
  *list = all;
  *count = n;
  return 0;
}

void registry_free(struct registry_version *list, size_t count) {
  for (size_t i = 0; i < count; i++) free(list[i].name), free(list[i].version);
  free(list);
}

// Why a model, or a version of it, is not there. `version` NULL: any would have done.
static int refuse(const char *models_dir, const char *name, const char *version, struct error *err) {
  struct registry_version *list = NULL;
  size_t count = 0, versions = 0;
  struct error ignored = {0}; // the folder itself may be missing
  if (registry_list(models_dir, &list, &count, &ignored) != 0) count = 0;
  const char **names = xcalloc(count + 1, sizeof *names);
  struct buf have = {0};
  for (size_t i = 0; i < count; i++) {
    names[i] = list[i].name;
    if (strcmp(list[i].name, name) == 0 && have.n < 200)
      buf_printf(&have, "%s%s", versions++ ? ", " : "", list[i].version);
  }
  const char *near = suggest(bytes_str(name), names, count);
  int status;
  if (!versions)
    status = error_set(err, ITD_ENOTFOUND, "models/%s: there is no such model in %s%s%s%s", name, models_dir,
                       near && strcmp(near, name) != 0 ? "; did you mean '" : "",
                       near && strcmp(near, name) != 0 ? near : "", near && strcmp(near, name) != 0 ? "'?" : "");
  else
    status = error_set(err, ITD_ENOTFOUND, "%s@%s: there is no %s/%s/model.json in %s; versions that are there: %.*s",
                       name, version, name, version, models_dir, (int)have.n, (const char *)have.p);
  free(names);
  buf_deinit(&have);
  registry_free(list, count);
  return status;
}

int registry_highest(const char *models_dir, const char *name, char **version, struct error *err) {
  struct registry_version *list = NULL;
  size_t count = 0;
  int status = registry_list(models_dir, &list, &count, err);
  if (status == ITD_ENOTFOUND) return refuse(models_dir, name, NULL, err);
  if (status != 0) return status;
  const char *best = NULL;
  for (size_t i = 0; i < count; i++)
    if (strcmp(list[i].name, name) == 0) best = list[i].version; // sorted: the last is the highest
  if (best) *version = xstrdup(best);
  registry_free(list, count);
  return best ? 0 : refuse(models_dir, name, NULL, err);
}

static int read_file(const char *models_dir, const char *name, const char *version, const char *file, size_t limit,
                     struct buf *out, struct error *err) {
  struct buf path = {0};
  buf_printf(&path, "%s/%s/%s/%s", models_dir, name, version, file);
  buf_append_u8(&path, 0);
  int status = file_read((const char *)path.p, limit, out, err);
  buf_deinit(&path);
  return status;
}

static bool has_file(const char *models_dir, const char *name, const char *version, const char *file) {
  struct buf path = {0};
  buf_printf(&path, "%s/%s/%s/%s", models_dir, name, version, file);
  buf_append_u8(&path, 0);
  bool is_there = access((const char *)path.p, F_OK) == 0;
  buf_deinit(&path);
  return is_there;
}

int registry_read(const char *models_dir, const char *name, const char *version, struct buf *model_json,
                  struct buf *weights, const char **weights_name, struct error *err) {
  if (!bundle_name_ok(name) || !registry_version_ok(version))
    return error_set(err, ITD_EMODEL, "'%.80s@%.80s' names no model", name, version);
  if (!has_file(models_dir, name, version, "model.json")) return refuse(models_dir, name, version, err);
  const char *second = has_file(models_dir, name, version, "weights.txt") ? "weights.txt" : "weights.json";
  if (weights_name) *weights_name = second;
  int status = read_file(models_dir, name, version, "model.json", MODEL_FILE_MAX, model_json, err);
  return status ? status : read_file(models_dir, name, version, second, MODEL_TREES_MAX, weights, err);
}
