// Random declarations and random streams, with late, repeated and future events, against an oracle that computes each
// value anew from all events, by the definitions in docs/features.md and with nothing of the layer's code. SEED repeats
// a run.
#include "support.h"
#include <time.h>

// ---- randomness ----
static uint64_t rng;
static uint64_t next(void) { return rng = hash_mix(rng, 0x5eed); }
static int64_t below(int64_t n) { return (int64_t)(next() % (uint64_t)n); }
static bool one_in(int64_t n) { return below(n) == 0; }
// Spread over the orders of magnitude, so that milliseconds and months both happen.
static int64_t some_time(int64_t most) {
  int64_t n = 1;
  while (n < most && !one_in(6)) n *= 4;
  return below(n < most ? n : most);
}

// ---- events ----
enum kind { ABSENT, NIL, BOOL, INT, FLOAT, TEXT, NOT_A_NUMBER, LIST };
struct val {
  enum kind kind;
  double number;
  const char *text;
};
#define PROPS 3
struct ev {
  enum event_type type;
  const char *name, *channel, *timezone; // "" when none
  struct val prop[PROPS];
  int64_t time, now;
};

static const char *const names[] = {"", "A", "B", "Pricing Viewed", "C"};
static const char *const channels[] = {"", "web", "crm", "email"};
static const char *const texts[] = {"", "x", "X", "/p/1", "/p/2", "a@x.com", "b@X.com", "c@y.org", "@", "1"};
static const char *const timezones[] = {
    "", "", "Europe/Amsterdam", "America/New_York", "Australia/Sydney", "Mars/Olympus"};
#define PICK(list) (list)[below(sizeof(list) / sizeof *(list))]

static struct val some_val(void) {
  struct val v = {.kind = (enum kind)below(LIST + 1)};
  if (one_in(2)) v.kind = INT;
  if (v.kind == BOOL) v.number = (double)below(2);
  if (v.kind == INT) v.number = (double)(below(7) - 3);
  if (v.kind == FLOAT) v.number = (double)(below(25) - 12) / 4; // quarters add up exactly
  if (v.kind == TEXT) v.text = PICK(texts);
  return v;
}

static struct ev some_event(int64_t *now) {
  if (!one_in(3)) *now += some_time(40 * DAY);
  struct ev e = {.type = (enum event_type)below(EVENT_TYPES), .channel = PICK(channels), .now = *now, .time = *now};
  e.timezone = PICK(timezones);
  e.name = e.type == EVENT_TRACK ? PICK(names) : "";
  if (one_in(3)) e.type = EVENT_TRACK, e.name = "A";
  for (int i = 0; i < PROPS; i++) e.prop[i] = some_val();
  if (one_in(2)) e.time -= some_time(100 * DAY);
  if (one_in(10)) e.time += some_time(DAY);
  return e;
}

static void put_val(struct buf *b, struct val v) {
  switch (v.kind) {
  case BOOL: mp_put_bool(b, v.number != 0); break;
  case INT: mp_put_int(b, (int64_t)v.number); break;
  case FLOAT: mp_put_float(b, v.number); break;
  case TEXT: mp_put_cstr(b, v.text); break;
  case NOT_A_NUMBER: mp_put_float(b, NAN); break;
  case LIST: mp_put_array(b, 0); break;
  default: mp_put_nil(b);
  }
}

static size_t fold(const struct feature_set *set, uint8_t *state, const struct ev *e, int64_t now) {
  struct buf b;
  uint32_t pairs = 0;
  buf_init(&b);
  for (int i = 0; i < PROPS; i++) pairs += e->prop[i].kind != ABSENT;
  mp_put_map(&b, pairs);
  for (int i = 0; i < PROPS; i++) {
    char key[16];
    snprintf(key, sizeof key, "p%d", i);
    if (e->prop[i].kind != ABSENT) mp_put_cstr(&b, key), put_val(&b, e->prop[i]);
  }
  struct buf context;
  buf_init(&context);
  mp_put_map(&context, *e->timezone ? 1 : 0);
  if (*e->timezone) mp_put_cstr(&context, "timezone"), mp_put_cstr(&context, e->timezone);
  struct event event = {.type = e->type,
                        .context = buf_bytes(&context),
                        .name = bytes_str(e->name),
                        .channel = bytes_str(e->channel),
                        .properties = buf_bytes(&b),
                        .timestamp_ms = e->time};
  size_t touched = feature_fold(set, state, &event, now);
  buf_deinit(&b), buf_deinit(&context);
  return touched;
}

// ---- declarations ----
enum cond { IS_TEXT, IS_NUMBER, EXISTS, LACKS, AT_LEAST, UNDER, STARTS };
struct alt {
  int type; // -1: any
  const char *name, *channel;
};
struct spec {
  const char *op;
  int alts, conds, of;
  struct alt alt[3];
  struct {
    enum cond cond;
    int prop;
    double number;
    const char *text;
  } cond[2];
  const char *source, *part; // distinct, most_common: "channel", "event" or "" (a property)
  bool text;
  int64_t window, tile, half_life, gap;
  int limit, zone, calendar; // zone: minutes, or one of the PLACES; calendar 0: none
  bool session;              // window
  int shape, steps;          // decay
  int64_t over, age[3];
  double weight[3];
  const char *stat;
  double q, accuracy; // quantile; accuracy 0: not said
};

static const char *const ops[] = {"count",       "sum",         "mean",        "min",      "max",
                                  "first",       "last",        "distinct",    "recency",  "decay",
                                  "velocity",    "sessions",    "streak",      "flag",     "gap",
                                  "variance",    "stddev",      "most_common", "quantile", "session_length",
                                  "active_days", "time_of_day", "weekday"};
