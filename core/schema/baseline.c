// Learned baselines of sources: lanes that count, series that learn.
#include "schema/baseline.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { HOURS = 168, HOUR_MS = 3600000, GAP_WEEKS = 4, FULL_LOOKS = 256, KEYS_MAX = 64, NULL_HOURS = 24, EARLY = 200 };

const char *const baseline_kinds[BASELINE_KINDS] = {"spike", "drop", "silence", "nulls", "new_event"};

struct name {
  char source[BASELINE_NAME_MAX + 1], event[BASELINE_NAME_MAX + 1];
};

struct field_tally {
  uint64_t hash;
  uint32_t present;
  char name[BASELINE_NAME_MAX + 1];
};

struct tally {
  struct name name;
  uint64_t whole; // hash of its source as a whole
  uint32_t events, looked;
  int64_t first_ms, last_ms;
  uint32_t fields;
  struct field_tally field[BASELINE_FIELDS_MAX];
};

struct lane {
  pthread_mutex_t lock;
  uint64_t hash[BASELINE_SERIES_MAX];
  struct tally *tally;
  uint32_t count, cap;
  uint64_t untracked;
};

struct level { // weighted mean and variance
  double mean, variance;
  uint32_t seen;
};

struct null_field {
  struct field_tally at; // present: in this hour
  uint64_t looked;       // events of this hour that were looked at since it is known
  struct level share;
};

// Plain data: it is saved as it is.
struct series {
  uint64_t hash;
  struct name name;
  int64_t first_ms, last_ms, hour;
  uint64_t events; // in this hour
  uint64_t all_events;
  uint32_t is_whole_hour, fields;
  struct null_field field[BASELINE_FIELDS_MAX];
  struct level recent, of_week[HOURS];
  int64_t gap_ms[GAP_WEEKS], week;
  uint64_t gaps;
  uint32_t is_now[BASELINE_KINDS];
  uint64_t total[BASELINE_KINDS];
};

struct baselines {
  pthread_mutex_t lock; // of what is below; taken before a lane's
  struct series *series;
  uint32_t count;
  uint64_t untracked;
  unsigned new_said; // in this turn
  int64_t blind_ms;  // nothing was seen before: the first turn
  struct lane lane[BASELINE_LANES_MAX];
};

struct baselines *baselines_new(void) {
  struct baselines *b = xcalloc(1, sizeof *b);
  pthread_mutex_init(&b->lock, NULL);
  b->series = xcalloc(BASELINE_SERIES_MAX, sizeof *b->series);
  b->blind_ms = INT64_MIN;
  for (unsigned i = 0; i < BASELINE_LANES_MAX; i++) pthread_mutex_init(&b->lane[i].lock, NULL);
  return b;
}

void baselines_free(struct baselines *b) {
  if (!b) return;
  for (unsigned i = 0; i < BASELINE_LANES_MAX; i++) {
    pthread_mutex_destroy(&b->lane[i].lock);
    free(b->lane[i].tally);
  }
  pthread_mutex_destroy(&b->lock);
  free(b->series);
  free(b);
}

// ---- counting ----

static void copy_name(char out[BASELINE_NAME_MAX + 1], struct bytes text) {
  size_t n = text.n < BASELINE_NAME_MAX ? text.n : BASELINE_NAME_MAX;
  while (n && n < text.n && (text.p[n] & 0xc0) == 0x80) n--; // no half a character
  if (n) memcpy(out, text.p, n);
  out[n] = 0;
  for (size_t i = 0; i < n; i++)
    if ((uint8_t)out[i] < 0x20) out[i] = '?';
}

// Names of properties are shown in the log: one that may be data (an address as a key) is not tracked.
static bool is_plain(struct bytes key) {
  for (size_t i = 0; i < key.n; i++) {
    uint8_t c = key.p[i];
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!is_letter && !(i && c >= '0' && c <= '9')) return false;
  }
  return key.n > 0 && key.n <= BASELINE_NAME_MAX;
}

static struct bytes source_of(const struct event *e) {
  struct bytes source;
  if (e->context.n && mp_find(e->context, BYTES_LIT("source"), &source) && mp_as_str(source, &source) && source.n)
    return source;
  return e->channel.n ? e->channel : BYTES_LIT("(none)");
}

