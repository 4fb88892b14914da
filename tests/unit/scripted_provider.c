/* The provider of scripted_provider.h. */
#define _GNU_SOURCE
#include "tests/unit/scripted_provider.h"

#include <arpa/inet.h>
#include <check.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    int fd;
    SSL *ssl;
    char *bytes;
    size_t n;
};

static ssize_t peer_read(struct peer *p, char *into, size_t cap)
{
    return p->ssl != NULL ? SSL_read(p->ssl, into, (int)cap) : recv(p->fd, into, cap, 0);
}

static void peer_write(struct peer *p, struct span s)
{
    for (size_t at = 0; at < s.len;) {
        size_t n = s.len - at < 1000000 ? s.len - at : 1000000;
        ssize_t k = p->ssl != NULL ? SSL_write(p->ssl, s.ptr + at, (int)n)
                                   : send(p->fd, s.ptr + at, n, MSG_NOSIGNAL);
        if (k <= 0)
            return;
        at += (size_t)k;
    }
}

static bool peer_read_request(struct provider *v, struct peer *p, bool head_only)
{
    char *end = NULL;
    size_t need = SIZE_MAX;
    p->n = 0;
    while (p->n < need) {
        ssize_t k = peer_read(p, p->bytes + p->n, PROVIDER_REQUEST_MAX - p->n - 1);
        if (k <= 0)
            return false;
        p->n += (size_t)k;
        p->bytes[p->n] = '\0';
        if (end == NULL && (end = strstr(p->bytes, "\r\n\r\n")) != NULL) {
            const char *length = strstr(p->bytes, "Content-Length: ");
            v->last_body = length != NULL ? (size_t)strtoull(length + 16, NULL, 10) : 0;
            need = (size_t)(end - p->bytes) + 4 + (head_only ? 0 : v->last_body);
        }
    }
    snprintf(v->last_head, sizeof v->last_head, "%.*s", (int)(end - p->bytes), p->bytes);
    __atomic_add_fetch(&v->n_requests, 1, __ATOMIC_SEQ_CST);
    return true;
}

static void play(struct provider *v, struct peer *p, const char *script)
{
    char byte;
    for (; *script != '\0' && *script != ' '; script++) {
        if ((*script == 'R' || *script == 'H') && !peer_read_request(v, p, *script == 'H'))
            return;
        if (*script == 'A')
            peer_write(p, v->answer);
        if (*script == 'W' && read(v->go[0], &byte, 1) != 1)
            return;
        if (*script == 'X') {
            int unsent = 1;
            for (int i = 0; i < 1000 && unsent > 0; i++) {
                ioctl(p->fd, SIOCOUTQ, &unsent); /* a reset would take it back */
                usleep(1000);
            }
            struct linger now = {.l_onoff = 1, .l_linger = 0};
            setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        if (*script == 'X' || *script == 'F')
            return;
    }
    /* Until the test's side closes, or the test ends. */
    struct pollfd wait = {.fd = p->fd, .events = POLLIN};
    while (!__atomic_load_n(&v->ending, __ATOMIC_SEQ_CST) &&
           (poll(&wait, 1, 10) == 0 || peer_read(p, p->bytes, PROVIDER_REQUEST_MAX) > 0)) {
    }
}

static void *serve(void *ctx)
{
    struct provider *v = ctx;
    struct peer p = {.bytes = malloc(PROVIDER_REQUEST_MAX)};
    for (const char *script = v->script; script != NULL;) {
        p.fd = accept(v->listener, NULL, NULL);
        if (p.fd < 0)
            break;
        __atomic_add_fetch(&v->n_connections, 1, __ATOMIC_SEQ_CST);
        p.ssl = v->tls != NULL ? SSL_new(v->tls) : NULL;
        if (p.ssl != NULL)
            SSL_set_fd(p.ssl, p.fd);
        if (p.ssl == NULL || SSL_accept(p.ssl) == 1)
            play(v, &p, script);
        if (p.ssl != NULL && !v->no_notify)
            SSL_shutdown(p.ssl);
        SSL_free(p.ssl);
        close(p.fd);
        script = strchr(script, ' ');
        script = script != NULL ? script + 1 : NULL;
    }
    free(p.bytes);
    return NULL;
}

void provider_place(struct provider *v)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    v->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(v->listener, (struct sockaddr *)&a, len), 0);
    getsockname(v->listener, (struct sockaddr *)&a, &len);
    v->port = ntohs(a.sin_port);
    ck_assert_int_eq(pipe(v->go), 0);
}

void provider_listen(struct provider *v)
{
    provider_place(v);
    ck_assert_int_eq(listen(v->listener, 64), 0);
}

void provider_start(struct provider *v, const char *script, const char *answer)
{
    v->script = script;
    if (v->answer.ptr == NULL)
        v->answer = span_of(answer);
    provider_listen(v);
    ck_assert_int_eq(pthread_create(&v->thread, NULL, serve, v), 0);
}

void provider_go(struct provider *v)
{
    ck_assert_int_eq(write(v->go[1], "", 1), 1);
}

void provider_end(struct provider *v)
{
    __atomic_store_n(&v->ending, 1, __ATOMIC_SEQ_CST);
    shutdown(v->listener, SHUT_RDWR);
    close(v->go[1]);
    pthread_join(v->thread, NULL);
    close(v->go[0]);
    close(v->listener);
}

/* ---- TLS ---- */

static void make_certificate(struct provider *v, const char *name)
{
    v->key = EVP_EC_gen("P-256");
    v->cert = X509_new();
    X509_set_version(v->cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(v->cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(v->cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(v->cert), 3600);
    X509_set_pubkey(v->cert, v->key);
    X509_NAME *n = X509_get_subject_name(v->cert);
    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(v->cert, n);
    char alt[80];
    snprintf(alt, sizeof alt, "DNS:%s", name);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    X509_add_ext(v->cert, e, -1);
    X509_EXTENSION_free(e);
    ck_assert_int_gt(X509_sign(v->cert, v->key, EVP_sha256()), 0);
}

void provider_use_tls(struct provider *v, const char *name)
{
    make_certificate(v, name);
    v->tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(v->tls, v->cert);
    SSL_CTX_use_PrivateKey(v->tls, v->key);
    snprintf(v->ca_path, sizeof v->ca_path, "/tmp/wayfare-ca-XXXXXX");
    FILE *f = fdopen(mkstemp(v->ca_path), "w");
    ck_assert_ptr_nonnull(f);
    PEM_write_X509(f, v->cert);
    fclose(f);
}

void provider_end_tls(struct provider *v, SSL_CTX *tls)
{
    SSL_CTX_free(tls);
    X509_free(v->cert);
    EVP_PKEY_free(v->key);
    unlink(v->ca_path);
}
