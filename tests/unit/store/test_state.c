// LMDB behind its API, against lists in memory; and the small files of the data directory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>

#include "base/file.h"
#include "scratch.h"
#include "store/datadir.h"
#include "store/quarantine.h"
#include "store/state.h"
#include "store/store.h"
#include "wire/mp.h"

static uint64_t seed;
enum { LEADS = 400 };

struct known {
  struct lead_id id;
  bool is_there;
  int64_t due_ms;
  uint8_t block[300];
  size_t n;
  uint8_t key[LEAD_KEY_SIZE]; // any bytes: what is sealed there is not LMDB's business
  uint64_t address;
  struct hash128 identity[3];
  size_t identities;
};

static struct lead_id last_due;
static int64_t last_due_ms;
struct due_list {
  struct known *known;
  size_t count;
};
static void see_due(void *context, int64_t due_ms, struct lead_id id) {
  struct due_list *l = context;
  assert_true(l->count == 0 || due_ms > last_due_ms || (due_ms == last_due_ms && memcmp(id.b, last_due.b, 16) > 0));
  last_due = id;
  last_due_ms = due_ms;
  l->count++;
  for (int i = 0; i < LEADS; i++) {
    if (!lead_id_eq(l->known[i].id, id)) continue;
    assert_true(l->known[i].is_there && l->known[i].due_ms == due_ms);
    return;
  }
  fail_msg("a timer of nobody");
}
static void what_is_put_is_there(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = scratch_new();
  struct error err = {0};
  struct known *known = xcalloc(LEADS, sizeof *known);
  for (int i = 0; i < LEADS; i++) draw_bytes(&d, known[i].id.b, 16);
  for (int session = 0; session < 4; session++) {
    struct state *s;
    assert_int_equal(state_open(dir, 64 << 20, &s, &err), 0);
    assert_int_equal(state_was_empty(s), session == 0);
    struct state_reader *r = state_reader_new(s);
    struct buf b;
    buf_init(&b);
    for (int round = 0; round < 20; round++) {
      struct state_txn *t;
      assert_int_equal(state_begin(s, &t, &err), 0);
      bool keep = draw(&d, 4) != 0;
      for (int n = 0; n < 50; n++) {
        struct known *k = &known[draw(&d, LEADS)], fresh = *k;
        fresh.is_there = true;
        fresh.due_ms = draw(&d, 2) ? INT64_MAX : (int64_t)draw(&d, 50) - 25;
        fresh.n = (size_t)draw(&d, sizeof fresh.block);
        draw_bytes(&d, fresh.block, fresh.n);
        assert_int_equal(state_put_lead(t, fresh.id, fresh.due_ms, bytes_of(fresh.block, fresh.n), &err), 0);
        if (!k->is_there) {
          draw_bytes(&d, fresh.key, sizeof fresh.key);
          fresh.address = draw(&d, 0);
          assert_int_equal(state_put_key(t, fresh.id, fresh.address, bytes_of(fresh.key, sizeof fresh.key), &err), 0);
          fresh.identities = (size_t)draw(&d, 4);
          for (size_t i = 0; i < fresh.identities; i++) {
            fresh.identity[i] = (struct hash128){draw(&d, 0), draw(&d, 0)};
            assert_int_equal(state_put_identity(t, fresh.identity[i], fresh.address + i, &err), 0);
          }
        }
        if (!keep) break; // an aborted transaction leaves nothing
        *k = fresh;
        if (draw(&d, 8) == 0) { // forgotten
          for (size_t i = 0; i < k->identities; i++) {
            assert_int_equal(state_drop_identity(t, k->identity[i], k->address + i + 7, &err), 0); // another's by now
            assert_int_equal(state_drop_identity(t, k->identity[i], k->address + i, &err), 0);
          }
          assert_int_equal(state_drop_lead(t, k->id, &err), 0);
          k->is_there = false;
        }
      }
      struct vault_tip tip = {(uint32_t)session + 1, (uint32_t)round};
      assert_int_equal(state_put_vault(t, 7, tip, &err), 0);
      struct state_progress p = {.seq = (uint64_t)(session * 100 + round), .release = 3, .release_ms = -5};
      assert_int_equal(state_put_progress(t, 200, &p, &err), 0);
      if (keep)
        assert_int_equal(state_commit(t, &err), 0);
      else
        state_abort(t);
      for (int i = 0; i < LEADS; i++) {
        struct known *k = &known[i];
        uint64_t address = 0;
        buf_clear(&b);
        int rc = state_lead(r, k->id, &b, &err);
        assert_int_equal(rc, k->is_there ? 0 : ITD_ENOTFOUND);
        size_t block = b.n;
        assert_int_equal(state_key(r, k->id, &address, &b, &err), rc);
        for (size_t n = 0; n < k->identities; n++) {
          uint64_t at = 0;
          assert_int_equal(state_identity(r, k->identity[n], &at, &err), rc);
          assert_true(rc || at == k->address + n);
        }
        if (rc) continue;
        assert_int_equal(address, k->address);
        assert_true(bytes_eq(bytes_of(b.p, block), bytes_of(k->block, k->n)));
        assert_true(bytes_eq(bytes_of(b.p + block, b.n - block), bytes_of(k->key, sizeof k->key)));
      }
      struct due_list l = {.known = known};
      size_t due = 0;
      for (int i = 0; i < LEADS; i++) due += known[i].is_there && known[i].due_ms != INT64_MAX;
      assert_int_equal(state_each_due(r, see_due, &l, &err), 0);
      assert_int_equal(l.count, due);
    }
    struct state_progress p;
    assert_int_equal(state_progress(r, 200, &p, &err), 0);
    assert_true(p.release == 3 && p.release_ms == -5 && p.seq / 100 <= (uint64_t)session);
    assert_int_equal(state_progress(r, 20, &p, &err), ITD_ENOTFOUND);
    struct vault_tip tip;
    assert_int_equal(state_vault(r, 7, &tip, &err), 0);
    assert_true(tip.number <= (uint32_t)session + 1 && tip.end < 20);
    assert_int_equal(state_vault(r, 8, &tip, &err), ITD_ENOTFOUND);
    buf_deinit(&b);
    state_reader_free(r);
    state_close(s);
  }
  free(known);
  scratch_free(dir);
}

