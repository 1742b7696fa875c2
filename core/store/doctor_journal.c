// The journal: structure, torn ends, damage, and what can be had in spite of it.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "store/doctor_private.h"
#include "store/hold.h"
#include "store/source.h"
#include "store/verify.h"

#define BACKLOG 8 // full segments that may wait to be sealed

static bool is_used(const struct segment_info *s) { return s->has_opening; }

// How many logs a session has: its partitions are dealt out over them.
static unsigned logs_of(const struct doctor *d, uint32_t session) {
  unsigned logs = 1;
  for (size_t i = 0; i < d->count; i++)
    if (is_used(&d->list[i]) && d->list[i].header.session == session && d->list[i].log >= logs)
      logs = d->list[i].log + 1;
  return logs;
}

// The last segments of their logs in the newest session: what a daemon is writing, or was when it ended.
static bool is_last(const struct doctor *d, size_t i) {
  const struct segment_info *s = &d->list[i];
  for (size_t k = i + 1; k < d->count; k++)
    if (is_used(&d->list[k]) && (d->list[k].header.session > s->header.session || d->list[k].log == s->log))
      return false;
  return is_used(s);
}

static void take_tips(struct doctor *d) {
  for (unsigned p = 0; p < d->partitions; p++) {
    if (!d->scan->tip[p].is_known) continue;
    d->has_tip[p] = true;
    d->tip[p] = d->scan->tip[p].tip.seq;
  }
}

// Which frames a damage takes from the partitions of its log, and whether the state has what they did.
static void put_damage(struct doctor *d, const struct segment_info *s, const struct error *err) {
  const struct segment_info *next = segment_after(d->list, d->count, s);
  unsigned logs = logs_of(d, s->header.session), count = 0;
  // What a former number of partitions wrote is folded: a reshard begins when all of it is.
  bool is_folded = d->has_state, is_former = s->era < d->era;
  if (next && next->era != s->era) next = NULL;
  struct buf text = {0};
  for (unsigned p = s->log; s->has_header && p < s->header.partitions; p += logs) {
    uint64_t whole = d->scan->tip[p].is_known ? d->scan->tip[p].tip.seq : s->seq ? s->seq[p] : 0;
    uint64_t after = next && next->seq ? next->seq[p] : 0;
    if (next && after <= whole) continue; // it loses nothing
    is_folded = is_folded && (is_former || (next && d->state.has_progress[p] && d->state.progress[p].seq >= after));
    buf_printf(&text, "%s%u to frame %llu", count++ ? ", " : "", p, (unsigned long long)whole);
    if (next) buf_printf(&text, " (and from %llu on)", (unsigned long long)after + 1);
  }
  buf_append_u8(&text, 0);
  d->is_damaged = true;
  FINDING(
      d, DOCTOR_ERROR, "journal",
      is_folded
          ? "the state has what these frames did, so that decisions go on; what lies in the gap can't be explained or "
            "replayed. The same segment from a backup, under either name, mends it"
          : "the same segment from a backup, under either name, mends it when it is older than the backup. Else "
            "restore the newest backup (intent restore), or take what can be had (--salvage TO); keep this directory "
            "until "
            "that is done",
      "damage: %s", err->text);
  FINDING(d, DOCTOR_NOTE, "journal", "", "in spite of the damage these partitions read: %.500s. All others are whole",
          count ? (char *)text.p : "all, to their ends");
  buf_deinit(&text);
}

static void put_torn(struct doctor *d, const struct segment_info *s, const struct scan_end *end) {
  if (end->is_torn && !d->is_held)
    FINDING(d, DOCTOR_NOTE, "journal", "nothing: the next start cuts it off. It was never acknowledged (sync = always)",
            "segment %02x-%08x ends with %llu bytes of a commit that is not whole", s->log, s->number,
            (unsigned long long)end->torn_bytes);
}

// The ends alone, or all of it.
static void walk(struct doctor *d, bool all) {
  uint64_t any[256];
  bool is_broken[256] = {false};
  memset(any, 0xff, sizeof any); // not everything is walked
  *d->scan = (struct scan){.dir = d->dir, .floor = any, .is_live = d->is_held};
  for (size_t i = 0; i < d->count; i++) {
    const struct segment_info *s = &d->list[i];
    struct scan_end end = {0};
    struct error err = {0};
    is_broken[s->log] |= s->is_unreadable; // said already
    if ((!all && !is_last(d, i) && s->has_opening) || is_broken[s->log]) continue;
    if (scan_segment(d->scan, s, &end, &err) == 0) {
      put_torn(d, s, &end);
      continue;
    }
    is_broken[s->log] = true;
    put_damage(d, s, &err);
  }
  take_tips(d);
}

