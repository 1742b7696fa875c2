// Listening sockets.
#pragma once
#include "base/status.h"

// HOST:PORT (a name or an address; port 0: a free one). Returns the descriptor through *fd and the port in use through
// *port. ITD_EBUSY when it is taken, ITD_EINVAL.
int listen_tcp(const char *address, int *fd, int *port, struct error *err) ITD_MUST_USE;
// A Unix socket that only this user may use; a stale one (nobody answers) is replaced. ITD_EINVAL when the path is too
// long.
int listen_unix(const char *path, int *fd, struct error *err) ITD_MUST_USE;
