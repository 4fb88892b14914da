#define _GNU_SOURCE
/* Unit tests of the command line: words -> operation and arguments, or error and exit code;
 * results -> tables. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli.h"
#include "server/ops.h"

enum { WORDS_MAX = 32 };

/* Splits at blanks; "~" becomes a blank within a word, "''" an empty word. */
static int split(const char *line, char *words[WORDS_MAX])
{
    int n = 0;
    words[n++] = strdup("wayfare");
    while (*line != '\0') {
        size_t len = strcspn(line, " ");
        ck_assert_int_lt(n, WORDS_MAX);
        words[n] = strndup(line, len);
        if (strcmp(words[n], "''") == 0)
            words[n][0] = '\0';
        for (char *p = words[n]; *p != '\0'; p++)
            *p = *p == '~' ? ' ' : *p;
        n++;
        line += len;
        line += strspn(line, " ");
    }
    return n;
}

static int parse(const char *line, const char *env_db, struct cli_call *call, char **words,
                 int *ret_n)
{
    *ret_n = split(line, words);
    return cli_parse(*ret_n, words, env_db, call);
}

static void done(struct cli_call *call, char **words, int n)
{
    cli_call_done(call);
    for (int i = 0; i < n; i++)
        free(words[i]);
}

/* ---- understood ---- */

static const struct {
    const char *line, *words, *args;
} good[] = {
    {"team create search", "team create", "{\"name\":\"search\"}"},
    {"team create search --budget 100 --window month", "team create",
     "{\"name\":\"search\",\"budget\":\"100\",\"window\":\"month\"}"},
    {"team create --budget=0.5 --window=day search", "team create",
     "{\"budget\":\"0.5\",\"window\":\"day\",\"name\":\"search\"}"},
    {"team set t --bound strict", "team set", "{\"name\":\"t\",\"bound\":\"strict\"}"},
    {"experiment create x --model m --arm A=none:50 --arm B=none:7 --shadow-arm S=none:9",
     "experiment create",
     "{\"name\":\"x\",\"model\":\"m\",\"arms\":[{\"name\":\"A\",\"prefs\":null,\"weight\":50},"
     "{\"name\":\"B\",\"prefs\":null,\"weight\":7}],"
     "\"shadow_arms\":{\"name\":\"S\",\"prefs\":null,\"weight\":9}}"},
    {"key create --team t --on-limit clamp", "key create",
     "{\"team\":\"t\",\"on_limit\":\"clamp\"}"},
    {"team create t --budget 1 --window day --budget 2 --window week --timezone Europe/Berlin",
     "team create",
     "{\"name\":\"t\",\"budget\":[\"1\",\"2\"],\"window\":[\"day\",\"week\"],"
     "\"timezone\":\"Europe/Berlin\"}"},
    {"team set t --budget none --window day", "team set",
     "{\"name\":\"t\",\"budget\":null,\"window\":\"day\"}"},
    {"team set t --budget none --window day --budget 3 --window total", "team set",
     "{\"name\":\"t\",\"budget\":[null,\"3\"],\"window\":[\"day\",\"total\"]}"},
    {"team create none", "team create", "{\"name\":\"none\"}"},
    {"team create -- --odd", "team create", "{\"name\":\"--odd\"}"},
    {"team list", "team list", "{}"},
    {"key create --team search --name my~key --models a,b --providers-only x "
     "--providers-ignore y,z --zdr --rpm 10 --tpm 20 --concurrency 3 --expires 2027-01-01 "
     "--allow-provider-configs",
     "key create",
     "{\"team\":\"search\",\"name\":\"my key\",\"models\":[\"a\",\"b\"],\"providers_only\":[\"x\"],"
     "\"providers_ignore\":[\"y\",\"z\"],\"zdr\":true,\"rpm\":10,\"tpm\":20,\"concurrency\":3,"
     "\"expires\":\"2027-01-01\",\"allow_provider_configs\":true}"},
    {"key create --team t --preset /dev/null", "key create", "{\"team\":\"t\",\"preset\":\"\"}"},
    {"key set key_1 --no-zdr --models none --rpm none", "key set",
     "{\"id\":\"key_1\",\"zdr\":false,\"models\":null,\"rpm\":null}"},
    {"key list --team t", "key list", "{\"team\":\"t\"}"},
    {"key revoke key_1", "key revoke", "{\"id\":\"key_1\"}"},
    {"key rotate --grace 24h key_1", "key rotate", "{\"grace\":\"24h\",\"id\":\"key_1\"}"},
    {"catalog import builtin --dry-run", "catalog import", "{\"builtin\":true,\"dry_run\":true}"},
    {"catalog import /dev/null --format models.dev", "catalog import",
     "{\"text\":\"\",\"format\":\"models.dev\"}"},
    {"catalog list --model m --provider p", "catalog list", "{\"model\":\"m\",\"provider\":\"p\"}"},
    {"catalog export", "catalog export", "{}"},
    {"usage --by model --since 2026-01-01 --until 2026-02-01", "usage",
     "{\"by\":\"model\",\"since\":\"2026-01-01\",\"until\":\"2026-02-01\"}"},
    {"generation gen_1", "generation", "{\"id\":\"gen_1\"}"},
    {"generation list --key key_1 --team t --since 2026-01-01 --limit 5", "generation list",
     "{\"key\":\"key_1\",\"team\":\"t\",\"since\":\"2026-01-01\",\"limit\":5}"},
    {"route /dev/null --key key_1 --explain", "route",
     "{\"body\":\"\",\"key\":\"key_1\",\"explain\":true}"},
    {"replay --catalog builtin", "replay", "{\"builtin\":true}"},
    {"generation --json list --limit 5", "generation list", "{\"limit\":5}"},
    {"generation --format csv gen_1 --json", "generation", "{\"id\":\"gen_1\"}"},
    {"ledger verify", "ledger verify", "{}"},
    {"backup /tmp/copy.db", "backup", "{\"dest\":\"/tmp/copy.db\"}"},
    {"serve --listen 127.0.0.1:0 --threads 2 --allow-base-url a --allow-base-url b", "serve",
     "{\"listen\":\"127.0.0.1:0\",\"threads\":2,\"allow_base_url\":[\"a\",\"b\"]}"},
    {"serve --tls-cert c --tls-key k --drain-timeout 5 --max-connections 9 "
     "--max-connections-per-address 3 --admin-listen [::1]:0",
     "serve",
     "{\"tls_cert\":\"c\",\"tls_key\":\"k\",\"drain_timeout\":5,\"max_connections\":9,"
     "\"max_connections_per_address\":3,\"admin_listen\":\"[::1]:0\"}"},
    {"serve --max-requests 9 --max-buffer-mib 64 --max-auth-failures 0 --client-timeout 2", "serve",
     "{\"max_requests\":9,\"max_buffer_mib\":64,\"max_auth_failures\":0,\"client_timeout\":2}"},
};

