// Recovery: state = fold(LMDB, vault and journal since). Everything is read and judged first; only then is a torn tail
// cut, so that a directory with damage is left as it was found.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "store/deal.h"
#include "store/disk.h"
#include "store/rebuild.h"
#include "store/shard.h"

#define SAY_NS 3000000000ull // between two lines that say how far it is

struct recovering {
  struct store *store;
  struct recovery_result *result;
  struct scan scan;
  uint64_t floor[256];      // progress of each partition: what LMDB has
  uint64_t channels[256];   // the frame up to which LMDB has its channels
  bool begins_number;       // the journal has no session of the directory's number of partitions yet
  struct table lost;        // leads whose key is gone, and whose FORGET frame has not come yet
  struct forget_job *jobs;  // what is left to do for those that were forgotten
  const uint64_t *covered;  // the frame up to which the files of dedupe have its messages; NULL: nobody asks
  int64_t edge_ms;          // messages before it are out of the window
  struct deal *deal;        // frames go to the thread of their shard
  pthread_mutex_t lock;     // of lost, jobs and the figures, for those threads
  struct found_link *links; // in the vault
  size_t link_count, link_cap;
  uint64_t said_ns; // when it was last said how far it is
  size_t at_segment, segments;
};

// ---- vault and LMDB ----
struct found_link {
  struct lead_id lead;
  uint64_t address, previous;
};

static int take_record(void *context, uint64_t address, const struct vault_record *r, struct error *err) {
  (void)err;
  struct recovering *v = context;
  if (r->type == VAULT_IDENTITY && r->kind == IDENTITY_LINK) { // its lead may come in another log
    if (v->link_count == v->link_cap)
      v->links = xrealloc(v->links, (v->link_cap = v->link_cap ? v->link_cap * 2 : 64) * sizeof *v->links);
    v->links[v->link_count++] = (struct found_link){r->lead, address, r->previous};
    return 0;
  }
  shard_take_record(shard_of(v->store, store_partition_of_lead(v->store, r->lead)), address, r);
  return 0;
}

static struct hash128 address_key(uint64_t address) { return (struct hash128){address, hash_mix(address, 1)}; }

// Links come in the order of logs, not in that of their leads' chains: a chain ends with the one that no other goes on from.
static void take_links(struct recovering *v) {
  struct table before;
  table_init(&before, sizeof(struct table_entry));
  for (size_t i = 0; i < v->link_count; i++) {
    struct hash128 key = address_key(v->links[i].previous);
    if (!table_find(&before, key)) table_add(&before, key);
  }
  for (size_t i = 0; i < v->link_count; i++) {
    const struct found_link *l = &v->links[i];
    if (!table_find(&before, address_key(l->address)))
      shard_take_link(shard_of(v->store, store_partition_of_lead(v->store, l->lead)), l->lead, l->address);
  }
  table_deinit(&before);
  free(v->links);
  v->links = NULL;
}

// What LMDB lacks of who is who: the end of each log, or all of it.
static int take_vault(struct recovering *v, struct error *err) {
  struct state_reader *state = v->store->shard[0]->state;
  struct vault_tip *seen = v->result->vault_seen;
  int rc = 0;
  for (unsigned log = 0; rc == 0 && log < 256; log++)
    if ((rc = state_vault(state, log, &seen[log], err)) == ITD_ENOTFOUND) rc = 0;
  if (rc == 0) rc = vault_scan(v->store->dir.path, seen, take_record, v, v->store->vault_tip, err);
  take_links(v);
  return rc;
}

static int take_progress(struct recovering *v, struct error *err) {
  for (unsigned p = 0; p < 256; p++) v->floor[p] = v->store->dir.since.seq; // former partitions: all is in LMDB
  for (unsigned p = 0; p < v->store->dir.partitions; p++) {
    struct store_shard *s = shard_of(v->store, p);
    struct state_progress progress = {0};
    int rc = state_progress(s->state, p, &progress, err);
    if (rc && rc != ITD_ENOTFOUND) return rc;
    v->floor[p] = progress.seq;
    if (progress.release)
      shard_release(
          s, &(struct frame){.partition = (uint16_t)p, .policy = progress.release, .received_ms = progress.release_ms});
  }
  return 0;
}

