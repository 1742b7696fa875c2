// The manifest as JSON, with a digest of itself: of the same object without its member "digest", laid out as here.
#include "store/manifest.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "store/disk.h"

#define FORMAT       1
#define MANIFEST_MAX (1u << 30)
#define HEX_SIZE     (2 * SHA256_SIZE + 1)

void manifest_init(struct manifest *m) { *m = (struct manifest){0}; }

void manifest_deinit(struct manifest *m) {
  for (size_t i = 0; i < m->count; i++) {
    free(m->file[i].path);
    free(m->file[i].stored);
  }
  free(m->file);
  *m = (struct manifest){0};
}

void manifest_add(struct manifest *m, const struct manifest_file *file) {
  if (m->count == m->cap) m->file = xrealloc(m->file, (m->cap = m->cap ? m->cap * 2 : 64) * sizeof *m->file);
  struct manifest_file *f = &m->file[m->count++];
  *f = *file;
  f->path = xstrdup(file->path);
  f->stored = xstrdup(file->stored);
}

static int by_path(const void *a, const void *b) {
  return strcmp(((const struct manifest_file *)a)->path, ((const struct manifest_file *)b)->path);
}

void manifest_sort(struct manifest *m) {
  if (m->count) qsort(m->file, m->count, sizeof *m->file, by_path);
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *path) {
  struct manifest_file key = {.path = (char *)(uintptr_t)path};
  return m->count ? bsearch(&key, m->file, m->count, sizeof *m->file, by_path) : NULL;
}

void manifest_path(char out[4096], const char *backup) { snprintf(out, PATH_MAX, "%s/backup.json", backup); }

// ---- out ----
static json_t *hex(const uint8_t sum[SHA256_SIZE]) {
  char text[HEX_SIZE];
  hex_encode(bytes_of(sum, SHA256_SIZE), text);
  return json_string(text);
}

static json_t *to_json(const struct manifest *m) {
  json_t *root = json_object(), *tips = json_array(), *files = json_array();
  json_object_set_new(root, "format", json_integer(FORMAT));
  json_object_set_new(root, "program", json_string(m->program));
  json_object_set_new(root, "directory", json_string(m->directory));
  json_object_set_new(root, "run", json_integer((json_int_t)m->run));
  json_object_set_new(root, "began_ms", json_integer(m->began_ms));
  json_object_set_new(root, "ended_ms", json_integer(m->ended_ms));
  json_object_set_new(root, "quarantine", json_boolean(m->has_quarantine));
  for (unsigned p = 0; p < m->partitions; p++) {
    json_t *tip = json_object();
    json_object_set_new(tip, "seq", json_integer((json_int_t)m->tip[p].seq));
    json_object_set_new(tip, "chain", hex(m->tip[p].chain));
    json_array_append_new(tips, tip);
  }
  for (size_t i = 0; i < m->count; i++) {
    const struct manifest_file *f = &m->file[i];
    json_t *file = json_object();
    json_object_set_new(file, "path", json_string(f->path));
    json_object_set_new(file, "stored", json_string(f->stored));
    json_object_set_new(file, "size", json_integer((json_int_t)f->size));
    json_object_set_new(file, "sha256", hex(f->sha256));
    json_object_set_new(file, "source_size", json_integer((json_int_t)f->source_size));
    json_object_set_new(file, "source_ns", json_integer(f->source_ns));
    json_array_append_new(files, file);
  }
  json_object_set_new(root, "partitions", tips);
  json_object_set_new(root, "files", files);
  return root;
}

// Of the object as it is laid out, without its own digest.
static void digest_of(const json_t *root, uint8_t sum[SHA256_SIZE]) {
  char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
  sha256_of(bytes_str(text), sum);
  free(text);
}

int manifest_write(const char *backup, const struct manifest *m, struct error *err) {
  char path[PATH_MAX];
  uint8_t sum[SHA256_SIZE];
  json_t *root = to_json(m);
  digest_of(root, sum);
  json_object_set_new(root, "digest", hex(sum));
  char *text = json_dumps(root, JSON_INDENT(1));
  manifest_path(path, backup);
  int rc = disk_replace(path, bytes_str(text), err);
  free(text);
  json_decref(root);
  return rc;
}

// ---- in ----
static bool get_hex(const json_t *value, uint8_t sum[SHA256_SIZE]) {
  const char *text = json_string_value(value);
  return text && hex_decode(bytes_str(text), sum, SHA256_SIZE) == 0;
}

