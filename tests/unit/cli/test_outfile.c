// The file of an --out: whole under its name, or not there; and what was there before stays.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/outfile.h"

static char folder[] = "/tmp/outfile.XXXXXX";
static struct error err;

static const char *in(const char *name) {
  static char path[2][400];
  static int turn;
  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
  return path[turn];
}

// How many files there are, hidden ones too.
static int files(void) {
  DIR *dir = opendir(folder);
  int count = 0;
  assert_non_null(dir);
  for (struct dirent *e; (e = readdir(dir));) count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(dir);
  return count;
}

static void holds(const char *name, const char *text) {
  struct buf got = {0};
  assert_int_equal(file_read(in(name), 1000, &got, &err), 0);
  assert_true(bytes_is(buf_bytes(&got), text));
  buf_deinit(&got);
}

static int write_text(const char *name, const char *text, int status) {
  struct outfile out;
  int rc = outfile_open(&out, in(name), &err);
  if (rc) return rc;
  fputs(text, out.to);
  fflush(out.to);
  assert_int_not_equal(access(in(name), F_OK), 0); // not before it is whole
  return outfile_end(&out, status, &err);
}

static void is_there_when_it_is_whole(void **state) {
  (void)state;
  mode_t mask = umask(027);
  struct stat st;
  assert_int_equal(outfile_check(in("rows"), &err), 0);
  assert_int_equal(write_text("rows", "a,b\n", 0), 0);
  umask(mask);
  holds("rows", "a,b\n");
  assert_int_equal(stat(in("rows"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0640);
  assert_int_equal(files(), 1);
}

static void leaves_nothing_of_a_failure(void **state) {
  (void)state;
  int before = files();
  assert_int_equal(write_text("none", "a,b\n", ITD_ECORRUPT), ITD_ECORRUPT);
  assert_int_equal(files(), before);
}

static void leaves_nothing_where_there_is_no_room(void **state) {
  (void)state;
  struct rlimit old, small;
  int before = files();
  getrlimit(RLIMIT_FSIZE, &old);
  small = (struct rlimit){.rlim_cur = 10, .rlim_max = old.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  int rc = write_text("none", "more than ten bytes", 0);
  setrlimit(RLIMIT_FSIZE, &old);
  assert_int_not_equal(rc, 0);
  assert_non_null(strstr(err.text, "can't be written"));
  assert_int_equal(files(), before);
}

static void never_writes_over(void **state) {
  (void)state;
  assert_int_equal(outfile_check(in("rows"), &err), ITD_EINVAL);
  assert_int_equal(write_text("rows", "other", 0), ITD_EINVAL);
  assert_non_null(strstr(err.text, "is there already"));
  holds("rows", "a,b\n");
  assert_int_equal(symlink("nowhere", in("link")), 0); // a name is taken by a link to nothing, too
  assert_int_equal(write_text("link", "other", 0), ITD_EINVAL);
  struct outfile out; // it comes while this is written
  int before = files();
  assert_int_equal(outfile_open(&out, in("late"), &err), 0);
  assert_int_equal(file_replace(in("late"), BYTES_LIT("first"), &err), 0);
  fputs("second", out.to);
  assert_int_equal(outfile_end(&out, 0, &err), ITD_EINVAL);
  holds("late", "first");
  assert_int_equal(files(), before + 1);
}

static void says_where_no_file_can_be(void **state) {
  (void)state;
  assert_int_equal(outfile_check(in("no/rows"), &err), ITD_ENOTFOUND);
  assert_int_equal(write_text("no/rows", "", 0), ITD_ENOTFOUND);
  assert_int_equal(outfile_check(in("sub/"), &err), ITD_EINVAL);
  assert_int_equal(write_text("", "", 0), ITD_EINVAL);
  assert_int_equal(outfile_check(in("rows/x"), &err), ITD_ENOTFOUND); // a file is no folder
  struct outfile out;
  assert_int_equal(outfile_open(&out, NULL, &err), 0);
  assert_ptr_equal(out.to, stdout);
  assert_int_equal(outfile_end(&out, 0, &err), 0);
}

static int clean(void **state) {
  (void)state;
  static const char *const names[] = {"rows", "link", "late"};
  for (size_t i = 0; i < 3; i++) (void)unlink(in(names[i]));
  return rmdir(folder); // anything else that was left fails here
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(is_there_when_it_is_whole),
                                     cmocka_unit_test(leaves_nothing_of_a_failure),
                                     cmocka_unit_test(leaves_nothing_where_there_is_no_room),
                                     cmocka_unit_test(never_writes_over), cmocka_unit_test(says_where_no_file_can_be)};
  if (!mkdtemp(folder)) return 1;
  return cmocka_run_group_tests(tests, NULL, clean);
}