static int take_made(struct recovering *v, struct error *err) {
  for (unsigned slot = 0; slot < SLOTS; slot++) {
    struct store_shard *s = shard_of(v->store, slot_partition(slot, v->store->dir.partitions));
    uint64_t made = 0;
    int rc = state_made(s->state, slot, &made, err);
    if (rc && rc != ITD_ENOTFOUND) return rc;
    if (made > s->made[slot]) s->made[slot] = made;
  }
  return 0;
}

// What each partition sent and received, as of the checkpoint.
static int take_saved_channels(struct recovering *v, struct error *err) {
  struct buf saved = {0};
  int rc = 0;
  for (unsigned p = 0; rc == 0 && p < v->store->dir.partitions; p++) {
    struct store_shard *s = shard_of(v->store, p);
    buf_clear(&saved);
    rc = state_channels(s->state, p, &saved, err);
    if (rc == 0) rc = outbox_load(s->outbox, p, buf_bytes(&saved), &v->channels[p], err);
    if (rc == ITD_ENOTFOUND) rc = 0;
  }
  buf_deinit(&saved);
  return rc;
}

// Both ends of every channel lie in this directory: what was received need not be sent again, and what was received must
// have been sent.
static int settle_channels(const struct store *store, struct error *err) {
  int rc = 0;
  for (unsigned i = 0; rc == 0 && i < store->options.shards; i++)
    for (unsigned k = 0; rc == 0 && k < store->options.shards; k++)
      rc = outbox_settle(store->shard[i]->outbox, store->shard[k]->outbox, err);
  return rc;
}

static void take_due(void *context, int64_t due_ms, struct lead_id id) {
  struct store *store = context;
  due_set(&shard_of(store, store_partition_of_lead(store, id))->due, id, due_ms);
}

// An account that held copies back at the checkpoint, a pool that leads wait for.
static int take_waiting(void *context, struct bytes block, struct error *err) {
  struct store *store = context;
  struct entity head;
  int rc = entity_check(block, err);
  if (rc) return rc;
  memcpy(&head, block.p, sizeof head);
  if (head.kind != ENTITY_ACCOUNT && head.kind != ENTITY_POOL) return 0;
  struct entity *e = memcpy(xmalloc(block.n), block.p, block.n);
  shard_note_account(shard_of(store, store_partition_of_lead(store, e->id)), e, 0);
  shard_note_pool(shard_of(store, store_partition_of_lead(store, e->id)), e);
  entity_free(e);
  return 0;
}

// ---- the forgotten ----
struct lost_lead {
  struct table_entry head;
  uint64_t place; // of its first frame that can't be opened; 0: its FORGET frame came
};

// A frame of a lead without a key: all is well if it is forgotten later in the journal.
static void take_lost(struct recovering *v, struct lead_id lead, uint64_t place) {
  pthread_mutex_lock(&v->lock);
  if (!table_find(&v->lost, lead_key(lead))) {
    struct lost_lead *l = table_add(&v->lost, lead_key(lead));
    l->place = place;
  }
  pthread_mutex_unlock(&v->lock);
}

static void take_forget(struct recovering *v, struct store_shard *s, const struct frame *f) {
  pthread_mutex_lock(&v->lock);
  struct lost_lead *l = table_find(&v->lost, lead_key(f->entity));
  if (l) l->place = 0;
  struct forget_job *job = shard_forget(s, f->entity, f->received_ms);
  job->next = v->jobs;
  v->jobs = job;
  v->result->recovery.forgotten += job->key_address != 0;
  pthread_mutex_unlock(&v->lock);
}

static int check_lost(const struct recovering *v, struct error *err) {
  for (size_t i = 0; i < table_count(&v->lost); i++) {
    const struct lost_lead *l = table_at(&v->lost, i);
    if (l->place)
      return error_set(err, ITD_ECORRUPT,
                       "journal/%02x-%08x.log, offset %u: the lead's key is not in the vault, and it was not forgotten",
                       place_log(l->place), place_segment(l->place), place_offset(l->place));
  }
  return 0;
}

// ---- messages ----
static void take_message(void *context, const struct dedupe_record *r) {
  struct recovering *v = context;
  unsigned partition = slot_partition(message_slot(r->message), v->store->dir.partitions);
  dedupe_load(&shard_of(v->store, partition)->dedupe, r);
}

static void take_messages(struct recovering *v) {
  if (!v->store->dedupe) return;
  dedupe_files_load(v->store->dedupe, take_message, v);
  v->covered = dedupe_files_covered(v->store->dedupe);
  for (unsigned p = 0; p < v->store->dir.partitions; p++) shard_of(v->store, p)->dedupe.from[p] = v->covered[p];
  for (unsigned i = 0; i < v->store->options.shards; i++)
    v->store->shard[i]->dedupe.is_soon = dedupe_files_are_many(v->store->dedupe);
}