#define OPS (sizeof ops / sizeof *ops)
static bool is(const struct spec *s, const char *op) { return strcmp(s->op, op) == 0; }
static bool is_spread(const struct spec *s) { return is(s, "variance") || is(s, "stddev"); }
static bool takes_window(const struct spec *s) {
  return is(s, "count") || is(s, "sum") || is(s, "mean") || is(s, "flag") || is(s, "min") || is(s, "max") ||
         is_spread(s);
}
static bool by_runs(const struct spec *s) { return s->session || is(s, "sessions") || is(s, "session_length"); }
static bool by_clock(const struct spec *s) { return is(s, "time_of_day") || is(s, "weekday"); }
static bool takes_zone(const struct spec *s) {
  return s->calendar || by_clock(s) || is(s, "streak") || is(s, "active_days");
}
static bool takes_of(const struct spec *s) {
  return is(s, "sum") || is(s, "mean") || is_spread(s) || is(s, "min") || is(s, "max") || is(s, "first") ||
         is(s, "last") || is(s, "distinct") || is(s, "most_common") || is(s, "quantile");
}

// Places whose clocks the oracle knows by heart; numbers that are no minutes.
enum { AMSTERDAM = 10000, NEW_YORK, SYDNEY };
static const char *const places[] = {"Europe/Amsterdam", "America/New_York", "Australia/Sydney"};
static const char *const calendars[] = {"", "today", "this_week", "this_month", "this_quarter", "this_year"};

static void some_decay(struct spec *s) {
  s->shape = (int)below(3);
  if (s->shape == 1) {
    int64_t tiles = 1 + below(31);
    s->over = 10 * SECOND + some_time(40 * DAY);
    if (one_in(2)) s->tile = (s->over + tiles - 1) / tiles;
    if (s->tile < SECOND) s->tile = 0;
  }
  if (s->shape != 2) return;
  s->steps = 1 + (int)below(3);
  for (int i = 0; i < s->steps; i++) {
    s->age[i] = i ? s->age[i - 1] + SECOND + below(2 * s->age[i - 1]) : 40 * SECOND + some_time(20 * DAY);
    s->weight[i] = (double)below(9) / 4;
  }
  if (one_in(2)) s->tile = (s->age[s->steps - 1] + 15) / (16 + below(17)) + 1;
}

static void some_more(struct spec *s) {
  static const char *const stats[] = {"last", "mean", "max", "total"}, *const sources[] = {"", "", "channel", "event"};
  static const double qs[] = {0, 0.25, 0.5, 0.9, 1}, accuracies[] = {0, 0.01, 0.2};
  if (is(s, "decay")) some_decay(s);
  if (is(s, "gap")) s->stat = stats[below(2)];
  if (is(s, "session_length")) s->stat = stats[below(4)];
  if (is(s, "quantile"))
    s->q = PICK(qs), s->accuracy = PICK(accuracies), s->limit = one_in(2) ? 0 : 16 + (int)below(120);
  if (is(s, "most_common")) {
    s->source = PICK(sources), s->text = *s->source || one_in(2);
    s->limit = one_in(2) ? 0 : 4 + (int)below(40);
  }
  if ((is(s, "count") || is(s, "sum")) && one_in(4)) s->session = true, s->window = s->tile = s->calendar = 0;
  if (is(s, "active_days")) {
    if (one_in(3))
      s->calendar = 1 + (int)below(5);
    else
      s->window = DAY * (1 + below(400));
  }
}

static struct spec some_spec(size_t i) {
  static const char *const sources[] = {"", "", "channel", "event"}, *const parts[] = {"", "lower", "domain"};
  struct spec s = {.op = ops[i % OPS], .source = "", .part = "", .of = -1};
  s.alts = (int)below(4);
  for (int k = 0; k < s.alts; k++) {
    s.alt[k] = (struct alt){.type = (int)below(EVENT_TYPES + 3) - 3, .name = PICK(names), .channel = PICK(channels)};
    if (s.alt[k].type < 0) s.alt[k].type = -1;
    if (s.alt[k].type < 0 && !*s.alt[k].name && !*s.alt[k].channel) s.alt[k].name = "A";
  }
  s.conds = one_in(2) ? (int)below(3) : 0;
  for (int k = 0; k < s.conds; k++) {
    s.cond[k].cond = (enum cond)below(STARTS + 1);
    s.cond[k].prop = (int)below(PROPS);
    s.cond[k].number = (double)(below(13) - 6) / 2;
    s.cond[k].text = texts[1 + below(9)];
  }
  if (takes_of(&s) || (is(&s, "decay") && one_in(2))) s.of = (int)below(PROPS);
  if (is(&s, "distinct")) s.source = PICK(sources), s.limit = 4 + (int)below(12);
  if (is(&s, "first") || is(&s, "last")) s.text = one_in(2);
  if (is(&s, "velocity") || (takes_window(&s) && !one_in(3))) {
    s.window = SECOND * (1 + some_time(40 * DAY) / SECOND);
    int64_t tiles = 1 + below(32);
    if (one_in(2)) s.tile = (s.window + tiles - 1) / tiles;
    if (s.tile < SECOND) s.tile = 0;
  }
  s.half_life = SECOND + some_time(30 * DAY);
  s.gap = SECOND + some_time(2 * DAY);
  s.zone = one_in(2) ? (int)below(1561) - 720 : AMSTERDAM + (int)below(3);
  if (s.window && one_in(3)) s.window = s.tile = 0, s.calendar = 1 + (int)below(5);
  some_more(&s);
  if ((is(&s, "distinct") || s.text) && !*s.source) s.part = PICK(parts);
  return s;
}

