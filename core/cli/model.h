// intent model: its words, a file each; the table of them is in model.c.
#pragma once
#include "cli/command.h"
#include "store/model_list.h"

int model_list(const struct args *args);
int model_show(const struct args *args);
int model_compare(const struct args *args);
int model_quality(const struct args *args);
int model_shadow(const struct args *args);
int model_retrain(const struct args *args);
int model_triggers(const struct args *args); // quality --triggers
int model_activate(const struct args *args);
int model_rollback(const struct args *args);
int model_canary(const struct args *args);
// What the words share.
const char *model_folder(const struct args *args); // --models, else policies/models when there is one, else models
int model_exit_of(int status);                     // of what reading the folder answered
// Where models are looked for, as files: the folder, with --data DIR the directory's history too, and a policy to hold them
// against (--policy DIR, else the one in force in the directory; none without either). 0, or the exit code after the error
// was printed. For model_search_close.
struct model_search {
  struct model_places places;
  struct model_history history;
  struct policy *policy;
  uint32_t policy_number, in_force; // of it, and of the one in force; 0: not known
};
int model_search_open(const struct args *args, struct model_search *search) ITD_MUST_USE;
void model_search_close(struct model_search *search);
