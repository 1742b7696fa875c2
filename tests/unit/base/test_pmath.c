#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Three questions: are the values right (against libquadmath's 113 bits), are they the same bits however the code is
// compiled, and are the special cases those of C11 Annex F? libquadmath comes with the compiler and is opened at run
// time; so is what the compiler makes of pmath.c at several levels. Without either, those tests say that they skip.
#include "../random.h"
#include "base/hash.h"
#include "base/pmath.h"
#include "base/pmath_table.h"

#include <dlfcn.h>
#include <math.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

typedef __float128 quad;
typedef double unary(double);
typedef double binary(double, double);
typedef quad quad_unary(quad);
typedef quad quad_binary(quad, quad);

static quad_unary *expq, *exp2q, *expm1q, *logq, *log1pq, *log2q, *log10q, *tanhq;
static quad_binary *powq;
static quad sigmoidq(quad x) { return 1 / (1 + expq(-x)); }

static bool open_quadmath(void) {
  void *library = dlopen("libquadmath.so.0", RTLD_NOW);
  if (!library) return false;
#define FIND(name) *(void **)&name = dlsym(library, #name)
  FIND(expq), FIND(exp2q), FIND(expm1q), FIND(logq), FIND(log1pq), FIND(log2q), FIND(log10q), FIND(tanhq), FIND(powq);
#undef FIND
  return expq && exp2q && expm1q && logq && log1pq && log2q && log10q && tanhq && powq;
}

static double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static uint64_t to_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static bool same(double a, double b) { return to_bits(a) == to_bits(b); }

#define canonical_nan from_bits((uint64_t)0x7FF8 << 48)

// ---- accuracy

// How far `got` is from `exact`, in units of the last place of the double next to `exact`.
static double ulps(double got, quad exact) {
  double nearest = (double)exact;
  if (isnan(nearest)) return same(got, canonical_nan) ? 0 : INFINITY;
  if (isinf(nearest) || isinf(got)) return got == nearest ? 0 : INFINITY;
  if (nearest == 0 && got == 0) return signbit(got) == signbit(nearest) ? 0 : INFINITY;
  int exponent;
  frexp(nearest, &exponent);
  if (nearest == 0 || exponent < -1021) exponent = -1021;
  quad difference = (quad)got - exact;
  if (difference < 0) difference = -difference;
  // In two steps: 2^scale itself may be beyond what a double holds.
  int scale = 53 - exponent;
  return (double)(difference * (quad)ldexp(1, scale / 2) * (quad)ldexp(1, scale - scale / 2));
}

static double between(double low, double high) { return low + (high - low) * random_unit(); }
static double any_double(void) { return from_bits(random_next()); }

// Where mistakes like to be: limits of every branch and their neighbours, powers of 2 and neighbours, halves.
static size_t edges(double *out, size_t limit) {
  static const double marks[] = {0,
                                 0x1p-1074,
                                 0x1p-1023,
                                 0x1p-1022,
                                 0x1p-66,
                                 0x1p-55,
                                 0x1p-54,
                                 0x1p-53,
                                 0x1p-28,
                                 0x1p-8,
                                 0.34657,
                                 0.5,
                                 0.69315,
                                 1,
                                 1.03972,
                                 1.41421,
                                 1.0078125,
                                 2,
                                 10,
                                 20,
                                 40,
                                 64,
                                 709.782712893384,
                                 710,
                                 708.39642,
                                 745.1332191019412,
                                 746,
                                 1023,
                                 1024,
                                 1025,
                                 1074,
                                 1075,
                                 1080,
                                 0x1p52,
                                 0x1p53,
                                 0x1p63,
                                 0x1p66,
                                 0x1p1023,
                                 1.7976931348623157e308,
                                 0.9921875,
                                 1.00390625,
                                 0.99609375};
  size_t n = 0;
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
    for (int64_t step = -40; step <= 40; step++)
      for (int sign = 0; sign < 2; sign++) {
        int64_t bits = (int64_t)to_bits(marks[i]) + step;
        if (bits < 0 || n == limit) continue;
        double x = from_bits((uint64_t)bits);
        out[n++] = sign ? -x : x;
      }
  for (int e = -1074; e <= 1023 && n + 6 < limit; e++)
    for (int step = -1; step <= 1; step++) {
      double x = from_bits(to_bits(ldexp(1, e)) + (uint64_t)(int64_t)step);
      out[n++] = x, out[n++] = -x;
    }
  return n;
}

