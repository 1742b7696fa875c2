// Small whole files and folders, for configuration, policies and models. Journals and databases live in store/.
#pragma once
#include "base/buf.h"

// Appends the file's bytes. ITD_ENOTFOUND, ITD_ETOOBIG beyond `limit`, ITD_EIO; the text names the path.
int file_read(const char *path, size_t limit, struct buf *out, struct error *err) ITD_MUST_USE;
// Writes beside it, syncs, renames over it, syncs the folder: after a crash it is the old or the new file, whole.
// Keeps the permissions of a file that it replaces, else 0600; a symbolic link at `path` is itself replaced.
// ITD_EFULL, ITD_ENOTFOUND (no such folder), ITD_EIO; `path` is then as before, unless only the last sync failed.
int file_replace(const char *path, struct bytes content, struct error *err) ITD_MUST_USE;
// Regular files below `dir`, as paths relative to it with "/", sorted by bytes. Hidden ones, symbolic links to folders
// and links that lead out of `dir` are left out. At most `limit` files, 32 folders deep (ITD_ETOOBIG). `names` gets
// malloc'd strings and a malloc'd array, for dir_list_free.
int dir_list(const char *dir, size_t limit, char ***names, size_t *count, struct error *err) ITD_MUST_USE;
void dir_list_free(char **names, size_t count);
int dir_make(const char *path, struct error *err) ITD_MUST_USE; // like mkdir -p, mode 0700
