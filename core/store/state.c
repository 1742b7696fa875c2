// LMDB. Values are little-endian, sums over them are kept: LMDB itself has no checksums.
#include "store/state.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "store/disk.h"

enum { LEADS, IDENTITIES, KEYS, DUE, META, ENTITIES, CHANNELS, TABLES };
static const char *const TABLE_NAMES[TABLES] = {"leads", "identities", "keys", "due", "meta", "entities", "channels"};
#define LEAD_HEAD   16 // hash64, due
#define READERS_MAX 300
// of META: seq, release_ms, release, received_ms, chain, hash64 of the rest
#define PROGRESS_SIZE 72
#define MADE_SIZE     16 // likewise: how many, hash64 of that

struct state {
  MDB_env *env;
  MDB_dbi table[TABLES];
  bool was_empty;
  _Atomic bool is_dead;
};
struct state_reader {
  struct state *state;
  MDB_txn *txn;
};
struct state_txn {
  struct state *state;
  MDB_txn *txn;
};

static int failed(int code, struct error *err, const char *what) {
  int status = ITD_EIO;
  if (code == MDB_NOTFOUND)
    status = ITD_ENOTFOUND;
  else if (code == MDB_MAP_FULL || (code > 0 && disk_status(code) == ITD_EFULL))
    status = ITD_EFULL;
  else if (code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_INVALID)
    status = ITD_ECORRUPT;
  else if (code == MDB_VERSION_MISMATCH)
    status = ITD_EVERSION;
  const char *hint = code == MDB_MAP_FULL ? " (raise state.map)"
                     : code == EIO ? " (the disk failed, or was full: LMDB says so of a write that was cut short)"
                                   : "";
  return error_set(err, status, "state: %s: %s%s", what, mdb_strerror(code), hint);
}

static MDB_val val(const void *p, size_t n) { return (MDB_val){.mv_size = n, .mv_data = (void *)(uintptr_t)p}; }

static uint64_t u64_at(const void *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return le64toh(v);
}
static void put_u64(void *p, uint64_t v) { v = htole64(v), memcpy(p, &v, sizeof v); }
static void identity_bytes(struct hash128 h, uint8_t out[16]) { put_u64(out, h.hi), put_u64(out + 8, h.lo); }

// ---- open ----
static int open_tables(struct state *s, struct error *err) {
  MDB_txn *txn;
  int e = mdb_txn_begin(s->env, NULL, 0, &txn);
  if (e) return failed(e, err, "begin");
  for (int i = 0; i < TABLES && e == 0; i++) e = mdb_dbi_open(txn, TABLE_NAMES[i], MDB_CREATE, &s->table[i]);
  MDB_stat leads = {0}, identities = {0};
  if (e == 0) e = mdb_stat(txn, s->table[LEADS], &leads);
  if (e == 0) e = mdb_stat(txn, s->table[IDENTITIES], &identities);
  s->was_empty = leads.ms_entries == 0 && identities.ms_entries == 0;
  if (e) {
    mdb_txn_abort(txn);
    return failed(e, err, "open");
  }
  e = mdb_txn_commit(txn);
  return e ? failed(e, err, "open") : 0;
}

int state_open(const char *dir, uint64_t map_bytes, struct state **out, struct error *err) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/state", dir);
  int rc = dir_make(path, err);
  if (rc) return rc;
  struct state *s = xcalloc(1, sizeof *s);
  int e = mdb_env_create(&s->env);
  if (e == 0) e = mdb_env_set_maxdbs(s->env, TABLES);
  if (e == 0) e = mdb_env_set_maxreaders(s->env, READERS_MAX);
  if (e == 0) e = mdb_env_set_mapsize(s->env, map_bytes);
  // Leads are found by random ids: reading ahead of one is reading what nobody asked for.
  if (e == 0) e = mdb_env_open(s->env, path, MDB_NOTLS | MDB_NORDAHEAD, 0600);
  rc = e ? failed(e, err, path) : open_tables(s, err);
  if (rc) {
    state_close(s);
    return rc;
  }
  *out = s;
  return 0;
}

void state_close(struct state *s) {
  if (!s) return;
  if (s->env) mdb_env_close(s->env);
  free(s);
}

bool state_was_empty(const struct state *s) { return s->was_empty; }
bool state_is_dead(const struct state *s) { return atomic_load(&s->is_dead); }

