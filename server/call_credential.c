/* Which of the operator's credentials an attempt is made with, and what its end says of it. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>

#include "schema/when.h"
#include "server/call.h"
#include "server/log.h"

/* The client's key, no key at all, or somebody else's server: an answer says nothing of ours, and
 * to an address that the request names none of ours goes. */
static const struct credential *own_stand_in(const struct call *c, const struct provider_config *pc)
{
    return pc->base_url == 0 ? provider_credential(c->endpoint->provider, 0) : NULL;
}

void call_credential_take(struct call *c)
{
    struct state *state = c->worker->site->state;
    if (c->keys_of != c->endpoint) {
        c->keys_of = c->endpoint;
        c->tried_keys = 0;
    }
    const struct provider_config *pc = call_config(c);
    c->own_credential = pc != NULL && prefs_config_is_elsewhere(pc);
    if (c->own_credential) {
        c->credential = own_stand_in(c, pc);
        return;
    }
    if (c->pinned_key != 0) {
        c->credential = keyring_at(c->endpoint->provider, c->pinned_key);
        return;
    }
    c->credential = state_credential_take(state, c->endpoint, c->tried_keys, worker_now_ms());
    if (c->credential == NULL) { /* the other one has just been held back too */
        c->credential = state_credential_take(state, c->endpoint, 0, worker_now_ms());
    }
    if (c->credential != NULL) {
        c->tried_keys |= 1u << c->credential->index;
    }
}

/* ---- an answer that repeats it ---- */

enum {
    SECRET_MIN = 8,        /* a shorter one is a word that may be there by chance */
    ESCAPED_MAX = 8 * 1024 /* a longer one is looked for as it is alone */
};

static void hide(struct span told, struct span secret)
{
    char *at = (char *)(uintptr_t)told.ptr, *end = at + told.len;
    while (at < end && (at = memmem(at, (size_t)(end - at), secret.ptr, secret.len)) != NULL) {
        memset(at, '*', secret.len);
        at += secret.len; /* it may be asterisks itself */
    }
}

/* As PHP writes it in JSON: "\/". */
static struct span escape_slashes(struct span secret, char out[ESCAPED_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < secret.len; i++) {
        if (n + 2 > ESCAPED_MAX) {
            return secret;
        }
        if (secret.ptr[i] == '/') {
            out[n++] = '\\';
        }
        out[n++] = secret.ptr[i];
    }
    return (struct span){out, n};
}

void call_credential_hide(const struct call *c, struct span told)
{
    struct span secret = span_of(c->target.secret != NULL ? c->target.secret : "");
    char escaped[ESCAPED_MAX];
    if (secret.len < SECRET_MIN || told.len < secret.len) {
        return;
    }
    hide(told, secret);
    if (memchr(secret.ptr, '/', secret.len) != NULL) {
        hide(told, escape_slashes(secret, escaped));
    }
}

void call_credential_hide_headers(const struct call *c, struct span headers)
{
    struct span name, value;
    size_t cursor = 0;
    while (header_next(headers, &cursor, &name, &value)) {
        call_credential_hide(c, value);
    }
}

/* ---- what its end says ---- */

static const struct {
    enum metric metric;
    const char *text;
} NEWS[] = {
    [REFUSAL_LIMITED] = {METRIC_credentials_limited_total, NULL},
    [REFUSAL_BARRED] = {METRIC_credentials_refused_total,
                        "a credential may not use an endpoint: held back there"},
    [REFUSAL_INVALID] = {METRIC_credentials_refused_total,
                         "a provider refuses a credential: held back"},
    [REFUSAL_SPENT] = {METRIC_credentials_spent_total,
                       "the spend limit of a credential is used up: held back, tried once an hour"},
};

static void tell(const struct call *c, const struct refusal *r)
{
    char name[KEYRING_NOTE_MAX], until[WHEN_TEXT_MAX] = "unknown";
    if (r->reset_ms > 0) {
        when_print(r->reset_ms, until);
    }
    log_line(LOG_ERROR, "msg=\"%s\" endpoint=%s credential=\"%s\" status=%d resets=%s",
             NEWS[r->kind].text, c->endpoint->slug,
             keyring_name(c->endpoint->provider, c->credential, name), c->http_status, until);
}

static void remember(struct call *c, const struct refusal *r, int64_t retry_after_ms)
{
    struct state *state = c->worker->site->state;
    bool limited = r->kind == REFUSAL_LIMITED && retry_after_ms > 0;
    bool news = state_credential_refused(state, c->endpoint, c->credential, r, retry_after_ms,
                                         worker_now_ms());
    if (news || limited) {
        metrics_add(&c->worker->metrics, NEWS[r->kind].metric, 1);
    }
    if (news) {
        tell(c, r);
    }
}

void call_credential_refused(struct call *c, int64_t retry_after_ms)
{
    if (c->own_credential || c->credential == NULL) {
        return;
    }
    int64_t now_ms = worker_now_ms();
    struct refusal r =
        refusal_read(c->endpoint->provider->protocol, c->http_status, buf_span(&c->answer), now_ms);
    if (r.kind == REFUSAL_SPENT && provider_classify(c->http_status) == UP_CLIENT) {
        c->http_status = 402;
    }
    /* Counting tokens has limits of its own (platform.claude.com/docs/en/build-with-claude/
     * token-counting). */
    if (r.kind != REFUSAL_NONE && !c->own_terms &&
        (c->kind == CALL_MESSAGES || r.kind != REFUSAL_LIMITED)) {
        remember(c, &r, retry_after_ms);
    }
    enum up_class class = provider_classify(c->http_status);
    c->route.another_credential =
        c->pinned_key == 0 && (class == UP_RATE_LIMITED || class == UP_CREDENTIAL) &&
        state_credential_has_other(c->worker->site->state, c->endpoint, c->tried_keys, now_ms);
}

void call_credential_used(struct call *c, enum route_end end)
{
    if (end != END_complete || c->http_status / 100 != 2 || c->own_credential || c->own_terms ||
        c->credential == NULL) {
        return;
    }
    if (state_credential_accepted(c->worker->site->state, c->endpoint, c->credential, c->sent_ms)) {
        char name[KEYRING_NOTE_MAX];
        log_line(LOG_WARN, "msg=\"a credential is accepted again\" endpoint=%s credential=\"%s\"",
                 c->endpoint->slug, keyring_name(c->endpoint->provider, c->credential, name));
    }
}
