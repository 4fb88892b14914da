/* Key files and signed requests: service_account.h. */
#define _GNU_SOURCE
#include "server/service_account.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "schema/base64.h"
#include "schema/json.h"
#include "schema/json_out.h"

/* What Vertex AI asks for. */
static const char scope[] = "https://www.googleapis.com/auth/cloud-platform";

bool service_account_is(struct span text)
{
    struct json_doc doc;
    json_init(&doc);
    bool yes = json_parse(&doc, text, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT &&
               json_text_is(&doc, json_get(&doc, 0, "type"), "service_account");
    json_done(&doc);
    return yes;
}

static char *member(const struct json_doc *doc, const char *name)
{
    static const char nothing[] = "";
    char text[SERVICE_ACCOUNT_TEXT_MAX];
    if (!json_text_fixed(doc, json_get(doc, 0, name), text, sizeof(text)) ||
        strcmp(text, nothing) == 0)
        return NULL;
    char *copy = strdup(text);
    OPENSSL_cleanse(text, sizeof(text));
    return copy;
}

int service_account_read(struct service_account *ret, struct span text, struct fail *reterr)
{
    struct json_doc doc;
    *ret = (struct service_account){.email = NULL};
    json_init(&doc);
    if (json_parse(&doc, text, NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT) {
        ret->email = member(&doc, "client_email");
        ret->private_key = member(&doc, "private_key");
        ret->token_uri = member(&doc, "token_uri");
        ret->key_id = member(&doc, "private_key_id");
        ret->project = member(&doc, "project_id");
    }
    json_done(&doc);
    if (ret->email == NULL || ret->private_key == NULL || ret->token_uri == NULL)
        return fail_set(reterr, ERR_bad_request, NULL,
                        "the service account lacks client_email, private_key or token_uri");
    return 0;
}

void service_account_done(struct service_account *a)
{
    if (a->private_key != NULL)
        OPENSSL_cleanse(a->private_key, strlen(a->private_key));
    free(a->email);
    free(a->private_key);
    free(a->token_uri);
    free(a->key_id);
    free(a->project);
    *a = (struct service_account){.email = NULL};
}

static void add_header(const struct service_account *a, struct buf *out)
{
    struct json_out o = {.buf = out};
    json_open_object(&o, NULL);
    json_put_string(&o, "alg", SPAN("RS256"));
    json_put_string(&o, "typ", SPAN("JWT"));
    json_put_some_string(&o, "kid", span_of(a->key_id));
    json_close_object(&o);
}

static void add_claims(const struct service_account *a, int64_t now_s, struct buf *out)
{
    struct json_out o = {.buf = out};
    json_open_object(&o, NULL);
    json_put_string(&o, "iss", span_of(a->email));
    json_put_string(&o, "scope", span_of(scope));
    json_put_string(&o, "aud", span_of(a->token_uri));
    json_put_int(&o, "iat", now_s);
    json_put_int(&o, "exp", now_s + SERVICE_ACCOUNT_LIFE_S);
    json_close_object(&o);
}

static bool sign(EVP_PKEY *key, struct span text, struct buf *out)
{
    unsigned char signature[1024]; /* a key of 8192 bits */
    size_t n = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_PKEY_base_id(key) == EVP_PKEY_RSA &&
              EVP_PKEY_size(key) <= (int)sizeof(signature) &&
              EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (ok)
        base64url_add(out, (struct span){(const char *)signature, n});
    return ok;
}

static bool sign_pem(const char *pem, struct span text, struct buf *out)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    bool ok = key != NULL && sign(key, text, out);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

int service_account_grant(const struct service_account *a, int64_t now_s, struct buf *out,
                          struct fail *reterr)
{
    struct buf json;
    buf_init(&json, SERVICE_ACCOUNT_TEXT_MAX);
    buf_adds(out, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    const size_t begin = out->len;
    add_header(a, &json);
    base64url_add(out, buf_span(&json));
    buf_addc(out, '.');
    buf_reset(&json);
    add_claims(a, now_s, &json);
    base64url_add(out, buf_span(&json));
    struct buf signature;
    buf_init(&signature, SERVICE_ACCOUNT_TEXT_MAX);
    bool ok =
        !out->failed && !json.failed &&
        sign_pem(a->private_key, (struct span){out->ptr + begin, out->len - begin}, &signature);
    buf_addc(out, '.');
    buf_add_span(out, buf_span(&signature));
    buf_done(&signature);
    buf_done(&json);
    return ok && !out->failed ? 0
                              : fail_set(reterr, ERR_bad_request, NULL,
                                         "the service account's private_key cannot sign");
}
