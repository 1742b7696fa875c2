// Features: what is kept about a lead's behaviour, and how an event changes it.
//
// A signal set's declarations (Lua tables in policies/signals/NAME/features/*.lua, handed over as MessagePack) are
// compiled once into a `feature_set`: an immutable program over one flat state per lead. Folding an event touches only
// what that event can change and allocates nothing; reading computes decayed and windowed values at a given `now`. The
// same code serves online, recovery, explanation and export. Pure: no I/O, no clock, no randomness. A feature_set may
// be shared by threads.
//
// clang-format off
// A declaration is a map; a key that its op has no use for is refused:
//   name         text, [a-z][a-z0-9_]*, unique                                  (required)
//   op           one of those below                                             (required)
//   on           which events: a list of alternatives, each {type=, event=, channel=} (each optional, text); absent:
//                every event. A plain text "Pricing Viewed" is {event=…}. `event` is event->name: a page's name too.
//   where        list of conditions, all must hold: {path=, is=} {path=, is=[…]} (or in=) {path=, exists=true|false}
//                {path=, at_least=} {path=, under=} {path=, starts_with=}; several tests of one path may share a map.
//                Paths begin with properties. traits. or context. A list of one may be that one (also `on`).
//   of           path of the value (sum mean min max variance stddev first last distinct most_common quantile; decay
//                may); distinct and most_common: also "channel", "event"
//                ratio, difference: the names of two other features of the set
//   text         true: `of` is text (first last most_common)
//   part         of text (first last most_common distinct): "domain" is what follows the last @ (lower case), "lower"
//                folds ASCII case; implies `text`
//   window       duration: only the last `window` counts (count sum mean min max variance stddev flag; velocity and
//                active_days need it); absent: all time. Or "today" "this_week" "this_month" "this_quarter" "this_year",
//                by `zone`. Or "session" (count sum): the last run of matches, while it is open
//   tile         duration: granularity of the window; default window/7 rounded to whole seconds, at most 32 tiles. A
//                windowed value covers the current tile and the window/tile - 1 (rounded up) before it: its error is
//                under one tile. Also of decay by tiles: default over/16, last age/32
//   shape        of decay: "exponential" (default), "linear", "step"
//   half_life    duration (exponential, required): a value of 1 is 0.5 after it
//   over         duration (linear, required): a value of 1 is 0 after it
//   steps        of decay (step, required): 1 to 8 of {age=, weight=}: a match younger than `age` weighs `weight`; ages rise
//   session_gap  duration (sessions, session_length, window "session"): default 30m
//   stat         gap: "last" (default) "mean"; session_length: "last" (default) "mean" "max" "total"
//   limit        distinct: 4 to 1024, exact up to it, an estimate (HyperLogLog) beyond; default 16. most_common: 4 to 64,
//                exact up to it, Space-Saving beyond; default 8. quantile: 16 to 1024 bins of each sign; default 128
//   precision    4 to 14 (distinct): 2^precision registers; default: as many as fit into the exact hashes' 8 * limit
//   q, accuracy  quantile: which one, 0 to 1; its relative error, 0.001 to 0.5, default 0.05
//   zone         minutes from UTC or a name, "Europe/Amsterdam" (streak, active_days, windows of the calendar,
//                time_of_day, weekday); default UTC
//   steps        list of 2 to 8 (funnel sequence; co_occurrence: of 2), in order: each an `on`, or {on=, where=}
//   within       duration (funnel sequence co_occurrence, required)
//   pending      4 to 64 (the same): how many of the newest matches are kept in order; default 16
//   lateness     duration (the same): how much older than the newest match one of them may be; default 30d
//   roll         of account (required): "people" "distinct" "sum" "mean" "min" "max" "latest" "first_touch" "last_touch" "trait";
//                `of` is then a feature of the same set, or score.fit, score.engagement; people takes a window of tiles;
//                of "trait" it is a path, traits.…, of group events, with part and text as for last
//   urgent       true (account): a change of what it reads reaches the account's other leads at once
//   class        "behaviour" (default) or "profile"
//   personal     true: its value is personal data and is never shown
//   freshness    "live" (default: the decision on an event counts it), "minutes" (it comes by messages of other entities)
//                or "batch" (it is right after a backfill or an import); says, and changes nothing
//   max_age      duration: how old the latest match may be for those who rely on the value; its time is kept for that
//   description, owner   text; not part of the definition's hash
//
// op             value at `now` (a double; NaN: nothing known yet)
//   count        matching events (in the window)
//   flag         1 when that count > 0, else 0
//   sum          of `of`; 0 before any
//   mean min max of `of`; NaN before any
//   variance stddev  of `of` as a sample; NaN before the second
//   first last   of `of`, by event time: number, or text (then the feature is text: see feature_read)
//   distinct     how many different values of `of`
//   most_common  the value of `of` with the most matches: number, or text; of equals the least
//   quantile     of the values of `of` in order, number floor(q (n - 1)) from 0; NaN before any
//   recency      ms since the last match (0 at the match; NaN before any)
//   gap          ms between the last two matches, or the mean of all gaps (NaN before the second)
//   decay        count (or sum of `of`) in which a match weighs less with its age
//   velocity     count in the window / count in the window before it; that one empty: the count itself
//   sessions     runs of matches no more than session_gap apart
//   session_length  ms from first to last match of a run; NaN before any (total: 0)
//   active_days  days of the window with a match, today included
//   streak       consecutive days with a match up to and including today or yesterday, 0 when older
//   time_of_day  hours since midnight at the last match, with fraction, by context.timezone of that event, else `zone`
//   weekday      of the last match, 1 Monday to 7 Sunday, likewise
//   funnel       the most steps done in order within a time of the first, 0 … all; with a window, lately
//   sequence     how often all steps were done so, without overlap (in the window)
//   account      what the leads of the same account add up to, as the copy says that was read last (feature/account.h)
//   co_occurrence  pairs of matches of the two steps within a time of each other, each in one at most (in the window)
//   ratio        of two other features' values; NaN when the second is 0, or either is NaN
//   difference   of two other features' values; NaN when either is
// clang-format on
//
// Time: every op works on event time, or on `now` when a sender's clock is ahead of it. A late event lands in its own
// tile, day and decay; `last`, `first` and recency go by event time, not arrival. What is older than a window's tiles
// changes nothing in that window. How late an event may be for sessions and streak, and all else: docs/features.md.
#pragma once
#include "base/hash.h"
#include "wire/event.h"

