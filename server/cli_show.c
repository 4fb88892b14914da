/* Results that are no plain table of "data". */
#include <string.h>

#include "server/cli.h"

static size_t length_of(struct json_object *list)
{
    return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

int cli_show_rows(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    struct json_object *rows = cli_member(result, "data");
    if (!json_object_is_type(rows, json_type_array))
        return CLI_EXIT_FAILED;
    if (call->format == CLI_CSV)
        cli_print_csv(call->command->columns, rows, out);
    else
        cli_print_table(call->command->columns, rows, NULL, out);
    return CLI_EXIT_OK;
}

/* A table of one row, with the columns of the list command. */
int cli_show_like(const char *list_words, struct json_object *row, struct buf *out)
{
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        if (strcmp(c->words, list_words) != 0)
            continue;
        struct json_object *rows = json_object_new_array();
        json_object_array_add(rows, json_object_get(row));
        cli_print_table(c->columns, rows, NULL, out);
        json_object_put(rows);
    }
    return CLI_EXIT_OK;
}

int cli_show_team(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    return cli_show_like("team list", result, out);
}

int cli_show_key(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    return cli_show_like("key list", result, out);
}

/* Alone on stdout: KEY=$(wayfare key create ...) is how it is used. */
int cli_show_new_key(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    buf_addf(out, "%s\n", cli_member_text(result, "key"));
    return CLI_EXIT_OK;
}

int cli_show_text(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    struct json_object *text = cli_member(result, "text");
    if (text != NULL)
        buf_add(out, json_object_get_string(text), (size_t)json_object_get_string_len(text));
    return CLI_EXIT_OK;
}

int cli_show_backup(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    buf_addf(out, "backup written to %s\n", cli_member_text(result, "backup"));
    return CLI_EXIT_OK;
}

/* ---- catalog import ---- */

static void add_notes(const char *word, struct json_object *list, struct buf *out)
{
    for (size_t i = 0; i < length_of(list); i++) {
        struct json_object *note = json_object_array_get_idx(list, i);
        buf_addf(out, "%s %s: %s\n", word, cli_member_text(note, "path"),
                 cli_member_text(note, "reason"));
    }
}

static void add_changes(struct json_object *result, struct buf *out)
{
    struct json_object *changes = cli_member(result, "changes");
    for (size_t i = 0; i < length_of(changes); i++)
        buf_addf(out, "%s\n", json_object_get_string(json_object_array_get_idx(changes, i)));
}

int cli_show_removal(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    add_changes(result, out);
    buf_addf(out, "%s: %s endpoints\n",
             json_object_get_boolean(cli_member(result, "dry_run")) ? "dry run" : "removed",
             cli_member_text(result, "endpoints_removed"));
    return CLI_EXIT_OK;
}

int cli_show_import(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    struct json_object *refused = cli_member(result, "refused");
    add_changes(result, out);
    add_notes("note", cli_member(result, "remarks"), out);
    add_notes("refused", refused, out);
    buf_addf(out,
             "%s: %s endpoints added, %s changed, %s unchanged; %s new prices; providers %s added, "
             "%s changed; models %s added, %s changed; %zu refused\n",
             json_object_get_boolean(cli_member(result, "dry_run")) ? "dry run" : "imported",
             cli_member_text(result, "endpoints_added"),
             cli_member_text(result, "endpoints_changed"),
             cli_member_text(result, "endpoints_unchanged"),
             cli_member_text(result, "prices_added"), cli_member_text(result, "providers_added"),
             cli_member_text(result, "providers_changed"), cli_member_text(result, "models_added"),
             cli_member_text(result, "models_changed"), length_of(refused));
    return CLI_EXIT_OK;
}

/* ---- usage ---- */

