#include "net/courier.h"

#include "base/check.h"

#define TURN_BATCHES 32           // bounds a turn's length and its commit
#define TURN_BYTES   (512u << 10) // likewise

bool courier_take(struct fabric *fabric, unsigned shard, struct intake *intake, int64_t received_ms) {
  unsigned batches = 0;
  size_t bytes = 0;
  bool is_empty = false;
  for (; !is_empty && batches < TURN_BATCHES && bytes < TURN_BYTES; batches++) {
    struct task *task = fabric_take_messages(fabric, shard);
    is_empty = !task;
    if (is_empty) break;
    struct error err = {0};
    bytes += task->input.n;
    CHECK(intake_take(intake, buf_bytes(&task->input), received_ms, &err) == 0);
    fabric_return(fabric, shard, task);
  }
  if (batches) fabric_flush(fabric, shard);
  return !is_empty;
}

void courier_drop(struct fabric *fabric, unsigned shard) {
  struct task *task;
  while ((task = fabric_take_messages(fabric, shard))) fabric_return(fabric, shard, task);
  fabric_flush(fabric, shard);
}

static bool has_room(void *context, unsigned shard) { return origin_has_room(context, shard, TASK_MESSAGES); }

static void give(void *context, unsigned shard, struct bytes batch) {
  CHECK(origin_send(context, shard, task_new(TASK_MESSAGES, batch, 0)));
}

bool courier_give(struct origin *origin, struct store_shard *store, uint64_t now_ns, uint64_t *due_ns) {
  int64_t due_ms;
  struct outbox_transport rings = {.has_room = has_room, .give = give, .context = origin};
  bool is_left = store_give(store, (int64_t)(now_ns / 1000000), &rings, &due_ms);
  *due_ns = due_ms == INT64_MAX ? UINT64_MAX : (uint64_t)due_ms * 1000000;
  return is_left;
}
