// What sales says of a lead, by events of reserved names: it changes the policy state before rules are asked, and says
// what they may still decide. Pure; any thread.
#include "base/check.h"
#include "policy/parts.h"

#include <stdio.h>
#include <string.h>

static const char *const names[SAID_KINDS] = {
    [SAID_NOTHING] = "nothing",     [SAID_OWNER_SET] = "owner_set",       [SAID_OWNER_CLEARED] = "owner_cleared",
    [SAID_STAGE_SET] = "stage_set", [SAID_DISQUALIFIED] = "disqualified", [SAID_REQUALIFIED] = "requalified",
    [SAID_REJECTED] = "rejected",   [SAID_ACCEPTED] = "accepted"};

const char *policy_said_name(enum policy_said said) {
  CHECK((unsigned)said < SAID_KINDS);
  return names[said];
}

// ---- where it stands ----

struct policy_sales *state_sales(const struct policy *policy, struct policy_state *state) {
  return (struct policy_sales *)(void *)((uint8_t *)state + policy->state_size - sizeof(struct policy_sales));
}

const struct policy_sales *policy_sales(const struct policy *policy, const struct policy_state *state) {
  return state_sales(policy, (struct policy_state *)(uintptr_t)state); // read only
}

const char *policy_owner_name(const struct policy *policy, const struct policy_state *state) {
  if (state->owner >= 0) return policy->artifact->entry[POLICY_OWNERS][state->owner].name;
  return state->owner_is_manual ? policy_sales(policy, state)->owner_name : NULL;
}

struct bytes policy_state_effects(const struct policy_state *state, size_t size) {
  static const struct policy_sales nothing;
  static const struct policy_seat no_seat;
  size_t head = size - sizeof nothing, least = head - sizeof no_seat;
  const uint8_t *bytes = (const uint8_t *)state;
  if (memcmp(bytes + head, &nothing, sizeof nothing) != 0) return bytes_of(bytes, size);
  return bytes_of(bytes, memcmp(bytes + least, &no_seat, sizeof no_seat) == 0 ? least : head);
}

void policy_state_take(struct policy_state *state, size_t size, struct bytes effects) {
  CHECK(effects.n <= size);
  memcpy(state, effects.p, effects.n);
  memset((uint8_t *)state + effects.n, 0, size - effects.n);
}

// ---- texts ----

// Of an event's properties; empty: it says none.
static struct bytes raw_text(const struct event *event, const char *key) {
  struct bytes value, text;
  if (!event->properties.n || !mp_find(event->properties, bytes_str(key), &value) || !mp_as_str(value, &text))
    return (struct bytes){0};
  bool is_text = bytes_is_utf8(text) && !(text.n && memchr(text.p, 0, text.n));
  return is_text ? text : (struct bytes){0};
}

// The same as it may be shown: what the signal set calls personal is not.
static struct bytes text_of(const struct policy *policy, const struct event *event, const char *key) {
  struct bytes text = raw_text(event, key);
  if (!text.n) return text;
  char path[64];
  snprintf(path, sizeof path, "properties.%s", key);
  for (size_t i = 0; i < policy->personal.count; i++)
    if (bytes_is(policy->personal.path[i], path) || bytes_is(policy->personal.path[i], "properties"))
      return BYTES_LIT("(personal)");
  return text;
}

static void keep(char *out, size_t size, struct bytes text) {
  size_t n = text.n < size ? text.n : size - 1;
  while (n > 0 && n < text.n && (text.p[n] & 0xc0) == 0x80) n--;
  memset(out, 0, size);
  if (n) memcpy(out, text.p, n);
}

static struct bytes first_of(struct bytes a, struct bytes b) { return a.n ? a : b; }

// What the event says about, by whom and why, in one line.
struct words {
  struct bytes what, who, why;
};
static struct words words_of(const struct policy *policy, const struct event *event, const char *what) {
  return (struct words){.what = what ? text_of(policy, event, what) : (struct bytes){0},
                        .who = text_of(policy, event, "by"),
                        .why = first_of(text_of(policy, event, "why"), text_of(policy, event, "reason"))};
}

