// quarantine.fix and quarantine.replay: administration on the Unix socket. The control thread reads the quarantine's
// files and notes what was done in them; what is replayed goes to its shards as tasks, like any event.
#include "net/serve_private.h"

#include "base/check.h"
#include "base/log.h"
#include "net/daemon.h"
#include "store/quarantine_payload.h"
#include "wire/rpc.h"

#include <stdio.h>
#include <stdlib.h>

#define REPLAY_MAX       64   // entries of one call
#define REPLAY_PARTS_MAX 1000 // events of one call: a source's payload may be several

struct item {
  char id[QUARANTINE_ID + 1];
  bool is_there, is_fixed, was_replayed;
  bool is_payload; // a source's, which is to be mapped
  struct bytes
      event; // an offset and a length in `events`, until all are read; a source's payload as it is kept, or an event
  int64_t received_ms;
  uint32_t parts;    // events that it is
  struct buf answer; // the decision; of several events the last one's
  struct error error;
};

// An event to be taken.
struct part {
  uint32_t item;
  unsigned partition;
  struct bytes event;
};

struct job {
  struct conn *conn;
  struct shard_thread *thread;
  uint32_t id;
  bool has_reply, is_forced, is_as_came;
  char by[32];
  struct item item[REPLAY_MAX];
  uint32_t count;
  struct buf events; // as they are kept
  struct buf mapped; // what sources made of their payloads
  struct part part[REPLAY_PARTS_MAX];
  uint32_t part_count;
  int status; // of reading or noting
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
  if (job->mapped.p) explicit_bzero(job->mapped.p, job->mapped.cap);
  buf_deinit(&job->mapped);
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
  bool is_several = item->parts > 1 && !item->error.code;
  mp_put_map(out, is_several ? 3 : 2);
  mp_put_cstr(out, "id");
  mp_put_cstr(out, item->id);
  if (is_several) mp_put_cstr(out, "events"), mp_put_uint(out, item->parts);
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
static void put_entry(struct buf *out, const struct job *job, const struct part *part) {
  const struct item *item = &job->item[part->item];
  mp_put_array(out, 5);
  mp_put_cstr(out, item->id);
  mp_put_int(out, item->received_ms);
  mp_put_bool(out, item->is_fixed);
  mp_put_cstr(out, job->by);
  mp_put_raw(out, part->event);
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
  for (uint32_t i = 0; i < job->part_count; i++) {
    struct item *item = &job->item[job->part[i].item];
    struct task *task = request->task[i];
    if (task->status < 0) {
      item->error = task->error; // those of its events that were taken are duplicates when it is replayed again
    } else {
      buf_clear(&item->answer);
      buf_append_bytes(&item->answer, buf_bytes(&task->answer));
    }
  }
  daemon_post(conn->shard->daemon, note_replayed, job);
  conn_end(conn, request);
}

// Of which partitions the events of an entry are; what is no event stays where it is, with why.
static void judge_item(struct shard *shard, struct job *job, uint32_t at) {
  struct item *item = &job->item[at];
  int64_t window_ms = shard->daemon->config->dedupe_window_ms;
  if (!item->is_there)
    error_set(&item->error, ITD_ENOTFOUND, "no entry of the quarantine has this id (any more)");
  else if (!job->is_forced && shard->turn_ms - item->received_ms > window_ms)
    error_set(&item->error, ITD_EINVAL,
              "it came before dedupe.window: whether its sender sent it again since, and it counted, is not known; "
              "force replays it all the same");
  for (uint32_t i = 0; i < job->part_count && !item->error.code; i++)
    if (job->part[i].item == at && intake_route(shard->daemon->store, &shard->daemon->intake, job->part[i].event,
                                                item->received_ms, &job->part[i].partition, &item->error) < 0)
      break;
}

// Leaves the parts of entries that can be taken.
static void judge_items(struct shard *shard, struct job *job) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < job->count; i++)
    if (!job->item[i].was_replayed && !job->item[i].error.code) judge_item(shard, job, i);
  for (uint32_t i = 0; i < job->part_count; i++)
    if (!job->item[job->part[i].item].error.code) job->part[n++] = job->part[i];
  job->part_count = n;
}

static void run_replay(struct shard *shard, void *context) {
  struct job *job = context;
  struct buf input = {0};
  if (job->status == 0) job->status = shard_allows(shard, TASK_REPLAY, &job->error);
  if (job->status == 0) judge_items(shard, job);
  uint32_t n = job->part_count;
  if (job->status == 0 && n > 0 && origin_room(shard->origin) < n)
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
  for (uint32_t i = 0; i < n; i++) { // the last one may end the job
    unsigned partition = job->part[i].partition;
    buf_clear(&input);
    put_entry(&input, job, &job->part[i]);
    shard_submit(shard, request, i, TASK_REPLAY, partition, buf_bytes(&input));
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
    struct quarantine_payload payload;
    item->is_payload = quarantine_payload_of(event, e->text, &payload);
    item->event = bytes_of((const uint8_t *)job->events.n, event.n);
    buf_append_bytes(&job->events, event);
  }
  return 0;
}

