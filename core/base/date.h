// The proleptic Gregorian calendar: days since 1970-01-01 and dates. Pure.
#pragma once
#include <stdint.h>

struct date {
  int64_t year;
  int month, day; // from 1
};

int64_t date_to_days(int64_t year, int month, int day); // the day may lie outside its month: it is counted on
struct date date_of_days(int64_t days);
int date_month_days(int64_t year, int month);
