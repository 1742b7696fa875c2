#include "cli/input.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { READ_BYTES = 256 << 10 };

int input_open(const char *name, struct input *input, struct error *err) {
  bool is_stdin = strcmp(name, "-") == 0;
  const char *shown = is_stdin ? "standard input" : name;
  int fd = is_stdin ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error_set(err, errno == ENOENT ? ITD_ENOTFOUND : ITD_EIO, "%s: %s", shown, strerror(errno));
  struct stat st;
  if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
    close(fd);
    return error_set(err, ITD_EIO, "%s is a folder; a file is wanted", shown);
  }
  gzFile gz = gzdopen(fd, "rb");
  if (!gz) out_of_memory(0);
  gzbuffer(gz, READ_BYTES);
  *input = (struct input){.gz = gz, .name = shown, .size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0};
  return 0;
}

void input_close(struct input *input) {
  if (input->gz) gzclose(input->gz);
  buf_deinit(&input->bytes);
  *input = (struct input){0};
}

int input_more(struct input *input, struct error *err) {
  if (input->is_end) return 0;
  if (input->at) {
    buf_consume(&input->bytes, input->at);
    input->at = 0;
  }
  int n = gzread(input->gz, buf_reserve(&input->bytes, READ_BYTES), READ_BYTES);
  int code;
  const char *why = gzerror(input->gz, &code);
  // A gzip file that ends too early gives what there is, and Z_BUF_ERROR at its end.
  if (n < 0 || (n == 0 && code != Z_OK && code != Z_STREAM_END))
    return error_set(err, ITD_EIO, "%s can't be read: %s", input->name, code == Z_ERRNO ? strerror(errno) : why);
  if (n == 0) input->is_end = true;
  input->bytes.n += (size_t)n;
  return n > 0;
}

int input_line(struct input *input, size_t max, struct bytes *line, struct error *err) {
  size_t looked = 0;
  for (;;) {
    size_t left = input->bytes.n - input->at;
    const uint8_t *start = input->bytes.p + input->at;
    const uint8_t *end = left > looked ? memchr(start + looked, '\n', left - looked) : NULL;
    if (end || (input->is_end && left)) {
      size_t n = end ? (size_t)(end - start) : left;
      input->at += end ? n + 1 : n;
      if (n && start[n - 1] == '\r') n--;
      *line = bytes_of(start, n);
      return 1;
    }
    if (input->is_end) return 0;
    if (left > max) return error_set(err, ITD_ETOOBIG, "%s: a line of more than %zu bytes", input->name, max);
    looked = left;
    int more = input_more(input, err);
    if (more < 0) return more;
  }
}

uint64_t input_read(const struct input *input) {
  z_off_t offset = gzoffset(input->gz);
  return offset > 0 ? (uint64_t)offset : 0;
}
