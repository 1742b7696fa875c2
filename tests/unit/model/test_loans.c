// The two models of the bank's data that the project ships: whole, signed, and scoring as the script that made them
// does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/file.h"
#include "model/terms.h"
#include "model_text.h"

static struct model *load(const char *name) {
  char path[128];
  struct buf head, weights;
  buf_init(&head), buf_init(&weights);
  struct error err = {0};
  snprintf(path, sizeof(path), "policies/models/%s/1/model.json", name);
  int status = file_read(path, MODEL_FILE_MAX, &head, &err);
  snprintf(path, sizeof(path), "policies/models/%s/1/weights.json", name);
  if (status == ITD_OK) status = file_read(path, MODEL_FILE_MAX, &weights, &err);
  struct model *model = NULL;
  if (status == ITD_OK) status = model_parse(buf_bytes(&head), buf_bytes(&weights), &model, &err);
  if (status) fail_msg("%s: %s", name, err.text);
  buf_deinit(&head), buf_deinit(&weights);
  assert_string_equal(model_info(model)->name, name);
  return model;
}

// One application of the later period, with its margin as examples/loans/train.py computes it.
static void an_application_scores_as_in_training(void **state) {
  (void)state;
  static const struct {
    const char *feature;
    double value;
  } row[] = {{"amount_req", 15000},   {"completing_calls", 1}, {"lead_calls", 1},      {"offers_sent", 1},
             {"offer_age", 67560083}, {"offer_calls", 1},      {"offer_came_back", 0}, {"papers_calls", 0},
             {"desk_people", 2},      {"desk_idle", 65339329}, {"desk_days", 1}};
  static const struct {
    const char *name;
    double margin;
  } want[] = {{"loan_fit", -0.27032740041837855}, {"loan_engagement", -0.14299552128585913}};
  for (size_t i = 0; i < 2; i++) {
    struct model *model = load(want[i].name);
    double values[16], contributions[16], points[16];
    static const struct bytes texts[16];
    int places[16];
    assert_in_range(model->term_count, 1, 16);
    for (size_t t = 0; t < model->term_count; t++) {
      size_t r = 0;
      while (r < sizeof(row) / sizeof(*row) && strcmp(row[r].feature, model->terms[t].feature) != 0) r++;
      assert_true(r < sizeof(row) / sizeof(*row));
      values[t] = row[r].value;
      places[t] = (int)t;
    }
    struct model_output out;
    linear_score(model, places, values, texts, contributions, points, &out);
    assert_true(fabs(out.margin - want[i].margin) < 1e-12);
    assert_true(out.points > 0 && out.points < 100);
    model_free(model);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(an_application_scores_as_in_training)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
