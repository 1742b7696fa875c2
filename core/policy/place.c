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

// The line of the last `name = "NAME"`, and how many there are.
static int last_of_name(struct bytes text, const char *name, int *count) {
  size_t length = strlen(name);
  int line = 1, found = 0;
  *count = 0;
  for (size_t i = 0; i + length + 1 < text.n; i++) {
    uint8_t quote = text.p[i];
    line += quote == '\n';
    bool is_it = (quote == '"' || quote == '\'') && memcmp(text.p + i + 1, name, length) == 0 &&
                 text.p[i + 1 + length] == quote && follows_name(text.p, i);
    if (is_it) found = line, ++*count;
  }
  return found;
}

int place_of_name(struct bytes text, const char *name) {
  int count, line = last_of_name(text, name, &count);
  return count == 1 ? line : 0; // else: which of them?
}

// ---- the head of a set ----

static bool is_word(uint8_t c) { return isalnum(c) || c == '_'; }

// The line where `key = ` stands, or where `"text"` does; 0: nowhere, or more than once.
static int place_of_word(struct bytes text, struct bytes word) {
  int line = 1, found = 0;
  for (size_t i = 0; i + word.n < text.n; i++) {
    line += text.p[i] == '\n';
    if (memcmp(text.p + i, word.p, word.n) != 0 || is_word(text.p[i + word.n]) || (i > 0 && is_word(text.p[i - 1])))
      continue;
    size_t next = i + word.n;
    uint8_t quote = i > 0 ? text.p[i - 1] : 0;
    bool is_text = (quote == '"' || quote == '\'') && text.p[next] == quote;
    while (next < text.n && (text.p[next] == ' ' || text.p[next] == '\t')) next++;
    bool is_key = next + 1 < text.n && text.p[next] == '=' && text.p[next + 1] != '=';
    if (!is_text && !is_key) continue;
    if (found) return 0;
    found = line;
  }
  return found;
}

// What is wrong with a head names keys and texts of it, in quotes or bare: the first that stands in one line alone is
// where. The set's own name, which every message begins with, tells nothing.
static int place_in_head(struct bytes text, const char *said) {
  static const char called[] = "signal set '";
  if (strncmp(said, called, strlen(called)) == 0) said = strchr(said + strlen(called), '\'');
  for (; said && *said; said += !!*said) {
    while (*said && !is_word((uint8_t)*said)) said++;
    size_t n = strcspn(said, " ':;,");
    int line = n > 1 ? place_of_word(text, bytes_of(said, n)) : 0;
    if (line) return line;
    said += n;
  }
  return 0;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), k = strlen(end);
  return n >= k && strcmp(text + n - k, end) == 0;
}

void place_problem(const struct bundle *bundle, struct policy_problem *problem) {
  char name[NAME_MAX_BYTES + 1];
  bool is_head = ends_with(problem->path, "/signals.lua"), is_twice = strstr(problem->text, "declared twice") != NULL;
  if (problem->line > 0 || (!is_head && !name_of(problem->text, name))) return;
  for (size_t i = 0; bundle && i < bundle->count; i++) {
    if (strcmp(bundle->modules[i].path, problem->path) != 0) continue;
    struct bytes text = bundle->modules[i].text;
    int count;
    problem->line = is_head    ? place_in_head(text, problem->text)
                    : is_twice ? last_of_name(text, name, &count)
                               : place_of_name(text, name);
  }
}
