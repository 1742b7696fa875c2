// Where a signal set's declaration stands in its file. Declarations are data by the time they are judged and have no
// lines left; but each says its name, and who mends it wants the line.
#include "policy/parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 64 // of a feature, a schema or a rule, as they are declared

// "features: NAME: …", "schemas: NAME@2: …", "schema NAME@2: …", "quality: NAME: …", "feature 'NAME' …": as the parts begin
// what they say of one declaration. False: it is about none.
static bool name_of(const char *text, char name[NAME_MAX_BYTES + 1]) {
  static const char *const heads[] = {"features: ", "schemas: ", "schema ", "quality: ", "feature '"};
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    size_t n = strlen(heads[i]);
    if (strncmp(text, heads[i], n) != 0) continue;
    size_t length = strspn(text + n, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (length == 0 || length > NAME_MAX_BYTES || !strchr(":@'", text[n + length])) return false;
    snprintf(name, NAME_MAX_BYTES + 1, "%.*s", (int)length, text + n);
    return true;
  }
  return false;
}

// Is `at` the quote behind which a declaration's name begins, as in `name = "…`?
static bool follows_name(const uint8_t *text, size_t at) {
  while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t')) at--;
  if (at == 0 || text[--at] != '=') return false;
  while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t')) at--;
  bool is_name = at >= 4 && memcmp(text + at - 4, "name", 4) == 0;
  return is_name && (at == 4 || !(isalnum(text[at - 5]) || text[at - 5] == '_'));
}

int place_of_name(struct bytes text, const char *name) {
  size_t length = strlen(name);
  int line = 1, found = 0;
  for (size_t i = 0; i + length + 1 < text.n; i++) {
    uint8_t quote = text.p[i];
    line += quote == '\n';
    bool is_it = (quote == '"' || quote == '\'') && memcmp(text.p + i + 1, name, length) == 0 &&
                 text.p[i + 1 + length] == quote && follows_name(text.p, i);
    if (is_it && found) return 0; // which of them?
    if (is_it) found = line;
  }
  return found;
}

void place_problem(const struct bundle *bundle, struct policy_problem *problem) {
  char name[NAME_MAX_BYTES + 1];
  if (problem->line > 0 || !name_of(problem->text, name)) return;
  for (size_t i = 0; bundle && i < bundle->count; i++)
    if (strcmp(bundle->modules[i].path, problem->path) == 0)
      problem->line = place_of_name(bundle->modules[i].text, name);
}
