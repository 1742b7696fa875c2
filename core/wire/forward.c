// Fluentd Forward v1, the server's side. After fluent/fluentd's wiki page "Forward Protocol Specification v1" and what
// its in_forward and out_forward do where the page is silent (time 0 means now; an entry's time may come as [time,
// metadata]). Pure, any thread.
#include "wire/forward.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "base/check.h"
#include "base/hash.h"

// ---- reading a message ----
struct option {
  struct bytes chunk;
  bool is_gzip;
};

static bool text_or_bin(struct bytes value, struct bytes *data) {
  struct mp_value v = mp_value_of(value);
  *data = v.s;
  return v.type == MP_STR || v.type == MP_BIN;
}

static int option_read(struct bytes map, struct option *option, struct error *err) {
  struct mp m = mp_of(map);
  struct bytes value, text;
  if (mp_peek(&m) == MP_NIL) return 0;
  if (mp_peek(&m) != MP_MAP) return error_set(err, ITD_EFRAME, "the option of a Forward message must be a map or nil");
  if (mp_find(map, BYTES_LIT("chunk"), &value) && value.p[0] != 0xc0) {
    if (!text_or_bin(value, &option->chunk)) return error_set(err, ITD_EFRAME, "the option chunk must be text");
    if (option->chunk.n > FORWARD_CHUNK_MAX)
      return error_set(err, ITD_ETOOBIG, "the option chunk is %zu bytes long, over %d", option->chunk.n,
                       FORWARD_CHUNK_MAX);
  }
  if (mp_find(map, BYTES_LIT("compressed"), &value) && value.p[0] != 0xc0) {
    if (!text_or_bin(value, &text)) text = (struct bytes){NULL, 0};
    option->is_gzip = bytes_eq(text, BYTES_LIT("gzip"));
    if (!option->is_gzip && !bytes_eq(text, BYTES_LIT("text")))
      return error_set(err, ITD_EFRAME,
                       "the option compressed must be gzip or text; no other compression is read here");
  }
  return 0;
}

// One gzip member after the other, until the input ends; stops as soon as the outcome is longer than `max`.
static int gunzip_all(z_stream *z, size_t max, struct buf *out, struct error *err) {
  for (;;) {
    const size_t step = 64 << 10;
    size_t room = max - out->n < step ? max - out->n + 1 : step; // a byte too many tells that it is too long
    z->next_out = buf_reserve(out, room);
    z->avail_out = (uInt)room;
    int rc = inflate(z, Z_NO_FLUSH);
    out->n += room - z->avail_out;
    if (out->n > max)
      return error_set(err, ITD_ETOOBIG, "the compressed entries are longer than %zu bytes (frame.bytes)", max);
    if (rc == Z_STREAM_END) {
      if (z->avail_in == 0) return 0;
      CHECK(inflateReset(z) == Z_OK);
    } else if (rc == Z_MEM_ERROR) {
      out_of_memory(room);
    } else if (rc == Z_BUF_ERROR) {
      return error_set(err, ITD_EFRAME, "the compressed entries are cut off");
    } else if (rc != Z_OK) {
      return error_set(err, ITD_EFRAME, "the compressed entries are not gzip (%s)", z->msg ? z->msg : "unknown format");
    }
  }
}

static int gunzip(struct bytes in, size_t max, struct buf *out, struct error *err) {
  CHECK(in.n <= UINT32_MAX);
  z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
  if (inflateInit2(&z, 15 + 16) != Z_OK) out_of_memory(sizeof z); // 16: gzip and nothing else
  int rc = gunzip_all(&z, max, out, err);
  inflateEnd(&z);
  return rc;
}

// Entries one after the other: each whole and within the limits, and not too many.
static int packed_count(struct bytes entries, const struct mp_limits *limits, uint32_t *count, struct error *err) {
  uint32_t n = 0;
  for (size_t at = 0, len; at < entries.n; at += len) {
    int rc = mp_scan(bytes_of(entries.p + at, entries.n - at), limits, &len, err);
    if (rc == 0) rc = error_set(err, ITD_EFRAME, "cut off");
    if (rc < 0) {
      error_prefix(err, "packed entry %u", n);
      return rc;
    }
    if (++n > limits->objects_max)
      return error_set(err, ITD_ETOOBIG, "more than %u packed entries (frame.objects)", limits->objects_max);
  }
  *count = n;
  return 0;
}

