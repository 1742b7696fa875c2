#include "net/config.h"

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "base/suggest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { TEXT, COUNT, BYTES, DURATION, CHOICE, ADDRESS };

struct option {
  const char *name;
  enum kind kind;
  size_t offset;
  const char *preset;  // the default, as text
  int64_t low, high;   // COUNT, BYTES, DURATION
  const char *choices; // CHOICE: "always interval off", by number from 0
  const char *help;
};

#define AT(field) offsetof(struct config, field)
#define KIB       1024ll
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)
#define DAY       86400000ll

static const struct option options[] = {
    {"listen", ADDRESS, AT(listen), "127.0.0.1:7411", 0, 0, NULL, "MessagePack-RPC and Fluentd Forward"},
    {"http", ADDRESS, AT(http), "127.0.0.1:7412", 0, 0, NULL, "Segment's API, metrics, health"},
    {"forward", ADDRESS, AT(forward), "127.0.0.1:24224", 0, 0, NULL,
     "Fluentd Forward with a shared key (needs forward_key)"},
    {"forward_key", TEXT, AT(forward_key), "", 0, 0, NULL, "the shared key of the forward listener"},
    {"data", TEXT, AT(data), "data", 0, 0, NULL, "the data directory; made when it is not there"},
    {"policies", TEXT, AT(policies), "policies", 0, 0, NULL, "the folder with signals/ and the policies"},
    {"policy", TEXT, AT(policy), "b2b_saas", 0, 0, NULL, "the policy to run"},
    {"models", TEXT, AT(models), "", 0, 0, NULL,
     "the folder of models; default: models in the policies folder, else beside it"},
    {"scripts", TEXT, AT(scripts), "", 0, 0, NULL,
     "the library of policies; default: scripts in the policies folder, else beside it"},
    {"shards", COUNT, AT(shards), "0", 0, 256, NULL, "shard threads; 0: as many as cores"},
    {"partitions", COUNT, AT(partitions), "16", 1, 256, NULL, "partitions of a new data directory"},
    {"sync", CHOICE, AT(sync), "always", 0, 0, "always interval off", "when the journal is synced to disk"},
    {"sync_interval", DURATION, AT(sync_interval_ms), "100ms", 1, 60000, NULL,
     "sync=interval: at most this long after a write"},
    {"clock", CHOICE, AT(clock), "wall", 0, 0, "wall event", "now is the arrival, or the lead's greatest timestamp"},
    {"watch", CHOICE, AT(watch), "yes", 0, 0, "no yes", "reload when policy files change"},
    {"log", CHOICE, AT(log_level), "info", 0, 0, "debug info warn error", "the least level that is logged"},
    {"ports_file", TEXT, AT(ports_file), "", 0, 0, NULL, "write the ports in use here, as JSON"},
    {"seed", TEXT, AT(seed), "", 0, 0, NULL, "64 hexadecimal digits: ids of a new directory repeat (tests)"},
    {"event.id_bytes", BYTES, AT(event_id_bytes), "512", 16, 64 * KIB, NULL, "userId, anonymousId, groupId, messageId"},
    {"event.name_bytes", BYTES, AT(event_name_bytes), "256", 16, 64 * KIB, NULL, "event, channel, schema"},
    {"event.bytes", BYTES, AT(event_bytes), "65536", 1024, 4 * MIB, NULL, "a whole event"},
    {"event.late", DURATION, AT(event_late_ms), "3650d", 1000, 36500 * DAY, NULL, "older events are refused"},
    {"event.future", DURATION, AT(event_future_ms), "24h", 0, 36500 * DAY, NULL, "events further ahead are refused"},
    {"account.interval", DURATION, AT(account_interval_ms), "1m", 1, DAY, NULL,
     "between two copies of an account to all its leads"},
    {"account.people", COUNT, AT(account_people), "256", 1, ACCOUNT_PEOPLE_MAX, NULL,
     "people of an account that are told apart"},
    {"account.fanout", COUNT, AT(account_fanout), "64", 1, ACCOUNT_PEOPLE_MAX, NULL,
     "people of an account, those touched last, who get copies of it"},
    {"account.active", DURATION, AT(account_active_ms), "30d", 1, 3650 * DAY, NULL,
     "who was touched longer ago gets none"},
    {"frame.depth", COUNT, AT(frame_depth), "16", 4, 64, NULL, "nesting of a message"},
    {"frame.objects", COUNT, AT(frame_objects), "65536", 64, 16777216, NULL, "values in a message"},
    {"frame.bytes", BYTES, AT(frame_bytes), "4194304", 4096, 256 * MIB, NULL, "a message"},
    {"net.connections", COUNT, AT(net_connections), "4096", 1, 1000000, NULL, "connections of one shard"},
    {"net.answer_bytes", BYTES, AT(net_answer_bytes), "1048576", 4096, GIB, NULL,
     "unread answers before reading pauses"},
    {"net.subscriber_bytes", BYTES, AT(net_subscriber_bytes), "16777216", 4096, GIB, NULL,
     "a subscriber's backlog before it is closed"},
    {"net.stall", DURATION, AT(net_stall_ms), "30s", 100, DAY, NULL, "a message must end this long after it began"},
    {"net.batch", COUNT, AT(net_batch), "1000", 1, 8000, NULL, "events in one event.batch"},
    {"journal.segment", BYTES, AT(journal_segment), "67108864", 8 * MIB, 4 * GIB - MIB, NULL,
     "a preallocated journal file"},
    {"journal.seal", CHOICE, AT(journal_seal), "yes", 0, 0, "no yes", "full journal files are compressed and indexed"},
    {"journal.compression", COUNT, AT(journal_compression), "3", SEALED_LEVEL_MIN, SEALED_LEVEL_MAX, NULL,
     "zstd's level for sealed journal files"},
    {"archive.dir", TEXT, AT(archive_dir), "", 0, 0, NULL, "copy each sealed journal file into this folder"},
    {"archive.command", TEXT, AT(archive_command), "", 0, 0, NULL,
     "run this program with the path of each sealed journal file"},
    {"dedupe.window", DURATION, AT(dedupe_window_ms), "24h", 1000, 365 * DAY, NULL,
     "a messageId counts as seen for this long"},
    {"dedupe.recent", DURATION, AT(dedupe_recent_ms), "1h", 1000, 365 * DAY, NULL,
     "messageIds of this long are kept in memory, older ones in files"},
    {"dedupe.entries", COUNT, AT(dedupe_entries), "4000000", 1024, 1000000000, NULL, "messageIds in memory at most"},
    {"state.map", BYTES, AT(state_map), "68719476736", 64 * MIB, 1024 * GIB, NULL, "LMDB's address space (sparse)"},
    {"checkpoint.dirty", BYTES, AT(checkpoint_dirty), "536870912", MIB, 64 * GIB, NULL,
     "changed leads before intake slows"},
    {"checkpoint.journal", BYTES, AT(checkpoint_journal), "4294967296", 16 * MIB, 1024 * GIB, NULL,
     "journal since the last checkpoint before intake slows"},
    {"checkpoint.interval", DURATION, AT(checkpoint_interval_ms), "10s", 100, DAY, NULL, "between two checkpoints"},
    {"base.interval", DURATION, AT(base_interval_ms), "24h", 1000, 365 * DAY, NULL,
     "between two bases, while anything changes"},
    {"base.journal", BYTES, AT(base_journal), "4294967296", MIB, 1024 * GIB, NULL, "or after so many bytes of journal"},
    {"base.keep", COUNT, AT(base_keep), "4", 2, 1000, NULL, "bases kept of each partition"},
    {"retention.age", DURATION, AT(retention_age_ms), "0", 0, 36500 * DAY, NULL,
     "journal older than this may go; 0: none goes"},
    {"retention.bytes", BYTES, AT(retention_bytes), "0", 0, 1024 * 1024 * GIB, NULL,
     "the oldest journal beyond this may go; 0: none goes"},
    {"track.interval", DURATION, AT(track_interval_ms), "24h", 0, 365 * DAY, NULL,
     "between two times that outcomes judge what models said; 0: never"},
    {"quarantine.bytes", BYTES, AT(quarantine_bytes), "67108864", 64 * KIB, 64 * GIB, NULL, "refused events kept"},
    {"outbox.bytes", BYTES, AT(outbox_bytes), "67108864", 64 * KIB, 64 * GIB, NULL,
     "messages between entities that wait, before intake slows"},
    {"policy.memory", BYTES, AT(policy_memory), "33554432", MIB, 4 * GIB, NULL, "a policy's Lua state on a shard"},
    {"policy.build_memory", BYTES, AT(policy_build_memory), "67108864", MIB, 4 * GIB, NULL, "loading a policy"},
    {"policy.build_instructions", COUNT, AT(policy_build_instructions), "200000000", 1000, INT64_MAX, NULL,
     "loading a policy"},
    {"policy.call_instructions", COUNT, AT(policy_call_instructions), "1000000", 1000, INT64_MAX, NULL,
     "one call under the hook guard"},
    {"policy.late", CHOICE, AT(policy_late), "refuse", 0, 0, "refuse allow",
     "a version that reads features which are not filled in yet"},
    {"policy.deadline_us", COUNT, AT(policy_deadline_us), "2000", 100, 10000000, NULL,
     "one call, in microseconds of computing"},
    {"policy.guard", CHOICE, AT(policy_guard), "jit", 0, 0, "jit hook",
     "hook: JIT off, every call counts instructions"},
    {"source.memory", BYTES, AT(source_memory), "33554432", MIB, 4 * GIB, NULL,
     "the Lua state of all sources' mappings"},
    {"source.instructions", COUNT, AT(source_instructions), "5000000", 1000, INT64_MAX, NULL,
     "mapping the payloads of one request"},
    {"source.cpu", DURATION, AT(source_cpu_ms), "500ms", 1, 60000, NULL, "the same, in time of computing"},
    {"source.queue", COUNT, AT(source_queue), "64", 1, 100000, NULL, "requests that wait to be mapped"},
    {"public_url", TEXT, AT(public_url), "", 0, 0, NULL,
     "how others call the HTTP server, https://HOST: what HubSpot signs"},
};
#define OPTIONS (sizeof options / sizeof *options)