START_TEST(understands)
{
    char *words[WORDS_MAX];
    int n;
    struct cli_call call;
    int rc = parse(good[_i].line, NULL, &call, words, &n);
    ck_assert_msg(rc == CLI_EXIT_OK, "%s: %s", good[_i].line, call.text.ptr);
    ck_assert_ptr_nonnull(call.command);
    ck_assert_str_eq(call.command->words, good[_i].words);
    ck_assert_str_eq(json_object_to_json_string_ext(call.args, JSON_C_TO_STRING_PLAIN |
                                                                   JSON_C_TO_STRING_NOSLASHESCAPE),
                     good[_i].args);
    done(&call, words, n);
}
END_TEST

/* ---- not understood ---- */

static const struct {
    const char *line;
    int code;
    const char *text; /* the error begins so */
} bad[] = {
    {"", 2, "a command is needed (see: wayfare --help)"},
    {"frob", 2, "unknown command frob"},
    {"experiment frob", 2,
     "unknown command experiment frob, known are: create, list, show, set, stop"},
    {"experiment create x --model m --arm A=none", 2,
     "experiment create: --arm must be NAME=FILE:WEIGHT, not A=none"},
    {"experiment create x --model m --arm =none:5", 2, "experiment create: --arm must be"},
    {"experiment create x --model m --arm A=:5", 2, "experiment create: --arm must be"},
    {"experiment create x --model m --arm A=none:-5", 2, "experiment create: --arm must be"},
    {"experiment create x --model m --arm A=/nowhere/a:b=c:5", 1,
     "experiment create: /nowhere/a:b=c: No such file"},
    {"replay --frob", 2, "replay: unknown option --frob"},
    {"replay x", 2, "replay: unexpected argument x"},
    {"key", 2, "key needs one of: create, list, revoke, rotate, set"},
    {"key --json", 2, "key needs one of: "},
    {"key --team t list", 2, "key needs one of: "},
    {"key --json frob", 2, "unknown command key frob"},
    {"key frob", 2, "unknown command key frob, known are: create, "},
    {"team create", 2, "team create: NAME is missing (see: wayfare team create --help)"},
    {"team create a b", 2, "team create: unexpected argument b"},
    {"team list x", 2, "team list: unexpected argument x"},
    {"team create a --color red", 2, "team create: unknown option --color"},
    {"team create a -x", 2, "team create: unknown option -x"},
    {"team create a --budget 5", 2, "team create: --budget and --window go together"},
    {"team create a --window day", 2, "team create: --budget and --window go together"},
    {"team create a --budget 5 --window day --budget 6", 2,
     "team create: --budget and --window go together"},
    {"team create a --budget", 2, "team create: --budget needs a value, USD"},
    {"team create a --budget --window day", 2, "team create: --budget needs a value, USD"},
    {"team create a --budget 5 --window year", 2,
     "team create: --window must be one of day, week, month, total, not year"},
    {"team create a --budget 1e3 --window day", 2, "team create: --budget must be an amount"},
    {"team create a --budget -5 --window day", 2, "team create: --budget must be an amount"},
    {"team create a --budget 0.0000000001 --window day", 2,
     "team create: --budget must be an amount"},
    {"team create a --timezone X --timezone Y", 2,
     "team create: --timezone is given more than once"},
    {"key create --name x", 2, "key create: --team is required"},
    {"key create --team t --rpm ten", 2, "key create: --rpm must be a whole number, not ten"},
    {"key create --team t --on-limit cut", 2,
     "key create: --on-limit must be one of refuse, clamp, not cut"},
    {"team set t --bound loose", 2,
     "team set: --bound must be one of strict, calibrated, not loose"},
    {"key create --team t --rpm -1", 2, "key create: --rpm must be a whole number, not -1"},
    {"key create --team t --models ''", 2,
     "key create: --models is empty; `none` is the word for no list"},
    {"key set k --providers-only=", 2, "key set: --providers-only is empty"},
    {"serve --alert-at ''", 2, "serve: --alert-at is empty"},
    {"key create --team t --zdr=yes", 2, "key create: --zdr takes no value"},
    {"key create --team t --no-zdr", 2, "key create: unknown option --no-zdr"},
    {"key create --team t --preset /nonexistent/p", 1, "key create: /nonexistent/p: No such file"},
    {"catalog import /nonexistent/c", 1, "catalog import: /nonexistent/c: No such file"},
    {"catalog import builtin /dev/null", 2, "catalog import: unexpected argument /dev/null"},
    {"catalog import /dev/null --format csv", 2,
     "catalog import: --format must be one of wayfare, litellm, models.dev, openrouter, not csv"},
    {"catalog export --format csv", 2, "catalog export: csv is not a format of this command"},
    {"usage --by week", 2, "usage: --by must be one of team, key, model, "},
    {"usage --format xml", 2, "usage: --format must be one of table, json, csv, not xml"},
    {"generation", 2, "generation: ID is missing"},
    {"generation list --limit 1.5", 2, "generation list: --limit must be a whole number"},
    {"serve --tls-cert c", 2, "serve: --tls-cert and --tls-key go together"},
    {"serve now", 2, "serve: unexpected argument now"},
    {"--db", 2, "--db needs a value, PATH"},
    {"--frob team list", 2, "unknown option --frob"},
    {"team list --db ''", 2, "team list: --db needs a path"},
    {"help frob", 2, "unknown command frob"},
};