static void a_full_map_says_so(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct state *s;
  struct state_txn *t;
  struct error err = {0};
  uint8_t block[8192] = {1};
  assert_int_equal(state_open(dir, 1 << 20, &s, &err), 0);
  assert_int_equal(state_begin(s, &t, &err), 0);
  int rc = 0;
  for (unsigned i = 0; rc == 0 && i < 1000; i++)
    rc = state_put_lead(t, (struct lead_id){{(uint8_t)i, (uint8_t)(i >> 8)}}, INT64_MAX, bytes_of(block, sizeof block),
                        &err);
  assert_int_equal(rc, ITD_EFULL);
  assert_non_null(strstr(err.text, "state.map"));
  state_abort(t);
  state_close(s);
  scratch_free(dir);
}

static void one_daemon_a_directory(void **state) {
  (void)state;
  char *dir = scratch_new(), path[1200];
  struct datadir a, b;
  struct error err = {0};
  uint8_t secret[32], wanted[32] = "a seed of thirty-two bytes, yes.";
  assert_int_equal(datadir_open(dir, 32, wanted, &a, &err), 0);
  assert_int_equal(a.partitions, 32);
  assert_memory_equal(a.secret, wanted, 32);
  assert_int_equal(datadir_open(dir, 32, NULL, &b, &err), ITD_EBUSY);
  char pid[32];
  snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
  assert_non_null(strstr(err.text, pid));
  datadir_close(&a);
  assert_int_equal(datadir_open(dir, 4, NULL, &b, &err), 0); // it keeps what it was made with
  assert_int_equal(b.partitions, 32);
  assert_memory_equal(b.secret, wanted, 32);
  datadir_close(&b);
  struct buf text;
  buf_init(&text);
  snprintf(path, sizeof path, "%s/format", dir);
  assert_int_equal(file_read(path, 4096, &text, &err), 0);
  for (size_t i = 0; i < text.n; i++) { // any changed byte is found
    uint8_t old = text.p[i];
    text.p[i] ^= 1;
    assert_int_equal(file_replace(path, buf_bytes(&text), &err), 0);
    int rc = datadir_open(dir, 4, NULL, &a, &err);
    assert_true(rc == ITD_ECORRUPT || (i >= 8 && i < 9 && rc == ITD_EVERSION));
    text.p[i] = old;
  }
  unlink(path);
  snprintf(path, sizeof path, "%s/journal", dir);
  assert_int_equal(dir_make(path, &err), 0);
  assert_int_equal(datadir_open(dir, 4, NULL, &a, &err), ITD_ECORRUPT);
  char *other = scratch_new();
  assert_int_equal(datadir_open(other, 256, NULL, &a, &err), 0);
  memcpy(secret, a.secret, 32);
  assert_memory_not_equal(secret, wanted, 32);
  datadir_close(&a);
  buf_deinit(&text);
  scratch_free(dir);
  scratch_free(other);
}

