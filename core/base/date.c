// The calendar is counted in years that begin on 1 March: the leap day then ends its year, and the months' lengths
// follow 31,30,31,30,31 from there, which (153 * month + 2) / 5 sums. Eras are 400 years of 146097 days.
#include "base/date.h"

enum { DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468 }; // from 0000-03-01

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int64_t date_to_days(int64_t year, int month, int day) {
  if (month <= 2) year--;
  int64_t era = floor_div(year, 400), in_era = year - era * 400;
  int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * DAYS_PER_ERA + in_era * 365 + in_era / 4 - in_era / 100 + in_year - DAYS_TO_1970;
}

struct date date_of_days(int64_t days) {
  days += DAYS_TO_1970;
  int64_t era = floor_div(days, DAYS_PER_ERA), in_era = days - era * DAYS_PER_ERA;
  // Taking out the leap days before it makes every year 365 days long; the last of an era is the one that is left over.
  int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
  int64_t in_year = in_era - (365 * y + y / 4 - y / 100);
  int64_t m = (5 * in_year + 2) / 153;
  int month = (int)(m < 10 ? m + 3 : m - 9);
  return (struct date){y + era * 400 + (month <= 2), month, (int)(in_year - (153 * m + 2) / 5 + 1)};
}

int date_month_days(int64_t year, int month) {
  static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 ? leap : 0);
}
