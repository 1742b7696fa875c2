// Finding a source by what a user calls it: NAME (in whichever signal set has it), SET/NAME, or FILE.lua by itself. For
// the commands that have the options of SOURCE_OPTIONS.
#pragma once
#include "cli/command.h"
#include "policy/sources.h"

#define SOURCE_OPTIONS                                                                                                 \
  {"policies", "DIR", "the folder with signals/ (default: policies here, else those that came with intent)"}, {        \
    "scripts", "DIR", "the library of policies (default: beside the policies, else that of intent)"                    \
  }

struct source_found {
  struct sources *sources;
  const struct source_info *info; // in sources
};

// ITD_ENOTFOUND (with what there is), ITD_EINVAL (several sets have one of that name), ITD_EPOLICY.
int source_find(const struct args *args, const char *called, struct source_found *found,
                struct error *err) ITD_MUST_USE;
void source_found_deinit(struct source_found *found);
// "SET/NAME" of every source, sorted: malloc'd strings in a malloc'd array, for dir_list_free.
int source_names(const struct args *args, char ***names, size_t *count, struct error *err) ITD_MUST_USE;
