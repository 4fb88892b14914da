/* The provider's request of an attempt: credentials, addresses and limits of its endpoint, as
 * the operator set them and the request may override them. */
#define _GNU_SOURCE
#include "server/call.h"

const struct provider_config *call_config(const struct call *c)
{
    return prefs_config(&c->chat.prefs, c->endpoint->slug, c->endpoint->provider->slug);
}

static void apply_config(struct call *c, const struct provider_config *pc,
                         struct provider_target *t, const char **headers)
{
    const struct prefs *p = &c->chat.prefs;
    if (pc->api_key != 0) {
        t->secret = prefs_str(p, pc->api_key);
        t->auth_type = c->endpoint->provider->auth_type; /* the operator may need none */
    }
    if (c->adapter != c->endpoint->provider->adapter && t->auth_type != AUTH_NONE) {
        t->auth_type = AUTH_API_KEY; /* native_format: in that protocol's own header */
        t->auth_header_name = NULL;
    }
    if (pc->base_url != 0) {
        const struct reach_list allowed = serve_reach(&c->worker->site->options);
        t->base_url = prefs_str(p, pc->base_url);
        t->extra_headers = NULL; /* who hosts it is not whom the operator wrote them for */
        c->reach = reach_of_url(t->base_url, &allowed);
    }
    c->own_terms = true;
    t->auth_type = pc->has_auth_type ? pc->auth_type : t->auth_type;
    t->auth_header_name =
        pc->auth_header_name != 0 ? prefs_str(p, pc->auth_header_name) : t->auth_header_name;
    if (pc->timeout_ms > 0) {
        c->limits.first_byte_ms = c->limits.total_ms = pc->timeout_ms;
    }
    int n = 0;
    for (int i = 0; i < pc->n_headers; i++) {
        headers[n++] = prefs_str(p, pc->header_name[i]);
        headers[n++] = prefs_str(p, pc->header_value[i]);
    }
    headers[n] = NULL;
    if (n > 0) {
        t->extra_headers = headers;
    }
}

int call_build(struct call *c, struct fail *f)
{
    const struct endpoint *e = c->endpoint;
    const struct provider_row *p = e->provider;
    const struct credential *cred = c->credential;
    char id[ID_TEXT_MAX];
    const char *config_headers[2 * PREFS_HEADERS_MAX + 1];
    c->target = (struct provider_target){
        .slug = e->slug,
        .base_url = p->base_url,
        .region = p->region,
        .upstream_model = e->upstream_model,
        .tier = e->tier ? e->variant : NULL,
        .max_completion_tokens = e->max_completion_tokens,
        .params = e->params,
        .rules = e->rules,
        .secret = cred != NULL ? cred->secret : NULL,
        .project = cred != NULL ? cred->project : NULL,
        .auth_type = cred != NULL && cred->kind == CREDENTIAL_NONE ? AUTH_NONE : p->auth_type,
        .auth_header_name = p->auth_header_name,
        .extra_headers = (const char *const *)p->headers,
        .request_id = id_print(&c->attempt_id, ID_PREFIX_ATTEMPT, id),
        .via = c->trail.via,
        .now_ms = worker_now_ms(),
    };
    c->limits = e->timeouts;
    c->reach = REACH_ANY;
    c->own_terms = false;
    const struct provider_config *pc = call_config(c);
    if (pc != NULL) {
        apply_config(c, pc, &c->target, config_headers);
    }
    struct client_headers headers;
    struct buf beta;
    buf_init(&beta, REQUEST_REPLY_HEADERS_MAX);
    request_client_headers(c->req, &headers, &beta);
    c->drops.n = 0;
    int ok = call_translate_request(c, f);
    if (c->rewritten) {
        c->drops = c->dialog.unread;
    } else if (c->chat.tier_cut && !e->tier) {
        drops_add(&c->drops, "service_tier");
    }
    struct provider_ask ask = {
        .op = c->kind == CALL_MESSAGES ? OP_MESSAGES : OP_COUNT_TOKENS,
        .target = &c->target,
        .headers = &headers,
        .chat = &c->chat,
        .dialog = c->rewritten ? &c->dialog : NULL,
        .max_tokens = c->clamp_tok > 0 ? c->clamp_tok : c->chat.max_tokens,
        .drops = &c->drops,
    };
    if (ok == 0) {
        ok = c->adapter->build(&ask, &c->upreq, f);
    }
    buf_done(&beta);
    c->target.extra_headers = NULL;
    c->target.request_id = NULL;
    c->reading = (struct provider_reading){
        .target = &c->target,
        .dialog = ask.dialog,
        .hour_writes = estimate_hour_writes(&c->chat, e),
    };
    return ok;
}