static int take_message_of(struct recovering *v, const struct frame *f, uint64_t place, struct error *err) {
  if (!v->covered || !shard_has_message(f) || f->received_ms < v->edge_ms) return 0;
  unsigned p = slot_partition(message_slot(f->message), v->store->dir.partitions); // now, whatever it was then
  if (f->seq <= v->covered[p]) return 0;
  struct store_shard *s = shard_of(v->store, p);
  dedupe_add(&s->dedupe, f->message, place, f->received_ms);
  return dedupe_spill(&s->dedupe, err);
}

// ---- frames ----
static int skip(struct recovering *v) {
  pthread_mutex_lock(&v->lock);
  v->result->recovery.skipped++;
  pthread_mutex_unlock(&v->lock);
  return 0;
}

static int name_frame(int rc, const struct frame *f, uint64_t place, struct error *err) {
  error_prefix(err, "journal/%02x-%08x.log, offset %u: partition %u, frame %llu", place_log(place),
               place_segment(place), place_offset(place), f->partition, (unsigned long long)f->seq);
  return rc == ITD_EVERSION || rc == ITD_EFULL || rc == ITD_EIO ? rc : ITD_ECORRUPT;
}

static int take_channels(struct recovering *v, struct store_shard *s, const struct frame *f, struct error *err) {
  if (f->seq <= v->channels[f->partition]) return 0;
  int rc = f->from_n ? outbox_received(s->outbox, f->partition, f->from, f->from_n, 0, err) : 0;
  struct message sender = {.from = f->entity, .number = f->number, .workspace = f->workspace, .at_ms = f->now_ms};
  return rc || !f->messages.n ? rc : outbox_sent(s->outbox, &sender, f->partition, f->messages, 0, err);
}

static int take_entity(struct recovering *v, struct store_shard *s, const struct frame *f, uint64_t place,
                       struct error *err) {
  struct entity *entity = f->seq > v->floor[f->partition] ? store_entity(s, f->entity) : NULL;
  if (f->seq <= v->floor[f->partition] || (entity && f->seq <= entity->seq)) return skip(v);
  int rc = store_partition_of_lead(v->store, f->entity) == f->partition
               ? 0
               : error_set(err, ITD_ECORRUPT, "its entity is of another partition");
  struct entity *was = entity;
  if (rc == 0) rc = entity_fold(&entity, f, place, err);
  if (rc == 0 || was) store_put_entity(s, entity); // it may have moved
  if (rc == 0) shard_note_account(s, entity, 0);
  if (rc && !was) entity_free(entity);
  return rc;
}

// On the thread of the frame's shard.
static int take_frame(void *context, const struct frame *f, uint64_t place, struct error *err) {
  struct recovering *v = context;
  struct store_shard *s = shard_of(v->store, f->partition);
  bool is_former = f->seq <= v->store->dir.since.seq; // of another number of partitions: all of it is in LMDB
  if (f->kind == FRAME_RELEASE) {
    if (!is_former) shard_release(s, f);
    return 0;
  }
  int rc = take_message_of(v, f, place, err);
  if (rc || f->kind == FRAME_REFUSED) return rc;
  if (is_former) return skip(v);
  rc = take_channels(v, s, f, err);
  bool is_other = f->entity_kind != ENTITY_LEAD && f->entity_kind != ENTITY_NOBODY;
  if (rc == 0 && is_other) rc = take_entity(v, s, f, place, err);
  if (rc) return name_frame(rc, f, place, err);
  if (f->seq > v->floor[f->partition] && f->kind == FRAME_FORGET) {
    take_forget(v, s, f);
    return 0;
  }
  if (f->entity_kind != ENTITY_LEAD) return 0;
  bool is_folded = f->seq > v->floor[f->partition] && !forget_has(v->store->forget, f->entity);
  if (is_folded && !shard_key(s, f->entity)) {
    take_lost(v, f->entity, place);
    is_folded = false;
  }
  struct lead *lead = is_folded ? store_lead(s, f->entity) : NULL;
  if (!is_folded || (lead && f->seq <= lead->seq)) return skip(v);
  struct lead *was = lead;
  rc = store_partition_of_lead(v->store, f->entity) == f->partition
           ? 0
           : error_set(err, ITD_ECORRUPT, "its lead is of another partition");
  if (rc == 0) rc = history_fold(s, f, place, &lead, err);
  if (rc == 0) {
    store_put(s, lead);
    return 0;
  }
  if (was)
    shard_entry(s, f->entity)->lead = lead; // it may have moved
  else
    lead_free(lead);
  return name_frame(rc, f, place, err);
}

