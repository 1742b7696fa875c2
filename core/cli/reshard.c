// intent reshard: another number of partitions for a stopped daemon's directory.
#include "store/reshard.h"
#include "cli/command.h"
#include "cli/grid.h"
#include "cli/show.h"

#include <stdio.h>

static const struct option options[] = {{"data", "DIR", "the data directory (default ./data)"},
                                        {"partitions", "N", "how many there are to be, 1 to 256"},
                                        {0}};

struct figure {
  const char *name;
  uint64_t value;
};

static void put_json(const struct figure *figures, size_t n, const char *digest, struct buf *out) {
  mp_put_map(out, (uint32_t)n + 1);
  for (size_t i = 0; i < n; i++) {
    mp_put_cstr(out, figures[i].name);
    mp_put_uint(out, figures[i].value);
  }
  mp_put_cstr(out, "digest");
  mp_put_cstr(out, digest);
}

static void put_table(const struct figure *figures, size_t n, const char *digest, struct buf *out) {
  struct grid t;
  grid_init(&t, "lr");
  for (size_t i = 0; i < n; i++) {
    grid_add_str(&t, figures[i].name);
    show_count(grid_cell(&t), figures[i].value);
    grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  buf_printf(out, "\nleads, entities and their digest (%s) are the same before and after\n", digest);
}

static int run(const struct args *args) {
  struct reshard_options o = {.dir = args_text(args, "data")};
  struct reshard_result r;
  struct error err = {0};
  int64_t partitions;
  if (!o.dir) o.dir = "data";
  int status = args_text(args, "partitions")
                   ? args_number(args, "partitions", 0, 1, 256, &partitions, &err)
                   : error_set(&err, ITD_EINVAL, "--partitions says how many there are to be: it is needed");
  if (status < 0) return command_fail(args, COMMAND_USAGE, &err);
  o.partitions = (unsigned)partitions;
  status = store_reshard(&o, &r, &err);
  if (status < 0) return command_fail(args, COMMAND_FAILED, &err);
  const struct figure figures[] = {
      {"partitions_before", r.before}, {"partitions", r.after}, {"leads", r.leads}, {"entities", r.entities},
      {"messages", r.messages},        {"bytes", r.bytes},      {"sequence", r.seq}};
  const size_t n = sizeof figures / sizeof *figures;
  char digest[17];
  snprintf(digest, sizeof digest, "%016llx", (unsigned long long)r.digest);
  struct buf out = {0};
  if (args_flag(args, "json")) {
    put_json(figures, n, digest, &out);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else {
    put_table(figures, n, digest, &out);
  }
  show_print(&out);
  buf_deinit(&out);
  return COMMAND_OK;
}

const struct command command_reshard = {
    .name = "reshard",
    .operands = "",
    .summary = "another number of partitions for a stopped daemon's directory, with all its history",
    .help =
        "Partitions bound how many shards a daemon can have. Leads are dealt out anew over them; ids, decisions and "
        "the "
        "journal stay\n"
        "as they are. The directory is recovered as at a start, then a base is written of each new partition, which "
        "needs "
        "about as\n"
        "much room as state/ takes. Whatever stops it, the directory has the one number or the other, whole: the next "
        "start goes on.\n\n"
        "  intent reshard --data data --partitions 32",
    .options = options,
    .run = run,
};