static void print_spec(struct buf *b, const struct spec *s, size_t i) {
  buf_printf(b, "%s{'name': 'f%zu', 'op': '%s'", i ? ", " : "", i, s->op);
  for (int k = 0; k < s->alts; k++) {
    buf_append_str(b, k == 0 ? ", 'on': [{" : ", {");
    const char *comma = "";
    if (s->alt[k].type >= 0)
      buf_printf(b, "'type': '%s'", event_type_name((enum event_type)s->alt[k].type)), comma = ",";
    if (*s->alt[k].name) buf_printf(b, "%s'event': '%s'", comma, s->alt[k].name), comma = ",";
    if (*s->alt[k].channel) buf_printf(b, "%s'channel': '%s'", comma, s->alt[k].channel);
    buf_append_str(b, k + 1 == s->alts ? "}]" : "}");
  }
  for (int k = 0; k < s->conds; k++) {
    char test[64];
    enum cond c = s->cond[k].cond;
    static const char *const tests[] = {"is", "is", "exists", "exists", "at_least", "under", "starts_with"};
    if (c == IS_TEXT || c == STARTS)
      snprintf(test, sizeof test, "'%s'", s->cond[k].text);
    else if (c == EXISTS || c == LACKS)
      snprintf(test, sizeof test, "%s", c == EXISTS ? "true" : "false");
    else
      snprintf(test, sizeof test, "%g", s->cond[k].number);
    buf_printf(b, "%s{'path': 'properties.p%d', '%s': %s}%s", k ? ", " : ", 'where': [", s->cond[k].prop, tests[c],
               test, k + 1 == s->conds ? "]" : "");
  }
  if (*s->source)
    buf_printf(b, ", 'of': '%s'", s->source);
  else if (s->of >= 0)
    buf_printf(b, ", 'of': 'properties.p%d'", s->of);
  if (*s->part) buf_printf(b, ", 'part': '%s'", s->part);
  if (s->text && !*s->part) buf_append_str(b, ", 'text': true");
  if (s->limit) buf_printf(b, ", 'limit': %d", s->limit);
  if (s->window) buf_printf(b, ", 'window': '%" PRId64 "ms'", s->window);
  if (s->tile) buf_printf(b, ", 'tile': '%" PRId64 "ms'", s->tile);
  if (is(s, "decay") && !s->shape) buf_printf(b, ", 'half_life': '%" PRId64 "ms'", s->half_life);
  if (s->shape == 1) buf_printf(b, ", 'shape': 'linear', 'over': '%" PRId64 "ms'", s->over);
  if (s->shape == 2) buf_append_str(b, ", 'shape': 'step', 'steps': [");
  for (int k = 0; k < s->steps; k++)
    buf_printf(b, "%s{'age': '%" PRId64 "ms', 'weight': %g}%s", k ? ", " : "", s->age[k], s->weight[k],
               k + 1 == s->steps ? "]" : "");
  if (s->stat) buf_printf(b, ", 'stat': '%s'", s->stat);
  if (is(s, "quantile")) buf_printf(b, ", 'q': %g", s->q);
  if (s->accuracy > 0) buf_printf(b, ", 'accuracy': %g", s->accuracy);
  if (s->session) buf_append_str(b, ", 'window': 'session'");
  if (by_runs(s)) buf_printf(b, ", 'session_gap': '%" PRId64 "ms'", s->gap);
  if (s->calendar) buf_printf(b, ", 'window': '%s'", calendars[s->calendar]);
  if (takes_zone(s) && s->zone < AMSTERDAM) buf_printf(b, ", 'zone': %d", s->zone);
  if (takes_zone(s) && s->zone >= AMSTERDAM) buf_printf(b, ", 'zone': '%s'", places[s->zone - AMSTERDAM]);
  buf_append_str(b, "}");
}

static struct feature_set *compile_specs(const struct spec *specs, size_t count) {
  struct buf b;
  buf_init(&b);
  buf_append_str(&b, "[");
  for (size_t i = 0; i < count; i++) print_spec(&b, &specs[i], i);
  buf_append(&b, "]", 2); // with its NUL
  struct feature_set *set = compile((const char *)b.p);
  buf_deinit(&b);
  return set;
}

// ---- the oracle ----
static bool meets_on(const struct spec *s, const struct ev *e) {
  for (int k = 0; k < s->alts; k++) {
    const struct alt *a = &s->alt[k];
    if (a->type >= 0 && a->type != (int)e->type) continue;
    if (*a->name && strcmp(a->name, e->name) != 0) continue;
    if (*a->channel && strcmp(a->channel, e->channel) != 0) continue;
    return true;
  }
  return s->alts == 0;
}

static bool is_number(struct val v) { return v.kind == BOOL || v.kind == INT || v.kind == FLOAT; }

static bool meets_where(const struct spec *s, const struct ev *e) {
  for (int k = 0; k < s->conds; k++) {
    struct val v = e->prop[s->cond[k].prop];
    bool there = v.kind != ABSENT && v.kind != NIL, ok = false;
    switch (s->cond[k].cond) {
    case IS_TEXT: ok = v.kind == TEXT && strcmp(v.text, s->cond[k].text) == 0; break;
    case IS_NUMBER: ok = (v.kind == INT || v.kind == FLOAT) && v.number == s->cond[k].number; break;
    case EXISTS: ok = there; break;
    case LACKS: ok = !there; break;
    case AT_LEAST: ok = is_number(v) && v.number >= s->cond[k].number; break;
    case UNDER: ok = is_number(v) && v.number < s->cond[k].number; break;
    case STARTS: ok = v.kind == TEXT && strncmp(v.text, s->cond[k].text, strlen(s->cond[k].text)) == 0; break;
    }
    if (!ok) return false;
  }
  return true;
}

static int64_t down(int64_t t, int64_t unit) { return (int64_t)floorl((long double)t / (long double)unit); }

// What is taken of the event: a number, or a text (also for distinct: kind and value as text). False: no match.
struct taken {
  double number;
  char text[64];
};
static int64_t clock_of(int zone, int64_t time);
static bool take(const struct spec *s, const struct ev *e, struct taken *out) {
  *out = (struct taken){.number = 1};
  if (by_clock(s)) {
    int zone = s->zone;
    for (int i = 0; i < 3; i++)
      if (strcmp(e->timezone, places[i]) == 0) zone = AMSTERDAM + i;
    int64_t shown = clock_of(zone, e->time < e->now ? e->time : e->now), day = down(shown, DAY);
    out->number = is(s, "weekday") ? (double)((day + 70000003) % 7 + 1) : (double)(shown - day * DAY) / (double)HOUR;
    return true;
  }
  if (*s->source) {
    const char *word = *s->source == 'c' ? e->channel : e->name;
    snprintf(out->text, sizeof out->text, "%s%s", is(s, "distinct") ? "text " : "", word);
    return *word;
  }
  if (s->of < 0) return true;
  struct val v = e->prop[s->of];
  char part[32] = "";
  if (v.kind == TEXT) {
    const char *from = v.text;
    if (strcmp(s->part, "domain") == 0) from = strchr(v.text, '@') ? strrchr(v.text, '@') + 1 : "";
    snprintf(part, sizeof part, "%s", from);
    for (char *c = part; *s->part && *c; c++) *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
  }
  if (s->text) {
    snprintf(out->text, sizeof out->text, "%s", part);
    return *part;
  }
  if (is(s, "distinct")) {
    if (*s->part || v.kind == TEXT) return snprintf(out->text, sizeof out->text, "text %s", part), *part;
    snprintf(out->text, sizeof out->text, "%s %.17g", v.kind == BOOL ? "bool" : "number", v.number);
    return is_number(v);
  }
  out->number = v.number;
  return is_number(v);
}

