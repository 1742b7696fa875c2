#include "cli/git_past.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"

#include <git2.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct git_past {
  git_repository *repository;
  git_commit *commit;
  git_tree *tree;
  char *root; // the work tree's real path, with a slash behind it
  char name[300], hash[GIT_OID_HEXSZ + 1];
};

static const char *said(void) {
  const git_error *e = git_error_last();
  return e && e->message ? e->message : "unknown error";
}

static int find_commit(struct git_past *past, const char *rev, struct error *err) {
  git_object *object = NULL, *commit = NULL;
  int e = git_revparse_single(&object, past->repository, rev);
  if (e == 0) e = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
  git_object_free(object);
  if (e != 0)
    return error_set(err, ITD_ENOTFOUND, "'%.100s' names no commit of %.200s: %.200s", rev, past->root, said());
  past->commit = (git_commit *)commit;
  return git_commit_tree(&past->tree, past->commit) == 0 ? 0 : error_set(err, ITD_EIO, "git: %.300s", said());
}

static void name_commit(struct git_past *past, const char *rev) {
  char when[TIME_TEXT_MAX];
  git_oid_tostr(past->hash, sizeof past->hash, git_commit_id(past->commit));
  time_format((int64_t)git_commit_time(past->commit) * 1000, when);
  bool is_hash = strncmp(past->hash, rev, strlen(rev)) == 0;
  snprintf(past->name, sizeof past->name, "%.100s%s%.10s of %.10s by %.60s", is_hash ? "" : rev, is_hash ? "" : ", ",
           past->hash, when, git_commit_author(past->commit)->name);
}

static int open_at(struct git_past *past, const char *inside, const char *rev, struct error *err) {
  char real[PATH_MAX];
  if (git_repository_open_ext(&past->repository, inside, 0, NULL) != 0)
    return error_set(err, ITD_ENOTFOUND, "%.300s lies in no git repository that can be read: %.150s", inside, said());
  const char *work = git_repository_workdir(past->repository);
  if (!work || !realpath(work, real))
    return error_set(err, ITD_ENOTFOUND, "the git repository around %.300s has no work tree", inside);
  size_t n = strlen(real);
  past->root = xcalloc(1, n + 2);
  memcpy(past->root, real, n);
  past->root[n] = '/';
  int rc = find_commit(past, rev, err);
  if (rc == 0) name_commit(past, rev);
  return rc;
}

int git_past_open(const char *inside, const char *rev, struct git_past **out, struct error *err) {
  git_libgit2_init(); // counted by the library; git_past_close is the other end
  struct git_past *past = xcalloc(1, sizeof *past);
  int rc = open_at(past, inside, rev, err);
  if (rc == 0)
    *out = past;
  else
    git_past_close(past);
  return rc;
}

void git_past_close(struct git_past *past) {
  if (!past) return;
  git_tree_free(past->tree);
  git_commit_free(past->commit);
  git_repository_free(past->repository);
  free(past->root);
  free(past);
  git_libgit2_shutdown();
}

const char *git_past_name(const struct git_past *past) { return past->name; }
const char *git_past_commit(const struct git_past *past) { return past->hash; }

// ---- a folder ----

// What it was then; ITD_ENOTFOUND. `real` gets its path, `*out` NULL for the repository's own.
static int find_tree(const struct git_past *past, const char *folder, char real[PATH_MAX], git_tree **out,
                     struct error *err) {
  if (!realpath(folder, real)) return error_set(err, ITD_ENOTFOUND, "%.300s is not there", folder);
  size_t n = strlen(past->root);
  if (strncmp(real, past->root, n - 1) != 0 || (real[n - 1] != '/' && real[n - 1] != 0))
    return error_set(err, ITD_ENOTFOUND, "%.300s lies outside of the git repository %.200s", real, past->root);
  git_tree_entry *entry = NULL;
  git_object *object = NULL;
  const char *below = real[n - 1] ? real + n : "";
  int e = *below ? git_tree_entry_bypath(&entry, past->tree, below) : 0;
  if (e == 0 && !*below) return git_tree_dup(out, past->tree) == 0 ? 0 : error_set(err, ITD_EIO, "git: %s", said());
  if (e == 0 && git_tree_entry_type(entry) == GIT_OBJECT_TREE)
    e = git_tree_entry_to_object(&object, past->repository, entry);
  git_tree_entry_free(entry);
  *out = (git_tree *)object;
  return e == 0 && object ? 0 : error_set(err, ITD_ENOTFOUND, "%.300s was not there", below);
}

