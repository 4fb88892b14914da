/* The gate's rules, one row per refusal. */
#define _GNU_SOURCE
#include "server/gate.h"

#include <stdint.h>
#include <strings.h>

#include "schema/field.h"

enum { CRLF_LEN = 2 };

static bool same(struct span s, const char *lower)
{
    size_t n = strlen(lower);
    return s.len == n && strncasecmp(s.ptr, lower, n) == 0;
}

/* A folded header line is glued to the name by libmicrohttpd, and an underscore form is the
 * same name to many servers behind: a name that only begins like a framing or credential
 * header is refused. */
static bool looks_smuggled(struct span name)
{
    static const char *const exact[] = {"transfer-encoding", "content-length", "host",
                                        "authorization", "x-api-key"};
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        size_t n = strlen(exact[i]);
        if (name.len < n || same(name, exact[i])) {
            continue;
        }
        bool begins = true;
        for (size_t j = 0; j < n && begins; j++) {
            char c = name.ptr[j] == '_' ? '-' : name.ptr[j];
            begins = strncasecmp(&c, &exact[i][j], 1) == 0;
        }
        if (begins) {
            return true;
        }
    }
    return false;
}

void gate_init(struct gate *g, bool http_1_1, const char *method)
{
    *g = (struct gate){.http_1_1 = http_1_1};
    g->has_body_method =
        strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

/* By numbers: a folded line's bytes are elsewhere. */
static bool follows(const struct gate *g, const char *at, size_t distance)
{
    return g->line_end == NULL || (uintptr_t)at - (uintptr_t)g->line_end == distance;
}

void gate_line(struct gate *g, const char *version)
{
    g->line_end = version + strlen(version);
}

void gate_end(struct gate *g, const char *end)
{
    g->bad_line |= !follows(g, end, 2 * CRLF_LEN);
}

void gate_header(struct gate *g, struct span name, struct span value)
{
    g->bad_line |= !follows(g, name.ptr, CRLF_LEN);
    if (g->line_end != NULL) {
        g->line_end = value.ptr + value.len;
    }
    g->n_headers++;
    g->header_bytes += name.len + value.len + 4;
    g->bad_name |= !field_is_name(name) || looks_smuggled(name);
    g->bad_byte |= !field_is_text(value);
    if (same(name, "content-length")) {
        g->n_content_length++;
        g->zero_length = span_is(value, "0");
    } else if (same(name, "transfer-encoding")) {
        g->n_transfer_encoding++;
        g->chunked = same(value, "chunked");
    } else if (same(name, "host")) {
        g->n_host++;
    } else if (same(name, "x-api-key")) {
        g->n_x_api_key++;
    } else if (same(name, "authorization")) {
        g->n_authorization++;
    } else if (same(name, "idempotency-key")) {
        g->n_idempotency_key++;
    } else if (same(name, "content-encoding")) {
        g->content_encoding |= !same(value, "identity");
    }
}

bool gate_body_is_ignored(const struct gate *g)
{
    bool length = g->n_content_length > 0 && !g->zero_length;
    return !g->has_body_method && (length || g->n_transfer_encoding > 0);
}

enum err gate_verdict(const struct gate *g, struct fail *reterr)
{
    bool te = g->n_transfer_encoding > 0, cl = g->n_content_length > 0;
    const struct {
        bool bad;
        enum err code;
        const char *text;
    } rules[] = {
        {g->header_bytes > GATE_HEADER_BYTES_MAX || g->n_headers > GATE_HEADERS_MAX,
         ERR_headers_too_large, "the request headers are over 32 KiB or 200 lines"},
        {g->bad_name, ERR_bad_request, "a request header has a name that is not allowed"},
        {g->bad_byte, ERR_bad_request, "a request header has a control byte in its value"},
        {g->bad_line, ERR_bad_request,
         "a line of the request's head does not end with CR LF, is folded or has a NUL"},
        {te && cl, ERR_bad_request, "Content-Length and Transfer-Encoding together"},
        {g->n_content_length > 1, ERR_bad_request, "more than one Content-Length"},
        {g->n_transfer_encoding > 1, ERR_bad_request, "more than one Transfer-Encoding"},
        {te && !g->chunked, ERR_bad_request, "the only Transfer-Encoding understood is chunked"},
        {te && !g->http_1_1, ERR_bad_request, "Transfer-Encoding needs HTTP/1.1"},
        {g->n_host > 1 || (g->http_1_1 && g->n_host == 0), ERR_bad_request,
         "exactly one Host header is needed"},
        {g->n_x_api_key > 1 || g->n_authorization > 1, ERR_bad_request,
         "a credential header is repeated"},
        {g->n_idempotency_key > 1, ERR_bad_request, "Idempotency-Key is repeated"},
        {g->content_encoding, ERR_unsupported_encoding, NULL},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].bad) {
            const char *text =
                rules[i].text != NULL ? rules[i].text : err_info(rules[i].code)->text;
            fail_set(reterr, rules[i].code, NULL, "%s", text);
            return rules[i].code;
        }
    }
    return ERR_OK;
}
