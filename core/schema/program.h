// The compiled form of a schema set: what the files of this layer share. From outside, schema.h is the whole of it.
//
//   declare.c  a MessagePack map -> struct schema, every fault named
//   steps.c    its upcast's steps: read, and taken
//   set.c      all of a set: order, lookup, what is personal; which schemas an event meets, upcast, judgement
//   judge.c    an event's maps against one schema
//   compare.c  whether a version reads what another accepted
#pragma once
#include "base/arena.h"
#include "schema/pattern.h"
#include "schema/schema.h"

enum schema_type { TYPE_ANY, TYPE_TEXT, TYPE_INTEGER, TYPE_NUMBER, TYPE_BOOL, TYPE_TIME, TYPE_LIST, TYPE_MAP };
#define SCHEMA_TYPES (TYPE_MAP + 1)
extern const char *const schema_types[SCHEMA_TYPES];

// A value of `is` or of an upcast's row. Numbers of all kinds compare as doubles; 1 is not true.
enum literal_kind { LITERAL_NONE, LITERAL_TEXT, LITERAL_NUMBER, LITERAL_BOOL };
struct literal {
  enum literal_kind kind;
  double number; // and bool: 0 or 1
  struct bytes text;
};
struct literal literal_of(struct bytes value); // NONE: nil, list, map, NaN, …
bool literal_eq(struct literal a, struct literal b);

// A field, or a map on the way to one.
struct schema_node {
  struct bytes key, path; // "[]" for the elements of a list
  bool is_declared, is_required, is_closed, is_personal, has_least, has_most, has_pattern;
  enum schema_type type;
  double at_least, at_most;       // TIME: ms
  int64_t min_length, max_length; // -1: none
  const struct literal *is;
  uint32_t is_count;
  struct pattern *pattern;
  struct bytes pattern_text;
  struct schema_node *child[SCHEMA_KEYS_MAX]; // by key, in the order of declaration
  uint32_t child_count;
  struct schema_node *element; // []
  uint64_t required;           // bits of `child`
};
enum { ROOT_PROPERTIES, ROOT_TRAITS, ROOT_CONTEXT, SCHEMA_ROOTS };
extern const char *const schema_roots[SCHEMA_ROOTS];

struct schema_on { // empty: any
  uint8_t types;   // bit for each enum event_type
  struct bytes event, channel;
};

enum step_kind { STEP_MOVE, STEP_DROP, STEP_DEFAULT, STEP_MAP, STEP_SCALE };
struct step {
  enum step_kind kind;
  struct bytes path, to, value; // value: packed; MAP: of `otherwise`, empty when there is none
  double by;
  const struct literal *from; // MAP: rows
  const struct bytes *into;   // packed
  uint32_t rows;
};

struct schema {
  const char *name, *description, *owner;
  uint32_t version;
  bool is_newest;
  struct schema_node *root[SCHEMA_ROOTS];
  struct bytes declaration; // as it came
  size_t field_count;
  const struct schema_on *on;
  uint32_t on_count;
  const struct step *steps; // from the version before
  uint32_t step_count;
};

// Which newest schemas an event may meet, by its name: a row for each name in an `on`, sorted by hash, then by schema. Schemas
// with an alternative for any name are in `nameless`.
struct schema_row {
  uint64_t hash;
  const struct schema *schema;
};

struct schema_set {
  struct arena arena;
  struct schema_row *rows;
  const struct schema **nameless;
  size_t row_count, nameless_count;
  struct schema *schemas; // by name, then version
  size_t count;
  struct bytes *personal;
  size_t personal_count;
};

// What the readers of one schema share.
struct declaring {
  struct arena *arena;
  struct error *err;
  struct schema *schema;
  char who[SCHEMA_NAME_MAX + 16]; // "demo@2", or "#3"
};
int declare_fail(const struct declaring *d, const char *format, ...) ITD_PRINTF(2, 3);
// The index of a map's key among `names`; refuses what is no text, unknown, or given before (`seen`).
int declare_key(const struct declaring *d, const char *where, struct bytes key, const char *const *names, size_t count,
                uint32_t *seen, size_t *out) ITD_MUST_USE;
int declare_text(const struct declaring *d, const char *where, struct bytes value, size_t max,
                 struct bytes *out) ITD_MUST_USE;
int declare_literal(const struct declaring *d, const char *where, struct bytes value, struct literal *out) ITD_MUST_USE;
// Into `schema`.
int declare_on(struct declaring *d, struct bytes value) ITD_MUST_USE;
bool schema_on_meets(const struct schema_on *on, uint32_t count, const struct event *event);
// A list's elements; a list of one may be that one.
struct mp declare_list(struct bytes value, uint32_t *count);
int declare_schema(struct bytes map, size_t number, struct arena *arena, struct schema *out,
                   struct error *err) ITD_MUST_USE;
// A path of named steps below a root, without [].
bool schema_path_ok(struct bytes path);

int steps_declare(struct declaring *d, struct bytes value) ITD_MUST_USE;
// Takes the steps of `schema` on {properties, traits, context}. ITD_ESCHEMA: something on the way to `to` is no map, or it would be too deep.
int steps_take(const struct schema *schema, struct schema_scratch *scratch, struct error *err) ITD_MUST_USE;

// Holds an event's maps against one schema. ITD_ESCHEMA.
int judge_event(const struct schema *schema, const struct event *event, struct error *err) ITD_MUST_USE;
