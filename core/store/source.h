// A segment's bytes, whichever file holds them: its log, or what it was sealed into. All that reads a journal reads through this.
#pragma once
#include "store/sealed.h"

struct source;
// The log when it is there, else the sealed segment: a log goes only after its sealed segment is whole, and what is open stays readable.
// ITD_ENOTFOUND: neither is there; else as sealed_open. The text names the file.
int source_open(const char *dir, unsigned log, uint32_t segment, struct source **out, struct error *err) ITD_MUST_USE;
void source_close(struct source *s);
const char *source_path(const struct source *s);
struct sealed *source_sealed(const struct source *s); // NULL: it is a log
int source_fd(const struct source *s);                // of a log; -1: it is sealed
// Bytes of the segment from `offset` on: *got of n, fewer only where the segment ends. `cache` is used when it is sealed. ITD_EIO; ITD_ECORRUPT
// (sealed only). The text names the file.
int source_read(const struct source *s, struct sealed_cache *cache, uint64_t offset, void *out, size_t n, size_t *got,
                struct error *err) ITD_MUST_USE;
// How many of n bytes from `offset` on one read of the disk brings: for a sealed segment those up to the end of the block.
size_t source_near(const struct source *s, uint64_t offset, size_t n);

// "LL-SSSSSSSS.log", "LL-SSSSSSSS.seg": what a file of DIR/journal is.
enum segment_file { SEGMENT_FILE_NONE, SEGMENT_FILE_LOG, SEGMENT_FILE_SEALED };
enum segment_file segment_file(const char *name, unsigned *log, uint32_t *segment);
