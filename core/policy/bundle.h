// struct bundle: the texts that a policy version is made of, from a folder or from an archive, and their hash. Inside
// this layer only.
#pragma once
#include "base/arena.h"
#include "policy/policy.h"

#define BUNDLE_FILE_MAX  (16u << 20)  // bytes of one file
#define BUNDLE_FILES_MAX 4096         // in one folder
#define BUNDLE_BYTES_MAX (256u << 20) // of an archive

struct bundle_model {
  const char *name, *version;
  struct bytes model_json, weights_json;
};
enum { BUNDLE_FIT, BUNDLE_ENGAGEMENT, BUNDLE_SPLIT, BUNDLE_MODELS };
extern const char *const bundle_model_role[BUNDLE_MODELS]; // "fit", "engagement", "split"

struct bundle {
  const char *name;
  // What decisions call the version: a hash of the text without data and models. Of archives from before these were versioned
  // apart it is a hash with them.
  char version[65];
  int format;                 // of its archive
  long long semantics;        // POLICY_SEMANTICS and FEATURE_SEMANTICS that it was built by
  struct lua_module *modules; // sorted by path
  size_t count, cap;
  struct bundle_model model[BUNDLE_MODELS];  // name NULL: none
  struct bundle_model canary[BUNDLE_MODELS]; // likewise: another version of the model in that role
  uint32_t share[BUNDLE_MODELS];             // of the leads for whom the canary decides, in ten-thousandths
  const char **watched;                      // files and folders as opened; none for an archive
  size_t watched_count, watched_cap;
  struct arena arena;
  struct bytes built; // what the build handed over (policy/artifact.h): kept, so that loading an archive runs no Lua
};

void bundle_init(struct bundle *b);
void bundle_deinit(struct bundle *b);
// [a-z][a-z0-9_]*, at most 63 bytes: a name that can be a folder's, and nothing else.
bool bundle_name_ok(const char *name);
// Library, policy and every signal set. ITD_ENOTFOUND, ITD_EPOLICY (a name, two files with the same module name),
// ITD_ETOOBIG, ITD_EIO.
int bundle_gather(struct bundle *b, const struct policy_source *source, struct error *err) ITD_MUST_USE;
// Library and one signal set; library and one file, whose module gets the name of the file without its ending: for what
// reads sources without a policy. ITD_ENOTFOUND, ITD_EPOLICY (a name), ITD_ETOOBIG, ITD_EIO.
int bundle_gather_set(struct bundle *b, const char *scripts_dir, const char *policies_dir, const char *set,
                      struct error *err) ITD_MUST_USE;
int bundle_gather_file(struct bundle *b, const char *scripts_dir, const char *path, const char **module,
                       struct error *err) ITD_MUST_USE;
// One more file, by its path inside the bundle. ITD_EPOLICY: its module's name is taken.
int bundle_add_text(struct bundle *b, const char *path, struct bytes text, struct error *err) ITD_MUST_USE;
// Takes away the signal sets that are not `set`. True when there were any.
bool bundle_keep_signals(struct bundle *b, const char *set);
// Takes a model, `spec` is "NAME" or "NAME@VERSION": as source->models know it, else from the folder. ITD_ENOTFOUND names
// what there is; ITD_EMODEL for a spec that is none, and where the folder has another model under a version that was in force.
int bundle_add_model(struct bundle *b, int role, const struct policy_source *source, const char *spec,
                     struct error *err) ITD_MUST_USE;
// The canary that source->models knows beside the model of a role, if there is one. Errors as above.
int bundle_add_canary(struct bundle *b, int role, const struct policy_source *source, struct error *err) ITD_MUST_USE;
// Into an initialised bundle: all of it, copied.
void bundle_copy(struct bundle *b, const struct bundle *from);
// Puts a version on canary in a role; copies. share 0: takes it away.
void bundle_set_canary(struct bundle *b, int role, const struct policy_model *model, uint32_t share);
// Another version for a role, whose canary goes; copies. Its files in `models_dir` (NULL: none) are watched instead of the old one's.
void bundle_replace_model(struct bundle *b, int role, const struct policy_model *model, const char *models_dir);
// Whether the model held for a role is one that `spec` (NULL: none) asks for.
bool bundle_model_fits(const struct bundle *b, int role, const char *spec);
// Of the text alone: gives `version` to a bundle that has none yet.
void bundle_name_version(struct bundle *b);
void bundle_hash(const struct bundle *b, char hex[65]);      // of all of it
void bundle_data_hash(const struct bundle *b, char hex[65]); // of its data files, "" when there are none
void bundle_pack(const struct bundle *b, struct buf *out);
// Into an initialised bundle; copies. ITD_ECORRUPT, ITD_EVERSION (another POLICY_SEMANTICS or FEATURE_SEMANTICS).
int bundle_unpack(struct bundle *b, struct bytes archive, struct error *err) ITD_MUST_USE;
// The same of any semantics: for what only reads texts and models.
int bundle_unpack_any(struct bundle *b, struct bytes archive, struct error *err) ITD_MUST_USE;
