// intent check: everything that is wrong with a policy or a signal set, before anybody's lead meets it.
#include "cli/check_more.h"
#include "cli/check_past.h"
#include "cli/show.h"
#include "wire/mp.h"

#include <stdio.h>

// What was looked at beside the findings.
struct looked {
  struct buf against; // empty: --against was not given
  bool is_done;       // it loaded, and luacheck was looked for
  bool has_luacheck, has_cost;
  struct check_cost cost;
};

static void put_cost(const struct check_cost *cost, struct buf *out) {
  mp_put_cstr(out, "cost"), mp_put_map(out, 5);
  mp_put_cstr(out, "calls"), mp_put_uint(out, cost->calls);
  mp_put_cstr(out, "ns_p50"), mp_put_uint(out, cost->ns_p50);
  mp_put_cstr(out, "ns_max"), mp_put_uint(out, cost->ns_max);
  mp_put_cstr(out, "stage"), mp_put_cstr(out, cost->worst_stage);
  mp_put_cstr(out, "stage_ns_p50"), mp_put_uint(out, cost->worst_ns);
}

static void put_json(const struct folder *folder, const struct policy *policy, const struct policy_report *report,
                     const struct looked *looked, struct buf *out) {
  const struct buf *against = &looked->against;
  mp_put_map(out, 5u + looked->is_done + (against->n != 0) + looked->has_cost);
  mp_put_cstr(out, folder->is_set ? "signals" : "policy"), mp_put_cstr(out, folder->name);
  mp_put_cstr(out, "version");
  if (policy && folder->is_set)
    mp_put_cstr(out, policy_info(policy)->signals);
  else if (policy)
    mp_put_cstr(out, policy_info(policy)->version);
  else
    mp_put_nil(out);
  mp_put_cstr(out, "ok"), mp_put_bool(out, policy != NULL);
  mp_put_cstr(out, "errors"), mp_put_uint(out, report->errors);
  mp_put_cstr(out, "warnings"), mp_put_uint(out, report->count - report->errors);
  if (looked->is_done) mp_put_cstr(out, "luacheck"), mp_put_bool(out, looked->has_luacheck);
  if (against->n) mp_put_cstr(out, "against"), mp_put_str(out, buf_bytes(against));
  if (looked->has_cost) put_cost(&looked->cost, out);
}

