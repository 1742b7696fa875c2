// What the files of the quarantine share: its files and their records. Private to store/.
#pragma once
#include "store/quarantine.h"

#include <limits.h>
#include <pthread.h>

// quarantine_once.c: which payloads have an entry. Of one thread at a time.
struct quarantine_known {
  uint8_t key[16]; // of the hashes in `slot`
  struct known {
    uint64_t hash, id; // hash 0: free
  } * slot;
  size_t count, cap; // cap: a power of two
  bool is_read;
  uint64_t turns, rewrites; // of the files as they were read
  size_t at;                // how far the current one was
};

struct quarantine {
  pthread_mutex_t lock;
  int fd;
  size_t bytes, max;
  uint64_t turns;    // times that the first file took the place of the second
  uint64_t rewrites; // times that a purge put another file in a file's place
  bool is_new;       // the first file was begun since the last sync
  bool is_unsettled; // a sync failed: what it should have written is to be written again
  bool is_purging;
  char path[PATH_MAX], older[PATH_MAX];
  struct buf out;
  struct quarantine_known known; // not under the lock
};

// Where an entry was written: from `at` to `end` of the first file, unless that took the second one's place before.
struct quarantine_place {
  uint64_t turns;
  size_t at, end;
};
// Adds an entry. 0 or an errno; E2BIG: it is larger than half of the bound.
int quarantine_write(struct quarantine *q, const struct error *reason, struct bytes event, int64_t received_ms,
                     char id[QUARANTINE_ID + 1], struct quarantine_place *place);
// Shows the whole records of a file between two places to `visit` (NULL: nobody), in windows, since the bound of the files may be
// large; *whole is where the last of them ends. A file that is not there is empty. 0 or an errno.
int quarantine_each(const char *path, size_t at, size_t end, void (*visit)(void *context, struct bytes record),
                    void *context, size_t *whole);
void quarantine_forget_known(struct quarantine *q);

enum quarantine_kind { RECORD_ENTRY, RECORD_FIX, RECORD_REPLAY };
struct quarantine_record {
  enum quarantine_kind kind;
  uint64_t id; // the hexadecimal digits, read
};
// The whole record at the front of a file's bytes, its length in *n. False: there is none, it was cut.
bool quarantine_next(struct bytes from, size_t *n);
struct quarantine_record quarantine_record_of(struct bytes record);
struct bytes quarantine_text_of(struct bytes record, const char *key); // empty: there is none
struct bytes quarantine_bin_of(struct bytes record, const char *key);
bool quarantine_id_read(struct bytes text, uint64_t *id); // false: it is none
void quarantine_id_text(uint64_t id, char out[QUARANTINE_ID + 1]);