enum { ROUNDS = 60000, EDGES = 32000 };
static double edge[EDGES];

struct range {
  double low, high;
};

static void measure(const char *name, unary *f, quad_unary *exact, double bound, const struct range *ranges) {
  double worst = 0, where = 0;
  size_t n = edges(edge, EDGES), count = n;
  for (size_t i = 0; i < n; i++) {
    double e = ulps(f(edge[i]), exact(edge[i]));
    if (e > worst) worst = e, where = edge[i];
  }
  for (int i = 0; i < ROUNDS; i++) {
    for (const struct range *r = ranges;; r++) {
      bool last = r->low == r->high;
      double x = last ? any_double() : between(r->low, r->high);
      double e = ulps(f(x), exact(x));
      if (!(e <= worst)) worst = e, where = x;
      count++;
      if (last) break;
    }
  }
  printf("pm_%-8s worst %.4f ULP of %zu, at %a\n", name, worst, count, where);
  if (!(worst <= bound)) fail_msg("pm_%s is wrong by %g ULP at %a", name, worst, where);
}

#define MEASURE(f, exact, bound, ...) measure(#f, pm_##f, exact, bound, (const struct range[]){__VA_ARGS__, {0, 0}})

static void values_are_right(void **state) {
  (void)state;
  if (!open_quadmath()) {
    print_message("libquadmath.so.0 is not there\n");
    skip();
  }
  MEASURE(exp, expq, 0.54, {-1, 1}, {-746, -708}, {-709, 709.8}, {-40, 40});
  MEASURE(expm1, expm1q, 0.68, {-1, 1}, {-0.36, 0.36}, {-45, 70}, {0.3, 1.2}, {60, 709.7}, {-0x1p-40, 0x1p-40});
  MEASURE(exp2, exp2q, 0.54, {-1, 1}, {-1076, -1020}, {-1022, 1024});
  MEASURE(log, logq, 0.501, {0.5, 2}, {0.99, 1.01}, {0, 1e-307}, {0, 1000});
  MEASURE(log1p, log1pq, 0.501, {-1, 1}, {-0.01, 0.01}, {-1, -0.99}, {0, 1000}, {-0x1p-40, 0x1p-40});
  MEASURE(log2, log2q, 0.501, {0.5, 2}, {0.99, 1.01}, {0, 1e-307}, {0, 1000});
  MEASURE(log10, log10q, 0.501, {0.5, 2}, {0.99, 1.01}, {0, 1e-307}, {0, 1000});
  MEASURE(tanh, tanhq, 0.62, {-1, 1}, {-0.2, 0.2}, {-21, 21});
  MEASURE(sigmoid, sigmoidq, 0.54, {-1, 1}, {-45, 45}, {-746, -30}, {-50, 0});
}

static void random_powers(int kind, double *x, double *y) {
  switch (kind) {
  case 0: *x = between(0.9, 1.1), *y = between(-7000, 7000); return;
  case 1: *x = fabs(any_double()), *y = between(-3, 3); return;
  case 2: *x = between(0, 100), *y = between(-170, 170); return;
  case 3: *x = any_double(), *y = (double)random_below(40) - 20; return;
  case 4: // results among the subnormals and around the largest double
    *x = exp(between(-700, 700));
    *y = (random_below(2) ? between(-746, -707) : between(709, 710)) / log(*x);
    return;
  case 5:
    *x = 1 + between(-1, 1) * ldexp(1, -(int)random_below(53)), *y = between(-1, 1) * ldexp(1, (int)random_below(64));
    return;
  default: *x = any_double(), *y = any_double();
  }
}

