// intent model: its words, a file each; the table of them is in model.c.
#pragma once
#include "cli/command.h"

int model_list(const struct args *args);
int model_show(const struct args *args);
int model_quality(const struct args *args);
int model_shadow(const struct args *args);
int model_retrain(const struct args *args);
int model_triggers(const struct args *args); // quality --triggers
// What the words share.
const char *model_folder(const struct args *args); // --models, else policies/models when there is one, else models
int model_exit_of(int status);                     // of what reading the folder answered