static int packed_read(struct bytes packed, bool is_gzip, const struct mp_limits *limits,
                       struct forward_message *message, struct error *err) {
  message->entries = packed;
  if (is_gzip) {
    int rc = gunzip(packed, limits->bytes_max, &message->unpacked, err);
    if (rc < 0) return rc;
    message->entries = buf_bytes(&message->unpacked);
  }
  message->at = mp_of(message->entries);
  return packed_count(message->entries, limits, &message->left, err);
}

int forward_read(struct bytes value, const struct mp_limits *limits, struct forward_message *message,
                 struct error *err) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_next(&m), tag = {.type = MP_NIL};
  if (head.type == MP_ARRAY && head.count >= 2) tag = mp_next(&m);
  if (tag.type != MP_STR || !bytes_is_utf8(tag.s))
    return error_set(err, ITD_EFRAME, "a Forward message is a list of a tag (text), entries and an option");
  struct forward_message read = {.tag = tag.s, .at = m};
  enum mp_type type = mp_peek(&m);
  read.is_single = type != MP_ARRAY && type != MP_STR && type != MP_BIN;
  uint32_t parts = read.is_single ? 3 : 2; // without the option
  if (head.count < parts || head.count > parts + 1)
    return error_set(err, ITD_EFRAME, "a Forward message of this mode has %u or %u parts, this one %u", parts,
                     parts + 1, head.count);
  read.entries = mp_take(&m);
  if (read.is_single) {
    struct bytes record = mp_take(&m);
    read.entries.n = (size_t)(record.p + record.n - read.entries.p);
  }
  struct option option = {.is_gzip = false};
  int rc = head.count > parts ? option_read(mp_take(&m), &option, err) : 0;
  if (rc < 0) return rc;
  read.chunk = option.chunk;
  if (read.is_single) {
    read.left = 1;
  } else if (type == MP_ARRAY) {
    read.left = mp_next(&read.at).count;
  } else {
    buf_init(&read.unpacked);
    rc = packed_read(mp_value_of(read.entries).s, option.is_gzip, limits, &read, err);
    if (rc < 0) {
      buf_deinit(&read.unpacked);
      return rc;
    }
  }
  *message = read;
  return 0;
}

void forward_deinit(struct forward_message *message) { buf_deinit(&message->unpacked); }

// ---- an entry as an event ----
enum time_found { TIME_BAD, TIME_NOW, TIME_IS };

static enum time_found seconds_read(int64_t seconds, uint32_t ns, int64_t *time_ms) {
  if (ns > 999999999 || seconds < MP_TIME_MIN_MS / 1000 || seconds > MP_TIME_MAX_MS / 1000) return TIME_BAD;
  *time_ms = seconds * 1000 + ns / 1000000;
  return seconds == 0 ? TIME_NOW : TIME_IS;
}

static enum time_found entry_time(struct bytes value, int64_t *time_ms) {
  struct mp m = mp_of(value);
  struct mp_value v = mp_next(&m);
  if (v.type == MP_ARRAY && v.count == 2) v = mp_next(&m); // [time, metadata]
  switch (v.type) {
  case MP_NIL: return TIME_NOW;
  case MP_INT: return seconds_read(v.i, 0, time_ms);
  case MP_FLOAT: {
    if (!(v.f > -1e11 && v.f < 1e12)) return TIME_BAD;
    double ms = v.f * 1000;
    *time_ms = (int64_t)ms;
    bool in_range = *time_ms >= MP_TIME_MIN_MS && *time_ms <= MP_TIME_MAX_MS;
    return !in_range ? TIME_BAD : *time_ms == 0 ? TIME_NOW : TIME_IS;
  }
  case MP_EXT: { // EventTime: seconds and nanoseconds, 32 bits each
    if (v.ext_type != 0 || v.s.n != 8) return mp_as_timestamp(&v, time_ms) ? TIME_IS : TIME_BAD;
    uint64_t both = 0;
    for (int i = 0; i < 8; i++) both = both << 8 | v.s.p[i];
    return seconds_read((int64_t)(both >> 32), (uint32_t)both, time_ms);
  }
  default: return TIME_BAD;
  }
}

