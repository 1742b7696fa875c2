// What the keys of a declaration mean together: window and tile, a decay's shape, what is taken of an event. Keys that an
// op has no use for at all are refused before.
#include "base/clock.h"
#include "base/pmath.h"
#include "feature/reader.h"
#include "feature/state.h"

const char *const window_names[WINDOW_NAMES] = {"today",        "this_week", "this_month",
                                                "this_quarter", "this_year", "session"};

static bool has(const struct reader *r, enum feature_key key) { return r->given >> key & 1; }

// ---- tiles ----
// A `part`-th of the span, to the nearest second.
static int64_t part_of(int64_t span_ms, int64_t part) {
  int64_t tile = (span_ms + part * 500) / (part * 1000) * 1000;
  return tile > 0 ? tile : 1000;
}

// `key` names the span in the fault.
static int set_tiles(const struct reader *r, const char *key, int64_t span_ms, int64_t tile_ms, int64_t tiles) {
  if (tile_ms > span_ms) return reader_fail(r, "tile is longer than %s", key);
  if (tiles > FEATURE_TILES_MAX) {
    char least[DURATION_TEXT_MAX];
    const int64_t unit = FEATURE_TILES_MAX * INT64_C(1000);
    bool is_over = tiles > (span_ms + tile_ms - 1) / tile_ms; // one more than fill it: a 32nd would be just too short
    duration_format((span_ms + (is_over ? unit : unit - 1)) / unit * 1000, least);
    return reader_fail(r, "%s holds %lld tiles, at most %d are allowed: a tile of at least %s", key, (long long)tiles,
                       FEATURE_TILES_MAX, least);
  }
  r->feature->tiles = (uint32_t)tiles;
  r->feature->tile_ms = tile_ms;
  return 0;
}

// ---- window ----
static int judge_days(const struct reader *r, struct spans spans) {
  static const uint32_t most[] = {0, 1, 7, 31, 92, 366};
  struct feature *f = r->feature;
  f->days = f->calendar ? most[f->calendar] : (uint32_t)(spans.window_ms / DAY_MS);
  if (!f->calendar && (spans.window_ms % DAY_MS != 0 || spans.window_ms > FEATURE_DAYS_MAX * (int64_t)DAY_MS))
    return reader_fail(r, "window of %s must be whole days, 1d to %dd, or one of the calendar", f->op->name,
                       FEATURE_DAYS_MAX);
  return 0;
}

static int judge_session(const struct reader *r) {
  struct feature *f = r->feature;
  if (!f->op->in_session)
    return reader_fail(r, "window \"session\" does not go with %s; it goes with: count, sum", f->op->name);
  if (has(r, KEY_tile) || has(r, KEY_zone))
    return reader_fail(r, "%s does not go with window \"session\"", has(r, KEY_tile) ? "tile" : "zone");
  f->op = f->op->in_session;
  return 0;
}

static int judge_window(const struct reader *r, struct spans spans) {
  struct feature *f = r->feature;
  if (!(f->op->keys & KEY_BIT(window))) return 0;
  if (f->by_session) return judge_session(r);
  if (f->op->in_session && has(r, KEY_session_gap)) return reader_fail(r, "session_gap needs window \"session\"");
  if (!f->op->has_edge && !(f->op->keys & KEY_BIT(tile))) return judge_days(r, spans);
  if (has(r, KEY_tile) && !has(r, KEY_window)) return reader_fail(r, "tile needs window");
  if (has(r, KEY_tile) && f->calendar)
    return reader_fail(r, "tile does not go with window \"%s\"", window_names[f->calendar - 1]);
  if (has(r, KEY_zone) && !f->calendar)
    return reader_fail(r, "zone needs a window of the calendar: today, this_week, this_month, this_quarter, this_year");
  if (f->calendar) f->tiles = 1;
  if (f->op->has_edge) f->window_ms = spans.window_ms;
  if (f->op->has_edge || f->calendar || !has(r, KEY_window)) return 0;
  int64_t tile_ms = has(r, KEY_tile) ? spans.tile_ms : part_of(spans.window_ms, 7);
  return set_tiles(r, "window", spans.window_ms, tile_ms, (spans.window_ms + tile_ms - 1) / tile_ms);
}

// ---- decay ----
static int judge_step(const struct reader *r, struct spans spans) {
  struct feature *f = r->feature;
  int64_t last_ms = f->ages[f->age_count - 1].age_ms, unit = FEATURE_TILES_MAX * INT64_C(1000);
  int64_t tile_ms = has(r, KEY_tile) ? spans.tile_ms : (last_ms + unit - 1) / unit * 1000;
  if (tile_ms > f->ages[0].age_ms) {
    char text[DURATION_TEXT_MAX];
    duration_format(tile_ms, text);
    return reader_fail(r, "the first step is shorter than a tile, %s; the last one may be at most %d times the first",
                       text, FEATURE_TILES_MAX);
  }
  return set_tiles(r, "the last step", last_ms, tile_ms, (last_ms + tile_ms - 1) / tile_ms);
}