static struct tally *tally_of(struct lane *lane, uint64_t hash) {
  for (uint32_t i = 0; i < lane->count; i++)
    if (lane->hash[i] == hash) return &lane->tally[i];
  if (lane->count == BASELINE_SERIES_MAX) return NULL;
  if (lane->count == lane->cap) {
    lane->cap = lane->cap ? 2 * lane->cap : 8;
    lane->tally = xrealloc(lane->tally, lane->cap * sizeof *lane->tally);
  }
  lane->hash[lane->count] = hash;
  lane->tally[lane->count] = (struct tally){0};
  return &lane->tally[lane->count++];
}

static void count_fields(struct tally *t, struct bytes properties) {
  t->looked++;
  if (!properties.n) return;
  struct mp m = mp_of(properties);
  uint32_t pairs = mp_next(&m).count;
  for (uint32_t i = 0; i < pairs && i < KEYS_MAX; i++) {
    struct bytes key = mp_take(&m), value = mp_take(&m);
    uint32_t f = 0;
    if (!mp_as_str(key, &key) || !is_plain(key) || mp_value_of(value).type == MP_NIL) continue;
    uint64_t hash = hash64(key);
    while (f < t->fields && t->field[f].hash != hash) f++;
    if (f == BASELINE_FIELDS_MAX) continue;
    if (f == t->fields) {
      t->field[t->fields++] = (struct field_tally){.hash = hash};
      copy_name(t->field[f].name, key);
    }
    if (t->field[f].present < t->looked) t->field[f].present++; // a key that is there twice counts once, or nearly
  }
}

void baselines_count(struct baselines *b, unsigned at, const struct event *e, int64_t received_ms) {
  struct bytes source = source_of(e);
  // Of a page the name is what somebody looked at.
  struct bytes name = e->type == EVENT_TRACK && e->name.n ? e->name : bytes_str(event_type_name(e->type));
  uint64_t whole = hash64(source), hash = hash_mix(whole, hash64(name));
  struct lane *lane = &b->lane[at % BASELINE_LANES_MAX];
  pthread_mutex_lock(&lane->lock);
  struct tally *t = tally_of(lane, hash);
  if (!t) {
    lane->untracked++;
  } else {
    if (!t->name.event[0]) {
      copy_name(t->name.source, source);
      copy_name(t->name.event, name);
      t->whole = whole;
    }
    if (t->events++ == 0) t->first_ms = received_ms;
    t->last_ms = received_ms;
    // Under load a share of the events shows nulls as well.
    if (t->looked < FULL_LOOKS || t->events % 8 == 0) count_fields(t, e->properties);
  }
  pthread_mutex_unlock(&lane->lock);
}

// ---- what is usual ----

static void learn(struct level *l, double x, uint32_t memory) {
  l->seen += l->seen < memory;
  double part = 1 / (double)l->seen, off = x - l->mean;
  l->mean += part * off;
  l->variance = (1 - part) * (l->variance + part * off * off);
}

static const struct level *usual(const struct series *s, int64_t now_ms) {
  const struct level *l = &s->of_week[(size_t)(((s->hour % HOURS) + HOURS) % HOURS)];
  if (s->first_ms > now_ms - BASELINE_LEARN_MS || s->recent.seen < NULL_HOURS) return NULL;
  return l->seen >= BASELINE_WEEKS ? l : &s->recent;
}

// One in twenty more or less is nobody's anomaly, however large the numbers.
static double deviation(const struct level *l) {
  double variance = l->variance > l->mean ? l->variance : l->mean;
  return sqrt(variance * (1 + 1 / (double)l->seen) + 1 + 0.0025 * l->mean * l->mean);
}

// ---- anomalies ----

static void begin(struct series *s, enum baseline_kind kind, const char *what) {
  if (s->is_now[kind]) return;
  char source[2 * BASELINE_NAME_MAX + 8];
  snprintf(source, sizeof source, "%s", log_quote(s->name.source));
  s->is_now[kind] = kind != BASELINE_NEW_EVENT;
  s->total[kind]++;
  char event[2 * BASELINE_NAME_MAX + 8];
  snprintf(event, sizeof event, "%s", log_quote(s->name.event));
  log_line(LOG_WARN, "baseline", "kind=%s source=%s event=%s what=%s", baseline_kinds[kind], source, event,
           log_quote(what));
}

