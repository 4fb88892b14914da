/* How a call begins: the body is read, permissions are checked, the plan is made. */
#define _GNU_SOURCE
#include "router/preset.h"
#include "server/call.h"
#include "server/provider_configs.h"

static int read_body(struct call *c, struct fail *f)
{
    if (json_parse(&c->doc, buf_span(&c->body), f) != 0) {
        return -1;
    }
    return c->req->door == DOOR_OPENAI
               ? chat_read_openai(&c->chat, &c->doc, f)
               : chat_read_anthropic(&c->chat, &c->doc, c->kind == CALL_COUNT_TOKENS, f);
}

static int read_chat(struct call *c, struct fail *f)
{
    if (read_body(c, f) != 0) {
        return -1;
    }
    if (call_experiment_join(c, f) != 0) {
        return -1;
    }
    if (preset_apply(c->key, &c->chat.prefs, f) != 0) {
        return -1;
    }
    if (c->chat.prefs.text.failed) {
        return fail_set(f, ERR_internal, NULL, "no room for the routing preferences of all layers");
    }
    c->req->report_body |= c->chat.report;
    c->chat.include_usage |= c->req->report_body; /* a stream of chunks has no other place for it */
    const struct reach_list allowed = serve_reach(&c->worker->site->options);
    if (provider_configs_check(&c->chat.prefs, c->catalog, c->key, &allowed, f) != 0) {
        return -1;
    }
    return call_repeat_read(c, f);
}

/* State that one provider keeps (a thread, a container, a file) is known to it alone, and to the
 * account that one credential stands for.  It goes back to who issued it; where that is not known
 * and the plan leaves one provider with one credential, that is where it came from; else the
 * request is refused as the SDKs expect it: they then send the whole conversation.  A new thread
 * may begin with any credential of one provider: not every server of the protocol has threads. */
static bool state_is_safe(struct call *c)
{
    const struct provider_row *only = NULL;
    bool refers = c->chat.pinned_state[0] != '\0';
    if ((!c->chat.thread_create && !refers) || (refers && call_origin_pin(c))) {
        return true;
    }
    for (int i = 0; i < c->plan.n_candidates; i++) {
        const struct provider_row *p = c->plan.candidates[i].endpoint->provider;
        if ((only != NULL && p != only) || (refers && p->n_credentials > 1)) {
            return false;
        }
        only = p;
    }
    return true;
}

static bool is_one_provider(const struct plan *p)
{
    for (int i = 1; i < p->n_candidates; i++) {
        if (p->candidates[i].endpoint->provider != p->candidates[0].endpoint->provider) {
            return false;
        }
    }
    return p->n_candidates > 0;
}

static void refuse_state(struct call *c)
{
    struct fail f;
    const struct chat *chat = &c->chat;
    const char *field = chat->pinned_field != NULL ? chat->pinned_field : chat->native_state;
    const char *text =
        "refers to state that one provider keeps, and several could serve this request: "
        "name one with provider_only, or send the whole conversation";
    if (c->plan.n_candidates == 0 && (chat->pinned_state[0] != '\0' || chat->thread_create)) {
        text = "refers to state that one provider keeps, and none that could serve this request "
               "speaks its protocol: send the whole conversation";
    } else if (c->plan.n_candidates == 0) {
        text = "is there in its own protocol alone, which no endpoint that could serve this "
               "request speaks: leave it out";
    } else if (is_one_provider(&c->plan)) {
        text = "refers to state that one provider keeps; the one that could serve this request is "
               "asked with several credentials, and which of them issued it is not known: send the "
               "whole conversation";
    }
    fail_set(&f, ERR_bad_request, field, "%s %s", field, text);
    request_reply_fail_more(
        c->req, &f, -1,
        call_has_thread(c) ? SPAN("\"details\":{\"error_code\":\"thread_unsupported_request\","
                                  "\"unsupported\":[\"thread\"]}")
                           : SPAN("\"details\":{\"error_code\":\"state_unsupported_request\"}"));
}

/* Counting is forwarded to endpoints that count, in the client's own protocol. */
static void keep_counting(struct call *c)
{
    int n = 0;
    for (int i = 0; i < c->plan.n_candidates; i++) {
        const struct endpoint *e = c->plan.candidates[i].endpoint;
        if (planning_adapter(&c->chat, e)->can_count_tokens && planning_is_native(&c->chat, e)) {
            c->plan.candidates[n++] = c->plan.candidates[i];
        }
    }
    if (n > 0) {
        c->plan.n_candidates = n;
        call_run(c);
    } else {
        call_answer_estimate(c);
        call_done(c);
    }
}

static void start_plan(struct call *c)
{
    struct plan_source source = {
        .catalog = c->catalog, .state = c->worker->site->state, .now_ms = c->begun_ms};
    struct plan_inputs in;
    plan_inputs_fill(&in, &source, &c->chat, c->key, worker_draw(c->worker));
    if (plan_make(&c->plan, &in) != 0) {
        call_answer_fail(c, ERR_internal, -1);
        call_done(c);
        return;
    }
    if (c->plan.n_candidates == 0) {
        call_record_end(c, "error", err_info(ERR_no_endpoint)->status);
        call_answer_no_endpoint(c, &in);
        call_done(c);
        return;
    }
    if (c->kind == CALL_MESSAGES) {
        planning_keep_native(&c->chat, &c->plan);
    }
    if (c->plan.n_candidates == 0 || !state_is_safe(c)) {
        refuse_state(c);
        call_done(c);
        return;
    }
    if (!call_limits_take(c)) {
        call_done(c);
        return;
    }
    if (c->kind == CALL_COUNT_TOKENS) {
        keep_counting(c);
        return;
    }
    call_run(c);
}

struct call *call_take_over(struct request *r, enum call_kind kind)
{
    struct worker *w = r->worker;
    struct call *c = call_new(w);
    if (c == NULL) {
        return NULL;
    }
    c->req = r;
    r->call = c;
    c->kind = kind;
    c->request_id = r->id;
    c->begun_ms = r->begun_ms;
    c->key = r->key;
    c->catalog = catalog_ref(w->catalog);
    c->identity = identity_ref(r->identity);
    struct buf taken = r->body;
    r->body = c->body;
    c->body = taken;
    return c;
}

void call_start(struct call *c)
{
    struct fail f;
    if (!call_limits_allow(c)) {
        call_done(c);
        return;
    }
    if (read_chat(c, &f) != 0) {
        request_reply_fail(c->req, &f);
        call_done(c);
        return;
    }
    start_plan(c);
}

void call_begin(struct request *r, enum call_kind kind)
{
    struct fail f;
    struct loop_trail trail = {.closed = false};
    request_trail(r, &trail);
    if (trail.closed) {
        fail_set(&f, ERR_loop, NULL, "%s", err_info(ERR_loop)->text);
        request_reply_fail(r, &f);
        return;
    }
    struct call *c = call_take_over(r, kind);
    if (c == NULL) {
        fail_set(&f, ERR_internal, NULL, "out of memory");
        request_reply_fail(r, &f);
        return;
    }
    c->trail = trail;
    call_start(c);
}
