#include "cli/command.h"
const struct command command_simulate = {.name = "simulate", .operands = "", .summary = "", .help = ""};
