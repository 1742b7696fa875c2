// A stand-in for the Lua side, for tests of what the C side does with whatever comes from there: policy.lua holds the artifact as JSON,
// lua_build hands it over, and vm_call runs a C function of the test. Linked into a test program, it takes the place of core/lua.
#pragma once
#include "base/buf.h"
#include "base/file.h"
#include "base/pmath.h"
#include "lua/vm.h"
#include "policy/parts.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// visitor -> engaged (0), engaged -> visitor after 21 d (1), engaged -> mql on "demo" (2), engaged -> visitor after 7 d (3)
static const char sample_json[] =
    "{\"problems\": [], \"name\": \"sample\", \"owner\": \"revops@example.com\", \"rationale\": \"r\", \"boundary\": "
    "\"b\", \"mode\": \"act\","
    " \"signals\": \"web@1\", \"signal_set\": \"web\","
    " \"declarations\": [{\"name\": \"views\", \"op\": \"count\"}, {\"name\": \"domain\", \"op\": \"last\", \"of\": "
    "\"traits.email\","
    "   \"part\": \"domain\", \"text\": true, \"class\": \"profile\"}],"
    " \"personal\": [\"traits.email\", \"context.ip\"],"
    " \"models\": {}, \"mix\": {\"constant\": 60.5},"
    " \"bands\": [{\"name\": \"cold\", \"from\": 0}, {\"name\": \"hot\", \"from\": 50.5}],"
    " \"stages\": [{\"name\": \"visitor\", \"path\": \"p\", \"line\": 1}, {\"name\": \"engaged\"}, {\"name\": \"mql\", "
    "\"final\": true}],"
    " \"transitions\": [{\"from\": 0, \"to\": 1, \"why\": \"w0\", \"path\": \"p\", \"line\": 7, \"uses\": [0, 1]},"
    "   {\"from\": 1, \"to\": 0, \"after_ms\": 1814400000, \"path\": \"p\", \"line\": 8}, {\"from\": 1, \"to\": 2},"
    "   {\"from\": 1, \"to\": 0, \"after_ms\": 604800000}],"
    " \"owners\": [\"ann\", \"bob\"], \"routes\": [{\"name\": \"inbound\", \"why\": \"w\"}],"
    " \"actions\": [{\"name\": \"wait\"}, {\"name\": \"call\", \"why\": \"dear\"}],"
    " \"adjustments\": [{\"name\": \"competitor\", \"why\": \"reads\"}],"
    " \"evidence\": [{\"name\": \"pricing\", \"channel\": 0}, {\"name\": \"usage\", \"channel\": 1}],"
    " \"channels\": [\"web\", \"product\"], \"gates\": [{\"name\": \"two\"}],"
    " \"conditions\": [{\"name\": \"views at least 3\", \"path\": \"p\", \"line\": 3}, {\"name\": \"domain in list\"}],"
    " \"eligibility\": [{\"name\": \"no_employee\", \"why\": \"ours\"}],"
    " \"tests\": [{\"feature\": \"domain\", \"any\": [\"rival.com\", \"foe.org\", \"\"]}, {\"feature\": \"domain\", "
    "\"known\": true}],"
    " \"events\": [\"demo\"], \"draws\": [{\"salt\": \"s1\", \"by\": \"lead\"}, {\"salt\": \"s1\", \"by\": \"event\"}],"
    " \"memory\": [{\"name\": \"m1\", \"initial\": 0.5}, {\"name\": \"m2\"}], \"custom\": 0,"
    " \"layout\": {\"input\": {\"now\": 0, \"stage\": 1, \"since\": 2, \"timer\": 3, \"fit\": 4, \"engagement\": 5, "
    "\"owner\": 6,"
    "   \"manual\": 7, \"acted\": 8, \"is_event\": 9, \"features\": 10, \"tests\": 12, \"events\": 14, \"draws\": 15, "
    "\"sales\": 17, \"switch\": 18, \"barred\": 19},"
    "  \"output\": {\"eligible\": 0, \"ineligible\": 1, \"stage\": 2, \"steps\": 3, \"combined\": 13, \"cap\": 14, "
    "\"band\": 15,"
    "   \"intent\": 16, \"owner\": 17, \"route\": 18, \"action\": 19, \"utility\": 20, \"held\": 21, \"explored\": 22, "
    "\"propensity\": 23, \"offers\": 24, \"offers_held\": 25, \"adjustments\": 26,"
    "   \"evidence\": 27, \"channel_caps\": 29, \"conditions\": 31},"
    "  \"input_count\": 22, \"output_count\": 36}, \"source\": \"return\"}";

