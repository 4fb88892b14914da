/* Certificates of the data listener. */
#include "server/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "schema/buf.h"

/* One that was ever in use; kept, since only an operator's renewal makes another. */
struct pair {
    struct pair *older;
    struct buf cert, key; /* as read: is the next one the same? */
    gnutls_pcert_st chain[TLS_CHAIN_MAX];
    unsigned n_chain;
    gnutls_privkey_t private_key;
    int64_t expires_s;
};

static struct pair *the_pair; /* __atomic */

static int read_pem(const char *path, struct buf *ret, struct fail *f)
{
    FILE *in = fopen(path, "rbe");
    char block[4096];
    size_t n = 0;
    if (in == NULL) {
        return fail_set(f, ERR_bad_request, NULL, "cannot read the PEM file %s: %s", path,
                        strerror(errno));
    }
    while ((n = fread(block, 1, sizeof block, in)) > 0) {
        buf_add(ret, block, n);
    }
    OPENSSL_cleanse(block, sizeof block);
    fclose(in);
    return ret->len > 0 && !ret->failed
               ? 0
               : fail_set(f, ERR_bad_request, NULL,
                          "cannot read the PEM file %s: it is empty, too large or no file", path);
}

static void free_pair(struct pair *p)
{
    for (unsigned i = 0; i < p->n_chain; i++) {
        gnutls_pcert_deinit(&p->chain[i]);
    }
    if (p->private_key != NULL) {
        gnutls_privkey_deinit(p->private_key);
    }
    if (p->key.ptr != NULL) {
        OPENSSL_cleanse(p->key.ptr, p->key.len);
    }
    buf_done(&p->cert);
    buf_done(&p->key);
    free(p);
}

static gnutls_datum_t datum_of(struct buf *b)
{
    return (gnutls_datum_t){.data = (unsigned char *)b->ptr, .size = (unsigned)b->len};
}

/* That key and certificate match is what a set of credentials of the library looks at. */
static int check_pair(struct pair *p)
{
    gnutls_certificate_credentials_t trial;
    gnutls_datum_t cert = datum_of(&p->cert), key = datum_of(&p->key);
    int rc = gnutls_certificate_allocate_credentials(&trial);
    if (rc < 0) {
        return rc;
    }
    rc = gnutls_certificate_set_x509_key_mem(trial, &cert, &key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(trial);
    return rc;
}

static int parse(struct pair *p)
{
    gnutls_datum_t cert = datum_of(&p->cert), key = datum_of(&p->key);
    unsigned n = TLS_CHAIN_MAX;
    gnutls_x509_crt_t first;
    int rc = gnutls_pcert_list_import_x509_raw(p->chain, &n, &cert, GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0) {
        return rc;
    }
    p->n_chain = n;
    if ((rc = gnutls_privkey_init(&p->private_key)) < 0 ||
        (rc = gnutls_privkey_import_x509_raw(p->private_key, &key, GNUTLS_X509_FMT_PEM, NULL, 0)) <
            0 ||
        (rc = gnutls_pcert_export_x509(&p->chain[0], &first)) < 0) {
        return rc;
    }
    p->expires_s = (int64_t)gnutls_x509_crt_get_expiration_time(first);
    gnutls_x509_crt_deinit(first);
    return 0;
}

static struct pair *read_pair(const char *cert_path, const char *key_path, struct fail *f)
{
    struct pair *p = calloc(1, sizeof *p);
    if (p == NULL) {
        fail_set(f, ERR_internal, NULL, "out of memory");
        return NULL;
    }
    buf_init(&p->cert, TLS_FILE_MAX);
    buf_init(&p->key, TLS_FILE_MAX);
    int rc = 0;
    if (read_pem(cert_path, &p->cert, f) != 0 || read_pem(key_path, &p->key, f) != 0) {
        free_pair(p);
        return NULL;
    }
    if ((rc = check_pair(p)) < 0 || (rc = parse(p)) < 0) {
        fail_set(f, ERR_bad_request, NULL,
                 "certificate %s and key %s cannot be used: %s (both are PEM, the key is that of "
                 "the first certificate and has no passphrase)",
                 cert_path, key_path, gnutls_strerror(rc));
        free_pair(p);
        return NULL;
    }
    return p;
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(a->ptr, b->ptr, a->len) == 0;
}

int tls_load(const char *cert_path, const char *key_path, bool *ret_changed, struct fail *reterr)
{
    struct pair *p = read_pair(cert_path, key_path, reterr);
    struct pair *used = __atomic_load_n(&the_pair, __ATOMIC_ACQUIRE);
    if (p == NULL) {
        return -1;
    }
    *ret_changed = used == NULL || !same(&p->cert, &used->cert) || !same(&p->key, &used->key);
    if (!*ret_changed) {
        free_pair(p);
        return 0;
    }
    p->older = used;
    __atomic_store_n(&the_pair, p, __ATOMIC_RELEASE);
    return 0;
}

int64_t tls_expires_s(void)
{
    const struct pair *p = __atomic_load_n(&the_pair, __ATOMIC_ACQUIRE);
    return p != NULL ? p->expires_s : 0;
}

int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *req_ca_rdn, int nreqs,
                 const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
                 gnutls_pcert_st **pcert, unsigned *pcert_length, gnutls_privkey_t *pkey)
{
    (void)session, (void)req_ca_rdn, (void)nreqs, (void)pk_algos, (void)pk_algos_length;
    struct pair *p = __atomic_load_n(&the_pair, __ATOMIC_ACQUIRE);
    *pcert = p->chain;
    *pcert_length = p->n_chain;
    *pkey = p->private_key;
    return 0;
}

void tls_free(void)
{
    struct pair *p = __atomic_exchange_n(&the_pair, NULL, __ATOMIC_ACQ_REL);
    while (p != NULL) {
        struct pair *older = p->older;
        free_pair(p);
        p = older;
    }
}
