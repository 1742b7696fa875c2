// intent check --data and --against: what a folder is held against, besides itself. Findings go to `report`, as policy_load's.
#pragma once
#include "cli/folder.h"

// The versions that were in force in a data directory. ITD_ENOTFOUND: none there.
int check_data(const struct policy *policy, const char *data_dir, struct policy_report *report,
               struct error *err) ITD_MUST_USE;
// The signal set, the models and the policy's stages as they were at a revision of the folder's git repository. `said` gets the
// revision, for people. ITD_ENOTFOUND: no repository, or no such revision.
int check_against(const struct folder *folder, const struct policy *policy, const char *rev,
                  struct policy_report *report, struct buf *said, struct error *err) ITD_MUST_USE;
