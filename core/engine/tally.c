#include "engine/tally.h"

#include "base/check.h"

struct add {
  struct bytes key, legs; // legs: empty, or a packed array
  int64_t n;
};

static bool read_int(struct mp *in, int64_t *n) {
  struct mp_value v = mp_next(in);
  *n = v.i;
  return v.type == MP_INT;
}

static bool read_add(struct bytes body, struct add *add) {
  struct mp in = mp_of(body);
  struct mp_value head = mp_next(&in);
  if (head.type != MP_ARRAY || head.count < 2 || head.count > 3) return false;
  if (!mp_take_str(&in, &add->key) || add->key.n < 1 || add->key.n > TALLY_KEY_BYTES) return false;
  if (!read_int(&in, &add->n)) return false;
  add->legs = (struct bytes){0};
  if (head.count == 2 || mp_peek(&in) == MP_NIL) return true;
  add->legs = mp_take(&in);
  return mp_value_of(add->legs).type == MP_ARRAY;
}

void tally_put_add(struct buf *body, struct bytes key, int64_t n, struct bytes legs) {
  CHECK(key.n >= 1 && key.n <= TALLY_KEY_BYTES);
  mp_put_array(body, legs.n ? 3 : 2);
  mp_put_str(body, key);
  mp_put_int(body, n);
  if (legs.n) mp_put_raw(body, legs);
}

// Sends what each leg says; *left is less by as much. False: not a list of legs, or more than 64 bits hold.
static bool pass_on(const struct add *add, int64_t *left, struct message_effects *effects) {
  struct mp in = mp_of(add->legs);
  struct buf body = {0};
  bool ok = true;
  for (uint32_t left_to_read = mp_next(&in).count; ok && left_to_read; left_to_read--) {
    struct mp leg = mp_of(mp_take(&in));
    struct mp_value head = mp_next(&leg);
    ok = head.type == MP_ARRAY && head.count == 3;
    struct mp_value to = ok ? mp_next(&leg) : head;
    int64_t n = 0;
    ok = ok && to.type == MP_BIN && to.s.n == sizeof(struct lead_id) && read_int(&leg, &n) &&
         !__builtin_sub_overflow(*left, n, left);
    if (!ok) break;
    struct lead_id id;
    memcpy(id.b, to.s.p, sizeof id.b);
    struct bytes further = mp_take(&leg);
    if (mp_value_of(further).type != MP_ARRAY) further = (struct bytes){0};
    buf_clear(&body);
    tally_put_add(&body, add->key, n, further);
    message_put(&effects->messages, id, MESSAGE_TALLY_ADD, buf_bytes(&body));
  }
  buf_deinit(&body);
  return ok;
}

static int compare(struct bytes a, struct bytes b) {
  int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
  return order ? order : (a.n > b.n) - (a.n < b.n);
}

struct sums { // the map being written
  struct buf *out;
  uint32_t count;
};

static void put_sum(struct sums *sums, struct bytes key, int64_t n) {
  if (!n) return;
  mp_put_str(sums->out, key);
  mp_put_int(sums->out, n);
  sums->count++;
}

static struct mp sums_of(struct bytes state, uint32_t *count) {
  struct mp in = mp_of(state);
  *count = state.n ? mp_next(&in).count : 0;
  return in;
}

static bool has_key(struct bytes state, struct bytes key) {
  uint32_t count;
  struct mp in = sums_of(state, &count);
  for (; count; count--) {
    struct bytes k;
    int64_t n;
    if (mp_take_str(&in, &k) && bytes_eq(k, key)) return true;
    (void)read_int(&in, &n);
  }
  return false;
}

// The state with n more under the key, in its place. False: the sum is more than 64 bits hold.
static bool add_under(struct bytes state, struct bytes key, int64_t n, struct buf *out) {
  uint32_t count;
  struct mp in = sums_of(state, &count);
  struct buf pairs = {0};
  struct sums sums = {.out = &pairs};
  bool is_in = false, ok = true;
  for (; ok && count; count--) {
    struct bytes k;
    int64_t old;
    CHECK(mp_take_str(&in, &k) && read_int(&in, &old));
    int order = is_in ? -1 : compare(k, key);
    if (order == 0) ok = !__builtin_add_overflow(old, n, &old);
    if (order > 0) put_sum(&sums, key, n);
    if (order >= 0) is_in = true;
    put_sum(&sums, k, old);
  }
  if (!is_in) put_sum(&sums, key, n);
  mp_put_map(out, sums.count);
  buf_append_bytes(out, buf_bytes(&pairs));
  buf_deinit(&pairs);
  return ok;
}

void tally_add(const struct entity *before, const struct message *message, struct message_effects *effects) {
  struct add add;
  if (!read_add(message->body, &add)) {
    message_refuse(effects, ITD_EINVAL, "a tally.add is [key, n] or [key, n, legs]");
    return;
  }
  int64_t n = add.n;
  if (add.legs.n && !pass_on(&add, &n, effects)) {
    message_refuse(effects, ITD_EINVAL, "a leg of a tally.add is [to, n, legs or nil]");
    return;
  }
  struct bytes state = entity_state(before), key = add.key;
  uint32_t count;
  sums_of(state, &count);
  if (count >= TALLY_KEYS_MAX && !has_key(state, key)) key = BYTES_LIT(TALLY_REST);
  if (!add_under(state, key, n, &effects->state)) message_refuse(effects, ITD_ETOOBIG, "the sum is too large");
}

int64_t tally_value(const struct entity *tally, struct bytes key) {
  uint32_t count;
  struct mp in = sums_of(entity_state(tally), &count);
  for (; count; count--) {
    struct bytes k;
    int64_t n;
    if (!mp_take_str(&in, &k) || !read_int(&in, &n)) break;
    if (bytes_eq(k, key)) return n;
  }
  return 0;
}
