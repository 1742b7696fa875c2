#include "cli/refusals.h"

#include "base/clock.h"
#include "cli/client.h"
#include "cli/field.h"
#include "policy/sources.h"
#include "store/quarantine_payload.h"

#include <stdlib.h>
#include <unistd.h>

// Of one call: well within frame.bytes and frame.objects.
enum { CALL_PAYLOADS = 250, CALL_BYTES = 256 << 10, CALL_NAMES = 20000 };
enum { WHY_MAX = 400, RULE_MAX = 200, WHERE_MAX = 200, AGAIN_MS = 200 };

struct refusals {
  struct refusals_options options;
  struct client *client;
  struct buf waiting;    // packed maps
  uint32_t count, names; // payloads, and identities of all of them
  uint64_t taken, bytes; // in all
  struct refusals_tally tally;
};

struct refusals *refusals_new(const struct refusals_options *options) {
  struct refusals *r = xcalloc(1, sizeof *r);
  r->options = *options;
  return r;
}

void refusals_free(struct refusals *r) {
  if (!r) return;
  client_close(r->client);
  if (r->waiting.p) explicit_bzero(r->waiting.p, r->waiting.cap);
  buf_deinit(&r->waiting);
  free(r);
}

const struct refusals_tally *refusals_tally(const struct refusals *r) { return &r->tally; }

// ---- sending ----

static int call(struct refusals *r, struct buf *answer, struct error *err) {
  struct buf params = {0};
  int status = r->client && client_is_lost(r->client) ? ITD_EIO : 0;
  if (status < 0) client_close(r->client), r->client = NULL;
  if (!r->client && client_open(r->options.address, &r->client, err) < 0) return ITD_EIO;
  mp_put_array(&params, 1);
  mp_put_map(&params, 2);
  mp_put_cstr(&params, "source"), mp_put_cstr(&params, r->options.source);
  mp_put_cstr(&params, "payloads"), mp_put_array(&params, r->count);
  buf_append_bytes(&params, buf_bytes(&r->waiting));
  buf_clear(answer);
  status = client_call(r->client, "quarantine.add", buf_bytes(&params), answer, err);
  explicit_bzero(params.p, params.cap);
  buf_deinit(&params);
  return status;
}

static void take(struct refusals *r, struct bytes answer) {
  struct bytes one;
  for (struct each each = each_of(answer); each_next(&each, &one);) {
    struct bytes failure = field(one, "error");
    if (!failure.n) {
      *(field_is(one, "known") ? &r->tally.known : &r->tally.added) += 1;
    } else if (r->tally.failed++ == 0) {
      struct error why = {0};
      (void)client_failure(failure, &why);
      r->tally.why = why;
    }
  }
}

int refusals_flush(struct refusals *r, struct error *err) {
  if (r->count == 0) return 0;
  struct buf answer = {0};
  uint64_t until = clock_mono_ns() + (uint64_t)r->options.patience_ms * 1000000u;
  int status;
  while ((status = call(r, &answer, err)) < 0 && status_retryable(status) && clock_mono_ns() < until)
    usleep(AGAIN_MS * 1000);
  if (status == 0) {
    take(r, buf_bytes(&answer));
    buf_clear(&r->waiting);
    r->count = r->names = 0;
  }
  buf_deinit(&answer);
  return status;
}

// ---- gathering ----

// A text cut to what a call takes, between two characters.
static struct bytes cut(struct bytes text, size_t max) {
  size_t n = mp_utf8_prefix(bytes_of(text.p, text.n > max ? max : text.n));
  return bytes_of(text.p, n);
}

static void put(struct buf *out, const struct refusal *one, const uint8_t *salt) {
  struct bytes why = cut(one->why, WHY_MAX), rule = cut(one->rule, RULE_MAX), where = cut(one->where, WHERE_MAX);
  mp_put_map(out, 4u + (one->who.n > 0) + (salt != NULL) + one->is_stopped);
  mp_put_cstr(out, "why"), mp_put_str(out, why.n ? why : BYTES_LIT("a reason that is no text"));
  mp_put_cstr(out, "rule"), mp_put_str(out, rule);
  mp_put_cstr(out, "where"), mp_put_str(out, where);
  if (one->who.n) mp_put_cstr(out, "who"), mp_put_raw(out, one->who);
  if (salt) mp_put_cstr(out, "salt"), mp_put_bin(out, bytes_of(salt, SOURCES_SALT));
  if (one->is_stopped) mp_put_cstr(out, "stopped"), mp_put_bool(out, true);
  mp_put_cstr(out, "payload"), mp_put_bin(out, one->payload);
}

// No more of it than is kept.
static struct refusal trimmed(const struct refusal *one) {
  static const uint8_t nil[] = {0xc0};
  struct refusal to = *one;
  if (to.who.n > QUARANTINE_PAYLOAD_WHO_MAX) to.who = (struct bytes){0}, to.payload = bytes_of(nil, sizeof nil);
  if (to.payload.n > QUARANTINE_PAYLOAD_MAX) to.payload.n = QUARANTINE_PAYLOAD_MAX;
  return to;
}

int refusals_add(struct refusals *r, const struct refusal *refusal, struct error *err) {
  const struct refusal one = trimmed(refusal);
  size_t n = one.payload.n + one.who.n;
  uint32_t names = one.who.n ? mp_value_of(one.who).count : 0;
  if (r->taken >= r->options.max || r->bytes + n > REFUSALS_BYTES_MAX) {
    r->tally.over++;
    return 0;
  }
  r->taken++, r->bytes += n;
  bool is_much = r->count && (r->waiting.n + n > CALL_BYTES || r->names + names > CALL_NAMES);
  int status = is_much ? refusals_flush(r, err) : 0;
  if (status < 0) return status;
  r->names += names;
  put(&r->waiting, &one, r->options.salt);
  return ++r->count == CALL_PAYLOADS ? refusals_flush(r, err) : 0;
}
