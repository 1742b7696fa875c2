// What verify says: nothing of a journal that is whole, however it is written, sealed and let go meanwhile; and every way in which one can be
// tampered with, with its place. And what select finds: what a walk over everything finds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/le.h"
#include "base/log.h"
#include "scratch.h"
#include "store/journal_scan.h"
#include "store/sealer.h"
#include "store/select.h"
#include "store/source.h"
#include "store/store.h"
#include "store/verify.h"

static uint64_t seed;
enum { PARTITIONS = 8, LEADS = 40 };

// ---- a journal of two logs and some sessions ----
struct place_of_journal {
  char *dir;
  struct journal_tip tip[PARTITIONS];
  uint32_t session;
  uint64_t frames;
  struct journal *log[2];
};

static void open_session(struct place_of_journal *w, int sync) {
  struct error err = {0};
  w->session++;
  for (unsigned i = 0; i < 2; i++) {
    struct journal_options o = {.dir = w->dir,
                                .log = i,
                                .segment_bytes = 1 << 20,
                                .sync = sync,
                                .session = w->session,
                                .partitions = PARTITIONS,
                                .shards = 2,
                                .tips = w->tip};
    if (journal_open(&o, &w->log[i], &err)) fail_msg("%s", err.text);
  }
}

static void close_session(struct place_of_journal *w) {
  for (unsigned p = 0; p < PARTITIONS; p++) w->tip[p] = journal_tip(w->log[p % 2], p);
  for (unsigned i = 0; i < 2; i++) journal_close(w->log[i]);
}

static void write_commit(struct place_of_journal *w, struct draw *d, size_t most) {
  static uint8_t body[70000];
  unsigned log = (unsigned)draw(d, 2);
  struct error err = {0};
  for (uint64_t n = 1 + draw(d, 10); n; n--) {
    unsigned p = (unsigned)draw(d, PARTITIONS / 2) * 2 + log;
    struct frame f = {.kind = FRAME_EVENT,
                      .partition = (uint16_t)p,
                      .epoch = w->session,
                      .seq = journal_seq(w->log[log], p) + 1,
                      .received_ms = 1700000000000 + (int64_t)(w->frames += 7) - (int64_t)draw(d, 1000),
                      .event = draw_bytes(d, body, (size_t)draw(d, most))};
    uint64_t who = hash_mix(seed, draw(d, LEADS));
    memcpy(f.entity.b, &who, sizeof who);
    journal_stage(w->log[log], &f);
  }
  if (journal_commit(w->log[log], &err)) fail_msg("%s", err.text);
}

// Sessions of some commits; in all of them but the last, segments are sealed by chance.
static struct place_of_journal make_journal(struct draw *d, unsigned sessions, unsigned commits) {
  struct place_of_journal w = {.dir = scratch_new()};
  for (unsigned s = 0; s < sessions; s++) {
    open_session(&w, SYNC_OFF);
    for (unsigned c = 0; c < commits; c++) write_commit(&w, d, 4000);
    close_session(&w);
  }
  return w;
}

static void seal_some(struct place_of_journal *w, struct draw *d, unsigned out_of) {
  struct segment_info *list;
  size_t count;
  struct error err = {0};
  assert_int_equal(segment_list(w->dir, &list, &count, &err), 0);
  for (size_t i = 0; i < count; i++) {
    struct sealed_result r;
    if (draw(d, out_of) == 0 && !list[i].is_sealed &&
        seal_segment(w->dir, list[i].log, list[i].number, 1, NULL, &r, &err))
      fail_msg("%s", err.text);
  }
  segment_list_free(list, count);
}

static struct verify_result *verify(const struct place_of_journal *w, const struct journal_head *head, bool closed) {
  struct verify_result *r = xcalloc(1, sizeof *r);
  struct verify_options o = {.dir = w->dir, .head = head, .must_be_closed = closed};
  struct error err = {0};
  if (store_verify(&o, r, &err)) fail_msg("%s", err.text);
  return r;
}

