// quarantine.fix and quarantine.replay: administration on the Unix socket. The control thread reads the quarantine's
// files and notes what was done in them; what is replayed goes to its shards as tasks, like any event.
#include "net/serve_private.h"

#include "base/check.h"
#include "base/log.h"
#include "net/daemon.h"
#include "wire/rpc.h"

#include <stdio.h>
#include <stdlib.h>

#define REPLAY_MAX 64 // entries of one call

struct item {
  char id[QUARANTINE_ID + 1];
  bool is_there, is_fixed, was_replayed;
  struct bytes event; // an offset and a length in `events`, until all are read
  int64_t received_ms;
  struct buf answer; // the decision
  struct error error;
};

struct job {
  struct conn *conn;
  struct shard_thread *thread;
  uint32_t id;
  bool has_reply, is_forced, is_as_came;
  char by[32];
  struct item item[REPLAY_MAX];
  uint32_t count;
  struct buf events; // as they are taken
  int status;        // of reading or noting
  struct error error;
};

static struct job *job_new(const struct call *call) {
  struct job *job = xcalloc(1, sizeof *job);
  struct shard *shard = call->conn->shard;
  job->conn = call->conn;
  job->thread = shard->daemon->threads[shard->index];
  job->id = call->id;
  job->has_reply = call->has_reply;
  snprintf(job->by, sizeof job->by, "uid %u", (unsigned)call->conn->uid);
  conn_ref(call->conn);
  return job;
}

static void job_free(struct job *job) {
  for (uint32_t i = 0; i < job->count; i++) buf_deinit(&job->item[i].answer);
  if (job->events.p) explicit_bzero(job->events.p, job->events.cap);
  buf_deinit(&job->events);
  free(job);
}

static struct call call_of_job(const struct job *job) {
  return (struct call){.conn = job->conn, .id = job->id, .has_reply = job->has_reply};
}

static bool read_id(struct bytes value, char out[QUARANTINE_ID + 1]) {
  struct bytes text;
  uint8_t ignored[QUARANTINE_ID / 2];
  if (!mp_as_str(value, &text) || hex_decode(text, ignored, sizeof ignored) != 0) return false;
  memcpy(out, text.p, QUARANTINE_ID);
  out[QUARANTINE_ID] = 0;
  return true;
}

static bool is_true(struct bytes map, const char *key) {
  struct bytes value;
  if (!mp_find(map, bytes_str(key), &value)) return false;
  struct mp_value v = mp_value_of(value);
  return v.type == MP_BOOL && v.b;
}

// ---- replay: the answer ----

static void put_item(struct buf *out, const struct item *item) {
  mp_put_map(out, 2);
  mp_put_cstr(out, "id");
  mp_put_cstr(out, item->id);
  mp_put_cstr(out, item->error.code ? "error" : "decision");
  if (item->error.code)
    error_put(out, &item->error);
  else
    buf_append_bytes(out, buf_bytes(&item->answer));
}

static void answer_replay(struct shard *shard, void *context) {
  struct job *job = context;
  struct call call = call_of_job(job);
  (void)shard;
  if (!job->conn->is_closed) {
    if (job->status < 0) {
      call_error(&call, &job->error);
    } else if (call_head(&call)) {
      mp_put_array(&job->conn->out, job->count);
      for (uint32_t i = 0; i < job->count; i++) put_item(&job->conn->out, &job->item[i]);
    }
  }
  conn_unref(job->conn);
  job_free(job);
}

// Control thread: what was decided is noted, so that nobody replays it after the dedupe window.
static void note_replayed(struct daemon *daemon, void *context) {
  struct job *job = context;
  struct quarantine *quarantine = store_quarantine_of(daemon->store);
  int64_t now_ms = clock_wall_ms();
  bool all = quarantine != NULL;
  for (uint32_t i = 0; i < job->count; i++) {
    struct item *item = &job->item[i];
    struct bytes value, decision = {0};
    if (item->error.code || item->was_replayed) continue;
    if (mp_find(buf_bytes(&item->answer), BYTES_LIT("decision_id"), &value)) mp_as_str(value, &decision);
    all = all && quarantine_replayed(quarantine, bytes_str(item->id), job->by, decision, now_ms);
    log_line(LOG_INFO, "quarantine_replayed", "id=%s decision=%.*s by=%s", item->id, (int)decision.n,
             (const char *)decision.p, log_quote(job->by));
  }
  struct error err = {0};
  if (all && quarantine_sync(quarantine, &err) < 0) all = false;
  if (!all)
    log_line(LOG_WARN, "quarantine_note", "why=%s", log_quote(err.text[0] ? err.text : "there was no room for it"));
  shard_post(job->thread, answer_replay, job);
}

// ---- replay: the tasks ----

// [id, received_ms, is_fixed, by, event]
static void put_entry(struct buf *out, const struct job *job, const struct item *item) {
  mp_put_array(out, 5);
  mp_put_cstr(out, item->id);
  mp_put_int(out, item->received_ms);
  mp_put_bool(out, item->is_fixed);
  mp_put_cstr(out, job->by);
  mp_put_raw(out, item->event);
}