struct walk {
  const struct git_past *past;
  const char *dir; // where the tree lies now, or is written to
  uint64_t left;   // bytes that may still be written
  git_past_found found;
  void *context;
  struct error *err;
  int rc;
};

// A tree may hold whatever its maker wrote into it.
static bool is_name(const char *name) {
  return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/');
}
static bool is_regular(const git_tree_entry *entry) {
  git_filemode_t mode = git_tree_entry_filemode(entry);
  return mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE;
}

static int failed(struct walk *w, int rc, const char *path, const char *why) {
  w->rc = error_set(w->err, rc, "%.300s: %.150s", path, why);
  return -1; // ends the walk
}

static int write_blob(struct walk *w, const char *path, const git_tree_entry *entry) {
  git_blob *blob = NULL;
  if (git_blob_lookup(&blob, w->past->repository, git_tree_entry_id(entry)) != 0)
    return failed(w, ITD_EIO, path, said());
  uint64_t size = (uint64_t)git_blob_rawsize(blob);
  int rc = 0;
  if (size > w->left) {
    rc = failed(w, ITD_ETOOBIG, path, "with it the folder is larger than is read");
  } else {
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(git_blob_rawcontent(blob), 1, (size_t)size, file) == size;
    if (file && fclose(file) != 0) ok = false;
    if (!ok) rc = failed(w, ITD_EIO, path, "can't be written");
    w->left -= size;
  }
  git_blob_free(blob);
  return rc;
}

static int extract_one(const char *root, const git_tree_entry *entry, void *payload) {
  struct walk *w = payload;
  const char *name = git_tree_entry_name(entry);
  char path[PATH_MAX];
  int n = snprintf(path, sizeof path, "%s/%s%s", w->dir, root, name);
  if (!is_name(name) || n < 0 || (size_t)n >= sizeof path) return failed(w, ITD_EIO, name, "is no name of a file");
  if (git_tree_entry_type(entry) == GIT_OBJECT_TREE)
    return mkdir(path, 0700) == 0 ? 0 : failed(w, ITD_EIO, path, "can't be made");
  return is_regular(entry) ? write_blob(w, path, entry) : 0;
}

static int walk_tree(struct walk *w, git_tree *tree, git_treewalk_cb each) {
  int e = git_tree_walk(tree, GIT_TREEWALK_PRE, each, w);
  if (e != 0 && w->rc == 0) w->rc = error_set(w->err, ITD_EIO, "git: %.300s", said());
  git_tree_free(tree);
  return w->rc;
}

int git_past_extract(const struct git_past *past, const char *folder, const char *to, uint64_t bytes_max,
                     struct error *err) {
  char real[PATH_MAX];
  git_tree *tree = NULL;
  int rc = find_tree(past, folder, real, &tree, err);
  if (rc == 0 && (rc = dir_make(to, err)) != 0) git_tree_free(tree);
  if (rc != 0) return rc;
  struct walk w = {.past = past, .dir = to, .left = bytes_max, .err = err};
  return walk_tree(&w, tree, extract_one);
}

// ---- what is other now ----

static int compare_one(const char *root, const git_tree_entry *entry, void *payload) {
  struct walk *w = payload;
  char path[PATH_MAX];
  git_oid now;
  int n = snprintf(path, sizeof path, "%s/%s%s", w->dir, root, git_tree_entry_name(entry));
  if (!is_regular(entry) || n < 0 || (size_t)n >= sizeof path || access(path, F_OK) != 0) return 0;
  if (git_repository_hashfile(&now, w->past->repository, path, GIT_OBJECT_BLOB, NULL) != 0)
    return failed(w, ITD_EIO, path, said());
  if (!git_oid_equal(&now, git_tree_entry_id(entry))) w->found(w->context, path + strlen(w->dir) + 1);
  return 0;
}

int git_past_changed(const struct git_past *past, const char *folder, git_past_found found, void *context,
                     struct error *err) {
  char real[PATH_MAX];
  git_tree *tree = NULL;
  int rc = find_tree(past, folder, real, &tree, err);
  if (rc != 0) return rc == ITD_ENOTFOUND ? 0 : rc;
  struct walk w = {.past = past, .dir = real, .found = found, .context = context, .err = err};
  return walk_tree(&w, tree, compare_one);
}
