/* Copies of requests for shadow arms: calls of their own under the same key, held and settled like
 * others, whose request has no connection and whose answer nobody gets.  The client's own request
 * does not wait for them, and is not refused because of them, but for what they cost. */
#define _GNU_SOURCE
#include "server/call.h"

enum { SHADOW_KEY = 0 }; /* in the load: all copies together have the share of one key */

static void on_due(uv_timer_t *timer)
{
    call_start(timer->data);
}

/* What a provider may see, and nothing else, is needed again. */
static void copy_headers(const struct request *from, struct request *to)
{
    struct client_headers h;
    struct buf beta;
    buf_init(&beta, REQUEST_REPLY_HEADERS_MAX);
    request_client_headers(from, &h, &beta);
    const struct {
        struct span name, value;
    } own[] = {{SPAN("anthropic-version"), h.anthropic_version},
               {SPAN("anthropic-beta"), h.anthropic_beta}};
    for (int i = 0; i < 2 + h.n_other; i++) {
        struct span name = i < 2 ? own[i].name : h.other[i - 2].name;
        struct span value = i < 2 ? own[i].value : h.other[i - 2].value;
        if (value.len > 0) {
            buf_add_span(&to->headers, name);
            buf_adds(&to->headers, ": ");
            buf_add_span(&to->headers, value);
            buf_addc(&to->headers, '\0');
        }
    }
    buf_done(&beta);
}

/* The copy's client side: a place in the load, and what the request said. */
static struct request *copy_request(const struct call *c)
{
    struct worker *w = c->worker;
    struct request *r = request_new(c->req->front, NULL);
    if (r == NULL) {
        return NULL;
    }
    r->door = c->req->door;
    r->started = true;
    r->key = c->key;
    r->identity = identity_ref(c->identity);
    copy_headers(c->req, r);
    bool taken =
        shed_take(w->site->shed, SHADOW_KEY, (int64_t)c->body.len, false, &r->slot) == SHED_IN;
    if (taken && buf_add_span(&r->body, buf_span(&c->body)) && !r->headers.failed) {
        return r;
    }
    request_free(r);
    return NULL;
}

static bool copy(const struct call *c, const struct experiment_arm *arm)
{
    struct request *r = copy_request(c);
    struct call *shadow = r != NULL ? call_take_over(r, CALL_MESSAGES) : NULL;
    if (shadow == NULL) {
        if (r != NULL) {
            request_free(r);
        }
        return false;
    }
    shadow->shadow = true;
    shadow->experiments = experiments_ref(c->experiments);
    shadow->trail = c->trail;
    shadow->place = c->place;
    shadow->place.arm = arm;
    uv_timer_start(&shadow->timer, on_due, CALL_SHADOW_DELAY_MS, 0);
    return true;
}

/* A place among CALL_SHADOWS_MAX. */
static bool take_place(struct site *s)
{
    if (__atomic_add_fetch(&s->shadows, 1, __ATOMIC_RELAXED) <= CALL_SHADOWS_MAX) {
        return true;
    }
    __atomic_sub_fetch(&s->shadows, 1, __ATOMIC_RELAXED);
    return false;
}

void call_shadow_copy(const struct call *c)
{
    struct worker *w = c->worker;
    const struct experiment *e = c->place.experiment;
    /* Credentials that a request brings are the client's, to be used once. */
    if (c->shadow || c->chat.prefs.n_configs > 0) {
        return;
    }
    for (int i = 0; i < e->n_arms; i++) {
        if (!experiment_shadows(&e->arms[i], &c->place)) {
            continue;
        }
        bool placed = c->body.len <= CALL_SHADOW_BODY_MAX && !w->draining && take_place(w->site);
        if (placed && copy(c, &e->arms[i])) {
            metrics_add(&w->metrics, METRIC_shadows_total, 1);
            continue;
        }
        if (placed) {
            __atomic_sub_fetch(&w->site->shadows, 1, __ATOMIC_RELAXED);
        }
        metrics_add(&w->metrics, METRIC_shadows_dropped_total, 1);
    }
}

void call_shadow_end(struct call *c)
{
    __atomic_sub_fetch(&c->worker->site->shadows, 1, __ATOMIC_RELAXED);
    if (!c->recorded) {
        metrics_add(&c->worker->metrics, METRIC_shadows_dropped_total, 1);
    }
}