// `text` with the first `from` replaced, malloc'd. A `from` that is not there is a mistake of the test.
static inline char *with(const char *text, const char *from, const char *to) {
  const char *at = strstr(text, from);
  if (!at) fprintf(stderr, "the sample has no: %s\n", from), abort();
  struct buf b;
  buf_init(&b);
  buf_append(&b, text, (size_t)(at - text));
  buf_append_str(&b, to);
  buf_append_str(&b, at + strlen(from));
  buf_append_u8(&b, 0);
  return (char *)b.p;
}

static inline void pack_json(const char *json, struct buf *out) {
  struct error err = {0};
  if (mp_from_json(bytes_str(json), &MP_LIMITS_DEFAULT, out, &err) != 0) fprintf(stderr, "%s\n", err.text), abort();
}

// ---- folders ----

struct folder {
  char path[64];
  char policies[128], models[128], scripts[128];
};

static inline void write_file(const char *dir, const char *name, const char *text) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  *strrchr(path, '/') = 0;
  struct error err = {0};
  if (dir_make(path, &err) != 0) fprintf(stderr, "%s\n", err.text), abort();
  snprintf(path, sizeof path, "%s/%s", dir, name);
  if (file_replace(path, bytes_str(text), &err) != 0) fprintf(stderr, "%s\n", err.text), abort();
}

