// Bytes of a file or of standard input, unpacked when they are gzip.
#pragma once
#include "base/buf.h"

struct input {
  void *gz;
  const char *name; // as errors call it
  uint64_t size;    // bytes of the file as it lies there; 0: not known
  struct buf bytes; // read, and not taken yet
  size_t at;
  bool is_end;
};

// "-" is standard input. `name` must live as long as the input. ITD_ENOTFOUND, ITD_EIO.
int input_open(const char *name, struct input *input, struct error *err) ITD_MUST_USE;
void input_close(struct input *input);
// Reads more into input->bytes: 1, or 0 at the end. ITD_EIO (also a damaged gzip file).
int input_more(struct input *input, struct error *err) ITD_MUST_USE;
// The next line without its end: 1, or 0 after the last. The view is good until the next call. ITD_ETOOBIG: a line of
// more than `max` bytes.
int input_line(struct input *input, size_t max, struct bytes *line, struct error *err) ITD_MUST_USE;
uint64_t input_read(const struct input *input); // bytes of the file read so far, packed as they lie there
