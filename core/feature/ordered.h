// Ordered ops: those to which the order of matches counts (funnel, sequence, co_occurrence). Each is a machine that
// takes one match after the other, in their order, and a list of matches that are still pending: the newest, sorted.
// A late match is put into the list where it belongs. The oldest leaves the list for the machine when it is older than
// `lateness` before the newest, or when the list is full (`pending`). What is read is a second machine, which has had
// the pending ones, too: as if all had come in order.
// So the order of arrival never shows while a match that comes late is younger than all that the machine has had. One
// that is older changes nothing.
//
// The order of matches is that of their times; of equal times, that of the steps they do as a binary number, step 1
// being its lowest bit.
#pragma once
#include "feature/ops.h"

#define MACHINE_MAX 320 // bytes of a machine

struct machine {
  uint32_t steps_max;
  size_t (*size)(const struct feature *f); // a multiple of 8
  void (*init)(const struct feature *f, uint8_t *machine);
  void (*step)(const struct feature *f, uint8_t *machine, int64_t time_ms, uint32_t steps);
  double (*read)(const struct feature *f, const uint8_t *machine, int64_t now_ms);
  // Both have had all matches that they will have before the same moment. A machine that has had none changes nothing.
  void (*join)(const struct feature *f, uint8_t *into, const uint8_t *other);
};
extern const struct machine machine_funnel, machine_sequence, machine_pairs;
