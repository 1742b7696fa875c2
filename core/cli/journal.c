// intent journal: is it whole, where does it stand, what is in it. Works on files alone: of a running daemon, or of a copy.
#include "cli/journal.h"
#include "cli/grid.h"
#include "cli/progress.h"
#include "cli/show.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/suggest.h"
#include "store/verify.h"

#include <stdio.h>
#include <stdlib.h>

const char *journal_data(const struct args *args) {
  const char *data = args_text(args, "data");
  return data ? data : "data";
}

int journal_exit_of(int status) {
  return status == ITD_ENOTFOUND || status == ITD_ECORRUPT ? COMMAND_NO : COMMAND_USAGE;
}

// ---- verify ----
static int read_head(const struct args *args, struct journal_head *head, struct error *err) {
  const char *path = args_text(args, "head"), *key_path = args_text(args, "key");
  uint8_t key[HEAD_KEY_SIZE];
  struct buf text = {0};
  if (!key_path)
    return error_set(err, ITD_EINVAL, "--head says nothing without --key: the public key of who signed it");
  int rc = head_key_read(key_path, key, err);
  if (rc == 0) rc = file_read(path, 1u << 20, &text, err);
  if (rc == 0 && (rc = head_get(buf_bytes(&text), key, head, err))) error_prefix(err, "%s", path);
  buf_deinit(&text);
  return rc;
}

static void show_progress(void *context, uint64_t done, uint64_t total) {
  progress_show(context, done, total, INT64_MIN);
}

static void put_findings(const struct verify_result *r, struct buf *out) {
  for (size_t i = 0; i < r->count; i++) {
    buf_printf(out, "%s: ", verify_kind_name(r->finding[i].kind));
    show_text(out, bytes_str(r->finding[i].text));
    buf_append_u8(out, '\n');
  }
  if (r->count == VERIFY_FINDINGS_MAX) buf_append_str(out, "… and perhaps more\n");
}

static void count_row(struct grid *t, const char *name, uint64_t n) {
  grid_add_str(t, name);
  show_count(grid_cell(t), n);
  grid_end(t);
}

// Nothing in a journal tells what retention let go from what somebody took away at its beginning: so it is said.
static void put_beginning(const struct verify_result *r, struct buf *out) {
  unsigned count = 0, first = 0;
  for (unsigned p = 0; p < r->partitions; p++)
    if (r->tip[p].from && !count++) first = p;
  if (!count) return;
  buf_printf(out, "%u of %u partitions do not begin with frame 1 (partition %u begins behind frame ", count,
             r->partitions, first);
  show_count(out, r->tip[first].from);
  buf_append_str(out, "): retention let go what lay before, or it was taken away\n");
}

static void put_verified(const struct verify_result *r, const struct journal_head *head, struct buf *out) {
  struct grid t;
  grid_init(&t, "lr");
  count_row(&t, "frames", r->frames);
  count_row(&t, "bytes", r->bytes);
  count_row(&t, "segments", r->segments);
  count_row(&t, "of them sealed", r->sealed);
  count_row(&t, "partitions", r->partitions);
  count_row(&t, "sessions", r->sessions);
  if (r->bases) count_row(&t, "bases", r->bases);
  if (r->torn_bytes) count_row(&t, "torn bytes", r->torn_bytes);
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  buf_append_u8(out, '\n');
  put_findings(r, out);
  put_beginning(r, out);
  if (head && r->is_whole) {
    buf_append_str(out, "the journal has what the head of ");
    show_time(out, head->time_ms);
    buf_printf(out, " says%s\n", r->head_directory ? "" : " (whether it is of this directory could not be told)");
  }
  buf_append_str(out, r->is_whole ? "the journal is whole\n" : "the journal is NOT whole\n");
}

static void put_tips(const struct verify_result *r, struct buf *out) {
  char hex[2 * SHA256_SIZE + 1];
  mp_put_array(out, r->partitions);
  for (unsigned p = 0; p < r->partitions; p++) {
    const struct scan_tip *tip = &r->tip[p];
    hex_encode(bytes_of(tip->tip.chain, SHA256_SIZE), hex);
    mp_put_map(out, 3);
    mp_put_cstr(out, "from"), mp_put_uint(out, tip->from);
    mp_put_cstr(out, "seq"), mp_put_uint(out, tip->tip.seq);
    mp_put_cstr(out, "chain"), mp_put_cstr(out, hex);
  }
}

