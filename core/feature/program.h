// The compiled form of a set: what the files of this layer share. From outside, feature.h is the whole of it.
//
//   declaration.c  a MessagePack map -> struct feature and what is declared about it, every fault named
//   judge.c        what its keys mean together: windows, shapes, defaults
//   definition.c   struct feature -> the hash of what it means, however it was spelled
//   dispatch.c     an event's type, name and channel -> the features that may change
//   program.c      all of it together: layout, lookup, migration
//   account.c      features of the lead's account: filled from a copy that comes by messages
//   derived.c      features of other features: no state, read after the others
//   ordered.c      what the ops share to which the order of matches counts
//   fold.c read.c  the way of an event, and of a question
//   latest.c       how old a feature is: the time of its latest match
//   ops.c          the table of ops; op_*.c what each keeps and computes; tiles.c what windows stand on
#pragma once
#include "feature/calendar.h"
#include "feature/feature.h"
#include "feature/names.h"
#include "feature/scalar.h"

#define FEATURE_ON_MAX        32  // alternatives of one feature
#define FEATURE_WHERE_MAX     16  // conditions of one feature
#define FEATURE_IN_MAX        256 // values of one `in`
#define FEATURE_WORD_MAX      256 // bytes of a path, an event's name or a channel
#define FEATURE_NAME_MAX      64  // bytes of a feature's name
#define FEATURE_PATHS_MAX     512 // different paths of a set
#define FEATURE_TILES_MAX     32  // of one window
#define FEATURE_STEPS_MAX     8   // of an ordered op, and of a decay
#define FEATURE_PENDING_MIN   4   // matches that an ordered op keeps in order
#define FEATURE_PENDING_MAX   64
#define FEATURE_DAYS_MAX      400  // of active_days
#define FEATURE_COMMON_MAX    64   // values of most_common
#define FEATURE_LIMIT_MAX     1024 // values of distinct
#define FEATURE_PRECISION_MIN 4    // of distinct: bits of a register's number
#define FEATURE_PRECISION_MAX 14
#define FEATURE_MASK_WORDS    (FEATURES_MAX / 64)

// What an op takes from an event.
enum input { INPUT_NONE, INPUT_NUMBER, INPUT_TEXT, INPUT_VALUE, INPUT_CLOCK };
// Where it takes it from.
enum source { SOURCE_NONE, SOURCE_PATH, SOURCE_CHANNEL, SOURCE_EVENT, SOURCE_CLOCK };

// One match, as an op sees it.
struct sample {
  int64_t time_ms;
  double number;     // INPUT_NUMBER; 1 for INPUT_NONE
  struct bytes text; // INPUT_TEXT
  uint64_t hash;     // INPUT_VALUE
  uint32_t steps;    // of an ordered op: bit i for its step i, from 0
  int64_t local_ms;  // INPUT_CLOCK: time_ms as a clock at the match shows it
};

// One alternative of `on`. Empty: any.
struct alternative {
  uint8_t types; // bit for each enum event_type
  struct bytes event, channel;
};

enum test { TEST_IN, TEST_EXISTS, TEST_ABSENT, TEST_AT_LEAST, TEST_UNDER, TEST_STARTS_WITH };
struct condition {
  enum test test;
  uint16_t path;           // number in the set's paths
  uint32_t in_count;       // TEST_IN, also for `is`
  const struct scalar *in; // sorted, without doubles
  double bound;            // TEST_AT_LEAST, TEST_UNDER
  struct bytes text;       // TEST_STARTS_WITH
  struct bytes path_text;
};

// A step of an ordered op: what `on` and `where` are to other features.
struct step {
  const struct alternative *on; // on_count 0: every event
  const struct condition *where;
  uint32_t on_count, where_count;
};
// What decay weighs a match by.
enum shape { SHAPE_EXPONENTIAL, SHAPE_LINEAR, SHAPE_STEP };
struct age {
  int64_t age_ms; // a younger match
  double weight;  // weighs this
};
// Which of several gaps or lengths is the value.
enum stat { STAT_NONE, STAT_LAST, STAT_MEAN, STAT_MAX, STAT_TOTAL };
// What an account makes of what its leads hand over.
enum roll {
  ROLL_PEOPLE,
  ROLL_DISTINCT,
  ROLL_SUM,
  ROLL_MEAN,
  ROLL_MIN,
  ROLL_MAX,
  ROLL_LATEST,
  ROLL_FIRST_TOUCH,
  ROLL_LAST_TOUCH,
  ROLL_TRAIT // of the account's group events
};
enum score { SCORE_NONE, SCORE_FIT, SCORE_ENGAGEMENT };

