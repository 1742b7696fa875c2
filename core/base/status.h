// The one way of failing: a function that can fail returns 0 or a negative ITD_E… code, hands results back through
// out-pointers (untouched on failure), and, where a person will read about it, fills an optional `struct error`.
// Foreign codes (errno, LMDB, Lua, libevent) are translated only in the module that wraps that library.
#pragma once
#include <stdbool.h>

// XX(name, number, wire code, may the sender simply try again?)
// The wire code is what senders see in an error's `code`; it never changes once released (docs/protocol.md lists them).
#define ITD_STATUS_MAP(XX)                                                                                             \
  XX(EINVAL, 1, "invalid_argument", false)  /* a parameter of a call or an option */                                   \
  XX(EEVENT, 2, "invalid_event", false)     /* the event breaks section 5: missing who, wrong type of a key */         \
  XX(EFRAME, 3, "invalid_message", false)   /* bytes that are not the protocol */                                      \
  XX(ETOOBIG, 4, "too_large", false)        /* over a named limit */                                                   \
  XX(ETIME, 5, "time_out_of_bounds", false) /* timestamp too late or too far ahead */                                  \
  XX(EMETHOD, 6, "unknown_method", false)                                                                              \
  XX(ENOTFOUND, 7, "not_found", false)                                                                                 \
  XX(EAUTH, 8, "unauthorized", false)                                                                                  \
  XX(EBUSY, 9, "busy", true)          /* at a bound, or in use by another; later it may work */                        \
  XX(EFULL, 10, "storage_full", true) /* no room on the disk */                                                        \
  XX(EIO, 11, "storage_failed", true)                                                                                  \
  XX(ECORRUPT, 12, "corrupt", false)       /* a checksum or a format does not hold */                                  \
  XX(EVERSION, 13, "wrong_version", false) /* written by another version of intentd */                                 \
  XX(EPOLICY, 14, "policy_invalid", false) /* check found faults; the text names file and line */                      \
  XX(EMODEL, 15, "model_invalid", false)                                                                               \
  XX(ESTOPPED, 16, "policy_stopped", false) /* a policy call ran over its time or memory, or raised an error */        \
  XX(ECONFIG, 17, "config_invalid", false)                                                                             \
  XX(ESCHEMA, 18, "schema_violation", false) /* the event breaks a schema that its signal set declares */              \
  XX(ESHUTDOWN, 19, "shutting_down", true)                                                                             \
  XX(EINTERNAL, 20, "internal", false)                                                                                 \
  XX(EUNAVAILABLE, 21, "storage_unavailable", true) /* nothing can be made durable now; it goes on by itself */        \
  XX(EFORGOTTEN, 22, "forgotten", false)            /* the event was decided, and its lead was forgotten since */      \
  XX(EQUALITY, 23, "quality_refused", false)        /* a quality rule of its signal set refuses the event */           \
  XX(ELATE, 24, "late_features", false)             /* a policy reads features that are not filled in yet */

enum itd_status {
  ITD_OK = 0,
#define XX(name, number, wire, retryable) ITD_##name = -(number),
  ITD_STATUS_MAP(XX)
#undef XX
};

// What went wrong, for a person: what was found, where, and what to do. Zero-initialise before use.
struct error {
  int code; // 0 or the ITD_E… that was returned
  char text[500];
};

#define ITD_MUST_USE          __attribute__((warn_unused_result))
#define ITD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

// The wire code ("invalid_event"); "ok" for 0 and "unknown" for a number that is none of ours.
const char *status_code(int status);
// True when the same request may succeed later without a change.
bool status_retryable(int status);
// The status of a wire code; ITD_EINTERNAL when it is none.
int status_from_code(const char *code);

// Fills `err` (which may be NULL) and returns `code`, so that a failure is one line:
// return error_set(err, ITD_EINVAL, "…"). A text that is too long is cut. Arguments may point into err->text.
int error_set(struct error *err, int code, const char *format, ...) ITD_PRINTF(3, 4);
// Puts "prefix: " before the text already there: the caller adds what only it knows (the file, the method).
void error_prefix(struct error *err, const char *format, ...) ITD_PRINTF(2, 3);
