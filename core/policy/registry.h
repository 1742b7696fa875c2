// The models folder: NAME/VERSION/ with model.json and the weights (model/model.h). Reads files, keeps nothing.
#pragma once
#include "base/buf.h"
#include "base/status.h"

// One version that the folder has.
struct registry_version {
  char *name, *version;
};
// All that have a model.json, by name and then by version, oldest first (registry_compare). Folders whose names could not
// be given to a policy are left out. ITD_ENOTFOUND: no such folder; ITD_ETOOBIG, ITD_EIO. For registry_free.
int registry_list(const char *models_dir, struct registry_version **list, size_t *count,
                  struct error *err) ITD_MUST_USE;
void registry_free(struct registry_version *list, size_t count);

// Order of two versions' names: runs of digits by their value ("9" before "10"), all else by bytes.
int registry_compare(const char *a, const char *b);
bool registry_version_ok(const char *version); // can be a version's name: letters, digits and . _ - +, at most 63 bytes
// The highest version of a model, malloc'd. ITD_ENOTFOUND: no such model ("did you mean"), or no version of it.
int registry_highest(const char *models_dir, const char *name, char **version, struct error *err) ITD_MUST_USE;
// Appends the bytes of both files; `weights_name` (may be NULL) gets the name of the second, "weights.json" or, of a booster
// of LightGBM's, "weights.txt". ITD_ENOTFOUND (no such model or version: says which there are), ITD_ETOOBIG, ITD_EIO.
int registry_read(const char *models_dir, const char *name, const char *version, struct buf *model_json,
                  struct buf *weights, const char **weights_name, struct error *err) ITD_MUST_USE;
