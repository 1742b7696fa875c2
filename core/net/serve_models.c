// model.list, model.activate, model.canary and model.rollback: administration on the Unix socket. The control thread does it, and the
// answer comes back to the connection's shard.
#include "net/models.h"
#include "net/serve_private.h"

#include <stdio.h>
#include <stdlib.h>

struct job {
  struct conn *conn;
  struct shard_thread *thread;
  uint32_t id;
  bool has_reply, is_list;
  struct model_order order;
  int status;
  struct error error;
  struct buf answer;
};

static void answer_job(struct shard *shard, void *context) {
  struct job *job = context;
  struct call call = {.conn = job->conn, .id = job->id, .has_reply = job->has_reply};
  (void)shard;
  if (!job->conn->is_closed) {
    if (job->status < 0)
      call_error(&call, &job->error);
    else if (call_head(&call))
      buf_append_bytes(&job->conn->out, buf_bytes(&job->answer));
  }
  conn_unref(job->conn);
  buf_deinit(&job->answer);
  free(job);
}

static void run_job(struct daemon *daemon, void *context) {
  struct job *job = context;
  job->status = job->is_list ? models_put_list(daemon, &job->answer, &job->error)
                             : models_carry_out(daemon, &job->order, &job->answer, &job->error);
  shard_post(job->thread, answer_job, job);
}

// A text of the order's map. False: it is missing (where it must be there), too long, or none.
static bool read_text(struct bytes map, const char *key, size_t least, char *out, size_t size) {
  struct bytes value, text;
  if (mp_value_of(map).type != MP_MAP || !mp_find(map, bytes_str(key), &value) || !mp_as_str(value, &text))
    return false;
  if (text.n < least || text.n >= size || (text.n && memchr(text.p, 0, text.n))) return false;
  memcpy(out, text.p, text.n);
  out[text.n] = 0;
  return true;
}

static bool read_share(struct bytes map, uint32_t *out) {
  struct bytes value;
  if (mp_value_of(map).type != MP_MAP || !mp_find(map, BYTES_LIT("share"), &value)) return false;
  struct mp_value v = mp_value_of(value);
  *out = (uint32_t)v.i;
  return v.type == MP_INT && v.i >= 0 && v.i < POLICY_SHARE_ALL;
}

static int read_order(const struct call *call, struct model_order *o, struct error *err) {
  static const char *const takes[] = {", version", "", ", version, share"};
  snprintf(o->by, sizeof o->by, "uid %u", (unsigned)call->conn->uid);
  if (!read_text(call->param, "name", 1, o->name, sizeof o->name) ||
      (o->kind != ORDER_ROLLBACK && !read_text(call->param, "version", 1, o->version, sizeof o->version)))
    return error_set(err, ITD_EINVAL, "%s takes a map: {name%s, why}", call->method, takes[o->kind]);
  if (o->kind == ORDER_CANARY && !read_share(call->param, &o->share))
    return error_set(err, ITD_EINVAL,
                     "%s: share is how many ten-thousandths of the leads the version decides for, 0 to %u; for all of "
                     "them it is activated",
                     call->method, POLICY_SHARE_ALL - 1);
  if (!read_text(call->param, "why", 1, o->why, sizeof o->why))
    return error_set(err, ITD_EINVAL, "%s: why is a text of 1 to %zu bytes: the journal keeps it", call->method,
                     sizeof o->why - 1);
  return 0;
}

static void begin_job(const struct call *call, const struct model_order *order) {
  struct shard *shard = call->conn->shard;
  struct job *job = xcalloc(1, sizeof *job);
  job->conn = call->conn;
  job->thread = shard->daemon->threads[shard->index];
  job->id = call->id;
  job->has_reply = call->has_reply;
  job->is_list = order == NULL;
  if (order) job->order = *order;
  conn_ref(call->conn);
  daemon_post(shard->daemon, run_job, job);
}

static bool carry_out(const struct call *call, enum model_order_kind kind) {
  struct model_order order = {.kind = kind};
  struct error err = {0};
  if (read_order(call, &order, &err) < 0)
    call_error(call, &err);
  else
    begin_job(call, &order);
  return true;
}

bool model_activate_call(const struct call *call) { return carry_out(call, ORDER_ACTIVATE); }
bool model_rollback_call(const struct call *call) { return carry_out(call, ORDER_ROLLBACK); }
bool model_canary_call(const struct call *call) { return carry_out(call, ORDER_CANARY); }

bool model_list_call(const struct call *call) {
  begin_job(call, NULL);
  return true;
}