static void put_plural(struct buf *out, size_t n, const char *what) {
  buf_printf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void put_good(const struct folder *folder, const struct policy *policy, struct buf *out) {
  const struct policy_info *info = policy_info(policy);
  size_t features = feature_count(policy_features(policy));
  if (folder->is_set) {
    buf_printf(out, "%s: ok, ", info->signals);
    put_plural(out, features, "feature"), buf_append_str(out, ", ");
    put_plural(out, schema_count(policy_schemas(policy)), "schema version");
    return;
  }
  buf_printf(out, "%s: ok, version %s, ", folder->name, info->version);
  if (info->data[0]) buf_printf(out, "data %s, ", info->data);
  buf_printf(out, "signals %s, ", info->signals);
  put_plural(out, features, "feature"), buf_append_str(out, ", ");
  put_plural(out, policy_entries(policy, POLICY_CONDITIONS), "condition");
  if (!info->custom) return;
  buf_append_str(out, ", ");
  put_plural(out, info->custom, "custom function");
  buf_append_str(out, " that check can't look into");
}

static void print_summary(const struct folder *folder, const struct policy *policy, const struct policy_report *report,
                          const struct looked *looked, bool json) {
  struct buf out = {0};
  size_t warnings = report->count - report->errors;
  const struct buf *against = &looked->against;
  if (json) {
    put_json(folder, policy, report, looked, &out);
    show_json(buf_bytes(&out));
    buf_deinit(&out);
    return;
  }
  if (policy)
    put_good(folder, policy, &out);
  else
    buf_printf(&out, "%s: ", folder->name), put_plural(&out, report->errors, "error");
  if (warnings || !policy) buf_append_str(&out, ", "), put_plural(&out, warnings, "warning");
  if (against->n) buf_append_str(&out, "; compared with "), show_text(&out, buf_bytes(against));
  buf_append_u8(&out, '\n');
  if (looked->has_cost)
    buf_printf(&out, "a decision costs %llu ns in the middle and %llu ns at most; stage '%s' costs most\n",
               (unsigned long long)looked->cost.ns_p50, (unsigned long long)looked->cost.ns_max,
               looked->cost.worst_stage);
  show_print(&out);
  buf_deinit(&out);
}

static int check_all(const struct args *args, const struct folder *folder, struct policy *policy,
                     struct policy_report *report, struct looked *looked, struct error *err) {
  const char *data = args_text(args, "data"), *rev = args_text(args, "against");
  int rc = data ? check_data(policy, data, report, err) : 0;
  if (rc == 0 && rev) rc = check_against(folder, policy, rev, report, &looked->against, err);
  if (rc == 0 && !folder->is_set) rc = check_more(policy, report, err);
  if (rc == 0) looked->has_luacheck = check_luacheck(folder, report), looked->is_done = true;
  if (rc == 0 && !looked->has_luacheck && !args_flag(args, "json"))
    fputs("luacheck is not installed: names that are never used, or hide others, were not looked for\n", stderr);
  if (rc == 0 && args_flag(args, "cost") && !folder->is_set) {
    rc = check_cost(policy, &looked->cost, err);
    looked->has_cost = rc == 0;
  }
  return rc;
}

static int conclude(const struct args *args, const struct folder *folder, struct policy *policy, int status,
                    struct policy_report *report, const struct looked *looked, const struct error *err) {
  bool json = args_flag(args, "json");
  const struct policy *good = report->errors ? NULL : policy;
  folder_print(folder, report, json);
  print_summary(folder, good, report, looked, json);
  int code = status == 0 && report->errors == 0 ? COMMAND_OK : COMMAND_NO;
  return status < 0 && report->errors == 0 ? command_fail(args, COMMAND_NO, err) : code;
}

static int run(const struct args *args) {
  struct folder folder;
  struct error err = {0};
  struct looked looked = {0};
  if (folder_find(args, &folder, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  struct policy *policy = NULL;
  struct policy_report report = {0};
  int status = folder_load(&folder, &policy, &report, &err);
  bool is_usage = status == 0 && check_all(args, &folder, policy, &report, &looked, &err) < 0;
  int code = is_usage ? command_fail(args, COMMAND_USAGE, &err)
                      : conclude(args, &folder, policy, status, &report, &looked, &err);
  buf_deinit(&looked.against);
  policy_report_deinit(&report);
  policy_release(policy);
  folder_deinit(&folder);
  return code;
}

static const struct option options[] = {
    {"data", "DIR", "compare with the versions that were in force in this data directory, or a copy of it"},
    {"against", "REV", "compare with what policy, signal set and models were at this revision in git"},
    {"cost", NULL, "also measure what a decision costs, over made-up leads at every stage"},
    {0}};

const struct command command_check = {
    .name = "check",
    .operands = "DIR",
    .operands_min = 1,
    .operands_max = 1,
    .uses = USES_POLICIES,
    .summary = "everything that is wrong with a policy or a signal set, with file and line",
    .help =
        "DIR is a policy's folder, such as policies/b2b_saas, or a signal set's, such as policies/signals/b2b. "
        "Loads it as the\n"
        "daemon would (a policy with its modules, data, signal set and models), without a daemon, and prints each "
        "finding as\n"
        "path:line: error: text. Warnings let a policy load: among them rules that are made by a loop, reasons that "
        "give none,\n"
        "and what luacheck finds, where it is installed.\n"
        "With --json a line a finding, {path, line, severity, text}, and a last one {policy, version, ok, errors, "
        "warnings,\n"
        "luacheck}. The exit code is 1 when there is an error, 0 with warnings alone, 2 when DIR or an option is "
        "wrong.\n"
        "--cost times the compiled policy alone: features and models are not in it.\n"
        "With --data also whether a feature changed its meaning though its set's version did not rise, by the "
        "versions that\n"
        "the data directory keeps; whether a schema that was in force is another now, or gone; and whether a "
        "stage is\n"
        "gone of which journey.was does not say where its leads are. With --against the same of a revision in git "
        "(the main\n"
        "branch, for what a pull request changes), and whether a model's version was changed.\n"
        "\n"
        "  intent check policies/b2b_saas\n"
        "  intent check policies/b2b_saas --against origin/main\n"
        "  intent check policies/b2b_saas --data data",
    .options = options,
    .run = run,
};
