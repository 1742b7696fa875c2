#include "net/hub.h"

#include "net/daemon.h"
#include "wire/rpc.h"

#include <stdlib.h>

struct subscription {
  struct buf text; // copies of the filter's texts
  struct bytes lead, stage, action, owner;
  bool changed;
};

static int read_filter(struct bytes filter, struct subscription *s, struct error *err) {
  struct mp m = mp_of(filter);
  struct mp_value head = mp_next(&m);
  if (head.type == MP_NIL) return 0;
  if (head.type != MP_MAP) return error_set(err, ITD_EINVAL, "decision.subscribe: the filter is a map or nil");
  buf_reserve(&s->text, filter.n); // so that the views stay where they are
  for (uint32_t i = 0; i < head.count; i++) {
    struct bytes key = {0};
    (void)mp_as_str(mp_take(&m), &key);
    struct mp_value value = mp_value_of(mp_take(&m));
    struct bytes *into = bytes_is(key, "lead")     ? &s->lead
                         : bytes_is(key, "stage")  ? &s->stage
                         : bytes_is(key, "action") ? &s->action
                         : bytes_is(key, "owner")  ? &s->owner
                                                   : NULL;
    if (into && value.type == MP_STR) {
      *into = bytes_of(s->text.p + s->text.n, value.s.n);
      buf_append_bytes(&s->text, value.s);
    } else if (bytes_is(key, "changed") && value.type == MP_BOOL) {
      s->changed = value.b;
    } else {
      return error_set(err, ITD_EINVAL,
                       "decision.subscribe: \"%.*s\" is not a filter; allowed: lead, stage, action, owner (text), "
                       "changed (true or false)",
                       (int)(key.n > 40 ? 40 : key.n), (const char *)key.p);
    }
  }
  return 0;
}

static void subscription_free(struct subscription *s) {
  buf_deinit(&s->text);
  free(s);
}

int hub_join(struct conn *conn, struct bytes filter, struct error *err) {
  if (conn->subscription)
    return error_set(err, ITD_EBUSY, "this connection has a subscription already; open another one");
  struct subscription *s = xcalloc(1, sizeof *s);
  int status = read_filter(filter, s, err);
  if (status < 0) {
    subscription_free(s);
    return status;
  }
  conn->subscription = s;
  atomic_fetch_add(&conn->shard->daemon->subscribers[conn->shard->index], 1);
  return 0;
}

void hub_leave(struct conn *conn) {
  subscription_free(conn->subscription);
  conn->subscription = NULL;
  atomic_fetch_sub(&conn->shard->daemon->subscribers[conn->shard->index], 1);
}

bool hub_is_wanted(const struct daemon *daemon) {
  for (unsigned s = 0; s < daemon->shards; s++)
    if (atomic_load_explicit(&daemon->subscribers[s], memory_order_relaxed)) return true;
  return false;
}

static bool text_is(struct bytes decision, const char *key, struct bytes wanted) {
  struct bytes value;
  if (!wanted.n) return true;
  return mp_find(decision, bytes_str(key), &value) && mp_as_str(value, &value) && bytes_eq(value, wanted);
}

static bool matches(const struct subscription *s, struct bytes decision) {
  struct bytes before, after;
  if (!text_is(decision, "lead", s->lead) || !text_is(decision, "stage", s->stage) ||
      !text_is(decision, "action", s->action) || !text_is(decision, "owner", s->owner))
    return false;
  return !s->changed || (mp_find(decision, BYTES_LIT("stage_before"), &before) &&
                         mp_find(decision, BYTES_LIT("stage"), &after) && !bytes_eq(before, after));
}

static void notify(struct conn *c, struct bytes decisions) {
  for (struct mp m = mp_of(decisions); !mp_done(&m);) {
    struct bytes decision = mp_take(&m);
    if (!matches(c->subscription, decision)) continue;
    mp_put_array(&c->out, 3);
    mp_put_int(&c->out, 2);
    mp_put_cstr(&c->out, "decision");
    mp_put_array(&c->out, 1);
    buf_append_bytes(&c->out, decision);
    conn_answered(c);
  }
  if (c->out.n - c->out_at > c->shard->limits->subscriber_max) {
    metrics_add(&c->shard->metrics->subscribers_dropped, 1);
    conn_close(c);
  }
}

static void deliver(struct shard *shard, void *context) {
  struct buf *decisions = context;
  for (struct conn *c = shard->conns, *next; c; c = next) {
    next = c->next;
    if (c->subscription) notify(c, buf_bytes(decisions));
  }
  buf_deinit(decisions);
  free(decisions);
}

void hub_forget(struct shard *shard, struct lead_id lead) {
  struct buf kept = {0};
  char id[LEAD_ID_TEXT];
  lead_id_format(lead, id);
  for (struct mp m = mp_of(buf_bytes(&shard->publish)); !mp_done(&m);) {
    struct bytes decision = mp_take(&m), whose;
    bool is_theirs = mp_find(decision, BYTES_LIT("lead"), &whose) && mp_as_str(whose, &whose) && bytes_is(whose, id);
    if (!is_theirs) buf_append_bytes(&kept, decision);
  }
  buf_deinit(&shard->publish);
  shard->publish = kept;
}

void hub_publish(struct shard *shard) {
  if (!shard->publish.n) return;
  struct daemon *daemon = shard->daemon;
  for (unsigned s = 0; s < daemon->shards; s++) {
    if (!atomic_load_explicit(&daemon->subscribers[s], memory_order_relaxed)) continue;
    struct buf *copy = xcalloc(1, sizeof *copy);
    buf_append_bytes(copy, buf_bytes(&shard->publish));
    shard_post(daemon->threads[s], deliver, copy);
  }
  buf_clear(&shard->publish);
}
