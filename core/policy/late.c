// Features that come late: which of them decisions depend on, and a policy that declares another one's beside its own.
#include "policy/parts.h"

#include <stdio.h>

#include "base/hash.h"
#include "wire/mp.h"

// ---- what decisions depend on ----
static void need(const struct policy *policy, size_t feature, struct feature_mask *needs);

static void need_named(const struct policy *policy, struct bytes name, struct feature_mask *needs) {
  int at = feature_find(policy->features, name);
  if (at >= 0) need(policy, (size_t)at, needs);
}

// A ratio's two features; the one that an account adds up.
static void need_inputs(const struct policy *policy, size_t feature, struct feature_mask *needs) {
  struct bytes of, name;
  if (!mp_find(policy_declaration(policy, feature), BYTES_LIT("of"), &of)) return;
  if (mp_as_str(of, &name)) {
    need_named(policy, name, needs);
    return;
  }
  if (mp_value_of(of).type != MP_ARRAY) return;
  struct mp m = mp_of(of);
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++)
    if (mp_as_str(mp_take(&m), &name)) need_named(policy, name, needs);
}

static void need(const struct policy *policy, size_t feature, struct feature_mask *needs) {
  if (feature_has_history(policy->features, feature))
    feature_mask_add(needs, feature);
  else
    need_inputs(policy, feature, needs); // of features declared with a history, or of derived ones: never of itself
}

static void need_terms(const struct policy *policy, const struct model_bound *model, struct feature_mask *needs) {
  for (size_t t = 0; model && t < model_terms(model); t++) need(policy, (size_t)model_term_feature(model, t), needs);
}

void policy_needs(const struct policy *policy, struct feature_mask *needs) {
  const struct artifact *a = policy->artifact;
  *needs = (struct feature_mask){0};
  for (size_t i = 0; i < a->read_count; i++) need(policy, a->reads[i].feature, needs);
  for (size_t i = 0; i < a->test_count; i++) need(policy, (size_t)policy->test_feature[i], needs);
  for (size_t i = 0; i < a->age_count; i++) need(policy, (size_t)policy->age_feature[i], needs);
  for (size_t i = 0; i < a->quiet_count; i++)
    if (policy->quiet_feature[i] >= 0) need(policy, (size_t)policy->quiet_feature[i], needs);
  for (int role = 0; role < BUNDLE_MODELS; role++)
    need_terms(policy, policy->bound[role], needs), need_terms(policy, policy->canary[role], needs);
}

// ---- declarations as text ----
static void write_text(struct bytes text, struct buf *out) {
  buf_append_u8(out, '"');
  for (size_t i = 0; i < text.n; i++) {
    uint8_t c = text.p[i];
    if (c >= ' ' && c < 127 && c != '"' && c != '\\')
      buf_append_u8(out, c);
    else
      buf_printf(out, "\\%03u", c);
  }
  buf_append_u8(out, '"');
}

static void write_value(struct mp *m, struct buf *out) {
  struct mp_value v = mp_next(m);
  bool is_map = v.type == MP_MAP;
  if (v.type == MP_STR || v.type == MP_BIN) {
    write_text(v.s, out);
  } else if (v.type == MP_BOOL) {
    buf_append_str(out, v.b ? "true" : "false");
  } else if (v.type == MP_INT) {
    buf_printf(out, "%lld", (long long)v.i);
  } else if (v.type == MP_FLOAT) {
    buf_printf(out, "%.17g", v.f);
  } else if (is_map || v.type == MP_ARRAY) {
    buf_append_str(out, "{ ");
    for (uint32_t i = 0; i < v.count; i++) {
      if (is_map) buf_append_u8(out, '['), write_value(m, out), buf_append_str(out, "] = ");
      write_value(m, out);
      buf_append_str(out, ", ");
    }
    buf_append_u8(out, '}');
  } else {
    buf_append_str(out, "nil"); // no declaration that compiled holds more
  }
}

// What a set's head says for all of its features must be said here: the set that this goes to has another head.
static bool lacks_lateness(const struct feature_info *info, struct bytes declaration) {
  static const char *const ordered[] = {"funnel", "sequence", "co_occurrence"};
  struct bytes value;
  for (size_t i = 0; i < sizeof ordered / sizeof *ordered; i++)
    if (strcmp(info->op, ordered[i]) == 0) return !mp_find(declaration, BYTES_LIT("lateness"), &value);
  return false;
}