static void tell(struct policy_outcome *o, const struct words *w, struct bytes what) {
  char who[POLICY_SALES_WHO], why[POLICY_SALES_WHY], name[POLICY_SALES_NAME];
  keep(who, sizeof who, w->who), keep(why, sizeof why, w->why), keep(name, sizeof name, what);
  snprintf(o->said_text, sizeof o->said_text, "%s%s%s%s%s%s", name, *who && *name ? ", " : "", *who ? "by " : "", who,
           *why && (*who || *name) ? ": " : "", why);
}

// ---- what an event says ----

static enum policy_said said_by(const struct artifact *a, const struct event *event) {
  if (!event || event->type != EVENT_TRACK) return SAID_NOTHING;
  for (size_t i = 0; i < a->said_count; i++)
    if (bytes_eq(a->said[i].event, event->name)) return a->said[i].said;
  return SAID_NOTHING;
}

static int index_of(const struct policy *policy, enum policy_table table, struct bytes name) {
  for (size_t i = 0; i < policy->artifact->count[table]; i++)
    if (bytes_is(name, policy->artifact->entry[table][i].name)) return (int)i;
  return -1;
}

void sales_drop_owner(const struct policy *policy, struct policy_state *state) {
  struct policy_sales *s = state_sales(policy, state);
  state->owner = -1;
  state->owner_is_manual = 0;
  s->owner_at_ms = s->accepted_at_ms = 0;
  memset(s->owner_name, 0, sizeof s->owner_name);
  memset(s->owner_who, 0, sizeof s->owner_who);
  memset(s->owner_why, 0, sizeof s->owner_why);
}

void policy_drop_owner(const struct policy *policy, struct policy_state *state) { sales_drop_owner(policy, state); }

static void set_owner(const struct policy *policy, const struct event *event, const struct words *w, int64_t now_ms,
                      struct policy_state *state, struct policy_outcome *o) {
  struct policy_sales *s = state_sales(policy, state);
  if (!w->what.n) {
    snprintf(o->said_text, sizeof o->said_text, "nobody: properties.owner is no text");
    return;
  }
  sales_drop_owner(policy, state);
  state->owner = (int16_t)index_of(policy, POLICY_OWNERS, raw_text(event, "owner"));
  state->owner_is_manual = 1;
  if (state->owner < 0) keep(s->owner_name, sizeof s->owner_name, w->what);
  keep(s->owner_who, sizeof s->owner_who, w->who);
  keep(s->owner_why, sizeof s->owner_why, w->why);
  s->owner_at_ms = now_ms;
}

// The owner gives it back, and is the first of those who did.
static void give_back(const struct policy *policy, int64_t now_ms, struct policy_state *state) {
  struct policy_sales *s = state_sales(policy, state);
  if (state->owner >= 0) {
    size_t at = 0;
    while (at < POLICY_REJECTS - 1 && s->rejected[at] != state->owner + 1) at++;
    memmove(&s->rejected[1], &s->rejected[0], at * sizeof s->rejected[0]);
    memmove(&s->rejected_at_ms[1], &s->rejected_at_ms[0], at * sizeof s->rejected_at_ms[0]);
    s->rejected[0] = (uint16_t)(state->owner + 1);
    s->rejected_at_ms[0] = now_ms;
  }
  sales_drop_owner(policy, state);
}

static enum sales_order set_stage(const struct policy *policy, const struct event *event, const struct words *w,
                                  int64_t now_ms, struct policy_state *state, struct policy_outcome *o) {
  int stage = index_of(policy, POLICY_STAGES, raw_text(event, "stage"));
  if (stage < 0) {
    char name[POLICY_SALES_NAME];
    keep(name, sizeof name, w->what);
    snprintf(o->said_text, sizeof o->said_text, "nothing: the policy has no stage '%s'", name);
    return SALES_FREE;
  }
  if (stage == state->stage) return SALES_FREE;
  state_enter(policy, (uint16_t)stage, now_ms, state);
  return SALES_STAGE;
}

static void judge(const struct policy *policy, const struct words *w, int64_t now_ms, bool is_disqualified,
                  struct policy_state *state) {
  struct policy_sales *s = state_sales(policy, state);
  s->is_disqualified = is_disqualified;
  s->judged_at_ms = now_ms;
  keep(s->judged_who, sizeof s->judged_who, w->who);
  keep(s->judged_why, sizeof s->judged_why, w->why);
}

