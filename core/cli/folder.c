#include "cli/folder.h"

#include "base/buf.h"
#include "cli/show.h"
#include "wire/mp.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_dir(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static char *text_of(struct buf *b) {
  char *text = xstrndup(b->p, b->n);
  buf_deinit(b);
  return text;
}

// A folder that was not named: inside the policies folder, else beside it, else the one that came with the program.
static char *find_beside(const char *given, const char *policies, const char *name, const char *shipped) {
  if (given) return xstrdup(given);
  for (int up = 0; up < 2; up++) {
    struct buf path = {0};
    buf_printf(&path, up ? "%s/../%s" : "%s/%s", policies, name);
    char *text = text_of(&path);
    if (is_dir(text)) return text;
    free(text);
  }
  return xstrdup(shipped);
}

// "policies/b2b_saas/" -> "policies", "b2b_saas"; "." -> by its real name.
static int split(const char *given, struct folder *f, struct error *err) {
  size_t n = strlen(given);
  while (n > 1 && given[n - 1] == '/') n--;
  f->dir = xstrndup(given, n);
  const char *slash = strrchr(f->dir, '/');
  const char *last = slash ? slash + 1 : f->dir;
  if (strcmp(last, ".") == 0 || strcmp(last, "..") == 0 || !*last) {
    char real[PATH_MAX];
    if (!realpath(f->dir, real)) return error_set(err, ITD_ENOTFOUND, "%s is no folder", given);
    free(f->dir);
    f->dir = xstrdup(real);
    slash = strrchr(f->dir, '/');
    last = slash + 1;
  }
  f->policies = !slash ? xstrdup(".") : slash == f->dir ? xstrdup("/") : xstrndup(f->dir, (size_t)(slash - f->dir));
  f->name = xstrdup(last);
  return 0;
}

// Of .../policies/signals/SET the folder above signals holds the policies.
static void find_set(struct folder *f) {
  struct buf path = {0};
  buf_printf(&path, "%s/signals.lua", f->dir);
  char *head = text_of(&path), real[PATH_MAX];
  const char *above = realpath(f->policies, real) ? strrchr(real, '/') : NULL;
  f->is_set = access(head, F_OK) == 0 && above && strcmp(above, "/signals") == 0;
  free(head);
  if (!f->is_set) return;
  size_t n = strlen(f->policies);
  if (strcmp(f->policies, "signals") == 0)
    strcpy(f->policies, ".");
  else if (n > strlen("/signals") && strcmp(f->policies + n - strlen("/signals"), "/signals") == 0)
    f->policies[n - strlen("/signals")] = 0;
  else {
    real[above - real] = 0;
    free(f->policies);
    f->policies = xstrdup(*real ? real : "/");
  }
}

int folder_find(const struct args *args, struct folder *folder, struct error *err) {
  return folder_find_at(args, args->operand[0], folder, err);
}

int folder_find_at(const struct args *args, const char *given, struct folder *folder, struct error *err) {
  struct folder f = {0};
  int status = is_dir(given)
                   ? split(given, &f, err)
                   : error_set(err, ITD_ENOTFOUND,
                               "%.300s is no folder; a policy's folder is wanted, such as policies/b2b_saas", given);
  if (status < 0) {
    folder_deinit(&f);
    return status;
  }
  find_set(&f);
  f.models = find_beside(args_text(args, "models"), f.policies, "models", INTENTD_ROOT "/policies/models");
  f.scripts = find_beside(args_text(args, "scripts"), f.policies, "scripts", INTENTD_ROOT "/scripts");
  *folder = f;
  return 0;
}

void folder_deinit(struct folder *f) {
  free(f->dir);
  free(f->policies);
  free(f->models);
  free(f->scripts);
  free(f->name);
  *f = (struct folder){0};
}

int folder_load(const struct folder *folder, struct policy **policy, struct policy_report *report, struct error *err) {
  struct policy_source source = {.policies_dir = folder->policies,
                                 .models_dir = folder->models,
                                 .scripts_dir = folder->scripts,
                                 .name = folder->name};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  return (folder->is_set ? policy_load_set : policy_load)(&source, &limits, policy, report, err);
}

void folder_path(const struct folder *f, const char *path, struct buf *out) {
  const char *const roots[][2] = {{"policies", f->policies}, {"models", f->models}, {"scripts", f->scripts}};
  for (size_t i = 0; i < 3; i++) {
    size_t n = strlen(roots[i][0]);
    if (strncmp(path, roots[i][0], n) != 0 || path[n] != '/') continue;
    const char *root = roots[i][1];
    if (strcmp(root, ".") != 0) buf_printf(out, "%s/", root);
    buf_append_str(out, path + n + 1);
    return;
  }
  buf_append_str(out, path);
}

static void print_json(struct bytes path, const struct policy_problem *problem) {
  struct buf out = {0};
  mp_put_map(&out, 4);
  mp_put_cstr(&out, "path"), mp_put_str(&out, path);
  mp_put_cstr(&out, "line"), mp_put_int(&out, problem->line);
  mp_put_cstr(&out, "severity"), mp_put_cstr(&out, problem->is_error ? "error" : "warning");
  mp_put_cstr(&out, "text"), mp_put_cstr(&out, problem->text);
  show_json(buf_bytes(&out));
  buf_deinit(&out);
}

static void print_text(struct bytes path, const struct policy_problem *problem) {
  struct buf out = {0};
  show_text(&out, path);
  if (problem->line) buf_printf(&out, ":%d", problem->line);
  buf_printf(&out, ": %s: ", problem->is_error ? "error" : "warning");
  show_text(&out, bytes_str(problem->text));
  buf_append_u8(&out, '\n');
  show_print(&out);
  buf_deinit(&out);
}

void folder_print(const struct folder *folder, const struct policy_report *report, bool json) {
  struct buf path = {0};
  for (size_t i = 0; i < report->count; i++) {
    buf_clear(&path);
    folder_path(folder, report->problem[i].path, &path);
    if (json)
      print_json(buf_bytes(&path), &report->problem[i]);
    else
      print_text(buf_bytes(&path), &report->problem[i]);
  }
  buf_deinit(&path);
}
