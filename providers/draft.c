/* The parts of a call that are the same in every protocol. */
#include "providers/draft.h"

#include <strings.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static bool name_is(struct span name, const char *other)
{
    return name.len == strlen(other) && strncasecmp(name.ptr, other, name.len) == 0;
}

static void refuse(struct draft *d, enum err code, const char *text)
{
    if (d->ok)
        fail_set(d->reterr, code, NULL, "%s", text);
    d->ok = false;
}

const char *draft_extra_header(const struct draft *d, struct span name)
{
    const char *const *h = d->target->extra_headers;
    for (; h != NULL && h[0] != NULL; h += 2) {
        if (name_is(name, h[0]))
            return h[1];
    }
    return NULL;
}

void draft_header(struct draft *d, struct span name, struct span value, enum err code)
{
    if (!d->ok || upreq_add_header(d->up, name, value))
        return;
    d->ok = false;
    /* Neither text may show the value: it can be a credential. */
    fail_set(d->reterr, code, NULL, "the header \"%.*s\" cannot be sent to the provider",
             (int)(name.len < 80 ? name.len : 80), name.ptr);
}

void draft_own_header(struct draft *d, const char *name, const char *value)
{
    if (draft_extra_header(d, span_of(name)) == NULL)
        draft_header(d, span_of(name), span_of(value), ERR_internal);
}

void draft_credential(struct draft *d, const char *header, const char *scheme)
{
    const struct provider_target *t = d->target;
    if (t->secret == NULL || t->auth_type == AUTH_NONE)
        return;
    if (t->auth_type == AUTH_BEARER || t->auth_type == AUTH_BASIC) {
        header = "authorization";
        scheme = t->auth_type == AUTH_BEARER ? "Bearer " : "Basic ";
    } else if (t->auth_header_name != NULL) {
        header = t->auth_header_name;
        scheme = "";
    }
    struct buf value;
    buf_init(&value, DRAFT_HEADER_MAX);
    buf_adds(&value, scheme);
    buf_adds(&value, t->secret);
    if (value.failed)
        refuse(d, ERR_internal, "the provider's credential is too long");
    else if (draft_extra_header(d, span_of(header)) == NULL)
        draft_header(d, span_of(header), buf_span(&value), ERR_internal);
    buf_done(&value);
}

void draft_common_headers(struct draft *d, const char *accept)
{
    draft_own_header(d, "content-type", "application/json");
    draft_own_header(d, "accept", accept);
    draft_header(d, SPAN("accept-encoding"), SPAN("identity"), ERR_internal);
    draft_own_header(d, "user-agent", "wayfare/" PACKAGE_VERSION);
    if (d->target->request_id != NULL)
        draft_own_header(d, "x-request-id", d->target->request_id);
    if (d->target->via != NULL)
        draft_header(d, SPAN("via"), span_of(d->target->via), ERR_internal);
}

/* Headers that are not the operator's: the transport writes them, or bytes would come
 * back in a form that nobody here reads. */
static bool is_transport_header(struct span name)
{
    static const char *const names[] = {"host",       "content-length",  "transfer-encoding",
                                        "connection", "accept-encoding", "expect"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name_is(name, names[i]))
            return true;
    }
    return false;
}

void draft_extra_headers(struct draft *d, const char *besides)
{
    const char *const *h = d->target->extra_headers;
    for (; h != NULL && h[0] != NULL; h += 2) {
        struct span name = span_of(h[0]);
        if (!is_transport_header(name) && (besides == NULL || !name_is(name, besides)))
            draft_header(d, name, span_of(h[1]), ERR_internal);
    }
}

void draft_url(struct draft *d, const char *version, const char *path)
{
    const char *base = d->target->base_url;
    size_t len = strlen(base), n = strlen(version);
    while (len > 0 && base[len - 1] == '/')
        len--;
    bool versioned = n > 0 && len >= n && memcmp(base + len - n, version, n) == 0;
    if (versioned && strncmp(path, version, n) == 0)
        path += n;
    if (!upreq_set_url(d->up, base, path))
        refuse(d, ERR_internal, "the provider's base_url cannot be used");
}

void draft_body(struct draft *d, struct buf *body)
{
    if (body->failed)
        refuse(d, ERR_internal, "the request is too large in the provider's protocol");
    else if (d->ok && !upreq_take_own(d->up, body))
        refuse(d, ERR_internal, "the request body is in too many pieces");
}

struct piecing {
    struct draft *draft;
    struct span model_json;
};

static void add_piece(void *ctx, struct span bytes)
{
    struct piecing *p = ctx;
    if (!p->draft->ok)
        return;
    bool added = bytes.ptr == p->model_json.ptr ? upreq_add_own(p->draft->up, bytes)
                                                : upreq_add_borrowed(p->draft->up, bytes);
    if (!added)
        refuse(p->draft, ERR_internal, "the request body is in too many pieces");
}

void draft_pieces(struct draft *d, const struct chat *chat)
{
    struct buf model;
    buf_init(&model, 4 * CHAT_MODEL_NAME_MAX + DRAFT_HEADER_MAX);
    if (json_write_string(&model, span_of(d->target->upstream_model))) {
        struct piecing p = {d, buf_span(&model)};
        chat_pieces(chat, p.model_json, add_piece, &p);
    } else {
        refuse(d, ERR_internal, "the upstream model name is too long");
    }
    buf_done(&model);
}