static void end(struct series *s, enum baseline_kind kind) {
  if (!s->is_now[kind]) return;
  char source[2 * BASELINE_NAME_MAX + 8];
  snprintf(source, sizeof source, "%s", log_quote(s->name.source));
  s->is_now[kind] = 0;
  log_line(LOG_INFO, "baseline_usual", "kind=%s source=%s event=%s", baseline_kinds[kind], source,
           log_quote(s->name.event));
}

static void judge_volume(struct series *s, int64_t now_ms, bool is_over) {
  const struct level *l = usual(s, now_ms);
  if (!l) return;
  char what[160];
  double n = (double)s->events, far = BASELINE_SIGMA * deviation(l);
  snprintf(what, sizeof what, "%llu events in an hour, %.1f are usual", (unsigned long long)s->events, l->mean);
  if (n > l->mean + far)
    begin(s, BASELINE_SPIKE, what);
  else if (is_over)
    end(s, BASELINE_SPIKE);
  if (is_over && s->is_whole_hour && n < l->mean - far)
    begin(s, BASELINE_DROP, what);
  else if (is_over && s->is_whole_hour)
    end(s, BASELINE_DROP);
}

static double share_bound(const struct null_field *f) {
  const struct level *l = &f->share;
  double n = (double)f->looked, least = (l->mean * (1 - l->mean) + 1 / n) / n;
  double variance = l->variance > least ? l->variance : least;
  return l->mean + BASELINE_SIGMA * sqrt(variance * (1 + 1 / (double)l->seen));
}

static void judge_nulls(struct series *s, bool is_over) {
  char what[200];
  bool is_off = false, is_judged = false;
  for (uint32_t i = 0; i < s->fields; i++) {
    struct null_field *f = &s->field[i];
    if (f->looked < (is_over ? BASELINE_NULLS_LEAST : EARLY)) continue;
    double share = 1 - (double)f->at.present / (double)f->looked;
    if (f->share.seen >= NULL_HOURS) {
      double bound = share_bound(f);
      is_judged = true;
      if (share > bound) {
        is_off = true;
        snprintf(what, sizeof what, "%.0f of 100 events lack properties.%s, %.1f are usual", 100 * share, f->at.name,
                 100 * f->share.mean);
        begin(s, BASELINE_NULLS, what);
        share = bound > 1 ? 1 : bound;
      }
    }
    if (is_over) learn(&f->share, share, HOURS);
  }
  if (is_over && is_judged && !is_off) end(s, BASELINE_NULLS);
}

static void judge_silence(struct series *s, int64_t now_ms, int64_t blind_ms) {
  int64_t longest = 0, since = s->last_ms > blind_ms ? s->last_ms : blind_ms;
  char what[120];
  for (int i = 0; i < GAP_WEEKS; i++)
    if (s->gap_ms[i] > longest) longest = s->gap_ms[i];
  int64_t bound = SILENCE_FACTOR * longest > SILENCE_LEAST_MS ? SILENCE_FACTOR * longest : SILENCE_LEAST_MS;
  if (s->name.event[0] || s->gaps < SILENCE_GAPS_LEAST || s->first_ms > now_ms - BASELINE_LEARN_MS) return;
  if (now_ms - since <= bound) return;
  snprintf(what, sizeof what, "no event for %lld minutes; its longest gap was %lld",
           (long long)((now_ms - since) / 60000), (long long)(longest / 60000));
  begin(s, BASELINE_SILENCE, what);
}

// ---- hours ----

static void begin_hour(struct series *s, int64_t hour, bool is_whole) {
  s->hour = hour;
  s->is_whole_hour = is_whole;
  s->events = 0;
  for (uint32_t i = 0; i < s->fields; i++) s->field[i].looked = s->field[i].at.present = 0;
}