// ---- reading ----
struct state_reader *state_reader_new(struct state *state) {
  struct state_reader *r = xcalloc(1, sizeof *r);
  r->state = state;
  return r;
}

void state_reader_free(struct state_reader *r) {
  if (!r) return;
  if (r->txn) mdb_txn_abort(r->txn);
  free(r);
}

static int begin_read(struct state_reader *r) {
  return r->txn ? mdb_txn_renew(r->txn) : mdb_txn_begin(r->state->env, NULL, MDB_RDONLY, &r->txn);
}

// The value of a key; valid until end_read.
static int get(struct state_reader *r, int table, const void *key, size_t n, MDB_val *out, struct error *err) {
  int e = begin_read(r);
  if (e) return failed(e, err, "begin");
  MDB_val k = val(key, n);
  e = mdb_get(r->txn, r->state->table[table], &k, out);
  if (e == 0) return 0;
  mdb_txn_reset(r->txn);
  return failed(e, err, TABLE_NAMES[table]);
}

static int end_read(struct state_reader *r, int rc) {
  mdb_txn_reset(r->txn);
  return rc;
}

int state_lead(struct state_reader *r, struct lead_id id, struct buf *sealed, struct error *err) {
  MDB_val v;
  int rc = get(r, LEADS, id.b, sizeof id.b, &v, err);
  if (rc) return rc;
  return end_read(r, state_row_lead(bytes_of(v.mv_data, v.mv_size), sealed, err));
}

int state_row_lead(struct bytes value, struct buf *sealed, struct error *err) {
  if (value.n < LEAD_HEAD || u64_at(value.p) != hash64(bytes_of(value.p + 8, value.n - 8)))
    return error_set(err, ITD_ECORRUPT, "state: a lead's checksum does not hold");
  buf_append(sealed, value.p + LEAD_HEAD, value.n - LEAD_HEAD);
  return 0;
}

int state_identity(struct state_reader *r, struct hash128 identity, uint64_t *address, struct error *err) {
  uint8_t key[16];
  MDB_val v;
  identity_bytes(identity, key);
  int rc = get(r, IDENTITIES, key, sizeof key, &v, err);
  if (rc) return rc;
  if (v.mv_size != 8) return end_read(r, error_set(err, ITD_ECORRUPT, "state: an identity is cut"));
  *address = u64_at(v.mv_data);
  return end_read(r, 0);
}

int state_key(struct state_reader *r, struct lead_id id, uint64_t *address, struct buf *sealed_last,
              struct error *err) {
  MDB_val v;
  int rc = get(r, KEYS, id.b, sizeof id.b, &v, err);
  if (rc) return rc;
  if (v.mv_size < 8) return end_read(r, error_set(err, ITD_ECORRUPT, "state: a key's address is cut"));
  *address = u64_at(v.mv_data);
  buf_append(sealed_last, (uint8_t *)v.mv_data + 8, v.mv_size - 8);
  return end_read(r, 0);
}

static size_t vault_key(unsigned log, char out[24]) { return (size_t)snprintf(out, 24, "vault%u", log); }

static int get_vault_tip(MDB_val v, unsigned log, struct vault_tip *tip, struct error *err) {
  const uint8_t *p = v.mv_data;
  if (v.mv_size != 16 || u64_at(p + 8) != hash64(bytes_of(p, 8)))
    return error_set(err, ITD_ECORRUPT, "state: the progress of the vault's log %u is damaged", log);
  *tip = (struct vault_tip){(uint32_t)(u64_at(p) >> 32), (uint32_t)u64_at(p)};
  return 0;
}

int state_vault(struct state_reader *r, unsigned log, struct vault_tip *tip, struct error *err) {
  char key[24];
  MDB_val v;
  int rc = get(r, META, key, vault_key(log, key), &v, err);
  return rc ? rc : end_read(r, get_vault_tip(v, log, tip, err));
}

static size_t progress_key(unsigned partition, char out[24]) {
  return (size_t)snprintf(out, 24, "progress%u", partition);
}

int state_entity(struct state_reader *r, struct lead_id id, struct buf *block, struct error *err) {
  MDB_val v;
  int rc = get(r, ENTITIES, id.b, sizeof id.b, &v, err);
  if (rc) return rc;
  return end_read(r, state_row_entity(bytes_of(v.mv_data, v.mv_size), block, err));
}

