#include "net/mapper.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct jobs {
  struct mapper_job *first, *last;
};

struct mapper {
  pthread_t thread;
  pthread_mutex_t lock; // guards what follows
  pthread_cond_t work;
  struct jobs waiting, finished;
  size_t waiting_count, queue_max;
  bool is_stopping;
  int fd;
};

static void put(struct jobs *jobs, struct mapper_job *job) {
  job->next = NULL;
  if (jobs->first)
    jobs->last->next = job;
  else
    jobs->first = job;
  jobs->last = job;
}

static struct mapper_job *take(struct jobs *jobs) {
  struct mapper_job *job = jobs->first;
  if (job) jobs->first = job->next;
  return job;
}

// ---- the thread ----

static void do_job(struct mapper_job *job) {
  const struct sources_call call = {
      .source = job->source, .payload = buf_bytes(&job->payload), .events_max = job->events_max};
  job->status = sources_map(edition_sources(job->edition), &call, &job->output, &job->error);
}

static void wake(const struct mapper *m) {
  uint64_t one = 1;
  CHECK(write(m->fd, &one, sizeof one) == sizeof one);
}

static void *run(void *arg) {
  struct mapper *m = arg;
  pthread_setname_np(pthread_self(), "mapper");
  pthread_mutex_lock(&m->lock);
  for (;;) {
    while (!m->waiting.first && !m->is_stopping) pthread_cond_wait(&m->work, &m->lock);
    if (m->is_stopping) break;
    struct mapper_job *job = take(&m->waiting);
    m->waiting_count--;
    pthread_mutex_unlock(&m->lock);
    do_job(job);
    pthread_mutex_lock(&m->lock);
    put(&m->finished, job);
    wake(m);
  }
  pthread_mutex_unlock(&m->lock);
  return NULL;
}

// ---- life ----

struct mapper *mapper_start(size_t queue_max) {
  struct mapper *m = xcalloc(1, sizeof *m);
  m->queue_max = queue_max;
  m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CHECK(m->fd >= 0);
  CHECK(pthread_mutex_init(&m->lock, NULL) == 0 && pthread_cond_init(&m->work, NULL) == 0);
  CHECK(pthread_create(&m->thread, NULL, run, m) == 0);
  return m;
}

void mapper_stop(struct mapper *m) {
  pthread_mutex_lock(&m->lock);
  m->is_stopping = true;
  pthread_cond_signal(&m->work);
  pthread_mutex_unlock(&m->lock);
  pthread_join(m->thread, NULL);
  for (struct mapper_job *job; (job = take(&m->waiting));) {
    job->status = error_set(&job->error, ITD_ESHUTDOWN, "the daemon is stopping: send this again");
    put(&m->finished, job);
  }
}

void mapper_free(struct mapper *m) {
  CHECK(!m->waiting.first && !m->finished.first);
  close(m->fd);
  pthread_mutex_destroy(&m->lock);
  pthread_cond_destroy(&m->work);
  free(m);
}

// ---- the HTTP thread ----

bool mapper_submit(struct mapper *m, struct mapper_job *job) {
  pthread_mutex_lock(&m->lock);
  bool has_room = m->waiting_count < m->queue_max && !m->is_stopping;
  if (has_room) {
    put(&m->waiting, job);
    m->waiting_count++;
    pthread_cond_signal(&m->work);
  }
  pthread_mutex_unlock(&m->lock);
  return has_room;
}

int mapper_fd(const struct mapper *m) { return m->fd; }

void mapper_collect(struct mapper *m) {
  uint64_t count;
  (void)!read(m->fd, &count, sizeof count); // none to read is fine
  pthread_mutex_lock(&m->lock);
  struct jobs finished = m->finished;
  m->finished = (struct jobs){0};
  pthread_mutex_unlock(&m->lock);
  for (struct mapper_job *job; (job = take(&finished));) job->done(job);
}

void mapper_job_free(struct mapper_job *job) {
  edition_release(job->edition);
  buf_deinit(&job->payload);
  buf_deinit(&job->output);
  free(job);
}