static void verify_free(struct verify_result *r) {
  free(r->tip);
  free(r);
}

static void must_be_whole(const struct place_of_journal *w, const struct journal_head *head) {
  struct verify_result *r = verify(w, head, true);
  if (!r->is_whole || r->count) fail_msg("%s", r->count ? r->finding[0].text : "not whole, and nothing found");
  for (unsigned p = 0; p < PARTITIONS; p++) assert_memory_equal(r->tip[p].tip.chain, w->tip[p].chain, SHA256_SIZE);
  verify_free(r);
}

// Verify must find this kind; its text must have `part`.
static void must_find(const struct place_of_journal *w, const struct journal_head *head, enum verify_kind kind,
                      const char *file, const char *part) {
  struct verify_result *r = verify(w, head, true);
  bool found = false;
  for (size_t i = 0; i < r->count; i++)
    found |= r->finding[i].kind == kind && strcmp(r->finding[i].file, file) == 0 && strstr(r->finding[i].text, part);
  for (size_t i = 0; !found && i < r->count; i++)
    fprintf(stderr, "found: %s: %s\n", r->finding[i].file, r->finding[i].text);
  if (found && r->is_whole) fail_msg("it was found, and is called whole");
  verify_free(r);
  if (!found) fail_msg("no finding about %s: %s", file, part);
}

static struct buf read_whole(const char *path) {
  struct buf b;
  struct error err = {0};
  buf_init(&b);
  if (file_read(path, 1u << 30, &b, &err)) fail_msg("%s", err.text);
  return b;
}

static void write_whole(const char *path, struct bytes b) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0 && write(fd, b.p, b.n) == (ssize_t)b.n);
  close(fd);
}

// ---- tests ----
static void what_is_whole_is_called_whole(void **state) {
  (void)state;
  struct draw d = {seed};
  struct place_of_journal w = make_journal(&d, 3, 60);
  must_be_whole(&w, NULL);
  seal_some(&w, &d, 2);
  must_be_whole(&w, NULL);
  seal_some(&w, &d, 1);
  must_be_whole(&w, NULL);
  struct journal_head *head = xcalloc(1, sizeof *head);
  struct error err = {0};
  assert_int_equal(head_take(w.dir, 1, head, &err), 0);
  for (unsigned p = 0; p < PARTITIONS; p++) {
    assert_int_equal(head->tip[p].seq, w.tip[p].seq);
    assert_memory_equal(head->tip[p].chain, w.tip[p].chain, SHA256_SIZE);
  }
  must_be_whole(&w, head);
  free(head);
  scratch_free(w.dir);
}

// Whoever can write the files can make every checksum hold: the chain still tells.
static void a_forger_who_seals_anew_is_found(void **state) {
  (void)state;
  struct draw d = {seed + 1};
  struct place_of_journal w = make_journal(&d, 2, 100);
  char path[SEGMENT_PATH_MAX];
  struct error err = {0};
  segment_path(path, w.dir, 1, 1);
  struct buf log = read_whole(path);
  // A byte of the event of some frame, and its checksum.
  size_t at = SEGMENT_HEADER_SIZE, need, n, hits = 0;
  uint64_t stop = 20 + draw(&d, 50);
  while ((n = record_check(bytes_of(log.p + at, log.n - at), place_of(1, 1, (uint32_t)at), &need))) {
    if (record_kind(log.p + at) != FRAME_COMMIT && n > FRAME_HEADER_SIZE + 16 && ++hits == stop) break;
    at += n;
  }
  assert_true(n > 0);
  log.p[at + FRAME_HEADER_SIZE + 3] ^= 1;
  put32(log.p + at + 4, crc32c(0, bytes_of(log.p + at + 8, n - 8)));
  write_whole(path, buf_bytes(&log));
  must_find(&w, NULL, VERIFY_DAMAGE, "journal/01-00000001.log", "the chain of partition");
  struct sealed_result r;
  assert_int_equal(seal_segment(w.dir, 1, 1, 3, NULL, &r, &err), 0);
  must_find(&w, NULL, VERIFY_DAMAGE, "journal/01-00000001.seg", "the chain of partition");
  buf_deinit(&log);
  scratch_free(w.dir);
}

