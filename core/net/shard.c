#include "net/shard.h"

#include "base/check.h"
#include "base/log.h"
#include "net/conn.h"
#include "net/courier.h"
#include "net/daemon.h"
#include "net/hub.h"
#include "net/recover.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_TASKS  1024 // tasks from other origins that one turn takes: bounds a turn's length and its commit
#define TURN_WAKES  256  // leads whose timers are due, likewise
#define RETRY_MS    200  // how often a full disk is tried again
#define CATCH_UP_MS 2    // how often the checkpoint gets another slice of what it must catch up with
#define SWEEP_MS    1000
#define REST_MS     100 // how long nothing is accepted after it failed

struct letter {
  void (*work)(struct shard *, void *);
  void *context;
  struct letter *next;
};

struct listener {
  struct shard_thread *thread;
  int fd;
  enum conn_role role;
  struct event *event, *rest;
  bool is_resting; // there were too many open files
  struct listener *next;
};

struct shard_thread {
  struct shard shard;
  pthread_t thread;
  pthread_mutex_t lock; // the mailbox
  struct letter *first, **last;
  struct event *wake, *timer;
  struct listener *listeners;
  bool more; // the turn ended at a bound: the next one must not wait
  bool is_stopping;
  bool is_behind;              // why it is paused: the checkpoint. If not that, it is the outbox: messages go on
  uint64_t give_ns;            // when messages are given again
  uint64_t sweep_ns, retry_ns; // when a commit that found no room is tried again
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

int shard_allows(const struct shard *shard, enum task_kind kind, struct error *err) {
  bool is_event = kind == TASK_EVENT || kind == TASK_REPLAY;
  if (shard->storage == STORAGE_GOOD || (shard->storage == STORAGE_FULL && !is_event)) return 0;
  *err = shard->refusal;
  return err->code;
}

void shard_quarantine(struct shard *shard, const struct error *reason, struct bytes bytes) {
  if (shard->intake) intake_refuse(shard->intake, reason, bytes, shard->turn_ms);
}

void shard_send_on(struct shard *shard, struct task *task, const struct intake_way *way) {
  const struct store *store = shard->daemon->store;
  task->status = 0;
  task->goes_on = true;
  if (task->kind == TASK_EVENT || task->kind == TASK_VALIDATE || task->kind == TASK_REPLAY) {
    task->has_way = true;
    task->way = *way;
    task->partition = store_partition_of_lead(store, way->to);
    return;
  }
  struct lead_id to; // a question: its answer says which lead is to be asked for
  CHECK(lead_id_parse(buf_bytes(&task->answer), &to) == 0);
  buf_clear(&task->input);
  buf_append_bytes(&task->input, buf_bytes(&task->answer));
  buf_clear(&task->answer);
  task->partition = store_partition_of_lead(store, to);
}

void shard_do(struct shard *shard, struct task *task) {
  struct bytes input = buf_bytes(&task->input);
  uint64_t before_ns = clock_mono_ns();
  struct intake_way way = {0}, was = task->way;
  const struct intake_way *on = task->has_way ? &was : NULL;
  task->status = shard_allows(shard, task->kind, &task->error);
  if (task->status < 0) return;
  intake_want(shard->intake, task->wants);
  switch (task->kind) {
  case TASK_EVENT:
    task->status = intake_event_on(shard->intake, input, task->received_ms, on, &way, &task->answer, &task->error);
    hist_add(&shard->metrics->hop_decide, clock_mono_ns() - before_ns);
    break;
  case TASK_VALIDATE:
    task->status = intake_validate_on(shard->intake, input, task->received_ms, on, &way, &task->answer, &task->error);
    break;
  case TASK_LEAD: task->status = intake_lead(shard->intake, input, &task->answer, &task->error); break;
  case TASK_DECISION: task->status = intake_decision(shard->intake, input, &task->answer, &task->error); break;
  case TASK_ACCOUNT: task->status = intake_account(shard->intake, input, &task->answer, &task->error); break;
  case TASK_POOL: task->status = intake_pool(shard->intake, input, &task->answer, &task->error); break;
  case TASK_WHO: task->status = intake_who(shard->intake, input, &task->answer, &task->error); break;
  case TASK_REPLAY: task->status = serve_replay(shard, task, on, &way); break;
  case TASK_EXPLAIN: task->status = intake_explain(shard->intake, input, &task->answer, &task->error); break;
  case TASK_MESSAGES: CHECK(false); // they come another way: the courier
  }
  intake_want(shard->intake, 0);
  if (task->status == INTAKE_ELSEWHERE) shard_send_on(shard, task, &way);
}

void shard_submit(struct shard *shard, struct request *request, uint32_t slot, enum task_kind kind, unsigned partition,
                  struct bytes input) {
  struct task *task = task_new(kind, input, shard->turn_ms);
  task->origin = shard->index;
  task->partition = partition;
  task->request = request;
  task->wants = request->wants;
  request->task[slot] = task;
  unsigned owner = store_shard_of(shard->daemon->store, partition);
  if (owner == shard->index) {
    shard_do(shard, task);
    // The last one's answer is written in this turn, and waits with it. What others are still waited for may be written in
    // a later turn: this task then counts only once it is durable.
    if (request->left == 1 && !task->goes_on) {
      request_settle(request);
    } else {
      conn_weigh(request->owner, request, task->answer.n);
      task_list_add(&shard->answered, task);
    }
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
    task_list_add(&shard->answered, task);
  }
  t->more = true;
}

static void return_tasks(struct shard *shard, struct task_list *list) {
  bool has_own = false;
  for (struct task *task; (task = task_list_take(list));) {
    if (task->is_sent) { // by another origin, or by this shard's own, to itself
      fabric_return(shard->fabric, shard->index, task);
      continue;
    }
    has_own = true;
    origin_settle(shard->origin, task);
  }
  if (has_own) shard->has_room = true; // a connection may have waited for these
  fabric_flush(shard->fabric, shard->index);
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
  if (shard->storage == STORAGE_LOST) {
    courier_drop(shard->fabric, shard->index); // given again by and by, to what is recovered
    return;
  }
  if (shard->storage != STORAGE_GOOD || t->is_behind || t->is_stopping || !intake_release(shard->intake)) return;
  if (courier_take(shard->fabric, shard->index, shard->intake, shard->turn_ms)) t->more = true;
}

static void give_messages(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  if (t->is_stopping || !intake_release(shard->intake)) return;
  if (courier_give(shard->origin, shard->store, shard->turn_ns, &t->give_ns)) t->more = true;
}

// ---- when the store cannot commit ----

static void unhold_conns(struct shard *shard, const struct error *why) {
  for (struct conn *c = shard->conns; c; c = c->next) conn_unhold(c, why);
}

static void hold_answers(struct shard *shard) {
  for (struct task *task; (task = task_list_take(&shard->answered));) task_list_add(&shard->held, task);
  while (shard->flushing) {
    struct conn *c = shard->flushing;
    shard->flushing = c->next_flushing;
    conn_hold(c);
  }
}

static void flush_conns(struct shard *shard) {
  while (shard->flushing) {
    struct conn *c = shard->flushing;
    shard->flushing = c->next_flushing;
    conn_release(c);
  }
}

static void fail_tasks(struct task_list *list, const struct error *why) {
  for (struct task *task = list->first; task; task = task->next) {
    if (task->status < 0) continue;
    task->status = why->code;
    task->error = *why;
  }
}

static void set_storage(struct shard *shard, enum shard_storage storage, const struct error *refusal) {
  shard->storage = storage;
  shard->refusal = refusal ? *refusal : (struct error){0};
  daemon_trouble(shard->daemon, shard->index, refusal);
}

static void become_full(struct shard_thread *t, const struct error *why) {
  struct shard *shard = &t->shard;
  struct error refusal = {0};
  error_set(&refusal, ITD_EUNAVAILABLE,
            "nothing can be written (%.300s). Make room, or mend what it says; it is tried again by itself. Nothing "
            "was taken: "
            "send it again",
            why->text);
  log_line(LOG_WARN, "storage_unavailable", "shard=%u why=%s", shard->index, log_quote(why->text));
  set_storage(shard, STORAGE_FULL, &refusal);
  intake_hold(shard->intake, true);
  hold_answers(shard);
  resume_intake(t); // questions are answered, whatever the checkpoint waits for
}

// Nothing that is held, or was answered in this turn, will be true: it all becomes the error.
static void lose(struct shard *shard, const struct error *refusal) {
  set_storage(shard, STORAGE_LOST, refusal);
  hold_answers(shard);
  fail_tasks(&shard->held, refusal);
  unhold_conns(shard, refusal);
  buf_clear(&shard->publish);
  return_tasks(shard, &shard->held);
  flush_conns(shard);
}

static void lose_to_recovery(struct shard *shard, const struct error *why) {
  struct error refusal = {0};
  error_set(
      &refusal, ITD_EUNAVAILABLE,
      "the disk failed (%.200s), and the daemon recovers from its files. Whether this was taken is not known: send "
      "it again with the same messageId, which counts once",
      why->text);
  lose(shard, &refusal);
}

// What a failed sync left on the disk is unknown: nothing of it may be acknowledged, and only recovery can tell.
static void become_lost(struct shard *shard, const struct error *why) {
  log_line(LOG_ERROR, "storage_failed", "shard=%u why=%s", shard->index, log_quote(why->text));
  lose_to_recovery(shard, why);
  recover_begin(shard->daemon, why);
}

static void become_good(struct shard *shard) {
  log_line(LOG_INFO, "storage_available", "shard=%u", shard->index);
  set_storage(shard, STORAGE_GOOD, NULL);
  intake_hold(shard->intake, false);
  return_tasks(shard, &shard->held);
  unhold_conns(shard, NULL);
}

// ---- the turn ----

static bool is_dirty(const struct shard *shard) { return shard->store && store_is_dirty(shard->store); }

static int commit(struct shard *shard, struct error *err) {
  if (!store_is_dirty(shard->store)) return store_check(shard->store, err);
  uint64_t before_ns = clock_mono_ns();
  int status = store_commit(shard->store, err);
  hist_add(&shard->metrics->hop_commit, clock_mono_ns() - before_ns);
  return status;
}

// Everything of this turn is durable: its answers leave, and what is staged for the checkpoint moves on.
static void release_turn(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  return_tasks(shard, &shard->answered);
  hub_publish(shard);
  flush_conns(shard);
}

// A turn that decided nothing: what it answered needs no commit.
static void release_rest(struct shard_thread *t) {
  return_tasks(&t->shard, &t->shard.answered);
  flush_conns(&t->shard);
}

static void finish(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  bool was_full = shard->storage == STORAGE_FULL;
  if (shard->storage == STORAGE_LOST || (was_full && shard->turn_ns < t->retry_ns)) {
    release_rest(t);
    return;
  }
  struct error err = {0};
  int status = commit(shard, &err);
  if (status == ITD_EFULL) {
    t->retry_ns = clock_mono_ns() + RETRY_MS * 1000000ull;
    if (was_full)
      release_rest(t);
    else
      become_full(t, &err);
    return;
  }
  if (status < 0) {
    become_lost(shard, &err);
    return;
  }
  if (was_full) become_good(shard);
  release_turn(t);
  t->is_behind = store_turn(shard->store, clock_wall_ms());
  give_messages(t);
  if (t->is_behind)
    pause_intake(t, "\"the checkpoint must catch up (checkpoint.dirty, checkpoint.journal), or files of messageIds "
                    "(dedupe.entries)\"");
  else if (store_outbox_full(shard->store))
    pause_intake(t, "\"messages must get away (outbox.bytes)\"");
  else
    resume_intake(t);
}

static void keep_time(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  // By the clock that does not jump: a wall clock that is set must close nobody, nor keep the sweep away.
  if (shard->turn_ns - t->sweep_ns >= SWEEP_MS * 1000000ull) {
    t->sweep_ns = shard->turn_ns;
    conn_sweep(shard);
  }
  int64_t wait_ms = SWEEP_MS;
  if (shard->storage == STORAGE_FULL) { // a timer that is due waits for that too
    wait_ms = RETRY_MS;
  } else if (shard->is_paused) {
    wait_ms = CATCH_UP_MS;
  } else if (shard->storage == STORAGE_GOOD) {
    int64_t now_ms = clock_wall_ms();
    if (t->due_ms - now_ms < wait_ms) wait_ms = t->due_ms > now_ms ? t->due_ms - now_ms : 1;
  }
  if (shard->storage == STORAGE_GOOD && t->give_ns != UINT64_MAX) {
    int64_t left_ms = t->give_ns > shard->turn_ns ? (int64_t)((t->give_ns - shard->turn_ns) / 1000000) + 1 : 1;
    if (left_ms < wait_ms) wait_ms = left_ms;
  }
  struct timeval tv = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
  event_add(t->timer, &tv);
}

static void turn(struct shard_thread *t) {
  struct shard *shard = &t->shard;
  open_mail(t);
  if (!shard->is_paused) take_tasks(t);
  if (!shard->is_paused && shard->storage == STORAGE_GOOD)
    t->due_ms = intake_wake(shard->intake, shard->turn_ms, TURN_WAKES);
  take_messages(t);
  // Answers that came back from other shards are durable there; they leave with this turn's own.
  size_t came_back = origin_collect(shard->origin);
  finish(t);
  if (came_back || shard->has_room) {
    shard->has_room = false;
    resume_stalled(shard);
  }
  origin_flush(shard->origin);
  // What resuming decided is committed by the next turn, which must come at once.
  if (shard->flushing || shard->answered.first || (is_dirty(shard) && shard->storage == STORAGE_GOOD))
    t->more = !shard->is_paused;
  keep_time(t);
}

static void *run(void *arg) {
  struct shard_thread *t = arg;
  struct shard *shard = &t->shard;
  char name[16];
  snprintf(name, sizeof name, "shard-%u", shard->index);
  pthread_setname_np(pthread_self(), name);
  while (!t->is_stopping || t->more || is_dirty(shard)) {
    int flags = t->more ? EVLOOP_NONBLOCK : EVLOOP_ONCE;
    t->more = false;
    event_base_loop(shard->base, flags);
    shard_tick(shard);
    turn(t);
    // A disk that is full or failed: what was not acknowledged is not kept.
    if (t->is_stopping && (shard->is_paused || shard->storage != STORAGE_GOOD)) break;
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
  if (peer >= 0) {
    conn_accept(&listener->thread->shard, peer, listener->role);
  } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    // It would stay readable and turn the loop for nothing: who waits at the door waits a little longer.
    struct metrics *metrics = listener->thread->shard.metrics;
    if (!listener->is_resting) log_line(LOG_WARN, "accept_failed", "why=%s", log_quote(strerror(errno)));
    metrics_add(&metrics->accepts_failed, 1);
    listener->is_resting = true;
    struct timeval tv = {.tv_usec = REST_MS * 1000};
    event_del(listener->event);
    event_add(listener->rest, &tv);
  }
}

static void on_rested(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  struct listener *listener = arg;
  listener->is_resting = false;
  event_add(listener->event, NULL);
}

static void add_listener(struct shard *shard, void *context) {
  (void)shard;
  struct listener *listener = context;
  struct shard_thread *t = listener->thread;
  listener->event = event_new(t->shard.base, listener->fd, EV_READ | EV_PERSIST, on_accept, listener);
  listener->rest = event_new(t->shard.base, -1, 0, on_rested, listener);
  if (!listener->event || !listener->rest) out_of_memory(0);
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

static void note_age(void *context, int64_t age_ms) {
  struct shard *shard = context;
  hist_add(&shard->metrics->account_age, (uint64_t)age_ms);
}

static void open_intake(struct shard *shard) {
  struct intake_options options = shard->daemon->intake;
  options.each = keep_for_subscribers;
  options.read_account = note_age;
  options.context = shard;
  shard->intake = intake_new(shard->daemon->store, shard->index, &options);
}

// ---- recovery ----

void shard_leave_store(struct shard *shard, void *context) {
  struct shard_thread *t = shard->daemon->threads[shard->index];
  if (shard->storage != STORAGE_LOST) {
    struct error err = {0};
    bool was_full = shard->storage == STORAGE_FULL;
    int status = commit(shard, &err);
    if (status == 0 && was_full) become_good(shard);
    if (status == 0) release_turn(t);
    lose_to_recovery(shard, context);
  }
  resume_intake(t);
  intake_free(shard->intake);
  shard->intake = NULL;
  shard->store = NULL;
}

void shard_join_store(struct shard *shard, void *context) {
  (void)context;
  shard->store = store_shard(shard->daemon->store, shard->index);
  open_intake(shard);
}

void shard_say_why(struct shard *shard, void *context) { set_storage(shard, STORAGE_LOST, context); }

void shard_serve_store(struct shard *shard, void *context) {
  (void)context;
  become_good(shard);
}

struct shard_thread *shard_start(struct daemon *daemon, unsigned index) {
  struct shard_thread *t = xcalloc(1, sizeof *t);
  pthread_mutex_init(&t->lock, NULL);
  t->last = &t->first;
  t->due_ms = INT64_MAX;
  t->give_ns = UINT64_MAX;
  struct shard *shard = &t->shard;
  shard->daemon = daemon;
  shard->index = index;
  shard->fabric = daemon->fabric;
  shard->origin = fabric_origin(daemon->fabric, index);
  shard->store = store_shard(daemon->store, index);
  open_intake(shard);
  shard->limits = &daemon->limits;
  shard->metrics = &daemon->metrics[index];
  shard->base = event_base_new();
  if (!shard->base) out_of_memory(0);
  t->wake = event_new(shard->base, fabric_wake_fd(daemon->fabric, index), EV_READ | EV_PERSIST, on_wake, t);
  t->timer = event_new(shard->base, -1, 0, on_timer, t);
  if (!t->wake || !t->timer) out_of_memory(0);
  event_add(t->wake, NULL);
  keep_time(t);
  vm_thread_create(&t->thread, run, t);
  return t;
}

static void stop_reading(struct shard *shard, void *context) {
  struct shard_thread *t = context;
  for (struct listener *l = t->listeners; l; l = l->next) event_del(l->event), event_del(l->rest);
  for (struct conn *c = shard->conns; c; c = c->next) {
    event_del(c->readable);
    c->is_closing = true;
  }
}

static void give_up(struct shard *shard, void *context) {
  (void)context;
  struct error err = {0};
  if (shard->storage != STORAGE_FULL) return;
  if (commit(shard, &err) == 0) {
    become_good(shard);
    return;
  }
  error_set(&err, ITD_ESHUTDOWN, "the daemon stops, and there was no room for this: send it again");
  lose(shard, &err);
}

void shard_give_up(struct shard_thread *t) { shard_call(t, give_up, NULL); }

void shard_quiet(struct shard_thread *t) { shard_call(t, stop_reading, t); }

static void look_idle(struct shard *shard, void *context) {
  bool is_waiting = shard->storage != STORAGE_LOST && is_dirty(shard);
  *(bool *)context = !is_waiting && origin_under_way(shard->origin) == 0 && !shard->flushing && !shard->answered.first;
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
    event_free(listener->rest);
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
