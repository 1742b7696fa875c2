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
// Bytes sealed under a lead's key, appended: its block in LMDB or in a base. ITD_ENOTFOUND: the key is gone. ITD_ECORRUPT, ITD_EVERSION.
int opener_open(struct opener *o, struct lead_id lead, struct bytes sealed, struct buf *out,
                struct error *err) ITD_MUST_USE;
// The leads whose keys there are, each once, in the order in which the files have them.
size_t opener_leads(const struct opener *o);
struct lead_id opener_lead(const struct opener *o, size_t index);
