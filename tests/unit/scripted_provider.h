/* A provider that is a thread of the test and plays a script on loopback, plain or over TLS. */
#ifndef TESTS_UNIT_SCRIPTED_PROVIDER_H
#define TESTS_UNIT_SCRIPTED_PROVIDER_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdint.h>

#include "schema/span.h"

enum { PROVIDER_REQUEST_MAX = 8 * 1024 * 1024 };

/* What it does on a connection, a letter each:
 *   R  reads one whole request        A  answers with `answer`
 *   F  closes the connection          X  resets it
 *   W  waits for the test's signal    H  reads the head of a request only */
struct provider {
    int listener;
    uint16_t port;
    const char *script; /* connections are separated by blanks */
    struct span answer;
    SSL_CTX *tls; /* NULL: plain */
    bool no_notify;
    pthread_t thread;
    int go[2];                             /* a pipe: the test's signals */
    int n_requests, n_connections, ending; /* __atomic */
    char last_head[8192];
    size_t last_body;
    EVP_PKEY *key;
    X509 *cert;
    char ca_path[64];
};

/* Only the port, which nobody else can take: it refuses. */
void provider_place(struct provider *v);
/* And nobody accepts. */
void provider_listen(struct provider *v);
/* `answer` unless v->answer is set already. */
void provider_start(struct provider *v, const char *script, const char *answer);
void provider_go(struct provider *v);
void provider_end(struct provider *v);

/* A certificate for `name` for it, and as a PEM file for those who are to trust it. */
void provider_use_tls(struct provider *v, const char *name);
void provider_end_tls(struct provider *v, SSL_CTX *tls);

#endif
