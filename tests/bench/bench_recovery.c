// How fast a start recovers: a directory with events of the shipped policy and no checkpoint, as a kill leaves it, is
// opened with the journal folded by the reading thread alone and with threads beside it, over reading the same bytes and
// their CRC. Usage, from the source tree's root: bench_recovery [EVENTS [LEADS [SHARDS]]]
#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "../unit/store/world.h"
#include "base/log.h"
#include "store/shard.h"

static void make(struct buf *b, uint64_t n, uint64_t leads) {
  static const char *const what[] = {"Pricing Viewed", "Docs Viewed", "Demo Requested", "Feature Used"};
  char user[32], message[32];
  snprintf(user, sizeof user, "user%llu", (unsigned long long)(hash_mix(n, 1) % leads));
  snprintf(message, sizeof message, "m-%llu", (unsigned long long)n);
  buf_clear(b);
  mp_put_map(b, 6);
  put_pair(b, "type", "track");
  put_pair(b, "messageId", message);
  put_pair(b, "userId", user);
  put_pair(b, "event", what[hash_mix(n, 2) % 4]);
  put_pair(b, "channel", "product");
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, (int64_t)(1767603600000 + n * 100));
}

static struct store_options options_of(const char *dir, unsigned shards) {
  struct store_options o = STORE_OPTIONS_DEFAULT;
  o.dir = dir;
  o.shards = shards;
  o.journal.sync = SYNC_OFF;
  o.dirty_max = (size_t)64 << 30;
  o.checkpoint_ms = 86400000;
  o.seal = false;
  return o;
}

static void fill(const char *dir, uint64_t events, uint64_t leads, unsigned shards) {
  struct store_options o = options_of(dir, shards);
  struct world w;
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  world_must_open(&w, &o);
  for (uint64_t n = 0; n < events; n++) {
    make(&event, n, leads);
    buf_clear(&answer);
    CHECK(world_take(&w, buf_bytes(&event), (int64_t)(1800000000000 + n), &answer, &err) == 0);
    if (n % 256 == 255) CHECK(world_commit(&w, &err) == 0);
  }
  CHECK(world_commit(&w, &err) == 0);
  for (unsigned i = 0; i < w.shards; i++) CHECK(journal_sync(store_shard(w.store, i)->journal, &err) == 0);
  _exit(0); // a kill
}

// Seconds to read the journal's files and their CRC.
static double floor_s(const char *dir, uint64_t *bytes) {
  char path[600];
  uint8_t *b = xmalloc(1 << 20);
  uint32_t crc = 0;
  snprintf(path, sizeof path, "%s/journal", dir);
  DIR *d = opendir(path);
  uint64_t began = clock_mono_ns();
  *bytes = 0;
  for (struct dirent *e; (e = readdir(d));) {
    snprintf(path, sizeof path, "%s/journal/%.100s", dir, e->d_name);
    int fd = open(path, O_RDONLY);
    for (ssize_t n; (n = read(fd, b, 1 << 20)) > 0; *bytes += (uint64_t)n) crc = crc32c(crc, bytes_of(b, (size_t)n));
    close(fd);
  }
  double s = (double)(clock_mono_ns() - began) * 1e-9;
  closedir(d);
  free(b);
  return crc ? s : s + 1e-12;
}

int main(int argc, char **argv) {
  uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000,
           leads = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
  unsigned shards = argc > 3 ? (unsigned)atoi(argv[3]) : 2;
  char *dir = scratch_new();
  log_set_level(LOG_WARN);
  shipped_policy();
  pid_t child = fork();
  if (child == 0) fill(dir, events, leads, shards);
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  uint64_t bytes;
  floor_s(dir, &bytes); // warm
  double least = floor_s(dir, &bytes);
  printf("%llu events of %llu leads, %.0f MB of journal; reading them with their CRC: %.2f s\n",
         (unsigned long long)events, (unsigned long long)leads, (double)bytes * 1e-6, least);
  for (unsigned threads = 1; threads <= 4; threads *= 2) {
    fflush(stdout);
    pid_t reader = fork(); // each from the same files: a process that opens and dies writes next to nothing
    if (reader == 0) {
      struct store_options o = options_of(dir, shards);
      o.recovery_threads = threads;
      struct store *store;
      struct store_recovery r;
      struct error err = {0};
      if (store_open(&o, &store, &r, &err)) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
      }
      double s = (double)r.took_ms * 1e-3;
      printf("%u thread%s: %.2f s, %.0f events/s, %.1f times reading\n", threads, threads == 1 ? "" : "s", s,
             (double)(r.frames - r.skipped) / s, s / least);
      fflush(stdout);
      _exit(0);
    }
    CHECK(waitpid(reader, &status, 0) == reader && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  policy_release(shipped_policy());
  scratch_free(dir);
  return 0;
}
