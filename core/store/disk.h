// What the store's own files share: whole writes, folders that are synced, and what an errno means. Any thread.
#pragma once
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int disk_status(int number);                                  // ITD_EFULL for a full disk or quota, else ITD_EIO
int disk_write(int fd, const uint8_t *p, size_t n, off_t at); // all of it; 0 or an errno
int disk_sync_folder(const char *dir, const char *name);      // dir/name, so that files made in it stay; 0 or an errno
