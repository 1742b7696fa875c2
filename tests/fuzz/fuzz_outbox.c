// What an outbox is loaded from, with its checksum made right so that the fuzzer comes past it: refused, or what it holds is saved as the
// same bytes again, and gets where it is sent, each message once, over a way that doubles. And a frame's list of messages.
#include "base/hash.h"
#include "base/le.h"
#include "fuzz.h"
#include "store/outbox.h"

#define PARTITIONS 4

static struct outbox *outbox(void) {
  const struct outbox_options options = {
      .partitions = PARTITIONS, .shards = 1, .bytes_max = 1 << 16, .window = 4, .window_bytes = 4096, .resend_ms = 10};
  return outbox_new(&options);
}

static bool has_room(void *context, unsigned shard) { return context && shard == 0; }
static void give(void *context, unsigned shard, struct bytes batch) {
  CHECK(shard == 0 && batch.n);
  buf_append_bytes(context, batch);
}

struct way {
  struct outbox *to;
  uint64_t place, applied;
};
static int apply(void *context, unsigned to, unsigned from, uint64_t n, const struct message *m, struct error *err) {
  struct way *way = context;
  (void)m;
  way->applied++;
  return outbox_received(way->to, to, from, n, ++way->place, err);
}

static void move_all(struct outbox *o) {
  struct way way = {.to = o, .place = 10};
  struct buf batch = {0};
  uint64_t pending = outbox_stats(o).pending;
  outbox_synced(o, 10);
  for (int64_t now = 100; now < 100000 && outbox_stats(o).pending; now += 100) {
    struct error err = {0};
    buf_clear(&batch);
    outbox_give(o, now, &(struct outbox_transport){.has_room = has_room, .give = give, .context = &batch});
    struct buf exact = fuzz_exact(buf_bytes(&batch));
    for (int i = 0; i < 2; i++) CHECK(outbox_take(o, buf_bytes(&exact), apply, &way, &err) == 0);
    buf_deinit(&exact);
    outbox_synced(o, way.place + 1);
  }
  CHECK(way.applied <= pending);
  buf_deinit(&batch);
}

static void load(struct bytes saved) {
  struct outbox *o = outbox(), *other = outbox();
  struct error err = {0};
  uint64_t seq = 0, again = 0;
  unsigned partition = saved.n >= 6 ? get16(saved.p + 4) % PARTITIONS : 0;
  struct buf out = {0};
  int rc = outbox_load(o, partition, saved, &seq, &err);
  CHECK(rc == 0 || ((rc == ITD_ECORRUPT || rc == ITD_EVERSION) && err.code == rc && err.text[0]));
  struct message sender = {.number = 1};
  bool has_more = rc == 0 && outbox_sent(o, &sender, partition, (struct bytes){0}, 1, &err) == 0;
  if (has_more && outbox_save(o, partition, seq, &out)) {
    CHECK(outbox_load(other, partition, buf_bytes(&out), &again, &err) == 0 && again == seq);
    for (unsigned p = 0; p < PARTITIONS; p++) {
      struct outbox_numbers a = outbox_numbers(o, partition, p), b = outbox_numbers(other, partition, p);
      CHECK(a.sent == b.sent && a.received == b.received);
    }
  }
  if (rc == 0 && outbox_settle(o, o, &err) == 0) move_all(o);
  outbox_free(o);
  outbox_free(other);
  buf_deinit(&out);
}

static void send(struct bytes list) {
  struct outbox *o = outbox();
  struct error err = {0};
  struct message sender = {.number = 7, .at_ms = 5};
  int rc = outbox_sent(o, &sender, 1, list, 5, &err);
  CHECK(rc == 0 || ((rc == ITD_ECORRUPT || rc == ITD_EVERSION) && err.text[0]));
  if (rc == 0) {
    struct buf out = {0};
    if (outbox_save(o, 1, 3, &out)) load(buf_bytes(&out));
    buf_deinit(&out);
    move_all(o);
  }
  outbox_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n > 8192 || n < 1) return 0;
  struct buf in = fuzz_exact(bytes_of(p + 1, n - 1));
  if (p[0] % 2) {
    send(buf_bytes(&in));
  } else {
    if (in.n >= 24) {
      put32(in.p, 1);
      put64(in.p + in.n - 8, hash64(bytes_of(in.p, in.n - 8)));
    }
    load(buf_bytes(&in));
  }
  buf_deinit(&in);
  return 0;
}
