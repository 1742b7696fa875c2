#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "stand_in.h"

static uint64_t seed;
static uint64_t roll(uint64_t below) {
  seed = hash_mix(seed, 0x9e3779b97f4a7c15u);
  return seed % below;
}

static int parse(const char *json, struct artifact **a, struct error *err) {
  struct buf b;
  buf_init(&b);
  pack_json(json, &b);
  int status = artifact_parse(buf_bytes(&b), NULL, NULL, a, err);
  buf_deinit(&b);
  return status;
}

static void the_sample_is_read(void **state) {
  (void)state;
  struct artifact *a = NULL;
  struct error err = {0};
  assert_int_equal(parse(sample_json, &a, &err), 0);
  assert_string_equal(a->name, "sample");
  assert_string_equal(a->signal_set, "web");
  assert_null(a->model[0]);
  assert_true(a->mix_constant == 60.5);
  assert_int_equal(a->personal.count, 2);
  assert_true(bytes_is(a->personal.path[1], "context.ip"));
  assert_int_equal(a->count[POLICY_STAGES], 3);
  assert_true(a->entry[POLICY_STAGES][2].is_final);
  assert_false(a->entry[POLICY_STAGES][0].is_final);
  const struct policy_entry *t = a->entry[POLICY_TRANSITIONS];
  assert_string_equal(t[0].name, "visitor -> engaged");
  assert_string_equal(t[2].name, "engaged -> mql");
  assert_string_equal(t[0].why, "w0");
  assert_int_equal(t[0].line, 7);
  assert_int_equal(t[0].use_count, 2);
  assert_int_equal(t[0].uses[1], 1);
  assert_string_equal(t[2].why, "");
  assert_int_equal(t[1].wait.amount, 21 * 86400000ll);
  assert_int_equal(a->timers[0].count, 0);
  assert_int_equal(a->timers[1].count, 2);
  assert_int_equal(a->timers[1].transition[1], 3);
  assert_int_equal(a->entry[POLICY_BANDS][1].from_milli, 50500);
  assert_int_equal(a->entry[POLICY_EVIDENCE][1].channel, 1);
  assert_string_equal(a->entry[POLICY_OWNERS][1].name, "bob");
  assert_true(text_set_has(&a->tests[0].any, BYTES_LIT("foe.org")));
  assert_false(text_set_has(&a->tests[0].any, BYTES_LIT("")));
  assert_false(text_set_has(&a->tests[0].any, BYTES_LIT("foe.or")));
  assert_true(a->tests[1].is_known);
  assert_true(a->draws[0].salt == hash64(BYTES_LIT("s1")) && a->draws[0].is_lead && !a->draws[1].is_lead);
  assert_true(a->memory_initial[0] == 0.5 && a->memory_initial[1] == 0);
  assert_int_equal(a->shape.out_count, 36);
  assert_int_equal(a->out[OUT_CONDITIONS], 31);
  artifact_free(a);
}

