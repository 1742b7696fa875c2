// Every policy that was ever in force, kept under its hash, with the number that frames and leads name it by. Any
// thread.
//
// DIR/versions/HASH holds the archive (policy/policy.h), DIR/versions/numbers a line "NUMBER HASH" for each.
#pragma once
#include "policy/policy.h"

struct versions;
int versions_open(const char *dir, struct versions **out, struct error *err) ITD_MUST_USE; // ITD_ECORRUPT, ITD_EIO
void versions_close(struct versions *v);
int versions_put(struct versions *v, struct policy *policy, uint32_t *number, struct error *err) ITD_MUST_USE;
// Without opening or making anything, of a running daemon's directory too: calls `visit` for each version that reads, by its
// number. `policy` is valid during the call. ITD_ENOTFOUND: no versions there. ITD_ECORRUPT, ITD_EIO.
int versions_walk(const char *dir, void (*visit)(void *context, uint32_t number, const struct policy *policy),
                  void *context, struct error *err) ITD_MUST_USE;
// The archive of a number as it lies there, appended; likewise without opening anything. ITD_ENOTFOUND: no such number.
int versions_archive(const char *dir, uint32_t number, struct buf *out, struct error *err) ITD_MUST_USE;
// Loaded from its archive at first use and retained until versions_close. NULL: unknown, or unreadable (which is
// logged).
struct policy *versions_get(struct versions *v, uint32_t number);
// The numbers that there are, in the order in which they were given.
size_t versions_count(const struct versions *v);
uint32_t versions_number(const struct versions *v, size_t index);
// Why versions_get gave none. ITD_EFULL, ITD_EIO: it may read later; ITD_ECORRUPT.
int versions_status(struct versions *v, uint32_t number);