static enum sales_order hear(const struct policy *policy, const struct event *event, int64_t now_ms,
                             struct policy_state *state, struct policy_outcome *o) {
  bool names_stage = o->said == SAID_STAGE_SET;
  struct words w = words_of(policy, event, names_stage ? "stage" : o->said == SAID_OWNER_SET ? "owner" : NULL);
  struct bytes what = w.what;
  const char *owner = policy_owner_name(policy, state); // of whom it is, where the event names nobody
  if (!names_stage && o->said != SAID_OWNER_SET && owner) what = bytes_str(owner);
  if (o->said == SAID_DISQUALIFIED || o->said == SAID_REQUALIFIED) what = (struct bytes){0};
  tell(o, &w, what);
  switch (o->said) {
  case SAID_OWNER_SET: set_owner(policy, event, &w, now_ms, state, o); return SALES_FREE;
  case SAID_OWNER_CLEARED: sales_drop_owner(policy, state); return SALES_ROUTE;
  case SAID_STAGE_SET: return set_stage(policy, event, &w, now_ms, state, o);
  case SAID_REJECTED: give_back(policy, now_ms, state); return SALES_ROUTE;
  case SAID_ACCEPTED:
    if (owner) state_sales(policy, state)->accepted_at_ms = now_ms;
    return SALES_FREE;
  case SAID_DISQUALIFIED: judge(policy, &w, now_ms, true, state); return SALES_FREE;
  case SAID_REQUALIFIED: judge(policy, &w, now_ms, false, state); return SALES_FREE;
  default: return SALES_FREE;
  }
}

enum sales_order sales_hear(const struct policy *policy, const struct event *event, int64_t now_ms,
                            struct policy_state *state, struct policy_outcome *o) {
  enum sales_order order = SALES_FREE;
  o->said = said_by(policy->artifact, event);
  o->said_text[0] = 0;
  if (o->said != SAID_NOTHING) order = hear(policy, event, now_ms, state, o);
  o->is_disqualified = policy_sales(policy, state)->is_disqualified;
  return o->is_disqualified ? SALES_OUT : order;
}

size_t policy_barred(const struct policy *policy, const struct policy_state *state, int64_t now_ms,
                     uint16_t who[POLICY_REJECTS]) {
  const struct policy_sales *s = policy_sales(policy, state);
  size_t count = 0;
  for (size_t i = 0; i < POLICY_REJECTS && s->rejected[i]; i++)
    if (now_ms - s->rejected_at_ms[i] < policy->artifact->not_again_ms) who[count++] = (uint16_t)(s->rejected[i] - 1);
  return count;
}

void sales_barred(const struct policy *policy, const struct policy_state *state, int64_t now_ms, double *in) {
  uint16_t who[POLICY_REJECTS];
  size_t count = policy_barred(policy, state, now_ms, who);
  for (size_t i = 0; i < POLICY_REJECTS; i++) in[i] = i < count ? who[i] : -1;
}

// ---- what came from somewhere, another version, another lead ----

static bool is_text(const char *text, size_t size) {
  size_t n = strnlen(text, size);
  if (n == size || !bytes_is_utf8(bytes_of(text, n))) return false;
  for (size_t i = n; i < size; i++)
    if (text[i]) return false;
  return true;
}

const char *sales_check(const struct policy *policy, const struct policy_state *head, const struct policy_sales *s) {
  bool has_name = s->owner_name[0] != 0;
  if (s->is_disqualified > 1 || s->pad) return "what sales said: bytes that are in no use";
  if (has_name != (head->owner_is_manual && head->owner < 0)) return "an owner by hand without a name";
  if (!is_text(s->owner_name, sizeof s->owner_name) || !is_text(s->owner_who, sizeof s->owner_who) ||
      !is_text(s->owner_why, sizeof s->owner_why) || !is_text(s->judged_who, sizeof s->judged_who) ||
      !is_text(s->judged_why, sizeof s->judged_why))
    return "what sales said is no text";
  for (size_t i = 0; i < POLICY_REJECTS; i++)
    if (s->rejected[i] > policy->artifact->count[POLICY_OWNERS]) return "who gave it back is nobody";
  return NULL;
}

