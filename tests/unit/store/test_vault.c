// The vault's files, and sealing under a lead's key: records come back in order, torn ends are passed over, damage is
// named; what was sealed opens only whole, under its own key and lead.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "scratch.h"
#include "store/seal.h"
#include "store/vault.h"

static uint64_t seed;

struct seen {
  size_t count;
  uint64_t digest;
};

static void digest_record(struct seen *s, const struct vault_record *r) {
  uint8_t b[128] = {(uint8_t)r->type, r->kind};
  memcpy(b + 2, r->lead.b, 16);
  memcpy(b + 18, &r->made, 8);
  memcpy(b + 26, r->key, 32);
  memcpy(b + 58, &r->identity, 16);
  s->digest = hash64_seed(r->value, hash_mix(s->digest, hash64(bytes_of(b, sizeof b))));
  s->count++;
}
static int see(void *context, const struct vault_record *r, struct error *err) {
  (void)err;
  digest_record(context, r);
  return 0;
}
static struct seen scan(const char *dir, int expect) {
  struct seen s = {0};
  struct error err = {0};
  int rc = vault_scan(dir, see, &s, &err);
  if (rc != expect) fail_msg("scan gave %d %s, expected %d", rc, err.text, expect);
  return s;
}

static void stage_some(struct vault *v, struct draw *d, struct seen *expected) {
  static uint8_t text[600];
  for (uint64_t n = 1 + draw(d, 4); n; n--) {
    struct vault_record r = {.type = draw(d, 2) ? VAULT_LEAD : VAULT_IDENTITY};
    draw_bytes(d, r.lead.b, 16);
    if (r.type == VAULT_LEAD) {
      draw_bytes(d, r.key, sizeof r.key);
      r.made = draw(d, 0);
    } else {
      r.identity = (struct hash128){draw(d, 0), draw(d, 0)};
      r.kind = (uint8_t)(1 + draw(d, 2));
      r.value = draw_bytes(d, text, (size_t)draw(d, sizeof text));
    }
    vault_stage(v, &r);
    digest_record(expected, &r);
  }
}

static void records_come_back(void **state) {
  (void)state;
  struct draw d = {seed};
  char *dir = scratch_new();
  struct seen expected = {0};
  struct error err = {0};
  uint32_t upto = 0;
  for (int session = 0; session < 3; session++) {
    struct vault *v;
    assert_int_equal(vault_open(dir, 3, &v, &err), 0);
    for (int i = 0; i < 200; i++) {
      stage_some(v, &d, &expected);
      assert_true(vault_is_staged(v));
      assert_int_equal(vault_commit(v, &err), 0);
      assert_false(vault_is_staged(v));
      if (draw(&d, 20)) continue;
      struct buf records;
      buf_init(&records);
      if (draw(&d, 2)) vault_prepare(v);
      vault_rotate(v, &records, &upto); // nothing is taken away by it
      buf_deinit(&records);
    }
    struct seen s = scan(dir, 0);
    assert_int_equal(s.count, expected.count);
    assert_int_equal(s.digest, expected.digest);
    vault_close(v);
    s = scan(dir, 0);
    assert_int_equal(s.digest, expected.digest);
  }
  scratch_free(dir);
}

// What rotation hands over is exactly what the files that may then go hold.
static void rotation_hands_over_what_may_go(void **state) {
  (void)state;
  struct draw d = {seed + 1};
  char *dir = scratch_new();
  struct vault *v;
  struct error err = {0};
  struct seen all = {0}, handed = {0};
  assert_int_equal(vault_open(dir, 0, &v, &err), 0);
  for (int i = 0; i < 40; i++) {
    stage_some(v, &d, &all);
    assert_int_equal(vault_commit(v, &err), 0);
    if (draw(&d, 3)) continue;
    if (draw(&d, 2)) vault_prepare(v);
    struct buf records;
    uint32_t upto;
    buf_init(&records);
    vault_rotate(v, &records, &upto);
    struct bytes rest = buf_bytes(&records);
    struct vault_record r;
    while (vault_next(&rest, &r)) digest_record(&handed, &r);
    assert_int_equal(rest.n, 0);
    assert_int_equal(handed.digest, all.digest);
    buf_deinit(&records);
    vault_drop(v, upto);
  }
  vault_prepare(v);
  struct buf records;
  uint32_t upto;
  buf_init(&records);
  vault_rotate(v, &records, &upto);
  vault_drop(v, upto);
  assert_int_equal(scan(dir, 0).count, 0);
  struct seen left = {0};
  stage_some(v, &d, &left);
  assert_int_equal(vault_commit(v, &err), 0);
  assert_int_equal(scan(dir, 0).digest, left.digest);
  buf_deinit(&records);
  vault_close(v);
  scratch_free(dir);
}

static void tears_are_passed_over_and_damage_is_named(void **state) {
  (void)state;
  struct draw d = {seed + 2};
  char *dir = scratch_new(), path[1200];
  struct vault *v;
  struct error err = {0};
  struct seen at[20] = {0}, expected = {0};
  struct stat st;
  assert_int_equal(vault_open(dir, 0, &v, &err), 0);
  off_t end[20];
  struct bytes recent;
  for (int i = 0; i < 20; i++) {
    stage_some(v, &d, &expected);
    assert_int_equal(vault_commit(v, &err), 0);
    recent = vault_recent(v);
    at[i] = expected;
    end[i] = 32 + 32 * (i + 1) + (off_t)recent.n; // file header, batch headers, records
  }
  snprintf(path, sizeof path, "%s/vault/00-00000001.vault", dir);
  int fd = open(path, O_RDWR);
  fstat(fd, &st);
  assert_true(st.st_size >= end[19]);
  for (int i = 0; i < 400; i++) {
    off_t where = (off_t)draw(&d, (uint64_t)end[19]);
    uint8_t old, x;
    assert_int_equal(pread(fd, &old, 1, where), 1);
    x = (uint8_t)(old ^ (1u << draw(&d, 8)));
    assert_int_equal(pwrite(fd, &x, 1, where), 1);
    if (where >= end[18])
      assert_int_equal(scan(dir, 0).digest, at[18].digest);
    else
      scan(dir, ITD_ECORRUPT);
    assert_int_equal(pwrite(fd, &old, 1, where), 1);
  }
  for (int i = 0; i < 20; i++) { // the write stopped there
    off_t cut = end[18] + (off_t)draw(&d, (uint64_t)(end[19] - end[18]));
    assert_int_equal(ftruncate(fd, cut), 0);
    assert_int_equal(scan(dir, 0).digest, at[18].digest);
    uint8_t *whole = xcalloc(1, (size_t)(end[19] - cut));
    free(whole);
    fstat(fd, &st);
    end[19] = cut > end[18] + 1 ? cut : end[18] + 2;
  }
  close(fd);
  vault_close(v);
  scratch_free(dir);
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

int main(void) {
  seed = seed_of_run();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_come_back),
      cmocka_unit_test(rotation_hands_over_what_may_go),
      cmocka_unit_test(tears_are_passed_over_and_damage_is_named),
      cmocka_unit_test(sealed_bytes_open_only_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
