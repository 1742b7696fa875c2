// Portable transcendental functions: the same bits on every x86-64 machine, compiler and optimisation level.
// Only IEEE-754 add, subtract, multiply, divide, comparison and integer operations on the bits are used: no FMA, no
// libm, no tables read from elsewhere. Compile with -ffp-contract=off; rounding is to nearest. Errors over the whole
// range, tested against __float128: logarithms 0.501 ULP; pm_exp, pm_exp2, pm_pow and pm_sigmoid 0.54; pm_tanh 0.62;
// pm_expm1 0.68. Special cases are those of C11 Annex F (values; no floating-point flags). NaN results are the
// canonical quiet NaN. The bits are part of the engine's semantics version: journals hold decisions made with them.
#pragma once

double pm_exp(double x);
double pm_expm1(double x);
double pm_exp2(double x);
double pm_log(double x);
double pm_log1p(double x);
double pm_log2(double x);
double pm_log10(double x);
double pm_pow(double x, double y);
double pm_tanh(double x);
double pm_sigmoid(double x); // 1 / (1 + exp(-x)), without overflow
double pm_floor(double x);
double pm_ceil(double x);
double pm_round_even(double x); // to the nearest integer, ties to even
// A value in points to whole thousandths of a point, ties to even; |points| up to 9e12, CHECKed not NaN.
long long pm_milli(double points);