// Any bit of any file, of a log and of a sealed segment: every one of the bytes that say which format it is, and many others.
static void any_flipped_bit_is_found(void **state) {
  (void)state;
  struct draw d = {seed + 7};
  struct place_of_journal w = make_journal(&d, 2, 12);
  struct error err = {0};
  struct sealed_result r;
  assert_int_equal(seal_segment(w.dir, 0, 1, 3, NULL, &r, &err), 0);
  for (int sealed = 0; sealed < 2; sealed++) {
    char path[SEGMENT_PATH_MAX];
    if (sealed)
      sealed_path(path, w.dir, 0, 1);
    else
      segment_path(path, w.dir, 1, 1);
    struct buf file = read_whole(path);
    int fd = open(path, O_RDWR);
    for (uint64_t n = 0; n < 400; n++) {
      uint64_t byte = draw(&d, file.n);
      if (n < 128) byte = sealed ? file.n - SEALED_FOOTER_SIZE + n : n; // the footer, the header
      uint8_t x = (uint8_t)(file.p[byte] ^ (1u << draw(&d, 8)));
      assert_int_equal(pwrite(fd, &x, 1, (off_t)byte), 1);
      struct verify_result *v = verify(&w, NULL, true);
      if (v->is_whole || !v->count) fail_msg("byte %llu of %s", (unsigned long long)byte, path);
      verify_free(v);
      assert_int_equal(pwrite(fd, &file.p[byte], 1, (off_t)byte), 1);
    }
    close(fd);
    buf_deinit(&file);
  }
  must_be_whole(&w, NULL);
  scratch_free(w.dir);
}

static void what_was_taken_away_is_missed(void **state) {
  (void)state;
  struct draw d = {seed + 2};
  struct place_of_journal w = make_journal(&d, 2, 250); // some segments in each session
  char path[SEGMENT_PATH_MAX];
  struct error err = {0};
  struct journal_head *head = xcalloc(1, sizeof *head);
  assert_int_equal(head_take(w.dir, 1, head, &err), 0);
  uint32_t last = 0;
  for (uint32_t s = 1; segment_path(path, w.dir, 0, s), access(path, F_OK) == 0; s++) last = s;
  assert_true(last >= 4);
  // From the middle, from the beginning, the last one, and a log from the last session.
  segment_path(path, w.dir, 0, 2);
  struct buf kept = read_whole(path);
  assert_int_equal(unlink(path), 0);
  must_find(&w, NULL, VERIFY_MISSING, "journal", "00-00000002 (.log or .seg) is missing");
  write_whole(path, buf_bytes(&kept));
  buf_deinit(&kept);
  segment_path(path, w.dir, 0, 1);
  kept = read_whole(path);
  assert_int_equal(unlink(path), 0);
  must_find(&w, NULL, VERIFY_MISSING, "journal", "00-00000001.log are missing");
  must_find(&w, NULL, VERIFY_MISSING, "journal", "begins behind frame");
  write_whole(path, buf_bytes(&kept));
  buf_deinit(&kept);
  must_be_whole(&w, head);
  segment_path(path, w.dir, 0, last);
  kept = read_whole(path);
  assert_int_equal(unlink(path), 0);
  must_find(&w, head, VERIFY_HEAD, "", "but the head has frame");
  write_whole(path, buf_bytes(&kept));
  buf_deinit(&kept);
  // The end of a log that was closed: its closing, then the commit before it.
  kept = read_whole(path);
  write_whole(path, bytes_of(kept.p, kept.n - TRAILER_HEADER_SIZE));
  char name[64];
  snprintf(name, sizeof name, "journal/00-%08x.log", last);
  must_find(&w, NULL, VERIFY_OPEN, name, "was not closed in order");
  write_whole(path, bytes_of(kept.p, kept.n - TRAILER_HEADER_SIZE - 16));
  must_find(&w, NULL, VERIFY_TORN, name, "is torn");
  must_find(&w, head, VERIFY_TORN, name, "is torn");
  write_whole(path, buf_bytes(&kept));
  buf_deinit(&kept);
  must_be_whole(&w, head);
  for (uint32_t s = 1;; s++) {
    segment_path(path, w.dir, 1, s);
    if (unlink(path)) break;
  }
  must_find(&w, NULL, VERIFY_MISSING, "journal", "the log of partition 1 of session 2 is gone");
  free(head);
  scratch_free(w.dir);
}

