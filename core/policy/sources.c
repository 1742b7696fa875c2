#include "policy/sources.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/suggest.h"
#include "lua/kept.h"
#include "policy/parts.h"
#include "wire/payload.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAMES_SHOWN = 20, DIGEST_BYTES = 16, FAULT_NAME_MAX = 100 };

struct sources {
  atomic_uint references;
  struct policy *policy; // whose modules they are; NULL: the bundle's
  struct bundle bundle;
  const struct lua_module *modules;
  size_t module_count;
  struct arena arena;
  struct buf input, about;
  struct source_info *info;
  size_t count;
  struct kept *kept;
};

// ---- opening ----

// The name of a source whose module this is: its file in the set's folder; NULL: it is none.
static const char *source_name(struct sources *s, const char *set, const struct lua_module *m) {
  char prefix[200];
  int n = snprintf(prefix, sizeof prefix, "policies/signals/%s/sources/", set);
  if (n < 0 || (size_t)n >= sizeof prefix || strncmp(m->path, prefix, (size_t)n) != 0) return NULL;
  struct bytes file = bytes_str(m->path + n);
  bool is_lua = file.n > 4 && memcmp(file.p + file.n - 4, ".lua", 4) == 0;
  if (!is_lua || memchr(file.p, '/', file.n)) return NULL;
  return arena_str(&s->arena, bytes_of(file.p, file.n - 4));
}

static void put_source(struct buf *out, const char *name, const struct lua_module *m) {
  mp_put_map(out, 3);
  mp_put_cstr(out, "name"), mp_put_cstr(out, name);
  mp_put_cstr(out, "module"), mp_put_cstr(out, m->name);
  mp_put_cstr(out, "path"), mp_put_cstr(out, m->path);
}

// What scripts/mapping.lua is given: the modules of the set's sources, or the one file.
static void put_input(struct sources *s, const char *set, const char *file_module) {
  struct buf list = {0};
  uint32_t count = 0;
  for (size_t i = 0; i < s->module_count; i++) {
    const struct lua_module *m = &s->modules[i];
    bool is_file = file_module && strcmp(m->name, file_module) == 0 && !m->is_library;
    const char *name = is_file ? m->name : set ? source_name(s, set, m) : NULL;
    if (!name) continue;
    put_source(&list, name, m);
    count++;
  }
  mp_put_map(&s->input, 1);
  mp_put_cstr(&s->input, "sources");
  mp_put_array(&s->input, count);
  buf_append_bytes(&s->input, buf_bytes(&list));
  buf_deinit(&list);
}

static const char *text_of(struct sources *s, struct bytes map, const char *key) {
  struct bytes value, text;
  if (!mp_find(map, bytes_str(key), &value) || !mp_as_str(value, &text)) return NULL;
  return arena_str(&s->arena, text);
}

static void read_sign(struct sources *s, struct bytes about, struct source_info *info) {
  static const char *const names[] = {"", "hmac", "hubspot_v3", "stripe", "token"};
  struct bytes sign, value;
  if (!mp_find(about, BYTES_LIT("sign"), &sign) || mp_value_of(sign).type != MP_MAP) return;
  const char *scheme = text_of(s, sign, "scheme");
  for (unsigned i = 1; scheme && i < sizeof names / sizeof *names; i++)
    if (strcmp(scheme, names[i]) == 0) info->scheme = (enum source_scheme)i;
  CHECK(info->scheme != SOURCE_UNSIGNED); // else a signature that was asked for would not be looked at
  info->header = text_of(s, sign, "header");
  info->timestamp = text_of(s, sign, "timestamp");
  if (mp_find(sign, BYTES_LIT("tolerance_ms"), &value)) info->tolerance_ms = mp_value_of(value).i;
}

static void read_about(struct sources *s) {
  struct mp m = mp_of(buf_bytes(&s->about)), of = mp_of(buf_bytes(&s->input));
  struct bytes list;
  CHECK(mp_find(buf_bytes(&s->input), BYTES_LIT("sources"), &list));
  of = mp_of(list);
  uint32_t count = mp_next(&m).count;
  CHECK(mp_next(&of).count == count);
  s->info = arena_alloc(&s->arena, (count + 1) * sizeof *s->info);
  for (; s->count < count; s->count++) {
    struct bytes about = mp_take(&m), given = mp_take(&of);
    struct source_info *info = &s->info[s->count];
    info->name = text_of(s, about, "name");
    info->path = text_of(s, given, "path");
    read_sign(s, about, info);
  }
}

