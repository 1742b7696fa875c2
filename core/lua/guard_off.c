// In the place of the guard where there is none: builds with a sanitizer, whose own handlers, stacks and wraps do not go with
// it, and machines that it was not made for. Policies run under the hook there.
#include "base/check.h"
#include "lua/guard.h"

bool guard_is_there(void) { return false; }

enum guard_end guard_pcall(struct guard_state *state, lua_State *L, int args, int results, uint64_t deadline_us,
                           int *status) {
  (void)state, (void)L, (void)args, (void)results, (void)deadline_us, (void)status;
  check_failed("a guarded call in a build without the guard", __FILE__, __LINE__);
}

void guard_discard(struct guard_state *state) { CHECK(state->code_count == 0 && state->frame_count == 0); }
void guard_hold(void) {}
void guard_release(void) {}

void guard_thread_create(pthread_t *thread, void *(*run)(void *), void *context) {
  CHECK(pthread_create(thread, NULL, run, context) == 0);
}