struct match {
  int64_t time;
  struct taken taken;
};
struct answer {
  double value, tolerance;
  char text[64];
  bool promised; // the documents promise this value for this stream
};

static int by_time(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// ---- clocks of places, by the C library's calendar ----
static struct tm utc(int64_t time) {
  time_t seconds = (time_t)down(time, SECOND);
  struct tm tm;
  gmtime_r(&seconds, &tm);
  return tm;
}
// A time of the `nth` Sunday (0: the last) of a month (0 to 11), in UTC hours from its midnight.
static int64_t sunday(int year, int month, int nth, int hours) {
  struct tm tm = {.tm_year = year, .tm_mon = nth ? month : month + 1, .tm_mday = nth ? 1 : 0};
  (void)timegm(&tm);
  while (tm.tm_wday != 0) tm.tm_mday += nth ? 1 : -1, (void)timegm(&tm);
  tm.tm_mday += nth > 1 ? 7 * (nth - 1) : 0;
  return (int64_t)timegm(&tm) * SECOND + hours * HOUR;
}
static int64_t clock_of(int zone, int64_t time) {
  int year = utc(time).tm_year;
  if (zone == AMSTERDAM) return time + (time >= sunday(year, 2, 0, 1) && time < sunday(year, 9, 0, 1) ? 2 : 1) * HOUR;
  if (zone == NEW_YORK) return time - (time >= sunday(year, 2, 2, 7) && time < sunday(year, 10, 1, 6) ? 4 : 5) * HOUR;
  if (zone == SYDNEY) return time + (time >= sunday(year, 3, 1, -8) && time < sunday(year, 9, 1, -8) ? 10 : 11) * HOUR;
  return time + zone * MINUTE;
}
static int64_t period_of(const struct spec *s, int64_t time) {
  int64_t local = clock_of(s->zone, time), day = down(local, DAY);
  struct tm tm = utc(local);
  switch (s->calendar) {
  case 1: return day;
  case 2: return (day - (tm.tm_wday + 6) % 7 + 3) / 7;
  case 3: return tm.tm_year * 12 + tm.tm_mon;
  case 4: return tm.tm_year * 4 + tm.tm_mon / 3;
  default: return tm.tm_year;
  }
}

static int64_t tile_number(const struct spec *s, int64_t tile, int64_t time) {
  return s->calendar ? period_of(s, time) : s->window ? down(time, tile) : 0;
}

static void ask_windowed(const struct spec *s, const struct match *m, size_t n, int64_t now, struct answer *a) {
  int64_t tile = s->tile;
  if (s->window && !tile) {
    tile = (int64_t)floor((double)s->window / 7000 + 0.5) * SECOND;
    if (tile < SECOND) tile = SECOND;
  }
  int64_t tiles = s->window ? (int64_t)ceil((double)s->window / (double)tile) : 1;
  double count = 0, sum = 0, before = 0, least = NAN, greatest = NAN;
  long double squares = 0; // of the distances from the mean
  for (size_t i = 0; i < n; i++) {
    int64_t age = tile_number(s, tile, now) - tile_number(s, tile, m[i].time);
    if (age < tiles)
      count++, sum += m[i].taken.number, least = fmin(least, m[i].taken.number),
                                         greatest = fmax(greatest, m[i].taken.number);
    else if (age < 2 * tiles)
      before++;
  }
  for (size_t i = 0; i < n; i++) {
    long double distance = (long double)m[i].taken.number - (long double)sum / (long double)count;
    if (tile_number(s, tile, now) - tile_number(s, tile, m[i].time) < tiles) squares += distance * distance;
  }
  if (is(s, "count"))
    a->value = count;
  else if (is(s, "min"))
    a->value = least;
  else if (is(s, "max"))
    a->value = greatest;
  else if (is_spread(s))
    a->value = count < 2 ? NAN : (double)(squares / (long double)(count - 1));
  else if (is(s, "flag"))
    a->value = count > 0;
  else if (is(s, "sum"))
    a->value = sum;
  else if (is(s, "mean"))
    a->value = count > 0 ? sum / count : NAN;
  else
    a->value = before > 0 ? count / before : count;
  if (is(s, "stddev")) a->value = sqrt(a->value);
  if (is_spread(s) && count > 1) a->tolerance = 1e-14 * (1 + a->value);
}

static void ask_runs(const struct spec *s, const struct match *m, size_t n, int64_t now, struct answer *a) {
  bool days = is(s, "streak");
  int64_t unit = days ? DAY : 1, newest = INT64_MIN;
  int64_t *t = xcalloc(n + 1, sizeof *t);
  for (size_t i = 0; i < n; i++) {
    t[i] = days ? down(clock_of(s->zone, m[i].time), DAY) : m[i].time;
    // How late an event may be: three gaps behind the newest, 63 days behind the newest day.
    if (newest != INT64_MIN && newest - t[i] > (unit == 1 ? 3 * s->gap : 63)) a->promised = false;
    if (t[i] > newest) newest = t[i];
  }
  qsort(t, n, sizeof *t, by_time);
  if (unit == 1) {
    for (size_t i = 0; i < n; i++) a->value += i == 0 || t[i] - t[i - 1] > s->gap;
  } else if (n > 0 && t[n - 1] >= down(clock_of(s->zone, now), DAY) - 1) {
    a->value = 1;
    for (size_t i = n - 1; i > 0 && t[i] - t[i - 1] <= 1; i--) a->value += t[i] - t[i - 1] == 1;
  }
  free(t);
}

static int by_match_time(const void *a, const void *b) {
  return by_time(&((const struct match *)a)->time, &((const struct match *)b)->time);
}

// Lengths of runs, or what count or sum make of the last one while it is open.
static void ask_sessions(const struct spec *s, struct match *m, size_t n, int64_t now, struct answer *a) {
  struct answer promise = {.promised = true};
  ask_runs(s, m, n, now, &promise);
  a->promised = promise.promised;
  qsort(m, n, sizeof *m, by_match_time);
  double runs = 0, total = 0, longest = 0, length = NAN, amount = 0;
  for (size_t i = 0, first = 0; i < n; i++) {
    if (i == first) runs++, amount = 0;
    amount += m[i].taken.number;
    if (i + 1 < n && m[i + 1].time - m[i].time <= s->gap) continue;
    length = (double)(m[i].time - m[first].time);
    total += length, longest = fmax(longest, length), first = i + 1;
  }
  if (s->session)
    a->value = n > 0 && now - m[n - 1].time <= s->gap ? amount : 0;
  else if (strcmp(s->stat, "total") == 0)
    a->value = total;
  else if (n == 0)
    a->value = NAN;
  else
    a->value = strcmp(s->stat, "mean") == 0 ? total / runs : strcmp(s->stat, "max") == 0 ? longest : length;
}

static void ask_days(const struct spec *s, const struct match *m, size_t n, int64_t now, struct answer *a) {
  int64_t today = down(clock_of(s->zone, now), DAY), *seen = xcalloc(n + 1, sizeof *seen);
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    int64_t day = down(clock_of(s->zone, m[i].time), DAY);
    bool in = s->calendar ? period_of(s, m[i].time) == period_of(s, now) : today - day < s->window / DAY;
    for (size_t k = 0; k < count; k++) in = in && seen[k] != day;
    if (in) seen[count++] = day;
  }
  free(seen);
  a->value = (double)count;
}