START_TEST(refuses)
{
    char *words[WORDS_MAX];
    int n;
    struct cli_call call;
    int rc = parse(bad[_i].line, NULL, &call, words, &n);
    ck_assert_msg(rc == bad[_i].code, "%s: exit %d", bad[_i].line, rc);
    ck_assert_ptr_nonnull(call.text.ptr);
    ck_assert_msg(strncmp(call.text.ptr, bad[_i].text, strlen(bad[_i].text)) == 0, "%s: says %s",
                  bad[_i].line, call.text.ptr);
    ck_assert_ptr_null(strchr(call.text.ptr, '\n'));
    done(&call, words, n);
}
END_TEST

/* ---- what every command takes ---- */

static const struct {
    const char *line, *env, *db;
    enum cli_format format;
} common[] = {
    {"team list", NULL, "./wayfare.db", CLI_TABLE},
    {"team list", "", "./wayfare.db", CLI_TABLE},
    {"team list", "/env.db", "/env.db", CLI_TABLE},
    {"team list --db /x.db", "/env.db", "/x.db", CLI_TABLE},
    {"--db /x.db --json team list", NULL, "/x.db", CLI_JSON},
    {"--db=/x.db team list --format=json", NULL, "/x.db", CLI_JSON},
    {"team list --format csv", NULL, "./wayfare.db", CLI_CSV},
    {"usage --format csv", NULL, "./wayfare.db", CLI_CSV},
    {"catalog import builtin --format wayfare --json", NULL, "./wayfare.db", CLI_JSON},
    {"catalog import builtin --format json --format wayfare", NULL, "./wayfare.db", CLI_JSON},
    {"ledger reconcile /dev/null --format csv --format openai", NULL, "./wayfare.db", CLI_CSV},
    {"team --json list", NULL, "./wayfare.db", CLI_JSON},
    {"generation --db /x.db --json gen_1", NULL, "/x.db", CLI_JSON},
};

