// What commands that ask a daemon have in common: where it is, and saying so when it is not.
#pragma once
#include "cli/client.h"
#include "cli/command.h"

#define DEFAULT_ADDRESS "127.0.0.1:7411"

// The daemon that --to or --data names. 0, or the command's exit code after the error was printed.
int connect_daemon(const struct args *args, struct client **client) ITD_MUST_USE;
// For administration: over the socket in --data (default ./data), so that the daemon records who asked. --to is refused.
int connect_admin(const struct args *args, struct client **client) ITD_MUST_USE;
// Where connect_daemon goes: `text` gets HOST:PORT or a path.
void connect_address(const struct args *args, struct buf *text);
// One call with one text as its parameter (NULL: none). 0 and the result appended, or the exit code after the error was
// printed.
int connect_ask(const struct args *args, struct client *client, const char *method, const char *text,
                struct buf *result) ITD_MUST_USE;
// The exit code for a failure of an open connection, after printing it.
int connect_fail(const struct args *args, const struct client *client, int status, const struct error *err);
// For history: 0 when the daemon's clock is the events' own, or --any-clock was said. Else the exit code after the
// error was printed.
int connect_check_clock(const struct args *args, struct client *client) ITD_MUST_USE;
