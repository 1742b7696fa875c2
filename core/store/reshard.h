// Another number of partitions, in place and with all history kept (docs/decisions/reshard.md). Nothing of the journal is
// written again: its segments say of how many partitions they are, and leads, decisions and places are named by what does
// not change. One thread; nobody else may hold the directory.
#pragma once
#include "store/store.h"

struct reshard_options {
  const char *dir;
  unsigned partitions; // from now on; 1..256
  uint64_t map_bytes;  // state.map; 0: the default
};
struct reshard_result {
  unsigned before, after;          // partitions
  uint64_t leads, entities, bytes; // in the state; of the bases that were written
  uint64_t digest;                 // over all leads and entities: the same before, in the bases, and after
  uint64_t seq;                    // where all new partitions begin
  uint64_t messages;               // that waited between entities, and were delivered first
};
// Recovers as a start does, delivers what is under way between entities, and puts everything into the state. Then it writes
// a base of every new partition, reads them back and compares. DIR/format names the new number: before that is on disk
// nothing has changed, after it everything has; a start takes away, or brings to its end, what a crash left. At last the
// directory is opened with the new number, whose first session begins, and compared once more.
// ITD_EINVAL: it has that number, or there is none such. ITD_ENOTFOUND: no data directory. ITD_EBUSY: in use. ITD_EVERSION.
// ITD_EFULL, ITD_EIO, ITD_ECORRUPT: the text says which number it has now.
int store_reshard(const struct reshard_options *options, struct reshard_result *result, struct error *err) ITD_MUST_USE;
