// A purge of the quarantine with a power cut before each of its steps: what must stay is there, never zeros in its place. Payloads
// are kept once, whatever else happens to the files, by an oracle that reads them all; and what was synced outlives the power.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "scratch.h"
#include "store/disk.h"
#include "store/disk_faults.h"
#include "store/quarantine.h"
#include "store/quarantine_payload.h"
#include "wire/mp.h"

static char *dir, *snapshot;

static void power_goes(void) {
  char command[1200];
  if (snapshot) return;
  snapshot = scratch_new();
  snprintf(command, sizeof command, "cp -r %s/. %s/", dir, snapshot);
  assert_int_equal(system(command), 0);
  disk_faults_lose(dir, snapshot);
}

static bool kept_holds(const char *folder, const char *text) {
  char path[600];
  struct buf content = {0};
  struct error err = {0};
  snprintf(path, sizeof path, "%s/quarantine/events.mp", folder);
  assert_int_equal(disk_load(path, 1u << 20, &content, &err), 0);
  bool is_in = memmem(content.p, content.n, text, strlen(text)) != NULL;
  buf_deinit(&content);
  return is_in;
}

// False: the purge was over before the power went.
static bool purge_with_a_cut(unsigned step) {
  struct error err = {0}, reason = {.code = ITD_EINVAL, .text = "no such key"};
  struct quarantine *q;
  struct bytes gone = bytes_str("who-must-go");
  uint64_t removed = 0;
  char plan[80];
  dir = scratch_new();
  snapshot = NULL;
  disk_faults_on_power(power_goes);
  snprintf(plan, sizeof plan, "seed=%u;any:%s:1:power", step, "nothing/*");
  assert_int_equal(disk_faults_start(plan, &err), 0); // so that it knows what was synced
  assert_int_equal(quarantine_open(dir, 1u << 20, &q, &err), 0);
  assert_true(quarantine_add(q, &reason, bytes_str("an event of who-stays"), 1));
  assert_true(quarantine_add(q, &reason, bytes_str("an event of who-must-go"), 2));
  assert_int_equal(quarantine_sync(q, &err), 0);
  assert_int_equal(disk_sync_folder(dir, "quarantine"), 0);
  disk_faults_stop();
  snprintf(plan, sizeof plan, "seed=%u;any:*:%u:power", step, step);
  assert_int_equal(disk_faults_start(plan, &err), 0);
  assert_int_equal(quarantine_purge(q, &gone, 1, &removed, &err), 0);
  disk_faults_stop();
  disk_faults_on_power(NULL);
  assert_int_equal(removed, 1);
  assert_true(kept_holds(dir, "who-stays"));
  assert_false(kept_holds(dir, "who-must-go"));
  quarantine_close(q);
  bool went = snapshot != NULL;
  if (went) {
    if (!kept_holds(snapshot, "who-stays")) fail_msg("a power cut before step %u loses what was to stay", step);
    scratch_free(snapshot);
  }
  scratch_free(dir);
  return went;
}

static void a_power_cut_loses_nothing_that_stays(void **state) {
  (void)state;
  unsigned step = 1;
  while (purge_with_a_cut(step)) step++;
  assert_true(step > 8);
}

// ---- payloads, once ----

static uint64_t chance;
static uint32_t below(uint32_t n) { return (uint32_t)((chance = hash_mix(chance, 1)) >> 33) % n; }

// One of few, so that they come again.
static void put_payload(struct buf *event, struct error *why) {
  static const char *const sources[] = {"stripe", "shop"};
  static const uint8_t salt[QUARANTINE_PAYLOAD_SALT] = {7};
  const char *source = sources[below(2)];
  struct buf payload = {0}, who = {0};
  bool is_large = below(40) == 0;
  uint8_t large[1500] = {0};
  mp_put_map(&payload, 1), mp_put_cstr(&payload, "n");
  if (is_large)
    mp_put_bin(&payload, bytes_of(large, 400 * (1 + below(3))));
  else
    mp_put_uint(&payload, below(25));
  mp_put_array(&who, 1), mp_put_cstr(&who, below(2) ? "who-1" : "who-2");
  const struct quarantine_payload p = {.source = bytes_str(source),
                                       .who = below(3) ? buf_bytes(&who) : (struct bytes){0},
                                       .payload = buf_bytes(&payload),
                                       .salt = bytes_of(salt, below(4) ? 0 : sizeof salt)};
  buf_clear(event);
  quarantine_payload_put(&p, event);
  quarantine_payload_why(ITD_EEVENT, source, bytes_str(below(2) ? "r" : ""), bytes_str("it is bad"), (struct bytes){0},
                         why);
  buf_deinit(&payload);
  buf_deinit(&who);
}

