// Opening personal values of frames with the keys of a data directory, for tools: without its lock and without writing. Who was forgotten has
// no key any more.
#pragma once
#include "store/journal.h"

struct opener;
// Reads the keys of all leads (DIR/vault). ITD_ENOTFOUND: the directory has no vault, as a copy for an auditor. ITD_ECORRUPT, ITD_EIO.
int opener_new(const char *dir, struct opener **out, struct error *err) ITD_MUST_USE;
void opener_free(struct opener *o);
// The frame's event with its personal values in their places, appended. ITD_ENOTFOUND: the lead's key is gone. ITD_ECORRUPT, ITD_EVERSION.
int opener_event(struct opener *o, const struct frame *frame, struct buf *event, struct error *err) ITD_MUST_USE;
