/* The commands and their options, as rows. */
#include "server/cli.h"

static const char *const on_off[] = {"on", "off", NULL};
static const char *const windows[] = {"day", "week", "month", "total", NULL};
static const char *const bounds[] = {"strict", "calibrated", NULL};
static const char *const on_limits[] = {"refuse", "clamp", NULL};
static const char *const formats[] = {"table", "json", "csv", NULL};
static const char *const catalog_formats[] = {"wayfare", "litellm", "models.dev", "openrouter",
                                              NULL};
static const char *const reconcile_formats[] = {"anthropic", "openai", "openrouter", NULL};
static const char *const usage_by[] = {"team", "key",        "model", "provider",
                                       "day",  "experiment", NULL};

/* clang-format off */

const struct cli_option cli_global_options[] = {
    {"db", "PATH", CLI_TEXT, 0, NULL, NULL, NULL, "the database (default: $WAYFARE_DB, else ./wayfare.db)"},
    {"json", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "print JSON instead of a table"},
    {"format", "F", CLI_TEXT, 0, NULL, NULL, formats, "table or json; csv, too, where it is a list"},
    {"help", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "this text"},
    {0}};

/* ---- serve ---- */

static const struct cli_option serve_options[] = {
    {"listen", "HOST:PORT", CLI_TEXT, 0, NULL, NULL, NULL, "where clients connect (default 127.0.0.1:8080; port 0 picks a free one)"},
    {"admin-listen", "HOST:PORT", CLI_TEXT, 0, NULL, NULL, NULL, "dashboard, metrics, admin API (default 127.0.0.1:8081)"},
    {"threads", "N", CLI_COUNT, 0, NULL, NULL, NULL, "worker threads (default: one per core)"},
    {"tls-cert", "FILE", CLI_TEXT, 0, NULL, "tls-key", NULL, "PEM certificate chain"},
    {"tls-key", "FILE", CLI_TEXT, 0, NULL, "tls-cert", NULL, "PEM private key"},
    {"drain-timeout", "SECONDS", CLI_COUNT, 0, NULL, NULL, NULL, "how long running requests may go on after SIGTERM (default 600)"},
    {"max-connections", "N", CLI_COUNT, 0, NULL, NULL, NULL, "connections in all (default 20000)"},
    {"max-connections-per-address", "N", CLI_COUNT, 0, NULL, NULL, NULL, "connections per client address (default: unlimited)"},
    {"max-auth-failures", "N", CLI_COUNT, 0, NULL, NULL, NULL, "failed authentications per second and client address (default 10, 0: unlimited)"},
    {"max-requests", "N", CLI_COUNT, 0, NULL, NULL, NULL, "requests in flight above which keys with more than their share are refused (default 4000)"},
    {"max-buffer-mib", "N", CLI_COUNT, 0, NULL, NULL, NULL, "MiB of memory for bodies and answers, beyond which requests are refused (default 512)"},
    {"client-timeout", "SECONDS", CLI_COUNT, 0, NULL, NULL, NULL, "how long a client may neither send its body on nor read its answer on (default 60)"},
    {"retain-days", "N", CLI_COUNT, 0, NULL, NULL, NULL, "delete the detail of requests older than this many days, at least 33; their sums stay (default: all is kept)"},
    {"allow-base-url", "HOST", CLI_TEXT, CLI_REPEATED, NULL, NULL, NULL, "a host that provider_configs.base_url may name, HOST or private:HOST; may be repeated"},
    {"alert-at", "A,B", CLI_LIST, CLI_CLEARABLE, NULL, NULL, NULL, "per cent of a cap at which spending is alerted (default 80,95; `none`: no alerts)"},
    {"alert-webhook", "URL", CLI_TEXT, 0, NULL, NULL, NULL, "where alerts are posted (default: $WAYFARE_ALERT_WEBHOOK, else only the log)"},
    {"ballast-mib", "N", CLI_COUNT, 0, NULL, NULL, NULL, "MiB kept beside the database for a full disk (default 64, 0: none)"},
    {"verify-every", "SECONDS", CLI_COUNT, 0, NULL, NULL, NULL, "how often the books are checked while running (default 60, 0: never)"},
    {"sandbox", "on|off", CLI_TEXT, 0, NULL, NULL, on_off, "give up at the start what a server never needs: programs, other processes, other files (default on)"},
    {"verbose", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "log more"},
    {0}};

