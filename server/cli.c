#define _GNU_SOURCE
/* The program: understand, run here or in the server, print. */
#include "server/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "router/db.h"
#include "server/admin_client.h"
#include "server/ops.h"

enum { OWNER_WAIT_MS = 5000, OWNER_POLL_MS = 50 };

static int complain(const char *text)
{
    fprintf(stderr, "wayfare: ");
    for (; *text != '\0'; text++)
        fputc(*text == '\n' ? ' ' : *text, stderr); /* one line */
    fputc('\n', stderr);
    return CLI_EXIT_FAILED;
}

/* ---- running ---- */

/* Of what the ledger says: that it settled something is news to who asks for something else. */
static void on_ledger_line(const char *line)
{
    if (strncmp(line, "recovered ", sizeof("recovered ") - 1) == 0)
        fprintf(stderr, "wayfare: a server did not end cleanly: %s\n", line);
}

/* A server that died may have left attempts open: starting the ledger settles them by its
 * rules, so that a command sees the same books as the next server will. */
static int settle_what_was_left(struct db *db, struct fail *reterr)
{
    struct ledger *ledger = ledger_start(db, on_ledger_line, reterr);
    if (ledger == NULL)
        return -1;
    ledger_stop(ledger);
    return 0;
}

static int run_direct(const struct cli_call *call, struct db *db, struct json_object **ret,
                      struct fail *reterr)
{
    struct ops_env env = {.db = db};
    if (settle_what_was_left(db, reterr) != 0)
        return -1;
    return ops_run(&env, call->command->op, call->args, ret, reterr);
}

/* `usage --db TYPO` must not answer with the zeros of a file it has just created, nor `key revoke`
 * blame the key: only what a new database begins with makes one. */
static bool makes_database(const struct cli_call *call)
{
    const char *op = call->command->op;
    return strcmp(op, "team create") == 0 ||
           (strcmp(op, "catalog import") == 0 &&
            !json_object_get_boolean(cli_member(call->args, "dry_run")));
}

static int check_exists(const struct cli_call *call, struct fail *reterr)
{
    struct stat st;
    if (makes_database(call))
        return 0;
    if (stat(call->db, &st) != 0)
        return fail_set(reterr, ERR_not_found, NULL, "database %s: %s", call->db, strerror(errno));
    if (S_ISREG(st.st_mode) && st.st_size == 0)
        return fail_set(reterr, ERR_not_found, NULL, "%s is empty: not a database of wayfare",
                        call->db);
    return 0;
}

/* A server answers a question when the ledger has written what came before it. */
static void wait_for_ledger(const char *db)
{
    struct json_object *ignored = NULL, *none = json_object_new_object();
    struct fail fail;
    if (admin_client_run(db, "team list", none, &ignored, &fail) == CLIENT_OK)
        json_object_put(ignored);
    json_object_put(none);
}

/* A backup is read beside a server that runs, over a connection of our own (which neither writes
 * nor checkpoints): it is then written by the caller, where a server in its sandbox may not. */
static int run_beside(const struct cli_call *call, struct json_object **ret, struct fail *reterr)
{
    wait_for_ledger(call->db);
    struct db *db = db_open(call->db, DB_READ, reterr);
    struct ops_env env = {.db = db};
    if (db == NULL)
        return -1;
    int rc = ops_run(&env, call->command->op, call->args, ret, reterr);
    db_close(db);
    return rc;
}

/* Who owns the file serves the socket, so: ask the socket, else take the file.  Between the two
 * a server may start or stop, or another command may hold the file for a moment: then both
 * are tried again until OWNER_WAIT_MS is over. */
static int run_anywhere(const struct cli_call *call, struct json_object **ret, struct fail *reterr)
{
    bool copies = strcmp(call->command->op, "backup") == 0;
    for (int waited_ms = 0;; waited_ms += OWNER_POLL_MS) {
        switch (copies ? CLIENT_ABSENT
                       : admin_client_run(call->db, call->command->op, call->args, ret, reterr)) {
        case CLIENT_OK:
            return 0;
        case CLIENT_FAILED:
            return -1;
        case CLIENT_ABSENT:
            break;
        }
        if (check_exists(call, reterr) != 0)
            return -1;
        struct db *db = db_open(call->db, DB_OWN, reterr);
        if (db != NULL) {
            int rc = run_direct(call, db, ret, reterr);
            db_close(db);
            return rc;
        }
        if (copies && db_fail_is_owned(reterr))
            return run_beside(call, ret, reterr);
        if (!db_fail_is_owned(reterr) || waited_ms >= OWNER_WAIT_MS)
            break;
        nanosleep(&(struct timespec){.tv_nsec = OWNER_POLL_MS * 1000000L}, NULL);
    }
    if (db_fail_is_owned(reterr))
        fail_set(reterr, ERR_ledger_down, NULL,
                 "database %s is in use, and %s.sock does not answer", call->db, call->db);
    return -1;
}

/* ---- printing ---- */

static int print_out(const struct buf *text)
{
    if (text->failed)
        return complain("the output is too large");
    if (fwrite(text->len > 0 ? text->ptr : "", 1, text->len, stdout) == text->len &&
        fflush(stdout) == 0)
        return CLI_EXIT_OK;
    char line[256];
    snprintf(line, sizeof(line), "standard output: %s", strerror(errno));
    return complain(line);
}

/* A new key stands alone on stdout; the rest is for whoever watches. */
static void print_key_note(const struct cli_call *call, struct json_object *result)
{
    if (call->command->print != cli_show_new_key || isatty(STDERR_FILENO) == 0)
        return;
    fprintf(stderr, "id %s, team %s; the key is not shown again\n", cli_member_text(result, "id"),
            cli_member_text(result, "team"));
}

static int perform(const struct cli_call *call)
{
    struct json_object *result = NULL;
    struct fail fail = {0};
    if (run_anywhere(call, &result, &fail) != 0) {
        complain(fail.text);
        return cli_is_usage(call, &fail) ? CLI_EXIT_USAGE : CLI_EXIT_FAILED;
    }
    struct buf out;
    buf_init(&out, CLI_OUTPUT_MAX);
    int rc = cli_print(call, result, &out);
    int printed = print_out(&out);
    print_key_note(call, result);
    buf_done(&out);
    json_object_put(result);
    return printed != CLI_EXIT_OK ? printed : rc;
}

int cli_main(int argc, char **argv)
{
    struct cli_call call;
    int rc = cli_parse(argc, argv, getenv("WAYFARE_DB"), &call);
    if (rc != CLI_EXIT_OK)
        complain(call.text.len > 0 ? call.text.ptr : "the command line is not understood");
    else if (call.command == NULL)
        rc = print_out(&call.text);
    else
        rc = call.command->op == NULL ? cli_serve(&call) : perform(&call);
    cli_call_done(&call);
    return rc;
}
