// Folders as they were at a revision of their git repository. Reads the repository's objects alone: its work tree, index
// and references are left as they are.
#pragma once
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct git_past;
// The repository around `inside` (a path that exists), at `rev`: whatever names a commit ("main", "HEAD~3", "v1.2", a
// hash). ITD_ENOTFOUND: no repository there, or no such revision; ITD_EIO.
int git_past_open(const char *inside, const char *rev, struct git_past **out, struct error *err) ITD_MUST_USE;
void git_past_close(struct git_past *past); // NULL does nothing
// "main, 5d7f423abc of 2026-11-25 by Ann Smith"; as long as `past`.
const char *git_past_name(const struct git_past *past);
const char *git_past_commit(const struct git_past *past); // 40 digits

// Writes the regular files that `folder` (a path that exists now) had then, and its folders', below `to`, which is made.
// Links and submodules are left out. ITD_ENOTFOUND: it was not there, or lies outside of the repository; ITD_ETOOBIG: beyond
// `bytes_max`; ITD_EIO.
int git_past_extract(const struct git_past *past, const char *folder, const char *to, uint64_t bytes_max,
                     struct error *err) ITD_MUST_USE;

// Calls `found` for each file that `folder` had then, is there now, and has other bytes; `path` is below `folder`. What git
// changes on a checkout (line ends) is no difference. A folder that was not there has none. ITD_EIO.
typedef void (*git_past_found)(void *context, const char *path);
int git_past_changed(const struct git_past *past, const char *folder, git_past_found found, void *context,
                     struct error *err) ITD_MUST_USE;