static char **text_of(struct config *c, const struct option *o) { return (char **)(void *)((char *)c + o->offset); }
static int64_t *number_of(struct config *c, const struct option *o) {
  return (int64_t *)(void *)((char *)c + o->offset);
}
static bool is_text(const struct option *o) { return o->kind == TEXT || o->kind == ADDRESS; }

static void shown(int64_t value, enum kind kind, char out[DURATION_TEXT_MAX]) {
  if (kind == DURATION && value > 0)
    duration_format(value, out);
  else
    snprintf(out, DURATION_TEXT_MAX, "%" PRId64, value);
}

static void allowed(const struct option *o, char *out, size_t size) {
  char low[DURATION_TEXT_MAX], high[DURATION_TEXT_MAX];
  shown(o->low, o->kind, low);
  shown(o->high, o->kind, high);
  switch (o->kind) {
  case TEXT: snprintf(out, size, "any text"); break;
  case ADDRESS: snprintf(out, size, "HOST:PORT"); break;
  case CHOICE: snprintf(out, size, "one of: %s", o->choices); break;
  case DURATION: snprintf(out, size, "a duration such as 250ms, 30s or 7d, from %s to %s", low, high); break;
  case BYTES: snprintf(out, size, "bytes, also 64k, 4m, 2g, from %s to %s", low, high); break;
  case COUNT: snprintf(out, size, "a whole number from %s to %s", low, high); break;
  }
}

