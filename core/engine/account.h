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
// At the end of each of these may be [people, fanout, active]: bounds that hold for this message, in place of the
// defaults. So what an account does is in its frames, whatever options its next start has.
//   account.copy   a copy (feature/account.h), to a view: takes the place of its last one
//
// Fan-out. A copy goes to the slots of the `fanout` people that were touched last, of those touched within
// `active`: at once when an update is urgent or the last copies are `interval` old by the account's clock, else
// with the next that are, or with a flush; meanwhile the account is *dirty*. A lead that is new or comes back gets a copy
// of its own at once.
//
// Of more than `people` people the ones that were touched last are told apart; the others count no more, until
// they are touched again. What is left depends on the people's last contributions and not on the order in which
// they came, as long as nobody leaves.
//
// The copies of one frame are 7 MiB together at the most: of more rolls than fit those with the greatest keys are left out. It takes
// many sets that were in force one after the other, as each set hands over ACCOUNT_ITEMS_MAX values at the most.
//
// Traits stay when people leave. ACCOUNT_TRAITS_MAX keys are kept, those of the latest events.
//
// State of an account: [1, first touch, last touch, last copies at, is dirty, people no longer told apart, [[id, touch,
// contribution], …]], sorted by id; with traits: [2, …, [[key, time, value], …]], sorted by key. Of a view: the copy.
#pragma once
#include "engine/message.h"
#include "feature/account.h"

// What an account is to keep to: options of the daemon, told with each message.
struct account_terms {
  int64_t interval_ms;     // account.interval
  uint32_t people, fanout; // account.people, account.fanout: 1 to ACCOUNT_PEOPLE_MAX
  int64_t active_ms;       // account.active
};
#define ACCOUNT_INTERVAL_MS 60000
#define ACCOUNT_PEOPLE      256u
#define ACCOUNT_FANOUT      64u
#define ACCOUNT_ACTIVE_MS   (30 * INT64_C(86400000))
#define ACCOUNT_PEOPLE_MAX  1024u // with all they may tell an entity's state is as large as it may be
#define ACCOUNT_TERMS_DEFAULT                                                                                          \
  {                                                                                                                    \
    .interval_ms = ACCOUNT_INTERVAL_MS, .people = ACCOUNT_PEOPLE, .fanout = ACCOUNT_FANOUT,                            \
    .active_ms = ACCOUNT_ACTIVE_MS                                                                                     \
  }

void account_update(const struct entity *before, const struct message *message, struct message_effects *effects);
void account_leave(const struct entity *before, const struct message *message, struct message_effects *effects);
void account_flush(const struct entity *before, const struct message *message, struct message_effects *effects);
void account_traits(const struct entity *before, const struct message *message, struct message_effects *effects);
void account_copy(const struct entity *before, const struct message *message, struct message_effects *effects);

// For senders: the body of an update, of what a group event says, of a leave, and of a flush.
void account_put_update(struct buf *body, int64_t touch_ms, const struct account_terms *terms, bool is_urgent,
                        struct bytes contribution);
void account_put_traits(struct buf *body, int64_t at_ms, const struct account_terms *terms, bool is_urgent,
                        struct bytes items);
void account_put_leave(struct buf *body, const struct account_terms *terms);
void account_put_flush(struct buf *body, const struct account_terms *terms);

// The id of an account's view in a slot.
struct lead_id account_view(struct lead_id account, unsigned slot);
bool account_is_dirty(const struct entity *account);
// {account, clock, first_touch, last_touch, copies_at, is_dirty, evicted, people: [{lead, touch}], traits: [{key, at, value}], copy}:
// for people who ask; a trait's key is its hash in hexadecimal.
void account_show(const struct entity *account, struct buf *out);
