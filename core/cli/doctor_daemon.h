// What server.info says, judged as the doctor judges a directory. Pure but for the clock.
#pragma once
#include "store/doctor.h"

void doctor_daemon(struct bytes info, const struct doctor_options *options, struct doctor_report *report);