// ---- replay: a source's payload ----

// The first thing that the mapping says against it: [index, rule, why …].
static int say_why(struct bytes list, const char *source, const char *what, struct error *err) {
  struct mp m = mp_of(list);
  if (mp_next(&m).count == 0) return 0;
  struct mp entry = mp_of(mp_take(&m));
  struct bytes rule, why;
  mp_next(&entry), mp_next(&entry);
  if (!mp_as_str(mp_take(&entry), &rule)) rule = (struct bytes){0};
  if (!mp_as_str(mp_take(&entry), &why)) why = BYTES_LIT("a reason that is no text");
  return error_set(err, ITD_EEVENT, "source %s%s%.*s%s: %s%.*s", source, rule.n ? ", rule '" : "", (int)rule.n,
                   (const char *)rule.p, rule.n ? "'" : "", what, (int)why.n, (const char *)why.p);
}

static struct bytes list_of(struct bytes output, const char *key) {
  struct bytes list;
  CHECK(mp_find(output, bytes_str(key), &list));
  return list;
}

static int add_part(struct job *job, uint32_t item, struct bytes event, struct error *err) {
  if (job->part_count == REPLAY_PARTS_MAX)
    return error_set(err, ITD_ETOOBIG,
                     "with it there are more than %d events in one call: replay fewer entries at a time",
                     REPLAY_PARTS_MAX);
  job->part[job->part_count++] = (struct part){.item = item, .event = event};
  job->item[item].parts++;
  return 0;
}

// Its events, by the mapping that is in force now: as parts, which point into job->mapped once all are there.
static void map_item(struct job *job, uint32_t at, struct sources *sources) {
  struct item *item = &job->item[at];
  struct quarantine_payload kept;
  CHECK(quarantine_payload_read(item->event, &kept));
  struct bytes name = kept.source;
  const struct source_info *source = sources ? sources_find(sources, name) : NULL;
  if (!source) {
    error_set(&item->error, ITD_ENOTFOUND, "it is a payload of source '%.*s', which the release in force has not",
              (int)(name.n > 60 ? 60 : name.n), (const char *)name.p);
    return;
  }
  struct buf output = {0}, list = {0};
  mp_put_array(&list, 1); // a payload that is itself a list is none, as it was none when it came
  mp_put_raw(&list, kept.payload);
  const struct sources_call call = {.source = source->name,
                                    .payload = buf_bytes(&list),
                                    .events_max = REPLAY_PARTS_MAX,
                                    .salt = kept.salt.n ? kept.salt.p : NULL};
  int status = sources_map(sources, &call, &output, &item->error);
  struct bytes out = buf_bytes(&output);
  if (status == 0) status = say_why(list_of(out, "refused"), source->name, "", &item->error);
  if (status == 0) status = say_why(list_of(out, "skipped"), source->name, "it is passed over: ", &item->error);
  struct mp m = {0};
  uint32_t total = 0;
  if (status == 0) {
    m = mp_of(list_of(out, "events"));
    total = mp_next(&m).count;
    if (total == 0)
      status = error_set(&item->error, ITD_EEVENT, "source %s: the mapping makes no event of it", source->name);
  }
  for (uint32_t i = 0; i < total && status == 0; i++) {
    (void)mp_next(&m), (void)mp_next(&m); // [index, event]
    struct bytes event = mp_take(&m);
    status = add_part(job, at, bytes_of((const uint8_t *)job->mapped.n, event.n), &item->error);
    if (status == 0) buf_append_bytes(&job->mapped, event);
  }
  if (output.p) explicit_bzero(output.p, output.cap);
  explicit_bzero(list.p, list.cap);
  buf_deinit(&output);
  buf_deinit(&list);
}

// What there is to take. Sources are opened for this call alone: those of the edition are the mapper's thread's.
static void find_parts(struct daemon *daemon, struct job *job) {
  const struct sources_limits limits = config_source_limits(daemon->config);
  struct sources *sources = NULL;
  bool is_open = false;
  for (uint32_t i = 0; i < job->count; i++) {
    struct item *item = &job->item[i];
    if (!item->is_there || item->was_replayed || item->error.code) continue;
    if (!item->is_payload) {
      add_part(job, i, item->event, &item->error);
      continue;
    }
    uint32_t before = job->part_count;
    if (!is_open && sources_of_policy(daemon->release.policy, &limits, &sources, &item->error) < 0) continue;
    is_open = true;
    map_item(job, i, sources);
    if (item->error.code) job->part_count = before;
  }
  for (uint32_t i = 0; i < job->part_count; i++) {
    struct bytes *event = &job->part[i].event;
    if (job->item[job->part[i].item].is_payload) event->p = job->mapped.p + (uintptr_t)event->p;
  }
  sources_release(sources);
}

