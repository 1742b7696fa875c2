// Whether a request of another system comes from whom it says: signatures of webhooks and tokens, over the body's bytes
// as they came, in constant time. Pure; any thread.
#pragma once
#include "policy/sources.h"

#define WEBHOOK_SECRETS_MAX 4 // of one source: the one in use and those before it

struct webhook {
  const struct source_info *source;
  const char *signature; // value of the source's header; NULL: it was not sent
  const char *timestamp; // of webhook_timestamp_header's; NULL: not sent
  struct bytes url;      // as the sender called it: https://host/path?query (hubspot_v3)
  struct bytes body;
  int64_t now_ms;
};

// The second header that a scheme reads; NULL: none.
const char *webhook_timestamp_header(const struct source_info *source);

// Schemes (the secret is one of `secrets`):
// - hmac: HMAC-SHA256 of the body, in hexadecimal or base64, perhaps after "sha256="; with a timestamp header of
//   "TIMESTAMP.BODY";
// - stripe: "t=SECONDS,v1=HEX,…", HMAC-SHA256 of "SECONDS.BODY"; one v1 that is right is enough;
// - hubspot_v3: base64 of HMAC-SHA256 of method (POST), URL (with the escapes of :/?@!$'()*,; undone), body and timestamp
//   (milliseconds);
// - token: the secret itself, perhaps after "Bearer ".
// A time that is signed may lie source->tolerance_ms from now_ms, either way. ITD_EAUTH: what is missing or wrong, never
// with a part of a secret or of a signature.
int webhook_check(const struct webhook *webhook, const struct bytes *secrets, size_t count,
                  struct error *err) ITD_MUST_USE;