static int wrong(const struct option *o, const char *value, struct error *err) {
  char text[160];
  allowed(o, text, sizeof text);
  return error_set(err, ITD_ECONFIG, "option %s: \"%.100s\" is not allowed; allowed: %s", o->name, value, text);
}

static bool number_parse(const char *text, enum kind kind, int64_t *out) {
  if (kind == DURATION && duration_parse(bytes_str(text), out) == 0) return true;
  char *end;
  errno = 0;
  long long n = strtoll(text, &end, 10);
  if (end == text || errno) return false;
  int64_t unit = 1;
  if (kind == BYTES && *end) unit = *end == 'k' ? KIB : *end == 'm' ? MIB : *end == 'g' ? GIB : 0, end++;
  if (*end || unit == 0 || n > INT64_MAX / unit || (kind == DURATION && n != 0)) return false;
  *out = n * unit;
  return true;
}

static int choice_of(const char *choices, const char *value) {
  size_t n = strlen(value);
  int index = 0;
  for (const char *p = choices; *p; index++) {
    size_t len = strcspn(p, " ");
    if (len == n && memcmp(p, value, n) == 0) return index;
    p += len + (p[len] == ' ');
  }
  return -1;
}

static bool is_address(const char *value) {
  const char *colon = strrchr(value, ':');
  if (!colon || colon == value || !colon[1] || strlen(value) > 250) return false;
  char *end;
  long port = strtol(colon + 1, &end, 10);
  return *end == 0 && port >= 0 && port <= 65535;
}

