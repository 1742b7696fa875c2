// For the store's tests: a journal is whole, and replay says the same on 1, 2 and 4 threads.
#pragma once
#include "store/replay.h"
#include "store/verify.h"

// `counted`: how many of what the test is about a replay met; more than none.
static inline void check_journal(const char *dir, uint64_t (*counted)(const struct replay_result *result)) {
  struct error err = {0};
  struct verify_options options = {.dir = dir};
  struct verify_result *verified = xcalloc(1, sizeof *verified);
  if (store_verify(&options, verified, &err)) fail_msg("%s", err.text);
  if (!verified->is_whole) fail_msg("%s", verified->finding[0].text);
  free(verified->tip);
  free(verified);
  uint64_t hash = 0;
  for (unsigned threads = 1; threads <= 4; threads *= 2) {
    struct replay_options replay = {.dir = dir, .threads = threads, .vm = VM_LIMITS_DEFAULT};
    struct replay_result result;
    if (store_replay(&replay, &result, &err)) fail_msg("%s", err.text);
    if (result.different) fail_msg("replay: %s is different", result.first_different);
    assert_true(counted(&result) > 0);
    assert_true(threads == 1 || result.hash == hash);
    hash = result.hash;
  }
}