// A name below a folder, of one or two parts, that leads nowhere else.
static bool name_holds(const char *name) {
  if (!name || !*name || *name == '/' || *name == '.' || strlen(name) > 200 || strstr(name, "..")) return false;
  const char *slash = strchr(name, '/');
  return !slash || (slash[1] && !strchr(slash + 1, '/'));
}

static bool get_file(const json_t *value, struct manifest *m) {
  struct manifest_file f = {
      .path = (char *)(uintptr_t)json_string_value(json_object_get(value, "path")),
      .stored = (char *)(uintptr_t)json_string_value(json_object_get(value, "stored")),
      .size = (uint64_t)json_integer_value(json_object_get(value, "size")),
      .source_size = (uint64_t)json_integer_value(json_object_get(value, "source_size")),
      .source_ns = json_integer_value(json_object_get(value, "source_ns")),
  };
  if (!name_holds(f.path) || !name_holds(f.stored) || !get_hex(json_object_get(value, "sha256"), f.sha256))
    return false;
  manifest_add(m, &f);
  return true;
}

static bool get_all(const json_t *root, struct manifest *m) {
  const json_t *tips = json_object_get(root, "partitions"), *files = json_object_get(root, "files");
  const char *program = json_string_value(json_object_get(root, "program"));
  const char *directory = json_string_value(json_object_get(root, "directory"));
  if (!program || !directory || !json_is_array(tips) || !json_is_array(files) || json_array_size(tips) < 1 ||
      json_array_size(tips) > 256)
    return false;
  snprintf(m->program, sizeof m->program, "%s", program);
  snprintf(m->directory, sizeof m->directory, "%s", directory);
  m->run = (uint64_t)json_integer_value(json_object_get(root, "run"));
  m->began_ms = json_integer_value(json_object_get(root, "began_ms"));
  m->ended_ms = json_integer_value(json_object_get(root, "ended_ms"));
  m->has_quarantine = json_is_true(json_object_get(root, "quarantine"));
  m->partitions = (unsigned)json_array_size(tips);
  for (unsigned p = 0; p < m->partitions; p++) {
    const json_t *tip = json_array_get(tips, p);
    m->tip[p].seq = (uint64_t)json_integer_value(json_object_get(tip, "seq"));
    if (!get_hex(json_object_get(tip, "chain"), m->tip[p].chain)) return false;
  }
  for (size_t i = 0; i < json_array_size(files); i++)
    if (!get_file(json_array_get(files, i), m)) return false;
  manifest_sort(m);
  for (size_t i = 1; i < m->count; i++)
    if (strcmp(m->file[i - 1].path, m->file[i].path) == 0) return false;
  return true;
}

static int parse(struct bytes text, const char *path, struct manifest *m, struct error *err) {
  uint8_t said[SHA256_SIZE], is[SHA256_SIZE];
  json_t *root = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
  int rc = 0;
  if (!json_is_object(root)) {
    rc = error_set(err, ITD_ECORRUPT, "%s is no manifest of a backup: it does not read as JSON", path);
  } else if (json_integer_value(json_object_get(root, "format")) != FORMAT) {
    rc = error_set(err, ITD_EVERSION, "%s: format %lld; this program reads %d", path,
                   (long long)json_integer_value(json_object_get(root, "format")), FORMAT);
  } else if (!get_hex(json_object_get(root, "digest"), said)) {
    rc = error_set(err, ITD_ECORRUPT, "%s: it has no digest", path);
  } else {
    json_object_del(root, "digest");
    digest_of(root, is);
    if (memcmp(said, is, sizeof is) != 0 || !get_all(root, m))
      rc = error_set(err, ITD_ECORRUPT, "%s: its digest does not hold: it was changed", path);
  }
  json_decref(root);
  return rc;
}

int manifest_read(const char *backup, struct manifest *out, struct error *err) {
  char path[PATH_MAX];
  struct buf text = {0};
  struct manifest m;
  manifest_init(&m);
  manifest_path(path, backup);
  int rc = disk_load(path, MANIFEST_MAX, &text, err);
  if (rc == 0) rc = parse(buf_bytes(&text), path, &m, err);
  buf_deinit(&text);
  if (rc)
    manifest_deinit(&m);
  else
    *out = m;
  return rc;
}
