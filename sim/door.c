#define _GNU_SOURCE
/* Paths, and the book-keeping around each exchange. */
#include "sim/door.h"

#include "sim/anthropic_sim.h"
#include "sim/control.h"

enum route { ROUTE_MESSAGES, ROUTE_COUNT, ROUTE_MODELS, ROUTE_MODEL, ROUTE_CONTROL };

/* A path is matched by its end, or by what stands in it (open); what comes before is
 * the site. */
static const struct {
    const char *path;
    enum route route;
    bool open;
    const char *method; /* NULL = the handler looks */
} routes[] = {
    {"/v1/messages/count_tokens", ROUTE_COUNT, false, "POST"},
    {"/v1/messages", ROUTE_MESSAGES, false, "POST"},
    {"/v1/models/", ROUTE_MODEL, true, "GET"},
    {"/v1/models", ROUTE_MODELS, false, "GET"},
    {"/_sim/", ROUTE_CONTROL, true, NULL},
};

enum { ROUTES = sizeof(routes) / sizeof(routes[0]) };

static void copy(char *out, size_t cap, struct span s)
{
    size_t n = s.len < cap ? s.len : cap - 1;
    if (n > 0)
        memcpy(out, s.ptr, n);
    out[n] = '\0';
}

static void set_site(struct conn *c, struct span prefix)
{
    while (prefix.len > 0 && prefix.ptr[0] == '/') {
        prefix.ptr++;
        prefix.len--;
    }
    if (prefix.len == 0)
        prefix = span_of(c->listener->name);
    copy(c->exchange.site, sizeof(c->exchange.site), prefix);
}

/* The row of the table, or -1; ret_at is where its path begins. */
static int match(struct span path, size_t *ret_at)
{
    for (int i = 0; i < ROUTES; i++) {
        size_t len = strlen(routes[i].path);
        if (path.len < len)
            continue;
        size_t at = path.len - len;
        if (!routes[i].open) {
            if (memcmp(path.ptr + at, routes[i].path, len) == 0) {
                *ret_at = at;
                return i;
            }
            continue;
        }
        for (size_t k = 0; k <= path.len - len; k++) {
            if (memcmp(path.ptr + k, routes[i].path, len) == 0) {
                *ret_at = k;
                return i;
            }
        }
    }
    return -1;
}

static void dispatch(struct conn *c, struct http_request *r, struct span path)
{
    size_t at = 0;
    int i = match(path, &at);
    if (i < 0) {
        if (span_is(path, "/") && (span_is(r->method, "GET") || span_is(r->method, "HEAD")))
            answer_begin(&c->answer, 200, NULL);
        else
            anthropic_error(c, 404, (struct span){NULL, 0}, SPAN("Not found"));
        return;
    }
    set_site(c, (struct span){path.ptr, at});
    if (routes[i].method != NULL && !span_is(r->method, routes[i].method)) {
        anthropic_error(c, 405, (struct span){NULL, 0}, SPAN("Method not allowed"));
        return;
    }
    size_t used = at + strlen(routes[i].path);
    struct span rest = {path.ptr + used, path.len - used};
    switch (routes[i].route) {
    case ROUTE_MESSAGES:
    case ROUTE_COUNT:
        anthropic_messages(c, r, routes[i].route == ROUTE_COUNT);
        break;
    case ROUTE_MODELS:
    case ROUTE_MODEL:
        anthropic_models(c, rest);
        break;
    case ROUTE_CONTROL:
        control_answer(c, r, rest);
        break;
    }
}

static void begin(struct conn *c, const struct http_request *r, struct span path)
{
    struct exchange *x = &c->exchange;
    *x = (struct exchange){.seq = ++c->sim->n_requests, .body_len = r->body.len};
    copy(x->method, sizeof(x->method), r->method);
    copy(x->path, sizeof(x->path), path);
    copy(x->request_id, sizeof(x->request_id), http_header(r, "x-request-id"));
    copy(x->site, sizeof(x->site), span_of(c->listener->name));
    if (c->sim->witness.fd >= 0) {
        x->begin_ms = sim_unix_ms();
        witness_begin(&c->sim->witness, c, r);
    }
}

void door_answer(struct conn *c, struct http_request *r)
{
    const char *query = memchr(r->target.ptr, '?', r->target.len);
    struct span path = r->target;
    if (query != NULL)
        path.len = (size_t)(query - r->target.ptr);
    begin(c, r, r->target);
    dispatch(c, r, path);
    c->answer.bodiless = span_is(r->method, "HEAD");
    if (r->minor == 0)
        c->keep_alive = false;
    answer_seal(&c->answer, r->minor, c->keep_alive);
}

void door_refuse(struct conn *c, const struct http_request *r, int status)
{
    begin(c, r, r->target);
    anthropic_error(c, status, (struct span){NULL, 0}, span_of(http_reason(status)));
    answer_seal(&c->answer, 1, false);
}

void door_count(struct conn *c, struct roster_model *m, struct span model)
{
    copy(c->exchange.model, sizeof(c->exchange.model), model);
    if (m == NULL)
        return;
    m->n_requests++;
    m->n_in_flight++;
    c->exchange.in_flight = m;
}

void door_ended(struct conn *c, const char *how)
{
    struct roster_model *m = c->exchange.in_flight;
    if (m != NULL) {
        bool good = strcmp(how, "complete") == 0 && c->answer.status == 200;
        m->n_in_flight--;
        m->n_complete += good;
        m->n_failed += !good;
        m->output_tok += door_bill(c).output_tok;
        c->exchange.in_flight = NULL;
    }
    witness_end(&c->sim->witness, c, how);
}

struct bill door_bill(const struct conn *c)
{
    const struct answer *a = &c->answer;
    struct bill bill = a->bill;
    if (!a->billed || !c->play.head_sent)
        return (struct bill){0};
    if (c->play.pos < a->body.len || a->partial)
        bill.output_tok = play_tokens(c);
    return bill;
}

bool door_has_key(const struct http_request *r, struct span key)
{
    struct span plain = http_header(r, "x-api-key");
    struct span bearer = http_header(r, "authorization");
    if (plain.ptr != NULL && span_eq(plain, key))
        return true;
    return bearer.len == key.len + 7 && span_ieq((struct span){bearer.ptr, 7}, "Bearer ") &&
           memcmp(bearer.ptr + 7, key.ptr, key.len) == 0;
}
