#include "store/verify.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "store/base.h"
#include "store/channel_check.h"
#include "store/hold.h"
#include "store/journal_scan.h"
#include "store/source.h"
#include "store/state.h"
#include "store/vault.h"

const char *verify_kind_name(enum verify_kind kind) {
  static const char *const names[] = {"damage", "missing", "head", "torn", "open"};
  return names[kind];
}

struct mark { // something that the chain of a partition must pass through: a head's tip, or a base's
  unsigned partitions, partition;
  uint64_t seq;
  const uint8_t *chain;
  bool is_met, is_other; // passed with this chain; with another one
};

struct verifying {
  const struct verify_options *options;
  struct verify_result *result;
  struct segment_info *list;
  size_t count;
  struct scan scan;
  struct base_info *base;
  size_t bases;
  struct mark
      *mark; // of the head first (one a partition), then of the bases; sorted by nothing, looked at by partition
  size_t marks, first_base_mark;
  size_t *of_partition[256]; // indexes of marks
  size_t of_count[256];
  uint64_t total, done;
  // Where what is left begins, in the oldest number of partitions that there is; numbers after it go on from there (journal_scan.c).
  bool has_first[256];
  uint64_t first[256];
  unsigned first_partitions;
  uint32_t first_session;
  bool is_damaged; // somewhere before: the tips begin anew
  struct channel_check *channels;
  uint32_t numbered; // the session in which they began
};

// A changed format number is damage like any other; of a journal that a later program wrote, verify says that it cannot read it.
static bool is_finding(int status) { return status == ITD_ECORRUPT || status == ITD_EVERSION; }

// ---- findings ----
static void find(struct verifying *v, enum verify_kind kind, const char *file, uint64_t offset, const char *text) {
  struct verify_result *r = v->result;
  if (r->count == VERIFY_FINDINGS_MAX) return;
  struct verify_finding *f = &r->finding[r->count++];
  *f = (struct verify_finding){.kind = kind, .offset = offset};
  snprintf(f->file, sizeof f->file, "%s", file);
  snprintf(f->text, sizeof f->text, "%s", text);
}

// Our texts name a file of the directory and an offset in it: "DIR/journal/00-00000001.log, offset 4096: …".
static void find_error(struct verifying *v, enum verify_kind kind, const char *file, const struct error *err) {
  const char *at = strstr(err->text, "offset "), *dir = v->options->dir, *text = err->text;
  unsigned long long offset = 0;
  if (at) sscanf(at, "offset %llu", &offset);
  size_t n = strlen(dir);
  if (strncmp(text, dir, n) == 0 && text[n] == '/') text += n + 1;
  find(v, kind, file, offset, text);
}

static void segment_name(char out[64], const struct segment_info *info, bool sealed) {
  snprintf(out, 64, "journal/%02x-%08x.%s", info->log, info->number, sealed ? "seg" : "log");
}

static int take_problem(void *context, const struct segment_info *info, int status, const struct error *what,
                        struct error *err) {
  struct verifying *v = context;
  if (!is_finding(status)) {
    if (err) *err = *what;
    return status;
  }
  char name[64];
  bool is_hole = !info->is_unreadable;
  char sealed[SEGMENT_PATH_MAX], log[SEGMENT_PATH_MAX];
  sealed_path(sealed, v->options->dir, info->log, info->number);
  segment_path(log, v->options->dir, info->log, info->number);
  segment_name(name, info, access(log, F_OK) != 0 && access(sealed, F_OK) == 0);
  if (is_hole) snprintf(name, sizeof name, "journal");
  find_error(v, is_hole ? VERIFY_MISSING : VERIFY_DAMAGE, name, what);
  return 0;
}

// ---- marks ----
static void add_mark(struct verifying *v, unsigned partitions, unsigned partition, uint64_t seq, const uint8_t *chain) {
  v->mark = xrealloc(v->mark, (v->marks + 1) * sizeof *v->mark);
  v->mark[v->marks] = (struct mark){.partitions = partitions, .partition = partition, .seq = seq, .chain = chain};
  size_t *n = &v->of_count[partition];
  v->of_partition[partition] = xrealloc(v->of_partition[partition], (*n + 1) * sizeof(size_t));
  v->of_partition[partition][(*n)++] = v->marks++;
}

