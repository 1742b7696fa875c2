// Structured lines on standard error, logfmt: time=… level=info event=listening address=127.0.0.1:7411
// One write(2) a line, so that lines of several threads do not mix. Any thread. Never personal data: ids, not values.
#pragma once
#include "base/bytes.h"
#include "base/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);                                  // default LOG_INFO
int log_level_parse(const char *text, enum log_level *level) ITD_MUST_USE; // debug, info, warn, error
// `format` gives the fields: log_line(LOG_INFO, "listening", "address=%s port=%d", a, p). Values with spaces, quotes or
// control characters must go through log_quote.
void log_line(enum log_level level, const char *event, const char *format, ...) ITD_PRINTF(3, 4);
// `text` quoted for logfmt into one of a few rotating thread-local buffers (valid for the next 3 calls); text of more
// than about 500 bytes is cut.
const char *log_quote(const char *text);