static const struct {
  const char *from, *to, *says;
} faults[] = {
    {"\"name\": \"sample\",", "", "name is missing"},
    {"\"name\": \"sample\"", "\"name\": 7", "name is no text"},
    {"\"name\": \"sample\"", "\"name\": \"a\\u0000b\"", "name is no UTF-8 text"},
    {"\"mode\": \"act\"", "\"mode\": \"guess\"", "mode is 'guess'"},
    {"\"signal_set\": \"web\",", "", "signal_set is missing"},
    {"\"declarations\"", "\"declaration\"", "declarations is missing"},
    {"\"constant\": 60.5", "\"constant\": \"a\"", "mix.constant is no number"},
    {"\"constant\": 60.5", "\"constant\": 2e6", "mix.constant is beyond"},
    {"\"constant\": 60.5", "\"constant\": true", "mix.constant is no number"},
    {"\"constant\": 60.5", "\"fit\": 0.3", "mix.fit weighs a model"},
    {"\"constant\": 60.5", "\"model\": 1", "mix.model is 1; it is 1 where models.split names"},
    {"\"models\": {}", "\"models\": {\"split\": \"m\"}", "mix.model is 0; it is 1 where"},
    {"\"models\": {}, \"mix\": {", "\"models\": {\"split\": \"m\"}, \"mix\": {\"model\": 1, ",
     "layout.input.model is missing"},
    {"\"models\": {}", "\"models\": {\"split\": \"m\", \"fit\": \"n\"}", "models.split stands beside"},
    {"\"from\": 50.5", "\"from\": 0", "bands: 'hot' does not begin above 'cold'"},
    {"\"stages\": [", "\"stages\": [], \"others\": [", "stages is empty"},
    {"{\"name\": \"engaged\"}", "{\"name\": \"visitor\"}", "stages: 'visitor' is there twice"},
    {"{\"name\": \"engaged\"}", "7", "stages[1]. is no text"},
    {"\"final\": true", "\"final\": 1", "stages[2].final is neither"},
    {"{\"from\": 0, \"to\": 1", "{\"from\": 3, \"to\": 1", "transitions[0].from is 3"},
    {"{\"from\": 0, \"to\": 1", "{\"from\": 0, \"to\": -1", "transitions[0].to is -1"},
    {"{\"from\": 0, \"to\": 1", "{\"from\": 0.5, \"to\": 1", "transitions[0].from is 0.5"},
    {"{\"from\": 0, \"to\": 1", "{\"from\": 1e300, \"to\": 1", "transitions[0].from is beyond"},
    {"{\"from\": 0, \"to\": 1", "{\"to\": 1", "transitions[0].from is missing"},
    {"{\"from\": 1, \"to\": 2}", "\"visitor\"", "transitions[2] is no map"},
    {"\"uses\": [0, 1]", "\"uses\": [0, 2]", "transitions[0].uses[1] is no condition's number"},
    {"\"uses\": [0, 1]", "\"uses\": [-1]", "transitions[0].uses[0] is no condition's number"},
    {"\"after_ms\": 604800000", "\"after_ms\": 4000000000000", "transitions[3].after_ms is"},
    {"\"after_ms\": 604800000", "\"after_ms\": -1", "transitions[3].after_ms is"},
    {"\"owners\": [", "\"was\": [{\"name\": \"old\", \"to\": 3}], \"owners\": [", "was[0].to is 3"},
    {"\"owners\": [", "\"was\": [{\"name\": \"old\"}], \"owners\": [", "was[0].to is missing"},
    {"\"owners\": [", "\"was\": [\"old\"], \"owners\": [", "was[0] is no map"},
    {"\"owners\": [", "\"was\": [{\"name\": \"old\", \"to\": 0}, {\"name\": \"old\", \"to\": 1}], \"owners\": [",
     "was: 'old' is there twice"},
    {"\"after_ms\": 604800000", "\"open_ms\": 5", "transitions[3].calendar is missing"},
    {"\"after_ms\": 604800000", "\"open_ms\": 5, \"calendar\": 0", "transitions[3].calendar is 0"},
    {"\"after_ms\": 604800000", "\"open_days\": 0, \"calendar\": 0", "transitions[3].open_days is 0"},
    {"\"after_ms\": 604800000", "\"at_minute\": 1440, \"calendar\": 0", "transitions[3].at_minute is 1440"},
    {"\"after_ms\": 604800000", "\"at_minute\": 0, \"calendar\": 0", "transitions[3].at_day is missing"},
    {"\"after_ms\": 604800000", "\"after_ms\": 5, \"open_ms\": 5", "transitions[3] has more than one timer"},
    {"{\"name\": \"engaged\"}", "{\"name\": \"engaged\", \"parent\": 1}",
     "stages[1] lies too deep, or inside of itself"},
    {"{\"name\": \"engaged\"}", "{\"name\": \"engaged\", \"parent\": 3}", "stages[1] names a stage that there is not"},
    {"{\"name\": \"engaged\"}", "{\"name\": \"engaged\", \"parent\": 2}",
     "stages[2] has stages inside it and no start"},
    {"{\"name\": \"engaged\"}", "{\"name\": \"engaged\", \"start\": 2}", "stages[1] has a start that is not inside it"},
    {"{\"name\": \"engaged\"}", "{\"name\": \"engaged\", \"region\": true}", "stages[1] is a region that has no start"},
    {"\"name\": \"visitor\", ", "\"name\": \"visitor\", \"start\": 1, ", "stages[0] has a start that is not inside it"},
    {"{\"name\": \"engaged\"}, {\"name\": \"mql\",",
     "{\"name\": \"engaged\", \"region\": true, \"start\": 2}, {\"name\": \"mql\", \"parent\": 1,",
     "transitions[0] leads from one region to another"},
    {"{\"from\": 1, \"to\": 2}", "{\"from\": 1, \"to\": 2, \"resume\": true}",
     "transitions[2] resumes a stage with none"},
    {"\"owners\": [", "\"notes\": [\"a\"], \"owners\": [", "layout.output.notes is missing"},
    {"\"owners\": [", "\"calendars\": {}, \"owners\": [", "calendars is no list"},
    {"\"line\": 7", "\"line\": -7", "transitions[0].line is -7"},
    {"[\"ann\", \"bob\"]", "[\"ann\", \"ann\"]", "owners: 'ann' is there twice"},
    {"[\"ann\", \"bob\"]", "{\"ann\": \"bob\"}", "owners is no list"},
    {"\"actions\": [", "\"actions\": [], \"others\": [", "actions is empty"},
    {"\"channel\": 1", "\"channel\": 2", "evidence[1].channel is 2"},
    {"{\"name\": \"usage\", \"channel\": 1}", "{\"name\": \"usage\"}", "evidence[1].channel is missing"},
    {"\"any\": [\"rival.com\"", "\"any\": [8", "tests[0].any[0] is no text"},
    {"{\"feature\": \"domain\", \"any\"", "{\"any\"", "tests[0].feature is missing"},
    {"\"by\": \"lead\"", "\"by\": \"day\"", "draws[0].by is 'day'"},
    {"\"name\": \"m2\"", "\"name\": \"m1\"", "memory: 'm1' is there twice"},
    {"\"custom\": 0", "\"custom\": -1", "custom is -1"},
    {"\"now\": 0,", "", "layout.input.now is missing"},
    {"\"now\": 0", "\"now\": 22", "layout.input.now takes 1 doubles from 22 on"},
    {"\"now\": 0", "\"now\": 23", "layout.input.now is 23"},
    {"\"now\": 0", "\"now\": 1", "layout.input.stage lies on now"},
    {"\"now\": 0", "\"now\": 0, \"new\": 3", "layout.input has an entry that the engine does not know"},
    {"\"events\": [\"demo\"]", "\"ages\": [\"views\"], \"events\": [\"demo\"]", "layout.input.ages is missing"},
    {"\"events\": [\"demo\"]", "\"ages\": [7], \"events\": []", "ages[0]. is no text"},
    {"\"problems\": []", "\"labels\": [{\"name\": \"a\", \"event\": \"e\"}]", "labels[0].within_ms is missing"},
    {"\"problems\": []", "\"labels\": [{\"name\": \"a\", \"event\": \"e\", \"within_ms\": 1e14}]",
     "labels[0].within_ms is 100000000000000"},
    {"\"problems\": []", "\"labels\": {\"a\": 1}", "labels is no list"},
    {"\"problems\": []", "\"retrain\": [{\"model\": \"a\", \"over_days\": 0, \"least\": 1}]",
     "retrain[0].over_days is 0"},
    {"\"problems\": []", "\"retrain\": [{\"over_days\": 1, \"least\": 1}]", "retrain[0].model is missing"},
    {"\"problems\": []", "\"retrain\": [{\"model\": \"a\", \"auc_under\": 2, \"over_days\": 1, \"least\": 1}]",
     "retrain[0].auc_under is beyond 1"},
    {"\"problems\": []", "\"reads\": [{\"feature\": 2, \"kind\": \"route\", \"name\": \"a\"}]",
     "reads[0].feature is 2"},
    {"\"problems\": []", "\"reads\": [7]", "reads[0].feature is missing"},
    {"\"problems\": []", "\"feature_files\": [null]", "feature_files[0]. is no text"},
    {"\"features\": 10", "\"features\": 21", "layout.input.features takes 2 doubles from 21 on"},
    {"\"features\": 10", "\"features\": 11", "layout.input.tests lies on features"},
    {"\"input_count\": 22", "\"input_count\": 16", "layout.input.sales is 17"},
    {"\"input_count\": 22", "\"input_count\": 65537", "layout.input_count is 65537"},
    {"\"steps\": 3", "\"steps\": 4", "layout.output.combined lies on steps"},
    {"\"output_count\": 36", "\"output_count\": 32", "layout.output.conditions takes 2 doubles from 31 on"},
    {"\"layout\": {\"input\"", "\"layout\": {\"in\"", "layout.input is missing"},
    {"\"layout\": {\"input\": {", "\"lay\": {\"input\": {", "layout is missing"},
    {"\"source\": \"return\"", "\"source\": 1", "source is missing or no text"},
};

