#include "store/channel_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/ids.h"
#include "store/outbox.h"

#define UNKNOWN UINT64_MAX

struct numbers { // of a channel; UNKNOWN: frames that would tell are not there
  uint64_t sent, received;
};

struct channel_check {
  unsigned partitions;
  bool was_begun, has_frame[256];
  struct numbers *channel; // [from * partitions + to]
};

struct channel_check *channel_check_new(void) {
  return xcalloc(1, sizeof(struct channel_check));
}

void channel_check_free(struct channel_check *c) {
  if (!c) return;
  free(c->channel);
  free(c);
}

static struct numbers *channel_of(struct channel_check *c, unsigned from, unsigned to) {
  return &c->channel[from * c->partitions + to];
}

static void set_all(struct channel_check *c, uint64_t n) {
  for (unsigned i = 0; i < c->partitions * c->partitions; i++) c->channel[i] = (struct numbers){n, n};
}

void channel_check_begin(struct channel_check *c, unsigned partitions) {
  free(c->channel);
  c->partitions = partitions;
  c->channel = xcalloc((size_t)partitions * partitions, sizeof *c->channel);
  memset(c->has_frame, c->was_begun, sizeof c->has_frame);
  if (!c->was_begun) set_all(c, UNKNOWN); // else channels begin with the first frame that follows
  c->was_begun = true;
}

void channel_check_lose(struct channel_check *c) {
  memset(c->has_frame, true, sizeof c->has_frame);
  if (c->channel) set_all(c, UNKNOWN);
}

// A partition's first frame: if it is the first there ever was, nothing was sent or received before.
static void begin_partition(struct channel_check *c, const struct frame *f) {
  unsigned p = f->partition;
  if (c->has_frame[p]) return;
  c->has_frame[p] = true;
  if (f->seq != 1) return;
  for (unsigned q = 0; q < c->partitions; q++) channel_of(c, p, q)->sent = channel_of(c, q, p)->received = 0;
}

static bool count_sent(struct channel_check *c, const struct frame *f) {
  struct bytes list = f->messages;
  struct message m;
  int more;
  while ((more = message_next(&list, &m, NULL)) > 0) {
    struct numbers *n = channel_of(c, f->partition, slot_partition(lead_id_slot(m.to), c->partitions));
    if (n->sent != UNKNOWN) n->sent++;
  }
  return more == 0;
}

bool channel_check_frame(struct channel_check *c, const struct frame *f, char what[200]) {
  if (f->partition >= c->partitions) return true; // the walk judges that
  begin_partition(c, f);
  if (!count_sent(c, f)) {
    snprintf(what, 200, "partition %u, frame %llu: its list of messages does not read", f->partition,
             (unsigned long long)f->seq);
    return false;
  }
  if (!f->from_n) return true;
  if (f->from >= c->partitions) {
    snprintf(what, 200, "partition %u, frame %llu: a message from partition %u, which there is not", f->partition,
             (unsigned long long)f->seq, f->from);
    return false;
  }
  struct numbers *n = channel_of(c, f->from, f->partition);
  uint64_t before = n->received;
  n->received = f->from_n;
  if (before == UNKNOWN || f->from_n == before + 1) return true;
  snprintf(what, 200, "partition %u, frame %llu: message %llu from partition %u was applied after message %llu",
           f->partition, (unsigned long long)f->seq, (unsigned long long)f->from_n, f->from,
           (unsigned long long)before);
  return false;
}

// Takes a number that is not known yet; false: it is, and is another.
static bool agree(uint64_t *known, uint64_t says) {
  if (*known == UNKNOWN) *known = says;
  return *known == says;
}

bool channel_check_base(struct channel_check *c, unsigned partition, struct bytes saved, char what[200]) {
  if (partition >= c->partitions) return true;
  struct outbox_options options = {.partitions = c->partitions, .shards = c->partitions, .index = partition};
  struct outbox *o = outbox_new(&options);
  struct error err = {0};
  uint64_t seq;
  bool ok = !saved.n || outbox_load(o, partition, saved, &seq, &err) == 0;
  if (!ok) snprintf(what, 200, "%.190s", err.text);
  for (unsigned q = 0; ok && q < c->partitions; q++) {
    struct outbox_numbers says = outbox_numbers(o, partition, q);
    ok = agree(&channel_of(c, partition, q)->sent, says.sent) &&
         agree(&channel_of(c, q, partition)->received, says.received);
    if (!ok)
      snprintf(what, 200, "the base of partition %u has other numbers of messages to or from partition %u", partition,
               q);
  }
  c->has_frame[partition] = true;
  outbox_free(o);
  return ok;
}

bool channel_check_end(struct channel_check *c, char what[200]) {
  for (unsigned from = 0; from < c->partitions; from++)
    for (unsigned to = 0; to < c->partitions; to++) {
      const struct numbers *n = channel_of(c, from, to);
      if (n->sent == UNKNOWN || n->received == UNKNOWN || n->received <= n->sent) continue;
      snprintf(what, 200, "partition %u applied message %llu from partition %u, which sent no more than %llu", to,
               (unsigned long long)n->received, from, (unsigned long long)n->sent);
      return false;
    }
  return true;
}