// Control thread.
static void read_replay(struct daemon *daemon, void *context) {
  struct job *job = context;
  job->status = quarantine_walk(daemon->config->data, take_entry, job, &job->error);
  for (uint32_t i = 0; i < job->count; i++) job->item[i].event.p = job->events.p + (uintptr_t)job->item[i].event.p;
  if (job->status == 0) find_parts(daemon, job);
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

// What shards say of the repaired event, or of those of a repaired payload, decides whether it is kept.
static void done_validate(struct request *request) {
  struct conn *conn = request->owner;
  struct job *job;
  memcpy(&job, request->tail.p, sizeof job);
  struct daemon *daemon = conn->shard->daemon;
  for (uint32_t i = 0; i < request->count && job->status == 0; i++) {
    job->status = request->task[i]->status;
    job->error = request->task[i]->error;
  }
  if (job->status < 0)
    answer_fix(conn->shard, job);
  else
    daemon_post(daemon, note_fix, job);
  conn_end(conn, request);
}

static void validate_parts(struct shard *shard, void *context) {
  struct job *job = context;
  uint32_t n = job->part_count;
  for (uint32_t i = 0; i < n && job->status == 0; i++)
    job->status = intake_route(shard->daemon->store, &shard->daemon->intake, job->part[i].event, shard->turn_ms,
                               &job->part[i].partition, &job->error);
  if (job->status == 0 && origin_room(shard->origin) < n)
    job->status = error_set(&job->error, ITD_EBUSY, "too many events are under way; try again");
  if (job->status < 0) {
    answer_fix(shard, job);
    return;
  }
  struct call call = call_of_job(job);
  struct request *request = call_request(&call, n, done_validate);
  buf_append(&request->tail, &job, sizeof job);
  for (uint32_t i = 0; i < n; i++) // the last one may end the job
    shard_submit(shard, request, i, TASK_VALIDATE, job->part[i].partition, job->part[i].event);
}

// Is the entry of the job a payload's, and the repaired one of the same source?
static int look_for_payload(void *context, const struct quarantine_entry *e) {
  struct job *job = context;
  struct item *item = &job->item[0];
  struct quarantine_payload payload;
  if (strcmp(e->id, item->id) != 0) return 0;
  item->is_there = true;
  item->is_payload = quarantine_payload_of(buf_bytes(&job->events), e->text, &payload);
  return 0;
}

// Who is named by the repaired payload's events, too: by them it goes when one of them is forgotten.
static int add_who(struct job *job, struct error *err) {
  static const char *const keys[] = {"userId", "anonymousId", "previousId"};
  struct quarantine_payload p;
  struct buf who = {0}, list = {0}, out = {0};
  CHECK(quarantine_payload_read(buf_bytes(&job->events), &p));
  struct mp m = mp_of(p.who);
  uint32_t count = mp_next(&m).count;
  buf_append(&who, m.p, (size_t)(m.end - m.p));
  for (uint32_t i = 0; i < job->part_count; i++)
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
      struct bytes value, text;
      if (!mp_find(job->part[i].event, bytes_str(keys[k]), &value) || !mp_as_str(value, &text)) continue;
      mp_put_str(&who, text);
      count++;
    }
  mp_put_array(&list, count);
  buf_append_bytes(&list, buf_bytes(&who));
  p.who = buf_bytes(&list);
  bool is_small = list.n <= QUARANTINE_PAYLOAD_WHO_MAX;
  quarantine_payload_put(&p, &out);
  is_small = is_small && quarantine_payload_read(buf_bytes(&out), &p);
  explicit_bzero(job->events.p, job->events.cap);
  buf_clear(&job->events);
  buf_append_bytes(&job->events, buf_bytes(&out));
  if (who.p) explicit_bzero(who.p, who.cap);
  explicit_bzero(list.p, list.cap), explicit_bzero(out.p, out.cap);
  buf_deinit(&who), buf_deinit(&list), buf_deinit(&out);
  return is_small ? 0
                  : error_set(err, ITD_ETOOBIG, "a payload that is kept has %d bytes at most", QUARANTINE_PAYLOAD_MAX);
}

// Control thread: a repaired payload is kept when its mapping makes events of it.
static void check_payload(struct daemon *daemon, void *context) {
  struct job *job = context;
  struct item *item = &job->item[0];
  job->status = quarantine_walk(daemon->config->data, look_for_payload, job, &job->error);
  if (job->status == 0 && !item->is_there)
    job->status =
        error_set(&job->error, ITD_ENOTFOUND, "no entry of the quarantine has the id %s (any more)", item->id);
  else if (job->status == 0 && !item->is_payload)
    job->status =
        error_set(&job->error, ITD_EINVAL, "it is a source's payload, and the entry is not, or of another source");
  if (job->status == 0) {
    item->event = buf_bytes(&job->events);
    find_parts(daemon, job);
    job->status = item->error.code;
    job->error = item->error;
  }
  if (job->status == 0) job->status = add_who(job, &job->error);
  shard_post(job->thread, validate_parts, job);
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
    status = error_set(
        &err, ITD_EINVAL,
        "quarantine.fix takes {id: its %d hexadecimal digits, event: the repaired one, or a source's payload}",
        QUARANTINE_ID);
  struct quarantine_payload payload;
  if (status == 0 && quarantine_payload_read(event, &payload)) {
    buf_append_bytes(&job->events, event);
    daemon_post(shard->daemon, check_payload, job);
    return true;
  }
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
