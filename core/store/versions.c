// The version store.
#include "store/versions.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "store/disk.h"

#define ARCHIVE_MAX  (256u << 20)
#define VERSIONS_MAX 1000000u

struct version {
  uint32_t number;
  char hash[65];
  struct policy *policy; // NULL: not loaded
  int status;            // of the last try to load it
};

struct versions {
  char *dir;
  pthread_mutex_t lock;
  struct version *version;
  size_t count;
};

static int read_numbers(struct versions *v, struct error *err) {
  char path[PATH_MAX];
  struct buf b;
  snprintf(path, sizeof path, "%s/numbers", v->dir);
  if (access(path, F_OK)) return 0;
  buf_init(&b);
  int rc = disk_load(path, 128u * VERSIONS_MAX, &b, err);
  buf_append_u8(&b, 0);
  for (char *line = (char *)b.p; rc == 0 && *line;) {
    struct version n = {0};
    int end = 0;
    if (sscanf(line, "%u %64[0-9a-f]%n", &n.number, n.hash, &end) != 2 || line[end] != '\n' || !n.number) {
      rc = error_set(err, ITD_ECORRUPT, "%s: line %zu does not read", path, v->count + 1);
      break;
    }
    v->version = xrealloc(v->version, (v->count + 1) * sizeof *v->version);
    v->version[v->count++] = n;
    line += end + 1;
  }
  buf_deinit(&b);
  return rc;
}

int versions_open(const char *dir, struct versions **out, struct error *err) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/versions", dir);
  int rc = dir_make(path, err);
  if (rc) return rc;
  struct versions *v = xcalloc(1, sizeof *v);
  v->dir = xstrdup(path);
  pthread_mutex_init(&v->lock, NULL);
  rc = read_numbers(v, err);
  if (rc) {
    versions_close(v);
    return rc;
  }
  *out = v;
  return 0;
}

void versions_close(struct versions *v) {
  if (!v) return;
  for (size_t i = 0; i < v->count; i++)
    if (v->version[i].policy) policy_release(v->version[i].policy);
  pthread_mutex_destroy(&v->lock);
  free(v->version);
  free(v->dir);
  free(v);
}

// The archive first, then the line that gives it a number: a crash between the two leaves a file that nobody names.
static int add(struct versions *v, struct policy *policy, uint32_t *number, struct error *err) {
  char path[PATH_MAX];
  struct version n = {.number = 1};
  struct buf b;
  for (size_t i = 0; i < v->count; i++)
    if (v->version[i].number >= n.number) n.number = v->version[i].number + 1;
  memcpy(n.hash, policy_info(policy)->hash, sizeof n.hash);
  buf_init(&b);
  policy_archive(policy, &b);
  snprintf(path, sizeof path, "%s/%s", v->dir, n.hash);
  int rc = disk_replace(path, buf_bytes(&b), err);
  buf_clear(&b);
  for (size_t i = 0; i < v->count; i++) buf_printf(&b, "%u %s\n", v->version[i].number, v->version[i].hash);
  buf_printf(&b, "%u %s\n", n.number, n.hash);
  snprintf(path, sizeof path, "%s/numbers", v->dir);
  if (rc == 0) rc = disk_replace(path, buf_bytes(&b), err);
  buf_deinit(&b);
  if (rc) return rc;
  policy_retain(policy);
  n.policy = policy;
  v->version = xrealloc(v->version, (v->count + 1) * sizeof *v->version);
  v->version[v->count++] = n;
  *number = n.number;
  return 0;
}

int versions_put(struct versions *v, struct policy *policy, uint32_t *number, struct error *err) {
  const char *hash = policy_info(policy)->hash;
  pthread_mutex_lock(&v->lock);
  size_t i = 0;
  while (i < v->count && strcmp(v->version[i].hash, hash) != 0) i++;
  int rc = 0;
  if (i < v->count) {
    if (!v->version[i].policy) policy_retain(v->version[i].policy = policy);
    *number = v->version[i].number;
  } else {
    rc = add(v, policy, number, err);
  }
  pthread_mutex_unlock(&v->lock);
  return rc;
}

static void load(struct versions *v, struct version *n) {
  char path[PATH_MAX];
  struct buf b;
  struct error err = {0};
  buf_init(&b);
  snprintf(path, sizeof path, "%s/%s", v->dir, n->hash);
  int rc = disk_load(path, ARCHIVE_MAX, &b, &err);
  struct policy *policy = NULL;
  if (rc == 0) rc = policy_load_archive(buf_bytes(&b), &policy, &err);
  if (rc == 0 && strcmp(policy_info(policy)->hash, n->hash) != 0) {
    rc = error_set(&err, ITD_ECORRUPT, "%s: the archive is of %s", path, policy_info(policy)->hash);
    policy_release(policy);
  }
  buf_deinit(&b);
  if (rc == 0) n->policy = policy;
  n->status = rc;
  if (rc) log_line(LOG_ERROR, "version_unreadable", "number=%u error=%s", n->number, log_quote(err.text));
}

static bool may_read_later(int status) { return status == ITD_EFULL || status == ITD_EIO; }

struct policy *versions_get(struct versions *v, uint32_t number) {
  struct policy *policy = NULL;
  pthread_mutex_lock(&v->lock);
  for (size_t i = 0; i < v->count; i++) {
    if (v->version[i].number != number) continue;
    struct version *n = &v->version[i];
    if (!n->policy && (!n->status || may_read_later(n->status))) load(v, n);
    policy = n->policy;
  }
  pthread_mutex_unlock(&v->lock);
  return policy;
}

size_t versions_count(const struct versions *v) { return v->count; }
uint32_t versions_number(const struct versions *v, size_t index) { return v->version[index].number; }

int versions_walk(const char *dir, void (*visit)(void *context, uint32_t number, const struct policy *policy),
                  void *context, struct error *err) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/versions", dir);
  if (access(path, F_OK) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return error_set(err, ITD_ENOTFOUND, "%s: there is no such folder", path);
    return error_set(err, ITD_EIO, "%s: %s", path, strerror(errno));
  }
  struct versions v = {.dir = path};
  int rc = read_numbers(&v, err);
  for (size_t i = 0; rc == 0 && i < v.count; i++) {
    load(&v, &v.version[i]);
    if (!v.version[i].policy) continue;
    visit(context, v.version[i].number, v.version[i].policy);
    policy_release(v.version[i].policy);
  }
  free(v.version);
  return rc;
}

int versions_archive(const char *dir, uint32_t number, struct buf *out, struct error *err) {
  char folder[PATH_MAX], path[PATH_MAX + 80];
  snprintf(folder, sizeof folder, "%s/versions", dir);
  struct versions v = {.dir = folder};
  int rc = read_numbers(&v, err);
  const char *hash = NULL;
  for (size_t i = 0; i < v.count; i++)
    if (v.version[i].number == number) hash = v.version[i].hash;
  if (rc == 0 && !hash) rc = error_set(err, ITD_ENOTFOUND, "%s/numbers: there is no number %u", folder, number);
  snprintf(path, sizeof path, "%s/%s", folder, hash ? hash : "");
  if (rc == 0) rc = disk_load(path, ARCHIVE_MAX, out, err);
  free(v.version);
  return rc;
}

int versions_status(struct versions *v, uint32_t number) {
  int status = ITD_ECORRUPT;
  pthread_mutex_lock(&v->lock);
  for (size_t i = 0; i < v->count; i++)
    if (v->version[i].number == number && may_read_later(v->version[i].status)) status = v->version[i].status;
  pthread_mutex_unlock(&v->lock);
  return status;
}