static void at_tip(void *context, unsigned partition, const struct journal_tip *tip) {
  struct verifying *v = context;
  if (!v->first_session) {
    v->first_session = v->scan.numbered;
    v->first_partitions = v->scan.partitions;
  }
  if (v->scan.numbered == v->first_session && !v->has_first[partition]) {
    v->has_first[partition] = true;
    v->first[partition] = tip->seq;
  }
  for (size_t i = 0; i < v->of_count[partition]; i++) {
    struct mark *m = &v->mark[v->of_partition[partition][i]];
    if (m->seq != tip->seq || m->partitions != v->scan.partitions) continue;
    bool same = memcmp(m->chain, tip->chain, SHA256_SIZE) == 0;
    m->is_met |= same;
    m->is_other |= !same;
  }
}

// `rc`, `listed`: what listing them said.
static int take_bases(struct verifying *v, int rc, const struct error *listed, struct error *err) {
  v->first_base_mark = v->marks;
  if (is_finding(rc)) find_error(v, VERIFY_DAMAGE, "bases", listed);
  if (is_finding(rc) || rc == ITD_ENOTFOUND) return 0;
  if (rc && err) *err = *listed;
  for (size_t i = 0; rc == 0 && i < v->bases; i++) {
    const struct base_info *b = &v->base[i];
    char path[4096], name[64];
    struct error e = {0};
    base_path(path, v->options->dir, b->head.partition, b->head.seq);
    snprintf(name, sizeof name, "bases/%02x-%016llx.base", b->head.partition, (unsigned long long)b->head.seq);
    int checked = b->is_whole ? base_check(v->options->dir, b, &e) : ITD_ECORRUPT;
    if (access(path, F_OK)) continue; // let go since it was listed
    if (!b->is_whole) error_set(&e, ITD_ECORRUPT, "%s: its head or its end does not hold", name);
    if (checked && !is_finding(checked)) {
      if (err) *err = e;
      rc = checked;
    } else if (checked) {
      find_error(v, VERIFY_DAMAGE, name, &e);
    } else {
      add_mark(v, b->head.partitions, b->head.partition, b->head.seq, b->head.chain);
      v->result->bases++;
    }
  }
  return rc;
}

// ---- segments ----
static void progress(struct verifying *v, const struct segment_info *info) {
  struct stat st;
  char path[SEGMENT_PATH_MAX];
  segment_path(path, v->options->dir, info->log, info->number);
  if (stat(path, &st) != 0) {
    sealed_path(path, v->options->dir, info->log, info->number);
    if (stat(path, &st) != 0) return;
  }
  v->done += (uint64_t)st.st_size;
  if (v->options->progress) v->options->progress(v->options->context, v->done, v->total);
}

// The file of a sealed segment, every bit of it. *whole false: there was a finding.
static int check_sealed(struct verifying *v, const struct segment_info *info, bool *whole, struct error *err) {
  char path[SEGMENT_PATH_MAX], log[SEGMENT_PATH_MAX], name[64];
  struct sealed *s;
  struct error e = {0};
  *whole = true;
  sealed_path(path, v->options->dir, info->log, info->number);
  segment_path(log, v->options->dir, info->log, info->number);
  segment_name(name, info, true);
  int rc = sealed_open(path, &s, &e);
  if (rc == ITD_ENOTFOUND) return 0; // it is a log
  if (rc == 0) {
    const struct sealed_info *i = sealed_info(s);
    rc = sealed_check(s, -1, NULL, &e);
    if (rc == 0 && (i->log != info->log || i->segment != info->number))
      rc = error_set(&e, ITD_ECORRUPT, "is segment %02x-%08x by its footer", i->log, i->segment);
    if (rc) error_prefix(&e, "%s", path);
    sealed_close(s);
  }
  if (rc == 0) {
    v->result->sealed++;
    return 0;
  }
  if (!is_finding(rc)) {
    if (err) *err = e;
    return rc;
  }
  // A log beside it is the segment: the sealed file is made anew from it.
  *whole = access(log, F_OK) == 0;
  find_error(v, VERIFY_DAMAGE, name, &e);
  return 0;
}

