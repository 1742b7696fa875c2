#include "cli/message_id.h"

#include "base/hash.h"
#include "cli/field.h"

#include <stdio.h>

static void make_id(const uint8_t salt[MESSAGE_SALT], const char *file, uint64_t number, struct bytes text,
                    char id[40]) {
  const char *slash = strrchr(file, '/');
  struct buf whole = {0};
  buf_printf(&whole, "%s\n%llu\n", slash ? slash + 1 : file, (unsigned long long)number);
  buf_append_bytes(&whole, text);
  struct hash128 h = hash128_keyed(salt, buf_bytes(&whole));
  snprintf(id, 40, "line-%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
  buf_deinit(&whole);
}

void message_id_add(const uint8_t salt[MESSAGE_SALT], const char *file, uint64_t number, struct bytes text,
                    struct buf *event) {
  struct mp m = mp_of(buf_bytes(event));
  struct mp_value head = mp_next(&m);
  if (head.type != MP_MAP || !field_is_nil(buf_bytes(event), "messageId")) return;
  char id[40];
  make_id(salt, file, number, text, id);
  struct buf with = {0}; // first: of equal keys the first counts, and one may be there with nil
  mp_put_map(&with, head.count + 1);
  mp_put_cstr(&with, "messageId");
  mp_put_cstr(&with, id);
  buf_append(&with, m.p, (size_t)(m.end - m.p));
  buf_deinit(event);
  *event = with;
}