static void end_hour(struct series *s, int64_t now_ms) {
  judge_volume(s, now_ms, true);
  judge_nulls(s, true);
  if (!s->is_whole_hour) return;
  const struct level *l = usual(s, now_ms);
  double n = (double)s->events;
  if (l) {
    double far = BASELINE_SIGMA * deviation(l);
    n = n > l->mean + far ? l->mean + far : n < l->mean - far ? l->mean - far : n;
  }
  learn(&s->of_week[(size_t)(((s->hour % HOURS) + HOURS) % HOURS)], n, 8);
  learn(&s->recent, n, HOURS);
}

static void turn_hour(struct series *s, int64_t now_ms) {
  int64_t hour = now_ms / HOUR_MS, week = hour / HOURS;
  if (hour == s->hour + 1) end_hour(s, now_ms);
  // An hour that was not seen, or a clock that was set.
  if (hour != s->hour) begin_hour(s, hour, hour == s->hour + 1);
  if (week == s->week) return;
  s->week = week;
  s->gap_ms[(size_t)(((week % GAP_WEEKS) + GAP_WEEKS) % GAP_WEEKS)] = 0;
}

// ---- taking what lanes counted ----

static struct series *find(struct baselines *b, uint64_t hash) {
  for (uint32_t i = 0; i < b->count; i++)
    if (b->series[i].hash == hash) return &b->series[i];
  return NULL;
}

// A place for a new series; NULL: all have their use.
static struct series *place(struct baselines *b) {
  struct series *least = &b->series[0];
  if (b->count < BASELINE_SERIES_MAX) return &b->series[b->count++];
  for (uint32_t i = 1; i < b->count; i++)
    if (b->series[i].all_events < least->all_events) least = &b->series[i];
  return least->all_events < BASELINE_NULLS_LEAST ? least : NULL;
}

static void add_new(struct baselines *b, struct series *s) {
  if (b->new_said++ < BASELINE_NEW_SAID)
    begin(s, BASELINE_NEW_EVENT, "the source never sent events of this name");
  else
    s->total[BASELINE_NEW_EVENT]++;
}

static struct series *series_of(struct baselines *b, uint64_t hash, const struct tally *t, bool is_source,
                                int64_t now_ms) {
  struct series *s = find(b, hash);
  if (s) return s;
  s = place(b);
  if (!s) return NULL;
  *s = (struct series){.hash = hash, .name = t->name, .first_ms = now_ms, .last_ms = t->first_ms};
  if (is_source) s->name.event[0] = 0;
  s->week = now_ms / HOUR_MS / HOURS;
  begin_hour(s, now_ms / HOUR_MS, false);
  const struct series *source = is_source ? NULL : find(b, t->whole);
  if (source && source->first_ms <= now_ms - BASELINE_LEARN_MS) add_new(b, s);
  return s;
}

static void add_gap(struct series *s, const struct tally *t, int64_t blind_ms) {
  int64_t gap = t->first_ms - s->last_ms;
  int64_t *longest = &s->gap_ms[(size_t)(((s->week % GAP_WEEKS) + GAP_WEEKS) % GAP_WEEKS)];
  if (s->all_events && s->last_ms >= blind_ms && gap > *longest) *longest = gap;
  s->gaps += t->events;
  if (t->last_ms > s->last_ms) s->last_ms = t->last_ms;
  end(s, BASELINE_SILENCE);
}

static void add_fields(struct series *s, const struct tally *t) {
  uint32_t known = s->fields;
  for (uint32_t i = 0; i < known; i++) s->field[i].looked += t->looked;
  for (uint32_t i = 0; i < t->fields; i++) {
    uint32_t f = 0;
    while (f < s->fields && s->field[f].at.hash != t->field[i].hash) f++;
    if (f < known) s->field[f].at.present += t->field[i].present;
    if (f == s->fields && f < BASELINE_FIELDS_MAX) { // counted from the next turn on
      s->field[s->fields++] = (struct null_field){.at = t->field[i]};
      s->field[f].at.present = 0;
    }
  }
}

static void take(struct baselines *b, uint64_t hash, const struct tally *t, int64_t now_ms) {
  struct series *whole = series_of(b, t->whole, t, true, now_ms);
  if (whole) {
    add_gap(whole, t, b->blind_ms);
    whole->events += t->events;
    whole->all_events += t->events;
  }
  struct series *s = series_of(b, hash, t, false, now_ms); // it may take the place of `whole`
  if (!s || !whole) b->untracked += t->events;
  if (!s) return;
  add_gap(s, t, b->blind_ms);
  s->events += t->events;
  s->all_events += t->events;
  add_fields(s, t);
}

