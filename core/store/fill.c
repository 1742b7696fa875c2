#include "store/fill.h"

#include <stdio.h>

#include "store/intake_private.h"

static void put_hex(struct buf *out, uint64_t number) {
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)number);
  mp_put_cstr(out, text);
}

static bool take_hex(struct bytes text, uint64_t *out) {
  uint8_t b[8];
  if (hex_decode(text, b, sizeof b) != 0) return false;
  *out = 0;
  for (size_t i = 0; i < sizeof b; i++) *out = *out << 8 | b[i];
  return true;
}

static void put_event(const struct fill *fill, struct buf *out) {
  char id[LEAD_ID_TEXT];
  struct mp m = mp_of(fill->slices);
  uint32_t count = mp_next(&m).count;
  lead_id_format(fill->of, id);
  mp_put_map(out, 3);
  mp_put_cstr(out, "of"), mp_put_cstr(out, id);
  mp_put_cstr(out, "until"), put_hex(out, fill->until);
  mp_put_cstr(out, "features"), mp_put_array(out, count);
  for (uint32_t i = 0; i < count; i++) {
    put_hex(out, mp_next(&m).u);
    mp_take(&m);
  }
}

static void append(struct intake *in, struct lead *lead, const struct fill *fill, int64_t received_ms) {
  struct frame frame = {.kind = FRAME_FILL,
                        .entity = lead->id,
                        .partition = (uint16_t)store_partition_of_lead(in->store, lead->id),
                        .received_ms = received_ms};
  buf_clear(&in->clear);
  buf_clear(&in->sealed);
  put_event(fill, &in->clear);
  store_seal(in->shard, lead->id, fill->slices, &in->sealed);
  intake_stamp(in, &frame);
  frame.event = buf_bytes(&in->clear);
  frame.secret = buf_bytes(&in->sealed);
  frame.effects = lead_effects(lead);
  frame.now_ms = lead->now_ms;
  frame.number = lead->number;
  frame.digest = lead_digest(lead);
  frame.previous = lead->place;
  lead->place = store_append(in->shard, &frame);
  lead->seq = frame.seq;
}

int intake_fill(struct intake *in, struct lead_id *to, const struct fill *fill, int64_t received_ms,
                struct error *err) {
  struct lead *lead = store_lead(in->shard, *to);
  struct store_who who;
  size_t filled;
  if (!lead || !store_who(in->shard, *to, &who)) return error_set(err, ITD_ENOTFOUND, "the lead is not there any more");
  if (lead->flags & LEAD_SEALED) {
    *to = lead->into;
    return FILL_ELSEWHERE;
  }
  // What the release in force does not define is not taken in, and its frame must not say that it was: it is owed as before.
  struct buf taken = {0};
  int status = engine_fill(in->engine, &lead, fill->slices, &taken, &filled, err);
  if (status == 0 && filled > 0) {
    struct fill mine = {.of = fill->of, .until = fill->until, .slices = buf_bytes(&taken)};
    append(in, lead, &mine, received_ms);
    store_put(in->shard, lead);
  }
  if (taken.p) explicit_bzero(taken.p, taken.cap);
  buf_deinit(&taken);
  return status ? status : filled > 0;
}

int fill_read(const struct frame *frame, struct fill *fill, uint64_t *hashes, size_t *count, struct error *err) {
  struct bytes of, until, text, list = {0};
  bool ok = mp_find(frame->event, BYTES_LIT("of"), &of) && mp_as_str(of, &of) && lead_id_parse(of, &fill->of) == 0 &&
            mp_find(frame->event, BYTES_LIT("until"), &until) && mp_as_str(until, &until) &&
            take_hex(until, &fill->until) && mp_find(frame->event, BYTES_LIT("features"), &list);
  struct mp m = {0};
  struct mp_value head = {0};
  if (ok) {
    m = mp_of(list);
    head = mp_next(&m);
  }
  ok = ok && head.type == MP_ARRAY && head.count <= FEATURES_MAX;
  for (*count = 0; ok && *count < head.count; (*count)++)
    ok = mp_as_str(mp_take(&m), &text) && take_hex(text, &hashes[*count]);
  fill->slices = (struct bytes){0};
  return ok ? 0 : error_set(err, ITD_ECORRUPT, "a fill's frame does not say what was filled in");
}
