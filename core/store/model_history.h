// Which version of each model was in force, from when, by whom and why: DIR/versions/models, a line of JSON for each time
// that one came into force or went, oldest first. The bytes of each are in the archive of the release that it came with
// (store/versions.h). Lines are written before the frames that put a release in force: what a crash kept from coming into
// force is taken out again by model_history_settle.
#pragma once
#include "policy/policy.h"

#define MODEL_HISTORY_MAX (16u << 20) // bytes of the file: some 60,000 lines

enum model_how {
  MODEL_START,    // the daemon began with it
  MODEL_RELOAD,   // a policy was loaded that names it
  MODEL_ACTIVATE, // it was put in force
  MODEL_ROLLBACK, // the one before it was put in force again
  MODEL_LEFT,     // no policy in force reads it any more
  MODEL_CANARY,   // it decides for a share of the leads, beside the one in force
  MODEL_ENDED,    // as a canary: it does so no more
};
struct model_use {
  int64_t at_ms;
  char *name, *version;
  enum model_how how;
  uint32_t number; // of the release that it came with
  uint32_t share;  // of a canary: ten-thousandths of the leads
  char hash[17];   // of both files: model_info's number_hash
  char *by, *why;  // by "": nobody, the daemon itself
};
struct model_history {
  struct model_use *use;
  size_t count;
};

// Of a directory, which may be a running daemon's or a copy. No such file: an empty history. ITD_ECORRUPT: a line that does
// not read; ITD_ETOOBIG, ITD_EIO.
int model_history_read(const char *dir, struct model_history *out, struct error *err) ITD_MUST_USE;
int model_history_write(const char *dir, const struct model_history *history, struct error *err) ITD_MUST_USE; // synced
void model_history_deinit(struct model_history *history);
void model_history_copy(struct model_history *to, const struct model_history *from); // into an empty one
void model_history_add(struct model_history *history, const struct model_use *use);  // copies its texts

const char *model_how_name(enum model_how how); // as the file has it
// The last line of a model, as a canary or not, of one version with `version`; NULL version: of its being in force, of any.
// NULL: there is none.
const struct model_use *model_history_last(const struct model_history *history, const char *name, const char *version);
// The one in force; NULL: none is. And the one that a rollback puts in force: what was before the last activation that was
// not rolled back, so that a second rollback goes one further back. NULL: there was none before.
const struct model_use *model_history_in_force(const struct model_history *history, const char *name);
const struct model_use *model_history_before(const struct model_history *history, const char *name);

// The one on canary; NULL: none is.
const struct model_use *model_history_canary(const struct model_history *history, const char *name);

// What a release changes: adds a line for each of its models that was not in force, for each model that it does not
// read any more, and for canaries that begin, change or end. `how`, `by`, `why`, `at_ms` and `number` are those of `as`. Returns how many lines.
size_t model_history_note(struct model_history *history, const struct policy *policy, const struct model_use *as);
// Makes it agree with the release that the journal says was in force last: the lines of what never came into force go.
// True: it was changed.
bool model_history_settle(struct model_history *history, const struct policy *policy, const struct model_use *as);
// A version's files, from the archive of its release; appended. ITD_ENOTFOUND: it was never in force. ITD_ECORRUPT, ITD_EIO.
int model_history_files(const char *dir, const struct model_history *history, const char *name, const char *version,
                        struct buf *model_json, struct buf *weights_json, struct error *err) ITD_MUST_USE;

// What policy_load asks (struct policy_models), of a history and its directory.
struct model_finder {
  const char *dir;
  const struct model_history *history;
};
int model_finder_canary(void *context, const char *name, char **found, uint32_t *share, struct buf *model_json,
                        struct buf *weights_json, struct error *err);
int model_finder_find(void *context, const char *name, const char *version, char **found, struct buf *model_json,
                      struct buf *weights_json, struct error *err);
