#include "net/edition.h"

#include "base/file.h"
#include "base/log.h"

#include <limits.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SECRET_FILE_BYTES 4096

struct secret {
  struct buf text; // of the file
  struct bytes line[WEBHOOK_SECRETS_MAX];
  size_t count;
};

struct edition {
  atomic_uint references;
  struct sources *sources;
  struct secret *secret; // one a source
};

// ---- secrets ----

static bool is_inside(const char *file, const char *folder) {
  char real_file[PATH_MAX], real_folder[PATH_MAX];
  if (!realpath(file, real_file) || !realpath(folder, real_folder)) return false;
  size_t n = strlen(real_folder);
  return strncmp(real_file, real_folder, n) == 0 && (real_file[n] == '/' || real_file[n] == 0);
}

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r'; }

// One a line; spaces around it do not count.
static int split_lines(struct secret *secret, const char *file, struct error *err) {
  struct bytes rest = buf_bytes(&secret->text);
  while (rest.n) {
    const uint8_t *end = memchr(rest.p, '\n', rest.n);
    struct bytes line = bytes_of(rest.p, end ? (size_t)(end - rest.p) : rest.n);
    rest = bytes_of(rest.p + line.n + (end != NULL), rest.n - line.n - (end != NULL));
    while (line.n && is_space(line.p[0])) line = bytes_of(line.p + 1, line.n - 1);
    while (line.n && is_space(line.p[line.n - 1])) line.n--;
    if (!line.n) continue;
    if (secret->count == WEBHOOK_SECRETS_MAX)
      return error_set(err, ITD_ECONFIG, "option source_secret: %s has more than %d secrets", file,
                       WEBHOOK_SECRETS_MAX);
    secret->line[secret->count++] = line;
  }
  return secret->count ? 0 : error_set(err, ITD_ECONFIG, "option source_secret: %s is empty", file);
}

static int read_secret(const struct config *config, const struct source_secret *from, struct secret *secret,
                       struct error *err) {
  struct error why = {0};
  if (is_inside(from->file, config->policies))
    return error_set(err, ITD_ECONFIG,
                     "option source_secret: %s lies in the policies folder; a secret must not be part of a policy",
                     from->file);
  if (file_read(from->file, SECRET_FILE_BYTES, &secret->text, &why) < 0)
    return error_set(err, ITD_ECONFIG, "option source_secret: %s", why.text);
  return split_lines(secret, from->file, err);
}

static const struct source_secret *configured(const struct config *config, const char *name) {
  for (size_t i = 0; i < config->source_secret_count; i++)
    if (strcmp(config->source_secret[i].source, name) == 0) return &config->source_secret[i];
  return NULL;
}

static int read_secrets(struct edition *e, const struct config *config, struct error *err) {
  size_t count = sources_count(e->sources);
  e->secret = xcalloc(count + 1, sizeof *e->secret);
  for (size_t i = 0; i < count; i++) {
    const struct source_info *source = sources_info(e->sources, i);
    const struct source_secret *from = configured(config, source->name);
    if (source->scheme == SOURCE_UNSIGNED) {
      if (from) log_line(LOG_WARN, "secret_unused", "source=%s note=\"its mapping declares no sign\"", source->name);
      continue;
    }
    if (!from) {
      log_line(LOG_INFO, "source_closed", "source=%s note=\"it is signed, and has no source_secret\"", source->name);
      continue;
    }
    int status = read_secret(config, from, &e->secret[i], err);
    if (status < 0) return status;
  }
  return 0;
}

// ---- life ----

int edition_new(const struct config *config, struct sources *sources, struct edition **out, struct error *err) {
  struct edition *e = xcalloc(1, sizeof *e);
  atomic_init(&e->references, 1);
  sources_retain(sources);
  e->sources = sources;
  int status = read_secrets(e, config, err);
  if (status < 0)
    edition_release(e);
  else
    *out = e;
  return status;
}

void edition_retain(struct edition *e) { atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed); }

void edition_release(struct edition *e) {
  if (!e || atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel) != 1) return;
  for (size_t i = 0; e->secret && i < sources_count(e->sources); i++) {
    if (e->secret[i].text.n) sodium_memzero(e->secret[i].text.p, e->secret[i].text.n);
    buf_deinit(&e->secret[i].text);
  }
  free(e->secret);
  sources_release(e->sources);
  free(e);
}

struct sources *edition_sources(const struct edition *e) {
  return e->sources;
}

const struct bytes *edition_secrets(const struct edition *e, const struct source_info *source, size_t *count) {
  size_t i = (size_t)(source - sources_info(e->sources, 0));
  *count = e->secret[i].count;
  return e->secret[i].line;
}