START_TEST(reads_common_options)
{
    char *words[WORDS_MAX];
    int n;
    struct cli_call call;
    ck_assert_int_eq(parse(common[_i].line, common[_i].env, &call, words, &n), CLI_EXIT_OK);
    ck_assert_str_eq(call.db, common[_i].db);
    ck_assert_int_eq(call.format, common[_i].format);
    done(&call, words, n);
}
END_TEST

static const struct {
    const char *line, *says;
} helps[] = {
    {"--help", "Usage: wayfare COMMAND [options]"},
    {"-h", "Usage: wayfare COMMAND [options]"},
    {"help", "Usage: wayfare COMMAND [options]"},
    {"key --help", "Usage: wayfare key COMMAND [options]"},
    {"help key", "Usage: wayfare key COMMAND [options]"},
    {"key create --help", "Usage: wayfare key create [options]"},
    {"key create --frob --help", "Usage: wayfare key create [options]"},
    {"help team create", "Usage: wayfare team create NAME [options]"},
    {"generation --help", "Usage: wayfare generation ID [options]"},
    {"serve --help", "Usage: wayfare serve [options]"},
    {"--version", "wayfare "},
};

START_TEST(helps_on_every_level)
{
    char *words[WORDS_MAX];
    int n;
    struct cli_call call;
    ck_assert_int_eq(parse(helps[_i].line, NULL, &call, words, &n), CLI_EXIT_OK);
    ck_assert_ptr_null(call.command);
    ck_assert(!call.text.failed);
    ck_assert_msg(strncmp(call.text.ptr, helps[_i].says, strlen(helps[_i].says)) == 0,
                  "%s: says %s", helps[_i].line, call.text.ptr);
    done(&call, words, n);
}
END_TEST

/* A command's own --format is not that of every command. */
START_TEST(help_does_not_contradict_itself)
{
    char *words[WORDS_MAX];
    int n;
    struct cli_call call;
    ck_assert_int_eq(parse("catalog import --help", NULL, &call, words, &n), CLI_EXIT_OK);
    char *first = strstr(call.text.ptr, "--format F");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(strstr(first + 1, "--format F"));
    ck_assert_ptr_nonnull(strstr(call.text.ptr, "--json"));
    done(&call, words, n);
}
END_TEST

START_TEST(help_names_the_formats_it_takes)
{
    static const char *const lines[] = {"usage --help", "team list --help", "team create --help",
                                        "ledger verify --help"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char *words[WORDS_MAX];
        int n;
        struct cli_call call;
        ck_assert_int_eq(parse(lines[i], NULL, &call, words, &n), CLI_EXIT_OK);
        ck_assert_ptr_nonnull(
            strstr(call.text.ptr, i < 2 ? " table, json or csv\n" : " table or json\n"));
        done(&call, words, n);
    }
}
END_TEST

/* Every row of the table: its operation exists, its help names each of its options. */
START_TEST(table_is_consistent)
{
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        struct buf help;
        buf_init(&help, 65536);
        ck_assert_msg(c->op == NULL || ops_find(c->op) != NULL, "%s: no operation", c->words);
        ck_assert_msg(c->op == NULL || c->print != NULL, "%s: no printer", c->words);
        cli_help_command(c, &help);
        for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
            char shown[64];
            snprintf(shown, sizeof(shown), "--%s", o->name);
            ck_assert_msg(strstr(help.ptr, shown) != NULL, "%s: %s", c->words, shown);
            ck_assert(o->help != NULL && o->help[0] != '\0');
            ck_assert((o->arg == NULL) == (o->kind == CLI_FLAG || o->kind == CLI_FLAG_OFF));
        }
        buf_done(&help);
    }
}
END_TEST

