#include "store/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/disk.h"

#define FILE_MAX (1u << 20)

static int take_lock(const char *dir, int how, int *lock, struct error *err) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/holds.lock", dir);
  int fd = -1, e = disk_open(path, O_RDWR | O_CREAT, &fd);
  if (e == 0 && flock(fd, how)) {
    e = errno;
    close(fd);
  }
  if (e == EWOULDBLOCK) return error_set(err, ITD_EBUSY, "%s: somebody reads the journal whole", path);
  if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  *lock = fd;
  return 0;
}

int holds_lock(const char *dir, int *lock, struct error *err) { return take_lock(dir, LOCK_EX, lock, err); }
int holds_try(const char *dir, int *lock, struct error *err) { return take_lock(dir, LOCK_EX | LOCK_NB, lock, err); }

int holds_share(const char *dir) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/holds.lock", dir);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) flock(fd, LOCK_SH);
  return fd;
}

void holds_unlock(int lock) {
  if (lock >= 0) close(lock);
}

static bool name_holds(const char *name) {
  size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
  return n && n <= HOLD_NAME_MAX && !name[n];
}

static bool why_holds(const char *why) {
  for (const char *p = why; *p; p++)
    if ((unsigned char)*p < ' ' || *p == 0x7f) return false;
  return *why && *why != ' ' && strlen(why) <= HOLD_WHY_MAX; // a line is read up to where it begins, spaces and all
}

// NAME SINCE MADE UID WHY…
static bool parse(char *line, struct hold *h) {
  int end = 0;
  long long since, made;
  if (sscanf(line, "%64s %lld %lld %u %n", h->name, &since, &made, &h->uid, &end) != 4 || !end) return false;
  h->since_ms = since;
  h->made_ms = made;
  if (!name_holds(h->name) || !why_holds(line + end)) return false;
  memcpy(h->why, line + end, strlen(line + end) + 1);
  return true;
}

int holds_read(const char *dir, struct hold **list, size_t *count, struct error *err) {
  char path[PATH_MAX];
  struct buf text = {0};
  snprintf(path, sizeof path, "%s/holds", dir);
  *list = NULL;
  *count = 0;
  int rc = disk_load(path, FILE_MAX, &text, NULL);
  if (rc == ITD_ENOTFOUND) return 0;
  if (rc) return error_set(err, rc, "%s does not read", path);
  buf_append_u8(&text, 0);
  for (char *line = (char *)text.p; rc == 0 && *line;) {
    struct hold h = {0};
    char *end = strchr(line, '\n');
    if (end) *end = 0;
    if (!end || !parse(line, &h)) {
      rc = error_set(err, ITD_ECORRUPT, "%s: line %zu is no hold; nothing is let go until it reads", path, *count + 1);
      break;
    }
    *list = xrealloc(*list, (*count + 1) * sizeof **list);
    (*list)[(*count)++] = h;
    line = end + 1;
  }
  buf_deinit(&text);
  if (rc == 0) return 0;
  free(*list);
  *list = NULL;
  *count = 0;
  return rc;
}

static int write_all(const char *dir, const struct hold *list, size_t count, struct error *err) {
  char path[PATH_MAX];
  struct buf text = {0};
  snprintf(path, sizeof path, "%s/holds", dir);
  for (size_t i = 0; i < count; i++)
    buf_printf(&text, "%s %lld %lld %u %s\n", list[i].name, (long long)list[i].since_ms, (long long)list[i].made_ms,
               list[i].uid, list[i].why);
  int rc = disk_replace(path, buf_bytes(&text), err);
  buf_deinit(&text);
  return rc;
}

static size_t find(const struct hold *list, size_t count, const char *name) {
  size_t i = 0;
  while (i < count && strcmp(list[i].name, name) != 0) i++;
  return i;
}

int hold_add(const char *dir, const struct hold *hold, struct error *err) {
  if (!name_holds(hold->name))
    return error_set(err, ITD_EINVAL, "a hold's name is 1 to %d letters, digits, \"-\", \"_\" and \".\"",
                     HOLD_NAME_MAX);
  if (!why_holds(hold->why))
    return error_set(err, ITD_EINVAL,
                     "a hold needs a reason of 1 to %d characters on one line, the first of them no space",
                     HOLD_WHY_MAX);
  struct hold *list = NULL;
  size_t count = 0;
  int lock, rc = holds_lock(dir, &lock, err);
  if (rc) return rc;
  rc = holds_read(dir, &list, &count, err);
  if (rc == 0 && find(list, count, hold->name) < count)
    rc = error_set(err, ITD_EBUSY, "there is a hold \"%s\" already", hold->name);
  if (rc == 0) {
    list = xrealloc(list, (count + 1) * sizeof *list);
    list[count] = *hold;
    rc = write_all(dir, list, count + 1, err);
  }
  holds_unlock(lock);
  free(list);
  return rc;
}

int hold_release(const char *dir, const char *name, struct error *err) {
  struct hold *list = NULL;
  size_t count = 0;
  int lock, rc = holds_lock(dir, &lock, err);
  if (rc) return rc;
  rc = holds_read(dir, &list, &count, err);
  size_t i = find(list, count, name);
  if (rc == 0 && i == count) rc = error_set(err, ITD_ENOTFOUND, "there is no hold \"%.64s\"", name);
  if (rc == 0) {
    memmove(&list[i], &list[i + 1], (count - i - 1) * sizeof *list);
    rc = write_all(dir, list, count - 1, err);
  }
  holds_unlock(lock);
  free(list);
  return rc;
}
