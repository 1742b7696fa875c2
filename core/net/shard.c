#include "net/shard.h"

#include "base/check.h"
#include "base/log.h"
#include "net/conn.h"
#include "net/courier.h"
#include "net/daemon.h"
#include "net/hub.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_TASKS  1024 // tasks from other origins that one turn takes: bounds a turn's length and its commit
#define TURN_WAKES  256  // leads whose timers are due, likewise
#define RETRY_MS    200  // how often a full disk is tried again
#define CATCH_UP_MS 2    // how often the checkpoint gets another slice of what it must catch up with
#define SWEEP_MS    1000

struct letter {
  void (*work)(struct shard *, void *);
  void *context;
  struct letter *next;
};

struct listener {
  struct shard_thread *thread;
  int fd;
  enum conn_role role;
  struct event *event;
  struct listener *next;
};

struct shard_thread {
  struct shard shard;
  pthread_t thread;
  pthread_mutex_t lock; // the mailbox
  struct letter *first, **last;
  struct event *wake, *timer;
  struct listener *listeners;
  struct task *answered, **answered_last; // wait for the commit
  bool more;                              // the turn ended at a bound: the next one must not wait
  bool is_stopping;
  bool is_full;     // why it is paused: the disk, not the checkpoint
  bool is_behind;   // the same: the checkpoint. What is neither is the outbox: messages go on
  uint64_t give_ns; // when messages are given again
  uint64_t sweep_ns;
  int64_t due_ms;
};

struct shard *shard_of(struct shard_thread *t) {
  return &t->shard;
}

// ---- mailbox ----

void shard_post(struct shard_thread *t, void (*work)(struct shard *, void *), void *context) {
  struct letter *letter = xmalloc(sizeof *letter);
  *letter = (struct letter){work, context, NULL};
  pthread_mutex_lock(&t->lock);
  *t->last = letter;
  t->last = &letter->next;
  pthread_mutex_unlock(&t->lock);
  fabric_wake(t->shard.fabric, t->shard.index);
}

struct waiting_call {
  void (*work)(struct shard *, void *);
  void *context;
  pthread_mutex_t lock;
  pthread_cond_t done;
  bool is_done;
};

static void run_call(struct shard *shard, void *context) {
  struct waiting_call *call = context;
  call->work(shard, call->context);
  pthread_mutex_lock(&call->lock);
  call->is_done = true;
  pthread_cond_signal(&call->done);
  pthread_mutex_unlock(&call->lock);
}

