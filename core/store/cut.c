#include "store/cut.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/disk.h"

#define AHEAD      (1u << 20)
#define TRIES      20
#define CAUSE_TEXT (LEAD_ID_TEXT + 12)

// What a message names its sender's frame by.
struct sender {
  struct lead_id entity;
  uint32_t number;
};

struct commit {
  size_t segment; // index in the tail's segments
  uint64_t begin;
  struct bytes entries; // of its trailer
  uint16_t count;
  size_t sent_from, sent_to;     // of the tail's `sent`: frames in it that send messages
  size_t caused_from, caused_to; // of the tail's `caused`: what sent the messages that it applies
};

struct tail { // the end of one log
  const char *dir;
  struct sealed_cache *cache;
  unsigned log, partitions;
  uint32_t session;
  struct {
    uint32_t number;
    struct source *source;
    uint64_t end; // what was read so far, whole commits
  } * segment;
  size_t segments;
  struct buf b; // bytes of the last segment from `base` on
  uint64_t base;
  struct commit *commit;                 // behind E1
  size_t commits, commit_cap, at_second; // and how many of them are before E2
  struct sender *sent, *caused;
  size_t sent_count, sent_cap, caused_count, caused_cap;
  bool is_noting;              // behind E1
  struct journal_tip tip[256]; // at E1
  bool has_tip[256], begins[256];
};

static void add_sender(struct sender **list, size_t *count, size_t *cap, struct sender s) {
  if (*count == *cap) *list = xrealloc(*list, (*cap = *cap ? *cap * 2 : 64) * sizeof **list);
  (*list)[(*count)++] = s;
}

// ---- reading on ----
static int fill(struct tail *t, uint64_t offset, size_t n, struct error *err) {
  CHECK(offset >= t->base);
  while (t->base + t->b.n < offset + n) {
    size_t got, want = n > AHEAD ? n : AHEAD;
    int rc = source_read(t->segment[t->segments - 1].source, t->cache, t->base + t->b.n, buf_reserve(&t->b, want), want,
                         &got, err);
    if (rc) return rc;
    if (!got) return 0;
    t->b.n += got;
  }
  return 0;
}

static struct bytes from(const struct tail *t, uint64_t offset) {
  size_t skip = (size_t)(offset - t->base);
  return skip < t->b.n ? bytes_of(t->b.p + skip, t->b.n - skip) : bytes_of(NULL, 0);
}

// The record at `offset`: 1, its size; 0: none that is whole.
static int record_at(struct tail *t, uint64_t offset, struct bytes *in, size_t *size, struct error *err) {
  size_t need = TRAILER_HEADER_SIZE;
  uint64_t place = place_of(t->log, t->segment[t->segments - 1].number, (uint32_t)offset);
  for (;;) {
    size_t had = need;
    int rc = fill(t, offset, need, err);
    if (rc) return rc;
    *in = from(t, offset);
    *size = record_check(*in, place, &need);
    if (*size) return 1;
    if (need <= had) return 0;
  }
}

// "LEAD-NUMBER", as messages name what caused them.
static bool cause_of(struct bytes text, struct sender *s) {
  char line[CAUSE_TEXT + 1], *end;
  if (text.n <= LEAD_ID_TEXT || text.n > CAUSE_TEXT || text.p[LEAD_ID_TEXT - 1] != '-') return false;
  memcpy(line, text.p, text.n);
  line[text.n] = 0;
  if (hex_decode(bytes_of(text.p, LEAD_ID_TEXT - 1), s->entity.b, sizeof s->entity.b)) return false;
  s->number = (uint32_t)strtoul(line + LEAD_ID_TEXT, &end, 10);
  return !*end;
}

static void note_frame(struct tail *t, const uint8_t *record) {
  struct frame f;
  struct sender s;
  frame_get(record, &f);
  if (f.messages.n)
    add_sender(&t->sent, &t->sent_count, &t->sent_cap, (struct sender){.entity = f.entity, .number = f.number});
  if (f.from_n && cause_of(f.cause, &s)) add_sender(&t->caused, &t->caused_count, &t->caused_cap, s);
}