/* ---- catalog ---- */

static const struct cli_option import_file[] = {
    {"FILE", NULL, CLI_CATALOG, CLI_REQUIRED, "text", NULL, NULL, "the file, - for standard input, or the word builtin for the catalog that ships with the program"},
    {0}};
static const struct cli_option import_options[] = {
    {"format", "F", CLI_TEXT, 0, NULL, NULL, catalog_formats, "wayfare, litellm, models.dev or openrouter (default: recognised from the content)"},
    {"dry-run", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "tell what would change and change nothing"},
    {0}};
static const struct cli_option catalog_list_options[] = {
    {"model", "M", CLI_TEXT, 0, NULL, NULL, NULL, "only this model (id or alias)"},
    {"provider", "P", CLI_TEXT, 0, NULL, NULL, NULL, "only this provider"},
    {0}};
static const struct cli_option catalog_remove_options[] = {
    {"model", "M", CLI_TEXT, 0, NULL, NULL, NULL, "this model's endpoints (id or alias)"},
    {"provider", "P", CLI_TEXT, 0, NULL, NULL, NULL, "this provider's endpoints, or one variant of it (PROVIDER/VARIANT)"},
    {"dry-run", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "tell what would go and change nothing"},
    {0}};
static const struct cli_column catalog_columns[] = {
    {"model", "MODEL", CELL_TEXT},
    {"provider", "PROVIDER", CELL_TEXT},
    {"context_length", "CONTEXT", CELL_COUNT},
    {"pricing.prompt", "PROMPT $/M", CELL_USD},
    {"pricing.completion", "COMPLETION $/M", CELL_USD},
    {"pricing.cache_read", "CACHE READ", CELL_USD},
    {"pricing.cache_write_5m", "CACHE 5M", CELL_USD},
    {"pricing.cache_write_1h", "CACHE 1H", CELL_USD},
    {"quantization", "QUANT", CELL_TEXT},
    {"status", "STATUS", CELL_TEXT},
    {"reason", "REASON", CELL_TEXT},
    {0}};

/* ---- team ---- */

static const struct cli_option team_name[] = {
    {"NAME", NULL, CLI_TEXT, CLI_REQUIRED, "name", NULL, NULL, "the team"},
    {0}};
static const struct cli_option team_options[] = {
    {"budget", "USD", CLI_USD, CLI_REPEATED | CLI_CLEARABLE, NULL, "window", NULL, "spend cap of the window that follows; `none` takes it away; may be repeated"},
    {"window", "W", CLI_TEXT, CLI_REPEATED, NULL, "budget", windows, "day, week, month or total"},
    {"timezone", "TZ", CLI_TEXT, CLI_CLEARABLE, NULL, NULL, NULL, "where the team's days begin, such as Europe/Berlin (default UTC)"},
    {"bound", "MODE", CLI_TEXT, 0, NULL, NULL, bounds, "how holds are sized: calibrated (default) or strict"},
    {0}};
static const struct cli_column team_columns[] = {
    {"name", "TEAM", CELL_TEXT},
    {"limits", "SPENT OF BUDGET $", CELL_TEAM_LIMITS},
    {"timezone", "TIMEZONE", CELL_TEXT},
    {"bound", "BOUND", CELL_TEXT},
    {"keys", "KEYS", CELL_COUNT},
    {"created_at", "CREATED", CELL_TIME},
    {0}};

/* ---- key ---- */

