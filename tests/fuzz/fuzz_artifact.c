// Any bytes as what the build returned, and as an archive: refused with a reason, or all that points somewhere points
// inside.
#include "fuzz.h"
#include "policy/parts.h"

static void check_tables(const struct artifact *a) {
  const struct policy_entry *t = a->entry[POLICY_TRANSITIONS];
  for (size_t i = 0; i < a->count[POLICY_TRANSITIONS]; i++) {
    CHECK(t[i].stage_from >= 0 && (size_t)t[i].stage_from < a->count[POLICY_STAGES]);
    CHECK(t[i].stage_to >= 0 && (size_t)t[i].stage_to < a->count[POLICY_STAGES]);
  }
  for (size_t i = 0; i < a->count[POLICY_EVIDENCE]; i++)
    CHECK((size_t)a->entry[POLICY_EVIDENCE][i].channel < a->count[POLICY_CHANNELS]);
  for (int table = 0; table < POLICY_TABLES; table++) {
    for (size_t i = 0; i < a->count[table]; i++) {
      const struct policy_entry *e = &a->entry[table][i];
      CHECK(e->name && e->why && e->path);
      for (size_t k = 0; k < e->use_count; k++) CHECK(e->uses[k] < a->count[POLICY_CONDITIONS]);
    }
  }
}

static void check_layout(const struct artifact *a) {
  CHECK(a->in[IN_FEATURES] + a->feature_count <= a->shape.in_count);
  CHECK(a->in[IN_TESTS] + a->test_count <= a->shape.in_count);
  CHECK(a->in[IN_EVENTS] + a->event_count <= a->shape.in_count);
  CHECK(a->in[IN_DRAWS] + a->draw_count <= a->shape.in_count);
  for (int i = 0; i < IN_FEATURES; i++) CHECK(a->in[i] < a->shape.in_count);
  CHECK(a->out[OUT_STEPS] + POLICY_STEPS_MAX + 2 <= a->shape.out_count);
  CHECK(a->out[OUT_ADJUSTMENTS] + a->count[POLICY_ADJUSTMENTS] <= a->shape.out_count);
  CHECK(a->out[OUT_EVIDENCE] + a->count[POLICY_EVIDENCE] <= a->shape.out_count);
  CHECK(a->out[OUT_CHANNEL_CAPS] + a->count[POLICY_CHANNELS] <= a->shape.out_count);
  CHECK(a->out[OUT_CONDITIONS] + a->count[POLICY_CONDITIONS] <= a->shape.out_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct artifact *artifact = NULL;
  struct error err = {0};
  int status = artifact_parse(bytes_of(data, size), NULL, NULL, &artifact, &err);
  CHECK((status == 0) == (artifact != NULL));
  CHECK(status == 0 || err.text[0]);
  if (artifact) {
    check_tables(artifact);
    check_layout(artifact);
  }
  artifact_free(artifact);

  struct bundle bundle;
  bundle_init(&bundle);
  err = (struct error){0};
  CHECK(bundle_unpack(&bundle, bytes_of(data, size), &err) == 0 || err.text[0]);
  bundle_deinit(&bundle);
  return 0;
}