static void say_how_far(struct recovering *v) {
  uint64_t now_ns = clock_mono_ns();
  if (now_ns - v->said_ns < SAY_NS) return;
  v->said_ns = now_ns;
  log_line(LOG_INFO, "recovering", "frames=%llu segment=%zu of=%zu", (unsigned long long)v->result->recovery.frames,
           v->at_segment + 1, v->segments);
}

// On the thread that reads: what says nothing new goes no further.
static int deal_out(void *context, const struct frame *f, uint64_t place, struct error *err) {
  struct recovering *v = context;
  unsigned p = f->partition;
  if (++v->result->recovery.frames % 4096 == 0) say_how_far(v);
  bool is_former = f->seq <= v->store->dir.since.seq;
  if (is_former && shard_has_message(f)) p = slot_partition(message_slot(f->message), v->store->dir.partitions);
  bool is_new =
      f->seq > v->floor[f->partition] || f->seq > v->channels[f->partition] || (v->covered && f->seq > v->covered[p]);
  if (!is_former && !is_new && f->kind != FRAME_RELEASE) return skip(v);
  v->result->folded_bytes += frame_size(f);
  return deal_frame(v->deal, p % v->store->options.shards, f, place, err);
}

// The shards' tables are independent of each other: a thread for each of them, as far as there are cores.
static void start_dealing(struct recovering *v) {
  unsigned threads = v->store->options.recovery_threads, shards = v->store->options.shards;
  long cores = threads ? (long)threads : sysconf(_SC_NPROCESSORS_ONLN);
  threads = cores < 2 ? 0 : cores < (long)shards ? (unsigned)cores : shards;
  v->deal = deal_start(threads, take_frame, v);
}

// ---- which segments ----
// Of frames of another number of partitions the files of dedupe have all or nothing.
static bool has_new_messages(const struct recovering *v, const struct segment_info *s, const struct segment_info *next,
                             unsigned era) {
  if (!v->covered || next->received_ms < v->edge_ms) return false;
  if (s->era == era) return !segment_is_before(s, next, era, v->covered);
  for (unsigned p = 0; p < v->store->dir.partitions; p++)
    if (v->covered[p] < v->store->dir.since.seq) return true;
  return false;
}

// A segment may be left out when LMDB has everything of it, and the files of dedupe have its messages or these are older
// than the window.
static bool is_needed(const struct recovering *v, const struct segment_info *list, size_t count,
                      const struct segment_info *s) {
  const struct segment_info *next = s->has_opening ? segment_after(list, count, s) : NULL;
  unsigned era = list[count - 1].era + v->begins_number;
  return !next || has_new_messages(v, s, next, era) || !segment_is_before(s, next, era, v->floor);
}

// What the journal says of partitions must be what the directory says.
static int check_number(struct recovering *v, const struct segment_info *list, size_t count, struct error *err) {
  const struct datadir *dir = &v->store->dir;
  const struct segment_info *last = NULL;
  for (size_t i = 0; i < count; i++)
    if (list[i].has_opening) last = &list[i];
  v->begins_number = dir->since.seq && last && last->header.partitions == dir->since.before;
  if (v->begins_number || !last) return 0;
  if (last->header.partitions != dir->partitions)
    return error_set(err, ITD_ECORRUPT, "the journal is of %u partitions, the directory of %u", last->header.partitions,
                     dir->partitions);
  for (size_t i = 0; i < count; i++)
    if (list[i].is_resharded && list[i].era == last->era && list[i].seq[0] != dir->since.seq)
      return error_set(
          err, ITD_ECORRUPT,
          "journal/%02x-%08x.log begins %u partitions at frame %llu, the directory says that it was at %llu",
          list[i].log, list[i].number, dir->partitions, (unsigned long long)list[i].seq[0],
          (unsigned long long)dir->since.seq);
  return 0;
}