#define USAGE_COLUMNS                                                                              \
    {"requests", "REQUESTS", CELL_COUNT}, {"attempts", "ATTEMPTS", CELL_COUNT},                    \
        {"errors", "ERRORS", CELL_COUNT}, {"input_tokens", "INPUT", CELL_COUNT},                   \
        {"output_tokens", "OUTPUT", CELL_COUNT}, {"cache_read_tokens", "CACHE READ", CELL_COUNT},  \
        {"cache_write_5m_tokens", "WRITE 5M", CELL_COUNT},                                         \
        {"cache_write_1h_tokens", "WRITE 1H", CELL_COUNT},                                         \
        {"web_searches", "SEARCHES", CELL_COUNT},                                                  \
    {                                                                                              \
        "cost_usd", "COST $", CELL_USD                                                             \
    }

/* The first column is what the rows are by. */
static const struct {
    const char *by;
    struct cli_column columns[14];
} usage_tables[] = {
    {"team", {{"team", "TEAM", CELL_TEXT}, USAGE_COLUMNS, {0}}},
    {"key", {{"key", "KEY", CELL_TEXT}, {"name", "NAME", CELL_TEXT}, USAGE_COLUMNS, {0}}},
    {"model", {{"model", "MODEL", CELL_TEXT}, USAGE_COLUMNS, {0}}},
    {"provider", {{"provider", "PROVIDER", CELL_TEXT}, USAGE_COLUMNS, {0}}},
    {"day", {{"day", "DAY", CELL_TEXT}, USAGE_COLUMNS, {0}}},
    {"experiment", {{"experiment", "EXPERIMENT", CELL_TEXT}, USAGE_COLUMNS, {0}}},
};

static struct json_object *labelled_total(struct json_object *result, const char *by)
{
    struct json_object *total = NULL;
    if (cli_member(result, "total") == NULL ||
        json_object_deep_copy(cli_member(result, "total"), &total, NULL) != 0)
        return NULL;
    json_object_object_add(total, by, json_object_new_string("total"));
    return total;
}

int cli_show_usage(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    const char *by = cli_member_text(result, "by");
    struct json_object *rows = cli_member(result, "rows");
    for (size_t i = 0; i < sizeof(usage_tables) / sizeof(usage_tables[0]); i++) {
        if (strcmp(usage_tables[i].by, by) != 0 || !json_object_is_type(rows, json_type_array))
            continue;
        if (call->format == CLI_CSV) {
            cli_print_csv(usage_tables[i].columns, rows, out);
            return CLI_EXIT_OK;
        }
        struct json_object *total = labelled_total(result, by);
        buf_addf(out, "%s to %s\n", cli_member_text(result, "since"),
                 cli_member_text(result, "until"));
        cli_print_table(usage_tables[i].columns, rows, total, out);
        json_object_put(total);
        return CLI_EXIT_OK;
    }
    return CLI_EXIT_FAILED;
}

/* ---- generation ---- */

static const struct cli_column facts[] = {{"id", "generation", CELL_TEXT},
                                          {"created_at", "created", CELL_TEXT},
                                          {"team", "team", CELL_TEXT},
                                          {"key_id", "key", CELL_TEXT},
                                          {"experiment", "experiment", CELL_TEXT},
                                          {"arm", "arm", CELL_TEXT},
                                          {"status", "status", CELL_TEXT},
                                          {"stream", "stream", CELL_TEXT},
                                          {"requested_model", "requested", CELL_TEXT},
                                          {"model", "model", CELL_TEXT},
                                          {"provider", "provider", CELL_TEXT},
                                          {"cache", "cache", CELL_TEXT},
                                          {"cost_usd", "cost $", CELL_USD},
                                          {0}};

