// What the outcome says of offers: the one that was taken, and those that were worth more and were not, each with why.
// Nothing of it is believed before it holds together (policy/artifact.h). Pure.
#include "policy/parts.h"

#include <math.h>

static const char *const names[POLICY_HELD_COUNT] = {[POLICY_HELD_HOLD_OUT] = "hold_out",
                                                     [POLICY_HELD_PER_LEAD] = "per_lead",
                                                     [POLICY_HELD_NOT_ELIGIBLE] = "not_eligible",
                                                     [POLICY_HELD_MODE] = "mode",
                                                     [POLICY_HELD_CONSENT] = "consent",
                                                     [POLICY_HELD_COOL_DOWN] = "cool_down",
                                                     [POLICY_HELD_AT_MOST] = "at_most",
                                                     [POLICY_HELD_PER_CHANNEL] = "per_channel",
                                                     [POLICY_HELD_QUIET] = "quiet",
                                                     [POLICY_HELD_EXPLORED] = "explored",
                                                     [POLICY_HELD_SWITCH] = "switch"};

const char *policy_held_name(enum policy_held held) { return held < POLICY_HELD_COUNT ? names[held] : NULL; }

struct reading {
  const struct artifact *a;
  const double *out;
  struct error *err;
};

static double value(const struct reading *r, enum artifact_out slot, size_t index) {
  return r->out[r->a->out[slot] + index];
}

static int disbelieve(const struct reading *r, enum artifact_out slot, size_t index, const char *why) {
  return error_set(r->err, ITD_ESTOPPED, "the policy's outcome does not hold: %s[%zu] is %.17g, %s",
                   artifact_out_name(slot), index, value(r, slot, index), why);
}

static bool is_whole(double x, double least, double most) { return x >= least && x <= most && x == (double)(int64_t)x; }

static const char wrong_number[] = "no whole number that may stand there";

// Whether it holds all of a lead's offers back, and not one by itself.
static bool holds_all(enum policy_held held) { return held == POLICY_HELD_HOLD_OUT || held == POLICY_HELD_PER_LEAD; }
static bool holds_one(enum policy_held held) { return held >= POLICY_HELD_CONSENT && held < POLICY_HELD_EXPLORED; }

static int read_taken(const struct reading *r, enum policy_held *held, struct policy_outcome *o) {
  double action = value(r, OUT_ACTION, 0), code = value(r, OUT_HELD, 0), explored = value(r, OUT_EXPLORED, 0);
  if (!is_whole(action, 0, (double)r->a->count[POLICY_ACTIONS] - 1)) return disbelieve(r, OUT_ACTION, 0, wrong_number);
  if (!is_whole(code, 0, POLICY_HELD_COUNT - 1) || (int)code == POLICY_HELD_EXPLORED)
    return disbelieve(r, OUT_HELD, 0, wrong_number);
  if (!is_whole(explored, 0, 1)) return disbelieve(r, OUT_EXPLORED, 0, wrong_number);
  o->action = (int)action;
  o->explored = explored > 0;
  *held = (enum policy_held)(int)code;
  o->held = policy_held_name(*held);
  o->propensity = value(r, OUT_PROPENSITY, 0);
  if (!(o->propensity > 0 && o->propensity <= 1)) return disbelieve(r, OUT_PROPENSITY, 0, "no probability above 0");
  o->utility = value(r, OUT_UTILITY, 0);
  if (!isfinite(o->utility)) return disbelieve(r, OUT_UTILITY, 0, "no finite number");
  if (o->action > 0) {
    if (o->held) return disbelieve(r, OUT_HELD, 0, "and an action was taken");
    size_t offer = (size_t)o->action - 1;
    double own = value(r, OUT_OFFERS_HELD, offer), utility = value(r, OUT_OFFERS, offer);
    if (own == own) return disbelieve(r, OUT_OFFERS_HELD, offer, "and it was taken");
    if (!(utility >= o->utility && utility <= o->utility))
      return disbelieve(r, OUT_OFFERS, offer, "not the utility of what was taken");
  }
  o->utility += 0.0; // a negative zero becomes an ordinary one
  return 0;
}

// Offers are read in order, so that of equals the first stands first.
static void add(struct policy_outcome *o, size_t offer, double utility, enum policy_held why) {
  int at = o->suppressed_count < POLICY_SUPPRESSED_MAX ? o->suppressed_count : POLICY_SUPPRESSED_MAX - 1;
  bool is_full = o->suppressed_count == POLICY_SUPPRESSED_MAX;
  o->suppressed_more += is_full;
  if (is_full && utility <= o->suppressed[at].utility) return;
  for (; at > 0 && o->suppressed[at - 1].utility < utility; at--) o->suppressed[at] = o->suppressed[at - 1];
  o->suppressed[at] = (struct policy_suppressed){
      .action = (uint16_t)(offer + 1), .utility = utility + 0.0, .why = policy_held_name(why)};
  o->suppressed_count += !is_full;
}

static int read_offer(const struct reading *r, size_t offer, enum policy_held held, struct policy_outcome *o) {
  double utility = value(r, OUT_OFFERS, offer), own = value(r, OUT_OFFERS_HELD, offer);
  bool has_own = own == own;
  if (has_own && !(is_whole(own, 0, POLICY_HELD_COUNT - 1) && holds_one((enum policy_held)(int)own)))
    return disbelieve(r, OUT_OFFERS_HELD, offer, "which holds no offer back by itself");
  if (utility != utility && has_own) return disbelieve(r, OUT_OFFERS_HELD, offer, "and it is not open");
  if (utility != utility) return 0;
  if (!isfinite(utility)) return disbelieve(r, OUT_OFFERS, offer, "no finite number");
  bool would_go_first = utility > o->utility || (utility >= o->utility && (int)offer + 1 < o->action);
  if (!would_go_first) return 0;
  if (has_own)
    add(o, offer, utility, (enum policy_held)(int)own);
  else if (holds_all(held))
    add(o, offer, utility, held);
  else if (o->explored && o->action > 0)
    add(o, offer, utility, POLICY_HELD_EXPLORED);
  else
    return disbelieve(r, OUT_OFFERS, offer, "more than what was taken, and nothing held it back");
  return 0;
}

int offers_read(const struct artifact *artifact, const double *out, struct policy_outcome *o, struct error *err) {
  const struct reading r = {.a = artifact, .out = out, .err = err};
  enum policy_held held = POLICY_HELD_NONE;
  o->suppressed_count = o->suppressed_more = 0;
  int status = read_taken(&r, &held, o);
  for (size_t i = 0; i + 1 < artifact->count[POLICY_ACTIONS] && status == 0; i++) status = read_offer(&r, i, held, o);
  return status;
}
