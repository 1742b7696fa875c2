// Late labels: outcomes (a deal won, a loan cancelled) and the decisions that they judge. Reads a directory's journal from
// outside: without its lock, without its keys and without writing, of a running daemon or of a copy.
//
// What is judged: of each lead the first decision of a day (UTC, by the lead's clock), and the first of that day by each
// release; not of leads whose journey has ended (a final stage). So somebody who clicks a hundred times a day counts
// as much as somebody who comes once. An outcome judges a decision when it came after the decision's clock and at most the
// label's time later, by its own time: what `intent feature export --at labels` says of the same row. That it does not come is known
// once that time has passed by the greatest clock in the journal, or something came that rules it out (`unless`). Leads that were merged are one person: what any of
// them did counts for the decisions of all. Who was forgotten is left out. Why: docs/decisions/late-labels.md
#pragma once
#include "policy/policy.h"
#include "store/journal.h"

#define OUTCOME_LABELS_MAX   16
#define OUTCOMES_MEMORY      (128u << 20) // bytes, about, of what one walk remembers
#define OUTCOMES_DAY_MS      86400000ll
#define OUTCOMES_HORIZON_MAX (3650 * OUTCOMES_DAY_MS)

enum outcome { OUTCOME_OPEN, OUTCOME_NO, OUTCOME_YES }; // open: there is still time for it
enum score { SCORE_FIT, SCORE_ENGAGEMENT, SCORE_COMBINED, SCORES };
extern const char *const score_names[SCORES];

// Whether a decision of `policy` left its lead in a final stage: what is decided there judges no model, and trains none.
bool outcomes_is_over(const struct policy *policy, struct bytes decision);

// What a label says of a decision at `at_ms`, by the times of its event and of its `unless`, each ascending, of the person that
// it was about; `known_ms`: what happened until then is known. The one rule of export and of live quality.
struct outcome_times {
  const int64_t *at;
  size_t count;
};
enum outcome label_outcome(const struct policy_label *label, struct outcome_times came, struct outcome_times over,
                           int64_t at_ms, int64_t known_ms);

struct judge_model { // of a score; `name` empty: none
  char name[64], version[64];
  double points_at_even_odds, points_to_double_odds;
};
struct judged_decision {
  struct lead_id lead;
  uint32_t number; // of the decision
  int64_t at_ms;   // the lead's clock
  // By enum score; SCORE_COMBINED's is the engagement model, without one the fit model: on its scale the points lie.
  const struct judge_model *model;
  // As the model said it, in points: before the score was kept within 0 and 100, where the ledger says what that took.
  double points[SCORES];
  bool has[SCORES];
  bool is_held_out; // nothing is ever done to this lead: what came of it does not come of our doings
  enum outcome outcome[OUTCOME_LABELS_MAX]; // by label
};
struct outcomes_options {
  const char *dir;
  const struct policy_label *label;
  size_t label_count;
  size_t memory; // 0: OUTCOMES_MEMORY. What needs more takes several walks over the journal
  // In no order. What is not 0 ends it.
  int (*visit)(void *context, const struct judged_decision *decision, struct error *err);
  void (*progress)(void *context, uint64_t done, uint64_t total); // may be NULL; of each walk
  bool (*is_over)(void *context);                                 // may be NULL; true: give up, with ITD_ESHUTDOWN
  void *context;
};
struct outcomes_stats {
  uint64_t judged; // decisions that were visited
  uint64_t unread; // decisions of a version that can't be read: they are left out
  unsigned walks;
  int64_t until_ms; // the greatest clock of a lead; INT64_MIN: there is none
  int64_t whole_ms; // all decisions with a clock from then on are in the journal (retention); INT64_MIN: all
  bool is_seen[OUTCOME_LABELS_MAX]; // there is such an event
  bool has_hold_out;                // a version that decided holds leads out
};
// ITD_ENOTFOUND: no data directory, or no journal yet. ITD_ESHUTDOWN, ITD_ECORRUPT, ITD_EIO.
int outcomes_walk(const struct outcomes_options *options, struct outcomes_stats *stats, struct error *err) ITD_MUST_USE;
