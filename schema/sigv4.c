/* Canonical request, string to sign, signing key, signature: sigv4.h. */
#define _GNU_SOURCE /* memrchr */
#include "schema/sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "schema/when.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

enum { HASH_LEN = 32, DATE_LEN = 8, TIME_MAX = 20, REGION_MAX = 64, SCOPE_MAX = 256 };

/* One signature while it is made. */
struct signing {
    struct upreq *up;
    const struct sigv4_key *key;
    const char *method, *region, *service;
    char time[TIME_MAX];     /* "20150830T123600Z" */
    char scope[SCOPE_MAX];   /* "20150830/us-east-1/bedrock/aws4_request" */
    struct buf canonical;    /* the canonical request */
    struct buf signed_names; /* "content-type;host;x-amz-date" */
    struct span host, path;  /* of the URL */
    int n_headers;
    struct span headers[SIGV4_HEADERS_MAX]; /* "name: value" as they are sent */
};

bool sigv4_read_key(struct span text, struct sigv4_key *ret)
{
    struct span parts[3] = {{"", 0}, {"", 0}, {"", 0}};
    int n = 0;
    for (size_t begin = 0, i = 0; i <= text.len; i++) {
        /* A token may hold anything: it is what is left. */
        if (i < text.len && (text.ptr[i] != ':' || n == 2))
            continue;
        parts[n++] = (struct span){text.ptr + begin, i - begin};
        begin = i + 1;
    }
    *ret = (struct sigv4_key){.id = parts[0], .secret = parts[1], .token = parts[2]};
    return n >= 2 && ret->id.len > 0 && ret->secret.len > 0;
}

static void add_hex(struct buf *out, const uint8_t hash[HASH_LEN])
{
    for (int i = 0; i < HASH_LEN; i++)
        buf_addf(out, "%02x", hash[i]);
}

static bool hmac(struct span key, struct span text, uint8_t ret[HASH_LEN])
{
    return HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)text.ptr, text.len, ret,
                NULL) != NULL;
}

