#include "net/listen.h"

#include "base/buf.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static int open_one(const struct addrinfo *info) {
  int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, info->ai_protocol);
  if (fd < 0) return -1;
  int one = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
  int kept = errno;
  close(fd);
  errno = kept;
  return -1;
}

static int port_of(int fd) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) return 0;
  return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                       : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

int listen_tcp(const char *address, int *fd, int *port, struct error *err) {
  const char *colon = strrchr(address, ':');
  char *host = xstrndup(address, (size_t)(colon - address));
  if (host[0] == '[' && strlen(host) > 2) { // [::1]:7411
    memmove(host, host + 1, strlen(host));
    host[strlen(host) - 1] = 0;
  }
  struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list = NULL;
  int failed = getaddrinfo(host, colon + 1, &hints, &list);
  free(host);
  if (failed) return error_set(err, ITD_EINVAL, "can't listen on %s: %s", address, gai_strerror(failed));
  int opened = -1;
  for (const struct addrinfo *info = list; info && opened < 0; info = info->ai_next) opened = open_one(info);
  int why = errno;
  freeaddrinfo(list);
  if (opened < 0)
    return error_set(err, why == EADDRINUSE ? ITD_EBUSY : ITD_EINVAL, "can't listen on %s: %s", address, strerror(why));
  *fd = opened;
  *port = port_of(opened);
  return 0;
}

int listen_unix(const char *path, int *fd, struct error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    return error_set(err, ITD_EINVAL, "the socket's path %s has %zu bytes; at most %zu: use a shorter --data", path,
                     strlen(path), sizeof address.sun_path - 1);
  memcpy(address.sun_path, path, strlen(path));
  int opened = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (opened < 0) return error_set(err, ITD_EIO, "socket: %s", strerror(errno));
  unlink(path); // the data directory's lock is held: whoever listened here is gone
  mode_t mask = umask(0077);
  int failed = bind(opened, (struct sockaddr *)&address, sizeof address) || listen(opened, BACKLOG) ? errno : 0;
  umask(mask);
  if (failed) {
    close(opened);
    return error_set(err, ITD_EIO, "can't listen on %s: %s", path, strerror(failed));
  }
  *fd = opened;
  return 0;
}
