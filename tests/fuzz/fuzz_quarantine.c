// The quarantine's two files from a stranger: walking them shows entries that lie within them; a payload is added once; a repair
// and a note go to their entry; and after a purge nothing of who was forgotten is in the files, and what was there walks again.
#include "fuzz_files.h"
#include "store/quarantine.h"
#include "store/quarantine_payload.h"

#define CURRENT "quarantine/events.mp"
#define OLDER   "quarantine/events.1.mp"

struct seen {
  uint64_t entries, with_id;
  char last[QUARANTINE_ID + 1];
  struct bytes id; // looked for
  bool is_fixed, is_replayed;
};

static int see(void *context, const struct quarantine_entry *e) {
  struct seen *s = context;
  struct quarantine_payload p;
  uint64_t sum = 0; // reads all of it
  const struct bytes all[] = {e->code, e->text, e->event, e->fixed, e->fixed_by, e->replayed_by, e->decision};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    for (size_t k = 0; k < all[i].n; k++) sum += all[i].p[k];
  CHECK(strlen(e->id) == QUARANTINE_ID && strspn(e->id, "0123456789abcdef") == QUARANTINE_ID && sum < UINT64_MAX);
  if (quarantine_payload_of(e->event, e->text, &p)) CHECK(p.source.n && fuzz_is_one_value(p.payload));
  if (bytes_is(s->id, e->id)) s->with_id++, s->is_fixed = e->fixed.n > 0, s->is_replayed = e->replayed_by.n > 0;
  memcpy(s->last, e->id, sizeof s->last);
  s->entries++;
  return 0;
}

static struct seen walk(struct bytes id) {
  struct seen s = {.id = id};
  struct error err = {0};
  CHECK(quarantine_walk(fuzz_dir("quarantine"), see, &s, &err) == 0);
  return s;
}

static void edit(struct quarantine *q, struct bytes event) {
  char id[QUARANTINE_ID + 1], again[QUARANTINE_ID + 1];
  bool known;
  struct error err = {0}, why = {.code = ITD_EEVENT, .text = "source shop: no"};
  struct buf kept = {0};
  struct quarantine_payload p = {.source = bytes_str("shop"), .payload = BYTES_LIT("\xa4\x77ho?")};
  quarantine_payload_put(&p, &kept);
  if (quarantine_add_once(q, &why, buf_bytes(&kept), 1, id, &known, &err) == 0) {
    CHECK(quarantine_add_once(q, &why, buf_bytes(&kept), 2, again, &known, &err) == 0 && known &&
          strcmp(id, again) == 0);
    CHECK(walk(bytes_str(id)).with_id >= 1);
    if (event.n && quarantine_fix(q, bytes_str(id), event, "me", 3, &err) == 0) CHECK(walk(bytes_str(id)).is_fixed);
    if (quarantine_replayed(q, bytes_str(id), "me", BYTES_LIT("d"), 4)) CHECK(walk(bytes_str(id)).is_replayed);
  }
  buf_deinit(&kept);
}

static int see_none(void *context, const struct quarantine_entry *e) {
  const struct bytes told[] = {e->text, e->event, e->fixed}; // what a sender may have said
  for (size_t i = 0; i < sizeof told / sizeof *told; i++)
    CHECK(told[i].n == 0 || !memmem(told[i].p, told[i].n, "who?", 4));
  return see(context, e);
}

static void purge(struct quarantine *q) {
  const struct bytes gone[] = {BYTES_LIT("who?"), BYTES_LIT("7")};
  uint64_t removed[2] = {0}, before = walk((struct bytes){0}).entries;
  struct error err = {0};
  struct seen after = {0};
  CHECK(quarantine_purge(q, gone, 2, removed, &err) == 0);
  CHECK(quarantine_walk(fuzz_dir(NULL), see_none, &after, &err) == 0);
  CHECK(after.entries <= before);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n > 16384) return 0;
  fuzz_dir("quarantine");
  struct bytes rest = bytes_of(p, n), older = fuzz_cut(&rest, 0xc1);
  fuzz_put(OLDER, older);
  fuzz_put(CURRENT, rest);
  struct seen s = walk((struct bytes){0});
  struct quarantine *q;
  struct error err = {0};
  CHECK(quarantine_open(fuzz_dir(NULL), 1 << 16, &q, &err) == 0);
  if (s.entries) CHECK(quarantine_fix(q, bytes_str(s.last), BYTES_LIT("\x80"), "me", 1, &err) == 0);
  edit(q, older);
  purge(q);
  quarantine_close(q);
  return 0;
}