// Every byte. What is found in the journal is found again by the walk, which says what can be had.
static bool verify(struct doctor *d) {
  struct verify_options options = {.dir = d->dir};
  struct verify_result *r = xcalloc(1, sizeof *r);
  struct error err = {0};
  int rc = store_verify(&options, r, &err);
  if (rc && rc != ITD_ENOTFOUND) FINDING(d, DOCTOR_ERROR, "journal", "", "%s", err.text);
  for (size_t i = 0; rc == 0 && i < r->count; i++) {
    const struct verify_finding *f = &r->finding[i];
    bool is_walked = strncmp(f->file, "journal/", 8) == 0;
    if (f->kind == VERIFY_TORN || f->kind == VERIFY_OPEN || (f->kind == VERIFY_DAMAGE && is_walked)) continue;
    FINDING(d, DOCTOR_ERROR, "journal",
            "the same file from a backup mends it; else restore the newest (intent restore)", "%s%s%s", f->file,
            *f->file ? ": " : "", f->text);
  }
  bool is_whole = rc == ITD_ENOTFOUND || (rc == 0 && r->is_whole);
  free(r->tip);
  free(r);
  return is_whole;
}

static void add_up(struct doctor *d, unsigned *sealed, unsigned *waiting) {
  *sealed = *waiting = 0;
  for (size_t i = 0; i < d->count; i++) {
    const struct segment_info *s = &d->list[i];
    char path[SEGMENT_PATH_MAX];
    struct stat st;
    if (s->is_sealed)
      sealed_path(path, d->dir, s->log, s->number);
    else
      segment_path(path, d->dir, s->log, s->number);
    if (stat(path, &st) == 0) d->journal_bytes += (uint64_t)st.st_size;
    if (s->has_opening && s->received_ms > d->newest_ms) d->newest_ms = s->received_ms;
    if (s->has_opening && s->era > d->era) d->era = s->era;
    *sealed += s->is_sealed;
    *waiting += !s->is_sealed && s->has_opening && !is_last(d, i);
  }
}

// A hole in the numbers of a log, or a file whose head does not read: the others are looked at all the same.
static int take_problem(void *context, const struct segment_info *info, int status, const struct error *what,
                        struct error *err) {
  (void)info, (void)err;
  struct doctor *d = context;
  FINDING(d, DOCTOR_ERROR, "journal",
          status == ITD_EVERSION
              ? "use the program of the version that wrote it"
              : "the same segment from a backup, under either name, mends it. Else restore the newest "
                "backup (intent restore); keep this directory until that is done",
          "%s", what->text);
  d->is_damaged = true;
  return 0;
}

// A directory that holds nothing of its journal, though something was made from one.
static bool is_lost(const struct doctor *d) {
  bool has_frames = d->base_count > 0;
  for (size_t i = 0; i < d->count; i++)
    if (is_used(&d->list[i]) || d->list[i].is_unreadable) return false;
  for (unsigned p = 0; p < d->partitions; p++) has_frames |= d->state.has_progress[p] && d->state.progress[p].seq > 0;
  return has_frames;
}

void doctor_journal(struct doctor *d) {
  struct error err = {0};
  unsigned sealed, waiting;
  int lock = holds_share(d->dir);
  int rc = segment_list_all(d->dir, &d->list, &d->count, take_problem, d, &err);
  if (rc == 0) {
    add_up(d, &sealed, &waiting);
    walk(d, d->options->is_deep && !verify(d));
  }
  holds_unlock(lock);
  if (rc) {
    FINDING(d, DOCTOR_ERROR, "journal", "", "%s", err.text);
    d->is_damaged = true;
    return;
  }
  if (is_lost(d)) {
    FINDING(d, DOCTOR_ERROR, "journal",
            "put the folder journal/ back (the newest, no older copy), or restore a backup (intent restore)",
            "the journal is gone: bases or LMDB were made from one, and there is no segment of it");
    d->is_damaged = true;
  }
  if (d->scan->received_ms > d->newest_ms) d->newest_ms = d->scan->received_ms;
  if (waiting > BACKLOG && d->is_held)
    FINDING(d, DOCTOR_NOTE, "journal", "the sealer is behind: see seal_failed in the daemon's log",
            "%u full segments are not sealed yet", waiting);
  if (d->is_damaged) return;
  uint64_t frames = 0;
  for (unsigned p = 0; p < d->partitions; p++) frames += d->tip[p];
  FINDING(d, DOCTOR_OK, "journal", "", "%zu segments (%u sealed), %llu MiB, %llu frames so far%s", d->count, sealed,
          (unsigned long long)((d->journal_bytes + (1u << 20) - 1) >> 20), (unsigned long long)frames,
          d->options->is_deep ? "; every byte was read and every link of the chain holds"
                              : "; only its ends were read (--deep reads all)");
}
