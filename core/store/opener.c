#include "store/opener.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "store/ids.h"
#include "store/seal.h"
#include "store/table.h"
#include "store/vault.h"

struct key_entry {
  struct table_entry head; // key: lead_key
  uint8_t key[LEAD_KEY_SIZE];
};

struct opener {
  struct table keys;
  struct seal seal;
  struct buf secret;
};

static int take_key(void *context, uint64_t address, const struct vault_record *r, struct error *err) {
  (void)address, (void)err;
  struct opener *o = context;
  if (r->type != VAULT_LEAD) return 0;
  struct hash128 id = lead_key(r->lead);
  struct key_entry *e = table_find(&o->keys, id);
  if (!e) e = table_add(&o->keys, id);
  memcpy(e->key, r->key, sizeof e->key);
  return 0;
}

int opener_new(const char *dir, struct opener **out, struct error *err) {
  static const struct vault_tip beginning[256];
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/vault", dir);
  if (access(path, F_OK))
    return error_set(err, ITD_ENOTFOUND, "%s is not there: without it nothing personal can be opened", path);
  struct opener *o = xcalloc(1, sizeof *o);
  struct vault_tip *tips = xcalloc(256, sizeof *tips);
  table_init(&o->keys, sizeof(struct key_entry));
  seal_init(&o->seal);
  buf_init(&o->secret);
  int rc = vault_scan(dir, beginning, take_key, o, tips, err);
  free(tips);
  if (rc)
    opener_free(o);
  else
    *out = o;
  return rc;
}

void opener_free(struct opener *o) {
  if (!o) return;
  table_deinit(&o->keys);
  buf_deinit(&o->secret);
  free(o);
}

int opener_event(struct opener *o, const struct frame *frame, struct buf *event, struct error *err) {
  if (!frame->secret.n) {
    buf_append_bytes(event, frame->event);
    return 0;
  }
  const struct key_entry *e = table_find(&o->keys, lead_key(frame->entity));
  if (!e) return error_set(err, ITD_ENOTFOUND, "the lead's key is gone: it was forgotten");
  buf_clear(&o->secret);
  int rc = seal_open(&o->seal, e->key, frame->entity, frame->secret, &o->secret, err);
  return rc ? rc : event_join(frame->event, buf_bytes(&o->secret), event, err);
}

int opener_open(struct opener *o, struct lead_id lead, struct bytes sealed, struct buf *out, struct error *err) {
  const struct key_entry *e = table_find(&o->keys, lead_key(lead));
  if (!e) return error_set(err, ITD_ENOTFOUND, "the lead's key is gone: it was forgotten");
  return seal_open(&o->seal, e->key, lead, sealed, out, err);
}

size_t opener_leads(const struct opener *o) { return table_count(&o->keys); }

struct lead_id opener_lead(const struct opener *o, size_t index) {
  const struct table_entry *e = table_at(&o->keys, index);
  return lead_of_key(e->key);
}
