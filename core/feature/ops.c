// The table of ops: what each may be declared with, what it takes from an event, and its functions.
#include "feature/ops.h"
#include "feature/ordered.h"

#define WINDOW         (KEY_BIT(window) | KEY_BIT(tile) | KEY_BIT(zone))
#define STAT_BIT(stat) (1u << STAT_##stat)
#define ON_WHERE       (KEY_BIT(on) | KEY_BIT(where))
#define STEPS          (KEY_BIT(steps) | KEY_BIT(within))
#define ORDER          (KEY_BIT(pending) | KEY_BIT(lateness))
#define FUNCTIONS(op)  .size = op##_size, .init = op##_init, .fold = op##_fold, .read = op##_read, .merge = op##_merge

// What an op becomes by its window or its shape. A declaration names the op alone: these have no keys.
static const struct feature_op session_count = {.name = "count", FUNCTIONS(op_session)};
static const struct feature_op session_sum = {.name = "sum", .input = INPUT_NUMBER, FUNCTIONS(op_session)};
static const struct feature_op linear_decay = {.name = "decay", .input = INPUT_NUMBER, FUNCTIONS(op_linear)};
static const struct feature_op step_decay = {.name = "decay", .input = INPUT_NUMBER, FUNCTIONS(op_step)};

const struct feature_op feature_ops[] = {
    {.name = "count", .keys = WINDOW | KEY_BIT(session_gap), .in_session = &session_count, FUNCTIONS(op_count)},
    {.name = "sum",
     .keys = KEY_BIT(of) | WINDOW | KEY_BIT(session_gap),
     .required = KEY_BIT(of),
     .input = INPUT_NUMBER,
     .in_session = &session_sum,
     FUNCTIONS(op_sum)},
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
     .of_names = true,
     .limit_min = 4,
     .limit_max = FEATURE_LIMIT_MAX,
     .limit_default = 16,
     FUNCTIONS(op_distinct)},
    {.name = "most_common",
     .keys = KEY_BIT(of) | KEY_BIT(part) | KEY_BIT(text) | KEY_BIT(limit),
     .required = KEY_BIT(of),
     .input = INPUT_NUMBER, // INPUT_TEXT when declared so
     .of_names = true,
     .limit_min = 4,
     .limit_max = FEATURE_COMMON_MAX,
     .limit_default = 8,
     .text = op_common_text,
     FUNCTIONS(op_common)},
    {.name = "quantile",
     .keys = KEY_BIT(of) | KEY_BIT(q) | KEY_BIT(accuracy) | KEY_BIT(limit),
     .required = KEY_BIT(of) | KEY_BIT(q),
     .input = INPUT_NUMBER,
     .limit_min = 16,
     .limit_max = 1024,
     .limit_default = 128,
     FUNCTIONS(op_quantile)},
    {.name = "recency", .is_duration = true, .knows_latest = true, FUNCTIONS(op_recency)},
    {.name = "decay",
     .keys = KEY_BIT(of) | KEY_BIT(shape) | KEY_BIT(half_life) | KEY_BIT(over) | KEY_BIT(steps) | KEY_BIT(tile),
     .input = INPUT_NUMBER, // INPUT_NONE without `of`
     .shapes = {[SHAPE_LINEAR] = &linear_decay, [SHAPE_STEP] = &step_decay},
     FUNCTIONS(op_decay)},
    {.name = "velocity", .keys = WINDOW, .required = KEY_BIT(window), FUNCTIONS(op_velocity)},
    {.name = "sessions", .keys = KEY_BIT(session_gap), FUNCTIONS(op_sessions)},
    {.name = "session_length",
     .keys = KEY_BIT(session_gap) | KEY_BIT(stat),
     .is_duration = true,
     .stats = STAT_BIT(LAST) | STAT_BIT(MEAN) | STAT_BIT(MAX) | STAT_BIT(TOTAL),
     FUNCTIONS(op_length)},
    {.name = "active_days", .keys = KEY_BIT(window) | KEY_BIT(zone), .required = KEY_BIT(window), FUNCTIONS(op_days)},
    {.name = "time_of_day", .knows_latest = true, .keys = KEY_BIT(zone), .input = INPUT_CLOCK, FUNCTIONS(op_hours)},
    {.name = "weekday", .knows_latest = true, .keys = KEY_BIT(zone), .input = INPUT_CLOCK, FUNCTIONS(op_weekday)},
    {.name = "streak", .keys = KEY_BIT(zone), FUNCTIONS(op_streak)},
    {.name = "flag", .knows_latest = true, .keys = WINDOW, FUNCTIONS(op_flag)},
    {.name = "gap",
     .knows_latest = true,
     .keys = KEY_BIT(stat),
     .is_duration = true,
     .stats = STAT_BIT(LAST) | STAT_BIT(MEAN),
     FUNCTIONS(op_gap)},
    {.name = "funnel",
     .keys = STEPS | ORDER | KEY_BIT(window) | KEY_BIT(zone),
     .required = STEPS,
     .refused = ON_WHERE,
     .machine = &machine_funnel,
     .has_edge = true,
     FUNCTIONS(op_ordered)},
    {.name = "sequence",
     .keys = STEPS | ORDER | WINDOW,
     .required = STEPS,
     .refused = ON_WHERE,
     .machine = &machine_sequence,
     FUNCTIONS(op_ordered)},
    {.name = "co_occurrence",
     .keys = STEPS | ORDER | WINDOW,
     .required = STEPS,
     .refused = ON_WHERE,
     .machine = &machine_pairs,
     FUNCTIONS(op_ordered)},
    {.name = "account",
     .is_account = true,
     .knows_latest = true, // when the copy was made
     .keys = KEY_BIT(roll) | KEY_BIT(of) | KEY_BIT(part) | KEY_BIT(text) | KEY_BIT(window) | KEY_BIT(tile) |
             KEY_BIT(urgent),
     .required = KEY_BIT(roll),
     .refused = ON_WHERE,
     .text = op_pick_text, // kept as `last` keeps it
     FUNCTIONS(op_account)},
    {.name = "ratio", .keys = KEY_BIT(of), .required = KEY_BIT(of), .refused = ON_WHERE, .derive = op_ratio_derive},
    {.name = "difference",
     .is_duration = true, // of two durations
     .keys = KEY_BIT(of),
     .required = KEY_BIT(of),
     .refused = ON_WHERE,
     .derive = op_difference_derive},
};
const size_t feature_ops_count = sizeof feature_ops / sizeof *feature_ops;
_Static_assert(sizeof feature_ops / sizeof *feature_ops <= FEATURE_OPS_MAX, "an op is a bit of a mask");