#define KEY_SETTINGS \
    {"name", "N", CLI_TEXT, 0, NULL, NULL, NULL, "what to call it"}, \
    {"budget", "USD", CLI_USD, CLI_REPEATED | CLI_CLEARABLE, NULL, "window", NULL, "spend cap of the window that follows; `none` takes it away; may be repeated"}, \
    {"window", "W", CLI_TEXT, CLI_REPEATED, NULL, "budget", windows, "day, week, month or total"}, \
    {"models", "A,B", CLI_LIST, CLI_CLEARABLE, NULL, NULL, NULL, "only these models"}, \
    {"providers-only", "A,B", CLI_LIST, CLI_CLEARABLE, NULL, NULL, NULL, "only these providers"}, \
    {"providers-ignore", "A,B", CLI_LIST, CLI_CLEARABLE, NULL, NULL, NULL, "never these providers"}, \
    {"zdr", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "only zero-data-retention endpoints"}, \
    {"rpm", "N", CLI_COUNT, CLI_CLEARABLE, NULL, NULL, NULL, "requests per minute"}, \
    {"tpm", "N", CLI_COUNT, CLI_CLEARABLE, NULL, NULL, NULL, "tokens per minute"}, \
    {"concurrency", "N", CLI_COUNT, CLI_CLEARABLE, NULL, NULL, NULL, "requests at a time"}, \
    {"expires", "DATE", CLI_TEXT, CLI_CLEARABLE, NULL, NULL, NULL, "the key ends with the start of this day (UTC), or at this RFC 3339 time"}, \
    {"preset", "FILE", CLI_FILE, CLI_CLEARABLE, NULL, NULL, NULL, "JSON of routing preferences for requests that state none"}, \
    {"on-limit", "WHAT", CLI_TEXT, 0, NULL, NULL, on_limits, "a request that does not fit under a cap: refuse (default), or clamp its max_tokens to what fits"}, \
    {"allow-provider-configs", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "requests may bring provider_configs"}

static const struct cli_option key_id[] = {
    {"ID", NULL, CLI_TEXT, CLI_REQUIRED, "id", NULL, NULL, "the key's id, key_..., or its secret"},
    {0}};
static const struct cli_option key_create_options[] = {
    {"team", "NAME", CLI_TEXT, CLI_REQUIRED, NULL, NULL, NULL, "the team it belongs to"},
    KEY_SETTINGS,
    {0}};
static const struct cli_option key_set_options[] = {
    KEY_SETTINGS,
    {"no-zdr", NULL, CLI_FLAG_OFF, 0, "zdr", NULL, NULL, "take --zdr back"},
    {"no-allow-provider-configs", NULL, CLI_FLAG_OFF, 0, "allow_provider_configs", NULL, NULL, "take --allow-provider-configs back"},
    {0}};
static const struct cli_option key_list_options[] = {
    {"team", "NAME", CLI_TEXT, 0, NULL, NULL, NULL, "only keys of this team"},
    {0}};
static const struct cli_option key_rotate_options[] = {
    {"grace", "TIME", CLI_TEXT, 0, NULL, NULL, NULL, "how long the old key goes on working, such as 24h (default: it ends at once)"},
    {0}};
static const struct cli_column key_columns[] = {
    {"id", "ID", CELL_TEXT},
    {"team", "TEAM", CELL_TEXT},
    {"name", "NAME", CELL_TEXT},
    {"status", "STATUS", CELL_TEXT},
    {"limits", "SPENT OF BUDGET $", CELL_KEY_LIMITS},
    {"models", "MODELS", CELL_LIST},
    {"providers_only", "ONLY", CELL_LIST},
    {"providers_ignore", "IGNORE", CELL_LIST},
    {"rate.rpm", "RPM", CELL_COUNT},
    {"rate.tpm", "TPM", CELL_COUNT},
    {"rate.concurrency", "CONC", CELL_COUNT},
    {"created_at", "CREATED", CELL_TIME},
    {"expires_at", "EXPIRES", CELL_TIME},
    {0}};

/* ---- usage, generations ---- */

static const struct cli_option usage_options[] = {
    {"by", "WHAT", CLI_TEXT, 0, NULL, NULL, usage_by, "team (default), key, model, provider, day or experiment"},
    {"since", "D", CLI_TEXT, 0, NULL, NULL, NULL, "date or RFC 3339 time (default: start of the month, UTC)"},
    {"until", "D", CLI_TEXT, 0, NULL, NULL, NULL, "date or RFC 3339 time, not included (default: now)"},
    {0}};
static const struct cli_option generation_id[] = {
    {"ID", NULL, CLI_TEXT, CLI_REQUIRED, "id", NULL, NULL, "the generation's id, gen_..."},
    {0}};
