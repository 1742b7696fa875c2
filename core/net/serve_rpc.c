// The methods of section 6 over MessagePack-RPC, and administration on the Unix socket. A row a method.
#include "base/check.h"
#include "base/log.h"
#include "net/backfill.h"
#include "net/daemon.h"
#include "net/hub.h"
#include "net/serve_private.h"
#include "store/forget.h"
#include "wire/rpc.h"

#include <stdlib.h>

void call_error(const struct call *call, const struct error *err) {
  metrics_error(call->conn->shard->metrics, err->code);
  if (!call->has_reply) return;
  rpc_put_error(&call->conn->out, call->id, err);
  call->conn->unanswered++;
  conn_answered(call->conn);
}

bool call_head(const struct call *call) {
  if (!call->has_reply) return false;
  rpc_put_result_head(&call->conn->out, call->id);
  call->conn->unanswered++;
  conn_answered(call->conn);
  return true;
}

// ---- what a request of tasks does when all are back ----

struct call call_of(const struct request *request) {
  return (struct call){.conn = request->owner, .id = request->id, .has_reply = request->has_reply};
}

// The first task that succeeded, else the first one's error that says more than "not here": a question may have been
// put to several partitions.
const struct task *call_best(const struct request *request) {
  const struct task *answer = request->task[request->count - 1];
  for (uint32_t i = request->count; i-- > 0;) {
    bool says_more =
        answer->status == ITD_ENOTFOUND || (answer->status < 0 && request->task[i]->status != ITD_ENOTFOUND);
    if (request->task[i]->status == 0 || says_more) answer = request->task[i];
  }
  return answer;
}

void call_done_any(struct request *request) {
  struct call call = call_of(request);
  struct conn *conn = request->owner;
  const struct task *answer = call_best(request);
  if (!conn->is_closed) {
    if (answer->status < 0) {
      call_error(&call, &answer->error);
    } else if (call_head(&call)) {
      buf_append_bytes(&conn->out, buf_bytes(&answer->answer));
    }
  }
  conn_end(conn, request);
}

// event.batch: a list in the order of the events, a decision or {error: {…}} each.
static void done_batch(struct request *request) {
  struct call call = call_of(request);
  struct conn *conn = request->owner;
  if (!conn->is_closed) {
    if (call_head(&call)) mp_put_array(&conn->out, request->count);
    for (uint32_t i = 0; i < request->count; i++) {
      const struct task *task = request->task[i];
      if (task->status < 0) metrics_error(conn->shard->metrics, task->status);
      if (!call.has_reply) continue;
      if (task->status == 0) {
        buf_append_bytes(&conn->out, buf_bytes(&task->answer));
        continue;
      }
      mp_put_map(&conn->out, 1);
      mp_put_cstr(&conn->out, "error");
      error_put(&conn->out, &task->error);
    }
  }
  conn_end(conn, request);
}

struct request *call_request(const struct call *call, uint32_t count, void (*done)(struct request *)) {
  struct request *request = request_new(count, done, call->conn);
  request->id = call->id;
  request->has_reply = call->has_reply;
  request->wants = call->wants;
  conn_begin(call->conn, request, call->param.n);
  return request;
}

// ---- events ----

static int route(struct shard *shard, struct bytes event, unsigned *partition, struct error *err) {
  return intake_route(shard->daemon->store, &shard->daemon->intake, event, shard->turn_ms, partition, err);
}

// An event that this shard found to be another lead's.
static void go_on(const struct call *call, const struct intake_way *way) {
  struct shard *shard = call->conn->shard;
  struct request *request = call_request(call, 1, call_done_any);
  struct task *task = request->task[0] = task_new(TASK_EVENT, call->param, shard->turn_ms);
  task->origin = shard->index;
  task->request = request;
  task->wants = request->wants;
  shard_send_on(shard, task, way);
  task_list_add(&shard->answered, task);
}

