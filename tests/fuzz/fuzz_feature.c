// Hostile declarations, and events for those that compile. What is refused says why, as readable text that begins with
// "features: ". What compiles gives the same program again, fits its bounds, writes nothing outside its state, touches
// no more features than there are, never gives an infinite value, and goes on after a move to its own twin.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "feature/account.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GUARD 64 // bytes around a state that nobody may write

static void check_refusal(int rc, const struct error *err) {
  CHECK(rc == ITD_EPOLICY && err->code == rc);
  struct bytes text = bytes_str(err->text);
  CHECK(text.n > 10 && memcmp(text.p, "features: ", 10) == 0);
  // A text at its full length may have been cut inside a character.
  CHECK(bytes_is_utf8(text) || text.n + 1 == sizeof err->text);
  for (size_t i = 0; i < text.n; i++) CHECK(text.p[i] >= 0x20 && text.p[i] != 0x7f);
}

static void check_layout(const struct feature_set *set) {
  size_t at = 0;
  CHECK(feature_count(set) <= FEATURES_MAX && feature_state_size(set) <= FEATURE_STATE_MAX);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    bool is_derived = strcmp(info->op, "ratio") == 0 || strcmp(info->op, "difference") == 0;
    CHECK(info->state_offset == at && (info->state_size > 0) == !is_derived && info->state_size % 8 == 0);
    CHECK(feature_find(set, bytes_str(info->name)) == (int)i);
    CHECK(info->description && info->owner && info->op);
    at += info->state_size;
  }
  CHECK(at <= feature_state_size(set) && (feature_accounts(set) > 0) == (at < feature_state_size(set)));
}

static void check_twin(const struct feature_set *a, const struct feature_set *b) {
  CHECK(feature_count(a) == feature_count(b) && feature_set_hash(a) == feature_set_hash(b));
  for (size_t i = 0; i < feature_count(a); i++)
    CHECK(feature_info(a, i)->definition_hash == feature_info(b, i)->definition_hash);
}

static void check_read(const struct feature_set *set, const uint8_t *state, int64_t now) {
  double values[FEATURES_MAX], again[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  feature_read(set, state, now, values, texts);
  feature_read(set, state, now, again, texts);
  for (size_t i = 0; i < feature_count(set); i++) {
    CHECK(!isinf(values[i]) && memcmp(&values[i], &again[i], sizeof values[i]) == 0);
    CHECK(texts[i].n <= FEATURE_TEXT_MAX && bytes_is_utf8(texts[i]));
    if (feature_info(set, i)->is_text)
      CHECK(isnan(values[i]));
    else
      CHECK(texts[i].n == 0);
  }
}

// An event made of what is left of the input: its map twice, as properties and traits, and times at the edges and
// between.
static struct event event_of(struct bytes rest, unsigned step) {
  static const int64_t times[] = {INT64_MIN,     INT64_MAX,     -1,           0, 1767225600000,
                                  1767225600001, 1767312000000, 1767830400000};
  struct event e = {.type = (enum event_type)(step % EVENT_TYPES), .timestamp_ms = times[step * 5 % 8]};
  if (step & 1) e.name = BYTES_LIT("A");
  if (step & 2) e.channel = BYTES_LIT("web");
  e.properties = e.traits = e.context = rest;
  return e;
}

// Which of two merged leads is which does not show; a lead that had no event adds nothing; slices of all features are the same
// merge.
static void check_merge(const struct feature_set *set, const uint8_t *a, const uint8_t *b, int64_t now) {
  size_t size = feature_state_size(set), merged;
  uint8_t *one = xmalloc(size + 1), *other = xmalloc(size + 1);
  struct buf slices = {0};
  struct feature_mask all;
  memset(&all, 0xff, sizeof all);
  memcpy(one, a, size), memcpy(other, b, size);
  feature_state_merge(set, one, b, now), feature_state_merge(set, other, a, now);
  CHECK(memcmp(one, other, size) == 0);
  check_read(set, one, now);
  feature_state_init(set, other);
  feature_state_merge(set, other, a, now);
  CHECK(memcmp(other, a, size) == 0);
  memcpy(other, a, size);
  feature_slices_put(set, b, &all, &slices, NULL);
  CHECK(feature_slices_merge(set, other, buf_bytes(&slices), &merged, NULL) == 0 && merged <= feature_count(set));
  if (feature_accounts(set) == 0) CHECK(memcmp(one, other, size) == 0);
  free(one), free(other);
  buf_deinit(&slices);
}

static void run(const struct feature_set *set, const struct feature_set *twin, struct bytes map) {
  size_t size = feature_state_size(set);
  uint8_t *guarded = xmalloc(size + 2 * GUARD), *state = guarded + GUARD, *moved = xmalloc(size + 1);
  memset(guarded, 0xa5, size + 2 * GUARD);
  feature_state_init(set, state);
  int64_t now = 1767225600000;
  for (unsigned step = 0; step < 24; step++) {
    struct event e = event_of(map, step);
    CHECK(feature_fold(set, state, &e, now) <= feature_count(set));
    check_read(set, state, now);
    now += (int64_t)step * step * 3600000;
  }
  CHECK(feature_state_migrate(set, state, twin, moved) == feature_count(set));
  check_read(twin, moved, now);
  feature_state_init(set, moved);
  for (unsigned step = 3; step < 24; step += 2) {
    struct event e = event_of(map, step);
    feature_fold(set, moved, &e, now);
  }
  check_merge(set, state, moved, now);
  for (size_t i = 0; i < GUARD; i++) CHECK(guarded[i] == 0xa5 && guarded[GUARD + size + i] == 0xa5);
  free(guarded), free(moved);
}

// The input is declarations, then one value that becomes an event's properties.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct feature_set *set = NULL, *twin = NULL;
  struct error err = {0};
  struct bytes in = bytes_of(data, size);
  size_t first = 0, second = 0;
  int rc = feature_set_compile(in, &set, &err);
  if (rc == 0)
    feature_set_free(set), set = NULL;
  else
    check_refusal(rc, &err);
  if (mp_scan(in, &limits, &first, NULL) != 1) return 0;
  struct bytes declarations = bytes_of(data, first), rest = bytes_of(data + first, size - first), map = {0};
  if (mp_scan(rest, &limits, &second, NULL) == 1 && mp_peek(&(struct mp){rest.p, rest.p + second}) == MP_MAP)
    map = bytes_of(rest.p, second);
  err = (struct error){0};
  if ((rc = feature_set_compile(declarations, &set, &err)) != 0) {
    check_refusal(rc, &err);
    return 0;
  }
  CHECK(feature_set_compile(declarations, &twin, NULL) == 0);
  check_layout(set);
  check_twin(set, twin);
  run(set, twin, map);
  feature_set_free(set), feature_set_free(twin);
  return 0;
}
