/* What an experiment is, and what it has come to. */
#include "server/cli.h"

static const struct cli_column definition_columns[] = {{"name", "ARM", CELL_TEXT},
                                                       {"weight", "WEIGHT", CELL_COUNT},
                                                       {"shadow", "SHADOW", CELL_TEXT},
                                                       {"prefs", "PREFERENCES", CELL_TEXT},
                                                       {0}};
static const struct cli_column figure_columns[] = {
    {"name", "ARM", CELL_TEXT},
    {"units", "UNITS", CELL_COUNT},
    {"requests", "REQUESTS", CELL_COUNT},
    {"errors", "ERRORS", CELL_COUNT},
    {"canceled", "CANCELED", CELL_COUNT},
    {"cost_usd", "COST $", CELL_USD},
    {"cost_per_request_usd", "PER REQUEST $", CELL_USD},
    {"latency_ms.p50", "P50 MS", CELL_COUNT},
    {"latency_ms.p95", "P95 MS", CELL_COUNT},
    {"first_token_ms.p50", "FIRST P50", CELL_COUNT},
    {"first_token_ms.p95", "FIRST P95", CELL_COUNT},
    {"input_tokens", "IN", CELL_COUNT},
    {"output_tokens", "OUT", CELL_COUNT},
    {0}};
static const struct cli_column comparison_columns[] = {{"arm", "ARM", CELL_TEXT},
                                                       {"baseline", "AGAINST", CELL_TEXT},
                                                       {"metric", "METRIC", CELL_TEXT},
                                                       {"kind", "DIFFERENCE", CELL_TEXT},
                                                       {"difference", "SO FAR", CELL_COUNT},
                                                       {"low", "AT LEAST", CELL_COUNT},
                                                       {"high", "AT MOST", CELL_COUNT},
                                                       {"better", "BETTER", CELL_TEXT},
                                                       {0}};
static const struct cli_column forecast_columns[] = {
    {"days", "AFTER DAYS", CELL_COUNT},
    {"cost_difference", "COST DIFFERENCE THAT CAN BE FOUND", CELL_COUNT},
    {0}};

static void add_table(const struct cli_column *columns, struct json_object *rows, struct buf *out)
{
    if (rows == NULL || json_object_array_length(rows) == 0)
        return;
    buf_addc(out, '\n');
    cli_print_table(columns, rows, NULL, out);
}

static void add_own_metrics(struct json_object *arms, struct buf *out)
{
    for (size_t i = 0; arms != NULL && i < json_object_array_length(arms); i++) {
        struct json_object *arm = json_object_array_get_idx(arms, i);
        struct json_object *own = cli_member(arm, "metrics");
        if (own == NULL)
            continue;
        json_object_object_foreach(own, name, m)
        {
            buf_addf(out, "%s%s of %s: %s of %s answers\n", i == 0 ? "\n" : "", name,
                     cli_member_text(arm, "name"),
                     cli_member(m, "mean") != NULL ? cli_member_text(m, "mean") : "nothing yet",
                     cli_member_text(m, "n"));
        }
    }
}

static void add_forecast(struct json_object *forecast, struct buf *out)
{
    if (forecast == NULL)
        return;
    buf_addf(out, "\n%s requests a day, as of late, would take part\n",
             cli_member_text(forecast, "requests_per_day"));
    add_table(forecast_columns, cli_member(forecast, "detectable"), out);
}

static void add_definition(struct json_object *result, struct buf *out)
{
    cli_show_like("experiment list", result, out);
    add_table(definition_columns, cli_member(result, "arms"), out);
}

int cli_show_experiment(const struct cli_call *call, struct json_object *result, struct buf *out)
{
    (void)call;
    if (json_object_get_boolean(cli_member(result, "dry_run")))
        buf_adds(out, "dry run: nothing was begun\n");
    add_definition(result, out);
    add_forecast(cli_member(result, "forecast"), out);
    return CLI_EXIT_OK;
}

int cli_show_experiment_report(const struct cli_call *call, struct json_object *result,
                               struct buf *out)
{
    (void)call;
    add_definition(result, out);
    add_table(figure_columns, cli_member(result, "arms"), out);
    add_own_metrics(cli_member(result, "arms"), out);
    add_table(comparison_columns, cli_member(result, "comparisons"), out);
    if (cli_member(result, "stop_reason") != NULL)
        buf_addf(out, "\n%s: %s\n", cli_member_text(result, "status"),
                 cli_member_text(result, "stop_reason"));
    buf_addf(out, "\n%s\n", cli_member_text(result, "verdict.text"));
    return CLI_EXIT_OK;
}
