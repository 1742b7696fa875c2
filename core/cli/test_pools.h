// The pools of one case: specs are run without a store, so what a decision asks a pool is answered here, at once (engine/pool.h).
#pragma once
#include "engine/engine.h"

#define TEST_POOLS_MAX 256
struct test_pools {
  struct entity *pool[TEST_POOLS_MAX];
  size_t count;
  struct buf grants; // that are to be delivered: a list of messages
};
void test_pools_use(struct engine *engine);      // lets the engine ask
void test_pools_clear(struct test_pools *pools); // a new case, or the end
// Applies what decisions send to pools.
void test_pools_take(struct test_pools *pools, const struct engine_result *result, const struct lead *lead);
// The next grant that a pool gave, and whom. False: none.
bool test_pools_next(struct test_pools *pools, struct lead_id *to, struct buf *body);
