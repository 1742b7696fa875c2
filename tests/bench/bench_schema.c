// What schemas cost an event, beside what decoding it costs: a usual event and a usual schema of it, a set of thirty, an
// event that no schema is for, and one of an older version.
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "schema/schema.h"

#define ROUNDS 200000

#define EVENT_OF                                                                                                       \
  "{\"messageId\":\"m-00000001-000000000001\",\"type\":\"track\",\"event\":\"%s\",\"userId\":\"u000012345\","          \
  "\"timestamp\":1767225600050,\"channel\":\"web\",%s\"properties\":{\"plan\":\"pro\",\"seats\":12,\"annual\":true,"   \
  "\"path\":\"/p/123\",\"duration_ms\":64000},\"context\":{\"ip\":\"203.0.113.7\",\"locale\":\"en-GB\"}}"
static const char fields[] =
    "{\"path\":\"properties.plan\",\"type\":\"text\",\"is\":[\"free\",\"pro\",\"team\"],\"required\":true},"
    "{\"path\":\"properties.seats\",\"type\":\"integer\",\"at_least\":1,\"at_most\":100000},"
    "{\"path\":\"properties.annual\",\"type\":\"bool\"},"
    "{\"path\":\"properties.path\",\"type\":\"text\",\"max_length\":200},"
    "{\"path\":\"properties.duration_ms\",\"type\":\"number\",\"at_least\":0}";

static struct schema_set *compile(int count) {
  struct buf json = {0}, b = {0};
  struct schema_set *set;
  struct error err = {0};
  buf_append_str(
      &json,
      "[{\"name\":\"old\",\"version\":1},{\"name\":\"old\",\"version\":2,\"upcast\":["
      "{\"rename\":\"properties.seats\",\"to\":\"places\"},{\"scale\":\"properties.duration_ms\",\"by\":0.001}]}");
  for (int i = 0; i < count; i++)
    buf_printf(&json,
               ",{\"name\":\"s%d\",\"version\":1,\"on\":[{\"type\":\"track\",\"event\":\"Event %d\"}],\"fields\":[%s]}",
               i, i, fields);
  buf_append_str(&json, "]");
  if (mp_from_json(buf_bytes(&json), &MP_LIMITS_DEFAULT, &b, &err) != 0 ||
      schema_set_compile(buf_bytes(&b), &set, &err) != 0)
    fprintf(stderr, "%s\n", err.text), exit(1);
  buf_deinit(&json), buf_deinit(&b);
  return set;
}

static void run(const char *what, int schemas, const char *name, const char *claim) {
  struct schema_set *set = compile(schemas);
  struct buf json = {0}, b = {0};
  struct error err = {0};
  struct schema_scratch scratch = {0};
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  double best[2] = {1e9, 1e9};
  buf_printf(&json, EVENT_OF, name, claim);
  if (mp_from_json(buf_bytes(&json), &MP_LIMITS_DEFAULT, &b, &err) != 0) fprintf(stderr, "%s\n", err.text), exit(1);
  for (int round = 0; round < 15; round++) {
    struct event e, seen;
    struct event_digits d;
    uint64_t t[3];
    t[0] = clock_mono_ns();
    for (int i = 0; i < ROUNDS; i++) {
      __asm__ volatile("" ::"r"(b.p) : "memory");
      if (event_decode(buf_bytes(&b), 1767225601000, &limits, &d, &e, &err) != 0) exit(1);
    }
    t[1] = clock_mono_ns();
    for (int i = 0; i < ROUNDS; i++) {
      __asm__ volatile("" ::"r"(b.p) : "memory");
      if (schema_judge(set, &e, &scratch, &seen, &err) != 0) fprintf(stderr, "%s\n", err.text), exit(1);
    }
    t[2] = clock_mono_ns();
    for (int k = 0; k < 2; k++)
      if ((double)(t[k + 1] - t[k]) / ROUNDS < best[k]) best[k] = (double)(t[k + 1] - t[k]) / ROUNDS;
  }
  printf("%-34s decode %.0f ns, judge %.0f ns: ratio %.2f\n", what, best[0], best[1], best[1] / best[0]);
  schema_scratch_deinit(&scratch);
  schema_set_free(set);
  buf_deinit(&json), buf_deinit(&b);
}

int main(void) {
  run("one schema of 5 fields", 1, "Event 0", "");
  run("thirty schemas, one is for it", 30, "Event 29", "");
  run("thirty schemas, none is for it", 30, "Other", "");
  run("an upcast of 2 steps", 1, "Other", "\"schema\":\"old@1\",");
  return 0;
}