static void powers_are_right(void **state) {
  (void)state;
  if (!open_quadmath()) {
    print_message("libquadmath.so.0 is not there\n");
    skip();
  }
  double worst = 0, worst_x = 0, worst_y = 0;
  for (int i = 0; i < 7 * ROUNDS; i++) {
    double x, y;
    random_powers(i % 7, &x, &y);
    double e = ulps(pm_pow(x, y), powq(x, y));
    if (!(e <= worst)) worst = e, worst_x = x, worst_y = y;
  }
  printf("pm_pow      worst %.4f ULP of %d, at %a, %a\n", worst, 7 * ROUNDS, worst_x, worst_y);
  if (!(worst <= 0.54)) fail_msg("pm_pow is wrong by %g ULP at %a, %a", worst, worst_x, worst_y);
}

static void the_table_is_what_it_says(void **state) {
  (void)state;
  if (!open_quadmath()) skip();
  for (unsigned i = 0; i < LOG_ROWS; i++) {
    const struct log_row *row = &log_table[i];
    double reciprocal = i < LOG_FIRST_HALVED ? row->inverse : 2 * row->inverse, c = 1 + i / 128.0;
    assert_true(row->inverse * 2048 == (double)(int)(row->inverse * 2048));
    assert_true(fabs(row->inverse * c - 1) < 0x1p-10);
    assert_true(row->log_h * 0x1p42 == (double)(int64_t)(row->log_h * 0x1p42));
    quad error = (quad)row->log_h + (quad)row->log_l + logq(reciprocal);
    assert_true(error < 0x1p-96 && error > -0x1p-96);
  }
}

// What a probability or a points scale relies on: exact where the result is a double, and no step back.
static void exact_cases_and_monotony(void **state) {
  (void)state;
  double ten = 1;
  for (int n = 0; n <= 22; n++, ten *= 10) {
    assert_true(pm_log10(ten) == n);
    assert_true(pm_pow(10, n) == ten);
  }
  for (int n = -1074; n <= 1023; n++) {
    double p = ldexp(1, n);
    assert_true(pm_log2(p) == n && pm_exp2(n) == p && pm_pow(2, n) == p);
  }
  for (int i = 0; i < 100000; i++) {
    double x = (double)random_below(1 << 26);
    assert_true(pm_pow(x, 2) == x * x && pm_pow(x * x, 0.5) == x && pm_pow(-x, 3) == -pm_pow(x, 3));
    assert_true(pm_pow(x, 1) == x);
    double a = between(-40, 40), b = a + between(0, 1e-3);
    assert_true(pm_sigmoid(a) <= pm_sigmoid(b) && pm_tanh(a) <= pm_tanh(b) && pm_exp(a) <= pm_exp(b));
    assert_true(pm_tanh(-a) == -pm_tanh(a) && pm_sigmoid(a) >= 0 && pm_sigmoid(a) <= 1);
  }
  assert_true(pm_sigmoid(0) == 0.5 && pm_exp(0) == 1 && pm_log(1) == 0 && pm_exp(1) == 0x1.5bf0a8b145769p+1);
}

// ---- special cases