// Those who are still there, in their order.
static void migrate_rejected(const struct policy *from, const struct policy_sales *old, const struct policy *to,
                             struct policy_sales *s) {
  size_t count = 0;
  memset(s->rejected, 0, sizeof s->rejected);
  memset(s->rejected_at_ms, 0, sizeof s->rejected_at_ms);
  for (size_t i = 0; i < POLICY_REJECTS && old->rejected[i]; i++) {
    const char *name = from->artifact->entry[POLICY_OWNERS][old->rejected[i] - 1].name;
    int now = index_of(to, POLICY_OWNERS, bytes_str(name));
    if (now < 0) continue;
    s->rejected[count] = (uint16_t)(now + 1);
    s->rejected_at_ms[count++] = old->rejected_at_ms[i];
  }
}

void sales_migrate(const struct policy *from, const struct policy_state *old, const struct policy *to,
                   struct policy_state *state) {
  const struct policy_sales *was = policy_sales(from, old);
  struct policy_sales *s = state_sales(to, state);
  *s = *was;
  migrate_rejected(from, was, to, s);
  const char *name = policy_owner_name(from, old);
  if (!name || (!old->owner_is_manual && state->owner < 0)) { // a rule's choice that is gone
    sales_drop_owner(to, state);
    return;
  }
  if (!old->owner_is_manual) return;
  state->owner = (int16_t)index_of(to, POLICY_OWNERS, bytes_str(name));
  state->owner_is_manual = 1;
  keep(s->owner_name, sizeof s->owner_name, state->owner < 0 ? bytes_str(name) : (struct bytes){0});
}

// The latest of both, nobody twice.
static void merge_rejected(const struct policy_sales *mine, const struct policy_sales *theirs, struct policy_sales *s) {
  uint16_t who[2 * POLICY_REJECTS];
  int64_t at_ms[2 * POLICY_REJECTS];
  for (size_t i = 0; i < POLICY_REJECTS; i++) {
    who[i] = mine->rejected[i], at_ms[i] = mine->rejected_at_ms[i];
    who[POLICY_REJECTS + i] = theirs->rejected[i], at_ms[POLICY_REJECTS + i] = theirs->rejected_at_ms[i];
  }
  memset(s->rejected, 0, sizeof s->rejected);
  memset(s->rejected_at_ms, 0, sizeof s->rejected_at_ms);
  for (size_t count = 0; count < POLICY_REJECTS; count++) {
    size_t best = 2 * POLICY_REJECTS;
    for (size_t i = 0; i < 2 * POLICY_REJECTS; i++)
      if (who[i] && (best == 2 * POLICY_REJECTS || at_ms[i] > at_ms[best])) best = i;
    if (best == 2 * POLICY_REJECTS) return;
    s->rejected[count] = who[best], s->rejected_at_ms[count] = at_ms[best];
    for (size_t i = 0; i < 2 * POLICY_REJECTS; i++)
      if (who[i] == s->rejected[count]) who[i] = 0;
  }
}

bool sales_merge(const struct policy *policy, struct policy_state *into, const struct policy_state *other) {
  struct policy_sales *s = state_sales(policy, into);
  const struct policy_sales mine = *s, *theirs = policy_sales(policy, other);
  const char *owner = policy_owner_name(policy, other);
  bool has_mine = policy_owner_name(policy, into) != NULL;
  bool is_later = other->owner_is_manual && (!into->owner_is_manual || theirs->owner_at_ms > mine.owner_at_ms);
  bool takes_owner = owner && (!has_mine || is_later);
  if (takes_owner) {
    into->owner = other->owner;
    into->owner_is_manual = other->owner_is_manual;
    s->owner_at_ms = theirs->owner_at_ms;
    s->accepted_at_ms = theirs->accepted_at_ms;
    memcpy(s->owner_name, theirs->owner_name, sizeof s->owner_name);
    memcpy(s->owner_who, theirs->owner_who, sizeof s->owner_who);
    memcpy(s->owner_why, theirs->owner_why, sizeof s->owner_why);
  }
  if (theirs->judged_at_ms > mine.judged_at_ms) {
    s->is_disqualified = theirs->is_disqualified;
    s->judged_at_ms = theirs->judged_at_ms;
    memcpy(s->judged_who, theirs->judged_who, sizeof s->judged_who);
    memcpy(s->judged_why, theirs->judged_why, sizeof s->judged_why);
  }
  merge_rejected(&mine, theirs, s);
  return takes_owner;
}