static void quarantine_is_bounded(void **state) {
  (void)state;
  char *dir = scratch_new(), path[2][1200];
  struct quarantine *q;
  struct error err = {0}, reason = {.code = ITD_EEVENT, .text = "neither userId nor anonymousId"};
  snprintf(path[0], sizeof path[0], "%s/quarantine/events.1.mp", dir);
  snprintf(path[1], sizeof path[1], "%s/quarantine/events.mp", dir);
  uint8_t event[1000];
  memset(event, 'x', sizeof event);
  for (int session = 0; session < 2; session++) {
    assert_int_equal(quarantine_open(dir, 20000, &q, &err), 0);
    for (int i = 0; i < 50; i++) {
      memcpy(event, &i, sizeof i);
      assert_true(quarantine_add(q, &reason, bytes_of(event, (size_t)(100 + i * 13)), 1000 + i));
    }
    static uint8_t big[20000];
    assert_false(quarantine_add(q, &reason, bytes_of(big, sizeof big), 1));
    quarantine_close(q);
  }
  int64_t next = -1;
  size_t bytes = 0;
  for (int f = 0; f < 2; f++) {
    struct buf b;
    buf_init(&b);
    assert_int_equal(file_read(path[f], 1 << 20, &b, &err), 0);
    bytes += b.n;
    for (struct mp m = mp_of(buf_bytes(&b)); !mp_done(&m);) {
      struct mp_limits limits = MP_LIMITS_DEFAULT;
      size_t len;
      assert_int_equal(mp_scan(bytes_of(m.p, (size_t)(m.end - m.p)), &limits, &len, &err), 1);
      struct bytes map = mp_take(&m), v;
      assert_true(mp_find(map, BYTES_LIT("received_ms"), &v));
      int64_t at = mp_value_of(v).i;
      assert_true(next < 0 || at == next); // in order, none missing, the newest last
      next = at == 1049 ? 1000 : at + 1;
      assert_true(mp_find(map, BYTES_LIT("code"), &v) && mp_value_of(v).s.n == 13);
      assert_true(mp_find(map, BYTES_LIT("event"), &v) && mp_value_of(v).s.n == (size_t)(100 + (at - 1000) * 13));
    }
    buf_deinit(&b);
  }
  assert_int_equal(next, 1000);
  assert_true(bytes <= 20000 && bytes > 8000);
  scratch_free(dir);
}

// ---- taking entries out ----
static struct quarantine *filled; // by a second thread, while the first purges
static void *fill_more(void *arg) {
  (void)arg;
  struct error reason = {.code = ITD_EEVENT, .text = "a test"};
  for (int i = 0; i < 2000; i++) {
    char text[64];
    int n = snprintf(text, sizeof text, "more of person-%03d", 100 + i % 50);
    assert_true(quarantine_add(filled, &reason, bytes_of(text, (size_t)n), i));
  }
  return NULL;
}

