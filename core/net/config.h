// The daemon's options: one row of a table each (config.c), set by a Lua file (`return { listen = "…", event = { late =
// "30d" } }`) and then by flags of the same names (--listen …, --event.late …). Wrong ones name the option, the value
// and what is allowed.
#pragma once
#include "net/shard.h"
#include "policy/sources.h"

#define CONFIG_WRITE_KEYS_MAX 64

struct write_key {
  char *key, *source; // of the Segment endpoints: the key that a library sends, the source's name
};

#define CONFIG_SOURCE_SECRETS_MAX 64

struct source_secret {
  char *source, *file; // whose payloads are signed with what stands in the file
};

struct config {
  char *listen, *http, *forward;       // HOST:PORT; forward: only used with forward_key; port 0: a free one
  char *forward_key;                   // the shared key; "" none
  char *archive_dir, *archive_command; // "" none
  char *data, *policies, *policy, *models, *scripts;
  int64_t shards; // 0: the cores
  int64_t partitions;
  int64_t sync; // SYNC_…
  int64_t sync_interval_ms;
  int64_t clock; // ENGINE_CLOCK_…
  int64_t watch; // reload when files change
  int64_t log_level;
  char *ports_file; // where the ports in use are written, as JSON; "" nowhere
  char *seed;       // 64 hexadecimal digits: makes ids of a new directory the same in every run (tests); "" random
  int64_t event_id_bytes, event_name_bytes, event_bytes, event_late_ms, event_future_ms;
  int64_t account_interval_ms, account_people, account_fanout, account_active_ms;
  int64_t frame_depth, frame_objects, frame_bytes;
  int64_t net_connections, net_answer_bytes, net_subscriber_bytes, net_stall_ms, net_batch;
  int64_t journal_segment, journal_seal, journal_compression, dedupe_window_ms, dedupe_recent_ms, dedupe_entries,
      state_map, checkpoint_dirty, checkpoint_journal, checkpoint_interval_ms, base_interval_ms, base_journal,
      base_keep, retention_age_ms, retention_bytes, quarantine_bytes, outbox_bytes;
  int64_t track_interval_ms;
  int64_t policy_memory, policy_build_memory, policy_build_instructions, policy_call_instructions;
  int64_t policy_deadline_us;
  int64_t policy_guard; // 0 jit, 1 hook
  int64_t policy_late;  // 0 refuse, 1 allow
  int64_t source_memory, source_instructions, source_cpu_ms, source_queue;
  char *public_url; // how others call the HTTP server, "https://hooks.example.com"; "": https and the Host header
  struct source_secret source_secret[CONFIG_SOURCE_SECRETS_MAX];
  size_t source_secret_count;
  struct write_key write_key[CONFIG_WRITE_KEYS_MAX];
  size_t write_key_count; // none: HTTP events need no key (docs/operations.md)
};

void config_init(struct config *config); // the defaults
void config_deinit(struct config *config);
// A file's options over what is there. ITD_ECONFIG, ITD_ENOTFOUND.
int config_read(struct config *config, const char *path, struct error *err) ITD_MUST_USE;
// One option from its text. ITD_ECONFIG.
int config_set(struct config *config, const char *name, const char *value, struct error *err) ITD_MUST_USE;
// `--config FILE` first, then the other flags over it, wherever they stand. *help: --help was there. *version:
// --version.
int config_flags(struct config *config, int argc, char **argv, bool *help, bool *version,
                 struct error *err) ITD_MUST_USE;
void config_help(struct buf *out); // a line an option: name, what it does, what is allowed, default
struct event_limits config_event_limits(const struct config *config);
struct net_limits config_net_limits(const struct config *config);
struct sources_limits config_source_limits(const struct config *config);
struct lua_limits config_build_limits(const struct config *config); // of loading a policy
