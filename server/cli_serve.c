/* `wayfare serve`: from arguments to struct serve_options. */
#include <string.h>

#include "router/rollup_db.h"
#include "server/cli.h"
#include "server/serve.h"

enum { DRAIN_MAX_S = 7 * 86400, CONNECTIONS_MAX = 1000000, RETAIN_DAYS_MAX = 36500 };

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
};

static int read_numbers(struct json_object *args, struct serve_options *o)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct json_object *v = cli_member(args, numbers[i].member);
        int64_t n = json_object_get_int64(v);
        if (v == NULL)
            continue;
        if (n < numbers[i].min || n > numbers[i].max) {
            fprintf(stderr, "wayfare: serve: %s must be %lld to %lld\n", numbers[i].member,
                    (long long)numbers[i].min, (long long)numbers[i].max);
            return -1;
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

static void read_hosts(struct json_object *v, struct serve_options *o)
{
    if (json_object_is_type(v, json_type_string))
        o->allow_base_url[o->n_allow_base_url++] = json_object_get_string(v);
    size_t n = json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
    for (size_t i = 0; i < n; i++)
        o->allow_base_url[o->n_allow_base_url++] =
            json_object_get_string(json_object_array_get_idx(v, i));
}

_Static_assert((int)SERVE_BASE_URL_HOSTS_MAX >= (int)CLI_REPEAT_MAX,
               "as many hosts as the command line lets through");

int cli_serve(const struct cli_call *call)
{
    struct serve_options o = SERVE_OPTIONS_DEFAULT;
    o.db = call->db;
    if (read_numbers(call->args, &o) != 0)
        return CLI_EXIT_USAGE;
    read_texts(call->args, &o);
    read_hosts(cli_member(call->args, "allow_base_url"), &o);
    o.verbose = json_object_get_boolean(cli_member(call->args, "verbose"));
    return serve_run(&o);
}