static void a_head_says_what_was_signed(void **state) {
  (void)state;
  struct draw d = {seed + 3};
  char *dir = scratch_new(), key_path[600], pub_path[600];
  struct error err = {0};
  snprintf(key_path, sizeof key_path, "%s/key", dir);
  snprintf(pub_path, sizeof pub_path, "%s/key.pub", dir);
  assert_int_equal(head_key_make(key_path, &err), 0);
  assert_int_equal(head_key_make(key_path, &err), ITD_EBUSY);
  uint8_t secret[HEAD_SECRET_SIZE], key[HEAD_KEY_SIZE], again[HEAD_KEY_SIZE];
  assert_int_equal(head_secret_read(key_path, secret, &err), 0);
  assert_int_equal(head_key_read(key_path, key, &err), 0);
  assert_int_equal(head_key_read(pub_path, again, &err), 0);
  assert_memory_equal(key, again, sizeof key);
  assert_int_equal(head_secret_read(pub_path, secret, &err), ITD_EINVAL);
  struct journal_head *head = xcalloc(1, sizeof *head), *read = xcalloc(1, sizeof *read);
  *head = (struct journal_head){
      .time_ms = 1767603600123, .partitions = 16, .directory = "00112233445566778899aabbccddeeff"};
  for (unsigned p = 0; p < 16; p++) {
    head->tip[p].seq = draw(&d, 0);
    draw_bytes(&d, head->tip[p].chain, SHA256_SIZE);
  }
  struct buf text;
  buf_init(&text);
  head_put(head, secret, &text);
  assert_int_equal(head_get(buf_bytes(&text), key, read, &err), 0);
  assert_int_equal(read->time_ms, head->time_ms);
  assert_string_equal(read->directory, head->directory);
  assert_memory_equal(read->tip, head->tip, 16 * sizeof *head->tip);
  for (size_t i = 0; i < text.n; i++) { // any byte, and any length
    uint8_t was = text.p[i];
    text.p[i] = (uint8_t)(was ^ (1u << draw(&d, 8)));
    int rc = head_get(buf_bytes(&text), key, read, &err);
    if (rc != ITD_ECORRUPT && rc != ITD_EAUTH) fail_msg("byte %zu: %d", i, rc);
    text.p[i] = was;
    assert_true(head_get(bytes_of(text.p, i), key, read, &err) < 0);
  }
  buf_append_u8(&text, '\n');
  assert_int_equal(head_get(buf_bytes(&text), key, read, &err), ITD_ECORRUPT);
  buf_deinit(&text);
  free(head), free(read);
  scratch_free(dir);
}

