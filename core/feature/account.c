// A lead's side of its account, and the op that reads of it. Such a feature keeps 16 bytes: when the copy was made that it
// was last read from, and the value; no event reaches it.
#include "feature/account.h"
#include "base/check.h"
#include "feature/ops.h"
#include "feature/reader.h"
#include <math.h>
#include <stdlib.h>

#define MEMBER_SIZE 64u

// ---- compiling ----
static bool is_tiled(const struct feature *f) { return f->roll == ROLL_PEOPLE && f->tiles > 0; }

static enum account_form form_of(const struct feature *f) {
  switch (f->roll) {
  case ROLL_PEOPLE: return ACCOUNT_TILE;
  case ROLL_DISTINCT: return ACCOUNT_TEXT;
  case ROLL_LATEST: return ACCOUNT_TIME;
  case ROLL_TRAIT: return ACCOUNT_TRAIT;
  default: return ACCOUNT_NUMBER;
  }
}

static bool is_trait(const struct feature *f) { return f->op->is_account && f->roll == ROLL_TRAIT; }

static bool has_item(const struct feature *f) { return is_tiled(f) || f->reads || f->score != SCORE_NONE; }

static int find_read(struct feature_set *set, struct feature *f, struct error *err) {
  const char *name = f->info.name;
  if (bytes_is(f->of_text, "score.fit")) f->score = SCORE_FIT;
  if (bytes_is(f->of_text, "score.engagement")) f->score = SCORE_ENGAGEMENT;
  bool is_number = form_of(f) == ACCOUNT_NUMBER;
  if (f->score != SCORE_NONE)
    return is_number ? 0 : error_set(err, ITD_EPOLICY, "features: %s: this roll does not go with a score", name);
  int at = names_find(&set->names, f->of_text);
  if (at < 0)
    return error_set(err, ITD_EPOLICY,
                     "features: %s: of must name a feature of this set, \"score.fit\" or \"score.engagement\"", name);
  struct feature *other = &set->features[at];
  if (other->op->is_account || other->op->derive)
    return error_set(err, ITD_EPOLICY, "features: %s: of must name a feature of the lead's own events, not a %s", name,
                     other->info.op);
  if (other->info.is_personal)
    return error_set(err, ITD_EPOLICY, "features: %s: \"%s\" is personal, and nothing of it may leave its lead", name,
                     other->info.name);
  if (other->info.is_text != (f->roll == ROLL_DISTINCT) && f->roll != ROLL_LATEST)
    return error_set(err, ITD_EPOLICY, "features: %s: \"%s\" is %s; roll \"distinct\" takes text, the others numbers",
                     name, other->info.name, other->info.is_text ? "text" : "a number");
  f->reads = other;
  if (f->roll == ROLL_LATEST) other->is_age_asked = true;
  return 0;
}

int account_resolve(struct feature_set *set, struct error *err) {
  uint32_t items = 0, traits = 0;
  for (size_t i = 0; i < set->count; i++) {
    struct feature *f = &set->features[i];
    if (!f->op->is_account) continue;
    set->account_count++;
    traits += is_trait(f);
    if (traits > ACCOUNT_TRAITS_MAX)
      return error_set(err, ITD_EPOLICY, "features: %s: at most %u traits of accounts are kept", f->info.name,
                       ACCOUNT_TRAITS_MAX);
    if (is_trait(f) && f->info.is_personal)
      return error_set(err, ITD_EPOLICY, "features: %s: it is personal, and an account is not: its leads read it",
                       f->info.name);
    if (f->of_text.n && !is_trait(f)) {
      int rc = find_read(set, f, err);
      if (rc) return rc;
    }
    items += has_item(f);
    if (items > ACCOUNT_ITEMS_MAX)
      return error_set(err, ITD_EPOLICY, "features: %s: a lead hands at most %u values to its account", f->info.name,
                       ACCOUNT_ITEMS_MAX);
    if (f->info.freshness == FEATURE_LIVE) f->info.freshness = FEATURE_MINUTES;
  }
  return 0;
}

