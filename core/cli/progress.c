#include "cli/progress.h"

#include "base/buf.h"
#include "base/clock.h"
#include "cli/show.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 24, DRAW_NS = 100000000 };

void progress_begin(struct progress *p, const char *what) {
  *p = (struct progress){.is_shown = isatty(STDERR_FILENO), .start_ns = clock_mono_ns(), .what = what};
}

void progress_line(const char *what, uint64_t done, uint64_t total, int64_t time_ms, uint64_t took_ns, unsigned columns,
                   struct buf *out) {
  struct buf line = {0};
  buf_printf(&line, "%s ", what);
  if (total) {
    if (done > total) done = total;
    unsigned full = (unsigned)((double)done / (double)total * BAR);
    buf_append_u8(&line, '[');
    for (unsigned i = 0; i < BAR; i++) buf_append_u8(&line, i < full ? '#' : '.');
    buf_printf(&line, "] %3u%%", (unsigned)((double)done / (double)total * 100));
  } else {
    show_count(&line, done);
  }
  if (time_ms != INT64_MIN) {
    char text[TIME_TEXT_MAX];
    time_format(time_ms, text);
    buf_printf(&line, "  at %.10s", text);
  }
  if (total && done && done < total && took_ns > 2000000000) {
    double left_ms = (double)took_ns / 1e6 * ((double)total / (double)done - 1);
    buf_append_str(&line, "  ");
    show_span(&line, left_ms < 1000 ? 1000 : left_ms > 9e14 ? (int64_t)9e14 : (int64_t)left_ms);
    buf_append_str(&line, " left");
  }
  buf_append(out, line.p, line.n > columns ? columns : line.n);
  buf_deinit(&line);
}

void progress_show(struct progress *p, uint64_t done, uint64_t total, int64_t time_ms) {
  uint64_t now = p->is_shown ? clock_mono_ns() : 0;
  if (!p->is_shown || now - p->drawn_ns < DRAW_NS) return;
  p->drawn_ns = now;
  struct winsize size;
  unsigned columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79;
  struct buf out = {0};
  buf_append_str(&out, "\r");
  progress_line(p->what, done, total, time_ms, now - p->start_ns, columns, &out);
  buf_append_str(&out, "\033[K");
  fwrite(out.p, 1, out.n, stderr);
  fflush(stderr);
  buf_deinit(&out);
}

void progress_end(struct progress *p) {
  if (p->drawn_ns) fputs("\r\033[K", stderr);
}