// What a base holds of its partition's channels.
static int base_channels(struct verifying *v, const struct base_info *b, struct buf *saved, struct error *err) {
  struct base_reader *reader;
  int rc = base_open(v->options->dir, b, &reader, err);
  if (rc) return rc;
  for (uint32_t piece = 0; rc == 0; piece++) {
    uint8_t key[STATE_CHANNELS_KEY];
    state_channels_key(b->head.partition, piece, key);
    rc = base_lookup(reader, ROW_CHANNELS, bytes_of(key, sizeof key), saved, err);
  }
  base_close(reader);
  return rc == ITD_ENOTFOUND ? 0 : rc;
}

// Holds the bases of a partition after frame `seq` against the numbers of its channels there.
static void check_bases_at(struct verifying *v, unsigned partition, uint64_t seq) {
  char what[200], name[64];
  for (size_t i = 0; i < v->of_count[partition]; i++) {
    size_t mark = v->of_partition[partition][i];
    if (mark < v->first_base_mark || v->mark[mark].seq != seq) continue;
    const struct base_info *b = base_at(v->base, v->bases, partition, seq);
    if (!b || b->head.seq != seq || b->head.partitions != v->scan.partitions) continue;
    struct buf saved = {0};
    struct error e = {0};
    snprintf(name, sizeof name, "bases/%02x-%016llx.base", partition, (unsigned long long)seq);
    if (base_channels(v, b, &saved, &e) == 0 && !channel_check_base(v->channels, partition, buf_bytes(&saved), what))
      find(v, VERIFY_DAMAGE, name, 0, what);
    buf_deinit(&saved);
  }
}

static int see_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)err;
  struct verifying *v = context;
  char what[200], name[64];
  if (v->scan.numbered != v->numbered) {
    v->numbered = v->scan.numbered;
    channel_check_begin(v->channels, v->scan.partitions);
  }
  if (v->of_count[f->partition]) check_bases_at(v, f->partition, f->seq - 1);
  if (channel_check_frame(v->channels, f, what)) return 0;
  snprintf(name, sizeof name, "journal/%02x-%08x.log", place_log(place), place_segment(place));
  find(v, VERIFY_DAMAGE, name, place_offset(place), what);
  return 0;
}

static void begin_anew(struct verifying *v) {
  channel_check_lose(v->channels);
  for (unsigned p = 0; p < 256; p++) v->scan.tip[p].is_known = false;
  v->is_damaged = true;
}

static void take_end(struct verifying *v, const struct segment_info *info, const struct scan_end *end) {
  char name[64], text[200];
  segment_name(name, info, false);
  v->result->bytes += end->end;
  v->result->torn_bytes += end->torn_bytes;
  if (end->is_torn) {
    snprintf(text, sizeof text,
             "%s, offset %u: the last commit is torn: %llu bytes from %u on were never acknowledged, a start cuts them",
             name, end->bad, (unsigned long long)end->torn_bytes, end->end);
    find(v, VERIFY_TORN, name, end->bad, text);
  }
}

struct last { // of each log in the last session
  const struct segment_info *info;
  bool is_closed;
};

static int check_segments(struct verifying *v, struct last last[256], struct error *err) {
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < v->count; i++) {
    const struct segment_info *info = &v->list[i];
    struct scan_end end = {0};
    struct error e = {0};
    char name[64];
    bool whole = false, had_ended = v->scan.has_ended[info->log];
    rc = check_sealed(v, info, &whole, err);
    if (rc) break;
    v->result->segments++;
    if (!whole || info->is_unreadable) {
      begin_anew(v);
      progress(v, info);
      continue;
    }
    segment_name(name, info, info->is_sealed);
    if (had_ended && info->has_opening) {
      snprintf(e.text, sizeof e.text, "%s: it is in use, but the segment before it was never filled", name);
      find_error(v, VERIFY_MISSING, name, &e);
    }
    int scanned = scan_segment(&v->scan, info, &end, &e);
    if (is_finding(scanned)) {
      find_error(v, VERIFY_DAMAGE, name, &e);
      begin_anew(v);
    } else if (scanned) {
      if (err) *err = e;
      rc = scanned;
    } else {
      take_end(v, info, &end);
      if (end.end > SEGMENT_HEADER_SIZE) last[info->log] = (struct last){.info = info, .is_closed = end.is_closed};
    }
    progress(v, info);
  }
  return rc;
}

