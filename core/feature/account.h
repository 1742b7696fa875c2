// What leads know of their account: the part of a lead's state that it is kept in, what a lead hands to its account (its
// contribution), and how values are read from the copy of the account's roll-up that comes back. Who sends what, and when:
// engine/account.h. Pure.
//
// A contribution is a MessagePack array of items [key, form, value], sorted by key; a key is a hash of what the item
// means, so that account and leads agree without knowing each other's declarations. A copy is
// [at, first touch, last touch, people, [[key, form, …], …]]; times are ms since 1970:
//   form        item's value          in a copy
//   1 number    float                 [key, 1, n, sum, least, greatest]: the sum in the order of the leads' ids
//   2 time      int                   [key, 2, n, the latest]
//   3 text      hash                  [key, 3, n, how many different ones]
//   4 tile      number of a tile      [key, 4, n, tile, leads, tile, leads, …]: the newest ACCOUNT_TILES_MAX, in order
//   5 trait     float or text         [key, 5, 1, value]: of the latest group event, by its time, that had one
// The last is in no contribution: it goes to the account that a `group` event names, whatever account its lead is of.
#pragma once
#include "feature/feature.h"

#define ACCOUNT_ITEMS_MAX 32u // of a contribution
#define ACCOUNT_TILES_MAX 32u
enum account_form { ACCOUNT_NUMBER = 1, ACCOUNT_TIME, ACCOUNT_TEXT, ACCOUNT_TILE, ACCOUNT_TRAIT };
#define ACCOUNT_TRAITS_MAX 32u // of an account, and features of roll "trait" in a set

// A lead's membership, kept behind its features where its set reads of accounts.
struct feature_member {
  uint8_t account[16];        // zeros: none
  uint8_t told[16];           // the account that has its last contribution; zeros: none
  int64_t joined_ms;          // time of the latest event that named it
  int64_t touched_ms;         // and at its last event
  uint64_t sent, sent_urgent; // hashes of the last contribution, and of what in it is urgent; 0: none was sent
};
size_t
feature_accounts(const struct feature_set *set); // how many features read of an account; 0: the rest is not for it
void feature_member_get(const struct feature_set *set, const uint8_t *state, struct feature_member *out);
void feature_member_put(const struct feature_set *set, uint8_t *state, const struct feature_member *member);

// Sets what the features of accounts know from a copy (one that is empty, or of no known form: nothing is known).
void feature_account_take(const struct feature_set *set, uint8_t *state, struct bytes copy, int64_t now_ms);
// Sets one value by hand, as of a time: for specs of policies. `text`: of a text feature. False: the feature is not of accounts.
bool feature_account_say(const struct feature_set *set, uint8_t *state, size_t index, double value, struct bytes text,
                         int64_t now_ms);
// What a `group` event says of its account, for the features of roll "trait": appends items as above, sorted by key. False, and
// nothing: it says nothing that they read.
bool feature_traits(const struct feature_set *set, const struct event *event, struct buf *out, bool *is_urgent);
// The path that such a feature reads; empty: it is none.
struct bytes feature_trait_path(const struct feature_set *set, size_t index);
// When the copy was made that they were read from; INT64_MIN: none was.
int64_t feature_account_at(const struct feature_set *set, const uint8_t *state);
// Membership and those values as bytes, for the lead's frame, and back. ITD_ECORRUPT: of another size.
void feature_account_save(const struct feature_set *set, const uint8_t *state, struct buf *out);
int feature_account_load(const struct feature_set *set, uint8_t *state, struct bytes saved,
                         struct error *err) ITD_MUST_USE;
// Appends the lead's contribution. values and texts: feature_read's. `scores`: fit and engagement in thousandths of a point.
// `touch_ms`: its last event, as coarse as it is told. *urgent: hash of the items that a feature calls urgent.
void feature_contribute(const struct feature_set *set, const uint8_t *state, const double *values,
                        const struct bytes *texts, const int64_t scores[2], int64_t touch_ms, struct buf *out,
                        uint64_t *urgent);
