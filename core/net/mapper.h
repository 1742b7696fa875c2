// The mapper: the thread on which the mappings of sources run, so that one that loops or is slow holds up the payloads of
// other sources for as long as its bounds allow, and nothing else. The HTTP thread gives it jobs and gets them back.
#pragma once
#include "net/edition.h"

struct mapper_job {
  struct edition *edition; // held by the job
  const char *source;      // a name in it
  struct buf payload;      // one MessagePack value: a payload, or a list of them
  uint32_t events_max;
  struct buf output; // as sources_map's, when status is 0
  int status;
  struct error error;
  void (*done)(struct mapper_job *job); // on the thread that collects; frees the job
  void *owner;
  struct mapper_job *next;
};

struct mapper;
struct mapper *mapper_start(size_t queue_max); // source.queue: jobs that wait
// Ends after the job at hand; those that wait are given back with ITD_ESHUTDOWN by one last mapper_collect.
void mapper_stop(struct mapper *mapper);
void mapper_free(struct mapper *mapper); // stopped, and collected from

// ---- the HTTP thread ----
// False: the queue is full; the job stays the caller's.
bool mapper_submit(struct mapper *mapper, struct mapper_job *job);
int mapper_fd(const struct mapper *mapper); // an eventfd that can be read when something is done
void mapper_collect(struct mapper *mapper); // calls `done` of each job that is
void mapper_job_free(struct mapper_job *job);
