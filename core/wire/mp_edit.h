// Changing one value of a MessagePack map in a buffer: what schemas' upcasts and repairs of quarantined events stand on.
// Pure, any thread. Paths are found as mp_find_path finds them. Each costs a walk through the map and one move of what
// lies behind the place.
#pragma once
#include "wire/mp.h"

// `map` holds one whole map, in all of these; `value` must not point into it.
// Takes the pair at `path` out; its value is appended to `value` (may be NULL). False: it is not there, nothing changed.
bool mp_cut(struct buf *map, struct bytes path, struct buf *value);
// Puts `value` at `path`: in the place of what is there, else as the last pair of its map. Maps on the way are made where
// nothing or nil is. False: something else is on the way, nothing changed.
bool mp_set(struct buf *map, struct bytes path, struct bytes value);
