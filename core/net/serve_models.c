// model.list, model.activate and model.rollback: administration on the Unix socket. The control thread does it, and the
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
                             : models_put_in_force(daemon, &job->order, &job->answer, &job->error);
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

static int read_order(const struct call *call, struct model_order *o, bool is_rollback, struct error *err) {
  o->is_rollback = is_rollback;
  snprintf(o->by, sizeof o->by, "uid %u", (unsigned)call->conn->uid);
  if (!read_text(call->param, "name", 1, o->name, sizeof o->name) ||
      (!is_rollback && !read_text(call->param, "version", 1, o->version, sizeof o->version)))
    return error_set(err, ITD_EINVAL, "%s takes a map: {name%s, why}", call->method, is_rollback ? "" : ", version");
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

static bool put_in_force(const struct call *call, bool is_rollback) {
  struct model_order order = {0};
  struct error err = {0};
  if (read_order(call, &order, is_rollback, &err) < 0)
    call_error(call, &err);
  else
    begin_job(call, &order);
  return true;
}

bool model_activate_call(const struct call *call) { return put_in_force(call, false); }
bool model_rollback_call(const struct call *call) { return put_in_force(call, true); }

bool model_list_call(const struct call *call) {
  begin_job(call, NULL);
  return true;
}
