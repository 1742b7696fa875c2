// intent: the tool's main.
#include "cli/command.h"

int main(int argc, char **argv) { return command_main(argc, argv); }
