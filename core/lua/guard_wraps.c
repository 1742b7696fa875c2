// The system's functions that LuaJIT calls while code runs in a state, which the linker hands to us (--wrap): a guarded
// call is not stopped inside them, and what they give a state is noted. Outside of a guarded call they are what they
// were; other code of the program that maps memory comes through here too.
#include "lua/guard_wraps.h"
#include "base/check.h"
#include <sys/mman.h>

// The names are the linker's.
void *__real_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset);
int __real_munmap(void *at, size_t size);
void __real___register_frame(const void *frame);
void __real___deregister_frame(const void *frame);
int __real__Unwind_RaiseException(void *exception);
void __real__Unwind_SetIP(void *context, uintptr_t ip);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset);
int __wrap_munmap(void *at, size_t size);
void __wrap___register_frame(const void *frame);
void __wrap___deregister_frame(const void *frame);
int __wrap__Unwind_RaiseException(void *exception);
void __wrap__Unwind_SetIP(void *context, uintptr_t ip);

void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset) {
  struct guard_state *state = guard_running();
  if (!state) return __real_mmap64(at, size, protection, flags, file, offset);
  guard_hold();
  void *start = MAP_FAILED; // beyond GUARD_CODE_MAX the JIT gives up, as it does when memory is short
  if (state->code_count < GUARD_CODE_MAX) start = __real_mmap64(at, size, protection, flags, file, offset);
  if (start != MAP_FAILED) state->code[state->code_count++] = (struct guard_code){start, size};
  guard_release();
  return start;
}

int __wrap_munmap(void *at, size_t size) {
  struct guard_state *state = guard_running();
  if (!state) return __real_munmap(at, size);
  guard_hold();
  int rc = __real_munmap(at, size);
  for (unsigned i = 0; i < state->code_count; i++) {
    if (state->code[i].start != at) continue;
    state->code[i] = state->code[--state->code_count];
    break;
  }
  guard_release();
  return rc;
}

void __wrap___register_frame(const void *frame) {
  struct guard_state *state = guard_running();
  guard_hold();
  __real___register_frame(frame);
  if (state) {
    CHECK(state->frame_count < GUARD_CODE_MAX); // one lies in each area of code
    state->frame[state->frame_count++] = frame;
  }
  guard_release();
}

void __wrap___deregister_frame(const void *frame) {
  struct guard_state *state = guard_running();
  guard_hold();
  __real___deregister_frame(frame);
  for (unsigned i = 0; state && i < state->frame_count; i++) {
    if (state->frame[i] != frame) continue;
    state->frame[i] = state->frame[--state->frame_count];
    break;
  }
  guard_release();
}

// Throwing an error, in two steps: the frames are searched under locks; then _Unwind_SetIP is the last that is called
// before the frame of the pcall is resumed, and no lock is held any more. It returns only when nothing catches.
int __wrap__Unwind_RaiseException(void *exception) {
  guard_hold();
  int rc = __real__Unwind_RaiseException(exception);
  guard_release();
  return rc;
}

void __wrap__Unwind_SetIP(void *context, uintptr_t ip) {
  __real__Unwind_SetIP(context, ip);
  guard_release_all();
}

void guard_discard(struct guard_state *state) {
  CHECK(guard_running() == NULL);
  while (state->frame_count > 0) __real___deregister_frame(state->frame[--state->frame_count]);
  while (state->code_count > 0) {
    const struct guard_code *code = &state->code[--state->code_count];
    CHECK(__real_munmap(code->start, code->size) == 0);
  }
}
