// Sources: the mappings of a signal set (policies/signals/SET/sources/*.lua, docs/sources.md), which turn other systems'
// payloads into unified events. The same for HTTP, `intent import` and specs: the same payload gives the same events.
//
// They run at the edge, before intake, and outside of what is replayed: a journal keeps the events, not the payloads.
// The mappings of a policy are part of its bundle, so that a release has its own.
#pragma once
#include "policy/policy.h"

enum source_scheme { SOURCE_UNSIGNED, SOURCE_HMAC, SOURCE_HUBSPOT_V3, SOURCE_STRIPE, SOURCE_TOKEN };

struct source_info {
  const char *name; // [a-z][a-z0-9_]*, the name of its file
  const char *path; // "policies/signals/b2b/sources/stripe.lua"
  enum source_scheme scheme;
  const char *header;    // that carries the signature or the token
  const char *timestamp; // SOURCE_HMAC: the header whose time is signed too; NULL: none
  int64_t tolerance_ms;  // how far that time, or the vendor's, may lie from ours
};

// Limits of one call; memory is the whole state's.
struct sources_limits {
  size_t memory_max;         // source.memory, default 32 MiB
  uint64_t instructions_max; // source.instructions, default 5 million a request
  uint32_t cpu_ms_max;       // source.cpu, default 500 ms
  size_t output_max;         // bytes of events of one call, default 16 MiB
};
#define SOURCES_LIMITS_DEFAULT                                                                                         \
  ((struct sources_limits){                                                                                            \
      .memory_max = 32u << 20, .instructions_max = 5000000, .cpu_ms_max = 500, .output_max = 16u << 20})

struct sources;
// Of a policy's signal set; keeps a hold on the policy. None is fine: then it has no source. ITD_EPOLICY: a mapping
// does not load.
int sources_of_policy(struct policy *policy, const struct sources_limits *limits, struct sources **out,
                      struct error *err) ITD_MUST_USE;
// Of the set in POLICIES_DIR/signals/SET, and of one file by itself: for the tool. ITD_ENOTFOUND, ITD_EPOLICY, ITD_EIO.
int sources_of_set(const char *scripts_dir, const char *policies_dir, const char *set,
                   const struct sources_limits *limits, struct sources **out, struct error *err) ITD_MUST_USE;
int sources_of_file(const char *scripts_dir, const char *path, const struct sources_limits *limits,
                    struct sources **out, struct error *err) ITD_MUST_USE;
void sources_retain(struct sources *sources); // counted by atomics; any thread
void sources_release(struct sources *sources);

// What may be asked by any thread.
size_t sources_count(const struct sources *sources);
const struct source_info *sources_info(const struct sources *sources, size_t index);      // sorted by name
const struct source_info *sources_find(const struct sources *sources, struct bytes name); // NULL: there is none
// ITD_ENOTFOUND, with the names that there are.
int sources_unknown(const struct sources *sources, struct bytes name, struct error *err);
// What a source does, for people and as data: {name, path, owner, rationale, sign, rules: [{name, when, why, …}]},
// appended.
int sources_show(const struct sources *sources, const char *name, struct buf *out, struct error *err) ITD_MUST_USE;

#define SOURCES_SALT 16
struct sources_call {
  const char *source;
  struct bytes payload; // one MessagePack value: a payload, or a list of them
  uint32_t events_max;
  const uint8_t *salt; // SOURCES_SALT bytes that make the ids of payloads without one new; NULL: always the same
};
// Maps payloads and appends a map {events: [[index, event]…], refused: [[index, rule, why, [ids]]…], skipped: [[index,
// rule, why]…]}; index: the payload's place in the list, from 0; ids: whose the piece is, as far as it says. One thread at a time. A reason names places in the payload,
// never what stands there. ITD_ESTOPPED: the call ran over its limits or the mapping is broken; nothing was mapped.
int sources_map(struct sources *sources, const struct sources_call *call, struct buf *out,
                struct error *err) ITD_MUST_USE;
