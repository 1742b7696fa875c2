// CSV from a stranger: a record is refused with its line, or written again, all in quotes, it reads as the same. The first byte chooses
// the separator.
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/csv.h"
#include "fuzz.h"

static void open_bytes(struct bytes content, int *fd, char name[64], struct input *input) {
  *fd = memfd_create("csv", MFD_CLOEXEC);
  CHECK(*fd >= 0 && pwrite(*fd, content.p, content.n, 0) == (ssize_t)content.n);
  snprintf(name, 64, "/proc/self/fd/%d", *fd);
  struct error err = {0};
  CHECK(input_open(name, input, &err) == 0);
}

static void put_record(struct buf *out, const struct csv_record *r, char separator) {
  for (size_t i = 0; i < r->count; i++) {
    if (i > 0) buf_append_u8(out, (uint8_t)separator);
    buf_append_u8(out, '"');
    for (size_t k = 0; k < r->field[i].n; k++) {
      if (r->field[i].p[k] == '"') buf_append_u8(out, '"');
      buf_append_u8(out, r->field[i].p[k]);
    }
    buf_append_u8(out, '"');
  }
  buf_append_str(out, "\r\n");
}

// Reads all that is whole, and writes it to `out`. Returns how many records; what ended it in *rc.
static size_t read_all(struct bytes content, char separator, struct buf *out, int *rc) {
  static struct csv_record record;
  struct input input;
  struct csv csv;
  struct error err = {0};
  char name[64];
  int fd;
  size_t count = 0;
  uint64_t line = 0;
  open_bytes(content, &fd, name, &input);
  csv_init(&csv, &input, separator);
  while ((*rc = csv_next(&csv, &record, &err)) == 1) {
    CHECK(record.count >= 1 && record.count <= CSV_FIELDS_MAX && csv.line > line);
    line = csv.line;
    put_record(out, &record, separator);
    count++;
  }
  CHECK(*rc == 0 || ((*rc == ITD_EINVAL || *rc == ITD_ETOOBIG || *rc == ITD_EIO) && err.text[0]));
  csv_deinit(&csv);
  input_close(&input);
  close(fd);
  return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  struct buf once = {0}, twice = {0};
  int rc;
  if (n == 0 || n > 65536) return 0;
  char separator = ",;\t|"[p[0] % 4];
  size_t count = read_all(bytes_of(p + 1, n - 1), separator, &once, &rc);
  CHECK(read_all(buf_bytes(&once), separator, &twice, &rc) == count && rc == 0);
  CHECK(bytes_eq(buf_bytes(&once), buf_bytes(&twice)));
  buf_deinit(&once), buf_deinit(&twice);
  return 0;
}
