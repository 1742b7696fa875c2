#include "cli/client.h"

#include "base/check.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_MS = 5000, READ_BYTES = 256 << 10, CALL_TRIES = 6, CALL_WAIT_MS = 60000 };

// What a daemon may send at once: an explanation shows an event of 64 KiB and hundreds of rows.
static const struct mp_limits answer_limits = {
    .depth_max = MP_DEPTH_MAX, .objects_max = 1u << 20, .bytes_max = 64u << 20};

struct client {
  int fd;
  struct buf in, out;
  size_t in_at, out_at; // consumed, sent
  uint32_t next_id;     // of client_call
  bool is_lost;
};

// ---- connecting ----

// Waits for a connection under way; 0 or errno.
static int wait_connected(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  int n;
  do n = poll(&p, 1, CONNECT_MS);
  while (n < 0 && errno == EINTR);
  if (n == 0) return ETIMEDOUT;
  int why = 0;
  socklen_t size = sizeof why;
  if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size) < 0) return errno;
  return why;
}

// A connected non-blocking socket, or -1 with errno.
static int connect_to(int family, const struct sockaddr *address, socklen_t size) {
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int why = connect(fd, address, size) == 0 ? 0 : errno;
  if (why == EINPROGRESS) why = wait_connected(fd);
  if (why) {
    close(fd);
    errno = why;
    return -1;
  }
  int on = 1;
  if (family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static int open_unix(const char *path, int *fd, struct error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    return error_set(err, ITD_EINVAL, "the path of a socket is too long: %s", path);
  memcpy(address.sun_path, path, strlen(path) + 1);
  *fd = connect_to(AF_UNIX, (struct sockaddr *)&address, sizeof address);
  if (*fd >= 0) return 0;
  if (errno == EACCES)
    return error_set(err, ITD_ENOTFOUND, "%s: %s; it is for the daemon's user, or root, alone", path, strerror(errno));
  return error_set(err, ITD_ENOTFOUND, "no daemon at %s: %s; start one with intentd --data %.*s", path, strerror(errno),
                   (int)(strrchr(path, '/') - path), path);
}

// "HOST:PORT" or "[HOST]:PORT" in two texts.
static bool split_address(const char *address, char host[256], char port[16]) {
  const char *colon = strrchr(address, ':');
  size_t n = colon ? (size_t)(colon - address) : 0;
  const char *start = address;
  if (n > 1 && start[0] == '[' && start[n - 1] == ']') start++, n -= 2;
  if (!colon || n == 0 || n > 255 || !colon[1] || strlen(colon + 1) > 5) return false;
  if (strspn(colon + 1, "0123456789") != strlen(colon + 1)) return false;
  memcpy(host, start, n);
  host[n] = 0;
  snprintf(port, 16, "%s", colon + 1);
  return true;
}

static int open_tcp(const char *address, int *fd, struct error *err) {
  char host[256], port[16];
  if (!split_address(address, host, port))
    return error_set(err, ITD_EINVAL, "\"%.200s\" is no address; HOST:PORT is, such as 127.0.0.1:7411", address);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
  int rc = getaddrinfo(host, port, &hints, &list);
  if (rc != 0) return error_set(err, ITD_ENOTFOUND, "host %s: %s", host, gai_strerror(rc));
  int why = 0;
  *fd = -1;
  for (struct addrinfo *a = list; a && *fd < 0; a = a->ai_next) {
    *fd = connect_to(a->ai_family, a->ai_addr, a->ai_addrlen);
    why = errno;
  }
  freeaddrinfo(list);
  if (*fd >= 0) return 0;
  return error_set(err, ITD_ENOTFOUND, "no daemon at %s: %s; is intentd running, and is this its --listen?", address,
                   strerror(why));
}

int client_open(const char *address, struct client **out, struct error *err) {
  int fd;
  int status = strchr(address, '/') ? open_unix(address, &fd, err) : open_tcp(address, &fd, err);
  if (status < 0) return status;
  struct client *client = xcalloc(1, sizeof *client);
  client->fd = fd;
  *out = client;
  return 0;
}

void client_close(struct client *client) {
  if (!client) return;
  close(client->fd);
  buf_deinit(&client->in);
  buf_deinit(&client->out);
  free(client);
}

// ---- messages ----

void client_request(struct client *client, uint32_t id, const char *method, struct bytes params) {
  mp_put_array(&client->out, 4);
  mp_put_int(&client->out, 0);
  mp_put_uint(&client->out, id);
  mp_put_cstr(&client->out, method);
  mp_put_raw(&client->out, params);
}

size_t client_unsent(const struct client *client) { return client->out.n - client->out_at; }

static int no_rpc(struct client *client, struct error *err) {
  client->is_lost = true;
  return error_set(err, ITD_EFRAME,
                   "what answers there does not speak MessagePack-RPC; intentd does so on its --listen port");
}

static int read_message(struct client *client, struct bytes value, struct client_message *message, struct error *err) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY || head.count < 3) return no_rpc(client, err);
  struct mp_value kind = mp_next(&m);
  struct client_message read = {.is_notification = kind.type == MP_INT && kind.i == 2};
  if (read.is_notification && head.count == 3 && mp_take_str(&m, &read.method)) {
    read.result = mp_take(&m);
    *message = read;
    return 0;
  }
  if (kind.type != MP_INT || kind.i != 1 || head.count != 4) return no_rpc(client, err);
  struct mp_value id = mp_next(&m);
  if (id.type != MP_INT || id.i < 0 || id.i > UINT32_MAX) return no_rpc(client, err);
  read.id = (uint32_t)id.i;
  read.failure = mp_take(&m);
  read.result = mp_take(&m);
  if (mp_value_of(read.failure).type == MP_NIL) read.failure = (struct bytes){0};
  *message = read;
  return 0;
}