static const struct cli_option generation_list_options[] = {
    {"key", "ID", CLI_TEXT, 0, NULL, NULL, NULL, "only of this key"},
    {"team", "T", CLI_TEXT, 0, NULL, NULL, NULL, "only of this team"},
    {"since", "D", CLI_TEXT, 0, NULL, NULL, NULL, "date or RFC 3339 time"},
    {"limit", "N", CLI_COUNT, 0, NULL, NULL, NULL, "at most so many (default 20)"},
    {0}};
static const struct cli_column generation_columns[] = {
    {"id", "ID", CELL_TEXT},
    {"created_at", "CREATED", CELL_TIME},
    {"team", "TEAM", CELL_TEXT},
    {"status", "STATUS", CELL_TEXT},
    {"model", "MODEL", CELL_TEXT},
    {"provider", "PROVIDER", CELL_TEXT},
    {"usage.input_tokens", "IN", CELL_COUNT},
    {"usage.output_tokens", "OUT", CELL_COUNT},
    {"cost_usd", "COST $", CELL_USD},
    {0}};

/* ---- the rest ---- */

static const struct cli_option route_file[] = {
    {"FILE", NULL, CLI_FILE, CLI_REQUIRED, "body", NULL, NULL, "a request body as for /v1/messages, - for standard input"},
    {0}};
static const struct cli_option route_options[] = {
    {"key", "ID", CLI_TEXT, 0, NULL, NULL, NULL, "as this key would be served"},
    {"explain", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "list each endpoint that was left out, and why"},
    {0}};
static const struct cli_option replay_options[] = {
    {"since", "D", CLI_TEXT, 0, NULL, NULL, NULL, "date or RFC 3339 time (default: start of the month, UTC)"},
    {"until", "D", CLI_TEXT, 0, NULL, NULL, NULL, "date or RFC 3339 time, not included (default: now)"},
    {"team", "T", CLI_TEXT, 0, NULL, NULL, NULL, "only of this team"},
    {"prefs", "FILE", CLI_FILE, 0, NULL, NULL, NULL, "JSON of routing preferences: choose endpoints anew under them ({}: in the default order)"},
    {"catalog", "FILE", CLI_CATALOG, 0, NULL, NULL, NULL, "endpoints and prices instead of those of the database; as for catalog import, builtin too"},
    {"discount", "PROVIDER=PERCENT", CLI_TEXT, CLI_REPEATED, NULL, NULL, NULL, "taken off all prices of the provider; may be repeated"},
    {0}};
static const struct cli_column replay_columns[] = {
    {"team", "TEAM", CELL_TEXT},
    {"model", "MODEL", CELL_TEXT},
    {"requests", "REQUESTS", CELL_COUNT},
    {"attempts", "ATTEMPTS", CELL_COUNT},
    {"moved", "MOVED", CELL_COUNT},
    {"kept", "KEPT", CELL_COUNT},
    {"actual_usd", "ACTUAL $", CELL_USD},
    {"hypothetical_usd", "REPLAYED $", CELL_USD},
    {"saved_usd", "SAVED $", CELL_USD},
    {0}};
static const struct cli_option prune_options[] = {
    {"older-than", "DAYS", CLI_TEXT, CLI_REQUIRED, NULL, NULL, NULL, "how many days of single requests are kept, such as 90d (at least 33d)"},
    {0}};
static const struct cli_option reconcile_file[] = {
    {"FILE", NULL, CLI_FILE, CLI_REQUIRED, "text", NULL, NULL, "the provider's export, - for standard input"},
    {0}};
static const struct cli_option reconcile_options[] = {
    {"format", "F", CLI_TEXT, 0, NULL, NULL, reconcile_formats, "anthropic, openai or openrouter (default: recognised from the content)"},
    {"provider", "SLUG", CLI_TEXT, 0, NULL, NULL, NULL, "whose attempts to compare (default: the provider named like the format)"},
    {"apply", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "write the differences as corrections of attempts that were settled by estimates"},
    {0}};
