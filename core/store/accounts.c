// Accounts in a shard: what the engine reads of them, copies that were held back, and what is asked about them.
#include <stdlib.h>

#include "engine/account.h"
#include "engine/answer.h"
#include "store/intake_private.h"
#include "store/shard.h"

// ---- what the engine reads ----
static struct lead_id account_of(void *context, uint16_t workspace, struct bytes group_id) {
  const struct intake *in = context;
  return store_entity_id(in->store, ENTITY_ACCOUNT, workspace, group_id);
}

static struct bytes copy_of(void *context, struct lead_id view) {
  const struct intake *in = context;
  const struct entity *e = store_entity(in->shard, view);
  return e && e->kind == ENTITY_VIEW ? entity_state(e) : (struct bytes){0};
}

static struct account_terms terms_of(const struct intake_options *o) {
  struct account_terms terms = ACCOUNT_TERMS_DEFAULT;
  terms.interval_ms = o->account_interval_ms;
  if (o->account_people) terms.people = o->account_people;
  if (o->account_fanout) terms.fanout = o->account_fanout;
  if (o->account_active_ms) terms.active_ms = o->account_active_ms;
  return terms;
}

void accounts_init(struct intake *in) {
  engine_set_accounts(
      in->engine, &(struct engine_accounts){
                      .account_of = account_of, .copy_of = copy_of, .context = in, .terms = terms_of(&in->options)});
}

void accounts_put_leave(struct intake *in, const struct lead *lead, struct buf *list) {
  struct policy *policy = store_version(in->store, lead->release);
  if (policy) engine_put_leave(in->engine, policy, lead, list);
}

// ---- copies that were held back ----
void shard_note_account(struct store_shard *s, const struct entity *e, int64_t since_ms) {
  if (e->kind != ENTITY_ACCOUNT || !account_is_dirty(e)) return;
  struct entity_entry *entry = shard_entity_entry(s, e->id);
  if (entry->head.flags & ENTITY_IS_UNSENT) return;
  entry->head.flags |= ENTITY_IS_UNSENT;
  if (s->unsent_count == s->unsent_cap)
    s->unsent = xrealloc(s->unsent, (s->unsent_cap = s->unsent_cap ? s->unsent_cap * 2 : 64) * sizeof *s->unsent);
  s->unsent[s->unsent_count++] = (struct unsent_account){e->id, since_ms};
}

static void flush(struct intake *in, struct lead_id id, int64_t now_ms) {
  const struct entity *e = store_entity(in->shard, id);
  shard_entity_entry(in->shard, id)->head.flags &= ~(uint32_t)ENTITY_IS_UNSENT;
  if (!e || !account_is_dirty(e)) return;
  struct buf body = {0};
  struct account_terms terms = terms_of(&in->options);
  account_put_flush(&body, &terms);
  struct message m = {.to = id,
                      .kind = MESSAGE_ACCOUNT_FLUSH,
                      .workspace = e->workspace,
                      .at_ms = in->options.clock == ENGINE_CLOCK_WALL ? now_ms : e->now_ms,
                      .body = buf_bytes(&body)};
  struct error err = {0};
  buf_clear(&in->raw);
  CHECK(intake_tell(in, &m, (struct hash128){0}, BYTES_LIT("interval"), now_ms, &in->raw, &err) == 0);
  buf_deinit(&body);
}

int64_t accounts_wake(struct intake *in, int64_t now_ms, unsigned limit) {
  struct store_shard *s = in->shard;
  int64_t interval_ms = in->options.account_interval_ms;
  size_t done = 0;
  for (; done < s->unsent_count && done < limit && now_ms - s->unsent[done].since_ms >= interval_ms; done++)
    flush(in, s->unsent[done].id, now_ms);
  s->unsent_count -= done;
  if (done) memmove(s->unsent, s->unsent + done, s->unsent_count * sizeof *s->unsent);
  return s->unsent_count ? s->unsent[0].since_ms + interval_ms : INT64_MAX;
}

// ---- questions ----
unsigned intake_account_partition(const struct store *store, const struct intake_options *options,
                                  struct bytes group_id) {
  return store_partition_of_lead(store, store_entity_id(store, ENTITY_ACCOUNT, options->workspace, group_id));
}

// The roll-up under the names of the features that read it.
static void put_features(const struct intake *in, const struct entity *e, struct bytes copy, struct buf *answer) {
  const struct feature_set *set = policy_features(engine_release(in->engine)->policy);
  double values[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  uint8_t *state = xcalloc(1, feature_state_size(set) + 1);
  feature_state_init(set, state);
  feature_account_take(set, state, copy, e->now_ms);
  feature_read(set, state, e->now_ms, values, texts);
  mp_put_cstr(answer, "features");
  mp_put_map(answer, (uint32_t)feature_accounts(set));
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    if (strcmp(info->op, "account") != 0) continue;
    mp_put_cstr(answer, info->name);
    answer_put_value(info, values[i], texts[i], answer);
  }
  free(state);
}

static void put_account(const struct intake *in, const struct entity *e, struct buf *answer) {
  struct buf shown = {0};
  struct bytes copy;
  account_show(e, &shown);
  CHECK(mp_find(buf_bytes(&shown), BYTES_LIT("copy"), &copy));
  mp_put_map(answer, 2);
  mp_put_cstr(answer, "account");
  mp_put_raw(answer, buf_bytes(&shown));
  put_features(in, e, copy, answer);
  buf_deinit(&shown);
}

int intake_account(struct intake *in, struct bytes group_id, struct buf *answer, struct error *err) {
  const struct entity *e =
      store_entity(in->shard, store_entity_id(in->store, ENTITY_ACCOUNT, in->options.workspace, group_id));
  if (!e)
    return error_set(err, ITD_ENOTFOUND,
                     "no lead's group event named this account yet, or no feature reads of accounts");
  put_account(in, e, answer);
  return 0;
}
