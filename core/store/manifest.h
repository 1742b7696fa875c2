// What a backup holds and how far it reaches: TO/backup.json. Written last and under another name first, so that there is
// always one that holds. Pure but for reading and writing that file.
#pragma once
#include "base/hash.h"
#include "store/head.h"

struct manifest_file {
  char *path;    // below the data directory: "journal/00-00000001.log"
  char *stored;  // below the backup: the same, or with "@RUN" behind it where the one before had to stay
  uint64_t size; // the file may be longer: an interrupted run added to it
  uint8_t sha256[SHA256_SIZE];
  // Of the file that was copied, to tell whether it changed; ns 0: it may have changed in the same moment.
  uint64_t source_size;
  int64_t source_ns;
};
struct manifest_tip { // where a partition ends in the backup
  uint64_t seq;
  uint8_t chain[SHA256_SIZE];
};
struct manifest {
  char directory[DIRECTORY_ID]; // which data directory it is of
  char program[32];             // version of the program that wrote it
  uint64_t run;                 // from 1
  int64_t began_ms, ended_ms;   // by the wall clock
  unsigned partitions;
  bool has_quarantine;
  struct manifest_tip tip[256];
  struct manifest_file *file; // in the order of their paths, after manifest_sort
  size_t count, cap;
};

void manifest_init(struct manifest *m);
void manifest_deinit(struct manifest *m);
// Adds a copy of `file`. Not sorted.
void manifest_add(struct manifest *m, const struct manifest_file *file);
void manifest_sort(struct manifest *m);
// NULL: none of that path. Sorted ones only.
const struct manifest_file *manifest_find(const struct manifest *m, const char *path);
void manifest_path(char out[4096], const char *backup); // of the manifest itself

// ITD_ENOTFOUND: there is none; ITD_EVERSION: of another format; ITD_ECORRUPT: it does not hold, or names files outside.
int manifest_read(const char *backup, struct manifest *out, struct error *err) ITD_MUST_USE;
int manifest_write(const char *backup, const struct manifest *m, struct error *err) ITD_MUST_USE;
