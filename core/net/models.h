// Models put in force apart from policies. Control thread.
#pragma once
#include "net/release.h"

struct model_order {
  char name[64], version[64]; // version "": of a rollback
  char why[500], by[32];
  bool is_rollback;
};
// Puts a version in force under the policy that is in force, or leaves everything as it is. Appends the answer: {changed,
// name, version, before, number, why, by, problems: [text]}; with problems the version does not fit, and nothing changed.
// ITD_ENOTFOUND: the policy reads no such model, there is no such version, or none before. ITD_EMODEL: the policy pins it, or
// the folder has another model under that version. And the errors of release_switch.
int models_put_in_force(struct daemon *daemon, const struct model_order *order, struct buf *answer,
                        struct error *err) ITD_MUST_USE;
// {folder, policy: {name, version}, models: [as model_list_put]}
int models_put_list(struct daemon *daemon, struct buf *out, struct error *err) ITD_MUST_USE;