static void ask_common(const struct spec *s, const struct match *m, size_t n, struct answer *a) {
  size_t most = 0, values = 0;
  const struct taken *best = NULL;
  for (size_t i = 0; i < n; i++) {
    const struct taken *one = &m[i].taken;
    size_t count = 0;
    for (size_t k = 0; k < n; k++) {
      bool same = s->text ? strcmp(one->text, m[k].taken.text) == 0 : one->number == m[k].taken.number;
      if (same && k < i) count = n + 1; // counted before
      count += same;
    }
    if (count > n) continue;
    values++;
    int order = !best ? -1 : s->text ? strcmp(one->text, best->text) : one->number < best->number ? -1 : 1;
    if (count > most || (count == most && order < 0)) most = count, best = one;
  }
  a->promised = values <= (size_t)(s->limit ? s->limit : 8);
  a->value = best && !s->text ? best->number : NAN;
  if (best && s->text) snprintf(a->text, sizeof a->text, "%s", best->text);
}

static int by_number(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void ask_quantile(const struct spec *s, const struct match *m, size_t n, struct answer *a) {
  double *v = xcalloc(n + 1, sizeof *v), size = 0, accuracy = s->accuracy > 0 ? s->accuracy : 0.05;
  for (size_t i = 0; i < n; i++) v[i] = m[i].taken.number;
  qsort(v, n, sizeof *v, by_number);
  a->value = n == 0 ? NAN : v[(size_t)floor(s->q * (double)(n - 1))];
  for (size_t i = 0; i < n; i++)
    if ((v[i] < 0) == (a->value < 0)) size = fmax(size, fabs(v[i]));
  double bins = log(size / fabs(a->value)) / log((1 + accuracy) / (1 - accuracy));
  if (a->value != 0) a->promised = bins < (s->limit ? s->limit : 128) - 2;
  if (n > 0) a->tolerance = fabs(a->value) * accuracy * (1 + 1e-9);
  free(v);
}

// Of each match what it would weigh by its own age; tiles explain the rest.
static void ask_fading(const struct spec *s, const struct match *m, size_t n, int64_t now, struct answer *a) {
  int64_t tile = s->tile, last = s->steps ? s->age[s->steps - 1] : 0;
  if (!tile && s->shape == 1) tile = (int64_t)floor((double)s->over / 16000 + 0.5) * SECOND;
  if (!tile && s->shape == 2) tile = (last + 31999) / 32000 * SECOND;
  if (tile < SECOND) tile = SECOND;
  long double sum = 0;
  for (size_t i = 0; i < n; i++) {
    long double v = (long double)m[i].taken.number, age = (long double)(now - m[i].time), w = 0;
    if (s->shape == 1) {
      w = age < (long double)s->over ? 1 - age / (long double)s->over : 0;
      if (down(now - s->over, tile) == down(m[i].time, tile))
        a->tolerance += (double)(fabsl(v) * (long double)tile / (long double)s->over);
    } else {
      int64_t rounded = (down(now, tile) - down(m[i].time, tile)) * tile;
      for (int k = s->steps - 1; k >= 0; k--)
        if (rounded < s->age[k]) w = (long double)s->weight[k];
    }
    sum += v * w;
  }
  a->value = (double)sum;
  a->tolerance += 1e-11 * (double)(n + 1);
}

static void ask_distinct(const struct spec *s, const struct match *m, size_t n, struct answer *a) {
  for (size_t i = 0; i < n; i++) {
    size_t k = 0;
    while (k < i && strcmp(m[k].taken.text, m[i].taken.text) != 0) k++;
    a->value += k == i;
  }
  a->promised = a->value <= s->limit;
}

static void ask_times(const struct spec *s, const struct match *m, size_t n, int64_t now, struct answer *a) {
  size_t first = 0, last = 0;
  for (size_t i = 1; i < n; i++) {
    if (m[i].time < m[first].time) first = i;
    if (m[i].time > m[last].time ||
        (m[i].time == m[last].time && (!by_clock(s) || m[i].taken.number > m[last].taken.number)))
      last = i;
  }
  a->value = NAN;
  if (n == 0) return;
  const struct match *picked = is(s, "first") ? &m[first] : &m[last];
  if (s->text)
    snprintf(a->text, sizeof a->text, "%s", picked->taken.text);
  else if (is(s, "recency"))
    a->value = (double)(now - m[last].time);
  else if (!is(s, "gap"))
    a->value = picked->taken.number;
  if (!is(s, "gap")) return;
  if (strcmp(s->stat, "mean") == 0) {
    if (n > 1) a->value = (double)(m[last].time - m[first].time) / (double)(n - 1);
    return;
  }
  for (size_t i = 0; i < n; i++) // to the nearest of the others
    if (i != last && !(a->value <= (double)(m[last].time - m[i].time))) a->value = (double)(m[last].time - m[i].time);
}

static struct answer ask(const struct spec *s, const struct ev *events, size_t n, int64_t now) {
  struct match *m = xcalloc(n + 1, sizeof *m);
  struct answer a = {.promised = true};
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    const struct ev *e = &events[i];
    if (!meets_on(s, e) || !meets_where(s, e) || !take(s, e, &m[count].taken)) continue;
    m[count++].time = e->time < e->now ? e->time : e->now;
  }
  if (s->shape) {
    ask_fading(s, m, count, now, &a);
  } else if (s->session || is(s, "session_length")) {
    ask_sessions(s, m, count, now, &a);
  } else if (is(s, "active_days")) {
    ask_days(s, m, count, now, &a);
  } else if (is(s, "most_common")) {
    ask_common(s, m, count, &a);
  } else if (is(s, "quantile")) {
    ask_quantile(s, m, count, &a);
  } else if (is(s, "decay")) {
    long double sum = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
      long double w = exp2l(-(long double)(now - m[i].time) / (long double)s->half_life);
      sum += w * (long double)m[i].taken.number, size += w * fabsl((long double)m[i].taken.number);
    }
    a.value = (double)sum, a.tolerance = (double)size * 1e-13 + 1e-300;
  } else if (is(s, "sessions") || is(s, "streak")) {
    ask_runs(s, m, count, now, &a);
  } else if (is(s, "distinct")) {
    ask_distinct(s, m, count, &a);
  } else if (is(s, "first") || is(s, "last") || is(s, "recency") || is(s, "gap") || by_clock(s)) {
    ask_times(s, m, count, now, &a);
  } else {
    ask_windowed(s, m, count, now, &a);
  }
  free(m);
  return a;
}