int state_row_entity(struct bytes value, struct buf *block, struct error *err) {
  if (value.n < 8 || u64_at(value.p) != hash64(bytes_of(value.p + 8, value.n - 8)))
    return error_set(err, ITD_ECORRUPT, "state: an entity's checksum does not hold");
  buf_append(block, value.p + 8, value.n - 8);
  return 0;
}

// What outbox_save gave may be larger than one value should be.
#define PIECE_BYTES (1u << 20)
void state_channels_key(unsigned partition, uint32_t piece, uint8_t out[STATE_CHANNELS_KEY]) {
  uint16_t p = htobe16((uint16_t)partition);
  uint32_t n = htobe32(piece);
  memcpy(out, &p, 2);
  memcpy(out + 2, &n, 4);
}

int state_channels(struct state_reader *r, unsigned partition, struct buf *saved, struct error *err) {
  uint8_t key[STATE_CHANNELS_KEY];
  MDB_val v = {.mv_size = PIECE_BYTES};
  int rc = 0;
  uint32_t piece = 0;
  for (; rc == 0 && v.mv_size == PIECE_BYTES; piece++) {
    state_channels_key(partition, piece, key);
    rc = get(r, CHANNELS, key, sizeof key, &v, err);
    if (rc) break;
    buf_append(saved, v.mv_data, v.mv_size);
    end_read(r, 0);
  }
  return rc == ITD_ENOTFOUND && piece ? 0 : rc;
}

static int get_progress(struct bytes v, unsigned partition, struct state_progress *progress, struct error *err) {
  if (v.n != PROGRESS_SIZE || u64_at(v.p + PROGRESS_SIZE - 8) != hash64(bytes_of(v.p, PROGRESS_SIZE - 8)))
    return error_set(err, ITD_ECORRUPT, "state: the progress of partition %u is damaged", partition);
  *progress = (struct state_progress){.seq = u64_at(v.p),
                                      .release_ms = (int64_t)u64_at(v.p + 8),
                                      .release = (uint32_t)u64_at(v.p + 16),
                                      .received_ms = (int64_t)u64_at(v.p + 24)};
  memcpy(progress->chain, v.p + 32, SHA256_SIZE);
  return 0;
}

int state_progress(struct state_reader *r, unsigned partition, struct state_progress *progress, struct error *err) {
  char key[24];
  MDB_val v;
  int rc = get(r, META, key, progress_key(partition, key), &v, err);
  if (rc) return rc;
  return end_read(r, get_progress(bytes_of(v.mv_data, v.mv_size), partition, progress, err));
}

uint64_t state_leads(struct state *state) {
  MDB_txn *txn;
  MDB_stat leads = {0};
  if (mdb_txn_begin(state->env, NULL, MDB_RDONLY, &txn)) return 0;
  if (mdb_stat(txn, state->table[LEADS], &leads)) leads.ms_entries = 0;
  mdb_txn_abort(txn);
  return leads.ms_entries;
}

static size_t made_key(unsigned slot, char out[24]) { return (size_t)snprintf(out, 24, "made%03u", slot); }

int state_made(struct state_reader *r, unsigned slot, uint64_t *made, struct error *err) {
  char key[24];
  MDB_val v;
  int rc = get(r, META, key, made_key(slot, key), &v, err);
  if (rc) return rc;
  const uint8_t *p = v.mv_data;
  if (v.mv_size != MADE_SIZE || u64_at(p + 8) != hash64(bytes_of(p, 8)))
    return end_read(r, error_set(err, ITD_ECORRUPT, "state: the number of ids made in slot %u is damaged", slot));
  *made = u64_at(p);
  return end_read(r, 0);
}