#define FEATURE_SEMANTICS 2           // grows when an operator's meaning changes; kept in the program
#define FEATURES_MAX      256         // a set
#define FEATURE_TEXT_MAX  47          // bytes of a text value that are kept; longer ones are cut at a UTF-8 border
#define FEATURE_STATE_MAX (64u << 10) // bytes of a lead's state; a set that needs more does not compile

enum feature_class { FEATURE_BEHAVIOUR, FEATURE_PROFILE };
enum feature_freshness { FEATURE_LIVE, FEATURE_MINUTES, FEATURE_BATCH };
const char *feature_freshness_name(enum feature_freshness freshness); // "live", …

struct feature_info {
  const char *name;
  const char *op;
  const char *description; // "" when none
  const char *owner;
  enum feature_class class;
  bool is_text; // first, last or most_common of text
  bool is_personal;
  bool is_duration; // its value is milliseconds (recency, gap, session_length; the difference of two such)
  bool has_age;     // the time of its latest match is kept: by its op, or because it has a max_age
  enum feature_freshness freshness;
  int64_t max_age_ms; // 0: none
  uint32_t state_offset, state_size;
  uint64_t definition_hash; // of everything that can change a value: not of the name, nor of how it is spelled
};

struct feature_set;

// Compiles declarations: a MessagePack array of maps (the text form above). The bytes are also the compiled program's
// durable form: compiling the same bytes gives the same program. ITD_EPOLICY: "features: NAME: what, and what is
// allowed".
int feature_set_compile(struct bytes declarations, struct feature_set **out, struct error *err) ITD_MUST_USE;
void feature_set_free(struct feature_set *set); // NULL does nothing

