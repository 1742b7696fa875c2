// One declaration: each key read by its own function, then what belongs to the op judged as a whole. Defaults are
// filled in here, so that everything behind this file sees one form.
#include "base/clock.h"
#include "feature/reader.h"
#include "feature/state.h"
#include <stdio.h>

static const char *const keys[] = {
#define XX(key) #key,
    FEATURE_KEY_MAP(XX)
#undef XX
};

static size_t op_names(const char *names[FEATURE_OPS_MAX]) {
  for (size_t i = 0; i < feature_ops_count; i++) names[i] = feature_ops[i].name;
  return feature_ops_count;
}

// ---- the keys ----
static bool is_name(struct bytes text) {
  if (text.n == 0 || text.n > FEATURE_NAME_MAX || text.p[0] < 'a' || text.p[0] > 'z') return false;
  for (size_t i = 0; i < text.n; i++) {
    uint8_t c = text.p[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

// Comes before all other keys, so that every fault can say whose it is.
static int find_name(struct reader *r, struct bytes map) {
  struct bytes value, text;
  char quoted[SHOWN_MAX];
  if (!mp_find(map, BYTES_LIT("name"), &value)) return reader_fail(r, "name is missing");
  if (!mp_as_str(value, &text)) return reader_fail(r, "name must be text, not %s", kind_of(value));
  if (!is_name(text))
    return reader_fail(r, "name %s is not allowed: a to z first, then also 0 to 9 and _, at most %d bytes",
                       shown(text, quoted), FEATURE_NAME_MAX);
  r->feature->info.name = arena_str(r->arena, text);
  snprintf(r->who, sizeof r->who, "%s", r->feature->info.name);
  return 0;
}

static int find_op(struct reader *r, struct bytes map) {
  const char *names[FEATURE_OPS_MAX];
  struct bytes value;
  size_t index, count = op_names(names);
  char list[LIST_MAX];
  if (!mp_find(map, BYTES_LIT("op"), &value))
    return reader_fail(r, "op is missing; allowed: %s", list_names(names, count, UINT32_MAX, list));
  int rc = read_name(r, "op", value, names, count, &index);
  if (rc != 0) return rc;
  r->feature->op = &feature_ops[index];
  r->feature->info.op = feature_ops[index].name;
  return 0;
}

// Which features these are is only known when all have been read.
static int read_operands(struct reader *r, struct bytes value) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY || head.count != 2)
    return reader_fail(r, "of must be a list of two features' names, like {\"a\", \"b\"}, for %s",
                       r->feature->op->name);
  for (unsigned k = 0; k < 2; k++) {
    int rc = read_text(r, "a name in of", mp_take(&m), FEATURE_NAME_MAX, &r->feature->operand_names[k]);
    if (rc != 0) return rc;
  }
  return 0;
}

static int read_of(struct reader *r, struct bytes value) {
  struct feature *f = r->feature;
  if (f->op->derive) return read_operands(r, value);
  struct bytes text;
  if (f->op->is_account) {
    bool is_path = mp_as_str(value, &text) && text.n > 7 && memcmp(text.p, "traits.", 7) == 0;
    if (!is_path) return read_text(r, "of", value, FEATURE_NAME_MAX, &f->of_text);
    f->source = SOURCE_PATH; // of roll "trait"
    return read_path(r, "of", value, &f->of_text);
  }
  if (f->op->of_names && mp_as_str(value, &text)) {
    f->source = bytes_is(text, "channel") ? SOURCE_CHANNEL : bytes_is(text, "event") ? SOURCE_EVENT : SOURCE_NONE;
    if (f->source != SOURCE_NONE) return 0;
  }
  f->source = SOURCE_PATH;
  return read_path(r, "of", value, &f->of_text);
}

static int read_part(struct reader *r, struct bytes value) {
  static const char *const parts[] = {"lower", "domain"};
  size_t index;
  int rc = read_name(r, "part", value, parts, 2, &index);
  if (rc == 0) r->feature->part = index == 0 ? PART_LOWER : PART_DOMAIN;
  return rc;
}

static int read_class(struct reader *r, struct bytes value) {
  static const char *const classes[] = {[FEATURE_BEHAVIOUR] = "behaviour", [FEATURE_PROFILE] = "profile"};
  size_t index;
  int rc = read_name(r, "class", value, classes, 2, &index);
  if (rc == 0) r->feature->info.class = (enum feature_class)index;
  return rc;
}

static const char *const freshness_names[] = {
    [FEATURE_LIVE] = "live", [FEATURE_MINUTES] = "minutes", [FEATURE_BATCH] = "batch"};
const char *feature_freshness_name(enum feature_freshness freshness) { return freshness_names[freshness]; }

static int read_freshness(struct reader *r, struct bytes value) {
  size_t index;
  int rc = read_name(r, "freshness", value, freshness_names, 3, &index);
  if (rc == 0) r->feature->info.freshness = (enum feature_freshness)index;
  return rc;
}

#define DESCRIPTION_MAX 1000 // bytes
#define OWNER_MAX       200
static int read_note(struct reader *r, const char *key, struct bytes value, size_t max, const char **out) {
  struct bytes text;
  if (mp_as_str(value, &text) && text.n == 0) return 0;
  int rc = read_text(r, key, value, max, &text);
  if (rc == 0) *out = (const char *)text.p; // the arena ends copies with a NUL
  return rc;
}

static int read_zone(struct reader *r, struct bytes value) {
  struct bytes name;
  int64_t minutes = 0;
  if (!mp_as_str(value, &name)) {
    int rc = read_int(r, "zone", value, -12 * 60, 14 * 60, &minutes);
    r->feature->zone = zone_fixed((int32_t)minutes * 60);
    return rc;
  }
  if (zone_find(name, &r->feature->zone)) return 0;
  char quoted[SHOWN_MAX], near[SHOWN_MAX];
  const char **names = arena_alloc(r->arena, zone_count() * sizeof *names);
  for (size_t i = 0; i < zone_count(); i++) names[i] = zone_name(i);
  return reader_fail(r, "unknown zone %s%s; allowed: minutes from UTC, or an IANA name like \"Europe/Amsterdam\"",
                     shown(name, quoted), did_you_mean(name, names, zone_count(), near));
}

static int read_limit(struct reader *r, struct bytes value) {
  int64_t limit = 0;
  if (r->feature->op->limit_max == 0) return 0; // judge_keys says so
  int rc = read_int(r, "limit", value, r->feature->op->limit_min, r->feature->op->limit_max, &limit);
  r->feature->limit = (uint32_t)limit;
  return rc;
}

static int read_precision(struct reader *r, struct bytes value) {
  int64_t precision = 0;
  int rc = read_int(r, "precision", value, FEATURE_PRECISION_MIN, FEATURE_PRECISION_MAX, &precision);
  r->feature->precision = (uint32_t)precision;
  return rc;
}

static int read_pending(struct reader *r, struct bytes value) {
  int64_t pending = 0;
  int rc = read_int(r, "pending", value, FEATURE_PENDING_MIN, FEATURE_PENDING_MAX, &pending);
  r->feature->pending = (uint32_t)pending;
  return rc;
}

static int read_shape(struct reader *r, struct bytes value) {
  static const char *const shapes[] = {
      [SHAPE_EXPONENTIAL] = "exponential", [SHAPE_LINEAR] = "linear", [SHAPE_STEP] = "step"};
  size_t index;
  int rc = read_name(r, "shape", value, shapes, 3, &index);
  if (rc == 0) r->feature->shape = (enum shape)index;
  return rc;
}

static int read_stat(struct reader *r, struct bytes value) {
  static const char *const stats[] = {"last", "mean", "max", "total"};
  const char *names[4];
  enum stat meant[4];
  size_t index, count = 0;
  for (unsigned i = 0; i < 4; i++)
    if (r->feature->op->stats >> (STAT_LAST + i) & 1)
      names[count] = stats[i], meant[count++] = (enum stat)(STAT_LAST + i);
  if (count == 0) return 0; // judge_keys says so
  int rc = read_name(r, "stat", value, names, count, &index);
  if (rc == 0) r->feature->stat = meant[index];
  return rc;
}

static int read_roll(struct reader *r, struct bytes value) {
  static const char *const rolls[] = {[ROLL_PEOPLE] = "people",
                                      [ROLL_DISTINCT] = "distinct",
                                      [ROLL_SUM] = "sum",
                                      [ROLL_MEAN] = "mean",
                                      [ROLL_MIN] = "min",
                                      [ROLL_MAX] = "max",
                                      [ROLL_LATEST] = "latest",
                                      [ROLL_FIRST_TOUCH] = "first_touch",
                                      [ROLL_LAST_TOUCH] = "last_touch",
                                      [ROLL_TRAIT] = "trait"};
  size_t index;
  int rc = read_name(r, "roll", value, rolls, sizeof rolls / sizeof *rolls, &index);
  if (rc == 0) r->feature->roll = (enum roll)index;
  return rc;
}

// Names begin with a letter, durations with a digit.
static int read_window(struct reader *r, struct bytes value, struct spans *spans) {
  struct bytes text;
  size_t index;
  if (!mp_as_str(value, &text) || text.n == 0 || text.p[0] < 'a' || text.p[0] > 'z')
    return read_duration(r, "window", value, 1000, &spans->window_ms);
  int rc = read_name(r, "window", value, window_names, WINDOW_NAMES, &index);
  if (rc != 0) return rc;
  if (index == WINDOW_SESSION)
    r->feature->by_session = true;
  else
    r->feature->calendar = (enum calendar)(CALENDAR_DAY + index);
  return 0;
}

static int read_one(struct reader *r, enum feature_key key, struct bytes value, struct spans *spans) {
  struct feature *f = r->feature;
  switch (key) {
  case KEY_on: return read_on(r, value, &f->on, &f->on_count);
  case KEY_where: return read_where(r, value, &f->where, &f->where_count);
  case KEY_of: return read_of(r, value);
  case KEY_part: return read_part(r, value);
  case KEY_text: return read_bool(r, "text", value, &f->info.is_text);
  case KEY_window: return read_window(r, value, spans);
  case KEY_tile: return read_duration(r, "tile", value, 1000, &spans->tile_ms);
  case KEY_half_life: return read_duration(r, "half_life", value, 1000, &f->half_life_ms);
  case KEY_session_gap: return read_duration(r, "session_gap", value, 1000, &f->session_gap_ms);
  case KEY_limit: return read_limit(r, value);
  case KEY_precision: return read_precision(r, value);
  case KEY_q: return read_number(r, "q", value, 0, 1, &f->q);
  case KEY_accuracy: return read_number(r, "accuracy", value, 0.001, 0.5, &f->accuracy);
  case KEY_shape: return read_shape(r, value);
  case KEY_over: return read_duration(r, "over", value, 1000, &f->over_ms);
  case KEY_stat: return read_stat(r, value);
  case KEY_zone: return read_zone(r, value);
  case KEY_steps: return f->op->keys & KEY_BIT(shape) ? read_ages(r, value) : read_steps(r, value);
  case KEY_within: return read_duration(r, "within", value, 1000, &f->within_ms);
  case KEY_pending: return read_pending(r, value);
  case KEY_roll: return read_roll(r, value);
  case KEY_urgent: return read_bool(r, "urgent", value, &f->is_urgent);
  case KEY_lateness: return read_duration(r, "lateness", value, 1000, &f->lateness_ms);
  case KEY_class: return read_class(r, value);
  case KEY_personal: return read_bool(r, "personal", value, &f->info.is_personal);
  case KEY_freshness: return read_freshness(r, value);
  case KEY_max_age: return read_duration(r, "max_age", value, 1000, &f->info.max_age_ms);
  case KEY_description: return read_note(r, "description", value, DESCRIPTION_MAX, &f->info.description);
  case KEY_owner: return read_note(r, "owner", value, OWNER_MAX, &f->info.owner);
  default: return 0; // name and op are read
  }
}

// ---- the whole ----
// Says which ops a key belongs to.
static int fail_key(const struct reader *r, enum feature_key key) {
  if (r->feature->op->refused >> key & 1)
    return reader_fail(r, "%s does not go with %s: %s", keys[key], r->feature->op->name,
                       r->feature->op->derive || r->feature->op->is_account ? "it reads features, not events"
                                                                            : "each of its steps has its own");
  const char *names[FEATURE_OPS_MAX];
  char list[LIST_MAX];
  size_t count = op_names(names);
  uint32_t mask = 0;
  for (size_t i = 0; i < count; i++)
    if (feature_ops[i].keys >> key & 1) mask |= 1u << i;
  return reader_fail(r, "%s does not go with %s; it goes with: %s", keys[key], r->feature->op->name,
                     list_names(names, count, mask, list));
}

static int judge_keys(const struct reader *r) {
  const struct feature_op *op = r->feature->op;
  for (unsigned key = 0; key < FEATURE_KEYS; key++) {
    bool given = r->given >> key & 1;
    if (given && !((op->keys | (KEYS_ALWAYS & ~op->refused)) >> key & 1)) return fail_key(r, (enum feature_key)key);
    if (!given && (op->required >> key & 1)) return reader_fail(r, "%s needs %s", op->name, keys[key]);
  }
  return 0;
}

int declaration_parse(struct bytes map, size_t number, struct arena *arena, struct feature *out, struct error *err) {
  struct reader r = {.arena = arena, .err = err, .feature = out};
  struct spans spans = {0};
  *out = (struct feature){.session_gap_ms = 30 * 60000,
                          .pending = 16,
                          .lateness_ms = 30 * (int64_t)DAY_MS,
                          .info = {.description = "", .owner = ""}};
  snprintf(r.who, sizeof r.who, "#%zu", number);
  if (mp_value_of(map).type != MP_MAP) return reader_fail(&r, "a declaration must be a map, not %s", kind_of(map));
  int rc = find_name(&r, map);
  if (rc == 0) rc = find_op(&r, map);
  if (rc != 0) return rc;
  out->limit = out->op->limit_default;
  out->info.is_duration = out->op->is_duration;
  struct mp m = mp_of(map);
  for (uint32_t pairs = mp_next(&m).count; pairs > 0; pairs--) {
    size_t key;
    struct bytes word = mp_take(&m), value = mp_take(&m);
    if ((rc = read_key(&r, "the declaration", word, keys, FEATURE_KEYS, &r.given, &key)) != 0) return rc;
    if ((rc = read_one(&r, (enum feature_key)key, value, &spans)) != 0) return rc;
  }
  if ((rc = judge_keys(&r)) != 0) return rc;
  return judge(&r, spans);
}