static void write_feature(const struct policy *base, const struct policy *target, size_t feature, struct buf *out) {
  const struct feature_info *info = feature_info(target->features, feature);
  struct bytes declaration = policy_declaration(target, feature), key;
  struct mp m = mp_of(declaration);
  bool is_taken = feature_find(base->features, bytes_str(info->name)) >= 0;
  buf_append_str(out, "  { name = ");
  if (is_taken)
    buf_printf(out, "\"late_%016llx\"", (unsigned long long)info->definition_hash);
  else
    write_text(bytes_str(info->name), out);
  if (lacks_lateness(info, declaration)) buf_append_str(out, ", lateness = \"30d\"");
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++) {
    if (!mp_as_str(mp_take(&m), &key) || bytes_is(key, "name")) {
      mp_take(&m);
      continue;
    }
    buf_append_str(out, ", [");
    write_text(key, out);
    buf_append_str(out, "] = ");
    write_value(&m, out);
  }
  buf_append_str(out, " },\n");
}

// ---- beside ----
static bool is_lacking(const struct policy *base, const struct policy *target, size_t feature) {
  const struct feature_set *set = target->features;
  uint64_t hash = feature_info(set, feature)->definition_hash;
  if (!feature_has_history(set, feature) || feature_defines(base->features, hash)) return false;
  for (size_t i = 0; i < feature; i++)
    if (feature_info(set, i)->definition_hash == hash) return false; // one name for each definition
  return true;
}

// Of the schemas that change events: whatever else a set's schemas say, features see the same.
static uint64_t upcasts_of(const struct policy *policy) {
  struct bytes schemas = policy->artifact->schemas, upcast;
  uint64_t sum = 0;
  if (!schemas.n || mp_value_of(schemas).type != MP_ARRAY) return 0;
  struct mp m = mp_of(schemas);
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++) {
    struct bytes schema = mp_take(&m);
    if (mp_find(schema, BYTES_LIT("upcast"), &upcast)) sum += hash64(schema); // whichever file it is in
  }
  return sum;
}

static void write_features(const struct policy *base, const struct policy *target, size_t *count, struct buf *out) {
  buf_printf(out,
             "-- Declared beside the version in force, and read by nothing until they are filled in: version %s does.\n"
             "return {\n",
             target->info.version);
  for (size_t i = *count = 0; i < feature_count(target->features); i++)
    if (is_lacking(base, target, i)) write_feature(base, target, i, out), (*count)++;
  buf_append_str(out, "}\n");
}

static int check_beside(const struct policy *both, const struct policy *target, struct error *err) {
  for (size_t i = 0; i < feature_count(target->features); i++)
    if (is_lacking(both, target, i))
      return error_set(
          err, ITD_EPOLICY,
          "feature %s can't be declared beside those in force: put a version in force that declares it and "
          "does not read it, then this one",
          feature_info(target->features, i)->name);
  return 0;
}

static int load_beside(struct policy *base, const struct policy *target, struct bytes text,
                       const struct lua_limits *limits, struct policy **out, struct error *err) {
  char path[192];
  struct policy *both = NULL;
  if (upcasts_of(base) != upcasts_of(target))
    return error_set(err, ITD_EPOLICY,
                     "schemas of %s change older events (upcast) otherwise than those in force do: put a version in "
                     "force that has its schemas and reads none of its new features, then this one",
                     target->info.version);
  snprintf(path, sizeof path, "policies/signals/%s/features/zz_late_%016llx.lua", base->artifact->signal_set,
           (unsigned long long)hash64(text));
  int status = policy_load_more(base, path, text, limits, &both, err);
  if (status == 0) status = check_beside(both, target, err);
  if (status == 0)
    *out = both;
  else
    policy_release(both);
  return status;
}

int policy_beside(struct policy *base, const struct policy *target, const struct lua_limits *limits,
                  struct policy **out, struct error *err) {
  struct buf text = {0};
  size_t count;
  int status = 0;
  write_features(base, target, &count, &text);
  if (count)
    status = load_beside(base, target, buf_bytes(&text), limits, out, err);
  else
    policy_retain(*out = base);
  buf_deinit(&text);
  return status;
}
