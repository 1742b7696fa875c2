// lead.sales: administration on the Unix socket. What somebody says of a lead for sales (docs/events.md#sales) becomes an event
// of that lead, with who said it: first it is asked who the lead is, then the event goes its way like any other.
#include "base/check.h"
#include "base/suggest.h"
#include "net/daemon.h"
#include "net/serve_private.h"

#include <stdio.h>
#include <stdlib.h>

#define SAY_TEXT_MAX 200 // bytes of an owner, a stage, a reason

struct say {
  struct conn *conn;
  uint32_t id;
  bool has_reply;
  struct buf event;
};

static const char *const words[] = {"owner_set",   "owner_cleared", "stage_set", "disqualified",
                                    "requalified", "rejected",      "accepted"};
static const char *const events[] = {"crm.owner_set",         "crm.owner_cleared",    "crm.stage_set",
                                     "crm.lead_disqualified", "crm.lead_requalified", "crm.lead_rejected",
                                     "crm.lead_accepted"};
#define WORDS (sizeof words / sizeof *words)

static bool text_of(struct bytes map, const char *key, size_t most, struct bytes *out) {
  struct bytes value;
  return mp_value_of(map).type == MP_MAP && mp_find(map, bytes_str(key), &value) && mp_as_str(value, out) &&
         out->n > 0 && out->n <= most && bytes_is_utf8(*out);
}

static int word_of(struct bytes map) {
  struct bytes say;
  if (!text_of(map, "say", 32, &say)) return -1;
  for (size_t i = 0; i < WORDS; i++)
    if (bytes_is(say, words[i])) return (int)i;
  return -1;
}

// What the event's properties name besides: an owner, a stage; NULL: nothing.
static const char *named_by(int word) { return word == 0 ? "owner" : word == 2 ? "stage" : NULL; }

static int check(const struct call *call, size_t id_max, struct error *err) {
  struct bytes text, said = {0};
  int word = word_of(call->param);
  if (!text_of(call->param, "lead", id_max, &text))
    return error_set(err, ITD_EINVAL,
                     "lead.sales takes a map {lead, say, why}: lead is an id, a userId or an anonymousId");
  if (word < 0) {
    const char *near = text_of(call->param, "say", 32, &said) ? suggest(said, words, WORDS) : NULL;
    return error_set(err, ITD_EINVAL,
                     "lead.sales: say is owner_set, owner_cleared, stage_set, disqualified, requalified, rejected or "
                     "accepted%s%s%s",
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  }
  const char *named = named_by(word);
  if (named && !text_of(call->param, named, SAY_TEXT_MAX, &text))
    return error_set(err, ITD_EINVAL, "lead.sales: %s wants %s, a text of 1 to %d bytes", words[word], named,
                     SAY_TEXT_MAX);
  if (!text_of(call->param, "why", SAY_TEXT_MAX, &text))
    return error_set(err, ITD_EINVAL, "lead.sales: why is a text of 1 to %d bytes: the journal keeps it", SAY_TEXT_MAX);
  return 0;
}

// ---- the event ----

static void put_pair(struct buf *out, const char *key, struct bytes value) {
  mp_put_cstr(out, key);
  mp_put_str(out, value);
}

// An identity of the lead, a userId where it has one.
static bool identity_of(struct bytes answer, struct bytes *kind, struct bytes *value) {
  struct bytes list, field;
  bool is_found = false;
  if (!mp_find(answer, BYTES_LIT("identities"), &list)) return false;
  struct mp m = mp_of(list);
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++) {
    struct bytes identity = mp_take(&m), this_kind, this_value;
    CHECK(mp_find(identity, BYTES_LIT("kind"), &field) && mp_as_str(field, &this_kind));
    CHECK(mp_find(identity, BYTES_LIT("value"), &field) && mp_as_str(field, &this_value));
    if (is_found && !bytes_is(this_kind, "userId")) continue;
    *kind = this_kind, *value = this_value;
    is_found = true;
    if (bytes_is(this_kind, "userId")) break;
  }
  return is_found;
}

