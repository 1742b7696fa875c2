// Sends one event to intentd over MessagePack-RPC and prints the answer, with msgpack-c.
//
//   cc -o send send.c -lmsgpackc && ./send [HOST [PORT [USER]]]
#include <msgpack.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void put(msgpack_packer *to, const char *text) { msgpack_pack_str_with_body(to, text, strlen(text)); }

static int connect_to(const char *host, const char *port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
  if (getaddrinfo(host, port, &hints, &list) != 0) return -1;
  int fd = socket(list->ai_family, list->ai_socktype, 0);
  if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) != 0) close(fd), fd = -1;
  freeaddrinfo(list);
  return fd;
}

// [0, id, "event.ingest", [event]]
static void pack_request(msgpack_packer *to, const char *user) {
  msgpack_pack_array(to, 4);
  msgpack_pack_int(to, 0), msgpack_pack_int(to, 1);
  put(to, "event.ingest");
  msgpack_pack_array(to, 1);
  msgpack_pack_map(to, 4);
  put(to, "type"), put(to, "track"), put(to, "event"), put(to, "Pricing Viewed");
  put(to, "userId"), put(to, user), put(to, "channel"), put(to, "web");
}

int main(int argc, char **argv) {
  const char *host = argc > 1 ? argv[1] : "127.0.0.1", *port = argc > 2 ? argv[2] : "7411";
  int fd = connect_to(host, port);
  if (fd < 0) return fprintf(stderr, "send: no daemon at %s:%s\n", host, port), 1;
  msgpack_sbuffer out;
  msgpack_packer packer;
  msgpack_sbuffer_init(&out);
  msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
  pack_request(&packer, argc > 3 ? argv[3] : "maria@acme.example");
  if (write(fd, out.data, out.size) != (ssize_t)out.size) return perror("send"), 1;
  msgpack_unpacker in;
  msgpack_unpacked answer;
  msgpack_unpacker_init(&in, 65536);
  msgpack_unpacked_init(&answer);
  while (msgpack_unpacker_next(&in, &answer) != MSGPACK_UNPACK_SUCCESS) {
    msgpack_unpacker_reserve_buffer(&in, 65536);
    ssize_t n = read(fd, msgpack_unpacker_buffer(&in), 65536);
    if (n <= 0) return fprintf(stderr, "send: the daemon closed the connection\n"), 1;
    msgpack_unpacker_buffer_consumed(&in, (size_t)n);
  }
  // [1, id, error, result]: a decision as docs/protocol.md has it, or an error with code and detail
  msgpack_object *message = answer.data.via.array.ptr;
  int failed = message[2].type != MSGPACK_OBJECT_NIL;
  msgpack_object_print(failed ? stderr : stdout, message[failed ? 2 : 3]);
  puts("");
  return failed;
}