// What an entry can bring to a record that lacks it.
enum { ADD_TIMESTAMP = 1, ADD_MESSAGE_ID = 2, ADD_TYPE = 4, ADD_EVENT = 8 };

static unsigned add_of(struct bytes key) {
  if (bytes_eq(key, BYTES_LIT("timestamp"))) return ADD_TIMESTAMP;
  if (bytes_eq(key, BYTES_LIT("messageId"))) return ADD_MESSAGE_ID;
  if (bytes_eq(key, BYTES_LIT("type"))) return ADD_TYPE;
  if (bytes_eq(key, BYTES_LIT("event"))) return ADD_EVENT;
  return 0;
}

// Which of the four keys the record has with a value that event_decode would count, by the first of equal keys; and how
// many pairs of those keys it has without (nil, or an empty messageId): these make way for what is added.
static unsigned keys_present(struct bytes record, unsigned *empty) {
  unsigned present = 0, seen = 0;
  struct mp m = mp_of(record);
  *empty = 0;
  for (uint32_t left = mp_next(&m).count; left > 0; left--) {
    struct bytes text;
    unsigned add = mp_take_str(&m, &text) ? add_of(text) : 0;
    struct bytes value = mp_take(&m);
    if (!add || seen & add) continue;
    seen |= add;
    bool is_empty = value.p[0] == 0xc0 || (add == ADD_MESSAGE_ID && mp_as_str(value, &text) && text.n == 0);
    if (is_empty)
      *empty |= add;
    else
      present |= add;
  }
  return present;
}

static void message_id_put(struct buf *out, struct bytes chunk, uint32_t index) {
  char text[2 * FORWARD_CHUNK_MAX + 16];
  size_t n;
  if (bytes_is_utf8(chunk)) {
    // Ruby's Base64 ends the text with a line feed.
    while (chunk.n > 0 && (chunk.p[chunk.n - 1] == '\n' || chunk.p[chunk.n - 1] == '\r')) chunk.n--;
    if (chunk.n > 0) memcpy(text, chunk.p, chunk.n);
    n = chunk.n;
  } else {
    hex_encode(chunk, text);
    n = 2 * chunk.n;
  }
  n += (size_t)snprintf(text + n, sizeof text - n, "-%u", index);
  mp_put_str(out, bytes_of(text, n));
}

// Copies the record's pairs, without the first one of each key in `drop`.
static void pairs_put(struct buf *out, struct bytes record, unsigned drop) {
  struct mp m = mp_of(record);
  uint32_t left = mp_next(&m).count;
  if (drop == 0) {
    buf_append(out, m.p, (size_t)(m.end - m.p));
    return;
  }
  for (; left > 0; left--) {
    struct bytes key = mp_take(&m), value = mp_take(&m), text;
    unsigned add = mp_as_str(key, &text) ? add_of(text) & drop : 0;
    drop &= ~add;
    if (add) continue;
    mp_put_raw(out, key);
    mp_put_raw(out, value);
  }
}

int forward_next(struct forward_message *message, struct buf *event, struct error *err) {
  if (message->left == 0) return 0;
  message->left--;
  uint32_t index = message->index++;
  struct mp m = message->at;
  if (!message->is_single) {
    m = mp_of(mp_take(&message->at));
    struct mp_value head = mp_next(&m);
    if (head.type != MP_ARRAY || head.count != 2)
      return error_set(err, ITD_EFRAME, "entry %u is no list of time and record", index);
  }
  int64_t time_ms = 0;
  enum time_found found = entry_time(mp_take(&m), &time_ms);
  if (found == TIME_BAD)
    return error_set(err, ITD_EFRAME, "the time of entry %u is neither EventTime nor seconds of the years 0001 to 9999",
                     index);
  if (mp_peek(&m) != MP_MAP) return error_set(err, ITD_EFRAME, "the record of entry %u is no map", index);
  struct bytes record = mp_take(&m);

  unsigned empty, present = keys_present(record, &empty), add = 0;
  if (found == TIME_IS) add |= ADD_TIMESTAMP;
  if (message->chunk.n > 0) add |= ADD_MESSAGE_ID;
  if (!(present & (ADD_TYPE | ADD_EVENT))) add |= ADD_TYPE | ADD_EVENT;
  add &= ~present;
  unsigned drop = empty & add;
  uint32_t pairs = mp_value_of(record).count + (uint32_t)__builtin_popcount(add) - (uint32_t)__builtin_popcount(drop);
  mp_put_map(event, pairs);
  if (add & ADD_TIMESTAMP) mp_put_cstr(event, "timestamp"), mp_put_int(event, time_ms);
  if (add & ADD_MESSAGE_ID) mp_put_cstr(event, "messageId"), message_id_put(event, message->chunk, index);
  if (add & ADD_TYPE) mp_put_cstr(event, "type"), mp_put_cstr(event, "track");
  if (add & ADD_EVENT) mp_put_cstr(event, "event"), mp_put_str(event, message->tag);
  pairs_put(event, record, drop);
  return 1;
}

