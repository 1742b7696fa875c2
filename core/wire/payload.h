// Raw payloads of other systems, before a source's mapping makes events of them (docs/sources.md). Pure; any thread.
#pragma once
#include "wire/mp.h"

#define PAYLOAD_FORM_FIELDS 1000 // of one form

// A form (application/x-www-form-urlencoded) as a map of texts, appended; a key that comes several times is a list of
// them. ITD_EFRAME: a broken %-escape, or text that is no UTF-8; ITD_ETOOBIG: too many fields, or beyond
// limits->bytes_max. Then `out` is as before.
int payload_from_form(struct bytes form, const struct mp_limits *limits, struct buf *out,
                      struct error *err) ITD_MUST_USE;

// A payload as mappings get it, appended: null is nothing (a key that has it is left out, an element too), a whole
// number beyond 2^53 is the text of its digits (Lua's numbers would change it), and what JSON has no word for is
// nothing. The bytes are a function of the payload alone: they are what a digest is taken of. `value` has passed
// mp_scan.
void payload_plain(struct bytes value, struct buf *out);
