// Payloads that are added once: what the files hold is read, then what was written since; a file that another took the
// place of has it all read again.
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/hash.h"
#include "store/disk.h"
#include "store/quarantine_payload.h"
#include "store/quarantine_private.h"

enum { SLOTS_FIRST = 256, ATTEMPTS = 8 };

void quarantine_forget_known(struct quarantine *q) {
  free(q->known.slot);
  q->known.slot = NULL;
  q->known.count = q->known.cap = 0;
  q->known.is_read = false;
}

// What makes two payloads the same: source, bytes, and the salt of their ids; of one that was cut, all that is there.
static uint64_t hash_of(const struct quarantine_known *k, struct bytes event) {
  struct quarantine_payload p;
  uint64_t hash;
  if (quarantine_payload_read(event, &p)) {
    hash = hash_mix(hash128_keyed(k->key, p.source).lo, hash128_keyed(k->key, p.payload).lo);
    if (p.salt.n) hash = hash_mix(hash, hash128_keyed(k->key, p.salt).lo);
  } else {
    hash = hash128_keyed(k->key, event).lo;
  }
  return hash ? hash : 1;
}

static struct known *slot_of(const struct quarantine_known *k, uint64_t hash) {
  size_t at = (size_t)hash & (k->cap - 1);
  while (k->slot[at].hash && k->slot[at].hash != hash) at = (at + 1) & (k->cap - 1);
  return &k->slot[at];
}

// The first entry of a payload stays the one that is named.
static void learn(struct quarantine_known *k, uint64_t hash, uint64_t id) {
  if (2 * (k->count + 1) > k->cap) {
    struct quarantine_known wider = *k;
    wider.cap = k->cap ? 2 * k->cap : SLOTS_FIRST;
    wider.slot = xcalloc(wider.cap, sizeof *wider.slot);
    for (size_t i = 0; i < k->cap; i++)
      if (k->slot[i].hash) *slot_of(&wider, k->slot[i].hash) = k->slot[i];
    free(k->slot);
    *k = wider;
  }
  struct known *slot = slot_of(k, hash);
  if (slot->hash) return;
  *slot = (struct known){hash, id};
  k->count++;
}

static void learn_record(void *context, struct bytes record) {
  struct quarantine_known *k = context;
  struct quarantine_record r = quarantine_record_of(record);
  if (r.kind == RECORD_ENTRY && quarantine_payload_is_why(quarantine_text_of(record, "text")))
    learn(k, hash_of(k, quarantine_bin_of(record, "event")), r.id);
}

static size_t size_of(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

// Brings the table up to what is written now. EAGAIN: the files changed their places whenever they were read.
static int read_known(struct quarantine *q) {
  struct quarantine_known *k = &q->known;
  for (int i = 0; i < ATTEMPTS; i++) {
    pthread_mutex_lock(&q->lock);
    uint64_t turns = q->turns, rewrites = q->rewrites;
    size_t end = q->bytes, whole;
    pthread_mutex_unlock(&q->lock);
    bool is_same = k->is_read && k->turns == turns && k->rewrites == rewrites;
    if (is_same && k->at == end) return 0;
    int e = 0;
    if (!is_same) {
      quarantine_forget_known(q);
      random_bytes(k->key, sizeof k->key);
      k->at = 0;
      e = quarantine_each(q->older, 0, size_of(q->older), learn_record, k, &whole);
    }
    if (e == 0) e = quarantine_each(q->path, k->at, end, learn_record, k, &whole);
    if (e) {
      quarantine_forget_known(q);
      return e;
    }
    k->turns = turns, k->rewrites = rewrites, k->at = end;
    pthread_mutex_lock(&q->lock);
    k->is_read = q->turns == turns && q->rewrites == rewrites;
    pthread_mutex_unlock(&q->lock);
  }
  return k->is_read ? 0 : EAGAIN;
}

int quarantine_add_once(struct quarantine *q, const struct error *reason, struct bytes event, int64_t received_ms,
                        char id[QUARANTINE_ID + 1], bool *known, struct error *err) {
  struct quarantine_known *k = &q->known;
  struct quarantine_place place;
  char text[QUARANTINE_ID + 1];
  int e = read_known(q);
  if (e == EAGAIN) return error_set(err, ITD_EBUSY, "the quarantine changes too fast to be read; try again");
  if (e) return error_set(err, disk_status(e), "%s: %s", q->path, strerror(e));
  uint64_t hash = hash_of(k, event);
  const struct known *there = k->cap ? slot_of(k, hash) : NULL;
  *known = there && there->hash;
  if (*known) {
    quarantine_id_text(there->id, id);
    return 0;
  }
  e = quarantine_write(q, reason, event, received_ms, text, &place);
  if (e == E2BIG) return error_set(err, ITD_ETOOBIG, "the payload is larger than half of quarantine.bytes");
  if (e) return error_set(err, disk_status(e), "%s: %s", q->path, strerror(e));
  struct quarantine_record r = {0};
  memcpy(id, text, sizeof text);
  CHECK(quarantine_id_read(bytes_str(text), &r.id));
  learn(k, hash, r.id);
  if (place.turns == k->turns && place.at == k->at) k->at = place.end; // nobody wrote between
  return 0;
}
