// The history of models: what was written is read again, what is in force and what was before follow from the lines as a
// plain list of versions says, and no line that is damaged is taken for one that is not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "store/model_history.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t seed;
static uint64_t roll(uint64_t below) {
  seed = hash_mix(seed, 0x9e3779b97f4a7c15u);
  return seed % below;
}

static char dir[64];
static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st, (void)type, (void)ftw;
  return remove(path);
}
static int begin(void **unused) {
  (void)unused;
  char path[100];
  snprintf(dir, sizeof dir, "/tmp/model_history.XXXXXX");
  if (!mkdtemp(dir)) return -1;
  snprintf(path, sizeof path, "%s/versions", dir);
  return mkdir(path, 0700);
}
static int end(void **unused) { return (void)unused, nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS); }

static void path_of(char path[100]) { snprintf(path, 100, "%s/versions/models", dir); }

static bool is_of_canary(enum model_how how) { return how == MODEL_CANARY || how == MODEL_ENDED; }

static void put(struct model_history *h, const char *name, unsigned version, enum model_how how) {
  char text[16];
  snprintf(text, sizeof text, "%u", version);
  struct model_use use = {.at_ms = (int64_t)roll(1u << 30) - (1 << 29),
                          .name = (char *)(uintptr_t)name,
                          .version = text,
                          .how = how,
                          .share = is_of_canary(how) ? 1 + (uint32_t)roll(POLICY_SHARE_ALL - 1) : 0,
                          .number = 1 + (uint32_t)roll(UINT32_MAX),
                          .by = (char *)(uintptr_t)(roll(2) ? "uid 1000" : ""),
                          .why = (char *)(uintptr_t)(roll(2) ? "it \"ranks\"\nbetter: \xc3\xa4\x01" : "")};
  snprintf(use.hash, sizeof use.hash, "%016llx", (unsigned long long)seed);
  model_history_add(h, &use);
}

static void same(const struct model_history *a, const struct model_history *b) {
  assert_int_equal(a->count, b->count);
  for (size_t i = 0; i < a->count; i++) {
    const struct model_use *x = &a->use[i], *y = &b->use[i];
    assert_true(x->at_ms == y->at_ms && x->how == y->how && x->number == y->number && x->share == y->share);
    assert_string_equal(x->name, y->name);
    assert_string_equal(x->version, y->version);
    assert_string_equal(x->hash, y->hash);
    assert_string_equal(x->by, y->by);
    assert_string_equal(x->why, y->why);
  }
}

static void a_file_is_read_as_it_was_written(void **unused) {
  (void)unused;
  struct model_history h = {0}, again = {0}, copy = {0};
  struct error err = {0};
  assert_int_equal(model_history_read(dir, &again, &err), 0); // no file: nothing was ever in force
  assert_int_equal(again.count, 0);
  for (int i = 0; i < 40; i++) {
    put(&h, roll(2) ? "fit" : "engagement", (unsigned)roll(5), (enum model_how)roll(MODEL_ENDED + 1));
    if (model_history_write(dir, &h, &err) != 0 || model_history_read(dir, &again, &err) != 0) fail_msg("%s", err.text);
    same(&h, &again);
    model_history_deinit(&again);
  }
  model_history_copy(&copy, &h);
  same(&h, &copy);
  model_history_deinit(&h), model_history_deinit(&copy);
}

// The plain way: a list of versions, of which a rollback takes the last one off.
struct plain {
  unsigned version[200];
  size_t count;
  bool is_left;
  unsigned canary; // and beside it; 0: none
};

static void check(const struct model_history *h, const char *name, const struct plain *p) {
  const struct model_use *now = model_history_in_force(h, name), *before = model_history_before(h, name);
  assert_int_equal(now != NULL, p->count > 0 && !p->is_left);
  if (now) assert_int_equal(atoi(now->version), p->version[p->count - 1]);
  assert_int_equal(before != NULL, p->count > 1);
  if (before) assert_int_equal(atoi(before->version), p->version[p->count - 2]);
  const struct model_use *canary = model_history_canary(h, name);
  assert_int_equal(canary ? atoi(canary->version) : 0, p->canary);
}

static void what_was_before_is_a_list_that_a_rollback_shortens(void **unused) {
  (void)unused;
  static const char *const names[] = {"fit", "engagement"};
  for (int round = 0; round < 200; round++) {
    struct model_history h = {0};
    struct plain plain[2] = {0};
    for (int step = 0; step < 60; step++) {
      unsigned k = (unsigned)roll(2);
      struct plain *p = &plain[k];
      unsigned version = (unsigned)roll(4);
      if (roll(4) == 0) { // whatever happens to a canary moves nothing else
        bool ends = p->canary && roll(2);
        put(&h, names[k], ends ? p->canary : 10 + version, ends ? MODEL_ENDED : MODEL_CANARY);
        p->canary = ends ? 0 : 10 + version;
      } else if (roll(3) == 0 && p->count > 1 && !p->is_left) {
        p->count--;
        put(&h, names[k], p->version[p->count - 1], MODEL_ROLLBACK);
      } else if (roll(8) == 0 && p->count && !p->is_left) {
        p->is_left = true;
        put(&h, names[k], p->version[p->count - 1], MODEL_LEFT);
      } else if (p->is_left || !p->count || p->version[p->count - 1] != version) {
        if (!p->count || p->version[p->count - 1] != version) p->version[p->count++] = version;
        p->is_left = false;
        put(&h, names[k], version, roll(2) ? MODEL_ACTIVATE : MODEL_RELOAD);
      }
      check(&h, names[0], &plain[0]), check(&h, names[1], &plain[1]);
    }
    model_history_deinit(&h);
  }
}

static void a_damaged_file_is_read_as_what_it_says_or_refused(void **unused) {
  (void)unused;
  struct model_history h = {0};
  struct error err = {0};
  struct buf whole = {0};
  char path[100];
  path_of(path);
  for (unsigned i = 0; i < 5; i++) put(&h, "fit", i, MODEL_ACTIVATE);
  assert_int_equal(model_history_write(dir, &h, &err), 0);
  assert_int_equal(file_read(path, 1u << 20, &whole, &err), 0);
  for (int round = 0; round < 3000; round++) {
    struct buf bad = {0};
    struct model_history got = {0};
    buf_append_bytes(&bad, buf_bytes(&whole));
    if (roll(4) == 0)
      bad.n = roll(bad.n);
    else
      bad.p[roll(bad.n)] = (uint8_t)roll(256);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bad.p, 1, bad.n, file), bad.n);
    fclose(file);
    err = (struct error){0};
    int rc = model_history_read(dir, &got, &err);
    assert_true(rc == 0 || (rc == ITD_ECORRUPT && strstr(err.text, "line ")));
    assert_true(rc == 0 || got.count == 0);
    for (size_t i = 0; i < got.count; i++) assert_int_equal(strlen(got.use[i].hash), 16);
    model_history_deinit(&got);
    buf_deinit(&bad);
  }
  model_history_deinit(&h);
  buf_deinit(&whole);
}

int main(void) {
  const char *given = getenv("SEED");
  seed = given ? strtoull(given, NULL, 10) : 20261125;
  printf("SEED=%llu\n", (unsigned long long)seed);
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
  const struct CMUnitTest tests[] = {
      CASE(a_file_is_read_as_it_was_written),
      CASE(what_was_before_is_a_list_that_a_rollback_shortens),
      CASE(a_damaged_file_is_read_as_what_it_says_or_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