// A daemon's journal under the eyes of verify, select and head: written, sealed and never called anything but whole.
struct live {
  const struct place_of_journal *w;
  _Atomic bool is_over;
  _Atomic unsigned rounds;
};
static int ignore_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)context, (void)f, (void)place, (void)err;
  return 0;
}
static void *look_on(void *arg) {
  struct live *l = arg;
  struct journal_head *head = xcalloc(1, sizeof *head);
  do {
    struct verify_result *r = xcalloc(1, sizeof *r);
    struct error err = {0};
    struct verify_options o = {.dir = l->w->dir, .head = atomic_load(&l->rounds) ? head : NULL};
    int rc = store_verify(&o, r, &err);
    if (rc || !r->is_whole) fprintf(stderr, "verify: %d %s %s\n", rc, err.text, r->count ? r->finding[0].text : "");
    CHECK(rc == 0 && r->is_whole);
    rc = head_take(l->w->dir, 1, head, &err);
    if (rc) fprintf(stderr, "head: %d %s\n", rc, err.text);
    CHECK(rc == 0);
    struct select_filter all = SELECT_ALL;
    struct select_stats stats;
    rc = journal_select(l->w->dir, &all, ignore_frame, NULL, NULL, &stats, &err);
    if (rc) fprintf(stderr, "select: %d %s\n", rc, err.text);
    CHECK(rc == 0 && stats.frames >= r->frames);
    verify_free(r);
    atomic_fetch_add(&l->rounds, 1);
  } while (!atomic_load(&l->is_over));
  free(head);
  return NULL;
}

static void nothing_is_found_while_it_is_written(void **state) {
  (void)state;
  struct draw d = {seed + 4};
  struct place_of_journal w = make_journal(&d, 1, 100);
  open_session(&w, SYNC_ALWAYS);
  struct sealer *sealer =
      sealer_start(&(struct sealer_options){.dir = w.dir, .shards = 2, .journal = w.log, .level = 1});
  struct live live = {.w = &w};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, look_on, &live), 0);
  for (int n = 0; n < 600 || atomic_load(&live.rounds) < 4; n++) {
    write_commit(&w, &d, 4000);
    if (n > 100000) fail_msg("it was not looked at in time");
    if (n > 600) usleep(1000);
  }
  atomic_store(&live.is_over, true);
  pthread_join(thread, NULL);
  sealer_stop(sealer);
  close_session(&w);
  must_be_whole(&w, NULL);
  scratch_free(w.dir);
}

// ---- select ----
// ---- a journal that changes from look to look ----
struct changing {
  const struct place_of_journal *w;
  int looks;
};

// Away, or back.
static void move_segment(const struct place_of_journal *w, unsigned log, uint32_t number, bool away) {
  char path[SEGMENT_PATH_MAX], aside[SEGMENT_PATH_MAX + 8];
  segment_path(path, w->dir, log, number);
  snprintf(aside, sizeof aside, "%s.aside", path);
  assert_int_equal(away ? rename(path, aside) : rename(aside, path), 0);
}

// At the end of each look: what was missing is back, and after the first something else is gone.
static void change_between(void *context, uint64_t done, uint64_t total) {
  struct changing *c = context;
  if (done < total) return;
  if (++c->looks == 1) {
    move_segment(c->w, 0, 2, false);
    move_segment(c->w, 1, 3, true);
  } else if (c->looks == 2) {
    move_segment(c->w, 1, 3, false);
  }
}

static void what_comes_and_goes_is_not_missing(void **state) {
  (void)state;
  struct draw d = {seed + 7};
  struct place_of_journal w = make_journal(&d, 1, 2000);
  struct changing c = {.w = &w};
  struct verify_options o = {.dir = w.dir, .must_be_closed = true, .progress = change_between, .context = &c};
  struct verify_result *r = xcalloc(1, sizeof *r);
  struct error err = {0};
  move_segment(&w, 0, 2, true);
  if (store_verify(&o, r, &err)) fail_msg("%s", err.text);
  if (!r->is_whole || r->count) fail_msg("%s", r->count ? r->finding[0].text : "not whole, and nothing found");
  assert_true(c.looks >= 2);
  verify_free(r);
  scratch_free(w.dir);
}