static int apply(struct config *c, const struct option *o, const char *value, struct error *err) {
  if (is_text(o)) {
    if (o->kind == ADDRESS && !is_address(value)) return wrong(o, value, err);
    char **text = text_of(c, o);
    free(*text);
    *text = xstrdup(value);
    return 0;
  }
  int64_t n;
  if (o->kind == CHOICE) {
    n = choice_of(o->choices, value);
    if (n < 0) return wrong(o, value, err);
  } else if (!number_parse(value, o->kind, &n) || n < o->low || n > o->high) {
    return wrong(o, value, err);
  }
  *number_of(c, o) = n;
  return 0;
}

// ---- pairs: options that may be repeated, KEY=VALUE ----

static int add_write_key(struct config *c, const char *key, const char *source, struct error *err) {
  if (c->write_key_count == CONFIG_WRITE_KEYS_MAX)
    return error_set(err, ITD_ECONFIG, "option write_key: more than %d keys", CONFIG_WRITE_KEYS_MAX);
  if (!*key || !*source)
    return error_set(err, ITD_ECONFIG, "option write_key: \"%s=%s\" is not allowed; allowed: KEY=SOURCE", key, source);
  c->write_key[c->write_key_count++] = (struct write_key){xstrdup(key), xstrdup(source)};
  return 0;
}

static int add_source_secret(struct config *c, const char *source, const char *file, struct error *err) {
  if (c->source_secret_count == CONFIG_SOURCE_SECRETS_MAX)
    return error_set(err, ITD_ECONFIG, "option source_secret: more than %d", CONFIG_SOURCE_SECRETS_MAX);
  for (size_t i = 0; i < c->source_secret_count; i++)
    if (strcmp(c->source_secret[i].source, source) == 0)
      return error_set(err, ITD_ECONFIG,
                       "option source_secret: source %s is there twice; a file may hold several secrets, one a line",
                       source);
  if (!*source || !*file)
    return error_set(err, ITD_ECONFIG, "option source_secret: \"%s=%s\" is not allowed; allowed: SOURCE=FILE", source,
                     file);
  c->source_secret[c->source_secret_count++] = (struct source_secret){xstrdup(source), xstrdup(file)};
  return 0;
}

static const struct pairs {
  const char *flag, *table, *form; // as a flag, as a table in the file
  int (*add)(struct config *c, const char *key, const char *value, struct error *err);
} pairs[] = {{"write_key", "write_keys", "KEY=SOURCE", add_write_key},
             {"source_secret", "source_secrets", "SOURCE=FILE", add_source_secret}};
#define PAIRS (sizeof pairs / sizeof *pairs)

static int set_pair(struct config *c, const struct pairs *p, const char *value, struct error *err) {
  const char *equals = strchr(value, '=');
  if (!equals)
    return error_set(err, ITD_ECONFIG, "option %s: \"%.100s\" is not allowed; allowed: %s", p->flag, value, p->form);
  char *key = xstrndup(value, (size_t)(equals - value));
  int status = p->add(c, key, equals + 1, err);
  free(key);
  return status;
}

