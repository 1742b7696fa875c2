// The tool's own Lua, in scripts/cli/: run in the same sandbox as policies, beside at most one file of the user's.
#pragma once
#include "base/status.h"
#include "lua/build.h"

#define SCRIPTS_MAX 12

struct scripts {
  struct buf text[SCRIPTS_MAX];
  char *path[SCRIPTS_MAX];
  struct lua_module module[SCRIPTS_MAX];
  size_t count;
};

// `library`: a path below the folder this program was built from ("scripts/cli/import.lua"), which becomes module
// `name`. ITD_ENOTFOUND.
int scripts_open(struct scripts *scripts, const char *library, const char *name, struct error *err) ITD_MUST_USE;
// One more of the tool's own.
int scripts_more(struct scripts *scripts, const char *library, const char *name, struct error *err) ITD_MUST_USE;
// A file of the user's, with what a policy may use, as module `name`. ITD_ENOTFOUND, ITD_ETOOBIG, ITD_EIO.
int scripts_add(struct scripts *scripts, const char *path, const char *name, struct error *err) ITD_MUST_USE;
void scripts_close(struct scripts *scripts);
// Calls what the library module returns with `input`, and appends what comes back. Errors as lua_build.
int scripts_run(const struct scripts *scripts, struct bytes input, struct buf *output, struct error *err) ITD_MUST_USE;