// Once the others have their definitions.
void account_lay(struct feature_set *set) {
  for (size_t i = 0; i < set->count; i++) {
    struct feature *f = &set->features[i];
    if (!f->op->is_account) continue;
    uint64_t of = f->reads ? f->reads->info.definition_hash : (uint64_t)f->score;
    f->info.definition_hash = hash_mix(hash_mix(definition_hash(f), f->roll), of);
    if (is_trait(f)) of = hash_mix(hash_mix(hash64(f->of_text), f->input), f->part);
    f->item = is_tiled(f) ? hash_mix(ACCOUNT_TILE, (uint64_t)f->tile_ms) : hash_mix(form_of(f), of);
  }
  set->member_offset = (uint32_t)set->state_size;
  if (set->account_count > 0) set->state_size += MEMBER_SIZE;
}

// ---- the op ----
static double nothing(const struct feature *f) {
  bool is_count = f->roll == ROLL_PEOPLE || f->roll == ROLL_DISTINCT || f->roll == ROLL_SUM;
  return is_count ? 0 : NAN;
}

#define TEXT_CELL (1 + FEATURE_TEXT_MAX) // of a text trait, as op_pick.c has it

size_t op_account_size(const struct feature *f) { return f->info.is_text ? 8 + TEXT_CELL : 16; }
void op_account_init(const struct feature *f, uint8_t *state) {
  store_i64(state, TIME_NONE);
  memset(state + 8, 0, op_account_size(f) - 8);
  if (!f->info.is_text) store_f64(state + 8, nothing(f));
}
static void store_text(uint8_t *state, struct bytes text) {
  text = text_cut(text, FEATURE_TEXT_MAX);
  memset(state + 8, 0, TEXT_CELL);
  state[8] = (uint8_t)text.n;
  if (text.n) memcpy(state + 9, text.p, text.n);
}
void op_account_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  (void)f, (void)state, (void)sample;
}
double op_account_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return (void)now_ms, f->info.is_text ? NAN : load_f64(state + 8);
}
// Both leads' copies are of one account or of two: the newer one, then the greater bits.
void op_account_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  int64_t a = load_i64(into), b = load_i64(other);
  bool is_greater =
      f->info.is_text ? memcmp(other + 8, into + 8, TEXT_CELL) > 0 : load_u64(other + 8) > load_u64(into + 8);
  if (b > a || (b == a && is_greater)) memcpy(into, other, f->size);
}

// ---- membership ----
size_t feature_accounts(const struct feature_set *set) { return set->account_count; }

void feature_member_get(const struct feature_set *set, const uint8_t *state, struct feature_member *out) {
  CHECK(set->account_count > 0);
  const uint8_t *p = state + set->member_offset;
  memcpy(out->account, p, 16);
  memcpy(out->told, p + 16, 16);
  out->joined_ms = load_i64(p + 32);
  out->touched_ms = load_i64(p + 40);
  out->sent = load_u64(p + 48);
  out->sent_urgent = load_u64(p + 56);
}

void feature_member_put(const struct feature_set *set, uint8_t *state, const struct feature_member *member) {
  CHECK(set->account_count > 0);
  uint8_t *p = state + set->member_offset;
  memcpy(p, member->account, 16);
  memcpy(p + 16, member->told, 16);
  store_i64(p + 32, member->joined_ms);
  store_i64(p + 40, member->touched_ms);
  store_u64(p + 48, member->sent);
  store_u64(p + 56, member->sent_urgent);
}

void account_init(const struct feature_set *set, uint8_t *state) {
  if (set->account_count > 0) memset(state + set->member_offset, 0, MEMBER_SIZE);
}

void account_migrate(const struct feature_set *from, const uint8_t *old_state, const struct feature_set *to,
                     uint8_t *state) {
  account_init(to, state);
  if (from->account_count == 0 || to->account_count == 0) return;
  struct feature_member member;
  feature_member_get(from, old_state, &member);
  member.sent = member.sent_urgent = 0; // another set may hand over other values
  feature_member_put(to, state, &member);
}