static bool event_ingest(const struct call *call) {
  struct shard *shard = call->conn->shard;
  struct error err = {0};
  unsigned partition;
  if (route(shard, call->param, &partition, &err) < 0) {
    shard_quarantine(shard, &err, call->param); // it names no partition
    call_error(call, &err);
    return true;
  }
  if (store_shard_of(shard->daemon->store, partition) != shard->index || call->wants) {
    if (!origin_room(shard->origin)) return false;
    shard_submit(shard, call_request(call, 1, call_done_any), 0, TASK_EVENT, partition, call->param);
    return true;
  }
  if (shard_allows(shard, TASK_EVENT, &err) < 0) {
    call_error(call, &err);
    return true;
  }
  // This shard's own: the decision is written straight into the answers.
  struct buf *out = &call->conn->out;
  size_t start = out->n;
  uint64_t before_ns = clock_mono_ns();
  rpc_put_result_head(out, call->id);
  struct intake_way way;
  int status = intake_event_on(shard->intake, call->param, shard->turn_ms, NULL, &way, out, &err);
  hist_add(&shard->metrics->hop_decide, clock_mono_ns() - before_ns);
  if (status || !call->has_reply) out->n = start;
  if (status == INTAKE_ELSEWHERE) {
    go_on(call, &way);
  } else if (status < 0) {
    call_error(call, &err);
  } else if (call->has_reply) {
    call->conn->unanswered++;
    conn_answered(call->conn);
  }
  return true;
}

static bool event_batch(const struct call *call) {
  struct shard *shard = call->conn->shard;
  struct error err = {0};
  struct mp m = mp_of(call->param);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY || head.count == 0 || head.count > shard->limits->batch_max) {
    error_set(&err, head.type == MP_ARRAY && head.count ? ITD_ETOOBIG : ITD_EINVAL,
              "event.batch takes a list of 1 to %u events (net.batch)", shard->limits->batch_max);
    call_error(call, &err);
    return true;
  }
  if (origin_room(shard->origin) < head.count) return false;
  struct request *request = call_request(call, head.count, done_batch);
  for (uint32_t i = 0; i < head.count; i++) {
    struct bytes event = mp_take(&m);
    unsigned partition;
    err = (struct error){0};
    if (route(shard, event, &partition, &err) == 0) {
      shard_submit(shard, request, i, TASK_EVENT, partition, event);
      continue;
    }
    shard_quarantine(shard, &err, event);
    request->task[i] = task_new(TASK_EVENT, (struct bytes){0}, shard->turn_ms);
    request->task[i]->status = err.code;
    request->task[i]->error = err;
    request_settle(request);
  }
  return true;
}

static bool event_validate(const struct call *call) {
  struct shard *shard = call->conn->shard;
  struct error err = {0};
  unsigned partition;
  if (route(shard, call->param, &partition, &err) < 0) {
    call_error(call, &err);
    return true;
  }
  if (!origin_room(shard->origin)) return false;
  shard_submit(shard, call_request(call, 1, call_done_any), 0, TASK_VALIDATE, partition, call->param);
  return true;
}

// ---- questions ----

static bool ask_then(const struct call *call, enum task_kind kind, void (*done)(struct request *)) {
  struct shard *shard = call->conn->shard;
  struct bytes who;
  struct error err = {0};
  if (!mp_as_str(call->param, &who) || who.n == 0 || who.n > shard->daemon->intake.limits.id_max) {
    error_set(&err, ITD_EINVAL, "%s takes one text: %s", call->method,
              kind == TASK_DECISION ? "a decision_id" : "a lead id, a userId, an anonymousId or a decision_id");
    call_error(call, &err);
    return true;
  }
  if (origin_room(shard->origin) < WHOSE_MAX) return false;
  unsigned partition[WHOSE_MAX];
  uint32_t count = intake_whose(shard->daemon->store, &shard->daemon->intake, who, partition);
  struct request *request = call_request(call, count, done);
  for (uint32_t i = 0; i < count; i++) shard_submit(shard, request, i, kind, partition[i], who);
  return true;
}

static bool ask(const struct call *call, enum task_kind kind) { return ask_then(call, kind, call_done_any); }

static bool lead_get(const struct call *call) { return ask(call, TASK_LEAD); }
static bool decision_get(const struct call *call) { return ask(call, TASK_DECISION); }
static bool decision_explain(const struct call *call) { return ask(call, TASK_EXPLAIN); }

static bool account_get(const struct call *call) {
  struct shard *shard = call->conn->shard;
  struct bytes group;
  struct error err = {0};
  if (!mp_as_str(call->param, &group) || group.n == 0 || group.n > shard->daemon->intake.limits.id_max) {
    error_set(&err, ITD_EINVAL, "account.get takes one text: a groupId");
    call_error(call, &err);
    return true;
  }
  if (!origin_room(shard->origin)) return false;
  unsigned partition = intake_account_partition(shard->daemon->store, &shard->daemon->intake, group);
  shard_submit(shard, call_request(call, 1, call_done_any), 0, TASK_ACCOUNT, partition, group);
  return true;
}