static void drain(struct baselines *b, struct lane *lane, int64_t now_ms) {
  pthread_mutex_lock(&lane->lock);
  for (uint32_t i = 0; i < lane->count; i++) take(b, lane->hash[i], &lane->tally[i], now_ms);
  b->untracked += lane->untracked;
  lane->untracked = 0;
  lane->count = 0;
  pthread_mutex_unlock(&lane->lock);
}

void baselines_turn(struct baselines *b, int64_t now_ms) {
  pthread_mutex_lock(&b->lock);
  if (b->blind_ms == INT64_MIN) b->blind_ms = now_ms;
  b->new_said = 0;
  for (uint32_t i = 0; i < b->count; i++) turn_hour(&b->series[i], now_ms);
  for (unsigned i = 0; i < BASELINE_LANES_MAX; i++) drain(b, &b->lane[i], now_ms);
  for (uint32_t i = 0; i < b->count; i++) {
    judge_volume(&b->series[i], now_ms, false);
    judge_nulls(&b->series[i], false);
    judge_silence(&b->series[i], now_ms, b->blind_ms);
  }
  pthread_mutex_unlock(&b->lock);
}

// ---- looking ----

void baselines_visit(struct baselines *b, int64_t now_ms, baseline_visit visit, void *context) {
  pthread_mutex_lock(&b->lock);
  for (uint32_t i = 0; i < b->count; i++) {
    const struct series *s = &b->series[i];
    const struct level *l = usual(s, now_ms);
    struct baseline_stats stats = {.source = s->name.source,
                                   .event = s->name.event,
                                   .first_ms = s->first_ms,
                                   .last_ms = s->last_ms,
                                   .hour_events = s->events,
                                   .usual = l ? l->mean : -1,
                                   .deviation = l ? deviation(l) : 0};
    for (int k = 0; k < BASELINE_KINDS; k++) stats.is_now[k] = s->is_now[k] != 0, stats.total[k] = s->total[k];
    visit(context, &stats);
  }
  pthread_mutex_unlock(&b->lock);
}

uint64_t baselines_untracked(struct baselines *b) {
  pthread_mutex_lock(&b->lock);
  uint64_t n = b->untracked;
  pthread_mutex_unlock(&b->lock);
  return n;
}

// ---- over a restart ----

struct saved_head {
  char what[8];
  uint64_t hash, size, count;
};

void baselines_save(struct baselines *b, struct buf *out) {
  pthread_mutex_lock(&b->lock);
  struct saved_head head = {.what = "baselin1", .size = sizeof *b->series, .count = b->count};
  struct bytes all = bytes_of((const uint8_t *)b->series, b->count * sizeof *b->series);
  head.hash = hash64(all);
  buf_append(out, &head, sizeof head);
  buf_append_bytes(out, all);
  pthread_mutex_unlock(&b->lock);
}

int baselines_load(struct baselines *b, struct bytes bytes, struct error *err) {
  struct saved_head head;
  bool is_good = bytes.n >= sizeof head;
  if (is_good) memcpy(&head, bytes.p, sizeof head);
  is_good = is_good && memcmp(head.what, "baselin1", 8) == 0 && head.size == sizeof *b->series &&
            head.count <= BASELINE_SERIES_MAX && bytes.n == sizeof head + head.count * head.size &&
            head.hash == hash64(bytes_of(bytes.p + sizeof head, bytes.n - sizeof head));
  if (!is_good)
    return error_set(err, ITD_ECORRUPT, "no baselines of this version, or damaged: what is usual is learned anew");
  pthread_mutex_lock(&b->lock);
  if (head.count) memcpy(b->series, bytes.p + sizeof head, head.count * head.size);
  b->count = (uint32_t)head.count;
  for (uint32_t i = 0; i < b->count; i++) b->series[i].is_whole_hour = 0;
  pthread_mutex_unlock(&b->lock);
  return 0;
}
