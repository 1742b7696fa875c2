// The vault's files, and sealing under a lead's key: records come back in order, torn ends are passed over, damage is
// named, what is erased is gone and nothing else; what was sealed opens only whole, under its own key and lead.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "scratch.h"
#include "store/disk_faults.h"
#include "store/seal.h"
#include "store/vault.h"

static uint64_t seed;

enum { RECORDS_MAX = 4000 };
struct kept { // what must be read
  uint64_t address, digest;
  bool is_erased;
};
static struct kept kept[RECORDS_MAX];
static size_t kept_count;

static uint64_t digest_of(const struct vault_record *r) {
  uint8_t b[128] = {(uint8_t)r->type, r->kind};
  memcpy(b + 2, r->lead.b, 16);
  memcpy(b + 18, &r->made, 8);
  memcpy(b + 26, r->key, 32);
  memcpy(b + 58, &r->identity, 16);
  memcpy(b + 74, &r->previous, 8);
  return hash64_seed(r->value, hash64(bytes_of(b, sizeof b)));
}

struct seen {
  size_t count, at; // at: in `kept`, from where it goes on
};
static int see(void *context, uint64_t address, const struct vault_record *r, struct error *err) {
  (void)err;
  struct seen *s = context;
  while (s->at < kept_count && kept[s->at].is_erased) s->at++;
  assert_true(s->at < kept_count);
  assert_int_equal(address, kept[s->at].address);
  assert_int_equal(digest_of(r), kept[s->at].digest);
  s->at++;
  s->count++;
  return 0;
}

static size_t living(size_t from, size_t count) {
  size_t n = 0;
  for (size_t i = from; i < count; i++) n += !kept[i].is_erased;
  return n;
}

static const struct vault_tip nowhere[256];
static struct vault_tip tips[256];

// Everything that is kept, in order, and up to `count`.
static void must_hold(const char *dir, size_t count) {
  struct seen s = {0};
  struct error err = {0};
  if (vault_scan(dir, nowhere, see, &s, tips, &err)) fail_msg("scan: %s", err.text);
  assert_int_equal(s.count, living(0, count));
}
static void must_be_damaged(const char *dir) {
  struct error err = {0};
  size_t count = kept_count;
  int rc = vault_scan(dir, nowhere, see, &(struct seen){0}, tips, &err);
  if (rc != ITD_ECORRUPT) fail_msg("scan gave %d, and there is damage (%zu records)", rc, count);
  assert_non_null(strstr(err.text, "vault/03-0000000"));
}

static struct vault *must_open(const char *dir) {
  struct vault *v = NULL;
  struct error err = {0};
  if (vault_open(dir, 3, tips[3], nowhere[3], &v, &err)) fail_msg("%s", err.text);
  return v;
}

static void stage_some(struct vault *v, struct draw *d) {
  static uint8_t text[600];
  for (uint64_t n = 1 + draw(d, 4); n && kept_count < RECORDS_MAX; n--) {
    struct vault_record r = {.type = draw(d, 2) ? VAULT_LEAD : VAULT_IDENTITY}, staged;
    draw_bytes(d, r.lead.b, 16);
    if (r.type == VAULT_LEAD) {
      draw_bytes(d, r.key, sizeof r.key);
      r.made = draw(d, 0);
    } else {
      r.identity = (struct hash128){draw(d, 0), draw(d, 0)};
      r.kind = (uint8_t)(1 + draw(d, 2));
      r.previous = draw(d, 0);
      r.value = draw_bytes(d, text, (size_t)draw(d, sizeof text));
    }
    uint64_t address = vault_stage(v, &r);
    kept[kept_count++] = (struct kept){address, digest_of(&r), false};
    assert_true(vault_peek(v, address, &staged));
    assert_int_equal(digest_of(&staged), digest_of(&r));
  }
}

static void commit_some(struct vault *v, struct draw *d, int batches) {
  struct error err = {0};
  for (int i = 0; i < batches; i++) {
    stage_some(v, d);
    assert_true(vault_is_staged(v));
    if (vault_commit(v, &err)) fail_msg("%s", err.text);
    assert_false(vault_is_staged(v));
    if (draw(d, 20) == 0) vault_prepare(v);
  }
}

static char *fresh_dir(void) {
  char *dir = scratch_new();
  kept_count = 0;
  must_hold(dir, 0);
  return dir;
}