size_t feature_count(const struct feature_set *set);
const struct feature_info *feature_info(const struct feature_set *set, size_t index);
int feature_find(const struct feature_set *set, struct bytes name); // index, or -1
uint64_t feature_set_hash(const struct feature_set *set);           // of all names, definitions and classes, in order

// A lead's state: feature_state_size bytes, little-endian, no pointers, no padding left unset: it can be copied,
// stored, compared and digested as bytes. It needs no alignment.
size_t feature_state_size(const struct feature_set *set);
void feature_state_init(const struct feature_set *set, uint8_t *state);
// Carries over what has the same definition hash from another set's state (also under another name); the rest begins
// empty. Returns how many carried over. The states must not overlap.
size_t feature_state_migrate(const struct feature_set *from, const uint8_t *old_state, const struct feature_set *to,
                             uint8_t *new_state);

// Makes `into` the state of one lead that had had the events of both; `now_ms` is that lead's clock, not below either's.
// Which of the two is `into` never shows, and merging with a lead that has had no event changes nothing. What a state
// does not keep it cannot merge: docs/features.md, "Merging two leads". The states must not overlap.
void feature_state_merge(const struct feature_set *set, uint8_t *into, const uint8_t *other, int64_t now_ms);

// Folds one event. `now_ms` is the lead's clock (never below an earlier one). A value that `of` cannot use (absent, of
// another kind, NaN, infinite, empty or malformed text) is no match. Returns how many features the event matched.
size_t feature_fold(const struct feature_set *set, uint8_t *state, const struct event *event, int64_t now_ms);

// Values at `now_ms` (not below the last fold's). values[i] for each feature; texts[i] points into `state` for text
// features (empty: unknown), whose values[i] is NaN. Both arrays have feature_count entries. Values are never infinite.
void feature_read(const struct feature_set *set, const uint8_t *state, int64_t now_ms, double *values,
                  struct bytes *texts);
// Milliseconds from each feature's latest match (by event time) to `now_ms`: NaN where there was none, or its time is not
// kept (info->has_age). feature_count entries.
void feature_ages(const struct feature_set *set, const uint8_t *state, int64_t now_ms, double *ages);

// ---- parts of a state, by definition: what a lead's history before a definition gives it afterwards (store/fill.h) ----
struct feature_mask { // a bit for each feature of a set, by its index
  uint64_t word[FEATURES_MAX / 64];
};
static inline void feature_mask_add(struct feature_mask *m, size_t i) { m->word[i / 64] |= UINT64_C(1) << i % 64; }
static inline bool feature_mask_has(const struct feature_mask *m, size_t i) { return m->word[i / 64] >> i % 64 & 1; }

// Whether a lead's own events make it: it is neither made of other features nor of its account.
bool feature_has_history(const struct feature_set *set, size_t index);
// Whether the set has a feature of that definition.
bool feature_defines(const struct feature_set *set, uint64_t definition_hash);
// feature_fold of some features only (NULL: of all).
size_t feature_fold_only(const struct feature_set *set, uint8_t *state, const struct event *event, int64_t now_ms,
                         const struct feature_mask *only);
// Appends what the state holds of some features as one MessagePack map, {definition hash: [the op's bytes, time of the latest
// match or nil]}, without those that no event has touched. Features of one definition share an entry. Returns how many are in
// it, and of which features in *put (may be NULL).
// Personal values come as they are.
size_t feature_slices_put(const struct feature_set *set, const uint8_t *state, const struct feature_mask *mask,
                          struct buf *out, struct feature_mask *put);
// Merges such a map into the state of whichever set, as feature_state_merge would: what the set does not define is passed
// over. *merged: how many features took something in. ITD_ECORRUPT, nothing changed: it is no such map.
int feature_slices_merge(const struct feature_set *set, uint8_t *state, struct bytes slices, size_t *merged,
                         struct error *err) ITD_MUST_USE;
// Appends the map of those slices that the set defines; *kept: how many. ITD_ECORRUPT, nothing appended: it is no such map.
int feature_slices_keep(const struct feature_set *set, struct bytes slices, struct buf *out, size_t *kept,
                        struct error *err) ITD_MUST_USE;
// Makes some features begin empty.
void feature_clear(const struct feature_set *set, uint8_t *state, const struct feature_mask *mask);