// ---- the whole ----
// Segments that are not there any more are vouched for by a base that lies behind them; whoever took them away otherwise is found.
static void check_beginnings(struct verifying *v) {
  if (v->is_damaged) return; // the walk began anew, who knows where
  for (unsigned p = 0; p < v->first_partitions; p++) {
    if (!v->has_first[p] || !v->first[p]) continue;
    bool is_vouched = false;
    for (size_t i = v->first_base_mark; i < v->marks; i++) {
      const struct mark *m = &v->mark[i]; // a base of a later number of partitions holds all that was written before
      bool is_later = v->scan.numbered != v->first_session && m->seq >= v->scan.tip[m->partition].from;
      is_vouched |= m->is_met && (m->partition == p || is_later);
    }
    if (is_vouched) continue;
    char text[200];
    snprintf(text, sizeof text,
             "the journal of partition %u begins behind frame %llu, and no base stands for what lay before it", p,
             (unsigned long long)v->first[p]);
    find(v, VERIFY_MISSING, "journal", 0, text);
  }
}

static void check_marks(struct verifying *v) {
  char text[300], name[64];
  for (size_t i = 0; i < v->marks; i++) {
    const struct mark *m = &v->mark[i];
    const struct scan_tip *tip = &v->scan.tip[m->partition];
    bool is_base = i >= v->first_base_mark;
    if (m->is_met && !m->is_other) continue;
    if (v->is_damaged && !m->is_other) continue;                  // it may lie where the walk could not go
    bool is_former = m->partitions != v->scan.partitions;         // of another number of partitions
    if (is_base && is_former && !m->is_other) continue;           // its journal may be gone, or it is of no reshard
    if (is_base && tip->is_known && m->seq < tip->from) continue; // older than what is left of the journal
    if (!m->seq && !m->is_other && !is_base) continue;            // a head of a partition that had nothing
    unsigned long long seq = m->seq;
    if (m->is_other)
      snprintf(text, sizeof text, "partition %u has another chain at frame %llu than %s says", m->partition, seq,
               is_base ? "its base" : "the head");
    else if (is_former)
      snprintf(text, sizeof text, "of the %u partitions that the head is of, partition %u has no commit at frame %llu",
               m->partitions, m->partition, seq);
    else if (tip->is_known && m->seq > tip->tip.seq)
      snprintf(text, sizeof text, "partition %u ends with frame %llu, but %s has frame %llu", m->partition,
               (unsigned long long)tip->tip.seq, is_base ? "a base" : "the head", seq);
    else if (tip->is_known && m->seq < tip->from)
      snprintf(
          text, sizeof text,
          "partition %u begins behind frame %llu; the head stands at frame %llu, of which nothing is left to compare",
          m->partition, (unsigned long long)tip->from, seq);
    else
      snprintf(text, sizeof text, "partition %u has no commit that ends with frame %llu, as %s says", m->partition, seq,
               is_base ? "its base" : "the head");
    snprintf(name, sizeof name, "bases/%02x-%016llx.base", m->partition, seq);
    find(v, is_base ? VERIFY_DAMAGE : VERIFY_HEAD, is_base ? name : "", 0, text);
  }
}

// In the last session every partition must have a log: one that is gone as a whole leaves no hole in any number.
static void check_logs(struct verifying *v, const struct last last[256]) {
  uint8_t owned[32] = {0};
  bool has_frames = false;
  uint32_t session = v->result->sessions;
  for (size_t i = 0; i < v->count; i++) {
    const struct segment_info *s = &v->list[i];
    if (!s->has_opening || s->header.session != session) continue;
    for (size_t k = 0; k < sizeof owned; k++) owned[k] |= s->owned[k];
    for (unsigned p = 0; p < v->result->partitions; p++)
      has_frames |= (s->owned[p / 8] >> p % 8 & 1) && v->scan.tip[p].is_known && v->scan.tip[p].tip.seq > s->seq[p];
    has_frames |= !s->begins_session;
  }
  for (unsigned p = 0; has_frames && p < v->result->partitions; p++) {
    if (owned[p / 8] >> p % 8 & 1) continue;
    char text[200];
    snprintf(text, sizeof text, "the log of partition %u of session %u is gone", p, session);
    find(v, VERIFY_MISSING, "journal", 0, text);
  }
  v->result->is_closed = true;
  for (unsigned log = 0; log < 256; log++) {
    const struct segment_info *s = last[log].info;
    if (!s || s->header.session != session || last[log].is_closed) continue;
    char name[64], text[200];
    segment_name(name, s, s->is_sealed);
    snprintf(text, sizeof text, "%s: log %u was not closed in order: the daemon runs, or was ended otherwise", name,
             log);
    find(v, VERIFY_OPEN, name, 0, text);
    v->result->is_closed = false;
  }
}

