// Bases and LMDB: do they reach the journal, and how far is each behind?
#include <stdio.h>

#include "store/doctor_private.h"

#define OLD_MS (3 * 86400000ll) // a set of bases

// The frame behind which the journal of a partition begins, by the first opening that says so.
static uint64_t begins_behind(const struct doctor *d, unsigned partition) {
  for (size_t i = 0; i < d->count; i++) {
    const struct segment_info *s = &d->list[i];
    if (!s->has_opening) continue;
    if (s->header.partitions != d->partitions) return 0; // it reaches back to a former number of them
    if (s->begins_session || s->owned[partition / 8] >> partition % 8 & 1) return s->seq[partition];
  }
  return 0;
}

static void look_at_reach(struct doctor *d) {
  for (unsigned p = 0; p < d->partitions; p++) {
    uint64_t from = begins_behind(d, p);
    const struct base_info *base = base_at(d->base, d->base_count, p, UINT64_MAX);
    if (!from || (base && base->head.seq >= from)) continue;
    bool has_state = d->has_state && d->state.has_progress[p] && d->state.progress[p].seq >= from;
    FINDING(d, has_state ? DOCTOR_WARNING : DOCTOR_ERROR, "bases",
            has_state ? "LMDB has it: let the daemon run until it makes the next bases, and keep state/ until then"
                      : "take the bases from a backup, or restore it (intent restore)",
            "the journal of partition %u begins behind frame %llu, and no base that reads is as new", p,
            (unsigned long long)from);
    return;
  }
}

static unsigned check_bases(struct doctor *d) {
  unsigned damaged = 0;
  for (size_t i = 0; i < d->base_count; i++) {
    const struct base_info *b = &d->base[i];
    struct error err = {0};
    int rc = b->is_whole ? 0
                         : error_set(&err, ITD_ECORRUPT, "bases/%02x-%016llx.base: head or end do not hold",
                                     b->head.partition, (unsigned long long)b->head.seq);
    if (rc == 0 && d->options->is_deep) rc = base_check(d->dir, b, &err);
    if (rc && !damaged++)
      FINDING(d, DOCTOR_WARNING, "bases",
              "nothing, while the one before it reads: it is used instead. A backup has another copy", "%s", err.text);
    const struct base_info *before =
        i && d->base[i - 1].head.partition == b->head.partition && d->base[i - 1].head.partitions == b->head.partitions
            ? b - 1
            : NULL;
    if (rc == 0 && before && before->is_whole && before->head.seq == b->head.before_seq &&
        memcmp(before->digest, b->head.before_digest, SHA256_SIZE) != 0 && !damaged++)
      FINDING(d, DOCTOR_WARNING, "bases", "a backup has another copy of the older one",
              "the base of partition %u at frame %llu does not follow the one before it", b->head.partition,
              (unsigned long long)b->head.seq);
  }
  return damaged;
}

void doctor_list_bases(struct doctor *d) {
  struct error err = {0};
  if (base_list(d->dir, &d->base, &d->base_count, &err) == 0) return;
  d->base = NULL;
  d->base_count = 0;
  FINDING(d, DOCTOR_ERROR, "bases", "use the program of the version that wrote it, or restore a backup", "%s",
          err.text);
}

void doctor_bases(struct doctor *d) {
  size_t count = d->base_count;
  unsigned damaged = check_bases(d);
  base_only(d->base, &d->base_count, d->partitions, d->since.seq);
  look_at_reach(d);
  int64_t made_ms = base_set_read(d->dir), age_ms = d->newest_ms - made_ms;
  if (!count) {
    FINDING(d, DOCTOR_NOTE, "bases", "the daemon makes them by itself (base.interval, base.journal)",
            "there are none yet: without LMDB a start reads the whole journal");
    return;
  }
  if (made_ms && age_ms > OLD_MS)
    FINDING(d, DOCTOR_WARNING, "bases",
            "see base_failed in the daemon's log; base.interval says how often they are made",
            "the newest set is %lld days older than the newest frame", (long long)(age_ms / 86400000));
  if (!damaged)
    FINDING(d, DOCTOR_OK, "bases", "", "%zu%s", count,
            d->options->is_deep ? ", each as its digest says" : "; digests were not read (--deep)");
}

// ---- LMDB ----
static void look_at_readers(struct doctor *d) {
  const struct state_look *s = &d->state;
  if (s->stale)
    FINDING(d, DOCTOR_NOTE, "state", "nothing: LMDB takes their places away",
            "%u readers are of processes that are gone", s->stale);
  if (s->has_oldest && s->oldest_behind >= d->options->reader_behind)
    FINDING(d, DOCTOR_WARNING, "state",
            s->oldest_pid == d->holder ? "a base is being written; see intentd_state_snapshot_seconds"
                                       : "end that process: while it reads, no page can be used again",
            "process %ld holds a snapshot that is %llu transactions old: LMDB's file grows meanwhile", s->oldest_pid,
            (unsigned long long)s->oldest_behind);
  if (s->readers_max && s->readers > s->readers_max * 9 / 10)
    FINDING(d, DOCTOR_WARNING, "state", "end what else reads it", "%u of %u places for readers are taken", s->readers,
            s->readers_max);
}

void doctor_state(struct doctor *d) {
  struct error err = {0};
  int rc = state_look(d->dir, d->partitions, &d->state, &err);
  if (rc == ITD_ENOTFOUND) {
    FINDING(d, DOCTOR_NOTE, "state", "nothing: the next start builds it anew from bases and journal", "%s", err.text);
    return;
  }
  if (rc) {
    FINDING(d, DOCTOR_ERROR, "state",
            "stop the daemon and move the folder state/ away: the next start builds it anew from bases and journal",
            "%s", err.text);
    return;
  }
  d->has_state = true;
  unsigned percent = d->state.map_bytes ? (unsigned)(d->state.used_bytes * 100 / d->state.map_bytes) : 0;
  if (percent >= 80)
    FINDING(d, DOCTOR_WARNING, "state", "restart with a larger state.map before it is full",
            "LMDB uses %u%% of its %llu MiB", percent, (unsigned long long)(d->state.map_bytes >> 20));
  else
    FINDING(d, DOCTOR_OK, "state", "", "LMDB uses %llu MiB, %u%% of its address space",
            (unsigned long long)(d->state.used_bytes >> 20), percent);
  look_at_readers(d);
}

void doctor_lag(struct doctor *d) {
  uint64_t behind = 0;
  if (!d->has_state || d->is_damaged) return;
  for (unsigned p = 0; p < d->partitions; p++) {
    uint64_t has = d->state.has_progress[p] ? d->state.progress[p].seq : 0;
    if (!d->has_tip[p]) continue;
    if (has > d->tip[p]) {
      FINDING(d, DOCTOR_ERROR, "state",
              "the journal lost its end (a disk that lied about its syncs, or files of two copies): restore a backup",
              "LMDB has frame %llu of partition %u, the journal ends with %llu", (unsigned long long)has, p,
              (unsigned long long)d->tip[p]);
      return;
    }
    behind += d->tip[p] - has;
  }
  FINDING(d, behind > 1000000 ? DOCTOR_NOTE : DOCTOR_OK, "checkpoint",
          behind > 1000000 ? "a start has to fold them; see checkpoint_failed in the daemon's log" : "",
          "LMDB is %llu frames behind the journal", (unsigned long long)behind);
}
