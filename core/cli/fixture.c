#include "cli/fixture.h"

#include "base/file.h"
#include "wire/mp.h"

static int add_line(struct bytes line, struct buf *events, struct error *err) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  size_t start = events->n;
  int status = mp_from_json(line, &limits, events, err);
  if (status == 0 && mp_value_of(bytes_of(events->p + start, events->n - start)).type != MP_MAP)
    status = error_set(err, ITD_EINVAL, "no event: a line is a JSON object");
  return status;
}

int fixture_read(const char *path, struct buf *events, uint32_t *count, struct error *err) {
  struct buf text = {0};
  int status = file_read(path, FIXTURE_BYTES_MAX, &text, err);
  uint32_t n = 0;
  size_t at = 0;
  for (unsigned line = 1; status == 0 && at < text.n; line++) {
    const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
    size_t length = end ? (size_t)(end - text.p) - at : text.n - at;
    struct bytes one = bytes_of(text.p + at, length);
    at += length + 1;
    bool is_blank = true;
    for (size_t i = 0; i < one.n && is_blank; i++) is_blank = one.p[i] == ' ' || one.p[i] == '\r' || one.p[i] == '\t';
    if (is_blank) continue;
    if (++n > FIXTURE_EVENTS_MAX)
      status = error_set(err, ITD_EINVAL, "more than %d events", FIXTURE_EVENTS_MAX);
    else
      status = add_line(one, events, err);
    if (status < 0) error_prefix(err, "line %u", line);
  }
  if (status == 0 && n == 0) status = error_set(err, ITD_EINVAL, "no events in it");
  buf_deinit(&text);
  if (status == 0) *count = n;
  return status;
}

static bool is_below(struct bytes file) {
  bool is_up = file.n == 2 ? memcmp(file.p, "..", 2) == 0 : false;
  is_up = is_up || (file.n >= 3 && memcmp(file.p, "../", 3) == 0) || memmem(file.p, file.n, "/../", 4) != NULL;
  return file.n > 0 && file.n < 512 && file.p[0] != '/' && !is_up && !memchr(file.p, 0, file.n);
}

void fixture_put(const char *dir, struct bytes file, struct buf *out) {
  struct buf path = {0}, events = {0};
  struct error err = {0};
  uint32_t count = 0;
  buf_printf(&path, "%s/%.*s", dir, (int)file.n, (const char *)file.p);
  buf_append_u8(&path, 0);
  int status = is_below(file) ? fixture_read((const char *)path.p, &events, &count, &err)
                              : error_set(&err, ITD_EINVAL, "it lies in the policy's folder, or in one below it");
  mp_put_map(out, 1);
  if (status == 0) {
    mp_put_cstr(out, "events"), mp_put_array(out, count);
    buf_append_bytes(out, buf_bytes(&events));
  } else {
    mp_put_cstr(out, "error"), mp_put_cstr(out, err.text);
  }
  buf_deinit(&path);
  buf_deinit(&events);
}
