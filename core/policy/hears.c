#include "policy/hears.h"

#include "wire/mp.h"

enum { MADE_OF_MAX = 16 }; // features in a line; the engine refuses a circle, and far shorter ones

static enum policy_hearing louder(enum policy_hearing a, enum policy_hearing b) { return a > b ? a : b; }

static bool has_text(struct bytes map, const char *key, struct bytes *text) {
  struct bytes value;
  return mp_find(map, bytes_str(key), &value) && mp_as_str(value, text);
}

// One alternative of an `on`: a name, or {type, event, channel}.
static enum policy_hearing hears_one(struct bytes alternative, const char *event) {
  static const char *const nameless[] = {"identify", "alias", "group"}; // no label waits for these
  struct bytes text;
  if (mp_as_str(alternative, &text) || has_text(alternative, "event", &text))
    return bytes_is(text, event) ? POLICY_HEARS_IT : POLICY_DEAF;
  for (size_t i = 0; has_text(alternative, "type", &text) && i < sizeof nameless / sizeof *nameless; i++)
    if (bytes_is(text, nameless[i])) return POLICY_DEAF;
  return POLICY_HEARS_ALL;
}

static enum policy_hearing hears_on(struct bytes on, const char *event) {
  enum policy_hearing hearing = POLICY_DEAF;
  if (mp_value_of(on).type != MP_ARRAY) return hears_one(on, event);
  struct mp m = mp_of(on);
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++)
    hearing = louder(hearing, hears_one(mp_take(&m), event));
  return hearing;
}

// Each step is an `on`, or a map with `on` and `where`, of which either may be absent.
static enum policy_hearing hears_steps(struct bytes steps, const char *event) {
  enum policy_hearing hearing = POLICY_DEAF;
  struct bytes on, where;
  if (mp_value_of(steps).type != MP_ARRAY) return POLICY_DEAF;
  struct mp m = mp_of(steps);
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++) {
    struct bytes step = mp_take(&m);
    if (mp_find(step, BYTES_LIT("on"), &on))
      hearing = louder(hearing, hears_on(on, event));
    else if (mp_find(step, BYTES_LIT("where"), &where))
      hearing = louder(hearing, POLICY_HEARS_ALL);
    else
      hearing = louder(hearing, hears_on(step, event));
  }
  return hearing;
}

static enum policy_hearing hears(const struct policy *policy, size_t feature, const char *event, int depth);

// A feature of features: ratio, difference (two), account (one, or a path or a score).
static enum policy_hearing hears_parts(const struct policy *policy, struct bytes of, const char *event, int depth) {
  enum policy_hearing hearing = POLICY_DEAF;
  struct mp m = mp_of(of);
  uint32_t count = mp_value_of(of).type == MP_ARRAY ? mp_next(&m).count : 1;
  for (uint32_t i = 0; i < count; i++) {
    struct bytes name;
    int part = mp_as_str(mp_take(&m), &name) ? feature_find(policy_features(policy), name) : -1;
    if (part >= 0) hearing = louder(hearing, hears(policy, (size_t)part, event, depth + 1));
  }
  return hearing;
}

static enum policy_hearing hears(const struct policy *policy, size_t feature, const char *event, int depth) {
  static const char *const by_parts[] = {"ratio", "difference", "account"};
  const char *op = feature_info(policy_features(policy), feature)->op;
  struct bytes declaration = policy_declaration(policy, feature), value;
  if (depth > MADE_OF_MAX) return POLICY_DEAF;
  for (size_t i = 0; i < sizeof by_parts / sizeof *by_parts; i++)
    if (strcmp(op, by_parts[i]) == 0)
      return mp_find(declaration, BYTES_LIT("of"), &value) ? hears_parts(policy, value, event, depth) : POLICY_DEAF;
  bool is_ordered = strcmp(op, "funnel") == 0 || strcmp(op, "sequence") == 0 || strcmp(op, "co_occurrence") == 0;
  if (is_ordered && mp_find(declaration, BYTES_LIT("steps"), &value)) return hears_steps(value, event);
  return mp_find(declaration, BYTES_LIT("on"), &value) ? hears_on(value, event) : POLICY_HEARS_ALL;
}

enum policy_hearing policy_hears(const struct policy *policy, size_t feature, const char *event) {
  return hears(policy, feature, event, 0);
}