// Two leads are one: of the account that was named last. What each told is for whoever knows which of them goes on.
void account_merge(const struct feature_set *set, uint8_t *into, const uint8_t *other) {
  if (set->account_count == 0) return;
  struct feature_member a, b;
  feature_member_get(set, into, &a);
  feature_member_get(set, other, &b);
  static const uint8_t none[16];
  bool a_none = memcmp(a.account, none, 16) == 0, b_none = memcmp(b.account, none, 16) == 0;
  bool takes_other =
      a_none ||
      (!b_none && (b.joined_ms > a.joined_ms || (b.joined_ms == a.joined_ms && memcmp(b.account, a.account, 16) > 0)));
  int64_t touched_ms = b.touched_ms > a.touched_ms ? b.touched_ms : a.touched_ms;
  if (takes_other) a = b;
  a.touched_ms = touched_ms;
  feature_member_put(set, into, &a);
}

// ---- in a frame ----
void feature_account_save(const struct feature_set *set, const uint8_t *state, struct buf *out) {
  buf_append(out, state + set->member_offset, MEMBER_SIZE);
  for (size_t i = 0; i < set->count; i++)
    if (set->features[i].op->is_account) buf_append(out, state + set->features[i].offset, set->features[i].size);
}

int feature_account_load(const struct feature_set *set, uint8_t *state, struct bytes saved, struct error *err) {
  size_t size = MEMBER_SIZE;
  for (size_t i = 0; i < set->count; i++)
    if (set->features[i].op->is_account) size += set->features[i].size;
  if (set->account_count == 0 || saved.n != size)
    return error_set(err, ITD_ECORRUPT, "a frame has %zu bytes of an account; the release has %zu features of accounts",
                     saved.n, set->account_count);
  memcpy(state + set->member_offset, saved.p, MEMBER_SIZE);
  const uint8_t *p = saved.p + MEMBER_SIZE;
  for (size_t i = 0; i < set->count; i++) {
    if (!set->features[i].op->is_account) continue;
    memcpy(state + set->features[i].offset, p, set->features[i].size);
    p += set->features[i].size;
  }
  return 0;
}

// ---- reading a copy ----
struct copy {
  int64_t at, first, last, people;
  struct bytes rolls;
};

static bool take_int(struct mp *in, int64_t *out) {
  struct mp_value v = mp_next(in);
  *out = v.i;
  return v.type == MP_INT;
}

static bool read_copy(struct bytes bytes, struct copy *out) {
  if (!bytes.n) return false;
  struct mp in = mp_of(bytes);
  struct mp_value head = mp_next(&in);
  if (head.type != MP_ARRAY || head.count != 5) return false;
  if (!take_int(&in, &out->at) || !take_int(&in, &out->first) || !take_int(&in, &out->last) ||
      !take_int(&in, &out->people))
    return false;
  out->rolls = mp_take(&in);
  return mp_value_of(out->rolls).type == MP_ARRAY;
}

static uint64_t as_u64(struct mp_value v) { return v.type == MP_UINT ? v.u : (uint64_t)v.i; }

// What follows key and form of the roll; *left: how many values.
static bool find_roll(const struct copy *copy, uint64_t key, enum account_form form, struct mp *out, uint32_t *left) {
  struct mp in = mp_of(copy->rolls);
  for (uint32_t n = mp_next(&in).count; n > 0; n--) {
    struct mp roll = mp_of(mp_take(&in));
    struct mp_value head = mp_next(&roll);
    if (head.type != MP_ARRAY || head.count < 4) continue;
    struct mp_value k = mp_next(&roll), f = mp_next(&roll);
    if (as_u64(k) != key || f.type != MP_INT || f.i != form) continue;
    *out = roll;
    *left = head.count - 2;
    return true;
  }
  return false;
}

// Whatever time a copy names.
static double since(int64_t then, int64_t now) {
  then = clamp_time(then);
  return now > then ? (double)(now - then) : 0;
}

static double people_in(const struct feature *f, struct mp roll, uint32_t left, int64_t now) {
  int64_t oldest = floor_div(now, f->tile_ms) - (int64_t)f->tiles + 1, tile, leads;
  double sum = 0;
  for (mp_next(&roll), left--; left >= 2; left -= 2) {
    bool has_tile = take_int(&roll, &tile), has_leads = take_int(&roll, &leads);
    if (has_tile && has_leads && tile >= oldest) sum += (double)leads;
  }
  return sum;
}

