// quarantine.add: payloads that a source's mapping refused elsewhere (`intent import`), kept as those of
// POST /v1/source/NAME are. The control thread writes and syncs them; the answer leaves after that. The same payload is kept
// once, so the call may be repeated.
#include "base/check.h"
#include "net/daemon.h"
#include "net/serve_private.h"
#include "store/quarantine_payload.h"
#include "wire/rpc.h"

#include <stdio.h>
#include <stdlib.h>

#define ADD_MAX       500 // payloads of one call
#define UNDER_WAY_MAX 8   // calls of all connections: each holds as much as a message may
#define NAME_MAX      63
#define RULE_MAX      200
#define WHY_MAX       400
#define WHERE_MAX     200
#define DEPTH_MAX     32 // of a payload

struct addition {
  struct bytes event; // an offset and a length in `events`, until all are there
  struct error why;
  char id[QUARANTINE_ID + 1];
  bool is_known;
  struct error error;
};

struct adding {
  struct conn *conn;
  struct shard_thread *thread;
  uint32_t id, count;
  bool has_reply;
  struct buf events;
  int status; // of the call as a whole
  struct error error;
  struct addition addition[];
};

static void adding_free(struct adding *a) {
  if (a->events.p) explicit_bzero(a->events.p, a->events.cap);
  buf_deinit(&a->events);
  free(a);
}

// ---- the answer ----

static void answer(struct shard *shard, void *context) {
  struct adding *a = context;
  struct call call = {.conn = a->conn, .id = a->id, .has_reply = a->has_reply};
  uint64_t added = 0;
  for (uint32_t i = 0; i < a->count; i++) added += a->addition[i].id[0] && !a->addition[i].is_known;
  if (shard->store) store_count_quarantined(shard->store, added);
  atomic_fetch_sub(&shard->daemon->adding, 1);
  if (!a->conn->is_closed) {
    struct buf *out = &a->conn->out;
    if (a->status < 0) {
      call_error(&call, &a->error);
    } else if (call_head(&call)) {
      mp_put_array(out, a->count);
      for (uint32_t i = 0; i < a->count; i++) {
        const struct addition *one = &a->addition[i];
        mp_put_map(out, one->error.code ? 1 : 2);
        if (one->error.code) {
          mp_put_cstr(out, "error"), error_put(out, &one->error);
        } else {
          mp_put_cstr(out, "id"), mp_put_cstr(out, one->id);
          mp_put_cstr(out, "known"), mp_put_bool(out, one->is_known);
        }
      }
    }
  }
  conn_unref(a->conn);
  adding_free(a);
}

// Control thread. What fails for want of room or of the disk fails as a whole: what was added by then is known the next time.
static void add_all(struct daemon *daemon, void *context) {
  struct adding *a = context;
  struct quarantine *quarantine = store_quarantine_of(daemon->store);
  int64_t now_ms = clock_wall_ms();
  if (!quarantine) a->status = error_set(&a->error, ITD_EUNAVAILABLE, "the daemon recovers from its files; try again");
  for (uint32_t i = 0; i < a->count && a->status == 0; i++) {
    struct addition *one = &a->addition[i];
    struct error err = {0};
    if (one->error.code) continue;
    int status = quarantine_add_once(quarantine, &one->why, one->event, now_ms, one->id, &one->is_known, &err);
    if (status == ITD_ETOOBIG)
      one->error = err;
    else if (status < 0)
      a->status = status, a->error = err;
  }
  if (a->status == 0) a->status = quarantine_sync(quarantine, &a->error);
  shard_post(a->thread, answer, a);
}

// ---- reading ----

static bool read_text(struct bytes map, const char *key, size_t max, bool is_needed, struct bytes *text) {
  struct bytes value;
  *text = (struct bytes){0};
  if (!mp_find(map, bytes_str(key), &value)) return !is_needed;
  return mp_as_str(value, text) && text->n <= max && (text->n || !is_needed) && bytes_is_utf8(*text);
}

static bool is_name(struct bytes name) {
  bool is = name.n > 0 && name.n <= NAME_MAX && name.p[0] >= 'a' && name.p[0] <= 'z';
  for (size_t i = 0; i < name.n; i++)
    is = is && name.p[i] && strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name.p[i]);
  return is;
}

// A list of identities.
static bool is_who(struct bytes list, size_t id_max) {
  struct mp m = mp_of(list);
  if (mp_peek(&m) != MP_ARRAY || list.n > QUARANTINE_PAYLOAD_WHO_MAX) return false;
  uint32_t count = mp_next(&m).count;
  for (uint32_t i = 0; i < count; i++) {
    struct bytes text;
    if (!mp_as_str(mp_take(&m), &text) || text.n == 0 || text.n > id_max) return false;
  }
  return true;
}

static int read_salt(struct bytes map, struct bytes *salt) {
  struct bytes value;
  *salt = (struct bytes){0};
  if (!mp_find(map, BYTES_LIT("salt"), &value)) return 0;
  struct mp_value v = mp_value_of(value);
  if (v.type != MP_BIN || v.s.n != QUARANTINE_PAYLOAD_SALT) return ITD_EINVAL;
  *salt = v.s;
  return 0;
}

