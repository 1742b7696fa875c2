// What there is of models, as one map: those of a folder, and those that were ever in force in a data directory. Reads files.
#pragma once
#include "store/model_history.h"

struct model_places {
  const char *models_dir;              // NULL: no folder
  const char *data_dir;                // NULL: no data directory
  const struct model_history *history; // of data_dir; NULL: none
  const struct policy *policy;         // in force: whether versions fit it; NULL: not known
};
// Appends a list, by name and version, of {name, version, kind, target (nil both when it does not load), in_folder, state
// ("in_force", "canary", "was_in_force", "new"; of a version that was only ever on canary "was_canary"), share (of a canary, in
// ten-thousandths of the leads; else nil), roles [text], pinned, since, by, why, how (of the last time that it came into force;
// nil: never), number (the release's), problem (why it does not load, or does not fit the policy that reads a model of that name; nil: nothing is known)}. `only`: that
// model alone (NULL: all). Returns how many there are, or the errors of registry_list.
int model_list_put(const struct model_places *places, const char *only, struct buf *out,
                   struct error *err) ITD_MUST_USE;
// The files of a version: as they were in force, else the folder's; appended. ITD_ENOTFOUND: neither has it; ITD_EMODEL: both
// have it, and they differ; ITD_ECORRUPT, ITD_EIO.
int model_files(const struct model_places *places, const char *name, const char *version, struct buf *model_json,
                struct buf *weights_json, struct error *err) ITD_MUST_USE;
