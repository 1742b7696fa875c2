// The table of ops: what each may be declared with, what it takes from an event, and its functions.
#include "feature/ops.h"

#define WINDOW        (KEY_BIT(window) | KEY_BIT(tile) | KEY_BIT(zone))
#define FUNCTIONS(op) .size = op##_size, .init = op##_init, .fold = op##_fold, .read = op##_read, .merge = op##_merge

const struct feature_op feature_ops[] = {
    {.name = "count", .keys = WINDOW, FUNCTIONS(op_count)},
    {.name = "sum", .keys = KEY_BIT(of) | WINDOW, .required = KEY_BIT(of), .input = INPUT_NUMBER, FUNCTIONS(op_sum)},
    {.name = "mean", .keys = KEY_BIT(of) | WINDOW, .required = KEY_BIT(of), .input = INPUT_NUMBER, FUNCTIONS(op_mean)},
    {.name = "min", .keys = KEY_BIT(of) | WINDOW, .required = KEY_BIT(of), .input = INPUT_NUMBER, FUNCTIONS(op_least)},
    {.name = "max",
     .keys = KEY_BIT(of) | WINDOW,
     .required = KEY_BIT(of),
     .input = INPUT_NUMBER,
     FUNCTIONS(op_greatest)},
    {.name = "variance",
     .keys = KEY_BIT(of) | WINDOW,
     .required = KEY_BIT(of),
     .input = INPUT_NUMBER,
     FUNCTIONS(op_variance)},
    {.name = "stddev",
     .keys = KEY_BIT(of) | WINDOW,
     .required = KEY_BIT(of),
     .input = INPUT_NUMBER,
     FUNCTIONS(op_stddev)},
    {.name = "first",
     .keys = KEY_BIT(of) | KEY_BIT(part) | KEY_BIT(text),
     .required = KEY_BIT(of),
     .input = INPUT_NUMBER, // INPUT_TEXT when declared so
     .text = op_pick_text,
     FUNCTIONS(op_first)},
    {.name = "last",
     .knows_latest = true,
     .keys = KEY_BIT(of) | KEY_BIT(part) | KEY_BIT(text),
     .required = KEY_BIT(of),
     .input = INPUT_NUMBER,
     .text = op_pick_text,
     FUNCTIONS(op_last)},
    {.name = "distinct",
     .keys = KEY_BIT(of) | KEY_BIT(part) | KEY_BIT(limit) | KEY_BIT(precision),
     .required = KEY_BIT(of),
     .input = INPUT_VALUE,
     FUNCTIONS(op_distinct)},
    {.name = "recency", .is_duration = true, .knows_latest = true, FUNCTIONS(op_recency)},
    {.name = "decay",
     .keys = KEY_BIT(of) | KEY_BIT(half_life),
     .required = KEY_BIT(half_life),
     .input = INPUT_NUMBER, // INPUT_NONE without `of`
     FUNCTIONS(op_decay)},
    {.name = "velocity", .keys = WINDOW, .required = KEY_BIT(window), FUNCTIONS(op_velocity)},
    {.name = "sessions", .keys = KEY_BIT(session_gap), FUNCTIONS(op_sessions)},
    {.name = "streak", .keys = KEY_BIT(zone), FUNCTIONS(op_streak)},
    {.name = "flag", .knows_latest = true, .keys = WINDOW, FUNCTIONS(op_flag)},
    {.name = "gap", .is_duration = true, .knows_latest = true, FUNCTIONS(op_gap)},
};
const size_t feature_ops_count = sizeof feature_ops / sizeof *feature_ops;
