// The daemon's options: a file of whatever Lua, single options, and flags are taken, or refused with a reason; what was taken reads the
// same from its text again, and stays within its bounds.
#include "fuzz_files.h"
#include "net/config.h"

static void holds(const struct config *c) {
  const struct net_limits net = config_net_limits(c);
  const struct event_limits event = config_event_limits(c);
  const struct sources_limits sources = config_source_limits(c);
  CHECK(net.frame.depth_max >= 1 && net.frame.depth_max <= MP_DEPTH_MAX && net.batch_max > 0 &&
        net.connections_max > 0);
  CHECK(event.id_max > 0 && sources.memory_max > 0 && sources.instructions_max > 0);
  CHECK(c->write_key_count <= CONFIG_WRITE_KEYS_MAX && c->source_secret_count <= CONFIG_SOURCE_SECRETS_MAX);
  for (size_t i = 0; i < c->write_key_count; i++) CHECK(c->write_key[i].key[0] && c->write_key[i].source[0]);
  for (size_t i = 0; i < c->source_secret_count; i++)
    CHECK(c->source_secret[i].source[0] && c->source_secret[i].file[0]);
}

static void as_file(struct bytes text) {
  struct config c;
  struct error err = {0};
  char path[200];
  fuzz_put("config.lua", text);
  snprintf(path, sizeof path, "%s/config.lua", fuzz_dir(NULL));
  config_init(&c);
  int rc = config_read(&c, path, &err);
  CHECK(rc == 0 || (rc == ITD_ECONFIG && err.code == rc && err.text[0]));
  holds(&c);
  config_deinit(&c);
}

// The form that most files have, so that the fuzzer needs no Lua: NAME=VALUE, one a line.
static void as_options(struct bytes rest) {
  struct config c;
  struct buf lua = {0};
  char *words[66] = {(char *)"intentd"};
  int count = 1;
  bool names_file = false; // that flags would read
  config_init(&c);
  buf_append_str(&lua, "return {");
  while (rest.n && count < 65) {
    struct bytes line = fuzz_cut(&rest, '\n'), name = fuzz_cut(&line, '=');
    struct error err = {0};
    char *key = xstrndup(name.p, name.n), *value = xstrndup(line.p, line.n);
    int rc = config_set(&c, key, value, &err);
    CHECK(rc == 0 || (rc == ITD_ECONFIG && err.text[0]));
    holds(&c);
    struct buf word = {0};
    names_file |= strstr(key, "config") != NULL;
    buf_printf(&word, "--%s=%s", key, value);
    words[count++] = xstrndup(word.p, word.n);
    buf_printf(&lua, "[ [=[%s]=] ] = [=[%s]=],\n", key, value);
    buf_deinit(&word);
    free(key), free(value);
  }
  config_deinit(&c);
  bool help, version;
  struct error err = {0};
  config_init(&c);
  int rc = names_file ? 0 : config_flags(&c, count, words, &help, &version, &err);
  CHECK(rc == 0 || (rc == ITD_ECONFIG && err.text[0]));
  holds(&c);
  config_deinit(&c);
  for (int i = 1; i < count; i++) free(words[i]);
  buf_append_str(&lua, "}");
  as_file(buf_bytes(&lua));
  buf_deinit(&lua);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n < 1 || n > 4096) return 0;
  if (p[0] % 2)
    as_file(bytes_of(p + 1, n - 1));
  else
    as_options(bytes_of(p + 1, n - 1));
  return 0;
}