static bool hash_body(const struct upreq *u, uint8_t ret[HASH_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (int i = 0; i < u->n_pieces && ok; i++) {
        const char *at = u->pieces[i].own ? u->own.ptr + u->pieces[i].begin : u->pieces[i].ptr;
        ok = EVP_DigestUpdate(ctx, at, u->pieces[i].len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* ---- where ---- */

static bool ends_with(struct span s, const char *end)
{
    size_t n = strlen(end);
    return s.len >= n && memcmp(s.ptr + s.len - n, end, n) == 0;
}

/* What the Host header says, and the path.  A port that is the scheme's own is not sent. */
static bool split_url(struct signing *s)
{
    const char *scheme_end = strstr(s->up->url, "://");
    if (scheme_end == NULL || strpbrk(s->up->url, "?#") != NULL)
        return false;
    const char *begin = scheme_end + 3;
    size_t len = strcspn(begin, "/");
    s->path = span_of(begin[len] != '\0' ? begin + len : "/");
    s->host = (struct span){begin, len};
    if (ends_with(s->host, strncasecmp(s->up->url, "https:", 6) == 0 ? ":443" : ":80"))
        s->host.len = (size_t)((const char *)memrchr(begin, ':', len) - begin);
    return s->host.len > 0;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~/", c) != NULL);
}

/* Encoded once more than it is sent. */
static void add_path(struct buf *out, struct span path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (is_unreserved(path.ptr[i]))
            buf_addc(out, path.ptr[i]);
        else
            buf_addf(out, "%%%02X", (unsigned)(uint8_t)path.ptr[i]);
    }
}

/* ---- headers ---- */

static size_t name_len(struct span header)
{
    const char *colon = memchr(header.ptr, ':', header.len);
    return colon != NULL ? (size_t)(colon - header.ptr) : header.len;
}

static bool is_signed(struct span header)
{
    size_t n = name_len(header);
    return (n == 12 && strncasecmp(header.ptr, "content-type", n) == 0) ||
           (n > 6 && strncasecmp(header.ptr, "x-amz-", 6) == 0);
}

static bool collect_headers(struct signing *s)
{
    const char *h = NULL;
    while ((h = upreq_next_header(s->up, h)) != NULL) {
        struct span header = span_of(h);
        if (!is_signed(header))
            continue;
        if (s->n_headers == SIGV4_HEADERS_MAX)
            return false;
        s->headers[s->n_headers++] = header;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    size_t nx = name_len(*x), ny = name_len(*y);
    int order = strncasecmp(x->ptr, y->ptr, nx < ny ? nx : ny);
    return order != 0 ? order : (nx > ny) - (nx < ny);
}

static void add_lower(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        buf_addc(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
}

/* "name:value\n", runs of blanks in the value as one. */
static void add_header(struct signing *s, struct span name, struct span value)
{
    if (s->signed_names.len > 0)
        buf_addc(&s->signed_names, ';');
    add_lower(&s->signed_names, name);
    add_lower(&s->canonical, name);
    buf_addc(&s->canonical, ':');
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != ' ' || i == 0 || value.ptr[i - 1] != ' ')
            buf_addc(&s->canonical, value.ptr[i]);
    }
    buf_addc(&s->canonical, '\n');
}

static void add_headers(struct signing *s)
{
    /* As "host" sorts among the others. */
    static const char host[] = "host";
    bool host_done = false;
    for (int i = 0; i < s->n_headers; i++) {
        struct span header = s->headers[i];
        struct span name = {header.ptr, name_len(header)};
        if (!host_done && strncasecmp(name.ptr, host, 4) > 0) {
            add_header(s, SPAN("host"), s->host);
            host_done = true;
        }
        size_t at = name.len + 2 <= header.len ? name.len + 2 : header.len;
        add_header(s, name, (struct span){header.ptr + at, header.len - at});
    }
    if (!host_done)
        add_header(s, SPAN("host"), s->host);
}

/* ---- the signature ---- */

static bool make_canonical(struct signing *s)
{
    uint8_t hash[HASH_LEN];
    buf_adds(&s->canonical, s->method);
    buf_addc(&s->canonical, '\n');
    add_path(&s->canonical, s->path);
    buf_adds(&s->canonical, "\n\n"); /* no query */
    add_headers(s);
    buf_addc(&s->canonical, '\n');
    buf_add_span(&s->canonical, buf_span(&s->signed_names));
    buf_addc(&s->canonical, '\n');
    if (!hash_body(s->up, hash))
        return false;
    add_hex(&s->canonical, hash);
    return !s->canonical.failed && !s->signed_names.failed;
}

/* The key of this day, region and service, derived step by step. */
static bool signing_key(const struct signing *s, uint8_t ret[HASH_LEN])
{
    struct buf first;
    buf_init(&first, SIGV4_CANONICAL_MAX);
    buf_adds(&first, "AWS4");
    buf_add_span(&first, s->key->secret);
    bool ok = !first.failed && hmac(buf_span(&first), (struct span){s->time, DATE_LEN}, ret);
    const char *const steps[] = {s->region, s->service, "aws4_request"};
    for (int i = 0; i < 3 && ok; i++) {
        uint8_t next[HASH_LEN];
        ok = hmac((struct span){(const char *)ret, HASH_LEN}, span_of(steps[i]), next);
        memcpy(ret, next, HASH_LEN);
    }
    if (first.ptr != NULL)
        OPENSSL_cleanse(first.ptr, first.len);
    buf_done(&first);
    return ok;
}

static bool make_signature(struct signing *s, uint8_t ret[HASH_LEN])
{
    uint8_t hash[HASH_LEN] = {0}, key[HASH_LEN];
    struct buf text;
    buf_init(&text, SIGV4_CANONICAL_MAX);
    bool ok = make_canonical(s) &&
              EVP_Digest(s->canonical.ptr, s->canonical.len, hash, NULL, EVP_sha256(), NULL) == 1;
    buf_addf(&text, ALGORITHM "\n%s\n%s\n", s->time, s->scope);
    add_hex(&text, hash);
    ok = ok && !text.failed && signing_key(s, key) &&
         hmac((struct span){(const char *)key, HASH_LEN}, buf_span(&text), ret);
    OPENSSL_cleanse(key, sizeof(key));
    buf_done(&text);
    return ok;
}

/* "20150830T123600Z" from "2015-08-30T12:36:00.000Z". */
static void set_time(struct signing *s, int64_t now_ms)
{
    char rfc[WHEN_TEXT_MAX];
    size_t n = 0;
    when_print(now_ms, rfc);
    for (const char *c = rfc; *c != '.' && *c != 'Z' && n < TIME_MAX - 2; c++) {
        if (*c != '-' && *c != ':')
            s->time[n++] = *c;
    }
    s->time[n++] = 'Z';
    s->time[n] = '\0';
}

static bool add_authorization(struct signing *s)
{
    uint8_t signature[HASH_LEN];
    struct buf value;
    buf_init(&value, UPREQ_HEADERS_MAX);
    bool ok = make_signature(s, signature);
    buf_adds(&value, ALGORITHM " Credential=");
    buf_add_span(&value, s->key->id);
    buf_addf(&value, "/%s, SignedHeaders=", s->scope);
    buf_add_span(&value, buf_span(&s->signed_names));
    buf_adds(&value, ", Signature=");
    if (ok)
        add_hex(&value, signature);
    ok = ok && !value.failed && upreq_add_header(s->up, SPAN("authorization"), buf_span(&value));
    buf_done(&value);
    return ok;
}

bool sigv4_sign(struct upreq *u, const char *method, const struct sigv4_key *key,
                const char *region, const char *service, int64_t now_ms)
{
    struct signing s = {
        .up = u, .key = key, .method = method, .region = region, .service = service};
    if (u->url == NULL || !split_url(&s) || strlen(region) + strlen(service) > REGION_MAX)
        return false;
    set_time(&s, now_ms);
    snprintf(s.scope, sizeof(s.scope), "%.*s/%s/%s/aws4_request", DATE_LEN, s.time, region,
             service);
    buf_init(&s.canonical, SIGV4_CANONICAL_MAX);
    buf_init(&s.signed_names, UPREQ_HEADERS_MAX);
    bool ok =
        upreq_add_header(u, SPAN("x-amz-date"), span_of(s.time)) &&
        (key->token.len == 0 || upreq_add_header(u, SPAN("x-amz-security-token"), key->token)) &&
        collect_headers(&s);
    qsort(s.headers, (size_t)s.n_headers, sizeof(s.headers[0]), by_name);
    ok = ok && add_authorization(&s);
    buf_done(&s.canonical);
    buf_done(&s.signed_names);
    return ok;
}