static void special_cases_are_those_of_annex_f(void **state) {
  (void)state;
  const double inf = INFINITY, nan_out = canonical_nan, tiny = 0x1p-1074, big = 0x1.fffffffffffffp+1023;
  const struct {
    unary *f;
    double x, result;
  } cases[] = {
      {pm_exp, 0.0, 1},
      {pm_exp, -0.0, 1},
      {pm_exp, -inf, 0.0},
      {pm_exp, inf, inf},
      {pm_exp, big, inf},
      {pm_exp, -big, 0.0},
      {pm_exp, tiny, 1},
      {pm_exp2, 0.0, 1},
      {pm_exp2, -0.0, 1},
      {pm_exp2, -inf, 0.0},
      {pm_exp2, inf, inf},
      {pm_exp2, 1024, inf},
      {pm_exp2, -1074, tiny},
      {pm_exp2, -1075, 0.0},
      {pm_exp2, big, inf},
      {pm_exp2, -big, 0.0},
      {pm_expm1, 0.0, 0.0},
      {pm_expm1, -0.0, -0.0},
      {pm_expm1, -inf, -1},
      {pm_expm1, inf, inf},
      {pm_expm1, big, inf},
      {pm_expm1, tiny, tiny},
      {pm_log, 0.0, -inf},
      {pm_log, -0.0, -inf},
      {pm_log, 1, 0.0},
      {pm_log, -1, nan_out},
      {pm_log, -inf, nan_out},
      {pm_log, inf, inf},
      {pm_log, -tiny, nan_out},
      {pm_log2, 0.0, -inf},
      {pm_log2, -0.0, -inf},
      {pm_log2, 1, 0.0},
      {pm_log2, -1, nan_out},
      {pm_log2, inf, inf},
      {pm_log2, -inf, nan_out},
      {pm_log2, tiny, -1074},
      {pm_log10, 0.0, -inf},
      {pm_log10, -0.0, -inf},
      {pm_log10, 1, 0.0},
      {pm_log10, -1, nan_out},
      {pm_log10, inf, inf},
      {pm_log10, -inf, nan_out},
      {pm_log1p, 0.0, 0.0},
      {pm_log1p, -0.0, -0.0},
      {pm_log1p, -1, -inf},
      {pm_log1p, -1.5, nan_out},
      {pm_log1p, -inf, nan_out},
      {pm_log1p, inf, inf},
      {pm_log1p, tiny, tiny},
      {pm_tanh, 0.0, 0.0},
      {pm_tanh, -0.0, -0.0},
      {pm_tanh, inf, 1},
      {pm_tanh, -inf, -1},
      {pm_tanh, big, 1},
      {pm_tanh, -tiny, -tiny},
      {pm_sigmoid, 0.0, 0.5},
      {pm_sigmoid, -0.0, 0.5},
      {pm_sigmoid, inf, 1},
      {pm_sigmoid, -inf, 0.0},
      {pm_sigmoid, big, 1},
      {pm_sigmoid, -big, 0.0},
      {pm_floor, 0.0, 0.0},
      {pm_floor, -0.0, -0.0},
      {pm_floor, inf, inf},
      {pm_floor, -inf, -inf},
      {pm_floor, -tiny, -1},
      {pm_floor, tiny, 0.0},
      {pm_ceil, -0.0, -0.0},
      {pm_ceil, -0.5, -0.0},
      {pm_ceil, -0.7, -0.0},
      {pm_ceil, tiny, 1},
      {pm_ceil, -inf, -inf},
      {pm_round_even, -0.5, -0.0},
      {pm_round_even, 0.5, 0.0},
      {pm_round_even, 1.5, 2},
      {pm_round_even, 2.5, 2},
      {pm_round_even, -0.0, -0.0},
      {pm_round_even, inf, inf},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (!same(cases[i].f(cases[i].x), cases[i].result))
      fail_msg("row %zu: f(%a) is %a", i, cases[i].x, cases[i].f(cases[i].x));

  unary *const all[] = {pm_exp,   pm_expm1, pm_exp2,    pm_log,   pm_log1p, pm_log2,
                        pm_log10, pm_tanh,  pm_sigmoid, pm_floor, pm_ceil,  pm_round_even};
  const uint64_t nans[] = {0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000123, 0xFFF0000000000001,
                           0x7FF0000000000001};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    for (size_t k = 0; k < sizeof nans / sizeof *nans; k++)
      if (!same(all[i](from_bits(nans[k])), nan_out)) fail_msg("function %zu keeps the NaN %zu", i, k);
}

// Every pair of what is special: glibc's pow follows Annex F too, and these results are exact in both.
static void special_cases_of_pow(void **state) {
  (void)state;
  const double inf = INFINITY, big = 0x1.fffffffffffffp+1023;
  const double values[] = {0,
                           0x1p-1074,
                           0x1p-1022,
                           0.5,
                           0x1.fffffffffffffp-1,
                           1,
                           0x1.0000000000001p0,
                           2,
                           3,
                           4,
                           0x1p51,
                           0x1p52,
                           0x1.0000000000001p52,
                           0x1.fffffffffffffp52,
                           0x1p53,
                           0x1.0000000000001p53,
                           0x1p66,
                           big,
                           inf,
                           NAN};
  enum { N = sizeof values / sizeof *values };
  for (int i = 0; i < 2 * N; i++)
    for (int j = 0; j < 2 * N; j++) {
      double x = i % 2 ? -values[i / 2] : values[i / 2], y = j % 2 ? -values[j / 2] : values[j / 2];
      double got = pm_pow(x, y), expected = pow(x, y);
      if (isnan(expected)) expected = canonical_nan;
      bool near = fabs(expected) > 0x1p-1022 && fabs(expected) < inf && fabs(got / expected - 1) < 0x1p-51 &&
                  signbit(got) == signbit(expected);
      if (!same(got, expected) && !near) fail_msg("pow(%a, %a) is %a, not %a", x, y, got, expected);
    }
}

static void whole_numbers_agree_with_libm(void **state) {
  (void)state;
  for (int i = 0; i < 3000000; i++) {
    double x = i % 3 == 0 ? any_double() : i % 3 == 1 ? between(-1e3, 1e3) : (double)(int64_t)random_next() * 0x1p-10;
    if (i % 5 == 0) x = floor(x) + 0.5;
    if (isnan(x)) continue;
    if (!same(pm_floor(x), floor(x)) || !same(pm_ceil(x), ceil(x)) || !same(pm_round_even(x), nearbyint(x)))
      fail_msg("%a", x);
  }
}

// The exact product needs at most 63 bits: x87's long double holds it, and 113 bits hold it with room.
static long long oracle_milli(double points) {
  quad exact = (quad)points * 1000;
  long long whole = (long long)exact;
  if ((quad)whole > exact) whole--;
  quad rest = exact - (quad)whole;
  return whole + (rest > (quad)0.5 || (rest == (quad)0.5 && whole % 2 != 0));
}

static void milli_is_exact(void **state) {
  (void)state;
  assert_int_equal(pm_milli(0), 0);
  assert_int_equal(pm_milli(-0.0), 0);
  assert_int_equal(pm_milli(12.3456), 12346);
  assert_int_equal(pm_milli(-12.3456), -12346);
  assert_int_equal(pm_milli(0.0625), 62); // 62.5 exactly
  assert_int_equal(pm_milli(0.1875), 188);
  assert_int_equal(pm_milli(-0.0625), -62);
  assert_int_equal(pm_milli(9e12), 9000000000000000);
  assert_int_equal(pm_milli(-9e12), -9000000000000000);
  assert_int_equal(pm_milli(0x1p-1074), 0);
  int products_that_deceive = 0;
  for (int i = 0; i < 3000000; i++) {
    double x = between(-1, 1) * ldexp(9e12, -(int)random_below(60));
    if (i % 2) x = ((double)(int64_t)(x * 1000) + 0.5) / 1000; // next to a tie, mostly beside it
    if (fabs(x) > 9e12) continue;
    long long expected = oracle_milli(x);
    products_that_deceive += llrint(x * 1000) != expected;
    if (pm_milli(x) != expected) fail_msg("%a: %lld, not %lld", x, pm_milli(x), expected);
  }
  assert_true(products_that_deceive > 100); // so the test is worth something
}

// ---- the same bits however it is compiled

struct library {
  unary *one[12];
  binary *pow;
  long long (*milli)(double);
};

static const char *const names[12] = {"pm_exp",   "pm_expm1", "pm_exp2",    "pm_log",   "pm_log1p", "pm_log2",
                                      "pm_log10", "pm_tanh",  "pm_sigmoid", "pm_floor", "pm_ceil",  "pm_round_even"};
static const struct library ours = {{pm_exp, pm_expm1, pm_exp2, pm_log, pm_log1p, pm_log2, pm_log10, pm_tanh,
                                     pm_sigmoid, pm_floor, pm_ceil, pm_round_even},
                                    pm_pow,
                                    pm_milli};

// A fixed sequence, apart from SEED: bit patterns of all kinds, and values of everyday size.
static double golden_input(uint64_t i) {
  uint64_t h = hash_mix(i, 0x706D617468);
  switch (i % 4) {
  case 0: return from_bits(h);
  case 1: return (hash_unit(h) - 0.5) * 100;
  case 2: return (hash_unit(h) - 0.5) * 1600;
  default: return from_bits((h & 0x800FFFFFFFFFFFFF) | (0x3F0 + (h >> 52) % 32) << 52);
  }
}

static uint64_t golden_hash(const struct library *l) {
  uint64_t hash = 0;
  for (uint64_t i = 0; i < 200000; i++) {
    double x = golden_input(i), y = golden_input(i / 3 + 1000000), out[14];
    for (int f = 0; f < 12; f++) out[f] = l->one[f](x);
    out[12] = l->pow(x, y);
    out[13] = x <= 9e12 && x >= -9e12 ? (double)l->milli(x) : 0;
    hash = hash64_seed(bytes_of(out, sizeof out), hash);
  }
  return hash;
}

// Journals hold decisions made with these bits: another value here is a change of the engine's semantics version.
static const uint64_t golden = 0x23ccb0a59480325d;

static void the_bits_are_golden(void **state) {
  (void)state;
  uint64_t hash = golden_hash(&ours);
  if (hash != golden) fail_msg("the hash of the results is 0x%016llx", (unsigned long long)hash);
}

static bool run(char *const *argv) {
  pid_t child;
  int status;
  if (posix_spawnp(&child, argv[0], NULL, NULL, argv, environ) != 0) return false;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Compiles core/base/pmath.c with the options in `options`, and hashes what comes out; false when there is no compiler.
static bool hash_compiled(const char *compiler, const char *options, uint64_t *hash) {
  char folder[] = "/tmp/intentd-pmath-XXXXXX", path[64], command[1000];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/pmath.so", folder);
  snprintf(command, sizeof command,
           "command -v %s >%s/which && exec %s -std=gnu11 -ffp-contract=off %s -shared -fPIC -Icore -o %s "
           "core/base/pmath.c core/base/check.c",
           compiler, folder, compiler, options, path);
  char sh[] = "sh", dash_c[] = "-c", *argv[] = {sh, dash_c, command, NULL};
  bool built = run(argv);
  if (built) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    struct library l;
    for (int i = 0; i < 12; i++) *(void **)&l.one[i] = dlsym(library, names[i]);
    *(void **)&l.pow = dlsym(library, "pm_pow");
    *(void **)&l.milli = dlsym(library, "pm_milli");
    assert_ptr_not_equal(*(void **)&l.pow, *(void *const *)&ours.pow); // or the hash would be that of this program
    *hash = golden_hash(&l);
    dlclose(library);
  }
  unlink(path);
  snprintf(path, sizeof path, "%s/which", folder);
  unlink(path);
  rmdir(folder);
  return built;
}

static void every_way_of_compiling_gives_the_same_bits(void **state) {
  (void)state;
  static const char *const options[] = {"-O0",
                                        "-O1",
                                        "-O2",
                                        "-Os",
                                        "-O3 -march=native",
                                        "-O3 -march=x86-64",
                                        "-O2 -mfpmath=sse -ftree-vectorize -funroll-loops -flto"};
  static const char *const compilers[] = {"gcc", "clang"};
  int built = 0;
  for (int c = 0; c < 2; c++)
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
      uint64_t hash;
      if (strcmp(compilers[c], "clang") == 0 && strstr(options[i], "lto")) continue; // needs a linker of its own
      if (!hash_compiled(compilers[c], options[i], &hash)) {
        print_message("%s %s: no such compiler\n", compilers[c], options[i]);
        continue;
      }
      built++;
      if (hash != golden) fail_msg("%s %s: 0x%016llx", compilers[c], options[i], (unsigned long long)hash);
    }
  printf("%d ways of compiling\n", built);
  if (built == 0) skip();
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_right),
      cmocka_unit_test(powers_are_right),
      cmocka_unit_test(the_table_is_what_it_says),
      cmocka_unit_test(exact_cases_and_monotony),
      cmocka_unit_test(special_cases_are_those_of_annex_f),
      cmocka_unit_test(special_cases_of_pow),
      cmocka_unit_test(whole_numbers_agree_with_libm),
      cmocka_unit_test(milli_is_exact),
      cmocka_unit_test(the_bits_are_golden),
      cmocka_unit_test(every_way_of_compiling_gives_the_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
