#include "net/switch.h"

#include "base/log.h"

#include <stdio.h>

struct turn {
  enum policy_switch to;
  const char *why, *by;
};

static void turn_on(struct shard *shard, void *context) {
  const struct turn *turn = context;
  intake_switch(shard->intake, turn->to, turn->why, turn->by);
}

int switch_start(struct daemon *daemon, struct error *err) {
  int status = switch_read(daemon->config->data, &daemon->switched, err);
  daemon->release.switched = daemon->switched.to;
  return status;
}

// A frame of each partition says it: where none can be written it is not put in force.
static int check_storage(struct daemon *daemon, struct error *err) {
  unsigned shard;
  struct error why = {0};
  if (!daemon_get_trouble(daemon, &shard, &why)) return 0;
  return error_set(err, ITD_EUNAVAILABLE, "shard %u takes no events, and no switch either: %.400s", shard, why.text);
}

int switch_turn(struct daemon *daemon, const struct workspace_switch *to, enum policy_switch *before,
                struct error *err) {
  char why[540];
  snprintf(why, sizeof why, "switch to %s: %s", switch_name(to->to), to->why);
  struct turn turn = {.to = to->to, .why = why, .by = to->by};
  int status = check_storage(daemon, err);
  if (status == 0) status = switch_write(daemon->config->data, to, err);
  if (status < 0) return status;
  *before = daemon->switched.to;
  for (unsigned s = 0; s < daemon->shards; s++) shard_call(daemon->threads[s], turn_on, &turn);
  pthread_mutex_lock(&daemon->lock);
  daemon->switched = *to;
  daemon->release.switched = to->to;
  pthread_mutex_unlock(&daemon->lock);
  log_line(LOG_INFO, "switch", "to=%s before=%s by=%s why=%s", switch_name(to->to), switch_name(*before),
           log_quote(to->by), log_quote(to->why));
  return 0;
}