/* ---- printing ---- */

static void print(const char *line, const char *result, int code, const char *expected)
{
    char *words[WORDS_MAX];
    int n;
    struct cli_call call;
    struct buf out;
    struct json_object *o = json_tokener_parse(result);
    ck_assert_ptr_nonnull(o);
    ck_assert_int_eq(parse(line, NULL, &call, words, &n), CLI_EXIT_OK);
    buf_init(&out, 65536);
    ck_assert_int_eq(cli_print(&call, o, &out), code);
    ck_assert_str_eq(out.ptr, expected);
    buf_done(&out);
    json_object_put(o);
    done(&call, words, n);
}

START_TEST(prints_a_table)
{
    print("generation list",
          "{\"data\": [{\"id\": \"gen_1\", \"created_at\": \"2026-11-25T06:34:35.123Z\","
          " \"team\": \"b\u00e9ta\", \"status\": \"ok\", \"model\": null, \"provider\": "
          "\"p\\u001bq\","
          " \"usage\": {\"input_tokens\": 5, \"output_tokens\": 12345}, \"cost_usd\": \"12\"},"
          " {\"id\": \"gen_22\", \"created_at\": \"2026-11-25T06:34:35.123Z\", \"team\": \"t\","
          " \"status\": \"ok\", \"model\": \"m\", \"provider\": \"p\", \"usage\": {},"
          " \"cost_usd\": \"0.0035\"}]}",
          0,
          "ID      CREATED              TEAM  STATUS  MODEL  PROVIDER  IN    OUT   COST $\n"
          "gen_1   2026-11-25 06:34:35  b\u00e9ta  ok      -      p?q        5  12345  12.0000\n"
          "gen_22  2026-11-25 06:34:35  t     ok      m      p          -      -   0.0035\n");
}
END_TEST

START_TEST(prints_csv)
{
    print("team list --format csv",
          "{\"data\": [{\"name\": \"a,\\\"b\", \"limits\": [{\"scope\": \"team\", \"window\": "
          "\"day\","
          " \"spent_usd\": \"0\", \"cap_usd\": \"5\"}, {\"scope\": \"team\","
          " \"window\": \"month\", \"spent_usd\": \"1.2\", \"cap_usd\": \"7.5\"}],"
          " \"timezone\": \"=1+1\", \"keys\": 2, \"created_at\": \"2026-11-25T06:34:35.123Z\"}]}",
          0,
          "name,limits,timezone,bound,keys,created_at\r\n"
          "\"a,\"\"b\",\"0 of 5/day, 1.2 of 7.5/month\",\"'=1+1\",,2,2026-11-25T06:34:35.123Z\r\n");
}
END_TEST

static const char usage_result[] =
    "{\"by\": \"model\", \"since\": \"A\", \"until\": \"B\", \"rows\": [{\"model\": \"m\","
    " \"requests\": 2, \"attempts\": 3, \"errors\": 0, \"input_tokens\": 10, \"output_tokens\": 20,"
    " \"cache_read_tokens\": 0, \"cache_write_5m_tokens\": 0, \"cache_write_1h_tokens\": 0,"
    " \"web_searches\": 0, \"cost_usd\": \"0.000000007\"}], \"total\": {\"requests\": 2,"
    " \"attempts\": 3, \"errors\": 0, \"input_tokens\": 10, \"output_tokens\": 20,"
    " \"cache_read_tokens\": 0, \"cache_write_5m_tokens\": 0, \"cache_write_1h_tokens\": 0,"
    " \"web_searches\": 0, \"cost_usd\": \"0.000000007\"}}";

START_TEST(prints_usage)
{
    print("usage --by model", usage_result, 0,
          "A to B\n"
          "MODEL  REQUESTS  ATTEMPTS  ERRORS  INPUT  OUTPUT  CACHE READ  WRITE 5M  WRITE 1H  "
          "SEARCHES       COST $\n"
          "m             2         3       0     10      20           0         0         0  "
          "       0  0.000000007\n"
          "--------------------------------------------------------------------------------"
          "-----------------------\n"
          "total         2         3       0     10      20           0         0         0  "
          "       0  0.000000007\n");
    print("usage --by model --format csv", usage_result, 0,
          "model,requests,attempts,errors,input_tokens,output_tokens,cache_read_tokens,"
          "cache_write_5m_tokens,cache_write_1h_tokens,web_searches,cost_usd\r\n"
          "m,2,3,0,10,20,0,0,0,0,0.000000007\r\n");
}
END_TEST

