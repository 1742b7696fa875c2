// docs/models.md shows whole models; what it shows must be read as it stands, and add up as it says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "model/terms.h"
#include "model_text.h"

// The next block of JSON after *at, or nothing.
static struct bytes next_block(const char **at) {
  const char *start = strstr(*at, "```json\n"), *end = start ? strstr(start + 8, "```\n") : NULL;
  if (!end) return bytes_of(NULL, 0);
  *at = end + 4;
  return bytes_of(start + 8, (size_t)(end - start - 8));
}

static void the_models_of_the_docs_are_read(void **state) {
  (void)state;
  struct buf page;
  struct error err = {0};
  buf_init(&page);
  if (file_read("docs/models.md", 1 << 20, &page, &err)) fail_msg("%s", err.text);
  buf_append_u8(&page, 0);
  const char *at = (const char *)page.p;
  struct model *models[2];
  for (size_t i = 0; i < 2; i++) {
    struct bytes head = next_block(&at), weights = next_block(&at);
    assert_true(head.n > 0 && weights.n > 0);
    if (model_parse(head, weights, &models[i], &err)) fail_msg("model %zu: %s", i, err.text);
  }
  assert_int_equal(next_block(&at).n, 0);
  assert_int_equal(model_info(models[0])->kind, MODEL_SCORECARD);
  assert_int_equal(model_info(models[1])->kind, MODEL_LOGISTIC);

  double values[2] = {50, 0}, contributions[2], points[2];
  struct bytes texts[2] = {[1] = BYTES_LIT("emea")};
  struct model_output out;
  linear_score(models[0], (const int[]){0, 1}, values, texts, contributions, points, &out);
  assert_true(out.points == 47);
  values[0] = 0.0 / 0.0, texts[1] = bytes_of(NULL, 0);
  linear_score(models[0], (const int[]){0, 1}, values, texts, contributions, points, &out);
  assert_true(out.points == 35);
  for (size_t i = 0; i < 2; i++) model_free(models[i]);
  buf_deinit(&page);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_models_of_the_docs_are_read)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
