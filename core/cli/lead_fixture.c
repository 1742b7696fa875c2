#include "cli/lead_fixture.h"

#include "base/file.h"
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/fixture.h"
#include "cli/journal.h"
#include "cli/show.h"
#include "engine/entity.h"
#include "store/hold.h"
#include "store/select.h"

#include <stdio.h>

struct recording {
  struct buf text, event;
  uint32_t events, merges;
  uint64_t dropped; // values
};

// Ids are personal, and an event has to have one: who it is does not matter to a spec.
static const char *made_up(struct bytes key) {
  if (bytes_is(key, "userId")) return "lead";
  if (bytes_is(key, "anonymousId")) return "visitor";
  if (bytes_is(key, "groupId")) return "account";
  return NULL;
}

// What says nothing of what the lead did.
static bool is_transport(struct bytes key) {
  return bytes_is(key, "messageId") || bytes_is(key, "sentAt") || bytes_is(key, "receivedAt") ||
         bytes_is(key, "timestamp");
}

static bool is_nil(struct bytes value) { return mp_value_of(value).type == MP_NIL; }

// Nothing, or a map in which nothing is left.
static bool is_gone(struct bytes value) {
  struct bytes key, member;
  if (mp_value_of(value).type != MP_MAP) return is_nil(value);
  for (struct each each = each_of_map(value); each_next_pair(&each, &key, &member);)
    if (!is_gone(member)) return false;
  return true;
}

static void copy(struct recording *r, struct bytes value, struct buf *out);

// The pairs of a map that are there: a value that is personal was taken out, and is nil.
static void copy_map(struct recording *r, struct bytes map, struct buf *out) {
  struct bytes key, value;
  uint32_t count = 0;
  for (struct each each = each_of_map(map); each_next_pair(&each, &key, &value);) count += !is_gone(value);
  mp_put_map(out, count);
  for (struct each each = each_of_map(map); each_next_pair(&each, &key, &value);) {
    r->dropped += is_nil(value);
    if (is_gone(value)) continue;
    mp_put_raw(out, key);
    copy(r, value, out);
  }
}

static void copy(struct recording *r, struct bytes value, struct buf *out) {
  if (mp_value_of(value).type == MP_MAP)
    copy_map(r, value, out);
  else
    mp_put_raw(out, value);
}

static bool is_kept(struct bytes key, struct bytes value) {
  struct bytes name = {0};
  (void)mp_as_str(key, &name);
  return !is_transport(name) && (!is_gone(value) || made_up(name));
}

static void put_event(struct recording *r, struct bytes map, int64_t at_ms, struct buf *out) {
  struct bytes key, value, name;
  uint32_t count = 1;
  struct buf at = {0};
  for (struct each each = each_of_map(map); each_next_pair(&each, &key, &value);) count += is_kept(key, value);
  mp_put_map(out, count);
  show_time(&at, at_ms); // RFC 3339 but for the blank between day and time
  for (size_t i = 0; i < at.n; i++)
    if (at.p[i] == ' ') at.p[i] = 'T';
  mp_put_cstr(out, "timestamp"), mp_put_str(out, buf_bytes(&at));
  buf_deinit(&at);
  for (struct each each = each_of_map(map); each_next_pair(&each, &key, &value);) {
    r->dropped += is_gone(value);
    if (!is_kept(key, value)) continue;
    mp_put_raw(out, key);
    if (!mp_as_str(key, &name)) name = (struct bytes){0};
    if (is_nil(value))
      mp_put_cstr(out, made_up(name));
    else
      copy(r, value, out);
  }
}

static int record(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)place;
  struct recording *r = context;
  struct event event;
  if (f->entity_kind != ENTITY_LEAD) return 0;
  r->merges += f->kind == FRAME_MERGE;
  if (f->kind != FRAME_EVENT) return 0;
  int status = event_decode_clear(f->event, f->received_ms, &event, err);
  if (status < 0) return status;
  if (++r->events > FIXTURE_EVENTS_MAX)
    return error_set(err, ITD_ETOOBIG, "the lead has more than %d events", FIXTURE_EVENTS_MAX);
  buf_clear(&r->event);
  put_event(r, f->event, event.timestamp_ms, &r->event);
  mp_to_json(buf_bytes(&r->event), &r->text);
  buf_append_u8(&r->text, '\n');
  return 0;
}

// The lead's own id: as it was given, or as the daemon knows it.
static int find(const struct args *args, const char *given, struct lead_id *id) {
  struct client *client;
  struct buf answer = {0};
  if (lead_id_parse(bytes_str(given), id) == 0) return COMMAND_OK;
  int code = connect_daemon(args, &client);
  if (code) return code;
  code = connect_ask(args, client, "lead.get", given, &answer);
  if (code == 0 && lead_id_parse(field_text(buf_bytes(&answer), "lead.lead"), id) < 0) code = COMMAND_FAILED;
  client_close(client);
  buf_deinit(&answer);
  return code;
}

static void say(const struct recording *r, const char *path) {
  fprintf(stderr, "%u event%s written to %s; ids are made up%s\n", r->events, r->events == 1 ? "" : "s", path,
          r->dropped ? ", personal values left out" : "");
  if (r->merges)
    fprintf(stderr, "what was merged into this lead lies in the journal of the leads that it was: %u of them\n",
            r->merges);
}

int lead_fixture(const struct args *args, const char *given, const char *path) {
  struct lead_id id;
  struct recording r = {0};
  struct error err = {0};
  int code = find(args, given, &id);
  if (code) return code;
  struct select_filter filter = SELECT_ALL;
  filter.lead = &id;
  int shared = holds_share(journal_data(args));
  int status = journal_select(journal_data(args), &filter, record, &r, NULL, NULL, &err);
  holds_unlock(shared);
  if (status == 0 && r.events == 0) status = error_set(&err, ITD_ENOTFOUND, "the journal has no event of this lead");
  if (status == 0) status = file_replace(path, buf_bytes(&r.text), &err);
  code = status < 0 ? command_fail(args, status == ITD_ENOTFOUND ? COMMAND_NO : COMMAND_USAGE, &err) : COMMAND_OK;
  if (code == COMMAND_OK) say(&r, path);
  buf_deinit(&r.text);
  buf_deinit(&r.event);
  return code;
}