static bool put_event(const struct conn *conn, struct bytes order, struct bytes answer, struct buf *out) {
  struct bytes kind, value, lead, now, why, named_text = {0};
  int word = word_of(order);
  CHECK(word >= 0);
  const char *named = named_by(word);
  char by[32];
  snprintf(by, sizeof by, "uid %u", (unsigned)conn->uid);
  if (!identity_of(answer, &kind, &value) || !text_of(order, "why", SAY_TEXT_MAX, &why)) return false;
  if (named && !text_of(order, named, SAY_TEXT_MAX, &named_text)) return false;
  bool by_events = conn->shard->daemon->intake.clock == ENGINE_CLOCK_EVENT; // then now is the lead's
  mp_put_map(out, by_events ? 6 : 5);
  put_pair(out, "type", BYTES_LIT("track"));
  put_pair(out, "event", bytes_str(events[word]));
  mp_put_str(out, kind), mp_put_str(out, value);
  put_pair(out, "channel", BYTES_LIT("admin"));
  if (by_events) {
    if (!mp_find(answer, BYTES_LIT("lead"), &lead) || !mp_find(lead, BYTES_LIT("now"), &now)) return false;
    mp_put_cstr(out, "timestamp"), mp_put_raw(out, now);
  }
  mp_put_cstr(out, "properties"), mp_put_map(out, named ? 3 : 2);
  if (named) put_pair(out, named, named_text);
  put_pair(out, "by", bytes_str(by));
  put_pair(out, "why", why);
  return true;
}

// ---- its way ----

static void say_end(struct say *say) {
  conn_unref(say->conn);
  if (say->event.p) explicit_bzero(say->event.p, say->event.cap);
  buf_deinit(&say->event);
  free(say);
}

// In a turn of the connection's shard, as an event that came in.
static void send_event(struct shard *shard, void *context) {
  struct say *say = context;
  struct call call = {.conn = say->conn, .id = say->id, .has_reply = say->has_reply, .param = buf_bytes(&say->event)};
  struct error err = {0};
  unsigned partition;
  int status = 0;
  if (!say->conn->is_closed) {
    if (!origin_room(shard->origin)) status = error_set(&err, ITD_EBUSY, "too many events are under way: try again");
    if (status == 0)
      status = intake_route(shard->daemon->store, &shard->daemon->intake, call.param, shard->turn_ms, &partition, &err);
    if (status == 0)
      shard_submit(shard, call_request(&call, 1, call_done_any), 0, TASK_EVENT, partition, call.param);
    else
      call_error(&call, &err);
  }
  say_end(say);
}

static void done_lead(struct request *request) {
  struct call call = call_of(request);
  struct conn *conn = request->owner;
  const struct task *answer = call_best(request);
  struct say *say = xcalloc(1, sizeof *say);
  struct error err = {0};
  *say = (struct say){.conn = conn, .id = request->id, .has_reply = request->has_reply};
  conn_ref(conn);
  if (answer->status < 0)
    err = answer->error;
  else if (!put_event(conn, buf_bytes(&request->tail), buf_bytes(&answer->answer), &say->event))
    error_set(&err, ITD_ENOTFOUND, "the lead has no identity that an event could name");
  if (err.code == 0) {
    shard_post(conn->shard->daemon->threads[conn->shard->index], send_event, say);
  } else {
    if (!conn->is_closed) call_error(&call, &err);
    say_end(say);
  }
  conn_end(conn, request);
}

bool lead_sales_call(const struct call *call) {
  struct shard *shard = call->conn->shard;
  struct error err = {0};
  struct bytes who;
  if (check(call, shard->daemon->intake.limits.id_max, &err) < 0) {
    call_error(call, &err);
    return true;
  }
  if (origin_room(shard->origin) < WHOSE_MAX) return false;
  unsigned partition[WHOSE_MAX];
  CHECK(text_of(call->param, "lead", SIZE_MAX, &who));
  uint32_t count = intake_whose(shard->daemon->store, &shard->daemon->intake, who, partition);
  struct request *request = call_request(call, count, done_lead);
  buf_append_bytes(&request->tail, call->param);
  for (uint32_t i = 0; i < count; i++) shard_submit(shard, request, i, TASK_LEAD, partition[i], who);
  return true;
}