START_TEST(verify_decides_the_exit_code)
{
    print("ledger verify", "{\"ok\": true, \"violations\": []}", 0, "ok\n");
    print("ledger verify",
          "{\"ok\": false, \"violations\": [{\"invariant\": \"I2\", \"detail\": \"off by 1\"}]}", 1,
          "I2: off by 1\n");
    print("ledger verify --json", "{\"ok\": true}", 0, "{\n  \"ok\":true\n}\n");
    print("ledger verify --json", "{\"ok\": false}", 1, "{\n  \"ok\":false\n}\n");
}
END_TEST

START_TEST(a_new_key_stands_alone)
{
    print("key create --team t", "{\"id\": \"key_1\", \"key\": \"wf_x\"}", 0, "wf_x\n");
    print("key rotate key_1", "{\"id\": \"key_1\", \"key\": \"wf_y\"}", 0, "wf_y\n");
}
END_TEST

START_TEST(an_export_is_printed_as_it_is)
{
    print("catalog export", "{\"text\": \"{ \\\"a\\\": 1 }\\n\"}", 0, "{ \"a\": 1 }\n");
    print("catalog export --json", "{\"text\": \"{ \\\"a\\\": 1 }\\n\"}", 0, "{ \"a\": 1 }\n");
}
END_TEST

START_TEST(route_explains_when_asked_or_empty)
{
    static const char result[] =
        "{\"plan\": [{\"model\": \"m\", \"provider\": \"p\", \"rank\": 1, \"expected_cost_usd\":"
        " \"0.001\", \"worst_cost_usd\": \"0.01\", \"estimate\": {\"prompt_tokens\": 1,"
        " \"cached_tokens\": 0, \"completion_tokens\": 2}, \"why\": \"cheapest\"}],"
        " \"excluded\": [{\"model\": \"m\", \"provider\": \"q\", \"reason\": \"max_price\","
        " \"detail\": \"too dear\"}], \"warnings\": [\"w\"], \"dropped\": []}";
#define PLAN                                                                                       \
    "RANK  MODEL  PROVIDER  EXPECTED $  WORST $  PROMPT  CACHED  COMPLETION  WHY\n"                \
    "   1  m      p              0.001     0.01       1       0           2  cheapest\n"           \
    "warning: w\n"
    print("route /dev/null", result, 0, PLAN "1 left out (--explain says why)\n");
    print("route /dev/null --explain", result, 0,
          PLAN "\nleft out:\nMODEL  PROVIDER  REASON     DETAIL\n"
               "m      q         max_price  too dear\n");
    print("route /dev/null", "{\"plan\": [], \"excluded\": [], \"warnings\": [], \"dropped\": []}",
          0, "no endpoint fits this request\n");
}
END_TEST

Suite *cli_suite(void);

Suite *cli_suite(void)
{
    Suite *s = suite_create("cli");
    TCase *t = tcase_create("parse");
    tcase_add_loop_test(t, understands, 0, (int)(sizeof(good) / sizeof(good[0])));
    tcase_add_loop_test(t, refuses, 0, (int)(sizeof(bad) / sizeof(bad[0])));
    tcase_add_loop_test(t, reads_common_options, 0, (int)(sizeof(common) / sizeof(common[0])));
    tcase_add_loop_test(t, helps_on_every_level, 0, (int)(sizeof(helps) / sizeof(helps[0])));
    tcase_add_test(t, help_does_not_contradict_itself);
    tcase_add_test(t, help_names_the_formats_it_takes);
    tcase_add_test(t, table_is_consistent);
    suite_add_tcase(s, t);
    TCase *p = tcase_create("print");
    tcase_add_test(p, prints_a_table);
    tcase_add_test(p, prints_csv);
    tcase_add_test(p, prints_usage);
    tcase_add_test(p, verify_decides_the_exit_code);
    tcase_add_test(p, a_new_key_stands_alone);
    tcase_add_test(p, an_export_is_printed_as_it_is);
    tcase_add_test(p, route_explains_when_asked_or_empty);
    suite_add_tcase(s, p);
    return s;
}