// The directory has another number of partitions than the last session had: they go on from where that one ended.
static int begin_number(struct recovering *v, struct error *err) {
  const struct datadir *dir = &v->store->dir;
  struct journal_tip tip[256];
  struct journal_boundary due;
  for (unsigned p = 0; p < 256; p++) tip[p] = v->scan.tip[p].tip;
  journal_boundary_of(dir->since.before, tip, dir->partitions, &due);
  if (due.seq != dir->since.seq || memcmp(due.chain, dir->since.chain, sizeof due.chain) != 0)
    return error_set(err, ITD_ECORRUPT,
                     "the journal's %u partitions do not end where the directory says that its %u ones began",
                     dir->since.before, dir->partitions);
  for (unsigned p = 0; p < 256; p++) {
    struct scan_tip *t = &v->scan.tip[p];
    *t = (struct scan_tip){0};
    if (p >= dir->partitions) continue;
    *t = (struct scan_tip){.is_known = true, .from = due.seq, .tip = {.seq = due.seq}};
    memcpy(t->tip.chain, due.chain, sizeof due.chain);
  }
  return 0;
}

struct cut {
  const struct segment_info *info;
  uint32_t end;    // 0: the file goes
  uint32_t synced; // these two: of a log's end
  bool is_settled;
};

static int open_segment(const struct store *store, const struct segment_info *s, int *fd, char path[SEGMENT_PATH_MAX]) {
  segment_path(path, store->dir.path, s->log, s->number);
  return disk_open(path, O_RDWR, fd);
}

// The end of each log was read, and is answered for from now on (a duplicate is acknowledged); but whoever wrote it may
// have been killed before its sync, or seen it fail. So may a recovery that cut it.
static int settle_ends(const struct store *store, const struct cut ends[256], struct error *err) {
  char path[SEGMENT_PATH_MAX];
  for (unsigned i = 0; i < 256; i++) {
    if (!ends[i].info || ends[i].is_settled) continue;
    int fd = -1;
    int e = open_segment(store, ends[i].info, &fd, path);
    if (e == 0) e = disk_settle(fd, ends[i].synced, ends[i].end);
    if (fd >= 0) close(fd);
    if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  }
  return 0;
}

static int apply_cuts(const struct store *store, const struct cut *cut, size_t count, struct error *err) {
  char path[SEGMENT_PATH_MAX];
  for (size_t i = 0; i < count; i++) {
    segment_path(path, store->dir.path, cut[i].info->log, cut[i].info->number);
    int fd = -1;
    int e = cut[i].end ? open_segment(store, cut[i].info, &fd, path) : disk_unlink(path);
    if (e == 0 && fd >= 0) e = disk_truncate(fd, (off_t)cut[i].end);
    if (e == 0 && fd >= 0) e = disk_sync_whole(fd);
    if (fd >= 0) close(fd);
    if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
    log_line(LOG_INFO, "journal_cut", "segment=%02x-%08x end=%u", cut[i].info->log, cut[i].info->number, cut[i].end);
  }
  int e = count ? disk_sync_folder(store->dir.path, "journal") : 0;
  return e ? error_set(err, disk_status(e), "%s/journal: %s", store->dir.path, strerror(e)) : 0;
}

