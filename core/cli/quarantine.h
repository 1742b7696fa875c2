// What the files of `intent quarantine` share: which entries are meant, and an entry's event.
#pragma once
#include "cli/command.h"
#include "store/quarantine.h"
#include "wire/mp.h"

// The entries that the filters and ids on the command line name. 0, or the exit code after the error was printed.
struct quarantine_filter {
  const char *dir, *code, *source, *lead;
  int64_t since_ms, until_ms;
  bool with_replayed;
  const char *const *id;
  size_t id_count;
};
int quarantine_filter_read(const struct args *args, struct quarantine_filter *filter) ITD_MUST_USE;
bool quarantine_filter_takes(const struct quarantine_filter *filter, const struct quarantine_entry *entry);
// The event as one MessagePack map: repaired, else as it came. Empty when its bytes are no event.
struct bytes quarantine_event_of(const struct quarantine_entry *entry, bool as_came);

int quarantine_fix_command(const struct args *args);
int quarantine_replay_command(const struct args *args);