static void put_verified_json(const struct verify_result *r, struct buf *out) {
  const struct {
    const char *name;
    uint64_t n;
  } counts[] = {{"frames", r->frames},     {"bytes", r->bytes}, {"segments", r->segments},    {"sealed", r->sealed},
                {"sessions", r->sessions}, {"bases", r->bases}, {"torn_bytes", r->torn_bytes}};
  const uint32_t n = sizeof counts / sizeof *counts;
  mp_put_map(out, n + 4);
  mp_put_cstr(out, "whole"), mp_put_bool(out, r->is_whole);
  mp_put_cstr(out, "closed"), mp_put_bool(out, r->is_closed);
  for (uint32_t i = 0; i < n; i++) mp_put_cstr(out, counts[i].name), mp_put_uint(out, counts[i].n);
  mp_put_cstr(out, "partitions");
  put_tips(r, out);
  mp_put_cstr(out, "findings");
  mp_put_array(out, (uint32_t)r->count);
  for (size_t i = 0; i < r->count; i++) {
    const struct verify_finding *f = &r->finding[i];
    mp_put_map(out, 4);
    mp_put_cstr(out, "kind"), mp_put_cstr(out, verify_kind_name(f->kind));
    mp_put_cstr(out, "file"), mp_put_cstr(out, f->file);
    mp_put_cstr(out, "offset"), mp_put_uint(out, f->offset);
    mp_put_cstr(out, "text"), mp_put_cstr(out, f->text);
  }
}

int journal_verify(const struct args *args) {
  struct progress bar;
  struct error err = {0};
  struct journal_head head;
  bool has_head = args_text(args, "head") != NULL;
  struct verify_options o = {.dir = journal_data(args),
                             .must_be_closed = args_flag(args, "closed"),
                             .head = has_head ? &head : NULL,
                             .progress = show_progress,
                             .context = &bar};
  int status = has_head ? read_head(args, &head, &err) : 0;
  if (status < 0)
    return command_fail(args, status == ITD_ECORRUPT || status == ITD_EAUTH ? COMMAND_NO : COMMAND_USAGE, &err);
  struct verify_result *r = xcalloc(1, sizeof *r);
  progress_begin(&bar, "verifying");
  status = store_verify(&o, r, &err);
  progress_end(&bar);
  struct buf out = {0};
  if (status == 0 && args_flag(args, "json")) {
    put_verified_json(r, &out);
    show_json(buf_bytes(&out));
    buf_clear(&out);
  } else if (status == 0) {
    put_verified(r, o.head, &out);
  }
  show_print(&out);
  buf_deinit(&out);
  int code = status < 0 ? command_fail(args, journal_exit_of(status), &err) : r->is_whole ? COMMAND_OK : COMMAND_NO;
  free(r->tip);
  free(r);
  return code;
}

// ---- head ----
static int put_out(const struct args *args, const struct buf *text, struct error *err) {
  const char *path = args_text(args, "out");
  if (path) return file_replace(path, buf_bytes(text), err);
  fwrite(text->p, 1, text->n, stdout);
  return 0;
}

