#include "policy/journey.h"

bool chart_within(const struct artifact *a, int stage, int around) {
  while (stage >= 0 && stage != around) stage = a->stage[stage].parent;
  return stage == around;
}

int chart_leaf(const struct artifact *a, int stage) {
  while (a->stage[stage].start >= 0) stage = a->stage[stage].start;
  return stage;
}

// The stages around one, counted from the outside; 0: they go in a circle, or too deep.
static int depth_of(const struct artifact *a, int stage) {
  int depth = 0;
  for (; stage >= 0 && depth <= ARTIFACT_DEPTH_MAX; depth++) stage = a->stage[stage].parent;
  return depth > ARTIFACT_DEPTH_MAX ? 0 : depth;
}

static const char *wrong(const struct artifact *a, int stage, const uint8_t *children) {
  const struct artifact_stage *s = &a->stage[stage];
  if (depth_of(a, stage) == 0) return "lies too deep, or inside of itself";
  if (s->is_region && (s->parent >= 0 || s->start < 0))
    return "is a region that has no start, or lies inside another stage";
  if (s->start >= 0 && a->stage[s->start].parent != stage) return "has a start that is not inside it";
  if (s->start < 0 && children[stage]) return "has stages inside it and no start";
  return NULL;
}

const char *chart_gather(struct artifact *a, size_t *stage) {
  size_t count = a->count[POLICY_STAGES];
  uint8_t children[ARTIFACT_STAGES_MAX] = {0};
  a->stage = arena_alloc(&a->arena, count * sizeof *a->stage);
  for (size_t i = 0; i < count; i++) {
    const struct policy_entry *e = &a->entry[POLICY_STAGES][i];
    *stage = i;
    if (e->stage_parent >= (int)count || e->stage_start >= (int)count) return "names a stage that there is not";
    a->stage[i] = (struct artifact_stage){.parent = (int16_t)e->stage_parent,
                                          .start = (int16_t)e->stage_start,
                                          .machine = -1,
                                          .place = -1,
                                          .is_region = e->is_region};
    if (e->stage_parent >= 0) children[e->stage_parent] = 1;
  }
  for (size_t i = 0; i < count; i++) {
    *stage = i;
    const char *what = wrong(a, (int)i, children);
    if (what) return what;
    if (a->stage[i].start >= 0) a->stage[i].place = (int16_t)a->place_count++;
    if (a->stage[i].is_region && a->region_count == POLICY_REGIONS_MAX) return "is a region too many";
    if (a->stage[i].is_region) a->region[a->region_count++] = (int16_t)i;
    int top = (int)i;
    while (a->stage[top].parent >= 0) top = a->stage[top].parent;
    if (a->stage[top].is_region) a->stage[i].machine = (int16_t)top;
  }
  *stage = 0;
  return a->stage[0].start >= 0 || a->stage[0].machine >= 0
             ? "is where a lead begins, and is none of the innermost of the main ones"
             : NULL;
}

static int timers_in(const struct artifact *a, int leaf) {
  int count = 0;
  for (int s = leaf; s >= 0; s = a->stage[s].parent) count += a->timers[s].count;
  return count;
}

static int most_timers(const struct artifact *a, int machine) {
  int most = 0;
  for (size_t i = 0; i < a->count[POLICY_STAGES]; i++)
    if (a->stage[i].machine == machine && timers_in(a, (int)i) > most) most = timers_in(a, (int)i);
  return most;
}

int chart_gather_timers(struct artifact *a, struct error *err) {
  a->timers = arena_alloc(&a->arena, a->count[POLICY_STAGES] * sizeof *a->timers);
  memset(a->timers, 0, a->count[POLICY_STAGES] * sizeof *a->timers);
  for (size_t t = 0; t < a->count[POLICY_TRANSITIONS]; t++) {
    const struct policy_entry *e = &a->entry[POLICY_TRANSITIONS][t];
    if (e->wait.kind == POLICY_WAITS_NOT) continue;
    struct artifact_timers *timers = &a->timers[e->stage_from];
    if (timers->count == POLICY_TIMERS_MAX)
      return error_set(err, ITD_EPOLICY, "%s:%d: stage '%s' has more than %d transitions with a time", e->path, e->line,
                       a->entry[POLICY_STAGES][e->stage_from].name, POLICY_TIMERS_MAX);
    timers->transition[timers->count++] = (uint16_t)t;
  }
  int most = most_timers(a, -1);
  for (size_t r = 0; r < a->region_count; r++) most += most_timers(a, a->region[r]);
  if (most > POLICY_TIMERS_MAX)
    return error_set(err, ITD_EPOLICY, "compiled policy: %d timers can run at once, at most %d", most,
                     POLICY_TIMERS_MAX);
  return 0;
}
