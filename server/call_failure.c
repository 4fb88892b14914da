/* What a provider answered, while the attempt after it is prepared: where no other attempt can be
 * made (its hold does not fit a cap, the provider cannot be told the request), it is the client's
 * answer after all. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "server/call.h"

struct call_failure {
    const struct endpoint *endpoint;
    const struct provider *adapter;
    const struct credential *credential;
    bool own_credential;
    struct provider_target target;
    bool translated, rewritten;
    struct drops drops;
    int64_t clamp_tok;
    int http_status;
    struct buf answer, headers;
};

int call_failure_status(const struct call *c)
{
    struct reply_error error = {.http_status = 0};
    struct buf store;
    buf_init(&store, CALL_ANSWER_MAX);
    bool read = c->adapter->read_error(buf_span(&c->answer), &store, &error);
    buf_done(&store);
    return read && error.http_status >= 400 ? error.http_status : 0;
}

void call_failure_forget(struct call *c)
{
    if (c->failure != NULL) {
        buf_done(&c->failure->answer);
        buf_done(&c->failure->headers);
        free(c->failure);
        c->failure = NULL;
    }
}

void call_failure_keep(struct call *c, struct span headers)
{
    call_failure_forget(c);
    struct call_failure *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return; /* the refusal is told instead */
    }
    f->endpoint = c->endpoint;
    f->adapter = c->adapter;
    f->credential = c->credential;
    f->own_credential = c->own_credential;
    f->target = c->target;
    f->translated = c->translated;
    f->rewritten = c->rewritten;
    f->drops = c->drops;
    f->clamp_tok = c->clamp_tok;
    f->http_status = c->http_status;
    f->answer = c->answer;
    buf_init(&c->answer, CALL_ANSWER_MAX);
    buf_init(&f->headers, headers.len);
    buf_add_span(&f->headers, headers);
    c->failure = f;
}

bool call_failure_take_back(struct call *c, struct span *ret_headers)
{
    struct call_failure *f = c->failure;
    if (f == NULL) {
        return false;
    }
    c->endpoint = f->endpoint;
    c->adapter = f->adapter;
    c->credential = f->credential;
    c->own_credential = f->own_credential;
    c->target = f->target;
    c->translated = f->translated;
    c->rewritten = f->rewritten;
    c->drops = f->drops;
    c->clamp_tok = f->clamp_tok;
    c->http_status = f->http_status;
    struct buf unused = c->answer;
    c->answer = f->answer;
    f->answer = unused;
    *ret_headers = buf_span(&f->headers);
    return true;
}

int64_t call_failure_bytes(const struct call *c)
{
    return c->failure != NULL ? (int64_t)(c->failure->answer.len + c->failure->headers.len) : 0;
}