static void take_tips(struct tail *t, const struct trailer *trailer) {
  for (size_t i = 0; i < trailer->count; i++) {
    struct trailer_entry e = trailer_entry_get(trailer, i);
    bool is_owned = e.flags & ENTRY_OWNED || !(trailer->flags & TRAILER_OPENS);
    if (e.partition >= 256 || (!is_owned && !(trailer->flags & TRAILER_BEGINS))) continue;
    if (!is_owned && t->has_tip[e.partition]) continue;
    t->begins[e.partition] |= !is_owned;
    t->has_tip[e.partition] |= is_owned;
    t->tip[e.partition].seq = e.seq;
    memcpy(t->tip[e.partition].chain, e.chain, CHAIN_SIZE);
  }
}

static void note_commit(struct tail *t, struct commit *c, const struct trailer *trailer) {
  size_t n = (size_t)trailer->count * TRAILER_ENTRY_SIZE;
  uint8_t *entries = xmalloc(n + 1);
  if (n) memcpy(entries, trailer->entry, n);
  c->entries = bytes_of(entries, n);
  c->count = trailer->flags & TRAILER_OPENS ? 0 : trailer->count; // an opening says nothing new
  c->sent_to = t->sent_count;
  c->caused_to = t->caused_count;
  if (t->commits == t->commit_cap)
    t->commit = xrealloc(t->commit, (t->commit_cap = t->commit_cap ? t->commit_cap * 2 : 64) * sizeof *t->commit);
  t->commit[t->commits++] = *c;
}

static void forget_bytes(struct tail *t, uint64_t base) {
  buf_clear(&t->b);
  t->base = base;
}

// One commit: 1, and the tail is behind it; 0: none that is whole, yet.
static int next_commit(struct tail *t, struct error *err) {
  uint64_t at = t->segment[t->segments - 1].end, offset = at;
  struct commit c = {
      .segment = t->segments - 1, .begin = at, .sent_from = t->sent_count, .caused_from = t->caused_count};
  for (;;) {
    struct bytes in;
    size_t size;
    int rc = record_at(t, offset, &in, &size, err);
    if (rc < 0) return rc;
    if (rc == 0) { // read again the next time, and note again what was noted
      t->sent_count = c.sent_from;
      t->caused_count = c.caused_from;
      forget_bytes(t, at);
      return 0;
    }
    offset += size;
    if (record_kind(in.p) != FRAME_COMMIT) {
      if (t->is_noting) note_frame(t, in.p);
      continue;
    }
    struct trailer trailer;
    trailer_get(in.p, &trailer);
    t->segment[t->segments - 1].end = offset;
    if (t->is_noting)
      note_commit(t, &c, &trailer);
    else
      take_tips(t, &trailer);
    if (offset - t->base >= AHEAD) {
      buf_consume(&t->b, (size_t)(offset - t->base));
      t->base = offset;
    }
    return 1;
  }
}

static void begin_segment(struct tail *t, uint32_t number, struct source *source) {
  t->segment = xrealloc(t->segment, (t->segments + 1) * sizeof *t->segment);
  t->segment[t->segments].number = number;
  t->segment[t->segments].source = source;
  t->segment[t->segments++].end = SEGMENT_HEADER_SIZE;
  forget_bytes(t, SEGMENT_HEADER_SIZE);
}

// The segment after the last, when it is in use and of the same session. 1: there is one.
static int next_segment(struct tail *t, struct source **source, struct error *err) {
  uint8_t head[SEGMENT_HEADER_SIZE + 8];
  struct segment_header header;
  size_t got;
  int rc = source_open(t->dir, t->log, t->segment[t->segments - 1].number + 1, source, err);
  if (rc) return rc == ITD_ENOTFOUND ? 0 : rc;
  rc = source_read(*source, t->cache, 0, head, sizeof head, &got, err);
  static const uint8_t nothing[8];
  bool is_used = rc == 0 && got == sizeof head && memcmp(head + SEGMENT_HEADER_SIZE, nothing, sizeof nothing) != 0 &&
                 segment_header_get(head, &header, NULL) == 0 && header.session == t->session;
  if (is_used) return 1;
  source_close(*source);
  return rc;
}

