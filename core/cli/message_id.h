// Message ids for events that came without: the same line of the same file has the same one, so that sending it again
// changes nothing.
#pragma once
#include "wire/mp.h"

#define MESSAGE_SALT 16 // bytes; all zero: the ids are the same in every run

// Adds `messageId` to a packed event, when it is a map that has none: a hash of the file's name (without folders), the
// number, and `text`, under the salt.
void message_id_add(const uint8_t salt[MESSAGE_SALT], const char *file, uint64_t number, struct bytes text,
                    struct buf *event);
