// Models put in force apart from policies. Control thread.
#pragma once
#include "net/release.h"

enum model_order_kind {
  ORDER_ACTIVATE, // the version decides for all; a canary ends
  ORDER_ROLLBACK, // the canary ends; where there is none, the version before is put in force
  ORDER_CANARY,   // the version decides for a share of the leads, beside the one in force; share 0: for none any more
};
struct model_order {
  enum model_order_kind kind;
  char name[64], version[64]; // version "": of a rollback
  uint32_t share;             // ten-thousandths of the leads, below POLICY_SHARE_ALL
  char why[500], by[32];
};
// Carries it out under the policy that is in force, or leaves everything as it is. Appends the answer: {changed, name, version
// (in force), before, canary (version; nil: none), share, canary_before, number, why, by, problems: [text]}; with problems the
// version does not fit, and nothing changed. ITD_ENOTFOUND: the policy reads no such model, there is no such version, none
// before, or no canary of it. ITD_EMODEL: the policy pins it, the folder has another model under that version, or a version
// that is in force is to be its own canary. And the errors of release_switch.
int models_carry_out(struct daemon *daemon, const struct model_order *order, struct buf *answer,
                     struct error *err) ITD_MUST_USE;
// {folder, policy: {name, version}, models: [as model_list_put]}
int models_put_list(struct daemon *daemon, struct buf *out, struct error *err) ITD_MUST_USE;