int config_set(struct config *c, const char *name, const char *value, struct error *err) {
  for (size_t i = 0; i < PAIRS; i++)
    if (strcmp(name, pairs[i].flag) == 0) return set_pair(c, &pairs[i], value, err);
  const char *names[OPTIONS];
  for (size_t i = 0; i < OPTIONS; i++) {
    if (strcmp(options[i].name, name) == 0) return apply(c, &options[i], value, err);
    names[i] = options[i].name;
  }
  const char *near = suggest(bytes_str(name), names, OPTIONS);
  return error_set(err, ITD_ECONFIG, "no option \"%.60s\"%s%s%s (intentd --help lists them)", name,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

void config_init(struct config *c) {
  *c = (struct config){0};
  for (size_t i = 0; i < OPTIONS; i++)
    CHECK(apply(c, &options[i], options[i].preset, NULL) == 0 || options[i].kind == COUNT);
}

void config_deinit(struct config *c) {
  for (size_t i = 0; i < OPTIONS; i++)
    if (is_text(&options[i])) free(*text_of(c, &options[i]));
  for (size_t i = 0; i < c->write_key_count; i++) {
    free(c->write_key[i].key);
    free(c->write_key[i].source);
  }
  for (size_t i = 0; i < c->source_secret_count; i++) {
    free(c->source_secret[i].source);
    free(c->source_secret[i].file);
  }
  *c = (struct config){0};
}

// ---- the file ----

static int set_value(struct config *c, const char *name, struct bytes value, struct error *err);

static int set_table(struct config *c, const char *prefix, struct bytes table, struct error *err) {
  struct mp m = mp_of(table);
  struct mp_value head = mp_next(&m);
  if (head.type == MP_ARRAY && head.count == 0) return 0; // {} is an empty list to Lua
  if (head.type != MP_MAP)
    return error_set(err, ITD_ECONFIG, "%s%smust be a table of options by name", prefix, *prefix ? " " : "the file ");
  for (uint32_t i = 0; i < head.count; i++) {
    struct bytes key;
    if (!mp_as_str(mp_take(&m), &key) || key.n > 60) return error_set(err, ITD_ECONFIG, "option names are short texts");
    char name[160];
    snprintf(name, sizeof name, "%s%s%.*s", prefix, *prefix ? "." : "", (int)key.n, (const char *)key.p);
    int status = set_value(c, name, mp_take(&m), err);
    if (status < 0) return status;
  }
  return 0;
}

static int set_pairs(struct config *c, const struct pairs *p, struct bytes table, struct error *err) {
  struct mp m = mp_of(table);
  struct mp_value head = mp_next(&m);
  bool is_empty = head.type == MP_ARRAY && head.count == 0; // {} is an empty list to Lua
  bool is_right = head.type == MP_MAP || is_empty;
  for (uint32_t i = 0; is_right && !is_empty && i < head.count; i++) {
    struct bytes key, value;
    is_right = mp_as_str(mp_take(&m), &key) && mp_as_str(mp_take(&m), &value);
    if (!is_right) break;
    char *k = xstrndup(key.p, key.n), *v = xstrndup(value.p, value.n);
    int status = p->add(c, k, v, err);
    free(k);
    free(v);
    if (status < 0) return status;
  }
  // Never taken for "none": then everybody could send.
  const char *allowed_value = strchr(p->form, '=') + 1;
  return is_right ? 0
                  : error_set(err, ITD_ECONFIG, "option %s: allowed: a table { %.*s = \"%s\" }", p->table,
                              (int)(allowed_value - 1 - p->form), p->form, allowed_value);
}

static int set_value(struct config *c, const char *name, struct bytes value, struct error *err) {
  for (size_t i = 0; i < PAIRS; i++)
    if (strcmp(name, pairs[i].table) == 0) return set_pairs(c, &pairs[i], value, err);
  struct mp_value v = mp_value_of(value);
  char text[400];
  switch (v.type) {
  case MP_MAP: return set_table(c, name, value, err);
  case MP_STR:
    if (v.s.n >= sizeof text)
      return error_set(err, ITD_ECONFIG, "option %s: a text of %zu bytes; at most %zu", name, v.s.n, sizeof text - 1);
    snprintf(text, sizeof text, "%.*s", (int)v.s.n, (const char *)v.s.p);
    break;
  case MP_INT: snprintf(text, sizeof text, "%" PRId64, v.i); break;
  case MP_FLOAT: snprintf(text, sizeof text, "%.17g", v.f); break;
  case MP_BOOL: snprintf(text, sizeof text, "%s", v.b ? "yes" : "no"); break;
  default: return error_set(err, ITD_ECONFIG, "option %s: a text, a number, true or false", name);
  }
  return config_set(c, name, text, err);
}

int config_read(struct config *c, const char *path, struct error *err) {
  struct buf text = {0}, values = {0};
  int status = file_read(path, 1u << 20, &text, err);
  if (status == 0) {
    const struct lua_module modules[] = {{.name = "config", .path = path, .text = buf_bytes(&text)},
                                         {.name = "read",
                                          .path = "read",
                                          .text = BYTES_LIT("return function() return require 'config' end"),
                                          .is_library = true}};
    static const uint8_t nil = 0xc0;
    struct lua_limits limits = LUA_LIMITS_DEFAULT;
    status = lua_build(modules, 2, "read", bytes_of(&nil, 1), &limits, &values, err);
  }
  if (status < 0) { // a missing or broken file is a wrong configuration, whatever is wrong with it
    status = ITD_ECONFIG;
    if (err) err->code = status;
  } else {
    status = set_table(c, "", buf_bytes(&values), err);
    if (status < 0) error_prefix(err, "%s", path);
  }
  buf_deinit(&text);
  buf_deinit(&values);
  return status;
}

// ---- flags ----

// One flag: "--name value" or "--name=value". Returns how many words it took, or an error.
static int take_flag(char **word, int left, char name[64], const char **value, struct error *err) {
  const char *flag = word[0];
  if (strncmp(flag, "--", 2) != 0)
    return error_set(err, ITD_ECONFIG, "\"%.80s\" is no flag; flags begin with --", flag);
  const char *equals = strchr(flag, '=');
  size_t n = equals ? (size_t)(equals - flag - 2) : strlen(flag + 2);
  if (n == 0 || n >= 64) return error_set(err, ITD_ECONFIG, "\"%.80s\" is no flag", flag);
  for (size_t i = 0; i < n; i++) name[i] = flag[2 + i] == '-' ? '_' : flag[2 + i];
  name[n] = 0;
  if (equals) {
    *value = equals + 1;
    return 1;
  }
  if (left < 2) return error_set(err, ITD_ECONFIG, "flag --%s needs a value", flag + 2);
  *value = word[1];
  return 2;
}

int config_flags(struct config *c, int argc, char **argv, bool *help, bool *version, struct error *err) {
  *help = *version = false;
  for (int pass = 0; pass < 2; pass++) { // the file first, so that flags win
    for (int i = 1; i < argc;) {
      if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--version") == 0) {
        *(strcmp(argv[i], "--version") == 0 ? version : help) = true;
        i++;
        continue;
      }
      char name[64];
      const char *value = NULL;
      int took = take_flag(&argv[i], argc - i, name, &value, err);
      if (took < 0) return took;
      bool is_file = strcmp(name, "config") == 0;
      int status = 0;
      if (is_file && pass == 0) status = config_read(c, value, err);
      if (!is_file && pass == 1) status = config_set(c, name, value, err);
      if (status < 0) return status;
      i += took;
    }
  }
  return 0;
}

void config_help(struct buf *out) {
  buf_append_str(out, "intentd: decides for leads as their behaviour comes in\n\n"
                      "usage: intentd [--config FILE] [--OPTION VALUE]...\n\n"
                      "FILE is Lua: return { listen = \"127.0.0.1:7411\", event = { late = \"30d\" }, write_keys = { "
                      "KEY = \"web\" } }\n"
                      "Signals: TERM and INT stop it cleanly, HUP reloads the policy.\n\n");
  buf_printf(out, "  %-26s %s\n", "--config FILE", "options from a Lua file; flags win over it");
  for (size_t i = 0; i < OPTIONS; i++) {
    char text[160];
    allowed(&options[i], text, sizeof text);
    buf_printf(out, "  --%-24s %s\n  %-26s   %s; default %s\n", options[i].name, options[i].help, "", text,
               *options[i].preset ? options[i].preset : "none");
  }
  buf_printf(out, "  --%-24s %s\n", "write_key KEY=SOURCE", "a write key of the Segment endpoints; may be repeated");
  buf_printf(out, "  --%-24s %s\n", "source_secret SOURCE=FILE",
             "a file with what a source is signed with; may be repeated");
}

struct event_limits config_event_limits(const struct config *c) {
  return (struct event_limits){.id_max = (size_t)c->event_id_bytes,
                               .name_max = (size_t)c->event_name_bytes,
                               .bytes_max = (size_t)c->event_bytes,
                               .late_max_ms = c->event_late_ms,
                               .future_max_ms = c->event_future_ms};
}

struct net_limits config_net_limits(const struct config *c) {
  return (struct net_limits){.connections_max = (unsigned)c->net_connections,
                             .out_max = (size_t)c->net_answer_bytes,
                             .subscriber_max = (size_t)c->net_subscriber_bytes,
                             .stall_ms = c->net_stall_ms,
                             .batch_max = (uint32_t)c->net_batch,
                             .frame = {.depth_max = (uint32_t)c->frame_depth,
                                       .objects_max = (uint32_t)c->frame_objects,
                                       .bytes_max = (size_t)c->frame_bytes}};
}

struct lua_limits config_build_limits(const struct config *c) {
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  limits.memory_max = (size_t)c->policy_build_memory;
  limits.instructions_max = (uint64_t)c->policy_build_instructions;
  return limits;
}

struct sources_limits config_source_limits(const struct config *c) {
  struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  limits.memory_max = (size_t)c->source_memory;
  limits.instructions_max = (uint64_t)c->source_instructions;
  limits.cpu_ms_max = (uint32_t)c->source_cpu_ms;
  return limits;
}