// Logs are read one after the other: of one that is written meanwhile, more may be seen than of the one that sent.
static void check_channels(struct verifying *v) {
  char what[200];
  if (v->result->is_closed && !channel_check_end(v->channels, what)) find(v, VERIFY_DAMAGE, "journal", 0, what);
}

static int no_record(void *context, uint64_t address, const struct vault_record *record, struct error *err) {
  (void)context, (void)address, (void)record, (void)err;
  return 0;
}

static int check_vault(struct verifying *v, struct error *err) {
  char path[PATH_MAX];
  struct error e = {0};
  snprintf(path, sizeof path, "%s/vault", v->options->dir);
  if (access(path, F_OK)) return 0; // a copy for an auditor has none
  static const struct vault_tip beginning[256];
  struct vault_tip *tips = xcalloc(256, sizeof *tips);
  int rc;
  // What is written or erased while it is read may look damaged; damage stays.
  for (int tries = 0;
       (rc = vault_scan(v->options->dir, beginning, no_record, NULL, tips, &e)) == ITD_ECORRUPT && tries < 5; tries++)
    usleep(20000);
  free(tips);
  if (is_finding(rc))
    find_error(v, VERIFY_DAMAGE, "vault", &e);
  else if (rc && err)
    *err = e;
  return is_finding(rc) ? 0 : rc;
}

static bool is_failure(const struct verify_options *o, enum verify_kind kind) {
  if (kind == VERIFY_TORN) return o->must_be_closed || o->head;
  return kind == VERIFY_OPEN ? o->must_be_closed : true;
}

static int open_list(struct verifying *v, struct error *err) {
  int rc = segment_list_all(v->options->dir, &v->list, &v->count, take_problem, v, err);
  if (rc) return rc;
  if (!v->count) return error_set(err, ITD_ENOTFOUND, "%s has no journal", v->options->dir);
  for (size_t i = 0; i < v->count; i++) {
    const struct segment_info *s = &v->list[i];
    struct stat st;
    char path[SEGMENT_PATH_MAX];
    segment_path(path, v->options->dir, s->log, s->number);
    if (s->is_sealed) sealed_path(path, v->options->dir, s->log, s->number);
    if (stat(path, &st) == 0) v->total += (uint64_t)st.st_size;
    if (s->has_header && s->header.session > v->result->sessions && s->has_opening) {
      v->result->sessions = s->header.session;
      v->result->partitions = s->header.partitions;
    }
  }
  return 0;
}

// Where no base was ever made nothing was ever let go: a log then begins with segment 1.
static void check_first_segments(struct verifying *v) {
  uint32_t first[256] = {0};
  char text[200];
  if (v->bases) return;
  for (size_t i = 0; i < v->count; i++) {
    uint32_t *n = &first[v->list[i].log];
    if (!*n || v->list[i].number < *n) *n = v->list[i].number;
  }
  for (unsigned log = 0; log < 256; log++) {
    if (first[log] < 2) continue;
    snprintf(text, sizeof text, "segments %02x-%08x.log to %02x-%08x.log are missing, and there is no base", log, 1,
             log, first[log] - 1);
    find(v, VERIFY_MISSING, "journal", 0, text);
  }
}

