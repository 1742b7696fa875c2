#include "cli/plugin.h"

#include "base/buf.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static const char install[] = "install libxgboost-dev (Debian: sudo apt-get install libxgboost-dev) and build again "
                              "(./dev build)";

static char *path_of(const char *dir, const char *name) {
  struct buf path = {0};
  if (dir) {
    buf_printf(&path, "%s/%s.so", dir, name);
  } else {
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash) *slash = 0;
    buf_printf(&path, "%s/plugins/%s.so", program, name);
  }
  char *text = xstrndup(path.p, path.n);
  buf_deinit(&path);
  return text;
}

static int open_plugin(const char *path, const struct itd_plugin **out, struct error *err) {
  if (access(path, F_OK) != 0)
    return error_set(err, ITD_ENOTFOUND, "training needs libxgboost, and this program was built without it (no %s): %s",
                     path, install);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return error_set(err, ITD_ENOTFOUND, "%s does not load: %s; %s", path, dlerror(), install);
  union {
    void *object;
    itd_plugin_entry *call;
  } entry = {.object = dlsym(library, ITD_PLUGIN_ENTRY)};
  if (!entry.object)
    return error_set(err, ITD_EVERSION, "%s is no plugin of intentd: it has no " ITD_PLUGIN_ENTRY, path);
  const struct itd_plugin *plugin = entry.call(ITD_PLUGIN_VERSION);
  if (!plugin || plugin->version != ITD_PLUGIN_VERSION || plugin->size < sizeof *plugin)
    return error_set(err, ITD_EVERSION, "%s is of another version of intentd: build it again (./dev build)", path);
  *out = plugin;
  return 0;
}

int plugin_trainer(const char *dir, const char *name, const struct itd_trainer **out, struct error *err) {
  const struct itd_plugin *plugin = NULL;
  char *path = path_of(dir, name);
  int rc = open_plugin(path, &plugin, err);
  const struct itd_trainer *trainer = rc == 0 ? plugin->functions : NULL;
  bool fits =
      trainer && plugin->kind == ITD_PLUGIN_TRAINER && trainer->version == 1 && trainer->size >= sizeof *trainer;
  if (rc == 0 && !fits) rc = error_set(err, ITD_EVERSION, "%s is no trainer that this program knows", path);
  if (rc == 0) *out = trainer;
  free(path);
  return rc;
}
