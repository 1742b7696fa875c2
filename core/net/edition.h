// An edition: the sources that are in force, with the secrets that their senders sign with. It changes as a whole, with
// the release; requests that began under one end under it. Counted by atomics; any thread may hold one.
#pragma once
#include "net/config.h"
#include "net/webhook.h"

struct edition;
// Reads the secrets' files anew. `sources` is retained. ITD_ECONFIG: a file can't be read, is empty, or lies inside of
// the policies folder, where it would become part of a version and of every backup of it.
int edition_new(const struct config *config, struct sources *sources, struct edition **out,
                struct error *err) ITD_MUST_USE;
void edition_retain(struct edition *edition);
void edition_release(struct edition *edition); // NULL does nothing; wipes the secrets with the last hold

struct sources *edition_sources(const struct edition *edition);
// The secrets of a source; none: *count is 0.
const struct bytes *edition_secrets(const struct edition *edition, const struct source_info *source, size_t *count);
