#include "cli/connect.h"

#include "base/buf.h"
#include "cli/field.h"

// A name with a slash is a path, not a host.
static void socket_of(const char *data, struct buf *text) {
  buf_printf(text, "%s%s/intentd.sock", strchr(data, '/') ? "" : "./", data);
}

void connect_address(const struct args *args, struct buf *text) {
  const char *to = args_text(args, "to"), *data = args_text(args, "data");
  if (to)
    buf_append_str(text, to);
  else if (data)
    socket_of(data, text);
  else
    buf_append_str(text, DEFAULT_ADDRESS);
}

int connect_fail(const struct args *args, const struct client *client, int status, const struct error *err) {
  return command_fail(args, client_is_lost(client) ? COMMAND_UNREACHABLE : command_exit_of(status), err);
}

static int open_address(const struct args *args, struct buf *address, struct client **client) {
  struct error err = {0};
  buf_append_u8(address, 0);
  int status = client_open((const char *)address->p, client, &err);
  buf_deinit(address);
  if (status == 0) return 0;
  return command_fail(args, status == ITD_EINVAL ? COMMAND_USAGE : COMMAND_UNREACHABLE, &err);
}

int connect_admin(const struct args *args, struct client **client) {
  const char *data = args_text(args, "data");
  struct error err = {0};
  struct buf address = {0};
  if (args->command->uses & USES_DAEMON && args_flag(args, "to")) {
    error_set(&err, ITD_EINVAL, "this is administration, and goes over the daemon's own socket: --data DIR, not --to");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  socket_of(data ? data : "data", &address);
  return open_address(args, &address, client);
}

int connect_daemon(const struct args *args, struct client **client) {
  struct error err = {0};
  if (args_flag(args, "to") && args_flag(args, "data")) {
    error_set(&err, ITD_EINVAL, "--to or --data, not both");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  struct buf address = {0};
  connect_address(args, &address);
  return open_address(args, &address, client);
}

int connect_ask(const struct args *args, struct client *client, const char *method, const char *text,
                struct buf *result) {
  struct buf params = {0};
  struct error err = {0};
  mp_put_array(&params, text ? 1 : 0);
  if (text) mp_put_cstr(&params, text);
  int status = client_call(client, method, buf_bytes(&params), result, &err);
  buf_deinit(&params);
  return status < 0 ? connect_fail(args, client, status, &err) : 0;
}

int connect_check_clock(const struct args *args, struct client *client) {
  struct buf info = {0};
  struct error err = {0};
  int code = connect_ask(args, client, "server.info", NULL, &info);
  if (code == 0 && !bytes_is(field_text(buf_bytes(&info), "clock"), "event") && !args_flag(args, "any-clock")) {
    error_set(&err, ITD_EINVAL,
              "the daemon's clock is the wall's, so history would be decided as if it all happened now; start one for "
              "it with "
              "intentd --clock event, or say --any-clock");
    code = command_fail(args, COMMAND_NO, &err);
  }
  buf_deinit(&info);
  return code;
}
