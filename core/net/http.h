// The HTTP thread, on libevent's evhttp: the Segment endpoints, metrics, health. It owns no partition: it is an origin
// of its own (index `shards`), whose events cross to the shards as everybody else's.
#pragma once
#include "net/daemon.h"

struct http;
// Starts the thread on a listening socket (the caller keeps it open until http_stop).
struct http *http_start(struct daemon *daemon, int fd);
// Stops accepting, waits for what is under way (its answers leave), joins. The shards must still be running.
void http_stop(struct http *http);
