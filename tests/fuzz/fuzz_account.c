// Messages to an account and to a tally, well made around hostile values and hostile as a whole. What is refused changes nothing and
// sends nothing. What is taken leaves a block that passes its own check; every message that it sends is one; the account
// knows just those people who told it something and have not left; a copy is one that a lead can read.
#include <math.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/tally.h"
#include "feature/program.h"
#include "fuzz.h"

enum { STEPS = 64, PEOPLE = 256 };

static bool is_there[PEOPLE]; // whom the account must know
static struct feature_set *readers;

// Features that read what copies say, with keys that a fuzzer finds: 1 and so on.
static void compile_readers(void) {
  static const char json[] =
      "[{\"name\": \"c\", \"op\": \"count\"}, {\"name\": \"l\", \"op\": \"last\", \"of\": \"properties.x\", \"text\": "
      "true},"
      "{\"name\": \"sum\", \"op\": \"account\", \"roll\": \"sum\", \"of\": \"c\"},"
      "{\"name\": \"mean\", \"op\": \"account\", \"roll\": \"mean\", \"of\": \"c\"},"
      "{\"name\": \"least\", \"op\": \"account\", \"roll\": \"min\", \"of\": \"c\"},"
      "{\"name\": \"texts\", \"op\": \"account\", \"roll\": \"distinct\", \"of\": \"l\"},"
      "{\"name\": \"people\", \"op\": \"account\", \"roll\": \"people\"},"
      "{\"name\": \"active\", \"op\": \"account\", \"roll\": \"people\", \"window\": \"7d\"},"
      "{\"name\": \"touch\", \"op\": \"account\", \"roll\": \"last_touch\"},"
      "{\"name\": \"plan\", \"op\": \"account\", \"roll\": \"trait\", \"of\": \"traits.plan\", \"text\": true},"
      "{\"name\": \"seats\", \"op\": \"account\", \"roll\": \"trait\", \"of\": \"traits.seats\"}]";
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct buf packed = {0};
  struct error err = {0};
  if (readers) return;
  CHECK(mp_from_json(bytes_str(json), &limits, &packed, &err) == 0);
  CHECK(feature_set_compile(buf_bytes(&packed), &readers, &err) == 0 && feature_count(readers) <= 16);
  for (size_t i = 0; i < feature_count(readers); i++) readers->features[i].item = i + 1;
  buf_deinit(&packed);
}

static void read_copy(struct bytes copy, int64_t now_ms) {
  uint8_t *state = xmalloc(feature_state_size(readers));
  double values[16], ages[16];
  struct bytes texts[16];
  feature_state_init(readers, state);
  feature_account_take(readers, state, copy, now_ms);
  feature_read(readers, state, now_ms, values, texts);
  feature_ages(readers, state, now_ms, ages);
  for (size_t i = 0; i < feature_count(readers); i++)
    CHECK(!isinf(values[i]) && !isinf(ages[i]) && bytes_is_utf8(texts[i]));
  struct buf saved = {0}, again = {0};
  feature_account_save(readers, state, &saved);
  feature_state_init(readers, state);
  CHECK(feature_account_load(readers, state, buf_bytes(&saved), NULL) == 0);
  feature_account_save(readers, state, &again);
  CHECK(bytes_eq(buf_bytes(&saved), buf_bytes(&again)));
  buf_deinit(&saved), buf_deinit(&again);
  free(state);
}

static void check_sent(const struct entity *e, const struct message_effects *effects) {
  struct bytes list = buf_bytes(&effects->messages);
  struct message sent = {0};
  int rc;
  while ((rc = message_next(&list, &sent, NULL)) == 1) {
    CHECK(message_check(sent.kind, sent.body, NULL) == 0);
    if (e->kind != ENTITY_ACCOUNT) continue;
    CHECK(sent.kind == MESSAGE_ACCOUNT_COPY && lead_id_eq(sent.to, account_view(e->id, lead_id_slot(sent.to))));
    read_copy(sent.body, e->now_ms);
  }
  CHECK(rc == 0);
}

static void check_shown(const struct entity *account) {
  struct buf shown = {0};
  struct bytes people;
  unsigned count = 0;
  account_show(account, &shown);
  CHECK(fuzz_is_one_value(buf_bytes(&shown)) && mp_find(buf_bytes(&shown), BYTES_LIT("people"), &people));
  for (size_t i = 0; i < PEOPLE; i++) count += is_there[i];
  CHECK(mp_value_of(people).count == count);
  buf_deinit(&shown);
}