int serve_replay(struct shard *shard, struct task *task, const struct intake_way *on, struct intake_way *way) {
  struct quarantine_event entry = {0};
  struct mp m = mp_of(buf_bytes(&task->input));
  char by[32];
  CHECK(mp_next(&m).count == 5);
  entry.id = mp_next(&m).s;
  entry.received_ms = mp_next(&m).i;
  entry.is_fixed = mp_next(&m).b;
  struct bytes text = mp_next(&m).s;
  entry.event = mp_take(&m);
  snprintf(by, sizeof by, "%.*s", (int)text.n, (const char *)text.p);
  return intake_replay(shard->intake, &entry, by, task->received_ms, on, way, &task->answer, &task->error);
}

static void done_replay(struct request *request) {
  struct conn *conn = request->owner;
  struct job *job;
  memcpy(&job, request->tail.p, sizeof job);
  uint32_t n = 0;
  for (uint32_t i = 0; i < job->count; i++) {
    struct item *item = &job->item[i];
    if (item->error.code || item->was_replayed) continue;
    struct task *task = request->task[n++];
    if (task->status < 0)
      item->error = task->error;
    else
      buf_append_bytes(&item->answer, buf_bytes(&task->answer));
  }
  daemon_post(conn->shard->daemon, note_replayed, job);
  conn_end(conn, request);
}

// Whose partition an entry is; what is no event stays where it is, with why.
static uint32_t judge_items(struct shard *shard, struct job *job, unsigned partition[REPLAY_MAX]) {
  uint32_t n = 0;
  int64_t window_ms = shard->daemon->config->dedupe_window_ms;
  for (uint32_t i = 0; i < job->count; i++) {
    struct item *item = &job->item[i];
    if (item->was_replayed || item->error.code) continue;
    if (!item->is_there) {
      error_set(&item->error, ITD_ENOTFOUND, "no entry of the quarantine has this id (any more)");
    } else if (!job->is_forced && shard->turn_ms - item->received_ms > window_ms) {
      error_set(&item->error, ITD_EINVAL,
                "it came before dedupe.window: whether its sender sent it again since, and it counted, is not known; "
                "force replays it all the same");
    } else if (intake_route(shard->daemon->store, &shard->daemon->intake, item->event, item->received_ms, &partition[i],
                            &item->error) == 0) {
      n++;
    }
  }
  return n;
}

static void run_replay(struct shard *shard, void *context) {
  struct job *job = context;
  unsigned partition[REPLAY_MAX];
  struct buf input = {0};
  if (job->status == 0) job->status = shard_allows(shard, TASK_REPLAY, &job->error);
  uint32_t n = job->status == 0 ? judge_items(shard, job, partition) : 0;
  if (n > 0 && origin_room(shard->origin) < n)
    job->status = error_set(&job->error, ITD_EBUSY, "too many events are under way; try again");
  if (job->status < 0 || n == 0) {
    if (job->status < 0)
      answer_replay(shard, job);
    else
      daemon_post(shard->daemon, note_replayed, job);
    return;
  }
  struct call call = call_of_job(job);
  struct request *request = call_request(&call, n, done_replay);
  buf_append(&request->tail, &job, sizeof job);
  uint32_t at = 0;
  for (uint32_t i = 0, count = job->count; i < count; i++) { // the last one may end the job
    struct item *item = &job->item[i];
    if (item->error.code || item->was_replayed) continue;
    buf_clear(&input);
    put_entry(&input, job, item);
    shard_submit(shard, request, at++, TASK_REPLAY, partition[i], buf_bytes(&input));
    if (at == n) break;
  }
  if (input.p) explicit_bzero(input.p, input.cap);
  buf_deinit(&input);
}

// ---- replay: reading ----

// A decision as a replay that was noted has it.
static void put_known(struct buf *out, struct bytes decision) {
  mp_put_map(out, 2);
  mp_put_cstr(out, "decision_id");
  mp_put_str(out, decision);
  mp_put_cstr(out, "duplicate");
  mp_put_bool(out, true);
}

static int take_entry(void *context, const struct quarantine_entry *e) {
  struct job *job = context;
  const struct mp_limits limits = {.depth_max = MP_DEPTH_MAX, .objects_max = UINT32_MAX, .bytes_max = SIZE_MAX};
  for (uint32_t i = 0; i < job->count; i++) {
    struct item *item = &job->item[i];
    if (item->is_there || strcmp(item->id, e->id) != 0) continue;
    size_t len;
    item->is_there = true;
    item->is_fixed = e->fixed.n && !job->is_as_came;
    item->received_ms = e->received_ms;
    struct bytes event = item->is_fixed ? e->fixed : e->event;
    if (e->replayed_by.n) {
      item->was_replayed = true;
      put_known(&item->answer, e->decision);
    } else if (mp_scan(event, &limits, &len, NULL) != 1 || len != event.n) {
      error_set(&item->error, ITD_EFRAME, "its bytes are no event; a fix can give it one");
    }
    item->event = bytes_of((const uint8_t *)job->events.n, event.n);
    buf_append_bytes(&job->events, event);
  }
  return 0;
}