static int verify_once(const struct verify_options *options, struct verify_result *result, struct error *err) {
  struct verifying *v = xcalloc(1, sizeof *v);
  struct last last[256] = {{0}};
  *v = (struct verifying){.options = options, .result = result};
  free(result->tip);
  *result = (struct verify_result){0};
  v->scan = (struct scan){.dir = options->dir, .visit = see_frame, .context = v, .at_tip = at_tip, .is_live = true};
  v->channels = channel_check_new();
  // Before the segments: a base that is made meanwhile may stand behind the last of them that is listed.
  struct error listed = {0};
  int bases = base_list(options->dir, &v->base, &v->bases, &listed);
  int rc = open_list(v, err);
  if (rc == 0 && options->head) // of a former number of partitions, too: no sequence number comes twice
    for (unsigned p = 0; p < options->head->partitions; p++)
      add_mark(v, options->head->partitions, p, options->head->tip[p].seq, options->head->tip[p].chain);
  v->first_base_mark = v->marks;
  if (rc == 0) rc = take_bases(v, bases, &listed, err);
  if (rc == 0) check_first_segments(v);
  if (rc == 0) rc = check_segments(v, last, err);
  if (rc == 0) {
    check_beginnings(v);
    check_marks(v);
    check_logs(v, last);
    check_channels(v);
    rc = check_vault(v, err);
  }
  if (rc == 0) {
    result->frames = v->scan.frames;
    result->tip = xmalloc(sizeof v->scan.tip);
    memcpy(result->tip, v->scan.tip, sizeof v->scan.tip);
    result->is_whole = true;
    for (size_t i = 0; i < result->count; i++) result->is_whole &= !is_failure(options, result->finding[i].kind);
  }
  for (unsigned p = 0; p < 256; p++) free(v->of_partition[p]);
  free(v->mark);
  channel_check_free(v->channels);
  base_list_free(v->base);
  segment_list_free(v->list, v->count);
  free(v);
  return rc;
}

// Of two looks at the same directory: what both found. A daemon that writes, seals and lets go meanwhile may show something once. The texts of
// what is missing tell whether it is the same that is missing; other texts may name a frame that moves on.
static bool is_same(const struct verify_finding *a, const struct verify_finding *b) {
  return a->kind == b->kind && strcmp(a->file, b->file) == 0 && a->offset == b->offset &&
         (a->kind != VERIFY_MISSING || strcmp(a->text, b->text) == 0);
}

static void keep_common(const struct verify_options *o, struct verify_result *r, const struct verify_result *again) {
  size_t kept = 0;
  r->is_whole = true;
  for (size_t i = 0; i < r->count; i++) {
    bool is_there = false;
    for (size_t k = 0; k < again->count; k++) is_there |= is_same(&again->finding[k], &r->finding[i]);
    if (!is_there) continue;
    r->is_whole &= !is_failure(o, r->finding[i].kind);
    r->finding[kept++] = r->finding[i];
  }
  r->count = kept;
}

static bool is_doubtful(const struct verify_result *r) {
  for (size_t i = 0; i < r->count; i++)
    if (r->finding[i].kind != VERIFY_OPEN) return true;
  return false;
}

// Looks again until a look confirms all that the ones before it had in common.
static int look_again(const struct verify_options *options, struct verify_result *result, struct error *err) {
  struct verify_result *again = xcalloc(1, sizeof *again);
  int rc = 0;
  for (size_t before = 0; rc == 0 && is_doubtful(result) && result->count != before;) {
    before = result->count;
    rc = verify_once(options, again, err);
    if (rc) break;
    struct scan_tip *tip = result->tip;
    result->tip = again->tip;
    again->tip = tip;
    keep_common(options, result, again);
  }
  free(again->tip);
  free(again);
  return rc;
}

int store_verify(const struct verify_options *options, struct verify_result *result, struct error *err) {
  char directory[DIRECTORY_ID];
  int shared = holds_share(options->dir); // nothing is let go while this reads
  *result = (struct verify_result){0};
  int rc = verify_once(options, result, err);
  if (rc == 0) rc = look_again(options, result, err);
  if (rc == 0 && options->head && head_directory(options->dir, directory) && options->head->directory[0]) {
    result->head_directory = true;
    if (strcmp(directory, options->head->directory) != 0 && result->count < VERIFY_FINDINGS_MAX) {
      struct verify_finding *f = &result->finding[result->count++];
      *f = (struct verify_finding){.kind = VERIFY_HEAD};
      snprintf(f->text, sizeof f->text, "the head is of the directory %s, this one is %s", options->head->directory,
               directory);
      result->is_whole = false;
    }
  }
  holds_unlock(shared);
  return rc;
}