static bool pool_get(const struct call *call) {
  struct shard *shard = call->conn->shard;
  struct bytes team;
  struct error err = {0};
  if (!mp_as_str(call->param, &team) || team.n == 0 || team.n > shard->daemon->intake.limits.id_max) {
    error_set(&err, ITD_EINVAL, "pool.get takes one text: the name of a team");
    call_error(call, &err);
    return true;
  }
  if (!origin_room(shard->origin)) return false;
  unsigned partition = intake_pool_partition(shard->daemon->store, &shard->daemon->intake, team);
  shard_submit(shard, call_request(call, 1, call_done_any), 0, TASK_POOL, partition, team);
  return true;
}

static bool pool_list(const struct call *call) {
  if (call_head(call)) intake_pools(call->conn->shard->intake, &call->conn->out);
  return true;
}

static bool decision_subscribe(const struct call *call) {
  struct error err = {0};
  if (hub_join(call->conn, call->param, &err) < 0) {
    call_error(call, &err);
    return true;
  }
  if (call_head(call)) mp_put_bool(&call->conn->out, true);
  return true;
}

// ---- the daemon itself ----

static bool policy_status(const struct call *call) {
  if (call_head(call)) daemon_put_status(call->conn->shard->daemon, &call->conn->out);
  return true;
}

static bool server_info(const struct call *call) {
  if (call_head(call)) daemon_put_info(call->conn->shard->daemon, &call->conn->out);
  return true;
}

static bool server_ping(const struct call *call) {
  if (call_head(call)) mp_put_cstr(&call->conn->out, "pong");
  return true;
}

// ---- administration: the control thread does it, and the answer comes back to the connection's shard ----

struct admin {
  struct conn *conn;
  struct shard_thread *thread;
  uint32_t id;
  bool has_reply, changed;
  bool allows_late;  // policy.reload
  bool is_switch_in; // feature.backfill, and its features' names
  struct buf names;
  int status;
  struct error error;
  char why[64];
};

static void admin_answer(struct shard *shard, void *context) {
  struct admin *admin = context;
  struct call call = {.conn = admin->conn, .id = admin->id, .has_reply = admin->has_reply};
  if (!admin->conn->is_closed) {
    if (admin->status < 0) {
      call_error(&call, &admin->error);
    } else if (call_head(&call)) {
      mp_put_map(&admin->conn->out, 2);
      mp_put_cstr(&admin->conn->out, "changed");
      mp_put_bool(&admin->conn->out, admin->changed);
      mp_put_cstr(&admin->conn->out, "status");
      daemon_put_status(shard->daemon, &admin->conn->out);
    }
  }
  conn_unref(admin->conn);
  free(admin);
}

static void admin_reload(struct daemon *daemon, void *context) {
  struct admin *admin = context;
  admin->status = daemon_reload(daemon, admin->why, admin->allows_late, &admin->changed, &admin->error);
  shard_post(admin->thread, admin_answer, admin);
}

// Over to the control thread, with what the caller is known by.
static bool admin_post(const struct call *call, struct admin *admin, const char *method,
                       void (*work)(struct daemon *, void *)) {
  struct shard *shard = call->conn->shard;
  admin->conn = call->conn;
  admin->thread = shard->daemon->threads[shard->index];
  admin->id = call->id;
  admin->has_reply = call->has_reply;
  snprintf(admin->why, sizeof admin->why, "%sby uid %u", method, (unsigned)call->conn->uid);
  conn_ref(call->conn);
  daemon_post(shard->daemon, work, admin);
  return true;
}

// A flag of an optional map of options.
static bool is_asked(const struct call *call, struct bytes flag) {
  struct bytes value;
  if (mp_value_of(call->param).type != MP_MAP || !mp_find(call->param, flag, &value)) return false;
  return mp_value_of(value).type == MP_BOOL && mp_value_of(value).b;
}

static bool policy_reload(const struct call *call) {
  struct admin *admin = xcalloc(1, sizeof *admin);
  admin->allows_late = is_asked(call, BYTES_LIT("allow_late"));
  return admin_post(call, admin, admin->allows_late ? "policy.reload with late features " : "policy.reload ",
                    admin_reload);
}

