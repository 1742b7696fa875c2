// intent test of a signal set, by itself or as a policy's: the specs of its sources. For test.c.
#pragma once
#include "cli/test_report.h"

// Whether a folder is a signal set's: .../signals/SET.
bool test_is_set(const char *dir);
int test_sources(const struct args *args);
// The same of the set that a policy reads, POLICIES_DIR/signals/SET, with the library in `scripts_dir`. A set without
// specs, or without one that --only wants, is fine. Adds to `report`. The command's exit code.
int test_sources_of(struct test_report *report, const char *scripts_dir, const char *policies_dir, const char *set);