int journal_head(const struct args *args) {
  const char *make = args_text(args, "make-key"), *sign = args_text(args, "sign");
  struct error err = {0};
  if (!make == !sign) {
    error_set(&err, ITD_EINVAL, "head needs either --sign KEYFILE or --make-key FILE");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  if (make) {
    int status = head_key_make(make, &err);
    if (status < 0) return command_fail(args, COMMAND_USAGE, &err);
    printf("the secret key is in %s, the public one in %s.pub\n", make, make);
    return COMMAND_OK;
  }
  uint8_t secret[HEAD_SECRET_SIZE];
  struct journal_head *head = xcalloc(1, sizeof *head);
  struct buf text = {0};
  int status = head_secret_read(sign, secret, &err), code = COMMAND_USAGE;
  if (status == 0 && (status = head_take(journal_data(args), clock_wall_ms(), head, &err)))
    code = journal_exit_of(status);
  if (status == 0) {
    head_put(head, secret, &text);
    status = put_out(args, &text, &err);
  }
  buf_deinit(&text);
  free(head);
  return status < 0 ? command_fail(args, code, &err) : COMMAND_OK;
}

// ---- the command ----
static int run(const struct args *args) {
  static const struct {
    const char *word;
    int (*run)(const struct args *args);
  } words[] = {{"verify", journal_verify},
               {"show", journal_show},
               {"export", journal_export},
               {"head", journal_head},
               {"hold", journal_hold}};
  const size_t count = sizeof words / sizeof *words;
  const char *names[5], *word = args->operand[0];
  struct error err = {0};
  if (args->operand_count > 1 && strcmp(word, "hold") != 0) {
    error_set(&err, ITD_EINVAL, "%.40s takes options only, not \"%.60s\"", word, args->operand[1]);
    return command_fail(args, COMMAND_USAGE, &err);
  }
  for (size_t i = 0; i < count; i++) {
    if (strcmp(word, words[i].word) == 0) return words[i].run(args);
    names[i] = words[i].word;
  }
  const char *near = suggest(bytes_str(word), names, count);
  error_set(&err, ITD_EINVAL, "there is verify, show, export, head and hold, not \"%.40s\"%s%s%s", word,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  return command_fail(args, COMMAND_USAGE, &err);
}

static const struct option options[] = {
    {"data", "DIR", "the data directory, or a copy of it (default ./data)"},
    {"closed", NULL, "verify: a log that was not closed in order, or is torn, is a failure"},
    {"head", "FILE", "verify: the journal must have what this signed head says"},
    {"key", "FILE", "verify: the public key that the head must be signed with"},
    {"sign", "FILE", "head: the secret key to sign with"},
    {"make-key", "FILE", "head: make a pair of keys instead: FILE and FILE.pub"},
    {"lead", "ID", "show, export: of this lead (32 hexadecimal digits)"},
    {"partition", "P", "show, export: of this partition"},
    {"place", "X", "show, export: the frame at this place, as show tells it"},
    {"since", "T", "show, export, hold: received from then on: a time, or how long ago (2h)"},
    {"until", "T", "show, export: received until then"},
    {"kind", "K", "show, export: event, timer, stopped, release, refused, forget or message"},
    {"limit", "N", "show, export: frames at most (show: default 100; 0: all)"},
    {"format", "F", "export: jsonl or msgpack (default jsonl)"},
    {"out", "FILE", "export, head: write there instead of to standard output"},
    {"why", "TEXT", "hold: the reason; it is kept with the hold"},
    {"release", NULL, "hold: the hold ends"},
    {"personal", NULL, "export: open personal values; the directory's keys must be there"},
    {0}};

const struct command command_journal = {
    .name = "journal",
    .operands = "verify|show|export|head|hold [NAME]",
    .operands_min = 1,
    .operands_max = 2,
    .summary = "is the journal whole and untouched? what is in it? where does it stand?",
    .help =
        "Works on the files alone, of a running daemon too; all but hold change nothing.\n\n"
        "verify: every checksum, sequence and chain, from the first frame to the last, and the indexes of sealed "
        "segments.\n"
        "Names what was damaged or is missing by file and offset. Exit code 0: whole; 1: not. What a crash leaves (a "
        "torn\n"
        "end of what was never acknowledged, a log that was not closed) is told and is no failure, unless --closed or\n"
        "--head asks for more.\n"
        "head: a signed statement of where every partition stands, to be kept elsewhere: verify --head then finds a "
        "journal\n"
        "that was cut back or replaced.\n"
        "show, export: frames, one a line. Personal values stay sealed.\n"
        "hold: NAME keeps the journal from --since on, with --why, whatever retention says, until --release; without a "
        "name:\n"
        "what is held.\n\n"
        "  intent journal verify --data data\n"
        "  intent journal head --make-key audit.key\n"
        "  intent journal head --data data --sign audit.key --out head.txt\n"
        "  intent journal verify --data copy --head head.txt --key audit.key.pub\n"
        "  intent journal show --data data --since 2h --kind stopped\n"
        "  intent journal export --data data --format jsonl --out frames.jsonl\n"
        "  intent journal hold case-7 --since 2026-01-05 --why \"asked by the regulator\"",
    .options = options,
    .run = run,
};
