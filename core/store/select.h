// Finding frames in a journal without opening its directory: by lead, partition, place, time and kind. Of sealed segments only the blocks are
// read that may hold such frames. Reads only; a running daemon does not mind.
#pragma once
#include "store/journal.h"

struct select_filter {
  const struct lead_id *lead; // NULL: of any
  int partition;              // -1: any
  uint64_t place;             // 0: anywhere
  int64_t since_ms, until_ms; // received_ms within both; INT64_MIN, INT64_MAX: no bound
  uint32_t kinds;             // 1 << kind; 0: all
  uint64_t limit;             // frames at most; 0: all
};
#define SELECT_ALL ((struct select_filter){.partition = -1, .since_ms = INT64_MIN, .until_ms = INT64_MAX})

struct select_stats {
  uint64_t frames;                      // shown
  uint64_t blocks, blocks_read;         // of sealed segments; those that were unpacked
  uint64_t segments, segments_left_out; // without reading more than the index
};
// Calls `visit` for each frame that fits, every partition's in their sequence. What `visit` returns ends it when it is not 0. `progress` may be
// NULL: segments so far, and in all. ITD_ENOTFOUND: no journal, or (with a place) no such frame. ITD_ECORRUPT, ITD_EIO.
int journal_select(const char *dir, const struct select_filter *filter, journal_visit visit, void *context,
                   void (*progress)(void *context, uint64_t done, uint64_t total), struct select_stats *stats,
                   struct error *err) ITD_MUST_USE;
// "00-0000001a+4096", as places are shown, or 16 hexadecimal digits. ITD_EINVAL.
int place_parse(const char *text, uint64_t *place) ITD_MUST_USE;
#define PLACE_TEXT 24
void place_format(uint64_t place, char out[PLACE_TEXT]);
