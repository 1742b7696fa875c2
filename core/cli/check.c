// intent check: everything that is wrong with a policy, before anybody's lead meets it.
#include "cli/folder.h"
#include "cli/show.h"
#include "wire/mp.h"

static void print_summary(const struct folder *folder, const struct policy *policy, const struct policy_report *report,
                          bool json) {
  struct buf out = {0};
  size_t warnings = report->count - report->errors;
  if (json) {
    mp_put_map(&out, 5);
    mp_put_cstr(&out, "policy"), mp_put_cstr(&out, folder->name);
    mp_put_cstr(&out, "version");
    if (policy)
      mp_put_cstr(&out, policy_info(policy)->version);
    else
      mp_put_nil(&out);
    mp_put_cstr(&out, "ok"), mp_put_bool(&out, policy != NULL);
    mp_put_cstr(&out, "errors"), mp_put_uint(&out, report->errors);
    mp_put_cstr(&out, "warnings"), mp_put_uint(&out, warnings);
    show_json(buf_bytes(&out));
  } else if (policy) {
    buf_printf(&out, "%s: ok, version %s, signals %s, %zu features, %zu conditions", folder->name,
               policy_info(policy)->version, policy_info(policy)->signals, feature_count(policy_features(policy)),
               policy_entries(policy, POLICY_CONDITIONS));
    if (policy_info(policy)->custom)
      buf_printf(&out, ", %zu custom function%s that check can't look into", policy_info(policy)->custom,
                 policy_info(policy)->custom == 1 ? "" : "s");
    if (warnings) buf_printf(&out, ", %zu warning%s", warnings, warnings == 1 ? "" : "s");
    buf_append_u8(&out, '\n');
    show_print(&out);
  } else {
    buf_printf(&out, "%s: %zu error%s, %zu warning%s\n", folder->name, report->errors, report->errors == 1 ? "" : "s",
               warnings, warnings == 1 ? "" : "s");
    show_print(&out);
  }
  buf_deinit(&out);
}

static int run(const struct args *args) {
  struct folder folder;
  struct error err = {0};
  if (folder_find(args, &folder, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  struct policy *policy = NULL;
  struct policy_report report = {0};
  int status = folder_load(&folder, &policy, &report, &err);
  bool json = args_flag(args, "json");
  folder_print(&folder, &report, json);
  print_summary(&folder, policy, &report, json);
  int code = status == 0 ? COMMAND_OK : COMMAND_NO;
  if (status < 0 && report.errors == 0) code = command_fail(args, COMMAND_NO, &err);
  policy_report_deinit(&report);
  policy_release(policy);
  folder_deinit(&folder);
  return code;
}

const struct command command_check = {
    .name = "check",
    .operands = "DIR",
    .operands_min = 1,
    .operands_max = 1,
    .uses = USES_POLICIES,
    .summary = "everything that is wrong with a policy, with file and line",
    .help =
        "DIR is a policy's folder, such as policies/b2b_saas. Loads it as the daemon would (its modules, data, signal "
        "set and\n"
        "models), without a daemon, and prints each finding as path:line: error: text. Warnings let a policy load.\n"
        "\n"
        "  intent check policies/b2b_saas",
    .run = run,
};