// To the log's end as it is now.
static int read_on(struct tail *t, struct error *err) {
  for (;;) {
    int rc;
    while ((rc = next_commit(t, err)) == 1) {
    }
    struct source *next;
    if (rc == 0) rc = next_segment(t, &next, err);
    if (rc <= 0) return rc;
    // It is used only when the one before it is full: what that got meanwhile is all that it will ever have.
    while ((rc = next_commit(t, err)) == 1) {
    }
    if (rc < 0) {
      source_close(next);
      return rc;
    }
    begin_segment(t, t->segment[t->segments - 1].number + 1, next);
  }
}

// ---- the cut ----
static int by_sender(const void *a, const void *b) {
  const struct sender *x = a, *y = b;
  int order = memcmp(x->entity.b, y->entity.b, sizeof x->entity.b);
  return order ? order : (x->number > y->number) - (x->number < y->number);
}

// What lies behind the cut as it is now and sends something.
static struct sender *senders_behind(struct tail *tail, size_t tails, const size_t *kept, size_t *count) {
  struct sender *list = NULL;
  size_t cap = 0;
  *count = 0;
  for (size_t i = 0; i < tails; i++) {
    size_t first = kept[i] < tail[i].commits ? tail[i].commit[kept[i]].sent_from : tail[i].sent_count;
    for (size_t k = first; k < tail[i].sent_count; k++) add_sender(&list, count, &cap, tail[i].sent[k]);
  }
  if (*count) qsort(list, *count, sizeof *list, by_sender);
  return list;
}

static bool is_caused_behind(const struct tail *t, const struct commit *c, const struct sender *list, size_t count) {
  for (size_t i = c->caused_from; i < c->caused_to; i++)
    if (bsearch(&t->caused[i], list, count, sizeof *list, by_sender)) return true;
  return false;
}

// kept[i]: how many of the commits behind E1 of each tail are in the cut.
static void shrink(struct tail *tail, size_t tails, size_t *kept) {
  for (size_t i = 0; i < tails; i++) kept[i] = tail[i].at_second;
  for (bool changed = true; changed;) {
    size_t count;
    struct sender *behind = senders_behind(tail, tails, kept, &count);
    changed = false;
    for (size_t i = 0; count && i < tails; i++)
      for (size_t k = 0; k < kept[i]; k++)
        if (is_caused_behind(&tail[i], &tail[i].commit[k], behind, count)) {
          kept[i] = k;
          changed = true;
        }
    free(behind);
  }
}

static void put_tips(const struct tail *t, size_t kept, struct cut *cut, bool owned[256]) {
  struct journal_tip tip[256];
  bool has[256];
  memcpy(tip, t->tip, sizeof tip);
  memcpy(has, t->has_tip, sizeof has);
  for (size_t k = 0; k < kept; k++) {
    struct trailer view = {.count = t->commit[k].count, .entry = t->commit[k].entries.p};
    for (size_t i = 0; i < view.count; i++) {
      struct trailer_entry e = trailer_entry_get(&view, i);
      has[e.partition & 255] = true;
      tip[e.partition & 255].seq = e.seq;
      memcpy(tip[e.partition & 255].chain, e.chain, CHAIN_SIZE);
    }
  }
  for (unsigned p = 0; p < 256; p++) {
    if (!has[p] && (owned[p] || !t->begins[p])) continue;
    cut->tip[p] = tip[p];
    owned[p] |= has[p];
  }
}

static void put_ends(struct tail *t, size_t kept, struct cut *cut) {
  for (size_t i = 0; i < t->segments; i++) {
    uint64_t end = t->segment[i].end;
    for (size_t k = t->commits; k-- > kept;)
      if (t->commit[k].segment == i) end = t->commit[k].begin;
    if (end <= SEGMENT_HEADER_SIZE) continue; // not even its opening
    cut->end = xrealloc(cut->end, (cut->count + 1) * sizeof *cut->end);
    cut->end[cut->count++] =
        (struct cut_end){.log = t->log, .segment = t->segment[i].number, .end = end, .source = t->segment[i].source};
    t->segment[i].source = NULL; // it is the cut's from now on
  }
}

// ---- which logs ----
static void tail_close(struct tail *t) {
  for (size_t i = 0; i < t->segments; i++) source_close(t->segment[i].source);
  for (size_t i = 0; i < t->commits; i++) free((void *)(uintptr_t)t->commit[i].entries.p);
  free(t->segment);
  free(t->commit);
  free(t->sent);
  free(t->caused);
  buf_deinit(&t->b);
}

