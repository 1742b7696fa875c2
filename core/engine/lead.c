// The block of a lead: sizes, birth, migration between layouts, digest, and the check of what comes back from disk.
#include "engine/lead.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "feature/account.h"

#include <stdlib.h>
#include <string.h>

static size_t padded(size_t n) { return (n + 7u) & ~(size_t)7u; }

void lead_id_format(struct lead_id id, char out[LEAD_ID_TEXT]) { hex_encode(bytes_of(id.b, sizeof id.b), out); }

int lead_id_parse(struct bytes text, struct lead_id *id) { return hex_decode(text, id->b, sizeof id->b); }

uint64_t lead_id_hash(struct lead_id id) { return hash64(bytes_of(id.b, sizeof id.b)); }

size_t lead_size(const struct lead *lead) {
  return sizeof *lead + padded(lead->policy_bytes) + padded(lead->feature_bytes);
}

// A zeroed block with room for the states of `policy`; zeroed, so that padding is the same in every copy.
static struct lead *block_new(const struct policy *policy) {
  size_t policy_bytes = policy_state_size(policy), feature_bytes = feature_state_size(policy_features(policy));
  struct lead *lead = xcalloc(1, sizeof *lead + padded(policy_bytes) + padded(feature_bytes));
  lead->policy_bytes = (uint32_t)policy_bytes;
  lead->feature_bytes = (uint32_t)feature_bytes;
  return lead;
}

struct bytes lead_effects(const struct lead *lead) {
  return policy_state_effects((const struct policy_state *)(const void *)lead->state, lead->policy_bytes);
}

struct lead *lead_new(struct lead_id id, uint16_t workspace, const struct policy *policy, uint32_t release,
                      int64_t now_ms) {
  struct lead *lead = block_new(policy);
  lead->id = id;
  lead->format = LEAD_FORMAT;
  lead->workspace = workspace;
  lead->release = release;
  lead->now_ms = lead->first_ms = now_ms;
  policy_state_init(policy, now_ms, lead_policy_state(lead));
  feature_state_init(policy_features(policy), lead_feature_state(lead));
  return lead;
}

void lead_free(struct lead *lead) { free(lead); }

struct lead *lead_migrate(struct lead *lead, const struct policy *from, const struct policy *to, uint32_t release,
                          int64_t now_ms) {
  struct lead *moved = block_new(to);
  uint32_t policy_bytes = moved->policy_bytes, feature_bytes = moved->feature_bytes;
  memcpy(moved, lead, sizeof *moved);
  moved->policy_bytes = policy_bytes;
  moved->feature_bytes = feature_bytes;
  moved->release = release;
  policy_state_migrate(from, lead_policy_state(lead), to, now_ms, lead_policy_state(moved));
  feature_state_migrate(policy_features(from), lead_feature_state(lead), policy_features(to),
                        lead_feature_state(moved));
  lead_free(lead);
  return moved;
}

void lead_merge(struct lead *into, const struct lead *other, const struct policy *policy) {
  CHECK(into->release == other->release && into->policy_bytes == other->policy_bytes &&
        into->feature_bytes == other->feature_bytes);
  struct lead *from = (struct lead *)(uintptr_t)other; // read only: the accessors serve both uses
  if (other->now_ms > into->now_ms) into->now_ms = other->now_ms;
  if (other->first_ms < into->first_ms) into->first_ms = other->first_ms;
  into->flags |= other->flags & LEAD_KNOWN;
  const struct feature_set *set = policy_features(policy);
  struct feature_member was, now;
  if (feature_accounts(set) > 0) feature_member_get(set, lead_feature_state(into), &was);
  feature_state_merge(set, lead_feature_state(into), lead_feature_state(from), into->now_ms);
  if (feature_accounts(set) > 0) { // what `other` told its account is taken back when it is sealed
    feature_member_get(set, lead_feature_state(into), &now);
    memcpy(now.told, was.told, sizeof now.told);
    now.sent = was.sent, now.sent_urgent = was.sent_urgent;
    feature_member_put(set, lead_feature_state(into), &now);
  }
  policy_state_merge(policy, lead_policy_state(into), lead_policy_state(from));
}

struct lead *lead_seal(struct lead *lead, struct lead_id into) {
  struct lead *sealed = xmalloc(sizeof *sealed);
  memcpy(sealed, lead, sizeof *sealed);
  sealed->policy_bytes = sealed->feature_bytes = 0;
  sealed->flags = (lead->flags & LEAD_KNOWN) | LEAD_SEALED;
  sealed->into = into;
  explicit_bzero(lead->state, lead_size(lead) - sizeof *lead);
  lead_free(lead);
  return sealed;
}

uint64_t lead_digest(const struct lead *lead) {
  // Everything behind `place` but the release's number, which only this data directory gives a meaning.
  bool is_sealed = lead->flags & LEAD_SEALED;
  uint64_t head[5] = {
      (uint64_t)lead->now_ms, (uint64_t)lead->first_ms, (uint64_t)lead->number << 32 | (lead->flags & ~LEAD_WAITS),
      (uint64_t)lead->policy_bytes << 32 | lead->feature_bytes, is_sealed ? lead_id_hash(lead->into) : 0};
  uint64_t seed = hash64(bytes_of(head, sizeof head));
  return hash64_seed(bytes_of(lead->state, lead_size(lead) - sizeof *lead), seed);
}

int lead_check(struct bytes block, struct error *err) {
  struct lead head;
  if (block.n < sizeof head)
    return error_set(err, ITD_ECORRUPT, "a lead's record has %zu bytes, fewer than its head", block.n);
  memcpy(&head, block.p, sizeof head);
  if (head.format != LEAD_FORMAT)
    return error_set(err, ITD_ECORRUPT, "a lead's record has format %u; this intentd reads %u", head.format,
                     LEAD_FORMAT);
  bool is_sealed = head.flags & LEAD_SEALED;
  if (head.policy_bytes > (1u << 20) || head.feature_bytes > (1u << 20) || lead_size(&head) != block.n ||
      (is_sealed ? head.policy_bytes || head.feature_bytes
                 : head.policy_bytes < sizeof(struct policy_state) + sizeof(struct policy_sales)))
    return error_set(err, ITD_ECORRUPT, "a lead's record of %zu bytes says it holds %u + %u", block.n,
                     head.policy_bytes, head.feature_bytes);
  return 0;
}