static int judge_shape(const struct reader *r, struct spans spans) {
  static const struct {
    const char *name, *needs;
    enum feature_key key;
  } shapes[] = {
      {"exponential", "half_life", KEY_half_life}, {"linear", "over", KEY_over}, {"step", "steps", KEY_steps}};
  struct feature *f = r->feature;
  for (unsigned i = 0; i < 3; i++)
    if (i != f->shape && has(r, shapes[i].key))
      return reader_fail(r, "%s does not go with shape \"%s\"; it goes with \"%s\"", shapes[i].needs,
                         shapes[f->shape].name, shapes[i].name);
  if (!has(r, shapes[f->shape].key))
    return reader_fail(r, "decay of shape \"%s\" needs %s", shapes[f->shape].name, shapes[f->shape].needs);
  if (f->shape == SHAPE_EXPONENTIAL)
    return has(r, KEY_tile) ? reader_fail(r, "tile needs shape \"linear\" or \"step\"") : 0;
  f->op = f->op->shapes[f->shape];
  if (f->shape == SHAPE_STEP) return judge_step(r, spans);
  // The tile that `over` ends in is left out; when `over` ends just where it begins it is not.
  int64_t tile_ms = has(r, KEY_tile) ? spans.tile_ms : part_of(f->over_ms, 16);
  return set_tiles(r, "over", f->over_ms, tile_ms, f->over_ms / tile_ms + 1);
}

// ---- what is taken ----
static int judge_text(const struct reader *r) {
  struct feature *f = r->feature;
  bool is_word = f->source == SOURCE_CHANNEL || f->source == SOURCE_EVENT;
  if ((f->part != PART_WHOLE || is_word) && has(r, KEY_text) && !f->info.is_text)
    return reader_fail(r, "%s, so text cannot be false", is_word ? "channel and event are text" : "part takes text");
  if (f->part != PART_WHOLE || is_word) f->info.is_text = true;
  if (f->info.is_text) f->input = INPUT_TEXT;
  return 0;
}

// ---- accounts ----
static int judge_trait(const struct reader *r) {
  struct feature *f = r->feature;
  if (f->source != SOURCE_PATH)
    return reader_fail(r, "roll \"trait\" needs of: a path of group events, such as \"traits.plan\"");
  if (has(r, KEY_window) || has(r, KEY_tile)) return reader_fail(r, "window does not go with roll \"trait\"");
  f->input = INPUT_NUMBER;
  return judge_text(r);
}

static int judge_account(const struct reader *r, struct spans spans) {
  struct feature *f = r->feature;
  bool is_touch = f->roll == ROLL_PEOPLE || f->roll == ROLL_FIRST_TOUCH || f->roll == ROLL_LAST_TOUCH;
  if (f->roll == ROLL_TRAIT) return judge_trait(r);
  if (has(r, KEY_text) || has(r, KEY_part)) return reader_fail(r, "text and part need roll \"trait\"");
  if (f->source == SOURCE_PATH) return reader_fail(r, "of names a path, and that needs roll \"trait\"");
  if (is_touch && has(r, KEY_of)) return reader_fail(r, "of does not go with this roll: it is of the leads' touches");
  if (!is_touch && !has(r, KEY_of)) return reader_fail(r, "this roll needs of: a feature's name, or a score");
  if (is_touch && has(r, KEY_urgent)) return reader_fail(r, "urgent needs a roll that is of a feature or a score");
  f->info.is_duration = f->roll == ROLL_LATEST || f->roll == ROLL_FIRST_TOUCH || f->roll == ROLL_LAST_TOUCH;
  f->source = SOURCE_NONE;
  if (has(r, KEY_tile) && !has(r, KEY_window)) return reader_fail(r, "tile needs window");
  if (!has(r, KEY_window)) return 0;
  if (f->roll != ROLL_PEOPLE) return reader_fail(r, "window goes with roll \"people\" alone");
  if (f->calendar || f->by_session)
    return reader_fail(r, "window of an account's people is a duration, such as \"7d\"");
  int64_t tile_ms = has(r, KEY_tile) ? spans.tile_ms : part_of(spans.window_ms, 7);
  return set_tiles(r, "window", spans.window_ms, tile_ms, (spans.window_ms + tile_ms - 1) / tile_ms);
}

static int judge_input(const struct reader *r) {
  struct feature *f = r->feature;
  f->input = f->op->input;
  if (f->input == INPUT_CLOCK) f->source = SOURCE_CLOCK, f->of_text = BYTES_LIT("context.timezone");
  if (f->input == INPUT_NUMBER && f->source == SOURCE_NONE) f->input = INPUT_NONE; // decay counts
  if (f->source != SOURCE_PATH && f->part != PART_WHOLE) return reader_fail(r, "part needs a path in of");
  return f->op->text ? judge_text(r) : 0;
}

// ---- the whole ----
// As many registers as fit where the exact hashes lie.
static void judge_precision(struct feature *f) {
  if (f->precision) return;
  f->precision = FEATURE_PRECISION_MIN;
  while (UINT32_C(2) << f->precision <= 8 * f->limit) f->precision++;
}

static void judge_quantile(struct feature *f) {
  if (f->accuracy == 0) f->accuracy = 0.05;
  f->bin_log = pm_log((1 + f->accuracy) / (1 - f->accuracy));
}

int judge(const struct reader *r, struct spans spans) {
  struct feature *f = r->feature;
  const struct feature_op *op = f->op;
  if (op->stats && f->stat == STAT_NONE) f->stat = STAT_LAST;
  if (op->keys & KEY_BIT(precision)) judge_precision(f);
  if (op->keys & KEY_BIT(accuracy)) judge_quantile(f);
  if (op->is_account) return judge_account(r, spans);
  int rc = judge_window(r, spans);
  if (rc == 0 && (op->keys & KEY_BIT(shape))) rc = judge_shape(r, spans);
  return rc == 0 ? judge_input(r) : rc;
}
