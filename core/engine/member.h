// A lead and its account around one decision: which account it is of, what it reads of it, and what it tells it
// (engine/account.h). Used by the engine alone. Pure.
#pragma once
#include "engine/engine.h"

// Before the policy runs: a `group` event makes the lead a member, unless it is older than the one before; the features of accounts are filled from the copy that
// lies in the lead's slot.
void member_read(const struct engine_accounts *accounts, const struct policy *policy, struct lead *lead,
                 const struct event *event, int64_t now_ms);
// For a lead that is not to be one any more: appends what tells its account so.
void member_leave(const struct engine_accounts *accounts, const struct policy *policy, const struct lead *lead,
                  struct buf *messages);
// After it: appends to `messages` what the accounts are to know, and notes it in the lead. `event` NULL: there is none.
void member_tell(const struct engine_accounts *accounts, const struct policy *policy, struct lead *lead,
                 const struct event *event, const double *values, const struct bytes *texts, const int64_t scores[2],
                 struct buf *messages);