static const struct cli_column attempt_columns[] = {
    {"n", "N", CELL_COUNT},
    {"provider", "PROVIDER", CELL_TEXT},
    {"model", "MODEL", CELL_TEXT},
    {"state", "STATE", CELL_TEXT},
    {"http_status", "HTTP", CELL_COUNT},
    {"usage_source", "USAGE", CELL_TEXT},
    {"usage.input_tokens", "INPUT", CELL_COUNT},
    {"usage.output_tokens", "OUTPUT", CELL_COUNT},
    {"usage.cache_read_tokens", "CACHE READ", CELL_COUNT},
    {"usage.cache_write_5m_tokens", "WRITE 5M", CELL_COUNT},
    {"usage.cache_write_1h_tokens", "WRITE 1H", CELL_COUNT},
    {"hold_usd", "HELD $", CELL_USD},
    {"cost_usd", "COST $", CELL_USD},
    {"first_byte_ms", "FIRST MS", CELL_COUNT},
    {"duration_ms", "MS", CELL_COUNT},
    {"end_reason", "END", CELL_TEXT},
    {0}};

int cli_show_generation(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    for (const struct cli_column *f = facts; f->path != NULL; f++) {
        if (cli_member(result, f->path) != NULL)
            buf_addf(out, "%-12s %s\n", f->title, cli_member_text(result, f->path));
    }
    struct json_object *attempts = cli_member(result, "attempts");
    buf_adds(out, "\n");
    if (json_object_is_type(attempts, json_type_array))
        cli_print_table(attempt_columns, attempts, NULL, out);
    return CLI_EXIT_OK;
}

/* ---- route ---- */

static const struct cli_column plan_columns[] = {
    {"rank", "RANK", CELL_COUNT},
    {"model", "MODEL", CELL_TEXT},
    {"provider", "PROVIDER", CELL_TEXT},
    {"expected_cost_usd", "EXPECTED $", CELL_USD},
    {"worst_cost_usd", "WORST $", CELL_USD},
    {"estimate.prompt_tokens", "PROMPT", CELL_COUNT},
    {"estimate.cached_tokens", "CACHED", CELL_COUNT},
    {"estimate.completion_tokens", "COMPLETION", CELL_COUNT},
    {"why", "WHY", CELL_TEXT},
    {0}};

static const struct cli_column excluded_columns[] = {{"model", "MODEL", CELL_TEXT},
                                                     {"provider", "PROVIDER", CELL_TEXT},
                                                     {"reason", "REASON", CELL_TEXT},
                                                     {"detail", "DETAIL", CELL_TEXT},
                                                     {0}};

static void add_lines(const char *word, struct json_object *list, struct buf *out)
{
    for (size_t i = 0; i < length_of(list); i++)
        buf_addf(out, "%s: %s\n", word, json_object_get_string(json_object_array_get_idx(list, i)));
}

int cli_show_route(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    struct json_object *plan = cli_member(result, "plan");
    struct json_object *excluded = cli_member(result, "excluded");
    if (length_of(plan) > 0)
        cli_print_table(plan_columns, plan, NULL, out);
    else
        buf_adds(out, "no endpoint fits this request\n");
    if (cli_member(result, "experiment") != NULL)
        buf_addf(out, "experiment: %s, arm %s, by %s\n", cli_member_text(result, "experiment.name"),
                 cli_member_text(result, "experiment.arm"),
                 cli_member_text(result, "experiment.unit"));
    add_lines("warning", cli_member(result, "warnings"), out);
    add_lines("dropped", cli_member(result, "dropped"), out);
    if (length_of(excluded) == 0)
        return CLI_EXIT_OK;
    if (json_object_get_boolean(cli_member(call->args, "explain")) || length_of(plan) == 0) {
        buf_adds(out, "\nleft out:\n");
        cli_print_table(excluded_columns, excluded, NULL, out);
    } else {
        buf_addf(out, "%zu left out (--explain says why)\n", length_of(excluded));
    }
    return CLI_EXIT_OK;
}

/* ---- ledger verify ---- */

