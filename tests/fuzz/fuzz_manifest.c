// A backup's manifest from a stranger, once as it is and once with its digest made right: refused, or its files lie below the folder, sorted
// and named once, and it is written and read again as the same.
#include <jansson.h>

#include "fuzz_files.h"
#include "store/manifest.h"

static void read_it(void) {
  struct manifest m, again;
  struct error err = {0};
  int rc = manifest_read(fuzz_dir(NULL), &m, &err);
  CHECK(rc == 0 || ((rc == ITD_ECORRUPT || rc == ITD_EVERSION) && err.code == rc && err.text[0]));
  if (rc) return;
  CHECK(m.partitions >= 1 && m.partitions <= 256);
  for (size_t i = 0; i < m.count; i++) {
    const char *names[] = {m.file[i].path, m.file[i].stored};
    for (int k = 0; k < 2; k++) CHECK(names[k][0] != '/' && names[k][0] && !strstr(names[k], ".."));
    CHECK(i == 0 || strcmp(m.file[i - 1].path, m.file[i].path) < 0);
    CHECK(manifest_find(&m, m.file[i].path) == &m.file[i]);
  }
  CHECK(manifest_write(fuzz_dir(NULL), &m, &err) == 0 && manifest_read(fuzz_dir(NULL), &again, &err) == 0);
  CHECK(again.count == m.count && again.partitions == m.partitions && again.run == m.run &&
        again.has_quarantine == m.has_quarantine && strcmp(again.program, m.program) == 0);
  for (size_t i = 0; i < m.count; i++)
    CHECK(strcmp(m.file[i].path, again.file[i].path) == 0 && strcmp(m.file[i].stored, again.file[i].stored) == 0 &&
          m.file[i].size == again.file[i].size && memcmp(m.file[i].sha256, again.file[i].sha256, SHA256_SIZE) == 0);
  manifest_deinit(&m);
  manifest_deinit(&again);
}

static void mend(struct bytes text) {
  json_t *root = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
  if (!json_is_object(root)) {
    json_decref(root);
    return;
  }
  uint8_t sum[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1];
  json_object_set_new(root, "format", json_integer(1));
  json_object_del(root, "digest");
  char *compact = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
  sha256_of(bytes_str(compact), sum);
  hex_encode(bytes_of(sum, sizeof sum), hex);
  json_object_set_new(root, "digest", json_string(hex));
  char *mended = json_dumps(root, 0);
  fuzz_put("backup.json", bytes_str(mended));
  read_it();
  free(compact), free(mended);
  json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n > 16384) return 0;
  fuzz_put("backup.json", bytes_of(p, n));
  read_it();
  mend(bytes_of(p, n));
  return 0;
}