void shard_call(struct shard_thread *t, void (*work)(struct shard *, void *), void *context) {
  struct waiting_call call = {work, context, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
  shard_post(t, run_call, &call);
  pthread_mutex_lock(&call.lock);
  while (!call.is_done) pthread_cond_wait(&call.done, &call.lock);
  pthread_mutex_unlock(&call.lock);
}

static void open_mail(struct shard_thread *t) {
  pthread_mutex_lock(&t->lock);
  struct letter *letter = t->first;
  t->first = NULL;
  t->last = &t->first;
  pthread_mutex_unlock(&t->lock);
  while (letter) {
    struct letter *next = letter->next;
    letter->work(&t->shard, letter->context);
    free(letter);
    letter = next;
  }
}

// ---- tasks ----

void shard_do(struct shard *shard, struct task *task) {
  struct bytes input = buf_bytes(&task->input);
  uint64_t before_ns = clock_mono_ns();
  switch (task->kind) {
  case TASK_EVENT:
    task->status = intake_event(shard->intake, input, task->received_ms, &task->answer, &task->error);
    hist_add(&shard->metrics->hop_decide, clock_mono_ns() - before_ns);
    break;
  case TASK_VALIDATE:
    task->status = intake_validate(shard->intake, input, task->received_ms, &task->answer, &task->error);
    break;
  case TASK_LEAD: task->status = intake_lead(shard->intake, input, &task->answer, &task->error); break;
  case TASK_DECISION: task->status = intake_decision(shard->intake, input, &task->answer, &task->error); break;
  case TASK_EXPLAIN: task->status = intake_explain(shard->intake, input, &task->answer, &task->error); break;
  case TASK_MESSAGES: CHECK(false); // they come another way: the courier
  }
}

void shard_submit(struct shard *shard, struct request *request, uint32_t slot, enum task_kind kind, unsigned partition,
                  struct bytes input) {
  struct task *task = task_new(kind, input, shard->turn_ms);
  task->partition = partition;
  task->request = request;
  request->task[slot] = task;
  unsigned owner = store_shard_of(shard->daemon->store, partition);
  if (owner == shard->index) {
    shard_do(shard, task);
    request_settle(request);
  } else {
    CHECK(origin_send(shard->origin, owner, task));
  }
}

static void take_tasks(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  for (unsigned i = 0; i < TURN_TASKS; i++) {
    struct task *task = fabric_take(shard->fabric, shard->index);
    if (!task) return;
    hist_add(&shard->metrics->hop_cross, clock_mono_ns() - task->sent_ns);
    shard_do(shard, task);
    task->next = NULL;
    *t->answered_last = task;
    t->answered_last = &task->next;
  }
  t->more = true;
}

static void return_tasks(struct shard_thread *t) {
  while (t->answered) {
    struct task *task = t->answered;
    t->answered = task->next;
    fabric_return(t->shard.fabric, t->shard.index, task);
  }
  t->answered_last = &t->answered;
  fabric_flush(t->shard.fabric, t->shard.index);
}

// ---- pausing ----

static void pause_intake(struct shard_thread *t, const char *why) {
  struct shard *shard = &t->shard;
  if (shard->is_paused) return;
  shard->is_paused = true;
  atomic_fetch_add(&shard->daemon->paused_shards, 1);
  metrics_add(&shard->metrics->reads_paused, 1);
  log_line(LOG_WARN, "intake_paused", "shard=%u why=%s", shard->index, why);
  for (struct conn *c = shard->conns; c; c = c->next) event_del(c->readable);
}

static void resume_intake(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  if (!shard->is_paused) return;
  shard->is_paused = false;
  atomic_fetch_sub(&shard->daemon->paused_shards, 1);
  log_line(LOG_INFO, "intake_resumed", "shard=%u", shard->index);
  t->more = true;
  for (struct conn *c = shard->conns, *next; c; c = next) {
    next = c->next;
    conn_resume(c);
  }
}

static void resume_stalled(struct shard *shard) {
  if (shard->is_paused) return;
  for (struct conn *c = shard->conns, *next; c; c = next) {
    next = c->next;
    if (c->is_stalled) conn_resume(c);
  }
}

// ---- messages ----

static void take_messages(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  if (t->is_full || t->is_behind || t->is_stopping || !intake_release(shard->intake)) return;
  if (courier_take(shard->fabric, shard->index, shard->intake, shard->turn_ms)) t->more = true;
}

static void give_messages(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  if (t->is_stopping || !intake_release(shard->intake)) return;
  if (courier_give(shard->origin, shard->store, shard->turn_ns, &t->give_ns)) t->more = true;
}

// ---- the turn ----

static bool commit(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  if (!store_is_dirty(shard->store)) return true;
  struct error err = {0};
  uint64_t before_ns = clock_mono_ns();
  int status = store_commit(shard->store, &err);
  hist_add(&shard->metrics->hop_commit, clock_mono_ns() - before_ns);
  t->is_full = false;
  if (status == 0) return true;
  metrics_error(shard->metrics, status);
  if (status == ITD_EFULL) {
    pause_intake(t, log_quote(err.text));
    t->is_full = true;
    return false;
  }
  // What a failed sync left on the disk is unknown: nothing more may be acknowledged, and only recovery can tell.
  log_line(LOG_ERROR, "storage_failed", "shard=%u why=%s", shard->index, log_quote(err.text));
  _exit(70);
}

static void release_answers(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  return_tasks(t);
  hub_publish(shard);
  while (shard->flushing) {
    struct conn *c = shard->flushing;
    shard->flushing = c->next_flushing;
    conn_release(c);
  }
}

static void keep_time(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  // By the clock that does not jump: a wall clock that is set must close nobody, nor keep the sweep away.
  if (shard->turn_ns - t->sweep_ns >= SWEEP_MS * 1000000ull) {
    t->sweep_ns = shard->turn_ns;
    conn_sweep(shard);
  }
  int64_t wait_ms = SWEEP_MS;
  if (shard->is_paused) {
    wait_ms = t->is_full ? RETRY_MS : CATCH_UP_MS; // a timer that is due waits for that too
  } else {
    int64_t now_ms = clock_wall_ms();
    if (t->due_ms - now_ms < wait_ms) wait_ms = t->due_ms > now_ms ? t->due_ms - now_ms : 1;
  }
  if (t->give_ns != UINT64_MAX) {
    int64_t left_ms = t->give_ns > shard->turn_ns ? (int64_t)((t->give_ns - shard->turn_ns) / 1000000) + 1 : 1;
    if (left_ms < wait_ms) wait_ms = left_ms;
  }
  struct timeval tv = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
  event_add(t->timer, &tv);
}

static void turn(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  open_mail(t);
  if (!shard->is_paused) {
    take_tasks(t);
    t->due_ms = intake_wake(shard->intake, shard->turn_ms, TURN_WAKES);
  }
  take_messages(t);
  // Answers that came back from other shards are durable there; they leave with this turn's own.
  size_t came_back = origin_collect(shard->origin);
  if (commit(t)) {
    release_answers(t);
    t->is_behind = store_turn(shard->store, clock_wall_ms());
    give_messages(t);
    if (t->is_behind)
      pause_intake(t, "\"the checkpoint must catch up (checkpoint.dirty)\"");
    else if (store_outbox_full(shard->store))
      pause_intake(t, "\"messages must get away (outbox.bytes)\"");
    else
      resume_intake(t);
  }
  if (came_back || shard->has_room) {
    shard->has_room = false;
    resume_stalled(shard);
  }
  origin_flush(shard->origin);
  // What resuming decided is committed by the next turn, which must come at once.
  if (store_is_dirty(shard->store) || shard->flushing) t->more = !shard->is_paused;
  keep_time(t);
}

static void *run(void *arg) {
  struct shard_thread *t = arg;
  struct shard *shard = &t->shard;
  char name[16];
  snprintf(name, sizeof name, "shard-%u", shard->index);
  pthread_setname_np(pthread_self(), name);
  while (!t->is_stopping || t->more || store_is_dirty(shard->store)) {
    int flags = t->more ? EVLOOP_NONBLOCK : EVLOOP_ONCE;
    t->more = false;
    event_base_loop(shard->base, flags);
    shard_tick(shard);
    turn(t);
    if (t->is_stopping && shard->is_paused) break; // a full disk: what was not acknowledged is not kept
  }
  while (shard->conns) conn_close(shard->conns);
  return NULL;
}

// ---- life ----

static void on_wake(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct shard_thread *t = arg;
  fabric_woken(t->shard.fabric, t->shard.index);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) { (void)fd, (void)what, (void)arg; }

static void on_accept(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  struct listener *listener = arg;
  // One a turn and thread: with several shards on one socket the connections spread over them.
  int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (peer >= 0) conn_accept(&listener->thread->shard, peer, listener->role);
}

static void add_listener(struct shard *shard, void *context) {
  (void)shard;
  struct listener *listener = context;
  struct shard_thread *t = listener->thread;
  listener->event = event_new(t->shard.base, listener->fd, EV_READ | EV_PERSIST, on_accept, listener);
  if (!listener->event) out_of_memory(0);
  event_add(listener->event, NULL);
  listener->next = t->listeners;
  t->listeners = listener;
}

void shard_listen(struct shard_thread *t, int fd, enum conn_role role) {
  struct listener *listener = xcalloc(1, sizeof *listener);
  listener->thread = t;
  listener->fd = fd;
  listener->role = role;
  shard_call(t, add_listener, listener);
}

static void keep_for_subscribers(void *context, struct bytes answer) {
  struct shard *shard = context;
  if (hub_is_wanted(shard->daemon)) buf_append_bytes(&shard->publish, answer);
}

struct shard_thread *shard_start(struct daemon *daemon, unsigned index) {
  struct shard_thread *t = xcalloc(1, sizeof *t);
  pthread_mutex_init(&t->lock, NULL);
  t->last = &t->first;
  t->answered_last = &t->answered;
  t->due_ms = INT64_MAX;
  t->give_ns = UINT64_MAX;
  struct shard *shard = &t->shard;
  shard->daemon = daemon;
  shard->index = index;
  shard->fabric = daemon->fabric;
  shard->origin = fabric_origin(daemon->fabric, index);
  shard->store = store_shard(daemon->store, index);
  struct intake_options options = daemon->intake;
  options.each = keep_for_subscribers;
  options.context = shard;
  shard->intake = intake_new(daemon->store, index, &options);
  shard->limits = &daemon->limits;
  shard->metrics = &daemon->metrics[index];
  shard->base = event_base_new();
  if (!shard->base) out_of_memory(0);
  t->wake = event_new(shard->base, fabric_wake_fd(daemon->fabric, index), EV_READ | EV_PERSIST, on_wake, t);
  t->timer = event_new(shard->base, -1, 0, on_timer, t);
  if (!t->wake || !t->timer) out_of_memory(0);
  event_add(t->wake, NULL);
  keep_time(t);
  CHECK(pthread_create(&t->thread, NULL, run, t) == 0);
  return t;
}

static void stop_reading(struct shard *shard, void *context) {
  struct shard_thread *t = context;
  for (struct listener *l = t->listeners; l; l = l->next) event_del(l->event);
  for (struct conn *c = shard->conns; c; c = c->next) {
    event_del(c->readable);
    c->is_closing = true;
  }
}

void shard_quiet(struct shard_thread *t) { shard_call(t, stop_reading, t); }

static void look_idle(struct shard *shard, void *context) {
  *(bool *)context = !store_is_dirty(shard->store) && origin_under_way(shard->origin) == 0 && !shard->flushing;
}

bool shard_is_idle(struct shard_thread *t) {
  bool is_idle = false;
  shard_call(t, look_idle, &is_idle);
  return is_idle;
}

static void stop(struct shard *shard, void *context) {
  (void)shard;
  struct shard_thread *t = context;
  t->is_stopping = true;
}

void shard_stop(struct shard_thread *t) {
  shard_call(t, stop, t);
  pthread_join(t->thread, NULL);
  while (t->listeners) {
    struct listener *listener = t->listeners;
    t->listeners = listener->next;
    event_free(listener->event);
    free(listener);
  }
  while (t->first) {
    struct letter *letter = t->first;
    t->first = letter->next;
    free(letter);
  }
  event_free(t->wake);
  event_free(t->timer);
  event_base_free(t->shard.base);
  intake_free(t->shard.intake);
  buf_deinit(&t->shard.publish);
  pthread_mutex_destroy(&t->lock);
  free(t);
}
