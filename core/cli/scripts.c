#include "cli/scripts.h"

#include "base/check.h"
#include "base/file.h"

#include <stdlib.h>

enum { SCRIPT_BYTES = 4 << 20 };

static int add(struct scripts *s, char *file, const char *shown, const char *name, bool is_library, struct error *err) {
  size_t i = s->count;
  CHECK(i < SCRIPTS_MAX);
  int status = file_read(file, SCRIPT_BYTES, &s->text[i], err);
  free(file);
  if (status < 0) return status;
  s->path[i] = xstrdup(shown);
  s->module[i] =
      (struct lua_module){.name = name, .path = s->path[i], .text = buf_bytes(&s->text[i]), .is_library = is_library};
  s->count++;
  return 0;
}

int scripts_open(struct scripts *s, const char *library, const char *name, struct error *err) {
  *s = (struct scripts){0};
  return scripts_more(s, library, name, err);
}

int scripts_more(struct scripts *s, const char *library, const char *name, struct error *err) {
  struct buf path = {0};
  buf_printf(&path, "%s/%s", INTENTD_ROOT, library);
  char *file = xstrndup(path.p, path.n);
  buf_deinit(&path);
  return add(s, file, library, name, true, err);
}

int scripts_add(struct scripts *s, const char *path, const char *name, struct error *err) {
  return add(s, xstrdup(path), path, name, false, err);
}

void scripts_close(struct scripts *s) {
  for (size_t i = 0; i < SCRIPTS_MAX; i++) {
    buf_deinit(&s->text[i]);
    free(s->path[i]);
  }
}

int scripts_run(const struct scripts *s, struct bytes input, struct buf *output, struct error *err) {
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  limits.output_max = 64u << 20;
  limits.memory_max = 256u << 20;
  return lua_build(s->module, s->count, s->module[0].name, input, &limits, output, err);
}