// Control thread.
static void read_replay(struct daemon *daemon, void *context) {
  struct job *job = context;
  job->status = quarantine_walk(daemon->config->data, take_entry, job, &job->error);
  for (uint32_t i = 0; i < job->count; i++) job->item[i].event.p = job->events.p + (uintptr_t)job->item[i].event.p;
  shard_post(job->thread, run_replay, job);
}

bool quarantine_replay_call(const struct call *call) {
  struct bytes ids = {0};
  struct error err = {0};
  struct mp m = mp_of(call->param);
  bool is_list = mp_peek(&m) == MP_MAP && mp_find(call->param, BYTES_LIT("ids"), &ids);
  m = mp_of(ids);
  uint32_t count = is_list && mp_peek(&m) == MP_ARRAY ? mp_next(&m).count : 0;
  if (count == 0 || count > REPLAY_MAX) {
    error_set(&err, ITD_EINVAL, "quarantine.replay takes {ids: [1 to %d of them], force, as_came}", REPLAY_MAX);
    call_error(call, &err);
    return true;
  }
  struct job *job = job_new(call);
  job->is_forced = is_true(call->param, "force");
  job->is_as_came = is_true(call->param, "as_came");
  for (; job->count < count; job->count++) {
    if (read_id(mp_take(&m), job->item[job->count].id)) continue;
    error_set(&err, ITD_EINVAL, "an id of the quarantine has %d hexadecimal digits", QUARANTINE_ID);
    call_error(call, &err);
    conn_unref(job->conn);
    job_free(job);
    return true;
  }
  daemon_post(call->conn->shard->daemon, read_replay, job);
  return true;
}

// ---- fix ----

static void answer_fix(struct shard *shard, void *context) {
  struct job *job = context;
  struct call call = call_of_job(job);
  (void)shard;
  if (!job->conn->is_closed) {
    if (job->status < 0) {
      call_error(&call, &job->error);
    } else if (call_head(&call)) {
      mp_put_map(&job->conn->out, 2);
      mp_put_cstr(&job->conn->out, "id");
      mp_put_cstr(&job->conn->out, job->item[0].id);
      mp_put_cstr(&job->conn->out, "by");
      mp_put_cstr(&job->conn->out, job->by);
    }
  }
  conn_unref(job->conn);
  job_free(job);
}

// Control thread.
static void note_fix(struct daemon *daemon, void *context) {
  struct job *job = context;
  struct quarantine *quarantine = store_quarantine_of(daemon->store);
  if (!quarantine)
    job->status = error_set(&job->error, ITD_EUNAVAILABLE, "the daemon recovers from its files; try again");
  else
    job->status = quarantine_fix(quarantine, bytes_str(job->item[0].id), buf_bytes(&job->events), job->by,
                                 clock_wall_ms(), &job->error);
  if (job->status == 0) log_line(LOG_INFO, "quarantine_fixed", "id=%s by=%s", job->item[0].id, log_quote(job->by));
  shard_post(job->thread, answer_fix, job);
}

// What a shard says of the repaired event decides whether it is kept.
static void done_validate(struct request *request) {
  struct conn *conn = request->owner;
  struct job *job;
  memcpy(&job, request->tail.p, sizeof job);
  const struct task *task = request->task[0];
  struct daemon *daemon = conn->shard->daemon;
  if (task->status < 0) {
    job->status = task->status;
    job->error = task->error;
    answer_fix(conn->shard, job);
  } else {
    daemon_post(daemon, note_fix, job);
  }
  conn_end(conn, request);
}

bool quarantine_fix_call(const struct call *call) {
  struct shard *shard = call->conn->shard;
  struct bytes id, event;
  struct error err = {0};
  unsigned partition;
  struct job *job = job_new(call);
  job->count = 1;
  int status = 0;
  if (mp_value_of(call->param).type != MP_MAP || !mp_find(call->param, BYTES_LIT("id"), &id) ||
      !mp_find(call->param, BYTES_LIT("event"), &event) || !read_id(id, job->item[0].id))
    status = error_set(&err, ITD_EINVAL,
                       "quarantine.fix takes {id: its %d hexadecimal digits, event: the repaired one}", QUARANTINE_ID);
  if (status == 0)
    status = intake_route(shard->daemon->store, &shard->daemon->intake, event, shard->turn_ms, &partition, &err);
  bool has_room = status < 0 || origin_room(shard->origin) > 0;
  if (status < 0 || !has_room) {
    if (status < 0) call_error(call, &err);
    conn_unref(job->conn);
    job_free(job);
    return has_room;
  }
  buf_append_bytes(&job->events, event);
  struct request *request = call_request(call, 1, done_validate);
  buf_append(&request->tail, &job, sizeof job);
  shard_submit(shard, request, 0, TASK_VALIDATE, partition, event);
  return true;
}