static inline void folder_make(struct folder *f) {
  snprintf(f->path, sizeof f->path, "/tmp/policy_test.XXXXXX");
  if (!mkdtemp(f->path)) abort();
  snprintf(f->policies, sizeof f->policies, "%s/here", f->path);
  snprintf(f->models, sizeof f->models, "%s/models", f->path);
  snprintf(f->scripts, sizeof f->scripts, "%s/library", f->path);
  write_file(f->scripts, "build.lua", "-- build");
  write_file(f->scripts, "score.lua", "-- score");
  write_file(f->policies, "sample/policy.lua", sample_json);
  write_file(f->policies, "signals/web/signals.lua", "-- web");
  write_file(f->policies, "signals/web/features/views.lua", "-- features");
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  (void)st, (void)flag, (void)ftw;
  return remove(path);
}
static inline void folder_remove(struct folder *f) { nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static inline struct policy_source source_of(const struct folder *f) {
  return (struct policy_source){
      .policies_dir = f->policies, .models_dir = f->models, .scripts_dir = f->scripts, .name = "sample"};
}

// ---- core/lua ----

struct vm {
  struct vm_shape shape;
  double *in, *out, *memory;
  bool trace;
};
typedef void (*stand_in_run)(struct vm *vm);

static inline void honest(struct vm *vm);
static stand_in_run run = honest; // what a call does
static int call_status;           // what it returns
static size_t builds, open_vms, opened_vms;

int lua_build(const struct lua_module *modules, size_t count, const char *entry, struct bytes input,
              const struct lua_limits *limits, struct buf *output, struct error *err) {
  (void)limits;
  builds++;
  if (strcmp(entry, "build") != 0) return error_set(err, ITD_EPOLICY, "entry %s", entry);
  struct bytes value, name;
  char module[128];
  if (!mp_find(input, BYTES_LIT("policy"), &value) || !mp_as_str(value, &name))
    return error_set(err, ITD_EPOLICY, "no policy");
  snprintf(module, sizeof module, "%.*s.policy", (int)name.n, (const char *)name.p);
  for (size_t i = 0; i < count; i++) {
    if (strcmp(modules[i].name, module) != 0) continue;
    struct mp_limits json = MP_LIMITS_DEFAULT;
    if (mp_from_json(modules[i].text, &json, output, NULL) == 0) return 0;
    return error_set(err, ITD_EPOLICY, "%s:1: unexpected symbol near '%.*s'", modules[i].path, 5,
                     (const char *)modules[i].text.p);
  }
  return error_set(err, ITD_EPOLICY, "no module %s", module);
}

int vm_open(const struct lua_module *modules, size_t count, const char *entry, struct bytes input, struct bytes source,
            const struct vm_shape *shape, const struct vm_limits *limits, struct vm **out, struct error *err) {
  (void)modules, (void)count, (void)entry, (void)input, (void)limits;
  if (bytes_is(source, "broken")) return error_set(err, ITD_EPOLICY, "policies/sample/policy.lua:9: broken");
  struct vm *vm = xcalloc(1, sizeof *vm);
  vm->shape = *shape;
  vm->in = xcalloc(shape->in_count + 1, sizeof(double));
  vm->out = xcalloc(shape->out_count + 1, sizeof(double));
  vm->memory = xcalloc(shape->memory_count + 1, sizeof(double));
  open_vms++, opened_vms++;
  *out = vm;
  return 0;
}
void vm_close(struct vm *vm) {
  if (!vm) return;
  free(vm->in), free(vm->out), free(vm->memory), free(vm);
  open_vms--;
}
double *vm_in(struct vm *vm) { return vm->in; }
double *vm_out(struct vm *vm) { return vm->out; }
double *vm_memory(struct vm *vm) { return vm->memory; }
void vm_texts(struct vm *vm, const struct bytes *texts, size_t count) { (void)vm, (void)texts, (void)count; }
void vm_time(struct vm *vm, uint64_t *times_ns, size_t count) { (void)vm, (void)times_ns, (void)count; }
int vm_call(struct vm *vm, bool trace, struct error *err) {
  vm->trace = trace;
  run(vm);
  return call_status ? error_set(err, call_status, "stopped by the test") : 0;
}
static enum stop call_stop; // of a call that call_status fails
enum stop vm_stop(const struct vm *vm) { return (void)vm, call_stop; }
size_t vm_memory_used(const struct vm *vm) { return (void)vm, 0; }

// The sample policy as its chunk would run, at the sample's places.
enum {
  I_NOW,
  I_STAGE,
  I_SINCE,
  I_TIMER,
  I_FIT,
  I_ENGAGEMENT,
  I_OWNER,
  I_MANUAL,
  I_ACTED,
  I_IS_EVENT,
  I_VIEWS,
  I_DOMAIN,
  I_RIVAL,
  I_KNOWN,
  I_DEMO,
  I_DRAW_LEAD,
  I_DRAW_EVENT
};
enum {
  O_ELIGIBLE,
  O_INELIGIBLE,
  O_STAGE,
  O_STEPS,
  O_CUT = 12,
  O_COMBINED,
  O_CAP,
  O_BAND,
  O_INTENT,
  O_OWNER,
  O_ROUTE,
  O_ACTION,
  O_UTILITY,
  O_HELD,
  O_EXPLORED,
  O_PROPENSITY,
  O_CALL,
  O_CALL_HELD,
  O_RIVAL,
  O_PRICING,
  O_USAGE,
  O_WEB_CAP,
  O_PRODUCT_CAP,
  O_CONDITIONS,
  O_END = 33
};

static inline int step_of(const double *in, int stage) {
  if (stage == 0) return in[I_VIEWS] >= 3 ? 0 : -1;
  if (stage == 2) return -1;
  if (in[I_TIMER] == 2) return 1;
  if (in[I_TIMER] == 4) return 3;
  return in[I_DEMO] == 1 ? 2 : -1;
}

static inline void honest(struct vm *vm) {
  static const int to[] = {1, 0, 2, 0};
  const double *in = vm->in;
  double *out = vm->out, steps[8] = {0};
  int stage = (int)in[I_STAGE], count = 0, step;
  bool timer = in[I_TIMER] > 0; // a timer moves once
  while (count < 8 && (step = step_of(in, stage)) >= 0 && !(timer && count > 0))
    steps[count++] = step, stage = to[step];
  out[O_ELIGIBLE] = 1, out[O_INELIGIBLE] = -1, out[O_STAGE] = stage, out[O_STEPS] = count, out[O_CUT] = 0;
  memcpy(out + O_STEPS + 1, steps, sizeof steps);
  double sum = 60500;
  if (in[I_RIVAL] == 1) out[O_RIVAL] = -70000, sum -= 70000;
  double combined = sum < 0 ? 0 : sum;
  out[O_COMBINED] = combined, out[O_CAP] = combined - sum, out[O_BAND] = combined >= 50500;
  bool pricing = in[I_VIEWS] >= 3;
  out[O_PRICING] = pricing ? 25000 : 0, out[O_USAGE] = 0, out[O_WEB_CAP] = pricing ? -5000 : 0, out[O_PRODUCT_CAP] = 0;
  out[O_INTENT] = pricing ? 20000 : 0;
  out[O_OWNER] = stage == 2 && in[I_MANUAL] == 0 ? 1 : in[I_OWNER];
  out[O_ROUTE] = stage == 2 && in[I_STAGE] != 2 ? 0 : -1;
  out[O_ACTION] = stage == 2, out[O_UTILITY] = 5.25, out[O_HELD] = 0;
  out[O_EXPLORED] = 0, out[O_PROPENSITY] = 1;
  if (stage == 2) out[O_CALL] = 5.25;
  if (vm->trace) out[O_CONDITIONS] = pricing; // the second is not reached
  vm->memory[0] += in[I_IS_EVENT];
  vm->memory[1] = in[I_NOW];
}