static struct entity *copy_of(const struct entity *e) {
  struct entity *copy = xmalloc(entity_size(e));
  memcpy(copy, e, entity_size(e));
  return copy;
}

// Applies it to the entity and to a copy of it. Returns whether it was taken.
static bool apply(struct entity **e, const struct message *m) {
  struct entity *before = copy_of(*e), *twin = copy_of(*e);
  struct message_effects effects = {0}, others = {0};
  uint64_t hash = message_apply(e, m, &effects);
  CHECK(message_apply(&twin, m, &others) == hash && entity_digest(twin) == entity_digest(*e));
  CHECK(entity_check(bytes_of(*e, entity_size(*e)), NULL) == 0);
  CHECK((*e)->number == before->number + 1 && (*e)->now_ms >= before->now_ms);
  if (effects.answer.n > 0) CHECK(fuzz_is_one_value(buf_bytes(&effects.answer)));
  if (effects.is_refused)
    CHECK(effects.messages.n == 0 && effects.answer.n > 0 && bytes_eq(entity_state(*e), entity_state(before)));
  else if ((*e)->bytes > 0)
    CHECK(fuzz_is_one_value(entity_state(*e)));
  check_sent(*e, &effects);
  bool is_taken = !effects.is_refused;
  message_effects_deinit(&effects), message_effects_deinit(&others);
  free(before), free(twin);
  return is_taken;
}

// The value as what a sender would make of it, or as the whole body.
static unsigned make_body(unsigned how, unsigned who, struct bytes value, struct buf *body) {
  struct account_terms terms = ACCOUNT_TERMS_DEFAULT;
  int64_t touch = 1767225600000 + (int64_t)who * 3600000;
  bool is_urgent = who & 1;
  switch (how) {
  case 0: account_put_update(body, touch, &terms, is_urgent, value); return MESSAGE_ACCOUNT_UPDATE;
  case 1: account_put_traits(body, touch, &terms, is_urgent, value); return MESSAGE_ACCOUNT_TRAITS;
  case 2: account_put_leave(body, &terms); return MESSAGE_ACCOUNT_LEAVE;
  case 3: account_put_flush(body, &terms); return MESSAGE_ACCOUNT_FLUSH;
  case 4: buf_append_bytes(body, value); return MESSAGE_ACCOUNT_TRAITS;
  case 5: buf_append_bytes(body, value); return MESSAGE_ACCOUNT_COPY; // refused: it is no view
  default: buf_append_bytes(body, value); return MESSAGE_TALLY_ADD;
  }
}

static void step(struct entity **account, struct entity **tally, unsigned how, unsigned who, struct bytes value,
                 int64_t at_ms) {
  struct buf body = {0};
  struct message m = {.to = (*account)->id, .from.b = {(uint8_t)who, 1}, .number = 1, .at_ms = at_ms};
  m.kind = (uint16_t)make_body(how, who, value, &body);
  m.body = buf_bytes(&body);
  if (message_check(m.kind, m.body, NULL) == 0) {
    bool is_taken = apply(m.kind == MESSAGE_TALLY_ADD ? tally : account, &m);
    if (m.kind == MESSAGE_ACCOUNT_UPDATE && is_taken) is_there[who] = true;
    if (m.kind == MESSAGE_ACCOUNT_LEAVE && is_taken) is_there[who] = false;
    if (m.kind == MESSAGE_ACCOUNT_FLUSH && is_taken) CHECK(!account_is_dirty(*account));
    CHECK(m.kind != MESSAGE_ACCOUNT_COPY || !is_taken);
    read_copy(value, at_ms);
  }
  buf_deinit(&body);
}

// The input is steps: what, who, a value.
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  struct entity *account = entity_new(ENTITY_ACCOUNT, (struct lead_id){.b = {7, 7}}, 1);
  struct entity *tally = entity_new(ENTITY_TALLY, (struct lead_id){.b = {8, 8}}, 1);
  int64_t at_ms = 1767225600000;
  compile_readers();
  memset(is_there, 0, sizeof is_there);
  for (int left = STEPS; left > 0 && n > 2; left--) {
    size_t length;
    if (mp_scan(bytes_of(p + 2, n - 2), &fuzz_limits, &length, NULL) != 1) break;
    struct buf value = fuzz_exact(bytes_of(p + 2, length));
    step(&account, &tally, p[0] % 7, p[1], buf_bytes(&value), at_ms);
    buf_deinit(&value);
    at_ms += (int64_t)p[1] * 1000;
    p += 2 + length, n -= 2 + length;
  }
  check_shown(account);
  entity_free(account), entity_free(tally);
  return 0;
}