// ---- filling in ----

static void admin_began(struct shard *shard, void *context) {
  (void)shard;
  struct admin *admin = context;
  struct call call = {.conn = admin->conn, .id = admin->id, .has_reply = admin->has_reply};
  if (!admin->conn->is_closed) {
    if (admin->status < 0)
      call_error(&call, &admin->error);
    else if (call_head(&call))
      mp_put_bool(&admin->conn->out, true);
  }
  conn_unref(admin->conn);
  buf_deinit(&admin->names);
  free(admin);
}

static void admin_backfill(struct daemon *daemon, void *context) {
  struct admin *admin = context;
  const struct backfill_order order = {
      .names = buf_bytes(&admin->names), .is_switch_in = admin->is_switch_in, .by = admin->why + strlen("by ")};
  admin->status = backfill_begin(daemon, &order, &admin->error);
  shard_post(admin->thread, admin_began, admin);
}

static bool feature_backfill(const struct call *call) {
  struct bytes names;
  if (mp_value_of(call->param).type != MP_MAP) {
    struct error err = {0};
    error_set(&err, ITD_EINVAL,
              "feature.backfill takes a map: {features: [names], or nothing for all; switch_in: true or nothing}");
    call_error(call, &err);
    return true;
  }
  struct admin *admin = xcalloc(1, sizeof *admin);
  admin->is_switch_in = is_asked(call, BYTES_LIT("switch_in"));
  if (mp_find(call->param, BYTES_LIT("features"), &names) && mp_value_of(names).type != MP_NIL)
    buf_append_bytes(&admin->names, names);
  return admin_post(call, admin, "", admin_backfill);
}

static bool feature_backfill_stop(const struct call *call) {
  backfill_cancel(call->conn->shard->daemon);
  if (call_head(call)) mp_put_bool(&call->conn->out, true);
  return true;
}

static bool feature_backfill_status(const struct call *call) {
  if (call_head(call)) backfill_put_status(call->conn->shard->daemon, &call->conn->out);
  return true;
}

// ---- forgetting ----

// lead.forget: first which lead is meant, then its shard stages the frame, and when nothing of it is left anywhere the
// answer comes back here.
struct forgetting {
  struct conn *conn;
  struct daemon *daemon;
  unsigned origin; // the connection's shard
  uint32_t id;
  bool has_reply;
  char by[32];
  struct lead_id lead;
  struct lead_id at;    // which is forgotten now: that lead, then those that were merged into it
  struct lead_id *more; // those to come
  size_t more_count;
  int status;
  struct error error;
  uint64_t erased, quarantined;
};

static void forget_free(struct forgetting *f) {
  free(f->more);
  free(f);
}

static void forget_answer(struct shard *shard, void *context) {
  struct forgetting *f = context;
  struct call call = {.conn = f->conn, .id = f->id, .has_reply = f->has_reply};
  if (!f->conn->is_closed) {
    char id[LEAD_ID_TEXT];
    lead_id_format(f->lead, id);
    if (f->status < 0) {
      call_error(&call, &f->error);
    } else if (call_head(&call)) {
      struct buf *out = &f->conn->out;
      mp_put_map(out, 3);
      mp_put_cstr(out, "lead");
      mp_put_cstr(out, id);
      mp_put_cstr(out, "erased");
      mp_put_uint(out, f->erased);
      mp_put_cstr(out, "quarantined");
      mp_put_uint(out, f->quarantined);
    }
  }
  atomic_fetch_sub(&shard->daemon->forgetting, 1);
  conn_unref(f->conn);
  forget_free(f);
}

// Any thread; at the end there may be no shard any more that could go on.
static void forget_post(struct forgetting *f, unsigned shard, void (*work)(struct shard *, void *)) {
  struct daemon *daemon = f->daemon;
  pthread_mutex_lock(&daemon->lock);
  bool is_over = daemon->is_over;
  if (!is_over) shard_post(daemon->threads[shard], work, f);
  pthread_mutex_unlock(&daemon->lock);
  if (is_over) forget_free(f); // its connection goes with the process
}

static void forget_return(struct forgetting *f) { forget_post(f, f->origin, forget_answer); }