int state_each_due(struct state_reader *r, void (*each)(void *context, int64_t due_ms, struct lead_id id),
                   void *context, struct error *err) {
  int e = begin_read(r);
  if (e) return failed(e, err, "begin");
  MDB_cursor *cursor;
  e = mdb_cursor_open(r->txn, r->state->table[DUE], &cursor);
  if (e) return end_read(r, failed(e, err, "due"));
  MDB_val key, value;
  while ((e = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    uint64_t due;
    struct lead_id id;
    if (key.mv_size != 24) continue;
    memcpy(&due, key.mv_data, 8);
    memcpy(id.b, (uint8_t *)key.mv_data + 8, 16);
    each(context, (int64_t)(be64toh(due) ^ (1ull << 63)), id);
  }
  mdb_cursor_close(cursor);
  return end_read(r, e == MDB_NOTFOUND ? 0 : failed(e, err, "due"));
}

int state_each_entity(struct state_reader *r, int (*each)(void *context, struct bytes block, struct error *err),
                      void *context, struct error *err) {
  int e = begin_read(r), rc = 0;
  if (e) return failed(e, err, "begin");
  MDB_cursor *cursor;
  e = mdb_cursor_open(r->txn, r->state->table[ENTITIES], &cursor);
  if (e) return end_read(r, failed(e, err, "entities"));
  MDB_val key, value;
  while (rc == 0 && (e = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    struct buf block = {0};
    rc = state_row_entity(bytes_of(value.mv_data, value.mv_size), &block, err);
    if (rc == 0) rc = each(context, buf_bytes(&block), err);
    buf_deinit(&block);
  }
  mdb_cursor_close(cursor);
  if (rc) return end_read(r, rc);
  return end_read(r, e == MDB_NOTFOUND ? 0 : failed(e, err, "entities"));
}

// ---- writing ----
int state_begin(struct state *state, struct state_txn **txn, struct error *err) {
  MDB_txn *t;
  int e = mdb_txn_begin(state->env, NULL, 0, &t);
  if (e == MDB_PANIC) atomic_store(&state->is_dead, true);
  if (e) return failed(e, err, "begin");
  *txn = xmalloc(sizeof **txn);
  **txn = (struct state_txn){.state = state, .txn = t};
  return 0;
}

static int put(struct state_txn *t, int table, const void *key, size_t key_n, const void *value, size_t n,
               struct error *err) {
  MDB_val k = val(key, key_n), v = val(value, n);
  int e = mdb_put(t->txn, t->state->table[table], &k, &v, 0);
  return e ? failed(e, err, TABLE_NAMES[table]) : 0;
}

// Signed milliseconds as bytes that sort like numbers.
static void due_key(int64_t due_ms, struct lead_id id, uint8_t out[24]) {
  uint64_t due = htobe64((uint64_t)due_ms ^ (1ull << 63));
  memcpy(out, &due, 8);
  memcpy(out + 8, id.b, 16);
}

static int move_due(struct state_txn *t, struct lead_id id, int64_t from_ms, int64_t to_ms, struct error *err) {
  uint8_t key[24];
  if (from_ms == to_ms) return 0;
  if (from_ms != INT64_MAX) {
    due_key(from_ms, id, key);
    MDB_val k = val(key, sizeof key);
    int e = mdb_del(t->txn, t->state->table[DUE], &k, NULL);
    if (e && e != MDB_NOTFOUND) return failed(e, err, "due");
  }
  if (to_ms == INT64_MAX) return 0;
  due_key(to_ms, id, key);
  return put(t, DUE, key, sizeof key, NULL, 0, err);
}

int state_put_lead(struct state_txn *t, struct lead_id id, int64_t due_ms, struct bytes sealed, struct error *err) {
  MDB_val k = val(id.b, sizeof id.b), v;
  int64_t was_ms = INT64_MAX;
  int e = mdb_get(t->txn, t->state->table[LEADS], &k, &v);
  if (e && e != MDB_NOTFOUND) return failed(e, err, "leads");
  if (e == 0 && v.mv_size >= LEAD_HEAD) was_ms = (int64_t)u64_at((uint8_t *)v.mv_data + 8);
  int rc = move_due(t, id, was_ms, due_ms, err);
  if (rc) return rc;

  k = val(id.b, sizeof id.b);
  v = val(NULL, LEAD_HEAD + sealed.n);
  e = mdb_put(t->txn, t->state->table[LEADS], &k, &v, MDB_RESERVE);
  if (e) return failed(e, err, "leads");
  uint8_t *p = v.mv_data;
  put_u64(p + 8, (uint64_t)due_ms);
  memcpy(p + LEAD_HEAD, sealed.p, sealed.n);
  put_u64(p, hash64(bytes_of(p + 8, v.mv_size - 8)));
  return 0;
}

int state_put_identity(struct state_txn *t, struct hash128 identity, uint64_t address, struct error *err) {
  uint8_t key[16], value[8];
  identity_bytes(identity, key);
  put_u64(value, address);
  return put(t, IDENTITIES, key, sizeof key, value, sizeof value, err);
}

int state_put_key(struct state_txn *t, struct lead_id lead, uint64_t address, struct bytes sealed_last,
                  struct error *err) {
  MDB_val k = val(lead.b, sizeof lead.b), v = val(NULL, 8 + sealed_last.n);
  int e = mdb_put(t->txn, t->state->table[KEYS], &k, &v, MDB_RESERVE);
  if (e) return failed(e, err, "keys");
  put_u64(v.mv_data, address);
  if (sealed_last.n) memcpy((uint8_t *)v.mv_data + 8, sealed_last.p, sealed_last.n);
  return 0;
}

int state_put_vault(struct state_txn *t, unsigned log, struct vault_tip tip, struct error *err) {
  char key[24];
  uint8_t value[16];
  put_u64(value, (uint64_t)tip.number << 32 | tip.end);
  put_u64(value + 8, hash64(bytes_of(value, 8)));
  return put(t, META, key, vault_key(log, key), value, sizeof value, err);
}

static int drop(struct state_txn *t, int table, const void *key, size_t n, struct error *err) {
  MDB_val k = val(key, n);
  int e = mdb_del(t->txn, t->state->table[table], &k, NULL);
  return e && e != MDB_NOTFOUND ? failed(e, err, TABLE_NAMES[table]) : 0;
}

int state_drop_lead(struct state_txn *t, struct lead_id lead, struct error *err) {
  MDB_val k = val(lead.b, sizeof lead.b), v;
  int e = mdb_get(t->txn, t->state->table[LEADS], &k, &v), rc = 0;
  if (e && e != MDB_NOTFOUND) return failed(e, err, "leads");
  if (e == 0 && v.mv_size >= LEAD_HEAD)
    rc = move_due(t, lead, (int64_t)u64_at((uint8_t *)v.mv_data + 8), INT64_MAX, err);
  if (rc == 0) rc = drop(t, LEADS, lead.b, sizeof lead.b, err);
  if (rc == 0) rc = drop(t, KEYS, lead.b, sizeof lead.b, err);
  return rc;
}

int state_drop_identity(struct state_txn *t, struct hash128 identity, uint64_t address, struct error *err) {
  uint8_t key[16];
  identity_bytes(identity, key);
  MDB_val k = val(key, sizeof key), v;
  int e = mdb_get(t->txn, t->state->table[IDENTITIES], &k, &v);
  if (e && e != MDB_NOTFOUND) return failed(e, err, "identities");
  if (e || v.mv_size != 8 || u64_at(v.mv_data) != address) return 0;
  return drop(t, IDENTITIES, key, sizeof key, err);
}

int state_put_entity(struct state_txn *t, struct lead_id id, struct bytes block, struct error *err) {
  MDB_val k = val(id.b, sizeof id.b), v = val(NULL, 8 + block.n);
  int e = mdb_put(t->txn, t->state->table[ENTITIES], &k, &v, MDB_RESERVE);
  if (e) return failed(e, err, "entities");
  put_u64(v.mv_data, hash64(block));
  memcpy((uint8_t *)v.mv_data + 8, block.p, block.n);
  return 0;
}

int state_put_channels(struct state_txn *t, unsigned partition, struct bytes saved, struct error *err) {
  uint8_t key[STATE_CHANNELS_KEY];
  uint32_t piece = 0;
  for (; saved.n; piece++) {
    size_t n = saved.n < PIECE_BYTES ? saved.n : PIECE_BYTES;
    state_channels_key(partition, piece, key);
    int rc = put(t, CHANNELS, key, sizeof key, saved.p, n, err);
    if (rc) return rc;
    saved = bytes_of(saved.p + n, saved.n - n);
  }
  for (int e = 0; e == 0; piece++) { // what it had more of before
    state_channels_key(partition, piece, key);
    MDB_val k = val(key, sizeof key);
    e = mdb_del(t->txn, t->state->table[CHANNELS], &k, NULL);
    if (e && e != MDB_NOTFOUND) return failed(e, err, "channels");
  }
  return 0;
}

static void put_progress(uint8_t value[PROGRESS_SIZE], const struct state_progress *progress) {
  put_u64(value, progress->seq);
  put_u64(value + 8, (uint64_t)progress->release_ms);
  put_u64(value + 16, progress->release);
  put_u64(value + 24, (uint64_t)progress->received_ms);
  memcpy(value + 32, progress->chain, SHA256_SIZE);
  put_u64(value + PROGRESS_SIZE - 8, hash64(bytes_of(value, PROGRESS_SIZE - 8)));
}

int state_put_progress(struct state_txn *t, unsigned partition, const struct state_progress *progress,
                       struct error *err) {
  char key[24];
  uint8_t value[PROGRESS_SIZE];
  put_progress(value, progress);
  return put(t, META, key, progress_key(partition, key), value, sizeof value, err);
}

int state_drop_partitions(struct state_txn *t, unsigned from, unsigned to, struct error *err) {
  for (unsigned p = from; p < to; p++) {
    char key[24];
    MDB_val k = val(key, progress_key(p, key));
    int e = mdb_del(t->txn, t->state->table[META], &k, NULL);
    if (e && e != MDB_NOTFOUND) return failed(e, err, "meta");
    int rc = state_put_channels(t, p, bytes_of(NULL, 0), err);
    if (rc) return rc;
  }
  return 0;
}

int state_put_made(struct state_txn *t, unsigned slot, uint64_t made, struct error *err) {
  char key[24];
  uint8_t value[MADE_SIZE];
  put_u64(value, made);
  put_u64(value + 8, hash64(bytes_of(value, 8)));
  return put(t, META, key, made_key(slot, key), value, sizeof value, err);
}

int state_clear(struct state_txn *t, struct error *err) {
  static const int tables[] = {LEADS, DUE, ENTITIES, CHANNELS, META};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    int e = mdb_drop(t->txn, t->state->table[tables[i]], 0);
    if (e) return failed(e, err, TABLE_NAMES[tables[i]]);
  }
  return 0;
}

int state_put_row(struct state_txn *t, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  t->state->was_empty = false;
  if (table == ROW_PROGRESS || table == ROW_MADE) return put(t, META, key.p, key.n, value.p, value.n, err);
  if (table == ROW_ENTITY) return put(t, ENTITIES, key.p, key.n, value.p, value.n, err);
  if (table == ROW_CHANNELS) return put(t, CHANNELS, key.p, key.n, value.p, value.n, err);
  if (table != ROW_LEAD || key.n != 16 || value.n < LEAD_HEAD)
    return error_set(err, ITD_ECORRUPT, "state: a row of table %u, %zu and %zu bytes: none that this program knows",
                     table, key.n, value.n);
  int rc = put(t, LEADS, key.p, key.n, value.p, value.n, err);
  struct lead_id id;
  memcpy(id.b, key.p, sizeof id.b);
  return rc ? rc : move_due(t, id, INT64_MAX, (int64_t)u64_at(value.p + 8), err);
}

int state_commit(struct state_txn *t, struct error *err) {
  int e = mdb_txn_commit(t->txn);
  free(t);
  return e ? failed(e, err, "commit") : 0;
}

void state_abort(struct state_txn *t) {
  if (!t) return;
  mdb_txn_abort(t->txn);
  free(t);
}

// ---- snapshots ----
struct state_snapshot {
  struct state *state;
  MDB_txn *txn;
};

int state_snapshot_open(struct state *state, struct state_snapshot **out, struct error *err) {
  MDB_txn *txn;
  int e = mdb_txn_begin(state->env, NULL, MDB_RDONLY, &txn);
  if (e) return failed(e, err, "begin");
  *out = xmalloc(sizeof **out);
  **out = (struct state_snapshot){.state = state, .txn = txn};
  return 0;
}

void state_snapshot_close(struct state_snapshot *s) {
  if (!s) return;
  mdb_txn_abort(s->txn);
  free(s);
}

static int progress_row(struct state_snapshot *s, unsigned partition, char key[24], MDB_val *k, MDB_val *v,
                        struct error *err) {
  *k = val(key, progress_key(partition, key));
  int e = mdb_get(s->txn, s->state->table[META], k, v);
  return e ? failed(e, err, "meta") : 0;
}

int state_snapshot_progress(struct state_snapshot *s, unsigned partition, struct state_progress *progress,
                            struct error *err) {
  char key[24];
  MDB_val k, v;
  int rc = progress_row(s, partition, key, &k, &v, err);
  return rc ? rc : get_progress(bytes_of(v.mv_data, v.mv_size), partition, progress, err);
}

// The rows of a table whose keys begin with some bytes.
static int rows_of(struct state_snapshot *s, int table, uint8_t row, struct bytes begin, state_visit visit,
                   void *context, struct error *err) {
  MDB_cursor *cursor;
  int e = mdb_cursor_open(s->txn, s->state->table[table], &cursor), rc = 0;
  if (e) return failed(e, err, TABLE_NAMES[table]);
  MDB_val k = val(begin.p, begin.n), v;
  for (e = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); e == 0 && rc == 0;
       e = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
    if (k.mv_size < begin.n || memcmp(k.mv_data, begin.p, begin.n) != 0) break;
    rc = visit(context, row, bytes_of(k.mv_data, k.mv_size), bytes_of(v.mv_data, v.mv_size), err);
  }
  mdb_cursor_close(cursor);
  return rc == 0 && e && e != MDB_NOTFOUND ? failed(e, err, TABLE_NAMES[table]) : rc;
}

