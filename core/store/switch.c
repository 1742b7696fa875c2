#include "store/switch.h"

#include "base/check.h"
#include "store/disk.h"
#include "wire/mp.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const char *const names[] = {[SWITCH_ACT] = "act", [SWITCH_SCORE] = "score", [SWITCH_COLLECT] = "collect"};

const char *switch_name(enum policy_switch to) {
  CHECK((unsigned)to <= SWITCH_COLLECT);
  return names[to];
}

bool switch_of(struct bytes name, enum policy_switch *to) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!bytes_is(name, names[i])) continue;
    *to = (enum policy_switch)i;
    return true;
  }
  return false;
}

void switch_put(const struct workspace_switch *s, struct buf *out) {
  mp_put_map(out, 4);
  mp_put_cstr(out, "to"), mp_put_cstr(out, switch_name(s->to));
  mp_put_cstr(out, "at");
  if (s->at_ms)
    mp_put_int(out, s->at_ms);
  else
    mp_put_nil(out);
  mp_put_cstr(out, "by"), mp_put_cstr(out, s->by);
  mp_put_cstr(out, "why"), mp_put_cstr(out, s->why);
}

static void path_of(char path[PATH_MAX], const char *dir) { snprintf(path, PATH_MAX, "%s/versions/switch", dir); }

static bool take_text(struct bytes map, const char *key, char *out, size_t size) {
  struct bytes value, text;
  if (!mp_find(map, bytes_str(key), &value) || !mp_as_str(value, &text)) return false;
  if (text.n >= size || (text.n && memchr(text.p, 0, text.n))) return false;
  if (text.n) memcpy(out, text.p, text.n);
  out[text.n] = 0;
  return true;
}

static bool take(struct bytes map, struct workspace_switch *s) {
  struct bytes value, name;
  if (mp_value_of(map).type != MP_MAP || !mp_find(map, BYTES_LIT("at"), &value)) return false;
  s->at_ms = mp_value_of(value).i;
  if (mp_value_of(value).type != MP_INT || s->at_ms < 1) return false;
  return mp_find(map, BYTES_LIT("to"), &value) && mp_as_str(value, &name) && switch_of(name, &s->to) &&
         take_text(map, "by", s->by, sizeof s->by) && take_text(map, "why", s->why, sizeof s->why);
}

int switch_read(const char *dir, struct workspace_switch *out, struct error *err) {
  char path[PATH_MAX];
  struct buf text = {0}, map = {0};
  struct workspace_switch s = {0};
  *out = s;
  path_of(path, dir);
  if (access(path, F_OK)) return 0;
  int rc = disk_load(path, SWITCH_FILE_MAX, &text, err);
  struct error bad = {0};
  if (rc == 0 && (mp_from_json(buf_bytes(&text), &MP_LIMITS_DEFAULT, &map, &bad) != 0 || !take(buf_bytes(&map), &s)))
    rc = error_set(err, ITD_ECORRUPT, "%s does not read; take it from a backup, or take it away to let policies act",
                   path);
  if (rc == 0) *out = s;
  buf_deinit(&text), buf_deinit(&map);
  return rc;
}

int switch_write(const char *dir, const struct workspace_switch *s, struct error *err) {
  char path[PATH_MAX];
  struct buf map = {0}, json = {0};
  path_of(path, dir);
  switch_put(s, &map);
  mp_to_json(buf_bytes(&map), &json);
  buf_append_u8(&json, '\n');
  int rc = disk_replace(path, buf_bytes(&json), err);
  buf_deinit(&map), buf_deinit(&json);
  return rc;
}
