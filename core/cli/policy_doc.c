#include "cli/policy_doc.h"

#include "base/file.h"
#include "cli/field.h"
#include "cli/folder.h"
#include "cli/scripts.h"
#include "cli/show.h"

#include <stdio.h>

static int make(const struct policy *policy, bool is_html, struct buf *answer, struct error *err) {
  struct scripts scripts;
  struct buf question = {0};
  const struct policy_info *info = policy_info(policy);
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  mp_put_map(&question, 3);
  mp_put_cstr(&question, "version"), mp_put_cstr(&question, info->version);
  mp_put_cstr(&question, "signals"), mp_put_cstr(&question, info->signals);
  mp_put_cstr(&question, "html"), mp_put_bool(&question, is_html);
  int status = scripts_open(&scripts, "scripts/cli/policy_doc.lua", "policy_doc", err);
  if (status == 0) status = scripts_more(&scripts, "scripts/cli/outline.lua", "outline", err);
  if (status == 0)
    status =
        policy_ask(policy, scripts.module, scripts.count, "policy_doc", buf_bytes(&question), &limits, answer, err);
  scripts_close(&scripts);
  buf_deinit(&question);
  return status;
}

static void print(const struct args *args, struct bytes text) {
  struct buf out = {0};
  if (args_flag(args, "json")) {
    mp_put_map(&out, 1);
    mp_put_cstr(&out, "markdown"), mp_put_str(&out, text);
    show_json(buf_bytes(&out));
  } else {
    buf_append_bytes(&out, text);
    show_print(&out);
  }
  buf_deinit(&out);
}

int policy_doc(const struct args *args, const char *dir) {
  struct folder folder;
  struct error err = {0};
  struct policy *policy = NULL;
  struct policy_report report = {0};
  struct buf answer = {0};
  const char *html = args_text(args, "html");
  if (folder_find_at(args, dir, &folder, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  int code = COMMAND_OK;
  if (folder.is_set) {
    error_set(&err, ITD_EINVAL, "%s is a signal set; a policy's folder is wanted", folder.dir);
    code = command_fail(args, COMMAND_USAGE, &err);
  } else if (folder_load(&folder, &policy, &report, &err) < 0) {
    folder_print(&folder, &report, args_flag(args, "json"));
    code = command_fail(args, COMMAND_NO, &err);
  } else if (make(policy, html != NULL, &answer, &err) < 0) {
    code = command_fail(args, COMMAND_NO, &err);
  }
  struct bytes text = field_text(buf_bytes(&answer), "text");
  if (code == COMMAND_OK && !html) print(args, text);
  if (code == COMMAND_OK && html && file_replace(html, text, &err) < 0) code = command_fail(args, COMMAND_USAGE, &err);
  buf_deinit(&answer);
  policy_report_deinit(&report);
  policy_release(policy);
  folder_deinit(&folder);
  return code;
}
