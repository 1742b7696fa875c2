// The doctor for a daemon that runs elsewhere: by what server.info says.
#include "cli/doctor_daemon.h"

#include "base/clock.h"
#include "cli/field.h"

#define DAY_MS 86400000ll

// Something that was counted since the daemon started.
static void judge_counts(struct bytes storage, struct doctor_report *r) {
  static const struct {
    const char *name, *subject, *text, *advice;
    enum doctor_severity severity;
  } counts[] = {
      {"checkpoint_failures", "checkpoint", "checkpoints failed since the start", "see checkpoint_failed in its log",
       DOCTOR_WARNING},
      {"base_failures", "bases", "sets of bases failed since the start", "see base_failed in its log", DOCTOR_WARNING},
      {"seal_failures", "journal", "segments could not be sealed at the first try", "see seal_failed in its log",
       DOCTOR_NOTE},
      {"archive_failures", "archive", "segments could not be archived at the first try",
       "see archive_failed in its log", DOCTOR_WARNING},
      {"forget_failures", "forgotten", "forgettings could not be ended at the first try",
       "see forget_failed in its log", DOCTOR_WARNING},
      {"journal_full", "disk", "commits were put off because there was no room", "make room", DOCTOR_WARNING},
      {"recovery_failures", "disk", "recoveries from a disk that failed did not succeed",
       "see recovery_failed in its log", DOCTOR_ERROR},
      {"paused_shards", "intake", "shards take no events for now: the checkpoint or messages must catch up",
       "docs/operations.md#bounds", DOCTOR_WARNING},
  };
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    int64_t n = field_int(storage, counts[i].name, 0);
    if (n > 0)
      doctor_add(r, counts[i].severity, counts[i].subject, counts[i].advice, "%lld %s", (long long)n, counts[i].text);
  }
}

static void judge_times(struct bytes storage, struct doctor_report *r) {
  int64_t base_ms = field_int(storage, "base_ms", 0), age_ms = clock_wall_ms() - base_ms;
  int64_t snapshot_ms = field_int(storage, "snapshot_ms", 0), oldest_ms = field_int(storage, "outbox_oldest_ms", 0);
  if (base_ms && age_ms > 3 * DAY_MS)
    doctor_add(r, DOCTOR_NOTE, "bases", "none is made while nothing changes; else see base_failed in its log",
               "the newest set is %lld days old", (long long)(age_ms / DAY_MS));
  if (snapshot_ms > 3600000)
    doctor_add(r, DOCTOR_WARNING, "state", "a slow disk: LMDB's file grows until the base is written",
               "a snapshot has been open for %lld minutes", (long long)(snapshot_ms / 60000));
  if (oldest_ms > 60000)
    doctor_add(r, DOCTOR_WARNING, "outbox", "see intentd_hop_commit_seconds of the other shards",
               "a message between entities has waited for %lld seconds", (long long)(oldest_ms / 1000));
  if (field_int(storage, "seal_waiting_ms", 0) > 3600000 || field_int(storage, "archive_waiting_ms", 0) > 3600000)
    doctor_add(r, DOCTOR_WARNING, "journal", "see seal_failed and archive_failed in its log",
               "a full segment has waited for more than an hour to be sealed or archived");
}

void doctor_daemon(struct bytes info, const struct doctor_options *options, struct doctor_report *r) {
  struct bytes storage = field(info, "storage"), trouble = field_text(storage, "trouble"),
               version = field_text(info, "version");
  uint64_t left = (uint64_t)field_int(storage, "free_bytes", 0), dirty = (uint64_t)field_int(storage, "dirty_bytes", 0),
           limit = (uint64_t)field_int(storage, "dirty_limit", 1);
  doctor_add(r, DOCTOR_OK, "daemon", "", "version %.*s, process %lld, %lld shards, %lld partitions", (int)version.n,
             (const char *)version.p, (long long)field_int(info, "pid", 0), (long long)field_int(info, "shards", 0),
             (long long)field_int(info, "partitions", 0));
  if (!storage.n) {
    doctor_add(r, DOCTOR_NOTE, "daemon", "look at its directory instead (--data)", "it does not tell of its storage");
    return;
  }
  if (trouble.n)
    doctor_add(r, DOCTOR_ERROR, "disk", "docs/operations.md#bounds; events are refused until it is over", "%.*s",
               (int)trouble.n, (const char *)trouble.p);
  doctor_add(r, left < options->free_bytes ? DOCTOR_WARNING : DOCTOR_OK, "disk",
             left < options->free_bytes ? "make room, or let old journal go (retention.age, retention.bytes)" : "",
             "%llu MiB are free", (unsigned long long)(left >> 20));
  doctor_add(r, dirty > limit / 2 ? DOCTOR_WARNING : DOCTOR_OK, "checkpoint",
             dirty > limit / 2 ? "a faster disk, or a larger checkpoint.dirty" : "",
             "%llu of %llu MiB of changed leads wait for it", (unsigned long long)(dirty >> 20),
             (unsigned long long)(limit >> 20));
  judge_counts(storage, r);
  judge_times(storage, r);
}