static void put_text_or_bin(struct buf *out, struct bytes data) {
  if (bytes_is_utf8(data))
    mp_put_str(out, data);
  else
    mp_put_bin(out, data);
}

void forward_put_ack(struct buf *out, struct bytes chunk) {
  mp_put_map(out, 1);
  mp_put_cstr(out, "ack");
  put_text_or_bin(out, chunk);
}

// ---- handshake ----
#define DIGEST_HEX (2 * 64)
// SHA-512 of salt, host name, nonce and key, as lower-case hexadecimal digits.
static void digest_of(struct bytes salt, struct bytes hostname, const uint8_t nonce[FORWARD_NONCE_SIZE],
                      const char *shared_key, char hex[DIGEST_HEX + 1]) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  if (!ctx) out_of_memory(sizeof digest);
  int ok = EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) && EVP_DigestUpdate(ctx, salt.p, salt.n) &&
           EVP_DigestUpdate(ctx, hostname.p, hostname.n) && EVP_DigestUpdate(ctx, nonce, FORWARD_NONCE_SIZE) &&
           EVP_DigestUpdate(ctx, shared_key, strlen(shared_key)) && EVP_DigestFinal_ex(ctx, digest, &n);
  EVP_MD_CTX_free(ctx);
  CHECK(ok && 2 * n == DIGEST_HEX);
  hex_encode(bytes_of(digest, n), hex);
}

void forward_put_helo(struct buf *out, const uint8_t nonce[FORWARD_NONCE_SIZE]) {
  mp_put_array(out, 2);
  mp_put_cstr(out, "HELO");
  mp_put_map(out, 3);
  mp_put_cstr(out, "nonce");
  mp_put_bin(out, bytes_of(nonce, FORWARD_NONCE_SIZE));
  mp_put_cstr(out, "auth"); // the salt for a password: empty, none is asked for
  mp_put_cstr(out, "");
  mp_put_cstr(out, "keepalive");
  mp_put_bool(out, true);
}

static void pong_put(struct buf *out, bool is_in, const char *reason, const char *hostname, const char *digest) {
  mp_put_array(out, 5);
  mp_put_cstr(out, "PONG");
  mp_put_bool(out, is_in);
  mp_put_cstr(out, reason);
  mp_put_cstr(out, hostname);
  mp_put_cstr(out, digest);
}

// ["PING", host name, salt, digest, user, password digest]; the last two are there for a password and are not looked
// at.
static bool ping_read(struct bytes value, struct bytes part[4]) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY || head.count != 6) return false;
  for (int i = 0; i < 4; i++)
    if (!text_or_bin(mp_take(&m), &part[i])) return false;
  return bytes_eq(part[0], BYTES_LIT("PING"));
}

int forward_check_ping(struct bytes value, const char *hostname, const char *shared_key,
                       const uint8_t nonce[FORWARD_NONCE_SIZE], struct buf *pong, struct error *err) {
  struct bytes part[4];
  if (!ping_read(value, part))
    return error_set(err, ITD_EFRAME, "expected [\"PING\", host name, salt, digest, user, password digest]");
  char digest[DIGEST_HEX + 1];
  digest_of(part[2], part[1], nonce, shared_key, digest);
  if (part[3].n != DIGEST_HEX || CRYPTO_memcmp(part[3].p, digest, DIGEST_HEX) != 0) {
    pong_put(pong, false, "shared_key mismatch", "", "");
    return error_set(err, ITD_EAUTH, "the digest does not fit the shared key");
  }
  digest_of(part[2], bytes_str(hostname), nonce, shared_key, digest);
  pong_put(pong, true, "", hostname, digest);
  return 0;
}
