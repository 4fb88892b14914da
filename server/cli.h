/* The command line: a table of commands, one reader for all their options, one printer.
 *
 * A command line becomes the name of an operation (server/ops.h) and a JSON object of
 * arguments; whether that runs in a server or directly on the file never matters here.
 * docs/api.md "Command line"; exit codes: 0, 1 = it failed, 2 = it was not understood.
 * Thread: the main thread of a process that does nothing else (`serve` excepted). */
#ifndef SERVER_CLI_H
#define SERVER_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include <json-c/json.h>

#include "schema/buf.h"
#include "schema/err.h"

enum {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1,
    CLI_EXIT_USAGE = 2,
    CLI_FILE_MAX = 64 * 1024 * 1024,
    CLI_OUTPUT_MAX = 512 * 1024 * 1024,
    CLI_REPEAT_MAX = 64 /* times that a repeatable option may be given */
};

/* How the word after an option becomes JSON. */
enum cli_kind {
    CLI_FLAG,     /* no word: true */
    CLI_FLAG_OFF, /* no word: false */
    CLI_TEXT,
    CLI_COUNT,   /* an integer >= 0 */
    CLI_USD,     /* a decimal, kept as the string it is */
    CLI_LIST,    /* words with commas: an array */
    CLI_FILE,    /* a file's content; "-" is stdin */
    CLI_CATALOG, /* as CLI_FILE, but the word `builtin` is {"builtin": true} */
    CLI_PATH,    /* made absolute */
    CLI_ARM      /* NAME=FILE:WEIGHT: an object with the file's content; FILE `none`: nothing */
};

enum cli_option_flag {
    CLI_REQUIRED = 1,
    CLI_REPEATED = 2, /* more than one value makes an array */
    CLI_CLEARABLE = 4 /* the word `none` is null: takes the setting away */
};

/* Several values of one option are kept in the order given. */
struct cli_option {
    const char *name; /* without the dashes; of a positional: its placeholder. NULL ends */
    const char *arg;  /* placeholder of the word, NULL for flags */
    enum cli_kind kind;
    unsigned flags;             /* enum cli_option_flag */
    const char *member;         /* in the arguments; NULL = name with _ for - */
    const char *pair;           /* the option that must be given as many times */
    const char *const *choices; /* NULL-terminated; NULL = free */
    const char *help;
};

/* How a member of a result is shown to people. */
enum cli_cell {
    CELL_TEXT,
    CELL_COUNT,      /* right-aligned */
    CELL_USD,        /* right-aligned, decimals filled up to the longest of the column */
    CELL_TIME,       /* to the second */
    CELL_LIST,       /* joined with commas */
    CELL_KEY_LIMITS, /* "12.5 of 100/month": spent, cap and window, those of scope key */
    CELL_TEAM_LIMITS
};

struct cli_column {
    const char *path; /* member, dots for nested ones. NULL ends */
    const char *title;
    enum cli_cell cell;
};

enum cli_format { CLI_TABLE, CLI_JSON, CLI_CSV };

struct cli_call;

struct cli_command {
    const char *words; /* "key create". NULL ends the table */
    const char *summary;
    const char *op;                      /* NULL: not an operation (serve) */
    const struct cli_option *positional; /* one row, or NULL */
    const struct cli_option *options;    /* NULL = none of its own */
    const struct cli_column *columns;    /* of the rows of "data"; NULL = csv is refused */
    /* Table and csv; returns the exit code. */
    int (*print)(const struct cli_call *call, struct json_object *result, struct buf *out);
    const char *note; /* more help, or NULL */
};

/* A command line that was understood. */
struct cli_call {
    const struct cli_command *command; /* NULL: only `text` is to be printed (help) */
    const char *db;                    /* borrowed from argv, the environment, or a literal */
    enum cli_format format;
    struct json_object *args; /* owned; cli_call_done */
    struct buf text;          /* help, or the error's line */
};

extern const struct cli_command cli_commands[];
extern const struct cli_option cli_global_options[];

/* CLI_EXIT_OK: call is filled.  Else call->text is the error, one line without "wayfare: ".
 * env_db: value of WAYFARE_DB or NULL. call must be given to cli_call_done in any case. */
int cli_parse(int argc, char *const *argv, const char *env_db, struct cli_call *call);
void cli_call_done(struct cli_call *call);
/* Its result is rows. */
bool cli_takes_csv(const struct cli_command *c);
/* What an operation answered is the fault of an option's value, which only it can judge: as wrong
 * as what cli_parse refuses.  Not the content of a file that an option names. */
bool cli_is_usage(const struct cli_call *call, const struct fail *fail);

/* ---- cli_help.c ---- */
/* What `wayfare WORDS --help` prints; words "" = everything. */
void cli_help_all(struct buf *out);
void cli_help_group(const char *word, struct buf *out);
void cli_help_command(const struct cli_command *c, struct buf *out);

/* ---- cli_print.c ---- */
/* The result as call->format asks.  Returns the exit code. */
int cli_print(const struct cli_call *call, struct json_object *result, struct buf *out);
/* rows: an array of objects; total: one more, below a line, or NULL. */
void cli_print_table(const struct cli_column *columns, struct json_object *rows,
                     struct json_object *total, struct buf *out);
void cli_print_csv(const struct cli_column *columns, struct json_object *rows, struct buf *out);
/* The member at a dotted path; NULL when there is none, and for null. */
struct json_object *cli_member(struct json_object *object, const char *path);
const char *cli_member_text(struct json_object *object, const char *path); /* "" when none */

/* ---- cli_show.c: the commands whose result is no plain table ---- */
int cli_show_rows(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_team(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_key(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_new_key(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_import(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_removal(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_text(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_usage(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_generation(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_route(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_replay(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_verify(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_prune(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_reconcile(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_experiment(const struct cli_call *call, struct json_object *result, struct buf *out);
int cli_show_experiment_report(const struct cli_call *call, struct json_object *result,
                               struct buf *out);
/* One object as a row of this command's table. */
int cli_show_like(const char *list_words, struct json_object *row, struct buf *out);
int cli_show_backup(const struct cli_call *call, struct json_object *result, struct buf *out);

/* ---- cli_serve.c ---- */
/* `serve`: arguments to struct serve_options, then serve_run. Returns the exit code. */
int cli_serve(const struct cli_call *call);

/* The whole program. */
int cli_main(int argc, char **argv);

#endif