struct feature_op;
struct feature {
  const struct feature_op *op;
  uint32_t offset, size; // of its part of the state
  enum input input;
  enum source source;
  enum text_part part;
  uint16_t of; // SOURCE_PATH: number in the set's paths
  uint32_t where_count, on_count;
  const struct condition *where;
  int64_t tile_ms;
  uint32_t tiles; // 0: all time
  uint32_t limit, precision;
  enum calendar calendar; // then a tile is a period of it, and tile_ms is 0
  bool by_session;        // window "session"
  uint32_t days;          // active_days: how many are kept
  struct zone zone;
  enum shape shape;
  enum stat stat;
  int64_t over_ms;    // SHAPE_LINEAR
  uint32_t age_count; // SHAPE_STEP
  const struct age *ages;
  double q, accuracy, bin_log; // quantile; the last follows from accuracy
  int64_t half_life_ms, session_gap_ms;
  uint32_t latest;          // offset of the latest match's time, where has_age
  bool keeps_latest;        // as 8 bytes of its own behind the op's; else the op keeps it
  const struct step *steps; // of an ordered op; `on` then holds the alternatives of all, `where` nothing
  uint32_t step_count, pending;
  int64_t within_ms, lateness_ms;
  const struct feature *operands[2]; // of a derived one, in the same set; its size is 0, and no event reaches it
  struct bytes operand_names[2];
  bool is_age_asked; // by a derived one, or an account's
  enum roll roll;    // of an account's feature
  bool is_urgent;
  enum score score;            // what it is of, or …
  const struct feature *reads; // … in the same set; NULL: the touches alone
  uint64_t item;               // key in contributions and copies (account.h)
  int64_t window_ms;           // where the op has an edge of its own instead of tiles; 0: all time
  // what only compiling, showing and lineage need
  const struct alternative *on; // on_count 0: every event
  struct bytes of_text;
  struct feature_info info;
};

// One op: its row in ops.c. State sizes are multiples of 8; init is handed zeroed bytes.
struct feature_op {
  const char *name;
  uint64_t keys, required; // bits (enum feature_key) beside those that every declaration may have
  uint64_t refused;        // of those
  enum input input;
  bool is_duration;
  bool is_account;               // it is filled from the lead's account; no event reaches it
  bool knows_latest;             // its state begins with the latest match's time
  const struct machine *machine; // of an ordered op (ordered.h)
  bool has_edge;                 // its window has no tiles: a match leaves it by its own time
  bool of_names;                 // `of` may also be "channel" or "event"
  uint32_t limit_min, limit_max, limit_default;
  uint32_t stats;                      // bits (enum stat) of what `stat` may be
  const struct feature_op *in_session; // for window "session"; NULL: there is none
  const struct feature_op *shapes[3];  // for each enum shape
  size_t (*size)(const struct feature *f);
  void (*init)(const struct feature *f, uint8_t *state);
  void (*fold)(const struct feature *f, uint8_t *state, const struct sample *sample);
  double (*read)(const struct feature *f, const uint8_t *state, int64_t now_ms);
  // `into` becomes what one lead would keep that had had both leads' matches; which of the two is `into` never shows.
  void (*merge)(const struct feature *f, uint8_t *into, const uint8_t *other);
  struct bytes (*text)(const uint8_t *state); // of a text feature; NULL where there is none
  double (*derive)(double a, double b); // of two other features' values; then there is no state, and none of the above
};

// Keys of a declaration, in the order in which a message lists them.
// A list reads best as a list.
// clang-format off
#define FEATURE_KEY_MAP(XX) \
  XX(name) XX(op) XX(on) XX(where) XX(of) XX(part) XX(text) XX(window) XX(tile) XX(half_life) XX(session_gap) XX(limit) \
  XX(precision) XX(q) XX(accuracy) XX(shape) XX(over) XX(stat) XX(zone) XX(steps) XX(within) XX(pending) XX(lateness) XX(roll) XX(urgent) \
  XX(class) XX(personal) XX(freshness) XX(max_age) XX(description) XX(owner)