// The next whole message among the bytes at hand: 1, 0, or an error.
static int take_message(struct client *client, struct client_message *message, struct error *err) {
  struct bytes rest = bytes_of(client->in.p + client->in_at, client->in.n - client->in_at);
  size_t n;
  int found = rest.n ? mp_scan(rest, &answer_limits, &n, err) : 0;
  if (found < 0) return no_rpc(client, err);
  if (found == 0) return 0;
  client->in_at += n;
  int status = read_message(client, bytes_of(rest.p, n), message, err);
  return status < 0 ? status : 1;
}

// ---- bytes ----

static int lost(struct client *client, struct error *err, const char *why) {
  client->is_lost = true;
  return error_set(err, ITD_EIO, "the connection ended: %s", why);
}

bool client_is_lost(const struct client *client) { return client->is_lost; }

static int write_some(struct client *client, struct error *err) {
  while (client_unsent(client)) {
    ssize_t n = send(client->fd, client->out.p + client->out_at, client_unsent(client), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (n < 0) return lost(client, err, strerror(errno));
    client->out_at += (size_t)n;
  }
  buf_clear(&client->out);
  client->out_at = 0;
  return 0;
}

static int read_some(struct client *client, struct error *err) {
  if (client->in_at) {
    buf_consume(&client->in, client->in_at);
    client->in_at = 0;
  }
  ssize_t n = recv(client->fd, buf_reserve(&client->in, READ_BYTES), READ_BYTES, 0);
  if (n > 0) client->in.n += (size_t)n;
  if (n == 0) return lost(client, err, "the daemon closed it");
  if (n < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) return lost(client, err, strerror(errno));
  return 0;
}

int client_next(struct client *client, int timeout_ms, struct client_message *message, struct error *err) {
  uint64_t until = clock_mono_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000u;
  for (;;) {
    int found = take_message(client, message, err);
    if (found != 0) return found;
    struct pollfd p = {.fd = client->fd, .events = (short)(POLLIN | (client_unsent(client) ? POLLOUT : 0))};
    uint64_t now = clock_mono_ns();
    int wait = timeout_ms < 0 ? -1 : now >= until ? 0 : (int)((until - now + 999999) / 1000000);
    int n = poll(&p, 1, wait);
    if (n < 0 && errno != EINTR) return lost(client, err, strerror(errno));
    if (n == 0) return 0;
    int status = 0;
    if (n > 0 && (p.revents & POLLOUT)) status = write_some(client, err);
    if (n > 0 && status == 0 && (p.revents & (POLLIN | POLLHUP | POLLERR))) status = read_some(client, err);
    if (status < 0) return status;
  }
}

// ---- calls ----

int client_failure(struct bytes failure, struct error *err) {
  struct bytes code = {0}, text = {0}, value;
  if (mp_find(failure, BYTES_LIT("code"), &value)) (void)mp_as_str(value, &code);
  if (mp_find(failure, BYTES_LIT("detail"), &value)) (void)mp_as_str(value, &text);
  if (text.n == 0 && mp_find(failure, BYTES_LIT("message"), &value)) (void)mp_as_str(value, &text);
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)code.n, (const char *)code.p);
  int status = status_from_code(name);
  return error_set(err, status < 0 ? status : ITD_EINTERNAL, "%.*s", (int)text.n, (const char *)text.p);
}

static int call_once(struct client *client, const char *method, struct bytes params, struct buf *result,
                     struct error *err) {
  uint32_t id = client->next_id++;
  client_request(client, id, method, params);
  struct client_message message;
  do {
    int n = client_next(client, CALL_WAIT_MS, &message, err);
    if (n == 0) return lost(client, err, "no answer within a minute");
    if (n < 0) return n;
  } while (message.is_notification || message.id != id);
  if (message.failure.n) return client_failure(message.failure, err);
  buf_append_bytes(result, message.result);
  return 0;
}

int client_call(struct client *client, const char *method, struct bytes params, struct buf *result, struct error *err) {
  unsigned wait_ms = 50;
  for (int try = 1;; try++, wait_ms *= 2) {
    int status = call_once(client, method, params, result, err);
    if (status == 0 || client->is_lost || !status_retryable(status) || try == CALL_TRIES) return status;
    usleep(wait_ms * 1000);
  }
}
