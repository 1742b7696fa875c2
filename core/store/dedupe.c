// Messages in the order of their arrival: the table's own order is the queue of what expires next.
#include "store/dedupe.h"

struct message_entry {
  struct table_entry head;
  uint64_t place;
  int64_t received_ms;
};

void dedupe_init(struct dedupe *d, size_t max, int64_t window_ms) {
  *d = (struct dedupe){.max = max ? max : 1, .window_ms = window_ms, .newest_ms = INT64_MIN};
  table_init(&d->table, sizeof(struct message_entry));
}

void dedupe_deinit(struct dedupe *d) { table_deinit(&d->table); }

uint64_t dedupe_find(const struct dedupe *d, struct hash128 message) {
  const struct message_entry *e = table_find(&d->table, message);
  return e ? e->place : 0;
}

static bool is_expired(const struct dedupe *d, const struct message_entry *e) {
  int64_t edge; // a clock that was set far back or ahead must not overflow
  return !__builtin_sub_overflow(d->newest_ms, d->window_ms, &edge) && e->received_ms < edge;
}

void dedupe_add(struct dedupe *d, struct hash128 message, uint64_t place, int64_t received_ms) {
  if (received_ms > d->newest_ms) d->newest_ms = received_ms;
  while (table_count(&d->table) && is_expired(d, table_at(&d->table, 0))) table_drop_oldest(&d->table);
  if (table_find(&d->table, message)) return;
  while (table_count(&d->table) >= d->max) table_drop_oldest(&d->table);
  struct message_entry *e = table_add(&d->table, message);
  e->place = place;
  e->received_ms = received_ms;
}
