// intent test of a signal set, by itself or as a policy's: the specs of its sources. For test.c.
#pragma once
#include "cli/command.h"

// Whether a folder is a signal set's: .../signals/SET.
bool test_is_set(const char *dir);
int test_sources(const struct args *args);
// The same of the set that a policy reads, POLICIES_DIR/signals/SET, with the library in `scripts_dir`. A set without
// specs, or without one that --only wants, is fine. Adds to `count`. The command's exit code.
struct test_count {
  uint64_t passed, failed;
  bool is_broken; // a spec that can't be read; it was said
};
int test_sources_of(const struct args *args, const char *scripts_dir, const char *policies_dir, const char *set,
                    struct test_count *count);

// ---- shared with the specs of policies ----
struct bytes;
struct error;
// "ok      NAME" or "not ok  NAME" and each failure {where, text}; with `json` one line {spec, case, ok, failures}.
void test_print_case(const struct args *args, const char *path, struct bytes name, bool ok, struct bytes failures,
                     const struct error *err);