static void every_fault_is_named(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    char *json = with(sample_json, faults[i].from, faults[i].to);
    struct artifact *a = NULL;
    struct error err = {0};
    int status = parse(json, &a, &err);
    if (status != ITD_EPOLICY || !strstr(err.text, faults[i].says)) {
      fail_msg("%s -> %s: %d, '%s', not '%s'", faults[i].from, faults[i].to, status, err.text, faults[i].says);
    }
    assert_null(a);
    free(json);
  }
}

static void too_many_timers_name_the_line(void **state) {
  (void)state;
  struct buf list;
  buf_init(&list);
  for (int i = 0; i < 3; i++)
    buf_printf(&list, "{\"from\": 1, \"to\": 2, \"after_ms\": %d, \"path\": \"p.lua\", \"line\": %d},", i + 1, i + 20);
  buf_append_str(&list, "{\"from\": 1, \"to\": 2}");
  buf_append_u8(&list, 0);
  char *json = with(sample_json, "{\"from\": 1, \"to\": 2}", (char *)list.p);
  struct artifact *a = NULL;
  struct error err = {0};
  assert_int_equal(parse(json, &a, &err), ITD_EPOLICY);
  assert_non_null(strstr(err.text, "stage 'engaged' has more than 4 transitions with a time"));
  free(json);
  buf_deinit(&list);
}

