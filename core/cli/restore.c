// intent restore: a data directory from a backup, verified before a daemon can start on it.
#include "base/log.h"
#include "cli/command.h"
#include "cli/grid.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "store/backup.h"
#include "store/replay.h"

#include <stdio.h>

static const struct option options[] = {
    {"to", "DIR", "the data directory to make: empty, or not there yet"},
    {"forgotten", "FILE",
     "a ledger of forgotten leads newer than the backup, or the folder it lies in; may be repeated"},
    {"no-later-forgets", NULL, "says that no lead was forgotten after the backup was made"},
    {"no-verify", NULL, "do not decide the journal again at the end"},
    {"threads", "N", "for deciding it again (default 1)"},
    {0}};

static void show_progress(void *context, uint64_t done, uint64_t total) {
  progress_show(context, done, total, INT64_MIN);
}

static int read_options(const struct args *args, struct restore_options *o, const char *ledgers[GIVEN_MAX],
                        int64_t *threads, struct error *err) {
  *o = (struct restore_options){.from = args->operand[0], .to = args_text(args, "to"), .forgotten = ledgers};
  o->forgotten_count = args_all(args, "forgotten", ledgers, GIVEN_MAX);
  int status = args_number(args, "threads", 1, 1, 256, threads, err);
  if (status < 0) return status;
  if (!o->to) return error_set(err, ITD_EINVAL, "it needs --to DIR: the directory to make");
  if (!o->forgotten_count && !args_flag(args, "no-later-forgets"))
    return error_set(
        err, ITD_EINVAL,
        "leads that were forgotten after the backup would be known again. Give the newest ledger of them "
        "(--forgotten FILE: the file \"forgotten\" of the live directory, or of a newer backup), or say that "
        "there are none (--no-later-forgets)");
  if (o->forgotten_count && args_flag(args, "no-later-forgets"))
    return error_set(err, ITD_EINVAL, "--forgotten and --no-later-forgets contradict each other");
  return 0;
}

static void put_json(const struct restore_options *o, const struct restore_result *r,
                     const struct replay_result *played, struct buf *out) {
  char hash[17];
  mp_put_map(out, played ? 11 : 8);
  mp_put_cstr(out, "from"), mp_put_cstr(out, o->from);
  mp_put_cstr(out, "to"), mp_put_cstr(out, o->to);
  mp_put_cstr(out, "run"), mp_put_uint(out, r->manifest.run);
  mp_put_cstr(out, "backup_ms"), mp_put_int(out, r->manifest.began_ms);
  mp_put_cstr(out, "files"), mp_put_uint(out, r->manifest.count);
  mp_put_cstr(out, "bytes"), mp_put_uint(out, r->bytes);
  mp_put_cstr(out, "frames"), mp_put_uint(out, r->frames);
  mp_put_cstr(out, "forgotten_later"), mp_put_uint(out, r->later);
  if (!played) return;
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)played->hash);
  mp_put_cstr(out, "decisions"), mp_put_uint(out, played->decisions);
  mp_put_cstr(out, "different"), mp_put_uint(out, played->different);
  mp_put_cstr(out, "hash"), mp_put_cstr(out, hash);
}

static void put_text(const struct restore_options *o, const struct restore_result *r,
                     const struct replay_result *played, struct buf *out) {
  buf_printf(out, "%s is restored from %s, as at ", o->to, o->from);
  show_time(out, r->manifest.began_ms);
  buf_append_str(out, "\n");
  show_count(out, r->manifest.count);
  buf_append_str(out, " files, ");
  show_size(out, r->bytes);
  buf_append_str(out, ", ");
  show_count(out, r->frames);
  buf_append_str(out, " frames: every digest and every link of the chain holds\n");
  if (o->forgotten_count) {
    show_count(out, r->later);
    buf_append_str(out, r->later == 1 ? " lead that was" : " leads that were");
    buf_append_str(out, " forgotten later: erased in it\n");
  }
  if (!played) {
    buf_append_str(out, "not decided again (--no-verify): intent replay does it\n");
    return;
  }
  show_count(out, played->decisions);
  buf_append_str(out, " decisions were made again; ");
  if (played->different) {
    show_count(out, played->different);
    buf_printf(out, " differ, the first is %s: do not start a daemon on it\n", played->first_different);
  } else {
    buf_append_str(out, "each is the same, bit for bit\n");
  }
}

static int fail(const struct args *args, int status, const struct error *err) {
  return command_fail(args, status == ITD_EINVAL || status == ITD_ENOTFOUND ? COMMAND_USAGE : COMMAND_FAILED, err);
}

static int run(const struct args *args) {
  struct error err = {0};
  struct restore_options o;
  struct restore_result r;
  struct replay_result played = {0};
  struct progress progress;
  const char *ledgers[GIVEN_MAX];
  int64_t threads;
  if (read_options(args, &o, ledgers, &threads, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  progress_begin(&progress, "copying");
  o.progress = show_progress;
  o.context = &progress;
  int status = store_restore(&o, &r, &err);
  progress_end(&progress);
  if (status < 0) return fail(args, status, &err);
  bool is_played = !args_flag(args, "no-verify");
  if (is_played) {
    log_set_level(LOG_ERROR); // that it recovers, and how, is no news here
    struct replay_options replay = {.dir = o.to, .threads = (unsigned)threads, .vm = VM_LIMITS_DEFAULT};
    status = store_replay(&replay, &played, &err);
  }
  struct buf out = {0};
  if (status == 0 && args_flag(args, "json")) {
    put_json(&o, &r, is_played ? &played : NULL, &out);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else if (status == 0) {
    put_text(&o, &r, is_played ? &played : NULL, &out);
  }
  show_print(&out);
  buf_deinit(&out);
  manifest_deinit(&r.manifest);
  if (status < 0) return fail(args, status, &err);
  return played.different ? COMMAND_NO : COMMAND_OK;
}

const struct command command_restore = {
    .name = "restore",
    .operands = "FROM",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "a data directory from a backup, verified before a daemon can start on it",
    .help = "Every file of the backup is held against its digest, the journal against its chain, and, unless "
            "--no-verify, every\n"
            "decision is made again and compared. What does not hold is named, and DIR is left without its file "
            "\"format\", so\n"
            "that no daemon starts on it.\n"
            "Who was forgotten after the backup was made must not come back: the ledger of the directory that was "
            "lost, or\n"
            "a newer copy of it, says who that is. They are erased before a daemon can serve.\n"
            "Exit code 1 when a decision differs.\n\n"
            "  intent restore /mnt/backup/intentd --to /var/lib/intentd --forgotten /var/lib/intentd.old/forgotten",
    .options = options,
    .run = run,
};
