// struct reader: what the parts of reading one declaration share, and how each says what is wrong. A fault reads
// "features: NAME: what was found, and what is allowed".
#pragma once
#include "feature/program.h"

struct reader {
  struct arena *arena;
  struct error *err;
  struct feature *feature;
  uint64_t given;                 // bits of enum feature_key
  char who[FEATURE_NAME_MAX + 1]; // the feature's name, or "#3" while it has none
  char in[20];                    // "step 2: " while that one is read
};

// Fills the error and returns ITD_EPOLICY.
int reader_fail(const struct reader *r, const char *format, ...) ITD_PRINTF(2, 3);

// A text of the declaration as it may stand in a message: quoted, cut, nothing unprintable.
#define SHOWN_MAX 80
const char *shown(struct bytes text, char out[SHOWN_MAX]);
// What a value is, for a person: "a number", "a list", …
const char *kind_of(struct bytes value);
// Appends "a, b, c" of names whose bit is set in `mask` (all bits: every name).
#define LIST_MAX 320
const char *list_names(const char *const *names, size_t count, uint32_t mask, char out[LIST_MAX]);
// " (did you mean "x"?)" or "".
const char *did_you_mean(struct bytes word, const char *const *names, size_t count, char out[SHOWN_MAX]);

// Reads `value` as text of 1 … max bytes (UTF-8, no NUL), copied into the arena. `key` names it in the fault.
int read_text(const struct reader *r, const char *key, struct bytes value, size_t max, struct bytes *out) ITD_MUST_USE;
int read_bool(const struct reader *r, const char *key, struct bytes value, bool *out) ITD_MUST_USE;
int read_int(const struct reader *r, const char *key, struct bytes value, int64_t least, int64_t most,
             int64_t *out) ITD_MUST_USE;
int read_number(const struct reader *r, const char *key, struct bytes value, double least, double most,
                double *out) ITD_MUST_USE;
int read_duration(const struct reader *r, const char *key, struct bytes value, int64_t least_ms,
                  int64_t *out) ITD_MUST_USE;
// Reads `value` as one of `names`; its index.
int read_name(const struct reader *r, const char *key, struct bytes value, const char *const *names, size_t count,
              size_t *out) ITD_MUST_USE;
// Reads `value` as a path that an event can be asked for.
int read_path(const struct reader *r, const char *key, struct bytes value, struct bytes *out) ITD_MUST_USE;
// The index of a map's key among `names`; refuses what is no text, unknown, or given before (`seen`).
int read_key(const struct reader *r, const char *where, struct bytes key, const char *const *names, size_t count,
             uint64_t *seen, size_t *out) ITD_MUST_USE;

// Durations that only make sense together.
struct spans {
  int64_t window_ms, tile_ms;
};

// Names of windows beside durations: those of the calendar in the order of enum calendar, then the session.
#define WINDOW_NAMES   6
#define WINDOW_SESSION 5
extern const char *const window_names[WINDOW_NAMES];

// Once every key is read: whether they go together, defaults, and what follows from them. judge.c.
int judge(const struct reader *r, struct spans spans) ITD_MUST_USE;

// The lists of a declaration: clauses.c, and steps.c.
struct mp elements_of(struct bytes value, uint32_t *count); // a list with one element may be written as that one
int read_on(const struct reader *r, struct bytes value, const struct alternative **on, uint32_t *on_count) ITD_MUST_USE;
int read_where(const struct reader *r, struct bytes value, const struct condition **where,
               uint32_t *where_count) ITD_MUST_USE;
int read_steps(struct reader *r, struct bytes value) ITD_MUST_USE;
int read_ages(struct reader *r, struct bytes value) ITD_MUST_USE; // the steps of a decay
