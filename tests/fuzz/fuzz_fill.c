// What a frame of filling in says of whose history it took and of which definitions: read within its bounds, or refused; and what was read
// is found in what was given.
#include <stdlib.h>

#include "engine/lead.h"
#include "feature/feature.h"
#include "fuzz.h"
#include "store/fill.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  size_t len, count = 0;
  if (mp_scan(bytes_of(p, n), &fuzz_limits, &len, NULL) != 1) return 0;
  struct buf exact = fuzz_exact(bytes_of(p, len));
  const struct frame frame = {.event = buf_bytes(&exact)};
  uint64_t *hashes = xcalloc(FEATURES_MAX, sizeof *hashes);
  struct fill fill;
  struct error err = {0};
  int rc = fill_read(&frame, &fill, hashes, &count, &err);
  CHECK(rc == 0 || (rc == ITD_ECORRUPT && err.text[0]));
  CHECK(count <= FEATURES_MAX);
  if (rc == 0) {
    char id[LEAD_ID_TEXT];
    struct bytes of;
    struct lead_id again;
    lead_id_format(fill.of, id);
    CHECK(mp_find(frame.event, BYTES_LIT("of"), &of) && mp_as_str(of, &of) && lead_id_parse(of, &again) == 0 &&
          lead_id_eq(again, fill.of) && fill.slices.n == 0);
  }
  free(hashes);
  buf_deinit(&exact);
  return 0;
}
