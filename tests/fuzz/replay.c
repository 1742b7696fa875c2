// Runs a fuzzer's function over stored inputs, without libFuzzer and with any compiler: what once showed a defect, and the seeds.
//   replay_NAME FOLDER...
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max); // for those with a mutator of their own
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) { return (void)data, (void)max, size; }

static void replay(const char *folder, const char *name) {
  char path[4096];
  struct buf input = {0};
  struct error err = {0};
  snprintf(path, sizeof path, "%s/%s", folder, name);
  fprintf(stderr, "%s\n", path);
  CHECK(file_read(path, 1u << 20, &input, &err) == 0);
  LLVMFuzzerTestOneInput(input.p, input.n);
  buf_deinit(&input);
}

int main(int argc, char **argv) {
  size_t total = 0;
  for (int i = 1; i < argc; i++) {
    char **names;
    size_t count;
    struct error err = {0};
    if (dir_list(argv[i], 10000, &names, &count, &err)) {
      fprintf(stderr, "%s\n", err.text);
      return 1;
    }
    for (size_t k = 0; k < count; k++) replay(argv[i], names[k]);
    dir_list_free(names, count);
    total += count;
  }
  printf("%zu inputs\n", total);
  return total == 0;
}