static double number_of(const struct feature *f, struct mp roll, uint32_t left) {
  double v[4];
  if (left != 4) return nothing(f);
  for (unsigned i = 0; i < 4; i++)
    if (!mp_as_number(mp_take(&roll), &v[i])) return nothing(f);
  switch (f->roll) {
  case ROLL_SUM: return v[1];
  case ROLL_MEAN: return v[1] / v[0];
  case ROLL_MIN: return v[2];
  default: return v[3];
  }
}

static double value_of(const struct feature *f, const struct copy *copy, int64_t now) {
  struct mp roll;
  uint32_t left;
  int64_t n, v;
  bool was_touched = copy->first <= copy->last; // else only traits were said of it
  if (f->roll == ROLL_FIRST_TOUCH) return was_touched ? since(copy->first, now) : NAN;
  if (f->roll == ROLL_LAST_TOUCH) return was_touched ? since(copy->last, now) : NAN;
  if (f->roll == ROLL_PEOPLE && !is_tiled(f)) return (double)copy->people;
  if (!find_roll(copy, f->item, form_of(f), &roll, &left)) return nothing(f);
  if (is_tiled(f)) return people_in(f, roll, left, now);
  if (form_of(f) == ACCOUNT_NUMBER) return number_of(f, roll, left);
  if (f->roll == ROLL_TRAIT) {
    double value;
    return left == 2 && take_int(&roll, &n) && mp_as_number(mp_take(&roll), &value) ? value : NAN;
  }
  if (left != 2 || !take_int(&roll, &n) || !take_int(&roll, &v)) return nothing(f);
  return f->roll == ROLL_LATEST ? since(v, now) : (double)v;
}

static struct bytes text_of(const struct feature *f, const struct copy *copy) {
  struct mp roll;
  uint32_t left;
  int64_t n;
  struct bytes text;
  bool has_one = find_roll(copy, f->item, ACCOUNT_TRAIT, &roll, &left) && left == 2 && take_int(&roll, &n) &&
                 mp_as_str(mp_take(&roll), &text) && bytes_is_utf8(text);
  return has_one ? text : (struct bytes){0};
}

void feature_account_take(const struct feature_set *set, uint8_t *state, struct bytes bytes, int64_t now_ms) {
  struct copy copy = {0};
  bool is_known = read_copy(bytes, &copy);
  int64_t now = clamp_time(now_ms);
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (!f->op->is_account) continue;
    op_account_init(f, state + f->offset);
    if (!is_known) continue;
    store_i64(state + f->offset, clamp_time(copy.at));
    if (f->info.is_text) {
      store_text(state + f->offset, text_of(f, &copy));
      continue;
    }
    double value = value_of(f, &copy, now);
    store_f64(state + f->offset + 8, isfinite(value) ? value + 0.0 : NAN);
  }
}

bool feature_account_say(const struct feature_set *set, uint8_t *state, size_t index, double value, struct bytes text,
                         int64_t now_ms) {
  CHECK(index < set->count);
  const struct feature *f = &set->features[index];
  if (!f->op->is_account) return false;
  store_i64(state + f->offset, now_ms);
  if (f->info.is_text)
    store_text(state + f->offset, text);
  else
    store_f64(state + f->offset + 8, value);
  return true;
}

int64_t feature_account_at(const struct feature_set *set, const uint8_t *state) {
  for (size_t i = 0; set->account_count > 0 && i < set->count; i++)
    if (set->features[i].op->is_account) return load_i64(state + set->features[i].offset);
  return TIME_NONE;
}

// ---- contributing ----
struct item {
  uint64_t key;
  enum account_form form;
  bool is_urgent;
  double number;
  int64_t time;
  uint64_t text;
};

static int by_key(const void *a, const void *b) {
  const struct item *x = a, *y = b;
  return x->key < y->key ? -1 : x->key > y->key;
}

