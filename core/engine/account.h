// An account: what the leads of one company add up to. A lead's `group` event makes it one of the account's people; from
// then on its frames send the account what its features say of the lead (its contribution, feature/account.h) whenever that
// changed. The account keeps the last contribution of each of its people, and sends what they add up to (a copy) to where
// its leads lie: to a view in each of their slots, which a decision there reads. Pure.
//
// Messages, all bodies MessagePack:
//   account.update [touch, interval, is_urgent, contribution], from a lead: its contribution takes the place of its last one
//   account.leave  [interval], from a lead: it is not of this account any more
//   account.traits [time, interval, is_urgent, [[key, form, value], …]], from a lead: what a `group` event said of the account that it
//                  names, whose people the lead need not be of; what is said of a key counts until something later is,
//                  by the events' times, and of two of one time the greater: number, longer text, then by bytes
//   account.flush  [], from outside: copies that were held back go out
//   account.copy   a copy (feature/account.h), to a view: takes the place of its last one
//
// Fan-out. A copy goes to the slots of the ACCOUNT_FANOUT_MAX people that were touched last, of those touched within
// ACCOUNT_ACTIVE_MS: at once when an update is urgent or the last copies are `interval` old by the account's clock, else
// with the next that are, or with a flush; meanwhile the account is *dirty*. A lead that is new or comes back gets a copy
// of its own at once.
//
// Of more than ACCOUNT_PEOPLE_MAX people the ones that were touched last are told apart; the others count no more, until
// they are touched again. What is left depends on the people's last contributions and not on the order in which
// they came, as long as nobody leaves.
//
// Traits stay when people leave. ACCOUNT_TRAITS_MAX keys are kept, those of the latest events.
//
// State of an account: [1, first touch, last touch, last copies at, is dirty, people no longer told apart, [[id, touch,
// contribution], …]], sorted by id; with traits: [2, …, [[key, time, value], …]], sorted by key. Of a view: the copy.
#pragma once
#include "engine/message.h"
#include "feature/account.h"

#define ACCOUNT_PEOPLE_MAX 256u
#define ACCOUNT_FANOUT_MAX 64u
#define ACCOUNT_ACTIVE_MS  (30 * INT64_C(86400000))

void account_update(const struct entity *before, const struct message *message, struct message_effects *effects);
void account_leave(const struct entity *before, const struct message *message, struct message_effects *effects);
void account_flush(const struct entity *before, const struct message *message, struct message_effects *effects);
void account_traits(const struct entity *before, const struct message *message, struct message_effects *effects);
void account_copy(const struct entity *before, const struct message *message, struct message_effects *effects);

// For senders: the body of an update, and of a leave.
void account_put_update(struct buf *body, int64_t touch_ms, int64_t interval_ms, bool is_urgent,
                        struct bytes contribution);
void account_put_traits(struct buf *body, int64_t at_ms, int64_t interval_ms, bool is_urgent, struct bytes items);
void account_put_leave(struct buf *body, int64_t interval_ms);

// The id of an account's view in a slot.
struct lead_id account_view(struct lead_id account, unsigned slot);
bool account_is_dirty(const struct entity *account);
// {account, clock, first_touch, last_touch, copies_at, is_dirty, evicted, people: [{lead, touch}], traits: [{key, at, value}], copy}:
// for people who ask; a trait's key is its hash in hexadecimal.
void account_show(const struct entity *account, struct buf *out);
