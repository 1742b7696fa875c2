// intent feature: its words, in feature.c (list, show, lineage), feature_export.c, feature_verify.c and feature_backfill.c.
#pragma once
#include "cli/command.h"

int feature_list(const struct args *args);
int feature_show(const struct args *args);
int feature_lineage(const struct args *args);
int feature_export(const struct args *args);
int feature_verify(const struct args *args);
int feature_backfill(const struct args *args);
const char *feature_data(const struct args *args); // --data, or the default
int feature_exit_of(int status);                   // of what the store answered