// False: there is nothing to tell.
static bool item_of(const struct feature_set *set, const struct feature *f, const uint8_t *state, const double *values,
                    const struct bytes *texts, const int64_t scores[2], int64_t touch, struct item *out) {
  size_t at = f->reads ? (size_t)(f->reads - set->features) : 0;
  *out = (struct item){.key = f->item, .form = form_of(f), .is_urgent = f->is_urgent};
  switch (out->form) {
  case ACCOUNT_TILE: out->time = floor_div(touch, f->tile_ms); return true;
  case ACCOUNT_TIME: out->time = load_i64(state + f->reads->latest); return out->time != TIME_NONE;
  case ACCOUNT_TEXT: out->text = hash64_seed(texts[at], f->item); return texts[at].n > 0;
  case ACCOUNT_TRAIT: return false;
  case ACCOUNT_NUMBER: break;
  }
  // A score counts in whole points: what moves it by less is not worth a message.
  out->number = f->reads ? values[at] : (double)((scores[f->score == SCORE_ENGAGEMENT] + 500) / 1000);
  return !isnan(out->number);
}

static void put_item(const struct item *item, struct buf *out) {
  mp_put_array(out, 3);
  mp_put_uint(out, item->key);
  mp_put_uint(out, item->form);
  switch (item->form) {
  case ACCOUNT_NUMBER: mp_put_float(out, item->number); break;
  case ACCOUNT_TEXT: mp_put_uint(out, item->text); break;
  default: mp_put_int(out, item->time);
  }
}

void feature_contribute(const struct feature_set *set, const uint8_t *state, const double *values,
                        const struct bytes *texts, const int64_t scores[2], int64_t touch_ms, struct buf *out,
                        uint64_t *urgent) {
  struct item items[ACCOUNT_ITEMS_MAX];
  uint32_t count = 0, kept = 0;
  int64_t touch = clamp_time(touch_ms);
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (f->op->is_account && has_item(f) && item_of(set, f, state, values, texts, scores, touch, &items[count]))
      count++;
  }
  qsort(items, count, sizeof *items, by_key);
  for (uint32_t i = 0; i < count; i++) { // several rolls of one value: once
    bool is_same = kept > 0 && items[kept - 1].key == items[i].key;
    if (is_same)
      items[kept - 1].is_urgent |= items[i].is_urgent;
    else
      items[kept++] = items[i];
  }
  mp_put_array(out, kept);
  *urgent = 1;
  for (uint32_t i = 0; i < kept; i++) {
    size_t begin = out->n;
    put_item(&items[i], out);
    if (items[i].is_urgent) *urgent = hash64_seed(bytes_of(out->p + begin, out->n - begin), *urgent);
  }
}

// ---- traits ----
struct trait {
  const struct feature *f;
  double number;
  struct bytes text; // of a text feature
};

static int by_trait(const void *a, const void *b) {
  const struct trait *x = a, *y = b;
  return x->f->item < y->f->item ? -1 : x->f->item > y->f->item;
}

bool feature_traits(const struct feature_set *set, const struct event *event, struct buf *out, bool *is_urgent) {
  struct trait traits[ACCOUNT_TRAITS_MAX];
  char scratch[ACCOUNT_TRAITS_MAX][TEXT_PART_MAX];
  uint32_t count = 0, kept = 0;
  *is_urgent = false;
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    struct trait *t = &traits[count];
    if (!is_trait(f) || !fold_take(set, f, event, scratch[count], &t->number, &t->text)) continue;
    t->f = f;
    *is_urgent |= f->is_urgent;
    count++;
  }
  if (!count) return false;
  qsort(traits, count, sizeof *traits, by_trait);
  for (uint32_t i = 0; i < count; i++) // two features of one value: once
    if (i == 0 || traits[i].f->item != traits[kept - 1].f->item) traits[kept++] = traits[i];
  mp_put_array(out, kept);
  for (uint32_t i = 0; i < kept; i++) {
    mp_put_array(out, 3);
    mp_put_uint(out, traits[i].f->item);
    mp_put_uint(out, ACCOUNT_TRAIT);
    if (traits[i].f->info.is_text)
      mp_put_str(out, text_cut(traits[i].text, FEATURE_TEXT_MAX));
    else
      mp_put_float(out, traits[i].number);
  }
  return true;
}

struct bytes feature_trait_path(const struct feature_set *set, size_t index) {
  CHECK(index < set->count);
  return is_trait(&set->features[index]) ? set->features[index].of_text : (struct bytes){0};
}
