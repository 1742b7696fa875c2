#include "cli/source_find.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 65536 };

static bool is_dir(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *policies_of(const struct args *args) {
  const char *given = args_text(args, "policies");
  return given ? given : is_dir("policies/signals") ? "policies" : INTENTD_ROOT "/policies";
}

static char *scripts_of(const struct args *args) {
  const char *given = args_text(args, "scripts"), *policies = policies_of(args);
  if (given) return xstrdup(given);
  for (int up = 0; up < 2; up++) {
    struct buf path = {0};
    buf_printf(&path, up ? "%s/../scripts" : "%s/scripts", policies);
    char *text = xstrndup(path.p, path.n);
    buf_deinit(&path);
    if (is_dir(text)) return text;
    free(text);
  }
  return xstrdup(INTENTD_ROOT "/scripts");
}

// "b2b/sources/stripe.lua" below signals/: "b2b/stripe"; NULL: the file is no source.
static char *name_of(const char *file) {
  const char *middle = strstr(file, "/sources/");
  size_t n = strlen(file);
  if (!middle || strchr(file, '/') != middle || n < 5 || strcmp(file + n - 4, ".lua") != 0) return NULL;
  const char *name = middle + strlen("/sources/");
  bool is_spec = n > 9 && strcmp(file + n - 9, "_spec.lua") == 0;
  if (is_spec || strchr(name, '/')) return NULL;
  struct buf text = {0};
  buf_printf(&text, "%.*s/%.*s", (int)(middle - file), file, (int)(strlen(name) - 4), name);
  char *copy = xstrndup(text.p, text.n);
  buf_deinit(&text);
  return copy;
}

int source_names(const struct args *args, char ***names, size_t *count, struct error *err) {
  struct buf dir = {0};
  char **files = NULL;
  size_t files_count = 0, found = 0;
  buf_printf(&dir, "%s/signals", policies_of(args));
  buf_append_u8(&dir, 0);
  int status = dir_list((const char *)dir.p, FILES_MAX, &files, &files_count, err);
  buf_deinit(&dir);
  if (status < 0) return status;
  char **list = xcalloc(files_count + 1, sizeof *list);
  for (size_t i = 0; i < files_count; i++) {
    char *name = name_of(files[i]);
    if (name) list[found++] = name;
  }
  dir_list_free(files, files_count);
  *names = list;
  *count = found;
  return 0;
}

static bool is_called(const char *full, const char *called) {
  return strcmp(full, called) == 0 || strcmp(strchr(full, '/') + 1, called) == 0;
}

static int not_found(const char *called, char *const *names, size_t count, struct error *err) {
  const char *known[1024];
  size_t n = 0;
  for (size_t i = 0; i < count && n + 2 <= sizeof known / sizeof *known; i++) {
    known[n++] = names[i];
    known[n++] = strchr(names[i], '/') + 1;
  }
  const char *near = suggest(bytes_str(called), known, n);
  return error_set(err, ITD_ENOTFOUND, "no source '%.100s'%s%s%s (intent source list)", called,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

// The one that is meant, as "SET/NAME" for free().
static int pick(const struct args *args, const char *called, char **full, struct error *err) {
  char **names;
  size_t count;
  int status = source_names(args, &names, &count, err);
  if (status < 0) return status;
  const char *found = NULL;
  for (size_t i = 0; i < count && status == 0; i++) {
    if (!is_called(names[i], called)) continue;
    if (found) status = error_set(err, ITD_EINVAL, "'%s' is %s and %s: say which", called, found, names[i]);
    found = names[i];
  }
  if (status == 0 && !found) status = not_found(called, names, count, err);
  if (status == 0) *full = xstrdup(found);
  dir_list_free(names, count);
  return status;
}

// An import maps by the hundred what HTTP maps one by one: the same bounds for each would be other bounds for all.
static const struct sources_limits limits = {
    .memory_max = 256u << 20, .instructions_max = 1000000000, .cpu_ms_max = 20000, .output_max = 64u << 20};

int source_find(const struct args *args, const char *called, struct source_found *found, struct error *err) {
  size_t n = strlen(called);
  char *scripts = scripts_of(args), *full = NULL;
  struct sources *sources = NULL;
  int status;
  if (n > 4 && strcmp(called + n - 4, ".lua") == 0) {
    status = sources_of_file(scripts, called, &limits, &sources, err);
    if (status == 0) *found = (struct source_found){sources, sources_info(sources, 0)};
  } else {
    status = pick(args, called, &full, err);
    char *slash = status == 0 ? strchr(full, '/') : NULL;
    if (slash) {
      *slash = 0;
      status = sources_of_set(scripts, policies_of(args), full, &limits, &sources, err);
      if (status == 0) *found = (struct source_found){sources, sources_find(sources, bytes_str(slash + 1))};
    }
  }
  free(full);
  free(scripts);
  return status;
}

void source_found_deinit(struct source_found *found) {
  sources_release(found->sources);
  *found = (struct source_found){0};
}
