// Which policy version is in force in a data directory, or was when it was left, by its files: of a running daemon's, a stopped
// one's, a copy. It is not the one with the highest number: who goes back to a former version gets its number again.
#pragma once
#include "store/versions.h"

// The number that the newest RELEASE frame has; 0: the journal that is kept has none (it is new, or retention let go what came
// before the last one). Of sealed segments only blocks with such frames are read. ITD_ECORRUPT, ITD_EIO.
int in_force_number(const char *dir, uint32_t *number, struct error *err) ITD_MUST_USE;
// That version, else (where the journal has none) the one with the highest number; valid until versions_close.
// ITD_ENOTFOUND: there is none. ITD_ECORRUPT: it does not read.
int in_force_policy(const char *dir, struct versions *versions, struct policy **policy, struct error *err) ITD_MUST_USE;