static int rows_of_slots(struct state_snapshot *s, int table, uint8_t row, unsigned partition, unsigned partitions,
                         state_visit visit, void *context, struct error *err) {
  int rc = 0;
  for (unsigned slot = partition; rc == 0 && slot < SLOTS; slot += partitions)
    rc = rows_of(s, table, row, bytes_of(&(uint8_t){(uint8_t)slot}, 1), visit, context, err);
  return rc;
}

int state_snapshot_rows(struct state_snapshot *s, unsigned partition, unsigned partitions, state_visit visit,
                        void *context, struct error *err) {
  uint8_t piece[STATE_CHANNELS_KEY];
  state_channels_key(partition, 0, piece);
  int rc = rows_of_slots(s, LEADS, ROW_LEAD, partition, partitions, visit, context, err);
  if (rc == 0) rc = rows_of_slots(s, ENTITIES, ROW_ENTITY, partition, partitions, visit, context, err);
  if (rc == 0) rc = rows_of(s, CHANNELS, ROW_CHANNELS, bytes_of(piece, 2), visit, context, err);
  char key[24];
  MDB_val k, v;
  for (unsigned slot = partition; rc == 0 && slot < SLOTS; slot += partitions) {
    k = val(key, made_key(slot, key));
    int e = mdb_get(s->txn, s->state->table[META], &k, &v);
    if (e == 0) rc = visit(context, ROW_MADE, bytes_of(k.mv_data, k.mv_size), bytes_of(v.mv_data, v.mv_size), err);
    if (e && e != MDB_NOTFOUND) rc = failed(e, err, "meta");
  }
  if (rc) return rc;
  rc = progress_row(s, partition, key, &k, &v, NULL);
  if (rc == ITD_ENOTFOUND) return 0;
  if (rc) return error_set(err, rc, "state: the progress of partition %u does not read", partition);
  return visit(context, ROW_PROGRESS, bytes_of(k.mv_data, k.mv_size), bytes_of(v.mv_data, v.mv_size), err);
}