static void forget_begin(struct shard *shard, void *context);
static void forget_next(struct forgetting *f) {
  const struct store *store = f->daemon->store;
  f->at = f->more[--f->more_count];
  forget_post(f, store_shard_of(store, store_partition_of_lead(store, f->at)), forget_begin);
}

static void forget_done(void *context, const struct forget_job *job) {
  struct forgetting *f = context;
  f->status = job->status;
  f->error = job->error;
  f->erased += job->erased;
  f->quarantined += job->quarantined;
  f->more = xrealloc(f->more, (f->more_count + job->merged_count + 1) * sizeof *f->more);
  for (size_t i = 0; i < job->merged_count; i++) f->more[f->more_count++] = job->merged[i];
  if (f->status == 0 && f->more_count)
    forget_next(f);
  else
    forget_return(f);
}

static void forget_begin(struct shard *shard, void *context) {
  struct forgetting *f = context;
  f->status = shard_allows(shard, TASK_EVENT, &f->error);
  if (f->status == 0) f->status = intake_forget(shard->intake, f->at, f->by, forget_done, f, &f->error);
  if (f->status == 0) hub_forget(shard, f->at);
  if (f->status == 0) return;
  // A merged lead may have been forgotten already, by a message: then the rest is waited for.
  bool is_gone = f->status == ITD_ENOTFOUND && !lead_id_eq(f->at, f->lead);
  if (is_gone && intake_await_forgotten(shard->intake, f->at, forget_done, f)) return;
  if (is_gone) f->status = 0;
  if (is_gone && f->more_count)
    forget_next(f);
  else
    forget_return(f);
}

static void done_who(struct request *request) {
  struct call call = call_of(request);
  struct conn *conn = request->owner;
  struct daemon *daemon = conn->shard->daemon;
  const struct task *answer = call_best(request);
  struct bytes text;
  struct lead_id lead;
  if (answer->status < 0) {
    if (!conn->is_closed) call_error(&call, &answer->error);
    conn_end(conn, request);
    return;
  }
  CHECK(mp_find(buf_bytes(&answer->answer), BYTES_LIT("lead"), &text) && mp_as_str(text, &text) &&
        lead_id_parse(text, &lead) == 0);
  struct forgetting *f = xcalloc(1, sizeof *f);
  *f = (struct forgetting){.conn = conn,
                           .daemon = daemon,
                           .origin = conn->shard->index,
                           .id = request->id,
                           .has_reply = request->has_reply,
                           .lead = lead,
                           .at = lead};
  snprintf(f->by, sizeof f->by, "uid %u", (unsigned)conn->uid);
  conn_ref(conn);
  atomic_fetch_add(&daemon->forgetting, 1);
  unsigned owner = store_shard_of(daemon->store, store_partition_of_lead(daemon->store, lead));
  shard_post(daemon->threads[owner], forget_begin, f);
  conn_end(conn, request);
}

static bool lead_forget(const struct call *call) { return ask_then(call, TASK_WHO, done_who); }

static void admin_stop(struct daemon *daemon, void *context) {
  (void)context;
  daemon_stop(daemon);
}

static bool server_shutdown(const struct call *call) {
  log_line(LOG_INFO, "shutdown_asked", "uid=%u", (unsigned)call->conn->uid);
  if (call_head(call)) mp_put_bool(&call->conn->out, true);
  daemon_post(call->conn->shard->daemon, admin_stop, NULL);
  return true;
}

// ---- dispatch ----

static const struct method {
  const char *name;
  uint32_t params; // event.ingest, event.validate and decision.explain take one more, which says what to tell beside
  bool admin_only;
  bool (*run)(const struct call *call); // false: a bound is reached, nothing was done
} methods[] = {
    {"event.ingest", 1, false, event_ingest},
    {"event.batch", 1, false, event_batch},
    {"event.validate", 1, false, event_validate},
    {"lead.get", 1, false, lead_get},
    {"account.get", 1, false, account_get},
    {"pool.get", 1, false, pool_get},
    {"pool.list", 0, false, pool_list},
    {"decision.get", 1, false, decision_get},
    {"decision.explain", 1, false, decision_explain},
    {"decision.subscribe", 1, false, decision_subscribe},
    {"policy.status", 0, false, policy_status},
    {"server.info", 0, false, server_info},
    {"server.ping", 0, false, server_ping},
    {"quarantine.add", 1, false, quarantine_add_call},
    {"lead.forget", 1, true, lead_forget},
    {"lead.sales", 1, true, lead_sales_call},
    {"policy.reload", 1, true, policy_reload},
    {"feature.backfill", 1, true, feature_backfill},
    {"feature.backfill_status", 0, true, feature_backfill_status},
    {"feature.backfill_stop", 0, true, feature_backfill_stop},
    {"model.list", 0, true, model_list_call},
    {"model.activate", 1, true, model_activate_call},
    {"model.rollback", 1, true, model_rollback_call},
    {"model.canary", 1, true, model_canary_call},
    {"workspace.switch", 1, true, workspace_switch_call},
    {"quarantine.fix", 1, true, quarantine_fix_call},
    {"quarantine.replay", 1, true, quarantine_replay_call},
    {"server.shutdown", 0, true, server_shutdown},
};

