// intent replay: the journal of a stopped daemon through the engine once more, decision by decision.
#include "store/replay.h"
#include "cli/command.h"
#include "cli/grid.h"
#include "cli/show.h"

#include <stdio.h>

static const struct option options[] = {{"data", "DIR", "the data directory (default ./data)"},
                                        {"threads", "N", "leads are dealt out over them (default 1)"},
                                        {"guard", "jit|hook", "hook: with the JIT off (default jit)"},
                                        {0}};

static int read_options(const struct args *args, struct replay_options *o, struct error *err) {
  const char *guard = args_text(args, "guard");
  int64_t threads;
  int status = args_number(args, "threads", 1, 1, 256, &threads, err);
  if (status < 0) return status;
  *o = (struct replay_options){.dir = args_text(args, "data"), .threads = (unsigned)threads, .vm = VM_LIMITS_DEFAULT};
  if (!o->dir) o->dir = "data";
  if (guard && strcmp(guard, "jit") != 0 && strcmp(guard, "hook") != 0)
    return error_set(err, ITD_EINVAL, "--guard: \"%.40s\" is not allowed; allowed: jit, hook", guard);
  o->vm.hook = guard && strcmp(guard, "hook") == 0;
  return 0;
}

struct count {
  const char *name;
  uint64_t value;
};

static void put_json(const struct count *counts, size_t n, const struct replay_result *r, struct buf *out) {
  char hash[17];
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->hash);
  mp_put_map(out, (uint32_t)n + 2);
  for (size_t i = 0; i < n; i++) {
    mp_put_cstr(out, counts[i].name);
    mp_put_uint(out, counts[i].value);
  }
  mp_put_cstr(out, "hash");
  mp_put_cstr(out, hash);
  mp_put_cstr(out, "first_different");
  mp_put_cstr(out, r->first_different);
}

static void put_table(const struct count *counts, size_t n, const struct replay_result *r, struct buf *out) {
  struct grid t;
  grid_init(&t, "lr");
  for (size_t i = 0; i < n; i++) {
    grid_add_str(&t, counts[i].name);
    show_count(grid_cell(&t), counts[i].value);
    grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  buf_printf(out, "\nhash of all decisions: %016llx\n", (unsigned long long)r->hash);
  if (r->different)
    buf_printf(out, "the first that differs: %s\n", r->first_different);
  else
    buf_append_str(out, "every decision is the same, bit for bit\n");
}

static int run(const struct args *args) {
  struct replay_options o;
  struct replay_result r;
  struct error err = {0};
  if (read_options(args, &o, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  int status = store_replay(&o, &r, &err);
  if (status < 0) return command_fail(args, COMMAND_FAILED, &err);
  const struct count counts[] = {{"frames", r.frames},      {"decisions", r.decisions}, {"timers", r.timers},
                                 {"stopped", r.stopped},    {"forgotten", r.forgotten}, {"unreached", r.unreached},
                                 {"different", r.different}};
  const size_t n = sizeof counts / sizeof *counts;
  struct buf out = {0};
  if (args_flag(args, "json")) {
    put_json(counts, n, &r, &out);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else {
    put_table(counts, n, &r, &out);
  }
  show_print(&out);
  buf_deinit(&out);
  return r.different ? COMMAND_NO : COMMAND_OK;
}

const struct command command_replay = {
    .name = "replay",
    .operands = "",
    .summary = "a stopped daemon's journal through the engine once more: are all decisions the same?",
    .help =
        "Every event of the journal is decided again with the release that was in force then, and the hash of each "
        "decision\n"
        "is held against the recorded one. No daemon may hold the directory: stop it, or use a copy. The directory is "
        "first\n"
        "recovered as at a start, which writes to it.\n"
        "Exit code 1 when a decision differs.\n\n"
        "  intent replay --data data --threads 2",
    .options = options,
    .run = run,
};
