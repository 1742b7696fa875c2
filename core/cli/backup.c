// intent backup: a consistent, incremental copy of a data directory, of a running daemon too.
#include "store/backup.h"
#include "cli/command.h"
#include "cli/grid.h"
#include "cli/progress.h"
#include "cli/show.h"

#include <stdio.h>

static const struct option options[] = {
    {"data", "DIR", "the data directory (default ./data)"},
    {"with-quarantine", NULL, "refused events too: they hold what senders sent, personal data in clear"},
    {0}};

static void show_progress(void *context, uint64_t done, uint64_t total) {
  progress_show(context, done, total, INT64_MIN);
}

static void put_json(const struct backup_options *o, const struct backup_result *r, struct buf *out) {
  const struct manifest *m = &r->manifest;
  const struct {
    const char *name;
    uint64_t value;
  } counts[] = {{"run", m->run},
                {"files", m->count},
                {"copied", r->copied},
                {"kept", r->kept},
                {"bytes", r->bytes},
                {"copied_bytes", r->copied_bytes},
                {"frames", r->reached},
                {"began_ms", (uint64_t)m->began_ms},
                {"took_ms", (uint64_t)r->took_ms}};
  const size_t n = sizeof counts / sizeof *counts;
  mp_put_map(out, n + 4);
  mp_put_cstr(out, "data");
  mp_put_cstr(out, o->dir);
  mp_put_cstr(out, "to");
  mp_put_cstr(out, o->to);
  for (size_t i = 0; i < n; i++) {
    mp_put_cstr(out, counts[i].name);
    mp_put_uint(out, counts[i].value);
  }
  mp_put_cstr(out, "quarantine");
  mp_put_bool(out, m->has_quarantine);
  mp_put_cstr(out, "reaches");
  mp_put_array(out, m->partitions);
  for (unsigned p = 0; p < m->partitions; p++) {
    char chain[2 * SHA256_SIZE + 1];
    hex_encode(bytes_of(m->tip[p].chain, SHA256_SIZE), chain);
    mp_put_map(out, 2);
    mp_put_cstr(out, "seq");
    mp_put_uint(out, m->tip[p].seq);
    mp_put_cstr(out, "chain");
    mp_put_cstr(out, chain);
  }
}

static void put_table(const struct backup_options *o, const struct backup_result *r, struct buf *out) {
  const struct manifest *m = &r->manifest;
  struct grid t;
  grid_init(&t, "ll");
  grid_add_str(&t, "copied");
  show_count(grid_cell(&t), r->copied);
  buf_append_str(grid_cell(&t), " files, ");
  show_size(grid_cell(&t), r->copied_bytes);
  grid_end(&t);
  grid_add_str(&t, "there already");
  show_count(grid_cell(&t), r->kept);
  buf_append_str(grid_cell(&t), " files; in all ");
  show_size(grid_cell(&t), r->bytes);
  grid_end(&t);
  grid_add_str(&t, "reaches");
  show_count(grid_cell(&t), r->reached);
  buf_printf(grid_cell(&t), " frames in %u partitions, as at ", m->partitions);
  show_time(grid_cell(&t), m->began_ms);
  grid_end(&t);
  grid_add_str(&t, "left out");
  grid_add_str(&t, m->has_quarantine
                       ? "state/ and dedupe/, which are built anew from the rest"
                       : "state/ and dedupe/, which are built anew from the rest; quarantine/ (--with-quarantine)");
  grid_add_str(&t, "took");
  show_span(grid_cell(&t), r->took_ms);
  grid_end(&t);
  buf_printf(out, "%s is a backup of %s (run %llu)\n", o->to, o->dir, (unsigned long long)m->run);
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

static int run(const struct args *args) {
  struct error err = {0};
  struct backup_result r;
  struct progress progress;
  struct backup_options o = {.dir = args_text(args, "data"),
                             .to = args->operand[0],
                             .with_quarantine = args_flag(args, "with-quarantine"),
                             .progress = show_progress,
                             .context = &progress};
  if (!o.dir) o.dir = "data";
  progress_begin(&progress, "copying");
  int status = store_backup(&o, &r, &err);
  progress_end(&progress);
  if (status < 0)
    return command_fail(args, status == ITD_EINVAL || status == ITD_ENOTFOUND ? COMMAND_USAGE : COMMAND_FAILED, &err);
  struct buf out = {0};
  if (args_flag(args, "json")) {
    put_json(&o, &r, &out);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else {
    put_table(&o, &r, &out);
  }
  show_print(&out);
  buf_deinit(&out);
  manifest_deinit(&r.manifest);
  return COMMAND_OK;
}

const struct command command_backup = {
    .name = "backup",
    .operands = "TO",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "a consistent copy of a data directory, of a running daemon's too; what TO has is not copied again",
    .help =
        "TO becomes, or is brought up to, what a crash at this moment would leave of the directory: everything that "
        "was\n"
        "acknowledged before the call is in it. What never changes and is there already is not copied again. Until "
        "the\n"
        "last file is on disk the backup that TO held before stays good, whatever happens.\n"
        "A backup holds personal data and the keys to it: treat it as the directory itself. Leads that were forgotten\n"
        "since the last run are forgotten in TO by the next.\n\n"
        "  intent backup /mnt/backup/intentd --data /var/lib/intentd\n"
        "  intent restore /mnt/backup/intentd --to /var/lib/intentd",
    .options = options,
    .run = run,
};
