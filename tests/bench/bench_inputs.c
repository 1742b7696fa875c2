// What a decision that acts costs more on its event's way, so that its exact shares can be computed for as long as it is kept
// (docs/decisions/shapley-from-inputs.md): writing down what a model of trees over 29 features of b2b_saas read, and sealing
// that under the lead's key. Prints ns of CPU time (median of rounds), ratios to copying the values, and the section's bytes.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "engine/shapley.h"
#include "store/seal.h"

enum { MODEL_FEATURES = 29, STATES = 256, TIMES = 400, ROUNDS = 9 };

static char folder[] = "/tmp/intentd-inputs.XXXXXX";
static struct policy *policy;
static double values[STATES][FEATURES_MAX];
static struct bytes texts[FEATURES_MAX];
static uint64_t rng = 7;
static double unit(void) { return hash_unit(rng = hash_mix(rng, 3)); }

static double cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int rc, const struct error *err) {
  if (rc < 0) fprintf(stderr, "%s\n", err->text), exit(1);
}

static void write_file(const char *name, const struct buf *text) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "w");
  CHECK(f && fwrite(text->p, 1, text->n, f) == text->n && fclose(f) == 0);
}

// The first numbers of behaviour that the set has, and a tree of one step: what is measured does not walk it.
static void put_features(const struct policy *shipped, struct buf *out) {
  const struct feature_set *set = policy_features(shipped);
  size_t count = 0;
  for (size_t i = 0; i < feature_count(set) && count < MODEL_FEATURES; i++) {
    const struct feature_info *info = feature_info(set, i);
    if (info->is_text || info->class == FEATURE_PROFILE) continue;
    buf_printf(out, "%s{\"name\": \"%s\", \"definition\": null}", count++ ? ", " : "", info->name);
  }
  CHECK(count == MODEL_FEATURES);
}

static void write_model(const struct policy *shipped) {
  struct buf weights = {0}, json = {0}, features = {0};
  uint8_t digest[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1], path[200];
  put_features(shipped, &features);
  buf_printf(
      &weights,
      "{\"learner\": {\"learner_model_param\": {\"base_score\": \"5E-1\", \"num_class\": \"0\", \"num_feature\": "
      "\"%d\", \"num_target\": \"1\"}, \"objective\": {\"name\": \"binary:logistic\"}, \"gradient_booster\": "
      "{\"name\": \"gbtree\", \"model\": {\"tree_info\": [0], \"trees\": [{\"left_children\": [1, -1, -1], "
      "\"right_children\": [2, -1, -1], \"default_left\": [1, 0, 0], \"sum_hessian\": [2, 1, 1], "
      "\"split_indices\": [0, 0, 0], \"split_conditions\": [0.5, -1, 1]}]}}}, \"version\": [1, 7, 4]}",
      MODEL_FEATURES);
  sha256_of(buf_bytes(&weights), digest);
  hex_encode(bytes_of(digest, sizeof digest), hex);
  buf_printf(
      &json,
      "{\"name\": \"b2b_engagement\", \"version\": \"1\", \"kind\": \"xgboost\", \"sha256\": \"%s\", \"target\": "
      "\"t\", \"rationale\": \"r\", \"scale\": {\"points_to_double_odds\": 10, \"points_at_even_odds\": 50}, "
      "\"features\": [%.*s]}",
      hex, (int)features.n, (const char *)features.p);
  snprintf(path, sizeof path, "cp -r '%s/policies/models/b2b_fit' '%s/'", INTENTD_ROOT, folder);
  CHECK(system(path) == 0);
  snprintf(path, sizeof path, "%s/b2b_engagement", folder), mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/b2b_engagement/1", folder), mkdir(path, 0700);
  write_file("b2b_engagement/1/weights.json", &weights);
  write_file("b2b_engagement/1/model.json", &json);
  buf_deinit(&weights), buf_deinit(&json), buf_deinit(&features);
}

static struct policy *load(const char *models) {
  struct policy_source source = {.policies_dir = INTENTD_ROOT "/policies",
                                 .models_dir = models,
                                 .scripts_dir = INTENTD_ROOT "/scripts",
                                 .name = "b2b_saas"};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  struct error err = {0};
  struct policy *loaded = NULL;
  must(policy_load(&source, &limits, &loaded, NULL, &err), &err);
  return loaded;
}

// ---- what is measured ----
enum step { STEP_COPY, STEP_WRITE, STEP_SEAL, STEPS };
static struct seal seal;
static struct buf section, sealed;
static double copy[FEATURES_MAX];

static double once(enum step step, const struct policy_scorers *scorers) {
  static const uint8_t key[LEAD_KEY_SIZE] = {1};
  static const struct lead_id lead = {{2}};
  double began = cpu_ns();
  for (int i = 0; i < TIMES; i++)
    for (int state = 0; state < STATES; state++) {
      if (step == STEP_COPY) memcpy(copy, values[state], MODEL_FEATURES * sizeof *copy);
      __asm__ volatile("" : : "r"(copy) : "memory");
      if (step == STEP_WRITE) buf_clear(&section), shapley_put_inputs(policy, scorers, values[state], texts, &section);
      if (step == STEP_SEAL) buf_clear(&sealed), seal_put(&seal, key, lead, buf_bytes(&section), &sealed);
    }
  return (cpu_ns() - began) / TIMES / STATES;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double measure(enum step step, const struct policy_scorers *scorers) {
  double times[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) times[i] = once(step, scorers);
  qsort(times, ROUNDS, sizeof *times, by_value);
  return times[ROUNDS / 2];
}

int main(void) {
  static const char *const names[STEPS] = {"copying 29 values (floor)", "writing what was read", "sealing it"};
  CHECK(mkdtemp(folder));
  struct policy *shipped = load(INTENTD_ROOT "/policies/models");
  write_model(shipped);
  policy = load(folder);
  struct policy_scorers scorers = policy_scorers(policy, 1);
  for (int state = 0; state < STATES; state++)
    for (int i = 0; i < FEATURES_MAX; i++) values[state][i] = unit() < 0.2 ? (double)NAN : floor(unit() * 100);
  seal_init(&seal);
  double floor_ns = 0;
  for (enum step step = 0; step < STEPS; step++) {
    double ns = measure(step, &scorers);
    if (step == STEP_COPY) floor_ns = ns;
    printf("%-28s %8.1f ns %8.1f x\n", names[step], ns, ns / floor_ns);
  }
  printf("the section: %zu bytes, sealed %zu\n", section.n, sealed.n);
  policy_release(policy), policy_release(shipped);
  buf_deinit(&section), buf_deinit(&sealed);
  char command[100];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return system(command) != 0;
}
