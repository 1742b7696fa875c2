// A planted defect that a fuzzer must find: else those that find nothing say nothing. It is behind what only the library's own branches
// tell apart (a track event that decodes whole), so a fuzzer that does not see into the libraries passes it by.
#include "fuzz.h"
#include "wire/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct event e;
  struct event_digits d;
  size_t len;
  if (mp_scan(bytes_of(p, n), &fuzz_limits, &len, NULL) != 1) return 0;
  bool is_event = event_decode(bytes_of(p, len), 1767225600000, &limits, &d, &e, NULL) == 0;
  CHECK(!is_event || e.type != EVENT_TRACK); // the defect
  return 0;
}