static size_t count_text(const char *dir, const char *text, size_t *entries) {
  size_t found = 0;
  *entries = 0;
  for (int f = 0; f < 2; f++) {
    char path[1200];
    struct buf b = {0};
    snprintf(path, sizeof path, "%s/quarantine/events%s.mp", dir, f ? "" : ".1");
    int rc = file_read(path, 1 << 24, &b, NULL);
    assert_true(rc == 0 || rc == ITD_ENOTFOUND);
    for (struct mp m = mp_of(buf_bytes(&b)); !mp_done(&m); (*entries)++) {
      struct bytes entry = mp_take(&m);
      found += memmem(entry.p, entry.n, text, strlen(text)) != NULL;
    }
    buf_deinit(&b);
  }
  return found;
}

static void quarantine_forgets_whom_it_is_told(void **state) {
  (void)state;
  char *dir = scratch_new(), rest[1200];
  struct error err = {0}, reason = {.code = ITD_EEVENT, .text = "a test"};
  snprintf(rest, sizeof rest, "%s/quarantine", dir);
  assert_int_equal(dir_make(rest, &err), 0);
  snprintf(rest, sizeof rest, "%s/quarantine/events.mp.new", dir);
  assert_int_equal(file_replace(rest, BYTES_LIT("what a crash left"), &err), 0);
  assert_int_equal(quarantine_open(dir, 1 << 20, &filled, &err), 0);
  assert_int_equal(access(rest, F_OK), -1);
  struct buf event = {0};
  for (int i = 0; i < 300; i++) {
    buf_clear(&event);
    mp_put_map(&event, 2);
    mp_put_cstr(&event, "userId");
    if (i % 3)
      mp_put_int(&event, 7000 + i % 50); // does not show as text
    else
      buf_printf(&event, "%cperson-%03d", 0xa0 | 10, i % 50);
    mp_put_cstr(&event, "type");
    mp_put_cstr(&event, "nonsense");
    assert_true(quarantine_add(filled, &reason, i % 2 ? buf_bytes(&event) : bytes_of(event.p, event.n - 3), i));
  }
  size_t entries, with, before;
  with = count_text(dir, "person-003", &before);
  assert_int_equal(with, 2);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, fill_more, NULL), 0);
  struct bytes text[] = {BYTES_LIT("person-003"), BYTES_LIT("7011"), BYTES_LIT("person-120"), BYTES_LIT("nobody")};
  uint64_t removed[4] = {0}, again[4] = {0};
  assert_int_equal(quarantine_purge(filled, text, 4, removed, &err), 0);
  pthread_join(thread, NULL);
  assert_int_equal(quarantine_purge(filled, text, 4, again, &err), 0);
  assert_int_equal(removed[0] + again[0], 2);
  assert_int_equal(removed[1], 4); // whole maps with that number; what is cut can't be read as one
  assert_int_equal(removed[2] + again[2], 40);
  assert_int_equal(removed[3] + again[3], 0);
  assert_int_equal(count_text(dir, "person-003", &entries), 0);
  assert_int_equal(count_text(dir, "person-120", &entries), 0);
  assert_int_equal(count_text(dir, "more of person-119", &entries), 40);
  assert_int_equal(entries, before + 2000 - 2 - 4 - 40);
  assert_true(quarantine_add(filled, &reason, BYTES_LIT("and on"), 1));
  assert_int_equal(count_text(dir, "and on", &entries), 1);
  quarantine_close(filled);
  buf_deinit(&event);
  scratch_free(dir);
}

int main(void) {
  seed = seed_of_run();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_put_is_there),
      cmocka_unit_test(a_full_map_says_so),
      cmocka_unit_test(one_daemon_a_directory),
      cmocka_unit_test(quarantine_is_bounded),
      cmocka_unit_test(quarantine_forgets_whom_it_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
