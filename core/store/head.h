// Heads: where every partition of a journal stood at a moment, signed (Ed25519), as a few lines of text that are published or kept elsewhere. A
// journal that was cut back or replaced since does not contain its head any more. Format: docs/journal.md#heads.
#pragma once
#include "store/journal.h"

#define HEAD_KEY_SIZE    32 // public
#define HEAD_SECRET_SIZE 64
#define DIRECTORY_ID     33 // 32 hexadecimal digits and a NUL

struct journal_head {
  char directory[DIRECTORY_ID]; // which data directory; "": not known
  int64_t time_ms;
  unsigned partitions;
  struct journal_tip tip[256]; // seq and chain
};

// Where the journal of a directory stands, the running daemon's too: what is said is on disk. Writes nothing. ITD_ENOTFOUND: there is no journal.
int head_take(const char *dir, int64_t now_ms, struct journal_head *head, struct error *err) ITD_MUST_USE;
// The directory's name in heads, made from its secret, which it does not tell. False: DIR/format is not there or does not read.
bool head_directory(const char *dir, char out[DIRECTORY_ID]);

void head_put(const struct journal_head *head, const uint8_t secret[HEAD_SECRET_SIZE], struct buf *out);
// ITD_ECORRUPT: not a head, or not as it was signed. ITD_EAUTH: signed by another key than `key`.
int head_get(struct bytes text, const uint8_t key[HEAD_KEY_SIZE], struct journal_head *head,
             struct error *err) ITD_MUST_USE;

// A pair of keys: the secret one into `path` (mode 0600), the public one into `path`.pub. ITD_EBUSY: one of the files is there already.
int head_key_make(const char *path, struct error *err) ITD_MUST_USE;
int head_secret_read(const char *path, uint8_t secret[HEAD_SECRET_SIZE], struct error *err) ITD_MUST_USE;
int head_key_read(const char *path, uint8_t key[HEAD_KEY_SIZE], struct error *err) ITD_MUST_USE; // of either file