// ---- the comparison ----
static size_t compared[OPS], in_all[OPS];

static void compare(const struct spec *specs, size_t count, const struct feature_set *set, const uint8_t *state,
                    const struct ev *events, size_t n, int64_t now, uint64_t seed) {
  double values[64];
  struct bytes got[64];
  feature_read(set, state, now, values, got);
  for (size_t i = 0; i < count; i++) {
    const struct spec *s = &specs[i];
    struct answer a = ask(s, events, n, now);
    in_all[i % OPS]++;
    compared[i % OPS] += a.promised;
    bool same = fabs(values[i] - a.value) <= a.tolerance || (isnan(values[i]) && isnan(a.value));
    if (is(s, "distinct") && !a.promised)
      same = values[i] > s->limit;
    else if (!a.promised && !by_runs(s) && !is(s, "most_common") && !is(s, "quantile"))
      same = values[i] >= 0 && values[i] <= (double)n;
    else if (!a.promised)
      same = true;
    if (same && (!a.promised || bytes_is(got[i], a.text))) continue;
    struct buf b;
    buf_init(&b);
    print_spec(&b, s, i);
    fail_msg("SEED=%" PRIu64 ": %.*s after %zu events: %.17g \"%.*s\", expected %.17g \"%s\"", seed, (int)b.n,
             (const char *)b.p, n, values[i], (int)got[i].n, (const char *)got[i].p, a.value, a.text);
  }
}

