/* `wayfare serve`: from arguments to struct serve_options. */
#include <stdlib.h>
#include <string.h>

#include "router/ballast.h"
#include "router/rollup_db.h"
#include "server/auditor.h"
#include "server/cli.h"
#include "server/listen.h"
#include "server/serve.h"
#include "server/webhook.h"

enum { DRAIN_MAX_S = 7 * 86400, CONNECTIONS_MAX = 1000000, RETAIN_DAYS_MAX = 36500 };
enum { AUTH_FAILURES_MAX = 1000000, CLIENT_TIMEOUT_MAX_S = 3600 };
/* The largest body must fit into what is not shed. */
enum { BUFFER_MIN_MIB = 64, BUFFER_MAX_MIB = 1024 * 1024 };

/* The numbers, with the range each must be in. */
static const struct number {
    const char *member;
    size_t offset; /* of an int in struct serve_options */
    int64_t min, max;
} numbers[] = {
    {"threads", offsetof(struct serve_options, threads), 1, SERVE_THREADS_MAX},
    {"drain_timeout", offsetof(struct serve_options, drain_timeout_s), 0, DRAIN_MAX_S},
    {"max_connections", offsetof(struct serve_options, max_connections), 1, CONNECTIONS_MAX},
    {"max_connections_per_address", offsetof(struct serve_options, max_connections_per_address), 0,
     CONNECTIONS_MAX},
    {"max_auth_failures", offsetof(struct serve_options, max_auth_failures), 0, AUTH_FAILURES_MAX},
    {"max_requests", offsetof(struct serve_options, max_requests), 1, CONNECTIONS_MAX},
    {"max_buffer_mib", offsetof(struct serve_options, max_buffer_mib), BUFFER_MIN_MIB,
     BUFFER_MAX_MIB},
    {"client_timeout", offsetof(struct serve_options, client_timeout_s), 1, CLIENT_TIMEOUT_MAX_S},
    {"ballast_mib", offsetof(struct serve_options, ballast_mib), 0, BALLAST_MAX_MIB},
    {"verify_every", offsetof(struct serve_options, verify_every_s), 0, AUDITOR_EVERY_MAX_S},
    {"retain_days", offsetof(struct serve_options, retain_days), ROLLUP_RETAIN_DAYS_MIN,
     RETAIN_DAYS_MAX},
};

static const struct text {
    const char *member;
    size_t offset; /* of a const char * */
} texts[] = {
    {"listen", offsetof(struct serve_options, listen)},
    {"admin_listen", offsetof(struct serve_options, admin_listen)},
    {"tls_cert", offsetof(struct serve_options, tls_cert)},
    {"tls_key", offsetof(struct serve_options, tls_key)},
    {"alert_webhook", offsetof(struct serve_options, alert_webhook)},
};

/* What is wrong with an option, by its name on the command line. */
static int refuse(const char *member, const char *what)
{
    fputs("wayfare: serve: --", stderr);
    for (; *member != '\0'; member++)
        fputc(*member == '_' ? '-' : *member, stderr);
    fprintf(stderr, " must be %s\n", what);
    return -1;
}

static int read_numbers(struct json_object *args, struct serve_options *o)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct json_object *v = cli_member(args, numbers[i].member);
        int64_t n = json_object_get_int64(v);
        if (v == NULL)
            continue;
        if (n < numbers[i].min || n > numbers[i].max) {
            char range[64];
            snprintf(range, sizeof(range), "%lld to %lld", (long long)numbers[i].min,
                     (long long)numbers[i].max);
            return refuse(numbers[i].member, range);
        }
        int small = (int)n;
        memcpy((char *)o + numbers[i].offset, &small, sizeof(small));
    }
    return 0;
}

static void read_texts(struct json_object *args, struct serve_options *o)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct json_object *v = cli_member(args, texts[i].member);
        const char *text = v != NULL ? json_object_get_string(v) : NULL;
        if (v != NULL)
            memcpy((char *)o + texts[i].offset, &text, sizeof(text));
    }
}

/* What it is, and who said it: the option, or the environment. */
static int check_webhook(const struct serve_options *o, struct json_object *args)
{
    static const char rule[] = "an http:// or https:// address";
    if (o->alert_webhook == NULL || webhook_check(o->alert_webhook, NULL) == 0)
        return 0;
    if (cli_member(args, "alert_webhook") != NULL)
        return refuse("alert_webhook", rule);
    fprintf(stderr, "wayfare: serve: WAYFARE_ALERT_WEBHOOK must be %s\n", rule);
    return -1;
}

/* What has the form of an address: whether it can be listened on shows when it is. */
static int check_address(const char *member, const char *address)
{
    char host[LISTEN_TEXT_MAX];
    int port;
    if (listen_split(address, host, &port, NULL) == 0)
        return 0;
    return refuse(member, "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080");
}

static int read_hosts(struct json_object *v, struct serve_options *o)
{
    size_t n = json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
    if (json_object_is_type(v, json_type_string))
        o->allow_base_url[o->n_allow_base_url++] = json_object_get_string(v);
    for (size_t i = 0; i < n; i++)
        o->allow_base_url[o->n_allow_base_url++] =
            json_object_get_string(json_object_array_get_idx(v, i));
    for (int i = 0; i < o->n_allow_base_url; i++) {
        if (!reach_entry_ok(o->allow_base_url[i]))
            return refuse("allow_base_url",
                          "a host without scheme, port and path, or private:HOST");
    }
    return 0;
}

/* ["80", "95"]; null (the word none): no alerts. */
static int read_thresholds(struct json_object *args, struct serve_options *o)
{
    struct json_object *list = NULL;
    if (!json_object_object_get_ex(args, "alert_at", &list))
        return 0;
    o->alert_at = (struct alert_rules){.n = 0};
    size_t n = list != NULL ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(list, i));
        char *end = NULL;
        long percent = strtol(text, &end, 10);
        if (end == text || *end != '\0' || percent < 1 || percent > 100 ||
            !alert_rules_add(&o->alert_at, (int)percent)) {
            char rule[64];
            snprintf(rule, sizeof(rule), "at most %d whole numbers from 1 to 100", ALERT_RULES_MAX);
            return refuse("alert_at", rule);
        }
    }
    return 0;
}

_Static_assert((int)SERVE_BASE_URL_HOSTS_MAX >= (int)CLI_REPEAT_MAX,
               "as many hosts as the command line lets through");

int cli_serve(const struct cli_call *call)
{
    struct serve_options o = SERVE_OPTIONS_DEFAULT;
    o.db = call->db;
    o.alert_webhook = getenv("WAYFARE_ALERT_WEBHOOK");
    if (o.alert_webhook != NULL && o.alert_webhook[0] == '\0')
        o.alert_webhook = NULL;
    if (read_numbers(call->args, &o) != 0 || read_thresholds(call->args, &o) != 0)
        return CLI_EXIT_USAGE;
    read_texts(call->args, &o);
    if (check_address("listen", o.listen) != 0 ||
        check_address("admin_listen", o.admin_listen) != 0 || check_webhook(&o, call->args) != 0)
        return CLI_EXIT_USAGE;
    if (read_hosts(cli_member(call->args, "allow_base_url"), &o) != 0)
        return CLI_EXIT_USAGE;
    o.sandbox = strcmp(cli_member_text(call->args, "sandbox"), "off") != 0;
    o.verbose = json_object_get_boolean(cli_member(call->args, "verbose"));
    return serve_run(&o);
}
