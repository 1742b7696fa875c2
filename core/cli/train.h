// intent train: what one run is made of, shared by its files: train.c (the command line and the order of things),
// train_rows.c (reading), train_split.c (parts and columns), train_fit.c (one model), train_write.c (model.json, the
// comparison with the engine, the version's folder), train_report.c (what came out).
#pragma once
#include "cli/command.h"
#include "cli/train_fit.h"

#define TRAIN_MODELS    3     // profile, behaviour, both
#define TRAIN_TREES_MAX 10000 // more do not load

struct training {
  const struct args *args;
  const char *file, *label, *out; // ROWS, NAME of the label, models/NAME/VERSION
  char *out_plain;                // what `out` is: without a "/" at its end
  const char *rationale, *by;
  char name[64], version[33];               // of the model, from `out`
  char when[16];                            // a day: 2026-01-05
  char target[200];                         // what the label means
  const char *event[POLICY_UNLESS_MAX + 1]; // those that settle it
  size_t event_count;
  struct train_settings settings;
  struct policy *set;
  const struct itd_trainer *trainer;
  struct train_rows rows;
  struct train_split split;
  struct train_model *model[TRAIN_MODELS]; // NULL: no such features
  struct train_model *chosen;              // one of them: the version that is written
  uint64_t compared;                       // rows whose margin the engine computed from the files, too: the same bits
  double *influence;                       // of each of its columns: mean of |contribution| over test rows, log-odds
  struct buf hears_all;                    // features that every event feeds, the label's too
};

// model.json of the chosen model, appended.
void train_model_json(const struct training *t, struct buf *out);
// Loads both files as the daemon does and asks it for every row that was used: fills `compared` and `influence`. ITD_EINTERNAL: a
// margin is another than the library's; ITD_EMODEL.
int train_compare(struct training *t, struct bytes model_json, struct error *err) ITD_MUST_USE;
// What the library says of each row that was used, as CSV, appended: line of the file, part, label, margin (17 digits: a
// double's bits).
void train_scores(const struct training *t, struct buf *out);
// A map of all that is told of the run, appended; and that as a page, and as tables for a terminal.
void train_report(const struct training *t, struct buf *out);
int train_page(struct bytes report, struct buf *out, struct error *err) ITD_MUST_USE;
void train_tables(struct bytes report, unsigned width, struct buf *out);

struct train_file {
  const char *name;
  struct bytes content;
};
// Makes a version's folder with these files: whole, or not at all. ITD_EINVAL: it is there already; ITD_EFULL, ITD_EIO.
int train_folder(const char *path, const struct train_file *files, size_t count, struct error *err) ITD_MUST_USE;