struct gathered {
  uint64_t hash, count;
  const struct select_filter *filter; // for the walk over everything
};
static int gather(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)err;
  struct gathered *g = context;
  const struct select_filter *s = g->filter;
  if (s && ((s->lead && !lead_id_eq(*s->lead, f->entity)) || (s->partition >= 0 && f->partition != s->partition) ||
            f->received_ms < s->since_ms || f->received_ms > s->until_ms || (s->limit && g->count >= s->limit)))
    return 0;
  g->hash = hash_mix(hash_mix(g->hash, place), hash64(f->event));
  g->count++;
  return 0;
}

static void select_finds_what_a_walk_finds(void **state) {
  (void)state;
  struct draw d = {seed + 5};
  struct place_of_journal w = make_journal(&d, 2, 200);
  struct error err = {0};
  for (int sealed = 0; sealed < 3; sealed++) {
    if (sealed) seal_some(&w, &d, sealed == 1 ? 2 : 1);
    uint64_t skipped = 0;
    for (int n = 0; n < 40; n++) {
      uint64_t who = hash_mix(seed, draw(&d, LEADS + 2));
      struct lead_id lead = {0};
      memcpy(lead.b, &who, sizeof who);
      struct select_filter f = SELECT_ALL;
      if (draw(&d, 2)) f.lead = &lead;
      if (draw(&d, 3) == 0) f.partition = (int)draw(&d, PARTITIONS);
      if (draw(&d, 2)) f.since_ms = 1700000000000 + (int64_t)draw(&d, w.frames);
      if (draw(&d, 2)) f.until_ms = 1700000000000 + (int64_t)draw(&d, w.frames);
      if (draw(&d, 3) == 0) f.limit = 1 + draw(&d, 50);
      struct gathered all = {.filter = &f}, selected = {0};
      struct select_stats stats;
      assert_int_equal(store_walk(w.dir, -1, gather, &all, &err), 0);
      if (journal_select(w.dir, &f, gather, &selected, NULL, &stats, &err)) fail_msg("%s", err.text);
      assert_true(all.hash == selected.hash && all.count == selected.count && stats.frames == selected.count);
      skipped += stats.blocks - stats.blocks_read;
    }
    assert_true(!sealed || skipped);
  }
  scratch_free(w.dir);
}

static void places_read_as_they_are_shown(void **state) {
  (void)state;
  struct draw d = {seed + 6};
  for (int n = 0; n < 100; n++) {
    uint64_t place = place_of((unsigned)draw(&d, 256), 1 + (uint32_t)draw(&d, 0xffffff), (uint32_t)draw(&d, 0)), again;
    char text[PLACE_TEXT];
    place_format(place, text);
    assert_int_equal(place_parse(text, &again), 0);
    assert_int_equal(place, again);
    snprintf(text, sizeof text, "%016llx", (unsigned long long)place);
    assert_int_equal(place_parse(text, &again), 0);
    assert_int_equal(place, again);
  }
  uint64_t place;
  const char *const none[] = {"",
                              "0",
                              "00-00000001",
                              "00-00000001+",
                              "00-00000001+99999999999",
                              "00-00000001+1x",
                              "0000000000000000",
                              "00-01000000+128",
                              "lead"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_int_equal(place_parse(none[i], &place), ITD_EINVAL);
}

int main(void) {
  seed = seed_of_run();
  log_set_level(LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_whole_is_called_whole),      cmocka_unit_test(a_forger_who_seals_anew_is_found),
      cmocka_unit_test(any_flipped_bit_is_found),           cmocka_unit_test(what_was_taken_away_is_missed),
      cmocka_unit_test(a_head_says_what_was_signed),        cmocka_unit_test(nothing_is_found_while_it_is_written),
      cmocka_unit_test(what_comes_and_goes_is_not_missing), cmocka_unit_test(select_finds_what_a_walk_finds),
      cmocka_unit_test(places_read_as_they_are_shown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