struct seen {
  size_t count, errors;
  char last[500];
};
static void see(void *context, const struct policy_problem *problem) {
  struct seen *seen = context;
  seen->count++;
  seen->errors += problem->is_error;
  snprintf(seen->last, sizeof seen->last, "%s", problem->text);
}

static void problems_come_out_each(void **state) {
  (void)state;
  const char *three = "{\"problems\": [{\"path\": \"a.lua\", \"line\": 3, \"text\": \"odd\"}, {\"path\": \"b.lua\", "
                      "\"line\": 4, \"error\": true,"
                      " \"text\": \"bad\"}, {\"path\": \"c.lua\", \"error\": true, \"text\": \"worse\"}]}";
  struct buf b;
  buf_init(&b);
  pack_json(three, &b);
  struct seen seen = {0};
  struct artifact *a = NULL;
  struct error err = {0};
  assert_int_equal(artifact_parse(buf_bytes(&b), see, &seen, &a, &err), ITD_EPOLICY);
  assert_string_equal(err.text, "b.lua:4: bad");
  assert_int_equal(seen.count, 3);
  assert_int_equal(seen.errors, 2);
  assert_string_equal(seen.last, "worse");
  assert_null(a);
  buf_deinit(&b);
  // a warning alone does not stop it
  char *json =
      with(sample_json, "\"problems\": []", "\"problems\": [{\"path\": \"a.lua\", \"line\": 3, \"text\": \"odd\"}]");
  assert_int_equal(parse(json, &a, &err), 0);
  artifact_free(a);
  free(json);
}

// ---- layouts against an oracle that paints each span ----

