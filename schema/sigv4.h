/* Signs a prepared call with AWS Signature Version 4.
 * docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
 *
 * Why not libcurl's CURLOPT_AWS_SIGV4: the canonical request holds the path percent-encoded once
 * more than it is sent (for every service but S3).  Model ids of Bedrock hold colons, so a path
 * that says %3A is signed as %253A: AWS's own answer to a wrong signature spells it out
 * (BerriAI/litellm#14763).  libcurl 7.88.1 signs the path as it is sent, whether it holds ":" or
 * "%3A" (curl/curl#11794, #16927; tests/probe/probe_curl_sigv4.c shows it), and headers that it was
 * told to leave out ("Expect:").  Here the time of a signature is the caller's besides, so that
 * AWS's published vectors can be tested.
 *
 * The one file of schema/ that uses a library: SHA-256 and HMAC of libcrypto.  Pure. */
#ifndef SCHEMA_SIGV4_H
#define SCHEMA_SIGV4_H

#include <stdint.h>

#include "schema/upreq.h"

enum { SIGV4_CANONICAL_MAX = 256 * 1024, SIGV4_HEADERS_MAX = 64 };

/* A credential; borrowed. */
struct sigv4_key {
    struct span id, secret;
    struct span token; /* of a temporary credential; empty: none */
};

/* Takes "ID:SECRET" or "ID:SECRET:TOKEN" apart.  false: not of that form. */
bool sigv4_read_key(struct span text, struct sigv4_key *ret);

/* Adds x-amz-date, x-amz-security-token where there is one, and authorization.  Signed are the
 * host, content-type, and every x-amz-* header; headers added later are not.  The URL may have no
 * query.  false: the call cannot be signed (a query, too many headers, a byte in the key that no
 * header may hold, memory), *u may have some of the headers then. */
bool sigv4_sign(struct upreq *u, const char *method, const struct sigv4_key *key,
                const char *region, const char *service, int64_t now_ms);

#endif
