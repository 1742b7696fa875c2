// What the doctor's files share. Private to store/doctor*.c.
#pragma once
#include "store/base.h"
#include "store/doctor.h"
#include "store/journal_scan.h"
#include "store/state.h"

struct doctor {
  const struct doctor_options *options;
  struct doctor_report *report;
  const char *dir;
  unsigned partitions;
  struct journal_boundary since; // where this number of partitions began
  bool is_held;                  // by a daemon that runs
  long holder;                   // its process
  // journal
  struct segment_info *list;
  size_t count;
  uint64_t journal_bytes;
  int64_t newest_ms; // greatest received_ms; 0: none
  struct scan *scan; // of what was walked
  unsigned era;      // of the newest segment
  bool has_tip[256]; // where each partition's journal ends, as far as it reads
  uint64_t tip[256];
  bool is_damaged;
  // bases and state
  struct base_info *base;
  size_t base_count;
  bool has_state;
  struct state_look state;
};
#define FINDING(d, severity, subject, advice, ...) doctor_add((d)->report, severity, subject, advice, __VA_ARGS__)

void doctor_list_bases(struct doctor *d);
// What the journal's segments and openings say; with --deep all of it. Fills count, tips, damage.
void doctor_journal(struct doctor *d);
void doctor_bases(struct doctor *d); // against the journal
void doctor_state(struct doctor *d);
void doctor_lag(struct doctor *d); // LMDB against the journal