// clang-format on
enum feature_key {
#define XX(key) KEY_##key,
  FEATURE_KEY_MAP(XX)
#undef XX
      FEATURE_KEYS
};
_Static_assert(FEATURE_KEYS <= 64, "a key is a bit");
#define KEY_BIT(key) (UINT64_C(1) << KEY_##key)
#define KEYS_ALWAYS                                                                                                    \
  (KEY_BIT(name) | KEY_BIT(op) | KEY_BIT(on) | KEY_BIT(where) | KEY_BIT(class) | KEY_BIT(personal) |                   \
   KEY_BIT(freshness) | KEY_BIT(max_age) | KEY_BIT(description) | KEY_BIT(owner))

#define FEATURE_OPS_MAX 32 // lists of ops are masks of so many bits
extern const struct feature_op feature_ops[];
extern const size_t feature_ops_count;

// ---- dispatch ----
struct channel_rule {
  uint8_t types;
  uint16_t channel, feature;
};
struct dispatch_row {
  uint64_t by_type[EVENT_TYPES][FEATURE_MASK_WORDS]; // whatever the channel
  struct channel_rule *rules;                        // for one channel
  uint32_t rule_count;
};
struct dispatch {
  struct names events, channels;
  struct dispatch_row *rows; // 0: whatever the name; 1 + number in events
};
// Leaves derived features out.
void dispatch_build(struct dispatch *d, const struct feature *features, size_t count, struct arena *arena);
// Sets the bits of the features whose `on` the event meets.
void dispatch_find(const struct dispatch *d, const struct event *event, uint64_t mask[FEATURE_MASK_WORDS]);
// One of `count` alternatives holds, or there is none.
bool alternatives_hold(const struct alternative *on, uint32_t count, const struct event *event);

// ---- the set ----
enum path_root { ROOT_PROPERTIES, ROOT_TRAITS, ROOT_CONTEXT };
struct path {
  enum path_root root;
  bool nested;       // `rest` has dots
  struct bytes rest; // behind the root
};

struct feature_set {
  struct arena arena; // owns everything but the set itself
  struct feature *features;
  size_t count;
  size_t derived_count, account_count;
  uint32_t member_offset; // account_count > 0: the membership, behind all features
  size_t state_size;
  uint64_t hash;
  struct names names, paths;
  struct path *path;
  struct dispatch dispatch;
};

// Finds what derived features read, takes over from it what is theirs too, and asks it for its age where theirs is
// asked. ITD_EPOLICY.
int derived_resolve(struct feature_set *set, struct error *err) ITD_MUST_USE;
void derived_lay(struct feature_set *set); // what depends on the others' layout and definitions
// Fills the values, or the ages, of derived features from those of the others.
void derived_read(const struct feature_set *set, double *values);
void derived_ages(const struct feature_set *set, double *ages);
// The same for features of accounts; and the membership behind the features.
int account_resolve(struct feature_set *set, struct error *err) ITD_MUST_USE;
void account_lay(struct feature_set *set);
void account_init(const struct feature_set *set, uint8_t *state);
void account_migrate(const struct feature_set *from, const uint8_t *old_state, const struct feature_set *to,
                     uint8_t *state);
void account_merge(const struct feature_set *set, uint8_t *into, const uint8_t *other);
// What a feature's `of` takes from an event, whatever its `on`; false: nothing. `text` may lie in `scratch`.
bool fold_take(const struct feature_set *set, const struct feature *f, const struct event *event,
               char scratch[TEXT_PART_MAX], double *number, struct bytes *text);
static inline bool is_derived(const struct feature *f) { return f->operands[0] != NULL; } // once resolved

// Reads one declaration, the `number`th from 1. Paths are not numbered yet. ITD_EPOLICY with the place, the fault and
// the cure.
int declaration_parse(struct bytes map, size_t number, struct arena *arena, struct feature *out,
                      struct error *err) ITD_MUST_USE;
// "properties.a.b" -> root and rest; false when it begins with none of the roots or has an empty step.
bool path_parse(struct bytes text, struct path *path);
// The hash of everything that can change a value; the order and spelling of alternatives, conditions and defaults can
// not.
uint64_t definition_hash(const struct feature *f);

// ---- the latest match (latest.c) ----
#define LATEST_SIZE 8u // behind the op's part, where keeps_latest
// Takes its place behind the op's part of the state; called once f->offset and f->size are known.
void latest_lay(struct feature *f);
void latest_init(const struct feature *f, uint8_t *state); // `state`: the lead's whole one
void latest_fold(const struct feature *f, uint8_t *state, int64_t time_ms);
// From another set's state, which has the same definition; empty where that one keeps none.
void latest_migrate(const struct feature *from, const uint8_t *old_state, const struct feature *f, uint8_t *state);
void latest_merge(const struct feature *f, uint8_t *into, const uint8_t *other);