int state_visit_progress(unsigned partition, const struct state_progress *progress, state_visit visit, void *context,
                         struct error *err) {
  char key[24];
  uint8_t value[PROGRESS_SIZE];
  size_t n = progress_key(partition, key);
  put_progress(value, progress);
  return visit(context, ROW_PROGRESS, bytes_of(key, n), bytes_of(value, sizeof value), err);
}

// ---- looking at it from outside ----
// "pid thread transaction", a line each behind a line of headings; "-": a place without a snapshot.
static int take_reader(const char *line, void *context) {
  struct state_look *look = context;
  long pid;
  char txn[32];
  if (sscanf(line, "%ld %*s %31s", &pid, txn) != 2 || pid == (long)getpid()) return 0;
  look->readers++;
  look->stale += kill((pid_t)pid, 0) != 0 && errno == ESRCH;
  if (*txn == '-') return 0;
  uint64_t at = strtoull(txn, NULL, 10), behind = look->transactions > at ? look->transactions - at : 0;
  if (look->has_oldest && behind <= look->oldest_behind) return 0;
  look->has_oldest = true;
  look->oldest_pid = pid;
  look->oldest_behind = behind;
  return 0;
}

static int look_at_env(MDB_env *env, struct state_look *out, struct error *err) {
  MDB_envinfo info;
  MDB_stat stat;
  int e = mdb_env_info(env, &info);
  if (e == 0) e = mdb_env_stat(env, &stat);
  if (e) return failed(e, err, "info");
  out->map_bytes = info.me_mapsize;
  out->used_bytes = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
  out->transactions = info.me_last_txnid;
  out->readers_max = info.me_maxreaders;
  return mdb_reader_list(env, take_reader, out) < 0 ? failed(EIO, err, "readers") : 0;
}