// As bytes, so that neither its depth nor what is in it counts against a message's. What is cut when it is kept may come cut.
static bool read_payload(struct bytes map, struct bytes *payload) {
  const struct mp_limits limits = {
      .depth_max = DEPTH_MAX, .objects_max = QUARANTINE_PAYLOAD_MAX, .bytes_max = QUARANTINE_PAYLOAD_MAX};
  struct bytes value;
  size_t len;
  if (!mp_find(map, BYTES_LIT("payload"), &value)) return false;
  struct mp_value v = mp_value_of(value);
  if (v.type != MP_BIN || v.s.n == 0) return false;
  *payload = v.s;
  return v.s.n >= QUARANTINE_PAYLOAD_MAX || (mp_scan(v.s, &limits, &len, NULL) == 1 && len == v.s.n);
}

static int read_one(struct adding *a, const char *source, struct bytes map, size_t id_max, struct error *err) {
  struct quarantine_payload kept = {.source = bytes_str(source)};
  struct addition *one = &a->addition[a->count++];
  struct bytes rule, why, where, stopped;
  if (!read_payload(map, &kept.payload))
    return error_set(err, ITD_EINVAL, "entry %u: payload is bin: one MessagePack value, or the first %d bytes of it",
                     a->count - 1, QUARANTINE_PAYLOAD_MAX);
  if (!read_text(map, "why", WHY_MAX, true, &why))
    return error_set(err, ITD_EINVAL, "entry %u: why says in 1 to %d bytes of UTF-8 what is wrong", a->count - 1,
                     WHY_MAX);
  if (!read_text(map, "rule", RULE_MAX, false, &rule) || !read_text(map, "where", WHERE_MAX, false, &where))
    return error_set(err, ITD_EINVAL, "entry %u: rule and where are texts of up to %d and %d bytes", a->count - 1,
                     RULE_MAX, WHERE_MAX);
  if (mp_find(map, BYTES_LIT("who"), &kept.who) && !is_who(kept.who, id_max))
    return error_set(err, ITD_EINVAL, "entry %u: who is a list of identities, texts of up to %zu bytes", a->count - 1,
                     id_max);
  if (read_salt(map, &kept.salt) < 0)
    return error_set(err, ITD_EINVAL, "entry %u: salt is %d bytes of bin", a->count - 1, QUARANTINE_PAYLOAD_SALT);
  bool is_stopped =
      mp_find(map, BYTES_LIT("stopped"), &stopped) && mp_value_of(stopped).type == MP_BOOL && mp_value_of(stopped).b;
  quarantine_payload_why(is_stopped ? ITD_ESTOPPED : ITD_EEVENT, source, rule, why, where, &one->why);
  size_t start = a->events.n;
  quarantine_payload_put(&kept, &a->events);
  one->event = bytes_of((const uint8_t *)start, a->events.n - start);
  return 0;
}

static int read_call(const struct call *call, struct adding *a, struct bytes list, struct error *err) {
  struct bytes name;
  char source[NAME_MAX + 1];
  size_t id_max = call->conn->shard->daemon->intake.limits.id_max;
  if (!read_text(call->param, "source", NAME_MAX, true, &name) || !is_name(name))
    return error_set(err, ITD_EINVAL, "source is the name of a source: a-z, 0-9 and _, a letter first");
  snprintf(source, sizeof source, "%.*s", (int)name.n, (const char *)name.p);
  struct mp m = mp_of(list);
  uint32_t count = mp_next(&m).count;
  for (uint32_t i = 0; i < count; i++) {
    int status = read_one(a, source, mp_take(&m), id_max, err);
    if (status < 0) return status;
  }
  for (uint32_t i = 0; i < count; i++) a->addition[i].event.p = a->events.p + (uintptr_t)a->addition[i].event.p;
  return 0;
}

bool quarantine_add_call(const struct call *call) {
  struct shard *shard = call->conn->shard;
  struct daemon *daemon = shard->daemon;
  struct bytes list = {0};
  struct error err = {0};
  bool is_list = mp_value_of(call->param).type == MP_MAP && mp_find(call->param, BYTES_LIT("payloads"), &list) &&
                 mp_value_of(list).type == MP_ARRAY;
  uint32_t count = is_list ? mp_value_of(list).count : 0;
  if (count == 0 || count > ADD_MAX) {
    error_set(&err, ITD_EINVAL, "quarantine.add takes {source, payloads: [1 to %d of {payload, why, …}]}", ADD_MAX);
    call_error(call, &err);
    return true;
  }
  struct adding *a = xcalloc(1, sizeof *a + count * sizeof *a->addition);
  if (read_call(call, a, list, &err) == 0 && atomic_fetch_add(&daemon->adding, 1) >= UNDER_WAY_MAX) {
    atomic_fetch_sub(&daemon->adding, 1);
    error_set(&err, ITD_EBUSY, "%d calls of quarantine.add are under way; try again", UNDER_WAY_MAX);
  }
  if (err.code) {
    call_error(call, &err);
    adding_free(a);
    return true;
  }
  a->conn = call->conn;
  a->thread = daemon->threads[shard->index];
  a->id = call->id;
  a->has_reply = call->has_reply;
  conn_ref(call->conn);
  daemon_post(daemon, add_all, a);
  return true;
}