struct finding {
  struct quarantine_payload payload;
  char id[QUARANTINE_ID + 1]; // of the first entry that has it
  size_t count, entries;
};

static int find_same(void *context, const struct quarantine_entry *e) {
  struct finding *f = context;
  struct quarantine_payload p;
  f->entries++;
  if (!quarantine_payload_of(e->event, e->text, &p) || !bytes_eq(p.source, f->payload.source) ||
      !bytes_eq(p.payload, f->payload.payload) || !bytes_eq(p.salt, f->payload.salt))
    return 0;
  if (f->count++ == 0) memcpy(f->id, e->id, sizeof f->id);
  return 0;
}

static struct finding find(struct bytes event) {
  struct finding f = {0};
  struct error err = {0};
  assert_true(quarantine_payload_read(event, &f.payload));
  assert_int_equal(quarantine_walk(dir, find_same, &f, &err), 0);
  return f;
}

static void add_once(struct quarantine *q, struct buf *event) {
  struct error err = {0}, why = {0};
  char id[QUARANTINE_ID + 1] = "";
  bool known = false;
  put_payload(event, &why);
  struct finding before = find(buf_bytes(event));
  assert_int_equal(quarantine_add_once(q, &why, buf_bytes(event), 5, id, &known, &err), 0);
  struct finding after = find(buf_bytes(event));
  assert_int_equal(known, before.count > 0);
  if (known) assert_string_equal(id, before.id);
  if (!known) assert_string_equal(id, after.id);
  assert_true(after.count >= 1 && (known ? after.count == before.count : after.count == 1));
}

static void something_else(struct quarantine **q, struct buf *event) {
  struct error err = {0}, why = {.code = ITD_EEVENT, .text = "source of trouble"};
  const struct bytes gone[] = {bytes_str(below(2) ? "who-1" : "who-2")};
  uint64_t removed = 0;
  put_payload(event, &why);
  switch (below(8)) {
  case 0: assert_true(quarantine_add(*q, &why, buf_bytes(event), 6)); break; // as by HTTP, again or not
  case 1: assert_true(quarantine_add(*q, &why, bytes_str("no payload"), 6)); break;
  case 2: assert_true(quarantine_replayed(*q, bytes_str("00112233445566ff"), "uid 1", bytes_str("d"), 7)); break;
  case 3: assert_int_equal(quarantine_sync(*q, &err), 0); break;
  case 4:
    if (below(4) == 0) assert_int_equal(quarantine_purge(*q, gone, 1, &removed, &err), 0);
    break;
  case 5:
    if (below(4) == 0) {
      quarantine_close(*q);
      assert_int_equal(quarantine_open(dir, 16384, q, &err), 0);
    }
    break;
  default: break;
  }
}

static void payloads_are_kept_once(void **state) {
  (void)state;
  struct error err = {0};
  struct quarantine *q;
  struct buf event = {0};
  chance = seed_of_run();
  dir = scratch_new();
  assert_int_equal(quarantine_open(dir, 16384, &q, &err), 0);
  for (int i = 0; i < 3000; i++) {
    add_once(q, &event);
    something_else(&q, &event);
  }
  quarantine_close(q);
  scratch_free(dir);
  buf_deinit(&event);
}

