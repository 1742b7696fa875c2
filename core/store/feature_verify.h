// Are the features that a directory holds those that its journal gives? A sample of leads is folded anew from their events
// (store/refold.h) and held, bit for bit, against the digest of each of their frames, against the state in LMDB and
// against the newest base. From outside: of a running daemon or of a copy; reads only.
#pragma once
#include "store/refold.h"

#define FEATURE_VERIFY_FINDINGS_MAX 100 // that are told; all are counted
#define FEATURE_VERIFY_SAMPLE       1000

struct feature_finding {
  char decision_id[LEAD_ID_TEXT + 12]; // the lead and its last decision there
  const char *where;                   // "journal" (a frame's digest), "state" (LMDB), "base"
  char feature[65];                    // "": not a feature, but the rest of the lead
  bool is_personal;                    // then there are no values
  double folded, held;                 // NaN: unknown
  char folded_text[48], held_text[48]; // of text features
};
struct feature_verify_options {
  const char *dir;
  uint64_t sample; // leads; 0: all
  uint64_t seed;   // which leads a sample takes
  void (*progress)(void *context, uint64_t done, uint64_t total);
  void *context;
};
struct feature_verify_result {
  struct refold_stats refold;
  uint64_t states, bases; // leads that were held against LMDB, and against a base
  uint64_t features;      // values compared
  uint64_t mismatches;    // of them, and of digests
  uint64_t unmet;         // leads whose state is of a frame that the journal as read does not have
  uint64_t different_leads;
  size_t count; // of findings
  struct feature_finding finding[FEATURE_VERIFY_FINDINGS_MAX];
};
// A mismatch is no error: see the result. Errors as store_refold.
int store_features_verify(const struct feature_verify_options *options, struct feature_verify_result *result,
                          struct error *err) ITD_MUST_USE;
