// intent test of a signal set: the specs of its sources. For test.c.
#pragma once
#include "cli/command.h"

// Whether a folder is a signal set's: .../signals/SET.
bool test_is_set(const char *dir);
int test_sources(const struct args *args);

// ---- shared with the specs of policies ----
struct bytes;
struct error;
// "ok      NAME" or "not ok  NAME" and each failure {where, text}; with `json` one line {spec, case, ok, failures}.
void test_print_case(const struct args *args, const char *path, struct bytes name, bool ok, struct bytes failures,
                     const struct error *err);
