// Schemas: what an event must look like, and how one of an older version becomes one of the newest.
//
// A signal set's schemas (Lua tables in policies/signals/NAME/schemas/*.lua, handed over as MessagePack) are compiled once
// into a `schema_set`: immutable, shared by threads. Judging an event is one pass over its maps and allocates nothing,
// but for one that claims an older version. Pure: no I/O, no clock, no randomness. Which text a set accepts is for
// people in docs/events.md#schemas.
//
// clang-format off
// A schema is a map:
//   name         text, [a-z][a-z0-9_]*                                                          (required)
//   version      whole number from 1; with the name unique; versions of a name follow each other without a hole  (required)
//   on           which events it is for, as in features: alternatives {type=, event=, channel=} or an event's name. Events
//                that claim nothing are held to the newest version whose `on` they meet; one that claims a version must
//                meet that one's. Absent: those that claim it
//   fields       list of fields, each a map:
//     path         properties, traits or context and what lies below: "properties.plan"; [] is each element of a list:
//                  "properties.items[].price"                                                   (required)
//     type         text integer number bool time list map; absent: any
//     required     true: it must be there and not nil, wherever its map is; a map on the way that is no field of its own
//                  must then be there too
//     at_least, at_most    number, integer; time (RFC 3339 text)
//     min_length, max_length   text: characters; list: elements
//     is           one value or a list of them (text, number, bool) of which it must be one
//     pattern      text: see pattern.h
//     closed       true (map): no key but those that are fields
//     personal     true: its value is personal data (event.h)
//     description  text
//   upcast       how an event of the version before becomes one of this: steps in their order, each one of
//     {rename=PATH, to=KEY}  {move=PATH, to=PATH}  {drop=PATH}  {default=PATH, value=}: when it is absent or nil
//     {map=PATH, values=[[from, to], …], otherwise=}: what is in no row stays, or becomes `otherwise`
//     {scale=PATH, by=NUMBER}: a number times that (from -1e9 to 1e9, not 0); a whole number times a whole one stays whole
//     What is not there, or is of another kind than a step is for, that step leaves alone.
//     What would then lie deeper than MP_DEPTH_MAX is refused.
//   description, owner   text
// clang-format on
#pragma once
#include "wire/event.h"

#define SCHEMAS_MAX       256 // versions of all names in a set
#define SCHEMA_FIELDS_MAX 128 // of one version
#define SCHEMA_KEYS_MAX   64  // fields in one map
#define SCHEMA_DEPTH_MAX  12  // steps of a path
#define SCHEMA_VALUES_MAX 256 // of `is`, rows of `map`
#define SCHEMA_STEPS_MAX  64  // of one upcast
#define SCHEMA_CHAIN_MAX  256 // steps from the oldest version of a name to its newest
#define SCHEMA_NAME_MAX   64
#define SCHEMA_WORD_MAX   256 // bytes of a path, an event's name, a value of `is`
#define SCHEMA_LENGTH_MAX (1 << 24)

struct schema_set;
// `declarations`: a MessagePack list of schemas. The bytes are also the durable form: the same bytes give the same set.
// ITD_EPOLICY: "schemas: NAME@VERSION: what, and what is allowed".
int schema_set_compile(struct bytes declarations, struct schema_set **out, struct error *err) ITD_MUST_USE;
void schema_set_free(struct schema_set *set); // NULL does nothing

struct schema_info {
  const char *name, *description, *owner;
  uint32_t version;
  bool is_newest;
  size_t fields;
};
size_t schema_count(const struct schema_set *set);
struct schema_info schema_info(const struct schema_set *set, size_t index); // by name, then version
// The paths that any version of any schema declares personal; valid as long as the set.
struct personal_paths schema_personal(const struct schema_set *set);

// What an upcast works in. Zero-initialise; one thread's.
struct schema_scratch {
  struct buf maps, value;
};
void schema_scratch_deinit(struct schema_scratch *scratch);

// Judges an event: the version that it claims, then, as an event of the newest version, every schema that it meets.
// *seen: the event as features and policies see it: *event itself, or with its maps as the upcast left them (in
// `scratch`; `raw` is what came). Without any schema in the set nothing is judged, claims neither.
// ITD_ESCHEMA: which schema, which path, what it should be. No value of the event is shown.
int schema_judge(const struct schema_set *set, const struct event *event, struct schema_scratch *scratch,
                 struct event *seen, struct error *err) ITD_MUST_USE;
// The same *seen without judgement, for what was accepted once: what can't be upcast (its schema is gone since) is seen as
// it came.
void schema_see(const struct schema_set *set, const struct event *event, struct schema_scratch *scratch,
                struct event *seen);
// Whether a schema is for this event, claimed or by `on`.
bool schema_covers(const struct schema_set *set, const struct event *event);

// Whether each version reads what the one before it accepted, upcast steps and all: of every name, versions of `set`
// against each other, and against those of `before` (an earlier release's set; may be NULL), of which none may differ and
// none should be missing. Each finding is handed to `found` with what to do about it, in the order of names and versions.
// `is_error` false: a warning. Returns how many errors.
// No error means: no event that a version accepts is refused after its upcast, when none of its maps holds a key twice or
// one with a dot, no whole number is scaled beyond 2^53, and nothing is moved deeper than MP_DEPTH_MAX. Stricter than senders may be: what a version did not declare it accepted, whatever it was.
typedef void (*schema_found)(void *context, bool is_error, const char *name, uint32_t version, const char *text);
size_t schema_check(const struct schema_set *set, const struct schema_set *before, schema_found found, void *context);
