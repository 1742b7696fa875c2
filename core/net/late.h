// Features that come late, and the versions that read them (docs/decisions/backfill.md): which are not full is noted with each
// release and with each backfill that comes to its end; a version that newly reads one is refused unless the caller allows it.
// Control thread.
#pragma once
#include "net/daemon.h"
#include "store/late.h"

// At the start: what is known of the directory. `before`: in force last; NULL: none, or it does not load.
void late_start(struct daemon *daemon, const struct policy *before);
void late_stop(struct daemon *daemon);
// ITD_ELATE: `next` reads features that `before` does not read and that are not full, or would not be; the text names them and
// says what to do. Where there is no lead yet nothing is late.
int late_check(struct daemon *daemon, const struct policy *before, const struct policy *next,
               struct error *err) ITD_MUST_USE;
// Before `next` is put in force after `before` (NULL does nothing). ITD_EFULL, ITD_EIO: it must not be.
int late_note(struct daemon *daemon, const struct policy *before, const struct policy *next,
              struct error *err) ITD_MUST_USE;
// A backfill has seen these features full in all leads, of what was late when it began.
int late_filled(struct daemon *daemon, const struct late *then, const struct feature_set *set,
                const struct feature_mask *full, struct error *err) ITD_MUST_USE;