static struct sources *sources_new(void) {
  struct sources *s = xcalloc(1, sizeof *s);
  atomic_init(&s->references, 1);
  bundle_init(&s->bundle);
  arena_init(&s->arena);
  return s;
}

// With modules in place: opens the state, unless there is no source.
static int open_all(struct sources *s, const char *set, const char *file_module, const struct sources_limits *limits,
                    struct error *err) {
  put_input(s, set, file_module);
  struct mp m = mp_of(buf_bytes(&s->input));
  (void)mp_next(&m), (void)mp_take(&m);
  if (mp_next(&m).count == 0) return 0;
  const struct lua_limits lua = {.memory_max = limits->memory_max,
                                 .instructions_max = limits->instructions_max,
                                 .output_max = limits->output_max,
                                 .cpu_ms_max = limits->cpu_ms_max};
  int status = kept_open(s->modules, s->module_count, "mapping", buf_bytes(&s->input), &lua, &s->kept, &s->about, err);
  if (status == 0) read_about(s);
  return status;
}

static int finish(struct sources *s, int status, struct sources **out) {
  if (status == 0)
    *out = s;
  else
    sources_release(s);
  return status;
}

int sources_of_policy(struct policy *policy, const struct sources_limits *limits, struct sources **out,
                      struct error *err) {
  struct sources *s = sources_new();
  policy_retain(policy);
  s->policy = policy;
  s->modules = policy_modules(policy, &s->module_count);
  return finish(s, open_all(s, policy->artifact->signal_set, NULL, limits, err), out);
}

int sources_of_set(const char *scripts_dir, const char *policies_dir, const char *set,
                   const struct sources_limits *limits, struct sources **out, struct error *err) {
  struct sources *s = sources_new();
  int status = bundle_gather_set(&s->bundle, scripts_dir, policies_dir, set, err);
  s->modules = s->bundle.modules, s->module_count = s->bundle.count;
  return finish(s, status == 0 ? open_all(s, set, NULL, limits, err) : status, out);
}

int sources_of_file(const char *scripts_dir, const char *path, const struct sources_limits *limits,
                    struct sources **out, struct error *err) {
  struct sources *s = sources_new();
  const char *module;
  int status = bundle_gather_file(&s->bundle, scripts_dir, path, &module, err);
  s->modules = s->bundle.modules, s->module_count = s->bundle.count;
  return finish(s, status == 0 ? open_all(s, NULL, module, limits, err) : status, out);
}

void sources_retain(struct sources *s) { atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed); }

void sources_release(struct sources *s) {
  if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1) return;
  kept_close(s->kept);
  buf_deinit(&s->input);
  buf_deinit(&s->about);
  policy_release(s->policy);
  bundle_deinit(&s->bundle);
  arena_deinit(&s->arena);
  free(s);
}

// ---- asking ----

size_t sources_count(const struct sources *s) { return s->count; }

const struct source_info *sources_info(const struct sources *s, size_t index) {
  CHECK(index < s->count);
  return &s->info[index];
}

const struct source_info *sources_find(const struct sources *s, struct bytes name) {
  for (size_t i = 0; i < s->count; i++)
    if (bytes_is(name, s->info[i].name)) return &s->info[i];
  return NULL;
}

int sources_unknown(const struct sources *s, struct bytes name, struct error *err) {
  if (s->count == 0)
    return error_set(err, ITD_ENOTFOUND,
                     "no source '%.*s': the signal set has none (signals/SET/sources/NAME.lua, docs/sources.md)",
                     (int)(name.n > 60 ? 60 : name.n), (const char *)name.p);
  struct buf list = {0};
  for (size_t i = 0; i < s->count && i < NAMES_SHOWN; i++) buf_printf(&list, "%s%s", i ? ", " : "", s->info[i].name);
  if (s->count > NAMES_SHOWN) buf_append_str(&list, ", …");
  int status = error_set(err, ITD_ENOTFOUND, "no source '%.*s'; there are %.*s", (int)(name.n > 60 ? 60 : name.n),
                         (const char *)name.p, (int)list.n, (const char *)list.p);
  buf_deinit(&list);
  return status;
}

