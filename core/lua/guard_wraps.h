// What guard_wraps.c needs of guard.c.
#pragma once
#include "lua/guard.h"

struct guard_state *guard_running(void); // the state whose call runs on this thread, or NULL
void guard_release_all(void);            // an error's way to its pcall ends whatever was held on it
