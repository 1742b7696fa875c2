// intent doctor: what is wrong with a data directory or a daemon, and what to do about it.
#include "store/doctor.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/doctor_daemon.h"
#include "cli/grid.h"
#include "cli/show.h"
#include "store/backup.h"

#include <stdio.h>

static const struct option options[] = {
    {"data", "DIR", "the data directory, a copy, or a backup (default ./data); a daemon may run on it"},
    {"to", "HOST:PORT", "ask a daemon instead: it tells less than its directory"},
    {"deep", NULL, "read every byte of journal, bases and vault, and follow the chain"},
    {"min-free", "MIB", "less room on the disk than this is a warning (default 1024)"},
    {"max-behind", "N", "a reader of LMDB that holds a snapshot so many transactions old is a warning (default 1000)"},
    {"all", NULL, "show what is well, too"},
    {"salvage", "TO", "of a stopped directory with damage: make a backup of what can be had in the empty folder TO"},
    {0}};

static int read_options(const struct args *args, struct doctor_options *o, struct error *err) {
  int64_t free_mib, behind;
  *o = DOCTOR_OPTIONS_DEFAULT;
  o->dir = args_text(args, "data");
  if (!o->dir) o->dir = "data";
  o->is_deep = args_flag(args, "deep");
  int status = args_number(args, "min-free", 1024, 0, 1ll << 40, &free_mib, err);
  if (status == 0) status = args_number(args, "max-behind", 1000, 0, INT64_MAX, &behind, err);
  if (status < 0) return status;
  o->free_bytes = (uint64_t)free_mib << 20;
  o->reader_behind = (uint64_t)behind;
  return 0;
}

static void put_json(const struct doctor_report *r, struct buf *out) {
  mp_put_map(out, 2);
  mp_put_cstr(out, "worst");
  mp_put_cstr(out, doctor_severity_name(doctor_worst(r)));
  mp_put_cstr(out, "findings");
  mp_put_array(out, (uint32_t)r->count);
  for (size_t i = 0; i < r->count; i++) {
    const struct doctor_finding *f = &r->finding[i];
    mp_put_map(out, 4);
    mp_put_cstr(out, "severity"), mp_put_cstr(out, doctor_severity_name(f->severity));
    mp_put_cstr(out, "subject"), mp_put_cstr(out, f->subject);
    mp_put_cstr(out, "text"), mp_put_cstr(out, f->text);
    mp_put_cstr(out, "advice"), mp_put_cstr(out, f->advice);
  }
}

static void put_table(const struct doctor_report *r, bool all, struct buf *out) {
  struct grid t;
  unsigned counts[4] = {0};
  grid_init(&t, "lll");
  // The worst first.
  for (int severity = DOCTOR_ERROR; severity >= (all ? DOCTOR_OK : DOCTOR_NOTE); severity--)
    for (size_t i = 0; i < r->count; i++) {
      const struct doctor_finding *f = &r->finding[i];
      if ((int)f->severity != severity) continue;
      grid_add_str(&t, doctor_severity_name(f->severity));
      grid_add_str(&t, f->subject);
      show_text(grid_cell(&t), bytes_str(f->text));
      grid_end(&t);
      if (!*f->advice) continue;
      grid_add_str(&t, "");
      grid_add_str(&t, "");
      buf_append_str(grid_cell(&t), "-> ");
      show_text(grid_cell(&t), bytes_str(f->advice));
      grid_end(&t);
    }
  for (size_t i = 0; i < r->count; i++) counts[r->finding[i].severity]++;
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  if (counts[DOCTOR_ERROR] + counts[DOCTOR_WARNING])
    buf_printf(out, "%u error%s, %u warning%s, %u note%s\n", counts[DOCTOR_ERROR], counts[DOCTOR_ERROR] == 1 ? "" : "s",
               counts[DOCTOR_WARNING], counts[DOCTOR_WARNING] == 1 ? "" : "s", counts[DOCTOR_NOTE],
               counts[DOCTOR_NOTE] == 1 ? "" : "s");
  else
    buf_printf(out, "%u things were looked at: nothing is wrong%s\n", (unsigned)r->count,
               all ? "" : " (--all shows them)");
}

