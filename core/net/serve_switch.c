// workspace.switch: administration on the Unix socket. The control thread does it, and the answer comes back to the
// connection's shard.
#include "net/serve_private.h"
#include "net/switch.h"

#include "base/suggest.h"

#include <stdio.h>
#include <stdlib.h>

struct job {
  struct conn *conn;
  struct shard_thread *thread;
  uint32_t id;
  bool has_reply;
  struct workspace_switch to;
  enum policy_switch before;
  int status;
  struct error error;
};

static void answer_job(struct shard *shard, void *context) {
  struct job *job = context;
  struct call call = {.conn = job->conn, .id = job->id, .has_reply = job->has_reply};
  (void)shard;
  if (!job->conn->is_closed) {
    if (job->status < 0) {
      call_error(&call, &job->error);
    } else if (call_head(&call)) {
      struct buf *out = &job->conn->out;
      mp_put_map(out, 3);
      mp_put_cstr(out, "changed"), mp_put_bool(out, job->before != job->to.to);
      mp_put_cstr(out, "before"), mp_put_cstr(out, switch_name(job->before));
      mp_put_cstr(out, "switch"), switch_put(&job->to, out);
    }
  }
  conn_unref(job->conn);
  free(job);
}

static void run_job(struct daemon *daemon, void *context) {
  struct job *job = context;
  job->to.at_ms = clock_wall_ms();
  job->status = switch_turn(daemon, &job->to, &job->before, &job->error);
  shard_post(job->thread, answer_job, job);
}

static int read_order(const struct call *call, struct workspace_switch *s, struct error *err) {
  static const char *const names[] = {"act", "score", "collect"};
  struct bytes value, to, why;
  if (mp_value_of(call->param).type != MP_MAP || !mp_find(call->param, BYTES_LIT("to"), &value) ||
      !mp_as_str(value, &to))
    return error_set(err, ITD_EINVAL, "workspace.switch takes a map: {to: act, score or collect, why}");
  if (!switch_of(to, &s->to)) {
    const char *near = suggest(to, names, 3);
    return error_set(err, ITD_EINVAL, "workspace.switch: to is act, score or collect%s%s%s",
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  }
  bool has_why = mp_find(call->param, BYTES_LIT("why"), &value) && mp_as_str(value, &why) && why.n > 0 &&
                 why.n < sizeof s->why && !memchr(why.p, 0, why.n) && bytes_is_utf8(why);
  if (!has_why)
    return error_set(err, ITD_EINVAL, "workspace.switch: why is a text of 1 to %zu bytes: the journal keeps it",
                     sizeof s->why - 1);
  memcpy(s->why, why.p, why.n);
  snprintf(s->by, sizeof s->by, "uid %u", (unsigned)call->conn->uid);
  return 0;
}

bool workspace_switch_call(const struct call *call) {
  struct workspace_switch to = {0};
  struct error err = {0};
  if (read_order(call, &to, &err) < 0) {
    call_error(call, &err);
    return true;
  }
  struct shard *shard = call->conn->shard;
  struct job *job = xcalloc(1, sizeof *job);
  job->conn = call->conn;
  job->thread = shard->daemon->threads[shard->index];
  job->id = call->id;
  job->has_reply = call->has_reply;
  job->to = to;
  conn_ref(call->conn);
  daemon_post(shard->daemon, run_job, job);
  return true;
}
