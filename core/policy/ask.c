// Asking a loaded policy's texts with a module of the tool's.
#include "base/check.h"
#include "policy/parts.h"

#include <stdlib.h>

static bool is_among(const struct lua_module *list, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(list[i].name, name) == 0) return true;
  return false;
}

int policy_ask(const struct policy *policy, const struct lua_module *more, size_t count, const char *entry,
               struct bytes question, const struct lua_limits *limits, struct buf *out, struct error *err) {
  size_t own, n = count;
  const struct lua_module *modules = policy_modules(policy, &own);
  struct lua_module *all = xcalloc(own + count + 1, sizeof *all);
  if (count) memcpy(all, more, count * sizeof *more);
  for (size_t i = 0; i < own; i++)
    if (!is_among(more, count, modules[i].name)) all[n++] = modules[i];
  struct buf input = {0};
  policy_put_input(policy, "ask", question, &input);
  int status = lua_build(all, n, entry, buf_bytes(&input), limits, out, err);
  buf_deinit(&input);
  free(all);
  return status;
}