// 0, or the exit code after the error was printed.
static int ask(const struct args *args, const struct doctor_options *o, struct doctor_report *r) {
  static const uint8_t nothing[] = {0x90};
  struct client *client;
  struct error err = {0};
  struct buf info = {0};
  if (client_open(args_text(args, "to"), &client, &err) < 0)
    return command_fail(args, err.code == ITD_EINVAL ? COMMAND_USAGE : COMMAND_UNREACHABLE, &err);
  int status = client_call(client, "server.info", bytes_of(nothing, sizeof nothing), &info, &err);
  if (status == 0) doctor_daemon(buf_bytes(&info), o, r);
  client_close(client);
  buf_deinit(&info);
  return status < 0 ? command_fail(args, COMMAND_FAILED, &err) : 0;
}

static void put_salvage(const struct backup_result *r, const struct salvage *s, const char *to, struct buf *out) {
  if (!s->is_damaged) {
    buf_printf(out, "the journal is whole: %s is a backup of all of it\n", to);
    return;
  }
  buf_printf(out, "damage: ");
  show_text(out, bytes_str(s->damage));
  if (s->begins_behind) {
    buf_append_str(out, "\nwhat is kept begins behind it, with bases that were made at ");
    show_time(out, s->bases_ms);
    buf_printf(out,
               ": no state is lost. Decisions of the %u segments that are left out can't be explained or replayed\n",
               s->segments_left);
  } else {
    buf_append_str(out, "\nwhat is kept ends before it. Lost are at least ");
    show_count(out, s->lost);
    buf_printf(out, " frames, and %u segments are left out: what was acknowledged in them is gone\n", s->segments_left);
  }
  show_count(out, r->reached);
  buf_printf(out, " frames are reached. %s is a backup; make a directory of it:\n", to);
  buf_printf(out, "  intent restore %s --to NEW --no-later-forgets\n", to);
}

static int salvage(const struct args *args, const struct doctor_options *o) {
  struct salvage s;
  struct backup_result r;
  struct error err = {0};
  struct buf out = {0};
  struct backup_options b = {.dir = o->dir, .to = args_text(args, "salvage"), .salvage = &s};
  int status = store_backup(&b, &r, &err);
  if (status < 0)
    return command_fail(args, status == ITD_EINVAL || status == ITD_ENOTFOUND ? COMMAND_USAGE : COMMAND_FAILED, &err);
  if (args_flag(args, "json")) {
    mp_put_map(&out, 5);
    mp_put_cstr(&out, "damage"), mp_put_cstr(&out, s.is_damaged ? s.damage : "");
    mp_put_cstr(&out, "begins_behind"), mp_put_bool(&out, s.begins_behind);
    mp_put_cstr(&out, "lost"), mp_put_uint(&out, s.lost);
    mp_put_cstr(&out, "segments_left_out"), mp_put_uint(&out, s.segments_left);
    mp_put_cstr(&out, "frames"), mp_put_uint(&out, r.reached);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else {
    put_salvage(&r, &s, b.to, &out);
  }
  show_print(&out);
  buf_deinit(&out);
  manifest_deinit(&r.manifest);
  return COMMAND_OK;
}

static int run(const struct args *args) {
  struct error err = {0};
  struct doctor_options o;
  struct doctor_report r = {0};
  struct buf out = {0};
  if (read_options(args, &o, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  if (args_text(args, "salvage")) return salvage(args, &o);
  if (args_text(args, "to")) {
    int code = ask(args, &o, &r);
    if (code) return code;
  } else {
    doctor_look(&o, &r);
  }
  if (args_flag(args, "json")) {
    put_json(&r, &out);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else {
    put_table(&r, args_flag(args, "all"), &out);
  }
  show_print(&out);
  buf_deinit(&out);
  bool is_well = doctor_worst(&r) < DOCTOR_WARNING;
  doctor_report_deinit(&r);
  return is_well ? COMMAND_OK : COMMAND_NO;
}

const struct command command_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "what is wrong with a data directory, or will be, and what to do about it",
    .help = "Looks at versions, rights, room, journal, bases, LMDB and its readers, vault, versions of the policy, "
            "holds, clock,\n"
            "and at what interrupted operations left. Changes nothing; a daemon may run on the directory.\n"
            "Without --deep only structure and ends are read, which takes a moment however large the directory is.\n"
            "Exit code 1 when there is an error or a warning.\n"
            "--salvage copies from a directory whose journal is damaged what holds together: what lies behind the "
            "damage, if a\n"
            "set of bases does (no state is lost then), else what lies before it; and says what is lost. A backup of "
            "the same\n"
            "segment is better, and so may be the newest backup: compare how many frames each reaches.\n\n"
            "  intent doctor --data /var/lib/intentd\n"
            "  intent doctor --data /mnt/copy --deep\n"
            "  intent doctor --to 127.0.0.1:7411",
    .options = options,
    .run = run,
};
