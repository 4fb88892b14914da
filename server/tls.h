/* The data listener's certificate: PEM files, read at the start and again on SIGHUP, so that a
 * renewed one is used by the next connection and nobody is cut off.  TLS 1.2 is the least.
 *
 * One per process (GnuTLS hands its callback no context).  tls_load: one thread at a time;
 * tls_retrieve: any thread. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stdint.h>

#include <gnutls/abstract.h>

#include "schema/err.h"

enum { TLS_FILE_MAX = 1024 * 1024, TLS_CHAIN_MAX = 16 };

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Reads both files, checks that they match and publishes them.  0 (*ret_changed: they were not
 * those in use), or -1 with reterr: what was in use stays. */
int tls_load(const char *cert_path, const char *key_path, bool *ret_changed, struct fail *reterr);
/* Unix time in seconds at which the certificate in use ends; 0: there is none. */
int64_t tls_expires_s(void);
/* For MHD_OPTION_HTTPS_CERT_CALLBACK: the certificate in use.  It stays valid for ever: a
 * handshake may still look at the last but one. */
int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *req_ca_rdn, int nreqs,
                 const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length,
                 gnutls_pcert_st **pcert, unsigned *pcert_length, gnutls_privkey_t *pkey);
/* At the end, when no connection is left. */
void tls_free(void);

#endif
