// Model files as text, for the tests of this layer: good ones to break, and the digest that ties the two together.
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "model/model.h"

// A model.json without its digest: the place where it goes is a row of 64 x.
#define DIGEST_PLACE "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const char good_model[] =
    "{\"name\": \"buyers\", \"version\": \"1\", \"kind\": \"logistic\", \"sha256\": \"" DIGEST_PLACE "\",\n"
    " \"target\": \"bought within 30 days\",\n"
    " \"scale\": {\"points_to_double_odds\": 10, \"points_at_even_odds\": 50},\n"
    " \"features\": [{\"name\": \"visits\", \"definition\": null},\n"
    "   {\"name\": \"amount\", \"definition\": \"00000000000000ff\"},\n"
    "   {\"name\": \"idle\", \"definition\": null}, {\"name\": \"region\", \"definition\": null}],\n"
    " \"trained\": {\"by\": \"a person\", \"when\": \"2026-01-05\", \"window\": \"2025\", \"data\": \"ours\", "
    "\"rows\": 12},\n"
    " \"metrics\": {\"auc\": 0.75, \"note\": \"on later data\"},\n"
    " \"rationale\": \"Who comes back, buys.\"}";

static const char good_weights[] =
    "{\"intercept\": -1.5, \"terms\": [\n"
    "  {\"feature\": \"visits\", \"weight\": 0.25, \"missing\": 0},\n"
    "  {\"feature\": \"amount\", \"weight\": 0.125, \"transform\": \"log1p\", \"max\": 50000, \"missing\": 1000},\n"
    "  {\"feature\": \"idle\", \"weight\": -0.5, \"transform\": \"clip\", \"min\": 0, \"max\": 10, \"missing\": 10},\n"
    "  {\"feature\": \"region\", \"levels\": {\"emea\": 0.5, \"amer\": -0.25}, \"other\": 0, \"missing\": -1}]}";

static const char good_scorecard[] =
    "{\"base\": 30, \"terms\": [\n"
    "  {\"feature\": \"visits\", \"bins\": [{\"under\": 1, \"points\": -10}, {\"under\": 5, \"points\": 2.5},"
    " {\"points\": 20}], \"missing\": -1},\n"
    "  {\"feature\": \"amount\", \"bins\": [{\"points\": 3}], \"missing\": 0},\n"
    "  {\"feature\": \"idle\", \"bins\": [{\"under\": 0, \"points\": 1}, {\"points\": 0}], \"missing\": 0},\n"
    "  {\"feature\": \"region\", \"levels\": {\"emea\": 10, \"amer\": -5}, \"other\": 0, \"missing\": -2}]}";

static inline uint64_t test_seed(void) {
  const char *text = getenv("SEED");
  uint64_t seed = 20260105;
  if (text) seed = strtoull(text, NULL, 10);
  printf("SEED=%llu\n", (unsigned long long)seed);
  return seed;
}

static inline uint64_t test_random(uint64_t *state) { return *state = hash_mix(*state, 0x9e3779b97f4a7c15u); }
static inline double test_unit(uint64_t *state) { return hash_unit(test_random(state)); }

// `text` with the first `from` replaced by `to`; a test whose place is not there is a broken test. free() it.
static inline char *text_replace(const char *text, const char *from, const char *to) {
  const char *at = strstr(text, from);
  if (!at) fprintf(stderr, "not in the text: %s\n", from), abort();
  struct buf out;
  buf_init(&out);
  buf_append(&out, text, (size_t)(at - text));
  buf_append_str(&out, to);
  buf_append_str(&out, at + strlen(from));
  buf_append_u8(&out, 0);
  return (char *)out.p;
}

// `model_json` with the digest of `weights` in its place, when there still is such a place. free() it.
static inline char *text_sign(const char *model_json, struct bytes weights) {
  uint8_t digest[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1];
  sha256_of(weights, digest);
  hex_encode(bytes_of(digest, sizeof(digest)), hex);
  return strstr(model_json, DIGEST_PLACE) ? text_replace(model_json, DIGEST_PLACE, hex) : xstrdup(model_json);
}

// Parses two texts, signed.
static inline int parse_texts(const char *model_json, const char *weights, struct model **out, struct error *err) {
  char *signed_json = text_sign(model_json, bytes_str(weights));
  int status = model_parse(bytes_str(signed_json), bytes_str(weights), out, err);
  free(signed_json);
  return status;
}