static int look_at_progress(MDB_env *env, unsigned partitions, struct state_look *out, struct error *err) {
  MDB_txn *txn;
  MDB_dbi meta;
  int rc = 0, e = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
  if (e) return failed(e, err, "begin");
  e = mdb_dbi_open(txn, TABLE_NAMES[META], 0, &meta);
  for (unsigned p = 0; e == 0 && rc == 0 && p < partitions; p++) {
    char key[24];
    MDB_val k = val(key, progress_key(p, key)), v;
    e = mdb_get(txn, meta, &k, &v);
    if (e == MDB_NOTFOUND) {
      e = 0;
      continue;
    }
    if (e == 0) rc = get_progress(bytes_of(v.mv_data, v.mv_size), p, &out->progress[p], err);
    out->has_progress[p] = e == 0 && rc == 0;
  }
  for (unsigned log = 0; e == 0 && rc == 0 && log < 256; log++) {
    char key[24];
    MDB_val k = val(key, vault_key(log, key)), v;
    e = mdb_get(txn, meta, &k, &v);
    if (e == 0) rc = get_vault_tip(v, log, &out->vault[log], err);
    if (e == MDB_NOTFOUND) e = 0;
  }
  mdb_txn_abort(txn);
  return e && e != MDB_NOTFOUND ? failed(e, err, "meta") : rc;
}

