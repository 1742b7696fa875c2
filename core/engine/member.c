#include "engine/member.h"

#include "base/hash.h"
#include "engine/account.h"

static bool is_none(const struct lead_id *id) {
  static const struct lead_id none;
  return lead_id_eq(*id, none);
}

static struct lead_id id_of(const uint8_t bytes[16]) {
  struct lead_id id;
  memcpy(id.b, bytes, sizeof id.b);
  return id;
}

// A `group` event: the account that it names, unless the lead was named another's since.
static void take_name(const struct engine_accounts *accounts, const struct lead *lead, const struct event *event,
                      int64_t now_ms, struct feature_member *member) {
  struct lead_id account = id_of(member->account);
  int64_t named_ms = event->timestamp_ms < now_ms ? event->timestamp_ms : now_ms;
  if (event->type != EVENT_GROUP || !event->group_id.n) return;
  if (!is_none(&account) && named_ms < member->joined_ms) return;
  account = accounts->account_of(accounts->context, lead->workspace, event->group_id);
  memcpy(member->account, account.b, sizeof member->account);
  member->joined_ms = named_ms;
}

void member_read(const struct engine_accounts *accounts, const struct policy *policy, struct lead *lead,
                 const struct event *event, int64_t now_ms) {
  const struct feature_set *set = policy_features(policy);
  uint8_t *state = lead_feature_state(lead);
  if (!accounts->account_of || feature_accounts(set) == 0) return;
  struct feature_member member;
  feature_member_get(set, state, &member);
  if (event) {
    take_name(accounts, lead, event, now_ms, &member);
    member.touched_ms = now_ms;
    feature_member_put(set, state, &member);
  }
  struct lead_id account = id_of(member.account);
  if (is_none(&account)) return;
  struct lead_id view = account_view(account, lead_id_slot(lead->id));
  feature_account_take(set, state, accounts->copy_of(accounts->context, view), now_ms);
}

static void put_leave(const struct engine_accounts *accounts, const struct feature_member *member,
                      struct buf *messages) {
  struct lead_id told = id_of(member->told);
  if (is_none(&told)) return;
  struct buf body = {0};
  account_put_leave(&body, &accounts->terms);
  message_put(messages, told, MESSAGE_ACCOUNT_LEAVE, buf_bytes(&body));
  buf_deinit(&body);
}

static void put_update(const struct engine_accounts *accounts, struct lead *lead, struct feature_member *member,
                       struct bytes items, uint64_t urgent, int64_t touch, struct buf *messages) {
  struct lead_id account = id_of(member->account);
  uint64_t parts[] = {lead_id_hash(lead->id), lead_id_hash(account), (uint64_t)touch, hash64(items)};
  uint64_t sent = hash64(bytes_of(parts, sizeof parts));
  if (sent == member->sent) return;
  bool is_new = memcmp(member->told, member->account, sizeof member->told) != 0;
  if (is_new) put_leave(accounts, member, messages);
  struct buf body = {0};
  account_put_update(&body, touch, &accounts->terms, !is_new && urgent != member->sent_urgent, items);
  message_put(messages, account, MESSAGE_ACCOUNT_UPDATE, buf_bytes(&body));
  buf_deinit(&body);
  memcpy(member->told, member->account, sizeof member->told);
  member->sent = sent;
  member->sent_urgent = urgent;
}

// What a `group` event says of the account that it names. Each is told, so that whatever the order of events the latest counts,
// also that of one which no longer makes the lead a member.
static void put_traits(const struct engine_accounts *accounts, const struct feature_set *set, const struct lead *lead,
                       const struct event *event, struct buf *messages) {
  struct buf items = {0}, body = {0};
  bool is_urgent;
  if (!event || event->type != EVENT_GROUP || !event->group_id.n) return;
  if (feature_traits(set, event, &items, &is_urgent)) {
    int64_t at_ms = event->timestamp_ms < lead->now_ms ? event->timestamp_ms : lead->now_ms;
    account_put_traits(&body, at_ms, &accounts->terms, is_urgent, buf_bytes(&items));
    struct lead_id account = accounts->account_of(accounts->context, lead->workspace, event->group_id);
    message_put(messages, account, MESSAGE_ACCOUNT_TRAITS, buf_bytes(&body));
  }
  buf_deinit(&items);
  buf_deinit(&body);
}

void member_tell(const struct engine_accounts *accounts, const struct policy *policy, struct lead *lead,
                 const struct event *event, const double *values, const struct bytes *texts, const int64_t scores[2],
                 struct buf *messages) {
  const struct feature_set *set = policy_features(policy);
  uint8_t *state = lead_feature_state(lead);
  if (!accounts->account_of || feature_accounts(set) == 0) return;
  put_traits(accounts, set, lead, event, messages);
  struct feature_member member;
  feature_member_get(set, state, &member);
  struct lead_id account = id_of(member.account);
  if (is_none(&account)) return;
  int64_t grain_ms = accounts->terms.interval_ms > 1 ? accounts->terms.interval_ms : 1;
  int64_t touch = member.touched_ms - (member.touched_ms % grain_ms + grain_ms) % grain_ms;
  struct buf items = {0};
  uint64_t urgent;
  feature_contribute(set, state, values, texts, scores, touch, &items, &urgent);
  put_update(accounts, lead, &member, buf_bytes(&items), urgent, touch, messages);
  buf_deinit(&items);
  feature_member_put(set, state, &member);
}

void member_leave(const struct engine_accounts *accounts, const struct policy *policy, const struct lead *lead,
                  struct buf *messages) {
  const struct feature_set *set = policy_features(policy);
  struct lead *l = (struct lead *)(uintptr_t)lead; // read only: the accessor serves both uses
  if (!accounts->account_of || feature_accounts(set) == 0) return;
  struct feature_member member;
  feature_member_get(set, lead_feature_state(l), &member);
  put_leave(accounts, &member, messages);
}
