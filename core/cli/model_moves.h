// How the scores of recorded decisions would move from one version of a model to another: both are computed anew from the
// features that each decision read, as the journal gives them (store/refold.h).
#pragma once
#include "model/model.h"

#define MODEL_MOVES_MAX 4000000 // decisions, of 40 bytes each

// Appends {decisions, unscored (made with features that a version does not fit), changed, rank_correlation (Spearman's; nil
// where a version gives everybody the same), points: [{of: "a" | "b" | "change", least, p05, p25, median, p75, p95, most}],
// largest: [{decision_id, a, b}]}, of decisions from `since_ms` on by the lead's clock. Points are the model's own, not capped.
// ITD_ENOTFOUND: no decision; ITD_EMODEL: no decision's features fit; ITD_ETOOBIG; the errors of store_refold.
int model_moves_put(const char *dir, const struct model *const model[2], int64_t since_ms, struct buf *out,
                    struct error *err) ITD_MUST_USE;
void model_moves_show(struct bytes moves, struct buf *out); // the same for people
