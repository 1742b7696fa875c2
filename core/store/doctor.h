// What is wrong with a data directory, or will be, in plain words, and what to do about it. Reads only: the directory may
// be a running daemon's, a stopped one's, a copy, or a backup. One thread.
#pragma once
#include "store/journal.h"

enum doctor_severity {
  DOCTOR_OK,      // looked at, and well
  DOCTOR_NOTE,    // worth knowing; nothing has to be done
  DOCTOR_WARNING, // will go wrong, or costs something
  DOCTOR_ERROR    // is wrong: a daemon does not start, or something is lost
};
const char *doctor_severity_name(enum doctor_severity severity); // "ok", "note", "warning", "error"

struct doctor_finding {
  enum doctor_severity severity;
  char subject[24]; // "journal"
  char text[700];   // what was found
  char advice[500]; // what to do; empty: nothing
};
struct doctor_report {
  struct doctor_finding *finding; // in the order in which they were made
  size_t count, cap;
};
void doctor_report_deinit(struct doctor_report *report);
enum doctor_severity doctor_worst(const struct doctor_report *report);
void doctor_add(struct doctor_report *report, enum doctor_severity severity, const char *subject, const char *advice,
                const char *format, ...) ITD_PRINTF(5, 6);

struct doctor_options {
  const char *dir;
  bool is_deep;           // every byte of journal, bases and vault
  uint64_t free_bytes;    // less room than this on the disk is a warning
  int64_t hold_age_ms;    // a hold that is older is worth a note
  uint64_t reader_behind; // a reader of LMDB that is so many transactions behind is a warning
};
#define DOCTOR_OPTIONS_DEFAULT                                                                                         \
  ((struct doctor_options){.free_bytes = 1ull << 30, .hold_age_ms = 90ll * 86400000, .reader_behind = 1000})
// Never fails: what can't be looked at is a finding.
void doctor_look(const struct doctor_options *options, struct doctor_report *report);
