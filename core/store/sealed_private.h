// What the two files of sealed segments share: numbers of the format (docs/journal.md#sealed-segments).
#pragma once
#include "store/sealed.h"

#define SEALED_NAME         "ITDSEAL\n"
#define SEALED_MAGIC_INDEX  0x184d2a5du // of zstd's skippable frames
#define SEALED_MAGIC_LEADS  0x184d2a5eu
#define SEALED_MAGIC_FOOTER 0x184d2a5fu
#define SEALED_IS_CLOSED    1u
#define SEALED_FRAME_MAX    (SEALED_BLOCK_MAX + SEALED_BLOCK_MAX / 128 + 1024) // what zstd makes at most of a block

struct bytes sealed_tips(const struct sealed *s); // as trailer entries
int sealed_leads(struct sealed *s, struct bytes *payload, struct error *err) ITD_MUST_USE;