// What is no payload, whatever it looks like, and what is cut.
static void what_is_a_payload(void **state) {
  (void)state;
  struct buf event = {0}, vast = {0};
  struct quarantine_payload p = {.source = bytes_str("shop"), .payload = bytes_str("\x01")}, read;
  quarantine_payload_put(&p, &event);
  static const struct {
    const char *why;
    bool is;
  } cases[] = {
      {"source shop: x", true}, {"source shop, rule 'r': x", true}, {"source shop", false}, {"source shops: x", false},
      {"source sho: x", false}, {"a source shop: x", false},        {"source : x", false},  {"", false},
      {"source ", false},       {"source shop; x", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(quarantine_payload_of(buf_bytes(&event), bytes_str(cases[i].why), &read), cases[i].is);
  for (size_t n = 0; n < event.n; n++) assert_false(quarantine_payload_read(bytes_of(event.p, n), &read));
  for (size_t i = 0; i < 20000; i++) buf_append_u8(&vast, 1);
  struct bytes ones = buf_bytes(&vast);
  struct buf list = {0};
  mp_put_array(&list, (uint32_t)ones.n), buf_append_bytes(&list, ones);
  for (int i = 0; i < 2; i++) { // twice as many who are too many: then nothing names anybody
    buf_clear(&event);
    p.who = buf_bytes(&list);
    quarantine_payload_put(&p, &event);
    assert_true(quarantine_payload_read(buf_bytes(&event), &read));
    assert_int_equal(mp_value_of(read.payload).type, i == 0 ? MP_INT : MP_NIL);
    assert_int_equal(mp_value_of(read.who).count, i == 0 ? ones.n : 0);
    buf_clear(&list);
    mp_put_array(&list, 2 * (uint32_t)ones.n);
    buf_append_bytes(&list, ones), buf_append_bytes(&list, ones);
  }
  buf_clear(&list);
  mp_put_array(&list, 80000);
  for (int i = 0; i < 80000; i++) mp_put_uint(&list, 1);
  p = (struct quarantine_payload){.source = bytes_str("shop"), .payload = buf_bytes(&list)};
  buf_clear(&event);
  quarantine_payload_put(&p, &event);
  assert_int_equal(event.n, QUARANTINE_PAYLOAD_MAX);
  assert_false(quarantine_payload_read(buf_bytes(&event), &read));
  buf_deinit(&event), buf_deinit(&vast), buf_deinit(&list);
}

struct ids {
  char id[400][QUARANTINE_ID + 1];
  size_t count;
};

static int note_id(void *context, const struct quarantine_entry *e) {
  struct ids *ids = context;
  assert_true(ids->count < 400);
  memcpy(ids->id[ids->count++], e->id, sizeof e->id);
  return 0;
}

static bool has(const struct ids *ids, const char *id) {
  for (size_t i = 0; i < ids->count; i++)
    if (strcmp(ids->id[i], id) == 0) return true;
  return false;
}

// Entries of all sizes and a cut one behind them: what is added then is found, and what was there.
static void what_was_cut_hides_nothing(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 100, 5 << 20, 9 << 20, 30, 4 << 20, 8 << 20, 1};
  uint8_t *event = xcalloc(1, 10 << 20);
  for (size_t cut = 0; cut < 6; cut++) {
    struct error err = {0}, why = {.code = ITD_EEVENT, .text = "bad"};
    struct quarantine *q;
    struct ids ids = {0};
    char path[600], command[700];
    dir = scratch_new();
    assert_int_equal(quarantine_open(dir, 1u << 30, &q, &err), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
      assert_true(quarantine_add(q, &why, bytes_of(event, sizes[i]), 1));
    quarantine_close(q);
    snprintf(path, sizeof path, "%s/quarantine/events.mp", dir);
    snprintf(command, sizeof command, "truncate -s -%zu %s", (size_t)1 << (6 * cut), path);
    if (cut == 5) snprintf(command, sizeof command, "printf '\\301' >>%s", path);
    if (cut) assert_int_equal(system(command), 0);
    assert_int_equal(quarantine_open(dir, 1u << 30, &q, &err), 0);
    assert_true(quarantine_add(q, &why, bytes_of(event, 7), 1));
    quarantine_close(q);
    assert_int_equal(quarantine_walk(dir, note_id, &ids, &err), 0);
    static const size_t left[] = {9, 8, 7, 7, 4, 9};
    assert_int_equal(ids.count, left[cut]);
    scratch_free(dir);
  }
  free(event);
}

// ---- syncs ----

// Files take turns between the syncs: each sync means both, and their names.
static void what_was_synced_lasts(void **state) {
  (void)state;
  chance = seed_of_run();
  for (int run = 0; run < 30; run++) {
    struct error err = {0}, why = {.code = ITD_EEVENT, .text = "bad"};
    struct quarantine *q;
    struct ids synced = {0}, now = {0}, there = {0};
    char event[200] = {0}, plan[80];
    dir = scratch_new();
    snapshot = NULL;
    disk_faults_on_power(power_goes);
    snprintf(plan, sizeof plan, "seed=%u;any:nothing/*:1:power", below(1u << 30));
    assert_int_equal(disk_faults_start(plan, &err), 0);
    assert_int_equal(quarantine_open(dir, 6000, &q, &err), 0);
    for (uint32_t i = 0, n = below(60); i < n; i++) {
      assert_true(quarantine_add(q, &why, bytes_of(event, 1 + below(199)), 1));
      if (below(8)) continue;
      assert_int_equal(quarantine_sync(q, &err), 0);
      synced.count = 0;
      assert_int_equal(quarantine_walk(dir, note_id, &synced, &err), 0);
    }
    assert_int_equal(quarantine_walk(dir, note_id, &now, &err), 0);
    disk_faults_power();
    disk_faults_stop();
    disk_faults_on_power(NULL);
    quarantine_close(q);
    assert_int_equal(quarantine_walk(snapshot, note_id, &there, &err), 0);
    for (size_t i = 0; i < synced.count; i++)
      if (has(&now, synced.id[i]) && !has(&there, synced.id[i])) fail_msg("run %d: %s is gone", run, synced.id[i]);
    scratch_free(snapshot);
    scratch_free(dir);
  }
}

// Writes and syncs that fail now and then, and whoever adds does it again until it is told that it lasts.
static void what_was_promised_lasts(void **state) {
  (void)state;
  chance = seed_of_run();
  for (int run = 0; run < 30; run++) {
    struct error err = {0};
    struct quarantine *q;
    struct ids promised = {0}, now = {0}, there = {0};
    struct buf event = {0};
    char plan[120];
    dir = scratch_new();
    snapshot = NULL;
    disk_faults_on_power(power_goes);
    assert_int_equal(quarantine_open(dir, 6000, &q, &err), 0);
    snprintf(plan, sizeof plan, "seed=%u;sync:*:1/3:EIO;folder:*:1/5:EIO;write:*:1/9:part+ENOSPC", below(1u << 30));
    assert_int_equal(disk_faults_start(plan, &err), 0);
    for (uint32_t i = 0, n = 1 + below(40); i < n; i++) {
      struct error why = {0};
      char id[QUARANTINE_ID + 1];
      bool known;
      put_payload(&event, &why);
      if (below(3) == 0) (void)!quarantine_add(q, &why, buf_bytes(&event), 1); // a shard's
      int tries = 0;
      while (quarantine_add_once(q, &why, buf_bytes(&event), 1, id, &known, &err) < 0 || quarantine_sync(q, &err) < 0)
        assert_true(tries++ < 200);
      memcpy(promised.id[promised.count++], id, sizeof id);
    }
    assert_int_equal(quarantine_walk(dir, note_id, &now, &err), 0);
    assert_true(has(&now, promised.id[promised.count - 1]));
    disk_faults_power();
    disk_faults_stop();
    disk_faults_on_power(NULL);
    quarantine_close(q);
    assert_int_equal(quarantine_walk(snapshot, note_id, &there, &err), 0);
    for (size_t i = 0; i < promised.count; i++)
      if (has(&now, promised.id[i]) && !has(&there, promised.id[i]))
        fail_msg("run %d: %s is gone", run, promised.id[i]);
    assert_true(has(&there, promised.id[promised.count - 1]));
    scratch_free(snapshot);
    scratch_free(dir);
    buf_deinit(&event);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_power_cut_loses_nothing_that_stays),
                                     cmocka_unit_test(payloads_are_kept_once),
                                     cmocka_unit_test(what_is_a_payload),
                                     cmocka_unit_test(what_was_synced_lasts),
                                     cmocka_unit_test(what_was_cut_hides_nothing),
                                     cmocka_unit_test(what_was_promised_lasts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