static void layouts_agree_with_painting(void **state) {
  (void)state;
  static const char *const names[] = {"now",    "stage",  "since", "timer",    "fit",      "engagement",
                                      "owner",  "manual", "acted", "is_event", "features", "tests",
                                      "events", "draws",  "sales", "switch",   "barred"};
  static const unsigned size[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 1, 2, 1, 1, 3};
  size_t accepted = 0;
  for (int round = 0; round < 3000; round++) {
    unsigned total = 22 + (unsigned)roll(3), at[17], place = 0;
    uint8_t painted[64] = {0};
    bool fine = true;
    struct buf map;
    buf_init(&map);
    for (size_t i = 0; i < 17; i++) { // a good layout, and in three of four rounds one offset moved
      at[i] = place;
      place += size[i];
    }
    if (roll(4) > 0) at[roll(17)] = (unsigned)roll(total + 2);
    for (size_t i = 0; i < 17; i++) {
      buf_printf(&map, "%s\"%s\": %u", i ? ", " : "\"input\": {", names[i], at[i]);
      if (at[i] + size[i] > total) fine = false;
      for (unsigned k = 0; fine && k < size[i]; k++) fine = painted[at[i] + k]++ == 0;
    }
    buf_append_u8(&map, 0);
    const char *from = strstr(sample_json, "\"input\": {"), *to = strstr(from, "}");
    char *old = xstrndup(from, (size_t)(to - from));
    char *json = with(sample_json, old, (char *)map.p), count[40];
    snprintf(count, sizeof count, "\"input_count\": %u", total);
    char *final = with(json, "\"input_count\": 22", count);
    struct artifact *a = NULL;
    int status = parse(final, &a, NULL);
    if (fine != (status == 0)) fail_msg("seed round %d: %s", round, (char *)map.p);
    accepted += status == 0;
    artifact_free(a);
    free(old), free(json), free(final);
    buf_deinit(&map);
  }
  assert_in_range(accepted, 500, 2500);
}

// ---- bytes ----

static void holds(const struct artifact *a) {
  for (size_t i = 0; i < a->count[POLICY_TRANSITIONS]; i++) {
    const struct policy_entry *t = &a->entry[POLICY_TRANSITIONS][i];
    assert_true(t->stage_from >= 0 && (size_t)t->stage_from < a->count[POLICY_STAGES]);
    assert_true(t->stage_to >= 0 && (size_t)t->stage_to < a->count[POLICY_STAGES]);
    for (size_t k = 0; k < t->use_count; k++) assert_true(t->uses[k] < a->count[POLICY_CONDITIONS]);
  }
  for (size_t i = 0; i < a->count[POLICY_EVIDENCE]; i++) {
    assert_true((size_t)a->entry[POLICY_EVIDENCE][i].channel < a->count[POLICY_CHANNELS]);
  }
  assert_true(a->in[IN_FEATURES] + a->feature_count <= a->shape.in_count);
  assert_true(a->in[IN_DRAWS] + a->draw_count <= a->shape.in_count);
  assert_true(a->in[IN_TESTS] + a->test_count <= a->shape.in_count);
  assert_true(a->out[OUT_STEPS] + POLICY_STEPS_MAX + 2 <= a->shape.out_count);
  assert_true(a->out[OUT_CONDITIONS] + a->count[POLICY_CONDITIONS] <= a->shape.out_count);
  for (size_t i = 0; i < a->memory_count; i++) assert_true(isfinite(a->memory_initial[i]));
  for (size_t i = 0; i < a->test_count; i++) {
    if (!a->tests[i].is_known) text_set_has(&a->tests[i].any, BYTES_LIT("any text at all"));
  }
}