static uint64_t begin(void) {
  const char *given = getenv("SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : clock_mono_ns() % 1000000007;
  print_message("SEED=%" PRIu64 "\n", seed);
  rng = seed;
  return seed;
}

enum { SPECS = 2 * OPS, EVENTS = 120 };
// Streams of each test; ROUNDS=10000 is the long run.
static int rounds(void) {
  const char *given = getenv("ROUNDS");
  return given ? atoi(given) : 250;
}

static void test_against_the_oracle(void **unused) {
  (void)unused;
  uint64_t seed = begin();
  for (int round = 0; round < rounds(); round++) {
    struct spec specs[SPECS];
    struct ev events[EVENTS];
    for (size_t i = 0; i < SPECS; i++) specs[i] = some_spec(i);
    struct feature_set *set = compile_specs(specs, SPECS);
    uint8_t *state = xmalloc(feature_state_size(set));
    feature_state_init(set, state);
    int64_t now = one_in(4) ? below(2 * DAY) - DAY : T0 + some_time(2000 * DAY);
    compare(specs, SPECS, set, state, events, 0, now, seed);
    for (size_t n = 0; n < EVENTS; n++) {
      events[n] = some_event(&now);
      size_t matches = 0;
      for (size_t i = 0; i < SPECS; i++) {
        struct taken taken;
        matches += meets_on(&specs[i], &events[n]) && meets_where(&specs[i], &events[n]) &&
                   take(&specs[i], &events[n], &taken);
      }
      assert_int_equal(fold(set, state, &events[n], now), matches);
      if (one_in(20))
        compare(specs, SPECS, set, state, events, n + 1, now + (one_in(2) ? some_time(90 * DAY) : 0), seed);
    }
    compare(specs, SPECS, set, state, events, EVENTS, now, seed);
    free(state);
    feature_set_free(set);
  }
  for (size_t i = 0; i < OPS; i++) // a promise that never applies would be no test
    if (compared[i] * 10 < in_all[i])
      fail_msg("SEED=%" PRIu64 ": %s compared %zu of %zu", seed, ops[i], compared[i], in_all[i]);
}

// Runs and days at the edge of what is promised: matches about a gap apart and up to three gaps late; days that are
// mostly there and up to 63 days late.
static void test_late_runs(void **unused) {
  (void)unused;
  uint64_t seed = begin();
  for (int round = 0; round < 20 * rounds(); round++) {
    bool days = one_in(2);
    struct spec s = {.op = days ? "streak" : "sessions", .source = "", .part = "", .of = -1, .gap = 10 * SECOND};
    static const char *const stats[] = {"last", "mean", "max", "total"};
    if (!days && one_in(2)) s.op = "session_length", s.stat = PICK(stats);
    if (!days && one_in(3)) s.op = "count", s.stat = NULL, s.session = true;
    int64_t unit = days ? DAY : SECOND, newest = T0, step = days ? 2 : 14, most = days ? 63 * DAY : 3 * s.gap;
    struct ev events[EVENTS];
    struct feature_set *set = compile_specs(&s, 1);
    uint8_t *state = xmalloc(feature_state_size(set));
    feature_state_init(set, state);
    for (size_t n = 0; n < EVENTS; n++) {
      int64_t time = one_in(3) ? newest - below(most + 1) / unit * unit : newest + below(step) * unit;
      if (days && one_in(40)) time = newest + below(70) * unit;
      if (time > newest) newest = time;
      events[n] =
          (struct ev){.type = EVENT_PAGE, .name = "", .channel = "", .timezone = "", .time = time, .now = newest};
      fold(set, state, &events[n], newest);
    }
    assert_true(ask(&s, events, EVENTS, newest).promised);
    compare(&s, 1, set, state, events, EVENTS, newest, seed);
    free(state);
    feature_set_free(set);
  }
}

// The same events in another order leave the same bytes; decay the same but for rounding.
static void test_order_of_arrival(void **unused) {
  (void)unused;
  uint64_t seed = begin();
  for (int round = 0; round < rounds(); round++) {
    struct spec specs[SPECS];
    struct ev events[EVENTS];
    for (size_t i = 0; i < SPECS; i++) specs[i] = some_spec(i);
    for (size_t i = 0; i < SPECS; i++) specs[i].gap = HOUR;
    int64_t now = T0, span = one_in(2) ? 3 * HOUR : 62 * DAY;
    for (size_t i = 0; i < EVENTS; i++) {
      events[i] = some_event(&now);
      events[i].time = T0 + span / EVENTS * (int64_t)i; // no two at once: then arrival would decide first and last
    }
    now = T0 + span;
    struct ev all[EVENTS];
    for (size_t i = 0; i < EVENTS; i++) events[i].now = now, all[i] = events[i];
    struct feature_set *set = compile_specs(specs, SPECS);
    size_t size = feature_state_size(set);
    uint8_t *a = xmalloc(size), *b = xmalloc(size);
    double x[SPECS], y[SPECS];
    struct bytes t[SPECS];
    feature_state_init(set, a), feature_state_init(set, b);
    for (size_t i = 0; i < EVENTS; i++) fold(set, a, &events[i], now);
    for (size_t i = EVENTS; i > 0; i--) {
      size_t k = (size_t)below((int64_t)i);
      fold(set, b, &events[k], now);
      events[k] = events[i - 1];
    }
    feature_read(set, a, now, x, t), feature_read(set, b, now, y, t);
    for (size_t i = 0; i < SPECS; i++) {
      const struct feature_info *info = feature_info(set, i);
      bool same = memcmp(a + info->state_offset, b + info->state_offset, info->state_size) == 0;
      if (is(&specs[i], "decay") && !specs[i].shape) same = fabs(x[i] - y[i]) <= 1e-12 * EVENTS * 3;
      if (by_runs(&specs[i]) && span > 3 * HOUR) same = true; // later than promised
      if (is(&specs[i], "most_common")) same = same || !ask(&specs[i], all, EVENTS, now).promised;
      if (!same) fail_msg("SEED=%" PRIu64 ": %s depends on the order: %.17g and %.17g", seed, info->op, x[i], y[i]);
    }
    free(a), free(b);
    feature_set_free(set);
  }
}

// Whatever moves between two sets goes on as if it had always been there.
static void test_migrate_and_go_on(void **unused) {
  (void)unused;
  uint64_t seed = begin();
  for (int round = 0; round < rounds(); round++) {
    struct spec old_specs[SPECS], new_specs[SPECS];
    for (size_t i = 0; i < SPECS; i++) old_specs[i] = some_spec(i);
    for (size_t i = 0; i < SPECS; i++) new_specs[i] = one_in(2) ? old_specs[below(SPECS)] : some_spec(i);
    struct feature_set *from = compile_specs(old_specs, SPECS), *to = compile_specs(new_specs, SPECS);
    uint8_t *old = xmalloc(feature_state_size(from)), *new = xmalloc(feature_state_size(to)),
            *fresh = xmalloc(feature_state_size(to)), *whole = xmalloc(feature_state_size(to));
    feature_state_init(from, old), feature_state_init(to, fresh), feature_state_init(to, whole);
    int64_t now = T0;
    for (int i = 0; i < EVENTS; i++) {
      struct ev e = some_event(&now);
      if (i == EVENTS / 2) {
        size_t carried = feature_state_migrate(from, old, to, new), expected = 0;
        for (size_t k = 0; k < SPECS; k++)
          for (size_t n = 0; n < SPECS; n++)
            if (feature_info(to, k)->definition_hash == feature_info(from, n)->definition_hash) {
              expected++;
              break;
            }
        assert_int_equal(carried, expected);
      }
      if (i < EVENTS / 2)
        fold(from, old, &e, now);
      else
        fold(to, new, &e, now), fold(to, fresh, &e, now);
      fold(to, whole, &e, now);
    }
    for (size_t k = 0; k < SPECS; k++) {
      const struct feature_info *info = feature_info(to, k);
      bool carried = false;
      for (size_t n = 0; n < SPECS; n++) carried |= feature_info(from, n)->definition_hash == info->definition_hash;
      const uint8_t *like = carried ? whole : fresh;
      if (memcmp(new + info->state_offset, like + info->state_offset, info->state_size) != 0)
        fail_msg("SEED=%" PRIu64 ": %s did not go on", seed, info->op);
    }
    free(old), free(new), free(fresh), free(whole);
    feature_set_free(from), feature_set_free(to);
  }
}

// ---- merging ----
// What two leads' states may differ in from one lead's that had both leads' events: the value at equal times, which
// arrival decides within a lead; the last bits of a decayed sum; what they keep no more.
static bool merges_exactly(const struct spec *s, bool is_all_kept, double whole, double merged) {
  if (by_runs(s)) return is_all_kept;
  if (is(s, "most_common")) return is_all_kept;
  if (is(s, "streak")) return whole < 64 && merged < 64;
  return !is(s, "decay") || s->shape;
}

// Of sessions: no run is only counted in any of the states that took part.
static bool runs_kept(const struct feature_info *info, uint8_t *const *states) {
  static const int parts[] = {0, 1, 2, 4, 7};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    for (uint32_t k = 0; k < 8; k++)
      if (states[parts[i]][info->state_offset + k] != 0) return false;
  return true;
}

static bool same_value(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

// Two states of one feature, of which `b` was merged.
static void compare_merged(const struct spec *specs, const struct feature_set *set, uint8_t *const *states, int merged,
                           const struct ev *events, size_t n, int64_t now, uint64_t seed) {
  const uint8_t *a = states[3], *b = states[merged];
  double x[SPECS], y[SPECS];
  struct bytes t[SPECS], u[SPECS];
  feature_read(set, a, now, x, t), feature_read(set, b, now, y, u);
  for (size_t i = 0; i < SPECS; i++) {
    const struct spec *s = &specs[i];
    const struct feature_info *info = feature_info(set, i);
    struct answer asked = ask(s, events, n, now);
    bool same = same_value(x[i], y[i]) && bytes_eq(t[i], u[i]);
    if (is(s, "first") || is(s, "last"))
      same = memcmp(a + info->state_offset, b + info->state_offset, 8) == 0; // the time; values: test_merge.c
    else if (!merges_exactly(s, asked.promised && (!by_runs(s) || runs_kept(info, states)), x[i], y[i]))
      same = !is(s, "decay") && !is(s, "sessions") && !is(s, "streak")
                 ? true
                 : fabs(x[i] - y[i]) <= (is(s, "decay") ? asked.tolerance : (double)n);
    if (!same)
      fail_msg("SEED=%" PRIu64 ": feature %zu, %s: one lead %.17g, merged %.17g", seed, i, info->op, x[i], y[i]);
  }
}

static void merge(const struct feature_set *set, uint8_t *into, const uint8_t *a, const uint8_t *b) {
  memcpy(into, a, feature_state_size(set));
  feature_state_merge(set, into, b, T0);
}

// What three leads make of it by one order of merges or another: rounding, and what is no more kept.
static bool leans_on_order(const struct spec *s) {
  return by_runs(s) || is(s, "streak") || is(s, "most_common") || (is(s, "decay") && !s->shape);
}

// Bytes of all features but those of `but` that may differ.
static void assert_same_but(const struct feature_set *set, const uint8_t *a, const uint8_t *b, const struct spec *but,
                            uint64_t seed) {
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    if (memcmp(a + info->state_offset, b + info->state_offset, info->state_size) != 0 &&
        !(but && leans_on_order(&but[i])))
      fail_msg("SEED=%" PRIu64 ": %s (feature %zu) depends on the order of merges", seed, info->op, i);
  }
}

// A stream dealt at random to three leads, of which some get little or nothing: merged, they are one lead that had it
// all.
static void test_merge_is_one_lead(void **unused) {
  (void)unused;
  uint64_t seed = begin();
  for (int round = 0; round < rounds(); round++) {
    struct spec specs[SPECS];
    struct ev events[EVENTS];
    for (size_t i = 0; i < SPECS; i++) specs[i] = some_spec(i);
    struct feature_set *set = compile_specs(specs, SPECS);
    // Nine states: three leads, one that had all, then merged ones.
    size_t size = feature_state_size(set), n = (size_t)below(EVENTS + 1);
    int64_t now = T0, share = 1 + below(9), last = 0;
    uint8_t *s[9];
    for (int i = 0; i < 9; i++) feature_state_init(set, s[i] = xmalloc(size));
    for (size_t i = 0; i < n; i++) {
      events[i] = some_event(&now);
      if (i > 0 && one_in(8)) events[i].time = events[i - 1].time;
      if (!one_in(3)) last = one_in(share) ? below(3) : 0; // visits to one of them are often in a row
      fold(set, s[3], &events[i], now), fold(set, s[last], &events[i], now);
    }
    merge(set, s[4], s[0], s[1]), merge(set, s[5], s[1], s[0]);
    assert_same_but(set, s[4], s[5], NULL, seed); // commutative
    merge(set, s[6], s[4], s[2]), merge(set, s[7], s[1], s[2]), merge(set, s[8], s[0], s[7]);
    assert_same_but(set, s[6], s[8], specs, seed); // associative
    compare_merged(specs, set, s, 6, events, n, now, seed);
    compare_merged(specs, set, s, 8, events, n, now + some_time(60 * DAY), seed);
    feature_state_init(set, s[4]);
    merge(set, s[5], s[3], s[4]), merge(set, s[6], s[4], s[3]);
    assert_same_but(set, s[5], s[3], NULL, seed), assert_same_but(set, s[6], s[3], NULL, seed); // with a new lead
    for (int i = 0; i < 9; i++) free(s[i]);
    feature_set_free(set);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_merge_is_one_lead), cmocka_unit_test(test_against_the_oracle),
      cmocka_unit_test(test_late_runs),         cmocka_unit_test(test_order_of_arrival),
      cmocka_unit_test(test_migrate_and_go_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
