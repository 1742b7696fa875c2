#include "cli/check_more.h"

#include "base/check.h"
#include "base/file.h"
#include "cli/field.h"
#include "cli/scripts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void add_warning(struct policy_report *report, struct bytes path, int64_t line, struct bytes text) {
  struct policy_problem p = {.line = line > 0 && line < INT32_MAX ? (int)line : 0};
  snprintf(p.path, sizeof p.path, "%.*s", (int)path.n, (const char *)path.p);
  snprintf(p.text, sizeof p.text, "%.*s", (int)text.n, (const char *)text.p);
  policy_report_add(report, &p);
}

// ---- what the tree says ----

static bool is_own(const struct policy *policy, const struct lua_module *m) {
  char prefix[128];
  int n = snprintf(prefix, sizeof prefix, "policies/%s/", policy_info(policy)->name);
  return strncmp(m->path, prefix, (size_t)n) == 0 && strcmp(m->path + strlen(m->path) - 4, ".lua") == 0;
}

static void put_texts(const struct policy *policy, struct buf *out) {
  size_t count;
  uint32_t own = 0;
  const struct lua_module *modules = policy_modules(policy, &count);
  for (size_t i = 0; i < count; i++) own += is_own(policy, &modules[i]);
  mp_put_map(out, 1), mp_put_cstr(out, "texts"), mp_put_map(out, own);
  for (size_t i = 0; i < count; i++)
    if (is_own(policy, &modules[i])) mp_put_cstr(out, modules[i].path), mp_put_str(out, modules[i].text);
}

int check_more(const struct policy *policy, struct policy_report *report, struct error *err) {
  struct scripts scripts;
  struct buf question = {0}, answer = {0};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  struct bytes one;
  put_texts(policy, &question);
  int status = scripts_open(&scripts, "scripts/cli/check_more.lua", "check_more", err);
  if (status == 0) status = scripts_more(&scripts, "scripts/cli/outline.lua", "outline", err);
  if (status == 0)
    status =
        policy_ask(policy, scripts.module, scripts.count, "check_more", buf_bytes(&question), &limits, &answer, err);
  for (struct each each = each_of(field(buf_bytes(&answer), "findings")); each_next(&each, &one);)
    add_warning(report, field_text(one, "path"), field_int(one, "line", 0), field_text(one, "text"));
  scripts_close(&scripts);
  buf_deinit(&question);
  buf_deinit(&answer);
  return status;
}

// ---- luacheck ----

enum { ARGS_MAX = 192, FILES_MAX = 256, OUTPUT_MAX = 1 << 20 };

struct luacheck {
  const char *argv[ARGS_MAX + FILES_MAX + 2];
  size_t argc;
  char *kept[FILES_MAX];
  size_t kept_count;
};

static void add_word(struct luacheck *l, const char *word) { l->argv[l->argc++] = word; }

static bool ends_in(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static void add_options(struct luacheck *l) {
  static const char *const options[] = {
      "luacheck", "--no-config", "--no-cache", "--no-color",           "--codes",  "--std", "none",
      "--quiet",  "--formatter", "plain",      "--no-max-line-length", "--ignore", "6",     "--read-globals"};
  static const char *const spec_words[] = {"describe", "it", "pending", "before_each", "lead", "fixture"};
  size_t count;
  const char *const *names = lua_sandbox_names(&count);
  CHECK(count + 32 < ARGS_MAX);
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) add_word(l, options[i]);
  for (size_t i = 0; i < count; i++) add_word(l, names[i]);
  for (size_t i = 0; i < sizeof spec_words / sizeof *spec_words; i++) add_word(l, spec_words[i]);
  add_word(l, "--");
}

static void add_files(struct luacheck *l, const struct folder *folder) {
  char **names;
  size_t count;
  struct error err;
  if (dir_list(folder->dir, 4096, &names, &count, &err) < 0) return;
  for (size_t i = 0; i < count && l->kept_count < FILES_MAX; i++) {
    if (!ends_in(names[i], ".lua")) continue;
    struct buf path = {0};
    buf_printf(&path, "%s/%s", folder->dir, names[i]);
    l->kept[l->kept_count] = xstrndup(path.p, path.n);
    add_word(l, l->kept[l->kept_count++]);
    buf_deinit(&path);
  }
  dir_list_free(names, count);
}

// Runs it; its standard output is appended. false: there is no such program.
static bool run_luacheck(const struct luacheck *l, struct buf *out) {
  int ends[2];
  if (pipe(ends) < 0) return false;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]), close(ends[1]);
    execvp("luacheck", (char *const *)(uintptr_t)l->argv);
    _exit(127);
  }
  close(ends[1]);
  char part[4096];
  ssize_t n;
  while (pid > 0 && (n = read(ends[0], part, sizeof part)) > 0)
    if (out->n < OUTPUT_MAX) buf_append(out, part, (size_t)n);
  close(ends[0]);
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) < 0) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) < 126;
}

// "policies/b2b_saas/policy.lua:9:7: (W211) unused variable 'x'" of a file in the folder.
static void take_line(const struct folder *folder, const char *line, struct policy_report *report) {
  size_t n = strlen(folder->dir);
  if (strncmp(line, folder->dir, n) != 0 || line[n] != '/') return;
  const char *file = line + n + 1, *colon = strchr(file, ':');
  if (!colon) return;
  char *end;
  long number = strtol(colon + 1, &end, 10);
  const char *text = strstr(end, ": ");
  if (!text) return;
  struct buf path = {0};
  buf_printf(&path, folder->is_set ? "policies/signals/%s/%.*s" : "policies/%s/%.*s", folder->name, (int)(colon - file),
             file);
  add_warning(report, buf_bytes(&path), number, bytes_str(text + 2));
  buf_deinit(&path);
}

bool check_luacheck(const struct folder *folder, struct policy_report *report) {
  struct luacheck l = {0};
  struct buf out = {0};
  add_options(&l);
  add_files(&l, folder);
  bool is_there = run_luacheck(&l, &out);
  buf_append_u8(&out, 0);
  char *rest = (char *)out.p, *line;
  while (is_there && (line = strsep(&rest, "\n"))) take_line(folder, line, report);
  for (size_t i = 0; i < l.kept_count; i++) free(l.kept[i]);
  buf_deinit(&out);
  return is_there;
}
