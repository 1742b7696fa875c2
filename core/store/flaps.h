// Stages that flap: a lead that enters a stage which it left a short time ago. Counted for the metric
// intentd_stage_flaps_total, and nothing else: what is known of the latest moves lies in memory only, in a table of a fixed
// size in which a later move may take an earlier one's place, so that a count may miss some, and a start begins anew.
// One thread.
#pragma once
#include "engine/engine.h"

#define FLAPS_WITHIN_MS 86400000 // by the lead's clock
#define FLAPS_MOVES     8192     // places a shard: 128 KiB

struct flaps;
struct flaps *flaps_new(void);
void flaps_free(struct flaps *flaps); // NULL does nothing
// Takes a decision of a lead in: true when it entered a stage that the lead left at most FLAPS_WITHIN_MS before.
bool flaps_take(struct flaps *flaps, struct lead_id lead, const struct decision *decision);
