// Loading a plugin (intentd/plugin.h): PLUGINS/NAME.so, where PLUGINS is the folder "plugins" beside this program. What is
// loaded stays loaded.
#pragma once
#include "base/status.h"
#include "intentd/plugin.h"

// `dir`: another folder, or NULL. ITD_ENOTFOUND: there is none, or its library is not installed, and what to install;
// ITD_EVERSION: of another version than this program.
int plugin_trainer(const char *dir, const char *name, const struct itd_trainer **out, struct error *err) ITD_MUST_USE;