static size_t files_in(const char *dir) {
  char path[1200], **names;
  size_t count;
  snprintf(path, sizeof path, "%s/vault", dir);
  assert_int_equal(dir_list(path, 1000, &names, &count, NULL), 0);
  dir_list_free(names, count);
  return count;
}

static void records_come_back(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = fresh_dir();
  struct error err = {0};
  struct buf raw = {0};
  struct vault_record r;
  for (int session = 0; session < 30; session++) {
    struct vault_tip before = tips[3];
    size_t known = kept_count;
    struct vault *v = must_open(dir);
    commit_some(v, &d, session % 3 ? 20 : 0);
    vault_close(v);
    must_hold(dir, kept_count);
    struct vault_tip from[256] = {[3] = before}, to[256]; // only the end
    struct seen s = {.at = known};
    assert_int_equal(vault_scan(dir, from, see, &s, to, &err), 0);
    assert_int_equal(s.count, kept_count - known);
    assert_memory_equal(to, tips, sizeof to);
  }
  assert_int_equal(files_in(dir), 1); // however often it was started
  struct vault_reader *reader = vault_reader_new(dir);
  for (size_t i = 0; i < kept_count; i++) {
    assert_int_equal(vault_read(reader, kept[i].address, &raw, &r, &err), 0);
    assert_int_equal(digest_of(&r), kept[i].digest);
  }
  assert_int_equal(vault_read(reader, kept[0].address + 8, &raw, &r, &err), ITD_ECORRUPT);
  assert_int_equal(vault_read(reader, kept[0].address | 5ull << 32, &raw, &r, &err), ITD_ECORRUPT);
  vault_reader_free(reader);
  buf_deinit(&raw);
  // A vault that is shorter than somebody knows is no vault.
  struct vault_tip longer[256] = {[3] = {tips[3].number, tips[3].end + 16}}, next[256] = {[3] = {2, 32}};
  assert_int_equal(vault_scan(dir, longer, see, &(struct seen){0}, tips, &err), ITD_ECORRUPT);
  assert_int_equal(vault_scan(dir, next, see, &(struct seen){0}, tips, &err), ITD_ECORRUPT);
  scratch_free(dir);
}

static void tears_are_passed_over_and_damage_is_named(void **state) {
  (void)state;
  struct draw d = {seed + 2};
  char *dir = fresh_dir(), path[1200];
  size_t before = 0;
  uint32_t end[20];
  struct vault *v = must_open(dir);
  for (int i = 0; i < 20; i++) {
    before = kept_count;
    commit_some(v, &d, 1);
    end[i] = vault_tip(v).end;
  }
  vault_close(v);
  snprintf(path, sizeof path, "%s/vault/03-00000001.vault", dir);
  int fd = open(path, O_RDWR);
  for (int i = 0; i < 400; i++) {
    off_t where = (off_t)draw(&d, end[19]);
    uint8_t old, x;
    assert_int_equal(pread(fd, &old, 1, where), 1);
    x = (uint8_t)(old ^ (1u << draw(&d, 8)));
    assert_int_equal(pwrite(fd, &x, 1, where), 1);
    if (where >= end[18])
      must_hold(dir, before);
    else
      must_be_damaged(dir);
    assert_int_equal(pwrite(fd, &old, 1, where), 1);
  }
  must_hold(dir, kept_count);
  // The write stopped there; what is written next takes its place, whatever was left of it.
  static uint8_t last[8192];
  ssize_t n = pread(fd, last, sizeof last, end[18]);
  assert_true(n > 0);
  for (int i = 0; i < 30; i++) {
    kept_count = before;
    assert_int_equal(ftruncate(fd, end[18]), 0);
    for (off_t at = 0; at < n; at += 512) // any sectors of it
      if (draw(&d, 3)) assert_true(pwrite(fd, last + at, (size_t)(n - at < 512 ? n - at : 512), end[18] + at) > 0);
    uint8_t broken = (uint8_t)~last[17];
    assert_int_equal(pwrite(fd, &broken, 1, end[18] + 17), 1);
    must_hold(dir, before);
    assert_int_equal(tips[3].end, end[18]);
    v = must_open(dir);
    commit_some(v, &d, 1);
    vault_close(v);
    must_hold(dir, kept_count);
  }
  close(fd);
  scratch_free(dir);
}

