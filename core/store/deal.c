// A ring of batches for each thread. A batch is a buffer: frames as structs, each with its sections behind it.
#include "store/deal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/journal_format.h"

#define BATCH_BYTES (256u << 10)
#define QUEUE       4u // batches on the way to a thread

struct dealt { // in a batch, before its sections
  struct frame frame;
  uint64_t place, number; // number: of all that was dealt
  size_t size;            // of the sections
};
struct hand { // a thread
  struct deal *deal;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct buf batch[QUEUE]; // ring
  unsigned first, count;
  bool is_ended;
  struct buf next; // being filled, the dealer's
  int rc;
  uint64_t failed; // number of the frame
  struct error err;
};
struct deal {
  journal_visit visit;
  void *context;
  unsigned threads;
  uint64_t number;
  _Atomic bool has_failed;
  struct hand hand[];
};

static void visit_batch(struct hand *h, struct buf *b) {
  for (size_t at = 0; at < b->n && !h->rc;) {
    struct dealt *d = (struct dealt *)(void *)(b->p + at);
    const uint8_t *from = b->p + at + sizeof *d;
    struct bytes *section[FRAME_SECTIONS];
    frame_sections(&d->frame, section);
    for (int i = 0; i < FRAME_SECTIONS; i++) section[i]->p = from, from += section[i]->n;
    h->rc = h->deal->visit(h->deal->context, &d->frame, d->place, &h->err);
    if (h->rc) {
      h->failed = d->number;
      atomic_store(&h->deal->has_failed, true);
    }
    at += sizeof *d + align8(d->size);
  }
}

static void *work(void *arg) {
  struct hand *h = arg;
  pthread_mutex_lock(&h->lock);
  for (;;) {
    while (!h->count && !h->is_ended) pthread_cond_wait(&h->changed, &h->lock);
    if (!h->count) break;
    struct buf *b = &h->batch[h->first];
    pthread_mutex_unlock(&h->lock);
    visit_batch(h, b);
    pthread_mutex_lock(&h->lock);
    buf_clear(b);
    h->first = (h->first + 1) % QUEUE;
    h->count--;
    pthread_cond_signal(&h->changed);
  }
  pthread_mutex_unlock(&h->lock);
  return NULL;
}

struct deal *deal_start(unsigned threads, journal_visit visit, void *context) {
  struct deal *d = xcalloc(1, sizeof *d + threads * sizeof *d->hand);
  d->visit = visit;
  d->context = context;
  d->threads = threads;
  for (unsigned i = 0; i < threads; i++) {
    struct hand *h = &d->hand[i];
    h->deal = d;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    CHECK(pthread_create(&h->thread, NULL, work, h) == 0);
  }
  return d;
}

static void give(struct hand *h) {
  pthread_mutex_lock(&h->lock);
  while (h->count == QUEUE) pthread_cond_wait(&h->changed, &h->lock);
  struct buf *b = &h->batch[(h->first + h->count) % QUEUE], was = *b;
  *b = h->next; // buffers go round
  h->next = was;
  h->count++;
  pthread_cond_signal(&h->changed);
  pthread_mutex_unlock(&h->lock);
}

int deal_frame(struct deal *d, unsigned to, const struct frame *frame, uint64_t place, struct error *err) {
  if (!d->threads) return d->visit(d->context, frame, place, err);
  if (atomic_load_explicit(&d->has_failed, memory_order_relaxed))
    return error_set(err, ITD_ESHUTDOWN, "a frame before could not be folded");
  struct hand *h = &d->hand[to % d->threads];
  struct dealt dealt = {.frame = *frame, .place = place, .number = d->number++};
  struct bytes *section[FRAME_SECTIONS];
  frame_sections(&dealt.frame, section);
  for (int i = 0; i < FRAME_SECTIONS; i++) dealt.size += section[i]->n;
  uint8_t *p = buf_reserve(&h->next, sizeof dealt + align8(dealt.size));
  memcpy(p, &dealt, sizeof dealt);
  p += sizeof dealt;
  for (int i = 0; i < FRAME_SECTIONS; i++) {
    if (section[i]->n) memcpy(p, section[i]->p, section[i]->n);
    p += section[i]->n;
  }
  h->next.n += sizeof dealt + align8(dealt.size);
  if (h->next.n >= BATCH_BYTES) give(h);
  return 0;
}

int deal_end(struct deal *d, int rc, struct error *err) {
  uint64_t first = UINT64_MAX;
  for (unsigned i = 0; i < d->threads; i++) {
    struct hand *h = &d->hand[i];
    if (h->next.n) give(h);
    pthread_mutex_lock(&h->lock);
    h->is_ended = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
  }
  for (unsigned i = 0; i < d->threads; i++) {
    struct hand *h = &d->hand[i];
    pthread_join(h->thread, NULL);
    if (h->rc && h->failed < first) {
      first = h->failed;
      rc = h->rc;
      if (err) *err = h->err;
    }
    for (unsigned k = 0; k < QUEUE; k++) buf_deinit(&h->batch[k]);
    buf_deinit(&h->next);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
  }
  free(d);
  return rc;
}
