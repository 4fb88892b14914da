/* `wayfare serve`: builds the server in order, runs it until a signal, tears it down in
 * reverse. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "router/alert.h"
#include "server/reach.h"

enum { SERVE_BASE_URL_HOSTS_MAX = 64, SERVE_THREADS_MAX = 64 };

struct serve_options {
    const char *db;                  /* database path */
    const char *listen;              /* HOST:PORT; default 127.0.0.1:8080; port 0 picks one */
    const char *admin_listen;        /* default 127.0.0.1:8081 */
    int threads;                     /* 0 = one per core */
    const char *tls_cert, *tls_key;  /* both or neither */
    int drain_timeout_s;             /* default 600 */
    int max_connections;             /* default 20000 */
    int max_connections_per_address; /* 0 = unlimited */
    int max_auth_failures;           /* a second and address; default 10, 0 = unlimited */
    int max_requests;                /* default 4000: the load above which requests are shed */
    int max_buffer_mib;              /* default 512: of bodies and answers */
    int client_timeout_s;            /* default 60: a client that makes no progress */
    int retain_days;                 /* of single requests; 0 = for ever */
    int n_allow_base_url;
    const char *allow_base_url[SERVE_BASE_URL_HOSTS_MAX];
    struct alert_rules alert_at; /* default 80 and 95 per cent */
    const char *alert_webhook;   /* NULL: alerts only go to the log */
    int ballast_mib;             /* default 64, 0 = none */
    int verify_every_s;          /* default 60, 0 = the books are not checked */
    bool sandbox;                /* default on */
    bool verbose;                /* debug log */
};

#define SERVE_OPTIONS_DEFAULT                                                                      \
    ((struct serve_options){.db = "./wayfare.db",                                                  \
                            .listen = "127.0.0.1:8080",                                            \
                            .admin_listen = "127.0.0.1:8081",                                      \
                            .drain_timeout_s = 600,                                                \
                            .max_connections = 20000,                                              \
                            .max_auth_failures = 10,                                               \
                            .max_requests = 4000,                                                  \
                            .max_buffer_mib = 512,                                                 \
                            .client_timeout_s = 60,                                                \
                            .alert_at = ALERT_RULES_DEFAULT,                                       \
                            .ballast_mib = 64,                                                     \
                            .verify_every_s = 60,                                                  \
                            .sandbox = true})

static inline struct reach_list serve_reach(const struct serve_options *o)
{
    return (struct reach_list){o->allow_base_url, o->n_allow_base_url};
}

/* The process exit code: 0 after a clean drain, 1 when it could not start (the reason on
 * stderr). */
int serve_run(const struct serve_options *o);

#endif
