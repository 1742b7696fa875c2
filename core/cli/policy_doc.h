// intent policy doc DIR: a policy's decision boundaries as a page. For policy.c.
#pragma once
#include "cli/command.h"

int policy_doc(const struct args *args, const char *dir); // --html; the command's exit code
