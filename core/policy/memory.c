// What a policy keeps of a lead, by name and type: carried over to another version, merged, shown. The values are doubles of
// the state's memory; what changes them is compiled (scripts/compile_memory.lua). Pure; any thread.
#include "base/check.h"
#include "base/pmath.h"
#include "policy/parts.h"

#include <stdio.h>
#include <string.h>

static const char *const types[] = {
    [FIELD_NUMBER] = "number", [FIELD_FLAG] = "flag", [FIELD_TIME] = "time", [FIELD_CHOICE] = "choice"};

size_t policy_fields(const struct policy *policy) { return policy->artifact->field_count; }

const struct policy_field *policy_field(const struct policy *policy, size_t index) {
  CHECK(index < policy->artifact->field_count);
  return &policy->artifact->fields[index];
}

const char *policy_field_type(const struct policy_field *field) { return types[field->type]; }

void policy_field_put(const struct policy_field *field, const struct policy_state *state, struct buf *out) {
  double x = state->memory[field->slot];
  bool is_none = (field->type == FIELD_TIME || field->type == FIELD_CHOICE) && x < 0;
  if (is_none)
    mp_put_nil(out);
  else if (field->type == FIELD_FLAG)
    mp_put_bool(out, x != 0);
  else if (field->type == FIELD_CHOICE)
    mp_put_cstr(out, (size_t)x < field->option_count ? field->options[(size_t)x] : "");
  else if (x == pm_floor(x) && x > -9e15 && x < 9e15)
    mp_put_int(out, (int64_t)x);
  else
    mp_put_float(out, x);
}

void policy_fields_put(const struct policy *policy, const struct policy_state *state, struct buf *out) {
  mp_put_map(out, (uint32_t)policy_fields(policy));
  for (size_t i = 0; i < policy_fields(policy); i++) {
    mp_put_cstr(out, policy_field(policy, i)->name);
    policy_field_put(policy_field(policy, i), state, out);
  }
}

// ---- another version ----

static const struct policy_field *find(const struct policy *policy, const char *name) {
  for (size_t i = 0; i < policy_fields(policy); i++)
    if (strcmp(policy_field(policy, i)->name, name) == 0) return policy_field(policy, i);
  return NULL;
}

static double option_of(const struct policy_field *was, double x, const struct policy_field *field) {
  if (x >= 0 && (size_t)x < was->option_count)
    for (size_t i = 0; i < field->option_count; i++)
      if (strcmp(was->options[(size_t)x], field->options[i]) == 0) return (double)i;
  return -1;
}

static double within(const struct policy_field *field, double x) {
  return x < field->least ? field->least : x > field->most ? field->most : x;
}

// Memory went over by its names, which hold the type. What is left: options have other numbers, and bounds may be others.
void fields_migrate(const struct policy *from, const struct policy_state *old, const struct policy *to,
                    struct policy_state *state) {
  for (size_t i = 0; i < policy_fields(to); i++) {
    const struct policy_field *field = policy_field(to, i), *was = find(from, field->name);
    if (!was || was->type != field->type) continue;
    double x = old->memory[was->slot];
    state->memory[field->slot] = field->type == FIELD_CHOICE ? option_of(was, x, field) : within(field, x);
  }
}

// ---- merging ----

void fields_merge(const struct policy *policy, const struct policy_state *mine, const struct policy_state *theirs,
                  struct policy_state *into) {
  for (size_t i = 0; i < policy_fields(policy); i++) {
    const struct policy_field *field = policy_field(policy, i);
    double a = mine->memory[field->slot], b = theirs->memory[field->slot];
    if (field->merge == FIELD_SUM)
      into->memory[field->slot] = within(field, a + b);
    else if (field->merge == FIELD_MAX)
      into->memory[field->slot] = a > b ? a : b;
    else // the second place, of when, took the later one
      into->memory[field->slot] = theirs->memory[field->slot + 1] > mine->memory[field->slot + 1] ? b : a;
  }
}

// ---- what a version changes ----

static void warn(const struct policy_field *field, const char *what, const char *of, const char *as,
                 struct policy_report *report) {
  struct policy_problem problem = {.line = field->line};
  snprintf(problem.path, sizeof problem.path, "%s", field->path);
  snprintf(problem.text, sizeof problem.text, "'%s' was %s %s %s", field->name, what, of, as);
  policy_report_add(report, &problem);
}

size_t policy_check_fields(const struct policy *policy, const struct policy *was, const char *as,
                           struct policy_report *report) {
  size_t count = 0;
  for (size_t i = 0; i < policy_fields(policy); i++) {
    const struct policy_field *field = policy_field(policy, i), *before = find(was, field->name);
    char text[160];
    snprintf(text, sizeof text, "%.100s: it begins anew for every lead", as);
    if (before && before->type != field->type) warn(field, "a", types[before->type], text, report), count++;
    if (!before || before->type != field->type) continue;
    snprintf(text, sizeof text, "%.100s: for leads of which it was kept it is none now", as);
    for (size_t k = 0; k < before->option_count; k++)
      if (option_of(before, (double)k, field) < 0) warn(field, "also", before->options[k], text, report), count++;
  }
  return count;
}