static const struct cli_column reconcile_columns[] = {
    {"day", "DAY", CELL_TEXT},
    {"model", "MODEL", CELL_TEXT},
    {"figure", "FIGURE", CELL_TEXT},
    {"ours", "LEDGER", CELL_COUNT},
    {"theirs", "PROVIDER", CELL_COUNT},
    {"difference", "DIFFERENCE", CELL_COUNT},
    {"final", "FINAL", CELL_COUNT},
    {"partial", "PARTIAL", CELL_COUNT},
    {"estimated", "ESTIMATED", CELL_COUNT},
    {"attributed", "ATTRIBUTED", CELL_COUNT},
    {0}};
static const struct cli_option backup_dest[] = {
    {"DEST", NULL, CLI_PATH, CLI_REQUIRED, "dest", NULL, NULL, "a file that does not exist yet"},
    {0}};

/* ---- experiments ---- */

static const char *const units[] = {"key", "user", "session", "request", NULL};
static const struct cli_option experiment_name[] = {
    {"NAME", NULL, CLI_TEXT, CLI_REQUIRED, "name", NULL, NULL, "the experiment"},
    {0}};
static const struct cli_option experiment_options[] = {
    {"model", "ALIAS", CLI_TEXT, CLI_REQUIRED, NULL, NULL, NULL, "whose requests take part, by any of its names"},
    {"arm", "NAME=FILE:WEIGHT", CLI_ARM, CLI_REQUIRED | CLI_REPEATED, "arms", NULL, NULL, "an arm: JSON of routing preferences (`none`: no file, none), and its weight; may be repeated"},
    {"shadow-arm", "NAME=FILE:PERCENT", CLI_ARM, CLI_REPEATED, "shadow_arms", NULL, NULL, "an arm that answers nobody: so many per cent of the units have their requests copied to it, and pay for that"},
    {"unit", "WHAT", CLI_TEXT, 0, NULL, NULL, units, "what keeps its arm: key (default), user, session or request"},
    {"metric", "NAME:higher|lower", CLI_TEXT, CLI_REPEATED, "metrics", NULL, NULL, "what POST /v1/feedback may tell, and which way is better; may be repeated"},
    {"guardrail", "METRIC:MAX", CLI_TEXT, CLI_REPEATED, "guardrails", NULL, NULL, "stop when an arm's error_rate, cancel_rate, cost (USD per request) or latency (seconds) is above this; may be repeated"},
    {"layer", "L", CLI_TEXT, 0, NULL, NULL, NULL, "experiments of one layer exclude each other (default: the model's id)"},
    {"share", "PERCENT", CLI_TEXT, 0, NULL, NULL, NULL, "of the layer's units (default 100)"},
    {"ramp", "PERCENT", CLI_TEXT, 0, NULL, NULL, NULL, "so many of its units take part; the others are served as if there were no experiment (default 100)"},
    {"dry-run", NULL, CLI_FLAG, 0, NULL, NULL, NULL, "check everything and begin nothing"},
    {0}};
static const struct cli_option experiment_set_options[] = {
    {"ramp", "PERCENT", CLI_TEXT, CLI_REQUIRED, NULL, NULL, NULL, "raising it moves nobody who takes part already"},
    {0}};
static const struct cli_option experiment_stop_options[] = {
    {"reason", "TEXT", CLI_TEXT, 0, NULL, NULL, NULL, "kept with the experiment"},
    {0}};
static const struct cli_column experiment_columns[] = {
    {"name", "EXPERIMENT", CELL_TEXT},
    {"status", "STATUS", CELL_TEXT},
    {"model", "MODEL", CELL_TEXT},
    {"unit", "UNIT", CELL_TEXT},
    {"layer", "LAYER", CELL_TEXT},
    {"share", "SHARE %", CELL_COUNT},
    {"ramp", "RAMP %", CELL_COUNT},
    {"created_at", "CREATED", CELL_TIME},
    {"stopped_at", "STOPPED", CELL_TIME},
    {"stop_reason", "WHY", CELL_TEXT},
    {0}};