// Whatever a file holds: its beginning is read as it was, or the damage is named.
static int see_in_order(void *context, uint64_t address, const struct vault_record *r, struct error *err) {
  (void)err;
  size_t *at = context;
  assert_true(*at < kept_count);
  assert_int_equal(address, kept[*at].address);
  assert_int_equal(digest_of(r), kept[(*at)++].digest);
  return 0;
}

static void write_file(const char *path, struct bytes b) { // as it is: nothing here needs a sync
  int fd = open(path, O_WRONLY | O_TRUNC);
  assert_int_equal(write(fd, b.p, b.n), b.n);
  close(fd);
}

static void any_bytes_are_survived(void **state) {
  (void)state;
  struct draw d = {seed + 5};
  char *dir = fresh_dir(), path[1200];
  struct error err = {0};
  struct vault *v = must_open(dir);
  commit_some(v, &d, 12);
  vault_close(v);
  snprintf(path, sizeof path, "%s/vault/03-00000001.vault", dir);
  struct buf whole = {0}, changed = {0};
  assert_int_equal(file_read(path, 1 << 20, &whole, &err), 0);
  unsigned read = 0, named = 0;
  for (int i = 0; i < 300; i++) {
    buf_clear(&changed);
    buf_append_bytes(&changed, buf_bytes(&whole));
    for (uint64_t n = draw(&d, 4); n; n--) {
      size_t at = (size_t)draw(&d, changed.n), to = (size_t)draw(&d, changed.n), many = (size_t)draw(&d, 100);
      if (many > changed.n - (at > to ? at : to)) continue;
      if (draw(&d, 2))
        memmove(changed.p + to, changed.p + at, many);
      else
        draw_bytes(&d, changed.p + at, many);
    }
    if (draw(&d, 3) == 0) changed.n = (size_t)draw(&d, changed.n + 1);
    write_file(path, buf_bytes(&changed));
    size_t at = 0;
    int rc = vault_scan(dir, nowhere, see_in_order, &at, tips, &err);
    assert_true(rc == 0 || rc == ITD_ECORRUPT || rc == ITD_EVERSION);
    read += rc == 0, named += rc != 0;
    uint64_t address = kept[draw(&d, kept_count)].address;
    (void)!vault_erase(dir, &address, 1, &err);
  }
  assert_true(read && named);
  buf_deinit(&whole), buf_deinit(&changed);
  scratch_free(dir);
}

// ---- erasing ----
static bool holds_bytes(const char *dir, struct bytes what) {
  char path[1200], **names;
  size_t count;
  bool found = false;
  snprintf(path, sizeof path, "%s/vault", dir);
  assert_int_equal(dir_list(path, 1000, &names, &count, NULL), 0);
  for (size_t i = 0; i < count; i++) {
    struct buf b = {0};
    char file[2400];
    snprintf(file, sizeof file, "%s/%s", path, names[i]);
    assert_int_equal(file_read(file, 1 << 30, &b, NULL), 0);
    found |= memmem(b.p, b.n, what.p, what.n) != NULL;
    buf_deinit(&b);
  }
  dir_list_free(names, count);
  return found;
}