static const struct method *method_of(const struct conn *conn, struct bytes name, struct error *err) {
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    if (!bytes_is(name, methods[i].name)) continue;
    if (!methods[i].admin_only || conn->role == CONN_ADMIN) return &methods[i];
    error_set(err, ITD_EAUTH, "%s is administration: send it over the Unix socket in the data directory",
              methods[i].name);
    return NULL;
  }
  error_set(err, ITD_EMETHOD,
            "no method \"%.*s\"; there are event.ingest, event.batch, event.validate, lead.get, account.get, "
            "pool.get, pool.list, decision.get, decision.explain, decision.subscribe, policy.status, quarantine.add, "
            "server.info and server.ping",
            (int)(name.n > 60 ? 60 : name.n), (const char *)name.p);
  return NULL;
}

// {trace = true, times = true}: what to tell beside.
static int read_wants(struct bytes map, unsigned *wants, struct error *err) {
  static const struct {
    const char *key;
    unsigned want;
  } keys[] = {{"trace", INTAKE_TRACE}, {"times", INTAKE_TIMES}};
  struct mp m = mp_of(map);
  struct mp_value head = mp_next(&m);
  bool is_good = head.type == MP_MAP;
  for (uint32_t i = 0; is_good && i < head.count; i++) {
    struct bytes key = {0};
    is_good = mp_take_str(&m, &key);
    struct mp_value value = is_good ? mp_value_of(mp_take(&m)) : head;
    unsigned want = 0;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
      if (bytes_is(key, keys[k].key)) want = keys[k].want;
    is_good = is_good && want && value.type == MP_BOOL;
    if (is_good && value.b) *wants |= want;
  }
  return is_good ? 0 : error_set(err, ITD_EINVAL, "the second parameter is {trace: true, times: true}, or one of them");
}

bool serve_rpc(struct conn *conn, struct bytes value) {
  struct rpc_message message = {0};
  bool has_id = false;
  struct error err = {0};
  int status = rpc_read(value, &message, &has_id, &err);
  struct call call = {.conn = conn, .id = message.id, .has_reply = status < 0 ? has_id : !message.is_notification};
  if (status < 0) {
    shard_quarantine(conn->shard, &err, value);
    call_error(&call, &err);
    return true;
  }
  const struct method *method = method_of(conn, message.method, &err);
  if (!method) {
    metrics_add(&conn->shard->metrics->rpc_requests, 1);
    call_error(&call, &err);
    return true;
  }
  struct mp m = mp_of(message.params);
  struct mp_value head = mp_next(&m);
  bool tells = method->run == event_ingest || method->run == event_validate || method->run == decision_explain;
  bool is_optional = (method->run == decision_subscribe || method->run == policy_reload) && head.count == 0;
  if (head.count != method->params && !is_optional && !(tells && head.count == 2)) {
    metrics_add(&conn->shard->metrics->rpc_requests, 1);
    error_set(&err, ITD_EINVAL, "%s takes %u parameter%s, not %u", method->name, method->params,
              method->params == 1 ? "" : "s", head.count);
    call_error(&call, &err);
    return true;
  }
  static const uint8_t nil = 0xc0;
  call.method = method->name;
  call.param = head.count ? mp_take(&m) : bytes_of(&nil, 1);
  if (tells && head.count == 2 && read_wants(mp_take(&m), &call.wants, &err) < 0) {
    metrics_add(&conn->shard->metrics->rpc_requests, 1);
    call_error(&call, &err);
    return true;
  }
  if (!method->run(&call)) return false;
  metrics_add(&conn->shard->metrics->rpc_requests, 1);
  return true;
}