const struct cli_command cli_commands[] = {
    {"serve", "run the server", NULL, NULL, serve_options, NULL, NULL,
     "SIGTERM drains and stops; SIGHUP reads catalog, keys and certificates again."},
    {"catalog import", "load or update providers, models and prices", "catalog import", import_file, import_options, NULL, cli_show_import,
     "Importing twice changes nothing; a wayfare file with an error changes nothing at all."},
    {"catalog export", "print the catalog as a file", "catalog export", NULL, NULL, NULL, cli_show_text, NULL},
    {"catalog list", "endpoints and their prices", "catalog list", NULL, catalog_list_options, catalog_columns, cli_show_rows, NULL},
    {"catalog remove", "take endpoints out of the catalog", "catalog remove", NULL, catalog_remove_options, NULL, cli_show_removal,
     "With a model and a provider, what both name. Running requests go on; the books keep everything.\n"
     "Importing a file that names it brings an endpoint back; the price lists of others do not."},
    {"team create", "a new team", "team create", team_name, team_options, NULL, cli_show_team, NULL},
    {"team list", "teams and their budgets", "team list", NULL, NULL, team_columns, cli_show_rows, NULL},
    {"team set", "change a team", "team set", team_name, team_options, NULL, cli_show_team, NULL},
    {"key create", "a new key; printed once, only its hash is kept", "key create", NULL, key_create_options, NULL, cli_show_new_key, NULL},
    {"key list", "keys and what they may do", "key list", NULL, key_list_options, key_columns, cli_show_rows, NULL},
    {"key revoke", "end a key at once", "key revoke", key_id, NULL, NULL, cli_show_key, NULL},
    {"key rotate", "replace a key's secret; prints the new one", "key rotate", key_id, key_rotate_options, NULL, cli_show_new_key, NULL},
    {"key set", "change a key", "key set", key_id, key_set_options, NULL, cli_show_key, NULL},
    {"usage", "what was spent", "usage", NULL, usage_options, NULL, cli_show_usage, NULL},
    {"generation list", "the recent requests", "generation list", NULL, generation_list_options, generation_columns, cli_show_rows, NULL},
    {"generation", "one request: every attempt and its cost", "generation get", generation_id, NULL, NULL, cli_show_generation, NULL},
    {"route", "dry run: what would be chosen for a request", "route", route_file, route_options, NULL, cli_show_route, "Nothing is sent to a provider."},
    {"experiment create", "begin an A/B test", "experiment create", experiment_name, experiment_options, NULL, cli_show_experiment,
     "A request's own fields win over its arm's, an arm's over a key's preset; what a key may not do, no arm can."},
    {"experiment list", "experiments, the newest first", "experiment list", NULL, NULL, experiment_columns, cli_show_rows, NULL},
    {"experiment show", "what it has come to so far, and the verdict", "experiment show", experiment_name, NULL, NULL, cli_show_experiment_report, NULL},
    {"experiment set", "change the ramp of a running experiment", "experiment set", experiment_name, experiment_set_options, NULL, cli_show_experiment, NULL},
    {"experiment stop", "end an experiment; requests are served as if there were none", "experiment stop", experiment_name, experiment_stop_options, NULL, cli_show_experiment, NULL},
    {"replay", "what past traffic would have cost under other preferences or prices", "replay", NULL, replay_options, replay_columns, cli_show_replay,
     "Without --prefs every attempt stays on the endpoint that served it. Tokens are as recorded; what is assumed beside them is printed below the table."},
    {"ledger verify", "check every invariant of the books", "ledger verify", NULL, NULL, NULL, cli_show_verify, NULL},
    {"ledger prune", "delete the detail of old days; their sums stay", "ledger prune", NULL, prune_options, NULL, cli_show_prune, "Usage reports stay the same to the nano-dollar; generations of those days cannot be shown any more."},
    {"ledger reconcile", "compare the ledger with a provider's usage export", "ledger reconcile", reconcile_file, reconcile_options, reconcile_columns, cli_show_reconcile, "ATTRIBUTED: what --apply gives to attempts settled by an estimate or by what was seen. Exit code 0: equal (with --apply: now); 1: there are differences."},
    {"backup", "a consistent copy of the database, also while running", "backup", backup_dest, NULL, NULL, cli_show_backup, NULL},
    {0}};