int sources_show(const struct sources *s, const char *name, struct buf *out, struct error *err) {
  const struct source_info *info = sources_find(s, bytes_str(name));
  if (!info) return sources_unknown(s, bytes_str(name), err);
  struct buf input = {0};
  const struct lua_limits limits = LUA_LIMITS_DEFAULT;
  const struct lua_module *module = NULL;
  for (size_t i = 0; i < s->module_count; i++)
    if (strcmp(s->modules[i].path, info->path) == 0) module = &s->modules[i];
  CHECK(module);
  put_source(&input, name, module);
  int status = lua_build(s->modules, s->module_count, "source_show", buf_bytes(&input), &limits, out, err);
  buf_deinit(&input);
  return status;
}

// ---- mapping ----

static void put_digest(struct buf *out, const uint8_t *salt, struct bytes payload) {
  uint8_t digest[SHA256_SIZE];
  char hex[2 * DIGEST_BYTES + 1];
  struct sha256 *sha = sha256_new();
  sha256_begin(sha);
  if (salt) sha256_add(sha, bytes_of(salt, SOURCES_SALT));
  sha256_add(sha, payload);
  sha256_end(sha, digest);
  sha256_free(sha);
  hex_encode(bytes_of(digest, DIGEST_BYTES), hex);
  mp_put_cstr(out, hex);
}

// What is no text though it should be: rows of CSV in another encoding. Left out it would be missing, and nobody would know.
static void put_fault(struct bytes payload, struct buf *out) {
  struct mp all = mp_of(payload), pairs = all;
  bool has_bytes = false;
  while (!mp_done(&all)) has_bytes = mp_next(&all).type == MP_BIN || has_bytes;
  if (!has_bytes) {
    mp_put_bool(out, false);
    return;
  }
  struct bytes name = BYTES_LIT("a value"), key;
  uint32_t count = mp_peek(&pairs) == MP_MAP ? mp_next(&pairs).count : 0;
  for (uint32_t i = 0; i < count; i++) {
    bool is_text = mp_take_str(&pairs, &key);
    bool is_bytes = mp_value_of(mp_take(&pairs)).type == MP_BIN;
    if (is_text && is_bytes && key.n <= FAULT_NAME_MAX && bytes_is_utf8(key)) name = key;
  }
  struct buf text = {0};
  buf_printf(&text, "'%.*s' is not UTF-8: write the file in that encoding", (int)name.n, (const char *)name.p);
  mp_put_str(out, buf_bytes(&text));
  buf_deinit(&text);
}

static void put_call(const struct sources_call *call, struct buf *out) {
  struct mp m = mp_of(call->payload);
  struct buf payloads = {0}, digests = {0}, faults = {0};
  uint32_t count = 1;
  if (mp_peek(&m) == MP_ARRAY) count = mp_next(&m).count;
  for (uint32_t i = 0; i < count; i++) {
    size_t start = payloads.n;
    struct bytes one = mp_take(&m);
    put_fault(one, &faults);
    payload_plain(one, &payloads);
    put_digest(&digests, call->salt, bytes_of(payloads.p + start, payloads.n - start));
    if (mp_value_of(bytes_of(payloads.p + start, payloads.n - start)).type != MP_NIL) continue;
    payloads.n = start; // a hole would end the list for Lua
    mp_put_bool(&payloads, false);
  }
  mp_put_map(out, 5);
  mp_put_cstr(out, "source"), mp_put_cstr(out, call->source);
  mp_put_cstr(out, "events_max"), mp_put_uint(out, call->events_max);
  mp_put_cstr(out, "payloads"), mp_put_array(out, count);
  buf_append_bytes(out, buf_bytes(&payloads));
  mp_put_cstr(out, "digests"), mp_put_array(out, count);
  buf_append_bytes(out, buf_bytes(&digests));
  mp_put_cstr(out, "faults"), mp_put_array(out, count);
  buf_append_bytes(out, buf_bytes(&faults));
  buf_deinit(&faults);
  buf_deinit(&payloads);
  buf_deinit(&digests);
}

int sources_map(struct sources *s, const struct sources_call *call, struct buf *out, struct error *err) {
  if (!sources_find(s, bytes_str(call->source))) return sources_unknown(s, bytes_str(call->source), err);
  struct buf input = {0};
  put_call(call, &input);
  int status = kept_call(s->kept, buf_bytes(&input), out, err);
  buf_deinit(&input);
  return status;
}
