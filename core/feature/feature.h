// Features: what is kept about a lead's behaviour, and how an event changes it.
//
// A signal set's declarations (Lua tables in policies/signals/NAME/features.lua, handed over as MessagePack) are compiled once
// into a `feature_set`: an immutable program over one flat state per lead. Folding an event touches only what that event can
// change and allocates nothing; reading computes decayed and windowed values at a given `now`. The same code serves online,
// recovery, explanation and export. Pure: no I/O, no clock, no randomness. A feature_set may be shared by threads.
//
// A declaration is a map:
//   name        text, [a-z][a-z0-9_]*, unique                                   (required)
//   op          count sum mean min max first last distinct recency decay velocity sessions streak flag gap   (required)
//   on          which events: a list of alternatives, each {type=, event=, channel=} (each optional, text);
//               absent: every event. A plain text "Pricing Viewed" is {event=…}.
//   where       list of conditions on properties, all must hold: {path=, is=} {path=, in=[…]} {path=, exists=true}
//               {path=, at_least=} {path=, under=} {path=, starts_with=}. Paths begin with properties. traits. or context.
//   of          path of the value (sum mean min max first last distinct); for `distinct` also "channel" or "event"
//   part        for `of` with text: "domain" takes what follows the last @ (lower case), "lower" folds ASCII case
//   window      duration: only the last `window` counts (count sum mean flag velocity distinct-less ops); absent: all time
//   tile        duration: granularity of the window; default window/7 rounded to whole seconds, at most 32 tiles. A windowed value
//               covers the current tile and the window/tile - 1 (rounded up) before it: its error is under one tile.
//   half_life   duration (decay): a value of 1 is 0.5 after it
//   session_gap duration (sessions): default 30m     limit  (distinct): exact up to it, an estimate (KMV) beyond; default 16
//   zone        minutes from UTC for days (streak); default 0
//   class       "behaviour" (default) or "profile"        personal  true: its value is personal data and is never shown
//   description, owner   text; not part of the definition's hash
//
// op       value at `now` (a double; NaN: nothing known yet)
//   count    matching events (in the window)             flag      1 when count > 0, else 0
//   sum, mean, min, max   of `of` (min and max: all time only)
//   first, last           of `of`: number, or text (then the feature is text: see feature_read)
//   distinct how many different values of `of`           recency   ms since the last match (0 at the match; NaN before any)
//   decay    exponentially decayed count (or sum of `of`)    gap   ms between the last two matches (NaN before the second)
//   velocity count in the window / count in the window before it; that one empty: the count itself
//   sessions runs of matches no more than session_gap apart
//   streak   consecutive days with a match up to and including today or yesterday, 0 when older
//
// Time: every op works on event time. A late event lands in its own tile, day and decay; `last`, `first` and recency go by event
// time, not arrival. What is older than a window's tiles changes nothing in that window. docs/features.md states the rest.
#pragma once
#include "base/hash.h"
#include "wire/event.h"

#define FEATURE_SEMANTICS 1 // grows when an operator's meaning changes; kept in the program
#define FEATURES_MAX 256    // a set
#define FEATURE_TEXT_MAX 47 // bytes of a text value that are kept; longer ones are cut at a UTF-8 border

enum feature_class { FEATURE_BEHAVIOUR, FEATURE_PROFILE };

struct feature_info {
  const char *name;
  const char *op;
  const char *description; // "" when none
  const char *owner;
  enum feature_class class;
  bool is_text;             // declared `text = true`: first/last of a text value
  bool is_personal;
  bool is_duration;         // its value is milliseconds (recency, gap)
  uint32_t state_offset, state_size;
  uint64_t definition_hash; // of everything that can change a value
};

struct feature_set;

// Compiles declarations: a MessagePack array of maps (the text form above). The bytes are also the compiled program's durable
// form: compiling the same bytes gives the same program. ITD_EPOLICY: "features: NAME: what, and what is allowed".
int feature_set_compile(struct bytes declarations, struct feature_set **out, struct error *err) ITD_MUST_USE;
void feature_set_free(struct feature_set *set); // NULL does nothing

size_t feature_count(const struct feature_set *set);
const struct feature_info *feature_info(const struct feature_set *set, size_t index);
int feature_find(const struct feature_set *set, struct bytes name); // index, or -1
uint64_t feature_set_hash(const struct feature_set *set);           // of all definitions in order

// A lead's state: feature_state_size bytes, little-endian, no pointers, no padding left unset: it can be copied, stored,
// compared and digested as bytes.
size_t feature_state_size(const struct feature_set *set);
void feature_state_init(const struct feature_set *set, uint8_t *state);
// Carries over what has the same definition hash from another set's state; the rest begins empty. Returns how many carried over.
size_t feature_state_migrate(const struct feature_set *from, const uint8_t *old_state, const struct feature_set *to,
                             uint8_t *new_state);

// Folds one event. `now_ms` is the lead's clock (never below an earlier one). Number values that are NaN or infinite are
// ignored by sum, mean, min, max and decay. Returns the number of features it touched.
size_t feature_fold(const struct feature_set *set, uint8_t *state, const struct event *event, int64_t now_ms);

// Values at `now_ms`. values[i] for each feature; texts[i] points into `state` for text features (empty: unknown), whose
// values[i] is NaN. Both arrays have feature_count entries.
void feature_read(const struct feature_set *set, const uint8_t *state, int64_t now_ms, double *values,
                  struct bytes *texts);
