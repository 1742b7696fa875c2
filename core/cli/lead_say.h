// intent lead ID --owner …: what sales says of a lead, as an event of it.
#pragma once
#include "cli/command.h"

#define LEAD_SAY_OPTIONS                                                                                               \
  {"owner", "NAME", "this person owns the lead from now on, whatever routes say"},                                     \
      {"no-owner", NULL, "nobody owns it by hand any more"}, {"stage", "NAME", "it is in this stage"},                 \
      {"disqualify", NULL, "it is left alone, until --requalify"}, {"requalify", NULL, "the policy decides again"},    \
      {"reject", NULL, "its owner gives it back"}, {"accept", NULL, "its owner took it"}, {                            \
    "why", "TEXT", "the reason, which the journal keeps"                                                               \
  }

bool lead_says(const struct args *args); // any of these options is there
int lead_say(const struct args *args);