static int take_segments(struct recovering *v, const struct segment_info *list, size_t count, struct error *err) {
  bool is_reading[256] = {false};
  int64_t newest_ms = 0;
  struct cut *cut = xcalloc(count + 1, sizeof *cut), *ends = xcalloc(256, sizeof *ends);
  size_t cuts = 0;
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < count; i++) {
    if (list[i].has_header && list[i].header.session > v->store->session) v->store->session = list[i].header.session;
    if (list[i].has_opening && list[i].received_ms > newest_ms) newest_ms = list[i].received_ms;
  }
  rc = check_number(v, list, count, err);
  int64_t now_ms = clock_wall_ms(); // what came since a clock that was ahead was set back is in the window
  if (newest_ms > now_ms) newest_ms = now_ms;
  if (__builtin_sub_overflow(newest_ms, v->store->options.dedupe_window_ms, &v->edge_ms)) v->edge_ms = INT64_MIN;
  v->segments = count;
  start_dealing(v);
  for (size_t i = 0; rc == 0 && i < count; i++) {
    const struct segment_info *s = &list[i];
    struct scan_end end;
    if (!is_reading[s->log] && !is_needed(v, list, count, s)) continue;
    is_reading[s->log] = true;
    v->at_segment = i;
    rc = scan_segment(&v->scan, s, &end, err);
    if (rc) break;
    v->result->recovery.torn_bytes += end.torn_bytes;
    bool is_empty = end.end <= SEGMENT_HEADER_SIZE;
    if (is_empty || end.is_torn) cut[cuts++] = (struct cut){.info = s, .end = is_empty ? 0 : end.end};
    if (!is_empty)
      ends[s->log] = (struct cut){.info = s, .end = end.end, .synced = end.synced, .is_settled = end.is_settled};
  }
  rc = deal_end(v->deal, rc, err);
  if (rc == 0 && v->begins_number) rc = begin_number(v, err);
  for (unsigned p = 0; rc == 0 && p < v->store->dir.partitions; p++)
    if (v->scan.tip[p].from > v->floor[p])
      rc =
          error_set(err, ITD_ECORRUPT,
                    "the journal of partition %u begins behind frame %llu, but the state has only frame %llu: what lay "
                    "between was let go behind a base, and no base of this partition reads (DIR/bases)",
                    p, (unsigned long long)v->scan.tip[p].from, (unsigned long long)v->floor[p]);
    else if (v->floor[p] > v->scan.tip[p].tip.seq)
      rc =
          error_set(err, ITD_ECORRUPT, "the journal of partition %u ends with frame %llu, but the state has frame %llu",
                    p, (unsigned long long)v->scan.tip[p].tip.seq, (unsigned long long)v->floor[p]);
    else if (v->covered && v->covered[p] > v->scan.tip[p].tip.seq)
      rc = error_set(
          err, ITD_ECORRUPT,
          "the journal of partition %u ends with frame %llu, but dedupe/ knows of frame %llu: either the journal "
          "lost its end (restore a backup), or that folder is of another time (without it, it is made again)",
          p, (unsigned long long)v->scan.tip[p].tip.seq, (unsigned long long)v->covered[p]);
  if (rc == 0) rc = settle_channels(v->store, err);
  if (rc == 0) rc = check_lost(v, err);
  if (rc == 0) rc = apply_cuts(v->store, cut, cuts, err);
  if (rc == 0) rc = settle_ends(v->store, ends, err);
  free(cut);
  free(ends);
  return rc;
}

int recover(struct store *store, struct recovery_result *result, struct error *err) {
  struct recovering *v = xcalloc(1, sizeof *v);
  *v = (struct recovering){.store = store, .result = result};
  v->scan = (struct scan){
      .dir = store->dir.path, .visit = deal_out, .context = v, .floor = v->floor, .since = &store->dir.since};
  uint64_t began_ns = clock_mono_ns();
  struct segment_info *list = NULL;
  size_t count = 0;
  v->said_ns = began_ns;
  pthread_mutex_init(&v->lock, NULL);
  table_init(&v->lost, sizeof(struct lost_lead));
  bool rebuilt;
  int rc = rebuild_state(store->dir.path, store->dir.partitions, &store->dir.since, store->state, &rebuilt, err);
  if (rc == 0) rc = vault_erase_rest(store->dir.path, err); // what is half erased must not be taken for somebody
  if (rc == 0) rc = take_vault(v, err);
  if (rc == 0) rc = take_progress(v, err);
  if (rc == 0) rc = take_made(v, err);
  if (rc == 0) rc = take_saved_channels(v, err);
  if (rc == 0) rc = state_each_due(store->shard[0]->state, take_due, store, err);
  if (rc == 0) rc = state_each_entity(store->shard[0]->state, take_waiting, store, err);
  if (rc == 0) take_messages(v);
  if (rc == 0) rc = segment_list(store->dir.path, &list, &count, err);
  if (rc == 0) rc = take_segments(v, list, count, err);
  if (rc == 0) {
    rc = forget_now(store->forget, v->jobs, err);
    v->jobs = NULL;
  }
  if (rc == 0) {
    store->session++;
    result->received_ms = v->scan.received_ms;
    result->is_resharded = v->begins_number;
    for (unsigned p = 0; p < 256; p++) result->tip[p] = v->scan.tip[p].tip;
    for (unsigned i = 0; i < store->options.shards; i++) {
      struct store_shard *s = store->shard[i];
      result->recovery.leads += atomic_load(&s->counters.leads);
    }
    result->recovery.took_ms = (int64_t)((clock_mono_ns() - began_ns) / 1000000);
  }
  for (struct forget_job *next; v->jobs; v->jobs = next) {
    next = v->jobs->next;
    forget_job_end(v->jobs, ITD_ESHUTDOWN, NULL);
  }
  pthread_mutex_destroy(&v->lock);
  table_deinit(&v->lost);
  segment_list_free(list, count);
  free(v);
  return rc;
}