static void erased_records_are_gone_and_the_others_stay(void **state) {
  (void)state;
  struct draw d = {seed + 3};
  char *dir = fresh_dir();
  struct error err = {0};
  struct vault *v = must_open(dir);
  commit_some(v, &d, 30);
  struct vault_reader *reader = vault_reader_new(dir);
  struct buf raw = {0};
  struct vault_record r;
  for (int round = 0; round < 12; round++) {
    uint64_t address[40];
    size_t n = 0;
    static uint8_t text[40][VAULT_VALUE_MAX];
    size_t text_n[40] = {0};
    for (uint64_t want = 1 + draw(&d, 10); n < want;) {
      size_t i = (size_t)draw(&d, kept_count);
      if (kept[i].is_erased) continue;
      assert_int_equal(vault_read(reader, kept[i].address, &raw, &r, &err), 0);
      struct bytes personal = r.type == VAULT_LEAD ? bytes_of(r.key, sizeof r.key) : r.value;
      if (personal.n >= 16) memcpy(text[n], personal.p, text_n[n] = personal.n);
      kept[i].is_erased = true;
      address[n++] = kept[i].address;
    }
    for (size_t i = 0; i < n; i++) assert_true(!text_n[i] || holds_bytes(dir, bytes_of(text[i], text_n[i])));
    if (vault_erase(dir, address, n, &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++) {
      assert_false(text_n[i] && holds_bytes(dir, bytes_of(text[i], text_n[i])));
      assert_int_equal(vault_read(reader, address[i], &raw, &r, &err), ITD_ENOTFOUND);
    }
    assert_int_equal(vault_erase(dir, address, n, &err), 0); // again is no harm
    must_hold(dir, kept_count);
    commit_some(v, &d, 2); // its owner goes on meanwhile
    must_hold(dir, kept_count);
  }
  uint64_t nothing = kept[0].address + 16;
  assert_int_equal(vault_erase(dir, &nothing, 1, &err), ITD_ECORRUPT);
  vault_reader_free(reader);
  vault_close(v);
  must_hold(dir, kept_count);
  buf_deinit(&raw);
  scratch_free(dir);
}

// The power goes at each write and each sync of an erasing: before it began nothing has changed, afterwards the next start
// ends it; the other records never notice.
static char *cut_from, *cut_copy;
static void power_goes(void) {
  if (cut_copy) return;
  char command[1200];
  cut_copy = scratch_new();
  snprintf(command, sizeof command, "cp -r %s/. %s/", cut_from, cut_copy);
  assert_int_equal(system(command), 0);
  disk_faults_lose(cut_from, cut_copy);
}

static void an_erasing_is_ended_after_any_crash(void **state) {
  (void)state;
  struct draw d = {seed + 4};
  bool was_begun = false, was_not = false;
  for (int step = 1; step <= 8; step++)
    for (int chance = 0; chance < (step == 1 ? 40 : 4); chance++) { // before the first sync either may have happened
      struct error err = {0};
      char plan[80];
      char *dir = cut_from = fresh_dir();
      struct vault *v = must_open(dir);
      commit_some(v, &d, 6);
      vault_close(v);
      size_t a = (size_t)draw(&d, kept_count), b = (size_t)draw(&d, kept_count);
      uint64_t address[2] = {kept[a].address, kept[b].address};
      disk_faults_on_power(power_goes);
      snprintf(plan, sizeof plan, "seed=%d;sync:*:%d:power", (int)draw(&d, 1000), step);
      if (disk_faults_start(plan, &err)) fail_msg("%s", err.text);
      assert_int_equal(vault_erase(dir, address, 2, &err), 0);
      if (!cut_copy) power_goes();
      disk_faults_stop();
      disk_faults_on_power(NULL);
      if (vault_erase_rest(cut_copy, &err)) fail_msg("%s", err.text);
      struct vault_reader *reader = vault_reader_new(cut_copy);
      struct buf raw = {0};
      struct vault_record r;
      int first = vault_read(reader, address[0], &raw, &r, &err);
      assert_int_equal(vault_read(reader, address[1], &raw, &r, &err), first);
      assert_true(first == 0 || first == ITD_ENOTFOUND);
      if (first) {
        was_begun = true;
        kept[a].is_erased = kept[b].is_erased = true;
        for (int i = 0; i < 2; i++) { // and their bodies are zeros
          struct buf file = {0};
          char path[1200];
          snprintf(path, sizeof path, "%s/vault/03-00000001.vault", cut_copy);
          assert_int_equal(file_read(path, 1 << 20, &file, NULL), 0);
          for (size_t k = 16; k < 56; k++) assert_int_equal(file.p[(uint32_t)address[i] + k], 0);
          buf_deinit(&file);
        }
      } else {
        was_not = true;
      }
      must_hold(cut_copy, kept_count);
      vault_reader_free(reader);
      buf_deinit(&raw);
      scratch_free(dir);
      scratch_free(cut_copy);
      cut_copy = NULL;
    }
  assert_true(was_begun && was_not);
}

static void sealed_bytes_open_only_whole(void **state) {
  (void)state;
  struct draw d = {seed + 3};
  struct seal seal;
  seal_init(&seal);
  for (int machine = 0; machine < 2; machine++) {
    bool had = seal.has_aes;
    if (machine) seal.has_aes = false; // XChaCha20-Poly1305
    for (int i = 0; i < 300; i++) {
      uint8_t key[LEAD_KEY_SIZE], other[LEAD_KEY_SIZE], text[300];
      struct lead_id lead, neighbour;
      struct buf sealed, again, out;
      struct error err = {0};
      draw_bytes(&d, key, sizeof key);
      draw_bytes(&d, lead.b, 16);
      memcpy(other, key, sizeof key);
      other[draw(&d, 32)] ^= 1;
      neighbour = lead;
      neighbour.b[draw(&d, 16)] ^= 1;
      buf_init(&sealed), buf_init(&again), buf_init(&out);
      struct bytes secret = draw_bytes(&d, text, (size_t)draw(&d, sizeof text));
      seal_put(&seal, key, lead, secret, &sealed);
      seal_put(&seal, key, lead, secret, &again);
      assert_false(bytes_eq(buf_bytes(&sealed), buf_bytes(&again))); // never a nonce twice
      assert_int_equal(seal_open(&seal, key, lead, buf_bytes(&sealed), &out, &err), 0);
      assert_true(bytes_eq(buf_bytes(&out), secret));
      assert_int_equal(seal_open(&seal, other, lead, buf_bytes(&sealed), &out, &err), ITD_ECORRUPT);
      assert_int_equal(seal_open(&seal, key, neighbour, buf_bytes(&sealed), &out, &err), ITD_ECORRUPT);
      struct bytes cut = bytes_of(sealed.p, (size_t)draw(&d, sealed.n));
      assert_int_equal(seal_open(&seal, key, lead, cut, &out, &err), ITD_ECORRUPT);
      sealed.p[1 + draw(&d, sealed.n - 1)] ^= (uint8_t)(1u << draw(&d, 8));
      assert_int_equal(seal_open(&seal, key, lead, buf_bytes(&sealed), &out, &err), ITD_ECORRUPT);
      sealed.p[0] = 9;
      assert_int_equal(seal_open(&seal, key, lead, buf_bytes(&sealed), &out, &err), ITD_ECORRUPT);
      assert_int_equal(out.n, secret.n); // failures append nothing
      buf_deinit(&sealed), buf_deinit(&again), buf_deinit(&out);
    }
    seal.has_aes = had;
  }
}

// The disk takes a part of a write, or nothing, for a while: what was begun is ended by the next try, or by the next start, also
// where a head was written over by half.
static void an_erasing_is_ended_after_any_failure(void **state) {
  (void)state;
  struct draw d = {seed + 5};
  int failed = 0;
  for (int round = 0; round < 60; round++) {
    struct error err = {0};
    char plan[120];
    char *dir = fresh_dir();
    struct vault *v = must_open(dir);
    commit_some(v, &d, 6);
    vault_close(v);
    size_t a = (size_t)draw(&d, kept_count), b = (size_t)draw(&d, kept_count);
    uint64_t address[2] = {kept[a].address, kept[b].address};
    unsigned first = 1 + (unsigned)draw(&d, 8), count = 1 + (unsigned)draw(&d, 6);
    const char *what = draw(&d, 2) ? "part+ENOSPC" : "part+EIO";
    snprintf(plan, sizeof plan, "seed=%u;write:*:%u+%u:%s", (unsigned)draw(&d, 1000), first, count, what);
    if (disk_faults_start(plan, &err)) fail_msg("%s", err.text);
    int rc = vault_erase(dir, address, 2, &err), tries = 0;
    failed += rc != 0;
    bool is_by_start = draw(&d, 2);
    if (is_by_start) disk_faults_stop();
    for (; rc && tries < 20; tries++) {
      if (rc != ITD_EFULL && rc != ITD_EIO) fail_msg("%s: %s", plan, err.text);
      rc = is_by_start ? vault_erase_rest(dir, &err) : vault_erase(dir, address, 2, &err);
    }
    if (rc) fail_msg("%s: %s", plan, err.text);
    disk_faults_stop();
    assert_int_equal(vault_erase(dir, address, 2, &err), 0); // where the list was not whole nothing had begun
    kept[a].is_erased = kept[b].is_erased = true;
    must_hold(dir, kept_count);
    scratch_free(dir);
  }
  assert_true(failed > 10);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_come_back),
      cmocka_unit_test(tears_are_passed_over_and_damage_is_named),
      cmocka_unit_test(any_bytes_are_survived),
      cmocka_unit_test(erased_records_are_gone_and_the_others_stay),
      cmocka_unit_test(an_erasing_is_ended_after_any_crash),
      cmocka_unit_test(an_erasing_is_ended_after_any_failure),
      cmocka_unit_test(sealed_bytes_open_only_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