int cli_show_verify(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    struct json_object *violations = cli_member(result, "violations");
    if (json_object_get_boolean(cli_member(result, "ok"))) {
        buf_adds(out, "ok\n");
        return CLI_EXIT_OK;
    }
    for (size_t i = 0; i < length_of(violations); i++) {
        struct json_object *v = json_object_array_get_idx(violations, i);
        buf_addf(out, "%s: %s\n", cli_member_text(v, "invariant"), cli_member_text(v, "detail"));
    }
    return CLI_EXIT_FAILED;
}

/* ---- ledger prune, ledger reconcile ---- */

int cli_show_prune(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    buf_addf(out, "%s attempts deleted; days before %.10s have sums only\n",
             cli_member_text(result, "attempts"), cli_member_text(result, "before"));
    return CLI_EXIT_OK;
}

/* One line on what is, or would be, corrected. */
static void add_corrections(struct json_object *result, bool applied, struct buf *out)
{
    size_t n = length_of(cli_member(result, "corrections"));
    const char *usd = cli_member_text(result, "correction_usd");
    const char *left = cli_member_text(result, "unattributed");
    if (n > 0)
        buf_addf(out,
                 applied ? "%zu attempts corrected, by %s USD in all\n"
                         : "--apply would correct %zu attempts, by %s USD in all\n",
                 n, usd);
    if (strcmp(left, "0") != 0)
        buf_addf(out, "%s figures belong to no attempt that can be corrected, wholly or in part\n",
                 left);
}

int cli_show_reconcile(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    struct json_object *rows = cli_member(result, "data");
    bool ok = json_object_get_boolean(cli_member(result, "ok")), equal = length_of(rows) == 0;
    bool applied = json_object_get_boolean(cli_member(result, "applied"));
    if (!json_object_is_type(rows, json_type_array))
        return CLI_EXIT_FAILED;
    if (call->format == CLI_CSV) {
        cli_print_csv(call->command->columns, rows, out);
        return ok ? CLI_EXIT_OK : CLI_EXIT_FAILED;
    }
    buf_addf(out, "%s, %s to %s: ", cli_member_text(result, "provider"),
             cli_member_text(result, "since"), cli_member_text(result, "until"));
    if (equal) {
        buf_addf(out, "equal (%s figures)\n", cli_member_text(result, "compared"));
    } else {
        buf_addf(out, "%zu of %s figures %s\n", length_of(rows),
                 cli_member_text(result, "compared"), applied ? "differed" : "differ");
        cli_print_table(call->command->columns, rows, NULL, out);
    }
    add_corrections(result, applied, out);
    return ok ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

/* ---- replay ---- */

static const struct cli_column without_columns[] = {{"team", "TEAM", CELL_TEXT},
                                                    {"model", "MODEL", CELL_TEXT},
                                                    {"reason", "NO ENDPOINT", CELL_TEXT},
                                                    {"requests", "REQUESTS", CELL_COUNT},
                                                    {"attempts", "ATTEMPTS", CELL_COUNT},
                                                    {"actual_usd", "ACTUAL $", CELL_USD},
                                                    {0}};

int cli_show_replay(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    struct json_object *rows = cli_member(result, "rows"), *notes = cli_member(result, "notes");
    struct json_object *without = cli_member(result, "no_endpoint");
    if (!json_object_is_type(rows, json_type_array))
        return CLI_EXIT_FAILED;
    if (call->format == CLI_CSV) {
        cli_print_csv(call->command->columns, rows, out);
        return CLI_EXIT_OK;
    }
    struct json_object *total = labelled_total(result, "team");
    cli_print_table(call->command->columns, rows, total, out);
    json_object_put(total);
    if (length_of(without) > 0) {
        buf_addc(out, '\n');
        cli_print_table(without_columns, without, NULL, out);
    }
    for (size_t i = 0; i < length_of(notes); i++)
        buf_addf(out, "%s- %s\n", i == 0 ? "\n" : "",
                 json_object_get_string(json_object_array_get_idx(notes, i)));
    return CLI_EXIT_OK;
}