static void hostile_bytes_are_refused_or_hold(void **state) {
  (void)state;
  struct buf good, bad;
  buf_init(&good), buf_init(&bad);
  pack_json(sample_json, &good);
  size_t accepted = 0;
  for (int round = 0; round < 40000; round++) {
    buf_clear(&bad);
    buf_append_bytes(&bad, buf_bytes(&good));
    for (uint64_t n = 1 + roll(3); n > 0; n--) {
      static const uint8_t heads[] = {0xc0, 0xc2, 0xca, 0xcb, 0xcf, 0xd3, 0xdc, 0xdd,
                                      0xde, 0xdf, 0x90, 0x80, 0xff, 0x7f, 0xc6, 0xdb};
      bad.p[roll(bad.n)] = roll(2) ? (uint8_t)roll(256) : heads[roll(sizeof heads)];
    }
    if (roll(10) == 0) bad.n = roll(bad.n);
    uint8_t *exact = xmalloc(bad.n + 1); // so that a read past the end is seen
    memcpy(exact, bad.p, bad.n);
    uint8_t *tight = xrealloc(exact, bad.n ? bad.n : 1);
    struct artifact *a = NULL;
    struct error err = {0};
    int status = artifact_parse(bytes_of(tight, bad.n), NULL, NULL, &a, &err);
    assert_true(status == 0 || (status == ITD_EPOLICY && err.text[0]));
    if (status == 0) holds(a), accepted++;
    artifact_free(a);
    free(tight);
  }
  assert_true(accepted > 1000); // many a changed text is as good as the one before
  buf_deinit(&good), buf_deinit(&bad);
}

static void other_values_are_refused(void **state) {
  (void)state;
  struct artifact *a = NULL;
  assert_int_equal(parse("[]", &a, NULL), ITD_EPOLICY);
  assert_int_equal(parse("{}", &a, NULL), ITD_EPOLICY);
  assert_int_equal(artifact_parse((struct bytes){0}, NULL, NULL, &a, NULL), ITD_EPOLICY);
  assert_int_equal(artifact_parse(BYTES_LIT("\x80\x80"), NULL, NULL, &a, NULL), ITD_EPOLICY);
  assert_int_equal(artifact_parse(BYTES_LIT("\xc1"), NULL, NULL, &a, NULL), ITD_EPOLICY);
  assert_null(a);
}

// ---- text sets ----

static void text_sets_agree_with_a_list(void **state) {
  (void)state;
  for (int round = 0; round < 50; round++) {
    size_t n = roll(200);
    struct buf list;
    buf_init(&list);
    bool in[1000] = {false};
    buf_append_str(&list, "\"any\": [");
    for (size_t i = 0; i < n; i++) {
      size_t which = roll(1000);
      in[which] = true;
      buf_printf(&list, "%s\"t%zu\"", i ? ", " : "", which);
    }
    buf_append_str(&list, "]");
    buf_append_u8(&list, 0);
    char *json = with(sample_json, "\"any\": [\"rival.com\", \"foe.org\", \"\"]", (char *)list.p);
    struct artifact *a = NULL;
    assert_int_equal(parse(json, &a, NULL), 0);
    for (size_t i = 0; i < 1000; i++) {
      char text[16];
      int length = snprintf(text, sizeof text, "t%zu", i);
      assert_int_equal(text_set_has(&a->tests[0].any, bytes_of(text, (size_t)length)), in[i]);
    }
    artifact_free(a);
    free(json);
    buf_deinit(&list);
  }
}

static void long_texts_compare_as_a_feature_keeps_them(void **state) {
  (void)state;
  // 46 letters and a letter of two bytes: the feature cuts before it
  char *json = with(sample_json, "\"rival.com\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\u00e9.example\"");
  struct artifact *a = NULL;
  assert_int_equal(parse(json, &a, NULL), 0);
  char kept[FEATURE_TEXT_MAX + 1];
  memset(kept, 'a', sizeof kept);
  assert_true(text_set_has(&a->tests[0].any, bytes_of(kept, 46)));
  assert_false(text_set_has(&a->tests[0].any, bytes_of(kept, 47)));
  artifact_free(a);
  free(json);
}

int main(void) {
  const char *given = getenv("SEED");
  seed = given ? strtoull(given, NULL, 10) : 20260105;
  printf("SEED=%llu\n", (unsigned long long)seed);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_sample_is_read),
      cmocka_unit_test(every_fault_is_named),
      cmocka_unit_test(too_many_timers_name_the_line),
      cmocka_unit_test(problems_come_out_each),
      cmocka_unit_test(layouts_agree_with_painting),
      cmocka_unit_test(hostile_bytes_are_refused_or_hold),
      cmocka_unit_test(other_values_are_refused),
      cmocka_unit_test(text_sets_agree_with_a_list),
      cmocka_unit_test(long_texts_compare_as_a_feature_keeps_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
