// A call of a method, for the files that serve some: serve_rpc.c has the table. Private to net/.
#pragma once
#include "net/conn.h"

struct call {
  struct conn *conn;
  uint32_t id;
  bool has_reply;
  const char *method;
  struct bytes param; // the only parameter, or the first; empty when the method takes none
  unsigned wants;     // by the second one, {trace, times}: INTAKE_TRACE, INTAKE_TIMES
};

void call_error(const struct call *call, const struct error *err);
// Begins an answer; false: a notification has none.
bool call_head(const struct call *call);
struct call call_of(const struct request *request);
// The task whose answer counts, of a question that was put to several partitions; and a request's end that passes it on.
const struct task *call_best(const struct request *request);
void call_done_any(struct request *request);
struct request *call_request(const struct call *call, uint32_t count, void (*done)(struct request *));

// serve_quarantine.c
bool quarantine_fix_call(const struct call *call);
bool quarantine_replay_call(const struct call *call);
// serve_quarantine_add.c
bool quarantine_add_call(const struct call *call);

// serve_sales.c
bool lead_sales_call(const struct call *call);
// serve_switch.c
bool workspace_switch_call(const struct call *call);

// serve_models.c
bool model_list_call(const struct call *call);
bool model_activate_call(const struct call *call);
bool model_rollback_call(const struct call *call);
bool model_canary_call(const struct call *call);
