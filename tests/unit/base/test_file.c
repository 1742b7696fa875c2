#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/intentd-file-XXXXXX";
static struct error err;

static int enter_folder(void **state) {
  (void)state;
  memcpy(root + sizeof root - 7, "XXXXXX", 6);
  return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int leave_folder(void **state) {
  (void)state;
  char command[100];
  snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", root, root);
  return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void put(const char *path, const char *text) { assert_int_equal(file_replace(path, bytes_str(text), &err), 0); }

static void holds(const char *path, struct bytes content) {
  struct buf b;
  buf_init(&b);
  assert_int_equal(file_read(path, 1 << 24, &b, &err), 0);
  assert_true(bytes_eq(buf_bytes(&b), content));
  buf_deinit(&b);
}

static void what_is_written_is_read(void **state) {
  (void)state;
  put("a", "first");
  holds("a", BYTES_LIT("first"));
  put("a", "");
  holds("a", BYTES_LIT(""));
  size_t n = 3 * 1000 * 1000 + 7;
  uint8_t *large = xmalloc(n);
  for (size_t i = 0; i < n; i++) large[i] = (uint8_t)(i * 31 >> 3);
  assert_int_equal(file_replace("./a", bytes_of(large, n), &err), 0);
  holds("a", bytes_of(large, n));
  free(large);
}

static void reading_appends_and_keeps_to_the_limit(void **state) {
  (void)state;
  put("a", "12345");
  struct buf b;
  buf_init(&b);
  buf_append_str(&b, "x");
  assert_int_equal(file_read("a", 5, &b, &err), 0);
  assert_true(bytes_is(buf_bytes(&b), "x12345"));
  assert_int_equal(file_read("a", 4, &b, &err), ITD_ETOOBIG);
  assert_non_null(strstr(err.text, "a is larger than 4 bytes"));
  assert_int_equal(file_read("/dev/zero", 1000000, &b, NULL), ITD_ETOOBIG);
  assert_int_equal(file_read("none", 4, &b, &err), ITD_ENOTFOUND);
  assert_non_null(strstr(err.text, "none"));
  assert_int_equal(file_read("a/b", 4, &b, &err), ITD_ENOTFOUND);
  assert_int_equal(file_read(".", 4, &b, &err), ITD_EIO);
  assert_true(bytes_is(buf_bytes(&b), "x12345"));
  buf_deinit(&b);
}

static mode_t mode_of(const char *path) {
  struct stat st;
  assert_int_equal(lstat(path, &st), 0);
  return st.st_mode;
}

static size_t files_here(void) {
  char **names;
  size_t count;
  assert_int_equal(dir_list(".", 1000, &names, &count, &err), 0);
  dir_list_free(names, count);
  return count;
}

static void replacing_keeps_permissions_and_replaces_links(void **state) {
  (void)state;
  put("a", "1");
  assert_int_equal(mode_of("a") & 07777, 0600);
  chmod("a", 0644);
  put("a", "2");
  assert_int_equal(mode_of("a") & 07777, 0644);
  assert_int_equal(symlink("a", "link"), 0);
  put("link", "3");
  assert_true(S_ISREG(mode_of("link")));
  holds("a", BYTES_LIT("2"));
}

static void a_replacement_that_fails_leaves_no_trace(void **state) {
  (void)state;
  assert_int_equal(mkdir("folder", 0700), 0);
  assert_int_equal(file_replace("folder", BYTES_LIT("x"), &err), ITD_EIO); // a file can't take a folder's place
  assert_non_null(strstr(err.text, "folder"));
  assert_int_equal(file_replace("none/a", BYTES_LIT("x"), &err), ITD_ENOTFOUND);
  assert_int_equal(system("test -z \"$(find . -type f)\""), 0);
}

static _Atomic bool stop;

static void *replace_over_and_over(void *arg) {
  char *content = arg;
  for (int i = 0; !atomic_load(&stop); i++) {
    memset(content, 'a' + i % 26, 50000);
    if (file_replace("a", bytes_of(content, (size_t)(10000 + i % 40000)), NULL) != 0) return arg;
  }
  return NULL;
}

// Whoever reads meanwhile sees one whole content, never a mixture or a part.
static void readers_see_the_old_or_the_new_file(void **state) {
  (void)state;
  static char content[50000];
  put("a", "a");
  pthread_t writer;
  assert_int_equal(pthread_create(&writer, NULL, replace_over_and_over, content), 0);
  for (int i = 0; i < 2000; i++) {
    struct buf b;
    buf_init(&b);
    assert_int_equal(file_read("a", 1 << 20, &b, &err), 0);
    assert_true(b.n == 1 || b.n >= 10000);
    for (size_t k = 1; k < b.n; k++)
      if (b.p[k] != b.p[0]) fail_msg("a mixture at byte %zu", k);
    buf_deinit(&b);
  }
  atomic_store(&stop, true);
  void *failed;
  pthread_join(writer, &failed);
  assert_null(failed);
  assert_int_equal(files_here(), 1);
}

static void listing_is_sorted_and_keeps_inside(void **state) {
  (void)state;
  assert_int_equal(dir_make("p/sub/deep", &err), 0);
  assert_int_equal(dir_make("p/.git", &err), 0);
  static const char *const files[] = {"p/b", "p/sub/z",   "p/sub.lua", "p/sub/deep/q", "p/B",
                                      "p/é", "p/.hidden", "p/.git/x",  "out"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) put(files[i], "x");
  assert_int_equal(symlink("b", "p/inside"), 0);
  assert_int_equal(symlink("../out", "p/outside"), 0);
  assert_int_equal(symlink("nothing", "p/dangling"), 0);
  assert_int_equal(symlink("..", "p/sub/loop"), 0);
  assert_int_equal(symlink("/etc", "p/etc"), 0);
  assert_int_equal(mkfifo("p/pipe", 0600), 0);
  assert_int_equal(mkdir("p2", 0700), 0);
  put("p2/neighbour", "x");
  assert_int_equal(symlink("../p2/neighbour", "p/neighbour"), 0); // p2 begins with p, and is not in it
  static const char *const expected[] = {"B", "b", "inside", "sub.lua", "sub/deep/q", "sub/z", "é"};
  char **names;
  size_t count;
  assert_int_equal(dir_list("p", 7, &names, &count, &err), 0);
  assert_int_equal(count, 7);
  for (size_t i = 0; i < count; i++) assert_string_equal(names[i], expected[i]);
  dir_list_free(names, count);
  names = NULL, count = 99;
  assert_int_equal(dir_list("p", 6, &names, &count, &err), ITD_ETOOBIG);
  assert_int_equal(dir_list("none", 6, &names, &count, &err), ITD_ENOTFOUND);
  assert_int_equal(dir_list("out", 6, &names, &count, &err), ITD_ENOTFOUND);
  assert_true(names == NULL && count == 99);
  assert_int_equal(mkdir("empty", 0700), 0);
  assert_int_equal(dir_list("empty/", 0, &names, &count, &err), 0);
  assert_int_equal(count, 0);
  dir_list_free(names, count);
}

static void depth_is_bounded(void **state) {
  (void)state;
  struct buf path;
  buf_init(&path);
  for (int depth = 1; depth <= 33; depth++) {
    buf_append_str(&path, depth > 1 ? "/d" : "d");
    char *text = xstrndup(path.p, path.n), **names;
    assert_int_equal(dir_make(text, &err), 0);
    free(text);
    size_t count;
    int status = dir_list(".", 10, &names, &count, &err);
    assert_int_equal(status, depth <= 32 ? 0 : ITD_ETOOBIG);
    if (status == 0) dir_list_free(names, count);
  }
  buf_deinit(&path);
}

static void folders_are_made_with_their_parents(void **state) {
  (void)state;
  char path[200];
  assert_int_equal(dir_make("a/b//c/", &err), 0);
  assert_int_equal(mode_of("a") & 07777, 0700);
  assert_true(S_ISDIR(mode_of("a/b/c")));
  assert_int_equal(dir_make("a/b/c", &err), 0);
  assert_int_equal(dir_make("./a/../a/d", &err), 0);
  assert_true(S_ISDIR(mode_of("a/d")));
  snprintf(path, sizeof path, "%s/x/y", root);
  assert_int_equal(dir_make(path, &err), 0);
  assert_true(S_ISDIR(mode_of("x/y")));
  assert_int_equal(dir_make("/", &err), 0);
  put("file", "x");
  assert_int_equal(dir_make("file", &err), ITD_EIO);
  assert_int_equal(dir_make("file/a", &err), ITD_EIO);
  assert_non_null(strstr(err.text, "file is not a folder"));
  assert_int_equal(dir_make("", &err), ITD_ENOTFOUND);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_A_FOLDER(what_is_written_is_read),
      IN_A_FOLDER(reading_appends_and_keeps_to_the_limit),
      IN_A_FOLDER(replacing_keeps_permissions_and_replaces_links),
      IN_A_FOLDER(a_replacement_that_fails_leaves_no_trace),
      IN_A_FOLDER(readers_see_the_old_or_the_new_file),
      IN_A_FOLDER(listing_is_sorted_and_keeps_inside),
      IN_A_FOLDER(depth_is_bounded),
      IN_A_FOLDER(folders_are_made_with_their_parents),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