static int open_from_outside(const char *dir, MDB_env **env, struct error *err) {
  char path[PATH_MAX], lock[PATH_MAX + 16], data[PATH_MAX + 16];
  snprintf(path, sizeof path, "%s/state", dir);
  snprintf(lock, sizeof lock, "%s/lock.mdb", path);
  snprintf(data, sizeof data, "%s/data.mdb", path);
  if (access(data, F_OK)) return error_set(err, ITD_ENOTFOUND, "%s is not there", data);
  int e = mdb_env_create(env);
  if (e) return failed(e, err, path);
  // Without a file of readers nobody has it open: none is made, it would be of this user.
  unsigned flags = MDB_RDONLY | MDB_NOTLS | (access(lock, R_OK | W_OK) ? MDB_NOLOCK : 0);
  e = mdb_env_set_maxdbs(*env, TABLES);
  if (e == 0) e = mdb_env_set_maxreaders(*env, READERS_MAX);
  if (e == 0) e = mdb_env_open(*env, path, flags, 0600);
  if (e == 0) return 0;
  mdb_env_close(*env);
  return failed(e, err, path);
}

int state_look(const char *dir, unsigned partitions, struct state_look *out, struct error *err) {
  MDB_env *env;
  int rc = open_from_outside(dir, &env, err);
  if (rc) return rc;
  *out = (struct state_look){0};
  rc = look_at_env(env, out, err);
  if (rc == 0) rc = look_at_progress(env, partitions, out, err);
  mdb_env_close(env);
  return rc;
}

int state_peek(const char *dir, const struct lead_id *leads, size_t count,
               int (*take)(void *context, struct lead_id lead, struct bytes sealed, struct error *err), void *context,
               struct error *err) {
  MDB_env *env;
  MDB_txn *txn;
  MDB_dbi table;
  int rc = open_from_outside(dir, &env, err);
  if (rc) return rc;
  int e = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
  if (e) {
    mdb_env_close(env);
    return failed(e, err, "begin");
  }
  struct buf sealed = {0};
  e = mdb_dbi_open(txn, TABLE_NAMES[LEADS], 0, &table);
  for (size_t i = 0; e == 0 && rc == 0 && i < count; i++) {
    MDB_val k = val(leads[i].b, sizeof leads[i].b), v;
    int got = mdb_get(txn, table, &k, &v);
    if (got == MDB_NOTFOUND) continue;
    buf_clear(&sealed);
    e = got;
    if (e == 0) rc = state_row_lead(bytes_of(v.mv_data, v.mv_size), &sealed, err);
    if (e == 0 && rc == 0) rc = take(context, leads[i], buf_bytes(&sealed), err);
  }
  buf_deinit(&sealed);
  mdb_txn_abort(txn);
  mdb_env_close(env);
  return e && e != MDB_NOTFOUND ? failed(e, err, TABLE_NAMES[LEADS]) : rc;
}
