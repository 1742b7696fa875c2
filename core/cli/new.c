// intent new: the files of a policy, or of a signal set, to begin with.
#include "base/file.h"
#include "base/suggest.h"
#include "cli/field.h"
#include "cli/folder.h"
#include "cli/scripts.h"
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES_MAX = 63 };

struct request {
  const struct args *args;
  const char *what, *name, *policies, *owner;
  char *dir; // of the new one
  bool is_policy;
};

static bool name_ok(const char *name) {
  size_t n = strlen(name);
  if (n == 0 || n > NAME_BYTES_MAX || name[0] < 'a' || name[0] > 'z') return false;
  for (size_t i = 0; i < n; i++)
    if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') && name[i] != '_') return false;
  return strcmp(name, "signals") != 0 && strcmp(name, "models") != 0;
}

static char *text_of(struct buf *b) {
  char *text = xstrndup(b->p, b->n);
  buf_deinit(b);
  return text;
}

static int read_request(const struct args *args, struct request *r, struct error *err) {
  static const char *const words[] = {"policy", "signals"};
  const char *policies = args_text(args, "policies"), *owner = args_text(args, "owner");
  *r = (struct request){.args = args, .what = args->operand[0], .name = args->operand[1]};
  r->policies = policies ? policies : "policies";
  r->owner = owner ? owner : "you@example.com";
  r->is_policy = strcmp(r->what, "policy") == 0;
  if (!r->is_policy && strcmp(r->what, "signals") != 0) {
    const char *near = suggest(bytes_str(r->what), words, 2);
    return error_set(err, ITD_EINVAL, "there is policy and signals, not \"%.40s\"%s%s%s", r->what,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  }
  if (!name_ok(r->name))
    return error_set(err, ITD_EINVAL, "\"%.80s\" can't be a name: a-z, 0-9 and _, at most %d, a letter first", r->name,
                     NAME_BYTES_MAX);
  for (const char *p = r->owner; *p; p++)
    if ((unsigned char)*p < ' ' || *p == '"' || *p == '\\')
      return error_set(err, ITD_EINVAL, "--owner: a text without quotes, backslashes and control characters");
  if (access(r->policies, W_OK) != 0)
    return error_set(err, ITD_ENOTFOUND, "no folder %s to write to; --policies names another", r->policies);
  struct buf dir = {0};
  buf_printf(&dir, r->is_policy ? "%s/%s" : "%s/signals/%s", r->policies, r->name);
  r->dir = text_of(&dir);
  return 0;
}

// ---- the signal set that a new policy reads ----

// The one that --signals names, else the only one there is, else b2b.
static int find_set(const struct request *r, char **dir, struct error *err) {
  const char *given = args_text(r->args, "signals");
  struct buf path = {0};
  char **names, *only = NULL;
  size_t count, sets = 0;
  bool has_b2b = false;
  buf_printf(&path, "%s/signals", r->policies);
  char *folder = text_of(&path);
  if (!given && dir_list(folder, 4096, &names, &count, err) == 0) {
    for (size_t i = 0; i < count; i++) {
      const char *slash = strchr(names[i], '/');
      if (!slash || strcmp(slash, "/signals.lua") != 0) continue;
      sets++;
      has_b2b |= strcmp(names[i], "b2b/signals.lua") == 0;
      free(only);
      only = xstrndup(names[i], (size_t)(slash - names[i]));
    }
    dir_list_free(names, count);
  }
  const char *chosen = given ? given : sets == 1 ? only : has_b2b ? "b2b" : NULL;
  if (chosen) {
    buf_printf(&path, "%s/%s", folder, chosen);
    *dir = text_of(&path);
  }
  free(folder), free(only);
  if (chosen) return 0;
  return error_set(err, ITD_ENOTFOUND,
                   sets ? "%zu signal sets: --signals says which one the policy reads"
                        : "a policy reads a signal set, and there are %zu: intent new signals NAME",
                   sets);
}

static void put_set(const struct policy *set, const char *name, struct buf *out) {
  const char *version = strchr(policy_info(set)->signals, '@');
  size_t count = feature_count(policy_features(set));
  mp_put_cstr(out, "set"), mp_put_cstr(out, name);
  mp_put_cstr(out, "version"), mp_put_int(out, version ? strtoll(version + 1, NULL, 10) : 1);
  mp_put_cstr(out, "declarations"), mp_put_array(out, (uint32_t)count);
  for (size_t i = 0; i < count; i++) mp_put_raw(out, policy_declaration(set, i));
}

// 0, or the exit code after what is wrong was printed.
static int ask_set(const struct request *r, struct buf *question) {
  struct folder folder;
  struct error err = {0};
  struct policy_report report = {0};
  struct policy *set = NULL;
  char *dir = NULL;
  int status = find_set(r, &dir, &err);
  if (status == 0) status = folder_find_at(r->args, dir, &folder, &err);
  free(dir);
  if (status == 0 && !folder.is_set) {
    status = error_set(&err, ITD_ENOTFOUND, "%s is no signal set: it has no signals.lua", folder.dir);
    folder_deinit(&folder);
  }
  if (status < 0) return command_fail(r->args, COMMAND_USAGE, &err);
  status = folder_load(&folder, &set, &report, &err);
  if (status < 0)
    folder_print(&folder, &report, args_flag(r->args, "json"));
  else
    put_set(set, folder.name, question);
  policy_report_deinit(&report);
  policy_release(set);
  folder_deinit(&folder);
  return status < 0 ? command_fail(r->args, COMMAND_NO, &err) : COMMAND_OK;
}

// ---- writing ----

static int make_files(const struct request *r, struct bytes question, struct buf *answer, struct error *err) {
  struct scripts scripts;
  int status = scripts_open(&scripts, "scripts/cli/new.lua", "new", err);
  if (status == 0) status = scripts_more(&scripts, "scripts/numbers.lua", "numbers", err);
  if (status == 0) status = scripts_more(&scripts, "scripts/frozen.lua", "frozen", err);
  if (status == 0) status = scripts_run(&scripts, question, answer, err);
  scripts_close(&scripts);
  struct bytes why = field_text(buf_bytes(answer), "error");
  if (status == 0 && why.n) status = error_set(err, ITD_EPOLICY, "%.*s", (int)why.n, (const char *)why.p);
  if (status < 0) return status;
  struct stat st;
  return lstat(r->dir, &st) == 0 ? error_set(err, ITD_EINVAL, "%s is there already, and nothing is overwritten", r->dir)
                                 : 0;
}

static int write_file(const struct request *r, struct bytes one, struct error *err) {
  struct bytes name = field_text(one, "path");
  struct buf path = {0};
  buf_printf(&path, "%s/%.*s", r->dir, (int)name.n, (const char *)name.p);
  char *file = text_of(&path), *slash = strrchr(file, '/');
  *slash = 0;
  int status = dir_make(file, err);
  *slash = '/';
  if (status == 0) status = file_replace(file, field_text(one, "text"), err);
  if (status == 0) (void)chmod(file, 0644); // a file like those beside it, for a repository
  free(file);
  return status;
}

static void say(const struct request *r, struct bytes files) {
  struct buf out = {0};
  struct bytes one;
  if (args_flag(r->args, "json")) {
    mp_put_map(&out, 2);
    mp_put_cstr(&out, "dir"), mp_put_cstr(&out, r->dir);
    mp_put_cstr(&out, "files"), mp_put_array(&out, mp_value_of(files).count);
    for (struct each each = each_of(files); each_next(&each, &one);) mp_put_str(&out, field_text(one, "path"));
    show_json(buf_bytes(&out));
  } else {
    for (struct each each = each_of(files); each_next(&each, &one);) {
      buf_printf(&out, "%s/", r->dir);
      show_text(&out, field_text(one, "path")), buf_append_u8(&out, '\n');
    }
    buf_printf(&out, r->is_policy ? "now: intent check %s && intent test %s\n" : "now: intent check %s\n", r->dir,
               r->dir);
    show_print(&out);
  }
  buf_deinit(&out);
}

static int run(const struct args *args) {
  struct request r;
  struct error err = {0};
  struct buf question = {0}, answer = {0};
  if (read_request(args, &r, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  mp_put_map(&question, r.is_policy ? 6 : 3);
  mp_put_cstr(&question, "what"), mp_put_cstr(&question, r.what);
  mp_put_cstr(&question, "name"), mp_put_cstr(&question, r.name);
  mp_put_cstr(&question, "owner"), mp_put_cstr(&question, r.owner);
  int code = r.is_policy ? ask_set(&r, &question) : COMMAND_OK;
  if (code == COMMAND_OK) {
    int status = make_files(&r, buf_bytes(&question), &answer, &err);
    struct bytes one, files = field(buf_bytes(&answer), "files");
    for (struct each each = each_of(files); status == 0 && each_next(&each, &one);) status = write_file(&r, one, &err);
    code = status < 0 ? command_fail(args, status == ITD_EIO || status == ITD_EFULL ? COMMAND_USAGE : COMMAND_NO, &err)
                      : COMMAND_OK;
    if (status == 0) say(&r, files);
  }
  free(r.dir);
  buf_deinit(&question);
  buf_deinit(&answer);
  return code;
}

static const struct option options[] = {
    {"policies", "DIR", "the folder of the policies (default policies)"},
    {"signals", "SET", "policy: the signal set that it reads (default: the only one, or b2b)"},
    {"owner", "TEXT", "who answers for it (default you@example.com)"},
    {0}};

const struct command command_new = {
    .name = "new",
    .operands = "policy|signals NAME",
    .operands_min = 2,
    .operands_max = 2,
    .uses = USES_POLICIES,
    .summary = "begin a policy, or a signal set, with files that check and test pass",
    .help = "policy: policies/NAME with policy.lua, data/sales_team.csv and policy_spec.lua, a small whole policy on a "
            "feature of the signal\n"
            "set that counts an event. signals: policies/signals/NAME with signals.lua and features/web.lua. Both are "
            "there to be\n"
            "changed; nothing that is there already is overwritten (exit code 1).\n"
            "\n"
            "  intent new policy renewals --owner revops@example.com\n"
            "  intent new signals gym && intent new policy gym_leads --signals gym",
    .options = options,
    .run = run,
};
