#include "net/segment.h"

#include "base/check.h"

#include <sodium.h>
#include <strings.h>
#include <zlib.h>

int segment_endpoint(struct bytes path) {
  static const struct {
    const char *path;
    int endpoint;
  } known[] = {
      {"/v1/batch", SEGMENT_BATCH}, {"/v1/b", SEGMENT_BATCH},   {"/v1/import", SEGMENT_BATCH},
      {"/v1/track", EVENT_TRACK},   {"/v1/t", EVENT_TRACK},     {"/v1/identify", EVENT_IDENTIFY},
      {"/v1/i", EVENT_IDENTIFY},    {"/v1/page", EVENT_PAGE},   {"/v1/p", EVENT_PAGE},
      {"/v1/screen", EVENT_SCREEN}, {"/v1/s", EVENT_SCREEN},    {"/v1/group", EVENT_GROUP},
      {"/v1/g", EVENT_GROUP},       {"/v1/alias", EVENT_ALIAS}, {"/v1/a", EVENT_ALIAS},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (bytes_is(path, known[i].path)) return known[i].endpoint;
  return -1;
}

int segment_basic(struct bytes header, struct buf *key, struct error *err) {
  uint8_t plain[1024];
  size_t n = 0;
  bool is_basic = header.n > 6 && strncasecmp((const char *)header.p, "Basic ", 6) == 0;
  if (!is_basic || sodium_base642bin(plain, sizeof plain, (const char *)header.p + 6, header.n - 6, " ", &n, NULL,
                                     sodium_base64_VARIANT_ORIGINAL) != 0)
    return error_set(err, ITD_EAUTH, "the Authorization header must be \"Basic\" and the base64 of \"WRITE_KEY:\"");
  const uint8_t *colon = memchr(plain, ':', n);
  buf_append(key, plain, colon ? (size_t)(colon - plain) : n);
  return 0;
}

// ---- gzip ----

static int inflate_all(z_stream *z, size_t max, struct buf *out, struct error *err) {
  size_t start = out->n;
  for (;;) {
    const size_t step = 64 << 10;
    size_t left = max - (out->n - start);
    size_t room = left < step ? left + 1 : step; // a byte too many shows that it is too long
    z->next_out = buf_reserve(out, room);
    z->avail_out = (uInt)room;
    int rc = inflate(z, Z_NO_FLUSH);
    out->n += room - z->avail_out;
    if (out->n - start > max)
      return error_set(err, ITD_ETOOBIG, "the body unzips to more than %zu bytes (frame.bytes)", max);
    switch (rc) {
    case Z_OK: break;
    case Z_STREAM_END:
      if (z->avail_in == 0) return 0;
      CHECK(inflateReset(z) == Z_OK);
      break;
    case Z_MEM_ERROR: out_of_memory(room);
    case Z_BUF_ERROR: return error_set(err, ITD_EFRAME, "the gzip body is cut off");
    default: return error_set(err, ITD_EFRAME, "the body is not gzip (%s)", z->msg ? z->msg : "unknown format");
    }
  }
}

int segment_gunzip(struct bytes in, size_t max, struct buf *out, struct error *err) {
  CHECK(in.n <= UINT32_MAX);
  size_t start = out->n;
  z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
  if (inflateInit2(&z, 15 + 16) != Z_OK) out_of_memory(sizeof z); // 16: gzip, not zlib's own format
  int status = inflate_all(&z, max, out, err);
  inflateEnd(&z);
  if (status < 0) out->n = start;
  return status;
}

// ---- reading ----

static bool is_nil(struct bytes value) { return value.p[0] == 0xc0; }
static bool is_map(struct bytes value) { return mp_value_of(value).type == MP_MAP; }

// A key's value unless it is null.
static struct bytes given(struct bytes map, const char *key) {
  struct bytes value;
  return mp_find(map, bytes_str(key), &value) && !is_nil(value) ? value : (struct bytes){NULL, 0};
}

static int read_batch(struct bytes all, uint32_t batch_max, struct segment_body *body, struct error *err) {
  struct bytes batch = given(all, "batch");
  struct mp_value head = {.type = MP_NIL};
  if (batch.n) {
    body->at = mp_of(batch);
    head = mp_next(&body->at);
  }
  if (head.type != MP_ARRAY || head.count == 0)
    return error_set(err, ITD_EEVENT, "the body must be {\"batch\": [MESSAGE, …]} with 1 to %u messages (net.batch)",
                     batch_max);
  if (head.count > batch_max)
    return error_set(err, ITD_ETOOBIG, "a batch of %u messages; at most %u (net.batch)", head.count, batch_max);
  body->count = head.count;
  body->context = given(all, "context");
  if (body->context.n && !is_map(body->context))
    return error_set(err, ITD_EEVENT, "the batch's context must be an object");
  body->integrations = given(all, "integrations");
  body->sent_at = given(all, "sentAt");
  return 0;
}

int segment_read(int endpoint, struct bytes json, const struct mp_limits *limits, uint32_t batch_max,
                 struct segment_body *body, struct error *err) {
  struct segment_body new = {.endpoint = endpoint};
  int status = mp_from_json(json, limits, &new.packed, err);
  if (status < 0) {
    error_prefix(err, "the body");
    return status;
  }
  struct bytes all = buf_bytes(&new.packed), key = {0};
  if (!is_map(all)) {
    status = error_set(err, ITD_EEVENT, "the body must be a JSON object");
  } else if (endpoint == SEGMENT_BATCH) {
    status = read_batch(all, batch_max, &new, err);
  } else {
    new.at = mp_of(all);
    new.count = 1;
  }
  if (status < 0) {
    segment_deinit(&new);
    return status;
  }
  key = given(all, "writeKey");
  if (key.n && mp_as_str(key, &key)) new.write_key = key;
  *body = new;
  return 0;
}

void segment_deinit(struct segment_body *body) {
  buf_deinit(&body->packed);
  buf_deinit(&body->pairs);
}

// ---- messages ----

static uint32_t put_pair(struct buf *out, const char *key, struct bytes value) {
  mp_put_cstr(out, key);
  mp_put_raw(out, value);
  return 1;
}

// The message's context (empty: none), what it lacks of the batch's, and the source.
static void put_context(struct bytes own, struct bytes batch, const char *source, struct buf *out) {
  struct mp m = mp_of(own), b = mp_of(batch);
  uint32_t own_pairs = own.n ? mp_next(&m).count : 0, batch_pairs = batch.n ? mp_next(&b).count : 0;
  struct bytes value;
  uint32_t pairs = own_pairs;
  struct mp walk = b;
  for (uint32_t i = 0; i < batch_pairs; i++) {
    struct bytes key = mp_take(&walk);
    pairs += !own.n || !mp_find(own, mp_value_of(key).s, &value);
    (void)mp_take(&walk);
  }
  bool has_source =
      (own.n && mp_find(own, BYTES_LIT("source"), &value)) || (batch.n && mp_find(batch, BYTES_LIT("source"), &value));
  mp_put_map(out, pairs + (source && !has_source));
  buf_append(out, m.p, (size_t)(m.end - m.p));
  for (uint32_t i = 0; i < batch_pairs; i++) {
    struct bytes key = mp_take(&b);
    struct bytes of_batch = mp_take(&b);
    if (own.n && mp_find(own, mp_value_of(key).s, &value)) continue;
    mp_put_raw(out, key);
    mp_put_raw(out, of_batch);
  }
  if (source && !has_source) {
    mp_put_cstr(out, "source");
    mp_put_cstr(out, source);
  }
}

// Its own keys, but for those that are taken away or put anew.
static uint32_t put_own(const struct segment_body *body, struct bytes message, bool new_context, struct buf *out) {
  struct mp m = mp_of(message);
  uint32_t count = mp_next(&m).count, kept = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct bytes key = mp_take(&m), value = mp_take(&m), name = mp_value_of(key).s;
    if (bytes_is(name, "writeKey")) continue;
    if (bytes_is(name, "type") && body->endpoint != SEGMENT_BATCH) continue;
    if (bytes_is(name, "context") && new_context) continue;
    if (is_nil(value) &&
        ((bytes_is(name, "sentAt") && body->sent_at.n) || (bytes_is(name, "integrations") && body->integrations.n)))
      continue;
    mp_put_raw(out, key);
    mp_put_raw(out, value);
    kept++;
  }
  return kept;
}

bool segment_next(struct segment_body *body, const char *source, struct buf *event) {
  if (body->index == body->count) return false;
  body->index++;
  struct bytes message = mp_take(&body->at);
  if (!is_map(message)) {
    mp_put_raw(event, message);
    return true;
  }
  struct buf *pairs = &body->pairs;
  buf_clear(pairs);
  struct bytes context = given(message, "context");
  bool new_context = (source || body->context.n) && (!context.n || is_map(context));
  uint32_t count = put_own(body, message, new_context, pairs);
  if (body->endpoint != SEGMENT_BATCH) {
    mp_put_cstr(pairs, "type");
    mp_put_cstr(pairs, event_type_name((enum event_type)body->endpoint));
    count++;
  }
  if (body->sent_at.n && !given(message, "sentAt").n) count += put_pair(pairs, "sentAt", body->sent_at);
  if (body->integrations.n && !given(message, "integrations").n)
    count += put_pair(pairs, "integrations", body->integrations);
  if (new_context) {
    mp_put_cstr(pairs, "context");
    put_context(context, body->context, source, pairs);
    count++;
  }
  mp_put_map(event, count);
  buf_append_bytes(event, buf_bytes(pairs));
  return true;
}
