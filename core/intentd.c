// intentd: the daemon's main.
#include "base/buf.h"
#include "base/log.h"
#include "net/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_dir(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

// A folder that was not named: inside the policies folder, else beside it, else the one that came with the program.
static void find_folder(char **folder, const char *policies, const char *name, const char *shipped) {
  if (**folder) return;
  struct buf path = {0};
  buf_printf(&path, "%s/%s", policies, name);
  buf_append_u8(&path, 0);
  if (!is_dir((const char *)path.p)) {
    buf_clear(&path);
    buf_printf(&path, "%s/../%s", policies, name);
    buf_append_u8(&path, 0);
  }
  free(*folder);
  *folder = xstrdup(is_dir((const char *)path.p) ? (const char *)path.p : shipped);
  buf_deinit(&path);
}

// 64 (usage) for what the caller can mend on the command line, 78 (configuration) for a policy, 75 (try again) for what
// may pass, else 70.
static int exit_status(int status) {
  switch (status) {
  case ITD_OK: return 0;
  case ITD_ECONFIG:
  case ITD_EINVAL: return 64;
  case ITD_EPOLICY:
  case ITD_EMODEL:
  case ITD_ENOTFOUND: return 78;
  case ITD_EBUSY:
  case ITD_EFULL: return 75;
  default: return 70;
  }
}

int main(int argc, char **argv) {
  struct config config;
  struct error err = {0};
  bool help, version;
  config_init(&config);
  int status = config_flags(&config, argc, argv, &help, &version, &err);
  if (status == 0 && (help || version)) {
    struct buf text = {0};
    if (help)
      config_help(&text);
    else
      buf_printf(&text, "intentd %s\n", INTENTD_VERSION);
    fwrite(text.p, 1, text.n, stdout);
    buf_deinit(&text);
    config_deinit(&config);
    return 0;
  }
  if (status == 0) {
    find_folder(&config.models, config.policies, "models", INTENTD_ROOT "/policies/models");
    find_folder(&config.scripts, config.policies, "scripts", INTENTD_ROOT "/scripts");
    status = daemon_run(&config, &err);
  }
  config_deinit(&config);
  if (status < 0)
    log_line(LOG_ERROR, "failed", "code=%s why=%s%s", status_code(status), log_quote(err.text),
             status == ITD_ECORRUPT ? " note=\"intent doctor says what can be had, and what to do\"" : "");
  return exit_status(status);
}
