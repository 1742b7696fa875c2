// Finding the folder of a policy, or of a signal set, and what belongs to it, and loading it with all that check finds.
#pragma once
#include "cli/command.h"
#include "policy/policy.h"

struct folder {
  char *dir;      // as it was given, without a slash at the end
  char *policies; // the folder around it
  char *models, *scripts;
  char *name;  // of the policy, or of the set
  bool is_set; // a signal set's: policies/signals/SET
};

// From the operand DIR, --models and --scripts. What was not given is looked for as intentd does: in the policies
// folder, beside it, and where this program was built. ITD_ENOTFOUND: DIR is no folder.
int folder_find(const struct args *args, struct folder *folder, struct error *err) ITD_MUST_USE;
// The same of a folder that is not the operand.
int folder_find_at(const struct args *args, const char *dir, struct folder *folder, struct error *err) ITD_MUST_USE;
void folder_deinit(struct folder *folder);
// policy_load of it, or policy_load_set. Paths in the report are those of the files as they lie here.
int folder_load(const struct folder *folder, struct policy **policy, struct policy_report *report,
                struct error *err) ITD_MUST_USE;
// A path "policies/…", "models/…" or "scripts/…" as the file lies here, into `out`.
void folder_path(const struct folder *folder, const char *path, struct buf *out);
// "path:line: error: text" for each finding, on standard output; as JSON lines with `json`.
void folder_print(const struct folder *folder, const struct policy_report *report, bool json);
