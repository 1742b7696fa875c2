// Being forgotten: what is left to do once a lead's FORGET frame is on disk, on a thread of its own, so that no shard
// waits for it. And who was forgotten: DIR/forgotten, a line "LEAD MILLISECONDS" for each, synced; it says nothing of who
// it was, and a restore of an older copy applies it.
//
// The order is such that a crash between any two steps leaves enough to begin again: first the identities go from LMDB,
// and what the quarantine has of them, which takes their texts; then the vault's records are erased, and nobody knows
// them any more; then the lead goes from LMDB (not before: a lead that is missing while its key is there would begin
// anew with its next frame); then the line. A start finds the FORGET frames behind the checkpoint and does what is missing; so a checkpoint's
// progress waits for what was given before it (forget_wait).
#pragma once
#include "store/journal.h"
#include "store/quarantine.h"
#include "store/state.h"

struct forget_identity {
  struct hash128 hash;
  uint64_t address;  // in the vault
  struct bytes text; // malloc'd; empty: of a link
};
struct forget_job {
  struct lead_id lead;
  int64_t at_ms;
  struct journal *journal; // that has the frame; NULL: it is on disk
  uint64_t key_address;    // in the vault; 0: it was erased before
  bool is_waiting;         // nothing is to be done but to wait for those before it
  struct forget_identity *identity;
  size_t count, cap;
  struct lead_id *merged; // leads that were merged into it: forgotten after it, each with its own frame
  size_t merged_count;
  // Called once when it is done, on the thread that did it; NULL: nobody waits. status: 0; ITD_ESHUTDOWN: not done, the next
  // start does it; ITD_EIO, ITD_ECORRUPT.
  void (*done)(void *context, const struct forget_job *job);
  void *context;
  int status;
  struct error error;
  uint64_t erased, quarantined; // records of the vault, entries of the quarantine that are gone
  struct forget_job *next;
};
struct forget_job *forget_job_new(struct lead_id lead, int64_t at_ms);
void forget_job_add(struct forget_job *job, struct hash128 hash, uint64_t address, struct bytes text); // copies
// A link to a lead that was merged into it, whose record is to be erased as well.
void forget_job_link(struct forget_job *job, struct lead_id merged, uint64_t address);
void forget_job_end(struct forget_job *job, int status, const struct error *err); // calls `done`, and frees it

struct forget;
// Reads who was forgotten. Both are used until forget_close. ITD_ECORRUPT, ITD_EFULL, ITD_EIO.
int forget_open(const char *dir, struct state *state, struct quarantine *quarantine, struct forget **out,
                struct error *err) ITD_MUST_USE;
void forget_start(struct forget *f); // the thread
void forget_close(struct forget *f); // what is under way is tried to its end first

// ---- any thread ----
bool forget_has(const struct forget *f, struct lead_id lead); // forgotten, whatever is left to do
size_t forget_known(const struct forget *f);                  // how many leads forget_has knows
void forget_mark(struct forget *f, struct lead_id lead);      // once the frame is staged
void forget_give(struct forget *f, struct forget_job *job);   // once it is committed; takes it over
// Returns when all that was given before is done. The error of a try that failed meanwhile (it is tried again).
int forget_wait(struct forget *f, struct error *err) ITD_MUST_USE;
bool forget_is_broken(const struct forget *f); // ITD_EIO: only a recovery from files can tell what is on disk
// Does a list of jobs now; for a start, before the thread runs. Takes them over.
int forget_now(struct forget *f, struct forget_job *jobs, struct error *err) ITD_MUST_USE;
struct forget_stats {
  uint64_t done, failures;
};
struct forget_stats forget_stats(const struct forget *f);
