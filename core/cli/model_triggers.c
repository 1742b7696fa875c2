#include "cli/model.h"
int model_triggers(const struct args *args) {
  (void)args;
  return COMMAND_OK;
}
