#include "store/quarantine_payload.h"

#include <stdio.h>

#include "wire/mp.h"

#define HEAD "source "

void quarantine_payload_put(const struct quarantine_payload *p, struct buf *out) {
  size_t start = out->n;
  bool is_vast = p->who.n > QUARANTINE_PAYLOAD_WHO_MAX;
  mp_put_map(out, p->salt.n ? 4 : 3);
  mp_put_cstr(out, "source"), mp_put_str(out, p->source);
  mp_put_cstr(out, "who");
  if (p->who.n && !is_vast)
    mp_put_raw(out, p->who);
  else
    mp_put_array(out, 0);
  if (p->salt.n) mp_put_cstr(out, "salt"), mp_put_bin(out, p->salt);
  mp_put_cstr(out, "payload");
  if (is_vast)
    mp_put_nil(out);
  else
    mp_put_raw(out, p->payload);
  if (out->n - start > QUARANTINE_PAYLOAD_MAX) out->n = start + QUARANTINE_PAYLOAD_MAX;
}

int quarantine_payload_why(int code, const char *source, struct bytes rule, struct bytes why, struct bytes where,
                           struct error *err) {
  return error_set(err, code, HEAD "%s%s%.*s%s: %.*s%s%.*s%s", source, rule.n ? ", rule '" : "", (int)rule.n,
                   (const char *)rule.p, rule.n ? "'" : "", (int)why.n, (const char *)why.p, where.n ? " (" : "",
                   (int)where.n, (const char *)where.p, where.n ? ")" : "");
}

bool quarantine_payload_is_why(struct bytes why) {
  return why.n > strlen(HEAD) && memcmp(why.p, HEAD, strlen(HEAD)) == 0;
}

bool quarantine_payload_read(struct bytes event, struct quarantine_payload *p) {
  const struct mp_limits limits = {.depth_max = MP_DEPTH_MAX, .objects_max = UINT32_MAX, .bytes_max = SIZE_MAX};
  struct bytes source, salt;
  size_t len;
  if (mp_scan(event, &limits, &len, NULL) != 1 || len != event.n) return false;
  struct mp_value head = mp_value_of(event);
  struct quarantine_payload found = {0};
  bool is_one = head.type == MP_MAP && mp_find(event, BYTES_LIT("source"), &source) &&
                mp_as_str(source, &found.source) && mp_find(event, BYTES_LIT("who"), &found.who) &&
                mp_value_of(found.who).type == MP_ARRAY && mp_find(event, BYTES_LIT("payload"), &found.payload);
  if (is_one && mp_find(event, BYTES_LIT("salt"), &salt)) {
    struct mp_value v = mp_value_of(salt);
    is_one = v.type == MP_BIN && v.s.n == QUARANTINE_PAYLOAD_SALT;
    if (is_one) found.salt = v.s;
  }
  if (!is_one || head.count != (found.salt.n ? 4u : 3u)) return false;
  *p = found;
  return true;
}

bool quarantine_payload_of(struct bytes event, struct bytes why, struct quarantine_payload *p) {
  struct quarantine_payload found;
  if (!quarantine_payload_is_why(why) || !quarantine_payload_read(event, &found)) return false;
  struct bytes rest = bytes_of(why.p + strlen(HEAD), why.n - strlen(HEAD));
  size_t n = found.source.n;
  if (n == 0 || rest.n <= n || memcmp(rest.p, found.source.p, n) != 0 || !strchr(",:", rest.p[n]) || !rest.p[n])
    return false;
  *p = found;
  return true;
}