// The newest session, and in it the last segment of each log that is in use. Returns how many logs.
static size_t newest(const struct segment_info *list, size_t count, uint32_t *session,
                     const struct segment_info *last[256]) {
  size_t logs = 0;
  *session = 0;
  for (size_t i = 0; i < count; i++)
    if (list[i].has_opening && list[i].header.session > *session) *session = list[i].header.session;
  for (size_t i = 0; i < count; i++) {
    if (!list[i].has_opening || list[i].header.session != *session) continue;
    if (!logs || last[logs - 1]->log != list[i].log) logs++;
    last[logs - 1] = &list[i];
  }
  return logs;
}

static int open_tail(struct tail *t, const char *dir, struct sealed_cache *cache, const struct segment_info *info,
                     struct error *err) {
  struct source *source;
  *t = (struct tail){.dir = dir,
                     .cache = cache,
                     .log = info->log,
                     .session = info->header.session,
                     .partitions = info->header.partitions};
  int rc = source_open(dir, info->log, info->number, &source, err);
  if (rc == 0) begin_segment(t, info->number, source);
  return rc;
}

void (*cut_between_logs)(void);

static int read_all(struct tail *tail, size_t tails, struct error *err) {
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < tails; i++) {
    rc = read_on(&tail[i], err);
    if (cut_between_logs) cut_between_logs();
  }
  return rc;
}

// Is the newest session still the same, with the same logs?
static int is_same(const char *dir, uint32_t session, size_t logs, bool *same, struct error *err) {
  struct segment_info *list;
  size_t count;
  uint32_t now;
  const struct segment_info *last[256];
  int rc = segment_list(dir, &list, &count, err);
  if (rc) return rc;
  *same = newest(list, count, &now, last) == logs && now == session;
  segment_list_free(list, count);
  return 0;
}

static int try(const char *dir, struct cut *cut, bool *done, struct error *err) {
  struct segment_info *list;
  size_t count;
  const struct segment_info *last[256];
  int rc = segment_list(dir, &list, &count, err);
  if (rc) return rc;
  size_t logs = newest(list, count, &cut->session, last), kept[256];
  struct tail *tail = xcalloc(logs + 1, sizeof *tail);
  for (size_t i = 0; rc == 0 && i < logs; i++) rc = open_tail(&tail[i], dir, cut->cache, last[i], err);
  if (rc == 0) rc = read_all(tail, logs, err);
  for (size_t i = 0; i < logs; i++) tail[i].is_noting = true;
  if (rc == 0) rc = read_all(tail, logs, err);
  for (size_t i = 0; i < logs; i++) tail[i].at_second = tail[i].commits;
  if (rc == 0) rc = read_all(tail, logs, err);
  if (rc == 0) rc = is_same(dir, cut->session, logs, done, err);
  if (rc == 0 && *done) {
    bool owned[256] = {false};
    shrink(tail, logs, kept);
    cut->partitions = logs ? tail[0].partitions : 0;
    for (size_t i = 0; i < logs; i++) put_tips(&tail[i], kept[i], cut, owned);
    for (size_t i = 0; i < logs; i++) cut->first[tail[i].log] = tail[i].segment[0].number;
    for (size_t i = 0; i < logs; i++) put_ends(&tail[i], kept[i], cut);
    cut->list = list;
    cut->list_count = count;
    list = NULL;
  }
  for (size_t i = 0; i < logs; i++) tail_close(&tail[i]);
  free(tail);
  if (list) segment_list_free(list, count);
  return rc;
}

int cut_find(const char *dir, struct cut *out, struct error *err) {
  struct cut cut = {.cache = sealed_cache_new(2)};
  bool done = false;
  int rc = 0;
  for (int i = 0; rc == 0 && !done && i < TRIES; i++) rc = try(dir, &cut, &done, err);
  if (rc == 0 && !done) rc = error_set(err, ITD_EBUSY, "%s: the daemon starts again and again", dir);
  if (rc)
    cut_close(&cut);
  else
    *out = cut;
  return rc;
}

void cut_close(struct cut *cut) {
  for (size_t i = 0; i < cut->count; i++) source_close(cut->end[i].source);
  free(cut->end);
  segment_list_free(cut->list, cut->list_count);
  sealed_cache_free(cut->cache);
  *cut = (struct cut){0};
}
